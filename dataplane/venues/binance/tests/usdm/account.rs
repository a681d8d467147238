//! User data, reconciliation, books, rules.

use super::*;

#[test]
fn user_data_becomes_reports_fills_balances_and_positions() {
    let check = |name: &str, expected: &[&str]| {
        let mut rig = ready_usdm(Keys::Ed25519);
        let (heard, result) = rig.text(LINK_USER, 100, fixture(name));
        assert_eq!(result, Ok(()), "{name}");
        assert_eq!(heard.events, expected, "{name}");
    };
    check(
        "usdm_order_new",
        &["Order 1 ACK None px 65000.10 qty 0.010 cum 0"],
    );
    check(
        "usdm_order_amended",
        &["Order 1 ACK None px 64000.10 qty 0.010 cum 0"],
    );
    check(
        "usdm_order_fill",
        &[
            "Fill 1 trade 109100866 buy 0.004 @ 65000.10 fee 0.05200008 AssetId(2) maker",
            "Order 1 PARTIALLY_FILLED None px 65000.10 qty 0.010 cum 0.004",
        ],
    );
    check(
        "usdm_order_cancelled",
        &["Order 1 CANCELLED None px 65000.10 qty 0.010 cum 0.004"],
    );
    check(
        "usdm_order_expired",
        &["Order 1 EXPIRED None px 65000.10 qty 0.010 cum 0"],
    );
    check(
        "usdm_order_self_trade",
        &["Order 1 CANCELLED None px 65000.10 qty 0.010 cum 0.004"],
    );
    check(
        "usdm_order_foreign",
        &["Ignored an instrument we do not follow"],
    );
    // Without its fee it would be counted wrong: its report follows and has it whole.
    check(
        "usdm_trade_lite",
        &["Ignored an execution before its fee is known: told when it is"],
    );
    check(
        "usdm_account_update",
        &[
            "Balance AssetId(2) free 9999.94799992 locked 0",
            "Position 0 -0.004 @ 65000.1",
            "Ignored one leg of a hedged position",
        ],
    );
    check("usdm_margin_call", &["Ignored an event we do not use"]);
    // The venue closed us: an end we have no word for, so all is compared.
    let mut rig = ready_usdm(Keys::Ed25519);
    let (_, result) = rig.text(LINK_USER, 100, fixture("usdm_order_liquidation"));
    assert_eq!(result, Err(Fault::Decode(DecodeError::Field("status"))));
}

#[test]
fn reconciliation_reads_orders_trades_positions_and_balances() {
    let mut rig = ready_usdm(Keys::Ed25519);
    let mut out = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(1), &mut out);
    let mut told = out.events.clone();
    for (path, body) in [
        ("openOrders", "usdm_open_orders"),
        ("userTrades?symbol=BTCUSDT&limit=1000", "usdm_user_trades"),
        ("v3/positionRisk", "usdm_positions"),
        ("v3/balance", "usdm_balances"),
    ] {
        let request = out.requests.pop().expect("the next step");
        assert!(request.line.contains(path), "{path}: {}", request.line);
        let (said, result) = rig.response(2, request.tag, 200, fixture(body));
        result.unwrap();
        told.extend(said.events.iter().cloned());
        out = said;
    }
    assert_eq!(
        told,
        [
            "ReconcileStarted",
            "Order 1 PARTIALLY_FILLED None px 65000.10 qty 0.010 cum 0.004",
            // Its name is known from the list before.
            "Fill 1 trade 109100866 buy 0.004 @ 65000.10 fee 0.05200008 AssetId(2) maker",
            "Position 0 0.004 @ 65000.1",
            "Balance AssetId(2) free 9999.94799992 locked 0",
            "Reconciled",
        ]
    );
    // What is not listed is flat.
    let tag = Ask::Positions(0).tag();
    assert_eq!(
        rig.response(3, tag, 200, "[]").0.events,
        ["Position 0 0 @ -"]
    );
}

/// The push names no symbol: what was paid for which is asked for, a while later, and after each comparison.
#[test]
fn funding_is_asked_for_when_the_stream_tells_of_some() {
    let mut rig = ready_usdm(Keys::Ed25519);
    let (said, result) = rig.text(LINK_USER, 100, fixture("usdm_funding"));
    result.unwrap();
    assert_eq!(
        said.events,
        ["Balance AssetId(2) free 122624.11345678 locked 0"]
    );
    let is_income = |said: &Said| {
        let lines = said.requests.iter().map(|request| request.line.clone());
        lines
            .filter(|line| line.contains("/fapi/v1/income"))
            .collect::<Vec<_>>()
    };
    let ask = |rig: &mut UsdmRig, ms| {
        let mut out = Said::default();
        rig.venue.on_deadline(&rig.registry, at_ms(ms), &mut out);
        is_income(&out)
    };
    assert!(ask(&mut rig, 5_099).is_empty(), "not listed yet");
    let asked = ask(&mut rig, 5_100);
    assert_eq!(asked.len(), 1);
    assert!(
        asked[0].contains("incomeType=FUNDING_FEE&startTime="),
        "{asked:?}"
    );
    let (said, result) = rig.response(
        6_000,
        Ask::Income.tag(),
        200,
        fixture("usdm_funding_income"),
    );
    result.unwrap();
    assert_eq!(
        said.events,
        [
            "Funding 0 -0.01040000 AssetId(2) id 8886774 at 1760000400000000000",
            "Ignored an instrument we do not follow",
            "Ignored an income that is no funding",
        ]
    );
    // The next question begins an hour before the newest known.
    rig.text(LINK_USER, 7_000, fixture("usdm_funding"))
        .1
        .unwrap();
    let asked = ask(&mut rig, 12_100);
    assert!(asked[0].contains("startTime=1759996800000&"), "{asked:?}");
    // Its answer is lost: again.
    assert!(rig.response(12_200, Ask::Income.tag(), 0, "").1.is_err());
    assert_eq!(ask(&mut rig, 30_000).len(), 1);
}

/// The next trades asked for begin behind the newest that a whole run has seen.
#[test]
fn a_second_reconciliation_reads_on() {
    let mut rig = ready_usdm(Keys::Ed25519);
    for expected in [
        "symbol=BTCUSDT&limit",
        "symbol=BTCUSDT&fromId=109100867&limit",
    ] {
        let mut out = Said::default();
        rig.venue.reconcile(&rig.registry, at_ms(1), &mut out);
        for body in ["[]", fixture("usdm_user_trades"), "[]", "[]"] {
            let request = out.requests.pop().expect("the next step");
            if request.line.contains("userTrades") {
                assert!(request.line.contains(expected), "{}", request.line);
            }
            out = rig.response(2, request.tag, 200, body).0;
        }
        assert_eq!(out.events, ["Reconciled"]);
    }
}

/// Diffs into a keeper.
struct Books(Keeper<BinanceSync>, dp_types::Instrument);

impl Sink for Books {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Book(message) = event {
            self.0.on_msg(message, &self.1, UnixNanos(1));
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

#[test]
fn a_book_is_spliced_by_pu() {
    let mut rig = ready_usdm(Keys::None);
    let mut books = Books(Keeper::new(BinanceSync), *rig.registry.get(BTC).unwrap());
    let mut snapshot = Said::default();
    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(1), &mut snapshot);
    assert_eq!(
        snapshot.requests[0].line,
        "GET /fapi/v1/depth?symbol=BTCUSDT&limit=1000"
    );
    let delta = |rig: &mut UsdmRig, books: &mut Books, pu: u64, first: u64, last: u64| {
        let text = format!(
            r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1760000000123,"T":1760000000120,"s":"BTCUSDT","U":{first},"u":{last},"pu":{pu},"b":[["65010.10","3.100"]],"a":[]}}}}"#
        );
        let mut bytes = text.into_bytes();
        rig.venue
            .on_text(&rig.registry, LINK_MD, at_ms(2), &mut bytes, books)
            .unwrap();
    };
    delta(&mut rig, &mut books, 9_000_090, 9_000_092, 9_000_100);
    delta(&mut rig, &mut books, 9_000_100, 9_000_103, 9_000_110);
    let mut body = fixture("usdm_depth").as_bytes().to_vec();
    let response = dp_venue_api::RestResponse {
        tag: snapshot.requests[0].tag,
        status: 200,
        retry_after_s: None,
        usage: dp_venue_api::Usage::default(),
        body: &mut body,
    };
    let (venue, registry) = (&mut rig.venue, &mut rig.registry);
    venue
        .on_response(registry, LINK_REST, at_ms(3), response, &mut books)
        .unwrap();
    assert_eq!(books.0.proof().state, State::Synced);
    assert_eq!(books.0.proof().last_id, 9_000_110);
    // Ids may skip, the chain may not.
    delta(&mut rig, &mut books, 9_000_110, 9_000_200, 9_000_210);
    assert_eq!(books.0.proof().last_id, 9_000_210);
    delta(&mut rig, &mut books, 9_000_209, 9_000_211, 9_000_220);
    assert_eq!(books.0.proof().state, State::Waiting);
}

#[test]
fn rules_come_in_one_list_of_everything_and_a_stranger_cannot_trade() {
    let mut rig = rig::of::<Usdm>(&["BTCUSDT", "NOPEUSDT"], Keys::None);
    let tag = asked(&rig.open(LINK_REST, 0), "GET /fapi/v1/exchangeInfo").tag;
    let (said, result) = rig.response(0, tag, 200, fixture("usdm_exchange_info"));
    assert_eq!(said.events, ["InstrumentsReady"]);
    assert_eq!(result, Err(DecodeError::Unlisted(InstrumentId(1)).into()));
    let btc = rig.registry.get(BTC).unwrap();
    assert_eq!(
        (btc.tick, btc.lot, btc.is_live),
        (Price(100), Qty(100_000), true)
    );
    assert_eq!(btc.notional_min.0, 100_000_000_000_000);
    assert_eq!(rig.registry.asset_name(btc.quote), "USDT");
    assert_eq!(btc.payoff, Payoff::Linear);
    assert!(!rig.registry.get(InstrumentId(1)).unwrap().is_live);
    let limited = r#"{"code":-1003,"msg":"Too many requests; IP banned until 1760000009000."}"#;
    let (said, _) = rig.response(0, Ask::Depth(BTC, 0).tag(), 429, limited);
    assert_eq!(
        said.events,
        [format!(
            "{:?}",
            dp_venue_api::Control::RateLimited {
                until_ms: 1_760_000_009_000
            }
        )]
    );
    assert_eq!(RejectReason::RateLimit.name(), "rate_limit");
}

/// Contracts of a fixed sum are of the other market: how they pay is not read there, and the gate refuses what it cannot count.
#[test]
fn contracts_of_a_fixed_sum_pay_nobody_knows_how() {
    let list = fixture("usdm_exchange_info");
    let fixed = list.replace(
        r#""symbol":"BTCUSDT","#,
        r#""symbol":"BTCUSDT","contractSize":100,"#,
    );
    assert_ne!(fixed, list);
    let mut rig = rig::of::<Usdm>(&["BTCUSDT"], Keys::None);
    let tag = asked(&rig.open(LINK_REST, 0), "GET /fapi/v1/exchangeInfo").tag;
    assert_eq!(rig.response(0, tag, 200, &fixed).1, Ok(()));
    let btc = rig.registry.get(BTC).unwrap();
    assert_eq!(btc.payoff, Payoff::Unknown);
    assert_eq!(btc.multiplier.to_string(), "100");
}
