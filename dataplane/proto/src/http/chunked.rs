//! The chunked transfer coding (RFC 9112, 7.1), byte by byte where it must be, in runs where it
//! can.
//!
//! ```text
//!   size [;extension] CRLF  data CRLF  size CRLF  data CRLF ... 0 CRLF  trailer CRLF ... CRLF
//!   └───── Size ─────┘ LF   Data  End  ...                            └──── Trailer ────┘
//! ```

use super::HttpFault;

/// Bytes all size lines' extensions and all trailers of one answer may have together. Both are
/// read and dropped; without a bound a peer could keep us reading forever.
const EXTRA_MAX: usize = 8 << 10;
/// Hex digits of a size: far above the body's limit already.
const SIZE_DIGITS_MAX: u8 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the digits of a size.
    Size,
    /// In what follows the digits.
    Extension,
    /// The LF of a size line is due.
    SizeLf,
    Data,
    /// The CR after data is due.
    DataCr,
    DataLf,
    /// At the beginning of a trailer line, or of the empty line that ends all.
    TrailerStart,
    Trailer,
    TrailerLf,
    /// The LF of the last line is due.
    LastLf,
    Done,
}

/// Where in a chunked body we are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunked {
    state: State,
    /// The size being read, then what is left of the chunk.
    left: usize,
    digits: u8,
    extra: usize,
    /// It is lines, and no end is awaited: what is dropped is counted from line to line.
    goes_on: bool,
}

impl Chunked {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Size,
            left: 0,
            digits: 0,
            extra: 0,
            goes_on: false,
        }
    }

    pub(super) fn is_done(self) -> bool {
        self.state == State::Done
    }

    /// The body is lines, and may have no end: what is dropped is bounded line by line.
    pub(super) const fn go_on(&mut self) {
        self.goes_on = true;
    }

    /// Moves data from `bytes` to `body` until the coding ends or the bytes do; returns the bytes
    /// used.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        body: &mut Vec<u8>,
        body_max: usize,
    ) -> Result<usize, HttpFault> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.state {
                State::Done => break,
                State::Data => {
                    let rest = bytes.get(at..).unwrap_or(&[]);
                    let run = rest.get(..self.left).unwrap_or(rest);
                    body.extend_from_slice(run);
                    if self.goes_on && run.contains(&b'\n') {
                        self.extra = 0;
                    }
                    self.left -= run.len();
                    at += run.len();
                    if self.left == 0 {
                        self.state = State::DataCr;
                    }
                    continue;
                }
                _ => self.state = self.step(byte)?,
            }
            if self.left > body_max.saturating_sub(body.len()) {
                return Err(HttpFault::BodyTooLong);
            }
            at += 1;
        }
        Ok(at)
    }

    /// Where `byte` leads from here, outside of data.
    fn step(&mut self, byte: u8) -> Result<State, HttpFault> {
        let bad = Err(HttpFault::Chunk);
        let next = match (self.state, byte) {
            (State::Size, b'\r') if self.digits > 0 => State::SizeLf,
            (State::Size, b';' | b' ' | b'\t') if self.digits > 0 => State::Extension,
            (State::Size, _) => {
                let digit = (byte as char).to_digit(16).ok_or(HttpFault::Chunk)?;
                self.digits += 1;
                if self.digits > SIZE_DIGITS_MAX {
                    return bad;
                }
                self.left = (self.left << 4) | digit as usize;
                State::Size
            }
            (State::Extension, b'\r') => State::SizeLf,
            (State::Extension, _) => self.extra(byte, State::Extension)?,
            (State::SizeLf, b'\n') => {
                self.digits = 0;
                if self.left == 0 {
                    State::TrailerStart
                } else {
                    State::Data
                }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::TrailerStart, b'\r') => State::LastLf,
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerStart | State::Trailer, _) => self.extra(byte, State::Trailer)?,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::LastLf, b'\n') => State::Done,
            _ => return bad,
        };
        Ok(next)
    }

    /// Counts a byte that is dropped.
    fn extra(&mut self, byte: u8, next: State) -> Result<State, HttpFault> {
        self.extra += 1;
        if self.extra > EXTRA_MAX || byte == b'\n' {
            return Err(HttpFault::Chunk);
        }
        Ok(next)
    }
}
