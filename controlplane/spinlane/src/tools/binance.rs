//! Binance to the offline tools.

use super::{Names, Signed, Tool};
use dp_types::{ClientOrderId, Instrument, LinkId, OrderId, Text, VenueId};
use dp_venue_api::{Registry, RegistryError, RestTag, VenueConfig};
use serde_json::{Map, Value, json};

/// Binance to the tools.
#[derive(Debug)]
pub struct BinanceTool;

impl Tool for BinanceTool {
    type Machine = dp_venue_binance::Binance;
    type Rule = dp_venue_binance::sync::BinanceSync;
    const ID: VenueId = VenueId::BINANCE;
    const LINK: LinkId = dp_venue_binance::LINK_MD;

    fn machine(
        symbols: Vec<String>,
        registry: &mut Registry,
    ) -> Result<Self::Machine, RegistryError> {
        let config = VenueConfig {
            symbols,
            ..VenueConfig::default()
        };
        dp_venue_binance::Binance::new(config, registry)
    }

    fn rule(_instrument: &Instrument) -> Self::Rule {
        dp_venue_binance::sync::BinanceSync
    }

    fn tag_of_url(registry: &Registry, url: &str) -> Option<RestTag> {
        dp_venue_binance::rest::tag_of_url(registry, url)
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
        // `btcusdt@depth`: partial books name their symbol only here.
        let in_stream = message["stream"]
            .as_str()
            .and_then(|stream| stream.split('@').next())
            .filter(|name| !name.starts_with('!'));
        names.symbol(in_stream.map(str::to_ascii_uppercase).as_deref());
        for event in [inner, &inner["event"]] {
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
