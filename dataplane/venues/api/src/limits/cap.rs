//! A limit several sessions share.

use super::Share;
use dp_types::UnixNanos;

/// A limit of the venue's, our share of it, and what it says that others have used.
#[derive(Debug, Clone, Copy)]
pub struct Cap {
    share: Share,
    venue: u32,
    own: u32,
    /// Used by others of the venue's window, and until when that window lasts.
    others: (u32, UnixNanos),
}

impl Cap {
    /// Our share of `limit`.
    pub const fn new(limit: u32, share: Share) -> Self {
        Self {
            share,
            venue: limit,
            own: share.of(limit),
            others: (0, UnixNanos(0)),
        }
    }

    /// The venue names its limit.
    pub const fn learn(&mut self, limit: u32) {
        self.venue = limit;
        self.own = self.share.of(limit);
    }

    /// The venue has counted `others` beyond what we have, in a window that ends at `until`. Until then it is not
    /// corrected downwards: what we sent may not have been counted yet.
    pub fn tell_others(&mut self, others: u32, now: UnixNanos, until: UnixNanos) {
        if others >= self.others(now) {
            self.others = (others, until);
        }
    }

    /// What others have used that still counts.
    pub fn others(&self, now: UnixNanos) -> u32 {
        let (count, until) = self.others;
        if now < until { count } else { 0 }
    }

    /// What all who share the limit may use.
    pub const fn venue(&self) -> u32 {
        self.venue
    }

    /// Our share, whatever others do: what reserves are measured by.
    pub const fn own(&self) -> u32 {
        self.own
    }

    /// What we may have used: our share, or less where others have used more than theirs.
    pub fn at(&self, now: UnixNanos) -> u32 {
        self.own.min(self.venue.saturating_sub(self.others(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixNanos = UnixNanos(1_760_000_000_000_000_000);

    #[test]
    fn others_cost_us_only_what_goes_beyond_their_part() {
        let mut cap = Cap::new(100, Share::percent(40));
        let until = T0.after(10);
        cap.tell_others(60, T0, until);
        assert_eq!(cap.at(T0), 40);
        cap.tell_others(75, T0, until);
        assert_eq!(cap.at(T0), 25);
        cap.tell_others(70, T0, until.after(10));
        assert_eq!(cap.at(T0), 25, "never downwards");
        cap.tell_others(200, T0, until);
        assert_eq!(cap.at(T0), 0);
        assert_eq!(cap.at(until), 40, "another window");
        cap.learn(50);
        assert_eq!((cap.at(until), cap.own()), (20, 20));
    }
}
