//! The venues of this build as one type: a match instead of a virtual call, so that each machine's
//! generic sink is compiled for the lane.

use dp_types::{
    AmendOrder, CancelOrder, InstrumentId, LinkId, NewOrder, Now, OrderId, Text, UnixNanos, VenueId,
};
use dp_venue_api::limits::{Budget, Rates};
use dp_venue_api::{
    Capabilities, EntryError, Fault, FixSpec, LineCounts, LinkRole, LinkSpec, MarketData,
    Positions, ReadCounts, Registry, RegistryError, RestResponse, Sink, UpgradeField, Venue,
    VenueConfig,
};
use dp_venue_fix::{FixEntry, OverFix as _};
use dp_wire::fix::Message;

/// Every venue of this build, once: calls a macro with its own arguments and, for each, the machine's name, its
/// crate, its book rule and its id.
macro_rules! for_venues {
    ($call:ident $($argument:tt)*) => {
        $call! {
            [$($argument)*]
            (Binance, dp_venue_binance, BinanceSync, BINANCE)
            (BinanceUsdm, dp_venue_binance, BinanceSync, BINANCE_USDM)
            (Bitfinex, dp_venue_bitfinex, BitfinexSync, BITFINEX)
            (Bybit, dp_venue_bybit, BybitSync, BYBIT)
            (Coinbase, dp_venue_coinbase, CoinbaseSync, COINBASE)
            (Deribit, dp_venue_deribit, DeribitSync, DERIBIT)
            (Huobi, dp_venue_huobi, HuobiSync, HUOBI)
            (Kraken, dp_venue_kraken, KrakenSync, KRAKEN)
            (KrakenFutures, dp_venue_kraken_futures, KrakenFuturesSync, KRAKEN_FUTURES)
            (Kucoin, dp_venue_kucoin, KucoinSync, KUCOIN)
            (Oanda, dp_venue_oanda, OandaSync, OANDA)
            (Okx, dp_venue_okx, OkxSync, OKX)
            (Gateway, dp_venue_fix, GatewaySync, YOFX)
        }
    };
}
pub(crate) use for_venues;

macro_rules! define {
    ([] $(($name:ident, $krate:ident, $rule:ident, $id:ident))*) => {
        /// One venue machine.
        #[derive(Debug)]
        pub enum AnyVenue {
            $(
                #[doc = stringify!($name)]
                $name(Box<$krate::$name>),
            )*
            /// Binance, orders over FIX.
            BinanceFix(Box<FixEntry<dp_venue_binance::Binance>>),
            /// Coinbase, orders over FIX.
            CoinbaseFix(Box<FixEntry<dp_venue_coinbase::Coinbase>>),
            /// Deribit, orders over FIX.
            DeribitFix(Box<FixEntry<dp_venue_deribit::Deribit>>),
            /// Kraken, orders over FIX.
            KrakenFix(Box<FixEntry<dp_venue_kraken::Kraken>>),
        }

        impl AnyVenue {
            /// Builds the machine of a venue and registers its symbols.
            ///
            /// Errors: [`RegistryError`]; `Ok(None)` when this build has no machine for the venue, or none over FIX
            /// where the configuration wants one.
            pub fn new(
                id: VenueId,
                config: VenueConfig,
                registry: &mut Registry,
            ) -> Result<Option<Self>, RegistryError> {
                // A gateway speaks nothing else.
                if config.fix.is_some() && id != VenueId::YOFX {
                    return Self::over_fix(id, config, registry);
                }
                Ok(match id {
                    $(VenueId::$id => {
                        Some(Self::$name(Box::new($krate::$name::new(config, registry)?)))
                    })*
                    _ => None,
                })
            }

            /// Whether a venue tells the positions of derivatives, whichever way its orders go.
            pub fn positions(id: VenueId) -> Positions {
                // Two machines of one crate.
                if id == VenueId::BINANCE_USDM {
                    return dp_venue_binance::usdm::CAPABILITIES.positions;
                }
                match id {
                    $(VenueId::$id => $krate::CAPABILITIES.positions,)*
                    _ => Positions::None,
                }
            }

            /// What a budget is too small for at a venue, if for anything.
            pub fn lacks(id: VenueId, budget: Budget) -> Option<&'static str> {
                match id {
                    $(VenueId::$id => $krate::limits::lacks(budget),)*
                    _ => None,
                }
            }
        }
    };
}
for_venues!(define);

impl AnyVenue {
    /// Why a venue's market data cannot come as it is asked for, if it cannot.
    pub fn lacks_feed(id: VenueId, config: &VenueConfig) -> Option<&'static str> {
        // A gateway has no other.
        let fix = config.fix.as_ref().filter(|_| id != VenueId::YOFX);
        if let Some(fix) = fix.filter(|fix| fix.market.is_some()) {
            let has_session = match id {
                VenueId::BINANCE => dp_venue_binance::Binance::market(config, fix).is_some(),
                VenueId::COINBASE => dp_venue_coinbase::Coinbase::market(config, fix).is_some(),
                VenueId::DERIBIT => dp_venue_deribit::Deribit::market(config, fix).is_some(),
                VenueId::KRAKEN => dp_venue_kraken::Kraken::market(config, fix).is_some(),
                _ => return Some("this build reads no market data over FIX there"),
            };
            return (!has_session).then_some(
                "market data over FIX wants keys, or a name (sender), that log on there",
            );
        }
        match (config.market_data, id) {
            (MarketData::Json, _) => None,
            (MarketData::Sbe, VenueId::BINANCE) => dp_venue_binance::sbe_lacks(&config.secrets),
            (MarketData::Sbe, _) => Some("this venue has none in SBE; use \"json\""),
            (MarketData::Multicast | MarketData::Starbase, VenueId::DERIBIT) => None,
            (MarketData::Multicast | MarketData::Starbase, _) => {
                Some("this build hears no multicast of this venue")
            }
        }
    }

    /// The machine of a venue whose orders go over FIX.
    fn over_fix(
        id: VenueId,
        config: VenueConfig,
        registry: &mut Registry,
    ) -> Result<Option<Self>, RegistryError> {
        macro_rules! entry {
            ($name:ident, $machine:ty) => {{
                let machine = <$machine>::new(config.clone(), registry)?;
                Self::$name(Box::new(FixEntry::new(machine, config, registry)))
            }};
        }
        Ok(Some(match id {
            VenueId::BINANCE => entry!(BinanceFix, dp_venue_binance::Binance),
            VenueId::COINBASE => entry!(CoinbaseFix, dp_venue_coinbase::Coinbase),
            VenueId::DERIBIT => entry!(DeribitFix, dp_venue_deribit::Deribit),
            VenueId::KRAKEN => entry!(KrakenFix, dp_venue_kraken::Kraken),
            _ => return Ok(None),
        }))
    }
}

/// Runs `$run` on whichever machine it is.
macro_rules! each {
    ($self:ident, $venue:ident => $run:expr) => {
        for_venues!(pick $self $venue $run)
    };
}

macro_rules! pick {
    (
        [$self:ident $venue:ident $run:expr]
        $(($name:ident, $krate:ident, $rule:ident, $id:ident))*
    ) => {
        match $self {
            $(AnyVenue::$name($venue) => $run,)*
            AnyVenue::BinanceFix($venue) => $run,
            AnyVenue::CoinbaseFix($venue) => $run,
            AnyVenue::DeribitFix($venue) => $run,
            AnyVenue::KrakenFix($venue) => $run,
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

    fn link_role(&self, link: LinkId) -> LinkRole {
        each!(self, venue => venue.link_role(link))
    }

    fn has_keyed_feed(&self) -> bool {
        each!(self, venue => venue.has_keyed_feed())
    }

    fn entry_link(&self) -> LinkId {
        each!(self, venue => venue.entry_link())
    }

    fn fix_spec(&self, link: LinkId) -> Option<FixSpec> {
        each!(self, venue => venue.fix_spec(link))
    }

    fn upgrade_fields(&self, link: LinkId) -> Vec<UpgradeField> {
        each!(self, venue => venue.upgrade_fields(link))
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

    fn on_datagram(
        &mut self,
        registry: &Registry,
        line: u8,
        now: Now,
        bytes: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        each!(self, venue => venue.on_datagram(registry, line, now, bytes, out))
    }

    fn on_fix(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        message: &Message<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        each!(self, venue => venue.on_fix(registry, link, now, message, out))
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

    fn request_l3(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        each!(self, venue => venue.request_l3(registry, instrument, now, out));
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

    fn batch_max(&self) -> usize {
        each!(self, venue => venue.batch_max())
    }

    fn new_orders(
        &mut self,
        registry: &Registry,
        orders: &[NewOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        each!(self, venue => venue.new_orders(registry, orders, now, out))
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

    fn rates(&self) -> Option<Box<dyn Rates>> {
        each!(self, venue => venue.rates())
    }

    fn read_counts(&self) -> ReadCounts {
        each!(self, venue => venue.read_counts())
    }

    fn line_counts(&self) -> LineCounts {
        each!(self, venue => venue.line_counts())
    }

    fn order_id_text(&self, id: OrderId) -> Text<40> {
        each!(self, venue => venue.order_id_text(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_that_cannot_come_says_why() {
        let why = |id, market_data| {
            let config = VenueConfig {
                market_data,
                ..VenueConfig::default()
            };
            AnyVenue::lacks_feed(id, &config)
        };
        assert_eq!(why(VenueId::OKX, MarketData::Json), None);
        let other = why(VenueId::OKX, MarketData::Sbe).unwrap();
        assert!(other.contains("none in SBE"), "{other}");
        let unheard = why(VenueId::OKX, MarketData::Multicast).unwrap();
        assert!(unheard.contains("no multicast"), "{unheard}");
        assert_eq!(why(VenueId::OKX, MarketData::Starbase), Some(unheard));
        for heard in [MarketData::Multicast, MarketData::Starbase] {
            assert_eq!(why(VenueId::DERIBIT, heard), None);
        }
        let keyless = why(VenueId::BINANCE, MarketData::Sbe).unwrap();
        assert!(keyless.contains("needs a key"), "{keyless}");
    }
}
