//! Journal records and ticks become rows. Pure: no clock, no database.
//!
//! An order is folded to one row a batch, the newest word winning; what each record said is kept beside
//! it in `order_events`, so the fold can always be made again.

use crate::rows::*;
use crate::sql::{At, Numeric, Word};
use dp_journal::entry::{
    Checkpoint, Entry, Funding, OrderIntent, OrderUpdate, Position, Reconcile, ReconcileCause,
    StrategyCause,
};
use dp_journal::{Record, Tick, TickKind, entry};
use dp_shm::Region;
use dp_types::{
    AssetId, ClientOrderId, Decimal, Instrument, InstrumentId, Notional, OrderId, OrderState, Qty,
    RejectReason, StrategyId, Text, TradeId, VenueId,
};
use std::collections::{BTreeMap, HashMap};

/// Names the store cannot know by itself: they belong to crates it does not stand on.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// The venue's text of an order id.
    pub order_id: fn(VenueId, OrderId) -> Text<40>,
    /// The venue's text of a trade id.
    pub trade_id: fn(VenueId, TradeId) -> Text<40>,
    /// The risk gate's name of a rule.
    pub rule: fn(u8) -> &'static str,
    /// What a rule's two numbers are: the first of them, of this instrument, as a decimal.
    pub rule_number: fn(u8, &Instrument, i64) -> Decimal,
}

impl Default for Names {
    /// Ids as decimal numbers, rules unnamed.
    fn default() -> Self {
        Self {
            order_id: |_, id| Text::lossy(&id.0.to_string()),
            trade_id: |_, id| Text::lossy(&id.0.to_string()),
            rule: |_| "rule",
            rule_number: |_, _, number| Decimal {
                mantissa: number,
                exponent: 0,
            },
        }
    }
}

/// Instruments and assets by id: identity never changes in the life of a region, so it is read once.
#[derive(Debug)]
pub(crate) struct Catalog {
    names: Names,
    instruments: HashMap<InstrumentId, Instrument>,
    /// Records that named an instrument nobody knows.
    pub unknown: u64,
}

impl Catalog {
    pub fn new(names: Names) -> Self {
        Self {
            names,
            instruments: HashMap::new(),
            unknown: 0,
        }
    }

    fn instrument(&mut self, region: &Region, venue: VenueId, id: InstrumentId) -> Instrument {
        if let Some(known) = self.instruments.get(&id) {
            return *known;
        }
        if let Some(entry) = region.instruments().get(id) {
            self.instruments.insert(id, entry.instrument);
            return entry.instrument;
        }
        // Nothing is dropped: the row stands under the bare number, in increments.
        self.unknown += 1;
        Instrument::bare(id, venue, Text::lossy(&format!("#{}", id.0)), 0, 0)
    }

    /// What a record is about; `None` = a whole venue, or everything.
    fn about(
        &mut self,
        region: &Region,
        venue: VenueId,
        id: Option<InstrumentId>,
    ) -> Option<Instrument> {
        let id = id.filter(|id| *id != entry::NO_INSTRUMENT)?;
        Some(self.instrument(region, venue, id))
    }

    fn order_id(&self, venue: VenueId, id: OrderId) -> Option<Word<40>> {
        (id.0 != 0).then(|| Word((self.names.order_id)(venue, id)))
    }

    fn trade_id(&self, venue: VenueId, id: TradeId) -> Word<40> {
        Word((self.names.trade_id)(venue, id))
    }
}

/// Rows of one transaction.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub epochs: Vec<EpochRow>,
    pub events: Vec<EventRow>,
    pub fills: Vec<FillRow>,
    pub history: Vec<HistoryRow>,
    pub payments: Vec<PaymentRow>,
    pub risk: Vec<RiskRow>,
    pub signals: Vec<SignalRow>,
    pub pairs: Vec<PairRow>,
    pub reconciliations: Vec<ReconciliationRow>,
    pub cursors: Vec<CursorRow>,
    pub ticks: Vec<TickRow>,
    orders: BTreeMap<ClientOrderId, (OrderRow, Qty)>,
    positions: BTreeMap<(InstrumentId, StrategyId), PositionRow>,
    funding: BTreeMap<(InstrumentId, StrategyId), FundingRow>,
}

/// The instrument of a number that is no instrument's.
const NOTHING: Instrument = Instrument::bare(entry::NO_INSTRUMENT, VenueId(0), Text::EMPTY, 0, 0);

fn signed(id: ClientOrderId) -> i64 {
    // 45 bits at most, but a record is only as good as its writer.
    i64::try_from(id.0).unwrap_or(i64::MAX)
}

fn reason(reason: RejectReason) -> Option<&'static str> {
    (reason != RejectReason::None).then(|| reason.name())
}

fn integer(value: i64) -> Numeric {
    Numeric::decimal(Decimal {
        mantissa: value,
        exponent: 0,
    })
}

impl Batch {
    /// Journal rows in it, orders and positions (which repeat them) not counted.
    pub fn journal_rows(&self) -> usize {
        self.epochs.len()
            + self.events.len()
            + self.fills.len()
            + self.history.len()
            + self.payments.len()
            + self.risk.len()
            + self.signals.len()
            + self.pairs.len()
            + self.reconciliations.len()
    }

    pub fn orders(&self) -> Vec<OrderRow> {
        self.orders.values().map(|(row, _)| row.clone()).collect()
    }

    pub fn positions(&self) -> Vec<PositionRow> {
        self.positions.values().cloned().collect()
    }

    pub fn funding(&self) -> Vec<FundingRow> {
        self.funding.values().cloned().collect()
    }

    /// Takes one journal record.
    pub fn record(&mut self, region: &Region, names: &mut Catalog, record: &Record) {
        match &record.entry {
            Entry::OrderIntent(e) => self.intent(region, names, record, e),
            Entry::OrderUpdate(e) => self.update(region, names, record, e),
            Entry::Checkpoint(e) => self.checkpoint(region, names, record, e),
            Entry::CancelIntent(e) => {
                let it = names.instrument(region, e.venue, e.instrument);
                let row = event(record, e.client_id, e.venue, &it);
                self.events.push(EventRow {
                    order_id: names.order_id(e.venue, e.order_id),
                    ..row
                });
            }
            Entry::AmendIntent(e) => {
                let it = names.instrument(region, e.venue, e.instrument);
                let row = event(record, e.client_id, e.venue, &it);
                self.events.push(EventRow {
                    order_id: names.order_id(e.venue, e.order_id),
                    price: e.price.map(|price| Numeric::price(&it, price)),
                    qty: e.qty.map(|qty| Numeric::qty(&it, qty)),
                    ..row
                });
            }
            Entry::Fill(e) => self.fill(region, names, record, e),
            Entry::Position(e) => self.position(region, names, record, e),
            Entry::Funding(e) => self.payment(region, names, record, e),
            Entry::Pair(e) => {
                let pair = e.result;
                let it = names.instrument(region, VenueId(0), e.instrument);
                self.pairs.push(PairRow {
                    epoch: i32::from(record.epoch.0),
                    lane: i16::from(record.lane.0),
                    seq: record.seq.cast_signed(),
                    at: record.at.into(),
                    strategy: i32::from(e.strategy.0),
                    symbol: Word(it.symbol),
                    qty: Numeric::notional(Notional(pair.base)),
                    bought_at: Numeric::notional(pair.bought_at),
                    sold_at: Numeric::notional(pair.sold_at),
                    fees: Numeric::notional(pair.fees),
                    fees_unknown: pair.fees_unknown.into(),
                    net: Numeric::notional(pair.net),
                    hedges: pair.hedges.into(),
                });
            }
            Entry::Signal(e) => {
                let it = names.instrument(region, VenueId(0), e.instrument);
                self.signals.push(SignalRow {
                    epoch: i32::from(record.epoch.0),
                    lane: i16::from(record.lane.0),
                    seq: record.seq.cast_signed(),
                    at: record.at.into(),
                    strategy: i32::from(e.strategy.0),
                    venue: it.venue.name(),
                    symbol: Word(it.symbol),
                    value: e.value,
                });
            }
            Entry::EpochStart(e) => self.epochs.push(EpochRow {
                epoch: i32::from(record.epoch.0),
                lane: i16::from(record.lane.0),
                seq: record.seq.cast_signed(),
                starts: e.starts.cast_signed(),
                started_at: record.at.into(),
            }),
            // What losses are counted from is for the lane that starts again; positions have the history.
            Entry::Equity(_) => {}
            Entry::Reconcile(e) => {
                self.reconciliations.push(reconciliation(record, e));
                // What was as we had it is no event, but for the one that trading waited for.
                if e.differs() || e.cause != ReconcileCause::Timer {
                    self.risk.push(risk(region, names, record));
                }
            }
            Entry::Risk(_)
            | Entry::Switch(_)
            | Entry::Balance(_)
            | Entry::Limits(_)
            | Entry::NodeLimit(_)
            | Entry::Strategy(_)
            | Entry::Halt(_) => {
                let row = risk(region, names, record);
                self.risk.push(row);
            }
        }
    }

    /// Takes one tick.
    pub fn tick(&mut self, region: &Region, names: &mut Catalog, lane: i16, tick: &Tick) {
        let it = names.instrument(region, tick.venue, tick.instrument);
        let mut row = TickRow {
            at: tick.at.into(),
            venue: tick.venue.name(),
            symbol: Word(it.symbol),
            kind: "quote",
            bid_price: None,
            bid_qty: None,
            ask_price: None,
            ask_qty: None,
            side: None,
            price: None,
            qty: None,
            trade_id: None,
            venue_at: At::known(tick.venue_ns.0),
            lane,
        };
        match tick.kind {
            TickKind::Quote {
                bid_price,
                bid_qty,
                ask_price,
                ask_qty,
            } => {
                // An empty side has no price: null, not 0.
                if bid_qty.0 != 0 {
                    row.bid_price = Some(Numeric::price(&it, bid_price));
                    row.bid_qty = Some(Numeric::qty(&it, bid_qty));
                }
                if ask_qty.0 != 0 {
                    row.ask_price = Some(Numeric::price(&it, ask_price));
                    row.ask_qty = Some(Numeric::qty(&it, ask_qty));
                }
            }
            TickKind::Trade {
                taker,
                price,
                qty,
                trade_id,
            } => {
                row.kind = "trade";
                row.side = Some(taker.name());
                row.price = Some(Numeric::price(&it, price));
                row.qty = Some(Numeric::qty(&it, qty));
                row.trade_id = (trade_id.0 != 0).then(|| names.trade_id(tick.venue, trade_id));
            }
        }
        self.ticks.push(row);
    }

    fn intent(&mut self, region: &Region, names: &mut Catalog, record: &Record, e: &OrderIntent) {
        let it = names.instrument(region, e.venue, e.instrument);
        let (price, qty) = (Numeric::price(&it, e.price), Numeric::qty(&it, e.qty));
        self.events.push(EventRow {
            state: Some(OrderState::Pending.name()),
            price: Some(price),
            qty: Some(qty),
            ..event(record, e.client_id, e.venue, &it)
        });
        let mut row = order(record, e.client_id, e.venue, &it, OrderState::Pending);
        row.strategy = Some(i32::from(e.strategy.0));
        row.side = Some(e.side.name());
        row.kind = Some(e.kind.name());
        row.tif = Some(e.tif.name());
        row.price = Some(price);
        row.qty = Some(qty);
        row.durability = Some(e.level.name());
        row.created_at = Some(record.at.into());
        self.put_order(e.client_id, row, &it, Qty(0));
    }

    fn update(&mut self, region: &Region, names: &mut Catalog, record: &Record, e: &OrderUpdate) {
        let it = names.instrument(region, e.venue, e.instrument);
        // 0 = the report did not say.
        let price = (e.price.0 != 0).then(|| Numeric::price(&it, e.price));
        let qty = (e.qty.0 != 0).then(|| Numeric::qty(&it, e.qty));
        let order_id = names.order_id(e.venue, e.order_id);
        self.events.push(EventRow {
            state: Some(e.state.name()),
            price,
            qty,
            cum_qty: Some(Numeric::qty(&it, e.cum_qty)),
            order_id,
            reason: reason(e.reason),
            code: (e.code != 0).then_some(e.code),
            venue_at: At::known(e.venue_ns.0),
            ..event(record, e.client_id, e.venue, &it)
        });
        let mut row = order(record, e.client_id, e.venue, &it, e.state);
        row.price = price;
        row.qty = qty;
        row.order_id = order_id;
        // A refusal that leaves the order live was of its cancel or amend: an event, not its end.
        if e.state.is_final() {
            row.reject_reason = reason(e.reason);
            row.reject_code = (e.code != 0).then_some(e.code);
        }
        self.put_order(e.client_id, row, &it, e.cum_qty);
    }

    fn checkpoint(
        &mut self,
        region: &Region,
        names: &mut Catalog,
        record: &Record,
        e: &Checkpoint,
    ) {
        let it = names.instrument(region, e.venue, e.order.instrument);
        let cum = Qty(e.qty.0.saturating_sub(e.order.leaves.0));
        let (price, qty) = (Numeric::price(&it, e.order.price), Numeric::qty(&it, e.qty));
        let order_id = names.order_id(e.venue, e.order.order_id);
        self.events.push(EventRow {
            state: Some(e.order.state.name()),
            price: Some(price),
            qty: Some(qty),
            cum_qty: Some(Numeric::qty(&it, cum)),
            order_id,
            ..event(record, e.order.client_id, e.venue, &it)
        });
        let mut row = order(record, e.order.client_id, e.venue, &it, e.order.state);
        row.strategy = Some(i32::from(e.strategy.0));
        row.side = Some(e.order.side.name());
        row.kind = Some(e.kind.name());
        row.tif = Some(e.tif.name());
        row.price = Some(price);
        row.qty = Some(qty);
        row.order_id = order_id;
        self.put_order(e.order.client_id, row, &it, cum);
    }

    /// Folds a newer word about an order into the batch's row of it.
    fn put_order(&mut self, id: ClientOrderId, newer: OrderRow, it: &Instrument, cum: Qty) {
        let Some((held, held_cum)) = self.orders.get_mut(&id) else {
            let row = OrderRow {
                cum_qty: Numeric::qty(it, cum),
                ..newer
            };
            self.orders.insert(id, (row, cum));
            return;
        };
        let is_newer = (newer.event_epoch, newer.event_seq) > (held.event_epoch, held.event_seq);
        let (new, old) = if is_newer {
            (newer, held.clone())
        } else {
            (held.clone(), newer)
        };
        *held_cum = (*held_cum).max(cum);
        *held = OrderRow {
            strategy: old.strategy.or(new.strategy),
            side: old.side.or(new.side),
            kind: old.kind.or(new.kind),
            tif: old.tif.or(new.tif),
            durability: old.durability.or(new.durability),
            created_at: old.created_at.or(new.created_at),
            price: new.price.or(old.price),
            qty: new.qty.or(old.qty),
            order_id: new.order_id.or(old.order_id),
            reject_reason: new.reject_reason.or(old.reject_reason),
            reject_code: new.reject_code.or(old.reject_code),
            cum_qty: Numeric::qty(it, *held_cum),
            ..new
        };
    }

    fn fill(&mut self, region: &Region, names: &mut Catalog, record: &Record, e: &entry::Fill) {
        let it = names.instrument(region, e.venue, e.instrument);
        let asset = Some(e.fee_asset)
            .filter(|asset| *asset != AssetId::NONE)
            .and_then(|asset| region.assets().get(asset));
        self.fills.push(FillRow {
            venue: e.venue.name(),
            symbol: Word(it.symbol),
            trade_id: names.trade_id(e.venue, e.trade_id),
            client_order_id: e.client_id.map(signed),
            order_id: Word((names.names.order_id)(e.venue, e.order_id)),
            side: e.side.name(),
            price: Numeric::price(&it, e.price),
            qty: Numeric::qty(&it, e.qty),
            fee: Numeric::decimal(e.fee),
            fee_asset: asset.map(Word),
            liquidity: e.liquidity.name(),
            at: record.at.into(),
            venue_at: At::known(e.venue_ns.0),
            epoch: i32::from(record.epoch.0),
            lane: i16::from(record.lane.0),
            seq: record.seq.cast_signed(),
        });
    }

    fn payment(&mut self, region: &Region, names: &mut Catalog, record: &Record, e: &Funding) {
        let it = names.instrument(region, e.venue, e.instrument);
        let latest = FundingRow {
            venue: e.venue.name(),
            symbol: Word(it.symbol),
            strategy: holder(e.strategy),
            funding: Numeric::notional(e.sum),
            updated_at: record.at.into(),
            event_epoch: i32::from(record.epoch.0),
            event_seq: record.seq.cast_signed(),
        };
        // A sum written again is no payment.
        if let Some(payment) = e.payment {
            let asset = Some(e.asset)
                .filter(|asset| *asset != AssetId::NONE)
                .and_then(|asset| region.assets().get(asset));
            self.payments.push(PaymentRow {
                venue: latest.venue,
                symbol: latest.symbol,
                strategy: latest.strategy,
                payment: names.trade_id(e.venue, payment),
                share: Numeric::notional(e.share),
                amount: Numeric::decimal(e.amount),
                asset: asset.map(Word),
                at: latest.updated_at,
                venue_at: At::known(e.venue_ns.0),
                epoch: latest.event_epoch,
                lane: i16::from(record.lane.0),
                seq: latest.event_seq,
            });
        }
        let held = self.funding.entry((e.instrument, e.strategy));
        let held = held.or_insert_with(|| latest.clone());
        if (latest.event_epoch, latest.event_seq) > (held.event_epoch, held.event_seq) {
            *held = latest;
        }
    }

    fn position(&mut self, region: &Region, names: &mut Catalog, record: &Record, e: &Position) {
        let it = names.instrument(region, e.venue, e.instrument);
        let row = HistoryRow {
            epoch: i32::from(record.epoch.0),
            lane: i16::from(record.lane.0),
            seq: record.seq.cast_signed(),
            at: record.at.into(),
            venue: e.venue.name(),
            symbol: Word(it.symbol),
            qty: Numeric::qty(&it, e.qty),
            cost: Numeric::notional(e.cost),
            realised: Numeric::notional(e.realised),
            unrealised: Numeric::notional(e.unrealised),
            fees: Numeric::notional(e.fees),
            mark: Numeric::price(&it, e.mark),
            fills: e.fills.cast_signed(),
            base_fees: Numeric::decimal(it.base_fee_decimal(e.base_fees)),
            strategy: holder(e.strategy),
        };
        let latest = PositionRow {
            venue: row.venue,
            symbol: row.symbol,
            qty: row.qty,
            cost: row.cost,
            realised: row.realised,
            unrealised: row.unrealised,
            fees: row.fees,
            mark: row.mark,
            fills: row.fills,
            base_fees: row.base_fees,
            updated_at: row.at,
            event_epoch: row.epoch,
            event_seq: row.seq,
            strategy: row.strategy,
        };
        self.history.push(row);
        let held = self.positions.entry((e.instrument, e.strategy));
        let held = held.or_insert_with(|| latest.clone());
        if (latest.event_epoch, latest.event_seq) > (held.event_epoch, held.event_seq) {
            *held = latest;
        }
    }
}

/// A strategy's number in rows of what it holds; -1 is nobody's.
fn holder(strategy: StrategyId) -> i32 {
    if strategy == StrategyId::NOBODY {
        -1
    } else {
        i32::from(strategy.0)
    }
}

fn event(record: &Record, id: ClientOrderId, venue: VenueId, it: &Instrument) -> EventRow {
    EventRow {
        epoch: i32::from(record.epoch.0),
        lane: i16::from(record.lane.0),
        seq: record.seq.cast_signed(),
        at: record.at.into(),
        kind: record.entry.name(),
        client_order_id: signed(id),
        venue: venue.name(),
        symbol: Word(it.symbol),
        state: None,
        price: None,
        qty: None,
        cum_qty: None,
        order_id: None,
        reason: None,
        code: None,
        venue_at: None,
    }
}

fn order(
    record: &Record,
    id: ClientOrderId,
    venue: VenueId,
    it: &Instrument,
    state: OrderState,
) -> OrderRow {
    OrderRow {
        client_order_id: signed(id),
        venue: venue.name(),
        symbol: Word(it.symbol),
        strategy: None,
        side: None,
        kind: None,
        tif: None,
        price: None,
        qty: None,
        state: state.name(),
        cum_qty: integer(0),
        order_id: None,
        reject_reason: None,
        reject_code: None,
        durability: None,
        created_at: None,
        updated_at: record.at.into(),
        event_epoch: i32::from(record.epoch.0),
        event_seq: record.seq.cast_signed(),
    }
}

fn reconciliation(record: &Record, e: &Reconcile) -> ReconciliationRow {
    ReconciliationRow {
        epoch: i32::from(record.epoch.0),
        lane: i16::from(record.lane.0),
        seq: record.seq.cast_signed(),
        began_at: e.began.into(),
        ended_at: record.at.into(),
        venue: e.venue.name(),
        cause: e.cause.name(),
        compared: e.compared.into(),
        open_orders: e.open_orders.into(),
        missing: e.missing.into(),
        adopted: e.adopted.into(),
        other_qty: e.other_qty.into(),
        late_fills: e.late_fills.into(),
        unknown: e.unknown.into(),
        positions_differed: e.positions_differed.into(),
        positions_corrected: e.positions_corrected.into(),
        balances_differed: e.balances_differed.into(),
        balances_corrected: e.balances_corrected.into(),
    }
}

/// The kinds that go to `risk_events`; others never come here.
fn risk(region: &Region, names: &mut Catalog, record: &Record) -> RiskRow {
    let mut row = RiskRow {
        epoch: i32::from(record.epoch.0),
        lane: i16::from(record.lane.0),
        seq: record.seq.cast_signed(),
        at: record.at.into(),
        kind: record.entry.name(),
        rule: None,
        client_order_id: None,
        venue: None,
        symbol: None,
        strategy: None,
        observed: None,
        allowed: None,
        who: None,
        detail: None,
    };
    match &record.entry {
        Entry::Risk(e) => {
            let it = names.about(region, e.venue, Some(e.instrument));
            row.rule = Some((names.names.rule)(e.rule));
            row.client_order_id = e.client_id.map(signed);
            row.venue = (e.venue != VenueId(0)).then(|| e.venue.name());
            row.symbol = it.map(|it| Word(it.symbol));
            row.strategy = (e.strategy != StrategyId::NOBODY).then_some(i32::from(e.strategy.0));
            let it = it.unwrap_or(NOTHING);
            // Quantities and prices as the venue writes them, else the rule's own unit: bps, ns, a count.
            let number = |n| Numeric::decimal((names.names.rule_number)(e.rule, &it, n));
            row.observed = Some(number(e.observed));
            row.allowed = Some(number(e.limit));
        }
        Entry::Halt(e) => {
            let it = names.about(region, e.venue, e.instrument);
            row.kind = if e.is_halted { "halt" } else { "resume" };
            row.rule = Some((names.names.rule)(e.rule));
            row.venue = Some(e.venue.name());
            row.symbol = it.map(|it| Word(it.symbol));
            row.who = (!e.who.is_empty()).then_some(Word(e.who));
            let it = it.unwrap_or(NOTHING);
            let number = |n| Numeric::decimal((names.names.rule_number)(e.rule, &it, n));
            row.observed = Some(number(e.observed));
            row.allowed = Some(number(e.limit));
        }
        Entry::Switch(e) => {
            row.rule = Some(if e.is_killed { "kill" } else { "arm" });
            row.who = Some(Word(e.who));
            row.detail = Some(e.why.as_str().replace('\0', " "));
        }
        Entry::Balance(e) => {
            let name = region.assets().get(e.asset);
            let name = name.map_or_else(|| format!("#{}", e.asset.0), |it| it.as_str().to_owned());
            row.rule = Some(e.cause.name());
            row.venue = Some(e.venue.name());
            row.detail = Some(format!(
                "{name}: {} by the venue's word, {} by our fills, {} may be between them",
                e.theirs, e.ours, e.allowed
            ));
        }
        Entry::Reconcile(e) => {
            row.venue = Some(e.venue.name());
            row.rule = Some(e.cause.name());
            row.detail = Some(format!(
                "open {}, unknown {}, adopted {}, missing {}, other quantity {}, late fills {}, positions {} ({} \
                 corrected), balances {} ({} corrected)",
                e.open_orders,
                e.unknown,
                e.adopted,
                e.missing,
                e.other_qty,
                e.late_fills,
                e.positions_differed,
                e.positions_corrected,
                e.balances_differed,
                e.balances_corrected
            ));
        }
        Entry::Limits(e) => {
            let it = names.instrument(region, VenueId(0), e.instrument);
            row.venue = Some(it.venue.name());
            row.symbol = Some(Word(it.symbol));
            row.allowed = Some(Numeric::qty(&it, e.position_max));
            row.who = (!e.who.is_empty()).then_some(Word(e.who));
            row.detail = Some(format!(
                "version {}, order_qty_max {}, position_max {}, collar_bps {}, orders_per_s_max {}, \
                 book_age_ms_max {}",
                e.version,
                it.qty_decimal(e.order_qty_max),
                it.qty_decimal(e.position_max),
                e.collar_bps,
                e.orders_per_s_max,
                e.book_age_ms_max
            ));
        }
        Entry::NodeLimit(e) => {
            let number = |value: i128| {
                let is_money = e.what >= entry::NodeLimit::FIRST_AMOUNT;
                if is_money {
                    Numeric::notional(Notional(value))
                } else {
                    integer(i64::try_from(value).unwrap_or(i64::MAX))
                }
            };
            row.rule = Some(e.name());
            row.symbol = region
                .assets()
                .get(e.asset)
                .map(|it| Word(Text::lossy(it.as_str())));
            row.observed = Some(number(e.before));
            row.allowed = Some(number(e.now));
            row.who = (!e.who.is_empty()).then_some(Word(e.who));
            row.detail = Some(format!("version {}", e.version));
        }
        Entry::Strategy(e) => {
            row.rule = Some(e.cause.name());
            row.strategy = Some(i32::from(e.strategy.0));
            row.observed = (e.cause == StrategyCause::Set).then(|| integer(e.value));
            row.who = (!e.who.as_str().is_empty()).then_some(Word(e.who));
            let detail = e.detail.as_str().replace('\0', " ");
            row.detail = Some(match detail.as_str() {
                "" => e.state.name().to_owned(),
                detail => format!("{}: {detail}", e.state.name()),
            });
        }
        _ => {}
    }
    row
}
