//! Links and their upkeep: login, subscriptions, pings, books anew, reconciliation, the dead man's switch.
//!
//! ```text
//! public    open ─(rules known)─▶ subscribe ─acks─▶ Subscribed
//! orders    open ─▶ login ─ack─▶ ready ──────────────────┐
//! private   open ─▶ login ─ack─▶ subscribe ─ack─▶ ready ─┴▶ LoggedIn ─▶ orders, dead man's switch
//! reconcile   Orders pages ─▶ Fills pages since the last known ─▶ Positions pages ─▶ Balance ─▶ Reconciled
//! ```
//! Whatever cannot be done now (link down, window full, answer lost) is tried again at a deadline; nothing here
//! waits, and nothing here sends an order twice.

mod answers;
mod books;
mod dead_man;
mod link;
mod receive;
mod reconcile;
mod subscribe;

pub use dead_man::DEAD_MAN_WINDOW_S;

use crate::auth::{Auth, LOGIN_LIFE_MS, LOGIN_MAX};
use crate::feed::{Depth, Levels};
use crate::limits::{Limits, OrderOp};
use crate::symbols::Category;
use crate::{LINK_ORDERS, LINK_PRIVATE, LINK_PUBLIC, LINK_REST};
use dead_man::PRIVATE_ACTIVE_S;
use dp_types::{InstrumentId, LinkId, Now, RejectReason, UnixNanos};
use dp_venue_api::{
    Control, EntryError, Event, InFlight, LinkKind, LinkSpec, Registry, Sink, VenueConfig,
};
use dp_wire::buf::Buf;
use link::{SILENCE_NS_MAX, WsLink};
use reconcile::Run;

const SECOND_NS: u64 = 1_000_000_000;
/// Pause before a failed REST request is tried again.
const RETRY_NS: u64 = SECOND_NS;
/// How long a REST answer may take before it counts as lost. A request that is lost or was never sent is answered by
/// status 0, so this is for the case that not even that comes: longer than the venue takes a signature, so that none
/// is asked twice that still counts.
const ANSWER_WAIT_NS: u64 = 45 * SECOND_NS;
/// Levels a side of the book we follow, every 20 ms.
pub const BOOK_DEPTH: u16 = 50;
/// The same of options, which have other depths.
const OPTION_DEPTH: u16 = 25;
/// Room for the largest message written: a batch of 20 cancels, some 90 bytes each.
const MESSAGE_BYTES: usize = 4_096;

/// One followed instrument.
#[derive(Debug, Clone, Copy)]
struct Followed {
    id: InstrumentId,
    /// When its rules are asked for (again); `None` once they are here, or never will be.
    due: Option<UnixNanos>,
}

/// One followed instrument's book, as far as asking for it goes.
#[derive(Debug, Clone, Copy, Default)]
struct BookState {
    is_followed: bool,
    channel: Option<Depth>,
    /// A new subscription is wanted and not yet asked for.
    is_wanted: bool,
    asked: UnixNanos,
    /// A snapshot must have come by then.
    snapshot_by: Option<UnixNanos>,
}

/// Everything but the JSON parsers.
#[derive(Debug)]
pub(crate) struct Session {
    links: Vec<LinkSpec>,
    auth: Option<Auth>,
    order_window_ms: u32,
    /// What the machine trades; `None` of a tool's machine, which has no symbols and reads all.
    category: Option<Category>,
    followed: Vec<Followed>,
    books: Vec<BookState>,
    levels: Levels,
    pub(crate) limits: Limits,
    message: Vec<u8>,
    number: u64,
    is_rest_open: bool,
    public: WsLink,
    orders: WsLink,
    private: WsLink,
    /// [`Control::LoggedIn`] was said, and both links have lived since.
    is_logged_in: bool,
    are_rules_ready: bool,
    books_at: Option<UnixNanos>,
    run: Option<Run>,
    runs: u32,
    /// Questions about single orders on their way.
    in_flight: InFlight,
    /// Time of the newest fill at the end of the last reconciliation that was completed, Unix milliseconds: fills
    /// before it are known. Never moved before that end: a run that is lost half way then costs reading some fills
    /// again (they are known by their ids), and never a fill.
    fill_ms_last: u64,
    dead_man_at: Option<UnixNanos>,
}

fn min_of(deadlines: impl IntoIterator<Item = Option<UnixNanos>>) -> Option<UnixNanos> {
    deadlines.into_iter().flatten().min()
}

impl Session {
    pub(crate) fn new(config: VenueConfig, instruments: &[InstrumentId]) -> Self {
        let auth = Auth::new(&config.secrets);
        let category = config.symbols.first().map(|symbol| Category::of(symbol));
        let traded = category.unwrap_or(Category::Spot);
        let http = LinkSpec {
            id: LINK_REST,
            kind: LinkKind::Http,
            host: config.rest.0,
            port: config.rest.1,
            path: String::new(),
            name: "rest",
            silence_ns_max: 0,
            is_held: false,
        };
        let web_socket = |id, (host, port): (String, u16), path: &str, name| LinkSpec {
            id,
            kind: LinkKind::WebSocket,
            host,
            port,
            path: format!("/v5/{path}"),
            name,
            silence_ns_max: SILENCE_NS_MAX,
            is_held: false,
        };
        let public = format!("public/{}", traded.as_str());
        let mut links = vec![http, web_socket(LINK_PUBLIC, config.public, &public, "md")];
        if auth.is_some() {
            let hosts = [config.private.clone(), config.private];
            let private = format!("private?max_active_time={PRIVATE_ACTIVE_S}s");
            let names = [
                (LINK_ORDERS, "trade", "orders"),
                (LINK_PRIVATE, private.as_str(), "private"),
            ];
            for (host, (id, path, name)) in hosts.into_iter().zip(names) {
                links.push(web_socket(id, host, path, name));
            }
        }
        let size = instruments.iter().map(|id| id.0 as usize + 1).max();
        let mut books = vec![BookState::default(); size.unwrap_or(0)];
        for id in instruments {
            if let Some(book) = books.get_mut(id.0 as usize) {
                book.is_followed = true;
            }
        }
        let followed = instruments.iter().zip(&config.symbols);
        let followed = followed.map(|(&id, symbol)| Followed {
            id,
            // What is of another category never gets rules: it must not trade.
            due: (Category::of(symbol) == traded).then_some(UnixNanos(0)),
        });
        Self {
            links,
            auth,
            order_window_ms: config.order_window_ms,
            category,
            followed: followed.collect(),
            books,
            levels: Levels::default(),
            limits: Limits::new(traded, config.budget),
            message: Vec::with_capacity(MESSAGE_BYTES),
            number: 0,
            is_rest_open: false,
            public: WsLink::default(),
            orders: WsLink::default(),
            private: WsLink::default(),
            is_logged_in: false,
            are_rules_ready: false,
            books_at: None,
            run: None,
            runs: 0,
            in_flight: InFlight::new(ANSWER_WAIT_NS),
            fill_ms_last: 0,
            dead_man_at: None,
        }
    }

    /// What the machine trades.
    pub(crate) fn category(&self) -> Category {
        self.category.unwrap_or(Category::Spot)
    }

    pub(crate) fn links(&self) -> &[LinkSpec] {
        &self.links
    }

    /// A number for the next request, from 1.
    fn next_number(&mut self) -> u64 {
        self.number = self.number.wrapping_add(1).max(1);
        self.number
    }

    fn web_socket(&mut self, link: LinkId) -> Option<&mut WsLink> {
        match link {
            LINK_PUBLIC => Some(&mut self.public),
            LINK_ORDERS => Some(&mut self.orders),
            LINK_PRIVATE => Some(&mut self.private),
            _ => None,
        }
    }

    /// Something arrived on a WebSocket link.
    pub(crate) fn heard(&mut self, link: LinkId) {
        if let Some(ws) = self.web_socket(link) {
            ws.heard();
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
                self.public = WsLink::opened(now);
                self.subscribe_public(registry, now, out);
            }
            LINK_ORDERS | LINK_PRIVATE => {
                if let Some(ws) = self.web_socket(link) {
                    *ws = WsLink::opened(now);
                }
                self.log_in(link, now, out);
            }
            _ => {}
        }
    }

    fn log_in(&self, link: LinkId, now: Now, out: &mut impl Sink) {
        let mut login = Buf::<LOGIN_MAX>::new();
        let expires_ms = now.unix.millis().saturating_add(LOGIN_LIFE_MS);
        let auth = self.auth.as_ref();
        if auth.is_some_and(|auth| auth.write_login(expires_ms, &mut login).is_ok()) {
            out.send_text(link, login.as_bytes());
        } else {
            out.event(&Event::Control(Control::LoginRefused(RejectReason::Auth)));
        }
    }

    /// A link of the pair orders and private became ready: both must be.
    fn tell_ready(&mut self, now: Now, out: &mut impl Sink) {
        if self.orders.is_ready && self.private.is_ready {
            self.is_logged_in = true;
            self.dead_man_at = Some(now.unix);
            out.event(&Event::Control(Control::LoggedIn(LINK_ORDERS)));
        }
    }

    pub(crate) fn on_closed(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        match link {
            LINK_REST => {
                self.is_rest_open = false;
                self.in_flight.clear();
                self.dead_man_at = self.dead_man_at.map(|_| now.unix);
                if let Some(run) = &mut self.run {
                    run.at = now.unix;
                }
                for followed in &mut self.followed {
                    followed.due = followed.due.map(|_| now.unix);
                }
            }
            LINK_PUBLIC => {
                self.public = WsLink::default();
                self.books_at = None;
                for book in &mut self.books {
                    // The new stream begins with snapshots.
                    book.channel = None;
                    book.is_wanted = false;
                    book.snapshot_by = None;
                }
            }
            LINK_ORDERS => {
                self.orders = WsLink::default();
                self.is_logged_in = false;
                self.dead_man_at = None;
            }
            LINK_PRIVATE => {
                self.private = WsLink::default();
                self.dead_man_at = None;
                if core::mem::take(&mut self.is_logged_in) {
                    // What became of our orders is not told any more: whoever sends them must learn that.
                    self.orders.is_ready = false;
                    out.reconnect(LINK_ORDERS, "the private stream is gone");
                }
            }
            _ => {}
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixNanos> {
        let web_sockets = min_of([
            self.public.deadline(),
            self.orders.deadline(),
            self.private.deadline(),
            self.books_at.filter(|_| self.public.is_open),
        ]);
        if !self.is_rest_open {
            return web_sockets; // the rest waits for the link
        }
        min_of([
            web_sockets,
            self.rules_due(),
            self.run.as_ref().map(|run| run.at),
            self.dead_man_at,
        ])
    }

    pub(crate) fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.public.on_deadline(LINK_PUBLIC, now, out);
        self.orders.on_deadline(LINK_ORDERS, now, out);
        self.private.on_deadline(LINK_PRIVATE, now, out);
        if self.books_at.is_some_and(|at| at <= now.unix) {
            self.resubscribe_books(registry, now, out);
        }
        self.run_due(registry, now, out);
    }

    /// Sends every REST request that is due.
    fn run_due(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.is_rest_open {
            return;
        }
        let is_due = |at: Option<UnixNanos>| at.is_some_and(|at| at <= now.unix);
        if is_due(self.rules_due()) {
            self.ask_rules(registry, now, out);
        }
        if is_due(self.run.as_ref().map(|run| run.at)) {
            self.ask_step(registry, now, out);
        }
        if is_due(self.dead_man_at) {
            self.ask_dead_man(now, out);
        }
    }

    /// Orders a batch of cancels may name.
    pub(crate) fn batch_max(&self) -> usize {
        self.limits.batch_max(self.category().batch_max())
    }

    /// Checks links and limits, then writes and sends: `write` gets a number of its own, the validity window in
    /// milliseconds, and room. Nothing leaves when it errs.
    pub(crate) fn send_order(
        &mut self,
        op: OrderOp,
        count: u32,
        now: Now,
        out: &mut impl Sink,
        write: impl FnOnce(u64, u32, &mut Vec<u8>),
    ) -> Result<(), EntryError> {
        if !(self.orders.is_ready && self.private.is_ready) {
            return Err(EntryError::NotReady);
        }
        if !self.limits.order(now.unix, op, count) {
            return Err(EntryError::RateLimited);
        }
        let number = self.next_number();
        self.message.clear();
        write(number, self.order_window_ms, &mut self.message);
        out.send_text(LINK_ORDERS, &self.message);
        Ok(())
    }
}
