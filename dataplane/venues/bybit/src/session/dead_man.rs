//! What ends our orders: cancel-all, and the venue's dead man's switch (DCP).
//!
//! ```text
//! LoggedIn ─▶ query-dcp-info ─ON─▶ private link: subscribe dcp.X, ping ─▶ set its window ─▶ armed
//!                            └──▶ the account has none: nothing more until the next login
//! ```
//! The switch is the connection itself: it starts when the last private link that subscribed it is gone, and a new
//! one with a ping within the window stops it. Nothing has to be pushed back while the link lives; its pings go out
//! every 20 s. Accounts without it (all but institutional ones) are answered with an empty list.

use super::{ANSWER_WAIT_NS, RETRY_NS, Session};
use crate::LINK_PRIVATE;
use crate::feed::{at, count, text};
use crate::limits::RestPool;
use crate::rest::{self, Ask};
use crate::symbols::{Category, wire_name};
use dp_types::{Instrument, Now};
use dp_venue_api::{DecodeError, Event, Sink};
use dp_wire::json::Value;

/// How long the private link may be gone before the venue cancels our orders, seconds. The venue takes 3 to 300.
pub const DEAD_MAN_WINDOW_S: u32 = 20;
const _: () = assert!(DEAD_MAN_WINDOW_S >= 3 && DEAD_MAN_WINDOW_S <= 300);

/// After how many seconds without traffic the venue is to cut the private link: two of our pings. A process that
/// hangs keeps its sockets, and the switch runs only once they are gone; left alone the venue waits ten minutes. It
/// takes 30 to 600.
pub(super) const PRIVATE_ACTIVE_S: u64 = 40;
const _: () = assert!(PRIVATE_ACTIVE_S >= 30 && PRIVATE_ACTIVE_S <= 600);
const _: () = assert!(PRIVATE_ACTIVE_S * 1_000_000_000 >= 2 * super::link::PING_EVERY_NS);

/// The venue's names for the switch of a category: in its API, and as a topic. The first must be named: it has a
/// default, and that is options.
const fn product(category: Category) -> (&'static str, &'static [u8]) {
    match category {
        Category::Spot => (
            "SPOT",
            br#"{"req_id":"d","op":"subscribe","args":["dcp.spot"]}"#,
        ),
        Category::Linear | Category::Inverse => (
            "DERIVATIVES",
            br#"{"req_id":"d","op":"subscribe","args":["dcp.future"]}"#,
        ),
        Category::Option => (
            "OPTIONS",
            br#"{"req_id":"d","op":"subscribe","args":["dcp.option"]}"#,
        ),
    }
}

impl Session {
    pub(super) fn ask_dead_man(&mut self, now: Now, out: &mut impl Sink) {
        let Some(auth) = self.auth.as_ref().filter(|_| self.private.is_ready) else {
            self.dead_man_at = None;
            return;
        };
        if !self.limits.rest(now.unix, RestPool::Query) {
            self.dead_man_at = Some(now.unix.after(RETRY_NS));
            return;
        }
        self.dead_man_at = Some(now.unix.after(ANSWER_WAIT_NS));
        let target = "/v5/account/query-dcp-info";
        rest::signed(auth, Ask::DeadManInfo, target, "", now, out);
    }

    /// What the account has: subscribes the switch, and sets its window where it is another.
    pub(super) fn on_dead_man_info(
        &mut self,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let (product, subscription) = product(self.category());
        let result = root.field("result").map_err(at("result"))?;
        let mut infos = result.array("dcpInfos").map_err(at("dcpInfos"))?;
        let own = infos.find(|info| text(*info, "product") == product);
        let Some(info) = own.filter(|info| text(*info, "dcpStatus") == "ON") else {
            self.dead_man_at = None;
            out.event(&Event::Ignored("the account has no dead man's switch"));
            return Ok(());
        };
        let window_s = count(info, "timeWindow")?;
        let Some(auth) = self.auth.as_ref().filter(|_| self.private.is_ready) else {
            self.dead_man_at = None;
            return Ok(());
        };
        out.send_text(LINK_PRIVATE, subscription);
        self.private.ping(LINK_PRIVATE, now, out);
        if window_s == u64::from(DEAD_MAN_WINDOW_S) {
            self.dead_man_at = None;
            out.event(&Event::Ignored("dead man's switch armed"));
            return Ok(());
        }
        if !self.limits.rest(now.unix, RestPool::Query) {
            self.dead_man_at = Some(now.unix.after(RETRY_NS));
            return Ok(());
        }
        self.dead_man_at = Some(now.unix.after(ANSWER_WAIT_NS));
        let target = "/v5/order/disconnected-cancel-all";
        let body = format!(r#"{{"product":"{product}","timeWindow":{DEAD_MAN_WINDOW_S}}}"#);
        rest::signed(auth, Ask::DeadManWindow, target, &body, now, out);
        Ok(())
    }

    /// An answer did not come, or was none: from the start, in a while.
    pub(super) fn dead_man_failed(&mut self, now: Now) {
        let soon = now.unix.after(RETRY_NS);
        self.dead_man_at = self.dead_man_at.map(|at| at.min(soon));
    }

    /// Cancels every order of an instrument by the venue's own request. `false` when nothing was sent: no link, or
    /// its limit is used up.
    pub(crate) fn ask_cancel_all(
        &mut self,
        known: &Instrument,
        now: Now,
        out: &mut impl Sink,
    ) -> bool {
        let Some(auth) = self.auth.as_ref().filter(|_| self.is_rest_open) else {
            return false;
        };
        if !self.limits.rest(now.unix, RestPool::CancelAll) {
            return false;
        }
        let category = Category::of(known.symbol.as_str());
        let body = format!(
            r#"{{"category":"{}","symbol":"{}"}}"#,
            category.as_str(),
            wire_name(known.symbol.as_str())
        );
        let target = "/v5/order/cancel-all";
        rest::signed(auth, Ask::CancelAll(known.id), target, &body, now, out);
        true
    }
}
