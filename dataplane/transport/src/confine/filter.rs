//! From names of system calls to filters.

use core::ffi::c_long;
use nix::errno::Errno;
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{BpfProgram, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule};
use std::collections::BTreeMap;
use syscalls::Sysno;

/// What any lane may call besides what its transport and its idle policy call in steady state, and why. None of
/// it is called by a lane that trades and whose connections hold.
pub const COLD: [(&str, &[&str]); 6] = [
    (
        // mmap and mprotect: anonymous memory only, never executable.
        "memory of REST answers and of the allocator",
        &["brk", "madvise", "mmap", "mprotect", "mremap", "munmap"],
    ),
    (
        // socket: TCP over IPv4 and IPv6 only. fcntl: F_GETFD only, which debug builds ask before they close.
        "connections: opened, closed, looked at",
        &[
            "close",
            "connect",
            "fcntl",
            "getsockopt",
            "setsockopt",
            "shutdown",
            "socket",
        ],
    ),
    (
        "a word to the log's thread, a venue's tables under a lock",
        &["futex", "sched_yield"],
    ),
    (
        "handshakes, and a clock the kernel took from the TSC",
        &["clock_gettime", "getrandom"],
    ),
    (
        // write: the standard error only, where a panic speaks.
        "a panic's words, and its abort",
        &["getpid", "gettid", "tgkill", "write"],
    ),
    (
        "signals, and the thread's end",
        &[
            "exit",
            "exit_group",
            "restart_syscall",
            "rt_sigprocmask",
            "rt_sigreturn",
            "sigaltstack",
        ],
    ),
];

/// New threads and processes: refused by a filter of their own.
const OFFSPRING: [Sysno; 4] = [Sysno::clone, Sysno::clone3, Sysno::fork, Sysno::vfork];

/// Why a thread is not confined.
#[derive(Debug, Clone, Copy, PartialEq, core::cmp::Eq, thiserror::Error)]
pub enum ConfineError {
    /// A list has a name no system call of this machine has.
    #[error("no system call is named `{0}`")]
    Unknown(&'static str),
    /// The filter could not be made: a list is too long for one.
    #[error("the filter cannot be made")]
    Filter,
    /// The kernel said no.
    #[error("{what}: {}; the kernel needs CONFIG_SECCOMP_FILTER", std::io::Error::from_raw_os_error(*.errno))]
    Refused {
        /// Which call.
        what: &'static str,
        /// The kernel's error number.
        errno: i32,
    },
}

impl From<seccompiler::BackendError> for ConfineError {
    fn from(_: seccompiler::BackendError) -> Self {
        Self::Filter
    }
}

/// The filters, in the order they are installed.
pub fn programs(steady: &[&'static str]) -> Result<[BpfProgram; 2], ConfineError> {
    let mut rules = BTreeMap::new();
    for name in COLD.iter().flat_map(|(_, names)| *names) {
        let call = number(name)?;
        rules.insert(c_long::from(call.id()), narrowed(call)?);
    }
    for name in steady {
        // Whatever its arguments: a transport knows what it does.
        rules.insert(c_long::from(number(name)?.id()), Vec::new());
    }
    let free = OFFSPRING.map(|call| (c_long::from(call.id()), Vec::new()));
    rules.extend(free.clone());
    let arch = std::env::consts::ARCH.try_into()?;
    let no = SeccompAction::Errno(libc::EPERM as u32);
    let childless = SeccompFilter::new(BTreeMap::from(free), SeccompAction::Allow, no, arch)?;
    let listed = SeccompFilter::new(rules, SeccompAction::Trap, SeccompAction::Allow, arch)?;
    Ok([childless.try_into()?, listed.try_into()?])
}

fn number(name: &'static str) -> Result<Sysno, ConfineError> {
    name.parse().map_err(|()| ConfineError::Unknown(name))
}

/// The rules of a cold call; none = whatever its arguments.
fn narrowed(call: Sysno) -> Result<Vec<SeccompRule>, ConfineError> {
    let is = |at, size, op, value: i32| SeccompCondition::new(at, size, op, value as u64);
    let bits = |at, mask: i32, value| is(at, Dword, MaskedEq(mask as u64), value);
    let data = |at| bits(at, libc::PROT_EXEC, 0);
    let rules = match call {
        Sysno::mmap => {
            let anonymous = bits(3, libc::MAP_ANONYMOUS, libc::MAP_ANONYMOUS)?;
            vec![vec![data(2)?, anonymous]]
        }
        Sysno::mprotect => vec![vec![data(2)?]],
        Sysno::fcntl => vec![vec![is(1, Dword, Eq, libc::F_GETFD)?]],
        Sysno::write => vec![vec![is(0, Dword, Eq, libc::STDERR_FILENO)?]],
        Sysno::tgkill => vec![vec![is(0, Qword, Eq, std::process::id() as i32)?]],
        Sysno::socket => {
            let kind = || bits(1, SOCK_TYPE_MASK, libc::SOCK_STREAM);
            vec![
                vec![is(0, Dword, Eq, libc::AF_INET)?, kind()?],
                vec![is(0, Dword, Eq, libc::AF_INET6)?, kind()?],
            ]
        }
        _ => Vec::new(),
    };
    rules
        .into_iter()
        .map(|rule| Ok(SeccompRule::new(rule)?))
        .collect()
}

/// The kind of a socket without its flags (include/linux/net.h).
const SOCK_TYPE_MASK: i32 = 0xf;

/// Puts a filter on the calling thread.
pub fn install(program: &BpfProgram) -> Result<(), ConfineError> {
    let refused = |what| {
        move |errno| ConfineError::Refused {
            what,
            errno: errno as i32,
        }
    };
    // Without CAP_SYS_ADMIN the kernel asks for it: no program started from here gains rights.
    nix::sys::prctl::set_no_new_privs().map_err(refused("PR_SET_NO_NEW_PRIVS"))?;
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| ConfineError::Filter)?,
        filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut(),
    };
    // Kernels before 5.16 switch speculation off for confined threads, a tax on every load; ours runs no code of
    // others. Source: Documentation/admin-guide/hw-vuln/spectre.rst.
    let flags = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    let (call, mode) = (libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER);
    // SAFETY: the kernel copies `len` instructions from `filter` before it returns, and both outlive the call;
    // seccompiler's `sock_filter` is the C structure (const assert below).
    let result = unsafe { libc::syscall(call, mode, flags, &raw const program) };
    Errno::result(result)
        .map(drop)
        .map_err(refused("seccomp(2)"))
}

const _: () = assert!(
    size_of::<seccompiler::sock_filter>() == size_of::<libc::sock_filter>()
        && core::mem::offset_of!(seccompiler::sock_filter, k)
            == core::mem::offset_of!(libc::sock_filter, k)
);
