//! The Unified WebSocket: connections, pings, subscriptions. Orders are in [`super::entry`].
//!
//! ```text
//!  /v2/public    status ─▶ subscribe ─▶ an answer a symbol, its snapshot, updates; heartbeat every second
//!  /v2/private   status ─▶ subscribe with a token ─▶ executions, balances, each numbered from 1; order requests
//! ```

use super::entry::{Asked, word};
use super::reply::{Refused, Row, Why, list, price, qty};
use super::streams::{Channel, DEPTHS, push};
use super::{KrakenFutures, account, venue_ns};
use crate::core::ConnId;
use crate::engine::AccountId;
use crate::window::Window;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Messages of a connection in a second. [U: the venue's limit is dynamic and not documented; this is legacy's]
const MESSAGES_PER_S: u32 = 100;
/// A connection without a subscription (legacy: any) that says nothing for so long is closed.
const IDLE_NS: u64 = 60_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// Which door a connection came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// `/v2/public`.
    Public,
    /// `/v2/private`.
    Private,
    /// `/ws/v1`.
    Legacy,
}

/// A numbered private channel of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    /// Whose.
    pub account: AccountId,
    /// The number of its last message.
    pub sequence: u64,
    /// Every state, or only the ends.
    pub is_full: bool,
}

impl Stream {
    /// The next message's number.
    pub fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Whether a report of this type is told.
    pub fn wants(&self, kind: &str) -> bool {
        self.is_full || matches!(kind, "new" | "filled" | "canceled" | "expired")
    }
}

/// One connection.
#[derive(Debug)]
pub struct Conn {
    /// Its door.
    pub door: Door,
    /// Public channels, by instrument where they have one.
    pub subs: BTreeSet<(Channel, usize)>,
    /// Unified: the token that was used here.
    token: Option<(String, AccountId)>,
    /// Unified: orders and fills.
    pub executions: Option<Stream>,
    /// Unified: balances.
    pub balances: Option<Stream>,
    /// Legacy: what was given to be signed.
    pub challenge: Option<String>,
    /// Legacy: private feeds.
    pub feeds: BTreeSet<(&'static str, AccountId)>,
    received_ns: u64,
    close_ns: Option<u64>,
    beat_ns: u64,
    messages: Window,
}

impl Conn {
    /// A fresh connection.
    pub fn new(door: Door, now: u64, factor: u32) -> Self {
        Self {
            door,
            subs: BTreeSet::new(),
            token: None,
            executions: None,
            balances: None,
            challenge: None,
            feeds: BTreeSet::new(),
            received_ns: now,
            close_ns: None,
            beat_ns: now,
            messages: Window::new(MESSAGES_PER_S.saturating_mul(factor.max(1)), SECOND_NS),
        }
    }

    /// Closes it at a time.
    pub fn close_at(&mut self, at: u64) {
        self.close_ns = Some(at);
    }

    /// Something came; whether it was one message too many.
    pub fn heard(&mut self, now: u64) -> bool {
        self.received_ns = now;
        !self.messages.take(now, 1)
    }

    fn is_subscribed(&self) -> bool {
        !self.subs.is_empty() || self.executions.is_some() || self.balances.is_some()
    }

    /// Whether it has to go: silent for too long, or a restart is due.
    pub fn is_over(&self, now: u64) -> bool {
        let may_idle = self.door != Door::Legacy && self.is_subscribed();
        (!may_idle && now.saturating_sub(self.received_ns) >= IDLE_NS)
            || self.close_ns.is_some_and(|at| now >= at)
    }

    /// Whether a heartbeat is due; it counts as sent.
    pub fn beats(&mut self, now: u64) -> bool {
        let wants = match self.door {
            Door::Legacy => self.subs.contains(&(Channel::LegacyHeartbeat, 0)),
            Door::Public | Door::Private => self.is_subscribed(),
        };
        let is_due = wants && now.saturating_sub(self.beat_ns) >= SECOND_NS;
        if is_due {
            self.beat_ns = now;
        }
        is_due
    }

    /// The token used here is worth nothing any more.
    pub fn forget_token(&mut self) {
        self.token = None;
    }
}

/// Subscribers of a public channel.
pub fn listeners(conns: &BTreeMap<ConnId, Conn>, channel: Channel, inst: usize) -> Vec<ConnId> {
    let found = conns
        .iter()
        .filter(|(_, conn)| conn.subs.contains(&(channel, inst)));
    found.map(|(id, _)| *id).collect()
}

/// The message that says how the venue is: on connecting, and before a restart.
pub fn status(conn: ConnId, system: &str) -> String {
    let data = Row::new()
        .text("version", "2.0.10")
        .text("system", system)
        .text("api_version", "v2")
        .raw(
            "connection_id",
            13_834_774_380_200_032_768 + (conn & 0xffff),
        );
    push("status", "update", &[data.end()])
}

impl KrakenFutures {
    /// A text frame of a Unified connection.
    pub(super) fn on_unified(&mut self, id: ConnId, text: &str) {
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            let row = Row::new()
                .text("error", "Malformed request")
                .raw("success", false);
            self.core.send(id, row.end());
            return;
        };
        let asked = Asked::new(&message, venue_ns(&self.core));
        let params = message.get("params").unwrap_or(&Value::Null);
        match asked.method() {
            "ping" => {
                let row = asked.number(Row::new().text("method", "pong"));
                let text = asked.times(&self.core, row).end();
                self.core.send(id, text);
            }
            "subscribe" => self.subscription(id, &asked, params, true),
            "unsubscribe" => self.subscription(id, &asked, params, false),
            _ if self.order_request(id, &asked, params) => {}
            _ => {
                let refused = Refused::of(Why::Argument, "method");
                let text = asked.done(&self.core, Err(refused));
                self.core.send(id, text);
            }
        }
    }

    /// Whose a private request is. Errors: the wrong door, a token that is none (any more).
    pub(super) fn session(&mut self, id: ConnId, params: &Value) -> Result<AccountId, Refused> {
        let token = word(params, "token").ok_or(Why::Session)?;
        let fresh = self.tokens.account(token, self.core.now);
        let conn = self.conns.get_mut(&id).ok_or(Why::Session)?;
        if conn.door != Door::Private {
            return Err(Why::Permission.into());
        }
        match (&conn.token, fresh) {
            (Some((used, account)), _) if used == token => Ok(*account),
            (_, Some(account)) => {
                conn.token = Some((token.to_owned(), account));
                Ok(account)
            }
            _ => Err(Why::Session.into()),
        }
    }

    fn subscription(&mut self, id: ConnId, asked: &Asked, params: &Value, is_in: bool) {
        let name = word(params, "channel").unwrap_or("");
        let is_market = word(params, "asset_class") == Some("derivatives");
        let result = match name {
            "executions" | "balances" => self.private(id, asked, params, name, is_in),
            _ if !is_market => Err(Refused::of(Why::Argument, "asset_class")),
            "instrument" => self.instrument(id, asked, params, is_in),
            "book" | "trade" | "ticker" => return self.market(id, asked, params, name, is_in),
            _ => Err(Refused::of(Why::Argument, "channel")),
        };
        if let Err(refused) = result {
            self.refuse_subscription(id, asked, &refused.unified(), None);
        }
    }

    fn refuse_subscription(
        &mut self,
        id: ConnId,
        asked: &Asked,
        error: &str,
        symbol: Option<&str>,
    ) {
        let row = Row::new()
            .text("error", error)
            .text("method", asked.method());
        let row = row
            .raw("success", false)
            .text_if("symbol", symbol.unwrap_or(""));
        let row = asked.number(asked.times(&self.core, row));
        self.core.send(id, row.end());
    }

    fn confirm(&mut self, id: ConnId, asked: &Asked, result: Row) {
        let row = Row::new().text("method", asked.method());
        let row = row.raw("result", result.end()).raw("success", true);
        let row = asked.number(asked.times(&self.core, row));
        self.core.send(id, row.end());
    }

    /// Public channels: one answer a symbol.
    fn market(&mut self, id: ConnId, asked: &Asked, params: &Value, name: &str, is_in: bool) {
        let depth = params.get("depth").map_or(Some(10), Value::as_u64);
        let depth = depth
            .and_then(|depth| usize::try_from(depth).ok())
            .unwrap_or(0);
        let is_bbo = word(params, "event_trigger") == Some("bbo");
        let (channel, has_snapshot) = match name {
            "book" => (Channel::Book(depth), true),
            "trade" => (Channel::Trade, false),
            _ => (Channel::Ticker(is_bbo), true),
        };
        let has_snapshot = params
            .get("snapshot")
            .map_or(Some(has_snapshot), Value::as_bool);
        let has_snapshot = has_snapshot.unwrap_or(false);
        let symbols = params.get("symbol").and_then(Value::as_array);
        let Some(symbols) = symbols.filter(|symbols| !symbols.is_empty()) else {
            return self.refuse_subscription(id, asked, "EGeneral:Invalid arguments:symbol", None);
        };
        for symbol in symbols {
            let symbol = symbol.as_str().unwrap_or("");
            let Some(inst) = self.inst_of(symbol) else {
                let error = Refused::of(Why::Symbol, symbol).unified();
                self.refuse_subscription(id, asked, &error, Some(symbol));
                continue;
            };
            let Some(conn) = self.conns.get_mut(&id) else {
                return;
            };
            let error = match (&channel, is_in) {
                _ if conn.door != Door::Public => Some("EGeneral:Permission denied"),
                (Channel::Book(depth), _) if !DEPTHS.contains(depth) => {
                    Some("Subscription depth not supported")
                }
                (_, true) if !conn.subs.insert((channel, inst)) => Some("Already subscribed"),
                (Channel::Ticker(_), false) => {
                    // It is left whatever its trigger.
                    let triggers = [true, false]
                        .map(|is_bbo| conn.subs.remove(&(Channel::Ticker(is_bbo), inst)));
                    (!triggers.contains(&true)).then_some("Subscription not found")
                }
                (_, false) if !conn.subs.remove(&(channel, inst)) => Some("Subscription not found"),
                _ => None,
            };
            if let Some(error) = error {
                self.refuse_subscription(id, asked, error, Some(symbol));
                continue;
            }
            let row = Row::new().text("channel", name).text("symbol", symbol);
            let row = match channel {
                Channel::Book(depth) => row.raw("depth", depth),
                Channel::Ticker(_) if is_in => {
                    row.text("event_trigger", if is_bbo { "bbo" } else { "trades" })
                }
                _ => row,
            };
            self.confirm(
                id,
                asked,
                row.raw_if("snapshot", is_in.then_some(has_snapshot)),
            );
            if is_in {
                // The view of a book starts here, told or not.
                let text = self
                    .feeds
                    .get_mut(inst)
                    .and_then(|feed| feed.snapshot(&self.core, channel));
                if let Some(text) = text.filter(|_| has_snapshot) {
                    self.core.send(id, text);
                }
            }
        }
    }

    fn instrument(
        &mut self,
        id: ConnId,
        asked: &Asked,
        params: &Value,
        is_in: bool,
    ) -> Result<(), Refused> {
        let conn = self.conns.get_mut(&id).ok_or(Why::Permission)?;
        if conn.door != Door::Public {
            return Err(Why::Permission.into());
        }
        let key = (Channel::Instrument, 0);
        let has_snapshot = params
            .get("snapshot")
            .and_then(Value::as_bool)
            .unwrap_or(true);
        let row = Row::new().text("channel", "instrument");
        if is_in {
            conn.subs.insert(key);
            self.confirm(id, asked, row.raw("snapshot", has_snapshot));
            if has_snapshot {
                let text = self.instruments();
                self.core.send(id, text);
            }
        } else {
            conn.subs.remove(&key);
            self.confirm(id, asked, row);
        }
        Ok(())
    }

    /// The instruments and their rules: the increment is the rule, the precision how numbers are printed.
    fn instruments(&self) -> String {
        let assets = account::assets(&self.core).into_iter().map(|(name, _)| {
            Row::new()
                .text("id", &name)
                .text("status", "enabled")
                .raw("precision", 10)
                .raw("precision_display", 5)
                .end()
        });
        let pairs = self.symbols.iter().enumerate().map(|(inst, symbol)| {
            let spec = self.core.engine.spec(inst);
            Row::new()
                .text("symbol", symbol)
                .text("base", &spec.base)
                .text("quote", &spec.quote)
                .text("status", "online")
                .raw("qty_precision", spec.qty_decimals)
                .raw("qty_increment", qty(spec, spec.lot))
                .raw("qty_min", qty(spec, spec.qty_min))
                .raw("price_precision", spec.price_decimals)
                .raw("price_increment", price(spec, spec.tick))
                .raw("marginable", true)
                .raw("has_index", true)
                .end()
        });
        let data = Row::new()
            .raw("assets", list(&assets.collect::<Vec<_>>()))
            .raw("pairs", list(&pairs.collect::<Vec<_>>()));
        let row = Row::new()
            .text("channel", "instrument")
            .text("type", "snapshot");
        row.raw("data", data.end()).end()
    }

    /// `executions` and `balances`.
    fn private(
        &mut self,
        id: ConnId,
        asked: &Asked,
        params: &Value,
        name: &str,
        is_in: bool,
    ) -> Result<(), Refused> {
        let account = self.session(id, params)?;
        let flag =
            |name: &str, usual: bool| params.get(name).and_then(Value::as_bool).unwrap_or(usual);
        let has = (flag("snap_orders", true), flag("snap_trades", false));
        let is_executions = name == "executions";
        let has_snapshot = flag("snapshot", true);
        let conn = self.conns.get_mut(&id).ok_or(Why::Session)?;
        let stream = if is_executions {
            &mut conn.executions
        } else {
            &mut conn.balances
        };
        if is_in == stream.is_some() {
            let error = if is_in {
                "Already subscribed"
            } else {
                "Subscription not found"
            };
            self.refuse_subscription(id, asked, error, None);
            return Ok(());
        }
        *stream = is_in.then(|| Stream {
            account,
            sequence: 0,
            is_full: flag("order_status", true),
        });
        let row = Row::new().text("channel", name);
        let row = match (is_in, is_executions) {
            (false, _) => row,
            (true, true) => row.raw("snap_orders", has.0).raw("snap_trades", has.1),
            (true, false) => row.raw("snapshot", has_snapshot),
        };
        self.confirm(id, asked, row);
        let is_wanted = if is_executions {
            has.0 || has.1
        } else {
            has_snapshot
        };
        if is_in && is_wanted {
            let rows = if is_executions {
                account::snapshot(&self.core, &self.symbols, account, has)
            } else {
                account::balances(&self.core, account)
            };
            if let Some(conn) = self.conns.get_mut(&id) {
                let stream = if is_executions {
                    &mut conn.executions
                } else {
                    &mut conn.balances
                };
                let sequence = stream.as_mut().map_or(1, Stream::next);
                let text = account::push(name, "snapshot", &rows, sequence);
                self.core.send_private(id, text);
            }
        }
        Ok(())
    }
}
