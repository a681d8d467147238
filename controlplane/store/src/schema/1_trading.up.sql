-- What the journal tells, as rows. Every table that takes journal records is keyed so that a record told
-- twice changes nothing.

-- One database belongs to one node: client order ids and epochs are unique within a node only.
create table node (
  only_one   boolean     primary key default true check (only_one),
  name       text        not null,
  claimed_at timestamptz not null default now()
);

-- Runs of each lane. The same epoch with another start would mean that an epoch was given twice.
create table epochs (
  epoch      integer     not null,
  lane       smallint    not null,
  seq        bigint      not null,
  starts     bigint      not null,
  started_at timestamptz not null,
  primary key (epoch, lane)
);

-- Where each order stands: the fold of order_events.
create table orders (
  client_order_id bigint      primary key,
  epoch           integer     not null generated always as ((client_order_id >> 32)::integer) stored,
  venue           text        not null,
  symbol          text        not null,
  strategy        integer,
  side            text        check (side in ('buy', 'sell')),
  kind            text        check (kind in ('limit', 'post_only', 'market')),
  tif             text        check (tif in ('gtc', 'ioc', 'fok')),
  price           numeric,
  qty             numeric,
  state           text        not null check (state in ('NEW', 'PENDING', 'ACK', 'PARTIALLY_FILLED',
                                'FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED', 'UNKNOWN')),
  cum_qty         numeric     not null,
  order_id        text,
  reject_reason   text,
  reject_code     integer,
  durability      text        check (durability in ('published', 'replicated', 'synced')),
  created_at      timestamptz,
  updated_at      timestamptz not null,
  -- The record this row is as of: an older one never overwrites a newer one.
  event_epoch     integer     not null,
  event_seq       bigint      not null
);
create index orders_created_at on orders using brin (created_at);
create index orders_symbol on orders (symbol);
create index orders_venue on orders (venue);
create index orders_order_id on orders using hash (order_id);
create index orders_open on orders (venue, symbol)
  where state not in ('FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED');

-- Every journal record about an order.
create table order_events (
  epoch           integer     not null,
  lane            smallint    not null,
  seq             bigint      not null,
  at              timestamptz not null,
  kind            text        not null,
  client_order_id bigint      not null,
  venue           text        not null,
  symbol          text        not null,
  state           text,
  price           numeric,
  qty             numeric,
  cum_qty         numeric,
  order_id        text,
  reason          text,
  code            integer,
  venue_at        timestamptz,
  primary key (epoch, lane, seq)
);
create index order_events_order on order_events (client_order_id);
create index order_events_at on order_events using brin (at);

create table fills (
  venue           text        not null,
  symbol          text        not null,
  trade_id        text        not null,
  client_order_id bigint,
  order_id        text        not null,
  side            text        not null check (side in ('buy', 'sell')),
  price           numeric     not null,
  qty             numeric     not null,
  fee             numeric     not null,
  fee_asset       text,
  liquidity       text        not null,
  at              timestamptz not null,
  venue_at        timestamptz,
  epoch           integer     not null,
  lane            smallint    not null,
  seq             bigint      not null,
  primary key (venue, symbol, trade_id)
);
create index fills_at on fills using brin (at);
create index fills_symbol on fills (symbol);
create index fills_client_order_id on fills (client_order_id);
create index fills_order_id on fills using hash (order_id);

-- Where each position stands now. base_fees: taken out of what was bought, in the base asset; their worth
-- is in fees, and what is there to sell is qty - base_fees.
create table positions (
  venue       text        not null,
  symbol      text        not null,
  qty         numeric     not null,
  cost        numeric     not null,
  realised    numeric     not null,
  unrealised  numeric     not null,
  fees        numeric     not null,
  mark        numeric     not null,
  fills       bigint      not null,
  base_fees   numeric     not null,
  updated_at  timestamptz not null,
  event_epoch integer     not null,
  event_seq   bigint      not null,
  primary key (venue, symbol)
);

-- Every position there was.
create table position_history (
  epoch      integer     not null,
  lane       smallint    not null,
  seq        bigint      not null,
  at         timestamptz not null,
  venue      text        not null,
  symbol     text        not null,
  qty        numeric     not null,
  cost       numeric     not null,
  realised   numeric     not null,
  unrealised numeric     not null,
  fees       numeric     not null,
  mark       numeric     not null,
  fills      bigint      not null,
  base_fees  numeric     not null,
  primary key (epoch, lane, seq)
);
create index position_history_at on position_history using brin (at);
create index position_history_symbol on position_history (venue, symbol);

-- Refusals of the risk gate, the kill switch, limits coming into force, reconciliations.
create table risk_events (
  epoch           integer     not null,
  lane            smallint    not null,
  seq             bigint      not null,
  at              timestamptz not null,
  kind            text        not null,
  rule            text,
  client_order_id bigint,
  venue           text,
  symbol          text,
  strategy        integer,
  observed        numeric,
  allowed         numeric,
  who             text,
  detail          text,
  primary key (epoch, lane, seq)
);
create index risk_events_at on risk_events using brin (at);
create index risk_events_kind on risk_events (kind);

create table strategy_signals (
  epoch    integer     not null,
  lane     smallint    not null,
  seq      bigint      not null,
  at       timestamptz not null,
  strategy integer     not null,
  venue    text        not null,
  symbol   text        not null,
  value    bigint      not null,
  primary key (epoch, lane, seq)
);
create index strategy_signals_at on strategy_signals using brin (at);

-- How far each lane's rings are in the database. The journal's own cursor is in shared memory and follows
-- this one; ticks is how far the tick ring is in, of the shared memory made at born (Unix nanoseconds).
create table drain_cursor (
  lane       smallint    primary key,
  epoch      integer     not null,
  seq        bigint      not null,
  born       bigint      not null,
  ticks      bigint      not null,
  updated_at timestamptz not null
);
