//! Public REST: rules of symbols, books, trades, tickers.

use super::limits::Pool;
use super::number::{bare, rule};
use super::ops::{self, field};
use super::reply::{Refused, ok};
use super::rest::{number, query_value};
use super::{Huobi, streams};
use crate::core::{Request, Response};
use crate::engine::MARKET;
use serde_json::{Value, json};

impl Huobi {
    /// Public questions; `None` when the path is not one.
    pub(super) fn public(&mut self, request: &Request) -> Option<Response> {
        type Answer = fn(&mut Huobi, &Value) -> Result<Response, Refused>;
        if request.method != "GET" {
            return None;
        }
        let (name, answer): (_, Answer) = match request.path.as_str() {
            "/v1/common/timestamp" => {
                ("timestamp", |venue, _| Ok(ok(json!(venue.core.venue_ms()))))
            }
            "/v2/market-status" => ("market-status", |_, _| {
                let data = json!({"marketStatus": 1});
                let body = json!({"code": 200, "message": "success", "data": data});
                Ok(Response::json(200, body))
            }),
            "/v1/settings/common/market-symbols" => {
                ("market-symbols", |venue, arg| Ok(venue.symbols_now(arg)))
            }
            "/v2/settings/common/symbols" => ("symbols", |venue, _| Ok(venue.symbols_v2())),
            "/v1/common/symbols" => ("common/symbols", |venue, _| Ok(venue.symbols_v1())),
            "/market/depth" => ("depth", Self::depth),
            "/market/trade" => ("trade", |venue, arg| venue.trades(arg, true)),
            "/market/history/trade" => ("history/trade", |venue, arg| venue.trades(arg, false)),
            "/market/detail" => ("detail", |venue, arg| venue.detail(arg, false)),
            "/market/detail/merged" => ("detail/merged", |venue, arg| venue.detail(arg, true)),
            "/market/tickers" => ("tickers", |venue, _| Ok(venue.tickers())),
            _ => return None,
        };
        let arg = query_value(&request.query);
        let pool = Some(Pool::public(name));
        Some(self.counted(MARKET, pool, &request.path, |venue| answer(venue, &arg)))
    }

    fn named(&self, arg: &Value) -> Result<usize, Refused> {
        field(arg, "symbol")
            .and_then(|name| self.inst_of(&name))
            .ok_or_else(|| Refused::new("invalid-parameter", "invalid symbol"))
    }

    /// `{"ch":…,"status":"ok","ts":…,"tick":…}`.
    fn tick(&self, inst: usize, name: &str, tick: &str) -> Response {
        let body = format!(
            "{{\"ch\":\"market.{}.{name}\",\"status\":\"ok\",\"ts\":{},\"tick\":{tick}}}",
            self.symbols[inst],
            self.core.venue_ms()
        );
        Response::json(200, body)
    }

    fn depth(&mut self, arg: &Value) -> Result<Response, Refused> {
        let inst = self.named(arg)?;
        let kind = field(arg, "type").unwrap_or_else(|| "step0".into());
        let step = kind.strip_prefix("step").and_then(|step| step.parse().ok());
        let step = step
            .filter(|step| *step <= 5)
            .ok_or_else(|| Refused::new("invalid-parameter", "invalid type"))?;
        let depth = match field(arg, "depth").as_deref() {
            None if step == 0 => 150,
            None | Some("20") => 20,
            Some("5") => 5,
            Some("10") => 10,
            Some(_) => return Err(Refused::new("invalid-parameter", "invalid depth")),
        };
        let tick = self.feeds[inst].depth_tick(&self.core, step, depth);
        Ok(self.tick(inst, &format!("depth.step{step}"), &tick))
    }

    fn detail(&mut self, arg: &Value, is_merged: bool) -> Result<Response, Refused> {
        let inst = self.named(arg)?;
        let name = if is_merged { "detail.merged" } else { "detail" };
        let tick = self.feeds[inst].detail_tick(&self.core, is_merged);
        Ok(self.tick(inst, name, &tick))
    }

    /// The last taker's trades, or as many takers' as were asked for, newest first.
    fn trades(&mut self, arg: &Value, is_last: bool) -> Result<Response, Refused> {
        let inst = self.named(arg)?;
        let size = number(arg, "size").unwrap_or(1).clamp(1, 2_000) as usize;
        let prints: Vec<_> = self.prints[inst].iter().rev().copied().collect();
        let rows: Vec<String> = prints
            .chunk_by(|a, b| a.taker_order == b.taker_order)
            .take(if is_last { 1 } else { size })
            .map(|run| {
                let (id, at) = run.first().map_or((0, 0), |last| (last.id, last.at_ns));
                let data = streams::prints(&self.core, run);
                format!("{{\"id\":{id},\"ts\":{},\"data\":{data}}}", at / 1_000_000)
            })
            .collect();
        if is_last {
            let tick = rows.first().map_or("null", String::as_str);
            return Ok(self.tick(inst, "trade.detail", tick));
        }
        let body = format!(
            "{{\"ch\":\"market.{}.trade.detail\",\"status\":\"ok\",\"ts\":{},\"data\":[{}]}}",
            self.symbols[inst],
            self.core.venue_ms(),
            rows.join(",")
        );
        Ok(Response::json(200, body))
    }

    fn tickers(&self) -> Response {
        let rows: Vec<String> = (0..self.symbols.len())
            .map(|inst| {
                let (spec, day) = (self.core.engine.spec(inst), self.core.engine.day(inst));
                let price = |at: i64| bare(at.into(), spec.price_decimals);
                format!(
                    "{{\"symbol\":\"{}\",\"open\":{},\"high\":{},\"low\":{},\"close\":{},\
                     \"amount\":{},\"vol\":{},\"count\":{}}}",
                    self.symbols[inst],
                    price(day.open),
                    price(day.high),
                    price(day.low),
                    price(day.last),
                    bare(day.volume.into(), spec.qty_decimals),
                    bare(day.quote_volume, 12),
                    day.count
                )
            })
            .collect();
        let body = format!(
            "{{\"status\":\"ok\",\"ts\":{},\"data\":[{}]}}",
            self.core.venue_ms(),
            rows.join(",")
        );
        Response::json(200, body)
    }

    fn symbols_now(&self, arg: &Value) -> Response {
        let wanted = field(arg, "symbols");
        let is_wanted = |name: &str| {
            let wanted = wanted.as_deref();
            wanted.is_none_or(|names| names.split(',').any(|wanted| wanted == name))
        };
        let rows: Vec<Value> = (0..self.symbols.len())
            .filter(|inst| is_wanted(&self.symbols[*inst]))
            .map(|inst| {
                let spec = self.core.engine.spec(inst);
                let qty = |qty: i64| rule(qty.into(), spec.qty_decimals);
                let [above, below] = ops::BAND;
                json!({
                    "symbol": self.symbols[inst], "state": "online",
                    "bc": spec.base.to_lowercase(), "qc": spec.quote.to_lowercase(),
                    "pp": spec.price_decimals, "ap": spec.qty_decimals, "sp": "main", "vp": 8,
                    "minoa": qty(spec.qty_min), "maxoa": qty(spec.qty_max),
                    "minov": rule(spec.notional_min, 12), "lominoa": qty(spec.qty_min),
                    "lomaxoa": qty(spec.qty_max), "lomaxba": qty(spec.qty_max),
                    "lomaxsa": qty(spec.qty_max), "smminoa": qty(spec.qty_min),
                    "smmaxoa": qty(spec.qty_max), "bmmaxov": ops::BUDGET_MAX,
                    "blmlt": rule(above.into(), 2), "slmgt": rule(below.into(), 2),
                    "at": "enabled", "tm": "PRE,ONLINE",
                })
            })
            .collect();
        let ts = self.core.venue_ms().to_string();
        let body = json!({"status": "ok", "data": rows, "ts": ts, "full": 1});
        Response::json(200, body)
    }

    fn symbols_v2(&self) -> Response {
        let row = |inst: usize| {
            let spec = self.core.engine.spec(inst);
            let (base, quote) = (&spec.base, &spec.quote);
            json!({
                "sc": self.symbols[inst], "dn": format!("{base}/{quote}"),
                "bc": base.to_lowercase(), "bcdn": base, "qc": quote.to_lowercase(),
                "qcdn": quote, "state": "online", "te": true, "whe": false, "cd": false,
                "tpp": spec.price_decimals, "tap": spec.qty_decimals, "fp": 8, "ttp": 8,
                "sp": "main",
            })
        };
        let rows: Vec<Value> = (0..self.symbols.len()).map(row).collect();
        let ts = self.core.venue_ms().to_string();
        let body = json!({"status": "ok", "data": rows, "ts": ts, "full": 1});
        Response::json(200, body)
    }

    fn symbols_v1(&self) -> Response {
        let row = |inst: usize| {
            let spec = self.core.engine.spec(inst);
            let qty = |qty: i64| rule(qty.into(), spec.qty_decimals);
            json!({
                "base-currency": spec.base.to_lowercase(),
                "quote-currency": spec.quote.to_lowercase(),
                "price-precision": spec.price_decimals, "amount-precision": spec.qty_decimals,
                "symbol-partition": "main", "symbol": self.symbols[inst], "state": "online",
                "value-precision": 8, "min-order-amt": qty(spec.qty_min),
                "max-order-amt": qty(spec.qty_max),
                "min-order-value": rule(spec.notional_min, 12),
                "limit-order-min-order-amt": qty(spec.qty_min),
                "limit-order-max-order-amt": qty(spec.qty_max), "api-trading": "enabled",
                "tags": "",
            })
        };
        ok((0..self.symbols.len()).map(row).collect())
    }
}
