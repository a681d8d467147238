//! A thread of another process, held by ptrace(2): frozen while it is held, and made to call what it would not.
//!
//! Only that thread stops: the process, its other threads and their clocks go on. So a lane hangs in truth, and
//! a call planted in it is its own in the kernel's eyes, filters included; no test hook is built into a lane.

use anyhow::{Context, Result, bail, ensure};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::unix::fs::FileExt as _;

/// `rt_sigreturn` on x86_64.
const SYS_RT_SIGRETURN: u64 = 15;
/// `syscall`, the instruction.
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// `int3`, the instruction.
const TRAP: [u8; 1] = [0xcc];
/// Results below this are the kernel's own words for "begin again", no program sees them (linux/errno.h).
const RESTARTS: core::ops::RangeInclusive<i64> = -516..=-512;
const EINTR: i64 = 4;
/// Octets of a page.
const PAGE: u64 = 4096;

/// A held thread. Dropping it lets it go on.
#[derive(Debug)]
pub struct Held(Pid);

impl Held {
    /// Stops the thread where it is. Errors: it is gone, or we may not.
    pub fn seize(thread: i32) -> Result<Self> {
        let thread = Pid::from_raw(thread);
        ptrace::seize(thread, ptrace::Options::PTRACE_O_TRACESYSGOOD)?;
        let held = Self(thread);
        ptrace::interrupt(thread)?;
        held.wait()?;
        Ok(held)
    }

    fn wait(&self) -> Result<WaitStatus> {
        Ok(waitpid(self.0, Some(WaitPidFlag::__WALL))?)
    }

    /// Runs to the next entry or end of a system call; a signal is delivered on the way.
    fn to_call(&self, signal: Option<Signal>) -> Result<()> {
        ptrace::syscall(self.0, signal)?;
        match self.wait()? {
            WaitStatus::PtraceSyscall(_) => Ok(()),
            other => bail!("no system call but {other:?}"),
        }
    }

    /// Makes the thread call `number` without arguments, and puts it back as it was. The call's result, negative
    /// error numbers included; and whether a signal (SIGSYS) came of it.
    pub fn call(&self, number: u64) -> Result<(i64, bool)> {
        self.call_with(number, [0; 6])
    }

    /// The same with arguments.
    pub fn call_with(&self, number: u64, arguments: [u64; 6]) -> Result<(i64, bool)> {
        let before = ptrace::getregs(self.0)?;
        let mut planted = before;
        planted.rip = self.instruction()?;
        planted.rax = number;
        [
            planted.rdi,
            planted.rsi,
            planted.rdx,
            planted.r10,
            planted.r8,
            planted.r9,
        ] = arguments;
        // Whatever it was interrupted in is not begun again meanwhile.
        planted.orig_rax = u64::MAX;
        ptrace::setregs(self.0, planted)?;
        self.to_call(None)?;
        self.to_call(None)?;
        let mut result = ptrace::getregs(self.0)?.rax.cast_signed();
        ptrace::step(self.0, None)?;
        let stop = self.wait()?;
        let is_refused = matches!(stop, WaitStatus::Stopped(_, Signal::SIGSYS));
        if is_refused {
            // Through the handler, to the end of its return: the registers it left are the thread's.
            self.to_call(Some(Signal::SIGSYS))?;
            let entry = ptrace::getregs(self.0)?.orig_rax;
            ensure!(entry == SYS_RT_SIGRETURN, "the handler called {entry}");
            self.to_call(None)?;
            result = ptrace::getregs(self.0)?.rax.cast_signed();
        }
        let mut after = before;
        if RESTARTS.contains(&after.rax.cast_signed()) {
            after.rax = (-EINTR).cast_unsigned();
            after.orig_rax = u64::MAX;
        }
        ptrace::setregs(self.0, after)?;
        Ok((result, is_refused))
    }

    /// Gives the thread a page of its own. Not on a confined lane's list. Returns where it is.
    pub fn map_page(&self) -> Result<u64> {
        const SYS_MMAP: u64 = 9;
        // PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, no file.
        let (at, _) = self.call_with(SYS_MMAP, [0, PAGE, 3, 0x22, u64::MAX, 0])?;
        ensure!(at > 0, "mmap: {at}");
        Ok(at.cast_unsigned())
    }

    /// Takes what is behind the page away and has the thread touch it: one page fault of its own.
    pub fn fault(&self, page: u64) -> Result<()> {
        const SYS_MADVISE: u64 = 28;
        /// Of locked memory too (linux/mman.h, since 5.18).
        const MADV_DONTNEED_LOCKED: u64 = 24;
        /// `uname` writes some hundred octets.
        const SYS_UNAME: u64 = 63;
        let (gone, _) = self.call_with(SYS_MADVISE, [page, PAGE, MADV_DONTNEED_LOCKED, 0, 0, 0])?;
        let (named, _) = self.call_with(SYS_UNAME, [page, 0, 0, 0, 0, 0])?;
        ensure!((gone, named) == (0, 0), "madvise: {gone}, uname: {named}");
        Ok(())
    }

    /// Lets the thread run until it enters the function at `at` for the `nth` time, from 1, and stops it there: nothing of
    /// the function is done. Whoever brings it there may do so in `provoke`, while it waits. The process must be killed then: the function's first octet is another.
    ///
    /// Errors: it did not within the patience.
    pub fn run_into(&self, at: u64, nth: u32, provoke: impl FnOnce() -> Result<()>) -> Result<()> {
        let memory = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(format!("/proc/{}/mem", self.0))?;
        let mut first = [0];
        memory.read_exact_at(&mut first, at)?;
        memory.write_all_at(&TRAP, at)?;
        ptrace::cont(self.0, None)?;
        provoke()?;
        for entered in 1..=nth {
            self.wait_trap()?;
            let mut registers = ptrace::getregs(self.0)?;
            ensure!(registers.rip == at + 1, "trapped elsewhere");
            if entered < nth {
                registers.rip = at;
                ptrace::setregs(self.0, registers)?;
                memory.write_all_at(&first, at)?;
                ptrace::step(self.0, None)?;
                self.wait()?;
                memory.write_all_at(&TRAP, at)?;
                ptrace::cont(self.0, None)?;
            }
        }
        Ok(())
    }

    fn wait_trap(&self) -> Result<()> {
        crate::wait_for("the thread comes by", || {
            let flags = WaitPidFlag::__WALL | WaitPidFlag::WNOHANG;
            match waitpid(self.0, Some(flags)) {
                Ok(WaitStatus::StillAlive) => None,
                Ok(WaitStatus::Stopped(_, Signal::SIGTRAP)) => Some(Ok(())),
                Ok(WaitStatus::Stopped(_, signal)) => ptrace::cont(self.0, signal)
                    .err()
                    .map(|error| Err(error.into())),
                other => Some(Err(anyhow::anyhow!("no stop but {other:?}"))),
            }
        })?
    }

    /// Takes the thread's end, without which its process is not over for its parent.
    pub fn reap(self) {
        while let Ok(status) = self.wait() {
            if matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
                break;
            }
        }
    }

    /// Where a `syscall` instruction stands in the thread's memory: the vDSO has one in any program.
    fn instruction(&self) -> Result<u64> {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.0))?;
        let line = maps.lines().find(|line| line.ends_with("[vdso]"));
        let range = line.and_then(|line| line.split(' ').next()?.split_once('-'));
        let (start, end) = range.context("no vDSO")?;
        let (start, end) = (
            u64::from_str_radix(start, 16)?,
            u64::from_str_radix(end, 16)?,
        );
        let mut bytes = vec![0; usize::try_from(end - start)?];
        let memory = std::fs::File::open(format!("/proc/{}/mem", self.0))?;
        memory.read_exact_at(&mut bytes, start)?;
        let at = bytes.windows(2).position(|pair| pair == SYSCALL);
        Ok(start + at.context("no `syscall` in the vDSO")? as u64)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A thread that has ended needs no letting go.
        let _ = ptrace::detach(self.0, None);
    }
}
