//! Any entry at all.

use dp_journal::entry::{Balance, *};
use dp_types::*;
use proptest::prelude::*;

/// Fields are drawn from these by number: every entry kind with every combination of edge values.
#[derive(Debug, Clone)]
pub struct Draw {
    kind: usize,
    small: [u8; 8],
    words: [i64; 8],
    wide: [i128; 5],
    text: String,
}

pub fn draw() -> impl Strategy<Value = Draw> {
    let text = "[a-zé ]{0,20}";
    (
        0usize..20,
        any::<[u8; 8]>(),
        any::<[i64; 8]>(),
        any::<[i128; 5]>(),
        text,
    )
        .prop_map(|(kind, small, words, wide, text)| Draw {
            kind,
            small,
            words,
            wide,
            text,
        })
}

pub fn entry() -> impl Strategy<Value = Entry> {
    draw().prop_map(|draw| draw.entry())
}

impl Draw {
    fn id(&self) -> ClientOrderId {
        let epoch = Epoch(self.words[0].unsigned_abs() as u16 % Epoch::MAX + 1);
        let sequence = self.words[1] as u32 & ClientOrderId::SEQUENCE_MAX;
        ClientOrderId::new(epoch, LaneId(self.small[0] % 16), sequence).unwrap()
    }

    fn maybe_id(&self) -> Option<ClientOrderId> {
        (self.small[7] & 1 == 0).then(|| self.id())
    }

    fn side(&self) -> Side {
        if self.small[1] & 1 == 0 {
            Side::Buy
        } else {
            Side::Sell
        }
    }

    fn kind(&self) -> OrderKind {
        OrderKind::from_raw(self.small[2] % 3 + 1).unwrap()
    }

    fn tif(&self) -> Tif {
        Tif::from_raw(self.small[3] % 3 + 1).unwrap()
    }

    fn state(&self) -> OrderState {
        OrderState::ALL[usize::from(self.small[4]) % 9]
    }

    pub fn entry(&self) -> Entry {
        let [_, _, a, b, c, d, e, f] = self.words;
        let instrument = InstrumentId(a as u32);
        let venue = VenueId(self.small[5]);
        let strategy = StrategyId(b as u16);
        let order_id = OrderId(self.wide[0] as u128);
        let client_id = self.id();
        match self.kind {
            0 => Entry::EpochStart(EpochStart { starts: a as u64 }),
            1 => Entry::OrderIntent(OrderIntent {
                client_id,
                instrument,
                venue,
                strategy,
                side: self.side(),
                kind: self.kind(),
                tif: self.tif(),
                price: Price(c),
                qty: Qty(d),
                level: Durability::from_raw(self.small[6] % 3 + 1).unwrap(),
            }),
            2 => Entry::CancelIntent(CancelIntent {
                client_id,
                instrument,
                venue,
                order_id,
            }),
            3 => Entry::AmendIntent(AmendIntent {
                client_id,
                instrument,
                venue,
                order_id,
                price: (self.small[6] & 1 == 0).then_some(Price(c)),
                qty: (self.small[6] & 2 == 0).then_some(Qty(d)),
            }),
            4 => Entry::OrderUpdate(OrderUpdate {
                client_id,
                order_id,
                instrument,
                venue,
                state: self.state(),
                reason: RejectReason::from_raw(self.small[6] % 15).unwrap(),
                code: b as i32,
                cum_qty: Qty(c),
                price: Price(d),
                qty: Qty(e),
                venue_ns: VenueNanos(f as u64),
            }),
            5 => Entry::Fill(Fill {
                client_id: self.maybe_id(),
                order_id,
                trade_id: TradeId(self.wide[1] as u128),
                instrument,
                venue,
                side: self.side(),
                price: Price(c),
                qty: Qty(d),
                fee: Decimal {
                    mantissa: e,
                    exponent: self.small[6] as i8,
                },
                fee_asset: AssetId(b as u16),
                liquidity: Liquidity::from_raw(self.small[4] % 3).unwrap(),
                venue_ns: VenueNanos(f as u64),
            }),
            6 => Entry::Position(Position {
                strategy,
                instrument,
                venue,
                qty: Qty(c),
                cost: Notional(self.wide[1]),
                realised: Notional(self.wide[2]),
                unrealised: Notional(self.wide[3]),
                fees: Notional(self.wide[4]),
                mark: Price(d),
                fills: e as u64,
                base_fees: f,
            }),
            7 => Entry::Risk(Risk {
                rule: self.small[6],
                client_id: self.maybe_id(),
                instrument,
                venue,
                strategy,
                observed: c,
                limit: d,
            }),
            8 => Entry::Switch(Switch {
                is_killed: self.small[6] & 1 == 0,
                changes: a as u64 >> 1,
                who: Text::lossy(&self.text),
                why: Text::lossy(&self.text.repeat(3)),
            }),
            9 => Entry::Reconcile(Reconcile {
                venue,
                open_orders: a as u32,
                unknown: b as u32,
                adopted: c as u32,
                cause: ReconcileCause::from_raw(self.small[4] % 6).unwrap(),
                began: UnixNanos(d as u64),
                compared: d as u32,
                missing: e as u32,
                other_qty: f as u32,
                late_fills: self.words[0] as u32,
                positions_differed: self.words[1] as u32,
                positions_corrected: self.words[2] as u32,
                balances_differed: !a as u32,
                balances_corrected: !b as u32,
            }),
            10 => Entry::Signal(Signal {
                strategy,
                instrument,
                value: c,
            }),
            11 => Entry::Limits(Limits {
                version: b as u64,
                instrument,
                order_qty_max: Qty(c),
                position_max: Qty(d),
                collar_bps: e as u32,
                orders_per_s_max: f as u32,
                book_age_ms_max: self.words[0] as u32,
                who: Text::lossy(&self.text),
            }),
            16 => Entry::NodeLimit(NodeLimit {
                version: b as u64,
                what: self.small[4] % NodeLimit::NAMES.len() as u8,
                asset: AssetId(self.small[5].into()),
                before: self.wide[1],
                now: self.wide[2],
                who: Text::lossy(&self.text),
            }),
            12 => Entry::Halt(Halt {
                venue,
                instrument: (self.small[6] & 1 == 0).then_some(instrument),
                is_halted: self.small[6] & 2 == 0,
                rule: self.small[5],
                observed: c,
                limit: d,
                who: Text::lossy(&self.text),
            }),
            13 => Entry::Equity(Equity {
                day: b as u64,
                at_midnight: Notional(self.wide[1]),
                highest: Notional(self.wide[2]),
                now: Notional(self.wide[3]),
            }),
            14 => Entry::Strategy(StrategyEvent {
                strategy,
                state: StrategyState::from_raw(self.small[4] % 5).unwrap(),
                cause: StrategyCause::from_raw(self.small[5] % 8).unwrap(),
                param: self.small[6],
                value: c,
                who: Text::lossy(&self.text),
                detail: Text::lossy(&self.text),
            }),
            15 => Entry::Balance(Balance {
                venue,
                asset: AssetId(a as u16),
                cause: BalanceCause::from_raw(self.small[4] % 5).unwrap(),
                ours: Notional(self.wide[1]),
                theirs: Notional(self.wide[2]),
                allowed: Notional(self.wide[3]),
            }),
            18 => Entry::Pair(Pair {
                strategy,
                instrument,
                result: PairResult {
                    base: self.wide[0],
                    bought_at: Notional(self.wide[1]),
                    sold_at: Notional(self.wide[2]),
                    fees: Notional(self.wide[3]),
                    fees_unknown: a as u32,
                    net: Notional(self.wide[4]),
                    hedges: b as u32,
                },
            }),
            17 => Entry::Funding(Funding {
                strategy,
                instrument,
                venue,
                payment: (self.small[6] & 1 == 0).then_some(TradeId(order_id.0)),
                share: Notional(self.wide[1]),
                sum: Notional(self.wide[2]),
                amount: Decimal {
                    mantissa: c,
                    exponent: self.small[5] as i8,
                },
                asset: AssetId(self.small[4].into()),
                mark: Price(d),
                venue_ns: VenueNanos(b as u64),
            }),
            _ => Entry::Checkpoint(Checkpoint {
                order: LiveOrder {
                    instrument,
                    client_id,
                    order_id,
                    side: self.side(),
                    state: self.state(),
                    price: Price(c),
                    leaves: Qty(d),
                    is_cancelling: self.small[6] & 1 == 0,
                    is_amending: self.small[6] & 2 == 0,
                },
                venue,
                strategy,
                kind: self.kind(),
                tif: self.tif(),
                qty: Qty(e),
                filled: Qty(f),
            }),
        }
    }
}
