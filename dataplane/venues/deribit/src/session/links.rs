//! One WebSocket link from its opening on: heartbeats, login, renewal, and what of it is not confirmed yet.

use super::{HEARTBEAT_S, READY_WAIT_NS, RETRY_NS, SECOND_NS, Session, is_due, min_of};
use crate::auth::LOGIN_MAX;
use crate::entry::push_head;
use crate::symbols::push_u64;
use crate::{LINK_ORDERS, reject};
use dp_types::{LinkId, Now, RejectReason, UnixNanos};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::buf::Buf;
use dp_wire::json::Value;

/// A login is renewed when so many quarters of its time are over.
const RENEW_QUARTERS: u64 = 3;
/// The shortest and the longest life of a login we believe, seconds.
const LIFE_S_MIN: u64 = 20;
const LIFE_S_MAX: u64 = 7 * 86_400;

/// What is asked of a link and not confirmed yet, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Waits(u8);

impl Waits {
    pub(super) const HEARTBEAT: Self = Self(1);
    pub(super) const LOGIN: Self = Self(2);
    pub(super) const ON_DISCONNECT: Self = Self(4);
    pub(super) const SUBSCRIBE: Self = Self(8);

    pub(super) const fn add(&mut self, what: Self) {
        self.0 |= what.0;
    }

    pub(super) const fn done(&mut self, what: Self) {
        self.0 &= !what.0;
    }

    pub(super) const fn has(self, what: Self) -> bool {
        self.0 & what.0 != 0
    }

    pub(super) const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// One WebSocket link.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WsLink {
    pub(super) is_open: bool,
    /// Everything was confirmed once.
    pub(super) is_ready: bool,
    /// Logged in: every change may be subscribed.
    pub(super) is_logged_in: bool,
    pub(super) waits: Waits,
    /// When to greet: at once, or when the venue takes requests again.
    greet_at: Option<UnixNanos>,
    /// When to subscribe.
    pub(super) subscribe_at: Option<UnixNanos>,
    /// It will be as soon as the instruments are known.
    pub(super) waits_for_rules: bool,
    /// When to log in again.
    renew_at: Option<UnixNanos>,
    /// Until when all that is asked must be confirmed.
    pub(super) ready_by: Option<UnixNanos>,
    /// Subscribe messages without an answer, and channels that answers did not name.
    pub(super) answers_missing: u32,
    pub(super) channels_missing: usize,
}

impl WsLink {
    pub(super) fn opened(now: Now) -> Self {
        Self {
            is_open: true,
            greet_at: Some(now.unix),
            ..Self::default()
        }
    }

    pub(super) fn deadline(&self) -> Option<UnixNanos> {
        min_of([
            self.greet_at,
            self.subscribe_at,
            self.renew_at,
            self.ready_by,
        ])
    }

    /// Something was asked that must be confirmed.
    pub(super) fn wait_for(&mut self, what: Waits, now: Now) {
        self.waits.add(what);
        self.ready_by = Some(now.unix.after(READY_WAIT_NS));
    }
}

impl Session {
    pub(super) fn web_socket(&mut self, link: LinkId) -> &mut WsLink {
        if link == LINK_ORDERS {
            &mut self.orders
        } else {
            &mut self.md
        }
    }

    /// The link is of no use any more.
    pub(super) fn give_up(&mut self, link: LinkId, why: &'static str, out: &mut impl Sink) {
        *self.web_socket(link) = WsLink::default();
        out.reconnect(link, why);
    }

    /// Does what is due on a link.
    pub(super) fn link_due(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        out: &mut impl Sink,
    ) {
        let ws = *self.web_socket(link);
        if !ws.is_open {
            return;
        }
        if is_due(ws.ready_by, now) {
            self.give_up(link, "what was asked is not confirmed in time", out);
            return;
        }
        if is_due(ws.greet_at, now) {
            self.greet(link, now, out);
        }
        if is_due(ws.renew_at, now) {
            self.web_socket(link).renew_at = None;
            self.login(link, now, out);
        }
        if is_due(self.web_socket(link).subscribe_at, now) {
            self.subscribe(registry, link, now, out);
        }
    }

    /// The first words on a link: heartbeats please, and a login where there are keys. Not while the venue has
    /// stopped us: it would end the session again.
    fn greet(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        let has_keys = self.auth.is_some();
        if !self.limits.upkeep(now.unix) {
            let again = now.unix.after(RETRY_NS).max(self.limits.stopped_until());
            self.web_socket(link).greet_at = Some(again);
            return;
        }
        let text = &mut self.message;
        text.clear();
        push_head(text, "h", None, None, "public/set_heartbeat");
        text.extend_from_slice(br#""interval":"#);
        push_u64(HEARTBEAT_S, text);
        text.extend_from_slice(b"}}");
        out.send_text(link, text);
        let ws = self.web_socket(link);
        ws.greet_at = None;
        ws.wait_for(Waits::HEARTBEAT, now);
        if has_keys {
            self.login(link, now, out);
        } else {
            self.web_socket(link).subscribe_at = Some(now.unix);
        }
    }

    /// Logs in, or in again.
    fn login(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        let Some(auth) = &self.auth else {
            return;
        };
        if !self.limits.upkeep(now.unix) {
            let again = now.unix.after(RETRY_NS).max(self.limits.stopped_until());
            let ws = self.web_socket(link);
            ws.renew_at = Some(again);
            ws.ready_by = ws.ready_by.map(|_| again.after(READY_WAIT_NS));
            return;
        }
        let nonce = self.nonces.next(link, now);
        let mut login = Buf::<LOGIN_MAX>::new();
        let is_written = auth
            .write_login("l", now.unix.millis(), &nonce, &mut login)
            .is_ok();
        if !is_written {
            out.event(&Event::Control(Control::LoginRefused(RejectReason::Auth)));
            self.md.subscribe_at = self.md.is_open.then_some(now.unix);
            return;
        }
        self.web_socket(link).wait_for(Waits::LOGIN, now);
        out.send_text(link, login.as_bytes());
    }

    /// The answer to a login, which `code` says was refused or not.
    pub(super) fn on_login(
        &mut self,
        link: LinkId,
        code: i32,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let ws = self.web_socket(link);
        if !ws.waits.has(Waits::LOGIN) {
            out.event(&Event::Ignored("an answer we did not ask for"));
            return Ok(());
        }
        if code != 0 {
            self.refuse_login(link, code, now, out);
            return Ok(());
        }
        let result = root.get("result").ok_or(DecodeError::Field("result"))?;
        let life_s = result
            .get("expires_in")
            .and_then(Value::as_u64)
            .ok_or(DecodeError::Field("expires_in"))?
            .clamp(LIFE_S_MIN, LIFE_S_MAX);
        ws.waits.done(Waits::LOGIN);
        ws.is_logged_in = true;
        ws.renew_at = Some(now.unix.after(life_s * SECOND_NS / 4 * RENEW_QUARTERS));
        if !ws.is_ready {
            ws.subscribe_at = Some(now.unix);
        }
        if link == LINK_ORDERS {
            self.ask_cancel_on_disconnect(now, out);
        }
        out.event(&Event::Ignored("login accepted"));
        self.confirmed(link, out);
        Ok(())
    }

    /// Without a login there are no orders; market data goes on with the channels that are told to everyone.
    fn refuse_login(&mut self, link: LinkId, code: i32, now: Now, out: &mut impl Sink) {
        if link == LINK_ORDERS {
            let reason = reject::reason(code);
            out.event(&Event::Control(Control::LoginRefused(reason)));
            self.give_up(link, "login refused", out);
            return;
        }
        let ws = self.web_socket(link);
        ws.waits.done(Waits::LOGIN);
        if ws.is_logged_in {
            self.give_up(link, "login refused", out);
            return;
        }
        ws.subscribe_at = Some(now.unix);
        out.event(&Event::Ignored("login refused: books of every 100 ms"));
    }

    /// Asks that our orders be cancelled when this connection ends. Belongs to a login, and is counted with it: no
    /// order leaves before it is confirmed.
    fn ask_cancel_on_disconnect(&mut self, now: Now, out: &mut impl Sink) {
        self.limits.test(now.unix);
        let text = &mut self.message;
        text.clear();
        push_head(text, "d", None, None, "private/enable_cancel_on_disconnect");
        text.extend_from_slice(br#""scope":"connection"}}"#);
        out.send_text(LINK_ORDERS, text);
        self.orders.wait_for(Waits::ON_DISCONNECT, now);
    }

    /// The venue wants proof of life: at once, whatever the pools hold.
    pub(super) fn prove_life(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        const TEST: &[u8] = br#"{"jsonrpc":"2.0","id":"t","method":"public/test","params":{}}"#;
        self.limits.test(now.unix);
        out.send_text(link, TEST);
    }

    /// Something was confirmed: when all is, the link is ready.
    pub(super) fn confirmed(&mut self, link: LinkId, out: &mut impl Sink) {
        let ws = self.web_socket(link);
        if !ws.waits.is_none() {
            return;
        }
        ws.ready_by = None;
        let is_login_to_come = !ws.is_logged_in && (ws.renew_at.is_some() || link == LINK_ORDERS);
        let is_more_to_come = ws.subscribe_at.is_some() || ws.waits_for_rules || is_login_to_come;
        if ws.is_ready || is_more_to_come {
            return;
        }
        ws.is_ready = true;
        if link != LINK_ORDERS && self.books.iter().any(|book| book.is_wanted) {
            self.snapshots_at = Some(UnixNanos(0)); // lost before the last confirmation
        }
        out.event(&Event::Control(if link == LINK_ORDERS {
            Control::LoggedIn(link)
        } else {
            Control::Subscribed(link)
        }));
    }
}
