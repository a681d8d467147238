//! After start, no line of the stream touches the allocator, whatever it is.
#![allow(missing_docs)]

#[path = "../../../wire/tests/alloc_count/mod.rs"]
mod alloc_count;
mod rig;

use alloc_count::{Counting, allocations};
use dp_book::{Keeper, State};
use dp_types::limit::HTTP_LINE_MAX;
use dp_types::{InstrumentId, LinkId, UnixNanos};
use dp_venue_api::{Event, RestRequest, Sink, Venue as _};
use dp_venue_oanda::LINK_STREAM;
use dp_venue_oanda::sync::OandaSync;
use rig::{fixture, ready};
use tests_venues::rig::{allocating, at_ms};

#[global_allocator]
static COUNTING: Counting = Counting;

/// A lane's sink: applies depth, counts the rest.
struct Lane {
    keeper: Keeper<OandaSync>,
    instrument: dp_types::Instrument,
    count: usize,
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        self.count += 1;
        if let Event::Book(message) = event {
            self.keeper.on_msg(message, &self.instrument, UnixNanos(1));
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

#[test]
fn every_fixture_is_read_without_the_allocator() {
    let allocating = allocating(
        env!("CARGO_MANIFEST_DIR"),
        &[("feed_", LINK_STREAM)],
        ready,
        |run| allocations(run),
    );
    assert!(allocating.is_empty(), "{allocating:?}");
}

/// The first one too: prices come as they like.
#[test]
fn the_longest_line_and_its_book_cost_no_allocation() {
    let mut rig = ready();
    let instrument = *rig.registry.get(InstrumentId(0)).unwrap();
    let mut lane = Lane {
        keeper: Keeper::new(OandaSync::new(&instrument)),
        instrument,
        count: 0,
    };
    let side = |from: u32| {
        let level = |at| format!(r#"{{"price":"1.{:05}","liquidity":1000}}"#, from + at);
        (0..430).map(level).collect::<Vec<_>>().join(",")
    };
    let line = format!(
        r#"{{"type":"PRICE","time":"2025-10-09T08:53:20.1Z","instrument":"EUR_USD","tradeable":true,"bids":[{}],"asks":[{}]}}"#,
        side(16_000),
        side(17_000)
    );
    assert!(
        (HTTP_LINE_MAX - 4_096..=HTTP_LINE_MAX).contains(&line.len()),
        "{}",
        line.len()
    );
    let lines = [line, fixture("feed_price").to_owned()];
    for round in 0..50 {
        let mut bytes = lines[round % 2].clone().into_bytes();
        let cost = allocations(|| {
            rig.venue
                .on_text(&rig.registry, LINK_STREAM, at_ms(1), &mut bytes, &mut lane)
                .unwrap();
        });
        assert_eq!(cost, (0, 0), "round {round}");
        assert_eq!(lane.keeper.proof().state, State::Synced);
    }
    assert_eq!(lane.count, 100);
}
