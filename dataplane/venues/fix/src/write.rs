//! Our requests as FIX fields. The link writes the header (numbers, names, time) before them.
//!
//! ```text
//!   D  11 55 54 40 59 18 … 44 38 60     the middle is one of eighteen blocks made once: side, kind and life
//!   F  11 41 37 55 (54 38) 60          11 and 41 swapped at one venue
//!   G  11 41 37 55 54 40 44 38 60
//! ```

use crate::dialect::{Dialect, Name};
use crate::orders::Held;
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Instrument, NewOrder, OrderId, OrderKind, Side, Text,
    Tif, UnixNanos,
};
use dp_wire::fix::Writer;

/// Room for the fields of one request.
pub type Fields = Writer<1024>;

/// Writes requests of one dialect.
#[derive(Debug)]
pub struct Requests {
    dialect: Dialect,
    /// Side, kind and life of a new order, by [`block_of`].
    blocks: Vec<Vec<u8>>,
    fields: Box<Fields>,
}

const SIDES: [(Side, &str); 2] = [(Side::Buy, "1"), (Side::Sell, "2")];
const KINDS: [(OrderKind, &str); 3] = [
    (OrderKind::Limit, "2"),
    (OrderKind::PostOnly, "2"),
    (OrderKind::Market, "1"),
];
const TIFS: [(Tif, &str); 3] = [(Tif::Gtc, "1"), (Tif::Ioc, "3"), (Tif::Fok, "4")];

/// Place of a block.
const fn block_of(side: Side, kind: OrderKind, tif: Tif) -> usize {
    let side = match side {
        Side::Buy => 0,
        Side::Sell => 1,
    };
    let kind = match kind {
        OrderKind::Limit => 0,
        OrderKind::PostOnly => 1,
        OrderKind::Market => 2,
    };
    let tif = match tif {
        Tif::Gtc => 0,
        Tif::Ioc => 1,
        Tif::Fok => 2,
    };
    (side * KINDS.len() + kind) * TIFS.len() + tif
}

fn block(dialect: &Dialect, side: &str, kind: (OrderKind, &str), tif: (Tif, &str)) -> Vec<u8> {
    let mut fields = Fields::new();
    fields.text(54, side).text(40, kind.1);
    match kind.0 {
        // A market order does not rest.
        OrderKind::Market => fields.text(59, "3"),
        // One that must not take rests until it is cancelled.
        OrderKind::PostOnly => fields.text(59, "1").text(18, dialect.post_only),
        OrderKind::Limit => fields.text(59, tif.1),
    };
    for (tag, value) in dialect.new_fields {
        fields.text(*tag, value);
    }
    fields.body().to_vec()
}

/// Side as FIX has it (54).
pub const fn side_text(side: Side) -> &'static str {
    match side {
        Side::Buy => "1",
        Side::Sell => "2",
    }
}

impl Requests {
    /// For a dialect. Takes its memory here.
    pub fn new(dialect: Dialect) -> Self {
        let mut blocks = Vec::new();
        for (_, side) in SIDES {
            for kind in KINDS {
                for tif in TIFS {
                    blocks.push(block(&dialect, side, kind, tif));
                }
            }
        }
        Self {
            dialect,
            blocks,
            fields: Box::default(),
        }
    }

    /// Whose way this is.
    pub const fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    fn name(&mut self, tag: u32, id: ClientOrderId, number: u16) {
        let mut name = Name::new();
        (self.dialect.name)(id, number, &mut name);
        self.fields.bytes(tag, name.as_bytes());
    }

    /// Fields of a new order (D). `None` when they do not fit, which no symbol makes them.
    ///
    /// Cost: no allocation; one pass.
    pub fn new_order(
        &mut self,
        instrument: &Instrument,
        order: &NewOrder,
        now: UnixNanos,
    ) -> Option<&[u8]> {
        self.fields.clear();
        self.name(11, order.client_id, 0);
        self.fields.bytes(55, instrument.symbol.as_bytes());
        let at = block_of(order.side, order.kind, order.tif);
        self.fields.raw(self.blocks.get(at)?);
        if order.kind != OrderKind::Market {
            self.fields
                .decimal(44, instrument.price_decimal(order.price));
        }
        self.fields
            .decimal(38, instrument.qty_decimal(order.qty))
            .time(60, now.0);
        self.fields.whole()
    }

    /// Fields of a cancel (F), as the request of this number. `held`: the order, where it is known.
    pub fn cancel(
        &mut self,
        instrument: &Instrument,
        cancel: &CancelOrder,
        (number, held): (u16, Option<&Held>),
        order_text: Text<40>,
        now: UnixNanos,
    ) -> Option<&[u8]> {
        self.about(instrument, cancel.client_id, (number, held), order_text);
        if let (true, Some(held)) = (self.dialect.is_strict, held) {
            self.fields
                .text(54, side_text(held.side))
                .decimal(38, instrument.qty_decimal(held.qty));
        }
        self.fields.time(60, now.0);
        self.fields.whole()
    }

    /// Fields of an amend (G), as the request of this number: the whole of the order, with what changes.
    pub fn amend(
        &mut self,
        instrument: &Instrument,
        amend: &AmendOrder,
        (number, held): (u16, &Held),
        order_text: Text<40>,
        now: UnixNanos,
    ) -> Option<&[u8]> {
        self.about(
            instrument,
            amend.client_id,
            (number, Some(held)),
            order_text,
        );
        let at = block_of(held.side, held.kind, held.tif);
        self.fields.raw(self.blocks.get(at)?);
        let (price, qty) = (
            amend.price.unwrap_or(held.price),
            amend.qty.unwrap_or(held.qty),
        );
        self.fields
            .decimal(44, instrument.price_decimal(price))
            .decimal(38, instrument.qty_decimal(qty))
            .time(60, now.0);
        self.fields.whole()
    }

    /// Fields of a question about an order (H).
    pub fn status(
        &mut self,
        instrument: &Instrument,
        order: &CancelOrder,
        held: Option<&Held>,
        order_text: Text<40>,
    ) -> Option<&[u8]> {
        self.fields.clear();
        self.name(11, order.client_id, held.map_or(0, |held| held.number));
        if !order_text.is_empty() {
            self.fields.text(37, order_text.as_str());
        }
        self.fields.bytes(55, instrument.symbol.as_bytes());
        if let Some(held) = held {
            self.fields.text(54, side_text(held.side));
        }
        self.fields.whole()
    }

    /// A request about an order: its own name, the order's, the venue's.
    fn about(
        &mut self,
        instrument: &Instrument,
        id: ClientOrderId,
        (number, held): (u16, Option<&Held>),
        order_text: Text<40>,
    ) {
        self.fields.clear();
        let known_as = held.map_or(0, |held| held.number);
        if self.dialect.is_swapped {
            self.name(11, id, known_as);
            if !order_text.is_empty() {
                self.fields.text(41, order_text.as_str());
            }
        } else {
            self.name(11, id, number);
            self.name(41, id, known_as);
            if !order_text.is_empty() {
                self.fields.text(37, order_text.as_str());
            }
        }
        self.fields.bytes(55, instrument.symbol.as_bytes());
    }
}

/// The venue's text of an id; empty while it is not known.
pub fn order_text(id: OrderId, text: impl FnOnce(OrderId) -> Text<40>) -> Text<40> {
    if id.0 == 0 { Text::EMPTY } else { text(id) }
}
