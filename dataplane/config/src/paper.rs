//! `[paper]`: what the exchange is like that stands in for the venues in paper trading and backtests.
//!
//! ```toml
//! [paper]
//! feed_us = 200                          # from the venue to us
//! order_us = 250                         # from us to the venue
//! answer_us = 250                        # its answer back
//! queue = "proportional"                 # who cancels before us: behind, proportional, squared
//! seed = 1
//! dsn = "host=/run/postgresql dbname=paper"   # of a paper run's own; absent: a private cluster
//! fees = { binance = { maker_ppm = 100, taker_ppm = 400 } }
//!
//! [[paper.instrument]]                   # for recordings that hold no list of instruments
//! venue = "binance"
//! symbol = "BTCUSDT"
//! base = "BTC"
//! quote = "USDT"
//! tick = "0.01"
//! lot = "0.00001"
//! ```

use crate::{FixInstrument, Mode};
use dp_types::VenueId;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Longest of each delay: beyond it an order counts as unanswered.
const DELAY_US_MAX: u64 = 1_000_000;
/// Largest fee or rebate: a tenth of the value.
const FEE_PPM_MAX: i32 = 100_000;

/// `[paper]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Paper {
    /// How long market data is on its way to us, microseconds.
    pub feed_us: u64,
    /// How long a request is on its way to the venue, microseconds.
    pub order_us: u64,
    /// How long an answer is on its way back, microseconds.
    pub answer_us: u64,
    /// Who cancels when a level shrinks by more than was traded there.
    pub queue: Queue,
    /// For delays that are drawn.
    pub seed: u64,
    /// libpq connection string of the database a paper run is kept in; empty = private cluster under `state_dir`. Never
    /// the live node's: the two count their runs apart, and the rows of one would stand for the other's.
    pub dsn: String,
    /// Fees by venue; a venue without a line takes none.
    pub fees: BTreeMap<String, PaperFees>,
    /// Instruments a recording does not tell the rules of.
    pub instrument: Vec<PaperInstrument>,
}

impl Default for Paper {
    fn default() -> Self {
        Self {
            feed_us: 0,
            order_us: 500,
            answer_us: 500,
            queue: Queue::default(),
            seed: 1,
            dsn: String::new(),
            fees: BTreeMap::new(),
            instrument: Vec::new(),
        }
    }
}

/// Queue models by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// Always those behind us: the least favourable.
    Behind,
    /// Those before and behind us as their quantities are.
    #[default]
    Proportional,
    /// By the squares of their quantities.
    Squared,
}

impl Queue {
    /// The word in the configuration and in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Behind => "behind",
            Self::Proportional => "proportional",
            Self::Squared => "squared",
        }
    }

    /// From its word.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Behind, Self::Proportional, Self::Squared];
        all.into_iter().find(|queue| queue.name() == name)
    }
}

/// What trading costs at a venue, in millionths of the value; negative is a rebate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaperFees {
    /// Of orders that rested.
    pub maker_ppm: i32,
    /// Of orders that took.
    pub taker_ppm: i32,
}

/// `[[paper.instrument]]`. Numbers are decimal texts.
#[derive(Debug, Clone, Deserialize)]
pub struct PaperInstrument {
    /// Venue name.
    pub venue: String,
    /// Its rules.
    #[serde(flatten)]
    pub rules: FixInstrument,
}

impl crate::Config {
    /// Whether the node trades on paper.
    pub fn is_paper(&self) -> bool {
        self.node.mode == Mode::Paper
    }

    /// A paper run has shared memory, a state directory and a database of its own, beside those of the live node with
    /// the same file: what one holds, the other never sees.
    pub(crate) fn settle_paper(&mut self) {
        if self.is_paper() {
            self.node.shm.as_mut_os_string().push("-paper");
            self.node.state_dir.push("paper");
            self.store.dsn.clone_from(&self.paper.dsn);
        }
    }

    /// What a node on paper cannot have. Errors: as [`Config::check_paper`].
    fn check_paper_node(&self) -> Result<(), (String, String)> {
        if !self.is_paper() {
            return Ok(());
        }
        if !self.store.dsn.is_empty() && self.paper.dsn.is_empty() {
            let why = "a paper run is not kept with the live orders: name a database of its own in paper.dsn, or leave \
                       this out for a private cluster";
            return Err(("store.dsn".into(), why.into()));
        }
        if !self.paper.dsn.is_empty() && self.paper.dsn == self.store.dsn {
            let why = "this is where the live orders are kept: name another database";
            return Err(("paper.dsn".into(), why.into()));
        }
        match self.lane.iter().position(|lane| !lane.is_whole()) {
            None => Ok(()),
            Some(at) => {
                let why = "on paper a lane does everything, for the exchange stands between the books and the engine, \
                           and takes no ring for a venue: leave it out";
                Err((format!("lane[{at}].roles"), why.into()))
            }
        }
    }

    /// Errors: the key, and what is wrong with it.
    pub(crate) fn check_paper(&self) -> Result<(), (String, String)> {
        self.check_paper_node()?;
        let paper = &self.paper;
        for (key, us) in [
            ("feed_us", paper.feed_us),
            ("order_us", paper.order_us),
            ("answer_us", paper.answer_us),
        ] {
            if us > DELAY_US_MAX {
                let why = format!("{us}: use 0 to {DELAY_US_MAX}");
                return Err((format!("paper.{key}"), why));
            }
        }
        for (name, fees) in &paper.fees {
            let key = format!("paper.fees.{name}");
            if VenueId::from_name(name).is_none() {
                return Err((key, "not a venue this build knows".into()));
            }
            let is_far = |ppm: i32| ppm.unsigned_abs() > FEE_PPM_MAX.unsigned_abs();
            if is_far(fees.maker_ppm) || is_far(fees.taker_ppm) {
                return Err((key, format!("use {} to {FEE_PPM_MAX} ppm", -FEE_PPM_MAX)));
            }
        }
        for (index, instrument) in paper.instrument.iter().enumerate() {
            let key = format!("paper.instrument[{index}]");
            let known = self.venue.get(&instrument.venue);
            if !known.is_some_and(|venue| venue.symbols.contains(&instrument.rules.symbol)) {
                let (venue, symbol) = (&instrument.venue, &instrument.rules.symbol);
                let why = format!("`{symbol}` is not among venue.{venue}.symbols");
                return Err((format!("{key}.symbol"), why));
            }
            instrument.rules.steps().map_err(|why| (key, why))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::Queue;
    use crate::tests::{GOOD, load};

    #[test]
    fn the_section_is_read_and_may_be_left_out() {
        let config = load(GOOD).unwrap();
        assert_eq!((config.paper.order_us, config.paper.feed_us), (500, 0));
        let text = format!(
            "{GOOD}\n[paper]\nfeed_us = 7\nqueue = \"behind\"\nfees = {{ binance = {{ maker_ppm = -5 }} }}\n\
             [[paper.instrument]]\nvenue = \"binance\"\nsymbol = \"BTCUSDT\"\nbase = \"BTC\"\nquote = \"USDT\"\n\
             tick = \"0.01\"\nlot = \"0.00001\"\n"
        );
        let config = load(&text).unwrap();
        assert_eq!(config.paper.feed_us, 7);
        assert_eq!(config.paper.queue, Queue::Behind);
        assert_eq!(config.paper.fees["binance"].maker_ppm, -5);
        assert_eq!(config.paper.instrument[0].rules.base, "BTC");
    }

    #[test]
    fn a_paper_node_shares_nothing_with_the_live_one() {
        let mut live = load(GOOD).unwrap();
        live.settle_paper();
        let text = GOOD.replace("[node]", "[node]\nmode = \"paper\"");
        let mut paper = load(&text).unwrap();
        paper.settle_paper();
        assert!(paper.is_paper() && !live.is_paper());
        assert_eq!(paper.node.shm.to_str(), Some("/dev/shm/t-paper"));
        assert_eq!(paper.node.state_dir, live.node.state_dir.join("paper"));
        let error = load(&format!("{text}\n[store]\ndsn = \"host=x\"")).unwrap_err();
        assert!(
            error.contains("store.dsn") && error.contains("paper.dsn"),
            "{error}"
        );
        let both =
            |own: &str| format!("{text}\n[store]\ndsn = \"host=x\"\n[paper]\ndsn = \"host={own}\"");
        let error = load(&both("x")).unwrap_err();
        assert!(error.contains("paper.dsn"), "{error}");
        let mut paper = load(&both("y")).unwrap();
        paper.settle_paper();
        assert_eq!(paper.store.dsn, "host=y");
        // A live node keeps its own, whatever a paper run would have.
        let file = both("y").replace("mode = \"paper\"", "");
        let mut live = load(&file).unwrap();
        live.settle_paper();
        assert_eq!(live.store.dsn, "host=x");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (lines, key) in [
            ("order_us = 1000001", "paper.order_us"),
            ("fees = { nasdaq = {} }", "paper.fees.nasdaq"),
            (
                "fees = { binance = { taker_ppm = 100001 } }",
                "paper.fees.binance",
            ),
            (
                "[[paper.instrument]]\nvenue = \"binance\"\nsymbol = \"NONE\"\nbase = \"A\"\nquote = \"B\"\ntick = \"1\"\nlot = \"1\"",
                "paper.instrument[0].symbol",
            ),
            (
                "[[paper.instrument]]\nvenue = \"binance\"\nsymbol = \"BTCUSDT\"\nbase = \"A\"\nquote = \"B\"\ntick = \"0\"\nlot = \"1\"",
                "tick",
            ),
        ] {
            let error = load(&format!("{GOOD}\n[paper]\n{lines}\n")).unwrap_err();
            assert!(error.contains(key), "{lines}: {error}");
        }
    }
}
