//! Out: the desk's actions to the venue machines, the machines' words to the links, the links' bytes to the
//! transport.

use super::{CANCEL_BYTES, ORDERS_MAX, Seat, Sessions, tell};
use crate::any_venue::AnyVenue;
use crate::desk::{Desk, Outcome};
use crate::engine::Action;
use crate::link::{Link, LinkFault};
use crate::outbox::{Item, OwnedRequest};
use crate::session::LaneSink;
use crate::wiretap::Of;
use dp_risk::Cleared;
use dp_shm::{Counter, Stage};
use dp_transport::{Transport, tsc};
use dp_types::{InstrumentId, LinkId, NewOrder, Now, RejectReason, Tsc, VenueId};
use dp_venue_api::{EntryError, Registry, Venue as _};

impl<T: Transport> Sessions<T> {
    pub(crate) fn flush_all(&mut self, desk: &mut impl Desk, now: Now, arrived: Tsc) -> usize {
        (0..self.seats.len())
            .map(|seat_at| self.flush_seat(desk, seat_at, now, arrived))
            .sum()
    }

    /// Gives the desk's actions to the venue machines and everything they say to the links.
    pub(super) fn flush_seat(
        &mut self,
        desk: &mut impl Desk,
        seat_at: usize,
        now: Now,
        arrived: Tsc,
    ) -> usize {
        let mut work = 0;
        let mut next = desk.next_action();
        while let Some(action) = next {
            next = match action {
                Action::New(order) => self.enter(desk, &order, arrived),
                action => {
                    self.perform(desk, &action, now);
                    desk.next_action()
                }
            };
            work += 1;
        }
        if !self.seats[seat_at].outbox.is_empty() {
            self.flush_outbox(desk, seat_at, now);
            work += 1;
        }
        for link_at in 0..self.seats[seat_at].links.len() {
            self.send_link(desk, seat_at, link_at, now);
        }
        work
    }

    fn flush_outbox(&mut self, desk: &mut impl Desk, seat_at: usize, now: Now) {
        let mut faults: [Option<(LinkId, LinkFault)>; 4] = [const { None }; 4];
        let seat = &mut self.seats[seat_at];
        let (venue, feed) = (seat.venue.id(), seat.feed);
        let role = |machine: &AnyVenue, link| Of {
            venue,
            feed,
            link,
            role: machine.link_role(link),
        };
        for (item, text) in seat.outbox.items() {
            let (link_id, result) = match item {
                Item::Text { link, .. } => {
                    if let Some(tap) = &mut self.tap {
                        tap.said(role(&seat.venue, link), text, now.unix);
                    }
                    let held = seat.links.iter_mut().find(|held| held.spec.id == link);
                    (link, held.map_or(Ok(()), |held| held.send_text(text)))
                }
                Item::Fix { link, kind, .. } => {
                    let held = seat.links.iter_mut().find(|held| held.spec.id == link);
                    let sent = held.map_or(Ok(()), |held| held.send_fix(kind, text, now.unix));
                    (link, sent)
                }
                Item::Reconnect { link, why } => (link, Err(LinkFault::Wish(why))),
                Item::Connect { link, .. } => {
                    let held = seat.links.iter_mut().find(|held| held.spec.id == link);
                    if let (Some(held), Ok(path)) = (held, core::str::from_utf8(text)) {
                        held.release(path);
                    }
                    (link, Ok(()))
                }
            };
            if let Err(fault) = result
                && let Some(slot) = faults.iter_mut().find(|slot| slot.is_none())
            {
                *slot = Some((link_id, fault));
            }
        }
        seat.outbox.clear_items();
        let requests: Vec<(LinkId, OwnedRequest)> = seat.outbox.take_requests().collect();
        let mut unanswered = Vec::new();
        for (link, request) in requests {
            desk.wall().count(Counter::HttpRequests);
            let held = seat.links.iter_mut().find(|held| held.spec.id == link);
            if let (Some(tap), Some(held)) = (&mut self.tap, &held) {
                let (host, port) = (&held.spec.host, held.spec.port);
                let host = format!("{host}:{port}");
                tap.asked(role(&seat.venue, link), &host, &request);
            }
            if let Some(held) = held
                && let Err(request) = held.queue(request)
            {
                desk.wall().count(Counter::HttpErrors);
                unanswered.push((link, request.tag));
            }
        }
        for (link, tag) in unanswered {
            self.give_no_answer(desk, seat_at, link, &[tag], now);
        }
        for (link, fault) in faults.into_iter().flatten() {
            if let Some(at) = self.seats[seat_at]
                .links
                .iter()
                .position(|held| held.spec.id == link)
            {
                self.lose(desk, seat_at, at, fault, now);
            }
        }
    }

    /// Writes queued requests, seals what waits and hands it to the transport.
    pub(super) fn send_link(
        &mut self,
        desk: &mut impl Desk,
        seat_at: usize,
        link_at: usize,
        now: Now,
    ) {
        let link = &mut self.seats[seat_at].links[link_at];
        let result = link.pump_requests(now.unix).and_then(|_| {
            if link.is_quiet() {
                return Ok(());
            }
            let start = tsc();
            link.seal()?;
            desk.wall().stamp(Stage::Seal, start);
            Ok(())
        });
        if let Err(fault) = result {
            self.lose(desk, seat_at, link_at, fault, now);
            return;
        }
        let Some((socket, bytes)) = link.take_out() else {
            return;
        };
        if self.transport.send(socket, bytes).is_err() {
            let fault = LinkFault::Wish("the peer does not read");
            self.lose(desk, seat_at, link_at, fault, now);
            return;
        }
        self.seats[seat_at].links[link_at].sent();
    }

    /// Says goodbye on every link that has a word for it.
    pub(crate) fn log_out(&mut self, desk: &mut impl Desk, now: Now) {
        for seat_at in 0..self.seats.len() {
            for link_at in 0..self.seats[seat_at].links.len() {
                self.seats[seat_at].links[link_at].log_out(now.unix);
                self.send_link(desk, seat_at, link_at, now);
            }
        }
    }

    /// Whether an answer to a goodbye is waited for.
    pub(crate) fn is_leaving(&self) -> bool {
        let mut links = self.seats.iter().flat_map(|seat| &seat.links);
        links.any(Link::is_leaving)
    }

    fn seat_of(&self, instrument: InstrumentId) -> Option<usize> {
        self.seat_at(self.registries[0].get(instrument)?.venue)
    }

    fn seat_at(&self, venue: VenueId) -> Option<usize> {
        self.seats.iter().position(|seat| seat.venue.id() == venue)
    }

    /// The feed of an instrument's venue that is asked for its book.
    fn seat_of_feed(&self, instrument: InstrumentId, feed: u8) -> Option<usize> {
        let venue = self.registries[0].get(instrument)?.venue;
        let mut seats = self.seats.iter();
        seats.position(|seat| seat.venue.id() == venue && seat.feed == feed)
    }

    /// Enters a new order, and with it those behind it that one request may carry too. Orders take the short way: encode,
    /// frame, seal, send, at once. Returns the action that follows.
    fn enter(
        &mut self,
        desk: &mut impl Desk,
        first: &Cleared<NewOrder>,
        arrived: Tsc,
    ) -> Option<Action> {
        let now = self.clock.now();
        let arrived = desk.arrived(arrived);
        let seat_at = self.seat_of(first.instrument);
        let most = seat_at.map_or(0, |at| self.seats[at].venue.batch_max().min(ORDERS_MAX));
        let mut orders = core::mem::take(&mut self.orders);
        orders.clear();
        admit(desk, first, &mut orders, now);
        let mut next = desk.next_action();
        while let Some(Action::New(order)) = &next
            && orders.len() < most
            && orders.last().is_some_and(|last| follows(last, order))
        {
            admit(desk, order, &mut orders, now);
            next = desk.next_action();
        }
        if let Some(at) = seat_at {
            let is_sent = orders.len() > 1 && self.enter_together(desk, at, &orders, now);
            if is_sent {
                desk.wall().stamp(Stage::TickToTrade, arrived);
            } else {
                for order in &orders {
                    self.enter_one(desk, at, order, (now, arrived));
                }
            }
        }
        self.orders = orders;
        next
    }

    /// Says whether they were sent: if not, none was.
    fn enter_together(
        &mut self,
        desk: &mut impl Desk,
        seat_at: usize,
        orders: &[NewOrder],
        now: Now,
    ) -> bool {
        let result = self.ask(desk, seat_at, now, |venue, registry, sink| {
            venue.new_orders(registry, orders, now, sink)
        });
        if result.is_err() {
            return false;
        }
        self.flush_orders(desk, seat_at, now);
        for order in orders {
            desk.outcome(Outcome::NewSent(order.client_id), now);
        }
        true
    }

    fn enter_one(
        &mut self,
        desk: &mut impl Desk,
        seat_at: usize,
        order: &NewOrder,
        (now, arrived): (Now, Tsc),
    ) {
        let result = self.ask(desk, seat_at, now, |venue, registry, sink| {
            venue.new_order(registry, order, now, sink)
        });
        let outcome = match result {
            Ok(()) => {
                self.flush_orders(desk, seat_at, now);
                desk.wall().stamp(Stage::TickToTrade, arrived);
                Outcome::NewSent(order.client_id)
            }
            Err(error) => Outcome::NewRefused(order.client_id, reason_of(error)),
        };
        desk.outcome(outcome, now);
    }

    /// Carries one action out, other than a new order.
    fn perform(&mut self, desk: &mut impl Desk, action: &Action, now: Now) {
        match action {
            // They are entered.
            Action::New(_) => {}
            Action::Amend(amend) => {
                let now = self.clock.now();
                if !desk.may_send(now.unix) {
                    let reason = RejectReason::Other;
                    desk.outcome(Outcome::AmendRefused(amend.client_id, reason), now);
                    return;
                }
                let Some(at) = self.seat_of(amend.instrument) else {
                    return;
                };
                let result = self.ask(desk, at, now, |venue, registry, sink| {
                    venue.amend_order(registry, amend, now, sink)
                });
                let outcome = match result {
                    Ok(()) => {
                        self.flush_orders(desk, at, now);
                        Outcome::AmendSent(amend.client_id)
                    }
                    Err(error) => Outcome::AmendRefused(amend.client_id, reason_of(error)),
                };
                desk.outcome(outcome, now);
            }
            Action::Cancel(cancel) => {
                let Some(at) = self.seat_of(cancel.instrument) else {
                    return;
                };
                let result = self.speak(desk, at, now, |venue, registry, sink| {
                    venue.cancel_order(registry, cancel, now, sink)
                });
                if result.is_ok() {
                    self.flush_orders(desk, at, now);
                    desk.outcome(Outcome::CancelSent(cancel.client_id), now);
                } else {
                    desk.wall().count(Counter::RateRefusals);
                    desk.outcome(Outcome::CancelRefused(cancel.client_id), now);
                }
            }
            Action::CancelAll(instrument) => self.cancel_all(desk, **instrument, now),
            Action::Snapshot(instrument, feed) => {
                let Some(at) = self.seat_of_feed(*instrument, *feed) else {
                    return;
                };
                let _ = self.speak(desk, at, now, |venue, registry, sink| {
                    venue.request_snapshot(registry, *instrument, now, sink);
                    Ok(())
                });
            }
            Action::L3Snapshot(instrument) => {
                let Some(at) = self.seat_of(*instrument) else {
                    return;
                };
                let _ = self.speak(desk, at, now, |venue, registry, sink| {
                    venue.request_l3(registry, *instrument, now, sink);
                    Ok(())
                });
            }
            Action::Query(order) => {
                let Some(at) = self.seat_of(order.instrument) else {
                    return;
                };
                // Refused for rate or for want of a link: asked again while the order stays unknown.
                let _ = self.speak(desk, at, now, |venue, registry, sink| {
                    venue.query_order(registry, order, now, sink)
                });
            }
            Action::Reopen(venue) => {
                if let Some(at) = self.seat_at(*venue)
                    && let Some(link_at) = self.seats[at].entry()
                {
                    let fault = LinkFault::Wish("requests are not answered");
                    self.lose(desk, at, link_at, fault, now);
                }
            }
            Action::Reconcile(venue) => {
                let Some(at) = self.seat_at(*venue) else {
                    return;
                };
                let _ = self.speak(desk, at, now, |machine, registry, sink| {
                    machine.reconcile(registry, now, sink);
                    Ok(())
                });
            }
        }
    }

    /// As [`Sessions::speak`], for what may wait: refused while the order link has room for little more than
    /// cancels. A peer that stands still for a moment costs the orders of that moment and not the link.
    #[inline]
    fn ask<D: Desk>(
        &mut self,
        desk: &mut D,
        seat_at: usize,
        now: Now,
        say: impl FnOnce(&mut AnyVenue, &Registry, &mut LaneSink<'_, D>) -> Result<(), EntryError>,
    ) -> Result<(), EntryError> {
        let seat = &self.seats[seat_at];
        let entry = seat.entry().and_then(|at| seat.links.get(at));
        let socket = entry.and_then(Link::socket);
        let is_full = socket.is_some_and(|socket| self.transport.room(socket) < CANCEL_BYTES);
        if is_full || entry.is_some_and(Link::is_backlogged) {
            desk.wall().count(Counter::BacklogRefusals);
            return Err(EntryError::Backlog);
        }
        self.speak(desk, seat_at, now, say)
    }

    fn cancel_all(&mut self, desk: &mut impl Desk, instrument: InstrumentId, now: Now) {
        let mut live = core::mem::take(&mut self.live);
        live.clear();
        desk.live(instrument, &mut live);
        if let Some(at) = self.seat_of(instrument)
            && !live.is_empty()
        {
            let result = self.speak(desk, at, now, |venue, registry, sink| {
                venue.cancel_all(registry, instrument, &live, now, sink)
            });
            let outcome = if result.is_ok() {
                self.flush_orders(desk, at, now);
                Outcome::CancelSent
            } else {
                desk.wall().count(Counter::RateRefusals);
                Outcome::CancelRefused
            };
            for order in &live {
                desk.outcome(outcome(order.client_id), now);
            }
        }
        self.live = live;
    }

    /// Lets a venue machine speak.
    fn speak<D: Desk>(
        &mut self,
        desk: &mut D,
        seat_at: usize,
        now: Now,
        say: impl FnOnce(&mut AnyVenue, &Registry, &mut LaneSink<'_, D>) -> Result<(), EntryError>,
    ) -> Result<(), EntryError> {
        let seat = &mut self.seats[seat_at];
        let start = tsc();
        let registry = &self.registries[usize::from(seat.feed)];
        let (result, _) = tell(
            &mut seat.venue,
            &mut seat.outbox,
            desk,
            (seat.feed, now, start),
            |venue, sink| say(venue, registry, sink),
        );
        if result.is_ok() {
            desk.wall().stamp(Stage::Encode, start);
        }
        result
    }

    fn flush_orders(&mut self, desk: &mut impl Desk, seat_at: usize, now: Now) {
        self.flush_outbox(desk, seat_at, now);
        if let Some(link_at) = self.seats[seat_at].entry() {
            self.send_link(desk, seat_at, link_at, now);
        }
    }
}

impl Seat {
    /// Place of the link new orders leave by.
    fn entry(&self) -> Option<usize> {
        let id = self.venue.entry_link();
        self.links.iter().position(|link| link.spec.id == id)
    }
}

/// Why the venue machine did not write a new order, as the order's reason.
const fn reason_of(error: EntryError) -> RejectReason {
    match error {
        EntryError::NotReady | EntryError::Backlog => RejectReason::VenueDown,
        EntryError::RateLimited => RejectReason::RateLimit,
        EntryError::Unsupported => RejectReason::Invalid,
        EntryError::UnknownInstrument => RejectReason::BadSymbol,
    }
}

/// The last look before an order leaves.
pub(crate) fn admit(
    desk: &mut impl Desk,
    order: &Cleared<NewOrder>,
    orders: &mut Vec<NewOrder>,
    now: Now,
) {
    if desk.may_send(now.unix) {
        orders.push(**order);
    } else {
        desk.outcome(Outcome::NewWithheld(order.client_id), now);
    }
}

/// Whether an order may stand behind another in one request.
pub(crate) fn follows(last: &NewOrder, order: &NewOrder) -> bool {
    last.instrument == order.instrument
        && last.client_id.0.checked_add(1) == Some(order.client_id.0)
}
