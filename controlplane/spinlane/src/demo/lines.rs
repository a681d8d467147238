//! One line a second, for logs and pipes.

use crate::names::trim;
use crate::table::nanos;
use crate::view::latency::Latency;
use crate::view::status::Status;
use crate::view::{money, positions};
use dp_shm::{Region, Stage};
use dp_types::Notional;
use std::time::Duration;

/// How it stands after `elapsed`.
pub fn line(region: &Region, elapsed: Duration) -> String {
    let status = Status::read(region);
    let books: Vec<String> = status
        .books
        .iter()
        .map(|book| {
            let side = |price: &Option<String>| price.as_deref().map_or_else(|| "-".into(), trim);
            format!(
                "{} {} {}/{}",
                book.venue,
                book.symbol,
                side(&book.bid),
                side(&book.ask)
            )
        })
        .collect();
    let sum = positions::lines(region)
        .map(|(_, state)| positions::pnl(&state).0)
        .sum();
    let latency = Latency::read(region);
    let tick_to_trade = latency.stage(Stage::TickToTrade);
    format!(
        "{:>3} s  orders {} open {} fills {} rejects {}  P&L {}  t2t p50 {}  {}",
        elapsed.as_secs(),
        status.counter("orders_sent"),
        status.open_orders,
        status.counter("fills"),
        status.counter("rejects"),
        money(Notional(sum)),
        tick_to_trade.map_or("-".into(), |stage| nanos(stage.p50_ns)),
        books.join("  ")
    )
}
