//! The machine over time: start, token, subscriptions, pings, snapshots, orders, reconciliation, the dead man's
//! switch, limits.
#![allow(missing_docs)]

mod rig;

use dp_book::{Keeper, Outcome, State};
use dp_types::{
    AmendOrder, InstrumentId, LinkId, Notional, OrderId, OrderKind, Price, Qty, Tif, UnixNanos,
};
use dp_venue_api::{EntryError, Event, RestRequest, Sink, Venue};
use dp_venue_kraken::sync::KrakenSync;
use dp_venue_kraken::{LINK_PRIVATE, LINK_PUBLIC, LINK_REST};
use rig::{BTC, Rig, ack, cancel, events, fixture, new_order};
use tests_venues::rates;
use tests_venues::rig::{START_MS, Said, at_ms};

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("we write JSON")
}

#[test]
fn start_asks_for_pairs_then_subscribes() {
    let mut rig = rig::new(&["BTC/USD", "DOGE/USD", "FOO/USD"], false);
    assert_eq!(rig.venue.links().len(), 2, "no keys, no private link");
    assert!(
        rig.open(LINK_PUBLIC, 0).sent.is_empty(),
        "not before the rules are known"
    );
    let asked = rig.open(LINK_REST, 0).requests;
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line, "GET /0/public/AssetPairs");
    let (said, result) = rig.response(1, asked[0].tag, 200, fixture("rest_pairs"));
    assert_eq!(said.events, ["InstrumentsReady"]);
    assert!(result.is_err(), "one symbol is not listed");

    let btc = rig.registry.get(BTC).unwrap();
    assert_eq!((btc.price_decimals, btc.qty_decimals), (3, 8));
    assert_eq!(
        (btc.tick, btc.lot, btc.qty_min),
        (Price(100), Qty(1), Qty(5_000))
    );
    assert_eq!(btc.notional_min, Notional(500_000_000_000));
    assert!(btc.is_live);
    let doge = rig.registry.get(InstrumentId(1)).unwrap();
    assert_eq!(
        (doge.tick, doge.is_live),
        (Price(100), false),
        "cancel_only"
    );
    assert_eq!(rig.registry.asset_name(doge.base), "DOGE");
    assert!(!rig.registry.get(InstrumentId(2)).unwrap().is_live);

    let messages: Vec<_> = said.sent.iter().map(|(_, text)| json(text)).collect();
    let channels: Vec<_> = messages.iter().map(|it| &it["params"]["channel"]).collect();
    assert_eq!(channels, ["trade", "ticker", "book"]);
    for message in &messages {
        assert_eq!(message["method"], "subscribe");
        let symbols = &message["params"]["symbol"];
        assert_eq!(*symbols, serde_json::json!(["BTC/USD", "DOGE/USD"]));
    }
    assert_eq!(messages[1]["params"]["event_trigger"], "bbo");
    assert_eq!(messages[2]["params"]["depth"], 10);
    for n in 1..6 {
        let (said, _) = rig.text(LINK_PUBLIC, n, &ack("book"));
        assert_eq!(said.events, ["Ignored subscription confirmed"]);
    }
    let (said, _) = rig.text(LINK_PUBLIC, 6, &ack("book"));
    assert_eq!(
        said.events,
        ["Subscribed(LinkId(1))"],
        "two symbols, three channels"
    );
}

#[test]
fn a_refused_subscription_holds_up_nobody() {
    let mut rig = rig::new(&["BTC/USD"], false);
    let asked = rig.open(LINK_REST, 0).requests;
    rig.open(LINK_PUBLIC, 0);
    rig.response(0, asked[0].tag, 200, fixture("rest_pairs"))
        .1
        .unwrap();
    rig.text(LINK_PUBLIC, 0, &ack("trade")).1.unwrap();
    let (_, result) = rig.text(LINK_PUBLIC, 0, fixture("feed_subscribe_refused"));
    assert!(result.is_err());
    let (said, _) = rig.text(LINK_PUBLIC, 0, &ack("ticker"));
    assert_eq!(said.events, ["Subscribed(LinkId(1))"]);
}

#[test]
fn a_refused_or_lost_list_is_asked_again() {
    let mut rig = rig::new(&["BTC/USD"], false);
    let tag = rig.open(LINK_REST, 0).requests[0].tag;
    for (ms, status, body) in [(0, 503, "<html>"), (3_000, 0, ""), (6_000, 200, "{}")] {
        assert!(rig.response(ms, tag, status, body).1.is_err());
        assert!(rig.deadline(ms + 1_999).requests.is_empty());
        assert_eq!(
            rig.deadline(ms + 2_000).requests.len(),
            1,
            "after status {status}"
        );
    }
    assert_eq!(rig.deadline(60_000).requests.len(), 1, "no answer at all");
}

#[test]
fn each_opening_of_the_private_link_gets_a_token_of_its_own() {
    let mut rig = rig::new(&["BTC/USD"], true);
    assert!(
        rig.open(LINK_PRIVATE, 0).requests.is_empty(),
        "REST is not open yet"
    );
    let asked = rig.open(LINK_REST, 10).requests;
    let token = asked
        .iter()
        .find(|it| it.line.ends_with("GetWebSocketsToken"))
        .unwrap();
    assert_eq!(token.body, "nonce=14080000000080000");
    let names: Vec<_> = token
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["API-Key", "API-Sign", "Content-Type"]);
    let mut out = Said::default();
    let refused = rig
        .venue
        .new_order(&rig.registry, &new_order(1), at_ms(11), &mut out);
    assert_eq!(refused, Err(EntryError::NotReady));

    let (said, result) = rig.response(20, token.tag, 200, fixture("rest_token"));
    assert_eq!(result, Ok(()));
    let messages: Vec<_> = said.sent.iter().map(|(_, text)| json(text)).collect();
    assert_eq!(messages[0]["params"]["channel"], "executions");
    assert_eq!(messages[0]["params"]["snap_orders"], true);
    assert_eq!(messages[1]["params"]["channel"], "balances");
    for message in &messages {
        let told = &message["params"]["token"];
        assert_eq!(*told, "WW91ciBhdXRoZW50aWNhdGlvbiB0b2tlbiBnb2VzIGhlcmUu");
    }
    rig.text(LINK_PRIVATE, 30, &ack("executions")).1.unwrap();
    let (said, _) = rig.text(LINK_PRIVATE, 31, &ack("balances"));
    assert_eq!(said.events, ["LoggedIn(LinkId(2))"]);

    rig.close(LINK_PRIVATE, 40);
    let again = rig.open(LINK_PRIVATE, 50).requests;
    assert_eq!(again.len(), 1);
    assert_ne!(again[0].tag, token.tag);
    let (said, _) = rig.response(51, token.tag, 200, fixture("rest_token"));
    assert_eq!(said.events, ["Ignored a token nobody waits for"]);
    assert!(said.sent.is_empty());
}

#[test]
fn a_token_that_is_refused_later_brings_a_new_link() {
    let mut rig = rig::with_order();
    let over = fixture("entry_reject_funds")
        .replace("EOrder:Insufficient funds", "ESession:Invalid session");
    let (said, result) = rig.text(LINK_PRIVATE, 1, &over);
    assert_eq!(result, Ok(()));
    assert!(
        said.events[1].starts_with("Order 1 REJECTED Auth"),
        "{said:?}"
    );
    assert_eq!(said.reconnects, [(LINK_PRIVATE, "the token is refused")]);
    let (said, _) = rig.text(LINK_PRIVATE, 2, &over);
    assert!(said.reconnects.is_empty(), "asked for once");
    let mut said = Said::default();
    let next = rig
        .venue
        .new_order(&rig.registry, &new_order(2), at_ms(3), &mut said);
    assert_eq!(next, Err(EntryError::NotReady));
    rig.close(LINK_PRIVATE, 4);
    let asked = rig.open(LINK_PRIVATE, 5).requests;
    assert_eq!(asked[0].line, "POST /0/private/GetWebSocketsToken");
}

#[test]
fn a_refused_token_is_a_refused_login() {
    let mut rig = rig::new(&["BTC/USD"], true);
    rig.open(LINK_REST, 0);
    let token = rig.open(LINK_PRIVATE, 0).requests.remove(0);
    let (said, result) = rig.response(1, token.tag, 200, fixture("rest_invalid_key"));
    assert!(result.is_err());
    assert_eq!(said.events, ["LoginRefused(Auth)"]);
    assert_eq!(said.reconnects, [(LINK_PRIVATE, "login refused")]);
    // Anything else is asked again.
    let token = rig.open(LINK_PRIVATE, 10).requests.remove(0);
    assert!(rig.response(11, token.tag, 503, "").1.is_err());
    assert_eq!(rig.deadline(2_011).requests.len(), 1);
    // A token that would break out of its quotes is none.
    let (said, result) = rig.response(
        2_012,
        token.tag,
        200,
        r#"{"error":[],"result":{"token":"a\"b"}}"#,
    );
    assert!(result.is_err() && said.sent.is_empty());
}

#[test]
fn what_is_not_confirmed_in_time_gets_a_new_link() {
    let mut rig = rig::almost_ready();
    rig.text(LINK_PRIVATE, 14_000, fixture("feed_heartbeat"))
        .1
        .unwrap();
    rig.text(LINK_PUBLIC, 14_000, fixture("feed_heartbeat"))
        .1
        .unwrap();
    assert!(rig.deadline(14_999).reconnects.is_empty());
    let said = rig.deadline(15_000);
    let why = "login or subscription was not confirmed in time";
    assert_eq!(said.reconnects, [(LINK_PRIVATE, why)]);
    assert!(rig.deadline(16_000).reconnects.is_empty(), "asked for once");
}

#[test]
fn silence_is_pinged_and_then_ends_the_link() {
    let mut rig = rig::ready();
    assert!(rig.deadline(2_999).sent.is_empty());
    let ping = r#"{"method":"ping"}"#.to_owned();
    let said = rig.deadline(3_000);
    assert_eq!(
        said.sent,
        [(LINK_PUBLIC, ping.clone()), (LINK_PRIVATE, ping.clone())]
    );
    assert!(rig.deadline(4_000).sent.is_empty(), "one ping at a time");
    rig.text(LINK_PUBLIC, 4_500, fixture("feed_pong"))
        .1
        .unwrap();
    assert_eq!(rig.deadline(5_000).reconnects, [(LINK_PRIVATE, "no pong")]);
    assert_eq!(rig.deadline(7_500).sent, [(LINK_PUBLIC, ping)]);
}

#[test]
fn the_dead_mans_switch_is_kept_armed_only_while_logged_in() {
    let mut rig = rig::almost_ready();
    assert!(rig.deadline(0).sent.is_empty());
    for channel in ["executions", "balances"] {
        rig.text(LINK_PRIVATE, 0, &ack(channel)).1.unwrap();
    }
    let armed = |said: &Said| -> Vec<serde_json::Value> {
        let texts = said.sent.iter().map(|(_, text)| json(text));
        texts
            .filter(|it| it["method"] == "cancel_all_orders_after")
            .collect()
    };
    let first = armed(&rig.deadline(0));
    assert_eq!(first[0]["params"]["timeout"], 60);
    assert!(first[0]["params"]["token"].is_string());
    assert!(armed(&rig.deadline(14_999)).is_empty());
    assert_eq!(armed(&rig.deadline(15_000)).len(), 1);
    assert!(
        rig.text(LINK_PRIVATE, 15_100, fixture("entry_dead_man_refused"))
            .1
            .is_err()
    );
    assert_eq!(
        armed(&rig.deadline(17_100)).len(),
        1,
        "a failed arming is tried soon"
    );
    rig.close(LINK_PRIVATE, 18_000);
    assert!(armed(&rig.deadline(60_000)).is_empty());
}

#[test]
fn orders_amends_and_cancels_go_out_with_the_token() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    let Rig {
        venue, registry, ..
    } = &mut rig;
    venue
        .new_order(registry, &new_order(1), at_ms(10), &mut said)
        .unwrap();
    let fok = dp_types::NewOrder {
        kind: OrderKind::Limit,
        tif: Tif::Fok,
        ..new_order(2)
    };
    let refused = venue.new_order(registry, &fok, at_ms(10), &mut said);
    assert_eq!(refused, Err(EntryError::Unsupported));
    let amend = AmendOrder {
        instrument: BTC,
        client_id: rig::client(1),
        order_id: OrderId(0),
        price: Some(Price(64_999_900)),
        qty: None,
    };
    venue
        .amend_order(registry, &amend, at_ms(11), &mut said)
        .unwrap();
    venue
        .cancel_order(registry, &cancel(1), at_ms(12), &mut said)
        .unwrap();
    assert_eq!(said.sent.len(), 3);
    let sent = |at: usize| json(&said.sent[at].1);
    assert_eq!(sent(0)["params"]["symbol"], "BTC/USD");
    assert_eq!(sent(0)["params"]["deadline"], "2025-10-09T08:53:25.010Z");
    assert_eq!(sent(1)["params"]["post_only"], true, "known from the order");
    assert_eq!(sent(1)["params"]["limit_price"].to_string(), "64999.9");
    assert_eq!(
        sent(2)["params"]["cl_ord_id"],
        serde_json::json!(["sl1z141z5"])
    );
    for at in 0..3 {
        assert!(
            sent(at)["params"]["token"]
                .as_str()
                .unwrap()
                .starts_with("WW91")
        );
        assert_eq!(said.sent[at].0, LINK_PRIVATE);
    }
    let unknown = dp_types::CancelOrder {
        instrument: InstrumentId(9),
        ..cancel(1)
    };
    let error = venue.cancel_order(registry, &unknown, at_ms(10), &mut said);
    assert_eq!(error, Err(EntryError::UnknownInstrument));
}

#[test]
fn the_counter_ends_orders_before_cancels_and_young_cancels_before_old_ones() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    let Rig {
        venue, registry, ..
    } = &mut rig;
    let mut passed = 0;
    while venue
        .new_order(registry, &new_order(passed + 1), at_ms(0), &mut said)
        .is_ok()
    {
        passed += 1;
    }
    assert_eq!(passed, 48);
    let live: Vec<_> = (1..=passed).map(cancel).collect();
    let before = said.sent.len();
    let result = venue.cancel_all(registry, BTC, &live, at_ms(0), &mut said);
    assert_eq!(result, Err(EntryError::RateLimited));
    let named = said.sent[before].1.matches("\"sl1z").count();
    assert_eq!(
        (said.sent.len() - before, named),
        (1, 1),
        "8 of the 12 that were left"
    );
    // Half an hour later all of them are old: free.
    let before = said.sent.len();
    let late = at_ms(1_800_000);
    venue
        .cancel_all(registry, BTC, &live, late, &mut said)
        .unwrap();
    assert_eq!(said.sent.len() - before, 1);
    let more: Vec<_> = (1..=48).chain(1..=48).map(cancel).collect();
    venue
        .cancel_all(registry, BTC, &more, late, &mut said)
        .unwrap();
    let sizes = said.sent.iter().skip(before + 1);
    let sizes: Vec<_> = sizes
        .map(|(_, text)| text.matches("\"sl1z").count())
        .collect();
    assert_eq!(sizes, [50, 46]);
}

#[test]
fn a_rate_refusal_stops_new_orders_until_the_counter_has_fallen() {
    let mut rig = rig::with_order();
    let (said, _) = rig.text(LINK_PRIVATE, 0, fixture("entry_reject_rate"));
    assert_eq!(
        said.events.last().unwrap(),
        "RateLimited { until_ms: 1760000013000 }"
    );
    let mut out = Said::default();
    let Rig {
        venue, registry, ..
    } = &mut rig;
    let order = new_order(2);
    let refused = venue.new_order(registry, &order, at_ms(12_999), &mut out);
    assert_eq!(refused, Err(EntryError::RateLimited));
    assert_eq!(
        venue.new_order(registry, &order, at_ms(13_000), &mut out),
        Ok(())
    );
}

/// Feeds the machine's depth into a keeper, as a lane does.
struct Book {
    keeper: Keeper<KrakenSync>,
    outcomes: Vec<Outcome>,
    instrument: dp_types::Instrument,
    said: Said,
}

impl Sink for Book {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Book(message) = event {
            let now = UnixNanos::from_millis(START_MS);
            self.outcomes
                .push(self.keeper.on_msg(message, &self.instrument, now));
        }
    }
    fn send_text(&mut self, link: LinkId, text: &[u8]) {
        self.said.send_text(link, text);
    }
    fn request(&mut self, link: LinkId, request: &RestRequest<'_>) {
        self.said.request(link, request);
    }
    fn reconnect(&mut self, link: LinkId, why: &'static str) {
        self.said.reconnect(link, why);
    }
}

impl Book {
    fn new(rig: &Rig) -> Self {
        let instrument = *rig.registry.get(BTC).unwrap();
        Self {
            keeper: Keeper::new(KrakenSync::new(&instrument)),
            outcomes: Vec::new(),
            instrument,
            said: Said::default(),
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
fn a_wrong_checksum_is_stale_at_once_and_subscribes_anew() {
    let mut rig = rig::ready();
    let mut book = Book::new(&rig);
    assert_eq!(book.feed(&mut rig, "feed_book_snapshot"), Outcome::Applied);
    assert_eq!(book.feed(&mut rig, "feed_book_update"), Outcome::Applied);
    assert_eq!(book.keeper.counts().checksums_ok, 2);
    assert_eq!(book.feed(&mut rig, "feed_book_snapshot"), Outcome::Applied);
    let outcome = book.feed(&mut rig, "feed_book_bad_checksum");
    assert!(outcome.needs_snapshot() && book.keeper.proof().state == State::Waiting);

    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(2_000), &mut book);
    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(2_001), &mut book);
    assert_eq!(book.said.sent.len(), 1, "once");
    let message = json(&book.said.sent[0].1);
    assert_eq!(message["method"], "unsubscribe");
    assert_eq!(message["params"]["channel"], "book");
    assert_eq!(message["params"]["depth"], 10);
    // What still comes of the old subscription says nothing.
    assert_eq!(book.feed(&mut rig, "feed_book_update"), Outcome::Ignored);
    let (said, _) = rig.text(LINK_PUBLIC, 2_100, fixture("feed_unsubscribe_ack"));
    assert_eq!(json(&said.sent[0].1)["method"], "subscribe");
    let (said, _) = rig.text(LINK_PUBLIC, 2_101, fixture("feed_unsubscribe_ack"));
    assert!(said.sent.is_empty(), "once");
    assert_eq!(book.feed(&mut rig, "feed_book_snapshot"), Outcome::Applied);
    assert!(
        rig.deadline(20_000)
            .sent
            .iter()
            .all(|(_, text)| !text.contains("book"))
    );
}

#[test]
fn a_first_snapshot_that_does_not_come_is_asked_for() {
    let mut rig = rig::new(&["BTC/USD"], false);
    let asked = rig.open(LINK_REST, 0).requests;
    rig.open(LINK_PUBLIC, 0);
    rig.response(0, asked[0].tag, 200, fixture("rest_pairs"))
        .1
        .unwrap();
    rig.text(LINK_PUBLIC, 4_000, &ack("book")).1.unwrap();
    assert!(rig.deadline(4_999).sent.is_empty());
    let said = rig.deadline(5_000);
    assert!(said.sent[0].1.contains("unsubscribe"));
}

#[test]
fn a_snapshot_that_does_not_come_is_asked_for_again() {
    let mut rig = rig::ready();
    rig.text(LINK_PUBLIC, 0, fixture("feed_book_snapshot"))
        .1
        .unwrap();
    let ask = |rig: &mut Rig, ms: u64| {
        let mut said = Said::default();
        rig.venue
            .request_snapshot(&rig.registry, BTC, at_ms(ms), &mut said);
        said.sent.len()
    };
    assert_eq!(ask(&mut rig, 10_000), 1);
    let books = |said: Said| {
        let texts = said.sent.into_iter().map(|(_, text)| text);
        texts.filter(|text| text.contains("unsubscribe")).count()
    };
    rig.text(LINK_PUBLIC, 14_000, fixture("feed_heartbeat"))
        .1
        .unwrap();
    assert_eq!(books(rig.deadline(14_999)), 0);
    assert_eq!(books(rig.deadline(15_000)), 1, "no answer");
    rig.text(LINK_PUBLIC, 16_000, fixture("feed_unsubscribe_ack"))
        .1
        .unwrap();
    rig.text(LINK_PUBLIC, 20_000, fixture("feed_heartbeat"))
        .1
        .unwrap();
    assert_eq!(books(rig.deadline(21_000)), 1, "no snapshot");
    rig.text(LINK_PUBLIC, 21_001, fixture("feed_book_snapshot"))
        .1
        .unwrap();
    assert_eq!(ask(&mut rig, 21_500), 0, "paced");
    assert_eq!(books(rig.deadline(22_000)), 1);
    rig.close(LINK_PUBLIC, 22_100);
    assert_eq!(ask(&mut rig, 30_000), 0, "the next opening brings it");
    assert_eq!(rig.open(LINK_PUBLIC, 30_001).sent.len(), 3);
}

#[test]
fn reconciliation_reads_orders_trades_and_balances() {
    let mut rig = rig::with_order();
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(100), &mut said);
    assert_eq!(said.events, ["ReconcileStarted"]);
    let step = said.requests.pop().unwrap();
    assert_eq!(step.line, "POST /0/private/OpenOrders");
    let (said, _) = rig.response(110, step.tag, 200, fixture("rest_open_orders"));
    assert_eq!(
        said.events,
        [
            "Order 1 PARTIALLY_FILLED None px 65000.0 qty 0.01000000 cum 0.00400000",
            "Order - ACK None px 65000.0 qty 0.01000000 cum 0.00000000",
            "Ignored of an instrument we do not follow",
        ]
    );
    let lines: Vec<_> = said.requests.iter().map(|it| it.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "POST /0/private/QueryTrades",
            "POST /0/private/TradesHistory"
        ]
    );
    assert!(said.requests[0].body.ends_with("&txid=TQVW2E-DGIAM-WPWXDI"));
    let step = &said.requests[1];
    assert!(
        step.body.ends_with("&start=1759740800&ofs=0"),
        "three days: {}",
        step.body
    );
    let (said, _) = rig.response(120, step.tag, 200, fixture("rest_trades"));
    assert_eq!(
        events(&said),
        [
            "Fill 1 trade TQVW2E-DGIAM-WPWXDI buy 0.00400000 @ 65000.00000 fee 0.41600 AssetId(1) maker",
            "Ignored of an instrument we do not follow",
        ]
    );
    let step = &said.requests[0];
    assert_eq!(step.line, "POST /0/private/BalanceEx");
    let (said, _) = rig.response(130, step.tag, 200, fixture("rest_balance_ex"));
    assert_eq!(
        said.events,
        [
            "Balance AssetId(1) free 8950.00000 locked 390.00000",
            "Balance AssetId(0) free 0.4 locked 0.1",
            "Balance AssetId(65535) free 2.0 locked 0",
            "Reconciled",
        ]
    );
    // The next one reads from a minute before the newest trade of this one: 2026-05-05T10:00:03.
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(200), &mut said);
    let (said, _) = rig.response(
        210,
        said.requests[0].tag,
        200,
        r#"{"error":[],"result":{"open":{}}}"#,
    );
    assert!(
        said.requests[0].body.ends_with("&start=1777975143&ofs=0"),
        "{}",
        said.requests[0].body
    );
}

#[test]
fn a_query_by_the_venues_id_then_its_trades() {
    let mut rig = rig::with_order();
    rig.text(LINK_PRIVATE, 0, fixture("entry_new_ack"))
        .1
        .unwrap();
    let mut said = Said::default();
    rig.venue
        .query_order(&rig.registry, &cancel(1), at_ms(0), &mut said)
        .unwrap();
    let asked = said.requests.pop().unwrap();
    assert_eq!(asked.line, "POST /0/private/QueryOrders");
    assert!(
        asked
            .body
            .ends_with("&txid=OABCDE-12345-FGHIJK&trades=true")
    );
    let (said, _) = rig.response(1, asked.tag, 200, fixture("rest_query_orders"));
    assert_eq!(
        said.events,
        ["Order 1 CANCELLED None px 65000.0 qty 0.01000000 cum 0.00400000"]
    );
    let trades = &said.requests[0];
    assert!(
        trades
            .body
            .ends_with("&txid=TQVW2E-DGIAM-WPWXDI%2CTQVW2E-DGIAM-WPWXDJ")
    );
    let (said, _) = rig.response(2, trades.tag, 200, fixture("rest_query_trades"));
    assert_eq!(
        events(&said),
        [
            "Fill 1 trade TQVW2E-DGIAM-WPWXDI buy 0.00400000 @ 65000.00000 fee 0.41600 AssetId(1) taker"
        ]
    );
    let (said, result) = rig.response(3, asked.tag, 200, fixture("rest_unknown_order"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Order 1 REJECTED UnknownOrder px - qty - cum -"]
    );
}

#[test]
fn a_query_by_our_id_looks_among_open_orders_and_then_among_those_that_ended() {
    let mut rig = rig::with_order();
    let mut said = Said::default();
    rig.venue
        .query_order(&rig.registry, &cancel(1), at_ms(0), &mut said)
        .unwrap();
    let asked = said.requests.pop().unwrap();
    assert_eq!(asked.line, "POST /0/private/OpenOrders");
    assert!(asked.body.ends_with("&trades=true&cl_ord_id=sl1z141z5"));
    let (said, _) = rig.response(1, asked.tag, 200, r#"{"error":[],"result":{"open":{}}}"#);
    let closed = &said.requests[0];
    assert_eq!(closed.line, "POST /0/private/ClosedOrders");
    let (said, _) = rig.response(2, closed.tag, 200, fixture("rest_closed_orders"));
    assert_eq!(
        said.events,
        ["Order 1 FILLED None px 65000.0 qty 0.01000000 cum 0.01000000"],
        "the other one is not ours"
    );
    let empty = r#"{"error":[],"result":{"closed":{},"count":0}}"#;
    let (said, _) = rig.response(3, closed.tag, 200, empty);
    assert_eq!(
        said.events,
        ["Order 1 REJECTED UnknownOrder px - qty - cum -"]
    );
}

#[test]
fn on_paper_what_the_session_would_refuse_is_refused() {
    let told = rates::agree(&mut rig::ready(), 100, new_order);
    assert_eq!(told.first, 17, "{told:?}");
}
