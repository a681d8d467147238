//! Who does what: `[[lane]] roles`, and which lane a venue's feed, engine and gateway are in.
//!
//! ```toml
//! [[lane]]                            # one venue, run to completion: all roles, and nothing to say
//! venues = ["binance"]
//!
//! [[lane]]                            # the same spread
//! roles = ["feed"]
//! venues = ["binance", "okx"]
//! [[lane]]
//! roles = ["engine", "journal"]       # no venues: all that no other engine has
//! [[lane]]
//! roles = ["gateway"]
//! venues = ["binance", "okx"]
//! ```

use crate::{Config, Idle, Lane, Strategy};
use dp_types::VenueId;
use serde::Deserialize;

/// One part of the way from a tick to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Market data: connections, decoding.
    Feed,
    /// Books, strategies, risk, orders, positions.
    Engine,
    /// Orders and the private stream: connections, encoding.
    Gateway,
    /// Records of what was wished, sent and told. It is where the engine is.
    Journal,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Feed, Self::Engine, Self::Gateway, Self::Journal];

    /// The word in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Engine => "engine",
            Self::Gateway => "gateway",
            Self::Journal => "journal",
        }
    }
}

/// What `roles` is without a word.
pub(crate) fn all() -> Vec<Role> {
    Role::ALL.to_vec()
}

impl Lane {
    /// Whether it has a role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether it runs to completion: feed, engine and gateway in one.
    pub fn is_whole(&self) -> bool {
        self.has(Role::Feed) && self.has(Role::Engine) && self.has(Role::Gateway)
    }

    /// A bit for each role, in the order of [`Role::ALL`].
    pub fn role_bits(&self) -> u32 {
        let bits = self.roles.iter().map(|role| 1 << *role as u32);
        bits.fold(0, |sum, bit: u32| sum | bit)
    }

    /// Whether it has connections.
    pub fn has_sockets(&self) -> bool {
        self.has(Role::Feed) || self.has(Role::Gateway)
    }

    /// Its roles, for people: `feed engine gateway journal`.
    pub fn roles_text(&self) -> String {
        let names: Vec<&str> = self.roles.iter().map(|role| role.name()).collect();
        names.join(" ")
    }
}

impl Config {
    /// Venues a lane works for, by name: an engine that names none has all that no other engine has.
    pub fn venues_of(&self, index: usize) -> Vec<&str> {
        let Some(lane) = self.lane.get(index) else {
            return Vec::new();
        };
        if !lane.venues.is_empty() || lane.has_sockets() {
            return lane.venues.iter().map(String::as_str).collect();
        }
        let is_taken = |name: &String| {
            let engines = self.lane.iter().filter(|lane| lane.has(Role::Engine));
            engines.into_iter().any(|lane| lane.venues.contains(name))
        };
        let names = self.venue.keys().filter(|name| !is_taken(name));
        names.map(String::as_str).collect()
    }

    /// Lanes that have a role for a venue: one, in a configuration that was checked; none where a venue
    /// without keys has no gateway.
    pub fn lanes_of(&self, role: Role, venue: &str) -> Vec<usize> {
        let lanes = self.lane.iter().enumerate();
        let lanes =
            lanes.filter(|(index, lane)| lane.has(role) && self.venues_of(*index).contains(&venue));
        lanes.map(|(index, _)| index).collect()
    }

    /// Lanes a lane has rings with, lowest first; none for one that runs to completion.
    pub fn kin(&self, index: usize) -> Vec<usize> {
        let Some(lane) = self.lane.get(index).filter(|lane| !lane.is_whole()) else {
            return Vec::new();
        };
        let other_roles: &[Role] = if lane.has(Role::Engine) {
            &[Role::Feed, Role::Gateway]
        } else {
            &[Role::Engine]
        };
        let venues = self.venues_of(index);
        let mut kin: Vec<usize> = other_roles
            .iter()
            .flat_map(|role| venues.iter().flat_map(|venue| self.lanes_of(*role, venue)))
            .filter(|other| *other != index)
            .collect();
        kin.sort_unstable();
        kin.dedup();
        kin
    }

    /// Everything that contradicts itself about roles: key and sentence with the mend.
    pub(crate) fn check_roles(&self) -> Vec<(String, String)> {
        let mut wrong = Vec::new();
        for (index, lane) in self.lane.iter().enumerate() {
            if let Some(why) = check_lane(lane) {
                wrong.push((format!("lane[{index}].roles"), why));
            }
            if !lane.is_whole() && lane.idle == Idle::Park {
                let why = "a ring wakes nobody: a lane with some of the roles cannot sleep; use \"yield\" or \"spin\"";
                wrong.push((format!("lane[{index}].idle"), why.into()));
            }
            if lane.venues.is_empty() && lane.has_sockets() {
                let why = "name the venues it connects to";
                wrong.push((format!("lane[{index}].venues"), why.into()));
            }
        }
        for name in self.venue.keys() {
            self.check_venue(name, &mut wrong);
        }
        for index in 0..self.lane.len() {
            let kin = self.kin(index);
            let is_remote = self.lane.get(index).is_some_and(|it| !it.has(Role::Engine));
            if is_remote && kin.len() > 1 {
                let why = format!(
                    "its venues have {} engines (lanes {kin:?}); give each engine's venues a lane of their own here",
                    kin.len()
                );
                wrong.push((format!("lane[{index}].venues"), why));
            }
        }
        wrong
    }

    fn check_venue(&self, name: &str, wrong: &mut Vec<(String, String)>) {
        let trades = VenueId::from_name(name).is_some_and(VenueId::takes_orders);
        let has_keys = self
            .venue
            .get(name)
            .is_some_and(|it| it.keys_file.is_some());
        let mut legs = self.strategy.iter().flat_map(Strategy::legs);
        let has_strategies = legs.any(|leg| leg.venue == name);
        for role in [Role::Feed, Role::Engine, Role::Gateway] {
            let lanes = self.lanes_of(role, name);
            let may_lack = role == Role::Gateway && !(has_keys && trades) && !has_strategies;
            let why = match lanes.len() {
                1 => continue,
                0 if may_lack => continue,
                0 => format!(
                    "has no {0}: put it into the venues of one [[lane]] that has the role {0}",
                    role.name()
                ),
                _ => format!(
                    "has its {} in {} lanes ({lanes:?}); put it in exactly one",
                    role.name(),
                    lanes.len()
                ),
            };
            wrong.push((format!("venue.{name}"), why));
        }
    }
}

fn check_lane(lane: &Lane) -> Option<String> {
    let doubled = |role: &Role| lane.roles.iter().filter(|it| *it == role).count() > 1;
    if lane.roles.is_empty() {
        return Some("name one: feed, engine, gateway; or leave the line out for all".into());
    }
    if let Some(role) = lane.roles.iter().find(|role| doubled(role)) {
        return Some(format!("`{}` is there twice", role.name()));
    }
    let has_engine = lane.has(Role::Engine);
    if lane.has(Role::Journal) && !has_engine {
        return Some(
            "the journal is where the engine is, which writes each intent to its ring in shared memory before \
             the order leaves, and `spinlane run` takes it from there: give `journal` to the engine's lane"
                .into(),
        );
    }
    if has_engine && lane.has_sockets() && !lane.is_whole() {
        return Some(
            "an engine is alone in its lane or has feed and gateway both: take them out, or add the other".into(),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[node]\nname = \"t\"\nshm = \"/dev/shm/t\"\nstate_dir = \"/tmp/t\"\n";

    fn venue(name: &str, symbol: &str) -> String {
        format!(
            "[venue.{name}]\nrest = \"l:1\"\npublic = \"l:1\"\nprivate = \"l:1\"\nsymbols = [\"{symbol}\"]\n\
             [[strategy]]\nkind = \"market_maker\"\nvenue = \"{name}\"\nsymbol = \"{symbol}\"\n\
             quote_qty = \"1\"\nposition_max = \"1\"\n"
        )
    }

    /// A node of two venues with these lanes: roles, venues.
    fn load(lanes: &[(&str, &str)]) -> Result<Config, String> {
        let mut text = HEAD.to_owned();
        for (roles, venues) in lanes {
            text += &format!("[[lane]]\nroles = [{roles}]\nvenues = [{venues}]\n");
        }
        text += &venue("binance", "BTCUSDT");
        text += &venue("okx", "BTC-USDT");
        let config: Config = toml::from_str(&text).map_err(|error| error.to_string())?;
        config.check("f.toml").map_err(|error| error.to_string())?;
        Ok(config)
    }

    const FEED: &str = "\"feed\"";
    const ENGINE: &str = "\"engine\"";
    const GATEWAY: &str = "\"gateway\"";
    const BOTH: &str = "\"binance\", \"okx\"";

    #[test]
    fn without_a_word_a_lane_has_all_roles() {
        let text = format!("{HEAD}[[lane]]\nvenues = [\"okx\"]\n{}", venue("okx", "A"));
        let config: Config = toml::from_str(&text).unwrap();
        config.check("f.toml").unwrap();
        assert!(config.lane[0].is_whole() && config.lane[0].has(Role::Journal));
        assert_eq!(config.kin(0), []);
        assert_eq!(config.lane[0].roles_text(), "feed engine gateway journal");
    }

    #[test]
    fn a_spread_node_knows_who_is_beside_whom() {
        let config = load(&[
            (FEED, "\"binance\""),
            (FEED, "\"okx\""),
            ("\"engine\", \"journal\"", ""),
            (GATEWAY, BOTH),
        ])
        .unwrap();
        assert_eq!(config.venues_of(2), ["binance", "okx"]);
        assert_eq!(config.kin(2), [0, 1, 3]);
        assert_eq!((config.kin(0), config.kin(3)), (vec![2], vec![2]));
        assert_eq!(config.lanes_of(Role::Feed, "okx"), [1]);
        assert_eq!(config.lanes_of(Role::Gateway, "okx"), [3]);
    }

    #[test]
    fn one_venue_spread_beside_one_whole() {
        let config = load(&[
            ("\"feed\", \"engine\", \"gateway\"", "\"okx\""),
            ("\"feed\", \"gateway\"", "\"binance\""),
            (ENGINE, ""),
        ])
        .unwrap();
        assert_eq!(config.venues_of(2), ["binance"]);
        assert_eq!((config.kin(0), config.kin(1)), (vec![], vec![2]));
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_the_mend() {
        let cases: [(&[(&str, &str)], &[&str]); 7] = [
            (
                &[(FEED, BOTH), (ENGINE, "")],
                &[
                    "venue.binance: has no gateway",
                    "venue.okx: has no gateway",
                    "the role gateway",
                ],
            ),
            (
                &[
                    (FEED, BOTH),
                    (FEED, "\"okx\""),
                    (ENGINE, ""),
                    (GATEWAY, BOTH),
                ],
                &["venue.okx", "its feed in 2 lanes", "exactly one"],
            ),
            (
                &[
                    (FEED, BOTH),
                    (ENGINE, BOTH),
                    (ENGINE, "\"okx\""),
                    (GATEWAY, BOTH),
                ],
                &["venue.okx", "its engine in 2 lanes"],
            ),
            (
                &[
                    (FEED, BOTH),
                    (ENGINE, "\"binance\""),
                    (ENGINE, "\"okx\""),
                    (GATEWAY, BOTH),
                ],
                &["lane[0].venues", "lane[3].venues", "2 engines"],
            ),
            (
                &[
                    (FEED, BOTH),
                    (ENGINE, ""),
                    (GATEWAY, BOTH),
                    ("\"journal\"", ""),
                ],
                &["lane[3].roles", "give `journal` to the engine's lane"],
            ),
            (
                &[("\"feed\", \"engine\"", BOTH), (GATEWAY, BOTH)],
                &["lane[0].roles", "alone in its lane"],
            ),
            (
                &[("", BOTH), ("\"feed\", \"feed\"", BOTH)],
                &[
                    "lane[0].roles: name one",
                    "`feed` is there twice",
                    "has no engine",
                ],
            ),
        ];
        for (lanes, wants) in cases {
            let error = load(lanes).unwrap_err();
            for want in wants {
                assert!(error.contains(want), "{want} is not in: {error}");
            }
        }
        assert!(
            load(&[("\"feeds\"", BOTH)])
                .unwrap_err()
                .contains("gateway")
        );
    }

    #[test]
    fn a_lane_on_rings_does_not_sleep() {
        let lanes = [(FEED, BOTH), (ENGINE, ""), (GATEWAY, BOTH)];
        let mut config = load(&lanes).unwrap();
        config.lane[1].idle = Idle::Park;
        let error = config.check("f.toml").unwrap_err().to_string();
        assert!(
            error.contains("lane[1].idle") && error.contains("yield"),
            "{error}"
        );
    }
}
