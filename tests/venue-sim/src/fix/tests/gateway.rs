//! The gateway: agreed sessions, numbers that outlive a connection, what is missed is sent again.

use super::*;
use crate::config::SimConfig;
use crate::fix::Agreed;
use crate::fix::venues::GATEWAY;
use crate::venues::fx::Fx;
use crate::venues::rig::START;

type GatewayRig = FixRig<Fx>;

fn rig_with(change: impl FnOnce(&mut SimConfig)) -> GatewayRig {
    let mut config = SimConfig::default();
    config.flow.ticks_per_s = 0;
    change(&mut config);
    let face = Fx::new(&config, "yofx", '/', START);
    Rig::new(WithFix::agreed(face, &GATEWAY, config.gateway))
}

fn open(rig: &mut GatewayRig, name: &str) -> Us {
    Us::open(rig, "FIX.4.4", name, "YOFX")
}

fn logon(more: &str) -> Message {
    message(&format!("35=A|98=0|108=30|554=spinlane-sim-pass{more}"))
}

fn order(id: &str, price: &str) -> Message {
    message(&format!(
        "35=D|11={id}|55=EUR/USD|54=1|38=1000|40=2|44={price}|59=1"
    ))
}

/// A session that goes on with these numbers.
fn back(rig: &mut GatewayRig, next: u64) -> (Us, Vec<Message>) {
    let mut us = open(rig, "SPINLANE");
    us.next = next;
    let got = us.send(rig, &logon(""));
    (us, got)
}

#[test]
fn only_what_was_agreed_comes_in() {
    let mut rig = rig_with(|_| {});
    for (name, text, why) in [
        ("WHO", logon(""), "unknown session"),
        (
            "SPINLANE",
            message("35=A|98=0|108=30|554=x"),
            "wrong password",
        ),
        (
            "SPINLANE",
            message("35=A|98=0|108=20|554=spinlane-sim-pass"),
            "HeartBtInt must be 30 to 30",
        ),
    ] {
        let mut us = open(&mut rig, name);
        assert_eq!(seen(&us.send(&mut rig, &text), 58), [("5", why)]);
        rig.run(1_000);
    }
    let mut rig = rig_with(|config| {
        config.gateway = Agreed {
            clients: vec!["A".into()],
            gateway: "B".into(),
            password: String::new(),
            heartbeat_s: 5,
            resets: true,
        };
    });
    for _ in 0..2 {
        let mut us = Us::open(&mut rig, "FIX.4.4", "A", "B");
        let got = us.send(&mut rig, &message("35=A|98=0|108=5"));
        assert_eq!(fields(&got[0], [35, 34, 141]), ["A", "1", "Y"]);
        us.send(&mut rig, &order("o1", "1.0"));
        us.cut(&mut rig);
    }
}

#[test]
fn what_was_missed_is_sent_again() {
    let mut rig = rig_with(|_| {});
    let (mut us, got) = back(&mut rig, 1);
    assert_eq!(seen(&got, 34), [("A", "1")]);
    // A report that never arrives, asked for by its number.
    rig.fault("gap:link=fix");
    assert!(us.send(&mut rig, &order("o1", "1.0")).is_empty());
    us.send(&mut rig, &message("35=1|112=x"));
    let got = us.send(&mut rig, &order("o2", "1.0"));
    assert_eq!(
        seen(&got, 34),
        [("8", "4")],
        "2 is missing, 3 was a heartbeat"
    );
    let got = us.send(&mut rig, &message("35=2|7=2|16=0"));
    assert_eq!(seen(&got, 34), [("8", "2"), ("4", "3"), ("8", "4")]);
    assert_eq!(fields(&got[0], [43, 11]), ["Y", "o1"]);
    assert_eq!(fields(&got[1], [43, 123, 36]), ["Y", "Y", "4"]);
    assert!(got[0].get(122).is_some());
    // Only part of it, and what is not there.
    let got = us.send(&mut rig, &message("35=2|7=3|16=3"));
    assert_eq!(fields(&got[0], [35, 34, 36]), ["4", "3", "4"]);
    assert!(us.send(&mut rig, &message("35=2|7=9|16=0")).is_empty());
    assert_eq!(us.send(&mut rig, &message("35=2|7=1"))[0].kind(), "3");
}

#[test]
fn numbers_outlive_the_connection() {
    let mut rig = rig_with(|_| {});
    let (mut us, _) = back(&mut rig, 1);
    us.send(&mut rig, &order("o1", "1.0"));
    us.cut(&mut rig);
    // Told to nobody meanwhile, and numbered all the same.
    let id = rig.face.core().engine.open_orders(1).next().unwrap().id;
    let now = rig.now;
    let cancel = crate::engine::Cause::User;
    rig.face.core().engine.cancel(now, id, cancel).unwrap();
    rig.run(10);
    let (mut us, got) = back(&mut rig, us.next);
    assert_eq!(
        seen(&got, 34),
        [("A", "4")],
        "3 is the report that was missed"
    );
    let got = us.send(&mut rig, &message("35=2|7=3|16=3"));
    assert_eq!(fields(&got[0], [34, 43, 150, 11]), ["3", "Y", "4", "o1"]);
    us.cut(&mut rig);
    // Too low a number is the end, and the store is as it was.
    let (us2, got) = back(&mut rig, 2);
    assert_eq!(
        got[0].text(58),
        "MsgSeqNum too low, expecting 5 but received 2"
    );
    assert!(us2.is_closed(&rig));
    // A flag on either's part begins anew.
    let mut us = open(&mut rig, "SPINLANE");
    let got = us.send(&mut rig, &logon("|141=Y"));
    assert_eq!(fields(&got[0], [34, 141]), ["1", "Y"]);
}

#[test]
fn a_gap_of_theirs_is_asked_for_and_filled() {
    let mut rig = rig_with(|_| {});
    let (mut us, _) = back(&mut rig, 1);
    us.next = 5;
    let got = us.send(&mut rig, &order("o1", "1.0"));
    assert_eq!(fields(&got[0], [35, 7, 16]), ["2", "2", "0"]);
    assert!(
        us.send(&mut rig, &order("o2", "1.0")).is_empty(),
        "asked once"
    );
    // 2 and 3 are filled, 4 comes again, and then what was behind the gap.
    let mut header = us.header(&rig, 2);
    header.push((43, "Y".to_owned()));
    let fill = message("35=4|123=Y|36=4");
    assert!(us.send_as(&mut rig, &fill, &header).is_empty());
    for (seq, id) in [(4, "o0"), (5, "o1"), (6, "o2")] {
        header[2].1 = seq.to_string();
        let got = us.send_as(&mut rig, &order(id, "1.0"), &header);
        assert_eq!(fields(&got[0], [150, 11]), ["0", id]);
    }
    // Once more is a possible duplicate, and nothing.
    header[2].1 = "5".to_owned();
    assert!(
        us.send_as(&mut rig, &order("o1", "1.0"), &header)
            .is_empty()
    );
    // Another number by their word; a lower one is refused.
    us.send(&mut rig, &message("35=4|123=N|36=20"));
    us.next = 20;
    assert_eq!(us.send(&mut rig, &message("35=1|112=x"))[0].kind(), "0");
    let got = us.send(&mut rig, &message("35=4|123=N|36=3"));
    assert_eq!(fields(&got[0], [35, 371, 373]), ["3", "36", "5"]);
}

#[test]
fn quotes_orders_and_all_that_is_open() {
    let mut rig = rig_with(|config| config.flow.ticks_per_s = 200);
    let (mut us, _) = back(&mut rig, 1);
    let got = us.send(&mut rig, &message("35=x|320=s1|559=4"));
    let symbols: Vec<String> = got[0]
        .group(146)
        .iter()
        .map(|one| one.text(55).to_owned())
        .collect();
    assert_eq!(symbols, ["EUR/USD", "GBP/USD", "USD/JPY"]);
    let ask = "35=V|262=q|263=1|264=1|265=1|267=2|269=0|269=1|146=1|55=USD/JPY";
    let got = us.send(&mut rig, &message(ask));
    assert!(
        got[0].group(268)[0].text(270).starts_with("149."),
        "{:?}",
        got[0]
    );
    rig.run(1_000);
    assert!(us.take(&mut rig).iter().any(|one| one.kind() == "X"));
    us.send(&mut rig, &message("35=V|262=q|263=2"));
    let got = us.send(&mut rig, &message("35=AF|584=m|585=7"));
    assert_eq!(fields(&got[0], [150, 911, 912]), ["I", "0", "Y"]);
    for id in ["o1", "o2"] {
        us.send(&mut rig, &order(id, "1.0"));
    }
    let got = us.send(&mut rig, &message("35=AF|584=m|585=7"));
    let rows: Vec<_> = got
        .iter()
        .map(|one| fields(one, [11, 150, 39, 911, 912]))
        .collect();
    assert_eq!(
        rows,
        [["o1", "I", "0", "2", "N"], ["o2", "I", "0", "2", "Y"]]
    );
    let got = us.send(&mut rig, &message("35=q|11=c|530=1|55=EUR/USD"));
    assert_eq!(fields(&got[0], [35, 531, 533]), ["r", "1", "2"]);
    assert_eq!(seen(&got[1..], 150), [("8", "4"), ("8", "4")]);
    let got = us.send(&mut rig, &message("35=q|11=c|530=1|55=FOO"));
    assert_eq!(fields(&got[0], [35, 531]), ["r", "0"]);
}
