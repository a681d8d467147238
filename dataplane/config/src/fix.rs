//! `[venue.NAME.fix]`: orders over FIX, and market data.
//!
//! ```toml
//! [venue.coinbase.fix]
//! entry = "fix-ord.exchange.coinbase.com:6121"
//! market = "fix-md.exchange.coinbase.com:6121"    # books and trades too; absent: by the venue's own road
//!
//! [venue.yofx]                          # a provider that speaks nothing else: no rest, public or private
//! symbols = ["EUR/USD"]
//! keys_file = "/etc/spinlane/keys/yofx.toml"      # api_key is the user name (553), passphrase the password (554)
//! [venue.yofx.fix]
//! entry = "fix.provider.example:4001"
//! market = "fix.provider.example:4000"
//! sender = "US-TRD"                     # 49, as the provider assigned it
//! target = "PROVIDER"                   # 56
//! market_sender = "US-MD"               # of market data, where it is another
//! heartbeat_s = 30
//! resets = false                        # numbers go on where they were
//! [[venue.yofx.fix.instrument]]
//! symbol = "EUR/USD"
//! base = "EUR"
//! quote = "USD"
//! tick = "0.00001"
//! lot = "1000"
//! ```

use dp_types::{Decimal, VenueId};
use serde::Deserialize;

/// Longest heartbeat interval, seconds.
const HEARTBEAT_S_MAX: u32 = 3_600;

/// A venue's FIX.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fix {
    /// Order entry, `host:port`.
    pub entry: String,
    /// Market data, `host:port`, where it comes over FIX too: gateways, Binance's spot, Coinbase, Deribit, Kraken's spot.
    pub market: Option<String>,
    /// Our name (49); absent = the venue's usual one.
    #[serde(default)]
    pub sender: String,
    /// The venue's name (56); absent = its usual one.
    #[serde(default)]
    pub target: String,
    /// Our name on the session of market data; absent = the same.
    #[serde(default)]
    pub market_sender: String,
    /// The venue's name there; absent = the same.
    #[serde(default)]
    pub market_target: String,
    /// Heartbeat interval, seconds; absent = the venue's usual one.
    #[serde(default)]
    pub heartbeat_s: u32,
    /// Numbers begin at 1 with every connection, at a gateway.
    #[serde(default)]
    pub resets: bool,
    /// What a gateway trades: it lists nothing.
    #[serde(default)]
    pub instrument: Vec<FixInstrument>,
}

/// `[[venue.NAME.fix.instrument]]`. Numbers are decimal texts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixInstrument {
    /// As the venue writes it (55).
    pub symbol: String,
    /// Base asset.
    pub base: String,
    /// Quote asset.
    pub quote: String,
    /// Smallest price step.
    pub tick: String,
    /// Smallest quantity step.
    pub lot: String,
    /// Smallest order; absent = one lot.
    #[serde(default)]
    pub qty_min: Option<String>,
}

impl FixInstrument {
    /// Tick, lot and smallest order. Errors: which key is no number above zero.
    pub fn steps(&self) -> Result<[Decimal; 3], String> {
        let number = |key: &str, text: &str| {
            let parsed = Decimal::parse(text.as_bytes()).ok();
            let above = parsed.filter(|number| number.mantissa > 0);
            above.ok_or_else(|| format!("{key}: `{text}`: use a number above 0"))
        };
        let qty_min = self.qty_min.as_ref().unwrap_or(&self.lot);
        Ok([
            number("tick", &self.tick)?,
            number("lot", &self.lot)?,
            number("qty_min", qty_min)?,
        ])
    }
}

impl super::Venue {
    /// What keeps market data from coming over FIX, where that is asked for at a venue with roads of its own.
    fn check_market(&self, name: &str) -> Option<&'static str> {
        use dp_types::VenueId;
        self.fix.as_ref()?.market.as_ref()?;
        let venue = VenueId::from_name(name)?;
        let read = [
            VenueId::BINANCE,
            VenueId::COINBASE,
            VenueId::DERIBIT,
            VenueId::KRAKEN,
        ];
        if !read.contains(&venue) {
            Some("no market data over FIX is read of this venue: leave it out")
        } else if self.keys_file.is_none() {
            Some("it is for who logs on: name the keys in keys_file")
        } else if self.market_data != crate::MarketData::Json {
            Some("market_data says another way: leave one of them out")
        } else if self.feeds > 1 {
            Some("a FIX session is one connection: use feeds = 1")
        } else {
            None
        }
    }

    /// What is wrong with the venue's roads, as key and mend.
    pub(crate) fn check_roads(&self, name: &str) -> Result<(), (String, String)> {
        let id = VenueId::from_name(name);
        let is_gateway = id == Some(VenueId::YOFX);
        let trades = id.is_none_or(VenueId::takes_orders);
        let refuse = |key: &str, why: &str| Err((format!("venue.{name}.{key}"), why.to_owned()));
        for (key, text) in [
            ("rest", &self.rest),
            ("public", &self.public),
            ("private", &self.private),
        ] {
            // Starbase comes beside the link, the classic feed in its place.
            let is_classic = self.multicast_feed() == Some(crate::MulticastFeed::Classic);
            let is_heard = key == "public" && is_classic;
            let is_used = !is_gateway && !is_heard && (trades || key != "private");
            if text.is_empty() && is_used {
                return refuse(key, "missing; use host:port");
            }
        }
        if !trades && self.keys_file.is_none() {
            let why = "missing: prices are told to accounts alone; name a file with the account's id as `api_key` and \
                       its token as `api_secret`";
            return refuse("keys_file", why);
        }
        if !trades && self.fix.is_some() {
            return refuse("fix", "it takes no orders: leave the section out");
        }
        let Some(fix) = &self.fix else {
            if is_gateway {
                return refuse("fix", "missing: this venue speaks nothing else");
            }
            return Ok(());
        };
        if fix.heartbeat_s > HEARTBEAT_S_MAX {
            return refuse("fix.heartbeat_s", "use 1 to 3600");
        }
        if !is_gateway {
            if !fix.instrument.is_empty() || fix.resets {
                return refuse("fix", "`resets` and instruments are a gateway's");
            }
            return match self.check_market(name) {
                Some(why) => refuse("fix.market", why),
                None => Ok(()),
            };
        }
        if fix.sender.is_empty() || fix.target.is_empty() {
            return refuse(
                "fix",
                "`sender` and `target` are missing: the provider assigns them",
            );
        }
        for symbol in &self.symbols {
            let told = fix.instrument.iter().find(|it| it.symbol == *symbol);
            match told.map(FixInstrument::steps) {
                None => {
                    let why = format!("`{symbol}` has no [[venue.{name}.fix.instrument]]");
                    return refuse("symbols", &why);
                }
                Some(Err(why)) => return refuse("fix.instrument", &format!("{symbol}: {why}")),
                Some(Ok(_)) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::Venue;

    const GATEWAY: &str = r#"
symbols = ["EUR/USD"]
[fix]
entry = "h:1"
market = "h:2"
sender = "US"
target = "THEM"
[[fix.instrument]]
symbol = "EUR/USD"
base = "EUR"
quote = "USD"
tick = "0.00001"
lot = "1000"
"#;

    fn check(text: &str, name: &str) -> Result<(), String> {
        let venue: Venue = toml::from_str(text).map_err(|error| error.to_string())?;
        venue
            .check_roads(name)
            .map_err(|(key, why)| format!("{key}: {why}"))
    }

    #[test]
    fn a_gateway_is_all_configuration() {
        assert_eq!(check(GATEWAY, "yofx"), Ok(()));
        for (from, to, says) in [
            (r#"sender = "US""#, "", "venue.yofx.fix: `sender`"),
            (r#"tick = "0.00001""#, r#"tick = "0""#, "EUR/USD: tick: `0`"),
            (
                r#"symbol = "EUR/USD""#,
                r#"symbol = "X""#,
                "venue.yofx.symbols",
            ),
            (
                r#"entry = "h:1""#,
                "heartbeat_s = 30",
                "missing field `entry`",
            ),
            (
                "[fix]\n",
                "[fix]\nheartbeat_s = 9999\n",
                "venue.yofx.fix.heartbeat_s",
            ),
            (r#"target = "THEM""#, r#"traget = "THEM""#, "unknown field"),
        ] {
            let error = check(&GATEWAY.replace(from, to), "yofx").unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn others_have_their_own_roads_too() {
        let error = check(GATEWAY, "coinbase").unwrap_err();
        assert!(error.starts_with("venue.coinbase.rest: missing"), "{error}");
        let roads = "rest = \"h:1\"\npublic = \"h:1\"\nprivate = \"h:1\"\n";
        let error = check(&format!("{roads}{GATEWAY}"), "coinbase").unwrap_err();
        assert!(error.contains("a gateway's"), "{error}");
        let with = |more: &str| {
            format!("{more}{roads}symbols = []\n[fix]\nentry = \"h:1\"\nmarket = \"h:2\"\n")
        };
        let keys = "keys_file = \"k\"\n";
        for name in ["binance", "coinbase", "deribit", "kraken"] {
            assert_eq!(check(&with(keys), name), Ok(()));
        }
        for (text, name, says) in [
            (with(""), "coinbase", "keys_file"),
            (with(keys), "kraken-futures", "leave it out"),
            (with(&format!("feeds = 2\n{keys}")), "coinbase", "feeds = 1"),
            (
                with(&format!("market_data = \"sbe\"\n{keys}")),
                "binance",
                "another way",
            ),
        ] {
            let error = check(&text, name).unwrap_err();
            assert!(
                error.contains(&format!("venue.{name}.fix.market")),
                "{error}"
            );
            assert!(error.contains(says), "{error}");
        }
        let plain = format!("{roads}symbols = []\n[fix]\nentry = \"h:1\"\n");
        assert_eq!(check(&plain, "coinbase"), Ok(()));
        let prices = "rest = \"h:1\"\npublic = \"h:2\"\nsymbols = [\"EUR_USD\"]\n";
        let error = check(prices, "oanda").unwrap_err();
        assert!(
            error.starts_with("venue.oanda.keys_file: missing"),
            "{error}"
        );
        let prices = format!("{prices}keys_file = \"/k\"\n");
        assert_eq!(check(&prices, "oanda"), Ok(()), "no private road");
        let error = check(&format!("{prices}[fix]\nentry = \"h:3\"\n"), "oanda").unwrap_err();
        assert!(error.contains("takes no orders"), "{error}");
        let error = check("symbols = []", "yofx").unwrap_err();
        assert!(error.contains("speaks nothing else"), "{error}");
    }
}
