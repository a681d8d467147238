//! The WebSocket links: what each needs before it may be opened, what makes it ready, and its pings.
//!
//! The venue counts only what we send: a link over which data streams all day is cut when its pings stop.

use super::{ANSWER_WAIT_NS, READY_WAIT_NS, RETRY_NS, SECOND_NS, min_of};
use crate::LINK_ORDERS;
use crate::auth::Auth;
use crate::rest::Token;
use crate::symbols::write_u64;
use dp_types::{LinkId, Now, UnixNanos};
use dp_venue_api::{Control, Event, Sink};

/// Bounds of what we believe of the venue's intervals: it drops links that ping more than once a second.
const PING_MS: core::ops::RangeInclusive<u64> = 2_000..=40_000;
/// Intervals until the venue has named its own.
const PING_MS_USUAL: u64 = 18_000;
const PONG_MS_USUAL: u64 = 10_000;
/// A token lives 24 h: a new one is asked for ten minutes before.
const TOKEN_LIFE_NS: u64 = (24 * 3_600 - 600) * SECOND_NS;
/// How often the order link's target is signed anew while it is not open: the venue takes a time that is 5 s
/// old, and the lane may wait before it connects.
const SIGN_AGAIN_NS: u64 = 2 * SECOND_NS;

/// One WebSocket that is open or not.
#[derive(Debug, Clone, Copy)]
struct Socket {
    is_open: bool,
    is_ready: bool,
    ready_by: Option<UnixNanos>,
    /// When to ping next; `None` before the welcome.
    ping_at: Option<UnixNanos>,
    /// Until when an answer to the last ping is waited for.
    pong_by: Option<UnixNanos>,
    ping_ns: u64,
    pong_ns: u64,
}

impl Socket {
    const fn new() -> Self {
        Self {
            is_open: false,
            is_ready: false,
            ready_by: None,
            ping_at: None,
            pong_by: None,
            ping_ns: PING_MS_USUAL * 1_000_000,
            pong_ns: PONG_MS_USUAL * 1_000_000,
        }
    }

    /// The venue's own intervals.
    fn keep(&mut self, ping_ms: u64, pong_ms: u64) {
        let within = |ms: u64| ms.clamp(*PING_MS.start(), *PING_MS.end()) * 1_000_000;
        (self.ping_ns, self.pong_ns) = (within(ping_ms), within(pong_ms));
    }

    fn opened(&mut self, now: Now) {
        *self = Self {
            is_open: true,
            ready_by: Some(now.unix.after(READY_WAIT_NS)),
            ping_ns: self.ping_ns,
            pong_ns: self.pong_ns,
            ..Self::new()
        };
    }

    fn closed(&mut self) {
        *self = Self {
            ping_ns: self.ping_ns,
            pong_ns: self.pong_ns,
            ..Self::new()
        };
    }

    fn welcomed(&mut self, now: Now) {
        self.ping_at = Some(now.unix.after(self.ping_ns));
    }

    fn ready(&mut self) {
        self.is_ready = true;
        self.ready_by = None;
    }

    fn deadline(&self) -> Option<UnixNanos> {
        min_of([self.ready_by, self.ping_at, self.pong_by]).filter(|_| self.is_open)
    }

    /// Says whether a ping is due now. A link that is late in anything is given up.
    fn on_deadline(&mut self, link: LinkId, now: Now, out: &mut impl Sink) -> bool {
        let is_past = |at: Option<UnixNanos>| at.is_some_and(|at| at <= now.unix);
        let why = if !self.is_open {
            return false;
        } else if is_past(self.ready_by) {
            "login or subscription was not confirmed in time"
        } else if is_past(self.pong_by) {
            "no pong"
        } else if is_past(self.ping_at) {
            self.ping_at = Some(now.unix.after(self.ping_ns));
            self.pong_by = self.pong_by.or(Some(now.unix.after(self.pong_ns)));
            return true;
        } else {
            return false;
        };
        self.closed();
        out.reconnect(link, why);
        false
    }
}

fn write_ping(head: &str, tail: &str, now: Now, message: &mut Vec<u8>) {
    message.clear();
    for part in [head, write_u64(now.unix.millis(), &mut [0; 20]), tail] {
        message.extend_from_slice(part.as_bytes());
    }
}

/// A link that needs a token: market data, or the user stream.
#[derive(Debug)]
pub(super) struct Stream {
    is_private: bool,
    socket: Socket,
    is_welcome: bool,
    acks_missing: u32,
    /// When a token is asked for (again); `None` while one is in use or waits to be.
    token_at: Option<UnixNanos>,
    /// A token that came while the one before was still in use.
    next: Option<Token>,
    /// When the token in use is near its end.
    renew_at: Option<UnixNanos>,
}

impl Stream {
    pub(super) fn new(is_private: bool, is_wanted: bool) -> Self {
        Self {
            is_private,
            socket: Socket::new(),
            is_welcome: false,
            acks_missing: 0,
            token_at: is_wanted.then_some(UnixNanos(0)),
            next: None,
            renew_at: None,
        }
    }

    pub(super) const fn is_ready(&self) -> bool {
        self.socket.is_ready
    }

    /// Open, welcome, and not subscribed yet.
    pub(super) const fn may_subscribe(&self) -> bool {
        self.is_welcome && !self.socket.is_ready && self.acks_missing == 0
    }

    pub(super) const fn token_at(&self) -> Option<UnixNanos> {
        self.token_at
    }

    /// A token was asked for.
    pub(super) fn token_asked(&mut self, now: Now) {
        self.token_at = Some(now.unix.after(ANSWER_WAIT_NS));
    }

    /// No token came: again from `at` on.
    pub(super) fn token_failed(&mut self, at: UnixNanos) {
        self.token_at = self.token_at.map(|_| at);
    }

    /// A token came. A link still open with an older one is closed and takes it up then.
    pub(super) fn take_token(&mut self, token: Token, link: LinkId, now: Now, out: &mut impl Sink) {
        if self.token_at.take().is_none() {
            return; // nobody waits for it
        }
        if self.socket.is_open {
            self.next = Some(token);
            out.event(&Event::Control(Control::ClosingSoon(link)));
            out.reconnect(link, "its token is near its end");
        } else {
            self.connect(&token, link, now, out);
        }
    }

    fn connect(&mut self, token: &Token, link: LinkId, now: Now, out: &mut impl Sink) {
        self.socket.keep(token.ping_ms, token.pong_ms);
        self.renew_at = Some(now.unix.after(TOKEN_LIFE_NS));
        let id = now.unix.millis();
        out.connect(link, &format!("{}&connectId=sl{}-{id}", token.path, link.0));
    }

    pub(super) fn opened(&mut self, now: Now) {
        self.socket.opened(now);
        (self.is_welcome, self.acks_missing) = (false, 0);
    }

    pub(super) fn closed(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        self.socket.closed();
        (self.is_welcome, self.acks_missing, self.renew_at) = (false, 0, None);
        match self.next.take() {
            Some(token) => self.connect(&token, link, now, out),
            None => self.token_at = self.token_at.or(Some(now.unix)),
        }
    }

    /// The venue's first word: we may speak. Returns whether it is news.
    pub(super) fn welcomed(&mut self, now: Now) -> bool {
        let is_news = self.socket.is_open && !self.is_welcome;
        if is_news {
            self.is_welcome = true;
            self.socket.welcomed(now);
        }
        is_news
    }

    /// Nothing can be subscribed yet: the clock runs from the subscription.
    pub(super) fn wait(&mut self) {
        self.socket.ready_by = None;
    }

    /// So many subscriptions went out.
    pub(super) fn subscribed(&mut self, count: u32, now: Now) {
        self.acks_missing = count;
        self.socket.ready_by = (count > 0).then_some(now.unix.after(READY_WAIT_NS));
    }

    /// One was confirmed. Says whether it was the last.
    pub(super) fn confirmed(&mut self) -> bool {
        let is_last = self.acks_missing == 1;
        self.acks_missing = self.acks_missing.saturating_sub(1);
        if is_last {
            self.socket.ready();
        }
        is_last
    }

    pub(super) fn pong(&mut self) {
        self.socket.pong_by = None;
    }

    pub(super) fn deadline(&self) -> Option<UnixNanos> {
        min_of([self.socket.deadline(), self.renew_at])
    }

    pub(super) fn on_deadline(
        &mut self,
        link: LinkId,
        now: Now,
        message: &mut Vec<u8>,
        out: &mut impl Sink,
    ) {
        debug_assert_eq!(self.is_private, link == crate::LINK_USER);
        if self.renew_at.is_some_and(|at| at <= now.unix) {
            self.renew_at = None;
            self.token_at = self.token_at.or(Some(now.unix));
        }
        if self.socket.on_deadline(link, now, out) {
            write_ping(r#"{"id":""#, r#"","type":"ping"}"#, now, message);
            out.send_text(link, message);
        }
    }
}

/// Where the login of the order link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    /// The venue's challenge is awaited.
    Challenge,
    /// It was signed: the welcome is awaited.
    Welcome,
}

/// The order link.
#[derive(Debug)]
pub(super) struct OrderLink {
    socket: Socket,
    login: Login,
    /// When its target is signed (again); `None` while it is open.
    sign_at: Option<UnixNanos>,
}

impl OrderLink {
    pub(super) fn new(is_wanted: bool) -> Self {
        Self {
            socket: Socket::new(),
            login: Login::Challenge,
            sign_at: is_wanted.then_some(UnixNanos(0)),
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        self.socket.is_open
    }

    pub(super) const fn is_ready(&self) -> bool {
        self.socket.is_ready
    }

    /// What is awaited of the login; `None` when it is over or has not begun.
    pub(super) fn login(&self) -> Option<Login> {
        (self.socket.is_open && !self.socket.is_ready).then_some(self.login)
    }

    pub(super) fn opened(&mut self, now: Now) {
        self.socket.opened(now);
        (self.login, self.sign_at) = (Login::Challenge, None);
    }

    pub(super) fn closed(&mut self, now: Now) {
        self.socket.closed();
        self.sign_at = Some(now.unix);
    }

    /// The challenge was signed.
    pub(super) fn answered(&mut self) {
        self.login = Login::Welcome;
    }

    /// Logged in, with the venue's intervals if it named them.
    pub(super) fn welcomed(&mut self, intervals: Option<(u64, u64)>, now: Now) {
        if let Some((ping_ms, pong_ms)) = intervals {
            self.socket.keep(ping_ms, pong_ms);
        }
        self.socket.welcomed(now);
        self.socket.ready();
    }

    pub(super) fn pong(&mut self) {
        self.socket.pong_by = None;
    }

    pub(super) fn deadline(&self) -> Option<UnixNanos> {
        min_of([self.socket.deadline(), self.sign_at])
    }

    pub(super) fn on_deadline(
        &mut self,
        auth: &Auth,
        now: Now,
        message: &mut Vec<u8>,
        out: &mut impl Sink,
    ) {
        if self.sign_at.is_some_and(|at| at <= now.unix) {
            self.sign_at = Some(now.unix.after(SIGN_AGAIN_NS));
            out.connect(LINK_ORDERS, &auth.orders_target(now.unix.millis()));
        }
        if self.socket.on_deadline(LINK_ORDERS, now, out) {
            let head = r#"{"id":"p","op":"ping","timestamp":""#;
            write_ping(head, r#""}"#, now, message);
            out.send_text(LINK_ORDERS, message);
        }
    }
}

/// A request that failed is tried again then.
pub(super) const fn again(now: Now) -> UnixNanos {
    now.unix.after(RETRY_NS)
}
