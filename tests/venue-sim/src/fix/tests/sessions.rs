//! The session itself: heartbeats, numbers, what is missing.

use super::coinbase::{id, logon, open, order, rig, up};
use super::*;

#[test]
fn silence_is_tested_then_cut() {
    let mut rig = rig(0);
    let mut us = up(&mut rig, 1, "");
    rig.run(10_000);
    assert_eq!(seen(&us.take(&mut rig), 112), [("0", "")]);
    rig.run(2_000);
    let got = us.take(&mut rig);
    assert_eq!(got[0].kind(), "1");
    let answer = message(&format!("35=0|112={}", got[0].text(112)));
    assert!(us.send(&mut rig, &answer).is_empty());
    rig.run(12_000);
    assert!(us.take(&mut rig).iter().any(|one| one.kind() == "1"));
    rig.run(10_000);
    let got = us.take(&mut rig);
    assert_eq!(seen(&got, 58).last(), Some(&("5", "no heartbeat")));
    assert!(us.is_closed(&rig));
    // And who never logs on.
    let us = open(&mut rig, 1);
    rig.run(10_000);
    assert!(us.is_closed(&rig));
}

#[test]
fn a_logout_is_answered() {
    let mut rig = rig(0);
    let mut us = up(&mut rig, 1, "");
    let got = us.send(&mut rig, &message("35=5"));
    assert_eq!(seen(&got, 34), [("5", "2")]);
    assert!(us.is_closed(&rig));
}

#[test]
fn numbers_restart_with_each_connection_and_nothing_is_sent_again() {
    let mut rig = rig(0);
    let mut us = up(&mut rig, 1, "");
    us.send(&mut rig, &order(1, 1, "60000", ""));
    us.cut(&mut rig);
    let mut us = up(&mut rig, 1, "");
    let got = us.send(&mut rig, &message("35=2|7=1|16=0"));
    assert_eq!(
        fields(&got[0], [35, 372, 58]),
        ["3", "2", "ResendRequest is not supported"]
    );
    // A number that is too high or too low ends it.
    for (seq, text) in [
        (7, "MsgSeqNum too high, expecting 3 but received 7"),
        (1, "MsgSeqNum too low, expecting 2 but received 1"),
    ] {
        let header = us.header(&rig, seq);
        let got = us.send_as(&mut rig, &message("35=0"), &header);
        assert_eq!(seen(&got, 58), [("5", text)]);
        assert!(us.is_closed(&rig));
        rig.run(1_000);
        us = up(&mut rig, 1, "");
    }
}

#[test]
fn other_names_and_another_clock() {
    let mut rig = rig(0);
    let mut us = up(&mut rig, 1, "");
    let mut header = us.header(&rig, 2);
    header[1].1 = "Kraken".to_owned();
    let got = us.send_as(&mut rig, &message("35=0"), &header);
    assert_eq!(
        seen(&got, 58),
        [("3", "CompID problem"), ("5", "CompID problem")]
    );
    assert_eq!(fields(&got[0], [371, 373]), ["56", "9"]);
    rig.run(1_000);
    let mut us = up(&mut rig, 1, "");
    rig.fault("clock-skew:ms=-31000");
    let got = us.send(&mut rig, &message("35=0"));
    assert_eq!(fields(&got[0], [35, 371, 373]), ["3", "52", "10"]);
    assert!(us.is_closed(&rig));
    // Who keeps the venue's time comes in.
    rig.run(1_000);
    let mut us = open(&mut rig, 1);
    let now = rig.now;
    rig.now -= 31_000 * MS;
    let (logon, header) = (logon(&rig, &us, 1, ""), us.header(&rig, 1));
    rig.now = now;
    let got = us.send_as(&mut rig, &logon, &header);
    assert_eq!(got[0].kind(), "A");
    assert_eq!(got[0].text(52), time::text((rig.now / MS) as i64 - 31_000));
}

#[test]
fn faults_of_numbers() {
    let mut rig = rig(0);
    let mut us = up(&mut rig, 1, "");
    // What is meant for books passes by a session of orders.
    rig.fault("gap,gap:link=fix");
    assert!(us.send(&mut rig, &order(1, 1, "60000", "")).is_empty());
    let got = us.send(&mut rig, &order(2, 1, "60000", ""));
    assert_eq!(got[0].number(34), Some(3), "2 was skipped");
    rig.fault("duplicate:link=fix");
    let got = us.send(&mut rig, &order(3, 1, "60000", ""));
    assert_eq!(seen(&got, 34), [("8", "4"), ("8", "4")]);
    assert_eq!(fields(&got[1], [43, 11]), ["Y", &id(3)]);
    assert!(got[1].get(122).is_some() && got[0].get(43).is_none());
    rig.fault("seq-reset:link=fix:code=50");
    let got = us.take(&mut rig);
    assert_eq!(fields(&got[0], [35, 123, 36]), ["4", "N", "50"]);
    let got = us.send(&mut rig, &order(4, 1, "60000", ""));
    assert_eq!(got[0].number(34), Some(50));
    rig.fault("seq-reset:link=fix");
    let got = us.send(&mut rig, &order(5, 1, "60000", ""));
    assert_eq!(got[0].number(34), Some(1), "they fell");
    rig.fault("silence:link=fix:for=1s");
    assert!(us.send(&mut rig, &order(6, 1, "60000", "")).is_empty());
    rig.run(1_000);
    let got = us.send(&mut rig, &order(7, 1, "60000", ""));
    assert_eq!(
        got[0].number(34),
        Some(3),
        "what was not heard had its number"
    );
    rig.fault("restart:link=fix:for=2s");
    rig.run(2_000);
    assert_eq!(seen(&us.take(&mut rig), 58), [("5", "the venue restarts")]);
    let us = up(&mut rig, 1, "");
    rig.fault("disconnect:link=private");
    assert!(us.is_closed(&rig));
    assert!(!rig.face.door.has(us.conn));
}

proptest::proptest! {
    /// Nothing a client sends ends the simulator.
    #[test]
    fn hostile_messages_are_answered(
        kind in "[A-Z0-9]{1,2}",
        fields in proptest::collection::vec((1u32..2_500, ".{0,12}"), 0..20),
        seq in 0u64..5,
    ) {
        let mut rig = rig(0);
        let mut us = up(&mut rig, 1, "");
        us.send(&mut rig, &order(1, 1, "60000", ""));
        for kind in [kind.as_str(), "D", "F", "G", "H", "U6", "U4", "V", "2", "4", "A"] {
            let mut bad = Message::new(kind);
            for (tag, value) in &fields {
                bad.put(*tag, value);
            }
            if us.is_closed(&rig) {
                rig.run(1_000);
                us = up(&mut rig, 1, "");
            }
            us.send(&mut rig, &bad);
            let header = us.header(&rig, seq);
            us.send_as(&mut rig, &bad, &header);
        }
        rig.run(1_000);
        if !us.is_closed(&rig) {
            us.cut(&mut rig);
        }
        let mut us = up(&mut rig, 1, "");
        let got = us.send(&mut rig, &message("35=1|112=x"));
        proptest::prop_assert_eq!(got[0].text(112), "x");
    }
}
