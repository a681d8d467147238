//! OKX to the offline tools.

use super::{Names, Signed, Tool};
use dp_types::{ClientOrderId, Instrument, LinkId, OrderId, Text, VenueId};
use dp_venue_api::{Registry, RegistryError, RestTag, VenueConfig};
use serde_json::{Map, Value, json};

/// OKX to the tools.
#[derive(Debug)]
pub struct OkxTool;

impl Tool for OkxTool {
    type Machine = dp_venue_okx::Okx;
    type Rule = dp_venue_okx::sync::OkxSync;
    const ID: VenueId = VenueId::OKX;
    const LINK: LinkId = dp_venue_okx::LINK_PUBLIC;

    fn machine(
        symbols: Vec<String>,
        registry: &mut Registry,
    ) -> Result<Self::Machine, RegistryError> {
        let config = VenueConfig {
            symbols,
            ..VenueConfig::default()
        };
        dp_venue_okx::Okx::new(config, registry)
    }

    fn rule(instrument: &Instrument) -> Self::Rule {
        dp_venue_okx::sync::OkxSync::new(instrument)
    }

    fn tag_of_url(registry: &Registry, url: &str) -> Option<RestTag> {
        dp_venue_okx::rest::tag_of_url(registry, url)
    }

    fn names(message: &Value, url: Option<&str>, names: &mut Names) {
        names.symbol(message["arg"]["instId"].as_str());
        let in_url = url.and_then(|url| {
            url.split(['?', '&'])
                .find_map(|p| p.strip_prefix("instId="))
        });
        names.symbol(in_url);
        // The instruments list names thousands that nobody trades: only what messages are about.
        if url.is_some_and(|url| url.contains("/instruments")) {
            return;
        }
        for item in message["data"].as_array().into_iter().flatten() {
            names.symbol(item["instId"].as_str());
            for key in ["fillFeeCcy", "feeCcy"] {
                names.asset(item[key].as_str());
            }
            for detail in item["details"].as_array().into_iter().flatten() {
                names.asset(detail["ccy"].as_str());
            }
        }
    }

    fn ticker(message: &Value) -> Option<Value> {
        if message["arg"]["channel"] != "tickers" {
            return None;
        }
        let item = &message["data"][0];
        Some(json!({
            "kind": "ticker",
            "symbol": item["instId"],
            "last": item["last"],
            "bid": super::ticker_side(&item["bidPx"], &item["bidSz"]),
            "ask": super::ticker_side(&item["askPx"], &item["askSz"]),
            "volume": item["vol24h"],
        }))
    }

    fn foreign_ack(message: &Value) -> Option<Value> {
        message["op"].as_str()?;
        let item = &message["data"][0];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let code = text(&item["sCode"]).or_else(|| text(&message["code"]))?;
        let reason = dp_venue_okx::reject::reason(code.parse().ok()?);
        Some(json!({
            "kind": "ack",
            "client_id": item["clOrdId"],
            "order_id": item["ordId"],
            "reason": reason.name(),
            "code": code,
        }))
    }

    fn url_of(message: &Value, symbol: &str) -> Option<String> {
        message
            .get("code")
            .filter(|_| message.get("arg").is_none())?;
        let item = message["data"].as_array()?.first()?;
        let symbol = item["instId"].as_str().unwrap_or(symbol);
        let is_book = item["asks"].is_array() && item["bids"].is_array();
        is_book.then(|| format!("/api/v5/market/books?instId={symbol}"))
    }

    fn checksum(bits: u32) -> Value {
        json!(bits.cast_signed())
    }

    fn order_id_text(id: OrderId) -> Text<40> {
        dp_venue_okx::symbols::order_id_text(id)
    }

    fn client_id(text: &str) -> Option<ClientOrderId> {
        dp_venue_okx::symbols::parse_client_id(text.as_bytes())
    }

    fn client_text(id: ClientOrderId) -> String {
        let mut text = Vec::with_capacity(16);
        dp_venue_okx::symbols::push_client_id(id, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn sign(request: &Map<String, Value>) -> anyhow::Result<Signed> {
        crate::venue_tools::sign_okx(request)
    }
}
