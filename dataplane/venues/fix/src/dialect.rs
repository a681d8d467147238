//! What differs between venues that speak FIX, as data, and what does not, as functions for all.

use dp_types::{ClientOrderId, OrderId, RejectReason, TradeId, VenueId};
use dp_wire::buf::Buf;
use dp_wire::digits::Digits;
use dp_wire::ids::parse_base36;

/// Room for a ClOrdID (11): a UUID.
pub type Name = Buf<40>;

/// A venue's way to speak FIX.
#[derive(Debug, Clone)]
pub struct Dialect {
    /// Whose.
    pub venue: VenueId,
    /// Writes the ClOrdID (11) of an order, or of a later request about it (its number above 0).
    pub name: fn(ClientOrderId, u16, &mut Name),
    /// The inverse; `None` when it is not one of ours.
    pub parse_name: fn(&[u8]) -> Option<(ClientOrderId, u16)>,
    /// The venue's id of an order (37).
    pub order_id: fn(&[u8]) -> Option<OrderId>,
    /// The venue's id of a trade, of [`Dialect::trade_tags`].
    pub trade_id: fn(&[u8]) -> Option<TradeId>,
    /// Where that stands: the first that is there.
    pub trade_tags: &'static [u32],
    /// Our name for a refusal: the venue's own code (0 where it has none), and its words (58). Total.
    pub reason: fn(i32, &str) -> RejectReason,
    /// ExecInst (18) of an order that must not take.
    pub post_only: &'static str,
    /// More fields of every new order, tag and value.
    pub new_fields: &'static [(u32, &'static str)],
    /// Cancels repeat side and quantity, as FIX 4.4 wants it.
    pub is_strict: bool,
    /// Requests about an order bear its own name (11) and the venue's (41), instead of a name of theirs and its name.
    pub is_swapped: bool,
    /// Type of an amend: `G` where the venue has the usual one.
    pub amend: Option<&'static str>,
    /// Which fills count.
    pub fills: Fills,
    /// What the quantities of reports are in. Those of requests are units: [`Dialect::new_fields`] says so.
    pub sizes: Sizes,
    /// Requests a second, and at once.
    pub rate: (u64, u32),
}

/// Which of the fills that reports tell are told on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fills {
    /// All: nobody else tells them.
    All,
    /// Those with a fee: the venue's other road tells them too, under the same trade ids.
    WithFee,
    /// None: the other road tells them, and whether the trade ids are the same is not known.
    Elsewhere,
}

/// A venue's way to tell market data over FIX.
#[derive(Debug, Clone, Copy)]
pub struct MarketDialect {
    /// What is asked for of an instrument, a request each.
    pub asks: &'static [MarketAsk],
    /// What an entry of a book is.
    pub entries: Entries,
}

/// A request for market data.
#[derive(Debug, Clone, Copy)]
pub struct MarketAsk {
    /// Fields beside id, kind and symbol: depth and the like, tag and value.
    pub fields: &'static [(u32, &'static str)],
    /// Kinds of entries (269); none: the venue sends what it has.
    pub kinds: &'static [u64],
}

/// What the entries of a book are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entries {
    /// Levels: [`crate::market`].
    Levels(Levels),
    /// Single orders: [`crate::singles`].
    Orders,
}

/// How a venue writes levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// Where the side that took stands, of a trade.
    pub taker: u32,
    /// What sizes are in.
    pub sizes: Sizes,
    /// What says that no change is missing.
    pub chain: Chained,
    /// Numbers are printed as short as they go, and count as with the instrument's digits; prices with so many fewer.
    /// `None`: as they are printed.
    pub padded: Option<u8>,
}

impl Levels {
    /// As FIX has it.
    pub const PLAIN: Self = Self {
        taker: 2446,
        sizes: Sizes::Units,
        chain: Chained::AsTold,
        padded: None,
    };
}

/// What sizes are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// The instrument's quantity.
    Units,
    /// Contracts; how much one is stands in each message before its entries (231).
    Contracts,
}

/// What says that no change of a book is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chained {
    /// Numbers of the venue's or its checksums, where it has them; else nothing is told.
    AsTold,
    /// The session's own numbers: each message of an instrument follows the one of it before.
    Session,
}

/// Divides our id from the number of a request in a name.
const DIVIDER: u8 = b'-';

/// Appends a name: a prefix, our id in base 36, and the number of a request behind a dash where it has one.
pub fn push_name(prefix: &[u8], id: ClientOrderId, number: u16, out: &mut Name) {
    out.push_bytes(prefix);
    out.push_bytes(Digits::base36(id.0).as_bytes());
    if number > 0 {
        out.push(DIVIDER);
        out.push_bytes(Digits::base36(number.into()).as_bytes());
    }
}

/// The inverse of [`push_name`], by the venue's way to read a name without a number.
pub fn parse_name(
    name: &[u8],
    parse: impl Fn(&[u8]) -> Option<ClientOrderId>,
) -> Option<(ClientOrderId, u16)> {
    if let Some(id) = parse(name) {
        return Some((id, 0));
    }
    let at = name.iter().rposition(|byte| *byte == DIVIDER)?;
    let (text, number) = (name.get(..at)?, name.get(at + 1..)?);
    let number = u16::try_from(parse_base36(number)?).ok()?;
    Some((parse(text)?, number)).filter(|_| number > 0)
}

/// What OrdRejReason (103) and the like mean where a venue has no code of its own. Total.
pub const fn reason_of_103(code: i32) -> RejectReason {
    match code {
        1 => RejectReason::BadSymbol,
        2 => RejectReason::VenueDown,
        3 => RejectReason::InsufficientFunds,
        5 => RejectReason::UnknownOrder,
        6 => RejectReason::DuplicateId,
        8 => RejectReason::Timestamp,
        11 | 13 | 15 | 18 => RejectReason::Invalid,
        16 => RejectReason::PriceBand,
        _ => RejectReason::Other,
    }
}
