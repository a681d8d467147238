//! What the command line and the demo's verdict read back.

use crate::{Source, StoreError, session};
use tokio_postgres::Row;

/// An order as the database holds it. Numbers are the database's own decimal texts, trailing zeros cut.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OrderView {
    /// Our id.
    pub client_order_id: i64,
    /// Where.
    pub venue: String,
    /// What.
    pub symbol: String,
    /// Side; `None` when its intent is not in yet.
    pub side: Option<String>,
    /// Kind.
    pub kind: Option<String>,
    /// Limit price.
    pub price: Option<String>,
    /// Quantity.
    pub qty: Option<String>,
    /// Where it stands.
    pub state: String,
    /// Done so far.
    pub cum_qty: String,
    /// The venue's id.
    pub order_id: Option<String>,
    /// Why it was refused.
    pub reject_reason: Option<String>,
}

/// An execution as the database holds it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FillView {
    /// Where.
    pub venue: String,
    /// What.
    pub symbol: String,
    /// The execution's id.
    pub trade_id: String,
    /// Our id of the order.
    pub client_order_id: Option<i64>,
    /// Side.
    pub side: String,
    /// Price.
    pub price: String,
    /// Quantity.
    pub qty: String,
}

/// A position as the database holds it. Numbers are exact decimal texts without trailing zeros.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PositionView {
    /// Where.
    pub venue: String,
    /// What.
    pub symbol: String,
    /// Net quantity; negative = short.
    pub qty: String,
    /// What the open quantity cost, quote units.
    pub cost: String,
    /// P&L of what was closed, quote units.
    pub realised: String,
    /// Fees paid, quote units.
    pub fees: String,
    /// Funding received, quote units; below 0 = paid.
    pub funding: String,
    /// Executions.
    pub fills: i64,
    /// Fees taken out of what was bought, in the base asset.
    pub base_fees: String,
}

/// A strategy's UTC day in one currency, as far as it has come. Money and counts are exact decimal texts and integers.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SessionView {
    /// Its number.
    pub strategy: i32,
    /// Its name.
    pub name: String,
    /// What its instruments are quoted in.
    pub currency: String,
    /// The day, as 2026-11-22.
    pub day: String,
    /// Minutes in which it was looked at.
    pub minutes: i64,
    /// P&L of what was closed, since its positions began.
    pub realised: String,
    /// P&L of what is open.
    pub unrealised: String,
    /// Fees paid.
    pub fees: String,
    /// Funding received; below 0 = paid.
    pub funding: String,
    /// Realised + unrealised + funding - fees.
    pub pnl: String,
    /// What of it came this day.
    pub day_pnl: String,
    /// Largest fall of it from its highest, this day.
    pub drawdown_max: String,
    /// Sharpe ratio of the changes from minute to minute, annualised; null below [`crate::CHANGES_MIN`] of them.
    pub sharpe: Option<f64>,
    /// Orders made.
    pub orders: i64,
    /// Those that ended and were not refused.
    pub ended: i64,
    /// Of these, those with an execution.
    pub filled: i64,
    /// `filled` of `ended`; null where none has ended.
    pub fill_rate: Option<f64>,
    /// Executions.
    pub fills: i64,
    /// Their value.
    pub volume: String,
}

/// A position after one move of it. Money: 10^-12 quote units, as whole numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveView {
    /// Whose; -1 = corrections by a venue's word.
    pub strategy: i32,
    /// Where.
    pub venue: String,
    /// What.
    pub symbol: String,
    /// Net quantity; negative = short.
    pub qty: String,
    /// What the open quantity cost.
    pub cost: String,
    /// P&L of what was closed.
    pub realised: String,
    /// Fees paid.
    pub fees: String,
    /// What of them was taken out of what was bought, base units.
    pub base_fees: String,
}

/// Rows in a table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TableCount {
    /// Which.
    pub table: &'static str,
    /// Rows.
    pub rows: i64,
}

/// Tables the drain fills.
pub const TABLES: [&str; 7] = [
    "orders",
    "order_events",
    "fills",
    "position_history",
    "funding",
    "risk_events",
    "market_data_ticks",
];

/// A read-only connection.
#[derive(Debug)]
pub struct Query {
    client: tokio_postgres::Client,
    driver: tokio::task::JoinHandle<()>,
}

impl Drop for Query {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Query {
    /// Connects. Errors: [`StoreError`].
    pub async fn open(source: &mut Source) -> Result<Self, StoreError> {
        let (client, driver) = session::connect(source).await?;
        let query = Self { client, driver };
        query.read_only().await?;
        Ok(query)
    }

    /// Connects to a running private cluster without holding it; `dsn` as [`crate::Cluster::dsn`].
    pub async fn dsn(dsn: &str) -> Result<Self, StoreError> {
        let config = dsn.parse::<tokio_postgres::Config>();
        let config = config.map_err(|error| StoreError::Dsn(error.to_string()))?;
        Self::open(&mut Source::Dsn(Box::new(config))).await
    }

    async fn read_only(&self) -> Result<(), StoreError> {
        self.client
            .batch_execute("set default_transaction_read_only = on")
            .await?;
        Ok(())
    }

    /// Orders, oldest first; `only_open`: those that are not final; at most `limit`, the newest.
    pub async fn orders(&self, only_open: bool, limit: i64) -> Result<Vec<OrderView>, StoreError> {
        let rows = self
            .client
            .query(
                "select * from (
                   select client_order_id, venue, symbol, side, kind, trim_scale(price)::text,
                          trim_scale(qty)::text, state, trim_scale(cum_qty)::text, order_id,
                          reject_reason
                     from orders
                     where not $1 or state not in ('FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED')
                     order by client_order_id desc limit $2) newest
                 order by client_order_id",
                &[&only_open, &limit],
            )
            .await?;
        Ok(rows.iter().map(order).collect())
    }

    /// Executions, by client order id and trade id.
    pub async fn fills(&self) -> Result<Vec<FillView>, StoreError> {
        let rows = self
            .client
            .query(
                "select venue, symbol, trade_id, client_order_id, side, trim_scale(price)::text,
                        trim_scale(qty)::text
                   from fills order by client_order_id, trade_id",
                &[],
            )
            .await?;
        Ok(rows.iter().map(fill).collect())
    }

    /// Every move of every position, of one strategy or all, each line's in the order they were made: a page at a time,
    /// whatever their number.
    pub async fn moves(
        &self,
        strategy: Option<u16>,
        mut on: impl FnMut(&MoveView),
    ) -> Result<(), StoreError> {
        let only = strategy.map_or_else(String::new, |id| format!("where strategy = {id}"));
        let declare = format!(
            "begin; declare moves no scroll cursor for
               select strategy, venue, symbol, trim_scale(qty)::text, trunc(cost * 1e12)::numeric(40)::text,
                      trunc(realised * 1e12)::numeric(40)::text, trunc(fees * 1e12)::numeric(40)::text,
                      trim_scale(base_fees)::text
                 from position_history {only} order by venue, symbol, strategy, epoch, lane, seq"
        );
        self.client.batch_execute(&declare).await?;
        loop {
            let rows = self.client.query("fetch 10000 from moves", &[]).await?;
            rows.iter().map(movement).for_each(|after| on(&after));
            if rows.is_empty() {
                break;
            }
        }
        Ok(self.client.batch_execute("commit").await?)
    }

    /// Positions, by venue and symbol.
    pub async fn positions(&self) -> Result<Vec<PositionView>, StoreError> {
        let rows = self
            .client
            .query(
                "select venue, symbol, trim_scale(sum(qty))::text, trim_scale(sum(cost))::text,
                        trim_scale(sum(realised))::text, trim_scale(sum(fees))::text,
                        sum(fills)::bigint, trim_scale(sum(base_fees))::text,
                        trim_scale(coalesce((select sum(f.funding) from position_funding f
                          where f.venue = p.venue and f.symbol = p.symbol), 0))::text
                   from positions p group by venue, symbol order by venue, symbol",
                &[],
            )
            .await?;
        Ok(rows.iter().map(position).collect())
    }

    /// Strategies' days, the newest `days` of each strategy and currency, by strategy, currency and day.
    pub async fn performance(&self, days: i64) -> Result<Vec<SessionView>, StoreError> {
        let rows = self
            .client
            .query(
                "select strategy, name, currency, day::text, minutes, trim_scale(realised)::text,
                        trim_scale(unrealised)::text, trim_scale(fees)::text, trim_scale(pnl)::text,
                        trim_scale(day_pnl)::text, trim_scale(drawdown_max)::text, sharpe, orders, ended, filled,
                        fill_rate, fills, trim_scale(volume)::text, trim_scale(funding)::text
                   from (select *, row_number() over (partition by strategy, currency order by day desc) as back
                           from performance_sessions) all_days
                  where back <= $1 order by strategy, currency, day",
                &[&days],
            )
            .await?;
        Ok(rows.iter().map(performance).collect())
    }

    /// Rows in each of [`TABLES`].
    pub async fn counts(&self) -> Result<Vec<TableCount>, StoreError> {
        let mut counts = Vec::with_capacity(TABLES.len());
        for table in TABLES {
            let text = format!("select count(*) from {table}");
            let rows = self.client.query_one(&text, &[]).await?.get(0);
            counts.push(TableCount { table, rows });
        }
        Ok(counts)
    }
}

fn order(row: &Row) -> OrderView {
    OrderView {
        client_order_id: row.get(0),
        venue: row.get(1),
        symbol: row.get(2),
        side: row.get(3),
        kind: row.get(4),
        price: row.get(5),
        qty: row.get(6),
        state: row.get(7),
        cum_qty: row.get(8),
        order_id: row.get(9),
        reject_reason: row.get(10),
    }
}

fn position(row: &Row) -> PositionView {
    PositionView {
        venue: row.get(0),
        symbol: row.get(1),
        qty: row.get(2),
        cost: row.get(3),
        realised: row.get(4),
        fees: row.get(5),
        fills: row.get(6),
        base_fees: row.get(7),
        funding: row.get(8),
    }
}

fn performance(row: &Row) -> SessionView {
    SessionView {
        strategy: row.get(0),
        name: row.get(1),
        currency: row.get(2),
        day: row.get(3),
        minutes: row.get(4),
        realised: row.get(5),
        unrealised: row.get(6),
        fees: row.get(7),
        pnl: row.get(8),
        day_pnl: row.get(9),
        drawdown_max: row.get(10),
        sharpe: row.get(11),
        orders: row.get(12),
        ended: row.get(13),
        filled: row.get(14),
        fill_rate: row.get(15),
        fills: row.get(16),
        volume: row.get(17),
        funding: row.get(18),
    }
}

fn movement(row: &Row) -> MoveView {
    MoveView {
        strategy: row.get(0),
        venue: row.get(1),
        symbol: row.get(2),
        qty: row.get(3),
        cost: row.get(4),
        realised: row.get(5),
        fees: row.get(6),
        base_fees: row.get(7),
    }
}

fn fill(row: &Row) -> FillView {
    FillView {
        venue: row.get(0),
        symbol: row.get(1),
        trade_id: row.get(2),
        client_order_id: row.get(3),
        side: row.get(4),
        price: row.get(5),
        qty: row.get(6),
    }
}
