//! Bitfinex API v2 as one sans-IO machine: market data, order entry, account, reconciliation.
//!
//! ```text
//! link 0 rest     rules, prices → InstrumentsReady · reconciliation · questions about single orders
//! link 1 md       conf flags → (rules known) subscribe book, trades, where asked for the raw book → Subscribed
//! link 2 orders   auth with the dead man's switch → LoggedIn → orders may go out; orders, fills, wallets come in
//! link 3 ...      md of further instruments: a connection takes 25 channels
//! ```
//! It does not own books: depth goes to a keeper, which asks back through `request_snapshot` and gets a whole book
//! by a new subscription. Of orders it remembers what the venue's answers leave out (`sent`), in a bounded table.
//! It never resends an order.
//!
//! Left out, and why: amending quantities (`entry`), funding, margin orders of spot pairs, numbers of channel 0
//! (their rules are known from old code only), bulk book updates, tickers and candles.
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
mod scan;
mod sent;
mod session;
pub mod symbols;
pub mod sync;

use crate::entry::Name;
use crate::feed::Shows;
use crate::limits::OrderOp;
use crate::sent::{ALONE, Known};
use crate::session::Session;
use crate::symbols::{Day, order_id_text, rounded};
use dp_types::limit::{HTTP_BODY_MAX, WS_MSG_MAX};
use dp_types::{
    AmendOrder, CancelOrder, InstrumentId, LinkId, NewOrder, Now, OrderId, Price, Side, Text,
    UnixNanos, VenueId,
};
use dp_venue_api::limits::Rates;
use dp_venue_api::{
    BatchNew, Capabilities, EntryError, EntryLink, Fault, LinkRole, LinkSpec, Positions,
    ReadCounts, Registry, RegistryError, RestResponse, SingleOrders, Sink, Venue, VenueConfig,
};
use dp_wire::json::Doc;

/// This venue.
pub const ID: VenueId = VenueId::BITFINEX;
/// REST.
pub const LINK_REST: LinkId = LinkId(0);
/// Market data; further instruments have links from 3 on.
pub const LINK_MARKET: LinkId = LinkId(1);
/// The socket that is logged in: orders and the private stream.
pub const LINK_PRIVATE: LinkId = LinkId(2);

/// What the venue offers and we use.
pub const CAPABILITIES: Capabilities = Capabilities {
    entry: EntryLink::WebSocket,
    amend_price: true,
    amend_qty: false, // it would change what is left, not the whole: see `entry`
    amend_reduce_only: false,
    cancel_all: false, // the venue's own is for all instruments at once: listed orders, 75 a message
    batch: true,
    batch_new: BatchNew::Link,
    dead_man_switch: true,
    market: true,
    ioc: true,
    fok: true,
    post_only: true,
    validity_window: false,
    book_checksum: true,
    book_depth: 25,
    single_orders: SingleOrders::Public,
    positions: Positions::Listed,
};

/// Increments a symbol starts with until its rules are known: room for the finest prices in recordings and for
/// 9 x 10^7.
const PRICE_DECIMALS_BARE: u8 = 11;
/// A snapshot of 250 levels a side is near 12 KiB; messages up to this size never allocate.
const WARM_BYTES: usize = 32 << 10;

/// The Bitfinex machine.
#[derive(Debug)]
pub struct Bitfinex {
    doc: Doc,
    rest_doc: Doc,
    session: Session,
    counts: ReadCounts,
}

impl Bitfinex {
    /// Builds the machine and registers its symbols.
    ///
    /// Errors: [`RegistryError`] when the registry is full or a symbol is too long.
    pub fn new(config: VenueConfig, registry: &mut Registry) -> Result<Self, RegistryError> {
        let instruments = config
            .symbols
            .iter()
            .map(|symbol| registry.register(ID, symbol, PRICE_DECIMALS_BARE, rest::QTY_DECIMALS))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            doc: Doc::exact(WARM_BYTES, WS_MSG_MAX),
            rest_doc: Doc::exact(0, HTTP_BODY_MAX),
            session: Session::new(config, &instruments),
            counts: ReadCounts::default(),
        })
    }
}

/// What is remembered of an order that goes out now.
fn known(order: &NewOrder, batch: u32, now: Now) -> Known {
    Known {
        client_id: order.client_id,
        order_id: OrderId(0),
        instrument: order.instrument,
        side: order.side,
        day: Day::of_millis(now.unix.millis()),
        batch,
        is_heard: false,
    }
}

/// An amend with the price the venue would make of it is as good as any; one that must be rounded needs to know
/// which way. `None` when nobody does.
fn amend_side(price: Price, known: Option<Known>) -> Option<Side> {
    match known {
        Some(known) => Some(known.side),
        None => (rounded(price, Side::Buy) == price).then_some(Side::Buy),
    }
}

impl Bitfinex {
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

impl Venue for Bitfinex {
    fn id(&self) -> VenueId {
        ID
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn links(&self) -> &[LinkSpec] {
        self.session.links()
    }

    /// Links behind the private one carry the channels that one link has no room for.
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
        if self.session.scan(link, now, text, out) {
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
        _registry: &Registry,
        instrument: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        self.session.renew(instrument, Shows::Levels, now, out);
    }

    fn request_l3(
        &mut self,
        _registry: &Registry,
        instrument: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        self.session.renew(instrument, Shows::Orders, now, out);
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
            .send_order(OrderOp::New, 1, now, out, |sent, text| {
                sent.add(known(order, ALONE, now));
                entry::write_new(instrument, order, text);
                true
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
        let first = match orders {
            [one] => return self.new_order(registry, one, now, out),
            [first, ..] if orders.len() <= entry::BATCH_MAX => first,
            [_, ..] => return Err(EntryError::Unsupported),
            [] => return Err(EntryError::UnknownInstrument),
        };
        let instrument = registry
            .get(first.instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        let count = orders.len() as u32;
        self.session
            .send_order(OrderOp::New, count, now, out, |sent, text| {
                let batch = sent.next_batch();
                for order in orders {
                    sent.add(known(order, batch, now));
                }
                entry::write_several(instrument, orders, text);
                true
            })
    }

    /// Writes an amend of the price. Errors: [`EntryError::Unsupported`] for one of the quantity, or of a price
    /// that must be rounded of an order whose side is not remembered.
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
        let (Some(price), None) = (amend.price, amend.qty) else {
            return Err(EntryError::Unsupported);
        };
        let known = self.session.sent().get(amend.client_id);
        let side = amend_side(price, known).ok_or(EntryError::Unsupported)?;
        let named = CancelOrder {
            instrument: amend.instrument,
            client_id: amend.client_id,
            order_id: amend.order_id,
        };
        let today = Day::of_millis(now.unix.millis());
        self.session
            .send_order(OrderOp::Amend, 1, now, out, |sent, text| {
                let name = Name::of(&named, sent, today);
                entry::write_amend(instrument, name, price, side, text);
                true
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
        let today = Day::of_millis(now.unix.millis());
        self.session
            .send_order(OrderOp::Cancel, 1, now, out, |sent, text| {
                entry::write_cancel(Name::of(cancel, sent, today), text);
                true
            })
    }

    /// Sends what fits the venue's window, a message for orders by the venue's ids and one for those by ours.
    /// Errors: [`EntryError::RateLimited`] when some of the list had to be left out; batches before it are on
    /// their way and the caller calls again with what still lives.
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
        let today = Day::of_millis(now.unix.millis());
        for batch in live.chunks(self.session.batch_max()) {
            for (by_venue, count) in [(true, batch.len() as u32), (false, 0)] {
                self.session
                    .send_order(OrderOp::Cancel, count, now, out, |sent, text| {
                        let names = batch.iter().map(|order| Name::of(order, sent, today));
                        entry::write_cancels(names, by_venue, text)
                    })?;
            }
        }
        Ok(())
    }

    fn order_id_text(&self, id: OrderId) -> Text<40> {
        order_id_text(id)
    }
}
