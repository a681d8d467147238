//! Links and their upkeep: logon, user stream, snapshots, reconciliation, planned reconnects.
//!
//! ```text
//! rest      open ─▶ exchangeInfo ─▶ InstrumentsReady          (market data before that is passed over)
//! md        open ─▶ Subscribed: the streams are in its URL, nothing is ever sent on it
//! orders    open ─▶ session.logon (Ed25519) ─▶ userDataStream.subscribe ─▶ LoggedIn ─▶ orders
//!           open ─▶ userDataStream.subscribe.signature (HMAC) ─────────────▶ LoggedIn ─▶ signed orders
//! reconcile openOrders ─▶ myTrades of each symbol since the last known ─▶ account ─▶ Reconciled
//! ```
//! Whatever cannot be done now (link down, limit reached, answer lost) is tried again at a deadline;
//! nothing here waits, and nothing here sends an order twice. Pings of the venue are WebSocket frames and
//! answered below this layer.

use crate::account::{Names, Naming};
use crate::auth::{Auth, AuthError};
use crate::entry::{self, MESSAGE_MAX, Signing};
use crate::feed::{Decoder, Heard, Notice, Stop, absent};
use crate::limits::Limits;
use crate::reject;
use crate::rest::{self, Answer, Ask, DEPTH_LIMIT, TRADES_LIMIT};
use crate::symbols::client_id_text;
use crate::{LINK_MD, LINK_ORDERS, LINK_REST};
use dp_types::{
    CancelOrder, ClientOrderId, Instrument, InstrumentId, LinkId, Now, OrderId, RejectReason,
    UnixNanos,
};
use dp_venue_api::{
    Control, DecodeError, EntryError, Event, Fault, LinkKind, LinkSpec, Registry, RestResponse,
    Sink, VenueConfig,
};
use dp_wire::buf::{Buf, Overflow};

const SECOND_NS: u64 = 1_000_000_000;
/// The venue pings every 20 s and cuts us when a minute passes without a pong: silence this long is death.
const SILENCE_NS_MAX: u64 = 60 * SECOND_NS;
/// The venue cuts every WebSocket at 24 h; we go before, and not with both links at once.
const MD_LIFE_NS: u64 = (23 * 60 + 50) * 60 * SECOND_NS;
const ORDERS_LIFE_NS: u64 = (23 * 60 + 40) * 60 * SECOND_NS;
/// How long logon and subscription may take together.
const READY_WAIT_NS: u64 = 10 * SECOND_NS;
/// Pause before a failed REST request is tried again.
const RETRY_NS: u64 = SECOND_NS;
/// How long a REST answer may take before it counts as lost: the venue gives up after 10 s itself.
const ANSWER_WAIT_NS: u64 = 12 * SECOND_NS;
/// Pause between two snapshots of one book: diffs come every 100 ms, so each try sees new ones.
const SNAPSHOT_PAUSE_NS: u64 = SECOND_NS / 4;
/// Pages of trades of one symbol in one reconciliation: 100,000 trades.
const PAGES_MAX: u32 = 100;
/// Weight of a logon or a user stream subscription.
const LOGON_WEIGHT: u32 = 2;
/// Weight of an amend and of a query over the WebSocket API.
const AMEND_WEIGHT: u32 = 4;
/// Streams of one symbol.
const STREAMS: [&str; 3] = ["@depth@100ms", "@trade", "@bookTicker"];

/// One WebSocket link.
#[derive(Debug, Clone, Copy, Default)]
struct WsLink {
    is_open: bool,
    /// Logged on with the user stream running (orders).
    is_ready: bool,
    ready_by: Option<UnixNanos>,
    /// When to try the logon again that a limit held back.
    retry_at: Option<UnixNanos>,
    replace_at: Option<UnixNanos>,
}

impl WsLink {
    fn opened(now: Now, life_ns: u64) -> Self {
        Self {
            is_open: true,
            replace_at: Some(now.unix.after(life_ns)),
            ..Self::default()
        }
    }

    fn on_deadline(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        let is_due = |at: Option<UnixNanos>| at.is_some_and(|at| at <= now.unix);
        let why = if is_due(self.replace_at) {
            out.event(&Event::Control(Control::ClosingSoon(link)));
            "replaced before the venue's 24 h end"
        } else if is_due(self.ready_by) {
            "logon or user stream was not confirmed in time"
        } else {
            return;
        };
        *self = Self::default();
        out.reconnect(link, why);
    }
}

/// One followed instrument's book, as far as asking for it goes.
#[derive(Debug, Clone, Copy, Default)]
struct BookState {
    is_wanted: bool,
    is_asked: bool,
    /// The stream was lost after the snapshot was asked for: its answer belongs to no splice.
    is_void: bool,
    asked: UnixNanos,
}

impl BookState {
    fn due(&self) -> UnixNanos {
        match (self.asked.0, self.is_asked) {
            (0, _) => UnixNanos(0),
            (_, true) => self.asked.after(ANSWER_WAIT_NS),
            (_, false) => self.asked.after(SNAPSHOT_PAUSE_NS),
        }
    }
}

/// A followed symbol.
#[derive(Debug, Clone, Copy)]
struct Followed {
    id: InstrumentId,
    book: BookState,
    /// Newest trade of a finished reconciliation: fills up to it are known.
    trade_last: u64,
}

/// Where reconciliation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    OpenOrders,
    /// Of the symbol at this index.
    Trades(usize),
    Account,
}

/// One run of reconciliation.
#[derive(Debug, Clone, Copy)]
struct Run {
    number: u32,
    step: Step,
    pages: u32,
    /// When to send the step (again).
    at: UnixNanos,
}

/// Everything but the decoder.
#[derive(Debug)]
pub(crate) struct Session {
    links: Vec<LinkSpec>,
    auth: Option<Auth>,
    auth_error: Option<AuthError>,
    order_window_ms: u32,
    followed: Vec<Followed>,
    rules_target: String,
    limits: Limits,
    names: Names,
    message: Box<Buf<MESSAGE_MAX>>,
    is_rest_open: bool,
    md: WsLink,
    orders: WsLink,
    has_session: bool,
    /// When the rules are asked for (again); `None` once they are here.
    rules_at: Option<UnixNanos>,
    snapshots_at: Option<UnixNanos>,
    run: Option<Run>,
    runs: u32,
}

fn min_of(deadlines: impl IntoIterator<Item = Option<UnixNanos>>) -> Option<UnixNanos> {
    deadlines.into_iter().flatten().min()
}

/// `/stream?streams=btcusdt@depth@100ms/btcusdt@trade/...`: subscribed by connecting.
fn md_path(symbols: &[String]) -> String {
    let streams: Vec<_> = symbols
        .iter()
        .flat_map(|symbol| STREAMS.map(|stream| format!("{}{stream}", symbol.to_ascii_lowercase())))
        .collect();
    format!("/stream?streams={}", streams.join("/"))
}

/// `/api/v3/exchangeInfo?symbols=["A","B"]`, percent-encoded.
fn rules_target(symbols: &[String]) -> String {
    let list: Vec<_> = symbols
        .iter()
        .map(|symbol| format!("%22{symbol}%22"))
        .collect();
    format!("/api/v3/exchangeInfo?symbols=%5B{}%5D", list.join("%2C"))
}

impl Session {
    pub(crate) fn new(config: VenueConfig, instruments: &[InstrumentId]) -> Self {
        let (auth, auth_error) = match Auth::new(&config.secrets) {
            Ok(auth) => (auth, None),
            Err(error) => (None, Some(error)),
        };
        let link = |id, kind, (host, port): (String, u16), path: String, name| LinkSpec {
            id,
            kind,
            host,
            port,
            path,
            name,
            silence_ns_max: match kind {
                LinkKind::WebSocket => SILENCE_NS_MAX,
                LinkKind::Http => 0,
            },
        };
        let path = md_path(&config.symbols);
        let mut links = vec![
            link(
                LINK_REST,
                LinkKind::Http,
                config.rest,
                String::new(),
                "rest",
            ),
            link(LINK_MD, LinkKind::WebSocket, config.public, path, "md"),
        ];
        if auth.is_some() {
            let path = "/ws-api/v3?returnRateLimits=true".to_owned();
            let (kind, host) = (LinkKind::WebSocket, config.private);
            links.push(link(LINK_ORDERS, kind, host, path, "orders"));
        }
        let followed = |&id: &InstrumentId| Followed {
            id,
            book: BookState::default(),
            trade_last: 0,
        };
        Self {
            links,
            auth,
            auth_error,
            order_window_ms: config.order_window_ms,
            followed: instruments.iter().map(followed).collect(),
            rules_target: rules_target(&config.symbols),
            limits: Limits::default(),
            names: Names::default(),
            message: Box::default(),
            is_rest_open: false,
            md: WsLink::default(),
            orders: WsLink::default(),
            has_session: false,
            rules_at: Some(UnixNanos(0)),
            snapshots_at: None,
            run: None,
            runs: 0,
        }
    }

    pub(crate) fn links(&self) -> &[LinkSpec] {
        &self.links
    }

    // ---- links ---------------------------------------------------------------------------------------

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
            LINK_MD => {
                self.md = WsLink::opened(now, MD_LIFE_NS);
                out.event(&Event::Control(Control::Subscribed(LINK_MD)));
                if self.auth_error.is_some() {
                    out.event(&Event::Control(Control::LoginRefused(RejectReason::Auth)));
                }
            }
            LINK_ORDERS => {
                self.orders = WsLink::opened(now, ORDERS_LIFE_NS);
                self.has_session = false;
                self.log_on(now, out);
            }
            _ => {}
        }
    }

    pub(crate) fn on_closed(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        match link {
            LINK_REST => {
                self.is_rest_open = false;
                if let Some(run) = &mut self.run {
                    run.at = now.unix;
                }
                self.rules_at = self.rules_at.map(|_| now.unix);
                for followed in &mut self.followed {
                    // Its answer will not come; the book still needs it.
                    let book = &mut followed.book;
                    book.is_wanted |= core::mem::take(&mut book.is_asked) && !book.is_void;
                    if book.is_wanted {
                        self.snapshots_at = Some(now.unix);
                    }
                }
            }
            LINK_MD => {
                self.md = WsLink::default();
                self.snapshots_at = None;
                for followed in &mut self.followed {
                    followed.book.is_wanted = false;
                    followed.book.is_void = followed.book.is_asked;
                    out.event(&Event::Control(Control::BookLost(followed.id)));
                }
            }
            LINK_ORDERS => {
                self.orders = WsLink::default();
                self.has_session = false;
            }
            _ => {}
        }
    }

    /// The next message towards LoggedIn: the logon (Ed25519), then the user stream (HMAC: signed, at once).
    /// While the venue has stopped us it waits for the end of that instead of knocking again.
    fn log_on(&mut self, now: Now, out: &mut impl Sink) {
        self.orders.is_ready = false;
        let Some(auth) = self.auth.as_ref().filter(|_| self.orders.is_open) else {
            return;
        };
        if !self.limits.request(now.unix, LOGON_WEIGHT) {
            self.orders.ready_by = None;
            self.orders.retry_at = Some(now.unix.after(RETRY_NS).max(self.limits.stopped_until()));
            return;
        }
        self.orders.retry_at = None;
        self.orders.ready_by = Some(now.unix.after(READY_WAIT_NS));
        let written = match (auth.has_session(), self.has_session) {
            (true, false) => entry::write_logon(auth, now, &mut self.message),
            (true, true) => entry::write_user_stream(Signing::Session, now, &mut self.message),
            (false, _) => entry::write_user_stream(Signing::Each(auth), now, &mut self.message),
        };
        if written.is_ok() {
            out.send_text(LINK_ORDERS, self.message.as_bytes());
        }
    }

    // ---- deadlines -----------------------------------------------------------------------------------

    pub(crate) fn next_deadline(&self) -> Option<UnixNanos> {
        let links = min_of([
            self.md.replace_at,
            self.orders.replace_at,
            self.orders.ready_by,
            self.orders.retry_at,
        ]);
        if !self.is_rest_open {
            return links; // the rest waits for the link
        }
        let run_at = self.run.map(|run| run.at);
        min_of([links, self.rules_at, self.snapshots_at, run_at])
    }

    pub(crate) fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.md.on_deadline(LINK_MD, now, out);
        self.orders.on_deadline(LINK_ORDERS, now, out);
        if self.orders.retry_at.is_some_and(|at| at <= now.unix) {
            self.log_on(now, out);
        }
        self.run_due(registry, now, out);
    }

    /// Sends every REST request that is due.
    fn run_due(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.is_rest_open {
            return;
        }
        let is_due = |at: Option<UnixNanos>| at.is_some_and(|at| at <= now.unix);
        if is_due(self.rules_at) {
            self.rules_at = Some(if self.limits.request(now.unix, Ask::Rules.weight()) {
                rest::get(Ask::Rules, &self.rules_target, None, out);
                now.unix.after(ANSWER_WAIT_NS)
            } else {
                now.unix.after(RETRY_NS)
            });
        }
        if is_due(self.snapshots_at) {
            self.ask_snapshots(registry, now, out);
        }
        if is_due(self.run.map(|run| run.at)) {
            self.ask_step(registry, now, out);
        }
    }

    // ---- messages ------------------------------------------------------------------------------------

    pub(crate) fn on_text(
        &mut self,
        decoder: &mut Decoder,
        registry: &Registry,
        link: LinkId,
        now: Now,
        text: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if link == LINK_MD && self.md.is_open && self.rules_at.is_some() {
            // Increments change with the rules: a book begun before them would be of other numbers.
            out.event(&Event::Ignored("rules are not known yet"));
            return Ok(());
        }
        let mut naming = Naming {
            names: &mut self.names,
            out,
        };
        let heard = decoder.text(registry, link, text, &mut naming)?;
        if heard != Heard::default() {
            self.act(registry, link, heard, now, out);
        }
        Ok(())
    }

    fn act(
        &mut self,
        registry: &Registry,
        link: LinkId,
        heard: Heard,
        now: Now,
        out: &mut impl Sink,
    ) {
        self.limits.tell(now.unix, &heard.usages);
        if let Some(stop) = heard.stop {
            self.stop(stop, now, out);
        }
        match heard.notice {
            Notice::None => {}
            Notice::ClosingSoon => out.reconnect(link, "the venue shuts this server down"),
            Notice::StreamEnded if link == LINK_ORDERS => self.log_on(now, out),
            Notice::StreamEnded => {}
            Notice::LoggedOn => {
                self.has_session = true;
                self.log_on(now, out);
            }
            Notice::UserStreamOn => {
                self.orders.is_ready = self.orders.is_open;
                self.orders.ready_by = None;
                out.event(&Event::Control(Control::LoggedIn(link)));
            }
            Notice::Refused(reason) => {
                self.orders = WsLink::default();
                out.event(&Event::Control(Control::LoginRefused(reason)));
                out.reconnect(link, "logon refused");
            }
            Notice::Found(instrument, client, order) => {
                self.ask_order_trades(registry, instrument, client, order, now, out);
            }
        }
    }

    fn stop(&mut self, stop: Stop, now: Now, out: &mut impl Sink) {
        let named = (stop.until_ms != 0).then(|| UnixNanos::from_millis(stop.until_ms));
        let until = self.limits.stop(now.unix, stop.is_ban, named);
        out.event(&Event::Control(Control::RateLimited {
            until_ms: until.millis(),
        }));
    }

    // ---- snapshots -----------------------------------------------------------------------------------

    fn book(&mut self, id: InstrumentId) -> Option<&mut BookState> {
        // A lane has a handful of instruments: a scan beats a table.
        self.followed
            .iter_mut()
            .find(|followed| followed.id == id)
            .map(|followed| &mut followed.book)
    }

    pub(crate) fn request_snapshot(
        &mut self,
        registry: &Registry,
        id: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        if let Some(book) = self.book(id) {
            book.is_wanted = true;
            let due = book.due().max(now.unix);
            self.snapshots_at = min_of([self.snapshots_at, Some(due)]);
        }
        self.run_due(registry, now, out);
    }

    fn ask_snapshots(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.snapshots_at = None;
        for followed in &mut self.followed {
            let (id, book) = (followed.id, &mut followed.book);
            if !book.is_wanted {
                continue;
            }
            if book.due() > now.unix {
                self.snapshots_at = min_of([self.snapshots_at, Some(book.due())]);
                continue;
            }
            let ask = Ask::Depth(id);
            if !self.limits.request(now.unix, ask.weight()) {
                let later = now.unix.after(RETRY_NS);
                self.snapshots_at = min_of([self.snapshots_at, Some(later)]);
                continue;
            }
            *book = BookState {
                is_asked: true,
                asked: now.unix,
                ..BookState::default()
            };
            if let Some(known) = registry.get(id) {
                let target = format!("/api/v3/depth?symbol={}&limit={DEPTH_LIMIT}", known.symbol);
                rest::get(ask, &target, None, out);
            }
        }
    }

    // ---- reconciliation ------------------------------------------------------------------------------

    pub(crate) fn reconcile(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if self.auth.is_none() {
            return;
        }
        self.runs = self.runs.wrapping_add(1);
        self.run = Some(Run {
            number: self.runs,
            step: Step::OpenOrders,
            pages: 0,
            at: now.unix,
        });
        out.event(&Event::Control(Control::ReconcileStarted));
        if self.is_rest_open {
            self.ask_step(registry, now, out);
        }
    }

    fn ask_step(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let (Some(run), Some(auth)) = (&mut self.run, &self.auth) else {
            return;
        };
        let ask = match run.step {
            Step::OpenOrders => Ask::OpenOrders(run.number),
            Step::Trades(_) => Ask::Trades(run.number),
            Step::Account => Ask::Account(run.number),
        };
        if !self.limits.request(now.unix, ask.weight()) {
            run.at = now.unix.after(RETRY_NS);
            return;
        }
        run.at = now.unix.after(ANSWER_WAIT_NS);
        let ms = now.unix.millis();
        let (path, query) = match run.step {
            Step::OpenOrders => ("/api/v3/openOrders", format!("timestamp={ms}")),
            Step::Account => (
                "/api/v3/account",
                format!("omitZeroBalances=true&timestamp={ms}"),
            ),
            Step::Trades(index) => {
                let followed = self.followed.get(index);
                let symbol = followed
                    .and_then(|followed| registry.get(followed.id))
                    .map_or("", |known| known.symbol.as_str());
                // Without a known trade the venue gives its newest page, with one all that followed.
                let from = match followed.map_or(0, |followed| followed.trade_last) {
                    0 => String::new(),
                    last => format!("&fromId={}", last.saturating_add(1)),
                };
                (
                    "/api/v3/myTrades",
                    format!("symbol={symbol}{from}&limit={TRADES_LIMIT}&timestamp={ms}"),
                )
            }
        };
        let target = auth.sign_target(path, &query);
        rest::get(ask, &target, Some(auth.api_key()), out);
    }

    /// The step of the run this answer belongs to, if it is the one under way.
    fn current(&self, ask: Ask) -> Option<Step> {
        let run = self.run?;
        match (ask, run.step) {
            (Ask::OpenOrders(number), Step::OpenOrders)
            | (Ask::Trades(number), Step::Trades(_))
            | (Ask::Account(number), Step::Account)
                if number == run.number =>
            {
                Some(run.step)
            }
            _ => None,
        }
    }

    fn next_step(&mut self, step: Step, registry: &Registry, now: Now, out: &mut impl Sink) {
        let step = match step {
            Step::Trades(index) if index >= self.followed.len() => Step::Account,
            step => step,
        };
        if let Some(run) = &mut self.run {
            run.pages = 0;
            run.step = step;
        }
        self.ask_step(registry, now, out);
    }

    /// A page of trades arrived: the next page, or the next symbol.
    ///
    /// Errors: more pages than [`PAGES_MAX`]; the next reconciliation goes on where this one ended.
    fn turn_page(
        &mut self,
        index: usize,
        (count, newest): (usize, u64),
        registry: &Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let mut was_known = false;
        if let Some(followed) = self.followed.get_mut(index) {
            was_known = followed.trade_last != 0;
            followed.trade_last = followed.trade_last.max(newest);
        }
        let is_last = count < TRADES_LIMIT || !was_known;
        let pages = self.run.map_or(0, |run| run.pages + 1);
        if is_last || pages >= PAGES_MAX {
            self.next_step(Step::Trades(index + 1), registry, now, out);
        } else {
            if let Some(run) = &mut self.run {
                run.pages = pages;
            }
            self.ask_step(registry, now, out);
        }
        if !is_last && pages >= PAGES_MAX {
            return Err(DecodeError::TooMuch("trades").into());
        }
        Ok(())
    }

    fn ask_order_trades(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        client: ClientOrderId,
        order: OrderId,
        now: Now,
        out: &mut impl Sink,
    ) {
        let (Some(auth), Some(known)) = (&self.auth, registry.get(instrument)) else {
            return;
        };
        let ask = Ask::OrderTrades(instrument, client);
        if !self.is_rest_open || !self.limits.request(now.unix, ask.weight()) {
            return; // the next reconciliation finds them
        }
        let query = format!(
            "symbol={}&orderId={}&timestamp={}",
            known.symbol,
            order.0,
            now.unix.millis()
        );
        let target = auth.sign_target("/api/v3/myTrades", &query);
        rest::get(ask, &target, Some(auth.api_key()), out);
    }

    // ---- REST answers --------------------------------------------------------------------------------

    pub(crate) fn on_response(
        &mut self,
        decoder: &mut Decoder,
        registry: &mut Registry,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let ask = Ask::of(response.tag).ok_or(DecodeError::Shape("a tag that is not ours"))?;
        let result = self.read_response(ask, decoder, registry, now, response, out);
        if result.is_err() {
            self.retry(ask, now);
        }
        result
    }

    /// Puts what failed back on the clock. Reads only: nothing here places an order.
    fn retry(&mut self, ask: Ask, now: Now) {
        let soon = now.unix.after(RETRY_NS);
        match ask {
            Ask::Rules => self.rules_at = self.rules_at.map(|_| soon),
            Ask::Depth(id) => {
                if let Some(book) = self.book(id).filter(|book| book.is_asked && !book.is_void) {
                    book.is_asked = false;
                    book.is_wanted = true;
                    self.snapshots_at = min_of([self.snapshots_at, Some(soon)]);
                }
            }
            Ask::OpenOrders(_) | Ask::Trades(_) | Ask::Account(_) => {
                if self.current(ask).is_some()
                    && let Some(run) = &mut self.run
                {
                    run.at = run.at.min(soon);
                }
            }
            Ask::Order(..) | Ask::OrderTrades(..) => {}
        }
    }

    fn read_response(
        &mut self,
        ask: Ask,
        decoder: &mut Decoder,
        registry: &mut Registry,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let status = response.status;
        if !(200..300).contains(&status) {
            return self.on_refusal(ask, decoder, registry, now, response, out);
        }
        if let Ask::Depth(id) = ask
            && let Some(book) = self.book(id)
        {
            book.is_asked = false;
            if core::mem::take(&mut book.is_void) {
                out.event(&Event::Ignored(
                    "a snapshot asked for before the stream was lost",
                ));
                return Ok(());
            }
        }
        let mut naming = Naming {
            names: &mut self.names,
            out,
        };
        let answer = decoder.answer(registry, ask, response.body, &mut naming)?;
        match (answer, self.current(ask)) {
            (Answer::Rules(count, usages), _) => {
                self.limits.tell(now.unix, &usages);
                self.on_rules(count, registry, out)
            }
            (Answer::OpenOrders, Some(_)) => {
                self.next_step(Step::Trades(0), registry, now, out);
                Ok(())
            }
            (Answer::Trades(count, newest), Some(Step::Trades(index))) => {
                self.turn_page(index, (count, newest), registry, now, out)
            }
            (Answer::Account, Some(_)) => {
                self.run = None;
                out.event(&Event::Control(Control::Reconciled));
                Ok(())
            }
            (Answer::Order(Notice::Found(instrument, client, order)), _) => {
                self.ask_order_trades(registry, instrument, client, order, now, out);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn on_rules(
        &mut self,
        count: usize,
        registry: &mut Registry,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if self.rules_at.take().is_none() {
            return Ok(());
        }
        // A symbol the venue did not list keeps no rules: it must not trade.
        for followed in &self.followed {
            if let Some(&known) = registry.get(followed.id)
                && known.tick.0 == 0
            {
                registry.update(Instrument {
                    is_live: false,
                    ..known
                });
            }
        }
        out.event(&Event::Control(Control::InstrumentsReady));
        if count < self.followed.len() {
            return Err(DecodeError::UnknownSymbol.into());
        }
        Ok(())
    }

    fn on_refusal(
        &mut self,
        ask: Ask,
        decoder: &mut Decoder,
        registry: &Registry,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let status = response.status;
        let refused = match status {
            0 => None,
            _ => decoder.refusal(response.body, status),
        };
        if matches!(status, 418 | 429) {
            let wait_ms = response.retry_after_s.map(|s| u64::from(s) * 1_000);
            let named = wait_ms.map(|wait_ms| now.unix.millis().saturating_add(wait_ms));
            let stop = Stop {
                is_ban: status == 418,
                until_ms: named.unwrap_or(refused.map_or(0, |refused| refused.until_ms)),
            };
            self.stop(stop, now, out);
        }
        let Some(refused) = refused else {
            return Err(Fault::Venue {
                code: i32::from(status),
                reason: reject::reason_of(status, 0, ""),
            });
        };
        // "No such order" is the answer to a query, not its failure.
        if let (Ask::Order(instrument, client), RejectReason::UnknownOrder) = (ask, refused.reason)
        {
            absent(registry, instrument, client, out);
            return Ok(());
        }
        Err(refused.fault())
    }

    // ---- orders --------------------------------------------------------------------------------------

    /// Writes one message and sends it. Nothing leaves when it errs.
    pub(crate) fn send(
        &mut self,
        out: &mut impl Sink,
        write: impl FnOnce(Signing<'_>, u32, &mut Buf<MESSAGE_MAX>) -> Result<(), Overflow>,
    ) -> Result<(), EntryError> {
        let signing = match (&self.auth, self.has_session) {
            (_, true) => Signing::Session,
            (Some(auth), false) => Signing::Each(auth),
            (None, false) => return Err(EntryError::NotReady),
        };
        write(signing, self.order_window_ms, &mut self.message)
            .map_err(|Overflow| EntryError::Unsupported)?;
        out.send_text(LINK_ORDERS, self.message.as_bytes());
        Ok(())
    }

    /// Checks the link and takes room. Errors: [`EntryError`]; nothing was taken then.
    pub(crate) fn admit(&mut self, op: Op, now: Now) -> Result<(), EntryError> {
        if !self.orders.is_ready {
            return Err(EntryError::NotReady);
        }
        let may = match op {
            Op::New => self.limits.new_order(now.unix),
            Op::Amend => self.limits.request(now.unix, AMEND_WEIGHT),
            Op::Cancel => self.limits.cancel(now.unix),
        };
        if may {
            Ok(())
        } else {
            Err(EntryError::RateLimited)
        }
    }

    /// Asks what became of an order: over the order link, or by REST while that is down.
    pub(crate) fn query_order(
        &mut self,
        known: &Instrument,
        order: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let ask = Ask::Order(order.instrument, order.client_id);
        // By our own id: after an unknown outcome there is no other.
        let order = &CancelOrder {
            order_id: OrderId(0),
            ..*order
        };
        if !self.orders.is_ready && (self.auth.is_none() || !self.is_rest_open) {
            return Err(EntryError::NotReady);
        }
        if !self.limits.request(now.unix, ask.weight()) {
            return Err(EntryError::RateLimited);
        }
        if self.orders.is_ready {
            return self.send(out, |signing, _, message| {
                entry::write_about(known, order, true, now, signing, message)
            });
        }
        if let Some(auth) = &self.auth {
            let client = client_id_text(order.client_id);
            let query = format!(
                "symbol={}&origClientOrderId={}&timestamp={}",
                known.symbol,
                String::from_utf8_lossy(client.as_bytes()),
                now.unix.millis()
            );
            let target = auth.sign_target("/api/v3/order", &query);
            rest::get(ask, &target, Some(auth.api_key()), out);
        }
        Ok(())
    }
}

/// Kinds of order requests, as far as limits go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    New,
    Amend,
    Cancel,
}
