//! A position in a linear perpetual: what is held and what it cost.

use super::order::Amount;

/// A position: signed quantity, and what it was entered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Increments; below 0 when short.
    pub qty: i64,
    /// Value at entry in the quote asset, never below 0.
    pub cost: Amount,
    /// Profit and loss of what was closed, in the quote asset, fees not counted.
    pub realised: Amount,
}

impl Position {
    /// A trade of a signed quantity for `cost`. Returns what it realised.
    pub(super) fn trade(&mut self, qty: i64, cost: Amount) -> Amount {
        let is_closing = self.qty.signum() * qty.signum() < 0;
        if !is_closing {
            self.qty += qty;
            self.cost += cost;
            return 0;
        }
        let closed = qty.abs().min(self.qty.abs());
        let share = |of: Amount, all: i64| of * Amount::from(closed) / Amount::from(all.abs());
        let (entry, exit) = (share(self.cost, self.qty), share(cost, qty));
        let realised = (exit - entry) * Amount::from(self.qty.signum());
        self.qty += qty;
        self.cost -= entry;
        if closed < qty.abs() {
            // The rest opens the other way.
            self.cost = cost - exit;
        }
        self.realised += realised;
        realised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_to_short_and_flat_again() {
        let mut position = Position::default();
        assert_eq!(position.trade(10, 1_000), 0);
        assert_eq!(position.trade(-4, 480), 80, "four sold 20 higher each");
        assert_eq!((position.qty, position.cost), (6, 600));
        assert_eq!(
            position.trade(-10, 900),
            -60,
            "six sold 10 lower, four opened short"
        );
        assert_eq!((position.qty, position.cost), (-4, 360));
        assert_eq!(position.trade(4, 320), 40);
        assert_eq!((position.qty, position.cost, position.realised), (0, 0, 60));
    }
}
