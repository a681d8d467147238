//! Trades and quotes that several connections bring, each told once.

use dp_types::{QuoteMsg, TradeId, TradeMsg, UnixNanos};

/// Trades remembered of one instrument: those that may still come on a slower connection.
const TRADES: usize = 256;

/// What was told last of one instrument.
#[derive(Debug, Clone)]
pub struct Once {
    hold_ns: u64,
    trades: [TradeId; TRADES],
    at: usize,
    quote: Option<QuoteMsg>,
    /// Which feed brought the quote, and when.
    by: (usize, UnixNanos),
}

impl Once {
    /// Nothing was told. A feed silent for `hold_ns` gives way where quotes have neither number nor time.
    pub const fn new(hold_ns: u64) -> Self {
        Self {
            hold_ns,
            trades: [TradeId(0); TRADES],
            at: 0,
            quote: None,
            by: (0, UnixNanos(0)),
        }
    }

    /// Whether a trade is news. One without an id always is.
    pub fn is_new_trade(&mut self, trade: &TradeMsg) -> bool {
        if trade.trade_id == TradeId(0) {
            return true;
        }
        if self.trades.contains(&trade.trade_id) {
            return false;
        }
        if let Some(slot) = self.trades.get_mut(self.at % TRADES) {
            *slot = trade.trade_id;
        }
        self.at = self.at.wrapping_add(1);
        true
    }

    /// Whether a quote is news: later by number or time; of the same time, another one of the feed that brought the
    /// last; without either, of that feed, or after its silence.
    pub fn is_new_quote(&mut self, feed: usize, quote: &QuoteMsg, now: UnixNanos) -> bool {
        let (by, at) = self.by;
        let is_new = self.quote.is_none_or(|last| {
            if quote.update_id >= 0 && last.update_id >= 0 {
                let is_fallen = feed == by && quote.update_id < last.update_id;
                return quote.update_id > last.update_id || is_fallen;
            }
            if quote.venue_ns.0 > 0 && last.venue_ns.0 > 0 {
                let is_other = feed == by && *quote != last;
                return quote.venue_ns > last.venue_ns || is_other;
            }
            feed == by || now.since(at) > self.hold_ns
        });
        if is_new {
            self.quote = Some(*quote);
            self.by = (feed, now);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Decimal, InstrumentId, RawLevel, Side, VenueNanos};
    use proptest::prelude::*;

    fn trade(id: u128) -> TradeMsg {
        TradeMsg {
            instrument: InstrumentId(0),
            trade_id: TradeId(id),
            taker: Side::Buy,
            price: Decimal::default(),
            qty: Decimal::default(),
            venue_ns: VenueNanos(0),
        }
    }

    fn quote(update_id: i64, venue_ns: u64, price: i64) -> QuoteMsg {
        let level = |mantissa| RawLevel {
            price: Decimal {
                mantissa,
                exponent: 0,
            },
            qty: Decimal::default(),
        };
        QuoteMsg {
            instrument: InstrumentId(0),
            update_id,
            bid: level(price),
            ask: level(price + 1),
            venue_ns: VenueNanos(venue_ns),
        }
    }

    proptest! {
        /// However two connections interleave and whatever each loses: every trade that came is told once.
        #[test]
        fn a_trade_is_told_once(
            lost in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..120),
            order in proptest::collection::vec(any::<bool>(), 240)
        ) {
            let mut feeds: [Vec<u128>; 2] = [Vec::new(), Vec::new()];
            for (at, lost) in lost.iter().enumerate() {
                let id = at as u128 + 1;
                if !lost.0 { feeds[0].push(id); }
                if !lost.1 { feeds[1].push(id); }
            }
            let mut all: Vec<u128> = feeds.concat();
            all.sort_unstable();
            all.dedup();
            let mut once = Once::new(1);
            let mut told = Vec::new();
            for first in order {
                let feed = &mut feeds[usize::from(first)];
                if feed.is_empty() { continue; }
                let id = feed.remove(0);
                if once.is_new_trade(&trade(id)) { told.push(id); }
            }
            for id in feeds.concat() {
                if once.is_new_trade(&trade(id)) { told.push(id); }
            }
            told.sort_unstable();
            prop_assert_eq!(told, all);
        }
    }

    #[test]
    fn quotes_never_go_back() {
        let now = UnixNanos(1);
        let mut once = Once::new(100);
        assert!(once.is_new_quote(0, &quote(5, 0, 1), now));
        assert!(!once.is_new_quote(1, &quote(5, 0, 1), now), "a copy");
        assert!(!once.is_new_quote(1, &quote(4, 0, 1), now), "an older one");
        assert!(once.is_new_quote(1, &quote(6, 0, 2), now), "the first");
        assert!(once.is_new_quote(1, &quote(1, 0, 2), now), "counted anew");

        let mut once = Once::new(100);
        assert!(once.is_new_quote(0, &quote(-1, 7, 1), now));
        assert!(once.is_new_quote(0, &quote(-1, 7, 2), now), "the same time");
        assert!(!once.is_new_quote(1, &quote(-1, 7, 1), now));
        assert!(once.is_new_quote(1, &quote(-1, 8, 3), now));

        let mut once = Once::new(100);
        assert!(once.is_new_quote(0, &quote(-1, 0, 1), now));
        assert!(!once.is_new_quote(1, &quote(-1, 0, 2), UnixNanos(90)));
        assert!(once.is_new_quote(1, &quote(-1, 0, 2), UnixNanos(102)));
    }
}
