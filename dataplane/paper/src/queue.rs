//! Where an order stands in the queue of its price, from the sums a book of levels shows.

/// Who cancelled when a level shrinks by more than was traded there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueueModel {
    /// Always those behind us: only trades bring us forward. The least favourable.
    Behind,
    /// Those before and behind us as their quantities are.
    #[default]
    Proportional,
    /// By the squares of their quantities: the longer part cancels more than its share, so that near the front little
    /// goes from before us.
    Squared,
}

/// One order's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Quantity before us, increments.
    pub ahead: i64,
    /// The level's quantity as last seen.
    level: i64,
    /// Traded there since.
    traded: i64,
}

impl Place {
    /// At the end of a level that has this much.
    pub const fn behind(level: i64) -> Self {
        Self {
            ahead: level,
            level,
            traded: 0,
        }
    }

    /// A trade of `qty` at our price. Returns what of it reaches us.
    pub const fn on_trade(&mut self, qty: i64) -> i64 {
        self.traded = self.traded.saturating_add(qty);
        let past = qty.saturating_sub(self.ahead);
        self.ahead = self.ahead.saturating_sub(qty);
        if self.ahead < 0 {
            self.ahead = 0;
        }
        if past > 0 { past } else { 0 }
    }

    /// The level is `level` now.
    pub fn on_level(&mut self, level: i64, model: QueueModel) {
        let was = self.level.saturating_sub(self.traded).max(0);
        let gone = was.saturating_sub(level).max(0);
        let behind = was.saturating_sub(self.ahead).max(0);
        let (ahead, behind) = (i128::from(self.ahead), i128::from(behind));
        let from_ahead = match model {
            QueueModel::Behind => 0,
            QueueModel::Proportional => share(gone, ahead, behind),
            QueueModel::Squared => share(gone, ahead * ahead, behind * behind),
        };
        self.ahead = self.ahead.saturating_sub(from_ahead).clamp(0, level.max(0));
        (self.level, self.traded) = (level, 0);
    }
}

/// `of` x `part` / (`part` + `rest`), rounded down; `part` and `rest` are at most 2^126.
fn share(of: i64, part: i128, rest: i128) -> i64 {
    // Scaled down together until the product fits: only their ratio counts.
    let bits = 128 - (part + rest).leading_zeros();
    let shift = bits.saturating_sub(62);
    let (part, rest) = (part >> shift, rest >> shift);
    let share = (i128::from(of) * part).checked_div(part + rest);
    share.unwrap_or(0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn trades_bring_forward_and_the_rest_of_one_reaches_us() {
        let mut place = Place::behind(10);
        assert_eq!((place.on_trade(4), place.ahead), (0, 6));
        assert_eq!((place.on_trade(9), place.ahead), (3, 0));
        assert_eq!(place.on_trade(2), 2);
    }

    #[test]
    fn what_was_traded_is_not_taken_for_cancelled() {
        let mut place = Place::behind(10);
        place.on_trade(4);
        place.on_level(6, QueueModel::Proportional);
        assert_eq!(place.ahead, 6);
    }

    #[test]
    fn who_cancelled_is_the_models_to_say() {
        // 10 before us, 30 behind; 8 go.
        for (model, left) in [
            (QueueModel::Behind, 10),
            (QueueModel::Proportional, 8),
            // 8 x 100 / 1000, rounded down.
            (QueueModel::Squared, 10),
        ] {
            let mut place = Place::behind(10);
            place.on_level(40, model);
            place.on_level(32, model);
            assert_eq!(place.ahead, left, "{model:?}");
        }
        // 30 before us, 10 behind.
        let mut place = Place::behind(30);
        place.on_level(40, QueueModel::Squared);
        place.on_level(30, QueueModel::Squared);
        assert_eq!(place.ahead, 21, "9 of 10");
    }

    #[test]
    fn no_more_is_before_us_than_there_is() {
        let mut place = Place::behind(100);
        place.on_level(3, QueueModel::Behind);
        assert_eq!(place.ahead, 3);
        place.on_level(0, QueueModel::Behind);
        assert_eq!(place.ahead, 0);
    }

    proptest! {
        #[test]
        fn what_is_before_us_never_grows_and_never_is_negative(
            start in 0i64.., steps in proptest::collection::vec((any::<bool>(), 0i64.., 0u8..3), 0..30)
        ) {
            let mut place = Place::behind(start);
            for (is_trade, qty, model) in steps {
                let before = place.ahead;
                if is_trade {
                    let reached = place.on_trade(qty);
                    prop_assert_eq!(i128::from(before - place.ahead) + i128::from(reached), i128::from(qty));
                } else {
                    let models = [QueueModel::Behind, QueueModel::Proportional, QueueModel::Squared];
                    place.on_level(qty, models[usize::from(model)]);
                }
                prop_assert!((0..=before).contains(&place.ahead));
            }
        }
    }
}
