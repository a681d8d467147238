//! Orders as every crate names them: side, kind, TIF, states, reports, reasons.

use crate::{
    AssetId, ClientOrderId, Decimal, InstrumentId, Notional, OrderId, Price, Qty, TradeId, VenueId,
    VenueNanos,
};

/// Side of an order or of a trade's aggressor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Side {
    /// Buys the base asset.
    Buy = 1,
    /// Sells the base asset.
    Sell = 2,
}

impl Side {
    /// The other side.
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// +1 for a buy, -1 for a sell.
    pub const fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }

    /// Whether an order of this side at `price` stands no further from the market than one at `than`.
    pub const fn is_as_good(self, price: Price, than: Price) -> bool {
        match self {
            Self::Buy => price.0 >= than.0,
            Self::Sell => price.0 <= than.0,
        }
    }

    /// The word in the database and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }

    /// From the number on disk.
    pub const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            1 => Some(Self::Buy),
            2 => Some(Self::Sell),
            _ => None,
        }
    }
}

/// What an order does when it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum OrderKind {
    /// Trades up to its price, the rest follows the TIF.
    Limit = 1,
    /// Rests or is refused; never takes.
    PostOnly = 2,
    /// Takes whatever is there; price is not looked at.
    Market = 3,
}

impl OrderKind {
    /// The word in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::PostOnly => "post_only",
            Self::Market => "market",
        }
    }

    /// From the number on disk.
    pub const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            1 => Some(Self::Limit),
            2 => Some(Self::PostOnly),
            3 => Some(Self::Market),
            _ => None,
        }
    }
}

/// Life of an order (FIX 59).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Tif {
    /// Until cancelled.
    Gtc = 1,
    /// Immediate or cancel.
    Ioc = 2,
    /// Fill or kill.
    Fok = 3,
}

impl Tif {
    /// The word in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gtc => "gtc",
            Self::Ioc => "ioc",
            Self::Fok => "fok",
        }
    }

    /// From the number on disk.
    pub const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            1 => Some(Self::Gtc),
            2 => Some(Self::Ioc),
            3 => Some(Self::Fok),
            _ => None,
        }
    }
}

/// Where an order stands. The transitions are the OMS's (`dp-oms`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum OrderState {
    /// Made, not yet written to the venue.
    New = 1,
    /// Written, no answer yet.
    Pending = 2,
    /// The venue has it on its book.
    Ack = 3,
    /// Some of it is done.
    PartiallyFilled = 4,
    /// All of it is done. Final.
    Filled = 5,
    /// Taken off the book, by us or by the venue. Final.
    Cancelled = 6,
    /// Refused by the venue. Final.
    Rejected = 7,
    /// Ended by its own terms (IOC or FOK remainder, price band, session end). Final.
    Expired = 8,
    /// No answer came, or one that settles nothing: only the venue can tell. Never resent.
    Unknown = 9,
}

impl OrderState {
    /// Every state, in the order of the numbers.
    pub const ALL: [Self; 9] = [
        Self::New,
        Self::Pending,
        Self::Ack,
        Self::PartiallyFilled,
        Self::Filled,
        Self::Cancelled,
        Self::Rejected,
        Self::Expired,
        Self::Unknown,
    ];

    /// Whether nothing can follow.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Filled | Self::Cancelled | Self::Rejected | Self::Expired
        )
    }

    /// The word in the database and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::Pending => "PENDING",
            Self::Ack => "ACK",
            Self::PartiallyFilled => "PARTIALLY_FILLED",
            Self::Filled => "FILLED",
            Self::Cancelled => "CANCELLED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// From the number on disk.
    pub const fn from_raw(raw: u8) -> Option<Self> {
        if raw >= 1 && raw <= 9 {
            Some(Self::ALL[raw as usize - 1])
        } else {
            None
        }
    }
}

/// Who made the price of a fill (FIX 851).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Liquidity {
    /// The venue did not say.
    #[default]
    None = 0,
    /// Our order rested.
    Maker = 1,
    /// Our order took.
    Taker = 2,
}

impl Liquidity {
    /// The word in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Maker => "maker",
            Self::Taker => "taker",
        }
    }

    /// From the number on disk.
    pub const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::None),
            1 => Some(Self::Maker),
            2 => Some(Self::Taker),
            _ => None,
        }
    }
}

/// Why an order or request was refused, one list for ten venues (FIX 103).
/// Source: venues/README section 9; each venue's `reject.rs` maps its codes totally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum RejectReason {
    /// Not refused.
    #[default]
    None = 0,
    /// Not enough of the asset.
    InsufficientFunds = 1,
    /// Too many requests or orders.
    RateLimit = 2,
    /// The venue has no such live order.
    UnknownOrder = 3,
    /// The client order id is in use.
    DuplicateId = 4,
    /// A post-only order would have taken.
    PostOnlyCross = 5,
    /// Tick, lot, notional or another parameter is wrong.
    Invalid = 6,
    /// Outside the venue's price band.
    PriceBand = 7,
    /// No such symbol, or it does not trade now.
    BadSymbol = 8,
    /// The key may not do this.
    Permission = 9,
    /// Key, signature or login refused.
    Auth = 10,
    /// Our clock is outside the venue's window, or the order's validity lapsed.
    Timestamp = 11,
    /// The venue is down or overloaded; nothing was done.
    VenueDown = 12,
    /// Whether it was done is not known: ask before deciding.
    UnknownOutcome = 13,
    /// A code we have no name for; counted, and treated as refused.
    Other = 14,
}

impl RejectReason {
    /// The word in the database and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::InsufficientFunds => "insufficient_funds",
            Self::RateLimit => "rate_limit",
            Self::UnknownOrder => "unknown_order",
            Self::DuplicateId => "duplicate_id",
            Self::PostOnlyCross => "post_only_cross",
            Self::Invalid => "invalid",
            Self::PriceBand => "price_band",
            Self::BadSymbol => "bad_symbol",
            Self::Permission => "permission",
            Self::Auth => "auth",
            Self::Timestamp => "timestamp",
            Self::VenueDown => "venue_down",
            Self::UnknownOutcome => "unknown_outcome",
            Self::Other => "other",
        }
    }

    /// From the number on disk.
    pub const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::None),
            1 => Some(Self::InsufficientFunds),
            2 => Some(Self::RateLimit),
            3 => Some(Self::UnknownOrder),
            4 => Some(Self::DuplicateId),
            5 => Some(Self::PostOnlyCross),
            6 => Some(Self::Invalid),
            7 => Some(Self::PriceBand),
            8 => Some(Self::BadSymbol),
            9 => Some(Self::Permission),
            10 => Some(Self::Auth),
            11 => Some(Self::Timestamp),
            12 => Some(Self::VenueDown),
            13 => Some(Self::UnknownOutcome),
            14 => Some(Self::Other),
            _ => None,
        }
    }
}

/// A new order, already passed by the risk gate and named by the OMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewOrder {
    /// What to trade.
    pub instrument: InstrumentId,
    /// Our id.
    pub client_id: ClientOrderId,
    /// Side.
    pub side: Side,
    /// Kind.
    pub kind: OrderKind,
    /// Life.
    pub tif: Tif,
    /// Limit price in increments; ignored for [`OrderKind::Market`].
    pub price: Price,
    /// Quantity in increments.
    pub qty: Qty,
}

/// A change of a live order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AmendOrder {
    /// What is traded.
    pub instrument: InstrumentId,
    /// Our id.
    pub client_id: ClientOrderId,
    /// The venue's id, 0 when not known yet.
    pub order_id: OrderId,
    /// New price; `None` = unchanged.
    pub price: Option<Price>,
    /// New total quantity; `None` = unchanged.
    pub qty: Option<Qty>,
}

/// A cancel of a live order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelOrder {
    /// What is traded.
    pub instrument: InstrumentId,
    /// Our id.
    pub client_id: ClientOrderId,
    /// The venue's id, 0 when not known yet.
    pub order_id: OrderId,
}

/// One of our orders that is not final, as strategies and recovery see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveOrder {
    /// What is traded.
    pub instrument: InstrumentId,
    /// Our id.
    pub client_id: ClientOrderId,
    /// The venue's id, 0 when not known yet.
    pub order_id: OrderId,
    /// Side.
    pub side: Side,
    /// Where it stands.
    pub state: OrderState,
    /// Limit price in increments.
    pub price: Price,
    /// What is left of it (FIX 151), in increments.
    pub leaves: Qty,
    /// A cancel is on its way.
    pub is_cancelling: bool,
    /// An amend is on its way: price and quantity are those before it.
    pub is_amending: bool,
}

/// What a venue says of one of our orders (exec report, FIX 150), from a reply, a stream or a query.
///
/// `state` is what the evidence shows (`venues/*.md`, state mapping): Ack, PartiallyFilled, Filled,
/// Cancelled, Rejected, Expired or Unknown; never New or Pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderReport {
    /// What is traded.
    pub instrument: InstrumentId,
    /// Our id; `None` when the order is not one of ours.
    pub client_id: Option<ClientOrderId>,
    /// The venue's id; 0 when the report has none.
    pub order_id: OrderId,
    /// Side, where the report says it.
    pub side: Option<Side>,
    /// What the evidence shows.
    pub state: OrderState,
    /// Why, when rejected or cancelled by the venue.
    pub reason: RejectReason,
    /// Order price now, where given.
    pub price: Option<Decimal>,
    /// Order quantity now, where given.
    pub qty: Option<Decimal>,
    /// Done so far (FIX 14), where given.
    pub cum: Option<Decimal>,
    /// Venue time.
    pub venue_ns: VenueNanos,
}

/// One execution of one of our orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillReport {
    /// What was traded.
    pub instrument: InstrumentId,
    /// Our id; `None` when the order is not one of ours.
    pub client_id: Option<ClientOrderId>,
    /// The venue's order id.
    pub order_id: OrderId,
    /// The execution's id: fills are counted once per (venue, instrument, trade id).
    pub trade_id: TradeId,
    /// Our side.
    pub side: Side,
    /// Price, exact.
    pub price: Decimal,
    /// Quantity, exact, above 0.
    pub qty: Decimal,
    /// What of the order is done after it, where the venue says so beside the fill (streams do, lists of
    /// trades do not).
    pub cum: Option<Decimal>,
    /// Fee charged (positive) or rebate (negative), in `fee_asset`.
    pub fee: Decimal,
    /// What the fee was paid in.
    pub fee_asset: AssetId,
    /// Maker or taker.
    pub liquidity: Liquidity,
    /// Venue time.
    pub venue_ns: VenueNanos,
}

/// A position the venue says we hold in a derivative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionReport {
    /// In what.
    pub instrument: InstrumentId,
    /// In the venue's own unit (contracts or base asset); short is negative, 0 is flat.
    pub qty: Decimal,
    /// Average entry price, if told.
    pub entry: Option<Decimal>,
    /// Venue time.
    pub venue_ns: VenueNanos,
}

/// A funding payment between a venue and our account, for a derivative we held.
///
/// Venues tell one again (after a reconnect, in lists): it counts once per (instrument, id).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FundingReport {
    /// For holding what.
    pub instrument: InstrumentId,
    /// Which payment, packed like the id of an execution; where the venue names none, the time it was due.
    pub id: TradeId,
    /// What was paid to us; below 0 we paid.
    pub amount: Decimal,
    /// In what.
    pub asset: AssetId,
    /// Venue time.
    pub venue_ns: VenueNanos,
}

/// An account balance of one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Where.
    pub venue: VenueId,
    /// The asset; `NONE` when it is not in our table.
    pub asset: AssetId,
    /// Free to use.
    pub free: Decimal,
    /// Held by open orders.
    pub locked: Decimal,
}

/// What two orders on two instruments made, with all that hedged them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairResult {
    /// What was both bought and sold, 10⁻¹² base units.
    pub base: i128,
    /// Average price bought at, 10⁻¹² quote units.
    pub bought_at: Notional,
    /// Average price sold at, 10⁻¹² quote units.
    pub sold_at: Notional,
    /// What its fills were charged, 10⁻¹² quote units; below 0: paid to us.
    pub fees: Notional,
    /// Fills whose fee was in an asset without a price there: not in `fees`, nor in `net`.
    pub fees_unknown: u32,
    /// What it made after `fees`, 10⁻¹² quote units.
    pub net: Notional,
    /// Orders that were wished for because one leg got more than the other.
    pub hedges: u32,
}
