//! The entries: one struct a kind, all fixed-size, all plain values.

use dp_types::{
    AssetId, ClientOrderId, Decimal, InstrumentId, Liquidity, LiveOrder, Notional, OrderId,
    OrderKind, OrderState, PairResult, Price, Qty, RejectReason, Side, StrategyId, StrategyState,
    Text, Tif, TradeId, UnixNanos, VenueId, VenueNanos,
};

/// How safe a record was when its order was sent. Only `Published` is offered in this release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Durability {
    /// In the ring: survives the process.
    Published = 1,
    /// Acknowledged from the standby's memory: survives the machine.
    Replicated = 2,
    /// On disk: survives the power.
    Synced = 3,
}

impl Durability {
    /// The word in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Replicated => "replicated",
            Self::Synced => "synced",
        }
    }

    /// From the number on disk.
    pub const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            1 => Some(Self::Published),
            2 => Some(Self::Replicated),
            3 => Some(Self::Synced),
            _ => None,
        }
    }
}

/// A run begins; the record's epoch is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochStart {
    /// Starts of the dataplane on this region, this one included.
    pub starts: u64,
}

/// An order about to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderIntent {
    /// Our id.
    pub client_id: ClientOrderId,
    /// What.
    pub instrument: InstrumentId,
    /// Where.
    pub venue: VenueId,
    /// On whose wish.
    pub strategy: StrategyId,
    /// Side.
    pub side: Side,
    /// Kind.
    pub kind: OrderKind,
    /// Life.
    pub tif: Tif,
    /// Limit price, increments.
    pub price: Price,
    /// Quantity, increments.
    pub qty: Qty,
    /// How safe this record is when the order leaves.
    pub level: Durability,
}

/// A cancel about to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelIntent {
    /// Our id of the order.
    pub client_id: ClientOrderId,
    /// What.
    pub instrument: InstrumentId,
    /// Where.
    pub venue: VenueId,
    /// The venue's id, 0 when not known yet.
    pub order_id: OrderId,
}

/// An amend about to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AmendIntent {
    /// Our id of the order.
    pub client_id: ClientOrderId,
    /// What.
    pub instrument: InstrumentId,
    /// Where.
    pub venue: VenueId,
    /// The venue's id, 0 when not known yet.
    pub order_id: OrderId,
    /// New price; `None` = unchanged.
    pub price: Option<Price>,
    /// New total quantity; `None` = unchanged.
    pub qty: Option<Qty>,
}

/// An order stands elsewhere than before, by the venue's word or by ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderUpdate {
    /// Our id.
    pub client_id: ClientOrderId,
    /// The venue's id, 0 when not known yet.
    pub order_id: OrderId,
    /// What.
    pub instrument: InstrumentId,
    /// Where.
    pub venue: VenueId,
    /// Where it stands now.
    pub state: OrderState,
    /// Why, when refused; with a state that is not final: a cancel or amend was refused.
    pub reason: RejectReason,
    /// The venue's own code, 0 = none.
    pub code: i32,
    /// Done so far, increments.
    pub cum_qty: Qty,
    /// Price now, increments.
    pub price: Price,
    /// Total quantity now, increments.
    pub qty: Qty,
    /// Venue time, 0 = none.
    pub venue_ns: VenueNanos,
}

/// One execution. Publish it together with the [`Position`] after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Our id of the order; `None` = an order that is not ours.
    pub client_id: Option<ClientOrderId>,
    /// The venue's order id.
    pub order_id: OrderId,
    /// The execution's id.
    pub trade_id: TradeId,
    /// What.
    pub instrument: InstrumentId,
    /// Where.
    pub venue: VenueId,
    /// Our side.
    pub side: Side,
    /// Price, increments.
    pub price: Price,
    /// Quantity, increments.
    pub qty: Qty,
    /// Fee, positive = paid, in `fee_asset`.
    pub fee: Decimal,
    /// What the fee was paid in.
    pub fee_asset: AssetId,
    /// Maker or taker.
    pub liquidity: Liquidity,
    /// Venue time, 0 = none.
    pub venue_ns: VenueNanos,
}

/// What one strategy holds of an instrument, absolute: what came before does not matter. The instrument's position is the
/// sum over its strategies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Whose; [`StrategyId::NOBODY`]: corrections by a venue's word.
    pub strategy: StrategyId,
    /// What.
    pub instrument: InstrumentId,
    /// Where.
    pub venue: VenueId,
    /// Net quantity, increments; negative = short.
    pub qty: Qty,
    /// What the open quantity cost.
    pub cost: Notional,
    /// P&L of what was closed.
    pub realised: Notional,
    /// P&L of what is open, at `mark`.
    pub unrealised: Notional,
    /// Fees paid, quote units.
    pub fees: Notional,
    /// Price it is valued at, increments.
    pub mark: Price,
    /// Executions counted.
    pub fills: u64,
    /// Fees taken out of what was bought, in ten-thousandths of a quantity increment.
    pub base_fees: i64,
}

/// A strategy's share of a funding payment and what its funding comes to, absolute. The shares of a payment are published
/// together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Funding {
    /// Whose; [`StrategyId::NOBODY`]: paid while nobody held any.
    pub strategy: StrategyId,
    /// What.
    pub instrument: InstrumentId,
    /// Where.
    pub venue: VenueId,
    /// Which payment; `None`: none, the sum is written again lest it leave the ring.
    pub payment: Option<TradeId>,
    /// The share, quote units; below 0 = paid.
    pub share: Notional,
    /// All shares so far.
    pub sum: Notional,
    /// The whole payment, in `asset`.
    pub amount: Decimal,
    /// What it was paid in.
    pub asset: AssetId,
    /// What the position is valued at, increments.
    pub mark: Price,
    /// Venue time, 0 = none.
    pub venue_ns: VenueNanos,
}

/// In a [`Risk`] of a venue, or of everything, beyond one instrument.
pub const NO_INSTRUMENT: InstrumentId = InstrumentId(u32::MAX);

/// The risk gate refused, or a watch tripped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Risk {
    /// `dp_risk`'s number of the rule.
    pub rule: u8,
    /// The order it was about; `None` = not named yet.
    pub client_id: Option<ClientOrderId>,
    /// What.
    pub instrument: InstrumentId,
    /// Where.
    pub venue: VenueId,
    /// On whose wish.
    pub strategy: StrategyId,
    /// What was seen, in the rule's unit.
    pub observed: i64,
    /// What is allowed, in the rule's unit.
    pub limit: i64,
}

/// The kill switch was seen to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// Trading is killed (else armed).
    pub is_killed: bool,
    /// Changes of the switch so far (`dp_shm::KillState`).
    pub changes: u64,
    /// Who did it.
    pub who: Text<31>,
    /// Why, cut to 55 bytes.
    pub why: Text<55>,
}

/// A watch halted a venue or an instrument, or a person let it go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Halt {
    /// Where.
    pub venue: VenueId,
    /// What; `None` = the whole venue.
    pub instrument: Option<InstrumentId>,
    /// Halted (else resumed).
    pub is_halted: bool,
    /// `dp_risk`'s number of the rule that tripped.
    pub rule: u8,
    /// What was seen, in the rule's unit.
    pub observed: i64,
    /// What is allowed, in the rule's unit.
    pub limit: i64,
    /// Who resumed it; empty for a halt.
    pub who: Text<31>,
}

/// Why a balance was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum BalanceCause {
    /// What the venue told when nothing of ours worked there: fills count from here.
    Opening = 0,
    /// It differed within the tolerance: the venue's word was taken.
    Corrected = 1,
    /// It differs by more: its venue is halted.
    Differs = 2,
    /// A named person resumed the venue: its word was taken.
    Taken = 3,
    /// It differed by no more than rounding makes of what fills moved: taken, while orders work there as far as two
    /// comparisons in a row had it.
    Rounded = 4,
}

impl BalanceCause {
    /// All of them, by number.
    pub const ALL: [Self; 5] = [
        Self::Opening,
        Self::Corrected,
        Self::Differs,
        Self::Taken,
        Self::Rounded,
    ];

    /// The word in tables and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Corrected => "corrected",
            Self::Differs => "differs",
            Self::Taken => "taken",
            Self::Rounded => "rounded",
        }
    }

    /// From its number; `None`: there is none.
    pub fn from_raw(raw: u8) -> Option<Self> {
        Self::ALL.get(usize::from(raw)).copied()
    }
}

/// What one has of an asset at a venue, by its word and by our fills. Amounts in 10⁻¹² of the asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Where.
    pub venue: VenueId,
    /// Of what.
    pub asset: AssetId,
    /// Why it was written.
    pub cause: BalanceCause,
    /// By our fills; of an opening: the same.
    pub ours: Notional,
    /// By the venue's word; of a rounding: what is taken of it.
    pub theirs: Notional,
    /// How far they may be apart.
    pub allowed: Notional,
}

/// Where the lane's equity stands against which losses are counted: a restart must not forget a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Equity {
    /// Days since 1970, UTC.
    pub day: u64,
    /// Equity when the day began, reporting currency.
    pub at_midnight: Notional,
    /// The highest since the drawdown was last reset.
    pub highest: Notional,
    /// When this was written.
    pub now: Notional,
}

/// Why a comparison with a venue was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ReconcileCause {
    /// The first login of the run.
    Start = 0,
    /// The order link was lost and is back.
    Reconnect = 1,
    /// The last one was five minutes ago.
    Timer = 2,
    /// Somebody asked.
    Asked = 3,
    /// Something did not agree, or could not be read.
    Doubt = 4,
    /// Trading was killed.
    Killed = 5,
}

impl ReconcileCause {
    /// All of them, by number.
    pub const ALL: [Self; 6] = [
        Self::Start,
        Self::Reconnect,
        Self::Timer,
        Self::Asked,
        Self::Doubt,
        Self::Killed,
    ];

    /// The word in tables and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Reconnect => "reconnect",
            Self::Timer => "timer",
            Self::Asked => "asked",
            Self::Doubt => "doubt",
            Self::Killed => "killed",
        }
    }

    /// From its number; `None`: there is none.
    pub fn from_raw(raw: u8) -> Option<Self> {
        Self::ALL.get(usize::from(raw)).copied()
    }
}

/// What a comparison of our orders, fills, positions and balances with a venue's came to: one record each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconcile {
    /// Where.
    pub venue: VenueId,
    /// Why it was made.
    pub cause: ReconcileCause,
    /// When it began.
    pub began: UnixNanos,
    /// Orders of ours that were compared.
    pub compared: u32,
    /// Orders open there.
    pub open_orders: u32,
    /// Of ours, how many stay unknown.
    pub unknown: u32,
    /// Orders open there that we did not hold for open: they are cancelled.
    pub adopted: u32,
    /// Orders we held for open that the venue did not list: each was asked about.
    pub missing: u32,
    /// Orders it told another filled quantity of: the venue's was taken.
    pub other_qty: u32,
    /// Fills we heard of by it: by the venue's clock they were more than a second old. They were booked.
    pub late_fills: u32,
    /// Positions that differed.
    pub positions_differed: u32,
    /// Of these, corrected.
    pub positions_corrected: u32,
    /// Balances that differed.
    pub balances_differed: u32,
    /// Of these, corrected.
    pub balances_corrected: u32,
}

impl Reconcile {
    /// One that has begun, over so many orders of ours, and has found nothing yet.
    pub const fn begun(
        venue: VenueId,
        cause: ReconcileCause,
        began: UnixNanos,
        compared: u32,
    ) -> Self {
        Self {
            venue,
            cause,
            began,
            compared,
            open_orders: 0,
            unknown: 0,
            adopted: 0,
            missing: 0,
            other_qty: 0,
            late_fills: 0,
            positions_differed: 0,
            positions_corrected: 0,
            balances_differed: 0,
            balances_corrected: 0,
        }
    }

    /// Whether anything was otherwise than we had it.
    pub const fn differs(&self) -> bool {
        self.unknown
            | self.adopted
            | self.missing
            | self.other_qty
            | self.late_fills
            | self.positions_differed
            | self.balances_differed
            != 0
    }
}

/// A strategy's signal, for the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// Whose.
    pub strategy: StrategyId,
    /// About what.
    pub instrument: InstrumentId,
    /// Its value, in the strategy's own unit.
    pub value: i64,
}

/// What two orders of a strategy made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Whose.
    pub strategy: StrategyId,
    /// The first of its instruments.
    pub instrument: InstrumentId,
    /// What they made.
    pub result: PairResult,
}

/// Why a strategy's record was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum StrategyCause {
    /// It took its seat.
    Seated = 0,
    /// Somebody asked.
    Asked = 1,
    /// Somebody set a parameter.
    Set = 2,
    /// Somebody asked what cannot be.
    Refused = 3,
    /// It broke.
    Fault = 4,
    /// It was made again.
    Restarted = 5,
    /// It took up what it had learnt.
    Restored = 6,
    /// What it had learnt cannot be taken up.
    Unrestored = 7,
}

impl StrategyCause {
    /// All of them, by number.
    pub const ALL: [Self; 8] = [
        Self::Seated,
        Self::Asked,
        Self::Set,
        Self::Refused,
        Self::Fault,
        Self::Restarted,
        Self::Restored,
        Self::Unrestored,
    ];

    /// The word in tables and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seated => "seated",
            Self::Asked => "asked",
            Self::Set => "set",
            Self::Refused => "refused",
            Self::Fault => "fault",
            Self::Restarted => "restarted",
            Self::Restored => "restored",
            Self::Unrestored => "unrestored",
        }
    }

    /// From its number; `None`: there is none.
    pub fn from_raw(raw: u8) -> Option<Self> {
        Self::ALL.get(usize::from(raw)).copied()
    }
}

/// Something befell a strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrategyEvent {
    /// Whom.
    pub strategy: StrategyId,
    /// Where it stands now.
    pub state: StrategyState,
    /// Why.
    pub cause: StrategyCause,
    /// Which parameter was set, by its place; 0 else.
    pub param: u8,
    /// To what, in its unit; 0 else.
    pub value: i64,
    /// Who asked; empty = nobody.
    pub who: Text<31>,
    /// In words: the parameter's name, the fault, why it was refused.
    pub detail: Text<47>,
}

/// Limits came into force for one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Version of the page (`dp_shm::ConfigPage`).
    pub version: u64,
    /// What.
    pub instrument: InstrumentId,
    /// Largest order, increments.
    pub order_qty_max: Qty,
    /// Largest position, increments.
    pub position_max: Qty,
    /// Furthest from the mid, basis points.
    pub collar_bps: u32,
    /// Orders a second.
    pub orders_per_s_max: u32,
    /// Oldest book, milliseconds.
    pub book_age_ms_max: u32,
    /// Who put them in force.
    pub who: Text<31>,
}

/// A limit of the whole node, or of one currency, came into force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeLimit {
    /// Version of the page (`dp_shm::ConfigPage`).
    pub version: u64,
    /// Which: a place in [`NodeLimit::NAMES`].
    pub what: u8,
    /// Of a currency; [`AssetId::NONE`] = of the node.
    pub asset: AssetId,
    /// Before; of amounts of money 10^-12 of the reporting currency, else the limit's own unit.
    pub before: i128,
    /// From now on.
    pub now: i128,
    /// Who put it in force.
    pub who: Text<31>,
}

impl NodeLimit {
    /// The words in the database, by number: a number once given stays.
    pub const NAMES: [&'static str; 11] = [
        "collar_bps",
        "orders_per_s_max",
        "book_age_ms_max",
        "reject_pct_max",
        "move_bps_max",
        "move_ms",
        "day_loss_max",
        "drawdown_max",
        "exposure_max",
        "currency_exposure_max",
        "order_value_max",
    ];
    /// Number of the first amount of money.
    pub const FIRST_AMOUNT: u8 = 6;

    /// The word in the database.
    pub fn name(&self) -> &'static str {
        Self::NAMES
            .get(usize::from(self.what))
            .copied()
            .unwrap_or("unknown")
    }
}

/// An order that is not final, or whose fills are not all counted, in full: replaces whatever the journal said of it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The order.
    pub order: LiveOrder,
    /// Where.
    pub venue: VenueId,
    /// On whose wish.
    pub strategy: StrategyId,
    /// Kind.
    pub kind: OrderKind,
    /// Life.
    pub tif: Tif,
    /// Total quantity, increments (`order.leaves` is what is left of it).
    pub qty: Qty,
    /// What the counted fills add up to, increments.
    pub filled: Qty,
}

/// One entry of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // each variant is its struct
pub enum Entry {
    EpochStart(EpochStart),
    OrderIntent(OrderIntent),
    CancelIntent(CancelIntent),
    AmendIntent(AmendIntent),
    OrderUpdate(OrderUpdate),
    Fill(Fill),
    Position(Position),
    Risk(Risk),
    Switch(Switch),
    Reconcile(Reconcile),
    Signal(Signal),
    Pair(Pair),
    Limits(Limits),
    NodeLimit(NodeLimit),
    Checkpoint(Checkpoint),
    Strategy(StrategyEvent),
    Halt(Halt),
    Equity(Equity),
    Balance(Balance),
    Funding(Funding),
}

impl Entry {
    /// Whether the journal's reserve is closed to it: what can be left undone (a new order, an amend) or
    /// unsaid (a signal, what a pair made, a refusal) must leave room for what cannot: cancels, reports, fills.
    pub const fn leaves_reserve(&self) -> bool {
        matches!(
            self,
            Self::OrderIntent(_)
                | Self::AmendIntent(_)
                | Self::Signal(_)
                | Self::Pair(_)
                | Self::Risk(_)
        )
    }

    /// The word in tables and JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::EpochStart(_) => "epoch_start",
            Self::OrderIntent(_) => "order_intent",
            Self::CancelIntent(_) => "cancel_intent",
            Self::AmendIntent(_) => "amend_intent",
            Self::OrderUpdate(_) => "order_update",
            Self::Fill(_) => "fill",
            Self::Position(_) => "position",
            Self::Risk(_) => "risk",
            Self::Switch(_) => "switch",
            Self::Reconcile(_) => "reconcile",
            Self::Signal(_) => "signal",
            Self::Pair(_) => "pair",
            Self::Limits(_) | Self::NodeLimit(_) => "limits",
            Self::Checkpoint(_) => "checkpoint",
            Self::Strategy(_) => "strategy",
            Self::Halt(_) => "halt",
            Self::Equity(_) => "equity",
            Self::Balance(_) => "balance",
            Self::Funding(_) => "funding",
        }
    }
}
