//! The machine over time: orders, cancels, snapshots, reconciliation, the dead man's switch, limits.
#![allow(missing_docs)]

mod rig;

use dp_book::{Keeper, Outcome, State};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, NewOrder, OrderId,
    OrderKind, Price, Qty, Side, Tif, UnixNanos,
};
use dp_venue_api::{EntryError, Event, RestRequest, Sink, Venue};
use dp_venue_kucoin::sync::KucoinSync;
use dp_venue_kucoin::{LINK_CANCELS, LINK_MD, LINK_ORDERS, LINK_REST, LINK_USER};
use rig::{Rig, asked, close, fixture, open_user};
use tests_venues::rates;
use tests_venues::rig::{START_MS, Said, at_ms};

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
        price: Price(65_000_100),
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

fn place(rig: &mut Rig, ms: u64, sequence: u32) -> (Said, Result<(), EntryError>) {
    let mut said = Said::default();
    let order = new_order(sequence);
    let result = rig
        .venue
        .new_order(&rig.registry, &order, at_ms(ms), &mut said);
    (said, result)
}

#[test]
fn without_keys_there_is_market_data_from_public_answers() {
    let mut rig = rig::new(&["BTC-USDT"], false);
    let links = rig.venue.links();
    let held: Vec<_> = links.iter().map(|link| (link.name, link.is_held)).collect();
    assert_eq!(held, [("rest", false), ("md", true)]);
    let requests = rig.open(LINK_REST, 0).requests;
    let lines: Vec<_> = requests.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(lines, ["GET /api/v2/symbols", "POST /api/v1/bullet-public"]);
    assert!(requests.iter().all(|asked| asked.headers.is_empty()));
    let mut said = Said::default();
    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(1), &mut said);
    assert_eq!(
        said.requests[0].line,
        "GET /api/v1/market/orderbook/level2_100?symbol=BTC-USDT"
    );
    rig.venue.reconcile(&rig.registry, at_ms(1), &mut said);
    assert!(said.events.is_empty(), "nothing to compare");
}

#[test]
fn orders_are_written_within_the_pool() {
    let mut rig = rig::ready();
    let (said, result) = place(&mut rig, 10, 1);
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.sent,
        [(
            LINK_ORDERS,
            concat!(
                r#"{"id":"n1z141z5I1","op":"spot.order","args":{"clientOid":"sl-1z141z5","symbol":"BTC-USDT","#,
                r#""side":"sell","type":"limit","price":"65000.1","size":"1","timeInForce":"GTC","postOnly":true,"#,
                r#""stp":"CN","allowMaxTimeWindow":500,"clientTimestamp":1760000000010}}"#
            )
            .to_owned()
        )]
    );
    let passed = (2..9_000)
        .take_while(|sequence| place(&mut rig, 10, *sequence).1.is_ok())
        .count();
    // Of 4000 a fifth is kept for cancels; a token, rates, a book and the order above are in the same pool.
    assert_eq!(passed, 3_200 - 10 - 3 - 3 - 1);
    assert_eq!(place(&mut rig, 10, 9_001).1, Err(EntryError::RateLimited));
    let mut said = Said::default();
    rig.venue
        .cancel_order(&rig.registry, &cancel(1), at_ms(10), &mut said)
        .unwrap();
    assert_eq!(said.sent.len(), 1, "cancels have the reserve");
    let unknown = CancelOrder {
        instrument: InstrumentId(9),
        ..cancel(1)
    };
    let error = rig
        .venue
        .cancel_order(&rig.registry, &unknown, at_ms(10), &mut said);
    assert_eq!(error, Err(EntryError::UnknownInstrument));
}

#[test]
fn there_is_no_amend() {
    let mut rig = rig::ready();
    let amend = AmendOrder {
        instrument: BTC,
        client_id: client(1),
        order_id: OrderId(0),
        price: Some(Price(1)),
        qty: None,
    };
    let mut said = Said::default();
    let result = rig
        .venue
        .amend_order(&rig.registry, &amend, at_ms(0), &mut said);
    assert_eq!(result, Err(EntryError::Unsupported));
    let capabilities = rig.venue.capabilities();
    assert!(!capabilities.amend_price && !capabilities.amend_qty && said.sent.is_empty());
}

#[test]
fn a_rate_refusal_stops_orders_as_long_as_the_venue_says() {
    let mut rig = rig::ready();
    rig.text(LINK_ORDERS, 100, fixture("entry_reject_rate"))
        .1
        .unwrap();
    assert_eq!(place(&mut rig, 5_099, 2).1, Err(EntryError::RateLimited));
    let mut said = Said::default();
    rig.venue
        .cancel_order(&rig.registry, &cancel(1), at_ms(33_200), &mut said)
        .unwrap();
    assert_eq!(
        place(&mut rig, 33_200, 2).1,
        Ok(()),
        "the pool was empty too"
    );
}

#[test]
fn cancels_go_by_rest_while_the_order_link_is_down() {
    let mut rig = rig::ready();
    close(&mut rig, LINK_ORDERS, 1);
    let mut said = Said::default();
    rig.venue
        .cancel_order(&rig.registry, &cancel(1), at_ms(2), &mut said)
        .unwrap();
    let request = said.requests.pop().unwrap();
    assert_eq!(request.link, LINK_CANCELS);
    assert_eq!(
        request.line,
        "DELETE /api/v1/hf/orders/client-order/sl-1z141z5?symbol=BTC-USDT"
    );
    let (said, result) = rig.response(3, request.tag, 200, fixture("rest_cancel"));
    assert_eq!(
        (said.events, result),
        (vec!["Ack 1 order 0 None 0".into()], Ok(()))
    );
    let (said, _) = rig.response(3, request.tag, 400, fixture("rest_order_gone"));
    assert_eq!(said.events, ["Ack 1 order 0 UnknownOrder 400100"]);
    let (said, _) = rig.response(3, request.tag, 0, "");
    assert_eq!(said.events, ["Ack 1 order 0 UnknownOutcome 0"]);
    close(&mut rig, LINK_CANCELS, 4);
    let result = rig
        .venue
        .cancel_order(&rig.registry, &cancel(1), at_ms(5), &mut Said::default());
    assert_eq!(result, Err(EntryError::NotReady));
}

#[test]
fn one_request_cancels_all_of_an_instrument() {
    let mut rig = rig::ready();
    let live: Vec<_> = (1..=45).map(cancel).collect();
    let mut said = Said::default();
    rig.venue
        .cancel_all(&rig.registry, BTC, &live, at_ms(0), &mut said)
        .unwrap();
    assert!(said.sent.is_empty());
    let request = said.requests.pop().unwrap();
    assert_eq!(request.link, LINK_CANCELS);
    assert_eq!(request.line, "DELETE /api/v1/hf/orders?symbol=BTC-USDT");
    let (said, result) = rig.response(1, request.tag, 200, fixture("rest_cancel_all"));
    assert_eq!((said.events.len(), result), (1, Ok(())));
    assert!(said.events[0].starts_with("Ignored all orders"));
    // Without its link each goes by itself.
    close(&mut rig, LINK_CANCELS, 2);
    let mut said = Said::default();
    rig.venue
        .cancel_all(&rig.registry, BTC, &live, at_ms(3), &mut said)
        .unwrap();
    assert_eq!((said.sent.len(), said.requests.len()), (45, 0));
}

#[test]
fn the_dead_mans_switch_is_kept_armed_only_while_logged_in() {
    let mut rig = rig::ready();
    let said = rig.deadline(0);
    assert_eq!(said.requests.len(), 1);
    let request = &said.requests[0];
    assert_eq!(request.link, LINK_CANCELS);
    assert_eq!(request.line, "POST /api/v1/hf/orders/dead-cancel-all");
    assert_eq!(request.body, r#"{"timeout":20,"symbols":"BTC-USDT"}"#);
    let (said, result) = rig.response(10, request.tag, 200, fixture("rest_dead_man"));
    assert_eq!(
        (said.events, result),
        (vec!["Ignored dead man's switch armed".to_owned()], Ok(()))
    );
    assert!(rig.deadline(4_999).requests.is_empty());
    let again = rig.deadline(5_000).requests;
    assert_eq!(again.len(), 1);
    assert!(rig.response(5_100, again[0].tag, 500, "").1.is_err());
    assert_eq!(
        rig.deadline(6_100).requests.len(),
        1,
        "a failed arming is tried after a second"
    );
    assert!(
        rig.deadline(7_000).requests.is_empty(),
        "its answer is on the way"
    );
    close(&mut rig, LINK_CANCELS, 7_100);
    assert!(rig.deadline(7_200).requests.is_empty(), "no link");
    assert_eq!(rig.open(LINK_CANCELS, 7_300).requests.len(), 1, "at once");
    close(&mut rig, LINK_ORDERS, 7_400);
    let requests = rig.deadline(17_000).requests;
    assert!(
        !requests
            .iter()
            .any(|asked| asked.line.contains("dead-cancel"))
    );
}

#[test]
fn a_post_only_order_that_would_have_taken_is_told_as_refused() {
    let push = |name: &str| fixture(name).replace("sl-1z141z5", "sl-1z141z6");
    let untouched = push("account_canceled_untouched");
    let canceled = "Order 2 CANCELLED None px 65000.1 qty 0.001 cum 0";
    let refused = "Order 2 REJECTED PostOnlyCross px 65000.1 qty 0.001 cum 0";
    let events = |prepare: fn(&mut Rig)| {
        let mut rig = rig::ready();
        place(&mut rig, 1, 2).1.unwrap();
        prepare(&mut rig);
        rig.text(LINK_USER, 5, &untouched).0.events
    };
    assert_eq!(events(|_| ()), [refused]);
    // What the venue has but not on its book may still be refused.
    let received = |rig: &mut Rig| {
        let push = fixture("account_received").replace("sl-1z141z5", "sl-1z141z6");
        rig.text(LINK_USER, 2, &push).1.unwrap();
    };
    assert_eq!(events(received), [refused]);
    let seen = |rig: &mut Rig| {
        let push = fixture("account_open").replace("sl-1z141z5", "sl-1z141z6");
        rig.text(LINK_USER, 2, &push).1.unwrap();
    };
    assert_eq!(events(seen), [canceled], "it was on the book");
    let ours = |rig: &mut Rig| {
        rig.venue
            .cancel_order(&rig.registry, &cancel(2), at_ms(2), &mut Said::default())
            .unwrap();
    };
    assert_eq!(events(ours), [canceled], "we asked for it");
    let all = |rig: &mut Rig| {
        rig.venue
            .cancel_all(
                &rig.registry,
                BTC,
                &[cancel(2)],
                at_ms(2),
                &mut Said::default(),
            )
            .unwrap();
    };
    assert_eq!(events(all), [canceled]);
    let lost = |rig: &mut Rig| {
        close(rig, LINK_USER, 2);
        open_user(rig, 3);
    };
    assert_eq!(
        events(lost),
        [canceled],
        "nobody knows what was told meanwhile"
    );
}

#[test]
fn reconciliation_reads_orders_fills_and_balances() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(100), &mut said);
    assert_eq!(said.events, ["ReconcileStarted"]);
    let step = said.requests.pop().unwrap();
    assert_eq!(step.line, "GET /api/v1/hf/orders/active?symbol=BTC-USDT");
    let (said, _) = rig.response(110, step.tag, 200, fixture("rest_open"));
    assert_eq!(
        said.events,
        [
            "Order 1 PARTIALLY_FILLED None px 65000.1 qty 0.001 cum 0.0004",
            "Order - ACK None px 60000 qty 0.1 cum 0",
        ]
    );
    let step = &said.requests[0];
    assert_eq!(step.line, "GET /api/v1/hf/fills?symbol=BTC-USDT&limit=100");
    let (said, _) = rig.response(120, step.tag, 200, fixture("rest_fills"));
    assert_eq!(
        said.events,
        ["Fill - trade 10067996711204865 buy 0.0004 @ 65000.1 fee 0.02600004 AssetId(1) maker"]
    );
    let step = &said.requests[0];
    assert_eq!(step.line, "GET /api/v1/accounts?type=trade");
    let (said, _) = rig.response(130, step.tag, 200, fixture("rest_accounts"));
    assert_eq!(
        said.events,
        [
            "Balance AssetId(1) free 9340 locked 660",
            "Ignored a balance of another account",
            "Reconciled"
        ]
    );
}

#[test]
fn every_followed_instrument_is_compared() {
    let mut rig = rig::new(&["BTC-USDT", "ETH-USDT"], true);
    rig.open(LINK_REST, 0);
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(1), &mut said);
    let mut step = said.requests.pop().unwrap();
    let mut lines = Vec::new();
    let empty = [
        r#"{"code":"200000","data":[]}"#,
        r#"{"code":"200000","data":null}"#,
        r#"{"code":"200000","data":{"items":[],"lastId":0}}"#,
        r#"{"code":"200000","data":{"items":[],"lastId":0}}"#,
    ];
    for body in empty {
        lines.push(step.line.clone());
        let (said, result) = rig.response(2, step.tag, 200, body);
        assert_eq!(result, Ok(()), "{body}");
        step = said.requests.into_iter().next().unwrap();
    }
    assert_eq!(
        lines,
        [
            "GET /api/v1/hf/orders/active?symbol=BTC-USDT",
            "GET /api/v1/hf/orders/active?symbol=ETH-USDT",
            "GET /api/v1/hf/fills?symbol=BTC-USDT&limit=100",
            "GET /api/v1/hf/fills?symbol=ETH-USDT&limit=100",
        ]
    );
    assert_eq!(step.line, "GET /api/v1/accounts?type=trade");
}

/// Feeds the machine's depth into a keeper, as a lane does.
struct Book {
    keeper: Keeper<KucoinSync>,
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
    fn send_text(&mut self, link: dp_types::LinkId, text: &[u8]) {
        self.said.send_text(link, text);
    }
    fn request(&mut self, link: dp_types::LinkId, request: &RestRequest<'_>) {
        self.said.request(link, request);
    }
    fn reconnect(&mut self, link: dp_types::LinkId, why: &'static str) {
        self.said.reconnect(link, why);
    }
}

impl Book {
    fn new(rig: &Rig) -> Self {
        let instrument = *rig.registry.get(BTC).unwrap();
        Self {
            keeper: Keeper::new(KucoinSync::new(&instrument)),
            outcomes: Vec::new(),
            instrument,
            said: Said::default(),
        }
    }

    fn feed(&mut self, rig: &mut Rig, name: &str) -> Outcome {
        let mut bytes = fixture(name).as_bytes().to_vec();
        rig.venue
            .on_text(&rig.registry, LINK_MD, at_ms(0), &mut bytes, self)
            .unwrap();
        *self.outcomes.last().unwrap()
    }

    /// Asks for a snapshot and answers it.
    fn splice(&mut self, rig: &mut Rig, ms: u64, body: &str) -> Outcome {
        rig.venue
            .request_snapshot(&rig.registry, BTC, at_ms(ms), self);
        let request = asked(&self.said.requests, "GET /api/v3/market/orderbook/level2").clone();
        assert_eq!(request.headers[0].0, "KC-API-KEY");
        self.said.requests.clear();
        let mut body = body.as_bytes().to_vec();
        let response = dp_venue_api::RestResponse {
            tag: request.tag,
            status: 200,
            retry_after_s: None,
            usage: dp_venue_api::Usage::default(),
            body: &mut body,
        };
        let (kucoin, registry) = (&mut rig.venue, &mut rig.registry);
        kucoin
            .on_response(registry, LINK_REST, at_ms(ms + 5), response, self)
            .unwrap();
        *self.outcomes.last().unwrap()
    }
}

#[test]
fn a_snapshot_is_spliced_into_the_range_it_falls_in() {
    let mut rig = rig::ready();
    let mut book = Book::new(&rig);
    assert_eq!(book.feed(&mut rig, "feed_delta"), Outcome::NeedSnapshot);
    assert_eq!(book.feed(&mut rig, "feed_delta_noop"), Outcome::Buffered);
    // 14103845 lies within 14103844..14103847.
    assert_eq!(
        book.splice(&mut rig, 600, fixture("rest_snapshot")),
        Outcome::Applied
    );
    let proof = book.keeper.proof();
    assert_eq!((proof.state, proof.last_id), (State::Synced, 14_103_848));
    let best = |level: Option<dp_types::Level>| level.map(|it| (it.price.0, it.qty.0));
    let (bid, ask) = (book.keeper.book().best_bid(), book.keeper.book().best_ask());
    assert_eq!(best(bid), Some((64_999_900, 15_000_000)));
    assert_eq!(best(ask), Some((65_000_100, 331_000)));
    assert_eq!(book.keeper.book().bids().count(), 1, "64990 was removed");
    assert_eq!(book.keeper.book().asks().count(), 1, "65000.4 was removed");
    assert_eq!(book.feed(&mut rig, "feed_delta_twice"), Outcome::Applied);
    assert_eq!(
        book.keeper.book().asks().count(),
        1,
        "placed and removed in one message"
    );
}

#[test]
fn a_gap_is_stale_at_once_and_an_old_snapshot_is_asked_for_again() {
    let mut rig = rig::ready();
    let mut book = Book::new(&rig);
    book.feed(&mut rig, "feed_delta");
    book.splice(&mut rig, 600, fixture("rest_snapshot"));
    let gap = book.feed(&mut rig, "feed_delta_gap");
    assert!(matches!(gap, Outcome::Gap(_)), "{gap:?}");
    assert_eq!(book.keeper.proof().state, State::Waiting);
    let old = book.splice(&mut rig, 1_200, fixture("rest_snapshot"));
    assert_eq!(old, Outcome::NeedSnapshot);
    let fresh = fixture("rest_snapshot").replace("14103845", "14103852");
    assert_eq!(book.splice(&mut rig, 2_000, &fresh), Outcome::Applied);
    assert_eq!(book.keeper.proof().last_id, 14_103_853);
}

#[test]
fn snapshots_are_paced_and_a_book_that_never_fits_has_its_link_replaced() {
    let mut rig = rig::ready();
    let (mut fetched, mut anew) = (0, 0);
    for round in 1..=8 {
        let ms = round * 600;
        let mut said = Said::default();
        for more in 0..2 {
            rig.venue
                .request_snapshot(&rig.registry, BTC, at_ms(ms + more), &mut said);
        }
        let is_book = |line: &str| line.contains("orderbook");
        let books: Vec<_> = said
            .requests
            .iter()
            .filter(|it| is_book(&it.line))
            .collect();
        fetched += books.len();
        anew += said.reconnects.len();
        if let Some(request) = books.first() {
            rig.response(ms + 50, request.tag, 200, fixture("rest_snapshot"))
                .1
                .unwrap();
        }
    }
    assert_eq!((fetched, anew), (7, 1));
}

#[test]
fn a_book_is_asked_for_before_it_changes_and_its_first_change_asks_no_more() {
    let mut rig = rig::ready();
    close(&mut rig, LINK_MD, 1_000);
    rig.open(LINK_MD, 1_100);
    rig.text(LINK_MD, 1_100, fixture("feed_welcome")).1.unwrap();
    let mut early = Vec::new();
    for _ in 0..3 {
        assert!(early.is_empty(), "not before all is confirmed");
        early = rig.text(LINK_MD, 1_100, fixture("feed_ack")).0.requests;
    }
    let tag = asked(
        &early,
        "GET /api/v3/market/orderbook/level2?symbol=BTC-USDT",
    )
    .tag;
    let wish = |rig: &mut Rig, ms: u64| {
        let mut said = Said::default();
        rig.venue
            .request_snapshot(&rig.registry, BTC, at_ms(ms), &mut said);
        said.requests.len()
    };
    assert_eq!(wish(&mut rig, 1_110), 0);
    let (said, result) = rig.response(1_200, tag, 200, fixture("rest_snapshot"));
    assert!(result.is_ok() && said.requests.is_empty() && !said.events.is_empty());
    assert!(rig.deadline(5_000).requests.is_empty());
    assert_eq!(wish(&mut rig, 5_000), 1, "a gap asks anew");
}

#[test]
fn few_snapshots_are_asked_for_at_once() {
    let names: Vec<_> = (0..20).map(|n| format!("A{n}-USDT")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut rig = rig::new(&names, true);
    rig.open(LINK_REST, 0);
    let mut asked = Vec::new();
    for n in 0..20 {
        let mut said = Said::default();
        rig.venue
            .request_snapshot(&rig.registry, InstrumentId(n), at_ms(0), &mut said);
        asked.extend(said.requests);
    }
    assert_eq!(asked.len(), 8, "a signature is good for 5 s");
    let body = fixture("rest_snapshot");
    for (round, request) in (1u64..).zip(asked.clone()) {
        rig.response(round, request.tag, 200, body).1.unwrap();
        asked.extend(rig.deadline(round).requests);
    }
    assert_eq!(asked.len(), 16, "each answer lets the next go");
}

#[test]
fn two_book_feeds_of_one_symbol_are_not_mixed() {
    let mut rig = rig::ready();
    rig.text(LINK_MD, 0, fixture("feed_delta")).1.unwrap();
    let (said, _) = rig.text(LINK_MD, 0, fixture("feed_depth5"));
    assert_eq!(
        said.events,
        ["Ignored a second book feed of this instrument"]
    );
}

#[test]
fn on_paper_what_the_session_would_refuse_is_refused() {
    let told = rates::agree(&mut rig::ready(), 100, new_order);
    assert_eq!(told.first, 3_185, "{told:?}");
}
