//! The scanners on the simulated venues' own words, in virtual time: their market data, and what they answer a
//! machine that trades.

#[path = "../../fuzz/src/scan.rs"]
#[allow(dead_code, reason = "changes of a book are the corpora's")]
mod scan;

use dp_types::{
    CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, LinkId, NewOrder, Now, OrderId,
    OrderKind, Price, Qty, Side, Tif, Tsc, UnixNanos,
};
use dp_venue_api::{
    Control, Event, Registry, RegistryError, RestRequest, Secrets, Sink, Venue, VenueConfig,
};
use spinlane_sim::config::SimConfig;
use spinlane_sim::core::{ConnId, Out};
use spinlane_sim::keys::DEFAULT_KEY;
use spinlane_sim::venues::{Face, binance, okx};

/// 2026-11-21 00:00:00 UTC.
const START: u64 = 1_795_219_200_000_000_000;
const MS: u64 = 1_000_000;
const CONN: ConnId = 1;

/// What a public connection hears in `seconds` after it said `asks`.
fn heard(face: &mut dyn Face, path: &str, query: &str, asks: &[&str], seconds: u64) -> Vec<String> {
    face.open(CONN, path, query);
    for ask in asks {
        face.text(CONN, ask);
    }
    let mut texts = Vec::new();
    let mut now = START;
    while now < START + seconds * 1_000 * MS {
        now = face.next_deadline().max(now + MS);
        face.step(now);
        for out in face.core().take_out() {
            match out {
                Out::Text(CONN, text) => texts.push(text),
                Out::Ping(conn) => face.pong(conn),
                _ => {}
            }
        }
    }
    texts
}

/// All mean the same to scanner and parser, and all that is hot is scanned.
fn check(name: &str, texts: &[String], is_hot: fn(&str) -> bool, scan: fn(&[u8]) -> bool) {
    let (mut hot, mut scanned) = (0, 0);
    for text in texts {
        let is_scanned = scan(text.as_bytes());
        hot += usize::from(is_hot(text));
        scanned += usize::from(is_scanned);
        assert!(is_scanned || !is_hot(text), "not scanned: {text:.400}");
    }
    println!(
        "{name}: {scanned} of {} scanned, {hot} are hot",
        texts.len()
    );
    assert!(hot > 500, "{name}: {hot} hot messages");
}

fn config() -> SimConfig {
    let mut config = SimConfig::default();
    config.flow.ticks_per_s = config.flow.ticks_per_s.max(50);
    config
}

#[test]
fn binance_in_both_envelopes() {
    let is_hot = |text: &str| {
        ["depthUpdate", "\"trade\"", "aggTrade"]
            .iter()
            .any(|kind| text.contains(kind))
            || text.contains("@bookTicker\"")
            || text.starts_with("{\"u\":")
    };
    let streams = "btcusdt@depth@100ms/btcusdt@trade/btcusdt@aggTrade/btcusdt@bookTicker";
    let mut face = binance::Binance::new(&config(), START);
    let query = format!("streams={streams}");
    let texts = heard(&mut face, "/stream", &query, &[], 60);
    check("Binance, combined", &texts, is_hot, scan::binance);
    let mut face = binance::Binance::new(&config(), START);
    let ask = format!(
        r#"{{"method":"SUBSCRIBE","params":["{}"],"id":1}}"#,
        streams.replace('/', "\",\"")
    );
    let texts = heard(&mut face, "/ws", "", &[&ask], 60);
    check("Binance, raw", &texts, is_hot, scan::binance);
}

#[test]
fn okx_books_quotes_and_trades() {
    for has_okx_checksums in [false, true] {
        let config = SimConfig {
            has_okx_checksums,
            ..config()
        };
        let mut face = okx::Okx::new(&config, START);
        let channel = |name: &str| format!(r#"{{"channel":"{name}","instId":"BTC-USDT"}}"#);
        let args = ["books", "bbo-tbt", "trades"].map(channel).join(",");
        let ask = format!(r#"{{"id":"1","op":"subscribe","args":[{args}]}}"#);
        let texts = heard(&mut face, "/ws/v5/public", "", &[&ask], 60);
        let is_hot =
            |text: &str| text.starts_with(r#"{"arg":"#) && text.matches(r#""ts":"#).count() == 1;
        check("OKX", &texts, is_hot, scan::okx);
    }
}

// ---- a machine that trades ---------------------------------------------------------------------------

/// What a machine wants, and what it made of what it heard.
#[derive(Default)]
struct Heard {
    texts: Vec<String>,
    is_logged_in: bool,
    acks: usize,
    reports: usize,
    fills: usize,
}

impl Sink for Heard {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Control(Control::LoggedIn(_)) => self.is_logged_in = true,
            Event::Ack(_) => self.acks += 1,
            Event::Order(_) => self.reports += 1,
            Event::Fill(_) => self.fills += 1,
            _ => {}
        }
    }
    fn send_text(&mut self, _: LinkId, text: &[u8]) {
        self.texts.push(String::from_utf8_lossy(text).into_owned());
    }
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, why: &'static str) {
        panic!("{why}");
    }
}

/// A machine's order link, straight into a simulated venue.
struct Trader<V> {
    venue: V,
    registry: Registry,
    link: LinkId,
    face: Box<dyn Face>,
    now: u64,
    out: Heard,
    /// Everything the venue said.
    said: Vec<String>,
    sequence: u32,
}

impl<V: Venue> Trader<V> {
    fn new(
        symbol: &str,
        link: LinkId,
        face: Box<dyn Face>,
        path: &str,
        query: &str,
        make: impl FnOnce(VenueConfig, &mut Registry) -> Result<V, RegistryError>,
    ) -> Self {
        let (key, secret, passphrase) = DEFAULT_KEY;
        let config = VenueConfig {
            symbols: vec![symbol.to_owned()],
            secrets: Secrets {
                api_key: key.to_owned(),
                api_secret: secret.into(),
                passphrase: passphrase.into(),
                ..Secrets::default()
            },
            order_window_ms: 5_000,
            ..VenueConfig::default()
        };
        let mut registry = Registry::new();
        let venue = make(config, &mut registry).unwrap();
        let mut trader = Self {
            venue,
            registry,
            link,
            face,
            now: START,
            out: Heard::default(),
            said: Vec::new(),
            sequence: 0,
        };
        trader.face.open(CONN, path, query);
        let now = trader.time();
        trader
            .venue
            .on_open(&mut trader.registry, link, now, &mut trader.out);
        trader.pump();
        assert!(trader.out.is_logged_in, "{:?}", trader.said);
        trader
    }

    fn time(&self) -> Now {
        Now {
            tsc: Tsc(self.now),
            unix: UnixNanos(self.now),
        }
    }

    /// Carries texts both ways until neither has one, then lets a quarter of a second pass.
    fn pump(&mut self) {
        loop {
            for text in core::mem::take(&mut self.out.texts) {
                self.face.text(CONN, &text);
            }
            let before = self.said.len();
            for out in self.face.core().take_out() {
                match out {
                    Out::Text(CONN, text) => self.said.push(text),
                    Out::Ping(conn) => self.face.pong(conn),
                    _ => {}
                }
            }
            if before == self.said.len() && self.out.texts.is_empty() {
                break;
            }
            let now = self.time();
            for text in &self.said[before..] {
                let mut bytes = text.clone().into_bytes();
                self.venue
                    .on_text(&self.registry, self.link, now, &mut bytes, &mut self.out)
                    .unwrap_or_else(|fault| panic!("{fault}: {text}"));
            }
        }
        self.now += 250 * MS;
        self.face.step(self.now);
    }

    /// A new order; returns its name. `price` in whole units of the quote asset.
    fn order(&mut self, side: Side, kind: OrderKind, tif: Tif, price: i64) -> ClientOrderId {
        self.sequence += 1;
        let client_id = ClientOrderId::new(Epoch(1), LaneId(0), self.sequence).unwrap();
        let instrument = InstrumentId(0);
        let known = self.registry.get(instrument).unwrap();
        let scale = |decimals: u8| 10i64.pow(u32::from(decimals));
        let order = NewOrder {
            instrument,
            client_id,
            side,
            kind,
            tif,
            price: Price(price * scale(known.price_decimals)),
            qty: Qty(scale(known.qty_decimals) / 100),
        };
        let now = self.time();
        self.venue
            .new_order(&self.registry, &order, now, &mut self.out)
            .unwrap();
        self.pump();
        client_id
    }

    fn cancel(&mut self, client_id: ClientOrderId) {
        let cancel = CancelOrder {
            instrument: InstrumentId(0),
            client_id,
            order_id: OrderId(0),
        };
        let now = self.time();
        self.venue
            .cancel_order(&self.registry, &cancel, now, &mut self.out)
            .unwrap();
        self.pump();
    }

    /// Orders that rest and are cancelled, orders that are filled at once, orders that find nobody.
    fn trade(&mut self, rounds: usize) {
        for _ in 0..rounds {
            let resting = self.order(Side::Buy, OrderKind::PostOnly, Tif::Gtc, 62_000);
            self.cancel(resting);
            self.order(Side::Buy, OrderKind::Limit, Tif::Ioc, 67_000);
            self.order(Side::Sell, OrderKind::Limit, Tif::Ioc, 67_500);
        }
        assert!(self.out.acks >= 4 * rounds, "{} acks", self.out.acks);
        assert!(
            self.out.reports >= 6 * rounds,
            "{} reports",
            self.out.reports
        );
        assert!(self.out.fills >= rounds, "{} fills", self.out.fills);
    }
}

#[test]
fn binance_answers_and_reports() {
    let face = Box::new(binance::Binance::new(&config(), START));
    let mut trader = Trader::new(
        "BTCUSDT",
        dp_venue_binance::LINK_ORDERS,
        face,
        "/ws-api/v3",
        "returnRateLimits=true",
        dp_venue_binance::Binance::new,
    );
    trader.trade(80);
    let is_hot = |text: &str| {
        text.contains(r#""e":"executionReport""#)
            || text.contains(r#""e":"outboundAccountPosition""#)
            || text.starts_with(r#"{"id":"n-"#)
            || text.starts_with(r#"{"id":"c-"#)
    };
    check("Binance, orders", &trader.said, is_hot, scan::binance);
    let hot = trader.said.iter().filter(|text| is_hot(text)).count();
    assert_eq!(trader.venue.read_counts().scanned, hot as u64);
}

#[test]
fn okx_answers_and_pushes() {
    let face = Box::new(okx::Okx::new(&config(), START));
    let mut trader = Trader::new(
        "BTC-USDT",
        dp_venue_okx::LINK_PRIVATE,
        face,
        "/ws/v5/private",
        "",
        dp_venue_okx::Okx::new,
    );
    trader.trade(80);
    let is_hot = |text: &str| {
        text.starts_with(r#"{"arg":{"channel":"orders""#)
            || (text.starts_with(r#"{"id":"#) && !text.contains(r#""event":"#))
    };
    check("OKX, orders", &trader.said, is_hot, scan::okx);
    let hot = trader.said.iter().filter(|text| is_hot(text)).count();
    assert_eq!(trader.venue.read_counts().scanned, hot as u64);
}
