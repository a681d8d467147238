use super::*;
use crate::xdp::{MemFrames, PairOptions, pair};
use dp_tcp::{Config, Host, Secret, Verdict};
use proptest::prelude::*;

const US: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const VENUE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 9, 0, 2), 443);
const OUR_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const VENUE_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);
/// A router behind which nobody is.
const DEAD_MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);
const MS: u64 = 1_000_000;

/// Ways a test tells.
struct Told {
    /// Of all of them.
    mtu: u16,
    events: VecDeque<WayEvent>,
    open: Vec<SocketAddrV4>,
    is_silent: bool,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            mtu: 1_500,
            events: VecDeque::new(),
            open: Vec::new(),
            is_silent: false,
        }
    }
}

impl Ways for Told {
    fn open(&mut self, peer: SocketAddrV4) -> Result<(), SocketFault> {
        self.open.push(peer);
        if !self.is_silent {
            let peer = *peer.ip();
            self.events.push_back(WayEvent::Way {
                peer,
                next_hop: peer,
                mac: VENUE_MAC,
                mtu: self.mtu,
            });
        }
        Ok(())
    }

    fn close(&mut self, peer: SocketAddrV4) {
        let at = self
            .open
            .iter()
            .position(|open| *open == peer)
            .expect("it was opened");
        self.open.remove(at);
    }

    fn next(&mut self) -> Option<WayEvent> {
        self.events.pop_front()
    }
}

fn config(address: Ipv4Addr, mac: Mac, ports: (u16, u16)) -> StackConfig {
    StackConfig {
        connection: Config {
            send_buffer: 64 << 10,
            receive_buffer: 64 << 10,
            ..Config::default()
        },
        half_open_max: 4,
        ..StackConfig::new(Host::on_link(mac, address, 24), ports, Secret::new([7; 16]))
    }
}

/// A lane's sockets on one end of a cable, a venue that listens on the other, and the time.
struct Rig {
    lane: Bypass<MemFrames, Told>,
    venue: Stack,
    cable: MemFrames,
    /// What the venue has heard, by connection.
    heard: Vec<Vec<u8>>,
    known: Vec<ConnId>,
    now: u64,
    /// Frames from the venue that are lost on the way, by their number.
    lost: Vec<u64>,
    sent: u64,
    /// Frames the lane gave to a router that is dead, or that no hop passes on.
    swallowed: u64,
    /// Octets of the largest packet that gets to the venue, and of the largest that left.
    passes: usize,
    largest: usize,
}

impl Rig {
    fn new() -> Self {
        let (ours, theirs) = pair(PairOptions {
            rx_frames: 256,
            tx_frames: 256,
            ..PairOptions::default()
        });
        let mut venue = Stack::new(&config(*VENUE.ip(), VENUE_MAC, (1, 60_000))).unwrap();
        assert!(venue.listen(VENUE.port()));
        Self {
            lane: Bypass::new(ours, Told::default(), config(US, OUR_MAC, (40_000, 40_999)))
                .unwrap(),
            venue,
            cable: theirs,
            heard: Vec::new(),
            known: Vec::new(),
            now: MS,
            lost: Vec::new(),
            sent: 0,
            swallowed: 0,
            passes: 1_500,
            largest: 0,
        }
    }

    /// The venue's turn: hears, and says what it has to.
    fn venue_turn(&mut self) {
        self.cable.poll(UnixNanos(self.now));
        while let Some(frame) = self.cable.next() {
            let bytes = self.cable.bytes(&frame).to_vec();
            self.cable.release(frame);
            self.largest = self.largest.max(bytes.len() - 14);
            if bytes.starts_with(&DEAD_MAC.0) || bytes.len() - 14 > self.passes {
                self.swallowed += 1;
                continue;
            }
            let arrival = self.venue.on_frame(&bytes, self.now);
            assert_ne!(arrival.verdict, Verdict::Passed, "a frame for nobody");
            let Some(conn) = arrival.conn else { continue };
            if !self.known.contains(&conn) {
                self.known.push(conn);
                self.heard.push(Vec::new());
            }
            let at = self.known.iter().position(|known| *known == conn).unwrap();
            self.heard[at].extend_from_slice(&bytes[arrival.data]);
            let connection = self.venue.conn_mut(conn).unwrap();
            while connection.readable_len() > 0 {
                let piece = connection.readable().to_vec();
                connection.consume(piece.len());
                self.heard[at].extend_from_slice(&piece);
            }
            if arrival.events.has(Events::PEER_CLOSED) {
                connection.close();
            }
        }
        while self.venue.poll_event().is_some() {}
        self.venue_says();
    }

    fn venue_says(&mut self) {
        while let Some(frame) = self.cable.reserve() {
            let Some(len) = self.venue.poll_transmit(self.now, self.cable.bytes(&frame)) else {
                self.cable.release(frame);
                break;
            };
            self.sent += 1;
            if self.lost.contains(&self.sent) {
                self.cable.release(frame);
            } else {
                self.cable.submit(frame, len);
            }
        }
        self.cable.kick();
    }

    /// Both turn, `step_ns` apart, until `until` gives something or a virtual minute has passed. What the lane
    /// is told goes to `on`.
    fn run<R>(
        &mut self,
        step_ns: u64,
        mut on: impl FnMut(&mut Self, Ready) -> Option<R>,
    ) -> Option<R> {
        let end = self.now + 60_000 * MS;
        while self.now < end {
            self.now += step_ns;
            self.venue_turn();
            self.lane.poll(UnixNanos(self.now));
            while let Some(ready) = self.lane.next() {
                if let Some(done) = on(self, ready) {
                    return Some(done);
                }
            }
        }
        None
    }

    fn connect(&mut self) -> Socket {
        let socket = self.lane.open(VENUE.into()).unwrap();
        self.run(MS, |_, ready| {
            (ready == Ready::Connected(socket)).then_some(())
        })
        .expect("connected");
        socket
    }

    /// The bytes the lane is given, released, until there are `count`.
    fn take(&mut self, count: usize) -> Vec<u8> {
        let mut got = Vec::new();
        self.run(MS, |rig, ready| {
            let Ready::Bytes(_, chunk) = ready else {
                panic!("{ready:?}")
            };
            got.extend_from_slice(rig.lane.bytes(&chunk));
            rig.lane.release(chunk);
            (got.len() >= count).then_some(())
        })
        .expect("all bytes come");
        got
    }

    fn closed(&mut self, socket: Socket) -> CloseReason {
        self.run(MS, |rig, ready| match ready {
            Ready::Closed(closed, reason) => {
                assert_eq!(closed, socket);
                Some(reason)
            }
            Ready::Bytes(_, chunk) => {
                rig.lane.release(chunk);
                None
            }
            Ready::Connected(_) => panic!("connected"),
        })
        .expect("the end is told")
    }
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 251) as u8).collect()
}

#[test]
fn bytes_go_both_ways_and_come_in_the_frame_they_came_in() {
    let mut rig = Rig::new();
    let socket = rig.connect();
    rig.lane.send(socket, b"order").unwrap();
    rig.run(MS, |rig, _| (rig.heard == [b"order"]).then_some(()));
    rig.venue_turn();
    assert_eq!(rig.heard, [b"order"]);
    let conn = rig.known[0];
    assert_eq!(rig.venue.conn_mut(conn).unwrap().send(b"acknowledged"), 12);
    assert_eq!(rig.take(12), b"acknowledged");
    assert_eq!(
        (rig.lane.counters().in_place, rig.lane.counters().gathered),
        (1, 0)
    );
    assert!(
        rig.lane
            .connection(socket)
            .unwrap()
            .round_trip_ns()
            .is_some()
    );
}

/// An order that a message causes leaves in the turn of the message, with the acknowledgement in it.
#[test]
fn an_order_takes_the_acknowledgement_along() {
    let mut rig = Rig::new();
    let socket = rig.connect();
    for _ in 0..3 {
        rig.now += MS;
        rig.venue_turn();
        rig.lane.poll(UnixNanos(rig.now));
    }
    let before = rig.lane.frames().counters();
    let conn = rig.known[0];
    rig.venue.conn_mut(conn).unwrap().send(b"tick");
    rig.venue_says();
    rig.now += 1_000;
    rig.lane.poll(UnixNanos(rig.now));
    let Some(Ready::Bytes(_, chunk)) = rig.lane.next() else {
        panic!("no tick")
    };
    assert_eq!(rig.lane.bytes(&chunk), b"tick");
    assert_eq!(
        rig.lane.frames().counters().kicks,
        before.kicks,
        "something was sent before the order"
    );
    rig.lane.send(socket, b"order").unwrap();
    rig.lane.release(chunk);
    rig.lane.poll(UnixNanos(rig.now + 1_000));
    let after = rig.lane.frames().counters();
    assert_eq!(
        after.tx_frames - before.tx_frames,
        1,
        "order and acknowledgement are one frame"
    );
    rig.venue_turn();
    assert_eq!(rig.venue.conn(conn).unwrap().unacked(), 0);
}

#[test]
fn what_came_out_of_order_is_handed_out_once_the_gap_is_closed() {
    let mut rig = Rig::new();
    let socket = rig.connect();
    rig.lane.send(socket, b"x").unwrap();
    rig.venue_turn();
    let sent = text(20_000);
    rig.lost = vec![rig.sent + 2, rig.sent + 5];
    let conn = rig.known[0];
    assert_eq!(rig.venue.conn_mut(conn).unwrap().send(&sent), sent.len());
    assert_eq!(rig.take(sent.len()), sent);
    assert!(rig.lane.counters().gathered > 0);
    assert!(rig.lane.counters().in_place > 0);
}

#[test]
fn the_ends_of_a_connection_are_told() {
    let mut rig = Rig::new();
    let socket = rig.connect();
    rig.lane.send(socket, b"x").unwrap();
    rig.venue_turn();
    let conn = rig.known[0];
    rig.venue.conn_mut(conn).unwrap().send(b"last words");
    rig.venue.conn_mut(conn).unwrap().close();
    assert_eq!(rig.take(10), b"last words");
    assert_eq!(rig.closed(socket), CloseReason::Peer);
    assert_eq!(rig.lane.send(socket, b"x"), Err(SendError::NotConnected));

    let socket = rig.connect();
    rig.lane.send(socket, b"x").unwrap();
    rig.venue_turn();
    let conn = rig.known[1];
    rig.venue.release(conn);
    assert_eq!(rig.closed(socket), CloseReason::Os(libc::ECONNRESET));

    let nobody = SocketAddrV4::new(*VENUE.ip(), 444);
    let socket = rig.lane.open(nobody.into()).unwrap();
    assert_eq!(rig.closed(socket), CloseReason::Os(libc::ECONNREFUSED));

    rig.lane.ways.is_silent = true;
    let socket = rig.lane.open(VENUE.into()).unwrap();
    assert_eq!(rig.closed(socket), CloseReason::Os(libc::EHOSTUNREACH));
    let end = rig.now + 5_000 * MS;
    rig.run(MS, |rig, _| (rig.now > end).then_some(()));
    assert!(rig.lane.ways.open.is_empty());
}

/// What is still said to a connection that only says goodbye must not reach the kernel; after that the peer's
/// way, flow and rule are let go, whatever became of the connection. ([`Told::close`] counts.)
#[test]
fn a_way_is_let_go_when_the_farewell_is_over() {
    // Closed by us, by the peer, reset, with unread data, never found, and while the interface changes.
    for case in 0..6 {
        let mut rig = Rig::new();
        rig.lane.ways.is_silent = case == 4;
        let socket = if case == 4 {
            rig.lane.open(VENUE.into()).unwrap()
        } else {
            rig.connect()
        };
        if case != 4 {
            rig.lane.send(socket, b"x").unwrap();
            rig.venue_turn();
        }
        let conn = rig.known.first().copied();
        match case {
            0 => {
                rig.lane.close(socket);
                assert_eq!(rig.lane.ways.open, [VENUE], "let go before the farewell");
            }
            1 => {
                rig.venue.conn_mut(conn.unwrap()).unwrap().close();
                assert_eq!(rig.closed(socket), CloseReason::Peer);
                assert_eq!(rig.lane.ways.open, [VENUE], "let go before the farewell");
            }
            2 => {
                rig.venue.release(conn.unwrap());
                assert_eq!(rig.closed(socket), CloseReason::Os(libc::ECONNRESET));
                assert!(rig.lane.ways.open.is_empty());
            }
            3 => {
                rig.lane.close(socket);
                rig.venue
                    .conn_mut(conn.unwrap())
                    .unwrap()
                    .send(b"for nobody");
            }
            4 => rig.lane.close(socket),
            _ => {
                rig.lane.close(socket);
                let host = config(US, OUR_MAC, (1, 1)).host;
                let changed = WayEvent::Changed { host, mtu: 900 };
                rig.lane.ways.events.push_back(changed);
            }
        }
        let end = rig.now + 10_000 * MS;
        rig.run(MS, |rig, _| (rig.now > end).then_some(()));
        assert!(rig.lane.ways.open.is_empty(), "case {case}");
        assert_eq!(rig.lane.stack.connections(), 0, "case {case}");
    }
}

#[test]
fn another_interface_ends_every_connection_and_new_ones_work() {
    let mut rig = Rig::new();
    let socket = rig.connect();
    let host = config(US, OUR_MAC, (1, 1)).host;
    rig.lane
        .ways
        .events
        .push_back(WayEvent::Changed { host, mtu: 900 });
    assert_eq!(rig.closed(socket), CloseReason::Os(libc::ENETRESET));
    assert_eq!(rig.lane.counters().changes, 1);
    let socket = rig.connect();
    rig.lane.send(socket, b"again").unwrap();
    rig.venue_turn();
    assert_eq!(rig.heard.last().unwrap(), b"again");
}

#[test]
fn what_connections_counted_outlives_them() {
    let mut rig = Rig::new();
    let socket = rig.connect();
    rig.lane.send(socket, b"order").unwrap();
    // Nobody answers for half a second.
    for _ in 0..50 {
        rig.now += 10 * MS;
        rig.lane.poll(UnixNanos(rig.now));
    }
    let resent = rig.lane.counts();
    assert!(resent.retransmits > 1 && resent.timeouts > 0, "{resent:?}");
    rig.lane.close(socket);
    let end = rig.now + 5_000 * MS;
    rig.run(MS, |rig, _| (rig.now > end).then_some(()));
    assert_eq!(rig.lane.stack.connections(), 0);
    let closed = rig.lane.counts();
    assert!(closed.retransmits >= resent.retransmits, "{closed:?}");
    // Neither does a stack that gives way to another take its counts along.
    let host = config(US, OUR_MAC, (1, 1)).host;
    let changed = WayEvent::Changed { host, mtu: 900 };
    rig.lane.ways.events.push_back(changed);
    rig.lane.poll(UnixNanos(rig.now));
    let since = rig.lane.counts() - closed;
    assert_eq!(
        (since.link_changes, since.retransmits, since.timeouts),
        (1, 0, 0)
    );
}

#[test]
fn a_neighbour_that_is_lost_and_found_costs_no_connection() {
    let mut rig = Rig::new();
    let socket = rig.connect();
    rig.lane.ways.events.push_back(WayEvent::Lost(*VENUE.ip()));
    rig.now += MS;
    rig.lane.poll(UnixNanos(rig.now));
    rig.lane.send(socket, b"order").unwrap();
    rig.venue_turn();
    assert!(rig.heard.iter().all(Vec::is_empty), "sent to nobody");
    let peer = *VENUE.ip();
    rig.lane.ways.events.push_back(WayEvent::Way {
        peer,
        next_hop: peer,
        mac: VENUE_MAC,
        mtu: 1_500,
    });
    rig.run(MS, |rig, _| (rig.now > 1_000 * MS).then_some(()));
    assert_eq!(rig.heard, [b"order"]);
}

/// The route says how large a packet may be: neither side sends a larger one, and a route that turns smaller
/// binds connections that are open.
#[test]
fn a_routes_mtu_is_kept() {
    let mut rig = Rig::new();
    rig.lane.ways.mtu = 1_400;
    rig.passes = 1_400;
    let socket = rig.connect();
    rig.lane.send(socket, &text(20_000)).unwrap();
    assert!(rig.run(MS, |_, _| Some(())).is_none());
    assert_eq!(rig.heard.concat(), text(20_000));
    assert_eq!((rig.largest, rig.swallowed), (1_400, 0));
    let conn = rig.known[0];
    assert_eq!(rig.venue.conn(conn).unwrap().segment_max(), 1_360);
    let (peer, mac, mtu) = (*VENUE.ip(), VENUE_MAC, 1_200);
    let next_hop = peer;
    let way = WayEvent::Way {
        peer,
        next_hop,
        mac,
        mtu,
    };
    rig.lane.ways.events.push_back(way);
    rig.lane.poll(UnixNanos(rig.now));
    (rig.passes, rig.largest) = (1_200, 0);
    rig.lane.send(socket, &text(20_000)).unwrap();
    assert!(rig.run(MS, |_, _| Some(())).is_none());
    assert_eq!(rig.heard.concat(), [text(20_000), text(20_000)].concat());
    assert_eq!((rig.largest, rig.swallowed), (1_200, 0));
}

/// A hop drops what is too large for it and its word of that goes to the kernel, which knows no such connection.
#[test]
fn a_hop_that_swallows_large_packets_is_found_out() {
    let mut rig = Rig::new();
    rig.passes = 1_300;
    let socket = rig.connect();
    rig.lane.send(socket, &text(20_000)).unwrap();
    assert!(rig.run(MS, |_, _| Some(())).is_none(), "given up");
    assert_eq!(rig.heard, [text(20_000)]);
    assert!(rig.swallowed > 0);
    let connection = rig.lane.connection(socket).unwrap();
    // The first of the plateaus that gets through.
    assert_eq!(connection.segment_max() + 40, 1_006);
    assert_eq!(connection.counters().mtu_lowered, 2);
}

/// Another router leads to the venue: open connections follow, and what the old one swallowed goes again at once.
#[test]
fn open_connections_follow_a_route_to_another_router() {
    let mut rig = Rig::new();
    let socket = rig.connect();
    let (peer, now) = (*VENUE.ip(), rig.now);
    let via = |rig: &mut Rig, last, mac| {
        let next_hop = Ipv4Addr::new(10, 9, 0, last);
        let way = WayEvent::Way {
            peer,
            next_hop,
            mac,
            mtu: 1_500,
        };
        rig.lane.ways.events.push_back(way);
        rig.now += MS;
        rig.lane.poll(UnixNanos(rig.now));
    };
    via(&mut rig, 254, DEAD_MAC);
    rig.lane.send(socket, b"order").unwrap();
    rig.venue_turn();
    assert_eq!(rig.heard.concat(), b"", "sent by the old router");
    // Told again, it is no other way: nothing goes twice.
    let swallowed = rig.swallowed;
    via(&mut rig, 254, DEAD_MAC);
    rig.venue_turn();
    assert!(rig.swallowed >= swallowed && swallowed > 0);
    assert_eq!(rig.lane.counts().retransmits, 0);
    via(&mut rig, 253, VENUE_MAC);
    rig.lane.poll(UnixNanos(rig.now));
    rig.venue_turn();
    assert_eq!(rig.heard, [b"order"]);
    assert!(rig.now - now < 5 * MS, "it waited for a time-out");
    // And so does one that is still connecting.
    let socket = rig.lane.open(VENUE.into()).unwrap();
    via(&mut rig, 254, DEAD_MAC);
    via(&mut rig, 253, VENUE_MAC);
    let connected = rig.run(MS, |_, ready| {
        (ready == Ready::Connected(socket)).then_some(())
    });
    connected.expect("connected");
    assert!(rig.now - now < 30 * MS, "it waited for a time-out");
}

/// A next hop that stays gone ends what waits for it, and gives its places back.
#[test]
fn a_neighbour_that_stays_lost_is_given_up() {
    for is_closed_by_us in [false, true] {
        for is_sent_before in [false, true] {
            let mut rig = Rig::new();
            let socket = rig.connect();
            if is_sent_before {
                rig.lane.send(socket, b"order").unwrap();
            }
            rig.lane.ways.events.push_back(WayEvent::Lost(*VENUE.ip()));
            rig.now += MS;
            rig.lane.poll(UnixNanos(rig.now));
            let start = rig.now;
            if is_closed_by_us {
                rig.lane.close(socket);
            } else {
                rig.lane.send(socket, b"order").unwrap();
            }
            // The venue is as dark as the hop.
            let mut closed = None;
            while rig.now < start + 40_000 * MS {
                rig.now += MS;
                rig.lane.poll(UnixNanos(rig.now));
                if let Some(ready) = rig.lane.next() {
                    closed = Some((ready, rig.now - start));
                }
            }
            if is_closed_by_us {
                assert_eq!(closed, None);
            } else {
                let (ready, after) = closed.expect("the end is told");
                let reason = CloseReason::Os(libc::ETIMEDOUT);
                assert_eq!(ready, Ready::Closed(socket, reason));
                let patience = Config::default().give_up_ns;
                assert!(
                    (patience..patience + 3_000 * MS).contains(&after),
                    "{after}"
                );
            }
            assert_eq!(rig.lane.stack.connections(), 0);
            assert!(rig.lane.ways.open.is_empty());
        }
    }
}

#[test]
fn a_peer_that_reads_nothing_is_back_pressure_and_nothing_is_lost() {
    let mut rig = Rig::new();
    let socket = rig.connect();
    let piece = text(8 << 10);
    let mut sent = Vec::new();
    while rig.lane.send(socket, &piece).is_ok() {
        sent.extend_from_slice(&piece);
        assert!(sent.len() <= 64 << 10, "more than the buffer was taken");
    }
    assert!(rig.lane.room(socket) < piece.len());
    assert_eq!(rig.lane.send(socket, &piece), Err(SendError::Full));
    rig.run(MS, |rig, _| {
        (rig.heard.first().map(Vec::len) == Some(sent.len())).then_some(())
    });
    assert_eq!(rig.heard, [sent]);
}

#[test]
fn sockets_run_out_and_their_ids_do_not_come_back() {
    let mut rig = Rig::new();
    rig.lane.ways.is_silent = true;
    let mut sockets: Vec<Socket> = (0..SOCKETS_MAX)
        .map(|_| rig.lane.open(VENUE.into()).unwrap())
        .collect();
    assert_eq!(rig.lane.open(VENUE.into()), Err(OpenError::TooMany));
    let old = sockets.pop().unwrap();
    rig.lane.close(old);
    rig.lane.close(old);
    let new = rig.lane.open(VENUE.into()).unwrap();
    assert_ne!(new, old);
    rig.lane.close(old);
    assert_eq!(
        rig.lane.open(VENUE.into()),
        Err(OpenError::TooMany),
        "a stale id closed another's socket"
    );
    let six: SocketAddr = "[::1]:443".parse().unwrap();
    assert!(matches!(rig.lane.open(six), Err(OpenError::Socket(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is lost and however the lane holds its chunks: bytes come whole and in order, no frame is kept.
    #[test]
    fn streams_are_whole(
        len in 1usize..60_000,
        lost in prop::collection::btree_set(3u64..120, 0..20),
        held_max in 1usize..40,
    ) {
        let mut rig = Rig::new();
        let socket = rig.connect();
        rig.lane.send(socket, b"x").unwrap();
        rig.venue_turn();
        let sent = text(len);
        rig.lost = lost.into_iter().map(|at| rig.sent + at).collect();
        let conn = rig.known[0];
        let mut written = 0;
        let mut held: VecDeque<Chunk> = VecDeque::new();
        let mut got = Vec::new();
        for _ in 0..20_000 {
            written += rig.venue.conn_mut(conn).unwrap().send(&sent[written..]);
            rig.now += MS;
            rig.venue_turn();
            rig.lane.poll(UnixNanos(rig.now));
            while let Some(ready) = rig.lane.next() {
                let Ready::Bytes(_, chunk) = ready else { panic!("{ready:?}") };
                got.extend_from_slice(rig.lane.bytes(&chunk));
                held.push_back(chunk);
                while held.len() > held_max {
                    rig.lane.release(held.pop_front().unwrap());
                }
            }
            // A lane that is done with a turn holds nothing back for ever.
            if let Some(chunk) = held.pop_front() {
                rig.lane.release(chunk);
            }
            if got.len() >= len && held.is_empty() {
                break;
            }
        }
        prop_assert_eq!(got.len(), len);
        prop_assert_eq!(got, sent);
    }
}
