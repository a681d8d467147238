//! The two words every lane reads each duty cycle: may I trade until, and has anyone pulled the switch.

use core::sync::atomic::{AtomicU64, Ordering, fence};
use dp_types::{Epoch, Text, UnixNanos};

/// **Lease stub.** Until when this node may trade. In this release nothing grants or renews it: the
/// dataplane holds it for ever ([`LeaseWord::hold_always`]). The word and the check before each send
/// are where they will stay.
#[repr(C, align(64))]
pub struct LeaseWord {
    epoch: AtomicU64,
    until_unix_ns: AtomicU64,
    pad: [AtomicU64; 6],
}

impl LeaseWord {
    /// Lease stub: holds the lease without end, in the name of `epoch`.
    pub fn hold_always(&self, epoch: Epoch) {
        self.epoch.store(u64::from(epoch.0), Ordering::Relaxed);
        self.until_unix_ns.store(u64::MAX, Ordering::Release);
    }

    /// Ends it at once.
    pub fn drop_lease(&self) {
        self.until_unix_ns.store(0, Ordering::Release);
    }

    /// Whether `epoch` may send at `now`. Cost: two loads of a line nobody writes.
    #[inline]
    pub fn may_trade(&self, epoch: Epoch, now: UnixNanos) -> bool {
        now.0 < self.until_unix_ns.load(Ordering::Acquire)
            && self.epoch.load(Ordering::Relaxed) == u64::from(epoch.0)
    }

    /// Who holds it; `None` when the word holds no epoch.
    pub fn epoch(&self) -> Option<Epoch> {
        u16::try_from(self.epoch.load(Ordering::Relaxed))
            .ok()
            .filter(|raw| *raw != 0)
            .map(Epoch)
    }

    /// Until when; `u64::MAX` nanoseconds = without end (the stub).
    pub fn until(&self) -> UnixNanos {
        UnixNanos(self.until_unix_ns.load(Ordering::Acquire))
    }
}

const NOTES: u64 = 8;
const WHO: usize = 31;
const WHY: usize = 127;
const NOTE_WORDS: usize = 22;

/// Who changed the switch and why: [stamp, unix_ns, who 32 B, why 128 B, ...].
#[repr(C, align(64))]
struct KillNote {
    /// The change it speaks of; 0 while it is being written.
    stamp: AtomicU64,
    words: [AtomicU64; NOTE_WORDS],
    pad: AtomicU64,
}

/// The kill switch of the node. Anyone may set it, lanes read it each duty cycle, and it outlives every
/// process: the file does.
///
/// ```text
///   state = changes << 1 | killed        a change takes the next number; its note lies in notes[number & 7]
/// ```
#[repr(C, align(64))]
pub struct KillWord {
    state: AtomicU64,
    pad: [AtomicU64; 7],
    notes: [KillNote; NOTES as usize],
}

/// The switch at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KillState {
    /// Trading is killed.
    pub is_killed: bool,
    /// How often it changed since the file was made.
    pub changes: u64,
}

/// The latest change of the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KillChange {
    /// Who did it.
    pub who: Text<WHO>,
    /// Why.
    pub why: Text<WHY>,
    /// When.
    pub at: UnixNanos,
}

impl KillWord {
    /// Stops trading. Says whether this call changed anything; `who` and `why` are cut to 31 and 127
    /// bytes. Cost: one compare-exchange and the note; never waits.
    pub fn kill(&self, who: &str, why: &str, now: UnixNanos) -> bool {
        self.change(true, who, why, now)
    }

    /// Allows trading again. As [`KillWord::kill`].
    pub fn arm(&self, who: &str, why: &str, now: UnixNanos) -> bool {
        self.change(false, who, why, now)
    }

    /// Whether trading is killed. Cost: one load.
    #[inline]
    pub fn is_killed(&self) -> bool {
        self.state.load(Ordering::Acquire) & 1 != 0
    }

    /// The switch now.
    pub fn state(&self) -> KillState {
        let raw = self.state.load(Ordering::Acquire);
        KillState {
            is_killed: raw & 1 != 0,
            changes: raw >> 1,
        }
    }

    /// Who changed it last and why; `None` when nobody has, or its author has not finished the note.
    pub fn last_change(&self) -> Option<KillChange> {
        let number = self.state().changes;
        let note = &self.notes[(number % NOTES) as usize];
        if number == 0 || note.stamp.load(Ordering::Acquire) != number {
            return None;
        }
        let words = crate::sync::load(&note.words);
        fence(Ordering::Acquire);
        if note.stamp.load(Ordering::Relaxed) != number {
            return None;
        }
        let bytes = words.map(u64::to_le_bytes);
        let bytes = bytes.as_flattened();
        Some(KillChange {
            at: UnixNanos(words[0]),
            who: unpack_text(bytes.get(8..8 + WHO + 1)?),
            why: unpack_text(bytes.get(40..40 + WHY + 1)?),
        })
    }

    fn change(&self, to: bool, who: &str, why: &str, now: UnixNanos) -> bool {
        let next = |raw: u64| {
            (raw & 1 != u64::from(to)).then_some((((raw >> 1) + 1) << 1) | u64::from(to))
        };
        let Ok(before) = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next)
        else {
            return false;
        };
        // The number is ours alone, and so is its note until seven more changes have happened.
        let number = (before >> 1) + 1;
        let note = &self.notes[(number % NOTES) as usize];
        let mut bytes = [0u8; NOTE_WORDS * 8];
        bytes[..8].copy_from_slice(&now.0.to_le_bytes());
        pack_text(&mut bytes[8..40], Text::<WHO>::lossy(who).as_bytes());
        pack_text(&mut bytes[40..168], Text::<WHY>::lossy(why).as_bytes());
        note.stamp.store(0, Ordering::Relaxed);
        fence(Ordering::Release);
        crate::sync::store(&note.words, &words_of(&bytes));
        note.stamp.store(number, Ordering::Release);
        true
    }
}

/// `[length, bytes...]` into a field one byte longer than the text may be.
pub(crate) fn pack_text(field: &mut [u8], text: &[u8]) {
    let len = text.len().min(field.len() - 1);
    field[0] = len as u8;
    field[1..=len].copy_from_slice(&text[..len]);
}

/// The inverse of [`pack_text`]; empty when the field is not UTF-8 or its length is wrong.
pub(crate) fn unpack_text<const N: usize>(field: &[u8]) -> Text<N> {
    field
        .split_first()
        .and_then(|(len, bytes)| bytes.get(..usize::from(*len)))
        .and_then(|bytes| core::str::from_utf8(bytes).ok())
        .and_then(Text::new)
        .unwrap_or(Text::EMPTY)
}

/// Bytes as words; `N` words must be exactly as long.
pub(crate) fn words_of<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let (chunks, _) = bytes.as_chunks::<8>();
    core::array::from_fn(|at| chunks.get(at).map_or(0, |chunk| u64::from_le_bytes(*chunk)))
}
