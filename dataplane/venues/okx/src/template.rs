//! Orders made once an instrument and patched in place: new, amend, cancel.
//!
//! ```text
//! {"id":"n·I3","op":"order","expTime":"·","args":[{"instIdCode":10001,"tdMode":"cash","side":"buy",
//!   "ordType":"post_only","px":"·","sz":"·","clOrdId":"sl·"}]}        one a side and order type
//! ```
//! Byte for byte what `entry` writes, which is the oracle, and writes what has no template: market orders,
//! amends of one number, an instrument whose code became another since. Made on the cold path, when the venue
//! has told its instruments; filling them allocates nothing.

use crate::entry;
use crate::symbols::InstType;
use dp_types::{
    AmendOrder, CancelOrder, Instrument, InstrumentId, NewOrder, Now, OrderKind, Side, Text, Tif,
};
use dp_venue_api::Registry;
use dp_wire::digits::Digits;
use dp_wire::template::Template;

/// Longest fields of one message: twice an id, a time, two numbers.
const FIELDS_BYTES: usize = 160;

/// The templates of the instruments we follow.
#[derive(Debug, Default)]
pub struct Templates {
    /// By the instrument's number.
    of: Vec<Option<Box<Orders>>>,
}

/// The templates of one instrument.
#[derive(Debug)]
struct Orders {
    /// What the texts were made with.
    symbol: Text<31>,
    venue_code: u64,
    /// By side, then by order type.
    new: [[Template<5>; 4]; 2],
    amend: Template<5>,
    cancel: Template<2>,
}

/// The order types with a price, in the order of their templates.
const TYPES: [(OrderKind, Tif); 4] = [
    (OrderKind::PostOnly, Tif::Gtc),
    (OrderKind::Limit, Tif::Gtc),
    (OrderKind::Limit, Tif::Ioc),
    (OrderKind::Limit, Tif::Fok),
];

impl Orders {
    fn new(instrument: &Instrument) -> Self {
        let symbol = instrument.symbol.as_str();
        let named = match instrument.venue_code {
            0 => format!(r#""instId":"{symbol}""#),
            code => format!(r#""instIdCode":{code}"#),
        };
        let mark = Digits::base36(u64::from(instrument.id.0) + 1);
        let mark = String::from_utf8_lossy(mark.as_bytes()).into_owned();
        let mode = InstType::of(symbol).td_mode();
        let new = |side: &str, (kind, tif)| {
            let order_type = entry::order_type(kind, tif);
            Template::new(
                &[
                    r#"{"id":"n"#,
                    &format!(r#"I{mark}","op":"order","expTime":""#),
                    &format!(
                        r#"","args":[{{{named},"tdMode":"{mode}","side":"{side}","ordType":"{order_type}","px":""#
                    ),
                    r#"","sz":""#,
                    r#"","clOrdId":"sl"#,
                    r#""}]}"#,
                ],
                FIELDS_BYTES,
            )
        };
        let amend = [
            r#"{"id":"a"#,
            r#"","op":"amend-order","expTime":""#,
            &format!(r#"","args":[{{{named},"clOrdId":"sl"#),
            r#"","newPx":""#,
            r#"","newSz":""#,
            r#"","cxlOnFail":false}]}"#,
        ];
        let cancel = [
            r#"{"id":"c"#,
            &format!(r#"","op":"cancel-order","args":[{{{named},"clOrdId":"sl"#),
            r#""}]}"#,
        ];
        Self {
            symbol: instrument.symbol,
            venue_code: instrument.venue_code,
            new: ["buy", "sell"].map(|side| TYPES.map(|of| new(side, of))),
            amend: Template::new(&amend, FIELDS_BYTES),
            cancel: Template::new(&cancel, FIELDS_BYTES),
        }
    }

    fn is_of(&self, instrument: &Instrument) -> bool {
        self.venue_code == instrument.venue_code && self.symbol == instrument.symbol
    }
}

impl Templates {
    /// Makes what is missing or of another code. Cold: allocates.
    pub fn refresh(&mut self, registry: &Registry, followed: &[InstrumentId]) {
        for &id in followed {
            let (Some(instrument), index) = (registry.get(id), id.0 as usize) else {
                continue;
            };
            if self.of.len() <= index {
                self.of.resize_with(index + 1, || None);
            }
            if let Some(slot) = self.of.get_mut(index)
                && !slot.as_ref().is_some_and(|orders| orders.is_of(instrument))
            {
                *slot = Some(Box::new(Orders::new(instrument)));
            }
        }
    }

    #[inline]
    fn of(&mut self, instrument: &Instrument) -> Option<&mut Orders> {
        let orders = self.of.get_mut(instrument.id.0 as usize)?.as_deref_mut()?;
        orders.is_of(instrument).then_some(orders)
    }

    /// A new order with a price. `None` when there is no template for it.
    #[inline]
    pub fn new_order(
        &mut self,
        instrument: &Instrument,
        order: &NewOrder,
        now: Now,
        window_ms: u32,
    ) -> Option<&[u8]> {
        let kind = match (order.kind, order.tif) {
            (OrderKind::PostOnly, _) => 0,
            (OrderKind::Limit, Tif::Gtc) => 1,
            (OrderKind::Limit, Tif::Ioc) => 2,
            (OrderKind::Limit, Tif::Fok) => 3,
            (OrderKind::Market, _) => return None,
        };
        let [buy, sell] = &mut self.of(instrument)?.new;
        let side = match order.side {
            Side::Buy => buy,
            Side::Sell => sell,
        };
        let id = Digits::base36(order.client_id.0);
        let deadline = Digits::u64(entry::deadline_ms(now, window_ms));
        let price = Digits::decimal(instrument.price_decimal(order.price));
        let qty = Digits::decimal(instrument.qty_decimal(order.qty));
        Some(side.get_mut(kind)?.fill(&[
            id.as_bytes(),
            deadline.as_bytes(),
            price.as_bytes(),
            qty.as_bytes(),
            id.as_bytes(),
        ]))
    }

    /// An amend of price and quantity. `None` when there is no template for it.
    #[inline]
    pub fn amend(
        &mut self,
        instrument: &Instrument,
        amend: &AmendOrder,
        now: Now,
        window_ms: u32,
    ) -> Option<&[u8]> {
        let (price, qty) = amend.price.zip(amend.qty)?;
        let template = &mut self.of(instrument)?.amend;
        let id = Digits::base36(amend.client_id.0);
        let deadline = Digits::u64(entry::deadline_ms(now, window_ms));
        let price = Digits::decimal(instrument.price_decimal(price));
        let qty = Digits::decimal(instrument.qty_decimal(qty));
        Some(template.fill(&[
            id.as_bytes(),
            deadline.as_bytes(),
            id.as_bytes(),
            price.as_bytes(),
            qty.as_bytes(),
        ]))
    }

    /// A cancel. `None` when there is no template for it.
    #[inline]
    pub fn cancel(&mut self, instrument: &Instrument, cancel: &CancelOrder) -> Option<&[u8]> {
        let template = &mut self.of(instrument)?.cancel;
        let id = Digits::base36(cancel.client_id.0);
        Some(template.fill(&[id.as_bytes(), id.as_bytes()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ID;
    use dp_types::{ClientOrderId, OrderId, Price, Qty, UnixNanos};
    use proptest::prelude::*;

    fn registry(code: u64) -> Registry {
        let mut registry = Registry::new();
        for symbol in ["BTC-USDT", "BTC-USDT-SWAP"] {
            let id = registry.register(ID, symbol, 3, 9).unwrap();
            let instrument = *registry.get(id).unwrap();
            registry.update(Instrument {
                venue_code: code,
                ..instrument
            });
        }
        registry
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Option<String> {
        let mut text = Vec::new();
        write(&mut text);
        String::from_utf8(text).ok()
    }

    fn shown(text: Option<&[u8]>) -> Option<String> {
        text.map(|text| String::from_utf8_lossy(text).into_owned())
    }

    type Order = (u64, i64, i64, bool, usize, u64);

    fn order() -> impl Strategy<Value = Order> {
        let number = || prop_oneof![3 => 1i64..10_000_000_000, 1 => any::<i64>()];
        let ms = prop_oneof![3 => 1_760_000_000_000u64..1_770_000_000_000, 1 => 0u64..1 << 44];
        (
            any::<u64>(),
            number(),
            number(),
            any::<bool>(),
            0usize..5,
            ms,
        )
    }

    proptest! {
        #[test]
        fn templates_equal_the_writer(
            orders in proptest::collection::vec(order(), 1..20), code in 0u64..3, at in 0u32..2,
            window_ms in 0u32..100_000
        ) {
            let registry = registry(code * 9_999);
            let id = InstrumentId(at);
            let mut templates = Templates::default();
            templates.refresh(&registry, &[InstrumentId(0), InstrumentId(1)]);
            let instrument = registry.get(id).unwrap();
            for (raw, price, qty, is_buy, kind, ms) in orders {
                let now = Now { unix: UnixNanos::from_millis(ms), ..Now::default() };
                let (client_id, price, qty) = (ClientOrderId(raw >> 19), Price(price), Qty(qty));
                let (kind, tif) = TYPES.get(kind).copied().unwrap_or((OrderKind::Market, Tif::Ioc));
                let new = NewOrder {
                    instrument: id, client_id, kind, tif, price, qty,
                    side: if is_buy { Side::Buy } else { Side::Sell },
                };
                let got = shown(templates.new_order(instrument, &new, now, window_ms));
                let want = written(|text| entry::write_new(instrument, &new, now, window_ms, text));
                prop_assert_eq!(got, want.filter(|_| kind != OrderKind::Market));
                let order_id = OrderId(7);
                let amend = AmendOrder {
                    instrument: id, client_id, order_id, price: Some(price), qty: Some(qty),
                };
                let got = shown(templates.amend(instrument, &amend, now, window_ms));
                let want = written(|text| entry::write_amend(instrument, &amend, now, window_ms, text));
                prop_assert_eq!(got, want);
                let cancel = CancelOrder { instrument: id, client_id, order_id };
                let got = shown(templates.cancel(instrument, &cancel));
                prop_assert_eq!(got, written(|text| entry::write_cancel(instrument, &cancel, text)));
            }
        }
    }

    #[test]
    fn a_code_that_changed_has_no_template_until_the_next_refresh() {
        let mut templates = Templates::default();
        templates.refresh(&registry(5), &[InstrumentId(0)]);
        let registry = registry(6);
        let cancel = CancelOrder {
            instrument: InstrumentId(0),
            client_id: ClientOrderId(1 << 40),
            order_id: OrderId(0),
        };
        let instrument = registry.get(InstrumentId(0)).unwrap();
        assert_eq!(templates.cancel(instrument, &cancel), None);
        templates.refresh(&registry, &[InstrumentId(0)]);
        let text = shown(templates.cancel(instrument, &cancel)).unwrap();
        assert!(text.contains(r#""instIdCode":6,"#), "{text}");
        let unknown = registry.get(InstrumentId(1)).unwrap();
        assert_eq!(templates.cancel(unknown, &cancel), None);
    }
}
