//! Ids. Dense integers for what we index, opaque integers for what venues name.

use core::fmt;

/// A venue, dense from 1; 0 is "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct VenueId(pub u8);

impl VenueId {
    /// Binance spot.
    pub const BINANCE: Self = Self(1);
    /// Coinbase: Exchange and Advanced Trade.
    pub const COINBASE: Self = Self(2);
    /// Kraken spot.
    pub const KRAKEN: Self = Self(3);
    /// OKX V5.
    pub const OKX: Self = Self(4);
    /// Bybit V5.
    pub const BYBIT: Self = Self(5);
    /// HTX, once Huobi.
    pub const HUOBI: Self = Self(6);
    /// KuCoin.
    pub const KUCOIN: Self = Self(7);
    /// Bitfinex.
    pub const BITFINEX: Self = Self(8);
    /// Deribit.
    pub const DERIBIT: Self = Self(9);
    /// Kraken Futures.
    pub const KRAKEN_FUTURES: Self = Self(10);
    /// A liquidity provider that speaks FIX alone.
    pub const YOFX: Self = Self(11);
    /// Binance USD-M futures.
    pub const BINANCE_USDM: Self = Self(12);
    /// OANDA v20: prices alone.
    pub const OANDA: Self = Self(13);
    /// The last number in use.
    pub const LAST: u8 = 13;

    /// The name used in configuration, on the command line and in the database.
    pub const fn name(self) -> &'static str {
        match self.0 {
            1 => "binance",
            2 => "coinbase",
            3 => "kraken",
            4 => "okx",
            5 => "bybit",
            6 => "huobi",
            7 => "kucoin",
            8 => "bitfinex",
            9 => "deribit",
            10 => "kraken-futures",
            11 => "yofx",
            12 => "binance-usdm",
            13 => "oanda",
            _ => "none",
        }
    }

    /// Whether orders can be sent there. Where not, it is prices alone, and its keys are for them.
    pub const fn takes_orders(self) -> bool {
        self.0 != Self::OANDA.0
    }

    /// The inverse of [`VenueId::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        (1..=Self::LAST)
            .map(Self)
            .find(|venue| venue.name() == name)
    }
}

impl fmt::Display for VenueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An instrument at a venue: a dense index into the node's instrument table, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct InstrumentId(pub u32);

/// An asset (currency), dense from 0 in the node's asset table; [`AssetId::NONE`] where unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct AssetId(pub u16);

impl AssetId {
    /// No asset, or one that is not in the table.
    pub const NONE: Self = Self(u16::MAX);
}

impl Default for AssetId {
    fn default() -> Self {
        Self::NONE
    }
}

/// A lane, dense from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct LaneId(pub u8);

/// A strategy instance, dense from 0 in the node's configuration order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct StrategyId(pub u16);

impl StrategyId {
    /// No strategy: what a venue's word corrected in a position, and what no strategy is known to have traded.
    pub const NOBODY: Self = Self(u16::MAX);
}

/// A connection a venue machine asked for: dense from 0 inside that venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct LinkId(pub u8);

/// Which holder of the right to trade: rises by one with each grant. 13 bits are all a client order
/// id can carry (Bitfinex takes 45 bits), so 1..=8191.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Epoch(pub u16);

impl Epoch {
    /// The largest epoch an id can carry.
    pub const MAX: u16 = (1 << 13) - 1;

    /// The next epoch; `None` when the 13 bits are used up.
    pub const fn next(self) -> Option<Self> {
        if self.0 >= Self::MAX {
            None
        } else {
            Some(Self(self.0 + 1))
        }
    }
}

/// Our own id of an order (FIX 11): 13 bits of epoch above 32 bits of sequence, 45 bits in all.
///
/// The sequence's top [`ClientOrderId::LANE_BITS`] bits name the lane, so lanes never share a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct ClientOrderId(pub u64);

impl ClientOrderId {
    /// Bits of the sequence that name the lane: at most 16 lanes send orders.
    pub const LANE_BITS: u32 = 4;
    /// Orders one lane may name within one epoch.
    pub const SEQUENCE_MAX: u32 = (1 << (32 - Self::LANE_BITS)) - 1;

    /// Builds an id. Errors: `None` when the epoch, the lane or the sequence does not fit.
    pub const fn new(epoch: Epoch, lane: LaneId, sequence: u32) -> Option<Self> {
        if epoch.0 == 0 || epoch.0 > Epoch::MAX || sequence > Self::SEQUENCE_MAX {
            return None;
        }
        if lane.0 >= 1 << Self::LANE_BITS {
            return None;
        }
        let lane_bits = (lane.0 as u64) << (32 - Self::LANE_BITS);
        Some(Self(((epoch.0 as u64) << 32) | lane_bits | sequence as u64))
    }

    /// Takes an id back from a venue. Errors: `None` when it is not one of ours (over 45 bits or epoch 0).
    pub const fn from_raw(raw: u64) -> Option<Self> {
        if raw >> 45 != 0 || raw >> 32 == 0 {
            None
        } else {
            Some(Self(raw))
        }
    }

    /// The epoch that sent it.
    pub const fn epoch(self) -> Epoch {
        Epoch((self.0 >> 32) as u16)
    }

    /// The lane that sent it.
    pub const fn lane(self) -> LaneId {
        LaneId(((self.0 >> (32 - Self::LANE_BITS)) & ((1 << Self::LANE_BITS) - 1)) as u8)
    }

    /// The sequence number within epoch and lane.
    pub const fn sequence(self) -> u32 {
        (self.0 as u32) & Self::SEQUENCE_MAX
    }
}

/// A venue's own id of an order (FIX 37), packed by that venue's codec so that its text comes back
/// exactly: a number, a UUID or base-36 text all fit 128 bits. 0 = not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct OrderId(pub u128);

/// A venue's id of one execution, packed like [`OrderId`]. 0 = none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct TradeId(pub u128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_order_id_keeps_its_parts_and_fits_45_bits() {
        let id = ClientOrderId::new(Epoch(8191), LaneId(15), ClientOrderId::SEQUENCE_MAX).unwrap();
        assert_eq!(id.0 >> 45, 0);
        assert_eq!(
            (id.epoch(), id.lane(), id.sequence()),
            (Epoch(8191), LaneId(15), (1 << 28) - 1)
        );
        assert_eq!(ClientOrderId::from_raw(id.0), Some(id));
        assert_eq!(ClientOrderId::new(Epoch(0), LaneId(0), 1), None);
        assert_eq!(ClientOrderId::new(Epoch(8192), LaneId(0), 1), None);
        assert_eq!(ClientOrderId::new(Epoch(1), LaneId(16), 1), None);
        assert_eq!(ClientOrderId::from_raw(7), None);
    }

    #[test]
    fn epoch_ends_instead_of_wrapping() {
        assert_eq!(Epoch(8191).next(), None);
    }

    #[test]
    fn venue_names_come_back() {
        for raw in 1..=VenueId::LAST {
            assert_eq!(VenueId::from_name(VenueId(raw).name()), Some(VenueId(raw)));
        }
        assert_eq!(VenueId::from_name("none"), None);
        assert_eq!(VenueId(VenueId::LAST + 1).name(), "none");
    }
}
