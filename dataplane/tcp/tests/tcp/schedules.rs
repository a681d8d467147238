//! Thousands of connections over links of every badness: every byte arrives, once, in order, in
//! bounded time, and nothing is left behind.
//!
//! `SPINLANE_TCP_SCHEDULES=100000` is the long form; `SPINLANE_TCP_SEED=n` replays one schedule.

use crate::net::{App, MS, PORT, SECOND, START, World, address, stack_config};
use core::net::SocketAddrV4;
use dp_tcp::{Config, ConnId, Counters, End, Events, Stack};
use tests_relay::{Impairments, MILLION, Random};

/// Schedules of an ordinary run.
const SCHEDULES: u64 = 3_000;
/// Virtual time in which every schedule must be over.
const LIMIT: u64 = 600 * SECOND;

fn byte(salt: u8, at: u64) -> u8 {
    (at.wrapping_mul(0x9e37_79b9) >> 11) as u8 ^ salt
}

/// Sends `total` octets in random pieces, checks every octet that comes, reads as it likes.
struct Party {
    conn: Option<ConnId>,
    salt: u8,
    total: u64,
    sent: u64,
    heard: u64,
    random: Random,
    /// Holds what comes back now and then, millionths a turn.
    lazy: u32,
    hold_until: u64,
    /// Pauses between pieces.
    pause_ns: u64,
    next_write: u64,
    abort_at: Option<u64>,
    is_connected: bool,
    is_peer_closed: bool,
    end: Option<End>,
    counters: Counters,
}

impl Party {
    fn check(&mut self, bytes: &[u8]) {
        for found in bytes {
            let wanted = byte(!self.salt, self.heard);
            assert_eq!(*found, wanted, "octet {} is wrong", self.heard);
            self.heard += 1;
        }
    }
}

impl App for Party {
    fn on_data(&mut self, conn: ConnId, bytes: &[u8], _: u64) {
        assert_eq!(self.conn, Some(conn));
        self.check(bytes);
    }

    fn on_events(&mut self, conn: ConnId, events: Events) {
        assert_eq!(*self.conn.get_or_insert(conn), conn);
        self.is_connected |= events.has(Events::CONNECTED);
        self.is_peer_closed |= events.has(Events::PEER_CLOSED);
    }

    fn turn(&mut self, stack: &mut Stack, now: u64) -> Option<u64> {
        let id = self.conn?;
        let conn = stack.conn_mut(id)?;
        if now >= self.hold_until {
            let is_lazy = self.random.hits(self.lazy);
            conn.hold(is_lazy);
            if is_lazy {
                self.hold_until = now + self.random.below(200 * MS);
            } else {
                while !conn.readable().is_empty() {
                    let take = 1 + self.random.below(5_000) as usize;
                    let bytes = conn.readable();
                    let part = bytes[..take.min(bytes.len())].to_vec();
                    conn.consume(part.len());
                    self.check(&part);
                }
            }
        }
        if self.is_connected && now >= self.next_write && self.sent < self.total {
            let left = self.total - self.sent;
            let want = (1 + self.random.below(8_000)).min(left);
            let piece: Vec<u8> = (0..want).map(|i| byte(self.salt, self.sent + i)).collect();
            self.sent += conn.send(&piece) as u64;
            self.next_write = now + self.random.below(self.pause_ns);
        }
        if self.is_connected && self.sent == self.total {
            conn.close();
        }
        if self.abort_at.is_some_and(|at| now >= at) {
            conn.abort();
        }
        self.end = conn.end();
        if self.end.is_some() {
            assert!(self.is_peer_closed || self.end != Some(End::Closed));
            if self.end == Some(End::Closed) {
                assert_eq!(conn.unacked(), 0);
            }
            if conn.readable_len() == 0 {
                self.counters = *conn.counters();
                stack.release(id);
                return None;
            }
            return Some(self.hold_until.max(now + 1));
        }
        let is_writing = self.is_connected && self.sent < self.total;
        let mut wishes = [None, None, self.abort_at];
        if is_writing && conn.send_room() > 0 {
            wishes[0] = Some(self.next_write.max(now + 1));
        }
        if conn.readable_len() > 0 {
            wishes[1] = Some(self.hold_until.max(now + 1));
        }
        wishes.into_iter().flatten().min()
    }
}

fn config(random: &mut Random) -> Config {
    let size = |random: &mut Random| 4_096 << random.below(7);
    Config {
        mtu: [576, 1_000, 1_500, 1_500][random.below(4) as usize],
        send_buffer: size(random),
        receive_buffer: size(random),
        segments_max: [8, 64, 1_024][random.below(3) as usize],
        // Nothing is given up here: a hang must show as a hang.
        give_up_ns: 10_000 * SECOND,
        keepalive_probes: 10_000,
        sack: !random.hits(MILLION / 5),
        timestamps: !random.hits(MILLION / 5),
        window_scaling: !random.hits(MILLION / 5),
        ..Config::default()
    }
}

fn impairments(random: &mut Random) -> Impairments {
    let share = |random: &mut Random, most: u64| match random.below(3) {
        0 => 0,
        _ => random.below(most) as u32,
    };
    let is_dark = random.hits(MILLION / 10);
    Impairments {
        seed: random.next(),
        loss: share(random, 200_000),
        loss_again: share(random, 600_000),
        duplicate: share(random, 100_000),
        reorder: share(random, 300_000),
        reorder_ns: random.below(20 * MS),
        corrupt: share(random, 50_000),
        delay_ns: random.below(30 * MS),
        jitter_ns: random.below(3 * MS),
        rate: [0, 1_000_000, 20_000_000][random.below(3) as usize],
        queue: [0, 20_000][random.below(2) as usize],
        blackout_every_ns: if is_dark { 3 * SECOND } else { 0 },
        blackout_ns: random.below(1_500) * MS,
    }
}

struct Outcome {
    took: u64,
    bytes: u64,
    counters: Counters,
}

/// Puts the initial sequence number of the active side just below the wrap.
fn start_near_wrap(seed: u64, secret: dp_tcp::Secret) -> u64 {
    let local = SocketAddrV4::new(address(1), 40_000);
    let remote = SocketAddrV4::new(address(2), PORT);
    let at_zero = secret.initial_seq(local, remote, 0).0;
    let wanted = 0u32.wrapping_sub(seed as u32 % 30_000);
    // The clock of sequence numbers ticks every 4 µs.
    u64::from(wanted.wrapping_sub(at_zero)) * 4_000
}

fn run_one(seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let configs = [1, 2].map(|host| stack_config(host, config(&mut random)));
    let links = [impairments(&mut random), impairments(&mut random)];
    let mut world = World::new(configs, links);
    if random.hits(MILLION / 4) {
        world.now = START + start_near_wrap(seed, configs[0].secret);
        // A whole number of turns of the clock later it is the same number.
        let turn = (1u64 << 32) * 4_000;
        world.now = start_near_wrap(seed, configs[0].secret) + turn;
    }
    let begin = world.now;
    let is_abort = random.hits(MILLION / 20);
    let mut party = |salt: u8| Party {
        conn: None,
        salt,
        total: match random.below(4) {
            0 => 0,
            1 => random.below(1_000),
            _ => random.below(60_000),
        },
        sent: 0,
        heard: 0,
        lazy: [0, 0, 20_000, 200_000][random.below(4) as usize],
        hold_until: 0,
        pause_ns: [0, 0, 20 * MS][random.below(3) as usize],
        next_write: 0,
        abort_at: is_abort.then(|| begin + random.below(300 * MS)),
        is_connected: false,
        is_peer_closed: false,
        end: None,
        random: Random::new(random.next()),
        counters: Counters::default(),
    };
    let (mut a, mut b) = (party(0x55), party(0xaa));
    let id = world.connect();
    a.conn = Some(id);
    let is_done = world.run(&mut a, &mut b, begin + LIMIT, |_, _, stacks| {
        stacks.iter().all(|stack| stack.connections() == 0)
    });
    assert!(
        is_done,
        "a hang: {:?} {:?}\n{:?}\n{:?}\n{:?}",
        (a.sent, a.total, a.heard, a.end),
        (b.sent, b.total, b.heard, b.end),
        links,
        a.conn.and_then(|id| world.stacks[0].conn(id)),
        b.conn.and_then(|id| world.stacks[1].conn(id)),
    );
    if !is_abort {
        assert_eq!(
            (a.heard, b.heard),
            (b.total, a.total),
            "{:?} {:?}",
            (a.end, a.counters),
            (b.end, b.counters)
        );
        // The last ACK of all may be lost, and then the side that waited for it hears a reset.
        for (one, other) in [(&a, &b), (&b, &a)] {
            let is_clean = one.end == Some(End::Closed)
                || (one.end == Some(End::Reset) && other.end == Some(End::Closed));
            assert!(is_clean, "{:?} {:?}", one.end, other.end);
        }
    }
    let mut counters = a.counters;
    counters.add(&b.counters);
    Outcome {
        took: world.now - begin,
        bytes: a.heard + b.heard,
        counters,
    }
}

fn run_seed(seed: u64) -> Outcome {
    let told = std::panic::catch_unwind(|| run_one(seed));
    told.unwrap_or_else(|panic| {
        eprintln!("replay: SPINLANE_TCP_SEED={seed} cargo test -p dp-tcp --test tcp schedules");
        std::panic::resume_unwind(panic)
    })
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_byte_arrives_once_and_in_order_over_any_link() {
    if let Some(seed) = number("SPINLANE_TCP_SEED") {
        let outcome = run_seed(seed);
        println!(
            "seed {seed}: {} ms, {:?}",
            outcome.took / MS,
            outcome.counters
        );
        return;
    }
    let count = number("SPINLANE_TCP_SCHEDULES").unwrap_or(SCHEDULES);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let part = |thread: u64| {
        let (mut took, mut bytes, mut counters) = (0, 0, Counters::default());
        for seed in (thread..count).step_by(threads as usize) {
            let outcome = run_seed(seed);
            (took, bytes) = (took.max(outcome.took), bytes + outcome.bytes);
            counters.add(&outcome.counters);
        }
        (took, bytes, counters)
    };
    let (mut took, mut bytes, mut counters) = (0, 0, Counters::default());
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || part(thread)))
            .collect();
        for run in runs {
            let (longest, sum, seen) = run.join().expect("a schedule failed, see above");
            (took, bytes) = (took.max(longest), bytes + sum);
            counters.add(&seen);
        }
    });
    println!(
        "{count} connections, {bytes} octets, longest {} ms",
        took / MS
    );
    for (name, value) in counters.each() {
        println!("  {name} {value}");
    }
    if count >= SCHEDULES {
        // The schedules reach what they are there for.
        for (name, value) in counters.each() {
            // These need a liar or a narrower path; `rules` and `recovery` have them.
            let is_elsewhere = ["mtu_lowered", "reneged", "unstamped_drops"];
            assert!(
                value > 0 || is_elsewhere.contains(&name),
                "no {name} in any schedule"
            );
        }
    }
}
