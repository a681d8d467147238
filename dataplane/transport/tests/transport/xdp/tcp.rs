//! Our TCP over AF_XDP, the kernel's TCP at the other end of the cable: sockets as a lane has them.

use super::support::*;
use dp_tcp::wire::Checksums;
use dp_transport::bypass::Bypass;
use dp_transport::xdp::ethtool::{self, Offload};
use dp_transport::xdp::{
    FLOWS_MAX, Flow, KernelWays, PortRange, Steering, XdpMode, Xsk, XskOptions,
};
use dp_transport::{CloseReason, Ready, Socket, Transport, clock};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests_net::Veth;

type Xdp = Bypass<Xsk, KernelWays>;

/// As many ports as the stack has connections.
const PORTS: PortRange = PortRange {
    first: 41_000,
    last: 41_999,
};
const PATIENCE: Duration = Duration::from_secs(30);

fn open(mode: XdpMode) -> Xdp {
    open_steered(mode).0
}

/// The same, with what steers its frames.
fn open_steered(mode: XdpMode) -> (Xdp, Arc<Steering>) {
    let modes = [mode];
    let steering = Arc::new(Steering::attach(ifindex(), PORTS, &modes).unwrap());
    let options = XskOptions {
        modes: &modes,
        ..XskOptions::default()
    };
    let xdp = KernelWays::open(&steering, &options, Checksums::Verify, [3; 16]).unwrap();
    assert_eq!(xdp.frames().mode(), mode);
    (xdp, steering)
}

/// A cable whose other end sends frames as they are on a wire: no larger than the MTU, checksums made.
fn cable() -> Option<Veth> {
    let veth = Veth::or_skip("xdp")?;
    veth.theirs.run(|| {
        for offload in [Offload::Tso, Offload::Gso, Offload::TxChecksum] {
            ethtool::set_offload(Veth::NAME, offload, false).unwrap();
        }
    });
    Some(veth)
}

/// Turns until something happens that `on` makes something of.
fn turn<R>(xdp: &mut Xdp, what: &str, mut on: impl FnMut(&mut Xdp, Ready) -> Option<R>) -> R {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        xdp.poll(clock::unix_now());
        while let Some(ready) = xdp.next() {
            if let Some(done) = on(xdp, ready) {
                return done;
            }
        }
        std::thread::yield_now();
    }
    panic!("{what}: not within {PATIENCE:?}; {xdp:?}");
}

fn connect(xdp: &mut Xdp, peer: SocketAddr) -> Socket {
    let socket = xdp.open(peer).unwrap();
    turn(xdp, "the connection", |_, ready| match ready {
        Ready::Connected(connected) => {
            assert_eq!(connected, socket);
            Some(())
        }
        other => panic!("{other:?}"),
    });
    socket
}

/// Turns until the connection has ended; what still comes in is let go.
fn closed(xdp: &mut Xdp, socket: Socket) -> CloseReason {
    turn(xdp, "the end", |xdp, ready| match ready {
        Ready::Closed(of, reason) => {
            assert_eq!(of, socket);
            Some(reason)
        }
        Ready::Bytes(_, chunk) => {
            xdp.release(chunk);
            None
        }
        Ready::Connected(_) => None,
    })
}

/// Turns until these bytes, in one chunk, are in.
fn heard(xdp: &mut Xdp, socket: Socket, want: &[u8]) {
    turn(xdp, "bytes", |xdp, ready| {
        let Ready::Bytes(of, chunk) = ready else {
            panic!("{ready:?}")
        };
        assert_eq!((of, &*xdp.bytes(&chunk)), (socket, want));
        xdp.release(chunk);
        Some(())
    });
}

/// A kernel socket that sends back what it hears, until the peer closes. Gives how much that was.
fn echo(veth: &Veth) -> (SocketAddr, std::thread::JoinHandle<u64>) {
    let listener = veth
        .theirs
        .run(|| TcpListener::bind((Veth::THEIRS, 0)).unwrap());
    let at = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut buffer = vec![0; 64 << 10];
        let mut count = 0;
        loop {
            let len = stream.read(&mut buffer).unwrap();
            if len == 0 {
                return count;
            }
            stream.write_all(&buffer[..len]).unwrap();
            count += len as u64;
        }
    });
    (at, thread)
}

/// Turns while somebody else waits for the other end: what a turn owes leaves with the next.
fn while_turning<R: Send>(xdp: &mut Xdp, wait: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        let waiter = scope.spawn(wait);
        while !waiter.is_finished() {
            xdp.poll(clock::unix_now());
            std::thread::yield_now();
        }
        waiter.join().unwrap()
    })
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 251) as u8).collect()
}

/// A stream there and back, whole and in order, in both modes; then a close that both sides understand.
#[test]
fn a_stream_to_the_kernel_and_back() {
    for mode in MODES {
        let Some(veth) = cable() else {
            return;
        };
        let (peer, server) = echo(&veth);
        let sent = text(4 << 20);
        let echoed = &sent;
        veth.ours.run(move || {
            let mut xdp = open(mode);
            let socket = connect(&mut xdp, peer);
            let mut written = 0;
            let mut got = 0;
            let start = Instant::now();
            while got < echoed.len() {
                assert!(
                    start.elapsed() < PATIENCE,
                    "{got} of {} in {PATIENCE:?}: {xdp:?}",
                    echoed.len()
                );
                let piece = &echoed[written..(written + 1_400).min(echoed.len())];
                if !piece.is_empty() && xdp.send(socket, piece).is_ok() {
                    written += piece.len();
                }
                xdp.poll(clock::unix_now());
                while let Some(ready) = xdp.next() {
                    let Ready::Bytes(_, chunk) = ready else {
                        panic!("{ready:?}")
                    };
                    let bytes = xdp.bytes(&chunk);
                    let len = bytes.len();
                    assert!(*bytes == echoed[got..got + len], "wrong bytes at {got}");
                    got += len;
                    xdp.release(chunk);
                }
            }
            let mib_s = 8.0 / start.elapsed().as_secs_f64();
            let counters = *xdp.connection(socket).unwrap().counters();
            println!(
                "{mode}: {mib_s:.0} MiB/s both ways together; {:?}; {counters:?}",
                xdp.counters()
            );
            xdp.close(socket);
            while_turning(&mut xdp, || {
                assert_eq!(server.join().unwrap(), echoed.len() as u64);
            });
        });
    }
}

/// Ends as the kernel tells them: nobody listens there; the peer hangs up; the peer aborts.
#[test]
fn the_kernels_ends_are_ours() {
    let Some(veth) = cable() else {
        return;
    };
    let listener = veth
        .theirs
        .run(|| TcpListener::bind((Veth::THEIRS, 0)).unwrap());
    let peer = listener.local_addr().unwrap();
    let nobody = SocketAddr::from((Veth::THEIRS, 9));
    let unknown = SocketAddr::from(([10, 77, 0, 99], 443));
    veth.ours.run(move || {
        let mut xdp = open(XdpMode::CopyGeneric);
        let socket = xdp.open(nobody).unwrap();
        assert_eq!(
            closed(&mut xdp, socket),
            CloseReason::Os(libc::ECONNREFUSED)
        );
        let socket = xdp.open(unknown).unwrap();
        assert_eq!(
            closed(&mut xdp, socket),
            CloseReason::Os(libc::EHOSTUNREACH)
        );

        let socket = connect(&mut xdp, peer);
        let (mut stream, _) = while_turning(&mut xdp, || listener.accept().unwrap());
        stream.write_all(b"goodbye").unwrap();
        drop(stream);
        assert_eq!(closed(&mut xdp, socket), CloseReason::Peer);

        let socket = connect(&mut xdp, peer);
        let (stream, _) = while_turning(&mut xdp, || listener.accept().unwrap());
        xdp.send(socket, b"never read").unwrap();
        while_turning(&mut xdp, || stream.peek(&mut [0; 1]).unwrap());
        // Closed with bytes unread: the kernel resets.
        drop(stream);
        assert_eq!(closed(&mut xdp, socket), CloseReason::Os(libc::ECONNRESET));
    });
}

/// The cable is pulled and put back: the connection goes on, nothing is lost. Another MTU ends it, and the
/// next one works.
#[test]
fn a_pulled_cable_costs_no_connection_and_another_mtu_one() {
    let Some(veth) = cable() else {
        return;
    };
    let (peer, server) = echo(&veth);
    let again = veth
        .theirs
        .run(|| TcpListener::bind((Veth::THEIRS, 0)).unwrap());
    let next = again.local_addr().unwrap();
    let place = &veth;
    veth.ours.run(move || {
        let mut xdp = open(XdpMode::CopyGeneric);
        let socket = connect(&mut xdp, peer);
        place.theirs.ip("link set veth0 down").unwrap();
        xdp.send(socket, b"order").unwrap();
        let dark = Instant::now();
        while dark.elapsed() < Duration::from_millis(300) {
            xdp.poll(clock::unix_now());
            assert!(
                xdp.next().is_none(),
                "something came through a pulled cable"
            );
            std::thread::yield_now();
        }
        place.theirs.ip("link set veth0 up").unwrap();
        heard(&mut xdp, socket, b"order");
        assert!(xdp.connection(socket).unwrap().counters().retransmits > 0);
        place.ours.ip("link set veth0 mtu 1200").unwrap();
        assert_eq!(closed(&mut xdp, socket), CloseReason::Os(libc::ENETRESET));
        assert_eq!(xdp.counters().changes, 1);
        let socket = connect(&mut xdp, next);
        let (mut stream, _) = while_turning(&mut xdp, || again.accept().unwrap());
        stream.write_all(b"hello").unwrap();
        heard(&mut xdp, socket, b"hello");
        assert!(xdp.connection(socket).unwrap().segment_max() <= 1_160);
    });
    // Its connection was reset or closed by the change: it has heard the order either way.
    drop(server);
}

/// A route's MTU is the connection's, not only the card's.
#[test]
fn a_routes_mtu_is_kept() {
    let Some(veth) = cable() else {
        return;
    };
    let (peer, server) = echo(&veth);
    let place = &veth;
    veth.ours.run(move || {
        let narrow = format!("route add {}/32 dev veth0 mtu 1400", Veth::THEIRS);
        place.ours.ip(&narrow).unwrap();
        let mut xdp = open(XdpMode::CopyGeneric);
        let socket = connect(&mut xdp, peer);
        assert_eq!(xdp.connection(socket).unwrap().segment_max(), 1_360);
        xdp.close(socket);
        while_turning(&mut xdp, || assert_eq!(server.join().unwrap(), 0));
    });
}

/// Another address of ours takes the place of the first: connections from that one end, the next ones come from
/// where we are now, and their frames come to us.
#[test]
fn another_address_of_ours_is_followed() {
    let Some(veth) = cable() else {
        return;
    };
    let (peer, _server) = echo(&veth);
    let again = veth
        .theirs
        .run(|| TcpListener::bind((Veth::THEIRS, 0)).unwrap());
    let next = again.local_addr().unwrap();
    let place = &veth;
    veth.ours.run(move || {
        let (mut xdp, steering) = open_steered(XdpMode::CopyGeneric);
        let socket = connect(&mut xdp, peer);
        // A second one changes nothing.
        place.ours.ip("addr add 10.77.0.7/24 dev veth0").unwrap();
        xdp.send(socket, b"order").unwrap();
        heard(&mut xdp, socket, b"order");
        place
            .ours
            .run(|| std::fs::write("/proc/sys/net/ipv4/conf/veth0/promote_secondaries", "1"))
            .unwrap();
        place.ours.ip("addr del 10.77.0.1/24 dev veth0").unwrap();
        assert_eq!(closed(&mut xdp, socket), CloseReason::Os(libc::ENETRESET));
        let socket = connect(&mut xdp, next);
        let (stream, from) = while_turning(&mut xdp, || again.accept().unwrap());
        assert_eq!(from.ip(), std::net::Ipv4Addr::new(10, 77, 0, 7));
        let flow = |local| {
            let SocketAddr::V4(venue) = next else {
                panic!("{next}")
            };
            steering.counters(Flow { venue, local })
        };
        assert!(flow(std::net::Ipv4Addr::new(10, 77, 0, 7)).unwrap().steered > 0);
        assert_eq!(flow(Veth::OURS), None);
        drop(stream);
        turn(&mut xdp, "the end", |_, ready| {
            (ready == Ready::Closed(socket, CloseReason::Peer)).then_some(())
        });
    });
}

/// Longer than a farewell takes, TIME-WAIT and all.
const LINGER: Duration = Duration::from_secs(1);

/// A flow is steered beyond its last connection's farewell, until enough others are idle too: more addresses than
/// the program can steer at once come and go, and the kernel never has a frame to answer with a reset.
#[test]
fn addresses_come_and_go() {
    let Some(veth) = cable() else {
        return;
    };
    let (peer, server) = echo(&veth);
    veth.ours.run(move || {
        let (mut xdp, steering) = open_steered(XdpMode::CopyGeneric);
        let pass = |xdp: &mut Xdp, from: u16, count: u16| {
            for at in from..from + count {
                let passing = SocketAddr::from((Veth::THEIRS, at));
                let socket = xdp.open(passing).unwrap();
                xdp.close(socket);
            }
        };
        pass(&mut xdp, 10_000, FLOWS_MAX as u16 + 1);
        let SocketAddr::V4(venue) = peer else {
            panic!("{peer}")
        };
        let local = Veth::OURS;
        let flow = Flow { venue, local };
        let socket = connect(&mut xdp, peer);
        xdp.close(socket);
        let in_farewell = steering.counters(flow).expect("it says goodbye");
        assert!(in_farewell.steered > 0);
        // The peer has heard the end: its own FIN is on its way, and TIME-WAIT has begun or will.
        while_turning(&mut xdp, || assert_eq!(server.join().unwrap(), 0));
        let start = Instant::now();
        while start.elapsed() < LINGER {
            xdp.poll(clock::unix_now());
            std::thread::yield_now();
        }
        let last = steering
            .counters(flow)
            .expect("whoever goes on sending is still ours");
        assert_eq!((last.unclaimed, last.resets_held), (0, 0));
        pass(&mut xdp, 20_000, 100);
        assert!(steering.counters(flow).is_none(), "others have its place");
    });
}
