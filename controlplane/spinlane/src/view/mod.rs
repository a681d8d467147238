//! What a running node shows, read from its shared memory: works when the control plane, the database or
//! a lane is stuck or dead.
//!
//! Each view is a plain struct with stable field names (JSON) and a text for people.

pub mod balances;
pub mod doctor;
pub mod lanes;
pub mod latency;
pub mod market;
pub mod orders;
pub mod performance;
pub mod positions;
pub mod risk;
pub mod status;
pub mod strategies;

use dp_shm::Region;
use dp_types::{Instrument, InstrumentId, Notional, Text, UnixNanos, VenueId};
use std::time::UNIX_EPOCH;

/// Now, on this machine's clock.
pub fn now() -> UnixNanos {
    let since = UNIX_EPOCH.elapsed().unwrap_or_default();
    UnixNanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Milliseconds since `at`; `None` when it never was.
pub fn age_ms(at: UnixNanos, now: UnixNanos) -> Option<u64> {
    (at.0 != 0).then(|| now.since(at) / 1_000_000)
}

/// The instrument with this id, or its bare number in whole increments.
pub fn instrument(region: &Region, venue: VenueId, id: InstrumentId) -> Instrument {
    region.instruments().get(id).map_or_else(
        || Instrument::bare(id, venue, Text::lossy(&format!("#{}", id.0)), 0, 0),
        |entry| entry.instrument,
    )
}

/// Money with two decimals, rounded half away from zero: for tables; JSON has all digits.
pub fn money(value: Notional) -> String {
    const CENT: i128 = 10_000_000_000;
    let cents = (value.0.unsigned_abs() + CENT.unsigned_abs() / 2) / CENT.unsigned_abs();
    let sign = if value.0 < 0 && cents > 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

/// Whether a process with this id exists.
pub fn is_alive(pid: u32) -> bool {
    // A zombie has no memory map: reading its `exe` link fails, and it runs nothing any more.
    pid != 0
        && std::path::Path::new(&format!("/proc/{pid}")).exists()
        && std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
            !stat
                .rsplit(')')
                .next()
                .unwrap_or("")
                .trim_start()
                .starts_with('Z')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cents_round_away_from_zero() {
        assert_eq!(money(Notional(1_005_000_000_000)), "1.01");
        assert_eq!(money(Notional(-1_005_000_000_000)), "-1.01");
        assert_eq!(money(Notional(-1)), "0.00");
    }

    #[test]
    fn we_are_alive() {
        assert!(is_alive(std::process::id()));
        assert!(!is_alive(0));
    }
}
