//! `[venue.NAME.multicast]`: market data by multicast, heard by the venue's feed lane over io_uring.
//!
//! ```toml
//! [venue.deribit.multicast]
//! interface = "10.20.0.7"                                       # our address on the card it comes in by
//! line_a = ["239.111.111.1:6100", "239.111.111.2:6100"]         # the groups of the followed channels
//! line_b = ["239.111.112.1:6100", "239.111.112.2:6100"]         # the same by the other road; absent: one line
//! feed = "classic"                                              # what they carry; absent: that
//! ```
//! Both kinds of channels are needed, events and snapshots: a book begins with a whole one of the round. Groups and
//! ports are the venue's to tell.
//!
//! ```text
//! classic    books of levels, trades, quotes of `symbols`       `public` is not used and may be left out
//! starbase   single orders and trades of `single_orders`        the rest comes by `public`, as without this section
//! ```

use crate::{Config, MarketData, Role, Transport, Venue};
use dp_types::VenueId;
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Groups of one line: the lane has 64 sockets for them and its connections.
const GROUPS_MAX: usize = 24;

/// A venue's multicast.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Multicast {
    /// Our IPv4 address on the interface the groups come in by.
    pub interface: String,
    /// The groups of the first line, `group:port`.
    pub line_a: Vec<String>,
    /// Those of the second; absent = there is one line.
    #[serde(default)]
    pub line_b: Vec<String>,
    /// What they carry; absent = the classic feed.
    #[serde(default)]
    pub feed: MulticastFeed,
}

/// What the groups carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MulticastFeed {
    /// Books of levels, trades and quotes, in place of the market data link.
    #[default]
    Classic,
    /// Single orders and their trades, beside it.
    Starbase,
}

/// A group as it is joined: which line, where, by which interface.
pub type Joined = (u8, SocketAddrV4, Ipv4Addr);

impl Multicast {
    /// Every group of both lines. Errors: which key is wrong, and the mend.
    pub fn groups(&self) -> Result<Vec<Joined>, (&'static str, String)> {
        let interface: Ipv4Addr = self.interface.parse().map_err(|_| {
            let why = format!(
                "`{}`: use the IPv4 address of this host's interface",
                self.interface
            );
            ("interface", why)
        })?;
        if self.line_a.is_empty() {
            return Err(("line_a", "no group: name at least one, group:port".into()));
        }
        let mut all: Vec<Joined> = Vec::new();
        for (line, (key, groups)) in [("line_a", &self.line_a), ("line_b", &self.line_b)]
            .into_iter()
            .enumerate()
        {
            if groups.len() > GROUPS_MAX {
                let why = format!("{} groups: use {GROUPS_MAX} at most", groups.len());
                return Err((key, why));
            }
            for text in groups {
                let wrong = |why: &str| (key, format!("`{text}`: {why}"));
                let group: SocketAddrV4 =
                    text.parse().map_err(|_| wrong("use group:port, IPv4"))?;
                if !group.ip().is_multicast() || group.port() == 0 {
                    return Err(wrong(
                        "no multicast group: use one of 224.0.0.0 to 239.255.255.255, and a port",
                    ));
                }
                if all.iter().any(|(_, known, _)| *known == group) {
                    return Err(wrong("named twice: each line has groups of its own"));
                }
                all.push((line as u8, group, interface));
            }
        }
        Ok(all)
    }
}

impl Venue {
    /// What its groups carry; `None` where it has none.
    pub fn multicast_feed(&self) -> Option<MulticastFeed> {
        Some(self.multicast.as_ref()?.feed)
    }

    /// Errors: the key, and what is wrong with it.
    pub(crate) fn check_multicast(&self, name: &str) -> Result<(), (String, String)> {
        let Some(multicast) = &self.multicast else {
            return Ok(());
        };
        let refuse = |key: &str, why: &str| Err((key.to_owned(), why.to_owned()));
        if VenueId::from_name(name) != Some(VenueId::DERIBIT) {
            return refuse(
                "multicast",
                "this build hears Deribit's alone: leave the section out",
            );
        }
        if self.feeds > 1 {
            return refuse("feeds", "by multicast the two lines are the copies: use 1");
        }
        if self.market_data != MarketData::Json {
            return refuse(
                "market_data",
                "multicast says another way: leave one of them out",
            );
        }
        if self.fix.as_ref().is_some_and(|fix| fix.market.is_some()) {
            return refuse(
                "fix.market",
                "multicast says another way: leave one of them out",
            );
        }
        if multicast.feed == MulticastFeed::Starbase && self.single_orders.is_empty() {
            return refuse(
                "multicast.feed",
                "\"starbase\" brings single orders: name symbols in single_orders, or use \"classic\"",
            );
        }
        multicast
            .groups()
            .map(drop)
            .map_err(|(key, why)| (format!("multicast.{key}"), why))
    }
}

impl Config {
    /// Groups a lane hears, each with its venue's name: those of its venues, where it brings their market data.
    /// Groups that cannot be are left out: the file has been checked.
    pub fn groups_of<'a>(
        &'a self,
        lane: &'a crate::Lane,
    ) -> impl Iterator<Item = (&'a str, Joined)> {
        let names = lane.venues.iter().filter(|_| lane.has(Role::Feed));
        names.flat_map(|name| {
            let multicast = self.venue.get(name).and_then(|it| it.multicast.as_ref());
            let groups = multicast.and_then(|it| it.groups().ok());
            let groups = groups.unwrap_or_default().into_iter();
            groups.map(move |group| (name.as_str(), group))
        })
    }

    /// A lane that hears groups has the transport that can. Errors: the key, and what is wrong with it.
    pub(crate) fn check_hearing(&self) -> Result<(), (String, String)> {
        for (index, lane) in self.lane.iter().enumerate() {
            let Some((name, _)) = self.groups_of(lane).next() else {
                continue;
            };
            let key = match (lane.transport, &lane.nic) {
                (Transport::Auto | Transport::IoUring, None) => continue,
                (_, Some(_)) => "nic",
                _ => "transport",
            };
            let why = format!(
                "it hears venue.{name}.multicast, which io_uring alone brings: transport = \"io_uring\" and no nic"
            );
            return Err((format!("lane[{index}].{key}"), why));
        }
        Ok(())
    }

    /// Where the transport is left to us, a lane that hears groups has io_uring.
    pub(crate) fn settle_hearing(&mut self) {
        for index in 0..self.lane.len() {
            let hears = self.groups_of(&self.lane[index]).next().is_some();
            let lane = &mut self.lane[index];
            if hears && lane.transport == Transport::Auto {
                lane.transport = Transport::IoUring;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{GOOD, load};
    use crate::{MulticastFeed, Transport};

    const SECTION: &str = "[venue.deribit.multicast]\ninterface = \"127.0.0.1\"\n\
        line_a = [\"239.1.1.1:5000\", \"239.1.1.2:5000\"]\nline_b = [\"239.1.2.1:5000\"]\n[[strategy]]";

    fn with(section: &str) -> String {
        let text = GOOD.replace("binance", "deribit");
        text.replace("[[strategy]]", section)
    }

    #[test]
    fn lines_are_groups_by_an_interface() {
        let mut config = load(&with(SECTION).replace("public = \"localhost:2\"\n", "")).unwrap();
        let groups: Vec<_> = config.groups_of(&config.lane[0]).collect();
        let told = groups
            .iter()
            .map(|(name, (line, at, _))| format!("{name} {line} {at}"));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                "deribit 0 239.1.1.1:5000",
                "deribit 0 239.1.1.2:5000",
                "deribit 1 239.1.2.1:5000"
            ]
        );
        assert_eq!(config.lane[0].transport, Transport::Auto);
        config.settle_hearing();
        assert_eq!(config.lane[0].transport, Transport::IoUring);
        let mut none = load(GOOD).unwrap();
        none.settle_hearing();
        assert_eq!(none.lane[0].transport, Transport::Auto);
    }

    #[test]
    fn starbase_comes_beside_the_link() {
        let section = SECTION.replace("[[strategy]]", "feed = \"starbase\"\n[[strategy]]");
        let text = with(&section);
        let text = text.replace("symbols = [", "single_orders = [\"BTCUSDT\"]\nsymbols = [");
        let told = load(&text).unwrap().venue["deribit"].multicast_feed();
        assert_eq!(told, Some(MulticastFeed::Starbase));
        let error = load(&text.replace("public = \"localhost:2\"\n", "")).unwrap_err();
        assert!(error.contains("venue.deribit.public: missing"), "{error}");
        let told = load(&with(SECTION)).unwrap().venue["deribit"].multicast_feed();
        assert_eq!(told, Some(MulticastFeed::Classic));
    }

    #[test]
    fn what_cannot_be_heard_is_refused_with_the_mend() {
        for (from, to, key, mend) in [
            ("127.0.0.1", "eth1", "multicast.interface", "IPv4 address"),
            (
                "239.1.1.1:5000",
                "239.1.1.1",
                "multicast.line_a",
                "group:port",
            ),
            (
                "239.1.1.1:5000",
                "10.1.1.1:5000",
                "multicast.line_a",
                "224.0.0.0",
            ),
            (
                "239.1.1.1:5000",
                "239.1.1.1:0",
                "multicast.line_a",
                "a port",
            ),
            ("239.1.2.1", "239.1.1.1", "multicast.line_b", "twice"),
            (
                "\"239.1.1.1:5000\", \"239.1.1.2:5000\"",
                "",
                "multicast.line_a",
                "at least one",
            ),
            ("line_b", "line_c", "line_c", "line_b"),
            (
                "idle =",
                "transport = \"sockets\"\nidle =",
                "lane[0].transport",
                "io_uring",
            ),
            (
                "idle =",
                "nic = \"eth1\"\nidle =",
                "lane[0].nic",
                "io_uring",
            ),
            ("symbols = [", "feeds = 2\nsymbols = [", "feeds", "use 1"),
            ("deribit", "okx", "venue.okx.multicast", "Deribit's alone"),
            (
                "[[strategy]]",
                "[venue.deribit.fix]\nentry = \"l:1\"\nmarket = \"l:2\"\n[[strategy]]",
                "fix.market",
                "another way",
            ),
            (
                "[[strategy]]",
                "feed = \"sbe\"\n[[strategy]]",
                "`sbe`",
                "`starbase`",
            ),
            (
                "[[strategy]]",
                "feed = \"starbase\"\n[[strategy]]",
                "multicast.feed",
                "single_orders",
            ),
        ] {
            let error = load(&with(SECTION).replace(from, to)).unwrap_err();
            assert!(
                error.contains(key) && error.contains(mend),
                "{from} -> {to}: {error}"
            );
        }
    }
}
