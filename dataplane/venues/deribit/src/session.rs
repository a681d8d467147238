//! Links and their upkeep: heartbeats, logins and their renewal, cancel on disconnect, subscriptions, snapshots,
//! reconciliation.
//!
//! ```text
//! md      open ─▶ heartbeat, login ─▶ (instruments known) subscribe ─all named─▶ Subscribed
//! orders  open ─▶ heartbeat, login ─▶ cancel on disconnect, subscribe ─all confirmed─▶ LoggedIn ─▶ orders
//!         a quarter before the login lapses: login, cancel on disconnect again
//! reconcile   Orders ─▶ Trades of each instrument back to the last known ─▶ Positions ─▶ Balances ─▶ Reconciled
//! ```
//! The md link logs in only because books of every change are told to nobody else; refused, it follows the 100 ms
//! ones. Whatever cannot be done now (link down, pool empty, answer lost) is tried again at a deadline; nothing here
//! waits, and nothing here sends an order twice.

mod answers;
mod books;
mod links;
mod receive;
mod reconcile;
mod subscribe;

use crate::auth::{Auth, Nonces};
use crate::feed::{BookChannel, Levels};
use crate::funding::Log;
use crate::limits::{Limits, OrderOp};
use crate::resting::{Resting, Terms};
use crate::{LINK_MD, LINK_ORDERS, LINK_REST};
use dp_types::{AmendOrder, ClientOrderId, InstrumentId, LinkId, Now, UnixNanos};
use dp_venue_api::{
    EntryError, InFlight, LinkKind, LinkSpec, MarketData, Registry, Sink, VenueConfig,
};
use links::WsLink;

pub(crate) const SECOND_NS: u64 = 1_000_000_000;
/// How often the venue is to send a heartbeat: the shortest it takes. It asks for proof of life as often.
pub const HEARTBEAT_S: u64 = 10;
/// A link is dead after two and a half of them.
const SILENCE_NS_MAX: u64 = HEARTBEAT_S * SECOND_NS * 5 / 2;
/// How long what was asked of a link may take to be confirmed.
const READY_WAIT_NS: u64 = 10 * SECOND_NS;
/// Pause before what failed is tried again.
const RETRY_NS: u64 = SECOND_NS;
/// How long a REST answer may take before it counts as lost. A request that is lost or was never sent is answered
/// by status 0, so this is for the case that not even that comes.
pub(crate) const ANSWER_WAIT_NS: u64 = 45 * SECOND_NS;
/// Pause between two snapshots of one book.
const SNAPSHOT_PAUSE_NS: u64 = SECOND_NS;
/// How long a snapshot that was asked for may take.
const SNAPSHOT_WAIT_NS: u64 = 5 * SECOND_NS;
/// Channels of one symbol: book, trades, quote.
const CHANNELS: usize = 3;
/// Symbols of one subscribe message: the venue takes 500 channels [U].
const SYMBOLS_PER_SUBSCRIBE: usize = 160;
const _: () = assert!(SYMBOLS_PER_SUBSCRIBE * CHANNELS <= 500);
const _: () = assert!(
    dp_types::limit::INSTRUMENTS_MAX.div_ceil(SYMBOLS_PER_SUBSCRIBE)
        <= crate::limits::SUBSCRIBE_BURST as usize
);
/// Room for the largest message written: a subscription of [`SYMBOLS_PER_SUBSCRIBE`] symbols of 31 bytes.
const MESSAGE_BYTES: usize = SYMBOLS_PER_SUBSCRIBE * CHANNELS * 48 + 256;

/// One followed instrument's book, as far as asking for it goes.
#[derive(Debug, Clone, Copy, Default)]
struct BookState {
    is_followed: bool,
    channel: Option<BookChannel>,
    /// A snapshot is wanted and not yet asked for.
    is_wanted: bool,
    /// A new subscription is on its way, and its snapshot with it.
    is_awaited: bool,
    asked: UnixNanos,
}

impl BookState {
    /// When the next snapshot may be asked for.
    const fn due(&self) -> UnixNanos {
        match (self.asked.0, self.is_awaited) {
            (0, _) => UnixNanos(0),
            (_, true) => self.asked.after(SNAPSHOT_WAIT_NS),
            (_, false) => self.asked.after(SNAPSHOT_PAUSE_NS),
        }
    }
}

/// One followed symbol, as far as its rules and its trades of ours go.
#[derive(Debug, Clone, Copy)]
struct Followed {
    id: InstrumentId,
    /// Its trades come by multicast, with its single orders: they are told once.
    has_own_trades: bool,
    /// When its rules are asked for (again); `None` once they are here, or the venue has said that it has none.
    rules_due: Option<UnixNanos>,
    /// Number of the newest trade of ours at the end of the last reconciliation that was completed. Never moved
    /// before that end: a run that is lost half way then costs reading some trades again, and never a trade.
    trade_last: u64,
    /// The newest seen in the run under way.
    trade_seen: u64,
}

/// Where reconciliation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Orders,
    Trades,
    Positions,
    Balances,
}

/// One run of reconciliation.
#[derive(Debug, Clone, Copy)]
struct Run {
    number: u32,
    step: Step,
    /// Whose trades are read, by its place among the followed.
    place: usize,
    /// Pages of trades asked for in this run.
    page: u32,
    /// Pages read of this instrument.
    pages: u32,
    /// Trades up to this one are still to be read; 0 = from the newest.
    until: u64,
    /// When to send the step (again).
    at: UnixNanos,
}

/// Everything but the JSON parsers.
#[derive(Debug)]
pub(crate) struct Session {
    links: Vec<LinkSpec>,
    auth: Option<Auth>,
    nonces: Nonces,
    order_window_ms: u32,
    followed: Vec<Followed>,
    /// Their symbols, in the same order.
    symbols: Vec<String>,
    /// Currencies that our balances are told in, lower case.
    currencies: Vec<String>,
    books: Vec<BookState>,
    levels: Levels,
    resting: Resting,
    pub(crate) limits: Limits,
    message: Vec<u8>,
    is_rest_open: bool,
    md: WsLink,
    orders: WsLink,
    are_instruments_ready: bool,
    snapshots_at: Option<UnixNanos>,
    run: Option<Run>,
    runs: u32,
    /// Questions about single orders on their way.
    in_flight: InFlight,
    log: Log,
}

fn min_of(deadlines: impl IntoIterator<Item = Option<UnixNanos>>) -> Option<UnixNanos> {
    deadlines.into_iter().flatten().min()
}

fn web_socket(id: LinkId, (host, port): (String, u16), name: &'static str) -> LinkSpec {
    LinkSpec {
        id,
        kind: LinkKind::WebSocket,
        host,
        port,
        path: "/ws/api/v2".to_owned(),
        name,
        silence_ns_max: SILENCE_NS_MAX,
        is_held: false,
    }
}

impl Session {
    pub(crate) fn new(config: VenueConfig, instruments: &[InstrumentId]) -> Self {
        let auth = Auth::new(&config.secrets);
        let (host, port) = config.rest;
        let rest = LinkSpec {
            kind: LinkKind::Http,
            path: String::new(),
            silence_ns_max: 0,
            ..web_socket(LINK_REST, (host, port), "rest")
        };
        let mut links = vec![rest];
        if config.market_data != MarketData::Multicast {
            links.push(web_socket(LINK_MD, config.public, "md"));
        }
        if auth.is_some() {
            links.push(web_socket(LINK_ORDERS, config.private, "orders"));
        }
        let size = instruments.iter().map(|id| id.0 as usize + 1).max();
        let mut books = vec![BookState::default(); size.unwrap_or(0)];
        for id in instruments {
            if let Some(book) = books.get_mut(id.0 as usize) {
                book.is_followed = true;
            }
        }
        let mut currencies: Vec<String> = config
            .symbols
            .iter()
            .map(|symbol| crate::symbols::currency(symbol).to_ascii_lowercase())
            .collect();
        currencies.sort();
        currencies.dedup();
        let log = Log::new(&config.symbols, config.budget.account);
        let is_starbase = config.market_data == MarketData::Starbase;
        let followed = |(id, symbol): (&InstrumentId, &String)| Followed {
            id: *id,
            has_own_trades: is_starbase && config.l3_symbols.contains(symbol),
            rules_due: Some(UnixNanos(0)),
            trade_last: 0,
            trade_seen: 0,
        };
        let followed = instruments.iter().zip(&config.symbols).map(followed);
        Self {
            followed: followed.collect(),
            links,
            auth,
            nonces: Nonces::new(config.nonce_slot),
            order_window_ms: config.order_window_ms,
            symbols: config.symbols,
            currencies,
            books,
            levels: Levels::default(),
            resting: Resting::default(),
            limits: Limits::new(config.budget),
            message: Vec::with_capacity(MESSAGE_BYTES),
            is_rest_open: false,
            md: WsLink::default(),
            orders: WsLink::default(),
            are_instruments_ready: false,
            snapshots_at: None,
            run: None,
            runs: 0,
            in_flight: InFlight::new(ANSWER_WAIT_NS),
            log,
        }
    }

    /// Whether what is traded is known, with its rules.
    pub(crate) const fn knows_rules(&self) -> bool {
        self.are_instruments_ready
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
                self.run_due(now, out);
            }
            LINK_MD => {
                self.md = WsLink::opened(now);
                for book in &mut self.books {
                    book.channel = None;
                }
                self.link_due(registry, link, now, out);
            }
            LINK_ORDERS => {
                self.orders = WsLink::opened(now);
                self.link_due(registry, link, now, out);
            }
            _ => {}
        }
    }

    pub(crate) fn on_closed(&mut self, link: LinkId, now: Now) {
        match link {
            LINK_REST => {
                self.is_rest_open = false;
                self.in_flight.clear();
                if let Some(run) = &mut self.run {
                    run.at = now.unix;
                }
                for followed in &mut self.followed {
                    followed.rules_due = followed.rules_due.map(|_| now.unix);
                }
            }
            LINK_MD => {
                self.md = WsLink::default();
                self.snapshots_at = None;
                for book in &mut self.books {
                    // The new link's subscriptions bring snapshots of their own.
                    (book.is_wanted, book.is_awaited) = (false, false);
                }
            }
            LINK_ORDERS => self.orders = WsLink::default(),
            _ => {}
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixNanos> {
        let web_sockets = [
            self.md.deadline(),
            self.orders.deadline(),
            self.snapshots_at,
        ];
        let rest = self.is_rest_open.then(|| {
            let rules = self.followed.iter().map(|followed| followed.rules_due);
            min_of(rules.chain([self.run.map(|run| run.at), self.log.at]))
        });
        min_of(web_sockets.into_iter().chain([rest.flatten()]))
    }

    pub(crate) fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        for link in [LINK_MD, LINK_ORDERS] {
            self.link_due(registry, link, now, out);
        }
        if is_due(self.snapshots_at, now) {
            self.ask_snapshots(registry, now, out);
        }
        self.run_due(now, out);
    }

    /// Sends every REST request that is due.
    fn run_due(&mut self, now: Now, out: &mut impl Sink) {
        if !self.is_rest_open {
            return;
        }
        self.ask_rules(now, out);
        if is_due(self.run.map(|run| run.at), now) {
            self.ask_step(now, out);
        }
        self.ask_log(now, out);
    }

    /// Checks link and limits, then writes and sends. Nothing leaves when it errs.
    pub(crate) fn send_order(
        &mut self,
        op: OrderOp,
        now: Now,
        out: &mut impl Sink,
        write: impl FnOnce(u32, &mut Vec<u8>),
    ) -> Result<(), EntryError> {
        self.admit(op, now)?;
        self.message.clear();
        write(self.order_window_ms, &mut self.message);
        out.send_text(LINK_ORDERS, &self.message);
        Ok(())
    }

    /// Takes room for a request about an order, whichever road it leaves by.
    pub(crate) fn admit(&mut self, op: OrderOp, now: Now) -> Result<(), EntryError> {
        if !self.orders.is_ready {
            return Err(EntryError::NotReady);
        }
        if self.limits.order(now.unix, op) {
            Ok(())
        } else {
            Err(EntryError::RateLimited)
        }
    }

    /// A new order goes out with these terms.
    pub(crate) fn note_terms(&mut self, id: ClientOrderId, terms: Option<Terms>) {
        if let Some(terms) = terms {
            self.resting.note(id, terms);
        }
    }

    /// What an amend must tell anew. Errors: [`EntryError::Unsupported`] when it is not known any more.
    pub(crate) fn terms(&self, amend: &AmendOrder) -> Result<Terms, EntryError> {
        let known = self.resting.of(amend.client_id);
        known.ok_or(EntryError::Unsupported)
    }
}

fn is_due(at: Option<UnixNanos>, now: Now) -> bool {
    at.is_some_and(|at| at <= now.unix)
}
