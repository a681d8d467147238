//! Flow rules of a card: one venue's frames to one queue, whatever the hash would say.
//!
//! ```text
//!   ethtool_rxnfc, 192 bytes
//!   command:4 | –:4 | –:8 | flow type:4 | header:52 | –:20 | mask:52 | –:20 | –:4 | queue:8 | location:4 | –:4 | –:8
//!                           source:4 | target:4 | source port:2 | target port:2     (network order)
//! ```
//!
//! A rule stays in the card after the process, so it is written down first ([`Undo`]). A veth has none: here
//! only the request's bytes and the undo can be tested, a real card must show the rest.
//! Source: include/uapi/linux/ethtool.h (`ethtool_rxnfc`, `ethtool_rx_flow_spec`, `RX_CLS_LOC_*`).

use super::ethtool::call;
use super::fault::XdpFault;
use super::program::Flow;
use super::undo::{Change, Undo};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

const ALL: u32 = 0x30;
const INSERT: u32 = 0x32;
const DELETE: u32 = 0x31;
const COUNT: u32 = 0x2e;
const TCP_V4: u32 = 1;
/// The card picks the place, which it says it can by a bit in the answer to `COUNT`.
const ANYWHERE: u32 = u32::MAX;
const CAN_PICK: u64 = 1 << 31;

const FLOW_TYPE: Range<usize> = 16..20;
const HEADER: usize = 20;
const MASK: usize = 92;
/// Where a card's list of rules has its places, and how many of them are read.
const PLACES: usize = 188;
const PLACES_MAX: usize = 2048;
const QUEUE: Range<usize> = 168..176;
const LOCATION: Range<usize> = 176..180;

/// `struct ethtool_rxnfc` as bytes; aligned as the kernel's.
#[repr(C, align(8))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Request([u8; 192]);

/// A card's list of its rules: the request with their places behind it.
#[repr(C, align(8))]
struct List([u8; PLACES + 4 * PLACES_MAX]);

/// Brings one lane's flows to its queue: a card with several would spread them by a hash. Cold: each flow is a
/// few system calls and a line in the list of changes.
#[derive(Debug, Clone)]
pub struct FlowRules {
    undo: Arc<Mutex<Undo>>,
    interface: String,
    queue: u32,
}

impl FlowRules {
    /// Rules of `interface` for the lane on `queue`, until `undo` is dropped.
    pub fn new(undo: &Arc<Mutex<Undo>>, interface: &str, queue: u32) -> Self {
        Self {
            undo: Arc::clone(undo),
            interface: interface.to_owned(),
            queue,
        }
    }

    /// Whether the card takes rules at all. Errors: the kernel's, EOPNOTSUPP above all.
    pub fn check(interface: &str) -> Result<(), XdpFault> {
        let asked = call(interface, &mut request(COUNT));
        asked.map_err(|errno| XdpFault::Os {
            what: "ethtool: flow rules",
            errno,
        })
    }

    /// Brings a flow to the queue: its ports of ours are left open, the program checks them.
    ///
    /// Errors: ENOSPC when the card's table is full, EOPNOTSUPP from cards without flow rules (switch
    /// [`super::ethtool::Offload::Ntuple`] on).
    pub fn insert(&self, flow: Flow) -> Result<Rule, XdpFault> {
        let mut undo = self.undo.lock().unwrap_or_else(PoisonError::into_inner);
        let os = |errno| XdpFault::Os {
            what: "ethtool: flow rule",
            errno,
        };
        let mut count = request(COUNT);
        call(&self.interface, &mut count).map_err(os)?;
        if u64_at(&count, 8..16) & CAN_PICK == 0 {
            let location = free_place(&self.interface).map_err(os)?;
            undo.record(self.change(location))?;
            let mut wanted = insert_request(flow, self.queue, location);
            if let Err(errno) = call(&self.interface, &mut wanted) {
                // The place stays free for somebody else's rule.
                undo.strike(&self.change(location))?;
                return Err(os(errno));
            }
            return Ok(Rule { location });
        }
        let mut wanted = insert_request(flow, self.queue, ANYWHERE);
        call(&self.interface, &mut wanted).map_err(os)?;
        let location = u32_at(&wanted, LOCATION);
        // Known only now. A crash in between leaves a rule that sends a venue's frames to a queue.
        undo.record(self.change(location))?;
        Ok(Rule { location })
    }

    /// Takes a rule out again before the rest is undone: its place may be another's from now on.
    /// Errors: the card's; the rule stays written down.
    pub fn remove(&self, rule: Rule) -> Result<(), XdpFault> {
        let mut undo = self.undo.lock().unwrap_or_else(PoisonError::into_inner);
        delete(&self.interface, rule.location)?;
        undo.strike(&self.change(rule.location))
    }

    fn change(&self, location: u32) -> Change {
        Change::Rule {
            interface: self.interface.clone(),
            location,
        }
    }
}

/// The highest place of a card's table that has no rule: rules of low places win, and an operator's shall.
/// Errors: the card's; ENOSPC when it has none, or does not tell. A rule put into a place that has one takes
/// that one's place.
fn free_place(interface: &str) -> Result<u32, i32> {
    let mut list = Box::new(List([0; PLACES + 4 * PLACES_MAX]));
    list.0[..4].copy_from_slice(&ALL.to_ne_bytes());
    list.0[184..PLACES].copy_from_slice(&(PLACES_MAX as u32).to_ne_bytes());
    call(interface, &mut *list)?;
    let word = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&list.0[at..at + 4]);
        u32::from_ne_bytes(bytes)
    };
    let count = (word(184) as usize).min(PLACES_MAX);
    let used: Vec<u32> = (0..count).map(|at| word(PLACES + 4 * at)).collect();
    // The size of the table is in the low bits; the highest says that the card can pick.
    highest_free(word(8) & !(CAN_PICK as u32), &used).ok_or(libc::ENOSPC)
}

fn highest_free(size: u32, used: &[u32]) -> Option<u32> {
    // One more look than there are rules finds a place, or there is none.
    let places = (0..size).rev().take(used.len() + 1);
    let mut free = places.filter(|place| !used.contains(place));
    free.next()
}

/// A rule that is in a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Where in its table.
    pub location: u32,
}

/// Takes a rule out of a card. One that is not there is none.
pub(super) fn delete(interface: &str, location: u32) -> Result<(), XdpFault> {
    let mut wanted = delete_request(location);
    match call(interface, &mut wanted) {
        Ok(()) | Err(libc::ENOENT) => Ok(()),
        Err(errno) => Err(XdpFault::Os {
            what: "ethtool: taking a flow rule out",
            errno,
        }),
    }
}

fn request(command: u32) -> Request {
    let mut request = Request([0; 192]);
    put(&mut request, 0..4, &command.to_ne_bytes());
    request
}

fn insert_request(flow: Flow, queue: u32, location: u32) -> Request {
    let mut wanted = request(INSERT);
    put(&mut wanted, FLOW_TYPE, &TCP_V4.to_ne_bytes());
    let Flow { venue, local } = flow;
    put(&mut wanted, HEADER..HEADER + 4, &venue.ip().octets());
    put(&mut wanted, HEADER + 4..HEADER + 8, &local.octets());
    put(
        &mut wanted,
        HEADER + 8..HEADER + 10,
        &venue.port().to_be_bytes(),
    );
    // Both addresses and the venue's port count; ours and the type of service do not.
    put(&mut wanted, MASK..MASK + 10, &[0xff; 10]);
    put(&mut wanted, QUEUE, &u64::from(queue).to_ne_bytes());
    put(&mut wanted, LOCATION, &location.to_ne_bytes());
    wanted
}

fn delete_request(location: u32) -> Request {
    let mut wanted = request(DELETE);
    put(&mut wanted, LOCATION, &location.to_ne_bytes());
    wanted
}

fn put(request: &mut Request, at: Range<usize>, bytes: &[u8]) {
    request.0[at].copy_from_slice(bytes);
}

fn u32_at(request: &Request, at: Range<usize>) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&request.0[at]);
    u32::from_ne_bytes(bytes)
}

fn u64_at(request: &Request, at: Range<usize>) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&request.0[at]);
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rules_bytes_are_where_the_kernel_looks() {
        let flow = Flow {
            venue: "203.0.113.7:443".parse().unwrap(),
            local: [192, 0, 2, 9].into(),
        };
        let Request(bytes) = insert_request(flow, 3, 17);
        let mut want = [0u8; 192];
        want[0] = 0x32;
        want[16] = 1;
        want[20..30].copy_from_slice(&[203, 0, 113, 7, 192, 0, 2, 9, 1, 187]);
        want[92..102].fill(0xff);
        want[168] = 3;
        want[176] = 17;
        assert_eq!(bytes, want);
        assert_eq!(insert_request(flow, 3, ANYWHERE).0[176..180], [0xff; 4]);
    }

    #[test]
    fn a_rule_goes_behind_an_operators() {
        assert_eq!(highest_free(8, &[]), Some(7));
        assert_eq!(highest_free(8, &[0, 7, 6]), Some(5));
        assert_eq!(
            highest_free(2, &[1, 0]),
            None,
            "a live rule would be overwritten"
        );
        assert_eq!(highest_free(0, &[]), None);
        assert_eq!(free_place("nosuch0"), Err(libc::ENODEV));
        assert!(FlowRules::check("nosuch0").is_err());
    }

    #[test]
    fn a_rule_is_taken_out_by_its_place() {
        let Request(bytes) = delete_request(17);
        let set: Vec<(usize, u8)> = bytes
            .into_iter()
            .enumerate()
            .filter(|(_, b)| *b != 0)
            .collect();
        assert_eq!(set, [(0, 0x31), (176, 17)]);
    }
}
