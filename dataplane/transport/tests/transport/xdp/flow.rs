//! What is ours comes to us and the kernel stays silent about it; what is not ours lives as before.

use super::support::*;
use dp_transport::xdp::{Flow, FlowCounters};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;
use tests_net::Veth;

/// A TCP connection of the two kernels, a byte each way.
fn kernel_tcp(veth: &Veth, ours: u16, theirs: u16) {
    let mut listener = None;
    // A child that another test starts holds the listener before this one until it runs its program.
    until("the port", || {
        listener = TcpListener::bind((Veth::OURS, ours)).ok();
        listener.is_some()
    });
    let listener = listener.unwrap();
    let to = listener.local_addr().unwrap();
    let client = veth.theirs.run(move || client_from(theirs, to));
    let mut client = client.unwrap_or_else(|error| panic!("{ours} from {theirs}: {error}"));
    let (mut server, _) = listener.accept().unwrap();
    let mut byte = [0];
    client.write_all(&[1]).unwrap();
    server.read_exact(&mut byte).unwrap();
    server.write_all(&byte).unwrap();
    client.read_exact(&mut byte).unwrap();
    assert_eq!(byte, [1]);
}

/// Connects from a port of the caller's choice (0: any).
fn client_from(port: u16, to: std::net::SocketAddr) -> std::io::Result<TcpStream> {
    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
    };
    let (family, flags) = (AddressFamily::Inet, SockFlag::SOCK_CLOEXEC);
    let fd = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    // The connection, and the wait for an answer that never comes.
    setsockopt(
        &fd,
        sockopt::SendTimeout,
        &nix::sys::time::TimeVal::new(15, 0),
    )?;
    let raw = std::os::fd::AsRawFd::as_raw_fd(&fd);
    bind(
        raw,
        &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)),
    )?;
    let std::net::SocketAddr::V4(to) = to else {
        unreachable!("IPv4 only")
    };
    connect(raw, &SockaddrIn::from(to))?;
    Ok(TcpStream::from(fd))
}

#[test]
fn everything_else_passes() {
    for mode in MODES {
        with_ends(mode, |veth, mut us, _venue| {
            // ssh-like, and ports of our range for connections that are not the venue's.
            kernel_tcp(veth, 2_222, 0);
            kernel_tcp(veth, 2_222, VENUE_PORT - 1);
            kernel_tcp(veth, PORTS.first, VENUE_PORT - 1);
            kernel_tcp(veth, PORTS.last, 0);
            // UDP on the very same ports, after ARP from scratch.
            for namespace in [&veth.ours, &veth.theirs] {
                namespace.ip("neigh flush all").unwrap();
            }
            let here = UdpSocket::bind((Veth::OURS, PORTS.first)).unwrap();
            here.set_read_timeout(Some(Duration::from_secs(15)))
                .unwrap();
            let to = here.local_addr().unwrap();
            veth.theirs.run(move || {
                let there = UdpSocket::bind((Veth::THEIRS, VENUE_PORT)).unwrap();
                there.send_to(b"udp", to).unwrap();
            });
            let mut buffer = [0; 16];
            assert_eq!(here.recv_from(&mut buffer).unwrap().0, 3);
            let neighbours = veth.ours.ip("neigh show").unwrap();
            assert!(
                neighbours.contains("10.77.0.2"),
                "{mode}: ARP did not pass: {neighbours}"
            );
            assert!(
                us.take().is_empty(),
                "{mode}: a frame that is not ours came to us"
            );
            assert_eq!(
                us.steering.counters(flow()).unwrap(),
                FlowCounters::default(),
                "{mode}"
            );
        });
    }
}

#[test]
fn the_kernel_never_answers_for_a_steered_flow() {
    for mode in MODES {
        with_ends(mode, |_, mut us, mut venue| {
            let (to_mac, from) = (mac(), flow().venue);
            let towards = |port| Segment {
                from,
                to: SocketAddrV4::new(Veth::OURS, port),
                flags: ACK,
                payload: b"stray data, for which no socket of the kernel's exists",
            };
            // Not steered at our end (the port is outside the range), seen raw at the peer's.
            let outside = PORTS.last + 1;
            venue.steering.add(back(outside)).unwrap();
            let port = PORTS.first + 3;
            assert!(venue.send(&towards(port).frame(to_mac)), "{mode}");
            // The same segment in two fragments: passes, is put together, and would be answered.
            let (segment, addresses) = (towards(port).tcp(), (*from.ip(), Veth::OURS));
            let fragment =
                |word: u16, bytes: &[u8]| ipv4(to_mac, addresses.0, addresses.1, word, bytes);
            assert!(venue.send(&fragment(0x2000, &segment[..24])), "{mode}");
            assert!(venue.send(&fragment(0x0003, &segment[24..])), "{mode}");
            // The kernel answers this one with RST, which also proves that the frames before are through.
            assert!(venue.send(&towards(outside).frame(to_mac)), "{mode}");
            let seen = venue.take_exactly(1);
            assert_eq!(
                seen[0][34..36],
                outside.to_be_bytes(),
                "{mode}: answered for another"
            );
            assert_ne!(seen[0][47] & RST, 0, "{mode}");
            assert_eq!(us.take_exactly(1), [towards(port).frame(to_mac)], "{mode}");
            let counters = us.steering.counters(flow()).unwrap();
            assert_eq!(us.steering.guard(), Ok(()), "{mode}");
            assert_eq!((counters.steered, counters.resets_held), (1, 1), "{mode}");
            assert!(venue.take().is_empty(), "{mode}");
        });
    }
}

#[test]
fn a_flow_without_a_socket_is_dropped_not_answered() {
    for mode in MODES {
        with_ends(mode, |_, us, mut venue| {
            let to_mac = mac();
            let End { steering, xsk } = us;
            drop(xsk);
            let outside = PORTS.last + 1;
            venue.steering.add(back(outside)).unwrap();
            for port in [PORTS.first, outside] {
                let segment = Segment {
                    from: flow().venue,
                    to: SocketAddrV4::new(Veth::OURS, port),
                    flags: ACK,
                    payload: b"x",
                };
                assert!(venue.send(&segment.frame(to_mac)), "{mode}");
            }
            let seen = venue.take_exactly(1);
            assert_eq!(seen[0][34..36], outside.to_be_bytes(), "{mode}");
            // A process another test is starting right now may hold a copy of the socket until it is
            // itself: then the frame went there.
            let counters = steering.counters(flow()).unwrap();
            assert_eq!(counters.unclaimed + counters.steered, 1, "{mode}");
            // Dropped before the kernel saw it, not answered and then held back.
            assert_eq!(counters.resets_held, 0, "{mode}");
        });
    }
}

#[test]
fn a_tagged_frame_of_the_flow_is_not_ours() {
    for mode in MODES {
        with_ends(mode, |_, mut us, mut venue| {
            let segment = Segment {
                from: flow().venue,
                to: SocketAddrV4::new(Veth::OURS, PORTS.first),
                flags: ACK,
                payload: b"tagged or not",
            };
            let plain = segment.frame(mac());
            let mut tagged = plain.clone();
            tagged.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
            assert!(venue.send(&tagged), "{mode}");
            assert!(venue.send(&plain), "{mode}");
            assert_eq!(us.take_exactly(1), [plain], "{mode}");
        });
    }
}

#[test]
fn a_venues_address_can_change_at_run_time() {
    for mode in MODES {
        with_ends(mode, |_, mut us, mut venue| {
            let moved = Flow {
                venue: SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 99), VENUE_PORT),
                ..flow()
            };
            let segment = |from| Segment {
                from,
                to: SocketAddrV4::new(Veth::OURS, PORTS.last),
                flags: ACK,
                payload: b"moved",
            };
            us.steering.add(moved).unwrap();
            us.steering.remove(flow()).unwrap();
            let to_mac = mac();
            assert!(venue.send(&segment(flow().venue).frame(to_mac)), "{mode}");
            assert!(venue.send(&segment(moved.venue).frame(to_mac)), "{mode}");
            assert_eq!(
                us.take_exactly(1),
                [segment(moved.venue).frame(to_mac)],
                "{mode}"
            );
        });
    }
}
