//! To whom a lane connects: venues with their keys, certificates and addresses, machines and links.

use super::{NodeError, Plan, sentence};
use crate::any_venue::AnyVenue;
use crate::budget;
use crate::desk::Desk;
use crate::fix::FixLink;
use crate::further::{further_feed, is_of_feed, share};
use crate::lane::Cycle;
use crate::link::Link;
use crate::resolve::{Inbox, Reach, Watched, resolve};
use crate::way::Way;
use dp_config::{Batches, MarketData, MulticastFeed, Role, host_port, load_keys};
use dp_proto::tls::{Roots, client_config};
use dp_shm::NumbersPage;
use dp_transport::{Group, SOCKETS_MAX, Transport};
use dp_types::VenueId;
use dp_venue_api::{
    FixConfig, FixInstrument, FixSpec, LinkRole, LinkSpec, Registry, RegistryError, Secrets,
    Venue as _, VenueConfig,
};
use rustls::ClientConfig;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// A venue's configuration with everything looked up.
pub(super) struct VenueParts {
    id: VenueId,
    config: VenueConfig,
    /// Connections that bring its market data.
    feeds: usize,
    /// Time between two races of its hosts' addresses beside a running link.
    race_ns: u64,
    tls: Arc<ClientConfig>,
}

/// What a lane with sockets is built from: instruments, its venues, where their hosts' addresses come in.
pub(super) type Machines = (Registry, Vec<VenueParts>, Inbox);

impl Plan<'_> {
    /// Whether the lane sends orders: on paper it opens no order link, and reads no keys for one.
    fn has_orders(&self) -> bool {
        self.lane.has(Role::Gateway) && !self.config.is_paper()
    }

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
        let secrets = match &section.keys_file {
            // Without keys a machine keeps to market data, where that needs none.
            Some(path) if self.has_orders() || !id.takes_orders() || has_keyed_feed(section) => {
                load_keys(path)?
            }
            _ => Secrets::default(),
        };
        let endpoint = |key: &str, text: &str| {
            if text.is_empty() {
                // A road this venue has not: the configuration has been checked.
                return Ok((String::new(), 0));
            }
            host_port(text).map_err(|why| sentence(format!("venue.{name}.{key}: {why}")))
        };
        let config = VenueConfig {
            rest: endpoint("rest", &section.rest)?,
            public: endpoint("public", &section.public)?,
            private: endpoint("private", &section.private)?,
            l3: endpoint("single_orders_host", &section.single_orders_host)?,
            symbols: section.symbols.clone(),
            l3_symbols: section.single_orders.clone(),
            secrets,
            order_window_ms: section.order_window_ms,
            nonce_slot: 0,
            is_further_feed: false,
            market_data: match section.market_data {
                _ if let Some(feed) = section.multicast_feed() => match feed {
                    MulticastFeed::Classic => dp_venue_api::MarketData::Multicast,
                    MulticastFeed::Starbase => dp_venue_api::MarketData::Starbase,
                },
                MarketData::Json => dp_venue_api::MarketData::Json,
                MarketData::Sbe => dp_venue_api::MarketData::Sbe,
            },
            fix: match &section.fix {
                Some(fix) => Some(fix_config(name, fix)?),
                None => None,
            },
            rest_batches: section.batches == Batches::Rest,
            budget: budget::of(self.config, usize::from(self.id.0), name),
        };
        Ok(VenueParts {
            id,
            config,
            feeds: usize::from(section.feeds),
            race_ns: u64::from(section.race_s) * 1_000_000_000,
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
            let (id, how) = (parts.id, (&parts.tls, parts.race_ns));
            let has_fix = parts.config.fix.is_some();
            let known = |made: Result<Option<AnyVenue>, RegistryError>| {
                made.map_err(|error| sentence(format!("venue.{id}: {error}")))?
                    .ok_or_else(|| sentence(no_machine(id, has_fix)))
            };
            if let Some(why) = AnyVenue::lacks_feed(id, &parts.config) {
                return Err(sentence(format!("venue.{id}: {why}")));
            }
            let has_feeds = self.lane.has(Role::Feed);
            let has_orders = self.has_orders();
            let feeds = if has_feeds { parts.feeds } else { 1 };
            let mut config = parts.config;
            let (own, of_feed) = budget::of_feeds(config.budget, feeds);
            config.budget = own;
            let machine = known(AnyVenue::new(id, config.clone(), registry))?;
            config.budget = of_feed;
            let mut further = Vec::new();
            for feed in 1..feeds {
                let machine = known(further_feed(&machine, &config, feed as u8, registry))?;
                let mut links = self.links(&machine, how, (feed, feeds))?;
                links.retain(|link| is_of_feed(&machine, link.spec.id));
                further.push((machine, links));
            }
            let mut links = self.links(&machine, how, (0, feeds))?;
            let is_market = |link: &Link| machine.link_role(link.spec.id) == LinkRole::Market;
            links.retain(|link| !is_market(link) || has_feeds);
            // Keys that are only shown for market data open nothing else.
            links.retain(|link| has_orders || is_of_feed(&machine, link.spec.id));
            machines.push((machine, links));
            machines.append(&mut further);
        }
        let links: usize = machines.iter().map(|(_, links)| links.len()).sum();
        has_room(links + self.config.groups_of(self.lane).count()).map_err(sentence)?;
        Ok(machines)
    }

    /// Joins the multicast groups of the lane's venues: what follows is heard. Errors name the group.
    pub(super) fn hear<T: Transport, D: Desk>(
        &self,
        lane: &mut Cycle<T, D>,
    ) -> Result<(), NodeError> {
        for (name, (line, at, interface)) in self.config.groups_of(self.lane) {
            let Some(venue) = VenueId::from_name(name) else {
                continue;
            };
            lane.hear(venue, line, &Group { at, interface })
                .map_err(|error| sentence(format!("venue.{name}.multicast: {at}: {error}")))?;
        }
        Ok(())
    }

    fn links(
        &self,
        machine: &AnyVenue,
        (tls, race_ns): (&Arc<ClientConfig>, u64),
        (feed, feeds): (usize, usize),
    ) -> Result<Vec<Link>, NodeError> {
        let seed = self.clock.now().unix.0 ^ u64::from(std::process::id()) << 32;
        let link = |(at, spec): (usize, &LinkSpec)| {
            let mut peers = self.addresses(spec).map_err(sentence)?;
            if machine.link_role(spec.id) == LinkRole::Market {
                peers = share(&peers, feed, feeds);
            }
            let seed = seed ^ (u64::from(self.id.0) << 16 | (feed << 8 | at) as u64);
            let link = Link::new(spec.clone(), &peers, Arc::clone(tls), seed);
            let mut link = link.with_upgrade(machine.upgrade_fields(spec.id));
            link.set_races(race_ns);
            Ok(match machine.fix_spec(spec.id) {
                Some(session) => link.with_fix(self.fix(machine.id(), spec, session)?),
                None => link,
            })
        };
        machine.links().iter().enumerate().map(link).collect()
    }

    /// A FIX session, with the numbers an earlier run left it.
    fn fix(&self, venue: VenueId, link: &LinkSpec, session: FixSpec) -> Result<FixLink, NodeError> {
        if session.resets {
            return Ok(FixLink::new(session, None));
        }
        let name = format!("{} {}", session.sender, session.target);
        let mut path = self.config.node.shm.clone().into_os_string();
        path.push(format!("-fix-{venue}-{}", link.name));
        let page = NumbersPage::open(Path::new(&path), &name)?;
        Ok(FixLink::new(session, Some(page)))
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

/// Whether a lane has sockets for so many links. Those that are raced beside them for a moment take what is left.
fn has_room(links: usize) -> Result<(), String> {
    if links <= SOCKETS_MAX {
        return Ok(());
    }
    Err(format!(
        "its venues want {links} connections and groups, and a lane has {SOCKETS_MAX}: give some of them to another lane, or fewer feeds"
    ))
}

/// Whether market data comes by a road that wants keys.
fn has_keyed_feed(section: &dp_config::Venue) -> bool {
    let fix = section.fix.as_ref();
    section.market_data == MarketData::Sbe || fix.is_some_and(|fix| fix.market.is_some())
}

fn no_machine(id: VenueId, has_fix: bool) -> String {
    if has_fix {
        format!("venue.{id}.fix: this build sends no orders over FIX there; leave the section out")
    } else {
        format!("venue.{id}: this build has no machine for it")
    }
}

/// A venue's FIX with everything looked up.
fn fix_config(name: &str, fix: &dp_config::Fix) -> Result<FixConfig, NodeError> {
    let endpoint = |key: &str, text: &str| {
        host_port(text).map_err(|why| sentence(format!("venue.{name}.fix.{key}: {why}")))
    };
    let instrument = |it: &dp_config::FixInstrument| {
        let [tick, lot, qty_min] = it.steps().map_err(sentence)?;
        Ok(FixInstrument {
            symbol: it.symbol.clone(),
            base: it.base.clone(),
            quote: it.quote.clone(),
            tick,
            lot,
            qty_min,
        })
    };
    Ok(FixConfig {
        entry: endpoint("entry", &fix.entry)?,
        market: match &fix.market {
            Some(market) => Some(endpoint("market", market)?),
            None => None,
        },
        sender: fix.sender.clone(),
        target: fix.target.clone(),
        market_sender: fix.market_sender.clone(),
        market_target: fix.market_target.clone(),
        heartbeat_s: fix.heartbeat_s,
        resets: fix.resets,
        instruments: fix
            .instrument
            .iter()
            .map(instrument)
            .collect::<Result<_, NodeError>>()?,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_connections_than_sockets_are_refused_with_the_mend() {
        assert_eq!(has_room(SOCKETS_MAX), Ok(()));
        let error = has_room(SOCKETS_MAX + 1).unwrap_err();
        assert!(
            error.contains("65 connections and groups") && error.contains("another lane"),
            "{error}"
        );
    }
}
