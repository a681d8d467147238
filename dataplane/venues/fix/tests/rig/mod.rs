//! What the tests share: a gateway with its registry, logged on.
#![allow(dead_code, missing_docs)] // each test file uses a part

use dp_types::{
    CancelOrder, ClientOrderId, Decimal, Epoch, InstrumentId, LaneId, NewOrder, OrderId, OrderKind,
    Price, Qty, Side, Tif,
};
use dp_venue_api::{FixConfig, FixInstrument, Registry, Secrets};
use dp_venue_fix::{Gateway, LINK_MARKET, LINK_ORDERS};
use tests_venues::rig::{Said, at_ms};

pub type Rig = tests_venues::rig::Rig<Gateway>;

pub fn decimal(text: &str) -> Decimal {
    Decimal::parse(text.as_bytes()).unwrap()
}

pub fn new() -> Rig {
    let mut registry = Registry::new();
    let secrets = Secrets {
        api_key: "user".into(),
        passphrase: "pass".into(),
        ..Secrets::default()
    };
    let mut config = tests_venues::rig::config(&["EUR/USD", "USD/JPY"], secrets, 500);
    let instrument = |symbol: &str, tick: &str| {
        let (base, quote) = symbol.split_once('/').unwrap();
        FixInstrument {
            symbol: symbol.into(),
            base: base.into(),
            quote: quote.into(),
            tick: decimal(tick),
            lot: decimal("1000"),
            qty_min: decimal("1000"),
        }
    };
    config.fix = Some(FixConfig {
        entry: ("fix.test".into(), 1),
        market: Some(("fix.test".into(), 2)),
        sender: "US".into(),
        target: "THEM".into(),
        instruments: vec![
            instrument("EUR/USD", "0.00001"),
            instrument("USD/JPY", "0.001"),
        ],
        ..FixConfig::default()
    });
    let venue = Gateway::new(config, &mut registry).unwrap();
    Rig {
        venue,
        registry,
        rest: LINK_ORDERS,
    }
}

/// Both sessions logged on, the list of orders empty.
pub fn ready() -> Rig {
    let mut rig = new();
    rig.open(LINK_MARKET, 0);
    rig.open(LINK_ORDERS, 0);
    rig
}

pub fn client(sequence: u32) -> ClientOrderId {
    ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap()
}

pub fn order(sequence: u32) -> NewOrder {
    NewOrder {
        instrument: InstrumentId(0),
        client_id: client(sequence),
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        price: Price(10_850_000),
        qty: Qty(10_000_000),
    }
}

pub fn cancel(sequence: u32) -> CancelOrder {
    CancelOrder {
        instrument: InstrumentId(0),
        client_id: client(sequence),
        order_id: OrderId(0),
    }
}

/// Sends an order, which must go.
pub fn place(rig: &mut Rig, ms: u64, order: &NewOrder) -> String {
    use dp_venue_api::Venue as _;
    let mut said = Said::default();
    rig.venue
        .new_order(&rig.registry, order, at_ms(ms), &mut said)
        .unwrap();
    said.sent.remove(0).1
}
