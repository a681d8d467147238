//! Fills already counted, so that one told twice is counted once.

use crate::index::{Index, mix};
use dp_types::{ClientOrderId, InstrumentId, TradeId};

/// Fills remembered, the newest. Venues tell a fill again within minutes (stream, reply, query); a fill
/// older than this many others is taken for new, which reconciliation then shows as a difference.
pub(crate) const SEEN_MAX: usize = 65_536;

type Key = (InstrumentId, TradeId, ClientOrderId);

/// A bounded set, oldest out first: a ring of keys and an index into it. All memory is taken when it is
/// made.
#[derive(Debug)]
pub(crate) struct Seen {
    ring: Box<[Key]>,
    index: Index,
    /// Keys ever taken in; the ring place of the next one is this modulo its length.
    count: usize,
}

/// The client id is left out: a key that stands for any order must be found by the same probe.
fn hash(key: &Key) -> u32 {
    let trade = key.1.0;
    mix((trade as u64) ^ ((trade >> 64) as u64).rotate_left(29) ^ (u64::from(key.0.0) << 40))
}

impl Seen {
    pub(crate) fn new(keys: usize) -> Self {
        let none = (InstrumentId(u32::MAX), TradeId(0), ClientOrderId(0));
        Self {
            ring: vec![none; keys.max(1)].into_boxed_slice(),
            index: Index::new(keys.max(1)),
            count: 0,
        }
    }

    /// Whether this fill is remembered.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.index.find(hash(key), self.is_known(key)).is_some()
    }

    fn is_known(&self, key: &Key) -> impl Fn(u32) -> bool {
        let (ring, key) = (&self.ring, *key);
        move |at: u32| {
            let held = ring[at as usize];
            let is_any = held.2 == ClientOrderId(0) || key.2 == ClientOrderId(0);
            (held.0, held.1) == (key.0, key.1) && (held.2 == key.2 || is_any)
        }
    }

    /// Remembers a fill; false when it was known. The client id is part of the key: both sides of a
    /// trade with ourselves bear one trade id. A key with client id 0 stands for any: an earlier
    /// run's, or one that a venue tells without it.
    pub(crate) fn insert(&mut self, key: Key) -> bool {
        if self.has(&key) {
            return false;
        }
        let at = self.count % self.ring.len();
        if self.count >= self.ring.len() {
            self.index.remove(hash(&self.ring[at]), at as u32);
        }
        self.ring[at] = key;
        self.index.insert(hash(&key), at as u32);
        self.count += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const OURS: ClientOrderId = ClientOrderId(1 << 32);

    #[test]
    fn once_only_and_bounded() {
        let mut seen = Seen::new(SEEN_MAX);
        let key = |n: usize| (InstrumentId(1), TradeId(n as u128), OURS);
        for n in 0..SEEN_MAX + 10 {
            assert!(seen.insert(key(n)));
            assert!(!seen.insert(key(n)));
        }
        assert!(seen.insert(key(3)), "the oldest are forgotten");
        assert!(!seen.insert(key(20)));
        assert!(seen.insert((InstrumentId(2), TradeId(99), OURS)));
    }

    #[test]
    fn a_key_of_an_earlier_run_stands_for_any_order() {
        let mut seen = Seen::new(8);
        assert!(seen.insert((InstrumentId(1), TradeId(5), ClientOrderId(0))));
        assert!(!seen.insert((InstrumentId(1), TradeId(5), OURS)));
        assert!(seen.insert((InstrumentId(1), TradeId(6), OURS)));
    }

    proptest! {
        #[test]
        fn agrees_with_a_list(keys in proptest::collection::vec((0u32..2, 0u128..12, 0u64..3), 0..200)) {
            let mut seen = Seen::new(8);
            let mut list: VecDeque<Key> = VecDeque::new();
            for (instrument, trade, client) in keys {
                let key = (InstrumentId(instrument), TradeId(trade << 60), ClientOrderId(client));
                let any = (key.0, key.1, ClientOrderId(0));
                let is_told = |it: &Key| (it.0, it.1) == (key.0, key.1);
                let is_any = client == 0 && list.iter().any(is_told);
                let is_new = !is_any && !list.contains(&key) && !list.contains(&any);
                prop_assert_eq!(seen.insert(key), is_new);
                if is_new {
                    list.push_back(key);
                    if list.len() > 8 {
                        list.pop_front();
                    }
                }
            }
        }
    }
}
