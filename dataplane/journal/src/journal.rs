//! Writing and reading a lane's journal.

use crate::codec::{Record, RecordFault};
use crate::entry::Entry;
use dp_shm::layout::RECORD_WORDS;
use dp_shm::{Full, LogRead, LogReader, LogWriter};
use dp_types::{Epoch, LaneId, UnixNanos};

/// The lane's pen. Sequence numbers go on where the region's last run left them.
pub struct Journal<'r> {
    ring: LogWriter<'r, RECORD_WORDS>,
    lane: LaneId,
    epoch: Epoch,
    reserve: u64,
    checkpoint_at: u64,
}

impl<'r> Journal<'r> {
    /// Most entries of one list.
    pub const LIST_MAX: usize = LogWriter::<'r, RECORD_WORDS>::APPEND_MAX;

    /// Takes over a lane's ring for one run. An eighth of it is kept for what cannot wait: cancels,
    /// reports, fills ([`Entry::leaves_reserve`]).
    pub fn new(ring: LogWriter<'r, RECORD_WORDS>, lane: LaneId, epoch: Epoch) -> Self {
        let reserve = ring.capacity() / 8;
        // From 0: once the journal is longer than half the ring, orders of an earlier run may be about to
        // leave it, so the first checkpoint of a run is due at once.
        Self {
            ring,
            lane,
            epoch,
            reserve,
            checkpoint_at: 0,
        }
    }

    /// Whether an entry that must leave the reserve free finds room.
    #[inline]
    pub fn has_room_for_wishes(&mut self) -> bool {
        self.ring.has_room(1, self.reserve)
    }

    /// Publishes one entry; returns its sequence. When this returns `Ok` the record outlives the process.
    ///
    /// Errors: [`Full`]: the database is too far behind; nothing was written. Of an order intent: do not
    /// send. Of a report or fill: even the reserve is used up; stop trading.
    /// Cost: one checksum and 17 stores; no allocation, no system call.
    #[inline]
    pub fn publish(&mut self, now: UnixNanos, entry: &Entry) -> Result<u64, Full> {
        self.publish_all(now, [entry])
    }

    /// Publishes up to 8 entries that belong together: a reader, and a recovery after `kill -9`, finds
    /// all of them or none. Returns the first one's sequence. Errors: as [`Journal::publish`].
    #[inline]
    pub fn publish_all<const N: usize>(
        &mut self,
        now: UnixNanos,
        entries: [&Entry; N],
    ) -> Result<u64, Full> {
        let reserve = if entries.iter().any(|e| e.leaves_reserve()) {
            self.reserve
        } else {
            0
        };
        // Refuse before the work of encoding, which needs the sequence anyway.
        if !self.ring.has_room(N, reserve) {
            return Err(Full);
        }
        let mut seq = self.ring.next_seq();
        let records = entries.map(|entry| {
            let record = Record {
                seq,
                epoch: self.epoch,
                lane: self.lane,
                at: now,
                entry: *entry,
            };
            seq = seq.wrapping_add(1);
            record.encode()
        });
        self.ring.append(&records, reserve)
    }

    /// As [`Journal::publish_all`], of a list that is no wish; [`Full`] too beyond [`Journal::LIST_MAX`] of them.
    pub fn publish_list(&mut self, now: UnixNanos, entries: &[Entry]) -> Result<u64, Full> {
        let mut records = [[0; RECORD_WORDS]; Self::LIST_MAX];
        let mut seq = self.ring.next_seq();
        for (words, entry) in records.iter_mut().zip(entries) {
            let record = Record {
                seq,
                epoch: self.epoch,
                lane: self.lane,
                at: now,
                entry: *entry,
            };
            *words = record.encode();
            seq = seq.wrapping_add(1);
        }
        let list = records.get(..entries.len()).ok_or(Full)?;
        self.ring.append_list(list, 0)
    }

    /// Whether live orders have to be published again ([`crate::entry::Checkpoint`], each of them) lest
    /// they leave the ring; then call [`Journal::checkpointed`]. Due every half ring, which keeps up to a
    /// quarter ring of live orders within it at any moment, while they are being published included.
    #[inline]
    pub const fn is_checkpoint_due(&self) -> bool {
        self.ring.next_seq().wrapping_sub(self.checkpoint_at) >= self.ring.capacity() / 2
    }

    /// All live orders stand in the ring from here on.
    pub const fn checkpointed(&mut self) {
        self.checkpoint_at = self.ring.next_seq();
    }

    /// The sequence the next entry gets.
    pub const fn next_seq(&self) -> u64 {
        self.ring.next_seq()
    }

    /// The run it writes for.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }
}

/// What a reader meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadItem {
    /// A record.
    Record(Record),
    /// The place holds no record: damage, or another release's writing. Skipped.
    Torn {
        /// Which place.
        seq: u64,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// Records were overwritten before they were read. Skipped.
    Overrun {
        /// First one lost.
        from: u64,
        /// First one that is there.
        to: u64,
    },
}

/// Reads a lane's journal in order, up to what is published now; ask again later for more.
///
/// Bounded whatever the memory holds: each step moves on, and no call to [`Iterator::next`] loops.
#[derive(Clone)]
pub struct Reader<'r> {
    log: LogReader<'r, RECORD_WORDS>,
    next: u64,
}

impl<'r> Reader<'r> {
    /// From `seq` on.
    pub const fn from_seq(log: LogReader<'r, RECORD_WORDS>, seq: u64) -> Self {
        Self { log, next: seq }
    }

    /// From the oldest record that is still there.
    pub fn from_oldest(log: LogReader<'r, RECORD_WORDS>) -> Self {
        Self {
            next: log.oldest(),
            log,
        }
    }

    /// From the first record that is not in the database yet. A drained cursor that makes no sense
    /// counts as nothing drained: the database takes no record twice.
    pub fn from_drained(log: LogReader<'r, RECORD_WORDS>) -> Self {
        let (head, drained) = (log.head(), log.drained());
        let is_sane = head
            .checked_sub(drained)
            .is_some_and(|lag| lag <= log.capacity());
        Self {
            next: if is_sane { drained } else { log.oldest() },
            log,
        }
    }

    /// Everything below was read: hand this to [`Reader::set_drained`] after the commit.
    pub const fn position(&self) -> u64 {
        self.next
    }

    /// Everything below `seq` is in the database. Only the drainer says so.
    pub fn set_drained(&self, seq: u64) {
        self.log.set_drained(seq);
    }

    /// Slots of the ring.
    pub const fn capacity(&self) -> u64 {
        self.log.capacity()
    }

    /// Records waiting.
    pub fn lag(&self) -> u64 {
        self.log.head().saturating_sub(self.next)
    }
}

impl Iterator for Reader<'_> {
    type Item = ReadItem;

    fn next(&mut self) -> Option<ReadItem> {
        let seq = self.next;
        match self.log.read(seq) {
            LogRead::NotYet => None,
            LogRead::Overrun { oldest } => {
                self.next = oldest;
                Some(ReadItem::Overrun {
                    from: seq,
                    to: oldest,
                })
            }
            LogRead::Record(words) => {
                self.next = seq.wrapping_add(1);
                Some(match Record::decode(&words) {
                    Ok(record) if record.seq == seq => ReadItem::Record(record),
                    Ok(record) => ReadItem::Torn {
                        seq,
                        fault: RecordFault::Sequence(record.seq),
                    },
                    Err(fault) => ReadItem::Torn { seq, fault },
                })
            }
        }
    }
}
