//! Bitfinex's words: numbers, orders, executions, wallets, notifications and refusals.
//!
//! ```text
//!  order      [ID,GID,CID,SYMBOL,CREATED,UPDATED,AMOUNT left,AMOUNT_ORIG,TYPE,…,STATUS,…,PRICE,PRICE_AVG,…]      32
//!  execution  [ID,SYMBOL,MTS,ORDER_ID,AMOUNT,PRICE,TYPE,ORDER_PRICE,MAKER,FEE,FEE_CURRENCY,CID]                  12
//!  notice     [MTS,TYPE,MESSAGE_ID,null,DATA,CODE,STATUS,TEXT]                                                    8
//! ```
//! Numbers are printed as JavaScript does (`65000`, `4e-7`), only within sentences as `65000.0`. The sign of an
//! amount is the side.

use crate::core::Core;
use crate::engine::{Amount, Cause, Fill, Order, Refusal, Side, Spec, State};
use crate::text;
use serde_json::{Number, Value, json};

/// A generic refusal: its text says what it is.
pub const GENERIC: i64 = 10_001;
/// Parameters that are missing or wrong.
pub const PARAMETERS: i64 = 10_020;
/// Too many requests.
pub const RATE: i64 = 11_010;
/// Maintenance.
pub const MAINTENANCE: i64 = 20_060;

/// Decimals of amounts.
pub const AMOUNT_DECIMALS: u8 = 8;
/// Significant digits of a price.
const PRICE_DIGITS: u32 = 5;
/// Decimals of balances: what is finer is not shown.
const BALANCE_DECIMALS: u8 = 10;

/// A refusal in Bitfinex's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// HTTP status, where it is a request's.
    pub status: u16,
    /// Error code.
    pub code: i64,
    /// Its text.
    pub text: String,
}

impl Refused {
    /// A refusal of an order or a question.
    pub fn new(code: i64, text: impl Into<String>) -> Self {
        Self {
            status: 500,
            code,
            text: text.into(),
        }
    }

    /// An order refused in a sentence.
    pub fn order(text: impl Into<String>) -> Self {
        Self::new(GENERIC, text)
    }

    /// A parameter that is missing or wrong.
    pub fn parameter(name: &str) -> Self {
        Self::new(PARAMETERS, format!("{name}: invalid"))
    }

    /// Too fast, on the order socket.
    pub fn too_fast() -> Self {
        Self::new(RATE, "ratelimit: error")
    }

    /// No such open order.
    pub fn unknown_order() -> Self {
        Self::order("Order not found.")
    }

    /// The venue is in maintenance.
    pub fn maintenance() -> Self {
        Self::new(MAINTENANCE, "maintenance")
    }

    /// `["error",CODE,TEXT]`.
    pub fn row(&self) -> Value {
        json!(["error", self.code, self.text])
    }
}

/// A new order or amendment refused by the engine.
pub fn engine_refused(refusal: Refusal, amount: &Value, pair: &str, price: &Value) -> Refused {
    match refusal {
        Refusal::Balance => Refused::order(format!(
            "Invalid order: not enough exchange balance for {amount} {pair} at {price}"
        )),
        // [U]: the page knows the sentence, not its exact words.
        Refusal::Duplicate => Refused::order("duplicate cid"),
        Refusal::Unknown => Refused::unknown_order(),
        Refusal::WouldTake | Refusal::Amend | Refusal::Overflow => Refused::parameter("amount"),
    }
}

/// A number's text as JavaScript prints it: no zeros at the end, an exponent below 10^-6.
pub fn js(value: i128, decimals: u8) -> String {
    let digits = match u64::try_from(value.unsigned_abs()) {
        Ok(value) => value.to_string(),
        Err(_) => value.unsigned_abs().to_string(),
    };
    let figures = digits.trim_end_matches('0');
    if figures.is_empty() {
        return "0".to_owned();
    }
    let sign = if value < 0 { "-" } else { "" };
    // Figures before the point; below 0 the zeros behind it.
    let point = digits.len() as i32 - i32::from(decimals);
    let zeros = |count: i32| "0".repeat(count.unsigned_abs() as usize);
    if point <= -6 {
        let (first, rest) = figures.split_at_checked(1).unwrap_or((figures, ""));
        let dot = if rest.is_empty() { "" } else { "." };
        return format!("{sign}{first}{dot}{rest}e-{}", 1 - point);
    }
    if point <= 0 {
        return format!("{sign}0.{}{figures}", zeros(point));
    }
    match figures.split_at_checked(point as usize) {
        Some((whole, "")) => format!("{sign}{whole}"),
        Some((whole, part)) => format!("{sign}{whole}.{part}"),
        None => format!("{sign}{figures}{}", zeros(point - figures.len() as i32)),
    }
}

/// As [`js`], as a JSON number.
pub fn number(value: i128, decimals: u8) -> Value {
    let number = js(value, decimals).parse::<Number>();
    number.map_or(Value::Null, Value::Number)
}

/// A price.
pub fn price(spec: &Spec, price: i64) -> Value {
    number(i128::from(price), spec.price_decimals)
}

/// A quantity with the sign of its side.
pub fn amount(spec: &Spec, side: Side, qty: i64) -> Value {
    number(signed(side, qty), spec.qty_decimals)
}

fn signed(side: Side, qty: i64) -> i128 {
    match side {
        Side::Buy => i128::from(qty),
        Side::Sell => -i128::from(qty),
    }
}

/// A number as the sentences have it: `65000.0`.
pub fn spelled(value: i128, decimals: u8) -> String {
    let plain = text::trimmed(value, decimals);
    if plain.contains('.') {
        plain
    } else {
        plain + ".0"
    }
}

/// The step of prices with so many significant digits at a price, both in increments.
pub fn step_at(price: i64, digits: u32) -> i64 {
    let limit = 10i64.saturating_pow(digits.max(1));
    let mut step = 1i64;
    while price / step >= limit {
        step = step.saturating_mul(10);
    }
    step
}

/// A price as the venue takes it: what is finer than five digits is cut. [U]: the documentation says cut, the
/// venue's own client library rounds.
pub fn five_digits(price: i64) -> i64 {
    price - price % step_at(price, PRICE_DIGITS)
}

/// The venue's name of an asset.
pub fn currency(asset: &str) -> &str {
    match asset {
        "USDT" => "UST",
        "USDC" => "UDC",
        "EURT" => "EUT",
        name => name,
    }
}

/// A pair as the lists name it: a colon parts tickers that are longer than three letters.
pub fn pair(base: &str, quote: &str) -> String {
    let (base, quote) = (currency(base), currency(quote));
    let colon = if base.len() > 3 || quote.len() > 3 {
        ":"
    } else {
        ""
    };
    format!("{base}{colon}{quote}")
}

/// Average price of so much at such a cost; 0 of nothing.
fn average(spec: &Spec, cost: Amount, qty: i64) -> (i128, u8) {
    let base = spec.base_amount(qty);
    let scaled = cost.saturating_mul(100_000_000).checked_div(base);
    (scaled.unwrap_or(0), 8)
}

/// What the order's executions say: the last one, and all before it as one.
fn executions(spec: &Spec, order: &Order, word: &str) -> String {
    let Some(last) = order.last else {
        return word.to_owned();
    };
    let side = order.ask.side;
    let said = |price: String, qty: i64| {
        format!(
            "@ {price}({})",
            spelled(signed(side, qty), spec.qty_decimals)
        )
    };
    let at = spelled(i128::from(last.price), spec.price_decimals);
    let now = format!("{word} {}", said(at, last.qty));
    let before = order.cum - last.qty;
    if before <= 0 {
        return now;
    }
    let last_cost = spec.notional(last.price, last.qty).unwrap_or(0);
    let (value, decimals) = average(spec, order.cum_quote - last_cost, before);
    let earlier = said(spelled(value, decimals), before);
    format!("{now}: was PARTIALLY FILLED {earlier}")
}

/// An order's STATUS.
pub fn status(spec: &Spec, order: &Order) -> String {
    let cause = match order.state {
        State::Live => return "ACTIVE".to_owned(),
        State::Partial => return executions(spec, order, "PARTIALLY FILLED"),
        State::Filled => return executions(spec, order, "EXECUTED"),
        State::Canceled(cause) => cause,
    };
    let word = match cause {
        Cause::Ioc if order.ask.price.is_some() => "IOC CANCELED",
        Cause::Fok => "FILLORKILL CANCELED",
        Cause::PostOnly => "POSTONLY CANCELED",
        Cause::Ioc
        | Cause::User
        | Cause::CancelAll
        | Cause::Replaced
        | Cause::SelfTrade
        | Cause::DeadMan => "CANCELED",
    };
    if order.cum > 0 {
        let was = executions(spec, order, "PARTIALLY FILLED");
        format!("{word} was: {was}")
    } else {
        word.to_owned()
    }
}

/// What an order keeps to be echoed: its group, flags and meta, as JSON.
pub fn kept(group: Option<i64>, flags: u64, meta: &Value) -> String {
    json!([group, flags, meta]).to_string()
}

/// An order's client id; the venue gives those without one the millisecond of their submission.
pub fn client_id(order: &Order) -> u64 {
    let given = order.ask.client_id.parse();
    given.unwrap_or(order.created_ns / 1_000_000)
}

/// The group an order was placed in.
pub fn group(order: &Order) -> Value {
    let kept: Value = serde_json::from_str(&order.ask.echo).unwrap_or_default();
    kept.get(0).cloned().unwrap_or_default()
}

/// An order as lists and channel 0 show it.
pub fn order_row(core: &Core, symbol: &str, order: &Order) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let ms = |ns: u64| ns / 1_000_000;
    let kept: Value = serde_json::from_str(&order.ask.echo).unwrap_or_default();
    let echo = |at: usize| kept.get(at).cloned().unwrap_or_default();
    let (paid, decimals) = average(spec, order.cum_quote, order.cum);
    let side = order.ask.side;
    json!([
        order.id,
        echo(0),
        client_id(order),
        symbol,
        ms(order.created_ns),
        ms(order.updated_ns),
        amount(spec, side, order.leaves()),
        amount(spec, side, order.qty),
        order.ask.type_name,
        null,
        null,
        null,
        echo(1),
        status(spec, order),
        null,
        null,
        price(spec, order.ask.price.unwrap_or(0)),
        number(paid, decimals),
        0,
        0,
        null,
        null,
        null,
        0,
        0,
        null,
        null,
        null,
        "API>BFX",
        null,
        null,
        echo(2),
    ])
}

/// The order array of a request that was refused: only what was asked is in it.
pub fn refused_row(id: Value, client_id: Value, amount: Value, price: Value) -> Value {
    let mut row = vec![Value::Null; 32];
    for (at, value) in [
        (0, id),
        (2, client_id),
        (6, amount),
        (16, price),
        (23, json!(0)),
    ] {
        if let Some(place) = row.get_mut(at) {
            *place = value;
        }
    }
    Value::Array(row)
}

/// One own execution; its fee is in `tu` and in lists, not in `te`.
pub fn fill_row(core: &Core, symbol: &str, order: &Order, fill: Fill, has_fee: bool) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let (fee, fee_currency) = if has_fee {
        let asset = match order.ask.side {
            Side::Buy => &spec.base,
            Side::Sell => &spec.quote,
        };
        (number(-fill.fee, 12), json!(currency(asset)))
    } else {
        (Value::Null, Value::Null)
    };
    json!([
        fill.trade,
        symbol,
        fill.at_ns / 1_000_000,
        order.id,
        amount(spec, order.ask.side, fill.qty),
        price(spec, fill.price),
        order.ask.type_name,
        price(spec, order.ask.price.unwrap_or(0)),
        if fill.is_maker { 1 } else { -1 },
        fee,
        fee_currency,
        client_id(order),
    ])
}

/// An asset of an account: `[WALLET_TYPE,CURRENCY,BALANCE,UNSETTLED_INTEREST,BALANCE_AVAILABLE,DESCRIPTION,META]`.
/// What is available is told in lists and where it was asked for.
pub fn wallet_row(
    core: &Core,
    account: usize,
    name: &str,
    asset: usize,
    is_computed: bool,
) -> Value {
    let balance = core.engine.ledger().balance(account, asset);
    let cut = |amount: Amount| number(amount / 100, BALANCE_DECIMALS);
    let available = if is_computed {
        cut(balance.free)
    } else {
        Value::Null
    };
    json!([
        "exchange",
        currency(name),
        cut(balance.free + balance.locked),
        0,
        available,
        null,
        null
    ])
}

/// The assets there are, each once: the engine's name and its index in the ledger.
pub fn assets(core: &Core) -> Vec<(String, usize)> {
    let mut found: Vec<(String, usize)> = Vec::new();
    for inst in 0..core.engine.instruments() {
        let spec = core.engine.spec(inst);
        for (name, asset) in [
            (&spec.base, spec.base_asset),
            (&spec.quote, spec.quote_asset),
        ] {
            if found.iter().all(|(_, known)| *known != asset) {
                found.push((name.clone(), asset));
            }
        }
    }
    found
}

/// All wallets of an account.
pub fn wallets(core: &Core, account: usize) -> Vec<Value> {
    let assets = assets(core);
    let rows = assets.iter();
    rows.map(|(name, asset)| wallet_row(core, account, name, *asset, true))
        .collect()
}

/// The words of an order in a sentence: `exchange limit buy order for 0.001 BTC`.
pub fn described(core: &Core, order: &Order) -> String {
    let spec = core.engine.spec(order.ask.inst);
    let side = match order.ask.side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    };
    format!(
        "{} {side} order for {} {}",
        order.ask.type_name.to_ascii_lowercase(),
        spelled(i128::from(order.leaves()), spec.qty_decimals),
        currency(&spec.base)
    )
}

/// A notification; `mts` is in milliseconds on a socket and in seconds over REST.
pub fn notice(mts: i64, kind: &str, data: Value, result: Result<&str, &Refused>) -> Value {
    let (code, status, text) = match result {
        Ok(text) => (Value::Null, "SUCCESS", text),
        // The generic code is not told: the text says it all.
        Err(refused) if refused.code == GENERIC => (Value::Null, "ERROR", refused.text.as_str()),
        Err(refused) => (json!(refused.code), "ERROR", refused.text.as_str()),
    };
    json!([mts, kind, null, null, data, code, status, text])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_javascript_prints_them() {
        for (value, decimals, want) in [
            (6_500_000, 2, "65000"),
            (-150_000_000, 8, "-1.5"),
            (1, 6, "0.000001"),
            (56, 8, "5.6e-7"),
            (-40, 8, "-4e-7"),
            (1, 12, "1e-12"),
            (-123_456_789, 15, "-1.23456789e-7"),
            (650_001, 1, "65000.1"),
            (10i128.pow(22), 2, "100000000000000000000"),
            (0, 8, "0"),
        ] {
            assert_eq!(js(value, decimals), want);
            assert_eq!(number(value, decimals).to_string(), want);
        }
        assert_eq!(spelled(650_000, 1), "65000.0");
        assert_eq!(spelled(-20_000_000, 8), "-0.2");
    }

    #[test]
    fn prices_are_cut_to_five_digits() {
        for (price, want) in [
            (650_015, 650_010),
            (99_999, 99_999),
            (100_001, 100_000),
            (1_234_567, 1_234_500),
            (7, 7),
        ] {
            assert_eq!(five_digits(price), want);
        }
    }

    #[test]
    fn pairs_with_long_tickers_have_a_colon() {
        assert_eq!(pair("BTC", "USDT"), "BTCUST");
        assert_eq!(pair("DUSK", "USD"), "DUSK:USD");
        assert_eq!(pair("ETH", "USDC"), "ETHUDC");
    }
}
