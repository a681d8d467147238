//! The only reader of clocks in the dataplane.
//!
//! A lane reads the TSC (12 ns here) and turns it into wall time by one multiplication against an
//! anchor; the anchor is renewed from the kernel's clock about every 100 ms by [`Clock::resync`]. Wall
//! time handed out never goes backwards: behind the kernel it jumps, ahead it runs slower for a while.
//!
//! ```text
//!   wall │        ╭─ ours, slewed        anchors ●
//!        │     ●──╯ ╱ kernel
//!        │   ╱    ●
//!        └──────────────▶ TSC
//! ```

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

/// Being ahead of the kernel is worked off over this many nanoseconds, at half speed at most.
const SLEW_NS: u64 = 125_000_000;

/// Frequency and anchor of the counter. Each lane has its own copy.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    hz: u64,
    /// Nanoseconds per cycle, 32.32 fixed point.
    ns_per_cycle: u64,
    /// The same for wall time: less while it is ahead of the kernel's.
    wall_per_cycle: u64,
    anchor_tsc: u64,
    anchor_unix: u64,
}

impl Clock {
    /// Measures the counter against CLOCK_MONOTONIC_RAW over `window_ms` milliseconds (blocks that long).
    pub fn calibrate(window_ms: u64) -> Self {
        let (tsc_start, raw_start) = pair(ClockId::CLOCK_MONOTONIC_RAW);
        std::thread::sleep(core::time::Duration::from_millis(window_ms.max(1)));
        let (tsc_end, raw_end) = pair(ClockId::CLOCK_MONOTONIC_RAW);
        let cycles = tsc_end.saturating_sub(tsc_start).max(1);
        let nanos = raw_end.saturating_sub(raw_start).max(1);
        let (anchor_tsc, anchor_unix) = pair(ClockId::CLOCK_REALTIME);
        Self::new(cycles, nanos, anchor_tsc, anchor_unix)
    }

    /// A counter that did `cycles` in `nanos` and stood at `anchor_tsc` at `anchor_unix`.
    const fn new(cycles: u64, nanos: u64, anchor_tsc: u64, anchor_unix: u64) -> Self {
        let ns_per_cycle = (((nanos as u128) << 32) / cycles as u128) as u64;
        Self {
            hz: (cycles as u128 * 1_000_000_000 / nanos as u128) as u64,
            ns_per_cycle,
            wall_per_cycle: ns_per_cycle,
            anchor_tsc,
            anchor_unix,
        }
    }

    /// A clock whose wall time stands still: simulation moves it by [`Clock::stand_at`].
    pub const fn standing(unix: UnixNanos) -> Self {
        let mut clock = Self::new(1_000_000_000, 1_000_000_000, 0, unix.0);
        clock.wall_per_cycle = 0;
        clock
    }

    /// Moves a clock that stands still; any other one goes on from there until its next anchor.
    pub const fn stand_at(&mut self, unix: UnixNanos) {
        self.anchor_unix = unix.0;
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

    /// Wall time of a counter reading; the anchor's for readings before it.
    #[inline]
    pub const fn unix_of(&self, tsc: Tsc) -> UnixNanos {
        let cycles = tsc.0.saturating_sub(self.anchor_tsc);
        UnixNanos(
            self.anchor_unix
                .saturating_add(scale(cycles, self.wall_per_cycle)),
        )
    }

    /// Nanoseconds of a number of cycles.
    #[inline]
    pub const fn cycles_to_ns(&self, cycles: u64) -> u64 {
        scale(cycles, self.ns_per_cycle)
    }

    /// Takes a new anchor from the kernel's clock. Cost: half a microsecond; call it about every
    /// 100 ms, off the hot path.
    pub fn resync(&mut self) {
        if self.wall_per_cycle == 0 {
            return;
        }
        let (tsc, unix) = pair(ClockId::CLOCK_REALTIME);
        self.anchor(tsc, unix);
    }

    /// The kernel's clock said `unix` when the counter stood at `tsc`.
    ///
    /// Only ever forward: when ours is ahead (the counter was measured a little fast, or the kernel's
    /// clock was stepped back) the lead is worked off by running slower, never by stepping back.
    fn anchor(&mut self, tsc: u64, unix: u64) {
        let ours = self.unix_of(Tsc(tsc)).0;
        let lead = ours.saturating_sub(unix).min(SLEW_NS / 2);
        let less = u128::from(self.ns_per_cycle) * u128::from(lead) / u128::from(SLEW_NS);
        self.wall_per_cycle = self.ns_per_cycle - less as u64;
        self.anchor_tsc = tsc;
        self.anchor_unix = ours.max(unix);
    }
}

/// Time that moves only when told, for tests and simulation. One cycle is one nanosecond.
#[derive(Debug, Clone, Copy)]
pub struct VirtualClock {
    start: UnixNanos,
    elapsed_ns: u64,
}

impl VirtualClock {
    /// Stands at `start`; its counter at 0.
    pub const fn new(start: UnixNanos) -> Self {
        Self {
            start,
            elapsed_ns: 0,
        }
    }

    /// Lets `nanos` pass.
    pub const fn advance(&mut self, nanos: u64) {
        self.elapsed_ns = self.elapsed_ns.saturating_add(nanos);
    }

    /// Both clocks of this instant.
    pub const fn now(&self) -> Now {
        Now {
            tsc: Tsc(self.elapsed_ns),
            unix: self.start.after(self.elapsed_ns),
        }
    }
}

/// `cycles` times a 32.32 factor.
const fn scale(cycles: u64, factor: u64) -> u64 {
    ((cycles as u128 * factor as u128) >> 32) as u64
}

/// A counter reading and a kernel clock of the same instant: the tightest of a few tries.
fn pair(id: ClockId) -> (u64, u64) {
    let tries = (0..8).map(|_| {
        let before = tsc().0;
        let nanos = clock_ns(id);
        let after = tsc().0;
        (after.saturating_sub(before), before / 2 + after / 2, nanos)
    });
    tries.min().map_or((0, 0), |(_, tsc, nanos)| (tsc, nanos))
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

    const STEP_NS: u64 = 100_000_000;

    /// A counter of 1 GHz measured as if it did `cycles_measured` in a second, beside a kernel clock
    /// that steps by `step_ns` at the tenth second. Returns how far ours is ahead after each 100 ms.
    fn leads(cycles_measured: u64, step_ns: i64) -> Vec<i64> {
        let mut clock = Clock::new(cycles_measured, 1_000_000_000, 0, 1 << 60);
        let mut last = UnixNanos(0);
        let each = (1..=300).map(|turn| {
            let tsc = turn * STEP_NS;
            let ours = clock.unix_of(Tsc(tsc));
            assert!(ours >= last, "went back");
            let offset = if turn >= 100 { step_ns } else { 0 };
            let kernel = ((1 << 60) + tsc).saturating_add_signed(offset);
            clock.anchor(tsc, kernel);
            assert!(clock.unix_of(Tsc(tsc)) >= ours, "the anchor went back");
            last = clock.unix_of(Tsc(tsc));
            ours.0 as i64 - kernel as i64
        });
        each.collect()
    }

    #[test]
    fn a_counter_measured_wrong_does_not_drift_away() {
        // 50 ppm fast and slow: at most what a tenth of a second makes, give or take the slew.
        for measured in [999_950_000, 1_000_050_000] {
            let worst = leads(measured, 0).into_iter().map(i64::abs).max().unwrap();
            assert!(worst < 7_000, "{worst} ns off at {measured}");
        }
    }

    #[test]
    fn a_kernel_clock_stepped_back_is_caught_up_with_by_running_slower() {
        let leads = leads(1_000_000_000, -1_000_000_000);
        assert!(leads[99] > 999_000_000);
        // A second at half speed takes two.
        assert!(leads[110] > 400_000_000, "{}", leads[110]);
        assert!(leads[125].abs() < 1_000_000, "{}", leads[125]);
    }

    #[test]
    fn a_kernel_clock_stepped_forward_is_followed_at_once() {
        let leads = leads(1_000_000_000, 1_000_000_000);
        assert_eq!((leads[98], leads[100]), (0, 0));
    }

    #[test]
    fn virtual_time_moves_when_told() {
        let mut clock = VirtualClock::new(UnixNanos(5));
        assert_eq!(clock.now().unix, UnixNanos(5));
        clock.advance(7);
        assert_eq!((clock.now().tsc, clock.now().unix), (Tsc(7), UnixNanos(12)));
    }

    #[test]
    fn a_standing_clock_moves_when_told() {
        let mut clock = Clock::standing(UnixNanos(5));
        clock.resync();
        assert_eq!(clock.now().unix, UnixNanos(5));
        clock.stand_at(UnixNanos(7));
        assert_eq!(clock.now().unix, UnixNanos(7));
    }

    #[test]
    fn cycles_become_nanoseconds() {
        let clock = Clock::calibrate(20);
        let second = clock.cycles_to_ns(clock.tsc_hz());
        assert!(second.abs_diff(1_000_000_000) < 1_000, "{second}");
    }
}
