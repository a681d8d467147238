//! The lane's side of a recording: inputs into a buffer, a full buffer to the thread that writes it.

use super::file::Shelf;
use super::{Input, Words};
use crate::engine::Action;
use dp_journal::{Entry, Record};
use dp_shm::{InstrumentLimits, NodeLimits};
use dp_types::{ClientOrderId, LaneId, Now, UnixNanos};
use std::collections::VecDeque;
use std::sync::Arc;

/// A buffer that has something in it waits this long at most: what a killed process loses.
const FLUSH_NS: u64 = 100_000_000;

/// What stands at an engine's entry points.
#[derive(Debug)]
pub(crate) enum Tap {
    /// Nothing.
    Off,
    /// Inputs are recorded.
    Record(Box<Recorder>),
    /// Inputs come from a recording.
    Replay(Box<Script>),
}

/// Records what an engine is told. Allocates at its start, and while books of single orders begin; afterwards its lane
/// makes no call for it, and waits for nobody: a recording that cannot be kept up ends, and says so.
#[derive(Debug)]
pub struct Recorder {
    shelf: Arc<Shelf>,
    out: Vec<u8>,
    last: Now,
    sum: Sum,
    /// Something came out since the last [`Input::Check`].
    is_unchecked: bool,
    /// Times the journal was asked since the last input.
    asked: u32,
    words: Option<Words>,
    flush_due: UnixNanos,
    is_over: bool,
    is_patient: bool,
}

impl Recorder {
    /// Records onto a shelf, which a thread clears ([`super::keep`]).
    pub fn new(shelf: Arc<Shelf>) -> Self {
        let out = shelf.take();
        Self {
            is_over: out.is_none(),
            is_patient: false,
            out: out.unwrap_or_default(),
            shelf,
            last: Now::default(),
            sum: Sum::default(),
            is_unchecked: false,
            asked: 0,
            words: None,
            flush_due: UnixNanos(0),
        }
    }

    /// The same, but it waits for the disk rather than end: where time is virtual, and nobody's order is late.
    #[must_use]
    pub const fn patient(mut self) -> Self {
        self.is_patient = true;
        self
    }

    /// Writes an input; what came out before it is proved first.
    fn tell(&mut self, input: &Input<'_>) {
        self.asked = 0;
        if core::mem::take(&mut self.is_unchecked) {
            self.put(&Input::Check(self.sum.0));
        }
        self.put(input);
    }

    fn put(&mut self, input: &Input<'_>) {
        if self.is_over {
            return;
        }
        if self.out.len() + input.bytes_max() > self.out.capacity() {
            self.hand_over();
        }
        if !self.is_over {
            input.put(&mut self.out, &mut self.last);
        }
    }

    /// The buffer goes to the thread. Without another one the recording is over: one with a hole proves nothing.
    fn hand_over(&mut self) {
        if self.out.is_empty() || self.is_over {
            return;
        }
        match self
            .shelf
            .swap(core::mem::take(&mut self.out), self.is_patient)
        {
            Some(empty) => self.out = empty,
            None => self.is_over = true,
        }
    }

    fn on_time(&mut self, now: Now) {
        if now.unix >= self.flush_due {
            self.flush_due = now.unix.after(FLUSH_NS);
            self.hand_over();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if self.is_unchecked {
            self.put(&Input::Check(self.sum.0));
        }
        self.hand_over();
        self.shelf.end();
    }
}

/// What a replay has read ahead for the input in hand.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(super) refused: VecDeque<u32>,
    pub(super) is_checkpoint_due: bool,
    pub(super) page: Option<(u64, NodeLimits, Vec<InstrumentLimits>)>,
    pub(super) within: VecDeque<Words>,
    pub(super) sum: Sum,
    pub(super) asked: u32,
    /// What came out of the input in hand.
    pub(super) entries: Vec<(UnixNanos, Entry)>,
}

impl Tap {
    /// An input, if anybody listens.
    #[inline]
    pub(crate) fn tell<'i>(&mut self, input: impl FnOnce() -> Input<'i>) {
        if let Self::Record(recorder) = self {
            recorder.tell(&input());
        }
    }

    /// The words as they were read; told when they are others than before, or time has come to act on them.
    #[inline]
    pub(crate) fn tell_words(&mut self, words: &Words, now: Now, is_due: bool) {
        if let Self::Record(recorder) = self
            && (is_due || recorder.words.as_ref() != Some(words))
        {
            recorder.words = Some(*words);
            recorder.tell(&Input::Words(*words, now));
        }
    }

    /// The words were read in the middle of an event.
    pub(crate) fn told_within(&mut self, words: &Words) {
        if let Self::Record(recorder) = self {
            recorder.put(&Input::Within(*words));
        }
    }

    /// Those that were, of a recording.
    pub(crate) fn words_within(&mut self) -> Option<Words> {
        match self {
            Self::Replay(script) => script.within.pop_front(),
            Self::Off | Self::Record(_) => None,
        }
    }

    /// Timers run: a recording is kept up to date.
    pub(crate) fn on_tick(&mut self, now: Now) {
        if let Self::Record(recorder) = self {
            recorder.tell(&Input::Tick(now));
            recorder.on_time(now);
        }
    }

    /// The journal is about to be asked: what it must answer, in a replay.
    #[inline]
    pub(crate) fn ask(&mut self) -> Option<bool> {
        match self {
            Self::Off => None,
            Self::Record(recorder) => {
                recorder.asked += 1;
                None
            }
            Self::Replay(script) => {
                let is_refused = script.refused.front() == Some(&script.asked);
                if is_refused {
                    script.refused.pop_front();
                }
                script.asked += 1;
                Some(!is_refused)
            }
        }
    }

    /// The journal refused what it was asked last.
    pub(crate) fn refused(&mut self) {
        if let Self::Record(recorder) = self {
            let ask = recorder.asked.saturating_sub(1);
            recorder.put(&Input::Refused(ask));
        }
    }

    /// Whether live orders must be published again: as it was, in a replay.
    pub(crate) fn is_checkpoint_due(&mut self, is_due: bool) -> bool {
        match self {
            Self::Replay(script) => core::mem::take(&mut script.is_checkpoint_due),
            Self::Record(recorder) if is_due => {
                recorder.put(&Input::CheckpointDue);
                true
            }
            _ => is_due,
        }
    }

    /// Whether inputs come from a recording: nothing else is read then.
    pub(crate) const fn is_replay(&self) -> bool {
        matches!(self, Self::Replay(_))
    }

    /// The limits that had been put in force, of a recording.
    pub(crate) fn page(&mut self, limits: &mut [InstrumentLimits]) -> Option<(u64, NodeLimits)> {
        let Self::Replay(script) = self else {
            return None;
        };
        let (version, node, page) = script.page.take()?;
        for (slot, limit) in limits.iter_mut().zip(page) {
            *slot = limit;
        }
        Some((version, node))
    }

    /// Limits were read off the page.
    pub(crate) fn paged(&mut self, version: u64, node: NodeLimits, limits: &[InstrumentLimits]) {
        if let Self::Record(recorder) = self {
            recorder.put(&Input::Page(version, Box::new(node), limits.to_vec()));
        }
    }

    /// An entry went into the journal.
    #[inline]
    pub(crate) fn published(&mut self, lane: LaneId, now: UnixNanos, entries: &[&Entry]) {
        let sum = match self {
            Self::Off => return,
            Self::Record(recorder) => {
                recorder.is_unchecked = true;
                &mut recorder.sum
            }
            Self::Replay(script) => {
                script
                    .entries
                    .extend(entries.iter().map(|entry| (now, **entry)));
                &mut script.sum
            }
        };
        for entry in entries {
            sum.add_entry(lane, now, entry);
        }
    }

    /// The lane has taken an action, or found none.
    #[inline]
    pub(crate) fn took(&mut self, action: Option<&Action>, has_news: bool) {
        match (self, action) {
            (Self::Record(recorder), Some(action)) => {
                recorder.tell(&Input::Took);
                recorder.sum.add_action(action);
                recorder.is_unchecked = true;
            }
            (Self::Record(recorder), None) if has_news => recorder.tell(&Input::Drained),
            (Self::Replay(script), Some(action)) => script.sum.add_action(action),
            _ => {}
        }
    }
}

/// A running sum of what came out: not against forgery, but no accident leaves it as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum(pub(super) u64);

impl Sum {
    const fn add(&mut self, word: u64) {
        // Odd, with bits all over: the golden ratio's.
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn add_entry(&mut self, lane: LaneId, now: UnixNanos, entry: &Entry) {
        let record = Record {
            // Where it stands in the ring is no matter of the engine's.
            seq: 0,
            epoch: dp_types::Epoch(0),
            lane,
            at: now,
            entry: *entry,
        };
        for word in record.encode() {
            self.add(word);
        }
    }

    fn add_action(&mut self, action: &Action) {
        let id = |id: ClientOrderId| id.0;
        let (kind, subject) = match action {
            Action::New(order) => (1, id(order.client_id)),
            Action::Amend(amend) => (2, id(amend.client_id)),
            Action::Cancel(cancel) => (3, id(cancel.client_id)),
            Action::CancelAll(instrument) => (4, u64::from(instrument.0)),
            Action::Snapshot(instrument, feed) => {
                (5, u64::from(instrument.0) << 8 | u64::from(*feed))
            }
            Action::L3Snapshot(instrument) => (6, u64::from(instrument.0)),
            Action::Query(cancel) => (7, id(cancel.client_id)),
            Action::Reconcile(venue) => (8, u64::from(venue.0)),
            Action::Reopen(venue) => (9, u64::from(venue.0)),
        };
        self.add(kind);
        self.add(subject);
    }
}
