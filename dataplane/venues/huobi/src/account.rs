//! Private pushes and lists → order reports, fills, balances.
//!
//! ```text
//! orders#*             how an order stands, in order; no fee       orderStatus        evidence for
//!                                                                  created            nothing yet
//!                                                                  submitted          Ack
//!                                                                  canceling          Ack
//!                                                                  partial-filled     PartiallyFilled
//!                                                                  filled             Filled
//!                                                                  (partial-)canceled Cancelled; Expired of IOC and
//!                                                                                     FOK; Rejected(PostOnlyCross)
//!                                                                                     at once after its creation
//!                                                                  rejected           Rejected
//! trade.clearing#*#1   each fill with its fee, perhaps later or earlier than the push about its order
//! accounts.update#2    what is free of an asset, and what there is of it
//! ```
//! So an order's state and what is done of it come from the first, its fills from the second
//! (`session::pairs` brings the two together). Documented misspellings are read: `accountld`, `"feeDeduct "`. A fee is
//! positive for a charge, here as there. Of a market buy, which is not ours, amounts count the quote asset: it tells
//! no quantities.
//! Source: venue page, sections 4.2 and 4.4, read 2026-11-20; fixtures `account_*.json`, `rest_*.json`.

use crate::ID;
use crate::feed::{amount, at, exact, id, millis, side_of, text};
use crate::symbols::{asset, parse_client_id};
use dp_types::limit::ASSETS_MAX;
use dp_types::{
    AssetId, Balance, Decimal, FillReport, InstrumentId, Liquidity, OrderId, OrderReport,
    OrderState, RejectReason, Side, TradeId, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Named, Registry, Sink, Standing, Trade};
use dp_wire::json::Value;

/// An order of a symbol that the configuration does not name.
pub(crate) const NOT_FOLLOWED: Event<'static> =
    Event::Ignored("an order of an instrument we do not follow");

/// The instrument an order or fill is of.
pub(crate) fn instrument(
    registry: &Registry,
    item: Value<'_>,
) -> Result<InstrumentId, DecodeError> {
    let symbol = item.str("symbol").map_err(at("symbol"))?;
    registry
        .find(ID, symbol.as_bytes())
        .ok_or(DecodeError::UnknownSymbol)
}

/// A decimal that may be missing, in any of these fields.
fn optional(item: Value<'_>, keys: &[&'static str]) -> Result<Option<Decimal>, DecodeError> {
    for key in keys {
        match item.get(key) {
            None => {}
            Some(field) if field.is_null() || field.as_str() == Some("") => {}
            Some(field) => return amount(field, key).map(Some),
        }
    }
    Ok(None)
}

/// The first of these times that is there.
fn time(item: Value<'_>, keys: &[&'static str]) -> Result<VenueNanos, DecodeError> {
    for key in keys {
        let at = millis(item, key)?;
        if at.0 != 0 {
            return Ok(at);
        }
    }
    Ok(VenueNanos(0))
}

/// The order's type and the side it begins with.
fn type_of(item: Value<'_>) -> Result<(Side, &str), DecodeError> {
    let word = text(item, "type");
    if let Some((side, kind)) = word.split_once('-') {
        let side = side_of(side).ok_or(DecodeError::Field("type"))?;
        return Ok((side, kind));
    }
    // Pushes about conditional orders have no type, those about fills the side alone.
    let side = side_of(text(item, "orderSide")).ok_or(DecodeError::Field("type"))?;
    Ok((side, ""))
}

/// A market order that buys: its amounts are in the quote asset.
fn is_in_quote(side: Side, kind: &str) -> bool {
    side == Side::Buy && kind == "market"
}

/// What the state and the type show. Errors: a state that we do not know. `None` for one that shows nothing yet.
fn evidence(state: &str, kind: &str) -> Result<Option<(OrderState, RejectReason)>, DecodeError> {
    let none = RejectReason::None;
    Ok(Some(match state {
        "created" | "pre-submitted" => return Ok(None),
        "submitted" | "canceling" => (OrderState::Ack, none),
        "partial-filled" => (OrderState::PartiallyFilled, none),
        "filled" => (OrderState::Filled, none),
        "canceled" | "partial-canceled" => match kind {
            "ioc" | "limit-fok" => (OrderState::Expired, none),
            _ => (OrderState::Cancelled, none),
        },
        "rejected" => (OrderState::Rejected, RejectReason::Invalid),
        _ => return Err(DecodeError::Field("orderStatus")),
    }))
}

/// What a push on `orders#` is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pushed {
    /// The order after it; `None` when it shows nothing yet.
    pub(crate) report: Option<OrderReport>,
    /// The trade that led to it; 0 for none.
    pub(crate) trade_id: TradeId,
    /// It rests or is refused.
    pub(crate) is_post_only: bool,
    /// It has just come onto the book.
    pub(crate) is_creation: bool,
}

/// The data of a push on `orders#`.
pub(crate) fn pushed(registry: &Registry, data: Value<'_>) -> Result<Pushed, DecodeError> {
    let instrument = instrument(registry, data)?;
    let (side, kind) = type_of(data)?;
    let state = data.str("orderStatus").map_err(at("orderStatus"))?;
    let is_in_quote = is_in_quote(side, kind);
    let cum = optional(data, &["execAmt"])?.filter(|_| !is_in_quote);
    let named = Named {
        instrument,
        client_id: parse_client_id(text(data, "clientOrderId").as_bytes()),
        order_id: OrderId(id(data, "orderId")?),
        side,
        cum,
    };
    let report = match evidence(state, kind)? {
        Some((state, reason)) => Some(named.report(&Standing {
            state,
            reason,
            price: optional(data, &["orderPrice"])?,
            qty: optional(data, &["orderSize"])?.filter(|_| !is_in_quote),
            venue_ns: time(data, &["lastActTime", "tradeTime", "orderCreateTime"])?,
        })),
        None => None,
    };
    Ok(Pushed {
        report,
        trade_id: TradeId(id(data, "tradeId")?),
        is_post_only: kind == "limit-maker",
        is_creation: text(data, "eventType") == "creation",
    })
}

/// What was charged: the fee, or where it is 0 what was paid for it in points or the venue's own coin.
///
/// That the two exclude each other is unverified: the fee in the traded asset goes first, since it changes what we
/// hold.
fn fee(
    registry: &Registry,
    item: Value<'_>,
    keys: &FeeKeys,
) -> Result<(Decimal, AssetId), DecodeError> {
    let charged = optional(item, &[keys.fee])?.unwrap_or(Decimal::ZERO);
    let deducted = optional(item, keys.deducted)?.unwrap_or(Decimal::ZERO);
    if charged.is_zero() && !deducted.is_zero() {
        return Ok((deducted, asset(registry, text(item, keys.deducted_asset))));
    }
    Ok((charged, asset(registry, text(item, keys.asset))))
}

struct FeeKeys {
    fee: &'static str,
    asset: &'static str,
    deducted: &'static [&'static str],
    deducted_asset: &'static str,
}

const PUSHED: FeeKeys = FeeKeys {
    fee: "transactFee",
    asset: "feeCurrency",
    deducted: &["feeDeduct", "feeDeduct "],
    deducted_asset: "feeDeductType",
};
const LISTED: FeeKeys = FeeKeys {
    fee: "filled-fees",
    asset: "fee-currency",
    deducted: &["filled-points"],
    deducted_asset: "fee-deduct-currency",
};

/// An id that must be there.
fn some_id(item: Value<'_>, key: &'static str) -> Result<u128, DecodeError> {
    match id(item, key)? {
        0 => Err(DecodeError::Field(key)),
        id => Ok(id),
    }
}

/// A number that must be there and exact.
fn needed(item: Value<'_>, key: &'static str) -> Result<Decimal, DecodeError> {
    exact(item.field(key).map_err(at(key))?, key)
}

/// The data of a push on `trade.clearing#`, where it is a fill.
pub(crate) fn cleared(
    registry: &Registry,
    data: Value<'_>,
) -> Result<Option<FillReport>, DecodeError> {
    if data.str("eventType").map_err(at("eventType"))? != "trade" {
        return Ok(None);
    }
    let (fee, fee_asset) = fee(registry, data, &PUSHED)?;
    let trade = Trade {
        id: TradeId(some_id(data, "tradeId")?),
        price: needed(data, "tradePrice")?,
        qty: needed(data, "tradeVolume")?,
        fee,
        fee_asset,
        liquidity: match data.get("aggressor").and_then(Value::as_bool) {
            Some(true) => Liquidity::Taker,
            Some(false) => Liquidity::Maker,
            None => Liquidity::None,
        },
        venue_ns: time(data, &["tradeTime"])?,
    };
    let named = Named {
        instrument: instrument(registry, data)?,
        client_id: parse_client_id(text(data, "clientOrderId").as_bytes()),
        order_id: OrderId(some_id(data, "orderId")?),
        side: side_of(text(data, "orderSide")).ok_or(DecodeError::Field("orderSide"))?,
        cum: None,
    };
    Ok(Some(named.fill(&trade)))
}

/// One order of a list, or the one that was asked about. `None` when its state shows nothing yet.
pub(crate) fn listed(
    registry: &Registry,
    item: Value<'_>,
) -> Result<Option<OrderReport>, DecodeError> {
    let instrument = instrument(registry, item)?;
    let (side, kind) = type_of(item)?;
    let is_in_quote = is_in_quote(side, kind);
    let Some((state, reason)) = evidence(item.str("state").map_err(at("state"))?, kind)? else {
        return Ok(None);
    };
    let named = Named {
        instrument,
        client_id: parse_client_id(text(item, "client-order-id").as_bytes()),
        order_id: OrderId(some_id(item, "id")?),
        side,
        // The older of the two names is the one of single orders.
        cum: optional(item, &["filled-amount", "field-amount"])?,
    };
    Ok(Some(named.report(&Standing {
        state,
        reason,
        price: optional(item, &["price"])?,
        qty: optional(item, &["amount"])?.filter(|_| !is_in_quote),
        venue_ns: time(item, &["finished-at", "canceled-at", "created-at"])?,
    })))
}

/// One item of a list of fills.
pub(crate) fn listed_fill(registry: &Registry, item: Value<'_>) -> Result<FillReport, DecodeError> {
    let (fee, fee_asset) = fee(registry, item, &LISTED)?;
    let (side, _) = type_of(item)?;
    let trade = Trade {
        id: TradeId(some_id(item, "trade-id")?),
        price: needed(item, "price")?,
        qty: needed(item, "filled-amount")?,
        fee,
        fee_asset,
        liquidity: match text(item, "role") {
            "maker" => Liquidity::Maker,
            "taker" => Liquidity::Taker,
            _ => Liquidity::None,
        },
        venue_ns: time(item, &["created-at"])?,
    };
    let named = Named {
        instrument: instrument(registry, item)?,
        client_id: None, // the order's id is all it has
        order_id: OrderId(some_id(item, "order-id")?),
        side,
        cum: None,
    };
    Ok(named.fill(&trade))
}

/// What there is of each asset: the venue tells its parts one by one.
#[derive(Debug)]
pub(crate) struct Wallet {
    /// Free and held, by the number of the asset.
    parts: Box<[(Option<Decimal>, Option<Decimal>)]>,
}

impl Default for Wallet {
    fn default() -> Self {
        Self {
            parts: vec![(None, None); ASSETS_MAX].into_boxed_slice(),
        }
    }
}

/// `a - b`, exact; `None` when it leaves the range.
fn difference(a: Decimal, b: Decimal) -> Option<Decimal> {
    let exponent = a.exponent.min(b.exponent);
    let scaled = |value: Decimal| {
        let by = u32::from(value.exponent.abs_diff(exponent));
        value.mantissa.checked_mul(10i64.checked_pow(by)?)
    };
    Some(Decimal {
        mantissa: scaled(a)?.checked_sub(scaled(b)?)?,
        exponent,
    })
}

impl Wallet {
    fn tell(&self, asset: AssetId, out: &mut impl Sink) {
        match self.parts.get(usize::from(asset.0)) {
            Some((Some(free), locked)) => out.event(&Event::Balance(Balance {
                venue: ID,
                asset,
                free: *free,
                locked: locked.unwrap_or(Decimal::ZERO),
            })),
            _ => out.event(&Event::Ignored("a balance without what is free of it")),
        }
    }

    /// The data of a push on `accounts.update#`.
    pub(crate) fn on_push(
        &mut self,
        registry: &Registry,
        data: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let asset = asset(registry, data.str("currency").map_err(at("currency"))?);
        let (free, all) = (
            optional(data, &["available"])?,
            optional(data, &["balance"])?,
        );
        let Some(parts) = self.parts.get_mut(usize::from(asset.0)) else {
            out.event(&UNKNOWN_ASSET);
            return Ok(());
        };
        parts.0 = free.or(parts.0);
        if let (Some(all), Some(free)) = (all, parts.0) {
            parts.1 = difference(all, free).or(parts.1);
        }
        self.tell(asset, out);
        Ok(())
    }

    /// Every balance of the account, each by itself.
    ///
    /// Errors: the first that cannot be read; all the others are out.
    pub(crate) fn on_list(
        &mut self,
        registry: &Registry,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let data = root.field("data").map_err(at("data"))?;
        let mut result = Ok(());
        for item in data.array("list").map_err(at("list"))? {
            let read = self.on_part(registry, item);
            result = result.and(read);
        }
        for (number, (free, _)) in self.parts.iter().enumerate() {
            if free.is_some() {
                self.tell(AssetId(number as u16), out);
            }
        }
        result
    }

    fn on_part(&mut self, registry: &Registry, item: Value<'_>) -> Result<(), DecodeError> {
        let asset = asset(registry, item.str("currency").map_err(at("currency"))?);
        let Some(parts) = self.parts.get_mut(usize::from(asset.0)) else {
            return Ok(()); // nobody trades it
        };
        let part = Some(amount(
            item.field("balance").map_err(at("balance"))?,
            "balance",
        )?);
        match text(item, "type") {
            "trade" => parts.0 = part,
            "frozen" => parts.1 = part,
            _ => {} // loans, interest, what is locked for long
        }
        Ok(())
    }
}

/// A balance of an asset that nothing we follow is quoted in.
const UNKNOWN_ASSET: Event<'static> = Event::Ignored("a balance of an asset nobody trades here");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_exact() {
        let decimal = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
        for (a, b, want) in [
            ("20.5", "20.25", "0.25"),
            ("3", "3", "0"),
            ("1", "1.5", "-0.5"),
        ] {
            let got = difference(decimal(a), decimal(b)).unwrap();
            assert_eq!(got.to_string(), want);
        }
        assert_eq!(
            difference(decimal("9000000000000000000"), decimal("0.1")),
            None
        );
    }
}
