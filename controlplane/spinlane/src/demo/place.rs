//! The demo's directory and the configuration written into it.

use super::sim::Ready;
use crate::fail::Usage;
use anyhow::Context;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What the demo trades.
#[derive(Debug, Clone, Copy)]
pub struct Traded {
    symbol: &'static str,
    /// Quantity of each quote.
    quote: &'static str,
    order_max: &'static str,
    position_max: &'static str,
}

const fn traded(symbol: &'static str, amounts: [&'static str; 3]) -> Traded {
    let [quote, order_max, position_max] = amounts;
    Traded {
        symbol,
        quote,
        order_max,
        position_max,
    }
}

const BTC: [&str; 3] = ["0.01", "0.05", "0.2"];
const ETH: [&str; 3] = ["0.2", "1", "4"];

/// Venues of the demo and what is traded there.
pub const VENUES: [(&str, [Traded; 2]); 2] = [
    ("binance", [traded("BTCUSDT", BTC), traded("ETHUSDT", ETH)]),
    ("okx", [traded("BTC-USDT", BTC), traded("ETH-USDT", ETH)]),
];

/// Where a demo keeps what it makes.
/// Dropping it takes the shared memory away; what was written to disk stays.
#[derive(Debug)]
pub struct Place {
    /// Everything is in here.
    pub dir: PathBuf,
    /// The node's configuration.
    pub config: PathBuf,
    node: String,
    is_ours: bool,
}

impl Place {
    /// Makes the directory. Errors: one that already holds a demo, whose ids the simulator would repeat.
    pub fn make(dir: Option<&Path>) -> anyhow::Result<Self> {
        let stamp = crate::view::now().0 / 1_000_000_000;
        let node = format!("demo-{stamp}-{}", std::process::id());
        let is_ours = dir.is_none();
        let dir = dir.map_or_else(
            || std::env::temp_dir().join(format!("spinlane-{node}")),
            Path::to_owned,
        );
        std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        let dir = dir
            .canonicalize()
            .with_context(|| format!("resolving {}", dir.display()))?;
        let config = dir.join("node.toml");
        if config.exists() {
            let text = format!(
                "--dir {}: holds an earlier demo; name a new directory",
                dir.display()
            );
            return Err(Usage(text).into());
        }
        Ok(Self {
            dir,
            config,
            node,
            is_ours,
        })
    }

    /// Arguments of the simulator.
    pub fn sim_args(&self) -> Vec<String> {
        let dir = self.dir.display().to_string();
        let names: Vec<&str> = VENUES.iter().map(|(name, _)| *name).collect();
        let ready = self.ready_file().display().to_string();
        [
            ("--venues", names.join(",")),
            ("--tls-dir", dir.clone()),
            ("--keys-out", dir),
            ("--ready-file", ready),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .chain(["--die-with-parent".to_owned()])
        .collect()
    }

    /// Where the simulator says that it is ready.
    pub fn ready_file(&self) -> PathBuf {
        self.dir.join("sim.json")
    }

    /// Where a process's words go.
    pub fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    /// The latency report.
    pub fn report(&self) -> PathBuf {
        self.dir.join("latency.html")
    }

    /// Writes the node's configuration for the simulator that is ready.
    pub fn write_config(&self, ready: &Ready) -> anyhow::Result<()> {
        let text = self.text(ready)?;
        std::fs::write(&self.config, text)
            .with_context(|| format!("writing {}", self.config.display()))
    }

    /// Takes away what a good run leaves and nobody needs: in a directory of ours, the database's files.
    pub fn tidy(&self) {
        if self.is_ours {
            let pg = self.dir.join("state").join("pg");
            if let Ok(data) = pg.canonicalize() {
                std::fs::remove_dir_all(data).ok();
                std::fs::remove_file(pg).ok();
            }
        }
    }

    /// What the engines were told.
    pub fn inputs(&self) -> PathBuf {
        self.dir.join("inputs")
    }

    fn shm(&self) -> PathBuf {
        PathBuf::from(format!("/dev/shm/spinlane-{}", self.node))
    }

    fn text(&self, ready: &Ready) -> anyhow::Result<String> {
        let (dir, shm) = (self.dir.display(), self.shm());
        let mut text = format!(
            "# Written by `spinlane demo`.\n[node]\nname = \"{}\"\nshm = \"{}\"\nstate_dir = \"{dir}/state\"\nmode = \"test\"\ninputs_dir = \"{dir}/inputs\"\n",
            self.node,
            shm.display(),
        );
        for (venue, symbols) in VENUES {
            // Two lanes, a simulator, PostgreSQL and we may have to share two cores.
            write!(
                text,
                "\n[[lane]]\nvenues = [\"{venue}\"]\nidle = \"yield\"\n"
            )?;
            let at = format!("localhost:{}", ready.port(venue)?);
            let names: Vec<String> = symbols
                .iter()
                .map(|symbol| format!("\"{}\"", symbol.symbol))
                .collect();
            write!(
                text,
                "\n[venue.{venue}]\nrest = \"{at}\"\npublic = \"{at}\"\nprivate = \"{at}\"\n\
                 symbols = [{}]\nkeys_file = \"{dir}/{venue}.toml\"\nca_file = \"{}\"\norder_window_ms = 5000\n",
                names.join(", "),
                ready.ca,
            )?;
        }
        for (venue, symbols) in VENUES {
            for Traded {
                symbol,
                quote,
                position_max,
                ..
            } in symbols
            {
                write!(
                    text,
                    "\n[[strategy]]\nkind = \"market_maker\"\nvenue = \"{venue}\"\nsymbol = \"{symbol}\"\n\
                     quote_qty = \"{quote}\"\nposition_max = \"{position_max}\"\nhalf_spread_ticks = 2\n\
                     requote_ticks = 2\nrequote_ms_min = 250\namend = {}\n",
                    venue == "okx",
                )?;
            }
        }
        write!(
            text,
            "\n[risk]\norder_qty_max = {{ {} }}\nposition_max = {{ {} }}\n",
            limits(|one| one.order_max),
            limits(|one| one.position_max),
        )?;
        Ok(text)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_file(self.shm()).ok();
    }
}

/// One limit of every symbol, as the inside of an inline table.
fn limits(pick: fn(&Traded) -> &'static str) -> String {
    let all = VENUES.iter().flat_map(|(_, symbols)| symbols);
    let lines: Vec<String> = all
        .map(|one| format!("\"{}\" = \"{}\"", one.symbol, pick(one)))
        .collect();
    lines.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_one_the_dataplane_takes() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::make(Some(dir.path())).unwrap();
        let ready = Ready::parse(
            r#"{"ready":true,"ca":"/x/ca.pem","venues":{"binance":{"port":1},"okx":{"port":2}},"admin":{"port":3}}"#,
        );
        place.write_config(&ready.unwrap()).unwrap();
        let config = dp_config::Config::load(&place.config).unwrap();
        assert_eq!(config.lane.len(), 2);
        assert_eq!(config.strategy.len(), 4);
        assert_eq!(config.venue["okx"].rest, "localhost:2");
        let again = Place::make(Some(dir.path())).unwrap_err();
        assert!(again.to_string().contains("earlier demo"), "{again}");
    }
}
