//! Bytes nobody should send: whatever arrives, the machine answers with events or a typed error,
//! never panics, and stays usable.
#![allow(missing_docs)]

mod rig;

use dp_book::Keeper;
use dp_types::{LinkId, UnixNanos};
use dp_venue_api::{Event, RestRequest, RestTag, Sink};
use dp_venue_okx::sync::OkxSync;
use dp_venue_okx::{LINK_PRIVATE, LINK_PUBLIC};
use proptest::prelude::*;
use rig::{Rig, fixture};
use tests_venues::rig::at_ms;

const FIXTURES: [&str; 24] = [
    "feed_snapshot",
    "feed_delta",
    "feed_bbo",
    "feed_trades",
    "feed_ticker",
    "feed_notice_upgrade",
    "feed_error_channel",
    "entry_new_ack",
    "entry_reject_funds",
    "entry_reject_rate",
    "entry_error_request",
    "entry_batch_cancel_partial",
    "entry_login_ack",
    "account_order_partial",
    "account_order_canceled_post_only",
    "account_balance",
    "account_positions",
    "rest_instruments_spot",
    "rest_books",
    "rest_orders_pending",
    "rest_fills",
    "rest_balance",
    "account_funding",
    "rest_bills",
];

/// Puts every depth message into a book, as a lane would.
struct Lane {
    keeper: Keeper<OkxSync>,
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
        assert!(request.target.starts_with("/api/v5/"));
    }
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// Everything a fuzzer can reach: bytes as a frame on both links and as the body of any answer.
fn feed(rig: &mut Rig, bytes: &[u8]) {
    use dp_venue_api::{RestResponse, Venue as _};
    let instrument = *rig
        .registry
        .get(dp_types::InstrumentId(0))
        .expect("registered");
    let mut lane = Lane {
        keeper: Keeper::new(OkxSync::new(&instrument)),
        instrument,
    };
    for link in [LINK_PUBLIC, LINK_PRIVATE, LinkId(77)] {
        let mut copy = bytes.to_vec();
        let _ = rig
            .venue
            .on_text(&rig.registry, link, at_ms(1), &mut copy, &mut lane);
    }
    for kind in 0..10 {
        let mut copy = bytes.to_vec();
        let response = RestResponse {
            tag: RestTag(kind),
            status: [0, 200, 429, 500][kind as usize % 4],
            retry_after_s: None,
            usage: dp_venue_api::Usage::default(),
            body: &mut copy,
        };
        let (okx, registry) = (&mut rig.venue, &mut rig.registry);
        let _ = okx.on_response(registry, LinkId(0), at_ms(1), response, &mut lane);
    }
    rig.venue
        .on_deadline(&rig.registry, at_ms(60_000), &mut lane);
}

/// After anything hostile a good message must still come through.
fn still_works(rig: &mut Rig) {
    let (said, result) = rig.text(LINK_PUBLIC, 2, fixture("feed_trades"));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events.len(), 1);
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
    fn real_messages_with_bytes_changed_cut_and_repeated(
        picks in proptest::collection::vec((0..FIXTURES.len(), any::<[(u16, u8); 3]>(), any::<u16>(), 0u8..4), 1..12),
    ) {
        let mut rig = rig::ready();
        for (pick, changes, cut, how) in picks {
            let mut bytes = fixture(FIXTURES[pick]).as_bytes().to_vec();
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
        pick in 0..FIXTURES.len(),
        place in any::<prop::sample::Index>(),
        value in prop::sample::select(vec![
            "null", "true", "-1", "0", "18446744073709551615", "1e400", "\"\"", "\"x\"", "[]", "{}", "[[]]",
            "\"-9223372036854775808\"", "\"99999999999999999999\"", "\"1e18\"", "\"-0\"",
        ]),
    ) {
        let text = fixture(FIXTURES[pick]);
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
    let side = vec![r#"["1","1","0","1"]"#; 5_001].join(",");
    let text = format!(
        r#"{{"arg":{{"channel":"books","instId":"BTC-USDT"}},"action":"snapshot","data":[{{"asks":[],"bids":[{side}],"ts":"1"}}]}}"#
    );
    let mut rig = rig::ready();
    let (_, result) = rig.text(LINK_PUBLIC, 0, &text);
    let error = dp_venue_api::DecodeError::TooMuch("levels");
    assert_eq!(result, Err(error.into()));
    still_works(&mut rig);
}
