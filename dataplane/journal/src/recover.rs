//! What a lane must know again after `kill -9`: a pure fold over its journal.
//!
//! ```text
//!   records ─▶ live orders     intent … update … checkpoint; final states drop out
//!           ─▶ positions       the last Position record of each strategy, or the region's line where that is newer
//!           ─▶ halts, equity   what is halted still, and what losses are counted from
//!           ─▶ balances        the region's lines, where no fill was journaled after them
//!           ─▶ funding         what the last Funding record of each strategy says, beside its position
//!           ─▶ seen trades     so that a fill told again by the venue is not counted twice, nor a funding payment
//!           ─▶ last sequences  of records and of client order ids
//! ```
//!
//! An order without any update is `Pending`: its intent was published, so it may have been sent. What it
//! is now only the venue knows; the lane asks, and never sends it again.

use crate::codec::Record;
use crate::entry::{Checkpoint, Entry, Equity, Funding, Halt, OrderIntent, OrderUpdate, Position};
use crate::journal::{ReadItem, Reader};
use dp_shm::{BalanceLine, BalanceState, PositionLine, PositionState, Region};
use dp_types::{
    AssetId, ClientOrderId, Epoch, InstrumentId, LaneId, LiveOrder, Notional, OrderId, OrderKind,
    OrderState, Price, Qty, RejectReason, Side, StrategyId, Tif, TradeId, UnixNanos, VenueId,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Executions remembered, the newest. A venue that tells fills again does so within minutes.
pub const SEEN_TRADES_MAX: usize = 65_536;

/// Funding payments remembered, the newest.
pub const SEEN_PAYMENTS_MAX: usize = 16_384;

/// An order that was not final, or not all of whose fills were counted, when its lane ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveredOrder {
    /// Our id.
    pub client_id: ClientOrderId,
    /// The venue's id, 0 = never heard.
    pub order_id: OrderId,
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
    /// Where it stood; `Pending` = maybe sent, never answered.
    pub state: OrderState,
    /// Limit price, increments.
    pub price: Price,
    /// Total quantity, increments.
    pub qty: Qty,
    /// Done so far by the venue's word, increments.
    pub cum_qty: Qty,
    /// What the counted fills add up to, increments.
    pub filled: Qty,
    /// A cancel was under way.
    pub is_cancelling: bool,
    /// An amend was: it may have been done.
    pub is_amending: bool,
    /// When the journal last spoke of it.
    pub at: UnixNanos,
}

impl RecoveredOrder {
    /// As strategies and the OMS see it.
    pub const fn live(&self) -> LiveOrder {
        LiveOrder {
            instrument: self.instrument,
            client_id: self.client_id,
            order_id: self.order_id,
            side: self.side,
            state: self.state,
            price: self.price,
            leaves: Qty(self.qty.0.saturating_sub(self.cum_qty.0)),
            is_cancelling: self.is_cancelling,
            is_amending: self.is_amending,
        }
    }

    fn of_intent(e: &OrderIntent, at: UnixNanos) -> Self {
        Self {
            client_id: e.client_id,
            order_id: OrderId(0),
            instrument: e.instrument,
            venue: e.venue,
            strategy: e.strategy,
            side: e.side,
            kind: e.kind,
            tif: e.tif,
            state: OrderState::Pending,
            price: e.price,
            qty: e.qty,
            cum_qty: Qty(0),
            filled: Qty(0),
            is_cancelling: false,
            is_amending: false,
            at,
        }
    }

    fn of_checkpoint(e: &Checkpoint, at: UnixNanos) -> Self {
        Self {
            client_id: e.order.client_id,
            order_id: e.order.order_id,
            instrument: e.order.instrument,
            venue: e.venue,
            strategy: e.strategy,
            side: e.order.side,
            kind: e.kind,
            tif: e.tif,
            state: e.order.state,
            price: e.order.price,
            qty: e.qty,
            cum_qty: Qty(e.qty.0.saturating_sub(e.order.leaves.0)),
            filled: e.filled,
            is_cancelling: e.order.is_cancelling,
            is_amending: e.order.is_amending,
            at,
        }
    }

    /// Nothing more to come: not on the book, and every fill counted.
    const fn is_over(&self) -> bool {
        self.state.is_final() && self.filled.0 >= self.cum_qty.0
    }

    fn update(&mut self, e: &OrderUpdate, at: UnixNanos) {
        self.at = at;
        self.state = e.state;
        self.cum_qty = self.cum_qty.max(e.cum_qty);
        if e.order_id.0 != 0 {
            self.order_id = e.order_id;
        }
        let before = (self.price, self.qty);
        if e.price.0 != 0 {
            self.price = e.price;
        }
        if e.qty.0 != 0 {
            self.qty = e.qty;
        }
        // A refusal that leaves the order live was of its cancel or amend; an amend that was done shows.
        if e.reason != RejectReason::None {
            self.is_cancelling = false;
        }
        if e.reason != RejectReason::None || before != (self.price, self.qty) {
            self.is_amending = false;
        }
    }
}

/// The state a journal tells. Ordered maps: the same records give the same state, in the same order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// One past the record folded last.
    pub next_seq: u64,
    /// The last epoch that wrote; `None` = an empty journal.
    pub epoch: Option<Epoch>,
    /// Orders that are not final, or whose fills are not all counted, by client order id.
    pub orders: BTreeMap<ClientOrderId, RecoveredOrder>,
    /// Positions by instrument: sums over their strategies.
    pub positions: BTreeMap<InstrumentId, PositionState>,
    /// What of them each strategy holds. What the sums hold beyond the records of strategies is
    /// [`StrategyId::NOBODY`]'s.
    pub parts: BTreeMap<(InstrumentId, StrategyId), PositionState>,
    /// What is halted, by venue and instrument (`None` = the whole venue).
    pub halts: BTreeMap<(VenueId, Option<InstrumentId>), Halt>,
    /// Where the equity of each lane stood.
    pub equity: BTreeMap<LaneId, Equity>,
    /// What one has of each asset at each venue, by the lines of the last lane that counted it.
    pub balances: BTreeMap<(VenueId, AssetId), BalanceState>,
    /// Executions already counted, oldest first, at most [`SEEN_TRADES_MAX`].
    pub seen_trades: VecDeque<(VenueId, InstrumentId, TradeId)>,
    /// Funding payments already booked, oldest first, at most [`SEEN_PAYMENTS_MAX`].
    pub seen_payments: VecDeque<(VenueId, InstrumentId, TradeId)>,
    /// Highest client order sequence, by epoch.
    pub client_sequences: BTreeMap<Epoch, u32>,
    /// Places that held no record.
    pub torn: u64,
    /// Records gone before they were read (the start of a long journal: no loss, see `Checkpoint`).
    pub overrun: u64,
}

impl Recovered {
    /// Folds one item in.
    pub fn apply(&mut self, item: &ReadItem) {
        match item {
            ReadItem::Torn { .. } => self.torn += 1,
            ReadItem::Overrun { from, to } => {
                self.overrun = self.overrun.saturating_add(to.saturating_sub(*from));
            }
            ReadItem::Record(record) => self.record(record),
        }
    }

    /// Whether this execution was counted already. Cost: linear; hand the list to the OMS instead.
    pub fn has_seen(&self, venue: VenueId, instrument: InstrumentId, trade: TradeId) -> bool {
        self.seen_trades.contains(&(venue, instrument, trade))
    }

    fn record(&mut self, record: &Record) {
        self.next_seq = record.seq.saturating_add(1);
        self.epoch = Some(record.epoch);
        match &record.entry {
            Entry::OrderIntent(e) => {
                self.named(e.client_id);
                self.orders
                    .insert(e.client_id, RecoveredOrder::of_intent(e, record.at));
            }
            Entry::Checkpoint(e) => {
                self.named(e.order.client_id);
                let order = RecoveredOrder::of_checkpoint(e, record.at);
                self.settle(order.client_id, Some(order));
            }
            Entry::CancelIntent(e) => {
                if let Some(order) = self.orders.get_mut(&e.client_id) {
                    order.is_cancelling = true;
                }
            }
            Entry::AmendIntent(e) => {
                if let Some(order) = self.orders.get_mut(&e.client_id) {
                    order.is_amending = true;
                }
            }
            Entry::OrderUpdate(e) => {
                let known = self.orders.get(&e.client_id).copied();
                let updated = known.map(|mut order| {
                    order.update(e, record.at);
                    order
                });
                self.settle(e.client_id, updated);
            }
            Entry::Fill(e) => {
                self.seen_trades
                    .push_back((e.venue, e.instrument, e.trade_id));
                if self.seen_trades.len() > SEEN_TRADES_MAX {
                    self.seen_trades.pop_front();
                }
                if let Some(id) = e.client_id {
                    let filled = self.orders.get(&id).copied().map(|mut order| {
                        order.filled = Qty(order.filled.0.saturating_add(e.qty.0));
                        order
                    });
                    self.settle(id, filled);
                }
            }
            Entry::Position(e) => {
                let mut part = position(e, record);
                let held = self.parts.entry((e.instrument, e.strategy)).or_default();
                part.funding = held.funding;
                *held = part;
                let sum = self.sum_of(e.instrument);
                self.positions.insert(e.instrument, sum);
            }
            Entry::Funding(e) => self.funding(e, record),
            Entry::Halt(e) => {
                let place = (e.venue, e.instrument);
                if e.is_halted {
                    self.halts.insert(place, *e);
                } else {
                    self.halts.remove(&place);
                }
            }
            Entry::Equity(e) => {
                self.equity.insert(record.lane, *e);
            }
            Entry::EpochStart(_)
            | Entry::Risk(_)
            | Entry::Switch(_)
            | Entry::Reconcile(_)
            | Entry::Signal(_)
            | Entry::Pair(_)
            | Entry::Limits(_)
            | Entry::NodeLimit(_)
            | Entry::Balance(_)
            | Entry::Strategy(_) => {}
        }
    }

    fn funding(&mut self, e: &Funding, record: &Record) {
        let part = self.parts.entry((e.instrument, e.strategy)).or_default();
        (part.funding, part.mark) = (e.sum, e.mark);
        (part.lane, part.updated) = (record.lane, record.at);
        part.journal_seq = record.seq.saturating_add(1);
        let sum = self.sum_of(e.instrument);
        self.positions.insert(e.instrument, sum);
        let Some(payment) = e.payment.map(|id| (e.venue, e.instrument, id)) else {
            return;
        };
        // Its shares stand side by side.
        if self.seen_payments.back() != Some(&payment) {
            self.seen_payments.push_back(payment);
            if self.seen_payments.len() > SEEN_PAYMENTS_MAX {
                self.seen_payments.pop_front();
            }
        }
    }

    /// What the records of strategies say of an instrument altogether.
    fn sum_of(&self, instrument: InstrumentId) -> PositionState {
        let strategies = (instrument, StrategyId(0))..=(instrument, StrategyId(u16::MAX));
        let mut sum = PositionState::default();
        for (_, part) in self.parts.range(strategies.clone()) {
            add(&mut sum, part);
            if part.updated >= sum.updated {
                (sum.mark, sum.updated) = (part.mark, part.updated);
                sum.lane = part.lane;
            }
        }
        // Of the lane that has it now: another's numbers count other records.
        let seqs = self
            .parts
            .range(strategies)
            .filter(|(_, part)| part.lane == sum.lane);
        sum.journal_seq = seqs.map(|(_, part)| part.journal_seq).max().unwrap_or(0);
        sum
    }

    /// What the sums hold beyond the records of strategies is nobody's: a line was newer than the records.
    fn part_rest(&mut self) {
        let totals: Vec<_> = self
            .positions
            .iter()
            .map(|(id, total)| (*id, *total))
            .collect();
        for (id, total) in totals {
            let held = self.sum_of(id);
            let rest = |total: i128, held: i128| total.saturating_sub(held);
            let qty = total.qty.0.saturating_sub(held.qty.0);
            let base_fees = total.base_fees.saturating_sub(held.base_fees);
            let beyond = PositionState {
                qty: Qty(qty),
                cost: Notional(rest(total.cost.0, held.cost.0)),
                realised: Notional(rest(total.realised.0, held.realised.0)),
                fees: Notional(rest(total.fees.0, held.fees.0)),
                funding: Notional(rest(total.funding.0, held.funding.0)),
                fills: total.fills.saturating_sub(held.fills),
                base_fees,
                unrealised: Notional(0),
                ..total
            };
            let is_whole = qty == 0
                && base_fees == 0
                && [beyond.cost, beyond.realised, beyond.fees, beyond.funding] == [Notional(0); 4];
            if !is_whole {
                let nobody = self.parts.entry((id, StrategyId::NOBODY)).or_default();
                let before = *nobody;
                *nobody = beyond;
                add(nobody, &before);
            }
        }
    }

    fn named(&mut self, id: ClientOrderId) {
        let highest = self.client_sequences.entry(id.epoch()).or_default();
        *highest = (*highest).max(id.sequence());
    }

    fn settle(&mut self, id: ClientOrderId, order: Option<RecoveredOrder>) {
        match order {
            Some(order) if !order.is_over() => self.orders.insert(id, order),
            _ => self.orders.remove(&id),
        };
    }

    /// Takes a lane's lines of balances. Where the lane died between a fill's record and the lines after it, what they
    /// say is no longer known, and the venue's word is taken anew.
    fn take_balances(&mut self, lines: &[BalanceLine], items: &[ReadItem]) {
        let states = || {
            let read = lines.iter().filter_map(BalanceLine::read);
            read.filter(|it| it.venue != VenueId(0))
        };
        let mut last_fills: BTreeMap<VenueId, u64> = BTreeMap::new();
        for item in items {
            if let ReadItem::Record(record) = item
                && let Entry::Fill(fill) = &record.entry
            {
                last_fills.insert(fill.venue, record.seq);
            }
        }
        last_fills.retain(|venue, seq| {
            let seqs = states().filter(|it| it.venue == *venue);
            seqs.map(|it| it.journal_seq)
                .max()
                .is_none_or(|it| it <= *seq)
        });
        for state in states().filter(|it| !last_fills.contains_key(&it.venue)) {
            let held = self.balances.entry((state.venue, state.asset));
            let held = held.or_insert(state);
            if state.updated > held.updated {
                *held = state;
            }
        }
    }

    /// Takes the region's line where it is newer than the last Position record in the ring.
    fn take_line(&mut self, instrument: InstrumentId, line: PositionState) {
        let is_newer = match self.positions.get(&instrument) {
            None => true,
            // A line of the same lane says which records it holds.
            Some(held) if line.lane == held.lane => line.journal_seq > held.journal_seq,
            // The venue moved between lanes: only the clock can tell.
            Some(held) => line.updated > held.updated,
        };
        if is_newer {
            self.positions.insert(instrument, line);
        }
    }
}

/// Adds what a part holds, saturating: the numbers are another process's.
fn add(sum: &mut PositionState, part: &PositionState) {
    sum.qty.0 = sum.qty.0.saturating_add(part.qty.0);
    sum.base_fees = sum.base_fees.saturating_add(part.base_fees);
    sum.fills = sum.fills.saturating_add(part.fills);
    for (sum, part) in [
        (&mut sum.cost, part.cost),
        (&mut sum.realised, part.realised),
        (&mut sum.unrealised, part.unrealised),
        (&mut sum.fees, part.fees),
        (&mut sum.funding, part.funding),
    ] {
        sum.0 = sum.0.saturating_add(part.0);
    }
}

fn position(e: &Position, record: &Record) -> PositionState {
    PositionState {
        qty: e.qty,
        cost: e.cost,
        realised: e.realised,
        unrealised: e.unrealised,
        fees: e.fees,
        funding: Notional(0),
        fills: e.fills,
        base_fees: e.base_fees,
        mark: e.mark,
        lane: record.lane,
        journal_seq: record.seq.saturating_add(1),
        updated: record.at,
    }
}

/// Folds a journal alone. Bounded by the ring.
pub fn recover_log(reader: Reader<'_>) -> Recovered {
    let mut recovered = Recovered {
        next_seq: reader.position(),
        ..Recovered::default()
    };
    // The oldest record can be overwritten while we read a running lane's journal: an overrun, at most
    // one ring long, is skipped and counted; the bound keeps even a wild head from holding us.
    let items_max = reader.capacity().saturating_mul(2);
    for item in reader.take(items_max as usize) {
        recovered.apply(&item);
    }
    recovered
}

/// Folds the journals of all lanes together with the position lines: what a starting node takes up. Each
/// lane takes what belongs to its venues, whichever lane had them before.
///
/// `regions`: oldest first, of one node, the same instrument ids in all. Run it before a lane's writer
/// publishes anything.
pub fn recover(regions: &[&Region]) -> Recovered {
    let mut recovered = Recovered::default();
    let mut items: Vec<ReadItem> = Vec::new();
    for view in regions.iter().flat_map(|region| region.lanes()) {
        let reader = Reader::from_oldest(view.journal);
        let items_max = reader.capacity().saturating_mul(2);
        let before = items.len();
        items.extend(reader.take(items_max as usize));
        recovered.take_balances(view.balances, &items[before..]);
    }
    // A venue that moved from lane to lane did so between two runs: epoch first, then each lane in its
    // own order, which a stable sort keeps.
    items.sort_by_key(|item| match item {
        ReadItem::Record(record) => Some(record.epoch),
        ReadItem::Torn { .. } | ReadItem::Overrun { .. } => None,
    });
    for item in &items {
        recovered.apply(item);
    }
    for region in regions {
        for instrument in (0..region.shape().instruments).map(InstrumentId) {
            if let Some(line) = region.position(instrument).and_then(PositionLine::read) {
                recovered.take_line(instrument, line);
            }
        }
    }
    recovered.part_rest();
    // Trades are looked up by the OMS; a fill told twice in the journal must not be listed twice.
    let mut seen = BTreeSet::new();
    recovered.seen_trades.retain(|trade| seen.insert(*trade));
    recovered
}
