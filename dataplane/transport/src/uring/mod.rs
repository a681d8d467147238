//! Kernel TCP through io_uring, spun from user space.
//!
//! One issuer, deferred task work, multishot receives into a provided-buffer ring. The kernel raises
//! a flag in the submission ring when completions wait to be run (TASKRUN_FLAG), so a turn that finds
//! nothing makes no system call at all; one that finds something makes one `io_uring_enter`.
//!
//! Opcodes used: CONNECT, SEND, RECV (multishot), ASYNC_CANCEL. Nothing else is ever submitted.
//! Source: io_uring_setup(2), io_uring_register_buf_ring(3); modes measured in the bench README.

mod pool;

use crate::socket::trading_socket;
use crate::{
    Chunk, CloseReason, OpenError, Ready, SOCKETS_MAX, SendError, Socket, SocketFault,
    TX_BYTES_MAX, Transport,
};
use dp_types::UnixNanos;
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use pool::{CHUNKS, GROUP, Pool};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

/// Submission entries; completions get four times as many.
const ENTRIES: u32 = 256;
/// Nanoseconds a TCP handshake may take before it counts as failed.
pub const CONNECT_NS_MAX: u64 = 5_000_000_000;

/// Operation, in the low byte of `user_data`; then 16 bits of slot and 32 of generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Op {
    Connect = 1,
    Recv = 2,
    Send = 3,
    Cancel = 4,
}

const fn user_data(op: Op, slot: u16, generation: u32) -> u64 {
    op as u64 | (slot as u64) << 8 | (generation as u64) << 32
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Free,
    Connecting,
    Open,
    /// Closed by us; waits for the kernel to give back what it holds.
    Closing,
}

/// One connection and the memory the kernel reads from.
#[derive(Debug)]
struct Slot {
    phase: Phase,
    generation: u32,
    fd: Option<OwnedFd>,
    address: Box<Address>,
    /// Bytes the kernel is sending: not touched until it has answered.
    flight: Vec<u8>,
    sent: usize,
    is_sending: bool,
    /// Bytes to send after those.
    waiting: Vec<u8>,
    /// Operations the kernel has not finished.
    in_kernel: u32,
    is_receiving: bool,
    connect_by: UnixNanos,
}

/// A socket address in the kernel's form, kept while a connect is in flight.
#[derive(Debug)]
struct Address {
    storage: nix::sys::socket::SockaddrStorage,
}

/// io_uring over kernel TCP. Made and used on one thread.
#[derive(Debug)]
pub struct Uring {
    // Dropped first: the kernel lets go of buffers and slots before their memory goes.
    ring: Ring,
    pool: Pool,
    slots: Vec<Slot>,
    ready: VecDeque<Ready>,
    now: UnixNanos,
}

/// `IoUring` has no `Debug`.
struct Ring(IoUring);

impl core::fmt::Debug for Ring {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("IoUring")
    }
}

impl Uring {
    /// Sets the ring up on the calling thread, which alone may use it.
    ///
    /// Errors: the kernel's, with the mend (io_uring switched off, kernel older than 6.1).
    pub fn new() -> Result<Self, SocketFault> {
        let fault = |what| {
            move |error: std::io::Error| SocketFault::Os {
                what,
                errno: error.raw_os_error().unwrap_or(libc::EIO),
            }
        };
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(ENTRIES * 4)
            .build(ENTRIES)
            .map_err(fault(
                "io_uring_setup (needs Linux 6.1 and kernel.io_uring_disabled = 0)",
            ))?;
        let pool = Pool::new(&ring).map_err(fault("io_uring_register buffer ring"))?;
        let slots = (0..SOCKETS_MAX).map(|_| Slot::new()).collect();
        let ready = VecDeque::with_capacity(2 * ENTRIES as usize * 4);
        Ok(Self {
            ring: Ring(ring),
            pool,
            slots,
            ready,
            now: UnixNanos(0),
        })
    }

    fn slot(&mut self, socket: Socket) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(usize::from(socket.slot))?;
        (slot.generation == socket.generation && slot.phase != Phase::Free).then_some(slot)
    }

    /// Queues one entry; makes room by submitting what is there.
    fn push(&mut self, entry: &squeue::Entry) {
        for _ in 0..2 {
            // SAFETY: every entry built in this file points at a slot's boxed address or its `flight`
            // bytes, which stay put until its completion (`in_kernel`, checked in tests), or at nothing.
            if unsafe { self.ring.0.submission().push(entry) }.is_ok() {
                return;
            }
            self.enter();
        }
    }

    /// One `io_uring_enter`: submits, and runs deferred completions when there are any.
    fn enter(&mut self) {
        // EINTR, EBUSY and EAGAIN leave everything as it was; the next turn tries again.
        let _ = self.ring.0.submitter().submit_and_wait(0);
    }

    fn arm_receive(&mut self, at: u16) {
        let Some(slot) = self.slots.get_mut(usize::from(at)) else {
            return;
        };
        let Some(fd) = slot.fd.as_ref() else { return };
        let data = user_data(Op::Recv, at, slot.generation);
        let entry = opcode::RecvMulti::new(types::Fd(fd.as_raw_fd()), GROUP)
            .build()
            .user_data(data);
        slot.in_kernel += 1;
        slot.is_receiving = true;
        self.push(&entry);
    }

    /// Sends what is left of `flight`.
    fn arm_send(&mut self, at: u16) {
        let Some(slot) = self.slots.get_mut(usize::from(at)) else {
            return;
        };
        let Some(fd) = slot.fd.as_ref() else { return };
        let Some(rest) = slot.flight.get(slot.sent..) else {
            return;
        };
        let data = user_data(Op::Send, at, slot.generation);
        let entry = opcode::Send::new(types::Fd(fd.as_raw_fd()), rest.as_ptr(), rest.len() as u32)
            .flags(libc::MSG_NOSIGNAL)
            .build()
            .user_data(data);
        slot.in_kernel += 1;
        slot.is_sending = true;
        self.push(&entry);
    }

    /// Takes completions off the ring and turns them into [`Ready`].
    fn reap(&mut self) {
        // The queue has room for every completion the ring can hold, so this never grows it.
        while self.ready.len() < self.ready.capacity() {
            let Some(completion) = self.ring.0.completion().next() else {
                break;
            };
            self.complete(&completion);
        }
    }

    fn complete(&mut self, completion: &cqueue::Entry) {
        let data = completion.user_data();
        let (op, at, generation) = (data as u8, (data >> 8) as u16, (data >> 32) as u32);
        let result = completion.result();
        let has_more = cqueue::more(completion.flags());
        let buffer = cqueue::buffer_select(completion.flags());
        let Some(slot) = self.slots.get_mut(usize::from(at)) else {
            return;
        };
        if !has_more {
            slot.in_kernel = slot.in_kernel.saturating_sub(1);
        }
        let is_current = slot.generation == generation && slot.phase != Phase::Closing;
        let socket = Socket {
            slot: at,
            generation,
        };
        match op {
            op if op == Op::Connect as u8 && is_current => {
                if result < 0 {
                    self.fail(at, CloseReason::Os(-result));
                } else {
                    slot.phase = Phase::Open;
                    self.ready.push_back(Ready::Connected(socket));
                    self.arm_receive(at);
                }
            }
            op if op == Op::Recv as u8 => {
                slot.is_receiving &= has_more;
                match buffer {
                    Some(buffer) if is_current && result > 0 => {
                        let chunk = Chunk {
                            buffer,
                            len: result as u32,
                        };
                        self.ready.push_back(Ready::Bytes(socket, chunk));
                    }
                    Some(buffer) => self.pool.put(buffer),
                    None => {}
                }
                if is_current {
                    match result {
                        0 => self.fail(at, CloseReason::Peer),
                        // Out of chunks, or interrupted: armed again when there is room (poll).
                        error if error == -libc::ENOBUFS || error == -libc::EINTR => {}
                        error if error < 0 => self.fail(at, CloseReason::Os(-error)),
                        _ => {}
                    }
                }
            }
            op if op == Op::Send as u8 => {
                slot.is_sending = false;
                if is_current {
                    self.on_sent(at, result);
                }
            }
            _ => {}
        }
        self.settle(at);
    }

    fn on_sent(&mut self, at: u16, result: i32) {
        let Some(slot) = self.slots.get_mut(usize::from(at)) else {
            return;
        };
        if result < 0 && result != -libc::EINTR && result != -libc::EAGAIN {
            self.fail(at, CloseReason::Os(-result));
            return;
        }
        slot.sent += result.max(0) as usize;
        if slot.sent >= slot.flight.len() {
            slot.flight.clear();
            slot.sent = 0;
            core::mem::swap(&mut slot.flight, &mut slot.waiting);
        }
        if !slot.flight.is_empty() {
            self.arm_send(at);
        }
    }

    /// The connection ended by itself: says so and lets go.
    fn fail(&mut self, at: u16, reason: CloseReason) {
        let Some(slot) = self.slots.get_mut(usize::from(at)) else {
            return;
        };
        let socket = Socket {
            slot: at,
            generation: slot.generation,
        };
        self.ready.push_back(Ready::Closed(socket, reason));
        self.let_go(socket);
    }

    /// Shuts a socket down; its slot is free once the kernel holds nothing of it.
    fn let_go(&mut self, socket: Socket) {
        let Some(slot) = self.slot(socket) else {
            return;
        };
        if slot.phase == Phase::Closing {
            return;
        }
        slot.phase = Phase::Closing;
        if slot.in_kernel > 0 {
            let Some(fd) = slot.fd.as_ref() else { return };
            // Says goodbye to the peer, and ends a multishot receive and a blocked send.
            let _ = nix::sys::socket::shutdown(fd.as_raw_fd(), nix::sys::socket::Shutdown::Both);
            let data = user_data(Op::Cancel, socket.slot, socket.generation);
            let builder = types::CancelBuilder::fd(types::Fd(fd.as_raw_fd())).all();
            slot.in_kernel += 1;
            self.push(&opcode::AsyncCancel2::new(builder).build().user_data(data));
            self.enter();
        }
        self.settle(socket.slot);
    }

    /// Frees a closing slot once the kernel holds nothing of it.
    fn settle(&mut self, at: u16) {
        let Some(slot) = self.slots.get_mut(usize::from(at)) else {
            return;
        };
        if slot.phase == Phase::Closing && slot.in_kernel == 0 {
            slot.phase = Phase::Free;
            slot.fd = None;
            slot.flight.clear();
            slot.waiting.clear();
            slot.sent = 0;
            slot.is_sending = false;
            slot.is_receiving = false;
        }
    }

    /// Connects that took too long, and receives that ran out of chunks.
    fn tend(&mut self) {
        for at in 0..self.slots.len() as u16 {
            let Some(slot) = self.slots.get(usize::from(at)) else {
                break;
            };
            match slot.phase {
                Phase::Connecting if self.now > slot.connect_by => {
                    self.fail(at, CloseReason::Os(libc::ETIMEDOUT));
                }
                Phase::Open if !slot.is_receiving => self.arm_receive(at),
                _ => {}
            }
        }
    }
}

impl Slot {
    fn new() -> Self {
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
        Self {
            phase: Phase::Free,
            generation: 0,
            fd: None,
            address: Box::new(Address {
                storage: unspecified.into(),
            }),
            flight: Vec::with_capacity(TX_BYTES_MAX / 8),
            sent: 0,
            is_sending: false,
            waiting: Vec::with_capacity(TX_BYTES_MAX / 8),
            in_kernel: 0,
            is_receiving: false,
            connect_by: UnixNanos(0),
        }
    }
}

impl Transport for Uring {
    fn name(&self) -> &'static str {
        "io_uring"
    }

    fn steady_syscalls(&self) -> &'static [&'static str] {
        &["io_uring_enter"]
    }

    fn open(&mut self, peer: SocketAddr) -> Result<Socket, OpenError> {
        let at = self.slots.iter().position(|slot| slot.phase == Phase::Free);
        let at = at.ok_or(OpenError::TooMany)?;
        let fd = trading_socket(&peer)?;
        let connect_by = self.now.after(CONNECT_NS_MAX);
        let slot = &mut self.slots[at];
        slot.phase = Phase::Connecting;
        slot.generation = slot.generation.wrapping_add(1);
        slot.address.storage = peer.into();
        slot.connect_by = connect_by;
        slot.in_kernel = 1;
        let address = &slot.address.storage;
        let data = user_data(Op::Connect, at as u16, slot.generation);
        let entry = opcode::Connect::new(
            types::Fd(fd.as_raw_fd()),
            nix::sys::socket::SockaddrLike::as_ptr(address),
            nix::sys::socket::SockaddrLike::len(address),
        );
        let socket = Socket {
            slot: at as u16,
            generation: slot.generation,
        };
        slot.fd = Some(fd);
        self.push(&entry.build().user_data(data));
        self.enter();
        Ok(socket)
    }

    fn send(&mut self, socket: Socket, bytes: &[u8]) -> Result<(), SendError> {
        let Some(slot) = self.slot(socket) else {
            return Err(SendError::NotConnected);
        };
        if slot.phase != Phase::Open {
            return Err(SendError::NotConnected);
        }
        if slot.flight.len() + slot.waiting.len() + bytes.len() > TX_BYTES_MAX {
            return Err(SendError::Full);
        }
        if slot.is_sending {
            slot.waiting.extend_from_slice(bytes);
            return Ok(());
        }
        slot.flight.extend_from_slice(bytes);
        self.arm_send(socket.slot);
        self.enter();
        Ok(())
    }

    fn close(&mut self, socket: Socket) {
        self.let_go(socket);
        // What was queued before is nobody's any more; the chunks go back.
        for _ in 0..self.ready.len() {
            match self.ready.pop_front() {
                Some(Ready::Bytes(of, chunk)) if of == socket => self.pool.put(chunk.buffer),
                Some(Ready::Connected(of) | Ready::Closed(of, _)) if of == socket => {}
                Some(other) => self.ready.push_back(other),
                None => break,
            }
        }
    }

    fn poll(&mut self, now: UnixNanos) -> usize {
        self.now = now;
        let (is_due, has_completions) = {
            let submission = self.ring.0.submission();
            let is_due = submission.taskrun() || submission.cq_overflow() || !submission.is_empty();
            drop(submission);
            (is_due, !self.ring.0.completion().is_empty())
        };
        if is_due {
            self.enter();
        }
        if is_due || has_completions {
            self.reap();
        }
        self.tend();
        self.ready.len()
    }

    fn next(&mut self) -> Option<Ready> {
        self.ready.pop_front()
    }

    fn bytes(&mut self, chunk: &Chunk) -> &mut [u8] {
        self.pool.bytes(chunk.buffer, chunk.len as usize)
    }

    fn release(&mut self, chunk: Chunk) {
        debug_assert!(chunk.buffer < CHUNKS);
        self.pool.put(chunk.buffer);
    }

    fn park(&mut self, timeout_ns: u64) {
        if !self.ready.is_empty() {
            return;
        }
        let wait = types::Timespec::new()
            .sec(timeout_ns / 1_000_000_000)
            .nsec((timeout_ns % 1_000_000_000) as u32);
        let args = types::SubmitArgs::new().timespec(&wait);
        // ETIME: nothing came. EINTR: a signal did. Both are for the caller's next turn.
        let _ = self.ring.0.submitter().submit_with_args(1, &args);
    }
}
