//! OANDA v20 as one sans-IO machine: prices, and nothing but prices.
//!
//! ```text
//! link 0 rest   instruments → InstrumentsReady · a price that was asked for
//! link 1 md     (instruments known) GET pricing/stream → an answer that goes on, a line of JSON each:
//!               PRICE → quote and book, HEARTBEAT every 5 s
//! ```
//! A price is a whole ladder: each is a snapshot of its book, and none depends on the one before. Nothing is told
//! without a token, so market data has keys here. The venue sends at most four prices a second of an instrument and
//! leaves out what lay between: this feed is for looking, not for racing.
//!
//! Not here: orders (each is refused as [`entry::REFUSED`]), account, trades, candles; and no scanner, for lines that
//! come four times a second.
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
pub mod limits;
pub mod reject;
pub mod rest;
mod session;
pub mod symbols;
pub mod sync;

use crate::session::Session;
use dp_types::limit::{HTTP_BODY_MAX, HTTP_LINE_MAX};
use dp_types::{
    AmendOrder, CancelOrder, InstrumentId, LinkId, NewOrder, Now, OrderId, Text, UnixNanos, VenueId,
};
use dp_venue_api::{
    BatchNew, Capabilities, EntryError, EntryLink, Fault, LinkSpec, Positions, ReadCounts,
    Registry, RegistryError, RestResponse, SingleOrders, Sink, Venue, VenueConfig,
};
use dp_wire::json::Doc;

/// This venue.
pub const ID: VenueId = VenueId::OANDA;
/// REST: instruments, and prices that are asked for.
pub const LINK_REST: LinkId = LinkId(0);
/// The stream of prices.
pub const LINK_STREAM: LinkId = LinkId(1);

/// What the venue offers and we use.
pub const CAPABILITIES: Capabilities = Capabilities {
    entry: EntryLink::None,
    amend_price: false,
    amend_qty: false,
    amend_reduce_only: false,
    cancel_all: false,
    batch: false,
    batch_new: BatchNew::None,
    dead_man_switch: false,
    market: false,
    ioc: false,
    fok: false,
    post_only: false,
    validity_window: false,
    book_checksum: false,
    book_depth: 0, // as many levels as the account is shown
    single_orders: SingleOrders::None,
    positions: Positions::None,
};

/// Increments a symbol starts with until its rules are known.
const PRICE_DECIMALS_BARE: u8 = 8;
const QTY_DECIMALS_BARE: u8 = 8;
/// The list of one account's instruments: a hundred of half a kilobyte each.
const REST_WARM_BYTES: usize = 64 << 10;

/// The OANDA machine.
#[derive(Debug)]
pub struct Oanda {
    doc: Doc,
    rest_doc: Doc,
    session: Session,
    counts: ReadCounts,
}

impl Oanda {
    /// Builds the machine and registers its symbols. Keys are the account's id (`api_key`) and its token
    /// (`api_secret`); without them, or with such as cannot be sent, the machine reads what it is given and asks for
    /// nothing, and says so as a refused login once its REST link is open.
    ///
    /// Errors: [`RegistryError`] when the registry is full or a symbol is too long.
    pub fn new(config: VenueConfig, registry: &mut Registry) -> Result<Self, RegistryError> {
        let instruments = config
            .symbols
            .iter()
            .map(|symbol| registry.register(ID, symbol, PRICE_DECIMALS_BARE, QTY_DECIMALS_BARE))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            doc: Doc::exact(HTTP_LINE_MAX, HTTP_LINE_MAX),
            rest_doc: Doc::exact(REST_WARM_BYTES, HTTP_BODY_MAX),
            session: Session::new(&config, &instruments),
            counts: ReadCounts::default(),
        })
    }
}

impl Venue for Oanda {
    fn id(&self) -> VenueId {
        ID
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn links(&self) -> &[LinkSpec] {
        self.session.links()
    }

    /// Prices are an account's.
    fn has_keyed_feed(&self) -> bool {
        true
    }

    fn on_open(&mut self, registry: &mut Registry, link: LinkId, now: Now, out: &mut impl Sink) {
        self.session.on_open(registry, link, now, out);
    }

    /// One line of the stream.
    fn on_text(
        &mut self,
        registry: &Registry,
        _link: LinkId,
        _now: Now,
        text: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        self.counts.parsed += 1;
        let read = match self.doc.parse_exact(text) {
            Ok(line) => self.session.on_line(registry, line.root(), out),
            Err(error) => Err(feed::of_json(error)),
        };
        Ok(session::or_anew(read, out)?)
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

    fn on_closed(&mut self, link: LinkId, now: Now, _out: &mut impl Sink) {
        self.session.on_closed(link, now);
    }

    fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.session.run_due(registry, now, out);
    }

    fn next_deadline(&self) -> Option<UnixNanos> {
        self.session.next_deadline()
    }

    /// Asks for the price by REST. While the stream is not there nothing is asked: it begins with every price.
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

    /// There is nothing to compare.
    fn reconcile(&mut self, _: &Registry, _: Now, _: &mut impl Sink) {}

    fn query_order(
        &mut self,
        _: &Registry,
        _: &CancelOrder,
        _: Now,
        _: &mut impl Sink,
    ) -> Result<(), EntryError> {
        Err(entry::REFUSED)
    }

    fn new_order(
        &mut self,
        _: &Registry,
        _: &NewOrder,
        _: Now,
        _: &mut impl Sink,
    ) -> Result<(), EntryError> {
        Err(entry::REFUSED)
    }

    fn amend_order(
        &mut self,
        _: &Registry,
        _: &AmendOrder,
        _: Now,
        _: &mut impl Sink,
    ) -> Result<(), EntryError> {
        Err(entry::REFUSED)
    }

    fn cancel_order(
        &mut self,
        _: &Registry,
        _: &CancelOrder,
        _: Now,
        _: &mut impl Sink,
    ) -> Result<(), EntryError> {
        Err(entry::REFUSED)
    }

    fn cancel_all(
        &mut self,
        _: &Registry,
        _: InstrumentId,
        _: &[CancelOrder],
        _: Now,
        _: &mut impl Sink,
    ) -> Result<(), EntryError> {
        Err(entry::REFUSED)
    }

    fn read_counts(&self) -> ReadCounts {
        self.counts
    }

    /// There are no orders.
    fn order_id_text(&self, _: OrderId) -> Text<40> {
        Text::EMPTY
    }
}
