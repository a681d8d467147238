//! Single orders: tokens, what subscriptions cost, checksums, faults.

use super::*;

/// Queues as a client keeps them: `(order id, price, quantity)` as printed.
#[derive(Default)]
struct Queues([Vec<(String, String, String)>; 2]);

fn digits(text: &str) -> u64 {
    text.replace('.', "").parse().expect("digits")
}

impl Queues {
    fn apply(&mut self, message: &Value, depth: usize) {
        if message["type"] == "snapshot" {
            self.0 = Default::default();
        }
        for (at, key) in ["bids", "asks"].into_iter().enumerate() {
            let side = &mut self.0[at];
            for row in message["data"][0][key].as_array().expect("orders") {
                let id = row["order_id"].as_str().expect("an id").to_owned();
                let (price, qty) = (row["limit_price"].to_string(), row["order_qty"].to_string());
                match row["event"].as_str() {
                    Some("delete") => side.retain(|order| order.0 != id),
                    Some("modify") => {
                        let order = side.iter_mut().find(|order| order.0 == id);
                        order.expect("one that rests").2 = qty;
                    }
                    _ => side.push((id, price, qty)),
                }
            }
            // Stable: queues keep their order.
            side.sort_by_key(|order| digits(&order.1));
            if at == 0 {
                side.sort_by_key(|order| std::cmp::Reverse(digits(&order.1)));
            }
            let mut prices: Vec<u64> = side.iter().map(|order| digits(&order.1)).collect();
            prices.dedup();
            prices.truncate(depth);
            side.retain(|order| prices.contains(&digits(&order.1)));
        }
    }

    fn checksum(&self) -> u32 {
        let [bids, asks] = &self.0;
        let mut text = String::new();
        for side in [asks, bids] {
            let queues = side.chunk_by(|one, other| one.1 == other.1);
            for (_, price, qty) in queues.take(10).flatten() {
                text.push_str(&format!("{}{}", digits(price), digits(qty)));
            }
        }
        crc32fast::hash(text.as_bytes())
    }

    fn is_right(&self, message: &Value) -> bool {
        message["data"][0]["checksum"].as_u64() == Some(self.checksum().into())
    }
}

fn ask(rig: &mut Rig<Kraken>, conn: ConnId, rest: &str) -> Value {
    let text = format!(
        r#"{{"method":"subscribe","params":{{"channel":"level3","symbol":["BTC/USDT"]{rest}}},"req_id":5}}"#
    );
    send(rig, conn, &text).remove(0)
}

/// A connection with the snapshot it began with.
fn subscribed(rig: &mut Rig<Kraken>, depth: usize) -> (ConnId, Value) {
    let token = token(rig);
    let conn = rig.open("/v2", "");
    rig.take(conn);
    let text = format!(
        r#"{{"method":"subscribe","params":{{"channel":"level3","symbol":["BTC/USDT"],"depth":{depth},"token":"{token}"}},"req_id":5}}"#
    );
    let mut got = send(rig, conn, &text);
    assert_eq!(got[0]["success"], true, "{}", got[0]);
    assert_eq!(got[1]["type"], "snapshot");
    (conn, got.remove(1))
}

#[test]
fn they_want_a_token_and_cost() {
    let mut rig = quiet();
    let conn = rig.open("/v2", "");
    rig.take(conn);
    let told = ask(&mut rig, conn, "");
    assert_eq!(
        (&told["success"], &told["error"]),
        (&json!(false), &json!("Token(s) not found"))
    );
    let token = format!(r#","token":"{}""#, token(&mut rig));
    let told = ask(&mut rig, conn, &format!(r#","depth":25{token}"#));
    assert_eq!(told["error"], "Subscription depth not supported");
    // Two of the deepest fit into a second, taken or not.
    for (depth, success) in [(1_000, true), (1_000, false), (10, false)] {
        let told = ask(&mut rig, conn, &format!(r#","depth":{depth}{token}"#));
        assert_eq!(told["success"], success, "{told}");
    }
    let told = ask(&mut rig, conn, &format!(r#","depth":10{token}"#));
    assert_eq!(told["error"], "Exceeded msg rate");
    rig.run(1_000);
    let told = ask(&mut rig, conn, &format!(r#","depth":10{token}"#));
    assert_eq!(told["error"], "Already subscribed", "one depth a symbol");
}

#[test]
fn every_checksum_of_every_depth_is_right_and_faults_show_in_it() {
    for (fault, is_broken) in [
        ("", false),
        ("gap:on=orders", true),
        ("bad-checksum:on=orders", true),
        ("gap:on=levels", false),
    ] {
        let mut rig = rig_with(|_| ());
        let shallow = subscribed(&mut rig, 10);
        let deep = subscribed(&mut rig, 100);
        rig.run(500);
        if !fault.is_empty() {
            rig.fault(fault);
        }
        rig.run(3_000);
        for ((conn, snapshot), depth) in [(shallow, 10), (deep, 100)] {
            let (mut queues, mut wrong) = (Queues::default(), 0);
            let mut all = vec![snapshot];
            all.append(&mut rig.take(conn));
            all.retain(|message| message["channel"] == "level3");
            assert!(all.len() > 50, "{}", all.len());
            for message in &all {
                queues.apply(message, depth);
                wrong += usize::from(!queues.is_right(message));
            }
            // A fault strikes the first view there is.
            let is_struck = depth == 10;
            assert_eq!(
                wrong > 0,
                is_broken && is_struck,
                "{fault} {depth}: {wrong}"
            );
        }
    }
}
