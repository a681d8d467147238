//! New orders that one request carries: told by the request's own id, so that no table of requests is kept.
//!
//! Their client ids are one behind the other ([`crate::Venue::new_orders`]): the first one, and a number that says which
//! instrument and how many, name them all. An answer's item without an id is the order of its place.

use dp_types::{ClientOrderId, InstrumentId, NewOrder, UnixNanos};

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

    /// Read back from what a request's tag holds. `None`: it is none of ours.
    pub fn read(first: ClientOrderId, instrument: InstrumentId, count: usize) -> Option<Self> {
        ClientOrderId::from_raw(first.0)?;
        (1..=Self::MAX).contains(&count).then_some(Self {
            first,
            instrument,
            count: count as u64,
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

/// Which orders of a batch have their answer. An answer may leave some out, say one twice, or name others: each order
/// is answered once, and those that are not are known at the end.
#[derive(Debug, Clone, Copy)]
pub struct Fates {
    batch: OrderBatch,
    /// A bit a place.
    settled: u32,
}

const _: () = assert!(OrderBatch::MAX <= u32::BITS as usize);

impl Fates {
    /// None has its answer.
    pub const fn new(batch: OrderBatch) -> Self {
        Self { batch, settled: 0 }
    }

    /// This order's answer is here. Whether it is one of the batch, and the answer its first.
    pub fn settle(&mut self, id: ClientOrderId) -> bool {
        let place = id.0.checked_sub(self.batch.first.0);
        let Some(place) = place.filter(|place| *place < self.batch.count) else {
            return false;
        };
        let bit = 1 << place; // below the count, which is below 32
        let is_first = self.settled & bit == 0;
        self.settled |= bit;
        is_first
    }

    /// Those without an answer.
    pub fn open(self) -> impl Iterator<Item = ClientOrderId> {
        let places = 0..self.batch.count();
        let open = places.filter(move |place| self.settled & 1 << place == 0);
        open.filter_map(move |place| self.batch.at(place))
    }
}

/// A REST link of its own for batches. One is under way at a time: behind it another would wait for its answer, and
/// orders that cannot go together go by themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct BatchLink {
    is_open: bool,
    /// When the one under way went out.
    sent: Option<UnixNanos>,
}

impl BatchLink {
    /// It is open, and nothing is under way.
    pub const fn opened() -> Self {
        Self {
            is_open: true,
            sent: None,
        }
    }

    /// One went out.
    pub const fn send(&mut self, now: UnixNanos) {
        self.sent = Some(now);
    }

    /// Its answer is here, or the word that none comes.
    pub const fn answered(&mut self) {
        self.sent = None;
    }

    /// Whether one may go out. One that is lost without a word holds the others up for `wait_ns`.
    pub fn is_free(&self, now: UnixNanos, wait_ns: u64) -> bool {
        let is_under_way = |at: UnixNanos| at.after(wait_ns) > now;
        self.is_open && !self.sent.is_some_and(is_under_way)
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
        for count in [0, 32] {
            assert_eq!(OrderBatch::read(first, InstrumentId(0), count), None);
        }
        let none = ClientOrderId(0);
        assert_eq!(OrderBatch::read(none, InstrumentId(0), 2), None);
    }

    #[test]
    fn one_is_under_way_at_a_time() {
        let at = UnixNanos;
        let mut link = BatchLink::default();
        assert!(!link.is_free(at(1), 10), "not open");
        link = BatchLink::opened();
        assert!(link.is_free(at(1), 10));
        link.send(at(1));
        assert!(!link.is_free(at(10), 10));
        assert!(link.is_free(at(11), 10), "lost without a word");
        link.send(at(11));
        link.answered();
        assert!(link.is_free(at(11), 10));
    }

    #[test]
    fn each_order_is_answered_once_and_what_is_left_is_known() {
        let first = ClientOrderId(1 << 32 | 7);
        for count in [3, OrderBatch::MAX] {
            let batch = OrderBatch::read(first, InstrumentId(0), count).unwrap();
            let mut fates = Fates::new(batch);
            assert_eq!(fates.open().count(), count);
            assert!(fates.settle(ClientOrderId(first.0 + 1)));
            assert!(!fates.settle(ClientOrderId(first.0 + 1)), "twice");
            let after = ClientOrderId(first.0 + count as u64);
            let before = ClientOrderId(first.0 - 1);
            for stranger in [before, after, ClientOrderId(0), ClientOrderId(u64::MAX)] {
                assert!(!fates.settle(stranger));
            }
            let open: Vec<_> = fates.open().map(|id| id.0 - first.0).collect();
            assert_eq!((open[0], open[1], open.len()), (0, 2, count - 1));
            for id in fates.open() {
                assert!(fates.settle(id));
            }
            assert_eq!(fates.open().count(), 0);
        }
    }
}
