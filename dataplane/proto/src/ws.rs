//! RFC 6455 as a client: upgrade, frames, fragments, pings, the closing handshake.
//!
//! ```text
//!        start           101 + accept          close sent or received
//!   new ──────▶ upgrade ─────────────▶ open ─────────────────────────▶ closing ─▶ closed
//!                  │                     │  fault: close frame with the right code in `out`
//!                  └─ other answer ──────┴──────────────────────────────────────▶ closed
//!
//!   message wholly in the input ───────────────▶ given in place, no copy
//!   message split over reads or fragments ─────▶ put together in one preallocated buffer
//! ```
//!
//! No extension and no subprotocol is offered, so none is accepted. Pings are answered at once into
//! `out`. Entropy (upgrade key, seed of the masks) is the caller's: a run with the same seed writes
//! the same bytes. Masks exist to protect old proxies from chosen bytes; inside TLS a xorshift is
//! enough.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dp_types::limit::{HTTP_HEAD_MAX, WS_MSG_MAX};
use dp_wire::http::{RequestHead, ResponseHead, find_head_end};
use dp_wire::ws::{CONTROL_MAX, HEADER_MAX, Header, Opcode, parse_header, write_frame};

mod fault;

pub use fault::WsFault;

/// What RFC 6455 appends to the key before hashing it.
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether a message is text or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WsKind {
    /// UTF-8, checked.
    Text,
    /// Bytes.
    Binary,
}

/// One thing that arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum WsEvent<'a> {
    /// The upgrade is done; messages may be sent.
    Open,
    /// A whole message; mutable because the parser above works in place.
    Message(WsKind, &'a mut [u8]),
    /// A ping; its pong is already in `out`.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The peer closes, with its code (1005 = none given) and reason; the answer is in `out`. The
    /// last event there is.
    Close(u16, &'a str),
}

/// The same as callbacks.
pub trait WsSink {
    /// The upgrade is done.
    fn open(&mut self);
    /// A whole message.
    fn message(&mut self, kind: WsKind, payload: &mut [u8]);
    /// A ping, already answered.
    fn ping(&mut self, payload: &[u8]);
    /// A pong.
    fn pong(&mut self, payload: &[u8]);
    /// The peer closes.
    fn close(&mut self, code: u16, reason: &str);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing sent.
    New,
    /// Request sent, head of the answer awaited.
    Upgrade,
    Open,
    /// Our close frame is sent, the peer's awaited.
    Closing,
    Closed,
}

/// Where the bytes of an event lie.
#[derive(Clone, Copy)]
enum Place {
    /// `bytes[start..end]` of the caller.
    Input(usize, usize),
    /// The reassembly buffer.
    Msg,
    /// The control buffer.
    Control,
}

/// An event without its borrow.
#[derive(Clone, Copy)]
enum Found {
    Open,
    Frame(Opcode, Place),
    Message(WsKind, Place),
}

/// One WebSocket connection, client side.
pub struct WsClient {
    state: State,
    accept: [u8; 28],
    mask_state: u64,
    /// The answer's head while upgrading.
    head: Vec<u8>,
    /// A frame header not yet whole.
    header: Vec<u8>,
    /// The data frame being received in parts: its header and the bytes of it that came.
    frame: Option<(Header, usize)>,
    /// Kind of the fragmented message being received.
    fragmented: Option<WsKind>,
    /// Fragments and split frames are put together here.
    msg: Vec<u8>,
    /// Control frames split over reads: they may come between fragments, so they have a place of
    /// their own.
    control: Vec<u8>,
    /// What `msg` holds was given out and goes at the next call.
    is_msg_given: bool,
    /// The same of `control`.
    is_control_given: bool,
}

impl core::fmt::Debug for WsClient {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("WsClient")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl WsClient {
    /// A client that has sent nothing. `mask_seed` seeds the masking keys; any value will do.
    pub fn new(mask_seed: u64) -> Self {
        Self {
            state: State::New,
            accept: [0; 28],
            // A xorshift must not start at zero.
            mask_state: mask_seed | 1 << 63,
            head: Vec::with_capacity(1 << 10),
            header: Vec::with_capacity(HEADER_MAX),
            frame: None,
            fragmented: None,
            msg: Vec::with_capacity(WS_MSG_MAX),
            control: Vec::with_capacity(CONTROL_MAX),
            is_msg_given: false,
            is_control_given: false,
        }
    }

    /// Appends the upgrade request to `out`. `entropy` becomes the request's key; `fields` are
    /// extra header fields.
    ///
    /// Errors: [`WsFault::Request`] when a part cannot stand in a request.
    pub fn start(
        &mut self,
        host: &str,
        target: &str,
        fields: &[(&str, &str)],
        entropy: [u8; 16],
        out: &mut Vec<u8>,
    ) -> Result<(), WsFault> {
        let key = STANDARD.encode(entropy);
        let digest = ring::digest::digest(
            &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
            &[key.as_bytes(), ACCEPT_GUID].concat(),
        );
        let accept = STANDARD.encode(digest.as_ref());
        self.accept = accept.as_bytes().try_into().map_err(|_| WsFault::Request)?;
        let mut all = vec![
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", key.as_str()),
        ];
        all.extend_from_slice(fields);
        let head = RequestHead {
            method: "GET",
            target,
            host,
            fields: &all,
            content_length: None,
        };
        head.write(out).map_err(|_| WsFault::Request)?;
        self.state = State::Upgrade;
        Ok(())
    }

    /// Reads the next event. `at` is the caller's cursor into `bytes`, moved past what was used;
    /// call again with the same `bytes` until `None`: then all of it was used.
    ///
    /// Cost: one header, one UTF-8 check; a message split over calls is copied once; no allocation.
    /// Errors: [`WsFault`]; the connection is
    /// closed and `out` holds the close frame with the fault's code.
    pub fn next<'a>(
        &'a mut self,
        bytes: &'a mut [u8],
        at: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<Option<WsEvent<'a>>, WsFault> {
        let found = match self.advance(bytes, at) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(fault) => {
                return Err(fail(&mut self.state, &mut self.mask_state, fault, out));
            }
        };
        let (opcode, place) = match found {
            Found::Open => return Ok(Some(WsEvent::Open)),
            Found::Message(kind, place) => {
                let payload = match place {
                    Place::Input(start, end) => bytes.get_mut(start..end).unwrap_or(&mut []),
                    Place::Msg | Place::Control => &mut self.msg,
                };
                if kind == WsKind::Text && simdutf8::basic::from_utf8(payload).is_err() {
                    return Err(fail(
                        &mut self.state,
                        &mut self.mask_state,
                        WsFault::Utf8,
                        out,
                    ));
                }
                return Ok(Some(WsEvent::Message(kind, payload)));
            }
            Found::Frame(opcode, place) => (opcode, place),
        };
        let payload: &[u8] = match place {
            Place::Input(start, end) => bytes.get(start..end).unwrap_or(&[]),
            Place::Msg | Place::Control => &self.control,
        };
        match opcode {
            Opcode::Ping => {
                if self.state == State::Open {
                    write_frame(Opcode::Pong, next_key(&mut self.mask_state), payload, out);
                }
                Ok(Some(WsEvent::Ping(payload)))
            }
            Opcode::Pong => Ok(Some(WsEvent::Pong(payload))),
            _ => match parse_close(payload) {
                Ok((code, reason)) => {
                    if self.state == State::Open {
                        let echo = payload.get(..2).unwrap_or(&[]);
                        write_frame(Opcode::Close, next_key(&mut self.mask_state), echo, out);
                    }
                    self.state = State::Closed;
                    Ok(Some(WsEvent::Close(code, reason)))
                }
                Err(fault) => Err(fail(&mut self.state, &mut self.mask_state, fault, out)),
            },
        }
    }

    /// Feeds bytes and hands every event in them to `sink`, in order. Cost and errors as
    /// [`WsClient::next`]; events before a fault were handed on.
    pub fn on_bytes(
        &mut self,
        bytes: &mut [u8],
        out: &mut Vec<u8>,
        sink: &mut impl WsSink,
    ) -> Result<(), WsFault> {
        let mut at = 0;
        while let Some(event) = self.next(bytes, &mut at, out)? {
            match event {
                WsEvent::Open => sink.open(),
                WsEvent::Message(kind, payload) => sink.message(kind, payload),
                WsEvent::Ping(payload) => sink.ping(payload),
                WsEvent::Pong(payload) => sink.pong(payload),
                WsEvent::Close(code, reason) => sink.close(code, reason),
            }
        }
        Ok(())
    }

    /// Appends one text message to `out`; the caller's text must be UTF-8 (ours are ASCII).
    ///
    /// Cost: one copy and one XOR pass, no allocation while `out` has room. Errors:
    /// [`WsFault::NotOpen`], [`WsFault::TooLarge`].
    pub fn send_text(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), WsFault> {
        if payload.len() > WS_MSG_MAX {
            return Err(WsFault::TooLarge);
        }
        self.send(Opcode::Text, payload, out)
    }

    /// Appends a ping of at most 125 bytes to `out`. Errors: [`WsFault::NotOpen`],
    /// [`WsFault::TooLarge`].
    pub fn send_ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), WsFault> {
        if payload.len() > CONTROL_MAX {
            return Err(WsFault::TooLarge);
        }
        self.send(Opcode::Ping, payload, out)
    }

    /// Appends our close frame to `out`; nothing is sent after it. The peer's answer arrives as
    /// [`WsEvent::Close`]. Errors: [`WsFault::NotOpen`].
    pub fn close(&mut self, code: u16, out: &mut Vec<u8>) -> Result<(), WsFault> {
        self.send(Opcode::Close, &code.to_be_bytes(), out)?;
        self.state = State::Closing;
        Ok(())
    }

    /// Whether messages may be sent.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether the connection is over: the socket may be dropped.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    fn send(&mut self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) -> Result<(), WsFault> {
        if self.state != State::Open {
            return Err(WsFault::NotOpen);
        }
        write_frame(opcode, next_key(&mut self.mask_state), payload, out);
        Ok(())
    }

    /// Moves `at` to the end of the next event, or to the end of `bytes`.
    fn advance(&mut self, bytes: &[u8], at: &mut usize) -> Result<Option<Found>, WsFault> {
        if core::mem::take(&mut self.is_msg_given) {
            self.msg.clear();
        }
        if core::mem::take(&mut self.is_control_given) {
            self.control.clear();
        }
        loop {
            match self.state {
                State::New => return Err(WsFault::NotOpen),
                State::Closed => {
                    // Whatever follows a close is not looked at (RFC 6455, 1.4).
                    *at = bytes.len();
                    return Ok(None);
                }
                State::Upgrade => {
                    return Ok(self.upgrade(bytes, at)?.then_some(Found::Open));
                }
                State::Open | State::Closing => {}
            }
            let (header, got) = match self.frame {
                Some(frame) => frame,
                None => match self.next_header(bytes, at)? {
                    Some(header) => (header, 0),
                    None => return Ok(None),
                },
            };
            if let Some(found) = self.payload(header, got, bytes, at)? {
                return Ok(Some(found));
            }
            if self.frame.is_some() {
                return Ok(None);
            }
        }
    }

    /// Collects the answer's head; `true` once it is there and good.
    fn upgrade(&mut self, bytes: &[u8], at: &mut usize) -> Result<bool, WsFault> {
        let fresh = bytes.get(*at..).unwrap_or(&[]);
        let (before, room) = (
            self.head.len(),
            HTTP_HEAD_MAX.saturating_sub(self.head.len()),
        );
        let taken = fresh.get(..room).unwrap_or(fresh);
        self.head.extend_from_slice(taken);
        let Some(end) = find_head_end(&self.head, before) else {
            *at += taken.len();
            return if self.head.len() < HTTP_HEAD_MAX {
                Ok(false)
            } else {
                Err(WsFault::Upgrade)
            };
        };
        *at += end.saturating_sub(before);
        let head = ResponseHead::parse(&self.head)
            .ok()
            .flatten()
            .ok_or(WsFault::Upgrade)?;
        if head.status != 101 {
            return Err(WsFault::Refused {
                status: head.status,
                retry_after_s: head.retry_after_s,
            });
        }
        let is_good = head.has("upgrade", "websocket")
            && head.has("connection", "upgrade")
            && head.get("sec-websocket-accept") == Some(&self.accept[..])
            && head.get("sec-websocket-extensions").is_none()
            && head.get("sec-websocket-protocol").is_none();
        if !is_good {
            return Err(WsFault::Upgrade);
        }
        self.state = State::Open;
        self.head = Vec::new();
        Ok(true)
    }

    /// Reads a frame's header and checks what one frame alone cannot show.
    fn next_header(&mut self, bytes: &[u8], at: &mut usize) -> Result<Option<Header>, WsFault> {
        let fresh = bytes.get(*at..).unwrap_or(&[]);
        let kept = self.header.len();
        let parsed = if kept == 0 {
            parse_header(fresh)?
        } else {
            let more = fresh.get(..HEADER_MAX - kept).unwrap_or(fresh);
            self.header.extend_from_slice(more);
            parse_header(&self.header)?
        };
        let Some(header) = parsed else {
            if kept == 0 {
                self.header.extend_from_slice(fresh);
            }
            *at = bytes.len();
            return Ok(None);
        };
        *at += header.header_len.saturating_sub(kept);
        self.header.clear();
        if header.mask.is_some() {
            return Err(WsFault::Masked);
        }
        match (header.opcode, self.fragmented) {
            (Opcode::Continuation, None) => return Err(WsFault::Fragment),
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(WsFault::Fragment),
            _ => {}
        }
        if !header.opcode.is_control() {
            let total = header.len.saturating_add(self.msg.len() as u64);
            if total > WS_MSG_MAX as u64 {
                return Err(WsFault::TooLarge);
            }
        }
        Ok(Some(header))
    }

    /// Takes the payload of `header`, of which `got` bytes came before.
    fn payload(
        &mut self,
        header: Header,
        got: usize,
        bytes: &[u8],
        at: &mut usize,
    ) -> Result<Option<Found>, WsFault> {
        // At most WS_MSG_MAX or 125, checked with the header.
        let len = usize::try_from(header.len).map_err(|_| WsFault::TooLarge)?;
        let fresh = bytes.get(*at..).unwrap_or(&[]);
        let start = *at;
        let part = fresh.get(..len.saturating_sub(got)).unwrap_or(fresh);
        *at += part.len();
        let is_whole = got + part.len() == len;
        let opcode = header.opcode;
        let kind = match opcode {
            Opcode::Text => Some(WsKind::Text),
            Opcode::Binary => Some(WsKind::Binary),
            _ => self.fragmented,
        };
        self.frame = (!is_whole).then_some((header, got + part.len()));
        if is_whole && got == 0 {
            let place = Place::Input(start, *at);
            if opcode.is_control() {
                return Ok(Some(Found::Frame(opcode, place)));
            }
            if let (true, None, Some(kind)) = (header.fin, self.fragmented, kind) {
                return Ok(Some(Found::Message(kind, place)));
            }
        }
        let store = if opcode.is_control() {
            &mut self.control
        } else {
            &mut self.msg
        };
        store.extend_from_slice(part);
        if !is_whole {
            return Ok(None);
        }
        if opcode.is_control() {
            self.is_control_given = true;
            return Ok(Some(Found::Frame(opcode, Place::Control)));
        }
        if !header.fin {
            self.fragmented = kind;
            return Ok(None);
        }
        self.fragmented = None;
        self.is_msg_given = true;
        Ok(kind.map(|kind| Found::Message(kind, Place::Msg)))
    }
}

/// Ends the connection; an open one tells the peer why.
fn fail(state: &mut State, mask_state: &mut u64, fault: WsFault, out: &mut Vec<u8>) -> WsFault {
    if let (State::Open, Some(code)) = (*state, fault.close_code()) {
        write_frame(
            Opcode::Close,
            next_key(mask_state),
            &code.to_be_bytes(),
            out,
        );
    }
    if *state != State::New {
        *state = State::Closed;
    }
    fault
}

/// The next masking key: xorshift64* (Vigna 2016), its better half.
fn next_key(state: &mut u64) -> [u8; 4] {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    let [.., a, b, c, d] = state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
    [a, b, c, d]
}

/// A close frame's code and reason. Source: RFC 6455, 5.5.1 and 7.4; IANA's registry for 1012 to
/// 1014.
fn parse_close(payload: &[u8]) -> Result<(u16, &str), WsFault> {
    /// "No code was given": never on the wire.
    const NO_CODE: u16 = 1005;
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() {
            Ok((NO_CODE, ""))
        } else {
            Err(WsFault::CloseCode)
        };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(WsFault::CloseCode);
    }
    let reason = core::str::from_utf8(reason).map_err(|_| WsFault::Utf8)?;
    Ok((code, reason))
}
