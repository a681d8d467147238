//! What the tests share: a machine with its registry and keys.
#![allow(dead_code, missing_docs)] // each test file uses a part

use dp_types::LinkId;
use dp_venue_api::{Registry, RestRequest, Secrets, Sink, Venue as _, VenueConfig};
use dp_venue_kucoin::{
    Kucoin, LINK_BATCHES, LINK_CANCELS, LINK_MD, LINK_ORDERS, LINK_REST, LINK_USER,
};
use tests_venues::rig::{Request, Said, at_ms};

pub type Rig = tests_venues::rig::Rig<Kucoin>;

pub fn new(symbols: &[&str], has_keys: bool) -> Rig {
    with(symbols, has_keys, false)
}

fn with(symbols: &[&str], has_keys: bool, rest_batches: bool) -> Rig {
    let key = |text: &'static str| if has_keys { text } else { "" };
    let secrets = Secrets {
        api_key: key("5c2db93503aa674c74a31734").into(),
        api_secret: key("f03a5284-5c39-4aaa-9b20-dea10bdcf8e3").into(),
        passphrase: key("QWIxMjM0NTY3OCkoKiZeJSQjQA==").into(),
        ..Secrets::default()
    };
    let mut registry = Registry::new();
    let config = VenueConfig {
        rest_batches,
        ..tests_venues::rig::config(symbols, secrets, 500)
    };
    let venue = Kucoin::new(config, &mut registry).expect("the registry has room");
    Rig {
        venue,
        registry,
        rest: LINK_REST,
    }
}

/// What a machine said, and where it wants its held links to lead.
#[derive(Debug, Default)]
pub struct Heard {
    pub said: Said,
    pub connects: Vec<(LinkId, String)>,
}

impl Sink for Heard {
    fn event(&mut self, event: &dp_venue_api::Event<'_>) {
        self.said.event(event);
    }
    fn send_text(&mut self, link: LinkId, text: &[u8]) {
        self.said.send_text(link, text);
    }
    fn request(&mut self, link: LinkId, request: &RestRequest<'_>) {
        self.said.request(link, request);
    }
    fn reconnect(&mut self, link: LinkId, why: &'static str) {
        self.said.reconnect(link, why);
    }
    fn connect(&mut self, link: LinkId, path: &str) {
        self.connects.push((link, path.to_owned()));
    }
}

/// The request whose line begins so.
pub fn asked<'a>(requests: &'a [Request], line: &str) -> &'a Request {
    let found = requests.iter().find(|asked| asked.line.starts_with(line));
    found.unwrap_or_else(|| panic!("no {line} in {requests:?}"))
}

/// Answers a request and returns what was said, connects included.
pub fn answer(rig: &mut Rig, ms: u64, request: &Request, status: u16, body: &str) -> Heard {
    let mut heard = Heard::default();
    let mut body = body.as_bytes().to_vec();
    let response = dp_venue_api::RestResponse {
        tag: request.tag,
        status,
        retry_after_s: None,
        usage: dp_venue_api::Usage::default(),
        body: &mut body,
    };
    let (kucoin, registry) = (&mut rig.venue, &mut rig.registry);
    let _ = kucoin.on_response(registry, request.link, at_ms(ms), response, &mut heard);
    heard
}

pub fn deadline(rig: &mut Rig, ms: u64) -> Heard {
    let mut heard = Heard::default();
    rig.venue.on_deadline(&rig.registry, at_ms(ms), &mut heard);
    heard
}

pub fn close(rig: &mut Rig, link: LinkId, ms: u64) -> Heard {
    let mut heard = Heard::default();
    rig.venue.on_closed(link, at_ms(ms), &mut heard);
    heard
}

/// Opens the order link and logs in.
pub fn log_in(rig: &mut Rig, ms: u64) -> Vec<String> {
    rig.open(LINK_ORDERS, ms);
    rig.text(LINK_ORDERS, ms, fixture("entry_challenge"))
        .1
        .expect("a challenge");
    let (said, result) = rig.text(LINK_ORDERS, ms, fixture("entry_welcome"));
    result.expect("a welcome");
    said.events
}

/// Opens the user stream and subscribes.
pub fn open_user(rig: &mut Rig, ms: u64) -> Vec<String> {
    rig.open(LINK_USER, ms);
    rig.text(LINK_USER, ms, fixture("feed_welcome"))
        .1
        .expect("a welcome");
    let mut events = Vec::new();
    for _ in 0..2 {
        let (said, result) = rig.text(LINK_USER, ms, fixture("feed_ack"));
        result.expect("an ack");
        events = said.events;
    }
    events
}

/// A machine that follows BTC-USDT, subscribed and logged in at `START_MS`, with the rates of its account and its
/// first book.
pub fn ready() -> Rig {
    up(new(&["BTC-USDT"], true))
}

/// The same, of a configuration that asks for batches, their link open.
pub fn batching() -> Rig {
    let mut rig = up(with(&["BTC-USDT"], true, true));
    rig.open(LINK_BATCHES, 0);
    rig
}

fn up(mut rig: Rig) -> Rig {
    let requests = rig.open(LINK_REST, 0).requests;
    for (line, body) in [
        ("GET /api/v2/symbols", "rest_symbols"),
        ("POST /api/v1/bullet-public", "rest_token"),
        ("POST /api/v1/bullet-private", "rest_token_private"),
        ("GET /api/v1/trade-fees", "rest_fees"),
    ] {
        let tag = asked(&requests, line).tag;
        rig.response(0, tag, 200, fixture(body)).1.expect(line);
    }
    rig.open(LINK_MD, 0);
    rig.text(LINK_MD, 0, fixture("feed_welcome"))
        .1
        .expect("a welcome");
    let mut early = Vec::new();
    for _ in 0..3 {
        let (said, result) = rig.text(LINK_MD, 0, fixture("feed_ack"));
        result.expect("an ack");
        early = said.requests;
    }
    let tag = asked(&early, "GET /api/v3/market/orderbook/level2").tag;
    rig.response(0, tag, 200, fixture("rest_snapshot"))
        .1
        .expect("a book");
    rig.open(LINK_CANCELS, 0);
    open_user(&mut rig, 0);
    let events = log_in(&mut rig, 0);
    assert_eq!(
        events.last().map(String::as_str),
        Some("LoggedIn(LinkId(2))")
    );
    rig
}

/// A fixture by name.
pub fn fixture(name: &str) -> &'static str {
    tests_venues::rig::fixture(env!("CARGO_MANIFEST_DIR"), name)
}
