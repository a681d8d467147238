//! Whom to ask next and how long to wait: a venue that refused is passed over for a while, an order that is open too long is
//! not waited for.

use super::LEGS_MAX;
use crate::View;
use dp_types::UnixNanos;

/// How long a venue that refused is passed over at first; each refusal in a row doubles it.
const REFUSED_NS: u64 = 100_000_000;
/// How long at most for an order that hedges: so long may a venue take orders again without being asked.
const NO_HEDGE_NS_MAX: u64 = 1_000_000_000;
/// How long at most for a pair: a leg that is refused costs what it takes to hedge the other.
const NO_PAIR_NS_MAX: u64 = 60_000_000_000;
/// Beyond so many doublings the longest pause is passed.
const DOUBLINGS_MAX: u32 = 10;
const _: () = assert!(REFUSED_NS << DOUBLINGS_MAX > NO_PAIR_NS_MAX);

/// What a venue made of the orders of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Standing {
    /// Refusals in a row.
    refusals: u32,
    /// When the last was.
    refused: UnixNanos,
}

impl Standing {
    /// It took the last one.
    pub(super) const GOOD: Self = Self {
        refusals: 0,
        refused: UnixNanos(0),
    };

    /// It refused one.
    pub(super) fn refuse(&mut self, now: UnixNanos) {
        self.refusals = self.refusals.saturating_add(1);
        self.refused = now;
    }

    /// Whether another venue is asked to hedge.
    pub(super) fn is_no_hedge(self, now: UnixNanos) -> bool {
        self.is_passed_over(now, NO_HEDGE_NS_MAX)
    }

    /// Whether it takes part in no pair.
    pub(super) fn is_no_pair(self, now: UnixNanos) -> bool {
        self.is_passed_over(now, NO_PAIR_NS_MAX)
    }

    fn is_passed_over(self, now: UnixNanos, longest: u64) -> bool {
        let Some(doublings) = self.refusals.checked_sub(1) else {
            return false;
        };
        let pause = REFUSED_NS << doublings.min(DOUBLINGS_MAX);
        now.since(self.refused) < pause.min(longest)
    }
}

/// Since when orders are open on each leg, and fills are to come.
#[derive(Debug)]
pub(super) struct Waits {
    /// By leg, and one for all else; 0: nothing.
    since: [UnixNanos; LEGS_MAX + 1],
    is_any: bool,
}

impl Waits {
    /// Nothing is open.
    pub(super) const NONE: Self = Self {
        since: [UnixNanos(0); LEGS_MAX + 1],
        is_any: false,
    };

    /// Whether something is open, or to come, for less than so long.
    pub(super) fn is_young(&mut self, view: &View<'_>, is_open: bool, longest: u64) -> bool {
        if !is_open {
            if self.is_any {
                *self = Self::NONE;
            }
            return false;
        }
        self.is_any = true;
        let mut open = [false; LEGS_MAX + 1];
        open[LEGS_MAX] = !view.is_settled;
        for order in view.live {
            let mut legs = 0..view.legs.count().min(LEGS_MAX);
            let is_its = |at: &usize| {
                let leg = view.legs.get(*at);
                leg.is_some_and(|leg| leg.instrument.id == order.instrument)
            };
            let at = legs.find(is_its).unwrap_or(LEGS_MAX);
            open[at] = true;
        }
        let now = view.now.unix;
        let mut is_young = false;
        for (since, is_open) in self.since.iter_mut().zip(open) {
            if !is_open {
                *since = UnixNanos(0);
                continue;
            }
            if since.0 == 0 {
                *since = now;
            }
            is_young |= now.since(*since) < longest;
        }
        is_young
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_are_bounded() {
        let mut standing = Standing::GOOD;
        assert!(!standing.is_no_hedge(UnixNanos(0)));
        for (refusals, hedge_ms, pair_ms) in [
            (1, 100, 100),
            (2, 200, 200),
            (5, 1_000, 1_600),
            (11, 1_000, 60_000),
            (u32::MAX, 1_000, 60_000),
        ] {
            let now = UnixNanos(7_000_000);
            standing.refusals = refusals - 1;
            standing.refuse(now);
            for (pause_ms, is_no) in [
                (hedge_ms, Standing::is_no_hedge as fn(_, _) -> _),
                (pair_ms, Standing::is_no_pair),
            ] {
                let end = now.after(pause_ms * 1_000_000);
                let told = [UnixNanos(end.0 - 1), end].map(|at| is_no(standing, at));
                assert_eq!(told, [true, false], "{refusals}: {pause_ms} ms");
            }
        }
    }
}
