//! One quote a side, brought to where it should stand and kept there.
//!
//! A quote is left alone until it is more than `ticks` off; then it is amended where `amend` says that the venue can
//! change a price, or cancelled, and a new one goes out when the venue has said that the old one is gone. So there is
//! never more than one live order a side, and a lost cancel costs a quote, not a position.

use crate::{Intents, Param, Values, View};
use dp_types::{LiveOrder, OrderKind, OrderState, Price, Qty, Side, Tif, UnixNanos};

/// When a quote is moved, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// Ticks a quote may be off before it is moved.
    pub ticks: u32,
    /// Shortest time between two actions on one side, ns.
    pub ns_min: u64,
    /// Moves a quote by an amend: one message instead of two. The venue must be able to change a price.
    pub amend: bool,
}

impl Pace {
    /// What it can be set to.
    pub const PARAMS: [Param; 3] = [
        Param::count(
            "requote_ticks",
            1,
            (0, 1_000_000),
            "ticks a quote may be off before it is moved",
        ),
        Param::count(
            "requote_ms_min",
            0,
            (0, 3_600_000),
            "shortest time between two actions on a side, ms",
        ),
        Param::flag(
            "amend",
            "moves quotes by amends, where the venue can change a price",
        ),
    ];

    /// From values that have [`Pace::PARAMS`] at `at`.
    pub fn of(values: &Values, at: usize) -> Self {
        Self {
            ticks: values.get(at) as u32,
            ns_min: (values.get(at + 1) as u64).saturating_mul(1_000_000),
            amend: values.get(at + 2) != 0,
        }
    }
}

/// Quotes of one instrument.
#[derive(Debug, Clone, Copy)]
pub struct Quoter {
    /// When and how; may be changed at any time.
    pub pace: Pace,
    /// When each side was last acted upon: bid, ask.
    acted: [UnixNanos; 2],
}

impl Quoter {
    /// One that has done nothing yet.
    pub const fn new(pace: Pace) -> Self {
        Self {
            pace,
            acted: [UnixNanos(0); 2],
        }
    }

    /// A side's quote should be `quote`, price and quantity; `None`: there should be none. While the gate would refuse an
    /// order there should be none either.
    pub fn quote(
        &mut self,
        view: &View<'_>,
        side: Side,
        quote: Option<(Price, Qty)>,
        out: &mut Intents,
    ) {
        let at = usize::from(side == Side::Sell);
        let quote = quote.filter(|_| view.can_trade);
        // Taking a quote away is never held up, placing and moving one is.
        let is_soon = view.now.unix.since(self.acted[at]) < self.pace.ns_min;
        let mut live = view.live.iter().filter(|order| order.side == side);
        let has_acted = match (live.next(), quote) {
            (None, Some((price, qty))) if !is_soon => {
                out.new_order(side, OrderKind::PostOnly, Tif::Gtc, price, qty);
                true
            }
            (Some(order), None) => cancel(order, out),
            (Some(order), Some((price, _))) if !is_soon => {
                is_off(view, order, price, self.pace.ticks)
                    && if self.pace.amend {
                        amend(order, price, out)
                    } else {
                        cancel(order, out)
                    }
            }
            _ => false,
        };
        // Two of a side can only come from an earlier run: the later ones go.
        for order in live {
            cancel(order, out);
        }
        if has_acted {
            self.acted[at] = view.now.unix;
        }
    }
}

/// The price on the tick at or beyond `price` as seen from mid, at least a tick from the other side's best; `None` where
/// there is none above 0.
pub fn beside(view: &View<'_>, side: Side, price: Price) -> Option<Price> {
    let (bid, ask) = (view.book.best_bid()?.price.0, view.book.best_ask()?.price.0);
    let (it, tick) = (view.instrument, view.instrument.tick.0.max(1));
    let price = match side {
        Side::Buy => it.tick_down(Price(price.0.min(ask.checked_sub(tick)?))),
        Side::Sell => it.tick_up(Price(price.0.max(bid.checked_add(tick)?))),
    };
    (price.0 > 0).then_some(price)
}

/// Whether a live quote is too far from where it should be.
fn is_off(view: &View<'_>, order: &LiveOrder, target: Price, ticks: u32) -> bool {
    let tick = view.instrument.tick.0.max(1);
    let distance = order.price.0.saturating_sub(target.0).unsigned_abs();
    distance > u64::from(ticks).saturating_mul(tick.unsigned_abs())
}

/// Whether an order stands at the venue and nothing is under way about it but perhaps an amend.
const fn stands(order: &LiveOrder) -> bool {
    matches!(order.state, OrderState::Ack | OrderState::PartiallyFilled) && !order.is_cancelling
}

/// Cancels an order that stands; one that is on its way, unknown or already being cancelled is left to
/// the venue's word. Says whether it asked.
pub(crate) fn cancel(order: &LiveOrder, out: &mut Intents) -> bool {
    if stands(order) {
        out.cancel(order.client_id);
    }
    stands(order)
}

/// Moves an order that stands and that nothing is under way about. Says whether it asked.
fn amend(order: &LiveOrder, price: Price, out: &mut Intents) -> bool {
    let asks = stands(order) && !order.is_amending;
    if asks {
        out.amend(order.client_id, Some(price), None);
    }
    asks
}
