//! Links and their upkeep: logins, subscriptions, pings, snapshots, reconciliation, the dead man's switch.
//!
//! ```text
//! md      open ─(rules known)─▶ mbp.20 of each symbol ─acks─▶ Subscribed; refused: mbp.refresh.20 on trades
//! trades  open ─(rules known)─▶ trade.detail, bbo     ─acks─▶ Subscribed
//! orders  open ─▶ login ─ack─▶ ready ┐
//! user    open ─▶ login ─ack─▶ three subscriptions ─acks─▶ ready ├─▶ LoggedIn ─▶ orders
//! rest    open ─▶ rules, accounts ─▶ the spot account is known   ┘
//! reconcile   open orders, symbol by symbol ─▶ fills, symbol by symbol ─▶ balances ─▶ Reconciled
//! ```
//! Whatever cannot be done now (link down, window full, answer lost) is tried again at a deadline;
//! nothing here waits, and nothing here sends an order twice.

mod answers;
mod books;
mod pairs;
mod private;
mod receive;
mod reconcile;
mod subscribe;

pub(crate) use answers::Answer;

use crate::account::Wallet;
use crate::auth::{Auth, LOGIN_MAX, Stamp};
use crate::feed::{Channel, Levels};
use crate::limits::{Limits, OrderOp};
use crate::{LINK_FEED, LINK_ORDERS, LINK_REST, LINK_TRADES, LINK_USER};
use dp_types::{ClientOrderId, InstrumentId, LinkId, Now, RejectReason, UnixNanos};
use dp_venue_api::{
    Control, EntryError, Event, InFlight, LinkKind, LinkSpec, Registry, Sink, VenueConfig,
};
use dp_wire::buf::Buf;
use pairs::Pairs;

const SECOND_NS: u64 = 1_000_000_000;
/// Market sockets are pinged every 5 s: two pings missed.
const MARKET_SILENCE_NS: u64 = 12 * SECOND_NS;
/// Private sockets are pinged every 20 s. The venue's own tolerance is not published: two pings missed.
const PRIVATE_SILENCE_NS: u64 = 45 * SECOND_NS;
/// How long login and subscriptions may take together.
const READY_WAIT_NS: u64 = 10 * SECOND_NS;
/// Pause before a failed request is tried again.
const RETRY_NS: u64 = SECOND_NS;
/// How long a REST answer may take before it counts as lost. A request that is lost or was never sent is
/// answered by status 0, so this is for the case that not even that comes.
const ANSWER_WAIT_NS: u64 = 45 * SECOND_NS;
/// How long the answer to a `req` may take.
const SNAPSHOT_WAIT_NS: u64 = 5 * SECOND_NS;
/// Pause between two snapshots of one book.
const SNAPSHOT_PAUSE_NS: u64 = SECOND_NS / 2;
/// How long a confirmed stream may say nothing until its book is asked for all the same: where nobody trades no
/// increment comes, and a snapshot that comes after the confirmation fits whatever follows it.
const QUIET_NS: u64 = 2 * SECOND_NS;
/// The venue takes one `req` in 100 ms on a socket; a tenth more, since they can close up on the way.
const REQ_PAUSE_NS: u64 = SECOND_NS / 9;
/// Room for the largest message written: a cancel of 50 orders, each named by at most 24 bytes.
const MESSAGE_BYTES: usize = 4_096;
/// A post-only order that would have taken is accepted, and cancelled in the same instant. How long that may take is
/// not published: what is cancelled this soon after its creation, and not by us, would have taken.
const POST_ONLY_NS: u64 = SECOND_NS;
/// Post-only orders of late, by the low bits of their ids.
const MAKERS: usize = 256;

/// Silence after which the venue cancels our spot orders (at most 500 of them). The venue takes 5 and more; that it
/// counts seconds is the page's reading.
pub const DEAD_MAN_TIMEOUT_S: u32 = 20;
/// How often the switch is pushed back: four times within its time, above the 2 s of its rate limit.
pub const DEAD_MAN_REARM_NS: u64 = 5 * SECOND_NS;
const _: () = assert!(DEAD_MAN_TIMEOUT_S >= 5);
const _: () = assert!(DEAD_MAN_REARM_NS * 2 < DEAD_MAN_TIMEOUT_S as u64 * SECOND_NS);
/// How long its answer is waited for before it is pushed back all the same: longer than a link waits for an
/// answer, and well within its time. Two that leave a stalled link together would break its limit.
const DEAD_MAN_WAIT_NS: u64 = 12 * SECOND_NS;
const _: () = assert!(DEAD_MAN_WAIT_NS + DEAD_MAN_REARM_NS < DEAD_MAN_TIMEOUT_S as u64 * SECOND_NS);

/// One WebSocket link.
#[derive(Debug, Clone, Copy, Default)]
struct WsLink {
    is_open: bool,
    /// All subscriptions confirmed, and logged in on a private link.
    is_ready: bool,
    ready_by: Option<UnixNanos>,
    acks_missing: u32,
}

impl WsLink {
    fn opened(now: Now) -> Self {
        Self {
            is_open: true,
            ready_by: Some(now.unix.after(READY_WAIT_NS)),
            ..Self::default()
        }
    }

    fn on_deadline(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        if self.is_open && self.ready_by.is_some_and(|at| at <= now.unix) {
            *self = Self::default();
            out.reconnect(link, "login or subscription was not confirmed in time");
        }
    }

    /// One more confirmation is here; says whether it was the last.
    fn acked(&mut self) -> bool {
        let was_missing = self.acks_missing;
        self.acks_missing = was_missing.saturating_sub(1);
        let is_last = was_missing == 1;
        if is_last {
            self.is_ready = true;
            self.ready_by = None;
        }
        is_last
    }
}

/// One followed instrument's public streams.
#[derive(Debug, Clone, Copy, Default)]
struct BookState {
    is_followed: bool,
    channel: Option<Channel>,
    /// The venue has no increments of it: whole books, on the trades socket.
    is_refreshed: bool,
    /// A snapshot is wanted and not yet asked for.
    is_wanted: bool,
    /// When a snapshot is wanted though no increment has come.
    quiet_at: Option<UnixNanos>,
    /// The number of the snapshot whose answer counts: none of before the stream was lost.
    awaited: Option<u32>,
    asked: UnixNanos,
    /// The counter of its last best quote.
    quote_last: i64,
}

impl BookState {
    /// When the next snapshot may be asked for.
    fn due(&self) -> UnixNanos {
        match (self.asked.0, self.awaited) {
            (0, _) => UnixNanos(0),
            (_, Some(_)) => self.asked.after(SNAPSHOT_WAIT_NS),
            (_, None) => self.asked.after(SNAPSHOT_PAUSE_NS),
        }
    }
}

/// Where reconciliation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Open,
    Fills,
    Balance,
}

/// One run of reconciliation.
#[derive(Debug, Clone, Copy)]
struct Run {
    number: u32,
    began: UnixNanos,
    step: Step,
    /// The place of the symbol among ours.
    symbol: u32,
    page: u32,
    /// Page on from this order or fill.
    from: u128,
    /// When to send the step (again).
    at: UnixNanos,
}

/// Something asked by REST until it is here.
#[derive(Debug, Clone, Copy)]
struct Wish(Option<UnixNanos>);

impl Wish {
    const fn is_due(self, now: Now) -> bool {
        matches!(self.0, Some(at) if at.0 <= now.unix.0)
    }
}

/// Everything but the parsers.
#[derive(Debug)]
pub(crate) struct Session {
    links: Vec<LinkSpec>,
    auth: Option<Auth>,
    rest_host: String,
    private_host: String,
    /// The spot account, in digits; empty until it is known.
    account: String,
    symbols: Vec<InstrumentId>,
    books: Vec<BookState>,
    levels: Levels,
    pub(crate) limits: Limits,
    message: Vec<u8>,
    number: u64,
    is_rest_open: bool,
    feed: WsLink,
    orders: WsLink,
    user: WsLink,
    trades: WsLink,
    is_logged_in: bool,
    rules: Wish,
    accounts: Wish,
    are_instruments_ready: bool,
    snapshots_at: Option<UnixNanos>,
    /// When the last `req` was sent.
    req_sent: UnixNanos,
    snapshots: u32,
    run: Option<Run>,
    runs: u32,
    /// Questions about single orders on their way.
    in_flight: InFlight,
    /// When the last completed reconciliation began: fills well before it are known.
    fills_known: UnixNanos,
    dead_man_at: Option<UnixNanos>,
    /// When the arming was sent whose answer is not here.
    dead_man_asked: Option<UnixNanos>,
    pairs: Pairs,
    makers: Box<[(ClientOrderId, UnixNanos)]>,
    wallet: Wallet,
}

fn min_of(deadlines: impl IntoIterator<Item = Option<UnixNanos>>) -> Option<UnixNanos> {
    deadlines.into_iter().flatten().min()
}

fn specs(config: &VenueConfig, has_keys: bool) -> Vec<LinkSpec> {
    let spec = |id, (host, port): &(String, u16), path: &str, name, silence_ns_max| LinkSpec {
        id,
        kind: if path.is_empty() {
            LinkKind::Http
        } else {
            LinkKind::WebSocket
        },
        host: host.clone(),
        port: *port,
        path: path.to_owned(),
        name,
        silence_ns_max,
        is_held: false,
    };
    let (public, private) = (&config.public, &config.private);
    let (market, user) = (MARKET_SILENCE_NS, PRIVATE_SILENCE_NS);
    let mut links = vec![
        spec(LINK_REST, &config.rest, "", "rest", 0),
        spec(LINK_FEED, public, "/feed", "md", market),
    ];
    if has_keys {
        links.push(spec(
            LINK_ORDERS,
            private,
            private::ORDERS_PATH,
            "orders",
            user,
        ));
        links.push(spec(LINK_USER, private, private::USER_PATH, "user", user));
    }
    links.push(spec(LINK_TRADES, public, "/ws", "trades", market));
    links
}

impl Session {
    pub(crate) fn new(config: VenueConfig, instruments: &[InstrumentId]) -> Self {
        let auth = Auth::new(&config.secrets);
        let links = specs(&config, auth.is_some());
        let size = instruments.iter().map(|id| id.0 as usize + 1).max();
        let mut books = vec![BookState::default(); size.unwrap_or(0)];
        for id in instruments {
            if let Some(book) = books.get_mut(id.0 as usize) {
                book.is_followed = true;
            }
        }
        Self {
            links,
            rest_host: config.rest.0,
            private_host: config.private.0,
            account: String::new(),
            symbols: instruments.to_vec(),
            books,
            levels: Levels::default(),
            limits: Limits::new(config.budget),
            message: Vec::with_capacity(MESSAGE_BYTES),
            number: 0,
            is_rest_open: false,
            feed: WsLink::default(),
            orders: WsLink::default(),
            user: WsLink::default(),
            trades: WsLink::default(),
            is_logged_in: false,
            rules: Wish(Some(UnixNanos(0))),
            accounts: Wish(auth.is_some().then_some(UnixNanos(0))),
            are_instruments_ready: false,
            snapshots_at: None,
            req_sent: UnixNanos(0),
            snapshots: 0,
            run: None,
            runs: 0,
            in_flight: InFlight::new(ANSWER_WAIT_NS),
            fills_known: UnixNanos(0),
            dead_man_at: None,
            dead_man_asked: None,
            pairs: Pairs::default(),
            makers: vec![(ClientOrderId(0), UnixNanos(0)); MAKERS].into_boxed_slice(),
            wallet: Wallet::default(),
            auth,
        }
    }

    pub(crate) fn links(&self) -> &[LinkSpec] {
        &self.links
    }

    /// A number for the next batch or subscription, from 1.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.number = self.number.wrapping_add(1).max(1);
        self.number
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
            LINK_FEED => {
                self.feed = WsLink::opened(now);
                self.req_sent = UnixNanos(0);
                for book in &mut self.books {
                    book.channel = None;
                    book.is_refreshed = false;
                }
                self.subscribe_books(registry, now, out);
            }
            LINK_TRADES => {
                self.trades = WsLink::opened(now);
                for book in &mut self.books {
                    book.quote_last = 0;
                }
                self.subscribe_trades(registry, now, out);
            }
            LINK_ORDERS => {
                self.limits.link_opened();
                self.orders = WsLink::opened(now);
                self.log_in(link, private::ORDERS_PATH, now, out);
            }
            LINK_USER => {
                self.user = WsLink::opened(now);
                self.log_in(link, private::USER_PATH, now, out);
            }
            _ => {}
        }
    }

    fn log_in(&self, link: LinkId, path: &str, now: Now, out: &mut impl Sink) {
        let stamp = Stamp::from_millis(now.unix.millis());
        let mut login = Buf::<LOGIN_MAX>::new();
        let is_written = self.auth.as_ref().is_some_and(|auth| {
            auth.write_login(&self.private_host, path, &stamp, &mut login)
                .is_ok()
        });
        if is_written {
            out.send_text(link, login.as_bytes());
        } else {
            out.event(&Event::Control(Control::LoginRefused(RejectReason::Auth)));
        }
    }

    pub(crate) fn on_closed(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        match link {
            LINK_REST => self.rest_closed(now),
            LINK_FEED => {
                self.feed = WsLink::default();
                self.snapshots_at = None;
                for book in &mut self.books {
                    // A snapshot on its way belongs to no splice: the new stream asks anew, at once.
                    (book.is_wanted, book.awaited, book.asked) = (false, None, UnixNanos(0));
                    book.quiet_at = None;
                }
            }
            LINK_TRADES => self.trades = WsLink::default(),
            LINK_ORDERS => {
                self.orders = WsLink::default();
                self.logged_out();
            }
            LINK_USER => {
                self.user = WsLink::default();
                self.logged_out();
                // An engine knows of the order link only: without this one its orders are in doubt.
                if self.orders.is_open {
                    out.reconnect(LINK_ORDERS, "the private stream is gone");
                }
                // What their orders' pushes would have said is found by comparing; the fills are true.
                self.pairs.let_go(None, out);
            }
            _ => {}
        }
    }

    fn rest_closed(&mut self, now: Now) {
        self.is_rest_open = false;
        self.in_flight.clear();
        self.dead_man_asked = None;
        self.dead_man_at = self.dead_man_at.map(|_| now.unix);
        if let Some(run) = &mut self.run {
            run.at = now.unix;
        }
        for wish in [&mut self.rules, &mut self.accounts] {
            wish.0 = wish.0.map(|_| now.unix);
        }
    }

    /// Not armed again until logged in: if that takes long, the venue clears our orders.
    fn logged_out(&mut self) {
        self.is_logged_in = false;
        self.dead_man_at = None;
    }

    /// Orders may go out once both sockets are ready and account and rules are known: reconciliation goes through
    /// the symbols that have rules.
    fn check_login(&mut self, now: Now, out: &mut impl Sink) {
        let is_known = !self.account.is_empty() && self.are_instruments_ready;
        let is_ready = self.orders.is_ready && self.user.is_ready && is_known;
        if is_ready && !self.is_logged_in {
            self.is_logged_in = true;
            self.dead_man_at = Some(now.unix);
            out.event(&Event::Control(Control::LoggedIn(LINK_ORDERS)));
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixNanos> {
        let links = [&self.feed, &self.orders, &self.user, &self.trades];
        let ready_by = links.map(|link| link.ready_by.filter(|_| link.is_open));
        let own = min_of([
            min_of(ready_by),
            self.snapshots_at.filter(|_| self.feed.is_open),
            self.pairs.next_deadline(),
        ]);
        if !self.is_rest_open {
            return own; // the rest waits for the link
        }
        min_of([
            own,
            self.rules.0,
            self.accounts.0,
            self.run.map(|run| run.at),
            self.dead_man_at,
        ])
    }

    pub(crate) fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.feed.on_deadline(LINK_FEED, now, out);
        self.trades.on_deadline(LINK_TRADES, now, out);
        self.orders.on_deadline(LINK_ORDERS, now, out);
        self.user.on_deadline(LINK_USER, now, out);
        self.pairs.let_go(Some(now.unix), out);
        self.snapshots_due(registry, now, out);
        self.run_due(registry, now, out);
    }

    /// Sends every REST request that is due.
    fn run_due(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.is_rest_open {
            return;
        }
        if self.rules.is_due(now) {
            self.ask_rules(now, out);
        }
        if self.accounts.is_due(now) {
            self.ask_accounts(now, out);
        }
        if self.run.is_some_and(|run| run.at <= now.unix) {
            self.ask_step(registry, now, out);
        }
        if self.dead_man_at.is_some_and(|at| at <= now.unix) {
            self.arm_dead_man(now, out);
        }
    }

    /// Checks link and limits, then writes and sends. Nothing leaves when it errs.
    pub(crate) fn send_order(
        &mut self,
        op: OrderOp,
        now: Now,
        out: &mut impl Sink,
        write: impl FnOnce(&str, &mut Vec<u8>),
    ) -> Result<(), EntryError> {
        if !self.is_logged_in {
            return Err(EntryError::NotReady);
        }
        if !self.limits.order(now.unix, op) {
            return Err(EntryError::RateLimited);
        }
        self.message.clear();
        write(&self.account, &mut self.message);
        out.send_text(LINK_ORDERS, &self.message);
        Ok(())
    }

    fn maker(&mut self, client: ClientOrderId) -> Option<&mut (ClientOrderId, UnixNanos)> {
        self.makers.get_mut(client.sequence() as usize % MAKERS)
    }

    /// We asked for this order's end: it is no refusal.
    pub(crate) fn cancel_asked(&mut self, client: ClientOrderId) {
        if let Some(slot) = self.maker(client) {
            *slot = (client, UnixNanos(0)); // long before any creation
        }
    }
}
