//! Who may do what only one may do: byte-range locks on the region file.
//!
//! Open-file-description locks (`fcntl(2)`, F_OFD_SETLK): each guard opens the file anew, so two guards
//! of one process exclude each other too, and the kernel lets go when the holder ends, `kill -9` included.
//! No lane ever takes one after its start.

use crate::error::ShmError;
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A role one process at a time may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Lock {
    /// Runs the lanes. Held for life.
    Dataplane = 0,
    /// Writes limits and commands. Held for moments.
    Control = 1,
    /// Drains journals and ticks. Held for life.
    Drainer = 2,
}

impl Lock {
    const fn role(self) -> &'static str {
        match self {
            Self::Dataplane => "dataplane",
            Self::Control => "control command",
            Self::Drainer => "control plane",
        }
    }

    const fn range(self) -> libc::flock {
        libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: self as libc::off_t,
            l_len: 1,
            l_pid: 0,
        }
    }
}

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub struct LockGuard {
    lock: Lock,
    file: File,
}

impl LockGuard {
    /// Which lock it is.
    pub const fn lock(&self) -> Lock {
        self.lock
    }

    /// Takes `lock` on the file `open` names. `wait`: until it is free, else [`ShmError::Held`].
    pub(crate) fn take(path: &Path, open: &Path, lock: Lock, wait: bool) -> Result<Self, ShmError> {
        let fail = |what: &'static str| {
            move |error: std::io::Error| ShmError::Io {
                path: path.to_owned(),
                what,
                error,
            }
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_CLOEXEC)
            .open(open)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => ShmError::Absent(path.to_owned()),
                _ => fail("open")(error),
            })?;
        let range = lock.range();
        let how = if wait {
            FcntlArg::F_OFD_SETLKW(&range)
        } else {
            FcntlArg::F_OFD_SETLK(&range)
        };
        match fcntl(&file, how) {
            Ok(_) => Ok(Self { lock, file }),
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => Err(ShmError::Held {
                path: path.to_owned(),
                role: lock.role(),
                pid: 0,
            }),
            Err(error) => Err(fail("lock")(error.into())),
        }
    }

    pub(crate) const fn file(&self) -> &File {
        &self.file
    }
}
