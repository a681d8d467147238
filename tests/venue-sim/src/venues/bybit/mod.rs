//! Bybit V5, spot and linear (USDT and USDC perpetuals): REST, public, private and trade WebSocket.
//!
//! ```text
//!  /v5/…                       REST       signature ─▶ operate / query
//!  /v5/public/{spot,linear}    topics     op ping, every 20 s says the venue; nothing cuts who does not
//!  /v5/private                 auth ─▶ order, execution, position, wallet, dcp
//!  /v5/trade                   auth ─▶ order.create, order.amend, order.cancel and their batches
//! ```
//! Every symbol is traded on spot; those quoted in USDT or USDC as a perpetual too, under a name that spot may have:
//! the category tells them apart. Linear pays spot's fees, and its positions hold no margin; its orders do.
//!
//! Faults without a meaning here: `bad-checksum` (books have none) and `token-expiry` (there are no tokens, and a
//! login lasts as long as its connection). `seq-reset` is the service's restart: a snapshot with `u` 1.

mod auth;
mod checks;
mod dcp;
mod limits;
mod ops;
mod reply;
mod rest;
mod streams;
#[cfg(test)]
mod tests;
mod ws;

use crate::config::{Grain, SimConfig, Symbol};
use crate::core::{ConnId, Core, Request, RequestId, Response};
use crate::engine::{AccountId, Cause, Event, Fees, FirstIds, Order, Spec, State, Trade, What};
use crate::fault::{Fault, Kind, Link};
use crate::venues::Face;
use dcp::DeadMan;
use limits::Limits;
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use streams::Feed;
use ws::{Conn, Room};

/// Public trades kept for REST.
const TRADES_KEPT: usize = 1_000;
/// Maker's and taker's fee, parts per million.
const FEE_PPM: i64 = 1_000;

/// Where its numbers start.
const FIRST: FirstIds = FirstIds {
    order: 1_523_347_543_495_541_248,
    trade: 2_290_000_000_061_666_326,
    update: 18_521_287,
};

/// Spot and linear share names: only the category tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// Pairs.
    Spot,
    /// Perpetuals settled in USDT or USDC.
    Linear,
}

impl Category {
    /// The venue's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Linear => "linear",
        }
    }

    /// What an instrument belongs to.
    pub const fn of(spec: &Spec) -> Self {
        if spec.is_contract {
            Self::Linear
        } else {
            Self::Spot
        }
    }

    /// From the venue's word.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Spot, Self::Linear]
            .into_iter()
            .find(|category| category.name() == name)
    }
}

/// The simulated venue.
pub struct Bybit {
    core: Core,
    /// The venue's symbol of each instrument.
    symbols: Vec<String>,
    conns: BTreeMap<ConnId, Conn>,
    feeds: Vec<Feed>,
    prints: Vec<VecDeque<Trade>>,
    private: Vec<(ConnId, String)>,
    /// Private messages so far; each has an id.
    pushes: u64,
    dead_man: DeadMan,
    limits: Limits,
    next_check: u64,
}

fn is_linear(symbol: &Symbol) -> bool {
    matches!(symbol.quote.as_str(), "USDT" | "USDC")
}

fn grain(symbol: &Symbol, cents: i64, is_contract: bool) -> Grain {
    let (price_decimals, tick, qty_decimals, qty_min) =
        match (symbol.base.as_str(), cents, is_contract) {
            ("BTC", _, false) => (2, 1, 6, 48),
            ("BTC", _, true) => (2, 10, 3, 1),
            (_, 100_000.., false) => (2, 1, 5, 62),
            (_, 100_000.., true) => (2, 1, 2, 1),
            (_, 1_000.., false) => (2, 1, 3, 40),
            (_, 1_000.., true) => (3, 10, 1, 1),
            (_, _, false) => (4, 1, 2, 100),
            (_, _, true) => (4, 1, 0, 1),
        };
    Grain {
        price_decimals,
        qty_decimals,
        tick,
        qty_min,
        is_contract,
    }
}

impl Bybit {
    /// A venue at `now` (Unix nanoseconds).
    pub fn new(config: &SimConfig, now: u64) -> Self {
        let fees = Fees {
            maker_ppm: FEE_PPM,
            taker_ppm: FEE_PPM,
            decimals: 12,
            in_quote: false,
        };
        // Spot first, then the perpetuals of the same names.
        let mut all = config.clone();
        let linear = config.symbols.iter().filter(|symbol| is_linear(symbol));
        all.symbols.extend(linear.cloned());
        let made = Cell::new(0);
        let grain = |symbol: &Symbol, cents| {
            let at = made.replace(made.get() + 1);
            grain(symbol, cents, at >= config.symbols.len())
        };
        let core = all.core("bybit", now, fees, grain, 3, FIRST);
        let engine = &core.engine;
        let symbols: Vec<String> = (0..engine.instruments())
            .map(|inst| match engine.spec(inst) {
                spec if spec.is_contract && spec.quote == "USDC" => format!("{}PERP", spec.base),
                spec => format!("{}{}", spec.base, spec.quote),
            })
            .collect();
        let feeds = symbols
            .iter()
            .enumerate()
            .map(|(inst, name)| Feed::new(engine, inst, name, now))
            .collect();
        Self {
            prints: vec![VecDeque::new(); symbols.len()],
            symbols,
            feeds,
            core,
            conns: BTreeMap::new(),
            private: Vec::new(),
            pushes: 0,
            dead_man: DeadMan::default(),
            limits: Limits::new(config.rate_factor),
            next_check: now,
        }
    }

    fn inst_of(&self, category: Category, name: &str) -> Option<usize> {
        let fits = |inst: &usize| self.category(*inst) == category;
        (0..self.symbols.len())
            .filter(fits)
            .find(|inst| self.symbols[*inst] == name)
    }

    fn category(&self, inst: usize) -> Category {
        Category::of(self.core.engine.spec(inst))
    }

    /// Publishes what the engine did; private pushes are kept for whoever answers.
    fn absorb(&mut self) {
        let events = self.core.drain_events();
        if events.is_empty() {
            return;
        }
        let conns = &self.conns;
        let listeners = |category, topic: &str| ws::listeners(conns, category, topic);
        for feed in &mut self.feeds {
            feed.on_events(&mut self.core, &events, &listeners);
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
    }

    /// Queues the pushes of one order event for the account's subscriptions.
    fn tell(&mut self, order: &Order, what: What) {
        // A post-only order that crosses is told once, as it ended.
        let fate = self.core.engine.order(order.id).map(|order| order.state);
        if what == What::New && fate == Some(State::Canceled(Cause::PostOnly)) {
            return;
        }
        let (account, inst) = (order.ask.account, order.ask.inst);
        let symbol = self.symbols[inst].clone();
        if let What::Fill(fill) = what {
            let row = reply::execution_row(&self.core, &symbol, order, fill);
            let fast = reply::fast_row(&row);
            let is_twice = self.core.faults.take(Kind::DuplicateFill).is_some();
            for _ in 0..=usize::from(is_twice) {
                self.push(account, "execution", inst, &row);
                self.push(account, "execution.fast", inst, &fast);
            }
        }
        let row = reply::order_row(&self.core, &symbol, order);
        self.push(account, "order", inst, &row);
        if matches!(what, What::Fill(_)) && self.category(inst) == Category::Linear {
            let row = reply::position_row(&self.core, &symbol, (account, inst), "entryPrice");
            self.push(account, "position", inst, &row);
        }
        let wallet = reply::wallet(&self.core, account, Some(inst));
        self.push(account, "wallet", inst, &wallet);
    }

    /// Queues one push for the account's subscriptions to a topic, or to its part of the instrument's category.
    fn push(&mut self, account: AccountId, topic: &str, inst: usize, row: &Value) {
        let subs = ws::private_subs(&self.conns, account, topic, self.category(inst));
        if subs.is_empty() {
            return;
        }
        self.pushes += 1;
        let (id, ms) = (reply::push_id(self.pushes), self.core.venue_ms());
        for (conn, topic) in subs {
            let mut push = json!({"id": id, "topic": topic, "creationTime": ms, "data": [row]});
            if topic.starts_with("execution.fast") {
                push.as_object_mut().map(|push| push.shift_remove("id"));
            }
            self.private.push((conn, push.to_string()));
        }
    }

    fn send_private(&mut self) {
        for (conn, text) in std::mem::take(&mut self.private) {
            self.core.send_private(conn, text);
        }
    }

    fn on_fault(&mut self, fault: &Fault) {
        let now = self.core.now;
        match fault.kind {
            Kind::Disconnect => {
                for conn in self.core.struck(fault) {
                    self.drop_conn(conn, None);
                }
            }
            Kind::Silence => self.core.silence(fault, now + fault.for_ns),
            // Nothing announces it but the trade connections' answers: 10019 to every order request.
            Kind::Restart => {
                for conn in self.core.struck(fault) {
                    if let Some(conn) = self.conns.get_mut(&conn) {
                        conn.close_at(now + fault.for_ns);
                    }
                }
            }
            Kind::Ban => self.limits.ban(now + fault.for_ns),
            Kind::SeqReset => {
                let conns = &self.conns;
                let listeners = |category, topic: &str| ws::listeners(conns, category, topic);
                for feed in &mut self.feeds {
                    feed.restart(&mut self.core, &listeners);
                }
            }
            Kind::ClockSkew => self.core.skew_ms = fault.ms,
            Kind::Funding => {
                for payment in self.core.fund(fault.ppm) {
                    let row = reply::funding_row(&self.core, &self.symbols[payment.inst], &payment);
                    self.push(payment.account, "execution", payment.inst, &row);
                }
                self.send_private();
            }
            _ => {}
        }
    }

    fn drop_conn(&mut self, id: ConnId, code: Option<u16>) {
        self.forget(id);
        self.core.close(id, code);
    }

    /// A connection is gone: those of its dead man's switches that nothing else holds begin to run.
    fn forget(&mut self, id: ConnId) {
        let Some(conn) = self.conns.remove(&id) else {
            return;
        };
        for (account, category) in conn.switches() {
            let is_held = self
                .conns
                .values()
                .any(|other| other.switches().any(|held| held == (account, category)));
            if !is_held {
                self.dead_man.lost(self.core.now, account, category);
            }
        }
    }

    /// Idle connections and restarts; looked at ten times a second.
    fn check_conns(&mut self) {
        let now = self.core.now;
        if now < self.next_check {
            return;
        }
        self.next_check = now + 100_000_000;
        let over: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(id, conn)| conn.is_over(now, self.core.last_sent(**id)))
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.drop_conn(id, Some(1000));
        }
    }
}

impl Face for Bybit {
    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, now: u64) {
        let faults = self.core.advance(now);
        self.absorb();
        self.run_dead_man();
        self.send_private();
        let conns = &self.conns;
        let listeners = |category, topic: &str| ws::listeners(conns, category, topic);
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
        self.core
            .next_deadline()
            .min(feeds.unwrap_or(u64::MAX))
            .min(self.dead_man.next_deadline())
            .min(self.next_check)
    }

    fn http(&mut self, request_id: RequestId, request: &Request) {
        self.on_rest(request_id, request);
    }

    fn refuses_upgrade(&mut self, _request: &Request) -> Option<Response> {
        let is_refused = !self.limits.upgrade(self.core.now);
        is_refused.then(rest::too_frequent)
    }

    fn paths(&self) -> fn(&str) -> bool {
        |path| Room::of(path).is_some()
    }

    fn open(&mut self, conn: ConnId, path: &str, query: &str) {
        let Some(room) = Room::of(path) else {
            return;
        };
        let link = match room {
            Room::Public(_) => Link::Public,
            Room::Private | Room::Trade => Link::Private,
        };
        self.core.opened(conn, link);
        let fresh = Conn::new(room, query, self.core.now);
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
        let trades: u64 = (0..self.symbols.len())
            .map(|inst| self.core.engine.day(inst).count)
            .sum();
        let armed = self.conns.values().flat_map(Conn::switches).count();
        json!({
            "connections": self.conns.len(), "trades": trades, "dead_man_armed": armed,
            "limits": self.limits.json(),
        })
    }
}
