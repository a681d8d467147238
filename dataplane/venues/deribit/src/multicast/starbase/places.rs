//! Where each field of Starbase's market data is: a table, so that the venue's XML can correct it here and nowhere else.
//!
//! Schema 2102, version 1. Offsets count from the end of a message's header. Source: the head of the venue's XML and
//! its pages on packets, order book and trades, as excerpts; the rest of the XML as another project's description of
//! version 1.0 tells it, and a packet recorded with version 0; read 2026-11-22. \[U\] = one source.

/// Around the messages, in every packet.
pub(in super::super) mod packet {
    pub(crate) const LEN: usize = 24;
    pub(crate) const SEND_TIME: usize = 0;
    pub(crate) const NUMBER: usize = 8;
    pub(crate) const CHANNEL: usize = 16;
    pub(crate) const KIND: usize = 20;
    pub(crate) const COUNT: usize = 22;
    /// Bits of the kind. A retransmission is incremental and marked so.
    pub(crate) const INCREMENTAL: u16 = 1;
    pub(crate) const SNAPSHOT: u16 = 2;
    pub(crate) const RETRANSMIT: u16 = 4;
}

/// In front of every message.
pub(in super::super) mod header {
    pub(crate) const LEN: usize = 16;
    /// Of the message with this header and what pads it to eight bytes.
    pub(crate) const MESSAGE_LEN: usize = 0;
    pub(crate) const TEMPLATE: usize = 2;
    pub(crate) const FLAGS: usize = 6;
    pub(crate) const TIME: usize = 8;
    pub(crate) const END_OF_TRANSACTION: u16 = 2;
}

/// A price nobody named.
pub(in super::super) const NULL: i64 = i64::MIN;
/// Prices are integers of so many decimals.
pub(in super::super) const PRICE_EXPONENT: i8 = -9;

pub(in super::super) mod definition {
    pub(crate) const TEMPLATE: u16 = 10;
    pub(crate) const LEN: usize = 260;
    pub(crate) const INSTRUMENT: usize = 0;
    pub(crate) const NAME: usize = 8;
    pub(crate) const NAME_LEN: usize = 128;
    pub(crate) const QTY_MIN: usize = 240;
    pub(crate) const TICK: usize = 248;
    pub(crate) const QTY_EXPONENT: usize = 256;
    pub(crate) const STATUS: usize = 259;
    pub(crate) const OPEN: u8 = 0;
    /// Of the ticks of dearer prices, which follow.
    pub(crate) const STEP_LEN: usize = 16;
    pub(crate) const STEP_TICK: usize = 0;
}

/// Whether it trades changes.
pub(in super::super) mod status {
    pub(crate) const TEMPLATE: u16 = 16;
    pub(crate) const INSTRUMENT: usize = 0;
    pub(crate) const STATUS: usize = 8;
}

/// An order begins to rest, or does so anew: bid or ask by its template.
pub(in super::super) mod put {
    pub(crate) const BID: u16 = 20;
    pub(crate) const ASK: u16 = 21;
    pub(crate) const QTY: usize = 16;
    pub(crate) const PRICE: usize = 24;
    /// \[U\] from version 1 on: the recorded one of version 0 ends before it.
    pub(crate) const RANK: usize = 32;
}

/// What is left of an order: \[U\] what is left, not what is gone, as another client reads it.
pub(in super::super) mod reduced {
    pub(crate) const BID: u16 = 22;
    pub(crate) const ASK: u16 = 23;
    pub(crate) const QTY: usize = 16;
}

pub(in super::super) mod delete {
    pub(crate) const BID: u16 = 24;
    pub(crate) const ASK: u16 = 25;
}

/// In the same places in all messages about one order.
pub(in super::super) mod order {
    pub(crate) const ID: usize = 0;
    pub(crate) const INSTRUMENT: usize = 8;
}

pub(in super::super) mod trade {
    pub(crate) const TEMPLATE: u16 = 31;
    pub(crate) const MATCH_ID: usize = 0;
    pub(crate) const INSTRUMENT: usize = 8;
    pub(crate) const QTY: usize = 24;
    pub(crate) const PRICE: usize = 32;
    pub(crate) const MAKER_FLAGS: usize = 40;
    /// The order that rested was a sale.
    pub(crate) const IS_SELL: u32 = 1;
}

/// Begin and end of one instrument's book in the round of snapshots.
pub(in super::super) mod snapshot {
    pub(crate) const HEADER: u16 = 100;
    pub(crate) const TRAILER: u16 = 101;
    pub(crate) const INSTRUMENT: usize = 0;
    /// The last incremental message that is in it.
    pub(crate) const NUMBER: usize = 16;
}

/// What tells nothing we use.
pub(in super::super) mod other {
    pub(crate) const INDEX_DEFINITION: u16 = 11;
    pub(crate) const INDEX_INFO: u16 = 12;
    pub(crate) const INSTRUMENT_INFO: u16 = 14;
    pub(crate) const INSTRUMENT_REF: u16 = 15;
    pub(crate) const TRADE_SUMMARY: u16 = 30;
    pub(crate) const BLOCK_TRADE: u16 = 33;
    pub(crate) const END_OF_ROUND: u16 = 119;
    pub(crate) const RETRANSMIT_REJECT: u16 = 202;
}

/// What we send.
pub(in super::super) mod request {
    pub(crate) const TEMPLATE: u16 = 200;
    pub(crate) const VERSION: u16 = 1;
    /// First number, 8 bytes, and how many, 1 byte. \[U\] not padded.
    pub(crate) const LEN: usize = 9;
    pub(crate) const COUNT_MAX: u64 = 255;
}
