//! OKX V5, spot and linear swaps (of one unit of the base): REST, public and private WebSocket.
//!
//! ```text
//!  /api/v5/…        REST            signature ─▶ operate / query
//!  /ws/v5/public    channels        text ping/pong; 30 s without a message and it is cut
//!  /ws/v5/private   login ─▶ orders, account, fills; order operations
//! ```

mod auth;
mod ops;
mod reply;
mod rest;
mod streams;
#[cfg(test)]
mod tests;
mod ws;

use crate::config::{Grain, SimConfig, Symbol};
use crate::core::{ConnId, Core, Request, RequestId};
use crate::engine::{AccountId, Event, Fees, FirstIds, Order, Side, Trade, What};
use crate::fault::{Fault, Kind, Link};
use crate::record::Payment;
use crate::venues::Face;
use crate::window::Window;
use ops::{Call, Op};
use reply::Refused;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use streams::Feed;
use ws::Conn;

/// Public trades kept for REST.
pub const TRADES_KEPT: usize = 500;
/// New and amend requests of a sub-account in 2 s.
const SUB_ACCOUNT_PER_2S: u32 = 1_000;
/// How many times the orders of a pool of single requests a pool of batches holds.
const BATCH_TIMES: u32 = 5;
const TWO_S_NS: u64 = 2_000_000_000;

/// Where its numbers start.
const FIRST: FirstIds = FirstIds {
    order: 2_497_956_918_703_120_000,
    trade: 130_000_000,
    update: 1_000_000,
};

/// The simulated venue.
pub struct Okx {
    core: Core,
    inst_ids: Vec<String>,
    conns: BTreeMap<ConnId, Conn>,
    feeds: Vec<Feed>,
    prints: Vec<VecDeque<Trade>>,
    private: Vec<(ConnId, String)>,
    dead_man: BTreeMap<AccountId, u64>,
    /// Requests of an account: by operation and instrument, or all.
    paces: BTreeMap<(AccountId, Option<(Call, usize)>), Window>,
    /// REST requests by endpoint.
    rest_paces: BTreeMap<&'static str, Window>,
    amend_request: String,
    orders_per_2s: u32,
    idle_ns: u64,
    next_check: u64,
}

fn grain(symbol: &Symbol, cents: i64) -> Grain {
    let (price_decimals, tick, qty_decimals, qty_min) = match (symbol.base.as_str(), cents) {
        ("BTC", _) => (1, 1, 8, 1_000),
        (_, 100_000..) => (2, 1, 6, 1_000),
        (_, 1_000..) => (2, 1, 6, 10_000),
        _ => (4, 1, 4, 1_000),
    };
    Grain {
        price_decimals,
        qty_decimals,
        tick,
        qty_min,
        is_contract: symbol.is_swap,
    }
}

/// An account's user id.
pub fn uid(account: AccountId) -> String {
    (77_982_378_738_415_000 + account as u64).to_string()
}

impl Okx {
    /// A venue at `now` (Unix nanoseconds).
    pub fn new(config: &SimConfig, now: u64) -> Self {
        let fees = Fees {
            maker_ppm: 800,
            taker_ppm: 1_000,
            decimals: 12,
            in_quote: false,
        };
        let core = config.core("okx", now, fees, grain, 2, FIRST);
        let engine = &core.engine;
        let inst_ids: Vec<String> = (0..engine.instruments())
            .map(|inst| {
                let spec = engine.spec(inst);
                let end = if spec.is_contract { "-SWAP" } else { "" };
                format!("{}-{}{end}", spec.base, spec.quote)
            })
            .collect();
        let feeds = inst_ids
            .iter()
            .enumerate()
            .map(|(inst, name)| Feed::new(engine, inst, name, now, config))
            .collect();
        Self {
            prints: vec![VecDeque::new(); inst_ids.len()],
            inst_ids,
            feeds,
            core,
            conns: BTreeMap::new(),
            private: Vec::new(),
            dead_man: BTreeMap::new(),
            paces: BTreeMap::new(),
            rest_paces: BTreeMap::new(),
            amend_request: String::new(),
            orders_per_2s: config.okx_orders_per_2s,
            idle_ns: config.idle_s.max(1) * 1_000_000_000,
            next_check: now,
        }
    }

    /// The numeric code of an instrument.
    fn code(inst: usize) -> u64 {
        20_459 + 2 * inst as u64
    }

    fn inst_of(&self, name: &str) -> Option<usize> {
        self.inst_ids.iter().position(|known| known == name)
    }

    /// Counts a request against its limit. Errors: 50011 for the instrument, 50061 for the account.
    fn pace(&mut self, account: AccountId, call: Call, inst: usize) -> Result<(), Refused> {
        let now = self.core.now;
        let mut count = |key, max: u32| {
            let window = self.paces.entry(key);
            window
                .or_insert_with(|| Window::new(max, TWO_S_NS))
                .take(now, 1)
        };
        let in_batches = self.orders_per_2s.saturating_mul(BATCH_TIMES);
        let most = if call.is_batch {
            in_batches
        } else {
            self.orders_per_2s
        };
        if !count((account, Some((call, inst))), most) {
            return Err(Refused::new(50011, Refused::too_fast().text));
        }
        let is_counted = call.op != Op::Cancel;
        // A raised limit per instrument raises the account's too, or it could not be used.
        let max = SUB_ACCOUNT_PER_2S.max(in_batches);
        if is_counted && !count((account, None), max) {
            let text = "Sub-account rate limit exceeded. Max requests per 2 seconds.";
            return Err(Refused::new(50061, text));
        }
        Ok(())
    }

    /// Publishes what the engine did; private pushes are kept for whoever answers.
    fn absorb(&mut self) {
        let events = self.core.drain_events();
        if events.is_empty() {
            return;
        }
        let conns = &self.conns;
        let listeners = |channel: &str, inst: usize| ws::listeners(conns, channel, inst);
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
        let inst_id = &self.inst_ids[order.ask.inst];
        let account = order.ask.account;
        let mut rows = reply::pushes(&self.core, inst_id, order, what, &self.amend_request);
        if matches!(what, What::Fill(_)) && self.core.faults.take(Kind::DuplicateFill).is_some() {
            rows.extend(rows.first().cloned());
        }
        let push = |arg: &Value, data: &Value| json!({"arg": arg, "data": [data]}).to_string();
        for (conn, arg) in ws::private_subs(&self.conns, account, "orders", inst_id) {
            for row in &rows {
                self.private.push((conn, push(&arg, row)));
            }
        }
        if let What::Fill(fill) = what {
            let row = reply::fill_push(&self.core, inst_id, order, fill);
            for (conn, arg) in ws::private_subs(&self.conns, account, "fills", inst_id) {
                self.private.push((conn, push(&arg, &row)));
            }
        }
        let balances = reply::balances(&self.core, account, Some(order.ask.inst));
        for (conn, arg) in ws::private_subs(&self.conns, account, "account", inst_id) {
            self.private
                .push((conn, ws::account_push(&arg, "event_update", &balances)));
        }
    }

    /// Funding was paid: the stream tells the balance it made, no amount.
    fn tell_funding(&mut self, payment: &Payment) {
        let (account, name) = (payment.account, &self.inst_ids[payment.inst]);
        let data = reply::funding_update(&self.core, payment);
        for (conn, arg) in ws::private_subs(&self.conns, account, "balance_and_position", name) {
            let push = json!({"arg": arg, "data": [data]});
            self.private.push((conn, push.to_string()));
        }
        let balances = reply::balances(&self.core, account, Some(payment.inst));
        for (conn, arg) in ws::private_subs(&self.conns, account, "account", name) {
            self.private
                .push((conn, ws::account_push(&arg, "event_update", &balances)));
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
                    self.core.send(conn, ws::notice(conn));
                    if let Some(conn) = self.conns.get_mut(&conn) {
                        conn.close_at(self.core.now + fault.for_ns);
                    }
                }
            }
            Kind::SeqReset => {
                for feed in &mut self.feeds {
                    feed.reset_sequence(&self.core.engine);
                }
            }
            Kind::ClockSkew => self.core.skew_ms = fault.ms,
            Kind::Funding => {
                for payment in self.core.fund(fault.ppm) {
                    self.tell_funding(&payment);
                }
                self.send_private();
            }
            _ => {}
        }
    }

    /// Every window, for the admin endpoint.
    fn limits(&self) -> Vec<Value> {
        let rest = self.rest_paces.iter();
        let rest = rest.map(|(name, window)| window.json(&format!("REST {name}")));
        let paces = self.paces.iter().map(|((account, key), window)| match key {
            Some((call, inst)) => window.json(&format!("{} {}", call.name(), self.inst_ids[*inst])),
            None => window.json(&format!("orders of account {account}")),
        });
        rest.chain(paces).collect()
    }

    fn drop_conn(&mut self, conn: ConnId, code: Option<u16>) {
        self.conns.remove(&conn);
        self.core.close(conn, code);
    }

    /// Idle connections and announced restarts; looked at ten times a second.
    fn check_conns(&mut self) {
        let now = self.core.now;
        if now < self.next_check {
            return;
        }
        self.next_check = now + 100_000_000;
        let over: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(id, conn)| conn.is_over(now, self.core.last_sent(**id), self.idle_ns))
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.drop_conn(id, Some(4004));
        }
    }
}

impl Face for Okx {
    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, now: u64) {
        let faults = self.core.advance(now);
        self.absorb();
        self.run_dead_man();
        self.send_private();
        let conns = &self.conns;
        let listeners = |channel: &str, inst: usize| ws::listeners(conns, channel, inst);
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

    fn paths(&self) -> fn(&str) -> bool {
        |path| matches!(path, "/ws/v5/public" | "/ws/v5/private" | "/ws/v5/business")
    }

    fn open(&mut self, conn: ConnId, path: &str, _query: &str) {
        let is_private = path == "/ws/v5/private";
        let link = if is_private {
            Link::Private
        } else {
            Link::Public
        };
        self.core.opened(conn, link);
        self.conns
            .insert(conn, Conn::new(is_private, self.core.now));
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
        self.inst_ids[inst].clone()
    }

    fn stats(&self) -> Value {
        let trades: u64 = (0..self.inst_ids.len())
            .map(|inst| self.core.engine.day(inst).count)
            .sum();
        let bids: Vec<Option<i64>> = (0..self.inst_ids.len())
            .map(|inst| self.best(inst, Side::Buy))
            .collect();
        json!({
            "connections": self.conns.len(), "trades": trades, "best_bids": bids,
            "dead_man_armed": self.dead_man.len(), "limits": self.limits(),
        })
    }
}
