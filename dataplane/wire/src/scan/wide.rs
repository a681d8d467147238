//! The SSE2 form of [`super::words`], and the only unsafe in this crate: saying that the processor has SSE2.

use super::lanes::{Marks, WINDOW};
use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_and_si128, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_cvtsi128_si64,
    _mm_madd_epi16, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_packs_epi32, _mm_set_epi64x,
    _mm_set1_epi8, _mm_set1_epi16, _mm_set1_epi32, _mm_srli_epi16, _mm_sub_epi8,
    _mm_unpackhi_epi64,
};

/// The two halves of a window.
#[inline]
#[target_feature(enable = "sse2")]
fn halves(window: &[u8; WINDOW]) -> [__m128i; 2] {
    let (words, _) = window.as_chunks::<8>();
    match words {
        &[a, b, c, d] => [pair(a, b), pair(c, d)],
        _ => [_mm_set_epi64x(0, 0); 2], // 32 bytes are four words
    }
}

#[inline]
#[target_feature(enable = "sse2")]
fn pair(low: [u8; 8], high: [u8; 8]) -> __m128i {
    _mm_set_epi64x(i64::from_le_bytes(high), i64::from_le_bytes(low))
}

/// Byte masks of both halves as bits.
#[inline]
#[target_feature(enable = "sse2")]
fn bits([low, high]: [__m128i; 2]) -> u32 {
    let bits = |mask: __m128i| _mm_movemask_epi8(mask).cast_unsigned();
    bits(low) | bits(high) << 16
}

/// Quotes and decimal points.
#[inline]
#[target_feature(enable = "sse2")]
fn marks_sse2(window: &[u8; WINDOW]) -> Marks {
    let halves = halves(window);
    let is = |byte: u8| {
        let byte = _mm_set1_epi8(byte.cast_signed());
        bits(halves.map(|half| _mm_cmpeq_epi8(half, byte)))
    };
    Marks {
        quotes: is(b'"'),
        points: is(b'.'),
    }
}

/// Bytes that are no digits.
#[inline]
#[target_feature(enable = "sse2")]
fn others_sse2(window: &[u8; WINDOW]) -> u32 {
    let (zero, nine) = (_mm_set1_epi8(b'0'.cast_signed()), _mm_set1_epi8(9));
    !bits(halves(window).map(|half| {
        let digit = _mm_sub_epi8(half, zero);
        _mm_cmpeq_epi8(_mm_min_epu8(digit, nine), digit)
    }))
}

/// Bytes that may not stand in text taken as it is: escapes, controls, anything beyond ASCII.
#[inline]
#[target_feature(enable = "sse2")]
fn specials_sse2(window: &[u8; WINDOW]) -> u32 {
    let (escape, blank) = (_mm_set1_epi8(b'\\'.cast_signed()), _mm_set1_epi8(0x20));
    bits(halves(window).map(|half| {
        // Compared as signed, bytes from 0x80 on are below the blank as well.
        _mm_or_si128(_mm_cmpeq_epi8(half, escape), _mm_cmplt_epi8(half, blank))
    }))
}

/// Pairs of 16-bit factors for a multiply-add.
#[inline]
#[target_feature(enable = "sse2")]
fn weights(first: i32, second: i32) -> __m128i {
    _mm_set1_epi32(first + (second << 16))
}

/// What four words of eight digits each are worth, most significant digit first in memory. The words hold
/// digit values, not characters, and zeros in front. `None` when a byte is above 9.
#[inline]
#[target_feature(enable = "sse2")]
fn digits_sse2(words: [u64; 4]) -> Option<[u32; 4]> {
    let [a, b, c, d] = words.map(u64::cast_signed);
    let (low, high) = (_mm_set_epi64x(b, a), _mm_set_epi64x(d, c));
    let nine = _mm_set1_epi8(9);
    let is_fine = _mm_and_si128(
        _mm_cmpeq_epi8(_mm_min_epu8(low, nine), low),
        _mm_cmpeq_epi8(_mm_min_epu8(high, nine), high),
    );
    if _mm_movemask_epi8(is_fine) != 0xffff {
        return None;
    }
    // Each 16 bits hold the tens in the low byte and the units in the high one: four digits are worth
    // 1,000 and 10 times their tens plus 100 and 1 times their units.
    let fours = |x: __m128i| {
        let (tens, units) = (_mm_and_si128(x, _mm_set1_epi16(0xff)), _mm_srli_epi16(x, 8));
        _mm_add_epi32(
            _mm_madd_epi16(tens, weights(1_000, 10)),
            _mm_madd_epi16(units, weights(100, 1)),
        )
    };
    let eights = _mm_packs_epi32(fours(low), fours(high));
    let eights = _mm_madd_epi16(eights, weights(10_000, 1));
    let two = |x: __m128i| {
        let both = _mm_cvtsi128_si64(x).cast_unsigned();
        [both as u32, (both >> 32) as u32]
    };
    let ([a, b], [c, d]) = (two(eights), two(_mm_unpackhi_epi64(eights, eights)));
    Some([a, b, c, d])
}

// Every x86-64 has SSE2: the compiler is told so for the whole target, and nothing is detected at run time.
const _: () = assert!(cfg!(target_feature = "sse2"));

/// Quotes and decimal points.
#[inline(always)]
pub(crate) fn marks(window: &[u8; WINDOW]) -> Marks {
    // SAFETY: needs SSE2, which is asserted above; takes no pointer. Checked by test `both_forms_see_the_same`.
    unsafe { marks_sse2(window) }
}

/// Bytes that are no digits.
#[inline(always)]
pub(crate) fn others(window: &[u8; WINDOW]) -> u32 {
    // SAFETY: as in `marks`.
    unsafe { others_sse2(window) }
}

/// Bytes that may not stand in text taken as it is: escapes, controls, anything beyond ASCII.
#[inline(always)]
pub(crate) fn specials(window: &[u8; WINDOW]) -> u32 {
    // SAFETY: as in `marks`.
    unsafe { specials_sse2(window) }
}

/// What four words of eight digits each are worth, most significant digit first in memory. The words hold
/// digit values, not characters, and zeros in front. `None` when a byte is above 9.
#[inline(always)]
pub(crate) fn digits(words: [u64; 4]) -> Option<[u32; 4]> {
    // SAFETY: as in `marks`.
    unsafe { digits_sse2(words) }
}
