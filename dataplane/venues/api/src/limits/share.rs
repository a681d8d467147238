//! The part of a venue's limits that one machine may use.

/// All of it, in ten-thousandths.
const WHOLE: u32 = 10_000;

/// A part of a limit; by default all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Default for Share {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl Share {
    /// Nobody else uses the limit.
    pub const WHOLE: Self = Self(WHOLE);

    /// So many hundredths, 1 to 100; what is outside counts as the nearest.
    pub const fn percent(percent: u32) -> Self {
        let percent = if percent > 100 { 100 } else { percent };
        Self(if percent == 0 {
            WHOLE / 100
        } else {
            percent * (WHOLE / 100)
        })
    }

    /// So many hundredths of this part, 1 to 100 as above.
    #[must_use]
    pub const fn part(self, percent: u32) -> Self {
        let part = self.0 * Self::percent(percent).0 / WHOLE;
        Self(if part == 0 { 1 } else { part })
    }

    /// This part of `limit`, rounded down so that the parts of all together stay within it, but at least 1: a limit
    /// of one cannot be shared.
    pub const fn of(self, limit: u32) -> u32 {
        let part = (limit as u64 * self.0 as u64 / WHOLE as u64) as u32;
        if part == 0 { 1 } else { part }
    }

    /// Whether this part of `limit` is one at least without being raised to it.
    pub const fn holds(self, limit: u32) -> bool {
        limit as u64 * self.0 as u64 >= WHOLE as u64
    }

    /// The time in which something comes back to this part that comes back to the whole in `interval_ns`.
    pub const fn interval_ns(self, interval_ns: u64) -> u64 {
        let stretched = (interval_ns as u128 * WHOLE as u128).div_ceil(self.0 as u128);
        if stretched > u64::MAX as u128 {
            u64::MAX
        } else {
            stretched as u64
        }
    }

    /// In hundredths, for people.
    pub fn text(self) -> String {
        let (percent, rest) = (self.0 / 100, self.0 % 100);
        if rest == 0 {
            format!("{percent} %")
        } else {
            format!("{percent}.{rest:02} %")
        }
    }
}

/// What a machine may use of its venue, by whom the venue counts. Limits of one connection are never shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Of what is counted for the key, the account or the user.
    pub account: Share,
    /// Of what is counted for the address requests come from.
    pub address: Share,
}

impl Budget {
    /// Everything.
    pub const WHOLE: Self = Self {
        account: Share::WHOLE,
        address: Share::WHOLE,
    };

    /// The same part of both.
    pub const fn of(share: Share) -> Self {
        Self {
            account: share,
            address: share,
        }
    }
}

/// The first of what a machine must be able to send that its budget cannot hold.
pub fn lacking(sendable: &[(bool, &'static str)]) -> Option<&'static str> {
    let missing = sendable.iter().find(|(fits, _)| !fits);
    missing.map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_part_is_rounded_down_and_never_nothing() {
        let half = Share::percent(50);
        assert_eq!((half.of(31), half.of(1), half.of(0)), (15, 1, 1));
        assert!(half.holds(2) && !half.holds(1) && Share::WHOLE.holds(1));
        assert_eq!(lacking(&[(true, "this"), (false, "that")]), Some("that"));
        assert_eq!(half.interval_ns(333), 666);
        assert_eq!(half.part(50), Share::percent(25));
        assert_eq!(half.part(25).text(), "12.50 %");
        assert_eq!(Share::percent(1).part(1).text(), "0.01 %");
        assert_eq!(Share::percent(101), Share::WHOLE);
        assert_eq!(Share::percent(0), Share::percent(1));
        assert_eq!(Share::percent(3).interval_ns(u64::MAX), u64::MAX);
        assert_eq!(Budget::default(), Budget::of(Share::WHOLE));
    }

    proptest! {
        /// Law: parts that are no more than the whole together use no more than it, however each is rounded.
        #[test]
        fn parts_stay_within_the_whole(limit in 100u32.., first in 1u32..100, of in 1u32..100) {
            let (one, other) = (Share::percent(first), Share::percent(100 - first));
            prop_assert!(one.of(limit) + other.of(limit) <= limit);
            prop_assert!(one.part(of).of(limit) + one.part(100 - of).of(limit) <= one.of(limit).max(2));
            prop_assert!(one.interval_ns(1_000) >= 1_000);
        }
    }
}
