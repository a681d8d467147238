//! What a connection is built with. Every time has a bound, every buffer a size.

/// One millisecond.
const MS: u64 = 1_000_000;

/// Sizes and times of one connection; the defaults are those of an order connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Largest IPv4 packet of the interface, octets. At least [`Config::MTU_MIN`].
    pub mtu: u16,
    /// Octets of ours kept until acknowledged. A power of two.
    pub send_buffer: usize,
    /// Octets of the peer's kept out of order or unread; also the largest window. A power of two.
    pub receive_buffer: usize,
    /// Segments in flight at most; more wait, however small.
    pub segments_max: usize,
    /// Initial congestion window, segments (RFC 6928: 10).
    pub initial_window: u32,
    /// Floor of the retransmission time-out. RFC 6298 asks for a second and allows less; a venue a
    /// millisecond away makes a second an outage.
    pub rto_min_ns: u64,
    /// Retransmission time-out before the first sample (RFC 6298, 2.1: 1 s). SYNs use it too.
    pub rto_initial_ns: u64,
    /// Ceiling of the time-out however often it is doubled.
    pub rto_max_ns: u64,
    /// Without progress for this long the connection is given up, and a SYN unanswered this long.
    pub give_up_ns: u64,
    /// Longest the peer is expected to sit on an ACK of a lone segment (RFC 8985, 7.2,
    /// `TLP.max_ack_delay`). Too short costs a spurious copy of one segment, too long costs time.
    pub ack_delay_max_ns: u64,
    /// Silence after which the peer is asked whether it lives; 0 = never.
    pub keepalive_idle_ns: u64,
    /// Between two such questions.
    pub keepalive_interval_ns: u64,
    /// Unanswered questions after which the connection is given up.
    pub keepalive_probes: u32,
    /// How long a closed connection still answers a repeated FIN. RFC 9293 says minutes; local
    /// ports are ours alone here, and sequence numbers go on by the clock.
    pub time_wait_ns: u64,
    /// Shortest time between two answers to segments that prove nothing (RFC 5961, 7).
    pub challenge_interval_ns: u64,
    /// Offer and honour SACK (RFC 2018). Without it losses are found by three duplicate ACKs.
    pub sack: bool,
    /// Offer and honour timestamps and PAWS (RFC 7323).
    pub timestamps: bool,
    /// Offer and honour window scaling (RFC 7323).
    pub window_scaling: bool,
    /// Take a SYN that crosses ours (RFC 9293, 3.5). Off by default: nobody we call calls us, and
    /// whoever knows the ports could forge one without guessing a number.
    pub simultaneous_open: bool,
}

/// A size that cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Below [`Config::MTU_MIN`].
    #[error("MTU {0} is below {min}", min = Config::MTU_MIN)]
    Mtu(u16),
    /// Not a power of two between 4 KiB and 1 GiB.
    #[error("buffer of {0} octets: not a power of two from 4 KiB to 1 GiB")]
    Buffer(usize),
    /// Zero of something of which at least one is needed.
    #[error("segments, window and times cannot be 0, a floor not above its ceiling")]
    Zero,
    /// More connections than [`crate::Stack::CONNECTIONS_MAX`], or none.
    #[error("{0} connections")]
    Connections(usize),
    /// The local ports hold fewer than the connections, or port 0.
    #[error("local ports {0}..={1} do not cover the connections")]
    Ports(u16, u16),
}

impl Config {
    /// Smallest MTU: what every IPv4 host must take whole (RFC 791). A path that claims less is
    /// lying (RFC 5927 tells how that is abused).
    pub const MTU_MIN: u16 = 576;
    /// Largest payload of a segment at that MTU, without options.
    pub(crate) const MSS_MIN: u16 = Self::MTU_MIN - 40;

    /// Proves the sizes.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.mtu < Self::MTU_MIN {
            return Err(ConfigError::Mtu(self.mtu));
        }
        for size in [self.send_buffer, self.receive_buffer] {
            // Two octets in one window must compare: 2³⁰ is far enough from 2³¹.
            if !size.is_power_of_two() || !(4 << 10..=1 << 30).contains(&size) {
                return Err(ConfigError::Buffer(size));
            }
        }
        let needed = [
            self.segments_max as u64,
            u64::from(self.initial_window),
            self.rto_min_ns,
            self.rto_initial_ns,
            self.give_up_ns,
            self.keepalive_interval_ns,
            u64::from(self.keepalive_probes),
        ];
        if needed.contains(&0) || self.rto_min_ns > self.rto_max_ns {
            return Err(ConfigError::Zero);
        }
        Ok(())
    }

    /// Shift under which the whole receive buffer fits the window field.
    pub(crate) fn window_shift(&self) -> u8 {
        (0..14)
            .find(|shift| u16::try_from(self.receive_buffer >> shift).is_ok())
            .unwrap_or(14)
    }
}

impl Config {
    /// What [`Config::default`] gives.
    pub const DEFAULT: Self = Self {
        mtu: 1_500,
        send_buffer: 512 << 10,
        receive_buffer: 256 << 10,
        segments_max: 1_024,
        initial_window: 10,
        rto_min_ns: 5 * MS,
        rto_initial_ns: 1_000 * MS,
        rto_max_ns: 2_000 * MS,
        give_up_ns: 15_000 * MS,
        ack_delay_max_ns: MS,
        keepalive_idle_ns: 10_000 * MS,
        keepalive_interval_ns: 1_000 * MS,
        keepalive_probes: 5,
        time_wait_ns: 500 * MS,
        challenge_interval_ns: 10 * MS,
        sack: true,
        timestamps: true,
        window_scaling: true,
        simultaneous_open: false,
    };
}

impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_cannot_work_are_refused() {
        let good = Config::default();
        assert_eq!(good.check(), Ok(()));
        let with = |change: fn(&mut Config)| {
            let mut config = good;
            change(&mut config);
            config.check()
        };
        assert_eq!(with(|c| c.mtu = 575), Err(ConfigError::Mtu(575)));
        assert_eq!(
            with(|c| c.send_buffer = 5_000),
            Err(ConfigError::Buffer(5_000))
        );
        assert_eq!(
            with(|c| c.receive_buffer = 1 << 31),
            Err(ConfigError::Buffer(1 << 31))
        );
        assert_eq!(with(|c| c.rto_min_ns = 0), Err(ConfigError::Zero));
        assert_eq!(with(|c| c.rto_max_ns = 1), Err(ConfigError::Zero));
    }

    #[test]
    fn the_shift_is_the_smallest_that_holds_the_buffer() {
        let shift = |size| {
            Config {
                receive_buffer: size,
                ..Config::default()
            }
            .window_shift()
        };
        assert_eq!([32 << 10, 64 << 10, 256 << 10].map(shift), [0, 1, 3]);
        assert_eq!(shift(1 << 30), 14);
    }
}
