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
}

const USDT: [&str; 2] = ["BTC-USDT", "ETH-USDT"];
const USD: [&str; 2] = ["BTC-USD", "ETH-USD"];
const USDC: [&str; 2] = ["BTC-USDC", "ETH-USDC"];

/// Every venue the suite knows; those the simulator cannot play yet are told and left out.
pub const ALL: [Tried; 10] = [
    tried(VenueId::BINANCE, "binance", USDT),
    tried(VenueId::BITFINEX, "bitfinex", USDT),
    tried(VenueId::BYBIT, "bybit", USDT),
    tried(VenueId::COINBASE, "coinbase", USD),
    tried(VenueId::DERIBIT, "deribit", USDC),
    tried(VenueId::HUOBI, "huobi", USDT),
    tried(VenueId::KRAKEN, "kraken", USD),
    tried(VenueId::KRAKEN_FUTURES, "kraken-futures", USD),
    tried(VenueId::KUCOIN, "kucoin", USDT),
    tried(VenueId::OKX, "okx", USDT),
];

const fn tried(id: VenueId, name: &'static str, symbols: [&'static str; 2]) -> Tried {
    Tried { id, name, symbols }
}

impl Tried {
    /// A venue by name.
    pub fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|venue| venue.name == name)
    }
}
