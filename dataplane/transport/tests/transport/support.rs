//! Peers, and a way to turn the transport until something happened.

use dp_transport::{CloseReason, Ready, Socket, Transport, Uring, clock};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A listener on a free port.
pub fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An echo server for `connections` clients, in threads that end with them. Each reads in pieces of
/// random sizes up to `piece_max`.
pub fn echo(connections: usize, piece_max: usize) -> SocketAddr {
    let (listener, address) = listener();
    std::thread::spawn(move || {
        for seed in 0..connections {
            let (mut stream, _) = listener.accept().unwrap();
            std::thread::spawn(move || {
                let (mut buffer, mut random) = (vec![0; piece_max], Random::new(seed as u64));
                loop {
                    let len = random.below(piece_max) + 1;
                    let Ok(count @ 1..) = stream.read(&mut buffer[..len]) else {
                        break;
                    };
                    if stream.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

/// What a test is told.
#[derive(Debug)]
pub enum Event {
    Connected(Socket),
    Bytes(Socket, Vec<u8>),
    Closed(Socket, CloseReason),
}

/// Runs the transport until `on` returns true; every received byte goes to it.
pub fn drive(uring: &mut Uring, mut on: impl FnMut(&mut Uring, Event) -> bool) {
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

/// Opens a connection and waits until it stands.
pub fn connect(uring: &mut Uring, address: SocketAddr) -> Socket {
    let wanted = uring.open(address).unwrap();
    drive(
        uring,
        |_, event| matches!(event, Event::Connected(socket) if socket == wanted),
    );
    wanted
}

/// A connection and the peer's end of it.
pub fn connect_pair(uring: &mut Uring) -> (Socket, TcpStream) {
    let (listener, address) = listener();
    let socket = connect(uring, address);
    (socket, listener.accept().unwrap().0)
}

/// Waits for the end of `wanted`; says what came before it.
pub fn until_closed(uring: &mut Uring, wanted: Socket) -> (Vec<u8>, CloseReason) {
    let (mut got, mut end) = (Vec::new(), None);
    drive(uring, |_, event| {
        match event {
            Event::Bytes(socket, bytes) if socket == wanted => got.extend(bytes),
            Event::Closed(socket, reason) if socket == wanted => {
                assert_eq!(end.replace(reason), None, "told twice");
            }
            other => panic!("{other:?}"),
        }
        end.is_some()
    });
    (got, end.unwrap())
}

/// CPU time of this thread, microseconds.
pub fn cpu_us() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    let micros = |time: TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    micros(usage.user_time()) + micros(usage.system_time())
}

/// CPU time of ten parks of 20 ms in which nothing may happen, microseconds.
pub fn cpu_us_of_idle(uring: &mut Uring) -> i64 {
    let (start, before) = (Instant::now(), cpu_us());
    for _ in 0..10 {
        assert_eq!(uring.poll(clock::unix_now()), 0);
        uring.park(20_000_000);
    }
    let elapsed = start.elapsed();
    assert!(
        elapsed >= Duration::from_millis(190),
        "{elapsed:?}: it did not sleep"
    );
    cpu_us() - before
}

/// xorshift64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// Bytes that differ from their neighbours, so that a lost or doubled piece shows.
pub fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.below(256) as u8).collect()
}
