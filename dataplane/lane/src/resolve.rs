//! Names to addresses, beside the lanes: venues stand behind names whose addresses change within hours.
//!
//! One thread asks again every half minute and leaves what changed in a queue per lane; a lane takes it
//! when it has nothing better to do. A name that cannot be looked up keeps its last addresses.

use crossbeam::queue::ArrayQueue;
use dp_types::{LinkId, VenueId};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How soon the thread sees that the node stops.
const STEP: Duration = Duration::from_millis(100);
/// Names are looked up again after so many of them: half a minute.
const STEPS: u32 = 300;
/// Changes waiting for one lane; a full queue is tried again at the next round.
const WAITING_MAX: usize = 64;

/// New addresses of one link's host.
#[derive(Debug)]
pub struct Fresh {
    /// Whose link.
    pub venue: VenueId,
    /// Which.
    pub link: LinkId,
    /// Its addresses now, never empty.
    pub peers: Vec<SocketAddr>,
}

/// Where a lane finds new addresses.
pub type Inbox = Arc<ArrayQueue<Fresh>>;

/// An empty inbox.
pub fn inbox() -> Inbox {
    Arc::new(ArrayQueue::new(WAITING_MAX))
}

/// A name to watch.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Whose link.
    pub venue: VenueId,
    /// Which.
    pub link: LinkId,
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Its addresses as the lane has them.
    pub peers: Vec<SocketAddr>,
    /// Which of them its lane can reach.
    pub reach: Reach,
    /// The lane's.
    pub inbox: Inbox,
}

/// Addresses a lane's transport can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// IPv4 and IPv6.
    Any,
    /// IPv4 only: raw frames.
    Ipv4,
}

impl Reach {
    /// Leaves what can be reached. Errors: nothing is left, as one sentence with the mend.
    pub fn keep(self, host: &str, mut peers: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, String> {
        if self == Self::Ipv4 {
            peers.retain(SocketAddr::is_ipv4);
        }
        if peers.is_empty() {
            return Err(format!(
                "{host}: has no IPv4 address, and af_xdp speaks no IPv6; use another transport for its lane"
            ));
        }
        Ok(peers)
    }
}

/// Addresses of a host, IPv4 first. Errors: one sentence naming the host.
pub fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("{host}:{port}: cannot be looked up: {error}"))?;
    let mut peers: Vec<SocketAddr> = found.collect();
    peers.sort_by_key(|peer| (peer.is_ipv6(), *peer));
    peers.dedup();
    if peers.is_empty() {
        return Err(format!("{host}:{port}: has no address"));
    }
    Ok(peers)
}

/// Looks names up again and again until `stop`.
pub fn watch(
    mut names: Vec<Watched>,
    stop: &AtomicBool,
    look_up: impl Fn(&str, u16) -> Result<Vec<SocketAddr>, String>,
) {
    let mut steps = 0u32;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(STEP);
        steps = steps.wrapping_add(1);
        if steps.is_multiple_of(STEPS) {
            for name in &mut names {
                refresh(name, &look_up);
            }
        }
    }
}

fn refresh(name: &mut Watched, look_up: impl Fn(&str, u16) -> Result<Vec<SocketAddr>, String>) {
    let found = look_up(&name.host, name.port);
    match found.and_then(|peers| name.reach.keep(&name.host, peers)) {
        Ok(peers) if peers != name.peers => {
            let fresh = Fresh {
                venue: name.venue,
                link: name.link,
                peers: peers.clone(),
            };
            if name.inbox.push(fresh).is_ok() {
                tracing::info!(host = %name.host, ?peers, "addresses changed");
                name.peers = peers;
            }
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(error, "the last addresses stay in use"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_is_told_and_a_failure_keeps_the_last() {
        let inbox = inbox();
        let mut name = Watched {
            venue: VenueId::OKX,
            link: LinkId(1),
            host: "venue.test".into(),
            port: 443,
            peers: vec!["192.0.2.1:443".parse().unwrap()],
            reach: Reach::Ipv4,
            inbox: Arc::clone(&inbox),
        };
        let same = name.peers.clone();
        refresh(&mut name, |_, _| Ok(same.clone()));
        refresh(&mut name, |_, _| Err("no answer".into()));
        assert!(inbox.is_empty());
        let other: Vec<SocketAddr> = vec!["192.0.2.9:443".parse().unwrap()];
        for _ in 0..2 {
            refresh(&mut name, |_, _| Ok(other.clone()));
        }
        assert_eq!(inbox.len(), 1);
        assert_eq!(inbox.pop().unwrap().peers, other);
        // Raw frames reach no IPv6: such an address is never handed to the lane.
        let six: SocketAddr = "[2001:db8::1]:443".parse().unwrap();
        refresh(&mut name, |_, _| Ok(vec![six]));
        refresh(&mut name, |_, _| Ok(vec![other[0], six]));
        assert!(inbox.is_empty());
        let error = Reach::Ipv4.keep("venue.test", vec![six]).unwrap_err();
        assert!(
            error.contains("venue.test") && error.contains("IPv6"),
            "{error}"
        );
        assert_eq!(Reach::Any.keep("venue.test", vec![six]), Ok(vec![six]));
    }

    #[test]
    fn a_name_that_is_none_is_named() {
        let error = resolve("no such host", 1).unwrap_err();
        assert!(error.contains("no such host:1"), "{error}");
    }
}
