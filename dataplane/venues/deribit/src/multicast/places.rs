//! Where each field of the classic feed's messages is: a table, so that a new schema changes this file and no other.
//!
//! Offsets are bytes into the root block, or into one block of its group. Whatever a newer version appends is stepped
//! over by the lengths on the wire. Source: fields as open decoders of schema 1 read them, and datagrams recorded in
//! 2022 (version 1) and 2024 (versions 2 and 3), read 2026-11-22; `fixtures/multicast_*.hex`.

/// The schema's id.
pub(super) const SCHEMA: u16 = 1;

/// The instrument's number, first in every message.
pub(super) const INSTRUMENT: usize = 0;

/// Sides of a level.
pub(super) const ASK: u8 = 0;
pub(super) const BID: u8 = 1;

/// What happened to a level.
pub(super) const CREATED: u8 = 0;
pub(super) const CHANGED: u8 = 1;
pub(super) const DELETED: u8 = 2;

/// An instrument with its rules; the first version had its name and state only.
pub(super) mod instrument {
    pub(in super::super) const TEMPLATE: u16 = 1_000;
    pub(in super::super) const LEN: usize = 140;
    pub(in super::super) const STATE: usize = 4;
    pub(in super::super) const KIND: usize = 5;
    pub(in super::super) const BASE: usize = 12;
    pub(in super::super) const SETTLED: usize = 36;
    pub(in super::super) const CONTRACT: usize = 76;
    pub(in super::super) const AMOUNT_MIN: usize = 84;
    pub(in super::super) const TICK: usize = 92;
    /// Of a currency's name.
    pub(in super::super) const NAME_LEN: usize = 8;
    /// The one state in which it trades.
    pub(in super::super) const OPEN: u8 = 1;
    /// The kind whose amounts are multiples of the contract.
    pub(in super::super) const FUTURE: u8 = 0;
    pub(in super::super) const OPTION: u8 = 1;
}

/// The same with the ticks of dearer prices behind. It has one byte less before the currencies.
pub(super) mod instrument_v2 {
    pub(in super::super) const TEMPLATE: u16 = 1_010;
    pub(in super::super) const LEN: usize = 139;
    /// How much nearer all fields behind the kind are.
    pub(in super::super) const NEARER: usize = 1;
    pub(in super::super) const STEP_TICK: usize = 8;
}

/// A change of a book, or a part of one.
pub(super) mod book {
    pub(in super::super) const TEMPLATE: u16 = 1_001;
    pub(in super::super) const TIME: usize = 4;
    pub(in super::super) const PREV: usize = 12;
    pub(in super::super) const CHANGE: usize = 20;
    pub(in super::super) const IS_LAST: usize = 28;
    pub(in super::super) const SIDE: usize = 0;
    pub(in super::super) const ACTION: usize = 1;
    pub(in super::super) const PRICE: usize = 2;
    pub(in super::super) const AMOUNT: usize = 10;
}

/// A whole book, or a part of one.
pub(super) mod snapshot {
    pub(in super::super) const TEMPLATE: u16 = 1_004;
    pub(in super::super) const TIME: usize = 4;
    pub(in super::super) const CHANGE: usize = 12;
    /// \[U\] by its name, and by recordings: 0 where 30 levels a side were told, 1 in the parts of long books.
    pub(in super::super) const IS_COMPLETE: usize = 20;
    pub(in super::super) const IS_LAST: usize = 21;
    pub(in super::super) const SIDE: usize = 0;
    pub(in super::super) const PRICE: usize = 1;
    pub(in super::super) const AMOUNT: usize = 9;
}

/// Trades of one instrument.
pub(super) mod trades {
    pub(in super::super) const TEMPLATE: u16 = 1_002;
    pub(in super::super) const DIRECTION: usize = 0;
    pub(in super::super) const PRICE: usize = 1;
    pub(in super::super) const AMOUNT: usize = 9;
    pub(in super::super) const TIME: usize = 17;
    pub(in super::super) const TRADE_ID: usize = 49;
    pub(in super::super) const BUY: u8 = 0;
    pub(in super::super) const SELL: u8 = 1;
}

/// Best prices: first a message of its own, then within a ticker; told apart by their length.
pub(super) mod ticker {
    pub(in super::super) const TEMPLATE: u16 = 1_003;
    pub(in super::super) const LEN: usize = 133;
    pub(in super::super) const TIME: usize = 5;
    pub(in super::super) const BEST: usize = 61;
    pub(in super::super) const QUOTE_TIME: usize = 4;
    pub(in super::super) const QUOTE_BEST: usize = 12;
}

/// What tells nothing we use.
pub(super) mod other {
    pub(in super::super) const SNAPSHOT_START: u16 = 1_005;
    pub(in super::super) const SNAPSHOT_END: u16 = 1_006;
    pub(in super::super) const COMBO_LEGS: u16 = 1_007;
    pub(in super::super) const PRICE_INDEX: u16 = 1_008;
    pub(in super::super) const RFQ: u16 = 1_009;
}
