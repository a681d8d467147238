//! The machine over time: start, subscriptions, snapshots, orders out, reconciliation, limits.
#![allow(missing_docs)]

mod rig;

use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, NewOrder, Notional,
    OrderId, OrderKind, Price, Qty, Side, Tif,
};
use dp_venue_api::{EntryError, EntryLink, LinkKind, Secrets, Venue};
use dp_venue_coinbase::{CAPABILITIES, LINK_ENTRY, LINK_PUBLIC, LINK_REST, LINK_USER};
use rig::{Rig, SECRET, fixture};
use tests_venues::rates;
use tests_venues::rig::{Request, Said, at_ms};

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
        price: Price(650_000_100),
        qty: Qty(100_000_000),
    }
}

fn cancel(sequence: u32) -> CancelOrder {
    CancelOrder {
        instrument: BTC,
        client_id: client(sequence),
        order_id: OrderId(0),
    }
}

fn send(rig: &mut Rig, sequence: u32, ms: u64) -> (Result<(), EntryError>, Said) {
    let mut said = Said::default();
    let order = new_order(sequence);
    let result = rig
        .venue
        .new_order(&rig.registry, &order, at_ms(ms), &mut said);
    (result, said)
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn links_with_and_without_keys() {
    let rig = rig::new(&["BTC-USD"], false);
    assert_eq!(rig.venue.links().len(), 2, "market data only");
    let rig = rig::new(&["BTC-USD"], true);
    let links: Vec<_> = rig
        .venue
        .links()
        .iter()
        .map(|link| (link.id, link.kind, link.host.as_str(), link.name))
        .collect();
    assert_eq!(
        links,
        [
            (LINK_REST, LinkKind::Http, "rest.test", "rest"),
            (LINK_PUBLIC, LinkKind::WebSocket, "public.test", "md"),
            (LINK_USER, LinkKind::WebSocket, "private.test", "orders"),
            (LINK_ENTRY, LinkKind::Http, "rest.test", "entry"),
        ]
    );
    let silent = |link: &&dp_venue_api::LinkSpec| link.silence_ns_max == 10_000_000_000;
    assert_eq!(rig.venue.links().iter().filter(silent).count(), 2);
    assert_eq!(rig.venue.capabilities(), &CAPABILITIES);
    assert_eq!(CAPABILITIES.entry, EntryLink::Rest);
}

#[test]
fn a_key_that_is_none_is_told_and_market_data_goes_on() {
    let mut rig = rig::with(
        &["BTC-USD"],
        Secrets {
            api_key: "k".into(),
            api_secret: "not base64!".into(),
            ..Secrets::default()
        },
    );
    assert_eq!(rig.venue.links().len(), 2);
    let said = rig.open(LINK_REST, 0);
    assert_eq!(said.events, ["LoginRefused(Auth)"]);
    assert_eq!(said.requests.len(), 1);
}

#[test]
fn start_asks_for_products_then_subscribes_what_is_listed() {
    let mut rig = rig::new(&["BTC-USD", "ETH-USD", "FOO-USD"], true);
    assert!(rig.open(LINK_PUBLIC, 0).sent.is_empty(), "not known yet");
    assert!(rig.open(LINK_USER, 0).sent.is_empty());
    let asked = rig.open(LINK_REST, 0).requests;
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line, "GET /products");
    assert!(asked[0].headers.is_empty(), "public");
    let (said, result) = rig.response(5, asked[0].tag, 200, fixture("rest_products"));
    assert!(result.is_err(), "FOO-USD is not listed");
    assert_eq!(said.events, ["InstrumentsReady"]);

    let btc = rig.registry.get(BTC).unwrap();
    assert_eq!((btc.price_decimals, btc.qty_decimals), (4, 8));
    assert_eq!(
        (btc.tick, btc.lot, btc.qty_min),
        (Price(100), Qty(1), Qty(1))
    );
    assert_eq!(btc.notional_min, Notional(1_000_000_000_000), "1 USD");
    assert_eq!(rig.registry.asset_name(btc.base), "BTC");
    assert_eq!(rig.registry.asset_name(btc.quote), "USD");
    assert!(btc.is_live);
    let is_live = |id| rig.registry.get(InstrumentId(id)).unwrap().is_live;
    assert!(!is_live(1), "cancel only");
    assert!(!is_live(2), "no rules");

    let (links, texts): (Vec<_>, Vec<_>) = said.sent.into_iter().unzip();
    assert_eq!(links, [LINK_PUBLIC, LINK_USER]);
    let public = json(&texts[0]);
    assert_eq!(public["type"], "subscribe");
    assert_eq!(public["product_ids"], json(r#"["BTC-USD","ETH-USD"]"#));
    let channels = json(r#"["level2","matches","ticker","heartbeat"]"#);
    assert_eq!(public["channels"], channels);
    let user = json(&texts[1]);
    assert_eq!(user["channels"], json(r#"["user","heartbeat"]"#));
    for message in [&public, &user] {
        // 2025-10-09T08:53:20Z; the book channel is signed as the user channel is.
        assert_eq!(message["timestamp"], "1760000000");
        assert_eq!(message["key"], "fakekey");
        assert_eq!(message["passphrase"], "fakepass");
        assert_eq!(message["signature"].as_str().unwrap().len(), 44);
    }
    let (said, _) = rig.text(LINK_PUBLIC, 6, fixture("feed_subscriptions"));
    assert_eq!(said.events, ["Subscribed(LinkId(1))"]);
    let (said, _) = rig.text(LINK_USER, 6, fixture("account_subscriptions"));
    assert_eq!(said.events, ["LoggedIn(LinkId(2))"]);
    assert_eq!(rig.deadline(60_000).reconnects, [], "nothing is waited for");
}

#[test]
fn without_keys_the_book_comes_in_batches() {
    let mut rig = rig::new(&["BTC-USD"], false);
    let asked = rig.open(LINK_REST, 0).requests;
    rig.response(0, asked[0].tag, 200, fixture("rest_products"))
        .1
        .unwrap();
    let said = rig.open(LINK_PUBLIC, 1);
    assert_eq!(
        said.sent[0].1,
        r#"{"type":"subscribe","product_ids":["BTC-USD"],"channels":["level2_batch","matches","ticker","heartbeat"]}"#
    );
    for name in ["level2_batch", "level2_50"] {
        let mut rig = rig::new(&["BTC-USD"], false);
        let asked = rig.open(LINK_REST, 0).requests;
        rig.response(0, asked[0].tag, 200, fixture("rest_products"))
            .1
            .unwrap();
        rig.open(LINK_PUBLIC, 1);
        let ack = fixture("feed_subscriptions").replace("level2", name);
        let (said, _) = rig.text(LINK_PUBLIC, 2, &ack);
        assert_eq!(said.events, ["Subscribed(LinkId(1))"]);
    }
}

#[test]
fn a_refused_or_lost_list_of_products_is_asked_again() {
    let mut rig = rig::new(&["BTC-USD"], false);
    let tag = rig.open(LINK_REST, 0).requests[0].tag;
    for (ms, status, body) in [
        (0, 503, "<html>"),
        (2_000, 0, ""),
        (4_000, 200, "{"),
        (6_000, 200, r#"[{"id":"BTC-USD"}]"#),
    ] {
        assert!(rig.response(ms, tag, status, body).1.is_err());
        assert!(rig.deadline(ms + 999).requests.is_empty(), "a pause");
        assert_eq!(rig.deadline(ms + 1_000).requests.len(), 1, "{status}");
    }
    assert!(rig.deadline(51_999).requests.is_empty());
    assert_eq!(rig.deadline(52_000).requests.len(), 1, "no answer at all");
    rig.close(LINK_REST, 52_001);
    assert_eq!(rig.venue.next_deadline(), None);
    assert_eq!(rig.open(LINK_REST, 52_002).requests.len(), 1);
}

#[test]
fn a_subscription_without_answer_ends_the_link() {
    let mut rig = rig::new(&["BTC-USD"], true);
    let asked = rig.open(LINK_REST, 0).requests;
    rig.response(0, asked[0].tag, 200, fixture("rest_products"))
        .1
        .unwrap();
    rig.open(LINK_USER, 0);
    assert_eq!(rig.venue.next_deadline(), Some(at_ms(10_000).unix));
    // The venue lists what there is already: not what was asked for.
    let other = r#"{"type":"subscriptions","channels":[{"name":"heartbeat"}]}"#;
    let (said, _) = rig.text(LINK_USER, 1, other);
    assert_eq!(said.events, ["Ignored subscriptions"]);
    assert!(rig.deadline(9_999).reconnects.is_empty());
    let reconnects = rig.deadline(10_000).reconnects;
    assert_eq!(reconnects.len(), 1);
    assert_eq!(reconnects[0].0, LINK_USER);
    assert!(rig.deadline(20_000).reconnects.is_empty(), "asked for once");
}

#[test]
fn a_refused_subscription_says_so_and_asks_for_a_new_link() {
    let refusal = r#"{"type":"error","message":"Authentication Failed","reason":"{\"message\":\"invalid signature\"}"}"#;
    for (link, expected) in [(LINK_USER, &["LoginRefused(Auth)"][..]), (LINK_PUBLIC, &[])] {
        let mut rig = rig::new(&["BTC-USD"], true);
        let asked = rig.open(LINK_REST, 0).requests;
        rig.response(0, asked[0].tag, 200, fixture("rest_products"))
            .1
            .unwrap();
        rig.open(link, 0);
        let (said, result) = rig.text(link, 1, refusal);
        assert!(result.is_err());
        assert_eq!(said.events, expected);
        assert_eq!(said.reconnects, [(link, "the subscription was refused")]);
        assert_eq!(rig.open(link, 2).sent.len(), 1, "and subscribes again");
    }
    // Later it is a word about one message, and the link goes on.
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_USER, 1, refusal);
    assert!(result.is_err() && said.reconnects.is_empty() && said.events.is_empty());
}

#[test]
fn orders_go_out_on_their_own_link_once_the_user_channel_runs() {
    let mut rig = rig::ready();
    let (result, said) = send(&mut rig, 1, 10);
    assert_eq!(result, Ok(()));
    assert!(said.sent.is_empty());
    let [request] = said.requests.as_slice() else {
        panic!("{said:?}");
    };
    assert_eq!(
        (request.link, request.line.as_str()),
        (LINK_ENTRY, "POST /orders")
    );
    assert_eq!(
        request.body,
        concat!(
            r#"{"product_id":"BTC-USD","side":"sell","type":"limit","price":"65000.01","time_in_force":"GTC","#,
            r#""post_only":true,"size":"1","client_oid":"51de1a4e-0000-4000-8000-000100000001","stp":"cn"}"#
        )
    );
    let names: Vec<_> = request
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "CB-ACCESS-KEY",
            "CB-ACCESS-SIGN",
            "CB-ACCESS-TIMESTAMP",
            "CB-ACCESS-PASSPHRASE",
            "Content-Type"
        ]
    );
    for link in [LINK_USER, LINK_ENTRY] {
        let mut rig = rig::ready();
        rig.close(link, 11);
        assert_eq!(send(&mut rig, 2, 12).0, Err(EntryError::NotReady));
        // What rests must go as long as there is a way.
        let mut out = Said::default();
        let result = rig
            .venue
            .cancel_order(&rig.registry, &cancel(1), at_ms(12), &mut out);
        assert_eq!(result.is_ok(), link == LINK_USER);
    }
    let mut rig = rig::new(&["BTC-USD"], false);
    assert_eq!(send(&mut rig, 1, 0).0, Err(EntryError::NotReady));
}

#[test]
fn cancels_and_what_the_venue_has_not() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    rig.venue
        .cancel_order(&rig.registry, &cancel(1), at_ms(0), &mut said)
        .unwrap();
    let live = [cancel(1), cancel(2)];
    rig.venue
        .cancel_all(&rig.registry, BTC, &live, at_ms(0), &mut said)
        .unwrap();
    let lines: Vec<_> = said.requests.iter().map(|it| it.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "DELETE /orders/client:51de1a4e-0000-4000-8000-000100000001?product_id=BTC-USD",
            "DELETE /orders?product_id=BTC-USD",
        ]
    );
    assert!(said.requests.iter().all(|it| it.link == LINK_ENTRY));
    let amend = AmendOrder {
        instrument: BTC,
        client_id: client(1),
        order_id: OrderId(7),
        price: Some(Price(1)),
        qty: None,
    };
    let now = at_ms(0);
    let result = rig.venue.amend_order(&rig.registry, &amend, now, &mut said);
    assert_eq!(result, Err(EntryError::Unsupported));
    let unknown = CancelOrder {
        instrument: InstrumentId(9),
        ..cancel(1)
    };
    let result = rig
        .venue
        .cancel_order(&rig.registry, &unknown, now, &mut said);
    assert_eq!(result, Err(EntryError::UnknownInstrument));
}

#[test]
fn orders_leave_room_for_cancels() {
    let mut rig = rig::ready();
    let sent = (1..100)
        .take_while(|at| send(&mut rig, *at, 10).0.is_ok())
        .count();
    assert_eq!(sent, 20);
    assert_eq!(send(&mut rig, 200, 10).0, Err(EntryError::RateLimited));
    let mut said = Said::default();
    let query = rig
        .venue
        .query_order(&rig.registry, &cancel(1), at_ms(10), &mut said);
    assert_eq!(query, Err(EntryError::RateLimited), "after both");
    for _ in 0..10 {
        rig.venue
            .cancel_order(&rig.registry, &cancel(1), at_ms(10), &mut said)
            .unwrap();
    }
    let over = rig
        .venue
        .cancel_order(&rig.registry, &cancel(1), at_ms(10), &mut said);
    assert_eq!(over, Err(EntryError::RateLimited));
}

#[test]
fn a_lost_book_is_subscribed_anew_and_then_with_a_new_link() {
    let mut rig = rig::ready();
    let ask = |rig: &mut Rig, ms: u64| {
        let mut said = Said::default();
        rig.venue
            .request_snapshot(&rig.registry, BTC, at_ms(ms), &mut said);
        said
    };
    let said = ask(&mut rig, 100);
    let kinds: Vec<_> = said
        .sent
        .iter()
        .map(|(link, text)| {
            let message = json(text);
            assert_eq!(*link, LINK_PUBLIC);
            assert_eq!(message["channels"], json(r#"["level2"]"#));
            assert_eq!(message["product_ids"], json(r#"["BTC-USD"]"#));
            message["type"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(kinds, ["unsubscribe", "subscribe"]);
    // Its acknowledgement says nothing new; asking again waits for the snapshot.
    let (acked, _) = rig.text(LINK_PUBLIC, 150, fixture("feed_subscriptions"));
    assert_eq!(acked.events, ["Ignored subscriptions"]);
    assert!(ask(&mut rig, 200).sent.is_empty());
    assert!(rig.deadline(5_000).sent.is_empty());
    assert_eq!(rig.deadline(10_100).sent.len(), 2, "none came: again");
    rig.text(LINK_PUBLIC, 10_200, fixture("feed_snapshot"))
        .1
        .unwrap();
    assert!(rig.deadline(30_000).sent.is_empty(), "it is here");
    assert_eq!(ask(&mut rig, 30_001).sent.len(), 2);
    rig.text(LINK_PUBLIC, 30_100, fixture("feed_snapshot"))
        .1
        .unwrap();
    let said = ask(&mut rig, 30_200);
    assert!(said.sent.is_empty() && said.reconnects.is_empty(), "paced");
    let said = rig.deadline(31_001);
    assert_eq!(
        said.reconnects,
        [(LINK_PUBLIC, "a book does not come right")],
        "the fourth in a row"
    );
    rig.close(LINK_PUBLIC, 31_002);
    assert!(ask(&mut rig, 31_003).sent.is_empty(), "no link");
    assert_eq!(rig.open(LINK_PUBLIC, 31_004).sent.len(), 1);
    assert!(ask(&mut rig, 31_005).sent.is_empty(), "it is coming");
}

#[test]
fn a_book_message_that_cannot_be_read_opens_the_link_anew() {
    for text in [
        r#"{"type":"l2update","product_id":"BTC-USD","changes":[["buy","1","x"]]}"#,
        r#"{"type":"l2update","product_id":"BTC-USD"}"#,
        r#"{"type":"snapshot","product_id":"BTC-USD","bids":[["1"]],"asks":[]}"#,
    ] {
        let (said, result) = rig::ready().text(LINK_PUBLIC, 1, text);
        assert!(result.is_err());
        assert_eq!(
            said.reconnects,
            [(LINK_PUBLIC, "a book message could not be read")],
            "{text}"
        );
    }
    let stranger = r#"{"type":"l2update","product_id":"X-USD","changes":[["buy","1","x"]]}"#;
    let (said, result) = rig::ready().text(LINK_PUBLIC, 1, stranger);
    assert!(result.is_err() && said.reconnects.is_empty());
}

fn one(said: Said) -> Request {
    let [request] = <[Request; 1]>::try_from(said.requests).unwrap();
    request
}

#[test]
fn reconciliation_reads_orders_fills_and_balances_of_each_product() {
    let mut rig = rig::new(&["BTC-USD", "ETH-USD"], true);
    let products = rig.open(LINK_REST, 0).requests;
    rig.response(0, products[0].tag, 200, fixture("rest_products"))
        .1
        .unwrap();
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(100), &mut said);
    assert_eq!(said.events, ["ReconcileStarted"]);
    let mut step = one(said);
    for (line, body, events) in [
        (
            "GET /orders?product_id=BTC-USD&status=open&status=pending&status=active&limit=1000",
            fixture("rest_orders"),
            &[
                "Order 1 PARTIALLY_FILLED None px 65000.00 qty 1.34000000 cum 0.34000000",
                "Order - ACK None px 60000.00 qty 0.10000000 cum 0",
                "Ignored an order of an instrument we do not follow",
            ][..],
        ),
        (
            "GET /orders?product_id=ETH-USD&status=open&status=pending&status=active&limit=1000",
            "[]",
            &[],
        ),
        (
            "GET /fills?product_id=BTC-USD&limit=100",
            fixture("rest_fills"),
            // The list does not say which of ours it was: it is remembered from the orders.
            &[
                "Fill 1 trade 370843402 buy 0.34000000 @ 65000.00 fee 55.2500000000000000 AssetId(1) maker",
            ],
        ),
        ("GET /fills?product_id=ETH-USD&limit=100", "[]", &[]),
    ] {
        assert_eq!((step.link, step.line.as_str()), (LINK_REST, line));
        assert_eq!(step.headers.len(), 4, "signed, without a body");
        let (said, result) = rig.response(110, step.tag, 200, body);
        assert_eq!(
            (result, &said.events[..]),
            (
                Ok(()),
                &events.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()[..]
            )
        );
        step = one(said);
    }
    assert_eq!(step.line, "GET /accounts");
    let (said, result) = rig.response(130, step.tag, 200, fixture("rest_accounts"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        [
            "Balance AssetId(2) free 0.9000000000000000 locked 0.1000000000000000",
            "Balance AssetId(1) free 1234567.123456789012 locked 0.0000000000000000",
            "Ignored an asset we do not trade",
            "Reconciled",
        ]
    );
}

/// A run whose fills take several pages stops at what was known, and first of all three days back.
#[test]
fn fills_are_paged_back_to_the_last_known_trade() {
    let page = |trades: std::ops::RangeInclusive<u64>, time: &str| {
        let items: Vec<_> = trades
            .rev()
            .map(|trade| {
                format!(
                    r#"{{"created_at":"{time}","trade_id":{trade},"product_id":"BTC-USD","order_id":"d50ec984-77a8-460a-b958-66f114b0de9b","liquidity":"T","price":"1","size":"1","fee":"0.1","side":"buy"}}"#
                )
            })
            .collect();
        format!("[{}]", items.join(","))
    };
    let (today, long_ago) = ("2025-10-09T08:00:00Z", "2025-10-05T08:00:00Z");
    let mut rig = rig::ready();
    for (pages, lines) in [
        (
            vec![page(901..=1000, today), page(801..=900, long_ago)],
            vec!["", "&after=901"],
        ),
        (
            vec![
                page(1101..=1200, today),
                page(1001..=1100, today),
                page(951..=1050, today),
            ],
            vec!["", "&after=1101", "&after=1001"],
        ),
        (vec![page(1200..=1299, today)], vec![""]),
        (vec!["[]".to_owned()], vec![""]),
    ] {
        let mut said = Said::default();
        rig.venue.reconcile(&rig.registry, at_ms(0), &mut said);
        let orders = one(said);
        let mut next = one(rig.response(0, orders.tag, 200, "[]").0);
        for (body, line) in pages.iter().zip(lines) {
            let target = format!("GET /fills?product_id=BTC-USD&limit=100{line}");
            assert_eq!(next.line, target);
            next = one(rig.response(0, next.tag, 200, body).0);
        }
        assert_eq!(next.line, "GET /accounts");
        let (said, _) = rig.response(0, next.tag, 200, "[]");
        assert_eq!(said.events, ["Reconciled"]);
    }
}

#[test]
fn without_symbols_only_balances_are_compared() {
    let mut rig = rig::new(&[], true);
    let asked = rig.open(LINK_REST, 0).requests;
    let (said, _) = rig.response(0, asked[0].tag, 200, fixture("rest_products"));
    assert_eq!(said.events, ["InstrumentsReady"]);
    assert!(
        rig.open(LINK_PUBLIC, 0).sent.is_empty(),
        "nothing to follow"
    );
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(0), &mut said);
    assert_eq!(one(said).line, "GET /accounts");
}

#[test]
fn the_key_never_appears_in_what_is_printed() {
    let rig = rig::ready();
    let printed = format!("{:?}", rig.venue);
    assert!(!printed.contains(SECRET) && !printed.contains("fakepass"));
}

#[test]
fn on_paper_what_the_session_would_refuse_is_refused() {
    let told = rates::agree(&mut rig::ready(), 100, new_order);
    assert_eq!(told.first, 21, "{told:?}");
}
