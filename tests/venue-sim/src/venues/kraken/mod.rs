//! Kraken spot: REST, WebSocket v2 with public and private channels and orders.
//!
//! ```text
//!  /0/public/…, /0/private/…   REST        key ─▶ signature ─▶ nonce ─▶ counter ─▶ operate / query
//!  /v2                         channels    status at once, heartbeat every second; a token opens the private ones
//! ```
//! The venue has a host for public and one for private data; here both are one path, and a connection is private
//! once a token was used on it. A post-only order that would take is accepted, then cancelled, as recorded;
//! `reject:code=2` refuses one outright. The venue's errors have no numbers: [`reply::ERRORS`] gives them theirs.
//!
//! Faults: `gap` and `reorder` show in the checksum, there are no numbers; `duplicate` changes nothing, because
//! quantities are totals. `seq-reset` lets the numbers of the private channels begin again. `ban` is the lockout
//! of REST. Connections have no lifetime.

mod auth;
mod level3;
mod limits;
mod methods;
mod names;
mod ops;
mod reply;
mod rest;
mod streams;
mod subs;
#[cfg(test)]
mod tests;
mod time;
mod ws;

use crate::config::{Grain, SimConfig, Symbol};
use crate::core::{ConnId, Core, Request, RequestId, Response};
use crate::engine::{AccountId, Amount, Event, Fees, Fill, FirstIds, NewOrder, Order, What};
use crate::fault::{Fault, Kind, Link};
use crate::venues::{Charge, Face};
use crate::window::Window;
use limits::Counter;
use names::Pair;
pub use ops::is_client_id;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use streams::{Channel, Feed};
use ws::Conn;

const SECOND_NS: u64 = 1_000_000_000;
/// Connection attempts of an address in ten minutes [U].
const ATTEMPTS: u32 = 150;
const ATTEMPTS_NS: u64 = 600 * SECOND_NS;
/// Numbers of public trades kept for fills.
const NUMBERS_MAX: usize = 1_000_000;

/// Where its numbers start.
const FIRST: FirstIds = FirstIds {
    order: 7_400_000_000,
    trade: 510_000_000,
    update: 0,
};

/// The simulated venue.
pub struct Kraken {
    core: Core,
    pairs: Vec<Pair>,
    conns: BTreeMap<ConnId, Conn>,
    feeds: Vec<Feed>,
    private: Vec<(ConnId, String)>,
    nonces: BTreeMap<AccountId, u64>,
    tokens: auth::Tokens,
    dead_man: BTreeMap<AccountId, u64>,
    rate_factor: u32,
    open_orders_max: usize,
    order_counters: BTreeMap<(AccountId, usize), Counter>,
    rest_counters: BTreeMap<AccountId, Counter>,
    attempts: Window,
    locked_until: u64,
    /// When each open order was placed or last amended.
    touched: HashMap<u64, u64>,
    /// The public numbers of trades that clients took part in.
    trade_numbers: HashMap<u64, u64>,
    /// What accounts own of each asset, fill by fill: a message tells it after its own fill.
    totals: BTreeMap<(AccountId, usize), Amount>,
    amendments: u64,
    next_check: u64,
}

fn grain(symbol: &Symbol, cents: i64) -> Grain {
    let (price_decimals, qty_decimals, qty_min) = match (symbol.base.as_str(), cents) {
        ("BTC", _) => (1, 8, 5_000),
        (_, 100_000..) => (2, 8, 100_000),
        (_, 1_000..) => (2, 8, 2_000_000),
        _ => (4, 6, 1_000_000),
    };
    Grain {
        price_decimals,
        qty_decimals,
        tick: 1,
        qty_min,
        is_contract: false,
    }
}

/// A moment by the venue's clock.
fn venue_ns(core: &Core, ns: u64) -> u64 {
    ns.saturating_add_signed(core.skew_ms.saturating_mul(1_000_000))
}

impl Kraken {
    /// A venue at `now` (Unix nanoseconds).
    pub fn new(config: &SimConfig, now: u64) -> Self {
        let fees = Fees {
            maker_ppm: 2_500,
            taker_ppm: 4_000,
            decimals: reply::COST_DECIMALS,
            in_quote: true,
        };
        let core = config.core("kraken", now, fees, grain, 3, FIRST);
        let engine = &core.engine;
        let pairs: Vec<Pair> = (0..engine.instruments())
            .map(|inst| Pair::new(&engine.spec(inst).base, &engine.spec(inst).quote))
            .collect();
        let feeds = pairs.iter().enumerate();
        let feeds = feeds.map(|(inst, pair)| Feed::new(engine, inst, pair, now));
        let mut totals = BTreeMap::new();
        for key in &core.keys {
            for inst in 0..engine.instruments() {
                let spec = engine.spec(inst);
                for asset in [spec.base_asset, spec.quote_asset] {
                    let held = engine.ledger().balance(key.account, asset);
                    totals.insert((key.account, asset), held.free + held.locked);
                }
            }
        }
        let rate_factor = config.rate_factor.max(1);
        Self {
            feeds: feeds.collect(),
            pairs,
            core,
            conns: BTreeMap::new(),
            private: Vec::new(),
            nonces: BTreeMap::new(),
            tokens: auth::Tokens::default(),
            dead_man: BTreeMap::new(),
            rate_factor,
            open_orders_max: limits::OPEN_ORDERS * rate_factor as usize,
            order_counters: BTreeMap::new(),
            rest_counters: BTreeMap::new(),
            attempts: Window::new(ATTEMPTS.saturating_mul(rate_factor), ATTEMPTS_NS),
            locked_until: 0,
            touched: HashMap::new(),
            trade_numbers: HashMap::new(),
            totals,
            amendments: 0,
            next_check: now,
        }
    }

    /// Publishes what the engine did; private messages are kept for whoever answers.
    fn absorb(&mut self) {
        let events = self.core.drain_events();
        if events.is_empty() {
            return;
        }
        let conns = &self.conns;
        let listeners = |channel: Channel, inst: usize| ws::listeners(conns, channel, inst);
        for feed in &mut self.feeds {
            feed.on_events(&mut self.core, &events, &listeners);
        }
        for event in &events {
            if let Event::Order(order, what) = event {
                self.tell(order, *what);
            }
        }
    }

    /// Queues the messages of one order event for the account's subscriptions.
    fn tell(&mut self, order: &Order, what: What) {
        let (core, pair) = (&mut self.core, &self.pairs[order.ask.inst]);
        match what {
            What::New | What::Amended => {
                self.touched.insert(order.id, order.updated_ns);
            }
            What::Canceled(_) => {
                self.touched.remove(&order.id);
            }
            What::Fill(_) => {}
        }
        let mut rows = Vec::new();
        match what {
            What::New => {
                rows.push((reply::whole(core, pair, order, "pending_new"), true));
                rows.push((reply::change(core, order, "new"), false));
            }
            What::Amended => rows.push((reply::change(core, order, "amended"), true)),
            What::Canceled(_) => rows.push((reply::change(core, order, "canceled"), false)),
            What::Fill(fill) => {
                let feed = &self.feeds[order.ask.inst];
                let number = feed.number_of(fill.trade).unwrap_or(0);
                if self.trade_numbers.len() < NUMBERS_MAX {
                    self.trade_numbers.insert(fill.trade, number);
                }
                let row = reply::trade(core, pair, order, fill, number);
                if core.faults.take(Kind::DuplicateFill).is_some() {
                    rows.push((row.clone(), false));
                }
                rows.push((row, false));
                if !order.state.is_open() {
                    self.touched.remove(&order.id);
                    rows.push((reply::change(core, order, "filled"), false));
                }
            }
        }
        for (row, is_detail) in rows {
            for (conn, text) in ws::executions(&mut self.conns, order, &row, is_detail) {
                self.private.push((conn, text));
            }
        }
        if let What::Fill(fill) = what {
            self.tell_balances(order, fill);
        }
    }

    /// Queues the ledger entries of a fill.
    fn tell_balances(&mut self, order: &Order, fill: Fill) {
        let (account, spec) = (order.ask.account, self.core.engine.spec(order.ask.inst));
        let (base, quote) = (
            spec.base_amount(fill.qty),
            spec.notional(fill.price, fill.qty).unwrap_or(0),
        );
        let sign = match order.ask.side {
            crate::engine::Side::Buy => 1,
            crate::engine::Side::Sell => -1,
        };
        let at = time::micros(venue_ns(&self.core, fill.at_ns));
        let mut rows = Vec::new();
        for (leg, asset, name, amount, fee) in [
            (0, spec.base_asset, &spec.base, sign * base, 0),
            (1, spec.quote_asset, &spec.quote, -sign * quote, fill.fee),
        ] {
            let total = self.totals.entry((account, asset)).or_default();
            *total += amount - fee;
            rows.push(json!({
                "ledger_id": reply::ledger_id(fill, leg), "ref_id": reply::exec_id(fill),
                "timestamp": at, "type": "trade", "asset": name, "asset_class": "currency",
                "category": "trade", "wallet_type": "spot", "wallet_id": "main",
                "amount": reply::number(&reply::balance(amount)),
                "fee": reply::number(&reply::balance(fee)),
                "balance": reply::number(&reply::balance(*total)),
            }));
        }
        let messages = ws::balances(&mut self.conns, account, "update", &rows);
        self.private.extend(messages);
    }

    fn send_private(&mut self) {
        for (conn, text) in std::mem::take(&mut self.private) {
            self.core.send_private(conn, text);
        }
    }

    /// Writes a refusal into the record.
    fn note(&mut self, op: &'static str, id: &str, refused: &reply::Refused) {
        let now = self.core.now;
        let record = &mut self.core.record;
        record.refused(op, id, refused.code, &refused.text, now);
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
                for id in self.core.struck(fault) {
                    self.core.send(id, ws::status(id, "maintenance"));
                    if let Some(conn) = self.conns.get_mut(&id) {
                        conn.close_at(until);
                    }
                }
            }
            Kind::SeqReset => self.conns.values_mut().for_each(Conn::reset_sequences),
            Kind::ClockSkew => self.core.skew_ms = fault.ms,
            Kind::Ban => self.locked_until = until,
            Kind::TokenExpiry => {
                self.tokens.clear();
                self.conns.values_mut().for_each(Conn::forget_token);
            }
            _ => {}
        }
    }

    fn drop_conn(&mut self, conn: ConnId, code: Option<u16>) {
        self.conns.remove(&conn);
        self.core.close(conn, code);
    }

    /// Heartbeats, idle connections, announced restarts; looked at ten times a second.
    fn check_conns(&mut self) {
        let now = self.core.now;
        if now < self.next_check {
            return;
        }
        self.next_check = now + SECOND_NS / 10;
        let mut over = Vec::new();
        for (id, conn) in &mut self.conns {
            if conn.is_over(now) {
                over.push(*id);
            } else if conn.beats(now) {
                self.core.send(*id, r#"{"channel":"heartbeat"}"#);
            }
        }
        for id in over {
            self.drop_conn(id, Some(1_000));
        }
    }

    /// Every limit, for the admin endpoint.
    fn limits(&self) -> Vec<Value> {
        let orders = self
            .order_counters
            .iter()
            .map(|((account, inst), counter)| {
                counter.json(&format!(
                    "orders {} of account {account}",
                    self.pairs[*inst].symbol
                ))
            });
        let rest = self.rest_counters.iter();
        let rest =
            rest.map(|(account, counter)| counter.json(&format!("REST of account {account}")));
        let attempts = self.attempts.json("connection attempts");
        orders.chain(rest).chain([attempts]).collect()
    }
}

impl Face for Kraken {
    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, now: u64) {
        let faults = self.core.advance(now);
        self.absorb();
        self.run_dead_man();
        self.send_private();
        let conns = &self.conns;
        let listeners = |channel: Channel, inst: usize| ws::listeners(conns, channel, inst);
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
            .min(self.next_check)
    }

    fn http(&mut self, request_id: RequestId, request: &Request) {
        self.on_rest(request_id, request);
    }

    fn refuses_upgrade(&mut self, _request: &Request) -> Option<Response> {
        let fits = self.attempts.take(self.core.now, 1);
        (!fits).then(|| Response::json(429, json!({"error": ["EGeneral:Too many requests"]})))
    }

    fn paths(&self) -> fn(&str) -> bool {
        |path| path == "/v2"
    }

    fn open(&mut self, conn: ConnId, _path: &str, _query: &str) {
        self.core.opened(conn, Link::Public);
        self.conns.insert(conn, Conn::new(self.core.now));
        self.core.send(conn, ws::status(conn, "online"));
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
        self.pairs[inst].symbol.clone()
    }

    fn order_id(&self, id: u64) -> String {
        reply::order_id(id)
    }

    fn dress(&self, ask: &mut NewOrder) {
        ask.type_name = if ask.price.is_some() {
            "limit"
        } else {
            "market"
        };
    }

    fn charge(&mut self, charge: Charge<'_>) -> bool {
        let (account, inst, cost) = match charge {
            Charge::New(ask) => (ask.account, ask.inst, 1),
            Charge::Refused(_) => return true,
            Charge::Cancel(order) => {
                let cost = limits::cancel_cost(self.age_ns(order));
                (order.ask.account, order.ask.inst, cost)
            }
            Charge::Amend(order) => {
                let cost = limits::amend_cost(self.age_ns(order));
                (order.ask.account, order.ask.inst, cost)
            }
        };
        self.pace(account, inst, cost).is_ok()
    }

    fn stats(&self) -> Value {
        let days = (0..self.pairs.len()).map(|inst| self.core.engine.day(inst).count);
        json!({
            "connections": self.conns.len(), "trades": days.sum::<u64>(),
            "dead_man_armed": self.dead_man.len(), "limits": self.limits(),
        })
    }
}
