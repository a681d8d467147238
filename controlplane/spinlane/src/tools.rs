//! What the offline tools (`replay`, `venue decode`, `venue sign`) need of a venue beyond the live
//! `Venue` trait, and the JSON of normalised events.
//!
//! The machines, rules and REST readers are the live ones; nothing here parses what a venue crate
//! parses, except to learn names beforehand (live, the configuration names the symbols and the
//! instruments list the assets) and to show fields the dataplane has no use for (tickers).

mod binance;
mod bitfinex;
mod bybit;
mod coinbase;
mod deribit;
pub mod fix;
mod huobi;
mod kraken;
mod kraken_futures;
mod kucoin;
mod oanda;
mod okx;
pub mod shape;
pub mod subject;

pub use binance::{BinanceTool, BinanceUsdmTool};
pub use bitfinex::BitfinexTool;
pub use bybit::BybitTool;
pub use coinbase::CoinbaseTool;
pub use deribit::DeribitTool;
pub use huobi::HuobiTool;
pub use kraken::KrakenTool;
pub use kraken_futures::KrakenFuturesTool;
pub use kucoin::KucoinTool;
pub use oanda::OandaTool;
pub use okx::OkxTool;

/// Runs `$run` with the tool of a venue as the type `$tool`; `None` when this build has none for it.
macro_rules! with_tool {
    ($id:expr, $tool:ident => $run:expr) => {
        with_tool!(
            pick $id, $tool, $run,
            (BINANCE, BinanceTool)
            (BINANCE_USDM, BinanceUsdmTool)
            (BITFINEX, BitfinexTool)
            (BYBIT, BybitTool)
            (COINBASE, CoinbaseTool)
            (DERIBIT, DeribitTool)
            (HUOBI, HuobiTool)
            (KRAKEN, KrakenTool)
            (KRAKEN_FUTURES, KrakenFuturesTool)
            (KUCOIN, KucoinTool)
            (OANDA, OandaTool)
            (OKX, OkxTool)
        )
    };
    (pick $id:expr, $tool:ident, $run:expr, $(($venue:ident, $type:ident))*) => {
        match $id {
            $(dp_types::VenueId::$venue => {
                type $tool = $crate::tools::$type;
                Some($run)
            })*
            _ => None,
        }
    };
}
pub(crate) use with_tool;

use anyhow::Context as _;
use dp_book::SyncRule;
use dp_types::{
    ClientOrderId, Decimal, Instrument, InstrumentId, Level, LinkId, OrderId, RawLevel, Text,
    VenueId,
};
use dp_venue_api::{Event, Registry, RegistryError, RestRequest, RestTag, Sink, Venue};
use serde_json::{Map, Value, json};

/// One venue to the offline tools.
pub trait Tool {
    /// Its live machine.
    type Machine: Venue;
    /// Its live book rule.
    type Rule: SyncRule;
    /// Which venue.
    const ID: VenueId;
    /// The link recorded messages are fed to, public and private alike.
    const LINK: LinkId;

    /// Builds a machine that follows these symbols.
    fn machine(
        symbols: Vec<String>,
        registry: &mut Registry,
    ) -> Result<Self::Machine, RegistryError>;
    /// The rule of one instrument's book.
    fn rule(instrument: &Instrument) -> Self::Rule;
    /// The tag under which a REST answer from this URL is read; `None` when we do not ask for it.
    fn tag_of_url(registry: &Registry, url: &str) -> Option<RestTag>;
    /// Notes every symbol and asset a message or REST answer is about.
    fn names(message: &Value, url: Option<&str>, names: &mut Names);
    /// Notes every symbol a binary message is about, where the venue has such.
    fn names_of_binary(_message: &[u8], _names: &mut Names) {}
    /// The fields of a ticker message that people want to see; `None` when it is no ticker.
    fn ticker(message: &Value) -> Option<Value>;
    /// An answer about an order that is not ours, in the shape of an `ack`; `None` when it is none.
    fn foreign_ack(message: &Value) -> Option<Value>;
    /// The URL a bare body is the answer of, told by its shape, for the live reader of that answer. An instrument that
    /// the body does not name is called `symbol`.
    fn url_of(_message: &Value, _symbol: &str) -> Option<String> {
        None
    }
    /// Events the live machine has no use for, where the names of fields ([`shape`]) do not tell them.
    fn others(_message: &Value, _symbol: &str) -> Vec<Value> {
        Vec::new()
    }
    /// The checksum as the venue prints it.
    fn checksum(bits: u32) -> Value;
    /// The venue's text of an order id.
    fn order_id_text(id: OrderId) -> Text<40>;
    /// Our id from the venue's text of it; `None` when it is not one of ours.
    fn client_id(text: &str) -> Option<ClientOrderId>;
    /// The venue's text of our id: the inverse of [`Tool::client_id`].
    fn client_text(id: ClientOrderId) -> String;
    /// Signs a request object (shape of `auth-vectors.json`).
    fn sign(request: &Map<String, Value>) -> anyhow::Result<Signed>;
    /// What was signed, as `auth-vectors.json` shows it: its text, where the venue signs one.
    fn payload(signed: &Signed) -> Value {
        json!(signed.payload)
    }
}

/// A signed request.
#[derive(Debug, Clone, PartialEq)]
pub struct Signed {
    /// The exact text the signature is over.
    pub payload: String,
    /// The signature as the venue wants it.
    pub signature: String,
    /// The request or message with the signature in place; `null` when only a payload was given.
    pub request: Value,
}

/// Symbols and assets found in messages.
#[derive(Debug, Default)]
pub struct Names {
    /// Symbols as the venue writes them.
    pub symbols: std::collections::BTreeSet<String>,
    /// Assets.
    pub assets: std::collections::BTreeSet<String>,
}

impl Names {
    /// Notes a symbol; names longer than any registry takes are left out.
    pub fn symbol(&mut self, name: Option<&str>) {
        if let Some(name) = name.filter(|name| !name.is_empty() && name.len() <= 31) {
            self.symbols.insert(name.to_owned());
        }
    }

    /// Notes an asset.
    pub fn asset(&mut self, name: Option<&str>) {
        if let Some(name) = name.filter(|name| !name.is_empty() && name.len() <= 15) {
            self.assets.insert(name.to_owned());
        }
    }

    /// Registers everything for `T`, as far as there is room. Decoding alone needs no increments: the
    /// ones given here are never used.
    pub fn register<T: Tool>(&self, registry: &mut Registry) {
        for symbol in &self.symbols {
            let _ = registry.register(T::ID, symbol, 8, 8);
        }
        self.register_assets(registry);
    }

    /// Registers the assets only: a machine registers its symbols itself, with its own increments.
    pub fn register_assets(&self, registry: &mut Registry) {
        for asset in &self.assets {
            let _ = registry.asset(asset);
        }
    }
}

/// One side of a ticker, `null` when the venue gives none or the side is empty.
fn ticker_side(price: &Value, qty: &Value) -> Value {
    match (price.as_str(), qty.as_str()) {
        (Some(price), Some(qty)) if !price.is_empty() => json!([price, qty]),
        _ => Value::Null,
    }
}

/// A decimal in the digits it was printed with.
fn decimal(value: Decimal) -> Value {
    json!(value.to_string())
}

fn levels(levels: &[RawLevel]) -> Value {
    levels
        .iter()
        .map(|level| json!([level.price.to_string(), level.qty.to_string()]))
        .collect()
}

/// The best level of a side, `null` when the side is empty.
fn best(level: &RawLevel) -> Value {
    if level.qty.is_zero() {
        return Value::Null;
    }
    json!([level.price.to_string(), level.qty.to_string()])
}

/// A book level in the venue's own digits.
pub fn printed_level(instrument: &Instrument, level: &Level) -> [String; 2] {
    let price_decimals = instrument.price_decimals;
    let qty_decimals = instrument.qty_decimals;
    [
        Decimal::from_increments(level.price.0, price_decimals, level.price_printed).to_string(),
        Decimal::from_increments(level.qty.0, qty_decimals, level.qty_printed).to_string(),
    ]
}

/// A normalised event as `venue decode` prints it; `Err` with the reason when it is of no use.
pub fn event_json(
    registry: &Registry,
    order_id_text: fn(OrderId) -> Text<40>,
    checksum: fn(u32) -> Value,
    event: &Event<'_>,
) -> Result<Value, &'static str> {
    let symbol = |id: InstrumentId| registry.get(id).map_or("", |known| known.symbol.as_str());
    let optional = |value: Option<Decimal>| value.map_or(Value::Null, decimal);
    let name = |asset| match registry.asset_name(asset) {
        "" => Value::Null,
        name => json!(name),
    };
    Ok(match event {
        Event::Book(book) => json!({
            "kind": "book",
            "symbol": symbol(book.instrument),
            "type": match book.kind {
                dp_types::BookMsgKind::Snapshot => "snapshot",
                dp_types::BookMsgKind::Delta => "delta",
            },
            "first_id": book.first_id,
            "last_id": book.last_id,
            "prev_id": book.prev_id,
            "checksum": book.checksum.map_or(Value::Null, checksum),
            "bids": levels(book.bids),
            "asks": levels(book.asks),
            "venue_ns": book.venue_ns.0,
        }),
        Event::L3(book) => json!({
            "kind": "l3",
            "symbol": symbol(book.instrument),
            "type": match book.kind {
                dp_types::BookMsgKind::Snapshot => "snapshot",
                dp_types::BookMsgKind::Delta => "delta",
            },
            "last_id": book.last_id,
            "checksum": book.checksum.map_or(Value::Null, checksum),
            "orders": book.orders.iter().map(|order| json!([
                order_id_text(order.id).as_str(),
                order.side.name(),
                order.price.to_string(),
                order.qty.to_string(),
                order.act.name(),
            ])).collect::<Value>(),
            "venue_ns": book.venue_ns.0,
        }),
        Event::Trade(trade) => json!({
            "kind": "trade",
            "symbol": symbol(trade.instrument),
            "trade_id": order_id_text(OrderId(trade.trade_id.0)).as_str(),
            "side": trade.taker.name(),
            "price": decimal(trade.price),
            "qty": decimal(trade.qty),
            "venue_ns": trade.venue_ns.0,
        }),
        Event::Quote(quote) => json!({
            "kind": "quote",
            "symbol": symbol(quote.instrument),
            "update_id": quote.update_id,
            "bid": best(&quote.bid),
            "ask": best(&quote.ask),
            "venue_ns": quote.venue_ns.0,
        }),
        Event::Order(report) => json!({
            "kind": "order",
            "symbol": symbol(report.instrument),
            "client_id": report.client_id.map(|id| id.0),
            "order_id": order_id_text(report.order_id).as_str(),
            "side": report.side.map(dp_types::Side::name),
            "state": report.state.name(),
            "reason": report.reason.name(),
            "price": optional(report.price),
            "qty": optional(report.qty),
            "cum": optional(report.cum),
            "venue_ns": report.venue_ns.0,
        }),
        Event::Fill(fill) => json!({
            "kind": "fill",
            "symbol": symbol(fill.instrument),
            "client_id": fill.client_id.map(|id| id.0),
            "order_id": order_id_text(fill.order_id).as_str(),
            "trade_id": order_id_text(OrderId(fill.trade_id.0)).as_str(),
            "side": fill.side.name(),
            "price": decimal(fill.price),
            "qty": decimal(fill.qty),
            "fee": decimal(fill.fee),
            "fee_asset": name(fill.fee_asset),
            "liquidity": fill.liquidity.name(),
            "venue_ns": fill.venue_ns.0,
        }),
        Event::Funding(it) => json!({
            "kind": "funding",
            "symbol": symbol(it.instrument),
            "id": order_id_text(OrderId(it.id.0)).as_str(),
            "amount": decimal(it.amount),
            "asset": name(it.asset),
            "venue_ns": it.venue_ns.0,
        }),
        Event::Balance(balance) => json!({
            "kind": "balance",
            "asset": name(balance.asset),
            "free": decimal(balance.free),
            "locked": decimal(balance.locked),
        }),
        Event::Position(position) => json!({
            "kind": "position",
            "symbol": symbol(position.instrument),
            "qty": decimal(position.qty),
            "entry": optional(position.entry),
            "venue_ns": position.venue_ns.0,
        }),
        Event::Ack(ack) => json!({
            "kind": "ack",
            "client_id": ack.client_id.0,
            "order_id": order_id_text(ack.order_id).as_str(),
            "reason": ack.reason.name(),
            "code": ack.code,
            "venue_ns": ack.venue_ns.0,
        }),
        Event::Control(control) => json!({"kind": "control", "what": format!("{control:?}")}),
        Event::Ignored(why) => return Err(why),
    })
}

/// A sink that hands events to a closure and drops what a machine would send: nothing leaves a
/// tool.
pub struct EventsOnly<F>(pub F);

impl<F> std::fmt::Debug for EventsOnly<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventsOnly")
    }
}

impl<F: FnMut(&Event<'_>)> Sink for EventsOnly<F> {
    fn event(&mut self, event: &Event<'_>) {
        (self.0)(event);
    }
    fn send_text(&mut self, _link: LinkId, _text: &[u8]) {}
    fn request(&mut self, _link: LinkId, _request: &RestRequest<'_>) {}
    fn reconnect(&mut self, _link: LinkId, _why: &'static str) {}
}

/// A venue by its name on the command line. Errors: not one of this build, with the ones there are.
pub fn venue(name: &str) -> anyhow::Result<VenueId> {
    let is_here = |id: VenueId| with_tool!(id, T => T::ID).is_some();
    VenueId::from_name(name)
        .filter(|id| is_here(*id))
        .with_context(|| {
            let here: Vec<_> = (0..=u8::MAX)
                .map(VenueId)
                .filter(|id| is_here(*id))
                .map(VenueId::name)
                .collect();
            format!(
                "venue `{name}` is not in this build\nhint: use one of {}",
                here.join(", ")
            )
        })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;

    /// A file of the shared captures; `None`, told plainly, when they are not there.
    pub(crate) fn capture_path(name: &str) -> Option<PathBuf> {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures");
        let path = PathBuf::from(root).join(name);
        if path.is_file() {
            return Some(path);
        }
        let require = std::env::var("REQUIRE").unwrap_or_default();
        assert!(
            !require.contains("captures"),
            "REQUIRE has captures, and they are not there"
        );
        println!("SKIPPED: ../shared/captures/{name} is not there");
        None
    }
}
