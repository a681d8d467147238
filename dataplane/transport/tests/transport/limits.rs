//! What is bounded says so, waits without burning the core, and goes on when there is room again.

use crate::support::{Event, Made, connect_pair, cpu_us_of_idle, drive, listener, pattern};
use dp_transport::{
    Chunk, Mem, OpenError, Ready, SOCKETS_MAX, SendError, TX_BYTES_MAX, Transport as _, clock,
};
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

/// CPU time a lane may take in 200 ms asleep, microseconds.
const IDLE_CPU_US_MAX: i64 = 20_000;

fn a_peer_that_does_not_read_fills_the_buffer_and_all_arrives_when_it_does<T: Made>() {
    let mut transport = T::made();
    let (socket, mut peer) = connect_pair(&mut transport);
    let want = pattern(64 << 20, 3);
    let (start, mut taken, mut fulls) = (Instant::now(), 0, 0);
    // Full for good, not only until the kernel has taken what is in flight.
    while fulls < 300 {
        match transport.send(socket, &want[taken..taken + 4_321]) {
            Ok(()) => (taken, fulls) = (taken + 4_321, 0),
            Err(SendError::Full) => {
                assert!(transport.room(socket) < 4_321, "it refuses what has room");
                fulls += 1;
                transport.park(1_000_000);
            }
            Err(error) => panic!("{error}"),
        }
        transport.poll(clock::unix_now());
    }
    assert!(taken > TX_BYTES_MAX - 4_321 && start.elapsed() < Duration::from_secs(10));
    let cpu = cpu_us_of_idle(&mut transport);
    assert!(cpu < IDLE_CPU_US_MAX, "{cpu} us waiting for the peer");
    let reader = std::thread::spawn(move || {
        let mut got = vec![0; taken];
        peer.read_exact(&mut got).map(|()| got)
    });
    while !reader.is_finished() {
        transport.poll(clock::unix_now());
        transport.park(1_000_000);
    }
    assert!(
        reader.join().unwrap().unwrap() == want[..taken],
        "{taken} bytes"
    );
}

fn a_message_larger_than_the_buffer_is_refused_whole<T: Made>() {
    let mut transport = T::made();
    let (socket, _peer) = connect_pair(&mut transport);
    let bytes = vec![0; TX_BYTES_MAX + 1];
    assert_eq!(transport.room(socket), TX_BYTES_MAX);
    assert_eq!(transport.send(socket, &bytes), Err(SendError::Full));
    assert_eq!(transport.send(socket, &[]), Ok(()));
    assert_eq!(transport.send(socket, &bytes[1..]), Ok(()));
}

fn without_chunks_bytes_wait_in_the_socket_and_the_lane_sleeps<T: Made>() {
    let mut transport = T::made();
    let (socket, mut peer) = connect_pair(&mut transport);
    let want = pattern(40 << 20, 9);
    let bytes = want.clone();
    let writer = std::thread::spawn(move || {
        peer.write_all(&bytes).unwrap();
        peer
    });
    // Takes chunks and gives none back, until no more come.
    let (mut held, mut quiet) = (Vec::<Chunk>::new(), Instant::now());
    while quiet.elapsed() < Duration::from_millis(300) {
        transport.poll(clock::unix_now());
        while let Some(ready) = transport.next() {
            let Ready::Bytes(_, chunk) = ready else {
                panic!("{ready:?}")
            };
            held.push(chunk);
            quiet = Instant::now();
        }
        transport.park(5_000_000);
    }
    assert!(!writer.is_finished(), "the peer must be held back");
    let cpu = cpu_us_of_idle(&mut transport);
    assert!(cpu < IDLE_CPU_US_MAX, "{cpu} us out of chunks");
    let mut got = Vec::new();
    for chunk in held {
        got.extend_from_slice(transport.bytes(&chunk));
        transport.release(chunk);
    }
    drive(&mut transport, |_, event| {
        match event {
            Event::Bytes(one, bytes) if one == socket => got.extend_from_slice(&bytes),
            other => panic!("{other:?}"),
        }
        got.len() >= want.len()
    });
    assert!(got == want, "{} bytes", got.len());
    drop(writer.join().unwrap());
}

fn there_is_an_end_of_sockets<T: Made>() {
    let (_listener, address) = listener();
    let mut transport = T::made();
    let sockets: Vec<_> = (0..SOCKETS_MAX)
        .map(|_| transport.open(address).unwrap())
        .collect();
    assert_eq!(transport.open(address), Err(OpenError::TooMany));
    transport.close(sockets[5]);
    let start = Instant::now();
    while transport.open(address).is_err() {
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "its slot does not come back"
        );
        transport.poll(clock::unix_now());
    }
}

fn a_chunk_of_another_transport_reaches_nothing<T: Made>() {
    let mut mem = Mem::new();
    let socket = mem.open("127.0.0.1:1".parse().unwrap()).unwrap();
    assert_eq!(mem.deliver(socket, b"abc"), 3);
    mem.next();
    let Some(Ready::Bytes(_, chunk)) = mem.next() else {
        panic!("no bytes")
    };
    let mut transport = T::made();
    assert!(transport.bytes(&chunk).is_empty());
    transport.release(chunk);
    let (_socket, mut peer) = connect_pair(&mut transport);
    peer.write_all(b"still fine").unwrap();
    drive(
        &mut transport,
        |_, event| matches!(event, Event::Bytes(_, bytes) if bytes == b"still fine"),
    );
}

both!(
    a_peer_that_does_not_read_fills_the_buffer_and_all_arrives_when_it_does,
    a_message_larger_than_the_buffer_is_refused_whole,
    without_chunks_bytes_wait_in_the_socket_and_the_lane_sleeps,
    there_is_an_end_of_sockets,
    a_chunk_of_another_transport_reaches_nothing,
);
