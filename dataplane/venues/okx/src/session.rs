//! Links and their upkeep: login, subscriptions, pings, snapshots, reconciliation, the dead man's
//! switch.
//!
//! ```text
//! public   open ─(instruments known)─▶ subscribe ─acks─▶ Subscribed
//! private  open ─▶ login ─ack─▶ subscribe orders, account ─acks─▶ LoggedIn ─▶ orders
//! reconcile   Pending pages ─▶ Fills pages back to the last known bill ─▶ Balance ─▶ Reconciled
//! ```
//! Whatever cannot be done now (link down, window full, answer lost) is tried again at a deadline;
//! nothing here waits, and nothing here sends an order twice.

mod answers;
mod books;
mod receive;
mod reconcile;
mod subscribe;

use crate::auth::{Auth, LOGIN_MAX};
use crate::feed::{BookChannel, Levels};
use crate::funding::Bills;
use crate::limits::{Limits, OrderOp};
use crate::symbols::InstType;
use crate::{LINK_PRIVATE, LINK_PUBLIC, LINK_REST};
use dp_types::{InstrumentId, LinkId, Now, RejectReason, UnixNanos};
use dp_venue_api::{
    Control, EntryError, Event, InFlight, LinkKind, LinkSpec, Patience, Registry, Sink,
    VenueConfig, WsLink,
};
use dp_wire::buf::Buf;

pub(crate) const SECOND_NS: u64 = 1_000_000_000;
/// The venue closes a link after 30 s without a message.
const SILENCE_NS_MAX: u64 = 30 * SECOND_NS;
/// When we ping, and how long the answer may take: within the venue's 30 s.
const PATIENCE: Patience = Patience {
    ping_after_ns: 20 * SECOND_NS,
    pong_wait_ns: 8 * SECOND_NS,
};
const PING: &[u8] = b"ping";
/// How long login and subscriptions may take together.
const READY_WAIT_NS: u64 = 10 * SECOND_NS;
/// Pause before a failed REST request is tried again.
const RETRY_NS: u64 = SECOND_NS;
/// How long a REST answer may take before it counts as lost. A request that is lost or was never sent is
/// answered by status 0, so this is for the case that not even that comes: longer than the 30 s for which the
/// venue takes a signature, so that none is asked twice that still counts.
pub(crate) const ANSWER_WAIT_NS: u64 = 45 * SECOND_NS;
/// Pause between two snapshots of one book.
const SNAPSHOT_PAUSE_NS: u64 = SECOND_NS / 2;
/// Every so many snapshots in a row the channel is subscribed anew instead.
const RESUBSCRIBE_EVERY: u32 = 4;
/// A book that asked for nothing this long is well again.
const SNAPSHOT_CALM_NS: u64 = 60 * SECOND_NS;
/// Symbols of one subscribe message: 3 arguments of at most 80 bytes, far under the venue's 64 KiB.
const SYMBOLS_PER_SUBSCRIBE: usize = 100;
/// Channels of one symbol.
const CHANNELS: [&str; 3] = ["books", "trades", "bbo-tbt"];
/// Room for the largest message written: a subscription of [`SYMBOLS_PER_SUBSCRIBE`] symbols.
const MESSAGE_BYTES: usize = SYMBOLS_PER_SUBSCRIBE * CHANNELS.len() * 80 + 256;

/// Silence after which the venue cancels all our orders. The venue takes 10 to 120.
pub const DEAD_MAN_TIMEOUT_S: u32 = 20;
/// How often the switch is pushed back: four times within its time, and never above 1 a second.
pub const DEAD_MAN_REARM_NS: u64 = 5 * SECOND_NS;
const _: () = assert!(DEAD_MAN_TIMEOUT_S >= 10 && DEAD_MAN_TIMEOUT_S <= 120);
const _: () = assert!(DEAD_MAN_REARM_NS * 2 < DEAD_MAN_TIMEOUT_S as u64 * SECOND_NS);
/// How long its answer is waited for before it is pushed back all the same: longer than a link waits for an
/// answer, and well within its time. Two that leave a stalled link together would break its 1 a second.
const DEAD_MAN_WAIT_NS: u64 = 12 * SECOND_NS;
const _: () = assert!(DEAD_MAN_WAIT_NS + DEAD_MAN_REARM_NS < DEAD_MAN_TIMEOUT_S as u64 * SECOND_NS);

/// A link made now, to be ready in time.
fn opened(now: Now) -> WsLink {
    WsLink::opened(now, Some(now.unix.after(READY_WAIT_NS)))
}

/// One list of instruments to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct List {
    target: String,
    /// It names one family of options, which the venue may not have.
    is_family: bool,
    /// When it is asked for (again); `None` once it is here.
    due: Option<UnixNanos>,
}

/// One followed instrument's book, as far as asking for it goes.
#[derive(Debug, Clone, Copy, Default)]
struct BookState {
    is_followed: bool,
    channel: Option<BookChannel>,
    /// A snapshot is wanted and not yet asked for.
    is_wanted: bool,
    /// The number of the REST snapshot whose answer counts: none since one was pushed, because what is still
    /// on its way is older than the book, and none of before the stream was lost.
    awaited: Option<u32>,
    attempts: u32,
    asked: UnixNanos,
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
    Pending,
    Fills,
    Positions,
    Balance,
}

/// One run of reconciliation.
#[derive(Debug, Clone, Copy)]
struct Run {
    number: u32,
    step: Step,
    page: u32,
    /// Page on from this order or bill.
    after: u128,
    /// Largest bill seen in this run; 0 when the pages did not reach back to what was known.
    bill_max: u128,
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
    pub(crate) limits: Limits,
    message: Vec<u8>,
    number: u64,
    is_rest_open: bool,
    public: WsLink,
    private: WsLink,
    lists: Vec<List>,
    are_instruments_ready: bool,
    snapshots_at: Option<UnixNanos>,
    run: Option<Run>,
    runs: u32,
    /// Questions about single orders on their way.
    in_flight: InFlight,
    /// Snapshots asked for.
    snapshots: u32,
    /// Newest bill at the end of the last reconciliation that was completed: fills before it are known. Never
    /// moved before that end: a run that is lost half way then costs reading some fills again (they are known
    /// by their ids), and never a fill.
    bill_last: u128,
    dead_man_at: Option<UnixNanos>,
    /// When the arming was sent whose answer is not here.
    dead_man_asked: Option<UnixNanos>,
    /// Swaps are followed: funding is paid for them.
    has_swaps: bool,
    /// Positions are compared.
    has_derivatives: bool,
    bills: Bills,
}

fn min_of(deadlines: impl IntoIterator<Item = Option<UnixNanos>>) -> Option<UnixNanos> {
    deadlines.into_iter().flatten().min()
}

/// The lists that hold these symbols: one a type, one a family for options (the venue wants it
/// named).
fn lists(symbols: &[String]) -> Vec<List> {
    let mut lists: Vec<List> = Vec::new();
    for symbol in symbols {
        let inst_type = InstType::of(symbol);
        let mut target = format!("/api/v5/public/instruments?instType={}", inst_type.as_str());
        if inst_type == InstType::Option {
            let family: Vec<_> = symbol.split('-').take(2).collect();
            target = format!("{target}&instFamily={}", family.join("-"));
        }
        let list = List {
            target,
            is_family: inst_type == InstType::Option,
            due: Some(UnixNanos(0)),
        };
        if !lists.contains(&list) {
            lists.push(list);
        }
    }
    lists
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
            web_socket(LINK_PUBLIC, config.public, "/ws/v5/public", "md"),
        ];
        if auth.is_some() {
            let path = "/ws/v5/private";
            links.push(web_socket(LINK_PRIVATE, config.private, path, "orders"));
        }
        let has = |is_it: fn(InstType) -> bool| {
            let mut symbols = config.symbols.iter();
            symbols.any(|symbol| is_it(InstType::of(symbol)))
        };
        let has_swaps = has(|it| it == InstType::Swap);
        let has_derivatives = has(|it| it != InstType::Spot);
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
            order_window_ms: config.order_window_ms,
            symbols: instruments.to_vec(),
            books,
            levels: Levels::default(),
            limits: Limits::new(instruments, config.budget),
            message: Vec::with_capacity(MESSAGE_BYTES),
            number: 0,
            is_rest_open: false,
            public: WsLink::default(),
            private: WsLink::default(),
            lists: lists(&config.symbols),
            are_instruments_ready: false,
            snapshots_at: None,
            run: None,
            runs: 0,
            in_flight: InFlight::new(ANSWER_WAIT_NS),
            snapshots: 0,
            bill_last: 0,
            dead_man_at: None,
            dead_man_asked: None,
            has_swaps,
            has_derivatives,
            bills: Bills::default(),
        }
    }

    /// The instruments we follow.
    pub(crate) fn followed(&self) -> &[InstrumentId] {
        &self.symbols
    }

    pub(crate) fn links(&self) -> &[LinkSpec] {
        &self.links
    }

    /// A number for the next batch or subscription, from 1.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.number = self.number.wrapping_add(1).max(1);
        self.number
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
        if link == LINK_REST {
            return;
        }
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
                self.limits.link_opened(false);
                self.public = opened(now);
                for book in &mut self.books {
                    book.channel = None;
                }
                self.subscribe_public(registry, now, out);
            }
            LINK_PRIVATE => {
                self.limits.link_opened(true);
                self.private = opened(now);
                let mut login = Buf::<LOGIN_MAX>::new();
                let written = self.auth.as_ref().is_some_and(|auth| {
                    let seconds = now.unix.millis() / 1_000;
                    auth.write_login(seconds, &mut login).is_ok()
                });
                if written && self.limits.link_ops(now.unix, true, 1) {
                    out.send_text(LINK_PRIVATE, login.as_bytes());
                } else {
                    out.event(&Event::Control(Control::LoginRefused(RejectReason::Auth)));
                }
            }
            _ => {}
        }
    }

    pub(crate) fn on_closed(&mut self, link: LinkId, now: Now) {
        match link {
            LINK_REST => {
                self.is_rest_open = false;
                self.in_flight.clear();
                self.dead_man_asked = None;
                self.dead_man_at = self.dead_man_at.map(|_| now.unix);
                if let Some(run) = &mut self.run {
                    run.at = now.unix;
                }
                for list in &mut self.lists {
                    list.due = list.due.map(|_| now.unix);
                }
                for book in &mut self.books {
                    // Its answer will not come; the book still needs it.
                    book.is_wanted |= book.awaited.take().is_some();
                    if book.is_wanted {
                        self.snapshots_at = Some(now.unix);
                    }
                }
            }
            LINK_PUBLIC => {
                self.public = WsLink::default();
                self.snapshots_at = None;
                for book in &mut self.books {
                    // A snapshot on its way belongs to no splice: the new stream asks anew, at once.
                    book.is_wanted = false;
                    book.awaited = None;
                }
            }
            LINK_PRIVATE => {
                self.private = WsLink::default();
                // Not armed again until logged in: if that takes long, the venue clears our orders.
                self.dead_man_at = None;
            }
            _ => {}
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixNanos> {
        let web_sockets = min_of([
            self.public.deadline(PATIENCE),
            self.private.deadline(PATIENCE),
        ]);
        if !self.is_rest_open {
            return web_sockets; // the rest waits for the link
        }
        min_of([
            web_sockets,
            self.lists_due(),
            self.snapshots_at,
            self.run.map(|run| run.at),
            self.dead_man_at,
            self.bills.at,
        ])
    }

    pub(crate) fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        for (ws, link) in [
            (&mut self.public, LINK_PUBLIC),
            (&mut self.private, LINK_PRIVATE),
        ] {
            ws.on_deadline(PATIENCE, (link, PING), now, out);
        }
        self.run_due(registry, now, out);
    }

    /// Sends every REST request that is due.
    fn run_due(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.is_rest_open {
            return;
        }
        let is_due = |at: Option<UnixNanos>| at.is_some_and(|at| at <= now.unix);
        if is_due(self.lists_due()) {
            self.ask_lists(now, out);
        }
        if is_due(self.snapshots_at) {
            self.ask_snapshots(registry, now, out);
        }
        if is_due(self.run.map(|run| run.at)) {
            self.ask_step(now, out);
        }
        if is_due(self.dead_man_at) {
            self.arm_dead_man(now, out);
        }
        self.ask_bills(now, out);
    }

    /// Checks link and limits, then writes and sends: `write` gives the text, written into the room it is given
    /// or anywhere else. Nothing leaves when it errs.
    pub(crate) fn send_order<'t>(
        &'t mut self,
        instrument: InstrumentId,
        op: OrderOp,
        count: u32,
        now: Now,
        out: &mut impl Sink,
        write: impl FnOnce(u32, &'t mut Vec<u8>) -> &'t [u8],
    ) -> Result<(), EntryError> {
        if !self.private.is_ready {
            return Err(EntryError::NotReady);
        }
        if !self.limits.order(now.unix, instrument, op, count) {
            return Err(EntryError::RateLimited);
        }
        self.message.clear();
        out.send_text(LINK_PRIVATE, write(self.order_window_ms, &mut self.message));
        Ok(())
    }
}
