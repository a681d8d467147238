//! Bytes nobody should send: whatever arrives, the machine answers with events or a typed error, never panics, and
//! stays usable.
#![allow(missing_docs)]

mod rig;

use dp_book::Keeper;
use dp_types::limit::WS_MSG_MAX;
use dp_types::{InstrumentId, LinkId, UnixNanos};
use dp_venue_api::{DecodeError, Event, RestRequest, RestResponse, RestTag, Sink, Venue as _};
use dp_venue_deribit::sync::DeribitSync;
use dp_venue_deribit::{LINK_MD, LINK_ORDERS, LINK_REST};
use proptest::prelude::*;
use rig::{Rig, fixture};
use tests_venues::damage::{each_byte, mutate};
use tests_venues::rig::{at_ms, fixtures};

/// Puts every depth message into a book, as a lane would.
struct Lane {
    keeper: Keeper<DeribitSync>,
    instrument: dp_types::Instrument,
    events: usize,
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        self.events += 1;
        if let Event::Book(message) = event {
            self.keeper.on_msg(message, &self.instrument, UnixNanos(1));
        }
    }
    fn send_text(&mut self, _: LinkId, text: &[u8]) {
        serde_json::from_slice::<serde_json::Value>(text).expect("what we send is JSON");
    }
    fn request(&mut self, link: LinkId, request: &RestRequest<'_>) {
        assert_eq!(link, LINK_REST);
        assert!(request.target.starts_with("/api/v2/"));
        assert!(request.target.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

fn lane(rig: &Rig) -> Lane {
    let instrument = *rig.registry.get(InstrumentId(0)).expect("registered");
    Lane {
        keeper: Keeper::new(DeribitSync::new(&instrument)),
        instrument,
        events: 0,
    }
}

/// Everything a fuzzer can reach: bytes as a frame on every link and as the body of any answer.
fn feed(rig: &mut Rig, bytes: &[u8]) {
    let mut lane = lane(rig);
    for link in [LINK_MD, LINK_ORDERS, LinkId(77)] {
        let mut copy = bytes.to_vec();
        let _ = rig
            .venue
            .on_text(&rig.registry, link, at_ms(1), &mut copy, &mut lane);
    }
    rig.venue.reconcile(&rig.registry, at_ms(1), &mut lane);
    for kind in 0..10 {
        // Of the run under way, and of none.
        for tag in [kind, kind | 1 << 8] {
            let mut copy = bytes.to_vec();
            let response = RestResponse {
                tag: RestTag(tag),
                status: [200, 0, 429, 500][kind as usize % 4],
                retry_after_s: None,
                usage: dp_venue_api::Usage::default(),
                body: &mut copy,
            };
            let (venue, registry) = (&mut rig.venue, &mut rig.registry);
            let _ = venue.on_response(registry, LINK_REST, at_ms(1), response, &mut lane);
        }
    }
    for ms in [2, 10_000, 60_000, 900_000] {
        rig.venue.on_deadline(&rig.registry, at_ms(ms), &mut lane);
    }
    // What is asked anew for ever is bounded by what one message can say.
    assert!(lane.events < 100 + 10 * bytes.len());
}

/// After anything hostile a link begins anew, and good messages come through.
fn still_works(rig: &mut Rig) {
    for link in [LINK_MD, LINK_ORDERS] {
        rig.close(link, 1_000_000);
    }
    rig.open(LINK_MD, 1_000_000);
    let said = rig::log_in(rig, 5_000_000);
    assert!(said.events.contains(&"LoggedIn(LinkId(2))".to_owned()));
    for (name, events) in [("feed_trades", 2), ("feed_book_snapshot", 1)] {
        let (said, result) = rig.text(LINK_MD, 5_000_000, fixture(name));
        assert_eq!((result, said.events.len()), (Ok(()), events));
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn all() -> Vec<(String, &'static str)> {
    fixtures(env!("CARGO_MANIFEST_DIR"))
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
    fn real_messages_damaged_in_every_way(
        picks in proptest::collection::vec(
            (any::<prop::sample::Index>(), proptest::collection::vec(any::<(u8, u16, u8)>(), 0..6)),
            1..12,
        ),
    ) {
        let mut rig = rig::ready();
        let all = all();
        for (pick, edits) in picks {
            let mut bytes = pick.get(&all).1.as_bytes().to_vec();
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
            "null", "true", "-1", "0", "18446744073709551615", "1e400", "\"\"", "\"x\"", "[]", "{}", "[[]]",
            "\"-9223372036854775808\"", "-9223372036854775808", "9223372036854775807.0", "0.000000000000000001",
            "\"1e18\"", "-0.0", "\"market_price\"", "[null]",
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
        feed(&mut rig, changed.as_bytes());
        still_works(&mut rig);
    }
}

/// Each byte of a message on the way of an order, each way it can be wrong.
#[test]
fn each_byte_of_what_matters_most() {
    let mut rig = rig::ready();
    for name in [
        "entry_new_ioc_filled",
        "account_changes_partial",
        "feed_book_change",
    ] {
        let mut lane = lane(&rig);
        each_byte(fixture(name).as_bytes(), |bytes| {
            let mut copy = bytes.to_vec();
            let now = at_ms(1);
            let link = LINK_ORDERS;
            let _ = rig
                .venue
                .on_text(&rig.registry, link, now, &mut copy, &mut lane);
        });
        assert!(lane.events > 0);
    }
    still_works(&mut rig);
}

#[test]
fn levels_beyond_the_bound_are_refused() {
    let side = vec![r#"["new",1.0,1.0]"#; 5_001].join(",");
    let text = format!(
        r#"{{"method":"subscription","params":{{"channel":"book.BTC-PERPETUAL.raw","data":{{"type":"snapshot","instrument_name":"BTC-PERPETUAL","change_id":1,"bids":[{side}],"asks":[]}}}}}}"#
    );
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_MD, 0, &text);
    assert_eq!(result, Err(DecodeError::TooMuch("levels").into()));
    assert_eq!(said.events, ["BookLost(InstrumentId(0))"]);
    let long = format!("[{}1]", "1,".repeat(WS_MSG_MAX / 2));
    let (_, result) = rig.text(LINK_MD, 0, &long);
    assert_eq!(result, Err(DecodeError::TooMuch("message size").into()));
    still_works(&mut rig);
}
