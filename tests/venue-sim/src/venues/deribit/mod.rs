//! Deribit, linear perpetuals: JSON-RPC over WebSocket and HTTP, the same methods over both.
//!
//! ```text
//!  /ws/api/v2         one socket for all: login, channels, orders; heartbeats on request
//!  /api/v2/METHOD     GET with a query, or POST with a JSON-RPC body
//!       │ credits ─▶ login ─▶ ops (orders) / query (questions) / ws (what needs a connection)
//! ```
//! `--multicast` sends the public part on two lines besides ([`cast`]), or single orders ([`starbase`]).
//!
//! A connection counts as private from its first private channel, order or cancel on disconnect on. The symbol
//! BTC-USDC is the contract BTC_USDC-PERPETUAL; there is no spot here.
//!
//! Faults without a meaning: `bad-checksum` (no checksums), `ban` (too many requests end the session instead). Books
//! are pushed, so `snapshot-old` and `snapshot-new` only concern `get_order_book`. `restart` tells `platform_state`
//! and refuses orders with 11051 until the end. The daily settlement's pause happens only as `reject:code=10041`.

mod account;
mod auth;
mod cast;
mod channels;
mod limits;
mod ops;
mod query;
mod reply;
mod rest;
mod starbase;
mod streams;
mod tape;
#[cfg(test)]
mod tests;
mod ws;

use crate::config::{Grain, MulticastFeed, SimConfig, Symbol};
use crate::core::{ConnId, Core, LINES, Request, RequestId, Response};
use crate::engine::{AccountId, Cause, Event, Fees, FirstIds, NewOrder, PostOnly, Side, Tif};
use crate::fault::{Fault, Kind, Link};
use crate::venues::{Charge, Face};
use auth::Logins;
use cast::Cast;
use limits::Limits;
use serde_json::{Value, json};
use starbase::Starbase;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use streams::Feed;
use tape::Tape;
use ws::Conn;

/// Connections of one address.
const CONNECTIONS_MAX: usize = 32;
/// Edited orders remembered as such; the oldest go first.
const EDITED_KEPT: usize = 100_000;

/// Where its numbers start.
const FIRST: FirstIds = FirstIds {
    order: 104_819_327_000,
    trade: 403_691_000,
    update: 0,
};
/// The first change id.
const FIRST_CHANGE: u64 = 123_456_000;

/// The simulated venue.
pub struct Deribit {
    core: Core,
    names: Vec<String>,
    conns: BTreeMap<ConnId, Conn>,
    feeds: Vec<Feed>,
    /// Multicast, where it is sent: of levels, or of single orders.
    cast: Option<Cast>,
    starbase: Option<Starbase>,
    tape: Tape,
    change_id: u64,
    logins: Logins,
    limits: Limits,
    /// Whether new connections of an account begin with cancel on disconnect.
    on_disconnect: BTreeMap<AccountId, bool>,
    edited: BTreeSet<u64>,
    /// Our trades since the last order request began: what its answer tells.
    traded: Vec<(u64, Value)>,
    private: Vec<(ConnId, String)>,
    batches: account::Batches,
    maintained_until: u64,
    connections_max: usize,
}

/// Ticks and lots of the venue's linear contracts [U].
fn grain(symbol: &Symbol, cents: i64) -> Grain {
    let (price_decimals, tick, qty_decimals) = match (symbol.base.as_str(), cents) {
        ("BTC", _) => (1, 5, 4),
        (_, 10_000..) => (2, 5, 3),
        _ => (4, 1, 1),
    };
    Grain {
        price_decimals,
        qty_decimals,
        tick,
        qty_min: 1,
        is_contract: true,
    }
}

impl Deribit {
    /// A venue at `now` (Unix nanoseconds).
    pub fn new(config: &SimConfig, now: u64) -> Self {
        let fees = Fees {
            maker_ppm: 0,
            taker_ppm: 500,
            decimals: 8,
            in_quote: true,
        };
        let mut core = config.core("deribit", now, fees, grain, 5, FIRST);
        core.engine.free_client_ids();
        let engine = &core.engine;
        let specs = || (0..engine.instruments()).map(|inst| engine.spec(inst));
        let names: Vec<String> = specs()
            .map(|spec| format!("{}_{}-PERPETUAL", spec.base, spec.quote))
            .collect();
        let tape = Tape::new(specs().map(|spec| spec.price_start));
        let mut feeds: Vec<Feed> = names
            .iter()
            .enumerate()
            .map(|(inst, name)| Feed::new(&core, inst, name, FIRST_CHANGE + inst as u64))
            .collect();
        let sends = |feed| config.multicast.is_some() && config.multicast_feed == feed;
        let cast = sends(MulticastFeed::Classic).then(|| {
            feeds.iter_mut().for_each(Feed::cast);
            Cast::new(&mut core)
        });
        let starbase = sends(MulticastFeed::Starbase).then(|| Starbase::new(&mut core, &names));
        Self {
            cast,
            starbase,
            change_id: FIRST_CHANGE + names.len() as u64,
            names,
            feeds,
            tape,
            core,
            conns: BTreeMap::new(),
            logins: Logins::default(),
            limits: Limits::new(config.rate_factor),
            on_disconnect: BTreeMap::new(),
            edited: BTreeSet::new(),
            traded: Vec::new(),
            private: Vec::new(),
            batches: account::Batches::default(),
            maintained_until: 0,
            connections_max: CONNECTIONS_MAX * config.rate_factor.max(1) as usize,
        }
    }

    fn inst_of(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Publishes what the engine did; private pushes are kept for whoever answers.
    fn absorb(&mut self) {
        let events = self.core.drain_events();
        if events.is_empty() {
            return;
        }
        let mut told = account::Told::default();
        for event in &events {
            match event {
                Event::Level {
                    inst,
                    side,
                    price,
                    order,
                    leaves,
                    ..
                } => {
                    if let Some(starbase) = &mut self.starbase {
                        let spec = self.core.engine.spec(*inst);
                        starbase.level(*inst, (*order, *side), *price, *leaves, spec);
                    }
                    self.change_id += 1;
                    if let Some(feed) = self.feeds.get_mut(*inst) {
                        feed.level(*side, *price, self.change_id);
                    }
                }
                Event::Trade(trade) => {
                    if let Some(starbase) = &mut self.starbase {
                        starbase.trade(trade, self.core.engine.spec(trade.inst));
                    }
                    let print = self.tape.print(trade);
                    if let (Some(print), Some(feed)) = (print, self.feeds.get_mut(trade.inst)) {
                        feed.trade(print);
                    }
                    told.cause(trade.taker_order, print);
                }
                Event::Order(order, what) => self.note(&mut told, order, *what),
            }
        }
        let conns = &self.conns;
        let listeners = |kind, pace, inst| ws::listeners(conns, kind, pace, inst);
        for feed in &mut self.feeds {
            feed.publish(&mut self.core, &listeners);
        }
        self.send_cast();
        self.tell(told);
    }

    /// Sends what the feeds have for the lines, and the round.
    fn send_cast(&mut self) {
        if let Some(starbase) = &mut self.starbase {
            starbase.send(&mut self.core);
            starbase.step(&mut self.core);
        }
        let Some(cast) = &mut self.cast else { return };
        for feed in &mut self.feeds {
            cast.send(&mut self.core, feed.take_cast());
        }
        cast.step(&mut self.core, &self.feeds);
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
                    if LINES.contains(&conn) {
                        self.core.cut_line(conn, self.core.now + fault.for_ns);
                    } else {
                        self.drop_conn(conn, None);
                    }
                }
            }
            Kind::Silence => self.core.silence(fault, self.core.now + fault.for_ns),
            Kind::Restart => self.restart(fault),
            Kind::SeqReset => self.change_id = 1_000,
            Kind::ClockSkew => self.core.skew_ms = fault.ms,
            // No stream tells of it.
            Kind::Funding => drop(self.core.fund(fault.ppm)),
            Kind::TokenExpiry => {
                self.logins.forget();
                for conn in self.conns.values_mut() {
                    conn.lapse(self.core.now);
                }
            }
            _ => {}
        }
    }

    /// Planned maintenance: announced, then every connection is closed.
    fn restart(&mut self, fault: &Fault) {
        let until = self.core.now + fault.for_ns;
        let news = json!({"maintenance": true}).to_string();
        let text = streams::message("platform_state", &news);
        let told = ws::listeners_of(&self.conns, channels::Kind::Platform);
        for conn in self.core.struck(fault) {
            if told.contains(&conn) {
                self.core.send(conn, text.clone());
            }
            if let Some(conn) = self.conns.get_mut(&conn) {
                conn.close_at(until);
            }
        }
        if fault.link.fits(Link::Private) {
            self.maintained_until = until;
        }
    }

    /// Ends a connection of ours.
    fn drop_conn(&mut self, id: ConnId, code: Option<u16>) {
        self.core.close(id, code);
        self.gone(id);
    }

    /// A connection is gone: its orders go with it where it asked for that.
    fn gone(&mut self, id: ConnId) {
        self.batches.forget(id);
        let Some(conn) = self.conns.remove(&id) else {
            return;
        };
        let now = self.core.now;
        for order in conn.to_cancel() {
            // Filled or cancelled in this very step: nothing is left to cancel.
            let _ = self.core.engine.cancel(now, *order, Cause::DeadMan);
        }
        self.absorb();
        self.send_private();
    }

    /// For the tests' laws.
    fn best(&self, inst: usize, side: Side) -> Option<i64> {
        let best = self.core.engine.book(inst).best(side);
        best.map(|(price, _)| price)
    }
}

impl Face for Deribit {
    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, now: u64) {
        let faults = self.core.advance(now);
        self.absorb();
        self.traded.clear(); // no request's
        let conns = &self.conns;
        let listeners = |kind, pace, inst| ws::listeners(conns, kind, pace, inst);
        for feed in &mut self.feeds {
            feed.step(&mut self.core, &listeners);
        }
        self.send_cast();
        let batched = self.batches.due(self.core.now);
        self.private.extend(batched);
        self.send_private();
        for fault in faults {
            self.on_fault(&fault);
        }
        self.check_conns();
    }

    fn next_deadline(&self) -> u64 {
        let now = self.core.now;
        let feeds = self.feeds.iter().map(|feed| feed.next_deadline(now)).min();
        let conns = self.conns.values().map(Conn::next_deadline).min();
        let round = self.cast.as_ref().map_or(u64::MAX, Cast::next_deadline);
        let orders = self.starbase.as_ref();
        let round = round.min(orders.map_or(u64::MAX, Starbase::next_deadline));
        self.core
            .next_deadline()
            .min(feeds.unwrap_or(u64::MAX))
            .min(conns.unwrap_or(u64::MAX))
            .min(self.batches.next_deadline())
            .min(round)
    }

    fn http(&mut self, request_id: RequestId, request: &Request) {
        self.on_rest(request_id, request);
    }

    fn refuses_upgrade(&mut self, _request: &Request) -> Option<Response> {
        (self.conns.len() >= self.connections_max)
            .then(|| Response::json(429, "{\"message\":\"too_many_connections\"}"))
    }

    fn paths(&self) -> fn(&str) -> bool {
        |path| path == "/ws/api/v2"
    }

    fn open(&mut self, conn: ConnId, _path: &str, _query: &str) {
        self.core.opened(conn, Link::Public);
        self.conns.insert(conn, Conn::default());
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
        self.names.get(inst).cloned().unwrap_or_default()
    }

    fn dress(&self, ask: &mut NewOrder) {
        let is_limit = ask.price.is_some();
        ask.type_name = if is_limit { "limit" } else { "market" };
        let is_post_only = ask.post_only != PostOnly::No;
        // Moved behind the spread when it would take, unless the client wants it refused.
        let rejects = ask.post_only == PostOnly::Refuse;
        if is_post_only && !rejects {
            let at = |price| self.behind_the_spread(ask.inst, ask.side, price);
            ask.price = ask.price.map(at);
            ask.post_only = PostOnly::Refuse;
        }
        let terms = reply::Terms {
            life: match ask.tif {
                Tif::Gtc => "good_til_cancelled",
                Tif::Ioc => "immediate_or_cancel",
                Tif::Fok => "fill_or_kill",
            },
            is_post_only,
            rejects,
            is_reduce_only: false,
        };
        ask.echo = Arc::from(terms.echo());
    }

    fn charge(&mut self, charge: Charge<'_>) -> bool {
        let account = match charge {
            Charge::New(ask) => ask.account,
            Charge::Cancel(order) | Charge::Amend(order) => order.ask.account,
            Charge::Refused(_) => return true,
        };
        let now = self.core.now;
        self.limits.take(now, Some(account), limits::Pool::Matching)
    }

    fn stats(&self) -> Value {
        let insts = || 0..self.names.len();
        let trades: u64 = insts().map(|inst| self.core.engine.day(inst).count).sum();
        let bids: Vec<Option<i64>> = insts().map(|inst| self.best(inst, Side::Buy)).collect();
        let armed = self.conns.values().filter(|conn| conn.is_armed()).count();
        json!({
            "connections": self.conns.len(), "trades": trades, "best_bids": bids,
            "dead_man_armed": armed, "limits": self.limits.json(),
        })
    }
}
