//! OANDA to the offline tools: prices, and requests that bear a token.

use super::{Names, Signed, Tool};
use crate::venue_tools::{request_of, secrets};
use anyhow::Context as _;
use dp_types::{ClientOrderId, Instrument, LinkId, OrderId, Text, VenueId};
use dp_venue_api::{Registry, RegistryError, RestTag, VenueConfig};
use dp_venue_oanda::auth::Auth;
use serde_json::{Map, Value, json};

/// OANDA to the tools.
#[derive(Debug)]
pub struct OandaTool;

impl Tool for OandaTool {
    type Machine = dp_venue_oanda::Oanda;
    type Rule = dp_venue_oanda::sync::OandaSync;
    const ID: VenueId = VenueId::OANDA;
    const LINK: LinkId = dp_venue_oanda::LINK_STREAM;

    fn machine(
        symbols: Vec<String>,
        registry: &mut Registry,
    ) -> Result<Self::Machine, RegistryError> {
        let config = VenueConfig {
            symbols,
            ..VenueConfig::default()
        };
        dp_venue_oanda::Oanda::new(config, registry)
    }

    fn rule(instrument: &Instrument) -> Self::Rule {
        dp_venue_oanda::sync::OandaSync::new(instrument)
    }

    fn tag_of_url(_: &Registry, url: &str) -> Option<RestTag> {
        dp_venue_oanda::rest::tag_of_url(url)
    }

    /// The list of instruments names a hundred that nobody follows: only what prices are about.
    fn names(message: &Value, _: Option<&str>, names: &mut Names) {
        names.symbol(message["instrument"].as_str());
        for price in message["prices"].as_array().into_iter().flatten() {
            names.symbol(price["instrument"].as_str());
        }
    }

    fn ticker(_: &Value) -> Option<Value> {
        None
    }

    fn foreign_ack(_: &Value) -> Option<Value> {
        None
    }

    fn url_of(message: &Value, _: &str) -> Option<String> {
        let is_prices = message["prices"][0]["bids"].is_array();
        is_prices.then(|| "/v3/accounts/A/pricing".to_owned())
    }

    fn checksum(bits: u32) -> Value {
        json!(bits) // the venue has none
    }

    fn order_id_text(_: OrderId) -> Text<40> {
        Text::EMPTY // it takes no orders
    }

    fn client_id(_: &str) -> Option<ClientOrderId> {
        None
    }

    fn client_text(_: ClientOrderId) -> String {
        String::new()
    }

    /// Nothing is signed: the request bears the token (`secret`) of the account (`key`).
    fn sign(object: &Map<String, Value>) -> anyhow::Result<Signed> {
        let auth = Auth::new(&secrets(object)?)?;
        let mut request = request_of(object).context("there is no `request`")?;
        let headers = request.entry("headers").or_insert_with(|| json!({}));
        headers["Authorization"] = json!(auth.bearer());
        Ok(Signed {
            payload: String::new(),
            signature: auth.bearer().to_owned(),
            request: Value::Object(request),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue_tools::{decode_lines, sign_object};

    fn decoded(text: &str) -> Vec<Value> {
        let mut output = Vec::new();
        decode_lines::<OandaTool>(text.as_bytes(), &mut output).unwrap();
        let lines = output.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    const PRICE: &str = r#"{"type":"PRICE","time":"2025-10-09T08:53:20.000000000Z","instrument":"EUR_USD","tradeable":true,"bids":[{"price":"1.16200","liquidity":1000000}],"asks":[{"price":"1.16210","liquidity":1000000}]}"#;

    #[test]
    fn a_line_of_the_stream_is_a_quote_and_a_book() {
        let asked = format!(r#"{{"prices":[{PRICE}]}}"#);
        let beat = r#"{"type":"HEARTBEAT","time":"2025-10-09T08:53:25.000000000Z"}"#;
        let lines = decoded(&format!(
            "{PRICE}\n{asked}\n{beat}\n{{\"type\":\"PRICE\"}}\n"
        ));
        for line in &lines[..2] {
            let (quote, book) = (&line["events"][0], &line["events"][1]);
            assert_eq!(quote["bid"], json!(["1.16200", "1000000"]), "{line}");
            assert_eq!(book["type"], "snapshot");
            assert_eq!(book["symbol"], "EUR_USD");
            assert_eq!(book["asks"], json!([["1.16210", "1000000"]]));
        }
        assert_eq!(lines[2]["events"][0]["what"], "Heartbeat");
        assert!(lines[3]["error"].is_string(), "{}", lines[3]);
    }

    #[test]
    fn a_request_bears_the_token() {
        let object = json!({
            "key": "101-001-0000001-001", "secret": "not-a-token",
            "request": {"method": "GET", "url": "https://api-fxpractice.oanda.com/v3/accounts/101-001-0000001-001/pricing"},
        });
        let signed = sign_object(VenueId::OANDA, object.as_object().unwrap()).unwrap();
        let bearer = "Bearer not-a-token";
        assert_eq!(signed["request"]["headers"]["Authorization"], bearer);
        assert_eq!(signed["signed_payload"], "");
        let bare = json!({"key": "1", "secret": "a b", "request": {}});
        assert!(sign_object(VenueId::OANDA, bare.as_object().unwrap()).is_err());
    }
}
