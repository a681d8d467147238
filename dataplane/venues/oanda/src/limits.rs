//! What we may ask: a bucket for the requests of one connection.
//!
//! ```text
//! requests     100 a second on a connection that stays, recommended; we ask 10 at once and 10 a second
//! streams      20 at a time; a machine has one
//! connections  2 new ones a second: the lane's back-off stays below it
//! ```
//! A refusal for rate (429) holds every request for a second, or as long as it named.
//! Source: developer.oanda.com/rest-live-v20/best-practices, read 2026-11-22; the number of streams `[U]`.

use dp_types::UnixNanos;
use dp_venue_api::limits::{Bucket, Budget, Share, Stops, named_ns};

const BURST: u32 = 10;
const INTERVAL_NS: u64 = 100_000_000;
/// How long we hold still when the venue refused for rate.
const STOP_NS: u64 = 1_000_000_000;

/// The limits of one machine.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    requests: Bucket,
    stops: Stops,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: Bucket::new(BURST, INTERVAL_NS, Share::WHOLE),
            stops: Stops::NONE,
        }
    }
}

/// What a budget is too small for: nothing, the limit is a connection's and not shared.
pub const fn lacks(_budget: Budget) -> Option<&'static str> {
    None
}

impl Limits {
    /// Takes room for one request.
    pub fn take(&mut self, now: UnixNanos) -> bool {
        !self.stops.holds(now) && self.requests.take(now, 1, 0)
    }

    /// The venue refused for rate. Returns until when nothing is asked.
    pub fn stop(&mut self, now: UnixNanos, retry_after_s: Option<u32>) -> UnixNanos {
        self.stops
            .hold(now.after(STOP_NS.max(named_ns(retry_after_s))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_at_once_and_none_after_a_refusal() {
        let now = UnixNanos(1_760_000_000_000_000_000);
        let mut limits = Limits::default();
        assert_eq!((0..100).filter(|_| limits.take(now)).count(), 10);
        assert!(limits.take(now.after(INTERVAL_NS)));
        let until = limits.stop(now, Some(3));
        assert_eq!(until, now.after(3_000_000_000));
        assert!(!limits.take(now.after(2_999_999_999)) && limits.take(until));
        assert_eq!(limits.stop(until, None), until.after(STOP_NS));
    }
}
