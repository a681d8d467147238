//! One market event for the tick ring: what goes to the database's `market_data_ticks`. 64 bytes.

use dp_shm::twin::Words;
use dp_types::{InstrumentId, Price, Qty, Side, TradeId, UnixNanos, VenueId, VenueNanos};

/// A trade or a best quote, in the instrument's increments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// When we saw it.
    pub at: UnixNanos,
    /// When the venue says it was, 0 = it does not.
    pub venue_ns: VenueNanos,
    /// What.
    pub instrument: InstrumentId,
    /// Where.
    pub venue: VenueId,
    /// Which of the two.
    pub kind: TickKind,
}

/// What a tick tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TickKind {
    /// Best bid and ask; quantity 0 = that side is empty.
    Quote {
        /// Best bid.
        bid_price: Price,
        /// Its quantity.
        bid_qty: Qty,
        /// Best ask.
        ask_price: Price,
        /// Its quantity.
        ask_qty: Qty,
    },
    /// A public trade.
    Trade {
        /// Side of the aggressor.
        taker: Side,
        /// Price.
        price: Price,
        /// Quantity.
        qty: Qty,
        /// The venue's id of it.
        trade_id: TradeId,
    },
}

const QUOTE: u8 = 1;
const TRADE: u8 = 2;

impl Words<8> for Tick {
    fn to_words(&self) -> [u64; 8] {
        let (kind, side, rest) = match self.kind {
            TickKind::Quote {
                bid_price,
                bid_qty,
                ask_price,
                ask_qty,
            } => (
                QUOTE,
                0,
                [bid_price.0, bid_qty.0, ask_price.0, ask_qty.0].map(|n| n as u64),
            ),
            TickKind::Trade {
                taker,
                price,
                qty,
                trade_id,
            } => {
                let id = [trade_id.0 as u64, (trade_id.0 >> 64) as u64];
                (
                    TRADE,
                    taker as u8,
                    [price.0 as u64, qty.0 as u64, id[0], id[1]],
                )
            }
        };
        let what = u64::from(self.instrument.0)
            | u64::from(self.venue.0) << 32
            | u64::from(kind) << 40
            | u64::from(side) << 48;
        [
            self.at.0,
            self.venue_ns.0,
            what,
            rest[0],
            rest[1],
            rest[2],
            rest[3],
            0,
        ]
    }

    fn from_words(words: &[u64; 8]) -> Option<Self> {
        let [_, _, _, _, venue, kind, side, _] = words[2].to_le_bytes();
        let [a, b, c, d] = [words[3], words[4], words[5], words[6]];
        let kind = match kind {
            QUOTE => TickKind::Quote {
                bid_price: Price(a as i64),
                bid_qty: Qty(b as i64),
                ask_price: Price(c as i64),
                ask_qty: Qty(d as i64),
            },
            TRADE => TickKind::Trade {
                taker: Side::from_raw(side)?,
                price: Price(a as i64),
                qty: Qty(b as i64),
                trade_id: TradeId(u128::from(c) | u128::from(d) << 64),
            },
            _ => return None,
        };
        Some(Self {
            at: UnixNanos(words[0]),
            venue_ns: VenueNanos(words[1]),
            instrument: InstrumentId(words[2] as u32),
            venue: VenueId(venue),
            kind,
        })
    }
}
