//! Opening links: the addresses of a host raced, at the start, after a loss, and now and then beside a link that is
//! up.

use super::{Seat, Sessions};
use crate::desk::Desk;
use crate::further::share;
use crate::link::LinkFault;
use dp_shm::Counter;
use dp_transport::{Socket, Transport};
use dp_types::{Now, UnixNanos};
use dp_venue_api::{LinkRole, Venue as _};
use std::net::SocketAddr;

impl<T: Transport> Sessions<T> {
    pub(super) fn open_if_due(
        &mut self,
        desk: &impl Desk,
        seat_at: usize,
        link_at: usize,
        now: Now,
    ) {
        let seat = &self.seats[seat_at];
        if now.unix < desk.stopped_until(seat.venue.id()) {
            // A connection attempt would prolong the ban.
            return;
        }
        let peers = seat.links[link_at].due(now.unix);
        let Some(socket) = self.run(seat_at, link_at, &peers, now.unix) else {
            if !peers.is_empty() {
                self.seats[seat_at].links[link_at].on_open_failed(now.unix);
            }
            return;
        };
        let link = &mut self.seats[seat_at].links[link_at];
        if let Err(error) = link.on_opening(socket, now.unix) {
            tracing::error!(host = %link.spec.host, %error, "cannot open a TLS session");
            link.on_open_failed(now.unix);
            self.abandon(seat_at, link_at);
        }
    }

    /// Starts a runner to each address; returns the first one's socket.
    fn run(
        &mut self,
        seat_at: usize,
        link_at: usize,
        peers: &[SocketAddr],
        now: UnixNanos,
    ) -> Option<Socket> {
        let race = &mut self.seats[seat_at].links[link_at].race;
        let mut first = None;
        for peer in peers {
            match self.transport.open(*peer) {
                Ok(socket) => {
                    race.start(*peer, socket, now);
                    first = first.or(Some(socket));
                }
                // Fewer run where there are not so many sockets.
                Err(_) if first.is_some() => break,
                Err(error) => tracing::error!(%peer, %error, "cannot open a socket"),
            }
        }
        first
    }

    fn find_runner(&self, socket: Socket) -> Option<(usize, usize)> {
        self.seats.iter().enumerate().find_map(|(seat_at, seat)| {
            let mut links = seat.links.iter();
            let link_at = links.position(|link| link.race.runs(socket))?;
            Some((seat_at, link_at))
        })
    }

    /// A runner is there. Returns the link that goes on over it; `None`: it was only measured.
    pub(super) fn finish(&mut self, socket: Socket, now: Now) -> Option<(usize, usize)> {
        let (seat_at, link_at) = self.find_runner(socket)?;
        let link = &mut self.seats[seat_at].links[link_at];
        if link.race.is_measuring() {
            link.race.arrive(socket, now.unix);
            self.transport.close(socket);
            return None;
        }
        link.set_socket(socket);
        for loser in link.race.win(socket, now.unix) {
            self.transport.close(loser);
        }
        Some((seat_at, link_at))
    }

    /// A runner was refused. False: it was none, or the last of a link that is being opened, which has failed.
    pub(super) fn falls(&mut self, socket: Socket, now: Now) -> bool {
        let Some((seat_at, link_at)) = self.find_runner(socket) else {
            return false;
        };
        let link = &mut self.seats[seat_at].links[link_at];
        let next = link.race.fall(socket, now.unix);
        if link.race.is_measuring() {
            return true;
        }
        if let Some(next) = next {
            link.set_socket(next);
        }
        next.is_some()
    }

    /// Closes whatever still runs for a link.
    pub(super) fn abandon(&mut self, seat_at: usize, link_at: usize) {
        for socket in self.seats[seat_at].links[link_at].race.abandon() {
            self.transport.close(socket);
        }
    }

    /// Begins and ends the races beside a link that is up.
    pub(super) fn mind_race(
        &mut self,
        desk: &mut impl Desk,
        seat_at: usize,
        link_at: usize,
        now: Now,
    ) {
        let link = &mut self.seats[seat_at].links[link_at];
        if link.race.ends(now.unix) {
            let quicker = link.race.quicker();
            self.abandon(seat_at, link_at);
            if let Some(peer) = quicker.filter(|_| self.may_move(seat_at, link_at)) {
                let link = &self.seats[seat_at].links[link_at];
                tracing::info!(link = link.spec.name, %peer, "a quicker address");
                desk.wall().count(Counter::LinkMoves);
                let fault = LinkFault::Wish("another address is quicker");
                self.lose(desk, seat_at, link_at, fault, now);
            }
        } else if link.is_up() && link.race.begins(now.unix) {
            desk.wall().count(Counter::Races);
            let peers = link.race.contenders(now.unix);
            self.run(seat_at, link_at, &peers, now.unix);
        }
    }

    /// Whether nothing is lost by opening a link anew: market data that another feed brings meanwhile, requests
    /// when there are none. Orders stay where they are until their link is lost.
    fn may_move(&self, seat_at: usize, link_at: usize) -> bool {
        let seat = &self.seats[seat_at];
        let link = &seat.links[link_at];
        let (venue, id) = (seat.venue.id(), link.spec.id);
        match seat.venue.link_role(id) {
            LinkRole::Rest => link.is_idle(),
            LinkRole::Orders => false,
            LinkRole::Market => self.seats.iter().any(|other| {
                let is_other = other.venue.id() == venue && other.feed != seat.feed;
                let mut links = other.links.iter();
                is_other && links.any(|link| link.spec.id == id && link.is_up())
            }),
        }
    }

    /// Addresses that changed, for the next race.
    pub(crate) fn take_addresses(&mut self, now: Now) {
        while let Some(fresh) = self.addresses.pop() {
            let is_its = |seat: &Seat| seat.venue.id() == fresh.venue;
            let feeds = self.seats.iter().filter(|seat| is_its(seat)).count();
            for seat in self.seats.iter_mut().filter(|seat| is_its(seat)) {
                let is_market = seat.venue.link_role(fresh.link) == LinkRole::Market;
                let mut links = seat.links.iter_mut();
                if let Some(link) = links.find(|link| link.spec.id == fresh.link) {
                    let (feed, feeds) = if is_market {
                        (usize::from(seat.feed), feeds)
                    } else {
                        (0, 1)
                    };
                    link.race
                        .set_peers(&share(&fresh.peers, feed, feeds), now.unix);
                }
            }
        }
    }
}
