//! New orders that one request carries: told by the request's own id, so that no table of requests is kept.
//!
//! Their client ids are one behind the other ([`crate::Venue::new_orders`]): the first one, and a number that says which
//! instrument and how many, name them all. An answer's item without an id is the order of its place.

use dp_types::{ClientOrderId, InstrumentId, NewOrder};

/// What a number has for the count: a batch has fewer.
const COUNTS: u64 = 32;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderBatch {
    first: ClientOrderId,
    instrument: InstrumentId,
    count: u64,
}

impl OrderBatch {
    /// Most orders of one.
    pub const MAX: usize = COUNTS as usize - 1;

    /// Of these orders. `None`: there are none, or too many.
    pub fn of(orders: &[NewOrder]) -> Option<Self> {
        let first = orders.first().filter(|_| orders.len() <= Self::MAX)?;
        Some(Self {
            first: first.client_id,
            instrument: first.instrument,
            count: orders.len() as u64,
        })
    }

    /// Read back from a request's id.
    pub fn from_number(first: ClientOrderId, number: u64) -> Option<Self> {
        let instrument = (number / COUNTS).checked_sub(1)?;
        Some(Self {
            first,
            instrument: InstrumentId(u32::try_from(instrument).ok()?),
            count: number % COUNTS,
        })
    }

    /// Instrument and count, never 0.
    pub fn number(self) -> u64 {
        (u64::from(self.instrument.0) + 1) * COUNTS + self.count
    }

    /// The first one's client id.
    pub const fn first(self) -> ClientOrderId {
        self.first
    }

    /// What they are orders for.
    pub const fn instrument(self) -> InstrumentId {
        self.instrument
    }

    /// How many there are.
    pub const fn count(self) -> usize {
        self.count as usize
    }

    /// The client id of the order at this place, from 0. `None`: there is none.
    pub fn at(self, place: usize) -> Option<ClientOrderId> {
        let place = u64::try_from(place).ok().filter(|it| *it < self.count)?;
        ClientOrderId::from_raw(self.first.0.checked_add(place)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_places_are_ids() {
        let first = ClientOrderId(1 << 32 | 7);
        for (index, count) in [(0, 2), (2, 31), (u32::MAX, 1)] {
            let batch = OrderBatch {
                first,
                instrument: InstrumentId(index),
                count,
            };
            assert_eq!(OrderBatch::from_number(first, batch.number()), Some(batch));
            assert_eq!(batch.at(0), Some(first));
            assert_eq!(batch.at(batch.count()), None);
        }
        for number in [0, COUNTS - 1, u64::MAX] {
            assert_eq!(OrderBatch::from_number(first, number), None, "{number}");
        }
    }
}
