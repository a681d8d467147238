//! Logarithms in integers, so that every machine and every build comes to the same quote.

/// ln 2 in parts of 10^9.
const LN_2_NANO: u64 = 693_147_181;
/// Fraction bits of the binary logarithm.
const BITS: u32 = 40;

/// ln(`numer` / `denom`) in parts of 10^9, for `numer` >= `denom` > 0; off by at most 100 parts. `None` otherwise.
///
/// The binary logarithm bit by bit: what remains is squared, and where that passes 2 the bit is set.
pub fn ln_nano(numer: u64, denom: u64) -> Option<u64> {
    if denom == 0 || numer < denom {
        return None;
    }
    let ratio = u128::from(numer).checked_shl(64)? / u128::from(denom);
    let whole = ratio.ilog2() - 64;
    // Between 1 and 2, in parts of 2^63.
    let mut rest = ratio >> (whole + 1);
    let mut log = u128::from(whole) << BITS;
    for bit in (0..BITS).rev() {
        rest = (rest * rest) >> 63;
        if rest >> 64 != 0 {
            rest >>= 1;
            log |= 1 << bit;
        }
    }
    Some(((log * u128::from(LN_2_NANO)) >> BITS) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_logarithms() {
        for (numer, denom, want) in [
            (1, 1, 0),
            (2, 1, 693_147_181),
            (10, 1, 2_302_585_093),
            (3, 2, 405_465_108),
        ] {
            let got = ln_nano(numer, denom).unwrap();
            assert!(got.abs_diff(want) <= 5, "{numer}/{denom}: {got}");
        }
        assert_eq!((ln_nano(1, 2), ln_nano(1, 0)), (None, None));
    }

    proptest! {
        #[test]
        fn equals_the_logarithm(numer in 1u64.., denom in 1u64..) {
            let (numer, denom) = (numer.max(denom), numer.min(denom));
            let want = (numer as f64).ln() - (denom as f64).ln();
            let got = ln_nano(numer, denom).unwrap() as f64 / 1e9;
            prop_assert!((got - want).abs() < 1e-7, "{got} {want}");
        }
    }
}
