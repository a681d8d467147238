//! Increments, their snapshots and their chain; every fault of books.

use super::*;
use std::collections::BTreeMap;

/// A side as a client keeps it: price and amount as printed.
type Side = BTreeMap<String, String>;

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

fn apply(side: &mut Side, levels: Option<&Value>) {
    for level in levels.and_then(Value::as_array).into_iter().flatten() {
        // The parser writes exponents in lower case.
        let [price, amount] = [0, 1].map(|at| level[at].to_string().to_uppercase());
        if number(&amount) == 0.0 {
            side.remove(&price);
        } else {
            side.insert(price, amount);
        }
    }
}

/// The best levels, best first.
fn cut(side: &Side, is_bid: bool, depth: usize) -> Vec<(String, String)> {
    let mut levels: Vec<(String, String)> =
        side.iter().map(|(a, b)| (a.clone(), b.clone())).collect();
    levels.sort_by(|a, b| number(&a.0).total_cmp(&number(&b.0)));
    if is_bid {
        levels.reverse();
    }
    levels.truncate(depth);
    levels
}

/// A client's book of one topic, cut to its window after each message.
struct Book {
    depth: usize,
    sequence: u64,
    sides: [Side; 2],
}

impl Book {
    fn new(depth: usize, snapshot: &Value) -> Self {
        let mut book = Self {
            depth,
            sequence: snapshot["seqNum"].as_u64().unwrap(),
            sides: [Side::new(), Side::new()],
        };
        book.apply(snapshot);
        book
    }

    fn apply(&mut self, tick: &Value) {
        for (at, name) in ["bids", "asks"].into_iter().enumerate() {
            apply(&mut self.sides[at], tick.get(name));
            let kept = cut(&self.sides[at], at == 0, self.depth);
            self.sides[at] = kept.into_iter().collect();
        }
    }

    /// Says whether an increment followed on.
    fn follow(&mut self, tick: &Value) -> bool {
        let (sequence, previous) = (&tick["seqNum"], &tick["prevSeqNum"]);
        if previous.as_u64() != Some(self.sequence) {
            return false;
        }
        self.sequence = sequence.as_u64().unwrap();
        self.apply(tick);
        true
    }
}

fn snapshot(rig: &mut Rig<Huobi>, conn: ConnId, topic: &str) -> Value {
    let name = format!("market.btcusdt.{topic}");
    let text = json!({"req": name, "id": "x1I1"}).to_string();
    rig.send(conn, &text);
    let answer = market(rig, conn).pop().expect("an answer");
    assert_eq!(
        (&answer["id"], &answer["rep"], &answer["status"]),
        (&json!("x1I1"), &json!(name), &json!("ok"))
    );
    answer["data"].clone()
}

/// What the venue has, from its own engine.
fn truth(rig: &mut Rig<Huobi>, depth: usize) -> [Vec<(String, String)>; 2] {
    let engine = &rig.face.core().engine;
    let spec = engine.spec(0);
    [crate::engine::Side::Buy, crate::engine::Side::Sell].map(|side| {
        let levels = engine.book(0).levels(side).take(depth);
        levels
            .map(|(at, level)| {
                (
                    number::bare(at.into(), spec.price_decimals),
                    number::bare(level.total.into(), spec.qty_decimals),
                )
            })
            .collect()
    })
}

/// The chain law and, after it, the whole window; the coarse topics tell both sides, the fine ones what changed.
#[test]
fn increments_lead_from_any_snapshot_to_the_book_as_it_is() {
    for depth in [5, 20, 150] {
        let mut rig = rig_with(|_| ());
        let topic = format!("mbp.{depth}");
        let conn = subscribe(&mut rig, "/feed", &topic);
        for _ in 0..3 {
            run(&mut rig, &[conn], 1_050);
            let mut book = Book::new(depth, &snapshot(&mut rig, conn, &topic));
            let mut increments = run(&mut rig, &[conn], 4_000).remove(0);
            rig.fault("calm:for=1s");
            increments.extend(run(&mut rig, &[conn], 500).remove(0));
            let mut one_sided = 0;
            for message in &increments {
                assert_eq!(message["ch"], format!("market.btcusdt.{topic}"));
                assert!(book.follow(&message["tick"]), "{message}");
                let count = message["tick"].as_object().unwrap().len();
                one_sided += usize::from(count == 3);
                assert!(depth < 150 || count == 4);
            }
            assert!(increments.len() > 20, "{}", increments.len());
            assert!(depth > 20 || one_sided > 5, "{one_sided}");
            let truth = truth(&mut rig, depth);
            assert_eq!(cut(&book.sides[0], true, depth), truth[0]);
            assert_eq!(cut(&book.sides[1], false, depth), truth[1]);
        }
    }
}

/// 150 levels hold the whole book: what falls out of the window is never told as 0.
#[test]
fn a_level_that_falls_out_of_the_window_is_not_deleted() {
    let mut rig = rig_with(|_| ());
    let (few, all) = (
        subscribe(&mut rig, "/feed", "mbp.5"),
        subscribe(&mut rig, "/feed", "mbp.400"),
    );
    let messages = run(&mut rig, &[few, all], 10_000);
    let deleted = |messages: &[Value]| {
        let mut prices = Vec::new();
        for message in messages {
            for name in ["bids", "asks"] {
                let levels = message["tick"].get(name).and_then(Value::as_array);
                let gone = levels.into_iter().flatten();
                let gone = gone.filter(|level| number(&level[1].to_string()) == 0.0);
                prices.extend(gone.map(|level| level[0].to_string()));
            }
        }
        prices
    };
    let (few, all) = (deleted(&messages[0]), deleted(&messages[1]));
    assert!(!few.is_empty());
    assert!(few.len() < all.len(), "{} {}", few.len(), all.len());
}

#[test]
fn each_depth_fault_breaks_the_chain() {
    for (fault, expected) in [
        ("gap", 1),
        ("duplicate", 1),
        ("reorder", 3),
        ("seq-reset", 1),
    ] {
        let mut rig = rig_with(|_| ());
        let conn = subscribe(&mut rig, "/feed", "mbp.20");
        run(&mut rig, &[conn], 1_000);
        let mut last = snapshot(&mut rig, conn, "mbp.20")["seqNum"]
            .as_u64()
            .unwrap();
        rig.fault(fault);
        let (mut breaks, mut falls) = (0, 0);
        for message in run(&mut rig, &[conn], 2_000).remove(0) {
            let tick = &message["tick"];
            breaks += i32::from(tick["prevSeqNum"].as_u64() != Some(last));
            let sequence = tick["seqNum"].as_u64().unwrap();
            falls += i32::from(sequence + 1_000_000 < last);
            last = sequence;
        }
        assert_eq!(breaks, expected, "{fault}");
        assert_eq!(falls, i32::from(fault == "seq-reset"), "{fault}");
        // And the next snapshot fits what follows.
        let mut book = Book::new(20, &snapshot(&mut rig, conn, "mbp.20"));
        let messages = run(&mut rig, &[conn], 1_000).remove(0);
        assert!(messages.iter().all(|message| book.follow(&message["tick"])));
    }
}

#[test]
fn a_snapshot_may_be_older_or_newer_than_the_stream() {
    let mut rig = rig_with(|_| ());
    let conn = subscribe(&mut rig, "/feed", "mbp.20");
    run(&mut rig, &[conn], 3_000);
    let fresh = snapshot(&mut rig, conn, "mbp.20")["seqNum"].as_u64();
    rig.fault("snapshot-old");
    rig.run(110);
    let old = snapshot(&mut rig, conn, "mbp.20")["seqNum"].as_u64();
    assert!(old < fresh, "{old:?} {fresh:?}");

    rig.fault("snapshot-new:ms=500");
    rig.run(110);
    market(&mut rig, conn);
    rig.send(conn, r#"{"req":"market.btcusdt.mbp.20","id":"n"}"#);
    rig.run(490);
    assert_eq!(market(&mut rig, conn), [json!(null); 0], "all is held back");
    rig.run(20);
    let answer = market(&mut rig, conn);
    assert_eq!((answer.len(), &answer[0]["id"]), (1, &json!("n")));
    let mut book = Book::new(20, &answer[0]["data"]);
    rig.run(480);
    assert_eq!(market(&mut rig, conn).len(), 0);
    let later = run(&mut rig, &[conn], 1_000).remove(0);
    let is_told = |message: &Value| message["tick"]["seqNum"].as_u64().unwrap() <= book.sequence;
    let told = later.iter().filter(|message| is_told(message)).count();
    assert!(told > 3, "{told} increments are in the snapshot already");
    let fresh = later.iter().skip(told);
    let followed = fresh
        .filter(|message| book.follow(&message["tick"]))
        .count();
    assert_eq!(followed, later.len() - told);
}

#[test]
fn whole_books_quotes_trades_and_tickers_as_recorded() {
    let mut rig = rig_with(|_| ());
    let names = [
        "mbp.refresh.20",
        "depth.step0",
        "depth.step2",
        "bbo",
        "trade.detail",
        "ticker",
        "detail",
    ];
    let conns = names.map(|name| subscribe(&mut rig, "/ws", name));
    let messages = run(&mut rig, &conns, 8_000);
    let keys = |value: &Value| {
        let keys: Vec<&str> = value
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        keys.join(",")
    };
    let expected = [
        ("seqNum,bids,asks", 40),
        ("bids,asks,version,ts", 6),
        ("bids,asks,version,ts", 6),
        ("seqId,ask,askSize,bid,bidSize,quoteTime,symbol", 40),
        ("id,ts,data", 20),
        (
            "open,high,low,close,amount,vol,count,bid,bidSize,ask,askSize,lastPrice,lastSize",
            20,
        ),
        ("id,low,high,open,close,vol,amount,version,count", 6),
    ];
    for ((name, messages), (fields, least)) in names.iter().zip(&messages).zip(expected) {
        assert!(messages.len() >= least, "{name}: {}", messages.len());
        for message in messages {
            assert_eq!(keys(message), "ch,ts,tick", "{name}");
            assert_eq!(keys(&message["tick"]), fields, "{name}");
        }
    }
    let mut last = 0;
    for message in &messages[3] {
        let (bid, ask) = (&message["tick"]["bid"], &message["tick"]["ask"]);
        assert!(number(&bid.to_string()) < number(&ask.to_string()));
        let id = message["tick"]["seqId"].as_u64().unwrap();
        assert!(std::mem::replace(&mut last, id) <= id);
    }
    let print = &messages[4][0]["tick"]["data"][0];
    assert_eq!(keys(print), "id,ts,tradeId,amount,price,direction");
    assert_eq!(print["id"].to_string().len(), 27);
    let coarse = messages[2][0]["tick"]["bids"][0][0].to_string();
    assert!(coarse.ends_with(".0"), "a hundred ticks: {coarse}");
}

#[test]
fn extra_fields_come_in_public_messages() {
    let mut rig = rig_with(|_| ());
    let conn = subscribe(&mut rig, "/feed", "mbp.20");
    rig.fault("extra-fields:n=2");
    let messages = run(&mut rig, &[conn], 1_000).remove(0);
    let with = messages
        .iter()
        .filter(|message| message.get("zz_new").is_some());
    assert_eq!(with.count(), 2);
}
