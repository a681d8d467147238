//! Bybit's words for orders, executions, positions, balances and refusals.
//!
//! Linear prints numbers with all their decimals and its ids as UUIDs, as recorded; spot's ids are digits, and its
//! numbers come without trailing zeros `[U]`.

use super::limits::Usage;
use super::{Category, FEE_PPM, FIRST};
use crate::core::Core;
use crate::engine::{
    AccountId, Amount, Cause, Fill, Order, Refusal, Side, Size, Spec, State, Tif, UNIT,
};
use crate::record::Payment;
use crate::text::{amount, fixed, trimmed};
use serde_json::{Map, Value, json};

/// What stands before the number in a linear order's id.
const ORDER_UUID: &str = "a4c1718e-fe53-4659-a118-";
/// The same of an execution.
const EXECUTION_UUID: &str = "20f43950-d8dd-5b31-9112-";
/// The same of a funding payment.
const FUNDING_UUID: &str = "c04a6b1d-2f7e-4c77-8d10-";
/// How far a linear market order may go from the last price, percent; recorded.
const MARKET_BAND: i64 = 5;
/// Where the cross sequence starts.
const SEQUENCE_FIRST: u64 = 7_961_638_724;

/// A refusal in Bybit's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// `retCode`.
    pub code: i64,
    /// `retMsg`.
    pub text: String,
}

impl Refused {
    /// A refusal.
    pub fn new(code: i64, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    /// A parameter that is missing or wrong.
    pub fn parameter(what: &str) -> Self {
        Self::new(10001, format!("params error: {what}"))
    }

    /// What spot and linear refuse in words of their own.
    pub fn either(category: Category, spot: (i64, &str), linear: (i64, &str)) -> Self {
        let (code, text) = match category {
            Category::Spot => spot,
            Category::Linear => linear,
        };
        Self::new(code, text)
    }

    /// No such order, or none that is open.
    pub fn unknown_order(category: Category) -> Self {
        let linear = (110001, "order not exists or too late to cancel");
        Self::either(category, (170213, "Order does not exist."), linear)
    }

    /// Too fast.
    pub fn too_fast() -> Self {
        Self::new(10006, "Too many visits. Exceeded the API Rate Limit.")
    }
}

/// A new order or amendment refused by the engine.
pub fn engine_refused(category: Category, refusal: Refusal) -> Refused {
    match refusal {
        Refusal::Balance => Refused::either(
            category,
            (170131, "Insufficient balance."),
            (110007, "ab not enough for new order"),
        ),
        Refusal::Duplicate => duplicate(category),
        Refusal::Unknown => Refused::unknown_order(category),
        Refusal::WouldTake | Refusal::Amend | Refusal::Overflow => {
            Refused::parameter("Qty invalid")
        }
    }
}

/// The client's id was used before.
pub fn duplicate(category: Category) -> Refused {
    let linear = (110072, "OrderLinkedID is duplicate");
    Refused::either(category, (170141, "Duplicate clientOrderId."), linear)
}

/// The word for a side.
pub const fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "Buy",
        Side::Sell => "Sell",
    }
}

/// A price as this category prints it.
pub fn px(spec: &Spec, price: i64) -> String {
    number(spec, price, spec.price_decimals)
}

/// A quantity as this category prints it.
pub fn sz(spec: &Spec, qty: i64) -> String {
    number(spec, qty, spec.qty_decimals)
}

fn number(spec: &Spec, value: i64, decimals: u8) -> String {
    if spec.is_contract && value != 0 {
        fixed(i128::from(value), decimals, decimals)
    } else {
        trimmed(i128::from(value), decimals)
    }
}

fn ms(ns: u64) -> String {
    (ns / 1_000_000).to_string()
}

/// A sequence over all topics: later is larger, and it leaves numbers out.
pub fn sequence(core: &Core, inst: usize) -> u64 {
    SEQUENCE_FIRST + core.engine.update_id(inst) + core.now / 1_000_000
}

fn id_text(category: Category, uuid: &str, id: u64, first: u64) -> String {
    match category {
        Category::Spot => id.to_string(),
        Category::Linear => format!("{uuid}{:012x}", id.wrapping_sub(first) & 0xffff_ffff_ffff),
    }
}

/// An order's id in the venue's words.
pub fn order_id(category: Category, id: u64) -> String {
    id_text(category, ORDER_UUID, id, FIRST.order)
}

/// The engine's number of an order's id.
pub fn parse_order_id(text: &str) -> Option<u64> {
    match text.strip_prefix(ORDER_UUID) {
        Some(node) => FIRST.order.checked_add(u64::from_str_radix(node, 16).ok()?),
        None => text.parse().ok(),
    }
}

/// An execution's id in the venue's words; public and private.
pub fn execution_id(category: Category, trade: u64) -> String {
    id_text(category, EXECUTION_UUID, trade, FIRST.trade)
}

/// The id of a private message.
pub fn push_id(number: u64) -> String {
    format!("5923240c6880ab-c59f-420b-9adb-{number:012x}")
}

/// What an order keeps of its request beside what the engine knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Echo {
    /// `smpType`; the engine cancels the taker whatever it says.
    pub smp: String,
    /// `marketUnit` of a spot market order.
    pub unit: String,
    /// The last price when it was made.
    pub last: i64,
    /// Whether it may only reduce a position.
    pub is_reduce_only: bool,
}

impl Echo {
    /// As an order carries it.
    pub fn text(&self) -> String {
        let Self {
            smp,
            unit,
            last,
            is_reduce_only,
        } = self;
        format!("{smp}\n{unit}\n{last}\n{is_reduce_only}")
    }

    fn of(order: &Order) -> Self {
        let mut parts = order.ask.echo.split('\n');
        let mut next = || parts.next().unwrap_or("").to_owned();
        Self {
            smp: next(),
            unit: next(),
            last: next().parse().unwrap_or(0),
            is_reduce_only: next() == "true",
        }
    }
}

/// `orderStatus`, `cancelType` and `rejectReason`.
fn standing(category: Category, order: &Order) -> (&'static str, &'static str, &'static str) {
    const NO: (&str, &str) = ("UNKNOWN", "EC_NoError");
    let cause = match order.state {
        State::Live => return ("New", NO.0, NO.1),
        State::Partial => return ("PartiallyFilled", NO.0, NO.1),
        State::Filled => return ("Filled", NO.0, NO.1),
        State::Canceled(cause) => cause,
    };
    let (kind, reason) = match cause {
        Cause::User | Cause::CancelAll | Cause::Replaced => ("CancelByUser", "EC_PerCancelRequest"),
        Cause::Ioc => ("UNKNOWN", "EC_NoImmediateQtyToFill"),
        Cause::Fok => ("UNKNOWN", "EC_CancelForNoFullFill"),
        Cause::PostOnly => ("UNKNOWN", "EC_PostOnlyWillTakeLiquidity"),
        Cause::SelfTrade => ("CancelBySmp", "EC_BySelfMatch"),
        Cause::DeadMan => ("CancelByDCP", "EC_PerCancelRequest"),
    };
    // A linear order is Cancelled whatever was done of it.
    let status = match category {
        Category::Spot if order.cum > 0 => "PartiallyFilledCanceled",
        _ => "Cancelled",
    };
    (status, kind, reason)
}

/// Average price of what is done.
fn average(spec: &Spec, order: &Order) -> String {
    match spec.base_amount(order.cum) {
        0 => String::new(),
        base => trimmed(order.cum_quote.saturating_mul(100_000_000) / base, 8),
    }
}

/// What a fee is charged in: spot in what was received, linear in the settlement asset.
pub fn fee_asset(spec: &Spec, side: Side) -> &str {
    if side == Side::Buy && !spec.is_contract {
        &spec.base
    } else {
        &spec.quote
    }
}

/// `Limit` or `Market`.
const fn order_type(order: &Order) -> &'static str {
    match order.ask.price {
        Some(_) => "Limit",
        None => "Market",
    }
}

fn time_in_force(order: &Order) -> &'static str {
    match (order.ask.post_only, order.ask.tif) {
        (crate::engine::PostOnly::No, Tif::Gtc) => "GTC",
        (crate::engine::PostOnly::No, Tif::Ioc) => "IOC",
        (crate::engine::PostOnly::No, Tif::Fok) => "FOK",
        _ => "PostOnly",
    }
}

/// The price of an order; of a linear market order the limit it is converted to.
fn order_price(spec: &Spec, order: &Order, echo: &Echo) -> String {
    match (order.ask.price, order.ask.side) {
        (Some(price), _) => px(spec, price),
        (None, _) if !spec.is_contract => "0".to_owned(),
        (None, Side::Buy) => px(spec, echo.last / 100 * (100 + MARKET_BAND)),
        (None, Side::Sell) => px(spec, echo.last / 100 * (100 - MARKET_BAND)),
    }
}

fn asked(spec: &Spec, order: &Order) -> String {
    match order.ask.size {
        Size::Quote(budget) => amount(budget),
        Size::Base(_) => sz(spec, order.qty),
    }
}

fn leaves(order: &Order) -> i64 {
    if order.state.is_open() {
        order.leaves()
    } else {
        0
    }
}

/// An order as REST and the `order` topic show it.
pub fn order_row(core: &Core, symbol: &str, order: &Order) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let category = Category::of(spec);
    let echo = Echo::of(order);
    let (status, cancel_type, reason) = standing(category, order);
    let left = order
        .ask
        .price
        .and_then(|price| spec.notional(price, leaves(order)));
    json!({
        "category": category.name(), "symbol": symbol,
        "orderId": order_id(category, order.id), "orderLinkId": &*order.ask.client_id,
        "blockTradeId": "", "side": side(order.ask.side), "positionIdx": 0,
        "orderStatus": status, "cancelType": cancel_type, "rejectReason": reason,
        "timeInForce": time_in_force(order), "isLeverage": if spec.is_contract { "" } else { "0" },
        "price": order_price(spec, order, &echo), "qty": asked(spec, order),
        "avgPrice": average(spec, order), "leavesQty": sz(spec, leaves(order)),
        "leavesValue": amount(left.unwrap_or(0)), "cumExecQty": sz(spec, order.cum),
        "cumExecValue": amount(order.cum_quote), "cumExecFee": amount(order.fee),
        "orderType": order_type(order), "stopOrderType": "", "orderIv": "", "triggerPrice": "",
        "takeProfit": "", "stopLoss": "", "triggerBy": "", "tpTriggerBy": "", "slTriggerBy": "",
        "triggerDirection": 0, "placeType": "", "lastPriceOnCreated": px(spec, echo.last),
        "closeOnTrigger": false, "reduceOnly": echo.is_reduce_only, "smpGroup": 0,
        "smpType": echo.smp, "smpOrderId": "", "slLimitPrice": "0", "tpLimitPrice": "0",
        "tpslMode": "UNKNOWN", "createType": "CreateByUser", "marketUnit": echo.unit,
        "createdTime": ms(order.created_ns), "updatedTime": ms(order.updated_ns),
        "feeCurrency": "", "closedPnl": "0",
    })
}

/// The second `Filled` of an order whose cancel came late.
pub fn late_cancel_row(core: &Core, symbol: &str, order: &Order) -> Value {
    let mut row = order_row(core, symbol, order);
    row["cancelType"] = json!("CancelByUser");
    row["rejectReason"] = json!("EC_OrigClOrdIDDoesNotExist");
    row
}

/// A fill as the `execution` topic shows it.
pub fn execution_row(core: &Core, symbol: &str, order: &Order, fill: Fill) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let category = Category::of(spec);
    let value = spec.notional(fill.price, fill.qty).unwrap_or(0);
    let mark = if spec.is_contract {
        px(spec, core.engine.day(order.ask.inst).last)
    } else {
        String::new()
    };
    json!({
        "category": category.name(), "symbol": symbol, "execFee": amount(fill.fee),
        "execId": execution_id(category, fill.trade), "execPrice": px(spec, fill.price),
        "execQty": sz(spec, fill.qty), "execType": "Trade", "execValue": amount(value),
        "isMaker": fill.is_maker, "feeRate": trimmed(i128::from(FEE_PPM), 6), "tradeIv": "",
        "markIv": "", "blockTradeId": "", "markPrice": mark, "indexPrice": "",
        "underlyingPrice": "", "leavesQty": sz(spec, leaves(order)),
        "orderId": order_id(category, order.id), "orderLinkId": &*order.ask.client_id,
        "orderPrice": order_price(spec, order, &Echo::of(order)), "orderQty": asked(spec, order),
        "orderType": order_type(order), "stopOrderType": "UNKNOWN",
        "side": side(order.ask.side), "execTime": ms(fill.at_ns), "isLeverage": "0",
        "closedSize": "", "seq": sequence(core, order.ask.inst),
    })
}

/// A funding payment as the `execution` topic and the list of executions show it: what was paid is a fee.
pub fn funding_row(core: &Core, symbol: &str, payment: &Payment) -> Value {
    let spec = core.engine.spec(payment.inst);
    let category = Category::of(spec);
    let qty = core.engine.position(payment.account, payment.inst).qty;
    let price = px(spec, core.engine.day(payment.inst).last);
    json!({
        "category": category.name(), "symbol": symbol, "execFee": amount(-payment.amount),
        "execId": format!("{FUNDING_UUID}{:012x}", payment.id), "execPrice": price,
        "execQty": sz(spec, qty.abs()), "execType": "Funding", "execValue": "", "isMaker": false,
        "feeRate": "", "tradeIv": "", "markIv": "", "blockTradeId": "", "markPrice": price,
        "indexPrice": "", "underlyingPrice": "", "leavesQty": "0", "orderId": "",
        "orderLinkId": "", "orderPrice": "0", "orderQty": "0", "orderType": "UNKNOWN",
        "stopOrderType": "UNKNOWN", "side": if qty < 0 { "Sell" } else { "Buy" },
        "execTime": ms(payment.at_ns), "isLeverage": "0", "closedSize": "",
        "seq": sequence(core, payment.inst),
    })
}

/// The same as `execution.fast` shows it.
pub fn fast_row(row: &Value) -> Value {
    const KEPT: [&str; 11] = [
        "category",
        "symbol",
        "execId",
        "execPrice",
        "execQty",
        "orderId",
        "isMaker",
        "orderLinkId",
        "side",
        "execTime",
        "seq",
    ];
    let kept = KEPT
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), row.get(*key)?.clone())));
    Value::Object(kept.collect())
}

/// A position's value at the last price, and what it is worth more than it cost.
fn worth(core: &Core, account: AccountId, inst: usize) -> (Amount, Amount) {
    let held = core.engine.position(account, inst);
    let (spec, last) = (core.engine.spec(inst), core.engine.day(inst).last);
    let value = spec.notional(last, held.qty.abs()).unwrap_or(0);
    (value, (value - held.cost) * Amount::from(held.qty.signum()))
}

/// A position in a perpetual; `entry_key` names its price, `entryPrice` on the stream and `avgPrice` in REST.
pub fn position_row(
    core: &Core,
    symbol: &str,
    (account, inst): (AccountId, usize),
    entry_key: &str,
) -> Value {
    let (held, spec) = (core.engine.position(account, inst), core.engine.spec(inst));
    let (_, unrealised) = worth(core, account, inst);
    let entry = match spec.base_amount(held.qty.abs()) {
        0 => "0".to_owned(),
        base => trimmed(held.cost.saturating_mul(100_000_000) / base, 8),
    };
    let word = match held.qty.signum() {
        1 => "Buy",
        -1 => "Sell",
        _ => "",
    };
    json!({
        "positionIdx": 0, "tradeMode": 0, "riskId": 1, "riskLimitValue": "2000000",
        "symbol": symbol, "side": word, "size": sz(spec, held.qty.abs()), (entry_key): entry,
        "leverage": "10", "positionValue": amount(held.cost),
        "positionBalance": "0", "markPrice": px(spec, core.engine.day(inst).last),
        "positionIM": "0", "positionMM": "0", "takeProfit": "0", "stopLoss": "0",
        "trailingStop": "0", "unrealisedPnl": amount(unrealised),
        "cumRealisedPnl": amount(held.realised), "curRealisedPnl": amount(held.realised),
        "createdTime": "1672121182216", "updatedTime": ms(core.now), "tpslMode": "Full",
        "liqPrice": "", "bustPrice": "", "category": "linear", "positionStatus": "Normal",
        "adlRankIndicator": 2, "isReduceOnly": false, "seq": sequence(core, inst),
    })
}

/// What an account's perpetual orders hold of an asset, and what its positions have gained in it.
fn margin(core: &Core, account: AccountId, asset: usize) -> (Amount, Amount) {
    let engine = &core.engine;
    let is_ours = |inst: usize| {
        let spec = engine.spec(inst);
        spec.is_contract && spec.quote_asset == asset
    };
    let orders = engine.open_orders(account);
    let held = orders
        .filter(|order| is_ours(order.ask.inst))
        .map(|order| order.held)
        .sum();
    let gained = (0..engine.instruments())
        .filter(|inst| is_ours(*inst))
        .map(|inst| worth(core, account, inst).1)
        .sum();
    (held, gained)
}

/// The wallet of an account; all coins of it, or those of one instrument.
pub fn wallet(core: &Core, account: AccountId, inst: Option<usize>) -> Value {
    let engine = &core.engine;
    let insts = match inst {
        Some(inst) => inst..inst + 1,
        None => 0..engine.instruments(),
    };
    let mut seen: Vec<usize> = Vec::new();
    let mut coins: Vec<Value> = Vec::new();
    let (mut total, mut orders) = (0, 0);
    for inst in insts {
        let spec = engine.spec(inst);
        let unit = 10i64.pow(spec.qty_decimals.into());
        let last = spec.notional(engine.day(inst).last, unit).unwrap_or(0);
        let base = (!spec.is_contract).then_some((&spec.base, spec.base_asset, last));
        let all = base
            .into_iter()
            .chain([(&spec.quote, spec.quote_asset, UNIT)]);
        for (name, asset, price) in all {
            if seen.contains(&asset) {
                continue;
            }
            seen.push(asset);
            let balance = engine.ledger().balance(account, asset);
            let (order_margin, gained) = margin(core, account, asset);
            let held = balance.free + balance.locked;
            let usd = (held + gained) / 1_000_000 * (price / 1_000_000);
            (total, orders) = (total + usd, orders + order_margin);
            coins.push(json!({
                "coin": name, "equity": amount(held + gained), "usdValue": fixed(usd, 12, 8),
                "walletBalance": amount(held), "locked": amount(balance.locked - order_margin),
                "availableToWithdraw": "", "availableToBorrow": "", "borrowAmount": "0",
                "accruedInterest": "0", "totalOrderIM": amount(order_margin),
                "totalPositionIM": "0", "totalPositionMM": "0", "unrealisedPnl": amount(gained),
                "cumRealisedPnl": "0", "bonus": "0",
            }));
        }
    }
    let total = fixed(total, 12, 8);
    json!({
        "accountIMRate": "0", "accountMMRate": "0", "totalEquity": total,
        "totalWalletBalance": total, "totalMarginBalance": total,
        "totalAvailableBalance": total, "totalPerpUPL": "0",
        "totalInitialMargin": amount(orders), "totalMaintenanceMargin": "0", "coin": coins,
        "accountType": "UNIFIED", "accountLTV": "0",
    })
}

/// The headers that tell an account how its pool stands; `Timenow` alone where none was asked.
pub fn usage_headers(usage: Option<Usage>, core: &Core) -> Vec<(&'static str, String)> {
    let trace = core.now.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let told = usage.map(|usage| {
        [
            ("X-Bapi-Limit", usage.limit.to_string()),
            ("X-Bapi-Limit-Status", usage.left.to_string()),
            ("X-Bapi-Limit-Reset-Timestamp", usage.reset_ms.to_string()),
            ("Traceid", format!("{trace:032x}")),
        ]
    });
    let now = ("Timenow", core.venue_ms().to_string());
    told.into_iter().flatten().chain([now]).collect()
}

/// `{"retCode":…,"retMsg":…,"result":…,"retExtInfo":…,"time":…}`.
pub fn envelope(result: Result<(Value, Value), &Refused>, time_ms: i64) -> Value {
    let (code, text, result, ext) = match result {
        Ok((result, ext)) => (0, "OK", result, ext),
        Err(refused) => (refused.code, refused.text.as_str(), json!({}), json!({})),
    };
    let mut map = Map::new();
    map.insert("retCode".into(), json!(code));
    map.insert("retMsg".into(), json!(text));
    map.insert("result".into(), result);
    map.insert("retExtInfo".into(), ext);
    map.insert("time".into(), json!(time_ms));
    Value::Object(map)
}
