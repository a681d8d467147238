//! A venue's own machine with its order entry over FIX.
//!
//! ```text
//!            new, amend, cancel                        everything else: books, questions, lists, balances, cancel-all
//!                  │                                                     │
//!   FIX link ◀── FixEntry ── reports, fills, acks ──▶ lane ◀── events ── V (its links as ever)
//!   FIX link ──▶ `feed` ───── books, trades ────────────┘
//! ```
//! Where market data is configured to come over FIX too, its link takes the place of V's: V is told of none.
//! Orders go out while the FIX session is logged on and V hears its private stream: a stream that tells what became of
//! an order when the session does not. A cancel goes by whichever road is open. A session that was lost is as a private
//! stream that was lost: orders are compared with the venue before anything new is sent.

use crate::dialect::{Dialect, MarketDialect, Sizes};
use crate::feed::Feed;
use crate::orders::{Held, Orders};
use crate::write::{Requests, order_text};
use crate::{limits, report};
use dp_types::{
    AmendOrder, CancelOrder, Instrument, InstrumentId, LinkId, NewOrder, Now, OrderId, OrderReport,
    OrderState, RejectReason, Text, UnixNanos, VenueId,
};
use dp_venue_api::limits::Bucket;
use dp_venue_api::limits::{OrderAsk, Rates};
use dp_venue_api::{
    Capabilities, Control, DecodeError, EntryError, Event, Fault, FixConfig, FixSpec, LineCounts,
    LinkKind, LinkRole, LinkSpec, ReadCounts, Registry, RestRequest, RestResponse, Sink,
    UpgradeField, Venue, VenueConfig,
};
use dp_wire::fix::Message;

/// Left in the bucket of requests by new orders and amends: a fifth.
const KEPT_PARTS: u32 = 5;
/// A venue's market data and its private stream, by the venues' common numbering.
const MARKET: LinkId = LinkId(1);
const STREAM: LinkId = LinkId(2);

/// A request that is about to leave by the session.
#[derive(Debug, Clone, Copy)]
pub enum Ask<'a> {
    /// A new order.
    New(&'a NewOrder),
    /// An amend.
    Amend(&'a AmendOrder),
    /// A cancel.
    Cancel(&'a CancelOrder),
}

/// A venue's machine whose orders can go over FIX.
pub trait OverFix: Venue + Sized {
    /// What it offers then.
    const CAPABILITIES: Capabilities;

    /// How the venue speaks FIX.
    fn dialect() -> Dialect;

    /// The session of orders. `None` when the keys are of no use for one.
    fn session(config: &VenueConfig, fix: &FixConfig) -> Option<FixSpec>;

    /// The session of market data, and how it is spoken there. `None` where the venue has none that we read, or the keys
    /// are of no use for one.
    fn market(config: &VenueConfig, fix: &FixConfig) -> Option<(FixSpec, MarketDialect)> {
        let _ = (config, fix);
        None
    }

    /// Hears of a request that is about to leave by the session: takes room in the limits that all roads share, and
    /// notes what the other road's messages will leave out.
    ///
    /// Errors: [`EntryError::RateLimited`]; it does not leave.
    fn admit(&mut self, ask: Ask<'_>, instrument: &Instrument, now: Now) -> Result<(), EntryError> {
        let _ = (ask, instrument, now);
        Ok(())
    }
}

/// The wrapper.
#[derive(Debug)]
pub struct FixEntry<V> {
    inner: V,
    config: VenueConfig,
    links: Vec<LinkSpec>,
    link: LinkId,
    /// Market data over FIX; `None`: it comes by the inner machine's links.
    feed: Option<Feed>,
    requests: Requests,
    road: Road,
    bucket: Bucket,
    kept: u32,
    /// Number of the last request about an order.
    number: u16,
    /// Messages of market data read.
    scanned: u64,
}

/// Where the session stands, and what is on its way there.
#[derive(Debug, Default)]
struct Road {
    orders: Orders,
    is_up: bool,
    /// The inner machine hears its private stream.
    is_heard: bool,
    /// The inner machine has just learnt the rules of its instruments.
    has_learnt: bool,
    /// Connections so far.
    connection: u32,
}

/// The inner machine's events on their way out.
struct Filter<'a, S> {
    out: &'a mut S,
    road: &'a mut Road,
    now: UnixNanos,
}

impl<S: Sink> Sink for Filter<'_, S> {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Control(Control::LoggedIn(_)) => {
                self.road.is_heard = true;
                if self.road.is_up {
                    self.out.event(event);
                }
            }
            Event::Control(Control::InstrumentsReady) => {
                self.road.has_learnt = true;
                self.out.event(event);
            }
            Event::Order(report) if self.road.is_early(report, self.now) => {
                self.out.event(&Event::Ignored(
                    "no such order yet: its request may still arrive",
                ));
            }
            _ => self.out.event(event),
        }
    }

    fn send_text(&mut self, link: LinkId, text: &[u8]) {
        self.out.send_text(link, text);
    }

    fn send_fix(&mut self, link: LinkId, kind: &'static str, fields: &[u8]) {
        self.out.send_fix(link, kind, fields);
    }

    fn request(&mut self, link: LinkId, request: &RestRequest<'_>) {
        self.out.request(link, request);
    }

    fn reconnect(&mut self, link: LinkId, why: &'static str) {
        self.out.reconnect(link, why);
    }

    fn connect(&mut self, link: LinkId, path: &str) {
        self.out.connect(link, path);
    }
}

impl Road {
    /// Whether the other road says "no such order" of one that may still be on its way here.
    fn is_early(&self, report: &OrderReport, now: UnixNanos) -> bool {
        let is_absent =
            (report.state, report.reason) == (OrderState::Rejected, RejectReason::UnknownOrder);
        let Some(id) = report.client_id.filter(|_| is_absent) else {
            return false;
        };
        self.orders.may_arrive(id, now, self.connection)
    }

    const fn is_open(&self) -> bool {
        self.is_up && self.is_heard
    }
}

impl<V: OverFix> FixEntry<V> {
    /// Puts FIX before a machine that was made of the same configuration and follows these instruments.
    pub fn new(inner: V, config: VenueConfig, registry: &Registry) -> Self {
        let mut links = inner.links().to_vec();
        let spec = |id, (host, port): (String, u16), name| LinkSpec {
            id,
            kind: LinkKind::Fix,
            host,
            port,
            path: String::new(),
            name,
            silence_ns_max: 0, // the session's heartbeats judge that
            is_held: false,
        };
        let next = links.iter().map(|link| link.id.0 + 1).max();
        let link = LinkId(next.unwrap_or(0).max(STREAM.0 + 1));
        let fix = config.fix.as_ref();
        let market = fix.and_then(|fix| Some((fix.market.clone()?, V::market(&config, fix)?.1)));
        let feed = market.map(|(host, dialect)| {
            links.retain(|link| inner.link_role(link.id) != LinkRole::Market);
            links.push(spec(MARKET, host, "md"));
            let ids = config.symbols.iter();
            let ids = ids.filter_map(|symbol| registry.find(inner.id(), symbol.as_bytes()));
            Feed::new(MARKET, dialect, &ids.collect::<Vec<_>>())
        });
        if let Some(fix) = fix.filter(|fix| V::session(&config, fix).is_some()) {
            links.push(spec(link, fix.entry.clone(), "fix"));
        }
        let dialect = V::dialect();
        let rate = dialect.rate;
        Self {
            inner,
            config,
            links,
            link,
            feed,
            requests: Requests::new(dialect),
            road: Road::default(),
            bucket: limits::of_session(rate),
            kept: rate.1 / KEPT_PARTS,
            number: 0,
            scanned: 0,
        }
    }

    /// Lets the inner machine speak.
    fn inner<S: Sink, R>(
        &mut self,
        now: Now,
        out: &mut S,
        say: impl FnOnce(&mut V, &mut Filter<'_, S>) -> R,
    ) -> R {
        let Self { inner, road, .. } = self;
        let now = now.unix;
        say(inner, &mut Filter { out, road, now })
    }

    /// The link of market data over FIX, if this is it.
    fn feed_of(&mut self, link: LinkId) -> Option<&mut Feed> {
        self.feed.as_mut().filter(|feed| feed.link == link)
    }

    /// The rules may have come with what the inner machine just heard.
    fn look_for_rules(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if core::mem::take(&mut self.road.has_learnt)
            && let Some(feed) = &mut self.feed
        {
            feed.on_rules(registry, now, out);
        }
    }

    /// Room for a request in every limit. Errors: [`EntryError`].
    fn admit(&mut self, ask: Ask<'_>, instrument: &Instrument, now: Now) -> Result<(), EntryError> {
        let kept = match ask {
            Ask::New(_) | Ask::Amend(_) => self.kept,
            Ask::Cancel(_) => 0,
        };
        if !self.bucket.take(now.unix, 1, kept) {
            return Err(EntryError::RateLimited);
        }
        self.inner.admit(ask, instrument, now)
    }

    /// The next request's number. Begins at the second the first one is made in: names of requests of two runs differ.
    fn next_number(&mut self, now: Now) -> u16 {
        if self.number == 0 {
            self.number = (now.unix.millis() / 1_000) as u16;
        }
        self.number = self.number.wrapping_add(1).max(1);
        self.number
    }
}

fn known(registry: &Registry, id: InstrumentId) -> Result<&Instrument, EntryError> {
    registry.get(id).ok_or(EntryError::UnknownInstrument)
}

/// A request whose fields do not fit a message.
const TOO_LONG: EntryError = EntryError::Unsupported;

/// The session's limit before the venue's. Over FIX each order is a message, whatever the venue's own interface would
/// carry together.
#[derive(Debug)]
struct FixRates {
    bucket: Bucket,
    kept: u32,
    inner: Box<dyn Rates>,
}

impl Rates for FixRates {
    fn take(&mut self, now: UnixNanos, instrument: InstrumentId, ask: OrderAsk<'_>) -> bool {
        let may = match ask {
            OrderAsk::New(_) | OrderAsk::Amend(_) => self.bucket.take(now, 1, self.kept),
            OrderAsk::Cancel(_) => self.bucket.take(now, 1, 0),
            // By the venue's own interface.
            OrderAsk::CancelAll(_) => true,
        };
        may && self.inner.take(now, instrument, ask)
    }
}

impl<V: OverFix> Venue for FixEntry<V> {
    fn id(&self) -> VenueId {
        self.inner.id()
    }

    fn capabilities(&self) -> &'static Capabilities {
        const { &V::CAPABILITIES }
    }

    fn links(&self) -> &[LinkSpec] {
        &self.links
    }

    fn link_role(&self, link: LinkId) -> LinkRole {
        match &self.feed {
            _ if link == self.link => LinkRole::Orders,
            Some(feed) if link == feed.link => LinkRole::Market,
            _ => self.inner.link_role(link),
        }
    }

    fn has_keyed_feed(&self) -> bool {
        self.inner.has_keyed_feed()
    }

    fn entry_link(&self) -> LinkId {
        self.link
    }

    fn fix_spec(&self, link: LinkId) -> Option<FixSpec> {
        let fix = self.config.fix.as_ref()?;
        if self.feed.as_ref().is_some_and(|feed| feed.link == link) {
            return Some(V::market(&self.config, fix)?.0);
        }
        V::session(&self.config, fix).filter(|_| link == self.link)
    }

    fn upgrade_fields(&self, link: LinkId) -> Vec<UpgradeField> {
        self.inner.upgrade_fields(link)
    }

    fn on_open(&mut self, registry: &mut Registry, link: LinkId, now: Now, out: &mut impl Sink) {
        if let Some(feed) = self.feed_of(link) {
            feed.on_open(registry, now, out);
            return;
        }
        if link != self.link {
            self.inner(now, out, |inner, out| {
                inner.on_open(registry, link, now, out);
            });
            self.look_for_rules(registry, now, out);
            return;
        }
        self.road.is_up = true;
        self.road.connection = self.road.connection.wrapping_add(1);
        if self.road.is_heard {
            out.event(&Event::Control(Control::LoggedIn(link)));
        }
    }

    fn on_text(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        text: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let result = self.inner(now, out, |inner, out| {
            inner.on_text(registry, link, now, text, out)
        });
        self.look_for_rules(registry, now, out);
        result
    }

    fn on_binary(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        bytes: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        self.inner(now, out, |inner, out| {
            inner.on_binary(registry, link, now, bytes, out)
        })
    }

    fn on_datagram(
        &mut self,
        registry: &Registry,
        line: u8,
        now: Now,
        bytes: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        self.inner(now, out, |inner, out| {
            inner.on_datagram(registry, line, now, bytes, out)
        })
    }

    fn on_fix(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        message: &Message<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if let Some(feed) = self.feed.as_mut().filter(|feed| feed.link == link) {
            self.scanned += 1;
            return feed.on_message(self.requests.dialect(), registry, message, out);
        }
        let (dialect, road) = (self.requests.dialect(), &mut self.road);
        let at = report::At {
            now: now.unix,
            connection: road.connection,
        };
        match report::on_message(dialect, registry, message, (&mut road.orders, at), out)? {
            true => Ok(()),
            false if message.kind() == b"B" => {
                out.event(&Event::Ignored("a notice"));
                Ok(())
            }
            false => Err(DecodeError::Shape("a FIX message of a kind we do not know").into()),
        }
    }

    fn on_response(
        &mut self,
        registry: &mut Registry,
        link: LinkId,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let result = self.inner(now, out, |inner, out| {
            inner.on_response(registry, link, now, response, out)
        });
        self.look_for_rules(registry, now, out);
        result
    }

    fn on_closed(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        if let Some(feed) = self.feed_of(link) {
            feed.on_closed();
            return;
        }
        if link == self.link {
            self.road.is_up = false;
            return;
        }
        if link == STREAM {
            self.road.is_heard = false;
        }
        self.inner(now, out, |inner, out| inner.on_closed(link, now, out));
    }

    fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.inner(now, out, |inner, out| inner.on_deadline(registry, now, out));
        if let Some(feed) = &mut self.feed {
            feed.on_deadline(registry, now, out);
        }
    }

    fn next_deadline(&self) -> Option<UnixNanos> {
        let feed = self.feed.as_ref().and_then(Feed::next_deadline);
        [self.inner.next_deadline(), feed]
            .into_iter()
            .flatten()
            .min()
    }

    fn request_snapshot(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        if let Some(feed) = &mut self.feed {
            feed.request_snapshot(registry, instrument, now, out);
            return;
        }
        self.inner(now, out, |inner, out| {
            inner.request_snapshot(registry, instrument, now, out);
        });
    }

    fn request_l3(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        self.inner(now, out, |inner, out| {
            inner.request_l3(registry, instrument, now, out);
        });
    }

    fn reconcile(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.inner(now, out, |inner, out| inner.reconcile(registry, now, out));
    }

    fn query_order(
        &mut self,
        registry: &Registry,
        order: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        self.inner(now, out, |inner, out| {
            inner.query_order(registry, order, now, out)
        })
    }

    fn new_order(
        &mut self,
        registry: &Registry,
        order: &NewOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = known(registry, order.instrument)?;
        if !self.road.is_open() {
            return Err(EntryError::NotReady);
        }
        self.admit(Ask::New(order), instrument, now)?;
        let held = Held::sent(order, now.unix, self.road.connection);
        self.road.orders.note(held);
        let fields = self.requests.new_order(instrument, order, now.unix);
        out.send_fix(self.link, "D", fields.ok_or(TOO_LONG)?);
        Ok(())
    }

    /// Over FIX where the venue amends there and the order is one of the latest; else as the venue's machine does.
    fn amend_order(
        &mut self,
        registry: &Registry,
        amend: &AmendOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = known(registry, amend.instrument)?;
        let held = self.road.orders.get(amend.client_id).copied();
        let dialect = self.requests.dialect();
        // What is left as it is has to be known: of contracts only those the order was sent with are.
        let is_known = dialect.sizes == Sizes::Units || amend.qty.is_some();
        let is_open = self.road.is_open() && is_known;
        let (Some(kind), Some(held), true) = (dialect.amend, held, is_open) else {
            return self.inner(now, out, |inner, out| {
                inner.amend_order(registry, amend, now, out)
            });
        };
        self.admit(Ask::Amend(amend), instrument, now)?;
        let number = self.next_number(now);
        let text = order_text(amend.order_id, |id| self.inner.order_id_text(id));
        let fields = self
            .requests
            .amend(instrument, amend, (number, &held), text, now.unix);
        out.send_fix(self.link, kind, fields.ok_or(TOO_LONG)?);
        Ok(())
    }

    /// Over FIX, unless the session is down or has said that the order is not its own.
    fn cancel_order(
        &mut self,
        registry: &Registry,
        cancel: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = known(registry, cancel.instrument)?;
        let held = self.road.orders.get(cancel.client_id).copied();
        let is_here = held.is_some_and(|held| !held.is_elsewhere);
        if !is_here || !self.road.is_up {
            return self.inner(now, out, |inner, out| {
                inner.cancel_order(registry, cancel, now, out)
            });
        }
        self.admit(Ask::Cancel(cancel), instrument, now)?;
        let number = self.next_number(now);
        let text = order_text(cancel.order_id, |id| self.inner.order_id_text(id));
        let about = (number, held.as_ref());
        let fields = self
            .requests
            .cancel(instrument, cancel, about, text, now.unix);
        out.send_fix(self.link, "F", fields.ok_or(TOO_LONG)?);
        Ok(())
    }

    /// As the venue's machine does: one request over its own road reaches orders of every road.
    fn cancel_all(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        live: &[CancelOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        self.inner(now, out, |inner, out| {
            inner.cancel_all(registry, instrument, live, now, out)
        })
    }

    fn rates(&self) -> Option<Box<dyn Rates>> {
        Some(Box::new(FixRates {
            bucket: self.bucket,
            kept: self.kept,
            inner: self.inner.rates()?,
        }))
    }

    fn read_counts(&self) -> ReadCounts {
        let of_feed = ReadCounts {
            scanned: self.scanned,
            parsed: 0,
        };
        self.inner.read_counts() + of_feed
    }

    fn line_counts(&self) -> LineCounts {
        self.inner.line_counts()
    }

    fn order_id_text(&self, id: OrderId) -> Text<40> {
        self.inner.order_id_text(id)
    }
}
