//! Market data over FIX: what is asked for (V), and what comes: books whole (W), changes of them (X), trades.
//!
//! ```text
//!   V  262 263 …  146: 55  267: 269         1 asks, 2 ends; the rest is the dialect's
//!   W  55 (25044) 268: 269 270 271            entries: bids, offers; trades are passed over
//!   X  268: 279 269 55 270 271 (25043 25044)  an entry without a symbol is of the one before; deleted has no quantity
//! ```
//! Levels are told by price; an entry of a size 0 takes its level out too. Where a venue numbers its books (25043 the
//! first change of a message, 25044 the last) the numbers go with them; elsewhere the session's are the chain.
//! Sources: FIX 4.4 volume 3; binance-spot-api-docs, fix-api.md, read 2026-11-22.

use crate::dialect::MarketAsk;
use crate::write::Fields;
use dp_types::{
    BookMsg, BookMsgKind, Decimal, InstrumentId, RawLevel, Side, TradeId, TradeMsg, VenueId,
    VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Registry, Sink};
use dp_wire::fix::Message;
use dp_wire::ids::parse_u64;
use dp_wire::time::parse_fix;

/// Levels a side of one message; more are [`DecodeError::TooMuch`].
const LEVELS_MAX: usize = 8_192;
/// Room taken at the start.
const LEVELS_WARM: usize = 1_024;

pub(crate) const NOT_FOLLOWED: Event<'static> = Event::Ignored("of an instrument we do not follow");

/// Writes the fields of a request for market data of a symbol, or of its end.
pub fn write_request(
    id: &[u8],
    is_wanted: bool,
    symbol: &[u8],
    ask: &MarketAsk,
    fields: &mut Fields,
) {
    fields
        .clear()
        .bytes(262, id)
        .u64(263, if is_wanted { 1 } else { 2 });
    for (tag, value) in ask.fields {
        fields.text(*tag, value);
    }
    if !ask.kinds.is_empty() {
        fields.u64(267, ask.kinds.len() as u64);
    }
    for kind in ask.kinds {
        fields.u64(269, *kind);
    }
    fields.u64(146, 1).bytes(55, symbol);
}

/// One entry of a message.
#[derive(Debug, Clone, Copy, Default)]
struct Entry<'a> {
    action: &'a [u8],
    kind: &'a [u8],
    price: &'a [u8],
    qty: &'a [u8],
    trade: &'a [u8],
    taker: &'a [u8],
}

/// Reads books and trades; holds the levels of one message.
#[derive(Debug)]
pub struct Market {
    bids: Vec<RawLevel>,
    asks: Vec<RawLevel>,
}

impl Default for Market {
    fn default() -> Self {
        Self {
            bids: Vec::with_capacity(LEVELS_WARM),
            asks: Vec::with_capacity(LEVELS_WARM),
        }
    }
}

/// When the venue says it was: of the message, else when it was sent.
pub(crate) fn time(message: &Message<'_>) -> VenueNanos {
    let told = message.get(60).or_else(|| message.get(52));
    VenueNanos(told.and_then(parse_fix).unwrap_or(0))
}

/// Which side took.
pub(crate) const fn taker(text: &[u8]) -> Option<Side> {
    match text {
        b"1" => Some(Side::Buy),
        b"2" => Some(Side::Sell),
        _ => None,
    }
}

pub(crate) fn number(text: &[u8], field: &'static str) -> Result<Decimal, DecodeError> {
    if text.is_empty() {
        return Err(DecodeError::Field(field));
    }
    Decimal::parse(text).map_err(|error| DecodeError::Number { field, error })
}

impl Market {
    /// Reads one message of market data (W or X). Says whose whole book it was, if it was one.
    ///
    /// Errors: [`DecodeError`]. What was read of it before is told: a book may be wrong, and the link is to be
    /// replaced.
    pub fn on_message(
        &mut self,
        venue: VenueId,
        registry: &Registry,
        message: &Message<'_>,
        trade_id: fn(&[u8]) -> Option<TradeId>,
        out: &mut impl Sink,
    ) -> Result<Option<InstrumentId>, DecodeError> {
        let is_whole = message.kind() == b"W";
        let venue_ns = time(message);
        let mut reader = Reader {
            market: self,
            venue,
            registry,
            trade_id,
            is_whole,
            venue_ns,
            symbol: b"",
            instrument: None,
            ids: (b"", b""),
        };
        reader.market.clear();
        let (mut entry, mut has_entry, mut told) = (Entry::default(), false, 0);
        // What an entry begins with: its action, or in a whole book its kind.
        let begins = if is_whole { 269 } else { 279 };
        for (tag, value) in message.fields() {
            if tag == begins {
                if has_entry {
                    reader.entry(&entry, out)?;
                }
                (entry, has_entry) = (Entry::default(), true);
            }
            match tag {
                268 => told = 1,
                55 => reader.turn(value, out)?,
                269 => entry.kind = value,
                270 => entry.price = value,
                271 => entry.qty = value,
                279 => entry.action = value,
                1003 | 880 => entry.trade = value,
                2446 => entry.taker = value,
                25043 | 25044 => reader.renumber(tag, value, out)?,
                _ => {}
            }
        }
        if told == 0 {
            return Err(DecodeError::Field("NoMDEntries"));
        }
        if has_entry {
            reader.entry(&entry, out)?;
        }
        // The rest of more levels than a message of the venue holds would have the same numbers.
        if reader.has_levels() && message.get(893) == Some(b"N") {
            return Err(DecodeError::TooMuch("levels"));
        }
        reader.tell(out)?;
        Ok(reader.instrument.filter(|_| is_whole))
    }

    fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }
}

/// One message being read.
struct Reader<'a> {
    market: &'a mut Market,
    venue: VenueId,
    registry: &'a Registry,
    trade_id: fn(&[u8]) -> Option<TradeId>,
    is_whole: bool,
    venue_ns: VenueNanos,
    symbol: &'a [u8],
    instrument: Option<InstrumentId>,
    /// First and last number of what is read, as printed; empty where the venue gives none.
    ids: (&'a [u8], &'a [u8]),
}

impl<'a> Reader<'a> {
    /// Entries are of this symbol from here on. Within an entry of changes the symbol stands after its action, so the
    /// entry before it has been read already.
    fn turn(&mut self, symbol: &'a [u8], out: &mut impl Sink) -> Result<(), DecodeError> {
        if symbol == self.symbol {
            return Ok(());
        }
        self.tell(out)?;
        self.symbol = symbol;
        self.instrument = self.registry.find(self.venue, symbol);
        if self.instrument.is_none() {
            out.event(&NOT_FOLLOWED);
        }
        Ok(())
    }

    /// Entries have this number from here on; in an entry it stands behind the symbol.
    fn renumber(
        &mut self,
        tag: u32,
        number: &'a [u8],
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let known = if tag == 25043 { self.ids.0 } else { self.ids.1 };
        // Before the entries of a whole book there is nothing to tell.
        if known != number && self.has_levels() {
            self.tell(out)?;
        }
        if tag == 25043 {
            self.ids.0 = number;
        } else {
            self.ids.1 = number;
        }
        Ok(())
    }

    fn has_levels(&self) -> bool {
        !self.market.bids.is_empty() || !self.market.asks.is_empty()
    }

    fn entry(&mut self, entry: &Entry<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
        if self.symbol.is_empty() {
            return Err(DecodeError::Field("Symbol"));
        }
        let Some(instrument) = self.instrument else {
            return Ok(());
        };
        let levels = match entry.kind {
            b"0" => &mut self.market.bids,
            b"1" => &mut self.market.asks,
            b"2" => return self.trade(instrument, entry, out),
            // Opening, closing, high, low: of a day, not of a book.
            _ => return Ok(()),
        };
        let qty = if entry.action == b"2" {
            Decimal::ZERO
        } else {
            number(entry.qty, "MDEntrySize")?
        };
        if levels.len() >= LEVELS_MAX {
            return Err(DecodeError::TooMuch("levels"));
        }
        let price = number(entry.price, "MDEntryPx")?;
        levels.push(RawLevel { price, qty });
        Ok(())
    }

    fn trade(
        &self,
        instrument: InstrumentId,
        entry: &Entry<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        // Where it is not said which side took, it is of no use to whoever looks for that.
        let Some(taker) = taker(entry.taker) else {
            out.event(&Event::Ignored("a trade whose taker is not told"));
            return Ok(());
        };
        out.event(&Event::Trade(TradeMsg {
            instrument,
            trade_id: (self.trade_id)(entry.trade).unwrap_or_default(),
            taker,
            price: number(entry.price, "MDEntryPx")?,
            qty: number(entry.qty, "MDEntrySize")?,
            venue_ns: self.venue_ns,
        }));
        Ok(())
    }

    /// Tells the levels read so far.
    fn tell(&mut self, out: &mut impl Sink) -> Result<(), DecodeError> {
        let has_levels = self.has_levels();
        if let Some(instrument) = self.instrument.filter(|_| has_levels || self.is_whole) {
            let id = |text: &[u8]| match (text, parse_u64(text)) {
                (b"", _) => Ok(-1),
                (_, Some(id)) => i64::try_from(id).map_err(|_| DecodeError::Field("BookUpdateID")),
                (_, None) => Err(DecodeError::Field("BookUpdateID")),
            };
            let last_id = id(self.ids.1)?;
            let first_id = if self.ids.0.is_empty() {
                last_id
            } else {
                id(self.ids.0)?
            };
            out.event(&Event::Book(BookMsg {
                instrument,
                kind: if self.is_whole {
                    BookMsgKind::Snapshot
                } else {
                    BookMsgKind::Delta
                },
                first_id,
                last_id,
                prev_id: -1,
                checksum: None,
                bids: &self.market.bids,
                asks: &self.market.asks,
                venue_ns: self.venue_ns,
            }));
        }
        self.market.clear();
        Ok(())
    }
}
