//! What USD-M futures do otherwise than spot, or beside it. Decoding, signing, limits, splicing, reconciliation and
//! the links' upkeep are shared.
//!
//! ```text
//! link 2 orders   WebSocket API: logon, orders; modify takes the whole of an order        entry
//! link 3 user     opened by a listen key: our orders, fills, balances, positions          user, account
//! link 4 cancels  REST that waits behind nothing: cancel all, the dead man's switch       switch
//! link 5 batches  new orders of one decision, where the configuration asks for it         batch
//!
//! links 2 and 3 ready → LoggedIn; the end of 3 ends 2
//! ```
//! Conditional orders (the algo endpoint, -4120) are not ours; the account is in one-way mode.
//! Source: venue page, section 9, read 2026-11-22.

pub(crate) mod account;
pub(crate) mod batch;
pub(crate) mod entry;
pub(crate) mod income;
pub(crate) mod reject;
pub(crate) mod switch;
pub(crate) mod user;

use crate::session::SECOND_NS;
use dp_types::{Decimal, Side};
use dp_venue_api::{BatchNew, Capabilities, EntryLink, Latest, Positions, SingleOrders};

pub use batch::BATCH_MAX;
pub use switch::{DEAD_MAN_REARM_S, DEAD_MAN_TIMES};

/// What the venue offers on USD-M futures and we use.
pub const CAPABILITIES: Capabilities = Capabilities {
    entry: EntryLink::WebSocket,
    amend_price: true,
    amend_qty: true,
    amend_reduce_only: false,
    cancel_all: true,
    batch: false, // one request cancels everything of a symbol
    batch_new: BatchNew::Rest,
    dead_man_switch: true,
    market: true,
    ioc: true,
    fok: true,
    post_only: true,
    validity_window: true,
    book_checksum: false,
    book_depth: 0,
    single_orders: SingleOrders::None,
    positions: Positions::Listed,
};

/// The venue pings every 3 min: the user stream may be silent that long, and the two that answer are asked.
pub(crate) const USER_SILENCE_NS: u64 = (3 * 60 + 30) * SECOND_NS;
/// How often market data and the order link are asked for a sign of life. The venue takes 10 messages a second [U].
pub(crate) const PROBE_NS: u64 = 20 * SECOND_NS;
/// Proof of life of market data: the answer lists the streams.
pub(crate) const STREAMS_PROBE: &[u8] = br#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#;

/// The terms of an order that a change of it tells anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) side: Side,
    pub(crate) price: Decimal,
    pub(crate) qty: Decimal,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            side: Side::Buy,
            price: Decimal::ZERO,
            qty: Decimal::ZERO,
        }
    }
}

/// What a session with the futures keeps beside what spot's keeps.
#[derive(Debug, Default)]
pub(crate) struct Futures {
    pub(crate) user: user::User,
    pub(crate) switch: switch::Switch,
    pub(crate) terms: Latest<Terms>,
    pub(crate) is_cancels_open: bool,
    /// `None`: the configuration does not ask for them.
    pub(crate) batches: Option<batch::Batches>,
    /// Funding payments.
    pub(crate) income: income::Income,
    /// When the links that answer are asked for a sign of life.
    pub(crate) probe_at: Option<dp_types::UnixNanos>,
}
