//! Order entry over REST, on a link of its own: new, cancel, cancel all. Orders never wait behind questions.
//!
//! ```text
//! POST   /orders                                    {"product_id":"BTC-USD","side":"buy","type":"limit",...}
//! DELETE /orders/client:OURS?product_id=BTC-USD     → "the venue's id"
//! DELETE /orders?product_id=BTC-USD                 → ["id", ...]
//! ```
//! The tag of a request says what its answer is about. Cancels name the order by our id, which is known from the
//! first instant. An answer acknowledges: what becomes of an order is told by the user channel, except what was
//! refused. A request has no validity of its own: one without an answer may be carried out as long as the venue
//! takes its timestamp, 30 s. Until then "no such order" proves nothing (`Unanswered`).
//! Source: venue page, section A4.

use crate::account;
use crate::auth::REQUEST_LIFE_NS;
use crate::decimal;
use crate::feed::text;
use crate::reject;
use crate::symbols::{Uuid, parse_order_id};
use dp_types::{
    CancelOrder, ClientOrderId, Instrument, InstrumentId, NewOrder, OrderId, OrderKind,
    OrderReport, OrderState, RejectReason, Side, Tif, UnixNanos, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, RequestAck, Sink};
use dp_wire::json::Value;

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Where new orders go, and where all of a product are cancelled.
pub const ORDERS_PATH: &str = "/orders";
/// What happens when one of ours would trade with another: the later one goes. The venue's default would shrink
/// both, and a size that shrinks by itself is one more state of an order.
const SELF_TRADE: &str = "cn";

/// Appends the body of a new order. Cost: no allocation once `out` has grown; one pass.
pub fn write_new(instrument: &Instrument, order: &NewOrder, out: &mut Vec<u8>) {
    push(out, r#"{"product_id":""#);
    push(out, instrument.symbol.as_str());
    push(
        out,
        match order.side {
            Side::Buy => r#"","side":"buy","type":""#,
            Side::Sell => r#"","side":"sell","type":""#,
        },
    );
    if order.kind == OrderKind::Market {
        push(out, "market");
    } else {
        push(out, r#"limit","price":""#);
        decimal::push(out, instrument.price_decimal(order.price));
        push(
            out,
            match (order.kind, order.tif) {
                // A post-only order rests until it is cancelled: the venue takes the flag with no other life.
                (OrderKind::PostOnly, _) => r#"","time_in_force":"GTC","post_only":true,"size":""#,
                (_, Tif::Gtc) => r#"","time_in_force":"GTC","size":""#,
                (_, Tif::Ioc) => r#"","time_in_force":"IOC","size":""#,
                (_, Tif::Fok) => r#"","time_in_force":"FOK","size":""#,
            },
        );
        decimal::push(out, instrument.qty_decimal(order.qty));
    }
    if order.kind == OrderKind::Market {
        push(out, r#"","size":""#);
        decimal::push(out, instrument.qty_decimal(order.qty));
    }
    push(out, r#"","client_oid":""#);
    push(out, Uuid::of_client(order.client_id).as_str());
    push(out, r#"","stp":""#);
    push(out, SELF_TRADE);
    push(out, r#""}"#);
}

/// Appends the target of one order, to cancel it or to ask about it.
pub fn write_target(instrument: &Instrument, order: &CancelOrder, out: &mut Vec<u8>) {
    push(out, "/orders/client:");
    push(out, Uuid::of_client(order.client_id).as_str());
    push(out, "?product_id=");
    push(out, instrument.symbol.as_str());
}

/// Appends the target of all orders of an instrument.
pub fn write_all_target(instrument: &Instrument, out: &mut Vec<u8>) {
    push(out, ORDERS_PATH);
    push(out, "?product_id=");
    push(out, instrument.symbol.as_str());
}

/// New orders whose answer is not here, and those that got none.
#[derive(Debug)]
pub(crate) struct Unanswered(Vec<(ClientOrderId, UnixNanos)>);

/// More than the venue takes of us in the life of a request.
const UNANSWERED_MAX: usize = 30 + 15 * 36;
/// The venue's 30 s, and a margin for its clock.
const DOUBT_NS: u64 = REQUEST_LIFE_NS + 5_000_000_000;

impl Default for Unanswered {
    fn default() -> Self {
        Self(Vec::with_capacity(UNANSWERED_MAX))
    }
}

impl Unanswered {
    /// Whether another order may go out and be remembered. Cost: O([`UNANSWERED_MAX`]).
    pub(crate) fn has_room(&mut self, now: UnixNanos) -> bool {
        if self.0.len() >= UNANSWERED_MAX {
            self.0.retain(|(_, at)| now.since(*at) < DOUBT_NS);
        }
        self.0.len() < UNANSWERED_MAX
    }

    pub(crate) fn add(&mut self, id: ClientOrderId, now: UnixNanos) {
        self.0.push((id, now));
    }

    /// Its answer says for good what became of it.
    pub(crate) fn settle(&mut self, id: ClientOrderId) {
        if let Some(at) = self.0.iter().position(|(held, _)| *held == id) {
            self.0.swap_remove(at);
        }
    }

    /// Whether the venue may still carry it out.
    pub(crate) fn may_arrive(&self, id: ClientOrderId, now: UnixNanos) -> bool {
        self.0
            .iter()
            .any(|(held, at)| *held == id && now.since(*at) < DOUBT_NS)
    }
}

/// Says what an answer means for one order.
pub(crate) fn ack(
    client_id: ClientOrderId,
    order_id: OrderId,
    (status, reason): (u16, RejectReason),
    venue_ns: VenueNanos,
    out: &mut impl Sink,
) {
    let is_done = reason == RejectReason::None;
    out.event(&Event::Ack(RequestAck {
        client_id,
        order_id,
        reason,
        code: if is_done { 0 } else { i32::from(status) },
        venue_ns,
    }));
}

/// A new order that was refused, or whose outcome the venue left open.
pub(crate) fn refused(
    instrument: InstrumentId,
    client_id: ClientOrderId,
    (status, reason): (u16, RejectReason),
    out: &mut impl Sink,
) {
    ack(client_id, OrderId(0), (status, reason), VenueNanos(0), out);
    let state = match reason {
        // An order of that id lives at the venue: what we asked for may be it.
        RejectReason::UnknownOutcome | RejectReason::DuplicateId => OrderState::Unknown,
        _ => OrderState::Rejected,
    };
    out.event(&Event::Order(OrderReport {
        instrument,
        client_id: Some(client_id),
        order_id: OrderId(0),
        side: None,
        state,
        reason,
        price: None,
        qty: None,
        cum: None,
        venue_ns: VenueNanos(0),
    }));
}

/// The answer to a new order that was taken: the order as it stands.
///
/// Errors: an object that cannot be read. It was taken all the same: what became of it must be asked.
pub(crate) fn on_taken(
    instrument: InstrumentId,
    client_id: ClientOrderId,
    (status, root): (u16, Value<'_>),
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let report = OrderReport {
        client_id: Some(client_id),
        ..account::order_object(instrument, root)?
    };
    let refused = if report.state == OrderState::Rejected {
        report.reason
    } else {
        RejectReason::None
    };
    let answered = (status, refused);
    ack(client_id, report.order_id, answered, report.venue_ns, out);
    out.event(&Event::Order(report));
    Ok(())
}

/// The answer to a cancel that was taken: the venue's id of the order, as a JSON string.
pub(crate) fn on_cancelled(client_id: ClientOrderId, root: Value<'_>, out: &mut impl Sink) {
    let order_id = root
        .as_str()
        .and_then(|id| parse_order_id(id.as_bytes()))
        .unwrap_or_default();
    let taken = (200, RejectReason::None);
    ack(client_id, order_id, taken, VenueNanos(0), out);
}

/// Our name for a refusal.
pub(crate) fn reason_of(status: u16, root: Option<Value<'_>>) -> RejectReason {
    reject::reason(status, root.map_or("", |root| text(root, "message")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId, Price, Qty, Text};

    fn instrument() -> Instrument {
        let symbol = Text::new("BTC-USD").unwrap();
        Instrument::bare(InstrumentId(2), crate::ID, symbol, 4, 8)
    }

    fn client(sequence: u32) -> ClientOrderId {
        ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap()
    }

    fn text_of(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn new_orders_of_each_kind() {
        let written = |kind, tif| {
            let order = NewOrder {
                instrument: InstrumentId(2),
                client_id: client(1),
                side: Side::Buy,
                kind,
                tif,
                price: Price(650_000_000),
                qty: Qty(1_000_000),
            };
            text_of(|out| write_new(&instrument(), &order, out))
        };
        assert_eq!(
            written(OrderKind::PostOnly, Tif::Gtc),
            concat!(
                r#"{"product_id":"BTC-USD","side":"buy","type":"limit","price":"65000","time_in_force":"GTC","#,
                r#""post_only":true,"size":"0.01","client_oid":"51de1a4e-0000-4000-8000-000100000001","stp":"cn"}"#
            )
        );
        assert_eq!(
            written(OrderKind::Market, Tif::Ioc),
            concat!(
                r#"{"product_id":"BTC-USD","side":"buy","type":"market","size":"0.01","#,
                r#""client_oid":"51de1a4e-0000-4000-8000-000100000001","stp":"cn"}"#
            )
        );
        for (tif, word) in [(Tif::Gtc, "GTC"), (Tif::Ioc, "IOC"), (Tif::Fok, "FOK")] {
            let text = written(OrderKind::Limit, tif);
            let object: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(object["time_in_force"], word);
            assert_eq!(object["post_only"], serde_json::Value::Null);
        }
    }

    #[test]
    fn targets() {
        let cancel = CancelOrder {
            instrument: InstrumentId(2),
            client_id: client(1),
            order_id: OrderId(7),
        };
        assert_eq!(
            text_of(|out| write_target(&instrument(), &cancel, out)),
            "/orders/client:51de1a4e-0000-4000-8000-000100000001?product_id=BTC-USD"
        );
        assert_eq!(
            text_of(|out| write_all_target(&instrument(), out)),
            "/orders?product_id=BTC-USD"
        );
    }

    #[test]
    fn an_unanswered_order_may_arrive_for_so_long() {
        let mut open = Unanswered::default();
        let now = UnixNanos(1_000);
        for sequence in 0..UNANSWERED_MAX as u32 {
            assert!(open.has_room(now));
            open.add(client(sequence), now);
        }
        assert!(!open.has_room(now));
        assert!(open.may_arrive(client(3), now.after(DOUBT_NS - 1)));
        assert!(!open.may_arrive(client(3), now.after(DOUBT_NS)));
        open.settle(client(3));
        assert!(!open.may_arrive(client(3), now));
        assert!(
            open.has_room(now.after(DOUBT_NS)),
            "the old ones are let go"
        );
    }
}
