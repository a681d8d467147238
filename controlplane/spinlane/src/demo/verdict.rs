//! Do three records of the same trading agree? The simulator's, the dataplane's, the database's.
//!
//! Compared order by order (state, quantity done), fill by fill (price, quantity), position by position
//! (quantity, money, fees, summed anew from the simulator's fills), and in sum with what the lanes counted.
//! Every new-order request must have been asked exactly once.

use super::sim::{self, Record};
use crate::view::orders::{Order, Orders};
use crate::view::status::Status;
use crate::{names, view};
use cp_store::{FillView, OrderView, PositionView, Query};
use dp_shm::{PositionState, Region};
use dp_types::{Decimal, Notional, VenueId};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Differences listed; more are only counted.
const SHOWN_MAX: usize = 50;

/// What PostgreSQL holds.
#[derive(Debug, Clone, Default)]
pub struct Database {
    /// All orders.
    pub orders: Vec<OrderView>,
    /// All executions.
    pub fills: Vec<FillView>,
    /// All positions.
    pub positions: Vec<PositionView>,
    /// Market events.
    pub ticks: i64,
    /// Risk events.
    pub risk_events: i64,
}

impl Database {
    /// Reads it.
    pub async fn read(query: &Query) -> anyhow::Result<Self> {
        let counts = query.counts().await?;
        let rows = |table: &str| {
            counts
                .iter()
                .find(|count| count.table == table)
                .map_or(0, |count| count.rows)
        };
        Ok(Self {
            orders: query.orders(false, i64::MAX).await?,
            fills: query.fills().await?,
            positions: query.positions().await?,
            ticks: rows("market_data_ticks"),
            risk_events: rows("risk_events"),
        })
    }
}

/// Whether they agree.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verdict {
    /// Nothing differs.
    pub equal: bool,
    /// What differs, the first [`SHOWN_MAX`].
    pub differences: Vec<String>,
    /// How much differs.
    pub differences_count: usize,
    /// The simulator's sums.
    pub sim_orders: usize,
    /// Executions there.
    pub sim_fills: usize,
    /// New orders it refused.
    pub sim_rejects: usize,
}

impl Verdict {
    fn differ(&mut self, what: String) {
        self.differences_count += 1;
        if self.differences.len() < SHOWN_MAX {
            self.differences.push(what);
        }
    }

    fn same<T: PartialEq + std::fmt::Display>(&mut self, what: &str, parts: [(&str, T); 3]) {
        let [(_, first), ..] = &parts;
        if parts.iter().any(|(_, value)| value != first) {
            let list: Vec<String> = parts
                .iter()
                .map(|(who, value)| format!("{who} {value}"))
                .collect();
            self.differ(format!("{what}: {}", list.join(", ")));
        }
    }
}

/// Compares the three.
pub fn judge(region: &Region, record: &Record, database: &Database) -> Verdict {
    let status = Status::read(region);
    let journal = Orders::read(region, true, usize::MAX);
    // OKX takes a post-only order that would cross and ends it at once: to us that is a refusal too. One that
    // was partly done is cancelled.
    let ended_at_once = record.orders.iter().filter(|order| {
        let is_whole = names::trim(&order.cum) == "0";
        order.state == "canceled" && order.cause.as_deref() == Some("post_only") && is_whole
    });
    let refused = record.refused.iter().filter(|one| one.op == "new");
    let refused_new = refused.count() + ended_at_once.count();
    let mut verdict = Verdict {
        sim_orders: record.orders.len(),
        sim_fills: record.fills.len(),
        sim_rejects: refused_new,
        ..Verdict::default()
    };
    if record.truncated {
        verdict
            .differ("the simulator's record is truncated: the run was too long to compare".into());
    }
    orders(&mut verdict, record, &database.orders);
    requests(&mut verdict, record, &database.orders);
    journal_orders(&mut verdict, &journal.orders, &database.orders);
    fills(&mut verdict, record, &database.fills);
    let held: Vec<Held> = view::positions::lines(region).map(Held::of_line).collect();
    positions(&mut verdict, record, &held, &database.positions);
    let asked = database
        .orders
        .iter()
        .filter(|row| requests_of(record, row) > 0)
        .count();
    let count = |n: usize| n as u64;
    let lost = lost(record, &database.orders);
    verdict.same(
        "orders sent",
        [
            ("simulator", record.new_requests + count(lost)),
            ("dataplane", status.counter("orders_sent")),
            ("database", count(asked + lost)),
        ],
    );
    verdict.same(
        "fills",
        [
            ("simulator", count(record.fills.len())),
            ("dataplane", status.counter("fills")),
            ("database", count(database.fills.len())),
        ],
    );
    let rejected = database
        .orders
        .iter()
        .filter(|row| row.state == "REJECTED" && requests_of(record, row) > 0);
    verdict.same(
        "rejects",
        [
            ("simulator", count(refused_new + lost)),
            ("dataplane", status.counter("rejects")),
            ("database", count(rejected.count() + lost)),
        ],
    );
    verdict.equal = verdict.differences_count == 0;
    verdict
}

/// Every order the simulator took is in the database, as it ended, and no other is there as taken.
fn orders(verdict: &mut Verdict, record: &Record, rows: &[OrderView]) {
    let mut by_id: BTreeMap<(&str, &str), &OrderView> = BTreeMap::new();
    for row in rows {
        if let Some(id) = &row.order_id {
            by_id.insert((&row.venue, id), row);
        }
    }
    for order in &record.orders {
        let Some(row) = by_id.remove(&(order.venue.as_str(), order.order_id.as_str())) else {
            verdict.differ(format!(
                "{} order {}: not in the database",
                order.venue, order.order_id
            ));
            continue;
        };
        let id = our_id(&order.venue, &order.client_order_id);
        if id != Some(row.client_order_id) {
            verdict.differ(format!(
                "{} order {}: simulator has client id {}, database {}",
                order.venue, order.order_id, order.client_order_id, row.client_order_id
            ));
        }
        if !is_same_state(order, &row.state) || names::trim(&order.cum) != row.cum_qty {
            verdict.differ(format!(
                "{} order {}: simulator {} done {}, database {} done {}",
                order.venue, order.order_id, order.state, order.cum, row.state, row.cum_qty
            ));
        }
    }
    for (venue, id) in by_id.keys() {
        verdict.differ(format!(
            "{venue} order {id}: in the database, not at the simulator"
        ));
    }
}

fn is_same_state(order: &sim::Order, state: &str) -> bool {
    match (order.state.as_str(), state) {
        ("live", "ACK")
        | ("partially_filled", "PARTIALLY_FILLED")
        | ("filled", "FILLED")
        | ("canceled", "CANCELLED") => true,
        // Ended by its own terms: venues word it as a cancel or an expiry; a post-only that would have
        // taken is a refusal to some.
        ("canceled", "EXPIRED") => {
            matches!(order.cause.as_deref(), Some("ioc" | "fok" | "self_trade"))
        }
        ("canceled", "REJECTED") => order.cause.as_deref() == Some("post_only"),
        _ => false,
    }
}

/// None is sent twice; what was refused is refused; what was never sent did not get there.
fn requests(verdict: &mut Verdict, record: &Record, rows: &[OrderView]) {
    for ((venue, id), count) in &record.requests {
        if *count > 1 {
            verdict.differ(format!("{venue} client id {id}: asked {count} times"));
        }
    }
    let mut states: BTreeMap<(&str, i64), &OrderView> = BTreeMap::new();
    for row in rows {
        states.insert((&row.venue, row.client_order_id), row);
    }
    // "Outcome unknown" is an answer too: such an order may stand all the same, and is compared as one.
    let taken: BTreeSet<(&str, &str)> = record
        .orders
        .iter()
        .map(|order| (order.venue.as_str(), order.client_order_id.as_str()))
        .collect();
    let is_taken =
        |one: &sim::Refused| taken.contains(&(one.venue.as_str(), one.client_order_id.as_str()));
    let refused = record.refused.iter().filter(|one| one.op == "new");
    for refused in refused.filter(|one| !is_taken(one)) {
        let row = our_id(&refused.venue, &refused.client_order_id)
            .and_then(|id| states.get(&(refused.venue.as_str(), id)));
        match row {
            Some(row) if row.state == "REJECTED" => {}
            Some(row) => verdict.differ(format!(
                "{} client id {}: refused there, {} in the database",
                refused.venue, row.client_order_id, row.state
            )),
            None => verdict.differ(format!(
                "{} client id {}: refused there, not in the database",
                refused.venue, refused.client_order_id
            )),
        }
    }
    for row in rows {
        if requests_of(record, row) == 0 && row.state != "REJECTED" {
            verdict.differ(format!(
                "{} client id {}: {} in the database, never asked at the simulator",
                row.venue, row.client_order_id, row.state
            ));
        }
    }
}

/// The journal's fold and the database's are the same.
fn journal_orders(verdict: &mut Verdict, journal: &[Order], rows: &[OrderView]) {
    let mut by_id: BTreeMap<u64, &OrderView> = BTreeMap::new();
    for row in rows {
        by_id.insert(row.client_order_id.cast_unsigned(), row);
    }
    for order in journal {
        match by_id.get(&order.client_order_id) {
            Some(row) if row.state == order.state && row.cum_qty == order.cum_qty => {}
            Some(row) => verdict.differ(format!(
                "{} client id {}: journal {} done {}, database {} done {}",
                order.venue,
                order.client_order_id,
                order.state,
                order.cum_qty,
                row.state,
                row.cum_qty
            )),
            None => verdict.differ(format!(
                "{} client id {}: in the journal, not in the database",
                order.venue, order.client_order_id
            )),
        }
    }
}

fn fills(verdict: &mut Verdict, record: &Record, rows: &[FillView]) {
    let mut by_id: BTreeMap<(&str, &str, &str), &FillView> = BTreeMap::new();
    for row in rows {
        by_id.insert((&row.venue, &row.symbol, &row.trade_id), row);
    }
    for fill in &record.fills {
        let key = (
            fill.venue.as_str(),
            fill.symbol.as_str(),
            fill.trade_id.as_str(),
        );
        let Some(row) = by_id.remove(&key) else {
            verdict.differ(format!(
                "{} {} fill {}: not in the database",
                fill.venue, fill.symbol, fill.trade_id
            ));
            continue;
        };
        let is_same = names::trim(&fill.price) == row.price
            && names::trim(&fill.qty) == row.qty
            && our_id(&fill.venue, &fill.client_order_id) == row.client_order_id;
        if !is_same {
            verdict.differ(format!(
                "{} {} fill {}: simulator {} at {}, database {} at {}",
                fill.venue, fill.symbol, fill.trade_id, fill.qty, fill.price, row.qty, row.price
            ));
        }
    }
    for (venue, symbol, id) in by_id.keys() {
        verdict.differ(format!(
            "{venue} {symbol} fill {id}: in the database, not at the simulator"
        ));
    }
}

/// One instrument's position, whoever tells it. Exact decimal texts without trailing zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    venue: String,
    symbol: String,
    qty: String,
    /// Realised less what the open quantity cost: the cash that trading moved, but for fees, quote units.
    cash: String,
    fees: String,
    base_fees: String,
    fills: u64,
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            qty,
            cash,
            fees,
            base_fees,
            fills,
            ..
        } = self;
        write!(
            f,
            "{qty} for {cash}, fees {fees} ({base_fees} base), {fills} fills"
        )
    }
}

impl Held {
    fn of_line((instrument, state): (dp_types::Instrument, PositionState)) -> Self {
        let cash = Notional(state.realised.0.saturating_sub(state.cost.0));
        Self {
            venue: instrument.venue.name().to_owned(),
            symbol: instrument.symbol.as_str().to_owned(),
            qty: names::trim(&instrument.qty_decimal(state.qty).to_string()),
            cash: names::trim(&cash.to_string()),
            fees: names::trim(&state.fees.to_string()),
            base_fees: names::trim(&instrument.base_fee_decimal(state.base_fees).to_string()),
            fills: state.fills,
        }
    }

    fn of_row(row: &PositionView) -> Option<Self> {
        let cash = units(&row.realised)?.checked_sub(units(&row.cost)?)?;
        Some(Self {
            venue: row.venue.clone(),
            symbol: row.symbol.clone(),
            qty: row.qty.clone(),
            cash: names::trim(&Notional(cash).to_string()),
            fees: row.fees.clone(),
            base_fees: row.base_fees.clone(),
            fills: row.fills.cast_unsigned(),
        })
    }

    /// Sums fills of one instrument. `None`: a number that is none, or a sum beyond 128 bits.
    fn of_fills<'f>(
        venue: &str,
        symbol: &str,
        fills: impl Iterator<Item = &'f sim::Fill>,
    ) -> Option<Self> {
        let (mut qty, mut cash, mut fees, mut base, mut count) = (0i128, 0i128, 0i128, 0i128, 0);
        for fill in fills {
            let sign = if fill.side == "buy" { 1 } else { -1 };
            let value = product(&fill.price, &fill.qty)?;
            qty = qty.checked_add(sign * units(&fill.qty)?)?;
            cash = cash.checked_sub(sign * value)?;
            // A buy's fee is in what was bought: worth what was paid for it, and that much less was bought.
            if symbol.starts_with(fill.fee_asset.as_str()) {
                let worth = product(&fill.price, &fill.fee)?;
                (fees, cash) = (fees.checked_add(worth)?, cash.checked_add(worth)?);
                base = base.checked_add(units(&fill.fee)?)?;
            } else {
                fees = fees.checked_add(units(&fill.fee)?)?;
            }
            count += 1;
        }
        let text = |units| names::trim(&Notional(units).to_string());
        Some(Self {
            venue: venue.to_owned(),
            symbol: symbol.to_owned(),
            qty: text(qty),
            cash: text(cash),
            fees: text(fees),
            base_fees: text(base),
            fills: count,
        })
    }
}

/// A decimal in units of 1e-12.
fn units(text: &str) -> Option<i128> {
    product(text, "1")
}

/// The product of two decimals in units of 1e-12, toward zero.
fn product(a: &str, b: &str) -> Option<i128> {
    let (a, b) = (
        Decimal::parse(a.as_bytes()).ok()?,
        Decimal::parse(b.as_bytes()).ok()?,
    );
    let mantissa = i128::from(a.mantissa).checked_mul(i128::from(b.mantissa))?;
    let exponent = 12 + i32::from(a.exponent) + i32::from(b.exponent);
    let scale = 10i128.checked_pow(exponent.unsigned_abs())?;
    if exponent >= 0 {
        mantissa.checked_mul(scale)
    } else {
        mantissa.checked_div(scale)
    }
}

/// Positions are the sums of the fills: the simulator's, in shared memory and in the database.
fn positions(verdict: &mut Verdict, record: &Record, held: &[Held], rows: &[PositionView]) {
    let traded: BTreeSet<(&str, &str)> = record
        .fills
        .iter()
        .map(|fill| (fill.venue.as_str(), fill.symbol.as_str()))
        .collect();
    for (venue, symbol) in &traded {
        let is_it = |v: &str, s: &str| v == *venue && s == *symbol;
        let fills = record.fills.iter().filter(|f| is_it(&f.venue, &f.symbol));
        let theirs = Held::of_fills(venue, symbol, fills);
        let ours = held.iter().find(|one| is_it(&one.venue, &one.symbol));
        let row = rows.iter().find(|row| is_it(&row.venue, &row.symbol));
        let row = row.and_then(Held::of_row);
        if theirs.as_ref() != ours || theirs != row {
            let text = |one: Option<&Held>| one.map_or("nothing".to_owned(), Held::to_string);
            verdict.differ(format!(
                "{venue} {symbol} position: simulator {}; dataplane {}; database {}",
                text(theirs.as_ref()),
                text(ours),
                text(row.as_ref())
            ));
        }
    }
    for one in held.iter().filter(|one| one.fills > 0) {
        if !traded.contains(&(one.venue.as_str(), one.symbol.as_str())) {
            verdict.differ(format!(
                "{} {} position: {one} here, no fill at the simulator",
                one.venue, one.symbol
            ));
        }
    }
}

fn our_id(venue: &str, text: &str) -> Option<i64> {
    let id = names::client_id(VenueId::from_name(venue)?, text)?;
    Some(id.0.cast_signed())
}

/// Orders sent into a connection that was being cut: the simulator never had them, and has said so when asked.
fn lost(record: &Record, rows: &[OrderView]) -> usize {
    let is_unknown = |row: &&OrderView| row.reject_reason.as_deref() == Some("unknown_order");
    let unknown = rows.iter().filter(is_unknown);
    unknown.filter(|row| requests_of(record, row) == 0).count()
}

fn requests_of(record: &Record, row: &OrderView) -> u64 {
    // The record is keyed by the venue's text of our id; go by the number it stands for.
    let Some(venue) = VenueId::from_name(&row.venue) else {
        return 0;
    };
    let id = dp_types::ClientOrderId(row.client_order_id.cast_unsigned());
    let text = names::client_text(venue, id);
    record
        .requests
        .get(&(row.venue.clone(), text))
        .copied()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{ClientOrderId, Epoch, LaneId};

    fn id(n: u32) -> ClientOrderId {
        ClientOrderId::new(Epoch(1), LaneId(0), n).unwrap()
    }

    fn row(n: u32, state: &str, order_id: Option<&str>, cum: &str) -> OrderView {
        OrderView {
            client_order_id: id(n).0.cast_signed(),
            venue: "binance".into(),
            symbol: "BTCUSDT".into(),
            side: None,
            kind: None,
            price: None,
            qty: None,
            state: state.into(),
            cum_qty: cum.into(),
            order_id: order_id.map(str::to_owned),
            reject_reason: None,
        }
    }

    fn taken(n: u32, state: &str, cum: &str) -> sim::Order {
        sim::Order {
            venue: "binance".into(),
            client_order_id: names::client_text(VenueId::BINANCE, id(n)),
            order_id: n.to_string(),
            state: state.into(),
            cause: None,
            cum: cum.into(),
        }
    }

    #[test]
    fn equal_records_have_no_differences() {
        let mut verdict = Verdict::default();
        let mut record = Record {
            orders: vec![taken(1, "filled", "0.0100"), taken(2, "canceled", "0")],
            ..Record::default()
        };
        for n in 1..=3 {
            let key = (
                "binance".to_owned(),
                names::client_text(VenueId::BINANCE, id(n)),
            );
            record.requests.insert(key, 1);
        }
        record.refused.push(sim::Refused {
            venue: "binance".into(),
            op: "new".into(),
            client_order_id: names::client_text(VenueId::BINANCE, id(3)),
        });
        let rows = [
            row(1, "FILLED", Some("1"), "0.01"),
            row(2, "CANCELLED", Some("2"), "0"),
            row(3, "REJECTED", None, "0"),
            row(4, "REJECTED", None, "0"),
        ];
        orders(&mut verdict, &record, &rows);
        requests(&mut verdict, &record, &rows);
        assert_eq!(verdict.differences, Vec::<String>::new());
    }

    #[test]
    fn an_order_the_simulator_never_had_is_lost_only_when_it_has_said_so() {
        let mut record = Record::default();
        let text = names::client_text(VenueId::BINANCE, id(1));
        record.requests.insert(("binance".to_owned(), text), 1);
        let refused = |n, reason: &str| OrderView {
            reject_reason: Some(reason.to_owned()),
            ..row(n, "REJECTED", None, "0")
        };
        let had = refused(1, "unknown_order");
        let never_sent = refused(2, "rate_limit");
        let on_the_way = refused(3, "unknown_order");
        assert_eq!(lost(&record, &[had, never_sent, on_the_way]), 1);
    }

    #[test]
    fn positions_are_summed_anew() {
        let fill = |side: &str, price: &str, qty: &str, fee: &str, fee_asset: &str| sim::Fill {
            venue: "okx".into(),
            symbol: "BTC-USDT".into(),
            client_order_id: String::new(),
            trade_id: String::new(),
            side: side.into(),
            price: price.into(),
            qty: qty.into(),
            fee: fee.into(),
            fee_asset: fee_asset.into(),
        };
        let record = Record {
            fills: vec![
                fill("buy", "100.5", "0.2", "0.0002", "BTC"),
                fill("sell", "101", "0.30", "-0.01", "USDT"),
            ],
            ..Record::default()
        };
        let row = PositionView {
            venue: "okx".into(),
            symbol: "BTC-USDT".into(),
            qty: "-0.1".into(),
            cost: "-10.1".into(),
            realised: "0.1201".into(),
            fees: "0.0101".into(),
            funding: "0".into(),
            fills: 2,
            base_fees: "0.0002".into(),
        };
        let held = Held {
            venue: "okx".into(),
            symbol: "BTC-USDT".into(),
            qty: "-0.1".into(),
            cash: "10.2201".into(),
            fees: "0.0101".into(),
            base_fees: "0.0002".into(),
            fills: 2,
        };
        let mut verdict = Verdict::default();
        positions(
            &mut verdict,
            &record,
            std::slice::from_ref(&held),
            std::slice::from_ref(&row),
        );
        assert_eq!(verdict.differences, Vec::<String>::new());
        let changes: [fn(&mut Held); 5] = [
            |held| held.base_fees = "0".into(),
            |held| held.qty = "0.1".into(),
            |held| held.cash = "10.3".into(),
            |held| held.fees = "0.01".into(),
            |held| held.symbol = "ETH-USDT".into(),
        ];
        for change in changes {
            let mut other = held.clone();
            change(&mut other);
            let mut verdict = Verdict::default();
            positions(
                &mut verdict,
                &record,
                std::slice::from_ref(&other),
                std::slice::from_ref(&row),
            );
            assert!(verdict.differences_count > 0, "{other}");
        }
        let mut verdict = Verdict::default();
        positions(&mut verdict, &record, &[held], &[]);
        assert!(verdict.differences[0].contains("database nothing"));
    }

    #[test]
    fn each_difference_is_named() {
        let mut verdict = Verdict::default();
        let mut record = Record {
            orders: vec![
                taken(1, "live", "0"),
                taken(2, "filled", "1"),
                taken(5, "live", "0"),
            ],
            ..Record::default()
        };
        let key = (
            "binance".to_owned(),
            names::client_text(VenueId::BINANCE, id(1)),
        );
        record.requests.insert(key, 2);
        let rows = [
            row(1, "CANCELLED", Some("1"), "0"),
            row(2, "FILLED", Some("2"), "0.9"),
            row(9, "ACK", Some("9"), "0"),
        ];
        orders(&mut verdict, &record, &rows);
        requests(&mut verdict, &record, &rows);
        let text = verdict.differences.join("\n");
        for want in [
            "order 1: simulator live done 0, database CANCELLED",
            "order 2: simulator filled done 1, database FILLED done 0.9",
            "order 5: not in the database",
            "order 9: in the database, not at the simulator",
            "asked 2 times",
            "ACK in the database, never asked",
        ] {
            assert!(text.contains(want), "{want} in {text}");
        }
    }
}
