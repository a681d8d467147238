//! What the kernel's end does with its sockets; each runs on a thread in its namespace.

use crate::{PORT, address};
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{Read, Result, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Longest a socket waits for anything.
const PATIENCE: Duration = Duration::from_mins(1);

/// Octet `at` of a stream.
pub const fn octet(at: u64) -> u8 {
    (at.wrapping_mul(0x9e37_79b9) >> 11) as u8
}

/// What one end sends, and what it should hear.
#[derive(Debug, Clone, Copy)]
pub struct Bulk {
    /// Octets to send.
    pub send: u64,
    /// Octets to hear, then the end of the stream.
    pub hear: u64,
    /// Receive buffer and a pause before each reading: a window that closes.
    pub lazy: Option<(usize, Duration)>,
}

/// A listener of the namespace's address.
pub fn listen(host: u8) -> Result<TcpListener> {
    TcpListener::bind(SocketAddrV4::new(address(host), PORT))
}

/// Connects to the other host.
pub fn connect(host: u8) -> Result<TcpStream> {
    let remote = SocketAddr::from((address(host), PORT));
    TcpStream::connect_timeout(&remote, PATIENCE)
}

/// Takes one connection, sends and hears; returns how many octets came right.
pub fn serve_bulk(listener: &TcpListener, plan: Bulk) -> Result<u64> {
    if let Some((size, _)) = plan.lazy {
        setsockopt(listener, sockopt::RcvBuf, &size)?;
    }
    let (stream, _) = listener.accept()?;
    bulk(stream, plan)
}

/// Sends and hears at once; closes its side when all is sent.
pub fn bulk(stream: TcpStream, plan: Bulk) -> Result<u64> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut writer = stream.try_clone()?;
    let sender = std::thread::spawn(move || -> Result<()> {
        let mut at = 0;
        while at < plan.send {
            let len = (plan.send - at).min(16_000);
            let piece: Vec<u8> = (at..at + len).map(octet).collect();
            writer.write_all(&piece)?;
            at += len;
        }
        writer.shutdown(Shutdown::Write)
    });
    let mut stream = stream;
    let (mut heard, mut buffer) = (0, vec![0; 16_000]);
    loop {
        if let Some((_, pause)) = plan.lazy {
            std::thread::sleep(pause);
        }
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            break;
        }
        for found in &buffer[..len] {
            if *found != octet(heard) {
                return Err(std::io::Error::other(format!("octet {heard} is wrong")));
            }
            heard += 1;
        }
    }
    sender
        .join()
        .map_err(|_| std::io::Error::other("the sender died"))??;
    Ok(heard)
}

/// Sends back messages of `len` octets until the peer closes.
pub fn serve_echo(listener: &TcpListener, len: usize) -> Result<()> {
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut message = vec![0; len];
    while stream.read_exact(&mut message).is_ok() {
        stream.write_all(&message)?;
    }
    Ok(())
}

/// Sends `count` messages of `len` octets, each `gap` after the answer to the last; returns the round
/// trips in nanoseconds.
pub fn ping(mut stream: TcpStream, count: usize, len: usize, gap: Duration) -> Result<Vec<u64>> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut message = vec![7; len];
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let begin = Instant::now();
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        times.push(begin.elapsed().as_nanos() as u64);
        std::thread::sleep(gap);
    }
    Ok(times)
}

/// A count of the kernel's TCP in this thread's namespace (`TcpExt` of netstat(8)).
pub fn tcp_ext(name: &str) -> Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/net/netstat")?;
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("TcpExt: "));
    let (names, values) = (lines.next(), lines.next());
    let mut both = names
        .into_iter()
        .flat_map(|line| line.split(' '))
        .zip(values.into_iter().flat_map(|line| line.split(' ')));
    let found = both.find(|(found, _)| *found == name);
    let value = found.and_then(|(_, value)| value.parse().ok());
    value.ok_or_else(|| std::io::Error::other(format!("no TcpExt {name}")))
}
