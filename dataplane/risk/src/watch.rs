//! What is watched after orders have left: losses, refusals, and a market that runs away.
//!
//! The gate looks at one order; this looks at what became of all of them. A rule that trips stays tripped until a named
//! person resets it: a loss does not become smaller because somebody waits.
//!
//! ```text
//!   equity (realised + unrealised + funding − fees)  → loss of the day, drawdown from the highest
//!   answers of venues                      → share of refusals among the last so many
//!   mid prices                             → furthest move within so much time
//! ```

use crate::{Refusal, Unit};
use dp_types::{Notional, Price, UnixNanos};

const DAY_NS: u64 = 86_400_000_000_000;
/// Answers looked back on.
const ANSWERS: u32 = 64;
/// Parts a move's window is divided into.
const PARTS: usize = 8;
/// Basis points in one.
const BPS: u128 = 10_000;

/// What trips. 0 anywhere: not watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WatchLimits {
    /// Largest loss since midnight UTC, reporting currency.
    pub day_loss_max: Notional,
    /// Largest fall of equity from the highest it was.
    pub drawdown_max: Notional,
    /// Largest share of refusals among the last 64 answers of venues to new orders and amends, percent.
    pub reject_pct_max: u32,
    /// Furthest a mid price may move within [`WatchLimits::move_ns`], basis points.
    pub move_bps_max: u32,
    /// Within how long, nanoseconds.
    pub move_ns: u64,
}

/// Why trading stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trip {
    /// Lost too much since midnight UTC.
    #[error("lost {} since midnight UTC, {} is allowed", units(*.loss), units(*.limit))]
    DayLoss {
        /// Lost.
        loss: Notional,
        /// Allowed.
        limit: Notional,
    },
    /// Fell too far from the highest.
    #[error("equity fell by {} from its highest, {} is allowed", units(*.fall), units(*.limit))]
    Drawdown {
        /// Fallen.
        fall: Notional,
        /// Allowed.
        limit: Notional,
    },
    /// Too many refusals.
    #[error("{pct} % of the last {ANSWERS} orders were refused, {limit} % are allowed")]
    Rejects {
        /// Refused, percent.
        pct: u32,
        /// Allowed.
        limit: u32,
    },
    /// The market ran away.
    #[error("the price moved by {bps} basis points, {limit} are allowed")]
    Move {
        /// Moved.
        bps: u32,
        /// Allowed.
        limit: u32,
    },
    /// A fill took a position beyond its limit.
    #[error("the position is {qty} increments, {limit} are allowed")]
    Position {
        /// Held.
        qty: i64,
        /// Allowed.
        limit: i64,
    },
    /// The venue holds another position than we count.
    #[error("the venue holds {theirs} increments, we count {ours}")]
    Mismatch {
        /// By the venue's word.
        theirs: i64,
        /// By our fills.
        ours: i64,
    },
    /// There is more or less of an asset at the venue than we count.
    #[error("of asset #{asset} the venue has {theirs}, we count {ours}")]
    Balance {
        /// Number of the asset.
        asset: u16,
        /// By the venue's word, 10^-12 of the asset.
        theirs: Notional,
        /// By our fills.
        ours: Notional,
    },
}

impl Trip {
    /// Number of the first of [`Trip::NAMES`] on disk: refusals of the gate are below.
    pub const FIRST: u8 = 64;
    /// One of each, by number.
    pub const NAMES: [&'static str; 7] = [
        "day_loss",
        "drawdown",
        "rejects",
        "market_move",
        "position_after_fill",
        "position_mismatch",
        "balance_mismatch",
    ];

    /// Stable number on disk.
    pub const fn code(self) -> u8 {
        Self::FIRST
            + match self {
                Self::DayLoss { .. } => 0,
                Self::Drawdown { .. } => 1,
                Self::Rejects { .. } => 2,
                Self::Move { .. } => 3,
                Self::Position { .. } => 4,
                Self::Mismatch { .. } => 5,
                Self::Balance { .. } => 6,
            }
    }

    /// `(observed, limit)` for the database, saturating to 64 bits. Money in hundredths, assets in 10^-8.
    pub fn numbers(self) -> (i64, i64) {
        match self {
            Self::DayLoss { loss, limit } => (hundredths(loss.0), hundredths(limit.0)),
            Self::Drawdown { fall, limit } => (hundredths(fall.0), hundredths(limit.0)),
            Self::Rejects { pct, limit } => (pct.into(), limit.into()),
            Self::Move { bps, limit } => (bps.into(), limit.into()),
            Self::Position { qty, limit } => (qty, limit),
            Self::Mismatch { theirs, ours } => (theirs, ours),
            Self::Balance { theirs, ours, .. } => (amount(theirs.0), amount(ours.0)),
        }
    }
}

/// An amount in hundredths, saturating.
fn hundredths(amount: i128) -> i64 {
    let clamped = (amount / 10_000_000_000).clamp(i64::MIN.into(), i64::MAX.into());
    clamped as i64
}

/// An amount of an asset in 10^-8, saturating.
fn amount(amount: i128) -> i64 {
    let clamped = (amount / 10_000).clamp(i64::MIN.into(), i64::MAX.into());
    clamped as i64
}

/// The word for any rule's number on disk, a refusal's or a trip's; `None` when no version of this crate wrote it.
pub fn rule_name(code: u8) -> Option<&'static str> {
    match code.checked_sub(Trip::FIRST) {
        Some(at) => Trip::NAMES.get(usize::from(at)).copied(),
        None => Refusal::name_of(code),
    }
}

/// What the numbers of the rule with this number on disk are.
pub const fn rule_unit(code: u8) -> Unit {
    match code {
        64 | 65 => Unit::Money,
        68 | 69 => Unit::Qty,
        70 => Unit::Amount,
        _ => Refusal::unit_of(code),
    }
}

/// Whole units, for sentences.
const fn units(amount: Notional) -> i128 {
    amount.0 / 1_000_000_000_000
}

/// Losses, as they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Equity {
    /// Days since 1970, UTC.
    pub day: u64,
    /// Equity when the day began.
    pub at_midnight: Notional,
    /// The highest since it was last reset.
    pub highest: Notional,
    /// The latest.
    pub now: Notional,
}

impl Equity {
    /// Lost since midnight; negative: won.
    pub const fn day_loss(&self) -> Notional {
        Notional(self.at_midnight.0.saturating_sub(self.now.0))
    }

    /// Fallen from the highest.
    pub const fn drawdown(&self) -> Notional {
        Notional(self.highest.0.saturating_sub(self.now.0))
    }
}

/// Losses of everything together.
#[derive(Debug, Clone, Default)]
pub struct LossWatch {
    equity: Option<Equity>,
}

impl LossWatch {
    /// Takes over where an earlier run stood: a restart must not forget a loss.
    pub const fn restore(&mut self, equity: Equity) {
        self.equity = Some(equity);
    }

    /// As it stands; `None` before the first look.
    pub const fn equity(&self) -> Option<Equity> {
        self.equity
    }

    /// Equity is `now_is`, and `elsewhere` was lost since midnight by others of the same limit. Says what trips, each time it
    /// would.
    pub fn on_equity(
        &mut self,
        (now_is, elsewhere): (Notional, Notional),
        limits: &WatchLimits,
        now: UnixNanos,
    ) -> Option<Trip> {
        let day = now.0 / DAY_NS;
        let first = Equity {
            day,
            at_midnight: now_is,
            highest: now_is,
            now: now_is,
        };
        let equity = self.equity.get_or_insert(first);
        if day > equity.day {
            // The last look of the day before is the nearest to midnight there is.
            (equity.day, equity.at_midnight) = (day, equity.now);
        }
        equity.now = now_is;
        equity.highest = equity.highest.max(now_is);
        let loss = Notional(equity.day_loss().0.saturating_add(elsewhere.0));
        let limit = limits.day_loss_max;
        if limit.0 > 0 && loss >= limit {
            return Some(Trip::DayLoss { loss, limit });
        }
        let (fall, limit) = (equity.drawdown(), limits.drawdown_max);
        (limit.0 > 0 && fall >= limit).then_some(Trip::Drawdown { fall, limit })
    }

    /// A named person has looked: from here on the drawdown counts anew. The day's loss is the day's.
    pub fn reset_drawdown(&mut self) {
        if let Some(equity) = &mut self.equity {
            equity.highest = equity.now;
        }
    }
}

/// Refusals of one venue.
#[derive(Debug, Clone, Copy, Default)]
pub struct RejectWatch {
    /// One bit an answer, the latest lowest; set: refused.
    last: u64,
    count: u32,
}

impl RejectWatch {
    /// A venue answered a new order or an amend. Says when too many of the last 64 were refused; before there are as many
    /// nothing trips.
    pub const fn on_answer(&mut self, is_refused: bool, limits: &WatchLimits) -> Option<Trip> {
        self.last = self.last << 1 | is_refused as u64;
        if self.count < ANSWERS {
            self.count += 1;
        }
        let pct = self.last.count_ones() * 100 / ANSWERS;
        let limit = limits.reject_pct_max;
        if limit > 0 && self.count == ANSWERS && pct > limit {
            return Some(Trip::Rejects { pct, limit });
        }
        None
    }

    /// A named person has looked: the answers before do not count any more.
    pub const fn reset(&mut self) {
        (self.last, self.count) = (0, 0);
    }
}

/// How far a mid price went lately: of one instrument.
#[derive(Debug, Clone, Copy, Default)]
pub struct MoveWatch {
    /// Number, lowest and highest of each part of the window.
    parts: [(u64, i64, i64); PARTS],
    /// The part that is now: its number, and from when until when it lasts.
    number: u64,
    from: u64,
    until: u64,
    /// The mid before; 0 = none. It held until now, however long ago it was told.
    last: i64,
}

impl MoveWatch {
    /// The mid is `mid` now. Says when it has moved too far from any it had within the window. Cost: a look at 8 parts;
    /// no division but once a part and for a trip.
    #[inline]
    pub fn on_mid(&mut self, mid: Price, limits: &WatchLimits, now: UnixNanos) -> Option<Trip> {
        if limits.move_bps_max == 0 || mid.0 <= 0 {
            return None;
        }
        if now.0 < self.from || now.0 >= self.until {
            let part_ns = limits.move_ns / PARTS as u64;
            let part = now.0.checked_div(part_ns)?;
            self.number = part + 1;
            self.from = part * part_ns;
            self.until = self.from.saturating_add(part_ns);
        }
        let number = self.number;
        let slot = &mut self.parts[number as usize % PARTS];
        if slot.0 != number {
            let held = if self.last > 0 { self.last } else { mid.0 };
            *slot = (number, held, held);
        }
        self.last = mid.0;
        (slot.1, slot.2) = (slot.1.min(mid.0), slot.2.max(mid.0));
        let (mut low, mut high) = (mid.0, mid.0);
        for part in &self.parts {
            if part.0 > 0 && part.0 + PARTS as u64 > number {
                (low, high) = (low.min(part.1), high.max(part.2));
            }
        }
        // Of all prices in the window the lowest and the highest are those the mid went furthest from.
        let limit = limits.move_bps_max;
        let is_far = |from: i64| {
            u128::from(mid.0.abs_diff(from)) * BPS
                >= (u128::from(limit) + 1) * u128::from(from.unsigned_abs())
        };
        if !is_far(low) && !is_far(high) {
            return None;
        }
        let far = |from: i64| {
            u128::from(mid.0.abs_diff(from)) * BPS / u128::from(from.unsigned_abs().max(1))
        };
        Some(Trip::Move {
            bps: u32::try_from(far(low).max(far(high))).unwrap_or(u32::MAX),
            limit,
        })
    }

    /// A named person has looked: what was before does not count any more.
    pub const fn reset(&mut self) {
        *self = Self {
            parts: [(0, 0, 0); PARTS],
            number: 0,
            from: 0,
            until: 0,
            last: 0,
        };
    }
}

/// How much of a limit is used, in millionths; saturates. Nothing of no limit.
pub fn used_ppm(value: i128, limit: i128) -> u64 {
    if limit <= 0 {
        return 0;
    }
    let (value, limit) = (value.unsigned_abs(), limit.unsigned_abs());
    let ppm = match value.checked_mul(1_000_000) {
        Some(scaled) => scaled / limit,
        None => value / (limit / 1_000_000).max(1),
    };
    u64::try_from(ppm).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: i128 = 1_000_000_000_000;
    const S: u64 = 1_000_000_000;
    const LIMITS: WatchLimits = WatchLimits {
        day_loss_max: Notional(1_000 * ONE),
        drawdown_max: Notional(1_500 * ONE),
        reject_pct_max: 50,
        move_bps_max: 100,
        move_ns: 8 * S,
    };

    #[test]
    fn the_loss_of_the_day_begins_anew_at_midnight_and_the_drawdown_does_not() {
        let mut watch = LossWatch::default();
        let mut look = |units: i128, at: u64| {
            let trip =
                watch.on_equity((Notional(units * ONE), Notional(0)), &LIMITS, UnixNanos(at));
            trip.map(|trip| trip.to_string())
        };
        assert_eq!(look(500, DAY_NS), None);
        assert_eq!(look(900, DAY_NS + S), None);
        assert_eq!(
            look(-499, DAY_NS + 2 * S),
            None,
            "999 of the day, 1399 from the highest"
        );
        let text = "lost 1000 since midnight UTC, 1000 is allowed";
        assert_eq!(look(-500, DAY_NS + 3 * S).as_deref(), Some(text));
        assert_eq!(look(-499, 2 * DAY_NS), None, "a new day");
        let text = "equity fell by 1500 from its highest, 1500 is allowed";
        assert_eq!(look(-600, 2 * DAY_NS + S).as_deref(), Some(text));
        watch.reset_drawdown();
        let trip = watch.on_equity(
            (Notional(-600 * ONE), Notional(0)),
            &LIMITS,
            UnixNanos(2 * DAY_NS + S),
        );
        assert_eq!(trip, None);
    }

    #[test]
    fn a_restart_forgets_no_loss() {
        let mut watch = LossWatch::default();
        let day = UnixNanos(5 * DAY_NS);
        watch.on_equity((Notional(0), Notional(0)), &LIMITS, day);
        watch.on_equity((Notional(-900 * ONE), Notional(0)), &LIMITS, day);
        let mut again = LossWatch::default();
        again.restore(watch.equity().unwrap());
        let trip = again.on_equity((Notional(-1_000 * ONE), Notional(0)), &LIMITS, day);
        assert!(matches!(trip, Some(Trip::DayLoss { .. })), "{trip:?}");
    }

    #[test]
    fn more_than_half_of_the_last_answers_trip_and_a_few_do_not() {
        let mut watch = RejectWatch::default();
        for _ in 0..63 {
            assert_eq!(watch.on_answer(true, &LIMITS), None, "too few to say");
        }
        assert_eq!(
            watch.on_answer(true, &LIMITS),
            Some(Trip::Rejects {
                pct: 100,
                limit: 50
            })
        );
        for taken in 1..=64 {
            let trip = watch.on_answer(false, &LIMITS);
            assert_eq!(
                trip.is_some(),
                (64 - taken) * 100 / 64 > 50,
                "{taken} taken"
            );
        }
        watch.reset();
        assert_eq!(watch.on_answer(true, &LIMITS), None);
    }

    #[test]
    fn a_price_that_runs_away_trips_and_one_that_wanders_does_not() {
        let mut watch = MoveWatch::default();
        // 99 basis points in 20 s: too slow.
        for second in 0..20 {
            let mid = Price(100_000 + 50 * second);
            assert_eq!(
                watch.on_mid(mid, &LIMITS, UnixNanos(second as u64 * S)),
                None
            );
        }
        // 500 in the last 7 s and 600 more.
        let trip = watch.on_mid(Price(101_800), &LIMITS, UnixNanos(20 * S));
        assert_eq!(
            trip,
            Some(Trip::Move {
                bps: 119,
                limit: 100
            })
        );
        watch.reset();
        assert_eq!(
            watch.on_mid(Price(101_800), &LIMITS, UnixNanos(20 * S)),
            None
        );
        let trip = watch.on_mid(Price(100_000), &LIMITS, UnixNanos(21 * S));
        assert!(trip.is_some(), "down as well as up");
    }

    #[test]
    fn a_jump_out_of_a_long_silence_is_a_move() {
        let mut watch = MoveWatch::default();
        assert_eq!(watch.on_mid(Price(100_000), &LIMITS, UnixNanos(S)), None);
        let trip = watch.on_mid(Price(102_000), &LIMITS, UnixNanos(1_000 * S));
        assert!(
            matches!(trip, Some(Trip::Move { bps: 200, .. })),
            "{trip:?}"
        );
    }

    #[test]
    fn what_is_not_watched_never_trips() {
        let none = WatchLimits::default();
        let (mut loss, mut rejects, mut moves) = (
            LossWatch::default(),
            RejectWatch::default(),
            MoveWatch::default(),
        );
        for at in 0..100u64 {
            let now = UnixNanos(at * S);
            assert_eq!(
                loss.on_equity(
                    (Notional(-(at as i128) * 1_000_000 * ONE), Notional(0)),
                    &none,
                    now
                ),
                None
            );
            assert_eq!(rejects.on_answer(true, &none), None);
            assert_eq!(moves.on_mid(Price(1 + at as i64 * 100), &none, now), None);
        }
    }

    #[test]
    fn every_trip_has_a_name_and_a_number_of_its_own() {
        let trips = [
            Trip::DayLoss {
                loss: Notional(12_345 * ONE / 100),
                limit: Notional(ONE),
            },
            Trip::Drawdown {
                fall: Notional(ONE),
                limit: Notional(i128::MAX),
            },
            Trip::Rejects { pct: 51, limit: 50 },
            Trip::Move { bps: 2, limit: 1 },
            Trip::Position { qty: 2, limit: 1 },
            Trip::Mismatch { theirs: 2, ours: 1 },
            Trip::Balance {
                asset: 3,
                theirs: Notional(ONE / 2),
                ours: Notional(i128::MAX),
            },
        ];
        let names = trips.map(|trip| rule_name(trip.code()));
        assert_eq!(names, Trip::NAMES.map(Some));
        assert_eq!(trips[0].numbers(), (12_345, 100));
        assert_eq!(trips[1].numbers(), (100, i64::MAX));
        assert_eq!(rule_unit(trips[0].code()), Unit::Money);
        assert_eq!(rule_unit(trips[5].code()), Unit::Qty);
        assert_eq!(trips[6].numbers(), (50_000_000, i64::MAX));
        assert_eq!(rule_unit(trips[6].code()), Unit::Amount);
        assert_eq!((rule_name(0), rule_name(1)), (None, Some("killed")));
        assert_eq!(rule_name(Trip::FIRST + 7), None);
    }

    #[test]
    fn utilisation_by_hand() {
        for (value, limit, want) in [
            (50, 100, 500_000),
            (-90, 100, 900_000),
            (3, 0, 0),
            (i128::MAX, 1, u64::MAX),
        ] {
            assert_eq!(used_ppm(value, limit), want, "{value} of {limit}");
        }
        assert_eq!(used_ppm(i128::MAX, i128::MAX), 1_000_000);
    }

    proptest! {
        #[test]
        fn no_number_overflows(looks in proptest::collection::vec(any::<(i128, i64, u64, u64)>(), 1..40)) {
            let (mut loss, mut moves) = (LossWatch::default(), MoveWatch::default());
            for (equity, mid, now, window) in looks {
                let limits = WatchLimits { move_ns: window, ..LIMITS };
                loss.on_equity((Notional(equity), Notional(0)), &limits, UnixNanos(now));
                moves.on_mid(Price(mid), &limits, UnixNanos(now));
                used_ppm(equity, i128::from(mid));
            }
        }
    }
}
