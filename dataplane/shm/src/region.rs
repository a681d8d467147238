//! Opening the one file both sides map.
//!
//! ```text
//!   open_or_create (dataplane)          attach (everyone else)
//!     lock or refuse                      read the header page: magic, version, hash, sizes, file size
//!     same layout and sizes → Reused      map, or say what is wrong and the mend
//!     else moved to FILE.old-N → Replaced
//!     none → Created (made aside, linked into place whole)
//! ```
//!
//! Reused keeps everything: journal, positions, limits, kill switch, counters. Replaced keeps the old
//! file beside the new one: the lanes take over its orders and positions, the control plane drains it.

use crate::config::{ConfigHead, ConfigPage};
use crate::error::ShmError;
use crate::lane::{CommandSender, LaneParts, LaneView, LaneWriter};
use crate::layout::{Header, LAYOUT_HASH, MAGIC, Offsets, PAGE, Shape, VENUES_MAX, VERSION};
use crate::lines::{BookLine, PositionLine, VenueLine};
use crate::lock::{Lock, LockGuard};
use crate::map::Mapping;
use crate::market::MarketLine;
use crate::risk::RiskLine;
use crate::strategies::{StrategyLine, StrategySpecLine, StrategyStateLine};
use crate::table::{AssetTable, InstrumentTable, TableHead};
use crate::words::{KillWord, LeaseWord, pack_text, unpack_text, words_of};
use core::mem::{offset_of, size_of};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use dp_types::limit::{ASSETS_MAX, LANES_MAX, STRATEGIES_MAX};
use dp_types::{Epoch, InstrumentId, LaneId, StrategyId, Text, UnixNanos, VenueId};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Tries to open a file that others replace at the same moment.
const OPEN_TRIES_MAX: u32 = 16;
/// Old files kept beside the region before the operator has to clear them away.
const KEPT_MAX: u32 = 99;

/// What [`Region::open_or_create`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// Nothing: a new file.
    Created,
    /// The file of an earlier run, taken up as it stands.
    Reused,
    /// A file that could not be taken up.
    Replaced {
        /// Why.
        why: &'static str,
        /// Where it is now; a release that speaks its layout can still read it.
        kept: PathBuf,
    },
}

/// A mapped region. `Sync`: lanes borrow it, or leak it for the life of the process.
pub struct Region {
    map: Mapping,
    path: PathBuf,
    shape: Shape,
    offsets: Offsets,
    file: (u64, u64),
    writer: Option<LockGuard>,
    lanes_taken: AtomicU64,
}

impl Region {
    /// Opens this node's region for its dataplane, making it where there is none.
    ///
    /// All pages are there when this returns. The file belongs on tmpfs (`/dev/shm`): on a disk its pages are
    /// written back under the lanes' hands. Errors: [`ShmError::Held`] when another dataplane runs on
    /// it, [`ShmError::Foreign`] when the file is not ours to replace, [`ShmError::Shape`],
    /// [`ShmError::Io`].
    pub fn open_or_create(path: &Path, shape: &Shape) -> Result<(Self, Opened), ShmError> {
        shape.check().map_err(ShmError::Shape)?;
        for _ in 0..OPEN_TRIES_MAX {
            let guard = match LockGuard::take(path, path, Lock::Dataplane, false) {
                Err(ShmError::Absent(_)) => match Self::create(path, shape)? {
                    Some(region) => return Ok((region, Opened::Created)),
                    None => continue,
                },
                Err(ShmError::Held { path, role, .. }) => {
                    let pid = Head::read(&path).map_or(0, |head| head.dataplane_pid);
                    return Err(ShmError::Held { path, role, pid });
                }
                other => other?,
            };
            // The file may have been replaced between opening and locking it.
            if file_id(guard.file()).ok()
                != std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()))
            {
                continue;
            }
            let why = match Head::of(guard.file(), path)
                .and_then(|head| head.check(guard.file(), path))
            {
                Ok(found) if found == *shape => {
                    return Ok((Self::map(path, shape, guard)?, Opened::Reused));
                }
                Ok(_) => "lanes, instruments or ring sizes changed",
                Err(ShmError::Layout { .. }) => "another release's layout",
                Err(ShmError::Damaged(_)) => "its header was damaged",
                Err(error) => return Err(error),
            };
            let kept = move_aside(path)?;
            if let Some(region) = Self::create(path, shape)? {
                return Ok((region, Opened::Replaced { why, kept }));
            }
        }
        Err(io(path, "settle on", ErrorKind::WouldBlock.into()))
    }

    /// Opens a node's region to watch or steer it. Errors: [`ShmError`], each with its mend.
    pub fn attach(path: &Path) -> Result<Self, ShmError> {
        let file = open(path)?;
        let shape = Head::of(&file, path)?.check(&file, path)?;
        let offsets = Offsets::of(&shape);
        Ok(Self {
            map: Mapping::new(&file, offsets.size, false).map_err(|e| io(path, "map", e))?,
            path: path.to_owned(),
            shape,
            offsets,
            file: file_id(&file).map_err(|e| io(path, "inspect", e))?,
            writer: None,
            lanes_taken: AtomicU64::new(u64::MAX),
        })
    }

    /// Files that [`Region::open_or_create`] moved aside for this one, oldest first.
    pub fn kept(path: &Path) -> Vec<PathBuf> {
        (1..=KEPT_MAX)
            .map(|n| beside(path, &format!("old-{n}")))
            .filter(|kept| kept.exists())
            .collect()
    }

    /// Notes a new run of the dataplane: its epoch, process, clock rate and start. Returns the number of
    /// starts so far, this one included.
    pub fn begin_run(&self, epoch: Epoch, tsc_hz: u64, now: UnixNanos) -> u64 {
        let header = self.header();
        header.epoch.store(u32::from(epoch.0), Ordering::Relaxed);
        header.tsc_hz.store(tsc_hz, Ordering::Relaxed);
        header.started_unix_ns.store(now.0, Ordering::Relaxed);
        header
            .dataplane_pid
            .store(std::process::id(), Ordering::Release);
        header.starts.fetch_add(1, Ordering::AcqRel).wrapping_add(1)
    }

    /// A lane has written here what it took over: from now on this file alone tells its past.
    pub fn settle(&self, lane: LaneId) {
        let bit = 1u32.checked_shl(u32::from(lane.0)).unwrap_or(0);
        self.header().settled.fetch_or(bit, Ordering::AcqRel);
    }

    /// Whether every lane has; until then the files moved aside ([`Region::kept`]) tell it too.
    pub fn is_settled(&self) -> bool {
        let all = u32::MAX >> (32 - self.shape.lanes.clamp(1, 32));
        self.header().settled.load(Ordering::Acquire) & all == all
    }

    /// Names the node: at most 31 bytes.
    pub fn set_node(&self, name: &str) {
        let mut bytes = [0; 32];
        pack_text(&mut bytes, Text::<31>::lossy(name).as_bytes());
        crate::sync::store(&self.header().node, &words_of(&bytes));
    }

    /// The node's name.
    pub fn node(&self) -> Text<31> {
        unpack_text(
            crate::sync::load(&self.header().node)
                .map(u64::to_le_bytes)
                .as_flattened(),
        )
    }

    /// The writing half of a lane, once per lane. Errors: [`ShmError::NotWriter`].
    pub fn lane_writer(&self, lane: LaneId) -> Result<LaneWriter<'_>, ShmError> {
        if u32::from(lane.0) >= self.shape.lanes {
            return Err(ShmError::NotWriter(lane.0));
        }
        let bit = 1 << lane.0;
        if self.lanes_taken.fetch_or(bit, Ordering::AcqRel) & bit != 0 {
            return Err(ShmError::NotWriter(lane.0));
        }
        Ok(self.parts(lane).writer(lane))
    }

    /// The lanes of this process's run are over, whichever way, and their writers dropped: a simulation's next life may
    /// take them again. A process has one life.
    pub fn end_run(&self) {
        self.lanes_taken.store(0, Ordering::Release);
    }

    /// The reading half of a lane; `None` when there is no such lane.
    pub fn lane(&self, lane: LaneId) -> Option<LaneView<'_>> {
        (u32::from(lane.0) < self.shape.lanes).then(|| self.parts(lane).view(lane))
    }

    /// All lanes.
    pub fn lanes(&self) -> impl Iterator<Item = LaneView<'_>> {
        (0..self.shape.lanes).filter_map(|lane| self.lane(LaneId(lane as u8)))
    }

    /// A way to give commands to a lane; waits its turn behind other control processes.
    /// Errors: [`ShmError::NotWriter`] when there is no such lane, [`ShmError::Io`].
    pub fn command_sender(&self, lane: LaneId) -> Result<CommandSender<'_>, ShmError> {
        if u32::from(lane.0) >= self.shape.lanes {
            return Err(ShmError::NotWriter(lane.0));
        }
        self.parts(lane).sender(self)
    }

    /// Takes a role. [`Lock::Control`] waits its turn, the others refuse with [`ShmError::Held`].
    pub fn lock(&self, lock: Lock) -> Result<LockGuard, ShmError> {
        let guard = LockGuard::take(&self.path, &self.path, lock, lock == Lock::Control)?;
        if file_id(guard.file()).ok() == Some(self.file) {
            Ok(guard)
        } else {
            Err(ShmError::Absent(self.path.clone()))
        }
    }

    /// Whether the path still names this file; `false` = the dataplane replaced it: attach again.
    pub fn is_current(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|m| (m.dev(), m.ino()) == self.file)
    }

    /// Whether this handle is the dataplane's.
    pub const fn is_writer(&self) -> bool {
        self.writer.is_some()
    }

    /// Identity and run.
    pub fn header(&self) -> &Header {
        self.map.at(0)
    }

    /// Epoch of the run that holds or last held the file; 0 = none yet.
    pub fn epoch(&self) -> Epoch {
        Epoch(u16::try_from(self.header().epoch.load(Ordering::Relaxed)).unwrap_or(0))
    }

    /// TSC cycles a second; `None` before the first run.
    pub fn tsc_hz(&self) -> Option<u64> {
        Some(self.header().tsc_hz.load(Ordering::Relaxed)).filter(|hz| *hz != 0)
    }

    /// Lease stub.
    pub fn lease(&self) -> &LeaseWord {
        self.map.at(self.offsets.lease)
    }

    /// Kill switch.
    pub fn kill(&self) -> &KillWord {
        self.map.at(self.offsets.kill)
    }

    /// Risk limits.
    pub fn config(&self) -> ConfigPage<'_> {
        let head: &ConfigHead = self.map.at(self.offsets.config);
        let words = ConfigHead::slot_words(self.shape.instruments as usize);
        let first = self.offsets.config + size_of::<ConfigHead>();
        let second = first + words * size_of::<AtomicU64>();
        ConfigPage {
            version: &head.version,
            slots: [self.map.slice(first, words), self.map.slice(second, words)],
        }
    }

    /// Asset names.
    pub fn assets(&self) -> AssetTable<'_> {
        let lines = self.offsets.assets + size_of::<TableHead>();
        AssetTable {
            head: self.map.at(self.offsets.assets),
            lines: self.map.slice(lines, ASSETS_MAX),
        }
    }

    /// Instruments.
    pub fn instruments(&self) -> InstrumentTable<'_> {
        let lines = self.offsets.instruments + size_of::<TableHead>();
        InstrumentTable {
            head: self.map.at(self.offsets.instruments),
            lines: self.map.slice(lines, self.shape.instruments as usize),
        }
    }

    /// A venue's line; `None` for ids without one.
    pub fn venue(&self, venue: VenueId) -> Option<&VenueLine> {
        self.map
            .slice(self.offsets.venues, VENUES_MAX)
            .get(usize::from(venue.0))
    }

    /// An instrument's position; `None` beyond the shape.
    pub fn position(&self, instrument: InstrumentId) -> Option<&PositionLine> {
        self.map
            .slice(self.offsets.positions, self.shape.instruments as usize)
            .get(instrument.0 as usize)
    }

    /// An instrument's best levels; `None` beyond the shape.
    pub fn book(&self, instrument: InstrumentId) -> Option<&BookLine> {
        self.map
            .slice(self.offsets.books, self.shape.instruments as usize)
            .get(instrument.0 as usize)
    }

    /// What an instrument's market was like of late; `None` beyond the shape.
    pub fn market(&self, instrument: InstrumentId) -> Option<&MarketLine> {
        self.map
            .slice(self.offsets.markets, self.shape.instruments as usize)
            .get(instrument.0 as usize)
    }

    /// Where a strategy stands; `None` beyond [`STRATEGIES_MAX`].
    pub fn strategy(&self, id: StrategyId) -> Option<&StrategyLine> {
        self.map
            .slice(self.offsets.strategies, STRATEGIES_MAX)
            .get(usize::from(id.0))
    }

    /// What a strategy is; `None` beyond [`STRATEGIES_MAX`].
    pub fn strategy_spec(&self, id: StrategyId) -> Option<&StrategySpecLine> {
        self.map
            .slice(self.offsets.strategy_specs, STRATEGIES_MAX)
            .get(usize::from(id.0))
    }

    /// What a strategy has learnt; `None` beyond [`STRATEGIES_MAX`].
    pub fn strategy_state(&self, id: StrategyId) -> Option<&StrategyStateLine> {
        self.map
            .slice(self.offsets.strategy_states, STRATEGIES_MAX)
            .get(usize::from(id.0))
    }

    /// A lane's standing towards its limits; `None` beyond the lanes there can be.
    pub fn risk(&self, lane: LaneId) -> Option<&RiskLine> {
        self.map
            .slice(self.offsets.risks, LANES_MAX)
            .get(usize::from(lane.0))
    }

    /// How big the parts are.
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn parts(&self, lane: LaneId) -> LaneParts<'_> {
        LaneParts::of(&self.map, &self.shape, &self.offsets, lane)
    }

    /// Makes the file aside and links it into place; `None` when another file came first.
    fn create(path: &Path, shape: &Shape) -> Result<Option<Self>, ShmError> {
        let aside = beside(path, &format!("new-{}", std::process::id()));
        let result = Self::create_at(path, &aside, shape);
        // Whether it was linked or failed half-way, the name aside has had its use.
        std::fs::remove_file(&aside).ok();
        result
    }

    fn create_at(path: &Path, aside: &Path, shape: &Shape) -> Result<Option<Self>, ShmError> {
        let size = Offsets::of(shape).size as u64;
        // A leftover of a killed process that had our id.
        std::fs::remove_file(aside).ok();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o660)
            .open(aside)
            .map_err(|error| io(path, "create", error))?;
        file.set_len(size)
            .map_err(|error| io(path, "size", error))?;
        let guard = LockGuard::take(path, aside, Lock::Dataplane, false)?;
        let region = Self::map(path, shape, guard)?;
        let header = region.header();
        for (word, value) in [
            (&header.lanes, shape.lanes),
            (&header.instruments, shape.instruments),
            (&header.journal_records, shape.journal_records),
            (&header.tick_records, shape.tick_records),
            (&header.command_records, shape.command_records),
            (&header.version, VERSION),
        ] {
            word.store(value, Ordering::Relaxed);
        }
        header.size.store(size, Ordering::Relaxed);
        let born = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
        header.born_unix_ns.store(born as u64, Ordering::Relaxed);
        header.layout_hash.store(LAYOUT_HASH, Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
        match std::fs::hard_link(aside, path) {
            Ok(()) => Ok(Some(region)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(io(path, "link into place", error)),
        }
    }

    fn map(path: &Path, shape: &Shape, guard: LockGuard) -> Result<Self, ShmError> {
        let offsets = Offsets::of(shape);
        let map = Mapping::new(guard.file(), offsets.size, true);
        Ok(Self {
            map: map.map_err(|error| io(path, "map", error))?,
            path: path.to_owned(),
            shape: *shape,
            offsets,
            file: file_id(guard.file()).map_err(|error| io(path, "inspect", error))?,
            writer: Some(guard),
            lanes_taken: AtomicU64::new(0),
        })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // A dataplane that ends in order says so; one that is killed leaves its number behind.
        if self.writer.is_some() {
            self.header().dataplane_pid.store(0, Ordering::Release);
        }
    }
}

/// The header as read from the file, before anything is mapped.
struct Head {
    bytes: [u8; size_of::<Header>()],
    dataplane_pid: u32,
}

impl Head {
    fn read(path: &Path) -> Result<Self, ShmError> {
        Self::of(&open(path)?, path)
    }

    fn of(file: &File, path: &Path) -> Result<Self, ShmError> {
        let mut head = Self {
            bytes: [0; size_of::<Header>()],
            dataplane_pid: 0,
        };
        match file.read_exact_at(&mut head.bytes, 0) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(ShmError::Foreign(path.to_owned()));
            }
            other => other.map_err(|error| io(path, "read", error))?,
        }
        if head.u64(offset_of!(Header, magic)) != MAGIC {
            return Err(ShmError::Foreign(path.to_owned()));
        }
        head.dataplane_pid = head.u32(offset_of!(Header, dataplane_pid));
        Ok(head)
    }

    /// Version, hash and sizes; the shape, when all is well.
    fn check(&self, file: &File, path: &Path) -> Result<Shape, ShmError> {
        let found_version = self.u32(offset_of!(Header, version));
        let found_hash = self.u64(offset_of!(Header, layout_hash));
        if (found_version, found_hash) != (VERSION, LAYOUT_HASH) {
            return Err(ShmError::Layout {
                path: path.to_owned(),
                found_version,
                want_version: VERSION,
                found_hash,
                want_hash: LAYOUT_HASH,
            });
        }
        let shape = Shape {
            lanes: self.u32(offset_of!(Header, lanes)),
            instruments: self.u32(offset_of!(Header, instruments)),
            journal_records: self.u32(offset_of!(Header, journal_records)),
            tick_records: self.u32(offset_of!(Header, tick_records)),
            command_records: self.u32(offset_of!(Header, command_records)),
        };
        let length = file
            .metadata()
            .map_err(|error| io(path, "inspect", error))?
            .len();
        let is_whole = shape.check().is_ok()
            && self.u64(offset_of!(Header, size)) == Offsets::of(&shape).size as u64
            && length == Offsets::of(&shape).size as u64;
        if is_whole {
            Ok(shape)
        } else {
            Err(ShmError::Damaged(path.to_owned()))
        }
    }

    fn u64(&self, offset: usize) -> u64 {
        u64::from_le_bytes(core::array::from_fn(|at| self.bytes[offset + at]))
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(core::array::from_fn(|at| self.bytes[offset + at]))
    }
}

const _: () = assert!(size_of::<Header>() <= PAGE && size_of::<AtomicU32>() == 4);

fn open(path: &Path) -> Result<File, ShmError> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    file.map_err(|error| match error.kind() {
        ErrorKind::NotFound => ShmError::Absent(path.to_owned()),
        _ => io(path, "open", error),
    })
}

fn file_id(file: &File) -> std::io::Result<(u64, u64)> {
    file.metadata()
        .map(|metadata| (metadata.dev(), metadata.ino()))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// Renames a region that cannot be taken up to the first free `FILE.old-N`.
fn move_aside(path: &Path) -> Result<PathBuf, ShmError> {
    let free = (1..=KEPT_MAX)
        .map(|n| beside(path, &format!("old-{n}")))
        .find(|kept| !kept.exists());
    let kept = free.ok_or_else(|| {
        io(
            path,
            "keep (remove FILE.old-*)",
            ErrorKind::AlreadyExists.into(),
        )
    })?;
    std::fs::rename(path, &kept).map_err(|error| io(path, "move aside", error))?;
    Ok(kept)
}

fn io(path: &Path, what: &'static str, error: std::io::Error) -> ShmError {
    ShmError::Io {
        path: path.to_owned(),
        what,
        error,
    }
}
