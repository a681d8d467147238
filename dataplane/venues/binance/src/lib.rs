//! Binance spot as one sans-IO machine: market data, order entry, account, reconciliation.
//!
//! ```text
//! link 0 rest    exchangeInfo → InstrumentsReady · book snapshots · reconciliation
//! link 1 md      combined streams in the URL: depth 100 ms, trades, best quotes
//! link 2 orders  WebSocket API: logon, orders, user data stream → LoggedIn → orders may go out
//!
//! every link is replaced before the venue's 24 h end; its pings are WebSocket frames
//! ```
//! It does not own books: depth goes to a keeper, which asks back through `request_snapshot`. Request ids
//! say what an answer is about; the only memory of orders is a cache of their names. It never resends an
//! order. The decoder also reads the venue's US and futures market data, for replay.
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
pub mod limits;
pub mod reject;
pub mod rest;
mod sbe;
mod scan;
mod session;
pub mod symbols;
pub mod sync;
pub mod template;

use crate::feed::Decoder;
use crate::session::{Op, Session};
use crate::symbols::order_id_text;
use dp_types::{
    AmendOrder, CancelOrder, Instrument, InstrumentId, LinkId, NewOrder, Now, OrderId, Text,
    UnixNanos, VenueId,
};
use dp_venue_api::{
    Capabilities, EntryError, EntryLink, Event, Fault, LinkSpec, ReadCounts, Registry,
    RegistryError, RestResponse, Sink, Venue, VenueConfig,
};

/// This venue.
pub const ID: VenueId = VenueId::BINANCE;
/// REST.
pub const LINK_REST: LinkId = LinkId(0);
/// Market streams.
pub const LINK_MD: LinkId = LinkId(1);
/// WebSocket API: order entry and user stream.
pub const LINK_ORDERS: LinkId = LinkId(2);

/// The asset fees are paid in when the account holds it.
const FEE_ASSET: &str = "BNB";

/// What the venue offers and we use.
pub const CAPABILITIES: Capabilities = Capabilities {
    entry: EntryLink::WebSocket,
    amend_price: false, // cancel and place: the place in the queue is lost either way
    amend_qty: true,
    amend_reduce_only: true,
    cancel_all: true,
    batch: false,
    dead_man_switch: false, // none on spot: cancel-all is ours to send
    market: true,
    ioc: true,
    fok: true,
    post_only: true,
    validity_window: true,
    book_checksum: false,
    book_depth: 0,
};

/// The Binance machine.
#[derive(Debug)]
pub struct Binance {
    decoder: Decoder,
    session: Session,
}

impl Binance {
    /// Builds the machine and registers its symbols.
    ///
    /// Errors: [`RegistryError`] when the registry is full or a symbol is too long. Unusable keys are told when the
    /// links open, as `LoginRefused`; market data runs without.
    pub fn new(config: VenueConfig, registry: &mut Registry) -> Result<Self, RegistryError> {
        let instruments = config
            .symbols
            .iter()
            .map(|symbol| feed::register(registry, symbol))
            .collect::<Result<Vec<_>, _>>()?;
        registry.asset(FEE_ASSET)?;
        Ok(Self {
            decoder: Decoder::default(),
            session: Session::new(config, &instruments),
        })
    }
}

fn known(registry: &Registry, id: InstrumentId) -> Result<&Instrument, EntryError> {
    registry.get(id).ok_or(EntryError::UnknownInstrument)
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
        let Self { decoder, session } = self;
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
        let Self { decoder, session } = self;
        if session.knows_rules(link) {
            decoder.binary(registry, bytes, out)?;
        } else {
            out.event(&Event::Ignored(session::NO_RULES));
        }
        Ok(())
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
        let Self { decoder, session } = self;
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
        )
    }

    /// Reduces the quantity in place. Errors: [`EntryError::Unsupported`] for a new price.
    fn amend_order(
        &mut self,
        registry: &Registry,
        amend: &AmendOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = known(registry, amend.instrument)?;
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
        self.session.admit(Op::Cancel, now)?;
        self.session.send(out, |signing, _, message| {
            entry::write_cancel_all(instrument, now, signing, message)
        })
    }

    fn order_id_text(&self, id: OrderId) -> Text<40> {
        order_id_text(id)
    }
}
