//! Books, trades, tickers, and what faults do to them.

use super::*;

/// Numbers, times, lengths and every checksum, as a client sees them; a late subscriber fits in.
#[test]
fn books_of_every_shape_are_what_their_checksums_say() {
    for (prec, len) in [
        ("P0", "25"),
        ("P0", "1"),
        ("P0", "250"),
        ("P1", "25"),
        ("R0", "25"),
        ("R0", "100"),
    ] {
        let mut rig = lively();
        let early = subscribe(&mut rig, ALL_FLAGS, &book(prec, len));
        rig.run(1_030);
        let late = subscribe(&mut rig, ALL_FLAGS, &book(prec, len));
        rig.run(2_000);
        for (conn, channel) in [early, late] {
            let mut mirror = Mirror {
                is_raw: prec == "R0",
                ..Mirror::default()
            };
            let (mut seq, mut sums) = (0, 0);
            for frame in rig.take(conn) {
                let frame = frame.as_array().unwrap();
                assert_eq!(frame[0], channel);
                seq += 1;
                let [.., number, time] = frame.as_slice() else {
                    panic!("{frame:?}")
                };
                assert_eq!(number.as_u64(), Some(seq));
                assert!(time.as_u64() > Some(START / MS - 1));
                if frame[1] == "cs" {
                    sums += 1;
                    assert_eq!(frame[2].as_i64(), Some(mirror.sum()), "{prec} {len}");
                    for is_bid in [true, false] {
                        assert!(mirror.side(is_bid).len() <= len.parse().unwrap());
                    }
                } else {
                    assert_eq!(frame.len(), 4);
                    mirror.apply(&frame[1]);
                }
            }
            assert!(sums > 15, "{sums} checksums of {prec} {len}");
        }
    }
}

#[test]
fn a_rebuilt_book_is_the_one_of_rest() {
    let mut rig = lively();
    let (conn, _) = subscribe(&mut rig, 0, &book("P0", "100"));
    rig.run(3_000);
    rig.fault("calm:for=10s");
    rig.run(200);
    let mut mirror = Mirror::default();
    for frame in rig.take(conn) {
        mirror.apply(&frame[1]);
    }
    let rest = rig.get("/v2/book/tBTCUST/P0", "len=100");
    let mut lines = mirror.side(true);
    lines.extend(mirror.side(false));
    assert_eq!(rest.as_array().unwrap().iter().collect::<Vec<_>>(), lines);
}

/// How often the row of numbers breaks, and how many checksums are wrong.
fn breaks(rig: &mut Rig<Bitfinex>, conn: ConnId) -> (i32, i32) {
    let (mut seq, mut breaks, mut wrong, mut mirror) = (0, 0, 0, Mirror::default());
    for frame in rig.take(conn) {
        let frame = frame.as_array().unwrap();
        let number = frame[frame.len() - 2].as_i64().unwrap();
        breaks += i32::from(number != seq + 1);
        seq = number;
        if frame[1] == "cs" {
            wrong += i32::from(frame[2].as_i64() != Some(mirror.sum()));
        } else {
            mirror.apply(&frame[1]);
        }
    }
    (breaks, wrong)
}

#[test]
fn each_book_fault_breaks_what_it_should() {
    for (fault, expected) in [
        ("gap", 1),
        ("duplicate", 1),
        ("reorder", 3),
        ("seq-reset", 1),
        ("bad-checksum", 0),
    ] {
        let mut rig = lively();
        let (conn, _) = subscribe(&mut rig, ALL_FLAGS, &book("P0", "25"));
        rig.run(1_000);
        rig.fault(fault);
        rig.run(1_000);
        let (holes, wrong) = breaks(&mut rig, conn);
        // A frame that is held may have a checksum between itself and the one before.
        assert!(
            holes == expected || (fault == "reorder" && holes > 1),
            "{fault}: {holes}"
        );
        if fault == "bad-checksum" {
            assert_eq!(wrong, 1);
        } else if fault == "gap" {
            assert!(wrong > 0, "what was dropped is missed");
        }
    }
}

#[test]
fn an_item_more_does_no_harm_to_those_before_it() {
    let mut rig = lively();
    let (conn, _) = subscribe(&mut rig, ALL_FLAGS, &book("P0", "25"));
    rig.take(conn);
    rig.fault("extra-fields:n=2");
    rig.run(500);
    let frames = rig.take(conn);
    let longer = frames
        .iter()
        .filter(|frame| frame[1].as_array().is_some_and(|row| row.len() == 6));
    assert_eq!(longer.count(), 2);
}

#[test]
fn the_rest_book_may_be_old_or_ahead() {
    let mut rig = lively();
    let (conn, _) = subscribe(&mut rig, 0, &book("P0", "25"));
    rig.run(5_000);
    let get = |rig: &mut Rig<Bitfinex>| rig.get("/v2/book/tBTCUST/P0", "len=25");
    let fresh = get(&mut rig);
    rig.fault("snapshot-old");
    let old = get(&mut rig);
    assert!(old != fresh && old.as_array().unwrap().len() == 50);
    assert_eq!(get(&mut rig), fresh, "once");
    rig.run(60);
    rig.take(conn);
    rig.fault("snapshot-new:ms=400");
    get(&mut rig);
    rig.run(390);
    assert_eq!(rig.take(conn), Vec::<Value>::new());
    rig.run(100);
    assert!(!rig.take(conn).is_empty());
}

#[test]
fn trades_come_twice_and_tickers_have_eleven_items() {
    let mut rig = lively();
    let (trades, _) = subscribe(&mut rig, 0, &json!({"channel": "trades"}));
    let (ticker, _) = subscribe(&mut rig, 0, &json!({"channel": "ticker"}));
    rig.run(10_000);
    let frames = rig.take(trades);
    assert!(frames[0][1].is_array());
    let of = |kind: &str| -> Vec<&Value> {
        frames
            .iter()
            .filter(|frame| frame[1] == kind)
            .map(|frame| &frame[2])
            .collect()
    };
    let (executed, confirmed) = (of("te"), of("tu"));
    assert!(executed.len() > 5 && executed.len() - confirmed.len() < 5);
    assert_eq!(executed[..confirmed.len()], confirmed[..]);
    let first = |kind: &str| frames.iter().position(|frame| frame[1] == kind);
    assert!(first("te") < first("tu"));
    let list = rig.get("/v2/trades/tBTCUST/hist", "limit=3");
    assert_eq!(list[0], *executed[executed.len() - 1]);
    let rows = rig.take(ticker);
    assert!(
        rows.len() > 5
            && rows
                .iter()
                .all(|frame| frame[1].as_array().unwrap().len() == 11)
    );
    let rest = rig.get("/v2/tickers", "symbols=tBTCUST,tFOOUSD");
    assert_eq!(
        (rest.as_array().unwrap().len(), &rest[0][0]),
        (1, &json!(BTC))
    );
}
