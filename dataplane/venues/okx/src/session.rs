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

use crate::auth::{Auth, LOGIN_MAX};
use crate::entry::{self, code_of};
use crate::feed::{self, BookChannel, Levels};
use crate::limits::{Limits, OrderOp, RestPool};
use crate::rest::{self, Ask, PAGE_LEN, PAGES_MAX};
use crate::symbols::{InstType, push_base36, push_client_id};
use crate::{LINK_PRIVATE, LINK_PUBLIC, LINK_REST, account, reject};
use dp_types::{
    BookMsgKind, CancelOrder, ClientOrderId, InstrumentId, LinkId, Now, OrderId, OrderReport,
    OrderState, RejectReason, UnixNanos, VenueNanos,
};
use dp_venue_api::{
    Control, DecodeError, EntryError, Event, Fault, LinkKind, LinkSpec, Registry, RestMethod,
    RestResponse, Sink, VenueConfig,
};
use dp_wire::buf::Buf;
use dp_wire::json::{Doc, Value};

const SECOND_NS: u64 = 1_000_000_000;
/// The venue closes a link after 30 s without a message.
const SILENCE_NS_MAX: u64 = 30 * SECOND_NS;
/// Silence after which we ping.
const PING_AFTER_NS: u64 = 20 * SECOND_NS;
/// How long the answer may take: within the venue's 30 s.
const PONG_WAIT_NS: u64 = 8 * SECOND_NS;
/// How long login and subscriptions may take together.
const READY_WAIT_NS: u64 = 10 * SECOND_NS;
/// Pause before a failed REST request is tried again.
const RETRY_NS: u64 = SECOND_NS;
/// How long a REST answer may take before it counts as lost.
const ANSWER_WAIT_NS: u64 = 10 * SECOND_NS;
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

/// One WebSocket link.
#[derive(Debug, Clone, Copy, Default)]
struct WsLink {
    is_open: bool,
    /// All subscriptions confirmed (and logged in, on the private link).
    is_ready: bool,
    heard: UnixNanos,
    pinged: Option<UnixNanos>,
    ready_by: Option<UnixNanos>,
    acks_missing: u32,
}

impl WsLink {
    fn opened(now: Now) -> Self {
        Self {
            is_open: true,
            heard: now.unix,
            ready_by: Some(now.unix.after(READY_WAIT_NS)),
            ..Self::default()
        }
    }

    fn deadline(&self) -> Option<UnixNanos> {
        if !self.is_open {
            return None;
        }
        let idle = match self.pinged {
            Some(at) => at.after(PONG_WAIT_NS),
            None => self.heard.after(PING_AFTER_NS),
        };
        Some(self.ready_by.map_or(idle, |ready_by| ready_by.min(idle)))
    }

    fn on_deadline(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        if !self.is_open {
            return;
        }
        if self.ready_by.is_some_and(|at| at <= now.unix) {
            *self = Self::default();
            out.reconnect(link, "login or subscription was not confirmed in time");
            return;
        }
        match self.pinged {
            Some(at) if at.after(PONG_WAIT_NS) <= now.unix => {
                *self = Self::default();
                out.reconnect(link, "no pong");
            }
            None if self.heard.after(PING_AFTER_NS) <= now.unix => {
                self.pinged = Some(now.unix);
                out.send_text(link, b"ping");
            }
            _ => {}
        }
    }
}

/// One list of instruments to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct List {
    target: String,
    is_done: bool,
}

/// One followed instrument's book, as far as asking for it goes.
#[derive(Debug, Clone, Copy, Default)]
struct BookState {
    is_followed: bool,
    channel: Option<BookChannel>,
    /// A snapshot is wanted and not yet asked for.
    is_wanted: bool,
    /// A snapshot was asked for by REST and its answer is not here.
    is_asked: bool,
    /// A snapshot was pushed since: an answer still on its way is older than the book.
    is_pushed: bool,
    attempts: u32,
    asked: UnixNanos,
}

impl BookState {
    /// When the next snapshot may be asked for.
    fn due(&self) -> UnixNanos {
        match (self.asked.0, self.is_asked) {
            (0, _) => UnixNanos(0),
            (_, true) => self.asked.after(ANSWER_WAIT_NS),
            (_, false) => self.asked.after(SNAPSHOT_PAUSE_NS),
        }
    }
}

/// Where reconciliation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Pending,
    Fills,
    Balance,
}

/// One run of reconciliation.
#[derive(Debug, Clone, Copy)]
struct Run {
    number: u32,
    step: Step,
    pages: u32,
    /// Page on from this order or bill.
    after: u128,
    /// Largest bill seen in this run.
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
    limits: Limits,
    message: Vec<u8>,
    number: u64,
    is_rest_open: bool,
    public: WsLink,
    private: WsLink,
    lists: Vec<List>,
    /// When the lists that are not here yet are asked for (again); `None` once all are.
    lists_at: Option<UnixNanos>,
    are_instruments_ready: bool,
    snapshots_at: Option<UnixNanos>,
    run: Option<Run>,
    runs: u32,
    /// Newest bill of a finished reconciliation: fills before it are known.
    bill_last: u128,
    dead_man_at: Option<UnixNanos>,
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
            is_done: false,
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
            },
            web_socket(LINK_PUBLIC, config.public, "/ws/v5/public", "md"),
        ];
        if auth.is_some() {
            let path = "/ws/v5/private";
            links.push(web_socket(LINK_PRIVATE, config.private, path, "orders"));
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
            order_window_ms: config.order_window_ms,
            symbols: instruments.to_vec(),
            books,
            levels: Levels::default(),
            limits: Limits::new(instruments),
            message: Vec::with_capacity(MESSAGE_BYTES),
            number: 0,
            is_rest_open: false,
            public: WsLink::default(),
            private: WsLink::default(),
            lists: lists(&config.symbols),
            lists_at: Some(UnixNanos(0)),
            are_instruments_ready: false,
            snapshots_at: None,
            run: None,
            runs: 0,
            bill_last: 0,
            dead_man_at: None,
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
        ws.heard = now.unix;
        ws.pinged = None;
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
                self.public = WsLink::opened(now);
                for book in &mut self.books {
                    book.channel = None;
                }
                self.subscribe_public(registry, now, out);
            }
            LINK_PRIVATE => {
                self.limits.link_opened(true);
                self.private = WsLink::opened(now);
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
                if let Some(run) = &mut self.run {
                    run.at = now.unix;
                }
                if self.lists_at.is_some() {
                    self.lists_at = Some(now.unix);
                }
            }
            LINK_PUBLIC => self.public = WsLink::default(),
            LINK_PRIVATE => {
                self.private = WsLink::default();
                // Not armed again until logged in: if that takes long, the venue clears our orders.
                self.dead_man_at = None;
            }
            _ => {}
        }
    }

    // ---- deadlines ----

    pub(crate) fn next_deadline(&self) -> Option<UnixNanos> {
        let web_sockets = min_of([self.public.deadline(), self.private.deadline()]);
        if !self.is_rest_open {
            return web_sockets; // the rest waits for the link
        }
        min_of([
            web_sockets,
            self.lists_at,
            self.snapshots_at,
            self.run.map(|run| run.at),
            self.dead_man_at,
        ])
    }

    pub(crate) fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.public.on_deadline(LINK_PUBLIC, now, out);
        self.private.on_deadline(LINK_PRIVATE, now, out);
        self.run_due(registry, now, out);
    }

    /// Sends every REST request that is due.
    fn run_due(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.is_rest_open {
            return;
        }
        let is_due = |at: Option<UnixNanos>| at.is_some_and(|at| at <= now.unix);
        if is_due(self.lists_at) {
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
    }

    // ---- instruments and subscriptions ----

    fn ask_lists(&mut self, now: Now, out: &mut impl Sink) {
        // Asked again when no answer came in time.
        self.lists_at = Some(now.unix.after(ANSWER_WAIT_NS));
        for (index, list) in self.lists.iter().enumerate() {
            if list.is_done {
                continue;
            }
            if !self.limits.rest(now.unix, RestPool::Instruments) {
                self.lists_at = Some(now.unix.after(RETRY_NS));
                break;
            }
            rest::get(Ask::Instruments(index as u32), &list.target, out);
        }
    }

    fn on_instruments(
        &mut self,
        index: u32,
        registry: &mut Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        rest::instruments(registry, root)?;
        if let Some(list) = self.lists.get_mut(index as usize) {
            list.is_done = true;
        }
        if self.are_instruments_ready || self.lists.iter().any(|list| !list.is_done) {
            return Ok(());
        }
        self.are_instruments_ready = true;
        self.lists_at = None;
        // A symbol the venue did not list keeps no rules: it must not trade.
        let mut is_missing = false;
        for &id in &self.symbols {
            if let Some(&known) = registry.get(id)
                && known.tick.0 == 0
            {
                is_missing = true;
                registry.update(dp_types::Instrument {
                    is_live: false,
                    ..known
                });
            }
        }
        out.event(&Event::Control(Control::InstrumentsReady));
        self.subscribe_public(registry, now, out);
        if is_missing {
            return Err(DecodeError::UnknownSymbol.into());
        }
        Ok(())
    }

    fn subscribe_public(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.public.is_open || !self.are_instruments_ready {
            self.public.ready_by = None; // the clock runs from the subscription
            return;
        }
        self.public.ready_by = Some(now.unix.after(READY_WAIT_NS));
        self.public.acks_missing = (self.symbols.len() * CHANNELS.len()) as u32;
        let symbols = core::mem::take(&mut self.symbols);
        for chunk in symbols.chunks(SYMBOLS_PER_SUBSCRIBE) {
            self.write_subscription(registry, "subscribe", &CHANNELS, chunk);
            if self.limits.link_ops(now.unix, false, 1) {
                out.send_text(LINK_PUBLIC, &self.message);
            }
        }
        self.symbols = symbols;
    }

    fn write_subscription(
        &mut self,
        registry: &Registry,
        op: &str,
        channels: &[&str],
        symbols: &[InstrumentId],
    ) {
        let number = self.next_number();
        let out = &mut self.message;
        out.clear();
        out.extend_from_slice(br#"{"id":"s"#);
        push_base36(number, out);
        for part in [r#"","op":""#, op, r#"","args":["#] {
            out.extend_from_slice(part.as_bytes());
        }
        let mut separator = "";
        for id in symbols {
            let symbol = registry.get(*id).map_or("", |known| known.symbol.as_str());
            for channel in channels {
                for part in [
                    separator,
                    r#"{"channel":""#,
                    channel,
                    r#"","instId":""#,
                    symbol,
                    r#""}"#,
                ] {
                    out.extend_from_slice(part.as_bytes());
                }
                separator = ",";
            }
        }
        out.extend_from_slice(b"]}");
    }

    // ---- pushes ----

    /// A message of a channel.
    pub(crate) fn on_push(
        &mut self,
        registry: &Registry,
        channel: &str,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let arg = root.get("arg").ok_or(DecodeError::Field("arg"))?;
        if let Some(book_channel) = BookChannel::of(channel) {
            let id = feed::instrument(registry, arg)?;
            if let Some(book) = self
                .books
                .get_mut(id.0 as usize)
                .filter(|book| book.is_followed)
            {
                if *book.channel.get_or_insert(book_channel) != book_channel {
                    out.event(&Event::Ignored("a second book channel of this instrument"));
                    return Ok(());
                }
                book.is_pushed |= feed::is_snapshot(root);
            }
            feed::on_book(id, book_channel, root, &mut self.levels, out)?;
            return Ok(());
        }
        match channel {
            "bbo-tbt" => feed::on_quote(feed::instrument(registry, arg)?, root, out)?,
            "trades" | "trades-all" => feed::on_trades(registry, root, out)?,
            "orders" => account::on_orders(registry, root, out)?,
            "account" => account::on_balances(registry, root, out)?,
            channel => out.event(&Event::Ignored(feed::ignored(channel))),
        }
        Ok(())
    }

    // ---- replies ----

    /// Anything else on a WebSocket link: events, answers, strays.
    pub(crate) fn on_reply(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if let Some(event) = root.get("event") {
            let event = event.as_str().ok_or(DecodeError::Field("event"))?;
            return self.on_event(registry, link, now, event, root, out);
        }
        if root.get("op").is_some() {
            let stop = entry::on_answer(registry, root, out)?;
            self.stop_on(stop, now, out);
            return Ok(());
        }
        if root.get("table").is_some() {
            out.event(&Event::Ignored("the retired v3 protocol"));
            return Ok(());
        }
        if root.get("code").is_some() && root.get("data").is_some() {
            out.event(&Event::Ignored("a REST answer without its URL"));
            return Ok(());
        }
        Err(DecodeError::Shape("neither a push, an event nor an answer").into())
    }

    fn stop_on(&mut self, code: i32, now: Now, out: &mut impl Sink) {
        if reject::is_rate_stop(code) {
            let until_ms = self.limits.stop(now.unix).millis();
            out.event(&Event::Control(Control::RateLimited { until_ms }));
        }
    }

    fn on_event(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        event: &str,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        match event {
            "subscribe" => self.on_subscribed(link, now, out),
            "unsubscribe" => out.event(&Event::Ignored("unsubscribed")),
            "login" => return self.on_login(registry, now, root, out),
            "notice" => {
                let code = code_of(root, "code")?;
                if code != 64008 {
                    out.event(&Event::Ignored("a notice"));
                    return Ok(());
                }
                out.event(&Event::Control(Control::ClosingSoon(link)));
                out.reconnect(link, "the venue closes this link for an upgrade");
            }
            "channel-conn-count" => out.event(&Event::Ignored("connection count")),
            "channel-conn-count-error" => {
                return Err(Fault::Venue {
                    code: 0,
                    reason: RejectReason::RateLimit,
                });
            }
            "error" => return self.on_error(registry, link, now, root, out),
            _ => out.event(&Event::Ignored("an event we do not know")),
        }
        Ok(())
    }

    fn on_subscribed(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        let ws = self.web_socket(link);
        let was_missing = ws.acks_missing;
        ws.acks_missing = was_missing.saturating_sub(1);
        if was_missing != 1 {
            out.event(&Event::Ignored("subscription confirmed"));
            return;
        }
        ws.is_ready = true;
        ws.ready_by = None;
        if link == LINK_PRIVATE {
            self.dead_man_at = Some(now.unix);
            out.event(&Event::Control(Control::LoggedIn(link)));
        } else {
            out.event(&Event::Control(Control::Subscribed(link)));
        }
    }

    fn on_login(
        &mut self,
        _registry: &Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let code = code_of(root, "code")?;
        if code != 0 {
            self.refuse_login(code, out);
            return Ok(());
        }
        self.private.acks_missing = 2;
        let number = self.next_number();
        self.message.clear();
        self.message.extend_from_slice(br#"{"id":"s"#);
        push_base36(number, &mut self.message);
        self.message.extend_from_slice(
            br#"","op":"subscribe","args":[{"channel":"orders","instType":"ANY"},{"channel":"account"}]}"#,
        );
        if self.limits.link_ops(now.unix, true, 1) {
            out.send_text(LINK_PRIVATE, &self.message);
        }
        out.event(&Event::Ignored(
            "login accepted; LoggedIn follows the subscriptions",
        ));
        Ok(())
    }

    fn refuse_login(&mut self, code: i32, out: &mut impl Sink) {
        self.private.is_ready = false;
        let reason = reject::reason(code);
        out.event(&Event::Control(Control::LoginRefused(reason)));
        out.reconnect(LINK_PRIVATE, "login refused");
    }

    fn on_error(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let code = code_of(root, "code")?;
        if root.get("op").is_some() {
            let stop = entry::on_answer(registry, root, out)?;
            self.stop_on(stop, now, out);
            return Ok(());
        }
        self.stop_on(code, now, out);
        let is_login = matches!(code, 60001 | 60004..=60009);
        if is_login && link == LINK_PRIVATE && !self.private.is_ready {
            self.refuse_login(code, out);
            return Ok(());
        }
        Err(Fault::Venue {
            code,
            reason: reject::reason(code),
        })
    }

    // ---- snapshots ----

    pub(crate) fn request_snapshot(
        &mut self,
        registry: &Registry,
        id: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        if let Some(book) = self.books.get_mut(id.0 as usize) {
            book.is_wanted = true;
            self.snapshots_at = min_of([self.snapshots_at, Some(book.due().max(now.unix))]);
        }
        self.run_due(registry, now, out);
    }

    fn ask_snapshots(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.snapshots_at = None;
        for index in 0..self.books.len() {
            let Some(book) = self.books.get_mut(index).filter(|book| book.is_wanted) else {
                continue;
            };
            let id = InstrumentId(index as u32);
            if book.due() > now.unix {
                self.snapshots_at = min_of([self.snapshots_at, Some(book.due())]);
                continue;
            }
            let is_calm = now.unix.since(book.asked) > SNAPSHOT_CALM_NS;
            let attempts = if is_calm { 1 } else { book.attempts + 1 };
            let is_anew = attempts % RESUBSCRIBE_EVERY == 0 && self.public.is_open;
            let may = if is_anew {
                self.limits.link_ops(now.unix, false, 2)
            } else {
                self.limits.rest(now.unix, RestPool::Books)
            };
            if !may {
                self.snapshots_at = min_of([self.snapshots_at, Some(now.unix.after(RETRY_NS))]);
                continue;
            }
            book.is_wanted = false;
            book.attempts = attempts;
            book.asked = now.unix;
            book.is_asked = !is_anew;
            book.is_pushed = false;
            if is_anew {
                for op in ["unsubscribe", "subscribe"] {
                    self.write_subscription(registry, op, &["books"], &[id]);
                    out.send_text(LINK_PUBLIC, &self.message);
                }
            } else if let Some(known) = registry.get(id) {
                let symbol = known.symbol.as_str();
                let target = format!("/api/v5/market/books?instId={symbol}&sz=400");
                rest::get(Ask::Books(id), &target, out);
            }
        }
    }

    // ---- reconciliation ----

    pub(crate) fn reconcile(&mut self, now: Now, out: &mut impl Sink) {
        if self.auth.is_none() {
            return;
        }
        self.runs = self.runs.wrapping_add(1);
        self.run = Some(Run {
            number: self.runs,
            step: Step::Pending,
            pages: 0,
            after: 0,
            bill_max: 0,
            at: now.unix,
        });
        out.event(&Event::Control(Control::ReconcileStarted));
        if self.is_rest_open {
            self.ask_step(now, out);
        }
    }

    fn ask_step(&mut self, now: Now, out: &mut impl Sink) {
        let (Some(run), Some(auth)) = (&mut self.run, &self.auth) else {
            return;
        };
        let (pool, path) = match run.step {
            Step::Pending => (RestPool::Trade, "/api/v5/trade/orders-pending"),
            Step::Fills => (RestPool::Trade, "/api/v5/trade/fills"),
            Step::Balance => (RestPool::Balance, "/api/v5/account/balance"),
        };
        if !self.limits.rest(now.unix, pool) {
            run.at = now.unix.after(RETRY_NS);
            return;
        }
        run.at = now.unix.after(ANSWER_WAIT_NS);
        let mut target = path.to_owned();
        if run.step != Step::Balance {
            target = format!("{target}?limit={PAGE_LEN}");
            if run.after != 0 {
                target = format!("{target}&after={}", run.after);
            }
        }
        let ask = match run.step {
            Step::Pending => Ask::Pending(run.number),
            Step::Fills => Ask::Fills(run.number),
            Step::Balance => Ask::Balance(run.number),
        };
        rest::signed(auth, ask, RestMethod::Get, &target, "", now, out);
    }

    /// The run this answer belongs to, if it is the one under way and at this step.
    fn current(&mut self, number: u32, step: Step) -> Option<&mut Run> {
        self.run
            .as_mut()
            .filter(|run| run.number == number && run.step == step)
    }

    /// A page of a list arrived: the next page, or the next step.
    ///
    /// Errors: more pages than [`PAGES_MAX`]. Open orders then start over (trading stays blocked: a
    /// list we cannot finish proves nothing); fills go on with what was read.
    fn turn_page(
        &mut self,
        number: u32,
        step: Step,
        page: Page,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let bill_last = self.bill_last;
        let Some(run) = self.current(number, step) else {
            return Ok(());
        };
        run.pages += 1;
        run.bill_max = run.bill_max.max(page.id_max);
        let is_last = page.items < PAGE_LEN || (step == Step::Fills && page.id_min <= bill_last);
        let is_over = !is_last && run.pages >= PAGES_MAX;
        if is_over && step == Step::Pending {
            run.pages = 0;
            run.after = 0;
            run.at = now.unix.after(ANSWER_WAIT_NS);
            return Err(DecodeError::TooMuch("open orders").into());
        }
        if is_last || is_over {
            run.step = if step == Step::Pending {
                run.bill_max = 0; // it held order ids so far
                Step::Fills
            } else {
                Step::Balance
            };
            run.pages = 0;
            run.after = 0;
        } else {
            run.after = page.id_min;
        }
        self.ask_step(now, out);
        if is_over {
            return Err(DecodeError::TooMuch("fills").into());
        }
        Ok(())
    }

    pub(crate) fn query_order(
        &mut self,
        registry: &Registry,
        order: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let known = registry
            .get(order.instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        let auth = self.auth.as_ref().ok_or(EntryError::NotReady)?;
        if !self.is_rest_open {
            return Err(EntryError::NotReady);
        }
        if !self.limits.rest(now.unix, RestPool::Trade) {
            return Err(EntryError::RateLimited);
        }
        let mut client = Vec::new();
        push_client_id(order.client_id, &mut client);
        let target = format!(
            "/api/v5/trade/order?instId={}&clOrdId={}",
            known.symbol,
            String::from_utf8_lossy(&client)
        );
        let ask = Ask::Order(order.instrument, order.client_id);
        rest::signed(auth, ask, RestMethod::Get, &target, "", now, out);
        Ok(())
    }

    fn arm_dead_man(&mut self, now: Now, out: &mut impl Sink) {
        let Some(auth) = self.auth.as_ref().filter(|_| self.private.is_ready) else {
            self.dead_man_at = None;
            return;
        };
        if !self.limits.rest(now.unix, RestPool::DeadMan) {
            self.dead_man_at = Some(now.unix.after(RETRY_NS));
            return;
        }
        self.dead_man_at = Some(now.unix.after(DEAD_MAN_REARM_NS));
        let target = "/api/v5/trade/cancel-all-after";
        let body = format!(r#"{{"timeOut":"{DEAD_MAN_TIMEOUT_S}"}}"#);
        rest::signed(
            auth,
            Ask::DeadMan,
            RestMethod::Post,
            target,
            &body,
            now,
            out,
        );
    }

    // ---- REST answers ----

    pub(crate) fn on_response(
        &mut self,
        doc: &mut Doc,
        registry: &mut Registry,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let ask = Ask::of(response.tag).ok_or(DecodeError::Shape("a tag that is not ours"))?;
        let result = self.read_response(ask, doc, registry, now, response, out);
        if result.is_err() {
            self.retry(ask, now);
        }
        result
    }

    /// Puts what failed back on the clock. Reads only: nothing here places an order.
    fn retry(&mut self, ask: Ask, now: Now) {
        let soon = now.unix.after(RETRY_NS);
        match ask {
            Ask::Instruments(_) if !self.are_instruments_ready => self.lists_at = Some(soon),
            Ask::Books(id) => {
                if let Some(book) = self.books.get_mut(id.0 as usize) {
                    book.is_wanted = true;
                    book.is_asked = false;
                    self.snapshots_at = min_of([self.snapshots_at, Some(soon)]);
                }
            }
            Ask::Pending(number) | Ask::Fills(number) | Ask::Balance(number) => {
                if let Some(run) = self.run.as_mut().filter(|run| run.number == number) {
                    run.at = run.at.min(soon);
                }
            }
            Ask::DeadMan if self.dead_man_at.is_some() => self.dead_man_at = Some(soon),
            _ => {}
        }
    }

    fn read_response(
        &mut self,
        ask: Ask,
        doc: &mut Doc,
        registry: &mut Registry,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let status = response.status;
        let of_status = Fault::Venue {
            code: i32::from(status),
            reason: reject::reason_of_status(status),
        };
        if status == 429 {
            self.stop_on(50011, now, out);
        }
        if status == 0 {
            return Err(of_status);
        }
        let tree = match doc.parse(response.body) {
            Ok(tree) => tree,
            Err(_) if !(200..300).contains(&status) => return Err(of_status),
            Err(error) => return Err(feed::of_json(error).into()),
        };
        let root = tree.root();
        let code = code_of(root, "code")?;
        if code != 0 {
            if status != 429 {
                self.stop_on(code, now, out);
            }
            // "No such order" is the answer to a query, not its failure.
            if let (Ask::Order(instrument, client_id), RejectReason::UnknownOrder) =
                (ask, reject::reason(code))
            {
                absent(registry, instrument, client_id, out);
                return Ok(());
            }
            return Err(Fault::Venue {
                code,
                reason: reject::reason(code),
            });
        }
        if !(200..300).contains(&status) {
            return Err(of_status);
        }
        match ask {
            Ask::Instruments(index) => self.on_instruments(index, registry, now, root, out),
            Ask::Books(id) => {
                if let Some(book) = self.books.get_mut(id.0 as usize) {
                    book.is_asked = false;
                    // The keeper asks again if this one does not fit.
                    book.is_wanted = false;
                    if core::mem::take(&mut book.is_pushed) {
                        out.event(&Event::Ignored("a snapshot was pushed meanwhile"));
                        return Ok(());
                    }
                }
                for data in root.array("data").map_err(feed::at("data"))? {
                    let levels = &mut self.levels;
                    let message = feed::book(id, BookMsgKind::Snapshot, data, levels)?;
                    out.event(&Event::Book(message));
                }
                Ok(())
            }
            Ask::Pending(number) => {
                let page = read_pending(registry, root, out)?;
                self.turn_page(number, Step::Pending, page, now, out)
            }
            Ask::Fills(number) => {
                let page = read_fills(registry, root, out)?;
                self.turn_page(number, Step::Fills, page, now, out)
            }
            Ask::Balance(number) => {
                account::on_balances(registry, root, out)?;
                if let Some(&mut run) = self.current(number, Step::Balance) {
                    self.bill_last = self.bill_last.max(run.bill_max);
                    self.run = None;
                    out.event(&Event::Control(Control::Reconciled));
                }
                Ok(())
            }
            Ask::Order(instrument, client_id) => {
                self.on_queried(registry, instrument, client_id, now, root, out)
            }
            Ask::OrderFills => read_fills(registry, root, out)
                .map(|_| ())
                .map_err(Fault::from),
            Ask::DeadMan => {
                out.event(&Event::Ignored("dead man's switch armed"));
                Ok(())
            }
        }
    }

    /// The answer to a query of one order; what was filled of it is then asked for by its id.
    fn on_queried(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        client_id: ClientOrderId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Some(item) = root.array("data").map_err(feed::at("data"))?.next() else {
            absent(registry, instrument, client_id, out);
            return Ok(());
        };
        let report = account::report(instrument, item)?;
        let has_fills = report.cum.is_some_and(|cum| !cum.is_zero());
        if let (true, Some(auth), Some(known)) = (has_fills, &self.auth, registry.get(instrument))
            && self.limits.rest(now.unix, RestPool::Trade)
        {
            let target = format!(
                "/api/v5/trade/fills?instId={}&ordId={}",
                known.symbol, report.order_id.0
            );
            rest::signed(
                auth,
                Ask::OrderFills,
                RestMethod::Get,
                &target,
                "",
                now,
                out,
            );
        }
        out.event(&Event::Order(report));
        Ok(())
    }

    // ---- orders ----

    /// Checks link and limits, then writes and sends. Nothing leaves when it errs.
    pub(crate) fn send_order(
        &mut self,
        instrument: InstrumentId,
        op: OrderOp,
        count: usize,
        now: Now,
        out: &mut impl Sink,
        write: impl FnOnce(u32, &mut Vec<u8>),
    ) -> Result<(), EntryError> {
        if !self.private.is_ready {
            return Err(EntryError::NotReady);
        }
        if !self.limits.order(now.unix, instrument, op, count) {
            return Err(EntryError::RateLimited);
        }
        self.message.clear();
        write(self.order_window_ms, &mut self.message);
        out.send_text(LINK_PRIVATE, &self.message);
        Ok(())
    }
}

/// One page of a list: how many items and the ends of their ids.
#[derive(Debug, Clone, Copy)]
struct Page {
    items: usize,
    id_min: u128,
    id_max: u128,
}

impl Page {
    const EMPTY: Self = Self {
        items: 0,
        id_min: u128::MAX,
        id_max: 0,
    };

    fn add(&mut self, id: u128) {
        self.items += 1;
        self.id_min = self.id_min.min(id);
        self.id_max = self.id_max.max(id);
    }
}

fn read_pending(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<Page, DecodeError> {
    let mut page = Page::EMPTY;
    for item in root.array("data").map_err(feed::at("data"))? {
        page.add(account::id(item, "ordId")?);
        match feed::instrument(registry, item) {
            Ok(id) => out.event(&Event::Order(account::report(id, item)?)),
            Err(_) => out.event(&Event::Ignored(
                "an order of an instrument we do not follow",
            )),
        }
    }
    Ok(page)
}

fn read_fills(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<Page, DecodeError> {
    let mut page = Page::EMPTY;
    for item in root.array("data").map_err(feed::at("data"))? {
        page.add(account::id(item, "billId")?);
        match account::listed_fill(registry, item) {
            Ok(Some(fill)) => out.event(&Event::Fill(fill)),
            Ok(None) | Err(DecodeError::UnknownSymbol) => {
                out.event(&Event::Ignored("a fill of an instrument we do not follow"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(page)
}

/// The venue has no order of this id: it was never placed.
fn absent(
    registry: &Registry,
    instrument: InstrumentId,
    client_id: ClientOrderId,
    out: &mut impl Sink,
) {
    if registry.get(instrument).is_none() || client_id.0 == 0 {
        out.event(&Event::Ignored("no such order"));
        return;
    }
    out.event(&Event::Order(OrderReport {
        instrument,
        client_id: Some(client_id),
        order_id: OrderId(0),
        side: None,
        state: OrderState::Rejected,
        reason: RejectReason::UnknownOrder,
        price: None,
        qty: None,
        cum: None,
        venue_ns: VenueNanos(0),
    }));
}
