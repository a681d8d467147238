//! Bytes nobody should send: whatever arrives, the machine answers with events or a typed error, never panics, and
//! stays usable.
#![allow(missing_docs)]

mod rig;

use dp_book::Keeper;
use dp_types::{InstrumentId, LinkId, UnixNanos};
use dp_venue_api::{DecodeError, Event, RestRequest, RestResponse, RestTag, Sink, Venue as _};
use dp_venue_bybit::rest::{Ask, ListPage};
use dp_venue_bybit::sync::BybitSync;
use dp_venue_bybit::{LINK_ORDERS, LINK_PRIVATE, LINK_PUBLIC, LINK_REST};
use proptest::prelude::*;
use rig::{Rig, fixture};
use tests_venues::damage;
use tests_venues::rig::{Said, at_ms, fixtures};

/// Messages of the retired generations, which have no fixture: they are recorded, and read for replay only.
const RETIRED: [&str; 5] = [
    r#"{"topic":"trade.BTCUSDT","data":[{"symbol":"BTCUSDT","price":57073.5,"size":237,"trade_time_ms":1616304710061,"side":"Buy","trade_id":"f6198d62-4d4d-5908-9902-32c3aa5d9cfd"}]}"#,
    r#"{"topic":"orderBookL2_25.BTCUSDT","type":"snapshot","data":{"order_book":[{"price":"36385.50","side":"Buy","size":6.457},{"price":"36400.00","side":"Sell","size":13.931001}]},"timestamp_e6":"1622543529282954"}"#,
    r#"{"topic":"orderBookL2_25.BTCUSDT","type":"delta","data":{"delete":[{"price":"36385.50","side":"Buy"}],"update":[{"price":36400.00,"side":"Sell","size":1}],"insert":[]},"timestamp_e6":1622542809497981}"#,
    r#"{"ret_code":0,"result":[{"symbol":"BTCUSDT","price":"30453.5","size":16.872,"side":"Buy"}],"time_now":"1654245012.731544"}"#,
    r#"{"topic":"instrument_info.100ms.BTCUSDT","type":"delta","data":{"update":[{"symbol":"BTCUSDT"}]}}"#,
];

/// A machine at work; the retired generations know their symbols without a mark.
fn ready() -> Rig {
    let mut rig = rig::ready();
    rig.registry
        .register(dp_venue_bybit::ID, "BTCUSDT", 8, 8)
        .expect("there is room");
    rig
}

fn messages() -> Vec<&'static str> {
    let fixtures = fixtures(env!("CARGO_MANIFEST_DIR"));
    let mut all: Vec<_> = fixtures.into_iter().map(|(_, text)| text).collect();
    all.extend(RETIRED);
    all
}

/// Puts every depth message into a book, as a lane would.
struct Lane {
    keeper: Keeper<BybitSync>,
    instrument: dp_types::Instrument,
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Book(message) = event {
            self.keeper.on_msg(message, &self.instrument, UnixNanos(1));
        }
    }
    fn send_text(&mut self, _: LinkId, text: &[u8]) {
        let text = std::str::from_utf8(text).expect("text frames are UTF-8");
        assert!(serde_json::from_str::<serde_json::Value>(text).is_ok());
    }
    fn request(&mut self, _: LinkId, request: &RestRequest<'_>) {
        assert!(request.target.starts_with("/v5/"));
        assert!(request.target.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// Everything a fuzzer can reach: bytes as a frame on every link and as the body of any answer.
fn feed(rig: &mut Rig, bytes: &[u8]) {
    let instrument = *rig.registry.get(InstrumentId(0)).expect("registered");
    let mut lane = Lane {
        keeper: Keeper::new(BybitSync::new(&instrument)),
        instrument,
    };
    for link in [LINK_PUBLIC, LINK_ORDERS, LINK_PRIVATE, LinkId(77)] {
        let mut copy = bytes.to_vec();
        let _ = rig
            .venue
            .on_text(&rig.registry, link, at_ms(1), &mut copy, &mut lane);
    }
    rig.venue.reconcile(&rig.registry, at_ms(1), &mut lane);
    let asked = [
        Ask::Orders(ListPage::RECORDED),
        Ask::Fills(ListPage::RECORDED),
        Ask::OrderFills(InstrumentId(0), dp_types::ClientOrderId(1 << 32), 3),
    ];
    let tags = (0..16).map(RestTag).chain(asked.map(Ask::tag));
    for (at, tag) in tags.enumerate() {
        let mut copy = bytes.to_vec();
        let response = RestResponse {
            tag,
            status: [200, 0, 429, 500][at % 4],
            retry_after_s: None,
            usage: dp_venue_api::Usage::default(),
            body: &mut copy,
        };
        let (bybit, registry) = (&mut rig.venue, &mut rig.registry);
        let _ = bybit.on_response(registry, LINK_REST, at_ms(1), response, &mut lane);
    }
    rig.venue
        .on_deadline(&rig.registry, at_ms(60_000), &mut lane);
}

/// After anything hostile a good message must still come through.
fn still_works(rig: &mut Rig) {
    let (said, result) = rig.text(LINK_PUBLIC, 2, fixture("feed_trades"));
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
        let mut rig = ready();
        for frame in &frames {
            feed(&mut rig, frame);
        }
        still_works(&mut rig);
    }

    #[test]
    fn real_messages_with_bytes_changed_cut_and_repeated(
        picks in proptest::collection::vec((any::<prop::sample::Index>(), proptest::collection::vec(any::<(u8, u16, u8)>(), 1..5)), 1..12),
    ) {
        let messages = messages();
        let mut rig = ready();
        for (pick, edits) in picks {
            let mut bytes = pick.get(&messages).as_bytes().to_vec();
            damage::mutate(&mut bytes, &edits);
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
            "\"-9223372036854775808\"", "\"99999999999999999999\"", "\"1e18\"", "\"-0\"",
        ]),
    ) {
        let messages = messages();
        let text = *pick.get(&messages);
        let starts: Vec<_> = text.match_indices(':').map(|(at, _)| at + 1).collect();
        let start = starts[place.index(starts.len())];
        let rest = &text[start..];
        let end = rest.find([',', '}', ']']).unwrap_or(rest.len());
        let changed = format!("{}{value}{}", &text[..start], &rest[end..]);
        let mut rig = ready();
        feed(&mut rig, changed.as_bytes());
        still_works(&mut rig);
    }
}

#[test]
fn levels_beyond_the_bound_are_refused() {
    let side = vec![r#"["1","1"]"#; 5_001].join(",");
    let text = format!(
        r#"{{"topic":"orderbook.50.BTCUSDT","type":"snapshot","data":{{"s":"BTCUSDT","b":[{side}],"a":[],"u":2}}}}"#
    );
    let retired = format!(
        r#"{{"topic":"orderBookL2_25.BTCUSDT","type":"snapshot","data":[{}]}}"#,
        vec![r#"{"price":"1","side":"Buy","size":1}"#; 5_001].join(",")
    );
    let mut rig = ready();
    for text in [text, retired] {
        let (_, result) = rig.text(LINK_PUBLIC, 0, &text);
        assert_eq!(result, Err(DecodeError::TooMuch("levels").into()));
    }
    still_works(&mut rig);
}

/// A venue that answers every question about an order with more of them is not followed for ever.
#[test]
fn fills_of_one_order_end() {
    let mut rig = rig::ready();
    rig.deadline(0);
    let body =
        fixture("rest_executions").replace(r#""nextPageCursor":"""#, r#""nextPageCursor":"x""#);
    let mut said = Said::default();
    let order = dp_types::CancelOrder {
        instrument: InstrumentId(0),
        client_id: dp_types::ClientOrderId(1 << 32 | 1),
        order_id: dp_types::OrderId(0),
    };
    rig.venue
        .query_order(&rig.registry, &order, at_ms(1), &mut said)
        .unwrap();
    let asked = said.requests.remove(0);
    let mut asked = rig
        .response(2, asked.tag, 200, fixture("rest_order"))
        .0
        .requests
        .remove(0);
    for page in 0..15 {
        let (mut said, result) = rig.response(3, asked.tag, 200, &body);
        assert_eq!((result, said.requests.len()), (Ok(()), 1), "{page}");
        asked = said.requests.remove(0);
    }
    let (said, result) = rig.response(3, asked.tag, 200, &body);
    assert_eq!(
        result,
        Err(DecodeError::TooMuch("fills of one order").into())
    );
    assert!(said.requests.is_empty());
}
