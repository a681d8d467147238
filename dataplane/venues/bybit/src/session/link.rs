//! One WebSocket link: whether it is ready, its pings, its silence.

use dp_types::{LinkId, Now, UnixNanos};
use dp_venue_api::Sink;

const SECOND_NS: u64 = 1_000_000_000;
/// How often the venue wants to hear of us on each link.
pub(super) const PING_EVERY_NS: u64 = 20 * SECOND_NS;
/// How long anything may take to come after a ping.
pub(super) const PONG_WAIT_NS: u64 = 8 * SECOND_NS;
/// How long login and subscriptions may take together.
pub(super) const READY_WAIT_NS: u64 = 10 * SECOND_NS;
/// Silence after which a link counts as dead: a ping, its wait, and some more.
pub(super) const SILENCE_NS_MAX: u64 = PING_EVERY_NS + PONG_WAIT_NS + 2 * SECOND_NS;

const PING: &[u8] = br#"{"op":"ping"}"#;

/// The state of a link.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WsLink {
    pub(super) is_open: bool,
    /// All subscriptions confirmed, or logged in.
    pub(super) is_ready: bool,
    pub(super) ready_by: Option<UnixNanos>,
    /// Confirmations of subscriptions that are still to come.
    pub(super) acks_missing: u32,
    ping_at: UnixNanos,
    pinged: Option<UnixNanos>,
}

impl WsLink {
    pub(super) fn opened(now: Now) -> Self {
        Self {
            is_open: true,
            ready_by: Some(now.unix.after(READY_WAIT_NS)),
            ping_at: now.unix.after(PING_EVERY_NS),
            ..Self::default()
        }
    }

    /// Something came.
    pub(super) fn heard(&mut self) {
        self.pinged = None;
    }

    /// Login or subscriptions are confirmed.
    pub(super) fn ready(&mut self) {
        self.is_ready = true;
        self.ready_by = None;
    }

    pub(super) fn deadline(&self) -> Option<UnixNanos> {
        let pong_by = self.pinged.map(|at| at.after(PONG_WAIT_NS));
        let all = [self.ready_by, pong_by, Some(self.ping_at)];
        all.into_iter().flatten().min().filter(|_| self.is_open)
    }

    /// Pings, whatever else goes over the link: the venue asks for it, and its dead man's switch counts on it.
    pub(super) fn ping(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        self.ping_at = now.unix.after(PING_EVERY_NS);
        self.pinged = self.pinged.or(Some(now.unix));
        out.send_text(link, PING);
    }

    pub(super) fn on_deadline(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        if !self.is_open {
            return;
        }
        let is_over = |at: Option<UnixNanos>| at.is_some_and(|at| at <= now.unix);
        if is_over(self.ready_by) {
            *self = Self::default();
            out.reconnect(link, "login or subscription was not confirmed in time");
        } else if is_over(self.pinged.map(|at| at.after(PONG_WAIT_NS))) {
            *self = Self::default();
            out.reconnect(link, "no pong");
        } else if self.ping_at <= now.unix {
            self.ping(link, now, out);
        }
    }
}
