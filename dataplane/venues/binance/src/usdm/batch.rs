//! New orders of one decision in one REST request, on a link of its own, where the configuration asks for it.
//!
//! ```text
//! POST /fapi/v1/batchOrders    batchOrders=[{...},...] percent-encoded & recvWindow & timestamp & signature, as a form
//! [{"orderId":8886774,"clientOrderId":"sl-1z141z5",...},{"code":-5022,"msg":"..."}]     in the order asked for
//! ```
//! One is under way at a time: behind it another would wait for its answer, and orders that cannot go so go by
//! themselves over the order link. The tag says which orders it was about ([`OrderBatch`]). The venue promises no
//! order of matching among them.
//!
//! Each order has a fate of its own. An item accepts or refuses its order; a refusal of the whole refuses each. What
//! has no item, or one that cannot be read, and whatever was asked for when no answer comes, is Unknown, and asked
//! about as an order of the order link is that got no answer.
//! Source: the venue's page "Place Multiple Orders" of its derivatives documents, read 2026-11-22.

use crate::auth::{Auth, SIGNATURE_MAX};
use crate::entry::{self, Refusal, accepted, refusal, refused, side_text, window};
use crate::feed::Stop;
use crate::product::Product;
use crate::rest::{API_KEY_FIELD, Ask};
use crate::symbols::{client_id_text, parse_client_id, trimmed};
use crate::{LINK_BATCHES, account::text};
use dp_types::{Decimal, Instrument, NewOrder, Now, OrderKind, RejectReason};
use dp_venue_api::{
    BatchLink, DecodeError, Event, Fates, OrderBatch, RestMethod, RestRequest, Sink,
};
use dp_wire::buf::{Buf, Overflow};
use dp_wire::json::Value;

/// Orders one request may enter.
pub const BATCH_MAX: usize = 5;
const _: () = assert!(BATCH_MAX <= OrderBatch::MAX);

/// Where they go.
const PATH: &str = "/fapi/v1/batchOrders";
/// What the venue reads them as.
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
/// Longest request: five orders of 500 characters, of which the marks are written as three.
const FORM_MAX: usize = 8 << 10;
const _: () = assert!(FORM_MAX > BATCH_MAX * 1_500 + SIGNATURE_MAX * 3);

/// What is kept of them.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    form: Box<Buf<FORM_MAX>>,
    pub(crate) link: BatchLink,
}

impl Batches {
    /// Writes orders of one instrument, signs them and sends them. Nothing leaves when it errs. Cost: no allocation.
    ///
    /// Errors: [`Overflow`], of numbers and names longer than there are.
    pub(crate) fn send(
        &mut self,
        (instrument, orders): (&Instrument, &[NewOrder]),
        batch: OrderBatch,
        auth: &Auth,
        (now, window_ms): (Now, u32),
        out: &mut impl Sink,
    ) -> Result<(), Overflow> {
        write(instrument, orders, (now, window_ms), auth, &mut self.form)?;
        self.link.send(now.unix);
        let request = RestRequest {
            tag: Ask::Orders(batch).tag(),
            method: RestMethod::Post,
            target: PATH,
            headers: &[(API_KEY_FIELD, auth.api_key()), FORM],
            body: self.form.as_bytes(),
        };
        out.request(LINK_BATCHES, &request);
        Ok(())
    }
}

/// Text of JSON inside a form: what is neither letter nor digit is encoded.
fn encoded(out: &mut Buf<FORM_MAX>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte);
            continue;
        }
        out.push(b'%');
        for digit in [byte >> 4, byte & 15] {
            out.push(HEX.get(usize::from(digit)).copied().unwrap_or(b'0'));
        }
    }
}

fn decimal(out: &mut Buf<FORM_MAX>, value: Decimal) {
    let mut digits = [0; Decimal::TEXT_MAX];
    encoded(out, trimmed(value).write(&mut digits).as_bytes());
}

fn write(
    instrument: &Instrument,
    orders: &[NewOrder],
    (now, window_ms): (Now, u32),
    auth: &Auth,
    out: &mut Buf<FORM_MAX>,
) -> Result<(), Overflow> {
    out.clear();
    out.push_str("batchOrders=");
    for (index, order) in orders.iter().enumerate() {
        encoded(out, if index == 0 { b"[" } else { b"," });
        order_terms(instrument, order, out);
    }
    encoded(out, b"]");
    out.push_str("&recvWindow=");
    out.push_u64(window(window_ms));
    out.push_str("&timestamp=");
    out.push_u64(now.unix.millis());
    let signature = auth.sign(out.finish()?);
    out.push_str("&signature=");
    encoded(out, signature.as_str().as_bytes());
    out.finish().map(|_| ())
}

/// One order, in the words of a single one.
fn order_terms(instrument: &Instrument, order: &NewOrder, out: &mut Buf<FORM_MAX>) {
    let (type_text, tif) = Product::Usdm.words(order.kind, order.tif);
    encoded(out, br#"{"newClientOrderId":""#);
    encoded(out, client_id_text(order.client_id).as_bytes());
    encoded(out, br#"","newOrderRespType":"ACK","#);
    if order.kind != OrderKind::Market {
        encoded(out, br#""price":""#);
        decimal(out, instrument.price_decimal(order.price));
        encoded(out, br#"","#);
    }
    encoded(out, br#""quantity":""#);
    decimal(out, instrument.qty_decimal(order.qty));
    encoded(out, br#"","side":""#);
    encoded(out, side_text(order.side).as_bytes());
    encoded(out, br#"","symbol":""#);
    encoded(out, instrument.symbol.as_str().as_bytes());
    if let Some(tif) = tif {
        encoded(out, br#"","timeInForce":""#);
        encoded(out, tif.as_bytes());
    }
    encoded(out, br#"","type":""#);
    encoded(out, type_text.as_bytes());
    encoded(out, br#""}"#);
}

/// What an answer says beside the orders' fates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// One was refused because the count of orders is used up.
    pub(crate) is_full: bool,
    /// One was refused for rate.
    pub(crate) stop: Option<Stop>,
    /// Something of it cannot be read, or names no order of the batch. All that can be is out.
    pub(crate) error: Option<DecodeError>,
}

/// An answer that is no refusal of the whole: each order's fate.
pub(crate) fn on_answer(batch: OrderBatch, root: Value<'_>, out: &mut impl Sink) -> Heard {
    let (mut heard, mut fates) = (Heard::default(), Fates::new(batch));
    let items = root.as_array();
    if items.is_none() {
        heard.error = Some(DecodeError::Shape("no list"));
    }
    for (place, item) in items.into_iter().flatten().enumerate() {
        if place >= batch.count() {
            heard.error = Some(DecodeError::TooMuch("orders of a batch"));
            break;
        }
        if let Err(error) = on_item((batch, place), item, &mut fates, &mut heard, out) {
            heard.error = heard.error.or(Some(error));
        }
    }
    if fates.open().next().is_some() {
        heard.error = heard
            .error
            .or(Some(DecodeError::Shape("an order without an answer")));
    }
    leave_open(fates, batch, out);
    heard
}

/// One item: of the order it names, else of the one of its place.
fn on_item(
    (batch, place): (OrderBatch, usize),
    item: Value<'_>,
    fates: &mut Fates,
    heard: &mut Heard,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    const NOT_OURS: DecodeError = DecodeError::Field("clientOrderId");
    let client = match text(item, "clientOrderId") {
        "" => batch.at(place),
        named => parse_client_id(named.as_bytes()),
    };
    let client = client.ok_or(NOT_OURS)?;
    // An item of a code is a refusal, whatever else is in it.
    if item.get("code").is_some() {
        let refusal = refusal(Product::Usdm, item, 400).ok_or(DecodeError::Field("code"))?;
        if !fates.settle(client) {
            return Err(NOT_OURS);
        }
        heard.is_full |= refusal.code == entry::TOO_MANY_ORDERS;
        if entry::is_rate_stop(0, refusal.code) {
            heard.stop = Some(Stop {
                is_ban: false,
                until_ms: refusal.until_ms,
            });
        }
        refused((client, batch.instrument()), refusal, out);
        return Ok(());
    }
    let id = item.u64("orderId").ok().filter(|id| *id != 0);
    let id = id.ok_or(DecodeError::Field("orderId"))?;
    if !fates.settle(client) {
        return Err(NOT_OURS);
    }
    let ms = item.get("updateTime").and_then(Value::as_u64);
    out.event(&Event::Ack(accepted(client, id, ms.unwrap_or(0))));
    Ok(())
}

/// The whole was refused, or its outcome is open: so is each order's.
pub(crate) fn on_refusal(batch: OrderBatch, refusal: Refusal, out: &mut impl Sink) {
    for client in Fates::new(batch).open() {
        refused((client, batch.instrument()), refusal, out);
    }
}

/// What became of those without an answer is not known.
fn leave_open(fates: Fates, batch: OrderBatch, out: &mut impl Sink) {
    for client in fates.open() {
        let open = Refusal {
            code: 0,
            reason: RejectReason::UnknownOutcome,
            until_ms: 0,
        };
        refused((client, batch.instrument()), open, out);
    }
}

/// As above, of all of them: an answer that cannot be read at all.
pub(crate) fn all_open(batch: OrderBatch, out: &mut impl Sink) {
    leave_open(Fates::new(batch), batch, out);
}
