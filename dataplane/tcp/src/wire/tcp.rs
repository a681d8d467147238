//! TCP headers and options (RFC 9293, 3.1; RFC 2018; RFC 7323).
//!
//! ```text
//!   0        2        4            8            12    13     14      16       18      20
//!   ┌────────┬────────┬────────────┬────────────┬─────┬──────┬───────┬────────┬───────┬─────────
//!   │ source │ target │ sequence   │ ack        │ len │ flags│ window│ sum    │ urgent│ options
//!   └────────┴────────┴────────────┴────────────┴─────┴──────┴───────┴────────┴───────┴─────────
//! ```

use super::checksum::Sum;
use super::{Checksums, WireError, be16, be32};
use crate::seq::Seq;
use core::net::Ipv4Addr;

/// Octets of a header without options.
pub const TCP_LEN: usize = 20;
/// Longest header.
pub const TCP_LEN_MAX: usize = 60;
/// SACK blocks one header can hold; 3 beside timestamps.
pub const SACK_BLOCKS_MAX: usize = 4;
/// Octets of a timestamps option with its padding.
pub const TIMESTAMPS_LEN: usize = 12;

/// Control bits. ECN's two are read over: we never agree to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(1);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(2);
    /// Reset the connection.
    pub const RST: Self = Self(4);
    /// Hand it up now.
    pub const PSH: Self = Self(8);
    /// The acknowledgement field counts.
    pub const ACK: Self = Self(16);

    /// All of `other` are set.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets.
    #[inline]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A half-open range of the sequence space.
pub type Block = (Seq, Seq);

/// The options we know; all others are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Largest segment the sender takes, without options (SYN only).
    pub mss: Option<u16>,
    /// Left shift of the sender's window field (SYN only), at most 14.
    pub window_scale: Option<u8>,
    /// The sender understands SACK (SYN only).
    pub is_sack_permitted: bool,
    /// The sender's clock and the echo of ours.
    pub timestamps: Option<(u32, u32)>,
    sack: [Block; SACK_BLOCKS_MAX],
    sack_count: u8,
}

impl Options {
    /// SACK blocks, the latest first.
    #[inline]
    pub fn sack(&self) -> &[Block] {
        self.sack
            .get(..usize::from(self.sack_count))
            .unwrap_or_default()
    }

    /// Appends a block; `false` when there is no more room.
    pub fn push_sack(&mut self, block: Block) -> bool {
        let Some(slot) = self.sack.get_mut(usize::from(self.sack_count)) else {
            return false;
        };
        *slot = block;
        self.sack_count += 1;
        true
    }

    /// Octets these options take in a header.
    #[inline]
    pub fn len(&self) -> usize {
        let sack = match usize::from(self.sack_count) {
            0 => 0,
            count => 4 + 8 * count,
        };
        4 * usize::from(self.mss.is_some())
            + 4 * usize::from(self.window_scale.is_some())
            + 4 * usize::from(self.is_sack_permitted)
            + TIMESTAMPS_LEN * usize::from(self.timestamps.is_some())
            + sack
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut options = Self::default();
        // What nearly every segment carries: NOP, NOP, timestamps.
        if let Some([1, 1, 8, 10, ..]) = bytes.first_chunk::<TIMESTAMPS_LEN>()
            && bytes.len() == TIMESTAMPS_LEN
        {
            options.timestamps = Some((be32(bytes, 4), be32(bytes, 8)));
            return Ok(options);
        }
        options.parse_each(bytes)?;
        Ok(options)
    }

    fn parse_each(&mut self, mut bytes: &[u8]) -> Result<(), WireError> {
        loop {
            let (kind, body) = match *bytes {
                [] | [0, ..] => return Ok(()),
                [1, ref rest @ ..] => {
                    bytes = rest;
                    continue;
                }
                [kind, len, ..] => {
                    let body = bytes.get(2..usize::from(len)).ok_or(WireError::Malformed)?;
                    bytes = bytes.get(usize::from(len)..).unwrap_or_default();
                    (kind, body)
                }
                [_] => return Err(WireError::Malformed),
            };
            match (kind, body.len()) {
                (2, 2) => self.mss = Some(be16(body, 0)),
                // RFC 7323, 2.3: more than 14 counts as 14.
                (3, 1) => self.window_scale = body.first().map(|shift| (*shift).min(14)),
                (4, 0) => self.is_sack_permitted = true,
                (5, 8 | 16 | 24 | 32) => {
                    let (blocks, _) = body.as_chunks::<8>();
                    for block in blocks {
                        self.push_sack((Seq(be32(block, 0)), Seq(be32(block, 4))));
                    }
                }
                (8, 8) => self.timestamps = Some((be32(body, 0), be32(body, 4))),
                (2..=5 | 8, _) => return Err(WireError::Malformed),
                _ => {}
            }
        }
    }

    /// Writes the options, padded with NOPs to words; `None` when `out` is too short.
    fn write(&self, out: &mut [u8]) -> Option<()> {
        let mut rest = out;
        let mut put = |bytes: &[u8]| -> Option<()> {
            let (front, back) = core::mem::take(&mut rest).split_at_mut_checked(bytes.len())?;
            front.copy_from_slice(bytes);
            rest = back;
            Some(())
        };
        if let Some(mss) = self.mss {
            let [high, low] = mss.to_be_bytes();
            put(&[2, 4, high, low])?;
        }
        if let Some(shift) = self.window_scale {
            put(&[1, 3, 3, shift])?;
        }
        if self.is_sack_permitted {
            put(&[1, 1, 4, 2])?;
        }
        if let Some((value, echo)) = self.timestamps {
            let ([a, b, c, d], [e, f, g, h]) = (value.to_be_bytes(), echo.to_be_bytes());
            put(&[1, 1, 8, 10, a, b, c, d, e, f, g, h])?;
        }
        if self.sack_count > 0 {
            put(&[1, 1, 5, 2 + 8 * self.sack_count])?;
            for (start, end) in self.sack() {
                put(&start.0.to_be_bytes())?;
                put(&end.0.to_be_bytes())?;
            }
        }
        Some(())
    }
}

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpHeader {
    /// Port of the sender.
    pub source_port: u16,
    /// Port of the receiver.
    pub target_port: u16,
    /// Of the first octet of the payload, or of the SYN.
    pub seq: Seq,
    /// Next octet expected, when [`Flags::ACK`] is set.
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// Receive window, not yet shifted.
    pub window: u16,
    /// Options.
    pub options: Options,
}

impl TcpHeader {
    /// Reads header and options of a segment; the payload begins at the place told.
    ///
    /// The checksum is judged by [`verify`] apart, since it needs the addresses. Cost: some ten
    /// nanoseconds. Errors: [`WireError::Truncated`], [`WireError::Malformed`].
    #[inline]
    pub fn parse(segment: &[u8]) -> Result<(Self, usize), WireError> {
        let fixed = segment
            .first_chunk::<TCP_LEN>()
            .ok_or(WireError::Truncated)?;
        let len = usize::from(fixed[12] >> 4) * 4;
        if len < TCP_LEN {
            return Err(WireError::Malformed);
        }
        let options = segment.get(TCP_LEN..len).ok_or(WireError::Truncated)?;
        let header = Self {
            source_port: be16(fixed, 0),
            target_port: be16(fixed, 2),
            seq: Seq(be32(fixed, 4)),
            ack: Seq(be32(fixed, 8)),
            flags: Flags(fixed[13]),
            window: be16(fixed, 14),
            options: Options::parse(options)?,
        };
        Ok((header, len))
    }

    /// Writes the header with a zero checksum; returns its length, `None` when `out` is too short.
    #[inline]
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let len = TCP_LEN + self.options.len();
        let (fixed, rest) = out.split_first_chunk_mut::<TCP_LEN>()?;
        fixed[0..2].copy_from_slice(&self.source_port.to_be_bytes());
        fixed[2..4].copy_from_slice(&self.target_port.to_be_bytes());
        fixed[4..8].copy_from_slice(&self.seq.0.to_be_bytes());
        fixed[8..12].copy_from_slice(&self.ack.0.to_be_bytes());
        fixed[12] = ((len / 4) << 4) as u8;
        fixed[13] = self.flags.0;
        fixed[14..16].copy_from_slice(&self.window.to_be_bytes());
        fixed[16..20].fill(0);
        self.options.write(rest)?;
        Some(len)
    }
}

/// Writes the checksum of a whole segment whose field is still zero.
#[inline]
pub fn seal(segment: &mut [u8], source: Ipv4Addr, target: Ipv4Addr) {
    let sum = Sum::pseudo(source, target, super::ipv4::TCP, segment.len() as u16).bytes(segment);
    if let Some(field) = segment.get_mut(16..18) {
        field.copy_from_slice(&sum.checksum().to_be_bytes());
    }
}

/// Judges the checksum of a whole segment.
#[inline]
pub fn verify(
    segment: &[u8],
    source: Ipv4Addr,
    target: Ipv4Addr,
    checksums: Checksums,
) -> Result<(), WireError> {
    if checksums == Checksums::Ignore {
        return Ok(());
    }
    let pseudo = Sum::pseudo(source, target, super::ipv4::TCP, segment.len() as u16);
    let is_right = pseudo.bytes(segment).fold() == 0xffff;
    let is_partial = || pseudo.fold() == be16(segment, 16);
    if is_right || (checksums == Checksums::AcceptPartial && is_partial()) {
        Ok(())
    } else {
        Err(WireError::Checksum)
    }
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;
