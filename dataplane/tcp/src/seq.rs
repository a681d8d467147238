//! Sequence numbers: 32 bits that wrap, compared by signed distance (RFC 9293, 3.4).

/// A place in the sequence space. Two of them compare truly while less than 2³¹ apart, which every
/// window here is by far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[repr(transparent)]
pub struct Seq(pub u32);

impl Seq {
    /// `count` octets further.
    #[inline]
    pub const fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// `count` octets back.
    #[inline]
    pub const fn minus(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }

    /// Octets from `earlier` to here; 0 when `earlier` is later.
    #[inline]
    pub const fn since(self, earlier: Self) -> u32 {
        let distance = self.0.wrapping_sub(earlier.0);
        if distance >> 31 == 0 { distance } else { 0 }
    }

    /// Strictly before `other`.
    #[inline]
    pub const fn is_before(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0) >> 31 == 1
    }

    /// Strictly after `other`.
    #[inline]
    pub const fn is_after(self, other: Self) -> bool {
        other.is_before(self)
    }

    /// The later of the two.
    #[inline]
    pub const fn later(self, other: Self) -> Self {
        if self.is_before(other) { other } else { self }
    }

    /// The earlier of the two.
    #[inline]
    pub const fn earlier(self, other: Self) -> Self {
        if other.is_before(self) { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_holds_across_the_wrap() {
        let before = Seq(u32::MAX - 1);
        let after = before.plus(5);
        assert_eq!(after, Seq(3));
        assert!(before.is_before(after) && after.is_after(before));
        assert!(!before.is_before(before) && !before.is_after(before));
        assert_eq!((after.since(before), before.since(after)), (5, 0));
        assert_eq!(
            (before.later(after), before.earlier(after)),
            (after, before)
        );
        assert_eq!(after.minus(5), before);
    }
}
