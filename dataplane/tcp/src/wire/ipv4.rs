//! IPv4 (RFC 791). Options are skipped, fragments refused; what we send has neither and says "don't
//! fragment", so path MTU discovery works and the identification may be 0 (RFC 6864, 4.1).

use super::checksum::Sum;
use super::{Checksums, WireError, be16, be32};
use core::net::Ipv4Addr;
use core::ops::Range;

/// Octets of a header without options.
pub const IPV4_LEN: usize = 20;
/// Protocol number of ICMP.
pub const ICMP: u8 = 1;
/// Protocol number of TCP.
pub const TCP: u8 = 6;

/// What the header says that we use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipv4Header {
    /// From whom.
    pub source: Ipv4Addr,
    /// To whom.
    pub target: Ipv4Addr,
    /// What the payload is.
    pub protocol: u8,
    /// Where the payload lies in the packet; link padding lies behind it.
    pub payload: Range<usize>,
}

impl Ipv4Header {
    /// Reads and proves the header.
    ///
    /// Cost: a few nanoseconds. Errors: [`WireError`].
    #[inline]
    pub fn parse(packet: &[u8], checksums: Checksums) -> Result<Self, WireError> {
        let header = Self::parse_quoted(packet)?;
        if header.payload.end > packet.len() {
            return Err(WireError::Truncated);
        }
        // More fragments, or an offset.
        if be16(packet, 6) & 0x3fff != 0 {
            return Err(WireError::Fragment);
        }
        let bytes = packet.get(..header.payload.start).unwrap_or_default();
        if checksums != Checksums::Ignore && Sum::new().bytes(bytes).fold() != 0xffff {
            return Err(WireError::Checksum);
        }
        Ok(header)
    }

    /// Reads a header quoted in an ICMP error: its payload may be cut and its checksum be that of
    /// another hop.
    pub fn parse_quoted(packet: &[u8]) -> Result<Self, WireError> {
        let fixed = packet
            .first_chunk::<IPV4_LEN>()
            .ok_or(WireError::Truncated)?;
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        let total_len = usize::from(be16(fixed, 2));
        if fixed[0] >> 4 != 4 || header_len < IPV4_LEN || total_len < header_len {
            return Err(WireError::Malformed);
        }
        if packet.len() < header_len {
            return Err(WireError::Truncated);
        }
        Ok(Self {
            source: Ipv4Addr::from(be32(fixed, 12)),
            target: Ipv4Addr::from(be32(fixed, 16)),
            protocol: fixed[9],
            payload: header_len..total_len,
        })
    }

    /// A header without options over a payload of `len` octets.
    #[inline]
    pub fn bytes(source: Ipv4Addr, target: Ipv4Addr, protocol: u8, len: u16) -> [u8; IPV4_LEN] {
        let [t0, t1] = len.saturating_add(IPV4_LEN as u16).to_be_bytes();
        let [s0, s1, s2, s3] = source.octets();
        let [d0, d1, d2, d3] = target.octets();
        // Version 4, 5 words; DF; 64 hops.
        let mut bytes = [
            0x45, 0, t0, t1, 0, 0, 0x40, 0, 64, protocol, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3,
        ];
        [bytes[10], bytes[11]] = Sum::new().bytes(&bytes).checksum().to_be_bytes();
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const B: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

    fn packet() -> Vec<u8> {
        let mut packet = Ipv4Header::bytes(A, B, TCP, 8).to_vec();
        packet.extend([0; 8]);
        packet
    }

    fn reseal(packet: &mut [u8]) {
        let len = usize::from(packet[0] & 15) * 4;
        packet[10..12].fill(0);
        let sum = Sum::new().bytes(&packet[..len]).checksum();
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }

    #[test]
    fn what_is_written_is_read_and_padding_is_left_out() {
        let mut bytes = packet();
        bytes.extend([0; 18]);
        let header = Ipv4Header::parse(&bytes, Checksums::Verify).unwrap();
        assert_eq!((header.source, header.target), (A, B));
        assert_eq!((header.protocol, header.payload), (TCP, 20..28));
    }

    #[test]
    fn options_are_skipped() {
        let mut bytes = packet();
        bytes[0] = 0x46;
        reseal(&mut bytes);
        let header = Ipv4Header::parse(&bytes, Checksums::Verify).unwrap();
        assert_eq!(header.payload, 24..28);
    }

    #[test]
    fn fragments_lies_and_flipped_bits_are_refused() {
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = packet();
            change(&mut bytes);
            Ipv4Header::parse(&bytes, Checksums::Verify).unwrap_err()
        };
        let sealed = |at: usize, value: u8| {
            refused(&|bytes| {
                bytes[at] = value;
                reseal(bytes);
            })
        };
        assert_eq!(sealed(6, 0x20), WireError::Fragment);
        assert_eq!(sealed(7, 0x01), WireError::Fragment);
        assert_eq!(sealed(3, 200), WireError::Truncated);
        assert_eq!(sealed(3, 19), WireError::Malformed);
        assert_eq!(refused(&|bytes| bytes[0] = 0x65), WireError::Malformed);
        assert_eq!(refused(&|bytes| bytes[0] = 0x44), WireError::Malformed);
        assert_eq!(refused(&|bytes| bytes.truncate(19)), WireError::Truncated);
        for bit in 0..160 {
            refused(&|bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(header) = Ipv4Header::parse(&bytes, Checksums::Ignore) {
                prop_assert!(bytes.get(header.payload).is_some());
            }
        }
    }
}
