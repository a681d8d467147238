-- Positions by strategy: an instrument's is the sum. What stood here before is the first strategy's; -1 is nobody's
-- (corrections by a venue's word).
alter table positions add column strategy integer not null default 0;
alter table positions drop constraint positions_pkey;
alter table positions add primary key (venue, symbol, strategy);
alter table position_history add column strategy integer not null default 0;
