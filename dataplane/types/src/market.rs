//! Normalised market data, still in the venue's own digits: what feeds emit and books consume.
//!
//! Prices and quantities stay [`Decimal`]s exactly as printed until the instrument turns them into
//! [`crate::Price`] and [`crate::Qty`]; the printed digits are what venue checksums are made of.

use crate::{Decimal, InstrumentId, OrderId, Side, TradeId, VenueNanos};

/// One level as the venue printed it. Quantity 0 removes the level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RawLevel {
    /// Price, exact.
    pub price: Decimal,
    /// Total quantity at the price, exact.
    pub qty: Decimal,
}

/// Whole book or change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookMsgKind {
    /// Replaces the whole book (pushed by the venue or fetched by REST).
    Snapshot,
    /// Absolute quantities of the levels that changed.
    Delta,
}

/// One depth message. Which of the ids a venue fills is that venue's sequence rule (`sync.rs`).
#[derive(Debug, Clone, Copy)]
pub struct BookMsg<'a> {
    /// Whose book.
    pub instrument: InstrumentId,
    /// Snapshot or delta.
    pub kind: BookMsgKind,
    /// First update id covered (Binance `U`); equals `last_id` where the venue has one id only.
    pub first_id: i64,
    /// Last update id covered (Binance `u`, OKX `seqId`). -1 where the venue gave none.
    pub last_id: i64,
    /// The `last_id` this message follows (OKX `prevSeqId`, Binance futures `pu`). -1 = none or not given.
    pub prev_id: i64,
    /// The venue's checksum of the book after this message, if it gave one.
    pub checksum: Option<u32>,
    /// Bids in the venue's order (books do not rely on it).
    pub bids: &'a [RawLevel],
    /// Asks in the venue's order.
    pub asks: &'a [RawLevel],
    /// Venue time of the message.
    pub venue_ns: VenueNanos,
}

/// What a message says of a single order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderAct {
    /// It rests with this price and quantity, whether it did before or not; 0 takes it out. One that shrinks keeps its
    /// place in the queue, one that is new, grows or moves goes to the back.
    Rests,
    /// It rests with this price and quantity, and stands before those of a higher rank.
    Ranked(i64),
    /// As [`OrderAct::Rests`] if it rests already, else nothing: the venue tells changes of orders that never rested.
    Becomes,
    /// It has another quantity and is otherwise what it was, its place too: neither side nor price is told.
    Resized,
    /// So much of it has traded, if it rests: the venue does not say what is left.
    Trades,
}

impl OrderAct {
    /// One word for people and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rests => "rests",
            Self::Ranked(_) => "ranked",
            Self::Becomes => "becomes",
            Self::Resized => "resized",
            Self::Trades => "trades",
        }
    }
}

/// One order in a book of single orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawOrder {
    /// What is told of it.
    pub act: OrderAct,
    /// The venue's id.
    pub id: OrderId,
    /// Bid or ask.
    pub side: Side,
    /// Price, exact.
    pub price: Decimal,
    /// What rests, or trades, exact.
    pub qty: Decimal,
}

/// One message about a book of single orders (L3). A snapshot may come in pieces: the first is one, the others are
/// deltas with its number.
#[derive(Debug, Clone, Copy)]
pub struct L3Msg<'a> {
    /// Whose book.
    pub instrument: InstrumentId,
    /// Snapshot or delta.
    pub kind: BookMsgKind,
    /// The venue's number of the message; -1 where it gives none.
    pub last_id: i64,
    /// Messages before this one are known to be missing.
    pub has_hole: bool,
    /// Another piece of the same snapshot follows.
    pub has_more: bool,
    /// The venue's checksum of the book after this message, if it gave one.
    pub checksum: Option<u32>,
    /// Orders in the venue's order, which is their place in the queue in a snapshot.
    pub orders: &'a [RawOrder],
    /// Venue time of the message.
    pub venue_ns: VenueNanos,
}

/// One public trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradeMsg {
    /// What was traded.
    pub instrument: InstrumentId,
    /// The venue's id of the trade (the last one, where it aggregates).
    pub trade_id: TradeId,
    /// Side of the aggressor.
    pub taker: Side,
    /// Price, exact.
    pub price: Decimal,
    /// Quantity, exact.
    pub qty: Decimal,
    /// Venue time.
    pub venue_ns: VenueNanos,
}

/// Best bid and offer as a venue pushes them on their own channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuoteMsg {
    /// Whose quote.
    pub instrument: InstrumentId,
    /// The book's update id at this quote, where the venue shares the counter; else -1.
    pub update_id: i64,
    /// Best bid; quantity 0 = the side is empty.
    pub bid: RawLevel,
    /// Best offer; quantity 0 = the side is empty.
    pub ask: RawLevel,
    /// Venue time; 0 where it gives none (Binance bookTicker).
    pub venue_ns: VenueNanos,
}
