//! Channel names, read once when they are subscribed.
//!
//! ```text
//! book.I.raw|100ms|agg2            changes          book.I.none.1|10|20.100ms   whole books
//! trades.I|KIND.CURRENCY.raw|…     quote.I          ticker.I.raw|…              platform_state
//! user.orders, user.trades, user.changes .I|KIND.CURRENCY.raw|100ms            user.portfolio.CURRENCY
//! ```

use crate::engine::Engine;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Changes of a book.
    Book,
    /// So many levels, whole each time.
    Grouped(usize),
    /// Public trades.
    Trades,
    /// The best bid and ask.
    Quote,
    /// The ticker.
    Ticker,
    /// The platform's own news.
    Platform,
    /// Our orders.
    Orders,
    /// Our trades.
    Fills,
    /// Orders, trades and positions of ours in one.
    Changes,
    /// Our balances.
    Portfolio,
}

impl Kind {
    /// Whether only the account it is about may hear it.
    pub const fn is_private(self) -> bool {
        matches!(
            self,
            Self::Orders | Self::Fills | Self::Changes | Self::Portfolio
        )
    }
}

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    Raw,
    /// Every 100 ms.
    Ms100,
    /// Every second.
    Agg2,
}

impl Pace {
    /// Every one, in the order their state is kept.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Ms100, Self::Agg2];

    fn of(text: &str) -> Option<Self> {
        Some(match text {
            "raw" => Self::Raw,
            "100ms" => Self::Ms100,
            "agg2" => Self::Agg2,
            _ => return None,
        })
    }

    /// Nanoseconds between two messages; 0 = at once.
    pub const fn length_ns(self) -> u64 {
        match self {
            Self::Raw => 0,
            Self::Ms100 => 100_000_000,
            Self::Agg2 => 1_000_000_000,
        }
    }
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// What.
    pub kind: Kind,
    /// How often.
    pub pace: Pace,
    /// Of which instruments.
    pub insts: Vec<usize>,
    /// Of which assets.
    pub assets: Vec<usize>,
}

/// Instrument kinds the venue knows; only futures are simulated.
const KINDS: [&str; 6] = [
    "any",
    "future",
    "option",
    "spot",
    "future_combo",
    "option_combo",
];

/// Instruments of a kind settled in a currency. `None` when either word is not known.
pub fn of_kind(engine: &Engine, kind: &str, currency: &str) -> Option<Vec<usize>> {
    let all = 0..engine.instruments();
    let fits = |inst: &usize| currency == "any" || engine.spec(*inst).quote == currency;
    let is_known = all.clone().any(|inst| {
        let spec = engine.spec(inst);
        currency == "any" || spec.quote == currency || spec.base == currency
    });
    if !KINDS.contains(&kind) || !is_known {
        return None;
    }
    let is_simulated = matches!(kind, "any" | "future");
    Some(all.filter(|inst| is_simulated && fits(inst)).collect())
}

/// An asset's index by its name, in either case.
pub fn asset(engine: &Engine, name: &str) -> Option<usize> {
    let name = name.to_ascii_uppercase();
    (0..engine.instruments()).find_map(|inst| {
        let spec = engine.spec(inst);
        match () {
            () if spec.base == name => Some(spec.base_asset),
            () if spec.quote == name => Some(spec.quote_asset),
            () => None,
        }
    })
}

/// Every asset: its index and name, each once.
pub fn assets(engine: &Engine) -> Vec<(usize, &str)> {
    let mut found: Vec<(usize, &str)> = Vec::new();
    for inst in 0..engine.instruments() {
        let spec = engine.spec(inst);
        for (asset, name) in [
            (spec.base_asset, &spec.base),
            (spec.quote_asset, &spec.quote),
        ] {
            if found.iter().all(|(known, _)| *known != asset) {
                found.push((asset, name.as_str()));
            }
        }
    }
    found
}

impl Topic {
    /// Reads a name. `None` when there is no such channel.
    pub fn parse(engine: &Engine, names: &[String], channel: &str) -> Option<Self> {
        let named = |name: &str| Some(vec![names.iter().position(|known| known == name)?]);
        let of = |kind, pace, insts| {
            Some(Self {
                kind,
                pace,
                insts,
                assets: Vec::new(),
            })
        };
        let parts: Vec<&str> = channel.split('.').collect();
        match parts.as_slice() {
            ["platform_state"] => of(Kind::Platform, Pace::Raw, Vec::new()),
            ["book", name, pace] => of(Kind::Book, Pace::of(pace)?, named(name)?),
            ["book", name, "none", depth @ ("1" | "10" | "20"), "100ms"] => of(
                Kind::Grouped(depth.parse().ok()?),
                Pace::Ms100,
                named(name)?,
            ),
            ["quote", name] => of(Kind::Quote, Pace::Raw, named(name)?),
            ["ticker", name, pace] => of(Kind::Ticker, Pace::of(pace)?, named(name)?),
            ["trades", name, pace] => of(Kind::Trades, Pace::of(pace)?, named(name)?),
            ["trades", kind, currency, pace] => {
                let insts = of_kind(engine, kind, currency)?;
                of(Kind::Trades, Pace::of(pace)?, insts)
            }
            ["user", "portfolio", currency] => {
                let all = || assets(engine).iter().map(|(asset, _)| *asset).collect();
                let assets = match *currency {
                    "any" => all(),
                    name => vec![asset(engine, name)?],
                };
                Some(Self {
                    kind: Kind::Portfolio,
                    pace: Pace::Raw,
                    insts: Vec::new(),
                    assets,
                })
            }
            ["user", what, name, pace] => of(user_kind(what)?, user_pace(pace)?, named(name)?),
            ["user", what, kind, currency, pace] => {
                let insts = of_kind(engine, kind, currency)?;
                of(user_kind(what)?, user_pace(pace)?, insts)
            }
            _ => None,
        }
    }

    /// Whether only those who are logged in hear it: their own, and every change.
    pub fn wants_login(&self) -> bool {
        let is_raw = self.pace == Pace::Raw;
        self.kind.is_private() || (is_raw && matches!(self.kind, Kind::Book | Kind::Trades))
    }
}

fn user_kind(what: &str) -> Option<Kind> {
    Some(match what {
        "orders" => Kind::Orders,
        "trades" => Kind::Fills,
        "changes" => Kind::Changes,
        _ => return None,
    })
}

fn user_pace(text: &str) -> Option<Pace> {
    Pace::of(text).filter(|pace| *pace != Pace::Agg2)
}
