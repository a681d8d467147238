//! What looks at many bytes at once: where quotes and points are, and what groups of eight digits are worth.
//!
//! Two forms of the same four functions. `wide` is SSE2, which every x86-64 has, so nothing is detected at run
//! time and, the instructions that take no pointer being safe there, nothing is unsafe. `words` does the same
//! on 64-bit words and is what other processors run; on x86-64 it is the oracle of the tests.
//! Not AVX2: measured, the cost is in the chain from one number's end to the next one's start, which wider
//! registers do not shorten, and it would have to be detected and be unsafe.

#[cfg(target_arch = "x86_64")]
pub(super) use super::wide::{digits, marks, others, specials};
// One number is two words: a round trip through vector registers costs more than six multiplications.
#[cfg(not(target_arch = "x86_64"))]
pub(super) use words::{digits, marks, others, quote_in, specials, value};
#[cfg(target_arch = "x86_64")]
pub(super) use words::{quote_in, value};

/// Bytes looked at together.
pub(super) const WINDOW: usize = 32;

/// Where things are in a window: bit n speaks of byte n.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) quotes: u32,
    pub(super) points: u32,
}

#[cfg_attr(all(target_arch = "x86_64", not(test)), allow(dead_code))]
pub(super) mod words {
    use super::{Marks, WINDOW};

    const ONES: u64 = 0x0101_0101_0101_0101;
    const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;

    /// Bit n says that `is` holds of byte n; `is` says so by the top bit of each byte.
    fn bits(window: &[u8; WINDOW], is: impl Fn(u64) -> u64) -> u32 {
        let (words, _) = window.as_chunks::<8>();
        words.iter().rev().fold(0, |bits, word| {
            let tops = (is(u64::from_le_bytes(*word)) & !LOW_BITS) >> 7;
            // Bit 8 n goes to bit 56 + n.
            bits << 8 | (tops.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
        })
    }

    /// Top bit of each byte that equals `byte`; no carry leaves a byte.
    #[inline(always)]
    fn equal(word: u64, byte: u8) -> u64 {
        let other = word ^ (ONES * u64::from(byte));
        !(((other & LOW_BITS) + LOW_BITS) | other)
    }

    /// As `wide::marks`.
    pub(crate) fn marks(window: &[u8; WINDOW]) -> Marks {
        Marks {
            quotes: bits(window, |word| equal(word, b'"')),
            points: bits(window, |word| equal(word, b'.')),
        }
    }

    /// Which of eight bytes is the first quote; 8 when none is.
    #[inline(always)]
    pub(crate) fn quote_in(word: u64) -> u32 {
        (equal(word, b'"') & !LOW_BITS).trailing_zeros() / 8
    }

    /// As `wide::others`.
    pub(crate) fn others(window: &[u8; WINDOW]) -> u32 {
        bits(window, |word| {
            let digit = word ^ (ONES * u64::from(b'0'));
            // Above 9 either the top bit is set or adding 118 sets it.
            digit | ((digit & LOW_BITS) + ONES * (0x80 - 10))
        })
    }

    /// As `wide::specials`.
    pub(crate) fn specials(window: &[u8; WINDOW]) -> u32 {
        bits(window, |word| {
            let is_low = !((word & LOW_BITS) + (ONES * (0x80 - 0x20)));
            word | is_low | equal(word, b'\\')
        })
    }

    /// As `wide::digits`.
    pub(crate) fn digits(words: [u64; 4]) -> Option<[u32; 4]> {
        let [a, b, c, d] = words;
        Some([value(a)?, value(b)?, value(c)?, value(d)?])
    }

    /// One word of eight digits, as one of [`digits`].
    #[inline(always)]
    pub(crate) fn value(word: u64) -> Option<u32> {
        // Above 9 either the high half is set or adding 6 sets it.
        let is_above = (word | word.wrapping_add(ONES * 6)) & (ONES * 0xf0);
        if is_above != 0 {
            return None;
        }
        let pairs = (word.wrapping_mul(10 << 8 | 1) >> 8) & 0x00ff_00ff_00ff_00ff;
        let fours = (pairs.wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_ffff_0000_ffff;
        Some((fours.wrapping_mul(10_000 << 32 | 1) >> 32) as u32)
    }
}
