//! Orders over FIX before the venue's own machine: which road what takes, and when.
#![allow(missing_docs)]

mod rig;

use dp_types::{
    CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, LinkId, NewOrder, OrderId, OrderKind,
    Price, Qty, Side, Tif,
};
use dp_venue_api::{EntryError, FixConfig, LinkKind, Registry, RestTag, Secrets, Venue as _};
use dp_venue_coinbase::{Coinbase, LINK_ENTRY, LINK_PUBLIC, LINK_REST, LINK_USER};
use dp_venue_fix::FixEntry;
use rig::{SECRET, fixture};
use tests_venues::rig::{Said, at_ms};

/// The session's link: behind the machine's own.
const LINK_FIX: LinkId = LinkId(4);
const ONE: &str = "51de1a4e-0000-4000-8000-000100000001";

type Rig = tests_venues::rig::Rig<FixEntry<Coinbase>>;

fn new() -> Rig {
    let secrets = Secrets {
        api_key: "fakekey".into(),
        api_secret: SECRET.into(),
        passphrase: "fakepass".into(),
        ed25519_pem: String::new().into(),
    };
    let mut registry = Registry::new();
    let mut config = tests_venues::rig::config(&["BTC-USD"], secrets, 500);
    config.fix = Some(FixConfig {
        entry: ("fix.test".into(), 6_121),
        ..FixConfig::default()
    });
    let machine = Coinbase::new(config.clone(), &mut registry).unwrap();
    Rig {
        venue: FixEntry::new(machine, config, &registry),
        registry,
        rest: LINK_REST,
    }
}

/// The machine's own roads are all open, FIX is not.
fn without_fix() -> Rig {
    let mut rig = new();
    let asked = rig.open(LINK_REST, 0).requests;
    let (_, read) = rig.response(0, asked[0].tag, 200, fixture("rest_products"));
    read.unwrap();
    rig.open(LINK_PUBLIC, 0);
    rig.open(LINK_ENTRY, 0);
    rig.open(LINK_USER, 0);
    rig
}

fn hear_stream(rig: &mut Rig, ms: u64) -> Vec<String> {
    let (said, read) = rig.text(LINK_USER, ms, fixture("account_subscriptions"));
    read.unwrap();
    said.events
}

fn client() -> ClientOrderId {
    ClientOrderId::new(Epoch(1), LaneId(0), 1).unwrap()
}

fn place(rig: &mut Rig, ms: u64) -> Result<Said, EntryError> {
    let order = NewOrder {
        instrument: InstrumentId(0),
        client_id: client(),
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(650_000_000),
        qty: Qty(1_000_000),
    };
    let mut said = Said::default();
    rig.venue
        .new_order(&rig.registry, &order, at_ms(ms), &mut said)
        .map(|()| said)
}

fn cancel(rig: &mut Rig, ms: u64) -> Said {
    let cancel = CancelOrder {
        instrument: InstrumentId(0),
        client_id: client(),
        order_id: OrderId(0),
    };
    let mut said = Said::default();
    rig.venue
        .cancel_order(&rig.registry, &cancel, at_ms(ms), &mut said)
        .unwrap();
    said
}

fn logged_in(events: &[String]) -> bool {
    events.iter().any(|event| event.starts_with("LoggedIn"))
}

#[test]
fn the_session_has_a_link_of_its_own() {
    let rig = new();
    let link = rig.venue.links().last().unwrap();
    assert_eq!(
        (link.id, link.kind, &*link.host),
        (LINK_FIX, LinkKind::Fix, "fix.test")
    );
    assert_eq!(rig.venue.entry_link(), LINK_FIX);
    let spec = rig.venue.fix_spec(LINK_FIX).unwrap();
    assert!(spec.resets && !spec.resends);
    assert!(rig.venue.fix_spec(LINK_REST).is_none());
}

#[test]
fn trading_needs_both_the_session_and_the_stream() {
    // Whichever comes last says it.
    let mut rig = without_fix();
    assert!(!logged_in(&hear_stream(&mut rig, 1)), "no session yet");
    assert_eq!(place(&mut rig, 2).unwrap_err(), EntryError::NotReady);
    assert!(logged_in(&rig.open(LINK_FIX, 3).events));
    let mut rig = without_fix();
    assert!(!logged_in(&rig.open(LINK_FIX, 1).events), "no stream yet");
    assert_eq!(place(&mut rig, 2).unwrap_err(), EntryError::NotReady);
    assert!(logged_in(&hear_stream(&mut rig, 3)));
    let said = place(&mut rig, 4).unwrap();
    assert_eq!(
        said.sent,
        [(
            LINK_FIX,
            format!(
                "35=D|11={ONE}|55=BTC-USD|54=1|40=2|59=1|18=A|7928=N|44=65000|38=0.01|60=20251009-08:53:20.004|"
            )
        )]
    );
    assert!(said.requests.is_empty());
    // A session that was lost is logged in anew, and compared by whoever hears it.
    rig.close(LINK_FIX, 5);
    assert_eq!(place(&mut rig, 6).unwrap_err(), EntryError::NotReady);
    assert!(logged_in(&rig.open(LINK_FIX, 7).events));
    rig.close(LINK_USER, 8);
    assert_eq!(place(&mut rig, 9).unwrap_err(), EntryError::NotReady);
}

#[test]
fn a_cancel_takes_the_road_that_is_open() {
    let mut rig = without_fix();
    rig.open(LINK_FIX, 1);
    hear_stream(&mut rig, 1);
    place(&mut rig, 2).unwrap();
    let said = cancel(&mut rig, 3);
    let (link, text) = &said.sent[0];
    assert_eq!(*link, LINK_FIX);
    assert!(
        text.starts_with("35=F|11=51de1a4e-") && text.contains(&format!("|41={ONE}|55=BTC-USD|")),
        "{text}"
    );
    // The session does not know it: the next one goes over REST.
    let (said, read) = rig.fix(LINK_FIX, 4, &format!("35=9|11=51de1a4e-00ff-4000-8000-000100000001|41={ONE}|39=8|434=1|102=1|58=order not found|"));
    assert_eq!(read, Ok(()));
    assert!(
        said.events[0].starts_with("Ack 1 ") && said.events[0].contains("UnknownOrder"),
        "{:?}",
        said.events
    );
    let said = cancel(&mut rig, 5);
    assert!(said.sent.is_empty());
    assert_eq!(
        said.requests[0].line,
        format!("DELETE /orders/client:{ONE}?product_id=BTC-USD")
    );
    let mut rig = without_fix();
    rig.open(LINK_FIX, 1);
    hear_stream(&mut rig, 1);
    place(&mut rig, 2).unwrap();
    rig.close(LINK_FIX, 3);
    assert_eq!(cancel(&mut rig, 4).requests.len(), 1, "the session is down");
}

/// Asks over REST and is told that there is no such order.
fn asked(rig: &mut Rig, ms: u64) -> Vec<String> {
    let order = CancelOrder {
        instrument: InstrumentId(0),
        client_id: client(),
        order_id: OrderId(0),
    };
    let mut said = Said::default();
    rig.venue
        .query_order(&rig.registry, &order, at_ms(ms), &mut said)
        .unwrap();
    let tag: RestTag = said.requests[0].tag;
    let (said, read) = rig.response(ms, tag, 404, r#"{"message":"NotFound"}"#);
    read.unwrap();
    said.events
}

#[test]
fn no_such_order_is_believed_once_nothing_is_on_its_way() {
    let ready = || {
        let mut rig = without_fix();
        rig.open(LINK_FIX, 1);
        hear_stream(&mut rig, 1);
        place(&mut rig, 2).unwrap();
        rig
    };
    let mut rig = ready();
    assert_eq!(
        asked(&mut rig, 100),
        ["Ignored no such order yet: its request may still arrive"]
    );
    assert!(asked(&mut rig, 10_002)[0].starts_with("Order 1 REJECTED UnknownOrder"));
    // Logged on anew: one session of a key at a time, and nothing of the one before is taken.
    let mut rig = ready();
    rig.close(LINK_FIX, 3);
    rig.open(LINK_FIX, 4);
    assert!(asked(&mut rig, 100)[0].starts_with("Order 1 REJECTED UnknownOrder"));
}

#[test]
fn a_report_and_the_streams_word_are_of_one_order() {
    let mut rig = without_fix();
    rig.open(LINK_FIX, 1);
    hear_stream(&mut rig, 1);
    place(&mut rig, 2).unwrap();
    let taken = format!(
        "35=8|37=d50ec984-77a8-460a-b958-66f114b0de9b|11={ONE}|17=E1|150=0|39=0|55=BTC-USD|54=1|38=0.01|44=65000|14=0|"
    );
    let (said, _) = rig.fix(LINK_FIX, 3, &taken);
    assert_eq!(said.events, ["Order 1 ACK None px 65000 qty 0.01 cum 0"]);
    let fill = format!(
        "35=8|37=d50ec984-77a8-460a-b958-66f114b0de9b|11={ONE}|17=E2|150=F|39=2|55=BTC-USD|54=1|38=0.01|44=65000|\
         14=0.01|31=65000|32=0.01|1003=370843402|1057=N|"
    );
    // Without its fee the user channel tells it, under the same id.
    let (said, _) = rig.fix(LINK_FIX, 4, &fill);
    assert_eq!(
        said.events,
        ["Order 1 FILLED None px 65000 qty 0.01 cum 0.01"]
    );
    let (said, _) = rig.fix(LINK_FIX, 4, &format!("{fill}136=1|137=2.6|138=USD|139=4|"));
    assert!(
        said.events[0].starts_with("Fill 1 trade 370843402 buy 0.01 @ 65000 fee 2.6"),
        "{:?}",
        said.events
    );
}
