//! Fills already counted, so that one told twice is counted once.

use dp_types::{ClientOrderId, InstrumentId, TradeId};
use std::collections::{HashSet, VecDeque};

/// Fills remembered, the newest. Venues tell a fill again within minutes (stream, reply, query); a fill
/// older than this many others is taken for new, which reconciliation then shows as a difference.
pub(crate) const SEEN_MAX: usize = 65_536;

type Key = (InstrumentId, TradeId, ClientOrderId);

/// A bounded set, oldest out first. All memory is taken when it is made.
#[derive(Debug)]
pub(crate) struct Seen {
    set: HashSet<Key>,
    order: VecDeque<Key>,
}

impl Seen {
    pub(crate) fn new() -> Self {
        // Twice the room: removals leave marks behind that a hash set cleans up in place.
        Self {
            set: HashSet::with_capacity(2 * SEEN_MAX),
            order: VecDeque::with_capacity(SEEN_MAX + 1),
        }
    }

    /// Remembers a fill; false when it was known. The client id is part of the key: both sides of a
    /// trade with ourselves bear one trade id. A key with client id 0 stands for any (an earlier run's).
    pub(crate) fn insert(&mut self, key: Key) -> bool {
        let any = (key.0, key.1, ClientOrderId(0));
        if self.set.contains(&any) || !self.set.insert(key) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_only_and_bounded() {
        let mut seen = Seen::new();
        let key = |n: usize| (InstrumentId(1), TradeId(n as u128), ClientOrderId(1 << 32));
        for n in 0..SEEN_MAX + 10 {
            assert!(seen.insert(key(n)));
            assert!(!seen.insert(key(n)));
        }
        assert_eq!((seen.set.len(), seen.order.len()), (SEEN_MAX, SEEN_MAX));
        assert!(seen.insert(key(3)), "the oldest are forgotten");
        assert!(seen.insert((InstrumentId(2), TradeId(99), ClientOrderId(1 << 32))));
    }
}
