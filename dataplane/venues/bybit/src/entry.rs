//! Order entry over the trade link: new, amend, cancel, batch cancel.
//!
//! ```text
//! request id   n1z141z5I3         new: base-36 client id, I and the instrument's number
//!              a1z141z5N7         amend or cancel (c), N and a number: the venue takes no id twice
//!              bmgj6k3cwN8        batch of cancels: time and number
//! {"reqId":"n1z141z5I3","header":{"X-BAPI-TIMESTAMP":"1760000000000","X-BAPI-RECV-WINDOW":"500"},
//!   "op":"order.create","args":[{"category":"spot","symbol":"BTCUSDT","side":"Buy",..}]}
//! ```
//! The id says what an answer is about even when the answer carries no order, so no table of requests in flight is
//! kept. The receive window is the venue's own deadline of the request: our validity window for new orders and
//! amends, the venue's default (5 s) for cancels. Cancels and amends name the order by our id, which is known from
//! the first instant. Code 0 means accepted, not live: the order stream tells what became of it.
//! Source: venue page, sections 4.1, 4.2A and 5, read 2026-11-20.

use crate::feed::{at, count, text};
use crate::limits::OrderOp;
use crate::reject;
use crate::symbols::{
    Category, parse_base36, parse_client_id, parse_id, push_base36, push_client_id, wire_name,
    write_u64,
};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Decimal, Instrument, InstrumentId, NewOrder, Now,
    OrderId, OrderKind, OrderReport, OrderState, RejectReason, Side, Tif, VenueNanos,
};
use dp_venue_api::limits::Refused;
use dp_venue_api::{DecodeError, Event, OrderBatch, Registry, RequestAck, Sink};
use dp_wire::json::Value;

/// What a request was, read back from its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// A new order.
    New(ClientOrderId, InstrumentId),
    /// An amend.
    Amend(ClientOrderId),
    /// A cancel.
    Cancel(ClientOrderId),
    /// A batch of cancels; its items carry their own ids.
    Batch,
    /// A batch of so many new orders, their client ids counted from this one: what fails comes without an id.
    News(OrderBatch),
}

/// Parts what follows from the client id; upper case, so never a base-36 digit of ours.
const INSTRUMENT_MARK: u8 = b'I';
const NUMBER_MARK: u8 = b'N';

impl RequestKind {
    /// Reads a request id. `None` when we did not write it.
    pub fn parse(id: &[u8]) -> Option<Self> {
        let (kind, rest) = id.split_first()?;
        let mark = if matches!(kind, b'n' | b'm') {
            INSTRUMENT_MARK
        } else {
            NUMBER_MARK
        };
        let (first, second) = rest.split_at_checked(rest.iter().position(|byte| *byte == mark)?)?;
        let number = parse_base36(second.get(1..)?)?;
        let client = || parse_base36(first).and_then(ClientOrderId::from_raw);
        match kind {
            b'n' => {
                let index = u32::try_from(number.checked_sub(1)?).ok()?;
                Some(Self::New(client()?, InstrumentId(index)))
            }
            b'm' => OrderBatch::from_number(client()?, number).map(Self::News),
            b'a' => client().map(Self::Amend),
            b'c' => client().map(Self::Cancel),
            b'b' => parse_base36(first).map(|_| Self::Batch),
            _ => None,
        }
    }
}

impl RequestKind {
    /// Orders an answer without a list is about.
    fn count(self) -> usize {
        match self {
            Self::News(batch) => batch.count(),
            _ => 1,
        }
    }

    /// What was asked for by the item of this place, from 0. `None`: there was none.
    fn nth(self, nth: usize) -> Option<Self> {
        let Self::News(batch) = self else {
            return Some(self);
        };
        Some(Self::New(batch.at(nth)?, batch.instrument()))
    }

    /// The order it names.
    const fn asked(self) -> Option<ClientOrderId> {
        match self {
            Self::New(id, _) | Self::Amend(id) | Self::Cancel(id) => Some(id),
            Self::Batch | Self::News(..) => None,
        }
    }
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Without the zeros behind the last place that counts: increments are finer than ticks.
fn push_decimal(out: &mut Vec<u8>, value: Decimal) {
    let mut buffer = [0; Decimal::TEXT_MAX];
    let mut text = value.write(&mut buffer);
    if value.exponent < 0 {
        text = text.trim_end_matches('0').trim_end_matches('.');
    }
    push(out, text);
}

/// Everything up to the first argument.
fn push_head(
    out: &mut Vec<u8>,
    (kind, subject, mark, number): (u8, u64, u8, u64),
    op: &str,
    now: Now,
    window_ms: Option<u32>,
) {
    push(out, r#"{"reqId":""#);
    out.push(kind);
    push_base36(subject, out);
    out.push(mark);
    push_base36(number, out);
    push(out, r#"","header":{"X-BAPI-TIMESTAMP":""#);
    push(out, write_u64(now.unix.millis(), &mut [0; 20]));
    if let Some(ms) = window_ms {
        // Never without: what waits in a stalled connection would be carried out whenever that moves again.
        push(out, r#"","X-BAPI-RECV-WINDOW":""#);
        push(out, write_u64(u64::from(ms.max(1)), &mut [0; 20]));
    }
    push(out, r#""},"op":""#);
    push(out, op);
    push(out, r#"","args":[{"category":""#);
}

fn push_symbol(out: &mut Vec<u8>, instrument: &Instrument) {
    push(out, r#""symbol":""#);
    push(out, wire_name(instrument.symbol.as_str()));
}

/// The venue's time in force; post-only is one, and market orders are always IOC.
const fn time_in_force(kind: OrderKind, tif: Tif) -> &'static str {
    match (kind, tif) {
        (OrderKind::PostOnly, _) => "PostOnly",
        (OrderKind::Market, _) | (OrderKind::Limit, Tif::Ioc) => "IOC",
        (OrderKind::Limit, Tif::Gtc) => "GTC",
        (OrderKind::Limit, Tif::Fok) => "FOK",
    }
}

/// Appends a new order. Cost: no allocation once `out` has grown; one pass.
pub fn write_new(
    instrument: &Instrument,
    order: &NewOrder,
    now: Now,
    window_ms: u32,
    out: &mut Vec<u8>,
) {
    let category = Category::of(instrument.symbol.as_str());
    // From 1: base-36 zero is not canonical.
    let number = u64::from(order.instrument.0) + 1;
    let id = (b'n', order.client_id.0, INSTRUMENT_MARK, number);
    push_head(out, id, "order.create", now, Some(window_ms));
    push(out, category.as_str());
    push(out, r#"","#);
    push_terms(instrument, category, order, out);
    push(out, "}]}");
}

/// Appends new orders in one request: at least one, at most [`Category::batch_max`], of one instrument, their client ids
/// one behind the other.
pub fn write_batch_new(
    instrument: &Instrument,
    orders: &[NewOrder],
    now: Now,
    window_ms: u32,
    out: &mut Vec<u8>,
) {
    let Some(batch) = OrderBatch::of(orders) else {
        return;
    };
    let category = Category::of(instrument.symbol.as_str());
    let id = (b'm', batch.first().0, INSTRUMENT_MARK, batch.number());
    push_head(out, id, "order.create-batch", now, Some(window_ms));
    push(out, category.as_str());
    push(out, r#"","request":["#);
    for (index, order) in orders.iter().enumerate() {
        push(out, if index > 0 { ",{" } else { "{" });
        push_terms(instrument, category, order, out);
        push(out, "}");
    }
    push(out, "]}]}");
}

/// What an order is, and under which id.
fn push_terms(instrument: &Instrument, category: Category, order: &NewOrder, out: &mut Vec<u8>) {
    push_symbol(out, instrument);
    push(
        out,
        match order.side {
            Side::Buy => r#"","side":"Buy","orderType":""#,
            Side::Sell => r#"","side":"Sell","orderType":""#,
        },
    );
    if order.kind == OrderKind::Market {
        push(out, "Market");
        if category == Category::Spot {
            // Without this a spot market buy is sized in the quote asset.
            push(out, r#"","marketUnit":"baseCoin"#);
        }
    } else {
        push(out, r#"Limit","price":""#);
        push_decimal(out, instrument.price_decimal(order.price));
    }
    push(out, r#"","qty":""#);
    push_decimal(out, instrument.qty_decimal(order.qty));
    push(out, r#"","timeInForce":""#);
    push(out, time_in_force(order.kind, order.tif));
    push(out, r#"","orderLinkId":""#);
    push_client_id(order.client_id, out);
    push(out, r#"""#);
}

/// Appends an amend; `number` is new for each. A failed amend leaves the order as it was.
pub fn write_amend(
    instrument: &Instrument,
    amend: &AmendOrder,
    number: u64,
    now: Now,
    window_ms: u32,
    out: &mut Vec<u8>,
) {
    let id = (b'a', amend.client_id.0, NUMBER_MARK, number);
    push_head(out, id, "order.amend", now, Some(window_ms));
    push(out, Category::of(instrument.symbol.as_str()).as_str());
    push(out, r#"","#);
    push_symbol(out, instrument);
    push(out, r#"","orderLinkId":""#);
    push_client_id(amend.client_id, out);
    if let Some(price) = amend.price {
        push(out, r#"","price":""#);
        push_decimal(out, instrument.price_decimal(price));
    }
    if let Some(qty) = amend.qty {
        push(out, r#"","qty":""#);
        push_decimal(out, instrument.qty_decimal(qty));
    }
    push(out, r#""}]}"#);
}

/// Appends a cancel; `number` is new for each.
pub fn write_cancel(
    instrument: &Instrument,
    cancel: &CancelOrder,
    number: u64,
    now: Now,
    out: &mut Vec<u8>,
) {
    let id = (b'c', cancel.client_id.0, NUMBER_MARK, number);
    push_head(out, id, "order.cancel", now, None);
    push(out, Category::of(instrument.symbol.as_str()).as_str());
    push(out, r#"","#);
    push_symbol(out, instrument);
    push(out, r#"","orderLinkId":""#);
    push_client_id(cancel.client_id, out);
    push(out, r#""}]}"#);
}

/// Appends one batch of at most [`Category::batch_max`] cancels; the caller cuts longer lists.
pub fn write_batch_cancel(
    instrument: &Instrument,
    cancels: &[CancelOrder],
    number: u64,
    now: Now,
    out: &mut Vec<u8>,
) {
    let category = Category::of(instrument.symbol.as_str());
    let id = (b'b', now.unix.millis().max(1), NUMBER_MARK, number);
    push_head(out, id, "order.cancel-batch", now, None);
    push(out, category.as_str());
    push(out, r#"","request":["#);
    for (index, cancel) in cancels.iter().take(category.batch_max()).enumerate() {
        push(out, if index > 0 { ",{" } else { "{" });
        push_symbol(out, instrument);
        push(out, r#"","orderLinkId":""#);
        push_client_id(cancel.client_id, out);
        push(out, r#""}"#);
    }
    push(out, "]}]}");
}

/// A code that must be there: an answer whose verdict cannot be read is never taken for success.
pub(crate) fn code_of(value: Value<'_>, key: &'static str) -> Result<i32, DecodeError> {
    value
        .get(key)
        .and_then(Value::as_i64)
        .and_then(|code| i32::try_from(code).ok())
        .ok_or(DecodeError::Field(key))
}

/// What an answer says of our use of the venue's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Whose.
    pub(crate) op: Option<OrderOp>,
    /// Requests a window of this account holds; 0 when not told.
    pub(crate) limit: u32,
    /// What is left of them, if told.
    pub(crate) left: Option<u32>,
    /// What was refused for rate.
    pub(crate) refused: Option<Refused>,
    /// When the window ends, Unix milliseconds; 0 when not told.
    pub(crate) reset_ms: u64,
}

/// What a code says was refused for rate.
fn refused(op: Option<OrderOp>, code: i32) -> Option<Refused> {
    match op {
        _ if !reject::is_rate_stop(code) => None,
        Some(OrderOp::Cancel | OrderOp::BatchCancel) => Some(Refused::Cancel),
        _ => Some(Refused::Other),
    }
}

fn usage(kind: Option<RequestKind>, code: i32, root: Value<'_>) -> Usage {
    let header = root.get("header");
    let told = |key| header.and_then(|header| count(header, key).ok());
    let number = |key| told(key).unwrap_or(0);
    let op = kind.map(|kind| match kind {
        RequestKind::New(..) => OrderOp::New,
        RequestKind::Amend(_) => OrderOp::Amend,
        RequestKind::Cancel(_) => OrderOp::Cancel,
        RequestKind::Batch => OrderOp::BatchCancel,
        RequestKind::News(..) => OrderOp::BatchNew,
    });
    let refused = refused(op, code);
    Usage {
        op,
        limit: u32::try_from(number("X-Bapi-Limit")).unwrap_or(0),
        left: told("X-Bapi-Limit-Status").and_then(|left| u32::try_from(left).ok()),
        refused,
        reset_ms: number("X-Bapi-Limit-Reset-Timestamp"),
    }
}

/// Says what an answer means for one order. A refused new order is final; one whose outcome the venue left open is
/// unknown; an accepted one is only acknowledged here, its state comes from the order stream.
fn answer(registry: &Registry, kind: Option<RequestKind>, ack: RequestAck, out: &mut impl Sink) {
    out.event(&Event::Ack(ack));
    let state = match ack.reason {
        RejectReason::None => return,
        // An order of that id lives, or lived, at the venue: what we asked for may be it.
        RejectReason::UnknownOutcome | RejectReason::DuplicateId => OrderState::Unknown,
        _ => OrderState::Rejected,
    };
    if let Some(RequestKind::New(asked, instrument)) = kind
        && asked == ack.client_id
        && registry.get(instrument).is_some()
    {
        out.event(&Event::Order(OrderReport {
            instrument,
            client_id: Some(ack.client_id),
            order_id: ack.order_id,
            side: None,
            state,
            reason: ack.reason,
            price: None,
            qty: None,
            cum: None,
            venue_ns: ack.venue_ns,
        }));
    }
}

/// One order in an answer: its own ids, else those asked about.
fn ack_of(
    item: Option<Value<'_>>,
    asked: Option<ClientOrderId>,
    code: i32,
    venue_ns: VenueNanos,
) -> Result<Option<RequestAck>, DecodeError> {
    let of = |key| item.map_or("", |item| text(item, key));
    let Some(client_id) = parse_client_id(of("orderLinkId").as_bytes()).or(asked) else {
        return Ok(None);
    };
    let order_id = parse_id(of("orderId").as_bytes()).ok_or(DecodeError::Field("orderId"))?;
    Ok(Some(RequestAck {
        client_id,
        order_id: OrderId(order_id),
        reason: reject::reason(code),
        code,
        venue_ns,
    }))
}

/// Reads an answer to an order request. Returns what it says of the limits.
///
/// The envelope's code decides for single orders. A batch has two parallel lists, orders and codes, and each pair
/// is read by itself. What failed comes without ids: a new order is named by its place, a cancel cannot be, so only the list
/// of open orders tells.
/// Errors: [`DecodeError`]; the first shape or code that cannot be read, all else is out.
pub(crate) fn on_answer(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> (Option<Usage>, Result<(), DecodeError>) {
    let envelope = match code_of(root, "retCode") {
        Ok(code) => code,
        Err(error) => return (None, Err(error)),
    };
    let kind = RequestKind::parse(text(root, "reqId").as_bytes());
    let mut usage = usage(kind, envelope, root);
    let time = root.get("header").map_or(Ok(VenueNanos(0)), |header| {
        count(header, "Timenow").map(VenueNanos::from_millis)
    });
    let venue_ns = match time {
        Ok(time) => time,
        Err(error) => return (Some(usage), Err(error)),
    };
    let data = root.get("data");
    let list = data
        .and_then(|data| data.get("list"))
        .and_then(Value::as_array);
    let (mut told, mut result) = (0, Ok(()));
    let mut tell = |item, nth: usize, code| {
        let kind = kind.and_then(|kind| kind.nth(nth));
        match ack_of(item, kind.and_then(RequestKind::asked), code, venue_ns) {
            Ok(Some(ack)) => {
                told += 1;
                answer(registry, kind, ack, out);
            }
            Ok(None) => {}
            Err(error) => result = result.and(Err(error)),
        }
    };
    match list {
        Some(items) if envelope == 0 => {
            let mut verdicts = root
                .get("retExtInfo")
                .and_then(|info| info.get("list"))
                .and_then(Value::as_array);
            for (nth, item) in items.enumerate() {
                let verdict = verdicts.as_mut().and_then(Iterator::next);
                match verdict.map(|verdict| code_of(verdict, "code")) {
                    Some(Ok(code)) => {
                        usage.refused = refused(usage.op, code).or(usage.refused);
                        tell(Some(item), nth, code);
                    }
                    Some(Err(_)) | None => {
                        return (Some(usage), Err(DecodeError::Field("retExtInfo")));
                    }
                }
            }
        }
        _ => {
            for nth in 0..kind.map_or(1, RequestKind::count) {
                tell(data, nth, envelope);
            }
        }
    }
    if told == 0 && result.is_ok() {
        out.event(&Event::Ignored("an answer about orders that are not ours"));
    }
    (Some(usage), result)
}

/// What a cancel-all over REST did: it names the orders, and the order stream tells of each.
pub(crate) fn cancelled_count(root: Value<'_>) -> Result<usize, DecodeError> {
    let result = root.field("result").map_err(at("result"))?;
    Ok(result.array("list").map_err(at("list"))?.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId, Price, Qty, Text, UnixNanos, VenueId};

    fn instrument(symbol: &str) -> Instrument {
        let symbol = Text::new(symbol).unwrap();
        Instrument::bare(InstrumentId(2), VenueId::BYBIT, symbol, 1, 8)
    }

    fn client(sequence: u32) -> ClientOrderId {
        ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap()
    }

    const NOW: Now = Now {
        tsc: dp_types::Tsc(0),
        unix: UnixNanos::from_millis(1_760_000_000_000),
    };

    fn new_order(kind: OrderKind, tif: Tif) -> NewOrder {
        NewOrder {
            instrument: InstrumentId(2),
            client_id: client(1),
            side: Side::Buy,
            kind,
            tif,
            price: Price(650_000),
            qty: Qty(1_000_000),
        }
    }

    fn text_of(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        let text = String::from_utf8(out).unwrap();
        let message: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(message["reqId"].as_str().unwrap().len() <= 36);
        text
    }

    #[test]
    fn new_orders_of_each_kind() {
        let written = |symbol: &str, kind, tif, window| {
            text_of(|out| write_new(&instrument(symbol), &new_order(kind, tif), NOW, window, out))
        };
        assert_eq!(
            written("BTCUSDT.P", OrderKind::PostOnly, Tif::Gtc, 500),
            concat!(
                r#"{"reqId":"n1z141z5I3","header":{"X-BAPI-TIMESTAMP":"1760000000000","X-BAPI-RECV-WINDOW":"500"},"#,
                r#""op":"order.create","args":[{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","#,
                r#""price":"65000","qty":"0.01","timeInForce":"PostOnly","orderLinkId":"sl-1z141z5"}]}"#
            )
        );
        let market = written("BTCUSDT", OrderKind::Market, Tif::Ioc, 0);
        assert!(
            market.contains(r#""X-BAPI-RECV-WINDOW":"1""#),
            "never without"
        );
        assert!(
            market.contains(
                r#""orderType":"Market","marketUnit":"baseCoin","qty":"0.01","timeInForce":"IOC""#
            ),
            "{market}"
        );
        let linear = written("BTCPERP", OrderKind::Market, Tif::Ioc, 5);
        assert!(!linear.contains("marketUnit") && !linear.contains("price"));
        for (tif, word) in [(Tif::Gtc, "GTC"), (Tif::Ioc, "IOC"), (Tif::Fok, "FOK")] {
            let text = written("BTCUSDT", OrderKind::Limit, tif, 5);
            let want = format!(r#""price":"65000","qty":"0.01","timeInForce":"{word}""#);
            assert!(text.contains(&want), "{text}");
        }
    }

    #[test]
    fn amend_cancel_and_batch() {
        let amend = AmendOrder {
            instrument: InstrumentId(2),
            client_id: client(1),
            order_id: OrderId(7),
            price: Some(Price(649_990)),
            qty: None,
        };
        assert_eq!(
            text_of(|out| write_amend(&instrument("BTCUSDT"), &amend, 7, NOW, 100, out)),
            concat!(
                r#"{"reqId":"a1z141z5N7","header":{"X-BAPI-TIMESTAMP":"1760000000000","X-BAPI-RECV-WINDOW":"100"},"#,
                r#""op":"order.amend","args":[{"category":"spot","symbol":"BTCUSDT","orderLinkId":"sl-1z141z5","#,
                r#""price":"64999"}]}"#
            )
        );
        let cancel = |sequence| CancelOrder {
            instrument: InstrumentId(2),
            client_id: client(sequence),
            order_id: OrderId(7),
        };
        assert_eq!(
            text_of(|out| write_cancel(&instrument("BTCUSDT"), &cancel(1), 8, NOW, out)),
            concat!(
                r#"{"reqId":"c1z141z5N8","header":{"X-BAPI-TIMESTAMP":"1760000000000"},"#,
                r#""op":"order.cancel","args":[{"category":"spot","symbol":"BTCUSDT","orderLinkId":"sl-1z141z5"}]}"#
            )
        );
        let pair = [cancel(1), cancel(2)];
        assert_eq!(
            text_of(|out| write_batch_cancel(&instrument("BTCUSDT.P"), &pair, 9, NOW, out)),
            concat!(
                r#"{"reqId":"bmgj6k3cwN9","header":{"X-BAPI-TIMESTAMP":"1760000000000"},"op":"order.cancel-batch","#,
                r#""args":[{"category":"linear","request":[{"symbol":"BTCUSDT","orderLinkId":"sl-1z141z5"},"#,
                r#"{"symbol":"BTCUSDT","orderLinkId":"sl-1z141z6"}]}]}"#
            )
        );
    }

    #[test]
    fn numbers_lose_only_zeros_that_do_not_count() {
        for (mantissa, exponent, text) in [
            (650_001, -1, "65000.1"),
            (6_500_010, -2, "65000.1"),
            (6_500_000, -2, "65000"),
            (100, 0, "100"),
            (1, -8, "0.00000001"),
            (0, -2, "0"),
        ] {
            let mut out = Vec::new();
            push_decimal(&mut out, Decimal { mantissa, exponent });
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn request_ids_come_back() {
        let id = client(9);
        for (text, kind) in [
            ("n1z141zdI3", RequestKind::New(id, InstrumentId(2))),
            ("a1z141zdN1", RequestKind::Amend(id)),
            ("c1z141zdNzz", RequestKind::Cancel(id)),
            ("bmgj6k3cwN9", RequestKind::Batch),
        ] {
            assert_eq!(RequestKind::parse(text.as_bytes()), Some(kind), "{text}");
        }
        for foreign in [
            "",
            "r-1",
            "n",
            "n1z141zd",
            "n1z141zdI",
            "n1z141zdI0",
            "nI3",
            "c1",
            "c1z141zd",
            "bN1",
        ] {
            assert_eq!(RequestKind::parse(foreign.as_bytes()), None, "{foreign}");
        }
    }
}
