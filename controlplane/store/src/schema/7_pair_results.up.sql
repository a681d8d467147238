-- What pairs of orders made, with all that hedged them: one row a pair. qty is in base units, all else in quote units, of
-- the first of the strategy's instruments; fees_unknown fills were charged in an asset without a price there.
create table pair_results (
  epoch        integer     not null,
  lane         smallint    not null,
  seq          bigint      not null,
  at           timestamptz not null,
  strategy     integer     not null,
  symbol       text        not null,
  qty          numeric     not null,
  bought_at    numeric     not null,
  sold_at      numeric     not null,
  fees         numeric     not null,
  fees_unknown bigint      not null,
  net          numeric     not null,
  hedges       bigint      not null,
  primary key (epoch, lane, seq)
);
create index pair_results_at on pair_results using brin (at);
