//! What the suite is told of each venue: how it is asked for, and nothing about how it works.

use dp_types::VenueId;

/// One venue of the suite.
#[derive(Debug, Clone, Copy)]
pub struct Tried {
    /// Its id.
    pub id: VenueId,
    /// Its name here and in the simulator.
    pub name: &'static str,
    /// What is traded there, BASE-QUOTE.
    pub symbols: [&'static str; 2],
    /// Cases that have no meaning there, each with its reason in the case's verdict: a table, so that none slips in.
    pub not_here: &'static [&'static str],
}

const USDT: [&str; 2] = ["BTC-USDT", "ETH-USDT"];
const USD: [&str; 2] = ["BTC-USD", "ETH-USD"];
const USDC: [&str; 2] = ["BTC-USDC", "ETH-USDC"];

/// Every venue the suite knows; those the simulator cannot play yet are told and left out.
pub const ALL: [Tried; 10] = [
    tried(
        VenueId::BINANCE,
        "binance",
        USDT,
        &["F07", "F08", "E02", "A06"],
    ),
    tried(VenueId::BITFINEX, "bitfinex", USDT, &["F09", "F10", "E03"]),
    tried(VenueId::BYBIT, "bybit", USDT, &["F07", "F08", "F09", "F10"]),
    tried(
        VenueId::COINBASE,
        "coinbase",
        USD,
        &[
            "F04", "F05", "F06", "F07", "F08", "F09", "F10", "F12", "E02", "E03", "A06",
        ],
    ),
    tried(
        VenueId::DERIBIT,
        "deribit",
        USDC,
        &["F07", "F08", "F09", "F10"],
    ),
    tried(VenueId::HUOBI, "huobi", USDT, &["F07", "E02", "E03", "E07"]),
    tried(
        VenueId::KRAKEN,
        "kraken",
        USD,
        &["F08", "F09", "F10", "E06"],
    ),
    tried(
        VenueId::KRAKEN_FUTURES,
        "kraken-futures",
        USD,
        &["F08", "F09", "F10", "E06"],
    ),
    tried(VenueId::KUCOIN, "kucoin", USDT, &["F07", "E02", "E03"]),
    tried(VenueId::OKX, "okx", USDT, &["F07", "F08", "F09", "F10"]),
];

const fn tried(
    id: VenueId,
    name: &'static str,
    symbols: [&'static str; 2],
    not_here: &'static [&'static str],
) -> Tried {
    Tried {
        id,
        name,
        symbols,
        not_here,
    }
}

impl Tried {
    /// A venue by name.
    pub fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|venue| venue.name == name)
    }
}
