//! After warm-up, requests, reports and market data touch no allocator.
#![allow(missing_docs)]

#[path = "../../../wire/tests/alloc_count/mod.rs"]
mod alloc_count;
mod rig;

use alloc_count::{Counting, allocations};
use dp_types::{LinkId, VenueId};
use dp_venue_api::{Event, Registry, RestRequest, Sink, Venue as _};
use dp_venue_fix::dialect::{Chained, Levels, Sizes};
use dp_venue_fix::market::Market;
use dp_venue_fix::{LINK_MARKET, LINK_ORDERS};
use dp_wire::fix::{Frame, Message, frame};
use rig::{cancel, order, ready};
use std::hint::black_box;
use tests_venues::rig::{at_ms, fix_bytes};

#[global_allocator]
static COUNTING: Counting = Counting;

#[derive(Default)]
struct Ear {
    events: usize,
    sent: usize,
}

impl Sink for Ear {
    fn event(&mut self, event: &Event<'_>) {
        black_box(event);
        self.events += 1;
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn send_fix(&mut self, _: LinkId, kind: &'static str, fields: &[u8]) {
        black_box((kind, fields));
        self.sent += 1;
    }
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

fn message(bytes: &[u8]) -> Message<'_> {
    match frame(bytes) {
        Frame::Message(message, _) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn orders_reports_and_books_touch_no_allocator() {
    let mut rig = ready();
    let mut ear = Ear::default();
    let ack = fix_bytes(
        "35=8|37=X7|11=sl1z141z5|17=e1|150=0|39=0|55=EUR/USD|54=1|38=100000|44=1.085|14=0|",
    );
    let fill = fix_bytes(
        "35=8|37=X7|11=sl1z141z5|17=e1|150=F|39=1|55=EUR/USD|54=1|38=100000|44=1.085|31=1.085|32=1000|14=1000|12=1|",
    );
    let book = fix_bytes(
        "35=X|262=1|268=2|279=2|269=0|55=EUR/USD|270=1.085|279=0|269=1|270=1.086|271=1000|",
    );
    for round in 0..10u64 {
        let now = at_ms(round * 1_000);
        let cost = allocations(|| {
            let (venue, registry) = (&mut rig.venue, &rig.registry);
            venue.new_order(registry, &order(1), now, &mut ear).unwrap();
            for (link, bytes) in [
                (LINK_ORDERS, &ack),
                (LINK_ORDERS, &fill),
                (LINK_MARKET, &book),
            ] {
                venue
                    .on_fix(registry, link, now, &message(bytes), &mut ear)
                    .unwrap();
            }
            venue
                .cancel_order(registry, &cancel(1), now, &mut ear)
                .unwrap();
        });
        assert_eq!(cost, (0, 0), "round {round}");
    }
    assert_eq!((ear.sent, ear.events), (20, 40));
}

/// Contracts multiplied, digits filled up, the session's chain: the ways venues write levels cost no allocation either.
#[test]
fn levels_of_every_writing_touch_no_allocator() {
    let mut registry = Registry::new();
    let id = registry.register(VenueId::DERIBIT, "P", 3, 8).unwrap();
    let levels = Levels {
        taker: 54,
        sizes: Sizes::Contracts,
        chain: Chained::Session,
        padded: Some(2),
    };
    let mut market = Market::new(levels, &[id]);
    let mut ear = Ear::default();
    let whole = fix_bytes("35=W|34=2|55=P|231=10|268=2|269=0|270=5.1|271=3|269=1|270=6|271=4|");
    let change = fix_bytes(
        "35=X|34=3|55=P|231=10|268=2|279=1|269=0|270=5.1|271=2|279=0|269=2|270=6|271=1|54=1|100009=9|5041=7|",
    );
    let cost = allocations(|| {
        for _ in 0..10 {
            for bytes in [&whole, &change] {
                let read = market.on_message(
                    VenueId::DERIBIT,
                    &registry,
                    &message(bytes),
                    |_| None,
                    &mut ear,
                );
                assert!(read.is_ok());
            }
        }
    });
    assert_eq!(cost, (0, 0));
    assert_eq!(ear.events, 30);
}
