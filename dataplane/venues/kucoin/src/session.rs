//! Links and their upkeep: tokens, login, subscriptions, pings, snapshots, reconciliation, the dead man's switch.
//!
//! ```text
//! md, user   (REST) token ─▶ connect ─▶ welcome ─▶ (symbols known) subscribe ─acks─▶ ready
//! orders     signed target ─▶ connect ─▶ challenge, signed back ─▶ welcome ─▶ ready
//!            user and orders ready ─▶ LoggedIn ─▶ orders, dead man's switch
//! a lost md or user link asks for a new token; near a token's end a new one is asked for and the link replaced
//! reconcile  Open of each instrument ─▶ Fills of each, back to the last known ─▶ Balance ─▶ Reconciled
//! ```
//! The user stream's end ends the order link too: what becomes of orders would not be heard. Whatever cannot be
//! done now (link down, window full, answer lost) is tried again at a deadline; nothing here waits, and nothing
//! here sends an order twice.

mod answers;
mod books;
mod links;
mod receive;
mod reconcile;
mod start;

use crate::account;
use crate::auth::Auth;
use crate::entry::{self, BATCH_MAX};
use crate::feed::{BookFeed, Levels};
use crate::limits::{Cost, Limits};
use crate::rest::{Ask, Question};
use crate::{LINK_BATCHES, LINK_CANCELS, LINK_MD, LINK_ORDERS, LINK_REST, LINK_USER};
use dp_types::{Instrument, InstrumentId, LinkId, NewOrder, Now, OrderKind, UnixNanos};
use dp_venue_api::{
    BatchLink, EntryError, InFlight, LinkKind, LinkSpec, OrderBatch, Registry, RestMethod, Sink,
    VenueConfig,
};
use links::{OrderLink, Stream};

const SECOND_NS: u64 = 1_000_000_000;
/// Silence after which the lane gives a WebSocket up: three pings of ours, at the venue's usual 18 s, unanswered.
const SILENCE_NS_MAX: u64 = 60 * SECOND_NS;
/// How long welcome, login and subscriptions may take together.
const READY_WAIT_NS: u64 = 10 * SECOND_NS;
/// Pause before a failed REST request is tried again.
const RETRY_NS: u64 = SECOND_NS;
/// How long a REST answer may take before it counts as lost. A request that is lost or was never sent is answered
/// by status 0, so this is for the case that not even that comes.
const ANSWER_WAIT_NS: u64 = 45 * SECOND_NS;
/// Pause between two snapshots of one book.
const SNAPSHOT_PAUSE_NS: u64 = SECOND_NS / 2;
/// Every so many snapshots of one book in a row the market data link is replaced instead.
const RELINK_EVERY: u32 = 8;
/// A book that asked for nothing this long is well again.
const SNAPSHOT_CALM_NS: u64 = 60 * SECOND_NS;
/// Snapshots asked for at once: each waits for those before it, and a signature is good for 5 s.
const SNAPSHOTS_MAX: usize = 8;
/// Symbols of one subscribe message: the venue takes 100.
const SYMBOLS_PER_SUBSCRIBE: usize = 100;
/// What a symbol's market data is subscribed by.
const TOPICS: [&str; 3] = ["/market/level2:", "/market/match:", "/spotMarket/level1:"];
/// What our own orders and balances are.
const USER_TOPICS: [&str; 2] = ["/spotMarket/tradeOrdersV2", "/account/balance"];
/// Room for the largest message written: a subscription of [`SYMBOLS_PER_SUBSCRIBE`] symbols.
const MESSAGE_BYTES: usize = SYMBOLS_PER_SUBSCRIBE * 32 + 256;
/// The same where orders go together.
const BATCH_BYTES: usize = BATCH_MAX * 384 + 256;
const _: () = assert!(BATCH_BYTES > MESSAGE_BYTES);

/// Silence after which the venue cancels our orders, seconds. It takes 5 to 86,400, and fires up to 10 s late.
pub const DEAD_MAN_TIMEOUT_S: u32 = 20;
/// How often the switch is pushed back: four times within its time.
pub const DEAD_MAN_REARM_NS: u64 = 5 * SECOND_NS;
const _: () = assert!(DEAD_MAN_TIMEOUT_S >= 5 && DEAD_MAN_TIMEOUT_S <= 86_400);
const _: () = assert!(DEAD_MAN_REARM_NS * 2 < DEAD_MAN_TIMEOUT_S as u64 * SECOND_NS);
/// How long its answer is waited for before it is pushed back all the same: longer than a link waits for an
/// answer, and well within its time.
const DEAD_MAN_WAIT_NS: u64 = 12 * SECOND_NS;
const _: () = assert!(DEAD_MAN_WAIT_NS + DEAD_MAN_REARM_NS < DEAD_MAN_TIMEOUT_S as u64 * SECOND_NS);
/// Symbols the switch may name; for more it is armed for all there are.
const DEAD_MAN_SYMBOLS: usize = 50;

/// One followed instrument: its book, as far as asking for it goes, and what is known of its fills.
#[derive(Debug, Clone, Copy, Default)]
struct BookState {
    is_followed: bool,
    feed: Option<BookFeed>,
    /// A snapshot is wanted and not yet asked for.
    is_wanted: bool,
    /// It is wanted before the keeper wants it.
    is_early: bool,
    /// The number of the REST snapshot whose answer counts.
    awaited: Option<u32>,
    attempts: u32,
    asked: UnixNanos,
    /// Newest fill at the end of the last reconciliation that was completed: fills before it are known.
    fill_last: i64,
    /// Largest fill seen in this run; 0 when the pages did not reach back to what was known.
    fill_max: i64,
}

impl BookState {
    /// When the next snapshot may be asked for.
    fn due(&self) -> UnixNanos {
        match (self.asked.0, self.awaited) {
            (0, _) => UnixNanos(0),
            (_, Some(_)) => self.asked.after(ANSWER_WAIT_NS),
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
    step: Step,
    /// Which of the followed instruments.
    index: u32,
    page: u32,
    /// Page on from this fill.
    after: i64,
    /// When to send the step (again).
    at: UnixNanos,
}

/// Everything but the JSON parsers.
#[derive(Debug)]
pub(crate) struct Session {
    links: Vec<LinkSpec>,
    auth: Option<Auth>,
    order_window_ms: u32,
    symbols: Vec<InstrumentId>,
    books: Vec<BookState>,
    levels: Levels,
    account: account::Book,
    pub(crate) limits: Limits,
    message: Vec<u8>,
    /// Number of the next subscription.
    number: u64,
    is_rest_open: bool,
    is_cancels_open: bool,
    /// `None`: the configuration does not ask for it.
    batches: Option<BatchLink>,
    md: Stream,
    user: Stream,
    orders: OrderLink,
    /// Books come by another feed too: they are asked for when the keeper wants one.
    is_further_feed: bool,
    symbols_at: Option<UnixNanos>,
    are_symbols_ready: bool,
    /// Rates are asked for from this instrument on, and when.
    fees_at: Option<(u32, UnixNanos)>,
    snapshots_at: Option<UnixNanos>,
    /// Snapshots asked for.
    snapshots: u32,
    run: Option<Run>,
    runs: u32,
    /// Questions about single orders on their way.
    in_flight: InFlight,
    dead_man_at: Option<UnixNanos>,
    /// When the arming was sent whose answer is not here.
    dead_man_asked: Option<UnixNanos>,
}

fn min_of(deadlines: impl IntoIterator<Item = Option<UnixNanos>>) -> Option<UnixNanos> {
    deadlines.into_iter().flatten().min()
}

/// The links, by who we are: without keys there is market data and REST.
fn links(config: &VenueConfig, has_keys: bool) -> Vec<LinkSpec> {
    let http = |id, name| LinkSpec {
        id,
        kind: LinkKind::Http,
        host: config.rest.0.clone(),
        port: config.rest.1,
        path: String::new(),
        name,
        silence_ns_max: 0,
        is_held: false,
    };
    // Each is told where to when there is a token or a fresh signature.
    let held = |id, (host, port): &(String, u16), name| LinkSpec {
        id,
        kind: LinkKind::WebSocket,
        host: host.clone(),
        port: *port,
        path: String::new(),
        name,
        silence_ns_max: SILENCE_NS_MAX,
        is_held: true,
    };
    let mut links = vec![http(LINK_REST, "rest"), held(LINK_MD, &config.public, "md")];
    if has_keys {
        links.push(held(LINK_ORDERS, &config.private, "orders"));
        links.push(held(LINK_USER, &config.public, "user"));
        links.push(http(LINK_CANCELS, "cancels"));
        if config.rest_batches {
            links.push(http(LINK_BATCHES, "batches"));
        }
    }
    links
}

impl Session {
    pub(crate) fn new(config: &VenueConfig, instruments: &[InstrumentId]) -> Self {
        let auth = Auth::new(&config.secrets);
        let has_keys = auth.is_some();
        let has_batches = has_keys && config.rest_batches;
        let size = instruments.iter().map(|id| id.0 as usize + 1).max();
        let mut books = vec![BookState::default(); size.unwrap_or(0)];
        for id in instruments {
            if let Some(book) = books.get_mut(id.0 as usize) {
                book.is_followed = true;
            }
        }
        let start = Some(UnixNanos(0));
        Self {
            links: links(config, has_keys),
            auth,
            order_window_ms: config.order_window_ms,
            symbols: instruments.to_vec(),
            account: account::Book {
                rates: vec![None; books.len()],
                ..account::Book::default()
            },
            books,
            levels: Levels::default(),
            limits: Limits::new(config.budget),
            message: Vec::with_capacity(if has_batches {
                BATCH_BYTES
            } else {
                MESSAGE_BYTES
            }),
            number: 0,
            is_rest_open: false,
            is_cancels_open: false,
            batches: has_batches.then(BatchLink::default),
            md: Stream::new(false, true),
            user: Stream::new(true, has_keys),
            orders: OrderLink::new(has_keys),
            is_further_feed: config.is_further_feed,
            symbols_at: start,
            are_symbols_ready: false,
            fees_at: has_keys.then_some((0, UnixNanos(0))),
            snapshots_at: None,
            snapshots: 0,
            run: None,
            runs: 0,
            in_flight: InFlight::new(ANSWER_WAIT_NS),
            dead_man_at: None,
            dead_man_asked: None,
        }
    }

    pub(crate) fn links(&self) -> &[LinkSpec] {
        &self.links
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
            LINK_CANCELS => {
                self.is_cancels_open = true;
                self.run_due(registry, now, out);
            }
            LINK_BATCHES => self.batches = self.batches.map(|_| BatchLink::opened()),
            LINK_MD => {
                self.md.opened(now);
                for book in &mut self.books {
                    book.feed = None;
                }
            }
            LINK_USER => self.user.opened(now),
            LINK_ORDERS => self.orders.opened(now),
            _ => {}
        }
    }

    pub(crate) fn on_closed(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        match link {
            LINK_REST => {
                self.is_rest_open = false;
                self.rest_lost(now);
            }
            LINK_CANCELS => {
                self.is_cancels_open = false;
                self.dead_man_asked = None;
                self.dead_man_at = self.dead_man_at.map(|_| now.unix);
            }
            LINK_BATCHES => self.batches = self.batches.map(|_| BatchLink::default()),
            LINK_MD => {
                self.md.closed(LINK_MD, now, out);
                self.snapshots_at = None;
                for book in &mut self.books {
                    // A snapshot on its way belongs to no splice: the new stream asks anew, at once.
                    (book.is_wanted, book.is_early) = (false, false);
                    book.awaited = None;
                }
            }
            LINK_USER => {
                self.user.closed(LINK_USER, now, out);
                self.account.posted.clear();
                self.dead_man_at = None;
                if self.orders.is_open() {
                    out.reconnect(LINK_ORDERS, "the user stream is gone");
                }
            }
            LINK_ORDERS => {
                self.orders.closed(now);
                // Not armed again until logged in: if that takes long, the venue clears our orders.
                self.dead_man_at = None;
            }
            _ => {}
        }
    }

    /// Its requests get no answer: what is still wanted is asked again.
    fn rest_lost(&mut self, now: Now) {
        self.in_flight.clear();
        if let Some(run) = &mut self.run {
            run.at = now.unix;
        }
        self.symbols_at = self.symbols_at.map(|_| now.unix);
        self.fees_at = self.fees_at.map(|(from, _)| (from, now.unix));
        for stream in [&mut self.md, &mut self.user] {
            stream.token_failed(now.unix);
        }
        for book in &mut self.books {
            book.is_wanted |= book.awaited.take().is_some();
            if book.is_wanted {
                self.snapshots_at = Some(now.unix);
            }
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixNanos> {
        let sockets = min_of([
            self.md.deadline(),
            self.user.deadline(),
            self.orders.deadline(),
        ]);
        let rest = min_of([
            self.symbols_at,
            self.md.token_at(),
            self.user.token_at(),
            self.fees_at.map(|(_, at)| at),
            self.snapshots_at,
            self.run.map(|run| run.at),
        ]);
        min_of([
            sockets,
            rest.filter(|_| self.is_rest_open), // it waits for the link
            self.dead_man_at.filter(|_| self.is_cancels_open),
        ])
    }

    pub(crate) fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.md.on_deadline(LINK_MD, now, &mut self.message, out);
        self.user
            .on_deadline(LINK_USER, now, &mut self.message, out);
        if let Some(auth) = &self.auth {
            self.orders.on_deadline(auth, now, &mut self.message, out);
        }
        self.run_due(registry, now, out);
    }

    /// Sends every REST request that is due.
    fn run_due(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let is_due = |at: Option<UnixNanos>| at.is_some_and(|at| at <= now.unix);
        if self.is_cancels_open && is_due(self.dead_man_at) {
            self.arm_dead_man(registry, now, out);
        }
        if !self.is_rest_open {
            return;
        }
        if is_due(self.symbols_at) {
            self.ask_symbols(now, out);
        }
        if is_due(self.md.token_at()) {
            self.ask_token(false, now, out);
        }
        if is_due(self.user.token_at()) {
            self.ask_token(true, now, out);
        }
        if is_due(self.fees_at.map(|(_, at)| at)) {
            self.ask_fees(registry, now, out);
        }
        if is_due(self.snapshots_at) {
            self.ask_snapshots(registry, now, out);
        }
        if is_due(self.run.map(|run| run.at)) {
            self.ask_step(registry, now, out);
        }
    }

    /// Whether orders may go out: both their link and the stream that tells of them are ready.
    pub(crate) fn is_logged_in(&self) -> bool {
        self.orders.is_ready() && self.user.is_ready()
    }

    /// Checks links and limits, then writes and sends a new order. Nothing leaves when it errs.
    pub(crate) fn send_order(
        &mut self,
        now: Now,
        out: &mut impl Sink,
        write: impl FnOnce(u32, &mut Vec<u8>),
    ) -> Result<(), EntryError> {
        if !self.is_logged_in() {
            return Err(EntryError::NotReady);
        }
        if !self.limits.take(now.unix, Cost::Spot(1)) {
            return Err(EntryError::RateLimited);
        }
        self.message.clear();
        write(self.order_window_ms, &mut self.message);
        out.send_text(LINK_ORDERS, &self.message);
        Ok(())
    }

    /// New orders one request may carry.
    pub(crate) fn batch_max(&self) -> usize {
        if self.batches.is_some() { BATCH_MAX } else { 1 }
    }

    /// Sends new orders of one instrument in one request. Nothing leaves when it errs. Errors: [`EntryError`].
    pub(crate) fn send_batch(
        &mut self,
        instrument: &Instrument,
        orders: &[NewOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let is_logged_in = self.is_logged_in();
        let link = self.batches.as_mut().ok_or(EntryError::Unsupported)?;
        let batch = OrderBatch::of(orders).filter(|it| it.count() <= BATCH_MAX);
        let batch = batch.ok_or(EntryError::Unsupported)?;
        let auth = self.auth.as_ref().filter(|_| is_logged_in);
        let auth = auth.ok_or(EntryError::NotReady)?;
        if !link.is_free(now.unix, ANSWER_WAIT_NS) {
            return Err(EntryError::Backlog);
        }
        // However many there are, they cost as one.
        if !self.limits.take(now.unix, Cost::Spot(1)) {
            return Err(EntryError::RateLimited);
        }
        link.send(now.unix);
        self.message.clear();
        entry::write_batch(
            instrument,
            orders,
            now,
            self.order_window_ms,
            &mut self.message,
        );
        let question = Question {
            link: LINK_BATCHES,
            ask: Ask::Orders(batch),
            method: RestMethod::Post,
            target: "/api/v1/hf/orders/multi",
            body: core::str::from_utf8(&self.message).unwrap_or(""),
        };
        question.sign(auth, now, out);
        for order in orders.iter().filter(|it| it.kind == OrderKind::PostOnly) {
            self.posted(order.client_id);
        }
        Ok(())
    }

    /// Notes a post-only order that was sent.
    pub(crate) fn posted(&mut self, id: dp_types::ClientOrderId) {
        self.account.posted.add(id);
    }
}
