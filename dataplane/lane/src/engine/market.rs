//! What the market says: depth into books, trades and quotes past a look at their prices, all of it to the
//! strategies.

use super::{Action, BookSlot, Engine, VenueState};
use crate::inputs::Input;
use crate::wall::book_state;
use dp_book::State;
use dp_shm::{Counter, Stage};
use dp_strategy::Inputs;
use dp_types::{
    BookMsg, BookMsgKind, Decimal, Instrument, InstrumentId, Now, Price, QuoteMsg, Side, TradeMsg,
    Tsc, UnixNanos,
};

/// A book message whose outcome is not shown yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct News {
    id: InstrumentId,
    at: UnixNanos,
    /// The best levels are others than before.
    has_moved: bool,
}

impl Engine<'_> {
    /// One depth message of a feed that this node received at `arrived`, now or a ring ago, and understood at
    /// `decoded`.
    pub(crate) fn on_book(
        &mut self,
        feed: u8,
        msg: &BookMsg<'_>,
        now: Now,
        arrived: UnixNanos,
        decoded: Tsc,
    ) {
        self.wall.tap.tell(|| Input::Book(feed, *msg, now, arrived));
        self.wall.count(Counter::BookEvents);
        // Of a message before, whose actions nobody has taken yet.
        self.show_news();
        let id = msg.instrument;
        let at = id.0 as usize;
        let (Some(instrument), Some(Some(slot))) =
            (self.instruments.get(at), self.books.get_mut(at))
        else {
            return;
        };
        let late_ns =
            VenueState::late_ns(&mut self.venues, instrument.venue, now.unix, msg.venue_ns);
        let heard = UnixNanos(now.unix.0.saturating_sub(late_ns)).min(arrived);
        if late_ns > self.gate.node_limits().book_age_ns_max {
            self.wall.count(Counter::LateBooks);
        }
        let times = (heard, now.unix);
        let taken = slot
            .keeper
            .on_msg(usize::from(feed), msg, instrument, times);
        let Some(outcome) = taken.outcome else {
            self.ask_for_book(id, taken.ask);
            return;
        };
        if msg.kind == BookMsgKind::Snapshot && outcome == dp_book::Outcome::Applied {
            self.wall.count(Counter::Snapshots);
        }
        let has_moved = slot.refresh(msg, now.unix);
        self.wall.stamp(Stage::Book, decoded);
        self.news = Some(News {
            id,
            at: now.unix,
            has_moved,
        });
        self.count_outcome(&outcome);
        self.ask_for_book(id, taken.ask);
        if has_moved {
            self.watch_move(id, now);
        }
        // A book that went stale is news too: quotes resting on it must go.
        if matches!(
            outcome,
            dp_book::Outcome::Buffered | dp_book::Outcome::Ignored
        ) {
            return;
        }
        self.call(id, Inputs::BOOK, now, |strategy, view, out| {
            strategy.on_book(view, out);
        });
    }

    pub(super) fn ask_for_book(&mut self, id: InstrumentId, feed: Option<usize>) {
        if let Some(feed) = feed {
            self.act(Action::Snapshot(id, feed as u8));
        }
    }

    /// Holes that no other feed has filled in time become gaps; and what the feeds have done is counted.
    pub(super) fn mind_feeds(&mut self, now: Now) {
        for at in 0..self.books.len() {
            let (Some(Some(slot)), Some(instrument)) =
                (self.books.get_mut(at), self.instruments.get(at))
            else {
                continue;
            };
            let id = instrument.id;
            let Some(taken) = slot.keeper.on_time(instrument, now.unix) else {
                continue;
            };
            slot.look();
            let top = slot.top;
            self.wall.show_book(id, &top);
            if let Some(outcome) = taken.outcome {
                self.count_outcome(&outcome);
            }
            self.ask_for_book(id, taken.ask);
            self.call(id, Inputs::BOOK, now, |strategy, view, out| {
                strategy.on_book(view, out);
            });
        }
    }

    /// Adds what the feeds have done since the last time.
    pub(super) fn count_feeds(&mut self) {
        let Some(before) = self.feeds else { return };
        let slots = self.books.iter().flatten();
        let mut sum = dp_book::FeedCounts::default();
        for counts in slots.filter_map(|slot| slot.keeper.feed_counts()) {
            for (sum, won) in sum.won.iter_mut().zip(counts.won) {
                *sum += won;
            }
            sum.copies += counts.copies;
            sum.filled += counts.filled;
            sum.anew += counts.anew;
        }
        let counters = &self.wall.counters;
        let firsts = Counter::FEED_FIRSTS.into_iter();
        for ((counter, sum), before) in firsts.zip(sum.won).zip(before.won) {
            counters.add(counter, sum.saturating_sub(before));
        }
        counters.add(
            Counter::FeedCopies,
            sum.copies.saturating_sub(before.copies),
        );
        counters.add(
            Counter::HolesFilled,
            sum.filled.saturating_sub(before.filled),
        );
        counters.add(Counter::FeedResyncs, sum.anew.saturating_sub(before.anew));
        self.feeds = Some(sum);
    }

    /// Whether no other feed has told this before.
    #[inline]
    fn is_first(&mut self, id: InstrumentId, ask: impl FnOnce(&mut dp_book::Once) -> bool) -> bool {
        match self.books.get_mut(id.0 as usize) {
            Some(Some(slot)) => slot.once.as_deref_mut().is_none_or(ask),
            _ => true,
        }
    }

    /// What others read of the last book message: not before its orders have left, since the lines may be in
    /// another core's cache, and fetching them back is dear.
    #[inline]
    pub(super) fn show_news(&mut self) {
        let Some(News { id, at, has_moved }) = self.news.take() else {
            return;
        };
        let place = id.0 as usize;
        let (Some(instrument), Some(Some(slot))) =
            (self.instruments.get(place), self.books.get(place))
        else {
            return;
        };
        self.wall.show_book(id, &slot.top);
        if has_moved {
            self.wall.quote_tick(at, instrument, &slot.top);
        }
    }

    pub(super) fn count_outcome(&self, outcome: &dp_book::Outcome) {
        use dp_book::Outcome;
        let counter = match outcome {
            Outcome::Gap(_) => Counter::Gaps,
            Outcome::BadChecksum { .. } => Counter::ChecksumFailures,
            Outcome::Crossed => Counter::CrossedBooks,
            Outcome::BadNumber(_) => Counter::DecodeErrors,
            _ => return,
        };
        self.wall.count(counter);
        self.wall.count(Counter::Resyncs);
    }

    pub(super) fn on_trade(&mut self, trade: &TradeMsg, now: Now) {
        self.wall.count(Counter::TradeEvents);
        if !self.is_first(trade.instrument, |once| once.is_new_trade(trade)) {
            return;
        }
        if let Some(instrument) = self.instrument(trade.instrument)
            && self.is_plausible(&instrument, &[trade.price])
        {
            self.wall.trade_tick(now.unix, &instrument, trade);
            if let Some(Some(slot)) = self.books.get_mut(trade.instrument.0 as usize) {
                slot.stats.on_trade(&instrument, trade, now.unix);
            }
            self.call(
                trade.instrument,
                Inputs::TRADES,
                now,
                |strategy, view, out| {
                    strategy.on_trade(view, trade, out);
                },
            );
        }
    }

    pub(super) fn on_quote(&mut self, feed: u8, quote: &QuoteMsg, now: Now) {
        self.wall.count(Counter::QuoteEvents);
        let is_new =
            |once: &mut dp_book::Once| once.is_new_quote(usize::from(feed), quote, now.unix);
        if !self.is_first(quote.instrument, is_new) {
            return;
        }
        let Some(instrument) = self.instrument(quote.instrument) else {
            return;
        };
        if !self.is_plausible(&instrument, &[quote.bid.price, quote.ask.price]) {
            return;
        }
        self.call(
            quote.instrument,
            Inputs::QUOTES,
            now,
            |strategy, view, out| {
                strategy.on_quote(view, quote, out);
            },
        );
    }

    /// Whether prices are anywhere near the book: half to twice its mid. Without a book anything is, and a
    /// price of 0 is an empty side. What is not is counted.
    pub(crate) fn is_plausible(&self, instrument: &Instrument, prices: &[Decimal]) -> bool {
        let Some(mid) = self.mark(instrument.id).map(|mid| i128::from(mid.0)) else {
            return true;
        };
        let is_near = |price: &Decimal| match instrument.price(*price) {
            Ok(Price(0)) => true,
            Ok(Price(price)) => {
                let price = i128::from(price);
                price * 2 >= mid && price <= mid * 2
            }
            Err(_) => false,
        };
        let is_plausible = prices.iter().all(is_near);
        if !is_plausible {
            self.wall.count(Counter::AbsurdPrices);
        }
        is_plausible
    }
}

impl BookSlot {
    /// Takes the best levels for the line; says whether they changed.
    fn refresh(&mut self, msg: &BookMsg<'_>, now: UnixNanos) -> bool {
        let before = (
            self.top.bid_price,
            self.top.bid_qty,
            self.top.ask_price,
            self.top.ask_qty,
        );
        self.look();
        self.top.updates += 1;
        self.top.updated = now;
        self.top.venue_ns = msg.venue_ns;
        let after = (
            self.top.bid_price,
            self.top.bid_qty,
            self.top.ask_price,
            self.top.ask_qty,
        );
        self.keeper.proof().state == State::Synced && before != after
    }

    /// Takes what the book is now for the line.
    pub(super) fn look(&mut self) {
        let (book, proof) = (self.keeper.book(), self.keeper.proof());
        self.top.set_best(book.best_bid(), book.best_ask());
        self.top.last_update_id = proof.last_id;
        self.top.bid_levels = book.level_count(Side::Buy) as u32;
        self.top.ask_levels = book.level_count(Side::Sell) as u32;
        self.top.state = book_state(proof.state);
    }
}
