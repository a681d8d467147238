//! The rows of each table, field by field as COPY takes them, and how each table takes rows it may
//! already have.

use crate::sql::{At, Numeric, Word};
use tokio_postgres::types::{ToSql, Type};

/// One row of a table that the drain fills.
pub(crate) trait Row {
    /// The table.
    const TABLE: &'static str;
    /// What to do with a row that is there already; `None` = rows go in unseen, by COPY alone.
    const MERGE: Option<&'static str>;
    /// Columns, in the order of [`Row::values`].
    const COLUMNS: &'static [&'static str];
    /// Their types.
    const TYPES: &'static [Type];
    /// The values.
    fn values(&self) -> Vec<&(dyn ToSql + Sync)>;
}

macro_rules! row {
    ($(#[$meta:meta])* $name:ident, $table:literal, $merge:expr, { $($field:ident: $rust:ty => $sql:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct $name { $(pub $field: $rust,)+ }

        impl Row for $name {
            const TABLE: &'static str = $table;
            const MERGE: Option<&'static str> = $merge;
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),+];
            const TYPES: &'static [Type] = &[$(Type::$sql),+];

            fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
                vec![$(&self.$field),+]
            }
        }
    };
}

/// A journal record told twice is the same record.
const ONCE: Option<&str> = Some("on conflict do nothing");

/// An older record never overwrites a newer one; what a row does not know it takes from either.
const NEWER_ORDER: Option<&str> = Some(
    "on conflict (client_order_id) do update set
       strategy = coalesce(t.strategy, excluded.strategy),
       side = coalesce(t.side, excluded.side),
       kind = coalesce(t.kind, excluded.kind),
       tif = coalesce(t.tif, excluded.tif),
       durability = coalesce(t.durability, excluded.durability),
       created_at = least(t.created_at, excluded.created_at),
       order_id = coalesce(excluded.order_id, t.order_id),
       cum_qty = greatest(t.cum_qty, excluded.cum_qty),
       price = case when (excluded.event_epoch, excluded.event_seq) > (t.event_epoch, t.event_seq)
         then coalesce(excluded.price, t.price) else coalesce(t.price, excluded.price) end,
       qty = case when (excluded.event_epoch, excluded.event_seq) > (t.event_epoch, t.event_seq)
         then coalesce(excluded.qty, t.qty) else coalesce(t.qty, excluded.qty) end,
       state = case when (excluded.event_epoch, excluded.event_seq) > (t.event_epoch, t.event_seq)
         then excluded.state else t.state end,
       reject_reason = coalesce(excluded.reject_reason, t.reject_reason),
       reject_code = coalesce(excluded.reject_code, t.reject_code),
       updated_at = greatest(t.updated_at, excluded.updated_at),
       event_epoch = greatest(t.event_epoch, excluded.event_epoch),
       event_seq = case when (excluded.event_epoch, excluded.event_seq) > (t.event_epoch, t.event_seq)
         then excluded.event_seq else t.event_seq end
     where t.side is null
        or (excluded.event_epoch, excluded.event_seq) > (t.event_epoch, t.event_seq)",
);

const NEWER_POSITION: Option<&str> = Some(
    "on conflict (venue, symbol, strategy) do update set
       qty = excluded.qty, cost = excluded.cost, realised = excluded.realised,
       unrealised = excluded.unrealised, fees = excluded.fees, mark = excluded.mark,
       fills = excluded.fills, base_fees = excluded.base_fees, updated_at = excluded.updated_at,
       event_epoch = excluded.event_epoch, event_seq = excluded.event_seq
     where (excluded.event_epoch, excluded.event_seq) > (t.event_epoch, t.event_seq)",
);

const NEWER_FUNDING: Option<&str> = Some(
    "on conflict (venue, symbol, strategy) do update set
       funding = excluded.funding, updated_at = excluded.updated_at,
       event_epoch = excluded.event_epoch, event_seq = excluded.event_seq
     where (excluded.event_epoch, excluded.event_seq) > (t.event_epoch, t.event_seq)",
);

row! {
    /// A run of a lane.
    EpochRow, "epochs", ONCE, {
        epoch: i32 => INT4,
        lane: i16 => INT2,
        seq: i64 => INT8,
        starts: i64 => INT8,
        started_at: At => TIMESTAMPTZ,
    }
}

row! {
    /// Where an order stands after a batch.
    OrderRow, "orders", NEWER_ORDER, {
        client_order_id: i64 => INT8,
        venue: &'static str => TEXT,
        symbol: Word<31> => TEXT,
        strategy: Option<i32> => INT4,
        side: Option<&'static str> => TEXT,
        kind: Option<&'static str> => TEXT,
        tif: Option<&'static str> => TEXT,
        price: Option<Numeric> => NUMERIC,
        qty: Option<Numeric> => NUMERIC,
        state: &'static str => TEXT,
        cum_qty: Numeric => NUMERIC,
        order_id: Option<Word<40>> => TEXT,
        reject_reason: Option<&'static str> => TEXT,
        reject_code: Option<i32> => INT4,
        durability: Option<&'static str> => TEXT,
        created_at: Option<At> => TIMESTAMPTZ,
        updated_at: At => TIMESTAMPTZ,
        event_epoch: i32 => INT4,
        event_seq: i64 => INT8,
    }
}

row! {
    /// One journal record about an order.
    EventRow, "order_events", ONCE, {
        epoch: i32 => INT4,
        lane: i16 => INT2,
        seq: i64 => INT8,
        at: At => TIMESTAMPTZ,
        kind: &'static str => TEXT,
        client_order_id: i64 => INT8,
        venue: &'static str => TEXT,
        symbol: Word<31> => TEXT,
        state: Option<&'static str> => TEXT,
        price: Option<Numeric> => NUMERIC,
        qty: Option<Numeric> => NUMERIC,
        cum_qty: Option<Numeric> => NUMERIC,
        order_id: Option<Word<40>> => TEXT,
        reason: Option<&'static str> => TEXT,
        code: Option<i32> => INT4,
        venue_at: Option<At> => TIMESTAMPTZ,
    }
}

row! {
    /// One execution.
    FillRow, "fills", ONCE, {
        venue: &'static str => TEXT,
        symbol: Word<31> => TEXT,
        trade_id: Word<40> => TEXT,
        client_order_id: Option<i64> => INT8,
        order_id: Word<40> => TEXT,
        side: &'static str => TEXT,
        price: Numeric => NUMERIC,
        qty: Numeric => NUMERIC,
        fee: Numeric => NUMERIC,
        fee_asset: Option<Word<15>> => TEXT,
        liquidity: &'static str => TEXT,
        at: At => TIMESTAMPTZ,
        venue_at: Option<At> => TIMESTAMPTZ,
        epoch: i32 => INT4,
        lane: i16 => INT2,
        seq: i64 => INT8,
    }
}

row! {
    /// A position after a fill.
    HistoryRow, "position_history", ONCE, {
        epoch: i32 => INT4,
        lane: i16 => INT2,
        seq: i64 => INT8,
        at: At => TIMESTAMPTZ,
        venue: &'static str => TEXT,
        symbol: Word<31> => TEXT,
        qty: Numeric => NUMERIC,
        cost: Numeric => NUMERIC,
        realised: Numeric => NUMERIC,
        unrealised: Numeric => NUMERIC,
        fees: Numeric => NUMERIC,
        mark: Numeric => NUMERIC,
        fills: i64 => INT8,
        base_fees: Numeric => NUMERIC,
        strategy: i32 => INT4,
    }
}

row! {
    /// The last position of a batch.
    PositionRow, "positions", NEWER_POSITION, {
        venue: &'static str => TEXT,
        symbol: Word<31> => TEXT,
        qty: Numeric => NUMERIC,
        cost: Numeric => NUMERIC,
        realised: Numeric => NUMERIC,
        unrealised: Numeric => NUMERIC,
        fees: Numeric => NUMERIC,
        mark: Numeric => NUMERIC,
        fills: i64 => INT8,
        base_fees: Numeric => NUMERIC,
        updated_at: At => TIMESTAMPTZ,
        event_epoch: i32 => INT4,
        event_seq: i64 => INT8,
        strategy: i32 => INT4,
    }
}

row! {
    /// A strategy's share of a funding payment.
    PaymentRow, "funding", ONCE, {
        venue: &'static str => TEXT,
        symbol: Word<31> => TEXT,
        strategy: i32 => INT4,
        payment: Word<40> => TEXT,
        share: Numeric => NUMERIC,
        amount: Numeric => NUMERIC,
        asset: Option<Word<15>> => TEXT,
        at: At => TIMESTAMPTZ,
        venue_at: Option<At> => TIMESTAMPTZ,
        epoch: i32 => INT4,
        lane: i16 => INT2,
        seq: i64 => INT8,
    }
}

row! {
    /// What a strategy's funding comes to after a batch.
    FundingRow, "position_funding", NEWER_FUNDING, {
        venue: &'static str => TEXT,
        symbol: Word<31> => TEXT,
        strategy: i32 => INT4,
        funding: Numeric => NUMERIC,
        updated_at: At => TIMESTAMPTZ,
        event_epoch: i32 => INT4,
        event_seq: i64 => INT8,
    }
}

row! {
    /// What risk and compliance read.
    RiskRow, "risk_events", ONCE, {
        epoch: i32 => INT4,
        lane: i16 => INT2,
        seq: i64 => INT8,
        at: At => TIMESTAMPTZ,
        kind: &'static str => TEXT,
        rule: Option<&'static str> => TEXT,
        client_order_id: Option<i64> => INT8,
        venue: Option<&'static str> => TEXT,
        symbol: Option<Word<31>> => TEXT,
        strategy: Option<i32> => INT4,
        observed: Option<Numeric> => NUMERIC,
        allowed: Option<Numeric> => NUMERIC,
        who: Option<Word<31>> => TEXT,
        detail: Option<String> => TEXT,
    }
}

row! {
    /// What a comparison with a venue came to.
    ReconciliationRow, "reconciliations", ONCE, {
        epoch: i32 => INT4,
        lane: i16 => INT2,
        seq: i64 => INT8,
        began_at: At => TIMESTAMPTZ,
        ended_at: At => TIMESTAMPTZ,
        venue: &'static str => TEXT,
        cause: &'static str => TEXT,
        compared: i64 => INT8,
        open_orders: i64 => INT8,
        missing: i64 => INT8,
        adopted: i64 => INT8,
        other_qty: i64 => INT8,
        late_fills: i64 => INT8,
        unknown: i64 => INT8,
        positions_differed: i64 => INT8,
        positions_corrected: i64 => INT8,
        balances_differed: i64 => INT8,
        balances_corrected: i64 => INT8,
    }
}

row! {
    /// A strategy's signal.
    SignalRow, "strategy_signals", ONCE, {
        epoch: i32 => INT4,
        lane: i16 => INT2,
        seq: i64 => INT8,
        at: At => TIMESTAMPTZ,
        strategy: i32 => INT4,
        venue: &'static str => TEXT,
        symbol: Word<31> => TEXT,
        value: i64 => INT8,
    }
}

row! {
    /// What a pair of orders made.
    PairRow, "pair_results", ONCE, {
        epoch: i32 => INT4,
        lane: i16 => INT2,
        seq: i64 => INT8,
        at: At => TIMESTAMPTZ,
        strategy: i32 => INT4,
        symbol: Word<31> => TEXT,
        qty: Numeric => NUMERIC,
        bought_at: Numeric => NUMERIC,
        sold_at: Numeric => NUMERIC,
        fees: Numeric => NUMERIC,
        fees_unknown: i64 => INT8,
        net: Numeric => NUMERIC,
        hedges: i64 => INT8,
    }
}

row! {
    /// A market event.
    TickRow, "market_data_ticks", None, {
        at: At => TIMESTAMPTZ,
        venue: &'static str => TEXT,
        symbol: Word<31> => TEXT,
        kind: &'static str => TEXT,
        bid_price: Option<Numeric> => NUMERIC,
        bid_qty: Option<Numeric> => NUMERIC,
        ask_price: Option<Numeric> => NUMERIC,
        ask_qty: Option<Numeric> => NUMERIC,
        side: Option<&'static str> => TEXT,
        price: Option<Numeric> => NUMERIC,
        qty: Option<Numeric> => NUMERIC,
        trade_id: Option<Word<40>> => TEXT,
        venue_at: Option<At> => TIMESTAMPTZ,
        lane: i16 => INT2,
    }
}

row! {
    /// How far a lane's rings are in the database.
    CursorRow, "drain_cursor", Some(
        "on conflict (lane) do update set epoch = excluded.epoch, seq = excluded.seq,
           born = excluded.born, ticks = excluded.ticks, updated_at = excluded.updated_at"
    ), {
        lane: i16 => INT2,
        epoch: i32 => INT4,
        seq: i64 => INT8,
        born: i64 => INT8,
        ticks: i64 => INT8,
        updated_at: At => TIMESTAMPTZ,
    }
}
