//! KuCoin spot, the high-frequency trade account of a classic account: REST, classic WebSocket, order entry.
//!
//! ```text
//!  /api/…        REST             signature ─▶ operate / query; bullet-public, bullet-private ─▶ tokens
//!  /?token=…     classic streams  welcome ─▶ subscribe; the client pings, or is cut after a minute
//!  /v1/private   order entry      signed target ─▶ challenge, signed back ─▶ welcome ─▶ orders
//! ```
//! Books have no checksum, so `bad-checksum` does nothing; nor does `ban`, which the venue does not have. A
//! `restart` is not announced: links are closed when it is due. Orders of one account never trade with each other,
//! whatever `stp` says: the later one is cancelled (`CN`). `token-expiry` ends the streams whose tokens it takes, and
//! the order links with them. Not there: the unified account and its push family, futures, margin, stop orders, GTT,
//! hidden and iceberg orders.

mod auth;
mod limits;
mod ops;
mod reply;
mod rest;
mod streams;
#[cfg(test)]
mod tests;
mod ws;

use crate::config::{Grain, SimConfig, Symbol};
use crate::core::{ConnId, Core, Request, RequestId};
use crate::engine::{AccountId, Balance, Event, Fees, FirstIds, Order, What};
use crate::fault::{Fault, Kind, Link};
use crate::venues::Face;
use auth::Tokens;
use limits::Pools;
use ops::Switch;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use streams::{Feed, Print};
use ws::{Conn, Kin};

/// Public trades kept for REST.
const TRADES_KEPT: usize = 100;
/// Part of a price that an order may be away from the last one.
const PRICE_LIMIT_PERCENT: i64 = 20;

/// Where its numbers start. An order's is the end of its 24 digits.
const FIRST: FirstIds = FirstIds {
    order: 0xf3a1_c200_07d1_a000,
    trade: 10_067_996_711_204_864,
    update: 0,
};

/// The simulated venue.
pub struct Kucoin {
    core: Core,
    symbols: Vec<String>,
    conns: BTreeMap<ConnId, Conn>,
    tokens: Tokens,
    feeds: Vec<Feed>,
    prints: Vec<VecDeque<Print>>,
    private: Vec<(ConnId, String)>,
    /// Balances as last pushed, by account and asset.
    told: BTreeMap<(AccountId, usize), Balance>,
    switches: BTreeMap<AccountId, Switch>,
    pools: Pools,
    /// Quantity before the change that is being made.
    old_qty: i64,
    lifetime_ns: u64,
    next_check: u64,
}

fn grain(symbol: &Symbol, cents: i64) -> Grain {
    let (price_decimals, qty_decimals, qty_min) = match (symbol.base.as_str(), cents) {
        ("BTC", _) => (1, 8, 1_000),
        (_, 100_000..) => (2, 7, 1_000),
        (_, 1_000..) => (3, 4, 100),
        _ => (5, 4, 1_000),
    };
    Grain {
        price_decimals,
        qty_decimals,
        tick: 1,
        qty_min,
        is_contract: false,
    }
}

impl Kucoin {
    /// A venue at `now` (Unix nanoseconds).
    pub fn new(config: &SimConfig, now: u64) -> Self {
        let fees = Fees {
            maker_ppm: 1_000,
            taker_ppm: 1_000,
            decimals: 12,
            in_quote: true,
        };
        let core = config.core("kucoin", now, fees, grain, 3, FIRST);
        let engine = &core.engine;
        let symbols: Vec<String> = (0..engine.instruments())
            .map(|inst| format!("{}-{}", engine.spec(inst).base, engine.spec(inst).quote))
            .collect();
        let feeds = symbols
            .iter()
            .enumerate()
            .map(|(inst, symbol)| Feed::new(engine, inst, symbol, now))
            .collect();
        let mut told = BTreeMap::new();
        for account in 1..=config.keys {
            for spec in (0..engine.instruments()).map(|inst| engine.spec(inst)) {
                for asset in [spec.base_asset, spec.quote_asset] {
                    told.insert((account, asset), engine.ledger().balance(account, asset));
                }
            }
        }
        Self {
            prints: vec![VecDeque::new(); symbols.len()],
            symbols,
            feeds,
            core,
            conns: BTreeMap::new(),
            tokens: Tokens::default(),
            private: Vec::new(),
            told,
            switches: BTreeMap::new(),
            pools: Pools::new(config.rate_factor),
            old_qty: 0,
            lifetime_ns: config.lifetime_s.max(1).saturating_mul(1_000_000_000),
            next_check: now,
        }
    }

    fn inst_of(&self, symbol: &str) -> Option<usize> {
        self.symbols.iter().position(|known| known == symbol)
    }

    /// Publishes what the engine did; private pushes are kept for whoever answers.
    fn absorb(&mut self) {
        let events = self.core.drain_events();
        if events.is_empty() {
            return;
        }
        let conns = &self.conns;
        let listeners = |topic: &str, inst: usize| ws::listeners(conns, topic, inst);
        for (feed, prints) in self.feeds.iter_mut().zip(&mut self.prints) {
            for print in feed.on_events(&mut self.core, &events, &listeners) {
                prints.push_back(print);
                if prints.len() > TRADES_KEPT {
                    prints.pop_front();
                }
            }
        }
        let mut fresh = Vec::new();
        for event in &events {
            if let Event::Order(order, what) = event {
                self.tell(order, *what);
                if *what == What::New {
                    fresh.push(order.id);
                }
            }
        }
        // What is left of a new order rests in the book now.
        for id in fresh {
            if let Some(order) = self.core.engine.order(id).cloned()
                && order.state.is_open()
            {
                let row = reply::open_push(&self.core, &self.symbols[order.ask.inst], &order);
                self.push_order(order.ask.account, &row);
            }
        }
        for event in &events {
            if let Event::Order(order, what) = event {
                self.tell_balances(order, *what);
            }
        }
    }

    /// Queues the pushes of one order event.
    fn tell(&mut self, order: &Order, what: What) {
        let symbol = &self.symbols[order.ask.inst];
        let mut rows = reply::pushes(&self.core, symbol, order, what, self.old_qty);
        if matches!(what, What::Fill(_)) && self.core.faults.take(Kind::DuplicateFill).is_some() {
            rows.extend(rows.first().cloned());
        }
        for row in &rows {
            self.push_order(order.ask.account, row);
        }
    }

    fn push_order(&mut self, account: AccountId, row: &Value) {
        for topic in ws::ORDER_TOPICS {
            // The older topic begins with what is in the book.
            if topic != ws::ORDER_TOPICS[0] && row["type"] == "received" {
                continue;
            }
            for conn in ws::subscribers(&self.conns, account, topic) {
                let text = ws::private_push(topic, "orderChange", account, row);
                self.private.push((conn, text));
            }
        }
    }

    /// Queues a push for each balance that is not what was last told.
    fn tell_balances(&mut self, order: &Order, what: What) {
        let account = order.ask.account;
        let spec = self.core.engine.spec(order.ask.inst);
        let assets = [
            (spec.base.clone(), spec.base_asset),
            (spec.quote.clone(), spec.quote_asset),
        ];
        for (name, asset) in assets {
            let balance = self.core.engine.ledger().balance(account, asset);
            let before = self.told.insert((account, asset), balance);
            let Some(before) = before.filter(|before| *before != balance) else {
                continue;
            };
            let symbol = &self.symbols[order.ask.inst];
            let context = (symbol.as_str(), order, what);
            let row = reply::balance_push(&self.core, (&name, asset), (before, balance), context);
            for conn in ws::subscribers(&self.conns, account, ws::BALANCE_TOPIC) {
                let text = ws::private_push(ws::BALANCE_TOPIC, "account.balance", account, &row);
                self.private.push((conn, text));
            }
        }
    }

    fn send_private(&mut self) {
        for (conn, text) in std::mem::take(&mut self.private) {
            self.core.send_private(conn, text);
        }
    }

    fn on_fault(&mut self, fault: &Fault) {
        match fault.kind {
            Kind::Disconnect => {
                for conn in self.core.struck(fault) {
                    self.drop_conn(conn, None);
                }
            }
            Kind::Silence => self.core.silence(fault, self.core.now + fault.for_ns),
            Kind::Restart => {
                for conn in self.core.struck(fault) {
                    if let Some(conn) = self.conns.get_mut(&conn) {
                        conn.close_at(self.core.now + fault.for_ns);
                    }
                }
            }
            Kind::SeqReset => {
                let conns = &self.conns;
                let listeners = |topic: &str, inst: usize| ws::listeners(conns, topic, inst);
                for feed in &mut self.feeds {
                    feed.reset_sequence(&mut self.core, &listeners);
                }
            }
            Kind::TokenExpiry => {
                self.tokens = Tokens::default();
                let all: Vec<ConnId> = self.conns.keys().copied().collect();
                for conn in all {
                    self.refuse_token(conn);
                }
            }
            Kind::ClockSkew => self.core.skew_ms = fault.ms,
            _ => {}
        }
    }

    fn drop_conn(&mut self, conn: ConnId, code: Option<u16>) {
        self.conns.remove(&conn);
        self.core.close(conn, code);
    }

    /// Silent clients, logins that take too long, ends of lives and restarts; looked at ten times a second.
    fn check_conns(&mut self) {
        let now = self.core.now;
        if now < self.next_check {
            return;
        }
        self.next_check = now + 100_000_000;
        let lifetime_ns = self.lifetime_ns;
        let over: Vec<(ConnId, String)> = self
            .conns
            .iter()
            .filter_map(|(id, conn)| Some((*id, conn.end(now, lifetime_ns, &self.core)?)))
            .collect();
        for (id, last_word) in over {
            if !last_word.is_empty() {
                self.core.send(id, last_word);
            }
            self.drop_conn(id, Some(1000));
        }
    }
}

impl Face for Kucoin {
    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, now: u64) {
        let faults = self.core.advance(now);
        self.absorb();
        self.run_switches();
        self.send_private();
        let conns = &self.conns;
        let listeners = |topic: &str, inst: usize| ws::listeners(conns, topic, inst);
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
        let switches = self.switches.values().map(Switch::due).min();
        self.core
            .next_deadline()
            .min(feeds.unwrap_or(u64::MAX))
            .min(switches.unwrap_or(u64::MAX))
            .min(self.next_check)
    }

    fn http(&mut self, request_id: RequestId, request: &Request) {
        self.on_rest(request_id, request);
    }

    fn paths(&self) -> fn(&str) -> bool {
        |path| matches!(path, ws::STREAM_PATH | ws::ORDERS_PATH)
    }

    fn open(&mut self, conn: ConnId, path: &str, query: &str) {
        if path == ws::ORDERS_PATH {
            self.core.opened(conn, Link::Private);
            self.open_orders(conn, query);
        } else {
            self.open_stream(conn, query);
        }
    }

    fn text(&mut self, conn: ConnId, text: &str) {
        self.on_text(conn, text);
    }

    fn pong(&mut self, _conn: ConnId) {}

    fn closed(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
        self.core.closed(conn);
    }

    fn symbol(&self, inst: usize) -> String {
        self.symbols[inst].clone()
    }

    fn stats(&self) -> Value {
        let trades: u64 = (0..self.symbols.len())
            .map(|inst| self.core.engine.day(inst).count)
            .sum();
        let orders = self.conns.values().filter(|conn| conn.kin() == Kin::Orders);
        json!({
            "connections": self.conns.len(), "order_links": orders.count(), "trades": trades,
            "dead_man_armed": self.switches.len(), "limits": self.pools.json(),
        })
    }
}
