//! Funding of swaps: asked for when there may be some, page by page.
#![allow(missing_docs)]

mod rig;

use dp_venue_api::{Fault, Venue};
use dp_venue_okx::funding::BILL_PAGES_MAX;
use dp_venue_okx::{LINK_PRIVATE, LINK_REST};
use rig::{Rig, fixture};
use tests_venues::rig::{Request, Said, at_ms};

const EMPTY: &str = r#"{"code":"0","msg":"","data":[]}"#;

/// Logged in, following a swap: three subscriptions are confirmed first.
fn ready() -> Rig {
    let mut rig = rig::following("BTC-USDT-SWAP", "rest_instruments_swap");
    let ack = r#"{"event":"subscribe","arg":{"channel":"balance_and_position"},"connId":"a"}"#;
    let (said, result) = rig.text(LINK_PRIVATE, 0, ack);
    result.unwrap();
    assert_eq!(said.events, ["LoggedIn(LinkId(2))"]);
    rig
}

fn bills_of(said: Said) -> Vec<Request> {
    let is_bills = |it: &Request| it.line.starts_with("GET /api/v5/account/bills?");
    said.requests.into_iter().filter(is_bills).collect()
}

fn ask(rig: &mut Rig, ms: u64) -> Vec<Request> {
    let mut said = Said::default();
    rig.venue.on_deadline(&rig.registry, at_ms(ms), &mut said);
    bills_of(said)
}

/// Compares; what bills its end asks for.
fn compared(rig: &mut Rig, ms: u64) -> Vec<Request> {
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(ms), &mut said);
    while !said.events.iter().any(|event| event == "Reconciled") {
        let asked = said.requests.remove(0);
        let is_last = asked.line.contains("/account/balance");
        let body = if is_last {
            fixture("rest_balance")
        } else {
            EMPTY
        };
        let (next, result) = rig.response(ms, asked.tag, 200, body);
        result.unwrap();
        said = next;
    }
    bills_of(said)
}

fn page(bills: std::ops::Range<u64>) -> String {
    let bill = |id| {
        format!(
            r#"{{"billId":"{id}","type":"8","instId":"BTC-USDT-SWAP","ccy":"USDT","pnl":"-1","ts":"1760000400100"}}"#
        )
    };
    let rows: Vec<_> = bills.rev().map(bill).collect();
    format!(r#"{{"code":"0","msg":"","data":[{}]}}"#, rows.join(","))
}

#[test]
fn what_was_paid_is_asked_for_when_the_stream_tells_of_some() {
    let mut rig = ready();
    let (said, result) = rig.text(LINK_PRIVATE, 400_100, fixture("account_funding"));
    result.unwrap();
    assert_eq!(
        said.events,
        ["Ignored funding was paid: which, the venue is asked"]
    );
    assert!(ask(&mut rig, 405_099).is_empty(), "not listed yet");
    let asked = ask(&mut rig, 405_100);
    assert_eq!(asked.len(), 1);
    assert!(asked[0].line.contains("instType=SWAP&type=8&begin="));
    let (said, result) = rig.response(405_200, asked[0].tag, 200, fixture("rest_bills"));
    result.unwrap();
    assert_eq!(
        said.events,
        [
            "Ignored an instrument we do not follow",
            "Funding 0 -0.0104 AssetId(1) id 623950854533513220 at 1760000400100000000",
            "Ignored an income that is no funding",
        ]
    );
    assert!(bills_of(said).is_empty(), "that was all");
    // The next question begins an hour before the newest known. Its answer is lost: again.
    let asked = compared(&mut rig, 800_000);
    assert!(asked[0].line.contains("begin=1759996800101&"), "{asked:?}");
    assert!(rig.response(800_100, asked[0].tag, 0, "").1.is_err());
    assert!(ask(&mut rig, 810_000).is_empty());
    assert_eq!(ask(&mut rig, 810_100).len(), 1);
}

#[test]
fn a_comparison_asks_page_by_page_and_not_without_end() {
    let mut rig = ready();
    let mut asked = compared(&mut rig, 0);
    for number in 0..BILL_PAGES_MAX {
        assert_eq!(asked.len(), 1, "page {number}");
        let newest = 1_000_000 - u64::from(number) * 100;
        let body = page(newest - 100..newest);
        let tag = asked[0].tag;
        let (said, result) = rig.response(1_000 * u64::from(number), tag, 200, &body);
        assert_eq!(said.events.len(), 100);
        if number + 1 < BILL_PAGES_MAX {
            result.unwrap();
        } else {
            assert!(matches!(result, Err(Fault::Decode(_))), "{result:?}");
        }
        asked = bills_of(said);
        let after = format!("after={}", newest - 100);
        assert!(asked.iter().all(|it| it.line.contains(&after)));
        // Told twice, it turns no page.
        let (again, _) = rig.response(1_000 * u64::from(number), tag, 200, &body);
        assert!(bills_of(again).is_empty());
    }
    assert!(ask(&mut rig, 100_000).is_empty());
}

#[test]
fn spot_alone_asks_for_none() {
    let mut rig = rig::ready();
    assert!(compared(&mut rig, 0).is_empty());
    rig.close(LINK_REST, 1);
    assert!(bills_of(rig.open(LINK_REST, 2)).is_empty());
}
