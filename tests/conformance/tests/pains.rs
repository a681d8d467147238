//! What users of trading systems complain of most, each provoked here and suffered nowhere: `pain_01` is the first of the
//! 25 we collected, by harm. Those that need a whole node, a real kernel or a clock are tests elsewhere, and the list
//! below is held to name tests that are there.
//!
//! At four venues that differ most in how orders and books come; `SPINLANE_PAINS=all` at every one.

use dp_book::State;
use dp_lane::Engine;
use dp_shm::Counter;
use dp_types::{ClientOrderId, OrderKind, OrderState, Side, Tif};
use dp_venue_api::EntryLink;
use spinlane_sim::config::SimConfig;
use std::collections::BTreeSet;
use tests_conformance::stage::{Memory, Virtual, sim_config};
use tests_conformance::trial::{Held, TRADED};
use tests_conformance::venues::{self, Tried};
use tests_conformance::{Trial, venues::ALL};

/// Pains whose test is in another room: number, file, test.
const ELSEWHERE: [(u8, &str, &str); 5] = [
    (
        5,
        "tests/system/tests/arbitrage.rs",
        "arbitrage_over_three_venues_ends_hedged_whichever_leg_fails",
    ),
    (12, "tests/conformance/src/cases/account.rs", "dead_man"),
    (
        14,
        "tests/system/tests/limits.rs",
        "a_banned_address_is_silent_until_the_ban_ends",
    ),
    (
        21,
        "tests/hotpath/tests/allocations.rs",
        "a_tick_to_order_touches_no_allocator",
    ),
    (
        22,
        "dataplane/paper/src/exchange_tests.rs",
        "an_order_waits_for_what_was_there_before_it",
    ),
];

/// Where a pain is provoked.
fn places() -> impl Iterator<Item = Tried> {
    let is_all = std::env::var("SPINLANE_PAINS").is_ok_and(|value| value == "all");
    let few = ["binance", "okx", "kraken", "deribit"];
    let is_meant = move |it: &Tried| {
        let is_plain = !it.is_multicast() && !it.is_starbase();
        is_plain && (is_all || few.contains(&it.label().as_str()))
    };
    ALL.into_iter().filter(is_meant)
}

fn at(venue: Tried, sim: &SimConfig, pain: fn(&mut Trial<'_, '_>) -> Held) -> Held {
    let memory = Memory::new();
    let (mut stage, known) = Virtual::with(&memory, venue, 1, sim);
    let mut trial = Trial::new(&mut stage, known);
    trial.come_up()?;
    pain(&mut trial)?;
    trial.agree()
}

/// Provokes a pain everywhere, and everything agrees with the venue at the end.
fn everywhere(pain: fn(&mut Trial<'_, '_>) -> Held) {
    let failed: Vec<String> = places()
        .filter_map(|venue| {
            let held = at(venue, &sim_config(&venue, 25), pain);
            held.err().map(|why| format!("{}: {why}", venue.label()))
        })
        .collect();
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

fn ensure(is_so: bool, what: impl FnOnce() -> String) -> Held {
    if is_so { Ok(()) } else { Err(what()) }
}

/// Orders open at the venue, by its record.
fn open(it: &mut Trial<'_, '_>) -> usize {
    let record = it.stage().record();
    let rows = record["orders"].as_array().cloned().unwrap_or_default();
    let is_open = |row: &&serde_json::Value| {
        matches!(row["state"].as_str(), Some("live" | "partially_filled"))
    };
    rows.iter().filter(is_open).count()
}

fn asked(it: &mut Trial<'_, '_>) -> u64 {
    it.stage().stats()["counts"]["new_requests"]
        .as_u64()
        .unwrap_or(0)
}

fn engine<'t>(it: &'t mut Trial<'_, '_>) -> &'t Engine<'t> {
    it.stage().engine()
}

/// An immediate order that is filled.
fn fill(it: &mut Trial<'_, '_>, side: Side) -> Result<ClientOrderId, String> {
    let (price, qty) = (it.through(side)?, it.small()?);
    let id = it.place(side, OrderKind::Limit, Tif::Ioc, price, qty)?;
    it.reach(id, OrderState::Filled)?;
    Ok(id)
}

/// The network fails between an order and its answer; the order rests at the venue and would be filled later.
#[test]
fn pain_01_an_orders_fate_is_not_lost_in_a_network_error() {
    everywhere(|it| {
        for fault in [
            "lost-ack:n=1",
            "timeout:executed=true",
            "timeout:executed=false",
        ] {
            it.fault(fault);
            let (price, qty) = (it.behind(Side::Buy)?, it.small()?);
            let id = it.place(Side::Buy, OrderKind::PostOnly, Tif::Gtc, price, qty)?;
            it.fault("disconnect:link=private");
            it.until("its fate is known", 90_000, |it| {
                let state = it.state(id);
                state.is_some_and(|state| state == OrderState::Ack || state.is_final())
            })?;
            it.run(500);
            it.come_up()?;
        }
        let (known, there) = (engine(it).oms().held_count(), open(it));
        ensure(known == there, || {
            format!("{known} orders known, {there} there")
        })?;
        let doubled = it.stage().stats()["counts"]["duplicate_client_ids"].as_u64();
        ensure(doubled == Some(0), || {
            format!("{doubled:?} orders sent again")
        })
    });
}

/// Fills told twice, and again by the comparison after a restart.
#[test]
fn pain_02_fills_are_counted_once_over_restarts() {
    everywhere(|it| {
        it.calm(60_000)?;
        it.fault("duplicate-fill:n=3");
        for side in [Side::Buy, Side::Sell, Side::Buy] {
            fill(it, side)?;
        }
        let position = it.script().position;
        for _ in 0..3 {
            it.restart()?;
            it.come_up()?;
            let now = it.script().position;
            ensure(now == position, || format!("{position:?} became {now:?}"))?;
        }
        Ok(())
    });
}

/// The link is gone when the fill comes.
#[test]
fn pain_03_a_fill_during_a_disconnect_is_counted() {
    everywhere(|it| {
        it.calm(90_000)?;
        it.fault("silence:link=private:for=3s,lost-ack:n=1");
        let (price, qty) = (it.through(Side::Buy)?, it.small()?);
        let id = it.place(Side::Buy, OrderKind::Limit, Tif::Gtc, price, qty)?;
        it.run(500);
        it.fault("disconnect:link=private");
        it.until("the fill is known", 90_000, |it| {
            it.state(id) == Some(OrderState::Filled)
        })?;
        it.until("and in the position", 30_000, |it| {
            it.script().position.0 > 0
        })
    });
}

/// Killed with a position and orders open.
#[test]
fn pain_04_a_restarted_node_knows_what_it_holds() {
    everywhere(|it| {
        it.calm(60_000)?;
        fill(it, Side::Buy)?;
        let ids = [it.rest(Side::Buy)?, it.rest(Side::Sell)?];
        let position = it.script().position;
        ensure(position.0 > 0, || "nothing is held".into())?;
        it.restart()?;
        it.come_up()?;
        let now = it.script().position;
        ensure(now == position, || format!("{position:?} became {now:?}"))?;
        for id in ids {
            // Where the venue cancels on disconnect they are gone, and known to be.
            it.reach_any(id, &[OrderState::Ack, OrderState::Cancelled])?;
        }
        Ok(())
    });
}

/// The feed says nothing more and its connection stands.
#[test]
fn pain_06_a_silent_feed_is_not_quoted_on() {
    everywhere(|it| {
        it.fault("silence:link=public:for=120s");
        it.until("the silence is noticed", 100_000, |it| !it.is_synced())?;
        ensure(!it.script().can_trade, || {
            "it may trade on a stale book".into()
        })?;
        it.until("books are whole again", 180_000, |it| it.is_synced())
    });
}

/// Cut ten times: the book comes back by itself each time.
#[test]
fn pain_07_the_book_comes_back_after_every_reconnect() {
    everywhere(|it| {
        for round in 0..10 {
            it.fault("disconnect:link=public");
            it.until("the book is not trusted", 5_000, |it| !it.is_synced())?;
            it.until(&format!("the book is back, round {round}"), 30_000, |it| {
                it.is_synced()
            })?;
        }
        it.calm(10_000)
    });
}

/// A message is missing.
#[test]
fn pain_08_a_gap_makes_the_book_invalid_at_once() {
    everywhere(|it| {
        for _ in 0..5 {
            let before = it.count(Counter::Resyncs);
            it.fault("gap:n=1");
            it.until("the hole is noticed", 60_000, |it| {
                it.count(Counter::Resyncs) > before
            })?;
            let is_trusted = engine(it)
                .book(TRADED)
                .is_some_and(|(_, proof)| proof.state == State::Synced)
                && engine(it)
                    .book(dp_types::InstrumentId(1))
                    .is_some_and(|(_, proof)| proof.state == State::Synced);
            // Where a snapshot stands ready the book is whole again in the same turn, never with the hole in it.
            if is_trusted {
                it.calm(2_000)?;
            }
            it.come_up()?;
        }
        it.calm(10_000)
    });
}

/// Snapshots older and newer than the stream they are joined with.
#[test]
fn pain_09_snapshot_and_deltas_are_joined_rightly() {
    everywhere(|it| {
        for fault in ["snapshot-old:n=2", "snapshot-new:n=2:ms=400"] {
            it.fault(fault);
            it.fault("disconnect:link=public");
            it.run(1_000);
            it.come_up()?;
            it.calm(5_000)?;
        }
        Ok(())
    });
}

/// Checksums that are wrong again and again.
#[test]
fn pain_10_a_wrong_checksum_costs_one_book_and_no_more() {
    everywhere(|it| {
        if !it.known.capabilities.book_checksum {
            return Ok(());
        }
        for _ in 0..10 {
            let before = it.count(Counter::ChecksumFailures);
            it.fault("bad-checksum:n=1");
            it.until("it is noticed", 60_000, |it| {
                it.count(Counter::ChecksumFailures) > before
            })?;
            it.come_up()?;
        }
        it.calm(10_000)
    });
}

/// Everything that disturbs a book, for half an hour: no strategy is shown a crossed one to trade on.
#[test]
fn pain_11_no_crossed_book_is_traded_on() {
    everywhere(|it| {
        let faults = [
            "gap",
            "reorder",
            "duplicate:n=2",
            "seq-reset",
            "disconnect:link=public",
            "jump:ppm=3000",
        ];
        for minute in 0..30 {
            it.fault(faults[minute % faults.len()]);
            let end = it.stage().now().after(5_000_000_000);
            while it.stage().now() < end {
                it.stage().step(1_000_000);
                let is_crossed = it.book().is_some_and(|book| {
                    let (bid, ask) = (book.best_bid(), book.best_ask());
                    bid.zip(ask)
                        .is_some_and(|(bid, ask)| bid.price >= ask.price)
                });
                let can_trade = it.script().can_trade;
                ensure(!(is_crossed && can_trade && it.is_synced()), || {
                    format!("crossed in minute {minute}")
                })?;
            }
            it.come_up()?;
        }
        it.expect(Counter::CrossedBooks);
        Ok(())
    });
}

/// Killed: everything is cancelled, books live on, and a named person brings it back.
#[test]
fn pain_13_the_kill_switch_has_a_way_back() {
    everywhere(|it| {
        it.rest(Side::Buy)?;
        it.rest(Side::Sell)?;
        let now = it.stage().now();
        it.known.region.kill().kill("somebody", "a test", now);
        it.until("nothing is open at the venue", 30_000, |it| open(it) == 0)?;
        let before = it.count(Counter::BookEvents);
        it.run(3_000);
        ensure(!it.script().can_trade, || "it may trade".into())?;
        ensure(
            it.count(Counter::BookEvents) > before && it.is_synced(),
            || "books died with it".into(),
        )?;
        let now = it.stage().now();
        it.known.region.kill().arm("somebody", "a test", now);
        it.come_up()?;
        it.rest(Side::Buy)?;
        Ok(())
    });
}

/// Five lives of a node: no id is the same.
#[test]
fn pain_15_client_ids_never_collide() {
    everywhere(|it| {
        let mut ids = BTreeSet::new();
        for _ in 0..5 {
            for _ in 0..3 {
                let id = it.rest(Side::Buy)?;
                ensure(ids.insert(id), || format!("{id:?} twice"))?;
                // At Kraken a cancel soon after its order costs most.
                it.run(10_000);
                it.cancel(id);
                it.reach(id, OrderState::Cancelled)?;
            }
            it.restart()?;
            it.come_up()?;
        }
        let doubled = it.stage().stats()["counts"]["duplicate_client_ids"].as_u64();
        ensure(doubled == Some(0), || {
            format!("{doubled:?} ids twice at the venue")
        })
    });
}

/// A cancel that is refused or unanswered is asked for again, but not in a storm.
#[test]
fn pain_16_no_storm_of_cancels_and_orders() {
    everywhere(|it| {
        let id = it.rest(Side::Buy)?;
        it.fault("silence:link=private:for=20s");
        let (orders, cancels) = (asked(it), it.count(Counter::CancelsSent));
        for _ in 0..500 {
            it.cancel(id);
            it.run(20);
        }
        let sent = it.count(Counter::CancelsSent) - cancels;
        ensure(sent <= 30, || format!("{sent} cancels in 10 s"))?;
        ensure(asked(it) == orders, || "orders nobody wished for".into())?;
        it.until("it is gone", 90_000, |it| {
            it.state(id).is_none_or(OrderState::is_final)
        })
    });
}

/// Fields nobody has heard of.
#[test]
fn pain_17_unknown_fields_drop_no_data() {
    everywhere(|it| {
        it.fault("extra-fields:n=200");
        let before = it.count(Counter::BookEvents);
        it.run(5_000);
        ensure(it.used("extra-fields") > 0, || "nothing was added".into())?;
        ensure(it.count(Counter::BookEvents) > before, || {
            "books stood still".into()
        })?;
        ensure(it.count(Counter::Gaps) == 0, || "messages were lost".into())?;
        it.calm(10_000)
    });
}

/// No time passes between a decision and the wire: both are one turn of one thread.
#[test]
fn pain_18_an_order_leaves_in_the_turn_it_was_decided_in() {
    everywhere(|it| {
        for _ in 0..5 {
            let sent = it.count(Counter::OrdersSent);
            let (price, qty) = (it.behind(Side::Buy)?, it.small()?);
            // Returns after the turn in which the order was admitted.
            let id = it.place(Side::Buy, OrderKind::PostOnly, Tif::Gtc, price, qty)?;
            let now = it.count(Counter::OrdersSent);
            ensure(now == sent + 1, || format!("{sent} sent, then {now}"))?;
            it.reach(id, OrderState::Ack)?;
            it.cancel(id);
            it.reach(id, OrderState::Cancelled)?;
        }
        Ok(())
    });
}

/// An order leaves on the fastest road its venue has.
#[test]
fn pain_19_orders_go_over_a_link_where_the_venue_has_one() {
    everywhere(|it| {
        it.run(2_000);
        let before = it.count(Counter::HttpRequests);
        it.rest(Side::Buy)?;
        let requests = it.count(Counter::HttpRequests) - before;
        let is_by_rest = it.known.capabilities.entry == EntryLink::Rest;
        ensure((requests > 0) == is_by_rest, || {
            format!("{requests} requests by HTTP")
        })
    });
}

/// A hundred times the usual traffic, and a lane that was away for seconds.
#[test]
fn pain_20_a_flood_is_read_to_its_end() {
    let failed: Vec<String> = places()
        .filter_map(|venue| {
            let mut sim = sim_config(&venue, 25);
            sim.flow.ticks_per_s = 2_000;
            let held = at(venue, &sim, |it| {
                let before = it.count(Counter::Reconnects);
                it.run(5_000);
                it.stage().stall(3_000_000_000);
                it.run(200);
                ensure(it.count(Counter::Reconnects) == before, || {
                    "a link was lost".into()
                })?;
                ensure(it.count(Counter::Gaps) == 0, || "messages were lost".into())?;
                it.calm(10_000)
            });
            held.err().map(|why| format!("{}: {why}", venue.label()))
        })
        .collect();
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

/// Everything is cut, ten times: trading goes on within seconds.
#[test]
fn pain_23_a_reconnect_takes_seconds() {
    everywhere(|it| {
        for round in 0..10 {
            it.run(60_000);
            it.come_up()?;
            it.fault("disconnect");
            let cut = it.stage().now();
            it.until("it is noticed", 5_000, |it| {
                !it.script().can_trade || !it.is_synced()
            })?;
            it.come_up()?;
            let ms = it.stage().now().since(cut) / 1_000_000;
            ensure(ms < 10_000, || format!("{ms} ms in round {round}"))?;
        }
        Ok(())
    });
}

/// The venue's time and ours are two numbers, and both make sense.
#[test]
fn pain_24_two_times_are_told() {
    everywhere(|it| {
        it.run(2_000);
        let line = it.known.region.book(TRADED).ok_or("no line")?;
        let top = line.read().ok_or("not written")?;
        let (theirs, ours) = (top.venue_ns.0, top.updated.0);
        // Some venues put no time on a book.
        ensure(theirs == 0 || theirs <= ours, || {
            format!("theirs {theirs} after ours {ours}")
        })?;
        ensure(theirs == 0 || ours - theirs < 1_000_000_000, || {
            format!("{theirs} and {ours}")
        })
    });
}

/// Compared again and again, with orders open and a position held: nothing appears, nothing goes.
#[test]
fn pain_25_comparing_invents_nothing() {
    everywhere(|it| {
        it.calm(600_000)?;
        fill(it, Side::Buy)?;
        it.rest(Side::Buy)?;
        it.rest(Side::Sell)?;
        let position = it.script().position;
        let fills = it.count(Counter::Fills);
        let orders = asked(it);
        for round in 0..8 {
            it.fault("disconnect:link=private");
            it.run(200);
            it.come_up()?;
            let (now, counted) = (it.script().position, it.count(Counter::Fills));
            ensure(now == position && counted == fills, || {
                format!("round {round}: {position:?} became {now:?}, {fills} fills {counted}")
            })?;
            let (known, there) = (engine(it).oms().held_count(), open(it));
            ensure(known == there, || {
                format!("{known} orders known, {there} there")
            })?;
        }
        ensure(asked(it) == orders, || "orders nobody wished for".into())
    });
}

/// Each of the 25 has its test: here, or where the list says.
#[test]
fn every_pain_has_its_test() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let here = include_str!("pains.rs");
    for number in 1..=25u8 {
        let is_here = here.contains(&format!("fn pain_{number:02}_"));
        let elsewhere = ELSEWHERE.iter().find(|it| it.0 == number);
        assert!(is_here != elsewhere.is_some(), "pain {number}");
        if let Some((_, file, test)) = elsewhere {
            let text = std::fs::read_to_string(format!("{root}/{file}")).expect(file);
            assert!(
                text.contains(&format!("fn {test}(")),
                "{file} has no {test}"
            );
        }
    }
    assert!(venues::all().count() > 10);
}
