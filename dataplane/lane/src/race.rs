//! Which of a host's addresses a link takes: all are tried at once, and the first that answers is kept.
//!
//! ```text
//!  due ──▶ a runner to each address ──connected──▶ the first is the link, the others are closed
//!  up  ──every so often──▶ a runner to each, beside the link ──▶ round trips measured ──▶ another is quicker: move
//! ```
//! TCP's handshake is what is raced: one round trip, which the venue expects of anybody. An address whose link did
//! not come up is left out for a while, so that one that answers and does no more does not win again and again.
//! Owns no socket and reads no clock.

use dp_transport::Backoff;
use dp_types::UnixNanos;
use std::net::SocketAddr;

/// Addresses of one host raced at once, of the sockets a lane has for all its links.
const RUNNERS_MAX: usize = 4;
/// How long an address is left out whose link did not come up.
const BARRED_NS: u64 = 60_000_000_000;
/// A measuring race ends by then: what has not answered is not quick.
const MEASURE_NS_MAX: u64 = 2_000_000_000;
/// Another address must be quicker by a quarter and by so much: less is noise.
const MARGIN_NS: u64 = 100_000;
/// New addresses are raced so soon, not with the next round.
const JOIN_NS: u64 = 10_000_000_000;

/// One address.
#[derive(Debug, Clone, Copy)]
struct Known {
    peer: SocketAddr,
    /// Estimate of the round trip, nanoseconds.
    trip_ns: Option<u64>,
    barred: UnixNanos,
}

/// One connect under way.
#[derive(Debug, Clone, Copy)]
struct Runner<S> {
    peer: SocketAddr,
    socket: S,
    since: UnixNanos,
}

/// The addresses of a link's host, and who runs to them now, each by its socket.
#[derive(Debug)]
pub struct Race<S> {
    known: Vec<Known>,
    runners: Vec<Runner<S>>,
    /// Where the link is.
    at: Option<SocketAddr>,
    /// Time between two races beside a link that is up; 0 = none.
    every_ns: u64,
    spread: Backoff,
    due: UnixNanos,
    /// The race under way only measures, and ends by then.
    measures_until: Option<UnixNanos>,
}

impl<S: Copy + PartialEq> Race<S> {
    /// A race over these addresses, none beside a running link.
    pub fn new(peers: &[SocketAddr], seed: u64) -> Self {
        let mut race = Self {
            known: Vec::new(),
            runners: Vec::with_capacity(RUNNERS_MAX),
            at: None,
            every_ns: 0,
            spread: Backoff::new(1, 1, seed),
            due: UnixNanos(u64::MAX),
            measures_until: None,
        };
        race.set_peers(peers, UnixNanos(0));
        race
    }

    /// Races beside a running link this often, a quarter of it spread.
    pub fn set_every(&mut self, every_ns: u64, seed: u64) {
        self.every_ns = every_ns;
        let most = every_ns + every_ns / 8;
        self.spread = Backoff::new(most, most, seed);
    }

    /// The host's addresses now. What is known of those that stay is kept; a new one is raced soon.
    pub fn set_peers(&mut self, peers: &[SocketAddr], now: UnixNanos) {
        let known = core::mem::take(&mut self.known);
        let of = |peer: &SocketAddr| known.iter().find(|it| it.peer == *peer).copied();
        self.known = peers
            .iter()
            .map(|peer| {
                of(peer).unwrap_or(Known {
                    peer: *peer,
                    trip_ns: None,
                    barred: UnixNanos(0),
                })
            })
            .collect();
        if self.known.iter().any(|it| of(&it.peer).is_none()) {
            self.due = self.due.min(now.after(JOIN_NS));
        }
    }

    /// Addresses to run to at once: the quickest known, to be there soon, or those not known yet, to know them. Those
    /// that failed of late only when there is no other.
    pub fn contenders(&self, now: UnixNanos) -> Vec<SocketAddr> {
        let is_free = |it: &&Known| it.barred <= now;
        let any_free = self.known.iter().any(|it| is_free(&it));
        let mut all: Vec<&Known> = self.known.iter().collect();
        all.retain(|it| !any_free || is_free(it));
        let unknown = if self.is_measuring() { 0 } else { u64::MAX };
        all.sort_by_key(|it| it.trip_ns.unwrap_or(unknown));
        let all = all.into_iter().take(RUNNERS_MAX);
        all.map(|it| it.peer).collect()
    }

    /// A connect was started.
    pub fn start(&mut self, peer: SocketAddr, socket: S, now: UnixNanos) {
        self.runners.push(Runner {
            peer,
            socket,
            since: now,
        });
    }

    /// Whether this socket runs.
    pub fn runs(&self, socket: S) -> bool {
        self.runners.iter().any(|runner| runner.socket == socket)
    }

    /// Whether the race under way, if any, only measures.
    pub const fn is_measuring(&self) -> bool {
        self.measures_until.is_some()
    }

    fn take(&mut self, socket: S) -> Option<Runner<S>> {
        let mut runners = self.runners.iter();
        let at = runners.position(|runner| runner.socket == socket)?;
        Some(self.runners.swap_remove(at))
    }

    fn known(&mut self, peer: SocketAddr) -> Option<&mut Known> {
        self.known.iter_mut().find(|it| it.peer == peer)
    }

    fn measure(&mut self, runner: Runner<S>, now: UnixNanos) {
        let trip = now.since(runner.since);
        if let Some(known) = self.known(runner.peer) {
            let before = known.trip_ns.unwrap_or(trip);
            known.trip_ns = Some(before - before / 4 + trip / 4);
        }
    }

    /// A runner is there first: the link is its. Returns who else ran, to be closed.
    pub fn win(&mut self, socket: S, now: UnixNanos) -> Vec<S> {
        if let Some(runner) = self.take(socket) {
            self.measure(runner, now);
            self.at = Some(runner.peer);
        }
        if self.every_ns > 0 {
            self.due = now.after(self.spread.next_delay_ns());
        }
        self.abandon()
    }

    /// A runner is there, of a race that only measures. The caller closes it.
    pub fn arrive(&mut self, socket: S, now: UnixNanos) {
        if let Some(runner) = self.take(socket) {
            self.measure(runner, now);
        }
    }

    /// A runner was refused. Returns one that still runs.
    pub fn fall(&mut self, socket: S, now: UnixNanos) -> Option<S> {
        if let Some(runner) = self.take(socket)
            && let Some(known) = self.known(runner.peer)
        {
            known.barred = now.after(BARRED_NS);
        }
        self.runners.first().map(|runner| runner.socket)
    }

    /// Nobody runs any more; those who did are to be closed.
    pub fn abandon(&mut self) -> Vec<S> {
        self.measures_until = None;
        self.runners.drain(..).map(|runner| runner.socket).collect()
    }

    /// The link is gone. One that had not come up has a bad address.
    pub fn lost(&mut self, was_up: bool, now: UnixNanos) {
        if let Some(peer) = self.at.take().filter(|_| !was_up)
            && let Some(known) = self.known(peer)
        {
            known.barred = now.after(BARRED_NS);
        }
    }

    /// Whether a race beside the link is due. It has begun then: the caller starts the runners.
    pub fn begins(&mut self, now: UnixNanos) -> bool {
        let is_due = self.every_ns > 0 && now >= self.due && self.runners.is_empty();
        if !is_due || self.at.is_none() {
            return false;
        }
        self.due = now.after(self.spread.next_delay_ns());
        if self.known.len() < 2 {
            return false;
        }
        self.measures_until = Some(now.after(MEASURE_NS_MAX));
        true
    }

    /// Whether the race beside the link has ended; what still runs is to be abandoned.
    pub fn ends(&self, now: UnixNanos) -> bool {
        let is_over = |until| self.runners.is_empty() || now >= until;
        self.measures_until.is_some_and(is_over)
    }

    /// An address that is quicker than the link's by the margin.
    pub fn quicker(&self) -> Option<SocketAddr> {
        let at = self.at?;
        let mine = self.known.iter().find(|it| it.peer == at);
        // One that the name no longer stands for is left too.
        let mine = mine.map_or(Some(u64::MAX), |it| it.trip_ns)?;
        let trips = self.known.iter();
        let trips = trips.filter_map(|it| Some((it.trip_ns?, it.peer)));
        let (best, peer) = trips.min_by_key(|(trip, _)| *trip)?;
        let bound = best.saturating_add(best / 4).saturating_add(MARGIN_NS);
        (bound < mine).then_some(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const EVERY_NS: u64 = 600_000 * MS;

    fn peer(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 443))
    }

    fn peers(count: u8) -> Vec<SocketAddr> {
        (1..=count).map(peer).collect()
    }

    /// A world in which each address answers after its time, or never.
    fn run(race: &mut Race<u64>, now: &mut u64, trips: &[Option<u64>]) -> Option<SocketAddr> {
        let at = UnixNanos(*now);
        for peer in race.contenders(at) {
            let last = peer.ip().to_string().rsplit('.').next()?.parse().ok()?;
            race.start(peer, last, at);
        }
        let arrivals = trips.iter().zip(1u64..);
        let mut arrivals: Vec<(u64, u64)> = arrivals
            .filter_map(|(trip, last)| Some(((*trip)?, last)))
            .collect();
        arrivals.sort_unstable();
        for (trip, last) in arrivals {
            let there = UnixNanos(*now + trip);
            if !race.runs(last) {
                continue;
            }
            if race.is_measuring() {
                race.arrive(last, there);
                continue;
            }
            race.win(last, there);
            *now = there.0;
            return race.at;
        }
        let end = UnixNanos(*now + MEASURE_NS_MAX);
        assert!(race.is_measuring() && race.ends(end), "nobody came");
        race.abandon();
        *now = end.0;
        race.quicker()
    }

    #[test]
    fn the_first_that_answers_is_kept_and_the_others_are_closed() {
        let mut race = Race::new(&peers(3), 7);
        let now = UnixNanos(1);
        for (peer, number) in race.contenders(now).into_iter().zip(1..) {
            race.start(peer, number, now);
        }
        assert_eq!(race.fall(1, now), Some(3), "refused; two run");
        let mut losers = race.win(2, UnixNanos(1 + 5 * MS));
        losers.sort_unstable();
        assert_eq!(losers, [3]);
        assert_eq!(race.at, Some(peer(2)));
        assert!(!race.runs(3));
        // It is up and goes: all are tried again but the one that refused.
        race.lost(true, UnixNanos(9 * MS));
        assert!(!race.contenders(UnixNanos(9 * MS)).contains(&peer(1)));
        let later = UnixNanos(9 * MS + BARRED_NS);
        assert_eq!(race.contenders(later).len(), 3);
    }

    #[test]
    fn an_address_that_answers_and_does_no_more_does_not_win_again() {
        let mut race = Race::new(&peers(2), 7);
        let mut now = 1;
        assert_eq!(
            run(&mut race, &mut now, &[Some(MS), Some(9 * MS)]),
            Some(peer(1))
        );
        race.lost(false, UnixNanos(now));
        assert_eq!(race.contenders(UnixNanos(now)), [peer(2)]);
        assert_eq!(
            run(&mut race, &mut now, &[Some(MS), Some(9 * MS)]),
            Some(peer(2))
        );
        race.lost(false, UnixNanos(now));
        let both = race.contenders(UnixNanos(now));
        assert_eq!(both.len(), 2, "there is no other: {both:?}");
    }

    #[test]
    fn a_race_beside_the_link_moves_it_only_to_one_that_is_quicker_by_a_margin() {
        let mut race = Race::new(&peers(3), 7);
        race.set_every(EVERY_NS, 7);
        let mut now = 1;
        let first = [Some(10 * MS), Some(11 * MS), None];
        assert_eq!(run(&mut race, &mut now, &first), Some(peer(1)));
        assert!(!race.begins(UnixNanos(now + EVERY_NS / 2)), "not yet");
        for (trips, want) in [
            ([Some(10 * MS), Some(9 * MS), None], None),
            // One slow round is not believed, several are.
            ([Some(40 * MS), Some(9 * MS), None], Some(peer(2))),
            ([Some(10 * MS), Some(9 * MS), Some(MS)], Some(peer(3))),
        ] {
            now += 2 * EVERY_NS;
            assert!(race.begins(UnixNanos(now)));
            assert!(!race.ends(UnixNanos(now)) || race.runners.is_empty());
            assert_eq!(run(&mut race, &mut now, &trips), want, "{trips:?}");
            assert!(!race.begins(UnixNanos(now)), "the next one is later");
        }
    }

    #[test]
    fn of_many_addresses_the_known_ones_are_opened_and_the_others_measured() {
        let mut race = Race::new(&peers(6), 7);
        race.set_every(EVERY_NS, 7);
        let mut now = 1;
        let trips = [6, 5, 4, 3, 2, 1].map(|ms| Some(ms * MS));
        assert_eq!(run(&mut race, &mut now, &trips), Some(peer(4)));
        now += 2 * EVERY_NS;
        assert!(race.begins(UnixNanos(now)));
        let unknown = race.contenders(UnixNanos(now));
        assert!(unknown.contains(&peer(5)) || unknown.contains(&peer(6)));
        run(&mut race, &mut now, &trips);
        now += 2 * EVERY_NS;
        assert!(race.begins(UnixNanos(now)));
        assert_eq!(run(&mut race, &mut now, &trips), Some(peer(6)));
        race.lost(true, UnixNanos(now));
        assert_eq!(race.contenders(UnixNanos(now)).first(), Some(&peer(6)));
    }

    #[test]
    fn rounds_are_spread() {
        let first = |seed| {
            let mut race = Race::new(&peers(2), seed);
            race.set_every(EVERY_NS, seed);
            let mut now = 1;
            run(&mut race, &mut now, &[Some(MS), None]);
            race.due
        };
        let dues: Vec<UnixNanos> = (0..20).map(first).collect();
        assert!(dues.iter().all(|due| due.0 >= EVERY_NS / 2));
        let mut others = dues.clone();
        others.dedup();
        assert!(others.len() > 10, "{dues:?}");
    }

    #[test]
    fn new_addresses_join_and_one_that_is_gone_is_left() {
        let mut race = Race::new(&peers(1), 7);
        race.set_every(EVERY_NS, 7);
        let mut now = 1;
        assert_eq!(run(&mut race, &mut now, &[Some(5 * MS)]), Some(peer(1)));
        race.set_peers(&[peer(2), peer(3)], UnixNanos(now));
        assert!(!race.begins(UnixNanos(now)));
        now += JOIN_NS;
        assert!(race.begins(UnixNanos(now)), "long before the next round");
        let trips = [None, Some(30 * MS), Some(20 * MS)];
        assert_eq!(run(&mut race, &mut now, &trips), Some(peer(3)));
    }
}
