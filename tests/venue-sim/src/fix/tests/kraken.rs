//! Kraken, spot and futures: the signed password, own sessions, the rollover, the hold.

use super::*;
use crate::config::SimConfig;
use crate::fix::venues::{KRAKEN, KRAKEN_FUTURES};
use crate::keys::{Credential, unbase64};
use crate::venues::kraken::Kraken;
use crate::venues::kraken_futures::KrakenFutures;
use crate::venues::rig::START;
use ring::{digest, hmac};

fn config() -> SimConfig {
    let mut config = SimConfig {
        symbols: vec!["BTC-USD".parse().unwrap()],
        ..SimConfig::default()
    };
    config.flow.ticks_per_s = 0;
    config
}

fn spot() -> FixRig<Kraken> {
    Rig::new(WithFix::new(Kraken::new(&config(), START), &KRAKEN))
}

fn logon<F: Face>(rig: &FixRig<F>, us: &Us, more: &str) -> Message {
    let key = Credential::default_key(1);
    let nonce = (rig.now / MS).to_string();
    let text = format!(
        "35=A\u{1}34={}\u{1}49={}\u{1}56={}\u{1}553={}\u{1}{nonce}",
        us.next, us.us, us.them, key.api_key
    );
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let tag = hmac::Key::new(hmac::HMAC_SHA512, key.api_secret.as_bytes());
    let password = base64(hmac::sign(&tag, hash.as_ref()).as_ref());
    message(&format!(
        "35=A|98=0|108=60|553={}|554={password}|5025={nonce}{more}",
        key.api_key
    ))
}

fn up<F: Face>(rig: &mut FixRig<F>, name: &str, next: u64, more: &str) -> (Us, Vec<Message>) {
    let mut us = Us::open(rig, "FIX.4.4", name, "KRAKEN-TRD");
    us.next = next;
    let logon = logon(rig, &us, more);
    let got = us.send(rig, &logon);
    assert_eq!(got[0].kind(), "A", "{got:?}");
    (us, got)
}

fn order(id: &str, more: &str) -> Message {
    message(&format!(
        "35=D|11={id}|55=BTC/USD|54=1|38=0.01|40=2|44=60000|59=1{more}"
    ))
}

/// The vector of the venue page, made with another program.
#[test]
fn the_logon_of_the_venue_page_is_right() {
    let secret =
        "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==";
    let tag = hmac::Key::new(hmac::HMAC_SHA512, &unbase64(secret).unwrap());
    let text = "35=A\u{1}34=1\u{1}49=CLIENT\u{1}56=KRAKEN-TRD\u{1}553=FAKEAPIKEY\u{1}1700000000000";
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    assert_eq!(
        base64(hmac::sign(&tag, hash.as_ref()).as_ref()),
        "rJ7tqP5CMTXpVMrleONscE1mQMsaWwXBHKpp0YfzpR92zWNAY7YJjMPZS77r4e6EPHYcuBNsgK7BtygZsxgPPQ=="
    );
    // What the tests' client makes in the same way, the door takes; and nothing beside it.
    let mut rig = spot();
    let us = Us::open(&mut rig, "FIX.4.4", "CLIENT", "KRAKEN-TRD");
    let mut fine = logon(&rig, &us, "");
    for (tag, value) in us.header(&rig, 1) {
        fine.put(tag, value);
    }
    let check = KRAKEN.log_on;
    assert_eq!(check(rig.face.core(), &fine), Ok(Some(1)));
    for (tag, value) in [
        (34, "2"),
        (49, "OTHER"),
        (553, "nobody"),
        (5025, "1700000000000"),
        (554, "AAAA"),
    ] {
        let mut bad = fine.clone();
        bad.set(tag, value);
        assert!(check(rig.face.core(), &bad).is_err(), "{tag}");
    }
}

#[test]
fn orders_of_one_session_are_its_own() {
    let mut rig = spot();
    let (mut us, _) = up(&mut rig, "US", 1, "");
    let (mut them, _) = up(&mut rig, "THEM", 1, "|8674=1");
    us.send(&mut rig, &order("1001", ""));
    them.send(&mut rig, &order("t1", ""));
    let cancel = message("35=F|11=c1|41=t1|55=BTC/USD");
    let got = us.send(&mut rig, &cancel);
    assert_eq!(fields(&got[0], [35, 58]), ["9", "EOrder:Unknown order"]);
    let amend = message("35=G|11=1002|41=1001|55=BTC/USD|38=0.02|44=60001");
    let got = us.send(&mut rig, &amend);
    assert_eq!(
        fields(&got[0], [150, 11, 41, 38]),
        ["5", "1002", "1001", "0.02"]
    );
    // A post-only order that would take is accepted, then gone.
    let crossing = message("35=D|11=p|55=BTC/USD|54=1|38=0.01|40=2|44=70000|59=1|18=6");
    let got = us.send(&mut rig, &crossing);
    assert_eq!(seen(&got, 150), [("8", "0"), ("8", "4")]);
    assert_eq!(got[1].text(58), "post only");
    // A cut cancels unless the logon said otherwise.
    us.cut(&mut rig);
    them.cut(&mut rig);
    let open: Vec<String> = {
        let open = rig.face.core().engine.open_orders(1);
        open.map(|order| order.ask.client_id.to_string()).collect()
    };
    assert_eq!(open, ["t1"]);
    // What happened after the cut waits for whoever comes back.
    let (mut us, got) = up(&mut rig, "US", us.next, "");
    let missed = got[0].number(34).unwrap() - 1;
    let ask = message(&format!("35=2|7={missed}|16={missed}"));
    let got = us.send(&mut rig, &ask);
    assert_eq!(
        fields(&got[0], [150, 11, 43, 58]),
        ["4", "1002", "Y", "Cancel on disconnect"]
    );
}

#[test]
fn cancelling_young_orders_costs() {
    let mut rig = spot();
    let (mut us, _) = up(&mut rig, "US", 1, "");
    let mut texts = Vec::new();
    for number in 0..8 {
        us.send(&mut rig, &order(&format!("o{number}"), ""));
        let cancel = message(&format!("35=F|11=c{number}|41=o{number}|55=BTC/USD"));
        texts.push(us.send(&mut rig, &cancel)[0].text(58).to_owned());
    }
    // Nine for each pair of them, out of sixty.
    let (fine, rest) = texts.split_at(6);
    assert!(fine.iter().all(String::is_empty), "{texts:?}");
    assert_eq!(rest[0], "EOrder:Rate limit exceeded");
}

#[test]
fn the_day_ends_at_ten() {
    let mut rig = spot();
    // Virtual time starts at midnight; heartbeats keep the session until ten in the evening.
    rig.now += (22 * 3_600 - 10) * 1_000 * MS;
    rig.run(1);
    let (mut us, _) = up(&mut rig, "US", 1, "");
    us.send(&mut rig, &order("a", ""));
    rig.run(10_000);
    let got = us.take(&mut rig);
    assert_eq!(
        got.last().map(|one| fields(one, [35, 58])),
        Some(["5", "daily rollover"])
    );
    let mut early = Us::open(&mut rig, "FIX.4.4", "US", "KRAKEN-TRD");
    let text = logon(&rig, &early, "");
    assert_eq!(early.send(&mut rig, &text)[0].text(58), "daily rollover");
    rig.run(30_000);
    let (_, got) = up(&mut rig, "US", 1, "");
    assert_eq!(got[0].number(34), Some(1), "numbers begin anew");
}

#[test]
fn market_data_wants_no_key_and_takes_no_orders() {
    let mut rig = spot();
    let mut us = Us::open(&mut rig, "FIX.4.4", "READER", "KRAKEN-MD");
    assert_eq!(
        us.send(&mut rig, &message("35=A|98=0|108=60"))[0].kind(),
        "A"
    );
    assert_eq!(
        us.send(&mut rig, &message("35=x|320=1|559=4"))[0].text(55),
        "BTC/USD"
    );
    let ask = "35=V|262=m|263=0|264=0|267=2|269=0|269=1|146=1|55=BTC/USD";
    assert_eq!(us.send(&mut rig, &message(ask))[0].kind(), "W");
    let got = us.send(&mut rig, &order("a", ""));
    assert_eq!(fields(&got[0], [35, 380]), ["j", "6"]);
    rig.fault("disconnect:link=private");
    assert!(!us.is_closed(&rig));
    rig.fault("disconnect:link=public");
    assert!(us.is_closed(&rig));
}

#[test]
fn futures_hold_what_could_take() {
    let face = KrakenFutures::new(&config(), START);
    let mut rig = Rig::new(WithFix::new(face, &KRAKEN_FUTURES));
    let mut wrong = Us::open(&mut rig, "FIX.4.4", "US", "KRAKEN-TRD");
    let text = logon(&rig, &wrong, "");
    assert_eq!(
        wrong.send(&mut rig, &text)[0].text(58),
        "EGeneral:Permission denied"
    );
    let (mut us, _) = up(&mut rig, "USDRV", 1, "");
    let symbol = rig.face.symbol(0);
    let order = |id: &str, more: &str| {
        message(&format!(
            "35=D|11={id}|55={symbol}|54=1|38=0.01|40=2|44=60000|59=1{more}"
        ))
    };
    let got = us.send(&mut rig, &order("p", "|18=6"));
    assert_eq!(got[0].text(150), "0", "post-only waits for nothing");
    assert!(us.send(&mut rig, &order("a", "")).is_empty());
    assert!(us.send(&mut rig, &order("b", "")).is_empty());
    let cancel = message(&format!("35=F|11=c|41=b|55={symbol}"));
    assert!(us.send(&mut rig, &cancel).is_empty());
    rig.run(19);
    assert!(us.take(&mut rig).is_empty());
    rig.run(1);
    let got = us.take(&mut rig);
    let rows: Vec<_> = got.iter().map(|one| fields(one, [11, 150])).collect();
    assert_eq!(rows, [["a", "0"], ["b", "0"], ["b", "4"]], "b did not rest");
}
