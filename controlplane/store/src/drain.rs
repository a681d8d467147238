//! From the rings to the database: nothing lost, nothing twice, never in anybody's way.
//!
//! ```text
//!   lane's journal ring ──▶ up to a batch ─┐
//!   lane's tick ring    ──▶ up to a batch ─┴▶ one transaction ─▶ commit ─▶ `drained` moves on
//!                                                │
//!                     database away ◀────────────┘  back off, say so, try the same batch again
//! ```
//!
//! Slots are given back to the lanes only after the commit, so a failure or a death at any point is mended
//! by reading again. A batch whose commit was never heard of may be in all the same: journal rows have
//! keys, which turn them away; ticks have none, so how far their ring was read is committed with them,
//! and the next connection goes on from there.

use crate::batch::{Batch, Catalog, Names};
use crate::measure::Curves;
use crate::performance;
use crate::rows::CursorRow;
use crate::session::{Session, Written};
use crate::{Source, StoreError};
use dp_journal::{ReadItem, Reader, Tick};
use dp_shm::twin::Words;
use dp_shm::{Consumer, LaneView, LockGuard, Region};
use dp_types::{Epoch, UnixNanos};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Journal records a lane gives to one transaction.
pub const JOURNAL_BATCH: usize = 8_192;
/// Ticks a lane gives to one transaction.
pub const TICK_BATCH: usize = 16_384;
/// First pause after a failure; doubles up to the other.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// Longest wait for one transaction; a full batch takes well under a second.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);
/// A tick further than this from now is damage, and would make a partition for a day of nonsense.
const TICK_AGE_MAX: Duration = Duration::from_hours(24);

/// What the drain has done and how it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DrainStatus {
    /// The database answers.
    pub is_connected: bool,
    /// Why not, the last time.
    pub error: Option<String>,
    /// Times it went away.
    pub outages: u64,
    /// Transactions.
    pub batches: u64,
    /// Journal rows written.
    pub journal_rows: u64,
    /// Journal rows that were there already.
    pub journal_rows_known: u64,
    /// Ticks written.
    pub ticks: u64,
    /// Ticks that were none, or of no plausible time.
    pub ticks_bad: u64,
    /// Journal places that held no record.
    pub torn: u64,
    /// Journal records overwritten before they were read: a damaged cursor.
    pub lost: u64,
    /// Records of instruments nobody knows.
    pub unknown_instruments: u64,
    /// Journal records waiting.
    pub lag_records: u64,
    /// Ticks waiting.
    pub lag_ticks: u64,
    /// Longest transaction, microseconds.
    pub commit_us_max: u64,
}

struct Lane<'r> {
    id: i16,
    log: LaneView<'r>,
    journal: Reader<'r>,
    ticks: Consumer<'r, 8>,
}

/// What was read and is not known to be in.
#[derive(Default)]
struct Pending {
    batch: Batch,
    /// Lane, and where its journal and its ticks stand after this batch.
    ends: Vec<(usize, u64, u64)>,
    torn: u64,
    lost: u64,
    ticks_bad: u64,
}

/// Drains one region. Holds no thread: call [`Drain::step`] again and again.
pub struct Drain<'r> {
    region: &'r Region,
    lanes: Vec<Lane<'r>>,
    names: Catalog,
    session: Option<Session>,
    /// Read with the first look of each connection.
    curves: Option<Curves>,
    is_writing: bool,
    status: DrainStatus,
    back_off: Duration,
}

impl<'r> Drain<'r> {
    /// `guard` must be this region's `Lock::Drainer`, and stay held.
    pub fn new(region: &'r Region, guard: &LockGuard, names: Names) -> Self {
        let lanes = region.lanes().map(|view| Lane {
            id: i16::from(view.lane.0),
            log: view,
            journal: Reader::from_drained(view.journal),
            ticks: view.ticks(guard),
        });
        Self {
            region,
            lanes: lanes.collect(),
            names: Catalog::new(names),
            session: None,
            curves: None,
            is_writing: false,
            status: DrainStatus::default(),
            back_off: BACK_OFF.0,
        }
    }

    /// Moves what is waiting, at most one batch of each ring. Returns whether there was anything.
    ///
    /// May be dropped half-way: the next call finds out what became of the batch.
    /// Errors: only those that trying again cannot mend; while the database is away this waits a little
    /// (the back-off) and returns `Ok(true)`.
    pub async fn step(&mut self, source: &mut Source, node: &str) -> Result<bool, StoreError> {
        match self.try_step(source, node).await {
            Ok(is_busy) => Ok(is_busy),
            Err(error) if error.is_passing() => {
                self.note_outage(&error);
                tokio::time::sleep(self.back_off).await;
                self.back_off = (self.back_off * 2).min(BACK_OFF.1);
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Drains until nothing waits or `deadline` passes. Returns whether nothing waits.
    pub async fn finish(
        &mut self,
        source: &mut Source,
        node: &str,
        deadline: Instant,
    ) -> Result<bool, StoreError> {
        while Instant::now() < deadline {
            if !self.step(source, node).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks at how every strategy does and writes it down (`performance_metrics`); nothing while the database is away.
    ///
    /// May be dropped half-way, as [`Drain::step`]. Errors: only those that trying again cannot mend.
    pub async fn measure(&mut self, now: UnixNanos) -> Result<(), StoreError> {
        match self.try_measure(now).await {
            Err(error) if error.is_passing() => {
                self.note_outage(&error);
                Ok(())
            }
            measured => measured,
        }
    }

    async fn try_measure(&mut self, now: UnixNanos) -> Result<(), StoreError> {
        let samples = performance::samples(self.region);
        let Some(session) = self.session.as_mut().filter(|_| !self.is_writing) else {
            return Ok(());
        };
        self.is_writing = true;
        let born = born(self.region);
        let written = tokio::time::timeout(WRITE_TIMEOUT, async {
            let curves = match &mut self.curves {
                Some(curves) => curves,
                none => none.insert(session.curves(now).await?),
            };
            session.measure(curves, &samples, born, now).await
        });
        written.await.map_err(|_| StoreError::Gone)??;
        self.is_writing = false;
        Ok(())
    }

    /// How it stands.
    pub fn status(&self) -> DrainStatus {
        let waiting = |lane: &Lane<'_>| {
            let head = lane.log.journal.head();
            head.saturating_sub(lane.log.journal.drained())
        };
        DrainStatus {
            lag_records: self.lanes.iter().map(waiting).sum(),
            lag_ticks: self.lanes.iter().map(|lane| lane.log.ticks_waiting()).sum(),
            ..self.status.clone()
        }
    }

    async fn try_step(&mut self, source: &mut Source, node: &str) -> Result<bool, StoreError> {
        if self.is_writing {
            // The call before failed or was dropped inside a transaction, whose end only a new connection
            // can tell.
            self.session = None;
        }
        if self.session.is_none() {
            self.curves = None;
            let session = Session::open(source, node).await?;
            self.resume(&session).await?;
            self.session = Some(session);
            self.is_writing = false;
            self.status.is_connected = true;
            self.status.error = None;
            tracing::info!("database connected");
        }
        let Some(pending) = self.collect() else {
            return Ok(false);
        };
        let Some(session) = &mut self.session else {
            return Ok(false);
        };
        let started = Instant::now();
        self.is_writing = true;
        // A server that hangs looks like one that is slow, until now.
        let written = tokio::time::timeout(WRITE_TIMEOUT, session.write(&pending.batch));
        let written = written.await.map_err(|_| StoreError::Gone)??;
        self.is_writing = false;
        self.committed(&pending, written, started.elapsed());
        Ok(true)
    }

    /// A new connection: everything not given back is read again, less what turned out to be in.
    async fn resume(&mut self, session: &Session) -> Result<(), StoreError> {
        let lanes: Vec<i16> = self.lanes.iter().map(|lane| lane.id).collect();
        let read = session.ticks_read(&lanes, born(self.region)).await?;
        self.names.unknown = self.status.unknown_instruments;
        for lane in &mut self.lanes {
            lane.journal = Reader::from_drained(lane.log.journal);
            lane.ticks.rewind();
            if let Some(position) = read.get(&lane.id) {
                lane.ticks.seek(position.cast_unsigned());
            }
        }
        Ok(())
    }

    fn collect(&mut self) -> Option<Pending> {
        let mut pending = Pending::default();
        let now = now();
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            let begin = (lane.journal.position(), lane.ticks.position());
            let epoch = pending.journal(self.region, &mut self.names, lane);
            pending.ticks(self.region, &mut self.names, lane, now);
            let end = (lane.journal.position(), lane.ticks.position());
            if end == begin {
                continue;
            }
            pending.ends.push((at, end.0, end.1));
            pending.batch.cursors.push(CursorRow {
                lane: lane.id,
                epoch: i32::from(epoch.0),
                seq: end.0.cast_signed(),
                born: born(self.region),
                ticks: end.1.cast_signed(),
                updated_at: now.into(),
            });
        }
        (!pending.ends.is_empty()).then_some(pending)
    }

    /// The batch is in: only now may its slots be used again.
    fn committed(&mut self, pending: &Pending, written: Written, took: Duration) {
        for (at, journal, ticks) in &pending.ends {
            if let Some(lane) = self.lanes.get_mut(*at) {
                lane.journal.set_drained(*journal);
                lane.ticks.release(*ticks);
            }
        }
        self.back_off = BACK_OFF.0;
        let status = &mut self.status;
        status.batches += 1;
        status.journal_rows += written.journal_rows;
        status.journal_rows_known += written.journal_rows_known;
        status.ticks += written.ticks;
        status.torn += pending.torn;
        status.lost += pending.lost;
        status.ticks_bad += pending.ticks_bad;
        status.unknown_instruments = self.names.unknown;
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        status.commit_us_max = status.commit_us_max.max(took_us);
    }

    fn note_outage(&mut self, error: &StoreError) {
        self.session = None;
        if self.status.is_connected || self.status.error.is_none() {
            self.status.outages += 1;
            tracing::warn!("{error}; records wait in shared memory, trading goes on");
        }
        self.status.is_connected = false;
        self.status.error = Some(error.to_string());
    }
}

impl Pending {
    /// Up to a batch of a lane's journal. Returns the epoch of the last record.
    fn journal(&mut self, region: &Region, names: &mut Catalog, lane: &mut Lane<'_>) -> Epoch {
        let mut epoch = region.epoch();
        for item in lane.journal.by_ref().take(JOURNAL_BATCH) {
            match item {
                ReadItem::Record(record) => {
                    epoch = record.epoch;
                    self.batch.record(region, names, &record);
                }
                ReadItem::Torn { seq, fault } => {
                    tracing::error!("lane {} journal record {seq}: {fault}", lane.id);
                    self.torn += 1;
                }
                ReadItem::Overrun { from, to } => {
                    tracing::error!("lane {} journal records {from}..{to} are gone", lane.id);
                    self.lost += to.saturating_sub(from);
                }
            }
        }
        epoch
    }

    /// Up to a batch of a lane's ticks.
    fn ticks(&mut self, region: &Region, names: &mut Catalog, lane: &mut Lane<'_>, now: UnixNanos) {
        for _ in 0..TICK_BATCH {
            let Some(words) = lane.ticks.peek() else {
                return;
            };
            match Tick::from_words(&words).filter(|tick| is_plausible(tick.at, now)) {
                Some(tick) => self.batch.tick(region, names, lane.id, &tick),
                None => self.ticks_bad += 1,
            }
        }
    }
}

/// The file a ring's positions belong to.
fn born(region: &Region) -> i64 {
    region.header().born_unix_ns.load(Relaxed).cast_signed()
}

fn is_plausible(at: UnixNanos, now: UnixNanos) -> bool {
    Duration::from_nanos(at.0.abs_diff(now.0)) < TICK_AGE_MAX
}

fn now() -> UnixNanos {
    let since = UNIX_EPOCH.elapsed().unwrap_or_default();
    UnixNanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
