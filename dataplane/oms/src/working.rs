//! What works on either side of an instrument, kept by steps as its orders change.
//!
//! Sums are always exact. The best own price is a bound from the moment the order that had it goes until somebody asks:
//! only then, and only if others still rest there, are they looked through.

use crate::order::Order;
use dp_types::{Price, Qty, Side};

/// What one order adds to its side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Part {
    leaves: Qty,
    price: Price,
    is_resting: bool,
}

impl Part {
    /// Of an order that is held: a final one only as far as its fills are not all counted.
    #[inline]
    pub(crate) fn of(order: &Order) -> Self {
        let price = match order.side {
            Side::Buy => order.price.max(order.asked_price),
            Side::Sell => order.price.min(order.asked_price),
        };
        Self {
            leaves: order.leaves_worst(),
            price,
            is_resting: !order.state.is_final(),
        }
    }

    #[inline]
    fn resting(self) -> Option<Price> {
        self.is_resting.then_some(self.price)
    }
}

/// One side of one instrument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Working {
    side: Side,
    leaves: i128,
    resting: usize,
    /// None of those that rest is better.
    bound: Option<Price>,
    /// One of them is as good.
    is_met: bool,
}

impl Working {
    pub(crate) const fn new(side: Side) -> Self {
        Self {
            side,
            leaves: 0,
            resting: 0,
            bound: None,
            is_met: true,
        }
    }

    /// An order's part is another one now.
    #[inline]
    pub(crate) fn step(&mut self, before: Part, after: Part) {
        self.leaves += i128::from(after.leaves.0) - i128::from(before.leaves.0);
        let (was, is) = (before.resting(), after.resting());
        if was == is {
            return;
        }
        self.resting += usize::from(is.is_some());
        self.resting -= usize::from(was.is_some());
        if self.resting == 0 {
            (self.bound, self.is_met) = (None, true);
            return;
        }
        self.is_met &= was.is_none() || was != self.bound;
        if let Some(price) = is
            && self
                .bound
                .is_none_or(|bound| self.side.is_as_good(price, bound))
        {
            (self.bound, self.is_met) = (Some(price), true);
        }
    }

    /// The sum of what is left, at most the largest quantity there is.
    #[inline]
    pub(crate) fn leaves(&self) -> Qty {
        Qty(i64::try_from(self.leaves).unwrap_or(i64::MAX))
    }

    /// Whether [`Working::best`] is the best price: not when the order that had it went, and they are to be looked through.
    #[inline]
    pub(crate) const fn is_sure(&self) -> bool {
        self.is_met
    }

    /// The best price of those that rest, or a bound of it.
    #[inline]
    pub(crate) const fn best(&self) -> Option<Price> {
        self.bound
    }

    /// Looks through every order held of the instrument, either side.
    #[cold]
    pub(crate) fn look<'a>(&mut self, held: impl Iterator<Item = &'a Order>) {
        let side = self.side;
        let prices = held
            .filter(|order| order.side == side)
            .filter_map(|order| Part::of(order).resting());
        self.bound = prices.reduce(|best, price| {
            if side.is_as_good(price, best) {
                price
            } else {
                best
            }
        });
        self.is_met = true;
    }
}
