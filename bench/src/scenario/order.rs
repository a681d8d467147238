//! The order table: steps of an order's life, look-up from a thousand to a million live orders, and the
//! text of a new order; and, of each venue, the bytes of a new order, an amend and a cancel.

use super::book::instrument;
use crate::data::{MESSAGES, Random};
use crate::meter::Meter;
use dp_oms::{FillOutcome, Oms, Room};
use dp_types::{
    AssetId, ClientOrderId, Decimal, Epoch, FillReport, Instrument, InstrumentId, LaneId,
    Liquidity, NewOrder, Now, OrderId, OrderKind, OrderReport, OrderState, Price, Qty,
    RejectReason, Side, StrategyId, Tif, TradeId, UnixNanos, VenueId, VenueNanos,
};
use dp_venue_api::Registry;
use dp_venue_binance::entry::Signing;
use dp_wire::buf::Buf;

const LIVE: [(usize, &str); 4] = [
    (1_000, "look up, 1,000 live"),
    (10_000, "look up, 10,000 live"),
    (100_000, "look up, 100,000 live"),
    (1_000_000, "look up, 1,000,000 live"),
];

const WORKING: [(usize, &str); 4] = [
    (0, "exposure, nothing live"),
    (10, "exposure, 10 live"),
    (100, "exposure, 100 live"),
    (1_000, "exposure, 1,000 live"),
];

pub fn run(meter: &mut Meter) -> anyhow::Result<()> {
    meter.begin("order");
    let instrument = instrument();
    life(meter, &instrument)?;
    exposure(meter);
    for (live, name) in LIVE {
        look_up(meter, live, name)?;
    }
    random_reads(meter);
    encode(meter, &instrument);
    super::entry::run(meter)
}

fn draft(client_id: ClientOrderId, at: usize) -> NewOrder {
    let side = if at.is_multiple_of(2) {
        Side::Buy
    } else {
        Side::Sell
    };
    NewOrder {
        instrument: InstrumentId(0),
        client_id,
        side,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(6_500_000 - side.sign() * (1 + at as i64 % 97)),
        qty: Qty(1_000 + at as i64 % 89),
    }
}

fn admit(oms: &mut Oms, at: usize) -> Option<ClientOrderId> {
    let id = oms.next_id().ok()?;
    oms.admit(
        &draft(id, at),
        VenueId::BINANCE,
        StrategyId(0),
        UnixNanos(at as u64),
    )
    .ok()?;
    Some(id)
}

fn ack(id: ClientOrderId) -> OrderReport {
    OrderReport {
        instrument: InstrumentId(0),
        client_id: Some(id),
        order_id: OrderId(u128::from(id.0)),
        side: None,
        state: OrderState::Ack,
        reason: RejectReason::None,
        price: None,
        qty: None,
        cum: None,
        venue_ns: VenueNanos(1),
    }
}

fn fill(id: ClientOrderId, qty: Qty, trade: usize) -> FillReport {
    FillReport {
        instrument: InstrumentId(0),
        client_id: Some(id),
        order_id: OrderId(u128::from(id.0)),
        trade_id: TradeId(trade as u128),
        side: Side::Buy,
        price: Decimal {
            mantissa: 6_500_000,
            exponent: -2,
        },
        qty: Decimal {
            mantissa: qty.0,
            exponent: -5,
        },
        cum: Some(Decimal {
            mantissa: qty.0,
            exponent: -5,
        }),
        fee: Decimal::ZERO,
        fee_asset: AssetId::NONE,
        liquidity: Liquidity::Maker,
        venue_ns: VenueNanos(1),
    }
}

/// One table as a lane has it, and the order whose turn it is.
struct Rig {
    oms: Oms,
    id: Option<ClientOrderId>,
    qty: Qty,
    at: usize,
    done: u64,
}

/// Each step timed on an order of its own; orders end by a fill, so the table turns over as it would live.
fn life(meter: &mut Meter, instrument: &Instrument) -> anyhow::Result<()> {
    let mut rig = Rig {
        oms: Oms::new(Epoch(1), LaneId(0), 1),
        id: None,
        qty: Qty(0),
        at: 0,
        done: 0,
    };
    // 100 others stay live beside it.
    for at in 0..100 {
        admit(&mut rig.oms, at);
    }
    let finish = |rig: &mut Rig, at: usize| {
        if let Some(order) = rig.id.take().and_then(|id| rig.oms.get(id)).copied() {
            let fill = fill(order.client_id, order.leaves(), rig.at);
            if !order.state.is_final() {
                rig.oms.on_fill(&fill, instrument);
            }
        }
        rig.at += 1;
        rig.qty = Qty(1_000 + at as i64 % 89);
    };
    let start = |rig: &mut Rig, at: usize| {
        finish(rig, at);
        rig.id = admit(&mut rig.oms, at);
    };
    let sent = |rig: &mut Rig, at: usize| {
        start(rig, at);
        rig.id.and_then(|id| rig.oms.on_sent(id, UnixNanos(1)));
    };
    meter.each_on("admit", &mut rig, finish, |rig| {
        rig.id = admit(&mut rig.oms, rig.at);
        rig.done += u64::from(rig.id.is_some());
    });
    meter.each_on("sent", &mut rig, start, |rig| {
        let change = rig.id.and_then(|id| rig.oms.on_sent(id, UnixNanos(1)));
        rig.done += u64::from(change.is_some());
    });
    meter.each_on("acknowledged", &mut rig, sent, |rig| {
        let change = rig
            .id
            .and_then(|id| rig.oms.on_report(&ack(id), instrument, UnixNanos(1)));
        rig.done += u64::from(change.is_some());
    });
    meter.each_on("filled whole", &mut rig, sent, |rig| {
        let Some(order) = rig.id.and_then(|id| rig.oms.get(id)).copied() else {
            return;
        };
        let report = fill(order.client_id, order.qty, rig.at);
        let outcome = rig.oms.on_fill(&report, instrument);
        rig.done += u64::from(matches!(outcome, FillOutcome::Counted { .. }));
    });
    let asked: u64 = meter.rows.iter().rev().take(4).map(|row| row.ops).sum();
    anyhow::ensure!(
        rig.done >= asked,
        "{} of {asked} steps were taken",
        rig.done
    );
    Ok(())
}

/// What works on one instrument, as the gate is told before each order.
fn exposure(meter: &mut Meter) {
    for (live, name) in WORKING {
        let mut oms = Oms::new(Epoch(1), LaneId(0), 1);
        for at in 0..live {
            admit(&mut oms, at);
        }
        meter.batch(name, |_| oms.exposure(InstrumentId(0)));
    }
}

/// Random live orders among `live`: flat but for the caches.
fn look_up(meter: &mut Meter, live: usize, name: &str) -> anyhow::Result<()> {
    let room = Room {
        live,
        finals: 16,
        fills: 16,
    };
    let mut oms = Oms::with_room(Epoch(1), LaneId(0), 1, room);
    let ids: Vec<ClientOrderId> = (0..live).filter_map(|at| admit(&mut oms, at)).collect();
    anyhow::ensure!(ids.len() == live, "{} of {live} admitted", ids.len());
    let mut random = Random::new(3);
    // Distinct ones beyond what a first-level cache holds.
    let asked: Vec<ClientOrderId> = (0..64 * MESSAGES)
        .map(|_| ids[random.below(live as u64) as usize])
        .collect();
    meter.batch(name, |at| {
        oms.get(asked[at % asked.len()]).map(|order| order.qty)
    });
    Ok(())
}

/// What the caches alone cost at the largest size: one read of a random line of as much memory.
fn random_reads(meter: &mut Meter) {
    let (lines, _) = LIVE[LIVE.len() - 1];
    let memory = vec![[1u64; 24]; lines];
    let mut random = Random::new(3);
    let asked: Vec<usize> = (0..64 * MESSAGES)
        .map(|_| random.below(lines as u64) as usize)
        .collect();
    meter.batch("floor: read as much memory", |at| {
        memory[asked[at % asked.len()]][7]
    });
}

fn encode(meter: &mut Meter, instrument: &Instrument) {
    let orders: Vec<NewOrder> = (0..MESSAGES)
        .filter_map(|at| {
            let id = ClientOrderId::new(Epoch(1), LaneId(0), at as u32)?;
            Some(draft(id, at))
        })
        .collect();
    let made = "new order from a template, OKX";
    let mut registry = Registry::new();
    let id = registry.register(VenueId::OKX, "BTC-USDT", 2, 5).ok();
    let okx = id.and_then(|id| registry.get(id)).copied();
    let okx = okx.unwrap_or(*instrument);
    let mut templates = dp_venue_okx::template::Templates::default();
    templates.refresh(&registry, &[okx.id]);
    meter.batch(made, |at| {
        let order = &orders[at % orders.len()];
        let text = templates.new_order(&okx, order, now(at), 1_000);
        text.map_or(0, <[u8]>::len)
    });
    let mut text = Vec::with_capacity(4_096);
    meter.batch("text of a new order, OKX", |at| {
        text.clear();
        let order = &orders[at % orders.len()];
        dp_venue_okx::entry::write_new(&okx, order, now(at), 1_000, &mut text);
        text.len()
    });
    meter.is_peer_of(made);

    let made = "new order from a template, Binance";
    let mut registry = Registry::new();
    let id = registry.register(VenueId::BINANCE, "BTCUSDT", 2, 5).ok();
    let binance = id.and_then(|id| registry.get(id)).copied();
    let binance = binance.unwrap_or(*instrument);
    let mut templates =
        dp_venue_binance::template::Templates::new(&registry, &[binance.id], 1_000, None);
    meter.batch(made, |at| {
        let order = &orders[at % orders.len()];
        let text = templates.new_order(&binance, order, now(at), Signing::Session);
        text.map_or(0, <[u8]>::len)
    });
    let mut text = Buf::new();
    meter.batch("text of a new order, Binance", |at| {
        let order = &orders[at % orders.len()];
        let (now, signing) = (now(at), Signing::Session);
        dp_venue_binance::entry::write_new(&binance, order, now, 1_000, signing, &mut text)
            .map(|()| text.len())
    });
    meter.is_peer_of(made);
}

/// A millisecond after another, as orders go out.
fn now(at: usize) -> Now {
    Now {
        unix: UnixNanos::from_millis(1_760_000_000_000 + at as u64),
        ..Now::default()
    }
}
