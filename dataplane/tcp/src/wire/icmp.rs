//! ICMP "destination unreachable" (RFC 792), above all "fragmentation needed" (RFC 1191). Everything
//! else of ICMP is the kernel's.

use super::checksum::Sum;
use super::ipv4::{self, Ipv4Header};
use super::{Checksums, WireError, be16, be32};
use crate::seq::Seq;
use core::net::SocketAddrV4;

/// What a router or host says about a segment of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreachable {
    /// Source of the segment quoted: us.
    pub local: SocketAddrV4,
    /// Its destination.
    pub remote: SocketAddrV4,
    /// Its sequence number: only who saw the segment, or guesses in 2³², can quote it.
    pub seq: Seq,
    /// Why.
    pub reason: Reason,
}

/// Why a segment did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Too big for the next hop, whose MTU this is; 0 = an old router that does not say.
    TooBig(u16),
    /// Nobody listens: protocol or port unreachable, administratively prohibited.
    Refused,
    /// Passing trouble: network or host unreachable.
    Soft,
}

/// Reads an ICMP message; `None` when it is none of the above or quotes something else than TCP.
///
/// Errors: [`WireError`], when it is cut or its checksum is wrong.
pub fn parse(message: &[u8], checksums: Checksums) -> Result<Option<Unreachable>, WireError> {
    let Some([kind, code, ..]) = message.first_chunk::<8>() else {
        return Err(WireError::Truncated);
    };
    if checksums != Checksums::Ignore && Sum::new().bytes(message).fold() != 0xffff {
        return Err(WireError::Checksum);
    }
    if *kind != 3 {
        return Ok(None);
    }
    let reason = match code {
        4 => Reason::TooBig(be16(message, 6)),
        2 | 3 | 9 | 10 | 13 => Reason::Refused,
        _ => Reason::Soft,
    };
    let quoted = message.get(8..).unwrap_or_default();
    let header = Ipv4Header::parse_quoted(quoted)?;
    let transport = quoted.get(header.payload.start..).unwrap_or_default();
    if transport.len() < 8 {
        return Err(WireError::Truncated);
    }
    Ok((header.protocol == ipv4::TCP).then(|| Unreachable {
        local: SocketAddrV4::new(header.source, be16(transport, 0)),
        remote: SocketAddrV4::new(header.target, be16(transport, 2)),
        seq: Seq(be32(transport, 4)),
        reason,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;
    use proptest::prelude::*;

    fn message(code: u8, mtu: u16) -> Vec<u8> {
        let mut message = vec![3, code, 0, 0, 0, 0];
        message.extend(mtu.to_be_bytes());
        let (source, target) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        message.extend(Ipv4Header::bytes(source, target, ipv4::TCP, 1_480));
        message.extend([0x9c, 0x40, 0x01, 0xbb, 0, 0, 0x12, 0x34]);
        let sum = Sum::new().bytes(&message).checksum();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        message
    }

    #[test]
    fn fragmentation_needed_names_the_connection_and_the_mtu() {
        let told = parse(&message(4, 1_400), Checksums::Verify)
            .unwrap()
            .unwrap();
        assert_eq!(told.reason, Reason::TooBig(1_400));
        assert_eq!(told.seq, Seq(0x1234));
        assert_eq!((told.local.port(), told.remote.port()), (40_000, 443));
        let port = parse(&message(3, 0), Checksums::Verify).unwrap().unwrap();
        assert_eq!(port.reason, Reason::Refused);
        let host = parse(&message(1, 0), Checksums::Verify).unwrap().unwrap();
        assert_eq!(host.reason, Reason::Soft);
    }

    #[test]
    fn other_messages_cut_ones_and_flipped_bits_are_not_taken() {
        let good = message(4, 1_400);
        for len in 0..good.len() {
            assert!(parse(&good[..len], Checksums::Ignore).is_err());
        }
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&bad, Checksums::Verify), Err(WireError::Checksum));
        }
        let mut echo = good;
        echo[0] = 8;
        assert_eq!(parse(&echo, Checksums::Ignore), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&bytes, Checksums::Ignore);
        }
    }
}
