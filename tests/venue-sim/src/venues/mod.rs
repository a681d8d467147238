//! The faces: each speaks one venue's words in front of the same core.

pub mod binance;
pub mod bitfinex;
pub mod bybit;
pub mod coinbase;
pub mod deribit;
pub mod huobi;
pub mod kraken;
pub mod kraken_futures;
pub mod kucoin;
pub mod okx;
#[cfg(test)]
mod rig;

use crate::config::SimConfig;
use crate::core::{ConnId, Core, Request, RequestId, Response};

/// A venue this build can simulate.
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// Makes it, at Unix nanoseconds.
    pub make: fn(&SimConfig, u64) -> Box<dyn Face>,
    /// Its keys have a passphrase.
    pub has_passphrase: bool,
    /// Its secrets are given out in base64.
    pub has_base64_secret: bool,
    /// Its keys may be Ed25519.
    pub has_ed25519: bool,
}

impl Known {
    const fn new(name: &'static str, make: fn(&SimConfig, u64) -> Box<dyn Face>) -> Self {
        Self {
            name,
            make,
            has_passphrase: false,
            has_base64_secret: false,
            has_ed25519: false,
        }
    }

    const fn passphrase(mut self) -> Self {
        self.has_passphrase = true;
        self
    }

    const fn base64(mut self) -> Self {
        self.has_base64_secret = true;
        self
    }

    const fn ed25519(mut self) -> Self {
        self.has_ed25519 = true;
        self
    }
}

/// Every venue of this build: the only list.
pub const VENUES: &[Known] = &[
    Known::new("binance", |sim, now| {
        Box::new(binance::Binance::new(sim, now))
    })
    .ed25519(),
    Known::new("bitfinex", |sim, now| {
        Box::new(bitfinex::Bitfinex::new(sim, now))
    }),
    Known::new("bybit", |sim, now| Box::new(bybit::Bybit::new(sim, now))),
    Known::new("coinbase", |sim, now| {
        Box::new(coinbase::Coinbase::new(sim, now))
    })
    .passphrase()
    .base64(),
    Known::new("deribit", |sim, now| {
        Box::new(deribit::Deribit::new(sim, now))
    }),
    Known::new("huobi", |sim, now| Box::new(huobi::Huobi::new(sim, now))),
    Known::new("kraken", |sim, now| Box::new(kraken::Kraken::new(sim, now))).base64(),
    Known::new("kraken-futures", |sim, now| {
        Box::new(kraken_futures::KrakenFutures::new(sim, now))
    })
    .base64(),
    Known::new("kucoin", |sim, now| Box::new(kucoin::Kucoin::new(sim, now))).passphrase(),
    Known::new("okx", |sim, now| Box::new(okx::Okx::new(sim, now))).passphrase(),
];

/// A venue by name. Errors: a sentence that names those there are.
pub fn known(name: &str) -> Result<&'static Known, String> {
    let found = VENUES.iter().find(|venue| venue.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = VENUES.iter().map(|venue| venue.name).collect();
        format!(
            "`{name}` is no venue of this build: use {}",
            names.join(", ")
        )
    })
}

/// A simulated venue, sans-IO: the edge tells it what arrived and when, and does what its core's box says.
pub trait Face: Send {
    /// The shared part.
    fn core(&mut self) -> &mut Core;
    /// Moves time to `now`: other traders act, what is due is published.
    fn step(&mut self, now: u64);
    /// When [`Face::step`] next has work, Unix nanoseconds.
    fn next_deadline(&self) -> u64;
    /// An HTTP request; the answer may come later, or never.
    fn http(&mut self, request_id: RequestId, request: &Request);
    /// The answer to a WebSocket upgrade that is not to be.
    fn refuses_upgrade(&mut self) -> Option<Response> {
        None
    }
    /// Says whether a WebSocket may be opened at a path.
    fn paths(&self) -> fn(&str) -> bool;
    /// A WebSocket was opened at `path`, with the query as sent.
    fn open(&mut self, conn: ConnId, path: &str, query: &str);
    /// A text frame came.
    fn text(&mut self, conn: ConnId, text: &str);
    /// A PONG frame came.
    fn pong(&mut self, conn: ConnId);
    /// The connection is gone.
    fn closed(&mut self, conn: ConnId);
    /// The venue's symbol of an instrument.
    fn symbol(&self, inst: usize) -> String;
    /// Figures for the admin endpoint.
    fn stats(&self) -> serde_json::Value;
}

/// Decodes percent-encoding and `+`.
pub fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = |offset: usize| {
            bytes
                .get(at + offset)
                .and_then(|digit| char::from(*digit).to_digit(16))
        };
        match (byte, hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Splits `a=b&c=d` into decoded pairs, in order.
pub fn query_pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (percent_decode(key), percent_decode(value))
        })
        .collect()
}
