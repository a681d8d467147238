//! Copies of one numbered stream, brought by several connections, merged into one before the book.
//!
//! ```text
//!  feed 0: 1 2 3 . 5 6        continues the chain      passed on at once: the first arrival wins
//!  feed 1: . 2 3 4 5 6        at or below its end      a copy: dropped
//!  merged: 1 2 3 4 5 6        beyond its end           a hole: held until another feed fills it
//! ```
//! A hole that every feed has passed, or that lasts too long, is not going to be filled: what was held is passed on,
//! and the keeper behind finds the gap as it would with one connection. Whole books that a further connection begins
//! with do not touch a book that is good.

use crate::splice::Splice;
use crate::sync::{FALL_MIN, Ids, Step, SyncRule, ids_after};
use crate::{Bootstrap, Chain};
use dp_types::limit::FEEDS_MAX;
use dp_types::{BookMsg, BookMsgKind, InstrumentId, UnixNanos};

/// Ids of messages passed on that are remembered, for counters that fall: below that the numbers tell.
const RECENT: usize = 64;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is the first of its copies, and was passed on.
    First,
    /// Another feed brought it before, or a whole book nobody needs.
    Copy,
    /// It came before its turn: held.
    Held,
}

/// Merges the feeds of one instrument.
#[derive(Debug, Clone)]
pub struct Arbiter {
    hold_ns: u64,
    /// End of the merged chain; -1 before it begins.
    tip: Ids,
    recent: [i64; RECENT],
    recent_at: usize,
    held: Splice,
    /// When the hole was found.
    since: UnixNanos,
    /// Feeds that have gone on beyond it: bits.
    beyond: u8,
    /// Feeds that have said something since they came up.
    alive: u8,
    /// Feeds that have told the whole book their stream begins with: the next one is the venue's wish.
    begun: u8,
    /// Which feed began the book anew last, and when.
    renewed: (usize, UnixNanos),
    /// Holes filled from another feed.
    filled: u64,
}

const fn bit(feed: usize) -> u8 {
    1u8.wrapping_shl(feed as u32)
}

const NOWHERE: Ids = Ids {
    last: -1,
    is_fresh: false,
};

impl Arbiter {
    /// An arbiter that holds what lies beyond a hole for at most `hold_ns`. Takes its memory here.
    pub fn new(hold_ns: u64) -> Self {
        Self {
            hold_ns,
            tip: NOWHERE,
            recent: [-1; RECENT],
            recent_at: 0,
            held: Splice::new(),
            since: UnixNanos(0),
            beyond: 0,
            alive: 0,
            begun: 0,
            renewed: (0, UnixNanos(0)),
            filled: 0,
        }
    }

    /// Takes one message of a feed; `pass` gets what the book is to hear, in its order, and when that came in.
    /// `is_good`: the book behind is whole.
    ///
    /// Cost: one comparison of ids while nothing is missing; no allocation. Feeds beyond the maximum are dropped.
    pub fn on_msg<R: SyncRule>(
        &mut self,
        rule: &R,
        feed: usize,
        msg: &BookMsg<'_>,
        is_good: bool,
        now: UnixNanos,
        pass: &mut impl FnMut(&BookMsg<'_>, UnixNanos),
    ) -> Fate {
        if feed >= FEEDS_MAX {
            return Fate::Copy;
        }
        self.alive |= bit(feed);
        match msg.kind {
            BookMsgKind::Snapshot => self.on_snapshot(rule, feed, msg, is_good, now, pass),
            BookMsgKind::Delta => self.on_delta(rule, feed, msg, now, pass),
        }
    }

    fn on_snapshot<R: SyncRule>(
        &mut self,
        rule: &R,
        feed: usize,
        msg: &BookMsg<'_>,
        is_good: bool,
        now: UnixNanos,
        pass: &mut impl FnMut(&BookMsg<'_>, UnixNanos),
    ) -> Fate {
        let bootstrap = rule.bootstrap();
        let has_begun = self.begun & bit(feed) != 0;
        self.begun |= bit(feed);
        if is_good {
            // Of a channel of whole books each is news; of one of changes only the venue's own wish to begin anew.
            let is_next = self.tip.is_fresh && msg.last_id > self.tip.last;
            let (by, at) = self.renewed;
            let is_told = by != feed && now.since(at) < self.hold_ns;
            let is_wish = bootstrap != Bootstrap::Rest && has_begun && !is_told;
            if !is_next && !is_wish {
                return Fate::Copy;
            }
        }
        self.renewed = (feed, now);
        pass(msg, now);
        // What is fetched does not end the chain that is held back for it; what is pushed begins a new one.
        if is_good || bootstrap == Bootstrap::Pushed || msg.last_id > self.tip.last {
            self.tip = ids_after(msg);
        }
        self.drain(rule, msg.instrument, pass);
        Fate::First
    }

    fn on_delta<R: SyncRule>(
        &mut self,
        rule: &R,
        feed: usize,
        msg: &BookMsg<'_>,
        now: UnixNanos,
        pass: &mut impl FnMut(&BookMsg<'_>, UnixNanos),
    ) -> Fate {
        match self.judge(rule, msg) {
            Step::Apply => {
                pass(msg, now);
                self.note(msg);
                self.drain(rule, msg.instrument, pass);
                Fate::First
            }
            Step::Drop => Fate::Copy,
            Step::Gap(_) => {
                if !self.hold(feed, msg, now) {
                    // No room: the hole has lasted long enough, and there is room behind it.
                    self.beyond = u8::MAX;
                    self.give_up_if_due(rule, msg.instrument, now, pass);
                    self.hold(feed, msg, now);
                }
                self.give_up_if_due(rule, msg.instrument, now, pass);
                Fate::Held
            }
        }
    }

    /// As the rule says, but for what a further copy may be that a single stream never is.
    fn judge<R: SyncRule>(&self, rule: &R, msg: &BookMsg<'_>) -> Step {
        if self.tip.last < 0 {
            return Step::Apply;
        }
        let step = rule.judge(self.tip, msg);
        let is_old = || {
            let fall = self.tip.last.saturating_sub(msg.last_id);
            (0..FALL_MIN).contains(&fall) || self.recent.contains(&msg.last_id)
        };
        match step {
            Step::Gap(_) if rule.chain(msg) != Chain::Unchained && is_old() => Step::Drop,
            step => step,
        }
    }

    fn note(&mut self, msg: &BookMsg<'_>) {
        self.tip = ids_after(msg);
        if let Some(slot) = self.recent.get_mut(self.recent_at % RECENT) {
            *slot = msg.last_id;
        }
        self.recent_at = self.recent_at.wrapping_add(1);
    }

    /// False: there is no room.
    fn hold(&mut self, feed: usize, msg: &BookMsg<'_>, now: UnixNanos) -> bool {
        if self.held.len() == 0 {
            (self.since, self.beyond) = (now, 0);
        }
        self.beyond |= bit(feed);
        let is_held = (0..self.held.len()).any(|at| {
            let held = self.held.get(at, msg.instrument);
            held.is_some_and(|held| (held.prev_id, held.last_id) == (msg.prev_id, msg.last_id))
        });
        is_held || self.held.push(msg)
    }

    /// Passes on what continues the chain now.
    fn drain<R: SyncRule>(
        &mut self,
        rule: &R,
        instrument: InstrumentId,
        pass: &mut impl FnMut(&BookMsg<'_>, UnixNanos),
    ) {
        if self.held.len() == 0 {
            return;
        }
        let held = core::mem::replace(&mut self.held, Splice::empty());
        self.held = self.drained(held, rule, instrument, pass);
        if self.held.len() == 0 {
            self.filled += 1;
        }
        // Who has gone on beyond the next hole is not known yet.
        self.beyond = 0;
    }

    fn drained<R: SyncRule>(
        &mut self,
        mut held: Splice,
        rule: &R,
        instrument: InstrumentId,
        pass: &mut impl FnMut(&BookMsg<'_>, UnixNanos),
    ) -> Splice {
        let mut at = 0;
        while let Some(msg) = held.get(at, instrument) {
            match self.judge(rule, &msg) {
                Step::Gap(_) => {
                    at += 1;
                    continue;
                }
                Step::Drop => {}
                Step::Apply => {
                    // It came when the hole was found, or later.
                    pass(&msg, self.since);
                    self.note(&msg);
                }
            }
            held.remove(at);
            at = 0;
        }
        held
    }

    /// Whether something is held.
    pub fn is_holding(&self) -> bool {
        self.held.len() > 0
    }

    /// Passes on what is held when the hole before it is not going to be filled.
    pub fn give_up_if_due<R: SyncRule>(
        &mut self,
        rule: &R,
        instrument: InstrumentId,
        now: UnixNanos,
        pass: &mut impl FnMut(&BookMsg<'_>, UnixNanos),
    ) {
        let is_hopeless = self.beyond & self.alive == self.alive;
        if !self.is_holding() || !is_hopeless && now.since(self.since) < self.hold_ns {
            return;
        }
        let mut held = core::mem::replace(&mut self.held, Splice::empty());
        let ids = (0..held.len()).filter_map(|at| Some((held.get(at, instrument)?.last_id, at)));
        if let Some((_, at)) = ids.min()
            && let Some(msg) = held.get(at, instrument)
        {
            pass(&msg, self.since);
            self.note(&msg);
            held.remove(at);
        }
        self.held = self.drained(held, rule, instrument, pass);
        // Of a second hole nothing is known yet.
        (self.since, self.beyond) = (now, 0);
    }

    /// A whole book was asked for on a feed: the next one there is the answer, and nobody's wish.
    pub fn asked(&mut self, feed: usize) {
        self.begun &= !bit(feed);
    }

    /// A feed is gone. False: it was the last, and everything begins anew.
    pub fn lose(&mut self, feed: usize) -> bool {
        self.alive &= !bit(feed);
        self.begun &= !bit(feed);
        self.beyond &= !bit(feed);
        if self.alive == 0 {
            self.reset();
        }
        self.alive != 0
    }

    /// Forgets the chain: the book behind begins anew.
    pub fn reset(&mut self) {
        self.tip = NOWHERE;
        self.recent = [-1; RECENT];
        self.held.clear();
    }

    /// The first feed that is there, after this one where it is not.
    pub fn alive(&self, feed: usize) -> Option<usize> {
        let others = (0..FEEDS_MAX).filter(|at| *at != feed);
        core::iter::once(feed)
            .chain(others)
            .find(|at| *at < FEEDS_MAX && self.alive & bit(*at) != 0)
    }

    /// How many feeds are there.
    pub const fn alive_count(&self) -> usize {
        self.alive.count_ones() as usize
    }

    /// Holes filled from another feed so far.
    pub const fn filled(&self) -> u64 {
        self.filled
    }
}
