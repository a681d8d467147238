//! Messages of the unified push feed → events. We do not subscribe to it; recordings and tools meet it.
//!
//! ```text
//! {"T":"CHANNEL.TRADETYPE","P":ns,"d":{...}}     often in binary frames, which hold plain text all the same
//!     obu                        Book: t is snapshot or delta, O..C its range
//!     trade, ticker              Trade, Quote
//!     orderAll, order            Order, and its Fill
//!     execution                  Fill
//!     balance                    Balance of the account
//!     mark-price, funding-fee    Ignored
//! ```
//! Source: venue page, sections 1.3, 3.2 to 3.5 and 4.6, read 2026-11-20; fixtures `unified_*.json`.

use crate::account::known;
use crate::feed::{
    self, Levels, QuoteKeys, at, counter, decimal, find, id, optional, side, text, time,
};
use crate::symbols::parse_client_id;
use dp_types::{
    Balance, Decimal, InstrumentId, OrderId, OrderState, RejectReason, TradeId, TradeMsg,
};
use dp_venue_api::{DecodeError, Event, Named, Registry, Sink, Standing, Trade};
use dp_wire::json::Value;

const TICKER: QuoteKeys = ["b", "B", "a", "A", "E", "M"];
const SIDES: [&str; 2] = ["b", "a"];

/// One push.
pub(crate) fn on_push(
    registry: &Registry,
    channel: &str,
    root: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let data = root.field("d").map_err(at("d"))?;
    let channel = channel.split('.').next().unwrap_or("");
    match channel {
        "obu" => on_book(registry, root, data, levels, out),
        "trade" => on_trade(registry, data, out),
        "ticker" => feed::on_ticker(symbol(registry, data)?, (data, data), &TICKER, out),
        "orderAll" | "order" => on_order(registry, data, out),
        "execution" => on_execution(registry, data, out),
        "balance" => on_balance(registry, data, out),
        "mark-price" | "funding-fee" => {
            out.event(&Event::Ignored("mark price and funding"));
            Ok(())
        }
        _ => {
            out.event(&Event::Ignored("a unified channel we do not use"));
            Ok(())
        }
    }
}

fn symbol(registry: &Registry, data: Value<'_>) -> Result<InstrumentId, DecodeError> {
    find(registry, data.str("s").map_err(at("s"))?)
}

fn on_book(
    registry: &Registry,
    root: Value<'_>,
    data: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let instrument = symbol(registry, data)?;
    let (first, last) = (counter(data, "O")?, counter(data, "C")?);
    let venue_ns = time(data, "M")?;
    let message = match root.str("t").map_err(at("t"))? {
        // A snapshot is as of its last number.
        "snapshot" => feed::snapshot(instrument, (data, SIDES), last, venue_ns, levels)?,
        "delta" => feed::changes(instrument, (data, SIDES), (first, last), venue_ns, levels)?,
        _ => return Err(DecodeError::Field("t")),
    };
    out.event(&Event::Book(message));
    Ok(())
}

fn on_trade(registry: &Registry, data: Value<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    out.event(&Event::Trade(TradeMsg {
        instrument: symbol(registry, data)?,
        trade_id: TradeId(id(data, "ti")?),
        taker: side(data, "S")?,
        price: decimal(data, "p")?,
        qty: decimal(data, "q")?,
        venue_ns: time(data, "M")?,
    }));
    Ok(())
}

fn named(instrument: InstrumentId, data: Value<'_>) -> Result<Named, DecodeError> {
    Ok(Named {
        instrument,
        client_id: parse_client_id(text(data, "ci").as_bytes()),
        order_id: OrderId(id(data, "oi")?),
        side: side(data, "S")?,
        cum: optional(data, "fS")?,
    })
}

/// `os` of the page: 0 and 1 are of stop orders, 2 live, 3 filled, 4 partly, 5 cancelled, 6 partly and over.
const fn state(status: i64) -> Option<OrderState> {
    match status {
        0..=2 => Some(OrderState::Ack),
        3 => Some(OrderState::Filled),
        4 => Some(OrderState::PartiallyFilled),
        5 | 6 => Some(OrderState::Cancelled),
        _ => None,
    }
}

/// An order's standing. The push tells no price of a single trade: its fills come by `execution`.
fn on_order(registry: &Registry, data: Value<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    let Some(instrument) = known(symbol(registry, data), out)? else {
        return Ok(());
    };
    let standing = Standing {
        state: state(counter(data, "os")?).ok_or(DecodeError::Field("os"))?,
        reason: RejectReason::None,
        price: optional(data, "p")?,
        qty: optional(data, "q")?,
        venue_ns: time(data, "U")?,
    };
    let named = named(instrument, data)?;
    out.event(&Event::Order(named.report(&standing)));
    Ok(())
}

fn on_execution(
    registry: &Registry,
    data: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let Some(instrument) = known(symbol(registry, data), out)? else {
        return Ok(());
    };
    let trade = Trade {
        id: TradeId(id(data, "ti")?),
        price: decimal(data, "p")?,
        qty: decimal(data, "q")?,
        fee: optional(data, "f")?.unwrap_or(Decimal::ZERO),
        fee_asset: registry.find_asset(text(data, "fC")).unwrap_or_default(),
        liquidity: crate::account::liquidity_of(text(data, "lR")),
        venue_ns: time(data, "E")?,
    };
    let named = named(instrument, data)?;
    out.event(&Event::Fill(named.fill(&trade)));
    Ok(())
}

fn on_balance(
    registry: &Registry,
    data: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let asset = data.str("c").map_err(at("c"))?;
    out.event(&Event::Balance(Balance {
        venue: crate::ID,
        asset: registry.find_asset(asset).unwrap_or_default(),
        free: decimal(data, "a")?,
        locked: optional(data, "h")?.unwrap_or(Decimal::ZERO),
    }));
    Ok(())
}
