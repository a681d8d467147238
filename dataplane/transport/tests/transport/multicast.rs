//! Multicast over loopback: two lines, each datagram whole and in order, and nobody else's heard.

use crate::alloc_touches;
use dp_transport::{Group, OpenError, Ready, SendError, Socket, Sockets, Transport, Uring};
use dp_types::UnixNanos;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Longest wait for a datagram on a busy machine, turns.
const TURNS_MAX: u32 = 50_000_000;

/// Sends to a group over loopback.
struct Venue {
    socket: UdpSocket,
    group: SocketAddrV4,
}

impl Venue {
    fn new(last: u8) -> Self {
        // A port nobody has: bound, asked for and given back, as one of another address.
        let free = UdpSocket::bind((LOOPBACK, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        let socket = UdpSocket::bind((LOOPBACK, 0)).unwrap();
        socket.set_multicast_loop_v4(true).unwrap();
        Self {
            socket,
            group: SocketAddrV4::new(Ipv4Addr::new(239, 193, 77, last), port),
        }
    }

    fn group(&self) -> Group {
        Group {
            at: self.group,
            interface: LOOPBACK,
        }
    }

    fn say(&self, bytes: &[u8]) {
        assert_eq!(self.socket.send_to(bytes, self.group).unwrap(), bytes.len());
    }
}

/// The next datagram.
fn hear(uring: &mut Uring) -> (Socket, Vec<u8>) {
    for _ in 0..TURNS_MAX {
        uring.poll(UnixNanos(1));
        match uring.next() {
            Some(Ready::Bytes(socket, chunk)) => {
                let bytes = uring.bytes(&chunk).to_vec();
                uring.release(chunk);
                return (socket, bytes);
            }
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }
    panic!("nothing came");
}

#[test]
fn two_lines_are_heard_each_by_itself() {
    let mut uring = Uring::new().unwrap();
    let (a, b) = (Venue::new(1), Venue::new(2));
    let (line_a, line_b) = (
        uring.join(&a.group()).unwrap(),
        uring.join(&b.group()).unwrap(),
    );
    // Beyond the chunks there are, so that receives are armed again.
    for number in 0..1_000u32 {
        a.say(&number.to_le_bytes());
        assert_eq!(hear(&mut uring), (line_a, number.to_le_bytes().to_vec()));
        if number % 3 == 0 {
            b.say(&[7; 1_400]);
            assert_eq!(hear(&mut uring), (line_b, vec![7; 1_400]));
        }
    }
    assert_eq!(uring.room(line_a), 0);
    assert_eq!(uring.send(line_a, b"x"), Err(SendError::NotConnected));
    uring.close(line_b);
    b.say(b"nobody listens");
    a.say(b"");
    a.say(b"still here");
    assert_eq!(hear(&mut uring), (line_a, b"still here".to_vec()));
}

#[test]
fn a_burst_waits_in_the_kernel_while_chunks_are_held() {
    let mut uring = Uring::new().unwrap();
    let venue = Venue::new(3);
    let line = uring.join(&venue.group()).unwrap();
    for number in 0..600u32 {
        venue.say(&number.to_le_bytes());
    }
    // More than there are chunks, all of them held until nothing comes any more.
    let mut held = Vec::new();
    let mut heard = Vec::new();
    for _ in 0..TURNS_MAX {
        uring.poll(UnixNanos(1));
        match uring.next() {
            Some(Ready::Bytes(of, chunk)) => {
                assert_eq!(of, line);
                heard.push(uring.bytes(&chunk).to_vec());
                held.push(chunk);
            }
            Some(other) => panic!("{other:?}"),
            None => held.drain(..).for_each(|chunk| uring.release(chunk)),
        }
        if heard.len() == 600 {
            break;
        }
    }
    let expected: Vec<_> = (0..600u32).map(|it| it.to_le_bytes().to_vec()).collect();
    assert_eq!(heard, expected);
}

#[test]
fn what_is_sent_to_this_host_alone_is_not_the_feeds() {
    let mut uring = Uring::new().unwrap();
    let venue = Venue::new(4);
    let line = uring.join(&venue.group()).unwrap();
    let stranger = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    // Nobody may be listening there at all.
    let _ = stranger.send_to(b"a lie", (LOOPBACK, venue.group.port()));
    venue.say(b"the truth");
    assert_eq!(hear(&mut uring), (line, b"the truth".to_vec()));
}

#[test]
fn a_datagram_costs_no_allocation() {
    let mut uring = Uring::new().unwrap();
    let venue = Venue::new(5);
    let _line = uring.join(&venue.group()).unwrap();
    for round in 0..100 {
        venue.say(&[1; 1_000]);
        let mut count = 0;
        let touches = alloc_touches(|| {
            while count == 0 {
                uring.poll(UnixNanos(1));
                while let Some(Ready::Bytes(_, chunk)) = uring.next() {
                    count += uring.bytes(&chunk).len();
                    uring.release(chunk);
                }
            }
        });
        assert_eq!((touches, count), (0, 1_000), "round {round}");
    }
}

#[test]
fn what_cannot_be_joined_is_named() {
    let mut uring = Uring::new().unwrap();
    let group = |at: &str, interface: &str| Group {
        at: at.parse().unwrap(),
        interface: interface.parse().unwrap(),
    };
    let error = uring
        .join(&group("239.193.77.6:0", "192.0.2.1"))
        .unwrap_err();
    assert!(error.to_string().contains("interface"), "{error}");
    let error = uring.join(&group("127.0.0.1:0", "127.0.0.1")).unwrap_err();
    assert!(error.to_string().contains("IP_ADD_MEMBERSHIP"), "{error}");
    let refused = Sockets::new()
        .unwrap()
        .join(&group("239.193.77.6:0", "127.0.0.1"));
    assert_eq!(refused, Err(OpenError::NoMulticast));
}
