//! An answer that goes on: its body handed up line by line as it comes, for as long as the connection lasts.
//!
//! ```text
//!  request ─▶ head 2xx ─▶ Open ─▶ Line ─▶ Line ─▶ ... ─▶ the body's end ──▶ finished
//!                └─ any other ─▶ Whole: an answer as any, and the next request may follow
//! ```
//! Lines end in LF; a CR before it and empty lines are dropped, and so a body that ends in the middle of a line gives
//! what it has of it. Where a chunk begins and ends means nothing: it may hold half a line or twenty. A line is at
//! most [`HTTP_LINE_MAX`] bytes, and what is kept besides it one step of decoding: memory is taken at the start and
//! never grows, however long the answer lasts. Whether it has lasted too long in silence is judged by who has a clock.

use super::{BODY_BYTES, HttpClient, HttpFault, Response, State};
use core::ops::Range;
use dp_types::limit::HTTP_LINE_MAX;
use dp_wire::http::ResponseHead;

/// Bytes of the connection decoded at once: a TLS record.
const STEP: usize = 16 << 10;
const _: () = assert!(HTTP_LINE_MAX + STEP <= BODY_BYTES);

/// What a connection with an answer that goes on hands up.
#[derive(Debug)]
pub enum Piece<'a> {
    /// The head of the answer that goes on: lines follow.
    Open(ResponseHead<'a>),
    /// One line without its end, never empty; mutable because the JSON parser works in place.
    Line(&'a mut [u8]),
    /// Another answer, whole.
    Whole(Response<'a>),
}

/// What a step has found.
enum Step {
    /// All bytes are used.
    Nothing,
    Open,
    /// A line, at this place of the body.
    Line(Range<usize>),
    Whole,
}

/// One HTTP/1.1 connection, client side, whose answer may go on.
#[derive(Debug, Default)]
pub struct HttpLines {
    http: HttpClient,
    /// The answer goes on: its body is lines.
    is_open: bool,
    /// Where the next line begins in what was decoded.
    start: usize,
    /// Up to where no end of it was found.
    searched: usize,
    /// What is wrong behind all that was decoded: told when that has been given out.
    fault: Option<HttpFault>,
}

impl HttpLines {
    /// A fresh connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`HttpClient::request`].
    ///
    /// Errors: as there.
    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        host: &str,
        fields: &[(&str, &str)],
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), HttpFault> {
        self.http.request(method, target, host, fields, body, out)
    }

    /// Reads on. `at` is the caller's cursor into `bytes`, moved past what was used; call again with the same `bytes`
    /// until `None`: then all of it was used.
    ///
    /// Cost: one copy, no allocation once the answer goes on. Errors: [`HttpFault`]; the connection is finished.
    pub fn next(&mut self, bytes: &[u8], at: &mut usize) -> Result<Option<Piece<'_>>, HttpFault> {
        match self.step(bytes, at) {
            Ok(Step::Nothing) => Ok(None),
            Ok(Step::Line(place)) => Ok(self.http.body.get_mut(place).map(Piece::Line)),
            Ok(Step::Open) => {
                let head = ResponseHead::parse(&self.http.head)?;
                Ok(Some(Piece::Open(head.ok_or(HttpFault::Truncated)?)))
            }
            Ok(Step::Whole) => Ok(Some(Piece::Whole(self.http.give()?))),
            Err(fault) => {
                self.finish();
                Err(fault)
            }
        }
    }

    /// Whether an answer goes on.
    pub const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether a request would be taken.
    pub fn is_ready(&self) -> bool {
        self.http.is_ready()
    }

    /// Whether the connection carries nothing more: after the end of an answer that went on, too.
    pub fn is_finished(&self) -> bool {
        self.http.is_finished()
    }

    fn finish(&mut self) {
        self.is_open = false;
        self.http.state = State::Finished;
    }

    fn step(&mut self, bytes: &[u8], at: &mut usize) -> Result<Step, HttpFault> {
        if self.is_open {
            return self.line(bytes, at);
        }
        let was_head = matches!(self.http.state, State::Head);
        while matches!(self.http.state, State::Head) {
            let fresh = bytes.get(*at..).unwrap_or(&[]);
            if !self.http.take_head(fresh, at)? {
                return Ok(Step::Nothing);
            }
        }
        if was_head && self.goes_on()? {
            self.is_open = true;
            (self.start, self.searched) = (0, 0);
            if let State::Chunked(chunked) = &mut self.http.state {
                chunked.go_on();
            }
            return Ok(Step::Open);
        }
        Ok(if self.http.advance(bytes, at)? {
            Step::Whole
        } else {
            Step::Nothing
        })
    }

    /// Whether the head just read is one of success, with a body.
    fn goes_on(&self) -> Result<bool, HttpFault> {
        let head = ResponseHead::parse(&self.http.head)?.ok_or(HttpFault::Truncated)?;
        let has_body = !matches!(self.http.state, State::Length(0));
        Ok(has_body && (200..300).contains(&head.status))
    }

    /// The next line; decodes as much as that takes.
    fn line(&mut self, bytes: &[u8], at: &mut usize) -> Result<Step, HttpFault> {
        loop {
            while let Some(line) = self.cut() {
                if line.len() > HTTP_LINE_MAX {
                    return Err(HttpFault::LineTooLong);
                }
                let line = self.without_cr(line);
                if !line.is_empty() {
                    return Ok(Step::Line(line));
                }
            }
            self.keep_rest();
            if self.is_whole() {
                self.finish();
                let rest = self.without_cr(0..self.http.body.len());
                if !rest.is_empty() {
                    return Ok(Step::Line(rest));
                }
                // Nothing may follow.
                return self.http.advance(bytes, at).map(|_| Step::Nothing);
            }
            if self.http.body.len() > HTTP_LINE_MAX {
                return Err(HttpFault::LineTooLong);
            }
            if let Some(fault) = self.fault {
                return Err(fault);
            }
            let fresh = bytes.get(*at..).unwrap_or(&[]);
            if fresh.is_empty() {
                return Ok(Step::Nothing);
            }
            match self.decode(fresh.get(..STEP).unwrap_or(fresh)) {
                Ok(used) => *at += used,
                Err(fault) => self.fault = Some(fault),
            }
        }
    }

    /// The place of the next line that has its end, without its LF.
    fn cut(&mut self) -> Option<Range<usize>> {
        let body = &self.http.body;
        let unsearched = body.get(self.searched..).unwrap_or(&[]);
        let Some(length) = unsearched.iter().position(|byte| *byte == b'\n') else {
            self.searched = body.len();
            return None;
        };
        let (from, end) = (self.start, self.searched + length);
        (self.start, self.searched) = (end + 1, end + 1);
        Some(from..end)
    }

    fn without_cr(&self, line: Range<usize>) -> Range<usize> {
        let has_cr = self.http.body.get(line.clone());
        let has_cr = has_cr.is_some_and(|line| line.ends_with(b"\r"));
        line.start..line.end - usize::from(has_cr)
    }

    /// Drops the lines that were given out: what is left is the beginning of one.
    fn keep_rest(&mut self) {
        self.http.body.drain(..self.start.min(self.http.body.len()));
        self.searched -= self.start;
        self.start = 0;
    }

    /// Whether the body has ended.
    fn is_whole(&self) -> bool {
        match &self.http.state {
            State::Length(left) => *left == 0,
            State::Chunked(chunked) => chunked.is_done(),
            _ => false,
        }
    }

    /// Takes the transfer coding off; returns the bytes used.
    fn decode(&mut self, fresh: &[u8]) -> Result<usize, HttpFault> {
        let HttpClient { state, body, .. } = &mut self.http;
        match state {
            State::Length(left) => {
                let part = fresh.get(..*left).unwrap_or(fresh);
                body.extend_from_slice(part);
                *left -= part.len();
                Ok(part.len())
            }
            State::Chunked(chunked) => chunked.take(fresh, body, usize::MAX),
            State::UntilClose => {
                body.extend_from_slice(fresh);
                Ok(fresh.len())
            }
            _ => Err(HttpFault::Unsolicited),
        }
    }
}
