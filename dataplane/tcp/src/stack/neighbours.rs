//! Hardware addresses of next hops, told from outside. An address wanted and not yet known keeps its
//! place, so whoever reads the kernel's table can ask what is missing.

use crate::wire::ethernet::Mac;
use core::net::Ipv4Addr;

/// Next hops at most: venues on one link, or gateways.
const NEIGHBOURS_MAX: usize = 64;

struct Neighbour {
    address: Ipv4Addr,
    mac: Option<Mac>,
    /// When it was last known, before it was lost.
    lost_at: u64,
}

pub(super) struct Neighbours {
    known: Vec<Neighbour>,
}

impl Neighbours {
    pub(super) fn new() -> Self {
        Self {
            known: Vec::with_capacity(NEIGHBOURS_MAX),
        }
    }

    /// Place of an address, made if need be; `None` when all are taken.
    pub(super) fn place(&mut self, address: Ipv4Addr) -> Option<usize> {
        let found = self.known.iter().position(|known| known.address == address);
        if found.is_none() && self.known.len() < NEIGHBOURS_MAX {
            self.known.push(Neighbour {
                address,
                mac: None,
                lost_at: 0,
            });
            return Some(self.known.len() - 1);
        }
        found
    }

    /// Returns false when there is no place.
    pub(super) fn set(&mut self, address: Ipv4Addr, mac: Option<Mac>, now: u64) -> bool {
        let place = self.place(address);
        match place.and_then(|place| self.known.get_mut(place)) {
            Some(known) => {
                if known.mac.is_some() && mac.is_none() {
                    known.lost_at = now;
                }
                known.mac = mac;
                true
            }
            None => false,
        }
    }

    pub(super) fn set_place(&mut self, place: usize, mac: Mac) {
        if let Some(known) = self.known.get_mut(place) {
            known.mac = Some(mac);
        }
    }

    pub(super) fn mac(&self, place: usize) -> Option<Mac> {
        self.known.get(place).and_then(|known| known.mac)
    }

    /// Since when an address is not known; 0 = it never was.
    pub(super) fn lost_at(&self, place: usize) -> u64 {
        self.known.get(place).map_or(0, |known| known.lost_at)
    }

    pub(super) fn missing(&self) -> impl Iterator<Item = Ipv4Addr> {
        let unknown = self.known.iter().filter(|known| known.mac.is_none());
        unknown.map(|known| known.address)
    }
}
