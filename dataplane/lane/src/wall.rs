//! The lane's side of the shared memory: what it counts, times, journals and shows.
//!
//! One writer: the lane's thread. Nothing here decides anything.

use crate::inputs::{Recorder, Tap};
use dp_journal::entry::{Fill, Funding as FundingEntry, OrderUpdate, Position as PositionEntry};
use dp_journal::{Entry, Journal, Tick, TickKind};
use dp_oms::{Change, Position};
use dp_shm::twin::Words as _;
use dp_shm::{
    BalanceLine, BalanceState, BookState, BookTop, Consumer, Counter, Counters, Full, LaneWriter,
    MarketState, PARTS_MAX, PartLine, PartState, PositionState, Region, RiskState, Stage, Stages,
    Violations,
    layout::{BeatLine, COMMAND_WORDS, TICK_WORDS},
};
use dp_shm::{Producer, VenueStatus};
use dp_transport::tsc;
use dp_types::{
    AssetId, Decimal, Epoch, FillReport, Instrument, InstrumentId, LaneId, Notional, Now, Price,
    Qty, StrategyId, TradeMsg, Tsc, UnixNanos, VenueId, VenueNanos,
};

/// Handles into the region of one lane.
pub struct Wall<'r> {
    lane: LaneId,
    /// The region.
    pub region: &'r Region,
    /// Counters.
    pub counters: Counters<'r>,
    /// What the risk gate refused and what tripped, by rule.
    pub violations: Violations<'r>,
    /// Stage histograms.
    pub stages: Stages<'r>,
    /// Liveness.
    pub beat: &'r BeatLine,
    /// Commands from the control plane and the command line.
    pub commands: Consumer<'r, COMMAND_WORDS>,
    journal: Journal<'r>,
    ticks: Producer<'r, TICK_WORDS>,
    /// Who listens at the engine's entry points.
    pub(crate) tap: Tap,
    held: &'r [PartLine],
    balances: &'r [BalanceLine],
    /// Whose line of `held` is which: by place.
    holders: Vec<(InstrumentId, StrategyId)>,
    /// The journal refused something that cannot wait: no new orders until it has room and the live
    /// orders stand in it again.
    pub is_behind: bool,
}

impl<'r> Wall<'r> {
    /// Takes over a lane's part of the region for one run.
    pub fn new(region: &'r Region, writer: LaneWriter<'r>, lane: LaneId, epoch: Epoch) -> Self {
        // What an earlier run showed is shown again by whoever holds it now.
        for line in writer.held.iter().filter(|line| line.version() > 0) {
            line.write(&PartState::default());
        }
        for line in writer.balances.iter().filter(|line| line.version() > 0) {
            line.write(&BalanceState::default());
        }
        Self {
            lane,
            region,
            held: writer.held,
            balances: writer.balances,
            holders: Vec::with_capacity(PARTS_MAX),
            counters: writer.counters,
            violations: writer.violations,
            stages: writer.stages,
            beat: writer.beat,
            commands: writer.commands,
            journal: Journal::new(writer.journal, lane, epoch),
            ticks: writer.ticks,
            tap: Tap::Off,
            is_behind: false,
        }
    }

    /// Whose it is.
    pub const fn lane(&self) -> LaneId {
        self.lane
    }

    /// Records the cycles since `since` for a stage and returns now.
    #[inline]
    pub fn stamp(&self, stage: Stage, since: Tsc) -> Tsc {
        let now = tsc();
        self.stages.record(stage, now.since(since));
        now
    }

    /// Counts one.
    #[inline]
    pub fn count(&self, counter: Counter) {
        self.counters.count(counter);
    }

    /// Whether the journal has room for a wish. Without, strategies may not trade and pull their quotes.
    pub fn has_room(&mut self) -> bool {
        if self.is_behind {
            return false;
        }
        if let Some(answer) = self.tap.ask() {
            return answer;
        }
        let has_room = self.journal.has_room_for_wishes();
        if !has_room {
            self.tap.refused();
        }
        has_room
    }

    /// Records everything this lane's engine is told from now on.
    pub fn record(&mut self, recorder: Recorder) {
        self.tap = Tap::Record(Box::new(recorder));
    }

    /// The one way into the journal.
    #[inline]
    fn publish<const N: usize>(
        &mut self,
        now: UnixNanos,
        entries: [&Entry; N],
    ) -> Result<(), Full> {
        let result = match self.tap.ask() {
            Some(true) => Ok(()),
            Some(false) => Err(Full),
            None => self.journal.publish_all(now, entries).map(drop),
        };
        match result {
            Ok(()) => self.tap.published(self.lane, now, &entries),
            Err(Full) => self.tap.refused(),
        }
        result
    }

    /// Publishes a wish (order intent, amend, refusal) that may be left undone. False: it must be.
    pub fn wish(&mut self, now: UnixNanos, entry: &Entry) -> bool {
        let is_published = !self.is_behind && self.publish(now, [entry]).is_ok();
        if !is_published {
            self.count(Counter::JournalRefusals);
        }
        is_published
    }

    /// Publishes a fact. When even the reserve is used up the lane stops wishing until there is room.
    pub fn fact(&mut self, now: UnixNanos, entry: &Entry) {
        if self.publish(now, [entry]).is_err() {
            self.fell_behind();
        }
    }

    fn fell_behind(&mut self) {
        self.is_behind = true;
        self.count(Counter::JournalRefusals);
    }

    /// Whether live orders must be published again.
    pub fn is_checkpoint_due(&mut self) -> bool {
        let is_due = self.tap.is_checkpoint_due(self.journal.is_checkpoint_due());
        is_due || self.is_behind
    }

    /// Publishes live orders so that they stay inside the ring.
    pub fn checkpoint(&mut self, now: UnixNanos, entries: impl Iterator<Item = Entry>) {
        let mut result = Ok(());
        for entry in entries {
            result = self.publish(now, [&entry]);
            if result == Err(Full) {
                break;
            }
        }
        self.is_behind = result.is_err();
        if !self.is_behind {
            self.journal.checkpointed();
        }
    }

    /// An order moved.
    pub fn order_moved(&mut self, now: UnixNanos, change: &Change) {
        let order = &change.order;
        let entry = Entry::OrderUpdate(OrderUpdate {
            client_id: order.client_id,
            order_id: order.order_id,
            instrument: order.instrument,
            venue: order.venue,
            state: order.state,
            reason: change.reason,
            code: change.code,
            cum_qty: order.cum,
            price: order.price,
            qty: order.qty,
            venue_ns: change.venue_ns,
        });
        self.fact(now, &entry);
    }

    /// A fill was booked: the fill and its strategy's position after it, both or neither, and the lines of that and of
    /// the instrument's total.
    pub fn filled(
        &mut self,
        now: UnixNanos,
        order: &dp_oms::Order,
        report: &FillReport,
        (price, qty): (Price, Qty),
        (part, total): (&PositionState, &PositionState),
    ) {
        let fill = fill_entry(order, report, price, qty);
        let place = (order.instrument, order.strategy);
        let position = position_entry(place, order.venue, part);
        if self.publish(now, [&fill, &position]).is_err() {
            self.fell_behind();
        }
        self.show_part(place, *part);
        self.show_position(order.instrument, *total);
    }

    /// A fill that could not be booked: the record keeps it all the same.
    pub fn fill_alone(
        &mut self,
        now: UnixNanos,
        order: &dp_oms::Order,
        report: &FillReport,
        (price, qty): (Price, Qty),
    ) {
        self.fact(now, &fill_entry(order, report, price, qty));
    }

    /// A funding payment was booked: its shares, all or none as far as they fit one publication.
    pub fn funded(&mut self, now: UnixNanos, shares: &[Entry]) {
        let result = match self.tap.ask() {
            Some(true) => Ok(()),
            Some(false) => Err(Full),
            None => self.journal.publish_list(now, shares).map(drop),
        };
        match result {
            Ok(()) => {
                for share in shares {
                    self.tap.published(self.lane, now, &[share]);
                }
            }
            Err(Full) => {
                self.tap.refused();
                self.fell_behind();
            }
        }
    }

    /// What a strategy holds, by an earlier run's word or a venue's.
    pub fn take_part(
        &mut self,
        now: UnixNanos,
        instrument: &Instrument,
        strategy: StrategyId,
        state: &PositionState,
    ) {
        let place = (instrument.id, strategy);
        self.fact(now, &position_entry(place, instrument.venue, state));
        if state.funding.0 != 0 {
            self.fact(now, &funding_entry(place, instrument.venue, state));
        }
        self.show_part(place, *state);
    }

    /// Renews the line of an instrument's total.
    pub fn show_position(&self, instrument: InstrumentId, mut state: PositionState) {
        state.lane = self.lane;
        state.journal_seq = self.journal.next_seq();
        if let Some(line) = self.region.position(instrument) {
            line.write(&state);
        }
    }

    /// Renews the line of what a strategy holds; without room for one it is not shown.
    pub fn show_part(&mut self, place: (InstrumentId, StrategyId), mut state: PositionState) {
        let at = self.holders.iter().position(|held| *held == place);
        let at = at.unwrap_or(self.holders.len());
        let Some(line) = self.held.get(at) else {
            return;
        };
        if at == self.holders.len() {
            self.holders.push(place);
        }
        state.lane = self.lane;
        let (instrument, strategy) = place;
        line.write(&PartState {
            strategy,
            instrument,
            state,
        });
    }

    /// Renews the line of a balance, by its place among the lane's.
    pub fn show_balance(&self, place: usize, mut state: BalanceState) {
        state.lane = self.lane;
        state.journal_seq = self.journal.next_seq();
        if let Some(line) = self.balances.get(place) {
            line.write(&state);
        }
    }

    /// Renews the lane's standing towards its limits.
    pub fn show_risk(&self, state: &RiskState) {
        if let Some(line) = self.region.risk(self.lane) {
            line.write(state);
        }
    }

    /// Renews a market's line.
    pub fn show_market(&self, instrument: InstrumentId, state: &MarketState) {
        if let Some(line) = self.region.market(instrument) {
            line.write(state);
        }
    }

    /// Renews a book's line.
    pub fn show_book(&self, instrument: InstrumentId, top: &BookTop) {
        if let Some(line) = self.region.book(instrument) {
            line.write(top);
        }
    }

    /// Renews a venue's line.
    pub fn show_venue(&self, venue: VenueId, status: &VenueStatus) {
        if let Some(line) = self.region.venue(venue) {
            line.write(status);
        }
    }

    /// A public trade, for the database.
    pub fn trade_tick(&mut self, now: UnixNanos, instrument: &Instrument, trade: &TradeMsg) {
        let (Ok(price), Ok(qty)) = (instrument.price(trade.price), instrument.qty(trade.qty))
        else {
            self.count(Counter::DecodeErrors);
            return;
        };
        let kind = TickKind::Trade {
            taker: trade.taker,
            price,
            qty,
            trade_id: trade.trade_id,
        };
        let (venue, venue_ns) = (instrument.venue, trade.venue_ns);
        self.tick(&Tick {
            at: now,
            venue_ns,
            instrument: instrument.id,
            venue,
            kind,
        });
    }

    /// New best levels, for the database.
    pub fn quote_tick(&mut self, now: UnixNanos, instrument: &Instrument, top: &BookTop) {
        let kind = TickKind::Quote {
            bid_price: top.bid_price,
            bid_qty: top.bid_qty,
            ask_price: top.ask_price,
            ask_qty: top.ask_qty,
        };
        let (venue, venue_ns) = (instrument.venue, top.venue_ns);
        self.tick(&Tick {
            at: now,
            venue_ns,
            instrument: instrument.id,
            venue,
            kind,
        });
    }

    fn tick(&mut self, tick: &Tick) {
        if self.ticks.push(&tick.to_words()).is_err() {
            self.count(Counter::TicksDropped);
        }
    }
}

fn fill_entry(order: &dp_oms::Order, report: &FillReport, price: Price, qty: Qty) -> Entry {
    Entry::Fill(Fill {
        client_id: Some(order.client_id),
        order_id: order.order_id,
        trade_id: report.trade_id,
        instrument: order.instrument,
        venue: order.venue,
        side: order.side,
        price,
        qty,
        fee: report.fee,
        fee_asset: report.fee_asset,
        liquidity: report.liquidity,
        venue_ns: report.venue_ns,
    })
}

/// What a strategy holds, for the journal.
pub fn position_entry(
    (instrument, strategy): (InstrumentId, StrategyId),
    venue: VenueId,
    state: &PositionState,
) -> Entry {
    Entry::Position(PositionEntry {
        strategy,
        instrument,
        venue,
        qty: state.qty,
        cost: state.cost,
        realised: state.realised,
        unrealised: state.unrealised,
        fees: state.fees,
        mark: state.mark,
        fills: state.fills,
        base_fees: state.base_fees,
    })
}

/// What a strategy's funding comes to, for the journal: no payment.
pub fn funding_entry(
    (instrument, strategy): (InstrumentId, StrategyId),
    venue: VenueId,
    state: &PositionState,
) -> Entry {
    Entry::Funding(FundingEntry {
        strategy,
        instrument,
        venue,
        payment: None,
        share: Notional(0),
        sum: state.funding,
        amount: Decimal::default(),
        asset: AssetId::NONE,
        mark: state.mark,
        venue_ns: VenueNanos(0),
    })
}

/// A position as shared memory and the journal hold it.
pub fn position_state(
    instrument: &Instrument,
    position: &Position,
    mark: Price,
    now: Now,
) -> PositionState {
    PositionState {
        qty: position.qty,
        cost: position.cost,
        realised: position.realised,
        unrealised: position.unrealised(instrument, mark).unwrap_or(Notional(0)),
        fees: position.fees,
        funding: position.funding,
        fills: position.fills,
        base_fees: position.base_fees,
        mark,
        lane: LaneId(0),
        journal_seq: 0,
        updated: now.unix,
    }
}

/// How a keeper's state reads on the line.
pub const fn book_state(state: dp_book::State) -> BookState {
    match state {
        dp_book::State::Empty => BookState::Empty,
        dp_book::State::Waiting => BookState::Syncing,
        dp_book::State::Synced => BookState::Synced,
    }
}
