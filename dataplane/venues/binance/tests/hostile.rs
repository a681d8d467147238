//! Bytes nobody should send: whatever arrives, the machine answers with events or a typed error, never
//! panics, and stays usable.
#![allow(missing_docs)]

mod rig;

use dp_book::{Book, Keeper};
use dp_types::{LinkId, UnixNanos};
use dp_venue_api::{Event, Registry, RestRequest, RestTag, Sink};
use dp_venue_binance::feed::{Decoder, decode_any};
use dp_venue_binance::sync::BinanceSync;
use dp_venue_binance::{LINK_MD, LINK_ORDERS};
use proptest::prelude::*;
use rig::{Keys, Rig, fixture};
use tests_venues::rig::at_ms;

const FIXTURES: [&str; 26] = [
    "feed_delta",
    "feed_delta_futures",
    "feed_partial_depth",
    "feed_quote",
    "feed_trade",
    "feed_agg_trade",
    "feed_ticker",
    "feed_server_shutdown",
    "feed_control_error",
    "entry_new_ack",
    "entry_new_result",
    "entry_reject_funds",
    "entry_reject_rate",
    "entry_banned",
    "entry_amend_ack",
    "entry_query_partial",
    "entry_logon_ack",
    "account_fill_partial",
    "account_canceled",
    "account_balance",
    "rest_exchange_info",
    "rest_depth",
    "rest_open_orders",
    "rest_my_trades",
    "rest_account",
    "rest_too_many",
];

/// Puts every depth message into a book, as a lane would.
struct Lane {
    keeper: Keeper<BinanceSync>,
    instrument: dp_types::Instrument,
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Book(message) = event {
            self.keeper.on_msg(message, &self.instrument, UnixNanos(1));
        }
    }
    fn send_text(&mut self, _: LinkId, text: &[u8]) {
        assert!(serde_json::from_slice::<serde_json::Value>(text).is_ok());
    }
    fn request(&mut self, _: LinkId, request: &RestRequest<'_>) {
        assert!(request.target.starts_with("/api/v3/"));
    }
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// Everything a fuzzer can reach: bytes as a frame on any link, as the body of any answer, as a tool's line.
fn feed(rig: &mut Rig, bytes: &[u8]) {
    use dp_venue_api::{RestResponse, Venue as _};
    let instrument = *rig
        .registry
        .get(dp_types::InstrumentId(0))
        .expect("registered");
    let mut lane = Lane {
        keeper: Keeper::with_book(BinanceSync, Book::new(64)),
        instrument,
    };
    for link in [LINK_MD, LINK_ORDERS, LinkId(77)] {
        let mut copy = bytes.to_vec();
        let _ = rig
            .venue
            .on_text(&rig.registry, link, at_ms(1), &mut copy, &mut lane);
    }
    for kind in 0..9 {
        for status in [0, 200, 429, 500] {
            let mut copy = bytes.to_vec();
            let response = RestResponse {
                tag: RestTag(kind),
                status,
                retry_after_s: None,
                usage: dp_venue_api::Usage::default(),
                body: &mut copy,
            };
            let (venue, registry) = (&mut rig.venue, &mut rig.registry);
            let _ = venue.on_response(registry, LinkId(0), at_ms(1), response, &mut lane);
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
        let mut rig = rig::ready(Keys::Hmac);
        for frame in &frames {
            feed(&mut rig, frame);
        }
        still_works(&mut rig);
    }

    #[test]
    fn real_messages_with_bytes_changed_cut_and_repeated(
        picks in proptest::collection::vec((0..FIXTURES.len(), any::<[(u16, u8); 3]>(), any::<u16>(), 0u8..4), 1..12),
    ) {
        let mut rig = rig::ready(Keys::Ed25519);
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
            "\"-9223372036854775808\"", "\"99999999999999999999\"", "\"1e18\"", "\"-0\"", "\"0.000000000000000001\"",
        ]),
    ) {
        let text = fixture(FIXTURES[pick]);
        let starts: Vec<_> = text.match_indices(':').map(|(at, _)| at + 1).collect();
        let start = starts[place.index(starts.len())];
        let rest = &text[start..];
        let end = rest.find([',', '}', ']']).unwrap_or(rest.len());
        let changed = format!("{}{value}{}", &text[..start], &rest[end..]);
        let mut rig = rig::ready(Keys::Hmac);
        feed(&mut rig, changed.as_bytes());
        still_works(&mut rig);
    }

    /// The tools' entry: any line, any URL.
    #[test]
    fn tools_take_any_line(bytes in proptest::collection::vec(any::<u8>(), 0..120), url: Option<String>, pick in 0..FIXTURES.len()) {
        let mut decoder = Decoder::default();
        let mut registry = Registry::new();
        let mut said = tests_venues::rig::Said::default();
        for mut text in [bytes, fixture(FIXTURES[pick]).as_bytes().to_vec()] {
            let _ = decode_any(&mut decoder, &mut registry, url.as_deref(), &mut text, &mut said);
        }
    }
}

#[test]
fn levels_beyond_the_bound_are_refused() {
    let side = vec![r#"["1","1"]"#; 5_001].join(",");
    let text = format!(r#"{{"e":"depthUpdate","s":"BTCUSDT","U":1,"u":1,"b":[{side}],"a":[]}}"#);
    let mut rig = rig::ready(Keys::None);
    let (_, result) = rig.text(LINK_MD, 0, &text);
    let error = dp_venue_api::DecodeError::TooMuch("levels");
    assert_eq!(result, Err(error.into()));
    still_works(&mut rig);
}
