//! SipHash-2-4 under a secret: initial sequence numbers, timestamp offsets, places in the table of
//! connections. A stranger who cannot read the key can neither guess a number nor aim at one bucket.
//!
//! Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF"; RFC 6528, 3 (the form of an
//! initial sequence number: a 4 µs clock plus a keyed hash of the four-tuple).

use crate::seq::Seq;
use core::net::SocketAddrV4;

/// Sixteen bytes nobody outside the process knows; drawn once at start by the caller.
#[derive(Clone, Copy)]
pub struct Secret([u8; 16]);

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a hash is for; the same four-tuple must give unrelated numbers in different uses.
#[derive(Clone, Copy)]
enum Purpose {
    Sequence = 1,
    Timestamps = 2,
    Table = 3,
}

impl Secret {
    /// Takes the bytes as they are: they must come from a good random source.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Initial sequence number at `now` (nanoseconds of a clock that goes on between connections).
    pub fn initial_seq(&self, local: SocketAddrV4, remote: SocketAddrV4, now: u64) -> Seq {
        let clock = (now / 4_000) as u32;
        Seq(clock.wrapping_add(self.tuple(Purpose::Sequence, local, remote) as u32))
    }

    /// What is added to the millisecond clock in timestamps: the same for one four-tuple, so they
    /// go on rising over a reconnect (RFC 7323, 5.4), unrelated between peers.
    pub fn timestamp_offset(&self, local: SocketAddrV4, remote: SocketAddrV4) -> u32 {
        self.tuple(Purpose::Timestamps, local, remote) as u32
    }

    /// Place of a four-tuple in the table of connections, before masking.
    pub(crate) fn bucket(&self, local: SocketAddrV4, remote: SocketAddrV4) -> usize {
        self.tuple(Purpose::Table, local, remote) as usize
    }

    fn tuple(&self, purpose: Purpose, local: SocketAddrV4, remote: SocketAddrV4) -> u64 {
        let addresses =
            u64::from(u32::from(*local.ip())) << 32 | u64::from(u32::from(*remote.ip()));
        let ports = u64::from(local.port()) << 16 | u64::from(remote.port());
        self.words([addresses, (purpose as u64) << 32 | ports])
    }

    fn words(&self, words: [u64; 2]) -> u64 {
        let [k0, k1] = [0, 8].map(|at| {
            let half = self.0.get(at..at + 8).and_then(|half| half.try_into().ok());
            u64::from_le_bytes(half.unwrap_or_default())
        });
        let mut state = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        let length_block = 16 << 56;
        for word in [words[0], words[1], length_block] {
            state[3] ^= word;
            round(&mut state);
            round(&mut state);
            state[0] ^= word;
        }
        state[2] ^= 0xff;
        for _ in 0..4 {
            round(&mut state);
        }
        state[0] ^ state[1] ^ state[2] ^ state[3]
    }
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    #[test]
    #[allow(deprecated)]
    fn equals_the_standard_librarys_siphash_2_4() {
        use core::hash::{Hasher, SipHasher};
        let secret = Secret::new(core::array::from_fn(|i| i as u8));
        for words in [[0, 0], [1, 2], [u64::MAX, 0x0102_0304_0506_0708]] {
            let mut reference =
                SipHasher::new_with_keys(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
            for word in words {
                reference.write_u64(word);
            }
            assert_eq!(secret.words(words), reference.finish());
        }
    }

    #[test]
    fn initial_numbers_follow_the_clock_and_differ_between_peers() {
        let secret = Secret::new([7; 16]);
        let local = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 40_000);
        let [a, b] = [1, 2].map(|host| SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, host), 443));
        let first = secret.initial_seq(local, a, 0);
        // 250,000 ticks of 4 µs are a second.
        let later = secret.initial_seq(local, a, 1_000_000_000);
        assert_eq!(later.since(first), 250_000);
        assert_ne!(first, secret.initial_seq(local, b, 0));
        assert_ne!(
            secret.timestamp_offset(local, a),
            secret.timestamp_offset(local, b)
        );
    }
}
