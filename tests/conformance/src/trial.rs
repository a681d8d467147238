//! One case being played: what it may ask of lane and venue, and what must be so at its end.

use crate::script::Script;
use crate::stage::{Known, Stage};
use crate::venues::{Follows, Window};
use dp_book::{Book, State};
use dp_journal::entry::Reconcile;
use dp_journal::{Entry, ReadItem, Reader};
use dp_shm::{BalanceLine, BalanceState, Command, Counter};
use dp_strategy::{Intent, Wish};
use dp_types::{
    ClientOrderId, Decimal, Instrument, InstrumentId, LaneId, Level, Notional, OrderKind,
    OrderState, Price, Qty, Side, Tif,
};
use dp_venue_api::Venue as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

/// The instrument cases trade.
pub const TRADED: InstrumentId = InstrumentId(0);
/// Time of one step while something is awaited soon.
const STEP_NS: u64 = 1_000_000;
/// And when it lasts.
const LONG_STEP_NS: u64 = 20_000_000;
/// And when hours pass.
const HOURS_STEP_NS: u64 = 100_000_000;
const PATIENCE_STEPS: u32 = 3_000;
/// Quote units one order of a case is worth, about.
const WORTH: i64 = 50;

/// A case's verdict in the making: a sentence when it fails.
pub type Held = Result<(), String>;

/// A lane, its venue and a script.
pub struct Trial<'s, 'r> {
    stage: &'s mut dyn Stage<'r>,
    /// Venue, abilities.
    pub known: Known<'r>,
    /// Counters that must still be 0 at the end.
    quiet: Vec<Counter>,
    /// What had been done of orders in lanes that were killed.
    done: BTreeMap<ClientOrderId, i64>,
}

impl<'s, 'r> Trial<'s, 'r> {
    /// A trial on a stage.
    pub fn new(stage: &'s mut dyn Stage<'r>, known: Known<'r>) -> Self {
        let quiet = vec![
            Counter::IllegalTransitions,
            Counter::ForeignFills,
            Counter::DecodeErrors,
            Counter::CrossedBooks,
            Counter::StaleEpochFrames,
            Counter::RiskTrips,
        ];
        Self {
            stage,
            known,
            quiet,
            done: BTreeMap::new(),
        }
    }

    /// The lane is killed and another one takes its shared memory over. What the script has heard is kept: of what died
    /// with the lane nobody was told.
    ///
    /// Errors: the stage cannot.
    pub fn restart(&mut self) -> Held {
        let oms = self.stage.engine().oms();
        let heard: Vec<ClientOrderId> = self.script().orders.keys().copied().collect();
        let done = heard.iter().filter_map(|id| oms.get(*id).copied());
        let done = done.map(|order| (order.client_id, order.cum.0.max(order.filled.0)));
        let done: Vec<_> = done.collect();
        self.done.extend(done);
        let known = self.stage.restart().ok_or("no restart on this stage")?;
        let heard = std::mem::take(&mut *self.script());
        self.known = known;
        *self.script() = Script {
            can_trade: false,
            wishes: std::collections::VecDeque::new(),
            ..heard
        };
        Ok(())
    }

    /// The stage.
    pub const fn stage(&mut self) -> &mut dyn Stage<'r> {
        self.stage
    }

    /// Whether hours may pass.
    pub fn is_virtual(&self) -> bool {
        self.stage.is_virtual()
    }

    /// What was wished and heard.
    pub fn script(&self) -> MutexGuard<'_, Script> {
        let script = self.known.script.lock();
        script.unwrap_or_else(PoisonError::into_inner)
    }

    /// A counter of the lane.
    pub fn count(&self, counter: Counter) -> u64 {
        self.stage.engine().wall.counters.get(counter)
    }

    /// This case makes a counter move; otherwise it must be 0 at the end.
    pub fn expect(&mut self, counter: Counter) {
        self.quiet.retain(|quiet| *quiet != counter);
    }

    // ---- time -----------------------------------------------------------------------------------

    /// Lets time pass until something is so. Errors: it was not within `ms`.
    pub fn until(&mut self, what: &str, ms: u64, mut is_so: impl FnMut(&mut Self) -> bool) -> Held {
        let mut steps = 0u32;
        let mut start = None;
        loop {
            if is_so(self) {
                return Ok(());
            }
            let now = self.stage.now();
            let start = *start.get_or_insert(now);
            if now.since(start) > ms * 1_000_000 {
                return Err(format!("{what}: not within {ms} ms; {}", self.told()));
            }
            steps += 1;
            let is_long = steps > PATIENCE_STEPS && self.is_virtual();
            self.stage
                .step(if is_long { LONG_STEP_NS } else { STEP_NS });
        }
    }

    /// Lets so much time pass.
    pub fn run(&mut self, ms: u64) {
        let end = self.stage.now().after(ms * 1_000_000);
        let step = match ms {
            0..10_000 => STEP_NS,
            10_000..3_600_000 => LONG_STEP_NS,
            _ => HOURS_STEP_NS,
        };
        while self.stage.now() < end {
            self.stage.step(step);
        }
    }

    /// Gives the venue faults.
    pub fn fault(&mut self, text: &str) {
        self.stage.fault(text);
    }

    /// How often a fault has taken effect.
    pub fn used(&mut self, fault: &str) -> u64 {
        self.stage.stats()["faults"][fault].as_u64().unwrap_or(0)
    }

    // ---- books ----------------------------------------------------------------------------------

    /// The traded instrument's rules.
    pub fn instrument(&self) -> Instrument {
        self.stage.engine().instruments()[TRADED.0 as usize]
    }

    /// The traded instrument's book.
    pub fn book(&self) -> Option<&Book> {
        Some(self.stage.engine().book(TRADED)?.0)
    }

    /// Best price of a side. Errors: the side is empty.
    pub fn best(&self, side: Side) -> Result<Level, String> {
        let level = self.book().and_then(|book| match side {
            Side::Buy => book.best_bid(),
            Side::Sell => book.best_ask(),
        });
        level.ok_or_else(|| format!("no {} in the book", side.name()))
    }

    /// Whether every book is whole.
    pub fn is_synced(&self) -> bool {
        (0..2).all(|at| {
            let book = self.stage.engine().book(InstrumentId(at));
            book.is_some_and(|(_, proof)| proof.state == State::Synced)
        }) && (self.window().is_none() || self.are_queues_synced())
    }

    /// Whether the venue takes orders; else it is prices alone.
    pub const fn takes_orders(&self) -> bool {
        self.known.venue.id.takes_orders()
    }

    /// Whether books are whole and orders, where there are some, may be sent.
    pub fn is_up(&self) -> bool {
        self.is_synced() && (self.script().can_trade || !self.takes_orders())
    }

    /// Until books are whole and orders, where there are some, may be sent.
    pub fn come_up(&mut self) -> Held {
        self.until("up", 90_000, |it| it.is_up())
    }

    /// Nobody else trades for `ms`, and our books are the venue's. A book that is lost meanwhile (a link that is opened
    /// anew) is given the traffic without which some venues show none, and then it is calm again.
    pub fn calm(&mut self, ms: u64) -> Held {
        let calm = format!("calm:for={ms}ms");
        self.fault(&calm);
        let (mut is_calm, mut why) = (true, String::new());
        let same = self.until("the books are the venue's", 60_000.min(ms), |it| {
            if is_calm != it.is_synced() {
                is_calm = !is_calm;
                let other = if is_calm { &calm } else { "calm:for=0ms" };
                it.fault(other);
                return false;
            }
            match it.same_books().and_then(|()| it.same_queues()) {
                Ok(()) => is_calm,
                Err(told) => {
                    why = told;
                    false
                }
            }
        });
        same.map_err(|error| format!("{error}; {why}"))
    }

    fn same_books(&mut self) -> Held {
        for at in 0..2u32 {
            let theirs = self.stage.book(at as usize);
            let engine = self.stage.engine();
            let instrument = engine.instruments()[at as usize];
            let (book, proof) = engine.book(InstrumentId(at)).ok_or("no book yet")?;
            if proof.state != State::Synced {
                return Err(format!("book {at} is {:?}", proof.state));
            }
            for (side, name) in [(Side::Buy, "bids"), (Side::Sell, "asks")] {
                let levels = self.known.venue.levels;
                let ours = book.side(side).take(levels);
                let ours: Vec<Rung> = ours.map(|level| (level.price, level.qty)).collect();
                let rows = theirs[name].as_array().cloned().unwrap_or_default();
                let theirs: Vec<Rung> = rows
                    .iter()
                    .take(levels)
                    .map(|row| level(&instrument, row))
                    .collect::<Result<_, String>>()?;
                if ours != theirs {
                    return Err(format!("{name} of {at}: ours {ours:?}, theirs {theirs:?}"));
                }
            }
        }
        Ok(())
    }

    // ---- single orders --------------------------------------------------------------------------

    /// What the venue shows of single orders, where they are followed.
    pub fn window(&self) -> Option<Window> {
        let venue = self.known.venue;
        venue.window.filter(|_| venue.follows == Follows::Orders)
    }

    /// Whether every book of single orders is whole.
    pub fn are_queues_synced(&self) -> bool {
        (0..2).all(|at| {
            let orders = self.stage.engine().orders(InstrumentId(at));
            orders.is_some_and(|orders| orders.whole().is_some())
        })
    }

    /// Ids, prices and quantities as the venue has them, as far as it shows them; and their order, where it tells that.
    fn same_queues(&mut self) -> Held {
        let Some(window) = self.window() else {
            return Ok(());
        };
        for at in 0..2u32 {
            let theirs = self.stage.queues(at as usize);
            let engine = self.stage.engine();
            let instrument = engine.instruments()[at as usize];
            let orders = engine.orders(InstrumentId(at)).ok_or("not followed")?;
            let book = orders
                .whole()
                .ok_or_else(|| format!("single orders of {at} are {:?}", orders.proof.state))?;
            for (side, name) in [(Side::Buy, "bids"), (Side::Sell, "asks")] {
                let name_of = |id| self.known.machine.order_id_text(id).as_str().to_owned();
                let ours = book.orders(side);
                let ours = ours.map(|(id, level)| (name_of(id), level.price, level.qty));
                let rows = theirs[name].as_array().cloned().unwrap_or_default();
                let theirs: Vec<Queued> = rows
                    .iter()
                    .map(|row| queued(&instrument, row))
                    .collect::<Result<_, String>>()?;
                let (ours, theirs) = (shown(ours.collect(), window), shown(theirs, window));
                if ours != theirs {
                    return Err(format!(
                        "queues, {name} of {at}: {}",
                        difference(&ours, &theirs)
                    ));
                }
            }
        }
        Ok(())
    }

    // ---- orders ---------------------------------------------------------------------------------

    /// A quantity worth little that the venue takes.
    pub fn small(&self) -> Result<Qty, String> {
        let instrument = self.instrument();
        let price = self.best(Side::Sell)?.price;
        let lot = instrument.lot.0.max(1);
        let one = instrument
            .notional(price, Qty(lot))
            .ok_or("a value out of range")?;
        let wanted = i128::from(WORTH) * 1_000_000_000_000;
        let worth = (wanted / one.0.max(1)) as i64 + 1;
        Ok(Qty((worth * lot).max(instrument.qty_min.0)))
    }

    /// A price far behind the best of a side.
    pub fn behind(&self, side: Side) -> Result<Price, String> {
        let best = self.best(side)?.price.0;
        Ok(self.instrument().tick_down(Price(match side {
            Side::Buy => best / 20 * 19,
            Side::Sell => best / 20 * 21,
        })))
    }

    /// A price at which a small order is taken whole however little the best level has left: a thousandth beyond it.
    pub fn through(&self, side: Side) -> Result<Price, String> {
        let best = self.best(side.opposite())?.price.0;
        Ok(self.instrument().tick_down(Price(match side {
            Side::Buy => best + best / 1_000,
            Side::Sell => best - best / 1_000,
        })))
    }

    /// Wishes for an order; returns its id once it has been sent or refused.
    pub fn place(
        &mut self,
        side: Side,
        kind: OrderKind,
        tif: Tif,
        price: Price,
        qty: Qty,
    ) -> Result<ClientOrderId, String> {
        let next = |it: &Self| it.stage.engine().oms().next_id();
        let id = next(self).map_err(|error| format!("{error}"))?;
        self.script().wishes.push_back(Intent::New(Wish {
            leg: None,
            side,
            kind,
            tif,
            price,
            qty,
        }));
        self.until("the order is admitted", 5_000, |it| next(it) != Ok(id))?;
        Ok(id)
    }

    /// A small post-only order that rests far behind the market.
    pub fn rest(&mut self, side: Side) -> Result<ClientOrderId, String> {
        let (price, qty) = (self.behind(side)?, self.small()?);
        let id = self.place(side, OrderKind::PostOnly, Tif::Gtc, price, qty)?;
        self.reach(id, OrderState::Ack)?;
        Ok(id)
    }

    /// As [`Trial::rest`], where the venue takes orders.
    pub fn rest_if_taken(&mut self, side: Side) -> Result<Option<ClientOrderId>, String> {
        if self.takes_orders() {
            self.rest(side).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Wishes for a cancel.
    pub fn cancel(&mut self, client_id: ClientOrderId) {
        let wish = Intent::Cancel { client_id };
        self.script().wishes.push_back(wish);
    }

    /// Wishes for another price or quantity.
    pub fn amend(&mut self, client_id: ClientOrderId, price: Option<Price>, qty: Option<Qty>) {
        let wish = Intent::Amend {
            client_id,
            price,
            qty,
        };
        self.script().wishes.push_back(wish);
    }

    /// Asks for the cancel of every order at the venue, as a person would.
    pub fn clear(&mut self) {
        self.command(Command::CancelAll(self.known.venue.id));
    }

    /// Asks the lane for something, as a person would.
    pub fn command(&mut self, command: Command) {
        let sender = self.known.region.command_sender(LaneId(0));
        let now = self.stage.now();
        sender
            .expect("one lane")
            .send(command, "case", now)
            .expect("room for a command");
    }

    /// Has everything compared with the venue, now. Errors: it is not, within a minute.
    pub fn compare(&mut self) -> Held {
        let venue = self.known.venue.id;
        let since = self.stage.now();
        self.command(Command::Reconcile(venue));
        self.until("compared", 60_000, |it| {
            let state = it.stage.engine().venue(venue);
            state.is_some_and(|state| state.reconciled_at >= since && state.is_reconciled)
        })
    }

    /// What comparisons with the venue came to, as far as the journal goes back.
    pub fn comparisons(&self) -> Vec<Reconcile> {
        let lane = self.known.region.lane(LaneId(0)).expect("one lane");
        let reports = Reader::from_oldest(lane.journal).filter_map(|item| match item {
            ReadItem::Record(record) => match record.entry {
                Entry::Reconcile(report) => Some(report),
                _ => None,
            },
            _ => None,
        });
        reports.collect()
    }

    /// What the lane has of each asset.
    pub fn balances(&self) -> Vec<BalanceState> {
        let lane = self.known.region.lane(LaneId(0)).expect("one lane");
        let lines = lane.balances.iter().filter_map(BalanceLine::read);
        lines.filter(|state| state.venue.0 != 0).collect()
    }

    /// Where an order stands.
    pub fn state(&self, id: ClientOrderId) -> Option<OrderState> {
        if let Some(order) = self.stage.engine().oms().get(id) {
            return Some(order.state);
        }
        self.script().orders.get(&id).map(|(_, state)| *state)
    }

    /// Until an order stands so. Errors: it does not within a quarter of a minute.
    pub fn reach(&mut self, id: ClientOrderId, wanted: OrderState) -> Held {
        self.reach_any(id, &[wanted])
    }

    /// Until an order stands in one of these ways.
    pub fn reach_any(&mut self, id: ClientOrderId, wanted: &[OrderState]) -> Held {
        let what = format!("order {} is {wanted:?}", id.sequence());
        self.until(&what, 15_000, |it| {
            it.state(id).is_some_and(|state| wanted.contains(&state))
        })
    }

    // ---- the end --------------------------------------------------------------------------------

    /// What must be so after every case: the venue's books, orders, fills and ours are the same.
    pub fn agree(&mut self) -> Held {
        self.until("every order has a known fate", 90_000, |it| {
            let oms = it.stage.engine().oms();
            let mut held = oms.all_held();
            held.all(|order| order.is_settled() && !order.is_waiting())
        })?;
        self.come_up()?;
        self.calm(60_000)?;
        let mut why = String::new();
        let same = self.until("orders and position are the venue's", 20_000, |it| match it
            .same_orders()
        {
            Ok(()) => true,
            Err(told) => {
                why = told;
                false
            }
        });
        same.map_err(|error| format!("{error}; {why}"))?;
        self.quiet()
    }

    /// Nothing was undecodable, foreign, illegal or crossed so far.
    pub fn quiet(&self) -> Held {
        for &counter in &self.quiet {
            let count = self.count(counter);
            if count != 0 {
                return Err(format!("{} is {count}; {}", counter.name(), self.told()));
            }
        }
        Ok(())
    }

    /// What funding of the traded instrument comes to, as shared memory shows it.
    pub fn funding(&self) -> Notional {
        let line = self.stage.engine().wall.region.position(TRADED);
        let state = line.and_then(dp_shm::PositionLine::read);
        state.map_or(Notional(0), |state| state.funding)
    }

    /// What is held of the traded instrument by all, corrections too, as shared memory shows it.
    pub fn position(&self) -> Qty {
        let line = self.stage.engine().wall.region.position(TRADED);
        let state = line.and_then(dp_shm::PositionLine::read);
        state.map_or(Qty(0), |state| state.qty)
    }

    /// Orders as the venue has them, sold quantities below 0: `(done, is open)`.
    fn same_orders(&mut self) -> Held {
        let record = self.stage.record();
        let instrument = self.instrument();
        let duplicates = &record["counts"]["duplicate_client_ids"];
        if duplicates != 0 {
            return Err(format!("{duplicates} client order ids came twice"));
        }
        let mut theirs = Vec::new();
        let mut held = 0;
        for row in record["orders"].as_array().into_iter().flatten() {
            let cum = signed(row, "cum", &instrument)?;
            held += cum;
            let state = row["state"].as_str().unwrap_or_default();
            theirs.push((cum, matches!(state, "live" | "partially_filled")));
        }
        let mut ours: Vec<(i64, bool)> = Vec::new();
        let oms = self.stage.engine().oms();
        let script = self.script();
        for (id, (live, state)) in &script.orders {
            let order = oms.get(*id).copied();
            let state = order.map_or(*state, |order| order.state);
            if state == OrderState::Rejected {
                continue;
            }
            let before = self.done.get(id).copied().unwrap_or(0);
            let done = order.map_or(before, |order| order.cum.0.max(order.filled.0));
            let sign = if live.side == Side::Buy { 1 } else { -1 };
            ours.push((sign * done, !state.is_final()));
        }
        let position = script.position.0;
        drop(script);
        // What ended with nothing done may have been forgotten by either.
        let counts = |all: &[(i64, bool)]| {
            let mut some: Vec<(i64, bool)> = all.to_vec();
            some.retain(|one| *one != (0, false));
            some.sort_unstable();
            some
        };
        let (ours, theirs) = (counts(&ours), counts(&theirs));
        if ours != theirs {
            return Err(format!("orders: ours {ours:?}, theirs {theirs:?}"));
        }
        // Fees taken out of what was bought make the position smaller; ours are cut to parts of an increment.
        let (mut fees, mut fills) = (0, 0);
        for row in record["fills"].as_array().into_iter().flatten() {
            fills += 1;
            if row["symbol"].as_str() == Some(instrument.symbol.as_str()) && is_base_fee(row) {
                fees += parts(row, "fee", &instrument)?;
            }
        }
        let theirs = i128::from(held) * FEE_PARTS - fees;
        let off = theirs.abs_diff(i128::from(position) * FEE_PARTS);
        if off > (fills + 1) * FEE_PARTS.unsigned_abs() {
            return Err(format!(
                "position: ours {position}, theirs {held} less {fees}/{FEE_PARTS} of fees"
            ));
        }
        Ok(())
    }

    /// What the lane has counted, and what its orders are, for a failure's sentence.
    pub fn told(&self) -> String {
        let counters = &self.stage.engine().wall.counters;
        let counts = counters
            .iter()
            .filter(|(counter, count)| *count > 0 && *counter != Counter::DutyCycles)
            .map(|(counter, count)| format!("{} {count}", counter.name()));
        let counts: Vec<String> = counts.collect();
        let held: Vec<String> = self
            .stage
            .engine()
            .oms()
            .all_held()
            .map(|order| format!("{} {:?}", order.client_id.sequence(), order.state))
            .collect();
        let venue = self.stage.engine().venue(self.known.venue.id);
        let venue = venue.map(|it| (it.is_logged_in, it.is_reconciled));
        format!(
            "(logged in, reconciled) {venue:?}; orders [{}]; {}",
            held.join(", "),
            counts.join(", ")
        )
    }
}

/// Parts of a quantity increment fees are compared in.
const FEE_PARTS: i128 = 1_000_000;

/// Whether a fill's fee was taken out of what was bought.
fn is_base_fee(row: &Value) -> bool {
    row["side"] == "buy" && row["fee_in_base"] == true
}

/// An amount in parts of the instrument's quantity increment.
fn parts(row: &Value, name: &str, instrument: &Instrument) -> Result<i128, String> {
    let text = row[name].as_str().unwrap_or_default();
    let number = Decimal::parse(text.as_bytes()).map_err(|error| format!("{text}: {error}"))?;
    let power = i32::from(number.exponent) + i32::from(instrument.qty_decimals) + 6;
    let mantissa = i128::from(number.mantissa);
    let scale = 10i128.pow(power.unsigned_abs());
    Ok(if power >= 0 {
        mantissa * scale
    } else {
        mantissa / scale
    })
}

/// A level, as far as it is compared.
type Rung = (Price, Qty);

fn level(instrument: &Instrument, row: &Value) -> Result<Rung, String> {
    let number = |at: usize| {
        let text = row[at].as_str().unwrap_or_default();
        Decimal::parse(text.as_bytes()).map_err(|error| format!("{text}: {error}"))
    };
    let wrong = |error: dp_types::NumError| format!("{row}: {error}");
    let price = instrument.price(number(0)?).map_err(wrong)?;
    let qty = instrument.qty(number(1)?).map_err(wrong)?;
    Ok((price, qty))
}

/// An order in its queue: the venue's id, price, what is left.
type Queued = (String, Price, Qty);

fn queued(instrument: &Instrument, row: &Value) -> Result<Queued, String> {
    let id = row[0].as_str().unwrap_or_default().to_owned();
    let rest = serde_json::json!([row[1], row[2]]);
    let (price, qty) = level(instrument, &rest)?;
    Ok((id, price, qty))
}

/// Orders of a side, best price first, as far as the venue shows them.
fn shown(mut side: Vec<Queued>, window: Window) -> Vec<Queued> {
    if !window.is_queue_told {
        for queue in side.chunk_by_mut(|one, other| one.1 == other.1) {
            // Ids are numbers of one length there.
            queue.sort();
        }
    }
    let mut prices = 0;
    let mut last = None;
    side.retain(|(_, price, _)| {
        if last != Some(*price) {
            prices += 1;
            last = Some(*price);
        }
        prices <= window.prices
    });
    side.truncate(window.orders);
    side
}

/// Where two sides part.
fn difference(ours: &[Queued], theirs: &[Queued]) -> String {
    let at = ours
        .iter()
        .zip(theirs)
        .take_while(|(one, other)| one == other);
    let at = at.count();
    format!(
        "{} and {} orders; at {at}: ours {:?}, theirs {:?}",
        ours.len(),
        theirs.len(),
        ours.get(at),
        theirs.get(at)
    )
}

fn signed(row: &Value, name: &str, instrument: &Instrument) -> Result<i64, String> {
    let text = row[name].as_str().unwrap_or_default();
    let number = Decimal::parse(text.as_bytes()).map_err(|error| format!("{text}: {error}"))?;
    let qty = instrument
        .qty(number)
        .map_err(|error| format!("{text}: {error}"))?;
    let sign = if row["side"] == "buy" { 1 } else { -1 };
    Ok(sign * qty.0)
}
