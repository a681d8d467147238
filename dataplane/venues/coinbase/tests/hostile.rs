//! Bytes nobody should send: whatever arrives, the machine answers with events or a typed error, never panics, and
//! stays usable.
#![allow(missing_docs)]

mod rig;

use dp_book::Keeper;
use dp_types::{InstrumentId, LinkId, UnixNanos};
use dp_venue_api::{DecodeError, Event, RestRequest, RestResponse, RestTag, Sink, Venue as _};
use dp_venue_coinbase::sync::CoinbaseSync;
use dp_venue_coinbase::{LINK_ENTRY, LINK_PUBLIC, LINK_REST, LINK_USER};
use proptest::prelude::*;
use rig::{Rig, fixture};
use tests_venues::damage::{each_byte, mutate};
use tests_venues::rig::{Said, at_ms, fixtures};

/// Puts every depth message into a book, as a lane would.
struct Lane {
    keeper: Keeper<CoinbaseSync>,
    instrument: dp_types::Instrument,
    events: usize,
}

impl Lane {
    fn new(rig: &Rig) -> Self {
        let instrument = *rig.registry.get(InstrumentId(0)).expect("registered");
        Self {
            keeper: Keeper::new(CoinbaseSync::new(&instrument)),
            instrument,
            events: 0,
        }
    }
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        self.events += 1;
        if let Event::Book(message) = event {
            self.keeper.on_msg(message, &self.instrument, UnixNanos(1));
        }
    }
    fn send_text(&mut self, _: LinkId, text: &[u8]) {
        assert!(serde_json::from_slice::<serde_json::Value>(text).is_ok());
    }
    fn request(&mut self, _: LinkId, request: &RestRequest<'_>) {
        assert!(request.target.starts_with('/') && request.target.is_ascii());
    }
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// Everything a fuzzer can reach: bytes as a frame on each link and as the body of any answer.
fn feed(rig: &mut Rig, lane: &mut Lane, bytes: &[u8]) {
    for link in [LINK_PUBLIC, LINK_USER, LinkId(77)] {
        let mut copy = bytes.to_vec();
        let _ = rig
            .venue
            .on_text(&rig.registry, link, at_ms(1), &mut copy, lane);
    }
    let mut copy = bytes.to_vec();
    let binary = rig
        .venue
        .on_binary(&rig.registry, LINK_PUBLIC, at_ms(1), &mut copy, lane);
    assert!(binary.is_err(), "this venue sends none");
    for kind in 0..16 {
        // A run that exists, an instrument that does, a client id that does.
        for tag in [kind, kind | 1 << 8, kind | 0x1_0000_0001 << 8] {
            let mut copy = bytes.to_vec();
            let response = RestResponse {
                tag: RestTag(tag),
                status: [0, 200, 429, 500, 400, 404][kind as usize % 6],
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

/// After anything hostile a good message must still come through.
fn still_works(rig: &mut Rig) {
    let (said, result) = rig.text(LINK_PUBLIC, 2, fixture("feed_last_match"));
    assert_eq!((result, said.events.len()), (Ok(()), 1));
    let (said, result) = rig.text(LINK_USER, 2, fixture("account_received"));
    assert_eq!((result, said.events.len()), (Ok(()), 1));
    // And the links are opened and subscribed as ever.
    for link in [LINK_PUBLIC, LINK_USER] {
        rig.close(link, 70_000);
        assert_eq!(rig.open(link, 70_001).sent.len(), 1);
    }
    let mut said = Said::default();
    rig.venue
        .reconcile(&rig.registry, at_ms(100_000), &mut said);
    assert_eq!(said.events, ["ReconcileStarted"]);
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn any_bytes(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..8)) {
        let mut rig = rig::ready();
        let mut lane = Lane::new(&rig);
        for frame in &frames {
            feed(&mut rig, &mut lane, frame);
        }
        still_works(&mut rig);
    }

    #[test]
    fn real_messages_with_bytes_changed_cut_and_repeated(
        picks in proptest::collection::vec((any::<prop::sample::Index>(), any::<[(u8, u16, u8); 3]>()), 1..16),
    ) {
        let all = fixtures(env!("CARGO_MANIFEST_DIR"));
        let mut rig = rig::ready();
        let mut lane = Lane::new(&rig);
        for (pick, edits) in picks {
            let (_, text) = pick.get(&all);
            let mut bytes = text.as_bytes().to_vec();
            mutate(&mut bytes, &edits);
            feed(&mut rig, &mut lane, &bytes);
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
            "\"-9223372036854775808\"", "\"9223372036854775807e18\"", "\"99999999999999999999\"", "\"1e18\"",
            "\"-0\"", "\"00000000-0000-0000-0000-000000000000\"", "\"9999-12-31T23:59:60.999999999Z\"",
        ]),
    ) {
        let all = fixtures(env!("CARGO_MANIFEST_DIR"));
        let (_, text) = pick.get(&all);
        let starts: Vec<_> = text.match_indices([':', '[', ',']).map(|(at, _)| at + 1).collect();
        prop_assume!(!starts.is_empty());
        let start = starts[place.index(starts.len())];
        let rest = &text[start..];
        let end = rest.find([',', '}', ']']).unwrap_or(rest.len());
        let changed = format!("{}{value}{}", &text[..start], &rest[end..]);
        let mut rig = rig::ready();
        let mut lane = Lane::new(&rig);
        feed(&mut rig, &mut lane, changed.as_bytes());
        feed(&mut rig, &mut lane, text.as_bytes());
        still_works(&mut rig);
    }
}

#[test]
fn each_byte_of_what_moves_money() {
    for name in [
        "account_match_maker",
        "account_done_filled",
        "feed_l2update",
    ] {
        let mut rig = rig::ready();
        rig.text(LINK_USER, 0, fixture("account_received"))
            .1
            .unwrap();
        each_byte(fixture(name).as_bytes(), |text| {
            let mut said = Said::default();
            let mut copy = text.to_vec();
            let (registry, now) = (&rig.registry, at_ms(1));
            let _ = rig
                .venue
                .on_text(registry, LINK_USER, now, &mut copy, &mut said);
        });
        still_works(&mut rig);
    }
}

/// Numbers at the ends of what is held: sums and fees that leave it are none, never wrong.
#[test]
fn numbers_at_their_ends() {
    for number in [
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775807e18",
        "1e-18",
    ] {
        let mut rig = rig::ready();
        let received = fixture("account_received").replace("1.34", number);
        assert_eq!(rig.text(LINK_USER, 0, &received).1, Ok(()), "{number}");
        let matched = fixture("account_match_maker")
            .replace("0.34", number)
            .replace("65000.00", number)
            .replace("0.0025", number);
        let (said, result) = rig.text(LINK_USER, 1, &matched);
        assert_eq!(result, Ok(()), "{number}");
        assert!(said.events[0].starts_with("Fill 1 trade"), "{said:?}");
        for name in ["account_change", "account_done_canceled"] {
            let text = fixture(name)
                .replace("1.00", number)
                .replace("0.80", number);
            assert_eq!(rig.text(LINK_USER, 2, &text).1, Ok(()), "{number}");
        }
        still_works(&mut rig);
    }
}

#[test]
fn changes_beyond_the_bound_are_refused() {
    let changes = vec![r#"["buy","1","1"]"#; 5_001].join(",");
    let text = format!(r#"{{"type":"l2update","product_id":"BTC-USD","changes":[{changes}]}}"#);
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_PUBLIC, 0, &text);
    assert_eq!(result, Err(DecodeError::TooMuch("levels").into()));
    assert!(said.events.is_empty());
    still_works(&mut rig);
}

/// However many orders are told, what is remembered of them is bounded: the last are told without a sum.
#[test]
fn orders_without_end() {
    let mut rig = rig::ready();
    let numbered = |name: &str, number: u32| {
        fixture(name).replace("d50ec984-77a8", &format!("{number:08x}-77a8"))
    };
    for number in 1..3_000 {
        let text = numbered("account_received", number);
        assert_eq!(rig.text(LINK_USER, 1, &text).1, Ok(()));
    }
    let mut told = |number| {
        let (said, result) = rig.text(LINK_USER, 2, &numbered("account_match_maker", number));
        assert_eq!(result, Ok(()));
        said.events.len()
    };
    assert_eq!((told(1), told(1_024), told(1_025)), (2, 2, 1));
    still_works(&mut rig);
}

/// Orders that get no answer are remembered for the life of a request, and no longer.
#[test]
fn answers_that_never_come() {
    use dp_types::{ClientOrderId, Epoch, LaneId, NewOrder, OrderKind, Price, Qty, Side, Tif};
    let mut rig = rig::ready();
    let (mut sent, mut refused) = (0, 0);
    for sequence in 0..4_000u32 {
        let order = NewOrder {
            instrument: InstrumentId(0),
            client_id: ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap(),
            side: Side::Buy,
            kind: OrderKind::Limit,
            tif: Tif::Gtc,
            price: Price(1),
            qty: Qty(1),
        };
        let now = at_ms(u64::from(sequence) * 71); // a little slower than the bucket fills
        let result = rig
            .venue
            .new_order(&rig.registry, &order, now, &mut Said::default());
        if result.is_ok() {
            sent += 1;
        } else {
            refused += 1;
        }
    }
    assert_eq!((sent, refused), (4_000, 0));
    rig.close(LINK_ENTRY, 300_000);
    still_works(&mut rig);
}
