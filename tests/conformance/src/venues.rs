//! What the suite is told of each venue: how it is asked for, and nothing about how it works.

use crate::cases::Case;
use dp_types::VenueId;
use dp_venue_api::{BatchNew, Capabilities, MarketData};

/// What of its books a lane follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// Levels.
    Levels,
    /// Single orders beside them.
    Orders,
}

/// How much of its single orders a venue shows.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Orders a side.
    pub orders: usize,
    /// Prices a side.
    pub prices: usize,
    /// It tells who stands before whom; else orders of one price are compared by their ids.
    pub is_queue_told: bool,
}

/// One venue of the suite.
#[derive(Debug, Clone, Copy)]
pub struct Tried {
    /// Its id.
    pub id: VenueId,
    /// Its name here and in the simulator.
    pub name: &'static str,
    /// What is traded there, BASE-QUOTE.
    pub symbols: [&'static str; 2],
    /// How its market data is written.
    pub market_data: MarketData,
    /// Orders and market data go over FIX; everything else as ever.
    pub is_fix: bool,
    /// New orders of one decision go in one REST request.
    pub has_rest_batches: bool,
    /// Its single orders, where it shows them.
    pub window: Option<Window>,
    /// What the lane of a case follows.
    pub follows: Follows,
    /// Levels of a side it tells, at least: so many are compared.
    pub levels: usize,
    /// Cases that have no meaning there, each with its reason in the case's verdict: a table, so that none slips in.
    pub not_here: &'static [&'static str],
}

const USDT: [&str; 2] = ["BTC-USDT", "ETH-USDT"];
const USD: [&str; 2] = ["BTC-USD", "ETH-USD"];
const USDC: [&str; 2] = ["BTC-USDC", "ETH-USDC"];
/// As the simulated provider quotes them, whatever it is asked for.
const FX: [&str; 2] = ["EUR-USD", "GBP-USD"];

/// Every venue the suite knows; those the simulator cannot play yet are told and left out.
pub const ALL: [Tried; 14] = [
    tried(
        VenueId::BINANCE,
        "binance",
        USDT,
        &["F07", "F08", "E02", "A06", "A09", "A11"],
    ),
    Tried {
        market_data: MarketData::Sbe,
        ..tried(
            VenueId::BINANCE,
            "binance-sbe",
            USDT,
            &["F07", "F08", "E02", "A06", "A09", "A11"],
        )
    },
    tried(
        VenueId::BINANCE_USDM,
        "binance-usdm",
        USDT,
        &["F07", "F08", "A07"],
    ),
    tried(
        VenueId::BITFINEX,
        "bitfinex",
        USDT,
        &["F09", "F10", "F28", "E03", "A09", "A11"],
    )
    .shows(250, usize::MAX, false),
    tried(
        VenueId::BYBIT,
        "bybit",
        USDT,
        &["F07", "F08", "F09", "F10", "A09", "A11"],
    ),
    tried(
        VenueId::COINBASE,
        "coinbase",
        USD,
        &[
            "F04", "F05", "F06", "F07", "F08", "F09", "F10", "F12", "F16", "F17", "F18", "F25",
            "E02", "E03", "A06", "A09", "A11",
        ],
    )
    .shows(usize::MAX, usize::MAX, true),
    tried(
        VenueId::DERIBIT,
        "deribit",
        USDC,
        &["F07", "F08", "F09", "F10", "A07"],
    ),
    Tried {
        market_data: MarketData::Multicast,
        ..tried(
            VenueId::DERIBIT,
            "deribit",
            USDC,
            &["F07", "F08", "F09", "F10", "S01", "A07"],
        )
    },
    Tried {
        market_data: MarketData::Starbase,
        ..tried(
            VenueId::DERIBIT,
            "deribit",
            USDC,
            &["F25", "F28", "A07", "A09"],
        )
        .shows(usize::MAX, usize::MAX, true)
    },
    tried(
        VenueId::HUOBI,
        "huobi",
        USDT,
        &["F07", "E02", "E03", "E07", "A09", "A11"],
    ),
    tried(
        VenueId::KRAKEN,
        "kraken",
        USD,
        &["F08", "F09", "F10", "F28", "E06", "A09", "A11"],
    )
    .shows(usize::MAX, 10, true),
    tried(
        VenueId::KRAKEN_FUTURES,
        "kraken-futures",
        USD,
        &["F08", "F09", "F10", "E06", "A07", "A09", "A11"],
    ),
    tried(
        VenueId::KUCOIN,
        "kucoin",
        USDT,
        &["F07", "E02", "E03", "A09", "A11"],
    ),
    tried(
        VenueId::OKX,
        "okx",
        USDT,
        &["F07", "F08", "F09", "F10", "A09", "A11"],
    ),
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
        market_data: MarketData::Json,
        is_fix: false,
        has_rest_batches: false,
        window: None,
        follows: Follows::Levels,
        levels: 10,
        not_here,
    }
}

/// Venues whose orders can go over FIX, with FIX; and the gateway, which speaks nothing else.
pub const OVER_FIX: [Tried; 5] = [
    over_fix(tried(
        VenueId::BINANCE,
        "binance",
        USDT,
        &[
            "F06", "F07", "F08", "F09", "F10", "F11", "E02", "A06", "A09", "A11",
        ],
    )),
    over_fix(tried(
        VenueId::COINBASE,
        "coinbase",
        USD,
        &["F06", "F07", "F08", "F09", "F10", "A09", "A11"],
    )),
    over_fix(tried(
        VenueId::DERIBIT,
        "deribit",
        USDC,
        &["F06", "F07", "F08", "F09", "F10", "F11", "A07"],
    )),
    over_fix(tried(
        VenueId::KRAKEN,
        "kraken",
        USD,
        &[
            "F06", "F08", "F09", "F10", "F11", "E06", "A08", "A09", "A11",
        ],
    )),
    over_fix(tried(
        VenueId::YOFX,
        "yofx",
        FX,
        &[
            "F04", "F05", "F06", "F07", "F08", "F09", "F10", "F11", "F12", "F13", "F14", "F15",
            "F16", "F17", "F18", "F19", "A06", "A07", "A08", "A09", "A11",
        ],
    )),
];

/// Venues that are prices alone: the cases of orders have no meaning there, and one of them shows that none leaves.
pub const PRICES: [Tried; 1] = [Tried {
    levels: 3,
    ..tried(
        VenueId::OANDA,
        "oanda",
        FX,
        &[
            "F03", "F04", "F05", "F06", "F07", "F08", "F09", "F10", "F12", "F16", "F17", "F18",
            "E01", "E02", "E03", "E04", "E05", "E06", "E07", "E08", "E09", "E11", "E12", "E13",
            "E14", "E15", "E16", "E17", "E18", "E19", "E20", "E21", "E22", "A01", "A02", "A03",
            "A04", "A05", "A06", "A07", "A08", "S02", "S05", "A09", "A10", "A11",
        ],
    )
}];

const fn over_fix(venue: Tried) -> Tried {
    Tried {
        is_fix: true,
        ..venue
    }
}

/// Venues at which new orders go in one REST request where the configuration asks for it, with that.
pub const BATCHING: [Tried; 2] = [
    batching(tried(
        VenueId::BINANCE_USDM,
        "binance-usdm",
        USDT,
        &["F07", "F08"],
    )),
    batching(tried(
        VenueId::KUCOIN,
        "kucoin",
        USDT,
        &["F07", "E02", "E03", "A11"],
    )),
];

const fn batching(venue: Tried) -> Tried {
    Tried {
        has_rest_batches: true,
        ..venue
    }
}

/// Perpetuals at a venue whose cases are played with spot: those of the account, where they differ.
pub const SWAPS: [Tried; 1] = [tried(
    VenueId::OKX,
    "okx",
    ["BTC-USDT-SWAP", "ETH-USDT-SWAP"],
    &["A07"],
)];

/// All of them.
pub fn all() -> impl Iterator<Item = Tried> {
    let ways = OVER_FIX.into_iter().chain(BATCHING).chain(SWAPS);
    ALL.into_iter().chain(ways).chain(PRICES)
}

impl Tried {
    const fn shows(self, orders: usize, prices: usize, is_queue_told: bool) -> Self {
        Self {
            window: Some(Window {
                orders,
                prices,
                is_queue_told,
            }),
            ..self
        }
    }

    /// The same, with a lane that follows these.
    pub const fn following(self, follows: Follows) -> Self {
        Self { follows, ..self }
    }

    /// A venue by its label.
    pub fn named(label: &str) -> Option<Self> {
        let mut all = all();
        all.find(|venue| venue.label() == label)
    }

    /// Whether its books come by multicast: a case's feeds are then its lines.
    pub fn is_multicast(&self) -> bool {
        self.market_data == MarketData::Multicast
    }

    /// Whether new orders of one decision go in one request here, and not each by itself.
    pub fn enters_together(&self, can: &Capabilities) -> bool {
        match can.batch_new {
            BatchNew::None => false,
            BatchNew::Link => true,
            BatchNew::Rest => self.has_rest_batches,
        }
    }

    /// Whether its single orders do: the lines bring those, and the books come as everywhere.
    pub fn is_starbase(&self) -> bool {
        self.market_data == MarketData::Starbase
    }

    /// Whether it is a venue's perpetuals beside its spot.
    pub fn is_swaps(&self) -> bool {
        self.symbols.iter().all(|symbol| symbol.ends_with("-SWAP"))
    }

    /// Whether a case is played here: a FIX session is one connection; single orders come by two lines or by one link;
    /// a lane that hears them by multicast is in all else one that does not; how orders are entered concerns the cases
    /// of orders.
    pub fn plays(&self, case: &Case) -> bool {
        let has_orders = case.follows == Follows::Orders;
        if self.is_starbase() {
            return has_orders;
        }
        if self.has_rest_batches && !case.id.starts_with('E') {
            return false;
        }
        if self.is_swaps() && !case.id.starts_with('A') {
            return false;
        }
        let is_one_session = self.is_fix && self.id != VenueId::YOFX;
        case.feeds == 1 || !(is_one_session || has_orders)
    }

    /// What it is called here: `okx`, `coinbase-fix`, `deribit-multicast`, `deribit-starbase`, `kucoin-batches`,
    /// `okx-swaps`.
    pub fn label(&self) -> String {
        let road = match (self.is_fix, self.market_data) {
            (true, _) => "-fix",
            (false, MarketData::Multicast) => "-multicast",
            (false, MarketData::Starbase) => "-starbase",
            (false, _) if self.has_rest_batches => "-batches",
            (false, _) if self.is_swaps() => "-swaps",
            (false, MarketData::Json | MarketData::Sbe) => "",
        };
        format!("{}{road}", self.name)
    }
}
