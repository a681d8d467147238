//! Orders made once an instrument and patched in place: new, amend, cancel.
//!
//! ```text
//! {"id":"n-·-0","method":"order.place","params":{"newClientOrderId":"sl-·","newOrderRespType":"ACK","price":"·",
//!   "quantity":"·","recvWindow":1000,"side":"BUY","symbol":"BTCUSDT","timestamp":·,"type":"LIMIT_MAKER"}}
//! apiKey=...&newClientOrderId=sl-·&newOrderRespType=ACK&price=·&...       what is signed, where each is (HMAC)
//! ```
//! Byte for byte what `entry` writes, which is the oracle, and writes what has no template: market orders,
//! orders named by our own id. Filling allocates nothing. The key's own part of a signature is prepared by
//! [`crate::auth`]; a logged-on session signs nothing.

use crate::auth::{Auth, SIGNATURE_MAX};
use crate::entry::{self, MESSAGE_MAX, Signing};
use crate::product::Product;
use dp_types::{
    AmendOrder, CancelOrder, Instrument, InstrumentId, NewOrder, Now, OrderKind, Qty, Side, Tif,
};
use dp_venue_api::Registry;
use dp_wire::buf::Buf;
use dp_wire::digits::Digits;
use dp_wire::json::write::string;
use dp_wire::template::Template;

/// Longest fields of one message: two ids, a time, two numbers, a signature.
const FIELDS_BYTES: usize = 160 + SIGNATURE_MAX;

/// The templates of the instruments we follow.
#[derive(Debug, Default)]
pub struct Templates {
    /// By the instrument's number.
    of: Vec<Option<Box<Orders>>>,
}

/// The templates of one instrument. The last field of each is the signature.
#[derive(Debug)]
struct Orders {
    /// By side, then by kind.
    new: [[Signed<6>; 4]; 2],
    amend: Signed<6>,
    cancel: Signed<4>,
}

/// The orders with a price, in the order of their templates.
const KINDS: [(OrderKind, Tif); 4] = [
    (OrderKind::PostOnly, Tif::Gtc),
    (OrderKind::Limit, Tif::Gtc),
    (OrderKind::Limit, Tif::Ioc),
    (OrderKind::Limit, Tif::Fok),
];

/// The value of a parameter.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    /// Always the same.
    Text(&'a str),
    Number(u64),
    /// A field in quotes, behind a text that is always the same.
    Field(&'a str),
    /// A field that is a number.
    NumberField,
}

/// A request and, where each is signed, the text that is signed.
#[derive(Debug)]
struct Signed<const N: usize> {
    json: Template<N>,
    payload: Option<Template<N>>,
}

impl<const N: usize> Signed<N> {
    /// `params` sorted by name, with all fields but the first, which is our id in the request's, and the
    /// signature.
    fn new(
        kind: char,
        id: InstrumentId,
        method: &str,
        params: &[(&str, Value<'_>)],
        auth: Option<&Auth>,
    ) -> Self {
        let number = Digits::base36(u64::from(id.0));
        let number = String::from_utf8_lossy(number.as_bytes()).into_owned();
        let mut json = Pieces::new(format!(r#"{{"id":"{kind}-"#));
        json.field(&format!(r#"-{number}","method":"{method}","params":{{"#));
        let mut payload = Pieces::new(String::new());
        payload.field(""); // the id is not signed: an empty field
        let key = auth.map(|auth| ("apiKey", Value::Text(auth.api_key())));
        for (at, (name, value)) in key.iter().chain(params).enumerate() {
            let (comma, and) = if at == 0 { ("", "") } else { (",", "&") };
            json.push(&format!(r#"{comma}"{name}":"#));
            payload.push(&format!("{and}{name}="));
            match value {
                Value::Text(text) => {
                    let mut quoted = Buf::<MESSAGE_MAX>::new();
                    string(&mut quoted, text);
                    json.push(&String::from_utf8_lossy(quoted.as_bytes()));
                    payload.push(text);
                }
                Value::Number(number) => {
                    json.push(&number.to_string());
                    payload.push(&number.to_string());
                }
                Value::Field(before) => {
                    json.push(&format!(r#""{before}"#));
                    json.field("\"");
                    payload.push(before);
                    payload.field("");
                }
                Value::NumberField => {
                    json.field("");
                    payload.field("");
                }
            }
        }
        if auth.is_some() {
            json.push(r#","signature":""#);
            json.field(r#""}}"#);
        } else {
            json.field("}}");
        }
        payload.field("");
        Self {
            json: json.template(),
            payload: auth.map(|_| payload.template()),
        }
    }

    /// The message with these fields, signed if it is to be. `None` when it was made for the other way of
    /// signing.
    #[inline]
    fn fill(&mut self, fields: [&[u8]; N], signing: Signing<'_>) -> Option<&[u8]> {
        match (signing, &mut self.payload) {
            (Signing::Session, None) => Some(self.json.fill(&fields)),
            (Signing::Each(auth), Some(payload)) => {
                let mut unsigned = fields;
                *unsigned.first_mut()? = &[];
                let signature = auth.sign(payload.fill(&unsigned));
                let mut fields: [&[u8]; N] = fields;
                *fields.last_mut()? = signature.as_str().as_bytes();
                Some(self.json.fill(&fields))
            }
            _ => None,
        }
    }
}

/// Pieces of a template while they are put together.
struct Pieces(Vec<String>);

impl Pieces {
    fn new(first: String) -> Self {
        Self(vec![first])
    }

    fn push(&mut self, text: &str) {
        if let Some(piece) = self.0.last_mut() {
            piece.push_str(text);
        }
    }

    /// A field, and what stands behind it.
    fn field(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }

    fn template<const N: usize>(&self) -> Template<N> {
        let pieces: Vec<&str> = self.0.iter().map(String::as_str).collect();
        Template::new(&pieces, FIELDS_BYTES)
    }
}

impl Orders {
    fn new(instrument: &Instrument, window_ms: u32, auth: Option<&Auth>) -> Self {
        let (id, symbol) = (instrument.id, Value::Text(instrument.symbol.as_str()));
        let window = ("recvWindow", Value::Number(entry::window(window_ms)));
        let product = Product::of(instrument.venue);
        let new = |side, (kind, tif): (OrderKind, Tif)| {
            let (kind, tif) = product.words(kind, tif);
            let mut params = vec![
                ("newClientOrderId", Value::Field("sl-")),
                ("newOrderRespType", Value::Text("ACK")),
                ("price", Value::Field("")),
                ("quantity", Value::Field("")),
                window,
                ("side", Value::Text(side)),
                ("symbol", symbol),
            ];
            params.extend(tif.map(|tif| ("timeInForce", Value::Text(tif))));
            params.push(("timestamp", Value::NumberField));
            params.push(("type", Value::Text(kind)));
            Signed::new('n', id, "order.place", &params, auth)
        };
        let amend = [
            ("newClientOrderId", Value::Field("sl-")),
            ("newQty", Value::Field("")),
            ("orderId", Value::NumberField),
            window,
            ("symbol", symbol),
            ("timestamp", Value::NumberField),
        ];
        let cancel = [
            ("orderId", Value::NumberField),
            (
                "recvWindow",
                Value::Number(entry::window(entry::WINDOW_MS_MAX)),
            ),
            ("symbol", symbol),
            ("timestamp", Value::NumberField),
        ];
        Self {
            new: ["BUY", "SELL"].map(|side| KINDS.map(|kind| new(side, kind))),
            amend: Signed::new('a', id, "order.amend.keepPriority", &amend, auth),
            cancel: Signed::new('c', id, "order.cancel", &cancel, auth),
        }
    }
}

impl Templates {
    /// The templates of these instruments, for requests each signed by `auth`, or for a logged-on session.
    /// Cold: allocates.
    pub fn new(
        registry: &Registry,
        followed: &[InstrumentId],
        window_ms: u32,
        auth: Option<&Auth>,
    ) -> Self {
        let mut of = Vec::new();
        for instrument in followed.iter().filter_map(|&id| registry.get(id)) {
            let index = instrument.id.0 as usize;
            if of.len() <= index {
                of.resize_with(index + 1, || None);
            }
            if let Some(slot) = of.get_mut(index) {
                *slot = Some(Box::new(Orders::new(instrument, window_ms, auth)));
            }
        }
        Self { of }
    }

    #[inline]
    fn of(&mut self, id: InstrumentId) -> Option<&mut Orders> {
        self.of.get_mut(id.0 as usize)?.as_deref_mut()
    }

    /// A new order with a price. `None` when there is no template for it.
    #[inline]
    pub fn new_order(
        &mut self,
        instrument: &Instrument,
        order: &NewOrder,
        now: Now,
        signing: Signing<'_>,
    ) -> Option<&[u8]> {
        let kind = match (order.kind, order.tif) {
            (OrderKind::PostOnly, _) => 0,
            (OrderKind::Limit, Tif::Gtc) => 1,
            (OrderKind::Limit, Tif::Ioc) => 2,
            (OrderKind::Limit, Tif::Fok) => 3,
            (OrderKind::Market, _) => return None,
        };
        let [buy, sell] = &mut self.of(order.instrument)?.new;
        let side = match order.side {
            Side::Buy => buy,
            Side::Sell => sell,
        };
        let id = Digits::base36(order.client_id.0);
        let price = Digits::decimal(instrument.price_decimal(order.price));
        let qty = Digits::decimal(instrument.qty_decimal(order.qty));
        let time = Digits::u64(now.unix.millis());
        side.get_mut(kind)?.fill(
            [
                id.as_bytes(),
                id.as_bytes(),
                price.as_bytes(),
                qty.as_bytes(),
                time.as_bytes(),
                &[],
            ],
            signing,
        )
    }

    /// An amend of an order whose venue id is known. `None` when there is no template for it.
    #[inline]
    pub fn amend(
        &mut self,
        instrument: &Instrument,
        amend: &AmendOrder,
        qty: Qty,
        now: Now,
        signing: Signing<'_>,
    ) -> Option<&[u8]> {
        let order_id = u64::try_from(amend.order_id.0).ok().filter(|id| *id != 0)?;
        let template = &mut self.of(amend.instrument)?.amend;
        let id = Digits::base36(amend.client_id.0);
        let qty = Digits::decimal(instrument.qty_decimal(qty));
        let (order_id, time) = (Digits::u64(order_id), Digits::u64(now.unix.millis()));
        template.fill(
            [
                id.as_bytes(),
                id.as_bytes(),
                qty.as_bytes(),
                order_id.as_bytes(),
                time.as_bytes(),
                &[],
            ],
            signing,
        )
    }

    /// A cancel of an order whose venue id is known. `None` when there is no template for it.
    #[inline]
    pub fn cancel(
        &mut self,
        cancel: &CancelOrder,
        now: Now,
        signing: Signing<'_>,
    ) -> Option<&[u8]> {
        let order_id = u64::try_from(cancel.order_id.0)
            .ok()
            .filter(|id| *id != 0)?;
        let template = &mut self.of(cancel.instrument)?.cancel;
        let id = Digits::base36(cancel.client_id.0);
        let (order_id, time) = (Digits::u64(order_id), Digits::u64(now.unix.millis()));
        template.fill(
            [id.as_bytes(), order_id.as_bytes(), time.as_bytes(), &[]],
            signing,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ID;
    use dp_types::{ClientOrderId, OrderId, Price, UnixNanos};
    use dp_venue_api::Secrets;
    use dp_wire::buf::Overflow;
    use proptest::prelude::*;

    fn auth() -> Auth {
        let secrets = Secrets {
            api_key: "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A".into(),
            api_secret: "secret".into(),
            ..Secrets::default()
        };
        Auth::new(&secrets).unwrap().unwrap()
    }

    fn registry() -> Registry {
        let mut registry = Registry::new();
        for symbol in ["BTCUSDT", "ETHBTC"] {
            registry.register(ID, symbol, 6, 10).unwrap();
        }
        registry
    }

    fn written(
        write: impl FnOnce(&mut Buf<MESSAGE_MAX>) -> Result<(), Overflow>,
    ) -> Option<String> {
        let mut text = Buf::new();
        write(&mut text).unwrap();
        String::from_utf8(text.as_bytes().to_vec()).ok()
    }

    fn shown(text: Option<&[u8]>) -> Option<String> {
        text.map(|text| String::from_utf8_lossy(text).into_owned())
    }

    type Order = (u64, i64, i64, bool, usize, u64, u64);

    fn order() -> impl Strategy<Value = Order> {
        let number = || prop_oneof![3 => 1i64..10_000_000_000, 1 => any::<i64>()];
        let ms = prop_oneof![3 => 1_760_000_000_000u64..1_770_000_000_000, 1 => 0u64..1 << 44];
        let venue_id = prop_oneof![1 => Just(0u64), 4 => 1u64..100_000_000_000, 1 => any::<u64>()];
        (
            any::<u64>(),
            number(),
            number(),
            any::<bool>(),
            0usize..5,
            ms,
            venue_id,
        )
    }

    proptest! {
        #[test]
        fn templates_equal_the_writer(
            orders in proptest::collection::vec(order(), 1..20), at in 0u32..2, window_ms in 0u32..100_000,
            is_session: bool
        ) {
            let (registry, auth) = (registry(), auth());
            let signing = if is_session { Signing::Session } else { Signing::Each(&auth) };
            let all = [InstrumentId(0), InstrumentId(1)];
            let made_for = (!is_session).then_some(&auth);
            let mut templates = Templates::new(&registry, &all, window_ms, made_for);
            let id = InstrumentId(at);
            let instrument = registry.get(id).unwrap();
            let kinds = [
                (OrderKind::PostOnly, Tif::Gtc), (OrderKind::Limit, Tif::Gtc),
                (OrderKind::Limit, Tif::Ioc), (OrderKind::Limit, Tif::Fok), (OrderKind::Market, Tif::Ioc),
            ];
            for (raw, price, qty, is_buy, kind, ms, order_id) in orders {
                let now = Now { unix: UnixNanos::from_millis(ms), ..Now::default() };
                let (client_id, order_id) = (ClientOrderId(raw >> 19), OrderId(order_id.into()));
                let (kind, tif) = kinds[kind];
                let (price, qty) = (Price(price), Qty(qty));
                let side = if is_buy { Side::Buy } else { Side::Sell };
                let new = NewOrder { instrument: id, client_id, side, kind, tif, price, qty };
                let got = shown(templates.new_order(instrument, &new, now, signing));
                let want = written(|text| entry::write_new(instrument, &new, now, window_ms, signing, text));
                prop_assert_eq!(got, want.filter(|_| kind != OrderKind::Market));
                let amend = AmendOrder { instrument: id, client_id, order_id, price: None, qty: Some(qty) };
                let got = shown(templates.amend(instrument, &amend, qty, now, signing));
                let want = written(|text| {
                    entry::write_amend(instrument, &amend, qty, now, window_ms, signing, text)
                });
                prop_assert_eq!(got, want.filter(|_| order_id.0 != 0));
                let cancel = CancelOrder { instrument: id, client_id, order_id };
                let got = shown(templates.cancel(&cancel, now, signing));
                let want = written(|text| entry::write_about(instrument, &cancel, false, now, signing, text));
                prop_assert_eq!(got, want.filter(|_| order_id.0 != 0));
            }
        }
    }

    #[test]
    fn made_for_the_other_way_of_signing_is_no_template() {
        let (registry, auth) = (registry(), auth());
        let cancel = CancelOrder {
            instrument: InstrumentId(0),
            client_id: ClientOrderId(1 << 40),
            order_id: OrderId(5),
        };
        for (made_for, signing) in [
            (None, Signing::Each(&auth)),
            (Some(&auth), Signing::Session),
        ] {
            let mut templates = Templates::new(&registry, &[InstrumentId(0)], 1, made_for);
            assert_eq!(templates.cancel(&cancel, Now::default(), signing), None);
        }
        let unknown = CancelOrder {
            instrument: InstrumentId(1),
            ..cancel
        };
        let mut templates = Templates::new(&registry, &[InstrumentId(0)], 1, None);
        assert_eq!(
            templates.cancel(&unknown, Now::default(), Signing::Session),
            None
        );
    }
}
