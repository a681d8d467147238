//! HTTP/1.1 heads (RFC 9112): a strict view of a response's, a careful writer of a request's.
//!
//! ```text
//!  HTTP/1.1 200 OK CRLF  name: value CRLF ... CRLF │ body
//!  └───────────── head, HTTP_HEAD_MAX bytes ─────┘   belongs to dp-proto
//! ```
//!
//! Strict means: CRLF only, no folded lines, no space before a colon, one body length told one way.
//! A peer that leaves two readings of where a message ends is refused, since behind a proxy the two
//! readings are two different answers to our requests.

use dp_types::limit::HTTP_HEAD_MAX;

/// Fields one head may have.
pub const FIELDS_MAX: usize = 128;

/// Why a head was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Longer than [`HTTP_HEAD_MAX`] or more than [`FIELDS_MAX`] fields.
    #[error("HTTP head is longer than the limit")]
    HeadTooLong,
    /// Not `HTTP/1.x nnn reason`.
    #[error("HTTP status line is malformed")]
    StatusLine,
    /// Not `name: value`, or a bare CR or LF, or a folded line.
    #[error("HTTP field is malformed")]
    Field,
    /// `Content-Length` is no number, given twice with two values, or beside `Transfer-Encoding`.
    #[error("HTTP body length is ambiguous")]
    Length,
    /// A transfer coding other than `chunked`.
    #[error("HTTP transfer coding is not supported")]
    TransferCoding,
    /// A request part that would break its line (control byte, space, empty).
    #[error("HTTP request holds a byte that may not be there")]
    Request,
}

/// What a venue says with an answer of the limit the request counted against, each in its own fields; `None` = not told.
///
/// Sources: the venue pages, section 6: `X-MBX-USED-WEIGHT-1M` (Binance), `gw-ratelimit-*` (KuCoin),
/// `X-HB-RateLimit-Requests-*` (HTX).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// What the window allows.
    pub limit: Option<u32>,
    /// What was used of it, by whomever it is counted for.
    pub used: Option<u32>,
    /// What is left of it.
    pub left: Option<u32>,
    /// Milliseconds until the window begins anew.
    pub reset_ms: Option<u32>,
    /// When it begins anew, Unix milliseconds.
    pub ends_ms: Option<u64>,
}

/// A response's head, checked once; looking up fields cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHead<'a> {
    /// Status code, 100 to 599.
    pub status: u16,
    /// Body length in bytes, when told.
    pub content_length: Option<u64>,
    /// The body comes in chunks.
    pub is_chunked: bool,
    /// The connection may carry another request after this answer.
    pub is_keep_alive: bool,
    /// `Retry-After` in seconds. The date form is not read: it needs a clock.
    pub retry_after_s: Option<u32>,
    /// What is used up of the venue's limits. What is not a number counts as not told.
    pub usage: Usage,
    /// Length of the head in bytes, its empty line included.
    pub head_len: usize,
    fields: &'a [u8],
}

/// Where the head at the front of `bytes` ends (after its empty line). `from` = bytes already
/// searched in vain, so that a head arriving byte by byte is not searched again from its start.
pub fn find_head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let start = from.saturating_sub(3);
    let tail = bytes.get(start..)?;
    let at = tail.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(start + at + 4)
}

impl<'a> ResponseHead<'a> {
    /// Reads the head at the front of `bytes`; `None` = more bytes are needed.
    ///
    /// Cost: one pass. Errors: [`HttpError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Self>, HttpError> {
        let searched = bytes.get(..HTTP_HEAD_MAX).unwrap_or(bytes);
        let Some(head_len) = find_head_end(searched, 0) else {
            return if bytes.len() < HTTP_HEAD_MAX {
                Ok(None)
            } else {
                Err(HttpError::HeadTooLong)
            };
        };
        // Without the empty line: every line that is left ends in CRLF.
        let head = bytes.get(..head_len - 2).unwrap_or(&[]);
        let (line, fields) = split_line(head).ok_or(HttpError::StatusLine)?;
        let (status, is_1_1) = status_line(line)?;
        let mut view = Self {
            status,
            content_length: None,
            is_chunked: false,
            is_keep_alive: is_1_1,
            retry_after_s: None,
            usage: Usage::default(),
            head_len,
            fields,
        };
        view.check_fields()?;
        Ok(Some(view))
    }

    fn check_fields(&mut self) -> Result<(), HttpError> {
        let (mut rest, mut count) = (self.fields, 0);
        while !rest.is_empty() {
            let (line, after) = split_line(rest).ok_or(HttpError::Field)?;
            let (name, value) = split_field(line).ok_or(HttpError::Field)?;
            self.note(name, value)?;
            rest = after;
            count += 1;
            if count > FIELDS_MAX {
                return Err(HttpError::HeadTooLong);
            }
        }
        if self.is_chunked && self.content_length.is_some() {
            return Err(HttpError::Length);
        }
        Ok(())
    }

    /// Takes from one field what decides about the body and the connection.
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), HttpError> {
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = number(value).ok_or(HttpError::Length)?;
            if self.content_length.is_some_and(|known| known != length) {
                return Err(HttpError::Length);
            }
            self.content_length = Some(length);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HttpError::TransferCoding);
            }
            self.is_chunked = true;
        } else if name.eq_ignore_ascii_case(b"connection") {
            if has_token(value, b"close") {
                self.is_keep_alive = false;
            } else if has_token(value, b"keep-alive") {
                self.is_keep_alive = true;
            }
        } else if name.eq_ignore_ascii_case(b"retry-after") {
            self.retry_after_s = short(value);
        } else {
            self.usage.note(name, value);
        }
        Ok(())
    }

    /// The first field of this name (any case), without the blanks around it.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.fields()
            .find_map(|(n, value)| n.eq_ignore_ascii_case(name.as_bytes()).then_some(value))
    }

    /// Whether a field of this name lists the token (any case).
    pub fn has(&self, name: &str, token: &str) -> bool {
        self.fields().any(|(n, value)| {
            n.eq_ignore_ascii_case(name.as_bytes()) && has_token(value, token.as_bytes())
        })
    }

    /// All fields in order, `(name, value)`.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut rest = self.fields;
        core::iter::from_fn(move || {
            let (line, after) = split_line(rest)?;
            rest = after;
            split_field(line)
        })
    }
}

/// Cuts the first line off; it ends in CRLF.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.windows(2).position(|two| two == b"\r\n")?;
    Some((bytes.get(..at)?, bytes.get(at + 2..)?))
}

/// `HTTP/1.1 200 OK` to (200, true).
fn status_line(line: &[u8]) -> Result<(u16, bool), HttpError> {
    let bad = HttpError::StatusLine;
    let (
        &[
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            minor,
            b' ',
            a,
            b,
            c,
        ],
        reason,
    ) = line.split_first_chunk::<12>().ok_or(bad)?
    else {
        return Err(bad);
    };
    let is_reason = match reason.split_first() {
        None => true,
        Some((b' ', text)) => text.iter().all(|&byte| is_value_byte(byte)),
        Some(_) => false,
    };
    let status = number(&[a, b, c]).ok_or(bad)? as u16;
    if !is_reason || !matches!(minor, b'0' | b'1') || !(100..600).contains(&status) {
        return Err(bad);
    }
    Ok((status, minor == b'1'))
}

/// `name: value`, the value without the blanks around it.
fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
    let is_good = !name.is_empty()
        && name.iter().all(|&byte| is_token_byte(byte))
        && value.iter().all(|&byte| is_value_byte(byte));
    is_good.then(|| (name, value.trim_ascii()))
}

fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|&byte| byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

impl Usage {
    fn note(&mut self, name: &[u8], value: &[u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("x-mbx-used-weight-1m") {
            self.used = short(value);
        } else if is("gw-ratelimit-limit") {
            self.limit = short(value);
        } else if is("gw-ratelimit-remaining") || is("x-hb-ratelimit-requests-remain") {
            self.left = short(value);
        } else if is("gw-ratelimit-reset") {
            self.reset_ms = short(value);
        } else if is("x-hb-ratelimit-requests-expire") {
            self.ends_ms = number(value);
        }
    }
}

fn short(value: &[u8]) -> Option<u32> {
    number(value).and_then(|value| u32::try_from(value).ok())
}

/// Decimal digits only, at most 18 of them.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        text.iter()
            .fold(0, |sum, &digit| sum * 10 + u64::from(digit - b'0')),
    )
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// A request's head, to be written.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// Method word.
    pub method: &'a str,
    /// Path with query.
    pub target: &'a str,
    /// `Host` field.
    pub host: &'a str,
    /// Other fields, `(name, value)`.
    pub fields: &'a [(&'a str, &'a str)],
    /// Body length in bytes; `None` writes no `Content-Length`.
    pub content_length: Option<usize>,
}

impl RequestHead<'_> {
    /// Appends the head to `out`, all of it or nothing.
    ///
    /// Errors: [`HttpError::Request`] when a part holds a byte that would end its line or word: a
    /// symbol from a configuration file must not be able to smuggle a second request.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), HttpError> {
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let is_good = is_word(self.method)
            && self.method.bytes().all(is_token_byte)
            && is_word(self.target)
            && self.target.starts_with('/')
            && is_word(self.host)
            && self.fields.iter().all(|(name, value)| {
                !name.is_empty()
                    && name.bytes().all(is_token_byte)
                    && value.bytes().all(is_value_byte)
            });
        if !is_good {
            return Err(HttpError::Request);
        }
        for part in [
            self.method,
            " ",
            self.target,
            " HTTP/1.1\r\nHost: ",
            self.host,
            "\r\n",
        ] {
            out.extend_from_slice(part.as_bytes());
        }
        for (name, value) in self.fields {
            for part in [name, ": ", value, "\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        if let Some(length) = self.content_length {
            let mut digits = crate::buf::Buf::<20>::new();
            digits.push_u64(length as u64);
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(digits.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_used_up_is_read_off_the_head() {
        let usage = |fields: &str| {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            ResponseHead::parse(text.as_bytes()).unwrap().unwrap().usage
        };
        assert_eq!(usage("X-MBX-USED-WEIGHT-1M: 1200\r\n").used, Some(1_200));
        let pool = "gw-ratelimit-limit: 4000\r\ngw-ratelimit-remaining: 0\r\nGW-RateLimit-Reset: 29500\r\n";
        let expected = Usage {
            limit: Some(4_000),
            left: Some(0),
            reset_ms: Some(29_500),
            ..Usage::default()
        };
        assert_eq!(usage(pool), expected);
        let window = "X-HB-RateLimit-Requests-Remain: 9\r\nX-HB-RateLimit-Requests-Expire: 1700000000000\r\n";
        let heard = usage(window);
        assert_eq!(
            (heard.left, heard.ends_ms),
            (Some(9), Some(1_700_000_000_000))
        );
        assert_eq!(
            usage("x-mbx-used-weight-1m: -1\r\ngw-ratelimit-limit: 99999999999\r\n"),
            Usage::default(),
            "no numbers of theirs"
        );
    }

    #[test]
    fn a_head_is_read_whole() {
        let text = b"HTTP/1.1 429 Too Many\r\nContent-Length: 5\r\nRETRY-after:  7 \r\n\
            X-Used-Weight: 12\r\nConnection: Keep-Alive, Close\r\n\r\nhello";
        let head = ResponseHead::parse(text).unwrap().unwrap();
        assert_eq!((head.status, head.content_length), (429, Some(5)));
        assert_eq!((head.retry_after_s, head.is_keep_alive), (Some(7), false));
        assert_eq!(head.get("x-used-weight"), Some(&b"12"[..]));
        assert!(head.has("connection", "close") && head.get("absent").is_none());
        assert_eq!(&text[head.head_len..], b"hello");
        assert_eq!(head.fields().count(), 4);
    }

    #[test]
    fn strictness() {
        let cases: [(&str, HttpError); 16] = [
            ("HTTP/2.0 200 OK\r\n\r\n", HttpError::StatusLine),
            ("HTTP/1.1 20 OK\r\n\r\n", HttpError::StatusLine),
            ("HTTP/1.1 999 X\r\n\r\n", HttpError::StatusLine),
            ("HTTP/1.1 2000 X\r\n\r\n", HttpError::StatusLine),
            ("ICY 200 OK\r\n\r\n", HttpError::StatusLine),
            ("HTTP/1.1 200 O\nK\r\n\r\n", HttpError::StatusLine),
            ("HTTP/1.1 200 OK\r\na : b\r\n\r\n", HttpError::Field),
            ("HTTP/1.1 200 OK\r\n: b\r\n\r\n", HttpError::Field),
            ("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", HttpError::Field),
            ("HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\n", HttpError::Field),
            ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", HttpError::Field),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                HttpError::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
                HttpError::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                HttpError::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                HttpError::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
                HttpError::TransferCoding,
            ),
        ];
        for (text, error) in cases {
            assert_eq!(ResponseHead::parse(text.as_bytes()), Err(error), "{text:?}");
        }
    }

    #[test]
    fn an_endless_head_is_refused() {
        let long = [
            b"HTTP/1.1 200 OK\r\nx: ".to_vec(),
            vec![b'y'; HTTP_HEAD_MAX],
        ]
        .concat();
        assert_eq!(ResponseHead::parse(&long), Err(HttpError::HeadTooLong));
        assert_eq!(ResponseHead::parse(&long[..HTTP_HEAD_MAX - 1]), Ok(None));
        let many = "HTTP/1.1 200 OK\r\n".to_owned() + &"a: b\r\n".repeat(FIELDS_MAX + 1) + "\r\n";
        assert_eq!(
            ResponseHead::parse(many.as_bytes()),
            Err(HttpError::HeadTooLong)
        );
    }

    #[test]
    fn a_request_is_written_and_cannot_be_split() {
        let good = RequestHead {
            method: "POST",
            target: "/api/v3/order?x=1",
            host: "venue.example",
            fields: &[("X-Key", "abc")],
            content_length: Some(12),
        };
        let mut out = Vec::new();
        good.write(&mut out).unwrap();
        let expected = "POST /api/v3/order?x=1 HTTP/1.1\r\nHost: venue.example\r\nX-Key: abc\r\n\
            Content-Length: 12\r\n\r\n";
        assert_eq!(out, expected.as_bytes());
        let bad = [
            RequestHead {
                target: "/a b",
                ..good
            },
            RequestHead {
                target: "a",
                ..good
            },
            RequestHead {
                target: "/\r\nX: y",
                ..good
            },
            RequestHead {
                host: "h\r\n",
                ..good
            },
            RequestHead { method: "", ..good },
            RequestHead {
                fields: &[("X", "a\r\nY: b")],
                ..good
            },
            RequestHead {
                fields: &[("X ", "a")],
                ..good
            },
        ];
        out.clear();
        for request in bad {
            assert_eq!(
                request.write(&mut out),
                Err(HttpError::Request),
                "{request:?}"
            );
        }
        assert!(out.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail_without_panic(tail: Vec<u8>) {
            let _ = ResponseHead::parse(&tail);
            let _ = ResponseHead::parse(&[b"HTTP/1.1 200 OK\r\n", &tail[..], b"\r\n\r\n"].concat());
        }

        #[test]
        fn a_head_end_is_found_wherever_the_search_was_left(
            before in "[a\r\n]{0,20}", from in 0usize..30,
        ) {
            let bytes = before.as_bytes();
            let whole = find_head_end(bytes, 0);
            // Legal only where nothing was found before `from`.
            if whole.is_none_or(|end| end > from) && from <= bytes.len() {
                prop_assert_eq!(find_head_end(bytes, from), whole);
            }
        }
    }
}
