//! Advanced Trade's messages: the retail front over the same engine. Read, not traded on: no link of ours speaks it.
//!
//! ```text
//! {"channel":"l2_data","timestamp":T,"sequence_num":N,"events":[{"type":"snapshot"|"update", ...}]}
//!     l2_data         Book: absolute quantities, 0 removes; sides are bid and offer
//!     market_trades   Trade; the side is the maker's (so the venue's page of 2025; check live `[U]`)
//!     ticker          Quote, where it has quantities
//!     user            Order: this channel tells no fills, only how much is filled in all
//!     heartbeats      Heartbeat
//! ```
//! `sequence_num` counts all messages of the connection, so a hole says that something was lost and not what. Each
//! book is told the number its message follows: its own last one while nothing is missing since, else one it has
//! not seen.
//! Source: venue page, sections B3 and B4.

use super::{Levels, at, instrument, on_quote, optional, text, time, trade_id};
use crate::symbols::{parse_client_id, parse_order_id};
use dp_types::{
    BookMsgKind, InstrumentId, OrderReport, OrderState, RawLevel, RejectReason, Side, TradeMsg,
    VenueNanos,
};
use dp_venue_api::{Control, DecodeError, Event, Named, Registry, Sink, Standing};
use dp_wire::json::Value;

/// Where the count of a connection's messages stands.
#[derive(Debug, Default)]
pub(crate) struct Count {
    last: Option<i64>,
    /// The first number since which none is missing.
    whole_since: i64,
    /// The last number of each instrument's book.
    books: Vec<(InstrumentId, i64)>,
}

impl Count {
    /// A new connection counts anew.
    pub(crate) fn restart(&mut self) {
        self.last = None;
        self.books.clear();
    }

    fn on_message(&mut self, number: i64) {
        if self.last.is_none() || self.last != number.checked_sub(1) {
            self.whole_since = number;
        }
        self.last = Some(number);
    }

    /// Notes a book message; returns the number it follows.
    fn on_book(&mut self, id: InstrumentId, number: i64) -> i64 {
        let lost = number.saturating_sub(1);
        // A lane has a handful of instruments: a scan beats a table. There are no more than instruments.
        match self.books.iter_mut().find(|(held, _)| *held == id) {
            Some((_, last)) => {
                let before = core::mem::replace(last, number);
                if before >= self.whole_since {
                    before
                } else {
                    lost
                }
            }
            None => {
                self.books.push((id, number));
                lost
            }
        }
    }
}

fn events(root: Value<'_>) -> Result<dp_wire::json::Items<'_>, DecodeError> {
    root.array("events").map_err(at("events"))
}

/// One message of Advanced Trade.
///
/// Errors: the first shape that cannot be read; what came before it is out.
pub(crate) fn on_message(
    registry: &Registry,
    channel: &str,
    root: Value<'_>,
    count: &mut Count,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let number = root
        .i64("sequence_num")
        .map_err(at("sequence_num"))
        .and_then(|number| match number {
            0.. => Ok(number),
            _ => Err(DecodeError::Field("sequence_num")),
        })?;
    count.on_message(number);
    match channel {
        "l2_data" => {
            for event in events(root)? {
                on_book(registry, event, (number, root), count, levels, out)?;
            }
        }
        "market_trades" => {
            for event in events(root)? {
                for item in event.array("trades").map_err(at("trades"))? {
                    out.event(&Event::Trade(trade(registry, item)?));
                }
            }
        }
        "ticker" | "ticker_batch" => {
            let venue_ns = time(root, "timestamp")?;
            let keys = [
                "best_bid",
                "best_bid_quantity",
                "best_ask",
                "best_ask_quantity",
            ];
            for event in events(root)? {
                for item in event.array("tickers").map_err(at("tickers"))? {
                    on_quote(instrument(registry, item)?, item, keys, venue_ns, out)?;
                }
            }
        }
        "user" => {
            let venue_ns = time(root, "timestamp")?;
            for event in events(root)? {
                let Some(orders) = event.get("orders").and_then(Value::as_array) else {
                    continue;
                };
                for item in orders {
                    match instrument(registry, item) {
                        Err(DecodeError::UnknownSymbol) => out.event(&NOT_FOLLOWED),
                        id => out.event(&Event::Order(order(id?, item, venue_ns)?)),
                    }
                }
            }
        }
        "heartbeats" => out.event(&Event::Control(Control::Heartbeat)),
        "subscriptions" => out.event(&Event::Ignored("subscriptions")),
        "candles" => out.event(&Event::Ignored("candle")),
        "status" => out.event(&Event::Ignored("status")),
        _ => out.event(&Event::Ignored("a channel we do not know")),
    }
    Ok(())
}

const NOT_FOLLOWED: Event<'static> = Event::Ignored("an order of an instrument we do not follow");

fn on_book(
    registry: &Registry,
    event: Value<'_>,
    (number, root): (i64, Value<'_>),
    count: &mut Count,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let id = instrument(registry, event)?;
    let mut kind = match text(event, "type") {
        "snapshot" => BookMsgKind::Snapshot,
        "update" => BookMsgKind::Delta,
        _ => return Err(DecodeError::Field("type")),
    };
    let follows = count.on_book(id, number);
    let mut ids = match kind {
        BookMsgKind::Snapshot => (number, -1),
        BookMsgKind::Delta => (number, follows),
    };
    let venue_ns = time(root, "timestamp")?;
    levels.clear();
    for item in event.array("updates").map_err(at("updates"))? {
        if levels.is_full() {
            out.event(&Event::Book(levels.message(id, kind, ids, venue_ns)));
            (kind, ids) = (BookMsgKind::Delta, (number, number));
            levels.clear();
        }
        let side = match text(item, "side") {
            "bid" => Side::Buy,
            "offer" | "ask" => Side::Sell,
            _ => return Err(DecodeError::Field("side")),
        };
        let level = RawLevel {
            price: item.decimal("price_level").map_err(at("price_level"))?,
            qty: item.decimal("new_quantity").map_err(at("new_quantity"))?,
        };
        levels.push(side, level);
    }
    if kind == BookMsgKind::Snapshot || !levels.is_empty() || ids.1 != number {
        out.event(&Event::Book(levels.message(id, kind, ids, venue_ns)));
    }
    Ok(())
}

/// `BUY` or `SELL`.
fn side_of(item: Value<'_>, key: &'static str) -> Result<Side, DecodeError> {
    match text(item, key) {
        "BUY" => Ok(Side::Buy),
        "SELL" => Ok(Side::Sell),
        _ => Err(DecodeError::Field(key)),
    }
}

fn trade(registry: &Registry, item: Value<'_>) -> Result<TradeMsg, DecodeError> {
    Ok(TradeMsg {
        instrument: instrument(registry, item)?,
        trade_id: trade_id(item)?,
        taker: side_of(item, "side")?.opposite(),
        price: item.decimal("price").map_err(at("price"))?,
        qty: item.decimal("size").map_err(at("size"))?,
        venue_ns: time(item, "time")?,
    })
}

/// What a status shows, with how much is filled.
fn evidence(status: &str, is_partly_done: bool) -> Option<OrderState> {
    Some(match status {
        "PENDING" | "QUEUED" | "OPEN" | "CANCEL_QUEUED" | "EDIT_QUEUED" => {
            if is_partly_done {
                OrderState::PartiallyFilled
            } else {
                OrderState::Ack
            }
        }
        "FILLED" => OrderState::Filled,
        "CANCELLED" => OrderState::Cancelled,
        "EXPIRED" => OrderState::Expired,
        "FAILED" => OrderState::Rejected,
        "UNKNOWN_ORDER_STATUS" => OrderState::Unknown,
        _ => return None,
    })
}

fn order(
    id: InstrumentId,
    item: Value<'_>,
    venue_ns: VenueNanos,
) -> Result<OrderReport, DecodeError> {
    let cum = optional(item, "cumulative_quantity")?;
    let is_partly_done = cum.is_some_and(|cum| !cum.is_zero());
    let state =
        evidence(text(item, "status"), is_partly_done).ok_or(DecodeError::Field("status"))?;
    let reason = match state {
        OrderState::Rejected => crate::reject::of_words(text(item, "reject_reason")),
        OrderState::Unknown => RejectReason::UnknownOutcome,
        _ => RejectReason::None,
    };
    let named = Named {
        instrument: id,
        client_id: parse_client_id(text(item, "client_order_id").as_bytes()),
        order_id: parse_order_id(text(item, "order_id").as_bytes())
            .ok_or(DecodeError::Field("order_id"))?,
        side: side_of(item, "order_side")?,
        cum,
    };
    Ok(named.report(&Standing {
        state,
        reason,
        price: optional(item, "limit_price")?,
        qty: None, // leaves_quantity is 0 of what is over: not the order's quantity
        venue_ns,
    }))
}
