//! What an order must be before the engine sees it: read from its argument, checked, refused in the category's words.

use super::ops::field;
use super::reply::{self, Echo, Refused};
use super::{Bybit, Category};
use crate::engine::{AccountId, NewOrder, Order, PostOnly, Side, Size, Tif};
use crate::text;
use serde_json::Value;
use std::sync::Arc;

/// Longest client id.
const CLIENT_ID_MAX: usize = 36;
/// Open orders: of an account on spot, and of an account and symbol on linear.
const OPEN_MAX: usize = 500;
/// How far a price may be from the last one, as a factor; the venue's bands are narrower and its own.
const PRICE_BAND: i64 = 5;

fn is_client_id(id: &str) -> bool {
    let is_fit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    id.len() <= CLIENT_ID_MAX && id.bytes().all(is_fit)
}

impl Bybit {
    /// Errors: too many open orders.
    pub(super) fn check_open(
        &self,
        account: AccountId,
        category: Category,
        inst: usize,
    ) -> Result<(), Refused> {
        let counts = |order: &&Order| match category {
            Category::Spot => self.category(order.ask.inst) == category,
            Category::Linear => order.ask.inst == inst,
        };
        let open = self.core.engine.open_orders(account).filter(counts).count();
        if open < OPEN_MAX {
            return Ok(());
        }
        Err(Refused::either(
            category,
            (170810, "Exceeded maximum number of active orders."),
            (110020, "You have more than 500 orders"),
        ))
    }

    /// A new order from its argument. Errors: what is wrong with it, in the category's own words.
    pub(super) fn parse_new(
        &mut self,
        account: AccountId,
        category: Category,
        arg: &Value,
    ) -> Result<NewOrder, Refused> {
        let inst = self.inst(category, arg)?;
        let side = match field(arg, "side").as_deref() {
            Some("Buy") => Side::Buy,
            Some("Sell") => Side::Sell,
            _ => return Err(Refused::parameter("Side invalid")),
        };
        let is_market = match field(arg, "orderType").as_deref() {
            Some("Limit") => false,
            Some("Market") => true,
            _ => return Err(Refused::parameter("OrderType invalid")),
        };
        let tif = field(arg, "timeInForce");
        let (type_name, tif, post_only) = match (is_market, tif.as_deref()) {
            (true, _) => ("market", Tif::Ioc, PostOnly::No),
            (false, None | Some("GTC")) => ("limit", Tif::Gtc, PostOnly::No),
            (false, Some("IOC")) => ("ioc", Tif::Ioc, PostOnly::No),
            (false, Some("FOK")) => ("fok", Tif::Fok, PostOnly::No),
            (false, Some("PostOnly")) => ("post_only", Tif::Gtc, PostOnly::AcceptThenCancel),
            _ => return Err(Refused::parameter("timeInForce invalid")),
        };
        let is_plain = |key: &str, plain: &str| field(arg, key).is_none_or(|text| text == plain);
        if field(arg, "triggerPrice").is_some() || !is_plain("orderFilter", "Order") {
            return Err(Refused::parameter("conditional orders are not simulated"));
        }
        if !is_plain("positionIdx", "0") {
            return Err(Refused::new(10001, "position idx not match position mode"));
        }
        let client_id = field(arg, "orderLinkId").unwrap_or_default();
        if !is_client_id(&client_id) {
            return Err(Refused::parameter("OrderLinkId invalid"));
        }
        let price = match (is_market, field(arg, "price")) {
            (true, _) => None,
            (false, None) => return Err(Refused::parameter("Price invalid")),
            (false, Some(price)) => Some(self.parse_price(category, inst, side, &price)?),
        };
        let unit = field(arg, "marketUnit").unwrap_or_default();
        let is_reduce_only =
            field(arg, "reduceOnly").as_deref() == Some("true") && category == Category::Linear;
        let qty = field(arg, "qty").ok_or_else(|| Refused::parameter("Qty invalid"))?;
        let is_budget = is_market
            && category == Category::Spot
            && match unit.as_str() {
                "" => side == Side::Buy,
                "quoteCoin" => true,
                "baseCoin" => false,
                _ => return Err(Refused::parameter("marketUnit invalid")),
            };
        let size = if is_budget {
            let budget = text::parse_amount(&qty).filter(|amount| *amount > 0);
            Size::Quote(budget.ok_or_else(|| Refused::parameter("Qty invalid"))?)
        } else {
            let qty = self.parse_qty(category, inst, &qty)?;
            Size::Base(self.reduced(account, inst, side, qty, is_reduce_only)?)
        };
        self.check_value(category, inst, price, size)?;
        let echo = Echo {
            smp: field(arg, "smpType").unwrap_or_else(|| "None".to_owned()),
            unit,
            last: self.core.engine.day(inst).last,
            is_reduce_only,
        };
        Ok(NewOrder {
            account,
            inst,
            side,
            price,
            size,
            tif,
            post_only,
            client_id: Arc::from(client_id),
            type_name,
            echo: Arc::from(echo.text()),
        })
    }

    /// A reduce-only order's quantity, cut to the position it reduces. Errors: 110017.
    fn reduced(
        &self,
        account: AccountId,
        inst: usize,
        side: Side,
        qty: i64,
        is_reduce_only: bool,
    ) -> Result<i64, Refused> {
        if !is_reduce_only {
            return Ok(qty);
        }
        let held = self.core.engine.position(account, inst).qty;
        let left = match side {
            Side::Buy => -held,
            Side::Sell => held,
        };
        if left <= 0 {
            let text = "current position is zero, cannot fix reduce-only order qty";
            return Err(Refused::new(110017, text));
        }
        Ok(qty.min(left))
    }

    /// A price. Errors: no number, not on a tick, too far from the last.
    pub(super) fn parse_price(
        &self,
        category: Category,
        inst: usize,
        side: Side,
        price: &str,
    ) -> Result<i64, Refused> {
        let spec = self.core.engine.spec(inst);
        let price = text::increments(price, spec.price_decimals)
            .ok_or_else(|| Refused::parameter("Price invalid"))?
            .filter(|price| price % spec.tick == 0)
            .ok_or_else(|| {
                Refused::either(
                    category,
                    (170134, "Order price has too many decimals."),
                    (10001, "params error: Price invalid"),
                )
            })?;
        if price <= 0 {
            return Err(Refused::parameter("Price invalid"));
        }
        let last = self.core.engine.day(inst).last;
        let (low, high) = (last / PRICE_BAND, last.saturating_mul(PRICE_BAND));
        if (low..=high).contains(&price) {
            return Ok(price);
        }
        let (code, text) = match side {
            Side::Buy => (
                170193,
                format!(
                    "Buy order price cannot be higher than {}.",
                    reply::px(spec, high)
                ),
            ),
            Side::Sell => (
                170194,
                format!(
                    "Sell order price cannot be lower than {}.",
                    reply::px(spec, low)
                ),
            ),
        };
        let linear = (110003, "Order price exceeds the allowable range.");
        Err(Refused::either(category, (code, &text), linear))
    }

    /// A quantity. Errors: no number, not of whole lots, too small or too large.
    pub(super) fn parse_qty(
        &self,
        category: Category,
        inst: usize,
        qty: &str,
    ) -> Result<i64, Refused> {
        let spec = self.core.engine.spec(inst);
        let invalid = (10001, "Qty invalid");
        let refused = |code, text| Refused::either(category, (code, text), invalid);
        let qty = text::increments(qty, spec.qty_decimals)
            .ok_or_else(|| Refused::parameter("Qty invalid"))?
            .filter(|qty| qty % spec.lot == 0)
            .ok_or_else(|| refused(170137, "Order quantity has too many decimals."))?;
        if qty < spec.qty_min {
            return Err(refused(170136, "Order quantity exceeded lower limit."));
        }
        if qty > spec.qty_max {
            return Err(refused(170135, "Order quantity exceeded upper limit."));
        }
        Ok(qty)
    }

    /// An order must be worth the least amount; a market order at the last price. Errors: it is not.
    pub(super) fn check_value(
        &self,
        category: Category,
        inst: usize,
        price: Option<i64>,
        size: Size,
    ) -> Result<(), Refused> {
        let spec = self.core.engine.spec(inst);
        let price = price.unwrap_or(self.core.engine.day(inst).last);
        let value = match size {
            Size::Base(qty) => spec.notional(price, qty),
            Size::Quote(budget) => Some(budget),
        };
        if value.is_some_and(|value| value >= spec.notional_min) {
            return Ok(());
        }
        let linear = (110094, "Order does not meet minimum order value 5USDT");
        let spot = (170140, "Order value exceeded lower limit.");
        Err(Refused::either(category, spot, linear))
    }
}
