//! Reads the capture format: one JSON object a line, plain (`.jsonl`) or gzip (`.jsonl.gz`, told by
//! its first bytes, not by its name).
//!
//! ```text
//! {"ts":ns|null,"dir":"in"|"out","conn":"ws1"|"http","raw":"..."}       a text frame, untouched
//! {"ts":ns,"dir":"in","conn":"ws1","raw_b64":"..."}                     a binary frame
//! {"ts":ns,"dir":"out","conn":"ws1","event":"open","url":"wss://..."}   a connection opened
//! {"ts":ns,"dir":"in","conn":"http","url":"https://...","raw":"..."}    a REST answer
//! ```
//! Streaming: one line in memory at a time, at most [`LINE_MAX`] bytes. It does not interpret what
//! a venue said, and it does not reorder: lines come out as they were recorded.

use anyhow::{Context as _, bail};
use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

/// Longest line: the largest REST body (instruments of a venue, near 16 MiB), escaped.
pub const LINE_MAX: usize = 32 << 20;

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the venue.
    #[default]
    In,
    /// To the venue.
    Out,
    /// Neither: an example of the venue's documentation.
    Example,
}

/// One line of a capture. Unknown keys are ignored: recorders add their own.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Record {
    /// Recorder's receive time, nanoseconds since 1970.
    pub ts: Option<u64>,
    /// Which way.
    #[serde(default)]
    pub dir: Direction,
    /// The recorder's name of the connection; `http` for REST.
    #[serde(default)]
    pub conn: String,
    /// `open` when a connection was opened.
    pub event: Option<String>,
    /// Target of an opened connection or of a REST answer.
    pub url: Option<String>,
    /// Text as received.
    pub raw: Option<String>,
    /// Binary as received, base64.
    pub raw_b64: Option<String>,
}

impl Record {
    /// Parses one line. Errors: not JSON, or a key of the wrong type.
    pub fn parse(line: &[u8]) -> anyhow::Result<Self> {
        Ok(serde_json::from_slice(line)?)
    }

    /// Whether this is a message from the venue.
    pub fn is_message(&self) -> bool {
        self.dir == Direction::In && (self.raw.is_some() || self.raw_b64.is_some())
    }

    /// Whether this is a REST answer.
    pub fn is_rest(&self) -> bool {
        self.is_message() && self.url.is_some()
    }

    /// Whether the message came as a binary one.
    pub fn is_binary(&self) -> bool {
        self.raw.is_none() && self.raw_b64.is_some()
    }

    /// The bytes of the message; binary ones decoded.
    ///
    /// Errors: `raw_b64` is not base64. An event without a body is empty.
    pub fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        match (&self.raw, &self.raw_b64) {
            (Some(text), _) => Ok(text.as_bytes().to_vec()),
            (None, Some(text)) => base64(text).context("`raw_b64` is not base64"),
            (None, None) => Ok(Vec::new()),
        }
    }
}

/// A message as JSON, a compressed one inflated; `None` when it is none, or longer than [`LINE_MAX`].
pub fn as_json(bytes: &[u8]) -> Option<serde_json::Value> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Some(value);
    }
    serde_json::from_slice(&inflated(bytes)?).ok()
}

/// What a gzip or a raw deflate stream holds; `None` when it is neither, or cut.
pub fn inflated(bytes: &[u8]) -> Option<Vec<u8>> {
    let limit = LINE_MAX as u64;
    let mut text = Vec::new();
    let size = if bytes.starts_with(&GZIP) {
        let mut gzip = flate2::read::MultiGzDecoder::new(bytes).take(limit);
        gzip.read_to_end(&mut text)
    } else {
        let mut deflate = flate2::read::DeflateDecoder::new(bytes).take(limit);
        deflate.read_to_end(&mut text)
    };
    size.ok().filter(|size| *size > 0).map(|_| text)
}

/// What gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Standard base64 with or without padding. `None` on any other byte.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.chunks(4) {
        let mut bits = 0u32;
        for &byte in group {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        let [_, a, b, c] = (bits << (6 * (4 - group.len()))).to_be_bytes();
        match group.len() {
            4 => out.extend([a, b, c]),
            3 => out.extend([a, b]),
            2 => out.push(a),
            _ => return None,
        }
    }
    Some(out)
}

/// A capture being read.
pub struct Capture {
    name: String,
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Capture({}:{})", self.name, self.number)
    }
}

impl Capture {
    /// Opens a capture file. Errors: the file cannot be opened or read, with its name.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("opening capture {name}"))?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let head = reader
            .fill_buf()
            .with_context(|| format!("reading capture {name}"))?;
        let is_gzip = head.starts_with(&GZIP);
        let reader: Box<dyn BufRead> = if is_gzip {
            Box::new(BufReader::with_capacity(
                1 << 16,
                flate2::bufread::MultiGzDecoder::new(reader),
            ))
        } else {
            Box::new(reader)
        };
        Ok(Self::from_reader(name, reader))
    }

    /// Reads lines from anything; `name` is for error texts.
    pub fn from_reader(name: String, reader: Box<dyn BufRead>) -> Self {
        Self {
            name,
            reader,
            line: Vec::new(),
            number: 0,
        }
    }

    /// The next line, without its end; `None` at the end. Blank lines are passed over.
    ///
    /// Errors: unreadable (cut gzip), or longer than [`LINE_MAX`]; the text names file and line.
    pub fn next_line(&mut self) -> anyhow::Result<Option<&[u8]>> {
        loop {
            self.line.clear();
            self.number += 1;
            let at = format!("{}:{}", self.name, self.number);
            let limit = LINE_MAX as u64 + 1;
            let size = self
                .reader
                .by_ref()
                .take(limit)
                .read_until(b'\n', &mut self.line)
                .with_context(|| format!("{at}: reading"))?;
            if size == 0 {
                return Ok(None);
            }
            if size > LINE_MAX {
                bail!("{at}: line is longer than {LINE_MAX} bytes");
            }
            while matches!(self.line.last(), Some(b'\n' | b'\r')) {
                self.line.pop();
            }
            if !self.line.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(&self.line));
            }
        }
    }

    /// The next record; `None` at the end.
    ///
    /// Errors: as [`Capture::next_line`], or the line is not of the format; file, line and column
    /// named.
    pub fn next_record(&mut self) -> anyhow::Result<Option<Record>> {
        let name = self.name.clone();
        let Some(line) = self.next_line()? else {
            return Ok(None);
        };
        let record = Record::parse(line);
        let number = self.number;
        record
            .map(Some)
            .with_context(|| format!("{name}:{number}: not a line of a capture"))
    }

    /// Number of the line returned last, from 1.
    pub fn line_number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn capture(text: &str) -> Capture {
        let bytes = text.as_bytes().to_vec();
        Capture::from_reader("t.jsonl".into(), Box::new(std::io::Cursor::new(bytes)))
    }

    #[test]
    fn the_four_kinds_of_line() {
        let mut capture = capture(concat!(
            "{\"ts\":null,\"dir\":\"in\",\"conn\":\"ws1\",\"raw\":\"a\\n\"}\n\n",
            "{\"ts\":5,\"dir\":\"in\",\"conn\":\"ws1\",\"raw_b64\":\"AP8=\",\"extra\":1}\r\n",
            "{\"ts\":6,\"dir\":\"out\",\"conn\":\"ws1\",\"event\":\"open\",\"url\":\"wss://x\",\"raw\":null}\n",
            "{\"ts\":7,\"dir\":\"in\",\"conn\":\"http\",\"url\":\"https://x/y\",\"raw\":\"{}\"}",
        ));
        let text = capture.next_record().unwrap().unwrap();
        assert!(text.is_message() && !text.is_rest() && text.ts.is_none());
        assert_eq!(text.bytes().unwrap(), b"a\n");
        let binary = capture.next_record().unwrap().unwrap();
        assert_eq!(binary.bytes().unwrap(), [0, 255]);
        assert!(binary.is_binary() && !text.is_binary());
        assert_eq!(capture.line_number(), 3, "the blank line is counted");
        let open = capture.next_record().unwrap().unwrap();
        assert!(!open.is_message() && open.event.as_deref() == Some("open"));
        assert!(capture.next_record().unwrap().unwrap().is_rest());
        assert!(capture.next_record().unwrap().is_none());
    }

    #[test]
    fn errors_name_file_and_line() {
        let mut bad = capture("{\"raw\":\"a\"}\nnot json\n");
        bad.next_record().unwrap();
        let error = format!("{:#}", bad.next_record().unwrap_err());
        assert!(error.starts_with("t.jsonl:2:"), "{error}");
        let error = format!(
            "{:#}",
            Capture::open(Path::new("/nowhere/x.jsonl")).unwrap_err()
        );
        assert!(error.contains("/nowhere/x.jsonl"), "{error}");
    }

    #[test]
    fn gzip_is_told_by_its_bytes_and_a_cut_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("named_wrongly.jsonl");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for n in 0..2_000 {
            writeln!(gzip, "{{\"ts\":{n},\"conn\":\"ws1\",\"raw\":\"m{n}\"}}").unwrap();
        }
        let bytes = gzip.finish().unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let mut capture = Capture::open(&path).unwrap();
        let mut count = 0;
        while let Some(record) = capture.next_record().unwrap() {
            assert_eq!(record.raw.unwrap(), format!("m{count}"));
            count += 1;
        }
        assert_eq!(count, 2_000);
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let mut capture = Capture::open(&path).unwrap();
        let end = loop {
            match capture.next_record() {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        assert!(end.is_some(), "a cut file must not look whole");
    }

    #[test]
    fn a_gzip_message_is_json_as_its_text_is() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(br#"{"ping":1}"#).unwrap();
        let bytes = gzip.finish().unwrap();
        assert_eq!(as_json(&bytes), as_json(br#"{"ping":1}"#));
        assert!(as_json(&bytes).is_some());
        assert_eq!(as_json(&bytes[..bytes.len() - 9]), None);
        assert_eq!(as_json(b"\x1f\x8b"), None);
    }

    #[test]
    fn base64_of_all_lengths() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm8", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYg==", b"foob"),
        ] {
            assert_eq!(base64(text).unwrap(), bytes);
        }
        assert!(base64("Z").is_none() && base64("Zm9*").is_none());
    }
}
