//! What a strategy wants: a short list, in order, of fixed size.

use dp_types::{ClientOrderId, OrderKind, PairResult, Price, Qty, Side, Tif};

/// Wishes one call may utter. A strategy that wants more has them at its next call.
pub const INTENTS_MAX: usize = 16;

/// An order one wishes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// On which of the strategy's instruments; `None`: the one the call is about.
    pub leg: Option<u8>,
    /// Side.
    pub side: Side,
    /// Kind.
    pub kind: OrderKind,
    /// Life.
    pub tif: Tif,
    /// Limit price, increments.
    pub price: Price,
    /// Quantity, increments.
    pub qty: Qty,
}

/// One thing a strategy wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// A new order.
    New(Wish),
    /// Two new orders on two instruments: both pass the risk gate, or neither leaves.
    Pair(Wish, Wish),
    /// A change of a live order.
    Amend {
        /// Which.
        client_id: ClientOrderId,
        /// New price; `None` = unchanged.
        price: Option<Price>,
        /// New total quantity; `None` = unchanged.
        qty: Option<Qty>,
    },
    /// The end of a live order.
    Cancel {
        /// Which.
        client_id: ClientOrderId,
    },
}

/// The wishes of one call.
#[derive(Debug, Clone, Default)]
pub struct Intents {
    items: [Option<Intent>; INTENTS_MAX],
    len: usize,
    signal: Option<i64>,
    pair: Option<PairResult>,
    /// Wishes that did not fit, since it was made.
    pub overflows: u64,
}

impl Intents {
    /// No wishes.
    pub const fn new() -> Self {
        Self {
            items: [None; INTENTS_MAX],
            len: 0,
            signal: None,
            pair: None,
            overflows: 0,
        }
    }

    /// Adds a wish; one too many is dropped and counted.
    pub fn push(&mut self, intent: Intent) {
        match self.items.get_mut(self.len) {
            Some(slot) => {
                *slot = Some(intent);
                self.len += 1;
            }
            None => self.overflows += 1,
        }
    }

    /// Wishes for a new order on the instrument the call is about.
    pub fn new_order(&mut self, side: Side, kind: OrderKind, tif: Tif, price: Price, qty: Qty) {
        self.push(Intent::New(Wish {
            leg: None,
            side,
            kind,
            tif,
            price,
            qty,
        }));
    }

    /// The same on another of the strategy's instruments: `out.on(2).new_order(...)`.
    pub const fn on(&mut self, leg: u8) -> OnLeg<'_> {
        OnLeg { out: self, leg }
    }

    /// Wishes for a cancel.
    pub fn cancel(&mut self, client_id: ClientOrderId) {
        self.push(Intent::Cancel { client_id });
    }

    /// Wishes for another price or quantity of a live order; what its venue cannot change is refused. One at a time: while
    /// an amend or a cancel of it is under way ([`LiveOrder::is_amending`](dp_types::LiveOrder)) it comes to nothing.
    pub fn amend(&mut self, client_id: ClientOrderId, price: Option<Price>, qty: Option<Qty>) {
        self.push(Intent::Amend {
            client_id,
            price,
            qty,
        });
    }

    /// Tells a number for the record, in the strategy's own unit: it lands in the database, at most one a second, and
    /// nothing depends on it. Of several in one call the last counts.
    pub const fn signal(&mut self, value: i64) {
        self.signal = Some(value);
    }

    /// What was told for the record in this call.
    pub const fn told(&self) -> Option<i64> {
        self.signal
    }

    /// Tells what a pair made, for the record: each lands in the database and in the strategy's line. Of several in one
    /// call the last counts.
    pub const fn pair_done(&mut self, result: PairResult) {
        self.pair = Some(result);
    }

    /// What was told of a pair in this call.
    pub const fn told_pair(&self) -> Option<&PairResult> {
        self.pair.as_ref()
    }

    /// Takes the wish at `at`, in the order they were uttered.
    pub fn get(&self, at: usize) -> Option<Intent> {
        self.items
            .get(at)
            .copied()
            .flatten()
            .filter(|_| at < self.len)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets them.
    pub const fn clear(&mut self) {
        self.len = 0;
        self.signal = None;
        self.pair = None;
    }
}

/// Wishes on one of a strategy's instruments.
#[derive(Debug)]
pub struct OnLeg<'a> {
    out: &'a mut Intents,
    leg: u8,
}

impl OnLeg<'_> {
    /// Wishes for a new order.
    pub fn new_order(self, side: Side, kind: OrderKind, tif: Tif, price: Price, qty: Qty) {
        self.out.push(Intent::New(Wish {
            leg: Some(self.leg),
            side,
            kind,
            tif,
            price,
            qty,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_is_dropped_and_counted() {
        let mut intents = Intents::new();
        for at in 0..INTENTS_MAX + 3 {
            intents.cancel(ClientOrderId(at as u64));
        }
        assert_eq!((intents.len(), intents.overflows), (INTENTS_MAX, 3));
        assert_eq!(
            intents.get(1),
            Some(Intent::Cancel {
                client_id: ClientOrderId(1)
            })
        );
        intents.clear();
        assert_eq!((intents.is_empty(), intents.get(0)), (true, None));
    }
}
