//! Coinbase Exchange as one sans-IO machine: market data, order entry, account, reconciliation.
//!
//! ```text
//! link 0 rest     products → InstrumentsReady · reconciliation · questions about orders · books of single orders
//! link 1 md       (products known) subscribe level2 (level2_batch without keys), matches, ticker, heartbeat;
//!                 with keys, where single orders are asked for, full in place of matches
//! link 2 orders   (products known) signed subscribe user, heartbeat → LoggedIn → orders may go out
//! link 3 entry    orders over REST, one at a time: never behind the questions of link 0
//! ```
//! It does not own books: depth goes to a keeper, which asks back through `request_snapshot`. Of orders it
//! remembers what the user channel does not repeat ([`account`]) and which requests are not answered ([`entry`]);
//! both are bounded. It never resends an order.
//!
//! Read but not used live: Advanced Trade's market data and orders, which no link speaks; [`jwt`] signs for it. Orders
//! can go over FIX instead of REST ([`fix`], `dp_venue_fix::FixEntry`). Not here: FIX market data, amends over REST
//! (the venue's `PUT /orders` is not open to all `[U]`), batches, a dead man's switch over REST (it has none),
//! balances between two reconciliations.
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
pub mod decimal;
pub mod entry;
pub mod feed;
pub mod fix;
pub mod jwt;
pub mod limits;
pub mod reject;
pub mod rest;
mod scan;
mod session;
pub mod symbols;
pub mod sync;

use crate::session::Session;
use crate::symbols::order_id_text;
use dp_types::limit::HTTP_BODY_MAX;
use dp_types::{
    AmendOrder, CancelOrder, Instrument, InstrumentId, LinkId, NewOrder, Now, OrderId, Text,
    UnixNanos, VenueId,
};
use dp_venue_api::limits::Rates;
use dp_venue_api::{
    BatchNew, Capabilities, EntryError, EntryLink, Fault, LinkSpec, Positions, ReadCounts,
    Registry, RegistryError, RestResponse, SingleOrders, Sink, Venue, VenueConfig,
};
use dp_wire::json::Doc;

/// This venue.
pub const ID: VenueId = VenueId::COINBASE;
/// REST: questions.
pub const LINK_REST: LinkId = LinkId(0);
/// Market data.
pub const LINK_PUBLIC: LinkId = LinkId(1);
/// The user channel.
pub const LINK_USER: LinkId = LinkId(2);
/// REST: orders.
pub const LINK_ENTRY: LinkId = LinkId(3);

/// What the venue offers and we use.
pub const CAPABILITIES: Capabilities = Capabilities {
    entry: EntryLink::Rest,
    amend_price: false, // PUT /orders: availability [U]
    amend_qty: false,
    amend_reduce_only: false,
    cancel_all: true,
    batch: false,
    batch_new: BatchNew::None,
    dead_man_switch: false, // over FIX only
    market: true,
    ioc: true,
    fok: true,
    post_only: true,
    validity_window: false, // but for the 30 s of a signature
    book_checksum: false,
    book_depth: 0,
    single_orders: SingleOrders::Keyed,
    positions: Positions::None,
};

/// Increments a symbol starts with until its rules are known: room for prices to 10^8 and quantities to 10^10 in
/// 64 bits.
const PRICE_DECIMALS_BARE: u8 = 10;
const QTY_DECIMALS_BARE: u8 = 8;
/// Changes are small; the pushed snapshot of a large book grows the parser once.
const WARM_BYTES: usize = 64 << 10;
/// An order object, a list of balances: answers to orders never allocate.
const REST_WARM_BYTES: usize = 4 << 10;

/// The Coinbase machine.
#[derive(Debug)]
pub struct Coinbase {
    doc: Doc,
    rest_doc: Doc,
    session: Session,
    counts: ReadCounts,
}

impl Coinbase {
    /// Builds the machine and registers its symbols. A secret that is not base64 is told as a refused login once
    /// the REST link is open: the machine then follows market data only.
    ///
    /// Errors: [`RegistryError`] when the registry is full or a symbol is too long.
    pub fn new(config: VenueConfig, registry: &mut Registry) -> Result<Self, RegistryError> {
        let instruments = config
            .symbols
            .iter()
            .map(|symbol| registry.register(ID, symbol, PRICE_DECIMALS_BARE, QTY_DECIMALS_BARE))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            doc: Doc::new(WARM_BYTES),
            rest_doc: Doc::with_limit(REST_WARM_BYTES, HTTP_BODY_MAX),
            session: Session::new(config, &instruments),
            counts: ReadCounts::default(),
        })
    }
}

fn known(registry: &Registry, id: InstrumentId) -> Result<&Instrument, EntryError> {
    registry.get(id).ok_or(EntryError::UnknownInstrument)
}

impl Coinbase {
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
        let tree = self.doc.parse(text).map_err(feed::of_json)?;
        self.session
            .on_message(registry, link, now, tree.root(), out)
    }
}

impl Venue for Coinbase {
    fn id(&self) -> VenueId {
        ID
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn links(&self) -> &[LinkSpec] {
        self.session.links()
    }

    /// `level2` is for those who sign, `level2_batch` for all.
    fn has_keyed_feed(&self) -> bool {
        true
    }

    fn entry_link(&self) -> LinkId {
        LINK_ENTRY
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
        if self.session.scan(registry, text, out) {
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
        self.session
            .on_response(&mut self.rest_doc, registry, now, response, out)
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

    fn reconcile(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.session.reconcile(registry, now, out);
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
        let instrument = known(registry, order.instrument)?;
        self.session.new_order(instrument, order, now, out)
    }

    fn amend_order(
        &mut self,
        _registry: &Registry,
        _amend: &AmendOrder,
        _now: Now,
        _out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        Err(EntryError::Unsupported)
    }

    fn cancel_order(
        &mut self,
        registry: &Registry,
        cancel: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = known(registry, cancel.instrument)?;
        self.session.cancel_order(instrument, cancel, now, out)
    }

    /// One request, whatever lives: the venue cancels every order of the product and profile.
    fn cancel_all(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        _live: &[CancelOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = known(registry, instrument)?;
        self.session.cancel_all(instrument, now, out)
    }

    fn order_id_text(&self, id: OrderId) -> Text<40> {
        order_id_text(id)
    }
}
