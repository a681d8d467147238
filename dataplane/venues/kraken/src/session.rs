//! Links and their upkeep: the token, subscriptions, pings, snapshots, reconciliation, the dead man's switch.
//!
//! ```text
//! public   open ─(pairs known)─▶ subscribe ─one ack a symbol and channel─▶ Subscribed
//! private  open ─▶ token by REST ─▶ subscribe executions, balances ─acks─▶ LoggedIn ─▶ orders
//! level3   open ─▶ token by REST ─▶ subscribe ─acks─▶ Subscribed
//! reconcile   OpenOrders ─▶ TradesHistory pages since what is known ─▶ BalanceEx ─▶ Reconciled
//! ```
//! Whatever cannot be done now (link down, counter full, answer lost) is tried again at a deadline; nothing here
//! waits, and nothing here sends an order twice.

mod answers;
mod books;
mod level3;
mod receive;
mod reconcile;
mod send;
mod subscribe;

use crate::auth::{Auth, Nonce};
use crate::entry::NEW_MAX;
use crate::feed::Levels;
use crate::limits::Limits;
use crate::orders::Orders;
use crate::{LINK_L3, LINK_PRIVATE, LINK_PUBLIC, LINK_REST};
use dp_types::{InstrumentId, LinkId, Now, Text, UnixNanos};
use dp_venue_api::{InFlight, LinkKind, LinkSpec, Patience, Registry, Sink, VenueConfig, WsLink};
use level3::Level3;

const SECOND_NS: u64 = 1_000_000_000;
/// With a subscription the venue speaks every second: five seconds without a word are a dead link.
const PATIENCE: Patience = Patience {
    ping_after_ns: 3 * SECOND_NS,
    pong_wait_ns: 2 * SECOND_NS,
};
/// Silence after which the transport gives the link up, should all else fail.
const SILENCE_NS_MAX: u64 = 10 * SECOND_NS;
/// How long the token and subscriptions may take together.
const READY_WAIT_NS: u64 = 15 * SECOND_NS;
/// Pause before a failed REST request is tried again.
const RETRY_NS: u64 = 2 * SECOND_NS;
/// How long a REST answer may take before it counts as lost. A request that is lost or was never sent is answered
/// by status 0, so this is for the case that not even that comes.
const ANSWER_WAIT_NS: u64 = 45 * SECOND_NS;
/// Pause between two snapshots of one book.
const SNAPSHOT_PAUSE_NS: u64 = SECOND_NS;
/// How long a new subscription may take to bring its snapshot.
const SNAPSHOT_WAIT_NS: u64 = 5 * SECOND_NS;
/// Symbols of one subscribe message.
const SYMBOLS_PER_SUBSCRIBE: usize = 50;
/// Room for the largest message written: fifteen new orders, a cancel of fifty, a subscription of fifty symbols.
const MESSAGE_BYTES: usize = 4_096;
const _: () = assert!(NEW_MAX * 224 + TOKEN_MAX + 256 <= MESSAGE_BYTES);
/// Where single orders are, if the configuration names no other host.
const L3_HOST: &str = "ws-l3.kraken.com";
const L3_PORT: u16 = 443;
/// Longest token we take; the venue's have near 43 characters.
const TOKEN_MAX: usize = 128;
/// How far back the first reconciliation reads trades: three days.
const FIRST_FILLS_NS: u64 = 3 * 86_400 * SECOND_NS;
/// By how much reconciliations overlap: the venue lists trades by times of a tenth of a millisecond.
const FILLS_OVERLAP_NS: u64 = 60 * SECOND_NS;

/// Silence after which the venue cancels all orders of the account.
pub const DEAD_MAN_TIMEOUT_S: u32 = 60;
/// How often the switch is pushed back: four times within its time.
pub const DEAD_MAN_REARM_NS: u64 = 15 * SECOND_NS;
const _: () = assert!(DEAD_MAN_REARM_NS * 2 < DEAD_MAN_TIMEOUT_S as u64 * SECOND_NS);

const PING: &[u8] = br#"{"method":"ping"}"#;

/// A link made now, to be ready in time.
fn opened(now: Now) -> WsLink {
    WsLink::opened(now, Some(now.unix.after(READY_WAIT_NS)))
}

/// What a book's subscription waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Waits {
    #[default]
    Nothing,
    /// The end of the old subscription: requests may overtake each other at the venue, so the new one is asked
    /// for only then.
    Unsubscribed,
    /// Room for what the new one costs: of single orders.
    Room,
    /// The snapshot of the new one.
    Snapshot,
}

/// One followed instrument's book, as far as asking for it goes.
#[derive(Debug, Clone, Copy, Default)]
struct BookState {
    is_followed: bool,
    /// A snapshot is wanted and not here.
    is_wanted: bool,
    waits: Waits,
    asked: UnixNanos,
}

impl BookState {
    /// When the next snapshot may be asked for.
    fn due(&self) -> UnixNanos {
        match (self.asked.0, self.waits) {
            (0, _) => UnixNanos(0),
            (_, Waits::Nothing) => self.asked.after(SNAPSHOT_PAUSE_NS),
            _ => self.asked.after(SNAPSHOT_WAIT_NS),
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
    page: u32,
    /// Trades are read from here on.
    from: UnixNanos,
    /// Time of the newest trade seen in this run; 0 when the pages did not reach back to what was known.
    newest: u64,
    /// When to send the step (again).
    at: UnixNanos,
}

/// A counter of messages of a private channel: each is one above the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sequence(Option<u64>);

impl Sequence {
    /// Whether nothing is missing before this message.
    fn follows(&mut self, got: Option<u64>) -> bool {
        let Some(got) = got else {
            return true; // the venue gave none
        };
        let follows = self.0.is_none_or(|last| last.wrapping_add(1) == got);
        self.0 = Some(got);
        follows
    }
}

/// Everything but the JSON parsers.
#[derive(Debug)]
pub(crate) struct Session {
    links: Vec<LinkSpec>,
    auth: Option<Auth>,
    nonce: Nonce,
    order_window_ms: u32,
    symbols: Vec<InstrumentId>,
    books: Vec<BookState>,
    levels: Levels,
    orders: Orders,
    pub(crate) limits: Limits,
    message: Vec<u8>,
    number: u64,
    is_rest_open: bool,
    public: WsLink,
    private: WsLink,
    level3: Level3,
    /// When the list of pairs is asked for (again); `None` once it is here.
    pairs_at: Option<UnixNanos>,
    are_instruments_ready: bool,
    /// Of this opening of the private link.
    token: Text<TOKEN_MAX>,
    token_number: u32,
    /// When the token is asked for (again).
    token_at: Option<UnixNanos>,
    executions: Sequence,
    balances: Sequence,
    run: Option<Run>,
    runs: u32,
    /// Questions about single orders on their way.
    in_flight: InFlight,
    strays: u32,
    /// Newest trade at the end of the last reconciliation that was completed, 0 before. Never moved before that
    /// end: a run that is lost half way costs reading some trades again (they are known by their ids).
    fills_known: u64,
    dead_man_at: Option<UnixNanos>,
}

fn min_of(deadlines: impl IntoIterator<Item = Option<UnixNanos>>) -> Option<UnixNanos> {
    deadlines.into_iter().flatten().min()
}

impl Session {
    pub(crate) fn new(config: VenueConfig, instruments: &[InstrumentId]) -> Self {
        let auth = Auth::new(&config.secrets);
        let web_socket = |id, (host, port): (String, u16), name| LinkSpec {
            id,
            kind: LinkKind::WebSocket,
            host,
            port,
            path: "/v2".to_owned(),
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
            web_socket(LINK_PUBLIC, config.public, "md"),
        ];
        if auth.is_some() {
            links.push(web_socket(LINK_PRIVATE, config.private, "orders"));
        }
        let followed = instruments.iter().zip(&config.symbols);
        let followed = followed.filter(|(_, symbol)| config.l3_symbols.contains(symbol));
        let followed = followed.filter(|_| auth.is_some());
        let level3 = Level3::new(followed.map(|(id, _)| *id));
        if !level3.is_empty() {
            let (host, port) = match config.l3.0.as_str() {
                "" => (L3_HOST.to_owned(), L3_PORT),
                _ => config.l3,
            };
            links.push(web_socket(LINK_L3, (host, port), "l3"));
        }
        let size = instruments.iter().map(|id| id.0 as usize + 1).max();
        let mut books = vec![BookState::default(); size.unwrap_or(0)];
        for id in instruments {
            if let Some(book) = books.get_mut(id.0 as usize) {
                book.is_followed = true;
            }
        }
        Self {
            links,
            auth,
            nonce: Nonce::new(config.nonce_slot),
            order_window_ms: config.order_window_ms,
            symbols: instruments.to_vec(),
            books,
            levels: Levels::default(),
            orders: Orders::default(),
            limits: Limits::new(instruments, config.budget),
            message: Vec::with_capacity(MESSAGE_BYTES),
            number: 0,
            is_rest_open: false,
            public: WsLink::default(),
            private: WsLink::default(),
            level3,
            pairs_at: Some(UnixNanos(0)),
            are_instruments_ready: false,
            token: Text::EMPTY,
            token_number: 0,
            token_at: None,
            executions: Sequence::default(),
            balances: Sequence::default(),
            run: None,
            runs: 0,
            in_flight: InFlight::new(ANSWER_WAIT_NS),
            strays: 0,
            fills_known: 0,
            dead_man_at: None,
        }
    }

    pub(crate) fn links(&self) -> &[LinkSpec] {
        &self.links
    }

    /// A number for the next token: no two openings of links have one.
    fn next_token(&self) -> u32 {
        let last = self.token_number.max(self.level3.number());
        last.wrapping_add(1).max(1)
    }

    /// A number for the next message, from 1.
    fn next_number(&mut self) -> u64 {
        self.number = self.number.wrapping_add(1).max(1);
        self.number
    }

    fn web_socket(&mut self, link: LinkId) -> &mut WsLink {
        match link {
            LINK_PRIVATE => &mut self.private,
            LINK_L3 => &mut self.level3.ws,
            _ => &mut self.public,
        }
    }

    /// Something arrived on a WebSocket link.
    pub(crate) fn heard(&mut self, link: LinkId, now: Now) {
        if link != LINK_REST {
            let ws = self.web_socket(link);
            ws.heard(now);
        }
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
                self.public = opened(now);
                self.subscribe_public(registry, now, out);
            }
            LINK_PRIVATE => {
                self.private = opened(now);
                self.token = Text::EMPTY;
                self.token_number = self.next_token();
                self.token_at = Some(now.unix);
                (self.executions, self.balances) = (Sequence::default(), Sequence::default());
                self.run_due(registry, now, out);
            }
            LINK_L3 => self.open_level3(now, out),
            _ => {}
        }
    }

    pub(crate) fn on_closed(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        match link {
            LINK_REST => {
                self.is_rest_open = false;
                self.in_flight.clear();
                self.pairs_at = self.pairs_at.map(|_| now.unix);
                self.token_at = self.token_at.map(|_| now.unix);
                self.level3.token_at = self.level3.token_at.map(|_| now.unix);
                if let Some(run) = &mut self.run {
                    run.at = now.unix;
                }
            }
            LINK_PUBLIC => {
                self.public = WsLink::default();
                for book in &mut self.books {
                    // The next subscription brings a snapshot.
                    (book.is_wanted, book.waits) = (false, Waits::Nothing);
                }
            }
            LINK_PRIVATE => {
                self.private = WsLink::default();
                self.token = Text::EMPTY;
                self.token_at = None;
                // Not armed again until logged in: if that takes long, the venue clears our orders.
                self.dead_man_at = None;
            }
            LINK_L3 => self.close_level3(out),
            _ => {}
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixNanos> {
        let web_sockets = min_of([
            self.public.deadline(PATIENCE),
            self.private.deadline(PATIENCE),
            self.level3.ws.deadline(PATIENCE),
            self.level3.due(),
            self.books_due(),
            self.dead_man_at,
        ]);
        if !self.is_rest_open {
            return web_sockets; // the rest waits for the link
        }
        let run_at = self.run.map(|run| run.at);
        let tokens_at = min_of([self.token_at, self.level3.token_at]);
        min_of([web_sockets, self.pairs_at, tokens_at, run_at])
    }

    pub(crate) fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        for (ws, link) in [
            (&mut self.public, LINK_PUBLIC),
            (&mut self.private, LINK_PRIVATE),
        ] {
            ws.on_deadline(PATIENCE, (link, PING), now, out);
        }
        self.level3_due(registry, now, out);
        self.ask_snapshots(registry, now, out);
        if is_due(self.dead_man_at, now) {
            self.arm_dead_man(now, out);
        }
        self.run_due(registry, now, out);
    }

    /// Sends every REST request that is due.
    fn run_due(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.is_rest_open {
            return;
        }
        if is_due(self.pairs_at, now) {
            self.ask_pairs(now, out);
        }
        if is_due(self.token_at, now) {
            self.ask_token(now, out);
        }
        if is_due(self.level3.token_at, now) {
            self.ask_level3_token(now, out);
        }
        if is_due(self.run.map(|run| run.at), now) {
            self.ask_step(now, out);
        }
        let _ = registry;
    }
}

fn is_due(at: Option<UnixNanos>, now: Now) -> bool {
    at.is_some_and(|at| at <= now.unix)
}
