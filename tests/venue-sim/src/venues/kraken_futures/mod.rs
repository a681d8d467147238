//! Kraken Futures: linear perpetuals on the Unified WebSocket, and the legacy REST and feed that end on 1 March 2027.
//!
//! ```text
//!  /0/…                     spot REST: how the venue is, the token         API-Sign, a rising nonce
//!  /v2/public, /v2/private  Unified WebSocket: market data; executions, balances, orders by token
//!  /derivatives/api/v3/…    legacy REST: everything                       Authent
//!  /ws/v1                   legacy feed: market data; private feeds       a signed challenge
//! ```
//! Whatever could take is held for 20 ms before it reaches the engine (maker protection, [`ops`]).
//!
//! Faults without a meaning here: `snapshot-old`, `snapshot-new` (books begin with a pushed snapshot; the REST book has
//! no number to be spliced by) and `ban`. `seq-reset` is of the legacy book, `bad-checksum` of the Unified one. `reject`
//! takes a place in [`reply`]'s table of words as its code: the venue has no numbers. There is no longest life of a
//! connection. Deliberately not here: FIX, inverse and dated contracts, funding, liquidation, `level3`, stop orders.

mod account;
mod auth;
mod entry;
mod feed;
mod legacy;
mod ops;
mod reply;
mod rest;
mod send;
mod streams;
#[cfg(test)]
mod tests;
mod time;
mod ws;

use crate::config::{Grain, SimConfig, Symbol};
use crate::core::{ConnId, Core, Request, RequestId, Response};
use crate::engine::{AccountId, Amount, Event, Fees, FirstIds, NewOrder, Order, PostOnly, What};
use crate::fault::{Fault, Kind, Link};
use crate::venues::{Charge, Face};
use crate::window::Window;
use ops::Call;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use streams::Feed;
use ws::{Conn, Door, Stream};

/// Units a new order, an amendment or a cancel takes of it.
const ORDER_UNITS: u32 = 10;
/// Units of the derivatives pool: of a key, in ten seconds.
const POOL_UNITS: u32 = 500;
const POOL_NS: u64 = 10_000_000_000;
/// Calls of spot REST: the counter's most, and how long it takes to empty at a third a second.
const SPOT_CALLS: u32 = 15;
const SPOT_NS: u64 = 45_000_000_000;
/// Connections an address may open in ten minutes. [U]
const UPGRADES: u32 = 150;
const UPGRADES_NS: u64 = 600_000_000_000;
/// Fills that REST and the feed's snapshot list.
const FILLS_LISTED: usize = 100;

/// Where its numbers start.
const FIRST: FirstIds = FirstIds {
    order: 59_302_619_000,
    trade: 130_000_000,
    update: 326_072_000,
};

/// The simulated venue.
pub struct KrakenFutures {
    core: Core,
    symbols: Vec<String>,
    conns: BTreeMap<ConnId, Conn>,
    feeds: Vec<Feed>,
    private: Vec<(ConnId, String)>,
    /// Requests held by maker protection, with their release, in the order they came.
    held: VecDeque<(u64, Call)>,
    dead_man: BTreeMap<AccountId, u64>,
    tokens: auth::Tokens,
    nonces: auth::Nonces,
    challenges: u64,
    /// What each account was last told it has.
    told: BTreeMap<(AccountId, usize), Amount>,
    pools: BTreeMap<AccountId, Window>,
    spot_calls: BTreeMap<AccountId, Window>,
    upgrades: Window,
    rate_factor: u32,
    next_check: u64,
}

fn grain(symbol: &Symbol, cents: i64) -> Grain {
    let (price_decimals, tick, qty_decimals) = match (symbol.base.as_str(), cents) {
        // Printed with one place, and in whole dollars: the increment is not the precision.
        ("BTC", _) => (1, 10, 4),
        (_, 100_000..) => (1, 1, 3),
        (_, 1_000..) => (2, 1, 2),
        _ => (4, 1, 0),
    };
    Grain {
        price_decimals,
        qty_decimals,
        tick,
        qty_min: 1,
        is_contract: true,
    }
}

/// An asset as it stands in symbols.
fn asset_in_symbol(asset: &str) -> &str {
    match asset {
        "BTC" => "XBT",
        other => other,
    }
}

/// The venue's own idea of the time, nanoseconds.
fn venue_ns(core: &Core) -> u64 {
    core.now
        .saturating_add_signed(core.skew_ms.saturating_mul(1_000_000))
}

impl KrakenFutures {
    /// A venue at `now` (Unix nanoseconds).
    pub fn new(config: &SimConfig, now: u64) -> Self {
        let fees = Fees {
            maker_ppm: 200,
            taker_ppm: 500,
            decimals: 8,
            in_quote: true,
        };
        let core = config.core("kraken-futures", now, fees, grain, 10, FIRST);
        let engine = &core.engine;
        let symbols: Vec<String> = (0..engine.instruments())
            .map(|inst| {
                let spec = engine.spec(inst);
                format!("PF_{}{}", asset_in_symbol(&spec.base), spec.quote)
            })
            .collect();
        let feeds = symbols.iter().enumerate();
        let feeds = feeds
            .map(|(inst, symbol)| Feed::new(engine, inst, symbol, now))
            .collect();
        let rate_factor = config.rate_factor.max(1);
        let mut told = BTreeMap::new();
        for account in 1..=config.keys {
            for (_, asset) in account::assets(&core) {
                told.insert((account, asset), account::total(&core, account, asset));
            }
        }
        Self {
            core,
            symbols,
            conns: BTreeMap::new(),
            feeds,
            private: Vec::new(),
            held: VecDeque::new(),
            dead_man: BTreeMap::new(),
            tokens: auth::Tokens::default(),
            nonces: auth::Nonces::default(),
            challenges: 0,
            told,
            pools: BTreeMap::new(),
            spot_calls: BTreeMap::new(),
            upgrades: Window::new(UPGRADES.saturating_mul(rate_factor), UPGRADES_NS),
            rate_factor,
            next_check: now,
        }
    }

    fn inst_of(&self, symbol: &str) -> Option<usize> {
        self.symbols.iter().position(|known| known == symbol)
    }

    /// Takes units of an account's pool; whether there were enough.
    fn spend(&mut self, account: AccountId, units: u32) -> bool {
        let most = POOL_UNITS.saturating_mul(self.rate_factor);
        let pool = self.pools.entry(account);
        pool.or_insert_with(|| Window::new(most, POOL_NS))
            .take(self.core.now, units)
    }

    /// Publishes what the engine did; private pushes are kept for whoever answers. Returns what happened to orders.
    fn absorb(&mut self) -> Vec<(Order, What)> {
        let events = self.core.drain_events();
        if events.is_empty() {
            return Vec::new();
        }
        let conns = &self.conns;
        let listeners = |channel, inst| ws::listeners(conns, channel, inst);
        for feed in &mut self.feeds {
            feed.on_events(&mut self.core, &events, &listeners);
        }
        let told: Vec<(Order, What)> = events
            .into_iter()
            .filter_map(|event| match event {
                Event::Order(order, what) => Some((*order, what)),
                Event::Level { .. } | Event::Trade(_) => None,
            })
            .collect();
        for (order, what) in &told {
            self.tell(order, *what);
        }
        self.tell_balances(&told);
        told
    }

    /// Queues the pushes of one order event for its account.
    fn tell(&mut self, order: &Order, what: What) {
        let inst = order.ask.inst;
        let (spec, symbol) = (self.core.engine.spec(inst), &self.symbols[inst]);
        let account = order.ask.account;
        let mut reports = account::reports(spec, symbol, order, what, venue_ns(&self.core));
        let mut pushes = vec![("open_orders", legacy::order_push(spec, symbol, order, what))];
        if let What::Fill(fill) = what {
            let row = legacy::feed_fill(spec, symbol, order, fill, fill.trade);
            pushes.push(("fills", Self::fills_push(account, &row)));
            if self.core.faults.take(Kind::DuplicateFill).is_some() {
                reports.extend(reports.first().cloned());
                pushes.extend(pushes.last().cloned());
            }
        }
        for (id, conn) in &mut self.conns {
            let stream = conn
                .executions
                .as_mut()
                .filter(|stream| stream.account == account);
            if let Some(stream) = stream {
                for report in &reports {
                    if stream.wants(report.kind) {
                        let rows = std::slice::from_ref(&report.row);
                        let text = account::push("executions", "update", rows, stream.next());
                        self.private.push((*id, text));
                    }
                }
            }
            for (feed, text) in &pushes {
                let verbose = format!("{feed}_verbose");
                let is_wanted = |(known, whose): &(&str, AccountId)| {
                    *whose == account && (known == feed || *known == verbose)
                };
                if conn.feeds.iter().any(is_wanted) {
                    self.private.push((*id, text.clone()));
                }
            }
        }
    }

    /// Queues what fills made of balances: one entry an account and asset.
    fn tell_balances(&mut self, told: &[(Order, What)]) {
        let mut fees: BTreeMap<(AccountId, usize), (Amount, u64)> = BTreeMap::new();
        for (order, what) in told {
            if let What::Fill(fill) = what {
                let asset = self.core.engine.spec(order.ask.inst).quote_asset;
                let sum = fees.entry((order.ask.account, asset)).or_default();
                *sum = (sum.0 + fill.fee, fill.trade);
            }
        }
        for ((account, asset), (fee, id)) in fees {
            let balance = account::total(&self.core, account, asset);
            let before = self.told.insert((account, asset), balance).unwrap_or(0);
            let amount = balance - before + fee;
            let assets = account::assets(&self.core);
            let name = assets.iter().find(|(_, known)| *known == asset);
            let name = name.map_or("", |(name, _)| name);
            let entry = account::Entry {
                id,
                amount,
                fee,
                balance,
            };
            let row = account::ledger_entry(name, entry, venue_ns(&self.core));
            let (balances, positions) = (
                self.balances_push(account, "balances"),
                self.positions_push(account),
            );
            for (id, conn) in &mut self.conns {
                let stream = conn
                    .balances
                    .as_mut()
                    .filter(|stream| stream.account == account);
                if let Some(sequence) = stream.map(Stream::next) {
                    let rows = std::slice::from_ref(&row);
                    self.private
                        .push((*id, account::push("balances", "update", rows, sequence)));
                }
                for (feed, text) in [("balances", &balances), ("open_positions", &positions)] {
                    if conn.feeds.contains(&(feed, account)) {
                        self.private.push((*id, text.clone()));
                    }
                }
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
                for id in self.core.struck(fault) {
                    let Some(conn) = self.conns.get_mut(&id) else {
                        continue;
                    };
                    conn.close_at(self.core.now + fault.for_ns);
                    let text = match conn.door {
                        Door::Legacy => feed::alert("The venue restarts soon."),
                        Door::Public | Door::Private => ws::status(id, "maintenance"),
                    };
                    self.core.send(id, text);
                }
            }
            Kind::SeqReset => {
                for feed in &mut self.feeds {
                    feed.reset_sequence(&self.core.engine);
                }
            }
            Kind::ClockSkew => self.core.skew_ms = fault.ms,
            Kind::TokenExpiry => {
                self.tokens.expire();
                for conn in self.conns.values_mut() {
                    conn.forget_token();
                    conn.challenge = None;
                }
            }
            _ => {}
        }
    }

    /// Every window, for the admin endpoint.
    fn limits(&self) -> Vec<Value> {
        let pools = self.pools.iter();
        let pools =
            pools.map(|(account, window)| window.json(&format!("units of account {account}")));
        let calls = self.spot_calls.iter();
        let calls =
            calls.map(|(account, window)| window.json(&format!("spot REST of account {account}")));
        let upgrades = self.upgrades.json("connections");
        pools.chain(calls).chain([upgrades]).collect()
    }

    fn drop_conn(&mut self, conn: ConnId, code: Option<u16>) {
        self.conns.remove(&conn);
        self.core.close(conn, code);
    }

    /// Idle connections, announced restarts, heartbeats; looked at ten times a second.
    fn check_conns(&mut self) {
        let now = self.core.now;
        if now < self.next_check {
            return;
        }
        self.next_check = now + 100_000_000;
        let over = self.conns.iter().filter(|(_, conn)| conn.is_over(now));
        let over: Vec<ConnId> = over.map(|(id, _)| *id).collect();
        for id in over {
            self.drop_conn(id, Some(1000));
        }
        let legacy = format!(
            "{{\"feed\":\"heartbeat\",\"time\":{}}}",
            self.core.venue_ms()
        );
        for (id, conn) in &mut self.conns {
            if conn.beats(now) {
                let text = match conn.door {
                    Door::Legacy => legacy.as_str(),
                    Door::Public | Door::Private => r#"{"channel":"heartbeat"}"#,
                };
                self.core.send(*id, text);
            }
        }
    }
}

impl Face for KrakenFutures {
    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, now: u64) {
        let faults = self.core.advance(now);
        self.absorb();
        self.run_dead_man();
        self.send_private();
        self.release();
        let conns = &self.conns;
        let listeners = |channel, inst| ws::listeners(conns, channel, inst);
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
        let held = self.held.front().map(|(at, _)| *at);
        self.core
            .next_deadline()
            .min(feeds.unwrap_or(u64::MAX))
            .min(dead_man.unwrap_or(u64::MAX))
            .min(held.unwrap_or(u64::MAX))
            .min(self.next_check)
    }

    fn http(&mut self, request_id: RequestId, request: &Request) {
        self.on_rest(request_id, request);
    }

    fn refuses_upgrade(&mut self, _request: &Request) -> Option<Response> {
        let is_taken = self.upgrades.take(self.core.now, 1);
        (!is_taken).then(|| Response::json(429, json!({"error": ["EGeneral:Temporary lockout"]})))
    }

    fn paths(&self) -> fn(&str) -> bool {
        |path| matches!(path, "/v2/public" | "/v2/private" | "/ws/v1")
    }

    fn open(&mut self, conn: ConnId, path: &str, _query: &str) {
        let (door, link) = match path {
            "/v2/private" => (Door::Private, Link::Private),
            "/v2/public" => (Door::Public, Link::Public),
            _ => (Door::Legacy, Link::Public),
        };
        self.core.opened(conn, link);
        self.conns
            .insert(conn, Conn::new(door, self.core.now, self.rate_factor));
        let text = match door {
            Door::Legacy => feed::INFO.to_owned(),
            Door::Public | Door::Private => ws::status(conn, "online"),
        };
        self.core.send(conn, text);
    }

    fn text(&mut self, id: ConnId, text: &str) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let (door, is_too_fast) = (conn.door, conn.heard(self.core.now));
        match door {
            _ if is_too_fast => self.core.send(id, r#"{"Error":"Exceeded msg rate"}"#),
            Door::Legacy => self.on_legacy(id, text),
            Door::Public | Door::Private => self.on_unified(id, text),
        }
    }

    fn pong(&mut self, _conn: ConnId) {}

    fn closed(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
        self.core.closed(conn);
    }

    fn symbol(&self, inst: usize) -> String {
        self.symbols[inst].clone()
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
        let account = match charge {
            Charge::New(ask) => ask.account,
            Charge::Cancel(order) | Charge::Amend(order) => order.ask.account,
            Charge::Refused(_) => return true,
        };
        self.spend(account, ORDER_UNITS)
    }

    fn hold_ns(&self, post_only: PostOnly) -> u64 {
        match post_only {
            PostOnly::No => ops::HOLD_MS * 1_000_000,
            PostOnly::Refuse | PostOnly::AcceptThenCancel => 0,
        }
    }

    fn stats(&self) -> Value {
        let engine = &self.core.engine;
        let trades: u64 = (0..self.symbols.len())
            .map(|inst| engine.day(inst).count)
            .sum();
        json!({
            "connections": self.conns.len(), "trades": trades, "held": self.held.len(),
            "dead_man_armed": self.dead_man.len(), "limits": self.limits(),
        })
    }
}
