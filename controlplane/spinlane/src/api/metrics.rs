//! A few counts in Prometheus' text format, version 0.0.4: what risk and an operator's page need first.
//!
//! Counters begin with the node's shared memory and outlive the processes; where it is made anew they begin again, as a
//! scraper expects of them. Source: Prometheus' "Exposition formats", read 2026-11-22.

use super::routes::Counts;
use crate::view::risk::Risk;
use crate::view::status::Status;
use dp_shm::Region;
use std::fmt::{Display, Write};
use std::sync::atomic::Ordering::Relaxed;

/// All of it.
pub(super) fn text(region: &Region, counts: &Counts) -> String {
    let mut page = Page::default();
    page.head(
        "risk_violations_total",
        "counter",
        "Orders and amends the risk gate refused, and watches that tripped, by rule.",
    );
    let risk = Risk::read(region);
    for violation in &risk.violations {
        let rule = format!("{{rule=\"{}\"}}", violation.rule);
        page.line("risk_violations_total", &rule, violation.count);
    }
    let used = "spinlane_limit_used_ratio";
    page.head(used, "gauge", "How much of a limit is used; 1 = all of it.");
    for (labels, ppm) in risk.utilisation() {
        let ratio = format!("{}.{:06}", ppm / 1_000_000, ppm % 1_000_000);
        page.line(used, &labels, ratio);
    }
    let status = Status::read(region);
    for (name, help, value) in [
        (
            "spinlane_kill_switch",
            "1 = trading is killed.",
            u64::from(status.kill.is_killed),
        ),
        (
            "spinlane_dataplane_up",
            "1 = the trading process runs.",
            u64::from(status.dataplane.is_running),
        ),
        (
            "spinlane_open_orders",
            "Orders that are not final, all venues.",
            u64::from(status.open_orders),
        ),
        (
            "spinlane_journal_waiting_records",
            "Journal records not in the database yet.",
            status.journal_waiting,
        ),
    ] {
        page.head(name, "gauge", help);
        page.line(name, "", value);
    }
    for (name, help, value) in [
        (
            "spinlane_orders_sent_total",
            "New orders written to a venue.",
            status.counter("orders_sent"),
        ),
        (
            "spinlane_fills_total",
            "Executions, each counted once.",
            status.counter("fills"),
        ),
        (
            "spinlane_api_requests_total",
            "Requests with the token, since the daemon started.",
            counts.served.load(Relaxed),
        ),
        (
            "spinlane_api_unauthorised_total",
            "Requests without it.",
            counts.unauthorised.load(Relaxed),
        ),
        (
            "spinlane_api_turned_away_total",
            "Connections closed for want of room.",
            counts.turned_away.load(Relaxed),
        ),
    ] {
        page.head(name, "counter", help);
        page.line(name, "", value);
    }
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
    }

    fn line(&mut self, name: &str, labels: &str, value: impl Display) {
        writeln!(self.0, "{name}{labels} {value}").ok();
    }
}
