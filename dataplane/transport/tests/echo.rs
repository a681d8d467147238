//! io_uring against the kernel's own sockets: bytes exact both ways, ends told, nothing leaks.

use dp_transport::{CloseReason, Ready, SendError, Socket, TX_BYTES_MAX, Transport, Uring, clock};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// An echo server for `connections` clients, in a thread that ends with them.
fn echo(connections: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

/// Runs the transport until `stop` says so; every received byte goes to `on`.
fn drive(uring: &mut Uring, mut on: impl FnMut(&mut Uring, Event) -> bool) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        uring.poll(clock::unix_now());
        let mut is_done = false;
        while let Some(ready) = uring.next() {
            is_done |= match ready {
                Ready::Connected(socket) => on(uring, Event::Connected(socket)),
                Ready::Closed(socket, reason) => on(uring, Event::Closed(socket, reason)),
                Ready::Bytes(socket, chunk) => {
                    let bytes = uring.bytes(&chunk).to_vec();
                    uring.release(chunk);
                    on(uring, Event::Bytes(socket, bytes))
                }
            };
        }
        if is_done {
            return;
        }
        uring.park(10_000_000);
    }
    panic!("not within 20 s");
}

#[derive(Debug)]
enum Event {
    Connected(Socket),
    Bytes(Socket, Vec<u8>),
    Closed(Socket, CloseReason),
}

fn connect(uring: &mut Uring, address: SocketAddr) -> Socket {
    let wanted = uring.open(address).unwrap();
    drive(
        uring,
        |_, event| matches!(event, Event::Connected(socket) if socket == wanted),
    );
    wanted
}

/// Bytes that differ from their neighbours, so that a lost or doubled piece shows.
fn pattern(len: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

#[test]
fn ten_megabytes_come_back_exact() {
    let mut uring = Uring::new().unwrap();
    let address = echo(1);
    let socket = connect(&mut uring, address);
    let want = pattern(10 << 20);
    let (mut offered, mut got) = (0, Vec::new());
    let mut pieces = [1usize, 7, 200, 4096, 70_000].iter().cycle();
    let mut feed = |uring: &mut Uring, offered: &mut usize| {
        while *offered < want.len() {
            let end = (*offered + pieces.next().unwrap()).min(want.len());
            match uring.send(socket, &want[*offered..end]) {
                Ok(()) => *offered = end,
                Err(SendError::Full) => break,
                Err(error) => panic!("{error}"),
            }
        }
    };
    feed(&mut uring, &mut offered);
    drive(&mut uring, |uring, event| {
        if let Event::Bytes(_, bytes) = event {
            got.extend_from_slice(&bytes);
        }
        feed(uring, &mut offered);
        got.len() >= want.len()
    });
    assert!(got == want, "{} of {} bytes", got.len(), want.len());
}

#[test]
fn many_sockets_do_not_mix() {
    let mut uring = Uring::new().unwrap();
    let address = echo(40);
    let sockets: Vec<Socket> = (0..40).map(|_| connect(&mut uring, address)).collect();
    for (at, socket) in sockets.iter().enumerate() {
        uring.send(*socket, &[at as u8; 100]).unwrap();
    }
    let mut got = vec![0; sockets.len()];
    drive(&mut uring, |_, event| {
        if let Event::Bytes(socket, bytes) = event {
            let at = sockets.iter().position(|one| *one == socket).unwrap();
            assert!(bytes.iter().all(|byte| *byte == at as u8));
            got[at] += bytes.len();
        }
        got.iter().all(|count| *count == 100)
    });
}

#[test]
fn a_refused_connection_says_so_and_its_slot_is_free_again() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut uring = Uring::new().unwrap();
    for _ in 0..3 * dp_transport::SOCKETS_MAX {
        let wanted = uring.open(free).unwrap();
        drive(&mut uring, |_, event| match event {
            Event::Closed(socket, reason) => {
                assert_eq!(
                    (socket, reason),
                    (wanted, CloseReason::Os(libc::ECONNREFUSED))
                );
                true
            }
            _ => false,
        });
    }
}

#[test]
fn the_peers_end_is_told_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"bye").unwrap();
    });
    let mut uring = Uring::new().unwrap();
    let socket = connect(&mut uring, address);
    let (mut got, mut ends) = (Vec::new(), 0);
    drive(&mut uring, |_, event| {
        match event {
            Event::Bytes(_, bytes) => got.extend(bytes),
            Event::Closed(closed, reason) => {
                assert_eq!((closed, reason), (socket, CloseReason::Peer));
                ends += 1;
            }
            Event::Connected(_) => {}
        }
        ends > 0
    });
    assert_eq!(got, b"bye");
    assert_eq!(uring.send(socket, b"x"), Err(SendError::NotConnected));
}

#[test]
fn a_peer_that_does_not_read_fills_the_buffer_and_nothing_blocks() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut uring = Uring::new().unwrap();
    let socket = connect(&mut uring, address);
    let _held = listener.accept().unwrap();
    let start = Instant::now();
    let mut taken = 0usize;
    while uring.send(socket, &[0; 4096]).is_ok() {
        taken += 4096;
        uring.poll(clock::unix_now());
        assert!(taken < 64 << 20);
    }
    assert!(taken >= TX_BYTES_MAX - 4096);
    assert!(start.elapsed() < Duration::from_secs(5));
    uring.close(socket);
    assert_eq!(uring.send(socket, b"x"), Err(SendError::NotConnected));
}

#[test]
fn a_closed_socket_is_reused_and_its_old_id_is_dead() {
    let mut uring = Uring::new().unwrap();
    let address = echo(300);
    let mut old = None;
    for _ in 0..200 {
        let socket = connect(&mut uring, address);
        uring.send(socket, b"ping").unwrap();
        drive(
            &mut uring,
            |_, event| matches!(event, Event::Bytes(one, _) if one == socket),
        );
        uring.close(socket);
        if let Some(old) = old.replace(socket) {
            assert_eq!(uring.send(old, b"x"), Err(SendError::NotConnected));
        }
    }
}

#[test]
fn a_parked_lane_sleeps() {
    let mut uring = Uring::new().unwrap();
    let cpu = || {
        let usage =
            nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_THREAD).unwrap();
        let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
        micros(usage.user_time()) + micros(usage.system_time())
    };
    let (start, before) = (Instant::now(), cpu());
    for _ in 0..10 {
        uring.poll(clock::unix_now());
        uring.park(20_000_000);
    }
    assert!(start.elapsed() >= Duration::from_millis(190));
    assert!(cpu() - before < 50_000, "{} us", cpu() - before);
}
