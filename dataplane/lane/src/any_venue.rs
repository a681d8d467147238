//! The venues of this build as one type: a match instead of a virtual call, so that each machine's
//! generic sink is compiled for the lane.

use dp_types::{
    AmendOrder, CancelOrder, InstrumentId, LinkId, NewOrder, Now, OrderId, Text, UnixNanos, VenueId,
};
use dp_venue_api::{
    Capabilities, EntryError, Fault, LinkSpec, ReadCounts, Registry, RegistryError, RestResponse,
    Sink, Venue, VenueConfig,
};
use dp_venue_binance::Binance;
use dp_venue_okx::Okx;

/// One venue machine.
#[derive(Debug)]
pub enum AnyVenue {
    /// Binance spot.
    Binance(Box<Binance>),
    /// OKX V5.
    Okx(Box<Okx>),
}

impl AnyVenue {
    /// Builds the machine of a venue and registers its symbols.
    ///
    /// Errors: [`RegistryError`]; `Ok(None)` when this build has no machine for the venue.
    pub fn new(
        id: VenueId,
        config: VenueConfig,
        registry: &mut Registry,
    ) -> Result<Option<Self>, RegistryError> {
        Ok(match id {
            VenueId::BINANCE => Some(Self::Binance(Box::new(Binance::new(config, registry)?))),
            VenueId::OKX => Some(Self::Okx(Box::new(Okx::new(config, registry)?))),
            _ => None,
        })
    }
}

/// Runs `$call` on whichever machine it is.
macro_rules! each {
    ($self:ident, $venue:ident => $call:expr) => {
        match $self {
            AnyVenue::Binance($venue) => $call,
            AnyVenue::Okx($venue) => $call,
        }
    };
}

impl Venue for AnyVenue {
    fn id(&self) -> VenueId {
        each!(self, venue => venue.id())
    }

    fn capabilities(&self) -> &'static Capabilities {
        each!(self, venue => venue.capabilities())
    }

    fn links(&self) -> &[LinkSpec] {
        each!(self, venue => venue.links())
    }

    fn on_open(&mut self, registry: &mut Registry, link: LinkId, now: Now, out: &mut impl Sink) {
        each!(self, venue => venue.on_open(registry, link, now, out));
    }

    fn on_text(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        text: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        each!(self, venue => venue.on_text(registry, link, now, text, out))
    }

    fn on_binary(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        bytes: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        each!(self, venue => venue.on_binary(registry, link, now, bytes, out))
    }

    fn on_response(
        &mut self,
        registry: &mut Registry,
        link: LinkId,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        each!(self, venue => venue.on_response(registry, link, now, response, out))
    }

    fn on_closed(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        each!(self, venue => venue.on_closed(link, now, out));
    }

    fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        each!(self, venue => venue.on_deadline(registry, now, out));
    }

    fn next_deadline(&self) -> Option<UnixNanos> {
        each!(self, venue => venue.next_deadline())
    }

    fn request_snapshot(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        each!(self, venue => venue.request_snapshot(registry, instrument, now, out));
    }

    fn reconcile(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        each!(self, venue => venue.reconcile(registry, now, out));
    }

    fn query_order(
        &mut self,
        registry: &Registry,
        order: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        each!(self, venue => venue.query_order(registry, order, now, out))
    }

    fn new_order(
        &mut self,
        registry: &Registry,
        order: &NewOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        each!(self, venue => venue.new_order(registry, order, now, out))
    }

    fn amend_order(
        &mut self,
        registry: &Registry,
        amend: &AmendOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        each!(self, venue => venue.amend_order(registry, amend, now, out))
    }

    fn cancel_order(
        &mut self,
        registry: &Registry,
        cancel: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        each!(self, venue => venue.cancel_order(registry, cancel, now, out))
    }

    fn cancel_all(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        live: &[CancelOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        each!(self, venue => venue.cancel_all(registry, instrument, live, now, out))
    }

    fn read_counts(&self) -> ReadCounts {
        each!(self, venue => venue.read_counts())
    }

    fn order_id_text(&self, id: OrderId) -> Text<40> {
        each!(self, venue => venue.order_id_text(id))
    }
}
