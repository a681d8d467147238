//! Round trips of 200 bytes over loopback TCP: `Uring` spun, against a bare `recv`/`send` spin on one
//! socket, against the same echo server, which spins too. Informative only: it says what the machine did
//! meanwhile, and gates nothing.
//!
//! `cargo run --release -p dp-transport --example pingpong [rounds]`

use dp_transport::{Clock, Ready, Transport as _, Uring, clock, pin, tsc};
use dp_types::UnixNanos;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

const MESSAGE: [u8; 200] = [7; 200];
const WARM_UP: usize = 1_000;
/// The two are measured in turns, so that a busy moment of the machine hits both.
const TURNS: usize = 10;

fn main() {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let rounds: usize = rounds.unwrap_or(20_000) / TURNS;
    let address = spinning_echo();
    if let Err(error) = pin(0) {
        println!("not pinned: {error}");
    }
    println!("load before: {}", load());
    let clock = Clock::calibrate(50);
    let mut uring = OverUring::connect(address);
    let mut plain = OverRecv::connect(address);
    let (mut by_uring, mut by_recv) = (Vec::new(), Vec::new());
    (0..WARM_UP).for_each(|_| {
        uring.round_trip();
        plain.round_trip();
    });
    for _ in 0..TURNS {
        by_uring.extend((0..rounds).map(|_| uring.round_trip()));
        by_recv.extend((0..rounds).map(|_| plain.round_trip()));
    }
    println!("load after:  {}", load());
    report("uring-spin", &clock, by_uring);
    report("recv-spin", &clock, by_recv);
}

/// An echo server on the other core that never sleeps, over all its connections.
fn spinning_echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let address = listener.local_addr().expect("its address");
    listener.set_nonblocking(true).expect("non-blocking");
    std::thread::spawn(move || {
        if let Err(error) = pin(1) {
            println!("echo not pinned: {error}");
        }
        let (mut streams, mut buffer) = (Vec::<TcpStream>::new(), [0; 4096]);
        loop {
            // Looked at only until both clients are there: it costs a system call.
            if streams.len() < 2
                && let Ok((stream, _)) = listener.accept()
            {
                stream.set_nonblocking(true).expect("non-blocking");
                stream.set_nodelay(true).expect("no delay");
                streams.push(stream);
            }
            for stream in &mut streams {
                if let Ok(count @ 1..) = stream.read(&mut buffer) {
                    let _ = stream.write_all(&buffer[..count]);
                }
            }
        }
    });
    address
}

struct OverUring {
    uring: Uring,
    socket: dp_transport::Socket,
}

impl OverUring {
    fn connect(address: SocketAddr) -> Self {
        let mut uring = Uring::new().expect("io_uring");
        println!("buffers on: {:?}", uring.pages());
        let socket = uring.open(address).expect("a socket");
        while uring.next() != Some(Ready::Connected(socket)) {
            uring.poll(clock::unix_now());
        }
        Self { uring, socket }
    }

    /// Cycles of one round trip.
    fn round_trip(&mut self) -> u64 {
        let start = tsc();
        self.uring.send(self.socket, &MESSAGE).expect("connected");
        let mut got = 0;
        while got < MESSAGE.len() {
            self.uring.poll(UnixNanos(1));
            while let Some(ready) = self.uring.next() {
                let Ready::Bytes(_, chunk) = ready else {
                    panic!("the echo server is gone")
                };
                got += self.uring.bytes(&chunk).len();
                self.uring.release(chunk);
            }
        }
        tsc().since(start)
    }
}

struct OverRecv(TcpStream);

impl OverRecv {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        stream.set_nonblocking(true).expect("non-blocking");
        Self(stream)
    }

    /// Cycles of one round trip.
    fn round_trip(&mut self) -> u64 {
        let start = tsc();
        self.0.write_all(&MESSAGE).expect("connected");
        let (mut got, mut buffer) = (0, [0; 4096]);
        while got < MESSAGE.len() {
            match self.0.read(&mut buffer) {
                Ok(count) => got += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
        tsc().since(start)
    }
}

fn report(name: &str, clock: &Clock, mut cycles: Vec<u64>) {
    cycles.sort_unstable();
    let at = |per_mille: usize| {
        let index = (cycles.len() * per_mille / 1_000).min(cycles.len().saturating_sub(1));
        clock.cycles_to_ns(cycles.get(index).copied().unwrap_or(0))
    };
    let (min, p50, p99, p999, max) = (at(0), at(500), at(990), at(999), at(1_000));
    println!(
        "{name:>10}: n {}  min {min}  p50 {p50}  p99 {p99}  p99.9 {p999}  max {max}  ns",
        cycles.len()
    );
}

/// What else the machine does: load averages and runnable tasks.
fn load() -> String {
    std::fs::read_to_string("/proc/loadavg")
        .unwrap_or_default()
        .trim()
        .to_owned()
}
