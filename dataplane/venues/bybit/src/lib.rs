//! Bybit V5 as one sans-IO machine: market data, order entry, account, reconciliation.
//!
//! ```text
//! link 0 rest     rules → InstrumentsReady · reconciliation · queries · cancel-all · dead man's switch
//! link 1 md       /v5/public/CATEGORY: (rules known) subscribe books, trades, best quotes → Subscribed
//! link 2 orders   /v5/trade: login; order requests out, their answers in
//! link 3 private  /v5/private: login → subscribe orders, executions, positions, wallet
//!                 LoggedIn is said when 2 and 3 are both ready; when 3 is lost, 2 is replaced with it: without
//!                 its stream nobody knows what became of an order
//!
//! every 20 s on each WebSocket: {"op":"ping"}; without anything after it the link is replaced
//! ```
//! One machine trades one category, that of its first symbol (`symbols` has the rule: `BTCUSDT` is spot,
//! `BTCUSDT.P` linear); symbols of another stay without rules and are not live. It does not own books: depth goes
//! to a keeper, which asks back through `request_snapshot`, and the topic is subscribed anew. It does not remember
//! orders: request ids say what an answer is about. It never resends an order. The decoder also reads the
//! generations before V5, for replay.
//!
//! Not here: SBE (market makers' hosts), RSA keys, hedge mode, batches of amends, public trades of
//! options (their topic is named otherwise), conditional orders, margin on spot.
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
mod retired;
mod scan;
mod session;
pub mod symbols;
pub mod sync;

pub use session::{BOOK_DEPTH, DEAD_MAN_WINDOW_S};

use crate::limits::OrderOp;
use crate::session::Session;
use crate::symbols::order_id_text;
use dp_types::limit::{HTTP_BODY_MAX, WS_MSG_MAX};
use dp_types::{
    AmendOrder, CancelOrder, InstrumentId, LinkId, NewOrder, Now, OrderId, Text, UnixNanos, VenueId,
};
use dp_venue_api::limits::Rates;
use dp_venue_api::{
    BatchNew, Capabilities, DecodeError, EntryError, EntryLink, Fault, LinkRole, LinkSpec,
    Positions, ReadCounts, Registry, RegistryError, RestResponse, SingleOrders, Sink, Venue,
    VenueConfig,
};
use dp_wire::json::{Doc, Value};

/// This venue.
pub const ID: VenueId = VenueId::BYBIT;
/// REST.
pub const LINK_REST: LinkId = LinkId(0);
/// Public WebSocket of the category.
pub const LINK_PUBLIC: LinkId = LinkId(1);
/// Trade WebSocket: order entry.
pub const LINK_ORDERS: LinkId = LinkId(2);
/// Private WebSocket: the user stream.
pub const LINK_PRIVATE: LinkId = LinkId(3);

/// What the venue offers and we use.
pub const CAPABILITIES: Capabilities = Capabilities {
    entry: EntryLink::WebSocket,
    amend_price: true,
    amend_qty: true,
    amend_reduce_only: false,
    cancel_all: true,
    batch: true, // cancels
    batch_new: BatchNew::Link,
    dead_man_switch: true, // of accounts that have one: institutional ones, on request
    market: true,
    ioc: true,
    fok: true,
    post_only: true,
    validity_window: true,
    book_checksum: false,
    book_depth: BOOK_DEPTH,
    single_orders: SingleOrders::None,
    positions: Positions::Listed,
};

/// Increments a symbol starts with until its rules are known: room for prices to 10^8 and quantities to 10^10 in
/// 64 bits, and for the finest prices in recordings.
const PRICE_DECIMALS_BARE: u8 = 10;
const QTY_DECIMALS_BARE: u8 = 8;
/// A 500-level snapshot is near 25 KiB; messages up to this size never allocate.
const WARM_BYTES: usize = 128 << 10;

/// The Bybit machine.
#[derive(Debug)]
pub struct Bybit {
    doc: Doc,
    rest_doc: Doc,
    session: Session,
    /// A message of a retired generation, its numbers quoted; empty at a live venue.
    quoted: Vec<u8>,
    counts: ReadCounts,
}

impl Bybit {
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
            doc: Doc::new(WARM_BYTES),
            rest_doc: Doc::with_limit(0, HTTP_BODY_MAX),
            session: Session::new(config, &instruments),
            quoted: Vec::new(),
            counts: ReadCounts::default(),
        })
    }
}

impl Bybit {
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
        let Self {
            doc,
            session,
            quoted,
            ..
        } = self;
        session.heard(link);
        if retired::is_retired(text) {
            if text.len() > WS_MSG_MAX {
                return Err(DecodeError::TooMuch("message size").into());
            }
            retired::quote_numbers(text, quoted);
            let tree = doc.parse(quoted).map_err(feed::of_json)?;
            return Ok(session.on_retired(registry, tree.root(), out)?);
        }
        let tree = doc.parse(text).map_err(feed::of_json)?;
        let root = tree.root();
        match root.get("topic").and_then(Value::as_str) {
            Some(topic) => session.on_push(registry, topic, root, out),
            None => session.on_reply(registry, link, now, root, out),
        }
    }
}

impl Venue for Bybit {
    fn id(&self) -> VenueId {
        ID
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn links(&self) -> &[LinkSpec] {
        self.session.links()
    }

    fn link_role(&self, link: LinkId) -> LinkRole {
        match link {
            LINK_PUBLIC => LinkRole::Market,
            LINK_ORDERS | LINK_PRIVATE => LinkRole::Orders,
            _ => LinkRole::Rest,
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
        if self.session.scan(registry, link, text, out) {
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
        let instrument = registry
            .get(order.instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        self.session
            .send_order(OrderOp::New, 1, now, out, |_, window_ms, text| {
                entry::write_new(instrument, order, now, window_ms, text);
            })
    }

    fn batch_max(&self) -> usize {
        self.session.batch_max()
    }

    fn new_orders(
        &mut self,
        registry: &Registry,
        orders: &[NewOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = orders
            .first()
            .and_then(|first| registry.get(first.instrument));
        let instrument = instrument.ok_or(EntryError::UnknownInstrument)?;
        let (op, count) = (OrderOp::BatchNew, orders.len() as u32);
        self.session
            .send_order(op, count, now, out, |_, window_ms, text| {
                entry::write_batch_new(instrument, orders, now, window_ms, text);
            })
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
        self.session
            .send_order(OrderOp::Amend, 1, now, out, |number, window_ms, text| {
                entry::write_amend(instrument, amend, number, now, window_ms, text);
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
            .send_order(OrderOp::Cancel, 1, now, out, |number, _, text| {
                entry::write_cancel(instrument, cancel, number, now, text);
            })
    }

    /// By the venue's own cancel-all over REST; where that link is down or its limit used up, the listed orders in
    /// batches over the trade link. Errors: [`EntryError`] when neither could take all; batches before it are on
    /// their way and the caller calls again with what still lives.
    fn cancel_all(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        live: &[CancelOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let known = registry
            .get(instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        if self.session.ask_cancel_all(known, now, out) {
            return Ok(());
        }
        for batch in live.chunks(self.session.batch_max()) {
            let count = batch.len() as u32;
            let op = OrderOp::BatchCancel;
            self.session
                .send_order(op, count, now, out, |number, _, text| {
                    entry::write_batch_cancel(known, batch, number, now, text);
                })?;
        }
        if live.is_empty() {
            return Err(EntryError::NotReady); // what we do not know of cannot be listed
        }
        Ok(())
    }

    fn order_id_text(&self, id: OrderId) -> Text<40> {
        order_id_text(id)
    }
}
