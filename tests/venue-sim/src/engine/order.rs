//! What an order is, what can happen to it, and why it may be refused: no behaviour here.

use std::sync::Arc;

/// Money and quantities of assets: 10^-12 of the asset's unit, for every asset alike.
pub type Amount = i128;
/// One whole unit of an asset.
pub const UNIT: Amount = 1_000_000_000_000;

/// An account, dense from 0; [`MARKET`] is everybody else.
pub type AccountId = usize;
/// The account of all other traders: its balances may go below zero, so that money is conserved.
pub const MARKET: AccountId = 0;

/// Buy or sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Bids.
    Buy,
    /// Offers.
    Sell,
}

impl Side {
    /// The other one.
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

/// How long what cannot be filled at once lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tif {
    /// Rests in the book.
    Gtc,
    /// The remainder is cancelled.
    Ioc,
    /// All of it at once or nothing.
    Fok,
}

/// Whether an order may take liquidity, and how the venue says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostOnly {
    /// It may take.
    No,
    /// A crossing order is refused.
    Refuse,
    /// A crossing order is accepted, then cancelled.
    AcceptThenCancel,
}

/// How much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Base quantity in the instrument's increments.
    Base(i64),
    /// A budget in the quote asset; market orders only.
    Quote(Amount),
}

/// A request for a new order.
#[derive(Debug, Clone)]
pub struct NewOrder {
    /// Whose.
    pub account: AccountId,
    /// Index of the instrument.
    pub inst: usize,
    /// Side.
    pub side: Side,
    /// Limit price in increments; `None` is a market order.
    pub price: Option<i64>,
    /// How much.
    pub size: Size,
    /// Life.
    pub tif: Tif,
    /// May it take.
    pub post_only: PostOnly,
    /// The client's name for it; empty for none.
    pub client_id: Arc<str>,
    /// The venue's word for its type, kept for its answers (`LIMIT_MAKER`, `post_only`).
    pub type_name: &'static str,
    /// Anything else the venue echoes (a tag, a self-trade mode).
    pub echo: Arc<str>,
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Working, nothing done.
    Live,
    /// Working, partly done.
    Partial,
    /// Done.
    Filled,
    /// Ended before it was done.
    Canceled(Cause),
}

impl State {
    /// Whether it is in the book.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Live | Self::Partial)
    }
}

/// Why an order ended unfilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The client asked.
    User,
    /// A cancel of everything the client asked for.
    CancelAll,
    /// Replaced by a new one.
    Replaced,
    /// Nothing left to take: the IOC or market remainder.
    Ioc,
    /// Could not be filled whole at once.
    Fok,
    /// Post-only and it would have taken.
    PostOnly,
    /// It met an order of its own account.
    SelfTrade,
    /// The dead man's switch.
    DeadMan,
}

/// An order as the venue knows it.
#[derive(Debug, Clone)]
pub struct Order {
    /// The venue's id.
    pub id: u64,
    /// What was asked.
    pub ask: NewOrder,
    /// Base quantity in increments (0 while a quote budget has bought nothing).
    pub qty: i64,
    /// Done, in increments.
    pub cum: i64,
    /// Quote paid or received so far.
    pub cum_quote: Amount,
    /// Fees so far, in the asset received.
    pub fee: Amount,
    /// Still held in the ledger for it, in the asset it pays with.
    pub held: Amount,
    /// State.
    pub state: State,
    /// Accepted at, virtual nanoseconds.
    pub created_ns: u64,
    /// Last change, virtual nanoseconds.
    pub updated_ns: u64,
    /// The last fill.
    pub last: Option<Fill>,
}

impl Order {
    /// What remains, in increments.
    pub const fn leaves(&self) -> i64 {
        self.qty - self.cum
    }
}

/// One side of one execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// The trade's id.
    pub trade: u64,
    /// Price in increments.
    pub price: i64,
    /// Quantity in increments.
    pub qty: i64,
    /// Fee in the asset received.
    pub fee: Amount,
    /// Whether this side rested in the book.
    pub is_maker: bool,
    /// When, virtual nanoseconds.
    pub at_ns: u64,
}

/// A public trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trade {
    /// Id, rising by one within the venue.
    pub id: u64,
    /// Index of the instrument.
    pub inst: usize,
    /// Price in increments.
    pub price: i64,
    /// Quantity in increments.
    pub qty: i64,
    /// Side of the taker.
    pub taker: Side,
    /// The taker's order: trades of one order are aggregated by it.
    pub taker_order: u64,
    /// The order that rested.
    pub maker_order: u64,
    /// When, virtual nanoseconds.
    pub at_ns: u64,
}

/// What happened to a client's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Accepted.
    New,
    /// Filled, wholly or in part.
    Fill(Fill),
    /// Ended.
    Canceled(Cause),
    /// Changed in place.
    Amended,
}

/// What the engine tells its face, in the order it happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The total at a price changed.
    Level {
        /// Index of the instrument.
        inst: usize,
        /// Side.
        side: Side,
        /// Price in increments.
        price: i64,
        /// New total, 0 when the level is gone.
        qty: i64,
        /// The one order that changed it.
        order: u64,
        /// What that order has left in the book, 0 when it is gone.
        leaves: i64,
        /// The instrument's update id after this change.
        update_id: u64,
    },
    /// A trade printed.
    Trade(Trade),
    /// A client's order changed; the order is a copy as it stood right after.
    Order(Box<Order>, What),
}

/// Why the engine refuses. The face puts it in the venue's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not enough free balance.
    #[error("insufficient balance")]
    Balance,
    /// Post-only and it would take.
    #[error("would take liquidity")]
    WouldTake,
    /// The client id is in use by an open order.
    #[error("duplicate client order id")]
    Duplicate,
    /// No such open order.
    #[error("unknown order")]
    Unknown,
    /// The amendment is not allowed.
    #[error("amendment not allowed")]
    Amend,
    /// A product left the range of its integer.
    #[error("value out of range")]
    Overflow,
}
