//! One message of the venue: its text decoded, and its levels into the book. Each is timed alone, from a copy as warm as
//! bytes that were decrypted a moment ago.

use crate::books::{delta, hft_apply, nautilus_id, raw, vector};
use crate::recording::{Change, LOT, Message, QTY_DECIMALS, Recording, TICK};
use crate::round::{self, Entrant, Row, Top, timed};
use anyhow::{Context as _, ensure};
use dp_book::{Keeper, Outcome};
use dp_types::{
    BookMsg, BookMsgKind, Instrument, LinkId, RawLevel, Side, UnixNanos, VenueId, VenueNanos,
};
use dp_venue_api::{Event, Registry, RestRequest, Sink};
use dp_venue_binance::LINK_MD;
use dp_venue_binance::feed::Decoder;
use dp_venue_binance::sync::BinanceSync;
use hftbacktest::prelude::{HashMapMarketDepth, L2MarketDepth, MarketDepth};
use nautilus_model::enums::BookType;
use nautilus_model::identifiers::InstrumentId;
use nautilus_model::orderbook::OrderBook;
use serde::Deserialize;

/// All ways, in turn; the second is the digest of how they ended. Errors: as [`round::run`].
pub fn run(recording: &Recording, rounds: u32) -> anyhow::Result<(Vec<Row>, u64)> {
    let map = HashMapMarketDepth::new(TICK, LOT);
    let mut entrants: Vec<(&str, Box<dyn Entrant + '_>)> = vec![
        ("spinlane", Box::new(Ours::new(recording)?)),
        (
            "serde_json, hftbacktest ROIVector",
            Box::new(Usual::new(recording, Hft(vector(recording.range())))),
        ),
        (
            "serde_json, hftbacktest HashMap",
            Box::new(Usual::new(recording, Hft(map))),
        ),
        (
            "serde_json, NautilusTrader",
            Box::new(Usual::new(recording, Nautilus::new())),
        ),
    ];
    round::run(&mut entrants, rounds, 1)
}

/// Texts, and room for a copy of each.
struct Texts<'r> {
    sent: Vec<&'r Message>,
    copies: Vec<Vec<u8>>,
}

impl<'r> Texts<'r> {
    fn new(recording: &'r Recording) -> Self {
        let sent: Vec<_> = recording.messages().collect();
        let copies = sent.iter().map(|it| it.text.clone()).collect();
        Self { sent, copies }
    }

    /// Each in turn: copied, untimed, then told.
    fn run(&mut self, told: &mut dyn FnMut(u64), mut read: impl FnMut(&mut Vec<u8>)) {
        for (sent, copy) in self.sent.iter().zip(&mut self.copies) {
            copy.copy_from_slice(&sent.text);
            timed(core::slice::from_mut(copy), 1, told, &mut read);
        }
    }
}

/// Ours as a lane does it: the scanner, the venue's rule with its gap check, the book.
struct Ours<'r> {
    texts: Texts<'r>,
    decoder: Decoder,
    registry: Registry,
    book: Booked,
    snapshot: [Vec<RawLevel>; 2],
    snapshot_id: i64,
}

/// Where the decoder's events go.
struct Booked {
    keeper: Keeper<BinanceSync>,
    instrument: Instrument,
    not_applied: u64,
}

impl Booked {
    fn take(&mut self, message: &BookMsg<'_>) {
        let outcome = self.keeper.on_msg(message, &self.instrument, UnixNanos(1));
        self.not_applied += u64::from(outcome != Outcome::Applied);
    }
}

impl Sink for Booked {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Book(message) = event {
            self.take(message);
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

impl<'r> Ours<'r> {
    fn new(recording: &'r Recording) -> anyhow::Result<Self> {
        let mut registry = Registry::new();
        let id = registry.register(VenueId::BINANCE, "BTCUSDT", QTY_DECIMALS, QTY_DECIMALS)?;
        let instrument = registry
            .get(id)
            .copied()
            .context("it was just registered")?;
        let side = |wanted| {
            let all = recording.snapshot.iter().map(raw);
            all.filter(|(side, _)| *side == wanted)
                .map(|(_, level)| level)
                .collect()
        };
        Ok(Self {
            texts: Texts::new(recording),
            decoder: Decoder::default(),
            registry,
            book: Booked {
                keeper: Keeper::new(BinanceSync),
                instrument,
                not_applied: 0,
            },
            snapshot: [side(Side::Buy), side(Side::Sell)],
            snapshot_id: recording.snapshot_id,
        })
    }
}

impl Entrant for Ours<'_> {
    fn begin(&mut self) -> anyhow::Result<()> {
        let [bids, asks] = &self.snapshot;
        self.book.keeper.reset();
        self.book.take(&BookMsg {
            instrument: self.book.instrument.id,
            kind: BookMsgKind::Snapshot,
            first_id: self.snapshot_id,
            last_id: self.snapshot_id,
            prev_id: -1,
            checksum: None,
            bids,
            asks,
            venue_ns: VenueNanos(0),
        });
        Ok(())
    }

    fn run(&mut self, told: &mut dyn FnMut(u64)) -> anyhow::Result<()> {
        let (decoder, registry, book) = (&mut self.decoder, &self.registry, &mut self.book);
        let mut faults = 0u64;
        self.texts.run(told, |text| {
            faults += u64::from(decoder.text(registry, LINK_MD, text, book).is_err());
        });
        let refused = self.book.not_applied;
        ensure!(
            faults == 0 && refused == 0,
            "{faults} messages not understood, {refused} not applied"
        );
        Ok(())
    }

    fn top(&self) -> Top {
        round::top_of_ours(self.book.keeper.book())
    }
}

#[derive(Deserialize)]
struct Combined<'a> {
    #[serde(borrow)]
    data: Depth<'a>,
}

#[derive(Deserialize)]
struct Depth<'a> {
    u: u64,
    #[serde(borrow)]
    b: Vec<[&'a str; 2]>,
    #[serde(borrow)]
    a: Vec<[&'a str; 2]>,
}

/// A peer's book, told doubles.
trait Told {
    fn level(&mut self, is_bid: bool, price: f64, qty: f64, sequence: u64) -> Option<()>;
    fn top(&self) -> Top;
}

struct Hft<D>(D);

impl<D: L2MarketDepth + MarketDepth> Told for Hft<D> {
    #[inline]
    fn level(&mut self, is_bid: bool, price: f64, qty: f64, sequence: u64) -> Option<()> {
        hft_apply(&mut self.0, is_bid, price, qty, sequence.cast_signed());
        Some(())
    }

    fn top(&self) -> Top {
        round::top_of_hft(&self.0)
    }
}

struct Nautilus {
    book: OrderBook,
    id: InstrumentId,
}

impl Nautilus {
    fn new() -> Self {
        let id = nautilus_id();
        Self {
            book: OrderBook::new(id, BookType::L2_MBP),
            id,
        }
    }
}

impl Told for Nautilus {
    #[inline]
    fn level(&mut self, is_bid: bool, price: f64, qty: f64, sequence: u64) -> Option<()> {
        let delta = delta(self.id, is_bid, price, qty, sequence);
        self.book.apply_delta(&delta).ok()
    }

    fn top(&self) -> Top {
        round::top_of_nautilus(&self.book)
    }
}

/// The usual way in front of a peer's book: serde_json into borrowed text, text into doubles. No gap is looked for.
struct Usual<'r, B> {
    texts: Texts<'r>,
    book: B,
    removals: Vec<Change>,
    snapshot: Vec<Change>,
}

impl<'r, B: Told> Usual<'r, B> {
    fn new(recording: &'r Recording, book: B) -> Self {
        Self {
            texts: Texts::new(recording),
            book,
            removals: round::removals(recording.snapshot.iter().chain(recording.levels())),
            snapshot: recording.snapshot.clone(),
        }
    }
}

#[inline]
fn read(book: &mut impl Told, text: &[u8]) -> Option<()> {
    let message: Combined<'_> = serde_json::from_slice(text).ok()?;
    let depth = &message.data;
    for (is_bid, side) in [(true, &depth.b), (false, &depth.a)] {
        for [price, qty] in side {
            book.level(is_bid, price.parse().ok()?, qty.parse().ok()?, depth.u)?;
        }
    }
    Some(())
}

impl<B: Told> Entrant for Usual<'_, B> {
    fn begin(&mut self) -> anyhow::Result<()> {
        for it in self.removals.iter().chain(&self.snapshot) {
            let taken = self.book.level(it.is_bid, it.price_f64(), it.qty_f64(), 1);
            taken.context("a level of the snapshot was refused")?;
        }
        Ok(())
    }

    fn run(&mut self, told: &mut dyn FnMut(u64)) -> anyhow::Result<()> {
        let (book, mut faults) = (&mut self.book, 0u64);
        self.texts
            .run(told, |text| faults += u64::from(read(book, text).is_none()));
        ensure!(faults == 0, "{faults} messages not understood or refused");
        Ok(())
    }

    fn top(&self) -> Top {
        self.book.top()
    }
}
