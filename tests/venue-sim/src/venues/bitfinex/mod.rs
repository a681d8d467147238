//! Bitfinex API v2, spot ("exchange" orders): REST and one kind of WebSocket.
//!
//! ```text
//!  /v2/…            REST       public by GET; signed POST, a nonce that rises ─▶ operate / query
//!  /ws/2            conf, channels; auth ─▶ channel 0: orders, executions, wallets; order operations
//! ```
//! - No connection is cut for silence or age. `hb` comes on each channel that was quiet for 15 s.
//! - `restart` says 20051 and closes after `for`. With `code=20060` it is maintenance instead: 20060, no frames and no
//!   orders, then 20061; connections stay.
//! - A socket that logged in with `dms` 4 takes all open orders of the account with it, however it ends.
//! - `timeout`: the venue has no word for an open outcome. On the socket there is no answer, over REST a 504.
//! - `seq-reset`: the numbers of every connection begin anew. `snapshot-old` and `snapshot-new` are about the REST
//!   book, which our own connector never asks for: books are pushed whole.
//! - Without meaning here: `token-expiry` (a login lasts as long as its socket), `ban`. `clock-skew` moves the times in
//!   messages; none is checked.
//! - Prices that are too fine are cut to five digits, amounts to eight decimals: neither is refused. So a dust order
//!   is one below the smallest size.
//! - An order that ends or trades at once has no `on` of its own, every other time: the venue does both.

mod auth;
mod book;
mod conn;
mod ops;
mod reply;
mod rest;
mod streams;
#[cfg(test)]
mod tests;
mod ws;

use crate::config::{Grain, SimConfig, Symbol};
use crate::core::{ConnId, Core, Request, RequestId, Response};
use crate::engine::{AccountId, Event, Fees, FirstIds, Order, Side, What};
use crate::fault::{Fault, Kind, Link};
use crate::venues::Face;
use crate::window::Window;
use conn::Conn;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use streams::Feed;

/// New orders of an account in five minutes [U].
const ORDERS_MAX: u32 = 1_000;
const FIVE_MINUTES_NS: u64 = 300_000_000_000;
/// Connections in a minute.
const CONNECTS_MAX: u32 = 20;
/// Logins in a quarter of a minute: the limit of the host that takes them.
const LOGINS_MAX: u32 = 5;
const QUARTER_NS: u64 = 15_000_000_000;
/// How often connections are looked at.
const CHECK_NS: u64 = 100_000_000;
/// The code of a restart, and those of maintenance.
const STOPPING: i64 = 20_051;
const MAINTENANCE: i64 = 20_060;
const MAINTENANCE_ENDED: i64 = 20_061;

/// Where its numbers start.
const FIRST: FirstIds = FirstIds {
    order: 185_815_098_000,
    trade: 401_597_390,
    update: 1_000,
};

/// The simulated venue.
pub struct Bitfinex {
    core: Core,
    /// Symbols by instrument: `tBTCUST`.
    names: Vec<String>,
    conns: BTreeMap<ConnId, Conn>,
    feeds: Vec<Feed>,
    /// Events of channel 0 that wait for whoever answers: `"on",[…]`.
    private: Vec<(ConnId, String)>,
    /// Executions to be confirmed with their fee: when, whose, of which instrument.
    confirmations: VecDeque<(u64, AccountId, usize, String)>,
    nonces: BTreeMap<String, u64>,
    orders: BTreeMap<AccountId, Window>,
    rest_paces: BTreeMap<&'static str, rest::Pace>,
    connects: Window,
    logins: Window,
    rate_factor: u32,
    /// The end of maintenance, while there is one.
    paused_until: Option<u64>,
    next_check: u64,
}

/// A tick is that of prices a tenth above the start, so that others' prices have five digits wherever they wander.
/// The price has a decimal more: below the next power of ten steps are finer.
fn grain(symbol: &Symbol, cents: i64) -> Grain {
    let mut price_decimals = 0;
    while price_decimals < 6 && cents.saturating_mul(10i64.pow(price_decimals)) < 10_000_000 {
        price_decimals += 1;
    }
    let scale = 10i64.pow(price_decimals);
    let start = cents.saturating_mul(scale).saturating_mul(11) / 1_000;
    let qty_min = match (symbol.base.as_str(), cents) {
        ("BTC", _) => 6_000,
        (_, 100_000..) => 100_000,
        (_, 1_000..) => 2_000_000,
        _ => 200_000_000,
    };
    // A product of price and quantity has 12 decimals: cheap coins have fewer of theirs.
    let price_decimals = price_decimals as u8;
    let qty_decimals = reply::AMOUNT_DECIMALS.min(12 - price_decimals);
    let coarser = 10i64.pow(u32::from(reply::AMOUNT_DECIMALS - qty_decimals));
    Grain {
        price_decimals,
        qty_decimals,
        tick: reply::step_at(start, 5),
        qty_min: qty_min / coarser,
        is_contract: false,
    }
}

impl Bitfinex {
    /// A venue at `now` (Unix nanoseconds).
    pub fn new(config: &SimConfig, now: u64) -> Self {
        let fees = Fees {
            maker_ppm: 1_000,
            taker_ppm: 2_000,
            decimals: 8,
            in_quote: false,
        };
        let core = config.core("bitfinex", now, fees, grain, 8, FIRST);
        let engine = &core.engine;
        let names: Vec<String> = (0..engine.instruments())
            .map(|inst| {
                let spec = engine.spec(inst);
                format!("t{}", reply::pair(&spec.base, &spec.quote))
            })
            .collect();
        let factor = config.rate_factor.max(1);
        Self {
            feeds: names.iter().map(|_| Feed::new(now)).collect(),
            names,
            core,
            conns: BTreeMap::new(),
            private: Vec::new(),
            confirmations: VecDeque::new(),
            nonces: BTreeMap::new(),
            orders: BTreeMap::new(),
            rest_paces: BTreeMap::new(),
            connects: Window::new(CONNECTS_MAX.saturating_mul(factor), rest::MINUTE_NS),
            logins: Window::new(LOGINS_MAX.saturating_mul(factor), QUARTER_NS),
            rate_factor: factor,
            paused_until: None,
            next_check: now,
        }
    }

    fn inst_of(&self, symbol: &str) -> Option<usize> {
        self.names.iter().position(|known| known == symbol)
    }

    fn name(&self, inst: usize) -> &str {
        self.names.get(inst).map_or("", String::as_str)
    }

    fn order_row(&self, order: &Order) -> Value {
        reply::order_row(&self.core, self.name(order.ask.inst), order)
    }

    /// Whether the venue is in maintenance.
    fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }

    /// Counts a new order. Whether it fits.
    fn new_orders(&mut self, account: AccountId) -> bool {
        let limit = ORDERS_MAX.saturating_mul(self.rate_factor);
        let window = self.orders.entry(account);
        window
            .or_insert_with(|| Window::new(limit, FIVE_MINUTES_NS))
            .take(self.core.now, 1)
    }

    /// Publishes what the engine did; events of channel 0 are kept for whoever answers.
    fn absorb(&mut self) {
        let events = self.core.drain_events();
        if events.is_empty() {
            return;
        }
        self.on_events(&events);
        let orders: Vec<(&Order, What)> = events
            .iter()
            .filter_map(|event| match event {
                Event::Order(order, what) => Some((&**order, *what)),
                Event::Level { .. } | Event::Trade(_) => None,
            })
            .collect();
        let mut wallets = BTreeSet::new();
        // Orders whose `on` is left out: they trade or end with their acceptance.
        let mut unsaid = BTreeSet::new();
        for (at, (order, what)) in orders.iter().enumerate() {
            let mut rest = orders.iter().skip(at + 1);
            let is_last = rest.all(|(later, _)| later.id != order.id);
            if *what == What::New && !is_last && order.id % 2 == 1 {
                unsaid.insert(order.id);
                continue;
            }
            let is_open = order.state.is_open();
            let word = match (is_open, *what, unsaid.contains(&order.id)) {
                (false, ..) => Some("oc"),
                (true, What::New, _) => Some("on"),
                (true, _, false) => Some("ou"),
                (true, _, true) => is_last.then_some("on"),
            };
            self.tell(order, *what, word);
            let spec = self.core.engine.spec(order.ask.inst);
            wallets.insert((order.ask.account, spec.base_asset));
            wallets.insert((order.ask.account, spec.quote_asset));
        }
        self.tell_wallets(&wallets);
    }

    /// Queues the events of one change of an order: its execution, then its state by `word`.
    fn tell(&mut self, order: &Order, what: What, word: Option<&str>) {
        let (account, inst) = (order.ask.account, order.ask.inst);
        let mut bodies = Vec::new();
        if let What::Fill(fill) = what {
            let times = if self.core.faults.take(Kind::DuplicateFill).is_some() {
                2
            } else {
                1
            };
            let row = |has_fee| reply::fill_row(&self.core, self.name(inst), order, fill, has_fee);
            let (executed, confirmed) = (row(false), row(true));
            let due = self.core.now + streams::CONFIRM_NS;
            for _ in 0..times {
                bodies.push(format!("\"te\",{executed}"));
                let body = format!("\"tu\",{confirmed}");
                self.confirmations.push_back((due, account, inst, body));
            }
        }
        if let Some(word) = word {
            bodies.push(format!("\"{word}\",{}", self.order_row(order)));
        }
        for body in bodies {
            self.queue(account, "trading", inst, &body);
        }
    }

    /// Queues an event for the logins that want it.
    fn queue(&mut self, account: AccountId, topic: &str, inst: usize, body: &str) {
        let symbol = self.names.get(inst).map_or("", String::as_str);
        for conn in conn::sessions(&self.conns, account, topic, symbol) {
            self.private.push((conn, body.to_owned()));
        }
    }

    /// Queues the wallets that changed; what is available is for those who ask. That `wu` comes with every change
    /// of an order, and not only with executions, is [U].
    fn tell_wallets(&mut self, changed: &BTreeSet<(AccountId, usize)>) {
        let assets = reply::assets(&self.core);
        for (account, asset) in changed {
            let Some((name, _)) = assets.iter().find(|(_, known)| known == asset) else {
                continue;
            };
            let row = reply::wallet_row(&self.core, *account, name, *asset, false);
            self.queue(*account, "wallet", usize::MAX, &format!("\"wu\",{row}"));
        }
    }

    /// Queues the confirmations that fell due.
    fn confirm(&mut self) {
        while let Some((due, ..)) = self.confirmations.front() {
            if *due > self.core.now {
                return;
            }
            if let Some((_, account, inst, body)) = self.confirmations.pop_front() {
                self.queue(account, "trading", inst, &body);
            }
        }
    }

    fn send_private(&mut self) {
        for (conn, text) in self.take_private() {
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
            Kind::Restart if fault.code == Some(MAINTENANCE) => self.pause(fault),
            Kind::Restart => {
                let text = ws::info(STOPPING, "Stopping. Please try to reconnect");
                for conn in self.core.struck(fault) {
                    self.core.send(conn, text.clone());
                    if let Some(conn) = self.conns.get_mut(&conn) {
                        conn.close_at(self.core.now + fault.for_ns);
                    }
                }
            }
            Kind::SeqReset => self.conns.values_mut().for_each(Conn::reset_sequence),
            Kind::ClockSkew => self.core.skew_ms = fault.ms,
            _ => {}
        }
    }

    /// Begins maintenance: nobody trades, nothing is said.
    fn pause(&mut self, fault: &Fault) {
        let text = "Entering in Maintenance mode. Please pause any activity";
        self.inform(MAINTENANCE, text);
        let now = self.core.now;
        self.paused_until = Some(now + fault.for_ns);
        let calm = Fault {
            kind: Kind::Calm,
            at_ns: 0,
            every_ns: None,
            ..fault.clone()
        };
        self.core.faults.add(now, calm);
    }

    fn resume(&mut self) {
        if self
            .paused_until
            .is_some_and(|until| self.core.now >= until)
        {
            self.paused_until = None;
            self.inform(MAINTENANCE_ENDED, "Maintenance ended. Please resubscribe");
        }
    }

    fn inform(&mut self, code: i64, text: &str) {
        let text = ws::info(code, text);
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in conns {
            self.core.send(conn, text.clone());
        }
    }

    fn drop_conn(&mut self, conn: ConnId, code: Option<u16>) {
        self.core.close(conn, code);
        self.gone(conn);
    }

    /// A connection has ended, and the orders it guarded with it.
    fn gone(&mut self, conn: ConnId) {
        let guarded = self.conns.remove(&conn).and_then(|conn| conn.guarded());
        if let Some(account) = guarded {
            self.dead_man(account);
            self.send_private();
        }
    }

    /// Heartbeats and announced restarts; looked at ten times a second.
    fn check_conns(&mut self) {
        let now = self.core.now;
        if now < self.next_check {
            return;
        }
        self.next_check = now + CHECK_NS;
        let conns = self.conns.iter();
        let over: Vec<ConnId> = conns
            .filter(|(_, conn)| conn.is_over(now))
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.drop_conn(id, Some(1001));
        }
        if !self.is_paused() {
            self.beat();
        }
    }

    /// Every window, for the admin endpoint.
    fn limits(&self) -> Vec<Value> {
        let rest = self.rest_paces.iter();
        let rest = rest.map(|(name, pace)| pace.window.json(&format!("REST {name}")));
        let orders = self.orders.iter();
        let orders =
            orders.map(|(account, window)| window.json(&format!("orders of account {account}")));
        let others = [
            self.connects.json("connections"),
            self.logins.json("logins"),
        ];
        rest.chain(orders).chain(others).collect()
    }
}

impl Face for Bitfinex {
    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, now: u64) {
        let faults = self.core.advance(now);
        self.absorb();
        self.confirm();
        self.send_private();
        self.resume();
        self.publish_due();
        for fault in faults {
            self.on_fault(&fault);
        }
        self.check_conns();
    }

    fn next_deadline(&self) -> u64 {
        let confirmed = self.confirmations.front();
        let confirmed = confirmed.map_or(u64::MAX, |(due, ..)| *due);
        let feeds = self.feeds.iter().map(Feed::next_deadline).min();
        // In maintenance books wait.
        let published = match self.paused_until {
            Some(until) => until,
            None => feeds.unwrap_or(u64::MAX),
        };
        self.core
            .next_deadline()
            .min(confirmed)
            .min(published)
            .min(self.next_check)
    }

    fn http(&mut self, request_id: RequestId, request: &Request) {
        self.on_rest(request_id, request);
    }

    fn refuses_upgrade(&mut self, _request: &Request) -> Option<Response> {
        let fits = self.connects.take(self.core.now, 1);
        (!fits).then(|| Response::json(429, json!({"error": "ERR_RATE_LIMIT"})))
    }

    fn paths(&self) -> fn(&str) -> bool {
        |path| path == "/ws/2"
    }

    fn open(&mut self, conn: ConnId, _path: &str, _query: &str) {
        // Whether it is private shows when it logs in.
        self.core.opened(conn, Link::Public);
        let fresh = Conn::new(self.core.now, self.rate_factor);
        self.conns.insert(conn, fresh);
        self.greet(conn);
    }

    fn text(&mut self, conn: ConnId, text: &str) {
        self.on_text(conn, text);
    }

    fn pong(&mut self, _conn: ConnId) {}

    fn closed(&mut self, conn: ConnId) {
        self.core.closed(conn);
        self.gone(conn);
    }

    fn symbol(&self, inst: usize) -> String {
        self.name(inst).to_owned()
    }

    fn stats(&self) -> Value {
        let engine = &self.core.engine;
        let insts = 0..self.names.len();
        let trades: u64 = insts.clone().map(|inst| engine.day(inst).count).sum();
        let best = |inst| engine.book(inst).best(Side::Buy).map(|(price, _)| price);
        let bids: Vec<Option<i64>> = insts.map(best).collect();
        let guarded = self.conns.values().filter_map(Conn::guarded).count();
        json!({
            "connections": self.conns.len(), "trades": trades, "best_bids": bids,
            "dead_man_armed": guarded, "limits": self.limits(),
        })
    }
}
