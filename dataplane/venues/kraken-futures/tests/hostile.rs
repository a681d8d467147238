//! Bytes nobody should send: whatever arrives, the machine answers with events or a typed error, never panics, and
//! stays usable.
#![allow(missing_docs)]

mod rig;

use dp_book::Keeper;
use dp_types::{InstrumentId, LinkId, UnixNanos};
use dp_venue_api::{DecodeError, Event, RestRequest, RestResponse, RestTag, Sink, Venue};
use dp_venue_kraken_futures::sync::KrakenFuturesSync;
use dp_venue_kraken_futures::{LINK_PRIVATE, LINK_PUBLIC};
use proptest::prelude::*;
use rig::{Rig, fixture};
use tests_venues::damage::mutate;
use tests_venues::rig::{at_ms, fixtures};

/// Puts every depth message into a book, as a lane would.
struct Lane {
    keeper: Keeper<KrakenFuturesSync>,
    instrument: dp_types::Instrument,
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Book(message) = event {
            self.keeper.on_msg(message, &self.instrument, UnixNanos(1));
        }
    }
    fn send_text(&mut self, _: LinkId, text: &[u8]) {
        let text = std::str::from_utf8(text).expect("UTF-8");
        serde_json::from_str::<serde_json::Value>(text).expect("what we send is JSON");
    }
    fn request(&mut self, _: LinkId, request: &RestRequest<'_>) {
        assert!(request.target.starts_with("/0/"));
    }
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// Everything a fuzzer can reach: bytes as a frame on any link and as the body of any answer.
fn feed(rig: &mut Rig, bytes: &[u8]) {
    let instrument = *rig.registry.get(InstrumentId(0)).expect("registered");
    let mut lane = Lane {
        keeper: Keeper::new(KrakenFuturesSync::new(&instrument)),
        instrument,
    };
    for link in [LINK_PUBLIC, LINK_PRIVATE, LinkId(77)] {
        let mut copy = bytes.to_vec();
        let _ = rig
            .venue
            .on_text(&rig.registry, link, at_ms(1), &mut copy, &mut lane);
    }
    for tag in (0..12).chain([0x101, 0x104]) {
        let mut copy = bytes.to_vec();
        let response = RestResponse {
            tag: RestTag(tag),
            status: [0, 200, 429, 500, 200][tag as usize % 5],
            retry_after_s: None,
            usage: dp_venue_api::Usage::default(),
            body: &mut copy,
        };
        let (venue, registry) = (&mut rig.venue, &mut rig.registry);
        let _ = venue.on_response(registry, LinkId(0), at_ms(1), response, &mut lane);
    }
    for ms in [2, 60_000] {
        rig.venue.on_deadline(&rig.registry, at_ms(ms), &mut lane);
    }
}

/// After anything hostile a good message must still come through.
fn still_works(rig: &mut Rig) {
    let (said, result) = rig.text(LINK_PUBLIC, 2, fixture("feed_trade"));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events.len(), 2);
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..8)) {
        let mut rig = rig::ready();
        for frame in &frames {
            feed(&mut rig, frame);
        }
        still_works(&mut rig);
    }

    #[test]
    fn real_messages_damaged(
        picks in proptest::collection::vec(
            (any::<prop::sample::Index>(), proptest::collection::vec(any::<(u8, u16, u8)>(), 0..4)),
            1..12,
        ),
    ) {
        let all = fixtures(env!("CARGO_MANIFEST_DIR"));
        let mut rig = rig::ready();
        for (pick, edits) in picks {
            let (_, text) = pick.get(&all);
            let mut bytes = text.as_bytes().to_vec();
            mutate(&mut bytes, &edits);
            feed(&mut rig, &bytes);
        }
        still_works(&mut rig);
    }

    /// Values of every JSON kind in every place of every message.
    #[test]
    fn values_replaced_by_other_kinds(
        pick in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        value in prop::sample::select(vec![
            "null", "true", "-1", "0", "18446744073709551615", "1e400", "-0.0", "9223372036854775807.5", "\"\"",
            "\"x\"", "[]", "{}", "[[]]", "\"-9223372036854775808\"", "1e18", "1e-18", "\"9999-99-99T99:99:99Z\"",
        ]),
    ) {
        let all = fixtures(env!("CARGO_MANIFEST_DIR"));
        let (_, text) = pick.get(&all);
        let starts: Vec<_> = text.match_indices(':').map(|(at, _)| at + 1).collect();
        let start = starts[place.index(starts.len())];
        let rest = &text[start..];
        let end = rest.find([',', '}', ']']).unwrap_or(rest.len());
        let changed = format!("{}{value}{}", &text[..start], &rest[end..]);
        let mut rig = rig::ready();
        feed(&mut rig, changed.as_bytes());
        still_works(&mut rig);
    }

    /// Links that come and go at any time, with every fixture in between: no deadline without an end.
    #[test]
    fn any_order_of_links_messages_and_time(
        steps in proptest::collection::vec((0u8..6, any::<prop::sample::Index>(), 0u64..12_000), 1..60),
    ) {
        let all = fixtures(env!("CARGO_MANIFEST_DIR"));
        let mut rig = rig::new(&["PF_XBTUSD"], true);
        let mut ms = 0;
        for (what, pick, wait) in steps {
            ms += wait;
            let link = LinkId(what % 3);
            match what {
                0..=2 => drop(rig.open(link, ms)),
                3 => drop(rig.close(LinkId(wait as u8 % 3), ms)),
                4 => drop(rig.text(LINK_PRIVATE, ms, pick.get(&all).1)),
                _ => drop(rig.response(ms, RestTag(wait % 3), 200, pick.get(&all).1)),
            }
            let mut turns = 0;
            while rig.venue.next_deadline().is_some_and(|at| at <= at_ms(ms).unix) {
                rig.deadline(ms);
                turns += 1;
                prop_assert!(turns < 10, "a deadline that does not pass");
            }
        }
    }
}

#[test]
fn levels_beyond_the_bound_are_refused() {
    let side = vec![r#"{"price":1.0,"qty":1.0}"#; 5_001].join(",");
    for text in [
        format!(
            r#"{{"channel":"book","type":"snapshot","data":[{{"symbol":"PF_XBTUSD","bids":[{side}]}}]}}"#
        ),
        format!(
            r#"{{"feed":"book_snapshot","product_id":"PF_XBTUSD","seq":1,"bids":[],"asks":[{side}]}}"#
        ),
    ] {
        let mut rig = rig::ready();
        let (_, result) = rig.text(LINK_PUBLIC, 0, &text);
        assert_eq!(result, Err(DecodeError::TooMuch("levels").into()));
        still_works(&mut rig);
    }
}

#[test]
fn a_message_beyond_the_bound_is_refused() {
    let text = " ".repeat(dp_types::limit::WS_MSG_MAX + 1);
    let mut rig = rig::ready();
    let (_, result) = rig.text(LINK_PUBLIC, 0, &text);
    assert_eq!(result, Err(DecodeError::TooMuch("message size").into()));
    still_works(&mut rig);
}
