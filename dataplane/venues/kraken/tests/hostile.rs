//! Bytes nobody should send: whatever arrives, the machine answers with events or a typed error, never panics, and
//! stays usable.
#![allow(missing_docs)]

mod rig;

use dp_book::Keeper;
use dp_types::{LinkId, UnixNanos};
use dp_venue_api::{Event, RestRequest, RestResponse, RestTag, Sink, Venue as _};
use dp_venue_kraken::sync::KrakenSync;
use dp_venue_kraken::{LINK_PRIVATE, LINK_PUBLIC};
use proptest::prelude::*;
use rig::{BTC, Rig, fixture};
use std::sync::LazyLock;
use tests_venues::rig::at_ms;

static FIXTURES: LazyLock<Vec<(String, &'static str)>> =
    LazyLock::new(|| tests_venues::rig::fixtures(env!("CARGO_MANIFEST_DIR")));

/// Puts every depth message into a book, as a lane would.
struct Lane {
    keeper: Keeper<KrakenSync>,
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
        let _: serde_json::Value = serde_json::from_str(text).expect("we write JSON");
    }
    fn request(&mut self, _: LinkId, request: &RestRequest<'_>) {
        assert!(request.target.starts_with("/0/"));
        let body = std::str::from_utf8(request.body).expect("UTF-8");
        let is_form = |byte: u8| byte.is_ascii_alphanumeric() || b"&=_-%".contains(&byte);
        assert!(body.bytes().all(is_form), "{body}");
    }
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// Everything a fuzzer can reach: bytes as a frame on every link and as the body of any answer.
fn feed(rig: &mut Rig, bytes: &[u8]) {
    let instrument = *rig.registry.get(BTC).expect("registered");
    let mut lane = Lane {
        keeper: Keeper::new(KrakenSync::new(&instrument)),
        instrument,
    };
    for link in [LINK_PUBLIC, LINK_PRIVATE, LinkId(77)] {
        let mut copy = bytes.to_vec();
        let _ = rig
            .venue
            .on_text(&rig.registry, link, at_ms(1), &mut copy, &mut lane);
    }
    rig.venue.reconcile(&rig.registry, at_ms(1), &mut lane);
    for kind in 0..12 {
        for number in [0, 1] {
            let mut copy = bytes.to_vec();
            let response = RestResponse {
                tag: RestTag(kind | number << 8),
                status: [200, 0, 429, 500][(kind as usize + number as usize * 3) % 4],
                retry_after_s: None,
                usage: dp_venue_api::Usage::default(),
                body: &mut copy,
            };
            let (kraken, registry) = (&mut rig.venue, &mut rig.registry);
            let _ = kraken.on_response(registry, LinkId(0), at_ms(1), response, &mut lane);
        }
    }
    rig.venue
        .on_deadline(&rig.registry, at_ms(60_000), &mut lane);
    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(60_001), &mut lane);
}

/// After anything hostile a good message must still come through.
fn still_works(rig: &mut Rig) {
    let (said, result) = rig.text(LINK_PUBLIC, 2, fixture("feed_trade"));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events.len(), 2);
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..8)) {
        let mut rig = rig::with_order();
        for frame in &frames {
            feed(&mut rig, frame);
        }
        still_works(&mut rig);
    }

    #[test]
    fn real_messages_with_bytes_changed_cut_and_repeated(
        picks in proptest::collection::vec((any::<prop::sample::Index>(), any::<[(u16, u8); 3]>(), any::<u16>(), 0u8..4), 1..12),
    ) {
        let mut rig = rig::with_order();
        for (pick, changes, cut, how) in picks {
            let mut bytes = pick.get(&FIXTURES).1.as_bytes().to_vec();
            let len = bytes.len();
            match how {
                0 => bytes.truncate(usize::from(cut) % len),
                1 => bytes.extend_from_within(usize::from(cut) % len..),
                _ => {
                    for (at, byte) in changes {
                        bytes[usize::from(at) % len] = if how == 2 { byte } else { b'0' + byte % 10 };
                    }
                }
            }
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
            "null", "true", "-1", "0", "18446744073709551615", "1e400", "\"\"", "\"x\"", "[]", "{}", "[[]]",
            "-9223372036854775808.5", "99999999999999999999", "1e18", "-0.0", "1.2.3", "\"9999-12-31T23:59:59Z\"",
            "\"Post only order\"", "\"&pair=\\\"\"",
        ]),
    ) {
        let text = pick.get(&FIXTURES).1;
        let starts: Vec<_> = text.match_indices(':').map(|(at, _)| at + 1).collect();
        let starts = if starts.is_empty() { vec![0] } else { starts };
        let start = *place.get(&starts);
        let rest = &text[start..];
        let end = rest.find([',', '}', ']']).unwrap_or(rest.len());
        let changed = format!("{}{value}{}", &text[..start], &rest[end..]);
        let mut rig = rig::with_order();
        feed(&mut rig, changed.as_bytes());
        still_works(&mut rig);
    }
}

#[test]
fn levels_beyond_the_bound_are_refused() {
    let side = vec![r#"{"price":1.0,"qty":1.0}"#; 5_001].join(",");
    let text = format!(
        r#"{{"channel":"book","type":"snapshot","data":[{{"symbol":"BTC/USD","bids":[{side}],"asks":[]}}]}}"#
    );
    let mut rig = rig::ready();
    let (_, result) = rig.text(LINK_PUBLIC, 0, &text);
    let error = dp_venue_api::DecodeError::TooMuch("levels");
    assert_eq!(result, Err(error.into()));
    still_works(&mut rig);
}
