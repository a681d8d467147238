//! Bytes waiting to be sent on one socket: a ring in the lane's arena. Bytes the kernel is reading stay
//! where they are until it has answered; new ones are written behind them.
//!
//! ```text
//!   0        head         tail       TX_BYTES_MAX
//!   |  free   | in kernel … waiting |  free  |      both counters start over when all is sent
//! ```

use crate::TX_BYTES_MAX;
use core::ops::Range;

const _: () = assert!(TX_BYTES_MAX.is_power_of_two() && TX_BYTES_MAX <= u32::MAX as usize);

/// Positions of one socket's ring. The memory is the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TxRing {
    /// Bytes the kernel has taken.
    head: usize,
    /// Bytes the lane has given.
    tail: usize,
}

impl TxRing {
    /// Nothing waits.
    pub const fn new() -> Self {
        Self { head: 0, tail: 0 }
    }

    /// Bytes not taken by the kernel yet.
    pub const fn len(&self) -> usize {
        self.tail - self.head
    }

    /// Bytes there is room for.
    pub const fn room(&self) -> usize {
        TX_BYTES_MAX - self.len()
    }

    /// Whether all is sent.
    pub const fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// Takes `len` more bytes: the two places they go to, the second empty unless the ring's end is
    /// between. `None` when there is no room for all.
    pub const fn push(&mut self, len: usize) -> Option<(Range<usize>, Range<usize>)> {
        if len > self.room() {
            return None;
        }
        let at = self.tail % TX_BYTES_MAX;
        let to_end = TX_BYTES_MAX - at;
        let first = if len < to_end { len } else { to_end };
        self.tail += len;
        Some((at..at + first, 0..len - first))
    }

    /// The longest piece that can be sent at once.
    pub const fn front(&self) -> Range<usize> {
        let at = self.head % TX_BYTES_MAX;
        let to_end = TX_BYTES_MAX - at;
        let len = self.len();
        at..at + if len < to_end { len } else { to_end }
    }

    /// The kernel has taken `len` bytes of the front.
    pub const fn pop(&mut self, len: usize) {
        let held = self.len();
        self.head += if len < held { len } else { held };
        if self.is_empty() {
            // The next message goes to warm memory, in one piece.
            *self = Self::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn it_is_a_bounded_queue_of_bytes(steps in prop::collection::vec((0usize..400_000, any::<bool>()), 1..60)) {
            let (mut ring, mut memory) = (TxRing::new(), vec![0u8; TX_BYTES_MAX]);
            let (mut model, mut next) = (VecDeque::new(), 0u8);
            for (len, is_push) in steps {
                if is_push {
                    let is_room = model.len() + len <= TX_BYTES_MAX;
                    let Some((first, second)) = ring.push(len) else {
                        prop_assert!(!is_room);
                        continue;
                    };
                    prop_assert!(is_room && first.len() + second.len() == len);
                    for at in first.chain(second) {
                        next = next.wrapping_add(1).wrapping_mul(31);
                        memory[at] = next;
                        model.push_back(next);
                    }
                } else {
                    let front = ring.front();
                    prop_assert_eq!(front.is_empty(), model.is_empty());
                    let taken = len.min(front.len());
                    for byte in &memory[front][..taken] {
                        prop_assert_eq!(Some(*byte), model.pop_front());
                    }
                    ring.pop(taken);
                }
                prop_assert_eq!(ring.len(), model.len());
            }
        }
    }
}
