//! Recordings as one: merged by receive time, again and again if asked.

use crate::BacktestError;
use dp_capture::{Capture, Record};
use dp_types::{UnixNanos, VenueId};
use std::path::PathBuf;

/// Between the end of the recordings and their beginning, when they are repeated.
const PAUSE_NS: u64 = 1_000_000_000;

/// One recording.
#[derive(Debug, Clone)]
pub struct Source {
    /// Whose messages these are.
    pub venue: VenueId,
    /// Where.
    pub path: PathBuf,
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// A line of a recording.
    Line {
        /// Place of its source.
        source: usize,
        /// When it was received; never before the line before it.
        at: UnixNanos,
        /// The line.
        record: Record,
        /// How much later than recorded `at` is, nanoseconds.
        shift: u64,
    },
    /// The recordings begin again.
    Again,
    /// There is no more.
    End,
}

/// A recording being read, one line ahead.
struct Reel {
    capture: Capture,
    ahead: Option<(u64, Record)>,
    last: u64,
}

/// Recordings, merged.
pub struct Tape {
    sources: Vec<Source>,
    reels: Vec<Reel>,
    passes_left: u32,
    shift: u64,
    now: u64,
}

impl Tape {
    /// Opens the recordings, to be read `passes` times. Errors: a file that cannot be read.
    pub fn open(sources: Vec<Source>, passes: u32) -> Result<Self, BacktestError> {
        let mut tape = Self {
            sources,
            reels: Vec::new(),
            passes_left: passes.max(1) - 1,
            shift: 0,
            now: 0,
        };
        tape.rewind()?;
        Ok(tape)
    }

    /// The recordings.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// When the next line was received, if there is one before the recordings begin again.
    pub fn first(&self) -> Option<UnixNanos> {
        let ahead = self.reels.iter().filter_map(|reel| reel.ahead.as_ref());
        ahead.map(|(ts, _)| UnixNanos(*ts)).min()
    }

    /// The next line. Errors: a file that cannot be read, or has no receive times.
    pub fn next(&mut self) -> Result<Next, BacktestError> {
        let reels = self.reels.iter().enumerate();
        let dues = reels.filter_map(|(at, reel)| Some((reel.ahead.as_ref()?.0, at)));
        let Some((ts, source)) = dues.min() else {
            return self.again();
        };
        let reel = &mut self.reels[source];
        let Some((_, record)) = reel.ahead.take() else {
            return Ok(Next::End);
        };
        reel.advance()?;
        self.now = self.now.max(ts.saturating_add(self.shift));
        Ok(Next::Line {
            source,
            at: UnixNanos(self.now),
            record,
            shift: self.shift,
        })
    }

    fn again(&mut self) -> Result<Next, BacktestError> {
        if self.passes_left == 0 {
            return Ok(Next::End);
        }
        self.passes_left -= 1;
        self.rewind()?;
        let first = self.first().map_or(0, |first| first.0);
        self.shift = self.now.saturating_add(PAUSE_NS).saturating_sub(first);
        Ok(Next::Again)
    }

    fn rewind(&mut self) -> Result<(), BacktestError> {
        self.reels.clear();
        for source in &self.sources {
            let mut reel = Reel {
                capture: Capture::open(&source.path)?,
                ahead: None,
                last: 0,
            };
            reel.advance()?;
            self.reels.push(reel);
        }
        Ok(())
    }
}

impl Reel {
    /// Takes the next line that says something. A line without a time came with the one before it.
    fn advance(&mut self) -> Result<(), BacktestError> {
        self.ahead = None;
        while let Some(record) = self.capture.next_record()? {
            if !record.is_message() && record.event.is_none() {
                continue;
            }
            self.last = self.last.max(record.ts.unwrap_or(0));
            if self.last == 0 {
                if record.event.is_some() || record.is_rest() {
                    // Before the first message; taken with it.
                    self.last = 1;
                } else {
                    return Err(BacktestError::NoTimes(format!("{:?}", self.capture)));
                }
            }
            self.ahead = Some((self.last, record));
            break;
        }
        Ok(())
    }
}
