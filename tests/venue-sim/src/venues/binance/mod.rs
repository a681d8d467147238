//! Binance spot: REST, market streams, WS-API with user data.
//!
//! ```text
//!  /api/v3/…   REST          limits ─▶ signature ─▶ operate / answer_public
//!  /ws-api/v3  WS-API        the same, plus session.logon and the user data stream
//!  /ws, /stream              subscriptions; 5 messages a second or the connection is cut
//! ```
//! Its streams are text, or SBE as another host of the venue has them, where the upgrade must show a key. One API key accepts HMAC and Ed25519 signatures; `session.logon` wants Ed25519, as the venue does.

pub(super) mod auth;
mod info;
pub(super) mod limits;
pub(super) mod ops;
pub(super) mod reply;
mod sbe;
pub(super) mod streams;
#[cfg(test)]
mod tests;
pub(super) mod ws;

use crate::config::{Grain, SimConfig, Symbol};
use crate::core::{ConnId, Core, ReplyTo, Request, RequestId, Response};
use crate::engine::{
    AccountId, Event, Fees, Fill, FirstIds, NewOrder, Order, PostOnly, Trade, What,
};
use crate::fault::{Fault, Kind, Link};
use crate::venues::{Charge, Face};
use auth::Params;
use info::Ask;
use limits::Limits;
use ops::Op;
use reply::{Reject, Report};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use streams::Feed;
use ws::Conn;

/// Public trades kept for REST.
pub const TRADES_KEPT: usize = 1_000;

/// Where the WS-API is.
const API_PATH: &str = "/ws-api/v3";

/// Where its numbers start.
const FIRST: FirstIds = FirstIds {
    order: 12_510_000_000,
    trade: 4_500_000_000,
    update: 1_000_000,
};

/// The simulated venue.
pub struct Binance {
    core: Core,
    symbols: Vec<String>,
    conns: BTreeMap<ConnId, Conn>,
    feeds: Vec<Feed>,
    /// Its streams in SBE; none where they are text.
    binary: Vec<sbe::Feed>,
    prints: Vec<VecDeque<Trade>>,
    limits: Limits,
    private: Vec<(ConnId, String)>,
    cancel_id: Arc<str>,
    next_auto_id: u64,
    next_execution: u64,
    next_subscription: u64,
    ping_ns: u64,
    lifetime_ns: u64,
    next_check: u64,
}

fn grain(symbol: &Symbol, cents: i64) -> Grain {
    let (price_decimals, qty_decimals) = match (symbol.base.as_str(), cents) {
        ("BTC", _) => (2, 5),
        (_, 100_000..) => (2, 4),
        (_, 1_000..) => (2, 3),
        _ => (4, 1),
    };
    Grain {
        price_decimals,
        qty_decimals,
        tick: 1,
        qty_min: 1,
        is_contract: false,
    }
}

impl Binance {
    /// A venue at `now` (Unix nanoseconds).
    pub fn new(config: &SimConfig, now: u64) -> Self {
        let fees = Fees {
            maker_ppm: 1_000,
            taker_ppm: 1_000,
            decimals: 8,
            in_quote: false,
        };
        let core = config.core("binance", now, fees, grain, 1, FIRST);
        let engine = &core.engine;
        let symbols: Vec<String> = (0..engine.instruments())
            .map(|inst| format!("{}{}", engine.spec(inst).base, engine.spec(inst).quote))
            .collect();
        let feeds = symbols
            .iter()
            .enumerate()
            .map(|(inst, symbol)| Feed::new(engine, inst, symbol, now))
            .collect();
        Self {
            prints: vec![VecDeque::new(); symbols.len()],
            symbols,
            feeds,
            binary: Vec::new(),
            core,
            conns: BTreeMap::new(),
            limits: Limits::new(config.weight_per_minute, config.orders_per_10s),
            private: Vec::new(),
            cancel_id: Arc::from(""),
            next_auto_id: 0,
            next_execution: 0,
            next_subscription: 0,
            ping_ns: config.ping_s.max(1) * 1_000_000_000,
            lifetime_ns: config.lifetime_s.max(1) * 1_000_000_000,
            next_check: now,
        }
    }

    /// The same, with its streams in SBE.
    pub fn in_sbe(config: &SimConfig, now: u64) -> Self {
        let mut venue = Self::new(config, now);
        let symbols = venue.symbols.iter().enumerate();
        let feed = |(inst, symbol): (usize, &String)| {
            sbe::Feed::new(&venue.core.engine, inst, symbol, now)
        };
        venue.binary = symbols.map(feed).collect();
        venue
    }

    /// Publishes what the engine did; private events are kept for whoever answers.
    fn absorb(&mut self) {
        self.absorb_events();
    }

    /// As [`Binance::absorb`]; returns the fills of one order.
    fn absorb_fills(&mut self, id: u64) -> Vec<Fill> {
        self.absorb_events()
            .iter()
            .filter_map(|event| match event {
                Event::Order(order, What::Fill(fill)) if order.id == id => Some(*fill),
                _ => None,
            })
            .collect()
    }

    fn absorb_events(&mut self) -> Vec<Event> {
        let events = self.core.drain_events();
        if events.is_empty() {
            return events;
        }
        let ears = Ears::new(&self.conns, &self.binary);
        for feed in &mut self.feeds {
            feed.on_events(&mut self.core, &events, &|name| ears.of_text(name));
        }
        for feed in &mut self.binary {
            feed.on_events(&mut self.core, &events, &|name| ears.of_sbe(name));
        }
        for event in &events {
            match event {
                Event::Trade(trade) => {
                    let prints = &mut self.prints[trade.inst];
                    prints.push_back(*trade);
                    if prints.len() > TRADES_KEPT {
                        prints.pop_front();
                    }
                }
                Event::Order(order, what) => self.tell(order, *what),
                Event::Level { .. } => {}
            }
        }
        events
    }

    /// Queues an execution report and the balances for the account's user data streams.
    fn tell(&mut self, order: &Order, what: What) {
        if matches!(what, What::Fill(fill) if fill.qty == order.cum) {
            self.limits.give_back(self.core.now, order.ask.account);
        }
        self.next_execution += 1;
        let report = Report {
            what,
            cancel_id: &self.cancel_id,
            execution: self.next_execution,
            now_ms: self.core.venue_ms(),
        };
        let symbol = &self.symbols[order.ask.inst];
        let event = reply::report(&self.core, symbol, order, report);
        let is_fill = matches!(what, What::Fill(_));
        let times =
            1 + usize::from(is_fill && self.core.faults.take(Kind::DuplicateFill).is_some());
        let balances = streams::position(&self.core, order.ask.account, order.ask.inst);
        for (conn, subscription) in ws::user_streams(&self.conns, order.ask.account) {
            let wrap =
                |event: &Value| json!({"subscriptionId": subscription, "event": event}).to_string();
            for _ in 0..times {
                self.private.push((conn, wrap(&event)));
            }
            self.private.push((conn, wrap(&balances)));
        }
    }

    fn send_private(&mut self) {
        for (conn, text) in std::mem::take(&mut self.private) {
            self.core.send_private(conn, text);
        }
    }

    /// Limits, then the operation; what it costs is given back when it is an order that succeeded.
    fn run(&mut self, account: AccountId, op: Op, params: &Params) -> Result<Value, Reject> {
        let client_id = match op {
            Op::Place | Op::CancelReplace => params.get("newClientOrderId"),
            _ => None,
        };
        self.core.record.request(op.name(), client_id);
        let now = self.core.now;
        let weight = op.weight(params);
        let result = self.operate(account, op, params);
        match &result {
            Ok(_) if op.is_order() => self.limits.refund(now, weight),
            Ok(_) => {}
            Err(reject) => {
                let id = params
                    .get("newClientOrderId")
                    .or(params.get("origClientOrderId"))
                    .or(params.get("orderId"))
                    .unwrap_or("");
                self.core
                    .record
                    .refused(op.name(), id, reject.code, &reject.text, now);
            }
        }
        result
    }

    /// Records a request that was refused before it was carried out: for rate, or its signature or window.
    fn turned_away(&mut self, op: Op, params: &Params, reject: &Reject) {
        let client_id = params.get("newClientOrderId");
        let counted = client_id.filter(|_| matches!(op, Op::Place | Op::CancelReplace));
        let (record, now) = (&mut self.core.record, self.core.now);
        record.request(op.name(), counted);
        let id = client_id.unwrap_or("");
        record.refused(op.name(), id, reject.code, &reject.text, now);
    }

    fn spend(&mut self, weight: u32) -> Result<(), Reject> {
        if let Some(fault) = self.core.faults.take(Kind::RateLimit) {
            let until_ms = (self.core.now + fault.for_ns) / 1_000_000;
            return Err(limits::too_many(until_ms, 6_000));
        }
        self.limits.spend(self.core.now, weight)
    }

    fn on_fault(&mut self, fault: &Fault) {
        match fault.kind {
            Kind::Disconnect => {
                for conn in self.core.struck(fault) {
                    self.drop_conn(conn, None);
                }
            }
            Kind::Silence => self.core.silence(fault, self.core.now + fault.for_ns),
            Kind::Restart => self.announce_restart(fault),
            Kind::Ban => self.limits.banned_until = self.core.now + fault.for_ns,
            Kind::ClockSkew => self.core.skew_ms = fault.ms,
            _ => {}
        }
    }

    fn announce_restart(&mut self, fault: &Fault) {
        let event = json!({"e": "serverShutdown", "E": self.core.venue_ms()}).to_string();
        for conn in self.core.struck(fault) {
            let text = match self.conns.get(&conn) {
                Some(conn) if conn.is_wrapped() => streams::wrap("!serverShutdown", &event),
                Some(conn) if conn.is_api() => format!("{{\"event\":{event}}}"),
                _ => event.clone(),
            };
            self.core.send(conn, text);
            if let Some(conn) = self.conns.get_mut(&conn) {
                conn.close_at(self.core.now + fault.for_ns);
            }
        }
    }

    fn drop_conn(&mut self, conn: ConnId, code: Option<u16>) {
        self.conns.remove(&conn);
        self.core.close(conn, code);
    }

    /// PINGs, missing PONGs, lifetimes, announced restarts; looked at ten times a second.
    fn check_conns(&mut self) {
        let now = self.core.now;
        if now < self.next_check {
            return;
        }
        self.next_check = now + 100_000_000;
        let mut over = Vec::new();
        for (&id, conn) in &mut self.conns {
            if conn.is_over(now, self.ping_ns * 3, self.lifetime_ns) {
                over.push(id);
            } else if conn.wants_ping(now, self.ping_ns) {
                self.core.ping(id);
            }
        }
        for id in over {
            self.drop_conn(id, Some(1008));
        }
    }

    /// Streams in SBE are for who shows a key. [U] status, code and words of the refusal.
    fn check_key(&self, request: &Request) -> Result<(), Reject> {
        if self.binary.is_empty() || request.path == API_PATH {
            return Ok(());
        }
        let key = request.header("x-mbx-apikey");
        match key.and_then(|key| self.core.credential(key)) {
            Some(_) => Ok(()),
            None => {
                let text = "Invalid API-key, IP, or permissions for action.";
                Err(Reject::new(401, -2015, text))
            }
        }
    }

    fn rest(&mut self, request: &Request) -> (Result<String, Reject>, bool, AccountId) {
        let params = Params::of_rest(request);
        if let Some(ask) = public_route(request) {
            let result = self
                .spend(ask.weight(&params))
                .and_then(|()| self.answer_public(ask, &params));
            return (result, false, 0);
        }
        let Some(op) = private_route(request) else {
            return (Err(Reject::new(404, -1000, "Path not found.")), false, 0);
        };
        let account = self
            .spend(op.weight(&params))
            .and_then(|()| auth::rest(&self.core, request, &params));
        let account = match account {
            Ok(account) => account,
            Err(reject) => {
                self.turned_away(op, &params, &reject);
                return (Err(reject), false, 0);
            }
        };
        let result = self
            .run(account, op, &params)
            .map(|value| value.to_string());
        (result, op.is_order(), account)
    }
}

/// Who listens, and to which kind of streams.
struct Ears<'a> {
    conns: &'a BTreeMap<ConnId, Conn>,
    is_sbe: bool,
}

impl<'a> Ears<'a> {
    fn new(conns: &'a BTreeMap<ConnId, Conn>, binary: &[sbe::Feed]) -> Self {
        Self {
            conns,
            is_sbe: !binary.is_empty(),
        }
    }

    fn of_text(&self, name: &str) -> Vec<(ConnId, bool)> {
        if self.is_sbe {
            return Vec::new();
        }
        ws::listeners(self.conns, name)
    }

    fn of_sbe(&self, name: &str) -> Vec<ConnId> {
        let all = ws::listeners(self.conns, name);
        all.into_iter().map(|(conn, _)| conn).collect()
    }
}

fn public_route(request: &Request) -> Option<Ask> {
    if request.method != "GET" {
        return None;
    }
    Some(match request.path.as_str() {
        "/api/v3/ping" => Ask::Ping,
        "/api/v3/time" => Ask::Time,
        "/api/v3/exchangeInfo" => Ask::ExchangeInfo,
        "/api/v3/depth" => Ask::Depth,
        "/api/v3/trades" => Ask::Trades,
        "/api/v3/ticker/bookTicker" => Ask::BookTicker,
        "/api/v3/ticker/price" => Ask::Price,
        "/api/v3/ticker/24hr" => Ask::Day,
        "/api/v3/avgPrice" => Ask::Average,
        _ => return None,
    })
}

fn private_route(request: &Request) -> Option<Op> {
    Some(match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/api/v3/order") => Op::Place,
        ("POST", "/api/v3/order/test") => Op::Test,
        ("DELETE", "/api/v3/order") => Op::Cancel,
        ("GET", "/api/v3/order") => Op::Status,
        ("POST", "/api/v3/order/cancelReplace") => Op::CancelReplace,
        ("PUT", "/api/v3/order/amend/keepPriority") => Op::Amend,
        ("GET", "/api/v3/openOrders") => Op::Open,
        ("DELETE", "/api/v3/openOrders") => Op::CancelAll,
        ("GET", "/api/v3/allOrders") => Op::All,
        ("GET", "/api/v3/account") => Op::Account,
        ("GET", "/api/v3/myTrades") => Op::Trades,
        ("GET", "/api/v3/rateLimit/order") => Op::OrderUsage,
        _ => return None,
    })
}

impl Face for Binance {
    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, now: u64) {
        let faults = self.core.advance(now);
        self.absorb();
        self.send_private();
        let ears = Ears::new(&self.conns, &self.binary);
        for feed in &mut self.feeds {
            feed.step(&mut self.core, &|name| ears.of_text(name));
        }
        for feed in &mut self.binary {
            feed.step(&mut self.core, &|name| ears.of_sbe(name));
        }
        for fault in faults {
            self.on_fault(&fault);
        }
        self.check_conns();
    }

    fn next_deadline(&self) -> u64 {
        let feeds = self.feeds.iter().map(Feed::next_deadline);
        let binary = self.binary.iter().map(sbe::Feed::next_deadline);
        self.core
            .next_deadline()
            .min(feeds.chain(binary).min().unwrap_or(u64::MAX))
            .min(self.next_check)
    }

    fn http(&mut self, request_id: RequestId, request: &Request) {
        let broken = self.core.faults.take(Kind::Http500);
        if let Some(fault) = broken.as_ref().filter(|fault| !fault.is_executed) {
            self.core.reply(request_id, fault.server_error());
            return;
        }
        let (result, is_order, account) = self.rest(request);
        let response = match broken {
            Some(fault) => fault.server_error(),
            None => self.limits.response(self.core.now, result, account),
        };
        let private = std::mem::take(&mut self.private);
        if is_order {
            self.core
                .answer(ReplyTo::Http(request_id), response, private);
        } else {
            self.core.reply(request_id, response);
        }
    }

    fn refuses_upgrade(&mut self, request: &Request) -> Option<Response> {
        let admitted = self.limits.admit(self.core.now);
        let reject = admitted.and_then(|()| self.check_key(request)).err()?;
        Some(self.limits.response(self.core.now, Err(reject), 0))
    }

    fn paths(&self) -> fn(&str) -> bool {
        |path| matches!(path, API_PATH | "/stream" | "/ws") || path.starts_with("/ws/")
    }

    fn open(&mut self, conn: ConnId, path: &str, query: &str) {
        let state = Conn::new(path, query, self.core.now);
        let link = if state.is_api() {
            Link::Private
        } else {
            Link::Public
        };
        self.core.opened(conn, link);
        self.conns.insert(conn, state);
    }

    fn text(&mut self, conn: ConnId, text: &str) {
        match self.conns.get(&conn).map(Conn::is_api) {
            Some(true) => self.on_api(conn, text),
            Some(false) => self.on_control(conn, text),
            None => {}
        }
    }

    fn pong(&mut self, conn: ConnId) {
        let now = self.core.now;
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.ponged(now);
        }
    }

    fn closed(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
        self.core.closed(conn);
    }

    fn symbol(&self, inst: usize) -> String {
        self.symbols[inst].clone()
    }

    fn dress(&self, ask: &mut NewOrder) {
        ask.type_name = match (ask.price, ask.post_only) {
            (None, _) => "MARKET",
            (Some(_), PostOnly::No) => "LIMIT",
            (Some(_), _) => "LIMIT_MAKER",
        };
    }

    fn charge(&mut self, charge: Charge<'_>) -> bool {
        match charge {
            Charge::New(ask) => {
                let counted = self.limits.new_order(self.core.now, ask.account);
                counted.is_ok()
            }
            Charge::Refused(account) => {
                self.limits.give_back(self.core.now, account);
                true
            }
            Charge::Cancel(_) | Charge::Amend(_) => true,
        }
    }

    fn stats(&self) -> Value {
        let trades: u64 = (0..self.symbols.len())
            .map(|inst| self.core.engine.day(inst).count)
            .sum();
        json!({
            "connections": self.conns.len(), "trades": trades,
            "used_weight_1m": self.limits.used_weight(self.core.now),
            "limits": self.limits.stats(),
            "while_banned": self.limits.while_banned,
            "banned_ms": self.limits.banned_until.saturating_sub(self.core.now) / 1_000_000,
        })
    }
}
