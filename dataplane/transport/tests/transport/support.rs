//! Peers, and a way to turn the transport until something happened.

use dp_transport::{CloseReason, Ready, Socket, Sockets, Transport, Uring, clock};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A way over the kernel's TCP, as every test here takes it.
pub trait Made: Transport {
    /// One of its own.
    fn made() -> Self;
}

impl Made for Uring {
    fn made() -> Self {
        Self::new().unwrap()
    }
}

impl Made for Sockets {
    fn made() -> Self {
        Self::new().unwrap()
    }
}

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
pub fn drive<T: Transport>(transport: &mut T, mut on: impl FnMut(&mut T, Event) -> bool) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        transport.poll(clock::unix_now());
        let mut is_done = false;
        while let Some(ready) = transport.next() {
            is_done |= match ready {
                Ready::Connected(socket) => on(transport, Event::Connected(socket)),
                Ready::Closed(socket, reason) => on(transport, Event::Closed(socket, reason)),
                Ready::Bytes(socket, chunk) => {
                    let bytes = transport.bytes(&chunk).to_vec();
                    transport.release(chunk);
                    on(transport, Event::Bytes(socket, bytes))
                }
            };
        }
        if is_done {
            return;
        }
        transport.park(10_000_000);
    }
    panic!("not within 20 s");
}

/// Opens a connection and waits until it stands.
pub fn connect(transport: &mut impl Transport, address: SocketAddr) -> Socket {
    let wanted = transport.open(address).unwrap();
    drive(
        transport,
        |_, event| matches!(event, Event::Connected(socket) if socket == wanted),
    );
    wanted
}

/// A connection and the peer's end of it.
pub fn connect_pair(transport: &mut impl Transport) -> (Socket, TcpStream) {
    let (listener, address) = listener();
    let socket = connect(transport, address);
    (socket, listener.accept().unwrap().0)
}

/// Waits for the end of `wanted`; says what came before it.
pub fn until_closed(transport: &mut impl Transport, wanted: Socket) -> (Vec<u8>, CloseReason) {
    let (mut got, mut end) = (Vec::new(), None);
    drive(transport, |_, event| {
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
pub fn cpu_us_of_idle(transport: &mut impl Transport) -> i64 {
    let (start, before) = (Instant::now(), cpu_us());
    for _ in 0..10 {
        assert_eq!(transport.poll(clock::unix_now()), 0);
        transport.park(20_000_000);
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
