//! Two rings over the caller's memory: a queue (ticks, commands) and a log (journal).
//!
//! ```text
//!   queue   tail ≤ head ≤ tail + capacity     Producer moves head, Consumer moves tail; full refuses
//!   log     drained ≤ head                    LogWriter moves head; the drainer moves `drained`;
//!           [head − capacity, head) readable  readers keep their own sequence and may be many
//! ```
//!
//! Positions count records since the file was made and never wrap back; slot = position & mask.
//! The other side's cursor is another process's word: a wild value reads as full (for writers), is
//! resynchronised (queue reader) or is an overrun (log reader); it is never an index.
//!
//! Records are words copied with relaxed atomics and published by one release store of the head, so even
//! a breach of the one-writer promise garbles records and not memory. Checked by the loom tests below.

use crate::sync::{AtomicU64, Ordering, fence, load, store};

/// Records between two cursors; `None` when one of them is wild: behind the other, or more than a ring
/// ahead. Cursors count from 0 and would take centuries to wrap.
const fn waiting(head: u64, tail: u64, capacity: u64) -> Option<u64> {
    match head.checked_sub(tail) {
        Some(count) if count <= capacity => Some(count),
        _ => None,
    }
}

/// No room: the other side has not taken enough yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ring is full")]
pub struct Full;

/// Writing end of a queue. One per ring.
pub struct Producer<'r, const W: usize> {
    head: &'r AtomicU64,
    tail: &'r AtomicU64,
    slots: &'r [[AtomicU64; W]],
    next: u64,
    tail_seen: u64,
}

impl<'r, const W: usize> Producer<'r, W> {
    /// Takes up where the ring stands. `slots.len()` must be a power of two.
    pub fn new(head: &'r AtomicU64, tail: &'r AtomicU64, slots: &'r [[AtomicU64; W]]) -> Self {
        assert!(
            slots.len().is_power_of_two(),
            "a ring's capacity is a power of two"
        );
        let (next, tail_seen) = (head.load(Ordering::Relaxed), tail.load(Ordering::Acquire));
        Self {
            head,
            tail,
            slots,
            next,
            tail_seen,
        }
    }

    /// Appends one record. Errors: [`Full`]; nothing was written. Cost: `W` + 1 stores.
    #[inline]
    pub fn push(&mut self, record: &[u64; W]) -> Result<(), Full> {
        let capacity = self.slots.len() as u64;
        let is_free = |tail| waiting(self.next, tail, capacity).is_some_and(|n| n < capacity);
        if !is_free(self.tail_seen) {
            self.tail_seen = self.tail.load(Ordering::Acquire);
            if !is_free(self.tail_seen) {
                return Err(Full);
            }
        }
        store(
            &self.slots[self.next as usize & (self.slots.len() - 1)],
            record,
        );
        self.next = self.next.wrapping_add(1);
        self.head.store(self.next, Ordering::Release);
        Ok(())
    }
}

/// Reading end of a queue. One per ring.
pub struct Consumer<'r, const W: usize> {
    head: &'r AtomicU64,
    tail: &'r AtomicU64,
    slots: &'r [[AtomicU64; W]],
    next: u64,
    wild: u64,
}

impl<'r, const W: usize> Consumer<'r, W> {
    /// Takes up where the ring stands. `slots.len()` must be a power of two.
    pub fn new(head: &'r AtomicU64, tail: &'r AtomicU64, slots: &'r [[AtomicU64; W]]) -> Self {
        assert!(
            slots.len().is_power_of_two(),
            "a ring's capacity is a power of two"
        );
        Self {
            head,
            tail,
            slots,
            next: tail.load(Ordering::Relaxed),
            wild: 0,
        }
    }

    /// The oldest record, taken off; `None` when there is none. Cost: one load when empty.
    #[inline]
    pub fn pop(&mut self) -> Option<[u64; W]> {
        let record = self.peek()?;
        self.release(self.next);
        Some(record)
    }

    /// The oldest record not read yet; its slot stays taken until [`Consumer::release`], and
    /// [`Consumer::rewind`] gives it out again. Cost: one load when there is none.
    #[inline]
    pub fn peek(&mut self) -> Option<[u64; W]> {
        let head = self.head.load(Ordering::Acquire);
        if head == self.next {
            return None;
        }
        if waiting(head, self.next, self.slots.len() as u64).is_none() {
            self.skip_to(head);
            self.wild += 1;
            return None;
        }
        let record = load(&self.slots[self.next as usize & (self.slots.len() - 1)]);
        self.next = self.next.wrapping_add(1);
        Some(record)
    }

    /// Position of the next record to read.
    pub const fn position(&self) -> u64 {
        self.next
    }

    /// Gives the slots below `position` back to the writer.
    pub fn release(&mut self, position: u64) {
        self.tail.store(position, Ordering::Release);
    }

    /// Starts again at the oldest record whose slot was not given back.
    pub fn rewind(&mut self) {
        self.next = self.tail.load(Ordering::Relaxed);
    }

    /// Passes over records that another memory says were handled, where `position` is among those
    /// waiting; else does nothing.
    pub fn seek(&mut self, position: u64) {
        let head = self.head.load(Ordering::Acquire);
        if position >= self.next && position <= head {
            self.skip_to(position);
        }
    }

    /// Drops everything waiting (commands left over from an earlier run).
    pub fn clear(&mut self) {
        self.skip_to(self.head.load(Ordering::Acquire));
    }

    /// How often the cursors made no sense and were brought together again.
    pub const fn wild(&self) -> u64 {
        self.wild
    }

    fn skip_to(&mut self, position: u64) {
        self.next = position;
        self.tail.store(position, Ordering::Release);
    }
}

/// Writing end of a log. One per ring.
pub struct LogWriter<'r, const W: usize> {
    head: &'r AtomicU64,
    drained: &'r AtomicU64,
    slots: &'r [[AtomicU64; W]],
    next: u64,
    drained_seen: u64,
}

impl<'r, const W: usize> LogWriter<'r, W> {
    /// Most records one [`LogWriter::append`] may carry.
    pub const APPEND_MAX: usize = 8;

    /// Takes up where the log stands. `slots.len()` must be a power of two above [`Self::APPEND_MAX`].
    pub fn new(head: &'r AtomicU64, drained: &'r AtomicU64, slots: &'r [[AtomicU64; W]]) -> Self {
        assert!(
            slots.len().is_power_of_two() && slots.len() > Self::APPEND_MAX,
            "log capacity"
        );
        let (next, drained_seen) = (
            head.load(Ordering::Relaxed),
            drained.load(Ordering::Acquire),
        );
        Self {
            head,
            drained,
            slots,
            next,
            drained_seen,
        }
    }

    /// Appends 1 to [`Self::APPEND_MAX`] records that become visible together: after a `kill -9` either
    /// all of them are in the log or none.
    ///
    /// `reserve`: slots this caller must leave free, so that more important records still find room.
    /// Returns the position of the first. Errors: [`Full`]; nothing was written.
    /// Cost: `W` stores a record and one more.
    #[inline]
    pub fn append<const N: usize>(
        &mut self,
        records: &[[u64; W]; N],
        reserve: u64,
    ) -> Result<u64, Full> {
        const { assert!(N >= 1 && N <= Self::APPEND_MAX, "records in one append") };
        self.put(records, reserve)
    }

    /// As [`LogWriter::append`], of a list; [`Full`] too when it is longer than [`Self::APPEND_MAX`].
    pub fn append_list(&mut self, records: &[[u64; W]], reserve: u64) -> Result<u64, Full> {
        if records.len() > Self::APPEND_MAX {
            return Err(Full);
        }
        self.put(records, reserve)
    }

    #[inline(always)]
    fn put(&mut self, records: &[[u64; W]], reserve: u64) -> Result<u64, Full> {
        if !self.has_room(records.len(), reserve) {
            return Err(Full);
        }
        // Orders the head published before against the stores below: whoever copies a slot that is
        // being overwritten sees, after the copy, a head that tells.
        fence(Ordering::Release);
        let (first, mask) = (self.next, self.slots.len() - 1);
        for record in records {
            store(&self.slots[self.next as usize & mask], record);
            self.next = self.next.wrapping_add(1);
        }
        self.head.store(self.next, Ordering::Release);
        Ok(first)
    }

    /// The position the next record gets.
    #[inline]
    pub const fn next_seq(&self) -> u64 {
        self.next
    }

    /// Slots in the ring.
    pub const fn capacity(&self) -> u64 {
        self.slots.len() as u64
    }

    /// Whether `count` records fit and leave `reserve` slots free. A wild drained cursor reads as full.
    #[inline]
    pub fn has_room(&mut self, count: usize, reserve: u64) -> bool {
        let allowed = self.capacity().saturating_sub(reserve);
        let fits = |drained| {
            let held = waiting(self.next, drained, self.capacity());
            held.is_some_and(|held| held.saturating_add(count as u64) <= allowed)
        };
        if fits(self.drained_seen) {
            return true;
        }
        let drained = self.drained.load(Ordering::Acquire);
        let is_free = fits(drained);
        self.drained_seen = drained;
        is_free
    }
}

/// What a log holds at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRead<const W: usize> {
    /// The record, copied whole. Its content is still the writer's word: check it.
    Record([u64; W]),
    /// Not written yet.
    NotYet,
    /// Overwritten: the oldest position that can still be read.
    Overrun {
        /// Continue here.
        oldest: u64,
    },
}

/// Reading end of a log; any number of them.
#[derive(Clone, Copy)]
pub struct LogReader<'r, const W: usize> {
    head: &'r AtomicU64,
    drained: &'r AtomicU64,
    slots: &'r [[AtomicU64; W]],
}

impl<'r, const W: usize> LogReader<'r, W> {
    /// A reader of the whole log. `slots.len()` must be a power of two.
    pub fn new(head: &'r AtomicU64, drained: &'r AtomicU64, slots: &'r [[AtomicU64; W]]) -> Self {
        assert!(
            slots.len().is_power_of_two(),
            "a ring's capacity is a power of two"
        );
        Self {
            head,
            drained,
            slots,
        }
    }

    /// Copies the record at `seq`.
    pub fn read(&self, seq: u64) -> LogRead<W> {
        let head = self.head.load(Ordering::Acquire);
        if seq >= head {
            return LogRead::NotYet;
        }
        if seq < self.oldest_at(head) {
            return LogRead::Overrun {
                oldest: self.oldest_at(head),
            };
        }
        let record = load(&self.slots[seq as usize & (self.slots.len() - 1)]);
        fence(Ordering::Acquire);
        let head = self.head.load(Ordering::Relaxed);
        if seq < self.oldest_at(head) {
            return LogRead::Overrun {
                oldest: self.oldest_at(head),
            };
        }
        LogRead::Record(record)
    }

    /// One past the newest record.
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// The oldest record that can be read now.
    pub fn oldest(&self) -> u64 {
        self.oldest_at(self.head())
    }

    /// Everything below is in the database.
    pub fn drained(&self) -> u64 {
        self.drained.load(Ordering::Acquire)
    }

    /// Says that everything below `seq` is in the database: its slots may be reused. Only the drainer
    /// calls this, after its commit.
    pub fn set_drained(&self, seq: u64) {
        self.drained.store(seq, Ordering::Release);
    }

    /// Slots in the ring.
    pub const fn capacity(&self) -> u64 {
        self.slots.len() as u64
    }

    /// The slots right above `head`, which alias the oldest records, may be being filled: those records
    /// count as gone already, unless the drainer still needs them, for then the writer refuses first.
    fn oldest_at(&self, head: u64) -> u64 {
        // Relaxed is enough: a reader who copied a reused slot has, by the fences, the writer's view, and the
        // writer saw the cursor that freed it; coherence then forbids an older one here.
        let may_alias = LogWriter::<W>::APPEND_MAX as u64;
        let safe = head
            .saturating_add(may_alias)
            .saturating_sub(self.capacity());
        match waiting(head, self.drained.load(Ordering::Relaxed), self.capacity()) {
            Some(held) => safe.min(head - held),
            None => safe.min(head),
        }
    }
}

#[cfg(all(test, loom))]
mod tests {
    //! Ends are made before the threads start: loom 0.7 remembers one last access a cell, so a thread that
    //! loads a cell before storing to it hides the race with the other thread's earlier load.
    //!
    //! Each fence and ordering was weakened once to see a model fail. Two pairs cannot be tried so: the
    //! release of `tail` and of `drained` with the writer's acquire. They keep the load of a slot from being
    //! overtaken by the next record's store, and loom never lets a load be overtaken.
    use super::*;
    use loom::thread;

    struct Memory<const SLOTS: usize, const W: usize> {
        head: AtomicU64,
        tail: AtomicU64,
        slots: [[AtomicU64; W]; SLOTS],
    }

    impl<const SLOTS: usize, const W: usize> Memory<SLOTS, W> {
        fn new() -> &'static Self {
            let slots = core::array::from_fn(|_| core::array::from_fn(|_| AtomicU64::new(0)));
            Box::leak(Box::new(Self {
                head: AtomicU64::new(0),
                tail: AtomicU64::new(0),
                slots,
            }))
        }

        fn queue(&self) -> (Producer<'_, W>, Consumer<'_, W>) {
            let producer = Producer::new(&self.head, &self.tail, &self.slots);
            (producer, Consumer::new(&self.head, &self.tail, &self.slots))
        }
    }

    /// A full ring of 16 one-word records, each its own sequence: a foreign one is enough to show.
    fn full_log() -> (LogWriter<'static, 1>, LogReader<'static, 1>) {
        let memory = Memory::<16, 1>::new();
        let mut writer = LogWriter::new(&memory.head, &memory.tail, &memory.slots);
        for n in 0..16 {
            writer.append(&[[n]], 0).unwrap();
        }
        (
            writer,
            LogReader::new(&memory.head, &memory.tail, &memory.slots),
        )
    }

    fn check(log: &LogReader<'_, 1>, seq: u64) {
        if let LogRead::Record(record) = log.read(seq) {
            assert_eq!(record, [seq], "another record handed out");
        }
    }

    #[test]
    fn loom_queue_gives_whole_records_in_order() {
        loom::model(|| {
            let (mut producer, mut consumer) = Memory::<1, 2>::new().queue();
            let reader = thread::spawn(move || {
                let taken: Vec<_> = (0..2).filter_map(|_| consumer.pop()).collect();
                (consumer, taken)
            });
            let sent: Vec<_> = (1..=2)
                .filter(|n| producer.push(&[*n, n * 10]).is_ok())
                .collect();
            let (mut consumer, mut taken) = reader.join().unwrap();
            taken.extend(consumer.pop());
            let whole: Vec<_> = sent.iter().map(|n| [*n, n * 10]).collect();
            assert_eq!(
                taken, whole,
                "what was taken in is given out, whole and in order"
            );
        });
    }

    /// A record read while the writer comes round to its slot: it is itself, or disowned.
    #[test]
    fn loom_log_read_is_itself_or_overrun() {
        loom::model(|| {
            let (mut writer, log) = full_log();
            log.set_drained(16);
            let reader = thread::spawn(move || [8, 16].map(|seq| check(&log, seq)));
            writer
                .append(&[[16], [17], [18], [19], [20], [21], [22], [23]], 0)
                .unwrap();
            writer.append(&[[24]], 0).unwrap();
            reader.join().unwrap();
        });
    }

    /// The drainer frees the oldest record and the writer takes its slot at once, while it is being read.
    #[test]
    fn loom_log_slot_freed_under_a_reader_is_seen() {
        loom::model(|| {
            let (mut writer, log) = full_log();
            let reader = thread::spawn(move || check(&log, 0));
            let drainer = thread::spawn(move || log.set_drained(1));
            let _ = writer.append(&[[16]], 0);
            reader.join().unwrap();
            drainer.join().unwrap();
        });
    }
}
