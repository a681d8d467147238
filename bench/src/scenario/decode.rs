//! Message text to events, and on into the book; beside typed serde_json, text to float and a tree map.
//!
//! Machines parse in place, so each sample gets its own copy of the text, made untimed: it is as warm as
//! bytes that were decrypted a moment ago.

use super::book::{instrument, warm_keeper};
use crate::answers;
use crate::data;
use crate::meter::Meter;
use crate::naive::{self, App, BadMessage};
use anyhow::{Context as _, bail};
use dp_book::{Keeper, Outcome};
use dp_types::{Instrument, LinkId, Now, UnixNanos};
use dp_venue_api::{Event, Fault, Registry, RegistryError, RestRequest, Sink, Venue, VenueConfig};
use dp_venue_binance::feed::Decoder;
use dp_venue_binance::sync::BinanceSync;
use dp_venue_binance::{Binance, LINK_MD, LINK_ORDERS};
use dp_venue_okx::{LINK_PRIVATE, LINK_PUBLIC, Okx};
use std::hint::black_box;
use std::path::Path;

const BINANCE_ANSWERS: &str = "Binance, an answer to an order";
const OKX_ANSWERS: &str = "OKX, an answer to an order";

/// What answers orders, by scanner and by parser.
fn answers(meter: &mut Meter) -> anyhow::Result<()> {
    let texts = answers::texts(&answers::BINANCE);
    let mut rig = binance_desk()?;
    rig.measure(meter, BINANCE_ANSWERS, &texts)?;
    rig.check_scanned(BINANCE_ANSWERS)?;
    let mut decoder = Decoder::default();
    rig.measure_by(
        meter,
        "same, simd-json tape (Binance answers)",
        &texts,
        |_, registry, text, tap| decoder.parse(registry, LINK_ORDERS, text, tap).map(drop),
    )?;
    meter.is_peer_of(BINANCE_ANSWERS);
    let texts = answers::texts(&answers::OKX);
    let mut rig = okx_desk()?;
    rig.measure(meter, OKX_ANSWERS, &texts)?;
    rig.check_scanned(OKX_ANSWERS)?;
    rig.measure_by(
        meter,
        "same, simd-json tape (OKX answers)",
        &texts,
        |venue, registry, text, tap| {
            venue.parse_text(registry, LINK_PRIVATE, Now::default(), text, tap)
        },
    )?;
    meter.is_peer_of(OKX_ANSWERS);
    Ok(())
}

fn binance_desk() -> anyhow::Result<Rig<Binance>> {
    Rig::new(LINK_ORDERS, vec!["BTCUSDT".to_owned()], Binance::new)
}

fn okx_desk() -> anyhow::Result<Rig<Okx>> {
    Rig::new(LINK_PRIVATE, vec!["BTC-USDT".to_owned()], Okx::new)
}

/// `count` answers of Binance, or of OKX, through their machine: a workload of `instructions`. Errors: not all of
/// them were scanned and meant something.
pub fn read_answers(is_okx: bool, count: u64) -> anyhow::Result<()> {
    fn read<V: Venue>(mut rig: Rig<V>, answers: &[&str], count: u64) -> anyhow::Result<()> {
        let texts = answers::texts(answers);
        for text in texts.iter().cycle().take(usize::try_from(count)?) {
            rig.load(text);
            rig.decode();
        }
        rig.check("answers", count)?;
        rig.check_scanned("answers")
    }
    if is_okx {
        read(okx_desk()?, &answers::OKX, count)
    } else {
        read(binance_desk()?, &answers::BINANCE, count)
    }
}

/// Counts events; depth goes into the keeper where there is one, as in a lane.
struct Tap {
    keeper: Option<(Keeper<BinanceSync>, Instrument)>,
    events: u64,
    refused: u64,
}

impl Sink for Tap {
    #[inline]
    fn event(&mut self, event: &Event<'_>) {
        self.events += u64::from(!matches!(event, Event::Ignored(_)));
        if let (Event::Book(msg), Some((keeper, instrument))) = (event, &mut self.keeper) {
            let outcome = keeper.on_msg(msg, instrument, UnixNanos(1));
            self.refused += u64::from(outcome != Outcome::Applied);
        } else {
            black_box(event);
        }
    }

    fn send_text(&mut self, _link: LinkId, text: &[u8]) {
        black_box(text);
    }

    fn request(&mut self, _link: LinkId, request: &RestRequest<'_>) {
        black_box(request);
    }

    fn reconnect(&mut self, _link: LinkId, why: &'static str) {
        black_box(why);
    }
}

/// A machine, its link, and the text it is about to be given.
struct Rig<V> {
    venue: V,
    registry: Registry,
    link: LinkId,
    tap: Tap,
    text: Vec<u8>,
    faults: u64,
    calls: u64,
}

impl<V: Venue> Rig<V> {
    fn new(
        link: LinkId,
        symbols: Vec<String>,
        make: impl FnOnce(VenueConfig, &mut Registry) -> Result<V, RegistryError>,
    ) -> anyhow::Result<Self> {
        let mut registry = Registry::new();
        let config = VenueConfig {
            symbols,
            ..VenueConfig::default()
        };
        Ok(Self {
            venue: make(config, &mut registry)?,
            registry,
            link,
            tap: Tap {
                keeper: None,
                events: 0,
                refused: 0,
            },
            text: Vec::with_capacity(1 << 20),
            faults: 0,
            calls: 0,
        })
    }

    fn load(&mut self, text: &[u8]) {
        self.text.clear();
        self.text.extend_from_slice(text);
    }

    #[inline]
    fn decode(&mut self) {
        self.calls += 1;
        let result = self.venue.on_text(
            &self.registry,
            self.link,
            Now::default(),
            &mut self.text,
            &mut self.tap,
        );
        self.faults += u64::from(result.is_err());
    }

    /// A figure for text that was thrown away would flatter.
    fn check(&self, name: &str, events_least: u64) -> anyhow::Result<()> {
        let (events, refused, faults) = (self.tap.events, self.tap.refused, self.faults);
        if refused > 0 || faults > 0 || events < events_least {
            let calls = self.calls;
            bail!(
                "{name}: of {calls} messages {faults} faults, {refused} refused, {events} events"
            );
        }
        Ok(())
    }

    /// Decodes `texts` in rotation.
    fn measure(&mut self, meter: &mut Meter, name: &str, texts: &[Vec<u8>]) -> anyhow::Result<()> {
        meter.each_on(
            name,
            self,
            |rig, at| rig.load(&texts[at % texts.len()]),
            Self::decode,
        );
        self.check(name, self.calls)
    }

    /// Decodes `texts` in rotation another way than by `Venue::on_text`.
    fn measure_by(
        &mut self,
        meter: &mut Meter,
        name: &str,
        texts: &[Vec<u8>],
        mut decode: impl FnMut(&mut V, &Registry, &mut [u8], &mut Tap) -> Result<(), Fault>,
    ) -> anyhow::Result<()> {
        meter.each_on(
            name,
            self,
            |rig, at| rig.load(&texts[at % texts.len()]),
            |rig| {
                rig.calls += 1;
                let result = decode(&mut rig.venue, &rig.registry, &mut rig.text, &mut rig.tap);
                rig.faults += u64::from(result.is_err());
            },
        );
        self.check(name, self.calls)
    }

    /// That the row above was the scanner's: a change of the shape would make it the tape's.
    fn check_scanned(&self, name: &str) -> anyhow::Result<()> {
        let counts = self.venue.read_counts();
        anyhow::ensure!(counts.parsed == 0, "{name}: {} were parsed", counts.parsed);
        Ok(())
    }

    /// Decodes a recording as it is: tickers and answers to subscriptions, of no use to us, are in it.
    fn measure_recorded(
        &mut self,
        meter: &mut Meter,
        name: &str,
        texts: &[Vec<u8>],
    ) -> anyhow::Result<()> {
        meter.each_on(
            name,
            self,
            |rig, at| rig.load(&texts[at % texts.len()]),
            Self::decode,
        );
        let useful = self.tap.events * 100 / self.calls.max(1);
        let bytes = texts.iter().map(Vec::len).sum::<usize>() / texts.len().max(1);
        meter.notes.push(format!(
            "{name}: {bytes} bytes in the mean, {useful} events per 100 messages"
        ));
        self.check(name, 1)
    }
}

pub fn run(meter: &mut Meter, captures: &Path) -> anyhow::Result<()> {
    meter.begin("decode");
    let depths = data::depths();
    let texts = |print: fn(usize, &data::Depth) -> Vec<u8>| -> Vec<Vec<u8>> {
        depths
            .iter()
            .enumerate()
            .map(|(at, depth)| print(at, depth))
            .collect()
    };
    let symbol = |name: &str| vec![name.to_owned()];
    let binance = texts(data::binance_text);

    let ours = "Binance, 20 levels";
    let mut rig = Rig::new(LINK_MD, symbol("BTCUSDT"), Binance::new)?;
    rig.measure(meter, ours, &binance)?;
    rig.check_scanned(ours)?;
    let mut decoder = Decoder::default();
    rig.measure_by(
        meter,
        "same, simd-json tape",
        &binance,
        |_, registry, text, tap| decoder.parse(registry, LINK_MD, text, tap).map(drop),
    )?;
    meter.is_peer_of(ours);
    usual(meter, "same, serde_json and floats", &binance, naive::read)?;
    meter.is_peer_of(ours);
    into_book(meter, &binance)?;
    let okx = texts(data::okx_text);
    let mut rig = Rig::new(LINK_PUBLIC, symbol("BTC-USDT"), Okx::new)?;
    rig.measure(meter, "OKX, 20 levels", &okx)?;
    rig.check_scanned("OKX, 20 levels")?;
    rig.measure_by(
        meter,
        "same, simd-json tape (OKX)",
        &okx,
        |venue, registry, text, tap| {
            venue.parse_text(registry, LINK_PUBLIC, Now::default(), text, tap)
        },
    )?;
    meter.is_peer_of("OKX, 20 levels");

    answers(meter)?;

    let spot = captures.join("binance/spot-20210405.jsonl.gz");
    if let Some((texts, symbols)) = recorded(meter, &spot)? {
        let name = "Binance, recorded 2021-04-05";
        Rig::new(LINK_MD, symbols, Binance::new)?.measure_recorded(meter, name, &texts)?;
    }
    let v5 = captures.join("okx/v5-20220513.jsonl.gz");
    if let Some((texts, symbols)) = recorded(meter, &v5)? {
        let name = "OKX, recorded 2022-05-13";
        Rig::new(LINK_PUBLIC, symbols, Okx::new)?.measure_recorded(meter, name, &texts)?;
    }
    Ok(())
}

fn recorded(meter: &mut Meter, path: &Path) -> anyhow::Result<Option<(Vec<Vec<u8>>, Vec<String>)>> {
    let found = data::recorded(path)?;
    if found.is_none() {
        meter
            .notes
            .push(format!("{} is not there: left out", path.display()));
    }
    Ok(found)
}

/// Decode, check the sequence and apply: by the scanner, by the tape, and the usual way.
fn into_book(meter: &mut Meter, texts: &[Vec<u8>]) -> anyhow::Result<()> {
    let ours = "Binance, 20 levels, into book";
    into_flat_book(meter, ours, texts, Rig::decode)?;
    let mut decoder = Decoder::default();
    into_flat_book(meter, "same, simd-json tape, flat book", texts, |rig| {
        rig.calls += 1;
        let result = decoder.parse(&rig.registry, LINK_MD, &mut rig.text, &mut rig.tap);
        rig.faults += u64::from(result.is_err());
    })?;
    meter.is_peer_of(ours);
    let mut app = App::new(1);
    usual(meter, "same, serde_json and tree map", texts, |text| {
        app.on_depth(text)
    })?;
    meter.is_peer_of(ours);
    Ok(())
}

/// The usual way of the peers (`bench/peers`), from a copy of the text as warm as ours.
fn usual<R>(
    meter: &mut Meter,
    name: &str,
    texts: &[Vec<u8>],
    mut take: impl FnMut(&str) -> Result<R, BadMessage>,
) -> anyhow::Result<()> {
    let texts: Result<Vec<&str>, _> = texts.iter().map(|text| str::from_utf8(text)).collect();
    let (texts, mut failed) = (texts?, 0u64);
    meter.each_on(
        name,
        &mut String::with_capacity(1 << 20),
        |copy, at| {
            copy.clear();
            copy.push_str(texts[at % texts.len()]);
        },
        |copy| {
            let taken = take(copy);
            failed += u64::from(taken.is_err());
            taken
        },
    );
    anyhow::ensure!(failed == 0, "{name}: {failed} messages were refused");
    Ok(())
}

/// One way of decoding into the book, which starts anew when the messages do.
fn into_flat_book(
    meter: &mut Meter,
    name: &str,
    texts: &[Vec<u8>],
    decode: impl FnMut(&mut Rig<Binance>),
) -> anyhow::Result<()> {
    let instrument = instrument();
    let warm = warm_keeper(&instrument)?;
    let mut rig = Rig::new(LINK_MD, vec!["BTCUSDT".to_owned()], Binance::new)?;
    // The machine's own increments, so that the numbers of the text fit.
    let known = *rig.registry.instruments().first().context("one symbol")?;
    let mut again = 0usize;
    rig.tap.keeper = Some((warm, known));
    let snapshot = data::snapshot();
    meter.each_on(
        name,
        &mut rig,
        |rig, at| {
            if at % texts.len() == 0
                && let Some((keeper, instrument)) = &mut rig.tap.keeper
            {
                keeper.reset();
                let msg = super::book::message(None, &snapshot);
                let outcome = keeper.on_msg(&msg, instrument, UnixNanos(1));
                again += usize::from(outcome == Outcome::Applied);
            }
            rig.load(&texts[at % texts.len()]);
        },
        decode,
    );
    rig.check(name, rig.calls)?;
    if again == 0 {
        bail!("the book never started");
    }
    Ok(())
}
