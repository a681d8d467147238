//! What answers orders, read in the order in which the venue writes its fields.
//!
//! ```text
//! {"id":I,"status":200,"result":R[,"rateLimits":[L,...]]}
//!   I = n-...   R = {"symbol","orderId","orderListId","clientOrderId","transactTime"}
//!   I = c-...   R = {"symbol","origClientOrderId","orderId","orderListId","clientOrderId","transactTime"
//!                    [,"price","origQty","executedQty"[,"origQuoteOrderQty"],"cummulativeQuoteQty","status",
//!                     "timeInForce","type","side"[,"selfTradePreventionMode"]]}
//!   L = {"rateLimitType","interval","intervalNum","limit"[,"count"]}
//! {"subscriptionId":N,"event":E} or E
//!   E = {"e":"executionReport","E","s","c","S","o","f","q","p","P","F","g","C","x","X","r","i","l","z","L",
//!        "n","N","T","t","I","w","m","M","O","Z","Y","Q"[,"W"][,"V"][,"eR"]}
//!   E = {"e":"outboundAccountPosition","E","u","B":[{"a","f","l"},...]}
//! ```
//! As in [`super::market`], a message that is given up has told nothing; what is accepted is told by the very
//! functions that the general parser tells it by, `entry::accepted` and `dp_venue_api::Named`. Refusals, answers
//! to amends and queries, icebergs, trailing stops and self-trades are not hot.
//! Source: venue page, sections 4.1 and 4.2, read 2026-11-20; a recorded report; fixtures `account_*.json`.

use super::{instrument, millis};
use crate::account;
use crate::entry;
use crate::feed::Heard;
use crate::limits::{USAGES_MAX, Usage};
use crate::product::Market;
use crate::symbols::{RequestId, parse_client_id};
use dp_types::{Balance, Decimal, OrderId, TradeId};
use dp_venue_api::{Event, Named, Sink, Standing, Trade};
use dp_wire::scan::Cursor;

/// Longest text looked at, in bytes: a thousand balances, and far below what the parser takes.
const BYTES_MAX: usize = 64 << 10;

/// Reads one answer or report and tells its events. `None` when it is not of a shape above: nothing was told
/// then.
///
/// Cost: no allocation.
#[inline]
pub(super) fn text(market: Market<'_>, text: &[u8], out: &mut impl Sink) -> Option<Heard> {
    if text.len() > BYTES_MAX {
        return None;
    }
    let mut at = Cursor::new(text);
    if at.eat(br#"{"id":""#) {
        return answer(at, out);
    }
    let is_wrapped = at.eat(br#"{"subscriptionId":"#);
    if is_wrapped {
        at.pass_uint()?;
        at.need(br#","event":"#)?;
    }
    let is_end = |mut at: Cursor<'_>| (!is_wrapped || at.eat(b"}")) && at.is_done();
    at.need(br#"{"e":""#)?;
    if at.eat(br#"outboundAccountPosition","#) {
        start_balances(&mut at)?;
        // Once to see that all of it can be read, once to tell it.
        let mut seen = at;
        each_balance(&mut seen, market, |_| ())?;
        seen.need(b"}")?;
        if !is_end(seen) {
            return None;
        }
        each_balance(&mut at, market, |balance| {
            out.event(&Event::Balance(balance));
        })?;
        return Some(Heard::default());
    }
    let (trade, named, standing) = report(market, &mut at)?;
    if !is_end(at) {
        return None;
    }
    if let Some(trade) = trade {
        out.event(&Event::Fill(named.fill(&trade)));
    }
    out.event(&Event::Order(named.report(&standing)));
    Some(Heard::default())
}

/// Up to the changed balances.
fn start_balances(at: &mut Cursor<'_>) -> Option<()> {
    at.need(br#""E":"#)?;
    at.pass_uint()?;
    at.need(br#","u":"#)?;
    at.pass_uint()?;
    at.need(br#","B":["#)
}

/// Reads balances from behind the opening bracket to behind the closing one.
#[inline]
fn each_balance(
    at: &mut Cursor<'_>,
    market: Market<'_>,
    mut tell: impl FnMut(Balance),
) -> Option<()> {
    if at.eat(b"]") {
        return Some(());
    }
    loop {
        let name = at.text_after(br#"{"a":""#)?;
        at.need(br#","f":""#)?;
        let free = at.decimal()?;
        at.need(br#","l":""#)?;
        let locked = at.decimal()?;
        at.need(b"}")?;
        tell(Balance {
            venue: market.product.id(),
            asset: account::asset(market, core::str::from_utf8(name).ok()?),
            free,
            locked,
        });
        if !at.eat(b",") {
            return at.need(b"]");
        }
    }
}

// ---- answers -----------------------------------------------------------------------------------------

fn answer(mut at: Cursor<'_>, out: &mut impl Sink) -> Option<Heard> {
    let request = RequestId::parse(at.text()?)?;
    at.text_after(br#","status":200,"result":{"symbol":""#)?;
    let (client, is_cancel) = match request {
        RequestId::New(client, _) => (client, false),
        RequestId::Cancel(client, _) => (client, true),
        _ => return None,
    };
    if is_cancel {
        at.text_after(br#","origClientOrderId":""#)?;
    }
    at.need(br#","orderId":"#)?;
    let order_id = at.uint()?;
    at.need(br#","orderListId":"#)?;
    at.int()?;
    at.text_after(br#","clientOrderId":""#)?;
    at.need(br#","transactTime":"#)?;
    let ms = at.uint()?;
    if is_cancel && at.eat(br#","price":""#) {
        pass_cancelled(&mut at)?;
    }
    at.need(b"}")?;
    let mut usages = [None; USAGES_MAX];
    if at.eat(br#","rateLimits":["#) {
        read_usages(&mut at, &mut usages)?;
    }
    at.need(b"}")?;
    if !at.is_done() {
        return None;
    }
    out.event(&Event::Ack(entry::accepted(client, order_id, ms)));
    Some(Heard {
        usages,
        ..Heard::default()
    })
}

/// How a cancelled order stood, from behind the first quote of its price: the user stream tells it.
fn pass_cancelled(at: &mut Cursor<'_>) -> Option<()> {
    at.text()?;
    at.text_after(br#","origQty":""#)?;
    at.text_after(br#","executedQty":""#)?;
    if at.eat(br#","origQuoteOrderQty":""#) {
        at.text()?;
    }
    at.text_after(br#","cummulativeQuoteQty":""#)?;
    at.text_after(br#","status":""#)?;
    at.text_after(br#","timeInForce":""#)?;
    at.text_after(br#","type":""#)?;
    at.text_after(br#","side":""#)?;
    if at.eat(br#","selfTradePreventionMode":""#) {
        at.text()?;
    }
    Some(())
}

/// The entries of `rateLimits` up to the closing bracket; the first that concern us are kept.
fn read_usages(at: &mut Cursor<'_>, usages: &mut [Option<Usage>; USAGES_MAX]) -> Option<()> {
    let mut slots = usages.iter_mut();
    loop {
        let kind = at.text_after(br#"{"rateLimitType":""#)?;
        let interval = at.text_after(br#","interval":""#)?;
        at.need(br#","intervalNum":"#)?;
        let number = at.uint()?;
        at.need(br#","limit":"#)?;
        let limit = at.uint()?;
        let count = if at.eat(br#","count":"#) {
            at.uint()?
        } else {
            0
        };
        at.need(b"}")?;
        if let Some(usage) = Usage::new(kind, interval, number, limit, count)
            && let Some(slot) = slots.next()
        {
            *slot = Some(usage);
        }
        if !at.eat(b",") {
            return at.need(b"]");
        }
    }
}

// ---- reports -----------------------------------------------------------------------------------------

/// From behind the first quote of the event's name.
fn report(market: Market<'_>, at: &mut Cursor<'_>) -> Option<(Option<Trade>, Named, Standing)> {
    at.need(br#"executionReport","E":"#)?;
    at.pass_uint()?;
    at.need(b",")?;
    let instrument = instrument(market, at)?;
    let name = at.text_after(br#","c":""#)?;
    at.need(br#","S":""#)?;
    let side = account::side_of(at.text()?)?;
    at.text_after(br#","o":""#)?;
    at.text_after(br#","f":""#)?;
    at.need(br#","q":""#)?;
    let qty = at.decimal()?;
    at.need(br#","p":""#)?;
    let price = at.decimal()?;
    at.text_after(br#","P":""#)?;
    at.text_after(br#","F":""#)?;
    at.need(br#","g":"#)?;
    at.int()?;
    let original = at.text_after(br#","C":""#)?;
    let word = at.text_after(br#","x":""#)?;
    if !account::is_execution(word) {
        return None;
    }
    let is_trade = word == account::TRADE;
    let status = at.text_after(br#","X":""#)?;
    at.text_after(br#","r":""#)?;
    at.need(br#","i":"#)?;
    let order_id = at.uint().filter(|id| *id != 0)?;
    at.need(br#","l":""#)?;
    let last_qty = number_if(is_trade, at)?;
    at.need(br#","z":""#)?;
    let cum = at.decimal()?;
    at.need(br#","L":""#)?;
    let last_price = number_if(is_trade, at)?;
    at.need(br#","n":""#)?;
    let fee = number_if(is_trade, at)?;
    at.need(br#","N":"#)?;
    let fee_asset: &[u8] = if at.eat(b"null") {
        b""
    } else {
        at.text_after(b"\"")?
    };
    at.need(br#","T":"#)?;
    let venue_ns = millis(at)?;
    at.need(br#","t":"#)?;
    let trade_id = at.int()?;
    at.need(br#","I":"#)?;
    at.pass_uint()?;
    at.need(br#","w":"#)?;
    at.bool()?;
    at.need(br#","m":"#)?;
    let is_maker = at.bool()?;
    let expiry = end_report(at)?;
    let trade = if is_trade {
        Some(Trade {
            id: TradeId(u128::from(u64::try_from(trade_id).ok()?)),
            price: last_price,
            qty: last_qty,
            fee,
            fee_asset: account::asset(market, core::str::from_utf8(fee_asset).ok()?),
            liquidity: account::liquidity(is_maker),
            venue_ns,
        })
    } else {
        None
    };
    let named = Named {
        instrument,
        client_id: parse_client_id(account::own_name(name, original)),
        order_id: OrderId(u128::from(order_id)),
        side,
        cum: Some(cum),
    };
    let (state, reason) = account::evidence(status, expiry).ok()?;
    let standing = Standing {
        state,
        reason,
        price: Some(price),
        qty: Some(qty),
        venue_ns,
    };
    Some((trade, named, standing))
}

/// From `M` to the end; returns what explains an expiry, empty when nothing does.
fn end_report<'a>(at: &mut Cursor<'a>) -> Option<&'a [u8]> {
    at.need(br#","M":"#)?;
    at.bool()?;
    at.need(br#","O":"#)?;
    at.pass_uint()?;
    at.text_after(br#","Z":""#)?;
    at.text_after(br#","Y":""#)?;
    at.text_after(br#","Q":""#)?;
    if at.eat(br#","W":"#) {
        at.pass_uint()?;
    }
    if at.eat(br#","V":""#) {
        at.text()?;
    }
    let expiry: &[u8] = if at.eat(br#","eR":""#) {
        at.text()?
    } else {
        b""
    };
    at.need(b"}")?;
    Some(expiry)
}

/// A number where it counts, else whatever text stands there.
#[inline]
fn number_if(is_read: bool, at: &mut Cursor<'_>) -> Option<Decimal> {
    if is_read {
        at.decimal()
    } else {
        at.text().map(|_| Decimal::ZERO)
    }
}
