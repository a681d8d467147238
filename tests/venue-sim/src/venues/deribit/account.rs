//! What an account is told of its orders: `user.orders`, `user.trades`, `user.changes`, `user.portfolio`.
//!
//! ```text
//! events of the engine ─▶ grouped by the order that caused them ─▶ one message each, or kept 100 ms
//! ```
//! One message holds all that one request did to an account's orders in an instrument: its fills, where each order
//! stands after them, and the position.

use super::channels::{self, Kind, Pace};
use super::tape::Print;
use super::{Deribit, EDITED_KEPT, reply, streams, ws};
use crate::core::ConnId;
use crate::engine::{AccountId, Order, What};
use crate::fault;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What one request did to an account's orders in an instrument.
#[derive(Debug, Default)]
pub struct Group {
    account: AccountId,
    inst: usize,
    cause: u64,
    trades: Vec<Value>,
    orders: Vec<(u64, Value)>,
}

/// The groups of one step of the engine.
#[derive(Debug, Default)]
pub struct Told {
    groups: Vec<Group>,
    taker: u64,
    print: Option<Print>,
}

impl Told {
    /// A trade printed, caused by this order: the fills that follow are its.
    pub fn cause(&mut self, taker_order: u64, print: Option<Print>) {
        (self.taker, self.print) = (taker_order, print);
    }

    /// The group an order's event belongs to.
    fn group(&mut self, order: &Order, cause: u64) -> Option<&mut Group> {
        let (account, inst) = (order.ask.account, order.ask.inst);
        let is_same = |it: &Group| (it.account, it.inst, it.cause) == (account, inst, cause);
        if !self.groups.iter().any(is_same) {
            self.groups.push(Group {
                account,
                inst,
                cause,
                ..Group::default()
            });
        }
        self.groups.iter_mut().find(|it| is_same(it))
    }
}

/// Messages of the channels told every 100 ms, not told yet.
#[derive(Debug, Default)]
pub struct Batches {
    waiting: BTreeMap<(ConnId, String, usize), (Kind, Vec<Value>)>,
    due: Option<u64>,
}

impl Batches {
    /// When they are told.
    pub fn next_deadline(&self) -> u64 {
        self.due.unwrap_or(u64::MAX)
    }

    /// A connection is gone.
    pub fn forget(&mut self, conn: ConnId) {
        self.waiting.retain(|(known, ..), _| *known != conn);
    }

    /// The messages that fell due.
    pub fn due(&mut self, now: u64) -> Vec<(ConnId, String)> {
        if self.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        self.due = None;
        let waiting = std::mem::take(&mut self.waiting);
        let told = waiting.into_iter().map(|((conn, name, _), (kind, parts))| {
            let data = match kind {
                Kind::Changes => merged(parts),
                _ => Value::Array(parts),
            };
            (conn, streams::message(&name, &data.to_string()))
        });
        told.collect()
    }

    fn add(&mut self, now: u64, key: (ConnId, String, usize), kind: Kind, parts: Vec<Value>) {
        let length = Pace::Ms100.length_ns();
        self.due.get_or_insert((now / length + 1) * length);
        let waiting = self.waiting.entry(key);
        waiting
            .or_insert_with(|| (kind, Vec::new()))
            .1
            .extend(parts);
    }
}

/// Several `user.changes` of one instrument in one; of positions only the last counts.
fn merged(parts: Vec<Value>) -> Value {
    let mut all = Value::Null;
    for mut part in parts {
        if all.is_null() {
            all = part;
            continue;
        }
        for name in ["trades", "orders"] {
            let more = part[name].take();
            if let (Some(list), Value::Array(more)) = (all[name].as_array_mut(), more) {
                list.extend(more);
            }
        }
        if part["positions"]
            .as_array()
            .is_some_and(|it| !it.is_empty())
        {
            all["positions"] = part["positions"].take();
        }
    }
    all
}

impl Deribit {
    /// Takes in one event of an order of ours.
    pub(super) fn note(&mut self, told: &mut Told, order: &Order, what: What) {
        let Some(name) = self.names.get(order.ask.inst) else {
            return;
        };
        let (taker, print) = (told.taker, told.print);
        let cause = match what {
            What::Fill(_) => taker,
            What::New | What::Canceled(_) | What::Amended => order.id,
        };
        if what == What::Amended {
            self.edited.insert(order.id);
            if self.edited.len() > EDITED_KEPT {
                self.edited.pop_first();
            }
        }
        let is_edited = self.edited.contains(&order.id);
        let row = reply::order_row(&self.core, name, order, is_edited);
        let Some(group) = told.group(order, cause) else {
            return;
        };
        match group.orders.iter_mut().find(|(id, _)| *id == order.id) {
            Some((_, known)) => *known = row,
            None => group.orders.push((order.id, row)),
        }
        if let What::Fill(fill) = what {
            if let Some(print) = print.filter(|print| print.trade.id == fill.trade) {
                self.tape.keep(&print);
            }
            let row = reply::trade_row(&self.core, &self.tape, name, order, fill);
            self.traded.push((order.id, row.clone()));
            group.trades.push(row);
        }
        if !order.state.is_open() {
            for conn in self.conns.values_mut() {
                conn.done(order.id);
            }
        }
    }

    /// Queues the pushes of what happened.
    pub(super) fn tell(&mut self, told: Told) {
        for group in told.groups {
            self.tell_group(&group);
        }
    }

    fn tell_group(&mut self, group: &Group) {
        let Some(name) = self.names.get(group.inst).cloned() else {
            return;
        };
        let has_trades = !group.trades.is_empty();
        let is_twice = has_trades && self.core.faults.take(fault::Kind::DuplicateFill).is_some();
        let orders: Vec<Value> = group.orders.iter().map(|(_, row)| row.clone()).collect();
        let position =
            has_trades.then(|| reply::position_row(&self.core, &name, group.account, group.inst));
        let changes = json!({
            "instrument_name": name, "trades": group.trades, "orders": orders,
            "positions": Vec::from_iter(position),
        });
        for (kind, parts) in [
            (Kind::Changes, vec![changes]),
            (Kind::Orders, orders),
            (Kind::Fills, group.trades.clone()),
        ] {
            if parts.is_empty() {
                continue;
            }
            let times = if is_twice && kind != Kind::Orders {
                2
            } else {
                1
            };
            for _ in 0..times {
                self.tell_parts(group, kind, &parts);
            }
        }
        let assets = self.asset_of(group.inst);
        for (conn, channel) in ws::followers(&self.conns, group.account, assets) {
            self.tell_portfolio(conn, &channel, group.account, assets);
        }
    }

    fn tell_parts(&mut self, group: &Group, kind: Kind, parts: &[Value]) {
        let told = ws::private_subs(&self.conns, group.account, kind, group.inst);
        for (conn, channel, pace) in told {
            if pace == Pace::Ms100 {
                let key = (conn, channel, group.inst);
                self.batches.add(self.core.now, key, kind, parts.to_vec());
                continue;
            }
            // Orders and changes are told one by one, trades as a list.
            let datas = match kind {
                Kind::Fills => vec![json!(parts)],
                _ => parts.to_vec(),
            };
            for data in datas {
                let text = streams::message(&channel, &data.to_string());
                self.private.push((conn, text));
            }
        }
    }

    fn asset_of(&self, inst: usize) -> usize {
        self.core.engine.spec(inst).quote_asset
    }

    /// Queues an account's money in one asset.
    pub(super) fn tell_portfolio(
        &mut self,
        conn: ConnId,
        channel: &str,
        account: AccountId,
        asset: usize,
    ) {
        let assets = channels::assets(&self.core.engine);
        let Some((_, name)) = assets.into_iter().find(|(known, _)| *known == asset) else {
            return;
        };
        let row = reply::portfolio(&self.core, account, asset, name);
        let text = streams::message(channel, &row.to_string());
        self.private.push((conn, text));
    }
}
