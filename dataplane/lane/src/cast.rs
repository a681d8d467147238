//! Which lane plays which part, and the rings between them, from a checked configuration.

use crate::node::NodeError;
use crate::roles::{Errand, Peer, Rings, Told};
use dp_config::{Config, Role};
use dp_host::Placement;
use dp_shm::spsc::{Receiver, Sender};
use dp_transport::Pages;
use dp_types::{LaneId, VenueId};

/// A lane's part.
pub enum Part {
    /// Everything for its venues.
    Whole,
    /// Feed or gateway or both, for the engine in another lane.
    Remote {
        /// Its ends of the rings.
        rings: (Sender<Told>, Receiver<Errand>),
        /// The engine's lane.
        engine: LaneId,
    },
    /// Engine and journal, for feeds and gateways in other lanes.
    Engine {
        /// Those lanes.
        peers: Vec<Peer>,
        /// What the rings it reads are on: the worst of them.
        pages: Pages,
        /// Node they are on, all of them.
        node: Option<u16>,
    },
}

/// Every lane's part, in order. Takes the rings' memory, each on the node of the lane that reads it.
///
/// Errors: no memory.
pub fn cast(config: &Config, seats: &[Placement]) -> Result<Vec<Part>, NodeError> {
    let mut parts: Vec<Part> = config.lane.iter().map(|_| Part::Whole).collect();
    for engine in 0..config.lane.len() {
        let kin = config.kin(engine);
        if !config.lane[engine].has(Role::Engine) || kin.is_empty() {
            continue;
        }
        let node = |lane: usize| seats.get(lane).and_then(|seat| seat.node);
        let (mut peers, mut pages, mut nodes) = (Vec::new(), Pages::Huge, Vec::new());
        for remote in kin {
            let rings = Rings::on_nodes(node(engine), node(remote))
                .map_err(|error| NodeError::Host(format!("rings of lane {remote}: {error}")))?;
            pages = worse(pages, rings.pages);
            nodes.push(rings.node);
            peers.push(Peer {
                rings: rings.engine,
                feeds: venues(config, Role::Feed, remote),
                gateways: venues(config, Role::Gateway, remote),
            });
            parts[remote] = Part::Remote {
                rings: rings.remote,
                engine: LaneId(engine as u8),
            };
        }
        let first = nodes.first().copied().flatten();
        parts[engine] = Part::Engine {
            peers,
            pages,
            node: first.filter(|_| nodes.iter().all(|node| *node == first)),
        };
    }
    Ok(parts)
}

/// Venues a lane has a role for.
pub fn venues(config: &Config, role: Role, lane: usize) -> Vec<VenueId> {
    let has_role = config.lane.get(lane).is_some_and(|it| it.has(role));
    let names = config.venues_of(lane).into_iter().filter(|_| has_role);
    names.filter_map(VenueId::from_name).collect()
}

/// Venues whose instruments a remote lane tells its engine: where it is the gateway, or there is none.
pub fn tells(config: &Config, lane: usize) -> Vec<VenueId> {
    let mut tells = venues(config, Role::Gateway, lane);
    for venue in venues(config, Role::Feed, lane) {
        if config.lanes_of(Role::Gateway, venue.name()).is_empty() {
            tells.push(venue);
        }
    }
    tells
}

/// Bytes of the rings a lane reads, as the planner counts them.
pub fn ring_bytes(config: &Config, lane: usize) -> u64 {
    let kin = config.kin(lane).len() as u64;
    let is_engine = config.lane.get(lane).is_some_and(|it| it.has(Role::Engine));
    kin * if is_engine {
        Rings::TOLD_BYTES
    } else {
        Rings::ERRAND_BYTES
    }
}

const fn worse(one: Pages, other: Pages) -> Pages {
    match (one, other) {
        (Pages::Small, _) | (_, Pages::Small) => Pages::Small,
        (Pages::Transparent, _) | (_, Pages::Transparent) => Pages::Transparent,
        _ => Pages::Huge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bits a lane shows in shared memory are read by name there.
    #[test]
    fn shared_memory_names_the_roles_in_the_configurations_order() {
        assert_eq!(Role::ALL.map(Role::name), dp_shm::ROLES);
        for (at, role) in Role::ALL.into_iter().enumerate() {
            assert_eq!(role as usize, at);
        }
    }
}
