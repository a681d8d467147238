//! Datagrams: multicast groups the lane has joined, each a line of its venue's feed.
//!
//! No link brings them: nothing is opened, proved or opened again. Which of two lines was first, what is missing and how
//! it is mended is the venue machine's to say.

use super::{Sessions, note_fault, tell};
use crate::desk::{Desk, Fact};
use dp_shm::Counter;
use dp_transport::{Chunk, Group, OpenError, Socket, Transport, tsc};
use dp_types::{Now, Tsc, VenueId};
use dp_venue_api::{LineCounts, Venue as _};

/// A group the lane hears.
#[derive(Debug, Clone, Copy)]
pub(super) struct Joined {
    socket: Socket,
    seat_at: usize,
    line: u8,
}

impl<T: Transport> Sessions<T> {
    /// Hears a group as a line of a venue's feed. Before the lane is confined.
    ///
    /// Errors: [`OpenError`]; nothing is heard of a venue the lane has not.
    pub(crate) fn hear(
        &mut self,
        venue: VenueId,
        line: u8,
        group: &Group,
    ) -> Result<(), OpenError> {
        let mut seats = self.seats.iter();
        let is_own = |seat: &super::Seat| seat.feed == 0 && seat.venue.id() == venue;
        if let Some(seat_at) = seats.position(is_own) {
            let socket = self.transport.join(group)?;
            self.groups.push(Joined {
                socket,
                seat_at,
                line,
            });
        }
        Ok(())
    }

    /// One datagram, where its socket is a group's.
    pub(super) fn on_datagram(
        &mut self,
        desk: &mut impl Desk,
        socket: Socket,
        chunk: Chunk,
        now: Now,
        arrived: Tsc,
    ) {
        let mut groups = self.groups.iter();
        let Some(Joined { seat_at, line, .. }) = groups.find(|it| it.socket == socket).copied()
        else {
            self.transport.release(chunk);
            return;
        };
        desk.on_bytes(arrived);
        let bytes = self.transport.bytes(&chunk);
        let counters = desk.wall().counters;
        counters.add(Counter::MessagesRx, 1);
        counters.add(Counter::BytesRx, bytes.len() as u64);
        let seat = &mut self.seats[seat_at];
        seat.last_message = now.unix;
        let registry = &self.registries[usize::from(seat.feed)];
        let at = (seat.feed, now, tsc());
        let (result, has_instruments) = tell(
            &mut seat.venue,
            &mut seat.outbox,
            desk,
            at,
            |venue, sink| venue.on_datagram(registry, line, now, bytes, sink),
        );
        note_fault(desk.wall(), seat.venue.id(), result);
        if has_instruments {
            self.instruments_known(desk, seat_at);
        }
        self.flush_seat(desk, seat_at, now, arrived);
        self.transport.release(chunk);
    }

    /// A group's socket has ended: nobody may join again, so its line is lost for this run.
    pub(super) fn on_group_closed(&mut self, desk: &mut impl Desk, socket: Socket, now: Now) {
        let Some(at) = self.groups.iter().position(|it| it.socket == socket) else {
            return;
        };
        let Joined { seat_at, line, .. } = self.groups.remove(at);
        let seat = &self.seats[seat_at];
        let venue = seat.venue.id();
        tracing::error!(%venue, line, "a multicast group is not heard any more: restart the node");
        if !self.groups.iter().any(|it| it.seat_at == seat_at) {
            desk.fact(venue, Fact::FeedLost(seat.feed), now);
        }
    }

    /// Adds what the lines have brought since the last time.
    pub(super) fn show_lines(&mut self, desk: &mut impl Desk) {
        if self.groups.is_empty() {
            return;
        }
        let mut sum = LineCounts::default();
        for counts in self.seats.iter().map(|seat| seat.venue.line_counts()) {
            for (sum, firsts) in sum.firsts.iter_mut().zip(counts.firsts) {
                *sum += firsts;
            }
            sum.copies += counts.copies;
            sum.filled += counts.filled;
        }
        let before = core::mem::replace(&mut self.lines, sum);
        let counters = desk.wall().counters;
        let firsts = sum.firsts.iter().zip(before.firsts);
        for (counter, (now, before)) in Counter::FEED_FIRSTS.into_iter().zip(firsts) {
            counters.add(counter, now - before);
        }
        counters.add(Counter::FeedCopies, sum.copies - before.copies);
        counters.add(Counter::HolesFilled, sum.filled - before.filled);
    }
}
