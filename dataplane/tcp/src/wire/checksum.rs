//! The Internet checksum: one's-complement sum of 16-bit words (RFC 1071).
//!
//! Words are summed in the machine's own byte order and turned once at the end; the sum does not mind
//! (RFC 1071, 2 (B)). Eight bytes a step into a 64-bit sum, which the compiler turns into vectors.

use core::net::Ipv4Addr;

/// A sum under way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum(u64);

impl Sum {
    /// Nothing summed yet.
    pub const fn new() -> Self {
        Self(0)
    }

    /// The pseudo-header of TCP over IPv4: addresses, protocol, length of header and payload.
    pub fn pseudo(source: Ipv4Addr, target: Ipv4Addr, protocol: u8, len: u16) -> Self {
        Self::new()
            .bytes(&source.octets())
            .bytes(&target.octets())
            .word(u16::from(protocol))
            .word(len)
    }

    /// Adds one 16-bit number.
    #[must_use]
    #[inline]
    pub const fn word(self, word: u16) -> Self {
        Self(self.0.wrapping_add(word.to_be() as u64))
    }

    /// Adds bytes that begin at an even place of what is summed; an odd end is padded with 0.
    #[must_use]
    #[inline]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let mut sum = self.0;
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            let word = u64::from_ne_bytes(*word);
            // 2³² additions of 33 bits would be needed to overflow: a frame has 1,200.
            sum = sum.wrapping_add((word & 0xffff_ffff).wrapping_add(word >> 32));
        }
        let (pairs, odd) = rest.as_chunks::<2>();
        for pair in pairs {
            sum = sum.wrapping_add(u64::from(u16::from_ne_bytes(*pair)));
        }
        if let [last] = odd {
            sum = sum.wrapping_add(u64::from(u16::from_ne_bytes([*last, 0])));
        }
        Self(sum)
    }

    /// The sum in 16 bits, not complemented: 0xffff over a block that holds its own checksum.
    #[inline]
    pub const fn fold(self) -> u16 {
        let mut sum = (self.0 & 0xffff_ffff).wrapping_add(self.0 >> 32);
        sum = (sum & 0xffff).wrapping_add(sum >> 16);
        sum = (sum & 0xffff).wrapping_add(sum >> 16);
        sum = (sum & 0xffff).wrapping_add(sum >> 16);
        (sum as u16).to_be()
    }

    /// What is written into the checksum field.
    #[inline]
    pub const fn checksum(self) -> u16 {
        !self.fold()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071, 3: the worked example.
    #[test]
    fn example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::new().bytes(&bytes).fold(), 0xddf2);
        assert_eq!(Sum::new().bytes(&bytes).checksum(), !0xddf2);
    }

    fn naive(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    proptest! {
        #[test]
        fn equals_the_naive_sum(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            prop_assert_eq!(Sum::new().bytes(&bytes).fold(), naive(&bytes));
        }

        #[test]
        fn a_sum_in_even_pieces_is_the_sum(
            bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..150,
        ) {
            let (head, tail) = bytes.split_at((cut * 2).min(bytes.len() & !1));
            prop_assert_eq!(
                Sum::new().bytes(head).bytes(tail).fold(),
                Sum::new().bytes(&bytes).fold()
            );
        }
    }
}
