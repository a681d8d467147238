//! KuCoin spot (high-frequency account) as one sans-IO machine: market data, order entry, account, reconciliation.
//!
//! ```text
//! link 0 rest     symbols → InstrumentsReady · tokens · snapshots · reconciliation · rates
//! link 1 md       (token) welcome → subscribe level2, match, level1 → Subscribed
//! link 2 orders   (signed target) challenge, signed back → welcome → orders, cancels, their answers
//! link 3 user     (token) welcome → subscribe tradeOrdersV2, account/balance
//! link 4 cancels  dead man's switch · cancel of all orders · cancels while link 2 is down
//! link 5 batches  new orders of one decision, where the configuration asks for it
//!
//! links 2 and 3 ready → LoggedIn; the end of 3 ends 2
//! every pingInterval a JSON ping of ours on each WebSocket, whatever comes in; without a pong it is replaced
//! ```
//! Links 1 to 3 are held: where to is known only with a token or a fresh signature. Hosts are the configured
//! ones; of the server a token is for, the path is taken and the host is not (today there is one).
//! It does not own books: depth goes to a keeper, which asks back through `request_snapshot`. It does not remember
//! orders, but for the post-only ones not heard of yet: request ids say what an answer is about. It never resends
//! an order.
//!
//! Left out: amends (the venue's are a cancel and a new order under a new id, see `entry`), futures
//! and the unified account beyond reading their messages.
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
mod numbers;
pub mod reject;
pub mod rest;
mod scan;
mod session;
pub mod symbols;
pub mod sync;
mod unified;

pub use session::{DEAD_MAN_REARM_NS, DEAD_MAN_TIMEOUT_S};

use crate::session::Session;
use crate::symbols::order_id_text;
use dp_types::limit::{HTTP_BODY_MAX, WS_MSG_MAX};
use dp_types::{
    AmendOrder, CancelOrder, InstrumentId, LinkId, NewOrder, Now, OrderId, OrderKind, Text,
    UnixNanos, VenueId,
};
use dp_venue_api::limits::Rates;
use dp_venue_api::{
    BatchNew, Capabilities, DecodeError, EntryError, EntryLink, Fault, LinkRole, LinkSpec,
    Positions, ReadCounts, Registry, RegistryError, RestResponse, SingleOrders, Sink, Venue,
    VenueConfig,
};
use dp_wire::json::Doc;

/// This venue.
pub const ID: VenueId = VenueId::KUCOIN;
/// REST.
pub const LINK_REST: LinkId = LinkId(0);
/// Public WebSocket.
pub const LINK_MD: LinkId = LinkId(1);
/// Order entry.
pub const LINK_ORDERS: LinkId = LinkId(2);
/// Private WebSocket: our orders, fills and balances.
pub const LINK_USER: LinkId = LinkId(3);
/// REST for what must not wait behind snapshots and lists.
pub const LINK_CANCELS: LinkId = LinkId(4);
/// REST for new orders that go together, where the configuration asks for it.
pub const LINK_BATCHES: LinkId = LinkId(5);

/// What the venue offers and we use.
pub const CAPABILITIES: Capabilities = Capabilities {
    entry: EntryLink::WebSocket,
    amend_price: false,
    amend_qty: false,
    amend_reduce_only: false,
    cancel_all: true,
    batch: false,
    batch_new: BatchNew::Rest,
    dead_man_switch: true,
    market: true,
    ioc: true,
    fok: true,
    post_only: true,
    validity_window: true,
    book_checksum: false,
    book_depth: 0,
    single_orders: SingleOrders::None,
    positions: Positions::None,
};

/// Increments a symbol starts with until its rules are known: room for the finest prices in recordings (12
/// decimals on low-priced pairs) and for quantities to 10^10 in 64 bits.
const PRICE_DECIMALS_BARE: u8 = 12;
const QTY_DECIMALS_BARE: u8 = 8;
/// Messages up to this size never allocate; a delta of a busy moment is a few KiB.
const WARM_BYTES: usize = 128 << 10;

/// The KuCoin machine.
#[derive(Debug)]
pub struct Kucoin {
    doc: Doc,
    rest_doc: Doc,
    /// Room for messages of futures, see `numbers`.
    quoted: Vec<u8>,
    session: Session,
    counts: ReadCounts,
}

impl Kucoin {
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
            quoted: Vec::new(),
            session: Session::new(&config, &instruments),
            counts: ReadCounts::default(),
        })
    }

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
            quoted,
            session,
            ..
        } = self;
        if text.len() > WS_MSG_MAX {
            return Err(DecodeError::TooMuch("message size").into());
        }
        let signed = session.challenge(link, text);
        let text = if numbers::is_futures(text) {
            numbers::quote(text, quoted)
        } else {
            text
        };
        let tree = doc.parse(text).map_err(feed::of_json)?;
        session.on_message(registry, link, now, tree.root(), signed, out)
    }
}

impl Venue for Kucoin {
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
            LINK_MD => LinkRole::Market,
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
        if text.len() <= WS_MSG_MAX && self.session.scan(registry, text, out) {
            self.counts.scanned += 1;
            return Ok(());
        }
        self.counts.parsed += 1;
        self.parse_text(registry, link, now, text, out)
    }

    /// The unified feed sends its text in binary frames.
    fn on_binary(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        bytes: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        self.on_text(registry, link, now, bytes, out)
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
            quoted,
            session,
            ..
        } = self;
        session.on_response((rest_doc, quoted), registry, now, response, out)
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
        self.session.send_order(now, out, |window_ms, text| {
            entry::write_new(instrument, order, now, window_ms, text);
        })?;
        if order.kind == OrderKind::PostOnly {
            self.session.posted(order.client_id);
        }
        Ok(())
    }

    fn batch_max(&self) -> usize {
        self.session.batch_max()
    }

    /// Only where the configuration asks for it. Errors: as [`Venue::new_order`], and [`EntryError::Backlog`] while one
    /// is under way.
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
        self.session.send_batch(instrument, orders, now, out)
    }

    /// Errors: always [`EntryError::Unsupported`], see `entry`.
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
        self.session.cancel_order(registry, cancel, now, out)
    }

    fn cancel_all(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        live: &[CancelOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        self.session
            .cancel_all(registry, instrument, live, now, out)
    }

    fn order_id_text(&self, id: OrderId) -> Text<40> {
        order_id_text(id)
    }
}
