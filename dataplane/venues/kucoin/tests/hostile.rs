//! Bytes nobody should send: whatever arrives, the machine answers with events or a typed error, never panics, and
//! stays usable.
#![allow(missing_docs)]

mod rig;

use dp_book::Keeper;
use dp_types::{LinkId, UnixNanos};
use dp_venue_api::{Event, RestRequest, RestTag, Sink};
use dp_venue_kucoin::LINK_MD;
use dp_venue_kucoin::sync::KucoinSync;
use proptest::prelude::*;
use rig::{Rig, fixture};
use tests_venues::damage::mutate;
use tests_venues::rig::{at_ms, fixtures};

/// Puts every depth message into a book, as a lane would.
struct Lane {
    keeper: Keeper<KucoinSync>,
    instrument: dp_types::Instrument,
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Book(message) = event {
            self.keeper.on_msg(message, &self.instrument, UnixNanos(1));
        }
    }
    fn send_text(&mut self, _: LinkId, text: &[u8]) {
        assert!(std::str::from_utf8(text).is_ok());
    }
    fn request(&mut self, _: LinkId, request: &RestRequest<'_>) {
        assert!(request.target.starts_with("/api/v"));
    }
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
    fn connect(&mut self, _: LinkId, path: &str) {
        assert!(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}

/// Everything a fuzzer can reach: bytes as a frame on every link, text and binary, and as the body of any answer;
/// links that open and close around them.
fn feed(rig: &mut Rig, bytes: &[u8], shake: u8) {
    use dp_venue_api::{RestResponse, Venue as _};
    let instrument = *rig
        .registry
        .get(dp_types::InstrumentId(0))
        .expect("registered");
    let mut lane = Lane {
        keeper: Keeper::new(KucoinSync::new(&instrument)),
        instrument,
    };
    let (kucoin, registry) = (&mut rig.venue, &mut rig.registry);
    for link in [0, 1, 2, 3, 4, 77].map(LinkId) {
        if shake & 1 << (link.0 % 8) != 0 {
            kucoin.on_closed(link, at_ms(1), &mut lane);
            kucoin.on_open(registry, link, at_ms(1), &mut lane);
        }
        let mut copy = bytes.to_vec();
        let _ = kucoin.on_text(registry, link, at_ms(1), &mut copy, &mut lane);
        let mut copy = bytes.to_vec();
        let _ = kucoin.on_binary(registry, link, at_ms(1), &mut copy, &mut lane);
    }
    for kind in 0..14 {
        for number in [0, 1, 1 << 32] {
            let mut copy = bytes.to_vec();
            let response = RestResponse {
                tag: RestTag(kind | number << 8),
                status: [0, 200, 429, 500][usize::from(shake) % 4],
                retry_after_s: Some(u32::MAX),
                usage: dp_venue_api::Usage::default(),
                body: &mut copy,
            };
            let _ = kucoin.on_response(registry, LinkId(0), at_ms(1), response, &mut lane);
        }
    }
    rig.venue
        .on_deadline(&rig.registry, at_ms(60_000), &mut lane);
}

/// After anything hostile a good message must still come through.
fn still_works(rig: &mut Rig) {
    let (said, result) = rig.text(LINK_MD, 2, fixture("feed_trade"));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events.len(), 1);
}

fn all() -> Vec<(String, &'static str)> {
    let all = fixtures(env!("CARGO_MANIFEST_DIR"));
    assert!(all.len() > 70);
    all
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
    fn any_bytes(
        frames in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..200), any::<u8>()), 1..8),
    ) {
        let mut rig = rig::ready();
        for (frame, shake) in &frames {
            feed(&mut rig, frame, *shake);
        }
        still_works(&mut rig);
    }

    #[test]
    fn real_messages_with_bytes_changed_cut_and_repeated(
        picks in proptest::collection::vec(
            (any::<prop::sample::Index>(), proptest::collection::vec(any::<(u8, u16, u8)>(), 1..4), any::<u8>()),
            1..10,
        ),
    ) {
        let all = all();
        let mut rig = rig::ready();
        for (pick, edits, shake) in picks {
            let mut bytes = pick.get(&all).1.as_bytes().to_vec();
            mutate(&mut bytes, &edits);
            feed(&mut rig, &bytes, shake);
        }
        still_works(&mut rig);
    }

    /// Values of every JSON kind in every place of every message.
    #[test]
    fn values_replaced_by_other_kinds(
        pick in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        shake in any::<u8>(),
        value in prop::sample::select(vec![
            "null", "true", "-1", "0", "18446744073709551615", "1e400", "\"\"", "\"x\"", "[]", "{}", "[[]]", "1.5",
            "\"-9223372036854775808\"", "\"99999999999999999999\"", "\"1e18\"", "\"-0\"", "\"9223372036854775807\"",
        ]),
    ) {
        let all = all();
        let text = pick.get(&all).1;
        let starts: Vec<_> = text.match_indices(':').map(|(at, _)| at + 1).collect();
        let start = starts[place.index(starts.len())];
        let rest = &text[start..];
        let end = rest.find([',', '}', ']']).unwrap_or(rest.len());
        let changed = format!("{}{value}{}", &text[..start], &rest[end..]);
        let mut rig = rig::ready();
        feed(&mut rig, changed.as_bytes(), shake);
        still_works(&mut rig);
    }
}

#[test]
fn levels_beyond_the_bound_are_refused() {
    let side = vec![r#"["1","1","5"]"#; 5_001].join(",");
    let text = format!(
        r#"{{"topic":"/market/level2:BTC-USDT","data":{{"changes":{{"asks":[],"bids":[{side}]}},"sequenceStart":1,"sequenceEnd":5}}}}"#
    );
    let mut rig = rig::ready();
    let (_, result) = rig.text(LINK_MD, 0, &text);
    let error = dp_venue_api::DecodeError::TooMuch("levels");
    assert_eq!(result, Err(error.into()));
    still_works(&mut rig);
}

/// What the venue would never send in one message: as many as a message may hold, the wrong way round.
#[test]
fn the_largest_message_in_the_worst_order_is_put_in_order() {
    let side: Vec<_> = (0..5_000)
        .map(|n| format!(r#"["1","{n}","{}"]"#, 5_000 - n))
        .collect();
    let side = side.join(",");
    let text = format!(
        r#"{{"topic":"/market/level2:BTC-USDT","data":{{"changes":{{"asks":[],"bids":[{side}]}},"sequenceStart":1,"sequenceEnd":5000}}}}"#
    );
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_MD, 0, &text);
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Book Delta 1..5000 prev -1 checksum None 5000x0"]
    );
}
