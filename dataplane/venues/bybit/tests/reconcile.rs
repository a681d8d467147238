//! The machine compared with the venue: reconciliation and questions about single orders.
#![allow(missing_docs)]

mod rig;

use dp_types::{CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, OrderId, RejectReason};
use dp_venue_api::{Fault, Venue};
use dp_venue_bybit::LINK_REST;
use rig::{Rig, fixture};
use tests_venues::rig::{Said, at_ms};

fn cancel(sequence: u32) -> CancelOrder {
    CancelOrder {
        instrument: InstrumentId(0),
        client_id: ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap(),
        order_id: OrderId(0),
    }
}

#[test]
fn reconciliation_reads_orders_fills_positions_and_balances() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(100), &mut said);
    assert_eq!(said.events, ["ReconcileStarted"]);
    let step = said.requests.pop().unwrap();
    assert_eq!(
        step.line,
        "GET /v5/order/realtime?category=linear&settleCoin=USDT&openOnly=0&limit=50"
    );
    let (said, _) = rig.response(110, step.tag, 200, fixture("rest_orders"));
    assert_eq!(
        said.events,
        [
            "Order 1 PARTIALLY_FILLED None px 65000.00 qty 0.010 cum 0.004",
            "Order - ACK None px 60000.00 qty 0.010 cum 0",
        ]
    );
    let step = &said.requests[0];
    assert_eq!(
        step.line,
        "GET /v5/execution/list?category=linear&limit=100"
    );
    let (said, _) = rig.response(120, step.tag, 200, fixture("rest_executions"));
    assert!(said.events[0].starts_with("Fill 1 trade "));
    let step = &said.requests[0];
    assert_eq!(
        step.line,
        "GET /v5/position/list?category=linear&settleCoin=USDT&limit=200"
    );
    let (said, _) = rig.response(130, step.tag, 200, fixture("rest_positions"));
    assert_eq!(said.events, ["Position 0 0.004 @ 65000"]);
    let step = &said.requests[0];
    assert_eq!(
        step.line,
        "GET /v5/account/wallet-balance?accountType=UNIFIED"
    );
    let (said, _) = rig.response(140, step.tag, 200, fixture("rest_wallet"));
    assert_eq!(
        said.events,
        [
            "Balance AssetId(1) free 9593.3 locked 65.0",
            "Balance AssetId(0) free 0.4 locked 0.1",
            "Reconciled",
        ]
    );
}

/// Pages hold what is not flat: what they leave out was closed, by whomever.
#[test]
fn a_position_the_pages_leave_out_is_flat() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(100), &mut said);
    for ms in [110, 120, 130] {
        let step = said.requests.pop().unwrap();
        said = rig
            .response(ms, step.tag, 200, fixture("rest_empty_list"))
            .0;
    }
    assert_eq!(said.events, ["Position 0 0 @ -"]);
    assert!(said.requests[0].line.contains("/wallet-balance"));
}

#[test]
fn spot_has_no_positions_and_every_settlement_asset_has_its_list() {
    let empty = fixture("rest_empty_list");
    let walk = |rig: &mut Rig| {
        let mut said = Said::default();
        rig.venue.reconcile(&rig.registry, at_ms(0), &mut said);
        let mut lines = Vec::new();
        while let Some(step) = said.requests.pop() {
            let line = step.line.split("/v5/").nth(1).unwrap();
            lines.push(line.split("&limit").next().unwrap().to_owned());
            let body = if line.starts_with("account") {
                fixture("rest_wallet")
            } else {
                empty
            };
            said = rig.response(1, step.tag, 200, body).0;
        }
        assert_eq!(said.events.last().unwrap(), "Reconciled");
        lines
    };
    let wallet = "account/wallet-balance?accountType=UNIFIED";
    assert_eq!(
        walk(&mut rig::trading("BTCUSDT", "rest_rules_spot")),
        [
            "order/realtime?category=spot&openOnly=0",
            "execution/list?category=spot",
            wallet
        ]
    );
    let mut rig = rig::new(&["BTCUSDT.P", "BTCPERP"], true);
    let asked = rig.open(LINK_REST, 0).requests;
    let linear = fixture("rest_rules_linear");
    let usdc = linear
        .replace(r#""BTCUSDT""#, r#""BTCPERP""#)
        .replace("USDT", "USDC");
    for (request, body) in asked.iter().zip([linear, &usdc]) {
        rig.response(0, request.tag, 200, body).1.unwrap();
    }
    assert_eq!(
        walk(&mut rig),
        [
            "order/realtime?category=linear&settleCoin=USDT&openOnly=0",
            "order/realtime?category=linear&settleCoin=USDC&openOnly=0",
            "execution/list?category=linear",
            "position/list?category=linear&settleCoin=USDT",
            "position/list?category=linear&settleCoin=USDC",
            wallet
        ]
    );
}

#[test]
fn a_query_tells_what_became_of_an_order() {
    let mut rig = rig::ready();
    let ask = |rig: &mut Rig| {
        let mut said = Said::default();
        rig.venue
            .query_order(&rig.registry, &cancel(1), at_ms(0), &mut said)
            .unwrap();
        said.requests.pop().unwrap()
    };
    let asked = ask(&mut rig);
    assert_eq!(
        asked.line,
        "GET /v5/order/realtime?category=linear&symbol=BTCUSDT&orderLinkId=sl-1z141z5"
    );
    let (said, result) = rig.response(1, asked.tag, 200, fixture("rest_empty_list"));
    assert_eq!((said.events.len(), result), (0, Ok(())), "not settled yet");
    let past = &said.requests[0];
    assert_eq!(
        past.line,
        "GET /v5/order/history?category=linear&symbol=BTCUSDT&orderLinkId=sl-1z141z5"
    );
    let (gone, result) = rig.response(2, past.tag, 200, fixture("rest_empty_list"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        gone.events,
        ["Order 1 REJECTED UnknownOrder px - qty - cum -"]
    );
    let asked = ask(&mut rig);
    let (found, _) = rig.response(3, asked.tag, 200, fixture("rest_order"));
    assert_eq!(
        found.events,
        ["Order 1 FILLED None px 65000.00 qty 0.010 cum 0.010"]
    );
    let fills = &found.requests[0];
    assert_eq!(
        fills.line,
        concat!(
            "GET /v5/execution/list?category=linear&symbol=BTCUSDT",
            "&orderId=a4c1718e-fe53-4659-a118-1f6ecce04ad9&limit=100"
        )
    );
    let (said, _) = rig.response(4, fills.tag, 200, fixture("rest_executions"));
    assert_eq!((said.events.len(), said.requests.len()), (1, 0));
    let asked = ask(&mut rig);
    let (nothing, result) = rig.response(5, asked.tag, 0, "");
    assert!(nothing.events.is_empty(), "no answer settles nothing");
    let unknown = Fault::Venue {
        code: 0,
        reason: RejectReason::UnknownOutcome,
    };
    assert_eq!(result, Err(unknown));
}
