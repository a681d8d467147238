//! The user stream: a listen key opens it, is kept alive, and ends.
//!
//! ```text
//! no key ─ POST ─▶ key ─▶ connect ─▶ open        every 30 min PUT, or the key ends after 60
//!    ▲                                 │  refused PUT, listenKeyExpired, the link's end: a key is asked for anew
//!    └─────────────────────────────────┘
//! ```
//! The venue pings every 3 min only, and a stream that is half open tells no fill. So a request that was taken is a
//! promise: what became of it must be told here within [`SPEAK_NS`], or the stream is replaced.
//! Source: venue page, section 9, read 2026-11-22.

use crate::session::{ANSWER_WAIT_NS, RETRY_NS, SECOND_NS};
use dp_types::{Now, UnixNanos};
use dp_venue_api::DecodeError;
use dp_wire::json::Value;

/// How often the key is kept alive: it lives twice as long.
const KEEP_ALIVE_NS: u64 = 30 * 60 * SECOND_NS;
/// Before the venue's 24 h end, and not with another link.
const LIFE_NS: u64 = (23 * 60 + 30) * 60 * SECOND_NS;
/// How long the stream may say nothing after a request was taken.
const SPEAK_NS: u64 = 5 * SECOND_NS;
/// Pause before a refused key is asked for again: the reason is ours, and does not pass by itself.
const REFUSED_NS: u64 = 10 * SECOND_NS;
/// Longest listen key: the venue's have 64 characters.
const KEY_MAX: usize = 128;

/// The stream and its key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    pub(crate) is_open: bool,
    has_key: bool,
    /// When the key is asked for, or kept alive.
    pub(crate) at: UnixNanos,
    replace_at: Option<UnixNanos>,
    /// By when it must have told of a request that was taken.
    speak_by: Option<UnixNanos>,
    /// When it last said something.
    heard_at: UnixNanos,
}

impl Default for User {
    fn default() -> Self {
        Self {
            is_open: false,
            has_key: false,
            at: UnixNanos(0),
            replace_at: None,
            speak_by: None,
            heard_at: UnixNanos(0),
        }
    }
}

impl User {
    /// Whether a key is asked for; else one is kept alive.
    pub(crate) const fn wants_key(&self) -> bool {
        !self.has_key
    }

    /// It is being asked for or kept alive.
    pub(crate) fn asked(&mut self, now: Now) {
        self.at = now.unix.after(ANSWER_WAIT_NS);
    }

    /// There was no room, or no answer.
    pub(crate) fn failed(&mut self, now: Now) {
        self.at = now.unix.after(RETRY_NS);
    }

    /// A key came: it is to be opened.
    pub(crate) fn keyed(&mut self, now: Now) {
        self.has_key = true;
        self.at = now.unix.after(KEEP_ALIVE_NS);
    }

    /// The venue would not give one.
    pub(crate) fn refused(&mut self, now: Now) {
        self.at = now.unix.after(REFUSED_NS);
    }

    /// The key is worth nothing any more. Whether a link must go first: its end asks for another.
    pub(crate) fn expired(&mut self, now: Now) -> bool {
        if !self.is_open {
            self.closed(now);
        }
        self.is_open
    }

    /// The stream is open.
    pub(crate) fn opened(&mut self, now: Now) {
        self.is_open = true;
        self.replace_at = Some(now.unix.after(LIFE_NS));
        self.speak_by = None;
    }

    /// The stream is gone: a key is asked for at once, which is the same one while it lives.
    pub(crate) fn closed(&mut self, now: Now) {
        *self = Self {
            at: now.unix,
            ..Self::default()
        };
    }

    /// It said something.
    pub(crate) fn heard(&mut self, now: Now) {
        self.speak_by = None;
        self.heard_at = now.unix;
    }

    /// A request was taken: the stream will tell of it, unless it has just spoken. It may have told before the answer
    /// came, over another socket.
    pub(crate) fn owes(&mut self, now: Now) {
        let has_spoken = self.heard_at.after(SPEAK_NS) > now.unix;
        if self.is_open && self.speak_by.is_none() && !has_spoken {
            self.speak_by = Some(now.unix.after(SPEAK_NS));
        }
    }

    /// When the link is looked at.
    pub(crate) fn deadline(&self) -> Option<UnixNanos> {
        [self.replace_at, self.speak_by].into_iter().flatten().min()
    }

    /// Why the link is to be replaced now, if it is; whether it is the venue that would end it.
    pub(crate) fn over(&mut self, now: Now) -> Option<(&'static str, bool)> {
        let is_due = |at: Option<UnixNanos>| at.is_some_and(|at| at <= now.unix);
        let why = if is_due(self.speak_by) {
            ("the user stream does not tell of our orders", false)
        } else if is_due(self.replace_at) {
            ("replaced before the venue's 24 h end", true)
        } else {
            return None;
        };
        (self.replace_at, self.speak_by) = (None, None);
        Some(why)
    }
}

/// The target of the stream that this answer's key opens. Errors: no key, or one that is none: it goes into a path.
pub(crate) fn target(root: Value<'_>) -> Result<String, DecodeError> {
    let key = root.get("listenKey").and_then(Value::as_str).unwrap_or("");
    let is_key =
        (1..=KEY_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric());
    if is_key {
        Ok(format!("/private/ws/{key}"))
    } else {
        Err(DecodeError::Field("listenKey"))
    }
}
