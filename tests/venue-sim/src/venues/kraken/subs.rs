//! Subscriptions: public channels by pair, `instrument`, and the private `executions` and `balances`.

use super::ops::Arg;
use super::reply::{self, Refused};
use super::streams::{Channel, DEPTHS};
use super::ws::Stream;
use super::{Kraken, level3, limits};
use crate::core::ConnId;
use serde_json::{Map, Value, json};

/// Executions of a snapshot.
const TRADES_SHOWN: usize = 50;
const ALREADY: &str = "Already subscribed";
const NOT_FOUND: &str = "Subscription Not Found";

impl Kraken {
    /// The public channel a request names. Errors: there is none.
    fn channel(params: &Value) -> Result<Channel, Refused> {
        let arg = Arg::message(params);
        Ok(match params.get("channel").and_then(Value::as_str) {
            Some("book") => {
                let depth = arg.number(("depth", ""))?;
                let depth = depth.map_or(Some(10), |digits| digits.parse().ok());
                let depth = depth.filter(|depth| DEPTHS.contains(depth));
                let words = "Subscription depth not supported";
                Channel::Book(depth.ok_or_else(|| Refused::new(words))?)
            }
            Some("level3") => {
                let depth = arg.number(("depth", ""))?;
                let depth = depth.map_or(Some(10), |digits| digits.parse().ok());
                let mut offered = level3::DEPTHS.iter().map(|(depth, _)| *depth);
                let depth = depth.filter(|depth| offered.any(|one| one == *depth));
                let words = "Subscription depth not supported";
                Channel::Level3(depth.ok_or_else(|| Refused::new(words))?)
            }
            Some("trade") => Channel::Trade,
            Some("ticker") => match arg.word(("event_trigger", ""))?.as_deref() {
                None | Some("trades") => Channel::Ticker(false),
                Some("bbo") => Channel::Ticker(true),
                Some(_) => return Err(Refused::argument("event_trigger")),
            },
            _ => return Err(Refused::new("Unsupported event")),
        })
    }

    /// `subscribe`: one answer for each symbol.
    pub(super) fn subscribe(&mut self, id: ConnId, message: &Value, params: &Value) {
        match params.get("channel").and_then(Value::as_str) {
            Some("executions") => return self.subscribe_executions(id, message, params),
            Some("balances") => return self.subscribe_balances(id, message, params),
            Some("instrument") => return self.subscribe_instruments(id, message, params),
            _ => {}
        }
        let channel = match Self::channel(params) {
            Ok(channel) => channel,
            Err(refused) => return self.respond(id, message, Err(refused)),
        };
        if let Channel::Level3(depth) = channel {
            let symbols = symbols(params).len() as u32;
            if let Err(refused) = self.admit(id, params, depth, symbols) {
                return self.respond(id, message, Err(refused));
            }
        }
        let wants = params.get("snapshot").and_then(Value::as_bool);
        let has_snapshot = wants.unwrap_or(channel != Channel::Trade);
        for name in symbols(params) {
            let Some(inst) = self.pairs.iter().position(|pair| pair.symbol == name) else {
                let words = format!("Currency pair not supported {name}");
                self.refuse_symbol(id, message, &words, name);
                continue;
            };
            let Some(conn) = self.conns.get_mut(&id) else {
                return;
            };
            if conn.subs.iter().any(|sub| is_same(*sub, channel, inst)) {
                self.refuse_symbol(id, message, ALREADY, name);
                continue;
            }
            let result = acknowledged(channel, Some(has_snapshot), name);
            self.respond(id, message, Ok(result));
            if has_snapshot {
                self.feeds[inst].subscribed(&mut self.core, channel, id);
            } else {
                self.feeds[inst].follow(&self.core.engine, channel);
            }
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.subs.push((channel, inst));
            }
        }
    }

    /// Whether a connection may have so many subscriptions of single orders: it needs a token, and they cost.
    fn admit(
        &mut self,
        id: ConnId,
        params: &Value,
        depth: usize,
        symbols: u32,
    ) -> Result<(), Refused> {
        self.lent(id, params)?;
        let offered = level3::DEPTHS.iter().find(|one| one.0 == depth);
        let cost = offered.map_or(0, |one| one.1) * symbols;
        let now = self.core.now;
        let conn = self.conns.get_mut(&id);
        if conn.is_some_and(|conn| !conn.spend(now, cost)) {
            return Err(Refused::new("Exceeded msg rate")); // [U] the venue's words for it
        }
        Ok(())
    }

    /// `unsubscribe`: the same.
    pub(super) fn unsubscribe(&mut self, id: ConnId, message: &Value, params: &Value) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let name = params.get("channel").and_then(Value::as_str).unwrap_or("");
        let was_there = match name {
            "executions" => Some(conn.executions.take().is_some()),
            "balances" => Some(conn.balances.take().is_some()),
            "instrument" => Some(std::mem::take(&mut conn.has_instruments)),
            _ => None,
        };
        if let Some(was_there) = was_there {
            let gone = Refused::new(NOT_FOUND);
            let result = was_there.then(|| json!({"channel": name})).ok_or(gone);
            return self.respond(id, message, result);
        }
        let channel = match Self::channel(params) {
            Ok(channel) => channel,
            Err(refused) => return self.respond(id, message, Err(refused)),
        };
        for name in symbols(params) {
            let inst = self.pairs.iter().position(|pair| pair.symbol == name);
            let found = self.conns.get_mut(&id).and_then(|conn| {
                let subs = &mut conn.subs;
                let inst = inst?;
                let at = subs.iter().position(|sub| is_same(*sub, channel, inst))?;
                Some(subs.remove(at))
            });
            match found {
                Some((channel, _)) => {
                    let result = acknowledged(channel, None, name);
                    self.respond(id, message, Ok(result));
                }
                None => self.refuse_symbol(id, message, NOT_FOUND, name),
            }
        }
    }

    fn subscribe_executions(&mut self, id: ConnId, message: &Value, params: &Value) {
        let account = match self.who(id, params) {
            Ok(account) => account,
            Err(refused) => return self.refuse_private(id, message, refused),
        };
        let flag = |name: &str, usual| params.get(name).and_then(Value::as_bool).unwrap_or(usual);
        let (orders, trades) = (flag("snap_orders", true), flag("snap_trades", false));
        let result = json!({
            "channel": "executions", "maxratecount": limits::ORDERS.0 * u64::from(self.rate_factor),
            "snap_orders": orders, "snap_trades": trades,
        });
        if self
            .conns
            .get(&id)
            .is_some_and(|conn| conn.executions.is_some())
        {
            return self.respond(id, message, Err(Refused::new(ALREADY)));
        }
        self.respond(id, message, Ok(result));
        let mut rows = Vec::new();
        if orders {
            for order in self.core.engine.open_orders(account) {
                let pair = &self.pairs[order.ask.inst];
                rows.push(reply::whole(&self.core, pair, order, "new"));
            }
        }
        if trades {
            let fills = self.core.record.fills(account).rev().take(TRADES_SHOWN);
            for (order, fill) in fills {
                let (pair, number) = (&self.pairs[order.ask.inst], self.trade_number(fill));
                rows.push(reply::trade(&self.core, pair, order, fill, number));
            }
        }
        let mut stream = Stream::new(account, flag("order_status", true));
        if orders || trades {
            let text = stream.message("executions", "snapshot", &json!(rows));
            self.core.send_private(id, text);
        }
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.executions = Some(stream);
        }
    }

    fn subscribe_balances(&mut self, id: ConnId, message: &Value, params: &Value) {
        let account = match self.who(id, params) {
            Ok(account) => account,
            Err(refused) => return self.refuse_private(id, message, refused),
        };
        if self
            .conns
            .get(&id)
            .is_some_and(|conn| conn.balances.is_some())
        {
            return self.respond(id, message, Err(Refused::new(ALREADY)));
        }
        let has_snapshot = params.get("snapshot").and_then(Value::as_bool);
        let has_snapshot = has_snapshot.unwrap_or(true);
        let result = json!({"channel": "balances", "snapshot": has_snapshot});
        self.respond(id, message, Ok(result));
        let mut stream = Stream::new(account, true);
        if has_snapshot {
            let rows = reply::balances(&self.core, &self.pairs, account);
            let rows: Vec<Value> = rows
                .iter()
                .map(|(name, _, total, _)| {
                    let total = reply::number(&reply::balance(*total));
                    json!({
                        "asset": name, "asset_class": "currency", "balance": total,
                        "wallets": [{"type": "spot", "id": "main", "balance": total}],
                    })
                })
                .collect();
            let text = stream.message("balances", "snapshot", &json!(rows));
            self.core.send_private(id, text);
        }
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.balances = Some(stream);
        }
    }

    fn refuse_private(&mut self, id: ConnId, message: &Value, refused: Refused) {
        self.note("login", "", &refused);
        self.respond(id, message, Err(refused));
    }

    fn subscribe_instruments(&mut self, id: ConnId, message: &Value, params: &Value) {
        let has_snapshot = params.get("snapshot").and_then(Value::as_bool);
        let has_snapshot = has_snapshot.unwrap_or(true);
        let result = json!({"channel": "instrument", "snapshot": has_snapshot});
        self.respond(id, message, Ok(result));
        if has_snapshot {
            let data = self.instruments();
            let text = json!({"channel": "instrument", "type": "snapshot", "data": data});
            self.core.send(id, text.to_string());
        }
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.has_instruments = true;
        }
    }

    fn instruments(&self) -> Value {
        let mut assets: Vec<&str> = Vec::new();
        let mut rows = Vec::new();
        for (inst, pair) in self.pairs.iter().enumerate() {
            let spec = self.core.engine.spec(inst);
            for asset in [spec.base.as_str(), spec.quote.as_str()] {
                if !assets.contains(&asset) {
                    assets.push(asset);
                }
            }
            let digits = |text: &str| reply::number(text);
            rows.push(json!({
                "symbol": pair.symbol, "base": spec.base, "quote": spec.quote, "status": "online",
                "qty_precision": spec.qty_decimals,
                "qty_increment": digits(&reply::qty(spec, spec.lot)),
                "qty_min": digits(&reply::qty(spec, spec.qty_min)),
                "price_precision": spec.price_decimals,
                "price_increment": digits(&reply::price(spec, spec.tick)),
                "cost_precision": reply::COST_DECIMALS,
                "cost_min": digits(&crate::text::amount(super::ops::COST_MIN)),
                "marginable": false, "has_index": true,
            }));
        }
        let assets: Vec<Value> = assets
            .into_iter()
            .map(|asset| {
                json!({
                    "id": asset, "status": "enabled", "precision": reply::BALANCE_DECIMALS,
                    "precision_display": 5, "borrowable": false, "collateral_value": 0.0,
                })
            })
            .collect();
        json!({"assets": assets, "pairs": rows})
    }
}

fn symbols(params: &Value) -> Vec<&str> {
    let list = params.get("symbol").and_then(Value::as_array);
    let names = list.into_iter().flatten().filter_map(Value::as_str);
    names.collect()
}

/// Whether a subscription is of this channel, whatever its depth or trigger.
fn is_same((channel, inst): (Channel, usize), other: Channel, of: usize) -> bool {
    inst == of && std::mem::discriminant(&channel) == std::mem::discriminant(&other)
}

/// The result of a subscription; of its end without `snapshot`.
fn acknowledged(channel: Channel, snapshot: Option<bool>, symbol: &str) -> Value {
    let mut row = Map::new();
    let name = match channel {
        Channel::Book(_) => "book",
        Channel::Level3(_) => "level3",
        Channel::Trade => "trade",
        Channel::Ticker(_) => "ticker",
    };
    row.insert("channel".into(), json!(name));
    match channel {
        Channel::Book(depth) | Channel::Level3(depth) => row.insert("depth".into(), json!(depth)),
        Channel::Ticker(true) => row.insert("event_trigger".into(), json!("bbo")),
        Channel::Ticker(false) => row.insert("event_trigger".into(), json!("trades")),
        Channel::Trade => None,
    };
    if let Some(snapshot) = snapshot {
        row.insert("snapshot".into(), json!(snapshot));
    }
    row.insert("symbol".into(), json!(symbol));
    Value::Object(row)
}
