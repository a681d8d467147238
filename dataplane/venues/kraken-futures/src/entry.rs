//! Order entry over the private link: new, amend, cancel, batches of new orders and of cancels, the dead man's switch, and
//! their answers.
//!
//! ```text
//! {"method":"add_order","params":{"asset_class":"derivatives","order_type":"limit","side":"buy",
//!   "symbol":"PF_XBTUSD","order_qty":0.01,"limit_price":65000,"time_in_force":"gtc","post_only":true,
//!   "cl_ord_id":"736c0000-0000-4000-8000-000100000001","deadline":"2026-10-05T10:00:00.500Z","token":"T"},"req_id":2}
//! {"method":"add_order","req_id":2,"success":true,"result":{"order_id":"…","cl_ord_id":"…"},"time_out":"…"}
//! {"method":"add_order","req_id":2,"success":false,"error":"EOrder:Insufficient funds","time_out":"…"}
//!
//! {"method":"batch_add","params":{"asset_class":"derivatives","symbol":"PF_XBTUSD","orders":[{"order_type":"limit",…},…],
//!   "deadline":"…","token":"T"},"req_id":3}
//! {"method":"batch_add","req_id":3,"success":true,"result":[{"order_id":"…","cl_ord_id":"…"},
//!   {"cl_ord_id":"…","success":false,"error":"EOrder:Insufficient funds"}],"time_out":"…"}
//! ```
//! A batch is looked at as a whole before any of it is done: what is wrong with one order (a price off its tick, a quantity
//! too small) refuses all, with one reason that each is told. What only the engine finds (funds, a quote that would take)
//! is that order's own. Rows stand in the order of the request; those without our id are told by their place, where no
//! row is missing. Both are the spot market's words, `[U for derivatives]`, and so is the shape of a refused row.
//!
//! The venue holds everything that could take for some 20 ms (maker protection); what is flagged post-only, and
//! every cancel, goes straight through. So a quote is always flagged, and so is every amend: a quote that is moved
//! stays a quote. `deadline` is the venue's own validity window: place and amend only [U for derivatives].
//! Cancels and amends name the order by our id, which is known from the first instant. Requests of one link may
//! overtake each other: a cancel that comes before its order is refused as unknown, which settles nothing.
//! Source: venue page, sections 3 and 8; `kraken.md`, section 4; read 2026-11-20; fixtures `entry_*.json`.

use crate::account::order_id_if_told;
use crate::feed::{some, text, time};
use crate::reject::{self, Refusal};
use crate::requests::{Kind, Requests};
use crate::symbols::{client_id_text, parse_client_id, push_u64};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Decimal, Instrument, InstrumentId, NewOrder, Now,
    OrderId, OrderKind, OrderReport, OrderState, RejectReason, Side, Tif, VenueNanos,
};
use dp_venue_api::limits::Refused;
use dp_venue_api::{DecodeError, Event, Fault, OrderBatch, Registry, RequestAck, Sink};
use dp_wire::json::{Items, Value};
use dp_wire::time::TimeText;

/// Orders one `batch_cancel` may name; one alone goes as a plain cancel.
pub const BATCH_MAX: usize = 50;
/// Orders one `batch_add` may enter; one alone goes as a plain new order.
pub const NEW_MAX: usize = 15;
const _: () = assert!(NEW_MAX <= OrderBatch::MAX);
/// The venue takes deadlines from half a second to a minute ahead, by its own clock when the request arrives: half a
/// second of ours is for the way there and what the clocks differ, and a second at the other end.
pub const DEADLINE_MS_MIN: u64 = 1_000;
/// See above.
pub const DEADLINE_MS_MAX: u64 = 59_000;

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

/// `{"method":"M","params":{"asset_class":"derivatives"`.
pub(crate) fn push_head(out: &mut Vec<u8>, method: &str) {
    push(out, r#"{"method":""#);
    push(out, method);
    push(out, r#"","params":{"asset_class":"derivatives""#);
}

/// `,"token":"T"},"req_id":N}`; no token where it is empty.
pub(crate) fn push_tail(out: &mut Vec<u8>, token: &str, number: u64) {
    if !token.is_empty() {
        push(out, r#","token":""#);
        push(out, token);
        push(out, r#"""#);
    }
    push(out, r#"},"req_id":"#);
    push_u64(number, out);
    push(out, "}");
}

fn push_client_id(out: &mut Vec<u8>, id: ClientOrderId) {
    push(out, r#","cl_ord_id":""#);
    out.extend_from_slice(&client_id_text(id));
    push(out, r#"""#);
}

/// When a request written at `now` lapses at the venue. Never without: what waits in a stalled connection would
/// be carried out whenever that moves again.
fn push_deadline(out: &mut Vec<u8>, now: Now, window_ms: u32) {
    let window_ms = u64::from(window_ms).clamp(DEADLINE_MS_MIN, DEADLINE_MS_MAX);
    push(out, r#","deadline":""#);
    let at = TimeText::rfc3339_millis(now.unix.after(window_ms * 1_000_000).0);
    out.extend_from_slice(at.as_bytes());
    push(out, r#"""#);
}

/// The venue's word for the life of an order.
const fn tif_word(tif: Tif) -> &'static str {
    match tif {
        Tif::Gtc => "gtc",
        Tif::Ioc => "ioc",
        Tif::Fok => "fok",
    }
}

/// Appends a new order. Cost: no allocation once `out` has grown; one pass.
pub fn write_new(
    instrument: &Instrument,
    order: &NewOrder,
    now: Now,
    window_ms: u32,
    (token, number): (&str, u64),
    out: &mut Vec<u8>,
) {
    push_head(out, "add_order");
    push(out, ",");
    push_terms(instrument, order, instrument.symbol.as_str(), out);
    push_deadline(out, now, window_ms);
    push_tail(out, token, number);
}

/// Appends new orders in one request: at least two, at most [`NEW_MAX`], of one instrument.
pub fn write_batch_new(
    instrument: &Instrument,
    orders: &[NewOrder],
    now: Now,
    window_ms: u32,
    (token, number): (&str, u64),
    out: &mut Vec<u8>,
) {
    push_head(out, "batch_add");
    push(out, r#","symbol":""#);
    push(out, instrument.symbol.as_str());
    push(out, r#"","orders":["#);
    for (index, order) in orders.iter().enumerate() {
        push(out, if index > 0 { ",{" } else { "{" });
        push_terms(instrument, order, "", out);
        push(out, "}");
    }
    push(out, "]");
    push_deadline(out, now, window_ms);
    push_tail(out, token, number);
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
        push(out, r#","time_in_force":""#);
        // A quote rests until it is taken or cancelled, whatever else it was given.
        let is_quote = order.kind == OrderKind::PostOnly;
        push(out, tif_word(if is_quote { Tif::Gtc } else { order.tif }));
        push(
            out,
            if is_quote {
                r#"","post_only":true"#
            } else {
                r#"""#
            },
        );
    }
    push_client_id(out, order.client_id);
}

/// Appends an amend. A failed amend leaves the order as it was; one that would make it take fails.
pub fn write_amend(
    instrument: &Instrument,
    amend: &AmendOrder,
    now: Now,
    window_ms: u32,
    (token, number): (&str, u64),
    out: &mut Vec<u8>,
) {
    push_head(out, "amend_order");
    push_client_id(out, amend.client_id);
    if let Some(price) = amend.price {
        push(out, r#","limit_price":"#);
        push_decimal(out, instrument.price_decimal(price));
    }
    if let Some(qty) = amend.qty {
        push(out, r#","order_qty":"#);
        push_decimal(out, instrument.qty_decimal(qty));
    }
    push(out, r#","post_only":true"#);
    push_deadline(out, now, window_ms);
    push_tail(out, token, number);
}

/// Appends a cancel of one order, or of at most [`BATCH_MAX`]; the caller cuts longer lists.
pub fn write_cancel(cancels: &[CancelOrder], (token, number): (&str, u64), out: &mut Vec<u8>) {
    let is_batch = cancels.len() > 1;
    push_head(
        out,
        if is_batch {
            "batch_cancel"
        } else {
            "cancel_order"
        },
    );
    push(out, r#","cl_ord_id":["#);
    for (index, cancel) in cancels.iter().take(BATCH_MAX).enumerate() {
        push(out, if index > 0 { r#",""# } else { r#"""# });
        out.extend_from_slice(&client_id_text(cancel.client_id));
        push(out, r#"""#);
    }
    push(out, "]");
    push_tail(out, token, number);
}

/// Appends a push-back of the dead man's switch.
pub fn write_dead_man(timeout_s: u32, (token, number): (&str, u64), out: &mut Vec<u8>) {
    push_head(out, "cancel_all_orders_after");
    push(out, r#","timeout":"#);
    push_u64(u64::from(timeout_s), out);
    push_tail(out, token, number);
}

/// An answer, as far as it is alike for all requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    /// What was asked; `None` when its number is not one of our latest.
    pub(crate) kind: Option<Kind>,
    /// What it was refused for.
    pub(crate) refusal: Option<Refusal>,
    /// What came of it.
    pub(crate) result: Option<Value<'a>>,
    /// When it left the venue.
    pub(crate) venue_ns: VenueNanos,
}

impl<'a> Answer<'a> {
    /// Reads the envelope. Errors: no verdict. An answer without one is never taken for success.
    pub(crate) fn read(requests: &Requests, root: Value<'a>) -> Result<Self, DecodeError> {
        let is_done = root
            .get("success")
            .and_then(Value::as_bool)
            .ok_or(DecodeError::Field("success"))?;
        Ok(Self {
            kind: root
                .get("req_id")
                .and_then(Value::as_u64)
                .and_then(|number| requests.kind(number)),
            refusal: (!is_done).then(|| reject::unified(text(root, "error"))),
            result: some(root, "result"),
            venue_ns: time(root, "time_out")?,
        })
    }

    /// As the fault of a request about no order of ours.
    pub(crate) fn fault(&self) -> Result<(), Fault> {
        match self.refusal {
            None => Ok(()),
            Some(refusal) => Err(Fault::Venue {
                code: refusal.code,
                reason: refusal.reason,
            }),
        }
    }

    /// What was refused for rate.
    pub(crate) fn refused(&self) -> Option<Refused> {
        let refused = match self.kind {
            Some(Kind::Cancel(_) | Kind::Batch) => Refused::Cancel,
            _ => Refused::Other,
        };
        let is_rate = |it: Refusal| it.reason == RejectReason::RateLimit;
        self.refusals().any(is_rate).then_some(refused)
    }

    /// Whether it says that the session is worth nothing any more.
    pub(crate) fn is_session_lost(&self) -> bool {
        self.refusals().any(|it| it.reason == RejectReason::Auth)
    }

    /// What it was refused for, and each order of a batch.
    fn refusals(&self) -> impl Iterator<Item = Refusal> {
        let is_batch = matches!(self.kind, Some(Kind::News(_)));
        let rows = rows(self.result.filter(|_| is_batch));
        let rows = rows.into_iter().flatten().filter_map(refusal_of);
        self.refusal.into_iter().chain(rows)
    }
}

/// The rows of a batch's answer: its result as the venue's page of the spot market shows it, or `orders` of it, as one
/// other source has it.
fn rows(result: Option<Value<'_>>) -> Option<Items<'_>> {
    let result = result?;
    result
        .as_array()
        .or_else(|| some(result, "orders")?.as_array())
}

/// What a row of a batch was refused for. Nothing said is nothing refused: an id must be there then.
fn refusal_of(row: Value<'_>) -> Option<Refusal> {
    let error = text(row, "error");
    let is_refused = row.get("success").and_then(Value::as_bool) == Some(false);
    (is_refused || !error.is_empty()).then(|| reject::unified(error))
}

const NOT_OURS: Event<'static> = Event::Ignored("an answer about orders that are not ours");

/// Tells what the answer to an order request means. A refused new order is final; one whose outcome the venue
/// left open is unknown; an accepted one is only acknowledged here, its state comes by the executions.
pub(crate) fn on_answer(
    registry: &Registry,
    answer: &Answer<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let named = answer.result.map_or("", |result| text(result, "cl_ord_id"));
    let asked = match answer.kind {
        Some(Kind::New(id, _) | Kind::Amend(id) | Kind::Cancel(id)) => Some(id),
        _ => parse_client_id(named.as_bytes()),
    };
    let Some(client_id) = asked else {
        out.event(&NOT_OURS);
        return Ok(());
    };
    let order_id = match answer.result {
        Some(result) => order_id_if_told(result, "order_id")?,
        None => OrderId(0),
    };
    let instrument = match answer.kind {
        Some(Kind::New(_, instrument)) => Some(instrument),
        _ => None,
    };
    let refusal = answer.refusal;
    tell(
        registry,
        instrument,
        (client_id, order_id),
        refusal,
        answer,
        out,
    );
    Ok(())
}

/// Tells what the answer to a batch of new orders means for each of them.
///
/// Errors: an order without a verdict, which the caller then asks about, or a row that is nobody's; all else is told.
pub(crate) fn on_news(
    registry: &Registry,
    batch: OrderBatch,
    answer: &Answer<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let mut result = Ok(());
    let mut told = 0u32; // a bit an order
    let is_whole = rows(answer.result).is_some_and(|rows| rows.count() == batch.count());
    for (place, row) in rows(answer.result).into_iter().flatten().enumerate() {
        match row_verdict(batch, place, is_whole, row) {
            Ok((place, ids, refusal)) if told & 1 << place == 0 => {
                told |= 1 << place;
                tell(
                    registry,
                    Some(batch.instrument()),
                    ids,
                    refusal,
                    answer,
                    out,
                );
            }
            Ok(_) => result = result.and(Err(DecodeError::Shape("an order answered twice"))),
            Err(error) => result = result.and(Err(error)),
        }
    }
    for place in (0..batch.count()).filter(|place| told & 1 << place == 0) {
        match (answer.refusal, batch.at(place)) {
            (Some(refusal), Some(id)) => {
                let ids = (id, OrderId(0));
                tell(
                    registry,
                    Some(batch.instrument()),
                    ids,
                    Some(refusal),
                    answer,
                    out,
                );
            }
            _ => result = result.and(Err(DecodeError::Field("orders"))),
        }
    }
    result
}

/// Whose row it is, and what it says. A place says so only where no row was left out.
fn row_verdict(
    batch: OrderBatch,
    place: usize,
    is_whole: bool,
    row: Value<'_>,
) -> Result<(usize, (ClientOrderId, OrderId), Option<Refusal>), DecodeError> {
    let name = text(row, "cl_ord_id");
    let place = if name.is_empty() {
        Some(place).filter(|_| is_whole)
    } else {
        let id = parse_client_id(name.as_bytes());
        (0..batch.count()).find(|place| id.is_some() && batch.at(*place) == id)
    };
    let whose = place.and_then(|place| Some((place, batch.at(place)?)));
    let (place, client_id) = whose.ok_or(DecodeError::Field("cl_ord_id"))?;
    let order_id = order_id_if_told(row, "order_id")?;
    let refusal = refusal_of(row);
    if refusal.is_none() && order_id.0 == 0 {
        return Err(DecodeError::Field("order_id"));
    }
    Ok((place, (client_id, order_id), refusal))
}

/// Tells what came of a request about one order; a new one has its instrument here, and dies of a refusal.
fn tell(
    registry: &Registry,
    instrument: Option<InstrumentId>,
    (client_id, order_id): (ClientOrderId, OrderId),
    refusal: Option<Refusal>,
    answer: &Answer<'_>,
    out: &mut impl Sink,
) {
    let reason = refusal.map_or(RejectReason::None, |refusal| refusal.reason);
    out.event(&Event::Ack(RequestAck {
        client_id,
        order_id,
        reason,
        code: refusal.map_or(0, |refusal| refusal.code),
        venue_ns: answer.venue_ns,
    }));
    let state = match reason {
        RejectReason::None => return,
        // An order of that id may live at the venue: what we asked for may be it.
        RejectReason::UnknownOutcome | RejectReason::DuplicateId => OrderState::Unknown,
        _ => OrderState::Rejected,
    };
    if let Some(instrument) = instrument.filter(|id| registry.get(*id).is_some()) {
        out.event(&Event::Order(OrderReport {
            instrument,
            client_id: Some(client_id),
            order_id,
            side: None,
            state,
            reason,
            price: None,
            qty: None,
            cum: None,
            venue_ns: answer.venue_ns,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId, Price, Qty, Text, UnixNanos, VenueId};

    fn perpetual() -> Instrument {
        let symbol = Text::new("PF_XBTUSD").unwrap();
        Instrument::bare(InstrumentId(2), VenueId::KRAKEN_FUTURES, symbol, 2, 6)
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
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
        text
    }

    fn new(kind: OrderKind, tif: Tif, window_ms: u32) -> String {
        let order = NewOrder {
            instrument: InstrumentId(2),
            client_id: client(1),
            side: Side::Buy,
            kind,
            tif,
            price: Price(6_500_050),
            qty: Qty(10_000),
        };
        text_of(|out| write_new(&perpetual(), &order, NOW, window_ms, ("T", 2), out))
    }

    #[test]
    fn a_quote_is_always_flagged() {
        for tif in [Tif::Gtc, Tif::Ioc, Tif::Fok] {
            assert_eq!(
                new(OrderKind::PostOnly, tif, 1_750),
                concat!(
                    r#"{"method":"add_order","params":{"asset_class":"derivatives","order_type":"limit","side":"buy","#,
                    r#""symbol":"PF_XBTUSD","order_qty":0.01,"limit_price":65000.5,"time_in_force":"gtc","post_only":true,"#,
                    r#""cl_ord_id":"736c0000-0000-4000-8000-000100000001","deadline":"2025-10-09T08:53:21.750Z","#,
                    r#""token":"T"},"req_id":2}"#
                )
            );
        }
    }

    #[test]
    fn several_have_one_symbol_and_one_deadline() {
        let order = |sequence, kind, side| NewOrder {
            instrument: InstrumentId(2),
            client_id: client(sequence),
            side,
            kind,
            tif: Tif::Ioc,
            price: Price(6_500_050),
            qty: Qty(10_000),
        };
        let orders = [
            order(1, OrderKind::PostOnly, Side::Buy),
            order(2, OrderKind::Market, Side::Sell),
        ];
        assert_eq!(
            text_of(|out| write_batch_new(&perpetual(), &orders, NOW, 1_750, ("T", 2), out)),
            concat!(
                r#"{"method":"batch_add","params":{"asset_class":"derivatives","symbol":"PF_XBTUSD","orders":["#,
                r#"{"order_type":"limit","side":"buy","order_qty":0.01,"limit_price":65000.5,"time_in_force":"gtc","#,
                r#""post_only":true,"cl_ord_id":"736c0000-0000-4000-8000-000100000001"},"#,
                r#"{"order_type":"market","side":"sell","order_qty":0.01,"cl_ord_id":"736c0000-0000-4000-8000-000100000002"}],"#,
                r#""deadline":"2025-10-09T08:53:21.750Z","token":"T"},"req_id":2}"#
            )
        );
    }

    #[test]
    fn takers_of_each_kind() {
        let market = new(OrderKind::Market, Tif::Ioc, 1);
        assert!(market.contains(r#""order_type":"market""#) && !market.contains("price"));
        assert!(
            market.contains(r#""deadline":"2025-10-09T08:53:21.000Z""#),
            "{market}"
        );
        for (tif, word) in [(Tif::Gtc, "gtc"), (Tif::Ioc, "ioc"), (Tif::Fok, "fok")] {
            let text = new(OrderKind::Limit, tif, 1_000_000);
            assert!(text.contains(&format!(r#""time_in_force":"{word}","cl_ord_id""#)));
            assert!(
                text.contains(r#""deadline":"2025-10-09T08:54:19.000Z""#),
                "{text}"
            );
        }
    }

    #[test]
    fn amend_cancel_batch_and_switch() {
        let amend = AmendOrder {
            instrument: InstrumentId(2),
            client_id: client(1),
            order_id: OrderId(7),
            price: Some(Price(6_499_000)),
            qty: Some(Qty(20_000)),
        };
        assert_eq!(
            text_of(|out| write_amend(&perpetual(), &amend, NOW, 500, ("T", 3), out)),
            concat!(
                r#"{"method":"amend_order","params":{"asset_class":"derivatives","#,
                r#""cl_ord_id":"736c0000-0000-4000-8000-000100000001","limit_price":64990,"order_qty":0.02,"#,
                r#""post_only":true,"deadline":"2025-10-09T08:53:21.000Z","token":"T"},"req_id":3}"#
            )
        );
        let cancels = [1, 2].map(|sequence| CancelOrder {
            instrument: InstrumentId(2),
            client_id: client(sequence),
            order_id: OrderId(7),
        });
        assert_eq!(
            text_of(|out| write_cancel(&cancels[..1], ("T", 4), out)),
            concat!(
                r#"{"method":"cancel_order","params":{"asset_class":"derivatives","#,
                r#""cl_ord_id":["736c0000-0000-4000-8000-000100000001"],"token":"T"},"req_id":4}"#
            )
        );
        assert_eq!(
            text_of(|out| write_cancel(&cancels, ("T", 5), out)),
            concat!(
                r#"{"method":"batch_cancel","params":{"asset_class":"derivatives","#,
                r#""cl_ord_id":["736c0000-0000-4000-8000-000100000001","736c0000-0000-4000-8000-000100000002"],"#,
                r#""token":"T"},"req_id":5}"#
            )
        );
        assert_eq!(
            text_of(|out| write_dead_man(60, ("T", 6), out)),
            r#"{"method":"cancel_all_orders_after","params":{"asset_class":"derivatives","timeout":60,"token":"T"},"req_id":6}"#
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
}
