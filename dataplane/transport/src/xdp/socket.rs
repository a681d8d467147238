//! One AF_XDP socket: one queue of one interface, its four rings and its frames.
//!
//! ```text
//!   rx frames   fill ring ──▶ kernel ──▶ rx ring ──next──▶ held ──release──▶ fill ring
//!   tx frames   free ──reserve──▶ held ──submit──▶ tx ring ──kick──▶ kernel ──▶ completion ring ──▶ free
//! ```
//!
//! The rings the kernel writes are as long as there are frames, those we write twice as long: the kernel shows
//! that it took an entry only after it has shown us the frame (`xsk_flush`, net/xdp/xsk.c), so that up to
//! all frames can be there a second time. Hence none is ever full. What is pushed is published once
//! a turn. The kernel is called only when it asks to be (`XDP_RING_NEED_WAKEUP`); in copy mode it always does
//! for sending, and sending happens inside that call.

use super::fault::XdpFault;
use super::frames::{Frame, FrameCounters, FrameIo};
use super::program::{QUEUES_MAX, Steering};
use super::ring::{Consumer, Producer};
use super::umem::{FrameSize, HEADROOM_BYTES, Umem};
use super::{BUSY_MS_MAX, XdpMode, while_busy};
use crate::arena::Pages;
use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::ptr::{null, null_mut};
use dp_types::UnixNanos;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// Frames the kernel sends in one call in copy mode (`MAX_PER_SOCKET_BUDGET`, net/xdp/xsk.c).
const KICK_FRAMES: u32 = 32;
/// Nanoseconds before frames the kernel did not take (link down, no memory) are tried again by `poll`.
const RETRY_NS: u64 = 100_000;
/// Frames of the halves, unless told otherwise.
const RX_FRAMES: u32 = 2048;
const TX_FRAMES: u32 = 1024;
/// Frames of one half at most: 64 MiB of 4 KiB ones.
const FRAMES_MAX: u32 = 16_384;

/// Busy polling of the queue by its socket: the driver is run in our calls, its interrupts stay off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusyPoll {
    /// Microseconds.
    pub us: u32,
    /// Packets at once.
    pub budget: u32,
}

impl Default for BusyPoll {
    /// A receive of ours does not wait and polls once, whatever the microseconds; 64 packets are a driver's own
    /// measure (NAPI_POLL_WEIGHT).
    fn default() -> Self {
        Self { us: 20, budget: 64 }
    }
}

/// How an [`Xsk`] is opened.
#[derive(Debug, Clone, Copy)]
pub struct XskOptions<'a> {
    /// Which queue of the interface.
    pub queue: u32,
    /// Size of a frame's place.
    pub frame_size: FrameSize,
    /// Frames to receive into; a power of two.
    pub rx_frames: u32,
    /// Frames to send from; a power of two.
    pub tx_frames: u32,
    /// Asked for when given: then each poll that finds nothing is a system call, which runs the driver.
    /// [`Xsk::is_busy_polling`] says whether the kernel took it.
    pub busy_poll: Option<BusyPoll>,
    /// Modes that are allowed; tried in the order of [`XdpMode::ALL`].
    pub modes: &'a [XdpMode],
    /// Memory node of the frames; `None` = wherever the kernel puts them.
    pub node: Option<u16>,
}

impl XskOptions<'_> {
    /// Bytes of the frames with [`XskOptions::default`].
    pub const BYTES: usize = (RX_FRAMES + TX_FRAMES) as usize * FrameSize::Kib2.bytes();
}

impl Default for XskOptions<'_> {
    /// Queue 0, 2 048 + 1 024 frames of 2 KiB (6 MiB), every mode.
    fn default() -> Self {
        Self {
            queue: 0,
            frame_size: FrameSize::Kib2,
            rx_frames: RX_FRAMES,
            tx_frames: TX_FRAMES,
            busy_poll: None,
            modes: &XdpMode::ALL,
            node: None,
        }
    }
}

/// What the kernel counted for a socket (`struct xdp_statistics`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct XskStatistics {
    /// Received frames dropped for other reasons than those below; larger than a frame, for one.
    pub rx_dropped: u64,
    /// Received frames dropped because the rx ring was full.
    pub rx_ring_full: u64,
    /// Received frames dropped because we held every frame.
    pub rx_fill_ring_empty: u64,
    /// Descriptors of ours that the kernel refused, receiving and sending. Always 0.
    pub invalid_descriptors: u64,
    /// Times the kernel found nothing to send.
    pub tx_ring_empty: u64,
}

/// A socket and its frames. Used by the thread that opened it.
#[derive(Debug)]
pub struct Xsk {
    fd: OwnedFd,
    umem: Umem,
    fill: Producer<u64>,
    rx: Consumer<libc::xdp_desc>,
    tx: Producer<libc::xdp_desc>,
    completion: Consumer<u64>,
    counters: FrameCounters,
    /// Frames wait that the kernel did not take; tried again at this time.
    retry_at: Option<UnixNanos>,
    now: UnixNanos,
    kick_errno: i32,
    mode: XdpMode,
    is_busy_polling: bool,
}

impl Xsk {
    /// Opens a socket on a queue of the interface that `steering` is attached to, and has the queue's
    /// frames given to it.
    ///
    /// Cost: milliseconds; up to 3 s when the queue is still held by a run that crashed.
    /// Errors: no such queue, no rights, held by somebody else, none of the modes.
    pub fn open(steering: &Steering, options: &XskOptions) -> Result<Self, XdpFault> {
        check(options)?;
        // SAFETY: socket(2) with constants; touches no memory.
        let raw = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if raw < 0 {
            return Err(XdpFault::last(
                "AF_XDP socket (needs CAP_NET_RAW and CONFIG_XDP_SOCKETS)",
            ));
        }
        // SAFETY: the kernel just made it for us; nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        let umem = Umem::new(
            options.frame_size,
            options.rx_frames,
            options.tx_frames,
            options.node,
        )?;
        register(&fd, &umem)?;
        let (fill_count, tx_count) = (2 * options.rx_frames, 2 * options.tx_frames);
        for (option, count) in [
            (libc::XDP_UMEM_FILL_RING, fill_count),
            (libc::XDP_UMEM_COMPLETION_RING, options.tx_frames),
            (libc::XDP_RX_RING, options.rx_frames),
            (libc::XDP_TX_RING, tx_count),
        ] {
            set(&fd, libc::SOL_XDP, option, &count, "size of an AF_XDP ring")?;
        }
        let at: libc::xdp_mmap_offsets = get(&fd, libc::XDP_MMAP_OFFSETS, "XDP_MMAP_OFFSETS")?;
        let (fill_at, completion_at) = (
            libc::XDP_UMEM_PGOFF_FILL_RING as i64,
            libc::XDP_UMEM_PGOFF_COMPLETION_RING as i64,
        );
        let mut fill = Producer::map(&fd, fill_at, at.fr, fill_count)?;
        let completion = Consumer::map(&fd, completion_at, at.cr, options.tx_frames)?;
        let rx = Consumer::map(&fd, libc::XDP_PGOFF_RX_RING, at.rx, options.rx_frames)?;
        let tx = Producer::map(&fd, libc::XDP_PGOFF_TX_RING, at.tx, tx_count)?;
        let is_filled = (0..options.rx_frames).all(|index| fill.push(umem.offset(index)));
        assert!(is_filled, "the fill ring has room for every frame");
        fill.publish();
        let is_busy_polling = options
            .busy_poll
            .is_some_and(|poll| ask_busy_poll(&fd, poll));
        let mode = bind(&fd, steering, options)?;
        steering.set_socket(options.queue, fd.as_fd())?;
        Ok(Self {
            fd,
            umem,
            fill,
            rx,
            tx,
            completion,
            counters: FrameCounters::default(),
            retry_at: None,
            now: UnixNanos(0),
            kick_errno: 0,
            mode,
            is_busy_polling,
        })
    }

    /// What is live.
    pub const fn mode(&self) -> XdpMode {
        self.mode
    }

    /// What the frames live on.
    pub const fn pages(&self) -> Pages {
        self.umem.pages()
    }

    /// The node the frames are on; `None` = several, or the kernel does not say.
    pub fn node(&self) -> Option<u16> {
        self.umem.node()
    }

    /// Whether the kernel took the busy-poll options that were asked for.
    pub const fn is_busy_polling(&self) -> bool {
        self.is_busy_polling
    }

    /// The kernel's number for why it last took no frames; 0 when it does. ENETDOWN: the link is down,
    /// frames wait. ENXIO: the interface is gone, open another socket.
    pub const fn kick_errno(&self) -> i32 {
        self.kick_errno
    }

    /// What the kernel counted. One system call: not for every turn.
    pub fn statistics(&self) -> Result<XskStatistics, XdpFault> {
        let told: libc::xdp_statistics = get(&self.fd, libc::XDP_STATISTICS, "XDP_STATISTICS")?;
        Ok(XskStatistics {
            rx_dropped: told.rx_dropped,
            rx_ring_full: told.rx_ring_full,
            rx_fill_ring_empty: told.rx_fill_ring_empty_descs,
            invalid_descriptors: told.rx_invalid_descs.saturating_add(told.tx_invalid_descs),
            tx_ring_empty: told.tx_ring_empty_descs,
        })
    }

    /// Takes back what was sent.
    fn complete(&mut self) {
        if self.completion.refresh() == 0 {
            return;
        }
        let size = self.umem.frame_size() as u64;
        while let Some(address) = self.completion.pop() {
            let index = u32::try_from(address / size).unwrap_or(u32::MAX);
            if self.umem.owners.done(index) {
                self.counters.tx_done += 1;
            } else {
                self.counters.bad_descriptors += 1;
            }
        }
        self.completion.publish();
    }

    /// One send call. True: the kernel took some, and may take more.
    fn send_call(&mut self) -> bool {
        self.counters.kicks += 1;
        let fd = self.fd.as_raw_fd();
        // SAFETY: no buffer and no address are passed; the kernel reads the tx ring instead.
        let result = unsafe { libc::sendto(fd, null(), 0, libc::MSG_DONTWAIT, null(), 0) };
        if result >= 0 {
            self.kick_errno = 0;
            return true;
        }
        match nix::errno::Errno::last_raw() {
            // More than one call's worth: come again.
            libc::EAGAIN => true,
            errno => {
                self.counters.kicks_refused += 1;
                self.kick_errno = errno;
                false
            }
        }
    }

    /// Has the kernel send, if it must be told. Bounded by the frames there are.
    fn send_waiting(&mut self) {
        let mut waiting = self.tx.waiting();
        let calls_max = waiting.div_ceil(KICK_FRAMES) + 1;
        for _ in 0..calls_max {
            if waiting == 0 || !self.tx.is_wakeup_needed() {
                break;
            }
            let was_taken = self.send_call();
            let left = self.tx.waiting();
            // A driver in zero-copy mode takes them on its own time, after the call.
            if !was_taken || left == waiting {
                break;
            }
            waiting = left;
        }
        let is_stuck = waiting > 0 && self.tx.is_wakeup_needed();
        self.retry_at = is_stuck.then(|| self.now.after(RETRY_NS));
    }

    /// Shows the kernel what was released, and wakes it if it waits for that.
    fn refill(&mut self) {
        self.fill.publish();
        if self.fill.is_wakeup_needed() {
            self.receive_call();
        }
    }

    /// One receive call: the kernel runs the driver's receive, where it must be told to.
    fn receive_call(&mut self) {
        self.counters.kicks += 1;
        let (fd, flags) = (self.fd.as_raw_fd(), libc::MSG_DONTWAIT);
        // SAFETY: no buffer and no address are passed; the kernel runs the driver's receive.
        let got = unsafe { libc::recvfrom(fd, null_mut(), 0, flags, null_mut(), null_mut()) };
        let is_refused = got < 0 && nix::errno::Errno::last_raw() != libc::EAGAIN;
        self.counters.kicks_refused += u64::from(is_refused);
    }
}

impl FrameIo for Xsk {
    fn name(&self) -> &'static str {
        "xdp"
    }

    fn steady_syscalls(&self) -> &'static [&'static str] {
        &["sendto", "recvfrom", "getsockopt"]
    }

    fn frame_bytes_max(&self) -> usize {
        // The receive side has this much behind the kernel's headroom; both halves take the same.
        self.umem.frame_size() - HEADROOM_BYTES
    }

    fn poll(&mut self, now: UnixNanos) -> usize {
        self.now = now;
        self.rx.publish();
        self.refill();
        self.complete();
        if self.retry_at.is_some_and(|at| now >= at) {
            self.send_waiting();
        }
        let count = self.rx.refresh();
        if count > 0 || !self.is_busy_polling {
            return count as usize;
        }
        self.receive_call();
        self.rx.refresh() as usize
    }

    fn next(&mut self) -> Option<Frame> {
        // Bounded by what `refresh` saw.
        while let Some(descriptor) = self.rx.pop() {
            let frame = self.umem.frame(descriptor.addr, descriptor.len);
            match frame {
                Some(frame) if self.umem.owners.arrived(frame.index) => {
                    self.counters.rx_frames += 1;
                    return Some(frame);
                }
                _ => self.counters.bad_descriptors += 1,
            }
        }
        None
    }

    fn bytes(&mut self, frame: &Frame) -> &mut [u8] {
        self.umem.bytes(frame)
    }

    fn release(&mut self, frame: Frame) {
        if self.umem.owners.release(frame.index) {
            let is_pushed = self.fill.push(self.umem.offset(frame.index));
            self.counters.ring_full += u64::from(!is_pushed);
        }
    }

    fn reserve(&mut self) -> Option<Frame> {
        if let Some(frame) = self.take_free() {
            return Some(frame);
        }
        self.complete();
        let frame = self.take_free();
        self.counters.tx_full += u64::from(frame.is_none());
        frame
    }

    fn submit(&mut self, frame: Frame, len: usize) {
        let len = (len.min(frame.size())) as u32;
        if len == 0 || !self.umem.owners.submit(frame.index) {
            self.release(frame);
            return;
        }
        let is_pushed = self.tx.push(libc::xdp_desc {
            addr: self.umem.offset(frame.index) + u64::from(frame.start),
            len,
            options: 0,
        });
        self.counters.ring_full += u64::from(!is_pushed);
        self.counters.tx_frames += 1;
    }

    fn kick(&mut self) {
        self.tx.publish();
        self.send_waiting();
    }

    fn park(&mut self, timeout_ns: u64) {
        let mut wait = libc::pollfd {
            fd: self.fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let timeout = libc::timespec {
            tv_sec: (timeout_ns / 1_000_000_000) as i64,
            tv_nsec: (timeout_ns % 1_000_000_000) as i64,
        };
        self.rx.publish();
        self.fill.publish();
        // SAFETY: one pollfd and one timespec on this stack, read and written during the call only. Why it
        // woke does not matter: the caller's next turn looks.
        let _ = unsafe { libc::ppoll(&raw mut wait, 1, &raw const timeout, null()) };
    }

    fn counters(&self) -> FrameCounters {
        self.counters
    }

    fn dropped(&self) -> u64 {
        self.statistics().map_or(0, |told| {
            told.rx_dropped
                .saturating_add(told.rx_ring_full)
                .saturating_add(told.rx_fill_ring_empty)
        })
    }
}

impl Xsk {
    fn take_free(&mut self) -> Option<Frame> {
        let index = self.umem.owners.reserve()?;
        let len = self.frame_bytes_max() as u32;
        let start = HEADROOM_BYTES as u32;
        Some(Frame { index, start, len })
    }
}

fn check(options: &XskOptions) -> Result<(), XdpFault> {
    for (what, got) in [
        ("rx_frames", options.rx_frames),
        ("tx_frames", options.tx_frames),
    ] {
        if !got.is_power_of_two() || got > FRAMES_MAX {
            return Err(XdpFault::Option {
                what,
                got: u64::from(got),
                must: "a power of two up to 16384 is needed",
            });
        }
    }
    if options.queue >= QUEUES_MAX {
        return Err(XdpFault::Option {
            what: "queue",
            got: u64::from(options.queue),
            must: "only the first 64 are steered to",
        });
    }
    Ok(())
}

/// Tells the kernel of the frames. It pins their pages.
fn register(fd: &OwnedFd, umem: &Umem) -> Result<(), XdpFault> {
    let (addr, len, chunk_size) = umem.region();
    // `struct xdp_umem_reg` up to `flags`: what every kernel with AF_XDP takes.
    #[repr(C)]
    struct Region {
        addr: u64,
        len: u64,
        chunk_size: u32,
        headroom: u32,
        flags: u32,
        pad: u32,
    }
    let region = Region {
        addr,
        len,
        chunk_size,
        headroom: 0,
        flags: 0,
        pad: 0,
    };
    set(
        fd,
        libc::SOL_XDP,
        libc::XDP_UMEM_REG,
        &region,
        "XDP_UMEM_REG (needs CAP_IPC_LOCK or a higher ulimit -l)",
    )
}

/// Binds in the best allowed mode that the program's attachment leaves.
fn bind(fd: &OwnedFd, steering: &Steering, options: &XskOptions) -> Result<XdpMode, XdpFault> {
    let mut last = Err(XdpFault::Option {
        what: "number of allowed modes",
        got: options.modes.len() as u64,
        must: "one must fit how the program is attached",
    });
    for mode in XdpMode::ALL {
        let is_allowed = options.modes.contains(&mode);
        if !is_allowed || mode.is_native() != steering.is_native() {
            continue;
        }
        let copy = if mode == XdpMode::ZeroCopyNative {
            libc::XDP_ZEROCOPY
        } else {
            libc::XDP_COPY
        };
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: copy | libc::XDP_USE_NEED_WAKEUP,
            sxdp_ifindex: steering.ifindex(),
            sxdp_queue_id: options.queue,
            sxdp_shared_umem_fd: 0,
        };
        last = match while_busy(|| bind_once(fd, &address)) {
            Ok(()) => return Ok(mode),
            Err(libc::EBUSY) => Err(XdpFault::Busy {
                what: "the queue's AF_XDP socket",
                waited_ms: BUSY_MS_MAX,
            }),
            Err(errno) => Err(XdpFault::NoMode {
                what: "the AF_XDP socket binds",
                last: mode,
                errno,
            }),
        };
    }
    last
}

fn bind_once(fd: &OwnedFd, address: &libc::sockaddr_xdp) -> Result<(), i32> {
    let size = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
    let pointer = core::ptr::from_ref(address).cast();
    // SAFETY: a whole sockaddr_xdp of this size, read during the call only.
    let result = unsafe { libc::bind(fd.as_raw_fd(), pointer, size) };
    if result == 0 {
        Ok(())
    } else {
        Err(nix::errno::Errno::last_raw())
    }
}

/// Asks for busy polling; false when the kernel refuses any part of it.
fn ask_busy_poll(fd: &OwnedFd, poll: BusyPoll) -> bool {
    /// include/uapi/asm-generic/socket.h; not all are in libc.
    const SO_BUSY_POLL: c_int = 46;
    const SO_PREFER_BUSY_POLL: c_int = 69;
    const SO_BUSY_POLL_BUDGET: c_int = 70;
    let ask = |option, value: u32| set(fd, libc::SOL_SOCKET, option, &value, "busy poll").is_ok();
    ask(SO_PREFER_BUSY_POLL, 1)
        && ask(SO_BUSY_POLL, poll.us)
        && ask(SO_BUSY_POLL_BUDGET, poll.budget)
}

/// setsockopt(2) with a plain value.
fn set<T>(
    fd: &OwnedFd,
    level: c_int,
    option: c_int,
    value: &T,
    what: &'static str,
) -> Result<(), XdpFault> {
    let pointer = core::ptr::from_ref(value).cast();
    let size = size_of::<T>() as libc::socklen_t;
    // SAFETY: a whole value of this size, read during the call only.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, pointer, size) };
    if result == 0 {
        Ok(())
    } else {
        Err(XdpFault::last(what))
    }
}

/// getsockopt(2) of a structure of integers. A kernel that knows less of it than we do is refused.
fn get<T: Copy>(fd: &OwnedFd, option: c_int, what: &'static str) -> Result<T, XdpFault> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut size = size_of::<T>() as libc::socklen_t;
    let pointer = value.as_mut_ptr().cast();
    let fd = fd.as_raw_fd();
    // SAFETY: room for a whole T, whose size is told; the kernel writes no more than that.
    let result = unsafe { libc::getsockopt(fd, libc::SOL_XDP, option, pointer, &raw mut size) };
    if result != 0 {
        return Err(XdpFault::last(what));
    }
    if size as usize != size_of::<T>() {
        return Err(XdpFault::Answer(what));
    }
    // SAFETY: zeroed, then written by the kernel; every T here is made of integers only.
    Ok(unsafe { value.assume_init() })
}
