//! What a lane does after a turn that found nothing.

use crate::Transport;

/// Idle policy of one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Idle {
    /// Goes on at once: the lane owns its core.
    Spin,
    /// Lets other runnable threads of the core go first.
    #[default]
    Yield,
    /// Sleeps in the kernel until something comes or is due.
    Park,
}

impl Idle {
    /// System calls the policy makes besides the transport's own.
    pub const fn steady_syscalls(self) -> &'static [&'static str] {
        match self {
            Self::Yield => &["sched_yield"],
            Self::Spin | Self::Park => &[],
        }
    }

    /// Waits by the policy, at most `timeout_ns`.
    pub fn wait(self, transport: &mut impl Transport, timeout_ns: u64) {
        match self {
            Self::Spin => core::hint::spin_loop(),
            Self::Yield => std::thread::yield_now(),
            Self::Park => transport.park(timeout_ns),
        }
    }
}
