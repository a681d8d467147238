//! Our TCP against the Linux kernel's, over a bad link, both ways at once: every octet, once, in
//! order. And the figures beside the kernel's own, told and not gated.
//!
//! `SPINLANE_TCP_KERNEL_SECONDS=3600` is the long form: random links until the time is up.
//! `SPINLANE_TCP_KERNEL_TABLE=1 cargo test --release -p tests-kernel -- --nocapture table` prints
//! the table.

use dp_tcp::{Config, Counters, End as Ending};
use std::time::{Duration, Instant};
use tests_kernel::forger::Forger;
use tests_kernel::ours::{BulkApp, PingApp};
use tests_kernel::sockets::{self, Bulk};
use tests_kernel::watch::Watch;
use tests_kernel::{End, Namespace, Wire, is_possible, stack};
use tests_relay::{Impairments, Random};

const MS: u64 = 1_000_000;
/// One way: a venue a millisecond away.
const NEAR: Impairments = Impairments {
    seed: 1,
    loss: 0,
    loss_again: 0,
    duplicate: 0,
    reorder: 0,
    reorder_ns: 0,
    corrupt: 0,
    delay_ns: MS / 2,
    jitter_ns: 0,
    rate: 0,
    queue: 0,
    blackout_every_ns: 0,
    blackout_ns: 0,
};

fn links(impairments: Impairments) -> [Impairments; 2] {
    let back = Impairments {
        seed: impairments.seed ^ 0xffff,
        ..impairments
    };
    [impairments, back]
}

/// One connection from our stack to the kernel's sockets; both ends must hear everything.
fn exchange(impairments: Impairments, ours: Bulk, theirs: Bulk, config: Config) -> (BulkApp, f64) {
    let mut kernel = Namespace::new(2).unwrap();
    let tap = kernel.take_tap().unwrap();
    let (ready, listening) = std::sync::mpsc::channel();
    let answer = kernel
        .run(move || {
            let listener = sockets::listen(2);
            ready.send(()).expect("the test waits");
            listener.and_then(|listener| sockets::serve_bulk(&listener, theirs))
        })
        .unwrap();
    listening.recv().unwrap();
    let mut app = BulkApp::new(ours);
    let mut heard = None;
    let begin = Instant::now();
    {
        let stack = Box::new(stack(1, config).unwrap());
        let ends = [End::Ours(stack, &mut app), End::Kernel(tap)];
        let mut wire = Wire::new(ends, links(impairments));
        let is_done = wire.run(Duration::from_secs(90), || {
            heard = heard.take().or_else(|| answer.try_recv().ok());
            heard.is_some()
        });
        assert!(
            is_done.unwrap(),
            "it hangs: {impairments:?}\n{:?}",
            wire.stack(0)
        );
    }
    let took = begin.elapsed().as_secs_f64();
    let heard = heard.expect("it is done").unwrap_or_else(|error| {
        panic!("the kernel's end: {error}; {impairments:?}\n{app:?}");
    });
    assert_eq!(heard, theirs.hear, "{impairments:?}");
    assert_eq!((app.heard, app.wrong), (ours.hear, None), "{impairments:?}");
    assert!(matches!(app.end, None | Some(Ending::Closed)), "{app:?}");
    (app, took)
}

fn both(octets: u64) -> (Bulk, Bulk) {
    let plan = Bulk {
        send: octets,
        hear: octets,
        lazy: None,
    };
    (plan, plan)
}

/// Faults the kernel's retransmission timer of 200 ms makes slow are kept short.
fn faults() -> [(&'static str, Impairments); 7] {
    [
        ("clean", NEAR),
        (
            "1 % lost",
            Impairments {
                loss: 10_000,
                ..NEAR
            },
        ),
        (
            "5 % lost, in bursts",
            Impairments {
                loss: 50_000,
                loss_again: 300_000,
                ..NEAR
            },
        ),
        (
            "5 % twice",
            Impairments {
                duplicate: 50_000,
                ..NEAR
            },
        ),
        (
            "10 % late by up to 2 ms",
            Impairments {
                reorder: 100_000,
                reorder_ns: 2 * MS,
                ..NEAR
            },
        ),
        (
            "2 % damaged",
            Impairments {
                corrupt: 20_000,
                ..NEAR
            },
        ),
        (
            "a little of everything",
            Impairments {
                loss: 10_000,
                duplicate: 10_000,
                reorder: 20_000,
                reorder_ns: 3 * MS,
                corrupt: 5_000,
                jitter_ns: MS,
                ..NEAR
            },
        ),
    ]
}

#[test]
fn every_octet_arrives_both_ways_whatever_the_link_does() {
    if !is_possible() {
        return;
    }
    for (name, impairments) in faults() {
        let (ours, theirs) = both(300_000);
        let (app, took) = exchange(impairments, ours, theirs, Config::default());
        println!("{name:26} {took:6.2} s  {:?}", brief(&app.counters));
    }
}

#[test]
fn a_kernel_that_reads_slowly_closes_the_window_and_loses_nothing() {
    if !is_possible() {
        return;
    }
    let slow = Some((8 << 10, Duration::from_millis(30)));
    let ours = Bulk {
        send: 150_000,
        hear: 0,
        lazy: None,
    };
    let theirs = Bulk {
        send: 0,
        hear: 150_000,
        lazy: slow,
    };
    let lossy = Impairments {
        loss: 10_000,
        ..NEAR
    };
    let (app, _) = exchange(lossy, ours, theirs, Config::default());
    println!("{:?}", brief(&app.counters));
    // And the other way: our window closes under the kernel.
    let config = Config {
        receive_buffer: 8 << 10,
        ..Config::default()
    };
    let ours = Bulk {
        send: 0,
        hear: 150_000,
        lazy: Some((0, Duration::from_millis(30))),
    };
    let theirs = Bulk {
        send: 150_000,
        hear: 0,
        lazy: None,
    };
    exchange(lossy, ours, theirs, config);
}

#[test]
fn without_options_it_is_still_tcp() {
    if !is_possible() {
        return;
    }
    let (ours, theirs) = both(100_000);
    let lossy = Impairments {
        loss: 10_000,
        ..NEAR
    };
    for bits in 0..7 {
        let config = Config {
            sack: bits & 1 != 0,
            timestamps: bits & 2 != 0,
            window_scaling: bits & 4 != 0,
            ..Config::default()
        };
        exchange(lossy, ours, theirs, config);
    }
}

#[test]
fn for_as_long_as_asked_over_random_links() {
    let asked = std::env::var("SPINLANE_TCP_KERNEL_SECONDS").ok();
    let Some(seconds) = asked.and_then(|text| text.parse().ok()) else {
        println!("not asked for: SPINLANE_TCP_KERNEL_SECONDS=3600 is the nightly form");
        return;
    };
    assert!(is_possible(), "asked for, and not possible");
    let begin = Instant::now();
    let (mut count, mut octets) = (0u64, 0);
    while begin.elapsed() < Duration::from_secs(seconds) {
        let mut random = Random::new(count);
        let share = |random: &mut Random, most: u64| random.below(most) as u32;
        let impairments = Impairments {
            seed: count,
            loss: share(&mut random, 50_000),
            loss_again: share(&mut random, 200_000),
            duplicate: share(&mut random, 50_000),
            reorder: share(&mut random, 100_000),
            reorder_ns: random.below(5 * MS),
            corrupt: share(&mut random, 20_000),
            delay_ns: random.below(5 * MS),
            jitter_ns: random.below(MS),
            ..Impairments::default()
        };
        let size = |random: &mut Random| random.below(400_000);
        let (up, down) = (size(&mut random), size(&mut random));
        let ours = Bulk {
            send: up,
            hear: down,
            lazy: None,
        };
        let theirs = Bulk {
            send: down,
            hear: up,
            lazy: None,
        };
        exchange(impairments, ours, theirs, Config::default());
        (count, octets) = (count + 1, octets + up + down);
    }
    println!("{count} connections, {octets} octets");
}

fn brief(counters: &Counters) -> [(&'static str, u64); 6] {
    [
        ("out", counters.segments_out),
        ("again", counters.retransmits),
        ("rack", counters.rack_losses),
        ("probes", counters.tail_loss_probes),
        ("timeouts", counters.timeouts),
        ("spurious", counters.spurious),
    ]
}

/// Kernel to kernel over the same relay: what there is to compare with.
fn kernel_bulk(impairments: Impairments, octets: u64) -> f64 {
    let (mut near, mut far) = (Namespace::new(1).unwrap(), Namespace::new(2).unwrap());
    let taps = [near.take_tap().unwrap(), far.take_tap().unwrap()];
    let hears = Bulk {
        send: 0,
        hear: octets,
        lazy: None,
    };
    let sends = Bulk {
        send: octets,
        hear: 0,
        lazy: None,
    };
    let answer = far
        .run(move || sockets::serve_bulk(&sockets::listen(2)?, hears))
        .unwrap();
    let sent = near
        .run(move || sockets::bulk(patient_connect()?, sends))
        .unwrap();
    let begin = Instant::now();
    let mut heard = None;
    let mut wire = Wire::new(taps.map(End::Kernel), links(impairments));
    let is_done = wire.run(Duration::from_secs(90), || {
        heard = heard.take().or_else(|| answer.try_recv().ok());
        heard.is_some()
    });
    assert!(is_done.unwrap());
    assert_eq!(heard.expect("it is done").unwrap(), octets);
    drop(sent);
    begin.elapsed().as_secs_f64()
}

/// The listener may not be there yet.
fn patient_connect() -> std::io::Result<std::net::TcpStream> {
    for _ in 0..100 {
        if let Ok(stream) = sockets::connect(2) {
            return Ok(stream);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    sockets::connect(2)
}

/// Octets of an order.
const ORDER: usize = 230;

/// Orders there and back, each alone on the wire: the round trips, and what the wire was seen to do.
fn ping(impairments: Impairments, is_ours: bool, count: usize) -> (Vec<u64>, Watch) {
    let mut far = Namespace::new(2).unwrap();
    let far_tap = far.take_tap().unwrap();
    let (ready, listening) = std::sync::mpsc::channel();
    let _echo = far
        .run(move || {
            let listener = sockets::listen(2);
            ready.send(()).expect("the test waits");
            listener.and_then(|listener| sockets::serve_echo(&listener, ORDER))
        })
        .unwrap();
    listening.recv().unwrap();
    let links = [impairments, NEAR];
    let limit = Duration::from_mins(2);
    if is_ours {
        let mut app = PingApp::new(count, ORDER, 2 * MS);
        let stack = Box::new(stack(1, Config::default()).unwrap());
        let ends = [End::Ours(stack, &mut app), End::Kernel(far_tap)];
        let mut wire = Wire::new(ends, links);
        wire.watch();
        assert!(wire.run(limit, || true).unwrap());
        let watch = wire.take_watch();
        return (app.times, watch);
    }
    let mut near = Namespace::new(1).unwrap();
    let near_tap = near.take_tap().unwrap();
    let gap = Duration::from_millis(2);
    let answer = near
        .run(move || sockets::ping(sockets::connect(2)?, count, ORDER, gap))
        .unwrap();
    let mut times = None;
    let ends = [near_tap, far_tap].map(End::Kernel);
    let mut wire = Wire::new(ends, links);
    wire.watch();
    let is_done = wire.run(limit, || {
        times = times.take().or_else(|| answer.try_recv().ok());
        times.is_some()
    });
    assert!(is_done.unwrap());
    (times.expect("it is done").unwrap(), wire.take_watch())
}

/// What a lost order may cost until it is on its way again.
const LOST_ORDER_NS_MAX: u64 = 10 * MS;

/// An order lost on its way to the kernel is sent again within 10 ms: judged on the wire, order by
/// order, from the copy that was lost to the copy that passed. Left out, and counted: orders the link
/// lost more than once, and those meanwhile this relay itself was kept from the core, by the longest
/// gap between its turns. What the kernel's own timers make of a lost answer (200 ms at least) is not
/// ours to mend, so the way back is good.
#[test]
fn a_lost_order_is_on_its_way_again_within_ten_milliseconds() {
    const ORDERS: usize = 400;
    const ENOUGH: usize = 8;
    if !is_possible() {
        return;
    }
    let (mut delays, mut extra, mut twice, mut disturbed) = (vec![], vec![], 0, 0);
    // A hundredth of so many orders is four a round.
    for seed in 1..=12 {
        let lossy = Impairments {
            seed,
            loss: 10_000,
            ..NEAR
        };
        let (times, watch) = ping(lossy, true, ORDERS);
        let passages = watch.passages(0, ORDER);
        assert_eq!(passages.len(), ORDERS, "an order without a way");
        assert_eq!(times.len(), ORDERS, "an order without an answer");
        let mut usual = times.clone();
        usual.sort_unstable();
        for (passage, took) in passages.iter().zip(&times) {
            match passage.lost {
                0 => {}
                1 if passage.is_disturbed => disturbed += 1,
                1 => {
                    delays.push(passage.delay_ns);
                    extra.push(took.saturating_sub(usual[ORDERS / 2]));
                }
                _ => twice += 1,
            }
        }
        if delays.len() >= ENOUGH {
            break;
        }
    }
    delays.sort_unstable();
    extra.sort_unstable();
    println!(
        "{} orders lost once, sent again after {} to {} µs; their round trips took {} to {} µs longer than the \
         median; left out: {twice} lost again, {disturbed} while the relay stood still",
        delays.len(),
        delays[0] / 1_000,
        delays[delays.len() - 1] / 1_000,
        extra[0] / 1_000,
        extra[extra.len() - 1] / 1_000,
    );
    assert!(delays.len() >= ENOUGH, "too few to judge: {}", delays.len());
    for delay in &delays {
        assert!(*delay < LOST_ORDER_NS_MAX, "sent again after {delay} ns");
    }
    // The answer's way back, and the echo's turn on a shared core, are in these: the middle one counts.
    assert!(extra[extra.len() / 2] < LOST_ORDER_NS_MAX, "{extra:?}");
}

/// Forged resets and SYNs into a live stream, both ways, four for each frame: the stream arrives whole,
/// both ends stand, and our own count of them is exact.
#[test]
fn a_flood_of_forged_resets_breaks_neither_end() {
    if !is_possible() {
        return;
    }
    let mut kernel = Namespace::new(2).unwrap();
    let tap = kernel.take_tap().unwrap();
    let (ours, theirs) = both(1_000_000);
    let listener = kernel.run(|| sockets::listen(2)).unwrap().recv().unwrap();
    let listener = listener.unwrap();
    let answer = kernel
        .run(move || sockets::serve_bulk(&listener, theirs))
        .unwrap();
    let lossy = Impairments {
        loss: 10_000,
        rate: 4_000_000,
        ..NEAR
    };
    let mut app = BulkApp::new(ours);
    let mut heard = None;
    let stack = Box::new(stack(1, Config::default()).unwrap());
    let ends = [End::Ours(stack, &mut app), End::Kernel(tap)];
    let mut wire = Wire::new(ends, links(lossy));
    wire.set_forger(Forger::new(7));
    let is_done = wire.run(Duration::from_secs(90), || {
        heard = heard.take().or_else(|| answer.try_recv().ok());
        heard.is_some()
    });
    assert!(is_done.unwrap(), "it hangs: {:?}", wire.stack(0));
    let [to_us, to_kernel] = wire.forger().expect("it was set").sent;
    drop(wire);
    assert_eq!(heard.expect("it is done").expect("a stream"), theirs.hear);
    assert_eq!((app.heard, app.wrong), (ours.hear, None));
    assert!(matches!(app.end, None | Some(Ending::Closed)), "{app:?}");
    for forged in [to_us, to_kernel] {
        assert!(forged.inside > 500 && forged.anywhere > 250 && forged.syns > 250);
    }
    let counted = app.counters;
    let kernels = |name| {
        let count = kernel.run(move || sockets::tcp_ext(name)).unwrap();
        count.recv().unwrap().unwrap()
    };
    let challenges = kernels("TCPChallengeACK");
    println!(
        "to us {to_us:?}: {} resets refused, {} challenges; to the kernel {to_kernel:?}: {challenges} \
         challenges, {} for SYNs",
        counted.resets_refused,
        counted.challenge_acks,
        kernels("TCPSYNChallenge"),
    );
    assert_eq!(counted.resets_refused, to_us.resets());
    assert!(counted.challenge_acks > 0 && challenges > 0);
}

#[test]
fn table() {
    if std::env::var_os("SPINLANE_TCP_KERNEL_TABLE").is_none() {
        println!("not asked for: SPINLANE_TCP_KERNEL_TABLE=1 prints it");
        return;
    }
    assert!(is_possible(), "asked for, and not possible");
    const OCTETS: u64 = 4_000_000;
    let up = Bulk {
        send: OCTETS,
        hear: 0,
        lazy: None,
    };
    let down = Bulk {
        send: 0,
        hear: OCTETS,
        lazy: None,
    };
    println!("\n{OCTETS} octets, 1 ms round trip, Mbit/s");
    println!(
        "{:26} {:>14} {:>14} {:>16}",
        "link", "ours > kernel", "kernel > ours", "kernel > kernel"
    );
    let rate = |seconds: f64| OCTETS as f64 * 8.0 / seconds / 1e6;
    for (name, impairments) in faults() {
        let (_, to_kernel) = exchange(impairments, up, down, Config::default());
        let (_, to_us) = exchange(impairments, down, up, Config::default());
        let between = kernel_bulk(impairments, OCTETS);
        println!(
            "{name:26} {:14.1} {:14.1} {:16.1}",
            rate(to_kernel),
            rate(to_us),
            rate(between)
        );
    }
    println!("\norders of 230 octets there and back, each alone on the wire, ms");
    println!(
        "{:26} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "orders lost, who", "p50", "p90", "p99", "p99.9", "max"
    );
    for loss in [0, 10_000, 50_000] {
        for is_ours in [true, false] {
            let (mut times, _) = ping(Impairments { loss, ..NEAR }, is_ours, 2_000);
            times.sort_unstable();
            let at = |share: usize| times[(times.len() - 1) * share / 1_000] as f64 / 1e6;
            let who = if is_ours { "ours" } else { "kernel" };
            println!(
                "{:26} {:8.2} {:8.2} {:8.2} {:8.2} {:8.2}",
                format!("{} %, {who}", loss / 10_000),
                at(500),
                at(900),
                at(990),
                at(999),
                at(1_000)
            );
        }
    }
}
