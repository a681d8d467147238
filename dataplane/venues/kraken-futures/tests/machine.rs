//! The machine over time: start, token, login, pings, books entered anew, orders, the dead man's switch, limits.
#![allow(missing_docs)]

mod rig;

use dp_book::{Keeper, Outcome, State};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, LinkId, NewOrder, OrderId,
    OrderKind, Payoff, Price, Qty, Side, Tif, UnixNanos,
};
use dp_venue_api::{DecodeError, EntryError, Event, Fault, RestRequest, Sink, Venue};
use dp_venue_kraken_futures::sync::KrakenFuturesSync;
use dp_venue_kraken_futures::{LINK_PRIVATE, LINK_PUBLIC, LINK_REST};
use rig::{Rig, fixture};
use tests_venues::rates;
use tests_venues::rig::{Said, at_ms};

const BTC: InstrumentId = InstrumentId(0);

fn client(sequence: u32) -> ClientOrderId {
    ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap()
}

fn new_order(sequence: u32) -> NewOrder {
    NewOrder {
        instrument: BTC,
        client_id: client(sequence),
        side: Side::Sell,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(65_000_500),
        qty: Qty(1_000_000),
    }
}

fn cancel(sequence: u32) -> CancelOrder {
    CancelOrder {
        instrument: BTC,
        client_id: client(sequence),
        order_id: OrderId(0),
    }
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

/// Both links say that they live.
fn beat(rig: &mut Rig, ms: u64) {
    for link in [LINK_PUBLIC, LINK_PRIVATE] {
        rig.text(link, ms, fixture("feed_heartbeat")).1.unwrap();
    }
}

fn after_beat(rig: &mut Rig, ms: u64) -> Said {
    beat(rig, ms);
    rig.deadline(ms)
}

#[test]
fn start_reads_the_rules_then_subscribes() {
    let mut rig = rig::new(&["PF_XBTUSD", "PI_XBTUSD", "PF_NONE"], false);
    assert_eq!(rig.venue.links().len(), 2, "no keys, no private link");
    let said = rig.open(LINK_PUBLIC, 0);
    assert_eq!(said.sent.len(), 1);
    assert_eq!(
        said.sent[0].1,
        r#"{"method":"subscribe","params":{"asset_class":"derivatives","channel":"instrument","snapshot":true},"req_id":1}"#
    );
    rig::confirm(&mut rig, 0, &said);
    let (said, result) = rig.text(LINK_PUBLIC, 1, fixture("feed_instruments"));
    assert_eq!(result, Ok(()));
    assert!(said.requests.is_empty(), "REST is not open");
    assert_eq!(rig.registry.get(BTC).unwrap().tick, Price(0));
    let asked = rig.open(LINK_REST, 2).requests;
    assert_eq!(asked[0].line, "GET /0/public/SystemStatus");
    let (said, result) = rig.response(3, asked[0].tag, 200, rig::STATUS);
    assert_eq!(result, Err(DecodeError::Unlisted(InstrumentId(2)).into()));
    assert_eq!(said.events, ["InstrumentsReady", "Ignored system status"]);
    let btc = rig.registry.get(BTC).unwrap();
    assert_eq!((btc.price_decimals, btc.qty_decimals), (3, 6));
    assert_eq!(
        (btc.tick, btc.lot, btc.qty_min),
        (Price(500), Qty(100), Qty(100))
    );
    assert!(btc.is_live && !rig.registry.get(InstrumentId(2)).unwrap().is_live);
    assert_eq!(rig.registry.asset_name(btc.quote), "USD");
    let inverse = rig.registry.get(InstrumentId(1)).unwrap();
    assert_eq!(
        (btc.payoff, inverse.payoff),
        (Payoff::Linear, Payoff::Inverse)
    );
    assert_eq!(inverse.quote, inverse.base, "settled in its coin");
    let params: Vec<_> = said
        .sent
        .iter()
        .map(|(_, text)| json(text)["params"].clone())
        .collect();
    assert_eq!(params.len(), 3);
    for (params, channel) in params.iter().zip(["book", "trade", "ticker"]) {
        assert_eq!(params["channel"], channel);
        assert_eq!(params["asset_class"], "derivatives");
        assert_eq!(
            params["symbol"],
            serde_json::json!(["PF_XBTUSD", "PI_XBTUSD"])
        );
    }
    assert_eq!(
        (&params[0]["depth"], &params[0]["snapshot"]),
        (&100.into(), &true.into())
    );
    assert_eq!(params[2]["event_trigger"], "bbo");
    // One confirmation for each symbol of each channel, all with the request's number.
    let mut events = Vec::new();
    for (link, text) in &said.sent {
        for _ in 0..2 {
            events.append(&mut rig.text(*link, 4, &rig::done(text)).0.events);
        }
    }
    assert_eq!(events.last().unwrap(), "Subscribed(LinkId(1))");
    assert_eq!(
        events
            .iter()
            .filter(|event| event.starts_with("Sub"))
            .count(),
        1
    );
}

#[test]
fn rules_go_in_with_any_answer_and_are_asked_for_until_one_comes() {
    let mut rig = rig::new(&["PF_XBTUSD"], false);
    rig.open(LINK_REST, 0);
    rig.open(LINK_PUBLIC, 0);
    let (said, _) = rig.text(LINK_PUBLIC, 0, fixture("feed_instruments"));
    assert_eq!(said.requests.len(), 1);
    assert!(rig.deadline(29_000).requests.is_empty());
    let again = rig.deadline(30_000).requests;
    assert_eq!(again.len(), 1, "the answer was lost");
    rig.close(LINK_REST, 30_000);
    let again = rig.open(LINK_REST, 31_000).requests;
    assert_eq!(again.len(), 1, "the link was lost");
    let (said, result) = rig.response(32_000, again[0].tag, 503, "<html>");
    assert!(result.is_err(), "the venue has an error");
    assert_eq!(
        said.events,
        ["InstrumentsReady"],
        "and the registry was lent"
    );
    assert!(rig.deadline(33_000).requests.is_empty());
}

#[test]
fn a_new_public_link_subscribes_at_once() {
    let mut rig = rig::ready();
    rig.close(LINK_PUBLIC, 1_000);
    let said = rig.open(LINK_PUBLIC, 2_000);
    assert_eq!(said.sent.len(), 3);
    let said = rig::confirm(&mut rig, 2_000, &said);
    assert_eq!(said.events.last().unwrap(), "Subscribed(LinkId(1))");
    rig.close(LINK_PUBLIC, 3_000);
    rig.open(LINK_PUBLIC, 4_000);
    // Heard of, but never confirmed.
    for ms in [6_000, 8_000, 10_000, 12_000] {
        beat(&mut rig, ms);
        assert_eq!(rig.deadline(ms).reconnects, [], "{ms}");
    }
    beat(&mut rig, 14_000);
    let why = "login or subscription was not confirmed in time";
    assert_eq!(rig.deadline(14_000).reconnects, [(LINK_PUBLIC, why)]);
}

#[test]
fn token_then_both_channels_then_ready() {
    let mut rig = rig::new(&["PF_XBTUSD"], true);
    assert!(
        rig.open(LINK_PRIVATE, 0).requests.is_empty(),
        "REST is not open"
    );
    let asked = rig.open(LINK_REST, 1).requests;
    assert_eq!(asked[0].line, "POST /0/private/GetWebSocketsToken");
    assert_eq!(asked[0].body, "nonce=1760000000001000");
    let names: Vec<_> = asked[0]
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["API-Key", "API-Sign", "Content-Type"]);
    let (said, result) = rig.response(2, asked[0].tag, 200, fixture("rest_token"));
    assert_eq!(result, Ok(()));
    let token = "1Dwc4lzSwNWOAwkMdqhssNNFhs1ed606d1WcF3XfEMw";
    let channels: Vec<_> = said
        .sent
        .iter()
        .map(|(link, text)| {
            assert_eq!(
                (*link, &json(text)["params"]["token"]),
                (LINK_PRIVATE, &token.into())
            );
            json(text)["params"]["channel"].clone()
        })
        .collect();
    assert_eq!(channels, ["executions", "balances"]);
    let mut out = Said::default();
    let order = new_order(1);
    let early = rig
        .venue
        .new_order(&rig.registry, &order, at_ms(2), &mut out);
    assert_eq!(early, Err(EntryError::NotReady));
    let said = rig::confirm(&mut rig, 3, &said);
    assert_eq!(
        said.events,
        ["Ignored subscription confirmed", "LoggedIn(LinkId(2))"]
    );
    let sent = rig
        .venue
        .new_order(&rig.registry, &order, at_ms(4), &mut out);
    assert_eq!(sent, Ok(()));
    rig.close(LINK_PRIVATE, 5);
    let late = rig
        .venue
        .new_order(&rig.registry, &order, at_ms(6), &mut out);
    assert_eq!(late, Err(EntryError::NotReady));
    let asked = rig.open(LINK_PRIVATE, 7).requests;
    assert_eq!(
        asked[0].body, "nonce=1760000000007000",
        "a token of its own"
    );
}

#[test]
fn a_token_of_another_link_is_not_used() {
    let mut rig = rig::new(&["PF_XBTUSD"], true);
    rig.open(LINK_REST, 0);
    let old = rig.open(LINK_PRIVATE, 0).requests;
    rig.close(LINK_PRIVATE, 1);
    let (said, result) = rig.response(2, old[0].tag, 200, fixture("rest_token"));
    assert_eq!((said.sent.len(), result), (0, Ok(())));
    let new = rig.open(LINK_PRIVATE, 3).requests;
    let (said, _) = rig.response(4, old[0].tag, 200, fixture("rest_token"));
    assert_eq!(said.events, ["Ignored a token nobody waits for"]);
    assert_eq!(
        rig.response(5, new[0].tag, 200, fixture("rest_token"))
            .0
            .sent
            .len(),
        2
    );
    let bad = r#"{"error":[],"result":{"token":"a\"b"}}"#;
    assert_eq!(
        rig.response(6, new[0].tag, 200, bad).1,
        Err(DecodeError::Field("token").into()),
        "it would have to be escaped"
    );
}

#[test]
fn a_refused_token_is_told_and_asked_for_again() {
    let mut rig = rig::new(&["PF_XBTUSD"], true);
    rig.open(LINK_REST, 0);
    let asked = rig.open(LINK_PRIVATE, 0).requests;
    let (said, result) = rig.response(1, asked[0].tag, 200, fixture("rest_token_refused"));
    assert!(result.is_err());
    assert_eq!(said.events, ["LoginRefused(Auth)"]);
    rig.text(LINK_PRIVATE, 4_000, fixture("feed_heartbeat"))
        .1
        .unwrap();
    assert!(rig.deadline(4_900).requests.is_empty());
    assert_eq!(rig.deadline(5_001).requests.len(), 1);
}

#[test]
fn a_refused_channel_ends_the_link_or_not() {
    let mut rig = rig::new(&["PF_XBTUSD"], true);
    rig.open(LINK_REST, 0);
    let asked = rig.open(LINK_PRIVATE, 0).requests;
    let (said, _) = rig.response(1, asked[0].tag, 200, fixture("rest_token"));
    let no = rig::refused(&said.sent[1].1, "EGeneral:Permission denied");
    let (balances, result) = rig.text(LINK_PRIVATE, 2, &no);
    assert!(balances.reconnects.is_empty() && result.is_err());
    let (ready, _) = rig.text(LINK_PRIVATE, 3, &rig::done(&said.sent[0].1));
    assert_eq!(
        ready.events,
        ["LoggedIn(LinkId(2))"],
        "orders need no balances"
    );
    // Reconciliation does without them too.
    let mut out = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(4), &mut out);
    let (entered, _) = rig.text(LINK_PRIVATE, 5, &rig::done(&out.sent[0].1));
    let (compared, _) = rig.text(LINK_PRIVATE, 6, fixture("account_snapshot_empty"));
    assert_eq!(entered.sent.len(), 1);
    assert_eq!(compared.events, ["Reconciled", "Ignored no open order"]);

    let mut rig = rig::new(&["PF_XBTUSD"], true);
    rig.open(LINK_REST, 0);
    let asked = rig.open(LINK_PRIVATE, 0).requests;
    let (said, _) = rig.response(1, asked[0].tag, 200, fixture("rest_token"));
    let no = rig::refused(&said.sent[0].1, "ESession:Invalid session");
    let (refused, _) = rig.text(LINK_PRIVATE, 2, &no);
    assert_eq!(refused.events, ["LoginRefused(Auth)"]);
    assert_eq!(refused.reconnects, [(LINK_PRIVATE, "login refused")]);
}

#[test]
fn silence_is_pinged_and_then_ends_the_link() {
    let mut rig = rig::ready();
    assert!(rig.deadline(2_499).sent.is_empty());
    let said = rig.deadline(2_500);
    let links: Vec<_> = said.sent.iter().map(|(link, _)| *link).collect();
    assert_eq!(links, [LINK_PUBLIC, LINK_PRIVATE]);
    assert_eq!(json(&said.sent[0].1)["method"], "ping");
    assert!(rig.deadline(3_000).sent.is_empty(), "one ping at a time");
    rig.text(LINK_PUBLIC, 4_000, fixture("feed_pong"))
        .1
        .unwrap();
    let said = rig.deadline(5_000);
    assert_eq!(said.reconnects, [(LINK_PRIVATE, "no pong")]);
    assert!(rig.deadline(6_000).reconnects.is_empty(), "asked for once");
    assert_eq!(
        rig.deadline(6_500).sent.len(),
        1,
        "the other link is pinged on"
    );
}

#[test]
fn orders_are_written_within_the_pool_and_cancels_beyond() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    let sent = (1..100)
        .map(|sequence| {
            rig.venue
                .new_order(&rig.registry, &new_order(sequence), at_ms(10), &mut said)
        })
        .take_while(Result::is_ok)
        .count();
    assert_eq!(sent, 32, "350 units less the switch's 25");
    let text = &said.sent[0].1;
    let params = &json(text)["params"];
    assert_eq!(
        (
            &params["post_only"],
            &params["limit_price"],
            &params["order_qty"]
        ),
        (&true.into(), &65_000.5.into(), &1.into())
    );
    assert_eq!(params["deadline"], "2025-10-09T08:53:21.010Z");
    let amend = AmendOrder {
        instrument: BTC,
        client_id: client(1),
        order_id: OrderId(7),
        price: Some(Price(65_001_000)),
        qty: None,
    };
    let over = rig
        .venue
        .amend_order(&rig.registry, &amend, at_ms(10), &mut said);
    assert_eq!(over, Err(EntryError::RateLimited));
    rig.venue
        .cancel_order(&rig.registry, &cancel(1), at_ms(10), &mut said)
        .unwrap();
    rig.venue
        .amend_order(&rig.registry, &amend, at_ms(11_000), &mut said)
        .unwrap();
    assert_eq!(
        json(&said.sent.last().unwrap().1)["params"]["post_only"],
        true
    );
    let fok = NewOrder {
        kind: OrderKind::Limit,
        tif: Tif::Fok,
        ..new_order(99)
    };
    let not = rig
        .venue
        .new_order(&rig.registry, &fok, at_ms(11_000), &mut said);
    assert_eq!(not, Err(EntryError::Unsupported));
    let unknown = CancelOrder {
        instrument: InstrumentId(9),
        ..cancel(1)
    };
    let error = rig
        .venue
        .cancel_order(&rig.registry, &unknown, at_ms(11_000), &mut said);
    assert_eq!(error, Err(EntryError::UnknownInstrument));
}

#[test]
fn cancel_all_goes_out_in_batches_of_fifty() {
    let mut rig = rig::ready();
    let live: Vec<_> = (1..=101).map(cancel).collect();
    let mut said = Said::default();
    rig.venue
        .cancel_all(&rig.registry, BTC, &live, at_ms(0), &mut said)
        .unwrap();
    let sizes: Vec<_> = said
        .sent
        .iter()
        .map(|(_, text)| {
            let message = json(text);
            let ids = message["params"]["cl_ord_id"].as_array().unwrap().len();
            (message["method"].as_str().unwrap().to_owned(), ids)
        })
        .collect();
    let batch = |count| ("batch_cancel".to_owned(), count);
    assert_eq!(
        sizes,
        [batch(50), batch(50), ("cancel_order".to_owned(), 1)]
    );
    let many: Vec<_> = (1..=500).map(cancel).collect();
    let result = rig
        .venue
        .cancel_all(&rig.registry, BTC, &many, at_ms(0), &mut said);
    assert_eq!(result, Err(EntryError::RateLimited), "the pool of 10 s");
}

#[test]
fn the_dead_mans_switch_is_kept_armed_only_while_logged_in() {
    let mut rig = rig::ready();
    let armed = |rig: &mut Rig, ms: u64| {
        let mut sent = after_beat(rig, ms).sent.into_iter();
        sent.find(|(_, text)| text.contains("cancel_all_orders_after"))
    };
    assert_eq!(armed(&mut rig, 14_999), None);
    let (link, text) = armed(&mut rig, 15_000).expect("pushed back");
    assert_eq!(link, LINK_PRIVATE);
    assert_eq!(json(&text)["params"]["timeout"], 60);
    let answer = rig::refused(&text, "EService:Busy");
    assert!(rig.text(LINK_PRIVATE, 15_100, &answer).1.is_err());
    assert_eq!(armed(&mut rig, 16_099), None);
    let (_, text) = armed(&mut rig, 16_100).expect("a failed arming is tried after a second");
    let answer = rig::answering(&text, "entry_dead_man_ack");
    assert_eq!(rig.text(LINK_PRIVATE, 16_200, &answer).1, Ok(()));
    assert_eq!(armed(&mut rig, 31_199), None);
    assert!(armed(&mut rig, 31_200).is_some());
    assert!(armed(&mut rig, 41_200).is_some(), "its answer was lost");
    rig.close(LINK_PRIVATE, 42_000);
    assert_eq!(armed(&mut rig, 80_000), None);
}

/// Feeds the machine's depth into a keeper, as a lane does.
struct Book {
    keeper: Keeper<KrakenFuturesSync>,
    outcomes: Vec<Outcome>,
    instrument: dp_types::Instrument,
}

impl Sink for Book {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Book(message) = event {
            let outcome = self.keeper.on_msg(message, &self.instrument, UnixNanos(1));
            self.outcomes.push(outcome);
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

impl Book {
    fn new(rig: &Rig) -> Self {
        let instrument = *rig.registry.get(BTC).unwrap();
        Self {
            keeper: Keeper::new(KrakenFuturesSync::new(&instrument)),
            outcomes: Vec::new(),
            instrument,
        }
    }

    fn feed(&mut self, rig: &mut Rig, name: &str) -> Outcome {
        let mut bytes = fixture(name).as_bytes().to_vec();
        rig.venue
            .on_text(&rig.registry, LINK_PUBLIC, at_ms(0), &mut bytes, self)
            .unwrap();
        *self.outcomes.last().unwrap()
    }
}

#[test]
fn a_pushed_snapshot_is_proved_message_by_message() {
    let mut rig = rig::ready();
    let mut book = Book::new(&rig);
    assert_eq!(book.feed(&mut rig, "feed_snapshot"), Outcome::Applied);
    assert_eq!(book.feed(&mut rig, "feed_update"), Outcome::Applied);
    assert_eq!(book.keeper.counts().checksums_ok, 2);
    let wrong = book.feed(&mut rig, "feed_update_bad_checksum");
    assert!(matches!(wrong, Outcome::BadChecksum { venue: 1, .. }));
    assert_eq!(book.keeper.proof().state, State::Waiting, "stale at once");
    assert_eq!(book.feed(&mut rig, "feed_update"), Outcome::Ignored);
    assert_eq!(book.feed(&mut rig, "feed_snapshot"), Outcome::Applied);
    for (name, is_gap) in [
        ("legacy_snapshot", false),
        ("legacy_delta", false),
        ("legacy_delta_gap", true),
    ] {
        let outcome = book.feed(&mut rig, name);
        assert_eq!(matches!(outcome, Outcome::Gap(_)), is_gap, "{name}");
    }
}

#[test]
fn a_lost_book_is_left_and_entered_one_after_the_other() {
    let mut rig = rig::ready();
    rig.text(LINK_PUBLIC, 0, fixture("feed_snapshot"))
        .1
        .unwrap();
    let mut said = Said::default();
    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(1_000), &mut said);
    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(1_001), &mut said);
    assert_eq!(said.sent.len(), 1, "asked for once");
    let left = json(&said.sent[0].1);
    assert_eq!(
        (&left["method"], &left["params"]["depth"]),
        (&"unsubscribe".into(), &100.into())
    );
    let (said, _) = rig.text(LINK_PUBLIC, 1_100, &rig::done(&said.sent[0].1));
    assert_eq!(said.sent.len(), 1);
    let entered = json(&said.sent[0].1);
    assert_eq!(
        (&entered["method"], &entered["params"]["snapshot"]),
        (&"subscribe".into(), &true.into())
    );
    rig.text(LINK_PUBLIC, 1_200, &rig::done(&said.sent[0].1))
        .1
        .unwrap();
    let mut out = Said::default();
    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(1_250), &mut out);
    assert!(out.sent.is_empty(), "one is on its way");
    rig.text(LINK_PUBLIC, 1_300, fixture("feed_snapshot"))
        .1
        .unwrap();
    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(1_400), &mut out);
    assert!(out.sent.is_empty(), "paced");
    let books = |said: Said| {
        said.sent
            .into_iter()
            .filter(|(_, text)| text.contains("book"))
            .count()
    };
    assert_eq!(books(rig.deadline(1_599)), 0);
    assert_eq!(books(rig.deadline(1_600)), 1);
}

#[test]
fn a_book_that_does_not_come_is_asked_for_again_and_then_the_link() {
    let mut rig = rig::ready();
    rig.text(LINK_PUBLIC, 0, fixture("feed_snapshot"))
        .1
        .unwrap();
    let mut said = Said::default();
    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(1_000), &mut said);
    let (entered, _) = rig.text(LINK_PUBLIC, 1_000, &rig::done(&said.sent[0].1));
    let no = rig::refused(&entered.sent[0].1, "EService:Unavailable");
    assert!(rig.text(LINK_PUBLIC, 1_100, &no).1.is_err());
    assert!(
        after_beat(&mut rig, 6_000)
            .sent
            .iter()
            .all(|(_, text)| !text.contains("book"))
    );
    let again = after_beat(&mut rig, 6_100);
    assert!(
        again
            .sent
            .iter()
            .any(|(_, text)| text.contains("unsubscribe"))
    );
    let said = after_beat(&mut rig, 16_100);
    assert_eq!(
        said.reconnects,
        [(LINK_PUBLIC, "a book was not left in time")]
    );
}

#[test]
fn a_message_rate_refusal_stops_new_orders() {
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_PRIVATE, 100, fixture("feed_message_rate"));
    assert!(matches!(result, Err(Fault::Venue { .. })));
    assert_eq!(said.events, ["RateLimited { until_ms: 1760000010100 }"]);
    let mut out = Said::default();
    let order = new_order(1);
    let refused = rig
        .venue
        .new_order(&rig.registry, &order, at_ms(10_099), &mut out);
    assert_eq!(refused, Err(EntryError::RateLimited));
    let sent = rig
        .venue
        .new_order(&rig.registry, &order, at_ms(10_100), &mut out);
    assert_eq!(sent, Ok(()));
}

#[test]
fn on_paper_what_the_session_would_refuse_is_refused() {
    let told = rates::agree(&mut rig::ready(), 100, new_order);
    assert_eq!(told.first, 33, "{told:?}");
}
