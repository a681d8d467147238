//! Books of single orders: the `full` channel counts its messages, and the book it counts from is fetched.
//!
//! ```text
//! full confirmed ─▶ wanted ─(pause, bucket)─▶ GET /products/X/book?level=3 ─▶ answered, or failed: wanted again
//!                     ▲────────────────────── the keeper lost its place ◀────────┘
//! ```
//! The answer is the venue's largest. It is asked for one product at a time, and seldomer while it does not help.

use super::{ANSWER_WAIT_NS, RETRY_NS, SECOND_NS, Session, min_of};
use crate::LINK_REST;
use crate::limits::Kind;
use crate::rest::{self, Ask};
use dp_types::{InstrumentId, Now, UnixNanos};
use dp_venue_api::{Control, Event, Registry, RestMethod, Sink};

/// The first pause between two books of one product, twice as long each time, and the longest.
const PAUSE_NS: u64 = SECOND_NS;
const PAUSE_NS_MAX: u64 = 16 * SECOND_NS;
/// A book that asked for nothing this long is well again.
const CALM_NS: u64 = 60 * SECOND_NS;

/// One product whose single orders are followed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Single {
    id: InstrumentId,
    /// When its book is asked for, again where it was.
    due: Option<UnixNanos>,
    /// It is on its way.
    is_awaited: bool,
    asked: UnixNanos,
    attempts: u32,
}

impl Single {
    pub(super) const fn new(id: InstrumentId) -> Self {
        Self {
            id,
            due: None,
            is_awaited: false,
            asked: UnixNanos(0),
            attempts: 0,
        }
    }

    pub(super) const fn id(&self) -> InstrumentId {
        self.id
    }

    fn pause_ns(&self) -> u64 {
        let doublings = self.attempts.saturating_sub(1).min(8);
        (PAUSE_NS << doublings).min(PAUSE_NS_MAX)
    }

    /// It is wanted, and not before a pause since it was asked for.
    fn want(&mut self, now: Now) {
        let earliest = match self.asked.0 {
            0 => now.unix,
            _ => self.asked.after(self.pause_ns()).max(now.unix),
        };
        self.due = Some(earliest);
    }
}

impl Session {
    /// The keeper has lost its place. While the channel is not confirmed there is nothing to do: its confirmation has
    /// all books fetched.
    pub(crate) fn request_l3(
        &mut self,
        registry: &Registry,
        id: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        let single = self.singles.iter_mut().find(|single| single.id == id);
        if let Some(single) = single.filter(|it| self.is_full_ready && !it.is_awaited) {
            single.want(now);
            self.ask_singles(registry, now, out);
        }
    }

    /// The channel is confirmed: what is fetched from now on can be followed by it.
    pub(super) fn full_confirmed(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.is_full_ready = true;
        for single in &mut self.singles {
            single.want(now);
        }
        self.ask_singles(registry, now, out);
    }

    /// The link is gone: its books are not to be trusted.
    pub(super) fn lose_singles(&mut self, out: &mut impl Sink) {
        self.is_full_ready = false;
        for single in &mut self.singles {
            (single.due, single.is_awaited) = (None, false);
            out.event(&Event::Control(Control::L3Lost(single.id)));
        }
    }

    /// When a book is asked for next.
    pub(super) fn singles_due(&self) -> Option<UnixNanos> {
        min_of(self.singles.iter().map(|single| single.due))
    }

    pub(super) fn ask_singles(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let Self {
            singles,
            auth,
            limits,
            ..
        } = self;
        let Some(auth) = auth.as_ref().filter(|_| self.is_rest_open) else {
            return; // the link's opening asks
        };
        for single in singles {
            if single.due.is_none_or(|due| due > now.unix) {
                continue;
            }
            let Some(known) = registry.get(single.id) else {
                continue;
            };
            if !limits.take(now.unix, Kind::Public) {
                single.due = Some(now.unix.after(RETRY_NS));
                continue;
            }
            let is_calm = now.unix.since(single.asked) > CALM_NS;
            single.attempts = if is_calm { 1 } else { single.attempts + 1 };
            single.asked = now.unix;
            single.is_awaited = true;
            single.due = Some(now.unix.after(ANSWER_WAIT_NS));
            let target = format!("/products/{}/book?level=3", known.symbol);
            let ask = (LINK_REST, Ask::Book(single.id));
            rest::signed(auth, ask, (RestMethod::Get, &target), &[], now, out);
        }
    }

    /// A book was answered, and could be read or not: the keeper asks again if it does not fit.
    pub(super) fn single_answered(&mut self, id: InstrumentId, is_read: bool, now: Now) {
        let single = self.singles.iter_mut().find(|single| single.id == id);
        let Some(single) = single.filter(|single| single.is_awaited) else {
            return;
        };
        (single.is_awaited, single.due) = (false, None);
        if !is_read {
            single.want(now);
        }
    }
}
