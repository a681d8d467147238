//! The node's one configuration file, read by both planes: TOML, unknown keys refused, units in names.
//!
//! ```toml
//! [node]
//! name = "ny4-a"
//! shm = "/dev/shm/spinlane-ny4-a"       # shared memory of this node
//! state_dir = "/var/lib/spinlane"       # epoch, private PostgreSQL, journal
//!
//! [store]
//! dsn = ""                              # empty: a private cluster in state_dir
//!
//! [[lane]]
//! venues = ["binance"]
//! roles = ["feed", "engine", "gateway", "journal"]   # absent: all of them; see `roles`
//! core = "auto"                         # or a number
//! idle = "spin"
//! fifo = 50                             # real-time priority; absent: an ordinary thread
//! transport = "auto"                    # io_uring, sockets, or af_xdp with nic, queue, xdp_mode
//!
//! [venue.binance]
//! rest = "api.binance.com:443"
//! public = "stream.binance.com:443"
//! private = "ws-api.binance.com:443"
//! symbols = ["BTCUSDT"]
//! keys_file = "/etc/spinlane/keys/binance.toml"
//! order_window_ms = 1000
//! feeds = 2                             # connections that bring the market data; absent: 1
//! single_orders = ["BTCUSDT"]            # L3 beside the book, of these symbols, where the venue shows it
//! market_data = "sbe"                   # how it is written; absent: "json"; then public = "stream-sbe.binance.com:443"
//! batches = "rest"                      # binance-usdm, kucoin: orders of one decision in one REST request; absent: "off"
//! budget_pct = 50                       # of the venue's limits; absent: all, nobody else uses keys or address
//! shared_account = true                 # others trade in it: balances are not held against our fills
//!
//! [venue.oanda]                         # prices alone: a stream (`public`), no `private`, and no strategy on it
//! rest = "api-fxpractice.oanda.com:443"
//! public = "stream-fxpractice.oanda.com:443"
//! symbols = ["EUR_USD"]
//! keys_file = "/etc/spinlane/keys/oanda.toml"     # api_key is the account's id, api_secret its token
//!
//! [venue.coinbase.fix]                  # orders over FIX; see `fix`
//! entry = "fix-ord.exchange.coinbase.com:6121"
//!
//! [venue.deribit.multicast]             # market data by multicast; see `multicast`
//! interface = "10.20.0.7"
//! line_a = ["239.111.111.1:6100"]
//! line_b = ["239.111.112.1:6100"]
//! feed = "classic"                      # what they carry; "starbase": single orders, beside what `public` brings
//!
//! [[strategy]]
//! kind = "market_maker"
//! venue = "binance"
//! symbol = "BTCUSDT"
//! quote_qty = "0.001"
//! half_spread_ticks = 2
//! position_max = "0.01"
//!
//! [risk]
//! order_qty_max = { BTCUSDT = "0.01" }    # a symbol missing here or below cannot trade
//! position_max = { BTCUSDT = "0.05" }
//! currency = "USDT"                       # watches and limits of money: see `risk`
//! day_loss_max = "10000"
//!
//! [paper]                                 # paper trading and backtests; see `paper`
//! order_us = 300
//!
//! [api]                                   # HTTP of the control plane, on this machine; absent: none; see `api`
//! listen = "127.0.0.1:9470"
//! token_file = "/etc/spinlane/api.token"
//! ```
#![forbid(unsafe_code)]

mod api;
mod batches;
mod feeds;
mod fix;
mod multicast;
mod orders;
mod paper;
mod risk;
mod roles;
mod strategy;
mod transport;

pub use api::Api;
pub use batches::{BATCHES_BY_LINK, BATCHES_BY_REST, Batches};
pub use feeds::MarketData;
pub use fix::{Fix, FixInstrument};
pub use multicast::{Joined, Multicast, MulticastFeed};
pub use paper::{Paper, PaperFees, PaperInstrument, Queue};
pub use risk::{Risk, amount};
pub use roles::Role;
pub use strategy::{Leg, Strategy};
pub use transport::{Card, LANE_PORTS_MIN, Ports, Transport, XdpMode};

pub use dp_secret::Keys;
use dp_secret::Zeroizing;
use dp_types::VenueId;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who and where.
    pub node: Node,
    /// PostgreSQL.
    #[serde(default)]
    pub store: Store,
    /// Lanes, in order of their ids.
    pub lane: Vec<Lane>,
    /// Venues by name.
    pub venue: BTreeMap<String, Venue>,
    /// Strategies, in order of their ids.
    #[serde(default)]
    pub strategy: Vec<Strategy>,
    /// Limits.
    #[serde(default)]
    pub risk: Risk,
    /// What stands in for the venues in paper trading and backtests.
    #[serde(default)]
    pub paper: Paper,
    /// The control plane's HTTP listener; absent = none.
    pub api: Option<Api>,
}

/// `[node]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Name, letters, digits and dashes.
    pub name: String,
    /// Shared-memory file.
    pub shm: PathBuf,
    /// Directory this node owns.
    pub state_dir: PathBuf,
    /// Records each lane's journal ring holds; a power of two.
    #[serde(default = "default_journal_records")]
    pub journal_records: u32,
    /// Market-data ticks each lane's tick ring holds; a power of two.
    #[serde(default = "default_tick_records")]
    pub tick_records: u32,
    /// Directory into which everything each engine is told is recorded, a file an engine and start, to be played again
    /// bit for bit (`spinlane-dataplane replay`). Left out: nothing is.
    #[serde(default)]
    pub inputs_dir: Option<PathBuf>,
    /// Longest such file, MiB; a recording ends there.
    #[serde(default = "default_inputs_mib_max")]
    pub inputs_mib_max: u32,
    /// `live`: the machine must be what it should be; `test`: what it lacks is told and no more; `paper`: as `test`,
    /// and no order leaves ([`Paper`]).
    #[serde(default)]
    pub mode: Mode,
    /// Facts about the machine a live node does without, by name: `isolated`, `huge_pages`, ….
    #[serde(default)]
    pub waive: Vec<String>,
    /// Local ports of lanes on AF_XDP: the kernel hands none of them out while such a lane runs. Parted evenly
    /// among those lanes.
    #[serde(default)]
    pub ports: Ports,
}

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Meets venues, with money.
    #[default]
    Live,
    /// Meets simulators.
    Test,
    /// Meets venues' market data, and trades on paper: nothing is sent.
    Paper,
}

const fn default_inputs_mib_max() -> u32 {
    64 << 10
}

const fn default_journal_records() -> u32 {
    1 << 17
}

const fn default_tick_records() -> u32 {
    1 << 17
}

/// `[store]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// libpq connection string; empty = private cluster under `state_dir`.
    #[serde(default)]
    pub dsn: String,
}

/// What a lane does when a duty cycle found nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Idle {
    /// Spins: the lane owns its core.
    Spin,
    /// Yields the core to other runnable threads, then spins on.
    #[default]
    Yield,
    /// Sleeps in the kernel until a completion or the next deadline.
    Park,
}

/// `[[lane]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lane {
    /// Venues this lane runs, by name. An engine alone may leave it out: all that no other engine has.
    #[serde(default)]
    pub venues: Vec<String>,
    /// What it does for them; absent = everything, run to completion.
    #[serde(default = "roles::all")]
    pub roles: Vec<Role>,
    /// Core to pin to, a number or `"auto"`; absent = not pinned.
    pub core: Option<Core>,
    /// Idle policy.
    #[serde(default)]
    pub idle: Idle,
    /// Real-time priority (SCHED_FIFO), 1 to 60; absent or 0 = an ordinary thread.
    #[serde(default)]
    pub fifo: u8,
    /// Which way its bytes take.
    #[serde(default)]
    pub transport: Transport,
    /// The card it has frames of, by interface name: needed for `af_xdp`, which `auto` takes where one is named.
    pub nic: Option<String>,
    /// Receive queue of that card; absent = 0.
    pub queue: Option<u16>,
    /// How frames come; absent = `auto`.
    pub xdp_mode: Option<XdpMode>,
    /// The lane polls the card's queue itself (NAPI busy polling); absent = the planner's choice.
    pub busy_poll: Option<bool>,
    /// What the kernel does with a system call that is not on the lane's list.
    #[serde(default)]
    pub seccomp: Seccomp,
}

/// Whether a lane's thread is held to its list of system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    /// Any other call fails with EPERM, is counted and told.
    #[default]
    Refuse,
    /// Any call is done.
    Off,
}

/// Where a lane sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Core {
    /// This core.
    At(u16),
    /// Where the planner puts it: an isolated core, on its card's node, beside its kin's cache.
    Auto,
}

impl<'de> Deserialize<'de> for Core {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Words;
        impl serde::de::Visitor<'_> for Words {
            type Value = Core;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a core's number or \"auto\"")
            }

            fn visit_i64<E: serde::de::Error>(self, core: i64) -> Result<Core, E> {
                let unexpected = serde::de::Unexpected::Signed(core);
                let core = u16::try_from(core).map_err(|_| E::invalid_value(unexpected, &self))?;
                Ok(Core::At(core))
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Core, E> {
                let unexpected = serde::de::Unexpected::Str(word);
                (word == "auto")
                    .then_some(Core::Auto)
                    .ok_or_else(|| E::invalid_value(unexpected, &self))
            }
        }
        from.deserialize_any(Words)
    }
}

/// `[venue.NAME]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Venue {
    /// REST `host:port`.
    #[serde(default)]
    pub rest: String,
    /// Public WebSocket `host:port`.
    #[serde(default)]
    pub public: String,
    /// Private WebSocket `host:port`.
    #[serde(default)]
    pub private: String,
    /// How market data is written; absent = as text. In SBE `public` is the host that has it.
    #[serde(default)]
    pub market_data: MarketData,
    /// Orders over FIX; absent = over the venue's own road.
    pub fix: Option<Fix>,
    /// Market data by multicast; absent = by the venue's own road alone.
    pub multicast: Option<Multicast>,
    /// Symbols as the venue writes them.
    pub symbols: Vec<String>,
    /// Those of them whose single orders (L3) are followed beside the book.
    #[serde(default)]
    pub single_orders: Vec<String>,
    /// Orders each of these books has room for, 1024 to 1048576; about 170 bytes an order are taken at the start.
    #[serde(default = "orders::max")]
    pub single_orders_max: u32,
    /// WebSocket of single orders, `host:port`, where they have a host of their own (Kraken); absent = the venue's.
    #[serde(default)]
    pub single_orders_host: String,
    /// TOML file with `api_key`, `api_secret`, `passphrase`, `ed25519_pem`; absent = market data only, where that is
    /// told without.
    pub keys_file: Option<PathBuf>,
    /// Extra certificate authority (PEM) to trust for this venue, instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// SHA-256 of the end-entity certificate (hex) the venue must show; absent = not pinned.
    pub pin_sha256: Option<String>,
    /// Validity window of an order at the venue, milliseconds, 50 to 60000: one that arrives later is
    /// refused there. Without a window an order lost on the way could come to life at any time.
    #[serde(default = "default_order_window_ms")]
    pub order_window_ms: u32,
    /// How new orders of one decision on one instrument go where the venue takes several by REST alone (binance-usdm,
    /// kucoin): each by itself over the order link, which is at the book sooner, or in one REST request.
    #[serde(default)]
    pub batches: Batches,
    /// Connections that bring the same market data, 1 to 4: first arrival wins, and what one loses another fills in.
    #[serde(default = "feeds::one")]
    pub feeds: u8,
    /// How long a hole in one feed waits for another to fill it before the book starts over, milliseconds, 1 to
    /// 5000.
    #[serde(default = "feeds::hold_ms")]
    pub feed_hold_ms: u32,
    /// How often the addresses of a host are raced beside a link that is up, seconds, 10 to 86400; 0 = only when it is
    /// opened.
    #[serde(default = "feeds::race_s")]
    pub race_s: u32,
    /// This node's part of what the venue allows a key, an account or an address, in hundredths, 1 to 100: the other
    /// nodes and tools that use the same keys, or the same address, have the rest.
    #[serde(default = "default_budget_pct")]
    pub budget_pct: u32,
    /// Others trade in this account: its balances are shown and not held against our fills, which would halt the venue for
    /// theirs. Absent: as `budget_pct` says, since who shares limits mostly shares the account.
    pub shared_account: Option<bool>,
}

impl Venue {
    /// Whether others trade in the account.
    pub fn has_shared_account(&self) -> bool {
        self.shared_account.unwrap_or(self.budget_pct < 100)
    }
}

const fn default_budget_pct() -> u32 {
    100
}

const fn default_order_window_ms() -> u32 {
    1_000
}

/// Why a configuration cannot be used. The text names file, line, key and the mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {error}")]
    Read {
        /// Which file.
        path: String,
        /// The system's word.
        error: std::io::Error,
    },
    /// Not TOML, an unknown key, or a wrong type. TOML's message carries line and column.
    #[error("{path}: {error}")]
    Parse {
        /// Which file.
        path: String,
        /// Line, column, what was expected.
        error: Box<toml::de::Error>,
    },
    /// Parsed, but not coherent.
    #[error("{path}: {key}: {why}")]
    Value {
        /// Which file.
        path: String,
        /// Which key.
        key: String,
        /// What is wrong and the mend.
        why: String,
    },
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, ConfigError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
        path: name.clone(),
        error,
    });
    let text = Zeroizing::new(text?);
    toml::from_str(&text).map_err(|error| ConfigError::Parse {
        path: name,
        error: Box::new(error),
    })
}

/// Reads a keys file; its text is wiped. Errors: [`ConfigError`], whose text never holds a value of the file.
pub fn load_keys(path: &Path) -> Result<Keys, ConfigError> {
    read(path).map_err(|error| match error {
        ConfigError::Parse { path, .. } => ConfigError::Value {
            path,
            key: "keys".into(),
            why: "not the expected TOML (api_key, api_secret, passphrase, ed25519_pem)".into(),
        },
        other => other,
    })
}

impl Config {
    /// Reads and checks a configuration file. Errors: [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = read(path)?;
        config.check(&path.display().to_string())?;
        config.settle_hearing();
        config.settle_paper();
        Ok(config)
    }

    fn check(&self, path: &str) -> Result<(), ConfigError> {
        let refuse = |key: String, why: String| {
            Err(ConfigError::Value {
                path: path.to_owned(),
                key,
                why,
            })
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if self.node.name.is_empty() || !self.node.name.chars().all(is_name) {
            return refuse("node.name".into(), "use letters, digits and dashes".into());
        }
        for (key, value) in [
            ("node.journal_records", self.node.journal_records),
            ("node.tick_records", self.node.tick_records),
        ] {
            if !value.is_power_of_two() || !(1 << 8..=1 << 24).contains(&value) {
                return refuse(
                    key.into(),
                    format!("{value}: use a power of two, 256 to 16777216"),
                );
            }
        }
        if self.lane.is_empty() || self.lane.len() > dp_types::limit::LANES_MAX {
            return refuse(
                "lane".into(),
                format!(
                    "1 to {} [[lane]] sections are needed",
                    dp_types::limit::LANES_MAX
                ),
            );
        }
        for (index, lane) in self.lane.iter().enumerate() {
            if lane.fifo > 60 {
                let why = format!(
                    "{}: use 1 to 60, or none; above it the kernel's threads starve",
                    lane.fifo
                );
                return refuse(format!("lane[{index}].fifo"), why);
            }
            if let Err((key, why)) = lane.check_transport() {
                return refuse(format!("lane[{index}].{key}"), why);
            }
            for name in &lane.venues {
                if !self.venue.contains_key(name) {
                    return refuse(
                        format!("lane[{index}].venues"),
                        format!("`{name}` has no [venue.{name}] section"),
                    );
                }
            }
        }
        if let Err((key, why)) = transport::check_cards(&self.lane, self.node.ports) {
            return refuse(key, why);
        }
        for (name, venue) in &self.venue {
            if !(50..=60_000).contains(&venue.order_window_ms) {
                return refuse(
                    format!("venue.{name}.order_window_ms"),
                    format!("{}: use 50 to 60000", venue.order_window_ms),
                );
            }
            if let Err((key, why)) = venue.check_orders() {
                return refuse(format!("venue.{name}.{key}"), why);
            }
            if let Err((key, why)) = venue.check_batches(name) {
                return refuse(format!("venue.{name}.{key}"), why);
            }
            if let Err((key, why)) = venue.check_feeds(name) {
                return refuse(format!("venue.{name}.{key}"), why);
            }
            if let Err((key, why)) = venue.check_multicast(name) {
                return refuse(format!("venue.{name}.{key}"), why);
            }
            if name == "yofx" && venue.feeds > 1 {
                return refuse(
                    format!("venue.{name}.feeds"),
                    "a FIX session is one connection: use 1".into(),
                );
            }
            if !(1..=100).contains(&venue.budget_pct) {
                return refuse(
                    format!("venue.{name}.budget_pct"),
                    format!("{}: use 1 to 100", venue.budget_pct),
                );
            }
            if VenueId::from_name(name).is_none() {
                return refuse(
                    format!("venue.{name}"),
                    "not a venue this build knows".into(),
                );
            }
            if let Err((key, why)) = venue.check_roads(name) {
                return refuse(key, why);
            }
        }
        if let Err((key, why)) = self.check_hearing() {
            return refuse(key, why);
        }
        let wrong = self.check_roles();
        if let [(key, why), rest @ ..] = wrong.as_slice() {
            let mut why = why.clone();
            for (key, more) in rest {
                why.push_str(&format!("\n{path}: {key}: {more}"));
            }
            return refuse(key.clone(), why);
        }
        if let Err((key, why)) = self.risk.check() {
            return refuse(key, why);
        }
        if let Err((key, why)) = self.check_strategies() {
            return refuse(key, why);
        }
        if let Err((key, why)) = self.check_paper() {
            return refuse(key, why);
        }
        if let Some(Err((key, why))) = self.api.as_ref().map(Api::check) {
            return refuse(key, why);
        }
        Ok(())
    }
}

/// Splits `host:port`. Errors: a sentence naming the text and the mend.
pub fn host_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| format!("`{text}`: use host:port"))?;
    let port = port
        .parse()
        .map_err(|_| format!("`{text}`: `{port}` is not a port number"))?;
    if host.is_empty() {
        return Err(format!("`{text}`: the host is missing"));
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const GOOD: &str = r#"
[node]
name = "t"
shm = "/dev/shm/t"
state_dir = "/tmp/t"
[[lane]]
venues = ["binance"]
idle = "park"
[venue.binance]
rest = "localhost:1"
public = "localhost:2"
private = "localhost:3"
symbols = ["BTCUSDT"]
[[strategy]]
kind = "market_maker"
venue = "binance"
symbol = "BTCUSDT"
quote_qty = "0.001"
position_max = "0.01"
"#;

    pub(crate) fn load(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|e| e.to_string())?;
        config.check("f.toml").map_err(|e| e.to_string())?;
        Ok(config)
    }

    #[test]
    fn an_order_always_has_a_window() {
        assert_eq!(load(GOOD).unwrap().venue["binance"].order_window_ms, 1_000);
        let none = GOOD.replace("symbols = [", "order_window_ms = 0\nsymbols = [");
        let error = load(&none).unwrap_err();
        assert!(
            error.contains("order_window_ms") && error.contains("50"),
            "{error}"
        );
    }

    #[test]
    fn a_budget_is_all_or_a_part_that_is_one() {
        let with = |line: &str| load(&GOOD.replace("symbols = [", &format!("{line}\nsymbols = [")));
        let part = |line: &str| with(line).unwrap().venue["binance"].budget_pct;
        assert_eq!((part(""), part("budget_pct = 1")), (100, 1));
        let is_shared = |line: &str| with(line).unwrap().venue["binance"].has_shared_account();
        assert!(
            !is_shared("") && is_shared("budget_pct = 99") && is_shared("shared_account = true")
        );
        assert!(!is_shared("budget_pct = 99\nshared_account = false"));
        for wrong in ["0", "101"] {
            let error = with(&format!("budget_pct = {wrong}")).unwrap_err();
            assert!(
                error.contains("venue.binance.budget_pct") && error.contains("1 to 100"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_good_file_loads() {
        let config = load(GOOD).unwrap();
        assert_eq!(config.lane[0].idle, Idle::Park);
        assert_eq!(config.node.journal_records, 1 << 17);
    }

    #[test]
    fn prices_alone_need_no_gateway_and_take_no_strategy() {
        let lanes =
            "[[lane]]\nroles = [\"feed\"]\nvenues = [\"oanda\"]\n[[lane]]\nroles = [\"engine\"]\n";
        let head = "[node]\nname = \"t\"\nshm = \"/dev/shm/t\"\nstate_dir = \"/tmp/t\"\n";
        let venue = "[venue.oanda]\nrest = \"l:1\"\npublic = \"l:2\"\nsymbols = [\"EUR_USD\"]\nkeys_file = \"/k\"\n";
        let node = format!("{head}{lanes}{venue}");
        assert!(load(&node).is_ok(), "{:?}", load(&node).err());
        let strategy = "[[strategy]]\nkind = \"market_maker\"\nvenue = \"oanda\"\nsymbol = \"EUR_USD\"\n\
                        quote_qty = \"1\"\nposition_max = \"1\"\n";
        let whole = node.replace("roles = [\"feed\"]\n", "");
        let whole = whole.replace("[[lane]]\nroles = [\"engine\"]\n", "");
        let error = load(&format!("{whole}{strategy}")).unwrap_err();
        assert!(
            error.contains("strategy[0].venue") && error.contains("prices alone"),
            "{error}"
        );
    }

    #[test]
    fn unknown_keys_are_refused_with_the_line() {
        let error = load(&GOOD.replace("idle =", "idel =")).unwrap_err();
        assert!(
            error.contains("line 8") && error.contains("idel"),
            "{error}"
        );
    }

    #[test]
    fn incoherent_files_name_the_key_and_the_mend() {
        for (from, to, want) in [
            (
                "venues = [\"binance\"]",
                "venues = [\"okx\"]",
                "lane[0].venues",
            ),
            ("name = \"t\"", "name = \"a b\"", "node.name"),
            (
                "symbol = \"BTCUSDT\"",
                "symbol = \"X\"",
                "strategy[0].symbol",
            ),
            ("[venue.binance]", "[venue.foo]", "lane[0].venues"),
        ] {
            let error = load(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn ways_that_contradict_themselves_are_refused_with_the_mend() {
        let with = |lines: &str| load(&GOOD.replace("idle = \"park\"", lines));
        let lane = with("transport = \"af_xdp\"\nnic = \"eth1\"\nqueue = 3").unwrap();
        let card = lane.lane[0].card().unwrap();
        assert_eq!(
            (card.nic, card.queue, card.mode),
            ("eth1", 3, XdpMode::Auto)
        );
        assert_eq!(card.busy_poll, None);
        let polled = with("nic = \"eth1\"\nbusy_poll = true").unwrap();
        assert_eq!(polled.lane[0].card().unwrap().busy_poll, Some(true));
        let auto = with("nic = \"eth1\"\nxdp_mode = \"generic\"").unwrap();
        assert_eq!(auto.lane[0].card().unwrap().mode, XdpMode::Generic);
        assert_eq!(
            with("transport = \"io_uring\"").unwrap().lane[0].card(),
            None
        );
        assert_eq!(load(GOOD).unwrap().lane[0].card(), None);
        for (lines, key, mend) in [
            ("transport = \"af_xdp\"", "lane[0].nic", "nic = \"eth1\""),
            (
                "transport = \"io_uring\"\nnic = \"eth1\"",
                "lane[0].nic",
                "af_xdp",
            ),
            ("queue = 1", "lane[0].queue", "name one"),
            ("xdp_mode = \"native\"", "lane[0].xdp_mode", "name one"),
            ("busy_poll = true", "lane[0].busy_poll", "name one"),
            (
                "nic = \"eth1\"\nxdp_mode = \"generic\"\nbusy_poll = true",
                "lane[0].busy_poll",
                "no queue to poll",
            ),
            ("nic = \"a/b\"", "lane[0].nic", "1 to 15"),
            ("transport = \"dpdk\"", "line 8", "af_xdp"),
            ("nic = \"eth1\"\nxdp_mode = \"fast\"", "line 9", "zero_copy"),
        ] {
            let error = with(lines).unwrap_err();
            assert!(
                error.contains(key) && error.contains(mend),
                "{lines}: {error}"
            );
        }
        let few = "state_dir = \"/tmp/t\"\nports = \"50000-50099\"";
        let few = GOOD.replace("state_dir = \"/tmp/t\"", few);
        assert!(load(&few).is_ok(), "no lane needs them");
        let error = load(&few.replace("idle =", "nic = \"eth1\"\nidle =")).unwrap_err();
        assert!(
            error.contains("node.ports") && error.contains("128"),
            "{error}"
        );
    }

    #[test]
    fn lanes_on_one_card_agree_and_have_queues_of_their_own() {
        let two = |second: &str| {
            let lane = format!(
                "nic = \"eth1\"\nidle = \"park\"\n[[lane]]\nvenues = [\"okx\"]\nnic = \"eth1\"\n{second}\n\
                 [venue.okx]\nrest = \"l:1\"\npublic = \"l:1\"\nprivate = \"l:1\"\nsymbols = []"
            );
            load(&GOOD.replace("idle = \"park\"", &lane))
        };
        assert!(two("queue = 1").is_ok());
        let error = two("queue = 0").unwrap_err();
        assert!(
            error.contains("lane[1].queue") && error.contains("another lane's"),
            "{error}"
        );
        let error = two("queue = 1\nxdp_mode = \"native\"").unwrap_err();
        assert!(
            error.contains("lane[1].xdp_mode") && error.contains("say the same"),
            "{error}"
        );
    }

    #[test]
    fn keys_never_print() {
        let keys = Keys {
            api_secret: "s3cret".into(),
            ..Keys::default()
        };
        assert!(!format!("{keys:?}").contains("s3cret"));
    }
}
