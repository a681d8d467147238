//! OANDA: prices over HTTP that go on, as lines of JSON in chunks; no orders.
//!
//! ```text
//!  GET /v3/accounts/ID/pricing/stream?instruments=EUR_USD,…   PRICE as it changes, HEARTBEAT every 5 s
//!  GET /v3/accounts/ID/pricing?instruments=EUR_USD,…          once
//!  GET /v3/accounts/ID/instruments
//! ```
//! `Authorization: Bearer` and the key's secret. A price of an instrument goes out four times a second at most; what
//! lies between is not told. Its time is when it was first told to anybody. `gap` leaves a price out, `duplicate` sends
//! it twice, `token-expiry` refuses every token for `for`; of the others, `disconnect`, `silence`, `restart`,
//! `extra-fields`, `rate-limit`, `http-500`, `clock-skew` and `calm` mean something.

use super::fx::Fx;
use crate::config::SimConfig;
use crate::core::{ConnId, Core, Request, RequestId, Response};
use crate::engine::{AccountId, Side};
use crate::fault::{Fault, Kind, Link};
use crate::fix;
use crate::text;
use crate::venues::{Face, query_pairs};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const HEARTBEAT_NS: u64 = 5_000_000_000;
/// Least time between two prices of an instrument.
const PRICE_NS: u64 = 250_000_000;
/// Streams of an account at a time.
const STREAMS_MAX: usize = 20;
/// Levels of a side.
const LEVELS: usize = 3;

/// Somebody listens.
struct Stream {
    account: AccountId,
    /// Instruments, each with what was told last.
    told: BTreeMap<usize, String>,
    beat_due: u64,
    price_due: u64,
    silent_until: u64,
}

impl Stream {
    /// When something is to be sent to it.
    fn due(&self) -> u64 {
        self.beat_due.min(self.price_due).max(self.silent_until)
    }
}

/// The simulated venue.
pub struct Oanda {
    market: Fx,
    streams: BTreeMap<RequestId, Stream>,
    /// Of each instrument the ladder that was told last to anybody, and when it was new.
    seen: BTreeMap<usize, (Value, String)>,
    silent_until: u64,
    closes_at: Option<u64>,
    /// Until when tokens are worth nothing.
    expired_until: u64,
}

fn refused(status: u16, text: &str) -> Response {
    Response::json(status, json!({"errorMessage": text}))
}

/// Unknown fields in front of a line's own.
fn with_extra_fields(line: &str) -> String {
    let rest = line.strip_prefix('{').unwrap_or(line);
    format!("{{\"zz_new\":{{\"list\":[1,\"a\",null,{{}}],\"e\":1e-7}},{rest}")
}

impl Oanda {
    /// A venue at `now` (Unix nanoseconds).
    pub fn new(config: &SimConfig, now: u64) -> Self {
        Self {
            market: Fx::new(config, "oanda", '_', now),
            streams: BTreeMap::new(),
            seen: BTreeMap::new(),
            silent_until: 0,
            closes_at: None,
            expired_until: 0,
        }
    }

    /// An account's name.
    pub fn account_name(account: AccountId) -> String {
        format!("101-001-0000001-{account:03}")
    }

    /// Whose token it is, and the path behind the account's name.
    fn who<'a>(&mut self, request: &'a Request) -> Result<(AccountId, &'a str), Response> {
        let core = self.market.core();
        if let Some(fault) = core.faults.take(Kind::RateLimit) {
            let mut answer = refused(429, "Rate limit violation");
            let retry_s = fault.for_ns.div_ceil(1_000_000_000).to_string();
            answer.headers.push(("Retry-After", retry_s));
            return Err(answer);
        }
        if let Some(fault) = core.faults.take(Kind::Http500) {
            return Err(fault.server_error());
        }
        let denied = || refused(401, "Insufficient authorization to perform request.");
        let token = request.header("authorization").unwrap_or("");
        let token = token.strip_prefix("Bearer ").unwrap_or("");
        let key = core.keys.iter().find(|key| key.api_secret == token);
        let is_worth = core.now >= self.expired_until;
        let account = key.filter(|_| is_worth).ok_or_else(denied)?.account;
        let rest = request.path.strip_prefix("/v3/accounts/").unwrap_or("");
        let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
        if request.method != "GET" || name != Self::account_name(account) {
            return Err(denied());
        }
        Ok((account, rest))
    }

    fn answer(&mut self, id: RequestId, request: &Request) -> Result<Option<Response>, Response> {
        let (account, rest) = self.who(request)?;
        match rest {
            "instruments" => Ok(Some(Response::json(200, self.instruments()))),
            "pricing" => {
                let insts = self.wanted(request)?;
                let prices: Vec<Value> = insts.iter().map(|inst| self.price(*inst)).collect();
                let time = self.time();
                let answer = json!({"time": time, "prices": prices});
                Ok(Some(Response::json(200, answer)))
            }
            "pricing/stream" => {
                let insts = self.wanted(request)?;
                let own = self.streams.values().filter(|one| one.account == account);
                if own.count() >= STREAMS_MAX {
                    return Err(refused(429, "Too many streams"));
                }
                let now = self.market.core().now;
                let stream = Stream {
                    account,
                    told: insts
                        .into_iter()
                        .map(|inst| (inst, String::new()))
                        .collect(),
                    beat_due: now + HEARTBEAT_NS,
                    price_due: now,
                    silent_until: 0,
                };
                self.streams.insert(id, stream);
                self.push();
                Ok(None)
            }
            _ => Err(refused(404, "Not found")),
        }
    }

    fn wanted(&self, request: &Request) -> Result<Vec<usize>, Response> {
        let pairs = query_pairs(&request.query);
        let asked = pairs.iter().find(|(name, _)| name == "instruments");
        let invalid = || refused(400, "Invalid value specified for 'instruments'");
        let names = asked
            .map(|(_, names)| names.split(','))
            .ok_or_else(invalid)?;
        let count = self.market.count();
        let find = |name: &str| (0..count).find(|inst| self.market.symbol(*inst) == name);
        names.map(|name| find(name).ok_or_else(invalid)).collect()
    }

    fn instruments(&mut self) -> Value {
        let rows: Vec<Value> = (0..self.market.count())
            .map(|inst| {
                let name = self.market.symbol(inst);
                let spec = self.market.core().engine.spec(inst);
                json!({
                    "name": name, "type": "CURRENCY", "displayName": name.replace('_', "/"),
                    "pipLocation": 1 - i32::from(spec.price_decimals),
                    "displayPrecision": spec.price_decimals,
                    "tradeUnitsPrecision": spec.qty_decimals,
                    "minimumTradeSize": text::qty(spec, spec.qty_min),
                    "maximumOrderUnits": text::qty(spec, spec.qty_max),
                })
            })
            .collect();
        json!({"instruments": rows, "lastTransactionID": "1"})
    }

    /// RFC 3339 with nine decimals, by the venue's clock.
    fn time(&mut self) -> String {
        let text = fix::time_text(self.market.core().venue_ms());
        let (date, time) = text.split_once('-').unwrap_or(("", ""));
        let part = |from: usize, to: usize| date.get(from..to).unwrap_or("");
        let (year, month, day) = (part(0, 4), part(4, 6), part(6, 8));
        format!("{year}-{month}-{day}T{time}000000Z")
    }

    fn price(&mut self, inst: usize) -> Value {
        let (name, now) = (self.market.symbol(inst), self.time());
        let engine = &self.market.core().engine;
        let spec = engine.spec(inst);
        let decimals = spec.price_decimals;
        let at = |price: i64| text::fixed(price.into(), decimals, decimals);
        let side = |side: Side| -> Vec<Value> {
            let levels = engine.book(inst).levels(side).take(LEVELS);
            levels
                .map(|(price, level)| json!({"price": at(price), "liquidity": level.total}))
                .collect()
        };
        let (bids, asks) = (side(Side::Buy), side(Side::Sell));
        let ladder = json!([bids, asks]);
        let seen = self.seen.entry(inst).or_default();
        if seen.0 != ladder {
            *seen = (ladder, now);
        }
        let time = &seen.1;
        let best = |levels: &[Value]| levels.first().map(|level| level["price"].clone());
        let is_open = !bids.is_empty() && !asks.is_empty();
        json!({
            "type": "PRICE", "time": time, "instrument": name, "tradeable": is_open,
            "status": if is_open { "tradeable" } else { "non-tradeable" },
            "closeoutBid": best(&bids), "closeoutAsk": best(&asks), "bids": bids, "asks": asks,
        })
    }

    /// Sends what is new and what is due.
    fn push(&mut self) {
        let now = self.market.core().now;
        if now < self.silent_until {
            return;
        }
        let time = self.time();
        let ids: Vec<RequestId> = self.streams.keys().copied().collect();
        for id in ids {
            let mut lines = Vec::new();
            let due = self
                .streams
                .get(&id)
                .filter(|stream| now >= stream.price_due.max(stream.silent_until));
            let insts: Vec<usize> =
                due.map_or_else(Vec::new, |one| one.told.keys().copied().collect());
            for inst in insts {
                let mut price = self.price(inst);
                let line = price.to_string();
                // Its time alone is no news.
                price["time"] = Value::Null;
                let (Some(stream), text) = (self.streams.get_mut(&id), price.to_string()) else {
                    continue;
                };
                stream.price_due = now + PRICE_NS;
                if stream
                    .told
                    .insert(inst, text.clone())
                    .is_none_or(|old| old != text)
                {
                    lines.push(line);
                }
            }
            let core = self.market.core();
            for line in lines {
                if core.faults.take(Kind::Gap).is_some() {
                    continue;
                }
                let line = match core.faults.take(Kind::ExtraFields) {
                    Some(_) => with_extra_fields(&line) + "\n",
                    None => line + "\n",
                };
                if core.faults.take(Kind::Duplicate).is_some() {
                    core.chunk(id, line.clone());
                }
                core.chunk(id, line);
            }
            if let Some(stream) = self.streams.get_mut(&id)
                && now >= stream.beat_due.max(stream.silent_until)
            {
                stream.beat_due = now + HEARTBEAT_NS;
                let beat = json!({"type": "HEARTBEAT", "time": time});
                core.chunk(id, format!("{beat}\n"));
            }
        }
    }

    /// The streams a fault strikes: all, or the one it counts, by age from 1.
    fn struck(&self, fault: &Fault) -> Vec<RequestId> {
        let ids = self.streams.keys().copied();
        match fault.conn {
            None => ids.collect(),
            Some(nth) => ids.skip(nth.saturating_sub(1)).take(nth.min(1)).collect(),
        }
    }

    fn cut(&mut self, ids: &[RequestId]) {
        for id in ids {
            self.streams.remove(id);
            self.market.core().hang(*id);
        }
    }

    fn cut_all(&mut self) {
        let all: Vec<RequestId> = self.streams.keys().copied().collect();
        self.cut(&all);
    }

    fn on_fault(&mut self, fault: &Fault) {
        let now = self.market.core().now;
        let is_meant = fault.link.fits(Link::Public);
        match fault.kind {
            Kind::Disconnect if is_meant => self.cut(&self.struck(fault)),
            Kind::Silence if is_meant && fault.conn.is_none() => {
                self.silent_until = now + fault.for_ns;
            }
            Kind::Silence if is_meant => {
                for id in self.struck(fault) {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.silent_until = now + fault.for_ns;
                    }
                }
            }
            Kind::Restart if is_meant => self.closes_at = Some(now + fault.for_ns),
            Kind::ClockSkew => self.market.core().skew_ms = fault.ms,
            Kind::TokenExpiry => self.expired_until = now + fault.for_ns,
            _ => {}
        }
    }
}

impl Face for Oanda {
    fn core(&mut self) -> &mut Core {
        self.market.core()
    }

    fn step(&mut self, now: u64) {
        for fault in self.market.advance(now) {
            self.on_fault(&fault);
        }
        if self.closes_at.is_some_and(|at| now >= at) {
            self.closes_at = None;
            self.cut_all();
        }
        self.push();
    }

    fn next_deadline(&self) -> u64 {
        let streams = self.streams.values();
        let due = streams.map(Stream::due).min();
        let closes = self.closes_at.unwrap_or(u64::MAX);
        // While nothing may be sent, nothing is due.
        let due = due.unwrap_or(u64::MAX).max(self.silent_until).min(closes);
        self.market.next_deadline().min(due)
    }

    fn http(&mut self, request_id: RequestId, request: &Request) {
        let answer = self.answer(request_id, request);
        if let Some(answer) = answer.unwrap_or_else(Some) {
            self.market.core().reply(request_id, answer);
        }
    }

    fn left(&mut self, request_id: RequestId) {
        self.streams.remove(&request_id);
    }

    fn paths(&self) -> fn(&str) -> bool {
        self.market.paths()
    }

    fn open(&mut self, _conn: ConnId, _path: &str, _query: &str) {}

    fn text(&mut self, _conn: ConnId, _text: &str) {}

    fn pong(&mut self, _conn: ConnId) {}

    fn closed(&mut self, conn: ConnId) {
        self.market.closed(conn);
    }

    fn symbol(&self, inst: usize) -> String {
        self.market.symbol(inst)
    }

    fn stats(&self) -> Value {
        let mut stats = self.market.stats();
        stats["connections"] = json!(self.streams.len());
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venues::rig::{Rig, START};

    fn rig(ticks_per_s: u32) -> Rig<Oanda> {
        let mut config = SimConfig::default();
        config.flow.ticks_per_s = ticks_per_s;
        Rig::new(Oanda::new(&config, START))
    }

    fn request(rest: &str, token: &str) -> Request {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        Request {
            method: "GET".into(),
            path: format!("/v3/accounts/101-001-0000001-001/{path}"),
            query: query.into(),
            headers: vec![("authorization".into(), format!("Bearer {token}"))],
            body: String::new(),
        }
    }

    const TOKEN: &str = "spinlane-sim-secret-not-a-secret";

    fn ask(rig: &mut Rig<Oanda>, rest: &str) -> (u16, Value) {
        let answer = rig.http(&request(rest, TOKEN)).expect("an answer");
        let value = serde_json::from_str(&answer.body).unwrap_or_default();
        (answer.status, value)
    }

    fn lines(rig: &mut Rig<Oanda>, id: RequestId) -> Vec<Value> {
        let told = rig.chunks.remove(&id).unwrap_or_default().concat();
        let lines = told
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        lines.collect()
    }

    fn stream(rig: &mut Rig<Oanda>, names: &str) -> RequestId {
        let rest = format!("pricing/stream?instruments={names}");
        assert!(rig.http(&request(&rest, TOKEN)).is_none());
        rig.last_request()
    }

    #[test]
    fn prices_go_on_and_hearts_beat() {
        let mut rig = rig(0);
        let id = stream(&mut rig, "EUR_USD,USD_JPY");
        let first = lines(&mut rig, id);
        let names: Vec<&Value> = first.iter().map(|line| &line["instrument"]).collect();
        assert_eq!(names, ["EUR_USD", "USD_JPY"]);
        assert_eq!(first[0]["time"], "2026-11-21T00:00:00.000000000Z");
        let price = first[0]["bids"][0]["price"].as_str().unwrap();
        assert!(price.starts_with("1.07") && price.len() == 7, "{price}");
        rig.run(15_000);
        let beats = lines(&mut rig, id);
        let kinds: Vec<&Value> = beats.iter().map(|line| &line["type"]).collect();
        assert_eq!(kinds, ["HEARTBEAT"; 3], "a price that stands is no news");
    }

    #[test]
    fn four_prices_a_second_and_the_last_is_the_book() {
        let mut rig = rig(500);
        let id = stream(&mut rig, "GBP_USD");
        lines(&mut rig, id);
        rig.run(4_000);
        // Nothing moves for longer than a price waits.
        rig.fault("calm:for=1s");
        rig.run(300);
        let told = lines(&mut rig, id);
        assert!((8..=18).contains(&told.len()), "{}", told.len());
        let now = ask(&mut rig, "pricing?instruments=GBP_USD").1;
        let last = told.last().unwrap();
        for field in ["bids", "asks", "instrument"] {
            assert_eq!(last[field], now["prices"][0][field], "{field}");
        }
    }

    #[test]
    fn a_price_has_the_time_it_was_first_told() {
        let mut rig = rig(0);
        let first = stream(&mut rig, "EUR_USD");
        rig.run(700);
        let second = stream(&mut rig, "EUR_USD");
        let (first, second) = (lines(&mut rig, first), lines(&mut rig, second));
        assert_eq!(first[0], second[0]);
        rig.fault("extra-fields");
        let third = stream(&mut rig, "EUR_USD");
        let third = lines(&mut rig, third);
        assert_eq!(third[0]["zz_new"]["e"], 1e-7);
        assert_eq!(third[0]["time"], first[0]["time"]);
    }

    #[test]
    fn who_may_ask_and_for_what() {
        let mut rig = rig(0);
        let (status, list) = ask(&mut rig, "instruments");
        assert_eq!(
            (status, &list["instruments"][2]["name"]),
            (200, &json!("USD_JPY"))
        );
        assert_eq!(list["instruments"][2]["pipLocation"], -2);
        assert_eq!(ask(&mut rig, "pricing?instruments=FOO_BAR").0, 400);
        assert_eq!(ask(&mut rig, "pricing").0, 400);
        assert_eq!(ask(&mut rig, "orders").0, 404);
        let answer = rig.http(&request("instruments", "wrong")).unwrap();
        assert_eq!(answer.status, 401);
        rig.fault("rate-limit,http-500:code=503");
        assert_eq!(ask(&mut rig, "instruments").0, 429);
        assert_eq!(ask(&mut rig, "instruments").0, 503);
        rig.fault("token-expiry:for=2s");
        assert_eq!(ask(&mut rig, "instruments").0, 401);
        rig.run(2_000);
        assert_eq!(ask(&mut rig, "instruments").0, 200);
    }

    #[test]
    fn streams_fall_silent_and_break() {
        let mut rig = rig(0);
        let id = stream(&mut rig, "EUR_USD");
        lines(&mut rig, id);
        rig.fault("silence:for=12s");
        rig.run(11_000);
        assert!(lines(&mut rig, id).is_empty());
        rig.run(2_000);
        assert_eq!(lines(&mut rig, id).len(), 1);
        rig.fault("disconnect:link=private");
        assert!(rig.hung.is_empty());
        rig.fault("disconnect:link=public");
        assert_eq!(rig.hung, [id]);
        let id = stream(&mut rig, "EUR_USD");
        rig.face.left(id);
        rig.chunks.clear();
        rig.run(6_000);
        assert!(lines(&mut rig, id).is_empty(), "nobody listens");
        for _ in 0..STREAMS_MAX {
            stream(&mut rig, "EUR_USD");
        }
        rig.hung.clear();
        rig.fault("disconnect:conn=2");
        assert_eq!(rig.hung, [id + 2], "the second by age");
        stream(&mut rig, "EUR_USD");
        assert_eq!(ask(&mut rig, "pricing/stream?instruments=EUR_USD").0, 429);
    }
}
