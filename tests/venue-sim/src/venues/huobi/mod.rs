//! HTX, once Huobi, spot: REST, two market sockets, the private stream, the trade socket.
//!
//! ```text
//!  /v1/… /v2/… /market/…   REST             signature in the query ─▶ operate / query
//!  /feed                   mbp increments, their snapshots by `req`     gzip, pinged every 5 s
//!  /ws                     bbo, trades, whole books, tickers            gzip, pinged every 5 s
//!  /ws/v2                  login ─▶ orders, fills, balances             text, pinged every 20 s
//!  /ws/trade               login ─▶ order operations                    text, pinged every 20 s
//! ```
//! The venue does not check that client ids are unique: the newest order answers to one. A crossing post-only order
//! is accepted, then cancelled. There is no amending.
//!
//! Of the faults, `bad-checksum`, `token-expiry` and `ban` mean nothing here: books have no checksum, a login lasts
//! as long as its connection, and how a ban is told is not known. `reject` takes `code=` as a place in a list of
//! the venue's words. `seq-reset`, `restart` and whatever else no source describes are made up plausibly: numbers
//! start anew, connections are closed without a notice.

mod auth;
mod info;
mod limits;
mod number;
mod ops;
mod private;
mod reply;
mod rest;
mod streams;
#[cfg(test)]
mod tests;
mod topic;
mod ws;

use crate::config::{Grain, SimConfig, Symbol};
use crate::core::{ConnId, Core, Request, RequestId};
use crate::engine::{AccountId, Balance, Event, Fees, FirstIds, Side, Trade};
use crate::fault::{Fault, Kind};
use crate::venues::Face;
use limits::Limits;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use streams::Feed;
use topic::Topic;
use ws::{Conn, Place};

/// Public trades kept for REST.
const TRADES_KEPT: usize = 500;

/// Where its numbers start.
const FIRST: FirstIds = FirstIds {
    order: 1_314_507_823_485_000,
    trade: 102_523_573_000,
    update: 100_020_146_000,
};

/// The simulated venue.
pub struct Huobi {
    core: Core,
    symbols: Vec<String>,
    conns: BTreeMap<ConnId, Conn>,
    feeds: Vec<Feed>,
    prints: Vec<VecDeque<Trade>>,
    private: Vec<(ConnId, String)>,
    dead_man: BTreeMap<AccountId, u64>,
    limits: Limits,
    /// Balances as last told, and how often there was something to tell.
    wallets: BTreeMap<(AccountId, usize), Balance>,
    wallet_seq: u64,
}

fn grain(symbol: &Symbol, cents: i64) -> Grain {
    let (price_decimals, qty_decimals, qty_min) = match (symbol.base.as_str(), cents) {
        ("BTC", _) => (2, 6, 10),
        (_, 100_000..) => (2, 4, 10),
        (_, 1_000..) => (4, 4, 100),
        _ => (6, 4, 1_000),
    };
    Grain {
        price_decimals,
        qty_decimals,
        tick: 1,
        qty_min,
        is_contract: false,
    }
}

impl Huobi {
    /// A venue at `now` (Unix nanoseconds).
    pub fn new(config: &SimConfig, now: u64) -> Self {
        let fees = Fees {
            maker_ppm: 2_000,
            taker_ppm: 2_000,
            decimals: 12,
            in_quote: false,
        };
        let mut core = config.core("huobi", now, fees, grain, 10, FIRST);
        core.engine.free_client_ids();
        let engine = &core.engine;
        let symbols: Vec<String> = (0..engine.instruments())
            .map(|inst| format!("{}{}", engine.spec(inst).base, engine.spec(inst).quote))
            .map(|name| name.to_lowercase())
            .collect();
        let feeds = symbols.iter().enumerate();
        let feeds = feeds.map(|(inst, name)| Feed::new(engine, inst, name, now));
        let mut venue = Self {
            feeds: feeds.collect(),
            prints: vec![VecDeque::new(); symbols.len()],
            symbols,
            core,
            conns: BTreeMap::new(),
            private: Vec::new(),
            dead_man: BTreeMap::new(),
            limits: Limits::new(config.rate_factor.max(1)),
            wallets: BTreeMap::new(),
            wallet_seq: 1,
        };
        for account in 1..=config.keys {
            for (_, asset) in venue.assets() {
                let balance = venue.core.engine.ledger().balance(account, asset);
                venue.wallets.insert((account, asset), balance);
            }
        }
        venue
    }

    fn inst_of(&self, symbol: &str) -> Option<usize> {
        self.symbols.iter().position(|known| known == symbol)
    }

    /// Every asset by name, each once.
    fn assets(&self) -> Vec<(String, usize)> {
        let mut assets: Vec<(String, usize)> = Vec::new();
        for inst in 0..self.symbols.len() {
            let spec = self.core.engine.spec(inst);
            for (name, asset) in [
                (&spec.base, spec.base_asset),
                (&spec.quote, spec.quote_asset),
            ] {
                if assets.iter().all(|(_, known)| *known != asset) {
                    assets.push((name.clone(), asset));
                }
            }
        }
        assets
    }

    /// Publishes what the engine did; private pushes are kept for whoever answers.
    fn absorb(&mut self) {
        let events = self.core.drain_events();
        if events.is_empty() {
            return;
        }
        let conns = &self.conns;
        let listeners = |topic: Topic, inst: usize| ws::listeners(conns, topic, inst);
        for feed in &mut self.feeds {
            feed.on_events(&mut self.core, &events, &listeners);
        }
        for event in &events {
            if let Event::Trade(trade) = event {
                let prints = &mut self.prints[trade.inst];
                prints.push_back(*trade);
                if prints.len() > TRADES_KEPT {
                    prints.pop_front();
                }
            }
        }
        self.tell(&events);
    }

    fn send_private(&mut self) {
        for (conn, text) in std::mem::take(&mut self.private) {
            self.core.send_private(conn, text);
        }
    }

    fn on_fault(&mut self, fault: &Fault) {
        let until = self.core.now.saturating_add(fault.for_ns);
        match fault.kind {
            Kind::Disconnect => {
                for conn in self.core.struck(fault) {
                    self.drop_conn(conn, None);
                }
            }
            Kind::Silence => self.core.silence(fault, until),
            Kind::Restart => {
                for conn in self.core.struck(fault) {
                    if let Some(conn) = self.conns.get_mut(&conn) {
                        conn.close_at(until);
                    }
                }
            }
            Kind::SeqReset => {
                for feed in &mut self.feeds {
                    feed.reset_sequence(&self.core.engine);
                }
            }
            Kind::ClockSkew => self.core.skew_ms = fault.ms,
            _ => {}
        }
    }

    fn drop_conn(&mut self, conn: ConnId, code: Option<u16>) {
        self.forget(conn);
        self.core.close(conn, code);
    }

    fn forget(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
        for feed in &mut self.feeds {
            feed.closed(conn);
        }
    }
}

impl Face for Huobi {
    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, now: u64) {
        let faults = self.core.advance(now);
        self.absorb();
        self.run_dead_man();
        self.send_private();
        let conns = &self.conns;
        let listeners = |topic: Topic, inst: usize| ws::listeners(conns, topic, inst);
        for feed in &mut self.feeds {
            feed.step(&mut self.core, &listeners);
        }
        for fault in faults {
            self.on_fault(&fault);
        }
        self.check_conns();
    }

    fn next_deadline(&self) -> u64 {
        let feeds = self.feeds.iter().map(Feed::next_deadline).min();
        let dead_man = self.dead_man.values().min().copied();
        self.core
            .next_deadline()
            .min(feeds.unwrap_or(u64::MAX))
            .min(dead_man.unwrap_or(u64::MAX))
            .min(self.conns_deadline())
    }

    fn http(&mut self, request_id: RequestId, request: &Request) {
        self.on_rest(request_id, request);
    }

    fn paths(&self) -> fn(&str) -> bool {
        |path| Place::of(path).is_some()
    }

    fn open(&mut self, conn: ConnId, path: &str, _query: &str) {
        let Some(place) = Place::of(path) else {
            return;
        };
        self.core.opened(conn, place.link());
        if !place.is_private() {
            self.core.pack(conn, ws::gzip);
        }
        let fresh = Conn::new(place, self.core.now, self.limits.factor());
        self.conns.insert(conn, fresh);
    }

    fn text(&mut self, conn: ConnId, text: &str) {
        self.on_text(conn, text);
    }

    fn pong(&mut self, _conn: ConnId) {}

    fn closed(&mut self, conn: ConnId) {
        self.forget(conn);
        self.core.closed(conn);
    }

    fn symbol(&self, inst: usize) -> String {
        self.symbols[inst].clone()
    }

    fn stats(&self) -> Value {
        let engine = &self.core.engine;
        let insts = 0..self.symbols.len();
        let trades: u64 = insts.clone().map(|inst| engine.day(inst).count).sum();
        let best = |inst| engine.book(inst).best(Side::Buy).map(|(price, _)| price);
        let bids: Vec<Option<i64>> = insts.map(best).collect();
        let mut limits = self.limits.json();
        limits.extend(self.conns.iter().map(|(id, conn)| conn.limit_json(*id)));
        json!({
            "connections": self.conns.len(), "trades": trades, "best_bids": bids,
            "dead_man_armed": self.dead_man.len(), "limits": limits,
        })
    }
}
