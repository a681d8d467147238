//! What was refused: counted by the thread it was refused to, read by any other.

use super::filter::ConfineError;
use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU64, Ordering};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::sync::{Mutex, PoisonError};
use syscalls::Sysno;

/// `si_code` of a SIGSYS that seccomp sent (asm-generic/siginfo.h).
const SYS_SECCOMP: c_int = 1;

#[derive(Debug, Default)]
struct Tally {
    count: AtomicU64,
    /// Number of the last refused call, plus one.
    call_plus_one: AtomicU64,
    /// Where the program asked for it.
    at: AtomicU64,
}

/// Every tally there ever was: kept for good, and to be found by whoever looks for leaks.
static ALL: Mutex<Vec<&'static Tally>> = Mutex::new(Vec::new());

thread_local! {
    // Without a destructor and without a first-use check: a signal handler reads it.
    static TALLY: Cell<Option<&'static Tally>> = const { Cell::new(None) };
}

/// The calls a confined thread was refused. Readable by any thread, also after that one's end.
#[derive(Debug, Clone, Copy)]
pub struct Refusals(&'static Tally);

impl Refusals {
    /// How many, new threads and processes not counted.
    pub fn count(&self) -> u64 {
        self.0.count.load(Ordering::Acquire)
    }

    /// The last one's number ([`name_of`]), and the address of the code that asked for it.
    pub fn last(&self) -> Option<(u32, u64)> {
        let call = self.0.call_plus_one.load(Ordering::Relaxed);
        let call = u32::try_from(call.checked_sub(1)?).ok()?;
        Some((call, self.0.at.load(Ordering::Relaxed)))
    }
}

/// The name of a system call of this machine.
pub fn name_of(call: u32) -> &'static str {
    Sysno::new(call as usize).map_or("unknown", |call| call.name())
}

/// Makes the calling thread count what it is refused. Its tally is never freed: a handler may hold it.
pub fn hear() -> Result<Refusals, ConfineError> {
    let handler = SigHandler::SigAction(on_refusal);
    let action = SigAction::new(
        handler,
        SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK,
        SigSet::empty(),
    );
    // SAFETY: the handler touches only its arguments, atomics and a thread-local without a destructor, which a
    // signal may (signal-safety(7)).
    let result = unsafe { sigaction(Signal::SIGSYS, &action) };
    result.map_err(|errno| ConfineError::Refused {
        what: "sigaction(SIGSYS)",
        errno: errno as i32,
    })?;
    let tally = TALLY.get().unwrap_or_else(|| {
        let tally: &'static Tally = Box::leak(Box::default());
        ALL.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(tally);
        TALLY.set(Some(tally));
        tally
    });
    Ok(Refusals(tally))
}

/// The kernel has put back the registers as they were at the call, `rax` its number; what is in `rax` when the
/// handler returns is the call's result. Source: seccomp_filter.rst, "SECCOMP_RET_TRAP".
extern "C" fn on_refusal(_: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands a handler with SA_SIGINFO its own `siginfo_t`.
    let is_ours = unsafe { (*info).si_code } == SYS_SECCOMP;
    if !is_ours {
        return;
    }
    // SAFETY: the third argument is the interrupted thread's `ucontext_t` on its stack, nobody else's meanwhile.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let registers = &mut context.uc_mcontext.gregs;
    let (call, at) = (
        registers[libc::REG_RAX as usize],
        registers[libc::REG_RIP as usize],
    );
    registers[libc::REG_RAX as usize] = -i64::from(libc::EPERM);
    if let Some(tally) = TALLY.get() {
        tally
            .call_plus_one
            .store((call as u64).wrapping_add(1), Ordering::Relaxed);
        tally.at.store(at as u64, Ordering::Relaxed);
        // One writer: the thread itself.
        let count = tally.count.load(Ordering::Relaxed);
        tally.count.store(count + 1, Ordering::Release);
    }
}
