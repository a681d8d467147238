//! Binance spot as one sans-IO machine: market data, order entry, account, reconciliation.
//!
//! It owns no books (depth goes to a keeper, which asks back through `request_snapshot`) and remembers
//! no orders (request ids say what an answer is about). It never resends an order.
#![forbid(unsafe_code)]

pub mod account;
pub mod auth;
pub mod entry;
pub mod feed;
pub mod limits;
pub mod reject;
pub mod rest;
mod session;
pub mod symbols;
pub mod sync;

use crate::auth::Auth;
use crate::session::Session;
use dp_types::limit::HTTP_BODY_MAX;
use dp_types::{
    AmendOrder, CancelOrder, InstrumentId, LinkId, NewOrder, Now, OrderId, Text, UnixNanos, VenueId,
};
use dp_venue_api::{
    Capabilities, EntryError, EntryLink, Fault, LinkSpec, Registry, RegistryError, RestResponse,
    Sink, Venue, VenueConfig,
};
use dp_wire::json::Doc;

/// This venue.
pub const ID: VenueId = VenueId::BINANCE;
/// REST.
pub const LINK_REST: LinkId = LinkId(0);
/// Combined market streams.
pub const LINK_MD: LinkId = LinkId(1);
/// WebSocket API: order entry and user stream.
pub const LINK_ORDERS: LinkId = LinkId(2);

/// What the venue offers and we use.
pub const CAPABILITIES: Capabilities = Capabilities {
    entry: EntryLink::WebSocket,
    amend_price: false, // cancelReplace loses the queue place; we cancel and place
    amend_qty: true,
    amend_reduce_only: true,
    cancel_all: true,
    batch: false,           // none on spot
    dead_man_switch: false, // none on spot
    market: true,
    ioc: true,
    fok: true,
    post_only: true,
    validity_window: true,
    book_checksum: false,
    book_depth: 0,
};

/// Binance prints eight decimals; instruments keep these until `exchangeInfo` tells their steps.
pub const DECIMALS_BARE: u8 = 8;
/// Messages up to this size never allocate; a 1,000-level snapshot is near 60 KiB.
const WARM_BYTES: usize = 128 << 10;

/// The Binance machine.
#[derive(Debug)]
pub struct Binance {
    doc: Doc,
    rest_doc: Doc,
    session: Session,
}

impl Binance {
    /// Builds the machine and registers its symbols. A key that cannot be read leaves market data only,
    /// which shows as a missing login.
    ///
    /// Errors: [`RegistryError`] when the registry is full or a symbol is too long.
    pub fn new(config: VenueConfig, registry: &mut Registry) -> Result<Self, RegistryError> {
        let instruments = config
            .symbols
            .iter()
            .map(|symbol| registry.register(ID, symbol, DECIMALS_BARE, DECIMALS_BARE))
            .collect::<Result<Vec<_>, _>>()?;
        let auth = Auth::new(&config.secrets).ok().flatten();
        Ok(Self {
            doc: Doc::new(WARM_BYTES),
            rest_doc: Doc::with_limit(0, HTTP_BODY_MAX),
            session: Session::new(config, instruments, auth),
        })
    }
}

impl Venue for Binance {
    fn id(&self) -> VenueId {
        ID
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn links(&self) -> &[LinkSpec] {
        self.session.links()
    }

    fn on_open(&mut self, _registry: &mut Registry, link: LinkId, now: Now, out: &mut impl Sink) {
        self.session.on_open(link, now, out);
    }

    fn on_text(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        text: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Self { doc, session, .. } = self;
        let tree = doc.parse(text).map_err(feed::of_json)?;
        session.on_text(registry, link, now, tree.root(), out)
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

    fn on_closed(&mut self, link: LinkId, _now: Now, _out: &mut impl Sink) {
        self.session.on_closed(link);
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
        self.session.new_order(registry, order, now, out)
    }

    fn amend_order(
        &mut self,
        registry: &Registry,
        amend: &AmendOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        self.session.amend_order(registry, amend, now, out)
    }

    fn cancel_order(
        &mut self,
        registry: &Registry,
        cancel: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        self.session.cancel_order(registry, cancel, now, out)
    }

    fn cancel_all(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        _live: &[CancelOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        self.session.cancel_all(registry, instrument, now, out)
    }

    fn order_id_text(&self, id: OrderId) -> Text<40> {
        symbols::order_id_text(id)
    }
}
