//! Arbitrage between venues: buys where it is cheap and sells where it is dear, at once, and ends flat.
//!
//! ```text
//!   idle      no order open, nothing unhedged
//!               the best pair of venues pays more than fees and `edge_ppm`  → both legs, immediate or cancel
//!   waiting   an order is open or unknown, or a fill is still to come        → nothing, for `hedge_after_ms` at most
//!   unhedged  one leg got more than the other                                → immediate order for the difference,
//!               where it costs least; further through the book each time, to `hedge_max_ppm` at most
//! ```
//! What is unhedged is read off the positions, not off what became of single orders: so it is right after a lost answer, a
//! late fill or a restart, and whichever leg failed, in whichever way. Both legs pass the risk gate, or neither leaves.
//!
//! It never stops trying: a venue that refused is passed over for another ([`standing`]) and asked again within a second; an
//! order the gate did not let out is asked again nearer to the market.
//!
//! An order open for longer than `hedge_after_ms` is in doubt (its link is down, say), and nobody guesses what became of it:
//! what is known to be unhedged is hedged on the other legs all the same, and what is too much then is flattened once its
//! fate is told. Orders in doubt can so leave at most `order_qty` beyond what is known unhedged the wrong way, whatever
//! became of them all; no pair begins meanwhile.
//!
//! What a pair made is told when both legs and all that hedged them are done ([`round`]).
//!
//! Instruments must be of one base asset and, at par, of one quote asset (USD and USDT count as one), and pay
//! linearly; inverse contracts do not. Quantities are common lots of the venues; less than the smallest order of every
//! venue is left alone.

mod round;
mod standing;

use crate::scale::{base_pico, lots_within, price_pico};
use crate::{Inputs, Intent, Intents, Kind, Leg, Param, ParamFault, Strategy, Values, View, Wish};
use dp_types::{FillReport, LiveOrder, OrderKind, OrderState, Price, Qty, Side, Tif, UnixNanos};
use round::Round;
use standing::{Standing, Waits};

/// Instruments it can watch.
pub const LEGS_MAX: usize = 4;
const PPM: i128 = 1_000_000;
/// How often a quantity is rounded down to the lots of two venues in turn: one that divides the other needs two.
const LOTS_TRIES: usize = 16;
/// How often a price the gate does not let out is brought half the way to the market: then it is at the market.
const HALVINGS_MAX: u32 = 20;
const MS: u64 = 1_000_000;

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
    /// How far it may go at most, millionths. Below the node's collar: beyond it the gate refuses.
    pub hedge_max_ppm: i64,
    /// How long an order may be open before what is known to be unhedged is hedged without it, nanoseconds. If it is
    /// filled after all, up to `order_qty` is too much until it is told, and is flattened then.
    pub hedge_after_ns: u64,
    /// Shortest time between two pairs, and between two tries, nanoseconds.
    pub pause_ns: u64,
}

impl ArbitrageParams {
    const LIST: [Param; 11] = [
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
        Param::count(
            Arbitrage::HEDGE_MAX,
            5_000,
            (1, 100_000),
            "how far it may go at most, millionths; below the collar",
        ),
        Param::count(
            "hedge_after_ms",
            3_000,
            (100, 3_600_000),
            "how long an order may be open before the other leg is hedged without it, ms; at most order_qty is too much then",
        ),
    ];

    fn of(values: &Values) -> Result<Self, ParamFault> {
        let ns = |at| (values.get(at) as u64).saturating_mul(MS);
        let params = Self {
            order_qty: Qty(values.get(0)),
            position_max: Qty(values.get(1)),
            edge_ppm: values.get(2),
            fee_ppm: [3, 4, 5, 6].map(|at| values.get(at)),
            hedge_ppm: values.get(7),
            hedge_max_ppm: values.get(9),
            hedge_after_ns: ns(10),
            pause_ns: ns(8),
        };
        if params.hedge_ppm > params.hedge_max_ppm {
            let why = "`hedge_ppm` is above `hedge_max_ppm`: lower it, or raise that";
            return Err(ParamFault::Together(why));
        }
        Ok(params)
    }
}

/// The strategy. Two to four instruments.
#[derive(Debug)]
pub struct Arbitrage {
    params: ArbitrageParams,
    acted: UnixNanos,
    /// Orders for what was unhedged that a venue took, since it last was hedged.
    tries: u32,
    /// By how many halvings the price of such an order is nearer than its tries say: the gate let out none further.
    halvings: u32,
    /// The leg and side of such an order that is not known to have left, or to be over.
    asked: Option<(usize, Side)>,
    /// What venues made of orders, by leg and side.
    standings: [[Standing; 2]; LEGS_MAX],
    waits: Waits,
    /// The pair under way.
    round: Option<Round>,
}

/// The best of both sides of a leg's book.
type Touches = [Option<Touch>; 2];

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
        make: |values| Ok(Box::new(Self::new(ArbitrageParams::of(values)?))),
    };
    /// The parameter that must stay below the node's collar, in millionths.
    pub const HEDGE_MAX: &str = "hedge_max_ppm";

    /// One that has done nothing yet.
    pub const fn new(params: ArbitrageParams) -> Self {
        Self {
            params,
            acted: UnixNanos(0),
            tries: 0,
            halvings: 0,
            asked: None,
            standings: [[Standing::GOOD; 2]; LEGS_MAX],
            waits: Waits::NONE,
            round: None,
        }
    }

    fn turn(&mut self, view: &View<'_>, out: &mut Intents) {
        self.hear_what_never_left(view);
        // Of a young order whose fate is open, or a fill on its way, nothing can be said yet.
        let is_open = !view.live.is_empty() || !view.is_settled;
        if self
            .waits
            .is_young(view, is_open, self.params.hedge_after_ns)
        {
            return;
        }
        let Some(net) = net_base(view) else { return };
        let is_soon = self.acted.0 > 0 && view.now.unix.since(self.acted) < self.params.pause_ns;
        if self.is_unhedged(view, net) {
            if is_soon && self.tries > 0 {
                return;
            }
            let most = if is_open {
                self.most_in_doubt(view, net)
            } else {
                net.checked_abs()
            };
            if let Some(wish) = most.and_then(|most| self.hedge(view, against(net), most)) {
                self.asked = wish.leg.map(|leg| (usize::from(leg), wish.side));
                if let Some(round) = &mut self.round {
                    round.hedges = round.hedges.saturating_add(1);
                }
                out.push(Intent::New(wish));
                self.acted = view.now.unix;
            }
            return;
        }
        (self.tries, self.halvings) = (0, 0);
        if is_open || is_soon || self.round.is_some() {
            return;
        }
        if let Some(pair) = self.pair(view) {
            out.push(pair);
            self.acted = view.now.unix;
            self.round = Some(Round::default());
        }
    }

    /// A turn in which what a pair made can be told: every fill that is counted was heard.
    fn turn_and_tell(&mut self, view: &View<'_>, out: &mut Intents) {
        let is_done = view.live.is_empty() && view.is_settled && self.round.is_some();
        if is_done && net_base(view).is_some_and(|net| !self.is_unhedged(view, net)) {
            let round = self.round.take();
            if let Some(result) = round.and_then(|round| round.result()) {
                out.pair_done(result);
            }
        }
        self.turn(view, out);
    }

    /// An order for what is unhedged that is neither open nor was told to be over was not let out: for its price, perhaps.
    fn hear_what_never_left(&mut self, view: &View<'_>) {
        let Some((at, side)) = self.asked else { return };
        if is_open_on(view, at) {
            return;
        }
        self.asked = None;
        self.halvings = (self.halvings + 1).min(HALVINGS_MAX);
        self.refused(at, side, view.now.unix);
    }

    /// An order is over.
    fn on_end(&mut self, view: &View<'_>, side: Side, state: OrderState) {
        let (at, is_refused) = (view.leg, state == OrderState::Rejected);
        if is_refused {
            self.refused(at, side, view.now.unix);
        } else if let Some(standing) = self.standing_mut(at, side) {
            *standing = Standing::GOOD;
        }
        if self.asked == Some((at, side)) {
            self.asked = None;
            if !is_refused {
                self.tries = self.tries.saturating_add(1);
                self.halvings = self.halvings.saturating_sub(1);
            }
        }
    }

    fn refused(&mut self, at: usize, side: Side, now: UnixNanos) {
        if let Some(standing) = self.standing_mut(at, side) {
            standing.refuse(now);
        }
    }

    fn standing_mut(&mut self, at: usize, side: Side) -> Option<&mut Standing> {
        self.standings.get_mut(at)?.get_mut(place(side))
    }

    fn standing(&self, at: usize, side: Side) -> Standing {
        let sides = self.standings.get(at).copied().unwrap_or_default();
        sides[place(side)]
    }

    // ---- a pair -----------------------------------------------------------------------------------

    fn pair(&self, view: &View<'_>) -> Option<Intent> {
        let (chance, [buy_touch, sell_touch]) = self.best_chance(view)?;
        let (buy, sell) = (view.legs.get(chance.buy)?, view.legs.get(chance.sell)?);
        let first = view.legs.get(0)?;
        let most = base_pico(first.instrument, self.params.position_max)?;
        let room = |leg: &Leg<'_>, sign: i128| {
            base_pico(leg.instrument, leg.position).map(|held| most - sign * held)
        };
        let base = base_pico(first.instrument, self.params.order_qty)?
            .min(buy_touch.base)
            .min(sell_touch.base)
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

    /// What an order of each side would meet first on a leg; `None` where the gate or the venue would refuse one.
    fn touches(&self, view: &View<'_>, at: usize) -> Touches {
        let Some(leg) = view.legs.get(at).filter(|leg| leg.can_trade) else {
            return [None, None];
        };
        let sides = [Side::Buy, Side::Sell];
        sides.map(|side| {
            let is_meant = !self.standing(at, side).is_no_pair(view.now.unix);
            is_meant.then(|| touch(&leg, side)).flatten()
        })
    }

    fn best_chance(&self, view: &View<'_>) -> Option<(Chance, [Touch; 2])> {
        let legs = view.legs.count().min(LEGS_MAX);
        let mut touches: [Touches; LEGS_MAX] = [[None; 2]; LEGS_MAX];
        for (at, both) in touches.iter_mut().enumerate().take(legs) {
            *both = self.touches(view, at);
        }
        let mut found: Option<(Chance, [Touch; 2])> = None;
        for (buy, [ask, _]) in touches.iter().enumerate() {
            let Some(ask) = ask else { continue };
            for (sell, [_, bid]) in touches.iter().enumerate() {
                let Some(bid) = bid.as_ref().filter(|_| sell != buy) else {
                    continue;
                };
                let Some(gain) = self.gain((buy, ask.price), (sell, bid.price)) else {
                    continue;
                };
                if gain >= 0 && found.is_none_or(|(found, _)| gain > found.gain) {
                    found = Some((Chance { buy, sell, gain }, [*ask, *bid]));
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
        let (side, Some(base)) = (against(net), net.checked_abs()) else {
            return false;
        };
        base > 0
            && (0..view.legs.count().min(LEGS_MAX)).any(|at| {
                let leg = view.legs.get(at);
                leg.is_some_and(|leg| self.hedge_on(&leg, side, base).is_some())
            })
    }

    /// The most of it that may be hedged while orders are in doubt: if all of those that hedge it are filled after all, at
    /// most `order_qty` is too much.
    fn most_in_doubt(&self, view: &View<'_>, net: i128) -> Option<i128> {
        let (side, mut doubt) = (against(net), 0i128);
        for order in view.live.iter().filter(|order| order.side == side) {
            let mut legs = (0..view.legs.count()).filter_map(|at| view.legs.get(at));
            let leg = legs.find(|leg| leg.instrument.id == order.instrument)?;
            doubt = doubt.checked_add(base_pico(leg.instrument, order.leaves)?)?;
        }
        let allowed = base_pico(view.legs.get(0)?.instrument, self.params.order_qty)?;
        let beyond = doubt.saturating_sub(allowed).max(0);
        Some(net.checked_abs()?.saturating_sub(beyond))
    }

    /// An order for it where it costs least, of the venues that may be traded at and have not just refused.
    fn hedge(&self, view: &View<'_>, side: Side, base: i128) -> Option<Wish> {
        let mut found: Option<(i128, Wish)> = None;
        for at in 0..view.legs.count().min(LEGS_MAX) {
            let is_meant =
                !self.standing(at, side).is_no_hedge(view.now.unix) && !is_open_on(view, at);
            let leg = view.legs.get(at).filter(|leg| leg.can_trade && is_meant);
            let Some(leg) = leg else { continue };
            let (Some((price, qty)), Some(touch)) =
                (self.hedge_on(&leg, side, base), touch(&leg, side))
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

    /// How far through the book an order for it may go now, millionths.
    fn reach(&self) -> i64 {
        let tries = i64::from(self.tries).saturating_add(1);
        let reach = self.params.hedge_ppm.saturating_mul(tries);
        reach.min(self.params.hedge_max_ppm) >> self.halvings
    }

    /// Price and quantity of an order for it on a leg; `None` where that venue takes none so small, or has no book.
    fn hedge_on(&self, leg: &Leg<'_>, side: Side, base: i128) -> Option<(Price, Qty)> {
        let qty = lots_within(leg.instrument, base)?;
        let best = best(leg, side)?;
        let away = i128::from(best.0).checked_mul(self.reach().into())? / PPM;
        let away = i64::try_from(away).ok()?;
        // Rounded to the nearer tick: never further than the bound.
        let price = match side {
            Side::Buy => leg.instrument.tick_down(Price(best.0.checked_add(away)?)),
            Side::Sell => leg.instrument.tick_up(Price(best.0.checked_sub(away)?)),
        };
        leg.instrument.check(Some(price), qty).ok()?;
        Some((price, qty))
    }
}

/// Base held on all legs together, 10^-12 units, with what venues count and have not told the fills of. `None` while one is
/// not known.
fn net_base(view: &View<'_>) -> Option<i128> {
    (0..view.legs.count()).try_fold(0i128, |sum, at| {
        let leg = view.legs.get(at)?;
        let held = leg.position.0.checked_add(leg.coming.0)?;
        sum.checked_add(base_pico(leg.instrument, Qty(held))?)
    })
}

/// Whether an order of ours is open on a leg.
fn is_open_on(view: &View<'_>, at: usize) -> bool {
    !view.live.is_empty()
        && view.legs.get(at).is_some_and(|leg| {
            let mut live = view.live.iter();
            live.any(|order| order.instrument == leg.instrument.id)
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

const fn place(side: Side) -> usize {
    match side {
        Side::Buy => 0,
        Side::Sell => 1,
    }
}

/// The price an order of this side would take at.
fn best(leg: &Leg<'_>, side: Side) -> Option<Price> {
    match side {
        Side::Buy => leg.book.best_ask().map(|level| level.price),
        Side::Sell => leg.book.best_bid().map(|level| level.price),
    }
}

/// What an order of this side would meet first.
fn touch(leg: &Leg<'_>, side: Side) -> Option<Touch> {
    let level = match side {
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
        self.params = ArbitrageParams::of(values)?;
        Ok(())
    }

    fn inputs(&self) -> Inputs {
        Inputs::BOOK.and(Inputs::TIMER)
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        self.turn_and_tell(view, out);
    }

    fn on_fill(&mut self, view: &View<'_>, fill: &FillReport, out: &mut Intents) {
        if let Some(round) = &mut self.round {
            round.add(view.instrument, fill);
        }
        self.turn_and_tell(view, out);
    }

    fn on_order(
        &mut self,
        view: &View<'_>,
        order: &LiveOrder,
        state: OrderState,
        out: &mut Intents,
    ) {
        if state.is_final() {
            self.on_end(view, order.side, state);
            // The fill that ended it is counted and told next.
            self.turn(view, out);
        }
    }

    fn on_timer(&mut self, view: &View<'_>, out: &mut Intents) {
        self.turn_and_tell(view, out);
    }
}

#[cfg(test)]
#[path = "arbitrage_tests.rs"]
mod tests;
