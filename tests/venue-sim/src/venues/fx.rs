//! Currencies: what a liquidity provider quotes. Only the market; the doors to it are FIX ([`crate::fix`]) and prices
//! over HTTP.
//!
//! Its instruments are its own, whatever the others trade: `EUR/USD`, `GBP/USD`, `USD/JPY`.

use crate::config::{Grain, SimConfig, Symbol};
use crate::core::{ConnId, Core, Request, RequestId, Response};
use crate::engine::{Fees, FirstIds};
use crate::fault::{Fault, Kind};
use crate::venues::Face;
use serde_json::{Value, json};

/// What is traded, and where its price starts.
const PAIRS: [&str; 3] = ["EUR-USD@1.08", "GBP-USD@1.27", "USD-JPY@150.00"];
/// Where its numbers start.
const FIRST: FirstIds = FirstIds {
    order: 900_000,
    trade: 80_000,
    update: 0,
};

/// The simulated market.
pub struct Fx {
    core: Core,
    symbols: Vec<String>,
}

/// Five decimals, three of yen; whole units.
fn grain(symbol: &Symbol, _cents: i64) -> Grain {
    Grain {
        price_decimals: if symbol.quote == "JPY" { 3 } else { 5 },
        qty_decimals: 0,
        tick: 1,
        qty_min: 1,
        is_contract: false,
    }
}

impl Fx {
    /// A market at `now` (Unix nanoseconds) whose symbols have this between their currencies.
    pub fn new(config: &SimConfig, name: &'static str, between: char, now: u64) -> Self {
        let symbols = PAIRS.iter().filter_map(|pair| pair.parse().ok()).collect();
        let config = SimConfig {
            symbols,
            ..config.clone()
        };
        let fees = Fees {
            maker_ppm: 0,
            taker_ppm: 0,
            decimals: 2,
            in_quote: true,
        };
        let core = config.core(name, now, fees, grain, 11, FIRST);
        let specs = (0..core.engine.instruments()).map(|inst| core.engine.spec(inst));
        let symbols = specs.map(|spec| format!("{}{between}{}", spec.base, spec.quote));
        Self {
            symbols: symbols.collect(),
            core,
        }
    }

    /// How many symbols there are.
    pub fn count(&self) -> usize {
        self.symbols.len()
    }

    /// Moves time; the faults that became due.
    pub fn advance(&mut self, now: u64) -> Vec<Fault> {
        let faults = self.core.advance(now);
        self.core.drain_events();
        faults
    }

    fn on_fault(&mut self, fault: &Fault) {
        match fault.kind {
            Kind::Disconnect => {
                for conn in self.core.struck(fault) {
                    self.core.close(conn, None);
                }
            }
            Kind::Silence => self.core.silence(fault, self.core.now + fault.for_ns),
            Kind::ClockSkew => self.core.skew_ms = fault.ms,
            _ => {}
        }
    }
}

impl Face for Fx {
    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, now: u64) {
        for fault in self.advance(now) {
            self.on_fault(&fault);
        }
    }

    fn next_deadline(&self) -> u64 {
        self.core.next_deadline()
    }

    fn http(&mut self, request_id: RequestId, _request: &Request) {
        let answer = Response::json(404, json!({"errorMessage": "only FIX is spoken here"}));
        self.core.reply(request_id, answer);
    }

    fn paths(&self) -> fn(&str) -> bool {
        |_| false
    }

    fn open(&mut self, _conn: ConnId, _path: &str, _query: &str) {}

    fn text(&mut self, _conn: ConnId, _text: &str) {}

    fn pong(&mut self, _conn: ConnId) {}

    fn closed(&mut self, conn: ConnId) {
        self.core.closed(conn);
    }

    fn symbol(&self, inst: usize) -> String {
        self.symbols.get(inst).cloned().unwrap_or_default()
    }

    fn stats(&self) -> Value {
        let insts = 0..self.symbols.len();
        let trades: u64 = insts.map(|inst| self.core.engine.day(inst).count).sum();
        json!({"connections": 0, "trades": trades, "limits": []})
    }
}
