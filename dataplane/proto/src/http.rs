//! HTTP/1.1 as a keep-alive client (RFC 9112): one request outstanding, whole answers.
//!
//! ```text
//!          request                 head                    body done
//!   idle ──────────▶ awaiting head ────▶ length │ chunked │ until close ──▶ idle or finished
//!                        ▲   │ 1xx
//!                        └───┘            any fault ──▶ finished, the answer is unknown
//! ```
//!
//! No pipelining: an answer then always belongs to the one request outstanding. No redirects, no
//! compression, no cookies. The body is gathered whole, at most [`HTTP_BODY_MAX`] bytes, since the
//! JSON parser above wants it in one piece. REST is off the hot path: buffers grow with the
//! answers.

use dp_types::limit::{HTTP_BODY_MAX, HTTP_HEAD_MAX};
use dp_wire::http::{HttpError, RequestHead, ResponseHead, find_head_end};

mod chunked;
mod lines;

use chunked::Chunked;
pub use lines::{HttpLines, Piece};

/// Interim (1xx) answers accepted before the real one.
const INTERIM_MAX: u8 = 8;
/// Room for a body, taken at the start.
const BODY_BYTES: usize = 64 << 10;

/// Why a request was not written, or an answer not understood. The connection is finished except
/// after `Busy`, `Request` and `Finished`, which refuse the call alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpFault {
    /// A request is outstanding.
    #[error("an HTTP request is outstanding")]
    Busy,
    /// The connection carries no more requests: open a new one.
    #[error("HTTP connection is finished")]
    Finished,
    /// Our request holds a byte that may not be there.
    #[error("HTTP request cannot be written")]
    Request,
    /// The answer's head is malformed.
    #[error(transparent)]
    Head(#[from] HttpError),
    /// Bytes came that no request asked for.
    #[error("HTTP answer without a request")]
    Unsolicited,
    /// 101, or too many interim answers.
    #[error("HTTP interim answer is not acceptable")]
    Interim,
    /// The body is longer than the limit.
    #[error("HTTP body is longer than the limit")]
    BodyTooLong,
    /// A line of an answer that goes on is longer than the limit.
    #[error("HTTP line is longer than the limit")]
    LineTooLong,
    /// A chunk's size line, end or trailer is malformed or too long.
    #[error("HTTP chunk is malformed")]
    Chunk,
    /// The connection ended inside an answer.
    #[error("HTTP answer was cut short")]
    Truncated,
}

/// A whole answer.
#[derive(Debug)]
pub struct Response<'a> {
    /// Status, fields.
    pub head: ResponseHead<'a>,
    /// The body; mutable because the JSON parser works in place.
    pub body: &'a mut [u8],
}

#[derive(Debug, Clone, Copy)]
enum State {
    Idle,
    Head,
    /// Bytes of the body still to come.
    Length(usize),
    Chunked(Chunked),
    UntilClose,
    /// An answer was given out; its memory goes at the next call.
    Given,
    Finished,
}

/// One HTTP/1.1 connection, client side.
#[derive(Debug)]
pub struct HttpClient {
    state: State,
    head: Vec<u8>,
    body: Vec<u8>,
    /// The outstanding request is a HEAD: its answer has no body.
    is_head_request: bool,
    is_reusable: bool,
    interim: u8,
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpClient {
    /// A fresh connection.
    pub fn new() -> Self {
        Self {
            state: State::Idle,
            head: Vec::with_capacity(4 << 10),
            body: Vec::with_capacity(BODY_BYTES),
            is_head_request: false,
            is_reusable: true,
            interim: 0,
        }
    }

    /// Appends one request to `out`. `Content-Length` is written for a body, and for methods that
    /// expect one.
    ///
    /// Errors: [`HttpFault::Busy`], [`HttpFault::Finished`], [`HttpFault::Request`]; `out` is
    /// unchanged.
    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        host: &str,
        fields: &[(&str, &str)],
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), HttpFault> {
        match self.state {
            State::Idle => {}
            State::Given if self.is_reusable => {}
            State::Given | State::Finished => return Err(HttpFault::Finished),
            _ => return Err(HttpFault::Busy),
        }
        let has_body = !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH");
        let head = RequestHead {
            method,
            target,
            host,
            fields,
            content_length: has_body.then_some(body.len()),
        };
        head.write(out).map_err(|_| HttpFault::Request)?;
        out.extend_from_slice(body);
        self.head.clear();
        self.body.clear();
        self.is_head_request = method == "HEAD";
        self.interim = 0;
        self.state = State::Head;
        Ok(())
    }

    /// Reads the answer. `at` is the caller's cursor into `bytes`, moved past what was used; call
    /// again with the same `bytes` until `None`: then all of it was used.
    ///
    /// Cost: one copy of the body. Errors: [`HttpFault`]; the connection is finished, and whether
    /// the request was carried out is unknown.
    pub fn next(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
    ) -> Result<Option<Response<'_>>, HttpFault> {
        match self.advance(bytes, at) {
            Ok(true) => self.give().map(Some),
            Ok(false) => Ok(None),
            Err(fault) => {
                self.state = State::Finished;
                Err(fault)
            }
        }
    }

    /// Feeds bytes and hands on the answer, if it is whole. Cost and errors as
    /// [`HttpClient::next`].
    pub fn on_bytes(
        &mut self,
        bytes: &[u8],
        sink: &mut impl FnMut(Response<'_>),
    ) -> Result<(), HttpFault> {
        let mut at = 0;
        while let Some(response) = self.next(bytes, &mut at)? {
            sink(response);
        }
        Ok(())
    }

    /// The peer ended the connection (cleanly: over TLS, after its close_notify). This completes an
    /// answer without a length.
    ///
    /// Errors: [`HttpFault::Truncated`] when a request was outstanding and its answer is not whole.
    pub fn on_end(&mut self) -> Result<Option<Response<'_>>, HttpFault> {
        let state = core::mem::replace(&mut self.state, State::Finished);
        self.is_reusable = false;
        match state {
            State::UntilClose => self.give().map(Some),
            State::Idle | State::Given | State::Finished => Ok(None),
            _ => Err(HttpFault::Truncated),
        }
    }

    /// Whether [`HttpClient::request`] would be taken.
    pub fn is_ready(&self) -> bool {
        match self.state {
            State::Idle => true,
            State::Given => self.is_reusable,
            _ => false,
        }
    }

    /// Whether the connection carries no more requests.
    pub fn is_finished(&self) -> bool {
        match self.state {
            State::Finished => true,
            State::Given => !self.is_reusable,
            _ => false,
        }
    }

    fn give(&mut self) -> Result<Response<'_>, HttpFault> {
        self.state = State::Given;
        let head = ResponseHead::parse(&self.head)?.ok_or(HttpFault::Truncated)?;
        Ok(Response {
            head,
            body: &mut self.body,
        })
    }

    /// `true` once an answer is whole.
    fn advance(&mut self, bytes: &[u8], at: &mut usize) -> Result<bool, HttpFault> {
        loop {
            let fresh = bytes.get(*at..).unwrap_or(&[]);
            match &mut self.state {
                State::Idle | State::Given | State::Finished if fresh.is_empty() => {
                    return Ok(false);
                }
                State::Finished => return Err(HttpFault::Finished),
                State::Idle | State::Given => return Err(HttpFault::Unsolicited),
                State::Head => {
                    if !self.take_head(fresh, at)? {
                        return Ok(false);
                    }
                    if matches!(self.state, State::Length(0)) {
                        return Ok(true);
                    }
                }
                State::Length(left) => {
                    let part = fresh.get(..*left).unwrap_or(fresh);
                    self.body.extend_from_slice(part);
                    *at += part.len();
                    *left -= part.len();
                    return Ok(*left == 0);
                }
                State::Chunked(chunked) => {
                    *at += chunked.take(fresh, &mut self.body, HTTP_BODY_MAX)?;
                    return Ok(chunked.is_done());
                }
                State::UntilClose => {
                    if self.body.len().saturating_add(fresh.len()) > HTTP_BODY_MAX {
                        return Err(HttpFault::BodyTooLong);
                    }
                    self.body.extend_from_slice(fresh);
                    *at = bytes.len();
                    return Ok(false);
                }
            }
        }
    }

    /// Collects the head; `true` once it is there, with the state set to what its body is.
    fn take_head(&mut self, fresh: &[u8], at: &mut usize) -> Result<bool, HttpFault> {
        let before = self.head.len();
        let room = HTTP_HEAD_MAX.saturating_sub(before);
        let taken = fresh.get(..room).unwrap_or(fresh);
        self.head.extend_from_slice(taken);
        let Some(end) = find_head_end(&self.head, before) else {
            *at += taken.len();
            return if self.head.len() < HTTP_HEAD_MAX {
                Ok(false)
            } else {
                Err(HttpError::HeadTooLong.into())
            };
        };
        *at += end.saturating_sub(before);
        self.head.truncate(end);
        let head = ResponseHead::parse(&self.head)?.ok_or(HttpFault::Truncated)?;
        if head.status < 200 {
            self.interim += 1;
            // 101 would hand the connection to a protocol we did not ask for.
            if head.status == 101 || self.interim > INTERIM_MAX {
                return Err(HttpFault::Interim);
            }
            self.head.clear();
            return Ok(!fresh.is_empty());
        }
        self.is_reusable = head.is_keep_alive;
        self.state = if self.is_head_request || matches!(head.status, 204 | 304) {
            State::Length(0)
        } else if head.is_chunked {
            State::Chunked(Chunked::new())
        } else if let Some(length) = head.content_length {
            let length = usize::try_from(length).map_err(|_| HttpFault::BodyTooLong)?;
            if length > HTTP_BODY_MAX {
                return Err(HttpFault::BodyTooLong);
            }
            State::Length(length)
        } else {
            self.is_reusable = false;
            State::UntilClose
        };
        Ok(true)
    }
}
