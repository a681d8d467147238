//! Coinbase Exchange, spot: REST and the WebSocket feed. Orders go over REST; FIX is a door of its own.
//!
//! ```text
//!  REST  /products…  /time            public, 10 a second
//!        /orders  /fills  /accounts   signed, 15 a second ─▶ operate / query
//!  WS /  subscribe ─▶ channels        signed for level2, full, user, balance; 5 s without one and it is cut
//! ```
//! Of the faults, these have no meaning here: `bad-checksum` (there is none), `token-expiry` (there are none: a
//! subscription lasts as long as its connection), `ban`. `gap`, `duplicate`, `reorder` and `seq-reset` are the
//! `full` channel's, whose numbers show them; of level2 the venue promises that a living connection loses
//! nothing. `restart` is not announced: connections end after `for`. `timeout` is a 500 in JSON; a `reject`'s
//! code is the HTTP status.
//!
//! Self-trade prevention is always that of the engine: the later order goes (`cn`). Not here: amends by REST
//! (`PUT`), stop and GTT orders; Advanced Trade, which our connector only reads in recordings.

mod auth;
mod full;
mod ops;
mod pace;
mod reply;
mod rest;
mod streams;
#[cfg(test)]
mod tests;
mod ws;

use crate::config::{Grain, SimConfig, Symbol};
use crate::core::{ConnId, Core, Request, RequestId};
use crate::engine::{AccountId, Event, Fees, FirstIds, NewOrder, Order, Side, Trade};
use crate::fault::{Fault, Kind, Link};
use crate::venues::Face;
use crate::window::Window;
use pace::Bucket;
pub use reply::is_uuid;
use reply::{FEES_PPM, Refused};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use streams::Feed;
use ws::{Channel, Conn};

/// Public trades kept for REST.
pub const TRADES_KEPT: usize = 1_000;

/// A limit: what of, how many a second, and in a burst.
type Pace = (&'static str, u32, u32);
/// Signed requests of a profile.
const PRIVATE: Pace = ("REST private", 15, 30);
/// Its questions about fills.
const FILLS: Pace = ("REST fills", 10, 20);
/// Public requests of an address.
const PUBLIC: Pace = ("REST public", 10, 15);
/// Subscriptions of an address.
const REQUESTS: Pace = ("WebSocket requests", 8, 20);
/// Messages of an address in a second.
const MESSAGES_PER_S: u32 = 100;
const SECOND_NS: u64 = 1_000_000_000;
/// Cadence of `status`.
const STATUS_NS: u64 = 5_000_000_000;

/// Where its numbers start.
const FIRST: FirstIds = FirstIds {
    order: 1_000_000,
    trade: 370_843_400,
    update: 1_000_000,
};

/// The simulated venue.
pub struct Coinbase {
    core: Core,
    products: Vec<String>,
    conns: BTreeMap<ConnId, Conn>,
    feeds: Vec<Feed>,
    prints: Vec<VecDeque<Trade>>,
    private: Vec<(ConnId, String)>,
    /// Orders rejected so far: their ids.
    rejected: u64,
    paces: BTreeMap<(AccountId, Pace), Bucket>,
    public_pace: Bucket,
    requests: Bucket,
    messages: Window,
    rate_factor: u32,
    status_due: u64,
    next_check: u64,
}

fn grain(_symbol: &Symbol, cents: i64) -> Grain {
    // Both decimals together are at most the engine's twelve.
    let (price_decimals, qty_decimals) = match cents {
        1_000.. => (2, 8),
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

impl Coinbase {
    /// A venue at `now` (Unix nanoseconds).
    pub fn new(config: &SimConfig, now: u64) -> Self {
        let [maker_ppm, taker_ppm] = FEES_PPM;
        let fees = Fees {
            maker_ppm,
            taker_ppm,
            decimals: 12,
            in_quote: true,
        };
        let core = config.core("coinbase", now, fees, grain, 9, FIRST);
        let products: Vec<String> = (0..core.engine.instruments())
            .map(|inst| core.engine.spec(inst))
            .map(|spec| format!("{}-{}", spec.base, spec.quote))
            .collect();
        let feeds = products.iter().enumerate();
        let feeds = feeds.map(|(inst, name)| Feed::new(&core.engine, inst, name, now));
        let factor = config.rate_factor.max(1);
        let bucket = |(_, rate, burst): Pace| Bucket::new(rate, burst, factor);
        Self {
            feeds: feeds.collect(),
            prints: vec![VecDeque::new(); products.len()],
            products,
            core,
            conns: BTreeMap::new(),
            private: Vec::new(),
            rejected: 0,
            paces: BTreeMap::new(),
            public_pace: bucket(PUBLIC),
            requests: bucket(REQUESTS),
            messages: Window::new(MESSAGES_PER_S.saturating_mul(factor), SECOND_NS),
            rate_factor: factor,
            status_due: now + STATUS_NS,
            next_check: now,
        }
    }

    fn inst_of(&self, product: &str) -> Option<usize> {
        self.products.iter().position(|known| known == product)
    }

    /// The product an order is in.
    fn product(&self, order: &Order) -> &str {
        self.products.get(order.ask.inst).map_or("", String::as_str)
    }

    /// Counts a signed request. Errors: 429.
    fn pace(&mut self, account: AccountId, pace: Pace) -> Result<(), Refused> {
        let (_, rate, burst) = pace;
        let fresh = || Bucket::new(rate, burst, self.rate_factor);
        let bucket = self.paces.entry((account, pace)).or_insert_with(fresh);
        if self.core.faults.take(Kind::RateLimit).is_none() && bucket.take(self.core.now) {
            Ok(())
        } else {
            Err(Refused::too_fast())
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
        for (inst, feed) in self.feeds.iter_mut().enumerate() {
            for own in feed.on_events(&mut self.core, &events, &listeners) {
                let faults = &mut self.core.faults;
                let is_twice = own.is_fill && faults.take(Kind::DuplicateFill).is_some();
                for conn in ws::own_listeners(conns, own.account, Channel::User, inst) {
                    if is_twice {
                        self.private.push((conn, own.text.clone()));
                    }
                    self.private.push((conn, own.text.clone()));
                }
            }
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
                Event::Order(order, _) => self.tell_balances(order),
                Event::Level { .. } => {}
            }
        }
    }

    /// Queues the balances an order touched for the account's subscriptions.
    fn tell_balances(&mut self, order: &Order) {
        let (account, spec) = (order.ask.account, self.core.engine.spec(order.ask.inst));
        for asset in [spec.base_asset, spec.quote_asset] {
            for conn in ws::own_listeners(&self.conns, account, Channel::Balance, asset) {
                let text = ws::balance_text(&self.core, account, asset);
                self.private.extend(text.map(|text| (conn, text)));
            }
        }
    }

    fn send_private(&mut self) {
        for (conn, text) in std::mem::take(&mut self.private) {
            self.core.send_private(conn, text);
        }
    }

    /// The message of the `status` channel.
    fn status(&self) -> String {
        json!({
            "type": "status", "currencies": reply::currencies(&self.core),
            "products": self.rules(),
        })
        .to_string()
    }

    fn push_status(&mut self) {
        if self.core.now < self.status_due {
            return;
        }
        self.status_due = self.core.now + STATUS_NS;
        let conns = ws::status_listeners(&self.conns);
        if !conns.is_empty() {
            let text = self.status();
            self.core.publish(&conns, text);
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
                for feed in &mut self.feeds {
                    feed.reset_sequence();
                }
            }
            Kind::ClockSkew => self.core.skew_ms = fault.ms,
            _ => {}
        }
    }

    /// Every limit, for the admin endpoint.
    fn limits(&self) -> Vec<Value> {
        let mut limits = vec![
            self.public_pace.json(PUBLIC.0),
            self.requests.json(REQUESTS.0),
            self.messages.json("WebSocket messages"),
        ];
        let paces = self.paces.iter();
        limits.extend(paces.map(|((account, (what, ..)), bucket)| {
            bucket.json(&format!("{what} of account {account}"))
        }));
        limits
    }

    fn drop_conn(&mut self, conn: ConnId, code: Option<u16>) {
        self.conns.remove(&conn);
        self.core.close(conn, code);
    }

    /// Connections that never subscribed, and restarts; looked at ten times a second.
    fn check_conns(&mut self) {
        let now = self.core.now;
        if now < self.next_check {
            return;
        }
        self.next_check = now + SECOND_NS / 10;
        let over = self.conns.iter().filter(|(_, conn)| conn.is_over(now));
        let over: Vec<ConnId> = over.map(|(id, _)| *id).collect();
        for id in over {
            self.drop_conn(id, Some(1001));
        }
    }
}

impl Face for Coinbase {
    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, now: u64) {
        let faults = self.core.advance(now);
        self.absorb();
        self.send_private();
        let conns = &self.conns;
        let listeners = |channel: Channel, inst: usize| ws::listeners(conns, channel, inst);
        for feed in &mut self.feeds {
            feed.step(&mut self.core, &listeners);
        }
        self.push_status();
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
            .min(self.status_due)
            .min(self.next_check)
    }

    fn http(&mut self, request_id: RequestId, request: &Request) {
        self.on_rest(request_id, request);
    }

    fn paths(&self) -> fn(&str) -> bool {
        |path| matches!(path, "/" | "")
    }

    fn open(&mut self, conn: ConnId, _path: &str, _query: &str) {
        // Subscribing to the user channel makes it private.
        self.core.opened(conn, Link::Public);
        self.conns.insert(conn, Conn::new(self.core.now));
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
        self.products.get(inst).cloned().unwrap_or_default()
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
        ask.echo = Arc::from("cn");
    }

    fn stats(&self) -> Value {
        let insts = 0..self.products.len();
        let trades: u64 = insts
            .clone()
            .map(|inst| self.core.engine.day(inst).count)
            .sum();
        let bids: Vec<Option<i64>> = insts.map(|inst| self.best(inst, Side::Buy)).collect();
        json!({
            "connections": self.conns.len(), "trades": trades, "best_bids": bids,
            "limits": self.limits(),
        })
    }
}
