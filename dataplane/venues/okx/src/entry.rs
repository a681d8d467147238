//! Order entry over the logged-in private link: new, amend, cancel, batches of new orders and of cancels.
//!
//! ```text
//! request id   n1z141z5I3        n new, a amend, c cancel or b batch of cancels, base-36 client id,
//!                                I and the instrument's number
//!              m1z141z5I2u       m batch of new orders: the first client id, the instrument and how many
//! {"id":"n1z141z5I3","op":"order","expTime":"1760000000500","args":[{"instIdCode":10001,
//!   "tdMode":"cash","side":"buy","ordType":"post_only","px":"65000","sz":"0.01","clOrdId":"sl1z141z5"}]}
//! ```
//! The id says what an answer is about even when the answer carries no item, so no table of
//! requests in flight is kept. `expTime` is the venue's own deadline for the request: place and
//! amend only. Cancels and amends name the order by our id, which is known from the first instant.
//! Source: venue page, sections 4 and 4.3, read 2026-11-20.

use crate::account::{id, text};
use crate::feed::millis;
use crate::reject;
use crate::symbols::{
    InstType, parse_base36, parse_client_id, push_base36, push_client_id, write_u64,
};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Decimal, Instrument, InstrumentId, NewOrder, Now,
    OrderId, OrderKind, OrderReport, OrderState, RejectReason, Side, Tif, VenueNanos,
};
use dp_venue_api::limits::Refused;
use dp_venue_api::{DecodeError, Event, OrderBatch, Registry, RequestAck, Sink};
use dp_wire::json::Value;

/// Orders one `batch-orders` or `batch-cancel-orders` may carry.
pub const BATCH_MAX: usize = 20;
const _: () = assert!(BATCH_MAX <= OrderBatch::MAX);

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
    /// A batch of so many new orders, their client ids counted from this one.
    News(OrderBatch),
    /// A subscription or login.
    Session,
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
                Some(Self::New(
                    client()?,
                    InstrumentId(u32::try_from(index).ok()?),
                ))
            }
            b'm' => {
                let number = parse_base36(parts.next()?)?;
                OrderBatch::from_number(client()?, number).map(Self::News)
            }
            b'a' => client().map(Self::Amend),
            b'c' => client().map(Self::Cancel),
            b'b' => Some(Self::Batch),
            b's' => Some(Self::Session),
            _ => None,
        }
    }

    /// Orders an answer without items is about.
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
            Self::Batch | Self::News(..) | Self::Session => None,
        }
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

/// `{"id":"<kind><base36>","op":"<op>",` and the deadline of the request, which cancels have none of.
fn push_head(
    out: &mut Vec<u8>,
    kind: &str,
    number: u64,
    mark: Option<u64>,
    op: &str,
    exp_ms: Option<u64>,
) {
    push(out, r#"{"id":""#);
    push(out, kind);
    push_base36(number, out);
    if let Some(mark) = mark {
        out.push(INSTRUMENT_MARK);
        push_base36(mark, out);
    }
    push(out, r#"","op":""#);
    push(out, op);
    if let Some(ms) = exp_ms {
        push(out, r#"","expTime":""#);
        push(out, write_u64(ms, &mut [0; 20]));
    }
    push(out, r#"","args":["#);
}

/// `"instIdCode":N` where the venue gave a code, else `"instId":"..."`.
fn push_instrument(out: &mut Vec<u8>, instrument: &Instrument) {
    if instrument.venue_code != 0 {
        push(out, r#""instIdCode":"#);
        push(out, write_u64(instrument.venue_code, &mut [0; 20]));
    } else {
        push(out, r#""instId":""#);
        push(out, instrument.symbol.as_str());
        push(out, r#"""#);
    }
}

/// When a request written at `now` lapses at the venue. Never without: a request that waits in a stalled
/// connection would be carried out whenever that moves again.
pub(crate) fn deadline_ms(now: Now, window_ms: u32) -> u64 {
    now.unix
        .millis()
        .saturating_add(u64::from(window_ms.max(1)))
}

/// The venue's order type: it has no separate TIF.
pub(crate) const fn order_type(kind: OrderKind, tif: Tif) -> &'static str {
    match (kind, tif) {
        (OrderKind::PostOnly, _) => "post_only",
        (OrderKind::Market, _) => "market",
        (OrderKind::Limit, Tif::Gtc) => "limit",
        (OrderKind::Limit, Tif::Ioc) => "ioc",
        (OrderKind::Limit, Tif::Fok) => "fok",
    }
}

/// The instrument's number in a request id, from 1: base-36 zero is not canonical.
const fn mark(id: InstrumentId) -> u64 {
    id.0 as u64 + 1
}

/// Appends a new order. Cost: no allocation once `out` has grown; one pass.
pub fn write_new(
    instrument: &Instrument,
    order: &NewOrder,
    now: Now,
    window_ms: u32,
    out: &mut Vec<u8>,
) {
    let exp_ms = Some(deadline_ms(now, window_ms));
    let number = Some(mark(order.instrument));
    push_head(out, "n", order.client_id.0, number, "order", exp_ms);
    push_terms(instrument, order, out);
    push(out, "]}");
}

/// Appends new orders in one request: at least one, at most [`BATCH_MAX`], of one instrument, their client ids one behind
/// the other.
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
    let exp_ms = Some(deadline_ms(now, window_ms));
    let number = Some(batch.number());
    push_head(out, "m", batch.first().0, number, "batch-orders", exp_ms);
    for (index, order) in orders.iter().enumerate() {
        if index > 0 {
            push(out, ",");
        }
        push_terms(instrument, order, out);
    }
    push(out, "]}");
}

/// What an order is, and under which id.
fn push_terms(instrument: &Instrument, order: &NewOrder, out: &mut Vec<u8>) {
    let inst_type = InstType::of(instrument.symbol.as_str());
    push(out, "{");
    push_instrument(out, instrument);
    push(out, r#","tdMode":""#);
    push(out, inst_type.td_mode());
    push(
        out,
        match order.side {
            Side::Buy => r#"","side":"buy","ordType":""#,
            Side::Sell => r#"","side":"sell","ordType":""#,
        },
    );
    push(out, order_type(order.kind, order.tif));
    if order.kind == OrderKind::Market {
        if inst_type == InstType::Spot {
            // Without this a spot market buy is sized in the quote currency.
            push(out, r#"","tgtCcy":"base_ccy"#);
        }
    } else {
        push(out, r#"","px":""#);
        push_decimal(out, instrument.price_decimal(order.price));
    }
    push(out, r#"","sz":""#);
    push_decimal(out, instrument.qty_decimal(order.qty));
    push(out, r#"","clOrdId":""#);
    push_client_id(order.client_id, out);
    push(out, r#""}"#);
}

/// Appends an amend. A failed amend leaves the order as it was.
pub fn write_amend(
    instrument: &Instrument,
    amend: &AmendOrder,
    now: Now,
    window_ms: u32,
    out: &mut Vec<u8>,
) {
    let exp_ms = Some(deadline_ms(now, window_ms));
    push_head(out, "a", amend.client_id.0, None, "amend-order", exp_ms);
    push(out, "{");
    push_instrument(out, instrument);
    push(out, r#","clOrdId":""#);
    push_client_id(amend.client_id, out);
    if let Some(price) = amend.price {
        push(out, r#"","newPx":""#);
        push_decimal(out, instrument.price_decimal(price));
    }
    if let Some(qty) = amend.qty {
        push(out, r#"","newSz":""#);
        push_decimal(out, instrument.qty_decimal(qty));
    }
    push(out, r#"","cxlOnFail":false}]}"#);
}

fn push_cancel_item(out: &mut Vec<u8>, instrument: &Instrument, cancel: &CancelOrder) {
    push(out, "{");
    push_instrument(out, instrument);
    push(out, r#","clOrdId":""#);
    push_client_id(cancel.client_id, out);
    push(out, r#""}"#);
}

/// Appends a cancel.
pub fn write_cancel(instrument: &Instrument, cancel: &CancelOrder, out: &mut Vec<u8>) {
    push_head(out, "c", cancel.client_id.0, None, "cancel-order", None);
    push_cancel_item(out, instrument, cancel);
    push(out, "]}");
}

/// Appends one batch of at most [`BATCH_MAX`] cancels; the caller cuts longer lists.
pub fn write_batch_cancel(
    instrument: &Instrument,
    cancels: &[CancelOrder],
    number: u64,
    out: &mut Vec<u8>,
) {
    push_head(out, "b", number, None, "batch-cancel-orders", None);
    for (index, cancel) in cancels.iter().take(BATCH_MAX).enumerate() {
        if index > 0 {
            push(out, ",");
        }
        push_cancel_item(out, instrument, cancel);
    }
    push(out, "]}");
}

/// A code printed as a string of digits; 0 when absent or empty.
///
/// Errors: text that is not a code. An answer whose verdict cannot be read is never taken for
/// success.
pub(crate) fn code_of(value: Value<'_>, key: &'static str) -> Result<i32, DecodeError> {
    match value.get(key) {
        None => Ok(0),
        Some(field) => field
            .as_str()
            .and_then(parse_code)
            .ok_or(DecodeError::Field(key)),
    }
}

/// A code's text; empty is 0.
pub(crate) fn parse_code(text: &str) -> Option<i32> {
    match text {
        "" => Some(0),
        text => text.parse().ok(),
    }
}

/// What an answer says about all its items.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    kind: Option<RequestKind>,
    /// The order that was asked about, where it was one.
    pub(crate) asked: Option<ClientOrderId>,
    /// Its code, see [`on_answer`].
    envelope: i32,
    gateway_ns: VenueNanos,
}

impl Head {
    /// From the request's id, the envelope's code and the gateway's time, empty where there is none.
    pub(crate) fn new(id: &[u8], envelope: i32, out_time: &str) -> Self {
        let kind = RequestKind::parse(id);
        let asked = kind.and_then(RequestKind::asked);
        // Microseconds of the gateway; enough when no item carries a time.
        let gateway_ns = out_time
            .parse::<u64>()
            .map_or(VenueNanos(0), |us| VenueNanos(us.saturating_mul(1_000)));
        Self {
            kind,
            asked,
            envelope,
            gateway_ns,
        }
    }

    /// Whether it answers a batch of new orders.
    pub(crate) const fn is_of_several(&self) -> bool {
        matches!(self.kind, Some(RequestKind::News(..)))
    }

    /// The code of an item by its own one.
    pub(crate) const fn verdict(&self, own: i32) -> i32 {
        // 2 says that some items failed, and those say how; under any other an item without a verdict of its own
        // shares the envelope's.
        match (own, self.envelope) {
            (0, 2) => 0,
            (0, envelope) => envelope,
            (code, _) => code,
        }
    }

    /// What it means for one order; `at` is 0 where the item has no time.
    pub(crate) fn ack(
        &self,
        code: i32,
        client_id: ClientOrderId,
        order_id: OrderId,
        at: VenueNanos,
    ) -> RequestAck {
        RequestAck {
            client_id,
            order_id,
            reason: reject::reason(code),
            code,
            venue_ns: if at.0 == 0 { self.gateway_ns } else { at },
        }
    }
}

/// An answer of one item, read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    /// The item's verdict.
    pub(crate) code: i32,
    /// For the order of ours that it is about.
    pub(crate) ack: Option<RequestAck>,
}

impl Answer {
    /// Tells it. Returns what was refused for rate, as [`on_answer`] does.
    pub(crate) fn tell(&self, registry: &Registry, out: &mut impl Sink) -> Option<Refused> {
        match self.ack {
            Some(ack) => answer(registry, self.head.kind, ack, out),
            None => out.event(&NOT_OURS),
        }
        refused(self.head.kind, self.code)
    }
}

/// What a code says was refused for rate.
const fn refused(kind: Option<RequestKind>, code: i32) -> Option<Refused> {
    match kind {
        _ if !reject::is_rate_stop(code) => None,
        Some(RequestKind::Cancel(_) | RequestKind::Batch) => Some(Refused::Cancel),
        _ => Some(Refused::Other),
    }
}

const NOT_OURS: Event<'static> = Event::Ignored("an answer about orders that are not ours");

/// Says what an answer means for one order. A refused new order is final; one whose outcome the
/// venue left open is unknown; an accepted one is only acknowledged here, its state comes from the
/// orders channel.
fn answer(registry: &Registry, kind: Option<RequestKind>, ack: RequestAck, out: &mut impl Sink) {
    out.event(&Event::Ack(ack));
    let state = match ack.reason {
        RejectReason::None => return,
        // An order of that id lives at the venue: what we asked for may be it.
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

/// Reads an answer to an order request, or an `error` event that names one. Returns what was refused for
/// rate.
///
/// Envelope code 0 means all items passed, 1 none, 2 some: each item's `sCode` decides, and each is read by
/// itself. Another code refuses the whole request; without items the request id says whose.
/// Errors: [`DecodeError`]; the first shape or code that cannot be read, all else is out.
pub(crate) fn on_answer(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> (Option<Refused>, Result<(), DecodeError>) {
    let envelope = match code_of(root, "code") {
        Ok(code) => code,
        Err(error) => return (None, Err(error)),
    };
    let items = match root.get("data").map(Value::as_array) {
        Some(None) => return (None, Err(DecodeError::Field("data"))),
        items => items.flatten(),
    };
    let head = Head::new(text(root, "id").as_bytes(), envelope, text(root, "outTime"));
    let (mut stop, mut count, mut told) = (None, 0, 0);
    let mut result = Ok(());
    let nth = |nth| head.kind.and_then(|kind| kind.nth(nth));
    for item in items.into_iter().flatten() {
        let kind = nth(count);
        count += 1;
        match item_ack(&head, kind.and_then(RequestKind::asked), item) {
            Ok((code, ack)) => {
                stop = stop.or(refused(head.kind, code));
                if let Some(ack) = ack {
                    told += 1;
                    answer(registry, kind, ack, out);
                }
            }
            Err(error) => result = result.and(Err(error)),
        }
    }
    if count == 0 {
        if envelope == 0 {
            return (None, Err(DecodeError::Field("data")));
        }
        stop = refused(head.kind, envelope);
        for at in 0..head.kind.map_or(0, RequestKind::count) {
            let kind = nth(at);
            if let Some(client_id) = kind.and_then(RequestKind::asked) {
                told += 1;
                let ack = head.ack(envelope, client_id, OrderId(0), VenueNanos(0));
                answer(registry, kind, ack, out);
            }
        }
    }
    if told == 0 && result.is_ok() {
        out.event(&NOT_OURS);
    }
    (stop, result)
}

/// The verdict on one item, and what it means for the order of ours that it names or that was asked about.
fn item_ack(
    head: &Head,
    asked: Option<ClientOrderId>,
    item: Value<'_>,
) -> Result<(i32, Option<RequestAck>), DecodeError> {
    let code = head.verdict(code_of(item, "sCode")?);
    let named = parse_client_id(text(item, "clOrdId").as_bytes());
    let Some(client_id) = named.or(asked) else {
        return Ok((code, None));
    };
    let at = millis(item, "ts")?;
    let order_id = OrderId(id(item, "ordId")?);
    Ok((code, Some(head.ack(code, client_id, order_id, at))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId, Price, Qty, Text, UnixNanos, VenueId};

    fn spot(code: u64) -> Instrument {
        let symbol = Text::new("BTC-USDT").unwrap();
        Instrument {
            venue_code: code,
            ..Instrument::bare(InstrumentId(2), VenueId::OKX, symbol, 1, 8)
        }
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
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn new_orders_of_each_kind() {
        let written = |code, kind, tif, window| {
            text_of(|out| write_new(&spot(code), &new_order(kind, tif), NOW, window, out))
        };
        assert_eq!(
            written(10_001, OrderKind::PostOnly, Tif::Gtc, 500),
            concat!(
                r#"{"id":"n1z141z5I3","op":"order","expTime":"1760000000500","args":[{"instIdCode":10001,"#,
                r#""tdMode":"cash","side":"buy","ordType":"post_only","px":"65000","sz":"0.01","#,
                r#""clOrdId":"sl1z141z5"}]}"#
            )
        );
        assert_eq!(
            written(0, OrderKind::Market, Tif::Ioc, 100),
            concat!(
                r#"{"id":"n1z141z5I3","op":"order","expTime":"1760000000100","args":[{"instId":"BTC-USDT","tdMode":"cash","#,
                r#""side":"buy","ordType":"market","tgtCcy":"base_ccy","sz":"0.01","#,
                r#""clOrdId":"sl1z141z5"}]}"#
            )
        );
        for (tif, word) in [(Tif::Gtc, "limit"), (Tif::Ioc, "ioc"), (Tif::Fok, "fok")] {
            let text = written(0, OrderKind::Limit, tif, 0);
            assert!(
                text.contains(r#""expTime":"1760000000001""#),
                "never without"
            );
            assert!(
                text.contains(&format!(r#""ordType":"{word}","px":"65000""#)),
                "{text}"
            );
        }
    }

    #[test]
    fn swaps_trade_on_cross_margin_without_tgt_ccy() {
        let swap = Instrument {
            symbol: Text::new("BTC-USDT-SWAP").unwrap(),
            ..spot(0)
        };
        let order = new_order(OrderKind::Market, Tif::Gtc);
        let text = text_of(|out| write_new(&swap, &order, NOW, 500, out));
        assert!(
            text.contains(r#""tdMode":"cross""#) && !text.contains("tgtCcy"),
            "{text}"
        );
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
            text_of(|out| write_amend(&spot(5), &amend, NOW, 100, out)),
            concat!(
                r#"{"id":"a1z141z5","op":"amend-order","expTime":"1760000000100","args":["#,
                r#"{"instIdCode":5,"clOrdId":"sl1z141z5","newPx":"64999","cxlOnFail":false}]}"#
            )
        );
        let cancel = |sequence| CancelOrder {
            instrument: InstrumentId(2),
            client_id: client(sequence),
            order_id: OrderId(7),
        };
        assert_eq!(
            text_of(|out| write_cancel(&spot(5), &cancel(1), out)),
            r#"{"id":"c1z141z5","op":"cancel-order","args":[{"instIdCode":5,"clOrdId":"sl1z141z5"}]}"#
        );
        assert_eq!(
            text_of(|out| write_batch_cancel(&spot(5), &[cancel(1), cancel(2)], 7, out)),
            concat!(
                r#"{"id":"b7","op":"batch-cancel-orders","args":[{"instIdCode":5,"clOrdId":"sl1z141z5"},"#,
                r#"{"instIdCode":5,"clOrdId":"sl1z141z6"}]}"#
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
            let value = Decimal { mantissa, exponent };
            assert_eq!(text_of(|out| push_decimal(out, value)), text);
        }
    }

    #[test]
    fn request_ids_come_back() {
        let id = client(9);
        for (text, kind) in [
            ("n1z141zdI3", RequestKind::New(id, InstrumentId(2))),
            ("a1z141zd", RequestKind::Amend(id)),
            ("c1z141zd", RequestKind::Cancel(id)),
            ("b7", RequestKind::Batch),
            ("s1", RequestKind::Session),
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
            "c1",
        ] {
            assert_eq!(RequestKind::parse(foreign.as_bytes()), None, "{foreign}");
        }
    }
}
