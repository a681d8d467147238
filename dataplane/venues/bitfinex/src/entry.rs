//! Order entry over the logged-in socket: new, several new ones, amend, cancel, several cancels; and the notifications that
//! answer.
//!
//! ```text
//! [0,"on",null,{"cid":4294967297,"type":"EXCHANGE LIMIT","symbol":"tBTCUSD","amount":"-0.001","price":"65000","flags":4096}]
//! [0,"ox_multi",null,[["on",{…}],["on",{…}]]]
//! [0,"ou",null,{"id":185815098001,"price":"64999"}]
//! [0,"oc",null,{"id":185815098001}]    or, until the venue has named it,  {"cid":4294967297,"cid_date":"2026-11-21"}
//! [0,"oc_multi",null,{"id":[185815098001]}]                             {"cid":[[4294967297,"2026-11-21"]]}
//!
//! [0,"n",[MTS,TYPE,MESSAGE_ID,null,DATA,CODE,STATUS,TEXT]]              DATA: an order, or a list of them
//! ```
//! IOC and FOK are types here, post-only is a flag; perpetuals take the types without EXCHANGE. The sign of the
//! amount is the side. Prices are rounded to the venue's five digits before they leave ([`rounded`]).
//!
//! `ou` changes prices only: its `amount` is what is to be left of the order, and how that meets a fill on its
//! way is told nowhere, so that an amended quantity could trade more than was asked.
//!
//! SUCCESS means accepted for processing: an `Ack`, its effect follows as an order event. A refusal names the
//! order by the client id only, or by the venue's id only; the rest comes from `sent`.
//!
//! Orders of an `ox_multi` are answered each for itself, by `on-req`; the venue's own client says that the message has no
//! confirmation. Refused whole (`input: invalid`), `ox_multi-req` names none of them and no request has a number: all
//! orders of the one that waits for an answer are refused with its reason. Where several wait, or one that was answered in
//! part, it is not known whose refusal it is: those without an answer are `Unknown`, and asked about. A list of
//! notifications in its DATA, as REST has it, is read as those [U here].
//! Source: venue page, sections 4.2, 4.3 and 4.7, read 2026-11-21; fixtures `entry_*.json`.

use crate::ID;
use crate::account::{client_id, item, text, uint};
use crate::feed::at;
use crate::limits::Refused;
use crate::reject;
use crate::sent::Sent;
use crate::symbols::{Day, is_derivative, push_u64, rounded};
use dp_types::{
    CancelOrder, ClientOrderId, Decimal, Instrument, InstrumentId, NewOrder, OrderId, OrderKind,
    OrderReport, OrderState, Price, Qty, RejectReason, Side, Tif, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Fault, Registry, RequestAck, Sink};
use dp_wire::json::Value;

/// Orders one `ox_multi` may enter, by the venue's page; cancels one `oc_multi` may carry [U].
pub const BATCH_MAX: usize = 75;
/// Bytes of one order among several: 90 of its own words, the longest type and symbol, and three numbers.
pub(crate) const NEW_BYTES: usize = 224;
/// Post-only.
const FLAG_POST_ONLY: &str = "4096";

/// The answer to a request of several orders as a whole.
const SEVERAL: &str = "ox_multi-req";
/// An answer about an order that is not ours.
pub(crate) const NOT_OURS: &str = "an answer about orders that are not ours";
/// Several orders were taken.
const ANSWERED_EACH: &str = "a batch was taken: its orders tell how it went";
/// A notification that answers no request.
pub(crate) const NOTICE: &str = "a notification";

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Without the zeros behind the last place that counts: increments are finer than prices.
fn push_decimal(out: &mut Vec<u8>, value: Decimal) {
    let mut buffer = [0; Decimal::TEXT_MAX];
    let mut text = value.write(&mut buffer);
    if value.exponent < 0 {
        text = text.trim_end_matches('0').trim_end_matches('.');
    }
    push(out, text);
}

/// The venue's order type: it has no separate TIF.
const fn order_type(kind: OrderKind, tif: Tif, is_derivative: bool) -> &'static str {
    match (is_derivative, kind, tif) {
        (false, OrderKind::Market, _) => "EXCHANGE MARKET",
        (false, OrderKind::Limit, Tif::Ioc) => "EXCHANGE IOC",
        (false, OrderKind::Limit, Tif::Fok) => "EXCHANGE FOK",
        (false, OrderKind::Limit | OrderKind::PostOnly, _) => "EXCHANGE LIMIT",
        (true, OrderKind::Market, _) => "MARKET",
        (true, OrderKind::Limit, Tif::Ioc) => "IOC",
        (true, OrderKind::Limit, Tif::Fok) => "FOK",
        (true, OrderKind::Limit | OrderKind::PostOnly, _) => "LIMIT",
    }
}

fn push_price(out: &mut Vec<u8>, instrument: &Instrument, price: Price, side: Side) {
    push(out, r#","price":""#);
    push_decimal(out, instrument.price_decimal(rounded(price, side)));
    push(out, r#"""#);
}

/// Appends a new order. Cost: no allocation once `out` has grown; one pass.
pub fn write_new(instrument: &Instrument, order: &NewOrder, out: &mut Vec<u8>) {
    push(out, r#"[0,"on",null,"#);
    push_terms(instrument, order, out);
    push(out, "]");
}

/// Appends new orders in one request: at least one, at most [`BATCH_MAX`], of one instrument.
pub fn write_several(instrument: &Instrument, orders: &[NewOrder], out: &mut Vec<u8>) {
    push(out, r#"[0,"ox_multi",null,["#);
    for (index, order) in orders.iter().enumerate() {
        push(out, if index > 0 { r#",["on","# } else { r#"["on","# });
        push_terms(instrument, order, out);
        push(out, "]");
    }
    push(out, "]]");
}

/// What an order is, and under which id.
fn push_terms(instrument: &Instrument, order: &NewOrder, out: &mut Vec<u8>) {
    let symbol = instrument.symbol.as_str();
    push(out, r#"{"cid":"#);
    push_u64(order.client_id.0, out);
    push(out, r#","type":""#);
    push(
        out,
        order_type(order.kind, order.tif, is_derivative(symbol)),
    );
    push(out, r#"","symbol":""#);
    push(out, symbol);
    push(
        out,
        match order.side {
            Side::Buy => r#"","amount":""#,
            Side::Sell => r#"","amount":"-"#,
        },
    );
    let size = Qty(order.qty.0.max(0)); // the sign is the side's
    push_decimal(out, instrument.qty_decimal(size));
    push(out, r#"""#);
    if order.kind != OrderKind::Market {
        push_price(out, instrument, order.price, order.side);
    }
    if order.kind == OrderKind::PostOnly {
        push(out, r#","flags":"#);
        push(out, FLAG_POST_ONLY);
    }
    push(out, "}");
}

/// How an order is named in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// By the venue's id.
    Venue(u64),
    /// By our own and the day it was submitted.
    Ours(ClientOrderId, Day),
}

impl Name {
    /// The name of an order, the venue's if there is one; `today` is what is guessed for the day of one that is
    /// not remembered.
    pub(crate) fn of(order: &CancelOrder, sent: &mut Sent, today: Day) -> Self {
        let known = sent.get(order.client_id);
        let told = known.map_or(OrderId(0), |known| known.order_id);
        let named = |id: OrderId| u64::try_from(id.0).ok().filter(|id| *id != 0);
        match named(order.order_id).or(named(told)) {
            Some(id) => Self::Venue(id),
            None => Self::Ours(order.client_id, known.map_or(today, |known| known.day)),
        }
    }
}

fn push_day(out: &mut Vec<u8>, day: Day) {
    push(out, r#"""#);
    out.extend_from_slice(day.text().as_bytes());
    push(out, r#"""#);
}

/// `"id":N` or `"cid":N,"cid_date":"YYYY-MM-DD"`.
fn push_name(out: &mut Vec<u8>, name: Name) {
    match name {
        Name::Venue(id) => {
            push(out, r#""id":"#);
            push_u64(id, out);
        }
        Name::Ours(id, day) => {
            push(out, r#""cid":"#);
            push_u64(id.0, out);
            push(out, r#","cid_date":"#);
            push_day(out, day);
        }
    }
}

/// Appends an amend of the price; `side` is the order's.
pub fn write_amend(
    instrument: &Instrument,
    name: Name,
    price: Price,
    side: Side,
    out: &mut Vec<u8>,
) {
    push(out, r#"[0,"ou",null,{"#);
    push_name(out, name);
    push_price(out, instrument, price, side);
    push(out, "}]");
}

/// Appends a cancel.
pub fn write_cancel(name: Name, out: &mut Vec<u8>) {
    push(out, r#"[0,"oc",null,{"#);
    push_name(out, name);
    push(out, "}]");
}

/// Appends the cancels among `names` that go by the venue's ids, or by ours. Says whether there were any.
pub(crate) fn write_cancels(
    names: impl Iterator<Item = Name>,
    by_venue: bool,
    out: &mut Vec<u8>,
) -> bool {
    push(out, r#"[0,"oc_multi",null,{""#);
    push(out, if by_venue { r#"id":["# } else { r#"cid":["# });
    let mut is_first = true;
    for name in names {
        if matches!(name, Name::Venue(_)) != by_venue {
            continue;
        }
        if !is_first {
            push(out, ",");
        }
        is_first = false;
        match name {
            Name::Venue(id) => push_u64(id, out),
            Name::Ours(id, day) => {
                push(out, "[");
                push_u64(id.0, out);
                push(out, ",");
                push_day(out, day);
                push(out, "]");
            }
        }
    }
    push(out, "]}]");
    !is_first
}

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    New,
    Amend,
    Cancel,
    Cancels,
    Several,
}

impl Request {
    fn of(kind: &str) -> Option<Self> {
        match kind {
            "on-req" => Some(Self::New),
            "ou-req" => Some(Self::Amend),
            "oc-req" => Some(Self::Cancel),
            "oc_multi-req" => Some(Self::Cancels),
            SEVERAL => Some(Self::Several),
            _ => None,
        }
    }
}

/// Reads a notification. Returns what was refused for rate.
///
/// Errors: a shape that cannot be read, or a refusal that names no order; what it was about must be asked for.
pub(crate) fn on_notice(
    registry: &Registry,
    sent: &mut Sent,
    notice: Value<'_>,
    out: &mut impl Sink,
) -> (Option<Refused>, Result<(), Fault>) {
    let Some(request) = Request::of(text(notice, 1)) else {
        out.event(&Event::Ignored(NOTICE));
        return (None, Ok(()));
    };
    let code = item(notice, 5).and_then(Value::as_i64);
    let code = code.and_then(|code| i32::try_from(code).ok()).unwrap_or(0);
    let reason = match text(notice, 6) {
        "SUCCESS" => RejectReason::None,
        "ERROR" | "FAILURE" => reject::reason(code, text(notice, 7)),
        _ => return (None, Err(DecodeError::Field("status").into())),
    };
    let refused = (reason == RejectReason::RateLimit).then_some(match request {
        Request::Cancel | Request::Cancels => Refused::Cancel,
        Request::New | Request::Amend | Request::Several => Refused::Order,
    });
    let data = item(notice, 4);
    if request == Request::Several {
        let (of_one, result) = on_several(registry, sent, data, (reason, code), out);
        return (refused.or(of_one), result);
    }
    let is_list = data
        .and_then(|data| data.at(0))
        .is_some_and(|first| first.as_array().is_some());
    let mut told = 0;
    let mut result = Ok(());
    let mut tell =
        |order: Value<'_>| match answer(registry, sent, request, order, reason, code, out) {
            Ok(is_ours) => told += u32::from(is_ours),
            Err(error) => result = result.and(Err(error)),
        };
    match data {
        Some(data) if is_list => data.as_array().into_iter().flatten().for_each(&mut tell),
        Some(data) => tell(data),
        None => {}
    }
    if let Err(error) = result {
        return (refused, Err(error.into()));
    }
    if told == 0 && reason != RejectReason::None && data.is_none_or(Value::is_empty) {
        return (refused, Err(Fault::Venue { code, reason }));
    }
    if told == 0 {
        out.event(&Event::Ignored(NOT_OURS));
    }
    (refused, Ok(()))
}

/// What is said of a request of several orders as a whole.
///
/// Errors: as [`on_notice`].
fn on_several(
    registry: &Registry,
    sent: &mut Sent,
    data: Option<Value<'_>>,
    (reason, code): (RejectReason, i32),
    out: &mut impl Sink,
) -> (Option<Refused>, Result<(), Fault>) {
    let mut rows = data.and_then(Value::as_array).into_iter().flatten();
    let Some(first) = rows.next() else {
        let is_whole = data.is_none_or(Value::is_empty);
        return (
            None,
            if !is_whole {
                Err(DecodeError::Field("orders").into())
            } else if reason == RejectReason::None {
                out.event(&Event::Ignored(ANSWERED_EACH));
                Ok(())
            } else {
                refuse_whole(registry, sent, (reason, code), out)
            },
        );
    };
    let (mut refused, mut result) = (None, Ok(()));
    for row in core::iter::once(first).chain(rows) {
        // Of a notification in it only the outermost may be about several.
        if Request::of(text(row, 1)).is_none_or(|it| it == Request::Several) {
            result = result.and(Err(DecodeError::Field("orders").into()));
            continue;
        }
        let (of_one, told) = on_notice(registry, sent, row, out);
        refused = refused.or(of_one);
        result = result.and(told);
    }
    (refused, result)
}

/// The venue has refused a request of several orders, and names none of them.
///
/// Errors: none waits for an answer.
fn refuse_whole(
    registry: &Registry,
    sent: &mut Sent,
    (reason, code): (RejectReason, i32),
    out: &mut impl Sink,
) -> Result<(), Fault> {
    let told = if sent.is_one_batch_awaited() {
        reason
    } else {
        RejectReason::UnknownOutcome // whose refusal it is: never guessed
    };
    let mut count = 0;
    for known in sent.take_awaited() {
        count += 1;
        let ids = (known.client_id, OrderId(0));
        ack(ids, told, code, VenueNanos(0), out);
        if registry.get(known.instrument).is_some() {
            let whose = (known.instrument, Some(known.side));
            refuse(whose, ids, told, VenueNanos(0), out);
        }
    }
    if count == 0 {
        return Err(Fault::Venue { code, reason });
    }
    Ok(())
}

fn ack(
    (client_id, order_id): (ClientOrderId, OrderId),
    reason: RejectReason,
    code: i32,
    venue_ns: VenueNanos,
    out: &mut impl Sink,
) {
    out.event(&Event::Ack(RequestAck {
        client_id,
        order_id,
        reason,
        code,
        venue_ns,
    }));
}

/// Tells that a new order was refused, or that what became of it is open.
fn refuse(
    (instrument, side): (InstrumentId, Option<Side>),
    (client_id, order_id): (ClientOrderId, OrderId),
    reason: RejectReason,
    venue_ns: VenueNanos,
    out: &mut impl Sink,
) {
    let state = match reason {
        // An order of that id lives at the venue: what we asked for may be it.
        RejectReason::UnknownOutcome | RejectReason::DuplicateId => OrderState::Unknown,
        _ => OrderState::Rejected,
    };
    out.event(&Event::Order(OrderReport {
        instrument,
        client_id: Some(client_id),
        order_id,
        side,
        state,
        reason,
        price: None,
        qty: None,
        cum: None,
        venue_ns,
    }));
}

/// What a notification means for one order. Says whether it is one of ours.
fn answer(
    registry: &Registry,
    sent: &mut Sent,
    request: Request,
    order: Value<'_>,
    reason: RejectReason,
    code: i32,
    out: &mut impl Sink,
) -> Result<bool, DecodeError> {
    order.as_array().ok_or(DecodeError::Field("order"))?;
    if let Some(id) = item(order, 0) {
        id.as_u64().ok_or(DecodeError::Field("order id"))?;
    }
    let order_id = OrderId(u128::from(uint(order, 0)));
    let Some(client_id) = client_id(order, 2).or_else(|| sent.find(order_id)) else {
        return Ok(false);
    };
    let is_done = reason == RejectReason::None;
    if is_done || request == Request::New {
        sent.name(client_id, order_id);
    }
    let venue_ns = VenueNanos::from_millis(uint(order, 5));
    let ids = (client_id, order_id);
    ack(ids, reason, code, venue_ns, out);
    if is_done || request != Request::New {
        return Ok(true);
    }
    let known = sent.get(client_id);
    let by_symbol = || registry.find(ID, text(order, 3).as_bytes());
    let instrument = known.map(|known| known.instrument).or_else(by_symbol);
    if let Some(instrument) = instrument {
        let whose = (instrument, known.map(|known| known.side));
        refuse(whose, ids, reason, venue_ns, out);
    }
    Ok(true)
}

/// The notification's own array.
pub(crate) fn notice_of(value: Option<Value<'_>>) -> Result<Value<'_>, DecodeError> {
    let value = value.ok_or(DecodeError::Field("notification"))?;
    value
        .as_array()
        .ok_or(dp_wire::json::JsonError::Kind)
        .map_err(at("notification"))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sent::ALONE;
    use dp_types::{Epoch, LaneId, Text, VenueId};

    fn instrument(symbol: &str) -> Instrument {
        let symbol = Text::new(symbol).unwrap();
        Instrument::bare(InstrumentId(0), VenueId::BITFINEX, symbol, 10, 8)
    }

    fn order(kind: OrderKind, tif: Tif, side: Side) -> NewOrder {
        NewOrder {
            instrument: InstrumentId(0),
            client_id: ClientOrderId::new(Epoch(1), LaneId(0), 1).unwrap(),
            side,
            kind,
            tif,
            price: Price(650_015_000_000_000),
            qty: Qty(100_000),
        }
    }

    fn text_of(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        let text = String::from_utf8(out).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(parsed.is_array());
        text
    }

    #[test]
    fn orders_of_every_kind() {
        use {OrderKind as K, Side as S, Tif as T};
        let head = r#"[0,"on",null,{"cid":4294967297,"type":""#;
        for (symbol, kind, tif, side, want) in [
            (
                "tBTCUSD",
                K::PostOnly,
                T::Gtc,
                S::Buy,
                r#"EXCHANGE LIMIT","symbol":"tBTCUSD","amount":"0.001","price":"65001","flags":4096}]"#,
            ),
            (
                "tBTCUSD",
                K::Limit,
                T::Gtc,
                S::Sell,
                r#"EXCHANGE LIMIT","symbol":"tBTCUSD","amount":"-0.001","price":"65002"}]"#,
            ),
            (
                "tBTCUSD",
                K::Limit,
                T::Ioc,
                S::Buy,
                r#"EXCHANGE IOC","symbol":"tBTCUSD","amount":"0.001","price":"65001"}]"#,
            ),
            (
                "tBTCUSD",
                K::Limit,
                T::Fok,
                S::Buy,
                r#"EXCHANGE FOK","symbol":"tBTCUSD","amount":"0.001","price":"65001"}]"#,
            ),
            (
                "tBTCUSD",
                K::Market,
                T::Gtc,
                S::Sell,
                r#"EXCHANGE MARKET","symbol":"tBTCUSD","amount":"-0.001"}]"#,
            ),
            (
                "tBTCF0:USTF0",
                K::Market,
                T::Gtc,
                S::Buy,
                r#"MARKET","symbol":"tBTCF0:USTF0","amount":"0.001"}]"#,
            ),
            (
                "tBTCF0:USTF0",
                K::PostOnly,
                T::Gtc,
                S::Buy,
                r#"LIMIT","symbol":"tBTCF0:USTF0","amount":"0.001","price":"65001","flags":4096}]"#,
            ),
        ] {
            let made = text_of(|out| write_new(&instrument(symbol), &order(kind, tif, side), out));
            assert_eq!(made, format!("{head}{want}"));
        }
    }

    #[test]
    fn several_orders_are_each_an_operation() {
        let orders = [
            order(OrderKind::PostOnly, Tif::Gtc, Side::Buy),
            order(OrderKind::Market, Tif::Gtc, Side::Sell),
        ];
        assert_eq!(
            text_of(|out| write_several(&instrument("tBTCUSD"), &orders, out)),
            concat!(
                r#"[0,"ox_multi",null,[["on",{"cid":4294967297,"type":"EXCHANGE LIMIT","symbol":"tBTCUSD","amount":"0.001","#,
                r#""price":"65001","flags":4096}],"#,
                r#"["on",{"cid":4294967297,"type":"EXCHANGE MARKET","symbol":"tBTCUSD","amount":"-0.001"}]]]"#
            )
        );
    }

    /// No order makes the room for messages grow.
    #[test]
    fn the_longest_order_has_room_among_several() {
        let symbol = "t".repeat(31);
        let longest = NewOrder {
            client_id: ClientOrderId(u64::MAX),
            price: Price(i64::MAX),
            qty: Qty(i64::MAX),
            ..order(OrderKind::PostOnly, Tif::Gtc, Side::Sell)
        };
        let one = text_of(|out| write_several(&instrument(&symbol), &[longest; 2], out)).len();
        assert!(one < 2 * NEW_BYTES, "{one}");
    }

    #[test]
    fn requests_about_orders() {
        let day = Day::of_millis(1_700_000_000_123);
        let ours = Name::Ours(ClientOrderId(1_700_000_000_123), day);
        let by_id = Name::Venue(185_815_098_001);
        assert_eq!(
            text_of(|out| write_cancel(by_id, out)),
            r#"[0,"oc",null,{"id":185815098001}]"#
        );
        assert_eq!(
            text_of(|out| write_cancel(ours, out)),
            r#"[0,"oc",null,{"cid":1700000000123,"cid_date":"2023-11-14"}]"#
        );
        let price = Price(649_990_000_000_000);
        assert_eq!(
            text_of(|out| write_amend(&instrument("tBTCUSD"), by_id, price, Side::Buy, out)),
            r#"[0,"ou",null,{"id":185815098001,"price":"64999"}]"#
        );
        let names = [by_id, ours, Name::Venue(185_815_098_002)];
        let several =
            |by_venue| text_of(|out| assert!(write_cancels(names.into_iter(), by_venue, out)));
        assert_eq!(
            several(true),
            r#"[0,"oc_multi",null,{"id":[185815098001,185815098002]}]"#
        );
        assert_eq!(
            several(false),
            r#"[0,"oc_multi",null,{"cid":[[1700000000123,"2023-11-14"]]}]"#
        );
        assert!(!write_cancels([ours].into_iter(), true, &mut Vec::new()));
    }

    #[test]
    fn an_order_goes_by_the_best_name_there_is() {
        let mut sent = Sent::new();
        let today = Day::of_millis(1_760_000_000_000);
        let order = CancelOrder {
            instrument: InstrumentId(0),
            client_id: ClientOrderId::new(Epoch(1), LaneId(0), 1).unwrap(),
            order_id: OrderId(0),
        };
        let id = order.client_id;
        assert_eq!(Name::of(&order, &mut sent, today), Name::Ours(id, today));
        let day = Day::of_millis(1_700_000_000_123);
        sent.add(crate::sent::Known {
            client_id: id,
            order_id: OrderId(0),
            instrument: order.instrument,
            side: Side::Buy,
            day,
            batch: ALONE,
            is_heard: false,
        });
        assert_eq!(Name::of(&order, &mut sent, today), Name::Ours(id, day));
        sent.name(id, OrderId(9));
        assert_eq!(Name::of(&order, &mut sent, today), Name::Venue(9));
        let named = CancelOrder {
            order_id: OrderId(8),
            ..order
        };
        assert_eq!(Name::of(&named, &mut sent, today), Name::Venue(8));
    }
}
