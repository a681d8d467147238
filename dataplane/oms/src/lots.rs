//! P&L first in, first out: what was bought first is sold first.
//!
//! Average cost ([`crate::Position`]) is what strategies and limits use; tax and compliance ask for this one. Both have
//! the same identity, and come to the same profit once flat; between they differ by which part's cost was taken.
//!
//! Quantities here are what is really held: fees taken out of what was bought are no part of a lot, so they are counted in
//! parts of an increment (`dp_types::BASE_FEE_PARTS`) where there are such, or in anything else as long as it is one unit.

use crate::position::{PositionFault, share};
use dp_types::{Notional, Side};

/// One purchase (or sale, where short) not closed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lot {
    /// What is left of it, positive.
    pub qty: i128,
    /// What that cost, 10⁻¹² quote units; negative for a sale.
    pub cost: i128,
}

/// Open lots of one position, oldest first, in a ring of fixed size.
#[derive(Debug, Clone)]
pub struct Lots {
    ring: Box<[Lot]>,
    head: usize,
    len: usize,
    /// Which way: 1 long, -1 short, 0 flat.
    sign: i128,
    qty: i128,
    realised: Notional,
    merged: u64,
}

impl Lots {
    /// No lots, room for `lots_max` (at least one). Takes its memory here.
    pub fn new(lots_max: usize) -> Self {
        Self {
            ring: vec![Lot::default(); lots_max.max(1)].into_boxed_slice(),
            head: 0,
            len: 0,
            sign: 0,
            qty: 0,
            realised: Notional(0),
            merged: 0,
        }
    }

    /// Net quantity; negative = short.
    pub const fn qty(&self) -> i128 {
        self.qty
    }

    /// P&L of what was closed, fees apart.
    pub const fn realised(&self) -> Notional {
        self.realised
    }

    /// What the open lots cost; its sign is the position's.
    pub fn cost(&self) -> Notional {
        Notional(self.iter().fold(0, |sum, lot| sum.saturating_add(lot.cost)))
    }

    /// Open lots, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Lot> + '_ {
        (0..self.len).map(|at| self.ring[(self.head + at) % self.ring.len()])
    }

    /// Fills that went into the newest lot because there was no room for one of their own: what was bought last is then
    /// told at its mean cost. No money is lost by it.
    pub const fn merged(&self) -> u64 {
        self.merged
    }

    /// Books one fill. `value` is its [`dp_types::Instrument::outlay`], less the fee where that was taken out of it.
    ///
    /// Errors: [`PositionFault::Overflow`]; nothing changed. Cost: one step a lot closed, each of which was opened once.
    pub fn book(&mut self, side: Side, qty: i128, value: Notional) -> Result<(), PositionFault> {
        let fill = Lot {
            qty,
            cost: value
                .0
                .checked_mul(i128::from(side.sign()))
                .ok_or(PositionFault::Overflow)?,
        };
        self.apply(side.sign().into(), fill)
            .ok_or(PositionFault::Overflow)
    }

    fn apply(&mut self, sign: i128, fill: Lot) -> Option<()> {
        let qty = self.qty.checked_add(fill.qty.checked_mul(sign)?)?;
        if fill.qty <= 0 {
            return None;
        }
        // Everything is reckoned before anything is changed.
        let (mut rest, mut gone, mut gain) = (fill, 0, 0i128);
        let mut cut = None;
        if self.sign == -sign {
            for lot in self.iter() {
                if rest.qty == 0 {
                    break;
                }
                let closed = lot.qty.min(rest.qty);
                let out = part_of(&lot, closed)?;
                let brought = part_of(&rest, closed)?;
                gain = gain.checked_sub(out.checked_add(brought)?)?;
                rest = less(&rest, closed, brought)?;
                if closed == lot.qty {
                    gone += 1;
                } else {
                    cut = Some(less(&lot, closed, out)?);
                }
            }
        }
        let realised = self.realised.checked_add(Notional(gain))?;
        let opens = rest.qty > 0;
        let is_full = self.len - gone == self.ring.len();
        let newest = (self.head + self.len + self.ring.len() - 1) % self.ring.len();
        let mut joined = None;
        if opens && is_full {
            let last = self.ring[newest];
            joined = Some(Lot {
                qty: last.qty.checked_add(rest.qty)?,
                cost: last.cost.checked_add(rest.cost)?,
            });
        }
        // From here on nothing fails.
        self.head = (self.head + gone) % self.ring.len();
        self.len -= gone;
        if let Some(lot) = cut {
            self.ring[self.head] = lot;
        }
        match joined {
            Some(lot) => {
                self.ring[newest] = lot;
                self.merged = self.merged.saturating_add(1);
            }
            None if opens => {
                self.ring[(self.head + self.len) % self.ring.len()] = rest;
                self.len += 1;
            }
            None => {}
        }
        (self.qty, self.sign, self.realised) = (qty, qty.signum(), realised);
        Some(())
    }
}

/// What `qty` of a lot cost; the whole of it to the last unit.
fn part_of(lot: &Lot, qty: i128) -> Option<i128> {
    if qty == lot.qty {
        return Some(lot.cost);
    }
    share(lot.cost, qty, lot.qty)
}

fn less(lot: &Lot, qty: i128, cost: i128) -> Option<Lot> {
    Some(Lot {
        qty: lot.qty - qty,
        cost: lot.cost.checked_sub(cost)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const ONE: i128 = 1_000_000_000_000;

    #[test]
    fn with_no_room_for_a_lot_the_newest_takes_it_and_no_money_is_lost() {
        let mut lots = Lots::new(2);
        for price in [10, 20, 30] {
            lots.book(Side::Buy, 1, Notional(price * ONE)).unwrap();
        }
        assert_eq!((lots.merged(), lots.iter().count()), (1, 2));
        assert_eq!(lots.cost(), Notional(60 * ONE));
        lots.book(Side::Sell, 3, Notional(90 * ONE)).unwrap();
        assert_eq!(lots.realised(), Notional(30 * ONE));
        assert_eq!((lots.qty(), lots.cost()), (0, Notional(0)));
    }

    #[test]
    fn what_cannot_be_booked_changes_nothing() {
        let mut lots = Lots::new(4);
        lots.book(Side::Buy, i128::MAX, Notional(ONE)).unwrap();
        let before = (lots.qty(), lots.cost(), lots.realised());
        for (side, qty, value) in [
            (Side::Buy, 1, ONE),
            (Side::Buy, 0, 0),
            (Side::Sell, -5, ONE),
            (Side::Sell, 1, i128::MIN),
        ] {
            let fault = lots.book(side, qty, Notional(value));
            assert_eq!(fault, Err(PositionFault::Overflow));
            assert_eq!((lots.qty(), lots.cost(), lots.realised()), before);
        }
    }

    proptest! {
        /// One at a time, in a plain queue: the same profit.
        #[test]
        fn equals_a_queue_of_single_units(
            fills in proptest::collection::vec((any::<bool>(), 1i128..20, 1i128..1_000), 1..60)
        ) {
            let mut lots = Lots::new(64);
            let (mut queue, mut realised) = (VecDeque::<(i128, i128)>::new(), 0);
            for (is_buy, qty, price) in fills {
                let side = if is_buy { Side::Buy } else { Side::Sell };
                lots.book(side, qty, Notional(qty * price * ONE)).unwrap();
                let sign = i128::from(side.sign());
                for _ in 0..qty {
                    match queue.front() {
                        Some((other, paid)) if *other == -sign => {
                            realised += sign * (paid - price);
                            queue.pop_front();
                        }
                        _ => queue.push_back((sign, price)),
                    }
                }
                prop_assert_eq!(lots.realised(), Notional(realised * ONE));
                let cost: i128 = queue.iter().map(|(sign, price)| sign * price).sum();
                prop_assert_eq!(lots.cost(), Notional(cost * ONE));
                let held: i128 = queue.iter().map(|(sign, _)| sign).sum();
                prop_assert_eq!(lots.qty(), held);
            }
        }

        /// Any numbers: cost - realised is the cash paid to the last unit, or nothing changed.
        #[test]
        fn extreme_numbers_are_booked_exactly_or_refused(
            fills in proptest::collection::vec((any::<bool>(), 1i128..1 << 77, 0i128..1 << 120), 1..12)
        ) {
            let (mut lots, mut paid) = (Lots::new(4), 0i128);
            for (is_buy, qty, value) in fills {
                let side = if is_buy { Side::Buy } else { Side::Sell };
                if lots.book(side, qty, Notional(value)).is_ok() {
                    paid += value * i128::from(side.sign());
                }
                prop_assert_eq!(lots.cost().0 - lots.realised().0, paid);
            }
        }
    }
}
