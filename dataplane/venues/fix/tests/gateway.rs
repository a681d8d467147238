//! The gateway machine, message by message.
#![allow(missing_docs)]

mod rig;

use dp_types::{AmendOrder, InstrumentId, OrderKind, Price, Side, Tif};
use dp_venue_api::{EntryError, Fault, Venue as _};
use dp_venue_fix::{LINK_MARKET, LINK_ORDERS};
use rig::{cancel, client, new, order, place, ready};
use tests_venues::rig::{Said, at_ms};

/// The name of order 1.
const ONE: &str = "sl1z141z5";

/// A report of order 1: what happened, how it stands, and more.
fn report(kind: &str, status: &str, more: &str) -> String {
    format!(
        "35=8|37=X7|11={ONE}|17=e1|150={kind}|39={status}|55=EUR/USD|54=1|38=100000|44=1.085|{more}"
    )
}

#[test]
fn it_begins_with_rules_subscriptions_and_a_list() {
    let mut rig = new();
    let names: Vec<_> = rig
        .venue
        .links()
        .iter()
        .map(|link| (link.id, link.name))
        .collect();
    assert_eq!(names, [(LINK_MARKET, "md"), (LINK_ORDERS, "orders")]);
    let said = rig.open(LINK_MARKET, 0);
    assert_eq!(said.events, ["InstrumentsReady", "Subscribed(LinkId(1))"]);
    let asked: Vec<_> = said.sent.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(
        asked[0],
        "35=V|262=1|263=1|264=0|265=1|267=3|269=0|269=1|269=2|146=1|55=EUR/USD|"
    );
    assert_eq!(asked.len(), 2);
    let known = rig.registry.get(InstrumentId(0)).unwrap();
    assert_eq!(
        (known.price_decimals, known.tick, known.is_live),
        (7, Price(100), true)
    );
    assert_eq!(rig.registry.asset_name(known.quote), "USD");
    let said = rig.open(LINK_ORDERS, 0);
    assert_eq!(said.events, ["LoggedIn(LinkId(2))"], "rules are told once");
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(1), &mut said);
    assert_eq!(said.events, ["ReconcileStarted"]);
    assert_eq!(said.sent[0].1, "35=AF|584=3|585=7|");
    let empty = "35=8|584=3|911=0|912=Y|150=I|39=8|58=no orders|";
    let (said, read) = rig.fix(LINK_ORDERS, 2, empty);
    assert_eq!(
        (said.events.last().unwrap().as_str(), read),
        ("Reconciled", Ok(()))
    );
}

#[test]
fn the_end_of_the_list_ends_the_comparison_and_what_it_named_can_be_cancelled() {
    let mut rig = ready();
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(1), &mut said);
    let first = report("I", "0", "40=2|59=1|14=0|584=3|911=2|912=N|");
    let (said, _) = rig.fix(LINK_ORDERS, 2, &first);
    assert_eq!(said.events, ["Order 1 ACK None px 1.085 qty 100000 cum 0"]);
    let stranger =
        "35=8|37=9|11=theirs|17=e|150=I|39=1|55=USD/JPY|54=2|38=5000|14=1000|584=3|911=2|912=Y|";
    let (said, _) = rig.fix(LINK_ORDERS, 3, stranger);
    assert_eq!(
        said.events,
        [
            "Order - PARTIALLY_FILLED None px - qty 5000 cum 1000",
            "Reconciled"
        ]
    );
    let mut said = Said::default();
    rig.venue
        .cancel_order(&rig.registry, &cancel(1), at_ms(4), &mut said)
        .unwrap();
    let text = &said.sent[0].1;
    assert!(
        text.contains(&format!("|41={ONE}|")) && text.contains("|54=1|38=100000|"),
        "{text}"
    );
}

#[test]
fn a_list_that_does_not_end_is_asked_for_again() {
    let mut rig = ready();
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(0), &mut said);
    let due = rig.venue.next_deadline().unwrap();
    assert_eq!(due, at_ms(10_000).unix);
    let said = rig.deadline(10_000);
    assert_eq!(said.events, ["ReconcileStarted"]);
    assert_eq!(said.sent[0].1, "35=AF|584=4|585=7|");
    // The end of the one before is none.
    let late = "35=8|584=3|911=0|912=Y|150=I|39=8|";
    let (said, _) = rig.fix(LINK_ORDERS, 10_001, late);
    assert!(
        !said.events.contains(&"Reconciled".to_owned()),
        "{:?}",
        said.events
    );
}

#[test]
fn orders_of_each_kind() {
    let mut rig = ready();
    let plain = place(&mut rig, 0, &order(1));
    assert_eq!(
        plain,
        format!(
            "35=D|11={ONE}|55=EUR/USD|54=1|40=2|59=1|44=1.085|38=100000|60=20251009-08:53:20.000|"
        )
    );
    let of = |kind, tif, side| {
        let mut rig = ready();
        let order = dp_types::NewOrder {
            kind,
            tif,
            side,
            ..order(2)
        };
        place(&mut rig, 0, &order)
    };
    assert!(of(OrderKind::PostOnly, Tif::Ioc, Side::Sell).contains("|54=2|40=2|59=1|18=6|"));
    assert!(of(OrderKind::Limit, Tif::Fok, Side::Buy).contains("|54=1|40=2|59=4|44="));
    let market = of(OrderKind::Market, Tif::Gtc, Side::Buy);
    assert!(
        market.contains("|40=1|59=3|38=") && !market.contains("|44="),
        "{market}"
    );
}

#[test]
fn the_life_of_an_order() {
    let mut rig = ready();
    place(&mut rig, 0, &order(1));
    let mut told = |text: String| {
        let (said, read) = rig.fix(LINK_ORDERS, 1, &text);
        assert_eq!(read, Ok(()), "{text}");
        said.events
    };
    assert_eq!(
        told(report("A", "A", "")),
        ["Ignored an order accepted and not live yet"]
    );
    assert_eq!(
        told(report("0", "0", "14=0|")),
        ["Order 1 ACK None px 1.085 qty 100000 cum 0"]
    );
    let fill = "31=1.0849|32=40000|14=40000|12=2.5|851=2|60=20251009-08:53:21.000|";
    assert_eq!(
        told(report("F", "1", fill)),
        [
            "Fill 1 trade 0 buy 40000 @ 1.0849 fee 2.5 AssetId(1) taker"
                .replace("trade 0", &format!("trade {}", trade_of("e1"))),
            "Order 1 PARTIALLY_FILLED None px 1.085 qty 100000 cum 40000".to_owned(),
        ]
    );
    assert_eq!(
        told(report("4", "4", "14=40000|")),
        ["Order 1 CANCELLED None px 1.085 qty 100000 cum 40000"]
    );
    assert_eq!(
        told(report("3", "3", "14=100000|")),
        ["Order 1 FILLED None px 1.085 qty 100000 cum 100000"],
        "done with nothing left"
    );
}

/// What is sent a second time after a lost link is old news but for fills and ends: the order may be gone since.
#[test]
fn a_report_sent_again_tells_fills_and_ends_and_no_standing() {
    let mut rig = ready();
    place(&mut rig, 0, &order(1));
    let mut told = |text: String| rig.fix(LINK_ORDERS, 1, &text).0.events;
    let before = "Ignored an order as it stood before a link was lost";
    assert_eq!(told(report("0", "0", "43=Y|14=0|")), [before]);
    let fill = "43=Y|31=1.0849|32=40000|14=40000|12=2.5|851=2|60=20251009-08:53:21.000|";
    let events = told(report("F", "1", fill));
    assert!(events[0].starts_with("Fill 1 "), "{events:?}");
    assert_eq!(events[1..], [before]);
    assert_eq!(
        told(report("4", "4", "43=Y|14=40000|")),
        ["Order 1 CANCELLED None px 1.085 qty 100000 cum 40000"]
    );
}

/// An ExecID that is no number, as the machine packs it: FNV-1a of 128 bits with the topmost set.
fn trade_of(text: &str) -> u128 {
    let mix =
        |hash: u128, byte: u8| (hash ^ u128::from(byte)).wrapping_mul((1 << 88) + (1 << 8) + 0x3b);
    text.bytes()
        .fold(144_066_263_297_769_815_596_495_629_667_062_367_629, mix)
        | 1 << 127
}

#[test]
fn refusals_have_reasons() {
    let mut rig = ready();
    place(&mut rig, 0, &order(1));
    let (said, read) = rig.fix(LINK_ORDERS, 1, &report("8", "8", "103=6|58=Duplicate|"));
    assert_eq!(read, Ok(()));
    assert!(said.events[0].contains("DuplicateId"), "{:?}", said.events);
    assert!(
        said.events[1].starts_with("Order 1 UNKNOWN"),
        "an order of that id lives there"
    );
    let (said, _) = rig.fix(LINK_ORDERS, 1, &report("8", "8", "103=3|"));
    assert!(
        said.events[1].starts_with("Order 1 REJECTED InsufficientFunds"),
        "{:?}",
        said.events
    );
    let (said, _) = rig.fix(
        LINK_ORDERS,
        1,
        &format!("35=9|11={ONE}-1a|41={ONE}|39=2|434=1|102=0|58=too late|"),
    );
    assert_eq!(said.events.len(), 1);
    assert!(
        said.events[0].contains("UnknownOrder"),
        "asked about: {:?}",
        said.events
    );
    // The application is not there: whether it saw the order is open.
    let (said, _) = rig.fix(LINK_ORDERS, 1, &format!("35=j|372=D|379={ONE}|380=4|"));
    assert!(
        said.events[1].starts_with("Order 1 UNKNOWN"),
        "{:?}",
        said.events
    );
    // Of what number 7 was, nothing is remembered.
    let (said, read) = rig.fix(LINK_ORDERS, 1, "35=3|45=7|372=D|373=5|58=wrong|");
    assert!(said.events.is_empty() && matches!(read, Err(Fault::Venue { code: 5, .. })));
    let (_, read) = rig.fix(LINK_ORDERS, 1, "35=?|58=x|");
    assert!(matches!(read, Err(Fault::Decode(_))));
}

/// A refusal that tells a number and no name is the order's that the session sent under it.
#[test]
fn refusals_by_number_have_an_order() {
    let mut rig = ready();
    place(&mut rig, 0, &order(1));
    let mut told = |text: &str, sent: &str| {
        let sent = sent.replace('|', "\u{1}");
        let (said, read) = rig.fix_refusing(LINK_ORDERS, 1, text, sent.as_bytes());
        (said.events, read.is_ok())
    };
    let new = format!("35=D|11={ONE}|55=EUR/US");
    for (refusal, reason) in [
        (
            "35=3|45=7|372=D|373=1|371=54|58=no side|",
            "REJECTED Invalid",
        ),
        ("35=3|45=7|373=10|", "REJECTED Timestamp"),
        ("35=3|45=7|373=9|", "REJECTED Auth"),
        ("35=3|45=7|373=99|", "UNKNOWN UnknownOutcome"),
        ("35=3|45=7|", "REJECTED Invalid"),
        ("35=j|45=7|380=6|", "REJECTED Permission"),
        ("35=j|45=7|380=8|", "REJECTED RateLimit"),
        ("35=j|45=7|380=77|", "UNKNOWN UnknownOutcome"),
    ] {
        let (events, is_read) = told(refusal, &new);
        assert!(is_read && events.len() == 2, "{refusal}: {events:?}");
        let expected = format!("Order 1 {reason} ");
        assert!(events[1].starts_with(&expected), "{refusal}: {events:?}");
    }
    // Of a cancel or an amend the order goes on.
    for kind in ["F", "G"] {
        let sent = format!("35={kind}|11={ONE}-1a|41={ONE}|");
        let (events, is_read) = told("35=3|45=8|373=5|", &sent);
        assert!(is_read && events.len() == 1, "{events:?}");
        assert!(events[0].contains("Invalid"), "{events:?}");
    }
    // What was sent is none of an order: a question about all.
    let (events, is_read) = told("35=3|45=9|373=5|", "35=AF|584=3|");
    assert!(!is_read && events.is_empty());
}

#[test]
fn orders_that_end_by_themselves() {
    let end = |kind, tif, more: &str| {
        let mut rig = ready();
        place(
            &mut rig,
            0,
            &dp_types::NewOrder {
                kind,
                tif,
                ..order(1)
            },
        );
        let (said, read) = rig.fix(LINK_ORDERS, 1, &report("4", "4", more));
        assert_eq!(read, Ok(()));
        said.events[0].clone()
    };
    let (limit, post_only) = (OrderKind::Limit, OrderKind::PostOnly);
    assert!(end(limit, Tif::Gtc, "14=0|").starts_with("Order 1 CANCELLED None"));
    assert!(end(limit, Tif::Ioc, "14=0|").starts_with("Order 1 EXPIRED None"));
    let crossed = end(post_only, Tif::Gtc, "14=0|58=Post only order|");
    assert!(
        crossed.starts_with("Order 1 REJECTED PostOnlyCross"),
        "{crossed}"
    );
    let in_part = end(post_only, Tif::Gtc, "14=1000|58=Post only order|");
    assert!(in_part.starts_with("Order 1 CANCELLED None"), "{in_part}");
}

#[test]
fn an_amended_order_is_cancelled_by_its_new_name() {
    let mut rig = ready();
    place(&mut rig, 0, &order(1));
    let (_, read) = rig.fix(LINK_ORDERS, 1, &report("0", "0", "14=0|"));
    assert_eq!(read, Ok(()));
    let mut said = Said::default();
    let amend = AmendOrder {
        instrument: InstrumentId(0),
        client_id: client(1),
        order_id: dp_types::OrderId(0),
        price: Some(Price(10_840_000)),
        qty: None,
    };
    rig.venue
        .amend_order(&rig.registry, &amend, at_ms(2), &mut said)
        .unwrap();
    let text = said.sent[0].1.clone();
    let field = |tag: &str| {
        let mut fields = text.split('|');
        fields
            .find_map(|field| field.strip_prefix(tag))
            .unwrap()
            .to_owned()
    };
    let name = field("11=");
    assert!(
        text.starts_with("35=G|") && name.starts_with(&format!("{ONE}-")),
        "{text}"
    );
    assert_eq!(
        (field("41="), field("44="), field("38=")),
        (ONE.into(), "1.084".into(), "100000".into())
    );
    let replaced = format!(
        "35=8|37=X7|11={name}|41={ONE}|17=e2|150=5|39=0|55=EUR/USD|54=1|38=100000|44=1.084|14=0|"
    );
    let (said, _) = rig.fix(LINK_ORDERS, 3, &replaced);
    assert_eq!(said.events[1], "Order 1 ACK None px 1.084 qty 100000 cum 0");
    assert!(
        said.events[0].starts_with("Ack 1 ") && said.events[0].contains("None"),
        "{:?}",
        said.events
    );
    let mut said = Said::default();
    rig.venue
        .cancel_order(&rig.registry, &cancel(1), at_ms(4), &mut said)
        .unwrap();
    assert!(
        said.sent[0].1.contains(&format!("|41={name}|")),
        "{:?}",
        said.sent
    );
    // A report under the new name alone is still of that order.
    let ended = format!("35=8|37=X7|11={name}|17=e3|150=4|39=4|55=EUR/USD|54=1|14=0|");
    let (said, _) = rig.fix(LINK_ORDERS, 5, &ended);
    assert!(
        said.events[0].starts_with("Order 1 CANCELLED"),
        "{:?}",
        said.events
    );
}

#[test]
fn no_such_order_proves_nothing_while_it_may_be_on_its_way() {
    let mut rig = ready();
    place(&mut rig, 0, &order(1));
    let mut said = Said::default();
    rig.venue
        .query_order(&rig.registry, &cancel(1), at_ms(10), &mut said)
        .unwrap();
    assert_eq!(said.sent[0].1, format!("35=H|11={ONE}|55=EUR/USD|54=1|"));
    let absent = format!("35=8|37=0|11={ONE}|17=e|150=I|39=8|55=EUR/USD|54=1|103=5|58=unknown|");
    let (said, _) = rig.fix(LINK_ORDERS, 20, &absent);
    assert_eq!(
        said.events,
        ["Ignored no such order yet: its request may still arrive"]
    );
    let (said, _) = rig.fix(LINK_ORDERS, 10_001, &absent);
    assert!(
        said.events[0].starts_with("Order 1 REJECTED UnknownOrder"),
        "{:?}",
        said.events
    );
    // Logged on anew, nothing of the connection before is on its way.
    place(&mut rig, 20_000, &order(2));
    rig.close(LINK_ORDERS, 20_001);
    let refused = rig.venue.new_order(
        &rig.registry,
        &order(3),
        at_ms(20_002),
        &mut Said::default(),
    );
    assert_eq!(refused, Err(EntryError::NotReady));
    rig.open(LINK_ORDERS, 20_003);
    let two = "35=8|37=0|11=sl1z141z6|17=e|150=I|39=8|55=EUR/USD|54=1|";
    let (said, _) = rig.fix(LINK_ORDERS, 20_004, two);
    assert!(
        said.events[0].starts_with("Order 2 REJECTED UnknownOrder"),
        "{:?}",
        said.events
    );
}

#[test]
fn books_and_trades() {
    let mut rig = ready();
    let mut told = |text: &str| rig.fix(LINK_MARKET, 1, text);
    let whole = "35=W|262=1|55=EUR/USD|268=3|269=0|270=1.085|271=1000000|269=0|270=1.0849|271=2000000|269=1|270=1.0851|271=500000|";
    assert_eq!(
        told(whole).0.events,
        ["Book Snapshot -1..-1 prev -1 checksum None 2x1"]
    );
    let changes = "35=X|262=1|268=4|279=2|269=0|55=EUR/USD|270=1.085|279=0|269=1|55=EUR/USD|270=1.086|271=1000|\
                   279=1|269=0|55=USD/JPY|270=150.1|271=3000|279=0|269=2|270=150.2|271=1000|1003=8|2446=1|";
    assert_eq!(
        told(changes).0.events,
        [
            "Book Delta -1..-1 prev -1 checksum None 1x1",
            "Trade 8 buy 1000 @ 150.2",
            "Book Delta -1..-1 prev -1 checksum None 1x0",
        ]
    );
    let stranger = "35=X|268=1|279=0|269=0|55=GBP/USD|270=1.3|271=1|";
    assert_eq!(
        told(stranger).0.events,
        ["Ignored of an instrument we do not follow"]
    );
    for broken in [
        "35=X|268=1|279=0|269=0|270=1.3|271=1|",
        "35=X|268=1|279=0|269=0|55=EUR/USD|270=x|271=1|",
        "35=W|55=EUR/USD|268=1|269=0|270=1.3|",
        "35=W|55=EUR/USD|",
    ] {
        let (said, read) = told(broken);
        assert!(matches!(read, Err(Fault::Decode(_))), "{broken}");
        assert_eq!(said.reconnects.len(), 1, "a book may be wrong: {broken}");
    }
    let (_, read) = told("35=Y|262=1|281=0|");
    assert!(matches!(read, Err(Fault::Venue { .. })));
}

#[test]
fn requests_leave_room_for_cancels() {
    let mut rig = ready();
    let sent = (1..=200)
        .filter(|sequence| {
            let order = order(*sequence);
            let result = rig
                .venue
                .new_order(&rig.registry, &order, at_ms(0), &mut Said::default());
            result.is_ok()
        })
        .count();
    let cancels = (1..=200)
        .filter(|sequence| {
            let cancel = cancel(*sequence);
            let result =
                rig.venue
                    .cancel_order(&rig.registry, &cancel, at_ms(0), &mut Said::default());
            result.is_ok()
        })
        .count();
    assert_eq!((sent, cancels), (80, 20));
}
