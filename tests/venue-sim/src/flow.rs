//! Other traders: seeded, so that a run repeats. They keep a book of some 20-50 levels around a wandering
//! price and take from it, which is what fills a client's quotes.
//!
//! ```text
//!  reference price ──random walk, pulled back to the start──▶
//!     │ moved across resting orders: an informed trader takes them
//!     ▼
//!  each Poisson event: take (share) | move the price | place or cancel one order on a level
//! ```
//! Floating point is used for waiting times only, never for a price or a quantity.

use crate::engine::{Cause, Engine, MARKET, NewOrder, PostOnly, Side, Size, Tif};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// How lively the market is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowConfig {
    /// Events per second and instrument; 0 = nobody else trades after the start.
    pub ticks_per_s: u32,
    /// Levels kept on each side.
    pub levels: u32,
    /// Takers per thousand events.
    pub take_permille: u32,
    /// Moves of the reference price per thousand events.
    pub move_permille: u32,
}

impl Default for FlowConfig {
    fn default() -> Self {
        Self {
            ticks_per_s: 100,
            levels: 30,
            take_permille: 120,
            move_permille: 100,
        }
    }
}

/// Events made up in one step at most, so that a long pause is not replayed as one burst.
const CATCH_UP_MAX: u32 = 10_000;

/// The other traders of one instrument.
pub struct Flow {
    inst: usize,
    config: FlowConfig,
    rng: ChaCha8Rng,
    next_ns: u64,
    /// What the price is pulled back to.
    centre: i64,
    reference: i64,
    step: i64,
    lot_usual: i64,
    name: Arc<str>,
}

impl Flow {
    /// The traders of instrument `inst`, first event right after `now`.
    pub fn new(engine: &Engine, inst: usize, config: FlowConfig, seed: u64, now: u64) -> Self {
        let spec = engine.spec(inst);
        // Levels half a hundredth of a per mille apart (65000.00 -> 0.33), at least one tick.
        let step = (spec.price_start / 200_000 / spec.tick).max(1) * spec.tick;
        // About 500 quote units an order.
        let one_lot = spec
            .notional(spec.price_start, spec.lot)
            .unwrap_or(1)
            .max(1);
        let lots = (500 * crate::engine::UNIT / one_lot).clamp(1, 1_000_000_000) as i64;
        Self {
            inst,
            config,
            rng: ChaCha8Rng::seed_from_u64(seed ^ ((inst as u64 + 1) << 40)),
            next_ns: now,
            centre: spec.price_start,
            reference: spec.price_start,
            step,
            lot_usual: (lots * spec.lot).max(spec.qty_min),
            name: Arc::from(""),
        }
    }

    /// Fills the book before anybody looks.
    pub fn open(&mut self, engine: &mut Engine, now: u64) {
        for depth in 0..self.config.levels {
            for side in [Side::Buy, Side::Sell] {
                self.quote(engine, now, side, i64::from(depth));
            }
        }
    }

    /// Runs the events due up to `now`.
    pub fn step(&mut self, engine: &mut Engine, now: u64) {
        if self.config.ticks_per_s == 0 {
            return;
        }
        for _ in 0..CATCH_UP_MAX {
            if self.next_ns > now {
                return;
            }
            let at = self.next_ns;
            self.next_ns = at + self.wait();
            self.event(engine, at);
        }
        self.next_ns = now;
    }

    /// When [`Flow::step`] next has work.
    pub fn next_deadline(&self) -> u64 {
        if self.config.ticks_per_s == 0 {
            u64::MAX
        } else {
            self.next_ns
        }
    }

    /// No event before `at`.
    pub fn rest_until(&mut self, at: u64) {
        self.next_ns = self.next_ns.max(at);
    }

    /// A rest that was to end at one time ends at another.
    pub const fn rest_instead(&mut self, was: u64, at: u64) {
        if self.next_ns == was {
            self.next_ns = at;
        }
    }

    fn wait(&mut self) -> u64 {
        let mean = 1e9 / f64::from(self.config.ticks_per_s);
        let uniform: f64 = self.rng.random();
        (-(1.0 - uniform).ln() * mean) as u64 + 1
    }

    fn event(&mut self, engine: &mut Engine, now: u64) {
        let dice = self.rng.random_range(0..1000);
        if dice < self.config.take_permille {
            self.take(engine, now);
        } else if dice < self.config.take_permille + self.config.move_permille {
            self.wander(engine, now);
        } else {
            let side = self.side();
            // Near levels change most often: the smaller of two draws.
            let levels = i64::from(self.config.levels.max(1));
            let depth = self
                .rng
                .random_range(0..levels)
                .min(self.rng.random_range(0..levels));
            self.refresh(engine, now, side, depth);
        }
    }

    fn side(&mut self) -> Side {
        if self.rng.random() {
            Side::Buy
        } else {
            Side::Sell
        }
    }

    fn price(&self, side: Side, depth: i64) -> i64 {
        let away = (depth + 1) * self.step;
        match side {
            Side::Buy => self.reference - away,
            Side::Sell => self.reference + away,
        }
    }

    fn size(&mut self, engine: &Engine) -> i64 {
        let lot = engine.spec(self.inst).lot;
        let size = self.lot_usual * self.rng.random_range(10..200) / 100;
        (size / lot * lot).max(engine.spec(self.inst).qty_min)
    }

    fn order(&self, side: Side, price: Option<i64>, qty: i64, tif: Tif) -> NewOrder {
        NewOrder {
            account: MARKET,
            inst: self.inst,
            side,
            price,
            size: Size::Base(qty),
            tif,
            post_only: if tif == Tif::Gtc {
                PostOnly::Refuse
            } else {
                PostOnly::No
            },
            client_id: self.name.clone(),
            type_name: "",
            echo: self.name.clone(),
        }
    }

    fn quote(&mut self, engine: &mut Engine, now: u64, side: Side, depth: i64) {
        let price = self.price(side, depth);
        let qty = self.size(engine);
        if price > 0 {
            // Refused when a client's quote is in the way: another trader would look elsewhere too.
            let _ = engine.place(now, self.order(side, Some(price), qty, Tif::Gtc));
        }
    }

    /// Places on a thin level, takes an order off a thick one.
    fn refresh(&mut self, engine: &mut Engine, now: u64, side: Side, depth: i64) {
        let price = self.price(side, depth);
        let is_thin = engine.book(self.inst).count(side, price) < 2;
        let wants_more: u32 = self.rng.random_range(0..100);
        if is_thin && wants_more < 70 {
            self.quote(engine, now, side, depth);
        } else if !is_thin || depth > 0 {
            self.cancel_at(engine, now, side, price);
        }
        self.prune(engine, now, side);
    }

    fn cancel_at(&mut self, engine: &mut Engine, now: u64, side: Side, price: i64) {
        let book = engine.book(self.inst);
        let mine = book
            .levels(side)
            .take_while(|(at, _)| match side {
                Side::Buy => *at >= price,
                Side::Sell => *at <= price,
            })
            .find(|(at, _)| *at == price)
            .and_then(|(_, level)| Self::last_of_market(engine, level.queue.iter().copied()));
        if let Some(id) = mine {
            let _ = engine.cancel(now, id, Cause::User);
        }
    }

    fn last_of_market(engine: &Engine, ids: impl Iterator<Item = u64>) -> Option<u64> {
        ids.filter(|&id| {
            engine
                .order(id)
                .is_some_and(|order| order.ask.account == MARKET)
        })
        .last()
    }

    /// Keeps the book near the reference price: what is too deep goes, one order a time.
    fn prune(&mut self, engine: &mut Engine, now: u64, side: Side) {
        if engine.book(self.inst).depth(side) <= self.config.levels as usize * 2 {
            return;
        }
        let deepest = engine
            .book(self.inst)
            .levels(side)
            .last()
            .and_then(|(_, level)| Self::last_of_market(engine, level.queue.iter().copied()));
        if let Some(id) = deepest {
            let _ = engine.cancel(now, id, Cause::User);
        }
    }

    fn take(&mut self, engine: &mut Engine, now: u64) {
        let side = self.side();
        let qty = self.size(engine);
        let _ = engine.place(now, self.order(side, None, qty, Tif::Ioc));
        self.quote(engine, now, side.opposite(), 0);
    }

    /// Moves the reference by up to three steps, back towards the start more often than away.
    fn wander(&mut self, engine: &mut Engine, now: u64) {
        let away = self.reference - self.centre;
        // The pull grows to certainty at 2 % from the centre.
        let pull = (away * 50 * 500 / self.centre.max(1)).clamp(-500, 500);
        let is_up = self.rng.random_range(0..1000) < 500 - pull;
        let steps: i64 = self.rng.random_range(1..=3);
        self.reference += if is_up { steps } else { -steps } * self.step;
        self.arrive(engine, now, is_up, 3);
    }

    /// News: everybody holds the price for another from now on, by so many millionths.
    pub fn jump(&mut self, engine: &mut Engine, now: u64, ppm: i64) {
        let away = i128::from(self.reference) * i128::from(ppm) / 1_000_000;
        let away = i64::try_from(away).unwrap_or(0) / self.step * self.step;
        // No price is less than a step beyond its whole book.
        let least = self.step * (i64::from(self.config.levels) + 2);
        self.reference = self.reference.saturating_add(away).max(least);
        self.centre = self.reference;
        self.arrive(engine, now, away > 0, i64::from(self.config.levels));
    }

    /// The price has moved: what that leaves behind is taken, and orders are placed around it.
    fn arrive(&mut self, engine: &mut Engine, now: u64, is_up: bool, levels: i64) {
        // Whoever knows the new price takes what it leaves behind.
        let (side, limit) = if is_up {
            (Side::Buy, self.reference)
        } else {
            (Side::Sell, self.reference)
        };
        let stale: i64 = engine
            .book(self.inst)
            .levels(side.opposite())
            .take_while(|(price, _)| match side {
                Side::Buy => *price <= limit,
                Side::Sell => *price >= limit,
            })
            .map(|(_, level)| level.total)
            .sum();
        if stale > 0 {
            let _ = engine.place(now, self.order(side, Some(limit), stale, Tif::Ioc));
        }
        for depth in 0..levels {
            self.quote(engine, now, side, depth);
        }
        self.quote(engine, now, side.opposite(), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Event, Fees, FirstIds, Ledger, Spec};

    fn market(seed: u64) -> (Engine, Flow) {
        let spec = Spec {
            base: "BTC".into(),
            quote: "USDT".into(),
            base_asset: 0,
            quote_asset: 1,
            price_decimals: 2,
            qty_decimals: 5,
            tick: 1,
            lot: 1,
            qty_min: 1,
            qty_max: 900_000_000,
            notional_min: 0,
            price_start: 6_500_000,
            is_contract: false,
        };
        let fees = Fees {
            maker_ppm: 0,
            taker_ppm: 0,
            decimals: 8,
            in_quote: false,
        };
        let mut engine = Engine::new(vec![spec], Ledger::new(1, 2), fees, 1, FirstIds::default());
        let mut flow = Flow::new(&engine, 0, FlowConfig::default(), seed, 0);
        flow.open(&mut engine, 0);
        (engine, flow)
    }

    fn run(seed: u64) -> Vec<String> {
        let (mut engine, mut flow) = market(seed);
        for second in 1..=30 {
            flow.step(&mut engine, second * 1_000_000_000);
        }
        engine
            .drain()
            .iter()
            .map(|event| format!("{event:?}"))
            .collect()
    }

    #[test]
    fn a_jump_moves_both_sides_and_leaves_no_order_behind() {
        for (seed, ppm) in [(1, 2_000), (2, -2_000), (3, -2_000_000)] {
            let (mut engine, mut flow) = market(seed);
            flow.step(&mut engine, 5_000_000_000);
            let mid = |engine: &Engine| {
                let best = |side| engine.book(0).levels(side).next().map(|(price, _)| price);
                best(Side::Buy).zip(best(Side::Sell))
            };
            let (bid, ask) = mid(&engine).unwrap();
            flow.jump(&mut engine, 5_000_000_000, ppm);
            let (low, high) = mid(&engine).unwrap();
            assert!(low < high, "crossed");
            if ppm > 0 {
                assert!(low > ask, "{low} after {ask}");
            } else {
                assert!(high < bid, "{high} after {bid}");
            }
            flow.step(&mut engine, 10_000_000_000);
            let (low, high) = mid(&engine).unwrap();
            assert!(low > 0 && low < high);
        }
    }

    #[test]
    fn a_seed_repeats_and_another_differs() {
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn the_book_stays_two_sided_and_trades_print() {
        let (mut engine, mut flow) = market(1);
        let mut trades = 0;
        for tick in 1..=6_000u64 {
            flow.step(&mut engine, tick * 10_000_000);
            trades += engine
                .drain()
                .iter()
                .filter(|event| matches!(event, Event::Trade(_)))
                .count();
            for side in [Side::Buy, Side::Sell] {
                let depth = engine.book(0).depth(side);
                assert!((5..=70).contains(&depth), "{depth} levels at tick {tick}");
            }
        }
        assert!(trades > 300, "{trades} trades in a minute");
    }
}
