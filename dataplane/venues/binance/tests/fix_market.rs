//! Market data over FIX: levels with the numbers of the text streams, kept by the same rule.
#![allow(missing_docs)]

mod rig;

use dp_book::{Book, Keeper, Outcome};
use dp_types::{InstrumentId, LinkId, Side, UnixNanos};
use dp_venue_api::{Event, Fault, FixConfig, LinkKind, Registry, RestRequest, Sink, Venue as _};
use dp_venue_binance::sync::BinanceSync;
use dp_venue_binance::{Binance, LINK_MD, LINK_REST};
use dp_venue_fix::FixEntry;
use dp_wire::fix::{Frame, frame};
use rig::{Keys, fixture};
use tests_venues::rig::{Said, at_ms, fix_bytes};

type Rig = tests_venues::rig::Rig<FixEntry<Binance>>;

fn new(keys: Keys) -> Rig {
    let mut registry = Registry::new();
    let mut config = tests_venues::rig::config(&["BTCUSDT"], rig::secrets(keys), 500);
    config.fix = Some(FixConfig {
        entry: ("fix-oe.test".into(), 9_000),
        market: Some(("fix-md.test".into(), 9_000)),
        ..FixConfig::default()
    });
    let machine = Binance::new(config.clone(), &mut registry).unwrap();
    Rig {
        venue: FixEntry::new(machine, config, &registry),
        registry,
        rest: LINK_REST,
    }
}

fn ready() -> (Rig, Said) {
    let mut rig = new(Keys::Ed25519);
    let asked = rig.open(LINK_REST, 0).requests;
    let (_, read) = rig.response(0, asked[0].tag, 200, fixture("rest_exchange_info"));
    read.unwrap();
    let said = rig.open(LINK_MD, 0);
    (rig, said)
}

/// The book as the lane keeps it of what is told, and the trades.
struct Lane {
    keeper: Keeper<BinanceSync>,
    outcomes: Vec<Outcome>,
    trades: Vec<String>,
    registry: Registry,
}

impl Lane {
    fn new(registry: &Registry) -> Self {
        Self {
            keeper: Keeper::with_book(BinanceSync, Book::new(64)),
            outcomes: Vec::new(),
            trades: Vec::new(),
            registry: registry.clone(),
        }
    }

    fn hear(&mut self, rig: &mut Rig, text: &str) -> Result<(), Fault> {
        let bytes = fix_bytes(text);
        let Frame::Message(message, _) = frame(&bytes) else {
            panic!("{text}");
        };
        rig.venue
            .on_fix(&rig.registry, LINK_MD, at_ms(1), &message, self)
    }
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        let instrument = self.registry.instruments()[0];
        match event {
            Event::Book(book) => {
                let outcome = self.keeper.on_msg(book, &instrument, UnixNanos(1));
                self.outcomes.push(outcome);
            }
            Event::Trade(trade) => {
                let told = format!(
                    "{} {} {} @ {}",
                    trade.trade_id.0,
                    trade.taker.name(),
                    trade.qty,
                    trade.price
                );
                self.trades.push(told);
            }
            other => panic!("{other:?}"),
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

const WHOLE: &str =
    "35=W|262=1|55=BTCUSDT|25044=1142|268=2|269=0|270=65000.00|271=0.5|269=1|270=65000.10|271=0.7|";

#[test]
fn books_and_trades_are_asked_for_apart() {
    let (rig, said) = ready();
    let texts: Vec<&str> = said.sent.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "35=V|262=1|263=1|264=1000|266=Y|267=2|269=0|269=1|146=1|55=BTCUSDT|",
            "35=V|262=2|263=1|264=1|266=Y|267=1|269=2|146=1|55=BTCUSDT|"
        ]
    );
    let link = rig
        .venue
        .links()
        .iter()
        .find(|link| link.id == LINK_MD)
        .unwrap();
    assert_eq!((link.kind, &*link.host), (LinkKind::Fix, "fix-md.test"));
    let [orders, market] =
        [rig.venue.entry_link(), LINK_MD].map(|id| rig.venue.fix_spec(id).unwrap());
    assert_eq!(
        (&*orders.sender, &*market.sender),
        ("SPINLANE", "SPINL-MD"),
        "two sessions, two names"
    );
    let hmac = new(Keys::Hmac);
    assert!(
        hmac.venue.fix_spec(LINK_MD).is_none(),
        "keys that log on nowhere"
    );
}

#[test]
fn the_numbers_keep_the_book() {
    let (mut rig, _) = ready();
    let mut lane = Lane::new(&rig.registry);
    lane.hear(&mut rig, WHOLE).unwrap();
    let changes = "35=X|262=1|268=2|279=2|270=65000.00|269=0|55=BTCUSDT|25043=1143|25044=1145|279=1|270=65000.10|271=0.2|269=1|";
    lane.hear(&mut rig, changes).unwrap();
    assert_eq!(lane.outcomes, [Outcome::Applied, Outcome::Applied]);
    let book = lane.keeper.book();
    assert_eq!(book.level_count(Side::Buy), 0);
    assert_eq!(book.level_count(Side::Sell), 1);
    assert_eq!(lane.keeper.proof().last_id, 1145);
    let trades = "35=X|262=2|893=Y|268=2|279=0|270=65000.10|271=0.1|269=2|55=BTCUSDT|60=20250116-19:36:44.196569|1003=67|2446=1|\
                  279=0|270=65000.00|271=0.2|269=2|60=20250116-19:36:44.196569|1003=68|2446=2|";
    lane.hear(&mut rig, trades).unwrap();
    assert_eq!(
        lane.trades,
        ["67 buy 0.1 @ 65000.10", "68 sell 0.2 @ 65000.00"]
    );
    // One is missing: the keeper finds it, and the book is asked for anew.
    let later = changes
        .replace("25043=1143", "25043=1147")
        .replace("25044=1145", "25044=1148");
    lane.hear(&mut rig, &later).unwrap();
    assert!(
        matches!(lane.outcomes[2], Outcome::Gap(_)),
        "{:?}",
        lane.outcomes
    );
    let mut said = Said::default();
    rig.venue
        .request_snapshot(&rig.registry, InstrumentId(0), at_ms(2_000), &mut said);
    let ends: Vec<bool> = said
        .sent
        .iter()
        .map(|(_, text)| text.contains("|263=2|"))
        .collect();
    assert_eq!(ends, [true, true, false, false]);
    assert!(said.requests.is_empty(), "not by REST");
    lane.hear(&mut rig, &WHOLE.replace("25044=1142", "25044=1150"))
        .unwrap();
    assert_eq!(lane.keeper.proof().last_id, 1150);
}

/// The venue parts changes of more than 10,000 entries, each part with the numbers of all.
#[test]
fn changes_in_parts_are_not_believed() {
    let (mut rig, _) = ready();
    let part = "35=X|262=1|268=1|279=2|270=65000.00|269=0|55=BTCUSDT|25043=1143|25044=1145|893=N|";
    let (said, read) = rig.fix(LINK_MD, 1, part);
    assert!(read.is_err() && said.events.is_empty());
    assert_eq!(said.reconnects.len(), 1);
    for bad in ["25044=x", "25044=99999999999999999999"] {
        let (said, read) = rig.fix(LINK_MD, 1, &WHOLE.replace("25044=1142", bad));
        assert!(read.is_err() && said.reconnects.len() == 1, "{bad}");
    }
}
