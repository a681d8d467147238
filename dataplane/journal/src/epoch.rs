//! The epoch of a run, kept where neither a reboot (which clears shared memory) nor a lost state
//! directory alone can turn it back.
//!
//! The file is replaced whole and synced, and so is its directory, before the epoch is used: no order can
//! carry an epoch that a later run could be given again.

use dp_types::Epoch;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Why no epoch can be given.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    /// The system refused.
    #[error("{path}: cannot {what}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The system's word.
        error: std::io::Error,
    },
    /// The file holds something else; guessing could repeat an epoch.
    #[error(
        "{0}: not an epoch; write the last epoch used (it is in the orders table) as one decimal number"
    )]
    Damaged(PathBuf),
    /// Client order ids carry 13 bits of epoch.
    #[error(
        "all {max} epochs are used up ({path}); cancel every open order of this node, move the file and \
         the shared-memory file away, and start again from 1",
        max = Epoch::MAX
    )]
    UsedUp {
        /// Where the last one is kept.
        path: PathBuf,
    },
}

/// The next epoch: one above the file's and the region's, whichever is higher; kept on disk before this
/// returns. `held` is the region's ([`dp_shm::Region::epoch`], 0 = none).
pub fn next(state_dir: &Path, held: Epoch) -> Result<Epoch, EpochError> {
    let path = state_dir.join("epoch");
    let kept = read(&path)?;
    let last = kept.max(held);
    let epoch = last
        .next()
        .ok_or_else(|| EpochError::UsedUp { path: path.clone() })?;
    write(state_dir, &path, epoch)?;
    Ok(epoch)
}

fn read(path: &Path) -> Result<Epoch, EpochError> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Epoch(0)),
        Err(error) if error.kind() == ErrorKind::InvalidData => String::new(),
        other => other.map_err(|error| io(path, "read", error))?,
    };
    match text.trim_end().parse::<u16>() {
        Ok(raw) if (1..=Epoch::MAX).contains(&raw) => Ok(Epoch(raw)),
        _ => Err(EpochError::Damaged(path.to_owned())),
    }
}

fn write(state_dir: &Path, path: &Path, epoch: Epoch) -> Result<(), EpochError> {
    let aside = state_dir.join("epoch.new");
    let mut file = File::create(&aside).map_err(|error| io(&aside, "create", error))?;
    writeln!(file, "{}", epoch.0).map_err(|error| io(&aside, "write", error))?;
    file.sync_all().map_err(|error| io(&aside, "sync", error))?;
    std::fs::rename(&aside, path).map_err(|error| io(path, "replace", error))?;
    let folder = File::open(state_dir).map_err(|error| io(state_dir, "open", error))?;
    folder
        .sync_all()
        .map_err(|error| io(state_dir, "sync", error))
}

fn io(path: &Path, what: &'static str, error: std::io::Error) -> EpochError {
    EpochError::Io {
        path: path.to_owned(),
        what,
        error,
    }
}
