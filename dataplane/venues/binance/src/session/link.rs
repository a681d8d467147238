//! One WebSocket link: what it waits for, and when it is replaced.

use dp_types::{LinkId, Now, UnixNanos};
use dp_venue_api::{Control, Event, Sink};

/// One WebSocket link.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WsLink {
    pub(super) is_open: bool,
    /// Logged on with the user stream running (orders).
    pub(super) is_ready: bool,
    pub(super) ready_by: Option<UnixNanos>,
    /// When to try the logon again that a limit held back.
    pub(super) retry_at: Option<UnixNanos>,
    pub(super) replace_at: Option<UnixNanos>,
}

impl WsLink {
    pub(super) fn opened(now: Now, life_ns: u64) -> Self {
        Self {
            is_open: true,
            replace_at: Some(now.unix.after(life_ns)),
            ..Self::default()
        }
    }

    pub(super) fn on_deadline(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        let is_due = |at: Option<UnixNanos>| at.is_some_and(|at| at <= now.unix);
        let why = if is_due(self.replace_at) {
            out.event(&Event::Control(Control::ClosingSoon(link)));
            "replaced before the venue's 24 h end"
        } else if is_due(self.ready_by) {
            "logon or user stream was not confirmed in time"
        } else {
            return;
        };
        *self = Self::default();
        out.reconnect(link, why);
    }
}
