//! Deribit: the hashed password, ids the other way round, positions.

use super::*;
use crate::config::SimConfig;
use crate::fix::venues::DERIBIT;
use crate::keys::Credential;
use crate::venues::deribit::Deribit;
use crate::venues::rig::START;
use ring::digest;

type DeribitRig = FixRig<Deribit>;

fn rig() -> DeribitRig {
    let mut config = SimConfig {
        symbols: vec!["BTC-USDC".parse().unwrap()],
        ..SimConfig::default()
    };
    config.flow.ticks_per_s = 0;
    Rig::new(WithFix::new(Deribit::new(&config, START), &DERIBIT))
}

fn password(raw: &str, secret: &str) -> String {
    base64(digest::digest(&digest::SHA256, format!("{raw}{secret}").as_bytes()).as_ref())
}

fn up(rig: &mut DeribitRig, more: &str) -> Us {
    let key = Credential::default_key(1);
    let raw = format!("{}.{}", rig.now / MS, base64(&[7; 32]));
    let mut us = Us::open(rig, "FIX.4.4", "US", "DERIBITSERVER");
    let logon = format!(
        "35=A|98=0|108=30|141=Y|95={}|96={raw}|553={}|554={}{more}",
        raw.len(),
        key.api_key,
        password(&raw, &key.api_secret)
    );
    let got = us.send(rig, &message(&logon));
    assert_eq!(seen(&got, 34), [("A", "1")], "{got:?}");
    us
}

/// The vector of the venue page, made with another program.
#[test]
fn the_logon_of_the_venue_page_is_right() {
    let raw = "1576074319000.MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let sign = "7d+lqe93Nuinv3QEgsuls4FF/mbL6NMZVhTPlMSvOQo=";
    assert_eq!(password(raw, "AMANDASECRECT"), sign);
    let mut rig = rig();
    let key = Credential::new("AMANDA".into(), "AMANDASECRECT".into(), String::new(), 1);
    rig.face.core().keys = vec![key];
    // The venue's clock as it was then.
    let skew = 1_576_074_319_000 - (START / MS) as i64;
    rig.face.core().skew_ms = skew;
    let logon = |raw: &str, sign: &str| message(&format!("35=A|553=AMANDA|96={raw}|554={sign}"));
    let check = DERIBIT.log_on;
    assert_eq!(check(rig.face.core(), &logon(raw, sign)), Ok(Some(1)));
    assert!(check(rig.face.core(), &logon(&raw.replace("MDE", "MDF"), sign)).is_err());
    assert!(check(rig.face.core(), &logon("1576074319000.AAAA", sign)).is_err());
    rig.face.core().skew_ms = skew + 61_000;
    assert!(check(rig.face.core(), &logon(raw, sign)).is_err());
}

#[test]
fn ids_stand_the_other_way_round() {
    let mut rig = rig();
    let mut us = up(&mut rig, "|9001=Y");
    let order = |id: &str, price: &str, more: &str| {
        message(&format!(
            "35=D|11={id}|55=BTC_USDC-PERPETUAL|54=1|38=0.01|854=0|40=2|44={price}|59=1{more}"
        ))
    };
    let got = us.send(&mut rig, &order("mine", "64500", ""));
    let venue_id = got[0].text(37).to_owned();
    assert_eq!(fields(&got[0], [150, 11, 41]), ["0", &venue_id, "mine"]);
    let amend = format!("35=G|41={venue_id}|55=BTC_USDC-PERPETUAL|38=0.02|854=0|44=64400");
    let got = us.send(&mut rig, &message(&amend));
    assert_eq!(
        fields(&got[0], [150, 41, 38, 44]),
        ["5", "mine", "200", "64400"],
        "told in contracts, asked in units"
    );
    let got = us.send(&mut rig, &message("35=AF|584=m|585=7"));
    assert_eq!(fields(&got[0], [150, 41, 911]), ["I", "mine", "1"]);
    let got = us.send(&mut rig, &message("35=F|11=mine|55=BTC_USDC-PERPETUAL"));
    assert_eq!(fields(&got[0], [150, 41]), ["4", "mine"]);
    // Post-only: moved behind the spread, or refused.
    let got = us.send(&mut rig, &order("p", "65500", "|18=6"));
    assert_eq!(got[0].text(150), "0");
    let moved = crate::text::parse_amount(got[0].text(44)).unwrap() / crate::engine::UNIT;
    assert!(moved < 65_010, "{moved}");
    let got = us.send(&mut rig, &order("r", "65500", "|18=6A"));
    assert_eq!(fields(&got[0], [150, 58]), ["8", "post_only_reject"]);
    // A position, and what the cut leaves.
    let got = us.send(&mut rig, &order("t", "65500", ""));
    assert_eq!(got.last().unwrap().text(39), "2");
    let got = us.send(&mut rig, &message("35=AN|710=x"));
    assert_eq!(fields(&got[0], [35, 704, 705]), ["AP", "100", "0"]);
    us.cut(&mut rig);
    assert_eq!(rig.face.core().engine.open_orders(1).count(), 0);
    let mut us = up(&mut rig, "");
    let mut texts = Vec::new();
    for _ in 0..25 {
        let got = us.send(&mut rig, &order("same", "64500", ""));
        texts.push(got[0].text(58).to_owned());
    }
    assert_eq!(texts.last().map(String::as_str), Some("too_many_requests"));
}
