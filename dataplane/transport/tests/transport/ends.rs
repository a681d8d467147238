//! Every way a connection ends is told once, with the reason, and leaves nothing behind.

use crate::support::{Event, connect, connect_pair, drive, echo, listener, pattern, until_closed};
use dp_transport::{CloseReason, SOCKETS_MAX, SendError, TX_BYTES_MAX, Transport as _, Uring};
use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

#[test]
fn a_refused_connection_says_so_and_its_slot_is_free_again() {
    let free = listener().1;
    let mut uring = Uring::new().unwrap();
    for _ in 0..3 * SOCKETS_MAX {
        let socket = uring.open(free).unwrap();
        let refused = CloseReason::Os(libc::ECONNREFUSED);
        assert_eq!(until_closed(&mut uring, socket), (Vec::new(), refused));
    }
}

#[test]
fn the_peers_end_is_told_after_its_last_bytes() {
    let mut uring = Uring::new().unwrap();
    let (socket, mut peer) = connect_pair(&mut uring);
    let want = pattern(300_000, 1);
    let bytes = want.clone();
    let writer = std::thread::spawn(move || peer.write_all(&bytes).unwrap());
    let (got, reason) = until_closed(&mut uring, socket);
    writer.join().unwrap();
    assert_eq!(reason, CloseReason::Peer);
    assert!(got == want, "{} bytes", got.len());
    assert_eq!(uring.send(socket, b"x"), Err(SendError::NotConnected));
}

#[test]
fn a_half_close_ends_both_ways() {
    let mut uring = Uring::new().unwrap();
    let (socket, mut peer) = connect_pair(&mut uring);
    peer.write_all(b"bye").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let end = until_closed(&mut uring, socket);
    assert_eq!(end, (b"bye".to_vec(), CloseReason::Peer));
    peer.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0, "our end is closed too");
}

#[test]
fn a_reset_is_told_with_its_number() {
    let mut uring = Uring::new().unwrap();
    let (socket, peer) = connect_pair(&mut uring);
    let at_once = linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&peer, sockopt::Linger, &at_once).unwrap();
    drop(peer);
    let reset = CloseReason::Os(libc::ECONNRESET);
    assert_eq!(until_closed(&mut uring, socket), (Vec::new(), reset));
}

#[test]
fn a_closed_socket_is_reused_and_its_old_id_is_dead() {
    let mut uring = Uring::new().unwrap();
    let address = echo(200, 100);
    let mut old = None;
    for _ in 0..200 {
        let socket = connect(&mut uring, address);
        uring.send(socket, b"ping").unwrap();
        drive(
            &mut uring,
            |_, event| matches!(event, Event::Bytes(one, _) if one == socket),
        );
        uring.close(socket);
        uring.close(socket);
        if let Some(old) = old.replace(socket) {
            assert_eq!(uring.send(old, b"x"), Err(SendError::NotConnected));
            uring.close(old);
        }
    }
}

#[test]
fn closing_says_goodbye_and_nothing_more_is_told() {
    let mut uring = Uring::new().unwrap();
    let (socket, mut peer) = connect_pair(&mut uring);
    peer.write_all(&vec![1; 100_000]).unwrap();
    uring.send(socket, b"last words").unwrap();
    uring.poll(dp_types::UnixNanos(1));
    uring.close(socket);
    for now in 0..20 {
        assert_eq!(uring.poll(dp_types::UnixNanos(now)), 0);
        uring.park(1_000_000);
    }
    peer.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut words = [0; 10];
    peer.read_exact(&mut words).unwrap();
    assert_eq!(&words, b"last words");
}

#[test]
fn a_connect_is_given_up_and_its_slot_is_free_again() {
    // A listener whose queue is full: further handshakes get no answer.
    let (listener, address) = listener();
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let _first = std::net::TcpStream::connect(address).unwrap();
    let mut uring = Uring::new().unwrap();
    for _ in 0..3 * SOCKETS_MAX {
        let socket = uring.open(address).unwrap();
        assert_eq!(uring.send(socket, b"x"), Err(SendError::NotConnected));
        uring.close(socket);
        uring.poll(dp_types::UnixNanos(1));
    }
}

#[test]
fn dropping_it_with_everything_in_flight_ends_every_connection_at_once() {
    for _ in 0..5 {
        let mut uring = Uring::new().unwrap();
        let mut peers = Vec::new();
        for _ in 0..8 {
            let (socket, mut peer) = connect_pair(&mut uring);
            peer.write_all(&vec![7; 50_000]).unwrap();
            let message = vec![1; TX_BYTES_MAX / 4];
            while uring.send(socket, &message).is_ok() {}
            peers.push(peer);
        }
        let start = Instant::now();
        drop(uring);
        // Well under the second after which it would give up and leak.
        assert!(
            start.elapsed() < Duration::from_millis(800),
            "{:?}",
            start.elapsed()
        );
        for mut peer in peers {
            peer.set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            let end = peer.read_to_end(&mut Vec::new());
            let kind = end.map_err(|error| error.kind());
            let is_over = matches!(kind, Ok(_) | Err(std::io::ErrorKind::ConnectionReset));
            assert!(is_over, "{kind:?}");
        }
    }
}
