//! What can go wrong between a process and its region file, each with the mend.

use std::path::PathBuf;

/// Why a region cannot be used. The text names the file, what is wrong and the mend.
#[derive(Debug, thiserror::Error)]
pub enum ShmError {
    /// The system refused. Host.
    #[error("{path}: cannot {what}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The system's word.
        error: std::io::Error,
    },
    /// No such file: no dataplane has run with this name since the machine started. Config.
    #[error(
        "{0}: no such node here; start its dataplane, or check `node.shm` in the configuration"
    )]
    Absent(PathBuf),
    /// The file is something else. Config.
    #[error("{0}: not a spinlane region; point `node.shm` at another file or remove this one")]
    Foreign(PathBuf),
    /// Another release wrote it. Config.
    #[error(
        "{path}: layout {found_version}/{found_hash:016x}, this program speaks \
         {want_version}/{want_hash:016x}; use programs of one release"
    )]
    Layout {
        /// Which file.
        path: PathBuf,
        /// Version in the file.
        found_version: u32,
        /// Version of this build.
        want_version: u32,
        /// Layout hash in the file.
        found_hash: u64,
        /// Layout hash of this build.
        want_hash: u64,
    },
    /// Header and file size disagree, or the sizes are out of range. Host.
    #[error("{0}: damaged header; stop the dataplane, move the file away and start it again")]
    Damaged(PathBuf),
    /// Sizes asked for are out of range. Config.
    #[error("shared memory: {0}")]
    Shape(&'static str),
    /// The role is taken by another process. Refused.
    #[error("{path}: another {role} holds it (pid {pid}); stop that one first")]
    Held {
        /// Which file.
        path: PathBuf,
        /// Whose place is taken.
        role: &'static str,
        /// Its process, 0 where not known.
        pid: u32,
    },
    /// This handle may not write lanes: it came from [`crate::Region::attach`], the lane does not
    /// exist, or it was handed out already. A bug in the caller.
    #[error("lane {0} cannot be written through this handle")]
    NotWriter(u8),
}
