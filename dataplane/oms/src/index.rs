//! A hash index of fixed size: hash → place in the caller's own array. Open addressing, linear probing,
//! removal by shifting back, so nothing is ever rehashed, marked or allocated after it was made.
//!
//! ```text
//!   cells   [ · | h5→p2 | h5→p9 | h6→p0 | · ]      a probe starts at its hash and ends at an empty cell
//! ```
//!
//! A `std::collections::HashMap` does the same in the mean; but it cleans up the marks its removals leave
//! by walking the whole table now and then, which is a stall of milliseconds at this size, and its
//! iteration order differs from run to run.

/// One cell: the hash and the place + 1; place 0 = empty.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    hash: u32,
    place: u32,
}

/// The index. At least twice as many cells as places, so probes stay short.
#[derive(Debug)]
pub(crate) struct Index {
    cells: Box<[Cell]>,
    mask: usize,
}

impl Index {
    /// An index for `places` places. Takes, and touches, all its memory here.
    pub(crate) fn new(places: usize) -> Self {
        let count = places.max(1).saturating_mul(2).next_power_of_two();
        Self {
            cells: vec![Cell::default(); count].into_boxed_slice(),
            mask: count - 1,
        }
    }

    /// The first place with this hash that `is_it`. Cost: the length of one probe.
    #[inline]
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = hash as usize & self.mask;
        loop {
            let cell = self.cells[at];
            if cell.place == 0 {
                return None;
            }
            if cell.hash == hash && is_it(cell.place - 1) {
                return Some(cell.place - 1);
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Adds a place. The caller adds no more places than it asked for, so there is an empty cell.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u32, place: u32) {
        let mut at = hash as usize & self.mask;
        while self.cells[at].place != 0 {
            at = (at + 1) & self.mask;
        }
        let place = place + 1;
        self.cells[at] = Cell { hash, place };
    }

    /// Takes a place out; nothing happens when it is not there.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u32, place: u32) {
        let mut hole = hash as usize & self.mask;
        while self.cells[hole].place != place + 1 {
            if self.cells[hole].place == 0 {
                return;
            }
            hole = (hole + 1) & self.mask;
        }
        // Shift back what the hole would cut off from its start.
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask;
            let cell = self.cells[at];
            if cell.place == 0 {
                break;
            }
            let start = cell.hash as usize & self.mask;
            let from_start = at.wrapping_sub(start) & self.mask;
            let from_hole = at.wrapping_sub(hole) & self.mask;
            if from_start >= from_hole {
                self.cells[hole] = cell;
                hole = at;
            }
        }
        self.cells[hole] = Cell::default();
    }
}

/// Mixes 64 bits into a 32-bit hash: the high half of a multiplication by the golden ratio.
#[inline]
pub(crate) const fn mix(key: u64) -> u32 {
    ((key ^ (key >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Few hashes, so that probes overlap and wrap around the end.
        #[test]
        fn agrees_with_a_map(steps in proptest::collection::vec((any::<bool>(), 0u32..16), 0..400)) {
            let mut index = Index::new(16);
            let mut map = BTreeMap::new();
            let hash_of = |place: u32| [0, 1, 30, 31, 31][place as usize % 5];
            for (is_insert, place) in steps {
                let hash = hash_of(place);
                match (is_insert, map.contains_key(&place)) {
                    (true, false) => {
                        index.insert(hash, place);
                        map.insert(place, hash);
                    }
                    (false, _) => {
                        index.remove(hash, place);
                        map.remove(&place);
                    }
                    (true, true) => {}
                }
                for place in 0..16 {
                    let found = index.find(hash_of(place), |at| at == place);
                    prop_assert_eq!(found, map.contains_key(&place).then_some(place));
                }
            }
        }
    }
}
