//! The engine with two feeds of a venue: what one loses, and what its loss means.

use crate::engine::{Desk, ID, Memory, VENUE, whole};
use dp_book::{FeedPlan, State};
use dp_lane::{Action, Fact};
use dp_shm::Counter;
use dp_types::{BookMsg, BookMsgKind, RawLevel, Tsc, VenueNanos};
use dp_venue_api::Event;

const HOLD_NS: u64 = 100_000_000;
const PLAN: FeedPlan = FeedPlan {
    count: 2,
    hold_ns: HOLD_NS,
};

/// A message of a feed; the first is whole, each further one follows the number before it.
fn hear(desk: &mut Desk<'_>, feed: u8, id: i64) {
    let level = |price| RawLevel {
        price: whole(price),
        qty: whole(5),
    };
    let is_first = id == 1;
    let (bids, asks) = ([level(100)], [level(102)]);
    let msg = BookMsg {
        instrument: ID,
        kind: if is_first {
            BookMsgKind::Snapshot
        } else {
            BookMsgKind::Delta
        },
        first_id: id,
        last_id: id,
        prev_id: if is_first { -1 } else { id - 1 },
        checksum: None,
        bids: &bids,
        asks: &asks,
        venue_ns: VenueNanos(0),
    };
    let now = desk.at();
    desk.engine
        .on_event_of(feed, &Event::Book(msg), now, Tsc(0));
    desk.drain();
}

fn state(desk: &Desk<'_>) -> (State, i64) {
    let (_, proof) = desk.engine.book(ID).unwrap();
    (proof.state, proof.last_id)
}

/// Feeds asked for a whole book.
fn asked(desk: &Desk<'_>) -> Vec<u8> {
    let feed = |action: &Action| match action {
        Action::Snapshot(ID, feed) => Some(*feed),
        _ => None,
    };
    desk.actions.iter().filter_map(feed).collect()
}

fn begun(memory: &Memory) -> Desk<'_> {
    let mut desk = Desk::with_feeds(&memory.region, 1, PLAN);
    for feed in 0..2 {
        hear(&mut desk, feed, 1);
        hear(&mut desk, feed, 2);
    }
    assert_eq!(state(&desk), (State::Synced, 2));
    desk
}

#[test]
fn a_hole_in_one_feed_is_filled_by_the_other_and_counted() {
    let memory = Memory::new();
    let mut desk = begun(&memory);
    hear(&mut desk, 0, 4);
    assert_eq!(state(&desk), (State::Synced, 2), "it waits");
    hear(&mut desk, 1, 3);
    assert_eq!(state(&desk), (State::Synced, 4));
    desk.pass(2 * HOLD_NS);
    assert_eq!(
        (asked(&desk), desk.count(Counter::Resyncs)),
        (Vec::new(), 0)
    );
    assert_eq!(desk.count(Counter::HolesFilled), 1);
    assert_eq!(desk.count(Counter::Feed0First), 2);
    assert_eq!(desk.count(Counter::Feed1First), 1);
    assert_eq!(
        desk.count(Counter::FeedCopies),
        2,
        "a whole book and a change"
    );
}

#[test]
fn a_hole_nobody_fills_is_a_gap_when_its_time_is_over() {
    let memory = Memory::new();
    let mut desk = begun(&memory);
    hear(&mut desk, 1, 4);
    desk.pass(HOLD_NS / 2);
    assert_eq!(asked(&desk), [0u8; 0]);
    desk.pass(HOLD_NS);
    assert_eq!(asked(&desk), [0], "fetched by the venue's own machine");
    assert_eq!(desk.count(Counter::Resyncs), 1);
    assert_eq!(state(&desk).0, State::Waiting);
    // The one that was asked goes: the other is asked.
    let now = desk.at();
    desk.engine.on_fact(VENUE, Fact::FeedLost(0), now);
    desk.drain();
    assert_eq!(asked(&desk), [0, 1]);
}

#[test]
fn the_loss_of_one_feed_is_unseen_and_of_both_is_not() {
    let memory = Memory::new();
    let mut desk = begun(&memory);
    let now = desk.at();
    desk.engine.on_fact(VENUE, Fact::FeedLost(0), now);
    desk.drain();
    assert_eq!((state(&desk), asked(&desk)), ((State::Synced, 2), vec![]));
    hear(&mut desk, 1, 3);
    assert_eq!(state(&desk), (State::Synced, 3));
    // With one left a hole is what it always was.
    desk.engine.on_fact(VENUE, Fact::FeedLost(1), now);
    assert_eq!(state(&desk).0, State::Empty);
}
