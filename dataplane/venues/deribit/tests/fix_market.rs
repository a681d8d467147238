//! Market data over FIX: sizes in contracts, and books whose chain is the session's; quantities of orders in units.
#![allow(missing_docs)]

mod rig;

use dp_types::{
    AmendOrder, ClientOrderId, Epoch, InstrumentId, LaneId, LinkId, NewOrder, OrderId, OrderKind,
    RawLevel, Side, Tif,
};
use dp_venue_api::{Event, FixConfig, Registry, RestRequest, Secrets, Sink, Venue as _};
use dp_venue_deribit::{Deribit, LINK_MD, LINK_ORDERS, LINK_REST};
use dp_venue_fix::FixEntry;
use dp_wire::fix::{Frame, frame};
use rig::fixture;
use tests_venues::rig::{Said, at_ms, fix_bytes};

type Rig = tests_venues::rig::Rig<FixEntry<Deribit>>;

fn ready() -> Rig {
    let secrets = Secrets {
        api_key: "AMANDA".into(),
        api_secret: "AMANDASECRECT".into(),
        ..Secrets::default()
    };
    let mut registry = Registry::new();
    let mut config = tests_venues::rig::config(&["BTC-PERPETUAL"], secrets, 500);
    config.fix = Some(FixConfig {
        entry: ("fix.test".into(), 9_883),
        market: Some(("fix.test".into(), 9_883)),
        ..FixConfig::default()
    });
    let machine = Deribit::new(config.clone(), &mut registry).unwrap();
    let mut rig = Rig {
        venue: FixEntry::new(machine, config, &registry),
        registry,
        rest: LINK_REST,
    };
    let asked = rig.open(LINK_REST, 0).requests;
    rig.response(0, asked[0].tag, 200, fixture("rest_instrument_perpetual"))
        .1
        .unwrap();
    rig
}

/// Books and trades in full; what is asked for anew.
#[derive(Default)]
struct Ear {
    told: Vec<String>,
    reconnects: usize,
}

fn levels(levels: &[RawLevel]) -> String {
    let texts = levels
        .iter()
        .map(|level| format!("{}x{}", level.price, level.qty));
    texts.collect::<Vec<_>>().join(" ")
}

impl Sink for Ear {
    fn event(&mut self, event: &Event<'_>) {
        self.told.push(match event {
            Event::Book(book) => format!(
                "{:?} {}..{} after {}: {} / {}",
                book.kind,
                book.first_id,
                book.last_id,
                book.prev_id,
                levels(book.bids),
                levels(book.asks)
            ),
            Event::Trade(trade) => {
                let (id, taker) = (trade.trade_id.0, trade.taker.name());
                format!("{id} {taker} {}x{}", trade.price, trade.qty)
            }
            other => panic!("{other:?}"),
        });
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {
        self.reconnects += 1;
    }
}

#[test]
fn sizes_are_contracts_of_the_size_told_and_the_session_is_the_chain() {
    let mut rig = ready();
    let said = rig.open(LINK_MD, 0);
    assert_eq!(
        said.sent[0].1,
        "35=V|262=1|263=1|264=0|265=1|267=3|269=0|269=1|269=2|146=1|55=BTC-PERPETUAL|"
    );
    let mut told = |text: &str| {
        let bytes = fix_bytes(text);
        let Frame::Message(message, _) = frame(&bytes) else {
            panic!("{text}");
        };
        let mut ear = Ear::default();
        let read = rig
            .venue
            .on_fix(&rig.registry, LINK_MD, at_ms(1), &message, &mut ear);
        (ear.told, read.is_ok(), ear.reconnects)
    };
    // The trades before it are none of now.
    let whole = "35=W|34=7|55=BTC-PERPETUAL|231=10.0|268=3|269=0|270=65000.5|271=12|269=1|270=65001|271=3|\
                 269=2|270=65001|271=1|54=1|100009=4711|";
    let (events, _, _) = told(whole);
    assert_eq!(
        events,
        ["Snapshot 7..7 after -1: 65000.5x120.0 / 65001x30.0"]
    );
    let change = "35=X|34=9|55=BTC-PERPETUAL|231=10.0|268=2|279=1|269=0|270=65000.5|271=1|\
                  279=0|269=2|270=65000.5|271=2|54=2|100009=4712|";
    let (events, _, _) = told(change);
    assert_eq!(
        events,
        [
            "4712 sell 65000.5x20.0",
            "Delta 8..9 after 7: 65000.5x10.0 / "
        ]
    );
    // A message of trades alone is no book.
    let trades =
        "35=W|34=10|55=BTC-PERPETUAL|231=10.0|268=1|269=2|270=65001|271=1|54=1|100009=4711|";
    assert_eq!(told(trades), (vec![], true, 0));
    // Without the size of a contract no size is known.
    let (events, is_read, reconnects) = told(&change.replace("231=10.0|", ""));
    assert_eq!((events.len(), is_read, reconnects), (0, false, 1));
}

#[test]
fn orders_are_in_units_and_reports_in_contracts() {
    let mut rig = ready();
    let link = rig.venue.entry_link();
    rig.open(link, 0);
    rig.open(LINK_ORDERS, 0);
    for name in [
        "entry_heartbeat_ack",
        "entry_login_ack",
        "entry_on_disconnect_ack",
        "entry_subscribed",
    ] {
        rig.text(LINK_ORDERS, 0, fixture(name)).1.unwrap();
    }
    let order = NewOrder {
        instrument: InstrumentId(0),
        client_id: ClientOrderId::new(Epoch(1), LaneId(0), 1).unwrap(),
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: rig.registry.instruments()[0]
            .price(dp_types::Decimal::parse(b"65000").unwrap())
            .unwrap(),
        qty: rig.registry.instruments()[0]
            .qty(dp_types::Decimal::parse(b"120").unwrap())
            .unwrap(),
    };
    let mut said = Said::default();
    rig.venue
        .new_order(&rig.registry, &order, at_ms(1), &mut said)
        .unwrap();
    let text = &said.sent[0].1;
    assert!(
        text.contains("|18=6A|854=0|") && text.contains("|38=120|"),
        "{text}"
    );
    let name = text
        .split('|')
        .find_map(|field| field.strip_prefix("11="))
        .unwrap()
        .to_owned();
    // An amend is named as the order is, twice; without a quantity it goes by the other road, which says one.
    let amend = |qty| AmendOrder {
        instrument: InstrumentId(0),
        client_id: order.client_id,
        order_id: OrderId(0),
        price: Some(order.price),
        qty,
    };
    for (qty, link) in [(Some(order.qty), link), (None, LINK_ORDERS)] {
        let mut said = Said::default();
        rig.venue
            .amend_order(&rig.registry, &amend(qty), at_ms(2), &mut said)
            .unwrap();
        assert_eq!(said.sent[0].0, link);
        let text = &said.sent[0].1;
        let is_fix = text.starts_with(&format!("35=G|11={name}|55=BTC-PERPETUAL|54=1|"));
        assert_eq!(is_fix && text.contains("|854=0|"), qty.is_some(), "{text}");
    }
    let report = |status: &str, more: &str| {
        format!(
            "35=8|37=77|11=77|41={name}|150={status}|39={status}|55=BTC-PERPETUAL|54=1|38=12|44=65000|{more}"
        )
    };
    let mut told = |text: String| {
        let (said, read) = rig.fix(link, 2, &text);
        read.unwrap();
        said.events
    };
    assert_eq!(
        told(report("1", "14=3|231=10|")),
        ["Order 1 PARTIALLY_FILLED None px 65000 qty 120 cum 30"]
    );
    // Where a report does not say what a contract is, it says how the order stands only while nothing is done.
    assert_eq!(
        told(report("0", "14=0|")),
        ["Order 1 ACK None px 65000 qty - cum -"]
    );
    let events = told(report("2", "14=12|"));
    assert!(
        events.len() == 1 && events[0].starts_with("Ignored"),
        "{events:?}"
    );
}
