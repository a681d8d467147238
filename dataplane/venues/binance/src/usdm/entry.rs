//! Requests of the futures' WebSocket API that spot has not, or has otherwise.
//!
//! ```text
//! order.modify        the whole of the order: side, price and quantity anew
//! session.status      a sign of life
//! v2/account.balance  signed, for keys that cannot log on: its answer says that they may
//! ```
//! Source: venue page, section 9, read 2026-11-22.

use super::Terms;
use crate::auth::Auth;
use crate::entry::{MESSAGE_MAX, Request, Signing, side_text, window};
use crate::symbols::RequestId;
use dp_types::{AmendOrder, CancelOrder, Instrument, Now};
use dp_wire::buf::{Buf, Overflow};

/// Writes an amend of an order that has these terms: they are all told, the changed ones as wished.
pub(crate) fn write_modify(
    instrument: &Instrument,
    amend: &AmendOrder,
    terms: &Terms,
    now: Now,
    window_ms: u32,
    signing: Signing<'_>,
    out: &mut Buf<MESSAGE_MAX>,
) -> Result<(), Overflow> {
    let price = amend.price.map(|price| instrument.price_decimal(price));
    let qty = amend.qty.map(|qty| instrument.qty_decimal(qty));
    let id = RequestId::Amend(amend.client_id, amend.instrument);
    let mut request = Request::new(out, id, "order.modify", signing);
    request
        .order(&CancelOrder {
            instrument: amend.instrument,
            client_id: amend.client_id,
            order_id: amend.order_id,
        })
        .decimal("price", price.unwrap_or(terms.price))
        .decimal("quantity", qty.unwrap_or(terms.qty))
        .number("recvWindow", window(window_ms))
        .text("side", side_text(terms.side))
        .text("symbol", instrument.symbol.as_str())
        .number("timestamp", now.unix.millis());
    request.end()
}

/// Writes a question whose answer shows that a key may sign here.
pub(crate) fn write_proof(
    auth: &Auth,
    now: Now,
    out: &mut Buf<MESSAGE_MAX>,
) -> Result<(), Overflow> {
    let signing = Signing::Each(auth);
    let mut request = Request::new(out, RequestId::UserStream, "v2/account.balance", signing);
    request.number("timestamp", now.unix.millis());
    request.end()
}

/// Writes a question that asks for nothing but an answer.
pub(crate) fn write_probe(out: &mut Buf<MESSAGE_MAX>) -> Result<(), Overflow> {
    Request::new(out, RequestId::Probe, "session.status", Signing::Session).end()
}
