//! FIX messages of a venue's own documentation: what its length and sum say is sound is read, and nothing else.
#![allow(missing_docs)]

use dp_wire::fix::{Frame, Garbled, frame};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use tests_venues::captures;

#[test]
fn a_message_is_read_if_and_only_if_it_adds_up() {
    let Some(dir) = captures::dir("binance") else {
        return;
    };
    let file = std::fs::File::open(dir.join("fix-examples.jsonl")).expect("it opens");
    let (mut read, mut garbled) = (0, 0);
    for line in BufReader::new(file).lines() {
        let line: Value = serde_json::from_str(&line.expect("it reads")).expect("JSON");
        let raw = line["raw"].as_str().expect("a message");
        let (length_ok, sum_ok) = (line["body_length_ok"] == true, line["checksum_ok"] == true);
        match frame(raw.as_bytes()) {
            Frame::Message(message, used) => {
                assert!(length_ok && sum_ok, "{raw}");
                assert_eq!(used, raw.len());
                let number = message.u64(34).expect("a number");
                assert!(number > 0 && message.time_ns(52).is_some(), "{raw}");
                assert!(message.fields().count() >= 5, "{raw}");
                read += 1;
            }
            Frame::Garbled(Garbled::Sum, used) => {
                assert!(length_ok && !sum_ok && used == raw.len(), "{raw}");
                garbled += 1;
            }
            // A wrong length points elsewhere, or beyond what is here.
            Frame::Garbled(..) | Frame::More => {
                assert!(!length_ok, "{raw}");
                garbled += 1;
            }
        }
    }
    println!("{read} messages read, {garbled} that do not add up");
    assert_eq!((read, garbled), (15, 13));
}
