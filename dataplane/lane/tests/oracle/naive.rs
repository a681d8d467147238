//! The desk as one would write it down: lists of orders, fills and prices, walked from end to end for every question;
//! nothing is kept that can be worked out, but what the engine by its own contract looks at only now and then.

mod gate;

use dp_risk::{Trip, WatchLimits};
use dp_types::{AssetId, ClientOrderId, Instrument, Notional, OrderKind, Payoff, Side, VenueId};

pub(crate) const ONE: i128 = 1_000_000_000_000;
pub(crate) const USD: AssetId = AssetId(0);
pub(crate) const COLLAR_BPS: u32 = 500;
pub(crate) const ORDERS_PER_S: u32 = 20;
pub(crate) const BOOK_AGE_NS: u64 = 500_000_000;
pub(crate) const MOVE_NS: u64 = 8_000_000_000;
const SECOND: u64 = 1_000_000_000;
const DAY_NS: u64 = 86_400 * SECOND;
const TICK_NS: u64 = 100_000_000;
/// Whose funding is nobody's.
pub(crate) const NOBODY: usize = 2;
const ANSWER_NS: u64 = dp_oms::ANSWER_NS_MAX;

/// Where an order stands, as far as risk and money go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stand {
    /// Sent, no word yet.
    Asked,
    Resting,
    Unknown,
    Over,
}

#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) id: ClientOrderId,
    pub(crate) it: usize,
    pub(crate) strategy: usize,
    pub(crate) side: Side,
    pub(crate) kind: OrderKind,
    pub(crate) price: i64,
    pub(crate) qty: i64,
    pub(crate) done: i64,
    pub(crate) stand: Stand,
    /// What an amend asked for, until the venue shows or refuses it.
    pub(crate) asked: (i64, i64),
    pub(crate) is_amending: bool,
    asked_at: u64,
}

impl Order {
    fn left_worst(&self) -> i64 {
        if self.stand == Stand::Over {
            return 0;
        }
        (self.qty.max(self.asked.1) - self.done).max(0)
    }

    fn price_worst(&self) -> i64 {
        match self.side {
            Side::Buy => self.price.max(self.asked.0),
            Side::Sell => self.price.min(self.asked.0),
        }
    }
}

/// One execution, as booked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fill {
    it: usize,
    strategy: usize,
    side: Side,
    price: i64,
    qty: i64,
    fee: i128,
    base_fee: i64,
}

/// A position worked out from its fills.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) qty: i64,
    pub(crate) cost: i128,
    pub(crate) realised: i128,
    pub(crate) fees: i128,
    pub(crate) fills: u64,
    pub(crate) base_fees: i64,
    pub(crate) funding: i128,
}

/// What of it is held, in the parts fees are counted in.
fn parts_of(sum: &Sum) -> i128 {
    i128::from(sum.qty) * i128::from(dp_types::BASE_FEE_PARTS) - i128::from(sum.base_fees)
}

/// What is wished for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) it: usize,
    pub(crate) side: Side,
    pub(crate) kind: OrderKind,
    pub(crate) price: i64,
    pub(crate) qty: i64,
}

/// A record of `risk_events`: rule, instrument or nothing, observed, allowed.
pub(crate) type Row = (u8, Option<usize>, i64, i64);

#[derive(Debug, Clone)]
pub(crate) struct Naive {
    pub(crate) rules: Vec<Instrument>,
    pub(crate) orders: Vec<Order>,
    fills: Vec<Fill>,
    /// Shares of funding: instrument, strategy ([`NOBODY`]: of none), quote units.
    funding: Vec<(usize, usize, i128)>,
    pub(crate) now: u64,
    tick_due: u64,
    books: Vec<Option<(i64, i64, u64)>>,
    mids: Vec<Vec<(u64, i64)>>,
    pub(crate) limits: Vec<Option<(i64, i64)>>,
    pub(crate) watch: WatchLimits,
    pub(crate) gross_max: i128,
    pub(crate) order_max: i128,
    pub(crate) currency_max: Vec<(AssetId, i128)>,
    rates: Vec<(AssetId, i128)>,
    sources: Vec<(AssetId, usize)>,
    /// Something was paid in it, and nobody knew its worth; and so it was still when last looked at.
    lacking: Vec<AssetId>,
    blind: Option<AssetId>,
    /// By instrument, when last looked at: worth of an increment (10^-18), long and short, P&L, over its limit.
    worth: Vec<i128>,
    told: Vec<(i128, i128)>,
    pnl: Vec<i128>,
    is_over: Vec<bool>,
    answers: Vec<(VenueId, bool)>,
    pub(crate) halts: Vec<(VenueId, Option<usize>)>,
    /// Day, equity at midnight, highest, latest.
    pub(crate) equity: Option<(u64, i128, i128, i128)>,
    pub(crate) word_killed: bool,
    changes: u64,
    changes_read: u64,
    pub(crate) is_killed: bool,
    pub(crate) word_lease: bool,
    has_lease: bool,
    tokens_ns: u64,
    tokens_at: u64,
    refused: Vec<(u8, u64)>,
    pub(crate) rows: Vec<Row>,
    pub(crate) is_shown: bool,
}

impl Naive {
    pub(crate) fn new(rules: Vec<Instrument>, rates: Vec<(AssetId, i128)>, now: u64) -> Self {
        let count = rules.len();
        Self {
            rules,
            orders: Vec::new(),
            fills: Vec::new(),
            funding: Vec::new(),
            now,
            tick_due: 0,
            books: vec![None; count],
            mids: vec![Vec::new(); count],
            limits: vec![None; count],
            watch: WatchLimits::default(),
            gross_max: 0,
            order_max: 0,
            currency_max: Vec::new(),
            rates,
            sources: Vec::new(),
            lacking: Vec::new(),
            blind: None,
            worth: vec![0; count],
            told: vec![(0, 0); count],
            pnl: vec![0; count],
            is_over: vec![false; count],
            answers: Vec::new(),
            halts: Vec::new(),
            equity: None,
            word_killed: false,
            changes: 0,
            changes_read: 0,
            is_killed: false,
            word_lease: true,
            has_lease: false,
            tokens_ns: SECOND,
            tokens_at: 0,
            refused: vec![(0, 0); 2],
            rows: Vec::new(),
            is_shown: false,
        }
    }

    // ---- questions ----------------------------------------------------------------------------

    pub(crate) fn position(&self, it: usize, strategy: Option<usize>) -> Sum {
        let strategies = match strategy {
            Some(one) => vec![one],
            None => vec![0, 1, NOBODY],
        };
        let mut all = Sum::default();
        for strategy in strategies {
            let mut sum = Sum::default();
            let ours = |fill: &&Fill| fill.it == it && fill.strategy == strategy;
            for fill in self.fills.iter().filter(ours) {
                self.add(&mut sum, fill);
            }
            let shares = self
                .funding
                .iter()
                .filter(|share| (share.0, share.1) == (it, strategy));
            sum.funding = shares.map(|share| share.2).sum();
            all.qty += sum.qty;
            all.cost += sum.cost;
            all.realised += sum.realised;
            all.fees += sum.fees;
            all.fills += sum.fills;
            all.base_fees += sum.base_fees;
            all.funding += sum.funding;
        }
        all
    }

    fn add(&self, sum: &mut Sum, fill: &Fill) {
        let sign = i128::from(fill.side.sign());
        let mut value = sign * self.outlay(fill.it, fill.price, i128::from(fill.qty));
        // What a fee took out of it was not bought: it was paid.
        if fill.base_fee != 0 {
            value -= fill.fee;
        }
        let held = parts_of(sum);
        sum.fees += fill.fee;
        sum.base_fees += fill.base_fee;
        sum.fills += 1;
        sum.qty += fill.side.sign() * fill.qty;
        let (left, added) = (parts_of(sum), parts_of(sum) - held);
        if held * added >= 0 {
            sum.cost += value;
        } else {
            let closed = added.abs().min(held.abs());
            let (out, brought) = (sum.cost * closed / held.abs(), value * closed / added.abs());
            sum.realised -= out + brought;
            sum.cost += value - out - brought;
        }
        if left == 0 {
            sum.realised -= sum.cost;
            sum.cost = 0;
        }
    }

    /// 10^-12 quote units.
    fn value(&self, it: usize, price: i64, qty: i128) -> i128 {
        let rules = &self.rules[it];
        if rules.payoff == Payoff::Inverse {
            // Whole dollars at whole prices, of which a part of a unit counts as one.
            let dollars = qty * 1_000_000_000_000;
            let price = i128::from(price);
            return dollars.signum() * ((dollars.abs() + price - 1) / price);
        }
        let exponent = 12 - i32::from(rules.price_decimals) - i32::from(rules.qty_decimals)
            + i32::from(rules.multiplier.exponent);
        let scale = 10i128.pow(exponent.unsigned_abs());
        let plain = i128::from(price) * qty * i128::from(rules.multiplier.mantissa);
        if exponent >= 0 {
            plain * scale
        } else {
            plain / scale
        }
    }

    /// What it counts for bought: an inverse contract is the coin, short.
    fn outlay(&self, it: usize, price: i64, qty: i128) -> i128 {
        let value = self.value(it, price, qty);
        if self.rules[it].payoff == Payoff::Inverse {
            -value
        } else {
            value
        }
    }

    /// What there is to sell: what was taken out of it as fees is not.
    fn held(&self, it: usize) -> i64 {
        let sum = self.position(it, None);
        let parts = dp_types::BASE_FEE_PARTS;
        sum.qty - (sum.base_fees + parts - 1).div_euclid(parts)
    }

    fn live(&self, it: usize, side: Side) -> impl Iterator<Item = &Order> {
        let is_it = move |order: &&Order| {
            (order.it, order.side) == (it, side) && order.stand != Stand::Over
        };
        self.orders.iter().filter(is_it)
    }

    fn working(&self, it: usize, side: Side) -> i64 {
        self.live(it, side).map(Order::left_worst).sum()
    }

    fn own_best(&self, it: usize, side: Side) -> Option<i64> {
        let prices = self.live(it, side).map(Order::price_worst);
        match side {
            Side::Buy => prices.max(),
            Side::Sell => prices.min(),
        }
    }

    pub(crate) fn mark(&self, it: usize) -> i64 {
        self.books[it].map_or(0, |(bid, ask, _)| i64::midpoint(bid, ask))
    }

    fn rate(&self, asset: AssetId) -> Option<i128> {
        let mut known = self.rates.iter();
        known
            .find(|(held, _)| *held == asset)
            .map(|(_, rate)| *rate)
    }

    fn convert(&self, amount: i128, asset: AssetId) -> Option<i128> {
        Some(amount * self.rate(asset)? / ONE)
    }

    fn is_halted(&self, it: usize) -> bool {
        let venue = self.rules[it].venue;
        let is_it = |halt: &(VenueId, Option<usize>)| {
            halt.0 == venue && halt.1.is_none_or(|only| only == it)
        };
        self.halts.iter().any(is_it)
    }

    fn is_counted(&self) -> bool {
        let is_limited = self.currency_max.iter().any(|(_, max)| *max > 0);
        let has_loss = self.watch.day_loss_max.0 > 0 || self.watch.drawdown_max.0 > 0;
        self.order_max > 0 || self.gross_max > 0 || is_limited || has_loss
    }

    /// Of everything, 10^-18, were one line another.
    fn gross(&self, changed: Option<(usize, (i128, i128))>) -> i128 {
        let line = |it: usize| match changed {
            Some((changed, line)) if changed == it => line,
            _ => self.told[it],
        };
        let worst = |it: usize| line(it).0.max(-line(it).1).max(0);
        (0..self.rules.len()).map(worst).sum()
    }

    /// Of one currency, 10^-18, long and short.
    fn currency(&self, asset: AssetId, changed: Option<(usize, (i128, i128))>) -> (i128, i128) {
        let (mut long, mut short) = (0, 0);
        for it in 0..self.rules.len() {
            if self.rules[it].base == asset {
                let line = match changed {
                    Some((changed, line)) if changed == it => line,
                    _ => self.told[it],
                };
                (long, short) = (long + line.0, short + line.1);
            }
        }
        (long, short)
    }

    pub(crate) fn gross_shown(&self) -> i128 {
        self.gross(None) / 1_000_000
    }

    // ---- what happens -------------------------------------------------------------------------

    pub(crate) fn book(&mut self, it: usize, bid: i64, ask: i64) {
        let before = self.books[it].replace((bid, ask, self.now));
        if before.is_some_and(|(was_bid, was_ask, _)| (was_bid, was_ask) == (bid, ask)) {
            return;
        }
        let limit = self.watch.move_bps_max;
        if limit == 0 {
            return;
        }
        let mid = i128::from(i64::midpoint(bid, ask));
        self.mids[it].push((self.now, mid as i64));
        let part = |at: u64| at / (MOVE_NS / 8);
        let mut seen = Vec::new();
        let mids = &self.mids[it];
        for (place, (at, price)) in mids.iter().enumerate() {
            if part(*at) + 8 > part(self.now) {
                seen.push(i128::from(*price));
                // What it was when that part of the window began.
                let earlier = mids[..place].last();
                seen.extend(earlier.map(|(_, price)| i128::from(*price)));
            }
        }
        let moves = seen.iter().map(|from| (mid - from).abs() * 10_000 / from);
        let bps = moves.max().unwrap_or(0) as u32;
        if bps > limit {
            self.halt(self.rules[it].venue, Some(it), Trip::Move { bps, limit });
        }
    }

    fn halt(&mut self, venue: VenueId, it: Option<usize>, trip: Trip) {
        if !self.halts.contains(&(venue, it)) {
            self.row(trip, it);
            self.halts.push((venue, it));
        }
    }

    fn row(&mut self, trip: Trip, it: Option<usize>) {
        let (observed, limit) = trip.numbers();
        self.rows.push((trip.code(), it, observed, limit));
    }

    pub(crate) fn resume(&mut self, venue: VenueId, it: Option<usize>) {
        if !self.halts.contains(&(venue, it)) {
            return;
        }
        self.halts.retain(|halt| *halt != (venue, it));
        match it {
            Some(it) => self.mids[it].clear(),
            None => self.answers.retain(|(of, _)| *of != venue),
        }
    }

    pub(crate) fn set_word(&mut self, is_killed: bool) {
        if self.word_killed != is_killed {
            self.word_killed = is_killed;
            self.changes += 1;
        }
    }

    fn read_words(&mut self) {
        self.has_lease = self.word_lease;
        if self.changes != self.changes_read {
            self.changes_read = self.changes;
            self.is_killed = self.word_killed;
            if !self.is_killed
                && let Some(equity) = &mut self.equity
            {
                equity.2 = equity.3;
            }
        }
    }

    pub(crate) fn pass(&mut self, ns: u64) {
        self.now += ns;
        self.read_words();
        self.is_shown = self.now >= self.tick_due;
        if !self.is_shown {
            return;
        }
        self.tick_due = self.now + TICK_NS;
        for order in &mut self.orders {
            let is_waiting = order.stand == Stand::Asked || order.is_amending;
            if order.stand != Stand::Over && is_waiting && self.now - order.asked_at > ANSWER_NS {
                (order.stand, order.is_amending) = (Stand::Unknown, false);
            }
        }
        self.read_rates();
        for it in 0..self.rules.len() {
            self.recount(it);
            let million = self.value(it, self.mark(it), 1_000_000);
            self.worth[it] = self.convert(million, self.rules[it].quote).unwrap_or(0);
            let held = self.held(it);
            let long = held + self.working(it, Side::Buy);
            let short = held - self.working(it, Side::Sell);
            let worth = self.worth[it];
            self.told[it] = (i128::from(long) * worth, i128::from(short) * worth);
        }
        self.blind = self.first_unknown();
        self.look_at_equity();
    }

    /// Somebody says what an asset is worth.
    pub(crate) fn told_rate(&mut self, asset: AssetId, rate: i128) {
        if self.sources.iter().all(|(held, _)| *held != asset) {
            self.rates.retain(|(held, _)| *held != asset);
            self.rates.push((asset, rate));
        }
    }

    fn read_rates(&mut self) {
        for it in 0..self.rules.len() {
            let rules = self.rules[it];
            let is_whole = (rules.multiplier.mantissa, rules.multiplier.exponent) == (1, 0)
                && rules.payoff == Payoff::Linear;
            let mut sources = self.sources.iter();
            let source = sources.find(|(asset, _)| *asset == rules.base);
            if !is_whole || rules.base == USD || source.is_some_and(|(_, held)| *held != it) {
                continue;
            }
            let price = i128::from(self.mark(it)) * ONE / 10i128.pow(rules.price_decimals.into());
            if let Some(rate) = self.convert(price, rules.quote) {
                self.rates.retain(|(asset, _)| *asset != rules.base);
                self.rates.push((rules.base, rate));
                self.sources.push((rules.base, it));
            }
        }
    }

    fn recount(&mut self, it: usize) {
        let sum = self.position(it, None);
        let fees = self.outlay(it, self.mark(it), i128::from(sum.base_fees));
        let traded = self.outlay(it, self.mark(it), i128::from(sum.qty));
        let open = traded - fees / i128::from(dp_types::BASE_FEE_PARTS) - sum.cost;
        let made = sum.realised + open + sum.funding - sum.fees;
        self.pnl[it] = self.convert(made, self.rules[it].quote).unwrap();
    }

    fn look_at_equity(&mut self) {
        let equity: i128 = self.pnl.iter().sum();
        let day = self.now / DAY_NS;
        let before = self.equity.unwrap_or((day, equity, equity, equity));
        let (at_day, at_midnight) = if day > before.0 {
            (day, before.3)
        } else {
            (before.0, before.1)
        };
        let highest = before.2.max(equity);
        self.equity = Some((at_day, at_midnight, highest, equity));
        let (loss, fall) = (Notional(at_midnight - equity), Notional(highest - equity));
        let (loss_max, fall_max) = (self.watch.day_loss_max, self.watch.drawdown_max);
        let trip = if loss_max.0 > 0 && loss >= loss_max {
            Trip::DayLoss {
                loss,
                limit: loss_max,
            }
        } else if fall_max.0 > 0 && fall >= fall_max {
            Trip::Drawdown {
                fall,
                limit: fall_max,
            }
        } else {
            return;
        };
        if self.is_killed {
            return;
        }
        self.row(trip, None);
        self.set_word(true);
        self.read_words();
    }

    fn answer(&mut self, venue: VenueId, is_refused: bool) {
        self.answers.push((venue, is_refused));
        let of = self.answers.iter().filter(|(of, _)| *of == venue);
        let of: Vec<bool> = of.map(|(_, is_refused)| *is_refused).collect();
        let (limit, all) = (self.watch.reject_pct_max, of.len());
        if limit == 0 || all < 64 {
            return;
        }
        let refused = of[all - 64..].iter().filter(|it| **it).count() as u32;
        let pct = refused * 100 / 64;
        if pct > limit {
            self.halt(venue, None, Trip::Rejects { pct, limit });
        }
    }

    /// What an amount with four decimals is worth in an instrument's quote units, its base asset at `price`.
    fn worth_of(&mut self, it: usize, (amount, asset): (i64, AssetId), price: i64) -> i128 {
        let rules = self.rules[it];
        let paid = i128::from(amount) * ONE / 10_000;
        if asset == rules.quote {
            return paid;
        }
        if asset == rules.base {
            let per_unit = i128::from(price) * ONE / 10i128.pow(rules.price_decimals.into());
            return i128::from(amount) * per_unit / 10_000;
        }
        let worth = self.convert(paid, asset);
        let to = self.rate(rules.quote);
        let value = worth.zip(to).map(|(worth, to)| worth * ONE / to);
        if value.is_none() && amount != 0 {
            if !self.lacking.contains(&asset) {
                self.lacking.push(asset);
            }
            self.blind = self.first_unknown();
        }
        value.unwrap_or(0)
    }

    fn first_unknown(&self) -> Option<AssetId> {
        let mut lacking = self.lacking.iter().copied();
        lacking.find(|it| self.rate(*it).is_none())
    }

    /// The venue paid for what is held: to each by what it holds of it, cut; the rest to the first who holds any.
    pub(crate) fn paid(&mut self, it: usize, amount: (i64, AssetId)) {
        let value = self.worth_of(it, amount, self.mark(it));
        let held = [0, 1].map(|strategy| i128::from(self.position(it, Some(strategy)).qty));
        let all: i128 = held.iter().sum();
        if all == 0 {
            self.funding.push((it, NOBODY, value));
        } else {
            let shares =
                held.map(|held| value * held.abs() / all.abs() * (held.signum() * all.signum()));
            let mut rest = value - shares.iter().sum::<i128>();
            for (strategy, share) in shares.into_iter().enumerate() {
                let more = if held[strategy] == 0 {
                    0
                } else {
                    core::mem::take(&mut rest)
                };
                self.funding.push((it, strategy, share + more));
            }
        }
        self.recount(it);
        self.look_at_equity();
    }

    /// The venue's first word of a new order.
    fn first_word(&mut self, at: usize, is_refused: bool) {
        if self.orders[at].stand == Stand::Asked {
            self.answer(self.rules[self.orders[at].it].venue, is_refused);
        }
    }

    pub(crate) fn acked(&mut self, at: usize) {
        let was = self.orders[at].stand;
        let venue = self.rules[self.orders[at].it].venue;
        self.orders[at].stand = Stand::Resting;
        if was == Stand::Asked {
            self.answer(venue, false);
        }
    }

    pub(crate) fn over(&mut self, at: usize, refused: Option<bool>) {
        let was = self.orders[at].stand;
        let venue = self.rules[self.orders[at].it].venue;
        let order = &mut self.orders[at];
        (order.stand, order.is_amending) = (Stand::Over, false);
        if was != Stand::Asked {
            return;
        }
        match refused {
            None => self.answer(venue, false),
            // One that would have crossed is served as asked.
            Some(is_cross) if !is_cross => self.answer(venue, true),
            Some(_) => {}
        }
    }

    pub(crate) fn amended(&mut self, at: usize, is_done: bool) {
        let venue = self.rules[self.orders[at].it].venue;
        let order = &mut self.orders[at];
        let is_counted = order.is_amending && order.stand != Stand::Asked;
        order.is_amending = false;
        if is_done {
            (order.price, order.qty) = order.asked;
        } else {
            order.asked = (order.price, order.qty);
        }
        if is_counted {
            self.answer(venue, !is_done);
        }
        if is_done {
            // As it stands now it is shown to rest: a first word too, where there was none.
            self.acked(at);
        }
    }

    pub(crate) fn filled(&mut self, at: usize, price: i64, qty: i64, (fee, asset): (i64, AssetId)) {
        let order = self.orders[at].clone();
        let it = order.it;
        let rules = self.rules[it];
        let base_fee = if asset == rules.base && asset != rules.quote {
            (i128::from(fee) * 10i128.pow(rules.qty_decimals.into())) as i64
        } else {
            0
        };
        let fee = self.worth_of(it, (fee, asset), price);
        self.fills.push(Fill {
            it,
            strategy: order.strategy,
            side: order.side,
            price,
            qty,
            fee,
            base_fee,
        });
        self.recount(it);
        self.look_at_equity();
        let (held, limit) = (self.held(it), self.limits[it].map_or(0, |(_, max)| max));
        let was_over = self.is_over[it];
        self.is_over[it] = held.abs() > limit;
        if self.is_over[it] && !was_over {
            self.row(Trip::Position { qty: held, limit }, Some(it));
        }
        self.first_word(at, false);
        let order = &mut self.orders[at];
        order.done += qty;
        order.stand = if order.done >= order.qty {
            Stand::Over
        } else {
            Stand::Resting
        };
        if order.stand == Stand::Over {
            order.is_amending = false;
        }
    }
}
