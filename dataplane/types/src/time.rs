//! Four clocks that must never be mixed, and [`Now`], the pair a lane reads once per duty cycle.
//!
//! Nothing here reads a clock; `transport::clock` does, and hands `Now` down.

/// Cycles of the time stamp counter. Only comparable inside one host, between lanes of one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Tsc(pub u64);

/// Nanoseconds since 1970-01-01T00:00:00Z on our own clock: the form on disk and on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct UnixNanos(pub u64);

/// Nanoseconds since 1970 as a venue stamped them; its clock, not ours. 0 = the venue gave none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct VenueNanos(pub u64);

/// Nanoseconds since 1970 as the network card stamped a frame. 0 = no hardware stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct NicNanos(pub u64);

/// One reading of the lane's clock, taken at the start of a duty cycle and passed to every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// The counter, for latencies.
    pub tsc: Tsc,
    /// Wall time of the same instant, for records, signatures and deadlines.
    pub unix: UnixNanos,
}

impl UnixNanos {
    /// From whole milliseconds; saturates far in the future.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// Whole milliseconds, rounded down.
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Later by `nanos`, saturating.
    pub const fn after(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Nanoseconds since `earlier`, 0 when it is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl VenueNanos {
    /// From the venue's milliseconds; saturates.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }
}

impl Tsc {
    /// Cycles since `earlier`, 0 when it is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
