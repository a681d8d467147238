//! The only reader of clocks in the dataplane.
//!
//! A lane reads the TSC (12 ns here) and turns it into wall time by one multiplication against an
//! anchor; the anchor is renewed from the kernel's clock once in a while by [`Clock::resync`]. Wall
//! time handed out never goes backwards.

use dp_types::{Now, Tsc, UnixNanos};
use nix::time::{ClockId, clock_gettime};

/// The time stamp counter, now.
#[inline]
pub fn tsc() -> Tsc {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: RDTSC exists on every x86-64 and reads a register; the kernel does not set CR4.TSD.
        Tsc(unsafe { core::arch::x86_64::_rdtsc() })
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        Tsc(clock_ns(ClockId::CLOCK_MONOTONIC))
    }
}

/// Wall time straight from the kernel; for cold paths.
pub fn unix_now() -> UnixNanos {
    UnixNanos(clock_ns(ClockId::CLOCK_REALTIME))
}

fn clock_ns(id: ClockId) -> u64 {
    clock_gettime(id).map_or(0, |spec| {
        (spec.tv_sec() as u64)
            .saturating_mul(1_000_000_000)
            .saturating_add(spec.tv_nsec() as u64)
    })
}

/// Frequency and anchor of the counter. Each lane has its own copy.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    hz: u64,
    /// Nanoseconds per cycle, 32.32 fixed point.
    ns_per_cycle: u64,
    anchor_tsc: u64,
    anchor_unix: u64,
}

impl Clock {
    /// Measures the counter against CLOCK_MONOTONIC_RAW over `window_ms` milliseconds (blocks that long).
    pub fn calibrate(window_ms: u64) -> Self {
        let read = || (tsc().0, clock_ns(ClockId::CLOCK_MONOTONIC_RAW));
        let (tsc_start, raw_start) = read();
        std::thread::sleep(core::time::Duration::from_millis(window_ms.max(1)));
        let (tsc_end, raw_end) = read();
        let cycles = u128::from(tsc_end.saturating_sub(tsc_start).max(1));
        let nanos = u128::from(raw_end.saturating_sub(raw_start).max(1));
        let hz = (cycles * 1_000_000_000 / nanos) as u64;
        let ns_per_cycle = ((nanos << 32) / cycles) as u64;
        let mut clock = Self {
            hz,
            ns_per_cycle,
            anchor_tsc: 0,
            anchor_unix: 0,
        };
        (clock.anchor_tsc, clock.anchor_unix) = anchor();
        clock
    }

    /// Counter cycles a second.
    pub const fn tsc_hz(&self) -> u64 {
        self.hz
    }

    /// Both clocks of one instant. Cost: one RDTSC and one multiplication.
    #[inline]
    pub fn now(&self) -> Now {
        let tsc = tsc();
        Now {
            tsc,
            unix: self.unix_of(tsc),
        }
    }

    /// Wall time of a counter reading.
    #[inline]
    pub const fn unix_of(&self, tsc: Tsc) -> UnixNanos {
        UnixNanos(
            self.anchor_unix
                .saturating_add(self.cycles_to_ns(tsc.0.saturating_sub(self.anchor_tsc))),
        )
    }

    /// Nanoseconds of a number of cycles.
    #[inline]
    pub const fn cycles_to_ns(&self, cycles: u64) -> u64 {
        ((cycles as u128 * self.ns_per_cycle as u128) >> 32) as u64
    }

    /// Takes a new anchor from the kernel's clock. Time handed out stays monotonic: when the kernel's
    /// clock is behind ours (it was stepped back), ours stands still until it has caught up.
    pub fn resync(&mut self) {
        let (tsc, unix) = anchor();
        let ours = self.unix_of(Tsc(tsc)).0;
        self.anchor_tsc = tsc;
        self.anchor_unix = if unix >= ours { unix } else { ours };
    }
}

/// A counter reading and the wall time of the same instant: the tightest of a few tries.
fn anchor() -> (u64, u64) {
    let tries = (0..8).map(|_| {
        let before = tsc().0;
        let unix = clock_ns(ClockId::CLOCK_REALTIME);
        let after = tsc().0;
        (after.saturating_sub(before), before / 2 + after / 2, unix)
    });
    tries.min().map_or((0, 0), |(_, tsc, unix)| (tsc, unix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_agrees_with_the_kernel_and_never_goes_back() {
        let mut clock = Clock::calibrate(20);
        let mut last = UnixNanos(0);
        for _ in 0..1_000 {
            let now = clock.now().unix;
            assert!(now >= last);
            last = now;
        }
        clock.resync();
        assert!(clock.now().unix >= last);
        let (ours, kernel) = (clock.now().unix.0, unix_now().0);
        assert!(kernel.abs_diff(ours) < 50_000_000, "{ours} {kernel}");
    }

    #[test]
    fn a_clock_ahead_of_the_kernel_waits_instead_of_jumping_back() {
        let mut clock = Clock::calibrate(5);
        clock.anchor_unix += 10_000_000_000;
        let before = clock.now().unix;
        clock.resync();
        assert!(clock.now().unix >= before);
    }

    #[test]
    fn cycles_become_nanoseconds() {
        let clock = Clock::calibrate(20);
        let second = clock.cycles_to_ns(clock.tsc_hz());
        assert!(second.abs_diff(1_000_000_000) < 1_000, "{second}");
    }
}
