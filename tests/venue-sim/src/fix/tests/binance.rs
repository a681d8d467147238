//! Binance: Ed25519, codes, its own messages.

use super::*;
use crate::config::SimConfig;
use crate::fix::venues::BINANCE;
use crate::keys::{Credential, unhex};
use crate::venues::binance::Binance;
use crate::venues::rig::START;
use ring::signature::Ed25519KeyPair;

type BinanceRig = FixRig<Binance>;

fn rig_with(change: impl FnOnce(&mut SimConfig)) -> BinanceRig {
    let mut config = SimConfig::default();
    config.flow.ticks_per_s = 0;
    change(&mut config);
    Rig::new(WithFix::new(Binance::new(&config, START), &BINANCE))
}

fn logon(rig: &BinanceRig, us: &Us, more: &str) -> Message {
    let key = Credential::default_key(1);
    let header = us.header(rig, us.next);
    let signed = ["A", &us.us, "SPOT", &us.next.to_string(), &header[3].1].join("\u{1}");
    let pair = Ed25519KeyPair::from_seed_unchecked(&key.seed).unwrap();
    let sign = base64(pair.sign(signed.as_bytes()).as_ref());
    message(&format!(
        "35=A|98=0|108=30|95={}|96={sign}|141=Y|553={}|25035=2{more}",
        sign.len(),
        key.api_key
    ))
}

fn up(rig: &mut BinanceRig, name: &str, more: &str) -> Us {
    let mut us = Us::open(rig, "FIX.4.4", name, "SPOT");
    let logon = logon(rig, &us, more);
    let got = us.send(rig, &logon);
    assert_eq!(seen(&got, 34), [("A", "1")], "{got:?}");
    us
}

fn order(id: &str, more: &str) -> Message {
    message(&format!(
        "35=D|11={id}|55=BTCUSDT|54=1|38=0.01|40=2|44=60000|59=1{more}"
    ))
}

/// The venue's own example.
#[test]
fn the_published_logon_is_right() {
    let mut rig = rig_with(|_| {});
    let mut key = Credential::new("k".into(), "x".into(), String::new(), 1);
    let seed = unhex("8244616b4606b8400a66fd0efcbea9af1611fd2540e975b3808b20007d9bcf6e");
    key.seed.copy_from_slice(&seed.unwrap());
    rig.face.core().keys = vec![key];
    let text = "35=A|49=EXAMPLE|56=SPOT|34=1|52=20240627-11:17:25.223|141=Y|25035=1|553=k|96=\
                4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA==";
    let check = BINANCE.log_on;
    assert_eq!(check(rig.face.core(), &message(text)), Ok(Some(1)));
    for (from, to) in [
        ("34=1", "34=2"),
        ("EXAMPLE", "EXAMPLF"),
        ("25035=1", "25035=3"),
        ("141=Y", "141=N"),
    ] {
        let other = message(&text.replace(from, to));
        assert!(check(rig.face.core(), &other).is_err(), "{to}");
    }
}

#[test]
fn orders_and_their_own_messages() {
    let mut rig = rig_with(|_| {});
    let mut us = up(&mut rig, "US", "");
    let got = us.send(&mut rig, &order("a", "|18=6"));
    assert_eq!(fields(&got[0], [150, 11, 18]), ["0", "a", "6"]);
    let open = rig.face.core().engine.open_orders(1).next().unwrap();
    assert_eq!(open.ask.type_name, "LIMIT_MAKER", "as REST shows it");
    // Less of it in its place; more of it is refused.
    let got = us.send(&mut rig, &message("35=XAK|11=a2|41=a|55=BTCUSDT|38=0.005"));
    assert_eq!(
        fields(&got[0], [150, 11, 41, 38]),
        ["5", "a2", "a", "0.005"]
    );
    let got = us.send(&mut rig, &message("35=XAK|11=a3|41=a|55=BTCUSDT|38=0.02"));
    assert_eq!(fields(&got[0], [35, 25016]), ["XAR", "-2038"]);
    // Cancel and new in one.
    let both = "35=XCN|25033=1|11=b|25034=c1|41=a|55=BTCUSDT|54=1|38=0.01|40=2|44=60001|59=1";
    let got = us.send(&mut rig, &message(both));
    let rows: Vec<_> = got.iter().map(|one| fields(one, [150, 11, 41])).collect();
    assert_eq!(rows, [["4", "c1", "a2"], ["0", "b", ""]]);
    let got = us.send(&mut rig, &message(&both.replace("11=b", "11=d")));
    assert_eq!(
        fields(&got[0], [35, 25016]),
        ["9", "-2011"],
        "and no new one"
    );
    assert_eq!(got.len(), 1);
    // What is left of IOC has expired.
    let got = us.send(&mut rig, &order("e", "").as_kind("D"));
    assert_eq!(got.len(), 1);
    let ioc = "35=D|11=f|55=BTCUSDT|54=1|38=0.01|40=2|44=60000|59=3";
    let got = us.send(&mut rig, &message(ioc));
    assert_eq!(seen(&got, 150), [("8", "0"), ("8", "C")]);
    for (from, to, code) in [
        ("BTCUSDT", "NONE", "-1121"),
        ("44=60000", "44=70000|18=6", "-2010"),
        ("11=f", "11=f!", "-1102"),
        ("38=0.01", "38=100", "-2010"),
    ] {
        let bad = ioc.replace("59=3", "59=1").replace(from, to);
        let got = us.send(&mut rig, &message(&bad));
        assert_eq!(fields(&got[0], [150, 25016]), ["8", code], "{to}");
    }
    rig.fault("reject:code=-2010");
    assert_eq!(us.send(&mut rig, &order("g", ""))[0].text(25016), "-2010");
    rig.fault("timeout:executed=false");
    let got = us.send(&mut rig, &order("h", ""));
    assert_eq!(fields(&got[0], [35, 372, 25016]), ["3", "D", "-1007"]);
    let got = us.send(&mut rig, &message("35=q|11=m|530=1|55=BTCUSDT"));
    assert_eq!(fields(&got[0], [35, 531, 533]), ["r", "1", "2"]);
    let got = us.send(&mut rig, &message("35=XLQ|6136=l"));
    assert_eq!(fields(&got[0], [35, 6136, 25006]), ["XLR", "l", "10000"]);
    let got = us.send(&mut rig, &message("35=E|66=1"));
    assert_eq!(fields(&got[0], [35, 372]), ["3", "E"]);
}

#[test]
fn limits_are_shared_with_rest_and_a_cut_has_to_be_waited_for() {
    let mut rig = rig_with(|config| config.orders_per_10s = 3);
    let mut us = up(&mut rig, "US", "");
    let mut copy = up(&mut rig, "COPY", "|9406=Y");
    for id in ["a", "b", "c"] {
        assert_eq!(us.send(&mut rig, &order(id, ""))[0].text(150), "0");
    }
    let got = us.send(&mut rig, &order("d", ""));
    assert_eq!(fields(&got[0], [150, 25016]), ["8", "-1015"]);
    let told = copy.take(&mut rig);
    let ids: Vec<&str> = told.iter().map(|one| one.text(11)).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    us.cut(&mut rig);
    let mut again = Us::open(&mut rig, "FIX.4.4", "US", "SPOT");
    let text = logon(&rig, &again, "");
    let got = again.send(&mut rig, &text);
    assert_eq!(got[0].text(58), "the last session did not log out: wait");
    rig.run(60_000);
    let mut us = up(&mut rig, "US", "");
    us.send(&mut rig, &message("35=5"));
    up(&mut rig, "US", "");
}
