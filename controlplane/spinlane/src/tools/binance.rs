//! Binance to the offline tools: spot and USD-M futures.

use super::{Names, Signed, Tool, shape};
use dp_types::{ClientOrderId, Instrument, LinkId, OrderId, Text, VenueId};
use dp_venue_api::{Registry, RegistryError, RestTag, VenueConfig};
use dp_venue_binance::{Machine, Of, Spot, Usdm};
use serde_json::{Map, Value, json};
use std::marker::PhantomData;

/// A product of Binance to the tools.
#[derive(Debug)]
pub struct ProductTool<P>(PhantomData<P>);
/// Spot, and the market data of every product under one name.
pub type BinanceTool = ProductTool<Spot>;
/// USD-M futures.
pub type BinanceUsdmTool = ProductTool<Usdm>;

impl<P: Of> Tool for ProductTool<P> {
    type Machine = Machine<P>;
    type Rule = dp_venue_binance::sync::BinanceSync;
    const ID: VenueId = P::PRODUCT.id();
    const LINK: LinkId = dp_venue_binance::LINK_MD;

    fn machine(
        symbols: Vec<String>,
        registry: &mut Registry,
    ) -> Result<Self::Machine, RegistryError> {
        let config = VenueConfig {
            symbols,
            ..VenueConfig::default()
        };
        Machine::new(config, registry)
    }

    fn rule(_instrument: &Instrument) -> Self::Rule {
        dp_venue_binance::sync::BinanceSync
    }

    fn tag_of_url(registry: &Registry, url: &str) -> Option<RestTag> {
        dp_venue_binance::rest::tag_of_url(P::PRODUCT, registry, url)
    }

    fn names(message: &Value, url: Option<&str>, names: &mut Names) {
        if let Some(url) = url {
            let in_url = url
                .split(['?', '&'])
                .find_map(|pair| pair.strip_prefix("symbol="));
            names.symbol(in_url.map(str::to_ascii_uppercase).as_deref());
            // exchangeInfo names thousands that nobody trades: only what messages are about.
            if url.contains("exchangeInfo") {
                return;
            }
        }
        let inner = if message["data"].is_object() {
            &message["data"]
        } else {
            message
        };
        for symbol in [
            &inner["s"],
            &inner["symbol"],
            &inner["o"]["s"],
            &inner["event"]["s"],
        ] {
            names.symbol(symbol.as_str());
        }
        for position in inner["a"]["P"].as_array().into_iter().flatten() {
            names.symbol(position["s"].as_str());
        }
        // `btcusdt@depth`: partial books name their symbol only here.
        let in_stream = message["stream"]
            .as_str()
            .and_then(|stream| stream.split('@').next())
            .filter(|name| !name.starts_with('!'));
        names.symbol(in_stream.map(str::to_ascii_uppercase).as_deref());
        for event in [inner, &inner["event"], &inner["o"], &inner["a"]] {
            names.asset(event["N"].as_str());
            for balance in event["B"].as_array().into_iter().flatten() {
                names.asset(balance["a"].as_str());
            }
        }
        let lists = [
            message,
            &message["result"],
            &message["result"]["balances"],
            &message["balances"],
        ];
        for item in lists.into_iter().filter_map(Value::as_array).flatten() {
            names.symbol(item["symbol"].as_str());
            names.asset(item["asset"].as_str());
            names.asset(item["commissionAsset"].as_str());
        }
    }

    fn names_of_binary(message: &[u8], names: &mut Names) {
        names.symbol(dp_venue_binance::sbe_symbol(message));
    }

    fn ticker(message: &Value) -> Option<Value> {
        let item = if message["data"].is_object() {
            &message["data"]
        } else {
            message
        };
        if item["e"] != "24hrTicker" {
            return None;
        }
        Some(json!({
            "kind": "ticker",
            "symbol": item["s"],
            "last": item["c"],
            "bid": super::ticker_side(&item["b"], &item["B"]),
            "ask": super::ticker_side(&item["a"], &item["A"]),
            "volume": item["v"],
        }))
    }

    fn foreign_ack(_message: &Value) -> Option<Value> {
        None
    }

    fn url_of(message: &Value, symbol: &str) -> Option<String> {
        let item = message
            .as_array()
            .map_or(message, |items| items.first().unwrap_or(message));
        let has = |keys: &[&str]| keys.iter().all(|key| item.get(key).is_some());
        let symbol = item["symbol"].as_str().unwrap_or(symbol);
        let path = if has(&["lastUpdateId", "bids", "asks"]) {
            "depth"
        } else if has(&["orderId", "commissionAsset"]) {
            "myTrades"
        } else if has(&["orderId", "clientOrderId", "status"]) {
            if message.is_array() {
                "openOrders"
            } else {
                "order"
            }
        } else if has(&["balances", "accountType"]) {
            "account"
        } else if has(&["symbols", "rateLimits"]) {
            "exchangeInfo"
        } else {
            return None;
        };
        Some(format!("/api/v3/{path}?symbol={symbol}"))
    }

    fn others(message: &Value, _symbol: &str) -> Vec<Value> {
        let data = if message["data"].is_null() {
            message
        } else {
            &message["data"]
        };
        // Tickers of all symbols come in one list.
        if let Some(items) = data.as_array() {
            return items.iter().filter_map(Self::ticker).collect();
        }
        let list = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
        match data["e"].as_str().unwrap_or("") {
            // The machine of the futures reads both by itself.
            "ORDER_TRADE_UPDATE" if Self::ID == BinanceTool::ID => futures_order(&data["o"]),
            "ACCOUNT_UPDATE" if Self::ID == BinanceTool::ID => {
                let balance =
                    |item: &Value| Some(shape::total_json(&item["a"], item["wb"].as_str()?));
                list(&data["a"]["B"]).iter().filter_map(balance).collect()
            }
            "listStatus" => list(&data["O"]).iter().map(listed_order).collect(),
            "ticker_all" => vec![json!({
                "kind": "ticker",
                "symbol": data["s"],
                "last": data["c"],
                "bid": null,
                "ask": null,
                "volume": null,
            })],
            "trade_all" => list(&data["t"]).iter().filter_map(option_trade).collect(),
            _ => Vec::new(),
        }
    }

    fn checksum(bits: u32) -> Value {
        json!(bits)
    }

    fn order_id_text(id: OrderId) -> Text<40> {
        dp_venue_binance::symbols::order_id_text(id)
    }

    fn client_id(text: &str) -> Option<ClientOrderId> {
        dp_venue_binance::symbols::parse_client_id(text.as_bytes())
    }

    fn client_text(id: ClientOrderId) -> String {
        let text = dp_venue_binance::symbols::client_id_text(id);
        String::from_utf8_lossy(text.as_bytes()).into_owned()
    }

    fn sign(request: &Map<String, Value>) -> anyhow::Result<Signed> {
        crate::venue_tools::sign_binance(request)
    }
}

/// An order of the futures account: its fields have one letter each.
fn futures_order(order: &Value) -> Vec<Value> {
    let text = |key: &str| shape::digits(&order[key]);
    let side = shape::side(&order["S"]).map(dp_types::Side::name);
    let state = order["X"].as_str().and_then(shape::state);
    let ns = shape::time_ns(&order["T"]);
    let mut events = vec![json!({
        "kind": "order",
        "symbol": order["s"],
        "client_id": order["c"],
        "order_id": text("i"),
        "side": side,
        "state": state.map(dp_types::OrderState::name),
        "reason": "none",
        "price": text("p"),
        "qty": text("q"),
        "cum": text("z"),
        "venue_ns": ns,
    })];
    if order["x"] == "TRADE" {
        events.push(json!({
            "kind": "fill",
            "symbol": order["s"],
            "client_id": order["c"],
            "order_id": text("i"),
            "trade_id": text("t"),
            "side": side,
            "price": text("L"),
            "qty": text("l"),
            "fee": text("n"),
            "fee_asset": order["N"],
            "liquidity": if order["m"] == true { "maker" } else { "taker" },
            "venue_ns": ns,
        }));
    }
    events
}

/// One order of a list: its ids are all that is told here.
fn listed_order(order: &Value) -> Value {
    json!({
        "kind": "order",
        "symbol": order["s"],
        "client_id": order["c"],
        "order_id": shape::digits(&order["i"]),
        "side": null,
        "state": null,
        "reason": "none",
        "price": null,
        "qty": null,
        "cum": null,
        "venue_ns": 0,
    })
}

/// A trade of the retired stream of all options of an underlying: `S` is the option, a negative side (`s`) sold.
fn option_trade(trade: &Value) -> Option<Value> {
    let what = [shape::digits(&trade["p"])?, shape::digits(&trade["q"])?];
    let taker = match trade["s"].as_str() {
        Some("1") => Some(dp_types::Side::Buy),
        Some("-1") => Some(dp_types::Side::Sell),
        _ => None,
    };
    let ns = shape::time_ns(&trade["T"]);
    Some(shape::trade_json(
        trade["S"].as_str()?,
        &trade["t"],
        taker,
        what,
        ns,
    ))
}
