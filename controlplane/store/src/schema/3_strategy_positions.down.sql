-- The sums stay, under the newest word about them.
create temporary table sums on commit drop as
  select venue, symbol, sum(qty) as qty, sum(cost) as cost, sum(realised) as realised,
         sum(unrealised) as unrealised, sum(fees) as fees, max(mark) as mark, sum(fills)::bigint as fills,
         sum(base_fees) as base_fees, max(updated_at) as updated_at, max(event_epoch) as event_epoch,
         max(event_seq) as event_seq
    from positions group by venue, symbol;
delete from positions;
alter table positions drop constraint positions_pkey;
alter table positions drop column strategy;
alter table positions add primary key (venue, symbol);
insert into positions
  select venue, symbol, qty, cost, realised, unrealised, fees, mark, fills, base_fees, updated_at, event_epoch,
         event_seq
    from sums;
alter table position_history drop column strategy;
