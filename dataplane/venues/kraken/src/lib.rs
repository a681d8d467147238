//! Kraken spot as one sans-IO machine: market data, order entry, account, reconciliation.
//!
//! ```text
//! link 0 rest     pairs → InstrumentsReady · the tokens · reconciliation · questions about orders
//! link 1 md       WebSocket v2: (pairs known) subscribe book, trade, ticker → Subscribed
//! link 2 orders   WebSocket v2: token by REST → subscribe executions, balances → LoggedIn → orders may go out
//!                 every 15 s the dead man's switch, 60 s
//! link 3 l3       where single orders are asked for: a token of its own → subscribe level3 → Subscribed
//!
//! after 3 s of silence a ping; the venue speaks every second: 2 s later the link is replaced
//! ```
//! It does not own books: depth goes to a keeper, which asks back through `request_snapshot`. It never resends an
//! order. It does remember orders, in a bounded table: the venue's updates are sparse (`orders`).
//!
//! WebSocket v1 is read (`v1`), because recordings of it exist, and never spoken. Orders can go over FIX
//! instead ([`fix`]). Not here: margin, fill-or-kill (not told of for the WebSocket), status changes of a pair while
//! running (the venue's refusals say them), the rate counter the venue can stream (its field is not documented).
#![forbid(unsafe_code)]
// Bytes from outside never panic.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod account;
pub mod auth;
pub mod entry;
pub mod feed;
pub mod fix;
pub mod limits;
pub mod orders;
pub mod reject;
pub mod rest;
mod scan;
mod session;
pub mod symbols;
pub mod sync;
pub mod time;
mod v1;

pub use session::{DEAD_MAN_REARM_NS, DEAD_MAN_TIMEOUT_S};

use crate::session::Session;
use crate::symbols::order_id_text;
use dp_types::limit::{HTTP_BODY_MAX, WS_MSG_MAX};
use dp_types::{
    AmendOrder, CancelOrder, InstrumentId, LinkId, NewOrder, Now, OrderId, Text, UnixNanos, VenueId,
};
use dp_venue_api::limits::Rates;
use dp_venue_api::{
    BatchNew, Capabilities, EntryError, EntryLink, Fault, LinkRole, LinkSpec, Positions,
    ReadCounts, Registry, RegistryError, RestResponse, SingleOrders, Sink, Venue, VenueConfig,
};
use dp_wire::json::Doc;

/// This venue.
pub const ID: VenueId = VenueId::KRAKEN;
/// REST.
pub const LINK_REST: LinkId = LinkId(0);
/// Public WebSocket.
pub const LINK_PUBLIC: LinkId = LinkId(1);
/// Private WebSocket: user stream and order entry.
pub const LINK_PRIVATE: LinkId = LinkId(2);
/// WebSocket of single orders, where they are asked for.
pub const LINK_L3: LinkId = LinkId(3);

/// What the venue offers and we use.
pub const CAPABILITIES: Capabilities = Capabilities {
    entry: EntryLink::WebSocket,
    amend_price: true,
    amend_qty: true,
    amend_reduce_only: false,
    cancel_all: false, // of the whole account only: listed orders, 50 a message
    batch: true,
    batch_new: BatchNew::Link,
    dead_man_switch: true,
    market: true,
    ioc: true,
    fok: false,
    post_only: true,
    validity_window: true,
    book_checksum: true,
    book_depth: sync::DEPTH as u16,
    single_orders: SingleOrders::Keyed,
    positions: Positions::None,
};

/// Increments a symbol starts with until its rules are known: room for prices to 10^8 and quantities to 10^10 in
/// 64 bits, and for the finest prices in recordings (9 decimals).
const PRICE_DECIMALS_BARE: u8 = 10;
const QTY_DECIMALS_BARE: u8 = 8;
/// A snapshot of ten levels is near 1 KiB, one of a thousand near 80; messages up to this size never allocate.
const WARM_BYTES: usize = 128 << 10;

/// The Kraken machine.
#[derive(Debug)]
pub struct Kraken {
    doc: Doc,
    rest_doc: Doc,
    session: Session,
    counts: ReadCounts,
}

impl Kraken {
    /// Builds the machine and registers its symbols.
    ///
    /// Errors: [`RegistryError`] when the registry is full or a symbol is too long.
    pub fn new(config: VenueConfig, registry: &mut Registry) -> Result<Self, RegistryError> {
        let instruments = config
            .symbols
            .iter()
            .map(|symbol| registry.register(ID, symbol, PRICE_DECIMALS_BARE, QTY_DECIMALS_BARE))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            doc: Doc::exact(WARM_BYTES, WS_MSG_MAX),
            rest_doc: Doc::exact(0, HTTP_BODY_MAX),
            session: Session::new(config, &instruments),
            counts: ReadCounts::default(),
        })
    }
}

impl Kraken {
    /// [`Venue::on_text`] without the scanner: what it falls back to, and its oracle.
    ///
    /// Errors: as there.
    pub fn parse_text(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        text: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Self { doc, session, .. } = self;
        session.heard(link, now);
        let tree = doc.parse_exact(text).map_err(feed::of_json)?;
        session.on_message(registry, link, now, tree.root(), out)
    }
}

impl Venue for Kraken {
    fn id(&self) -> VenueId {
        ID
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn links(&self) -> &[LinkSpec] {
        self.session.links()
    }

    /// Behind the private link only the single orders are.
    fn link_role(&self, link: LinkId) -> LinkRole {
        match link {
            LINK_REST => LinkRole::Rest,
            LINK_PRIVATE => LinkRole::Orders,
            _ => LinkRole::Market,
        }
    }

    fn on_open(&mut self, registry: &mut Registry, link: LinkId, now: Now, out: &mut impl Sink) {
        self.session.on_open(registry, link, now, out);
    }

    fn on_text(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        text: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if self.session.scan(registry, link, now, text, out) {
            self.counts.scanned += 1;
            return Ok(());
        }
        self.counts.parsed += 1;
        self.parse_text(registry, link, now, text, out)
    }

    fn rates(&self) -> Option<Box<dyn Rates>> {
        Some(Box::new(self.session.limits.clone()))
    }

    fn read_counts(&self) -> ReadCounts {
        self.counts
    }

    fn on_response(
        &mut self,
        registry: &mut Registry,
        _link: LinkId,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Self {
            rest_doc, session, ..
        } = self;
        session.on_response(rest_doc, registry, now, response, out)
    }

    fn on_closed(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        self.session.on_closed(link, now, out);
    }

    fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.session.on_deadline(registry, now, out);
    }

    fn next_deadline(&self) -> Option<UnixNanos> {
        self.session.next_deadline()
    }

    fn request_snapshot(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        self.session
            .request_snapshot(registry, instrument, now, out);
    }

    fn request_l3(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        self.session.request_l3(registry, instrument, now, out);
    }

    fn reconcile(&mut self, _registry: &Registry, now: Now, out: &mut impl Sink) {
        self.session.reconcile(now, out);
    }

    fn query_order(
        &mut self,
        registry: &Registry,
        order: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        self.session.query_order(registry, order, now, out)
    }

    fn new_order(
        &mut self,
        registry: &Registry,
        order: &NewOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = registry
            .get(order.instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        self.session.new_order(instrument, order, now, out)
    }

    fn batch_max(&self) -> usize {
        self.session.news_max()
    }

    fn new_orders(
        &mut self,
        registry: &Registry,
        orders: &[NewOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        if let [one] = orders {
            return self.new_order(registry, one, now, out); // the venue takes two at least
        }
        let instrument = orders.first().map(|order| order.instrument);
        let instrument = instrument.and_then(|id| registry.get(id));
        let instrument = instrument.ok_or(EntryError::UnknownInstrument)?;
        self.session.new_orders(instrument, orders, now, out)
    }

    fn amend_order(
        &mut self,
        registry: &Registry,
        amend: &AmendOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = registry
            .get(amend.instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        self.session.amend_order(instrument, amend, now, out)
    }

    fn cancel_order(
        &mut self,
        registry: &Registry,
        cancel: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        self.cancel_all(registry, cancel.instrument, &[*cancel], now, out)
    }

    /// Sends what the venue's counter has room for. Errors: [`EntryError::RateLimited`] when some of the list had
    /// to be left out; messages before it are on their way and the caller calls again with what still lives.
    fn cancel_all(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        live: &[CancelOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        registry
            .get(instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        self.session.cancel_orders(instrument, live, now, out)
    }

    fn order_id_text(&self, id: OrderId) -> Text<40> {
        order_id_text(id)
    }
}
