//! Bytes nobody should send: whatever arrives, the machine answers with events or a typed error,
//! never panics, and stays usable.
#![allow(missing_docs)]

mod rig;

use dp_book::Keeper;
use dp_types::{LinkId, UnixNanos};
use dp_venue_api::{DecodeError, Event, RestRequest, RestResponse, RestTag, Sink, Venue as _};
use dp_venue_huobi::LINK_FEED;
use dp_venue_huobi::sync::HuobiSync;
use proptest::prelude::*;
use rig::{Rig, binary, fixture, gzip};
use tests_venues::damage::mutate;
use tests_venues::rig::{at_ms, fixtures};

/// Puts every depth message into a book, as a lane would.
struct Lane {
    keeper: Keeper<HuobiSync>,
    instrument: dp_types::Instrument,
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Book(message) = event {
            self.keeper.on_msg(message, &self.instrument, UnixNanos(1));
        }
    }
    fn send_text(&mut self, _: LinkId, text: &[u8]) {
        let is_json = serde_json::from_slice::<serde_json::Value>(text).is_ok();
        assert!(is_json, "{}", String::from_utf8_lossy(text));
    }
    fn request(&mut self, _: LinkId, request: &RestRequest<'_>) {
        assert!(request.target.starts_with("/v") && request.target.is_ascii());
    }
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// Everything a fuzzer can reach: bytes as a frame of both kinds on every link and as the body of any answer.
fn feed(rig: &mut Rig, bytes: &[u8]) {
    let instrument = *rig
        .registry
        .get(dp_types::InstrumentId(0))
        .expect("registered");
    let mut lane = Lane {
        keeper: Keeper::new(HuobiSync::new(&instrument)),
        instrument,
    };
    let Rig {
        venue, registry, ..
    } = rig;
    let mut inflated = gzip(&String::from_utf8_lossy(bytes));
    for link in [1, 2, 3, 4, 77].map(LinkId) {
        let mut copy = bytes.to_vec();
        let _ = venue.on_text(registry, link, at_ms(1), &mut copy, &mut lane);
        let mut copy = bytes.to_vec();
        let _ = venue.on_binary(registry, link, at_ms(1), &mut copy, &mut lane);
        let _ = venue.on_binary(registry, link, at_ms(1), &mut inflated, &mut lane);
    }
    for kind in 0..10 {
        let mut copy = bytes.to_vec();
        let response = RestResponse {
            tag: RestTag(kind),
            status: [200, 0, 429, 500][kind as usize % 4],
            retry_after_s: None,
            usage: dp_venue_api::Usage::default(),
            body: &mut copy,
        };
        let _ = venue.on_response(registry, LinkId(0), at_ms(1), response, &mut lane);
        let mut copy = bytes.to_vec();
        let response = RestResponse {
            tag: RestTag(kind),
            status: 200,
            retry_after_s: None,
            usage: dp_venue_api::Usage::default(),
            body: &mut copy,
        };
        let _ = venue.on_response(registry, LinkId(0), at_ms(1), response, &mut lane);
    }
    venue.reconcile(registry, at_ms(2), &mut lane);
    venue.on_deadline(registry, at_ms(60_000), &mut lane);
}

/// After anything hostile a good message must still come through.
fn still_works(rig: &mut Rig) {
    let (said, result) = binary(rig, LINK_FEED, 2, &gzip(fixture("feed_trades")));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events.len(), 1);
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn texts() -> Vec<&'static str> {
    let all = fixtures(env!("CARGO_MANIFEST_DIR"));
    all.into_iter().map(|(_, text)| text).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..6)) {
        let mut rig = rig::ready();
        for frame in &frames {
            feed(&mut rig, frame);
            let framed = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff], &frame[..]].concat();
            let _ = binary(&mut rig, LINK_FEED, 1, &framed);
        }
        still_works(&mut rig);
    }

    /// Bytes of a good frame changed: of the text before it is compressed, and of what went over the wire.
    #[test]
    fn real_messages_with_bytes_changed_cut_and_repeated(
        picks in proptest::collection::vec((any::<prop::sample::Index>(), any::<[(u8, u16, u8); 3]>()), 1..8),
    ) {
        let texts = texts();
        let mut rig = rig::ready();
        for (pick, edits) in picks {
            let text = *pick.get(&texts);
            let mut bytes = text.as_bytes().to_vec();
            mutate(&mut bytes, &edits);
            feed(&mut rig, &bytes);
            let mut wire = gzip(text);
            mutate(&mut wire, &edits);
            let _ = binary(&mut rig, LINK_FEED, 1, &wire);
        }
        still_works(&mut rig);
    }

    /// Values of every JSON kind in every place of every message.
    #[test]
    fn values_replaced_by_other_kinds(
        pick in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        value in prop::sample::select(vec![
            "null", "true", "-1", "0", "18446744073709551615", "1e400", "\"\"", "\"x\"", "[]", "{}", "[[]]",
            "99999999999999999999999999999999999999999999", "\"-9223372036854775808\"", "1.5E-300", "-0.0",
            "\"1e18\"", "\"-0\"", "\"\u{e9}\"", "0.0000000000000000000000000000000000001",
        ]),
    ) {
        let texts = texts();
        let text = pick.get(&texts);
        let starts: Vec<_> = text.match_indices(':').map(|(at, _)| at + 1).collect();
        let start = starts[place.index(starts.len())];
        let rest = &text[start..];
        let end = rest.find([',', '}', ']']).unwrap_or(rest.len());
        let changed = format!("{}{value}{}", &text[..start], &rest[end..]);
        let mut rig = rig::ready();
        feed(&mut rig, changed.as_bytes());
        still_works(&mut rig);
    }
}

#[test]
fn levels_beyond_the_bound_are_refused() {
    let side = vec!["[1.5,1]"; 5_001].join(",");
    let text = format!(
        r#"{{"ch":"market.btcusdt.mbp.20","ts":1,"tick":{{"seqNum":2,"prevSeqNum":1,"bids":[{side}]}}}}"#
    );
    let mut rig = rig::ready();
    let (_, result) = binary(&mut rig, LINK_FEED, 0, &gzip(&text));
    assert_eq!(result, Err(DecodeError::TooMuch("levels").into()));
    still_works(&mut rig);
}

#[test]
fn a_small_frame_that_grows_large_is_refused() {
    let mut rig = rig::ready();
    let bomb = gzip(&" ".repeat(8 << 20));
    assert!(bomb.len() < 10_000);
    let (said, result) = binary(&mut rig, LINK_FEED, 0, &bomb);
    assert_eq!(
        result,
        Err(DecodeError::TooMuch("inflated message size").into())
    );
    assert!(said.reconnects.is_empty());
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let (_, result) = binary(&mut rig, LINK_FEED, 0, &gzip(&deep));
    assert_eq!(result, Err(DecodeError::TooMuch("nesting").into()));
    still_works(&mut rig);
}
