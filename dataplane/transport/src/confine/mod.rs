//! What a lane's thread may ask of the kernel, held by the kernel (seccomp(2)), and what it was refused.
//!
//! ```text
//!   lane thread ── system call ──▶ seccomp ── on the list ──▶ done; no filter runs for most (a bitmap, Linux 5.11)
//!                                     │
//!                                     └ not on it ─▶ SIGSYS on the same thread: counted, answered with EPERM
//! ```
//!
//! A refusal does not kill: a process that dies leaves its orders at the venue, and a call that was forgotten on
//! the list is no reason to. Nor does it ask anybody: a supervisor that hangs would hang the lane. New threads and
//! processes are refused without being counted, since the C library blocks signals around them, and a blocked
//! SIGSYS kills.
//!
//! For one thread, for good, threads it started before not included. The ring of io_uring is another door, with
//! a list of its own ([`crate::OPCODES`]): what a ring does passes no filter.
//! Source: seccomp(2); Documentation/userspace-api/seccomp_filter.rst; kernel/seccomp.c.

mod filter;
mod refusal;

pub use filter::{COLD, ConfineError};
pub use refusal::{Refusals, name_of};

/// Confines the calling thread to `steady` and [`COLD`] calls, by name; from here on.
///
/// Cost: a fraction of a millisecond. Errors: [`ConfineError`]; the thread is free as before, or is kept from
/// new threads and processes only.
pub fn confine(steady: &[&'static str]) -> Result<Refusals, ConfineError> {
    let programs = filter::programs(steady)?;
    // Before the filter: the handler is set with a call that is not on the list.
    let refusals = refusal::hear()?;
    for program in &programs {
        filter::install(program)?;
    }
    Ok(refusals)
}
