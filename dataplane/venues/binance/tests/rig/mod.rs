//! What the tests share: a machine with its registry, and a sink that writes down what came out.
#![allow(dead_code, missing_docs)] // each test file uses a part

use dp_types::{LinkId, Now, Tsc, UnixNanos};
use dp_venue_api::{
    Event, Fault, Registry, RestRequest, RestResponse, RestTag, Secrets, Sink, Venue, VenueConfig,
};
use dp_venue_binance::{Binance, LINK_MD, LINK_ORDERS, LINK_REST};

/// 2025-10-09T08:53:20Z, the time of the fixtures.
pub const START_MS: u64 = 1_760_000_000_000;
/// The venue's published throw-away keys.
pub const API_KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
pub const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
pub const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u\n\
    -----END PRIVATE KEY-----\n";

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
                "Book {:?} {}..{} prev {} {}x{}",
                book.kind,
                book.first_id,
                book.last_id,
                book.prev_id,
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
        assert!(request.body.is_empty());
        self.requests.push(Request {
            tag: request.tag,
            line: format!("{} {}", request.method.as_str(), request.target),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        });
    }

    fn reconnect(&mut self, link: LinkId, why: &'static str) {
        self.reconnects.push((link, why));
    }
}

fn text(value: Option<dp_types::Decimal>) -> String {
    value.map_or("-".into(), |value| value.to_string())
}

/// Which keys a rig has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    None,
    Hmac,
    Ed25519,
}

/// A machine and its registry.
pub struct Rig {
    pub venue: Binance,
    pub registry: Registry,
}

impl Rig {
    pub fn new(symbols: &[&str], keys: Keys) -> Self {
        let mut registry = Registry::new();
        let only = |wanted: bool, text: &str| {
            if wanted {
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
                api_key: only(keys != Keys::None, API_KEY),
                api_secret: only(keys == Keys::Hmac, SECRET),
                passphrase: String::new(),
                ed25519_pem: only(keys == Keys::Ed25519, PEM),
            },
            order_window_ms: 1_000,
        };
        let venue = Binance::new(config, &mut registry).expect("the registry has room");
        Self { venue, registry }
    }

    pub fn text(&mut self, link: LinkId, ms: u64, text: &str) -> (Said, Result<(), Fault>) {
        let mut said = Said::default();
        let mut bytes = text.as_bytes().to_vec();
        let result = self
            .venue
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
        let result = self.venue.on_response(
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
        self.venue
            .on_open(&mut self.registry, link, at_ms(ms), &mut said);
        said
    }

    pub fn close(&mut self, link: LinkId, ms: u64) -> Said {
        let mut said = Said::default();
        self.venue.on_closed(link, at_ms(ms), &mut said);
        said
    }

    pub fn deadline(&mut self, ms: u64) -> Said {
        let mut said = Said::default();
        self.venue.on_deadline(&self.registry, at_ms(ms), &mut said);
        said
    }

    /// A machine that follows BTCUSDT, with its rules, subscribed and logged in at `START_MS`.
    pub fn ready(keys: Keys) -> Self {
        let mut rig = Self::new(&["BTCUSDT"], keys);
        let asked = rig.open(LINK_REST, 0).requests;
        rig.response(0, asked[0].tag, 200, fixture("rest_exchange_info"))
            .1
            .expect("rules are read");
        rig.open(LINK_MD, 0);
        if keys != Keys::None {
            rig.open(LINK_ORDERS, 0);
            if keys == Keys::Ed25519 {
                rig.text(LINK_ORDERS, 0, fixture("entry_logon_ack"))
                    .1
                    .expect("logon");
            }
            let (said, result) = rig.text(LINK_ORDERS, 0, fixture("entry_user_stream_ack"));
            result.expect("user stream");
            assert!(said.events.contains(&"LoggedIn(LinkId(2))".to_owned()));
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
