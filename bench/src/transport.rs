//! `transport`: round trips of 200 bytes over each transport, beside a bare `recv` spin on the same echo.
//!
//! The echo spins on the venue's core over plain sockets, so what differs between rows is our end alone.
//! AF_XDP joins as another [`Way`]; with it its echo, which must be bypassed too to be seen.

use crate::host::{Hiccups, Seats, Suffered};
use crate::stats::Samples;
use crate::summary::Summary;
use anyhow::{Context as _, bail};
use dp_transport::{Clock, Ready, Socket, Transport as _, Uring, clock, tsc};
use dp_types::UnixNanos;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

/// Round trips of one block: they share a window.
const BLOCK: usize = 200;
/// Longest message.
const BYTES_MAX: usize = 16_384;

/// What `transport` is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Round trips a transport.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(200..=10_000_000))]
    pub trips: u32,
    /// Bytes a message.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub bytes: u32,
    /// Core of our end.
    #[arg(long, default_value_t = 0)]
    pub client_core: usize,
    /// Core of the echo.
    #[arg(long, default_value_t = 1)]
    pub venue_core: usize,
}

/// One way to the echo and back.
trait Way {
    /// For the table.
    fn name(&self) -> String;
    /// One round trip. Errors: the echo is gone.
    fn round_trip(&mut self, message: &[u8]) -> anyhow::Result<()>;
}

/// A socket and two system calls: the floor.
struct Bare {
    stream: TcpStream,
    buffer: Box<[u8]>,
}

impl Way for Bare {
    fn name(&self) -> String {
        "recv spin (floor)".to_owned()
    }

    fn round_trip(&mut self, message: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(message)?;
        let mut got = 0;
        while got < message.len() {
            match self.stream.read(&mut self.buffer) {
                Ok(0) => bail!("the echo is gone"),
                Ok(count) => got += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The lane's transport, turned as the lane turns it.
struct OverUring {
    uring: Uring,
    socket: Socket,
}

impl OverUring {
    fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let mut uring = Uring::new()?;
        let socket = uring.open(address)?;
        loop {
            uring.poll(clock::unix_now());
            match uring.next() {
                Some(Ready::Connected(_)) => return Ok(Self { uring, socket }),
                Some(Ready::Closed(_, reason)) => bail!("the echo: {reason}"),
                _ => {}
            }
        }
    }
}

impl Way for OverUring {
    fn name(&self) -> String {
        format!("{} spin", self.uring.name())
    }

    fn round_trip(&mut self, message: &[u8]) -> anyhow::Result<()> {
        self.uring.send(self.socket, message)?;
        let mut got = 0;
        while got < message.len() {
            self.uring.poll(UnixNanos(1));
            while let Some(ready) = self.uring.next() {
                let Ready::Bytes(_, chunk) = ready else {
                    bail!("the echo is gone");
                };
                got += self.uring.bytes(&chunk).len();
                self.uring.release(chunk);
            }
        }
        Ok(())
    }
}

/// Echoes over all its connections, spinning, until told to stop.
fn echo(listener: &TcpListener, stop: &AtomicBool) -> std::io::Result<()> {
    let mut streams: Vec<TcpStream> = Vec::new();
    let mut buffer = vec![0; BYTES_MAX];
    let mut looks = 0u32;
    while !stop.load(Ordering::Relaxed) {
        looks = looks.wrapping_add(1);
        // Looked at seldom: it costs a system call.
        if looks.is_multiple_of(1_024)
            && let Ok((stream, _)) = listener.accept()
        {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        for stream in &mut streams {
            if let Ok(count @ 1..) = stream.read(&mut buffer) {
                stream.write_all(&buffer[..count])?;
            }
        }
    }
    Ok(())
}

/// Runs it. Errors: a transport that cannot be opened, an echo that ends.
pub fn run(args: &Args) -> anyhow::Result<Summary> {
    let clock = Clock::calibrate(100);
    let seats = Seats::find(args.client_core, args.venue_core);
    let listener = TcpListener::bind("127.0.0.1:0").context("a loopback port")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            seats.sit(seats.venue_core);
            echo(&listener, &stop)
        });
        let client = scope.spawn(|| {
            seats.sit(seats.client_core);
            let outcome = measure(args, &seats, address, clock);
            stop.store(true, Ordering::Relaxed);
            outcome
        });
        client
            .join()
            .unwrap_or_else(|_| bail!("the measuring thread panicked"))
    })
}

fn measure(
    args: &Args,
    seats: &Seats,
    address: SocketAddr,
    clock: Clock,
) -> anyhow::Result<Summary> {
    let mut hiccups = Hiccups::default();
    hiccups.look(&clock, 50_000_000);
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let mut bare = Bare {
        stream,
        buffer: vec![0; BYTES_MAX].into_boxed_slice(),
    };
    let mut uring = OverUring::open(address)?;
    let mut ways: [&mut dyn Way; 2] = [&mut bare, &mut uring];
    let message = vec![7; args.bytes as usize];
    let names = ways.iter().map(|way| (way.name(), Samples::default()));
    let mut all: Vec<(String, Samples)> = names.collect();
    let blocks = (args.trips as usize).div_ceil(BLOCK);
    // The first tenth warms both up.
    for block in 0..blocks + blocks.div_ceil(10) {
        for (at, way) in ways.iter_mut().enumerate() {
            let before = Suffered::own();
            let mut values = Vec::with_capacity(BLOCK);
            for _ in 0..BLOCK {
                let start = tsc();
                way.round_trip(&message)?;
                let ns = clock.cycles_to_ns(tsc().since(start));
                values.push((u32::try_from(ns).unwrap_or(u32::MAX).max(1), 0));
            }
            let is_clean = Suffered::own().since(before).switches == 0;
            if block >= blocks.div_ceil(10) {
                all[at].1.add_round(&[is_clean], values);
            }
        }
    }
    hiccups.look(&clock, 50_000_000);
    let mut summary = Summary::new("transport", clock.tsc_hz(), seats.clone(), hiccups);
    summary.add(&format!("round trip of {} bytes", args.bytes), &all);
    let note = "AF_XDP is not among the transports of this build";
    summary.notes.push(note.to_owned());
    Ok(summary)
}
