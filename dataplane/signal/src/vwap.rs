//! Mean price by quantity over the last while (VWAP), without a list of trades.

use dp_types::{Price, Qty, UnixNanos};

/// Parts a window is divided into: it forgets one at a time.
const PARTS: usize = 64;

#[derive(Debug, Clone, Copy, Default)]
struct Part {
    /// Which part of time, counted from the epoch.
    number: u64,
    qty: i64,
    value: i128,
}

/// The mean over a window.
#[derive(Debug, Clone)]
pub struct Vwap {
    part_ns: u64,
    parts: [Part; PARTS],
    qty: i128,
    value: i128,
    /// The latest part.
    number: u64,
}

impl Vwap {
    /// The mean of the last `window_ns`, to a 64th of it.
    pub const fn new(window_ns: u64) -> Self {
        let part_ns = window_ns / PARTS as u64;
        Self {
            part_ns: if part_ns == 0 { 1 } else { part_ns },
            parts: [Part {
                number: 0,
                qty: 0,
                value: 0,
            }; PARTS],
            qty: 0,
            value: 0,
            number: 0,
        }
    }

    /// A trade at `at`; one older than the window is left out.
    #[inline]
    pub fn on_trade(&mut self, price: Price, qty: Qty, at: UnixNanos) {
        self.on_time(at);
        let number = at.0 / self.part_ns;
        if number + PARTS as u64 <= self.number {
            return;
        }
        let part = &mut self.parts[number as usize % PARTS];
        if part.number != number {
            // Emptied by `on_time`, or never used.
            *part = Part {
                number,
                ..Part::default()
            };
        }
        let room = i64::MAX - part.qty;
        let qty = qty.0.clamp(0, room);
        // 64 parts of 2^63 increments at 2^63: 2^132 would not fit, and is no market.
        let value = i128::from(price.0) * i128::from(qty);
        let (Some(of_part), Some(of_all)) =
            (part.value.checked_add(value), self.value.checked_add(value))
        else {
            return;
        };
        part.qty += qty;
        part.value = of_part;
        self.qty += i128::from(qty);
        self.value = of_all;
    }

    /// Forgets what is older than the window at `now`.
    pub fn on_time(&mut self, now: UnixNanos) {
        let number = now.0 / self.part_ns;
        if number <= self.number {
            return;
        }
        self.number = number;
        for part in &mut self.parts {
            if part.number + (PARTS as u64) <= number {
                self.qty -= i128::from(part.qty);
                self.value -= part.value;
                *part = Part::default();
            }
        }
    }

    /// The mean, increments, rounded towards zero; `None` where nothing was traded.
    pub fn get(&self) -> Option<Price> {
        let mean = self.value.checked_div(self.qty)?;
        i64::try_from(mean).ok().map(Price)
    }

    /// What was traded in the window, increments; saturates.
    pub fn qty(&self) -> Qty {
        Qty(i64::try_from(self.qty).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equals_a_mean_by_hand_and_forgets() {
        let mut vwap = Vwap::new(6_400);
        vwap.on_trade(Price(100), Qty(3), UnixNanos(1_000));
        vwap.on_trade(Price(110), Qty(1), UnixNanos(2_000));
        assert_eq!((vwap.get(), vwap.qty()), (Some(Price(102)), Qty(4)));
        vwap.on_time(UnixNanos(7_450));
        assert_eq!(
            vwap.get(),
            Some(Price(110)),
            "the first is out of the window"
        );
        vwap.on_time(UnixNanos(8_450));
        assert_eq!((vwap.get(), vwap.qty()), (None, Qty(0)));
        vwap.on_trade(Price(1), Qty(1), UnixNanos(1_000));
        assert_eq!(vwap.get(), None, "older than the window");
    }

    proptest! {
        #[test]
        fn equals_the_mean_of_a_list(
            trades in proptest::collection::vec((1i64..1_000_000, 1i64..1_000, 0u64..2_000), 1..200)
        ) {
            let mut vwap = Vwap::new(6_400);
            let (mut list, mut now) = (Vec::new(), 0);
            for (price, qty, later) in trades {
                now += later;
                list.push((now / 100, price, qty));
                vwap.on_trade(Price(price), Qty(qty), UnixNanos(now));
                let kept = list.iter().filter(|(part, ..)| part + 64 > now / 100);
                let (value, sum) = kept.fold((0i128, 0i128), |(value, sum), (_, price, qty)| {
                    (value + i128::from(price * qty), sum + i128::from(*qty))
                });
                prop_assert_eq!(vwap.get().map(|price| i128::from(price.0)), value.checked_div(sum));
            }
        }

        #[test]
        fn no_number_overflows(trades in proptest::collection::vec(any::<(i64, i64, u64)>(), 1..100)) {
            let mut vwap = Vwap::new(1 << 60);
            for (price, qty, at) in trades {
                vwap.on_trade(Price(price), Qty(qty), UnixNanos(at));
                let _ = (vwap.get(), vwap.qty());
            }
        }
    }
}
