//! After its channels were first heard, Starbase's datagrams touch no allocator: orders, trades, signs of life, copies,
//! what is held behind a hole, a book that is lost and the round that brings it back.
#![allow(missing_docs)]

#[path = "../../../wire/tests/alloc_count/mod.rs"]
mod alloc_count;
mod rig;
mod wire;

use alloc_count::{Counting, allocations};
use dp_book::{OrdersKeeper, Outcome, State};
use dp_types::{InstrumentId, LinkId, Now, UnixNanos};
use dp_venue_api::{Event, MarketData, Registry, RestRequest, Secrets, Sink, Venue as _};
use dp_venue_deribit::multicast::sequence::GIVE_UP_NS;
use dp_venue_deribit::sync::DeribitSync;
use dp_venue_deribit::{Deribit, LINK_REST};
use wire::starbase::{INCREMENTAL, NAME, Venue, packet, trade};

#[global_allocator]
static COUNTING: Counting = Counting;

struct Lane {
    keeper: OrdersKeeper<DeribitSync>,
    registry: Registry,
    wants: bool,
    gaps: u32,
    trades: u32,
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::L3(message) => {
                let instrument = self.registry.get(message.instrument).expect("registered");
                let outcome = self.keeper.on_msg(message, instrument, UnixNanos(1));
                self.wants |= outcome.needs_snapshot();
                self.gaps += u32::from(matches!(outcome, Outcome::Gap(_)));
            }
            Event::Trade(_) => self.trades += 1,
            _ => {}
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// Some hundred datagrams of changes, two of them lost on both lines, then the round.
fn market(venue: &mut Venue) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut packets = Vec::new();
    for at in 0..300i64 {
        let id = 10 + at % 40;
        let made = venue.one(
            (at % 3) as u8,
            id,
            (id % 2 == 0, 1 + at % 9, at % 5, 1_000 + at),
        );
        packets.push(venue.changes(&[made, trade(at, at % 2 == 0)]));
    }
    packets.drain(200..202);
    packets.push(packet(INCREMENTAL, venue.number, &[]));
    (packets, venue.snapshot())
}

#[test]
fn datagrams_touch_no_allocator() {
    let mut config = tests_venues::rig::config(&[NAME], Secrets::default(), 500);
    config.market_data = MarketData::Starbase;
    config.l3_symbols = config.symbols.clone();
    let mut registry = Registry::new();
    let venue = Deribit::new(config, &mut registry).expect("room");
    let mut rig = rig::Rig {
        venue,
        registry,
        rest: LINK_REST,
    };
    let asked = rig.open(LINK_REST, 0).requests;
    let rules = rig::fixture("rest_instrument_perpetual");
    rig.response(0, asked[0].tag, 200, rules).1.expect("read");
    let mut lane = Lane {
        keeper: OrdersKeeper::new(DeribitSync, 1_024),
        registry: rig.registry.clone(),
        wants: false,
        gaps: 0,
        trades: 0,
    };
    let mut now = tests_venues::rig::at_ms(0);
    let mut run = |packets: &[Vec<u8>], round: &[Vec<u8>], lane: &mut Lane| {
        let pass = |now: &mut Now, nanos| now.unix = UnixNanos(now.unix.0 + nanos);
        for (at, bytes) in packets.iter().chain(round).enumerate() {
            pass(&mut now, 1_000);
            if at == packets.len() {
                pass(&mut now, GIVE_UP_NS);
                rig.venue.on_deadline(&rig.registry, now, lane);
                pass(&mut now, GIVE_UP_NS);
                rig.venue.on_deadline(&rig.registry, now, lane);
            }
            for line in [0, 1] {
                let told = rig.venue.on_datagram(&rig.registry, line, now, bytes, lane);
                told.expect("it is read");
                // Cut, it is refused.
                let cut = rig.venue.on_datagram(
                    &rig.registry,
                    line,
                    now,
                    &bytes[..bytes.len() - 1],
                    lane,
                );
                assert!(cut.is_err());
            }
            if core::mem::take(&mut lane.wants) {
                rig.venue
                    .request_l3(&rig.registry, InstrumentId(0), now, lane);
            }
        }
    };
    let mut venue = Venue::default();
    for _ in 0..3 {
        let (packets, round) = market(&mut venue);
        run(&packets, &round, &mut lane);
    }
    let (gaps, trades) = (lane.gaps, lane.trades);
    let (packets, round) = market(&mut venue);
    let counted = allocations(|| run(&packets, &round, &mut lane));
    assert_eq!(counted, (0, 0));
    let is_whole = lane.keeper.proof().state == State::Synced;
    assert!(lane.gaps > gaps && lane.trades > trades + 250 && is_whole);
}
