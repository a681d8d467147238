//! What the tests share: a machine with its registry, and a sink that writes down what came out.
#![allow(dead_code, missing_docs)] // each test file uses a part

use dp_types::{LinkId, Now, Tsc, UnixNanos};
use dp_venue_api::{
    Event, Fault, Registry, RestRequest, RestResponse, RestTag, Secrets, Sink, Venue, VenueConfig,
};
use dp_venue_okx::{LINK_PRIVATE, LINK_PUBLIC, LINK_REST, Okx};

/// 2025-10-09T08:53:20Z, the time of the fixtures.
pub const START_MS: u64 = 1_760_000_000_000;

pub fn at_ms(ms: u64) -> Now {
    Now {
        tsc: Tsc(0),
        unix: UnixNanos::from_millis(START_MS + ms),
    }
}

/// Everything a machine said, as text a test can compare.
#[derive(Debug, Default)]
pub struct Said {
    pub events: Vec<String>,
    pub sent: Vec<(LinkId, String)>,
    pub requests: Vec<Request>,
    pub reconnects: Vec<(LinkId, &'static str)>,
}

#[derive(Debug, Clone)]
pub struct Request {
    pub tag: RestTag,
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Sink for Said {
    fn event(&mut self, event: &Event<'_>) {
        self.events.push(match event {
            Event::Order(report) => format!(
                "Order {} {} {:?} px {} qty {} cum {}",
                report
                    .client_id
                    .map_or("-".into(), |id| id.sequence().to_string()),
                report.state.name(),
                report.reason,
                text(report.price),
                text(report.qty),
                text(report.cum),
            ),
            Event::Fill(fill) => format!(
                "Fill {} trade {} {} {} @ {} fee {} {:?} {}",
                fill.client_id
                    .map_or("-".into(), |id| id.sequence().to_string()),
                fill.trade_id.0,
                fill.side.name(),
                fill.qty,
                fill.price,
                fill.fee,
                fill.fee_asset,
                fill.liquidity.name(),
            ),
            Event::Balance(balance) => format!(
                "Balance {:?} free {} locked {}",
                balance.asset, balance.free, balance.locked
            ),
            Event::Book(book) => format!(
                "Book {:?} prev {} last {} checksum {:?} {}x{}",
                book.kind,
                book.prev_id,
                book.last_id,
                book.checksum.map(u32::cast_signed),
                book.bids.len(),
                book.asks.len()
            ),
            Event::Trade(trade) => format!(
                "Trade {} {} {} @ {}",
                trade.trade_id.0,
                trade.taker.name(),
                trade.qty,
                trade.price
            ),
            Event::Quote(quote) => format!(
                "Quote {} {} @ {} / {} @ {}",
                quote.update_id, quote.bid.qty, quote.bid.price, quote.ask.qty, quote.ask.price
            ),
            Event::Ack(ack) => format!(
                "Ack {} order {} {:?} {}",
                ack.client_id.sequence(),
                ack.order_id.0,
                ack.reason,
                ack.code
            ),
            Event::Control(control) => format!("{control:?}"),
            Event::Ignored(why) => format!("Ignored {why}"),
        });
    }

    fn send_text(&mut self, link: LinkId, text: &[u8]) {
        self.sent.push((
            link,
            String::from_utf8(text.to_vec()).expect("text frames are UTF-8"),
        ));
    }

    fn request(&mut self, link: LinkId, request: &RestRequest<'_>) {
        assert_eq!(link, LINK_REST);
        self.requests.push(Request {
            tag: request.tag,
            line: format!("{} {}", request.method.as_str(), request.target),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: String::from_utf8(request.body.to_vec()).expect("bodies are UTF-8"),
        });
    }

    fn reconnect(&mut self, link: LinkId, why: &'static str) {
        self.reconnects.push((link, why));
    }
}

fn text(value: Option<dp_types::Decimal>) -> String {
    value.map_or("-".into(), |value| value.to_string())
}

/// A machine and its registry.
pub struct Rig {
    pub okx: Okx,
    pub registry: Registry,
}

impl Rig {
    pub fn new(symbols: &[&str], has_keys: bool) -> Self {
        let mut registry = Registry::new();
        let key = |text: &str| {
            if has_keys {
                text.to_owned()
            } else {
                String::new()
            }
        };
        let config = VenueConfig {
            rest: ("rest.test".into(), 1),
            public: ("public.test".into(), 2),
            private: ("private.test".into(), 3),
            symbols: symbols.iter().map(|symbol| (*symbol).to_owned()).collect(),
            secrets: Secrets {
                api_key: key("985d5b66-57ce-40fb-b714-afc0b9787083"),
                api_secret: key("chNOOS4KvNXR_Xq4k4c9qsfoKWvnDecLATCRlcBwyKDYnWgO"),
                passphrase: key("1234567890"),
                ed25519_pem: String::new(),
            },
            order_window_ms: 500,
        };
        let okx = Okx::new(config, &mut registry).expect("the registry has room");
        Self { okx, registry }
    }

    pub fn text(&mut self, link: LinkId, ms: u64, text: &str) -> (Said, Result<(), Fault>) {
        let mut said = Said::default();
        let mut bytes = text.as_bytes().to_vec();
        let result = self
            .okx
            .on_text(&self.registry, link, at_ms(ms), &mut bytes, &mut said);
        (said, result)
    }

    pub fn response(
        &mut self,
        ms: u64,
        tag: RestTag,
        status: u16,
        body: &str,
    ) -> (Said, Result<(), Fault>) {
        self.limited(ms, tag, status, body, None)
    }

    pub fn limited(
        &mut self,
        ms: u64,
        tag: RestTag,
        status: u16,
        body: &str,
        retry_after_s: Option<u32>,
    ) -> (Said, Result<(), Fault>) {
        let mut said = Said::default();
        let mut body = body.as_bytes().to_vec();
        let response = RestResponse {
            tag,
            status,
            retry_after_s,
            body: &mut body,
        };
        let result = self.okx.on_response(
            &mut self.registry,
            LINK_REST,
            at_ms(ms),
            response,
            &mut said,
        );
        (said, result)
    }

    pub fn open(&mut self, link: LinkId, ms: u64) -> Said {
        let mut said = Said::default();
        self.okx
            .on_open(&mut self.registry, link, at_ms(ms), &mut said);
        said
    }

    pub fn close(&mut self, link: LinkId, ms: u64) {
        self.okx.on_closed(link, at_ms(ms), &mut Said::default());
    }

    pub fn deadline(&mut self, ms: u64) -> Said {
        let mut said = Said::default();
        self.okx.on_deadline(&self.registry, at_ms(ms), &mut said);
        said
    }

    /// A machine that follows BTC-USDT, subscribed and logged in at `START_MS`.
    pub fn ready() -> Self {
        let mut rig = Self::new(&["BTC-USDT"], true);
        let asked = rig.open(LINK_REST, 0).requests;
        rig.response(0, asked[0].tag, 200, fixture("rest_instruments_spot"))
            .1
            .expect("instruments are read");
        rig.open(LINK_PUBLIC, 0);
        for channel in ["books", "trades", "bbo-tbt"] {
            let ack = format!(
                r#"{{"event":"subscribe","arg":{{"channel":"{channel}","instId":"BTC-USDT"}}}}"#
            );
            rig.text(LINK_PUBLIC, 0, &ack).1.expect("an ack");
        }
        rig.open(LINK_PRIVATE, 0);
        rig.text(LINK_PRIVATE, 0, fixture("entry_login_ack"))
            .1
            .expect("login");
        for arg in [
            r#""channel":"orders","instType":"ANY""#,
            r#""channel":"account""#,
        ] {
            let ack = format!(r#"{{"event":"subscribe","arg":{{{arg}}},"connId":"a"}}"#);
            rig.text(LINK_PRIVATE, 0, &ack).1.expect("an ack");
        }
        rig
    }
}

/// A fixture by name.
pub fn fixture(name: &str) -> &'static str {
    let path = format!("{}/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.leak()
}
