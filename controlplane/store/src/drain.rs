//! From the rings to the database: nothing lost, nothing twice, never in anybody's way.
//!
//! ```text
//!   lane's journal ring ──▶ up to a batch ─┐
//!   lane's tick ring    ──▶ up to a batch ─┴▶ one transaction ─▶ commit ─▶ `drained` moves on
//!                                                │
//!                     database away ◀────────────┘  back off, say so, try the same batch again
//! ```
//!
//! Killed between commit and cursor, the drain reads the same records again and the keys turn them away.
//! Ticks have no key: their batch carries a number that is committed with it, and a batch whose commit
//! was not answered is looked up by it. Ticks popped and not committed are lost with the process; they
//! are market data, and counted where they are dropped.

use crate::batch::{Batch, Catalog, Names};
use crate::rows::CursorRow;
use crate::session::{Session, Written};
use crate::{Source, StoreError};
use dp_journal::{ReadItem, Reader, Tick};
use dp_shm::twin::Words;
use dp_shm::{Consumer, LockGuard, Region};
use dp_types::{LaneId, UnixNanos};
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
    journal: Reader<'r>,
    ticks: Consumer<'r, 8>,
    tick_batch: i64,
}

/// Drains one region. Holds no thread: call [`Drain::step`] again and again.
pub struct Drain<'r> {
    region: &'r Region,
    lanes: Vec<Lane<'r>>,
    names: Catalog,
    session: Option<Session>,
    /// A batch that is not known to be in, and where the journals stand after it.
    pending: Option<(Batch, Vec<u64>)>,
    is_writing: bool,
    status: DrainStatus,
    back_off: Duration,
}

impl<'r> Drain<'r> {
    /// `guard` must be this region's `Lock::Drainer`, and stay held.
    pub fn new(region: &'r Region, guard: &LockGuard, names: Names) -> Self {
        let lanes = region.lanes().map(|view| Lane {
            id: i16::from(view.lane.0),
            journal: Reader::from_drained(view.journal),
            ticks: view.ticks(guard),
            tick_batch: 0,
        });
        Self {
            region,
            lanes: lanes.collect(),
            names: Catalog::new(names),
            session: None,
            pending: None,
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

    /// How it stands.
    pub fn status(&self) -> DrainStatus {
        let mut status = self.status.clone();
        status.unknown_instruments = self.names.unknown;
        status.lag_records = self.lanes.iter().map(|lane| lane.journal.lag()).sum();
        let waiting = |lane: &Lane<'_>| {
            let view = self.region.lane(LaneId(lane.id as u8));
            view.map_or(0, |view| view.ticks_waiting())
        };
        status.lag_ticks = self.lanes.iter().map(waiting).sum();
        if let Some((batch, _)) = &self.pending {
            status.lag_records += batch.journal_rows() as u64;
            status.lag_ticks += batch.ticks.len() as u64;
        }
        status
    }

    async fn try_step(&mut self, source: &mut Source, node: &str) -> Result<bool, StoreError> {
        if self.is_writing {
            // The call before was dropped inside a transaction, whose end only a new connection can tell.
            self.session = None;
        }
        if self.session.is_none() {
            let session = Session::open(source, node).await?;
            self.resume(&session).await?;
            self.session = Some(session);
            self.is_writing = false;
            self.status.is_connected = true;
            self.status.error = None;
            tracing::info!("database connected");
        }
        if self.pending.is_none() {
            self.pending = self.collect();
        }
        let (Some((batch, _)), Some(session)) = (&self.pending, &mut self.session) else {
            return Ok(false);
        };
        let started = Instant::now();
        self.is_writing = true;
        // A server that hangs looks like one that is slow, until now.
        let written = tokio::time::timeout(WRITE_TIMEOUT, session.write(batch));
        let written = written.await.map_err(|_| StoreError::Gone)??;
        self.is_writing = false;
        self.committed(written, started.elapsed());
        Ok(true)
    }

    /// After a reconnect: numbers go on, and ticks of a batch that turned out to be in are not sent again.
    async fn resume(&mut self, session: &Session) -> Result<(), StoreError> {
        let lanes: Vec<i16> = self.lanes.iter().map(|lane| lane.id).collect();
        let committed = session.tick_batches(&lanes).await?;
        for lane in &mut self.lanes {
            let last = committed.get(&lane.id).copied().unwrap_or(0);
            if let Some((batch, _)) = &mut self.pending
                && last == lane.tick_batch
                && last > 0
            {
                batch.ticks.retain(|tick| tick.lane != lane.id);
            }
            lane.tick_batch = lane.tick_batch.max(last);
        }
        Ok(())
    }

    fn collect(&mut self) -> Option<(Batch, Vec<u64>)> {
        let mut batch = Batch::default();
        let now = now();
        let mut is_empty = true;
        for lane in &mut self.lanes {
            let mut epoch = self.region.epoch();
            let before = lane.journal.position();
            for item in lane.journal.by_ref().take(JOURNAL_BATCH) {
                match item {
                    ReadItem::Record(record) => {
                        epoch = record.epoch;
                        batch.record(self.region, &mut self.names, &record);
                    }
                    ReadItem::Torn { seq, fault } => {
                        tracing::error!("lane {} journal record {seq}: {fault}", lane.id);
                        self.status.torn += 1;
                    }
                    ReadItem::Overrun { from, to } => {
                        tracing::error!("lane {} journal records {from}..{to} are gone", lane.id);
                        self.status.lost += to.saturating_sub(from);
                    }
                }
            }
            let mut ticks = 0;
            while ticks < TICK_BATCH {
                let Some(words) = lane.ticks.pop() else {
                    break;
                };
                ticks += 1;
                match Tick::from_words(&words).filter(|tick| is_plausible(tick.at, now)) {
                    Some(tick) => batch.tick(self.region, &mut self.names, lane.id, &tick),
                    None => self.status.ticks_bad += 1,
                }
            }
            if lane.journal.position() == before && ticks == 0 {
                continue;
            }
            is_empty = false;
            lane.tick_batch += i64::from(ticks > 0);
            batch.cursors.push(CursorRow {
                lane: lane.id,
                epoch: i32::from(epoch.0),
                seq: lane.journal.position().cast_signed(),
                tick_batch: lane.tick_batch,
                updated_at: now.into(),
            });
        }
        let positions = self.lanes.iter().map(|lane| lane.journal.position());
        (!is_empty).then(|| (batch, positions.collect()))
    }

    /// The batch is in: only now may its slots be used again.
    fn committed(&mut self, written: Written, took: Duration) {
        if let Some((_, positions)) = self.pending.take() {
            for (lane, position) in self.lanes.iter().zip(positions) {
                lane.journal.set_drained(position);
            }
        }
        self.back_off = BACK_OFF.0;
        self.status.batches += 1;
        self.status.journal_rows += written.journal_rows;
        self.status.journal_rows_known += written.journal_rows_known;
        self.status.ticks += written.ticks;
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.status.commit_us_max = self.status.commit_us_max.max(took_us);
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

fn is_plausible(at: UnixNanos, now: UnixNanos) -> bool {
    Duration::from_nanos(at.0.abs_diff(now.0)) < TICK_AGE_MAX
}

fn now() -> UnixNanos {
    let since = UNIX_EPOCH.elapsed().unwrap_or_default();
    UnixNanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
