//! Questions: what the market is, and what an account has.

use super::Deribit;
use super::channels;
use super::ops::{Caller, field, flag, is_order_method, wanted};
use super::reply::{self, Refused, number};
use super::streams::trade_row;
use crate::engine::{AccountId, Fill, Order};
use crate::fault::Kind;
use crate::record::Payment;
use serde_json::{Value, json};

/// How long the venue knows a finished order, and a trade of ours, before they are history.
const ORDERS_KEPT_NS: u64 = 30 * 60 * 1_000_000_000;
const TRADES_KEPT_NS: u64 = 24 * 3_600 * 1_000_000_000;
/// Trades and orders on a page, and at most.
const PAGE: usize = 10;
const PAGE_MAX: usize = 1_000;
/// The same of the log of transactions [U].
const LOG_PAGE: usize = 100;
const LOG_PAGE_MAX: usize = 250;

impl Deribit {
    /// Any method that does not need a connection.
    pub(super) fn call(
        &mut self,
        caller: &Caller,
        method: &str,
        params: &Value,
    ) -> Result<Value, Refused> {
        if let Some(answer) = self.public(method, params) {
            return answer;
        }
        let is_private = method.starts_with("private/");
        let account = match caller.account {
            Some(account) if is_private => account,
            None if is_private => return Err(Refused::new(10_000)),
            _ => return Err(Refused::new(-32_601)),
        };
        if is_order_method(method) {
            return self.operate(caller, account, method, params);
        }
        self.core.record.request("query", None);
        self.private_question(account, method, params)
    }

    /// Public questions; `None` when it is not one.
    fn public(&mut self, method: &str, params: &Value) -> Option<Result<Value, Refused>> {
        let named = |this: &Self| this.named(params);
        Some(match method {
            "public/test" | "public/hello" => Ok(json!({"version": "1.2.26"})),
            "public/get_time" => Ok(json!(self.core.venue_ms())),
            "public/status" => Ok(json!({"locked": "false", "locked_indices": []})),
            "public/get_instrument" => named(self).map(|inst| self.instrument(inst)),
            "public/get_instruments" => {
                let insts = if flag(params, "expired") {
                    Ok(Vec::new())
                } else {
                    self.of_currency(params)
                };
                insts.map(|insts| insts.iter().map(|inst| self.instrument(*inst)).collect())
            }
            "public/get_currencies" => Ok(self.currencies()),
            "public/get_order_book" => named(self).and_then(|inst| self.order_book(inst, params)),
            "public/ticker" => {
                let feed = |inst: usize| self.feeds.get(inst).map(|it| it.ticker(&self.core));
                named(self).map(|inst| json!(feed(inst)))
            }
            "public/get_last_trades_by_instrument" => {
                named(self).map(|inst| self.last_trades(inst, params))
            }
            "public/get_index_price" => wanted(params, "index_name").and_then(|name| {
                let name = name.to_ascii_uppercase();
                let of = |inst: &usize| {
                    let spec = self.core.engine.spec(*inst);
                    format!("{}_{}", spec.base, spec.quote) == name
                };
                let inst = (0..self.names.len()).find(of);
                let inst = inst.ok_or_else(|| Refused::parameter("index_name", "unknown index"))?;
                let spec = self.core.engine.spec(inst);
                let price = reply::price(spec, reply::mark(&self.core, inst));
                Ok(json!({"index_price": price, "estimated_delivery_price": price}))
            }),
            _ => return None,
        })
    }

    fn private_question(
        &mut self,
        account: AccountId,
        method: &str,
        params: &Value,
    ) -> Result<Value, Refused> {
        let name = method.trim_start_matches("private/");
        match name {
            "get_open_orders" | "get_open_orders_by_currency" => {
                let insts = self.of_currency(params)?;
                Ok(self.open_orders(account, |order| insts.contains(&order.ask.inst)))
            }
            "get_open_orders_by_instrument" => {
                let inst = self.named(params)?;
                Ok(self.open_orders(account, |order| order.ask.inst == inst))
            }
            "get_open_orders_by_label" => {
                let (insts, label) = (self.of_currency(params)?, wanted(params, "label")?);
                let fits = |order: &Order| {
                    insts.contains(&order.ask.inst) && *order.ask.client_id == *label
                };
                Ok(self.open_orders(account, fits))
            }
            "get_order_state" => {
                let order = self.by_id(account, params)?;
                if !self.is_remembered(&order) {
                    return Err(Refused::new(10_004));
                }
                Ok(self.order_row(&order))
            }
            "get_order_state_by_label" => {
                let (insts, label) = (self.of_currency(params)?, wanted(params, "label")?);
                let engine = &self.core.engine;
                let all = engine.open_orders(account);
                let all = all.chain(engine.finished_orders(account));
                let fitting = all.filter(|order| {
                    *order.ask.client_id == *label
                        && insts.contains(&order.ask.inst)
                        && self.is_remembered(order)
                });
                Ok(fitting.map(|order| self.order_row(order)).collect())
            }
            "get_order_history_by_instrument" => {
                let inst = self.named(params)?;
                let mut found: Vec<&Order> = self.core.engine.finished_orders(account).collect();
                found.retain(|order| order.ask.inst == inst && self.is_remembered(order));
                let found = found.into_iter().rev().take(page(params));
                Ok(found.map(|order| self.order_row(order)).collect())
            }
            "get_user_trades_by_instrument" => {
                let inst = self.named(params)?;
                let (rows, has_more) =
                    self.user_trades(account, params, |order| order.ask.inst == inst);
                Ok(json!({"trades": rows, "has_more": has_more}))
            }
            "get_user_trades_by_currency" => {
                let insts = self.of_currency(params)?;
                let fits = |order: &Order| insts.contains(&order.ask.inst);
                let (rows, has_more) = self.user_trades(account, params, fits);
                Ok(json!({"trades": rows, "has_more": has_more}))
            }
            "get_user_trades_by_order" => {
                let id = wanted(params, "order_id")?;
                let fits = |order: &Order| order.id.to_string() == id;
                Ok(json!(self.user_trades(account, params, fits).0))
            }
            "get_transaction_log" => self.transactions(account, params),
            "get_positions" => {
                let insts = self.of_currency(params)?.into_iter();
                let held = insts.filter(|inst| {
                    let position = self.core.engine.position(account, *inst);
                    position.qty != 0 || position.realised != 0
                });
                Ok(held.map(|inst| self.position(account, inst)).collect())
            }
            "get_position" => {
                let inst = self.named(params)?;
                Ok(self.position(account, inst))
            }
            "get_account_summary" => {
                let name = wanted(params, "currency")?;
                let asset = channels::asset(&self.core.engine, &name);
                let asset = asset.ok_or_else(|| Refused::parameter("currency", "unknown"))?;
                let name = name.to_ascii_uppercase();
                let mut row = reply::portfolio(&self.core, account, asset, &name);
                if flag(params, "extended") {
                    row["limits"] = json!({
                        "non_matching_engine": {"burst": 100, "rate": 20},
                        "matching_engine": {"trading": {"total": {"burst": 20, "rate": 5}}},
                    });
                }
                Ok(row)
            }
            "get_account_summaries" => {
                let assets = channels::assets(&self.core.engine).into_iter();
                let rows =
                    assets.map(|(asset, name)| reply::portfolio(&self.core, account, asset, name));
                Ok(json!({"summaries": rows.collect::<Vec<Value>>()}))
            }
            _ => Err(Refused::new(-32_601)),
        }
    }

    /// Whether the venue still knows an order: open ones, and those that ended a while ago.
    fn is_remembered(&self, order: &Order) -> bool {
        let age = self.core.now.saturating_sub(order.updated_ns);
        order.state.is_open() || age <= ORDERS_KEPT_NS
    }

    fn open_orders(&self, account: AccountId, fits: impl Fn(&Order) -> bool) -> Value {
        let open = self.core.engine.open_orders(account);
        let fitting = open.filter(|order| fits(order));
        fitting.map(|order| self.order_row(order)).collect()
    }

    fn position(&self, account: AccountId, inst: usize) -> Value {
        reply::position_row(&self.core, &self.symbol_of(inst), account, inst)
    }

    fn symbol_of(&self, inst: usize) -> String {
        self.names.get(inst).cloned().unwrap_or_default()
    }

    /// An account's trades as asked for, and whether there are more.
    fn user_trades(
        &self,
        account: AccountId,
        params: &Value,
        fits: impl Fn(&Order) -> bool,
    ) -> (Vec<Value>, bool) {
        let since = self.core.now.saturating_sub(TRADES_KEPT_NS);
        let (first, last) = numbers(params);
        let wanted = |order: &Order, fill: Fill| {
            let (seq, _) = self.tape.of(fill.trade);
            fits(order) && fill.at_ns >= since && (first..=last).contains(&seq)
        };
        let fills = self.core.record.fills(account);
        let fills = fills.filter(|(order, fill)| wanted(order, *fill));
        let row = |(order, fill): (&Order, Fill)| {
            let name = self.symbol_of(order.ask.inst);
            reply::trade_row(&self.core, &self.tape, &name, order, fill)
        };
        cut(fills, params, row)
    }

    /// The log of transactions, newest first: settlements of funding alone.
    fn transactions(&self, account: AccountId, params: &Value) -> Result<Value, Refused> {
        let insts = self.of_currency(params)?;
        let wanted_number = |name: &str| {
            let number = wanted(params, name)?.parse::<u64>();
            number.map_err(|_| Refused::parameter(name, "must be an integer"))
        };
        let span = wanted_number("start_timestamp")?..=wanted_number("end_timestamp")?;
        let after = wanted_number("continuation").unwrap_or(u64::MAX);
        let payments = self.core.record.payments(account).rev();
        let listed = payments.filter(|it| {
            insts.contains(&it.inst) && it.id <= after && span.contains(&(it.at_ns / 1_000_000))
        });
        let count = field(params, "count").and_then(|text| text.parse().ok());
        let count = usize::clamp(count.unwrap_or(LOG_PAGE), 1, LOG_PAGE_MAX);
        let mut listed: Vec<_> = listed.take(count + 1).collect();
        let continuation = listed.get(count).map(|next| next.id);
        listed.truncate(count);
        let row = |it: &Payment| reply::settlement_row(&self.core, &self.symbol_of(it.inst), it);
        let rows: Vec<Value> = listed.into_iter().map(row).collect();
        Ok(json!({"logs": rows, "continuation": continuation}))
    }

    fn last_trades(&self, inst: usize, params: &Value) -> Value {
        let (first, last) = numbers(params);
        let prints = self.tape.prints(inst);
        let prints = prints.filter(|print| (first..=last).contains(&print.seq));
        let name = self.symbol_of(inst);
        let (rows, has_more) = cut(prints, params, |print| trade_row(&self.core, &name, print));
        json!({"trades": rows, "has_more": has_more})
    }

    fn order_book(&mut self, inst: usize, params: &Value) -> Result<Value, Refused> {
        let depth = match field(params, "depth") {
            None => 5,
            Some(text) => text
                .parse()
                .map_err(|_| Refused::parameter("depth", "must be an integer"))?,
        };
        let is_old = self.core.faults.take(Kind::SnapshotOld).is_some();
        if let Some(fault) = self.core.faults.take(Kind::SnapshotNew) {
            let until = self.core.now + fault.ms.unsigned_abs() * 1_000_000;
            for feed in &mut self.feeds {
                feed.hold_until(until);
            }
        }
        let feed = self.feeds.get(inst).ok_or_else(|| Refused::new(10_020))?;
        let text = feed.order_book(&self.core, depth, is_old);
        serde_json::from_str(&text).map_err(|_| Refused::new(11_094))
    }

    fn instrument(&self, inst: usize) -> Value {
        let spec = self.core.engine.spec(inst);
        let index = format!("{}_{}", spec.base, spec.quote).to_ascii_lowercase();
        json!({
            "instrument_name": self.symbol_of(inst), "instrument_id": 150_001 + inst,
            "kind": "future", "instrument_type": "linear", "base_currency": spec.base,
            "counter_currency": spec.quote, "quote_currency": spec.quote,
            "settlement_currency": spec.quote, "settlement_period": "perpetual",
            "tick_size": reply::price(spec, spec.tick), "tick_size_steps": [],
            "contract_size": reply::qty(spec, spec.lot),
            "min_trade_amount": reply::qty(spec, spec.qty_min), "price_index": index,
            "maker_commission": number("0".to_owned()),
            "taker_commission": number("0.0005".to_owned()), "max_leverage": 10,
            "creation_timestamp": 1_534_167_754_000_u64,
            "expiration_timestamp": 32_503_708_800_000_u64, "is_active": true,
        })
    }

    fn currencies(&self) -> Value {
        let assets = channels::assets(&self.core.engine).into_iter();
        let row = |name: &str| json!({"currency": name, "currency_long": name, "coin_type": name});
        assets.map(|(_, name)| row(name)).collect()
    }
}

fn page(params: &Value) -> usize {
    let count = field(params, "count").and_then(|text| text.parse().ok());
    usize::clamp(count.unwrap_or(PAGE), 1, PAGE_MAX)
}

/// The numbers of the trades that are asked for.
fn numbers(params: &Value) -> (u64, u64) {
    let number = |name: &str| field(params, name).and_then(|text| text.parse::<u64>().ok());
    let (first, last) = (number("start_seq"), number("end_seq"));
    (first.unwrap_or(0), last.unwrap_or(u64::MAX))
}

/// A page of trades, the newest first unless asked otherwise, and whether there are more.
fn cut<T>(
    oldest_first: impl DoubleEndedIterator<Item = T>,
    params: &Value,
    row: impl Fn(T) -> Value,
) -> (Vec<Value>, bool) {
    let count = page(params);
    let mut rows: Vec<Value> = if field(params, "sorting").as_deref() == Some("asc") {
        oldest_first.take(count + 1).map(row).collect()
    } else {
        oldest_first.rev().take(count + 1).map(row).collect()
    };
    let has_more = rows.len() > count;
    rows.truncate(count);
    (rows, has_more)
}
