//! The venue against its floor client over loopback: what stalls must show, and nothing else may be lost.

use super::net::Sockets;
use super::{Load, Outcome, Venue};
use crate::client::floor;
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
    let venue = Venue::new(Clock::calibrate(20)).unwrap();
    let listener = listener();
    let (address, ca) = (listener.local_addr().unwrap(), venue.ca.clone());
    let client = std::thread::spawn(move || {
        let ca = is_tls.then_some(ca.as_bytes());
        // Ends when the venue's session is dropped.
        floor::run(|| floor::tcp(address), ca, load.every, client_stall)
    });
    let mut session = venue.session(Box::new(Sockets::new(&listener)), None);
    session.come_up(load.every, |_| Ok(())).unwrap();
    let outcome = session.run(&load).unwrap();
    drop(session);
    assert!(client.join().unwrap().is_err(), "the client heard the end");
    outcome
}

fn p999(outcome: &Outcome) -> f64 {
    let mut samples = Samples::default();
    samples.add_round(&outcome.clean, outcome.values.iter().copied());
    samples.quantiles(Set::All).unwrap().0[3]
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
    assert_eq!((load.warm, load.ticks), (208, 112));
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
