//! Links and their upkeep: subscriptions, snapshots, reconciliation, orders on their way.
//!
//! ```text
//! md      open ─(products known)─▶ subscribe level2, matches or full, ticker, heartbeat ─▶ Subscribed
//! orders  open ─(products known)─▶ signed subscribe user, heartbeat ─▶ LoggedIn ─▶ orders may go out on `entry`
//! reconcile   open orders of each product ─▶ fills of each, back to the last known ─▶ balances ─▶ Reconciled
//! ```
//! A link that opens before the products are known says nothing: the venue ends it after 5 s, and it is opened
//! again. Heartbeats come every second, so a link that is silent for longer is dead; the lane judges that. Whatever
//! cannot be done now (link down, bucket empty, answer lost) is tried again at a deadline; nothing here waits, and
//! nothing here sends an order twice.

mod answers;
mod books;
mod orders;
mod receive;
mod reconcile;
mod singles;
mod subscribe;

use crate::account::Tracks;
use crate::auth::Auth;
use crate::entry::Unanswered;
use crate::feed::Levels;
use crate::feed::advanced::Count;
use crate::limits::{Kind, Limits};
use crate::rest::{self, Ask};
use crate::{LINK_ENTRY, LINK_PUBLIC, LINK_REST, LINK_USER};
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{InstrumentId, LinkId, Now, RawOrder, RejectReason, TradeId, UnixNanos};
use dp_venue_api::{Control, Event, InFlight, LinkKind, LinkSpec, Registry, Sink, VenueConfig};
use singles::Single;

const SECOND_NS: u64 = 1_000_000_000;
/// Heartbeats come every second; ten missed in a row are no accident.
const SILENCE_NS_MAX: u64 = 10 * SECOND_NS;
/// How long a subscription may take.
const READY_WAIT_NS: u64 = 10 * SECOND_NS;
/// Pause before a failed request is tried again.
const RETRY_NS: u64 = SECOND_NS;
/// How long a REST answer may take before it counts as lost. A request that is lost or was never sent is answered
/// by status 0, so this is for the case that not even that comes: longer than the venue takes a signature.
const ANSWER_WAIT_NS: u64 = 45 * SECOND_NS;
/// Symbols of 31 bytes at most in quotes, and what stands around them: one subscribe message.
const MESSAGE_BYTES: usize = dp_types::limit::INSTRUMENTS_MAX * 34 + 1_024;

/// One WebSocket link.
#[derive(Debug, Clone, Copy, Default)]
struct WsLink {
    is_open: bool,
    /// A subscription is on its way or confirmed.
    is_asked: bool,
    /// Confirmed.
    is_ready: bool,
    ready_by: Option<UnixNanos>,
}

impl WsLink {
    fn on_deadline(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        if self.ready_by.is_some_and(|at| at <= now.unix) {
            *self = Self::default();
            out.reconnect(link, "the subscription was not confirmed in time");
        }
    }
}

/// One followed instrument's book, as far as asking for it goes.
#[derive(Debug, Clone, Copy, Default)]
struct BookState {
    is_followed: bool,
    /// A snapshot is wanted and not yet asked for.
    is_wanted: bool,
    /// A subscription that pushes one is on its way.
    is_awaited: bool,
    attempts: u32,
    asked: UnixNanos,
}

/// Where reconciliation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Orders,
    Fills,
    Accounts,
}

/// One run of reconciliation.
#[derive(Debug, Clone, Copy)]
struct Run {
    number: u32,
    step: Step,
    /// Which of the followed instruments.
    index: usize,
    page: u16,
    /// Page on from this trade.
    after: u128,
    /// When to send the step (again).
    at: UnixNanos,
}

/// Everything but the JSON parsers.
#[derive(Debug)]
pub(crate) struct Session {
    links: Vec<LinkSpec>,
    auth: Option<Auth>,
    /// A key was given and is of no use.
    is_key_bad: bool,
    symbols: Vec<InstrumentId>,
    books: Vec<BookState>,
    levels: Levels,
    /// Products whose single orders are followed: with keys only.
    singles: Vec<Single>,
    /// The channel of single orders is confirmed.
    is_full_ready: bool,
    /// Room for a piece of a book of single orders.
    orders: Vec<RawOrder>,
    count: Count,
    tracks: Tracks,
    pub(crate) limits: Limits,
    message: Vec<u8>,
    target: Vec<u8>,
    is_rest_open: bool,
    is_entry_open: bool,
    public: WsLink,
    user: WsLink,
    /// When the products are asked for (again); `None` once they are here.
    products_due: Option<UnixNanos>,
    snapshots_at: Option<UnixNanos>,
    run: Option<Run>,
    runs: u32,
    /// Of each followed instrument the newest trade of ours in this run, and at the end of the last run that was
    /// completed: fills up to that are known. Never moved before that end: a run that is lost half way then costs
    /// reading some fills again (they are known by their ids), and never a fill.
    newest: Vec<TradeId>,
    known: Vec<TradeId>,
    /// Questions about single orders on their way.
    in_flight: InFlight,
    unanswered: Unanswered,
}

fn min_of(deadlines: impl IntoIterator<Item = Option<UnixNanos>>) -> Option<UnixNanos> {
    deadlines.into_iter().flatten().min()
}

impl Session {
    pub(crate) fn new(config: VenueConfig, instruments: &[InstrumentId]) -> Self {
        let (auth, is_key_bad) = match Auth::new(&config.secrets) {
            Ok(auth) => (auth, false),
            Err(_) => (None, true),
        };
        let http = |id, (host, port): &(String, u16), name| LinkSpec {
            id,
            kind: LinkKind::Http,
            host: host.clone(),
            port: *port,
            path: String::new(),
            name,
            silence_ns_max: 0,
            is_held: false,
        };
        let web_socket = |id, (host, port): &(String, u16), name| LinkSpec {
            id,
            kind: LinkKind::WebSocket,
            host: host.clone(),
            port: *port,
            path: "/".to_owned(),
            name,
            silence_ns_max: SILENCE_NS_MAX,
            is_held: false,
        };
        let followed = instruments.iter().zip(&config.symbols);
        let followed = followed.filter(|(_, symbol)| config.l3_symbols.contains(symbol));
        let singles: Vec<_> = match auth {
            Some(_) => followed.map(|(id, _)| Single::new(*id)).collect(),
            None => Vec::new(),
        };
        let room = if singles.is_empty() {
            0
        } else {
            MSG_LEVELS_MAX
        };
        let mut links = vec![
            http(LINK_REST, &config.rest, "rest"),
            web_socket(LINK_PUBLIC, &config.public, "md"),
        ];
        if auth.is_some() {
            links.push(web_socket(LINK_USER, &config.private, "orders"));
            links.push(http(LINK_ENTRY, &config.rest, "entry"));
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
            is_key_bad,
            symbols: instruments.to_vec(),
            books,
            levels: Levels::default(),
            singles,
            is_full_ready: false,
            orders: Vec::with_capacity(room),
            count: Count::default(),
            tracks: Tracks::default(),
            limits: Limits::new(config.budget),
            message: Vec::with_capacity(MESSAGE_BYTES),
            target: Vec::with_capacity(128),
            is_rest_open: false,
            is_entry_open: false,
            public: WsLink::default(),
            user: WsLink::default(),
            products_due: Some(UnixNanos(0)),
            snapshots_at: None,
            run: None,
            runs: 0,
            newest: vec![TradeId(0); instruments.len()],
            known: vec![TradeId(0); instruments.len()],
            in_flight: InFlight::new(ANSWER_WAIT_NS),
            unanswered: Unanswered::default(),
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
        let opened = WsLink {
            is_open: true,
            ..WsLink::default()
        };
        match link {
            LINK_REST => {
                self.is_rest_open = true;
                if self.is_key_bad {
                    out.event(&Event::Control(Control::LoginRefused(RejectReason::Auth)));
                }
                self.run_due(registry, now, out);
            }
            LINK_PUBLIC => {
                self.public = opened;
                self.count.restart();
                self.subscribe_public(registry, now, out);
            }
            LINK_USER => {
                self.user = opened;
                self.subscribe_user(registry, now, out);
            }
            LINK_ENTRY => self.is_entry_open = true,
            _ => {}
        }
    }

    pub(crate) fn on_closed(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        match link {
            LINK_REST => {
                self.is_rest_open = false;
                self.in_flight.clear();
                if let Some(run) = &mut self.run {
                    run.at = now.unix;
                }
                self.products_due = self.products_due.map(|_| now.unix);
            }
            LINK_PUBLIC => {
                self.public = WsLink::default();
                self.snapshots_at = None;
                for book in &mut self.books {
                    // The next subscription pushes all of them.
                    (book.is_wanted, book.is_awaited) = (false, false);
                }
                self.lose_singles(out);
            }
            LINK_USER => {
                self.user = WsLink::default();
                self.tracks.lose_count();
            }
            LINK_ENTRY => self.is_entry_open = false,
            _ => {}
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixNanos> {
        let web_sockets = min_of([
            self.public.ready_by,
            self.user.ready_by,
            self.snapshots_at.filter(|_| self.public.is_open),
        ]);
        if !self.is_rest_open {
            return web_sockets; // the rest waits for the link
        }
        let run_at = self.run.map(|run| run.at);
        min_of([web_sockets, self.products_due, self.singles_due(), run_at])
    }

    pub(crate) fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.public.on_deadline(LINK_PUBLIC, now, out);
        self.user.on_deadline(LINK_USER, now, out);
        if self.snapshots_at.is_some_and(|at| at <= now.unix) {
            self.ask_snapshots(registry, now, out);
        }
        self.run_due(registry, now, out);
    }

    /// Sends every REST request that is due.
    fn run_due(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.is_rest_open {
            return;
        }
        let is_due = |at: Option<UnixNanos>| at.is_some_and(|at| at <= now.unix);
        if is_due(self.products_due) {
            let may = self.limits.take(now.unix, Kind::Public);
            let wait_ns = if may { ANSWER_WAIT_NS } else { RETRY_NS };
            self.products_due = Some(now.unix.after(wait_ns));
            if may {
                rest::get(Ask::Products, "/products", out);
            }
        }
        if is_due(self.run.map(|run| run.at)) {
            self.ask_step(registry, now, out);
        }
        if is_due(self.singles_due()) {
            self.ask_singles(registry, now, out);
        }
    }
}
