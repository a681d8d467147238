//! A: what the account holds, and that we know it after any accident.

use super::{Case, Outcome, Verdict, held};
use crate::trial::{Held, Trial};
use dp_shm::{BalanceState, Command, Counter};
use dp_types::{Decimal, Notional, OrderKind, OrderState, Qty, Side, Tif};
use dp_venue_api::Positions;

pub const CASES: &[Case] = &[
    Case::new("A01", "fills make the position the venue's", position),
    Case::new(
        "A02",
        "an order cancelled while we were away",
        cancelled_away,
    ),
    Case::new("A03", "orders filled while we were away", filled_away),
    Case::new("A04", "open orders survive a lost order link", survive),
    Case::new(
        "A05",
        "orders sent just before the link was lost",
        sent_and_lost,
    ),
    Case::new("A06", "the dead man's switch clears the book", dead_man),
    Case::new(
        "A07",
        "money that went without a fill halts the venue until a person resumes it",
        money_gone,
    ),
    Case::new(
        "A08",
        "an order the venue took away unheard is missed within five minutes, and that is on record",
        taken_away,
    ),
    Case::new(
        "A09",
        "funding is booked once, as the venue paid it",
        funding,
    ),
    Case::new(
        "A10",
        "killed, everything is asked to go before any answer comes: one round trip",
        killed,
    ),
    Case::new(
        "A11",
        "a position liquidated while we were away halts the venue until a person resumes it",
        liquidated,
    ),
];

fn position(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.calm(60_000)?;
    for side in [Side::Buy, Side::Sell, Side::Buy] {
        let (price, qty) = (it.through(side)?, it.small()?);
        let id = it.place(side, OrderKind::Limit, Tif::Ioc, price, qty)?;
        it.reach(id, OrderState::Filled)?;
    }
    held(it.until("three fills", 15_000, |it| it.count(Counter::Fills) >= 3))
}

/// The order link is cut and kept from coming back for a moment: both sides of it are silent.
fn away(it: &mut Trial<'_, '_>) {
    it.fault("disconnect:link=private");
}

fn cancelled_away(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    let id = it.rest(Side::Buy)?;
    // The cancel is done, nothing of it is heard: neither the answer nor the stream.
    it.fault("silence:link=private:for=3s,lost-ack:n=1");
    it.cancel(id);
    it.run(1_000);
    away(it);
    held(it.until("the cancel is known", 90_000, |it| {
        it.state(id) == Some(OrderState::Cancelled)
    }))
}

fn filled_away(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.calm(90_000)?;
    it.fault("silence:link=private:for=3s,lost-ack:n=1");
    let (price, qty) = (it.through(Side::Buy)?, it.small()?);
    let id = it.place(Side::Buy, OrderKind::Limit, Tif::Gtc, price, qty)?;
    it.run(1_000);
    away(it);
    it.until("the fill is known", 90_000, |it| {
        it.state(id) == Some(OrderState::Filled)
    })?;
    // One, or as many as there were orders at that price.
    let theirs = it.stage().record()["counts"]["fills"].as_u64();
    held(it.until("and counted", 30_000, |it| {
        Some(it.count(Counter::Fills)) == theirs
    }))
}

fn survive(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    let ids = [it.rest(Side::Buy)?, it.rest(Side::Sell)?];
    away(it);
    it.run(500);
    it.come_up()?;
    for id in ids {
        // Where the venue cancels on disconnect they are gone, and known to be.
        it.reach_any(id, &[OrderState::Ack, OrderState::Cancelled])?;
    }
    Ok(Verdict::Held)
}

fn sent_and_lost(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.fault("lost-ack:n=1,silence:link=private:for=2s");
    let (price, qty) = (it.behind(Side::Buy)?, it.small()?);
    let id = it.place(Side::Buy, OrderKind::PostOnly, Tif::Gtc, price, qty)?;
    it.run(20);
    away(it);
    held(it.until("the order has a known fate", 90_000, |it| {
        let state = it.state(id);
        state.is_some_and(|state| state == OrderState::Ack || state.is_final())
    }))
}

fn killed(it: &mut Trial<'_, '_>) -> Outcome {
    if !it.is_virtual() {
        return Ok(Verdict::NotHere("minutes pass"));
    }
    it.come_up()?;
    for side in [Side::Buy, Side::Sell].repeat(3) {
        if it.rest_if_taken(side)?.is_none() {
            return Ok(Verdict::NotHere("it takes no orders"));
        }
    }
    // Old enough that nobody counts their cancels dearly.
    it.run(310_000);
    // Answers take longer than anything here: what leaves does so without one.
    it.fault("slow-ack:ms=3000:n=50");
    let (region, now) = (it.known.region, it.stage().now());
    region.kill().kill("case", "everything must go", now);
    it.run(100);
    let open = |it: &mut Trial<'_, '_>| {
        let record = it.stage().record();
        let rows = record["orders"].as_array().cloned().unwrap_or_default();
        rows.iter().filter(|row| row["state"] == "live").count()
    };
    let left = open(it);
    if left != 0 {
        return Err(format!("{left} of six stand after a tenth of a second"));
    }
    it.until("all of it is heard", 60_000, |it| {
        it.stage().engine().oms().all_live().next().is_none()
    })?;
    let now = it.stage().now();
    region.kill().arm("case", "done", now);
    Ok(Verdict::Held)
}

fn dead_man(it: &mut Trial<'_, '_>) -> Outcome {
    if !it.known.capabilities.dead_man_switch {
        return Ok(Verdict::NotHere("the venue has no such switch"));
    }
    if !it.is_virtual() {
        return Ok(Verdict::NotHere("minutes pass"));
    }
    it.come_up()?;
    it.rest(Side::Buy)?;
    it.rest(Side::Sell)?;
    // Both stand while we live, for longer than the switch waits.
    it.run(150_000);
    let open = |it: &mut Trial<'_, '_>| {
        let record = it.stage().record();
        let rows = record["orders"].as_array().cloned().unwrap_or_default();
        let is_open = |row: &&serde_json::Value| row["state"] == "live";
        rows.iter().filter(is_open).count()
    };
    if open(it) != 2 {
        return Err("orders were cancelled though we lived".to_owned());
    }
    it.stage().stall(150_000_000_000);
    if open(it) != 0 {
        // A switch that is bound to the socket has no timer: it needs the socket's end, which death brings.
        it.fault("disconnect:link=private");
    }
    if open(it) != 0 {
        return Err("orders stood though we were dead".to_owned());
    }
    it.come_up()?;
    Ok(Verdict::Held)
}

fn money_gone(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    if !it.instrument().is_spot {
        return Ok(Verdict::NotHere(
            "derivatives: positions are compared instead",
        ));
    }
    let venue = it.known.venue.id;
    let is_compared = |state: &BalanceState| state.is_compared && state.beyond().is_some();
    it.until("both assets are compared", 15_000, |it| {
        it.balances()
            .iter()
            .filter(|state| is_compared(state))
            .count()
            >= 2
    })?;
    // What fills and their fees move is no difference: compared again, nothing is corrected but rounding.
    for side in [Side::Buy, Side::Sell] {
        let (price, qty) = (it.through(side)?, it.small()?);
        let id = it.place(side, OrderKind::Limit, Tif::Ioc, price, qty)?;
        it.reach(id, OrderState::Filled)?;
    }
    it.compare()?;
    if it.stage().engine().is_halted(venue, None) {
        return Err(format!("halted by fills: {:?}", it.balances()));
    }
    it.expect(Counter::RiskTrips);
    it.fault("withdraw:ppm=100000");
    it.command(Command::Reconcile(venue));
    it.until("the venue is halted", 60_000, |it| {
        it.stage().engine().is_halted(venue, None)
    })?;
    it.command(Command::ResumeVenue(venue));
    it.until("its word is taken", 60_000, |it| {
        let states = it.balances();
        let mut compared = states.iter().filter(|state| is_compared(state));
        !it.stage().engine().is_halted(venue, None)
            && compared.all(|state| state.beyond() == Some(Notional(0)) && !state.differs)
    })?;
    it.compare()?;
    let is_halted = it.stage().engine().is_halted(venue, None);
    if is_halted {
        return Err(format!("halted again: {:?}", it.balances()));
    }
    Ok(Verdict::Held)
}

fn taken_away(it: &mut Trial<'_, '_>) -> Outcome {
    if !it.is_virtual() {
        return Ok(Verdict::NotHere("minutes pass"));
    }
    it.come_up()?;
    let id = it.rest(Side::Buy)?;
    it.run(2_000);
    let before = it.comparisons().len();
    it.fault("silence:link=private:for=3s");
    it.run(100);
    it.fault("pull");
    it.run(1_000);
    if it.state(id) != Some(OrderState::Ack) {
        return Err("its end was heard".to_owned());
    }
    it.until("it is missed", 310_000, |it| {
        it.state(id) == Some(OrderState::Cancelled)
    })?;
    // Its record follows when every fate is known, at the next look.
    it.run(1_000);
    if it.known.venue.is_fix && it.comparisons()[before..].is_empty() {
        return Ok(Verdict::NotHere(
            "its session asks again for what it did not hear",
        ));
    }
    held(it.until(
        "and the comparison that missed it is on record",
        10_000,
        |it| {
            let made = it.comparisons();
            let missed = made[before..].iter().filter(|one| one.missing == 1);
            missed
                .filter(|one| one.compared == 1 && one.unknown == 0)
                .count()
                == 1
        },
    ))
}

/// Paid while we hold some, while we hold it short, and while nobody heard it.
fn funding(it: &mut Trial<'_, '_>) -> Outcome {
    if !it.is_virtual() {
        return Ok(Verdict::NotHere("minutes pass"));
    }
    it.come_up()?;
    it.calm(60_000)?;
    for (side, times) in [(Side::Buy, 1), (Side::Sell, 2)] {
        for _ in 0..times {
            let (price, qty) = (it.through(side)?, it.small()?);
            let id = it.place(side, OrderKind::Limit, Tif::Ioc, price, qty)?;
            it.reach(id, OrderState::Filled)?;
        }
        it.fault("funding:ppm=137");
        it.run(100);
        if it.stage().record()["funding"] == serde_json::json!([]) {
            return Ok(Verdict::NotHere("no funding is paid here, or none is told"));
        }
        same_funding(it)?;
    }
    it.fault("silence:link=private:for=3s,funding:ppm=4100");
    it.run(1_000);
    away(it);
    it.come_up()?;
    same_funding(it)?;
    it.run(10_000);
    held(same_funding(it))
}

/// Neither a fill nor a stream tells of it: only the list of positions does, by what it leaves out.
fn liquidated(it: &mut Trial<'_, '_>) -> Outcome {
    if !it.is_virtual() {
        return Ok(Verdict::NotHere("minutes pass"));
    }
    it.come_up()?;
    match it.known.capabilities.positions {
        Positions::Listed if !it.instrument().is_spot => {}
        Positions::Listed | Positions::None => return Ok(Verdict::NotHere("spot: no positions")),
        Positions::Untold => return Ok(Verdict::NotHere("positions are not told")),
    }
    it.calm(60_000)?;
    let (price, qty) = (it.through(Side::Buy)?, it.small()?);
    let id = it.place(Side::Buy, OrderKind::Limit, Tif::Ioc, price, qty)?;
    it.reach(id, OrderState::Filled)?;
    it.compare()?;
    let venue = it.known.venue.id;
    if it.stage().engine().is_halted(venue, None) || it.position() != qty {
        return Err("what it listed is not what we hold".to_owned());
    }
    it.expect(Counter::RiskTrips);
    it.fault("silence:link=private:for=3s,liquidate");
    it.run(1_000);
    away(it);
    it.until("the venue is halted", 60_000, |it| {
        it.stage().engine().is_halted(venue, None)
    })?;
    it.command(Command::ResumeVenue(venue));
    it.until("its word is taken", 60_000, |it| {
        !it.stage().engine().is_halted(venue, None) && it.position() == Qty(0)
    })?;
    it.compare()?;
    if it.stage().engine().is_halted(venue, None) {
        return Err("halted again".to_owned());
    }
    Ok(Verdict::Held)
}

/// What is booked is what the venue paid, to the last decimal it tells.
fn same_funding(it: &mut Trial<'_, '_>) -> Held {
    let theirs = |it: &mut Trial<'_, '_>| {
        let record = it.stage().record();
        let rows = record["funding"].as_array().into_iter().flatten();
        let amounts =
            rows.filter_map(|row| Decimal::parse(row["amount"].as_str()?.as_bytes()).ok());
        amounts
            .filter_map(Notional::of)
            .map(|amount| amount.0)
            .sum::<i128>()
    };
    let is_same = |it: &mut Trial<'_, '_>| it.funding().0 == theirs(it);
    if it.until("a stream tells of it", 15_000, is_same).is_ok() {
        return Ok(());
    }
    // Where none does, a comparison asks: now rather than in five minutes.
    it.compare()?;
    it.until("the funding is the venue's", 60_000, is_same)
}
