//! Further feeds of a venue: machines that bring its market data once more, over connections of their own.

use crate::any_venue::AnyVenue;
use dp_types::LinkId;
use dp_venue_api::{LinkRole, Registry, RegistryError, Secrets, Venue as _, VenueConfig};
use std::net::SocketAddr;

/// Nodes that may share keys; the slots for nonces are eight, and feeds at most four.
const NODES: u8 = 2;

/// The machine of one more feed (1, 2, 3) beside a venue's own, without its keys unless market data needs them. Its
/// logins have nonces of their own: no two feeds of two nodes that share the keys have the same.
///
/// Errors: as [`AnyVenue::new`]; its symbols are registered already.
pub fn further_feed(
    own: &AnyVenue,
    config: &VenueConfig,
    feed: u8,
    registry: &mut Registry,
) -> Result<Option<AnyVenue>, RegistryError> {
    let secrets = if own.has_keyed_feed() {
        config.secrets.clone()
    } else {
        Secrets::default()
    };
    let config = VenueConfig {
        secrets,
        nonce_slot: config.nonce_slot + feed * NODES,
        is_further_feed: true,
        // The venue's own machine follows them.
        l3_symbols: Vec::new(),
        ..config.clone()
    };
    AnyVenue::new(own.id(), config, registry)
}

/// Whether a further feed opens this link: market data, and the requests its machine needs for that.
pub fn is_of_feed(machine: &AnyVenue, link: LinkId) -> bool {
    machine.link_role(link) != LinkRole::Orders
}

/// The addresses of a host that one of several feeds uses: each its own where there are enough, else all of them,
/// each beginning with another.
pub fn share(peers: &[SocketAddr], feed: usize, feeds: usize) -> Vec<SocketAddr> {
    let mut peers = peers.to_vec();
    if peers.len() >= feeds {
        let of = peers.into_iter().skip(feed).step_by(feeds.max(1));
        return of.collect();
    }
    let first = feed % peers.len().max(1);
    peers.rotate_left(first);
    peers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeds_go_to_other_addresses_where_there_are_some() {
        let peers: Vec<SocketAddr> = (1..=5u8)
            .map(|last| SocketAddr::from(([192, 0, 2, last], 443)))
            .collect();
        let all = |count: usize, feeds: usize| -> Vec<Vec<SocketAddr>> {
            let of = |feed| share(&peers[..count], feed, feeds);
            (0..feeds).map(of).collect()
        };
        assert_eq!(
            all(5, 1),
            std::slice::from_ref(&peers),
            "one feed has them all"
        );
        let parts = all(5, 2);
        assert_eq!(parts[0], [peers[0], peers[2], peers[4]]);
        assert_eq!(parts[1], [peers[1], peers[3]]);
        let few = all(2, 3);
        let firsts: Vec<_> = few.iter().map(|part| part[0]).collect();
        assert_eq!(firsts, [peers[0], peers[1], peers[0]]);
        assert!(few.iter().all(|part| part.len() == 2), "each may fail over");
        assert!(all(0, 2).concat().is_empty());
    }
}
