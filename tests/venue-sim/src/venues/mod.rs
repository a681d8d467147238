//! The faces: each speaks one venue's words in front of the same core.

pub mod binance;
pub mod binance_usdm;
pub mod bitfinex;
pub mod bybit;
pub mod coinbase;
pub mod deribit;
pub mod fx;
pub mod huobi;
pub mod kraken;
pub mod kraken_futures;
pub mod kucoin;
pub mod oanda;
pub mod okx;
#[cfg(test)]
pub(crate) mod rig;

use crate::config::SimConfig;
use crate::core::{ConnId, Core, Request, RequestId, Response};
use crate::engine::{AccountId, NewOrder, Order, PostOnly};
use crate::fix::{WithFix, venues as fix};

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

/// The ten venues.
pub const VENUES: &[Known] = &[
    Known::new("binance", |sim, now| {
        let face = binance::Binance::new(sim, now);
        Box::new(WithFix::new(face, &fix::BINANCE))
    })
    .ed25519(),
    Known::new("binance-usdm", |sim, now| {
        Box::new(binance_usdm::BinanceUsdm::new(sim, now))
    })
    .ed25519(),
    Known::new("bitfinex", |sim, now| {
        Box::new(bitfinex::Bitfinex::new(sim, now))
    }),
    Known::new("bybit", |sim, now| Box::new(bybit::Bybit::new(sim, now))),
    Known::new("coinbase", |sim, now| {
        let face = coinbase::Coinbase::new(sim, now);
        Box::new(WithFix::new(face, &fix::COINBASE))
    })
    .passphrase()
    .base64(),
    Known::new("deribit", |sim, now| {
        let face = deribit::Deribit::new(sim, now);
        Box::new(WithFix::new(face, &fix::DERIBIT))
    }),
    Known::new("huobi", |sim, now| Box::new(huobi::Huobi::new(sim, now))),
    Known::new("kraken", |sim, now| {
        let face = kraken::Kraken::new(sim, now);
        Box::new(WithFix::new(face, &fix::KRAKEN))
    })
    .base64(),
    Known::new("kraken-futures", |sim, now| {
        let face = kraken_futures::KrakenFutures::new(sim, now);
        Box::new(WithFix::new(face, &fix::KRAKEN_FUTURES))
    })
    .base64(),
    Known::new("kucoin", |sim, now| Box::new(kucoin::Kucoin::new(sim, now))).passphrase(),
    Known::new("okx", |sim, now| Box::new(okx::Okx::new(sim, now))).passphrase(),
];

/// Others than the ten.
pub const MORE: &[Known] = &[
    Known::new("yofx", |sim, now| {
        let face = fx::Fx::new(sim, "yofx", '/', now);
        Box::new(WithFix::agreed(face, &fix::GATEWAY, sim.gateway.clone()))
    }),
    // The first of the ten with its market streams in SBE, which another host of it has.
    Known::new("binance-sbe", |sim, now| {
        let face = binance::Binance::in_sbe(sim, now);
        Box::new(WithFix::new(face, &fix::BINANCE))
    })
    .ed25519(),
    Known::new("oanda", |sim, now| Box::new(oanda::Oanda::new(sim, now))),
];

/// A venue by name. Errors: a sentence that names those there are.
pub fn known(name: &str) -> Result<&'static Known, String> {
    let all = || VENUES.iter().chain(MORE);
    let found = all().find(|venue| venue.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = all().map(|venue| venue.name).collect();
        format!(
            "`{name}` is no venue of this build: use {}",
            names.join(", ")
        )
    })
}

/// What a request that came by FIX is counted as.
#[derive(Debug, Clone, Copy)]
pub enum Charge<'a> {
    /// A new order.
    New(&'a NewOrder),
    /// A new order that the engine refused after all.
    Refused(AccountId),
    /// A cancel.
    Cancel(&'a Order),
    /// An amendment.
    Amend(&'a Order),
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
    fn refuses_upgrade(&mut self, _request: &Request) -> Option<Response> {
        None
    }
    /// Nobody reads an answer that goes on any more.
    fn left(&mut self, _request_id: RequestId) {}
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
    /// The venue's text of an order's id.
    fn order_id(&self, id: u64) -> String {
        id.to_string()
    }
    /// Gives an order that came by FIX what this face keeps of one beside the engine: its type's name, its echo.
    fn dress(&self, _ask: &mut NewOrder) {}
    /// Counts a request that came by FIX against the venue's own limits; whether it fits.
    fn charge(&mut self, _charge: Charge<'_>) -> bool {
        true
    }
    /// How long an order waits before the engine, nanoseconds.
    fn hold_ns(&self, _post_only: PostOnly) -> u64 {
        0
    }
    /// Whether there is a FIX port.
    fn has_fix(&self) -> bool {
        false
    }
    /// A connection was opened at the FIX port.
    fn fix_open(&mut self, _conn: ConnId) {}
    /// Bytes came from it; what goes back is binary.
    fn fix_bytes(&mut self, _conn: ConnId, _bytes: &[u8]) {}
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
