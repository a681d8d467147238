//! The scanners on the simulated venues' own words: their market data, a minute of virtual time.

#[path = "../../fuzz/src/scan.rs"]
mod scan;

use spinlane_sim::config::SimConfig;
use spinlane_sim::core::{ConnId, Out};
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
