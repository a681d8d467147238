//! The machine over time: start, logon, snapshots, reconciliation, planned reconnects, limits.
#![allow(missing_docs)]

mod rig;

use dp_book::{Keeper, Outcome, State};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Epoch, Instrument, InstrumentId, LaneId, NewOrder,
    Notional, OrderId, OrderKind, Price, Qty, RejectReason, Side, Tif, UnixNanos,
};
use dp_venue_api::{EntryError, Event, Fault, RestRequest, Sink, Venue};
use dp_venue_binance::sync::BinanceSync;
use dp_venue_binance::{LINK_MD, LINK_ORDERS, LINK_REST, auth};
use rig::{API_KEY, Keys, PEM, Rig, SECRET, fixture};
use tests_venues::rates;
use tests_venues::rig::{START_MS, Said, at_ms};

const BTC: InstrumentId = InstrumentId(0);
const HOUR_MS: u64 = 3_600_000;

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
        price: Price(650_000_100), // 65000.01
        qty: Qty(1_000_000),       // 0.01
    }
}

fn cancel(sequence: u32, order_id: u128) -> CancelOrder {
    CancelOrder {
        instrument: BTC,
        client_id: client(sequence),
        order_id: OrderId(order_id),
    }
}

/// What one order call wrote.
fn written(
    rig: &mut Rig,
    call: impl FnOnce(&mut Rig, &mut Said) -> Result<(), EntryError>,
) -> Result<String, EntryError> {
    let mut said = Said::default();
    call(rig, &mut said)?;
    assert_eq!(said.sent.len(), 1);
    let (link, text) = said.sent.remove(0);
    assert_eq!(link, LINK_ORDERS);
    Ok(text)
}

fn place(rig: &mut Rig, order: NewOrder, ms: u64) -> Result<String, EntryError> {
    written(rig, |rig, said| {
        rig.venue.new_order(&rig.registry, &order, at_ms(ms), said)
    })
}

#[test]
fn start_learns_the_rules_before_any_book() {
    let mut rig = rig::new(&["BTCUSDT", "ETHUSDT"], Keys::None);
    let links = rig.venue.links();
    assert_eq!(links.len(), 2, "no keys, no order link");
    assert_eq!(
        links[1].path,
        "/stream?streams=btcusdt@depth@100ms/btcusdt@trade/btcusdt@bookTicker/\
         ethusdt@depth@100ms/ethusdt@trade/ethusdt@bookTicker"
    );
    assert_eq!(rig.open(LINK_MD, 0).events, ["Subscribed(LinkId(1))"]);
    let early = rig.text(LINK_MD, 0, fixture("feed_delta"));
    assert_eq!(early.0.events, ["Ignored rules are not known yet"]);

    let asked = rig.open(LINK_REST, 0).requests;
    assert_eq!(
        asked[0].line,
        "GET /api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22%2C%22ETHUSDT%22%5D"
    );
    let (said, result) = rig.response(1, asked[0].tag, 200, fixture("rest_exchange_info_halt"));
    assert_eq!(
        (said.events, result),
        (vec!["InstrumentsReady".to_owned()], Ok(()))
    );
    let btc = rig.registry.get(BTC).unwrap();
    assert_eq!((btc.price_decimals, btc.qty_decimals), (4, 8));
    assert_eq!(
        (btc.tick, btc.lot, btc.qty_min),
        (Price(100), Qty(1_000), Qty(1_000))
    );
    assert_eq!(btc.qty_max, Qty(900_000_000_000));
    assert_eq!(btc.notional_min, Notional(5_000_000_000_000));
    assert!(btc.is_live);
    assert_eq!(rig.registry.asset_name(btc.base), "BTC");
    let eth = rig.registry.get(InstrumentId(1)).unwrap();
    assert!(!eth.is_live, "halted");
    assert_eq!(eth.notional_min, Notional(10_000_000_000_000));

    let (said, _) = rig.text(LINK_MD, 2, fixture("feed_delta"));
    assert!(said.events[0].starts_with("Book Delta"));
}

#[test]
fn a_symbol_the_venue_does_not_list_cannot_trade() {
    let mut rig = rig::new(&["BTCUSDT", "NOPEUSDT"], Keys::None);
    let tag = rig.open(LINK_REST, 0).requests[0].tag;
    let (said, result) = rig.response(0, tag, 200, fixture("rest_exchange_info"));
    assert_eq!(said.events, ["InstrumentsReady"]);
    assert!(result.is_err());
    assert!(!rig.registry.get(InstrumentId(1)).unwrap().is_live);
}

#[test]
fn a_refused_or_lost_rules_answer_is_asked_again() {
    let mut rig = rig::new(&["BTCUSDT"], Keys::None);
    let tag = rig.open(LINK_REST, 0).requests[0].tag;
    for (ms, status, body) in [
        (0, 503, "<html>"),
        (2_000, 0, ""),
        (
            4_000,
            400,
            r#"{"code":-1102,"msg":"A parameter is malformed."}"#,
        ),
        (6_000, 200, "{"),
    ] {
        assert!(rig.response(ms, tag, status, body).1.is_err());
        assert_eq!(rig.deadline(ms + 1_000).requests.len(), 1, "{status}");
    }
    assert_eq!(rig.deadline(60_000).requests.len(), 1, "no answer at all");
    // The link died before an answer and is back.
    rig.close(LINK_REST, 61_000);
    assert!(rig.deadline(62_000).requests.is_empty());
    assert_eq!(rig.open(LINK_REST, 63_000).requests.len(), 1);
}

/// What the lane does with depth: into the keeper, and a snapshot when it wants one.
struct Lane {
    keeper: Keeper<BinanceSync>,
    instrument: Instrument,
    outcomes: Vec<Outcome>,
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Book(message) = event {
            let outcome = self.keeper.on_msg(message, &self.instrument, UnixNanos(1));
            self.outcomes.push(outcome);
        }
    }
    fn send_text(&mut self, _: dp_types::LinkId, _: &[u8]) {}
    fn request(&mut self, _: dp_types::LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: dp_types::LinkId, _: &'static str) {}
}

#[test]
fn a_book_is_spliced_and_a_gap_fetches_again() {
    let mut rig = rig::ready(Keys::None);
    let mut lane = Lane {
        keeper: Keeper::new(BinanceSync),
        instrument: *rig.registry.get(BTC).unwrap(),
        outcomes: Vec::new(),
    };
    let feed = |rig: &mut Rig, lane: &mut Lane, name: &str| {
        let mut text = fixture(name).as_bytes().to_vec();
        rig.venue
            .on_text(&rig.registry, LINK_MD, at_ms(1), &mut text, lane)
            .unwrap();
        *lane.outcomes.last().unwrap()
    };
    let ask = |rig: &mut Rig, ms: u64| {
        let mut said = Said::default();
        rig.venue
            .request_snapshot(&rig.registry, BTC, at_ms(ms), &mut said);
        said.requests
    };
    assert_eq!(
        feed(&mut rig, &mut lane, "feed_delta"),
        Outcome::NeedSnapshot
    );
    let asked = ask(&mut rig, 1);
    assert_eq!(asked[0].line, "GET /api/v3/depth?symbol=BTCUSDT&limit=1000");
    assert!(ask(&mut rig, 2).is_empty(), "one at a time");
    assert_eq!(
        feed(&mut rig, &mut lane, "feed_delta_next"),
        Outcome::Buffered
    );
    let answer = |rig: &mut Rig, lane: &mut Lane| {
        let mut body = fixture("rest_depth").as_bytes().to_vec();
        let response = dp_venue_api::RestResponse {
            tag: asked[0].tag,
            status: 200,
            retry_after_s: None,
            usage: dp_venue_api::Usage::default(),
            body: &mut body,
        };
        let (venue, registry) = (&mut rig.venue, &mut rig.registry);
        venue
            .on_response(registry, LINK_REST, at_ms(3), response, lane)
            .unwrap();
    };
    answer(&mut rig, &mut lane);
    assert_eq!(lane.keeper.proof().state, State::Synced);
    assert_eq!(lane.keeper.proof().last_id, 1_000_105);
    assert_eq!(lane.keeper.book().best_bid().unwrap().qty, Qty(51_200_000));
    assert!(matches!(
        feed(&mut rig, &mut lane, "feed_delta_gap"),
        Outcome::Gap(_)
    ));
    assert_eq!(lane.keeper.proof().state, State::Waiting);
    assert!(ask(&mut rig, 100).is_empty(), "a pause between snapshots");
    assert_eq!(rig.deadline(500).requests.len(), 1);

    // The stream is lost while the answer is on its way: it belongs to no splice.
    let said = rig.close(LINK_MD, 600);
    assert!(said.events.is_empty(), "{:?}", said.events);
    let before = lane.outcomes.len();
    answer(&mut rig, &mut lane);
    assert_eq!(lane.outcomes.len(), before);
}

#[test]
fn a_lost_or_refused_snapshot_is_asked_again() {
    let mut rig = rig::ready(Keys::None);
    let mut said = Said::default();
    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(0), &mut said);
    let tag = said.requests[0].tag;
    assert!(rig.response(10, tag, 0, "").1.is_err());
    assert_eq!(rig.deadline(1_010).requests.len(), 1);
    // No answer, link lost, link back.
    rig.close(LINK_REST, 2_000);
    let tag = rig.open(LINK_REST, 2_100).requests[0].tag;
    // Refused for rate: nothing before the venue's time.
    let (said, result) = rig.limited(2_200, tag, 429, fixture("rest_too_many"), Some(30));
    let until = START_MS + 32_200;
    assert_eq!(
        said.events,
        [format!("RateLimited {{ until_ms: {until} }}")]
    );
    let expected = Fault::Venue {
        code: -1003,
        reason: RejectReason::RateLimit,
    };
    assert_eq!(result, Err(expected));
    for ms in (3_200..32_000).step_by(1_000) {
        assert!(rig.deadline(ms).requests.is_empty(), "{ms}");
    }
    assert_eq!(rig.deadline(33_000).requests.len(), 1);
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

/// Recomputes a request's signature from its own parameters.
fn check_signature(message: &serde_json::Value, secret: &str) {
    let params = message["params"].as_object().unwrap();
    let texts: Vec<(String, String)> = params
        .iter()
        .map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), Into::into);
            (name.clone(), text)
        })
        .collect();
    let pairs: Vec<_> = texts
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let signed = auth::sign_params(secret, &pairs).unwrap();
    assert_eq!(params["signature"], signed.signature, "{}", signed.payload);
}

#[test]
fn ed25519_logs_on_once_and_orders_go_bare() {
    let mut rig = rig::new(&["BTCUSDT"], Keys::Ed25519);
    let tag = rig.open(LINK_REST, 0).requests[0].tag;
    rig.response(0, tag, 200, fixture("rest_exchange_info"))
        .1
        .unwrap();
    assert_eq!(
        rig.venue.links()[2].path,
        "/ws-api/v3?returnRateLimits=true"
    );
    let (_, logon) = &rig.open(LINK_ORDERS, 0).sent[0];
    let logon = json(logon);
    assert_eq!(logon["method"], "session.logon");
    assert_eq!(logon["params"]["apiKey"], API_KEY);
    check_signature(&logon, PEM);
    assert_eq!(place(&mut rig, new_order(1), 0), Err(EntryError::NotReady));

    let (said, result) = rig.text(LINK_ORDERS, 1, fixture("entry_logon_ack"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.sent[0].1,
        r#"{"id":"u","method":"userDataStream.subscribe","params":{}}"#
    );
    assert_eq!(place(&mut rig, new_order(1), 1), Err(EntryError::NotReady));
    let (said, _) = rig.text(LINK_ORDERS, 2, fixture("entry_user_stream_ack"));
    assert_eq!(
        said.events,
        ["Ignored user data stream on", "LoggedIn(LinkId(2))"]
    );

    assert_eq!(
        place(&mut rig, new_order(1), 100).unwrap(),
        concat!(
            r#"{"id":"n-1z141z5-0","method":"order.place","params":{"newClientOrderId":"sl-1z141z5","#,
            r#""newOrderRespType":"ACK","price":"65000.01","quantity":"0.01","recvWindow":1000,"#,
            r#""side":"SELL","symbol":"BTCUSDT","timestamp":1760000000100,"type":"LIMIT_MAKER"}}"#
        )
    );
    // The session ends with its link.
    rig.close(LINK_ORDERS, 200);
    assert_eq!(
        place(&mut rig, new_order(2), 200),
        Err(EntryError::NotReady)
    );
}

#[test]
fn hmac_signs_each_request() {
    let mut rig = rig::new(&["BTCUSDT"], Keys::Hmac);
    let tag = rig.open(LINK_REST, 0).requests[0].tag;
    rig.response(0, tag, 200, fixture("rest_exchange_info"))
        .1
        .unwrap();
    let (_, subscribe) = &rig.open(LINK_ORDERS, 0).sent[0];
    let subscribe = json(subscribe);
    assert_eq!(subscribe["method"], "userDataStream.subscribe.signature");
    check_signature(&subscribe, SECRET);
    rig.text(LINK_ORDERS, 1, fixture("entry_user_stream_ack"))
        .1
        .unwrap();

    let limit = NewOrder {
        kind: OrderKind::Limit,
        tif: Tif::Ioc,
        side: Side::Buy,
        ..new_order(1)
    };
    let market = NewOrder {
        kind: OrderKind::Market,
        ..new_order(2)
    };
    let amend = AmendOrder {
        instrument: BTC,
        client_id: client(1),
        order_id: OrderId(0),
        price: None,
        qty: Some(Qty(900_000)),
    };
    let limit = json(&place(&mut rig, limit, 100).unwrap());
    assert_eq!(limit["params"]["timeInForce"], "IOC");
    assert_eq!(limit["params"]["type"], "LIMIT");
    let market = json(&place(&mut rig, market, 100).unwrap());
    assert_eq!(market["params"]["type"], "MARKET");
    for absent in ["price", "timeInForce"] {
        assert!(market["params"].get(absent).is_none(), "{absent}");
    }
    let mut call = |call: &dyn Fn(&mut Rig, &mut Said) -> Result<(), EntryError>| {
        json(&written(&mut rig, call).unwrap())
    };
    let amended = call(&|rig, said| rig.venue.amend_order(&rig.registry, &amend, at_ms(1), said));
    assert_eq!(amended["method"], "order.amend.keepPriority");
    assert_eq!(amended["params"]["newQty"], "0.009");
    assert_eq!(amended["params"]["newClientOrderId"], "sl-1z141z5");
    assert_eq!(amended["params"]["origClientOrderId"], "sl-1z141z5");
    let cancelled = call(&|rig, said| {
        let order = cancel(1, 12_510_053_279);
        rig.venue
            .cancel_order(&rig.registry, &order, at_ms(1), said)
    });
    assert_eq!(cancelled["id"], "c-1z141z5-0");
    assert_eq!(cancelled["params"]["orderId"], 12_510_053_279u64);
    let by_name = call(&|rig, said| {
        rig.venue
            .cancel_order(&rig.registry, &cancel(1, 0), at_ms(1), said)
    });
    assert_eq!(by_name["params"]["origClientOrderId"], "sl-1z141z5");
    let all = call(&|rig, said| {
        rig.venue
            .cancel_all(&rig.registry, BTC, &[cancel(1, 0)], at_ms(1), said)
    });
    assert_eq!(all["method"], "openOrders.cancelAll");
    for (message, window) in [
        (&limit, 1_000),
        (&market, 1_000),
        (&amended, 1_000),
        (&cancelled, 60_000),
        (&by_name, 60_000),
        (&all, 60_000),
    ] {
        assert_eq!(message["params"]["recvWindow"], window, "{message}");
    }
    let query = call(&|rig, said| {
        rig.venue
            .query_order(&rig.registry, &cancel(1, 5), at_ms(1), said)
    });
    assert_eq!(query["method"], "order.status");
    assert_eq!(query["params"]["origClientOrderId"], "sl-1z141z5");
    for message in [limit, market, amended, cancelled, by_name, all, query] {
        check_signature(&message, SECRET);
    }

    let price = AmendOrder {
        price: Some(Price(1)),
        ..amend
    };
    let refused = written(&mut rig, |rig, said| {
        rig.venue.amend_order(&rig.registry, &price, at_ms(1), said)
    });
    assert_eq!(refused, Err(EntryError::Unsupported));
}

#[test]
fn a_refused_or_silent_logon_replaces_the_link() {
    let mut rig = rig::new(&["BTCUSDT"], Keys::Ed25519);
    rig.open(LINK_ORDERS, 0);
    let (said, _) = rig.text(LINK_ORDERS, 1, fixture("entry_logon_refused"));
    assert_eq!(said.events, ["LoginRefused(Auth)"]);
    assert_eq!(said.reconnects, [(LINK_ORDERS, "logon refused")]);

    rig.open(LINK_ORDERS, 10_000);
    assert!(rig.deadline(19_999).reconnects.is_empty());
    assert_eq!(rig.deadline(20_000).reconnects.len(), 1);
    assert!(rig.deadline(20_001).reconnects.is_empty(), "once");

    let mut rig = rig::ready(Keys::Ed25519);
    let (said, _) = rig.text(LINK_ORDERS, 5, fixture("entry_key_revoked"));
    assert_eq!(said.events, ["LoginRefused(Auth)"]);
    assert_eq!(place(&mut rig, new_order(1), 6), Err(EntryError::NotReady));
}

#[test]
fn a_logon_waits_for_the_end_of_a_stop() {
    let mut rig = rig::ready(Keys::Ed25519);
    rig.text(LINK_ORDERS, 0, fixture("entry_reject_rate"))
        .1
        .unwrap(); // until 20 s
    rig.close(LINK_ORDERS, 100);
    assert!(rig.open(LINK_ORDERS, 200).sent.is_empty());
    assert_eq!(
        rig.venue.next_deadline(),
        Some(UnixNanos::from_millis(START_MS + 20_000))
    );
    assert!(rig.deadline(19_999).sent.is_empty());
    let said = rig.deadline(20_000);
    assert!(said.sent[0].1.contains("session.logon") && said.reconnects.is_empty());
    assert_eq!(
        rig.deadline(30_000).reconnects.len(),
        1,
        "then an answer is due"
    );
}

#[test]
fn too_many_orders_does_not_hold_up_a_cancel() {
    let mut rig = rig::ready(Keys::Hmac);
    let answer = fixture("entry_reject_rate").replace("-1003", "-1015");
    let (said, _) = rig.text(LINK_ORDERS, 0, &answer);
    assert!(
        !said
            .events
            .iter()
            .any(|event| event.contains("RateLimited")),
        "{:?}",
        said.events
    );
    assert_eq!(
        place(&mut rig, new_order(1), 6),
        Err(EntryError::RateLimited)
    );
    let sent = written(&mut rig, |rig, said| {
        rig.venue
            .cancel_order(&rig.registry, &cancel(1, 0), at_ms(7), said)
    });
    assert!(sent.is_ok(), "what rests must go: {sent:?}");
}

#[test]
fn unusable_keys_are_told_and_market_data_runs() {
    let mut registry = dp_venue_api::Registry::new();
    let config = dp_venue_api::VenueConfig {
        symbols: vec!["BTCUSDT".into()],
        secrets: dp_venue_api::Secrets {
            api_key: "k".into(),
            ed25519_pem: "not a key".into(),
            ..dp_venue_api::Secrets::default()
        },
        ..dp_venue_api::VenueConfig::default()
    };
    let mut venue = dp_venue_binance::Binance::new(config, &mut registry).unwrap();
    assert_eq!(venue.links().len(), 2);
    let mut said = Said::default();
    venue.on_open(&mut registry, LINK_MD, at_ms(0), &mut said);
    assert_eq!(said.events, ["Subscribed(LinkId(1))", "LoginRefused(Auth)"]);
}

#[test]
fn a_lost_user_stream_stops_orders_until_it_is_back() {
    let mut rig = rig::ready(Keys::Hmac);
    let (said, _) = rig.text(LINK_ORDERS, 5, fixture("account_stream_terminated"));
    assert_eq!(said.sent.len(), 1);
    assert_eq!(place(&mut rig, new_order(1), 6), Err(EntryError::NotReady));
    let (said, _) = rig.text(LINK_ORDERS, 7, fixture("entry_user_stream_ack"));
    assert!(said.events.contains(&"LoggedIn(LinkId(2))".to_owned()));
    assert!(place(&mut rig, new_order(1), 8).is_ok());
}

#[test]
fn links_are_replaced_before_the_venues_end() {
    let mut rig = rig::ready(Keys::Hmac);
    let life = 23 * HOUR_MS + 40 * 60_000;
    assert!(rig.deadline(life - 1).reconnects.is_empty());
    let said = rig.deadline(life);
    assert_eq!(said.events, ["ClosingSoon(LinkId(2))"]);
    assert_eq!(said.reconnects[0].0, LINK_ORDERS);
    let said = rig.deadline(life + 10 * 60_000);
    assert_eq!(said.reconnects[0].0, LINK_MD, "not both at once");
    assert_eq!(rig.venue.next_deadline(), None);
}

#[test]
fn reconciliation_reads_orders_fills_balances() {
    let mut rig = rig::ready(Keys::Hmac);
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(0), &mut said);
    assert_eq!(said.events, ["ReconcileStarted"]);
    let asked = &said.requests[0];
    assert!(
        asked
            .line
            .starts_with("GET /api/v3/openOrders?timestamp=1760000000000&signature=")
    );
    assert_eq!(asked.headers, [("X-MBX-APIKEY".into(), API_KEY.into())]);
    let (_, query) = asked.line.split_once('?').unwrap();
    let signed = auth::sign_rest(SECRET, query, "").unwrap();
    assert!(query.ends_with(&signed.signature));

    let (said, result) = rig.response(1, asked.tag, 200, fixture("rest_open_orders"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        [
            "Order 1 PARTIALLY_FILLED None px 65000.00000000 qty 0.01000000 cum 0.00400000",
            "Ignored an instrument we do not follow",
        ]
    );
    let trades = &said.requests[0];
    assert!(
        trades
            .line
            .starts_with("GET /api/v3/myTrades?symbol=BTCUSDT&limit=1000&timestamp=")
    );
    // Lost once, then answered. The list names orders by the venue's id: the name was just learnt.
    assert!(rig.response(2, trades.tag, 0, "").1.is_err());
    let trades = rig.deadline(2_000).requests.remove(0);
    let (said, result) = rig.response(2_001, trades.tag, 200, fixture("rest_my_trades"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        [
            "Fill 1 trade 4500000002 buy 0.00400000 @ 65000.00000000 fee 0.00000400 AssetId(1) maker",
            "Fill - trade 4500000001 sell 0.00100000 @ 65000.00000000 fee 0.06500000 AssetId(2) taker",
        ]
    );
    let account = &said.requests[0];
    assert!(
        account
            .line
            .starts_with("GET /api/v3/account?omitZeroBalances=true")
    );
    let (said, _) = rig.response(2_002, account.tag, 200, fixture("rest_account"));
    assert_eq!(said.events.last().unwrap(), "Reconciled");
    assert_eq!(said.events.len(), 3);

    // The next one starts after the newest trade known; an answer of the last one counts for nothing.
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(9_000), &mut said);
    let (stale, _) = rig.response(9_001, account.tag, 200, fixture("rest_account"));
    assert!(!stale.events.contains(&"Reconciled".to_owned()));
    let (said, _) = rig.response(9_002, said.requests[0].tag, 200, "[]");
    assert!(
        said.requests[0].line.contains("&fromId=4500000003&"),
        "{said:?}"
    );
}

#[test]
fn an_unknown_order_is_asked_about_and_its_fills_fetched() {
    let mut rig = rig::ready(Keys::Ed25519);
    let (said, _) = rig.text(LINK_ORDERS, 1, fixture("entry_query_partial"));
    assert!(
        said.requests[0]
            .line
            .contains("myTrades?symbol=BTCUSDT&orderId=12510053279&")
    );
    let (said, _) = rig.response(2, said.requests[0].tag, 200, fixture("rest_my_trades"));
    assert!(said.events[0].starts_with("Fill 1 "));
    assert!(said.requests.is_empty());

    // With the order link down REST is asked, and "no such order" is an answer.
    rig.close(LINK_ORDERS, 3);
    let mut said = Said::default();
    rig.venue
        .query_order(&rig.registry, &cancel(7, 0), at_ms(4), &mut said)
        .unwrap();
    assert!(
        said.requests[0]
            .line
            .starts_with("GET /api/v3/order?symbol=BTCUSDT&origClientOrderId=sl-")
    );
    let tag = said.requests[0].tag;
    let (said, result) = rig.response(5, tag, 400, fixture("rest_order_none"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Order 7 REJECTED UnknownOrder px - qty - cum -"]
    );
    let (said, _) = rig.response(6, tag, 200, fixture("rest_order"));
    assert!(said.events[0].contains("FILLED"));
    assert_eq!(said.requests.len(), 1);
}

#[test]
fn our_own_limits_refuse_before_the_venue_does() {
    let mut rig = rig::ready(Keys::Ed25519);
    // exchangeInfo allowed 100 in 10 s, the logon's answer says 50 for this account, 1 of them used.
    let placed = (0..150)
        .filter(|n| place(&mut rig, new_order(n + 1), 10).is_ok())
        .count();
    assert_eq!(placed, 49);
    assert_eq!(
        place(&mut rig, new_order(200), 10),
        Err(EntryError::RateLimited)
    );
    let cancelled = written(&mut rig, |rig, said| {
        rig.venue
            .cancel_order(&rig.registry, &cancel(1, 0), at_ms(10), said)
    });
    assert!(cancelled.is_ok(), "cancels pass");
    // A ban stops cancels too.
    rig.text(LINK_ORDERS, 20, fixture("entry_banned"))
        .1
        .unwrap();
    let cancelled = written(&mut rig, |rig, said| {
        rig.venue
            .cancel_order(&rig.registry, &cancel(2, 0), at_ms(30), said)
    });
    assert_eq!(cancelled, Err(EntryError::RateLimited));
}

#[test]
fn an_unknown_instrument_is_refused() {
    let mut rig = rig::ready(Keys::Ed25519);
    let order = NewOrder {
        instrument: InstrumentId(9),
        ..new_order(1)
    };
    assert_eq!(
        place(&mut rig, order, 0),
        Err(EntryError::UnknownInstrument)
    );
}

#[test]
fn on_paper_what_the_session_would_refuse_is_refused() {
    let told = rates::agree(&mut rig::ready(Keys::Ed25519), 100, new_order);
    assert_eq!(told.first, 63, "{told:?}");
}
