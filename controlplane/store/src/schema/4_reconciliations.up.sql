-- What each comparison of orders, fills, positions and balances with a venue came to: one row each.
create table reconciliations (
  epoch               integer     not null,
  lane                smallint    not null,
  seq                 bigint      not null,
  began_at            timestamptz not null,
  ended_at            timestamptz not null,
  venue               text        not null,
  cause               text        not null,
  compared            bigint      not null,
  open_orders         bigint      not null,
  missing             bigint      not null,
  adopted             bigint      not null,
  other_qty           bigint      not null,
  late_fills          bigint      not null,
  unknown             bigint      not null,
  positions_differed  bigint      not null,
  positions_corrected bigint      not null,
  balances_differed   bigint      not null,
  balances_corrected  bigint      not null,
  primary key (epoch, lane, seq)
);
create index reconciliations_at on reconciliations using brin (ended_at);
