-- Raw market data by the hour: a TimescaleDB hypertable where the extension can be had, else native range
-- partitions, which the drain makes ahead of time.
do $$
declare
  is_hyper boolean;
  columns constant text := '
    at        timestamptz not null,
    venue     text        not null,
    symbol    text        not null,
    kind      text        not null check (kind in (''quote'', ''trade'')),
    bid_price numeric,
    bid_qty   numeric,
    ask_price numeric,
    ask_qty   numeric,
    side      text        check (side in (''buy'', ''sell'')),
    price     numeric,
    qty       numeric,
    trade_id  text,
    venue_at  timestamptz,
    lane      smallint    not null';
begin
  if exists (select from pg_available_extensions where name = 'timescaledb') then
    begin
      create extension if not exists timescaledb;
    exception when others then
      -- Not preloaded, or not ours to create: native partitions do as well.
      raise notice 'timescaledb is installed and cannot be used: %', sqlerrm;
    end;
  end if;
  is_hyper := exists (select from pg_proc where proname = 'create_hypertable');
  execute format('create table market_data_ticks (%s) %s', columns,
    case when is_hyper then '' else 'partition by range (at)' end);
  if is_hyper then
    perform create_hypertable('market_data_ticks', 'at', chunk_time_interval => interval '1 hour');
  end if;
end $$;
create index market_data_ticks_at on market_data_ticks using brin (at);
create index market_data_ticks_symbol on market_data_ticks (symbol, at);
create index market_data_ticks_venue on market_data_ticks (venue);
