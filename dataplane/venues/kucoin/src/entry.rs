//! Order entry over the order link: new orders and cancels, and what the venue answers.
//!
//! ```text
//! request id   n1z141z5I3        n new or c cancel, base-36 client id, I and the instrument's number
//! {"id":"n1z141z5I3","op":"spot.order","args":{"clientOid":"sl-1z141z5","symbol":"BTC-USDT","side":"buy",
//!   "type":"limit","price":"65000.1","size":"0.001","timeInForce":"GTC","postOnly":true,"stp":"CN",
//!   "allowMaxTimeWindow":500,"clientTimestamp":1760000000000}}
//! {"id":"n1z141z5I3","op":"spot.order","code":"200000","data":{"orderId":"..."},"outTime":ms,"rateLimit":{...}}
//! POST /api/v1/hf/orders/multi   {"orderList":[{...},...]}     several, by REST, where the configuration asks for it
//! {"code":"200000","data":[{"orderId":"...","clientOid":"...","success":true},{"success":false,"failMsg":"..."}]}
//! ```
//! The id says what an answer is about, so no table of requests in flight is kept; of several by REST the request's
//! tag says it, and an item that names none is the order of its place. Cancels name the order by our
//! id, which is known from the first instant.
//!
//! Amend: the venue's `spot.modify` cancels the order and places another under a new id, with its place in the
//! queue lost; which client id that one has is not documented. That is a cancel and a new order, which strategies
//! do themselves, each with a fate of its own.
//! Source: venue page, sections 4.1, 4.3 and 4.5, read 2026-11-20.

use crate::feed::{at, counter, integer, text};
use crate::limits::Usage;
use crate::reject;
use crate::symbols::{
    parse_base36, parse_client_id, parse_id, push_base36, push_client_id, write_u64,
};
use dp_types::{
    CancelOrder, ClientOrderId, Decimal, Instrument, InstrumentId, NewOrder, Now, OrderId,
    OrderKind, OrderReport, OrderState, RejectReason, Side, Tif, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Fates, Fault, OrderBatch, Registry, RequestAck, Sink};
use dp_wire::json::Value;

/// Orders one `orders/multi` may enter.
pub const BATCH_MAX: usize = 20;
const _: () = assert!(BATCH_MAX <= OrderBatch::MAX);

/// What a request was, read back from its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// A new order.
    New(ClientOrderId, InstrumentId),
    /// A cancel.
    Cancel(ClientOrderId, InstrumentId),
}

/// Parts the instrument from the client id; upper case, so never a base-36 digit of ours.
const INSTRUMENT_MARK: u8 = b'I';

impl RequestKind {
    /// Reads a request id. `None` when we did not write it.
    pub fn parse(id: &[u8]) -> Option<Self> {
        let (kind, rest) = id.split_first()?;
        let mark = rest.iter().position(|&byte| byte == INSTRUMENT_MARK)?;
        let (client, index) = (rest.get(..mark)?, rest.get(mark + 1..)?);
        let client = ClientOrderId::from_raw(parse_base36(client)?)?;
        let index = parse_base36(index)?.checked_sub(1)?;
        let instrument = InstrumentId(u32::try_from(index).ok()?);
        match kind {
            b'n' => Some(Self::New(client, instrument)),
            b'c' => Some(Self::Cancel(client, instrument)),
            _ => None,
        }
    }

    /// The order it was about.
    pub const fn client_id(self) -> ClientOrderId {
        match self {
            Self::New(id, _) | Self::Cancel(id, _) => id,
        }
    }

    fn push(self, out: &mut Vec<u8>) {
        let (kind, client, instrument) = match self {
            Self::New(client, id) => (b'n', client, id),
            Self::Cancel(client, id) => (b'c', client, id),
        };
        out.push(kind);
        push_base36(client.0, out);
        out.push(INSTRUMENT_MARK);
        push_base36(u64::from(instrument.0) + 1, out); // from 1: base-36 zero is not canonical
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

fn push_head(out: &mut Vec<u8>, request: RequestKind, op: &str) {
    push(out, r#"{"id":""#);
    request.push(out);
    push(out, r#"","op":""#);
    push(out, op);
    push(out, r#"","args":{"clientOid":""#);
    push_client_id(request.client_id(), out);
    push(out, r#"","symbol":""#);
}

/// Appends a new order: good at the venue's gateway until `window_ms` from `now`. Never without: a request that
/// waits in a stalled connection would be carried out whenever that moves again. Cost: one pass, no allocation
/// once `out` has grown.
pub fn write_new(
    instrument: &Instrument,
    order: &NewOrder,
    now: Now,
    window_ms: u32,
    out: &mut Vec<u8>,
) {
    push_head(
        out,
        RequestKind::New(order.client_id, order.instrument),
        "spot.order",
    );
    push_terms(instrument, order, (now, window_ms), out);
    push(out, "}}");
}

/// Appends the body of a request for several new orders, as [`write_new`] has each: at least one, at most
/// [`BATCH_MAX`], of one instrument.
pub fn write_batch(
    instrument: &Instrument,
    orders: &[NewOrder],
    now: Now,
    window_ms: u32,
    out: &mut Vec<u8>,
) {
    push(out, r#"{"orderList":["#);
    for (index, order) in orders.iter().enumerate() {
        push(out, if index > 0 { "," } else { "" });
        push(out, r#"{"clientOid":""#);
        push_client_id(order.client_id, out);
        push(out, r#"","symbol":""#);
        push_terms(instrument, order, (now, window_ms), out);
        push(out, "}");
    }
    push(out, "]}");
}

/// What an order is, from its symbol on.
fn push_terms(
    instrument: &Instrument,
    order: &NewOrder,
    (now, window_ms): (Now, u32),
    out: &mut Vec<u8>,
) {
    push(out, instrument.symbol.as_str());
    push(
        out,
        match order.side {
            Side::Buy => r#"","side":"buy","#,
            Side::Sell => r#"","side":"sell","#,
        },
    );
    if order.kind == OrderKind::Market {
        push(out, r#""type":"market"#);
    } else {
        push(out, r#""type":"limit","price":""#);
        push_decimal(out, instrument.price_decimal(order.price));
    }
    push(out, r#"","size":""#);
    push_decimal(out, instrument.qty_decimal(order.qty));
    push(
        out,
        match (order.kind, order.tif) {
            (OrderKind::PostOnly, _) => r#"","timeInForce":"GTC","postOnly":true"#,
            (OrderKind::Market, _) => r#"""#,
            (OrderKind::Limit, Tif::Gtc) => r#"","timeInForce":"GTC""#,
            (OrderKind::Limit, Tif::Ioc) => r#"","timeInForce":"IOC""#,
            (OrderKind::Limit, Tif::Fok) => r#"","timeInForce":"FOK""#,
        },
    );
    push(out, r#","stp":"CN","allowMaxTimeWindow":"#);
    let mut digits = [0; 20];
    push(out, write_u64(u64::from(window_ms.max(1)), &mut digits));
    push(out, r#","clientTimestamp":"#);
    push(out, write_u64(now.unix.millis(), &mut digits));
}

/// Appends a cancel.
pub fn write_cancel(instrument: &Instrument, cancel: &CancelOrder, out: &mut Vec<u8>) {
    push_head(
        out,
        RequestKind::Cancel(cancel.client_id, cancel.instrument),
        "spot.cancel",
    );
    push(out, instrument.symbol.as_str());
    push(out, r#""}}"#);
}

/// The code of an answer, printed as a string.
///
/// Errors: not there, or not a number. An answer whose verdict cannot be read is never taken for success.
pub(crate) fn code_of(value: Value<'_>) -> Result<i32, DecodeError> {
    value
        .get("code")
        .and_then(integer)
        .and_then(|code| i32::try_from(code).ok())
        .ok_or(DecodeError::Field("code"))
}

/// What an answer says beside its verdict.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heard {
    pub(crate) usage: Option<Usage>,
    /// The venue refused for rate; whether that was a cancel.
    pub(crate) refused: Option<bool>,
}

fn usage(root: Value<'_>) -> Option<Usage> {
    let told = root.get("rateLimit")?;
    let number = |key| u64::try_from(integer(told.get(key)?)?).ok();
    Some(Usage {
        limit: u32::try_from(number("limit")?).ok()?,
        remaining: u32::try_from(number("remaining")?).ok()?,
        reset_ms: number("reset").unwrap_or(0),
    })
}

const NOT_OURS: Event<'static> = Event::Ignored("an answer about an order that is not ours");

/// Says what an answer means for one order. A refused new order is final; one whose outcome the venue left open
/// is unknown; an accepted one is only acknowledged here, its state comes from the stream.
pub(crate) fn answer(
    registry: &Registry,
    request: RequestKind,
    ack: RequestAck,
    out: &mut impl Sink,
) {
    out.event(&Event::Ack(ack));
    let state = match ack.reason {
        RejectReason::None => return,
        // An order of that id lives at the venue: what we asked for may be it.
        RejectReason::UnknownOutcome | RejectReason::DuplicateId => OrderState::Unknown,
        _ => OrderState::Rejected,
    };
    if let RequestKind::New(_, instrument) = request
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

/// Reads an answer of the order link.
///
/// Errors: [`DecodeError`] for a shape or code that cannot be read; [`Fault::Venue`] for a refusal that names no
/// request of ours (the venue leaves the id out where it did not like a parameter): the order it was about is
/// found by asking.
pub(crate) fn on_answer(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> (Heard, Result<(), Fault>) {
    let mut heard = Heard {
        usage: usage(root),
        refused: None,
    };
    let code = match code_of(root) {
        Ok(code) => code,
        Err(error) => return (heard, Err(error.into())),
    };
    let reason = reject::reason(code, text(root, "msg"));
    let request = RequestKind::parse(text(root, "id").as_bytes());
    if reject::is_rate_stop(reason) {
        heard.refused = Some(matches!(request, Some(RequestKind::Cancel(..))));
    }
    let result = match request {
        Some(request) => read_ack(root, request, (code, reason))
            .map(|ack| answer(registry, request, ack, out))
            .map_err(Fault::from),
        None if reason == RejectReason::None => {
            out.event(&NOT_OURS);
            Ok(())
        }
        None => Err(Fault::Venue { code, reason }),
    };
    (heard, result)
}

/// The answer to several new orders that is no refusal of the whole: each order's fate. What has no item, or one that
/// cannot be read, is asked about. Whether one was refused for rate, and what could not be read; all that can be is out.
pub(crate) fn on_batch(
    registry: &Registry,
    batch: OrderBatch,
    root: Value<'_>,
    out: &mut impl Sink,
) -> (bool, Option<DecodeError>) {
    let (mut is_stop, mut error) = (false, None);
    let mut fates = Fates::new(batch);
    let items = root.get("data").and_then(Value::as_array);
    if items.is_none() {
        error = Some(DecodeError::Field("data"));
    }
    for (place, item) in items.into_iter().flatten().enumerate() {
        if place >= batch.count() {
            error = error.or(Some(DecodeError::TooMuch("orders of a batch")));
            break;
        }
        match batch_item((batch, place), item, &mut fates) {
            Ok(ack) => {
                is_stop |= reject::is_rate_stop(ack.reason);
                let request = RequestKind::New(ack.client_id, batch.instrument());
                answer(registry, request, ack, out);
            }
            Err(found) => error = error.or(Some(found)),
        }
    }
    if fates.open().next().is_some() {
        error = error.or(Some(DecodeError::Shape("an order without an answer")));
    }
    settle(
        registry,
        (fates, batch),
        (0, RejectReason::UnknownOutcome),
        out,
    );
    (is_stop, error)
}

/// One item: of the order it names, else of the one of its place.
fn batch_item(
    (batch, place): (OrderBatch, usize),
    item: Value<'_>,
    fates: &mut Fates,
) -> Result<RequestAck, DecodeError> {
    const NOT_OURS: DecodeError = DecodeError::Field("clientOid");
    let client_id = match text(item, "clientOid") {
        "" => batch.at(place),
        named => parse_client_id(named.as_bytes()),
    };
    let client_id = client_id.ok_or(NOT_OURS)?;
    let is_taken = item.get("success").and_then(Value::as_bool);
    let is_taken = is_taken.ok_or(DecodeError::Field("success"))?;
    let order_id = parse_id(text(item, "orderId").as_bytes()).filter(|id| !is_taken || *id != 0);
    let order_id = order_id.ok_or(DecodeError::Field("orderId"))?;
    if !fates.settle(client_id) {
        return Err(NOT_OURS);
    }
    Ok(RequestAck {
        client_id,
        order_id: OrderId(order_id),
        reason: if is_taken {
            RejectReason::None
        } else {
            reject::reason_of_words(text(item, "failMsg"))
        },
        code: 0, // an item has words alone
        venue_ns: VenueNanos(0),
    })
}

/// The same fate for every order of a batch that has none.
pub(crate) fn settle(
    registry: &Registry,
    (fates, batch): (Fates, OrderBatch),
    (code, reason): (i32, RejectReason),
    out: &mut impl Sink,
) {
    for client_id in fates.open() {
        let ack = RequestAck {
            client_id,
            order_id: OrderId(0),
            reason,
            code,
            venue_ns: VenueNanos(0),
        };
        answer(
            registry,
            RequestKind::New(client_id, batch.instrument()),
            ack,
            out,
        );
    }
}

fn read_ack(
    root: Value<'_>,
    request: RequestKind,
    (code, reason): (i32, RejectReason),
) -> Result<RequestAck, DecodeError> {
    let data = root.get("data").filter(|data| data.as_object().is_some());
    let id = |key| data.map_or("", |data| text(data, key));
    let client_id = match id("clientOid") {
        "" => request.client_id(),
        // The two must speak of one order.
        named => parse_client_id(named.as_bytes())
            .filter(|id| *id == request.client_id())
            .ok_or(DecodeError::Field("clientOid"))?,
    };
    let order_id = parse_id(id("orderId").as_bytes()).ok_or(DecodeError::Field("orderId"))?;
    let venue_ns = match root.get("outTime") {
        Some(_) => {
            VenueNanos::from_millis(u64::try_from(counter(root, "outTime")?).unwrap_or_default())
        }
        None => VenueNanos(0),
    };
    Ok(RequestAck {
        client_id,
        order_id: OrderId(order_id),
        reason,
        code: if reason == RejectReason::None {
            0
        } else {
            code
        },
        venue_ns,
    })
}

/// Whether a message is an answer of the order link: it names an operation that is no ping.
pub(crate) fn op(root: Value<'_>) -> Result<Option<&str>, DecodeError> {
    match root.get("op") {
        None => Ok(None),
        Some(_) => root.str("op").map(Some).map_err(at("op")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId, Price, Qty, Text, UnixNanos, VenueId};

    fn spot() -> Instrument {
        let symbol = Text::new("BTC-USDT").unwrap();
        Instrument::bare(InstrumentId(2), VenueId::KUCOIN, symbol, 1, 8)
    }

    fn client(sequence: u32) -> ClientOrderId {
        ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap()
    }

    const NOW: Now = Now {
        tsc: dp_types::Tsc(0),
        unix: UnixNanos::from_millis(1_760_000_000_000),
    };

    fn written(kind: OrderKind, tif: Tif, window_ms: u32) -> String {
        let order = NewOrder {
            instrument: InstrumentId(2),
            client_id: client(1),
            side: Side::Buy,
            kind,
            tif,
            price: Price(650_000),
            qty: Qty(1_000_000),
        };
        let mut out = Vec::new();
        write_new(&spot(), &order, NOW, window_ms, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn new_orders_of_each_kind() {
        assert_eq!(
            written(OrderKind::PostOnly, Tif::Gtc, 500),
            concat!(
                r#"{"id":"n1z141z5I3","op":"spot.order","args":{"clientOid":"sl-1z141z5","symbol":"BTC-USDT","#,
                r#""side":"buy","type":"limit","price":"65000","size":"0.01","timeInForce":"GTC","postOnly":true,"#,
                r#""stp":"CN","allowMaxTimeWindow":500,"clientTimestamp":1760000000000}}"#
            )
        );
        assert_eq!(
            written(OrderKind::Market, Tif::Ioc, 0),
            concat!(
                r#"{"id":"n1z141z5I3","op":"spot.order","args":{"clientOid":"sl-1z141z5","symbol":"BTC-USDT","#,
                r#""side":"buy","type":"market","size":"0.01","#,
                r#""stp":"CN","allowMaxTimeWindow":1,"clientTimestamp":1760000000000}}"#
            ),
            "never without a window"
        );
        for (tif, word) in [(Tif::Gtc, "GTC"), (Tif::Ioc, "IOC"), (Tif::Fok, "FOK")] {
            let text = written(OrderKind::Limit, tif, 500);
            let want = format!(r#""size":"0.01","timeInForce":"{word}","stp""#);
            assert!(text.contains(&want), "{text}");
        }
    }

    #[test]
    fn cancels_name_our_id() {
        let cancel = CancelOrder {
            instrument: InstrumentId(2),
            client_id: client(1),
            order_id: OrderId(7),
        };
        let mut out = Vec::new();
        write_cancel(&spot(), &cancel, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"id":"c1z141z5I3","op":"spot.cancel","#,
                r#""args":{"clientOid":"sl-1z141z5","symbol":"BTC-USDT"}}"#
            )
        );
    }

    #[test]
    fn numbers_lose_only_zeros_that_do_not_count() {
        for (mantissa, exponent, text) in [
            (650_001, -1, "65000.1"),
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
    fn request_ids_come_back_and_fit() {
        let last = ClientOrderId((1 << 45) - 1);
        for request in [
            RequestKind::New(client(9), InstrumentId(0)),
            RequestKind::Cancel(last, InstrumentId(u32::MAX)),
        ] {
            let mut text = Vec::new();
            request.push(&mut text);
            assert!(text.len() <= 32, "the venue takes 32");
            assert_eq!(RequestKind::parse(&text), Some(request));
        }
        for foreign in [
            "",
            "o1",
            "n",
            "n1z141zd",
            "n1z141zdI",
            "n1z141zdI0",
            "nI3",
            "x1z141zdI3",
        ] {
            assert_eq!(RequestKind::parse(foreign.as_bytes()), None, "{foreign}");
        }
    }
}
