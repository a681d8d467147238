//! Networks for tests: namespaces without a name, and cables between them.
//!
//! ```text
//!   Namespace ── ours ──veth── theirs ── Namespace
//! ```
//!
//! A namespace here is a file descriptor and nothing else: it has no name that could collide or be left
//! behind. When its last descriptor and thread are gone the kernel removes it and all that is in it, also
//! when the test panicked or was killed. Interface names are of their namespace only, so they are fixed.
//!
//! A socket belongs to the namespace of the thread that opened it: open it inside [`Namespace::run`], then
//! use it anywhere. Needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN) and the `ip` program of iproute2.

#![forbid(unsafe_code)]

use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;

/// A network namespace of the test's own, with its loopback up.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// Makes one. Errors: no rights, or no `ip`.
    pub fn new() -> io::Result<Self> {
        let make = || -> io::Result<Self> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            let file = File::open("/proc/thread-self/ns/net")?;
            ip("link set lo up")?;
            Ok(Self { file })
        };
        thread::scope(|scope| joined(scope.spawn(make)))
    }

    /// Runs `work` inside, on a thread of its own; threads and processes it starts are inside too. A
    /// panic of `work` goes on in the caller.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            setns(&self.file, CloneFlags::CLONE_NEWNET)
                .expect("a namespace of ours can be entered");
            work()
        };
        thread::scope(|scope| joined(scope.spawn(inside)))
    }

    /// Runs `ip` inside, arguments apart by spaces; its output.
    pub fn ip(&self, arguments: &str) -> io::Result<String> {
        self.run(|| ip(arguments))
    }

    /// A path other processes of this user can name it by, while this value lives.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }
}

/// What a thread returned; its panic goes on here.
fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs `ip` in the calling thread's namespace, arguments apart by spaces; its output.
pub fn ip(arguments: &str) -> io::Result<String> {
    let output = Command::new("ip").args(arguments.split(' ')).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!(
        "ip {arguments}: {}",
        error.trim()
    )))
}

/// Two namespaces and a cable between them.
///
/// ```text
///   ours: veth0 10.77.0.1/24 ──────── veth0 10.77.0.2/24 :theirs
/// ```
#[derive(Debug)]
pub struct Veth {
    /// Where what is tested runs.
    pub ours: Namespace,
    /// Where its peer runs.
    pub theirs: Namespace,
}

impl Veth {
    /// The interface's name, at both ends.
    pub const NAME: &'static str = "veth0";
    /// Address of our end.
    pub const OURS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
    /// Address of their end.
    pub const THEIRS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

    /// Makes both namespaces and the cable, with addresses, up, without IPv6 (which would send frames
    /// nobody asked for).
    pub fn new() -> io::Result<Self> {
        let (ours, theirs) = (Namespace::new()?, Namespace::new()?);
        let there = theirs.path();
        ours.ip(&format!(
            "link add veth0 type veth peer name veth0 netns {there}"
        ))?;
        for (namespace, address) in [(&ours, Self::OURS), (&theirs, Self::THEIRS)] {
            namespace.run(|| {
                // Absent where the kernel has no IPv6: then there is nothing to switch off.
                let _ = std::fs::write("/proc/sys/net/ipv6/conf/veth0/disable_ipv6", "1");
            });
            namespace.ip(&format!("addr add {address}/24 dev veth0"))?;
            namespace.ip("link set veth0 up")?;
        }
        Ok(Self { ours, theirs })
    }

    /// The cable, or, where this machine cannot have one, `None` after saying why. Panics instead when
    /// the environment's REQUIRE lists `what`.
    pub fn or_skip(what: &str) -> Option<Self> {
        match Self::new() {
            Ok(veth) => Some(veth),
            Err(error) => {
                skip(
                    what,
                    &format!("no network namespaces ({error}); run as root"),
                );
                None
            }
        }
    }
}

/// Says that a test is skipped and why; panics when the environment's REQUIRE lists `what`.
pub fn skip(what: &str, why: &str) {
    let require = std::env::var("REQUIRE").unwrap_or_default();
    let is_required = require.split(',').any(|word| word.trim() == what);
    assert!(!is_required, "REQUIRE has {what}, and there is none: {why}");
    println!("skipped, no {what}: {why}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::Duration;

    #[test]
    fn frames_cross_the_cable_and_nothing_is_left() {
        let Some(veth) = Veth::or_skip("netns") else {
            return;
        };
        let open = |namespace: &Namespace, address: Ipv4Addr| {
            namespace.run(move || UdpSocket::bind((address, 0)).unwrap())
        };
        let (a, b) = (
            open(&veth.ours, Veth::OURS),
            open(&veth.theirs, Veth::THEIRS),
        );
        b.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        a.send_to(b"hello", b.local_addr().unwrap()).unwrap();
        let mut buffer = [0; 16];
        let (count, from) = b.recv_from(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..count], from),
            (&b"hello"[..], a.local_addr().unwrap())
        );
        // The test's own namespace has never heard of it.
        assert!(!ip("link show").unwrap().contains("veth0"));
    }

    #[test]
    fn a_panic_inside_comes_out() {
        let Ok(namespace) = Namespace::new() else {
            skip("netns", "no rights");
            return;
        };
        let panic = std::panic::catch_unwind(|| namespace.run(|| panic!("inside")));
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"inside"));
    }
}
