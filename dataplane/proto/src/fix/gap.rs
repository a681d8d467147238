//! What a ResendRequest is answered with.

use std::collections::VecDeque;

/// Messages kept to be sent again.
const KEPT_MAX: usize = 16 << 10;

/// What a ResendRequest is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// One gap fill: nothing is ever sent twice.
    GapFill,
    /// The application messages again, as possible duplicates; gap fills between.
    Replay,
}

/// An application message that was sent.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) seq: u64,
    pub(super) time_ns: u64,
    pub(super) kind: Vec<u8>,
    /// Its fields behind the header, each with its SOH.
    pub(super) fields: Vec<u8>,
}

/// What was sent, newest last, oldest forgotten.
#[derive(Debug, Default)]
pub(super) struct Sent(VecDeque<Kept>);

impl Sent {
    pub(super) fn keep(&mut self, kept: Kept) {
        if self.0.len() >= KEPT_MAX {
            self.0.pop_front();
        }
        self.0.push_back(kept);
    }

    /// The first kept message of `from..=to`.
    pub(super) fn first(&self, from: u64, to: u64) -> Option<&Kept> {
        let at = self.0.partition_point(|kept| kept.seq < from);
        self.0.get(at).filter(|kept| kept.seq <= to)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
