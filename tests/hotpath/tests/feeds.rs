//! Books out of two feeds: copies dropped, holes held and filled, one feed lost and back, and nothing allocated.

#[path = "../../../dataplane/wire/tests/alloc_count/mod.rs"]
mod alloc_count;

use alloc_count::{Counting, allocations};
use dp_book::{Bootstrap, Chain, Copies, FeedPlan, Feeds, Once, State, SyncRule};
use dp_types::{
    BookMsg, BookMsgKind, Decimal, Instrument, InstrumentId, RawLevel, Side, Text, TradeId,
    TradeMsg, UnixNanos, VenueId, VenueNanos,
};

#[global_allocator]
static COUNTING: Counting = Counting;

#[derive(Debug, Clone, Copy)]
struct Rule(Chain, Copies);

impl SyncRule for Rule {
    fn chain(&self, _: &BookMsg<'_>) -> Chain {
        self.0
    }
    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Pushed
    }
    fn copies(&self) -> Copies {
        self.1
    }
}

const MESSAGES: i64 = 20_000;

fn level(id: i64) -> RawLevel {
    let whole = |mantissa| Decimal {
        mantissa,
        exponent: 0,
    };
    RawLevel {
        price: whole(1_000 + id % 50),
        qty: whole(id % 7),
    }
}

/// Brings every message by both feeds, but for those each loses in its turn; returns the allocations of it.
fn run(rule: Rule) -> (u64, dp_book::FeedCounts) {
    let plan = FeedPlan {
        count: 2,
        hold_ns: 1_000,
    };
    let mut feeds = Feeds::new(rule, plan);
    let mut once = Once::new(plan.hold_ns);
    let it = Instrument::bare(InstrumentId(0), VenueId::BYBIT, Text::EMPTY, 0, 0);
    let mut bring = |feed: usize, id: i64, kind: BookMsgKind| {
        let bids = [level(id), level(id + 13)];
        let is_numbered = rule.1 == Copies::Numbered;
        let number = |id| if is_numbered { id } else { -1 };
        let msg = BookMsg {
            instrument: InstrumentId(0),
            kind,
            first_id: number(id),
            last_id: number(id),
            prev_id: number(id - 1),
            checksum: None,
            bids: &bids,
            asks: &[],
            venue_ns: VenueNanos(id as u64),
        };
        let at = UnixNanos(id as u64);
        feeds.on_msg(feed, &msg, &it, (at, at));
        once.is_new_trade(&TradeMsg {
            instrument: InstrumentId(0),
            trade_id: TradeId(id as u128),
            taker: Side::Buy,
            price: bids[0].price,
            qty: bids[0].qty,
            venue_ns: VenueNanos(0),
        });
        if id % 5_000 == 4_000 {
            feeds.lose(feed);
        }
        feeds.proof().state
    };
    for feed in 0..2 {
        bring(feed, 1, BookMsgKind::Snapshot);
    }
    let (calls, _) = allocations(|| {
        for id in 2..MESSAGES {
            // Each loses a few in a row, at other times than the other; now one is ahead, now the other.
            for turn in 0..2 {
                let feed = (turn + (id as usize / 100)) % 2;
                let is_lost = id % 40 / 3 == feed as i64 * 5;
                if !is_lost {
                    bring(feed, id, BookMsgKind::Delta);
                }
            }
        }
    });
    assert_eq!(
        bring(0, MESSAGES, BookMsgKind::Snapshot),
        State::Synced,
        "the book stands"
    );
    (calls, feeds.feed_counts().expect("two feeds"))
}

#[test]
fn merging_numbered_feeds_touches_no_allocator() {
    let (calls, counts) = run(Rule(Chain::Contiguous, Copies::Numbered));
    assert!(counts.won.iter().take(2).all(|won| *won > 1_000));
    assert!(counts.copies > 10_000, "{counts:?}");
    assert_eq!(calls, 0, "allocations");
}

#[test]
fn following_timed_feeds_touches_no_allocator() {
    let (calls, counts) = run(Rule(Chain::Unchained, Copies::Timed));
    assert!(counts.copies > 10_000, "{counts:?}");
    assert_eq!(calls, 0, "allocations");
}
