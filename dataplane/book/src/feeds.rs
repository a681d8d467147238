//! One instrument's book out of all the connections that bring it.
//!
//! ```text
//!  one feed     message ─▶ keeper
//!  numbered     feeds ─▶ arbiter ─▶ keeper             copies merged: first arrival wins, holes filled
//!  timed        each feed ─▶ a keeper of its own       looked at: the one whose venue time is the latest
//! ```
//! The loss, the silence or a gap of one feed is not seen by whoever looks at the book while another goes on.

use crate::arbiter::{Arbiter, Fate};
use crate::{Book, Copies, Counts, Keeper, Outcome, Proof, State, SyncRule};
use dp_types::limit::FEEDS_MAX;
use dp_types::{BookMsg, BookMsgKind, Instrument, UnixNanos, VenueNanos};

/// What became of a message of one feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// What happened to the book that is looked at; `None`: the message was a copy, or waits for its turn.
    pub outcome: Option<Outcome>,
    /// The feed that must be asked for a whole book.
    pub ask: Option<usize>,
}

/// What the loss of one feed means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The book is lost: no feed is left that brings it.
    Whole,
    /// Another feed's book is looked at now.
    Moved,
    /// Nothing is seen of it. Where the book waits for a whole one, this feed must be asked.
    Unseen(Option<usize>),
}

/// What several feeds of one book have done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeedCounts {
    /// Messages each feed was the first to bring.
    pub won: [u64; FEEDS_MAX],
    /// Messages another feed had brought before.
    pub copies: u64,
    /// Holes of one feed that another filled.
    pub filled: u64,
    /// Times a feed's own book was found wrong and had to begin anew, looked at or not. 0 of feeds that make one book.
    pub anew: u64,
}

/// How a venue's market data comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedPlan {
    /// Connections that bring it, 1 to [`FEEDS_MAX`].
    pub count: usize,
    /// How long a hole waits for another feed, and how long a feed may be silent before another takes over where no
    /// number and no time says which is ahead, nanoseconds.
    pub hold_ns: u64,
}

impl FeedPlan {
    /// One connection.
    pub const ONE: Self = Self {
        count: 1,
        hold_ns: 0,
    };
}

/// The book of one instrument, its keepers and whatever stands before them.
#[derive(Debug)]
pub struct Feeds<R> {
    first: Keeper<R>,
    /// What only several feeds need.
    more: Option<More<R>>,
    /// Which keeper is looked at.
    shown: usize,
}

#[derive(Debug)]
enum More<R> {
    Numbered(Box<Merged<R>>),
    Timed(Box<Timed<R>>),
}

/// Feeds with common numbers.
#[derive(Debug)]
struct Merged<R> {
    rule: R,
    arbiter: Arbiter,
    counts: FeedCounts,
}

/// Feeds without.
#[derive(Debug)]
struct Timed<R> {
    /// Every message is a whole book.
    is_always_whole: bool,
    /// Keepers of the second feed and on.
    others: Vec<Keeper<R>>,
    hold_ns: u64,
    /// Of each feed's last message: venue time, and when it came.
    last: [(VenueNanos, UnixNanos); FEEDS_MAX],
    counts: FeedCounts,
}

impl<R: SyncRule + Copy> Feeds<R> {
    /// Keepers of the usual size. Takes all memory here.
    pub fn new(rule: R, plan: FeedPlan) -> Self {
        let count = plan.count.clamp(1, FEEDS_MAX);
        let counts = FeedCounts::default();
        let more = (count > 1).then(|| match rule.copies() {
            Copies::Numbered => More::Numbered(Box::new(Merged {
                rule,
                arbiter: Arbiter::new(plan.hold_ns),
                counts,
            })),
            copies @ (Copies::Timed | Copies::Whole) => More::Timed(Box::new(Timed {
                is_always_whole: copies == Copies::Whole,
                others: (1..count).map(|_| Keeper::new(rule)).collect(),
                hold_ns: plan.hold_ns,
                last: [(VenueNanos(0), UnixNanos(0)); FEEDS_MAX],
                counts,
            })),
        });
        Self {
            first: Keeper::new(rule),
            more,
            shown: 0,
        }
    }

    /// Takes one message of a feed that proves the book as of `heard` and came at `now`.
    #[inline]
    pub fn on_msg(
        &mut self,
        feed: usize,
        msg: &BookMsg<'_>,
        instrument: &Instrument,
        (heard, now): (UnixNanos, UnixNanos),
    ) -> Taken {
        let Self { first, more, shown } = self;
        match more {
            None => {
                let outcome = first.on_msg(msg, instrument, heard);
                Taken {
                    outcome: Some(outcome),
                    ask: outcome.needs_snapshot().then_some(0),
                }
            }
            Some(More::Numbered(merged)) => {
                merged.on_msg(first, feed, msg, instrument, (heard, now))
            }
            Some(More::Timed(timed)) => timed.on_msg(first, shown, feed, msg, instrument, heard),
        }
    }

    /// Gives up holes that have lasted too long. `None`: nothing was due.
    pub fn on_time(&mut self, instrument: &Instrument, now: UnixNanos) -> Option<Taken> {
        match &mut self.more {
            Some(More::Numbered(merged)) if merged.arbiter.is_holding() => {
                merged.on_time(&mut self.first, instrument, now)
            }
            _ => None,
        }
    }

    /// A feed's link is gone, or messages of it were lost on their way here.
    pub fn lose(&mut self, feed: usize) -> Loss {
        match &mut self.more {
            None => {
                self.first.reset();
                Loss::Whole
            }
            Some(More::Numbered(merged)) => merged.lose(&mut self.first, feed),
            Some(More::Timed(timed)) => timed.lose(&mut self.first, &mut self.shown, feed),
        }
    }

    /// What the feeds have done; `None` with one.
    pub fn feed_counts(&self) -> Option<FeedCounts> {
        match self.more.as_ref()? {
            More::Numbered(merged) => Some(FeedCounts {
                filled: merged.arbiter.filled(),
                ..merged.counts
            }),
            More::Timed(timed) => Some(timed.counts),
        }
    }

    /// Feeds that could bring the book alone, as far as is known; `None` with one. Of those with common numbers: that have
    /// spoken since they came up; of the others: whose own book is whole.
    pub fn ready(&self) -> Option<usize> {
        let is_whole = |keeper: &Keeper<R>| keeper.proof().state == State::Synced;
        Some(match self.more.as_ref()? {
            More::Numbered(merged) => merged.arbiter.alive_count(),
            More::Timed(timed) => {
                let others = timed.others.iter().filter(|keeper| is_whole(keeper));
                usize::from(is_whole(&self.first)) + others.count()
            }
        })
    }

    fn shown(&self) -> &Keeper<R> {
        match (self.shown, &self.more) {
            (1.., Some(More::Timed(timed))) => {
                timed.others.get(self.shown - 1).unwrap_or(&self.first)
            }
            _ => &self.first,
        }
    }

    /// What the book that is looked at has been through.
    pub fn counts(&self) -> Counts {
        self.shown().counts()
    }

    /// The book that is looked at. Only to be traded on while [`Feeds::proof`] says [`State::Synced`].
    #[inline]
    pub fn book(&self) -> &Book {
        self.shown().book()
    }

    /// May it be trusted, up to which id, since when.
    #[inline]
    pub fn proof(&self) -> Proof {
        self.shown().proof()
    }
}

fn count(won: &mut [u64; FEEDS_MAX], feed: usize) {
    if let Some(won) = won.get_mut(feed) {
        *won += 1;
    }
}

/// What several messages together have done: the worst that needs a whole book, else that the book changed.
fn worse(before: Option<Outcome>, step: Outcome) -> Outcome {
    match before {
        Some(before) if before.needs_snapshot() => before,
        Some(Outcome::Applied) if !step.needs_snapshot() => Outcome::Applied,
        _ => step,
    }
}

/// The feed asked first: the venue's own where whole books are fetched, the one that just spoke where they are
/// pushed.
fn favourite<R: SyncRule>(rule: &R, feed: usize) -> usize {
    match rule.bootstrap() {
        crate::Bootstrap::Pushed => feed,
        _ => 0,
    }
}

impl<R: SyncRule> Merged<R> {
    fn on_msg(
        &mut self,
        first: &mut Keeper<R>,
        feed: usize,
        msg: &BookMsg<'_>,
        instrument: &Instrument,
        (heard, now): (UnixNanos, UnixNanos),
    ) -> Taken {
        let is_good = first.proof().state == State::Synced;
        let (arbiter, mut outcome) = (&mut self.arbiter, None);
        let mut pass = |msg: &BookMsg<'_>, came: UnixNanos| {
            let step = first.on_msg(msg, instrument, heard.min(came));
            outcome = Some(worse(outcome, step));
        };
        match arbiter.on_msg(&self.rule, feed, msg, is_good, now, &mut pass) {
            Fate::First => count(&mut self.counts.won, feed),
            Fate::Copy => self.counts.copies += 1,
            Fate::Held => {}
        }
        self.settle(feed, outcome)
    }

    fn on_time(
        &mut self,
        first: &mut Keeper<R>,
        instrument: &Instrument,
        now: UnixNanos,
    ) -> Option<Taken> {
        let mut outcome = None;
        let mut pass = |msg: &BookMsg<'_>, came: UnixNanos| {
            let step = first.on_msg(msg, instrument, came);
            outcome = Some(worse(outcome, step));
        };
        let arbiter = &mut self.arbiter;
        arbiter.give_up_if_due(&self.rule, instrument.id, now, &mut pass);
        outcome.map(|outcome| self.settle(0, Some(outcome)))
    }

    fn settle(&mut self, feed: usize, outcome: Option<Outcome>) -> Taken {
        let ask = outcome.filter(|outcome| outcome.needs_snapshot());
        let ask = ask.and_then(|_| self.arbiter.alive(favourite(&self.rule, feed)));
        if let Some(feed) = ask {
            self.arbiter.asked(feed);
        }
        Taken { outcome, ask }
    }

    fn lose(&mut self, first: &mut Keeper<R>, feed: usize) -> Loss {
        if !self.arbiter.lose(feed) {
            first.reset();
            return Loss::Whole;
        }
        // Whoever was asked for a whole book may be the one that is gone.
        let waits = first.proof().state != State::Synced;
        let ask = self.arbiter.alive(favourite(&self.rule, feed));
        Loss::Unseen(ask.filter(|_| waits))
    }
}

impl<R: SyncRule> Timed<R> {
    fn keeper<'k>(
        others: &'k mut [Keeper<R>],
        first: &'k mut Keeper<R>,
        feed: usize,
    ) -> Option<&'k mut Keeper<R>> {
        match feed {
            0 => Some(first),
            _ => others.get_mut(feed - 1),
        }
    }

    fn on_msg(
        &mut self,
        first: &mut Keeper<R>,
        shown: &mut usize,
        feed: usize,
        msg: &BookMsg<'_>,
        instrument: &Instrument,
        heard: UnixNanos,
    ) -> Taken {
        let nothing = Taken {
            outcome: None,
            ask: None,
        };
        let Some(keeper) = Self::keeper(&mut self.others, first, feed) else {
            return nothing;
        };
        let outcome = keeper.on_msg(msg, instrument, heard);
        let is_whole = keeper.proof().state == State::Synced;
        let ask = outcome.needs_snapshot().then_some(feed);
        let is_wrong = ask.is_some() && outcome != Outcome::NeedSnapshot;
        self.counts.anew += u64::from(is_wrong);
        if let Some(last) = self.last.get_mut(feed) {
            *last = (msg.venue_ns, heard);
        }
        if feed == *shown {
            if is_whole || !self.take_over(first, shown) {
                count(&mut self.counts.won, feed);
                return Taken {
                    outcome: Some(outcome),
                    ask,
                };
            }
            self.counts.filled += 1;
            return Taken {
                outcome: Some(Outcome::Applied),
                ask,
            };
        }
        let (time, spoke) = self.last.get(*shown).copied().unwrap_or_default();
        // Where one of them has no time, only long silence tells that the other is behind.
        let is_untimed = msg.venue_ns.0 == 0 || time.0 == 0;
        let is_ahead = if is_untimed {
            heard.since(spoke) > self.hold_ns
        } else {
            msg.venue_ns > time
        };
        let is_shown_whole = Self::keeper(&mut self.others, first, *shown)
            .is_some_and(|keeper| keeper.proof().state == State::Synced);
        // A whole book that another feed begins with is no news to one that is good, unless there is nothing else.
        let is_news = is_ahead && (msg.kind == BookMsgKind::Delta || self.is_always_whole);
        if is_whole && (!is_shown_whole || is_news) {
            *shown = feed;
            count(&mut self.counts.won, feed);
            return Taken {
                outcome: Some(Outcome::Applied),
                ask,
            };
        }
        self.counts.copies += 1;
        Taken { ask, ..nothing }
    }

    /// Looks at another whole book, the latest of them. False: there is none.
    fn take_over(&mut self, first: &mut Keeper<R>, shown: &mut usize) -> bool {
        let mut best = None;
        for feed in 0..=self.others.len() {
            let keeper = Self::keeper(&mut self.others, first, feed);
            let is_whole = keeper.is_some_and(|keeper| keeper.proof().state == State::Synced);
            let last = self.last.get(feed).filter(|_| is_whole);
            best = best.max(last.map(|last| (*last, feed)));
        }
        if let Some((_, feed)) = best {
            *shown = feed;
        }
        best.is_some()
    }

    fn lose(&mut self, first: &mut Keeper<R>, shown: &mut usize, feed: usize) -> Loss {
        let Some(keeper) = Self::keeper(&mut self.others, first, feed) else {
            return Loss::Unseen(None);
        };
        keeper.reset();
        match feed == *shown {
            false => Loss::Unseen(None),
            true if self.take_over(first, shown) => Loss::Moved,
            true => Loss::Whole,
        }
    }
}
