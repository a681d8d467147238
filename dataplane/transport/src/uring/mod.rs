//! Kernel TCP through io_uring, spun from user space.
//!
//! One issuer, deferred task work, multishot receives into a provided-buffer ring. The kernel raises
//! a flag in the submission ring when completions wait to be run (TASKRUN_FLAG), so a turn that finds
//! nothing makes no system call at all; one that finds something makes one `io_uring_enter`.
//!
//! ```text
//!   send ──send(2)──▶ kernel                     the usual way: no completion to reap
//!     └▶ tx ring ──SEND──▶ kernel                what it did not take; at most one SEND a socket: order is kept
//!   poll ◀── chunk ◀── multishot RECV ◀── kernel   one RECV a socket, armed while chunks are free
//! ```
//!
//! The ring is restricted to the opcodes in [`OPCODES`] before it is enabled: the kernel refuses any
//! other, and any further registration. A multicast group is a socket like another, whose every chunk is one
//! datagram. Half-closed connections do not exist here: the peer's EOF ends
//! both ways, as every venue's protocol does.
//! Source: io_uring_setup(2), io_uring_register(2), io_uring_register_buf_ring(3).

mod pool;
mod slot;

use crate::acks::Acks;
use crate::arena::{Arena, Pages};
use crate::bits::{bit, bits};
use crate::multicast::joined;
use crate::socket::{BUSY_POLL_US, offer, trading_socket};
use crate::{
    Chunk, CloseReason, Group, OpenError, Ready, SOCKETS_MAX, SendError, Socket, SocketFault,
    TX_BYTES_MAX, Transport,
};
use core::marker::PhantomData;
use dp_types::UnixNanos;
use io_uring::register::Restriction;
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use nix::sys::socket::{Shutdown, shutdown};
use pool::{CHUNKS, GROUP, Pool};
use slot::{OPS_MAX, Op, Phase, Slot};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Submission entries. Everything that can be with the kernel at once fits, so queueing never fails.
const ENTRIES: u32 = 256;
const _: () = assert!(SOCKETS_MAX * OPS_MAX <= ENTRIES as usize);
/// Completion entries. Each operation ends once, and each chunk is given out once: no overflow.
const COMPLETIONS: u32 = 1024;
const _: () = assert!(SOCKETS_MAX * OPS_MAX + CHUNKS as usize <= COMPLETIONS as usize);
/// Sets of sockets are bits of one word.
const _: () = assert!(SOCKETS_MAX <= u64::BITS as usize);
/// Nanoseconds a TCP handshake may take before it counts as failed.
pub const CONNECT_NS_MAX: u64 = 5_000_000_000;
/// Turns `Drop` waits for the kernel to let go of memory, a millisecond each.
const DROP_TURNS_MAX: u32 = 1_000;

/// Every opcode this transport submits; the kernel refuses the rest.
pub const OPCODES: [(&str, u8); 4] = [
    ("CONNECT", opcode::Connect::CODE),
    ("SEND", opcode::Send::CODE),
    ("RECV", opcode::RecvMulti::CODE),
    ("ASYNC_CANCEL", opcode::AsyncCancel2::CODE),
];

/// io_uring over kernel TCP. Made and used on one thread.
pub struct Uring {
    // Closed first, before the memory the kernel writes to goes.
    ring: IoUring,
    pool: Pool,
    /// One [`TX_BYTES_MAX`] piece a slot.
    tx: Arena,
    slots: Box<[Slot]>,
    /// Slots whose handshake runs.
    connecting: u64,
    acks: Acks,
    /// Open slots without a receive in the kernel.
    unarmed: u64,
    ready: VecDeque<Ready>,
    /// Only the thread that made a SINGLE_ISSUER ring may enter it.
    _one_thread: PhantomData<*const ()>,
}

impl core::fmt::Debug for Uring {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Uring")
            .field("slots", &self.slots)
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}

impl Uring {
    /// Bytes of memory it takes, for plans.
    pub const BYTES: usize = pool::BYTES + SOCKETS_MAX * TX_BYTES_MAX;

    /// Sets the ring up on the calling thread, which alone may use it.
    ///
    /// Cost: milliseconds; about 26 MiB of memory. Errors: the kernel's, with the mend (io_uring
    /// switched off, kernel older than 6.1).
    pub fn new() -> Result<Self, SocketFault> {
        Self::on_node(None)
    }

    /// The same with its memory on a node. Errors: also when the machine has no such node.
    pub fn on_node(node: Option<u16>) -> Result<Self, SocketFault> {
        let fault = |what| {
            move |error: std::io::Error| SocketFault::Os {
                what,
                errno: error.raw_os_error().unwrap_or(libc::EIO),
            }
        };
        let memory = |error: crate::ArenaError| SocketFault::Os {
            what: "memory for buffers",
            errno: error.errno,
        };
        let mut pool = Pool::on_node(node).map_err(memory)?;
        let tx = Arena::on_node(SOCKETS_MAX * TX_BYTES_MAX, node).map_err(memory)?;
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_r_disabled()
            .setup_cqsize(COMPLETIONS)
            .dontfork()
            .build(ENTRIES)
            .map_err(fault(
                "io_uring_setup (needs Linux 6.1 and kernel.io_uring_disabled = 0)",
            ))?;
        pool.register(&ring)
            .map_err(fault("io_uring_register: buffer ring"))?;
        // A lane that parks polls its cards' queues before it sleeps: four times quicker awake where a queue
        // is there, nothing on loopback. A wish: kernels before 6.9 do not know it.
        let mut napi = types::Napi::new().set_busy_poll_timeout(BUSY_POLL_US.unsigned_abs());
        let _ = ring.submitter().register_napi(&mut napi);
        let flags = Restriction::sqe_flags_allowed(squeue::Flags::BUFFER_SELECT.bits());
        let codes = OPCODES.map(|(_, code)| Restriction::sqe_op(code));
        let mut allowed: Vec<Restriction> = codes.into_iter().chain([flags]).collect();
        let submitter = ring.submitter();
        submitter
            .register_restrictions(&mut allowed)
            .map_err(fault("io_uring_register: restrictions"))?;
        submitter
            .register_enable_rings()
            .map_err(fault("io_uring_register: enable"))?;
        Ok(Self {
            ring,
            pool,
            tx,
            slots: (0..SOCKETS_MAX).map(|_| Slot::new()).collect(),
            connecting: 0,
            unarmed: 0,
            acks: Acks::default(),
            ready: VecDeque::with_capacity(2 * COMPLETIONS as usize),
            _one_thread: PhantomData,
        })
    }

    /// What the receive and send buffers live on.
    pub fn pages(&mut self) -> (Pages, Pages) {
        (self.pool.arena().pages(), self.tx.pages())
    }

    /// The node both are on; `None` = they are on several, or the kernel does not say.
    pub fn node(&mut self) -> Option<u16> {
        let node = self.pool.arena().node();
        node.filter(|node| self.tx.node() == Some(*node))
    }

    /// The slot of a socket that is not closed.
    fn slot(&mut self, socket: Socket) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(usize::from(socket.slot))?;
        let is_live = matches!(slot.phase, Phase::Connecting | Phase::Open);
        (slot.generation == socket.generation && is_live).then_some(slot)
    }

    // ---- to the kernel ------------------------------------------------------------------------

    /// Queues one entry of a slot.
    fn push(&mut self, socket: Socket, op: Op, entry: squeue::Entry) {
        let entry = entry.user_data(op.user_data(socket));
        // SAFETY: every entry built in this file points at its slot's address or its piece of `tx`,
        // which stay put until the completion (`in_kernel`; `Drop` waits for it), or at nothing.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        assert!(pushed.is_ok(), "more operations than OPS_MAX a socket");
        self.slots[usize::from(socket.slot)].in_kernel += 1;
    }

    /// One `io_uring_enter`: submits, and runs deferred completions when there are any.
    fn enter(&mut self) {
        // EINTR, EBUSY and EAGAIN leave everything as it was; the next turn tries again.
        let _ = self.ring.submit();
    }

    fn arm_receive(&mut self, socket: Socket) {
        let fd = types::Fd(self.slots[usize::from(socket.slot)].raw_fd());
        let entry = opcode::RecvMulti::new(fd, GROUP).build();
        self.unarmed &= !bit(usize::from(socket.slot));
        self.push(socket, Op::Recv, entry);
    }

    /// Sends what waits, up to the ring's end.
    fn arm_send(&mut self, socket: Socket) {
        let slot = &mut self.slots[usize::from(socket.slot)];
        let front = slot.tx.front();
        let fd = types::Fd(slot.raw_fd());
        slot.is_sending = true;
        let bytes = self.tx.address(tx_offset(socket) + front.start);
        let entry = opcode::Send::new(fd, bytes, front.len() as u32)
            .flags(libc::MSG_NOSIGNAL)
            .build();
        self.push(socket, Op::Send, entry);
    }

    // ---- from the kernel ----------------------------------------------------------------------

    /// Takes completions off the ring and turns them into [`Ready`], at most one each. What does not fit
    /// (the lane left things lying) stays in the ring.
    fn reap(&mut self) {
        while self.ready.len() < self.ready.capacity() {
            let Some(completion) = self.ring.completion().next() else {
                break;
            };
            self.complete(&completion);
        }
    }

    fn complete(&mut self, completion: &cqueue::Entry) {
        let Some((op, socket)) = Op::parse(completion.user_data()) else {
            return;
        };
        let (result, flags) = (completion.result(), completion.flags());
        let has_more = cqueue::more(flags);
        let slot = &mut self.slots[usize::from(socket.slot)];
        slot.in_kernel -= u32::from(!has_more);
        let is_live = slot.phase != Phase::Closing;
        match op {
            Op::Connect if is_live => self.on_connected(socket, result),
            Op::Recv => self.on_received(socket, result, flags, is_live),
            Op::Send if is_live => self.on_sent(socket, result),
            Op::Connect | Op::Send | Op::Cancel => {}
        }
        self.settle(socket);
    }

    fn on_connected(&mut self, socket: Socket, result: i32) {
        if result < 0 {
            self.fail(socket, CloseReason::Os(-result));
            return;
        }
        self.slots[usize::from(socket.slot)].phase = Phase::Open;
        self.connecting &= !bit(usize::from(socket.slot));
        self.ready.push_back(Ready::Connected(socket));
        self.arm_receive(socket);
    }

    fn on_received(&mut self, socket: Socket, result: i32, flags: u32, is_live: bool) {
        let buffer = cqueue::buffer_select(flags);
        if let Some(buffer) = buffer {
            self.pool.take(buffer);
        }
        if is_live && !cqueue::more(flags) {
            self.unarmed |= bit(usize::from(socket.slot));
        }
        let is_group = self.slots[usize::from(socket.slot)].is_group;
        match (buffer, result) {
            (Some(buffer), 1..) if is_live => {
                let (buffer, len) = (u32::from(buffer), result as u32);
                let start = 0;
                if !is_group {
                    self.acks.heard(usize::from(socket.slot));
                }
                self.ready
                    .push_back(Ready::Bytes(socket, Chunk { buffer, start, len }));
                return;
            }
            (Some(buffer), _) => self.pool.put(u32::from(buffer)),
            (None, _) => {}
        }
        match -result {
            0 if is_group => {}
            0 if is_live => self.fail(socket, CloseReason::Peer),
            // Out of chunks, or interrupted: armed again when there are some (`tend`).
            libc::ENOBUFS | libc::EINTR | libc::EAGAIN => {}
            error if is_live => self.fail(socket, CloseReason::Os(error)),
            _ => {}
        }
    }

    fn on_sent(&mut self, socket: Socket, result: i32) {
        let slot = &mut self.slots[usize::from(socket.slot)];
        slot.is_sending = false;
        match result {
            0.. => slot.tx.pop(result as usize),
            error if error == -libc::EINTR || error == -libc::EAGAIN => {}
            error => {
                self.fail(socket, CloseReason::Os(-error));
                return;
            }
        }
        if !slot.tx.is_empty() {
            self.arm_send(socket);
        }
    }

    /// The connection ended by itself: says so and lets go.
    fn fail(&mut self, socket: Socket, reason: CloseReason) {
        self.ready.push_back(Ready::Closed(socket, reason));
        self.let_go(socket);
    }

    /// Shuts a socket down; its slot is free once the kernel holds nothing of it.
    fn let_go(&mut self, socket: Socket) {
        self.connecting &= !bit(usize::from(socket.slot));
        self.unarmed &= !bit(usize::from(socket.slot));
        self.acks.settled(usize::from(socket.slot));
        let slot = &mut self.slots[usize::from(socket.slot)];
        slot.phase = Phase::Closing;
        if slot.in_kernel > 0 {
            let fd = slot.raw_fd();
            // Says goodbye to the peer, and ends a multishot receive and a blocked send.
            let _ = shutdown(fd, Shutdown::Both);
            let builder = types::CancelBuilder::fd(types::Fd(fd)).all();
            self.push(
                socket,
                Op::Cancel,
                opcode::AsyncCancel2::new(builder).build(),
            );
            self.enter();
        }
        self.settle(socket);
    }

    /// Frees a closing slot, and closes its file, once the kernel holds nothing of it.
    fn settle(&mut self, socket: Socket) {
        let slot = &mut self.slots[usize::from(socket.slot)];
        if slot.phase == Phase::Closing && slot.in_kernel == 0 {
            slot.phase = Phase::Free;
            slot.fd = None;
        }
    }

    /// Ends every connection and waits until the kernel holds nothing of ours. Closing the ring cancels
    /// what is left, but later: it could write to memory that is somebody else's by then. False when it
    /// did not let go within a second.
    fn settle_all(&mut self) -> bool {
        for at in 0..self.slots.len() {
            let (slot, generation) = (at as u16, self.slots[at].generation);
            self.close(Socket { slot, generation });
        }
        for _ in 0..DROP_TURNS_MAX {
            if self.slots.iter().all(|slot| slot.in_kernel == 0) {
                return true;
            }
            self.park(1_000_000);
            self.ready.clear();
            self.reap();
        }
        false
    }

    // ---- each turn ----------------------------------------------------------------------------

    /// Connects that took too long, and receives that ran out of chunks.
    fn tend(&mut self, now: UnixNanos) {
        for at in bits(self.connecting) {
            let slot = &mut self.slots[at];
            let generation = slot.generation;
            if slot.connect_by == UnixNanos(0) {
                slot.connect_by = now.after(CONNECT_NS_MAX);
            } else if now > slot.connect_by {
                let slot = at as u16;
                self.fail(
                    Socket { slot, generation },
                    CloseReason::Os(libc::ETIMEDOUT),
                );
            }
        }
        for at in bits(self.unarmed) {
            // A receive armed without a chunk would come back at once, every turn.
            if self.pool.free_count() == 0 {
                break;
            }
            let generation = self.slots[at].generation;
            let slot = at as u16;
            self.arm_receive(Socket { slot, generation });
        }
    }
}

impl Transport for Uring {
    fn name(&self) -> &'static str {
        "io_uring"
    }

    fn steady_syscalls(&self) -> &'static [&'static str] {
        &["io_uring_enter", "sendto", "setsockopt"]
    }

    fn open(&mut self, peer: SocketAddr) -> Result<Socket, OpenError> {
        let at = self.slots.iter().position(|slot| slot.phase == Phase::Free);
        let at = at.ok_or(OpenError::TooMany)?;
        let slot = &mut self.slots[at];
        slot.begin(peer, trading_socket(&peer)?);
        let socket = Socket {
            slot: at as u16,
            generation: slot.generation,
        };
        let (address, len) = slot.raw_address();
        let entry = opcode::Connect::new(types::Fd(slot.raw_fd()), address, len).build();
        self.connecting |= bit(usize::from(socket.slot));
        self.push(socket, Op::Connect, entry);
        self.enter();
        Ok(socket)
    }

    fn join(&mut self, group: &Group) -> Result<Socket, OpenError> {
        let at = self.slots.iter().position(|slot| slot.phase == Phase::Free);
        let at = at.ok_or(OpenError::TooMany)?;
        let slot = &mut self.slots[at];
        slot.join(group.at.into(), joined(group)?);
        let socket = Socket {
            slot: at as u16,
            generation: slot.generation,
        };
        self.arm_receive(socket);
        self.enter();
        Ok(socket)
    }

    fn room(&mut self, socket: Socket) -> usize {
        let slot = self.slot(socket);
        let slot = slot.filter(|slot| slot.phase == Phase::Open && !slot.is_group);
        slot.map_or(0, |slot| slot.tx.room())
    }

    fn send(&mut self, socket: Socket, bytes: &[u8]) -> Result<(), SendError> {
        if self.slot(socket).is_some_and(|slot| slot.is_sending) {
            // The send before has most likely been done within its own system call: then this one can
            // leave now, and not after the burst that is being worked through.
            self.reap();
        }
        let slot = self.slot(socket);
        let slot = slot.filter(|slot| slot.phase == Phase::Open && !slot.is_group);
        let slot = slot.ok_or(SendError::NotConnected)?;
        let is_sending = slot.is_sending;
        if bytes.len() > slot.tx.room() {
            return Err(SendError::Full);
        }
        let mut bytes = bytes;
        self.acks.settled(usize::from(socket.slot));
        let slot = &self.slots[usize::from(socket.slot)];
        if !is_sending {
            match offer(slot.raw_fd(), bytes) {
                Ok(taken) => bytes = &bytes[taken..],
                Err(errno) => {
                    self.fail(socket, CloseReason::Os(errno as i32));
                    return Ok(());
                }
            }
            if bytes.is_empty() {
                return Ok(());
            }
        }
        let slot = &mut self.slots[usize::from(socket.slot)];
        let (first, second) = slot.tx.push(bytes.len()).ok_or(SendError::Full)?;
        let (head, rest) = bytes.split_at(first.len());
        let start = tx_offset(socket);
        let mut copy = |at: core::ops::Range<usize>, from: &[u8]| {
            self.tx
                .slice_mut(start + at.start..start + at.end)
                .copy_from_slice(from);
        };
        copy(first, head);
        copy(second, rest);
        if !is_sending {
            self.arm_send(socket);
            self.enter();
        }
        Ok(())
    }

    fn close(&mut self, socket: Socket) {
        if self.slot(socket).is_some() {
            self.let_go(socket);
        }
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
        let submission = self.ring.submission();
        let is_due = submission.taskrun() || !submission.is_empty();
        drop(submission);
        if is_due {
            self.enter();
        }
        self.reap();
        if self.connecting | self.unarmed != 0 {
            self.tend(now);
        }
        let (slots, is_quiet) = (&self.slots, self.ready.is_empty());
        self.acks.tend(now, is_quiet, |at| {
            let is_stream = |slot: &&Slot| slot.phase == Phase::Open && !slot.is_group;
            slots.get(at).filter(is_stream)?.fd.as_ref()
        });
        self.ready.len()
    }

    fn next(&mut self) -> Option<Ready> {
        self.ready.pop_front()
    }

    fn bytes(&mut self, chunk: &Chunk) -> &mut [u8] {
        self.pool.bytes(chunk.buffer, chunk.start, chunk.len)
    }

    fn release(&mut self, chunk: Chunk) {
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
        let _ = self.ring.submitter().submit_with_args(1, &args);
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        if !self.settle_all() {
            self.pool.arena().leak();
            self.tx.leak();
        }
    }
}

/// Where a slot's piece of the send arena begins.
fn tx_offset(socket: Socket) -> usize {
    usize::from(socket.slot) * TX_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opcode_outside_the_list_is_refused_by_the_kernel() {
        let mut uring = Uring::new().unwrap();
        let entry = opcode::Nop::new().build().user_data(0);
        // SAFETY: a NOP points at nothing.
        unsafe { uring.ring.submission().push(&entry) }.unwrap();
        uring.enter();
        let answer = uring.ring.completion().next().unwrap();
        assert_eq!(answer.result(), -libc::EACCES);
        assert!(uring.ring.submitter().register_files_sparse(4).is_err());
    }

    #[test]
    fn a_handshake_without_an_answer_times_out_by_the_callers_clock() {
        let mut uring = Uring::new().unwrap();
        // A listener whose queue is full and never emptied: further SYNs get no answer.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
        let _first = std::net::TcpStream::connect(peer).unwrap();
        let socket = uring.open(peer).unwrap();
        let start = UnixNanos(1_000);
        assert_eq!(uring.poll(start), 0);
        assert_eq!(uring.poll(start.after(CONNECT_NS_MAX)), 0);
        assert_eq!(uring.poll(start.after(CONNECT_NS_MAX + 1)), 1);
        let reason = CloseReason::Os(libc::ETIMEDOUT);
        assert_eq!(uring.next(), Some(Ready::Closed(socket, reason)));
    }

    #[test]
    fn the_kernel_lets_go_of_everything_in_flight() {
        let mut uring = Uring::new().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        let open = |uring: &mut Uring| {
            let socket = uring.open(peer).unwrap();
            let stream = listener.accept().unwrap().0;
            while uring.poll(UnixNanos(1)) == 0 {}
            assert_eq!(uring.next(), Some(Ready::Connected(socket)));
            (socket, stream)
        };
        let (blocked, _stream) = open(&mut uring);
        while uring.slots[0].tx.len() < TX_BYTES_MAX {
            let room = TX_BYTES_MAX - uring.slots[0].tx.len();
            uring.send(blocked, &vec![0; room]).unwrap();
            uring.poll(UnixNanos(1));
        }
        let (_idle, _other) = open(&mut uring);
        // A receive and a blocked send, a receive: three.
        assert_eq!(
            uring.slots.iter().map(|slot| slot.in_kernel).sum::<u32>(),
            3
        );
        assert!(uring.settle_all());
        assert!(
            uring
                .slots
                .iter()
                .all(|slot| slot.phase == Phase::Free && slot.fd.is_none())
        );
    }
}
