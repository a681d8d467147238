//! What an operator wants to see at a glance, one twin-slotted line each: positions, books, venues.
//!
//! Writer of a line: the lane that owns the venue. Everything is as of `updated`; nothing here is a
//! command or a limit.

use crate::twin::{Twin, Words, join, split};
use dp_types::{LaneId, Level, Notional, Price, Qty, UnixNanos, VenueId, VenueNanos};

/// One instrument's position. Read it with [`Twin::read`], write it with [`Twin::write`].
pub type PositionLine = Twin<PositionState, 17>;
/// One instrument's best levels. As [`PositionLine`].
pub type BookLine = Twin<BookTop, 11>;
/// One venue's links and login. As [`PositionLine`].
pub type VenueLine = Twin<VenueStatus, 11>;

/// Position and P&L of one instrument since the region was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PositionState {
    /// Net quantity, increments; negative = short.
    pub qty: Qty,
    /// What the open quantity cost (its sign is the position's).
    pub cost: Notional,
    /// P&L of what was closed.
    pub realised: Notional,
    /// P&L of what is open, at `mark`.
    pub unrealised: Notional,
    /// Fees paid, in quote units.
    pub fees: Notional,
    /// Executions counted.
    pub fills: u64,
    /// Price it is valued at, increments.
    pub mark: Price,
    /// Fees taken out of what was bought, in `dp_types::BASE_FEE_PARTS`ths of a quantity increment.
    pub base_fees: i64,
    /// Funding received, in quote units (paid: below 0).
    pub funding: Notional,
    /// The lane that counts it.
    pub lane: LaneId,
    /// One past that lane's last journal record folded in: recovery takes later records from the ring.
    pub journal_seq: u64,
    /// When.
    pub updated: UnixNanos,
}

impl Words<17> for PositionState {
    fn to_words(&self) -> [u64; 17] {
        let [cost, cost_high] = split(self.cost.0);
        let [realised, realised_high] = split(self.realised.0);
        let [unrealised, unrealised_high] = split(self.unrealised.0);
        let [fees, fees_high] = split(self.fees.0);
        let [funding, funding_high] = split(self.funding.0);
        [
            self.qty.0 as u64,
            cost,
            cost_high,
            realised,
            realised_high,
            unrealised,
            unrealised_high,
            fees,
            fees_high,
            self.fills,
            self.mark.0 as u64,
            self.journal_seq,
            self.updated.0,
            u64::from(self.lane.0),
            self.base_fees as u64,
            funding,
            funding_high,
        ]
    }

    fn from_words(words: &[u64; 17]) -> Option<Self> {
        Some(Self {
            qty: Qty(words[0] as i64),
            cost: Notional(join(words[1], words[2])),
            realised: Notional(join(words[3], words[4])),
            unrealised: Notional(join(words[5], words[6])),
            fees: Notional(join(words[7], words[8])),
            fills: words[9],
            mark: Price(words[10] as i64),
            journal_seq: words[11],
            updated: UnixNanos(words[12]),
            lane: LaneId(words[13] as u8),
            base_fees: words[14] as i64,
            funding: Notional(join(words[15], words[16])),
        })
    }
}

/// How far a book can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum BookState {
    /// Nothing received yet.
    #[default]
    Empty = 0,
    /// Waiting for a snapshot to splice with.
    Syncing = 1,
    /// Sequence whole.
    Synced = 2,
    /// A gap, a wrong checksum or silence: not to be traded on.
    Stale = 3,
}

impl BookState {
    /// The word in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Syncing => "syncing",
            Self::Synced => "synced",
            Self::Stale => "stale",
        }
    }

    const fn from_raw(raw: u64) -> Option<Self> {
        match raw {
            0 => Some(Self::Empty),
            1 => Some(Self::Syncing),
            2 => Some(Self::Synced),
            3 => Some(Self::Stale),
            _ => None,
        }
    }
}

/// Best levels of one book. Quantity 0 = that side is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BookTop {
    /// Best bid, increments.
    pub bid_price: Price,
    /// Its quantity.
    pub bid_qty: Qty,
    /// Best ask, increments.
    pub ask_price: Price,
    /// Its quantity.
    pub ask_qty: Qty,
    /// The venue's last update id.
    pub last_update_id: i64,
    /// Levels held on the bid side.
    pub bid_levels: u32,
    /// Levels held on the ask side.
    pub ask_levels: u32,
    /// Whether it can be trusted.
    pub state: BookState,
    /// Depth messages applied.
    pub updates: u64,
    /// When, on our clock.
    pub updated: UnixNanos,
    /// When, on the venue's clock.
    pub venue_ns: VenueNanos,
}

impl BookTop {
    /// Sets both sides from book levels; `None` = the side is empty.
    pub fn set_best(&mut self, bid: Option<Level>, ask: Option<Level>) {
        let parts = |level: Option<Level>| level.map_or((Price(0), Qty(0)), |l| (l.price, l.qty));
        (self.bid_price, self.bid_qty) = parts(bid);
        (self.ask_price, self.ask_qty) = parts(ask);
    }
}

impl Words<11> for BookTop {
    fn to_words(&self) -> [u64; 11] {
        [
            self.bid_price.0 as u64,
            self.bid_qty.0 as u64,
            self.ask_price.0 as u64,
            self.ask_qty.0 as u64,
            self.last_update_id as u64,
            u64::from(self.bid_levels) | u64::from(self.ask_levels) << 32,
            self.state as u64,
            self.updates,
            self.updated.0,
            self.venue_ns.0,
            0,
        ]
    }

    fn from_words(words: &[u64; 11]) -> Option<Self> {
        Some(Self {
            bid_price: Price(words[0] as i64),
            bid_qty: Qty(words[1] as i64),
            ask_price: Price(words[2] as i64),
            ask_qty: Qty(words[3] as i64),
            last_update_id: words[4] as i64,
            bid_levels: words[5] as u32,
            ask_levels: (words[5] >> 32) as u32,
            state: BookState::from_raw(words[6])?,
            updates: words[7],
            updated: UnixNanos(words[8]),
            venue_ns: VenueNanos(words[9]),
        })
    }
}

/// Where one connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum LinkState {
    /// The venue has no such link.
    #[default]
    None = 0,
    /// Waiting to be opened again.
    Down = 1,
    /// TCP connecting.
    Connecting = 2,
    /// TLS or WebSocket handshake.
    Handshaking = 3,
    /// Carries messages.
    Up = 4,
}

impl LinkState {
    /// The word in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Down => "down",
            Self::Connecting => "connecting",
            Self::Handshaking => "handshaking",
            Self::Up => "up",
        }
    }

    const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::None),
            1 => Some(Self::Down),
            2 => Some(Self::Connecting),
            3 => Some(Self::Handshaking),
            4 => Some(Self::Up),
            _ => None,
        }
    }
}

/// One venue as its lane sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VenueStatus {
    /// Which.
    pub venue: VenueId,
    /// The lane that runs it.
    pub lane: LaneId,
    /// By [`dp_types::LinkId`]; the first eight links.
    pub links: [LinkState; 8],
    /// Login accepted: orders may be sent.
    pub is_logged_in: bool,
    /// Open orders were compared with the venue's since the last login.
    pub is_reconciled: bool,
    /// Our orders that are not final or not all of whose fills are known, those of earlier runs included.
    pub open_orders: u32,
    /// Our orders whose outcome is not known.
    pub unknown_orders: u32,
    /// When the last message came.
    pub last_message: UnixNanos,
    /// When the login was accepted; 0 = never.
    pub logged_in: UnixNanos,
    /// The venue stopped us for rate until then; 0 = it did not.
    pub stopped_until: UnixNanos,
    /// When the last comparison of orders with the venue that has ended began; 0 = never.
    pub reconciled: UnixNanos,
    /// Connections opened again since the start.
    pub reconnects: u64,
    /// When this line was written.
    pub updated: UnixNanos,
}

impl Words<11> for VenueStatus {
    fn to_words(&self) -> [u64; 11] {
        let flags = u64::from(self.is_logged_in) | u64::from(self.is_reconciled) << 1;
        [
            u64::from(self.venue.0) | u64::from(self.lane.0) << 8 | flags << 16,
            u64::from_le_bytes(self.links.map(|link| link as u8)),
            u64::from(self.open_orders) | u64::from(self.unknown_orders) << 32,
            self.last_message.0,
            self.logged_in.0,
            self.stopped_until.0,
            self.reconnects,
            self.updated.0,
            self.reconciled.0,
            0,
            0,
        ]
    }

    fn from_words(words: &[u64; 11]) -> Option<Self> {
        let [venue, lane, flags, ..] = words[0].to_le_bytes();
        let mut links = [LinkState::None; 8];
        for (link, raw) in links.iter_mut().zip(words[1].to_le_bytes()) {
            *link = LinkState::from_raw(raw)?;
        }
        Some(Self {
            venue: VenueId(venue),
            lane: LaneId(lane),
            links,
            is_logged_in: flags & 1 != 0,
            is_reconciled: flags & 2 != 0,
            open_orders: words[2] as u32,
            unknown_orders: (words[2] >> 32) as u32,
            last_message: UnixNanos(words[3]),
            logged_in: UnixNanos(words[4]),
            stopped_until: UnixNanos(words[5]),
            reconnects: words[6],
            updated: UnixNanos(words[7]),
            reconciled: UnixNanos(words[8]),
        })
    }
}
