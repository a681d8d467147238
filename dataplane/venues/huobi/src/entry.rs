//! Order entry over the logged-in trade socket: new, cancel, cancel of several. Amend: the venue has none on spot; a
//! strategy cancels and places.
//!
//! ```text
//! cid   n1z141z5I3     n new, c cancel or b batch of cancels, base-36 client id, I and the instrument's number
//!       m1z141z5I2u    m batch of new orders: the first client id, the instrument and how many
//! {"ch":"create-order","params":{"account-id":"992701","symbol":"btcusdt","type":"buy-limit-maker",
//!   "amount":"0.001","price":"65000.1","source":"spot-api","client-order-id":"sl1z141z5"},"cid":"n1z141z5I3"}
//! {"ch":"cancel","params":{"order-ids":["1314507823485263"]},"cid":"c1z141z5"}
//! ```
//! The id says what an answer is about, so no table of requests in flight is kept. A cancel names the order by the
//! venue's id where we know it: by ours the venue finds an order for two hours only. `ok` means accepted, no more: what
//! became of an order comes on the private stream. The venue has no validity window for orders and does not check
//! that our ids are unique: an order is never sent again.
//! Source: venue page, sections 4.1 and 4.3, read 2026-11-20.

use crate::feed::{id, text};
use crate::reject::{self, REFUSED};
use crate::symbols::{
    parse_base36, parse_client_id, parse_id, push_base36, push_client_id, write_id,
};
use dp_types::{
    CancelOrder, ClientOrderId, Instrument, InstrumentId, NewOrder, OrderId, OrderKind,
    OrderReport, OrderState, RejectReason, Side, Tif, VenueNanos,
};
use dp_venue_api::limits::Refused;
use dp_venue_api::{DecodeError, Event, OrderBatch, Registry, RequestAck, Sink};
use dp_wire::digits::Digits;
use dp_wire::json::Value;

/// Orders one `cancel` may name.
pub const BATCH_MAX: usize = 50;
/// Orders one `create-batchorder` may enter.
pub const NEW_MAX: usize = 10;
const _: () = assert!(NEW_MAX <= OrderBatch::MAX);

/// What a request was, read back from its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// A new order.
    New(ClientOrderId, InstrumentId),
    /// A cancel.
    Cancel(ClientOrderId),
    /// A cancel of several; its items carry their own ids.
    Batch,
    /// So many new orders, their client ids counted from this one.
    News(OrderBatch),
}

impl RequestKind {
    /// Reads a request id. `None` when we did not write it.
    pub fn parse(id: &[u8]) -> Option<Self> {
        let (kind, rest) = id.split_first()?;
        let mut parts = rest.split(|&byte| byte == INSTRUMENT_MARK);
        let number = parts.next()?;
        let client = || parse_base36(number).and_then(ClientOrderId::from_raw);
        match kind {
            b'n' => {
                let index = parse_base36(parts.next()?)?.checked_sub(1)?;
                let id = InstrumentId(u32::try_from(index).ok()?);
                Some(Self::New(client()?, id))
            }
            b'm' => {
                let number = parse_base36(parts.next()?)?;
                OrderBatch::from_number(client()?, number).map(Self::News)
            }
            b'c' => client().map(Self::Cancel),
            b'b' => Some(Self::Batch),
            _ => None,
        }
    }
}

/// Parts the instrument from the client id; upper case, so never a base-36 digit of ours.
const INSTRUMENT_MARK: u8 = b'I';

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Appends an instrument's number: from 1, since base-36 zero is not canonical.
pub(crate) fn push_instrument(out: &mut Vec<u8>, id: InstrumentId) {
    push_base36(u64::from(id.0) + 1, out);
}

/// The venue's order type: it has side, kind and TIF in one word. `None` for market orders: a market buy is sized in
/// the quote asset, and an order of ours in the base asset.
pub(crate) const fn order_type(side: Side, kind: OrderKind, tif: Tif) -> Option<&'static str> {
    Some(match (side, kind, tif) {
        (_, OrderKind::Market, _) => return None,
        (Side::Buy, OrderKind::PostOnly, _) => "buy-limit-maker",
        (Side::Sell, OrderKind::PostOnly, _) => "sell-limit-maker",
        (Side::Buy, OrderKind::Limit, Tif::Gtc) => "buy-limit",
        (Side::Sell, OrderKind::Limit, Tif::Gtc) => "sell-limit",
        (Side::Buy, OrderKind::Limit, Tif::Ioc) => "buy-ioc",
        (Side::Sell, OrderKind::Limit, Tif::Ioc) => "sell-ioc",
        (Side::Buy, OrderKind::Limit, Tif::Fok) => "buy-limit-fok",
        (Side::Sell, OrderKind::Limit, Tif::Fok) => "sell-limit-fok",
    })
}

/// Appends a new order of this [`order_type`] for an account. Cost: no allocation once `out` has grown.
pub fn write_new(
    account: &str,
    order_type: &str,
    instrument: &Instrument,
    order: &NewOrder,
    out: &mut Vec<u8>,
) {
    push(out, r#"{"ch":"create-order","params":"#);
    push_terms(account, order_type, instrument, order, out);
    push(out, r#","cid":"n"#);
    push_base36(order.client_id.0, out);
    out.push(INSTRUMENT_MARK);
    push_instrument(out, order.instrument);
    push(out, r#""}"#);
}

/// Appends new orders in one request: at least one, at most [`NEW_MAX`], of one instrument, their client ids one behind the
/// other. Those without an [`order_type`] are left out.
pub fn write_batch_new(
    account: &str,
    instrument: &Instrument,
    orders: &[NewOrder],
    out: &mut Vec<u8>,
) {
    let Some(batch) = OrderBatch::of(orders) else {
        return;
    };
    push(out, r#"{"ch":"create-batchorder","params":["#);
    for (index, order) in orders.iter().enumerate() {
        if index > 0 {
            push(out, ",");
        }
        if let Some(word) = order_type(order.side, order.kind, order.tif) {
            push_terms(account, word, instrument, order, out);
        }
    }
    push(out, r#"],"cid":"m"#);
    push_base36(batch.first().0, out);
    out.push(INSTRUMENT_MARK);
    push_base36(batch.number(), out);
    push(out, r#""}"#);
}

/// What an order is, and under which id.
fn push_terms(
    account: &str,
    order_type: &str,
    instrument: &Instrument,
    order: &NewOrder,
    out: &mut Vec<u8>,
) {
    push(out, r#"{"account-id":""#);
    push(out, account);
    push(out, r#"","symbol":""#);
    push(out, instrument.symbol.as_str());
    push(out, r#"","type":""#);
    push(out, order_type);
    push(out, r#"","amount":""#);
    let qty = Digits::decimal(instrument.qty_decimal(order.qty));
    out.extend_from_slice(qty.as_bytes());
    push(out, r#"","price":""#);
    let price = Digits::decimal(instrument.price_decimal(order.price));
    out.extend_from_slice(price.as_bytes());
    push(out, r#"","source":"spot-api","client-order-id":""#);
    push_client_id(order.client_id, out);
    push(out, r#""}"#);
}

/// Appends a cancel.
pub fn write_cancel(cancel: &CancelOrder, out: &mut Vec<u8>) {
    if cancel.order_id.0 != 0 {
        push(out, r#"{"ch":"cancel","params":{"order-ids":[""#);
        push(out, write_id(cancel.order_id.0, &mut [0; 40]));
    } else {
        push(out, r#"{"ch":"cancel","params":{"client-order-ids":[""#);
        push_client_id(cancel.client_id, out);
    }
    push(out, r#""]},"cid":"c"#);
    push_base36(cancel.client_id.0, out);
    push(out, r#""}"#);
}

/// Appends one cancel of at most [`BATCH_MAX`] orders; the caller cuts longer lists. All by our ids: the answer names
/// them alike.
pub fn write_batch_cancel(cancels: &[CancelOrder], number: u64, out: &mut Vec<u8>) {
    push(out, r#"{"ch":"cancel","params":{"client-order-ids":["#);
    for (index, cancel) in cancels.iter().take(BATCH_MAX).enumerate() {
        push(out, if index > 0 { r#",""# } else { r#"""# });
        push_client_id(cancel.client_id, out);
        push(out, r#"""#);
    }
    push(out, r#"]},"cid":"b"#);
    push_base36(number, out);
    push(out, r#""}"#);
}

/// What a word says was refused for rate.
fn refused(kind: Option<RequestKind>, word: &str) -> Option<Refused> {
    match kind {
        _ if reject::reason(word) != RejectReason::RateLimit => None,
        Some(RequestKind::Cancel(_) | RequestKind::Batch) => Some(Refused::Cancel),
        _ => Some(Refused::Other),
    }
}

const NOT_OURS: Event<'static> = Event::Ignored("an answer about orders that are not ours");

fn ack(client_id: ClientOrderId, order_id: OrderId, word: &str, at: VenueNanos) -> RequestAck {
    let reason = reject::reason(word);
    RequestAck {
        client_id,
        order_id,
        reason,
        code: if word.is_empty() { 0 } else { REFUSED },
        venue_ns: at,
    }
}

/// Says what the answer to a new order means. A refused one is final; one whose outcome the venue left open is
/// unknown; an accepted one is only acknowledged here, its state comes on the private stream.
fn on_new(registry: &Registry, instrument: InstrumentId, ack: RequestAck, out: &mut impl Sink) {
    out.event(&Event::Ack(ack));
    let state = match ack.reason {
        RejectReason::None => return,
        // An order of that id may live at the venue: what we asked for may be it.
        RejectReason::UnknownOutcome | RejectReason::DuplicateId => OrderState::Unknown,
        _ => OrderState::Rejected,
    };
    if registry.get(instrument).is_some() {
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

/// Reads an answer to an order request. Returns what was refused for rate.
///
/// Errors: [`DecodeError`]; an answer whose verdict cannot be read is never taken for success. Of a batch the first
/// item that cannot be read, all others are out.
pub(crate) fn on_answer(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> (Option<Refused>, Result<(), DecodeError>) {
    let kind = RequestKind::parse(text(root, "cid").as_bytes());
    let word = match text(root, "status") {
        "ok" => "",
        "error" => match text(root, "err-code") {
            "" => return (None, Err(DecodeError::Field("err-code"))),
            word => word,
        },
        _ => return (None, Err(DecodeError::Field("status"))),
    };
    let at = VenueNanos(0); // answers carry no time
    let result = match kind {
        Some(RequestKind::New(client, instrument)) => new_id(root, word)
            .map(|id| on_new(registry, instrument, ack(client, id, word, at), out)),
        Some(RequestKind::Cancel(client)) => {
            let word = if word.is_empty() {
                failed_word(root)
            } else {
                word
            };
            out.event(&Event::Ack(ack(client, OrderId(0), word, at)));
            return (refused(kind, word), Ok(()));
        }
        Some(RequestKind::Batch) if word.is_empty() => return on_batch(root, out),
        Some(RequestKind::News(batch)) => return on_news(registry, batch, word, root, out),
        Some(RequestKind::Batch) => {
            // It names none of them: they stay without an answer and are asked about.
            out.event(&Event::Ignored("a cancel of several orders was refused"));
            Ok(())
        }
        None => {
            out.event(&NOT_OURS);
            Ok(())
        }
    };
    (refused(kind, word), result)
}

/// The venue's id of an order that was accepted.
fn new_id(root: Value<'_>, word: &str) -> Result<OrderId, DecodeError> {
    if !word.is_empty() {
        return Ok(OrderId(0));
    }
    match id(root, "data")? {
        0 => Err(DecodeError::Field("data")),
        id => Ok(OrderId(id)),
    }
}

/// Why the one order of a cancel was not taken; empty when it was.
fn failed_word(root: Value<'_>) -> &str {
    let failed = root.get("data").and_then(|data| data.get("failed"));
    match failed.and_then(|failed| failed.at(0)) {
        // A failure without a word is a failure all the same.
        Some(item) => item
            .get("err-code")
            .and_then(Value::as_str)
            .filter(|word| !word.is_empty())
            .unwrap_or("failed"),
        None => "",
    }
}

/// Answers to several new orders: an item without our id is told by its place.
fn on_news(
    registry: &Registry,
    batch: OrderBatch,
    word: &str,
    root: Value<'_>,
    out: &mut impl Sink,
) -> (Option<Refused>, Result<(), DecodeError>) {
    let items = root.get("data").and_then(Value::as_array);
    let mut items = items.filter(|_| word.is_empty());
    let (mut stop, mut result) = (None, Ok(()));
    for nth in 0..batch.count() {
        let item = items.as_mut().and_then(Iterator::next);
        let own = item.map_or("", |item| text(item, "err-code"));
        let word = if word.is_empty() { own } else { word };
        let name = item.map_or("", |item| text(item, "client-order-id"));
        let named = parse_client_id(name.as_bytes());
        let Some(client) = named.or_else(|| batch.at(nth)) else {
            break;
        };
        let accepted = item.map_or(Ok(0), |item| id(item, "order-id"));
        match accepted {
            // Neither an id nor a word is no verdict: it is asked about.
            Ok(0) if word.is_empty() => result = result.and(Err(DecodeError::Field("data"))),
            Ok(id) => {
                stop = stop.or(refused(None, word));
                let ack = ack(client, OrderId(id), word, VenueNanos(0));
                on_new(registry, batch.instrument(), ack, out);
            }
            Err(error) => result = result.and(Err(error)),
        }
    }
    (stop, result)
}

fn on_batch(root: Value<'_>, out: &mut impl Sink) -> (Option<Refused>, Result<(), DecodeError>) {
    let Some(data) = root.get("data") else {
        return (None, Err(DecodeError::Field("data")));
    };
    let list = |key: &str| {
        data.get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let (mut stop, mut told) = (None, 0);
    let mut result = Ok(());
    for item in list("success") {
        match item.as_str().map(|text| parse_client_id(text.as_bytes())) {
            Some(Some(client)) => {
                told += 1;
                out.event(&Event::Ack(ack(client, OrderId(0), "", VenueNanos(0))));
            }
            Some(None) => {}
            None => result = result.and(Err(DecodeError::Field("success"))),
        }
    }
    for item in list("failed") {
        let word = match text(item, "err-code") {
            "" => "failed",
            word => word,
        };
        stop = stop.or(refused(Some(RequestKind::Batch), word));
        let order_id = parse_id(text(item, "order-id").as_bytes()).unwrap_or(0);
        if let Some(client) = parse_client_id(text(item, "client-order-id").as_bytes()) {
            told += 1;
            out.event(&Event::Ack(ack(
                client,
                OrderId(order_id),
                word,
                VenueNanos(0),
            )));
        }
    }
    if told == 0 {
        out.event(&NOT_OURS);
    }
    (stop, result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId, Price, Qty, Text, VenueId};

    fn client(sequence: u32) -> ClientOrderId {
        ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap()
    }

    fn btc() -> Instrument {
        let symbol = Text::new("btcusdt").unwrap();
        Instrument::bare(InstrumentId(2), VenueId::HUOBI, symbol, 4, 10)
    }

    fn cancel(sequence: u32, order_id: u128) -> CancelOrder {
        CancelOrder {
            instrument: InstrumentId(2),
            client_id: client(sequence),
            order_id: OrderId(order_id),
        }
    }

    fn text_of(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn new_orders_as_on_the_page() {
        let order = NewOrder {
            instrument: InstrumentId(2),
            client_id: client(1),
            side: Side::Buy,
            kind: OrderKind::PostOnly,
            tif: Tif::Gtc,
            price: Price(650_001_000),
            qty: Qty(10_000_000),
        };
        let word = order_type(order.side, order.kind, order.tif).unwrap();
        assert_eq!(
            text_of(|out| write_new("992701", word, &btc(), &order, out)),
            concat!(
                r#"{"ch":"create-order","params":{"account-id":"992701","symbol":"btcusdt","#,
                r#""type":"buy-limit-maker","amount":"0.001","price":"65000.1","source":"spot-api","#,
                r#""client-order-id":"sl1z141z5"},"cid":"n1z141z5I3"}"#
            )
        );
    }

    #[test]
    fn one_word_for_side_kind_and_life() {
        use OrderKind::{Limit, Market, PostOnly};
        for (side, kind, tif, word) in [
            (Side::Buy, Limit, Tif::Gtc, Some("buy-limit")),
            (Side::Sell, Limit, Tif::Ioc, Some("sell-ioc")),
            (Side::Sell, Limit, Tif::Fok, Some("sell-limit-fok")),
            (Side::Sell, PostOnly, Tif::Gtc, Some("sell-limit-maker")),
            (Side::Buy, Market, Tif::Gtc, None),
            (Side::Sell, Market, Tif::Ioc, None),
        ] {
            assert_eq!(order_type(side, kind, tif), word);
        }
    }

    #[test]
    fn cancels_name_the_order_by_the_venues_id_where_known() {
        assert_eq!(
            text_of(|out| write_cancel(&cancel(1, 1_314_507_823_485_263), out)),
            r#"{"ch":"cancel","params":{"order-ids":["1314507823485263"]},"cid":"c1z141z5"}"#
        );
        assert_eq!(
            text_of(|out| write_cancel(&cancel(1, 0), out)),
            r#"{"ch":"cancel","params":{"client-order-ids":["sl1z141z5"]},"cid":"c1z141z5"}"#
        );
        assert_eq!(
            text_of(|out| write_batch_cancel(&[cancel(1, 7), cancel(2, 0)], 7, out)),
            r#"{"ch":"cancel","params":{"client-order-ids":["sl1z141z5","sl1z141z6"]},"cid":"b7"}"#
        );
    }

    #[test]
    fn request_ids_come_back() {
        let id = client(9);
        for (text, kind) in [
            ("n1z141zdI3", RequestKind::New(id, InstrumentId(2))),
            ("c1z141zd", RequestKind::Cancel(id)),
            ("b7", RequestKind::Batch),
        ] {
            assert_eq!(RequestKind::parse(text.as_bytes()), Some(kind), "{text}");
        }
        for foreign in [
            "",
            "c-1",
            "n",
            "n1z141zd",
            "n1z141zdI",
            "n1z141zdI0",
            "nI3",
            "c1",
        ] {
            assert_eq!(RequestKind::parse(foreign.as_bytes()), None, "{foreign}");
        }
    }
}
