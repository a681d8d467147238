//! The kernel as a peer: network namespaces, a TAP device in each, and a bad link between them or
//! between one of them and a stack of ours.
//!
//! ```text
//!   namespace A: sockets ─ kernel TCP ─ tap ─┐                      ┌─ tap ─ kernel TCP ─ sockets: namespace B
//!                                            ├─ Link ⇄ Link (relay) ─┤
//!                    dp_tcp::Stack ──────────┘                      └─ or another stack
//! ```
//!
//! A namespace belongs to a thread and goes with it, whatever way the test ends: nothing is named,
//! nothing is left behind. Needs root and /dev/net/tun.

pub mod forger;
pub mod ours;
pub mod sockets;
pub mod watch;

use anyhow::{Context, Result, ensure};
use core::net::Ipv4Addr;
use dp_tcp::wire::ethernet::Mac;
use dp_tcp::{Config, Host, Secret, Stack, StackConfig};
use forger::Forger;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tests_relay::{Impairments, Link};
use watch::Watch;

/// Port that servers listen on.
pub const PORT: u16 = 4_430;
/// Frames taken from a TAP device in one turn.
const BURST: usize = 64;

/// Address of host 1 or 2.
pub const fn address(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, 0, host)
}

/// Hardware address of host 1 or 2.
pub const fn mac(host: u8) -> Mac {
    Mac([2, 0, 0, 0, 99, host])
}

/// True when namespaces and TAP devices can be made here; else says what is missing. With `tun` in
/// `REQUIRE` their absence fails.
pub fn is_possible() -> bool {
    let Err(error) = Namespace::new(1) else {
        return true;
    };
    let require = std::env::var("REQUIRE").unwrap_or_default();
    assert!(
        !require.split(',').any(|word| word == "tun"),
        "REQUIRE has tun, and: {error:#}"
    );
    println!("skipped: no network namespace with a TAP device here: {error:#}");
    false
}

type Job = Box<dyn FnOnce() + Send>;

/// A host of the kernel's.
pub struct Namespace {
    jobs: Sender<Job>,
    tap: Option<File>,
}

impl Namespace {
    /// A namespace with one TAP device, whose other end is read and written as frames.
    pub fn new(host: u8) -> Result<Self> {
        let (jobs, inbox) = channel::<Job>();
        let (ready, made) = channel();
        std::thread::spawn(move || {
            let is_ready = ready.send(enter(host)).is_ok();
            while is_ready && let Ok(job) = inbox.recv() {
                // A thread made here is in this namespace too.
                std::thread::spawn(job);
            }
        });
        let tap = made.recv().context("the namespace's thread died")??;
        Ok(Self {
            jobs,
            tap: Some(tap),
        })
    }

    /// Runs `work` on a thread inside; the answer comes by the channel.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Receiver<T>> {
        let (done, answer) = channel();
        let job: Job = Box::new(move || {
            // Whoever asked may have given up waiting.
            let _ = done.send(work());
        });
        self.jobs.send(job).ok().context("the namespace is gone")?;
        Ok(answer)
    }

    /// The device; once.
    pub fn take_tap(&mut self) -> Result<File> {
        self.tap.take().context("the device is taken")
    }
}

/// Makes this thread's namespace: loopback, TAP, addresses, the other host's hardware address.
fn enter(host: u8) -> Result<File> {
    unshare(CloneFlags::CLONE_NEWNET).context("unshare(CLONE_NEWNET)")?;
    let tap = open_tap("t0").context("/dev/net/tun")?;
    let (own, other) = (mac(host), mac(3 - host));
    let text = |mac: Mac| mac.0.map(|byte| format!("{byte:02x}")).join(":");
    ip("link set lo up")?;
    ip(&format!("link set t0 address {} mtu 1500 up", text(own)))?;
    ip(&format!("addr add {}/24 dev t0", address(host)))?;
    // A lost ARP question would cost a second that is not TCP's.
    let neighbour = address(3 - host);
    ip(&format!(
        "neigh replace {neighbour} lladdr {} dev t0 nud permanent",
        text(other)
    ))?;
    Ok(tap)
}

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .context("the ip command")?;
    ensure!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Opens a TAP device of this thread's namespace, without packet information, non-blocking.
fn open_tap(name: &str) -> std::io::Result<File> {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    const IFF_TAP: u16 = 2;
    const IFF_NO_PI: u16 = 0x1000;
    let open = |path: &Path| {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        options.custom_flags(libc::O_NONBLOCK).open(path)
    };
    let file = match open(Path::new("/dev/net/tun")) {
        // A container often has the device but no name for it.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let directory = tempfile::tempdir()?;
            let path = directory.path().join("tun");
            mknod(
                &path,
                SFlag::S_IFCHR,
                Mode::S_IRUSR | Mode::S_IWUSR,
                makedev(10, 200),
            )?;
            open(&path)?
        }
        other => other?,
    };
    // struct ifreq: the name in 16 octets, then the flags.
    let mut request = [0u8; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&(IFF_TAP | IFF_NO_PI).to_ne_bytes());
    // SAFETY: the descriptor is open, and the kernel reads and writes one `struct ifreq`, 40 octets
    // here, behind the pointer, which outlives the call.
    let status = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) };
    if status < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(file)
}

/// A stack of ours as host 1 or 2.
pub fn stack(host: u8, connection: Config) -> Result<Stack> {
    let mut seed = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    let us = Host::on_link(mac(host), address(host), 24);
    let mut stack = Stack::new(&StackConfig {
        connection,
        connections: 4,
        half_open_max: 2,
        answers_arp: true,
        ..StackConfig::new(us, (40_000, 40_100), Secret::new(seed))
    })?;
    stack.set_neighbour(address(3 - host), Some(mac(3 - host)));
    Ok(stack)
}

/// What a stack's application does.
pub trait App {
    /// Payload next in line.
    fn on_data(&mut self, bytes: &mut [u8], now: u64);
    /// The chance to write, read and close; false = done.
    fn turn(&mut self, stack: &mut Stack, now: u64) -> bool;
}

/// One end of the wire.
pub enum End<'a> {
    /// A kernel.
    Kernel(File),
    /// A stack of ours and its application.
    Ours(Box<Stack>, &'a mut dyn App),
}

/// The relay: two ends, a link each way.
pub struct Wire<'a> {
    ends: [End<'a>; 2],
    links: [Link; 2],
    begin: Instant,
    frame: Vec<u8>,
    /// What went by; `None` = not asked for.
    watch: Option<Watch>,
    /// A stranger on the wire.
    forger: Option<Forger>,
}

impl<'a> Wire<'a> {
    /// From end 0 to 1 the first link, back the second.
    pub fn new(ends: [End<'a>; 2], impairments: [Impairments; 2]) -> Self {
        Self {
            ends,
            links: impairments.map(Link::new),
            begin: Instant::now(),
            frame: vec![0; 2_048],
            watch: None,
            forger: None,
        }
    }

    /// From now on everything that enters a link is written down.
    pub fn watch(&mut self) {
        self.watch = Some(Watch::default());
    }

    /// What was written down, since [`Wire::watch`].
    pub fn take_watch(&mut self) -> Watch {
        self.watch.take().unwrap_or_default()
    }

    /// Lets a stranger answer every frame with forged ones.
    pub fn set_forger(&mut self, forger: Forger) {
        self.forger = Some(forger);
    }

    /// The stranger, and what it did.
    pub fn forger(&self) -> Option<&Forger> {
        self.forger.as_ref()
    }

    /// Relays until the applications are done and `is_done` says so, or `limit` has passed; true =
    /// done.
    pub fn run(&mut self, limit: Duration, mut is_done: impl FnMut() -> bool) -> Result<bool> {
        while self.begin.elapsed() < limit {
            let (is_busy, is_idle_app) = self.turn()?;
            if is_idle_app && is_done() {
                return Ok(true);
            }
            if !is_busy {
                self.wait()?;
            }
        }
        Ok(false)
    }

    /// The stack at an end.
    pub fn stack(&self, end: usize) -> Option<&Stack> {
        match &self.ends[end] {
            End::Ours(stack, _) => Some(stack),
            End::Kernel(_) => None,
        }
    }

    /// What the links did.
    pub fn links(&self) -> &[Link; 2] {
        &self.links
    }

    fn now(&self) -> u64 {
        // Not from 0: no clock begins there.
        1_000_000_000 + self.begin.elapsed().as_nanos() as u64
    }

    /// Returns whether anything moved, and whether no application wants more.
    fn turn(&mut self) -> Result<(bool, bool)> {
        let mut is_busy = false;
        let mut is_idle = true;
        let now = self.now();
        if let Some(watch) = &mut self.watch {
            watch.turn(now);
        }
        for side in 0..2 {
            let now = self.now();
            while let Some(frame) = self.links[1 - side].take(now) {
                is_busy = true;
                self.deliver(side, frame, now)?;
            }
            if let End::Ours(stack, app) = &mut self.ends[side] {
                is_idle &= !app.turn(stack, now);
            }
            for _ in 0..BURST {
                let Some(len) = self.next_frame(side, now)? else {
                    break;
                };
                is_busy = true;
                self.enter(side, len, now)?;
            }
            if let End::Ours(stack, _) = &mut self.ends[side] {
                while stack.poll_event().is_some() {}
            }
        }
        Ok((is_busy, is_idle))
    }

    /// A frame of an end, into the buffer.
    fn next_frame(&mut self, side: usize, now: u64) -> Result<Option<usize>> {
        match &mut self.ends[side] {
            End::Kernel(tap) => read(tap, &mut self.frame),
            End::Ours(stack, _) => Ok(stack.poll_transmit(now, &mut self.frame)),
        }
    }

    /// The frame in the buffer enters its link, seen by whoever looks.
    fn enter(&mut self, side: usize, len: usize, now: u64) -> Result<()> {
        let lost = self.links[side].tally().lost;
        self.links[side].offer(now, &self.frame[..len]);
        let is_lost = self.links[side].tally().lost > lost;
        if let Some(watch) = &mut self.watch {
            watch.offered(side, &self.frame[..len], is_lost, now);
        }
        let Some(forger) = &mut self.forger else {
            return Ok(());
        };
        for (to, forged) in forger.on_frame(side, &self.frame[..len]) {
            self.deliver(to, forged, now)?;
        }
        Ok(())
    }

    fn deliver(&mut self, side: usize, mut frame: Vec<u8>, now: u64) -> Result<()> {
        match &mut self.ends[side] {
            End::Kernel(tap) => write(tap, &frame),
            End::Ours(stack, app) => {
                let arrival = stack.on_frame(&frame, now);
                if !arrival.data.is_empty() {
                    app.on_data(&mut frame[arrival.data], now);
                }
                Ok(())
            }
        }
    }

    /// Waits for a frame of a kernel's, the next arrival or deadline, or a millisecond.
    fn wait(&self) -> Result<()> {
        let now = self.now();
        let due = self.links.iter().filter_map(Link::next_due);
        let stacks = self.ends.iter().filter_map(|end| match end {
            End::Ours(stack, _) => stack.next_deadline(),
            End::Kernel(_) => None,
        });
        let next = due.chain(stacks).min().unwrap_or(u64::MAX);
        let wait = next.saturating_sub(now).min(1_000_000);
        let mut fds: Vec<PollFd<'_>> = self
            .ends
            .iter()
            .filter_map(|end| match end {
                End::Kernel(tap) => Some(PollFd::new(tap.as_fd(), PollFlags::POLLIN)),
                End::Ours(..) => None,
            })
            .collect();
        ppoll(&mut fds, Some(Duration::from_nanos(wait).into()), None)?;
        Ok(())
    }
}

fn read(tap: &mut File, frame: &mut [u8]) -> Result<Option<usize>> {
    match tap.read(frame) {
        Ok(len) => Ok(Some(len)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error).context("reading the TAP device"),
    }
}

fn write(tap: &mut File, frame: &[u8]) -> Result<()> {
    match tap.write(frame) {
        Ok(_) => Ok(()),
        // A full queue loses, as wires do; a damaged frame may be refused as none at all.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::WouldBlock | ErrorKind::InvalidInput
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(error).context("writing the TAP device"),
    }
}
