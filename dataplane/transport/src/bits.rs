//! Small sets of slots, a bit each.

/// The set of one.
pub const fn bit(at: usize) -> u64 {
    1 << at
}

/// The positions of the bits that are set, lowest first.
pub fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let at = (set != 0).then(|| set.trailing_zeros() as usize);
        set &= set.wrapping_sub(1);
        at
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_walked_in_order() {
        assert_eq!(bits(0).count(), 0);
        assert_eq!(bits(0b1010_0001).collect::<Vec<_>>(), [0, 5, 7]);
        assert_eq!(bits(u64::MAX).count(), 64);
        assert_eq!(bits(bit(0) | bit(63)).collect::<Vec<_>>(), [0, 63]);
    }
}
