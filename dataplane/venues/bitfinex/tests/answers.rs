//! Answers that come twice, late, broken or never; reconciliation; questions about single orders.
#![allow(missing_docs)]

mod rig;

use dp_types::{
    CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, NewOrder, OrderId, OrderKind, Price,
    Qty, RejectReason, Side, Tif,
};
use dp_venue_api::{DecodeError, EntryError, Fault, Venue};
use dp_venue_bitfinex::rest::{PAGE_LEN, PAGES_MAX};
use dp_venue_bitfinex::{LINK_PRIVATE, LINK_REST};
use rig::{Rig, fixture, good};
use tests_venues::rig::{Request, START_MS, Said, at_ms};

const BTC: InstrumentId = InstrumentId(0);

fn client(sequence: u32) -> ClientOrderId {
    ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap()
}

fn named(sequence: u32) -> CancelOrder {
    CancelOrder {
        instrument: BTC,
        client_id: client(sequence),
        order_id: OrderId(0),
    }
}

fn place(rig: &mut Rig, sequence: u32) {
    let order = NewOrder {
        instrument: BTC,
        client_id: client(sequence),
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(650_000_000_000_000),
        qty: Qty(100_000_000),
    };
    let (venue, registry) = (&mut rig.venue, &rig.registry);
    venue
        .new_order(registry, &order, at_ms(0), &mut Said::default())
        .unwrap();
}

fn reconcile(rig: &mut Rig, ms: u64) -> Request {
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(ms), &mut said);
    assert_eq!(said.events, ["ReconcileStarted"]);
    assert_eq!(said.requests.len(), 1);
    said.requests.remove(0)
}

fn query(rig: &mut Rig, sequence: u32, ms: u64) -> (Result<(), EntryError>, Vec<Request>) {
    let mut said = Said::default();
    let (venue, registry) = (&mut rig.venue, &rig.registry);
    let result = venue.query_order(registry, &named(sequence), at_ms(ms), &mut said);
    (result, said.requests)
}

/// The one request an answer led to.
fn next(rig: &mut Rig, ms: u64, asked: &Request, body: &str) -> Request {
    let (mut said, result) = rig.response(ms, asked.tag, 200, body);
    assert_eq!((result, said.requests.len()), (Ok(()), 1), "{said:?}");
    said.requests.remove(0)
}

/// So many fills from this time on, one a millisecond, oldest first.
fn fills(from_ms: u64, count: usize) -> String {
    let rows: Vec<_> = (from_ms..)
        .take(count)
        .map(|ms| {
            format!(
                r#"[{ms},"tBTCUSD",{ms},77,0.1,65000,"EXCHANGE LIMIT",65000,1,-0.1,"USD",null]"#
            )
        })
        .collect();
    format!("[{}]", rows.join(","))
}

// ---- notifications ----

#[test]
fn a_refused_order_is_known_by_our_id_alone() {
    let mut rig = rig::ready();
    place(&mut rig, 1);
    let said = good(&mut rig, LINK_PRIVATE, 1, "entry_reject_funds");
    assert_eq!(
        said.events,
        [
            "Ack 1 order 0 InsufficientFunds 0",
            "Order 1 REJECTED InsufficientFunds px - qty - cum -",
        ]
    );
    let said = good(&mut rig, LINK_PRIVATE, 2, "entry_reject_duplicate");
    assert_eq!(
        said.events[1], "Order 1 UNKNOWN DuplicateId px - qty - cum -",
        "an order of that id lives: it may be ours"
    );
}

#[test]
fn a_refused_cancel_is_known_by_the_venues_id_alone() {
    // Told by the answer, or first by the order itself.
    for first in ["entry_new_ack", "account_order_new"] {
        let mut rig = rig::ready();
        place(&mut rig, 1);
        good(&mut rig, LINK_PRIVATE, 1, first);
        let said = good(&mut rig, LINK_PRIVATE, 2, "entry_cancel_reject");
        assert_eq!(
            said.events,
            ["Ack 1 order 185815098001 UnknownOrder 0"],
            "it settles nothing: no order report"
        );
    }
}

#[test]
fn a_refusal_that_names_nobody_is_a_fault() {
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_PRIVATE, 1, fixture("entry_cancels_reject"));
    assert!(said.events.is_empty());
    let reason = RejectReason::UnknownOrder;
    assert_eq!(result, Err(Fault::Venue { code: 0, reason }));
}

#[test]
fn an_order_that_fills_at_once_comes_without_being_on_the_book() {
    let mut rig = rig::ready();
    place(&mut rig, 1);
    let mut events = Vec::new();
    for name in [
        "account_trade_executed",
        "entry_new_ack",
        "account_order_filled",
        "account_trade_confirmed",
    ] {
        events.extend(good(&mut rig, LINK_PRIVATE, 1, name).events);
    }
    assert_eq!(
        events,
        [
            "Ignored an execution before its fee is known: told when it is",
            "Ack 1 order 185815098001 None 0",
            "Order 1 FILLED None px 65000 qty 1 cum 1",
            "Fill 1 trade 402088407 buy 0.4 @ 65000 fee 0.0004 AssetId(0) maker",
        ]
    );
}

#[test]
fn one_order_that_cannot_be_read_costs_no_other() {
    let mut rig = rig::ready();
    let broken = fixture("account_orders").replacen("ACTIVE", "NOBODY KNOWS", 1);
    let (said, result) = rig.text(LINK_PRIVATE, 1, &broken);
    assert_eq!(
        said.events,
        ["Order 2 PARTIALLY_FILLED None px 65000 qty 1 cum 0.4"]
    );
    assert_eq!(result, Err(DecodeError::Field("status").into()));
}

#[test]
fn longer_arrays_are_read_alike() {
    let mut rig = rig::ready();
    for name in [
        "account_order_partial",
        "account_trade_confirmed",
        "entry_new_ack",
    ] {
        let short = good(&mut rig, LINK_PRIVATE, 1, name).events;
        // More at the end of the row, and the numbers of the connection behind it.
        let long = fixture(name).strip_suffix("]]").unwrap().to_owned();
        let (said, result) = rig.text(LINK_PRIVATE, 1, &format!("{long},null,\"x\",7],12,3]"));
        assert_eq!((said.events, result), (short, Ok(())), "{name}");
    }
}

// ---- reconciliation ----

#[test]
fn reconciliation_reads_orders_fills_wallets_and_positions() {
    let mut rig = rig::new(&["tBTCUSD", "tBTCF0:USTF0"], true);
    let lists = rig.open(LINK_REST, 0).requests;
    rig::answer_lists(&mut rig, &lists);
    let orders = reconcile(&mut rig, 100);
    assert_eq!(
        (orders.line.as_str(), orders.body.as_str()),
        ("POST /v2/auth/r/orders", "{}")
    );
    let names: Vec<_> = orders
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        names,
        ["bfx-nonce", "bfx-apikey", "bfx-signature", "content-type"]
    );
    let (mut said, _) = rig.response(110, orders.tag, 200, fixture("rest_orders"));
    assert_eq!(
        said.events,
        [
            "Order 1 PARTIALLY_FILLED None px 65000 qty 1 cum 0.4",
            "Order - ACK None px 66000 qty 0.1 cum 0.0",
        ]
    );
    let fills = said.requests.remove(0);
    assert_eq!(fills.line, "POST /v2/auth/r/trades/tBTCUSD/hist");
    let three_days_ago = START_MS + 100 - 3 * 86_400_000;
    assert_eq!(
        fills.body,
        format!(r#"{{"start":{three_days_ago},"limit":2500,"sort":1}}"#)
    );
    let (mut said, _) = rig.response(120, fills.tag, 200, fixture("rest_trades"));
    assert_eq!(
        said.events,
        ["Fill 1 trade 402088407 buy 0.4 @ 65000 fee 0.0004 AssetId(0) maker"]
    );
    let other = said.requests.remove(0);
    assert_eq!(other.line, "POST /v2/auth/r/trades/tBTCF0:USTF0/hist");
    let wallets = next(&mut rig, 130, &other, "[]");
    assert_eq!(wallets.line, "POST /v2/auth/r/wallets");
    let (mut said, _) = rig.response(140, wallets.tag, 200, fixture("rest_wallets"));
    assert_eq!(said.events.len(), 3);
    assert!(said.events[2].starts_with("Balance AssetId(3) free 250"));
    let positions = said.requests.remove(0);
    assert_eq!(positions.line, "POST /v2/auth/r/positions");
    let (said, _) = rig.response(150, positions.tag, 200, fixture("rest_positions"));
    assert_eq!(said.events, ["Position 1 -0.25 @ 64000.5", "Reconciled"]);
    // The next run goes on from the newest fill, a minute before it.
    let orders = reconcile(&mut rig, 5_000);
    let fills = next(&mut rig, 5_001, &orders, "[]");
    let from = START_MS + 123 - 60_000;
    assert!(fills.body.starts_with(&format!(r#"{{"start":{from},"#)));
    // What the list leaves out was closed, by whomever: the perpetual is flat, and of spot nothing is said.
    let other = next(&mut rig, 5_002, &fills, "[]");
    let wallets = next(&mut rig, 5_003, &other, "[]");
    let positions = next(&mut rig, 5_004, &wallets, "[]");
    let (said, _) = rig.response(5_005, positions.tag, 200, "[]");
    assert_eq!(
        said.events,
        ["Ignored an empty list", "Position 1 0 @ -", "Reconciled"]
    );
}

#[test]
fn without_perpetuals_wallets_are_the_end() {
    let mut rig = rig::ready();
    let orders = reconcile(&mut rig, 0);
    let fills = next(&mut rig, 1, &orders, "[]");
    let wallets = next(&mut rig, 2, &fills, "[]");
    let (said, _) = rig.response(3, wallets.tag, 200, fixture("rest_wallets"));
    assert_eq!(said.events.last().unwrap(), "Reconciled");
}

#[test]
fn a_failed_step_is_repeated_with_a_new_nonce_and_an_old_run_moves_nothing() {
    let mut rig = rig::ready();
    let first = reconcile(&mut rig, 0);
    let nonce = |request: &Request| request.headers[0].1.parse::<u64>().unwrap();
    let mut last = nonce(&first);
    let mut ms = 0;
    for (status, body) in [
        (502, "bad gateway"),
        (0, ""),
        (500, fixture("rest_error_nonce")),
        (200, "{}"),
    ] {
        assert!(rig.response(ms, first.tag, status, body).1.is_err());
        ms += 1_000;
        let again = rig.deadline(ms).requests;
        assert_eq!(again.len(), 1, "after status {status}");
        assert_eq!((&again[0].line, again[0].tag), (&first.line, first.tag));
        assert!(nonce(&again[0]) > last);
        last = nonce(&again[0]);
    }
    // The link is cut with the request in its queue; it is asked again, and both are answered.
    rig.close(LINK_REST, ms);
    assert_eq!(rig.open(LINK_REST, ms + 1).requests.len(), 1);
    let fills = next(&mut rig, ms + 2, &first, "[]");
    let (said, result) = rig.response(ms + 3, first.tag, 200, fixture("rest_orders"));
    assert_eq!(result, Ok(()));
    assert_eq!(said.events, ["Ignored an answer of another reconciliation"]);
    // A new run begins: the old one's fills are true, and lead nowhere.
    reconcile(&mut rig, ms + 4);
    let (said, _) = rig.response(ms + 5, fills.tag, 200, fixture("rest_trades"));
    assert_eq!((said.events.len(), said.requests.len()), (1, 0));
    // No answer at all.
    assert_eq!(rig.deadline(ms + 4 + 45_000).requests.len(), 1);
}

#[test]
fn fills_are_paged_forward_and_those_not_reached_are_not_taken_for_known() {
    let mut rig = rig::ready();
    let mut ms = 0;
    let start = START_MS - 1_000_000;
    let mut run = |rig: &mut Rig, pages: usize| {
        ms += 100_000; // so that the minute's requests are there
        let mut asked = reconcile(rig, ms);
        asked = next(rig, ms, &asked, "[]");
        let first = asked.body.clone();
        let (mut count, mut is_cut) = (0, false);
        while asked.line.contains("trades") {
            let len = if count + 1 < pages { PAGE_LEN } else { 3 };
            let from = start + (count * PAGE_LEN) as u64;
            count += 1;
            ms += 2_000;
            let (said, result) = rig.response(ms, asked.tag, 200, &fills(from, len));
            is_cut |= result == Err(DecodeError::TooMuch("fills").into());
            let requests = said.requests.into_iter();
            asked = match requests.last() {
                Some(request) => request,
                None => {
                    ms += 61_000;
                    rig.deadline(ms).requests.remove(0)
                }
            };
            if asked.line.contains("trades") {
                let newest = from + PAGE_LEN as u64 - 1;
                assert!(asked.body.starts_with(&format!(r#"{{"start":{newest},"#)));
            }
        }
        rig.response(ms, asked.tag, 200, "[]").1.unwrap();
        (count, is_cut, first)
    };
    assert_eq!(run(&mut rig, 1).0, 1);
    let (count, is_cut, first) = run(&mut rig, PAGES_MAX as usize + 5);
    assert_eq!((count, is_cut), (PAGES_MAX as usize, true));
    let known = start + 2 - 60_000;
    assert!(
        first.starts_with(&format!(r#"{{"start":{known},"#)),
        "{first}"
    );
    let (count, is_cut, again) = run(&mut rig, 2);
    assert_eq!(
        (count, is_cut, again),
        (2, false, first),
        "from the same place"
    );
}

// ---- questions about single orders ----

#[test]
fn an_order_is_looked_for_among_the_open_then_among_the_closed() {
    let mut rig = rig::ready();
    let (result, asked) = query(&mut rig, 1, 0);
    assert_eq!((result, asked.len()), (Ok(()), 1));
    assert_eq!(asked[0].line, "POST /v2/auth/r/orders/tBTCUSD");
    // Open, and partly done: its fills are asked for.
    let (said, _) = rig.response(1, asked[0].tag, 200, fixture("rest_orders"));
    assert_eq!(
        said.events,
        ["Order 1 PARTIALLY_FILLED None px 65000 qty 1 cum 0.4"]
    );
    let of_order = &said.requests[0];
    assert_eq!(
        of_order.line,
        "POST /v2/auth/r/order/tBTCUSD:185815098001/trades"
    );
    let nameless = fixture("rest_trades").replace("4294967297", "null");
    let (said, _) = rig.response(2, of_order.tag, 200, &nameless);
    assert_eq!(
        said.events,
        ["Fill 1 trade 402088407 buy 0.4 @ 65000 fee 0.0004 AssetId(0) maker"],
        "it is the order's that was asked about"
    );
    // Closed.
    let (_, asked) = query(&mut rig, 1, 3);
    let closed = next(&mut rig, 4, &asked[0], "[]");
    assert_eq!(
        (closed.line.as_str(), closed.body.as_str()),
        ("POST /v2/auth/r/orders/hist", r#"{"limit":250}"#)
    );
    let (said, _) = rig.response(5, closed.tag, 200, fixture("rest_history"));
    assert_eq!(said.events, ["Order 1 FILLED None px 65000 qty 1 cum 1"]);
    assert_eq!(said.requests.len(), 1, "its fills");
    // Neither.
    let (_, asked) = query(&mut rig, 2, 6);
    let closed = next(&mut rig, 7, &asked[0], fixture("rest_orders"));
    let (said, result) = rig.response(8, closed.tag, 200, fixture("rest_history"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Order 2 REJECTED UnknownOrder px - qty - cum -"]
    );
}

#[test]
fn a_question_that_is_lost_says_nothing_and_can_be_asked_again() {
    let mut rig = rig::ready();
    for (status, body) in [(0, ""), (500, fixture("rest_error_nonce")), (200, "{}")] {
        let (_, asked) = query(&mut rig, 1, 0);
        let (result, twice) = query(&mut rig, 1, 0);
        assert_eq!((result, twice.len()), (Ok(()), 0), "it is on its way");
        let (said, result) = rig.response(1, asked[0].tag, status, body);
        assert!(result.is_err() && said.events.is_empty(), "{status}");
        // The second half lost: neither has the order ended.
        let (_, asked) = query(&mut rig, 1, 2);
        let closed = next(&mut rig, 3, &asked[0], "[]");
        assert!(query(&mut rig, 1, 3).1.is_empty(), "it is on its way");
        let (said, result) = rig.response(4, closed.tag, status, body);
        assert!(result.is_err() && said.events.is_empty(), "{status}");
    }
}

#[test]
fn only_so_many_questions_are_on_their_way() {
    let mut rig = rig::ready();
    let asked = (1..50).filter(|n| query(&mut rig, *n, 1).0.is_ok()).count();
    assert_eq!(asked, 32);
    assert_eq!(query(&mut rig, 50, 2).0, Err(EntryError::RateLimited));
    // The link is gone with all of them.
    rig.close(LINK_REST, 3);
    assert_eq!(query(&mut rig, 50, 4).0, Err(EntryError::NotReady));
    rig.open(LINK_REST, 5);
    let asked = (1..50).filter(|n| query(&mut rig, *n, 6).0.is_ok()).count();
    assert_eq!(asked, 45 - 32, "a minute's signed requests");
}

#[test]
fn an_answer_with_a_tag_of_nobody_is_an_error() {
    let mut rig = rig::ready();
    let tag = dp_venue_api::RestTag(255);
    let (said, result) = rig.response(0, tag, 200, "[]");
    assert!(said.events.is_empty() && result.is_err());
}
