//! Order entry over the logged-in link: new, amend, cancel, cancel all of an instrument.
//!
//! ```text
//! id   n1z141z5I3   n new, a amend, c cancel and the base-36 client id; I and the instrument's number
//!      xI3          cancel all of an instrument       rI3   its book's subscription anew
//!      l h d s u t  login, heartbeat, cancel on disconnect, subscribe, unsubscribe, test
//! {"jsonrpc":"2.0","id":"n1z141z5I3","method":"private/buy","params":{"instrument_name":"BTC-PERPETUAL",
//!   "amount":100,"type":"limit","price":65000,"label":"sl1z141z5","time_in_force":"good_til_cancelled",
//!   "post_only":true,"reject_post_only":true,"valid_until":1760000000500}}
//! ```
//! The id (the venue takes text as well as numbers) says what an answer is about, so no table of requests in flight
//! is kept. `valid_until` is the venue's deadline for a new order or an edit. `reject_post_only` goes with every
//! `post_only`: without it the venue moves the price instead of refusing. An order is named by the venue's id where
//! that is known, else by its label, which is ours alone.
//!
//! Answers are the venue's last word, the state included, and may come before or after the push that says the same.
//! Source: venue page, section 4, read 2026-11-20; fixtures `entry_*.json`.

use crate::account;
use crate::feed::at;
use crate::reject;
use crate::resting::{Resting, Terms};
use crate::symbols::{currency, parse_base36, push_base36, push_client_id, push_u64, write_id};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Decimal, Instrument, InstrumentId, NewOrder, Now,
    OrderId, OrderKind, OrderReport, OrderState, RejectReason, Side, Tif, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Registry, RequestAck, Sink};
use dp_wire::json::Value;

/// What a request was, read back from its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// A new order.
    New(ClientOrderId, InstrumentId),
    /// An amend.
    Amend(ClientOrderId, InstrumentId),
    /// A cancel.
    Cancel(ClientOrderId, InstrumentId),
    /// A cancel of all orders of an instrument.
    CancelAll(InstrumentId),
    /// A book's subscription anew.
    Renew(InstrumentId),
    /// A login.
    Login,
    /// The heartbeat's interval.
    Heartbeat,
    /// Cancel on disconnect.
    OnDisconnect,
    /// A subscription.
    Subscribe,
    /// The end of one.
    Unsubscribe,
    /// The answer to the venue's test.
    Test,
}

impl RequestKind {
    /// Reads a request id. `None` when we did not write it.
    pub fn parse(id: &[u8]) -> Option<Self> {
        let (kind, rest) = id.split_first()?;
        let mut parts = rest.split(|&byte| byte == INSTRUMENT_MARK);
        let (number, place) = (parts.next()?, parts.next());
        let instrument = || {
            let index = parse_base36(place?)?.checked_sub(1)?;
            Some(InstrumentId(u32::try_from(index).ok()?))
        };
        let order = || {
            Some((
                ClientOrderId::from_raw(parse_base36(number)?)?,
                instrument()?,
            ))
        };
        let made = match (kind, number, place) {
            (b'n', ..) => order().map(|(id, at)| Self::New(id, at))?,
            (b'a', ..) => order().map(|(id, at)| Self::Amend(id, at))?,
            (b'c', ..) => order().map(|(id, at)| Self::Cancel(id, at))?,
            (b'x', b"", _) => Self::CancelAll(instrument()?),
            (b'r', b"", _) => Self::Renew(instrument()?),
            (b'l', b"", None) => Self::Login,
            (b'h', b"", None) => Self::Heartbeat,
            (b'd', b"", None) => Self::OnDisconnect,
            (b's', b"", None) => Self::Subscribe,
            (b'u', b"", None) => Self::Unsubscribe,
            (b't', b"", None) => Self::Test,
            _ => return None,
        };
        parts.next().is_none().then_some(made)
    }
}

/// Parts the instrument from the client id; upper case, so never a base-36 digit of ours.
const INSTRUMENT_MARK: u8 = b'I';

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

/// `{"jsonrpc":"2.0","id":"<kind><client>I<instrument>","method":"<method>","params":{`; an instrument of `None`
/// gives the bare kind.
pub(crate) fn push_head(
    out: &mut Vec<u8>,
    kind: &str,
    client_id: Option<ClientOrderId>,
    instrument: Option<InstrumentId>,
    method: &str,
) {
    push(out, r#"{"jsonrpc":"2.0","id":""#);
    push(out, kind);
    if let Some(id) = client_id {
        push_base36(id.0, out);
    }
    if let Some(id) = instrument {
        out.push(INSTRUMENT_MARK);
        push_base36(u64::from(id.0) + 1, out); // from 1: base-36 zero is not canonical
    }
    push(out, r#"","method":""#);
    push(out, method);
    push(out, r#"","params":{"#);
}

fn push_label(out: &mut Vec<u8>, id: ClientOrderId) {
    push(out, r#""label":""#);
    push_client_id(id, out);
    push(out, r#"""#);
}

fn push_instrument(out: &mut Vec<u8>, instrument: &Instrument) {
    push(out, r#""instrument_name":""#);
    push(out, instrument.symbol.as_str());
    push(out, r#"""#);
}

fn push_order_id(out: &mut Vec<u8>, id: OrderId) {
    push(out, r#""order_id":""#);
    push(out, write_id(id.0, &mut [0; 40]));
    push(out, r#"""#);
}

/// Until when the venue may begin with a request written at `now`. Never without: a request that waits in a stalled
/// connection would be carried out whenever that moves again.
fn push_deadline(out: &mut Vec<u8>, now: Now, window_ms: u32) {
    let window_ms = u64::from(window_ms.max(1));
    push(out, r#","valid_until":"#);
    push_u64(now.unix.millis().saturating_add(window_ms), out);
    push(out, "}}");
}

/// The terms a new order has; `None` for a market order, which never rests.
pub(crate) fn terms_of(instrument: &Instrument, order: &NewOrder) -> Option<Terms> {
    (order.kind != OrderKind::Market).then(|| Terms {
        price: instrument.price_decimal(order.price),
        amount: instrument.qty_decimal(order.qty),
        is_post_only: order.kind == OrderKind::PostOnly,
    })
}

/// Appends a new order. A market order is immediate or cancel: what it cannot take must not rest.
///
/// Cost: no allocation once `out` has grown; one pass.
pub fn write_new(
    instrument: &Instrument,
    order: &NewOrder,
    now: Now,
    window_ms: u32,
    out: &mut Vec<u8>,
) {
    let method = match order.side {
        Side::Buy => "private/buy",
        Side::Sell => "private/sell",
    };
    let id = order.client_id;
    push_head(out, "n", Some(id), Some(order.instrument), method);
    push_instrument(out, instrument);
    push(out, r#","amount":"#);
    push_decimal(out, instrument.qty_decimal(order.qty));
    if order.kind == OrderKind::Market {
        push(out, r#","type":"market","#);
    } else {
        push(out, r#","type":"limit","price":"#);
        push_decimal(out, instrument.price_decimal(order.price));
        push(out, ",");
    }
    push_label(out, id);
    push(
        out,
        match (order.kind, order.tif) {
            (OrderKind::PostOnly, _) => {
                r#","time_in_force":"good_til_cancelled","post_only":true,"reject_post_only":true"#
            }
            (_, Tif::Fok) => r#","time_in_force":"fill_or_kill""#,
            (OrderKind::Market, _) | (_, Tif::Ioc) => r#","time_in_force":"immediate_or_cancel""#,
            (OrderKind::Limit, Tif::Gtc) => r#","time_in_force":"good_til_cancelled""#,
        },
    );
    push_deadline(out, now, window_ms);
}

/// Appends an amend of an order that has these terms: they are all told, the changed ones as wished.
pub fn write_amend(
    instrument: &Instrument,
    amend: &AmendOrder,
    terms: &Terms,
    now: Now,
    window_ms: u32,
    out: &mut Vec<u8>,
) {
    let (id, is_named) = (amend.client_id, amend.order_id.0 != 0);
    let method = if is_named {
        "private/edit"
    } else {
        "private/edit_by_label"
    };
    push_head(out, "a", Some(id), Some(amend.instrument), method);
    if is_named {
        push_order_id(out, amend.order_id);
    } else {
        push_label(out, id);
        push(out, ",");
        push_instrument(out, instrument);
    }
    push(out, r#","amount":"#);
    let amount = amend.qty.map(|qty| instrument.qty_decimal(qty));
    push_decimal(out, amount.unwrap_or(terms.amount));
    push(out, r#","price":"#);
    let price = amend.price.map(|price| instrument.price_decimal(price));
    push_decimal(out, price.unwrap_or(terms.price));
    if terms.is_post_only {
        push(out, r#","post_only":true,"reject_post_only":true"#);
    }
    push_deadline(out, now, window_ms);
}

/// Appends a cancel.
pub fn write_cancel(instrument: &Instrument, cancel: &CancelOrder, out: &mut Vec<u8>) {
    let (id, place) = (Some(cancel.client_id), Some(cancel.instrument));
    if cancel.order_id.0 != 0 {
        push_head(out, "c", id, place, "private/cancel");
        push_order_id(out, cancel.order_id);
    } else {
        push_head(out, "c", id, place, "private/cancel_by_label");
        push_label(out, cancel.client_id);
        push(out, r#","currency":""#);
        push(out, currency(instrument.symbol.as_str()));
        push(out, r#"""#);
    }
    push(out, "}}");
}

/// Appends a cancel of all orders of an instrument.
pub fn write_cancel_all(instrument: &Instrument, out: &mut Vec<u8>) {
    let method = "private/cancel_all_by_instrument";
    push_head(out, "x", None, Some(instrument.id), method);
    push_instrument(out, instrument);
    push(out, "}}");
}

/// The code of an answer: 0 without an error.
///
/// Errors: an error without a code. An answer whose verdict cannot be read is never taken for success.
pub(crate) fn code_of(root: Value<'_>) -> Result<i32, DecodeError> {
    let Some(error) = root.get("error") else {
        return Ok(0);
    };
    let code = error.i64("code").map_err(at("code"))?;
    i32::try_from(code)
        .ok()
        .filter(|code| *code != 0)
        .ok_or(DecodeError::Field("code"))
}

/// When the venue sent an answer: microseconds.
pub(crate) fn sent_at(root: Value<'_>) -> VenueNanos {
    let us = root.get("usOut").and_then(Value::as_u64).unwrap_or(0);
    VenueNanos(us.saturating_mul(1_000))
}

/// What an answer to an order request says: the venue's code, and what it means, told to `out`.
///
/// Errors: the first shape that cannot be read; all else is out.
pub(crate) fn on_answer(
    registry: &Registry,
    kind: RequestKind,
    code: i32,
    root: Value<'_>,
    resting: &mut Resting,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    use RequestKind::{Amend, Cancel, New};
    let (New(client_id, instrument) | Amend(client_id, instrument) | Cancel(client_id, instrument)) =
        kind
    else {
        return Err(DecodeError::Shape("no answer to an order request"));
    };
    let known = registry.get(instrument);
    if known.is_none_or(|known| known.venue != crate::ID) {
        out.event(&Event::Ignored("an answer about orders that are not ours"));
        return Ok(());
    }
    let ack = |order_id, code| RequestAck {
        client_id,
        order_id,
        reason: reject::reason(code),
        code,
        venue_ns: sent_at(root),
    };
    if code != 0 {
        let ack = ack(OrderId(0), code);
        out.event(&Event::Ack(ack));
        if matches!(kind, New(..)) {
            out.event(&Event::Order(refused(&ack, instrument)));
        }
        return Ok(());
    }
    let result = root.field("result").map_err(at("result"))?;
    // A cancel by label answers with a count.
    if let (Cancel(..), Some(count)) = (kind, result.as_u64()) {
        let code = if count == 0 {
            reject::ORDER_NOT_FOUND
        } else {
            0
        };
        out.event(&Event::Ack(ack(OrderId(0), code)));
        return Ok(());
    }
    // A cancel answers with the bare order, the others with the order and what it traded.
    let order = result.get("order").unwrap_or(result);
    let report = account::report(instrument, order, resting)?;
    out.event(&Event::Ack(ack(report.order_id, 0)));
    let mut told = Ok(());
    for item in result.array("trades").into_iter().flatten() {
        let fill = account::fill(registry, instrument, item);
        told = told.and(fill.map(|fill| out.event(&Event::Fill(fill))));
    }
    out.event(&Event::Order(report));
    told
}

/// The report of a new order that was refused, or whose fate the venue left open.
fn refused(ack: &RequestAck, instrument: InstrumentId) -> OrderReport {
    OrderReport {
        instrument,
        client_id: Some(ack.client_id),
        order_id: ack.order_id,
        side: None,
        state: match ack.reason {
            RejectReason::UnknownOutcome => OrderState::Unknown,
            _ => OrderState::Rejected,
        },
        reason: ack.reason,
        price: None,
        qty: None,
        cum: None,
        venue_ns: ack.venue_ns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId, Price, Qty, Text, UnixNanos, VenueId};

    fn perpetual() -> Instrument {
        let symbol = Text::new("BTC-PERPETUAL").unwrap();
        Instrument::bare(InstrumentId(2), VenueId::DERIBIT, symbol, 3, 7)
    }

    fn client(sequence: u32) -> ClientOrderId {
        ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap()
    }

    const NOW: Now = Now {
        tsc: dp_types::Tsc(0),
        unix: UnixNanos::from_millis(1_760_000_000_000),
    };

    fn new_order(side: Side, kind: OrderKind, tif: Tif) -> NewOrder {
        NewOrder {
            instrument: InstrumentId(2),
            client_id: client(1),
            side,
            kind,
            tif,
            price: Price(65_000_500),
            qty: Qty(1_000_000_000),
        }
    }

    fn text_of(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        let text = String::from_utf8(out).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).expect("it is JSON");
        text
    }

    #[test]
    fn new_orders_of_each_kind() {
        let written = |side, kind, tif, window| {
            text_of(|out| {
                write_new(&perpetual(), &new_order(side, kind, tif), NOW, window, out);
            })
        };
        assert_eq!(
            written(Side::Buy, OrderKind::PostOnly, Tif::Gtc, 500),
            concat!(
                r#"{"jsonrpc":"2.0","id":"n1z141z5I3","method":"private/buy","params":{"#,
                r#""instrument_name":"BTC-PERPETUAL","amount":100,"type":"limit","price":65000.5,"#,
                r#""label":"sl1z141z5","time_in_force":"good_til_cancelled","post_only":true,"#,
                r#""reject_post_only":true,"valid_until":1760000000500}}"#
            )
        );
        assert_eq!(
            written(Side::Sell, OrderKind::Market, Tif::Gtc, 0),
            concat!(
                r#"{"jsonrpc":"2.0","id":"n1z141z5I3","method":"private/sell","params":{"#,
                r#""instrument_name":"BTC-PERPETUAL","amount":100,"type":"market","#,
                r#""label":"sl1z141z5","time_in_force":"immediate_or_cancel","#,
                r#""valid_until":1760000000001}}"#
            )
        );
        for (tif, word) in [
            (Tif::Gtc, "good_til_cancelled"),
            (Tif::Ioc, "immediate_or_cancel"),
            (Tif::Fok, "fill_or_kill"),
        ] {
            let text = written(Side::Buy, OrderKind::Limit, tif, 1);
            assert!(text.contains(&format!(r#""time_in_force":"{word}","valid"#)));
            assert!(!text.contains("post_only"));
        }
    }

    #[test]
    fn an_amend_tells_all_of_the_order_anew() {
        let terms = Terms {
            price: perpetual().price_decimal(Price(65_000_500)),
            amount: perpetual().qty_decimal(Qty(1_000_000_000)),
            is_post_only: true,
        };
        let amend = |order_id, price, qty, terms: &Terms| {
            let amend = AmendOrder {
                instrument: InstrumentId(2),
                client_id: client(1),
                order_id: OrderId(order_id),
                price,
                qty,
            };
            text_of(|out| write_amend(&perpetual(), &amend, terms, NOW, 100, out))
        };
        assert_eq!(
            amend(104_819_327_443, Some(Price(64_999_500)), None, &terms),
            concat!(
                r#"{"jsonrpc":"2.0","id":"a1z141z5I3","method":"private/edit","params":{"#,
                r#""order_id":"104819327443","amount":100,"price":64999.5,"post_only":true,"#,
                r#""reject_post_only":true,"valid_until":1760000000100}}"#
            )
        );
        let plain = Terms {
            is_post_only: false,
            ..terms
        };
        assert_eq!(
            amend(0, None, Some(Qty(500_000_000)), &plain),
            concat!(
                r#"{"jsonrpc":"2.0","id":"a1z141z5I3","method":"private/edit_by_label","params":{"#,
                r#""label":"sl1z141z5","instrument_name":"BTC-PERPETUAL","amount":50,"#,
                r#""price":65000.5,"valid_until":1760000000100}}"#
            )
        );
    }

    #[test]
    fn cancels_by_id_by_label_and_of_all() {
        let cancel = |order_id| {
            let cancel = CancelOrder {
                instrument: InstrumentId(2),
                client_id: client(1),
                order_id: OrderId(order_id),
            };
            text_of(|out| write_cancel(&perpetual(), &cancel, out))
        };
        assert_eq!(
            cancel(7),
            r#"{"jsonrpc":"2.0","id":"c1z141z5I3","method":"private/cancel","params":{"order_id":"7"}}"#
        );
        assert_eq!(
            cancel(0),
            concat!(
                r#"{"jsonrpc":"2.0","id":"c1z141z5I3","method":"private/cancel_by_label","#,
                r#""params":{"label":"sl1z141z5","currency":"BTC"}}"#
            )
        );
        assert_eq!(
            text_of(|out| write_cancel_all(&perpetual(), out)),
            concat!(
                r#"{"jsonrpc":"2.0","id":"xI3","method":"private/cancel_all_by_instrument","#,
                r#""params":{"instrument_name":"BTC-PERPETUAL"}}"#
            )
        );
    }

    #[test]
    fn numbers_lose_only_zeros_that_do_not_count() {
        for (mantissa, exponent, text) in [
            (650_001, -1, "65000.1"),
            (6_500_000, -2, "65000"),
            (100, 0, "100"),
            (5, -4, "0.0005"),
            (0, -2, "0"),
        ] {
            let value = Decimal { mantissa, exponent };
            let mut out = Vec::new();
            push_decimal(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn request_ids_come_back() {
        let (id, at) = (client(9), InstrumentId(2));
        for (text, kind) in [
            ("n1z141zdI3", RequestKind::New(id, at)),
            ("a1z141zdI3", RequestKind::Amend(id, at)),
            ("c1z141zdI3", RequestKind::Cancel(id, at)),
            ("xI3", RequestKind::CancelAll(at)),
            ("rI1", RequestKind::Renew(InstrumentId(0))),
            ("l", RequestKind::Login),
            ("h", RequestKind::Heartbeat),
            ("d", RequestKind::OnDisconnect),
            ("s", RequestKind::Subscribe),
            ("u", RequestKind::Unsubscribe),
            ("t", RequestKind::Test),
        ] {
            assert_eq!(RequestKind::parse(text.as_bytes()), Some(kind), "{text}");
        }
        for foreign in [
            "",
            "1512",
            "n",
            "n1z141zd",
            "n1z141zdI",
            "n1z141zdI0",
            "nI3",
            "c1I1",
            "x",
            "x1I3",
            "l1",
            "lI1",
            "n1z141zdI3I4",
            "xI99999999999",
        ] {
            assert_eq!(RequestKind::parse(foreign.as_bytes()), None, "{foreign}");
        }
    }
}
