-- How each strategy does, a row for each minute it was looked at, by the currency its instruments are quoted in: money
-- of several is not added up. The last look of a minute stays.
--
--   realised .. pnl     as its positions had them at sampled_at; pnl = realised + unrealised + funding - fees
--   day_pnl             sum of the changes of pnl over the UTC day so far
--   drawdown_max        largest fall of day_pnl from its highest, of the day so far
--   sharpe              of the day so far: mean / sample standard deviation of pnl's changes from minute to minute, times
--                       the square root of 525600 (the minutes of 365 days); null before 30 changes, or where all are
--                       equal. No interest is taken off. A change over more than a minute does not count.
--   orders, ended, filled, fills, volume
--                       since the row before, or since midnight: orders made; those that ended and were not refused;
--                       of these, those with an execution; executions; their value
create table performance_metrics (
  strategy     integer          not null,
  currency     text             not null,
  minute       timestamptz      not null,
  name         text             not null,
  sampled_at   timestamptz      not null,
  -- The shared memory that was looked at: pnl begins again with another.
  born         bigint           not null,
  realised     numeric          not null,
  unrealised   numeric          not null,
  fees         numeric          not null,
  funding      numeric          not null,
  pnl          numeric          not null,
  day_pnl      numeric          not null,
  drawdown_max numeric          not null,
  sharpe       double precision,
  orders       bigint           not null default 0,
  ended        bigint           not null default 0,
  filled       bigint           not null default 0,
  fills        bigint           not null default 0,
  volume       numeric          not null default 0,
  primary key (strategy, currency, minute)
);

-- A session is a UTC day. fill_rate: of the orders that ended and were not refused, the share with an execution.
create view performance_sessions as
  select strategy, currency, (minute at time zone 'UTC')::date as day,
         (array_agg(name order by minute desc))[1] as name,
         min(minute) as begun, max(sampled_at) as ended_at, count(*) as minutes,
         (array_agg(realised order by minute desc))[1] as realised,
         (array_agg(unrealised order by minute desc))[1] as unrealised,
         (array_agg(fees order by minute desc))[1] as fees,
         (array_agg(funding order by minute desc))[1] as funding,
         (array_agg(pnl order by minute desc))[1] as pnl,
         (array_agg(day_pnl order by minute desc))[1] as day_pnl,
         (array_agg(drawdown_max order by minute desc))[1] as drawdown_max,
         (array_agg(sharpe order by minute desc))[1] as sharpe,
         sum(orders)::bigint as orders, sum(ended)::bigint as ended, sum(filled)::bigint as filled,
         sum(filled)::double precision / nullif(sum(ended), 0)::double precision as fill_rate,
         sum(fills)::bigint as fills, sum(volume) as volume
    from performance_metrics
   group by strategy, currency, (minute at time zone 'UTC')::date;
