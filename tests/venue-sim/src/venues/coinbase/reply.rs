//! Coinbase's words for ids, times, orders, fills and refusals.

use crate::core::{Core, Response};
use crate::engine::{AccountId, Cause, Fill, Order, PostOnly, Refusal, Side, Size, State, Tif};
use crate::text::{amount, fixed, price, qty};
use serde_json::{Map, Value, json};

/// Fees on resting and taking orders, parts per million: the venue's first tier.
pub const FEES_PPM: [i64; 2] = [4_000, 6_000];

/// A refusal: the venue has words and no codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// HTTP status.
    pub status: u16,
    /// What is said.
    pub text: String,
}

impl Refused {
    /// A refusal with its status.
    pub fn new(status: u16, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
        }
    }

    /// There is nothing of that name.
    pub fn not_found() -> Self {
        Self::new(404, "NotFound")
    }

    /// Too fast, at the signed endpoints.
    pub fn too_fast() -> Self {
        Self::new(429, "Private rate limit exceeded")
    }

    /// As the answer to a request.
    pub fn response(&self) -> Response {
        Response::json(self.status, json!({"message": self.text}))
    }
}

/// An order the engine refused.
pub fn engine_refused(refusal: Refusal) -> Refused {
    match refusal {
        Refusal::Balance => Refused::new(400, "Insufficient funds"),
        // [U] The venue's words are not known to us; that it refuses follows from its FIX page.
        Refusal::Duplicate => Refused::new(400, "Duplicate client_oid"),
        Refusal::Unknown => Refused::new(400, "Order already done"),
        Refusal::WouldTake | Refusal::Amend | Refusal::Overflow => {
            Refused::new(400, "Invalid order size")
        }
    }
}

/// What a UUID of ours names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// An order, by the engine's id.
    Order = 1,
    /// An order that was rejected before it was one.
    Rejected = 2,
    /// The balance of an asset.
    Balance = 3,
    /// A profile.
    Profile = 4,
}

/// Spreads counted numbers over all digits. Odd, so that it can be undone.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
const UNMIX: u64 = inverse(MIX);
const _: () = assert!(MIX.wrapping_mul(UNMIX) == 1);

/// Newton's rule: each round doubles the bits that are right, and three are at the start.
const fn inverse(odd: u64) -> u64 {
    let (mut inverse, mut round) = (odd, 0);
    while round < 5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        round += 1;
    }
    inverse
}

/// The UUID of a number.
pub fn uuid(named: Named, number: u64) -> String {
    let mixed = number.wrapping_mul(MIX);
    format!(
        "{:08x}-5eed-4000-8000-{:04x}{:08x}",
        mixed >> 32,
        named as u16,
        mixed & 0xffff_ffff
    )
}

/// The number of a UUID.
pub fn number(named: Named, text: &str) -> Option<u64> {
    let part = |range| u64::from_str_radix(text.get(range)?, 16).ok();
    let mixed = part(0..8)? << 32 | part(28..36)?;
    let number = mixed.wrapping_mul(UNMIX);
    (uuid(named, number) == text).then_some(number)
}

/// Whether a text is a UUID, whoever made it.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// An order's UUID.
pub fn order_id(id: u64) -> String {
    uuid(Named::Order, id)
}

/// An account's profile.
pub fn profile_id(account: AccountId) -> String {
    uuid(Named::Profile, account as u64)
}

/// An account's user.
pub fn user_id(account: AccountId) -> String {
    format!("5844eceecf7e803e{account:08x}")
}

/// The id of an account's balance of an asset.
pub fn balance_id(account: AccountId, asset: usize) -> String {
    uuid(Named::Balance, (account as u64) << 16 | asset as u64)
}

/// The word for a side.
pub const fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

/// A time by the venue's clock: `2026-05-05T10:00:00.265000Z`.
pub fn iso(core: &Core, ns: u64) -> String {
    let micros = (ns / 1_000) as i64 + core.skew_ms.saturating_mul(1_000);
    iso_of(micros.max(0))
}

fn iso_of(micros: i64) -> String {
    let (days, of_day) = (micros / 86_400_000_000, micros % 86_400_000_000);
    let (seconds, micros) = (of_day / 1_000_000, of_day % 1_000_000);
    // Years that begin in March have the leap day last; 400 of them have 146,097 days.
    let from_0000 = days + 719_468;
    let (era, day) = (from_0000 / 146_097, from_0000 % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!(
        "{:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}Z",
        era * 400 + year + next_year,
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// A fee rate.
pub fn rate(is_maker: bool) -> String {
    let [maker, taker] = FEES_PPM;
    crate::text::trimmed(i128::from(if is_maker { maker } else { taker }), 6)
}

/// Why the venue took an order off; `None` when it was asked to. The numbers are [U].
pub const fn cancel_reason(cause: Cause) -> Option<&'static str> {
    match cause {
        Cause::Ioc | Cause::Fok => Some("101:Time In Force"),
        Cause::SelfTrade => Some("102:Self Trade Prevention"),
        _ => None,
    }
}

/// An order as it was accepted: pending, nothing done.
pub fn accepted(core: &Core, product: &str, order: &Order) -> Value {
    let mut fresh = order.clone();
    (fresh.cum, fresh.cum_quote, fresh.fee) = (0, 0, 0);
    fresh.state = State::Live;
    let mut row = order_row(core, product, &fresh);
    row["status"] = json!("pending");
    row
}

/// An order as REST shows it.
pub fn order_row(core: &Core, product: &str, order: &Order) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let ask = &order.ask;
    let mut row = Map::new();
    let mut put = |name: &str, value: Value| {
        row.insert(name.to_owned(), value);
    };
    put("id", json!(order_id(order.id)));
    if let Some(at) = ask.price {
        put("price", json!(fixed(at.into(), spec.price_decimals, 8)));
    }
    put("size", json!(fixed(order.qty.into(), spec.qty_decimals, 8)));
    put("product_id", json!(product));
    put("profile_id", json!(profile_id(ask.account)));
    put("side", json!(side(ask.side)));
    if let Size::Quote(funds) = ask.size {
        put("funds", json!(fixed(funds, 12, 16)));
        put("specified_funds", json!(fixed(funds, 12, 16)));
    }
    put("stp", json!(&*ask.echo));
    put("type", json!(ask.type_name));
    if ask.price.is_some() {
        put("time_in_force", json!(tif(ask.tif)));
    }
    put("post_only", json!(ask.post_only != PostOnly::No));
    put("created_at", json!(iso(core, order.created_ns)));
    let status = match order.state {
        State::Live | State::Partial => "open",
        State::Filled | State::Canceled(_) => "done",
    };
    if status == "done" {
        let is_filled = order.state == State::Filled;
        put("done_at", json!(iso(core, order.updated_ns)));
        let reason = if is_filled { "filled" } else { "canceled" };
        put("done_reason", json!(reason));
    }
    put("fill_fees", json!(fixed(order.fee, 12, 16)));
    let done = fixed(order.cum.into(), spec.qty_decimals, 8);
    put("filled_size", json!(done));
    put("executed_value", json!(fixed(order.cum_quote, 12, 16)));
    put("status", json!(status));
    put("settled", json!(status == "done"));
    if !ask.client_id.is_empty() {
        put("client_oid", json!(&*ask.client_id));
    }
    Value::Object(row)
}

const fn tif(tif: Tif) -> &'static str {
    match tif {
        Tif::Gtc => "GTC",
        Tif::Ioc => "IOC",
        Tif::Fok => "FOK",
    }
}

/// A fill as REST shows it.
pub fn fill_row(core: &Core, product: &str, order: &Order, fill: Fill) -> Value {
    let spec = core.engine.spec(order.ask.inst);
    let value = spec.notional(fill.price, fill.qty).unwrap_or(0);
    json!({
        "created_at": iso(core, fill.at_ns), "trade_id": fill.trade, "product_id": product,
        "order_id": order_id(order.id), "user_id": user_id(order.ask.account),
        "profile_id": profile_id(order.ask.account),
        "liquidity": if fill.is_maker { "M" } else { "T" },
        "price": fixed(fill.price.into(), spec.price_decimals, 8),
        "size": fixed(fill.qty.into(), spec.qty_decimals, 8), "fee": fixed(fill.fee, 12, 16),
        "side": side(order.ask.side), "settled": true, "usd_volume": fixed(value, 12, 16),
    })
}

/// An account's balances.
pub fn accounts(core: &Core, account: AccountId) -> Vec<Value> {
    assets(core)
        .into_iter()
        .map(|(name, asset)| {
            let balance = core.engine.ledger().balance(account, asset);
            json!({
                "id": balance_id(account, asset), "currency": name,
                "balance": fixed(balance.free + balance.locked, 12, 16),
                "available": fixed(balance.free, 12, 16), "hold": fixed(balance.locked, 12, 16),
                "profile_id": profile_id(account), "trading_enabled": true,
            })
        })
        .collect()
}

/// A message of the `balance` channel.
pub fn balance(core: &Core, account: AccountId, (name, asset): (&str, usize)) -> String {
    let balance = core.engine.ledger().balance(account, asset);
    let now = iso(core, core.now);
    json!({
        "type": "balance", "account_id": balance_id(account, asset), "currency": name,
        "holds": amount(balance.locked), "available": amount(balance.free), "updated": now,
        "timestamp": now,
    })
    .to_string()
}

/// Every asset with its place in the ledger.
pub fn assets(core: &Core) -> Vec<(&str, usize)> {
    let mut known: Vec<(&str, usize)> = Vec::new();
    for inst in 0..core.engine.instruments() {
        let spec = core.engine.spec(inst);
        for asset in [
            (spec.base.as_str(), spec.base_asset),
            (spec.quote.as_str(), spec.quote_asset),
        ] {
            if !known.contains(&asset) {
                known.push(asset);
            }
        }
    }
    known
}

/// A product's rules.
pub fn product(core: &Core, inst: usize, id: &str) -> Value {
    let spec = core.engine.spec(inst);
    json!({
        "id": id, "base_currency": spec.base, "quote_currency": spec.quote,
        "quote_increment": price(spec, spec.tick), "base_increment": qty(spec, spec.lot),
        "display_name": id, "min_market_funds": amount(super::ops::FUNDS_MIN),
        "margin_enabled": false, "post_only": false, "limit_only": false, "cancel_only": false,
        "status": "online", "status_message": "", "trading_disabled": false,
        "fx_stablecoin": false, "max_slippage_percentage": "0.02000000", "auction_mode": false,
        "high_bid_limit_percentage": "",
    })
}

/// Every currency.
pub fn currencies(core: &Core) -> Vec<Value> {
    assets(core)
        .into_iter()
        .map(|(name, _)| {
            json!({
                "id": name, "name": name, "min_size": "0.00000001", "status": "online",
                "message": "", "max_precision": "0.00000001", "convertible_to": [],
                "details": {"type": "crypto", "symbol": null, "sort_order": 0,
                    "push_payment_methods": [], "group_types": [], "display_name": null},
                "default_network": "", "supported_networks": [], "display_name": name,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_and_others_do_not() {
        for id in [0, 1, 2, 1_000_001, u64::MAX] {
            let text = order_id(id);
            assert!(is_uuid(&text), "{text}");
            assert_eq!(number(Named::Order, &text), Some(id));
            assert_eq!(number(Named::Rejected, &text), None);
            assert_eq!(number(Named::Order, &text.to_uppercase()), None);
        }
        for bad in ["", "é", "+0000000-5eed-4000-8000-000100000000", "client:"] {
            assert_eq!(number(Named::Order, bad), None, "{bad}");
        }
        assert!(!is_uuid("d50ec984-77a8-460a-b958-66f114b0de9"));
        assert!(!is_uuid("d50ec98477a8-460a-b958-66f114b0de9b-"));
    }

    #[test]
    fn iso_times() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_607_418_537_715_001, "2020-12-08T09:08:57.715001Z"),
            (4_102_444_799_999_999, "2099-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(iso_of(micros), text);
        }
    }
}
