//! What one message says of the market, in words that belong to no venue; and how JSON is read into them.

use bigdecimal::{BigDecimal, Zero as _};
use dp_types::{BookMsgKind, Decimal, OrderAct, RawLevel, Side};
use dp_venue_api::{Event, Registry};
use serde_json::Value;
use std::str::FromStr as _;

/// Price and quantity, exact.
pub type Level = (BigDecimal, BigDecimal);

/// An order of a book of single orders: its id, side, price and what rests.
pub type Order = (String, Side, BigDecimal, BigDecimal, OrderAct);

/// One word about the market.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Book(Depth),
    Orders {
        symbol: String,
        is_snapshot: bool,
        last: i64,
        checksum: Option<u32>,
        orders: Vec<Order>,
    },
    Trade {
        symbol: String,
        id: String,
        taker: Side,
        price: BigDecimal,
        qty: BigDecimal,
    },
    Quote {
        symbol: String,
        update_id: i64,
        bid: Level,
        ask: Level,
    },
}

/// Depth. Numbers of updates as `dp_types::BookMsg` defines them: -1 where the venue gives none.
#[derive(Debug, Clone, PartialEq)]
pub struct Depth {
    pub symbol: String,
    pub is_snapshot: bool,
    pub first: i64,
    pub last: i64,
    pub prev: i64,
    pub checksum: Option<u32>,
    pub bids: Vec<Level>,
    pub asks: Vec<Level>,
}

impl Depth {
    pub fn snapshot(symbol: &str, bids: Vec<Level>, asks: Vec<Level>) -> Self {
        Self {
            symbol: symbol.to_owned(),
            is_snapshot: true,
            first: -1,
            last: -1,
            prev: -1,
            checksum: None,
            bids,
            asks,
        }
    }

    pub fn delta(symbol: &str, bids: Vec<Level>, asks: Vec<Level>) -> Self {
        Self {
            is_snapshot: false,
            ..Self::snapshot(symbol, bids, asks)
        }
    }

    pub fn ids(self, first: i64, last: i64, prev: i64) -> Self {
        Self {
            first,
            last,
            prev,
            ..self
        }
    }

    /// One number a message.
    pub fn id(self, id: i64) -> Self {
        let prev = self.prev;
        self.ids(id, id, prev)
    }

    pub fn checksum(self, checksum: Option<u32>) -> Self {
        Self { checksum, ..self }
    }

    pub fn heard(self) -> Heard {
        Heard::Book(self)
    }
}

impl Heard {
    pub fn symbol(&self) -> &str {
        match self {
            Self::Book(Depth { symbol, .. })
            | Self::Orders { symbol, .. }
            | Self::Trade { symbol, .. }
            | Self::Quote { symbol, .. } => symbol,
        }
    }

    /// Its kind, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Book(_) => "book",
            Self::Orders { .. } => "orders",
            Self::Trade { .. } => "trade",
            Self::Quote { .. } => "quote",
        }
    }

    /// How many prices and quantities it tells; a 0 may stand for what is not there.
    pub fn numbers(&self) -> usize {
        let all: Vec<_> = match self {
            Self::Book(Depth { bids, asks, .. }) => bids.iter().chain(asks).cloned().collect(),
            Self::Orders { orders, .. } => {
                let order = |(_, _, price, qty, _): &Order| (price.clone(), qty.clone());
                orders.iter().map(order).collect()
            }
            Self::Trade { price, qty, .. } => vec![(price.clone(), qty.clone())],
            Self::Quote { bid, ask, .. } => vec![bid.clone(), ask.clone()],
        };
        let numbers = all.iter().flat_map(|(price, qty)| [price, qty]);
        numbers.filter(|number| !number.is_zero()).count()
    }

    /// The ids it tells.
    pub fn ids(&mut self) -> Vec<&mut String> {
        match self {
            Self::Trade { id, .. } => vec![id],
            Self::Orders { orders, .. } => orders.iter_mut().map(|order| &mut order.0).collect(),
            Self::Book(_) | Self::Quote { .. } => Vec::new(),
        }
    }

    /// An event of a machine, ids as their bare numbers; `None` when it is not of the market.
    pub fn of(event: &Event<'_>, registry: &Registry) -> Option<Self> {
        let symbol = |id| {
            let known = registry.get(id).expect("registered");
            known.symbol.as_str().to_owned()
        };
        let levels = |levels: &[RawLevel]| levels.iter().map(level).collect();
        Some(match event {
            Event::Book(book) => Self::Book(Depth {
                symbol: symbol(book.instrument),
                is_snapshot: book.kind == BookMsgKind::Snapshot,
                first: book.first_id,
                last: book.last_id,
                prev: book.prev_id,
                checksum: book.checksum,
                bids: levels(book.bids),
                asks: levels(book.asks),
            }),
            Event::L3(book) => Self::Orders {
                symbol: symbol(book.instrument),
                is_snapshot: book.kind == BookMsgKind::Snapshot,
                last: book.last_id,
                checksum: book.checksum,
                orders: book
                    .orders
                    .iter()
                    .map(|it| {
                        (
                            it.id.0.to_string(),
                            it.side,
                            big(it.price),
                            big(it.qty),
                            it.act,
                        )
                    })
                    .collect(),
            },
            Event::Trade(trade) => Self::Trade {
                symbol: symbol(trade.instrument),
                id: trade.trade_id.0.to_string(),
                taker: trade.taker,
                price: big(trade.price),
                qty: big(trade.qty),
            },
            Event::Quote(quote) => Self::Quote {
                symbol: symbol(quote.instrument),
                update_id: quote.update_id,
                bid: level(&quote.bid),
                ask: level(&quote.ask),
            },
            _ => return None,
        })
    }
}

fn big(value: Decimal) -> BigDecimal {
    BigDecimal::new(value.mantissa.into(), -i64::from(value.exponent))
}

fn level(raw: &RawLevel) -> Level {
    (big(raw.price), big(raw.qty))
}

/// A string as it is, a number as it is printed, nothing for what is neither.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// A number, quoted or not. Panics when it is none: messages without one are not given to it.
pub fn num(value: &Value) -> BigDecimal {
    BigDecimal::from_str(&text(value)).unwrap_or_else(|error| panic!("{value}: {error}"))
}

/// A counter; -1 where there is none.
pub fn int(value: &Value) -> i64 {
    text(value).parse().unwrap_or(-1)
}

/// A list; empty where there is none.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// `[[price, quantity, …], …]`.
pub fn pairs(value: &Value) -> Vec<Level> {
    let pair = |it: &Value| (num(&it[0]), num(&it[1]));
    list(value).iter().map(pair).collect()
}

/// `[{PRICE: …, QTY: …}, …]`.
pub fn fields(value: &Value, price: &str, qty: &str) -> Vec<Level> {
    let pair = |it: &Value| (num(&it[price]), num(&it[qty]));
    list(value).iter().map(pair).collect()
}

/// `buy` or `bid` in any case, or the short forms; anything else sells.
pub fn side(value: &Value) -> Side {
    match text(value).to_lowercase().as_str() {
        "buy" | "bid" | "b" => Side::Buy,
        _ => Side::Sell,
    }
}

/// A public trade.
pub fn trade(symbol: &str, id: &Value, taker: Side, price: &Value, qty: &Value) -> Heard {
    Heard::Trade {
        symbol: symbol.to_owned(),
        id: text(id),
        taker,
        price: num(price),
        qty: num(qty),
    }
}

/// One side of a best quote; an empty one is two zeros.
pub fn best(price: &Value, qty: &Value) -> Level {
    if text(price).is_empty() {
        return Level::default();
    }
    (num(price), num(qty))
}
