//! Round-trip time and retransmission time-out (RFC 6298), minimum round trip (for RACK).

use crate::config::Config;

/// How long a minimum is believed.
const MIN_WINDOW_NS: u64 = 10_000_000_000;

/// Smoothed round trip, its spread, and the time-out that follows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rtt {
    smoothed: u64,
    spread: u64,
    min: u64,
    min_at: u64,
    base: u64,
    backoff: u32,
    floor: u64,
    ceiling: u64,
}

impl Rtt {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            smoothed: 0,
            spread: 0,
            min: u64::MAX,
            min_at: 0,
            base: config.rto_initial_ns,
            backoff: 0,
            floor: config.rto_min_ns,
            ceiling: config.rto_max_ns,
        }
    }

    /// One sample, of octets sent once only or told apart by timestamps (Karn). `shortest` is that of
    /// the latest segment the same ACK covers.
    pub(crate) fn on_sample(&mut self, now: u64, sample: u64, shortest: u64) {
        let (sample, shortest) = (sample.max(1), shortest.max(1));
        if shortest <= self.min || now.saturating_sub(self.min_at) > MIN_WINDOW_NS {
            (self.min, self.min_at) = (shortest, now);
        }
        if self.smoothed == 0 {
            (self.smoothed, self.spread) = (sample, sample / 2);
        } else {
            let error = self.smoothed.abs_diff(sample);
            self.spread = self.spread - self.spread / 4 + error / 4;
            self.smoothed = (self.smoothed - self.smoothed / 8 + sample / 8).max(1);
        }
        let rto = self.smoothed.saturating_add(self.spread.saturating_mul(4));
        self.base = rto.clamp(self.floor, self.ceiling);
    }

    /// A time-out passed: twice as long next time (RFC 6298, 5.5).
    pub(crate) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// Time-outs in a row.
    pub(crate) fn backoff(&self) -> u32 {
        self.backoff
    }

    /// Something new was acknowledged.
    pub(crate) fn on_progress(&mut self) {
        self.backoff = 0;
    }

    /// The time-out as it stands, doublings included.
    pub(crate) fn rto(&self) -> u64 {
        self.backed_off(self.backoff)
    }

    /// The time-out doubled `times` times.
    pub(crate) fn backed_off(&self, times: u32) -> u64 {
        let doubled = self.base.saturating_mul(1 << times.min(32));
        doubled.min(self.ceiling.max(self.base))
    }

    /// Smoothed round trip; `None` before the first sample.
    pub(crate) fn smoothed(&self) -> Option<u64> {
        (self.smoothed != 0).then_some(self.smoothed)
    }

    /// Shortest round trip of late; `u64::MAX` before the first sample.
    pub(crate) fn min(&self) -> u64 {
        self.min
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn first_sample_and_later_ones_follow_rfc_6298() {
        let config = Config {
            rto_min_ns: 1,
            ..Config::default()
        };
        let mut rtt = Rtt::new(&config);
        assert_eq!(rtt.rto(), config.rto_initial_ns);
        rtt.on_sample(0, 80 * MS, 80 * MS);
        // SRTT = R, RTTVAR = R/2: RTO = 80 + 4 * 40.
        assert_eq!(rtt.rto(), 240 * MS);
        rtt.on_sample(0, 160 * MS, 160 * MS);
        // RTTVAR = 3/4 * 40 + 1/4 * 80 = 50; SRTT = 7/8 * 80 + 1/8 * 160 = 90.
        assert_eq!(rtt.smoothed(), Some(90 * MS));
        assert_eq!(rtt.rto(), 290 * MS);
    }

    #[test]
    fn the_floor_holds_and_backing_off_doubles_up_to_the_ceiling() {
        let config = Config::default();
        let mut rtt = Rtt::new(&config);
        for _ in 0..100 {
            rtt.on_sample(0, MS, MS);
        }
        assert_eq!(rtt.rto(), config.rto_min_ns);
        for times in 1..=8 {
            rtt.back_off();
            assert_eq!(rtt.rto(), config.rto_min_ns << times);
        }
        for _ in 0..100 {
            rtt.back_off();
        }
        assert_eq!(rtt.rto(), config.rto_max_ns);
        rtt.on_progress();
        assert_eq!(rtt.rto(), config.rto_min_ns);
    }

    #[test]
    fn an_old_minimum_is_forgotten() {
        let mut rtt = Rtt::new(&Config::default());
        rtt.on_sample(0, MS, MS);
        rtt.on_sample(MS, 9 * MS, 9 * MS);
        assert_eq!(rtt.min(), MS);
        rtt.on_sample(11_000 * MS, 9 * MS, 9 * MS);
        assert_eq!(rtt.min(), 9 * MS);
    }
}
