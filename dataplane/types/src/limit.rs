//! Every maximum, with the sum it came from. A loop, queue or table elsewhere names one of these.

/// Instruments one node follows: ten venues, 64 each, rounded up to a power of two.
pub const INSTRUMENTS_MAX: usize = 1024;
/// Assets in the node's table.
pub const ASSETS_MAX: usize = 256;
/// Currencies whose exposure may be limited, each by itself.
pub const CURRENCY_LIMITS_MAX: usize = 16;
/// Lanes that may send orders: [`crate::ClientOrderId::LANE_BITS`] bits.
pub const LANES_MAX: usize = 16;
/// Strategies with a line of their own in shared memory: four a lane.
pub const STRATEGIES_MAX: usize = 64;
/// Connections that bring the same market data of a venue: the venue's own and up to three beside it.
pub const FEEDS_MAX: usize = 4;
/// Levels one depth message may carry a side. Binance's largest snapshot has 5,000.
pub const MSG_LEVELS_MAX: usize = 5_000;
/// Levels a book keeps a side: a 5,000-level snapshot and the deltas beside it. Deeper ones are
/// dropped and counted.
pub const BOOK_LEVELS_MAX: usize = 8_192;
/// Depth messages kept while a snapshot is fetched: 10 a second for 25 s.
pub const SPLICE_MSGS_MAX: usize = 256;
/// Levels kept in those messages altogether, both sides.
pub const SPLICE_LEVELS_MAX: usize = 65_536;
/// Messages about single orders kept while their book is fetched: a thousand a second for a minute.
pub const SPLICE_ORDERS_MAX: usize = 65_536;
/// Orders a book of single orders has room for, if the configuration names no other number: the largest books have
/// tens of thousands.
pub const ORDERS_MAX: usize = 1 << 17;
/// The most it may name: 170 bytes an order, so 170 MiB an instrument.
pub const ORDERS_MAX_MAX: usize = 1 << 20;
/// Orders of one lane that are not final.
pub const LIVE_ORDERS_MAX: usize = 4_096;
/// One WebSocket message, after reassembly. Coinbase pushes whole books: tens of thousands of levels of 26 bytes for
/// BTC-USD, over 1 MiB (other clients raise their limits for it); four times that is room for a bad day.
pub const WS_MSG_MAX: usize = 4 << 20;
/// One HTTP response body. `exchangeInfo` of all symbols is near 12 MiB; we ask for ours only.
pub const HTTP_BODY_MAX: usize = 16 << 20;
/// One HTTP head (status line and fields).
pub const HTTP_HEAD_MAX: usize = 16 << 10;
/// One line of an HTTP answer that goes on, bytes: a price with hundreds of levels a side.
pub const HTTP_LINE_MAX: usize = 32 << 10;

const _: () = assert!(BOOK_LEVELS_MAX > MSG_LEVELS_MAX);
const _: () = assert!(ORDERS_MAX <= ORDERS_MAX_MAX);
const _: () = assert!(SPLICE_LEVELS_MAX >= 2 * MSG_LEVELS_MAX);
const _: () = assert!(LANES_MAX == 1 << crate::ClientOrderId::LANE_BITS);
