//! What a venue offers, as data: the README's capability matrix is generated from it.

/// Where orders go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryLink {
    /// WebSocket requests on the private link.
    WebSocket,
    /// REST only.
    Rest,
    /// A FIX session.
    Fix,
    /// Nowhere: the venue is prices alone.
    None,
}

/// Whether a venue shows the single orders of its books, to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SingleOrders {
    /// It does not, or we do not follow them.
    None,
    /// To everybody.
    Public,
    /// To whoever has keys.
    Keyed,
    /// To whoever stands in its data centre: by multicast.
    Multicast,
}

impl SingleOrders {
    /// One word for people and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Public => "public",
            Self::Keyed => "keyed",
            Self::Multicast => "multicast",
        }
    }
}

/// Whether several new orders go in one request ([`crate::Venue::new_orders`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchNew {
    /// Each goes by itself.
    None,
    /// Over the order link, as each by itself would.
    Link,
    /// In a REST request, where the configuration asks for it: a message of the order link is at the book sooner.
    Rest,
}

impl BatchNew {
    /// One word for people and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Link => "link",
            Self::Rest => "rest",
        }
    }
}

/// Whether a venue tells the positions of its derivatives, to be compared with ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// We trade no derivatives there: balances are compared.
    None,
    /// We trade derivatives there and are told no positions: what a fill does not say (a liquidation while the link was
    /// down) is not found.
    Untold,
    /// Each of ours in every comparison, flat ones too.
    Listed,
}

impl Positions {
    /// One word for people and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Untold => "untold",
            Self::Listed => "listed",
        }
    }
}

/// One venue's abilities. `false` means we cannot or do not use it; the venue's README says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Where orders go in.
    pub entry: EntryLink,
    /// Price can be amended in place.
    pub amend_price: bool,
    /// Quantity can be amended in place (`amend_reduce_only`: downwards only).
    pub amend_qty: bool,
    /// Quantity can only be reduced.
    pub amend_reduce_only: bool,
    /// One request cancels all orders of an instrument.
    pub cancel_all: bool,
    /// Several cancels in one request.
    pub batch: bool,
    /// Several new orders in one request ([`crate::Venue::new_orders`]).
    pub batch_new: BatchNew,
    /// The venue cancels our orders when we fall silent.
    pub dead_man_switch: bool,
    /// Market, IOC, FOK.
    pub market: bool,
    /// Immediate or cancel.
    pub ioc: bool,
    /// Fill or kill.
    pub fok: bool,
    /// Post-only.
    pub post_only: bool,
    /// Orders can carry a validity window the venue enforces.
    pub validity_window: bool,
    /// Books carry a checksum today.
    pub book_checksum: bool,
    /// Deepest book the subscribed channel gives a side; 0 = all changes.
    pub book_depth: u16,
    /// Single orders of its books.
    pub single_orders: SingleOrders,
    /// Positions of its derivatives.
    pub positions: Positions,
}
