//! Bytes nobody should send: whatever arrives, the machine answers with events or a typed error, never panics, and
//! stays usable.
#![allow(missing_docs)]

mod rig;

use dp_book::{Keeper, State};
use dp_types::{InstrumentId, LinkId, UnixNanos};
use dp_venue_api::{Event, RestRequest, RestResponse, RestTag, Sink, Venue as _};
use dp_venue_oanda::sync::OandaSync;
use dp_venue_oanda::{LINK_REST, LINK_STREAM};
use proptest::prelude::*;
use rig::{Rig, fixture, ready};
use tests_venues::damage::{each_byte, mutate};
use tests_venues::rig::{at_ms, fixtures};

/// Puts every price into a book, as a lane would.
struct Lane {
    keeper: Keeper<OandaSync>,
    instrument: dp_types::Instrument,
    events: usize,
}

impl Lane {
    fn new(rig: &Rig) -> Self {
        let instrument = *rig.registry.get(InstrumentId(0)).expect("registered");
        Self {
            keeper: Keeper::new(OandaSync::new(&instrument)),
            instrument,
            events: 0,
        }
    }
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        self.events += 1;
        if let Event::Book(message) = event
            && message.instrument == self.instrument.id
        {
            self.keeper.on_msg(message, &self.instrument, UnixNanos(1));
            let is_synced = self.keeper.proof().state == State::Synced;
            assert!(!is_synced || !self.keeper.book().is_crossed());
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {
        panic!("nothing is said on a stream");
    }
    fn request(&mut self, _: LinkId, request: &RestRequest<'_>) {
        assert!(request.target.starts_with("/v3/accounts/") && request.target.is_ascii());
    }
    fn reconnect(&mut self, link: LinkId, _: &'static str) {
        assert_eq!(link, LINK_STREAM);
    }
}

/// Everything a fuzzer can reach: bytes as a line and as the body of any answer.
fn feed(rig: &mut Rig, lane: &mut Lane, bytes: &[u8]) {
    for link in [LINK_STREAM, LinkId(77)] {
        let mut copy = bytes.to_vec();
        let (venue, registry) = (&mut rig.venue, &rig.registry);
        let _ = venue.on_text(registry, link, at_ms(1), &mut copy, lane);
    }
    for tag in 0..5 {
        for status in [0, 200, 401, 429, 500, 404] {
            let mut copy = bytes.to_vec();
            let response = RestResponse {
                tag: RestTag(tag),
                status,
                retry_after_s: None,
                usage: dp_venue_api::Usage::default(),
                body: &mut copy,
            };
            let (venue, registry) = (&mut rig.venue, &mut rig.registry);
            let _ = venue.on_response(registry, LINK_REST, at_ms(1), response, lane);
        }
    }
    rig.venue.on_deadline(&rig.registry, at_ms(60_000), lane);
}

/// After whatever came, a new stream is read as on the first day.
fn still_reads(rig: &mut Rig, lane: &mut Lane) {
    rig.close(LINK_STREAM, 70_000);
    rig.open(LINK_STREAM, 70_000);
    let before = lane.events;
    let mut price = fixture("feed_price").as_bytes().to_vec();
    let (venue, registry) = (&mut rig.venue, &rig.registry);
    let read = venue.on_text(registry, LINK_STREAM, at_ms(70_001), &mut price, lane);
    assert_eq!((read, lane.events - before), (Ok(()), 2));
}

#[test]
fn each_byte_of_each_fixture_may_be_another() {
    let mut rig = ready();
    let mut lane = Lane::new(&rig);
    for (_, text) in fixtures(env!("CARGO_MANIFEST_DIR")) {
        each_byte(text.as_bytes(), |bytes| feed(&mut rig, &mut lane, bytes));
    }
    still_reads(&mut rig, &mut lane);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn damaged_fixtures_are_taken_or_refused(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec(any::<(u8, u16, u8)>(), 1..6),
    ) {
        let all = fixtures(env!("CARGO_MANIFEST_DIR"));
        let mut bytes = all[which.index(all.len())].1.as_bytes().to_vec();
        mutate(&mut bytes, &edits);
        let mut rig = ready();
        let mut lane = Lane::new(&rig);
        feed(&mut rig, &mut lane, &bytes);
        still_reads(&mut rig, &mut lane);
    }

    #[test]
    fn any_bytes_are_taken_or_refused(bytes: Vec<u8>) {
        let mut rig = ready();
        let mut lane = Lane::new(&rig);
        feed(&mut rig, &mut lane, &bytes);
        still_reads(&mut rig, &mut lane);
    }
}
