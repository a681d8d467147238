//! Market data over FIX is the book that REST shows.

use super::coinbase::{rig, up};
use super::*;
use std::collections::BTreeMap;

/// A book rebuilt from messages, price and size as told, and how many entries it took.
#[derive(Default)]
struct Book([BTreeMap<String, String>; 2], u64);

impl Book {
    fn apply(&mut self, got: &[Message]) {
        for message in got {
            if message.kind() == "W" {
                *self = Self::default();
            }
            for entry in message.group(268) {
                let Ok(side) = entry.text(269).parse::<usize>() else {
                    continue;
                };
                let Some(levels) = self.0.get_mut(side) else {
                    continue;
                };
                let (price, size) = (entry.text(270).to_owned(), entry.text(271).to_owned());
                let old = match entry.text(279) {
                    "2" => levels.remove(&price),
                    _ => levels.insert(price, size),
                };
                let is_new = matches!(entry.text(279), "" | "0");
                assert_eq!(old.is_none(), is_new, "{entry:?}");
                self.1 += 1;
            }
        }
    }
}

#[test]
fn market_data_is_the_book() {
    let mut rig = rig(500);
    let mut us = up(&mut rig, 1, "");
    let ask = "35=V|262=m1|263=1|264=0|265=1|267=3|269=0|269=1|269=2|146=1|55=BTC-USD";
    let got = us.send(&mut rig, &message(ask));
    let mut book = Book::default();
    book.apply(&got);
    let (mut seq, mut trades) = (2, 0);
    assert_eq!((got[0].kind(), got[0].number(34)), ("W", Some(seq)));
    for _ in 0..50 {
        rig.run(100);
        let got = us.take(&mut rig);
        for one in &got {
            seq += 1;
            assert_eq!(one.number(34), Some(seq), "numbers without a gap");
            let entries = one.group(268);
            trades += entries
                .iter()
                .filter(|entry| entry.text(269) == "2")
                .count();
        }
        book.apply(&got);
        us.send(&mut rig, &message("35=0"));
        let real = rig.get("/products/BTC-USD/book", "level=2");
        for (side, name) in ["bids", "asks"].into_iter().enumerate() {
            let levels = real[name].as_array().unwrap();
            let levels: BTreeMap<String, String> = levels
                .iter()
                .map(|row| {
                    (
                        row[0].as_str().unwrap().into(),
                        row[1].as_str().unwrap().into(),
                    )
                })
                .collect();
            assert_eq!(book.0[side], levels);
        }
    }
    assert!(
        book.1 > 1_000 && trades > 10,
        "{} entries, {trades} trades",
        book.1
    );
    // The best alone, whole each time.
    us.send(&mut rig, &message("35=V|262=m1|263=2"));
    let top = "35=V|262=m2|263=1|264=1|265=0|267=2|269=0|269=1|146=1|55=ETH-USD";
    us.send(&mut rig, &message(top));
    rig.run(2_000);
    let got = us.take(&mut rig);
    assert!(
        got.len() > 3
            && got
                .iter()
                .all(|one| one.kind() == "W" && one.text(268) == "2")
    );
    // What cannot be asked for.
    for (bad, reason) in [
        (top.replace("m2", "m3").replace("ETH", "FOO"), "0"),
        (top.to_owned(), "1"),
        (top.replace("m2", "m3").replace("263=1", "263=9"), "4"),
        (top.replace("m2", "m3").replace("269=1", "269=J"), "8"),
    ] {
        let got = us.send(&mut rig, &message(&bad));
        let got: Vec<_> = got.iter().filter(|one| one.kind() == "Y").collect();
        assert_eq!(got[0].text(281), reason, "{bad}");
    }
}
