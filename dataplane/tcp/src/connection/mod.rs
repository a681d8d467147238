//! One connection: the RFC 9293 state machine with its buffers, from SYN to the last ACK.
//!
//! ```text
//!            connect                                accept (a SYN came)
//!   Closed ──────────▶ SynSent ──▶ Established ◀── SynReceived ◀── Closed
//!                         └──(SYNs cross)──▶ SynReceived
//!        our FIN sent: FinWait1 ─▶ FinWait2 ─▶ TimeWait      FINs cross: Closing ─▶ TimeWait
//!        their FIN came: CloseWait ─▶ (our FIN sent) LastAck ─▶ Closed
//! ```
//!
//! Payload that is next in line is handed out where it lies in the caller's frame; only what came too
//! early is copied. Everything that must leave is remembered as owed and written by
//! [`Connection::poll_transmit`], so that any number of frames may be fed before one round of sending,
//! and one ACK answers them all.
//!
//! `input` judges segments, `acks` what they acknowledge, `output` writes, `timers` waits.

mod acks;
mod input;
mod output;
mod timers;

use crate::assembly::Assembly;
use crate::board::Board;
use crate::config::Config;
use crate::congestion::Congestion;
use crate::counters::Counters;
use crate::rack::Rack;
use crate::ring::Ring;
use crate::rtt::Rtt;
use crate::seq::Seq;
use crate::wire::tcp::{Block, Options, TIMESTAMPS_LEN};
use core::net::{Ipv4Addr, SocketAddrV4};
use timers::{NEVER, Timers};

/// Smallest segment size a peer is believed to have; less would be all header.
const PEER_MSS_MIN: u16 = 88;
/// Segment size of a peer that names none (RFC 9293, 3.7.1).
const PEER_MSS_DEFAULT: u16 = 536;

/// Where a connection stands (RFC 9293, 3.3.2). LISTEN belongs to the [`crate::Stack`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not open: before the first use or after the end.
    Closed,
    /// Our SYN is out.
    SynSent,
    /// Both SYNs are, ours is not yet acknowledged.
    SynReceived,
    /// Data flows both ways.
    Established,
    /// Our FIN is out.
    FinWait1,
    /// Our FIN is acknowledged; the peer may go on sending.
    FinWait2,
    /// The peer's FIN came; we may go on sending.
    CloseWait,
    /// Both FINs are out, ours is not yet acknowledged.
    Closing,
    /// The peer's FIN came first, ours is out.
    LastAck,
    /// All is done; a repeated FIN is still answered.
    TimeWait,
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both sides closed; everything arrived.
    Closed,
    /// The peer's host has nobody listening there.
    Refused,
    /// The peer reset the connection.
    Reset,
    /// No answer for too long.
    TimedOut,
    /// We aborted it.
    Aborted,
}

/// What happened on a connection since it was last asked; a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Events(u8);

impl Events {
    /// The handshake is done.
    pub const CONNECTED: Self = Self(1);
    /// [`Connection::readable`] has octets.
    pub const READABLE: Self = Self(2);
    /// The peer will send no more; all it sent is readable or read.
    pub const PEER_CLOSED: Self = Self(4);
    /// There is room again after [`Connection::send`] took less than it was given.
    pub const WRITABLE: Self = Self(8);
    /// The connection is over, see [`Connection::end`].
    pub const ENDED: Self = Self(16);

    pub(crate) const NONE: Self = Self(0);

    /// All of `other` are in the set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Nothing happened.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Who talks to whom, and the numbers to begin with (from [`crate::Secret`]).
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// Our end.
    pub local: SocketAddrV4,
    /// The peer's end.
    pub remote: SocketAddrV4,
    /// Initial sequence number (RFC 6528).
    pub initial_seq: Seq,
    /// Added to the clock in timestamps (RFC 7323, 5.4).
    pub timestamp_offset: u32,
}

/// A reset to be sent.
#[derive(Debug, Clone, Copy)]
struct Reset {
    seq: Seq,
    ack: Option<Seq>,
}

/// What is to be written at the next chance.
#[derive(Debug, Clone, Copy, Default)]
struct Owed {
    ack: bool,
    syn: bool,
    /// A question: into a closed window, or into silence.
    probe: bool,
    tail: bool,
    /// The first lost segment leaves whatever the congestion window says.
    again: bool,
    reset: Option<Reset>,
}

/// The send side's numbers.
#[derive(Debug, Clone, Copy)]
struct Send {
    iss: Seq,
    /// First octet not acknowledged.
    una: Seq,
    /// Next octet to be sent for the first time.
    nxt: Seq,
    /// End of what the application wrote.
    written: Seq,
    /// The peer's window from `una`, octets.
    window: u32,
    window_max: u32,
    /// Sequence and acknowledgement of the segment the window came with.
    wl1: Seq,
    wl2: Seq,
    /// Shift of the peer's window field.
    shift: u8,
    /// Largest segment, options included.
    mss: u16,
    /// The application will write no more.
    is_closing: bool,
    is_fin_sent: bool,
    is_blocked: bool,
    /// Highest octet ever sent twice.
    again_end: Seq,
    last_at: u64,
    dup_acks: u32,
    /// A tail loss probe is out: up to where, and whether it was a repetition.
    tail: Option<(Seq, bool)>,
}

/// The receive side's numbers.
#[derive(Debug, Clone, Copy)]
struct Receive {
    irs: Seq,
    nxt: Seq,
    /// First octet the application has not had.
    read: Seq,
    /// Right edge of the window as advertised.
    edge: Seq,
    /// Acknowledged last.
    acked: Seq,
    /// Shift of our window field.
    shift: u8,
    is_holding: bool,
    fin_at: Option<Seq>,
    is_fin_received: bool,
    dsack: Option<Block>,
    stamp_recent: u32,
    stamp_recent_at: u64,
}

/// One TCP connection, reusable: after its end it may be opened anew without allocating.
pub struct Connection {
    config: Config,
    opening: Opening,
    state: State,
    end: Option<End>,
    events: Events,
    now: u64,
    send: Send,
    receive: Receive,
    owed: Owed,
    timers: Timers,
    rtt: Rtt,
    rack: Rack,
    congestion: Congestion,
    board: Board,
    ring: Ring,
    assembly: Assembly,
    has_sack: bool,
    has_stamps: bool,
    counters: Counters,
}

impl core::fmt::Debug for Connection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connection")
            .field("opening", &self.opening)
            .field("state", &self.state)
            .field("end", &self.end)
            .field("now", &self.now)
            .field("send", &self.send)
            .field("receive", &self.receive)
            .field("owed", &self.owed)
            .field("timers", &self.timers)
            .field("congestion", &self.congestion)
            .field("segments", &self.board.len())
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// A closed connection with its buffers. `config` must have passed [`Config::check`].
    ///
    /// Cost: the only allocations of its life, both buffers and some 50 KiB of records.
    pub fn new(config: &Config) -> Self {
        let zero = Seq(0);
        let nowhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        let split_min = usize::from(Config::MSS_MIN) - TIMESTAMPS_LEN;
        Self {
            config: *config,
            opening: Opening {
                local: nowhere,
                remote: nowhere,
                initial_seq: zero,
                timestamp_offset: 0,
            },
            state: State::Closed,
            end: None,
            events: Events::default(),
            now: 0,
            send: Send {
                iss: zero,
                una: zero,
                nxt: zero,
                written: zero,
                window: 0,
                window_max: 0,
                wl1: zero,
                wl2: zero,
                shift: 0,
                mss: config.mtu.saturating_sub(40),
                is_closing: false,
                is_fin_sent: false,
                is_blocked: false,
                again_end: zero,
                last_at: 0,
                dup_acks: 0,
                tail: None,
            },
            receive: Receive {
                irs: zero,
                nxt: zero,
                read: zero,
                edge: zero,
                acked: zero,
                shift: 0,
                is_holding: false,
                fin_at: None,
                is_fin_received: false,
                dsack: None,
                stamp_recent: 0,
                stamp_recent_at: 0,
            },
            owed: Owed::default(),
            timers: Timers::default(),
            rtt: Rtt::new(config),
            rack: Rack::new(zero),
            congestion: Congestion::new(0, 0, 0),
            board: Board::new(config.segments_max, config.send_buffer, split_min),
            ring: Ring::new(config.send_buffer),
            assembly: Assembly::new(config.receive_buffer),
            has_sack: false,
            has_stamps: false,
            counters: Counters::default(),
        }
    }

    /// Opens actively: the SYN leaves with the next [`Connection::poll_transmit`].
    ///
    /// Whatever the connection was before is forgotten; its counters begin at 0.
    pub fn connect(&mut self, opening: Opening, now: u64) {
        self.reopen(opening, now);
        self.state = State::SynSent;
    }

    /// Opens passively, answering the peer's SYN, whose header this is.
    pub fn accept(&mut self, opening: Opening, syn: &crate::wire::tcp::TcpHeader, now: u64) {
        self.reopen(opening, now);
        self.state = State::SynReceived;
        self.counters.segments_in = 1;
        self.on_peer_syn(syn);
    }

    /// Writes octets to be sent; returns how many fitted, 0 before the handshake is done or after
    /// [`Connection::close`].
    ///
    /// Cost: one copy. After a short write [`Events::WRITABLE`] tells when half the buffer is free.
    pub fn send(&mut self, bytes: &[u8]) -> usize {
        let may = matches!(self.state, State::Established | State::CloseWait);
        if !may || self.send.is_closing {
            return 0;
        }
        let free = self.send_room();
        let taken = bytes.len().min(free);
        if free == self.ring.size() {
            self.ring.begin_at(self.send.written);
        }
        self.ring
            .write(self.send.written, bytes.get(..taken).unwrap_or_default());
        self.send.written = self.send.written.plus(taken as u32);
        self.send.is_blocked |= taken < bytes.len();
        taken
    }

    /// Says that no more will be written: a FIN follows the last octet. Receiving goes on.
    pub fn close(&mut self) {
        match self.state {
            State::SynSent => self.finish(End::Aborted),
            State::Closed => {}
            _ => self.send.is_closing = true,
        }
    }

    /// Ends the connection at once; the peer is told by a reset, unsent octets are dropped.
    pub fn abort(&mut self) {
        let is_known = !matches!(self.state, State::Closed | State::SynSent | State::TimeWait);
        if is_known {
            self.owed.reset = Some(Reset {
                seq: self.send.nxt,
                ack: Some(self.receive.nxt),
            });
        }
        if self.state != State::Closed {
            self.finish(End::Aborted);
        }
    }

    /// Received octets that could not be handed out in place, contiguous and in order, mutable so
    /// that a layer above may open them where they lie. Empty = none. There may be more behind:
    /// call again after [`Connection::consume`].
    pub fn readable(&mut self) -> &mut [u8] {
        let count = self.readable_len();
        self.assembly.slice_mut(self.receive.read, count as u32)
    }

    /// Octets that [`Connection::readable`] can give, over all its pieces.
    pub fn readable_len(&self) -> usize {
        let end = self.data_end();
        end.since(self.receive.read) as usize
    }

    /// The first `count` readable octets are done with; the window opens by as many.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.readable_len());
        self.receive.read = self.receive.read.plus(count as u32);
        // Only an opening worth a segment is told of (RFC 9293, 3.8.6.2.2).
        let opened = self.window_wanted().since(self.receive.edge) as usize;
        let is_receiving = matches!(
            self.state,
            State::Established | State::FinWait1 | State::FinWait2
        );
        if is_receiving && opened >= self.window_step() {
            self.owed.ack = true;
        }
    }

    /// Keeps received octets in the buffer instead of handing them out in place, so that the window
    /// closes as they gather; or ends that.
    pub fn hold(&mut self, is_holding: bool) {
        self.receive.is_holding = is_holding;
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Events {
        core::mem::take(&mut self.events)
    }

    /// When [`Connection::poll_transmit`] next has work although nothing came in, nanoseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        let at = self.timers.next();
        (at != NEVER).then_some(at)
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why it is over; `None` while it is not.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Both ends.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Octets [`Connection::send`] would take now.
    pub fn send_room(&self) -> usize {
        self.ring.size().saturating_sub(self.unacked())
    }

    /// Octets written and not yet acknowledged.
    pub fn unacked(&self) -> usize {
        let first = self.send.iss.plus(1);
        self.send.written.since(self.send.una.later(first)) as usize
    }

    /// Smoothed round trip, nanoseconds; `None` before the first sample.
    pub fn round_trip_ns(&self) -> Option<u64> {
        self.rtt.smoothed()
    }

    /// Retransmission time-out as it stands, nanoseconds.
    pub fn timeout_ns(&self) -> u64 {
        self.rtt.rto()
    }

    /// Congestion window, octets.
    pub fn congestion_window(&self) -> u32 {
        self.congestion.window()
    }

    /// Largest segment, options included, octets.
    pub fn segment_max(&self) -> u16 {
        self.send.mss
    }

    /// Counts since it was opened.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn reopen(&mut self, opening: Opening, now: u64) {
        let iss = opening.initial_seq;
        let first = iss.plus(1);
        self.opening = opening;
        self.now = self.now.max(now);
        self.end = None;
        self.events = Events::default();
        self.counters = Counters::default();
        self.owed = Owed {
            syn: true,
            ..Owed::default()
        };
        self.timers = Timers {
            progress: self.now,
            ..Timers::default()
        };
        self.rtt = Rtt::new(&self.config);
        self.rack = Rack::new(first);
        self.board.clear();
        self.assembly.clear();
        (self.has_sack, self.has_stamps) = (false, false);
        self.send = Send {
            iss,
            una: iss,
            nxt: iss,
            written: first,
            window: 0,
            window_max: 0,
            wl1: Seq(0),
            wl2: Seq(0),
            shift: 0,
            mss: self.config.mtu.saturating_sub(40),
            is_closing: false,
            is_fin_sent: false,
            is_blocked: false,
            again_end: first,
            last_at: self.now,
            dup_acks: 0,
            tail: None,
        };
        self.receive.is_holding = false;
    }

    /// Takes sequence number, window and options of the peer's SYN.
    fn on_peer_syn(&mut self, syn: &crate::wire::tcp::TcpHeader) {
        self.negotiate(&syn.options);
        self.send.window = u32::from(syn.window);
        self.send.window_max = self.send.window;
        (self.send.wl1, self.send.wl2) = (syn.seq, self.send.iss);
        let next = syn.seq.plus(1);
        let first_window = self.assembly.size().min(usize::from(u16::MAX)) as u32;
        self.receive = Receive {
            irs: syn.seq,
            nxt: next,
            read: next,
            edge: next.plus(first_window),
            acked: next,
            shift: self.receive.shift,
            is_holding: self.receive.is_holding,
            fin_at: None,
            is_fin_received: false,
            dsack: None,
            stamp_recent: syn.options.timestamps.map_or(0, |(value, _)| value),
            stamp_recent_at: self.now,
        };
    }

    fn negotiate(&mut self, theirs: &Options) {
        self.has_sack = self.config.sack && theirs.is_sack_permitted;
        self.has_stamps = self.config.timestamps && theirs.timestamps.is_some();
        // Both scale or neither (RFC 7323, 2.2).
        let scale = theirs.window_scale.filter(|_| self.config.window_scaling);
        self.send.shift = scale.unwrap_or(0);
        self.receive.shift = scale.map_or(0, |_| self.config.window_shift());
        let peer_mss = theirs.mss.unwrap_or(PEER_MSS_DEFAULT).max(PEER_MSS_MIN);
        self.send.mss = peer_mss.min(self.send.mss);
        let ceiling = (self.ring.size() as u32).saturating_mul(2);
        self.congestion = Congestion::new(
            self.payload_max() as u32,
            self.config.initial_window,
            ceiling,
        );
    }

    /// The connection is over.
    fn finish(&mut self, end: End) {
        self.state = State::Closed;
        self.end = Some(end);
        self.events.add(Events::ENDED);
        self.timers = Timers::default();
        self.owed = Owed {
            // A reset still leaves.
            reset: self.owed.reset,
            ..Owed::default()
        };
        self.board.clear();
        self.assembly.clear();
    }

    fn tick(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    /// End of the payload received in order, its FIN not counted.
    fn data_end(&self) -> Seq {
        let fin = u32::from(self.receive.is_fin_received);
        self.receive.nxt.minus(fin)
    }

    /// Largest payload of a segment.
    fn payload_max(&self) -> usize {
        let stamps = if self.has_stamps { TIMESTAMPS_LEN } else { 0 };
        usize::from(self.send.mss).saturating_sub(stamps)
    }

    fn outstanding(&self) -> u32 {
        self.send.nxt.since(self.send.una)
    }

    /// The millisecond clock of our timestamps at `at`.
    fn stamp(&self, at: u64) -> u32 {
        let ms = (at / 1_000_000) as u32;
        ms.wrapping_add(self.opening.timestamp_offset)
    }
}
