//! What a lost segment costs, in virtual time, on a link of one millisecond round trip: the promise
//! is less than ten milliseconds for one lost order segment, wherever in the flow it stands.

use crate::net::{App, Gate, MS, World, stack_config};
use dp_tcp::wire::ethernet::ETHERNET_LEN;
use dp_tcp::wire::ipv4::{IPV4_LEN, Ipv4Header};
use dp_tcp::wire::tcp::{Flags, TcpHeader};
use dp_tcp::wire::{Checksums, icmp};
use dp_tcp::{Config, ConnId, Counters, Events, Stack};
use std::cell::RefCell;
use std::rc::Rc;
use tests_relay::Impairments;

/// One way.
const DELAY: u64 = MS / 2;
/// An order as a record on the wire.
const ORDER: usize = 230;
/// What one lost order segment may cost.
const COST_MAX: u64 = 10 * MS;

/// Sends messages of one size at given times; notes when each left and when each came.
#[derive(Default)]
struct Flow {
    conn: Option<ConnId>,
    is_connected: bool,
    /// When to write, from the handshake on, and how much.
    plan: Vec<(u64, usize)>,
    written: usize,
    begin: u64,
    left: Vec<u64>,
    got: usize,
    came: Vec<(u64, usize)>,
}

impl App for Flow {
    fn on_data(&mut self, _: ConnId, bytes: &[u8], now: u64) {
        self.got += bytes.len();
        self.came.push((now, self.got));
    }

    fn on_events(&mut self, conn: ConnId, events: Events) {
        self.conn = Some(conn);
        self.is_connected |= events.has(Events::CONNECTED);
    }

    fn turn(&mut self, stack: &mut Stack, now: u64) -> Option<u64> {
        let conn = stack.conn_mut(self.conn?)?;
        while !conn.readable().is_empty() {
            let count = conn.readable().len();
            conn.consume(count);
            self.got += count;
            self.came.push((now, self.got));
        }
        if !self.is_connected {
            return None;
        }
        if self.begin == 0 {
            self.begin = now;
        }
        while let Some((at, len)) = self.plan.get(self.written).copied() {
            if self.begin + at > now {
                return Some(self.begin + at);
            }
            assert_eq!(conn.send(&vec![b'o'; len]), len);
            self.left.push(now);
            self.written += 1;
        }
        None
    }
}

fn tcp_of(frame: &[u8]) -> (TcpHeader, usize) {
    let ip = Ipv4Header::parse(&frame[ETHERNET_LEN..], Checksums::Verify).unwrap();
    let segment = &frame[ETHERNET_LEN..][ip.payload];
    let (header, len) = TcpHeader::parse(segment).unwrap();
    (header, segment.len() - len)
}

/// Loses those segments with payload of host 0 whose numbers, counted in the order they leave
/// (repetitions too), are listed.
fn losing(numbers: &[usize]) -> Gate {
    let (numbers, mut count) = (numbers.to_vec(), 0);
    Box::new(move |side, _, frame| {
        if side != 0 || tcp_of(frame).1 == 0 {
            return true;
        }
        count += 1;
        !numbers.contains(&(count - 1))
    })
}

struct Told {
    /// From writing to having all of it, per message.
    times: Vec<u64>,
    counters: Counters,
}

fn run(config: Config, plan: &[(u64, usize)], gate: Option<Gate>) -> Told {
    let link = Impairments {
        delay_ns: DELAY,
        ..Impairments::default()
    };
    let mut world = World::new(
        [stack_config(1, config), stack_config(2, config)],
        [link; 2],
    );
    world.gate = gate;
    let id = world.connect();
    let mut a = Flow {
        conn: Some(id),
        plan: plan.to_vec(),
        ..Flow::default()
    };
    let mut b = Flow::default();
    let total = plan.iter().map(|(_, len)| len).sum();
    let limit = world.now + 60_000 * MS;
    assert!(
        world.run(&mut a, &mut b, limit, |_, b, _| b.got == total),
        "{} of {total} octets came",
        b.got
    );
    let mut end = 0;
    let times = plan.iter().zip(&a.left).map(|((_, len), left)| {
        end += len;
        let came = b.came.iter().find(|(_, got)| *got >= end).unwrap().0;
        came - left
    });
    Told {
        times: times.collect(),
        counters: *world.stacks[0].conn(id).unwrap().counters(),
    }
}

fn worst(told: &Told) -> u64 {
    *told.times.iter().max().unwrap()
}

/// Orders `gap` apart.
fn orders(count: u64, gap: u64) -> Vec<(u64, usize)> {
    (0..count).map(|i| (MS + i * gap, ORDER)).collect()
}

#[test]
fn nothing_lost_costs_one_way() {
    let told = run(Config::default(), &orders(20, 20 * MS), None);
    assert_eq!(worst(&told), DELAY);
    assert_eq!(told.counters.retransmits, 0);
}

#[test]
fn any_one_lost_order_costs_less_than_ten_milliseconds() {
    // Far apart: each is alone in flight, so each loss is a tail loss. Close together: the loss is
    // at the head, in the middle, at the tail of a burst.
    // Written at once, twenty orders are four segments.
    let gaps = [MS / 10, MS / 2, MS, 3 * MS, 20 * MS].map(|gap| (gap, 20));
    for (gap, segments) in [(0, 4)].into_iter().chain(gaps) {
        for lost in 0..segments {
            let told = run(Config::default(), &orders(20, gap), Some(losing(&[lost])));
            let cost = worst(&told) - DELAY;
            assert!(cost < COST_MAX, "gap {gap}, lost {lost}: {cost} ns");
            assert_eq!(told.counters.retransmits, 1, "gap {gap}, lost {lost}");
        }
    }
}

#[test]
fn a_lost_first_order_after_a_lost_syn_costs_the_same() {
    // No sample from the SYN, which left twice: the timestamps give one.
    let mut syns = 0;
    let mut lose_order = losing(&[0]);
    let gate: Gate = Box::new(move |side, now, frame| {
        if tcp_of(frame).0.flags.has(Flags::SYN) && side == 0 {
            syns += 1;
            return syns > 1;
        }
        lose_order(side, now, frame)
    });
    let told = run(Config::default(), &orders(1, 0), Some(gate));
    assert!(worst(&told) - DELAY < COST_MAX, "{} ns", worst(&told));
}

#[test]
fn a_lost_repetition_is_noticed_too() {
    for gap in [MS / 10, 20 * MS] {
        // The sixth order leaves; its repetition is the next or after the orders behind it.
        for again in 6..12 {
            let told = run(
                Config::default(),
                &orders(20, gap),
                Some(losing(&[5, again])),
            );
            let cost = worst(&told) - DELAY;
            assert!(cost < 2 * COST_MAX, "gap {gap}, lost {again}: {cost} ns");
        }
    }
}

#[test]
fn a_burst_of_losses_is_repaired_in_few_round_trips() {
    let bulk = [(MS, 170 * 1_448)];
    let whole = run(Config::default(), &bulk, None);
    let lost: Vec<usize> = (60..80).chain([100, 102, 104, 120]).collect();
    let told = run(Config::default(), &bulk, Some(losing(&lost)));
    let cost = worst(&told) - worst(&whole);
    assert!(cost < 10 * MS, "{cost} ns");
    assert_eq!(told.counters.retransmits, lost.len() as u64);
    assert_eq!(told.counters.timeouts, 0);
}

#[test]
fn the_tail_of_a_burst_lost_whole_costs_a_probe_and_a_round_trip() {
    for tail in 1..=8 {
        let plan: Vec<_> = (0..10).map(|_| (MS, ORDER)).collect();
        let lost: Vec<usize> = (10 - tail..10).collect();
        // One message a segment: they are written in one go, so let them be of one segment each.
        let told = run(
            Config::default(),
            &plan.iter().map(|(at, _)| (*at, 1_448)).collect::<Vec<_>>(),
            Some(losing(&lost)),
        );
        let cost = worst(&told) - DELAY;
        assert!(cost < COST_MAX, "{tail} lost: {cost} ns");
    }
}

#[test]
fn reordering_within_a_quarter_of_the_round_trip_sends_nothing_again() {
    let link = Impairments {
        seed: 11,
        delay_ns: DELAY,
        reorder: 100_000,
        reorder_ns: DELAY / 3,
        ..Impairments::default()
    };
    let configs = [1, 2].map(|host| stack_config(host, Config::default()));
    let clean = Impairments {
        delay_ns: DELAY,
        ..Impairments::default()
    };
    let mut world = World::new(configs, [link, clean]);
    let id = world.connect();
    let mut a = Flow {
        conn: Some(id),
        plan: (0..1_000).map(|i| (i * MS / 20, ORDER)).collect(),
        ..Flow::default()
    };
    let mut b = Flow::default();
    let limit = world.now + 10_000 * MS;
    assert!(world.run(&mut a, &mut b, limit, |_, b, _| b.got == 1_000 * ORDER));
    assert!(world.links[0].tally().reordered > 50);
    // The first few may be taken for losses, before reordering was ever seen.
    let counters = world.stacks[0].conn(id).unwrap().counters();
    assert!(counters.retransmits <= 3, "{counters:?}");
}

#[test]
fn a_round_trip_that_grows_tenfold_is_found_out_and_the_window_comes_back() {
    let configs = [1, 2].map(|host| stack_config(host, Config::default()));
    let near = Impairments {
        delay_ns: DELAY,
        ..Impairments::default()
    };
    let mut world = World::new(configs, [near; 2]);
    let id = world.connect();
    let mut a = Flow {
        conn: Some(id),
        plan: orders(400, 5 * MS),
        ..Flow::default()
    };
    let mut b = Flow::default();
    let limit = world.now + 10_000 * MS;
    assert!(world.run(&mut a, &mut b, limit, |a, _, _| a.written == 100));
    let far = Impairments {
        delay_ns: 15 * MS,
        ..Impairments::default()
    };
    world.links.iter_mut().for_each(|link| link.set(far));
    let before = *world.stacks[0].conn(id).unwrap().counters();
    assert!(world.run(&mut a, &mut b, limit, |_, b, _| b.got == 400 * ORDER));
    let conn = world.stacks[0].conn(id).unwrap();
    // 30 ms now: the first orders were repeated for nothing, then the estimate has it.
    let again = conn.counters().retransmits - before.retransmits;
    assert!(again < 40, "{:?}", conn.counters());
    assert!(conn.counters().spurious > 0);
    assert!(conn.timeout_ns() > 30 * MS);
    assert!(conn.congestion_window() >= 5 * 1_448);
}

#[test]
fn a_path_that_takes_smaller_packets_is_found_out() {
    const MTU: usize = 1_200;
    // A router that drops what is too big and says so.
    let told: Rc<RefCell<Vec<Vec<u8>>>> = Rc::default();
    let says = Rc::clone(&told);
    let gate: Gate = Box::new(move |side, _, frame| {
        let packet = &frame[ETHERNET_LEN..];
        if side != 0 || packet.len() <= MTU {
            return true;
        }
        says.borrow_mut().push(too_big(packet, MTU as u16));
        false
    });
    let link = Impairments {
        delay_ns: DELAY,
        ..Impairments::default()
    };
    let configs = [1, 2].map(|host| stack_config(host, Config::default()));
    let mut world = World::new(configs, [link; 2]);
    world.gate = Some(gate);
    let id = world.connect();
    let mut a = Flow {
        conn: Some(id),
        plan: vec![(MS, 100_000)],
        ..Flow::default()
    };
    let mut b = Flow::default();
    let limit = world.now + 10_000 * MS;
    let begin = world.now;
    while b.got < 100_000 {
        let next = world.turn(&mut a, &mut b);
        assert!(world.now < limit, "only {} octets came", b.got);
        let messages: Vec<_> = told.borrow_mut().drain(..).collect();
        for message in &messages {
            world.stacks[0].on_frame(message, world.now);
        }
        if messages.is_empty() {
            world.now = next.unwrap().max(world.now + 1);
        }
    }
    let conn = world.stacks[0].conn(id).unwrap();
    assert_eq!(usize::from(conn.segment_max()), MTU - 40);
    assert_eq!(conn.counters().mtu_lowered, 1);
    assert!(world.now - begin < 30 * MS, "{} ns", world.now - begin);
}

/// What a router says about `packet`, as a frame to host 0.
fn too_big(packet: &[u8], mtu: u16) -> Vec<u8> {
    use dp_tcp::wire::checksum::Sum;
    use dp_tcp::wire::ethernet::{EthernetHeader, IPV4};
    let mut message = vec![3, 4, 0, 0, 0, 0];
    message.extend(mtu.to_be_bytes());
    message.extend(&packet[..IPV4_LEN + 8]);
    let sum = Sum::new().bytes(&message).checksum();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    assert!(icmp::parse(&message, Checksums::Verify).unwrap().is_some());
    let header = EthernetHeader {
        target: crate::net::mac(1),
        source: crate::net::mac(9),
        kind: IPV4,
    };
    let router = crate::net::address(9);
    let ip = Ipv4Header::bytes(router, crate::net::address(1), 1, message.len() as u16);
    [&header.bytes()[..], &ip[..], &message[..]].concat()
}
