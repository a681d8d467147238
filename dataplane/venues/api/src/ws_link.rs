//! One WebSocket link as a venue's session sees it: whether it is ready, and whether it still lives.
//!
//! ```text
//! opened ─▶ (ready_by) subscriptions, login confirmed ─▶ ready
//! silence of ping_after ─▶ ping ─▶ anything at all ─▶ heard
//!                             └──▶ nothing for pong_wait ─▶ given up, as what is not ready in time
//! ```
//! A half-open TCP connection says nothing and has no end: only what is not answered shows it.

use crate::Sink;
use dp_types::{LinkId, Now, UnixNanos};

/// How long a link may be silent, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until it is pinged.
    pub ping_after_ns: u64,
    /// From there until it is given up.
    pub pong_wait_ns: u64,
}

/// What time asks of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// A ping, which counts as sent.
    Ping,
    /// It is given up, with what people are told; nothing is awaited of it any more.
    GiveUp(&'static str),
}

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub struct WsLink {
    /// There is a connection.
    pub is_open: bool,
    /// All subscriptions are confirmed, or the login is.
    pub is_ready: bool,
    /// Until when that may take.
    pub ready_by: Option<UnixNanos>,
    /// Confirmations not in yet.
    pub acks_missing: u32,
    heard: UnixNanos,
    pinged: Option<UnixNanos>,
}

impl WsLink {
    /// A connection made now, to be ready by then.
    pub fn opened(now: Now, ready_by: Option<UnixNanos>) -> Self {
        Self {
            is_open: true,
            ready_by,
            heard: now.unix,
            ..Self::default()
        }
    }

    /// Something came in, whatever it is.
    #[inline]
    pub const fn heard(&mut self, now: Now) {
        self.heard = now.unix;
        self.pinged = None;
    }

    /// When [`WsLink::due`] has something to say, if nothing comes in before.
    pub fn deadline(&self, patience: Patience) -> Option<UnixNanos> {
        if !self.is_open {
            return None;
        }
        let idle = match self.pinged {
            Some(at) => at.after(patience.pong_wait_ns),
            None => self.heard.after(patience.ping_after_ns),
        };
        Some(self.ready_by.map_or(idle, |ready_by| ready_by.min(idle)))
    }

    /// What is due at `now`.
    pub fn due(&mut self, patience: Patience, now: Now) -> Due {
        let is_late = self.deadline(patience).is_some_and(|at| at <= now.unix);
        if !is_late {
            return Due::Nothing;
        }
        let why = match self.pinged {
            _ if self.ready_by.is_some_and(|at| at <= now.unix) => {
                "login or subscription was not confirmed in time"
            }
            Some(_) => "no pong",
            None => {
                self.pinged = Some(now.unix);
                return Due::Ping;
            }
        };
        *self = Self::default();
        Due::GiveUp(why)
    }

    /// Does what is due, with this ping.
    pub fn on_deadline(
        &mut self,
        patience: Patience,
        (link, ping): (LinkId, &[u8]),
        now: Now,
        out: &mut impl Sink,
    ) {
        match self.due(patience, now) {
            Due::Nothing => {}
            Due::Ping => out.send_text(link, ping),
            Due::GiveUp(why) => out.reconnect(link, why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        ping_after_ns: 20,
        pong_wait_ns: 8,
    };

    fn at(ns: u64) -> Now {
        Now {
            unix: UnixNanos(ns),
            ..Now::default()
        }
    }

    #[test]
    fn silence_is_pinged_once_and_then_given_up() {
        let mut link = WsLink::opened(at(100), None);
        assert_eq!(link.deadline(PATIENCE), Some(UnixNanos(120)));
        assert_eq!(link.due(PATIENCE, at(119)), Due::Nothing);
        assert_eq!(link.due(PATIENCE, at(120)), Due::Ping);
        assert_eq!(link.due(PATIENCE, at(127)), Due::Nothing);
        assert_eq!(link.deadline(PATIENCE), Some(UnixNanos(128)));
        assert_eq!(link.due(PATIENCE, at(128)), Due::GiveUp("no pong"));
        assert!(!link.is_open);
        assert_eq!(link.deadline(PATIENCE), None);
        assert_eq!(link.due(PATIENCE, at(1_000)), Due::Nothing);
    }

    #[test]
    fn whatever_comes_in_is_a_sign_of_life() {
        let mut link = WsLink::opened(at(100), None);
        assert_eq!(link.due(PATIENCE, at(125)), Due::Ping);
        link.heard(at(130));
        assert_eq!(link.due(PATIENCE, at(140)), Due::Nothing);
        assert_eq!(link.due(PATIENCE, at(150)), Due::Ping);
    }

    #[test]
    fn what_is_not_ready_in_time_is_given_up_though_it_speaks() {
        let mut link = WsLink::opened(at(100), Some(UnixNanos(115)));
        link.heard(at(114));
        assert_eq!(link.deadline(PATIENCE), Some(UnixNanos(115)));
        let due = link.due(PATIENCE, at(115));
        assert!(matches!(due, Due::GiveUp(why) if why.contains("not confirmed")));
        let mut ready = WsLink::opened(at(100), Some(UnixNanos(115)));
        (ready.is_ready, ready.ready_by) = (true, None);
        assert_eq!(ready.due(PATIENCE, at(115)), Due::Nothing);
    }
}
