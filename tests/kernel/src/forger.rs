//! A stranger who sees the wire and forges what an attacker off the path would have to guess: resets and
//! SYNs, in the window and out of it. Never the exact number: that one is to be obeyed (RFC 5961, 3).

use crate::watch::segment;
use crate::{address, mac};
use dp_tcp::Seq;
use dp_tcp::wire::ethernet::{self, EthernetHeader};
use dp_tcp::wire::ipv4::{self, Ipv4Header};
use dp_tcp::wire::tcp::{Flags, Options, TcpHeader, seal};
use std::collections::HashSet;
use tests_relay::Random;

/// Guesses fall within this many octets of what was last acknowledged: inside any window here.
const NEAR: u64 = 16 << 10;

/// What it sent to one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forged {
    /// Resets of any number.
    pub anywhere: u64,
    /// Resets inside the receive window.
    pub inside: u64,
    /// SYNs inside the receive window, with the peer's own timestamps.
    pub syns: u64,
}

impl Forged {
    /// Resets of both kinds.
    pub const fn resets(&self) -> u64 {
        self.anywhere + self.inside
    }
}

/// The stranger.
#[derive(Debug)]
pub struct Forger {
    random: Random,
    /// Where a segment of either end began or ended: all that an exact number, or the right edge of a
    /// selective ACK (which Linux obeys too), can be.
    edges: [HashSet<u32>; 2],
    /// The latest segment of either end that was not the handshake's.
    last: [Option<TcpHeader>; 2],
    is_over: bool,
    /// What it sent to either end.
    pub sent: [Forged; 2],
}

impl Forger {
    /// One that has sent nothing.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            edges: Default::default(),
            last: [None; 2],
            is_over: false,
            sent: Default::default(),
        }
    }

    /// A frame of `from` went by. What is forged in answer, and to whom; nothing once either end has
    /// said its last.
    pub fn on_frame(&mut self, from: usize, frame: &[u8]) -> Vec<(usize, Vec<u8>)> {
        let Some((header, payload)) = segment(frame) else {
            return Vec::new();
        };
        let end = header.seq.plus(payload as u32);
        self.edges[from].extend([header.seq.0, end.0]);
        self.is_over |= header.flags.has(Flags::FIN) || header.flags.has(Flags::RST);
        if !header.flags.has(Flags::SYN) {
            self.last[from] = Some(header);
        }
        let [Some(a), Some(b)] = self.last else {
            return Vec::new();
        };
        if self.is_over {
            return Vec::new();
        }
        (0..2)
            .flat_map(|to| {
                // In the name of the one, to the other: what that one acknowledged last is where its window begins.
                let (own, victim) = if to == 1 { (a, b) } else { (b, a) };
                self.forge(to, &own, victim.ack)
            })
            .collect()
    }

    fn forge(&mut self, to: usize, own: &TcpHeader, window: Seq) -> Vec<(usize, Vec<u8>)> {
        let inside = |random: &mut Random| window.plus(1 + random.below(NEAR) as u32);
        let guesses = [
            (Flags::RST, Seq(self.random.next() as u32)),
            (Flags::RST, inside(&mut self.random)),
            (Flags::RST.with(Flags::ACK), inside(&mut self.random)),
            (Flags::SYN, inside(&mut self.random)),
        ];
        let mut frames = Vec::new();
        for (at, (flags, seq)) in guesses.into_iter().enumerate() {
            if self.edges[1 - to].contains(&seq.0) {
                continue;
            }
            let sent = &mut self.sent[to];
            match at {
                0 => sent.anywhere += 1,
                1 | 2 => sent.inside += 1,
                _ => sent.syns += 1,
            }
            let mut options = Options::default();
            options.timestamps = own.options.timestamps.filter(|_| flags == Flags::SYN);
            let header = TcpHeader {
                seq,
                flags,
                options,
                ..*own
            };
            frames.push((to, frame(1 - to, to, &header)));
        }
        frames
    }
}

/// A frame without payload from one end of the wire to the other.
fn frame(from: usize, to: usize, header: &TcpHeader) -> Vec<u8> {
    let host = |end: usize| end as u8 + 1;
    let mut segment = vec![0; 60];
    let len = header
        .write(&mut segment)
        .expect("sixty octets hold any header");
    segment.truncate(len);
    seal(&mut segment, address(host(from)), address(host(to)));
    let link = EthernetHeader {
        target: mac(host(to)),
        source: mac(host(from)),
        kind: ethernet::IPV4,
    };
    let len = segment.len() as u16;
    let ip = Ipv4Header::bytes(address(host(from)), address(host(to)), ipv4::TCP, len);
    [&link.bytes()[..], &ip[..], &segment[..]].concat()
}
