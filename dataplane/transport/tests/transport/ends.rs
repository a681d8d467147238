//! Every way a connection ends is told once, with the reason, and leaves nothing behind.

use crate::support::{
    Event, Made, connect, connect_pair, drive, echo, listener, pattern, until_closed,
};
use dp_transport::{CloseReason, SOCKETS_MAX, SendError, TX_BYTES_MAX};
use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

fn a_refused_connection_says_so_and_its_slot_is_free_again<T: Made>() {
    let free = listener().1;
    let mut transport = T::made();
    for _ in 0..3 * SOCKETS_MAX {
        let socket = transport.open(free).unwrap();
        let refused = CloseReason::Os(libc::ECONNREFUSED);
        assert_eq!(until_closed(&mut transport, socket), (Vec::new(), refused));
    }
}

fn the_peers_end_is_told_after_its_last_bytes<T: Made>() {
    let mut transport = T::made();
    let (socket, mut peer) = connect_pair(&mut transport);
    let want = pattern(300_000, 1);
    let bytes = want.clone();
    let writer = std::thread::spawn(move || peer.write_all(&bytes).unwrap());
    let (got, reason) = until_closed(&mut transport, socket);
    writer.join().unwrap();
    assert_eq!(reason, CloseReason::Peer);
    assert!(got == want, "{} bytes", got.len());
    assert_eq!(transport.room(socket), 0);
    assert_eq!(transport.send(socket, b"x"), Err(SendError::NotConnected));
}

fn a_half_close_ends_both_ways<T: Made>() {
    let mut transport = T::made();
    let (socket, mut peer) = connect_pair(&mut transport);
    peer.write_all(b"bye").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let end = until_closed(&mut transport, socket);
    assert_eq!(end, (b"bye".to_vec(), CloseReason::Peer));
    peer.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0, "our end is closed too");
}

fn a_reset_is_told_with_its_number<T: Made>() {
    let mut transport = T::made();
    let (socket, peer) = connect_pair(&mut transport);
    let at_once = linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&peer, sockopt::Linger, &at_once).unwrap();
    drop(peer);
    let reset = CloseReason::Os(libc::ECONNRESET);
    assert_eq!(until_closed(&mut transport, socket), (Vec::new(), reset));
}

fn a_closed_socket_is_reused_and_its_old_id_is_dead<T: Made>() {
    let mut transport = T::made();
    let address = echo(200, 100);
    let mut old = None;
    for _ in 0..200 {
        let socket = connect(&mut transport, address);
        transport.send(socket, b"ping").unwrap();
        drive(
            &mut transport,
            |_, event| matches!(event, Event::Bytes(one, _) if one == socket),
        );
        transport.close(socket);
        transport.close(socket);
        if let Some(old) = old.replace(socket) {
            assert_eq!(transport.send(old, b"x"), Err(SendError::NotConnected));
            transport.close(old);
        }
    }
}

fn closing_says_goodbye_and_nothing_more_is_told<T: Made>() {
    let mut transport = T::made();
    let (socket, mut peer) = connect_pair(&mut transport);
    peer.write_all(&vec![1; 100_000]).unwrap();
    transport.send(socket, b"last words").unwrap();
    transport.poll(dp_types::UnixNanos(1));
    transport.close(socket);
    for now in 0..20 {
        assert_eq!(transport.poll(dp_types::UnixNanos(now)), 0);
        transport.park(1_000_000);
    }
    peer.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut words = [0; 10];
    peer.read_exact(&mut words).unwrap();
    assert_eq!(&words, b"last words");
}

fn a_connect_is_given_up_and_its_slot_is_free_again<T: Made>() {
    // A listener whose queue is full: further handshakes get no answer.
    let (listener, address) = listener();
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let _first = std::net::TcpStream::connect(address).unwrap();
    let mut transport = T::made();
    for _ in 0..3 * SOCKETS_MAX {
        let socket = transport.open(address).unwrap();
        assert_eq!(transport.send(socket, b"x"), Err(SendError::NotConnected));
        transport.close(socket);
        transport.poll(dp_types::UnixNanos(1));
    }
}

fn dropping_it_with_everything_in_flight_ends_every_connection_at_once<T: Made>() {
    for _ in 0..5 {
        let mut transport = T::made();
        let mut peers = Vec::new();
        for _ in 0..8 {
            let (socket, mut peer) = connect_pair(&mut transport);
            peer.write_all(&vec![7; 50_000]).unwrap();
            let message = vec![1; TX_BYTES_MAX / 4];
            while transport.send(socket, &message).is_ok() {}
            peers.push(peer);
        }
        let start = Instant::now();
        drop(transport);
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

both!(
    a_refused_connection_says_so_and_its_slot_is_free_again,
    the_peers_end_is_told_after_its_last_bytes,
    a_half_close_ends_both_ways,
    a_reset_is_told_with_its_number,
    a_closed_socket_is_reused_and_its_old_id_is_dead,
    closing_says_goodbye_and_nothing_more_is_told,
    a_connect_is_given_up_and_its_slot_is_free_again,
    dropping_it_with_everything_in_flight_ends_every_connection_at_once,
);
