//! Market data over FIX: what is asked for (V), and what comes: books whole (W), changes of them (X), trades.
//!
//! ```text
//!   V  262 263 …  146: 55  267: 269         1 asks, 2 ends; the rest is the dialect's
//!   W  55 (25044) (231) 268: 269 270 271      entries: bids, offers; trades were before it, and are passed over
//!   X  (55 231) 268: 279 269 55 270 271 (25043 25044) (5041)
//!                                             an entry without a symbol is of the one before; deleted has no quantity
//! ```
//! Levels are told by price; an entry of a size 0 takes its level out too. Where a venue numbers its books (25043 the
//! first change of a message, 25044 the last) or says its checksum after a message (5041) that goes with them; elsewhere
//! the session's numbers are the chain, told as numbers of the book where its rule wants some ([`Chained`]).
//! Sources: FIX 4.4 volume 3; the venues' own pages of V, W and X, each named beside its dialect.

use crate::dialect::{Chained, Levels, MarketAsk, Sizes};
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
    levels: Levels,
    bids: Vec<RawLevel>,
    asks: Vec<RawLevel>,
    /// The number of what was last told of each instrument.
    told: Vec<(InstrumentId, i64)>,
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

/// A size in contracts as a quantity; `None` where it cannot be written.
pub fn times(contracts: Decimal, each: Decimal) -> Option<Decimal> {
    Some(Decimal {
        mantissa: contracts.mantissa.checked_mul(each.mantissa)?,
        exponent: contracts.exponent.checked_add(each.exponent)?,
    })
}

/// A number with so many digits behind the point, where it has no more.
fn padded(number: Decimal, decimals: u8) -> Decimal {
    let made = number
        .to_increments(decimals)
        .ok()
        .zip(i8::try_from(decimals).ok());
    made.map_or(number, |(mantissa, decimals)| Decimal {
        mantissa,
        exponent: -decimals,
    })
}

impl Market {
    /// Of these instruments, written so. Takes its memory here.
    pub fn new(levels: Levels, instruments: &[InstrumentId]) -> Self {
        Self {
            levels,
            bids: Vec::with_capacity(LEVELS_WARM),
            asks: Vec::with_capacity(LEVELS_WARM),
            told: instruments.iter().map(|id| (*id, -1)).collect(),
        }
    }

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
            seq: message.u64(34).and_then(|seq| i64::try_from(seq).ok()),
            ids: (b"", b""),
            each: b"",
            checksum: None,
        };
        reader.market.clear();
        let (mut entry, mut has_entry, mut told) = (Entry::default(), false, 0);
        // What an entry begins with: its action, or in a whole book its kind.
        let begins = if is_whole { 269 } else { 279 };
        let of_taker = reader.market.levels.taker;
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
                1003 | 880 | 100009 => entry.trade = value,
                231 => reader.each = value,
                5041 => reader.checksum = Some(checksum(value)?),
                tag if tag == of_taker => entry.taker = value,
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
        let is_book = reader.has_levels() || (is_whole && !has_entry);
        reader.tell_all(is_book, out)?;
        Ok(reader.instrument.filter(|_| is_whole && is_book))
    }

    fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }
}

fn checksum(text: &[u8]) -> Result<u32, DecodeError> {
    let sum = parse_u64(text).and_then(|sum| u32::try_from(sum).ok());
    sum.ok_or(DecodeError::Field("ChecksumOrderBook"))
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
    /// The message's own number.
    seq: Option<i64>,
    /// First and last number of what is read, as printed; empty where the venue gives none.
    ids: (&'a [u8], &'a [u8]),
    /// How much a contract is, as printed.
    each: &'a [u8],
    /// Of the book after this message.
    checksum: Option<u32>,
}

impl<'a> Reader<'a> {
    /// Entries are of this symbol from here on. Within an entry of changes the symbol stands after its action, so the
    /// entry before it has been read already.
    fn turn(&mut self, symbol: &'a [u8], out: &mut impl Sink) -> Result<(), DecodeError> {
        if symbol == self.symbol {
            return Ok(());
        }
        self.tell_all(self.has_levels(), out)?;
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
            self.tell_all(true, out)?;
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
        let is_bid = match entry.kind {
            b"0" => true,
            b"1" => false,
            // Those before a whole book were told when they were made, or before we listened.
            b"2" if self.is_whole => return Ok(()),
            b"2" => return self.trade(instrument, entry, out),
            // Opening, closing, high, low: of a day, not of a book.
            _ => return Ok(()),
        };
        let qty = if entry.action == b"2" {
            Decimal::ZERO
        } else {
            self.size(entry)?
        };
        let price = number(entry.price, "MDEntryPx")?;
        let level = self.pad(instrument, RawLevel { price, qty });
        let levels = if is_bid {
            &mut self.market.bids
        } else {
            &mut self.market.asks
        };
        if levels.len() >= LEVELS_MAX {
            return Err(DecodeError::TooMuch("levels"));
        }
        levels.push(level);
        Ok(())
    }

    /// The quantity of an entry.
    fn size(&self, entry: &Entry<'_>) -> Result<Decimal, DecodeError> {
        let size = number(entry.qty, "MDEntrySize")?;
        match self.market.levels.sizes {
            Sizes::Units => Ok(size),
            Sizes::Contracts => {
                let each = number(self.each, "ContractMultiplier")?;
                times(size, each).ok_or(DecodeError::TooMuch("digits of a size"))
            }
        }
    }

    /// A level with the digits the venue's checksum counts.
    fn pad(&self, instrument: InstrumentId, level: RawLevel) -> RawLevel {
        let padding = self.market.levels.padded;
        let Some((finer, known)) = padding.zip(self.registry.get(instrument)) else {
            return level;
        };
        RawLevel {
            price: padded(level.price, known.price_decimals.saturating_sub(finer)),
            qty: padded(level.qty, known.qty_decimals),
        }
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
            qty: self.size(entry)?,
            venue_ns: self.venue_ns,
        }));
        Ok(())
    }

    /// The number of what was told of the instrument before, where the session's are the chain; this message's is the
    /// next one's.
    fn follow(&mut self, instrument: InstrumentId) -> Option<(i64, i64)> {
        if self.market.levels.chain != Chained::Session {
            return None;
        }
        let mut told = self.market.told.iter_mut();
        let (_, last) = told.find(|(id, _)| *id == instrument)?;
        let seq = self.seq?;
        Some((core::mem::replace(last, seq), seq))
    }

    /// Tells the levels read so far, if they are a book's.
    fn tell_all(&mut self, is_book: bool, out: &mut impl Sink) -> Result<(), DecodeError> {
        if let Some(instrument) = self.instrument.filter(|_| is_book) {
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
            let (prev_id, first_id, last_id) = match self.follow(instrument) {
                Some((_, seq)) if self.is_whole => (-1, seq, seq),
                Some((prev, seq)) => (prev, prev.saturating_add(1).min(seq), seq),
                None => (-1, first_id, last_id),
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
                prev_id,
                checksum: self.checksum,
                bids: &self.market.bids,
                asks: &self.market.asks,
                venue_ns: self.venue_ns,
            }));
        }
        self.market.clear();
        Ok(())
    }
}
