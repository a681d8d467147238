//! Binance as one sans-IO machine a product, spot and USD-M futures: market data, order entry, account,
//! reconciliation.
//!
//! ```text
//! link 0 rest    exchangeInfo → InstrumentsReady · book snapshots · reconciliation
//! link 1 md      combined streams in the URL: depth, trades, best quotes; text, or SBE from a host of its own
//! link 2 orders  WebSocket API: logon, orders, user data stream → LoggedIn → orders may go out
//!
//! every link is replaced before the venue's 24 h end; its pings are WebSocket frames
//! ```
//! So it is on spot; what futures have otherwise, or beside it, is in `usdm`, and `product` says which is which.
//! It does not own books: depth goes to a keeper, which asks back through `request_snapshot`. Request ids
//! say what an answer is about; the only memory of orders is a cache of their names. It never resends an
//! order. The decoder also reads the venue's US and COIN-M market data, for replay.
#![forbid(unsafe_code)]
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
mod heard;
pub mod limits;
pub mod product;
pub mod reject;
pub mod rest;
mod sbe;
mod scan;
mod session;
pub mod symbols;
pub mod sync;
pub mod template;
pub mod usdm;

pub use crate::sbe::{lacks as sbe_lacks, symbol_of as sbe_symbol};

use crate::feed::Decoder;
use crate::product::Product;
use crate::session::{Op, Session};
use crate::symbols::order_id_text;
use core::marker::PhantomData;
use dp_types::{
    AmendOrder, CancelOrder, Instrument, InstrumentId, LinkId, NewOrder, Now, OrderId, Text,
    UnixNanos, VenueId,
};
use dp_venue_api::limits::Rates;
use dp_venue_api::{
    BatchNew, Capabilities, EntryError, EntryLink, Event, Fault, LinkRole, LinkSpec, Positions,
    ReadCounts, Registry, RegistryError, RestResponse, SingleOrders, Sink, UpgradeField, Venue,
    VenueConfig,
};

/// Spot.
pub const ID: VenueId = VenueId::BINANCE;
/// USD-M futures.
pub const ID_USDM: VenueId = VenueId::BINANCE_USDM;
/// REST.
pub const LINK_REST: LinkId = LinkId(0);
/// Market streams.
pub const LINK_MD: LinkId = LinkId(1);
/// WebSocket API: order entry, and on spot the user stream.
pub const LINK_ORDERS: LinkId = LinkId(2);
/// User stream of futures.
pub const LINK_USER: LinkId = LinkId(3);
/// REST of futures for what must not wait behind snapshots and lists.
pub const LINK_CANCELS: LinkId = LinkId(4);
/// REST of futures for new orders that go together, where the configuration asks for it.
pub const LINK_BATCHES: LinkId = LinkId(5);

/// The asset fees are paid in when the account holds it.
const FEE_ASSET: &str = "BNB";

/// What the venue offers on spot and we use.
pub const CAPABILITIES: Capabilities = Capabilities {
    entry: EntryLink::WebSocket,
    amend_price: false, // cancel and place: the place in the queue is lost either way
    amend_qty: true,
    amend_reduce_only: true,
    cancel_all: true,
    batch: false,
    batch_new: BatchNew::None,
    dead_man_switch: false, // none on spot: cancel-all is ours to send
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

/// The machine of a product.
#[derive(Debug)]
pub struct Machine<P> {
    decoder: Decoder,
    session: Session,
    product: PhantomData<P>,
}

/// Which product a machine is for.
pub trait Of {
    /// The product.
    const PRODUCT: Product;
}

/// Of spot.
#[derive(Debug)]
pub struct Spot;

/// Of USD-M futures.
#[derive(Debug)]
pub struct Usdm;

impl Of for Spot {
    const PRODUCT: Product = Product::Spot;
}

impl Of for Usdm {
    const PRODUCT: Product = Product::Usdm;
}

/// Binance spot.
pub type Binance = Machine<Spot>;
/// Binance USD-M futures.
pub type BinanceUsdm = Machine<Usdm>;

impl<P: Of> Machine<P> {
    /// Builds the machine and registers its symbols.
    ///
    /// Errors: [`RegistryError`] when the registry is full or a symbol is too long. Unusable keys are told when the
    /// links open, as `LoginRefused`; market data runs without.
    pub fn new(config: VenueConfig, registry: &mut Registry) -> Result<Self, RegistryError> {
        let instruments = config
            .symbols
            .iter()
            .map(|symbol| feed::register(P::PRODUCT, registry, symbol))
            .collect::<Result<Vec<_>, _>>()?;
        registry.asset(FEE_ASSET)?;
        Ok(Self {
            decoder: Decoder::new(P::PRODUCT),
            session: Session::new(P::PRODUCT, config, &instruments),
            product: PhantomData,
        })
    }
}

fn known(registry: &Registry, id: InstrumentId) -> Result<&Instrument, EntryError> {
    registry.get(id).ok_or(EntryError::UnknownInstrument)
}

fn terms(instrument: &Instrument, order: &NewOrder) -> usdm::Terms {
    usdm::Terms {
        side: order.side,
        price: instrument.price_decimal(order.price),
        qty: instrument.qty_decimal(order.qty),
    }
}

impl<P: Of> Venue for Machine<P> {
    fn id(&self) -> VenueId {
        P::PRODUCT.id()
    }

    fn capabilities(&self) -> &'static Capabilities {
        match P::PRODUCT {
            Product::Spot => &CAPABILITIES,
            Product::Usdm => &usdm::CAPABILITIES,
        }
    }

    fn link_role(&self, link: LinkId) -> LinkRole {
        match link {
            LINK_MD => LinkRole::Market,
            LINK_ORDERS | LINK_USER => LinkRole::Orders,
            _ => LinkRole::Rest,
        }
    }

    fn links(&self) -> &[LinkSpec] {
        self.session.links()
    }

    /// SBE is for who shows a key, text for all.
    fn has_keyed_feed(&self) -> bool {
        self.session.has_keyed_feed()
    }

    fn upgrade_fields(&self, link: LinkId) -> Vec<UpgradeField> {
        self.session.upgrade_fields(link)
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
        let Self {
            decoder, session, ..
        } = self;
        session.on_text(decoder, registry, link, now, text, out)
    }

    fn on_binary(
        &mut self,
        registry: &Registry,
        link: LinkId,
        _now: Now,
        bytes: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Self {
            decoder, session, ..
        } = self;
        if session.knows_rules(link) {
            decoder.binary(registry, bytes, out)?;
        } else {
            out.event(&Event::Ignored(session::NO_RULES));
        }
        Ok(())
    }

    fn rates(&self) -> Option<Box<dyn Rates>> {
        Some(Box::new(self.session.limits.clone()))
    }

    fn read_counts(&self) -> ReadCounts {
        self.decoder.counts()
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
            decoder, session, ..
        } = self;
        session.on_response(decoder, registry, now, response, out)
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
        let instrument = known(registry, order.instrument)?;
        self.session.query_order(instrument, order, now, out)
    }

    fn new_order(
        &mut self,
        registry: &Registry,
        order: &NewOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = known(registry, order.instrument)?;
        self.session.admit(Op::New, now)?;
        self.session.send_made(
            out,
            |made, signing| made.new_order(instrument, order, now, signing),
            |signing, window_ms, message| {
                entry::write_new(instrument, order, now, window_ms, signing, message)
            },
        )?;
        if P::PRODUCT == Product::Usdm {
            self.session
                .note_terms(order.client_id, terms(instrument, order));
        }
        Ok(())
    }

    fn batch_max(&self) -> usize {
        self.session.batch_max()
    }

    /// Futures only, and only where the configuration asks for it. Errors: as [`Venue::new_order`], and
    /// [`EntryError::Backlog`] while one is under way.
    fn new_orders(
        &mut self,
        registry: &Registry,
        orders: &[NewOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let first = orders.first().ok_or(EntryError::UnknownInstrument)?;
        let instrument = known(registry, first.instrument)?;
        self.session.new_orders(instrument, orders, now, out)?;
        for order in orders {
            self.session
                .note_terms(order.client_id, terms(instrument, order));
        }
        Ok(())
    }

    /// Spot reduces the quantity in place; futures change price and quantity. Errors: [`EntryError::Unsupported`] for
    /// what the product cannot, and for an order so old that its terms are forgotten.
    fn amend_order(
        &mut self,
        registry: &Registry,
        amend: &AmendOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = known(registry, amend.instrument)?;
        if P::PRODUCT == Product::Usdm {
            let terms = self.session.terms(amend)?;
            self.session.admit(Op::Amend, now)?;
            return self.session.send(out, |signing, window_ms, message| {
                usdm::entry::write_modify(
                    instrument, amend, &terms, now, window_ms, signing, message,
                )
            });
        }
        let (None, Some(qty)) = (amend.price, amend.qty) else {
            return Err(EntryError::Unsupported);
        };
        self.session.admit(Op::Amend, now)?;
        self.session.send_made(
            out,
            |made, signing| made.amend(instrument, amend, qty, now, signing),
            |signing, window_ms, message| {
                entry::write_amend(instrument, amend, qty, now, window_ms, signing, message)
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
        let instrument = known(registry, cancel.instrument)?;
        self.session.admit(Op::Cancel, now)?;
        self.session.send_made(
            out,
            |made, signing| made.cancel(cancel, now, signing),
            |signing, _, message| {
                entry::write_about(instrument, cancel, false, now, signing, message)
            },
        )
    }

    /// One request cancels everything of the symbol, orders of others on this account included; the list is
    /// not needed.
    fn cancel_all(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        _live: &[CancelOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = known(registry, instrument)?;
        if P::PRODUCT == Product::Usdm {
            return self.session.cancel_all_by_rest(instrument, now, out);
        }
        self.session.admit(Op::Cancel, now)?;
        self.session.send(out, |signing, _, message| {
            entry::write_cancel_all(instrument, now, signing, message)
        })
    }

    fn order_id_text(&self, id: OrderId) -> Text<40> {
        order_id_text(id)
    }
}
