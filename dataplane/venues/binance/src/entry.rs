//! Order entry over the WebSocket API: requests out, answers in.
//!
//! ```text
//! {"id":"n-1z141z5-0","method":"order.place","params":{...}}          new        Ack; the effect is streamed
//! {"id":"a-...","method":"order.amend.keepPriority","params":{...}}   amend      quantity down only
//! {"id":"c-...","method":"order.cancel","params":{...}}               cancel
//! {"id":"x-0","method":"openOrders.cancelAll","params":{...}}         cancel all of one symbol
//! {"id":"q-...","method":"order.status","params":{...}}               query      the order as it is
//! ```
//! Parameters are written sorted by name, because that is what is signed; on a logged-on session neither
//! key nor signature is there. Answers find their order by the request's own id. A refusal of a new order
//! settles it (Rejected) unless the outcome is open (Unknown); a success only acknowledges: what became
//! of the order is the user stream's to say. "Duplicate order sent" leaves the order open too: one of that
//! id lives at the venue.
//! Source: venue page, sections 4.1 to 4.4, read 2026-11-20; fixtures `entry_*.json`.

use crate::account::{self, text};
use crate::auth::{API_KEY_MAX, Auth};
use crate::feed::{Heard, Notice, Stop, absent, at};
use crate::limits::usages;
use crate::product::{Market, Product};
use crate::reject::reason_of;
use crate::symbols::{RequestId, client_id_text, trimmed};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Decimal, Instrument, InstrumentId, NewOrder, Now,
    OrderId, OrderKind, OrderReport, OrderState, RejectReason, Side, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Fault, RequestAck, Sink};
use dp_wire::buf::{Buf, Overflow};
use dp_wire::json::Value;
use dp_wire::json::write::string;

/// Longest message: twelve parameters, the key, a signature.
pub const MESSAGE_MAX: usize = 1_024;
/// Longest text signed: the same without JSON around it.
const PAYLOAD_MAX: usize = MESSAGE_MAX;
const _: () = assert!(MESSAGE_MAX > 640 + API_KEY_MAX + crate::auth::SIGNATURE_MAX);

/// How requests of a link are authorised.
#[derive(Debug, Clone, Copy)]
pub enum Signing<'a> {
    /// The session is logged on: nothing to add.
    Session,
    /// Each request carries key and signature.
    Each(&'a Auth),
}

/// One request being written: parameters must come sorted by name.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    json: &'a mut Buf<MESSAGE_MAX>,
    payload: Buf<PAYLOAD_MAX>,
    signing: Signing<'a>,
    is_first: bool,
}

impl<'a> Request<'a> {
    pub(crate) fn new(
        json: &'a mut Buf<MESSAGE_MAX>,
        id: RequestId,
        method: &str,
        signing: Signing<'a>,
    ) -> Self {
        json.clear();
        json.push_str(r#"{"id":""#);
        json.push_bytes(id.text().as_bytes());
        json.push_str(r#"","method":""#);
        json.push_str(method);
        json.push_str(r#"","params":{"#);
        let mut request = Self {
            json,
            payload: Buf::new(),
            signing,
            is_first: true,
        };
        if let Signing::Each(auth) = signing {
            request.text("apiKey", auth.api_key()); // sorts before all others we use
        }
        request
    }

    fn name(&mut self, name: &str) {
        if !self.is_first {
            self.json.push(b',');
        }
        self.json.push(b'"');
        self.json.push_str(name);
        self.json.push_str(r#"":"#);
        if matches!(self.signing, Signing::Each(_)) {
            if !self.is_first {
                self.payload.push(b'&');
            }
            self.payload.push_str(name);
            self.payload.push(b'=');
        }
        self.is_first = false;
    }

    fn sign_bytes(&mut self, bytes: &[u8]) {
        if matches!(self.signing, Signing::Each(_)) {
            self.payload.push_bytes(bytes);
        }
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        string(self.json, value);
        self.sign_bytes(value.as_bytes());
        self
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) -> &mut Self {
        self.name(name);
        let mut digits = Buf::<20>::new();
        digits.push_u64(value);
        self.json.push_bytes(digits.as_bytes());
        self.sign_bytes(digits.as_bytes());
        self
    }

    pub(crate) fn decimal(&mut self, name: &str, value: Decimal) -> &mut Self {
        let mut digits = [0; Decimal::TEXT_MAX];
        self.text(name, trimmed(value).write(&mut digits))
    }

    fn client_id(&mut self, name: &str, id: ClientOrderId) -> &mut Self {
        let id = client_id_text(id);
        self.text(name, core::str::from_utf8(id.as_bytes()).unwrap_or(""))
    }

    /// The order by the venue's id, which it finds fastest, or by ours.
    pub(crate) fn order(&mut self, order: &CancelOrder) -> &mut Self {
        match u64::try_from(order.order_id.0) {
            Ok(id) if id != 0 => self.number("orderId", id),
            _ => self.client_id("origClientOrderId", order.client_id),
        }
    }

    /// Signs and closes the message.
    pub(crate) fn end(self) -> Result<(), Overflow> {
        if let Signing::Each(auth) = self.signing {
            let signature = auth.sign(self.payload.finish()?);
            self.json.push_str(r#","signature":""#);
            self.json.push_str(signature.as_str());
            self.json.push(b'"');
        }
        self.json.push_str("}}");
        self.json.finish().map(|_| ())
    }
}

pub(crate) const fn side_text(side: Side) -> &'static str {
    match side {
        Side::Buy => "BUY",
        Side::Sell => "SELL",
    }
}

/// The venue's longest validity window.
pub(crate) const WINDOW_MS_MAX: u32 = 60_000;

/// The validity window: the venue refuses the request when it comes later than this after `timestamp`. Always
/// written: without one the venue takes 5 s, which is neither what was configured for an order nor enough for
/// a cancel.
pub(crate) fn window(window_ms: u32) -> u64 {
    u64::from(window_ms.clamp(1, WINDOW_MS_MAX))
}

/// Writes a new order of its instrument's product; market orders have no price and no TIF.
///
/// Cost: no allocation. Errors: [`Overflow`] cannot happen with keys [`Auth`] takes.
pub fn write_new(
    instrument: &Instrument,
    order: &NewOrder,
    now: Now,
    window_ms: u32,
    signing: Signing<'_>,
    out: &mut Buf<MESSAGE_MAX>,
) -> Result<(), Overflow> {
    let id = RequestId::New(order.client_id, order.instrument);
    let (type_text, tif) = Product::of(instrument.venue).words(order.kind, order.tif);
    let mut request = Request::new(out, id, "order.place", signing);
    request
        .client_id("newClientOrderId", order.client_id)
        .text("newOrderRespType", "ACK");
    if order.kind != OrderKind::Market {
        request.decimal("price", instrument.price_decimal(order.price));
    }
    request.decimal("quantity", instrument.qty_decimal(order.qty));
    request.number("recvWindow", window(window_ms));
    request
        .text("side", side_text(order.side))
        .text("symbol", instrument.symbol.as_str());
    if let Some(tif) = tif {
        request.text("timeInForce", tif);
    }
    request
        .number("timestamp", now.unix.millis())
        .text("type", type_text);
    request.end()
}

/// Writes an amend to the smaller total quantity `amend.qty`. The order keeps its id and its place.
pub(crate) fn write_amend(
    instrument: &Instrument,
    amend: &AmendOrder,
    qty: dp_types::Qty,
    now: Now,
    window_ms: u32,
    signing: Signing<'_>,
    out: &mut Buf<MESSAGE_MAX>,
) -> Result<(), Overflow> {
    let id = RequestId::Amend(amend.client_id, amend.instrument);
    let mut request = Request::new(out, id, "order.amend.keepPriority", signing);
    request
        .client_id("newClientOrderId", amend.client_id) // else the venue makes one up
        .decimal("newQty", instrument.qty_decimal(qty))
        .order(&CancelOrder {
            instrument: amend.instrument,
            client_id: amend.client_id,
            order_id: amend.order_id,
        });
    request.number("recvWindow", window(window_ms));
    request
        .text("symbol", instrument.symbol.as_str())
        .number("timestamp", now.unix.millis());
    request.end()
}

/// Writes a cancel (`order.cancel`) or a query (`order.status`) of one order.
pub(crate) fn write_about(
    instrument: &Instrument,
    order: &CancelOrder,
    is_query: bool,
    now: Now,
    signing: Signing<'_>,
    out: &mut Buf<MESSAGE_MAX>,
) -> Result<(), Overflow> {
    let (id, method) = if is_query {
        (
            RequestId::Query(order.client_id, order.instrument),
            "order.status",
        )
    } else {
        (
            RequestId::Cancel(order.client_id, order.instrument),
            "order.cancel",
        )
    };
    let mut request = Request::new(out, id, method, signing);
    request.order(order);
    // A late cancel is still wanted, a late question is not.
    if !is_query {
        request.number("recvWindow", window(WINDOW_MS_MAX));
    }
    request
        .text("symbol", instrument.symbol.as_str())
        .number("timestamp", now.unix.millis());
    request.end()
}

/// Writes a cancel of everything open in one symbol.
pub(crate) fn write_cancel_all(
    instrument: &Instrument,
    now: Now,
    signing: Signing<'_>,
    out: &mut Buf<MESSAGE_MAX>,
) -> Result<(), Overflow> {
    let id = RequestId::CancelAll(instrument.id);
    let mut request = Request::new(out, id, "openOrders.cancelAll", signing);
    request.number("recvWindow", window(WINDOW_MS_MAX));
    request
        .text("symbol", instrument.symbol.as_str())
        .number("timestamp", now.unix.millis());
    request.end()
}

/// Writes `session.logon` (always signed) for an Ed25519 key.
pub(crate) fn write_logon(
    auth: &Auth,
    now: Now,
    out: &mut Buf<MESSAGE_MAX>,
) -> Result<(), Overflow> {
    let signing = Signing::Each(auth);
    let mut request = Request::new(out, RequestId::Logon, "session.logon", signing);
    request.number("timestamp", now.unix.millis());
    request.end()
}

/// Writes the subscription to the user data stream: bare on a session, else signed.
pub(crate) fn write_user_stream(
    signing: Signing<'_>,
    now: Now,
    out: &mut Buf<MESSAGE_MAX>,
) -> Result<(), Overflow> {
    let id = RequestId::UserStream;
    match signing {
        Signing::Session => Request::new(out, id, "userDataStream.subscribe", signing).end(),
        Signing::Each(_) => {
            let method = "userDataStream.subscribe.signature";
            let mut request = Request::new(out, id, method, signing);
            request.number("timestamp", now.unix.millis());
            request.end()
        }
    }
}

/// What the venue said when it said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: i32,
    pub(crate) reason: RejectReason,
    /// A time named for the end of a stop, Unix milliseconds; 0 = none.
    pub(crate) until_ms: u64,
}

impl Refusal {
    pub(crate) fn fault(self) -> Fault {
        Fault::Venue {
            code: self.code,
            reason: self.reason,
        }
    }
}

/// Reads `{"code","msg","data"}`; `None` when it is not there. An own status that is not of HTTP
/// (stream control errors 0 to 3) keeps its code.
pub(crate) fn refusal(product: Product, error: Value<'_>, status: u16) -> Option<Refusal> {
    let code = error
        .get("code")
        .and_then(Value::as_i64)
        .and_then(|code| i32::try_from(code).ok())?;
    let message = error.get("msg").and_then(Value::as_str)?;
    let retry_after = error
        .get("data")
        .and_then(|data| data.get("retryAfter"))
        .and_then(Value::as_u64);
    let named = product.reason(code, message);
    let reason = match reason_of(status, code, named) {
        RejectReason::None => named,
        reason => reason,
    };
    Some(Refusal {
        code,
        reason,
        until_ms: retry_after.or_else(|| banned_until(message)).unwrap_or(0),
    })
}

/// Too many new orders: the count of orders is used up, and only that. Cancels may go on.
pub(crate) const TOO_MANY_ORDERS: i32 = -1015;

/// Whether a refusal is for rate, so that nothing may be sent for a while: by status, or by the code where the
/// status is another one.
pub(crate) const fn is_rate_stop(status: u16, code: i32) -> bool {
    status == 418 || code == -1003 || (status == 429 && code != TOO_MANY_ORDERS)
}

/// "... IP banned until 1573126800000. ...": the time is only in the words.
fn banned_until(message: &str) -> Option<u64> {
    let (_, rest) = message.split_once("until ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest.get(..end.unwrap_or(rest.len()))?.parse().ok()
}

/// A report that knows only the order's name and what became of it.
pub(crate) const fn bare_report(
    instrument: InstrumentId,
    client_id: ClientOrderId,
    state: OrderState,
    reason: RejectReason,
) -> OrderReport {
    OrderReport {
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
    }
}

/// An answer of the WebSocket API. Errors: a refusal of a request that is not ours, or a broken answer.
pub(crate) fn on_reply(
    market: Market<'_>,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<Heard, Fault> {
    let status = root.u64("status").map_err(at("status"))?;
    let status = u16::try_from(status).map_err(|_| DecodeError::Field("status"))?;
    let id = root.get("id").and_then(Value::as_str);
    let request = id.and_then(|id| RequestId::parse(id.as_bytes()));
    let mut heard = Heard {
        usages: usages(root),
        ..Heard::default()
    };
    if (200..300).contains(&status) {
        let result = root.get("result").ok_or(DecodeError::Field("result"))?;
        heard.notice = on_success(market, request, result, out)?;
        return Ok(heard);
    }
    let error = root.get("error").ok_or(DecodeError::Field("error"))?;
    let refused = refusal(market.product, error, status).ok_or(DecodeError::Field("error"))?;
    heard.is_full = refused.code == TOO_MANY_ORDERS;
    if is_rate_stop(status, refused.code) {
        heard.stop = Some(Stop {
            is_ban: status == 418,
            until_ms: refused.until_ms,
        });
    }
    match request {
        // A revoked key ends the session by an answer to nothing.
        None if status == 401 => heard.notice = Notice::Refused(refused.reason),
        None if heard.stop.is_some() => out.event(&Event::Ignored("refused for rate")),
        None => return Err(refused.fault()),
        // Orders may still be open: whoever asked for none must hear of it.
        Some(RequestId::CancelAll(_))
            if heard.stop.is_none() && refused.reason != RejectReason::UnknownOrder =>
        {
            return Err(refused.fault());
        }
        Some(request) => heard.notice = on_refusal(market, request, refused, out),
    }
    Ok(heard)
}

fn ack(client_id: ClientOrderId, result: Value<'_>) -> RequestAck {
    // An amend answers with the order inside.
    let order = result.get("amendedOrder").unwrap_or(result);
    let number = |of: Value<'_>, key| of.get(key).and_then(Value::as_u64).unwrap_or(0);
    accepted(
        client_id,
        number(order, "orderId"),
        result
            .get("transactTime")
            .or(result.get("updateTime")) // of futures
            .and_then(Value::as_u64)
            .unwrap_or(0),
    )
}

/// A request was taken: the venue's id of the order and its time, 0 where it names none.
pub(crate) fn accepted(client_id: ClientOrderId, order_id: u64, ms: u64) -> RequestAck {
    RequestAck {
        client_id,
        order_id: OrderId(u128::from(order_id)),
        reason: RejectReason::None,
        code: 0,
        venue_ns: VenueNanos::from_millis(ms),
    }
}

fn on_success(
    market: Market<'_>,
    request: Option<RequestId>,
    result: Value<'_>,
    out: &mut impl Sink,
) -> Result<Notice, DecodeError> {
    match request {
        Some(RequestId::New(client, _)) => {
            out.event(&Event::Ack(ack(client, result)));
            // Ours ask for ACK; RESULT and FULL say where the order stands as well. Futures' ACK has the words of
            // a RESULT, and says NEW whatever became of it.
            if market.product == Product::Spot && result.get("status").is_some() {
                account::on_listed(market, result, out)?;
            }
        }
        Some(RequestId::Amend(client, _) | RequestId::Cancel(client, _)) => {
            out.event(&Event::Ack(ack(client, result)));
        }
        Some(RequestId::Query(client, _)) => return on_queried(market, client, result, out),
        Some(RequestId::CancelAll(_)) => {
            out.event(&Event::Ignored("all cancelled; each is streamed"));
        }
        Some(RequestId::Logon) => {
            out.event(&Event::Ignored(
                "logged on; LoggedIn follows the user stream",
            ));
            return Ok(Notice::LoggedOn);
        }
        Some(RequestId::UserStream) => {
            out.event(&Event::Ignored("user data stream on"));
            return Ok(Notice::UserStreamOn);
        }
        Some(RequestId::Probe) => out.event(&Event::Ignored("a pong")),
        None if text(result, "symbol").is_empty() || result.get("status").is_none() => {
            out.event(&Event::Ignored("an answer to a request that is not ours"));
        }
        None => {
            account::on_listed(market, result, out)?;
        }
    }
    Ok(Notice::None)
}

/// An order that was asked about is here: its report, and a wish for its fills if there are any.
pub(crate) fn on_queried(
    market: Market<'_>,
    client: ClientOrderId,
    item: Value<'_>,
    out: &mut impl Sink,
) -> Result<Notice, DecodeError> {
    let report = account::on_listed(market, item, out)?;
    Ok(match report {
        Some(report) if report.cum.is_some_and(|cum| !cum.is_zero()) => {
            Notice::Found(report.instrument, client, report.order_id)
        }
        _ => Notice::None,
    })
}

fn nack(client_id: ClientOrderId, refusal: Refusal) -> Event<'static> {
    Event::Ack(RequestAck {
        client_id,
        order_id: OrderId(0),
        reason: refusal.reason,
        code: refusal.code,
        venue_ns: VenueNanos(0),
    })
}

/// A new order was refused, or its outcome is open.
pub(crate) fn refused(
    (client, instrument): (ClientOrderId, InstrumentId),
    refusal: Refusal,
    out: &mut impl Sink,
) {
    out.event(&nack(client, refusal));
    let state = match refusal.reason {
        RejectReason::UnknownOutcome | RejectReason::DuplicateId => OrderState::Unknown,
        _ => OrderState::Rejected,
    };
    let report = bare_report(instrument, client, state, refusal.reason);
    out.event(&Event::Order(report));
}

/// A request of ours was refused.
fn on_refusal(
    market: Market<'_>,
    request: RequestId,
    refusal: Refusal,
    out: &mut impl Sink,
) -> Notice {
    let reason = refusal.reason;
    match request {
        RequestId::New(client, instrument) => refused((client, instrument), refusal, out),
        RequestId::Amend(client, _) | RequestId::Cancel(client, _) => {
            out.event(&nack(client, refusal));
        }
        RequestId::Query(client, instrument) if reason == RejectReason::UnknownOrder => {
            absent(&market, instrument, client, out);
        }
        // No answer about the order: an Ack would read as one.
        RequestId::Query(..) | RequestId::Probe => {
            out.event(&Event::Ignored("a query was refused"));
        }
        RequestId::CancelAll(_) if reason == RejectReason::UnknownOrder => {
            out.event(&Event::Ignored("nothing was open"));
        }
        RequestId::CancelAll(_) => out.event(&Event::Ignored("refused for rate")),
        RequestId::Logon | RequestId::UserStream => return Notice::Refused(reason),
    }
    Notice::None
}
