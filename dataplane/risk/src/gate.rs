//! The gate. The order of the checks is fixed, cheapest authority first, and is part of the contract:
//!
//! ```text
//!  1 kill switch   2 lease   3 epoch   4 venue reconciled   5 limits exist, not halted   6 book proven
//!  7 book age   8 reference price   9 instrument rules   10 order quantity   11 collar
//!  12 position, worst case   13 self-trade   14 exposure in money   15 rate
//! ```
//!
//! The rate comes last, so a refused order uses up none of it. Cancels pass always: they only ever
//! take risk off, and whoever has lost the right to trade must still be able to leave.

use crate::{Bucket, Cleared, Context, Exposures, Refusal, Resting};
use dp_types::{
    AmendOrder, CancelOrder, Epoch, InstrumentId, NewOrder, OrderKind, Price, Qty, Side, UnixNanos,
};

/// Limits of one instrument, in its increments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest order.
    pub order_qty_max: Qty,
    /// Largest position either way, counting everything that works on that side.
    pub position_max: Qty,
}

/// Limits of the whole lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeLimits {
    /// Furthest a price may be from mid, basis points.
    pub collar_bps: u32,
    /// New orders and amends a second; 0 = none.
    pub orders_per_s_max: u32,
    /// Oldest book that may be traded on, ns.
    pub book_age_ns_max: u64,
}

/// The right to trade: until when, and as which holder. The default is not held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lease {
    /// Orders may leave strictly before this.
    pub until: UnixNanos,
    /// The holder we are.
    pub epoch: Epoch,
}

/// The pre-trade gate of one lane. It starts with no limits, no lease and the kill switch off, so
/// nothing passes until it is told otherwise.
#[derive(Debug, Clone)]
pub struct Gate {
    limits: Box<[Option<Limits>]>,
    halted: Box<[bool]>,
    exposures: Exposures,
    node: NodeLimits,
    bucket: Bucket,
    lease: Lease,
    is_killed: bool,
}

impl Gate {
    /// A gate for instrument ids below `instruments`. Takes all its memory here.
    pub fn new(instruments: usize, node: NodeLimits) -> Self {
        Self {
            limits: vec![None; instruments].into_boxed_slice(),
            halted: vec![false; instruments].into_boxed_slice(),
            exposures: Exposures::new(instruments),
            node,
            bucket: Bucket::new(node.orders_per_s_max),
            lease: Lease::default(),
            is_killed: false,
        }
    }

    /// Checks a new order. Cost: no allocation, near 20 ns; see `spinlane-bench risk`.
    ///
    /// Errors: the first [`Refusal`] in the fixed order; the rate is used up only by a pass.
    #[inline]
    pub fn check_new(
        &mut self,
        order: &NewOrder,
        context: &Context<'_>,
        now: UnixNanos,
    ) -> Result<Cleared<NewOrder>, Refusal> {
        let shape = Shape {
            instrument: order.instrument,
            epoch: order.client_id.epoch(),
            side: order.side,
            price: (order.kind != OrderKind::Market).then_some(order.price),
            qty: order.qty,
            added: order.qty,
        };
        self.check(&shape, context, now)?;
        Ok(Cleared::mint(*order))
    }

    /// Checks two new orders that must both leave or neither: the second as if the first worked already.
    ///
    /// Errors: which of them was refused (0, 1), and its [`Refusal`]; nothing of the rate is used up then. Cost: twice
    /// [`Gate::check_new`].
    pub fn check_pair(
        &mut self,
        (one, one_context): (&NewOrder, &Context<'_>),
        (two, two_context): (&NewOrder, &Context<'_>),
        now: UnixNanos,
    ) -> Result<(Cleared<NewOrder>, Cleared<NewOrder>), (usize, Refusal)> {
        let before = (self.bucket, self.exposures.line(one.instrument));
        let first = self
            .check_new(one, one_context, now)
            .map_err(|refusal| (0, refusal))?;
        let mut context = *two_context;
        if one.instrument == two.instrument {
            context.add_working(one);
        }
        match self.check_new(two, &context, now) {
            Ok(second) => Ok((first, second)),
            Err(refusal) => {
                self.bucket = before.0;
                self.exposures.put_back(one.instrument, before.1);
                Err((1, refusal))
            }
        }
    }

    /// Checks an amend of `resting`, an order that `context` already counts as working.
    ///
    /// The quantity added to the exposure is what the amend raises the total by: while it is in flight
    /// the larger of the two may be filled. Cost and errors: as [`Gate::check_new`]. The order's own
    /// epoch is not looked at: an order of an earlier epoch that we adopted may be amended by its heir.
    #[inline]
    pub fn check_amend(
        &mut self,
        amend: &AmendOrder,
        resting: &Resting,
        context: &Context<'_>,
        now: UnixNanos,
    ) -> Result<Cleared<AmendOrder>, Refusal> {
        let qty = amend.qty.unwrap_or(resting.qty);
        let price = amend.price.unwrap_or(resting.price);
        let shape = Shape {
            instrument: amend.instrument,
            epoch: self.lease.epoch,
            side: resting.side,
            price: (resting.kind != OrderKind::Market).then_some(price),
            qty,
            added: Qty(qty.0.saturating_sub(resting.qty.0).max(0)),
        };
        self.check(&shape, context, now)?;
        Ok(Cleared::mint(*amend))
    }

    /// Clears a cancel. Always.
    pub fn clear_cancel(&self, cancel: CancelOrder) -> Cleared<CancelOrder> {
        Cleared::mint(cancel)
    }

    /// Clears a cancel of everything on an instrument. Always.
    pub fn clear_cancel_all(&self, instrument: InstrumentId) -> Cleared<InstrumentId> {
        Cleared::mint(instrument)
    }

    /// Replaces the limits of one instrument at once; `None` stops it from trading. Says whether the
    /// id is in the table.
    pub fn set_limits(&mut self, instrument: InstrumentId, limits: Option<Limits>) -> bool {
        match self.limits.get_mut(instrument.0 as usize) {
            Some(slot) => {
                *slot = limits;
                true
            }
            None => false,
        }
    }

    /// Replaces the lane-wide limits at once. What the old rate has used up stays used up.
    pub fn set_node_limits(&mut self, node: NodeLimits) {
        self.bucket = self.bucket.with_rate(node.orders_per_s_max);
        self.node = node;
    }

    /// Extends, replaces or (with the default) ends the right to trade.
    pub fn set_lease(&mut self, lease: Lease) {
        self.lease = lease;
    }

    /// Turns the kill switch on or, by an operator's word, off.
    pub fn set_killed(&mut self, is_killed: bool) {
        self.is_killed = is_killed;
    }

    /// Halts an instrument, or lets it go on by a named person's word. One that is not in the table is left out.
    pub fn set_halted(&mut self, instrument: InstrumentId, is_halted: bool) {
        if let Some(slot) = self.halted.get_mut(instrument.0 as usize) {
            *slot = is_halted;
        }
    }

    /// Whether an instrument is halted.
    #[inline]
    pub fn is_halted(&self, instrument: InstrumentId) -> bool {
        self.halted.get(instrument.0 as usize).copied() == Some(true)
    }

    /// What everything held and working is worth.
    pub const fn exposures(&self) -> &Exposures {
        &self.exposures
    }

    /// The same, to tell it worths, positions and limits.
    pub const fn exposures_mut(&mut self) -> &mut Exposures {
        &mut self.exposures
    }

    /// New orders and amends of the last second, as the rate limit counts them.
    pub const fn rate_used(&self, now: UnixNanos) -> u32 {
        self.bucket.used(now)
    }

    /// Whether the kill switch is on.
    pub const fn is_killed(&self) -> bool {
        self.is_killed
    }

    /// The right to trade as last set.
    pub const fn lease(&self) -> Lease {
        self.lease
    }

    /// Limits of an instrument.
    pub fn limits(&self, instrument: InstrumentId) -> Option<Limits> {
        self.limits.get(instrument.0 as usize).copied().flatten()
    }

    /// Lane-wide limits.
    pub const fn node_limits(&self) -> NodeLimits {
        self.node
    }

    /// Authority alone: checks 1, 2 and 4, what a strategy sees as "may trade". Errors: [`Refusal`].
    #[inline]
    pub fn check_authority(&self, is_reconciled: bool, now: UnixNanos) -> Result<(), Refusal> {
        if self.is_killed {
            return Err(Refusal::Killed);
        }
        if now >= self.lease.until {
            return Err(Refusal::LeaseLapsed {
                now_ns: now.0,
                until_ns: self.lease.until.0,
            });
        }
        if is_reconciled {
            Ok(())
        } else {
            Err(Refusal::Unreconciled)
        }
    }

    #[inline]
    fn check(
        &mut self,
        shape: &Shape,
        context: &Context<'_>,
        now: UnixNanos,
    ) -> Result<(), Refusal> {
        // The epoch stands between lease and reconciliation, so `true` here and the real flag below.
        self.check_authority(true, now)?;
        if shape.epoch != self.lease.epoch {
            return Err(Refusal::StaleEpoch {
                epoch: shape.epoch.0,
                held: self.lease.epoch.0,
            });
        }
        if !context.is_reconciled {
            return Err(Refusal::Unreconciled);
        }
        // Limits of one instrument and rules of another would be a bug of ours: it cannot trade.
        let limits = match self.limits(shape.instrument) {
            Some(limits) if context.instrument.id == shape.instrument => limits,
            _ => {
                return Err(Refusal::NoLimits {
                    instrument: shape.instrument.0,
                });
            }
        };
        if self.is_halted(shape.instrument) {
            return Err(Refusal::Halted);
        }
        let (bid, ask) = check_book(context, self.node.book_age_ns_max, now)?;
        context
            .instrument
            .check(shape.price, shape.qty)
            .map_err(Refusal::Instrument)?;
        if shape.qty > limits.order_qty_max {
            return Err(Refusal::OrderQty {
                qty: shape.qty.0,
                limit: limits.order_qty_max.0,
            });
        }
        let touch = match shape.side {
            Side::Buy => ask,
            Side::Sell => bid,
        };
        let price = shape.price.unwrap_or(touch);
        check_collar(price, bid, ask, self.node.collar_bps)?;
        let along = check_position(shape, context, limits.position_max)?;
        check_self_trade(shape, price, context)?;
        let step = self.exposures.check(
            shape.instrument,
            shape.side,
            (shape.qty, along),
            context.instrument.quote,
        )?;
        if !self.bucket.take(now) {
            return Err(Refusal::Rate {
                limit: self.bucket.per_second(),
            });
        }
        self.exposures.take(shape.instrument, step);
        Ok(())
    }
}

/// What a new order and an amend have in common. `price` is `None` for a market order; `added` is what
/// the side's working quantity would grow by.
struct Shape {
    instrument: InstrumentId,
    epoch: Epoch,
    side: Side,
    price: Option<Price>,
    qty: Qty,
    added: Qty,
}

/// Checks 6 to 8; gives best bid and ask.
#[inline]
fn check_book(
    context: &Context<'_>,
    limit_ns: u64,
    now: UnixNanos,
) -> Result<(Price, Price), Refusal> {
    let book = &context.book;
    if !book.is_proven {
        return Err(Refusal::BookUnproven);
    }
    // A stamp from the future is a broken clock, not a fresh book.
    let age_ns = now.0.checked_sub(book.updated.0).unwrap_or(u64::MAX);
    if age_ns > limit_ns {
        return Err(Refusal::BookStale { age_ns, limit_ns });
    }
    match (book.bid, book.ask) {
        (Some(bid), Some(ask)) if bid.0 > 0 && bid < ask => Ok((bid, ask)),
        _ => Err(Refusal::NoReference),
    }
}

/// Check 11: |price - mid| / mid in basis points, both doubled so that mid stays an integer.
#[inline]
fn check_collar(price: Price, bid: Price, ask: Price, limit_bps: u32) -> Result<(), Refusal> {
    let mid2 = i128::from(bid.0) + i128::from(ask.0);
    let away2 = (2 * i128::from(price.0) - mid2).unsigned_abs();
    let scaled = away2 * 10_000;
    // The division is only for the text of a refusal: multiplied out, a pass needs none.
    if scaled <= mid2.unsigned_abs() * u128::from(limit_bps) {
        return Ok(());
    }
    let bps = scaled.div_ceil(mid2.unsigned_abs());
    Err(Refusal::Collar {
        bps: i64::try_from(bps).unwrap_or(i64::MAX),
        limit_bps,
    })
}

/// Check 12: the position if everything working on this side and this order were filled. Gives it along the order's own
/// direction: not positive, and the order takes risk off at worst.
#[inline]
fn check_position(shape: &Shape, context: &Context<'_>, limit: Qty) -> Result<i128, Refusal> {
    let working = match shape.side {
        Side::Buy => context.working_buy,
        Side::Sell => context.working_sell,
    };
    let sign = i128::from(shape.side.sign());
    // Along the order's own direction: an order that brings a position back towards zero passes.
    let along = sign * i128::from(context.position.0)
        + i128::from(working.0.max(0))
        + i128::from(shape.added.0);
    if along <= i128::from(limit.0) {
        return Ok(along);
    }
    let exposure = (sign * along).clamp(i64::MIN.into(), i64::MAX.into());
    Err(Refusal::Position {
        exposure: exposure as i64,
        limit: limit.0,
    })
}

/// Check 13. A market order has no price that could keep it away from our own: any of ours refuses it.
#[inline]
fn check_self_trade(shape: &Shape, price: Price, context: &Context<'_>) -> Result<(), Refusal> {
    let (own, crosses) = match shape.side {
        Side::Buy => (
            context.own_ask,
            context.own_ask.is_some_and(|own| price >= own),
        ),
        Side::Sell => (
            context.own_bid,
            context.own_bid.is_some_and(|own| price <= own),
        ),
    };
    match own {
        Some(own) if crosses || shape.price.is_none() => Err(Refusal::SelfTrade {
            price: price.0,
            own: own.0,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
