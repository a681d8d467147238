//! What went over the wire, and how late the relay itself was: a wait that this process was kept from
//! the core for is no wait of TCP's.

use crate::PORT;
use dp_tcp::Seq;
use dp_tcp::wire::Checksums;
use dp_tcp::wire::ethernet::{ETHERNET_LEN, EthernetHeader, IPV4};
use dp_tcp::wire::ipv4::{self, Ipv4Header};
use dp_tcp::wire::tcp::TcpHeader;
use std::ops::Range;

/// An idle relay turns every millisecond; longer than this between two turns, it was kept waiting.
const GAP_NS: u64 = 2_000_000;

/// One TCP segment that entered a link.
#[derive(Debug, Clone, Copy)]
pub struct Offered {
    /// When, nanoseconds of the wire's clock.
    pub at: u64,
    /// By which end.
    pub side: usize,
    /// Its number.
    pub seq: Seq,
    /// Octets of payload.
    pub payload: usize,
    /// The link lost it.
    pub is_lost: bool,
}

/// What a wire was seen to do.
#[derive(Debug, Default)]
pub struct Watch {
    /// Segments, in the order they came.
    pub offered: Vec<Offered>,
    /// When the relay was not there.
    gaps: Vec<Range<u64>>,
    last_turn: u64,
}

/// What one message of one segment cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// Copies the link lost before one passed.
    pub lost: usize,
    /// From the first copy's leaving to that of the first the link took, nanoseconds.
    pub delay_ns: u64,
    /// The relay was kept waiting meanwhile.
    pub is_disturbed: bool,
}

impl Watch {
    pub(crate) fn turn(&mut self, now: u64) {
        if self.last_turn != 0 && now - self.last_turn > GAP_NS {
            self.gaps.push(self.last_turn..now);
        }
        self.last_turn = now;
    }

    pub(crate) fn offered(&mut self, side: usize, frame: &[u8], is_lost: bool, at: u64) {
        if let Some((header, payload)) = segment(frame) {
            self.offered.push(Offered {
                at,
                side,
                seq: header.seq,
                payload,
                is_lost,
            });
        }
    }

    /// What became of each message of `len` octets that `side` sent, in order. One that never got
    /// through is left out.
    pub fn passages(&self, side: usize, len: usize) -> Vec<Passage> {
        let copies: Vec<&Offered> = self
            .offered
            .iter()
            .filter(|offered| offered.side == side && offered.payload == len)
            .collect();
        // A message waits for the answer to the last one, so copies of one stand together.
        let messages = copies.chunk_by(|a, b| a.seq == b.seq);
        messages
            .filter_map(|copies| {
                let lost = copies.iter().position(|copy| !copy.is_lost)?;
                let (passed, began) = (copies[lost], copies[0].at);
                Some(Passage {
                    lost,
                    delay_ns: passed.at - began,
                    is_disturbed: self
                        .gaps
                        .iter()
                        .any(|gap| gap.start < passed.at && gap.end > began),
                })
            })
            .collect()
    }
}

/// The header of a frame with a segment of the tests' connection, and the length of its payload.
pub fn segment(frame: &[u8]) -> Option<(TcpHeader, usize)> {
    let is_ip = EthernetHeader::parse(frame).is_some_and(|link| link.kind == IPV4);
    let packet = frame.get(ETHERNET_LEN..).filter(|_| is_ip)?;
    let ip = Ipv4Header::parse(packet, Checksums::Ignore).ok()?;
    let segment = packet
        .get(ip.payload)
        .filter(|_| ip.protocol == ipv4::TCP)?;
    let (header, at) = TcpHeader::parse(segment).ok()?;
    let is_ours = [header.source_port, header.target_port].contains(&PORT);
    is_ours.then(|| (header, segment.len() - at))
}
