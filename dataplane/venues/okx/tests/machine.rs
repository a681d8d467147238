//! The machine over time: start, login, pings, snapshots, reconciliation, the dead man's switch,
//! limits.
#![allow(missing_docs)]

mod rig;

use dp_book::{Keeper, Outcome, State};
use dp_types::{
    CancelOrder, ClientOrderId, Decimal, Epoch, InstrumentId, LaneId, NewOrder, OrderId, OrderKind,
    Payoff, Price, Qty, RejectReason, Side, Tif, UnixNanos,
};
use dp_venue_api::{EntryError, Event, Fault, RestRequest, RestTag, Sink, Venue};
use dp_venue_okx::sync::OkxSync;
use dp_venue_okx::{LINK_PRIVATE, LINK_PUBLIC, LINK_REST};
use rig::{Rig, fixture};
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

#[test]
fn start_asks_for_instruments_then_subscribes() {
    let mut rig = rig::new(
        &["BTC-USDT", "BTC-USDT-SWAP", "BTC-USD-261225-70000-C"],
        false,
    );
    assert_eq!(rig.venue.links().len(), 2, "no keys, no private link");
    assert!(
        rig.open(LINK_PUBLIC, 0).sent.is_empty(),
        "nothing before the rules are known"
    );
    let asked = rig.open(LINK_REST, 0).requests;
    let lines: Vec<_> = asked.iter().map(|request| request.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /api/v5/public/instruments?instType=SPOT",
            "GET /api/v5/public/instruments?instType=SWAP",
            "GET /api/v5/public/instruments?instType=OPTION&instFamily=BTC-USD",
        ]
    );
    let spot = rig.response(1, asked[0].tag, 200, fixture("rest_instruments_spot"));
    assert!(spot.0.events.is_empty() && spot.1.is_ok());
    rig.response(2, asked[1].tag, 200, fixture("rest_instruments_swap"))
        .1
        .unwrap();
    let (said, result) = rig.response(3, asked[2].tag, 200, r#"{"code":"0","msg":"","data":[]}"#);
    assert_eq!(said.events, ["InstrumentsReady"]);
    assert!(result.is_err(), "the option was not listed");
    assert!(!rig.registry.get(InstrumentId(2)).unwrap().is_live);

    let btc = rig.registry.get(BTC).unwrap();
    assert_eq!(
        (btc.price_decimals, btc.qty_decimals, btc.venue_code),
        (3, 8, 10_001)
    );
    assert_eq!(
        (btc.tick, btc.lot, btc.qty_min),
        (Price(100), Qty(1), Qty(1_000))
    );
    assert!(btc.is_live);
    let swap = rig.registry.get(InstrumentId(1)).unwrap();
    assert_eq!(
        swap.multiplier,
        Decimal {
            mantissa: 1,
            exponent: -2
        }
    );
    assert_eq!(rig.registry.asset_name(swap.quote), "USDT");
    assert_eq!(swap.payoff, Payoff::Linear);

    assert_eq!(said.sent.len(), 1);
    let (link, text) = &said.sent[0];
    assert_eq!(*link, LINK_PUBLIC);
    let message: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(message["op"], "subscribe");
    let count = message["args"].as_array().unwrap().len();
    assert_eq!(count, 6, "nothing would confirm the option's");
    assert_eq!(message["args"][5]["channel"], "bbo-tbt");
    assert_eq!(message["args"][5]["instId"], "BTC-USDT-SWAP");
}

#[test]
fn a_swap_pays_as_its_type_says() {
    let inverse = fixture("rest_instruments_swap")
        .replace("USDT", "USD")
        .replace(r#""settleCcy":"USD""#, r#""settleCcy":"BTC""#)
        .replace(r#""ctValCcy":"BTC""#, r#""ctValCcy":"USD""#)
        .replace(r#""ctVal":"0.01""#, r#""ctVal":"100""#);
    for (told, payoff, base) in [
        ("inverse", Payoff::Inverse, "BTC"),
        ("", Payoff::Unknown, "USD"),
    ] {
        let mut rig = rig::new(&["BTC-USD-SWAP"], false);
        let tag = rig.open(LINK_REST, 0).requests[0].tag;
        let body = inverse.replace(r#""ctType":"linear""#, &format!(r#""ctType":"{told}""#));
        rig.response(1, tag, 200, &body).1.unwrap();
        let swap = rig.registry.get(BTC).unwrap();
        assert_eq!(swap.payoff, payoff, "{told}");
        let name = |asset| rig.registry.asset_name(asset).to_owned();
        assert_eq!(
            (name(swap.base), name(swap.quote)),
            (base.into(), "BTC".into())
        );
        assert_eq!(swap.multiplier.to_string(), "100");
    }
}

#[test]
fn a_refused_or_lost_instruments_answer_is_asked_again() {
    let mut rig = rig::new(&["BTC-USDT"], false);
    let tag = rig.open(LINK_REST, 0).requests[0].tag;
    for (ms, status, body) in [
        (0, 503, "<html>"),
        (2_000, 0, ""),
        (4_000, 200, fixture("rest_too_many")),
    ] {
        assert!(rig.response(ms, tag, status, body).1.is_err());
        assert!(rig.venue.next_deadline().is_some());
        let again = rig.deadline(ms + 2_000).requests;
        assert_eq!(again.len(), 1, "after status {status}");
    }
    // No answer at all.
    assert_eq!(rig.deadline(60_000).requests.len(), 1);
}

#[test]
fn login_then_both_channels_then_ready() {
    let mut rig = rig::new(&["BTC-USDT"], true);
    let said = rig.open(LINK_PRIVATE, 0);
    assert!(
        said.sent[0]
            .1
            .starts_with(r#"{"op":"login","args":[{"apiKey":"#)
    );
    let mut out = Said::default();
    let refused = rig
        .venue
        .new_order(&rig.registry, &new_order(1), at_ms(0), &mut out);
    assert_eq!(refused, Err(EntryError::NotReady));
    let (said, _) = rig.text(LINK_PRIVATE, 1, fixture("entry_login_ack"));
    assert!(
        said.sent[0]
            .1
            .contains(r#"{"channel":"orders","instType":"ANY"},{"channel":"account"}"#)
    );
    let ack = |channel| format!(r#"{{"event":"subscribe","arg":{{"channel":"{channel}"}}}}"#);
    let (said, _) = rig.text(LINK_PRIVATE, 2, &ack("orders"));
    assert_eq!(said.events, ["Ignored subscription confirmed"]);
    let (said, _) = rig.text(LINK_PRIVATE, 3, &ack("account"));
    assert_eq!(said.events, ["LoggedIn(LinkId(2))"]);
    assert_eq!(
        rig.venue
            .new_order(&rig.registry, &new_order(1), at_ms(4), &mut out),
        Ok(())
    );
    rig.venue.on_closed(LINK_PRIVATE, at_ms(5), &mut out);
    let refused = rig
        .venue
        .new_order(&rig.registry, &new_order(2), at_ms(6), &mut out);
    assert_eq!(refused, Err(EntryError::NotReady));
}

#[test]
fn a_refused_login_says_so_and_asks_for_a_new_link() {
    let mut rig = rig::new(&["BTC-USDT"], true);
    rig.open(LINK_PRIVATE, 0);
    let (said, result) = rig.text(LINK_PRIVATE, 1, fixture("entry_login_refused"));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events, ["LoginRefused(Auth)"]);
    assert_eq!(said.reconnects, [(LINK_PRIVATE, "login refused")]);
}

#[test]
fn a_login_without_answer_is_given_up() {
    let mut rig = rig::new(&["BTC-USDT"], true);
    rig.open(LINK_PRIVATE, 0);
    assert_eq!(rig.venue.next_deadline(), Some(at_ms(10_000).unix));
    assert!(rig.deadline(9_999).reconnects.is_empty());
    assert_eq!(rig.deadline(10_000).reconnects.len(), 1);
    assert!(rig.deadline(20_000).reconnects.is_empty(), "asked for once");
}

#[test]
fn silence_is_pinged_and_then_ends_the_link() {
    let mut rig = rig::ready();
    assert!(rig.deadline(19_999).sent.is_empty());
    let said = rig.deadline(20_000);
    assert_eq!(
        said.sent,
        [
            (LINK_PUBLIC, "ping".to_owned()),
            (LINK_PRIVATE, "ping".to_owned())
        ]
    );
    assert!(rig.deadline(21_000).sent.is_empty(), "one ping at a time");
    rig.text(LINK_PUBLIC, 22_000, "pong").1.unwrap();
    let said = rig.deadline(28_000);
    assert_eq!(said.reconnects, [(LINK_PRIVATE, "no pong")]);
    assert_eq!(
        rig.deadline(42_000).sent,
        [(LINK_PUBLIC, "ping".to_owned())]
    );
}

#[test]
fn orders_are_written_within_the_venue_window() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    for sequence in 1..=60 {
        rig.venue
            .new_order(&rig.registry, &new_order(sequence), at_ms(10), &mut said)
            .unwrap();
    }
    let over = rig
        .venue
        .new_order(&rig.registry, &new_order(61), at_ms(10), &mut said);
    assert_eq!(over, Err(EntryError::RateLimited));
    assert_eq!(said.sent.len(), 60);
    assert_eq!(
        said.sent[0],
        (
            LINK_PRIVATE,
            concat!(
                r#"{"id":"n1z141z5I1","op":"order","expTime":"1760000000510","args":[{"instIdCode":10001,"#,
                r#""tdMode":"cash","side":"sell","ordType":"post_only","px":"65000.1","sz":"1","#,
                r#""clOrdId":"sl1z141z5"}]}"#
            )
            .to_owned()
        )
    );
    rig.venue
        .cancel_order(&rig.registry, &cancel(1), at_ms(10), &mut said)
        .unwrap();
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
fn a_rate_refusal_stops_everything_until_the_next_window() {
    let mut rig = rig::ready();
    rig.text(LINK_PRIVATE, 100, fixture("entry_reject_rate"))
        .1
        .unwrap();
    let mut out = Said::default();
    let order = new_order(2);
    let refused = rig
        .venue
        .new_order(&rig.registry, &order, at_ms(2_000), &mut out);
    assert_eq!(refused, Err(EntryError::RateLimited));
    assert_eq!(
        rig.venue
            .new_order(&rig.registry, &order, at_ms(2_100), &mut out),
        Ok(())
    );
}

#[test]
fn cancel_all_goes_out_in_batches_of_twenty() {
    let mut rig = rig::ready();
    let live: Vec<_> = (1..=45).map(cancel).collect();
    let mut said = Said::default();
    rig.venue
        .cancel_all(&rig.registry, BTC, &live, at_ms(0), &mut said)
        .unwrap();
    let sizes: Vec<_> = said
        .sent
        .iter()
        .map(|(_, text)| text.matches("clOrdId").count())
        .collect();
    assert_eq!(sizes, [20, 20, 5]);
    let more: Vec<_> = (100..400).map(cancel).collect();
    let result = rig
        .venue
        .cancel_all(&rig.registry, BTC, &more, at_ms(0), &mut said);
    assert_eq!(result, Err(EntryError::RateLimited), "300 orders in 2 s");
}

#[test]
fn the_dead_mans_switch_is_kept_armed_only_while_logged_in() {
    let mut rig = rig::ready();
    let said = rig.deadline(0);
    assert_eq!(said.requests.len(), 1);
    let request = &said.requests[0];
    assert_eq!(request.line, "POST /api/v5/trade/cancel-all-after");
    assert_eq!(request.body, r#"{"timeOut":"20"}"#);
    let names: Vec<_> = request
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert!(names.contains(&"OK-ACCESS-SIGN") && names.contains(&"OK-ACCESS-TIMESTAMP"));
    let (said, result) = rig.response(10, request.tag, 200, fixture("rest_cancel_all_after"));
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
    rig.venue
        .on_closed(LINK_PRIVATE, at_ms(7_000), &mut Said::default());
    assert!(rig.deadline(30_000).requests.is_empty());
}

#[test]
fn reconciliation_reads_orders_fills_and_balances() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(100), &mut said);
    assert_eq!(said.events, ["ReconcileStarted"]);
    let step = said.requests.pop().unwrap();
    assert_eq!(step.line, "GET /api/v5/trade/orders-pending?limit=100");
    let (said, _) = rig.response(110, step.tag, 200, fixture("rest_orders_pending"));
    assert_eq!(
        said.events,
        [
            "Order 1 PARTIALLY_FILLED None px 65000 qty 1 cum 0.4",
            "Order - ACK None px 60000 qty 0.1 cum 0",
        ]
    );
    let step = &said.requests[0];
    assert_eq!(step.line, "GET /api/v5/trade/fills?limit=100");
    let (said, _) = rig.response(120, step.tag, 200, fixture("rest_fills"));
    assert_eq!(
        said.events,
        ["Fill 1 trade 1518905529 buy 0.4 @ 65000 fee 0.0052 AssetId(1) maker"]
    );
    let step = &said.requests[0];
    assert_eq!(step.line, "GET /api/v5/account/balance");
    let (said, _) = rig.response(130, step.tag, 200, fixture("rest_balance"));
    assert_eq!(
        said.events,
        ["Balance AssetId(1) free 9340 locked 660", "Reconciled"]
    );
}

#[test]
fn a_failed_step_is_repeated_and_an_old_run_says_nothing_of_the_new_one() {
    let mut rig = rig::ready();
    rig.deadline(0); // the dead man's switch
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(100), &mut said);
    let first = said.requests.pop().unwrap();
    assert!(rig.response(200, first.tag, 502, "bad gateway").1.is_err());
    let again = rig.deadline(1_200).requests;
    assert_eq!(again[0].line, first.line);
    rig.venue.reconcile(&rig.registry, at_ms(1_300), &mut said);
    let (old, _) = rig.response(1_400, first.tag, 200, fixture("rest_orders_pending"));
    assert!(
        old.requests.is_empty(),
        "the old run does not step the new one"
    );
}

/// Two full pages of fills, then the page that reaches what was known: paging stops there.
#[test]
fn fills_are_paged_back_to_the_last_known_bill() {
    let page = |bills: std::ops::Range<u64>| {
        let items: Vec<_> = bills
            .rev()
            .map(|bill| {
                format!(
                    r#"{{"instId":"BTC-USDT","tradeId":"{bill}","ordId":"1","clOrdId":"","billId":"{bill}","fillPx":"1","fillSz":"1","side":"buy","execType":"T","feeCcy":"USDT","fee":"-0.1","ts":"1"}}"#
                )
            })
            .collect();
        format!(r#"{{"code":"0","msg":"","data":[{}]}}"#, items.join(","))
    };
    let empty = r#"{"code":"0","msg":"","data":[]}"#;
    let mut rig = rig::ready();
    for (pages, lines) in [
        (
            vec![page(1..101), page(0..0)],
            vec!["?limit=100", "?limit=100&after=1"],
        ),
        (
            vec![page(101..201), page(51..151)],
            vec!["?limit=100", "?limit=100&after=101"],
        ),
    ] {
        let mut said = Said::default();
        rig.venue.reconcile(&rig.registry, at_ms(0), &mut said);
        let tag = said.requests.pop().unwrap().tag;
        let mut next = rig.response(0, tag, 200, empty).0.requests.pop().unwrap();
        for (body, line) in pages.iter().zip(lines) {
            assert_eq!(next.line, format!("GET /api/v5/trade/fills{line}"));
            next = rig
                .response(0, next.tag, 200, body)
                .0
                .requests
                .pop()
                .unwrap();
        }
        assert_eq!(next.line, "GET /api/v5/account/balance");
        let (said, _) = rig.response(0, next.tag, 200, fixture("rest_balance"));
        assert_eq!(said.events.last().unwrap(), "Reconciled");
    }
}

#[test]
fn a_query_tells_what_became_of_an_order() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    rig.venue
        .query_order(&rig.registry, &cancel(1), at_ms(0), &mut said)
        .unwrap();
    let asked = said.requests.pop().unwrap();
    assert_eq!(
        asked.line,
        "GET /api/v5/trade/order?instId=BTC-USDT&clOrdId=sl1z141z5"
    );
    let (gone, result) = rig.response(1, asked.tag, 200, fixture("rest_order_gone"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        gone.events,
        ["Order 1 REJECTED UnknownOrder px - qty - cum -"]
    );
    let (found, _) = rig.response(2, asked.tag, 200, fixture("rest_orders_pending"));
    assert_eq!(
        found.events,
        ["Order 1 PARTIALLY_FILLED None px 65000 qty 1 cum 0.4"]
    );
    assert_eq!(
        found.requests[0].line,
        "GET /api/v5/trade/fills?instId=BTC-USDT&ordId=2497956918703120384&limit=100"
    );
    let (fills, _) = rig.response(3, found.requests[0].tag, 200, fixture("rest_fills"));
    assert_eq!(fills.events.len(), 1);
    let (nothing, result) = rig.response(4, asked.tag, 0, "");
    assert!(nothing.events.is_empty(), "no answer settles nothing");
    let unknown = Fault::Venue {
        code: 0,
        reason: RejectReason::UnknownOutcome,
    };
    assert_eq!(result, Err(unknown));
}

/// Feeds the machine's depth into a keeper, as a lane does.
struct Book {
    keeper: Keeper<OkxSync>,
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
            keeper: Keeper::new(OkxSync::new(&instrument)),
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
fn pushed_snapshot_chain_heartbeat_and_maintenance() {
    let mut rig = rig::ready();
    let mut book = Book::new(&rig);
    for name in [
        "feed_snapshot",
        "feed_delta",
        "feed_delta_noop",
        "feed_delta_maintenance",
    ] {
        assert_eq!(book.feed(&mut rig, name), Outcome::Applied, "{name}");
    }
    assert_eq!(book.keeper.proof().last_id, 40, "the counter restarted");
    assert_eq!(book.keeper.counts().checksums_ok, 1, "0 is no checksum");
}

#[test]
fn a_gap_or_a_wrong_checksum_is_stale_at_once_and_asks_by_rest() {
    for (name, is_gap) in [("feed_delta_gap", true), ("feed_delta_bad_checksum", false)] {
        let mut rig = rig::ready();
        let mut book = Book::new(&rig);
        book.feed(&mut rig, "feed_snapshot");
        let outcome = book.feed(&mut rig, name);
        assert_eq!(matches!(outcome, Outcome::Gap(_)), is_gap, "{name}");
        assert!(outcome.needs_snapshot() && book.keeper.proof().state == State::Waiting);
        rig.venue
            .request_snapshot(&rig.registry, BTC, at_ms(1), &mut book);
        let lines: Vec<_> = book
            .said
            .requests
            .iter()
            .map(|request| &request.line)
            .collect();
        assert!(lines.contains(&&"GET /api/v5/market/books?instId=BTC-USDT&sz=400".to_owned()));
    }
}

#[test]
fn without_a_pushed_snapshot_the_rest_one_is_spliced() {
    let mut rig = rig::ready();
    let mut book = Book::new(&rig);
    assert_eq!(book.feed(&mut rig, "feed_delta"), Outcome::NeedSnapshot);
    assert_eq!(book.feed(&mut rig, "feed_delta_noop"), Outcome::Buffered);
    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(0), &mut book);
    let tag = books_tag(&book.said);
    let mut body = fixture("rest_books").as_bytes().to_vec();
    let response = dp_venue_api::RestResponse {
        tag,
        status: 200,
        retry_after_s: None,
        usage: dp_venue_api::Usage::default(),
        body: &mut body,
    };
    let (okx, registry) = (&mut rig.venue, &mut rig.registry);
    okx.on_response(registry, LINK_REST, at_ms(5), response, &mut book)
        .unwrap();
    // prevSeqId 123456 <= snapshot 123458 < seqId 123460: the held delta is the first to apply.
    assert_eq!(book.outcomes.last(), Some(&Outcome::Applied));
    assert_eq!(book.keeper.proof().last_id, 123_460);
    assert_eq!(
        book.keeper.book().best_ask().unwrap().price,
        Price(65_000_400)
    );
}

fn books_tag(said: &Said) -> RestTag {
    let asked = said
        .requests
        .iter()
        .rfind(|request| request.line.contains("market/books"));
    asked.unwrap().tag
}

#[test]
fn an_answer_overtaken_by_a_pushed_snapshot_is_dropped() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(0), &mut said);
    let tag = books_tag(&said);
    rig.text(LINK_PUBLIC, 1, fixture("feed_snapshot"))
        .1
        .unwrap();
    let (said, _) = rig.response(2, tag, 200, fixture("rest_books"));
    assert_eq!(said.events, ["Ignored a snapshot nobody waits for"]);
}

#[test]
fn snapshots_are_paced_and_every_fourth_is_a_new_subscription() {
    let mut rig = rig::ready();
    let (mut fetched, mut anew) = (0, 0);
    for round in 0..8 {
        let ms = round * 600;
        let mut said = Said::default();
        rig.venue
            .request_snapshot(&rig.registry, BTC, at_ms(ms), &mut said);
        rig.venue
            .request_snapshot(&rig.registry, BTC, at_ms(ms + 1), &mut said);
        let books: Vec<_> = said
            .requests
            .iter()
            .filter(|request| request.line.contains("market/books"))
            .collect();
        fetched += books.len();
        anew += said.sent.len();
        if let Some(request) = books.first() {
            rig.response(ms + 50, request.tag, 200, fixture("rest_books"))
                .1
                .unwrap();
        }
    }
    assert_eq!(
        (fetched, anew),
        (6, 4),
        "an unsubscribe and a subscribe each time"
    );
}

#[test]
fn two_book_channels_of_one_symbol_are_not_mixed() {
    let mut rig = rig::ready();
    rig.text(LINK_PUBLIC, 0, fixture("feed_snapshot"))
        .1
        .unwrap();
    let other = fixture("feed_delta").replace(r#""books""#, r#""books-l2-tbt""#);
    let (said, _) = rig.text(LINK_PUBLIC, 0, &other);
    assert_eq!(
        said.events,
        ["Ignored a second book channel of this instrument"]
    );
}

#[test]
fn on_paper_what_the_session_would_refuse_is_refused() {
    let told = rates::agree(&mut rig::ready(), 100, new_order);
    assert_eq!(told.first, 96, "{told:?}");
}
