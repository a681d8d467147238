//! What answers orders. The venue has written these fields sorted by name (2022, 2023) and in an order of its own
//! (2026), and adds to them every year: so they are found by name, in one pass over texts in a flat object.
//!
//! ```text
//! {"arg":{"channel":"orders","NAME":"TEXT",...},"data":[{"NAME":"TEXT",...}]}        one order
//! {"NAME":"TEXT",...,"data":[{"NAME":"TEXT",...}],...}     with `op`, without `event`: one answer
//! ```
//! Given up, and so the general parser's: a value that is no text (but for two of attached orders), a text of
//! more than 31 bytes or with an escape, a name that comes twice, several items, a failed amend. What is
//! accepted is told by the functions that tell what the parser read.
//! Source: venue page, sections 4 and 4.1, read 2026-11-20; recorded pushes of 2022 and 2023; an answer and a push
//! of April 2026 in somebody's public test, in whose order `*_2026.json` are; fixtures `account_order_*.json`,
//! `entry_*.json`.

use crate::ID;
use crate::account::{self, Pushed};
use crate::entry::{self, Answer, Head};
use crate::feed::side_of;
use crate::symbols::{parse_client_id, parse_id};
use dp_types::{AssetId, Decimal, OrderId, TradeId, VenueNanos};
use dp_venue_api::{Named, Registry, Standing, Trade};
use dp_wire::scan::Cursor;

/// Calls `field` with each name and text of an object, from behind its opening brace to behind the closing one,
/// and `other` with a name whose value it is to take itself, from the colon on.
#[inline(always)]
fn walk<'a>(
    at: &mut Cursor<'a>,
    mut field: impl FnMut(&'a [u8], &'a [u8]) -> Option<()>,
    mut other: impl FnMut(&mut Cursor<'a>, &'a [u8]) -> Option<()>,
) -> Option<()> {
    loop {
        at.need(b"\"")?;
        let before = *at;
        if let Some((name, text)) = at.pair() {
            field(name, text)?;
        } else {
            *at = before;
            let name = at.text()?;
            other(at, name)?;
        }
        if !at.eat(b",") {
            return at.need(b"}");
        }
    }
}

/// Keeps a text; a second one of the same name is given up: which counts is the parser's to say.
#[inline(always)]
fn keep<'a>(slot: &mut Option<&'a [u8]>, text: &'a [u8]) -> Option<()> {
    slot.replace(text).is_none().then_some(())
}

/// Nothing but texts.
fn none_other(_: &mut Cursor<'_>, _: &[u8]) -> Option<()> {
    None
}

/// A text that may be missing as the general path reads it: empty.
fn or_empty(text: Option<&[u8]>) -> &[u8] {
    text.unwrap_or_default()
}

fn str_of(text: Option<&[u8]>) -> Option<&str> {
    core::str::from_utf8(or_empty(text)).ok()
}

/// A number that may be missing or empty; `None` when it is neither and cannot be read.
#[allow(clippy::option_option)]
fn optional(text: Option<&[u8]>) -> Option<Option<Decimal>> {
    match or_empty(text) {
        b"" => Some(None),
        text => Decimal::parse(text).ok().map(Some),
    }
}

/// Milliseconds that may be missing or empty: 0 then.
fn millis(text: Option<&[u8]>) -> Option<VenueNanos> {
    let ms = u64::try_from(parse_id(or_empty(text))?).ok()?;
    Some(VenueNanos::from_millis(ms))
}

// ---- pushes ------------------------------------------------------------------------------------------

/// The fields of an order that we read.
#[derive(Default)]
struct Order<'a> {
    inst_id: Option<&'a [u8]>,
    ord_id: Option<&'a [u8]>,
    cl_ord_id: Option<&'a [u8]>,
    px: Option<&'a [u8]>,
    sz: Option<&'a [u8]>,
    side: Option<&'a [u8]>,
    state: Option<&'a [u8]>,
    acc_fill_sz: Option<&'a [u8]>,
    fill_px: Option<&'a [u8]>,
    fill_sz: Option<&'a [u8]>,
    fill_fee: Option<&'a [u8]>,
    fill_fee_ccy: Option<&'a [u8]>,
    fill_time: Option<&'a [u8]>,
    trade_id: Option<&'a [u8]>,
    exec_type: Option<&'a [u8]>,
    cancel_source: Option<&'a [u8]>,
    cancel_source_reason: Option<&'a [u8]>,
    amend_result: Option<&'a [u8]>,
    u_time: Option<&'a [u8]>,
}

/// Reads a push of one order from behind its channel's name and the comma.
///
/// Cost: no allocation; one pass.
pub(super) fn push(registry: &Registry, mut at: Cursor<'_>) -> Option<Pushed> {
    walk(&mut at, |_, _| Some(()), none_other)?; // of the subscription: nothing that we read
    at.need(br#","data":[{"#)?;
    let mut order = Order::default();
    let field = |name: &[u8], text| {
        let slot = match name {
            b"instId" => &mut order.inst_id,
            b"ordId" => &mut order.ord_id,
            b"clOrdId" => &mut order.cl_ord_id,
            b"px" => &mut order.px,
            b"sz" => &mut order.sz,
            b"side" => &mut order.side,
            b"state" => &mut order.state,
            b"accFillSz" => &mut order.acc_fill_sz,
            b"fillPx" => &mut order.fill_px,
            b"fillSz" => &mut order.fill_sz,
            b"fillFee" => &mut order.fill_fee,
            b"fillFeeCcy" => &mut order.fill_fee_ccy,
            b"fillTime" => &mut order.fill_time,
            b"tradeId" => &mut order.trade_id,
            b"execType" => &mut order.exec_type,
            b"cancelSource" => &mut order.cancel_source,
            b"cancelSourceReason" => &mut order.cancel_source_reason,
            b"amendResult" => &mut order.amend_result,
            b"uTime" => &mut order.u_time,
            _ => return Some(()),
        };
        keep(slot, text)
    };
    walk(&mut at, field, |at, name| match name {
        b"attachAlgoOrds" => at.need(b":[]"),
        b"linkedAlgoOrd" => {
            at.text_after(br#":{"algoId":""#)?;
            at.need(b"}")
        }
        _ => None,
    })?;
    at.need(b"]}")?;
    if !at.is_done() {
        return None;
    }
    order.read(registry)
}

impl Order<'_> {
    fn read(&self, registry: &Registry) -> Option<Pushed> {
        if or_empty(self.amend_result) == account::AMEND_FAILED {
            return None;
        }
        let named = Named {
            instrument: registry.find(ID, self.inst_id?)?,
            client_id: parse_client_id(or_empty(self.cl_ord_id)),
            order_id: OrderId(parse_id(self.ord_id?).filter(|id| *id != 0)?),
            side: side_of(self.side?)?,
            cum: optional(self.acc_fill_sz)?,
        };
        let (source, words) = (self.cancel_source, self.cancel_source_reason);
        let (state, reason) = account::evidence(self.state?, or_empty(source), or_empty(words))?;
        let standing = Standing {
            state,
            reason,
            price: optional(self.px)?,
            qty: optional(self.sz)?,
            venue_ns: millis(self.u_time)?,
        };
        let trade = match parse_id(or_empty(self.trade_id))? {
            0 => None,
            id => Some(self.trade(registry, TradeId(id))?),
        };
        Some(Pushed {
            fill: trade.map(|trade| named.fill(&trade)),
            report: named.report(&standing),
        })
    }

    fn trade(&self, registry: &Registry, id: TradeId) -> Option<Trade> {
        let charged = optional(self.fill_fee)?.unwrap_or(Decimal::ZERO);
        Some(Trade {
            id,
            price: Decimal::parse(self.fill_px?).ok()?,
            qty: Decimal::parse(self.fill_sz?).ok()?,
            fee: account::negated(charged).ok()?,
            fee_asset: registry
                .find_asset(str_of(self.fill_fee_ccy)?)
                .unwrap_or(AssetId::NONE),
            liquidity: account::liquidity_of(or_empty(self.exec_type)),
            venue_ns: millis(self.fill_time)?,
        })
    }
}

// ---- answers -----------------------------------------------------------------------------------------

/// The fields of an answer that we read.
#[derive(Default)]
struct Reply<'a> {
    id: Option<&'a [u8]>,
    op: Option<&'a [u8]>,
    code: Option<&'a [u8]>,
    out_time: Option<&'a [u8]>,
}

#[derive(Default)]
struct Item<'a> {
    ord_id: Option<&'a [u8]>,
    cl_ord_id: Option<&'a [u8]>,
    ts: Option<&'a [u8]>,
    s_code: Option<&'a [u8]>,
}

/// Reads an answer of one item.
///
/// Cost: no allocation; one pass.
pub(super) fn answer(mut at: Cursor<'_>) -> Option<Answer> {
    at.need(b"{")?;
    let mut reply = Reply::default();
    let mut data = None;
    let field = |name: &[u8], text| {
        let slot = match name {
            b"id" => &mut reply.id,
            b"op" => &mut reply.op,
            b"code" => &mut reply.code,
            b"outTime" => &mut reply.out_time,
            // Not this shape, or the items under a text: the parser's to refuse.
            b"event" | b"data" => return None,
            _ => return Some(()),
        };
        keep(slot, text)
    };
    walk(&mut at, field, |at, name| {
        if name != b"data" {
            return None;
        }
        at.need(b":[{")?;
        let item = item(at)?;
        at.need(b"]")?;
        data.replace(item).is_none().then_some(())
    })?;
    reply.op?;
    if !at.is_done() {
        return None;
    }
    let code = |text| entry::parse_code(str_of(text)?);
    let head = Head::new(
        or_empty(reply.id),
        code(reply.code)?,
        str_of(reply.out_time)?,
    );
    // Items of several orders are told apart by their places.
    if head.is_of_several() {
        return None;
    }
    let item = data?;
    let code = head.verdict(code(item.s_code)?);
    let named = parse_client_id(or_empty(item.cl_ord_id));
    let ack = match named.or(head.asked) {
        Some(client_id) => {
            let order_id = OrderId(parse_id(or_empty(item.ord_id))?);
            Some(head.ack(code, client_id, order_id, millis(item.ts)?))
        }
        None => None,
    };
    Some(Answer { head, code, ack })
}

fn item<'a>(at: &mut Cursor<'a>) -> Option<Item<'a>> {
    let mut item = Item::default();
    let field = |name: &[u8], text| {
        let slot = match name {
            b"ordId" => &mut item.ord_id,
            b"clOrdId" => &mut item.cl_ord_id,
            b"ts" => &mut item.ts,
            b"sCode" => &mut item.s_code,
            _ => return Some(()),
        };
        keep(slot, text)
    };
    walk(at, field, none_other)?;
    Some(item)
}
