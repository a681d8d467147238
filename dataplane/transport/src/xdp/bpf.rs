//! bpf(2), raw: maps, programs, links. A link's descriptor is the attachment: when the last one is closed,
//! by us or by the kernel after a crash, the program is off the interface. Nothing is pinned.
//! Source: bpf(2), include/uapi/linux/bpf.h (`union bpf_attr`).

use super::fault::XdpFault;
use super::insn::Insn;
use core::ffi::{c_int, c_long};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const MAP_CREATE: c_int = 0;
const MAP_LOOKUP: c_int = 1;
const MAP_UPDATE: c_int = 2;
const MAP_DELETE: c_int = 3;
const PROG_LOAD: c_int = 5;
const LINK_CREATE: c_int = 28;

/// Kinds of map (`enum bpf_map_type`).
#[derive(Debug, Clone, Copy)]
pub(super) enum MapKind {
    Hash = 1,
    Xsk = 17,
}

/// Kinds of program (`enum bpf_prog_type`) with where they attach (`enum bpf_attach_type`).
#[derive(Debug, Clone, Copy)]
pub(super) enum ProgramKind {
    /// At the driver's receive.
    Xdp,
    /// At an interface's way out, behind the stack.
    TcxEgress,
}

impl ProgramKind {
    const fn numbers(self) -> (u32, u32) {
        match self {
            Self::Xdp => (6, 37),
            Self::TcxEgress => (3, 47),
        }
    }
}

/// Bytes of the verifier's log that are asked for.
const LOG_BYTES: usize = 64 << 10;

/// One call. `attributes` is the part of `union bpf_attr` that the command reads.
fn bpf<T>(command: c_int, attributes: &mut T) -> Result<c_int, i32> {
    let attributes = core::ptr::from_mut(attributes);
    let size = size_of::<T>();
    // SAFETY: the kernel reads `size` bytes, zero-extends what it knows beyond, and follows the pointers in
    // them, which each caller below keeps alive and sized as the command demands.
    let result: c_long = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size) };
    if result < 0 {
        Err(nix::errno::Errno::last_raw())
    } else {
        Ok(result as c_int)
    }
}

/// The descriptor a call returned.
fn owned(fd: c_int) -> OwnedFd {
    // SAFETY: the kernel just made it for us; nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A map with keys and values of fixed size.
#[derive(Debug)]
pub(super) struct Map {
    fd: OwnedFd,
    key_size: usize,
    value_size: usize,
}

#[repr(C)]
struct MapAttributes {
    kind: u32,
    key_size: u32,
    value_size: u32,
    entries_max: u32,
    flags: u32,
    inner: u32,
    numa_node: u32,
    name: [u8; 16],
    rest: [u32; 5],
}

#[repr(C)]
struct ElementAttributes {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

impl Map {
    /// Makes one. Needs CAP_BPF, and CAP_NET_ADMIN for sockets.
    pub fn new(
        kind: MapKind,
        name: &str,
        key_size: usize,
        value_size: usize,
        entries_max: u32,
    ) -> Result<Self, XdpFault> {
        let mut attributes = MapAttributes {
            kind: kind as u32,
            key_size: key_size as u32,
            value_size: value_size as u32,
            entries_max,
            flags: 0,
            inner: 0,
            numa_node: 0,
            name: name_of(name),
            rest: [0; 5],
        };
        let fd = bpf(MAP_CREATE, &mut attributes).map_err(|errno| XdpFault::Os {
            what: "bpf: map create (needs CAP_BPF and CAP_NET_ADMIN)",
            errno,
        })?;
        Ok(Self {
            fd: owned(fd),
            key_size,
            value_size,
        })
    }

    /// Sets an element. `is_new`: refuse (EEXIST) when it is there already.
    pub fn update(&self, key: &[u8], value: &[u8], is_new: bool) -> Result<(), XdpFault> {
        let mut value = value.to_vec();
        assert_eq!(value.len(), self.value_size);
        self.element(
            MAP_UPDATE,
            key,
            Some(&mut value),
            u64::from(is_new),
            "bpf: map update",
        )
    }

    /// Removes an element.
    pub fn delete(&self, key: &[u8]) -> Result<(), XdpFault> {
        self.element(MAP_DELETE, key, None, 0, "bpf: map delete")
    }

    /// Reads an element into `value`.
    pub fn lookup(&self, key: &[u8], value: &mut [u8]) -> Result<(), XdpFault> {
        assert_eq!(value.len(), self.value_size);
        self.element(MAP_LOOKUP, key, Some(value), 0, "bpf: map lookup")
    }

    pub fn raw_fd(&self) -> c_int {
        self.fd.as_raw_fd()
    }

    fn element(
        &self,
        command: c_int,
        key: &[u8],
        value: Option<&mut [u8]>,
        flags: u64,
        what: &'static str,
    ) -> Result<(), XdpFault> {
        assert_eq!(key.len(), self.key_size);
        let mut attributes = ElementAttributes {
            map: self.fd.as_raw_fd() as u32,
            pad: 0,
            key: key.as_ptr() as u64,
            value: value.map_or(0, |value| value.as_mut_ptr() as u64),
            flags,
        };
        let result = bpf(command, &mut attributes);
        result
            .map(|_| ())
            .map_err(|errno| XdpFault::Os { what, errno })
    }
}

#[repr(C)]
struct LoadAttributes {
    kind: u32,
    insn_count: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    attach: u32,
}

/// A program the verifier has accepted.
#[derive(Debug)]
pub(super) struct Loaded {
    pub fd: OwnedFd,
    kind: ProgramKind,
}

/// Loads a program. On refusal it is loaded again with the log on, and the log goes to standard error.
pub(super) fn load(
    kind: ProgramKind,
    name: &'static str,
    code: &[Insn],
) -> Result<Loaded, XdpFault> {
    match try_load(kind, name, code, &mut []) {
        Ok(fd) => Ok(Loaded { fd, kind }),
        Err(errno @ (libc::EPERM | libc::ENOSYS)) => Err(XdpFault::Os {
            what: "bpf: program load (needs CAP_BPF and CAP_NET_ADMIN)",
            errno,
        }),
        Err(errno) => {
            let mut log = vec![0; LOG_BYTES];
            let _ = try_load(kind, name, code, &mut log);
            let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
            let text = String::from_utf8_lossy(&log[..end]);
            eprintln!("verifier log of {name}:\n{text}");
            Err(XdpFault::Verifier {
                program: name,
                errno,
            })
        }
    }
}

fn try_load(kind: ProgramKind, name: &str, code: &[Insn], log: &mut [u8]) -> Result<OwnedFd, i32> {
    let (number, attach) = kind.numbers();
    let mut attributes = LoadAttributes {
        kind: number,
        insn_count: code.len() as u32,
        insns: code.as_ptr() as u64,
        // No helper we call is for GPL programs only.
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_size: log.len() as u32,
        log: if log.is_empty() {
            0
        } else {
            log.as_mut_ptr() as u64
        },
        kernel_version: 0,
        flags: 0,
        name: name_of(name),
        ifindex: 0,
        attach,
    };
    bpf(PROG_LOAD, &mut attributes).map(owned)
}

#[repr(C)]
struct LinkAttributes {
    program: u32,
    ifindex: u32,
    attach: u32,
    flags: u32,
    relative: u32,
    pad: u32,
    revision: u64,
}

/// Attaches a program to an interface for as long as the descriptor lives. The error is the kernel's number.
pub(super) fn attach(program: &Loaded, ifindex: u32, flags: u32) -> Result<OwnedFd, i32> {
    let mut attributes = LinkAttributes {
        program: program.fd.as_raw_fd() as u32,
        ifindex,
        attach: program.kind.numbers().1,
        flags,
        relative: 0,
        pad: 0,
        revision: 0,
    };
    bpf(LINK_CREATE, &mut attributes).map(owned)
}

fn name_of(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    let len = name.len().min(15);
    bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
    bytes
}

/// Runs a program on bytes as if they had been received; says what it returned. For tests.
#[cfg(test)]
pub(super) fn test_run(program: &OwnedFd, frame: &[u8]) -> Result<u32, i32> {
    #[repr(C)]
    #[derive(Default)]
    struct RunAttributes {
        program: u32,
        result: u32,
        size_in: u32,
        size_out: u32,
        data_in: u64,
        data_out: u64,
        repeat: u32,
        duration: u32,
        rest: [u64; 4],
    }
    const PROG_TEST_RUN: c_int = 10;
    let mut attributes = RunAttributes {
        program: program.as_raw_fd() as u32,
        size_in: frame.len() as u32,
        data_in: frame.as_ptr() as u64,
        repeat: 1,
        ..RunAttributes::default()
    };
    bpf(PROG_TEST_RUN, &mut attributes).map(|_| attributes.result)
}
