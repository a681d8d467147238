//! The channels of a feed: each in its order, what is missing asked for, what is lost said.
//!
//! ```text
//! datagram ─▶ Sequence ─▶ its turn ─▶ Packets::deliver, then what was held behind it
//!                │ hole, half a millisecond old ─▶ Missing: ask for it, if there is whom to ask
//!                └ hole, ten milliseconds old   ─▶ Packets::lost: the books of this channel start anew
//! ```
//! One for both feeds; what a packet says is the feed's own.

use super::sequence::{Counts, DATAGRAM_MAX, Due, Place, Sequence};
use dp_types::UnixNanos;
use dp_venue_api::{DecodeError, Registry, Sink};

/// Channels of one feed: the classic one has some twenty, their snapshots as many again.
pub const CHANNELS_MAX: usize = 64;

/// Packets that did not come by any line: what a recovery service would be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// Whose.
    pub channel: u32,
    /// The first number.
    pub first: u64,
    /// How many numbers.
    pub count: u64,
}

/// Where a packet belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stand {
    pub(super) channel: u32,
    pub(super) first: u64,
    pub(super) count: u32,
}

/// A packet whose turn it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) stand: Stand,
    /// So many of its messages were told before.
    pub(super) skip: u32,
    /// It waited behind a hole: it is not new.
    pub(super) was_held: bool,
}

/// What reads a feed's packets once they are in order.
pub(super) trait Packets {
    /// What is kept for a channel.
    type State: Default;

    /// A packet whose turn it is. Errors: it cannot be read; what it would have said is lost.
    fn deliver(
        &mut self,
        state: &mut Self::State,
        turn: Turn,
        bytes: &[u8],
        registry: &mut Registry,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError>;

    /// A channel without anything new is known to stand here.
    fn alive(&mut self, channel: u32, next: u64) {
        let _ = (channel, next);
    }

    /// The channel has a hole.
    fn lost(&mut self, state: &mut Self::State, channel: u32, out: &mut impl Sink);

    /// Where a packet belongs, by its header alone.
    fn stand(bytes: &[u8], next: impl Fn(u32) -> Option<u64>) -> Result<Stand, DecodeError>;
}

#[derive(Debug)]
struct Channel<S> {
    id: u32,
    sequence: Sequence,
    state: S,
    /// Nothing has come for too long, and that was said.
    is_silent: bool,
}

/// All channels of a feed.
#[derive(Debug)]
pub(super) struct Channels<S> {
    all: Vec<Channel<S>>,
    /// How long a channel may be silent, where the venue gives signs of life.
    silence_ns: Option<u64>,
    scratch: Vec<u8>,
    /// Asked for by nobody yet; no more than there are channels.
    missing: Vec<Missing>,
    /// Packets that told nothing new, of all channels: copies, repeats, signs of life.
    pub(super) copies: u64,
    /// Holes that were filled before they were given up.
    pub(super) filled: u64,
}

impl<S: Default> Channels<S> {
    pub(super) fn new(silence_ns: Option<u64>) -> Self {
        Self {
            all: Vec::with_capacity(CHANNELS_MAX),
            silence_ns,
            scratch: Vec::with_capacity(DATAGRAM_MAX),
            missing: Vec::with_capacity(CHANNELS_MAX),
            copies: 0,
            filled: 0,
        }
    }

    /// A datagram, from whichever line.
    ///
    /// Errors: the first of what cannot be read; the rest goes on.
    pub(super) fn take<P: Packets<State = S>>(
        &mut self,
        packets: &mut P,
        bytes: &[u8],
        now: UnixNanos,
        registry: &mut Registry,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        if bytes.len() > DATAGRAM_MAX {
            return Err(DecodeError::TooMuch("datagram"));
        }
        let Self {
            all,
            scratch,
            copies,
            filled,
            ..
        } = self;
        let next = |id: u32| all.iter().find(|channel| channel.id == id)?.sequence.next();
        let stand = P::stand(bytes, next)?;
        let at = match all.iter().position(|channel| channel.id == stand.channel) {
            Some(at) => at,
            None if all.len() >= CHANNELS_MAX => return Err(DecodeError::TooMuch("channels")),
            None => {
                all.push(Channel {
                    id: stand.channel,
                    sequence: Sequence::default(),
                    state: S::default(),
                    is_silent: false,
                });
                all.len() - 1
            }
        };
        let Some(channel) = all.get_mut(at) else {
            return Ok(());
        };
        channel.is_silent = false;
        let has_hole = channel.sequence.deadline().is_some();
        let mut result = Ok(());
        loop {
            let place = channel.sequence.judge(stand.first, stand.count, bytes, now);
            match place {
                Place::Seen => {
                    *copies += 1;
                    if let Some(next) = channel.sequence.next() {
                        packets.alive(channel.id, next);
                    }
                    return result;
                }
                Place::Held => return result,
                Place::Broken => {
                    result = result.and(channel.give_up(packets, scratch, now, registry, out));
                }
                Place::Next { skip } => {
                    let turn = Turn {
                        stand,
                        skip,
                        was_held: false,
                    };
                    let told = channel.deliver(packets, turn, bytes, registry, out);
                    let rest = channel.drain(packets, scratch, now, registry, out);
                    *filled += u64::from(has_hole && channel.sequence.deadline().is_none());
                    return result.and(told).and(rest);
                }
            }
        }
    }

    /// Asks for what is due, and gives up what stayed missing.
    ///
    /// Errors: the first of what was held and cannot be read.
    pub(super) fn on_deadline<P: Packets<State = S>>(
        &mut self,
        packets: &mut P,
        now: UnixNanos,
        registry: &mut Registry,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let mut result = Ok(());
        for channel in &mut self.all {
            let silent_at = channel.silent_at(self.silence_ns);
            if silent_at.is_some_and(|at| at <= now) {
                channel.is_silent = true;
                packets.lost(&mut channel.state, channel.id, out);
            }
            match channel.sequence.due(now) {
                Due::Nothing => {}
                Due::Ask(hole) if self.missing.len() < CHANNELS_MAX => self.missing.push(Missing {
                    channel: channel.id,
                    first: hole.first,
                    count: hole.count,
                }),
                Due::Ask(_) => {}
                Due::GiveUp => {
                    let scratch = &mut self.scratch;
                    result = result.and(channel.give_up(packets, scratch, now, registry, out));
                }
            }
        }
        result
    }

    /// When anything is due.
    pub(super) fn next_deadline(&self) -> Option<UnixNanos> {
        let due = self.all.iter().flat_map(|channel| {
            let silent_at = channel.silent_at(self.silence_ns);
            channel.sequence.deadline().into_iter().chain(silent_at)
        });
        due.min()
    }

    /// One of the holes to be asked about.
    pub(super) fn missing(&mut self) -> Option<Missing> {
        self.missing.pop()
    }

    /// What the channels have seen, by number.
    pub(super) fn counts(&self) -> impl Iterator<Item = (u32, Counts)> {
        self.all
            .iter()
            .map(|channel| (channel.id, channel.sequence.counts()))
    }
}

impl<S> Channel<S> {
    /// When it will have been silent for too long.
    fn silent_at(&self, silence_ns: Option<u64>) -> Option<UnixNanos> {
        let heard = self.sequence.heard();
        (!self.is_silent).then(|| Some(heard.after(silence_ns?)))?
    }

    fn deliver<P: Packets<State = S>>(
        &mut self,
        packets: &mut P,
        turn: Turn,
        bytes: &[u8],
        registry: &mut Registry,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let result = packets.deliver(&mut self.state, turn, bytes, registry, out);
        if result.is_err() {
            packets.lost(&mut self.state, self.id, out);
        }
        result
    }

    fn drain<P: Packets<State = S>>(
        &mut self,
        packets: &mut P,
        scratch: &mut Vec<u8>,
        now: UnixNanos,
        registry: &mut Registry,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let mut result = Ok(());
        while let Some(skip) = self.sequence.take_held(now, scratch) {
            let next = self.sequence.next();
            let told = P::stand(scratch, |_| next).and_then(|stand| {
                let turn = Turn {
                    stand,
                    skip,
                    was_held: true,
                };
                self.deliver(packets, turn, scratch, registry, out)
            });
            result = result.and(told);
        }
        result
    }

    fn give_up<P: Packets<State = S>>(
        &mut self,
        packets: &mut P,
        scratch: &mut Vec<u8>,
        now: UnixNanos,
        registry: &mut Registry,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        packets.lost(&mut self.state, self.id, out);
        self.sequence.give_up(now);
        let mut result = self.drain(packets, scratch, now, registry, out);
        // The books start anew: later holes are not waited for, each for as long again.
        while self.sequence.deadline().is_some() {
            self.sequence.give_up(now);
            packets.lost(&mut self.state, self.id, out);
            result = result.and(self.drain(packets, scratch, now, registry, out));
        }
        result
    }
}
