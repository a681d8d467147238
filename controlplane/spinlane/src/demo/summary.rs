//! What the demo ends with.

use super::again::Again;
use super::place::Place;
use super::verdict::{Database, Verdict};
use crate::report::{Facts, Machine};
use crate::table::{Table, count};
use crate::view::latency::{self, Latency, StageLatency};
use crate::view::positions::Positions;
use crate::view::status::Status;
use dp_shm::{Region, Stage};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The summary; field names are stable.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// `done`, or `failed` when the records differ.
    pub outcome: &'static str,
    /// How long it traded.
    pub seconds: f64,
    /// New orders written.
    pub orders_sent: u64,
    /// Orders the venues took.
    pub acks: u64,
    /// Orders the venues refused.
    pub rejects: u64,
    /// Executions.
    pub fills: u64,
    /// Orders our own gate refused.
    pub risk_refusals: u64,
    /// Orders whose outcome was not known for a while.
    pub unknown_orders: u64,
    /// Orders in PostgreSQL.
    pub db_orders: usize,
    /// Executions in PostgreSQL.
    pub db_fills: usize,
    /// Market events in PostgreSQL.
    pub db_ticks: i64,
    /// Risk events in PostgreSQL.
    pub db_risk_events: i64,
    /// Holes in books.
    pub gaps: u64,
    /// Messages that could not be understood.
    pub decode_errors: u64,
    /// Market messages in.
    pub messages: u64,
    /// From a market message's bytes to the order's bytes.
    pub tick_to_trade_ns: Percentiles,
    /// By venue.
    pub venues: BTreeMap<String, VenueSummary>,
    /// Every stage.
    pub stages: Vec<StageLatency>,
    /// What it ran on.
    pub machine: Machine,
    /// The HTML report.
    pub report: PathBuf,
    /// Logs and configuration.
    pub dir: PathBuf,
    /// Simulator, dataplane, database and replay agree, order by order and fill by fill.
    pub equal: bool,
    /// The engines' recorded inputs, played again.
    pub replay: Again,
    /// Where they do not, and the simulator's sums.
    pub verdict: Verdict,
}

/// Percentiles in nanoseconds; 0 when nothing was recorded.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Percentiles {
    /// Values.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 99th.
    pub p99: u64,
    /// 99.9th.
    pub p999: u64,
    /// Largest.
    pub max: u64,
}

/// One venue's.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VenueSummary {
    /// New orders written.
    pub orders_sent: u64,
    /// Orders it took.
    pub acks: u64,
    /// Orders it refused.
    pub rejects: u64,
    /// Executions.
    pub fills: u64,
    /// Realised + unrealised + funding - fees, quote units, exact decimal text.
    pub pnl: String,
}

impl Summary {
    /// Makes it.
    pub fn new(
        place: &Place,
        region: &Region,
        latency: &Latency,
        database: &Database,
        (verdict, again): (Verdict, Again),
        seconds: f64,
    ) -> Self {
        let status = Status::read(region);
        let tick_to_trade = latency.stage(Stage::TickToTrade).map(Percentiles::of);
        Self {
            outcome: if verdict.equal && again.equal {
                "done"
            } else {
                "failed"
            },
            seconds: (seconds * 10.0).round() / 10.0,
            orders_sent: status.counter("orders_sent"),
            acks: status.counter("acks"),
            rejects: status.counter("rejects"),
            fills: status.counter("fills"),
            risk_refusals: status.counter("risk_refusals"),
            unknown_orders: status.counter("unknown_orders"),
            db_orders: database.orders.len(),
            db_fills: database.fills.len(),
            db_ticks: database.ticks,
            db_risk_events: database.risk_events,
            gaps: status.counter("gaps"),
            decode_errors: status.counter("decode_errors"),
            messages: status.counter("messages_rx"),
            tick_to_trade_ns: tick_to_trade.unwrap_or_default(),
            venues: venues(&status, &Positions::read(region)),
            stages: latency.all.clone(),
            machine: Machine::read(),
            report: place.report(),
            dir: place.dir.clone(),
            equal: verdict.equal && again.equal,
            replay: again,
            verdict,
        }
    }

    /// For the report's head.
    pub fn facts(&self) -> Facts {
        let venues: Vec<&str> = self.venues.keys().map(String::as_str).collect();
        let rows = [
            (
                "what",
                format!("demo against simulated {} over TLS", venues.join(" and ")),
            ),
            ("traded for", format!("{} s", self.seconds)),
            ("market messages", count(self.messages)),
            (
                "orders, fills",
                format!("{}, {}", count(self.orders_sent), count(self.fills)),
            ),
            (
                "records agree",
                if self.equal { "yes" } else { "no" }.to_owned(),
            ),
        ];
        Facts {
            rows: rows.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut table = Table::new(&["venue", ">orders", ">acks", ">rejects", ">fills", ">P&L"]);
        for (venue, one) in &self.venues {
            table.row([
                venue.clone(),
                count(one.orders_sent),
                count(one.acks),
                count(one.rejects),
                count(one.fills),
                one.pnl.clone(),
            ]);
        }
        let mut text = format!(
            "\n{}\n\n{}\n\n",
            table.render(),
            latency::table(&self.stages)
        );
        text += &format!(
            "{} market messages in {} s, {} gaps, {} not understood, {} refused by our own risk gate\n",
            count(self.messages),
            self.seconds,
            self.gaps,
            self.decode_errors,
            count(self.risk_refusals),
        );
        text += &format!(
            "PostgreSQL: {} orders, {} fills, {} ticks, {} risk events\n",
            count(self.db_orders as u64),
            count(self.db_fills as u64),
            self.db_ticks,
            self.db_risk_events
        );
        text += &format!("on: {}\n", self.machine.line());
        text += &self.verdict_text();
        text += &self.replay_text();
        text += &format!(
            "report: {}\nlogs:   {}",
            self.report.display(),
            self.dir.display()
        );
        text
    }

    fn replay_text(&self) -> String {
        let Again {
            orders,
            fills,
            checks,
            ..
        } = self.replay;
        let outcome = if self.replay.equal {
            "the same came out"
        } else {
            "ANOTHER THING came out"
        };
        format!("replayed: {outcome}, {orders} orders and {fills} fills, compared {checks} times\n")
    }

    fn verdict_text(&self) -> String {
        if self.verdict.equal {
            return format!(
                "EQUAL: simulator, dataplane and PostgreSQL agree on {} orders and {} fills, one by one\n",
                count(self.verdict.sim_orders as u64),
                count(self.verdict.sim_fills as u64)
            );
        }
        let mut text = format!("DIFFERENT in {} places:\n", self.verdict.differences_count);
        for difference in &self.verdict.differences {
            text += &format!("  {difference}\n");
        }
        text
    }
}

impl Percentiles {
    fn of(stage: &StageLatency) -> Self {
        Self {
            count: stage.count,
            p50: stage.p50_ns,
            p99: stage.p99_ns,
            p999: stage.p999_ns,
            max: stage.max_ns,
        }
    }
}

/// The demo gives each venue a lane of its own, so a lane's counters are its venue's.
fn venues(status: &Status, positions: &Positions) -> BTreeMap<String, VenueSummary> {
    let one = |venue: &crate::view::status::Venue| {
        let lane = status
            .lanes
            .iter()
            .find(|lane| lane.standing.lane == venue.lane);
        let counter = |name: &str| {
            lane.and_then(|lane| lane.counters.get(name))
                .copied()
                .unwrap_or(0)
        };
        let summary = VenueSummary {
            orders_sent: counter("orders_sent"),
            acks: counter("acks"),
            rejects: counter("rejects"),
            fills: counter("fills"),
            pnl: positions
                .pnl
                .get(&venue.venue)
                .cloned()
                .unwrap_or_else(|| "0.00".into()),
        };
        (venue.venue.clone(), summary)
    };
    status.venues.iter().map(one).collect()
}
