//! The venue against its floor client over loopback: what stalls must show, and nothing else may be lost.

use super::net::Sockets;
use super::{Load, Outcome, Venue};
use crate::client::floor;
use crate::host::Seats;
use crate::stats::{Samples, Set};
use core::time::Duration;
use dp_transport::Clock;
use std::net::TcpListener;

const STALL: Duration = Duration::from_millis(50);

fn listener() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

/// One timetable against a floor client in a thread. Ordinary priority, no cores taken.
fn run(is_tls: bool, load: Load, client_stall: Option<(u64, Duration)>) -> Outcome {
    run_on(None, is_tls, load, client_stall)
}

/// The same on cores of their own, as a measurement has them.
fn run_on(
    seats: Option<&Seats>,
    is_tls: bool,
    load: Load,
    client_stall: Option<(u64, Duration)>,
) -> Outcome {
    let venue = Venue::new(Clock::calibrate(20)).unwrap();
    let listener = listener();
    let (address, ca) = (listener.local_addr().unwrap(), venue.ca.clone());
    let own = seats.cloned();
    let client = std::thread::spawn(move || {
        own.inspect(|seats| seats.sit(seats.client_core));
        let ca = is_tls.then_some(ca.as_bytes());
        // Ends when the venue's session is dropped.
        floor::run(|| floor::tcp(address), ca, load.every, client_stall)
    });
    seats.inspect(|seats| seats.sit(seats.venue_core));
    let mut session = venue.session(Box::new(Sockets::new(&listener)), None);
    session.come_up(load.every, |_| Ok(())).unwrap();
    let outcome = session.run(&load).unwrap();
    drop(session);
    assert!(client.join().unwrap().is_err(), "the client heard the end");
    outcome
}

fn p999(outcome: &Outcome) -> f64 {
    quantile(outcome, Set::All, 3)
}

fn quantile(outcome: &Outcome, set: Set, at: usize) -> f64 {
    let mut samples = Samples::default();
    samples.add_round(&outcome.clean, outcome.values.iter().copied());
    samples
        .quantiles(set)
        .map_or(f64::NAN, |(values, _)| values[at])
}

#[test]
fn every_tick_is_answered_once_with_and_without_tls() {
    for is_tls in [false, true] {
        let outcome = run(is_tls, Load::new(2_000, 0.3), None);
        assert_eq!((outcome.asked, outcome.answered), (600, 600));
        assert_eq!((outcome.strays, outcome.values.len()), (0, 600));
        assert_eq!(outcome.clean.len(), 15, "windows of 20 ms");
        assert!(outcome.venue_load > 0.0 && outcome.venue_load < 1.0);
        assert_eq!(outcome.late.len(), 600);
    }
}

#[test]
fn a_venue_that_stands_still_shows_in_the_tail() {
    let load = Load {
        stall: Some((200, STALL.as_nanos() as u64)),
        ..Load::new(1_000, 0.5)
    };
    let outcome = run(false, load, None);
    assert_eq!(outcome.answered, outcome.asked, "late is not lost");
    // The tick it stood before waited all of it; 1,000/s: 50 of 500 waited more or less of it.
    assert!(p999(&outcome) >= 49e6, "{}", p999(&outcome));
    let waited = |ns: u32| outcome.values.iter().filter(|(at, _)| *at >= ns).count();
    assert!(waited(10_000_000) >= 35, "{}", waited(10_000_000));
    assert!(outcome.clean.contains(&false), "such a window is not clean");
}

#[test]
fn a_client_that_stands_still_shows_in_the_tail() {
    let outcome = run(false, Load::new(1_000, 0.5), Some((500, STALL)));
    assert_eq!(outcome.answered, outcome.asked);
    assert!(p999(&outcome) >= 45e6, "{}", p999(&outcome));
    let waited = |ns: u32| outcome.values.iter().filter(|(at, _)| *at >= ns).count();
    assert!(waited(10_000_000) >= 35, "the ticks behind it waited too");
}

/// Nobody took anything from the client that spins for 50 ms: all it delayed is in the clean windows. The kernel
/// may take the venue's core in the middle of it (real-time throttling), which is filtered by right: then once
/// more.
#[test]
fn a_clients_own_stall_is_in_the_clean_windows() {
    let seats = Seats::find(0, 1);
    if !seats.is_fifo || !seats.is_apart {
        let why = "two cores and SCHED_FIFO: neighbours would preempt the venue all the time";
        return tests_net::skip("fifo", why);
    }
    for rate in [10_000, 30_000] {
        // Behind a trial of 100 and the warm-up.
        let stalls_at = 100 + rate / 5 + rate / 10;
        let mut seen = Vec::new();
        let is_shown = (0..30).any(|_| {
            let load = Load::new(rate, 0.4);
            let outcome = run_on(Some(&seats), true, load, Some((stalls_at, STALL)));
            assert_eq!(outcome.answered, outcome.asked);
            let delayed = outcome.values.iter().filter(|(ns, _)| *ns >= 5_000_000);
            let is_clean = |window: u32| outcome.clean[window as usize];
            let clean = delayed.clone().filter(|(_, window)| is_clean(*window));
            let counts = (delayed.clone().count(), clean.count());
            let p99 = quantile(&outcome, Set::Clean, 2);
            seen.push((counts, p99));
            // Nine tenths of the stall's own ticks; an eighth of all, so that p99 is deep in it.
            counts.0 as u64 >= rate / 25 && counts.0 == counts.1 && p99 >= 40e6
        });
        assert!(is_shown, "{rate}/s: {seen:?}");
    }
}

#[test]
fn one_tick_in_so_many_is_asked_and_several_due_go_out_together() {
    let load = Load {
        every: 20,
        ..Load::new(40_000, 0.3)
    };
    let outcome = run(true, load, None);
    assert_eq!((outcome.asked, outcome.answered), (600, 600));
    assert_eq!(outcome.strays, 0);
}

#[test]
fn bursts_are_due_at_once_and_none_is_lost() {
    for per_record in [1, 16] {
        let load = Load {
            every: 20,
            ..Load::new(16_000, 0.3).in_bursts(16, per_record)
        };
        let outcome = run(true, load, None);
        assert_eq!((outcome.asked, outcome.answered), (240, 240));
        assert_eq!((outcome.strays, outcome.late.len()), (0, 4_800));
    }
    // Rounded up to whole bursts.
    let load = Load::new(1_000, 0.1).in_bursts(16, 4);
    assert_eq!((load.warm, load.ticks), (112, 112));
}

#[test]
fn a_divisor_that_does_not_divide_is_refused() {
    let venue = Venue::new(Clock::calibrate(5)).unwrap();
    let listener = listener();
    let mut session = venue.session(Box::new(Sockets::new(&listener)), None);
    let load = Load {
        every: 7,
        ..Load::new(1_000, 0.1)
    };
    assert!(session.run(&load).is_err());
    let load = Load::new(1_000, 0.1).in_bursts(24, 8);
    assert!(session.run(&load).is_err());
}
