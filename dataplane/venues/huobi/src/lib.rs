//! HTX, once Huobi, as one sans-IO machine: spot market data, order entry, account, reconciliation.
//!
//! ```text
//! link 0 rest    rules → InstrumentsReady · account · reconciliation · dead man's switch
//! link 1 md      /feed      (rules known) mbp.20 increments, their snapshots by `req` on the same socket
//! link 2 orders  /ws/trade  login → orders out, answers in ┐ both, and the account known → LoggedIn
//! link 3 user    /ws/v2     login → orders#, trade.clearing#, accounts.update# ┘
//! link 4 trades  /ws        trade.detail, bbo; books by mbp.refresh.20 of symbols that have no mbp.20
//!
//! the end of user is the end of orders: an engine compares when the latter is logged in again
//! the server pings, in three shapes, and is answered at once; a link it no longer pings is replaced by the lane
//! ```
//! Market data is one gzip member a binary message, the rest is text. The machine does not own books: depth goes to a
//! keeper, which asks back through `request_snapshot`. It never sends an order again.
//!
//! Left out: amends (the venue has none on spot), market orders (a market buy is sized in the quote asset), margin.
//! Of swaps the public messages are decoded, for replay; nothing here subscribes to them or trades them.
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
pub mod gunzip;
pub mod limits;
pub mod reject;
pub mod rest;
mod scan;
mod session;
pub mod symbols;
pub mod sync;

pub use session::{DEAD_MAN_REARM_NS, DEAD_MAN_TIMEOUT_S};

use crate::gunzip::Gunzip;
use crate::limits::OrderOp;
use crate::session::{Answer, Session};
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
pub const ID: VenueId = VenueId::HUOBI;
/// REST.
pub const LINK_REST: LinkId = LinkId(0);
/// Books.
pub const LINK_FEED: LinkId = LinkId(1);
/// Order entry.
pub const LINK_ORDERS: LinkId = LinkId(2);
/// What becomes of our orders, fills, balances.
pub const LINK_USER: LinkId = LinkId(3);
/// Public trades and best quotes.
pub const LINK_TRADES: LinkId = LinkId(4);

/// Levels a side of the increments we subscribe: tick by tick, where 150 levels come every 100 ms.
pub const MBP_LEVELS: usize = 20;

/// What the venue offers and we use.
pub const CAPABILITIES: Capabilities = Capabilities {
    entry: EntryLink::WebSocket,
    amend_price: false,
    amend_qty: false,
    amend_reduce_only: false,
    // `cancelall` takes a hundred at a time and names none of them: listed orders in batches of 50.
    cancel_all: false,
    batch: true,
    batch_new: BatchNew::Link,
    dead_man_switch: true,
    market: false, // a market buy is sized in the quote asset
    ioc: true,
    fok: true,
    post_only: true,
    validity_window: false,
    book_checksum: false,
    book_depth: MBP_LEVELS as u16,
    single_orders: SingleOrders::None,
    positions: Positions::None,
};

/// Increments a symbol starts with until its rules are known: room for prices to 10^8 and
/// quantities to 10^10 in 64 bits, and for the finest prices in recordings (10 decimals).
const PRICE_DECIMALS_BARE: u8 = 10;
const QTY_DECIMALS_BARE: u8 = 8;
/// A whole book of 150 levels is near 7 KiB; messages up to this size never allocate.
const WARM_BYTES: usize = 32 << 10;

/// The HTX machine.
#[derive(Debug)]
pub struct Huobi {
    gunzip: Gunzip,
    doc: Doc,
    rest_doc: Doc,
    session: Session,
    counts: ReadCounts,
}

impl Huobi {
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
            gunzip: Gunzip::default(),
            doc: Doc::exact(WARM_BYTES, WS_MSG_MAX),
            rest_doc: Doc::exact(0, HTTP_BODY_MAX),
            session: Session::new(config, &instruments),
            counts: ReadCounts::default(),
        })
    }
}

impl Huobi {
    /// [`Venue::on_text`] without the scanner: what it falls back to, and its oracle.
    ///
    /// Errors: as there.
    pub fn parse_text(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        text: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let tree = self.doc.parse_exact(text).map_err(feed::of_json)?;
        self.session
            .on_message(registry, link, now, tree.root(), out)
    }
}

impl Venue for Huobi {
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
            LINK_FEED | LINK_TRADES => LinkRole::Market,
            LINK_ORDERS | LINK_USER => LinkRole::Orders,
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
        if self.session.scan(registry, text, out) {
            self.counts.scanned += 1;
            return Ok(());
        }
        self.counts.parsed += 1;
        self.parse_text(registry, link, now, text, out)
    }

    fn on_binary(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        bytes: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Self {
            gunzip,
            doc,
            session,
            counts,
            ..
        } = self;
        let inflated = gunzip.inflate(bytes);
        if inflated.is_ok_and(|text| session.scan(registry, text, out)) {
            counts.scanned += 1;
            return Ok(());
        }
        counts.parsed += 1;
        let tree = doc.parse_exact(inflated?).map_err(feed::of_json)?;
        session.on_message(registry, link, now, tree.root(), out)
    }

    fn on_response(
        &mut self,
        registry: &mut Registry,
        _link: LinkId,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let RestResponse {
            tag,
            status,
            retry_after_s,
            usage,
            body,
        } = response;
        let answer = Answer {
            tag,
            status,
            retry_after_s,
            usage,
            tree: self.rest_doc.parse_exact(body).map_err(feed::of_json),
        };
        self.session.on_response(registry, now, answer, out)
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

    /// Errors: as [`EntryError`] says; [`EntryError::Unsupported`] for market orders.
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
        let word =
            entry::order_type(order.side, order.kind, order.tif).ok_or(EntryError::Unsupported)?;
        self.session
            .send_order(OrderOp::New, now, out, |account, text| {
                entry::write_new(account, word, instrument, order, text);
            })
    }

    fn batch_max(&self) -> usize {
        entry::NEW_MAX
    }

    /// Errors: as [`Venue::new_order`].
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
        let has_word =
            |order: &NewOrder| entry::order_type(order.side, order.kind, order.tif).is_some();
        if !orders.iter().all(has_word) {
            return Err(EntryError::Unsupported);
        }
        self.session
            .send_order(OrderOp::BatchNew, now, out, |account, text| {
                entry::write_batch_new(account, instrument, orders, text);
            })
    }

    /// Always [`EntryError::Unsupported`]: the venue has no amend.
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
        if registry.get(cancel.instrument).is_none() {
            return Err(EntryError::UnknownInstrument);
        }
        self.session
            .send_order(OrderOp::Cancel, now, out, |_, text| {
                entry::write_cancel(cancel, text);
            })?;
        self.session.cancel_asked(cancel.client_id);
        Ok(())
    }

    /// Sends what fits the venue's window. Errors: [`EntryError::RateLimited`] when some of the
    /// list had to be left out; batches before it are on their way and the caller calls again with
    /// what still lives.
    fn cancel_all(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        live: &[CancelOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        if registry.get(instrument).is_none() {
            return Err(EntryError::UnknownInstrument);
        }
        for batch in live.chunks(entry::BATCH_MAX) {
            let number = self.session.next_number();
            self.session
                .send_order(OrderOp::BatchCancel, now, out, |_, text| {
                    entry::write_batch_cancel(batch, number, text);
                })?;
            for cancel in batch {
                self.session.cancel_asked(cancel.client_id);
            }
        }
        Ok(())
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
