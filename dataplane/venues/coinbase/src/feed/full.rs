//! The full channel: single orders, each event with the product's number.
//!
//! ```text
//! received, activate   nothing rests yet               L3 without orders: its number counts
//! open                 rests with remaining_size       L3 Rests
//! change               shrinks, or is amended          L3 Becomes (venue: also of orders that never rested)
//! match                its maker's order shrinks       Trade, and L3 Trades
//! done                 is gone                         L3 Rests, 0 (without a price it never rested: no orders)
//! GET /products/X/book?level=3                         L3 snapshot, in pieces
//! ```
//! Source: venue page, section A3.

use super::{at, sequence, side, text, time, trade};
use crate::symbols::parse_order_id;
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{
    BookMsgKind, Decimal, InstrumentId, L3Msg, OrderAct, OrderId, RawOrder, Side, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Sink};
use dp_wire::json::Value;

fn order_id(root: Value<'_>, key: &'static str) -> Result<OrderId, DecodeError> {
    parse_order_id(text(root, key).as_bytes()).ok_or(DecodeError::Field(key))
}

/// Tells one message of a book, of one order or of none.
fn tell(
    id: InstrumentId,
    orders: &[RawOrder],
    root: Value<'_>,
    venue_ns: VenueNanos,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    out.event(&Event::L3(L3Msg {
        instrument: id,
        kind: BookMsgKind::Delta,
        last_id: sequence(root)?,
        has_hole: false,
        has_more: false,
        checksum: None,
        orders,
        venue_ns,
    }));
    Ok(())
}

/// One event of the channel.
pub(crate) fn on_event(
    id: InstrumentId,
    kind: &str,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    if kind == "match" {
        return on_match(id, root, out);
    }
    let price = |key| super::optional(root, key);
    let (act, price, qty) = match kind {
        "open" => (OrderAct::Rests, price("price")?, Some("remaining_size")),
        "done" => (OrderAct::Rests, price("price")?, None),
        "change" => {
            let new = price("new_price")?;
            let new = if new.is_some() { new } else { price("price")? };
            (OrderAct::Becomes, new, Some("new_size"))
        }
        _ => (OrderAct::Rests, None, None),
    };
    let venue_ns = time(root, "time")?;
    // A market order has no price, and never rested.
    let Some(price) = price else {
        return tell(id, &[], root, venue_ns, out);
    };
    let order = RawOrder {
        act,
        id: order_id(root, "order_id")?,
        side: side(root)?,
        price,
        qty: match qty {
            Some(key) => root.decimal(key).map_err(at(key))?,
            None => Decimal::ZERO,
        },
    };
    tell(id, &[order], root, venue_ns, out)
}

/// A trade, and what it takes of the maker's order.
fn on_match(id: InstrumentId, root: Value<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    let trade = trade(id, root)?;
    out.event(&Event::Trade(trade));
    let Some(maker) = parse_order_id(text(root, "maker_order_id").as_bytes()) else {
        return Ok(());
    };
    let order = RawOrder {
        act: OrderAct::Trades,
        id: maker,
        side: trade.taker.opposite(),
        price: trade.price,
        qty: trade.qty,
    };
    tell(id, &[order], root, trade.venue_ns, out)
}

/// The book of single orders as fetched: `[price, size, order id]`. `room` is for one piece.
pub(crate) fn on_snapshot(
    id: InstrumentId,
    root: Value<'_>,
    room: &mut Vec<RawOrder>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let last_id = sequence(root)?;
    let venue_ns = time(root, "time")?;
    let mut kind = BookMsgKind::Snapshot;
    let mut piece = |orders: &mut Vec<RawOrder>, has_more| {
        out.event(&Event::L3(L3Msg {
            instrument: id,
            kind,
            last_id,
            has_hole: false,
            has_more,
            checksum: None,
            orders,
            venue_ns,
        }));
        kind = BookMsgKind::Delta;
        orders.clear();
    };
    room.clear();
    for (key, side) in [("bids", Side::Buy), ("asks", Side::Sell)] {
        for item in root.array(key).map_err(at(key))? {
            if room.len() >= MSG_LEVELS_MAX {
                piece(room, true);
            }
            room.push(resting(item, side)?);
        }
    }
    piece(room, false);
    Ok(())
}

/// `[price, size, order id]`.
fn resting(item: Value<'_>, side: Side) -> Result<RawOrder, DecodeError> {
    let super::RawLevel { price, qty } = super::level(item)?;
    let id = item.at(2).and_then(Value::as_str).unwrap_or("");
    Ok(RawOrder {
        act: OrderAct::Rests,
        id: parse_order_id(id.as_bytes()).ok_or(DecodeError::Field("order_id"))?,
        side,
        price,
        qty,
    })
}

/// Whether a fetched book is of single orders: the third of a level is an id and not a count.
pub(crate) fn is_single_orders(root: Value<'_>) -> bool {
    ["bids", "asks"].into_iter().any(|key| {
        let first = root.get(key).and_then(|side| side.at(0));
        let third = first.and_then(|level| level.at(2));
        third.is_some_and(|third| third.as_str().is_some())
    })
}
