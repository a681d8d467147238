//! Books out of several connections: however copies interleave and whatever each loses, the book is the venue's.

use dp_book::{
    Arbiter, Bootstrap, Chain, Copies, Fate, FeedPlan, Feeds, Loss, Outcome, State, SyncRule,
};
use dp_types::{
    BookMsg, BookMsgKind, Decimal, Instrument, InstrumentId, RawLevel, Text, UnixNanos, VenueId,
    VenueNanos,
};
use proptest::prelude::*;

const HOLD_NS: u64 = 100;

#[derive(Debug, Clone, Copy)]
struct Rule(Chain, Bootstrap, Copies);

impl SyncRule for Rule {
    fn chain(&self, _: &BookMsg<'_>) -> Chain {
        self.0
    }
    fn bootstrap(&self) -> Bootstrap {
        self.1
    }
    fn copies(&self) -> Copies {
        self.2
    }
    fn checksum(&self, book: &dp_book::Book) -> Option<u32> {
        Some(book.best_bid()?.qty.0 as u32)
    }
}

const CONTIGUOUS: Rule = Rule(Chain::Contiguous, Bootstrap::Rest, Copies::Numbered);
const LINKED: Rule = Rule(Chain::Linked, Bootstrap::Pushed, Copies::Numbered);
const TIMED: Rule = Rule(Chain::Unchained, Bootstrap::Pushed, Copies::Timed);
const WHOLE: Rule = Rule(Chain::Unchained, Bootstrap::Pushed, Copies::Whole);

const fn whole(mantissa: i64) -> Decimal {
    Decimal {
        mantissa,
        exponent: 0,
    }
}

/// Message `id` of the chain: it sets the one level's quantity to its number.
struct Message {
    kind: BookMsgKind,
    id: i64,
    bid: [RawLevel; 1],
    venue_ns: u64,
    checksum: Option<u32>,
}

impl Message {
    fn delta(id: i64) -> Self {
        Self {
            kind: BookMsgKind::Delta,
            id,
            bid: [RawLevel {
                price: whole(10),
                qty: whole(id),
            }],
            venue_ns: id as u64,
            checksum: None,
        }
    }

    fn snapshot(id: i64) -> Self {
        Self {
            kind: BookMsgKind::Snapshot,
            ..Self::delta(id)
        }
    }

    fn view(&self) -> BookMsg<'_> {
        BookMsg {
            instrument: InstrumentId(0),
            kind: self.kind,
            first_id: self.id,
            last_id: self.id,
            prev_id: self.id - 1,
            checksum: self.checksum,
            bids: &self.bid,
            asks: &[],
            venue_ns: VenueNanos(self.venue_ns),
        }
    }

    /// Of a venue without numbers.
    fn bare(&self) -> BookMsg<'_> {
        BookMsg {
            first_id: -1,
            last_id: -1,
            prev_id: -1,
            ..self.view()
        }
    }
}

fn instrument() -> Instrument {
    Instrument::bare(InstrumentId(0), VenueId::BINANCE, Text::EMPTY, 0, 0)
}

/// What several feeds bring: each its part of the chain, in order.
struct Play {
    left: Vec<Vec<i64>>,
    arbiter: Arbiter,
    rule: Rule,
    passed: Vec<i64>,
    now: u64,
}

impl Play {
    /// Every feed brings 1, and `count` messages in all less what it loses.
    fn new(rule: Rule, count: usize, lost: &[Vec<bool>]) -> Self {
        let of = |lost: &Vec<bool>| {
            let all = (2..=count as i64).zip(lost);
            all.filter(|(_, lost)| !**lost).map(|(id, _)| id).collect()
        };
        let mut play = Self {
            left: lost.iter().map(of).collect(),
            arbiter: Arbiter::new(HOLD_NS),
            rule,
            passed: Vec::new(),
            now: 1,
        };
        for feed in 0..lost.len() {
            play.bring(feed, 1);
        }
        play
    }

    fn bring(&mut self, feed: usize, id: i64) -> Fate {
        let Self {
            arbiter,
            rule,
            passed,
            now,
            ..
        } = self;
        let message = Message::delta(id);
        arbiter.on_msg(
            rule,
            feed,
            &message.view(),
            true,
            UnixNanos(*now),
            &mut |msg, _| passed.push(msg.last_id),
        )
    }

    fn next(&mut self, feed: usize) {
        if !self.left[feed].is_empty() {
            let id = self.left[feed].remove(0);
            self.bring(feed, id);
        }
    }

    /// Everything that is left comes, and no hole is filled any more.
    fn finish(&mut self) -> &[i64] {
        while self.left.iter().any(|left| !left.is_empty()) {
            for feed in 0..self.left.len() {
                self.next(feed);
            }
        }
        while self.arbiter.is_holding() {
            self.now += HOLD_NS;
            let Self {
                arbiter,
                rule,
                passed,
                now,
                ..
            } = self;
            let id = InstrumentId(0);
            arbiter.give_up_if_due(rule, id, UnixNanos(*now), &mut |msg, _| {
                passed.push(msg.last_id);
            });
        }
        &self.passed
    }
}

fn losses(feeds: usize, count: usize) -> impl Strategy<Value = Vec<Vec<bool>>> {
    let one = proptest::collection::vec(proptest::bool::weighted(0.2), count - 1);
    proptest::collection::vec(one, feeds)
}

const COUNT: usize = 60;

proptest! {
    /// The merged stream is what at least one feed brought: in order, each once, and a gap only where all lost.
    #[test]
    fn copies_make_one_chain(
        lost in (2usize..=4).prop_flat_map(|feeds| losses(feeds, COUNT)),
        order in proptest::collection::vec(0usize..4, 4 * COUNT),
        is_linked in any::<bool>()
    ) {
        let rule = if is_linked { LINKED } else { CONTIGUOUS };
        let mut play = Play::new(rule, COUNT, &lost);
        for feed in order {
            play.next(feed % lost.len());
        }
        let brought = (2..=COUNT as i64).zip(0..).filter(|(_, at)| lost.iter().any(|lost| !lost[*at]));
        let want: Vec<i64> = core::iter::once(1).chain(brought.map(|(id, _)| id)).collect();
        prop_assert_eq!(play.finish(), want);
    }

    /// A book out of two lossy feeds is the venue's, and asks for a whole one once a hole of both, never else.
    #[test]
    fn a_book_asks_only_for_what_both_lost(
        lost in losses(2, COUNT),
        order in proptest::collection::vec(0usize..2, 2 * COUNT)
    ) {
        let plan = FeedPlan { count: 2, hold_ns: HOLD_NS };
        let mut feeds = Feeds::new(CONTIGUOUS, plan);
        let it = instrument();
        let bring = |feeds: &mut Feeds<Rule>, feed: usize, message: Message| {
            let taken = feeds.on_msg(feed, &message.view(), &it, (UnixNanos(1), UnixNanos(1)));
            if taken.ask.is_some() {
                // The whole book as it is after this message comes at once.
                let last = message.id;
                feeds.on_msg(0, &Message::snapshot(last).view(), &it, (UnixNanos(1), UnixNanos(1)));
            }
            usize::from(taken.ask.is_some())
        };
        let mut asked = 0;
        for feed in 0..2 {
            asked += bring(&mut feeds, feed, Message::delta(1));
        }
        prop_assert_eq!(asked, 1, "the first whole book");
        let mut left: Vec<Vec<i64>> = lost.iter().map(|lost| {
            (2..).zip(lost).filter(|(_, lost)| !**lost).map(|(id, _)| id).collect()
        }).collect();
        for feed in order.into_iter().chain((0..2 * COUNT).map(|at| at % 2)) {
            if left[feed].is_empty() { continue; }
            let id = left[feed].remove(0);
            asked += bring(&mut feeds, feed, Message::delta(id));
            if feeds.proof().state == State::Synced {
                let best = feeds.book().best_bid().map(|level| level.qty.0);
                prop_assert_eq!(best, Some(feeds.proof().last_id));
            }
        }
        let is_lost = |id: usize| lost.iter().all(|lost| lost[id - 2]);
        // A hole of both counts once something comes behind it.
        let holes = (2..COUNT).filter(|id| is_lost(*id) && !is_lost(id + 1)).count();
        prop_assert!(asked <= 1 + holes, "{asked} asked, {holes} holes");
        if holes == 0 {
            prop_assert_eq!(asked, 1);
        }
    }
}

#[test]
fn a_hole_of_all_feeds_is_one_gap() {
    let mut feeds = Feeds::new(
        CONTIGUOUS,
        FeedPlan {
            count: 2,
            hold_ns: HOLD_NS,
        },
    );
    let it = instrument();
    let mut bring = |feed, message: Message| {
        let taken = feeds.on_msg(feed, &message.view(), &it, (UnixNanos(1), UnixNanos(1)));
        (taken.outcome, taken.ask)
    };
    for feed in 0..2 {
        bring(feed, Message::delta(1));
    }
    bring(0, Message::snapshot(1));
    assert_eq!(bring(0, Message::delta(3)), (None, None), "it may come yet");
    let (outcome, ask) = bring(1, Message::delta(3));
    assert!(matches!(outcome, Some(Outcome::Gap(_))), "{outcome:?}");
    assert_eq!(ask, Some(0), "fetched: by the venue's own machine");
    assert_eq!(bring(0, Message::delta(4)), (Some(Outcome::Buffered), None));
    assert_eq!(bring(1, Message::delta(4)), (None, None));
    let (outcome, ask) = bring(0, Message::snapshot(3));
    assert_eq!((outcome, ask), (Some(Outcome::Applied), None));
    assert_eq!(feeds.proof().last_id, 4);
}

#[test]
fn a_hole_lasts_no_longer_than_it_may() {
    let mut play = Play::new(CONTIGUOUS, 1, &[vec![], vec![]]);
    assert_eq!(play.bring(0, 3), Fate::Held);
    assert_eq!(play.passed, [1], "the other feed may have it");
    play.now += HOLD_NS;
    assert_eq!(play.finish(), [1, 3]);
}

#[test]
fn what_is_held_is_bounded() {
    let mut play = Play::new(CONTIGUOUS, 1, &[vec![], vec![]]);
    for id in 0..2_000 {
        play.bring(0, 3 + id);
    }
    let held = 2_000 - (play.passed.len() - 1);
    assert!(held <= dp_types::limit::SPLICE_MSGS_MAX, "{held} held");
    assert!(play.passed.is_sorted());
}

#[test]
fn a_feed_that_is_gone_is_not_waited_for() {
    let mut play = Play::new(CONTIGUOUS, 1, &[vec![], vec![]]);
    assert!(play.arbiter.lose(1), "one is left");
    play.bring(0, 3);
    assert_eq!(play.passed, [1, 3], "as with one feed");
    assert!(!play.arbiter.lose(0), "none is left");
    play.bring(1, 1);
    assert_eq!(play.passed, [1, 3, 1], "everything begins anew");
}

#[test]
fn a_further_feeds_whole_book_does_not_touch_a_good_one() {
    let it = instrument();
    let mut feeds = Feeds::new(
        LINKED,
        FeedPlan {
            count: 2,
            hold_ns: HOLD_NS,
        },
    );
    let mut now = 1;
    let mut bring = |feed, message: Message, after| {
        now += after;
        let at = UnixNanos(now);
        feeds.on_msg(feed, &message.view(), &it, (at, at));
        (feeds.proof().last_id, feeds.proof().state)
    };
    assert_eq!(bring(0, Message::snapshot(5), 1), (5, State::Synced));
    assert_eq!(bring(0, Message::delta(6), 1), (6, State::Synced));
    // The other feed begins behind it.
    assert_eq!(bring(1, Message::snapshot(4), 1), (6, State::Synced));
    assert_eq!(bring(1, Message::delta(5), 1), (6, State::Synced));
    assert_eq!(bring(1, Message::delta(6), 1), (6, State::Synced));
    assert_eq!(bring(1, Message::delta(7), 1), (7, State::Synced));
    // The venue begins anew: on both connections, and the second word of it is a copy.
    assert_eq!(bring(0, Message::snapshot(1), HOLD_NS), (1, State::Synced));
    assert_eq!(bring(0, Message::delta(2), 1), (2, State::Synced));
    assert_eq!(bring(1, Message::snapshot(1), 1), (2, State::Synced));
    assert_eq!(bring(1, Message::delta(2), 1), (2, State::Synced));
    assert_eq!(bring(1, Message::delta(3), 1), (3, State::Synced));
}

#[test]
fn a_book_without_numbers_moves_to_the_feed_that_is_ahead() {
    let it = instrument();
    let mut feeds = Feeds::new(
        TIMED,
        FeedPlan {
            count: 2,
            hold_ns: HOLD_NS,
        },
    );
    let bring = |feeds: &mut Feeds<Rule>, feed, message: Message| {
        let taken = feeds.on_msg(feed, &message.bare(), &it, (UnixNanos(1), UnixNanos(1)));
        (taken, feeds.book().best_bid().map(|level| level.qty.0))
    };
    let of = |taken: dp_book::Taken| (taken.outcome, taken.ask);
    for feed in 0..2 {
        bring(&mut feeds, feed, Message::snapshot(1));
    }
    let (taken, best) = bring(&mut feeds, 1, Message::delta(2));
    assert_eq!((of(taken), best), ((Some(Outcome::Applied), None), Some(2)));
    let (taken, best) = bring(&mut feeds, 0, Message::delta(2));
    assert_eq!((of(taken), best), ((None, None), Some(2)), "a copy");
    let (_, best) = bring(&mut feeds, 0, Message::delta(3));
    assert_eq!(best, Some(3));
    // The one that is looked at breaks: the other is whole, and the broken one asks for itself.
    let mut broken = Message::delta(4);
    broken.checksum = Some(5);
    let (taken, best) = bring(&mut feeds, 0, broken);
    assert_eq!(
        (of(taken), best),
        ((Some(Outcome::Applied), Some(0)), Some(2))
    );
    assert_eq!(feeds.proof().state, State::Synced);
    assert_eq!(feeds.feed_counts().unwrap().anew, 1);
    // One that stands back breaks: whoever looks sees nothing of it, and it is counted all the same.
    bring(&mut feeds, 0, Message::snapshot(2));
    let mut broken = Message::delta(3);
    broken.checksum = Some(5);
    let (taken, best) = bring(&mut feeds, 0, broken);
    assert_eq!((of(taken), best), ((None, Some(0)), Some(2)));
    assert_eq!(feeds.lose(0), Loss::Unseen(None));
    assert_eq!(feeds.lose(1), Loss::Whole);
    assert_ne!(feeds.proof().state, State::Synced);
    let counts = feeds.feed_counts().unwrap();
    assert_eq!((counts.won[..2].iter().sum::<u64>(), counts.copies), (3, 4));
    assert_eq!(counts.anew, 2);
}

#[test]
fn a_feed_whose_whole_book_was_lost_asks_for_it_and_is_no_stand_in_before() {
    let it = instrument();
    let mut feeds = Feeds::new(
        TIMED,
        FeedPlan {
            count: 2,
            hold_ns: HOLD_NS,
        },
    );
    let mut bring = |feed, message: Message| {
        let at = (UnixNanos(1), UnixNanos(1));
        let taken = feeds.on_msg(feed, &message.bare(), &it, at);
        (taken.outcome, taken.ask, feeds.ready())
    };
    let applied = Some(Outcome::Applied);
    assert_eq!(bring(0, Message::snapshot(1)), (applied, None, Some(1)));
    assert_eq!(bring(1, Message::delta(2)), (None, Some(1), Some(1)));
    assert_eq!(bring(1, Message::delta(3)), (None, None, Some(1)), "once");
    assert_eq!(bring(1, Message::snapshot(3)), (None, None, Some(2)));
    assert_eq!(feeds.lose(0), Loss::Moved);
    assert_eq!(feeds.ready(), Some(1));
    assert_eq!(feeds.lose(1), Loss::Whole);
    assert_eq!(feeds.ready(), Some(0));
}

#[test]
fn without_any_time_silence_moves_it() {
    let it = instrument();
    let mut feeds = Feeds::new(
        TIMED,
        FeedPlan {
            count: 2,
            hold_ns: HOLD_NS,
        },
    );
    let mut bring = |feed, id, at| {
        let mut message = if at == 1 {
            Message::snapshot(id)
        } else {
            Message::delta(id)
        };
        message.venue_ns = 0;
        let at = UnixNanos(at);
        feeds.on_msg(feed, &message.bare(), &it, (at, at));
        feeds.book().best_bid().map(|level| level.qty.0)
    };
    assert_eq!((bring(0, 1, 1), bring(1, 1, 1)), (Some(1), Some(1)));
    assert_eq!(bring(1, 2, HOLD_NS), Some(1), "the first spoke just now");
    assert_eq!(bring(1, 3, HOLD_NS + 2), Some(3), "the first is silent");
}

#[test]
fn where_every_message_is_a_whole_book_the_latest_is_looked_at() {
    let it = instrument();
    let plan = FeedPlan {
        count: 2,
        hold_ns: HOLD_NS,
    };
    let run = |rule: Rule| {
        let mut feeds = Feeds::new(rule, plan);
        let brought = [(0, 1), (1, 1), (1, 2), (0, 2), (0, 3), (1, 2)];
        let best = brought.map(|(feed, id)| {
            let message = Message::snapshot(id);
            feeds.on_msg(feed, &message.bare(), &it, (UnixNanos(1), UnixNanos(1)));
            feeds.book().best_bid().map_or(0, |level| level.qty.0)
        });
        (best, feeds.feed_counts().unwrap().copies)
    };
    assert_eq!(run(WHOLE), ([1, 1, 2, 2, 3, 3], 3));
    // Elsewhere a whole book is what a feed begins with, and no news to one that is good.
    assert_eq!(run(TIMED), ([1, 1, 1, 2, 3, 3], 3));
}
