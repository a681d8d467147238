//! Links and their upkeep: logon, user stream, snapshots, reconciliation, planned reconnects.
//!
//! ```text
//! (spot; what futures do beside it is in `usdm`)
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
mod futures;
mod link;
mod reconcile;
mod rules;

use crate::account::{Names, Naming};
use crate::auth::{Auth, AuthError};
use crate::entry::{self, MESSAGE_MAX, Signing};
use crate::feed::{Decoder, Heard, Notice, Stop};
use crate::limits::Limits;
use crate::product::Product;
use crate::rest::{self, API_KEY_FIELD, Ask};
use crate::session::books::BookState;
use crate::session::link::WsLink;
use crate::session::reconcile::Run;
use crate::session::rules::Rules;
use crate::symbols::client_id_text;
use crate::template::Templates;
use crate::usdm::batch::Batches;
use crate::usdm::{self, Futures};
use crate::{LINK_BATCHES, LINK_CANCELS, LINK_MD, LINK_ORDERS, LINK_REST, LINK_USER};
use dp_types::{
    CancelOrder, Instrument, InstrumentId, LinkId, Now, OrderId, RejectReason, UnixNanos,
};
use dp_venue_api::{
    BatchLink, Control, EntryError, Event, Fault, InFlight, LinkKind, LinkSpec, MarketData,
    Registry, Secret, Sink, UpgradeField, VenueConfig,
};
use dp_wire::buf::{Buf, Overflow};

pub(crate) const SECOND_NS: u64 = 1_000_000_000;
/// The venue pings every 20 s and cuts us when a minute passes without a pong: silence this long is death. Futures
/// ping every 3 min, so we ask (`usdm`).
const SILENCE_NS_MAX: u64 = 60 * SECOND_NS;
/// The venue cuts every WebSocket at 24 h; we go before, and not with both links at once.
const MD_LIFE_NS: u64 = (23 * 60 + 50) * 60 * SECOND_NS;
const ORDERS_LIFE_NS: u64 = (23 * 60 + 40) * 60 * SECOND_NS;
/// How long logon and subscription may take together.
const READY_WAIT_NS: u64 = 10 * SECOND_NS;
/// Pause before a failed REST request is tried again.
pub(crate) const RETRY_NS: u64 = SECOND_NS;
/// How long a REST answer may take before it counts as lost. A request that is lost or was never sent is
/// answered by status 0, so this is for the case that not even that comes: long enough for a request that
/// waits in the link's queue behind four others of 10 s each, so that none is asked twice that still counts.
pub(crate) const ANSWER_WAIT_NS: u64 = 45 * SECOND_NS;
/// Weight of a logon or a user stream subscription.
const LOGON_WEIGHT: u32 = 2;
/// Why market data is passed over at the start.
pub(crate) const NO_RULES: &str = "rules are not known yet";
/// Streams of one symbol, as text and in SBE, where depth comes every 20 ms.
const STREAMS: [&str; 3] = ["@depth@100ms", "@trade", "@bookTicker"];
const STREAMS_SBE: [&str; 3] = ["@depth", "@trade", "@bestBidAsk"];

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
    product: Product,
    /// Market data comes in SBE, for who shows a key.
    is_sbe: bool,
    links: Vec<LinkSpec>,
    auth: Option<Auth>,
    auth_error: Option<AuthError>,
    order_window_ms: u32,
    followed: Vec<Followed>,
    rules: Rules,
    pub(crate) limits: Limits,
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
    /// What only futures have; `None` on spot.
    futures: Option<Box<Futures>>,
}

fn min_of(deadlines: impl IntoIterator<Item = Option<UnixNanos>>) -> Option<UnixNanos> {
    deadlines.into_iter().flatten().min()
}

/// `/stream?streams=btcusdt@depth@100ms/btcusdt@trade/...`: subscribed by connecting.
fn md_path(product: Product, is_sbe: bool, symbols: &[String]) -> String {
    let kinds = if is_sbe { STREAMS_SBE } else { STREAMS };
    let streams: Vec<_> = symbols
        .iter()
        .flat_map(|symbol| kinds.map(|stream| format!("{}{stream}", symbol.to_ascii_lowercase())))
        .collect();
    product.streams_path().to_owned() + &streams.join("/")
}

impl Session {
    pub(crate) fn new(product: Product, config: VenueConfig, instruments: &[InstrumentId]) -> Self {
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
                LinkKind::Http | LinkKind::HttpLines | LinkKind::Fix => 0,
            },
            is_held: false,
        };
        // Futures have no such streams.
        let is_sbe = product == Product::Spot && config.market_data == MarketData::Sbe;
        let path = md_path(product, is_sbe, &config.symbols);
        let mut links = vec![
            link(
                LINK_REST,
                LinkKind::Http,
                config.rest.clone(),
                String::new(),
                "rest",
            ),
            link(
                LINK_MD,
                LinkKind::WebSocket,
                config.public.clone(),
                path,
                "md",
            ),
        ];
        if auth.is_some() {
            let path = product.orders_path().to_owned();
            let (kind, host) = (LinkKind::WebSocket, config.private);
            links.push(link(LINK_ORDERS, kind, host, path, "orders"));
        }
        let is_futures = product == Product::Usdm;
        if is_futures && auth.is_some() {
            links.push(LinkSpec {
                is_held: true, // until there is a listen key
                silence_ns_max: usdm::USER_SILENCE_NS,
                ..link(
                    LINK_USER,
                    LinkKind::WebSocket,
                    config.public,
                    String::new(),
                    "user",
                )
            });
            links.push(link(
                LINK_CANCELS,
                LinkKind::Http,
                config.rest.clone(),
                String::new(),
                "cancels",
            ));
        }
        let has_batches = is_futures && auth.is_some() && config.rest_batches;
        if has_batches {
            let (kind, path) = (LinkKind::Http, String::new());
            links.push(link(LINK_BATCHES, kind, config.rest, path, "batches"));
        }
        let followed = |&id: &InstrumentId| Followed {
            id,
            book: BookState::default(),
            trade_last: 0,
            trade_seen: 0,
        };
        Self {
            product,
            is_sbe,
            links,
            auth,
            auth_error,
            order_window_ms: config.order_window_ms,
            followed: instruments.iter().map(followed).collect(),
            rules: Rules::All(rules::target(product, &config.symbols)),
            limits: Limits::new(product, config.budget),
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
            futures: is_futures.then(|| {
                Box::new(Futures {
                    batches: has_batches.then(Batches::default),
                    ..Futures::default()
                })
            }),
        }
    }

    pub(crate) fn links(&self) -> &[LinkSpec] {
        &self.links
    }

    /// Whether market data is for who shows a key.
    pub(crate) const fn has_keyed_feed(&self) -> bool {
        self.is_sbe
    }

    /// The key, on the link that wants it shown. Nothing is signed there.
    pub(crate) fn upgrade_fields(&self, link: LinkId) -> Vec<UpgradeField> {
        let auth = self
            .auth
            .as_ref()
            .filter(|_| self.is_sbe && link == LINK_MD);
        let field = |auth: &Auth| (API_KEY_FIELD, Secret::from(auth.api_key()));
        auth.map(field).into_iter().collect()
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
            LINK_USER => self.user_opened(now, out),
            LINK_CANCELS => self.cancels_opened(registry, now, out),
            LINK_BATCHES => self.with_batch_link(|link| *link = BatchLink::opened()),
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
                self.key_lost(now);
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
                }
            }
            LINK_ORDERS => {
                self.orders = WsLink::default();
                self.has_session = false;
                self.not_logged_in();
            }
            LINK_USER => self.user_closed(now, out),
            LINK_CANCELS => self.cancels_closed(now),
            LINK_BATCHES => self.with_batch_link(|link| *link = BatchLink::default()),
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
            (false, _) if self.product == Product::Usdm => {
                usdm::entry::write_proof(auth, now, &mut self.message)
            }
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
            self.futures_deadline(),
        ]);
        if !self.is_rest_open {
            return links; // the rest waits for the link
        }
        let run_at = self.run.map(|run| run.at);
        let key_at = self.key_at();
        min_of([links, self.rules_at, self.snapshots_at, run_at, key_at])
    }

    pub(crate) fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.md.on_deadline(LINK_MD, now, out);
        self.orders.on_deadline(LINK_ORDERS, now, out);
        if self.orders.retry_at.is_some_and(|at| at <= now.unix) {
            self.log_on(now, out);
        }
        self.futures_due(registry, now, out);
        self.run_due(registry, now, out);
    }

    /// Sends every REST request that is due.
    fn run_due(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.is_rest_open {
            return;
        }
        let is_due = |at: Option<UnixNanos>| at.is_some_and(|at| at <= now.unix);
        if is_due(self.key_at()) {
            self.ask_key(now, out);
        }
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
            terms: self.futures.as_mut().map(|it| &mut it.terms),
            was_taken: false,
            out,
        };
        let heard = decoder.text(registry, link, text, &mut naming);
        let was_taken = naming.was_taken;
        self.futures_heard(link, was_taken, now);
        let heard = heard?;
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
            Notice::Funded => self.funding_paid(now),
            Notice::StreamEnded => self.key_expired(now, out),
            Notice::LoggedOn => {
                self.has_session = true;
                match self.product {
                    Product::Spot => self.log_on(now, out),
                    Product::Usdm => self.orders_ready(now, out),
                }
            }
            Notice::UserStreamOn => self.orders_ready(now, out),
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

    /// The order link may be used; on futures, once the user stream runs too.
    fn orders_ready(&mut self, now: Now, out: &mut impl Sink) {
        self.orders.is_ready = self.orders.is_open;
        self.orders.ready_by = None;
        self.tell_logged_in(now, out);
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
        if !self.is_logged_in() {
            return Err(EntryError::NotReady);
        }
        let may = match op {
            Op::New => self.limits.new_order(now.unix),
            Op::Amend => self.limits.amend(now.unix),
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
        if !self.limits.request(now.unix, ask.weight(self.product)) {
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
            let target = auth.sign_target(self.product.paths().order, &query);
            self.in_flight.add(ask.tag(), now.unix);
            rest::ask(ask, &target, Some(auth.api_key()), out);
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
