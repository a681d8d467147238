//! To whom a lane connects: venues with their keys, certificates and addresses, machines and links.

use super::{NodeError, Plan, sentence};
use crate::any_venue::AnyVenue;
use crate::link::Link;
use crate::resolve::{Inbox, Reach, Watched, resolve};
use crate::way::Way;
use dp_config::{Keys, Role, host_port};
use dp_proto::tls::{Roots, client_config};
use dp_types::VenueId;
use dp_venue_api::{LinkRole, LinkSpec, Registry, Secrets, Venue as _, VenueConfig};
use rustls::ClientConfig;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// A venue's configuration with everything looked up.
pub(super) struct VenueParts {
    id: VenueId,
    config: VenueConfig,
    tls: Arc<ClientConfig>,
}

/// What a lane with sockets is built from: instruments, its venues, where their hosts' addresses come in.
pub(super) type Machines = (Registry, Vec<VenueParts>, Inbox);

impl Plan<'_> {
    /// Reads keys and certificates of the venues the lane connects to. Errors name the file and the mend.
    pub(super) fn venues(&self) -> Result<Vec<VenueParts>, NodeError> {
        if !self.lane.has_sockets() {
            return Ok(Vec::new());
        }
        self.lane
            .venues
            .iter()
            .map(|name| self.venue(name))
            .collect()
    }

    fn venue(&self, name: &str) -> Result<VenueParts, NodeError> {
        let id =
            VenueId::from_name(name).ok_or_else(|| sentence(format!("venue.{name}: unknown")))?;
        let section = self
            .config
            .venue
            .get(name)
            .ok_or_else(|| sentence(format!("venue.{name}: no such section")))?;
        let keys = match &section.keys_file {
            // Without keys a machine keeps to market data.
            Some(path) if self.lane.has(Role::Gateway) => Keys::load(path)?,
            _ => Keys::default(),
        };
        let endpoint = |key: &str, text: &str| {
            host_port(text).map_err(|why| sentence(format!("venue.{name}.{key}: {why}")))
        };
        let config = VenueConfig {
            rest: endpoint("rest", &section.rest)?,
            public: endpoint("public", &section.public)?,
            private: endpoint("private", &section.private)?,
            symbols: section.symbols.clone(),
            secrets: Secrets {
                api_key: keys.api_key,
                api_secret: keys.api_secret,
                passphrase: keys.passphrase,
                ed25519_pem: keys.ed25519_pem,
            },
            order_window_ms: section.order_window_ms,
            nonce_slot: 0,
        };
        Ok(VenueParts {
            id,
            config,
            tls: tls_config(name, section)?,
        })
    }

    /// The hosts the lane connects to. None of a venue whose links cannot be made: its lane says why.
    pub(super) fn watched(&self, addresses: &Inbox) -> Vec<Watched> {
        let mut watched = Vec::new();
        for name in &self.lane.venues {
            let Ok(parts) = self.venue(name) else {
                continue;
            };
            let (mut registry, venue) = (Registry::new(), parts.id);
            let Ok(Some(machine)) = AnyVenue::new(venue, parts.config, &mut registry) else {
                continue;
            };
            watched.extend(machine.links().iter().map(|spec| Watched {
                venue,
                link: spec.id,
                host: spec.host.clone(),
                port: spec.port,
                peers: self.addresses(spec).unwrap_or_default(),
                reach: self.reach(),
                inbox: Arc::clone(addresses),
            }));
        }
        watched
    }

    /// Venue machines and those of their links that the lane has the roles for.
    pub(super) fn machines(
        &self,
        registry: &mut Registry,
        venues: Vec<VenueParts>,
    ) -> Result<Vec<(AnyVenue, Vec<Link>)>, NodeError> {
        let mut machines = Vec::new();
        for parts in venues {
            let (id, tls) = (parts.id, parts.tls);
            let machine = AnyVenue::new(id, parts.config, registry)
                .map_err(|error| sentence(format!("venue.{id}: {error}")))?
                .ok_or_else(|| sentence(format!("venue.{id}: this build has no machine for it")))?;
            let mut links = self.links(&machine, &tls)?;
            let is_market = |link: &Link| machine.link_role(link.spec.id) == LinkRole::Market;
            links.retain(|link| !is_market(link) || self.lane.has(Role::Feed));
            machines.push((machine, links));
        }
        Ok(machines)
    }

    fn links(&self, machine: &AnyVenue, tls: &Arc<ClientConfig>) -> Result<Vec<Link>, NodeError> {
        let seed = self.clock.now().unix.0 ^ u64::from(std::process::id()) << 32;
        let link = |(at, spec): (usize, &LinkSpec)| {
            let peers = self.addresses(spec).map_err(sentence)?;
            let seed = seed ^ (u64::from(self.id.0) << 16 | at as u64);
            Ok(Link::new(spec.clone(), peers, Arc::clone(tls), seed))
        };
        machine.links().iter().enumerate().map(link).collect()
    }

    /// Addresses of a link's host that the lane can reach. Errors: one sentence.
    fn addresses(&self, spec: &LinkSpec) -> Result<Vec<SocketAddr>, String> {
        self.reach()
            .keep(&spec.host, resolve(&spec.host, spec.port)?)
    }

    const fn reach(&self) -> Reach {
        match self.way {
            Way::IoUring | Way::Sockets => Reach::Any,
            Way::AfXdp(_) => Reach::Ipv4,
        }
    }
}

fn tls_config(name: &str, section: &dp_config::Venue) -> Result<Arc<ClientConfig>, NodeError> {
    let pin = match &section.pin_sha256 {
        Some(text) => Some(
            pin_of(text)
                .ok_or_else(|| sentence(format!("venue.{name}.pin_sha256: use 64 hex digits")))?,
        ),
        None => None,
    };
    let pem = match &section.ca_file {
        Some(path) => Some(read_pem(name, path)?),
        None => None,
    };
    let roots = pem.as_ref().map_or(Roots::Public, |pem| Roots::Ca(pem));
    client_config(roots, pin).map_err(|error| sentence(format!("venue.{name}: TLS: {error}")))
}

fn read_pem(name: &str, path: &Path) -> Result<Vec<u8>, NodeError> {
    std::fs::read(path)
        .map_err(|error| sentence(format!("venue.{name}.ca_file: {}: {error}", path.display())))
}

fn pin_of(text: &str) -> Option<[u8; 32]> {
    let mut pin = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (slot, pair) in pin.iter_mut().zip(text.as_bytes().chunks(2)) {
        *slot = u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(pin)
}
