//! What goes over the rings between lanes: fixed sizes, moved by value, nothing borrowed.

use crate::desk::{Fact, Outcome, VenueLinks};
use crate::engine::Action;
use dp_shm::spsc::{self, Receiver, Sender, TooSmall};
use dp_transport::{Arena, ArenaError, HUGE_PAGE_BYTES, Pages};
use dp_types::{
    Balance, BookMsg, BookMsgKind, CancelOrder, FillReport, FundingReport, Instrument,
    InstrumentId, OrderReport, PositionReport, QuoteMsg, RawLevel, TradeMsg, Tsc, UnixNanos,
    VenueId, VenueNanos,
};
use dp_venue_api::RequestAck;

/// Values of the ring to the engine: a snapshot of 5,000 levels a side is 2,001 of them.
pub const TOLD_SLOTS: usize = 1 << 14;
/// Room of it that market data leaves to reports and facts.
pub const PRIVATE_SLOTS: u64 = TOLD_SLOTS as u64 / 2;
/// Values of the ring from the engine.
pub const ERRAND_SLOTS: usize = 1 << 14;
/// Room of it that new orders and amends leave to cancels: every live order once, and again in a list.
pub const CANCEL_SLOTS: u64 = ERRAND_SLOTS as u64 / 2;
/// Levels in one value.
pub const LEVELS: usize = 5;

const _: () = assert!(CANCEL_SLOTS as usize >= 2 * dp_types::limit::LIVE_ORDERS_MAX);
const _: () = assert!(
    PRIVATE_SLOTS as usize > 1 + 2 * dp_types::limit::MSG_LEVELS_MAX.div_ceil(LEVELS),
    "the largest snapshot fits beside what is kept free"
);
const _: () = assert!(size_of::<Told>() <= 192 && size_of::<Errand>() <= 128);

/// When the bytes of a message came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arrival {
    /// On the clock of the lane that took them.
    pub unix: UnixNanos,
    /// In TSC cycles, which are one count on all cores.
    pub tsc: Tsc,
    /// Which of the feeds that bring the venue's market data they came by.
    pub feed: u8,
}

/// A depth message without its levels, which follow it: bids, then asks, each in [`LEVELS`] a value.
#[derive(Debug, Clone, Copy)]
pub struct BookHead {
    instrument: InstrumentId,
    kind: BookMsgKind,
    checksum: Option<u32>,
    first_id: i64,
    last_id: i64,
    prev_id: i64,
    venue_ns: VenueNanos,
    /// Levels of the bids.
    pub bids: u32,
    /// Levels of the asks.
    pub asks: u32,
}

impl BookHead {
    /// The head of a message.
    #[inline]
    pub const fn of(msg: &BookMsg<'_>) -> Self {
        Self {
            instrument: msg.instrument,
            kind: msg.kind,
            checksum: msg.checksum,
            first_id: msg.first_id,
            last_id: msg.last_id,
            prev_id: msg.prev_id,
            venue_ns: msg.venue_ns,
            bids: msg.bids.len() as u32,
            asks: msg.asks.len() as u32,
        }
    }

    /// The message again.
    #[inline]
    pub const fn with<'a>(&self, bids: &'a [RawLevel], asks: &'a [RawLevel]) -> BookMsg<'a> {
        BookMsg {
            instrument: self.instrument,
            kind: self.kind,
            first_id: self.first_id,
            last_id: self.last_id,
            prev_id: self.prev_id,
            checksum: self.checksum,
            bids,
            asks,
            venue_ns: self.venue_ns,
        }
    }

    /// Whose book.
    pub const fn instrument(&self) -> InstrumentId {
        self.instrument
    }
}

/// From a feed or gateway to the engine.
#[derive(Debug, Clone, Copy)]
pub enum Told {
    /// A depth message; its levels follow at once, published with it.
    Book(BookHead, Arrival),
    /// Levels of the message before.
    Levels([RawLevel; LEVELS]),
    /// A public trade.
    Trade(TradeMsg, Arrival),
    /// A best quote.
    Quote(QuoteMsg, Arrival),
    /// Depth messages of this book were lost, from this feed.
    BookLost(InstrumentId, u8),
    /// About one of our orders.
    Order(OrderReport, Tsc),
    /// An execution.
    Fill(FillReport, Tsc),
    /// A position by the venue's word.
    Position(PositionReport, Tsc),
    /// A balance by the venue's word.
    Balance(Balance, Tsc),
    /// A funding payment.
    Funding(FundingReport, Tsc),
    /// An answer to a request.
    Ack(RequestAck, Tsc),
    /// What befell a venue's links.
    Fact(VenueId, Fact),
    /// What became of an errand.
    Outcome(Outcome),
    /// Rules of an instrument.
    Instrument(Instrument),
    /// All of a venue's have been told.
    Known(VenueId),
    /// How a venue's links stand.
    Links(VenueLinks),
}

/// From the engine to a feed or gateway. A cleared order moves through; it cannot be made there, nor doubled.
#[derive(Debug)]
pub enum Errand {
    /// Carry this out.
    Do {
        /// What.
        action: Action,
        /// When the bytes came in that caused it.
        arrived: Tsc,
        /// Beyond it a new order or amend is held back: the book it was decided on would be too old.
        good_until: UnixNanos,
    },
    /// An order that the next [`Action::CancelAll`] is about.
    Live(CancelOrder),
}

/// Why rings could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// No memory.
    #[error(transparent)]
    Memory(#[from] ArenaError),
    /// Too little of it.
    #[error(transparent)]
    Size(#[from] TooSmall),
}

/// Both rings between a feed or gateway lane and its engine's lane.
#[derive(Debug)]
pub struct Rings {
    /// The remote lane's ends.
    pub remote: (Sender<Told>, Receiver<Errand>),
    /// The engine lane's ends.
    pub engine: (Receiver<Told>, Sender<Errand>),
    /// What the ring the engine reads is on.
    pub pages: Pages,
    /// The memory node it is on, where the kernel says.
    pub node: Option<u16>,
}

impl Rings {
    /// Bytes of the ring an engine reads, whole pages.
    pub const TOLD_BYTES: u64 =
        spsc::bytes::<Told>(TOLD_SLOTS).next_multiple_of(HUGE_PAGE_BYTES) as u64;
    /// Bytes of the ring a feed or gateway reads, whole pages.
    pub const ERRAND_BYTES: u64 =
        spsc::bytes::<Errand>(ERRAND_SLOTS).next_multiple_of(HUGE_PAGE_BYTES) as u64;

    /// Rings on huge pages where there are any, each on the memory node of whoever reads it. Errors:
    /// [`RingError`].
    pub fn on_nodes(engine: Option<u16>, remote: Option<u16>) -> Result<Self, RingError> {
        let told = Arena::on_node(spsc::bytes::<Told>(TOLD_SLOTS), engine)?;
        let errands = Arena::on_node(spsc::bytes::<Errand>(ERRAND_SLOTS), remote)?;
        let (pages, node) = (told.pages(), told.node());
        let (tell, hear) = spsc::ring(told, TOLD_SLOTS)?;
        let (send, take) = spsc::ring(errands, ERRAND_SLOTS)?;
        Ok(Self {
            remote: (tell, take),
            engine: (hear, send),
            pages,
            node,
        })
    }
}
