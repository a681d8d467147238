//! Arbitrage between venues: buys where it is cheap and sells where it is dear, at once, and ends flat.
//!
//! ```text
//!   idle      no order open, nothing unhedged
//!               the best pair of venues pays more than fees and `edge_ppm`  → both legs, immediate or cancel
//!   waiting   an order is open or unknown, or a fill is still to come        → nothing
//!   unhedged  one leg got more than the other                                → immediate order for the difference,
//!               where it costs least; further through the book each time
//! ```
//! What is unhedged is read off the positions, not off what became of single orders: so it is right after a lost answer, a
//! late fill or a restart, and whichever leg failed, in whichever way. Both legs pass the risk gate, or neither leaves.
//!
//! Instruments must be of one base asset and, at par, of one quote asset (USD and USDT count as one), and pay
//! linearly; inverse contracts do not. Quantities are common lots of the venues; less than the smallest order of every
//! venue is left alone.

use crate::scale::{base_pico, lots_within, price_pico};
use crate::{Inputs, Intent, Intents, Kind, Leg, Param, ParamFault, Strategy, Values, View, Wish};
use dp_types::{FillReport, LiveOrder, OrderKind, OrderState, Price, Qty, Side, Tif, UnixNanos};

/// Instruments it can watch.
pub const LEGS_MAX: usize = 4;
const PPM: i128 = 1_000_000;
/// How often a quantity is rounded down to the lots of two venues in turn: one that divides the other needs two.
const LOTS_TRIES: usize = 16;

/// What it is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArbitrageParams {
    /// Largest order, increments of the first instrument.
    pub order_qty: Qty,
    /// Largest position on any venue, increments of the first instrument.
    pub position_max: Qty,
    /// What a pair must pay after fees, millionths of the price bought at.
    pub edge_ppm: i64,
    /// What each venue charges who takes, millionths.
    pub fee_ppm: [i64; LEGS_MAX],
    /// How far through the book an order for what is unhedged may go at first, millionths; each try as far again.
    pub hedge_ppm: i64,
    /// Shortest time between two pairs, and between two tries, nanoseconds.
    pub pause_ns: u64,
}

impl ArbitrageParams {
    const LIST: [Param; 9] = [
        Param::qty("order_qty", "largest order of a leg"),
        Param::qty("position_max", "largest position on any venue"),
        Param::count(
            "edge_ppm",
            200,
            (0, 1_000_000),
            "what a pair must pay after fees, millionths of the price",
        ),
        Param::count(
            "fee_ppm",
            500,
            (-10_000, 100_000),
            "what the first venue charges who takes, millionths",
        ),
        Param::count("fee_ppm_2", 500, (-10_000, 100_000), "the second venue"),
        Param::count("fee_ppm_3", 500, (-10_000, 100_000), "the third venue"),
        Param::count("fee_ppm_4", 500, (-10_000, 100_000), "the fourth venue"),
        Param::count(
            "hedge_ppm",
            500,
            (1, 100_000),
            "how far through the book what is unhedged may go at first, millionths",
        ),
        Param::count(
            "pause_ms",
            100,
            (0, 3_600_000),
            "shortest time between two pairs, ms",
        ),
    ];

    fn of(values: &Values) -> Self {
        Self {
            order_qty: Qty(values.get(0)),
            position_max: Qty(values.get(1)),
            edge_ppm: values.get(2),
            fee_ppm: [3, 4, 5, 6].map(|at| values.get(at)),
            hedge_ppm: values.get(7),
            pause_ns: (values.get(8) as u64).saturating_mul(1_000_000),
        }
    }
}

/// The strategy. Two to four instruments.
#[derive(Debug)]
pub struct Arbitrage {
    params: ArbitrageParams,
    acted: UnixNanos,
    /// Orders for what was unhedged since it last was hedged.
    tries: u32,
}

/// The best of one side of a leg's book, 10^-12 units.
#[derive(Debug, Clone, Copy)]
struct Touch {
    price: i128,
    base: i128,
}

/// A pair that pays.
#[derive(Debug, Clone, Copy)]
struct Chance {
    buy: usize,
    sell: usize,
    /// What it pays a unit, 10^-12 quote units times a million.
    gain: i128,
}

impl Arbitrage {
    /// For the configuration.
    pub const KIND: Kind = Kind {
        name: "arbitrage",
        help: "buys where it is cheap and sells where it is dear, at once, and ends flat",
        params: &ArbitrageParams::LIST,
        legs: (2, LEGS_MAX),
        make: |values| Ok(Box::new(Self::new(ArbitrageParams::of(values)))),
    };

    /// One that has done nothing yet.
    pub const fn new(params: ArbitrageParams) -> Self {
        Self {
            params,
            acted: UnixNanos(0),
            tries: 0,
        }
    }

    fn turn(&mut self, view: &View<'_>, out: &mut Intents) {
        // Of an order whose fate is open, or a fill on its way, nothing can be said yet.
        if !view.live.is_empty() || !view.is_settled {
            return;
        }
        let Some(net) = net_base(view) else { return };
        let is_soon = self.acted.0 > 0 && view.now.unix.since(self.acted) < self.params.pause_ns;
        let wish = if self.is_unhedged(view, net) {
            if is_soon && self.tries > 0 {
                return;
            }
            let wish = self.hedge(view, net);
            self.tries = self.tries.saturating_add(u32::from(wish.is_some()));
            wish.map(Intent::New)
        } else {
            self.tries = 0;
            if is_soon {
                return;
            }
            self.pair(view)
        };
        if let Some(wish) = wish {
            out.push(wish);
            self.acted = view.now.unix;
        }
    }

    // ---- a pair -----------------------------------------------------------------------------------

    fn pair(&self, view: &View<'_>) -> Option<Intent> {
        let chance = self.best_chance(view)?;
        let (buy, sell) = (view.legs.get(chance.buy)?, view.legs.get(chance.sell)?);
        let first = view.legs.get(0)?;
        let most = base_pico(first.instrument, self.params.position_max)?;
        let room = |leg: &Leg<'_>, sign: i128| {
            base_pico(leg.instrument, leg.position).map(|held| most - sign * held)
        };
        let base = base_pico(first.instrument, self.params.order_qty)?
            .min(touch(&buy, Side::Buy)?.base)
            .min(touch(&sell, Side::Sell)?.base)
            .min(room(&buy, 1)?)
            .min(room(&sell, -1)?);
        let (bought, sold) = common_lots(&buy, &sell, base)?;
        let legs = [
            (chance.buy, &buy, Side::Buy, bought),
            (chance.sell, &sell, Side::Sell, sold),
        ];
        let [Some(one), Some(two)] = legs.map(|(at, leg, side, qty)| {
            let price = best(leg, side)?;
            leg.instrument.check(Some(price), qty).ok()?;
            Some(immediate(at, side, price, qty))
        }) else {
            return None;
        };
        Some(Intent::Pair(one, two))
    }

    fn best_chance(&self, view: &View<'_>) -> Option<Chance> {
        let legs = view.legs.count().min(LEGS_MAX);
        let mut found: Option<Chance> = None;
        for buy in 0..legs {
            let Some(ask) = view.legs.get(buy).and_then(|leg| touch(&leg, Side::Buy)) else {
                continue;
            };
            for sell in (0..legs).filter(|sell| *sell != buy) {
                let Some(bid) = view.legs.get(sell).and_then(|leg| touch(&leg, Side::Sell)) else {
                    continue;
                };
                let Some(gain) = self.gain((buy, ask.price), (sell, bid.price)) else {
                    continue;
                };
                if gain >= 0 && found.is_none_or(|found| gain > found.gain) {
                    found = Some(Chance { buy, sell, gain });
                }
            }
        }
        found
    }

    /// What buying here and selling there pays a unit beyond fees and edge, in millionths.
    fn gain(&self, (buy, ask): (usize, i128), (sell, bid): (usize, i128)) -> Option<i128> {
        let fee = |at: usize| self.params.fee_ppm.get(at).copied().map(i128::from);
        let paid = ask.checked_mul(PPM + fee(buy)? + i128::from(self.params.edge_ppm))?;
        bid.checked_mul(PPM - fee(sell)?)?.checked_sub(paid)
    }

    // ---- what is unhedged -------------------------------------------------------------------------

    /// Whether some venue could take what is unhedged: else it is too little for any.
    fn is_unhedged(&self, view: &View<'_>, net: i128) -> bool {
        let side = against(net);
        (0..view.legs.count().min(LEGS_MAX)).any(|at| {
            let leg = view.legs.get(at);
            leg.is_some_and(|leg| self.hedge_on(&leg, side, net).is_some())
        })
    }

    /// An order for it where it costs least, of the venues that may be traded at.
    fn hedge(&self, view: &View<'_>, net: i128) -> Option<Wish> {
        let side = against(net);
        let mut found: Option<(i128, Wish)> = None;
        for at in 0..view.legs.count().min(LEGS_MAX) {
            let Some(leg) = view.legs.get(at).filter(|leg| leg.can_trade) else {
                continue;
            };
            let (Some((price, qty)), Some(touch)) =
                (self.hedge_on(&leg, side, net), touch(&leg, side))
            else {
                continue;
            };
            let fee = i128::from(self.params.fee_ppm.get(at).copied().unwrap_or(0));
            let Some(cost) = touch.price.checked_mul(i128::from(side.sign()) * PPM + fee) else {
                continue;
            };
            if found.is_none_or(|(least, _)| cost < least) {
                found = Some((cost, immediate(at, side, price, qty)));
            }
        }
        found.map(|(_, wish)| wish)
    }

    /// Price and quantity of an order for it on a leg; `None` where that venue takes none so small, or has no book.
    fn hedge_on(&self, leg: &Leg<'_>, side: Side, net: i128) -> Option<(Price, Qty)> {
        let qty = lots_within(leg.instrument, net.checked_abs()?)?;
        let best = best(leg, side)?;
        let through = i128::from(self.params.hedge_ppm) * i128::from(self.tries.min(100) + 1);
        let away = i128::from(best.0).checked_mul(through)? / PPM;
        let away = i64::try_from(away).ok()?;
        let price = match side {
            Side::Buy => leg.instrument.tick_up(Price(best.0.checked_add(away)?)),
            Side::Sell => leg.instrument.tick_down(Price(best.0.checked_sub(away)?)),
        };
        leg.instrument.check(Some(price), qty).ok()?;
        Some((price, qty))
    }
}

/// Base held on all legs together, 10^-12 units. `None` while one is not known.
fn net_base(view: &View<'_>) -> Option<i128> {
    (0..view.legs.count()).try_fold(0i128, |sum, at| {
        let leg = view.legs.get(at)?;
        sum.checked_add(base_pico(leg.instrument, leg.position)?)
    })
}

/// The most within so many 10^-12 base units that is whole lots of both. `None` where none is found soon.
fn common_lots(buy: &Leg<'_>, sell: &Leg<'_>, mut base: i128) -> Option<(Qty, Qty)> {
    for _ in 0..LOTS_TRIES {
        let bought = lots_within(buy.instrument, base)?;
        let bought_base = base_pico(buy.instrument, bought)?;
        let sold = lots_within(sell.instrument, bought_base)?;
        base = base_pico(sell.instrument, sold)?;
        if base == bought_base {
            return Some((bought, sold));
        }
    }
    None
}

const fn against(net: i128) -> Side {
    if net > 0 { Side::Sell } else { Side::Buy }
}

/// The price an order of this side would take at.
fn best(leg: &Leg<'_>, side: Side) -> Option<Price> {
    match side {
        Side::Buy => leg.book.best_ask().map(|level| level.price),
        Side::Sell => leg.book.best_bid().map(|level| level.price),
    }
}

/// What an order of this side would meet first; `None` where the gate would refuse one.
fn touch(leg: &Leg<'_>, side: Side) -> Option<Touch> {
    let level = match side {
        _ if !leg.can_trade => None,
        Side::Buy => leg.book.best_ask(),
        Side::Sell => leg.book.best_bid(),
    }?;
    Some(Touch {
        price: price_pico(leg.instrument, level.price)?,
        base: base_pico(leg.instrument, level.qty)?,
    })
}

const fn immediate(leg: usize, side: Side, price: Price, qty: Qty) -> Wish {
    Wish {
        leg: Some(leg as u8),
        side,
        kind: OrderKind::Limit,
        tif: Tif::Ioc,
        price,
        qty,
    }
}

impl Strategy for Arbitrage {
    fn name(&self) -> &'static str {
        Self::KIND.name
    }

    fn set(&mut self, values: &Values) -> Result<(), ParamFault> {
        self.params = ArbitrageParams::of(values);
        Ok(())
    }

    fn inputs(&self) -> Inputs {
        Inputs::BOOK.and(Inputs::TIMER)
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        self.turn(view, out);
    }

    fn on_fill(&mut self, view: &View<'_>, _fill: &FillReport, out: &mut Intents) {
        self.turn(view, out);
    }

    fn on_order(
        &mut self,
        view: &View<'_>,
        _order: &LiveOrder,
        state: OrderState,
        out: &mut Intents,
    ) {
        if state.is_final() {
            self.turn(view, out);
        }
    }

    fn on_timer(&mut self, view: &View<'_>, out: &mut Intents) {
        self.turn(view, out);
    }
}

#[cfg(test)]
#[path = "arbitrage_tests.rs"]
mod tests;
