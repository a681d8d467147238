//! Bytes nobody should send: whatever arrives, the machine answers with events or a typed error, never panics, and
//! stays usable.
#![allow(missing_docs)]

mod rig;

use dp_book::Keeper;
use dp_types::{CancelOrder, ClientOrderId, InstrumentId, LinkId, OrderId, UnixNanos};
use dp_venue_api::{DecodeError, Event, RestRequest, RestResponse, RestTag, Sink, Venue};
use dp_venue_bitfinex::rest::Ask;
use dp_venue_bitfinex::sync::BitfinexSync;
use dp_venue_bitfinex::{LINK_MARKET, LINK_PRIVATE};
use proptest::prelude::*;
use rig::{Rig, fixture};
use tests_venues::damage::mutate;
use tests_venues::rig::{at_ms, fixtures};

/// Puts every depth message into a book, as a lane would.
struct Lane {
    keeper: Keeper<BitfinexSync>,
    instrument: dp_types::Instrument,
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Book(message) = event {
            self.keeper.on_msg(message, &self.instrument, UnixNanos(1));
        }
    }
    fn send_text(&mut self, _: LinkId, text: &[u8]) {
        serde_json::from_slice::<serde_json::Value>(text).expect("what we send is JSON");
    }
    fn request(&mut self, _: LinkId, request: &RestRequest<'_>) {
        assert!(request.target.starts_with("/v2/"));
    }
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// Everything a fuzzer can reach: bytes as a frame on each link and as the body of any answer.
fn feed(rig: &mut Rig, bytes: &[u8]) {
    let btc = InstrumentId(0);
    let instrument = *rig.registry.get(btc).expect("registered");
    let mut lane = Lane {
        keeper: Keeper::new(BitfinexSync::new(&instrument)),
        instrument,
    };
    let (venue, registry) = (&mut rig.venue, &mut rig.registry);
    for link in [LINK_MARKET, LINK_PRIVATE, LinkId(77)] {
        let _ = venue.on_text(registry, link, at_ms(1), &mut bytes.to_vec(), &mut lane);
    }
    venue.reconcile(registry, at_ms(1), &mut lane);
    let client = ClientOrderId(4_294_967_297);
    let awaited = |run| {
        [
            Ask::Orders(run),
            Ask::Fills {
                run,
                place: 0,
                page: 0,
            },
            Ask::Wallets(run),
            Ask::Positions(run),
        ]
    };
    let single = [
        Ask::Pairs,
        Ask::Futures,
        Ask::Tickers,
        Ask::Order(btc, client),
        Ask::Closed(btc, client),
        Ask::OrderFills(btc, client),
    ];
    let tags = awaited(0).into_iter().chain(awaited(1)).chain(single);
    for (kind, tag) in tags.map(Ask::tag).chain([RestTag(99)]).enumerate() {
        let response = RestResponse {
            tag,
            status: [200, 200, 500, 429, 0][kind % 5],
            retry_after_s: None,
            usage: dp_venue_api::Usage::default(),
            body: &mut bytes.to_vec(),
        };
        let _ = venue.on_response(registry, LinkId(0), at_ms(1), response, &mut lane);
    }
    let order = CancelOrder {
        instrument: btc,
        client_id: client,
        order_id: OrderId(0),
    };
    let _ = venue.cancel_order(registry, &order, at_ms(1), &mut lane);
    venue.request_snapshot(registry, btc, at_ms(1), &mut lane);
    venue.on_deadline(registry, at_ms(60_000), &mut lane);
    let _ = venue.next_deadline();
}

/// After anything hostile a new link and good messages must still come through.
fn still_works(rig: &mut Rig) {
    rig.close(LINK_MARKET, 2);
    rig.open(LINK_MARKET, 3);
    for name in ["feed_conf", "feed_subscribed_book", "feed_snapshot"] {
        let (said, result) = rig.text(LINK_MARKET, 3, fixture(name));
        assert_eq!((result, said.events.len()), (Ok(()), 1), "{name}");
    }
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

    /// Arrays of what arrays of this venue are made of.
    #[test]
    fn any_arrays(
        frames in proptest::collection::vec(r#"\[(0|17082|17084|-1|"x")(,(\[[\[\],0-9eE.\-]{0,12}\]|"(cs|hb|te|tu|on|n|wu)"|-?[0-9]{1,20}|null|1e-7)){0,6}\]"#, 1..12),
    ) {
        let mut rig = rig::ready();
        for frame in &frames {
            feed(&mut rig, frame.as_bytes());
        }
        still_works(&mut rig);
    }

    #[test]
    fn real_messages_damaged(
        picks in proptest::collection::vec((any::<prop::sample::Index>(), proptest::collection::vec(any::<(u8, u16, u8)>(), 0..4)), 1..10),
    ) {
        let all = fixtures(env!("CARGO_MANIFEST_DIR"));
        let mut rig = rig::ready();
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
            "-9223372036854775808", "99999999999999999999.5", "1e18", "1e-18", "-0.0", "\"ACTIVE\"",
        ]),
    ) {
        let all = fixtures(env!("CARGO_MANIFEST_DIR"));
        let text = pick.get(&all).1;
        let starts: Vec<_> = text.match_indices([':', ',', '[']).map(|(at, _)| at + 1).collect();
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
fn levels_trades_and_channels_beyond_the_bound_are_refused() {
    let rows = |row: &str, count: usize| vec![row; count].join(",");
    for (text, what) in [
        (
            format!("[17082,[{}],1,1]", rows("[1,1,1]", 5_001)),
            "levels",
        ),
        (
            format!("[17084,[{}],1,1]", rows("[1,1,1,1]", 1_001)),
            "trades",
        ),
    ] {
        let mut rig = rig::ready();
        let (_, result) = rig.text(LINK_MARKET, 0, &text);
        assert_eq!(result, Err(DecodeError::TooMuch(what).into()));
        still_works(&mut rig);
    }
    let mut rig = rig::ready();
    let results: Vec<_> = (0..200)
        .map(|n| {
            let ack = fixture("feed_subscribed_raw").replace("17083", &n.to_string());
            rig.text(LINK_MARKET, 0, &ack).1
        })
        .collect();
    assert_eq!(results.iter().filter(|it| it.is_ok()).count(), 62);
    assert_eq!(results[199], Err(DecodeError::TooMuch("channels").into()));
    still_works(&mut rig);
}

/// A venue that answers every question about a wallet with nothing is asked once a second, not for ever at once.
#[test]
fn no_answer_makes_the_machine_spin() {
    let mut rig = rig::ready();
    let mut asked = 0;
    for ms in 0..10_000 {
        let said = rig.deadline(ms);
        asked += said
            .sent
            .iter()
            .filter(|(_, text)| text.contains("calc"))
            .count();
        rig.text(LINK_PRIVATE, ms, fixture("account_wallet"))
            .1
            .unwrap();
    }
    assert!((9..=11).contains(&asked), "{asked}");
}
