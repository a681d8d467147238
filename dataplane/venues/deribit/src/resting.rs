//! What an amend must tell anew: the venue's `edit` takes the whole of an order, our amend only what changes.
//!
//! ```text
//! private/edit   amount: always wanted    price: told anew rather than trusted to stay
//!                post_only: told anew, or an amended quote might take
//! ```
//! One slot for each of the last [`SLOTS`] sequence numbers, filled when an order is sent and from every word the
//! venue says of it. An order that is older is not amended ([`Resting::terms`] is `None`): it is cancelled and
//! placed anew by whoever wants it otherwise. Nothing else of orders is remembered here.
//! Source: venue page, section 4 (`private/edit`), and the venue's reference of it, read 2026-11-21.

use dp_types::limit::LIVE_ORDERS_MAX;
use dp_types::{ClientOrderId, Decimal};

/// As many as a lane may have live at once.
const SLOTS: usize = LIVE_ORDERS_MAX;
const _: () = assert!(SLOTS.is_power_of_two());

/// The terms of an order, as the venue is told them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Limit price.
    pub price: Decimal,
    /// Whole amount, in the instrument's unit.
    pub amount: Decimal,
    /// It must not take.
    pub is_post_only: bool,
}

/// The terms of the latest orders.
#[derive(Debug)]
pub struct Resting(Box<[(ClientOrderId, Terms)]>);

impl Default for Resting {
    fn default() -> Self {
        Self(vec![(ClientOrderId(0), Terms::default()); SLOTS].into_boxed_slice())
    }
}

impl Resting {
    /// Notes the terms of an order over those of an older one.
    pub fn note(&mut self, id: ClientOrderId, terms: Terms) {
        if let Some(slot) = self.0.get_mut(slot_of(id))
            && slot.0 <= id
        {
            *slot = (id, terms);
        }
    }

    /// The terms of an order; `None` when they are not known (any more).
    pub fn terms(&self, id: ClientOrderId) -> Option<Terms> {
        let (owner, terms) = self.0.get(slot_of(id))?;
        (*owner == id).then_some(*terms)
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
        let terms = |mantissa| Terms {
            price: Decimal {
                mantissa,
                exponent: 0,
            },
            ..Terms::default()
        };
        let mut resting = Resting::default();
        assert_eq!(resting.terms(id(1)), None);
        resting.note(id(1), terms(1));
        resting.note(id(1), terms(2));
        assert_eq!(resting.terms(id(1)), Some(terms(2)));
        resting.note(id(1 + SLOTS as u32), terms(3));
        assert_eq!(resting.terms(id(1)), None, "its slot was taken");
        resting.note(id(1), terms(4));
        assert_eq!(resting.terms(id(1 + SLOTS as u32)), Some(terms(3)));
    }
}
