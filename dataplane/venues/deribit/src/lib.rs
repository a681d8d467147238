//! Deribit as one sans-IO machine: market data, order entry, account, reconciliation. JSON-RPC 2.0 over WebSocket;
//! lists and questions by the same methods over HTTP, where a large answer holds up neither prices nor orders.
//!
//! ```text
//! link 0 rest     instruments → InstrumentsReady · reconciliation · questions about single orders
//! link 1 md       heartbeat, login (for books of every change), subscribe book, trades, quote → Subscribed
//! link 2 orders   heartbeat, login, cancel on disconnect, subscribe → LoggedIn → orders may go out
//!
//! test_request of the venue → public/test at once
//! ```
//! What is traded, and in which unit (the instrument's quantity is the venue's `amount` throughout):
//!
//! ```text
//! instrument           amount      price            settled in   lot
//! BTC-PERPETUAL        USD         USD a BTC        BTC          contract, 10 USD
//! BTC_USDC-PERPETUAL   BTC         USDC a BTC       USDC         contract
//! BTC-27NOV26-70000-C  BTC         BTC a BTC        BTC          min_trade_amount, 0.1 BTC
//! BTC_USDC             BTC         USDC a BTC       USDC         min_trade_amount
//! ```
//! The value of an inverse future in what it is settled in is amount / price, not amount x price (README, "Contracts").
//!
//! It does not own books: depth goes to a keeper, which asks back through `request_snapshot`. It does not remember
//! orders, but for the terms an edit must repeat: request ids say what an answer is about. It never resends an order.
//!
//! Orders can go over FIX instead ([`fix`]), and market data can come by multicast in the venue's data centres
//! ([`multicast`]): the classic feed in place of link 1, or Starbase's single orders and their trades beside it.
//!
//! Not here: Starbase's order entry, mass quotes, combos' legs, trigger orders, `public/hello`, credits as the account's
//! own tier has them.
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
pub mod funding;
pub mod limits;
pub mod multicast;
pub mod reject;
pub mod rest;
mod resting;
mod rules;
mod scan;
mod session;
pub mod symbols;
pub mod sync;

pub use resting::Terms;
pub use session::HEARTBEAT_S;

use crate::limits::OrderOp;
use crate::multicast::Heard;
use crate::session::Session;
use crate::symbols::order_id_text;
use dp_types::limit::{HTTP_BODY_MAX, WS_MSG_MAX};
use dp_types::{
    AmendOrder, CancelOrder, InstrumentId, LinkId, NewOrder, Now, OrderId, Text, UnixNanos, VenueId,
};
use dp_venue_api::limits::Rates;
use dp_venue_api::{
    BatchNew, Capabilities, DecodeError, EntryError, EntryLink, Fault, LineCounts, LinkSpec,
    MarketData, Positions, ReadCounts, Registry, RegistryError, RestResponse, SingleOrders, Sink,
    Venue, VenueConfig,
};
use dp_wire::json::Doc;

/// This venue.
pub const ID: VenueId = VenueId::DERIBIT;
/// HTTP.
pub const LINK_REST: LinkId = LinkId(0);
/// WebSocket of market data.
pub const LINK_MD: LinkId = LinkId(1);
/// WebSocket of orders and all that is private.
pub const LINK_ORDERS: LinkId = LinkId(2);

/// What the venue offers and we use.
pub const CAPABILITIES: Capabilities = Capabilities {
    entry: EntryLink::WebSocket,
    amend_price: true,
    amend_qty: true,
    amend_reduce_only: false,
    cancel_all: true,
    batch: false, // no such request; mass quotes are for market makers by contract
    batch_new: BatchNew::None,
    dead_man_switch: true, // cancel on disconnect, with the venue's heartbeats behind it
    market: true,
    ioc: true,
    fok: true,
    post_only: true,
    validity_window: true,
    book_checksum: false,
    book_depth: 0,
    single_orders: SingleOrders::Multicast, // Starbase's
    positions: Positions::Listed,
};

/// Increments a symbol starts with until its rules are known: what recordings print fits.
const PRICE_DECIMALS_BARE: u8 = 8;
const QTY_DECIMALS_BARE: u8 = 8;
/// A snapshot of 2,000 levels is near 64 KiB; messages up to this size never allocate.
const WARM_BYTES: usize = 128 << 10;

/// The Deribit machine.
#[derive(Debug)]
pub struct Deribit {
    doc: Doc,
    rest_doc: Doc,
    session: Session,
    counts: ReadCounts,
    /// Market data by multicast, where it comes so.
    heard: Option<Box<Heard>>,
}

impl Deribit {
    /// Builds the machine and registers its symbols.
    ///
    /// Errors: [`RegistryError`] when the registry is full or a symbol is too long.
    pub fn new(config: VenueConfig, registry: &mut Registry) -> Result<Self, RegistryError> {
        let instruments = config
            .symbols
            .iter()
            .map(|symbol| registry.register(ID, symbol, PRICE_DECIMALS_BARE, QTY_DECIMALS_BARE))
            .collect::<Result<Vec<_>, _>>()?;
        let heard = match config.market_data {
            MarketData::Multicast => Some(Heard::classic(&config.symbols, registry)?),
            MarketData::Starbase => Some(Heard::starbase(&config.l3_symbols, registry)?),
            MarketData::Json | MarketData::Sbe => None,
        };
        Ok(Self {
            heard: heard.map(Box::new),
            doc: Doc::exact(WARM_BYTES, WS_MSG_MAX),
            rest_doc: Doc::exact(0, HTTP_BODY_MAX),
            session: Session::new(config, &instruments),
            counts: ReadCounts::default(),
        })
    }
}

impl Deribit {
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
        let tree = doc.parse_exact(text).map_err(feed::of_json)?;
        session.on_message(registry, link, now, tree.root(), out)
    }
}

impl Venue for Deribit {
    fn id(&self) -> VenueId {
        ID
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn links(&self) -> &[LinkSpec] {
        self.session.links()
    }

    /// Raw books are for those who log in; their numbers are not those of books told every 100 ms.
    fn has_keyed_feed(&self) -> bool {
        true
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

    /// Before the rules are known nobody could keep a book: what comes is passed over.
    fn on_datagram(
        &mut self,
        _registry: &Registry,
        line: u8,
        now: Now,
        bytes: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Some(heard) = &mut self.heard else {
            return Err(DecodeError::Shape("a datagram").into());
        };
        if self.session.knows_rules() {
            heard.on_datagram(line, now, bytes, out)?;
            self.counts.scanned += 1;
        }
        Ok(())
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

    fn on_closed(&mut self, link: LinkId, now: Now, _out: &mut impl Sink) {
        self.session.on_closed(link, now);
    }

    fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.session.on_deadline(registry, now, out);
        if let Some(heard) = &mut self.heard {
            heard.on_deadline(now, out);
        }
    }

    fn next_deadline(&self) -> Option<UnixNanos> {
        let heard = self.heard.as_ref().and_then(|heard| heard.next_deadline());
        self.session.next_deadline().into_iter().chain(heard).min()
    }

    fn request_snapshot(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        let heard = self.heard.as_mut();
        if !heard.is_some_and(|heard| heard.request_snapshot(instrument)) {
            self.session
                .request_snapshot(registry, instrument, now, out);
        }
    }

    fn request_l3(
        &mut self,
        _registry: &Registry,
        instrument: InstrumentId,
        _now: Now,
        out: &mut impl Sink,
    ) {
        if let Some(heard) = &mut self.heard {
            heard.request_l3(instrument, out);
        }
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
        let session = &mut self.session;
        session.send_order(OrderOp::Enter, now, out, |window_ms, text| {
            entry::write_new(instrument, order, now, window_ms, text);
        })?;
        session.note_terms(order.client_id, entry::terms_of(instrument, order));
        Ok(())
    }

    /// Writes an edit, which repeats the order's other terms. Errors: [`EntryError::Unsupported`] when they are not
    /// known any more: 4,096 younger orders were sent since.
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
        let terms = self.session.terms(amend)?;
        self.session
            .send_order(OrderOp::Enter, now, out, |window_ms, text| {
                entry::write_amend(instrument, amend, &terms, now, window_ms, text);
            })
    }

    fn cancel_order(
        &mut self,
        registry: &Registry,
        cancel: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = registry
            .get(cancel.instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        self.session
            .send_order(OrderOp::Cancel, now, out, |_, text| {
                entry::write_cancel(instrument, cancel, text);
            })
    }

    /// One request for all of them, named in `live` or not.
    fn cancel_all(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        _live: &[CancelOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let known = registry
            .get(instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        self.session
            .send_order(OrderOp::Cancel, now, out, |_, text| {
                entry::write_cancel_all(known, text);
            })
    }

    fn rates(&self) -> Option<Box<dyn Rates>> {
        Some(Box::new(self.session.limits.clone()))
    }

    fn read_counts(&self) -> ReadCounts {
        self.counts
    }

    fn line_counts(&self) -> LineCounts {
        self.heard
            .as_ref()
            .map_or_else(LineCounts::default, |heard| heard.counts())
    }

    fn order_id_text(&self, id: OrderId) -> Text<40> {
        order_id_text(id)
    }
}
