//! The recording through each backtest, with the same market maker and without orders.

use crate::Args;
use crate::books::vector;
use crate::recording::{Change, LOT, Recording, TICK, What};
use anyhow::{anyhow, ensure};
use dp_capture::Capture;
use hftbacktest::backtest::assettype::LinearAsset;
use hftbacktest::backtest::data::{Data, DataSource};
use hftbacktest::backtest::models::{
    CommonFees, ConstantLatency, PowerProbQueueFunc3, ProbQueueModel, TradingValueFeeModel,
};
use hftbacktest::backtest::{Backtest, ExchangeKind, L2AssetBuilder};
use hftbacktest::prelude::{
    ApplySnapshot, Bot, ElapseResult, Event, HashMapMarketDepth, INVALID_MAX, INVALID_MIN,
    L2MarketDepth, MarketDepth, OrdType, Status, TimeInForce,
};
use hftbacktest::types::{
    BUY_EVENT, DEPTH_CLEAR_EVENT, DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, EXCH_EVENT, LOCAL_EVENT,
    SELL_EVENT, TRADE_EVENT,
};
use serde::Serialize;
use std::hint::black_box;
use std::time::Instant;

/// As `dataplane/backtest/example.toml` has them: 300 us to the venue and back, 200 us of market data.
const ORDER_NS: i64 = 300_000;
const FEED_NS: i64 = 200_000;
/// The market maker's.
const REQUOTE_NS: i64 = 250_000_000;
const HALF_SPREAD_TICKS: i64 = 500;
const REQUOTE_TICKS: i64 = 100;
const QTY: f64 = 0.01;
const POSITION_MAX: f64 = 0.05;
/// Between two runs of the recording, ns.
const PAUSE_NS: i64 = 1_000_000_000;

/// One loop.
#[derive(Debug, Serialize)]
pub struct Row {
    name: &'static str,
    /// Level changes and trades gone through in a round, the snapshots in them.
    count: u64,
    /// The venue's messages in a round; only ours reads those.
    messages: Option<u64>,
    /// Orders sent in a round.
    orders: u64,
    /// Of each round.
    seconds: Vec<f64>,
}

/// What one run did.
struct Run {
    seconds: f64,
    orders: u64,
    messages: Option<u64>,
}

/// When hftbacktest's strategy is called.
#[derive(Debug, Clone, Copy)]
enum Drive {
    /// Every [`REQUOTE_NS`], as its examples do.
    Paced,
    /// At every event of the market.
    Fed,
    /// Never.
    Idle,
}

type Entrant<'a> = (&'static str, Box<dyn Fn() -> anyhow::Result<Run> + 'a>);

/// All loops, each round in another order. Errors: a recording, a configuration, or a loop that stops.
pub fn run(
    recording: &Recording,
    args: &Args,
    notes: &mut Vec<String>,
) -> anyhow::Result<Vec<Row>> {
    let events = &events(recording, args.repeat);
    let range = recording.range();
    let by_vector = move |drive| hft(events, move || vector(range), drive);
    let by_map = move || hft(events, || HashMapMarketDepth::new(TICK, LOT), Drive::Paced);
    let entrants: Vec<Entrant<'_>> = vec![
        ("spinlane", Box::new(|| ours(recording, args, true))),
        (
            "spinlane, no orders",
            Box::new(|| ours(recording, args, false)),
        ),
        (
            "spinlane, file read, nothing else",
            Box::new(|| read_alone(recording, args.repeat)),
        ),
        (
            "hftbacktest ROIVector, every 250 ms",
            Box::new(move || by_vector(Drive::Paced)),
        ),
        (
            "hftbacktest ROIVector, every event",
            Box::new(move || by_vector(Drive::Fed)),
        ),
        (
            "hftbacktest ROIVector, no orders",
            Box::new(move || by_vector(Drive::Idle)),
        ),
        ("hftbacktest HashMap, every 250 ms", Box::new(by_map)),
    ];
    // Each run begins by emptying the book, which is nobody's event.
    let count = (events.len() - args.repeat as usize) as u64;
    let row = |(name, _): &Entrant<'_>| Row {
        name,
        count,
        messages: None,
        orders: 0,
        seconds: Vec::new(),
    };
    let mut rows: Vec<Row> = entrants.iter().map(row).collect();
    for round in 0..args.backtest_rounds as usize {
        for turn in 0..entrants.len() {
            let at = (turn + round) % entrants.len();
            let run = entrants[at].1()?;
            let row = &mut rows[at];
            row.seconds.push(run.seconds);
            (row.orders, row.messages) = (run.orders, run.messages);
        }
    }
    notes.push(
        "backtest: ours unpacks and reads the venue's text (quotes too, which are not counted among levels and trades), \
         proves the book, calls the strategy at every message, and runs its gate, orders, journal, curve and digest; \
         hftbacktest is given prepared binary events in memory and keeps orders, position and fees; same delays, fees, \
         quoting rule, each its own queue model"
            .to_owned(),
    );
    Ok(rows)
}

fn ours(recording: &Recording, args: &Args, has_orders: bool) -> anyhow::Result<Run> {
    let file = recording.path.display();
    let mut options = dp_backtest::Options::of(&dp_backtest::Args {
        config: args.config.clone(),
        strategies: Vec::new(),
        feed_us: None,
        order_us: None,
        answer_us: None,
        latency: None,
        queue: None,
        seed: None,
        repeat: args.repeat,
        files: vec![format!("binance={file}")],
    })?;
    for strategy in &mut options.config.strategy {
        strategy.start &= has_orders;
    }
    let begin = Instant::now();
    let report = dp_backtest::run(&options, &dp_strategy::SHIPPED)?;
    let seconds = begin.elapsed().as_secs_f64();
    ensure!(
        report.lost_records == 0 && report.decode_errors == 0,
        "{file}: our backtest lost something"
    );
    let markets = report.strategies.iter().flat_map(|it| &it.instruments);
    let orders = markets.map(|it| it.orders).sum();
    ensure!(
        (orders > 0) == has_orders,
        "{file}: our backtest sent {orders} orders"
    );
    Ok(Run {
        seconds,
        orders,
        messages: Some(report.messages),
    })
}

/// What of ours is reading the file: unpacked, and its lines parsed.
fn read_alone(recording: &Recording, repeat: u32) -> anyhow::Result<Run> {
    let begin = Instant::now();
    let mut messages = 0;
    for _ in 0..repeat {
        let mut capture = Capture::open(&recording.path)?;
        while let Some(record) = capture.next_record()? {
            messages += u64::from(black_box(record).is_message());
        }
    }
    Ok(Run {
        seconds: begin.elapsed().as_secs_f64(),
        orders: 0,
        messages: Some(messages),
    })
}

/// The recording in hftbacktest's form, one run after the other, each begun with an empty book and the snapshot.
fn events(recording: &Recording, repeat: u32) -> Vec<Event> {
    let begin = recording.begin_ns;
    let end = recording.steps.last().map_or(begin, |(at, _)| *at);
    let span = end - begin + PAUSE_NS;
    let mut all = Vec::new();
    for run in 0..i64::from(repeat) {
        let shift = run * span;
        let nothing = Change {
            is_bid: true,
            price: 0,
            qty: 0,
        };
        all.push(event(&nothing, DEPTH_CLEAR_EVENT, begin + shift));
        let at = begin + shift;
        all.extend(
            recording
                .snapshot
                .iter()
                .map(|it| event(it, DEPTH_SNAPSHOT_EVENT | side(it), at)),
        );
        for (at, what) in &recording.steps {
            let at = at + shift;
            match what {
                What::Depth(message) => {
                    all.extend(
                        message
                            .levels
                            .iter()
                            .map(|it| event(it, DEPTH_EVENT | side(it), at)),
                    );
                }
                What::Trade(trade) => all.push(event(trade, TRADE_EVENT | side(trade), at)),
            }
        }
    }
    all
}

const fn side(change: &Change) -> u64 {
    if change.is_bid { BUY_EVENT } else { SELL_EVENT }
}

fn event(change: &Change, kind: u64, local_ts: i64) -> Event {
    Event {
        ev: kind | EXCH_EVENT | LOCAL_EVENT,
        exch_ts: local_ts - FEED_NS,
        local_ts,
        px: change.price_f64(),
        qty: change.qty_f64(),
        order_id: 0,
        ival: 0,
        fval: 0.0,
    }
}

fn hft<D>(events: &[Event], depth: impl Fn() -> D + 'static, drive: Drive) -> anyhow::Result<Run>
where
    D: MarketDepth + L2MarketDepth + ApplySnapshot + 'static,
{
    let asset = L2AssetBuilder::new()
        .data(vec![DataSource::Data(Data::from_data(events))])
        .latency_model(ConstantLatency::new(ORDER_NS, ORDER_NS))
        .asset_type(LinearAsset::new(1.0))
        .fee_model(TradingValueFeeModel::new(CommonFees::new(0.0, 0.0004)))
        .exchange(ExchangeKind::NoPartialFillExchange)
        .queue_model(ProbQueueModel::new(PowerProbQueueFunc3::new(3.0)))
        .depth(depth)
        .build()
        .map_err(|error| anyhow!("hftbacktest: {error:?}"))?;
    let hbt = Backtest::builder().add_asset(asset).build();
    let mut hbt = hbt.map_err(|error| anyhow!("hftbacktest: {error:?}"))?;
    let mut maker = Maker::default();
    let begin = Instant::now();
    loop {
        let next = match drive {
            Drive::Paced | Drive::Idle => hbt.elapse(REQUOTE_NS),
            Drive::Fed => hbt.wait_next_feed(false, REQUOTE_NS),
        };
        if next.map_err(failed)? == ElapseResult::EndOfData {
            break;
        }
        if !matches!(drive, Drive::Idle) {
            maker.quote(&mut hbt)?;
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    hbt.close().map_err(failed)?;
    ensure!(
        (maker.sent > 0) != matches!(drive, Drive::Idle),
        "hftbacktest: {} orders sent",
        maker.sent
    );
    Ok(Run {
        seconds,
        orders: maker.sent,
        messages: None,
    })
}

fn failed(error: impl core::fmt::Debug) -> anyhow::Error {
    anyhow!("hftbacktest: {error:?}")
}

/// Two quotes around mid, moved when mid has moved, at most every [`REQUOTE_NS`]; as the shipped market maker.
#[derive(Default)]
struct Maker {
    sent: u64,
    /// The bid, the ask.
    quotes: [Quote; 2],
}

/// One of the two.
#[derive(Default)]
struct Quote {
    /// Of its live order; 0 = none.
    id: u64,
    /// Its price, ticks.
    at: i64,
    /// When it was last sent or moved.
    when: i64,
}

impl Maker {
    fn quote<D: MarketDepth>(&mut self, hbt: &mut Backtest<D>) -> anyhow::Result<()> {
        let (bid, ask) = (hbt.depth(0).best_bid_tick(), hbt.depth(0).best_ask_tick());
        if bid == INVALID_MIN || ask == INVALID_MAX {
            return Ok(());
        }
        let (mid, position, now) = (
            i64::midpoint(bid, ask),
            hbt.position(0),
            hbt.current_timestamp(),
        );
        for (sign, quote) in [1, -1].into_iter().zip(&mut self.quotes) {
            if now - quote.when < REQUOTE_NS {
                continue;
            }
            let wanted = mid - sign * HALF_SPREAD_TICKS;
            let live = hbt.orders(0).get(&quote.id).map(|order| order.status);
            if live == Some(Status::New) {
                if (wanted - quote.at).abs() > REQUOTE_TICKS {
                    let _ = hbt.cancel(0, quote.id, false).map_err(failed)?;
                    quote.when = now;
                }
                continue;
            }
            if live == Some(Status::None) || position * sign as f64 + QTY > POSITION_MAX {
                continue;
            }
            hbt.clear_inactive_orders(Some(0));
            self.sent += 1;
            *quote = Quote {
                id: self.sent,
                at: wanted,
                when: now,
            };
            let (price, tif, kind) = (wanted as f64 * TICK, TimeInForce::GTX, OrdType::Limit);
            let _ = if sign > 0 {
                hbt.submit_buy_order(0, self.sent, price, QTY, tif, kind, false)
            } else {
                hbt.submit_sell_order(0, self.sent, price, QTY, tif, kind, false)
            }
            .map_err(failed)?;
        }
        Ok(())
    }
}
