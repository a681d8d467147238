//! What can go wrong below raw frames, and what the reader should do about it.

use super::XdpMode;

/// Why raw frames cannot be had. Blame is the host's (kernel, driver, rights) in all but the last two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XdpFault {
    /// The kernel refused a call.
    #[error("{what}: {}", std::io::Error::from_raw_os_error(*.errno))]
    Os {
        /// Which call, and the right or setting it needs.
        what: &'static str,
        /// The kernel's error number.
        errno: i32,
    },
    /// The verifier refused the program. Its log went to standard error.
    #[error("the kernel's verifier refused the program {program}: {}", std::io::Error::from_raw_os_error(*.errno))]
    Verifier {
        /// Which of ours.
        program: &'static str,
        /// The kernel's error number.
        errno: i32,
    },
    /// No mode that was allowed works on this interface.
    #[error("{what} in no allowed mode (last tried: {last}): {}", std::io::Error::from_raw_os_error(*.errno))]
    NoMode {
        /// What was tried.
        what: &'static str,
        /// The last mode tried.
        last: XdpMode,
        /// What the kernel said to it.
        errno: i32,
    },
    /// Somebody holds the queue or the interface, for longer than a crash of ours explains.
    #[error(
        "{what} is busy for {waited_ms} ms: another program holds it (`ip link show` names it)"
    )]
    Busy {
        /// The queue or the interface.
        what: &'static str,
        /// How long it was tried.
        waited_ms: u64,
    },
    /// The kernel's answer has a shape it cannot have.
    #[error("{0}: the kernel's answer makes no sense")]
    Answer(&'static str),
    /// A setting of the caller's.
    #[error("{what} is {got}: {must}")]
    Option {
        /// Which.
        what: &'static str,
        /// As given.
        got: u64,
        /// What is allowed.
        must: &'static str,
    },
    /// Another live process holds the list of changes.
    #[error("another process of ours is running on this list of changes")]
    Held,
}

impl XdpFault {
    /// From `errno`, right after a call failed.
    pub(super) fn last(what: &'static str) -> Self {
        let errno = nix::errno::Errno::last_raw();
        Self::Os { what, errno }
    }

    /// From an I/O error.
    pub(super) fn io(what: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |error| Self::Os {
            what,
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        }
    }

    /// From nix.
    pub(super) fn nix(what: &'static str) -> impl Fn(nix::errno::Errno) -> Self {
        move |errno| Self::Os {
            what,
            errno: errno as i32,
        }
    }

    /// The kernel's error number, where one was told.
    pub const fn errno(self) -> Option<i32> {
        match self {
            Self::Os { errno, .. } | Self::Verifier { errno, .. } | Self::NoMode { errno, .. } => {
                Some(errno)
            }
            Self::Busy { .. } => Some(libc::EBUSY),
            Self::Answer(_) | Self::Option { .. } | Self::Held => None,
        }
    }
}
