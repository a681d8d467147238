//! Frames into a stack in any state: the input is a programme of segments, times and wishes.

use core::net::{Ipv4Addr, SocketAddrV4};
use dp_tcp::wire::Checksums;
use dp_tcp::wire::ethernet::{EthernetHeader, IPV4, Mac};
use dp_tcp::wire::ipv4::{self, Ipv4Header};
use dp_tcp::wire::tcp::{Flags, TcpHeader, seal};
use dp_tcp::{Arrival, Config, ConnId, Events, Host, Secret, Seq, Stack, StackConfig, State};

const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const THEM: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const OUR_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const THEIR_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);
const LISTENING: u16 = 443;
const CONNECTIONS: usize = 3;
const BUFFER: usize = 4_096;
const MS: u64 = 1_000_000;

/// What the peer knows of a connection: where each side stood in the last segment it saw.
#[derive(Clone, Copy, Default)]
struct Seen {
    local: u16,
    remote: u16,
    /// Our sequence number after that segment, what we acknowledged, our clock.
    next: Seq,
    ack: Seq,
    stamp: u32,
}

struct Rig {
    stack: Stack,
    now: u64,
    seen: [Seen; CONNECTIONS],
    ids: Vec<ConnId>,
    /// Octets of the peer read so far on each, and its first sequence number.
    stream: Vec<(ConnId, Seq)>,
    /// Every octet so far was made by rule, so what is read can be judged.
    is_honest: bool,
    stamp: u32,
}

/// Runs the programme; a frame or wish may do anything but panic, loop, grow, or hand out octets
/// that are not the stream's.
pub fn tcp(mut bytes: &[u8]) {
    let mut take = || {
        let (first, rest) = bytes.split_first()?;
        bytes = rest;
        Some(*first)
    };
    let Some(shape) = take() else {
        return;
    };
    let mut rig = Rig::new(shape);
    for _ in 0..500 {
        let Some(step) = take() else {
            break;
        };
        let mut argument = || take().unwrap_or(0);
        match step % 8 {
            0 => {
                let len = argument();
                let mut frame: Vec<u8> = (0..len).map(|_| argument()).collect();
                if step & 8 != 0 {
                    let link = EthernetHeader {
                        target: OUR_MAC,
                        source: THEIR_MAC,
                        kind: IPV4,
                    };
                    frame.splice(..0, link.bytes());
                }
                rig.is_honest = false;
                rig.arrive(&frame);
            }
            1..=3 => {
                let arguments = core::array::from_fn(|_| argument());
                rig.segment(usize::from(step >> 3) % CONNECTIONS, arguments);
            }
            4 => {
                let wait = u64::from(argument());
                rig.now = if step & 0x80 != 0 {
                    rig.stack.next_deadline().unwrap_or(rig.now).max(rig.now)
                } else {
                    rig.now.saturating_add(wait * wait * MS / 4)
                };
                rig.stamp = rig.stamp.wrapping_add(u32::from(argument()));
            }
            5 => {
                let conn = usize::from(step >> 3);
                rig.with(conn, |conn| {
                    let len = usize::from(argument()) * 16 + 1;
                    assert!(conn.send(&vec![b'o'; len]) <= BUFFER);
                });
            }
            6 => rig.wish(step >> 3, argument()),
            _ => rig.too_big(usize::from(step >> 3) % CONNECTIONS, argument(), argument()),
        }
        rig.turn();
    }
}

impl Rig {
    fn new(shape: u8) -> Self {
        let connection = Config {
            send_buffer: BUFFER,
            receive_buffer: BUFFER,
            segments_max: 8,
            sack: shape & 1 == 0,
            timestamps: shape & 2 == 0,
            window_scaling: shape & 4 == 0,
            simultaneous_open: shape & 8 != 0,
            ..Config::default()
        };
        let us = Host {
            gateway: Some(THEM),
            ..Host::on_link(OUR_MAC, US, 24)
        };
        let config = StackConfig {
            connection,
            connections: CONNECTIONS,
            checksums: Checksums::Ignore,
            answers_arp: shape & 16 != 0,
            resets_unknown: shape & 32 == 0,
            ..StackConfig::new(us, (40_000, 40_003), Secret::new([shape; 16]))
        };
        let mut stack = Stack::new(&config).expect("the sizes are right");
        assert!(stack.set_neighbour(THEM, Some(THEIR_MAC)) && stack.listen(LISTENING));
        let mut rig = Self {
            stack,
            now: 1_000 * MS,
            seen: [Seen::default(); CONNECTIONS],
            ids: Vec::new(),
            stream: Vec::new(),
            is_honest: true,
            stamp: 1,
        };
        // The last of what is seen is a stranger to the listening port.
        rig.seen[CONNECTIONS - 1] = Seen {
            local: LISTENING,
            remote: 999,
            ..Seen::default()
        };
        rig.connect();
        rig.turn();
        rig
    }

    fn connect(&mut self) {
        if let Ok(id) = self.stack.connect(SocketAddrV4::new(THEM, 443), self.now) {
            self.ids.push(id);
        }
    }

    fn with(&mut self, conn: usize, act: impl FnOnce(&mut dp_tcp::Connection)) {
        if self.ids.is_empty() {
            return;
        }
        let id = self.ids[conn % self.ids.len()];
        if let Some(conn) = self.stack.conn_mut(id) {
            act(conn);
        }
    }

    fn wish(&mut self, what: u8, argument: u8) {
        let at = usize::from(argument);
        match what % 6 {
            0 => self.with(at, dp_tcp::Connection::close),
            1 => self.with(at, dp_tcp::Connection::abort),
            2 => self.with(at, |conn| conn.hold(true)),
            3 => self.with(at, |conn| conn.hold(false)),
            4 => self.connect(),
            _ => {
                if !self.ids.is_empty() {
                    let id = self.ids.swap_remove(at % self.ids.len());
                    self.stream.retain(|(known, _)| *known != id);
                    self.stack.release(id);
                }
            }
        }
    }

    /// A segment near where the connection stands: flags, distance from there, and so on.
    fn segment(&mut self, conn: usize, arguments: [u8; 6]) {
        let [flags, seq, ack, window, len, options] = arguments;
        let seen = self.seen[conn];
        let near = |at: Seq, by: u8, scale: i32| {
            Seq(at.0.wrapping_add_signed(i32::from(by as i8) * scale))
        };
        let mut header = TcpHeader {
            source_port: seen.remote,
            target_port: seen.local,
            seq: near(seen.ack, seq, 1 + i32::from(options >> 6) * 40),
            ack: near(seen.next, ack, 1 + i32::from(options >> 6) * 40),
            flags: Flags(flags & 0x3f),
            window: u16::from(window) * 200,
            ..TcpHeader::default()
        };
        if header.flags.has(Flags::SYN) {
            header.options.mss = Some(u16::from(options) * 8);
            header.options.window_scale = Some(options & 15);
            header.options.is_sack_permitted = true;
        } else {
            for block in 0..u32::from(options & 3) {
                let start = near(seen.next, ack, 1)
                    .minus(u32::from(window))
                    .plus(block * 700);
                header
                    .options
                    .push_sack((start, start.plus(u32::from(len) + 1)));
            }
        }
        if options & 4 == 0 {
            header.options.timestamps = Some((self.stamp, seen.stamp));
        }
        let first = header.seq.plus(u32::from(header.flags.has(Flags::SYN)));
        let payload: Vec<u8> = (0..u32::from(len) * 4)
            .map(|at| octet(first.plus(at)))
            .collect();
        self.arrive(&frame(&header, &payload));
    }

    fn arrive(&mut self, frame: &[u8]) {
        let arrival = self.stack.on_frame(frame, self.now);
        let data = frame.get(arrival.data.clone()).expect("inside the frame");
        self.hear(&arrival, data);
    }

    fn hear(&mut self, arrival: &Arrival, data: &[u8]) {
        let Some(id) = arrival.conn else {
            assert!(data.is_empty() && arrival.events.is_empty());
            return;
        };
        if arrival.events.has(Events::CONNECTED) && !self.ids.contains(&id) {
            self.ids.push(id);
        }
        self.read(id, data);
    }

    /// Octets of the stream: each tells its own sequence number.
    fn read(&mut self, id: ConnId, data: &[u8]) {
        if data.is_empty() || !self.is_honest {
            return;
        }
        let known = self.stream.iter_mut().find(|(known, _)| *known == id);
        // The first octet is told by nothing but itself: the octets after it must follow.
        let Some((_, next)) = known else {
            let start = Seq(u32::from(data[0]));
            self.stream.push((id, start.plus(data.len() as u32)));
            for (at, found) in data.iter().enumerate() {
                assert_eq!(*found, octet(start.plus(at as u32)));
            }
            return;
        };
        for found in data {
            assert_eq!(*found, octet(*next), "not the next octet of the stream");
            *next = next.plus(1);
        }
    }

    fn too_big(&mut self, conn: usize, back: u8, mtu: u8) {
        let seen = self.seen[conn];
        let mut message = vec![3, 4, 0, 0, 0, 0];
        message.extend((u16::from(mtu) * 8).to_be_bytes());
        message.extend(Ipv4Header::bytes(US, THEM, ipv4::TCP, 1_000));
        message.extend(seen.local.to_be_bytes());
        message.extend(seen.remote.to_be_bytes());
        message.extend(seen.next.minus(u32::from(back)).0.to_be_bytes());
        let ip = Ipv4Header::bytes(THEM, US, ipv4::ICMP, message.len() as u16);
        self.arrive(&[&link()[..], &ip[..], &message[..]].concat());
    }

    /// Everything that leaves now, and everything that can be read.
    fn turn(&mut self) {
        let mut buffer = [0; 1_600];
        let mut count = 0;
        while let Some(len) = self.stack.poll_transmit(self.now, &mut buffer) {
            count += 1;
            assert!(count < 500, "it does not stop sending");
            self.watch(&buffer[..len]);
        }
        while let Some((id, events)) = self.stack.poll_event() {
            if events.has(Events::CONNECTED) && !self.ids.contains(&id) {
                self.ids.push(id);
            }
        }
        assert!(self.stack.connections() <= CONNECTIONS);
        for at in 0..self.ids.len() {
            let id = self.ids[at];
            while let Some(conn) = self.stack.conn_mut(id) {
                assert!(conn.unacked() <= BUFFER && conn.readable_len() <= BUFFER);
                assert!(conn.state() != State::Closed || conn.next_deadline().is_none());
                let piece = conn.readable().to_vec();
                if piece.is_empty() {
                    break;
                }
                conn.consume(piece.len());
                self.read(id, &piece);
            }
        }
        self.ids.retain(|id| self.stack.conn(*id).is_some());
        let stack = &self.stack;
        self.stream.retain(|(id, _)| stack.conn(*id).is_some());
    }

    /// The peer's view of a frame of ours, which must be whole.
    fn watch(&mut self, frame: &[u8]) {
        let link = EthernetHeader::parse(frame).expect("a header");
        if link.kind != IPV4 {
            return;
        }
        let packet = &frame[14..];
        let ip = Ipv4Header::parse(packet, Checksums::Verify).expect("a packet");
        let segment = &packet[ip.payload];
        dp_tcp::wire::tcp::verify(segment, US, THEM, Checksums::Verify).expect("a checksum");
        let (header, at) = TcpHeader::parse(segment).expect("a segment");
        let extra =
            u32::from(header.flags.has(Flags::SYN)) + u32::from(header.flags.has(Flags::FIN));
        let seen = Seen {
            local: header.source_port,
            remote: header.target_port,
            next: header.seq.plus((segment.len() - at) as u32 + extra),
            ack: header.ack,
            stamp: header.options.timestamps.map_or(0, |(stamp, _)| stamp),
        };
        let place = match header.source_port {
            LISTENING => CONNECTIONS - 1,
            port => usize::from(port) % (CONNECTIONS - 1),
        };
        self.seen[place] = seen;
    }
}

fn octet(seq: Seq) -> u8 {
    seq.0 as u8
}

fn link() -> [u8; 14] {
    let header = EthernetHeader {
        target: OUR_MAC,
        source: THEIR_MAC,
        kind: IPV4,
    };
    header.bytes()
}

fn frame(header: &TcpHeader, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0; 60];
    let len = header
        .write(&mut segment)
        .expect("sixty octets hold any header");
    segment.truncate(len);
    segment.extend(payload);
    seal(&mut segment, THEM, US);
    let ip = Ipv4Header::bytes(THEM, US, ipv4::TCP, segment.len() as u16);
    [&link()[..], &ip[..], &segment[..]].concat()
}
