//! What each request of the Unified WebSocket was about: a refusal comes back with its number alone.
//!
//! ```text
//!   number % LEN ─▶ [ number, kind ]        the latest LEN requests; older ones have been answered or never will
//! ```
//! Numbers count from 1 and stay far below 2^53, so that nobody's doubles bend them. An entry is not taken out by
//! its answer: a subscription of many symbols is answered once for each.

use dp_types::{ClientOrderId, InstrumentId};
use dp_venue_api::OrderBatch;

/// Requests that are remembered: the rate limit lets 50 a second through, and an answer takes no 100 s.
const LEN: usize = 8_192;
const _: () = assert!(LEN.is_power_of_two());

/// What a request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A new order.
    New(ClientOrderId, InstrumentId),
    /// A batch of new orders.
    News(OrderBatch),
    /// An amend.
    Amend(ClientOrderId),
    /// A cancel.
    Cancel(ClientOrderId),
    /// A batch of cancels.
    Batch,
    /// The dead man's switch.
    DeadMan,
    /// Subscribing to, or leaving, a channel of market data; the symbol is in the answer.
    Market,
    /// Leaving one book, to enter it anew.
    LeaveBook(InstrumentId),
    /// Entering one book anew.
    EnterBook(InstrumentId),
    /// The instruments.
    Instruments,
    /// A private channel.
    Private(Channel),
    /// Leaving a private channel, to enter it anew.
    LeavePrivate(Channel),
    /// A ping.
    Ping,
}

/// A private channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Orders and fills.
    Executions,
    /// Balances.
    Balances,
}

impl Channel {
    /// The venue's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Executions => "executions",
            Self::Balances => "balances",
        }
    }
}

/// The latest requests by their numbers.
#[derive(Debug)]
pub struct Requests {
    kinds: Box<[(u64, Kind)]>,
    last: u64,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            kinds: vec![(0, Kind::Ping); LEN].into_boxed_slice(),
            last: 0,
        }
    }
}

impl Requests {
    /// Notes a request that is about to be written; returns its number.
    pub fn add(&mut self, kind: Kind) -> u64 {
        self.last = self.last.wrapping_add(1).max(1);
        let number = self.last;
        if let Some(slot) = self.kinds.get_mut(number as usize & (LEN - 1)) {
            *slot = (number, kind);
        }
        number
    }

    /// What this number was about; `None` when it is not one of the latest.
    pub fn kind(&self, number: u64) -> Option<Kind> {
        let slot = self.kinds.get(number as usize & (LEN - 1))?;
        (slot.0 == number && number != 0).then_some(slot.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_requests_are_known_by_their_numbers() {
        let mut requests = Requests::default();
        assert_eq!((requests.kind(0), requests.kind(1)), (None, None));
        let first = requests.add(Kind::Batch);
        assert_eq!((first, requests.kind(first)), (1, Some(Kind::Batch)));
        for _ in 0..LEN {
            requests.add(Kind::DeadMan);
        }
        assert_eq!(requests.kind(first), None, "too long ago");
        assert_eq!(requests.kind(first + 1), Some(Kind::DeadMan));
        assert_eq!(requests.kind(u64::MAX), None);
    }
}
