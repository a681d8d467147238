//! User data → events: order reports, fills, balances.
//!
//! ```text
//! x                 X                          evidence for
//! NEW, REPLACED     NEW / PARTIALLY_FILLED     Ack / PartiallyFilled (futures say AMENDMENT)
//! TRADE             PARTIALLY_FILLED, FILLED   a fill, then PartiallyFilled / Filled
//! CANCELED          CANCELED                   Cancelled
//! EXPIRED           EXPIRED                    Expired (IOC, FOK remainder, price-range rule: PriceBand)
//! TRADE_PREVENTION  EXPIRED_IN_MATCH           Cancelled (self-trade prevention)
//! REJECTED          REJECTED                   Rejected (legs of lists and cancel-replace only)
//! ```
//! On a cancel `c` is the id of the request and `C` the order's own; else `c` is the order's. A fill goes
//! out before the state it led to, so that a final state never precedes its last fill. Fees are charges;
//! a rebate would be negative. A futures or foreign symbol is not an error: the account may trade elsewhere.
//! Source: venue page, sections 4.2 and 4.3, read 2026-11-20; fixtures `account_*.json`.

use crate::feed::{at, instrument, millis};
use crate::product::Market;
use crate::symbols::parse_client_id;
use crate::usdm::Terms;
use dp_types::{
    AssetId, Balance, ClientOrderId, Decimal, FillReport, InstrumentId, Liquidity, OrderId,
    OrderReport, OrderState, RejectReason, Side, TradeId, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Latest, Named, Sink, Standing, Trade};
use dp_wire::json::Value;

/// The text of a field, empty when absent.
pub(crate) fn text<'a>(value: Value<'a>, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// The instrument, or a word that it is not ours.
pub(crate) fn followed(
    market: Market<'_>,
    value: Value<'_>,
    key: &'static str,
    out: &mut impl Sink,
) -> Result<Option<InstrumentId>, DecodeError> {
    let symbol = value.str(key).map_err(at(key))?;
    let found = instrument(market, symbol).ok();
    if found.is_none() {
        out.event(&Event::Ignored("an instrument we do not follow"));
    }
    Ok(found)
}

/// An id; 0 when absent.
fn order_id(value: Value<'_>, key: &'static str) -> Result<OrderId, DecodeError> {
    match value.get(key) {
        None => Ok(OrderId(0)),
        Some(id) => id
            .as_u64()
            .map(|id| OrderId(u128::from(id)))
            .ok_or(DecodeError::Field(key)),
    }
}

/// An id that must be there.
fn own_order_id(value: Value<'_>, key: &'static str) -> Result<OrderId, DecodeError> {
    order_id(value, key)
        .ok()
        .filter(|id| id.0 != 0)
        .ok_or(DecodeError::Field(key))
}

fn side(value: Value<'_>, key: &'static str) -> Result<Side, DecodeError> {
    let word = value.str(key).map_err(at(key))?;
    side_of(word.as_bytes()).ok_or(DecodeError::Field(key))
}

/// `BUY` or `SELL`.
pub(crate) fn side_of(word: &[u8]) -> Option<Side> {
    match word {
        b"BUY" => Some(Side::Buy),
        b"SELL" => Some(Side::Sell),
        _ => None,
    }
}

/// What an order status (`X`, or `status` in answers) shows. `eR` explains an expiry.
pub(crate) fn evidence(
    status: &[u8],
    expiry: &[u8],
) -> Result<(OrderState, RejectReason), DecodeError> {
    let none = RejectReason::None;
    Ok(match status {
        b"NEW" | b"PENDING_NEW" => (OrderState::Ack, none),
        b"PARTIALLY_FILLED" => (OrderState::PartiallyFilled, none),
        b"FILLED" => (OrderState::Filled, none),
        b"CANCELED" | b"EXPIRED_IN_MATCH" => (OrderState::Cancelled, none),
        b"EXPIRED" if is_price_range(expiry) => (OrderState::Expired, RejectReason::PriceBand),
        b"EXPIRED" => (OrderState::Expired, none),
        b"REJECTED" => (OrderState::Rejected, RejectReason::Other),
        _ => return Err(DecodeError::Field("status")),
    })
}

fn is_price_range(expiry: &[u8]) -> bool {
    const WORDS: &[u8] = b"PRICE_RANGE";
    expiry.windows(WORDS.len()).any(|words| words == WORDS)
}

/// The `x` of a fill.
pub(crate) const TRADE: &[u8] = b"TRADE";

/// Whether this is a word (`x`) for what happens to orders. Another one may be a change that we do not see.
pub(crate) fn is_execution(word: &[u8]) -> bool {
    matches!(
        word,
        b"NEW"
            | b"REPLACED"
            | b"AMENDMENT"
            | TRADE
            | b"CANCELED"
            | b"EXPIRED"
            | b"TRADE_PREVENTION"
            | b"REJECTED"
    )
}

/// The order's own name: `C` where it says one, else `c`.
pub(crate) const fn own_name<'a>(name: &'a [u8], original: &'a [u8]) -> &'a [u8] {
    if original.is_empty() { name } else { original }
}

/// An `executionReport`.
///
/// Errors: whatever cannot be read or is not known; the caller compares with the venue then. What was read
/// before it (a fill before the state it led to, a state whose cause is unknown) is out.
pub(crate) fn on_report(
    market: Market<'_>,
    data: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let Some(instrument) = followed(market, data, "s", out)? else {
        return Ok(());
    };
    let name = data.str("c").map_err(at("c"))?;
    let original = match data.get("C") {
        None => "",
        Some(original) => original.as_str().ok_or(DecodeError::Field("C"))?,
    };
    let word = data.str("x").map_err(at("x"))?.as_bytes();
    let decimal = |key: &'static str| data.decimal(key).map_err(at(key));
    let venue_ns = millis(data, "T")?;
    let named = Named {
        instrument,
        client_id: parse_client_id(own_name(name.as_bytes(), original.as_bytes())),
        order_id: own_order_id(data, "i")?,
        side: side(data, "S")?,
        cum: Some(decimal("z")?),
    };
    if word == TRADE {
        let trade = trade(market, data, venue_ns)?;
        out.event(&Event::Fill(named.fill(&trade)));
    }
    let status = data.str("X").map_err(at("X"))?;
    let (state, reason) = evidence(status.as_bytes(), text(data, "eR").as_bytes())?;
    let standing = Standing {
        state,
        reason,
        price: Some(decimal("p")?),
        qty: Some(decimal("q")?),
        venue_ns,
    };
    out.event(&Event::Order(named.report(&standing)));
    if is_execution(word) {
        Ok(())
    } else {
        Err(DecodeError::Field("x"))
    }
}

fn trade(market: Market<'_>, data: Value<'_>, venue_ns: VenueNanos) -> Result<Trade, DecodeError> {
    Ok(Trade {
        id: TradeId(u128::from(data.u64("t").map_err(at("t"))?)),
        price: data.decimal("L").map_err(at("L"))?,
        qty: data.decimal("l").map_err(at("l"))?,
        fee: fee(data, "n")?,
        fee_asset: asset(market, text(data, "N")),
        liquidity: liquidity(data.bool("m").map_err(at("m"))?),
        venue_ns,
    })
}

fn fee(data: Value<'_>, key: &'static str) -> Result<Decimal, DecodeError> {
    match data.get(key) {
        None => Ok(Decimal::ZERO),
        Some(fee) if fee.is_null() => Ok(Decimal::ZERO),
        Some(fee) => fee.as_decimal().map_err(at(key)),
    }
}

/// The asset of this name, or none.
pub(crate) fn asset(market: Market<'_>, name: &str) -> AssetId {
    market.find_asset(name).unwrap_or(AssetId::NONE)
}

pub(crate) const fn liquidity(is_maker: bool) -> Liquidity {
    if is_maker {
        Liquidity::Maker
    } else {
        Liquidity::Taker
    }
}

/// Balances of `outboundAccountPosition` (changed ones).
pub(crate) fn on_balances(
    market: Market<'_>,
    data: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    for item in data.array("B").map_err(at("B"))? {
        out.event(&Event::Balance(balance(market, item, ["a", "f", "l"])?));
    }
    Ok(())
}

/// Balances of the account query (all that are not zero).
pub(crate) fn on_account(
    market: Market<'_>,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    for item in root.array("balances").map_err(at("balances"))? {
        let balance = balance(market, item, ["asset", "free", "locked"])?;
        out.event(&Event::Balance(balance));
    }
    Ok(())
}

fn balance(
    market: Market<'_>,
    item: Value<'_>,
    [name, free, locked]: [&'static str; 3],
) -> Result<Balance, DecodeError> {
    Ok(Balance {
        venue: market.product.id(),
        asset: asset(market, item.str(name).map_err(at(name))?),
        free: item.decimal(free).map_err(at(free))?,
        locked: item.decimal(locked).map_err(at(locked))?,
    })
}

/// An order as queries and lists show it; `Ok(None)` when it is of an instrument we do not follow.
pub(crate) fn on_listed(
    market: Market<'_>,
    item: Value<'_>,
    out: &mut impl Sink,
) -> Result<Option<OrderReport>, DecodeError> {
    let Some(instrument) = followed(market, item, "symbol", out)? else {
        return Ok(None);
    };
    let (state, reason) = evidence(item.str("status").map_err(at("status"))?.as_bytes(), b"")?;
    let decimal = |key: &'static str| item.decimal(key).map_err(at(key));
    let time = ["updateTime", "transactTime", "time"]
        .into_iter()
        .find(|key| item.get(key).is_some());
    let name = item.str("clientOrderId").map_err(at("clientOrderId"))?;
    let report = OrderReport {
        instrument,
        client_id: parse_client_id(name.as_bytes()),
        order_id: order_id(item, "orderId")?,
        side: Some(side(item, "side")?),
        state,
        reason,
        price: Some(decimal("price")?),
        qty: Some(decimal("origQty")?),
        cum: Some(decimal("executedQty")?),
        venue_ns: millis(item, time.unwrap_or("time"))?,
    };
    out.event(&Event::Order(report));
    Ok(Some(report))
}

/// A fill of `myTrades`; returns its id and its order's. The list names orders by the venue's id only: `client_id` is ours
/// where it was asked for one order, else [`Names`] finds it.
pub(crate) fn on_listed_fill(
    market: Market<'_>,
    client_id: Option<ClientOrderId>,
    item: Value<'_>,
    out: &mut impl Sink,
) -> Result<(u64, OrderId), DecodeError> {
    let trade_id = item.u64("id").map_err(at("id"))?;
    let order_id = order_id(item, "orderId")?;
    let Some(instrument) = followed(market, item, "symbol", out)? else {
        return Ok((trade_id, order_id));
    };
    // Spot's names, and futures'.
    let either = |spot: &'static str, futures: &'static str| {
        let value = item
            .get(spot)
            .or(item.get(futures))
            .and_then(Value::as_bool);
        value.ok_or(DecodeError::Field(spot))
    };
    let is_buyer = either("isBuyer", "buyer")?;
    out.event(&Event::Fill(FillReport {
        instrument,
        client_id,
        order_id,
        trade_id: TradeId(u128::from(trade_id)),
        side: if is_buyer { Side::Buy } else { Side::Sell },
        price: item.decimal("price").map_err(at("price"))?,
        qty: item.decimal("qty").map_err(at("qty"))?,
        cum: None,
        fee: fee(item, "commission")?,
        fee_asset: asset(market, text(item, "commissionAsset")),
        liquidity: liquidity(either("isMaker", "maker")?),
        venue_ns: millis(item, "time")?,
    }));
    Ok((trade_id, order_id))
}

/// Orders whose names are remembered: as many as one lane may have live, twice.
const NAMES: usize = 2 * dp_types::limit::LIVE_ORDERS_MAX;

/// The venue's order id → ours, for lists that name orders by the venue's only. A cache, not a truth: a
/// newer order takes the place of an older one, and what is not found stays unnamed.
#[derive(Debug)]
pub(crate) struct Names {
    slots: Box<[(OrderId, ClientOrderId)]>,
}

impl Default for Names {
    fn default() -> Self {
        let none = (OrderId(0), ClientOrderId(0));
        Self {
            slots: vec![none; NAMES].into_boxed_slice(),
        }
    }
}

impl Names {
    /// Ids of one venue are handed out in sequence: the remainder spreads them evenly.
    fn slot(&mut self, id: OrderId) -> Option<&mut (OrderId, ClientOrderId)> {
        self.slots.get_mut((id.0 % NAMES as u128) as usize)
    }

    fn learn(&mut self, id: OrderId, client_id: ClientOrderId) {
        if id.0 != 0
            && let Some(slot) = self.slot(id)
        {
            *slot = (id, client_id);
        }
    }

    fn find(&mut self, id: OrderId) -> Option<ClientOrderId> {
        let (held, client_id) = *self.slot(id)?;
        (held == id && id.0 != 0).then_some(client_id)
    }
}

/// A sink that learns the names and terms of orders as they pass and puts names on fills that lack one.
#[derive(Debug)]
pub(crate) struct Naming<'a, S> {
    pub(crate) names: &'a mut Names,
    /// What a change of an order tells anew, where one does.
    pub(crate) terms: Option<&'a mut Latest<Terms>>,
    /// A request of ours was taken.
    pub(crate) was_taken: bool,
    pub(crate) out: &'a mut S,
}

impl<S: Sink> Sink for Naming<'_, S> {
    #[inline]
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Ack(ack) => {
                self.was_taken |= ack.reason == RejectReason::None;
                self.names.learn(ack.order_id, ack.client_id);
            }
            Event::Order(OrderReport {
                order_id,
                client_id: Some(client_id),
                side,
                price,
                qty,
                ..
            }) => {
                self.names.learn(*order_id, *client_id);
                if let (Some(terms), Some(side), Some(price), Some(qty)) =
                    (&mut self.terms, *side, *price, *qty)
                {
                    terms.note(*client_id, Terms { side, price, qty });
                }
            }
            Event::Fill(fill) if fill.client_id.is_none() => {
                let client_id = self.names.find(fill.order_id);
                return self
                    .out
                    .event(&Event::Fill(FillReport { client_id, ..*fill }));
            }
            _ => {}
        }
        self.out.event(event);
    }
    fn send_text(&mut self, link: dp_types::LinkId, text: &[u8]) {
        self.out.send_text(link, text);
    }
    fn request(&mut self, link: dp_types::LinkId, request: &dp_venue_api::RestRequest<'_>) {
        self.out.request(link, request);
    }
    fn reconnect(&mut self, link: dp_types::LinkId, why: &'static str) {
        self.out.reconnect(link, why);
    }
    fn connect(&mut self, link: dp_types::LinkId, path: &str) {
        self.out.connect(link, path);
    }
}
