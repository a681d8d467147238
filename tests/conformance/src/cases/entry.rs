//! E: order entry.

use super::{Case, Outcome, Verdict, held};
use crate::trial::{Held, Trial};
use dp_shm::Counter;
use dp_strategy::{Intent, Wish};
use dp_types::{ClientOrderId, OrderKind, OrderState, Price, Qty, Side, Tif};

pub const CASES: &[Case] = &[
    Case::new("E01", "an order rests and is cancelled", rest_and_cancel),
    Case::new("E02", "price is amended in place", amend_price),
    Case::new("E03", "quantity is amended in place", amend_qty),
    Case::new("E04", "post-only that would take does not", post_only),
    Case::new("E05", "an IOC order takes and its rest expires", ioc),
    Case::new("E06", "an FOK order too large does nothing", fok),
    Case::new("E07", "a market order is filled", market),
    Case::new(
        "E08",
        "an order fills in part, then goes on to rest",
        partial,
    ),
    Case::new("E09", "everything is cancelled at once", cancel_all),
    Case::new("E10", "a refusal ends the order, with a reason", reject),
    Case::new(
        "E11",
        "no answer but done: asked about, found resting",
        timeout_done,
    ),
    Case::new(
        "E12",
        "no answer and not done: asked about, found gone",
        timeout_gone,
    )
    .slow(),
    Case::new(
        "E13",
        "a lost answer: asked about, never sent again",
        lost_ack,
    ),
    Case::new("E14", "a late answer", slow_ack),
    Case::new("E15", "fills before the answer", reply_after),
    Case::new("E16", "fills long after the answer", reply_before),
    Case::new("E17", "a fill told twice counts once", duplicate_fill),
    Case::new("E18", "a cancel that comes too late", late_cancel),
    Case::new(
        "E19",
        "fifty orders in a burst: the venue refuses none for rate",
        burst,
    )
    .slow(),
    Case::new(
        "E20",
        "a gateway's 5xx says nothing of the order",
        server_error,
    ),
    Case::new(
        "E21",
        "orders decided together: one request where there is one, each answered for itself",
        together,
    ),
    Case::new(
        "E22",
        "orders decided together, and the answer lost: each is asked about, none is sent again",
        together_lost,
    )
    .slow(),
];

/// Where no orders are taken one is refused by ourselves, and nothing reaches the venue.
pub(super) fn refused_here(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    let (price, qty) = (it.best(Side::Buy)?.price, it.small()?);
    it.script().wishes.push_back(Intent::New(Wish {
        leg: None,
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        price,
        qty,
    }));
    it.until("the order is refused", 5_000, |it| {
        it.count(Counter::RiskRefusals) == 1
    })?;
    it.run(500);
    let orders = it.stage().record()["orders"].as_array().map(Vec::len);
    match (orders, it.script().orders.len()) {
        (Some(0), 0) => Ok(Verdict::Held),
        found => Err(format!("orders there and here: {found:?}")),
    }
}

fn lots(qty: Qty, times: i64) -> Qty {
    Qty(qty.0 * times)
}

fn rest_and_cancel(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    for side in [Side::Buy, Side::Sell] {
        let id = it.rest(side)?;
        it.cancel(id);
        it.reach(id, OrderState::Cancelled)?;
    }
    Ok(Verdict::Held)
}

/// The venue's own row of the only open order. Errors: there is none, or several.
fn open_row(it: &mut Trial<'_, '_>) -> Result<serde_json::Value, String> {
    let record = it.stage().record();
    let rows = record["orders"].as_array().cloned().unwrap_or_default();
    let is_open = |row: &&serde_json::Value| {
        matches!(row["state"].as_str(), Some("live" | "partially_filled"))
    };
    let open: Vec<_> = rows.iter().filter(is_open).collect();
    match open.as_slice() {
        [row] => Ok((*row).clone()),
        rows => Err(format!("{} orders are open", rows.len())),
    }
}

fn amended(
    it: &mut Trial<'_, '_>,
    id: ClientOrderId,
    price: Option<Price>,
    qty: Option<Qty>,
) -> Held {
    it.amend(id, price, qty);
    it.until("the amend is done", 15_000, |it| {
        let order = it.stage().engine().oms().get(id).copied();
        order.is_some_and(|order| {
            !order.is_amending
                && price.is_none_or(|price| order.price == price)
                && qty.is_none_or(|qty| order.qty == qty)
        })
    })?;
    let row = open_row(it)?;
    let instrument = it.instrument();
    let number = |name: &str| {
        let text = row[name].as_str().unwrap_or_default().to_owned();
        dp_types::Decimal::parse(text.as_bytes()).map_err(|error| format!("{text}: {error}"))
    };
    let (their_price, their_qty) = (number("price")?, number("qty")?);
    let order = it.stage().engine().oms().get(id).copied();
    let order = order.ok_or("the order is gone")?;
    if instrument.price(their_price) != Ok(order.price)
        || instrument.qty(their_qty) != Ok(order.qty)
    {
        return Err(format!("the venue has {row}, we {order:?}"));
    }
    Ok(())
}

fn amend_price(it: &mut Trial<'_, '_>) -> Outcome {
    if !it.known.capabilities.amend_price {
        return Ok(Verdict::NotHere("prices cannot be amended"));
    }
    it.come_up()?;
    let id = it.rest(Side::Buy)?;
    let instrument = it.instrument();
    let price = it.behind(Side::Buy)?.0 - 10 * instrument.tick.0.max(1);
    held(amended(
        it,
        id,
        Some(instrument.tick_down(Price(price))),
        None,
    ))
}

fn amend_qty(it: &mut Trial<'_, '_>) -> Outcome {
    if !it.known.capabilities.amend_qty {
        return Ok(Verdict::NotHere("quantities cannot be amended"));
    }
    it.come_up()?;
    let (price, qty) = (it.behind(Side::Buy)?, lots(it.small()?, 3));
    let id = it.place(Side::Buy, OrderKind::PostOnly, Tif::Gtc, price, qty)?;
    it.reach(id, OrderState::Ack)?;
    let less = lots(it.small()?, 2);
    held(amended(it, id, None, Some(less)))
}

fn post_only(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.calm(30_000)?;
    let (price, qty) = (it.best(Side::Sell)?.price, it.small()?);
    let id = it.place(Side::Buy, OrderKind::PostOnly, Tif::Gtc, price, qty)?;
    it.reach_any(
        id,
        &[
            OrderState::Rejected,
            OrderState::Cancelled,
            OrderState::Expired,
        ],
    )?;
    match it.script().fills.len() {
        0 => Ok(Verdict::Held),
        count => Err(format!("{count} fills")),
    }
}

fn ioc(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.calm(30_000)?;
    let best = it.best(Side::Sell)?;
    let qty = Qty(best.qty.0 + it.small()?.0);
    let id = it.place(Side::Buy, OrderKind::Limit, Tif::Ioc, best.price, qty)?;
    it.reach_any(id, &[OrderState::Cancelled, OrderState::Expired])?;
    held(it.until("the fill", 15_000, |it| !it.script().fills.is_empty()))
}

fn fok(it: &mut Trial<'_, '_>) -> Outcome {
    if !it.known.capabilities.fok {
        return Ok(Verdict::NotHere("there are no FOK orders"));
    }
    it.come_up()?;
    it.calm(30_000)?;
    let best = it.best(Side::Sell)?;
    let qty = Qty(best.qty.0 + it.small()?.0);
    let id = it.place(Side::Buy, OrderKind::Limit, Tif::Fok, best.price, qty)?;
    it.reach_any(
        id,
        &[
            OrderState::Cancelled,
            OrderState::Expired,
            OrderState::Rejected,
        ],
    )?;
    match it.script().fills.len() {
        0 => Ok(Verdict::Held),
        count => Err(format!("{count} fills")),
    }
}

fn market(it: &mut Trial<'_, '_>) -> Outcome {
    if !it.known.capabilities.market {
        return Ok(Verdict::NotHere("there are no market orders"));
    }
    it.come_up()?;
    it.calm(30_000)?;
    for side in [Side::Buy, Side::Sell] {
        let (price, qty) = (it.best(side.opposite())?.price, it.small()?);
        let id = it.place(side, OrderKind::Market, Tif::Ioc, price, qty)?;
        it.reach(id, OrderState::Filled)?;
    }
    Ok(Verdict::Held)
}

fn partial(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.calm(30_000)?;
    let best = it.best(Side::Sell)?;
    let qty = Qty(best.qty.0 + lots(it.small()?, 2).0);
    let id = it.place(Side::Buy, OrderKind::Limit, Tif::Gtc, best.price, qty)?;
    it.reach(id, OrderState::PartiallyFilled)?;
    it.cancel(id);
    held(it.reach(id, OrderState::Cancelled))
}

fn cancel_all(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    let ids = [
        it.rest(Side::Buy)?,
        it.rest(Side::Sell)?,
        it.rest(Side::Buy)?,
    ];
    it.clear();
    for id in ids {
        it.reach(id, OrderState::Cancelled)?;
    }
    Ok(Verdict::Held)
}

fn behind_order(it: &mut Trial<'_, '_>) -> Result<ClientOrderId, String> {
    let (price, qty) = (it.behind(Side::Buy)?, it.small()?);
    it.place(Side::Buy, OrderKind::PostOnly, Tif::Gtc, price, qty)
}

fn reject(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.fault("reject:n=1");
    let id = behind_order(it)?;
    it.reach(id, OrderState::Rejected)?;
    it.rest(Side::Buy)?;
    Ok(Verdict::Held)
}

fn timeout_done(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.fault("timeout:n=1:executed=true");
    let id = behind_order(it)?;
    it.until("the order is known", 60_000, |it| {
        it.state(id) == Some(OrderState::Ack)
    })?;
    match it.used("timeout") {
        0 => Ok(Verdict::NotHere("every request has an outcome")),
        _ => Ok(Verdict::Held),
    }
}

fn timeout_gone(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.fault("timeout:n=1:executed=false");
    let id = behind_order(it)?;
    if it.reach(id, OrderState::Ack).is_ok() && it.used("timeout") == 0 {
        return Ok(Verdict::NotHere("every request has an outcome"));
    }
    held(it.until("the order is known to be gone", 90_000, |it| {
        it.state(id).is_some_and(OrderState::is_final)
    }))
}

fn lost_ack(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.fault("lost-ack:n=1");
    let id = behind_order(it)?;
    held(it.until("the order is known", 90_000, |it| {
        it.state(id) == Some(OrderState::Ack)
    }))
}

fn slow_ack(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.fault("slow-ack:n=2:ms=1500");
    let id = behind_order(it)?;
    it.reach(id, OrderState::Ack)?;
    it.run(2_000);
    it.cancel(id);
    held(it.reach(id, OrderState::Cancelled))
}

/// Takes what is offered, under a fault of the order of things.
fn take(it: &mut Trial<'_, '_>, fault: &str) -> Outcome {
    it.come_up()?;
    it.calm(30_000)?;
    it.fault(fault);
    let (price, qty) = (it.through(Side::Buy)?, it.small()?);
    let id = it.place(Side::Buy, OrderKind::Limit, Tif::Ioc, price, qty)?;
    it.reach(id, OrderState::Filled)?;
    held(it.until("the fill", 15_000, |it| !it.script().fills.is_empty()))
}

fn reply_after(it: &mut Trial<'_, '_>) -> Outcome {
    take(it, "reply-after-stream:n=1")
}

fn reply_before(it: &mut Trial<'_, '_>) -> Outcome {
    take(it, "stream-after-reply:n=1:ms=1500")
}

fn duplicate_fill(it: &mut Trial<'_, '_>) -> Outcome {
    take(it, "duplicate-fill:n=1")?;
    it.run(1_000);
    let heard = it.script().fills.len() as u64;
    let counted = it.count(Counter::Fills);
    if heard == counted {
        Ok(Verdict::Held)
    } else {
        Err(format!("{heard} fills heard, {counted} counted"))
    }
}

fn late_cancel(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.calm(30_000)?;
    // The private stream lags, so that the order is filled and we do not know it yet.
    it.fault("stream-after-reply:n=1:ms=1000");
    let (price, qty) = (it.through(Side::Buy)?, it.small()?);
    let id = it.place(Side::Buy, OrderKind::Limit, Tif::Gtc, price, qty)?;
    it.cancel(id);
    held(it.reach(id, OrderState::Filled))
}

fn burst(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    let (price, qty) = (it.behind(Side::Buy)?, it.small()?);
    for _ in 0..50 {
        it.script().wishes.push_back(Intent::New(Wish {
            leg: None,
            side: Side::Buy,
            kind: OrderKind::PostOnly,
            tif: Tif::Gtc,
            price,
            qty,
        }));
    }
    it.until("all are uttered", 10_000, |it| {
        it.script().wishes.is_empty()
    })?;
    it.run(5_000);
    let stats = it.stage().stats();
    let refused: u64 = stats["limits"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|window| window["refused"].as_u64())
        .sum();
    if refused > 0 {
        return Err(format!(
            "the venue refused {refused} requests for rate: {}",
            stats["limits"]
        ));
    }
    it.clear();
    // Where young cancels cost most and a counter falls by one a second, this takes near two minutes.
    held(it.until("all are gone", 150_000, |it| {
        let open = it.stage().engine().oms().all_live().count();
        if open > 0 {
            it.clear();
        }
        open == 0
    }))
}

fn server_error(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.fault("http-500:n=1:code=502:executed=true");
    let id = behind_order(it)?;
    it.until("the order is known", 90_000, |it| {
        it.state(id) == Some(OrderState::Ack)
    })?;
    Ok(Verdict::Held)
}

/// Post-only bids of one decision at these prices; their ids.
fn decide(it: &mut Trial<'_, '_>, prices: [Price; 3]) -> Result<[ClientOrderId; 3], String> {
    let qty = it.small()?;
    let first = it.stage().engine().oms().next_id();
    let first = first.map_err(|error| error.to_string())?;
    let wishes = prices.map(|price| {
        Intent::New(Wish {
            leg: None,
            side: Side::Buy,
            kind: OrderKind::PostOnly,
            tif: Tif::Gtc,
            price,
            qty,
        })
    });
    it.script().wishes.extend(wishes);
    Ok([0, 1, 2].map(|nth| ClientOrderId(first.0 + nth)))
}

/// Three orders of one decision whose answer does not come. Where one request carried them nothing else is heard of them
/// either, and each is asked about; some venues cancel them when the silence ends the order link. Where each has a REST
/// request of its own those behind the first may never have left.
fn together_lost(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    let behind = it.behind(Side::Buy)?;
    let is_together = it.known.venue.enters_together(it.known.capabilities);
    it.fault("silence:link=private:for=3s,lost-ack:n=1");
    let ids = decide(it, [behind; 3])?;
    for id in ids {
        it.until("the order has a known fate", 90_000, |it| {
            let state = it.state(id);
            state.is_some_and(|state| state == OrderState::Ack || state.is_final())
        })?;
    }
    let unknown = it.count(Counter::UnknownOrders);
    if is_together && unknown != 3 {
        return Err(format!(
            "{unknown} orders of an answer that was lost were unknown"
        ));
    }
    // The silence may have ended the order link.
    it.run(5_000);
    it.come_up()?;
    it.clear();
    held(it.until("all are gone", 30_000, |it| {
        it.stage().engine().oms().all_live().count() == 0
    }))
}

/// Three orders of one decision, of which the venue does not take the second.
fn together(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    let (behind, through) = (it.behind(Side::Buy)?, it.through(Side::Buy)?);
    let ids = decide(it, [behind, through, behind])?;
    for id in [ids[0], ids[2]] {
        it.until("the order is admitted", 5_000, |it| it.state(id).is_some())?;
        it.reach(id, OrderState::Ack)?;
    }
    let ends = [
        OrderState::Rejected,
        OrderState::Cancelled,
        OrderState::Expired,
    ];
    it.reach_any(ids[1], &ends)?;
    let batches = it.stage().stats()["counts"]["requests"]["new_batch"].as_u64();
    let can = it.known.capabilities;
    let wanted = it.known.venue.enters_together(can).then_some(1);
    if batches != wanted {
        return Err(format!("{batches:?} requests of several orders"));
    }
    for id in [ids[0], ids[2]] {
        it.cancel(id);
        it.reach(id, OrderState::Cancelled)?;
    }
    Ok(Verdict::Held)
}
