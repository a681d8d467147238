//! One event to its strategies and back: what the engine costs around a strategy that does nothing.

use super::book::instrument;
use crate::meter::Meter;
use crate::scratch::Scratch;
use dp_lane::{Engine, Setup, Wall};
use dp_shm::{Counter, layout::Shape};
use dp_strategy::{Intents, Strategy, View};
use dp_types::{
    Decimal, Epoch, LaneId, Now, QuoteMsg, RawLevel, StrategyId, Tsc, UnixNanos, VenueId,
    VenueNanos,
};
use dp_venue_api::Event;

/// Hears, and wishes for nothing.
struct Listener;

impl Strategy for Listener {
    fn name(&self) -> &'static str {
        "listener"
    }

    fn on_quote(&mut self, view: &View<'_>, quote: &QuoteMsg, _out: &mut Intents) {
        std::hint::black_box((view.position, quote.update_id));
    }
}

pub fn run(meter: &mut Meter) -> anyhow::Result<()> {
    meter.begin("dispatch");
    for (name, listeners) in [
        ("a quote to nobody", 0u16),
        ("a quote to 1 strategy", 1),
        ("a quote to 4 strategies", 4),
    ] {
        let scratch = Scratch::new(&Shape::new(1, 1, 1 << 10, 1 << 8))?;
        let epoch = Epoch(1);
        let region = &scratch.region;
        region.begin_run(epoch, 1_000_000_000, UnixNanos(1));
        region.lease().hold_always(epoch);
        let instrument = instrument();
        let wall = Wall::new(region, region.lane_writer(LaneId(0))?, LaneId(0), epoch);
        let setup = Setup {
            epoch,
            lane: LaneId(0),
            limits: dp_risk::NodeLimits {
                collar_bps: 100,
                orders_per_s_max: 1,
                book_age_ns_max: 1,
            },
            order_window_ns: 1,
            venues: vec![VenueId::BINANCE],
            instruments: vec![instrument],
        };
        let mut engine = Engine::new(wall, setup);
        engine.set_instruments(VenueId::BINANCE, &[instrument]);
        for id in 0..listeners {
            engine.seat(StrategyId(id), &[instrument.id], Box::new(Listener));
        }
        let level = RawLevel {
            price: Decimal {
                mantissa: 6_500_000,
                exponent: -2,
            },
            qty: Decimal {
                mantissa: 1,
                exponent: 0,
            },
        };
        meter.batch_on(
            name,
            &mut engine,
            |_, _| (),
            |engine, at| {
                let quote = Event::Quote(QuoteMsg {
                    instrument: instrument.id,
                    update_id: at as i64,
                    bid: level,
                    ask: level,
                    venue_ns: VenueNanos(0),
                });
                let now = Now {
                    unix: UnixNanos(at as u64),
                    tsc: Tsc(at as u64),
                };
                engine.on_event(&quote, now, Tsc(at as u64));
            },
        );
        let heard = engine.wall.counters.get(Counter::QuoteEvents);
        anyhow::ensure!(heard > 0, "{name}: no quote was heard");
    }
    Ok(())
}
