//! Funding of perpetuals: read back from the log of transactions after each comparison.
#![allow(missing_docs)]

mod rig;

use dp_venue_api::{Fault, Venue};
use dp_venue_deribit::LINK_REST;
use dp_venue_deribit::funding::LOG_PAGES_MAX;
use rig::{Rig, fixture};
use tests_venues::rig::{Request, START_MS, Said, at_ms};

const NONE: &str = r#"{"jsonrpc":"2.0","result":[]}"#;
const NO_TRADES: &str = r#"{"jsonrpc":"2.0","result":{"trades":[],"has_more":false}}"#;
const NO_SUMMARIES: &str = r#"{"jsonrpc":"2.0","result":{"summaries":[]}}"#;
const LOG: &str = "GET /api/v2/private/get_transaction_log?currency=BTC&";

fn logs_of(said: Said) -> Vec<Request> {
    let is_log = |it: &Request| it.line.starts_with(LOG);
    said.requests.into_iter().filter(is_log).collect()
}

fn ask(rig: &mut Rig, ms: u64) -> Vec<Request> {
    let mut said = Said::default();
    rig.venue.on_deadline(&rig.registry, at_ms(ms), &mut said);
    logs_of(said)
}

/// Compares; what of the log its end asks for.
fn compared(rig: &mut Rig, ms: u64) -> Vec<Request> {
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(ms), &mut said);
    for body in [NONE, NO_TRADES, NONE, NO_SUMMARIES] {
        let tag = said.requests.remove(0).tag;
        let (next, result) = rig.response(ms, tag, 200, body);
        result.unwrap();
        said = next;
    }
    assert_eq!(said.events, ["Reconciled"]);
    logs_of(said)
}

/// Settlements, newest first, and where older ones begin.
fn page(rows: std::ops::Range<u64>, after: Option<u64>) -> String {
    let row = |id| {
        format!(
            r#"{{"id":{id},"type":"settlement","timestamp":{START_MS},"currency":"BTC","instrument_name":"BTC-PERPETUAL","interest_pl":-0.5,"total_interest_pl":-0.5}}"#
        )
    };
    let rows: Vec<_> = rows.rev().map(row).collect();
    let after = after.map_or("null".to_owned(), |after| after.to_string());
    format!(
        r#"{{"jsonrpc":"2.0","result":{{"logs":[{}],"continuation":{after}}}}}"#,
        rows.join(",")
    )
}

/// Trades and settlements: what each realised of it, and nothing of the session's P&L.
#[test]
fn what_trades_and_settlements_realised_is_booked() {
    let mut rig = rig::ready();
    let asked = compared(&mut rig, 400_000);
    let (now, day) = (START_MS + 400_000, 24 * 3_600_000);
    let span = format!("start_timestamp={}&end_timestamp={now}", now - day);
    assert_eq!(asked[0].line, format!("{LOG}{span}&count=100"));
    let body = fixture("rest_transaction_log").replace("61282", "null");
    let (said, result) = rig.response(401_000, asked[0].tag, 200, &body);
    result.unwrap();
    assert_eq!(
        said.events,
        [
            "Ignored an income that is no funding",
            "Funding 0 0.00000993 AssetId(0) id 61311 at 1760000400153000000",
            "Funding 0 0.0000025 AssetId(0) id 61310 at 1760000300620000000",
            "Ignored an income that is no funding",
        ]
    );
    assert!(ask(&mut rig, 500_000).is_empty(), "that was all");
    // The next question begins a minute before the newest known. Its answer is lost: again.
    let asked = compared(&mut rig, 700_000);
    assert!(asked[0].line.contains("start_timestamp=1760000340330&"));
    assert!(rig.response(700_100, asked[0].tag, 0, "").1.is_err());
    assert!(ask(&mut rig, 710_000).is_empty());
    let asked = ask(&mut rig, 710_100);
    // What is known ends it, though older rows follow.
    let log = fixture("rest_transaction_log");
    rig.response(710_200, asked[0].tag, 200, log).1.unwrap();
    assert!(ask(&mut rig, 800_000).is_empty());
}

#[test]
fn pages_are_a_second_apart_and_not_without_end() {
    let mut rig = rig::ready();
    let mut asked = compared(&mut rig, 0);
    let mut ms = 0;
    for number in 0..LOG_PAGES_MAX {
        assert_eq!(asked.len(), 1, "page {number}");
        let newest = 1_000_000 - u64::from(number) * 100;
        let body = page(newest - 100..newest, Some(newest - 101));
        let tag = asked[0].tag;
        let (said, result) = rig.response(ms, tag, 200, &body);
        assert_eq!(said.events.len(), 100);
        if number + 1 < LOG_PAGES_MAX {
            result.unwrap();
        } else {
            assert!(matches!(result, Err(Fault::Decode(_))), "{result:?}");
        }
        assert!(said.requests.is_empty());
        // Told twice, it turns no page.
        rig.response(ms, tag, 200, &body).1.unwrap();
        assert!(ask(&mut rig, ms + 1_000).is_empty(), "too soon");
        ms += 1_100;
        asked = ask(&mut rig, ms);
        let after = format!("&continuation={}", newest - 101);
        assert!(asked.iter().all(|it| it.line.ends_with(&after)));
    }
    assert!(asked.is_empty());
}

#[test]
fn no_perpetual_no_question() {
    let mut rig = rig::new(&["BTC-27MAR26"], true);
    rig.open(LINK_REST, 0);
    assert!(compared(&mut rig, 0).is_empty());
}
