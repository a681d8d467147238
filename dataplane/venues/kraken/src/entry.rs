//! Order entry over the private link: new, amend, cancel, new orders and cancels of several in one request.
//!
//! ```text
//! req_id   a number below 2^52, exact in any JSON: 4 bits of how many, 3 of what it was, 45 of our id or of a count
//! {"method":"add_order","params":{"order_type":"limit","side":"buy","symbol":"BTC/USD","order_qty":0.01,
//!   "limit_price":65000,"time_in_force":"gtc","post_only":true,"cl_ord_id":"sl1z141z5",
//!   "deadline":"2026-05-05T10:00:05.000Z","token":"..."},"req_id":35188667056129}
//!
//! {"method":"batch_add","params":{"symbol":"BTC/USD","orders":[{"order_type":"limit",…},…],"deadline":"…","token":"…"},
//!   "req_id":774060480921601}
//! {"method":"batch_add","req_id":774060480921601,"success":true,"result":[{"order_id":"…","cl_ord_id":"…"},
//!   {"cl_ord_id":"…","success":false,"error":"EOrder:Insufficient funds"}],"time_out":"…"}
//! ```
//! The number says what an answer is about; the rest of the order is in [`Orders`]. `deadline` is the venue's own
//! for the request: add and amend only. Requests name the order by our id, which is known from the first instant.
//! Requests are spread over servers at the venue and two may overtake each other: the OMS sends no cancel before
//! the order is known to be there.
//!
//! A batch is looked at as a whole before any of it is done: what is wrong with one order (a price off its tick, a
//! quantity too small) refuses all, with one reason that each is told. What only the engine finds (funds, a quote that
//! would take) is that order's own. Rows stand in the order of the request; those without our id are told by their
//! place, where no row is missing. How a refused row looks is [U].
//! Source: venue page, section 4, read 2026-11-20; the venue's page of `batch_add`, docs.kraken.com, read 2026-11-22;
//! fixtures `entry_*.json`.

use crate::feed::{at, text, timestamp};
use crate::orders::{Known, Orders};
use crate::reject;
use crate::symbols::{pack_id, parse_client_id, push_client_id};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Decimal, Instrument, InstrumentId, NewOrder, Now,
    OrderId, OrderKind, OrderReport, OrderState, RejectReason, Side, Tif, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Fault, RequestAck, Sink};
use dp_wire::digits::Digits;
use dp_wire::json::{Items, Value};
use dp_wire::time::TimeText;

/// Orders one cancel request may name: the venue's bound for `batch_cancel`; for `cancel_order` it tells none [U].
pub const BATCH_MAX: usize = 50;
/// Orders one `batch_add` may enter; one alone goes as a plain new order.
pub const NEW_MAX: usize = 15;
/// Shortest and longest time the venue lets a request wait, milliseconds.
const WINDOW_MS: (u64, u64) = (500, 60_000);
/// Bits of a client order id, and of any other number in a request's.
const NUMBER_BITS: u32 = 45;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;
/// Bits of what a request was.
const KIND_BITS: u32 = 3;
/// How many a request enters stands above what it was, and is 0 for all but a batch.
const COUNT_SHIFT: u32 = NUMBER_BITS + KIND_BITS;
const _: () = assert!(NEW_MAX < 16 && COUNT_SHIFT + 4 < 53, "exact in a double");

/// What a request was, read back from its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// A new order.
    New(ClientOrderId),
    /// An amend.
    Amend(ClientOrderId),
    /// A cancel.
    Cancel(ClientOrderId),
    /// Cancels of several orders; each answer carries its own ids.
    Batch,
    /// New orders in one request.
    News(News),
    /// A subscription, a ping, the dead man's switch.
    Session,
}

impl RequestKind {
    /// Reads a request's number. `None` when we did not write it.
    pub const fn of(number: u64) -> Option<Self> {
        let client = ClientOrderId::from_raw(number & NUMBER_MASK);
        match (number >> NUMBER_BITS, client) {
            (1, Some(id)) => Some(Self::New(id)),
            (2, Some(id)) => Some(Self::Amend(id)),
            (3, Some(id)) => Some(Self::Cancel(id)),
            (4, _) => Some(Self::Batch),
            (5, _) => Some(Self::Session),
            _ => match News::of(number) {
                Some(news) => Some(Self::News(news)),
                None => None,
            },
        }
    }

    /// The order it was about, where it was one.
    const fn client(self) -> Option<ClientOrderId> {
        match self {
            Self::New(id) | Self::Amend(id) | Self::Cancel(id) => Some(id),
            Self::Batch | Self::News(_) | Self::Session => None,
        }
    }
}

/// New orders of one request: their client ids are one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News {
    first: ClientOrderId,
    count: u64,
}

impl News {
    const KIND: u64 = 6;

    /// Reads a request's number.
    const fn of(number: u64) -> Option<Self> {
        let count = number >> COUNT_SHIFT;
        let kind = number >> NUMBER_BITS & ((1 << KIND_BITS) - 1);
        match ClientOrderId::from_raw(number & NUMBER_MASK) {
            Some(first) if kind == Self::KIND && count >= 2 && count <= NEW_MAX as u64 => {
                Some(Self { first, count })
            }
            _ => None,
        }
    }

    const fn number(self) -> u64 {
        self.count << COUNT_SHIFT | request_id(Self::KIND, self.first.0)
    }

    /// How many there are.
    const fn count(self) -> usize {
        self.count as usize
    }

    /// The order at this place, from 0. `None`: there is none.
    fn at(self, place: usize) -> Option<ClientOrderId> {
        let place = u64::try_from(place).ok().filter(|it| *it < self.count)?;
        ClientOrderId::from_raw(self.first.0.checked_add(place)?)
    }

    /// All of them.
    fn ids(self) -> impl Iterator<Item = ClientOrderId> {
        (0..self.count()).filter_map(move |place| self.at(place))
    }
}

const fn request_id(kind: u64, number: u64) -> u64 {
    kind << NUMBER_BITS | number & NUMBER_MASK
}

/// The request number of a session's message.
pub(crate) const fn session_id(number: u64) -> u64 {
    request_id(5, number)
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// A bare number without the zeros behind the last place that counts: increments are finer than ticks.
fn push_decimal(out: &mut Vec<u8>, value: Decimal) {
    out.extend_from_slice(Digits::decimal(value).as_bytes());
}

/// `"token":"..."},"req_id":N}`: how every message of the private link ends.
pub(crate) fn push_tail(out: &mut Vec<u8>, token: &str, id: u64) {
    push(out, r#""token":""#);
    push(out, token);
    push(out, r#""},"req_id":"#);
    out.extend_from_slice(Digits::u64(id).as_bytes());
    push(out, "}");
}

/// When a request written at `now` lapses at the venue.
fn push_deadline(out: &mut Vec<u8>, now: Now, window_ms: u32) {
    let (least, most) = WINDOW_MS;
    let window_ms = u64::from(window_ms).clamp(least, most);
    let at = TimeText::rfc3339_millis(now.unix.after(window_ms * 1_000_000).0);
    push(out, r#""deadline":""#);
    out.extend_from_slice(at.as_bytes());
    push(out, r#"","#);
}

/// Whether the venue can be asked for such an order: fill-or-kill is not told of for the WebSocket [U].
pub(crate) fn is_supported(order: &NewOrder) -> bool {
    order.tif != Tif::Fok
}

/// Appends a new order. Cost: no allocation once `out` has grown; one pass.
pub fn write_new(
    instrument: &Instrument,
    order: &NewOrder,
    now: Now,
    window_ms: u32,
    token: &str,
    out: &mut Vec<u8>,
) {
    push(out, r#"{"method":"add_order","params":{"#);
    push_terms(instrument, order, instrument.symbol.as_str(), out);
    push(out, ",");
    push_deadline(out, now, window_ms);
    push_tail(out, token, request_id(1, order.client_id.0));
}

/// Appends new orders in one request: at least two, at most [`NEW_MAX`], of one instrument, their client ids one behind
/// the other.
pub fn write_batch_new(
    instrument: &Instrument,
    orders: &[NewOrder],
    now: Now,
    window_ms: u32,
    token: &str,
    out: &mut Vec<u8>,
) {
    let Some(first) = orders.first() else {
        return;
    };
    push(out, r#"{"method":"batch_add","params":{"symbol":""#);
    push(out, instrument.symbol.as_str());
    push(out, r#"","orders":["#);
    for (index, order) in orders.iter().enumerate() {
        push(out, if index > 0 { ",{" } else { "{" });
        push_terms(instrument, order, "", out);
        push(out, "}");
    }
    push(out, "],");
    push_deadline(out, now, window_ms);
    let news = News {
        first: first.client_id,
        count: orders.len() as u64,
    };
    push_tail(out, token, news.number());
}

/// What an order is, and under which id; no symbol where it is empty, because the batch has it.
fn push_terms(instrument: &Instrument, order: &NewOrder, symbol: &str, out: &mut Vec<u8>) {
    let is_market = order.kind == OrderKind::Market;
    push(out, r#""order_type":""#);
    push(out, if is_market { "market" } else { "limit" });
    push(
        out,
        match order.side {
            Side::Buy => r#"","side":"buy""#,
            Side::Sell => r#"","side":"sell""#,
        },
    );
    if !symbol.is_empty() {
        push(out, r#","symbol":""#);
        push(out, symbol);
        push(out, r#"""#);
    }
    push(out, r#","order_qty":"#);
    push_decimal(out, instrument.qty_decimal(order.qty));
    if !is_market {
        push(out, r#","limit_price":"#);
        push_decimal(out, instrument.price_decimal(order.price));
        push(
            out,
            match (order.kind, order.tif) {
                (OrderKind::PostOnly, _) => r#","time_in_force":"gtc","post_only":true"#,
                (_, Tif::Gtc) => r#","time_in_force":"gtc""#,
                (_, Tif::Ioc | Tif::Fok) => r#","time_in_force":"ioc""#,
            },
        );
    }
    push(out, r#","cl_ord_id":""#);
    push_client_id(order.client_id, out);
    push(out, r#"""#);
}

/// Appends an amend. A failed amend leaves the order as it was. A post-only order says so again: an amended price
/// may take otherwise.
pub fn write_amend(
    instrument: &Instrument,
    amend: &AmendOrder,
    is_post_only: bool,
    now: Now,
    window_ms: u32,
    token: &str,
    out: &mut Vec<u8>,
) {
    push(out, r#"{"method":"amend_order","params":{"cl_ord_id":""#);
    push_client_id(amend.client_id, out);
    push(out, r#"","#);
    if let Some(qty) = amend.qty {
        push(out, r#""order_qty":"#);
        push_decimal(out, instrument.qty_decimal(qty));
        push(out, ",");
    }
    if let Some(price) = amend.price {
        push(out, r#""limit_price":"#);
        push_decimal(out, instrument.price_decimal(price));
        push(out, ",");
        if is_post_only {
            push(out, r#""post_only":true,"#);
        }
    }
    push_deadline(out, now, window_ms);
    push_tail(out, token, request_id(2, amend.client_id.0));
}

/// Appends one request for at most [`BATCH_MAX`] cancels; the caller cuts longer lists. The venue answers each
/// order by itself.
pub fn write_cancels(cancels: &[CancelOrder], number: u64, token: &str, out: &mut Vec<u8>) {
    push(out, r#"{"method":"cancel_order","params":{"cl_ord_id":["#);
    for (index, cancel) in cancels.iter().take(BATCH_MAX).enumerate() {
        push(out, if index > 0 { r#",""# } else { r#"""# });
        push_client_id(cancel.client_id, out);
        push(out, r#"""#);
    }
    push(out, "],");
    let id = match cancels {
        [one] => request_id(3, one.client_id.0),
        _ => request_id(4, number),
    };
    push_tail(out, token, id);
}

const NOT_OURS: Event<'static> = Event::Ignored("an answer about orders that are not ours");

/// The error's text, if it is one: `success` decides, and an answer without a verdict is none.
pub(crate) fn verdict(root: Value<'_>) -> Result<Option<&str>, DecodeError> {
    match root.get("success").and_then(Value::as_bool) {
        Some(true) => Ok(None),
        Some(false) => Ok(Some(text(root, "error"))),
        None => Err(DecodeError::Field("success")),
    }
}

/// What an answer was refused for rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) Option<InstrumentId>);

/// Reads an answer to an order request. Returns what was refused for rate.
///
/// A refused new order is final; one whose outcome the venue left open is unknown; an accepted one is only
/// acknowledged here, its state comes from `executions`.
/// Errors: [`DecodeError`], or the venue's refusal of something that names no order.
pub(crate) fn on_answer(
    orders: &mut Orders,
    root: Value<'_>,
    out: &mut impl Sink,
) -> (Option<Refused>, Result<(), Fault>) {
    match read_answer(orders, root, out) {
        Ok((refused, result)) => (refused, result),
        Err(error) => (None, Err(error.into())),
    }
}

type Read = (Option<Refused>, Result<(), Fault>);

fn read_answer(
    orders: &mut Orders,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<Read, DecodeError> {
    let error = verdict(root)?;
    let (code, reason) = error.map_or((0, RejectReason::None), reject::error);
    let kind = asked(root)?;
    let told = |key| root.get("result").map_or("", |result| text(result, key));
    let asked = kind.and_then(RequestKind::client);
    let order_id =
        OrderId(pack_id(told("order_id").as_bytes()).ok_or(DecodeError::Field("order_id"))?);
    let named = parse_client_id(told("cl_ord_id").as_bytes());
    let known = orders.find(order_id, asked.or(named));
    let instrument = known.as_ref().map(|known| known.instrument);
    let client_id = asked
        .or(named)
        .or(known.as_ref().and_then(|known| known.client_id));
    let refused = (reason == RejectReason::RateLimit).then_some(Refused(instrument));
    let Some(client_id) = client_id else {
        if error.is_some() && kind.is_some() {
            return Ok((refused, Err(Fault::Venue { code, reason })));
        }
        out.event(&NOT_OURS);
        return Ok((refused, Ok(())));
    };
    let venue_ns = timestamp(root, "time_out")?;
    let is_new = matches!(kind, Some(RequestKind::New(_)));
    let verdict = (code, reason);
    tell(known, is_new, (client_id, order_id), verdict, venue_ns, out);
    Ok((refused, Ok(())))
}

/// What the message answers. `None`: a request that is not ours. Errors: no number at all.
fn asked(root: Value<'_>) -> Result<Option<RequestKind>, DecodeError> {
    match root.get("req_id") {
        None => Ok(None),
        Some(id) => Ok(RequestKind::of(
            id.as_u64().ok_or(DecodeError::Field("req_id"))?,
        )),
    }
}

/// Tells what came of a request about one order; a new one dies of a refusal.
fn tell(
    known: Option<&mut Known>,
    is_new: bool,
    (client_id, order_id): (ClientOrderId, OrderId),
    (code, reason): (i32, RejectReason),
    venue_ns: VenueNanos,
    out: &mut impl Sink,
) {
    let order_id = known.as_ref().map_or(order_id, |known| known.order_id);
    out.event(&Event::Ack(RequestAck {
        client_id,
        order_id,
        reason,
        code,
        venue_ns,
    }));
    let state = match reason {
        RejectReason::None => return,
        // An order of that id lives at the venue: what we asked for may be it.
        RejectReason::UnknownOutcome | RejectReason::DuplicateId => OrderState::Unknown,
        _ => OrderState::Rejected,
    };
    if let Some(known) = known.filter(|_| is_new) {
        known.is_final = state.is_final();
        out.event(&Event::Order(OrderReport {
            instrument: known.instrument,
            client_id: Some(client_id),
            order_id,
            side: Some(known.side),
            state,
            reason,
            price: None,
            qty: None,
            cum: None,
            venue_ns,
        }));
    }
}

/// The new orders of one request that a message answers; `None` when it is none of ours.
pub(crate) fn news(root: Value<'_>) -> Option<News> {
    match asked(root) {
        Ok(Some(RequestKind::News(news))) => Some(news),
        _ => None,
    }
}

/// The rows of a batch's answer: its result as the venue's page shows it, or `orders` of it, as one other source has it.
fn rows(root: Value<'_>) -> Option<Items<'_>> {
    let result = root.get("result")?;
    result
        .as_array()
        .or_else(|| result.get("orders")?.as_array())
}

/// What a row of a batch was refused for. Nothing said is nothing refused: an id must be there then.
fn refusal_of(row: Value<'_>) -> Option<&str> {
    let error = text(row, "error");
    let is_refused = row.get("success").and_then(Value::as_bool) == Some(false);
    (is_refused || !error.is_empty()).then_some(error)
}

/// The words an answer was refused with, and each order of a batch.
pub(crate) fn refusals(root: Value<'_>) -> impl Iterator<Item = &str> {
    let is_batch = root.get("method").and_then(Value::as_str) == Some("batch_add");
    let rows = rows(root).filter(|_| is_batch).into_iter().flatten();
    let whole = Some(text(root, "error")).filter(|words| !words.is_empty());
    whole.into_iter().chain(rows.filter_map(refusal_of))
}

/// Reads the answer to new orders of one request. Returns what was refused for rate, whichever of them it was.
///
/// Errors: [`DecodeError`]: an order without a verdict, which is asked about then, or a row that is nobody's; all else
/// is told.
pub(crate) fn on_news(
    orders: &mut Orders,
    news: News,
    root: Value<'_>,
    out: &mut impl Sink,
) -> (Option<Refused>, Result<(), DecodeError>) {
    let is_rate = |words: &str| reject::error(words).1 == RejectReason::RateLimit;
    let refused = refusals(root).any(is_rate).then(|| {
        let instrument = |id| Some(orders.find_client(id)?.instrument);
        Refused(news.ids().find_map(instrument))
    });
    (refused, read_news(orders, news, root, out))
}

fn read_news(
    orders: &mut Orders,
    news: News,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let whole = verdict(root)?.map(reject::error);
    let venue_ns = timestamp(root, "time_out")?;
    let mut result = Ok(());
    let mut told = 0u32; // a bit an order
    let is_whole = rows(root).is_some_and(|rows| rows.count() == news.count());
    for (place, row) in rows(root).into_iter().flatten().enumerate() {
        match row_verdict(news, place, is_whole, row) {
            Ok((place, (client_id, order_id), verdict)) if told & 1 << place == 0 => {
                let known = orders.find(order_id, Some(client_id));
                // Under an id of the venue that is another order's: whose the verdict is, is not said.
                if known
                    .as_ref()
                    .is_some_and(|it| it.client_id != Some(client_id))
                {
                    result = result.and(Err(DecodeError::Field("order_id")));
                    continue;
                }
                told |= 1 << place;
                tell(known, true, (client_id, order_id), verdict, venue_ns, out);
            }
            Ok(_) => result = result.and(Err(DecodeError::Shape("an order answered twice"))),
            Err(error) => result = result.and(Err(error)),
        }
    }
    for place in (0..news.count()).filter(|place| told & 1 << place == 0) {
        match (whole, news.at(place)) {
            (Some(verdict), Some(client_id)) => {
                let known = orders.find_client(client_id);
                let ids = (client_id, OrderId(0));
                tell(known, true, ids, verdict, venue_ns, out);
            }
            _ => result = result.and(Err(DecodeError::Field("orders"))),
        }
    }
    result
}

/// Place, ids and verdict of a row.
type Row = (usize, (ClientOrderId, OrderId), (i32, RejectReason));

/// Whose row it is, and what it says. A place says so only where no row was left out.
fn row_verdict(
    news: News,
    place: usize,
    is_whole: bool,
    row: Value<'_>,
) -> Result<Row, DecodeError> {
    let name = text(row, "cl_ord_id");
    let place = if name.is_empty() {
        Some(place).filter(|_| is_whole)
    } else {
        let id = parse_client_id(name.as_bytes());
        (0..news.count()).find(|place| id.is_some() && news.at(*place) == id)
    };
    let whose = place.and_then(|place| Some((place, news.at(place)?)));
    let (place, client_id) = whose.ok_or(DecodeError::Field("cl_ord_id"))?;
    let order_id = pack_id(text(row, "order_id").as_bytes()).map(OrderId);
    let order_id = order_id.ok_or(DecodeError::Field("order_id"))?;
    let verdict = match refusal_of(row) {
        Some(words) => reject::error(words),
        None if order_id.0 == 0 => return Err(DecodeError::Field("order_id")),
        None => (0, RejectReason::None),
    };
    Ok((place, (client_id, order_id), verdict))
}

/// The method a message answers.
pub(crate) fn method(root: Value<'_>) -> Result<&str, DecodeError> {
    root.str("method").map_err(at("method"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId, Price, Qty, Text, UnixNanos, VenueId};
    use proptest::prelude::*;

    fn instrument() -> Instrument {
        let symbol = Text::new("BTC/USD").unwrap();
        Instrument::bare(InstrumentId(2), VenueId::KRAKEN, symbol, 3, 8)
    }

    fn client(sequence: u32) -> ClientOrderId {
        ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap()
    }

    const NOW: Now = Now {
        tsc: dp_types::Tsc(0),
        unix: UnixNanos::from_millis(1_760_000_000_000),
    };

    fn text_of(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        let text = String::from_utf8(out).unwrap();
        let _: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        text
    }

    fn new(kind: OrderKind, tif: Tif, window_ms: u32) -> String {
        let order = NewOrder {
            instrument: InstrumentId(2),
            client_id: client(1),
            side: Side::Buy,
            kind,
            tif,
            price: Price(65_000_100),
            qty: Qty(1_000_000),
        };
        text_of(|out| write_new(&instrument(), &order, NOW, window_ms, "T", out))
    }

    #[test]
    fn new_orders_of_each_kind() {
        assert_eq!(
            new(OrderKind::PostOnly, Tif::Gtc, 5_000),
            concat!(
                r#"{"method":"add_order","params":{"order_type":"limit","side":"buy","symbol":"BTC/USD","#,
                r#""order_qty":0.01,"limit_price":65000.1,"time_in_force":"gtc","post_only":true,"#,
                r#""cl_ord_id":"sl1z141z5","deadline":"2025-10-09T08:53:25.000Z","token":"T"},"#,
                r#""req_id":35188667056129}"#
            )
        );
        assert_eq!(
            new(OrderKind::Market, Tif::Ioc, 0),
            concat!(
                r#"{"method":"add_order","params":{"order_type":"market","side":"buy","symbol":"BTC/USD","#,
                r#""order_qty":0.01,"cl_ord_id":"sl1z141z5","deadline":"2025-10-09T08:53:20.500Z","#,
                r#""token":"T"},"req_id":35188667056129}"#
            ),
            "never without a deadline, never below the venue's shortest"
        );
        let limit = new(OrderKind::Limit, Tif::Ioc, u32::MAX);
        assert!(limit.contains(r#""limit_price":65000.1,"time_in_force":"ioc","cl_ord_id""#));
        assert!(limit.contains(r#""deadline":"2025-10-09T08:54:20.000Z""#));
        assert!(
            new(OrderKind::Limit, Tif::Gtc, 0).contains(r#""time_in_force":"gtc","cl_ord_id""#)
        );
    }

    #[test]
    fn several_have_one_symbol_and_one_deadline() {
        let order = |sequence, kind, side| NewOrder {
            instrument: InstrumentId(2),
            client_id: client(sequence),
            side,
            kind,
            tif: Tif::Ioc,
            price: Price(65_000_100),
            qty: Qty(1_000_000),
        };
        let orders = [
            order(1, OrderKind::PostOnly, Side::Buy),
            order(2, OrderKind::Market, Side::Sell),
        ];
        assert_eq!(
            text_of(|out| write_batch_new(&instrument(), &orders, NOW, 5_000, "T", out)),
            concat!(
                r#"{"method":"batch_add","params":{"symbol":"BTC/USD","orders":["#,
                r#"{"order_type":"limit","side":"buy","order_qty":0.01,"limit_price":65000.1,"time_in_force":"gtc","#,
                r#""post_only":true,"cl_ord_id":"sl1z141z5"},"#,
                r#"{"order_type":"market","side":"sell","order_qty":0.01,"cl_ord_id":"sl1z141z6"}],"#,
                r#""deadline":"2025-10-09T08:53:25.000Z","token":"T"},"req_id":774060480921601}"#
            )
        );
    }

    #[test]
    fn a_batch_is_two_to_fifteen() {
        let number = |count| {
            let first = client(1);
            News { first, count }.number()
        };
        for count in 0..=16 {
            let is_one = (2..=15).contains(&count);
            assert_eq!(News::of(number(count)).is_some(), is_one, "{count}");
        }
        let news = News::of(number(3)).unwrap();
        assert_eq!(
            news.ids().collect::<Vec<_>>(),
            [client(1), client(2), client(3)]
        );
        assert_eq!(news.at(3), None);
    }

    #[test]
    fn amends_say_post_only_again() {
        let amend = |price, qty, is_post_only| {
            let amend = AmendOrder {
                instrument: InstrumentId(2),
                client_id: client(1),
                order_id: OrderId(7),
                price,
                qty,
            };
            text_of(|out| write_amend(&instrument(), &amend, is_post_only, NOW, 500, "T", out))
        };
        assert_eq!(
            amend(Some(Price(64_999_000)), Some(Qty(2_000_000)), true),
            concat!(
                r#"{"method":"amend_order","params":{"cl_ord_id":"sl1z141z5","order_qty":0.02,"#,
                r#""limit_price":64999,"post_only":true,"deadline":"2025-10-09T08:53:20.500Z","#,
                r#""token":"T"},"req_id":70373039144961}"#
            )
        );
        assert!(!amend(None, Some(Qty(1)), true).contains("post_only"));
        assert!(!amend(Some(Price(1)), None, false).contains("post_only"));
    }

    #[test]
    fn one_cancel_and_several() {
        let cancel = |sequence| CancelOrder {
            instrument: InstrumentId(2),
            client_id: client(sequence),
            order_id: OrderId(7),
        };
        assert_eq!(
            text_of(|out| write_cancels(&[cancel(1)], 9, "T", out)),
            r#"{"method":"cancel_order","params":{"cl_ord_id":["sl1z141z5"],"token":"T"},"req_id":105557411233793}"#
        );
        assert_eq!(
            text_of(|out| write_cancels(&[cancel(1), cancel(2)], 9, "T", out)),
            concat!(
                r#"{"method":"cancel_order","params":{"cl_ord_id":["sl1z141z5","sl1z141z6"],"token":"T"},"#,
                r#""req_id":140737488355337}"#
            )
        );
    }

    proptest! {
        /// Request numbers come back, stay below 2^52, and anything else is not ours.
        #[test]
        fn request_numbers_come_back(raw: u64, other: u64, count in 2u64..=15) {
            let id = ClientOrderId::from_raw((raw & NUMBER_MASK).max(1 << 32)).unwrap();
            for (kind, want) in [
                (1, RequestKind::New(id)),
                (2, RequestKind::Amend(id)),
                (3, RequestKind::Cancel(id)),
                (4, RequestKind::Batch),
                (5, RequestKind::Session),
            ] {
                let number = request_id(kind, id.0);
                prop_assert!(number < 1 << 48);
                prop_assert_eq!(RequestKind::of(number), Some(want));
            }
            let news = News { first: id, count };
            prop_assert!(news.number() < 1 << 52);
            prop_assert_eq!(RequestKind::of(news.number()), Some(RequestKind::News(news)));
            match RequestKind::of(other) {
                Some(RequestKind::News(news)) => prop_assert_eq!(news.number(), other),
                Some(kind) => prop_assert!((1..=5).contains(&(other >> NUMBER_BITS)), "{:?}", kind),
                None => {}
            }
        }
    }
}
