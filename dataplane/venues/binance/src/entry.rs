//! Order entry over the WebSocket API: requests out, answers in.
//!
//! ```text
//! {"id":"n-<base36 client id>","method":"order.place","params":{…}}
//! {"id":…,"status":200,"result":{…}} or {"id":…,"status":400,"error":{"code":-2010,"msg":…}}
//!
//! id   n- new · c- cancel · a- amend · x-<instrument> cancel all · logon · user
//! ```
//! The id says what an answer is about, so nothing is remembered. Parameters go out sorted by name: the
//! same order the signature wants. On a logged-on session neither key nor signature is sent.
//! Batch: this venue has none on spot. Dead man's switch: none on spot. Source: venue page, section 4.

use crate::auth::Auth;
use crate::symbols::{base36, client_id, client_text, from_base36, order_id};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Instrument, InstrumentId, NewOrder, OrderKind, Side,
    Tif, UnixNanos,
};
use dp_venue_api::{Control, DecodeError, Event, Registry, RequestAck, Sink};
use dp_wire::buf::Buf;
use dp_wire::json::Value;
use dp_wire::json::write::{Object, string};

use crate::account;
use crate::feed::at;
use crate::reject::{is_unknown_outcome, reason};
use dp_types::{OrderReport, OrderState, RejectReason};

/// Longest request: key 64, signature 88, ids 36, numbers 20 each, names.
pub const REQUEST_MAX: usize = 1_024;

/// What a request was about, read back from its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// `order.place`.
    New(ClientOrderId),
    /// `order.cancel`.
    Cancel(ClientOrderId),
    /// `order.amend.keepPriority`.
    Amend(ClientOrderId),
    /// `openOrders.cancelAll`.
    CancelAll(InstrumentId),
    /// `session.logon`.
    LogOn,
    /// `userDataStream.subscribe`.
    UserStream,
}

impl Request {
    /// Reads an id this file wrote.
    pub fn of_id(id: &str) -> Option<Self> {
        let order = |digits: &str| from_base36(digits.as_bytes()).and_then(ClientOrderId::from_raw);
        match id.split_at_checked(2) {
            Some(("n-", digits)) => order(digits).map(Self::New),
            Some(("c-", digits)) => order(digits).map(Self::Cancel),
            Some(("a-", digits)) => order(digits).map(Self::Amend),
            Some(("x-", digits)) => {
                let raw = from_base36(digits.as_bytes())?;
                u32::try_from(raw)
                    .ok()
                    .map(InstrumentId)
                    .map(Self::CancelAll)
            }
            _ if id == "logon" => Some(Self::LogOn),
            _ if id == "user" => Some(Self::UserStream),
            _ => None,
        }
    }
}

/// Parameters being written twice in one pass: as JSON and as the text to sign.
struct Params<'a> {
    json: Object<'a, REQUEST_MAX>,
    payload: Buf<REQUEST_MAX>,
}

impl Params<'_> {
    fn name(&mut self, key: &str) {
        if !self.payload.is_empty() {
            self.payload.push(b'&');
        }
        self.payload.push_str(key);
        self.payload.push(b'=');
    }

    fn str(&mut self, key: &str, value: &str) {
        self.name(key);
        self.payload.push_str(value);
        self.json.str(key, value);
    }

    fn u64(&mut self, key: &str, value: u64) {
        self.name(key);
        self.payload.push_u64(value);
        self.json.u64(key, value);
    }

    fn decimal(&mut self, key: &str, value: dp_types::Decimal) {
        self.name(key);
        self.payload.push_decimal(value);
        self.json.decimal(key, value);
    }
}

/// What every request carries beside its own parameters.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The key.
    pub auth: &'a Auth,
    /// The session is logged on: no key, no signature.
    pub is_logged_on: bool,
    /// Validity window, milliseconds; 0 = the venue's default.
    pub window_ms: u32,
    /// Now.
    pub now: UnixNanos,
}

impl Envelope<'_> {
    fn write(
        &self,
        out: &mut Buf<REQUEST_MAX>,
        id: (&str, u64),
        method: &str,
        fill: impl FnOnce(&mut Params<'_>, &Self),
    ) {
        out.clear();
        out.push_str("{\"id\":\"");
        out.push_str(id.0);
        if id.0.ends_with('-') {
            out.push_str(base36(id.1).as_str());
        }
        out.push_str("\",\"method\":");
        string(out, method);
        out.push_str(",\"params\":");
        let mut params = Params {
            json: Object::new(out),
            payload: Buf::new(),
        };
        if !self.is_logged_on {
            params.str("apiKey", self.auth.api_key());
        }
        fill(&mut params, self);
        if !self.is_logged_on {
            let signature = self.auth.sign(params.payload.as_bytes());
            params.json.str("signature", signature.as_str());
        }
        params.json.end();
        out.push(b'}');
    }

    fn window(&self, params: &mut Params<'_>) {
        if self.window_ms > 0 {
            params.u64("recvWindow", u64::from(self.window_ms));
        }
    }

    /// `session.logon`, always signed.
    pub fn log_on(&self, out: &mut Buf<REQUEST_MAX>) {
        let signed = Self {
            is_logged_on: false,
            ..*self
        };
        signed.write(out, ("logon", 0), "session.logon", |params, me| {
            params.u64("timestamp", me.now.millis());
        });
    }

    /// `userDataStream.subscribe`, by the session or by a signature of its own.
    pub fn user_stream(&self, out: &mut Buf<REQUEST_MAX>) {
        if self.is_logged_on {
            out.clear();
            out.push_str("{\"id\":\"user\",\"method\":\"userDataStream.subscribe\"}");
            return;
        }
        let method = "userDataStream.subscribe.signature";
        self.write(out, ("user", 0), method, |params, me| {
            params.u64("timestamp", me.now.millis());
        });
    }

    /// `order.place`.
    pub fn new_order(&self, instrument: &Instrument, order: &NewOrder, out: &mut Buf<REQUEST_MAX>) {
        self.write(
            out,
            ("n-", order.client_id.0),
            "order.place",
            |params, me| {
                params.str("newClientOrderId", client_text(order.client_id).as_str());
                params.str("newOrderRespType", "ACK");
                if order.kind != OrderKind::Market {
                    params.decimal("price", instrument.price_decimal(order.price));
                }
                params.decimal("quantity", instrument.qty_decimal(order.qty));
                me.window(params);
                params.str(
                    "side",
                    if order.side == Side::Buy {
                        "BUY"
                    } else {
                        "SELL"
                    },
                );
                params.str("symbol", instrument.symbol.as_str());
                if order.kind == OrderKind::Limit {
                    let tif = match order.tif {
                        Tif::Gtc => "GTC",
                        Tif::Ioc => "IOC",
                        Tif::Fok => "FOK",
                    };
                    params.str("timeInForce", tif);
                }
                params.u64("timestamp", me.now.millis());
                let kind = match order.kind {
                    OrderKind::Limit => "LIMIT",
                    OrderKind::PostOnly => "LIMIT_MAKER",
                    OrderKind::Market => "MARKET",
                };
                params.str("type", kind);
            },
        );
    }

    /// `order.cancel`, by the venue's id where it is known (quicker there).
    pub fn cancel(
        &self,
        instrument: &Instrument,
        cancel: &CancelOrder,
        out: &mut Buf<REQUEST_MAX>,
    ) {
        self.write(
            out,
            ("c-", cancel.client_id.0),
            "order.cancel",
            |params, me| {
                match u64::try_from(cancel.order_id.0) {
                    Ok(id) if id > 0 => params.u64("orderId", id),
                    _ => params.str("origClientOrderId", client_text(cancel.client_id).as_str()),
                }
                me.window(params);
                params.str("symbol", instrument.symbol.as_str());
                params.u64("timestamp", me.now.millis());
            },
        );
    }

    /// `order.amend.keepPriority`: a smaller total quantity, the same client order id.
    pub fn amend(
        &self,
        instrument: &Instrument,
        amend: &AmendOrder,
        qty: dp_types::Qty,
        out: &mut Buf<REQUEST_MAX>,
    ) {
        let method = "order.amend.keepPriority";
        self.write(out, ("a-", amend.client_id.0), method, |params, me| {
            let text = client_text(amend.client_id);
            params.str("newClientOrderId", text.as_str());
            params.decimal("newQty", instrument.qty_decimal(qty));
            match u64::try_from(amend.order_id.0) {
                Ok(id) if id > 0 => params.u64("orderId", id),
                _ => params.str("origClientOrderId", text.as_str()),
            }
            me.window(params);
            params.str("symbol", instrument.symbol.as_str());
            params.u64("timestamp", me.now.millis());
        });
    }

    /// `openOrders.cancelAll` of one symbol.
    pub fn cancel_all(&self, instrument: &Instrument, out: &mut Buf<REQUEST_MAX>) {
        let id = ("x-", u64::from(instrument.id.0));
        self.write(out, id, "openOrders.cancelAll", |params, me| {
            me.window(params);
            params.str("symbol", instrument.symbol.as_str());
            params.u64("timestamp", me.now.millis());
        });
    }
}

/// An answer, as far as the session needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// What it answers; `None` = an id that is not ours (or null: the session was ended).
    pub request: Option<Request>,
    /// HTTP meaning.
    pub status: u16,
    /// Our name for the error; [`RejectReason::None`] when it went well.
    pub reason: RejectReason,
    /// The venue's code, 0 when it went well.
    pub code: i32,
    /// `retryAfter` of a 429 or 418, Unix milliseconds.
    pub retry_after_ms: Option<u64>,
}

/// Reads an answer and emits what it says of orders.
///
/// Errors: [`DecodeError`]; the answer then settles nothing (the order times out to UNKNOWN).
pub fn on_answer(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<Answer, DecodeError> {
    let status = root.u64("status").map_err(at("status"))?;
    let status = u16::try_from(status).map_err(|_| DecodeError::Field("status"))?;
    let error = root.get("error");
    let code = error
        .and_then(|error| error.get("code"))
        .and_then(|code| code.as_i64());
    let code = code.unwrap_or(0);
    let message = error
        .and_then(|error| error.get("msg"))
        .and_then(|msg| msg.as_str());
    let why = match (status, code) {
        (200, _) => RejectReason::None,
        (status, _) if is_unknown_outcome(status) => RejectReason::UnknownOutcome,
        (429 | 418, _) => RejectReason::RateLimit,
        (_, code) => reason(code, message.unwrap_or("")),
    };
    let request = root
        .get("id")
        .and_then(|id| id.as_str())
        .and_then(Request::of_id);
    let answer = Answer {
        request,
        status,
        reason: why,
        code: i32::try_from(code).unwrap_or(i32::MIN),
        retry_after_ms: error
            .and_then(|error| error.get("data"))
            .and_then(|data| data.get("retryAfter"))
            .and_then(|time| time.as_u64()),
    };
    match request {
        Some(Request::New(id)) => on_new(registry, id, &answer, root, out)?,
        Some(Request::Cancel(id)) => on_cancel(registry, id, &answer, root, out)?,
        Some(Request::Amend(id)) => on_amend(registry, id, &answer, root, out)?,
        Some(Request::CancelAll(_)) => on_cancel_all(registry, root, out)?,
        Some(Request::LogOn | Request::UserStream) | None => {}
    }
    Ok(answer)
}

fn ack(id: ClientOrderId, answer: &Answer, result: Option<Value<'_>>) -> RequestAck {
    let order = result
        .and_then(|result| result.get("orderId"))
        .and_then(|id| id.as_i64());
    RequestAck {
        client_id: id,
        order_id: order_id(order.unwrap_or(0)),
        reason: answer.reason,
        code: answer.code,
        venue_ns: result.map_or_else(Default::default, |result| {
            crate::feed::millis(result, "transactTime")
        }),
    }
}

fn on_new(
    registry: &Registry,
    id: ClientOrderId,
    answer: &Answer,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let result = root.get("result");
    let ack = ack(id, answer, result);
    out.event(&Event::Ack(ack));
    if let Some(result) = result {
        out.event(&Event::Order(OrderReport {
            state: OrderState::Ack,
            instrument: crate::feed::instrument(registry, result, "symbol")?,
            client_id: Some(id),
            order_id: ack.order_id,
            side: None,
            reason: RejectReason::None,
            price: None,
            qty: None,
            cum: None,
            venue_ns: ack.venue_ns,
        }));
    }
    Ok(())
}

fn on_cancel(
    registry: &Registry,
    id: ClientOrderId,
    answer: &Answer,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let result = root.get("result");
    out.event(&Event::Ack(ack(id, answer, result)));
    match result {
        Some(result) => account::on_order_body(registry, result, "origClientOrderId", out),
        None => Ok(()),
    }
}

fn on_amend(
    registry: &Registry,
    id: ClientOrderId,
    answer: &Answer,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let result = root.get("result");
    out.event(&Event::Ack(ack(id, answer, result)));
    match result.and_then(|result| result.get("amendedOrder")) {
        Some(order) => account::on_order_body(registry, order, "clientOrderId", out),
        None => Ok(()),
    }
}

fn on_cancel_all(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let Some(orders) = root.get("result").and_then(|result| result.as_array()) else {
        // -2011: there was none to cancel.
        return Ok(());
    };
    for order in orders {
        account::on_order_body(registry, order, "origClientOrderId", out)?;
    }
    Ok(())
}

/// What an unasked message on the order link means for it.
pub fn on_event(
    registry: &Registry,
    link: dp_types::LinkId,
    event: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    match event.get("e").and_then(|name| name.as_str()) {
        Some("executionReport") => account::on_execution(registry, event, out),
        Some("outboundAccountPosition") => {
            account::on_balances(registry, event, "B", "a", "f", "l", out)
        }
        Some("balanceUpdate" | "externalLockUpdate") => {
            out.event(&Event::Ignored(
                "a balance change; the whole balance follows",
            ));
            Ok(())
        }
        Some("listStatus") => {
            out.event(&Event::Ignored("order lists are not used"));
            Ok(())
        }
        Some("eventStreamTerminated") => {
            out.reconnect(link, "the venue ended the user stream");
            Ok(())
        }
        Some("serverShutdown") => {
            out.event(&Event::Control(Control::ClosingSoon(link)));
            Ok(())
        }
        _ => Err(DecodeError::Shape("user stream event")),
    }
}

/// Our id in a text field, `None` when the order is not ours.
pub(crate) fn id_of(value: Value<'_>, key: &str) -> Option<ClientOrderId> {
    value
        .get(key)
        .and_then(|text| text.as_str())
        .and_then(client_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{OrderId, Price, Qty, Text, VenueId};
    use dp_venue_api::Secrets;

    fn auth() -> Auth {
        let secrets = Secrets {
            api_key: "KEY".into(),
            api_secret: "SECRET".into(),
            ..Secrets::default()
        };
        Auth::new(&secrets).unwrap().unwrap()
    }

    fn instrument() -> Instrument {
        let symbol = Text::new("BTCUSDT").unwrap();
        Instrument::bare(InstrumentId(3), VenueId::BINANCE, symbol, 2, 5)
    }

    fn order() -> NewOrder {
        NewOrder {
            instrument: InstrumentId(3),
            client_id: ClientOrderId(1 << 32),
            side: Side::Buy,
            kind: OrderKind::Limit,
            tif: Tif::Gtc,
            price: Price(6_500_000),
            qty: Qty(1_000),
        }
    }

    #[test]
    fn a_logged_on_order_carries_no_key_and_no_signature() {
        let auth = auth();
        let envelope = Envelope {
            auth: &auth,
            is_logged_on: true,
            window_ms: 1_000,
            now: UnixNanos::from_millis(1_760_000_000_000),
        };
        let mut out = Buf::new();
        envelope.new_order(&instrument(), &order(), &mut out);
        assert_eq!(
            core::str::from_utf8(out.finish().unwrap()).unwrap(),
            "{\"id\":\"n-1z141z4\",\"method\":\"order.place\",\"params\":{\
             \"newClientOrderId\":\"sl-1z141z4\",\"newOrderRespType\":\"ACK\",\"price\":\"65000.00\",\
             \"quantity\":\"0.01000\",\"recvWindow\":1000,\"side\":\"BUY\",\"symbol\":\"BTCUSDT\",\
             \"timeInForce\":\"GTC\",\"timestamp\":1760000000000,\"type\":\"LIMIT\"}}"
        );
    }

    #[test]
    fn a_signed_request_signs_exactly_what_it_sends() {
        let auth = auth();
        let envelope = Envelope {
            auth: &auth,
            is_logged_on: false,
            window_ms: 0,
            now: UnixNanos::from_millis(5),
        };
        let cancel = CancelOrder {
            instrument: InstrumentId(3),
            client_id: ClientOrderId(1 << 32),
            order_id: OrderId(77),
        };
        let mut out = Buf::new();
        envelope.cancel(&instrument(), &cancel, &mut out);
        let text = core::str::from_utf8(out.finish().unwrap())
            .unwrap()
            .to_owned();
        let want = auth.sign_hmac(b"apiKey=KEY&orderId=77&symbol=BTCUSDT&timestamp=5");
        assert!(text.contains(want.as_str()), "{text}");
        assert!(text.contains("\"orderId\":77"), "{text}");
    }

    #[test]
    fn request_ids_come_back() {
        for (text, want) in [
            ("n-1z141z4", Some(Request::New(ClientOrderId(1 << 32)))),
            ("c-1z141z4", Some(Request::Cancel(ClientOrderId(1 << 32)))),
            ("x-3", Some(Request::CancelAll(InstrumentId(3)))),
            ("logon", Some(Request::LogOn)),
            ("n-", None),
            ("é", None),
        ] {
            assert_eq!(Request::of_id(text), want, "{text}");
        }
    }
}
