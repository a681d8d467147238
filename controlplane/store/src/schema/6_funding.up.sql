-- Shares of funding payments, one row a strategy and payment. share is in quote units, amount the whole payment in
-- asset; below 0 we paid. Strategy -1 is nobody's (paid while nobody held any).
create table funding (
  venue      text        not null,
  symbol     text        not null,
  strategy   integer     not null,
  payment    text        not null,
  share      numeric     not null,
  amount     numeric     not null,
  asset      text,
  at         timestamptz not null,
  venue_at   timestamptz,
  epoch      integer     not null,
  lane       smallint    not null,
  seq        bigint      not null,
  primary key (epoch, lane, seq)
);
create index funding_at on funding using brin (at);
create index funding_symbol on funding (venue, symbol);

-- What each strategy's funding of an instrument comes to: the row beside its positions row.
create table position_funding (
  venue       text        not null,
  symbol      text        not null,
  strategy    integer     not null,
  funding     numeric     not null,
  updated_at  timestamptz not null,
  event_epoch integer     not null,
  event_seq   bigint      not null,
  primary key (venue, symbol, strategy)
);
