//! The places of connections: found by four-tuple, by handle, or by bit. Chains through the places,
//! heads by keyed hash, so neither a lookup nor a change allocates.

use crate::config::Config;
use crate::connection::{Connection, State};
use crate::counters::Counters;
use crate::hash::Secret;
use core::net::SocketAddrV4;

/// End of a chain.
const NONE: u16 = u16::MAX;

/// Names a connection of a stack. A name outlived by its connection finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnId {
    pub(super) index: u16,
    generation: u16,
}

impl ConnId {
    /// Dense number of the place, below the stack's number of connections.
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

pub(super) struct Slot {
    pub(super) conn: Connection,
    generation: u16,
    pub(super) is_used: bool,
    /// The application has its name: it opened it, or was told that it opened.
    pub(super) is_known: bool,
    /// Of a passive one, which of all; the oldest unconfirmed one gives way in a flood.
    pub(super) number: u64,
    /// The application has done with it.
    pub(super) is_released: bool,
    /// Place of its next hop among the neighbours.
    pub(super) neighbour: usize,
    /// When it wants to be polled although nothing came.
    pub(super) deadline: u64,
    next: u16,
}

impl Slot {
    /// Its connection is closed, and nobody wants to know.
    pub(super) fn is_over(&self) -> bool {
        self.conn.state() == State::Closed && (self.is_released || !self.is_known)
    }
}

pub(super) struct Table {
    slots: Box<[Slot]>,
    heads: Box<[u16]>,
    secret: Secret,
    /// Counts of connections that are no more.
    past: Counters,
}

impl Table {
    pub(super) fn new(config: &Config, connections: usize, secret: Secret) -> Self {
        let slot = |_| Slot {
            conn: Connection::new(config),
            generation: 0,
            is_used: false,
            is_known: false,
            number: 0,
            is_released: false,
            neighbour: 0,
            deadline: u64::MAX,
            next: NONE,
        };
        Self {
            slots: (0..connections).map(slot).collect(),
            heads: vec![NONE; (connections * 2).next_power_of_two()].into_boxed_slice(),
            secret,
            past: Counters::default(),
        }
    }

    /// An unused place.
    pub(super) fn free(&self) -> Option<usize> {
        self.slots.iter().position(|slot| !slot.is_used)
    }

    /// The unconfirmed connection that has waited longest.
    pub(super) fn oldest_half_open(&self) -> Option<usize> {
        let waiting = self.slots.iter().enumerate();
        let waiting = waiting.filter(|(_, slot)| slot.is_used && !slot.is_known);
        waiting
            .min_by_key(|(_, slot)| slot.number)
            .map(|(index, _)| index)
    }

    pub(super) fn slot(&self, index: usize) -> Option<&Slot> {
        self.slots.get(index)
    }

    pub(super) fn slot_mut(&mut self, index: usize) -> Option<&mut Slot> {
        self.slots.get_mut(index)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// Counts of all connections, those that are no more too.
    pub(super) fn totals(&self) -> Counters {
        let mut totals = self.past;
        let used = self.slots.iter().filter(|slot| slot.is_used);
        used.for_each(|slot| totals.add(slot.conn.counters()));
        totals
    }

    pub(super) fn id(&self, index: usize) -> ConnId {
        ConnId {
            index: index as u16,
            generation: self.slots.get(index).map_or(0, |slot| slot.generation),
        }
    }

    /// Place of a handle, while it is good.
    pub(super) fn resolve(&self, id: ConnId) -> Option<usize> {
        let index = usize::from(id.index);
        let slot = self.slots.get(index)?;
        (slot.is_used && slot.generation == id.generation).then_some(index)
    }

    /// Place of a four-tuple.
    #[inline]
    pub(super) fn find(&self, local: SocketAddrV4, remote: SocketAddrV4) -> Option<usize> {
        let mut next = *self.heads.get(self.bucket(local, remote))?;
        // A chain cannot be longer than the table.
        for _ in 0..self.slots.len() {
            let slot = self.slots.get(usize::from(next))?;
            let opening = slot.conn.opening();
            if opening.local == local && opening.remote == remote {
                return Some(usize::from(next));
            }
            next = slot.next;
        }
        None
    }

    /// Enters a place whose connection has just been opened.
    pub(super) fn link(&mut self, index: usize) {
        let Some(bucket) = self.bucket_of(index) else {
            return;
        };
        let (Some(head), Some(slot)) = (self.heads.get_mut(bucket), self.slots.get_mut(index))
        else {
            return;
        };
        slot.next = core::mem::replace(head, index as u16);
        slot.is_used = true;
        slot.generation = slot.generation.wrapping_add(1);
    }

    /// Frees a place.
    pub(super) fn unlink(&mut self, index: usize) {
        let Some(bucket) = self.bucket_of(index) else {
            return;
        };
        let after = self.slots.get(index).map_or(NONE, |slot| slot.next);
        let head = self.heads.get(bucket).copied().unwrap_or(NONE);
        if usize::from(head) == index {
            if let Some(head) = self.heads.get_mut(bucket) {
                *head = after;
            }
        } else {
            let before = self
                .slots
                .iter_mut()
                .find(|slot| slot.is_used && usize::from(slot.next) == index);
            if let Some(before) = before {
                before.next = after;
            }
        }
        if let Some(slot) = self.slots.get_mut(index) {
            self.past.add(slot.conn.counters());
            slot.is_used = false;
            slot.next = NONE;
            slot.deadline = u64::MAX;
        }
    }

    fn bucket_of(&self, index: usize) -> Option<usize> {
        let opening = self.slots.get(index)?.conn.opening();
        Some(self.bucket(opening.local, opening.remote))
    }

    fn bucket(&self, local: SocketAddrV4, remote: SocketAddrV4) -> usize {
        self.secret.bucket(local, remote) & (self.heads.len() - 1)
    }
}

/// A set of small numbers.
pub(super) struct Bits(Box<[u64]>);

impl Bits {
    pub(super) fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)].into_boxed_slice())
    }

    pub(super) fn add(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    pub(super) fn remove(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word &= !(1 << (index % 64));
        }
    }

    pub(super) fn has(&self, index: usize) -> bool {
        self.0
            .get(index / 64)
            .is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    pub(super) fn first(&self) -> Option<usize> {
        let (at, word) = self.0.iter().enumerate().find(|(_, word)| **word != 0)?;
        Some(at * 64 + word.trailing_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Opening;
    use crate::seq::Seq;
    use core::net::Ipv4Addr;

    #[test]
    fn every_tuple_is_found_until_it_is_unlinked_and_old_names_find_nothing() {
        let config = Config {
            send_buffer: 4_096,
            receive_buffer: 4_096,
            segments_max: 4,
            ..Config::default()
        };
        let mut table = Table::new(&config, 40, Secret::new([3; 16]));
        let local = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 443);
        let remote = |port: u16| SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), port);
        let mut ids = Vec::new();
        for port in 0..40 {
            let index = table.free().unwrap();
            let opening = Opening {
                local,
                remote: remote(port),
                initial_seq: Seq(0),
                timestamp_offset: 0,
            };
            table.slot_mut(index).unwrap().conn.connect(opening, 0);
            table.link(index);
            ids.push(table.id(index));
        }
        assert_eq!(table.free(), None);
        // Freed in an order that is not that of the chains.
        for step in 0..40u16 {
            let port = step * 7 % 40;
            let index = table.find(local, remote(port)).unwrap();
            assert_eq!(table.resolve(ids[usize::from(port)]), Some(index));
            table.unlink(index);
            assert_eq!(table.find(local, remote(port)), None);
            assert_eq!(table.resolve(ids[usize::from(port)]), None);
            let left = (0..40).filter(|port| table.find(local, remote(*port)).is_some());
            assert_eq!(left.count(), 39 - usize::from(step));
        }
    }

    #[test]
    fn bits_are_found_in_order() {
        let mut bits = Bits::new(130);
        for index in [129, 64, 3] {
            bits.add(index);
        }
        for index in [3, 64, 129] {
            assert_eq!(bits.first(), Some(index));
            assert!(bits.has(index));
            bits.remove(index);
        }
        assert_eq!(bits.first(), None);
    }
}
