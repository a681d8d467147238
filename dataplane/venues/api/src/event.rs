//! What a venue machine says: normalised events, control facts, and faults with blame.

use dp_types::{
    Balance, BookMsg, ClientOrderId, FillReport, FundingReport, InstrumentId, L3Msg, LinkId,
    NumError, OrderId, OrderReport, PositionReport, QuoteMsg, RejectReason, TradeMsg, VenueNanos,
};

/// One normalised event. Borrowed: it lives until the sink returns.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Depth: snapshot or delta, not yet applied.
    Book(BookMsg<'a>),
    /// Single orders of a book, where the venue shows them.
    L3(L3Msg<'a>),
    /// Public trade.
    Trade(TradeMsg),
    /// Best bid and offer from its own channel.
    Quote(QuoteMsg),
    /// Something about one of our orders.
    Order(OrderReport),
    /// One execution of one of our orders.
    Fill(FillReport),
    /// A funding payment to our account, or from it.
    Funding(FundingReport),
    /// A balance of our account.
    Balance(Balance),
    /// A position of our account at a derivatives venue.
    Position(PositionReport),
    /// An order request was answered (its effect comes as `Order`, from the same message or another).
    Ack(RequestAck),
    /// A fact about a link or the venue.
    Control(Control),
    /// Understood and of no use to us (tickers, candles, subscription echoes): why, in words of a [`crate::Reason`].
    Ignored(&'static str),
}

/// Answer to one order-entry request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestAck {
    /// The order the request was about.
    pub client_id: ClientOrderId,
    /// The venue's id, 0 when it gave none.
    pub order_id: OrderId,
    /// [`RejectReason::None`] when accepted.
    pub reason: RejectReason,
    /// The venue's own code, 0 when accepted.
    pub code: i32,
    /// Venue time of the answer.
    pub venue_ns: VenueNanos,
}

/// Facts about links and the venue, for the lane and the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Instruments are known: the registry may be read.
    InstrumentsReady,
    /// Subscriptions on this link are confirmed.
    Subscribed(LinkId),
    /// Login accepted: orders may be sent on this link and the private stream runs.
    LoggedIn(LinkId),
    /// Login refused.
    LoginRefused(RejectReason),
    /// Reconciliation by REST is complete: what was not reported as open since
    /// [`Control::ReconcileStarted`] is not open at the venue.
    ReconcileStarted,
    /// See above.
    Reconciled,
    /// The venue will close this link soon: replace it.
    ClosingSoon(LinkId),
    /// The book of this instrument cannot be continued; the keeper restarts it.
    BookLost(InstrumentId),
    /// The book of single orders of this instrument is lost with its link; its keeper restarts it.
    L3Lost(InstrumentId),
    /// The venue refused a request for rate: nothing may be sent until then (Unix ms, 0 = unknown).
    RateLimited {
        /// Unix milliseconds; 0 = the venue did not say.
        until_ms: u64,
    },
    /// A heartbeat of the venue's own kind.
    Heartbeat,
}

/// Why bytes could not be understood. Counted, never a panic; whose fault it is is in the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON, or cut.
    #[error("not valid JSON")]
    Json,
    /// JSON, but not a shape this venue sends.
    #[error("unexpected shape: {0}")]
    Shape(&'static str),
    /// A field that must be there is not.
    #[error("field `{0}` is missing or has the wrong type")]
    Field(&'static str),
    /// A number that is not one, or does not fit.
    #[error("field `{field}`: {error}")]
    Number {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        error: NumError,
    },
    /// A symbol we did not ask for.
    #[error("unknown symbol")]
    UnknownSymbol,
    /// A symbol we follow that the venue does not list: it has no rules and is not live.
    #[error("the venue does not list instrument {}", .0.0)]
    Unlisted(InstrumentId),
    /// More levels, items or bytes than the stated maximum.
    #[error("{0} is over its maximum")]
    TooMuch(&'static str),
}

/// What a message led to, when it led to trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The venue broke its contract; the message is dropped and counted.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// The venue reported an error of its own.
    #[error("venue error {code}: {reason:?}")]
    Venue {
        /// Its code.
        code: i32,
        /// Our name for it.
        reason: RejectReason,
    },
}
