//! Links and their upkeep: token, subscriptions, pings, books entered anew, reconciliation, the dead man's switch.
//!
//! ```text
//! public   open ─▶ instrument snapshot ─▶ (REST: registry) ─▶ book, trade, ticker ─acks─▶ Subscribed
//! private  open ─▶ (REST: token) ─▶ executions, balances ─acks─▶ LoggedIn ─▶ orders
//! book     lost ─▶ leave ─ack─▶ enter ─▶ snapshot
//! compare  leave executions ─ack─▶ enter ─▶ snapshot ─▶ leave balances ─ack─▶ enter ─▶ snapshot ─▶ Reconciled
//! ```
//! Requests of one link may overtake each other, so whatever must come after waits for an answer. What cannot be
//! done now is tried again at a deadline; nothing here waits, and nothing here sends an order twice.

mod answers;
mod compare;
mod market;
mod private;
mod receive;

use crate::auth::{Auth, Nonces};
use crate::entry;
use crate::feed::Levels;
use crate::limits::{Limits, Op};
use crate::orders::Orders;
use crate::requests::{Kind, Requests};
use crate::rest::TOKEN_MAX;
use crate::rules::Rules;
use crate::{LINK_PRIVATE, LINK_PUBLIC, LINK_REST};
use compare::{Query, Run};
use dp_types::{InstrumentId, LinkId, Now, Text, UnixNanos, VenueNanos};
use dp_venue_api::{
    Due, EntryError, LinkKind, LinkSpec, Patience, Registry, Sink, VenueConfig, WsLink,
};
use market::BookState;

const SECOND_NS: u64 = 1_000_000_000;
/// Silence after which the lane gives a link up by itself. The venue says something every second.
const SILENCE_NS_MAX: u64 = 10 * SECOND_NS;
/// Silence after which we ping, and how long the answer may take: five seconds of silence are a dead link.
const PATIENCE: Patience = Patience {
    ping_after_ns: 2_500_000_000,
    pong_wait_ns: 2_500_000_000,
};
/// How long subscriptions may take together.
const READY_WAIT_NS: u64 = 10 * SECOND_NS;
/// How long one answer may take before its link counts as broken.
const ANSWER_WAIT_NS: u64 = 10 * SECOND_NS;
/// Pause before a failed REST request is tried again: a key has 15 of them, and gets one back in 3 s.
const REST_RETRY_NS: u64 = 5 * SECOND_NS;
/// How long a REST answer may take before it counts as lost.
const REST_WAIT_NS: u64 = 30 * SECOND_NS;
/// Symbols of one subscribe message: at most 34 bytes each.
const SYMBOLS_PER_SUBSCRIBE: usize = 100;
/// Room for the largest message written: a batch of cancels or of new orders, or a subscription.
const MESSAGE_BYTES: usize = SYMBOLS_PER_SUBSCRIBE * 40 + 1_024;
const _: () = assert!(entry::NEW_MAX * 256 + 1_024 <= MESSAGE_BYTES);

/// Silence after which the venue cancels all our orders. The venue's advice.
pub const DEAD_MAN_TIMEOUT_S: u32 = 60;
/// How often the switch is pushed back: the venue's advice is 15 to 30 s.
pub const DEAD_MAN_REARM_NS: u64 = 15 * SECOND_NS;
const _: () = assert!(DEAD_MAN_REARM_NS + ANSWER_WAIT_NS < DEAD_MAN_TIMEOUT_S as u64 * SECOND_NS);
/// Pause before a refused push-back is tried again.
const DEAD_MAN_RETRY_NS: u64 = SECOND_NS;

/// Everything but the JSON parsers.
#[derive(Debug)]
pub(crate) struct Session {
    links: Vec<LinkSpec>,
    auth: Option<Auth>,
    nonces: Nonces,
    order_window_ms: u32,
    symbols: Vec<InstrumentId>,
    levels: Levels,
    orders: Orders,
    pub(crate) limits: Limits,
    requests: Requests,
    message: Vec<u8>,
    is_rest_open: bool,
    public: WsLink,
    private: WsLink,
    // Market data: see `market`.
    books: Vec<BookState>,
    rules: Vec<Rules>,
    is_listed: bool,
    are_instruments_ready: bool,
    status_at: Option<UnixNanos>,
    // The private link: see `private`.
    token: Text<TOKEN_MAX>,
    token_link: u32,
    token_at: Option<UnixNanos>,
    has_balances: bool,
    executions_seq: Option<u64>,
    balances_seq: Option<u64>,
    dead_man_at: Option<UnixNanos>,
    // Comparing with the venue: see `compare`.
    run: Option<Run>,
    run_wanted_at: Option<UnixNanos>,
    queries: Vec<Query>,
    /// When the newest trade was that we were told of.
    trade_last: VenueNanos,
}

fn min_of(deadlines: impl IntoIterator<Item = Option<UnixNanos>>) -> Option<UnixNanos> {
    deadlines.into_iter().flatten().min()
}

impl Session {
    pub(crate) fn new(config: VenueConfig, instruments: &[InstrumentId]) -> Self {
        let auth = Auth::new(&config.secrets);
        let web_socket = |id, (host, port): (String, u16), path: &str, name| LinkSpec {
            id,
            kind: LinkKind::WebSocket,
            host,
            port,
            path: path.to_owned(),
            name,
            silence_ns_max: SILENCE_NS_MAX,
            is_held: false,
        };
        let (host, port) = config.rest;
        let mut links = vec![
            LinkSpec {
                id: LINK_REST,
                kind: LinkKind::Http,
                host,
                port,
                path: String::new(),
                name: "rest",
                silence_ns_max: 0,
                is_held: false,
            },
            web_socket(LINK_PUBLIC, config.public, "/v2/public", "md"),
        ];
        if auth.is_some() {
            links.push(web_socket(
                LINK_PRIVATE,
                config.private,
                "/v2/private",
                "orders",
            ));
        }
        Self {
            links,
            auth,
            nonces: Nonces::new(config.nonce_slot),
            order_window_ms: config.order_window_ms,
            symbols: instruments.to_vec(),
            levels: Levels::default(),
            orders: Orders::default(),
            limits: Limits::new(config.budget),
            requests: Requests::default(),
            message: Vec::with_capacity(MESSAGE_BYTES),
            is_rest_open: false,
            public: WsLink::default(),
            private: WsLink::default(),
            books: market::book_states(instruments),
            rules: Vec::with_capacity(instruments.len()),
            is_listed: false,
            are_instruments_ready: false,
            status_at: None,
            token: Text::EMPTY,
            token_link: 0,
            token_at: None,
            has_balances: false,
            executions_seq: None,
            balances_seq: None,
            dead_man_at: None,
            run: None,
            run_wanted_at: None,
            queries: Vec::with_capacity(compare::QUERIES_MAX),
            trade_last: VenueNanos(0),
        }
    }

    pub(crate) fn links(&self) -> &[LinkSpec] {
        &self.links
    }

    fn web_socket(&mut self, link: LinkId) -> &mut WsLink {
        if link == LINK_PRIVATE {
            &mut self.private
        } else {
            &mut self.public
        }
    }

    /// Something arrived on a WebSocket link.
    pub(crate) fn heard(&mut self, link: LinkId, now: Now) {
        let ws = self.web_socket(link);
        ws.heard(now);
    }

    pub(crate) fn on_open(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        out: &mut impl Sink,
    ) {
        match link {
            LINK_REST => {
                self.is_rest_open = true;
                self.run_due(registry, now, out);
            }
            LINK_PUBLIC => {
                self.public = WsLink::opened(now, None);
                self.enter_market(registry, now, out);
            }
            LINK_PRIVATE => {
                self.private = WsLink::opened(now, None);
                self.token_link = self.token_link.wrapping_add(1);
                self.token_at = Some(now.unix);
                self.run_due(registry, now, out);
            }
            _ => {}
        }
    }

    pub(crate) fn on_closed(&mut self, link: LinkId, now: Now) {
        match link {
            LINK_REST => {
                self.is_rest_open = false;
                // What was on its way is asked again when the link is back.
                self.status_at = self.status_at.map(|_| now.unix);
                self.token_at = self.token_at.map(|_| now.unix);
            }
            LINK_PUBLIC => {
                self.public = WsLink::default();
                self.leave_market();
            }
            LINK_PRIVATE => {
                self.private = WsLink::default();
                self.leave_private();
            }
            _ => {}
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixNanos> {
        let rest = if self.is_rest_open {
            min_of([self.status_at, self.token_at])
        } else {
            None // it waits for the link
        };
        min_of([
            self.public.deadline(PATIENCE),
            self.private.deadline(PATIENCE),
            rest,
            self.books_due(),
            self.run.map(|run| run.at),
            self.run_wanted_at,
            self.dead_man_at,
        ])
    }

    pub(crate) fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.link_due(LINK_PUBLIC, now, out);
        self.link_due(LINK_PRIVATE, now, out);
        self.run_due(registry, now, out);
    }

    /// Pings a silent link, and gives up a dead one.
    fn link_due(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        match self.web_socket(link).due(PATIENCE, now) {
            Due::Nothing => {}
            Due::GiveUp(why) => self.give_up(link, why, out),
            Due::Ping => {
                let number = self.requests.add(Kind::Ping);
                self.message.clear();
                self.message
                    .extend_from_slice(br#"{"method":"ping","req_id":"#);
                crate::symbols::push_u64(number, &mut self.message);
                self.message.push(b'}');
                out.send_text(link, &self.message);
            }
        }
    }

    /// Asks for a new link; until it is there nothing is awaited of the old one.
    fn give_up(&mut self, link: LinkId, why: &'static str, out: &mut impl Sink) {
        *self.web_socket(link) = WsLink::default();
        if link == LINK_PRIVATE {
            self.leave_private();
        } else {
            self.leave_market();
        }
        out.reconnect(link, why);
    }

    /// Does everything that is due.
    fn run_due(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let is_due = |at: Option<UnixNanos>| at.is_some_and(|at| at <= now.unix);
        if self.is_rest_open && is_due(self.status_at) {
            self.ask_status(now, out);
        }
        if self.is_rest_open && is_due(self.token_at) {
            self.ask_token(now, out);
        }
        if is_due(self.books_due()) {
            self.renew_books(registry, now, out);
        }
        if is_due(self.run.map(|run| run.at)) {
            self.give_up(LINK_PRIVATE, "comparing was not answered in time", out);
        }
        if is_due(self.run_wanted_at) {
            self.look(now, out);
        }
        if is_due(self.dead_man_at) {
            self.arm_dead_man(now, out);
        }
    }

    /// Orders a batch of cancels may name.
    pub(crate) fn batch_max(&self) -> usize {
        self.limits.batch_max()
    }

    /// Orders a batch may enter.
    pub(crate) fn news_max(&self) -> usize {
        self.limits.news_max()
    }

    /// Checks link and limits, then writes and sends: `write` gets the validity window, the token with the
    /// request's number, and where to write. Nothing leaves when it errs.
    pub(crate) fn send_order(
        &mut self,
        op: Op,
        kind: Kind,
        now: Now,
        out: &mut impl Sink,
        write: impl FnOnce(u32, (&str, u64), &mut Vec<u8>),
    ) -> Result<(), EntryError> {
        if !self.private.is_ready {
            return Err(EntryError::NotReady);
        }
        if !self.limits.take(now.unix, op) {
            return Err(EntryError::RateLimited);
        }
        let number = self.requests.add(kind);
        self.message.clear();
        let to = (self.token.as_str(), number);
        write(self.order_window_ms, to, &mut self.message);
        out.send_text(LINK_PRIVATE, &self.message);
        Ok(())
    }

    /// Writes `subscribe` or `unsubscribe` of a channel, with what `more` adds to its parameters, and sends it.
    fn send_subscription(
        &mut self,
        link: LinkId,
        method: &str,
        kind: Kind,
        more: impl FnOnce(&mut Vec<u8>),
        out: &mut impl Sink,
    ) {
        let number = self.requests.add(kind);
        self.message.clear();
        entry::push_head(&mut self.message, method);
        more(&mut self.message);
        let token = if link == LINK_PRIVATE {
            self.token.as_str()
        } else {
            ""
        };
        entry::push_tail(&mut self.message, token, number);
        out.send_text(link, &self.message);
    }
}
