//! A FIX session: logon, heartbeats, sequence numbers, gaps, resends, logout; either side of it.
//!
//! ```text
//!   start ─▶ Logon ─▶ LoggedOn ⇄ application messages, Heartbeat, TestRequest ─▶ Logout ─▶ LoggedOut
//!                       │ a number too high: ResendRequest, and nothing later counts until the gap is filled
//!                       │ a number too low, not a possible duplicate: Logout, and a person must look
//! ```
//!
//! Sans-IO: [`FixSession::feed`] takes bytes, [`FixSession::next`] gives one event at a time until `None`, what the
//! session wants sent is appended to `out`, and time is given. An error ends the connection; what `out` holds then
//! (a Logout that says why) is still to be sent.
//!
//! **What is sent again.** Whoever trades answers a ResendRequest with one gap fill: an order that was lost is asked
//! about, never sent again. A venue ([`Resend::Replay`]) sends its application messages again, marked as possible
//! duplicates. Numbers outlive a connection: [`FixSession::numbers`] is to be kept, and given to the next session.
//!
//! Source: FIX 4.4 volume 2 ("session protocol", and appendix 2-A, the state matrix); FIXT 1.1; venue pages.

mod gap;
mod refused;
mod state;

pub use gap::Resend;

use crate::fix::state::State;
use dp_types::UnixNanos;
use dp_wire::fix::{Frame, Garbled, MESSAGE_MAX, Message, frame};
pub use dp_wire::fix::{LogonFacts, LogonFields, OUT_MAX, Out};

/// A refusal that is no message of the session (BusinessMessageReject), and may tell a number all the same.
const BUSINESS_REJECT: &[u8] = b"j";
/// Bytes held of a message that is not whole.
const HELD_MAX: usize = MESSAGE_MAX + 64;

/// Which side this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Connects and logs on first.
    Initiator,
    /// Waits for the other's logon.
    Acceptor,
}

/// The sequence numbers of a session: of the next message in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Expected from the peer.
    pub next_in: u64,
    /// Ours.
    pub next_out: u64,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            next_in: 1,
            next_out: 1,
        }
    }
}

/// What a session is about.
pub struct FixConfig {
    /// Which side this is.
    pub role: Role,
    /// `FIX.4.4`, `FIXT.1.1`.
    pub version: String,
    /// Default application version (1137), for FIXT: `9`.
    pub appl_version: Option<String>,
    /// Our name (49).
    pub sender: String,
    /// The peer's name (56).
    pub target: String,
    /// Heartbeat interval (108), seconds; an acceptor takes the initiator's.
    pub heartbeat_s: u32,
    /// Both numbers begin at 1 with every logon (141=Y).
    pub resets: bool,
    /// How far the peer's sending time (52) may be from ours, seconds; 0 = any.
    pub clock_skew_s: u32,
    /// What a ResendRequest is answered with.
    pub resend: Resend,
    /// More fields of the logon.
    pub logon_fields: Option<LogonFields>,
}

impl core::fmt::Debug for FixConfig {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "FixConfig({} {} -> {})",
            self.version, self.sender, self.target
        )
    }
}

/// What came of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum FixEvent<'a> {
    /// Both have logged on.
    LoggedOn,
    /// An application message, in order, each number once.
    App(Message<'a>),
    /// The peer could not take one of ours (Reject, 3): why is in it, and which ([`Message::refused`]).
    Rejected(Message<'a>),
    /// Bytes that are no message were passed over; the numbers will tell what is missing.
    Garbled(Garbled),
    /// A message is missing and was asked for: this number and all after it.
    Gap(u64),
    /// The session ended in good order.
    LoggedOut,
}

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FixFault {
    /// The first message was no logon, or the answer to ours was a logout.
    #[error("logon refused: {0}")]
    Refused(String),
    /// A number below the one expected, and not a possible duplicate.
    #[error("message {got} where {expected} was expected: a person must look")]
    TooLow {
        /// The next number of the peer.
        expected: u64,
        /// What came.
        got: u64,
    },
    /// Another version, other names, a clock too far off, no number.
    #[error("the peer's {0} is not what was agreed")]
    Disagreed(&'static str),
    /// Nothing came for longer than the interval, nor an answer to a test request.
    #[error("silent for two heartbeats")]
    Silent,
    /// No logon, or no answer to a logout, in time.
    #[error("no {0} in time")]
    Late(&'static str),
    /// A message longer than [`MESSAGE_MAX`].
    #[error("a message is over its maximum")]
    TooLong,
}

/// One session over one connection.
#[derive(Debug)]
pub struct FixSession {
    held: Vec<u8>,
    /// Bytes of `held` that are done with.
    at: usize,
    state: State,
}

impl FixSession {
    /// A session that goes on from these numbers. Takes its memory here.
    pub fn new(config: FixConfig, numbers: Numbers) -> Self {
        Self {
            held: Vec::with_capacity(64 << 10),
            at: 0,
            state: State::new(config, numbers),
        }
    }

    /// The connection is there: an initiator logs on.
    pub fn start(&mut self, now: UnixNanos, out: &mut Vec<u8>) {
        self.held.clear();
        self.at = 0;
        self.state.start(now, out);
    }

    /// Takes bytes of the peer. Errors: [`FixFault::TooLong`].
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), FixFault> {
        self.held.drain(..self.at);
        self.at = 0;
        if self.held.len() > HELD_MAX {
            return Err(FixFault::TooLong);
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    /// The next event of what was fed; `None` when more is needed.
    ///
    /// Errors: the session is over; `out` may hold a logout to send before the connection is closed.
    pub fn next(
        &mut self,
        now: UnixNanos,
        out: &mut Vec<u8>,
    ) -> Result<Option<FixEvent<'_>>, FixFault> {
        let Self { held, at, state } = self;
        loop {
            let rest = held.get(*at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(None);
            }
            match frame(rest) {
                Frame::More if rest.len() > HELD_MAX => return Err(FixFault::TooLong),
                Frame::More => return Ok(None),
                Frame::Garbled(why, used) => {
                    *at += used;
                    return Ok(Some(FixEvent::Garbled(why)));
                }
                Frame::Message(message, used) => {
                    *at += used;
                    if let Some(event) = state.on_message(message, now, out)? {
                        return Ok(Some(match event {
                            FixEvent::Rejected(message) => {
                                FixEvent::Rejected(state.heads.named(message))
                            }
                            FixEvent::App(message) if message.kind() == BUSINESS_REJECT => {
                                FixEvent::App(state.heads.named(message))
                            }
                            event => event,
                        }));
                    }
                }
            }
        }
    }

    /// Writes an application message. Returns its number; `None` when the session is not logged on or the message
    /// does not fit: nothing was written then.
    pub fn send(
        &mut self,
        kind: &[u8],
        now: UnixNanos,
        out: &mut Vec<u8>,
        fields: impl FnOnce(&mut Out),
    ) -> Option<u64> {
        self.state.send_app(kind, now, out, fields)
    }

    /// The connection is gone: nothing is said or due until the next [`FixSession::start`].
    pub const fn on_closed(&mut self) {
        self.state.on_closed();
    }

    /// Begins the end: a logout, whose answer is [`FixEvent::LoggedOut`].
    pub fn log_out(&mut self, text: &str, now: UnixNanos, out: &mut Vec<u8>) {
        self.state.log_out(text, now, out);
    }

    /// When [`FixSession::on_deadline`] next has work.
    pub fn next_deadline(&self) -> Option<UnixNanos> {
        self.state.next_deadline()
    }

    /// Heartbeats, test requests, and what is late. Errors: the session is over.
    pub fn on_deadline(&mut self, now: UnixNanos, out: &mut Vec<u8>) -> Result<(), FixFault> {
        self.state.on_deadline(now, out)
    }

    /// The numbers to go on from; to be kept before what was written is sent.
    pub const fn numbers(&self) -> Numbers {
        self.state.numbers
    }

    /// Goes on from other numbers: between two connections, where a venue's day ends.
    pub const fn set_numbers(&mut self, numbers: Numbers) {
        self.state.numbers = numbers;
    }

    /// Whether both have logged on and nobody out.
    pub fn is_logged_on(&self) -> bool {
        self.state.is_up()
    }
}
