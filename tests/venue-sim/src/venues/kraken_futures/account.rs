//! Orders, fills, balances and positions in the words of the Unified WebSocket.
//!
//! Updates are sparse, as the venue's are: a new order is told whole, what comes after names it by its ids. Derivatives
//! have no `pending_new`. A trade that completes an order says `partially_filled`; `filled` follows by itself.

use super::reply::{Row, fill_id, list, order_id, side};
use super::time::rfc3339;
use crate::core::Core;
use crate::engine::{AccountId, Amount, Cause, Fill, Order, Size, Spec, State, Tif, What};
use crate::text;
use std::collections::BTreeMap;

/// Trades of an executions snapshot.
pub const SNAPSHOT_TRADES: usize = 50;
/// Why an IOC's rest was cancelled, and an order that met its own account's. [U]
const REASON_IOC: &str = "IOC order not filled";
const REASON_SELF: &str = "Self trade prevention";
/// Why the dead man's switch cancelled. [U]
const REASON_DEAD_MAN: &str = "Cancel all orders after";

/// One execution report: its type decides who gets it.
#[derive(Debug, Clone)]
pub struct Report {
    /// `new`, `trade`, `filled`, `canceled`, `amended`.
    pub kind: &'static str,
    /// The item.
    pub row: String,
}

fn status(state: State) -> &'static str {
    match state {
        State::Live => "new",
        State::Partial => "partially_filled",
        State::Filled => "filled",
        State::Canceled(_) => "canceled",
    }
}

const fn reason(cause: Cause) -> &'static str {
    match cause {
        Cause::User | Cause::CancelAll | Cause::Replaced => "User requested",
        Cause::PostOnly => "Post only order",
        Cause::Ioc | Cause::Fok => REASON_IOC,
        Cause::SelfTrade => REASON_SELF,
        Cause::DeadMan => REASON_DEAD_MAN,
    }
}

/// What an order asked for, in base increments: a budget has none until it is spent.
fn asked(spec: &Spec, order: &Order) -> String {
    match order.ask.size {
        Size::Base(_) => text::qty(spec, order.qty),
        Size::Quote(budget) => text::amount(budget),
    }
}

/// Average price of what is done.
pub fn average(spec: &Spec, order: &Order) -> String {
    let base = spec.base_amount(order.cum).max(1);
    text::trimmed(order.cum_quote.saturating_mul(100_000_000) / base, 8)
}

fn names(order: &Order) -> Row {
    let row = Row::new().text("order_id", &order_id(order.id));
    row.text_if("cl_ord_id", &order.ask.client_id)
}

/// An order told whole: when it is new, and in a snapshot.
fn whole(spec: &Spec, symbol: &str, order: &Order, kind: &str, at_ns: u64) -> String {
    let tif = match order.ask.tif {
        Tif::Gtc => "GTC",
        Tif::Ioc => "IOC",
        Tif::Fok => "FOK",
    };
    let is_post_only = order.ask.post_only != crate::engine::PostOnly::No;
    names(order)
        .text("symbol", symbol)
        .text("exec_type", kind)
        .text("order_status", status(order.state))
        .text("side", side(order.ask.side))
        .text("order_type", order.ask.type_name)
        .raw("order_qty", asked(spec, order))
        .raw_if(
            "limit_price",
            order.ask.price.map(|price| text::price(spec, price)),
        )
        .text("time_in_force", tif)
        .raw_if("post_only", is_post_only.then_some(true))
        .raw("cum_qty", text::qty(spec, order.cum))
        .text("timestamp", &rfc3339(at_ns, 6))
        .end()
}

/// A trade after which `cum` is done; in a snapshot with its side, which updates leave out.
fn trade(
    spec: &Spec,
    symbol: &str,
    order: &Order,
    (fill, cum): (Fill, i64),
    is_whole: bool,
) -> String {
    let fee = Row::new()
        .text("asset", &spec.quote)
        .raw("qty", text::amount(fill.fee));
    let side = if is_whole { side(order.ask.side) } else { "" };
    names(order)
        .text("symbol", symbol)
        .text("exec_type", "trade")
        .text("order_status", "partially_filled")
        .text("exec_id", &fill_id(fill.trade))
        .text_if("side", side)
        .raw("last_qty", text::qty(spec, fill.qty))
        .raw("last_price", text::price(spec, fill.price))
        .text("liquidity_ind", if fill.is_maker { "m" } else { "t" })
        .raw("cum_qty", text::qty(spec, cum))
        .raw("fees", list(&[fee.end()]))
        .text("timestamp", &rfc3339(fill.at_ns, 6))
        .end()
}

/// What an event of an order is told as.
pub fn reports(spec: &Spec, symbol: &str, order: &Order, what: What, now_ns: u64) -> Vec<Report> {
    let report = |kind, row| Report { kind, row };
    let short = |kind: &'static str| {
        let row = names(order).text("exec_type", kind);
        row.text("order_status", status(order.state))
    };
    let done = |row: Row| {
        row.raw("cum_qty", text::qty(spec, order.cum))
            .raw_if("avg_price", (order.cum > 0).then(|| average(spec, order)))
            .text("timestamp", &rfc3339(now_ns, 6))
            .end()
    };
    match what {
        What::New => vec![report("new", whole(spec, symbol, order, "new", now_ns))],
        What::Fill(fill) => {
            let mut told = vec![report(
                "trade",
                trade(spec, symbol, order, (fill, order.cum), false),
            )];
            if order.state == State::Filled {
                told.push(report("filled", done(short("filled"))));
            }
            told
        }
        What::Canceled(cause) => {
            let row = short("canceled").text("reason", reason(cause));
            vec![report("canceled", done(row))]
        }
        What::Amended => {
            let row = short("amended")
                .raw_if(
                    "limit_price",
                    order.ask.price.map(|price| text::price(spec, price)),
                )
                .raw("order_qty", asked(spec, order))
                .text("timestamp", &rfc3339(now_ns, 6));
            vec![report("amended", row.end())]
        }
    }
}

/// The items of an executions snapshot: open orders, then the latest trades, newest first.
pub fn snapshot(
    core: &Core,
    symbols: &[String],
    account: AccountId,
    has: (bool, bool),
) -> Vec<String> {
    let (has_orders, has_trades) = has;
    let symbol = |order: &Order| symbols.get(order.ask.inst).map_or("", String::as_str);
    let spec = |order: &Order| core.engine.spec(order.ask.inst);
    let orders = core.engine.open_orders(account).filter(|_| has_orders);
    let orders = orders.map(|order| {
        let kind = if order.cum == 0 { "new" } else { "status" };
        whole(spec(order), symbol(order), order, kind, order.updated_ns)
    });
    let trades = core.record.fills(account).rev();
    let trades = trades.take(if has_trades { SNAPSHOT_TRADES } else { 0 });
    // The record has each order as it is now: what came after a trade was not done then.
    let mut after: BTreeMap<u64, i64> = BTreeMap::new();
    let trades = trades.map(|(order, fill)| {
        let later = after.entry(order.id).or_default();
        let cum = order.cum - *later;
        *later += fill.qty;
        trade(spec(order), symbol(order), order, (fill, cum), true)
    });
    orders.chain(trades).collect()
}

/// Each asset of the instruments once: its name and place in the ledger.
pub fn assets(core: &Core) -> Vec<(String, usize)> {
    let mut found: Vec<(String, usize)> = Vec::new();
    for inst in 0..core.engine.instruments() {
        let spec = core.engine.spec(inst);
        for (name, asset) in [
            (&spec.quote, spec.quote_asset),
            (&spec.base, spec.base_asset),
        ] {
            if found.iter().all(|(_, known)| *known != asset) {
                found.push((name.clone(), asset));
            }
        }
    }
    found
}

/// All an account has of an asset, margin included.
pub fn total(core: &Core, account: AccountId, asset: usize) -> Amount {
    let balance = core.engine.ledger().balance(account, asset);
    balance.free + balance.locked
}

/// The items of a balances snapshot.
pub fn balances(core: &Core, account: AccountId) -> Vec<String> {
    let rows = assets(core).into_iter().map(|(name, asset)| {
        let balance = text::amount(total(core, account, asset));
        let wallet = Row::new().text("type", "spot").text("id", "main");
        Row::new()
            .text("asset", &name)
            .text("asset_class", "currency")
            .raw("balance", &balance)
            .raw("wallets", list(&[wallet.raw("balance", &balance).end()]))
            .end()
    });
    rows.collect()
}

/// What a balance became: by `amount` less `fee`.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The ledger's own number.
    pub id: u64,
    /// Realised, the fee not counted.
    pub amount: Amount,
    /// Charged.
    pub fee: Amount,
    /// What there is now.
    pub balance: Amount,
}

/// The item of a balances update.
pub fn ledger_entry(asset: &str, entry: Entry, now_ns: u64) -> String {
    let id = format!("{:012X}", entry.id & 0xffff_ffff_ffff);
    Row::new()
        .text("asset", asset)
        .text(
            "ledger_id",
            &format!("L{}-{}-{}", &id[..5], &id[5..8], &id[8..]),
        )
        .text("type", "trade")
        .raw("amount", text::amount(entry.amount))
        .raw("fee", text::amount(entry.fee))
        .raw("balance", text::amount(entry.balance))
        .text("timestamp", &rfc3339(now_ns, 6))
        .end()
}

/// A numbered push of a private channel.
pub fn push(channel: &str, kind: &str, rows: &[String], sequence: u64) -> String {
    let row = Row::new().text("channel", channel).text("type", kind);
    row.raw("data", list(rows)).raw("sequence", sequence).end()
}
