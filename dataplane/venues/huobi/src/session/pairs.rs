//! The two pushes about one execution: the order's, which says what is done in all, and the fill's, which has the
//! fee. They come on two channels of one socket, in either order.
//!
//! ```text
//! order first   told: the order's state goes out, what is done is noted ─▶ fill: out, with what was noted
//! fill first    held ─▶ told: the fill goes out, then the order's state
//!               held ─▶ 250 ms ─▶ out as it is
//! ```
//! An engine counts no fill beyond what the venue says is done of the order: a fill that goes out before that word
//! would be asked for again by REST. Nothing is lost here: whatever is held goes out, with its pair or without.

use dp_types::{Decimal, FillReport, OrderId, TradeId, UnixNanos};
use dp_venue_api::{Event, Sink};

/// Executions noted: a burst of fills of one moment.
const TOLD_MAX: usize = 128;
/// Fills held at once.
const HELD_MAX: usize = 64;
/// How long a fill waits for the push of its order.
pub(super) const HELD_NS: u64 = 250_000_000;

/// One execution. Two orders of ours that meet share the trade's id.
type Key = (OrderId, TradeId);

/// What is known of executions of late.
#[derive(Debug)]
pub(crate) struct Pairs {
    told: Box<[(Key, Option<Decimal>)]>,
    next: usize,
    held: Vec<(FillReport, UnixNanos)>,
}

impl Default for Pairs {
    /// All memory is taken here.
    fn default() -> Self {
        let none = ((OrderId(0), TradeId(0)), None);
        Self {
            told: vec![none; TOLD_MAX].into_boxed_slice(),
            next: 0,
            held: Vec::with_capacity(HELD_MAX),
        }
    }
}

impl Pairs {
    /// The order's push: lets its fill go if it is here, else notes what is done. Before the order's state goes out.
    pub(super) fn on_order(&mut self, key: Key, cum: Option<Decimal>, out: &mut impl Sink) {
        let is_it = |(fill, _): &(FillReport, UnixNanos)| (fill.order_id, fill.trade_id) == key;
        if let Some(at) = self.held.iter().position(is_it) {
            let (fill, _) = self.held.remove(at);
            out.event(&Event::Fill(FillReport { cum, ..fill }));
            return;
        }
        if let Some(slot) = self.told.get_mut(self.next) {
            *slot = (key, cum);
        }
        self.next = (self.next + 1) % TOLD_MAX;
    }

    /// The fill's push: goes out with what was noted of its order, or is held. Cost: O([`TOLD_MAX`]).
    pub(super) fn on_fill(&mut self, fill: FillReport, now: UnixNanos, out: &mut impl Sink) {
        let key = (fill.order_id, fill.trade_id);
        if let Some((_, cum)) = self.told.iter().find(|(told, _)| *told == key) {
            out.event(&Event::Fill(FillReport { cum: *cum, ..fill }));
            return;
        }
        if self.held.len() >= HELD_MAX {
            let (oldest, _) = self.held.remove(0);
            out.event(&Event::Fill(oldest));
        }
        self.held.push((fill, now.after(HELD_NS)));
    }

    /// Lets go what was held up to `until`; everything when there is no such time.
    pub(super) fn let_go(&mut self, until: Option<UnixNanos>, out: &mut impl Sink) {
        self.held.retain(|(fill, due)| {
            let is_due = until.is_none_or(|until| *due <= until);
            if is_due {
                out.event(&Event::Fill(*fill));
            }
            !is_due
        });
    }

    pub(super) fn next_deadline(&self) -> Option<UnixNanos> {
        self.held.first().map(|(_, due)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{AssetId, InstrumentId, LinkId, Liquidity, Side, VenueNanos};
    use dp_venue_api::RestRequest;

    /// Order, trade and what is done, of each fill that went out.
    #[derive(Default)]
    struct Fills(Vec<(u128, u128, Option<Decimal>)>);

    impl Sink for Fills {
        fn event(&mut self, event: &Event<'_>) {
            if let Event::Fill(fill) = event {
                self.0.push((fill.order_id.0, fill.trade_id.0, fill.cum));
            }
        }
        fn send_text(&mut self, _: LinkId, _: &[u8]) {}
        fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
        fn reconnect(&mut self, _: LinkId, _: &'static str) {}
    }

    fn fill(order: u128, trade: u128) -> FillReport {
        FillReport {
            instrument: InstrumentId(0),
            client_id: None,
            order_id: OrderId(order),
            trade_id: TradeId(trade),
            side: Side::Buy,
            price: Decimal::ZERO,
            qty: Decimal::ZERO,
            cum: None,
            fee: Decimal::ZERO,
            fee_asset: AssetId::NONE,
            liquidity: Liquidity::None,
            venue_ns: VenueNanos(0),
        }
    }

    fn key(order: u128, trade: u128) -> Key {
        (OrderId(order), TradeId(trade))
    }

    #[test]
    fn whichever_is_first_the_fill_has_what_is_done() {
        let done = |mantissa| {
            Some(Decimal {
                mantissa,
                exponent: 0,
            })
        };
        let now = UnixNanos(1);
        let (mut pairs, mut out) = (Pairs::default(), Fills::default());
        pairs.on_order(key(1, 7), done(3), &mut out);
        pairs.on_fill(fill(1, 7), now, &mut out);
        pairs.on_fill(fill(1, 8), now, &mut out);
        pairs.on_order(key(1, 8), done(5), &mut out);
        // Two orders of ours met: one trade, two fills.
        pairs.on_order(key(2, 9), done(1), &mut out);
        pairs.on_fill(fill(3, 9), now, &mut out);
        assert_eq!(out.0, [(1, 7, done(3)), (1, 8, done(5))]);
        pairs.let_go(None, &mut out);
        assert_eq!(out.0.last(), Some(&(3, 9, None)));
        assert_eq!(pairs.next_deadline(), None);
    }

    #[test]
    fn what_was_noted_long_ago_is_forgotten() {
        let (mut pairs, mut out) = (Pairs::default(), Fills::default());
        for trade in 0..=TOLD_MAX as u128 {
            pairs.on_order(key(1, trade), None, &mut out);
        }
        pairs.on_fill(fill(1, 0), UnixNanos(1), &mut out);
        assert!(out.0.is_empty(), "held");
        pairs.on_fill(fill(1, 1), UnixNanos(1), &mut out);
        assert_eq!(out.0.len(), 1);
    }
}
