//! The floor: a loop on one core that does what cannot be left out and nothing else.
//!
//! ```text
//!   recv(feed) spinning ─▶ [open] ─▶ touch every byte, find the first bid ─▶ patch a template, mask
//!                                                       send(orders) ◀─ [seal] ◀─┘
//! ```
//! The same bytes come in and about the same go out as with any client. It keeps no book, parses no JSON,
//! checks no limit, knows no order. Answers are read and thrown away when nothing else is there.

use super::is_asked;
use anyhow::{Context as _, bail, ensure};
use dp_transport::acknowledge_now;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// Empty looks at the feed between two looks at the answers.
const LOOKS: u32 = 64;
/// A client's mask: any but zero, so that masking is not for free.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// The order, whole: quantity at its place, everything else as a session's order has it.
const ORDER: &[u8] = br#"{"id":"n-1z141z5-0","method":"order.place","params":{"newClientOrderId":"sl-1z141z5","newOrderRespType":"ACK","price":"65000.01","quantity":"00.00000","recvWindow":5000,"side":"BUY","symbol":"BTCUSDT","timeInForce":"IOC","timestamp":1760000000000,"type":"LIMIT"}}"#;

/// A connection's bytes.
pub trait Stream: Read + Write {
    /// From here on reads and writes say `WouldBlock` instead of waiting.
    fn unblock(&mut self) -> std::io::Result<()>;
    /// Acknowledges what came, so that the next read need not, as a lane does. Nothing where no kernel does.
    fn acknowledge(&self) {}
}

impl Stream for TcpStream {
    fn unblock(&mut self) -> std::io::Result<()> {
        self.set_nonblocking(true)
    }

    fn acknowledge(&self) {
        acknowledge_now(self);
    }
}

/// A socket of the kernel's. Errors: nobody listens there.
pub fn tcp(address: SocketAddr) -> anyhow::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(address).context("connecting to the bench venue")?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

/// One connection: socket, TLS or none, what came.
struct Pipe {
    stream: Box<dyn Stream>,
    tls: Option<Box<ClientConnection>>,
    buffer: Box<[u8]>,
    plain: Vec<u8>,
    read: usize,
    cipher: Vec<u8>,
}

impl Pipe {
    /// Shakes hands and upgrades, blocking where the stream does; non-blocking afterwards.
    fn open(
        stream: Box<dyn Stream>,
        tls: Option<&Arc<ClientConfig>>,
        path: &str,
    ) -> anyhow::Result<Self> {
        let tls = match tls {
            Some(config) => {
                let name = ServerName::try_from("localhost")?;
                Some(Box::new(ClientConnection::new(Arc::clone(config), name)?))
            }
            None => None,
        };
        let mut pipe = Self {
            stream,
            tls,
            buffer: vec![0; 64 << 10].into_boxed_slice(),
            plain: Vec::with_capacity(128 << 10),
            read: 0,
            cipher: Vec::with_capacity(64 << 10),
        };
        if let Some(tls) = &mut pipe.tls {
            while tls.is_handshaking() {
                tls.complete_io(&mut pipe.stream)?;
            }
        }
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        pipe.send(head.as_bytes())?;
        let end = loop {
            pipe.fill()?;
            let waiting = pipe.plain.windows(4);
            if let Some(at) = { waiting }.position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
        };
        ensure!(
            pipe.plain.starts_with(b"HTTP/1.1 101"),
            "the bench venue refused the upgrade"
        );
        pipe.read = end;
        pipe.stream.unblock()?;
        Ok(pipe)
    }

    /// One read; says whether something came.
    fn fill(&mut self) -> anyhow::Result<bool> {
        let count = match self.stream.read(&mut self.buffer) {
            Ok(0) => bail!("the bench venue is gone"),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("reading from the bench venue"),
        };
        if self.read > 64 << 10 {
            self.plain.drain(..self.read);
            self.read = 0;
        }
        let mut cipher = &self.buffer[..count];
        let Some(tls) = &mut self.tls else {
            self.plain.extend_from_slice(cipher);
            return Ok(true);
        };
        while !cipher.is_empty() {
            tls.read_tls(&mut cipher)?;
            let state = tls.process_new_packets()?;
            let (start, count) = (self.plain.len(), state.plaintext_bytes_to_read());
            self.plain.resize(start + count, 0);
            tls.reader().read_exact(&mut self.plain[start..])?;
        }
        Ok(true)
    }

    fn send(&mut self, plain: &[u8]) -> anyhow::Result<()> {
        let Some(tls) = &mut self.tls else {
            return Ok(self.stream.write_all(plain)?);
        };
        tls.writer().write_all(plain)?;
        self.cipher.clear();
        while tls.wants_write() {
            tls.write_tls(&mut self.cipher)?;
        }
        Ok(self.stream.write_all(&self.cipher)?)
    }

    /// The next whole frame's payload (the venue does not mask).
    fn frame(&mut self) -> Option<&[u8]> {
        if self.read == self.plain.len() {
            self.plain.clear();
            self.read = 0;
        }
        let waiting = self.plain.get(self.read..)?;
        let (head, len) = match *waiting.get(1)? & 0x7f {
            126 => {
                let len = [*waiting.get(2)?, *waiting.get(3)?];
                (4, usize::from(u16::from_be_bytes(len)))
            }
            len => (2, usize::from(len)),
        };
        waiting.get(head..head + len)?;
        let start = self.read + head;
        self.read = start + len;
        self.plain.get(start..start + len)
    }

    /// Throws away what came.
    fn forget(&mut self) {
        self.plain.clear();
        self.read = 0;
    }
}

/// The quantity digits of the first bid, after having looked at every byte.
fn scan(text: &[u8]) -> Option<&[u8]> {
    let sum = text
        .iter()
        .fold(0u8, |sum, byte| sum.wrapping_add(*byte ^ 0x5a));
    std::hint::black_box(sum);
    let at = text.windows(6).position(|six| six == br#""b":[["#)?;
    let rest = text.get(at + 7..)?;
    let quote = rest.iter().position(|byte| *byte == b'"')?;
    rest.get(quote + 3..quote + 11)
}

/// Lots of 0.00001 in eight characters of `dd.ddddd`.
fn lots(digits: &[u8]) -> u64 {
    let number = digits.iter().filter(|byte| byte.is_ascii_digit());
    number.fold(0, |lots, byte| lots * 10 + u64::from(byte - b'0'))
}

/// TLS 1.3 that trusts `ca` only.
pub fn tls_config(ca: &[u8]) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Spins until the venue ends it, over two connections that `connect` makes. `stall`: stand still once, before
/// tick (of those heard), for ns; for tests. Errors: the venue is gone.
pub fn run(
    mut connect: impl FnMut() -> anyhow::Result<Box<dyn Stream>>,
    ca: Option<&[u8]>,
    every: u64,
    stall: Option<(u64, core::time::Duration)>,
) -> anyhow::Result<()> {
    let tls = ca.map(tls_config).transpose()?;
    let mut orders = Pipe::open(connect()?, tls.as_ref(), "/ws-api/v3")?;
    let mut feed = Pipe::open(
        connect()?,
        tls.as_ref(),
        "/stream?streams=btcusdt@depth@100ms",
    )?;
    let mut order = vec![0x81, 0xfe];
    order.extend((ORDER.len() as u16).to_be_bytes());
    order.extend(MASK);
    let head = order.len();
    order.extend(ORDER.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
    let qty = br#""quantity":""#;
    let qty = ORDER.windows(qty.len()).position(|text| text == qty);
    let qty = qty.context("the order has a quantity")? + 12;
    let (mut looks, mut heard, mut is_owing) = (0, 0, false);
    loop {
        if !feed.fill()? {
            if core::mem::take(&mut is_owing) {
                feed.stream.acknowledge();
            }
            looks += 1;
            if looks % LOOKS == 0 && orders.fill()? {
                orders.forget();
                orders.stream.acknowledge();
            }
            continue;
        }
        is_owing = true;
        while let Some(text) = feed.frame() {
            let Some(digits) = scan(text).filter(|digits| is_asked(lots(digits), every)) else {
                continue;
            };
            heard += 1;
            if let Some((_, pause)) = stall.filter(|(at, _)| *at == heard) {
                // Its own doing: no scheduler takes it away, no counter explains it.
                let begin = std::time::Instant::now();
                while begin.elapsed() < pause {
                    core::hint::spin_loop();
                }
            }
            for (at, digit) in digits.iter().enumerate() {
                order[head + qty + at] = digit ^ MASK[(qty + at) % 4];
            }
            orders.send(&order)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::walk::{NUMBER_LOTS, Walk, number_of};

    #[test]
    fn the_scan_finds_the_number_of_every_tick() {
        let walk = Walk::new();
        for number in 0..3_000 {
            let mut bytes = Vec::new();
            walk.write(number, 1_760_000_000_000, &mut bytes);
            let lots = lots(scan(&bytes[4..]).unwrap());
            assert_eq!(number_of(lots), Some(number));
        }
        assert_eq!(scan(b"{}"), None);
        assert!(is_asked(NUMBER_LOTS, 7) && !is_asked(NUMBER_LOTS + 1, 7));
        assert!(!is_asked(NUMBER_LOTS - 7, 7), "a snapshot is not answered");
    }
}
