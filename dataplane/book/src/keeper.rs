//! One instrument's book under its rule: splice, gaps, checksum, and the freshness proof.
//!
//! ```text
//!            delta (held back)            snapshot that fits
//!   Empty ─────────▶ Waiting ───────────────────────────────▶ Synced ──delta──▶ Synced
//!                      ▲    ◀── snapshot too old: fetch again    │
//!                      └──── gap · bad checksum · crossed · bad number (stale at once)
//! ```

use crate::splice::Splice;
use crate::sync::{Gap, Ids, Step, SyncRule, ids_after};
use crate::{Book, Bootstrap, Chain};
use dp_types::{BookMsg, BookMsgKind, Instrument, Level, NumError, Side, UnixNanos};

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// In the book; strategies may look.
    Applied,
    /// Held back until the snapshot comes.
    Buffered,
    /// Held back, and a snapshot must be asked for (said once per attempt).
    NeedSnapshot,
    /// Old, a repeat, or before the snapshot: no effect.
    Ignored,
    /// Something is missing. The book is stale; a snapshot must be asked for.
    Gap(Gap),
    /// The venue's checksum and ours differ. The book is stale; ask for a snapshot.
    BadChecksum {
        /// The venue's.
        venue: u32,
        /// Ours.
        ours: u32,
    },
    /// Best bid at or above best ask after a message. The book is stale; ask for a snapshot.
    Crossed,
    /// A number does not fit the instrument's increments. The book is stale; ask for a snapshot.
    BadNumber(NumError),
    /// More single orders rest than there is room for. The book is stale; ask for a snapshot.
    TooMany,
}

impl Outcome {
    /// Whether the venue machine must be asked for a snapshot.
    pub const fn needs_snapshot(self) -> bool {
        matches!(
            self,
            Self::NeedSnapshot
                | Self::Gap(_)
                | Self::BadChecksum { .. }
                | Self::Crossed
                | Self::BadNumber(_)
                | Self::TooMany
        )
    }
}

/// Where a book stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Nothing has come yet.
    #[default]
    Empty,
    /// A snapshot is awaited; what is in the book must not be traded on.
    Waiting,
    /// Whole.
    Synced,
}

/// What the risk gate reads before each order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Proof {
    /// Only [`State::Synced`] may be traded on.
    pub state: State,
    /// Last id applied.
    pub last_id: i64,
    /// When the last message of the chain came, on our clock.
    pub at: UnixNanos,
}

/// What a keeper has seen since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Depth messages of any kind.
    pub messages: u64,
    /// Levels put into the book.
    pub levels: u64,
    /// Snapshots applied.
    pub snapshots: u64,
    /// Deltas applied.
    pub deltas: u64,
    /// Holes found.
    pub gaps: u64,
    /// Checksums that matched.
    pub checksums_ok: u64,
    /// Checksums that did not.
    pub checksums_failed: u64,
    /// Times the book was crossed after a message.
    pub crossed: u64,
    /// Messages with a number that does not fit.
    pub bad_numbers: u64,
    /// Times the held-back deltas reached their bound.
    pub overflows: u64,
}

/// A book and everything needed to trust it.
#[derive(Debug, Clone)]
pub struct Keeper<R> {
    rule: R,
    book: Book,
    splice: Splice,
    /// How deep the rule keeps the book that is there.
    depth_max: Option<usize>,
    ids: Ids,
    proof: Proof,
    counts: Counts,
}

impl<R: SyncRule> Keeper<R> {
    /// A keeper with a book of the usual size. Takes all its memory here.
    pub fn new(rule: R) -> Self {
        Self::with_book(rule, Book::default())
    }

    /// A keeper over a given (empty) book.
    pub fn with_book(rule: R, book: Book) -> Self {
        Self {
            rule,
            book,
            splice: Splice::new(),
            depth_max: None,
            ids: Ids {
                last: -1,
                is_fresh: false,
            },
            proof: Proof {
                last_id: -1,
                ..Proof::default()
            },
            counts: Counts::default(),
        }
    }

    /// Takes one depth message that arrived at `now`.
    ///
    /// Cost: O(levels), no allocation once the first splice is done. Never panics on any content.
    pub fn on_msg(
        &mut self,
        msg: &BookMsg<'_>,
        instrument: &Instrument,
        now: UnixNanos,
    ) -> Outcome {
        self.counts.messages += 1;
        match (msg.kind, self.proof.state) {
            (BookMsgKind::Snapshot, _) => self.on_snapshot(msg, instrument, now),
            (BookMsgKind::Delta, State::Synced) => self.on_delta(msg, instrument, now),
            (BookMsgKind::Delta, _) => self.hold(msg),
        }
    }

    /// Forgets the book: its link was lost. Deltas start being held back again.
    pub fn reset(&mut self) {
        self.restart();
        self.proof.state = State::Empty;
    }

    /// The book. Only to be traded on while [`Keeper::proof`] says [`State::Synced`].
    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// May it be trusted, up to which id, since when.
    pub const fn proof(&self) -> Proof {
        self.proof
    }

    /// What has been seen.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The rule.
    pub const fn rule(&self) -> &R {
        &self.rule
    }

    fn hold(&mut self, msg: &BookMsg<'_>) -> Outcome {
        let is_first = self.proof.state == State::Empty;
        self.proof.state = State::Waiting;
        if self.rule.bootstrap() == Bootstrap::Pushed {
            return if is_first {
                Outcome::NeedSnapshot
            } else {
                Outcome::Ignored
            };
        }
        if !self.splice.push(msg) {
            self.counts.overflows += 1;
            self.splice.clear();
            return Outcome::NeedSnapshot;
        }
        if is_first {
            Outcome::NeedSnapshot
        } else {
            Outcome::Buffered
        }
    }

    fn on_snapshot(
        &mut self,
        msg: &BookMsg<'_>,
        instrument: &Instrument,
        now: UnixNanos,
    ) -> Outcome {
        let is_synced = self.proof.state == State::Synced;
        if is_synced && self.rule.bootstrap() == Bootstrap::Rest && msg.last_id <= self.ids.last {
            // The late answer to an earlier question: the book is past it, and going back would trade on
            // old prices until the next delta. (A pushed snapshot replaces whatever its id says.)
            return Outcome::Ignored;
        }
        if !is_synced && self.is_too_old(msg) {
            // The first held delta is already past it: nothing connects the two.
            self.proof.state = State::Waiting;
            return Outcome::NeedSnapshot;
        }
        self.book.clear();
        self.depth_max = self.rule.depth_max(msg);
        let applied = self.apply(msg, instrument, now);
        if applied != Outcome::Applied {
            return applied;
        }
        self.counts.snapshots += 1;
        self.proof.state = State::Synced;
        self.replay(instrument, now)
    }

    /// Whether deltas held back begin after the snapshot ends. The chain is the deltas': a snapshot does
    /// not show how its product chains.
    fn is_too_old(&self, msg: &BookMsg<'_>) -> bool {
        let Some(first) = self.splice.get(0, msg.instrument) else {
            return false;
        };
        match self.rule.chain(&first) {
            Chain::Contiguous => first.first_id > msg.last_id.saturating_add(1),
            Chain::Linked if first.first_id >= 0 && msg.last_id >= 0 => {
                first.prev_id > msg.last_id && first.first_id > msg.last_id
            }
            _ => false,
        }
    }

    /// Applies what was held back over the snapshot just taken.
    fn replay(&mut self, instrument: &Instrument, now: UnixNanos) -> Outcome {
        let splice = core::mem::replace(&mut self.splice, Splice::empty());
        let mut outcome = Outcome::Applied;
        for at in 0..splice.len() {
            let Some(held) = splice.get(at, instrument.id) else {
                break;
            };
            let step = self.on_delta(&held, instrument, now);
            if step.needs_snapshot() {
                outcome = step;
                break;
            }
        }
        self.splice = splice;
        self.splice.clear();
        outcome
    }

    fn on_delta(&mut self, msg: &BookMsg<'_>, instrument: &Instrument, now: UnixNanos) -> Outcome {
        match self.rule.judge(self.ids, msg) {
            Step::Drop => Outcome::Ignored,
            Step::Gap(gap) => {
                self.counts.gaps += 1;
                self.restart();
                if self.rule.bootstrap() != Bootstrap::Pushed {
                    // The message after the hole belongs to the next splice.
                    self.splice.push(msg);
                }
                Outcome::Gap(gap)
            }
            Step::Apply => {
                let outcome = self.apply(msg, instrument, now);
                self.counts.deltas += u64::from(outcome == Outcome::Applied);
                outcome
            }
        }
    }

    fn apply(&mut self, msg: &BookMsg<'_>, instrument: &Instrument, now: UnixNanos) -> Outcome {
        for (side, levels) in [(Side::Buy, msg.bids), (Side::Sell, msg.asks)] {
            for raw in levels {
                match self.rule.level(instrument, raw) {
                    Ok(level) if level.qty.0 >= 0 => self.book.apply_level(side, &level),
                    Ok(Level { .. }) => return self.bad_number(NumError::BadByte(0)),
                    Err(error) => return self.bad_number(error),
                }
            }
        }
        self.counts.levels += (msg.bids.len() + msg.asks.len()) as u64;
        if let Some(depth_max) = self.depth_max {
            self.book.truncate(depth_max);
        }
        self.ids = ids_after(msg);
        self.proof.last_id = msg.last_id;
        self.proof.at = now;
        // Ours is only made when there is one to compare it with: it costs more than the levels do.
        if let Some(venue) = msg.checksum
            && let Some(ours) = self.rule.checksum(&self.book)
        {
            if venue != ours && self.rule.checksum_otherwise(&self.book) != Some(venue) {
                self.counts.checksums_failed += 1;
                self.restart();
                return Outcome::BadChecksum { venue, ours };
            }
            self.counts.checksums_ok += 1;
        }
        if self.book.is_crossed() {
            self.counts.crossed += 1;
            self.restart();
            return Outcome::Crossed;
        }
        Outcome::Applied
    }

    fn bad_number(&mut self, error: NumError) -> Outcome {
        self.counts.bad_numbers += 1;
        self.restart();
        Outcome::BadNumber(error)
    }

    /// Stale at once: the levels stay readable for people, the proof is gone.
    fn restart(&mut self) {
        self.splice.clear();
        self.ids = Ids {
            last: -1,
            is_fresh: false,
        };
        self.proof.state = State::Waiting;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Decimal, InstrumentId, RawLevel, Text, VenueId, VenueNanos};
    use proptest::prelude::*;

    #[derive(Debug, Clone, Copy)]
    struct Rule(Chain, Bootstrap);

    impl SyncRule for Rule {
        fn chain(&self, _: &BookMsg<'_>) -> Chain {
            self.0
        }
        fn bootstrap(&self) -> Bootstrap {
            self.1
        }
        fn checksum(&self, book: &Book) -> Option<u32> {
            Some(book.bids().map(|level| level.qty.0 as u32).sum())
        }
        fn checksum_otherwise(&self, book: &Book) -> Option<u32> {
            self.checksum(book).map(|sum| sum + 1_000)
        }
    }

    fn instrument() -> Instrument {
        Instrument::bare(InstrumentId(0), VenueId::BINANCE, Text::EMPTY, 0, 0)
    }

    fn raw(price: i64, qty: i64) -> RawLevel {
        let whole = |mantissa| Decimal {
            mantissa,
            exponent: 0,
        };
        RawLevel {
            price: whole(price),
            qty: whole(qty),
        }
    }

    fn msg(kind: BookMsgKind, ids: (i64, i64, i64), bids: &[RawLevel]) -> BookMsg<'_> {
        BookMsg {
            instrument: InstrumentId(0),
            kind,
            first_id: ids.0,
            last_id: ids.1,
            prev_id: ids.2,
            checksum: None,
            bids,
            asks: &[],
            venue_ns: VenueNanos(0),
        }
    }

    fn run(keeper: &mut Keeper<Rule>, kind: BookMsgKind, ids: (i64, i64, i64)) -> Outcome {
        keeper.on_msg(
            &msg(kind, ids, &[raw(10, ids.1)]),
            &instrument(),
            UnixNanos(1),
        )
    }

    use BookMsgKind::{Delta, Snapshot};

    #[test]
    fn contiguous_splice_by_the_book() {
        let mut keeper = Keeper::new(Rule(Chain::Contiguous, Bootstrap::Rest));
        assert_eq!(run(&mut keeper, Delta, (5, 7, -1)), Outcome::NeedSnapshot);
        assert_eq!(run(&mut keeper, Delta, (8, 9, -1)), Outcome::Buffered);
        assert_eq!(
            run(&mut keeper, Snapshot, (3, 3, -1)),
            Outcome::NeedSnapshot,
            "too old"
        );
        assert_eq!(run(&mut keeper, Snapshot, (8, 8, -1)), Outcome::Applied);
        assert_eq!(
            keeper.proof(),
            Proof {
                state: State::Synced,
                last_id: 9,
                at: UnixNanos(1)
            }
        );
        assert_eq!(run(&mut keeper, Delta, (10, 12, -1)), Outcome::Applied);
        assert_eq!(run(&mut keeper, Delta, (10, 12, -1)), Outcome::Ignored);
        let gap = Gap {
            expected: 13,
            got: 14,
        };
        assert_eq!(run(&mut keeper, Delta, (14, 14, -1)), Outcome::Gap(gap));
        assert_eq!(keeper.proof().state, State::Waiting, "stale at once");
        assert_eq!(run(&mut keeper, Snapshot, (13, 13, -1)), Outcome::Applied);
        assert_eq!(
            keeper.proof().last_id,
            14,
            "the message after the hole was kept"
        );
    }

    #[test]
    fn linked_chain_with_sentinels() {
        let mut keeper = Keeper::new(Rule(Chain::Linked, Bootstrap::Either));
        assert_eq!(run(&mut keeper, Snapshot, (10, 10, -1)), Outcome::Applied);
        assert_eq!(run(&mut keeper, Delta, (15, 15, 10)), Outcome::Applied);
        assert_eq!(
            run(&mut keeper, Delta, (15, 15, 15)),
            Outcome::Applied,
            "heartbeat"
        );
        assert_eq!(
            run(&mut keeper, Delta, (3, 3, 15)),
            Outcome::Applied,
            "counter restarted"
        );
        let gap = Gap {
            expected: 3,
            got: 4,
        };
        assert_eq!(run(&mut keeper, Delta, (5, 5, 4)), Outcome::Gap(gap));
    }

    #[test]
    fn linked_splice_over_rest() {
        let mut keeper = Keeper::new(Rule(Chain::Linked, Bootstrap::Either));
        assert_eq!(run(&mut keeper, Delta, (12, 12, 10)), Outcome::NeedSnapshot);
        assert_eq!(run(&mut keeper, Delta, (15, 15, 12)), Outcome::Buffered);
        assert_eq!(
            run(&mut keeper, Snapshot, (9, 9, -1)),
            Outcome::NeedSnapshot,
            "too old"
        );
        assert_eq!(run(&mut keeper, Snapshot, (13, 13, -1)), Outcome::Applied);
        assert_eq!(keeper.proof().last_id, 15);
    }

    #[test]
    fn futures_splice_ranges() {
        let mut keeper = Keeper::new(Rule(Chain::Linked, Bootstrap::Rest));
        assert_eq!(run(&mut keeper, Delta, (90, 95, 89)), Outcome::NeedSnapshot);
        assert_eq!(run(&mut keeper, Delta, (97, 105, 95)), Outcome::Buffered);
        assert_eq!(run(&mut keeper, Delta, (110, 120, 105)), Outcome::Buffered);
        assert_eq!(run(&mut keeper, Snapshot, (100, 100, -1)), Outcome::Applied);
        assert_eq!(keeper.proof().last_id, 120);
    }

    #[test]
    fn a_late_snapshot_does_not_turn_a_synced_book_back() {
        let mut keeper = Keeper::new(Rule(Chain::Contiguous, Bootstrap::Rest));
        assert_eq!(run(&mut keeper, Delta, (5, 7, -1)), Outcome::NeedSnapshot);
        assert_eq!(run(&mut keeper, Snapshot, (7, 7, -1)), Outcome::Applied);
        assert_eq!(run(&mut keeper, Delta, (8, 9, -1)), Outcome::Applied);
        assert_eq!(run(&mut keeper, Snapshot, (8, 8, -1)), Outcome::Ignored);
        assert_eq!(keeper.proof().last_id, 9);
        // A newer one is taken, and the chain goes on from it.
        assert_eq!(run(&mut keeper, Snapshot, (12, 12, -1)), Outcome::Applied);
        assert_eq!(run(&mut keeper, Delta, (10, 13, -1)), Outcome::Applied);
        assert_eq!(keeper.counts().gaps, 0);
    }

    #[test]
    fn futures_snapshot_between_two_events() {
        // Ids skip: the snapshot at 100 lies after pu 95 and before U 102. Nothing is missing.
        let mut keeper = Keeper::new(Rule(Chain::Linked, Bootstrap::Rest));
        assert_eq!(run(&mut keeper, Delta, (90, 95, 89)), Outcome::NeedSnapshot);
        assert_eq!(run(&mut keeper, Delta, (102, 105, 95)), Outcome::Buffered);
        assert_eq!(run(&mut keeper, Snapshot, (100, 100, -1)), Outcome::Applied);
        assert_eq!(keeper.proof().last_id, 105);
        assert_eq!(keeper.counts().gaps, 0);
    }

    #[test]
    fn a_checksum_in_the_second_spelling_is_right_too() {
        let mut keeper = Keeper::new(Rule(Chain::Unchained, Bootstrap::Pushed));
        let bids = [raw(10, 4)];
        for (checksum, counts) in [(4, (1, 0)), (1_004, (2, 0)), (1_005, (2, 1))] {
            let msg = BookMsg {
                checksum: Some(checksum),
                ..msg(Snapshot, (1, 1, -1), &bids)
            };
            keeper.on_msg(&msg, &instrument(), UnixNanos(1));
            let seen = keeper.counts();
            assert_eq!((seen.checksums_ok, seen.checksums_failed), counts);
        }
    }

    #[test]
    fn bad_checksum_makes_the_book_stale() {
        let mut keeper = Keeper::new(Rule(Chain::Unchained, Bootstrap::Pushed));
        let bids = [raw(10, 4)];
        let good = BookMsg {
            checksum: Some(4),
            ..msg(Snapshot, (1, 1, -1), &bids)
        };
        assert_eq!(
            keeper.on_msg(&good, &instrument(), UnixNanos(1)),
            Outcome::Applied
        );
        let bad = BookMsg {
            checksum: Some(5),
            ..msg(Delta, (2, 2, 1), &bids)
        };
        let want = Outcome::BadChecksum { venue: 5, ours: 4 };
        assert_eq!(keeper.on_msg(&bad, &instrument(), UnixNanos(1)), want);
        assert_eq!(keeper.proof().state, State::Waiting);
        assert_eq!(
            (
                keeper.counts().checksums_ok,
                keeper.counts().checksums_failed
            ),
            (1, 1)
        );
    }

    #[test]
    fn numbers_that_do_not_fit_make_the_book_stale() {
        let mut keeper = Keeper::new(Rule(Chain::Unchained, Bootstrap::Pushed));
        let fine = RawLevel {
            price: Decimal {
                mantissa: 1,
                exponent: -1,
            },
            ..raw(1, 1)
        };
        let outcome = keeper.on_msg(
            &msg(Snapshot, (1, 1, -1), &[fine]),
            &instrument(),
            UnixNanos(1),
        );
        assert_eq!(outcome, Outcome::BadNumber(NumError::TooFine));
        let outcome = keeper.on_msg(
            &msg(Snapshot, (1, 1, -1), &[raw(1, -1)]),
            &instrument(),
            UnixNanos(1),
        );
        assert!(outcome.needs_snapshot());
    }

    /// Keeps as many levels as the snapshot had bids.
    #[derive(Debug)]
    struct Shallow;

    impl SyncRule for Shallow {
        fn chain(&self, _: &BookMsg<'_>) -> Chain {
            Chain::Unchained
        }
        fn bootstrap(&self) -> Bootstrap {
            Bootstrap::Pushed
        }
        fn depth_max(&self, snapshot: &BookMsg<'_>) -> Option<usize> {
            Some(snapshot.bids.len())
        }
    }

    #[test]
    fn what_falls_out_of_the_depth_is_gone_for_good() {
        let mut keeper = Keeper::new(Shallow);
        let mut run = |kind, bids: &[RawLevel]| {
            keeper.on_msg(&msg(kind, (-1, -1, -1), bids), &instrument(), UnixNanos(1));
            let prices = keeper.book().bids().map(|level| level.price.0);
            prices.collect::<Vec<_>>()
        };
        assert_eq!(run(Snapshot, &[raw(10, 1), raw(9, 1)]), [10, 9]);
        assert_eq!(run(Delta, &[raw(12, 1), raw(11, 1)]), [12, 11]);
        // 10 is not what was there before: the venue would tell it again.
        assert_eq!(run(Delta, &[raw(12, 0)]), [11]);
        assert_eq!(run(Snapshot, &[raw(5, 1)]), [5], "another depth");
        assert_eq!(run(Delta, &[raw(6, 1)]), [6]);
        assert_eq!(keeper.book().overflows(), 0);
    }

    #[test]
    fn held_deltas_are_bounded() {
        let mut keeper = Keeper::new(Rule(Chain::Contiguous, Bootstrap::Rest));
        let asks = (0..2_000)
            .filter(|at| run(&mut keeper, Delta, (*at, *at, -1)) == Outcome::NeedSnapshot)
            .count();
        assert_eq!(asks, 1 + 2_000 / (dp_types::limit::SPLICE_MSGS_MAX + 1));
    }

    proptest! {
        /// Whatever is lost, late or doubled: a book called synced equals the venue's at that id.
        #[test]
        fn a_synced_contiguous_book_is_the_venues_book(
            faults in proptest::collection::vec(0u8..10, 60), snapshot_lag in 0i64..6
        ) {
            let mut keeper = Keeper::new(Rule(Chain::Contiguous, Bootstrap::Rest));
            let mut want = None;
            for (at, fault) in faults.iter().enumerate() {
                let id = at as i64 + 1;
                if *fault == 0 {
                    continue; // lost
                }
                let mut outcome = run(&mut keeper, Delta, (id, id, -1));
                if *fault == 1 {
                    outcome = run(&mut keeper, Delta, (id, id, -1));
                    prop_assert!(!matches!(outcome, Outcome::Gap(_)));
                }
                if outcome.needs_snapshot() {
                    want = Some(id + snapshot_lag - 3);
                }
                if let Some(snapshot) = want.filter(|snapshot| *snapshot <= id && *snapshot > 0)
                    && !run(&mut keeper, Snapshot, (snapshot, snapshot, -1)).needs_snapshot()
                {
                    want = None;
                }
                if keeper.proof().state == State::Synced {
                    // The level's quantity is the id of the last message applied.
                    let best = keeper.book().best_bid().map(|level| level.qty.0);
                    prop_assert_eq!(best, Some(keeper.proof().last_id));
                    prop_assert!(keeper.proof().last_id >= id || *fault == 0);
                }
            }
        }
    }
}
