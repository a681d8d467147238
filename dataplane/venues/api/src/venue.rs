//! The [`Venue`] trait, what goes in and what comes out.

use crate::limits::{Budget, Rates};
use crate::{
    Capabilities, DecodeError, Event, Fault, FixSpec, LinkRole, LinkSpec, Registry, RestRequest,
    RestResponse, Secrets, UpgradeField,
};
use core::ops::{Add, Sub};
use dp_types::{
    AmendOrder, CancelOrder, Decimal, InstrumentId, LinkId, NewOrder, Now, OrderId, Text,
    UnixNanos, VenueId,
};
use dp_wire::fix::Message;

/// Where a venue machine's outputs go. One implementation is the live lane, others are tests,
/// replay and `spinlane venue decode`.
pub trait Sink {
    /// One normalised event.
    fn event(&mut self, event: &Event<'_>);
    /// One WebSocket text message to send on `link`.
    fn send_text(&mut self, link: LinkId, text: &[u8]);
    /// One REST request to queue on `link`.
    fn request(&mut self, link: LinkId, request: &RestRequest<'_>);
    /// The link is no good: close it and open it again with back-off.
    fn reconnect(&mut self, link: LinkId, why: &'static str);
    /// One application message to send on a FIX link: its type (35), and its fields, each with its SOH. Numbers, names
    /// and times are the link's.
    fn send_fix(&mut self, link: LinkId, kind: &'static str, fields: &[u8]) {
        let _ = (link, kind, fields);
    }
    /// A held link ([`LinkSpec::is_held`]) may be opened now, once, with this WebSocket target.
    fn connect(&mut self, link: LinkId, path: &str) {
        let _ = (link, path);
    }
}

/// How market data is written, where a venue leaves the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MarketData {
    /// As text.
    #[default]
    Json,
    /// In binary (Simple Binary Encoding): at Binance's spot, from a host of its own, for who shows a key.
    Sbe,
    /// In datagrams of multicast groups: Deribit's, in its data centres. No link brings it ([`Venue::on_datagram`]).
    Multicast,
    /// As text, and beside it single orders in datagrams: of Deribit's Starbase, in its data centres.
    Starbase,
}

/// Lines of a multicast feed: the same datagrams by two roads.
pub const LINES_MAX: usize = 2;

/// What a venue machine is built from. Hosts differ per environment (production, test, simulated).
#[derive(Debug, Clone, Default)]
pub struct VenueConfig {
    /// REST host and port.
    pub rest: (String, u16),
    /// Public WebSocket host and port.
    pub public: (String, u16),
    /// Private WebSocket host and port (order entry and user stream).
    pub private: (String, u16),
    /// WebSocket of single orders, host and port, where they have a host of their own; empty = the venue's.
    pub l3: (String, u16),
    /// Symbols to follow, as the venue writes them.
    pub symbols: Vec<String>,
    /// Those of them whose single orders are followed beside the book. A venue that shows none has none here.
    pub l3_symbols: Vec<String>,
    /// Key material; empty key = market data only, no private link.
    pub secrets: Secrets,
    /// Validity window of new orders and amends at the venue, milliseconds (Binance `recvWindow`, OKX `expTime`):
    /// what waits longer on its way is refused there. Above 0; a 0 counts as 1. Cancels have none, or the
    /// venue's longest.
    pub order_window_ms: u32,
    /// Which of the machines that share the keys this is, from 0 to 7 (nodes, and their further feeds): goes into
    /// nonces, so that two never collide.
    pub nonce_slot: u8,
    /// What the machine may use of the venue's limits; by default all.
    pub budget: Budget,
    /// The machine is a further feed of a venue that has one: it brings market data and nothing else, and asks for
    /// whole books only when it is told to.
    pub is_further_feed: bool,
    /// How market data is written; a venue that has one way only does not look.
    pub market_data: MarketData,
    /// Orders go over FIX.
    pub fix: Option<FixConfig>,
    /// New orders of one decision go in one REST request, at venues that take several by REST alone
    /// ([`crate::BatchNew::Rest`]). The others do not look.
    pub rest_batches: bool,
}

/// A venue's FIX, as configured. What is empty is the venue's own.
#[derive(Debug, Clone, Default)]
pub struct FixConfig {
    /// Order entry, host and port.
    pub entry: (String, u16),
    /// Market data, host and port, where it comes over FIX too.
    pub market: Option<(String, u16)>,
    /// Our name (49).
    pub sender: String,
    /// The venue's name (56).
    pub target: String,
    /// The names of the session of market data, where they are others.
    pub market_sender: String,
    /// As above.
    pub market_target: String,
    /// Heartbeat interval, seconds; 0 = the venue's usual one.
    pub heartbeat_s: u32,
    /// Numbers begin at 1 with every connection, where the venue leaves the choice.
    pub resets: bool,
    /// What is traded, where the venue does not list it.
    pub instruments: Vec<FixInstrument>,
}

/// An instrument of a venue that lists none.
#[derive(Debug, Clone, Default)]
pub struct FixInstrument {
    /// As the venue writes it (55).
    pub symbol: String,
    /// Base asset.
    pub base: String,
    /// Quote asset.
    pub quote: String,
    /// Smallest price step.
    pub tick: Decimal,
    /// Smallest quantity step.
    pub lot: Decimal,
    /// Smallest order.
    pub qty_min: Decimal,
}

/// Why a request was not written. Nothing left the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The private link is not open or not logged in.
    #[error("the order link is not logged in")]
    NotReady,
    /// The order link takes no more for now: the peer does not read what waits on it.
    #[error("the order link is full")]
    Backlog,
    /// Our own governor: the venue's limit (less the reserve for cancels) is used up.
    #[error("the venue's rate limit is used up")]
    RateLimited,
    /// The venue has no such request (for example a price amend on Binance spot).
    #[error("the venue cannot do this")]
    Unsupported,
    /// The instrument is not in the registry.
    #[error("the instrument is not known")]
    UnknownInstrument,
}

/// How messages of the links were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadCounts {
    /// By hand, as one of the venue's hot shapes.
    pub scanned: u64,
    /// By the general parser.
    pub parsed: u64,
}

impl Add for ReadCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            scanned: self.scanned.wrapping_add(other.scanned),
            parsed: self.parsed.wrapping_add(other.parsed),
        }
    }
}

impl Sub for ReadCounts {
    type Output = Self;

    /// What came since `before`.
    fn sub(self, before: Self) -> Self {
        Self {
            scanned: self.scanned.wrapping_sub(before.scanned),
            parsed: self.parsed.wrapping_sub(before.parsed),
        }
    }
}

/// What the lines of a multicast feed have brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineCounts {
    /// Datagrams each line was the first to bring.
    pub firsts: [u64; LINES_MAX],
    /// Datagrams the other line, or the same one, had brought before.
    pub copies: u64,
    /// Holes of one line that the other filled.
    pub filled: u64,
}

/// One venue as a pure machine.
///
/// Errors returned by `on_*` are counted by the caller and never end the machine: it stays usable
/// and, where a link must be replaced, has already asked for it through the sink.
pub trait Venue {
    /// Which venue.
    fn id(&self) -> VenueId;
    /// What it offers.
    fn capabilities(&self) -> &'static Capabilities;
    /// Connections it wants.
    fn links(&self) -> &[LinkSpec];
    /// What a link is for; by default what its number says, and whatever is behind the order link is private too.
    fn link_role(&self, link: LinkId) -> LinkRole {
        match link.0 {
            0 => LinkRole::Rest,
            1 => LinkRole::Market,
            _ => LinkRole::Orders,
        }
    }

    /// Whether market data with keys is another than without: further feeds are then given the keys too.
    fn has_keyed_feed(&self) -> bool {
        false
    }

    /// The link new orders leave by: one whose peer does not read takes none, and one that does not answer is
    /// opened anew.
    fn entry_link(&self) -> LinkId {
        LinkId(2)
    }

    /// The session of a link of [`crate::LinkKind::Fix`]; asked for once, when the link is made.
    fn fix_spec(&self, link: LinkId) -> Option<FixSpec> {
        let _ = link;
        None
    }

    /// What the upgrade of a WebSocket link bears beside the usual fields; asked for once, when the link is made.
    fn upgrade_fields(&self, link: LinkId) -> Vec<UpgradeField> {
        let _ = link;
        Vec::new()
    }

    /// A link's handshake is complete; of a FIX link, both have logged on.
    fn on_open(&mut self, registry: &mut Registry, link: LinkId, now: Now, out: &mut impl Sink);
    /// One whole WebSocket text message, or one line of an answer that goes on. The bytes are parsed in place.
    fn on_text(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        text: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault>;
    /// One whole WebSocket binary message: compressed text, or a binary encoding.
    ///
    /// Errors: as [`Venue::on_text`]; by default that this venue sends none.
    fn on_binary(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        bytes: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let _ = (registry, link, now, bytes, out);
        Err(DecodeError::Shape("a binary message").into())
    }
    /// One datagram of a multicast group of this line (0 or 1; another counts for none).
    ///
    /// Errors: as [`Venue::on_text`]; by default that this venue sends none.
    fn on_datagram(
        &mut self,
        registry: &Registry,
        line: u8,
        now: Now,
        bytes: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let _ = (registry, line, now, bytes, out);
        Err(DecodeError::Shape("a datagram").into())
    }
    /// One application message of a FIX link, or a refusal (3) of one of ours.
    ///
    /// Errors: as [`Venue::on_text`]; by default that this venue speaks no FIX.
    fn on_fix(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        message: &Message<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let _ = (registry, link, now, message, out);
        Err(DecodeError::Shape("a FIX message").into())
    }
    /// One REST answer.
    fn on_response(
        &mut self,
        registry: &mut Registry,
        link: LinkId,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault>;
    /// A link is gone. In-flight requests on it have an unknown outcome.
    fn on_closed(&mut self, link: LinkId, now: Now, out: &mut impl Sink);
    /// Runs what fell due at or before `now` (pings, timeouts, retries).
    fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink);
    /// When [`Venue::on_deadline`] next has work.
    fn next_deadline(&self) -> Option<UnixNanos>;

    /// The book keeper of this instrument has no snapshot or lost its place: fetch or resubscribe.
    fn request_snapshot(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    );
    /// The keeper of this instrument's single orders has no book or lost its place: fetch or resubscribe. By default
    /// nothing: the venue shows none.
    fn request_l3(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        let _ = (registry, instrument, now, out);
    }
    /// Asks the venue for open orders, then fills since the last known trade, then balances; ends
    /// with [`crate::Control::Reconciled`].
    fn reconcile(&mut self, registry: &Registry, now: Now, out: &mut impl Sink);
    /// Asks the venue what became of one order (after an unknown outcome).
    fn query_order(
        &mut self,
        registry: &Registry,
        order: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError>;

    /// Writes a new order.
    fn new_order(
        &mut self,
        registry: &Registry,
        order: &NewOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError>;
    /// Most new orders one request may carry ([`Venue::new_orders`]); 1 where none carries several.
    fn batch_max(&self) -> usize {
        1
    }
    /// Writes new orders as one request: at most [`Venue::batch_max`], of one instrument, each with the client id that
    /// follows the one before it.
    ///
    /// Errors: as [`Venue::new_order`]; then none of them is sent.
    fn new_orders(
        &mut self,
        registry: &Registry,
        orders: &[NewOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let _ = (registry, orders, now, out);
        Err(EntryError::Unsupported)
    }
    /// Writes an amend.
    fn amend_order(
        &mut self,
        registry: &Registry,
        amend: &AmendOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError>;
    /// Writes a cancel.
    fn cancel_order(
        &mut self,
        registry: &Registry,
        cancel: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError>;
    /// Cancels every open order of an instrument, by the venue's own means where it has one; else the
    /// listed ones in batches.
    fn cancel_all(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        live: &[CancelOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError>;

    /// The limits its order requests go by, as they stand; a copy, for who stands in for the venue. By default it has
    /// none.
    fn rates(&self) -> Option<Box<dyn Rates>> {
        None
    }

    /// How the WebSocket messages were read since the start: when a venue changes the order of its fields, the
    /// hot ones move from `scanned` to `parsed` and the lane grows slower, not wrong.
    fn read_counts(&self) -> ReadCounts;

    /// What the lines of its multicast feed have brought since the start.
    fn line_counts(&self) -> LineCounts {
        LineCounts::default()
    }

    /// The venue's text of one of its order ids (the inverse of the packing into [`OrderId`]).
    fn order_id_text(&self, id: OrderId) -> Text<40>;
}
