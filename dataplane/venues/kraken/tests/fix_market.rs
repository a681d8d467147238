//! Market data over FIX: ten levels a side, proved by the checksum of the WebSocket's books, whatever digits are printed.
#![allow(missing_docs)]

mod rig;

use dp_book::{Book, Keeper, Outcome};
use dp_types::{LinkId, UnixNanos};
use dp_venue_api::{Event, FixConfig, LinkKind, Registry, RestRequest, Sink, Venue as _};
use dp_venue_fix::FixEntry;
use dp_venue_kraken::sync::KrakenSync;
use dp_venue_kraken::{Kraken, LINK_PUBLIC, LINK_REST};
use dp_wire::fix::{Frame, frame};
use rig::fixture;
use tests_venues::rig::{at_ms, config, fix_bytes};

type Rig = tests_venues::rig::Rig<FixEntry<Kraken>>;

fn new(sender: &str) -> Rig {
    let mut registry = Registry::new();
    let mut config = config(&["BTC/USD"], dp_venue_api::Secrets::default(), 5_000);
    config.fix = Some(FixConfig {
        entry: ("fix.test".into(), 4_001),
        market: Some(("fix.test".into(), 4_000)),
        sender: sender.into(),
        ..FixConfig::default()
    });
    let machine = Kraken::new(config.clone(), &mut registry).unwrap();
    Rig {
        venue: FixEntry::new(machine, config, &registry),
        registry,
        rest: LINK_REST,
    }
}

/// What the lane makes of it.
struct Lane {
    keeper: Keeper<KrakenSync>,
    told: Vec<String>,
    registry: Registry,
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        let instrument = self.registry.instruments()[0];
        let told = match event {
            Event::Book(book) => {
                let outcome = self.keeper.on_msg(book, &instrument, UnixNanos(1));
                match outcome {
                    Outcome::Applied => "applied".to_owned(),
                    other => format!("{other:?}"),
                }
            }
            Event::Trade(trade) => {
                format!("{} {} @ {}", trade.taker.name(), trade.qty, trade.price)
            }
            other => panic!("{other:?}"),
        };
        self.told.push(told);
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// Digits as printed on the venue's page of X: as short as they go.
const WHOLE: &str = "35=W|262=1|55=BTC/USD|268=1|269=0|278=B65000.0|270=65000.0|271=0.5|";
const CHANGE: &str = "35=X|55=BTC/USD|262=1|268=2|279=0|269=1|278=O65000.1|270=65000.1|271=0.25|273=13:42:27.208|\
                      279=0|269=2|278=T|270=65000.1|271=0.01|273=13:42:27.208|40=1|2446=1|5041=2851171180|";

#[test]
fn the_checksum_is_over_the_instruments_digits() {
    let mut rig = new("CLIENT");
    let asked = rig.open(LINK_REST, 0).requests;
    rig.response(0, asked[0].tag, 200, fixture("rest_pairs"))
        .1
        .unwrap();
    let said = rig.open(LINK_PUBLIC, 0);
    let texts: Vec<&str> = said.sent.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(
        texts,
        ["35=V|262=1|263=1|264=10|265=1|267=3|269=0|269=1|269=2|146=1|55=BTC/USD|"]
    );
    let mut lane = Lane {
        keeper: Keeper::with_book(
            KrakenSync::new(&rig.registry.instruments()[0]),
            Book::new(64),
        ),
        told: Vec::new(),
        registry: rig.registry.clone(),
    };
    let wrong = CHANGE.replace("5041=2851171180", "5041=2851171181");
    for text in [WHOLE, CHANGE, &wrong] {
        let bytes = fix_bytes(text);
        let Frame::Message(message, _) = frame(&bytes) else {
            panic!("{text}");
        };
        rig.venue
            .on_fix(&rig.registry, LINK_PUBLIC, at_ms(1), &message, &mut lane)
            .unwrap();
    }
    let trade = "buy 0.01 @ 65000.1";
    assert_eq!(lane.told[..4], ["applied", trade, "applied", trade]);
    assert!(lane.told[4].contains("Checksum"), "{:?}", lane.told);
    for bad in ["5041=x", "5041=4294967296"] {
        let text = CHANGE.replace("5041=2851171180", bad);
        let (said, read) = rig.fix(LINK_PUBLIC, 1, &text);
        assert!(read.is_err() && said.reconnects.len() == 1, "{bad}");
    }
}

#[test]
fn market_data_wants_an_assigned_name_and_no_key() {
    let rig = new("CLIENT");
    let links = rig.venue.links();
    let link = links.iter().find(|link| link.id == LINK_PUBLIC).unwrap();
    assert_eq!((link.kind, link.port), (LinkKind::Fix, 4_000));
    let spec = rig.venue.fix_spec(LINK_PUBLIC).unwrap();
    assert_eq!((&*spec.sender, &*spec.target), ("CLIENT", "KRAKEN-MD"));
    assert!(spec.resets && !spec.resends);
    assert!(new("").venue.fix_spec(LINK_PUBLIC).is_none());
}
