//! A book of single orders and everything needed to trust it.
//!
//! ```text
//!            delta (held back)           snapshot, piece by piece
//!   Empty ─────────▶ Waiting ──────────────────────────────────────▶ Synced ──delta──▶ Synced
//!                      ▲      ◀── snapshot too old: fetch again         │
//!                      └──── hole · bad checksum · crossed · bad number · too many orders (stale at once)
//! ```
//!
//! The same states, proof and outcomes as the book of levels has; other rules, since the venues that show single orders
//! count, sum up and cut them otherwise.

use crate::keeper::{Outcome, Proof, State};
use crate::l3::{L3Book, L3Error};
use crate::sync::{Bootstrap, Gap};
use dp_types::limit::SPLICE_ORDERS_MAX;
use dp_types::{BookMsgKind, Instrument, L3Msg, RawOrder, UnixNanos, VenueNanos};

/// How one venue's book of single orders is kept.
pub trait OrdersRule {
    /// Where the snapshot comes from. One that is pushed and one that is fetched are told apart here alone.
    fn bootstrap(&self) -> Bootstrap;
    /// Whether each message's number is the one before and one.
    fn is_counted(&self) -> bool {
        false
    }
    /// How many prices a side the book that starts with this snapshot is kept, where the venue sends nothing for those
    /// that fall out; `None` where it does.
    fn levels_max(&self, snapshot: &L3Msg<'_>) -> Option<usize> {
        let _ = snapshot;
        None
    }
    /// The checksum the venue would send for this book; `None` where it has none.
    fn checksum(&self, book: &L3Book) -> Option<u32> {
        let _ = book;
        None
    }
}

/// A message held back, without its orders.
#[derive(Debug, Clone, Copy)]
struct Held {
    last_id: i64,
    venue_ns: VenueNanos,
    orders: (u32, u32),
}

/// A book of single orders under its rule.
#[derive(Debug, Clone)]
pub struct OrdersKeeper<R> {
    rule: R,
    book: L3Book,
    levels_max: Option<usize>,
    held: Vec<Held>,
    held_orders: Vec<RawOrder>,
    last_id: i64,
    /// Pieces of the snapshot are still to come.
    is_loading: bool,
    proof: Proof,
}

impl<R: OrdersRule> OrdersKeeper<R> {
    /// A keeper of at most `orders_max` orders. Takes all its memory here.
    pub fn new(rule: R, orders_max: usize) -> Self {
        let fetched = rule.bootstrap() != Bootstrap::Pushed;
        let room = |count: usize| if fetched { count } else { 0 };
        Self {
            book: L3Book::new(orders_max),
            levels_max: None,
            held: Vec::with_capacity(room(SPLICE_ORDERS_MAX)),
            held_orders: Vec::with_capacity(room(SPLICE_ORDERS_MAX)),
            last_id: -1,
            is_loading: false,
            proof: Proof {
                last_id: -1,
                ..Proof::default()
            },
            rule,
        }
    }

    /// Takes one message that arrived at `now`.
    ///
    /// Cost: O(1) an order, no allocation. Never panics on any content.
    pub fn on_msg(&mut self, msg: &L3Msg<'_>, instrument: &Instrument, now: UnixNanos) -> Outcome {
        match (msg.kind, self.proof.state) {
            (BookMsgKind::Snapshot, _) => self.on_snapshot(msg, instrument, now),
            (BookMsgKind::Delta, _) if self.is_loading => self.on_piece(msg, instrument, now),
            (BookMsgKind::Delta, State::Synced) => self.on_delta(msg, instrument, now),
            (BookMsgKind::Delta, _) => self.hold(msg),
        }
    }

    /// Forgets the book: its link was lost.
    pub fn reset(&mut self) {
        self.restart();
        self.proof.state = State::Empty;
    }

    /// The book. Only to be relied on while [`OrdersKeeper::proof`] says [`State::Synced`].
    pub const fn book(&self) -> &L3Book {
        &self.book
    }

    /// May it be trusted, up to which number, since when.
    pub const fn proof(&self) -> Proof {
        self.proof
    }

    fn hold(&mut self, msg: &L3Msg<'_>) -> Outcome {
        let is_first = self.proof.state == State::Empty;
        self.proof.state = State::Waiting;
        let is_pushed = self.rule.bootstrap() == Bootstrap::Pushed;
        match (is_pushed, is_first) {
            (true, true) => return Outcome::NeedSnapshot,
            (true, false) => return Outcome::Ignored,
            (false, _) => {}
        }
        if msg.has_hole {
            // What was held before it connects to nothing after it.
            self.forget_held();
        }
        if self.rule.is_counted() && self.held.first().is_some_and(|it| msg.last_id < it.last_id) {
            // Of before what is held: the rest of a snapshot that was too old for it, say.
            return Outcome::Ignored;
        }
        let count = self.held_orders.len() + msg.orders.len();
        if self.held.len() >= SPLICE_ORDERS_MAX || count > SPLICE_ORDERS_MAX {
            self.forget_held();
            return Outcome::NeedSnapshot;
        }
        let start = self.held_orders.len() as u32;
        self.held_orders.extend_from_slice(msg.orders);
        self.held.push(Held {
            last_id: msg.last_id,
            venue_ns: msg.venue_ns,
            orders: (start, self.held_orders.len() as u32),
        });
        if is_first {
            Outcome::NeedSnapshot
        } else {
            Outcome::Buffered
        }
    }

    fn on_snapshot(&mut self, msg: &L3Msg<'_>, instrument: &Instrument, now: UnixNanos) -> Outcome {
        let is_fetched = self.rule.bootstrap() == Bootstrap::Rest;
        if is_fetched && self.proof.state == State::Synced && msg.last_id <= self.last_id {
            // The late answer to an earlier question.
            return Outcome::Ignored;
        }
        let first = self.held.first().map(|held| held.last_id);
        if first.is_some_and(|first| self.rule.is_counted() && first > msg.last_id + 1) {
            self.proof.state = State::Waiting;
            return Outcome::NeedSnapshot;
        }
        self.book.clear();
        self.levels_max = self.rule.levels_max(msg);
        self.last_id = msg.last_id;
        self.is_loading = true;
        // Until it is whole nothing may be read off it.
        self.proof.state = State::Waiting;
        self.on_piece(msg, instrument, now)
    }

    fn on_piece(&mut self, msg: &L3Msg<'_>, instrument: &Instrument, now: UnixNanos) -> Outcome {
        if msg.last_id != self.last_id {
            // The rest of the snapshot never came.
            self.restart();
            return Outcome::NeedSnapshot;
        }
        if let Err(error) = self.put(msg.orders, instrument) {
            return error;
        }
        if msg.has_more {
            return Outcome::Buffered;
        }
        self.is_loading = false;
        self.proof.state = State::Synced;
        let whole = self.prove(msg, now);
        if whole != Outcome::Applied {
            return whole;
        }
        self.replay(instrument, now)
    }

    /// Applies what was held back over the snapshot just taken.
    fn replay(&mut self, instrument: &Instrument, now: UnixNanos) -> Outcome {
        let held = core::mem::take(&mut self.held);
        let orders = core::mem::take(&mut self.held_orders);
        let mut outcome = Outcome::Applied;
        for one in &held {
            let (start, end) = one.orders;
            let msg = L3Msg {
                instrument: instrument.id,
                kind: BookMsgKind::Delta,
                last_id: one.last_id,
                has_hole: false,
                has_more: false,
                checksum: None,
                orders: orders.get(start as usize..end as usize).unwrap_or_default(),
                venue_ns: one.venue_ns,
            };
            let step = self.on_delta(&msg, instrument, now);
            if step.needs_snapshot() {
                outcome = step;
                break;
            }
        }
        // The memory goes on being used.
        (self.held, self.held_orders) = (held, orders);
        self.forget_held();
        outcome
    }

    fn on_delta(&mut self, msg: &L3Msg<'_>, instrument: &Instrument, now: UnixNanos) -> Outcome {
        let expected = self.last_id.saturating_add(1);
        if self.rule.is_counted() && msg.last_id < expected {
            return Outcome::Ignored;
        }
        if msg.has_hole || (self.rule.is_counted() && msg.last_id > expected) {
            let gap = Gap {
                expected,
                got: msg.last_id,
            };
            self.restart();
            if self.rule.bootstrap() != Bootstrap::Pushed {
                // The message after the hole belongs to the next splice.
                let _ = self.hold(&L3Msg {
                    has_hole: false,
                    ..*msg
                });
            }
            return Outcome::Gap(gap);
        }
        if let Err(error) = self.put(msg.orders, instrument) {
            return error;
        }
        self.prove(msg, now)
    }

    fn put(&mut self, orders: &[RawOrder], instrument: &Instrument) -> Result<(), Outcome> {
        let before = self.last_id;
        for order in orders {
            if let Err(error) = self.book.apply_order(order, instrument) {
                self.restart();
                return Err(match error {
                    L3Error::Number(error) => Outcome::BadNumber(error),
                    L3Error::Full(_) => Outcome::TooMany,
                    // It was told of in a message we never had.
                    L3Error::Stranger => Outcome::Gap(Gap {
                        expected: before,
                        got: before,
                    }),
                });
            }
        }
        Ok(())
    }

    /// What must be so after each message.
    fn prove(&mut self, msg: &L3Msg<'_>, now: UnixNanos) -> Outcome {
        if let Some(levels_max) = self.levels_max {
            self.book.truncate(levels_max);
        }
        self.last_id = msg.last_id;
        (self.proof.last_id, self.proof.at) = (msg.last_id, now);
        if let Some(venue) = msg.checksum
            && let Some(ours) = self.rule.checksum(&self.book)
            && venue != ours
        {
            self.restart();
            return Outcome::BadChecksum { venue, ours };
        }
        if self.book.is_crossed() {
            self.restart();
            return Outcome::Crossed;
        }
        Outcome::Applied
    }

    fn forget_held(&mut self) {
        self.held.clear();
        self.held_orders.clear();
    }

    /// Stale at once: the orders stay readable for people, the proof is gone.
    fn restart(&mut self) {
        self.forget_held();
        self.is_loading = false;
        self.last_id = -1;
        self.proof.state = State::Waiting;
    }
}

#[cfg(test)]
#[path = "orders_tests.rs"]
mod tests;
