//! OKX V5 as one sans-IO machine: market data, order entry, account, reconciliation.
//!
//! ```text
//! link 0 rest     instruments → InstrumentsReady · snapshots · reconciliation · dead man's switch
//! link 1 public   (instruments known) subscribe books, trades, bbo-tbt → Subscribed
//! link 2 private  login → subscribe orders, account (with swaps: balance_and_position) → LoggedIn → orders may go out
//!
//! every 20 s of silence on a WebSocket: text "ping"; without a "pong" the link is replaced
//! ```
//! It does not own books: depth goes to a keeper, which asks back through `request_snapshot`. It
//! does not remember orders: request ids say what an answer is about. It never resends an order.
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
pub mod funding;
pub mod limits;
pub mod reject;
pub mod rest;
mod scan;
mod session;
pub mod symbols;
pub mod sync;
pub mod template;

pub use session::{DEAD_MAN_REARM_NS, DEAD_MAN_TIMEOUT_S};

use crate::limits::OrderOp;
use crate::session::Session;
use crate::symbols::order_id_text;
use crate::template::Templates;
use dp_types::limit::HTTP_BODY_MAX;
use dp_types::{
    AmendOrder, CancelOrder, InstrumentId, LinkId, NewOrder, Now, OrderId, Text, UnixNanos, VenueId,
};
use dp_venue_api::limits::Rates;
use dp_venue_api::{
    BatchNew, Capabilities, EntryError, EntryLink, Event, Fault, LinkSpec, Positions, ReadCounts,
    Registry, RegistryError, RestResponse, SingleOrders, Sink, Venue, VenueConfig,
};
use dp_wire::json::Doc;

/// This venue.
pub const ID: VenueId = VenueId::OKX;
/// REST.
pub const LINK_REST: LinkId = LinkId(0);
/// Public WebSocket.
pub const LINK_PUBLIC: LinkId = LinkId(1);
/// Private WebSocket: user stream and order entry.
pub const LINK_PRIVATE: LinkId = LinkId(2);

/// What the venue offers and we use.
pub const CAPABILITIES: Capabilities = Capabilities {
    entry: EntryLink::WebSocket,
    amend_price: true,
    amend_qty: true,
    amend_reduce_only: false,
    cancel_all: false, // no such request: listed orders in batches of 20
    batch: true,
    batch_new: BatchNew::Link,
    dead_man_switch: true,
    market: true,
    ioc: true,
    fok: true,
    post_only: true,
    validity_window: true,
    book_checksum: false, // 0 since June 2026; recordings before are verified
    book_depth: 400,
    single_orders: SingleOrders::None,
    positions: Positions::Listed,
};

/// Increments a symbol starts with until its rules are known: room for prices to 10^8 and
/// quantities to 10^10 in 64 bits, and for the finest prices in recordings (9 decimals).
const PRICE_DECIMALS_BARE: u8 = 10;
const QTY_DECIMALS_BARE: u8 = 8;
/// A 400-level snapshot is near 25 KiB; messages up to this size never allocate.
const WARM_BYTES: usize = 128 << 10;

/// The OKX machine.
#[derive(Debug)]
pub struct Okx {
    doc: Doc,
    rest_doc: Doc,
    session: Session,
    templates: Templates,
    counts: ReadCounts,
}

impl Okx {
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
            templates: Templates::default(),
            counts: ReadCounts::default(),
        })
    }
}

impl Okx {
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
        if text == b"pong" {
            out.event(&Event::Control(dp_venue_api::Control::Heartbeat));
            return Ok(());
        }
        let tree = doc.parse(text).map_err(feed::of_json)?;
        let root = tree.root();
        // Market data first: it is nearly all there is.
        let channel = root
            .get("arg")
            .and_then(|arg| arg.get("channel"))
            .and_then(dp_wire::json::Value::as_str);
        match channel {
            Some(channel) if root.get("event").is_none() => {
                session.on_push(registry, now, channel, root, out)
            }
            _ => session.on_reply(registry, link, now, root, out),
        }
    }
}

impl Venue for Okx {
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
        if self.session.scan(registry, now, text, out) {
            self.session.heard(link, now);
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
            rest_doc,
            session,
            templates,
            ..
        } = self;
        let result = session.on_response(rest_doc, registry, now, response, out);
        templates.refresh(registry, session.followed()); // instruments may have come
        result
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
        let Self {
            session, templates, ..
        } = self;
        session.send_order(
            order.instrument,
            OrderOp::New,
            1,
            now,
            out,
            |window_ms, text| match templates.new_order(instrument, order, now, window_ms) {
                Some(made) => made,
                None => {
                    entry::write_new(instrument, order, now, window_ms, text);
                    text
                }
            },
        )
    }

    fn batch_max(&self) -> usize {
        entry::BATCH_MAX
    }

    fn new_orders(
        &mut self,
        registry: &Registry,
        orders: &[NewOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let first = orders.first().ok_or(EntryError::UnknownInstrument)?;
        let instrument = registry
            .get(first.instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        let (op, count) = (OrderOp::BatchNew, orders.len() as u32);
        self.session
            .send_order(first.instrument, op, count, now, out, |window_ms, text| {
                entry::write_batch_new(instrument, orders, now, window_ms, text);
                text
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
        let Self {
            session, templates, ..
        } = self;
        session.send_order(
            amend.instrument,
            OrderOp::Amend,
            1,
            now,
            out,
            |window_ms, text| match templates.amend(instrument, amend, now, window_ms) {
                Some(made) => made,
                None => {
                    entry::write_amend(instrument, amend, now, window_ms, text);
                    text
                }
            },
        )
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
        let Self {
            session, templates, ..
        } = self;
        session.send_order(
            cancel.instrument,
            OrderOp::Cancel,
            1,
            now,
            out,
            |_, text| match templates.cancel(instrument, cancel) {
                Some(made) => made,
                None => {
                    entry::write_cancel(instrument, cancel, text);
                    text
                }
            },
        )
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
        let known = registry
            .get(instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        for batch in live.chunks(entry::BATCH_MAX) {
            let number = self.session.next_number();
            let op = OrderOp::BatchCancel;
            self.session
                .send_order(instrument, op, batch.len() as u32, now, out, |_, text| {
                    entry::write_batch_cancel(known, batch, number, text);
                    text
                })?;
        }
        Ok(())
    }

    fn order_id_text(&self, id: OrderId) -> Text<40> {
        order_id_text(id)
    }
}
