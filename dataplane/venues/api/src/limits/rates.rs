//! A venue's limits on order requests, asked without its session.
//!
//! On paper nothing is sent, so no session holds anything back; yet what a live session would hold back must not be
//! filled on paper. Each venue's `Limits` answers for itself: the numbers, pools and reserves are the session's own.
//! What lists, books and questions take of a shared pool is not asked for here.

use dp_types::{InstrumentId, UnixNanos};

/// A request about orders of one instrument. An order's age is what has passed since it was placed or last amended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderAsk<'a> {
    /// So many new orders in one request, from 1.
    New(u32),
    /// An amend of an order of this age, nanoseconds.
    Amend(u64),
    /// A cancel of an order of this age, nanoseconds.
    Cancel(u64),
    /// The end of all orders of the instrument: the age of each live one, nanoseconds.
    CancelAll(&'a [u64]),
}

/// Limits a venue's session sends by.
pub trait Rates: core::fmt::Debug + Send {
    /// Most new orders one request may carry. Where only REST takes several, 1: there each is counted by itself.
    fn batch_max(&self) -> usize {
        1
    }

    /// Takes room for a request. False: the session would refuse it ([`crate::EntryError::RateLimited`]).
    fn take(&mut self, now: UnixNanos, instrument: InstrumentId, ask: OrderAsk<'_>) -> bool;
}
