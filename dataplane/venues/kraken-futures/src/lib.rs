//! Kraken Futures as one sans-IO machine: market data, order entry, account, reconciliation, all over the Unified
//! WebSocket. The legacy feed and REST, which end on 1 March 2027, are read from recordings and not connected.
//!
//! ```text
//! link 0 rest     token of the private link · system status
//! link 1 md       instrument → rules → InstrumentsReady → subscribe book, trade, ticker → Subscribed
//! link 2 orders   token → subscribe executions, balances → LoggedIn → orders, cancels, dead man's switch
//!                 reconciliation: executions left and entered anew; its snapshot is what is open
//!
//! every 2.5 s of silence on a WebSocket: {"method":"ping"}; 2.5 s more and the link is replaced
//! ```
//! It does not own books: depth goes to a keeper, which asks back through `request_snapshot`. Of orders it remembers
//! what the venue's sparse reports leave out ([`orders`]). It never resends an order.
//!
//! Left out: FIX; the separate US market; `cancel_all`; the `ratecounter` of the stream (its shape
//! is [U]); positions (the Unified channel for them is [U]; kept from fills); a fallback to the legacy feed.
//! A market's `makerProtectionMillis` is not read: quotes and their amends are always post-only and never held.
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
pub mod legacy;
pub mod limits;
pub mod orders;
pub mod reject;
pub mod requests;
pub mod rest;
mod rules;
mod scan;
mod session;
pub mod symbols;
pub mod sync;

pub use session::{DEAD_MAN_REARM_NS, DEAD_MAN_TIMEOUT_S};

use crate::limits::Op;
use crate::requests::Kind;
use crate::session::Session;
use crate::symbols::order_id_text;
use dp_types::limit::{HTTP_BODY_MAX, WS_MSG_MAX};
use dp_types::{
    AmendOrder, CancelOrder, InstrumentId, LinkId, NewOrder, Now, OrderId, OrderKind, Text, Tif,
    UnixNanos, VenueId,
};
use dp_venue_api::limits::Rates;
use dp_venue_api::{
    BatchNew, Capabilities, EntryError, EntryLink, Fault, LinkSpec, OrderBatch, Positions,
    ReadCounts, Registry, RegistryError, RestResponse, SingleOrders, Sink, Venue, VenueConfig,
};
use dp_wire::json::Doc;

/// This venue.
pub const ID: VenueId = VenueId::KRAKEN_FUTURES;
/// Spot REST.
pub const LINK_REST: LinkId = LinkId(0);
/// Public Unified WebSocket.
pub const LINK_PUBLIC: LinkId = LinkId(1);
/// Private Unified WebSocket: executions, balances and order entry.
pub const LINK_PRIVATE: LinkId = LinkId(2);

/// What the venue offers and we use.
pub const CAPABILITIES: Capabilities = Capabilities {
    entry: EntryLink::WebSocket,
    amend_price: true,
    amend_qty: true,
    amend_reduce_only: false,
    cancel_all: false, // there is one for the whole account only: listed orders in batches of 50
    batch: true,
    batch_new: BatchNew::Link,
    dead_man_switch: true,
    market: true,
    ioc: true,
    fok: false, // [U] on this protocol
    post_only: true,
    validity_window: true,
    book_checksum: true,
    book_depth: sync::BOOK_DEPTH as u16,
    single_orders: SingleOrders::None,
    positions: Positions::Untold,
};

/// Increments a symbol starts with until its rules are known: prices to 10^8 with ten places, quantities to 10^12
/// with six.
const PRICE_DECIMALS_BARE: u8 = 10;
const QTY_DECIMALS_BARE: u8 = 6;
/// A snapshot of 100 levels is near 8 KiB; messages up to this size never allocate. The list of instruments is
/// larger, and comes once.
const WARM_BYTES: usize = 64 << 10;

/// The Kraken Futures machine.
#[derive(Debug)]
pub struct KrakenFutures {
    doc: Doc,
    rest_doc: Doc,
    session: Session,
    counts: ReadCounts,
}

impl KrakenFutures {
    /// Builds the machine and registers its symbols. `config.rest` is the spot REST host, which gives the token.
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

impl KrakenFutures {
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

impl Venue for KrakenFutures {
    fn id(&self) -> VenueId {
        ID
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn links(&self) -> &[LinkSpec] {
        self.session.links()
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

    fn reconcile(&mut self, _registry: &Registry, now: Now, out: &mut impl Sink) {
        self.session.reconcile(now, out);
    }

    /// Asks for the whole list of open orders: the venue has no question about one. An order that is not in it is
    /// told as unknown there, after the latest trades.
    fn query_order(
        &mut self,
        registry: &Registry,
        order: &CancelOrder,
        now: Now,
        _out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        registry
            .get(order.instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        self.session.query_order(order, now)
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
        if order.tif == Tif::Fok && order.kind == OrderKind::Limit {
            return Err(EntryError::Unsupported);
        }
        let kind = Kind::New(order.client_id, order.instrument);
        self.session
            .send_order(Op::New, kind, now, out, |window_ms, to, text| {
                entry::write_new(instrument, order, now, window_ms, to, text);
            })
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
        let batch = OrderBatch::of(orders).ok_or(EntryError::UnknownInstrument)?;
        let instrument = registry
            .get(batch.instrument())
            .ok_or(EntryError::UnknownInstrument)?;
        let is_fok = |order: &NewOrder| order.tif == Tif::Fok && order.kind == OrderKind::Limit;
        if orders.len() > entry::NEW_MAX || orders.iter().any(is_fok) {
            return Err(EntryError::Unsupported);
        }
        let (op, kind) = (Op::BatchNew(orders.len() as u32), Kind::News(batch));
        self.session
            .send_order(op, kind, now, out, |window_ms, to, text| {
                entry::write_batch_new(instrument, orders, now, window_ms, to, text);
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
        let kind = Kind::Amend(amend.client_id);
        self.session
            .send_order(Op::Amend, kind, now, out, |window_ms, to, text| {
                entry::write_amend(instrument, amend, now, window_ms, to, text);
            })
    }

    fn cancel_order(
        &mut self,
        registry: &Registry,
        cancel: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        registry
            .get(cancel.instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        self.cancel(core::slice::from_ref(cancel), now, out)
    }

    /// Sends what fits the venue's window. Errors: [`EntryError::RateLimited`] when some of the list had to be
    /// left out; batches before it are on their way and the caller calls again with what still lives.
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
        live.chunks(self.session.batch_max())
            .try_for_each(|batch| self.cancel(batch, now, out))
    }

    fn rates(&self) -> Option<Box<dyn Rates>> {
        Some(Box::new(self.session.limits.clone()))
    }

    fn read_counts(&self) -> ReadCounts {
        self.counts
    }

    fn order_id_text(&self, id: OrderId) -> Text<40> {
        order_id_text(id)
    }
}

impl KrakenFutures {
    fn cancel(
        &mut self,
        batch: &[CancelOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let (op, kind) = match batch {
            [one] => (Op::Cancel, Kind::Cancel(one.client_id)),
            batch => (Op::BatchCancel(batch.len() as u32), Kind::Batch),
        };
        self.session.send_order(op, kind, now, out, |_, to, text| {
            entry::write_cancel(batch, to, text);
        })
    }
}
