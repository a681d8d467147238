//! Strangers with nothing but the addresses, and a wire that carries anything.

use crate::net::{App, MS, PORT, SECOND, START, World, address, mac, stack_config};
use core::net::SocketAddrV4;
use dp_tcp::wire::ethernet::{self, Arp, EthernetHeader, Mac};
use dp_tcp::wire::ipv4::{self, Ipv4Header};
use dp_tcp::wire::tcp::{Flags, TcpHeader, seal};
use dp_tcp::{Config, ConnId, End, Events, Seq, Stack, State, Verdict};
use proptest::prelude::*;
use tests_relay::{Impairments, Random};

fn frame(from: u8, to: u8, header: &TcpHeader, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0; 60];
    let len = header.write(&mut segment).unwrap();
    segment.truncate(len);
    segment.extend(payload);
    seal(&mut segment, address(from), address(to));
    let link = EthernetHeader {
        target: mac(to),
        source: mac(from),
        kind: ethernet::IPV4,
    };
    let ip = Ipv4Header::bytes(address(from), address(to), ipv4::TCP, segment.len() as u16);
    [&link.bytes()[..], &ip[..], &segment[..]].concat()
}

fn stack(host: u8) -> Stack {
    Stack::new(&stack_config(host, small())).unwrap()
}

fn small() -> Config {
    Config {
        send_buffer: 16 << 10,
        receive_buffer: 16 << 10,
        segments_max: 64,
        ..Config::default()
    }
}

fn drain(stack: &mut Stack, now: u64) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; 2_048];
    let mut out = Vec::new();
    while let Some(len) = stack.poll_transmit(now, &mut buffer) {
        out.push(buffer[..len].to_vec());
    }
    out
}

fn header_of(frame: &[u8]) -> TcpHeader {
    TcpHeader::parse(&frame[34..]).unwrap().0
}

/// Sends one stream and checks it, while `attack` puts frames of its own on the wire.
struct Stream {
    conn: Option<ConnId>,
    is_connected: bool,
    sent: usize,
    got: usize,
    total: usize,
    salt: u8,
}

impl Stream {
    fn new(conn: Option<ConnId>, total: usize, salt: u8) -> Self {
        Self {
            conn,
            is_connected: false,
            sent: 0,
            got: 0,
            total,
            salt,
        }
    }

    fn check(&mut self, bytes: &[u8]) {
        for byte in bytes {
            assert_eq!(*byte, (self.got % 251) as u8 ^ !self.salt);
            self.got += 1;
        }
    }
}

impl App for Stream {
    fn on_data(&mut self, _: ConnId, bytes: &[u8], _: u64) {
        self.check(bytes);
    }

    fn on_events(&mut self, conn: ConnId, events: Events) {
        if events.has(Events::CONNECTED) {
            self.conn.get_or_insert(conn);
            self.is_connected = true;
        }
        assert!(!events.has(Events::ENDED), "the stream was cut");
    }

    fn turn(&mut self, stack: &mut Stack, now: u64) -> Option<u64> {
        let conn = stack.conn_mut(self.conn?)?;
        while !conn.readable().is_empty() {
            let piece = conn.readable().to_vec();
            conn.consume(piece.len());
            self.check(&piece);
        }
        if !self.is_connected || self.sent == self.total {
            return None;
        }
        let want = (self.total - self.sent).min(3_000);
        let piece: Vec<u8> = (self.sent..self.sent + want)
            .map(|at| (at % 251) as u8 ^ self.salt)
            .collect();
        self.sent += conn.send(&piece);
        Some(now + MS / 5)
    }
}

/// Runs 300 kB each way under an attack on both hosts; every octet must arrive, in time.
fn under_attack(mut attack: impl FnMut(&mut Random, u8) -> Vec<u8>) -> World {
    let link = Impairments {
        seed: 1,
        loss: 10_000,
        delay_ns: MS / 2,
        ..Impairments::default()
    };
    let other = Impairments { seed: 2, ..link };
    let configs = [1, 2].map(|host| stack_config(host, small()));
    let mut world = World::new(configs, [link, other]);
    let id = world.connect();
    let total = 300_000;
    let (mut a, mut b) = (
        Stream::new(Some(id), total, 0x0f),
        Stream::new(None, total, !0x0f),
    );
    let mut random = Random::new(42);
    while (a.got, b.got) != (total, total) {
        let next = world.turn(&mut a, &mut b);
        let is_open = a.is_connected && b.is_connected;
        for host in [1, 2].into_iter().filter(|_| is_open) {
            let forged = attack(&mut random, host);
            let arrival = world.stacks[usize::from(host) - 1].on_frame(&forged, world.now);
            assert!(arrival.data.is_empty(), "forged octets were handed out");
            assert!(!arrival.events.has(Events::ENDED));
        }
        world.now = next.unwrap().min(world.now + MS / 10).max(world.now + 1);
        assert!(world.now < START + 20 * SECOND, "{} {}", a.got, b.got);
    }
    world
}

/// The connection's addresses, with numbers guessed.
fn guess(random: &mut Random, host: u8, flags: Flags, payload: &[u8]) -> Vec<u8> {
    let (client, server) = (40_000, PORT);
    let (source_port, target_port) = match host {
        1 => (server, client),
        _ => (client, server),
    };
    let header = TcpHeader {
        source_port,
        target_port,
        seq: Seq(random.next() as u32),
        ack: Seq(random.next() as u32),
        flags,
        window: random.next() as u16,
        ..TcpHeader::default()
    };
    frame(3 - host, host, &header, payload)
}

#[test]
fn a_flood_of_resets_does_not_cut_a_stream() {
    let world = under_attack(|random, host| {
        let ack = if random.hits(500_000) {
            Flags::ACK
        } else {
            Flags::default()
        };
        guess(random, host, Flags::RST.with(ack), b"")
    });
    assert!(world.now > START);
}

#[test]
fn floods_of_data_syns_and_fins_do_not_disturb_a_stream() {
    under_attack(|random, host| {
        let flags = [
            Flags::ACK,
            Flags::SYN,
            Flags::FIN.with(Flags::ACK),
            Flags::SYN.with(Flags::ACK),
            Flags(random.next() as u8),
        ][random.below(5) as usize];
        guess(random, host, flags, b"forged octets")
    });
}

#[test]
fn a_flood_of_nonsense_does_not_disturb_a_stream() {
    under_attack(|random, host| {
        let mut bytes: Vec<u8> = (0..random.below(200))
            .map(|_| random.next() as u8)
            .collect();
        for (to, from) in bytes.iter_mut().zip(mac(host).0) {
            *to = from;
        }
        if bytes.len() > 14 {
            (bytes[12], bytes[13]) = (8, [0, 6][random.below(2) as usize]);
        }
        bytes
    });
}

#[test]
fn a_flood_of_syns_takes_a_bounded_share_and_honest_peers_come_through() {
    let now = START;
    let mut server = stack(2);
    assert!(server.listen(PORT));
    for host in [1, 3] {
        assert!(server.set_neighbour(address(host), Some(mac(host))));
    }
    let syn = |port: u16| TcpHeader {
        source_port: port,
        target_port: PORT,
        seq: Seq(u32::from(port) * 7),
        flags: Flags::SYN,
        window: 1_000,
        ..TcpHeader::default()
    };
    for port in 1..=5_000 {
        assert_eq!(
            server.on_frame(&frame(3, 2, &syn(port), b""), now).conn,
            None
        );
        drain(&mut server, now);
        assert!(server.connections() <= 2);
    }
    assert_eq!(server.counters().half_open_evicted, 4_998);
    // An honest one in the midst of it.
    let mut client = stack(1);
    assert!(client.set_neighbour(address(2), Some(mac(2))));
    let id = client
        .connect(SocketAddrV4::new(address(2), PORT), now)
        .unwrap();
    let mut told = Events::default();
    for _ in 0..4 {
        for frame in drain(&mut client, now) {
            let arrival = server.on_frame(&frame, now);
            if arrival.conn.is_some() {
                told = arrival.events;
            }
        }
        for frame in drain(&mut server, now) {
            client.on_frame(&frame, now);
        }
        server.on_frame(&frame(3, 2, &syn(6_000), b""), now);
    }
    assert!(told.has(Events::CONNECTED));
    assert_eq!(client.conn(id).unwrap().state(), State::Established);
    // Nobody answers the rest; they go without a word to the application.
    let mut at = now;
    while server.connections() > 1 {
        at = server.next_deadline().unwrap().max(at + 1);
        for frame in drain(&mut server, at) {
            client.on_frame(&frame, at);
        }
        assert!(at < now + 30 * SECOND);
        while let Some((_, events)) = server.poll_event() {
            assert!(events.is_empty());
        }
        // The honest one answers when asked whether it lives.
        for frame in drain(&mut client, at) {
            server.on_frame(&frame, at);
        }
    }
}

#[test]
fn strangers_are_reset_only_when_told_to_and_the_kernels_segments_are_passed() {
    let now = START;
    let stray = TcpHeader {
        source_port: 9,
        target_port: 40_050,
        seq: Seq(100),
        ack: Seq(555),
        flags: Flags::ACK,
        ..TcpHeader::default()
    };
    let mut talkative = stack(1);
    let verdict = talkative
        .on_frame(&frame(2, 1, &stray, b"data"), now)
        .verdict;
    assert_eq!(verdict, Verdict::Dropped);
    let sent = drain(&mut talkative, now);
    let reset = header_of(&sent[0]);
    assert_eq!((reset.flags, reset.seq), (Flags::RST, Seq(555)));
    // Without an ACK the reset must acknowledge what came (RFC 9293, 3.10.7.1).
    let bare = TcpHeader {
        flags: Flags::FIN,
        ..stray
    };
    talkative.on_frame(&frame(2, 1, &bare, b"data"), now);
    let reset = header_of(&drain(&mut talkative, now)[0]);
    assert_eq!(reset.flags, Flags::RST.with(Flags::ACK));
    assert_eq!((reset.seq, reset.ack), (Seq(0), Seq(105)));
    // A reset is never answered.
    let rst = TcpHeader {
        flags: Flags::RST,
        ..stray
    };
    talkative.on_frame(&frame(2, 1, &rst, b""), now);
    assert!(drain(&mut talkative, now).is_empty());

    let mut silent = Stack::new(&dp_tcp::StackConfig {
        resets_unknown: false,
        ..stack_config(1, small())
    })
    .unwrap();
    silent.on_frame(&frame(2, 1, &stray, b""), now);
    assert!(drain(&mut silent, now).is_empty());
    let kernels = TcpHeader {
        target_port: 22,
        ..stray
    };
    let verdict = |frame: &[u8], stack: &mut Stack| stack.on_frame(frame, now).verdict;
    assert_eq!(
        verdict(&frame(2, 1, &kernels, b""), &mut silent),
        Verdict::Passed
    );
    // Another host's frame, another host's packet.
    assert_eq!(
        verdict(&frame(2, 3, &stray, b""), &mut silent),
        Verdict::Passed
    );
    let mut misled = frame(2, 3, &stray, b"");
    misled[..6].copy_from_slice(&mac(1).0);
    assert_eq!(verdict(&misled, &mut silent), Verdict::Passed);
}

#[test]
fn a_flood_of_strangers_fills_a_bounded_queue_of_answers() {
    let mut stack = stack(1);
    for port in 0..1_000 {
        let stray = TcpHeader {
            source_port: port,
            target_port: 40_050,
            flags: Flags::ACK,
            ..TcpHeader::default()
        };
        stack.on_frame(&frame(2, 1, &stray, b""), START);
    }
    assert_eq!(drain(&mut stack, START).len(), 32);
    assert_eq!(stack.counters().replies_dropped, 968);
}

#[test]
fn arp_is_answered_for_us_alone_and_only_when_told_to() {
    let ask = |target: u8| {
        let arp = Arp {
            is_request: true,
            source_mac: mac(2),
            source: address(2),
            target_mac: Mac::default(),
            target: address(target),
        };
        let link = EthernetHeader {
            target: Mac::BROADCAST,
            source: mac(2),
            kind: ethernet::ARP,
        };
        [&link.bytes()[..], &arp.bytes()[..]].concat()
    };
    let mut quiet = stack(1);
    assert_eq!(quiet.on_frame(&ask(1), START).verdict, Verdict::Passed);
    assert!(drain(&mut quiet, START).is_empty());
    let mut alone = Stack::new(&dp_tcp::StackConfig {
        answers_arp: true,
        ..stack_config(1, small())
    })
    .unwrap();
    assert_eq!(alone.on_frame(&ask(3), START).verdict, Verdict::Passed);
    assert_eq!(alone.on_frame(&ask(1), START).verdict, Verdict::Taken);
    let sent = drain(&mut alone, START);
    let answer = Arp::parse(&sent[0][14..]).unwrap();
    assert_eq!((answer.source, answer.source_mac), (address(1), mac(1)));
    assert_eq!((answer.target, answer.target_mac), (address(2), mac(2)));
}

#[test]
fn a_next_hop_nobody_told_of_is_asked_for_and_waited_for() {
    let mut stack = Stack::new(&dp_tcp::StackConfig {
        host: dp_tcp::Host {
            gateway: Some(address(254)),
            ..stack_config(1, small()).host
        },
        ..stack_config(1, small())
    })
    .unwrap();
    let venue = SocketAddrV4::new([203, 0, 113, 9].into(), 443);
    stack.connect(venue, START).unwrap();
    assert!(drain(&mut stack, START).is_empty());
    assert_eq!(
        stack.missing_neighbours().collect::<Vec<_>>(),
        [address(254)]
    );
    assert!(stack.set_neighbour(address(254), Some(mac(254))));
    let due = stack.next_deadline().unwrap();
    assert!(due <= START + 10 * MS);
    let sent = drain(&mut stack, due);
    assert_eq!(EthernetHeader::parse(&sent[0]).unwrap().target, mac(254));
    assert_eq!(header_of(&sent[0]).flags, Flags::SYN);
    // The hop changes its card: the next frame goes to the new one.
    assert!(stack.set_neighbour(address(254), Some(mac(99))));
    let due = stack.next_deadline().unwrap();
    let sent = drain(&mut stack, due);
    assert_eq!(EthernetHeader::parse(&sent[0]).unwrap().target, mac(99));
}

#[test]
fn a_hop_that_never_answers_ends_what_waits_for_it() {
    let mut stack = stack(1);
    let remote = SocketAddrV4::new(address(2), PORT);
    let waiting = stack.connect(remote, START).unwrap();
    let released = stack.connect(remote, START).unwrap();
    stack.release(released);
    assert!(drain(&mut stack, START).is_empty());
    assert_eq!(stack.connections(), 1, "a released one keeps its place");
    let mut ended = None;
    let mut now = START;
    while let (None, Some(due)) = (ended, stack.next_deadline()) {
        now = due;
        assert!(now < START + 20 * SECOND, "it waits for ever");
        assert!(drain(&mut stack, now).is_empty());
        ended = stack.poll_event();
    }
    assert_eq!(ended, Some((waiting, Events::ENDED)));
    assert_eq!(stack.conn(waiting).unwrap().end(), Some(End::TimedOut));
    assert_eq!(now - START, Config::default().give_up_ns);
    // Nothing is due for one that is over.
    drain(&mut stack, now);
    assert_eq!(stack.next_deadline(), None);
    stack.release(waiting);
    assert!(drain(&mut stack, now).is_empty());
    assert_eq!(stack.connections(), 0);
}

#[test]
fn places_and_ports_run_out_politely_and_come_back() {
    let mut stack = stack(1);
    assert!(stack.set_neighbour(address(2), Some(mac(2))));
    let remote = SocketAddrV4::new(address(2), PORT);
    let ids: Vec<_> = (0..4)
        .map(|_| stack.connect(remote, START).unwrap())
        .collect();
    assert_eq!(
        stack.connect(remote, START),
        Err(dp_tcp::ConnectError::Full)
    );
    let far = SocketAddrV4::new([8, 8, 8, 8].into(), 1);
    stack.release(ids[0]);
    drain(&mut stack, START);
    assert_eq!(stack.connect(far, START), Err(dp_tcp::ConnectError::Route));
    assert!(stack.conn(ids[0]).is_none());
    let again = stack.connect(remote, START).unwrap();
    assert_ne!(again, ids[0]);
    assert_eq!(again.index(), ids[0].index());
}

proptest! {
    /// A stack with an open connection survives any change to a true frame.
    #[test]
    fn mutated_frames_are_survived(
        flips in prop::collection::vec((0usize..120, any::<u8>()), 1..8),
        cut in 0usize..120,
        is_sealed: bool,
    ) {
        let checks = if is_sealed {
            dp_tcp::wire::Checksums::Ignore
        } else {
            dp_tcp::wire::Checksums::Verify
        };
        let mut stack = Stack::new(&dp_tcp::StackConfig {
            checksums: checks,
            ..stack_config(1, small())
        }).unwrap();
        prop_assert!(stack.set_neighbour(address(2), Some(mac(2))));
        let id = stack.connect(SocketAddrV4::new(address(2), PORT), START).unwrap();
        let syn = header_of(&drain(&mut stack, START)[0]);
        let answer = TcpHeader {
            source_port: PORT,
            target_port: syn.source_port,
            seq: Seq(1),
            ack: syn.seq.plus(1),
            flags: Flags::SYN.with(Flags::ACK),
            window: 5_000,
            ..TcpHeader::default()
        };
        stack.on_frame(&frame(2, 1, &answer, b""), START);
        prop_assert!(stack.conn_mut(id).unwrap().send(&[7; 4_000]) > 0);
        drain(&mut stack, START);
        let data = TcpHeader {
            seq: Seq(2),
            flags: Flags::ACK,
            ..answer
        };
        let mut bytes = frame(2, 1, &data, &[9; 60]);
        for (at, xor) in flips {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= xor;
            }
        }
        bytes.truncate(bytes.len() - cut.min(bytes.len()));
        let arrival = stack.on_frame(&bytes, START);
        prop_assert!(bytes.get(arrival.data).is_some());
        prop_assert!(drain(&mut stack, START + SECOND).len() < 50);
    }
}
