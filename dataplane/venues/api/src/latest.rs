//! Something remembered of each of the latest orders.

use dp_types::ClientOrderId;
use dp_types::limit::LIVE_ORDERS_MAX;

/// As many as a lane may have live at once.
const SLOTS: usize = LIVE_ORDERS_MAX;
const _: () = assert!(SLOTS.is_power_of_two());

/// One slot for each of the last sequence numbers, as many as a lane may have live. What is older is forgotten, and
/// nothing is taken for what it is not.
#[derive(Debug)]
pub struct Latest<T>(Box<[(ClientOrderId, T)]>);

impl<T: Copy + Default> Default for Latest<T> {
    fn default() -> Self {
        Self(vec![(ClientOrderId(0), T::default()); SLOTS].into_boxed_slice())
    }
}

impl<T: Copy> Latest<T> {
    /// Notes something of an order over what is known of it, or of an older one.
    pub fn note(&mut self, id: ClientOrderId, what: T) {
        if let Some(slot) = self.0.get_mut(slot_of(id))
            && slot.0 <= id
        {
            *slot = (id, what);
        }
    }

    /// What is known of an order; `None` when nothing is (any more).
    pub fn of(&self, id: ClientOrderId) -> Option<T> {
        let (owner, what) = self.0.get(slot_of(id))?;
        (*owner == id).then_some(*what)
    }
}

const fn slot_of(id: ClientOrderId) -> usize {
    id.sequence() as usize & (SLOTS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId};

    #[test]
    fn the_latest_orders_are_known_and_no_other_is_taken_for_one() {
        let id = |sequence| ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap();
        let mut latest = Latest::default();
        assert_eq!(latest.of(id(1)), None);
        latest.note(id(1), 1);
        latest.note(id(1), 2);
        assert_eq!(latest.of(id(1)), Some(2));
        latest.note(id(1 + SLOTS as u32), 3);
        assert_eq!(latest.of(id(1)), None, "its slot was taken");
        latest.note(id(1), 4);
        assert_eq!(latest.of(id(1 + SLOTS as u32)), Some(3));
    }
}
