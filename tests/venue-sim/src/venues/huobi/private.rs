//! The private sockets once logged in: subscriptions and pushes of `/ws/v2`, orders of `/ws/trade`.
//!
//! ```text
//!  orders#*              how each order stands, in order
//!  trade.clearing#*#1    each fill with its fee; mode 1: cancellations too
//!  accounts.update#2     balance and what is free of it; first the state of every asset
//!  {"ch":"create-order","params":{…},"cid":…} ─▶ {"status":"ok","data":"1314507823485001","cid":…}
//! ```

use super::Huobi;
use super::reply::{self, Refused};
use super::ws::{Conn, PrivateKind, PrivateSub, refusal};
use crate::core::{ConnId, ReplyTo, Response};
use crate::engine::{AccountId, Balance, Event, Order, What};
use crate::fault::Kind;
use crate::text::amount;
use serde_json::{Value, json};

impl Huobi {
    /// A subscription or its end on `/ws/v2`.
    pub(super) fn on_private_sub(&mut self, id: ConnId, verb: &str, ch: &Value) {
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        let Some(account) = conn.account else {
            self.core
                .send(id, refusal(verb, 2002, ch, "invalid.auth.state"));
            return;
        };
        let sub = match self.parse_channel(ch.as_str().unwrap_or("")) {
            Ok(sub) => sub,
            Err(text) => {
                self.core.send(id, refusal(verb, 2001, ch, text));
                return;
            }
        };
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.subs.retain(|known| known.kind != sub.kind);
        let answer = json!({"action": verb, "code": 200, "ch": sub.ch, "data": {}});
        let is_accounts = matches!(sub.kind, PrivateKind::Accounts(_));
        let first = sub.clone();
        if verb == "sub" {
            conn.subs.push(sub);
        }
        self.core.send(id, answer.to_string());
        if verb == "sub" && is_accounts {
            for (name, asset) in self.assets() {
                let balance = self.core.engine.ledger().balance(account, asset);
                let texts = self.account_pushes(account, &name, balance, None, &first);
                for text in texts {
                    self.core.send(id, text);
                }
            }
        }
    }

    /// `orders#SYMBOL`, `trade.clearing#SYMBOL#MODE`, `accounts.update#MODE`. Errors: what the venue says.
    fn parse_channel(&self, ch: &str) -> Result<PrivateSub, &'static str> {
        let mut words = ch.split('#');
        let name = words.next().unwrap_or("");
        let (first, second, rest) = (words.next(), words.next(), words.next());
        let inst = || match first {
            Some("*") => Ok(None),
            Some(symbol) => self.inst_of(symbol).map(Some).ok_or("invalid.symbol"),
            None => Err("invalid.ch"),
        };
        let mode = |word: Option<&str>, most: u8| {
            let mode = word.map_or(Some(0), |word| word.parse().ok());
            mode.filter(|mode| *mode <= most).ok_or("invalid.ch")
        };
        let (kind, ch) = match (name, second, rest) {
            ("orders", None, None) => (PrivateKind::Orders(inst()?), ch.to_owned()),
            ("trade.clearing", _, None) => {
                let kind = PrivateKind::Clearing(inst()?, mode(second, 1)?);
                (kind, ch.to_owned())
            }
            ("accounts.update", None, None) => {
                let mode = mode(first, 2)?;
                let kind = PrivateKind::Accounts(mode);
                (kind, format!("accounts.update#{mode}"))
            }
            _ => return Err("invalid.ch"),
        };
        Ok(PrivateSub { ch, kind })
    }

    /// Queues the pushes of what happened to clients' orders, then of what that changed in their balances.
    pub(super) fn tell(&mut self, events: &[Event]) {
        let mut touched: Vec<(AccountId, &'static str)> = Vec::new();
        for event in events {
            let Event::Order(order, what) = event else {
                continue;
            };
            self.tell_order(order, *what);
            let word = match what {
                What::New | What::Amended => "order.place",
                What::Fill(_) => "order.match",
                What::Canceled(_) => "order.cancel",
            };
            touched.retain(|(account, _)| *account != order.ask.account);
            touched.push((order.ask.account, word));
        }
        for (account, word) in touched {
            self.tell_balances(account, word);
        }
    }

    fn tell_order(&mut self, order: &Order, what: What) {
        let (inst, account) = (order.ask.inst, order.ask.account);
        let symbol = &self.symbols[inst];
        let is_fill = matches!(what, What::Fill(_));
        let is_twice = is_fill && self.core.faults.take(Kind::DuplicateFill).is_some();
        let row = reply::order_push(&self.core, symbol, order, what);
        let of_account = |(_, conn): &(&ConnId, &Conn)| conn.account == Some(account);
        let mut pushes = Vec::new();
        for (id, conn) in self.conns.iter().filter(of_account) {
            for sub in &conn.subs {
                match sub.kind {
                    PrivateKind::Orders(wanted) if wanted.is_none_or(|it| it == inst) => {
                        let text = json!({"action": "push", "ch": sub.ch, "data": row});
                        pushes.push((*id, text.to_string()));
                    }
                    PrivateKind::Clearing(wanted, mode) if wanted.is_none_or(|it| it == inst) => {
                        let data = reply::clearing_push(&self.core, symbol, order, what, mode);
                        // These pushes have no action, and name the symbol where all are subscribed.
                        if let Some(data) = data {
                            let ch = format!("trade.clearing#{symbol}#{mode}");
                            pushes.push((*id, json!({"ch": ch, "data": data}).to_string()));
                        }
                    }
                    _ => {}
                }
            }
        }
        if is_twice {
            pushes.extend(pushes.clone());
        }
        self.private.extend(pushes);
    }

    fn tell_balances(&mut self, account: AccountId, word: &'static str) {
        for (name, asset) in self.assets() {
            let balance = self.core.engine.ledger().balance(account, asset);
            let before = self.wallets.insert((account, asset), balance);
            let before = before.unwrap_or_default();
            if before == balance {
                continue;
            }
            self.wallet_seq += 1;
            let of_account = self.conns.iter();
            let of_account = of_account.filter(|(_, conn)| conn.account == Some(account));
            let mut pushes = Vec::new();
            for (id, conn) in of_account {
                for sub in &conn.subs {
                    let change = Some((word, before));
                    let texts = self.account_pushes(account, &name, balance, change, sub);
                    pushes.extend(texts.into_iter().map(|text| (*id, text)));
                }
            }
            self.private.extend(pushes);
        }
    }

    /// The pushes of one asset to one subscription: none, one, or in mode 1 one for each figure that changed.
    /// Without a change it is the first state.
    fn account_pushes(
        &self,
        account: AccountId,
        name: &str,
        balance: Balance,
        change: Option<(&str, Balance)>,
        sub: &PrivateSub,
    ) -> Vec<String> {
        let PrivateKind::Accounts(mode) = sub.kind else {
            return Vec::new();
        };
        let all = balance.free + balance.locked;
        let before = change.map(|(_, before)| (before.free + before.locked, before.free));
        let has_all = before.is_none_or(|before| before.0 != all);
        let has_free = before.is_none_or(|before| before.1 != balance.free);
        // Balance and what is free of it: which of both a push has.
        let pushes: &[(bool, bool)] = match (mode, has_all, has_free) {
            (0, true, _) => &[(true, false)],
            (1, true, true) => &[(true, false), (false, true)],
            (1, true, false) => &[(true, false)],
            (1, false, true) => &[(false, true)],
            (2, true, _) | (2, _, true) => &[(true, true)],
            _ => &[],
        };
        let ms = self.core.now / 1_000_000;
        let row = |&(with_all, with_free): &(bool, bool)| {
            let mut data = json!({
                "currency": name.to_lowercase(), "accountId": reply::account_id(account),
            });
            if with_all {
                data["balance"] = json!(amount(all));
            }
            if with_free {
                data["available"] = json!(amount(balance.free));
            }
            data["changeType"] = json!(change.map(|(word, _)| word));
            data["accountType"] = json!("trade");
            data["changeTime"] = json!(change.map(|_| ms));
            data["seqNum"] = json!(self.wallet_seq);
            json!({"action": "push", "ch": sub.ch, "data": data}).to_string()
        };
        pushes.iter().map(row).collect()
    }

    /// A request of the trade socket.
    pub(super) fn on_trade(&mut self, id: ConnId, message: &Value) {
        let Some(account) = self.conns.get(&id).and_then(|conn| conn.account) else {
            let refused = Refused::new("api-signature-not-valid", "invalid.auth.state");
            self.refuse_trade(id, message, &refused);
            return;
        };
        let params = message.get("params").unwrap_or(&Value::Null);
        let name = message.get("ch").and_then(Value::as_str).unwrap_or("");
        let orders = match (name, params) {
            ("create-order", one) => std::slice::from_ref(one),
            ("create-batchorder", Value::Array(several)) => several.as_slice(),
            _ => &[],
        };
        let result = match (self.refused_by_fault(orders), name) {
            (Some(refused), _) => Err(refused),
            (None, "create-order") => self.place(account, params).map(|id| json!(id.to_string())),
            (None, "create-batchorder") => self.place_many(account, orders),
            (None, "cancel") => self.cancel_many(account, params),
            (None, "cancelall") => self.cancel_open(account, params),
            (None, _) => Err(Refused::new("bad-request", "invalid ch")),
        };
        let private = std::mem::take(&mut self.private);
        let response = trade_answer(message, result);
        self.core.answer(ReplyTo::Ws(id), response, private);
    }

    /// Refuses a request of the trade socket without looking at it.
    pub(super) fn refuse_trade(&mut self, id: ConnId, message: &Value, refused: &Refused) {
        let now = self.core.now;
        let record = &mut self.core.record;
        record.refused("trade", "", reply::REFUSED, &refused.told(), now);
        let response = trade_answer(message, Err(refused.clone()));
        self.core.answer_now(ReplyTo::Ws(id), response);
    }
}

/// An answer of the trade socket; the request's `cid` comes back as it is.
fn trade_answer(message: &Value, result: Result<Value, Refused>) -> Response {
    let mut answer = match result {
        Ok(data) => json!({"status": "ok", "data": data}),
        Err(refused) => json!({
            "status": "error", "err-code": refused.word, "err-msg": refused.text,
        }),
    };
    if let Some(cid) = message.get("cid") {
        answer["cid"] = cid.clone();
    }
    Response::json(200, answer)
}
