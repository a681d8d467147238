//! Coinbase: logon, orders' life on both doors, batches, what a cut cancels, limits, faults.

use super::*;
use crate::config::SimConfig;
use crate::core::Request;
use crate::fix::venues::COINBASE;
use crate::keys::Credential;
use crate::venues::coinbase::Coinbase;
use crate::venues::rig::START;
use ring::hmac;

pub type CoinbaseRig = FixRig<Coinbase>;

pub fn rig(ticks_per_s: u32) -> CoinbaseRig {
    let mut config = SimConfig {
        symbols: vec!["BTC-USD".parse().unwrap(), "ETH-USD".parse().unwrap()],
        keys: 2,
        ..SimConfig::default()
    };
    config.flow.ticks_per_s = ticks_per_s;
    Rig::new(WithFix::new(Coinbase::new(&config, START), &COINBASE))
}

/// A signed logon and the header it is signed with.
pub fn logon(rig: &CoinbaseRig, us: &Us, account: usize, more: &str) -> Message {
    let key = Credential::default_key(account);
    let header = us.header(rig, us.next);
    let sent = &header[3].1;
    let text = [
        sent,
        "A",
        &us.next.to_string(),
        &us.us,
        us.them,
        &key.passphrase,
    ]
    .join("\u{1}");
    let tag = hmac::Key::new(hmac::HMAC_SHA256, key.api_secret.as_bytes());
    let sign = base64(hmac::sign(&tag, text.as_bytes()).as_ref());
    message(&format!(
        "35=A|98=0|108=10|141=Y|553={}|554={}|95={}|96={sign}|1137=9{more}",
        key.api_key,
        key.passphrase,
        sign.len()
    ))
}

pub fn open(rig: &mut CoinbaseRig, account: usize) -> Us {
    let key = Credential::default_key(account).api_key;
    Us::open(rig, "FIXT.1.1", &key, "Coinbase")
}

pub fn up(rig: &mut CoinbaseRig, account: usize, more: &str) -> Us {
    let mut us = open(rig, account);
    let logon = logon(rig, &us, account, more);
    let got = us.send(rig, &logon);
    assert_eq!(seen(&got, 34), [("A", "1")], "{got:?}");
    us
}

pub fn id(number: u32) -> String {
    format!("51de1a4e-0000-4000-8000-{number:012x}")
}

/// A limit order of 0.01 BTC.
pub fn order(number: u32, side: u32, price: &str, more: &str) -> Message {
    let id = id(number);
    message(&format!(
        "35=D|11={id}|55=BTC-USD|54={side}|38=0.01|40=2|44={price}|59=1{more}"
    ))
}

fn rest(rig: &mut CoinbaseRig, method: &str, target: &str) -> serde_json::Value {
    let key = Credential::default_key(1);
    let timestamp = (rig.now / 1_000 / MS).to_string();
    let tag = hmac::Key::new(hmac::HMAC_SHA256, key.api_secret.as_bytes());
    let sign = hmac::sign(&tag, format!("{timestamp}{method}{target}").as_bytes());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request {
        method: method.into(),
        path: path.into(),
        query: query.into(),
        headers: vec![
            ("cb-access-key".into(), key.api_key),
            ("cb-access-sign".into(), base64(sign.as_ref())),
            ("cb-access-timestamp".into(), timestamp),
            ("cb-access-passphrase".into(), key.passphrase),
        ],
        body: String::new(),
    };
    serde_json::from_str(&rig.http(&request).expect("an answer").body).expect("JSON")
}

/// A signed subscription to the full feed.
fn feed_of(rig: &mut CoinbaseRig) -> ConnId {
    let key = Credential::default_key(1);
    let timestamp = (rig.now / 1_000 / MS).to_string();
    let tag = hmac::Key::new(hmac::HMAC_SHA256, key.api_secret.as_bytes());
    let sign = hmac::sign(&tag, format!("{timestamp}GET/users/self/verify").as_bytes());
    let text = serde_json::json!({
        "type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["full"], "key": key.api_key,
        "passphrase": key.passphrase, "timestamp": timestamp, "signature": base64(sign.as_ref()),
    });
    let conn = rig.open("/", "");
    assert_eq!(
        rig.send(conn, &text.to_string())[0]["type"],
        "subscriptions"
    );
    conn
}

/// The vector of the venue page, made with another program.
#[test]
fn the_logon_of_the_venue_page_is_right() {
    let secret =
        "b2J2aW91c2x5LWZha2UtY29pbmJhc2UtZXhjaGFuZ2Utc2VjcmV0LTAxMjM0NTY3ODktYWJjZGVmZ2hpamtsbQ==";
    let secret = String::from_utf8(crate::keys::unbase64(secret).unwrap()).unwrap();
    let mut rig = rig(0);
    let key = Credential::new("fakekey".into(), secret, "fakepass".into(), 1);
    rig.face.core().keys = vec![key];
    let logon = message(
        "35=A|34=1|49=fakekey|56=Coinbase|52=20231114-22:13:20.000|141=Y|553=fakekey|554=fakepass\
         |96=OV+UMLTeG9t6api8XB/ocEsui44tgcP4WHB1/WgzXnY=",
    );
    let log_on = COINBASE.log_on;
    assert_eq!(log_on(rig.face.core(), &logon), Ok(Some(1)));
    for (from, to) in [
        ("34=1|", "34=2|"),
        ("fakepass", "fakepast"),
        ("20.000", "20.001"),
    ] {
        let mut text = String::new();
        for tag in [35, 34, 49, 56, 52, 141, 553, 554, 96] {
            text.push_str(&format!("{tag}={}|", logon.text(tag)));
        }
        let other = message(text.replace(from, to).trim_end_matches('|'));
        assert!(log_on(rig.face.core(), &other).is_err(), "{to}");
    }
}

#[test]
fn logons_that_may_not_be() {
    let mut rig = rig(0);
    let cases: [(&str, fn(&mut Message), &str); 5] = [
        (
            "key",
            |m| *m = replaced(m, 553, "nobody"),
            "Invalid API Key",
        ),
        (
            "passphrase",
            |m| *m = replaced(m, 554, "x"),
            "Invalid Passphrase",
        ),
        (
            "signature",
            |m| *m = replaced(m, 96, "AAAA"),
            "invalid signature",
        ),
        (
            "heartbeat",
            |m| *m = replaced(m, 108, "31"),
            "HeartBtInt must be 1 to 30",
        ),
        (
            "reset",
            |m| *m = replaced(m, 141, "N"),
            "ResetSeqNumFlag must be Y",
        ),
    ];
    for (what, change, text) in cases {
        let mut us = open(&mut rig, 1);
        let mut bad = logon(&rig, &us, 1, "");
        change(&mut bad);
        let got = us.send(&mut rig, &bad);
        assert_eq!(seen(&got, 58), [("5", text)], "{what}");
        assert!(us.is_closed(&rig), "{what}");
        rig.run(1_000);
    }
    // Stale: signed half a minute too early.
    let mut us = open(&mut rig, 1);
    let old = logon(&rig, &us, 1, "");
    let header = us.header(&rig, 1);
    rig.run(30_500);
    let mut us = {
        us = open(&mut rig, 1);
        us
    };
    let got = us.send_as(&mut rig, &old, &header);
    assert_eq!(
        seen(&got, 58).last(),
        Some(&("5", "SendingTime accuracy problem"))
    );
    assert!(us.is_closed(&rig));
    // One session a key; another account's is another matter.
    rig.run(1_000);
    let mut first = up(&mut rig, 1, "");
    let mut second = open(&mut rig, 1);
    let again = logon(&rig, &second, 1, "");
    let got = second.send(&mut rig, &again);
    assert_eq!(seen(&got, 58), [("5", "session limit: already logged on")]);
    up(&mut rig, 2, "");
    assert_eq!(
        seen(&first.send(&mut rig, &message("35=1|112=x")), 112),
        [("0", "x")]
    );
}

fn replaced(message: &Message, tag: u32, value: &str) -> Message {
    let mut other = Message::default();
    for known in [35, 98, 108, 141, 553, 554, 95, 96, 1137] {
        other.put(
            known,
            if known == tag {
                value
            } else {
                message.text(known)
            },
        );
    }
    other
}

#[test]
fn an_order_lives_and_both_doors_tell_of_it() {
    let mut rig = rig(0);
    let mut us = up(&mut rig, 1, "");
    let got = us.send(&mut rig, &order(1, 1, "60000.00", "|18=A"));
    assert_eq!(seen(&got, 150), [("8", "0")]);
    assert_eq!(
        fields(&got[0], [11, 39, 55, 54, 38, 44, 18, 151, 14, 6]),
        [
            id(1).as_str(),
            "0",
            "BTC-USD",
            "1",
            "0.01",
            "60000",
            "A",
            "0.01",
            "0",
            "0"
        ]
    );
    let venue_id = got[0].text(37).to_owned();
    let row = rest(&mut rig, "GET", &format!("/orders/{venue_id}"));
    assert_eq!(
        (&row["status"], &row["client_oid"]),
        (&"open".into(), &id(1).into())
    );
    // Less of it, elsewhere, then a question under its new name.
    let amend = format!(
        "35=G|11={}|41={}|55=BTC-USD|54=1|40=2|38=0.02|44=60001",
        id(2),
        id(1)
    );
    let got = us.send(&mut rig, &message(&amend));
    assert_eq!(
        fields(&got[0], [150, 11, 41, 38, 44]),
        ["5", &id(2), &id(1), "0.02", "60001"]
    );
    let got = us.send(&mut rig, &message(&format!("35=H|11={}|55=BTC-USD", id(2))));
    assert_eq!(fields(&got[0], [150, 39, 37]), ["I", "0", &venue_id]);
    // The feed tells of it as of a change.
    let told = feed_of(&mut rig);
    let amend = amend
        .replace(&id(2), &id(4))
        .replace(&id(1), &id(2))
        .replace("60001", "60002");
    us.send(&mut rig, &message(&amend));
    let told = rig.take(told);
    let change = &told.last().unwrap();
    let row = ["type", "reason", "new_size", "old_price", "new_price"].map(|name| &change[name]);
    assert_eq!(row, ["change", "modify_order", "0.02", "60001", "60002"]);
    // Ended over REST, told here.
    rest(&mut rig, "DELETE", &format!("/orders/{venue_id}"));
    let got = us.take(&mut rig);
    assert_eq!(fields(&got[0], [150, 39, 11, 151]), ["4", "4", &id(4), "0"]);
    // Cancelling what is over, and what never was.
    for (old, reason, text) in [
        (id(1), "0", "Order already done"),
        (id(9), "1", "order not found"),
    ] {
        let cancel = message(&format!("35=F|11={}|41={old}|55=BTC-USD", id(3)));
        let got = us.send(&mut rig, &cancel);
        assert_eq!(seen(&got, 434), [("9", "1")]);
        assert_eq!(
            fields(&got[0], [11, 41, 102, 58]),
            [&id(3), &old, reason, text]
        );
    }
}

#[test]
fn fills_come_with_trade_fee_and_average() {
    let mut rig = rig(0);
    let mut us = up(&mut rig, 1, "");
    let got = us.send(&mut rig, &order(1, 1, "70000", ""));
    let kinds: Vec<&str> = got.iter().map(|report| report.text(150)).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"0"), Some(&"F")));
    let last = got.last().unwrap();
    assert_eq!(
        fields(last, [39, 14, 151, 1057, 138]),
        ["2", "0.01", "0", "Y", "USD"]
    );
    // 0.6 % of each fill's value, and the average of all of them.
    let fills: Vec<&Message> = got.iter().skip(1).collect();
    let number = |text: &str| crate::text::parse_amount(text).unwrap();
    let (mut value, mut done) = (0, 0);
    for fill in &fills {
        let part = number(fill.text(31)) * number(fill.text(32)) / crate::engine::UNIT;
        assert_eq!(number(fill.text(137)), part * 6 / 1_000);
        value += part;
        done += number(fill.text(32));
    }
    assert_eq!(number(last.text(6)), value * crate::engine::UNIT / done);
    let rows = rest(&mut rig, "GET", "/fills?product_id=BTC-USD");
    let told: Vec<String> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["trade_id"].to_string())
        .collect();
    let mut here: Vec<String> = fills
        .iter()
        .map(|fill| fill.text(1003).to_owned())
        .collect();
    here.reverse();
    assert_eq!(told, here);
}

#[test]
fn refusals_have_their_reasons() {
    let mut rig = rig(0);
    let mut us = up(&mut rig, 1, "");
    let fine = "35=D|11=ID|55=BTC-USD|54=1|38=0.01|40=2|44=60000|59=1";
    for (from, to, text) in [
        ("BTC-USD", "FOO-USD", "Product not found"),
        ("11=ID", "11=7", "Invalid client_oid: not a UUID"),
        ("44=60000", "44=60000.001", "price is too accurate"),
        ("44=60000", "44=x", "Invalid price"),
        ("38=0.01", "38=0", "Invalid order size"),
        (
            "38=0.01",
            "38=0.00000001",
            "notional is too small. Minimum is 1",
        ),
        ("38=0.01", "38=100", "Insufficient funds"),
        ("44=60000", "44=70000|18=A", "post only"),
        ("40=2", "40=3", "Unsupported order characteristic"),
        ("54=1", "54=5", "Unsupported order characteristic"),
    ] {
        let text_of = fine
            .replace(from, to)
            .replace("=ID", &format!("={}", id(1)));
        let got = us.send(&mut rig, &message(&text_of));
        assert_eq!(
            fields(&got[0], [35, 150, 39, 58]),
            ["8", "8", "8", text],
            "{to}"
        );
    }
    let fresh = order(1, 1, "60000", "");
    us.send(&mut rig, &fresh);
    let got = us.send(&mut rig, &fresh);
    assert_eq!(
        fields(&got[0], [150, 103, 58]),
        ["8", "6", "Duplicate client_oid"]
    );
    let got = us.send(&mut rig, &message("35=E|66=1"));
    assert_eq!(fields(&got[0], [35, 372, 380]), ["j", "E", "3"]);
}

#[test]
fn batches_are_answered_one_by_one() {
    let mut rig = rig(0);
    let mut us = up(&mut rig, 1, "");
    let entry = |number: u32, symbol: &str| {
        format!(
            "|11={}|55={symbol}|54=1|38=0.01|40=2|44=60000|59=1",
            id(number)
        )
    };
    let new = format!(
        "35=U6|8014=b1|73=3{}{}{}",
        entry(1, "BTC-USD"),
        entry(2, "FOO-USD"),
        entry(3, "BTC-USD")
    );
    let got = us.send(&mut rig, &message(&new));
    assert_eq!(seen(&got, 150), [("8", "0"), ("8", "8"), ("8", "0")]);
    let cancel = |number: u32| format!("|11={}|41={}|55=BTC-USD", id(number + 10), id(number));
    let all = format!("35=U4|8014=b2|73=2{}{}", cancel(1), cancel(3));
    let got = us.send(&mut rig, &message(&all));
    assert_eq!(seen(&got, 150), [("8", "4"), ("8", "4")]);
    assert_eq!(fields(&got[1], [11, 41]), [id(13), id(3)]);
    // Too many, or not as many as it says: the batch as a whole.
    let many: String = (20..36).map(|number| entry(number, "BTC-USD")).collect();
    for bad in [
        format!("35=U6|8014=b3|73=16{many}"),
        new.replace("73=3", "73=2"),
    ] {
        let got = us.send(&mut rig, &message(&bad));
        assert_eq!(got[0].kind(), "U7", "{bad}");
    }
    assert_eq!(
        us.send(&mut rig, &message("35=U4|8014=b4|73=0"))[0].kind(),
        "U5"
    );
}

#[test]
fn a_cut_cancels_what_the_logon_asked_for() {
    for (flag, left) in [("", 3), ("|8013=N", 3), ("|8013=S", 2), ("|8013=Y", 0)] {
        let mut rig = rig(0);
        // One order of REST's kind, and one of an earlier session of another name: the account's, not this one's.
        let mut before = up(&mut rig, 1, "");
        for number in [1, 2] {
            before.send(&mut rig, &order(number, 1, "60000", ""));
        }
        for way in rig.face.door.ways.values_mut() {
            way.name.0 = "another".to_owned();
        }
        before.cut(&mut rig);
        let mut us = up(&mut rig, 1, flag);
        us.send(&mut rig, &order(3, 1, "60000", ""));
        us.cut(&mut rig);
        let open = rest(&mut rig, "GET", "/orders?status=open");
        assert_eq!(open.as_array().unwrap().len(), left, "{flag}");
    }
}

#[test]
fn too_many_messages() {
    let mut rig = rig(0);
    let mut us = up(&mut rig, 1, "");
    rig.run(1_000);
    us.take(&mut rig);
    let question = message(&format!("35=H|11={}", id(1)));
    let mut kinds = Vec::new();
    for _ in 0..200 {
        let got = us.send(&mut rig, &question);
        kinds.extend(got.iter().map(|one| one.kind().to_owned()));
    }
    let count = |kind: &str| kinds.iter().filter(|one| *one == kind).count();
    assert_eq!((count("8"), count("j")), (100, 100));
    let got = us.send(&mut rig, &question);
    assert_eq!(seen(&got, 58), [("5", "Message rate limit exceeded")]);
    assert!(us.is_closed(&rig));
    // Two logons a second.
    rig.run(2_000);
    let mut texts = Vec::new();
    for _ in 0..3 {
        let mut us = open(&mut rig, 1);
        let logon = logon(&rig, &us, 1, "");
        texts.push(us.send(&mut rig, &logon)[0].text(58).to_owned());
        us.cut(&mut rig);
    }
    assert_eq!(texts, ["", "", "too many logons"]);
}

#[test]
fn faults_on_orders() {
    let mut rig = rig(0);
    let mut us = up(&mut rig, 1, "");
    let mut number = 0;
    let mut send = |rig: &mut CoinbaseRig, us: &mut Us| {
        number += 1;
        us.send(rig, &order(number, 1, "60000", ""))
    };
    rig.fault("reject");
    let got = send(&mut rig, &mut us);
    assert_eq!(fields(&got[0], [150, 58]), ["8", "Insufficient funds"]);
    rig.fault("reject:code=1");
    assert_eq!(send(&mut rig, &mut us)[0].text(103), "1");
    rig.fault("rate-limit");
    let got = send(&mut rig, &mut us);
    assert_eq!(
        fields(&got[0], [35, 379, 58]),
        ["j", &id(3), "Message rate limit exceeded"]
    );
    // Nobody knows: carried out, and not.
    for (text, state) in [("timeout", "0"), ("timeout:executed=false", "8")] {
        rig.fault(text);
        let got = send(&mut rig, &mut us);
        assert_eq!(seen(&got, 58), [("j", "Internal server error")], "{text}");
        let name = got[0].text(379).to_owned();
        let got = us.send(&mut rig, &message(&format!("35=H|11={name}")));
        assert_eq!(fields(&got[0], [150, 39]), ["I", state], "{text}");
    }
    // No answer, and none of its number either: only a question brings it to light.
    rig.fault("lost-ack");
    assert!(send(&mut rig, &mut us).is_empty());
    let got = us.send(&mut rig, &message(&format!("35=H|11={}", id(6))));
    assert_eq!(fields(&got[0], [150, 39]), ["I", "0"]);
    // A late answer holds what is behind it back too.
    rig.fault("slow-ack:ms=300");
    assert!(send(&mut rig, &mut us).is_empty());
    assert!(send(&mut rig, &mut us).is_empty());
    rig.run(299);
    assert!(us.take(&mut rig).is_empty());
    rig.run(1);
    let got = us.take(&mut rig);
    assert_eq!(
        seen(&got, 11),
        [("8", id(7).as_str()), ("8", id(8).as_str())]
    );
}
