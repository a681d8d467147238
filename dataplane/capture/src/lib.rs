//! The capture format: what a venue's connections said, one JSON object a line, plain (`.jsonl`) or gzip (`.jsonl.gz`,
//! told by its first bytes, not by its name).
//!
//! ```text
//! {"ts":ns|null,"dir":"in"|"out","conn":"ws1"|"http","raw":"..."}       a text frame, untouched
//! {"ts":ns,"dir":"in","conn":"ws1","raw_b64":"..."}                     a binary frame
//! {"ts":ns,"dir":"out","conn":"ws1","event":"open","url":"wss://..."}   a connection opened
//! {"ts":ns,"dir":"in","conn":"http","url":"https://...","raw":"..."}    a REST answer
//! ```
//! It does not interpret what a venue said, and it does not reorder: lines come out as they were recorded.
#![forbid(unsafe_code)]

mod read;
mod record;
mod write;

pub use read::{Capture, as_json, inflated};
pub use record::{Direction, Record};
pub use write::Writer;

/// Longest line: the largest REST body (instruments of a venue, near 16 MiB), escaped.
pub const LINE_MAX: usize = 32 << 20;

/// What gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Why a capture cannot be read or written. The text names the file, and the line where there is one.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file cannot be opened, made, read or written.
    #[error("{at}: {error}")]
    Io {
        /// File, and line.
        at: String,
        /// The system's word, or that of a cut or damaged gzip.
        error: std::io::Error,
    },
    /// A line is longer than [`LINE_MAX`].
    #[error("{at}: line is longer than {LINE_MAX} bytes")]
    TooLong {
        /// File and line.
        at: String,
    },
    /// Not a line of a capture: not JSON, or a key of the wrong type.
    #[error("{at}: not a line of a capture: {error}")]
    Format {
        /// File and line.
        at: String,
        /// What was expected, with the column.
        error: serde_json::Error,
    },
    /// `raw_b64` is not base64.
    #[error("`raw_b64` is not base64")]
    NotBase64,
}
