//! A strategy's lines: where it stands, what it can be set to, and what it has learnt.
//!
//! Writer: the lane whose engine has it; before that lane turns, the dataplane's main thread. They outlive the
//! process: what was stopped, set and learnt is taken up by the next run, from here or from the state directory.

use crate::twin::{Twin, Words};
use crate::words::{pack_text, unpack_text, words_of};
use dp_types::{InstrumentId, LaneId, Notional, StrategyState, Text, UnixNanos};

/// Parameters a kind of strategy may have.
pub const PARAMS_MAX: usize = 16;
/// Instruments of a strategy that its line has room for.
pub const LEGS_SHOWN_MAX: usize = 8;
/// Integers a strategy may keep: 960 bytes.
pub const STATE_WORDS_MAX: usize = 120;

/// Where one strategy stands. Read it with [`Twin::read`], write it with [`Twin::write`].
pub type StrategyLine = Twin<StrategyStatus, 79>;
/// What one strategy is. As [`StrategyLine`].
pub type StrategySpecLine = Twin<StrategySpec, 111>;
/// What one strategy has learnt. As [`StrategyLine`].
pub type StrategyStateLine = Twin<SavedState, 127>;

/// Where a strategy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StrategyStatus {
    /// Where.
    pub state: StrategyState,
    /// Where it returns to when it is made again after a fault.
    pub goal: StrategyState,
    /// The lane whose engine has it.
    pub lane: LaneId,
    /// It has its seat: the rules of its instruments are known.
    pub is_seated: bool,
    /// How many instruments it has.
    pub legs_count: u8,
    /// The first of them.
    pub legs: [InstrumentId; LEGS_SHOWN_MAX],
    /// Its parameters, each in its unit.
    pub values: [i64; PARAMS_MAX],
    /// What the configuration said of them when they were set.
    pub configured: [i64; PARAMS_MAX],
    /// Times it was made again after a fault, in this run.
    pub restarts: u32,
    /// Calls whose wishes did not fit, in this run.
    pub floods: u32,
    /// Its orders that are not final.
    pub live_orders: u32,
    /// Its last fault; empty = none.
    pub fault: Text<63>,
    /// When that was.
    pub fault_at: UnixNanos,
    /// When it is made again; 0 = not until somebody starts it.
    pub retry_at: UnixNanos,
    /// Since when it stands where it stands.
    pub since: UnixNanos,
    /// When it last saved what it has learnt; 0 = never.
    pub saved_at: UnixNanos,
    /// `CommandNote::at` of the last command it was given.
    pub answered: UnixNanos,
    /// What became of it; empty = done.
    pub answer: Text<127>,
    /// What the last signal was, in its own unit.
    pub signal: i64,
    /// Pairs it finished, in this run.
    pub pairs: u64,
    /// What they made after fees, 10⁻¹² quote units, in this run.
    pub pairs_net: Notional,
    /// When this line was written.
    pub updated: UnixNanos,
}

fn put_words(words: &mut [u64], at: usize, from: &[u64]) {
    words[at..at + from.len()].copy_from_slice(from);
}

fn put_text<const N: usize>(words: &mut [u64], at: usize, text: &Text<N>) {
    let mut bytes = [0; 128];
    pack_text(&mut bytes[..=N], text.as_bytes());
    let packed: [u64; 16] = words_of(&bytes);
    let count = (N + 1) / 8;
    words[at..at + count].copy_from_slice(&packed[..count]);
}

fn text_at<const N: usize>(words: &[u64], at: usize) -> Text<N> {
    let mut bytes = [0; 128];
    let count = (N + 1) / 8;
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(&words[at..at + count]) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    unpack_text(&bytes[..=N])
}

impl Words<79> for StrategyStatus {
    fn to_words(&self) -> [u64; 79] {
        let mut w = [0; 79];
        w[0] = u64::from_le_bytes([
            self.state as u8,
            self.goal as u8,
            self.lane.0,
            u8::from(self.is_seated),
            self.legs_count,
            0,
            0,
            0,
        ]);
        w[1] = u64::from(self.restarts) | u64::from(self.floods) << 32;
        for (at, leg) in self.legs.iter().enumerate() {
            w[2 + at / 2] |= u64::from(leg.0) << (at % 2 * 32);
        }
        put_words(&mut w, 6, &self.values.map(i64::cast_unsigned));
        put_words(&mut w, 22, &self.configured.map(i64::cast_unsigned));
        put_text(&mut w, 38, &self.fault);
        put_text(&mut w, 46, &self.answer);
        let times = [
            u64::from(self.live_orders),
            self.fault_at.0,
            self.retry_at.0,
            self.since.0,
            self.saved_at.0,
            self.answered.0,
            self.signal.cast_unsigned(),
            self.updated.0,
            self.pairs,
            self.pairs_net.0 as u64,
            (self.pairs_net.0 >> 64) as u64,
        ];
        put_words(&mut w, 62, &times);
        w
    }

    fn from_words(w: &[u64; 79]) -> Option<Self> {
        let [state, goal, lane, is_seated, legs_count, ..] = w[0].to_le_bytes();
        Some(Self {
            state: StrategyState::from_raw(state)?,
            goal: StrategyState::from_raw(goal)?,
            lane: LaneId(lane),
            is_seated: is_seated & 1 != 0,
            legs_count,
            legs: core::array::from_fn(|at| InstrumentId((w[2 + at / 2] >> (at % 2 * 32)) as u32)),
            values: core::array::from_fn(|at| w[6 + at].cast_signed()),
            configured: core::array::from_fn(|at| w[22 + at].cast_signed()),
            restarts: w[1] as u32,
            floods: (w[1] >> 32) as u32,
            fault: text_at(w, 38),
            answer: text_at(w, 46),
            live_orders: w[62] as u32,
            fault_at: UnixNanos(w[63]),
            retry_at: UnixNanos(w[64]),
            since: UnixNanos(w[65]),
            saved_at: UnixNanos(w[66]),
            answered: UnixNanos(w[67]),
            signal: w[68].cast_signed(),
            updated: UnixNanos(w[69]),
            pairs: w[70],
            pairs_net: Notional((u128::from(w[71]) | u128::from(w[72]) << 64).cast_signed()),
        })
    }
}

/// What one of a strategy's parameters is, for who looks from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ParamSpec {
    /// Its key.
    pub name: Text<23>,
    /// Its unit, by number (`dp_strategy::Unit`).
    pub unit: u8,
    /// Least and largest value, in its unit.
    pub range: (i64, i64),
}

/// What a strategy is: written once a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StrategySpec {
    /// Its name on the command line.
    pub name: Text<31>,
    /// Its kind.
    pub kind: Text<31>,
    /// Name, kind, instruments and parameters as one number: what was kept under another is another strategy's.
    pub identity: u64,
    /// How many parameters it has.
    pub params_count: u8,
    /// What they are.
    pub params: [ParamSpec; PARAMS_MAX],
}

impl Words<111> for StrategySpec {
    fn to_words(&self) -> [u64; 111] {
        let mut w = [0; 111];
        put_text(&mut w, 0, &self.name);
        put_text(&mut w, 4, &self.kind);
        w[8] = self.identity;
        w[9] = u64::from(self.params_count);
        for (at, param) in self.params.iter().enumerate() {
            let at = 10 + at * 6;
            put_text(&mut w, at, &param.name);
            w[at + 3] = u64::from(param.unit);
            w[at + 4] = param.range.0.cast_unsigned();
            w[at + 5] = param.range.1.cast_unsigned();
        }
        w
    }

    fn from_words(w: &[u64; 111]) -> Option<Self> {
        let params_count = u8::try_from(w[9]).ok()?;
        let param = |at: usize| {
            let at = 10 + at * 6;
            ParamSpec {
                name: text_at(w, at),
                unit: w[at + 3] as u8,
                range: (w[at + 4].cast_signed(), w[at + 5].cast_signed()),
            }
        };
        (usize::from(params_count) <= PARAMS_MAX).then(|| Self {
            name: text_at(w, 0),
            kind: text_at(w, 4),
            identity: w[8],
            params_count,
            params: core::array::from_fn(param),
        })
    }
}

/// What a strategy has learnt: integers only it understands, sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedState {
    /// [`StrategySpec::identity`] of whoever saved it.
    pub identity: u64,
    /// The kind's version of what the integers mean.
    pub version: u32,
    /// When.
    pub at: UnixNanos,
    /// How many integers there are.
    pub len: u32,
    /// They; 0 beyond `len`.
    pub words: [i64; STATE_WORDS_MAX],
    /// Checksum of all of it.
    sum: u64,
}

impl SavedState {
    /// Seals integers; those beyond [`STATE_WORDS_MAX`] are not taken.
    pub fn seal(identity: u64, version: u32, at: UnixNanos, from: &[i64]) -> Self {
        let len = from.len().min(STATE_WORDS_MAX);
        let mut words = [0; STATE_WORDS_MAX];
        words[..len].copy_from_slice(&from[..len]);
        let mut saved = Self {
            identity,
            version,
            at,
            len: len as u32,
            words,
            sum: 0,
        };
        saved.sum = saved.checksum();
        saved
    }

    /// The integers; `None`: damaged.
    pub fn open(&self) -> Option<&[i64]> {
        (self.sum == self.checksum())
            .then(|| self.words.get(..self.len as usize))
            .flatten()
    }

    fn checksum(&self) -> u64 {
        let head = [
            self.identity,
            u64::from(self.version),
            self.at.0,
            u64::from(self.len),
        ];
        checksum(head.into_iter().chain(self.words.map(i64::cast_unsigned)))
    }
}

/// A number that changes with any of the words and with their order: FNV-1a by words, with a rotation.
pub fn checksum(words: impl IntoIterator<Item = u64>) -> u64 {
    let step =
        |sum: u64, word: u64| (sum.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let sum = words.into_iter().fold(0xcbf2_9ce4_8422_2325, step);
    step(sum, sum >> 32)
}

impl Words<127> for SavedState {
    fn to_words(&self) -> [u64; 127] {
        let mut w = [0; 127];
        w[0] = self.identity;
        w[1] = u64::from(self.version) | u64::from(self.len) << 32;
        w[2] = self.at.0;
        w[3] = self.sum;
        put_words(&mut w, 4, &self.words.map(i64::cast_unsigned));
        w
    }

    /// Damaged or not: [`SavedState::open`] tells.
    fn from_words(w: &[u64; 127]) -> Option<Self> {
        Some(Self {
            identity: w[0],
            version: w[1] as u32,
            len: (w[1] >> 32) as u32,
            at: UnixNanos(w[2]),
            sum: w[3],
            words: core::array::from_fn(|at| w[4 + at].cast_signed()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_and_a_spec_come_back_as_they_were() {
        let status = StrategyStatus {
            state: StrategyState::Paused,
            goal: StrategyState::Running,
            lane: LaneId(3),
            is_seated: true,
            legs_count: 4,
            legs: core::array::from_fn(|at| InstrumentId(at as u32 + 7)),
            values: core::array::from_fn(|at| at as i64 - 8),
            configured: core::array::from_fn(|at| i64::MIN + at as i64),
            restarts: 5,
            floods: 6,
            live_orders: 7,
            fault: Text::lossy("it broke"),
            fault_at: UnixNanos(8),
            retry_at: UnixNanos(9),
            since: UnixNanos(10),
            saved_at: UnixNanos(11),
            answered: UnixNanos(12),
            answer: Text::lossy(&"no ".repeat(42)),
            signal: -13,
            updated: UnixNanos(14),
            pairs: 15,
            pairs_net: Notional(-(16 << 70)),
        };
        assert_eq!(StrategyStatus::from_words(&status.to_words()), Some(status));
        let param = ParamSpec {
            name: Text::lossy("position_max"),
            unit: 2,
            range: (-1, i64::MAX),
        };
        let spec = StrategySpec {
            name: Text::lossy("maker-btc"),
            kind: Text::lossy("market_maker"),
            identity: u64::MAX,
            params_count: 16,
            params: [param; PARAMS_MAX],
        };
        assert_eq!(StrategySpec::from_words(&spec.to_words()), Some(spec));
        let mut wrong = spec.to_words();
        wrong[9] = 17;
        assert_eq!(StrategySpec::from_words(&wrong), None);
    }

    #[test]
    fn any_flipped_bit_of_what_was_saved_is_seen() {
        let saved = SavedState::seal(1, 2, UnixNanos(3), &[4, -5, 6]);
        assert_eq!(saved.open(), Some(&[4, -5, 6][..]));
        for bit in 0..124 * 64 {
            let mut words = saved.to_words();
            words[bit / 64] ^= 1 << (bit % 64);
            let read = SavedState::from_words(&words).unwrap();
            assert_eq!(read.open(), None, "bit {bit}");
        }
        let long = SavedState::seal(1, 2, UnixNanos(3), &[1; STATE_WORDS_MAX + 5]);
        assert_eq!(long.open().map(<[i64]>::len), Some(STATE_WORDS_MAX));
    }
}
