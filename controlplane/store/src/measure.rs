//! Writes `performance_metrics`: P&L as shared memory shows it, counts as the tables have them.
//!
//! A row is written again with each look in its minute, and its counts once more with the looks of the minute after: what
//! was journaled at its end may reach the tables later. Writing it twice is as writing it once.

use crate::StoreError;
use crate::performance::{Curve, Point, Sample};
use crate::session::Session;
use crate::sql::{At, Numeric};
use dp_types::{Notional, Payoff, StrategyId, Text, UnixNanos};
use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

const PUT: &str = "
  insert into performance_metrics (strategy, currency, minute, name, sampled_at, born, realised, unrealised, fees, pnl,
                                   day_pnl, drawdown_max, sharpe, funding)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
    on conflict (strategy, currency, minute) do update set
      name = excluded.name, sampled_at = excluded.sampled_at, born = excluded.born, realised = excluded.realised,
      unrealised = excluded.unrealised, fees = excluded.fees, pnl = excluded.pnl, day_pnl = excluded.day_pnl,
      drawdown_max = excluded.drawdown_max, sharpe = excluded.sharpe, funding = excluded.funding";

/// The newest two rows, each counted from the end of the row before it, or from midnight UTC.
const COUNT: &str = "
  with newest as (
    select minute, date_trunc('day', minute at time zone 'UTC') at time zone 'UTC' as day
      from performance_metrics where strategy = $1 and currency = $2 and minute <= $3
      order by minute desc limit 3),
  due as (
    select minute, minute + interval '1 minute' as ends,
           greatest(lag(minute) over (order by minute) + interval '1 minute', day) as begins
      from newest order by minute desc limit 2),
  traded as (
    select * from unnest($4::text[], $5::text[], $6::numeric[], $7::bool[])
               as t(venue, symbol, multiplier, is_inverse))
  update performance_metrics p
     set orders = made.orders, ended = done.ended, filled = done.filled, fills = had.fills, volume = had.volume
    from due
   cross join lateral (
     select count(*) as orders from orders o join traded using (venue, symbol)
      where o.strategy = $1 and o.created_at >= due.begins and o.created_at < due.ends) made
   cross join lateral (
     select count(distinct client_order_id) as ended,
            count(distinct client_order_id) filter (where o.cum_qty > 0) as filled
       from order_events e join orders o using (client_order_id)
       join traded on traded.venue = o.venue and traded.symbol = o.symbol
      where e.at >= due.begins and e.at < due.ends and e.state in ('FILLED', 'CANCELLED', 'EXPIRED')
        and o.strategy = $1) done
   cross join lateral (
     select count(*) as fills, coalesce(sum(
              case when traded.is_inverse then f.qty * traded.multiplier / nullif(f.price, 0)
                   else f.price * f.qty * traded.multiplier end), 0) as volume
       from fills f join orders o using (client_order_id)
       join traded on traded.venue = o.venue and traded.symbol = o.symbol
      where f.at >= due.begins and f.at < due.ends and o.strategy = $1) had
   where p.strategy = $1 and p.currency = $2 and p.minute = due.minute";

/// Longest count: the drain waits meanwhile.
const PATIENCE: &str = "set local statement_timeout = '2s'";

/// Today's rows and those of the minute before them. Money as twelve-decimal integers.
const CURVES: &str = "
  select strategy, currency, (extract(epoch from minute) / 60)::bigint, trunc(pnl * 1000000000000)::text, born
    from performance_metrics
   where minute >= date_trunc('day', $1::timestamptz at time zone 'UTC') at time zone 'UTC' - interval '1 minute'
   order by minute";

/// The day's curves by strategy and currency, as this connection has them in the database.
#[derive(Debug, Default)]
pub(crate) struct Curves(HashMap<(StrategyId, Text<15>), Curve>);

impl Session {
    /// Reads the day so far.
    pub async fn curves(&self, now: UnixNanos) -> Result<Curves, StoreError> {
        let mut curves = Curves::default();
        let at = UNIX_EPOCH + Duration::from_nanos(now.0);
        for row in self.client().query(CURVES, &[&at]).await? {
            let strategy = u16::try_from(row.get::<_, i32>(0)).map(StrategyId);
            let pnl = row.get::<_, &str>(3).parse().map(Notional);
            let (Ok(strategy), Ok(pnl)) = (strategy, pnl) else {
                // Not a row of ours: it cannot be continued.
                continue;
            };
            let key = (strategy, Text::lossy(row.get(1)));
            curves.0.entry(key).or_default().add(Point {
                minute: row.get(2),
                pnl,
                born: row.get(4),
            });
        }
        Ok(curves)
    }

    /// Writes a look at every strategy: P&L in one transaction, counts in another.
    pub async fn measure(
        &mut self,
        curves: &mut Curves,
        samples: &[Sample],
        born: i64,
        now: UnixNanos,
    ) -> Result<(), StoreError> {
        let transaction = self.client_mut().transaction().await?;
        let put = transaction.prepare(PUT).await?;
        let mut written: Vec<(&Sample, At)> = Vec::with_capacity(samples.len());
        for sample in samples {
            let point = Point::at(now, sample.pnl(), born);
            let curve = curves.0.entry((sample.strategy, sample.currency));
            let curve = curve.or_default();
            if !curve.add(point) {
                continue;
            }
            let so_far = curve.so_far();
            let minute = At::from(point.begins());
            let values: [&(dyn ToSql + Sync); 14] = [
                &i32::from(sample.strategy.0),
                &sample.currency.as_str(),
                &minute,
                &sample.name.as_str(),
                &At::from(now),
                &born,
                &Numeric::notional(sample.realised),
                &Numeric::notional(sample.unrealised),
                &Numeric::notional(sample.fees),
                &Numeric::notional(point.pnl),
                &Numeric::notional(so_far.pnl),
                &Numeric::notional(so_far.drawdown_max),
                &so_far.sharpe,
                &Numeric::notional(sample.funding),
            ];
            transaction.execute(&put, &values).await?;
            written.push((sample, minute));
        }
        transaction.commit().await?;
        match self.count(&written).await {
            // The next look counts what this one did not.
            Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => {
                tracing::warn!("counting orders by strategy took too long, and waits");
                Ok(())
            }
            counted => Ok(counted?),
        }
    }

    async fn count(&mut self, written: &[(&Sample, At)]) -> Result<(), tokio_postgres::Error> {
        let transaction = self.client_mut().transaction().await?;
        transaction.batch_execute(PATIENCE).await?;
        let count = transaction.prepare(COUNT).await?;
        for (sample, minute) in written {
            let traded = sample.instruments.values();
            let venues: Vec<&str> = traded.clone().map(|(venue, ..)| *venue).collect();
            let symbols = traded.clone().map(|(_, symbol, ..)| symbol.as_str());
            let symbols: Vec<&str> = symbols.collect();
            let multipliers = traded.clone().map(|it| Numeric::decimal(it.2));
            let multipliers: Vec<Numeric> = multipliers.collect();
            let inverse: Vec<bool> = traded.map(|it| it.3 == Payoff::Inverse).collect();
            let values: [&(dyn ToSql + Sync); 7] = [
                &i32::from(sample.strategy.0),
                &sample.currency.as_str(),
                minute,
                &venues,
                &symbols,
                &multipliers,
                &inverse,
            ];
            transaction.execute(&count, &values).await?;
        }
        transaction.commit().await
    }
}
