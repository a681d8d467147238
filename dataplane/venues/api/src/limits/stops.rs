//! What a refusal for rate stops.

use dp_types::UnixNanos;

/// The longest time a venue may name that we believe, seconds.
const NAMED_S_MAX: u32 = 3_600;

/// What the venue refused for rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A cancel.
    Cancel,
    /// Something else, or nobody knows what.
    Other,
}

/// Until when the venue is left alone. Cancels, which take orders off, are held apart and as shortly as may be. A stop
/// is never shortened by a later one.
#[derive(Debug, Clone, Copy)]
pub struct Stops {
    other: UnixNanos,
    cancels: UnixNanos,
}

impl Stops {
    /// Nothing is held.
    pub const NONE: Self = Self {
        other: UnixNanos(0),
        cancels: UnixNanos(0),
    };

    /// Whether everything but cancels is held.
    pub fn holds(&self, now: UnixNanos) -> bool {
        now < self.other
    }

    /// Whether cancels are.
    pub fn holds_cancels(&self, now: UnixNanos) -> bool {
        now < self.cancels
    }

    /// Holds everything but cancels. Returns when that ends.
    pub fn hold(&mut self, until: UnixNanos) -> UnixNanos {
        self.other = self.other.max(until);
        self.other
    }

    /// Holds cancels, and no more than them. Returns when that ends.
    pub fn hold_cancels(&mut self, until: UnixNanos) -> UnixNanos {
        self.cancels = self.cancels.max(until);
        self.cancels
    }

    /// Until when everything but cancels is held; in the past when it is not.
    pub const fn until(&self) -> UnixNanos {
        self.other
    }
}

/// The time of a `Retry-After`, nanoseconds: 0 where there was none, an hour at most.
pub fn named_ns(retry_after_s: Option<u32>) -> u64 {
    let named_s = retry_after_s.map_or(0, |s| s.min(NAMED_S_MAX));
    u64::from(named_s) * 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_not_shortened_and_cancels_are_apart() {
        let at = |ns| UnixNanos(ns);
        let mut stops = Stops::NONE;
        assert!(!stops.holds(at(0)) && !stops.holds_cancels(at(0)));
        assert_eq!((stops.hold(at(9)), stops.hold(at(5))), (at(9), at(9)));
        assert!(stops.holds(at(8)) && !stops.holds(at(9)));
        assert!(!stops.holds_cancels(at(1)), "what rests must go");
        assert_eq!(stops.hold_cancels(at(3)), at(3));
        assert!(stops.holds_cancels(at(2)) && !stops.holds_cancels(at(3)));
        assert_eq!(stops.until(), at(9));
    }

    #[test]
    fn a_named_time_is_believed_up_to_an_hour() {
        assert_eq!((named_ns(None), named_ns(Some(2))), (0, 2_000_000_000));
        assert_eq!(named_ns(Some(u32::MAX)), 3_600_000_000_000);
    }
}
