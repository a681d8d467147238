//! Market streams in binary: what they say is what the same messages say in JSON; whatever is cut or damaged is a
//! typed error, and nothing of it is told.
#![allow(missing_docs)]

mod rig;

use dp_types::{Decimal, RawLevel};
use dp_venue_api::{DecodeError, Fault, LinkKind, MarketData, Registry, Venue, VenueConfig};
use dp_venue_binance::feed::Decoder;
use dp_venue_binance::{Binance, BinanceUsdm, ID, LINK_MD, LINK_ORDERS, LINK_REST};
use dp_venue_binance::{sbe_lacks, sbe_symbol};
use proptest::prelude::*;
use rig::{API_KEY, Keys, fixture};
use serde_json::Value;
use tests_venues::ear::{Ear, Said};
use tests_venues::rig::{Said as Told, at_ms};

/// Writes what the venue would: header, fields, groups, symbol. `more` bytes of a newer version in each block.
struct Frame {
    bytes: Vec<u8>,
    more: usize,
}

impl Frame {
    fn new(template: u16, root: &[&[u8]], more: usize) -> Self {
        let root = root.concat();
        let mut bytes = Vec::new();
        for field in [(root.len() + more) as u16, template, 1, 0] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(root);
        bytes.extend(vec![0xee; more]);
        Self { bytes, more }
    }

    fn group(mut self, count_bytes: usize, blocks: &[Vec<u8>]) -> Self {
        let len = blocks.first().map_or(16, Vec::len) + self.more;
        self.bytes.extend((len as u16).to_le_bytes());
        self.bytes
            .extend(&(blocks.len() as u32).to_le_bytes()[..count_bytes]);
        for block in blocks {
            self.bytes.extend(block);
            self.bytes.extend(vec![0xee; self.more]);
        }
        self
    }

    fn symbol(mut self, symbol: &str) -> Vec<u8> {
        self.bytes.push(symbol.len() as u8);
        self.bytes.extend(symbol.as_bytes());
        self.bytes
    }
}

fn registry() -> Registry {
    let mut registry = Registry::new();
    registry
        .register(ID, "BTCUSDT", 8, 8)
        .expect("there is room");
    registry
}

fn json(name: &str) -> Value {
    serde_json::from_str(fixture(name)).expect("JSON")
}

/// A printed number as a mantissa of eight decimals.
fn eight(value: &Value) -> [u8; 8] {
    let printed = Decimal::parse(value.as_str().expect("a number").as_bytes()).expect("a number");
    printed.to_increments(8).expect("it fits").to_le_bytes()
}

fn levels(side: &Value) -> Vec<Vec<u8>> {
    let side = side.as_array().expect("levels");
    side.iter()
        .map(|level| [eight(&level[0]), eight(&level[1])].concat())
        .collect()
}

fn number(value: &Value) -> [u8; 8] {
    value.as_i64().expect("a number").to_le_bytes()
}

fn micros(value: &Value) -> [u8; 8] {
    (value.as_i64().expect("milliseconds") * 1_000).to_le_bytes()
}

const EXPONENTS: [u8; 2] = [(-8i8).cast_unsigned(), (-8i8).cast_unsigned()];

/// The event of a fixture, binary.
fn encoded(name: &str, more: usize) -> Vec<u8> {
    let whole = json(name);
    let data = if whole["data"].is_object() {
        &whole["data"]
    } else {
        &whole
    };
    match data["e"].as_str() {
        Some("depthUpdate") => {
            let root: [&[u8]; 4] = [
                &micros(&data["E"]),
                &number(&data["U"]),
                &number(&data["u"]),
                &EXPONENTS,
            ];
            Frame::new(10_003, &root, more)
                .group(2, &levels(&data["b"]))
                .group(2, &levels(&data["a"]))
                .symbol("BTCUSDT")
        }
        Some("trade") => {
            let trade = [
                &number(&data["t"])[..],
                &eight(&data["p"]),
                &eight(&data["q"]),
                &[u8::from(data["m"] == true)],
            ];
            let root: [&[u8]; 3] = [&micros(&data["E"]), &micros(&data["T"]), &EXPONENTS];
            Frame::new(10_000, &root, more)
                .group(4, &[trade.concat()])
                .symbol("BTCUSDT")
        }
        _ if data["lastUpdateId"].is_i64() || data["lastUpdateId"].is_u64() => {
            let root: [&[u8]; 3] = [
                &0i64.to_le_bytes(),
                &number(&data["lastUpdateId"]),
                &EXPONENTS,
            ];
            Frame::new(10_002, &root, more)
                .group(2, &levels(&data["bids"]))
                .group(2, &levels(&data["asks"]))
                .symbol("BTCUSDT")
        }
        _ => {
            let root: [&[u8]; 7] = [
                &0i64.to_le_bytes(),
                &number(&data["u"]),
                &EXPONENTS,
                &eight(&data["b"]),
                &eight(&data["B"]),
                &eight(&data["a"]),
                &eight(&data["A"]),
            ];
            Frame::new(10_001, &root, more).symbol("BTCUSDT")
        }
    }
}

fn hear(bytes: &[u8]) -> (Vec<Said>, Result<(), DecodeError>) {
    let (registry, mut ear) = (registry(), Ear::default());
    let result = Decoder::default().binary(&registry, bytes, &mut ear);
    (ear.0, result)
}

/// Numbers compare by what they are worth: binary ones have other digits.
fn worth(said: Said) -> Said {
    let raw = |raw: RawLevel| RawLevel {
        price: eighths(raw.price),
        qty: eighths(raw.qty),
    };
    match said {
        Said::Book {
            instrument,
            kind,
            ids,
            checksum,
            bids,
            asks,
            venue_ns,
        } => Said::Book {
            instrument,
            kind,
            ids,
            checksum,
            bids: bids.into_iter().map(raw).collect(),
            asks: asks.into_iter().map(raw).collect(),
            venue_ns,
        },
        Said::Trade(mut trade) => {
            (trade.price, trade.qty) = (eighths(trade.price), eighths(trade.qty));
            Said::Trade(trade)
        }
        Said::Quote(mut quote) => {
            (quote.bid, quote.ask) = (raw(quote.bid), raw(quote.ask));
            Said::Quote(quote)
        }
        other @ Said::Other(_) => other,
    }
}

fn eighths(value: Decimal) -> Decimal {
    Decimal {
        mantissa: value.to_increments(8).expect("it fits"),
        exponent: -8,
    }
}

const FIXTURES: [&str; 5] = [
    "feed_delta",
    "feed_delta_raw",
    "feed_quote",
    "feed_trade",
    "feed_partial_depth",
];

#[test]
fn binary_and_json_say_the_same() {
    for name in FIXTURES {
        for more in [0, 3] {
            let registry = registry();
            let mut ear = Ear::default();
            let mut text = fixture(name).as_bytes().to_vec();
            let parsed = Decoder::default().parse(&registry, LINK_MD, &mut text, &mut ear);
            assert!(parsed.is_ok(), "{name}: {parsed:?}");
            let want: Vec<_> = ear.0.into_iter().map(worth).collect();
            let (got, result) = hear(&encoded(name, more));
            assert_eq!(result, Ok(()), "{name}");
            let got: Vec<_> = got.into_iter().map(worth).collect();
            assert_eq!(got, want, "{name}");
        }
    }
}

#[test]
fn every_cut_is_an_error_and_tells_nothing() {
    for name in FIXTURES {
        let bytes = encoded(name, 0);
        for len in 0..bytes.len() {
            let (said, result) = hear(&bytes[..len]);
            assert!(result.is_err() && said.is_empty(), "{name} {len}: {said:?}");
        }
    }
}

#[test]
fn strangers_are_told_apart() {
    let bytes = encoded("feed_quote", 0);
    let with = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        hear(&bytes)
    };
    assert_eq!(
        with(4, 2).1,
        Err(DecodeError::Shape("a binary message of another schema"))
    );
    let (said, result) = with(3, 0);
    assert_eq!(result, Ok(()));
    assert!(
        matches!(&said[..], [Said::Other(text)] if text.contains("did not ask")),
        "{said:?}"
    );
    assert_eq!(with(8 + 16, 99).1, Err(DecodeError::Field("exponent")));
    let unknown = *bytes.last().expect("a symbol") + 1;
    assert_eq!(
        with(bytes.len() - 1, unknown).1,
        Err(DecodeError::UnknownSymbol)
    );
}

/// The machine takes them on its market link, once the rules are here.
#[test]
fn the_machine_reads_them_once_it_knows_the_rules() {
    let mut rig = rig::new(&["BTCUSDT"], Keys::None);
    rig.open(LINK_MD, 0);
    let mut said = Told::default();
    let early = rig.venue.on_binary(
        &rig.registry,
        LINK_MD,
        at_ms(0),
        &mut encoded("feed_quote", 0),
        &mut said,
    );
    assert_eq!(
        (early, &*said.events),
        (Ok(()), &["Ignored rules are not known yet".to_owned()][..])
    );
    let mut rig = rig::ready(Keys::None);
    let mut said = Told::default();
    let result = rig.venue.on_binary(
        &rig.registry,
        LINK_MD,
        at_ms(0),
        &mut encoded("feed_delta", 0),
        &mut said,
    );
    assert_eq!(result, Ok(()));
    assert!(
        said.events[0].starts_with("Book Delta 1000101..1000104"),
        "{:?}",
        said.events
    );
    let result = rig
        .venue
        .on_binary(&rig.registry, LINK_MD, at_ms(0), &mut [1, 2, 3], &mut said);
    assert!(matches!(result, Err(Fault::Decode(_))));
}

fn sbe_config(keys: Keys) -> VenueConfig {
    VenueConfig {
        market_data: MarketData::Sbe,
        ..tests_venues::rig::config(&["BTCUSDT", "ETHUSDT"], rig::secrets(keys), 1_000)
    }
}

/// One connection subscribed by its URL, which shows the key; the other links show none that way.
#[test]
fn the_market_link_asks_for_sbe_and_shows_the_key() {
    let mut registry = Registry::new();
    let venue = Binance::new(sbe_config(Keys::Ed25519), &mut registry).expect("room");
    let md = venue.links().iter().find(|link| link.id == LINK_MD);
    let md = md.expect("a market link");
    assert_eq!(md.kind, LinkKind::WebSocket);
    assert_eq!(
        md.path,
        "/stream?streams=btcusdt@depth/btcusdt@trade/btcusdt@bestBidAsk/\
         ethusdt@depth/ethusdt@trade/ethusdt@bestBidAsk"
    );
    let fields = venue.upgrade_fields(LINK_MD);
    let told: Vec<_> = fields
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    assert_eq!(told, [("X-MBX-APIKEY", API_KEY)]);
    for other in [LINK_REST, LINK_ORDERS] {
        assert!(venue.upgrade_fields(other).is_empty());
    }
    assert!(venue.has_keyed_feed());
    for shown in [format!("{fields:?}"), format!("{venue:?}")] {
        assert!(!shown.contains(API_KEY), "{shown}");
    }
}

/// As text the same machine shows nobody a key; futures have no other way.
#[test]
fn text_is_for_all() {
    let mut registry = Registry::new();
    let text = VenueConfig {
        market_data: MarketData::Json,
        ..sbe_config(Keys::Ed25519)
    };
    let spot = Binance::new(text, &mut registry).expect("room");
    let futures = BinanceUsdm::new(sbe_config(Keys::Ed25519), &mut registry).expect("room");
    assert!(!spot.has_keyed_feed() && spot.upgrade_fields(LINK_MD).is_empty());
    assert!(!futures.has_keyed_feed() && futures.upgrade_fields(LINK_MD).is_empty());
    for links in [spot.links(), futures.links()] {
        assert!(links.iter().any(|link| link.path.contains("@bookTicker")));
    }
}

#[test]
fn keys_that_bring_none_are_told_before_anything_is_opened() {
    let why = |keys| sbe_lacks(&rig::secrets(keys));
    assert_eq!(why(Keys::Ed25519), None);
    assert!(why(Keys::None).is_some_and(|why| why.contains("keys_file")));
    assert!(why(Keys::Hmac).is_some_and(|why| why.contains("Ed25519")));
    let mut broken = rig::secrets(Keys::Ed25519);
    broken.ed25519_pem = "-----BEGIN X".into();
    assert!(sbe_lacks(&broken).is_some_and(|why| why.contains("cannot be used")));
}

/// Between the binary messages of the link the venue still speaks in text.
#[test]
fn a_shutdown_is_told_in_text() {
    let mut rig = rig::ready(Keys::None);
    let text = r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}"#;
    let (said, result) = rig.text(LINK_MD, 0, text);
    result.expect("known");
    assert!(
        said.events.contains(&"ClosingSoon(LinkId(1))".to_owned()),
        "{:?}",
        said.events
    );
}

#[test]
fn a_message_names_its_symbol_to_who_does_not_follow_it() {
    for name in FIXTURES {
        let bytes = encoded(name, 3);
        assert_eq!(sbe_symbol(&bytes), Some("BTCUSDT"), "{name}");
        for len in 0..bytes.len() {
            assert_eq!(sbe_symbol(&bytes[..len]), None, "{name} {len}");
        }
    }
}

/// As large as they may be, and one more.
#[test]
fn levels_have_a_bound() {
    let level = [1i64.to_le_bytes(), 1i64.to_le_bytes()].concat();
    let root: [&[u8]; 4] = [&[0; 8], &[0; 8], &[0; 8], &EXPONENTS];
    for (count, is_ok) in [(5_000, true), (5_001, false)] {
        let bytes = Frame::new(10_003, &root, 0)
            .group(2, &vec![level.clone(); count])
            .group(2, &[])
            .symbol("BTCUSDT");
        assert_eq!(hear(&bytes).1.is_ok(), is_ok, "{count}");
    }
}

proptest! {
    #[test]
    fn damaged_ones_never_panic(
        which in prop::sample::select(FIXTURES.to_vec()),
        edits in prop::collection::vec(any::<(u8, u16, u8)>(), 1..6),
    ) {
        let mut bytes = encoded(which, 0);
        tests_venues::damage::mutate(&mut bytes, &edits);
        let (said, result) = hear(&bytes);
        prop_assert!(result.is_ok() || said.is_empty());
        // What it told fits a book or is refused, like anything else.
        let instrument = *registry().get(dp_types::InstrumentId(0)).expect("registered");
        for said in said {
            if let Said::Book { bids, .. } = said {
                for level in bids {
                    let _ = instrument.level(&level);
                }
            }
        }
    }
}
