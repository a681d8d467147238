//! When the kernel is to acknowledge what came: never between a tick and its order, and soon after.
//!
//! Left to itself it does so inside the receive that empties the socket, before that returns; asked to hold back
//! (TCP_QUICKACK 0) it still does at the second segment, and else after 40 ms, which a peer that gathers small
//! messages (Nagle) waits for before it sends the next. So what is held back leaves in the first turn that has
//! nothing else to do, unless an order took it along. On this loopback a tick costs 2.3 us less.

use crate::SOCKETS_MAX;
use crate::bits::bit;
use crate::socket::{acknowledge_late, acknowledge_now};
use dp_types::UnixNanos;
use std::os::fd::OwnedFd;

/// How often the kernel is asked to hold back: its timer (40 ms), where it had to run, ends that.
const LATE_NS: u64 = 20_000_000;
/// Turns without a quiet one after which an acknowledgement leaves all the same: some 50 us.
const BUSY_TURNS: u32 = 64;

/// What a transport's sockets owe.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    /// Heard, and neither spoken on nor acknowledged for since.
    owing: u64,
    busy: u32,
    late_at: UnixNanos,
}

impl Acks {
    /// Something came on a socket.
    #[inline]
    pub(crate) const fn heard(&mut self, at: usize) {
        self.owing |= bit(at);
    }

    /// Something left on it, or it is gone.
    #[inline]
    pub(crate) const fn settled(&mut self, at: usize) {
        self.owing &= !bit(at);
    }

    /// Once a turn, `is_quiet` when nothing came in it: at most one socket's word, or the reminder.
    #[inline]
    pub(crate) fn tend<'f>(
        &mut self,
        now: UnixNanos,
        is_quiet: bool,
        open: impl Fn(usize) -> Option<&'f OwnedFd>,
    ) {
        if self.owing != 0 {
            self.busy += 1;
            if is_quiet || self.busy >= BUSY_TURNS {
                self.busy = 0;
                let at = self.owing.trailing_zeros() as usize;
                self.owing &= !bit(at);
                open(at).into_iter().for_each(acknowledge_now);
            }
        } else if is_quiet && now >= self.late_at {
            self.late_at = now.after(LATE_NS);
            (0..SOCKETS_MAX).filter_map(open).for_each(acknowledge_late);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_leaves_in_a_quiet_turn_or_after_many() {
        let mut acks = Acks::default();
        acks.heard(3);
        acks.settled(3);
        assert_eq!(acks.owing, 0, "an order took it along");
        acks.heard(3);
        acks.heard(5);
        acks.tend(UnixNanos(1), false, |_| None);
        assert_eq!(acks.owing, bit(3) | bit(5), "there are ticks to answer");
        acks.tend(UnixNanos(1), true, |_| None);
        assert_eq!(acks.owing, bit(5));
        for _ in 1..BUSY_TURNS {
            acks.tend(UnixNanos(1), false, |_| None);
            assert_eq!(acks.owing, bit(5));
        }
        acks.tend(UnixNanos(1), false, |_| None);
        assert_eq!(acks.owing, 0, "a peer may wait for it");
    }
}
