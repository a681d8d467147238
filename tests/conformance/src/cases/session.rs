//! S: sessions, their ends and their limits.

use super::{Case, Outcome, Verdict, held};
use crate::trial::{Held, Trial};
use dp_shm::Counter;
use dp_types::{OrderKind, OrderState, Side, Tif};

pub const CASES: &[Case] = &[
    Case::new(
        "S01",
        "a cut feed: books are stale at once, then whole",
        feed_cut,
    ),
    Case::new(
        "S02",
        "a cut order link: logged in and compared again",
        orders_cut,
    ),
    Case::new("S03", "everything cut, five times", all_cut).slow(),
    Case::new(
        "S04",
        "a half-open feed is found by its silence",
        feed_silent,
    )
    .slow(),
    Case::new(
        "S05",
        "a half-open order link is found by its silence",
        orders_silent,
    )
    .slow(),
    Case::new("S06", "an announced restart", restart),
    Case::long(
        "S07",
        "more than a day: forced disconnects without a gap",
        a_day,
    ),
    Case::new("S08", "tokens and logins that end", token_expiry),
    Case::new("S09", "the venue's clock is off by two seconds", clock_skew),
    Case::new("S10", "we stand still for ten seconds", slow_consumer),
    Case::new("S11", "429: we wait, then go on", rate_limit).slow(),
    Case::new("S12", "ten minutes in which nothing happens", quiet),
];

fn feed_cut(it: &mut Trial<'_, '_>) -> Outcome {
    if it.known.venue.is_multicast() {
        return Ok(Verdict::NotHere("a group is no connection: F19 and S04"));
    }
    it.come_up()?;
    it.fault("disconnect:link=public");
    it.until("the books are not trusted", 2_000, |it| !it.is_synced())?;
    held(it.come_up())
}

fn orders_cut(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    let id = it.rest(Side::Buy)?;
    it.fault("disconnect:link=private");
    it.until("trading stops", 5_000, |it| !it.script().can_trade)?;
    it.come_up()?;
    it.reach_any(id, &[OrderState::Ack, OrderState::Cancelled])?;
    it.rest(Side::Sell)?;
    Ok(Verdict::Held)
}

fn all_cut(it: &mut Trial<'_, '_>) -> Outcome {
    for _ in 0..5 {
        it.come_up()?;
        it.fault("disconnect");
        it.until("the cut is noticed", 5_000, |it| !it.is_up())?;
    }
    if it.known.venue.is_multicast() {
        // Its books look whole until the lines go on.
        it.run(6_000);
    }
    it.come_up()?;
    it.rest_if_taken(Side::Buy)?;
    Ok(Verdict::Held)
}

fn feed_silent(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.fault("silence:link=public:for=120s");
    // Where market data has several links, another one's end says nothing of the books.
    it.until("the silence is noticed", 100_000, |it| !it.is_synced())?;
    held(it.until("books are whole again", 180_000, |it| it.is_synced()))
}

fn orders_silent(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.fault("silence:link=private:for=120s");
    let before = it.count(Counter::Reconnects);
    it.until("the silence is noticed", 130_000, |it| {
        it.count(Counter::Reconnects) > before
    })?;
    it.until("trading stops", 5_000, |it| !it.script().can_trade)?;
    it.until("trading goes on", 240_000, |it| it.script().can_trade)?;
    it.rest(Side::Buy)?;
    Ok(Verdict::Held)
}

fn restart(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    let id = it.rest_if_taken(Side::Buy)?;
    it.fault("restart:for=3s");
    it.run(6_000);
    it.come_up()?;
    if let Some(id) = id {
        it.reach_any(id, &[OrderState::Ack, OrderState::Cancelled])?;
    }
    Ok(Verdict::Held)
}

fn a_day(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.run(26 * 3_600_000);
    let lost = [Counter::Gaps, Counter::ChecksumFailures];
    for counter in lost {
        let count = it.count(counter);
        if count != 0 {
            return Err(format!("{} {count}", counter.name()));
        }
    }
    Ok(Verdict::Held)
}

fn token_expiry(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.fault("token-expiry");
    it.fault("disconnect");
    it.until("the cut is noticed", 5_000, |it| !it.is_up())?;
    it.come_up()?;
    it.rest_if_taken(Side::Buy)?;
    Ok(Verdict::Held)
}

/// An order is taken or refused, but never of unknown fate.
fn taken_or_refused(it: &mut Trial<'_, '_>) -> Held {
    let (price, qty) = (it.behind(Side::Buy)?, it.small()?);
    let id = it.place(Side::Buy, OrderKind::PostOnly, Tif::Gtc, price, qty)?;
    it.reach_any(id, &[OrderState::Ack, OrderState::Rejected])
}

fn clock_skew(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.fault("clock-skew:ms=2000");
    it.run(1_000);
    if it.takes_orders() {
        taken_or_refused(it)?;
    }
    it.fault("clock-skew:ms=0");
    it.run(1_000);
    it.come_up()?;
    it.rest_if_taken(Side::Sell)?;
    Ok(Verdict::Held)
}

fn slow_consumer(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.rest_if_taken(Side::Buy)?;
    it.stage().stall(10_000_000_000);
    it.run(500);
    held(it.come_up())
}

fn rate_limit(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.fault("rate-limit:n=1:for=5s");
    if it.takes_orders() {
        taken_or_refused(it)?;
    } else {
        // The stream is asked for anew, and refused.
        it.fault("disconnect:link=public");
        it.run(2_000);
    }
    if it.used("rate-limit") == 0 {
        return Err("no request was refused for rate".to_owned());
    }
    // Longer than the window, or the fall of a counter, at a venue that does not say when it ends.
    it.run(15_000);
    it.come_up()?;
    it.rest_if_taken(Side::Sell)?;
    Ok(Verdict::Held)
}

fn quiet(it: &mut Trial<'_, '_>) -> Outcome {
    if !it.is_virtual() {
        return Ok(Verdict::NotHere("minutes pass"));
    }
    it.come_up()?;
    it.fault("calm:for=600s");
    it.run(600_000);
    match it.count(Counter::Reconnects) {
        0 => Ok(Verdict::Held),
        count => Err(format!(
            "{count} reconnects though the venue was only quiet"
        )),
    }
}
