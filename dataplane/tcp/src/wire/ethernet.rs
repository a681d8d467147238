//! Ethernet II and ARP for IPv4 over it (RFC 826). VLAN tags are not taken: the card or the kernel
//! strips them, or the frame is not for us.

use super::{be16, be32};
use core::net::Ipv4Addr;

/// Octets before the payload.
pub const ETHERNET_LEN: usize = 14;
/// An ARP packet for IPv4, without the Ethernet header.
pub const ARP_LEN: usize = 28;
/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ARP: u16 = 0x0806;

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// To everybody on the wire.
    pub const BROADCAST: Self = Self([0xff; 6]);
}

/// The two addresses and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EthernetHeader {
    /// To whom.
    pub target: Mac,
    /// From whom.
    pub source: Mac,
    /// EtherType of the payload.
    pub kind: u16,
}

impl EthernetHeader {
    /// Reads the header; `None` when the frame is shorter.
    #[inline]
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let (target, rest) = frame.split_first_chunk::<6>()?;
        let (source, rest) = rest.split_first_chunk::<6>()?;
        let kind = u16::from_be_bytes(*rest.first_chunk::<2>()?);
        Some(Self {
            target: Mac(*target),
            source: Mac(*source),
            kind,
        })
    }

    /// The header's bytes.
    #[inline]
    pub fn bytes(&self) -> [u8; ETHERNET_LEN] {
        let mut bytes = [0; ETHERNET_LEN];
        let (target, rest) = bytes.split_at_mut(6);
        let (source, kind) = rest.split_at_mut(6);
        target.copy_from_slice(&self.target.0);
        source.copy_from_slice(&self.source.0);
        kind.copy_from_slice(&self.kind.to_be_bytes());
        bytes
    }
}

/// A question who has an address, or its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    /// Asks (1); otherwise answers (2).
    pub is_request: bool,
    /// Who speaks.
    pub source_mac: Mac,
    /// Who speaks.
    pub source: Ipv4Addr,
    /// Who is meant; zero in a question.
    pub target_mac: Mac,
    /// Who is meant.
    pub target: Ipv4Addr,
}

impl Arp {
    /// Reads the packet behind an Ethernet header; `None` unless it is Ethernet/IPv4 and whole.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let packet = packet.get(..ARP_LEN)?;
        let is_ours = packet.starts_with(&[0, 1, 0x08, 0x00, 6, 4]);
        let operation = be16(packet, 6);
        if !is_ours || !(1..=2).contains(&operation) {
            return None;
        }
        Some(Self {
            is_request: operation == 1,
            source_mac: Mac(*packet.get(8..)?.first_chunk()?),
            source: Ipv4Addr::from(be32(packet, 14)),
            target_mac: Mac(*packet.get(18..)?.first_chunk()?),
            target: Ipv4Addr::from(be32(packet, 24)),
        })
    }

    /// The packet's bytes.
    pub fn bytes(&self) -> [u8; ARP_LEN] {
        let mut bytes = [0; ARP_LEN];
        let operation = if self.is_request { 1 } else { 2 };
        let parts: [&[u8]; 6] = [
            &[0, 1, 0x08, 0x00, 6, 4, 0, operation],
            &self.source_mac.0,
            &self.source.octets(),
            &self.target_mac.0,
            &self.target.octets(),
            &[],
        ];
        let octets = parts.into_iter().flatten();
        bytes
            .iter_mut()
            .zip(octets)
            .for_each(|(to, from)| *to = *from);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            target: [u8; 6], source: [u8; 6], kind: u16, is_request: bool, a: u32, b: u32,
        ) {
            let header = EthernetHeader { target: Mac(target), source: Mac(source), kind };
            prop_assert_eq!(EthernetHeader::parse(&header.bytes()), Some(header));
            let arp = Arp {
                is_request,
                source_mac: Mac(source),
                source: a.into(),
                target_mac: Mac(target),
                target: b.into(),
            };
            prop_assert_eq!(Arp::parse(&arp.bytes()), Some(arp));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = (EthernetHeader::parse(&bytes), Arp::parse(&bytes));
        }
    }
}
