//! Where orders live: a slab of fixed size, an index by client order id, and one list each for the live
//! orders of an instrument, the final ones (oldest first) and the free places.
//!
//! ```text
//!   index: id ─▶ place          slab:  [ order prev next ][ order prev next ] …
//!   live[instrument] ⇄ ⇄ ⇄      finals ⇄ ⇄ ⇄ ⇄      free ⇄ ⇄
//! ```
//!
//! Every place is on exactly one list, so adding, finding, finishing and forgetting an order are all O(1). What works on
//! each side of an instrument is kept as they change: an order is changed through [`Held`] only.

use crate::index::{Index, mix};
use crate::order::Order;
use crate::working::{Part, Working};
use core::ops::{Deref, DerefMut};
use dp_types::{
    ClientOrderId, InstrumentId, NewOrder, OrderKind, Price, Qty, Side, StrategyId, Tif, UnixNanos,
    VenueId,
};

const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

const EMPTY: List = List {
    head: NONE,
    tail: NONE,
};

#[derive(Debug, Clone, Copy)]
struct Place {
    order: Order,
    /// As it is counted in what works.
    part: Part,
    is_retired: bool,
    prev: u32,
    next: u32,
}

/// The table of one lane's orders.
#[derive(Debug)]
pub(crate) struct Table {
    places: Box<[Place]>,
    index: Index,
    live: Box<[List]>,
    /// Buys and sells of each instrument.
    working: Box<[[Working; 2]]>,
    finals: List,
    free: List,
    live_count: usize,
    live_max: usize,
    final_count: usize,
    final_max: usize,
}

impl Table {
    /// Takes, and touches, all its memory here.
    pub(crate) fn new(instruments: usize, live_max: usize, final_max: usize) -> Self {
        let room = live_max + final_max;
        let nothing = NewOrder {
            instrument: InstrumentId(0),
            client_id: ClientOrderId(0),
            side: Side::Buy,
            kind: OrderKind::Limit,
            tif: Tif::Gtc,
            price: Price(0),
            qty: Qty(0),
        };
        let order = Order::new(&nothing, VenueId(0), StrategyId(0), UnixNanos(0));
        let place = Place {
            order,
            part: Part::default(),
            is_retired: false,
            prev: NONE,
            next: NONE,
        };
        let nothing_works = [Working::new(Side::Buy), Working::new(Side::Sell)];
        let mut table = Self {
            places: vec![place; room].into_boxed_slice(),
            index: Index::new(room),
            live: vec![EMPTY; instruments].into_boxed_slice(),
            working: vec![nothing_works; instruments].into_boxed_slice(),
            finals: EMPTY,
            free: EMPTY,
            live_count: 0,
            live_max,
            final_count: 0,
            final_max,
        };
        for at in 0..room as u32 {
            table.free = table.push(table.free, at);
        }
        table
    }

    pub(crate) const fn held_count(&self) -> usize {
        self.live_count
    }

    pub(crate) const fn has_room(&self, count: usize) -> bool {
        self.live_count.saturating_add(count) <= self.live_max
    }

    pub(crate) const fn has_instrument(&self, instrument: InstrumentId) -> bool {
        (instrument.0 as usize) < self.live.len()
    }

    #[inline]
    fn place(&self, id: ClientOrderId) -> Option<u32> {
        self.index.find(mix(id.0), |at| {
            self.places[at as usize].order.client_id == id
        })
    }

    #[inline]
    pub(crate) fn get(&self, id: ClientOrderId) -> Option<&Order> {
        self.place(id).map(|at| &self.places[at as usize].order)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: ClientOrderId) -> Option<Held<'_>> {
        let at = self.place(id)?;
        Some(Held {
            place: &mut self.places[at as usize],
            working: &mut self.working,
        })
    }

    /// What works on one side of an instrument: what is left of it, and the best price of ours.
    #[inline]
    pub(crate) fn working(&mut self, instrument: InstrumentId, side: Side) -> (Qty, Option<Price>) {
        let side = usize::from(side == Side::Sell);
        let Some(both) = self.working.get(instrument.0 as usize) else {
            return (Qty(0), None);
        };
        let working = &both[side];
        if working.is_sure() {
            return (working.leaves(), working.best());
        }
        let mut working = *working;
        working.look(self.held(instrument));
        self.working[instrument.0 as usize][side] = working;
        (working.leaves(), working.best())
    }

    fn recount(&mut self, at: u32) {
        recount(&mut self.places[at as usize], &mut self.working);
    }

    /// Adds a live order. Says whether it could: not when full, known, or of no instrument of ours.
    pub(crate) fn insert(&mut self, order: Order) -> bool {
        let instrument = order.instrument;
        if !self.has_room(1)
            || !self.has_instrument(instrument)
            || self.place(order.client_id).is_some()
        {
            return false;
        }
        // live_max + final_max places, and neither list is longer than its share.
        let at = self.free.head;
        assert!(
            at != NONE,
            "a place is free while fewer than live_max are live"
        );
        self.free = self.unlink(self.free, at);
        let place = &mut self.places[at as usize];
        (place.order, place.part, place.is_retired) = (order, Part::default(), false);
        self.recount(at);
        self.index.insert(mix(order.client_id.0), at);
        let list = self.live[instrument.0 as usize];
        self.live[instrument.0 as usize] = self.push(list, at);
        self.live_count += 1;
        true
    }

    /// An order is final and paid for: it leaves its instrument's list. The oldest final one is forgotten
    /// when there are more than are kept. One that was retired already stays where it is.
    pub(crate) fn retire(&mut self, id: ClientOrderId) {
        let Some(at) = self.place(id) else { return };
        if core::mem::replace(&mut self.places[at as usize].is_retired, true) {
            return;
        }
        let instrument = self.places[at as usize].order.instrument.0 as usize;
        self.live[instrument] = self.unlink(self.live[instrument], at);
        self.live_count -= 1;
        self.recount(at);
        self.finals = self.push(self.finals, at);
        self.final_count += 1;
        if self.final_count > self.final_max {
            let oldest = self.finals.head;
            let id = self.places[oldest as usize].order.client_id;
            self.finals = self.unlink(self.finals, oldest);
            self.final_count -= 1;
            self.index.remove(mix(id.0), oldest);
            self.free = self.push(self.free, oldest);
        }
    }

    /// Takes an order back if it was retired. Says whether it is held now: not when nobody knows it, or too many are.
    pub(crate) fn revive(&mut self, id: ClientOrderId) -> bool {
        let Some(at) = self.place(id) else {
            return false;
        };
        if !self.places[at as usize].is_retired {
            return true;
        }
        if !self.has_room(1) {
            return false;
        }
        self.places[at as usize].is_retired = false;
        self.finals = self.unlink(self.finals, at);
        self.final_count -= 1;
        let instrument = self.places[at as usize].order.instrument.0 as usize;
        self.live[instrument] = self.push(self.live[instrument], at);
        self.live_count += 1;
        self.recount(at);
        true
    }

    /// Orders of an instrument that were not retired, oldest first.
    pub(crate) fn held(&self, instrument: InstrumentId) -> impl Iterator<Item = &Order> + '_ {
        let list = self.live.get(instrument.0 as usize).copied();
        self.walk(list.unwrap_or(EMPTY))
    }

    /// All orders that were not retired, by instrument.
    pub(crate) fn all_held(&self) -> impl Iterator<Item = &Order> + '_ {
        self.live.iter().flat_map(|list| self.walk(*list))
    }

    /// The latest of the final orders that are kept, newest last.
    pub(crate) fn finals(&self) -> impl Iterator<Item = &Order> + '_ {
        self.walk(self.finals)
    }

    /// Calls `on` for each live order; `on` may change it but not its place.
    pub(crate) fn each_live_mut(&mut self, mut on: impl FnMut(&mut Order)) {
        for list in 0..self.live.len() {
            self.each_of(self.live[list], &mut on);
        }
    }

    /// Calls `on` for each order, live or final; `on` may change it but not its place.
    pub(crate) fn each_mut(&mut self, mut on: impl FnMut(&mut Order)) {
        self.each_live_mut(&mut on);
        self.each_of(self.finals, &mut on);
    }

    fn each_of(&mut self, list: List, on: &mut impl FnMut(&mut Order)) {
        let mut at = list.head;
        while at != NONE {
            let place = &mut self.places[at as usize];
            on(&mut place.order);
            let next = place.next;
            self.recount(at);
            at = next;
        }
    }

    fn walk(&self, list: List) -> impl Iterator<Item = &Order> + '_ {
        let mut at = list.head;
        core::iter::from_fn(move || {
            let place = self.places.get(at as usize)?;
            at = place.next;
            Some(&place.order)
        })
    }

    fn push(&mut self, mut list: List, at: u32) -> List {
        let place = &mut self.places[at as usize];
        (place.prev, place.next) = (list.tail, NONE);
        match list.tail {
            NONE => list.head = at,
            tail => self.places[tail as usize].next = at,
        }
        list.tail = at;
        list
    }

    fn unlink(&mut self, mut list: List, at: u32) -> List {
        let Place { prev, next, .. } = self.places[at as usize];
        match prev {
            NONE => list.head = next,
            prev => self.places[prev as usize].next = next,
        }
        match next {
            NONE => list.tail = prev,
            next => self.places[next as usize].prev = prev,
        }
        list
    }
}

/// An order may have changed, or its list: its part of what works follows.
#[inline]
fn recount(place: &mut Place, working: &mut [[Working; 2]]) {
    let after = if place.is_retired {
        Part::default()
    } else {
        Part::of(&place.order)
    };
    if after != place.part {
        let order = &place.order;
        let sides = &mut working[order.instrument.0 as usize];
        sides[usize::from(order.side == Side::Sell)].step(place.part, after);
        place.part = after;
    }
}

/// An order that is being changed. When this is let go, what works on its side is right again.
pub(crate) struct Held<'a> {
    place: &'a mut Place,
    working: &'a mut [[Working; 2]],
}

impl Deref for Held<'_> {
    type Target = Order;

    #[inline]
    fn deref(&self) -> &Order {
        &self.place.order
    }
}

impl DerefMut for Held<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Order {
        &mut self.place.order
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        recount(self.place, self.working);
    }
}
