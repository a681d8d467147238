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

mod answers;
mod books;
mod reconcile;
mod rules;

use crate::account::{Names, Naming};
use crate::auth::{Auth, AuthError};
use crate::entry::{self, MESSAGE_MAX, Signing};
use crate::feed::{Decoder, Heard, Notice, Stop};
use crate::limits::Limits;
use crate::rest::{self, Ask};
use crate::session::books::BookState;
use crate::session::reconcile::Run;
use crate::session::rules::Rules;
use crate::symbols::client_id_text;
use crate::template::Templates;
use crate::{LINK_MD, LINK_ORDERS, LINK_REST};
use dp_types::{
    CancelOrder, Instrument, InstrumentId, LinkId, Now, OrderId, RejectReason, UnixNanos,
};
use dp_venue_api::{
    Control, EntryError, Event, Fault, InFlight, LinkKind, LinkSpec, Registry, Sink, VenueConfig,
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
/// How long a REST answer may take before it counts as lost. A request that is lost or was never sent is
/// answered by status 0, so this is for the case that not even that comes: long enough for a request that
/// waits in the link's queue behind four others of 10 s each, so that none is asked twice that still counts.
const ANSWER_WAIT_NS: u64 = 45 * SECOND_NS;
/// Weight of a logon or a user stream subscription.
const LOGON_WEIGHT: u32 = 2;
/// Weight of an amend and of a query over the WebSocket API.
const AMEND_WEIGHT: u32 = 4;
/// Why market data is passed over at the start.
pub(crate) const NO_RULES: &str = "rules are not known yet";
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

/// A followed symbol.
#[derive(Debug, Clone, Copy)]
struct Followed {
    id: InstrumentId,
    book: BookState,
    /// Newest trade at the end of the last reconciliation that was completed; the next one starts behind
    /// it. Never moved before that end: a run that is lost half way, or counts an answer it should not,
    /// then costs reading some trades again (they are known by their ids), and never a fill.
    trade_last: u64,
    /// Newest trade seen in the run under way.
    trade_seen: u64,
}

/// Everything but the decoder.
#[derive(Debug)]
pub(crate) struct Session {
    links: Vec<LinkSpec>,
    auth: Option<Auth>,
    auth_error: Option<AuthError>,
    order_window_ms: u32,
    followed: Vec<Followed>,
    rules: Rules,
    limits: Limits,
    names: Names,
    message: Box<Buf<MESSAGE_MAX>>,
    templates: Templates,
    is_rest_open: bool,
    md: WsLink,
    orders: WsLink,
    has_session: bool,
    /// When the rules are asked for (again); `None` once they are here.
    rules_at: Option<UnixNanos>,
    snapshots_at: Option<UnixNanos>,
    /// Snapshots asked for.
    snapshots: u32,
    /// Questions about single orders on their way over REST.
    in_flight: InFlight,
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
            is_held: false,
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
            trade_seen: 0,
        };
        Self {
            links,
            auth,
            auth_error,
            order_window_ms: config.order_window_ms,
            followed: instruments.iter().map(followed).collect(),
            rules: Rules::All(rules::target(&config.symbols)),
            limits: Limits::default(),
            names: Names::default(),
            message: Box::default(),
            templates: Templates::default(),
            is_rest_open: false,
            md: WsLink::default(),
            orders: WsLink::default(),
            has_session: false,
            rules_at: Some(UnixNanos(0)),
            snapshots_at: None,
            snapshots: 0,
            in_flight: InFlight::new(ANSWER_WAIT_NS),
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
                self.make_templates(registry);
                self.has_session = false;
                self.log_on(now, out);
            }
            _ => {}
        }
    }

    /// Made whenever the order link opens: before any order, and nothing in them changes while it is open.
    fn make_templates(&mut self, registry: &Registry) {
        let followed: Vec<_> = self.followed.iter().map(|followed| followed.id).collect();
        let signer = self.auth.as_ref().filter(|auth| !auth.has_session());
        self.templates = Templates::new(registry, &followed, self.order_window_ms, signer);
    }

    pub(crate) fn on_closed(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        match link {
            LINK_REST => {
                self.is_rest_open = false;
                self.in_flight.clear();
                if let Some(run) = &mut self.run {
                    run.at = now.unix;
                }
                self.rules_at = self.rules_at.map(|_| now.unix);
                for followed in &mut self.followed {
                    // Its answer will not come; the book still needs it.
                    let book = &mut followed.book;
                    book.is_wanted |= book.awaited.take().is_some();
                    if book.is_wanted {
                        self.snapshots_at = Some(now.unix);
                    }
                }
            }
            LINK_MD => {
                self.md = WsLink::default();
                self.snapshots_at = None;
                for followed in &mut self.followed {
                    // A snapshot on its way belongs to no splice: the new stream asks anew, at once.
                    followed.book.is_wanted = false;
                    followed.book.awaited = None;
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
            self.ask_rules(registry, now, out);
        }
        if is_due(self.snapshots_at) {
            self.ask_snapshots(registry, now, out);
        }
        if is_due(self.run.map(|run| run.at)) {
            self.ask_step(registry, now, out);
        }
    }

    // ---- messages ------------------------------------------------------------------------------------

    /// Increments change with the rules: a book begun before them would be of other numbers.
    pub(crate) fn knows_rules(&self, link: LinkId) -> bool {
        link != LINK_MD || !self.md.is_open || self.rules_at.is_none()
    }

    pub(crate) fn on_text(
        &mut self,
        decoder: &mut Decoder,
        registry: &Registry,
        link: LinkId,
        now: Now,
        text: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if !self.knows_rules(link) {
            out.event(&Event::Ignored(NO_RULES));
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
        if heard.is_full {
            self.limits.full_of_orders(now.unix);
        }
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
                self.ask_order_trades(registry, (instrument, client, order), None, now, out);
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

    // ---- orders --------------------------------------------------------------------------------------

    /// Writes one message and sends it. Nothing leaves when it errs.
    pub(crate) fn send(
        &mut self,
        out: &mut impl Sink,
        write: impl FnOnce(Signing<'_>, u32, &mut Buf<MESSAGE_MAX>) -> Result<(), Overflow>,
    ) -> Result<(), EntryError> {
        self.send_made(out, |_, _| None, write)
    }

    /// As [`Session::send`], from a template where there is one.
    #[inline]
    pub(crate) fn send_made(
        &mut self,
        out: &mut impl Sink,
        made: impl for<'t> FnOnce(&'t mut Templates, Signing<'_>) -> Option<&'t [u8]>,
        write: impl FnOnce(Signing<'_>, u32, &mut Buf<MESSAGE_MAX>) -> Result<(), Overflow>,
    ) -> Result<(), EntryError> {
        let signing = match (&self.auth, self.has_session) {
            (_, true) => Signing::Session,
            (Some(auth), false) => Signing::Each(auth),
            (None, false) => return Err(EntryError::NotReady),
        };
        if let Some(text) = made(&mut self.templates, signing) {
            out.send_text(LINK_ORDERS, text);
            return Ok(());
        }
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
        if !self.orders.is_ready {
            if self.in_flight.contains(ask.tag(), now.unix) {
                return Ok(()); // its answer is on the way
            }
            if !self.in_flight.has_room(now.unix) {
                return Err(EntryError::RateLimited);
            }
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
            self.in_flight.add(ask.tag(), now.unix);
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
