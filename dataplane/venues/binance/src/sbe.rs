//! Market streams in their binary form: the same events as from JSON, at a fraction of the bytes.
//!
//! ```text
//!   10000 trades       event · transact · price exponent · quantity exponent │ trades: id price qty isBuyerMaker │ symbol
//!   10001 bestBidAsk   event · update id · exponents · bid price, qty · ask price, qty                           │ symbol
//!   10002 depth20      event · update id · exponents            │ bids, asks: price qty                          │ symbol
//!   10003 depth diff   event · first id · last id · exponents   │ bids, asks: price qty                          │ symbol
//! ```
//! Times are microseconds; a number is its mantissa times ten to the exponent of its kind. Books splice as those from
//! JSON do: the ids are `U` and `u`. Whatever a newer version adds is stepped over. What is no data is text there too.
//! Source: venue page, section 3 (SBE market streams), schema 1 version 0, read 2026-11-21.

use crate::auth::Auth;
use crate::feed::{Levels, instrument};
use crate::product::Market;
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{
    BookMsg, BookMsgKind, Decimal, QuoteMsg, RawLevel, Side, TradeId, TradeMsg, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Secrets, Sink};
use dp_wire::sbe::{Block, Group, Header, Reader};

/// The schema of the market streams.
const SCHEMA: u16 = 1;
const TRADES: u16 = 10_000;
const BEST_BID_ASK: u16 = 10_001;
const DEPTH_20: u16 = 10_002;
const DEPTH_DIFF: u16 = 10_003;

/// Why these keys bring no market data in SBE, if they do not: the venue gives it to Ed25519 keys alone, which need no
/// permission for it.
pub fn lacks(secrets: &Secrets) -> Option<&'static str> {
    match Auth::new(secrets) {
        Ok(Some(auth)) if auth.has_session() => None,
        Ok(None) => Some("\"sbe\" needs a key, an Ed25519 one: name its file in keys_file"),
        Ok(Some(_)) => {
            Some("\"sbe\" takes no HMAC key: give an Ed25519 one (ed25519_pem) in keys_file")
        }
        Err(_) => Some("\"sbe\" needs a key, and the one in keys_file cannot be used"),
    }
}

/// Something ends before its fields do.
const CUT: DecodeError = DecodeError::Shape("a binary message that ends early");

fn time(root: Block<'_>, at: usize) -> Result<VenueNanos, DecodeError> {
    let micros = root.i64(at).ok_or(CUT)?;
    let micros = u64::try_from(micros).map_err(|_| DecodeError::Field("time"))?;
    Ok(VenueNanos(micros.saturating_mul(1_000)))
}

fn id(root: Block<'_>, at: usize) -> Result<i64, DecodeError> {
    let id = root.i64(at).ok_or(CUT)?;
    (id >= 0)
        .then_some(id)
        .ok_or(DecodeError::Field("update id"))
}

/// The exponents of prices and quantities.
#[derive(Debug, Clone, Copy)]
struct Exponents {
    price: i8,
    qty: i8,
}

impl Exponents {
    fn read(root: Block<'_>, at: usize) -> Result<Self, DecodeError> {
        let one = |at| {
            let exponent = root.i8(at).ok_or(CUT)?;
            (-18..=18)
                .contains(&exponent)
                .then_some(exponent)
                .ok_or(DecodeError::Field("exponent"))
        };
        Ok(Self {
            price: one(at)?,
            qty: one(at + 1)?,
        })
    }

    /// Price and quantity, one behind the other.
    fn level(self, block: Block<'_>, at: usize) -> Result<RawLevel, DecodeError> {
        let number = |mantissa: Option<i64>, exponent| {
            let mantissa = mantissa.ok_or(CUT)?;
            Ok(Decimal { mantissa, exponent })
        };
        Ok(RawLevel {
            price: number(block.i64(at), self.price)?,
            qty: number(block.i64(at + 8), self.qty)?,
        })
    }

    fn levels(self, group: Group<'_>, levels: &mut Vec<RawLevel>) -> Result<(), DecodeError> {
        if group.len() > MSG_LEVELS_MAX {
            return Err(DecodeError::TooMuch("levels"));
        }
        levels.clear();
        for block in group {
            levels.push(self.level(block, 0)?);
        }
        Ok(())
    }
}

/// Decodes one binary message.
///
/// Cost: one pass, no allocation once warm. Errors: [`DecodeError`]; nothing of the message is told then.
pub(crate) fn message(
    market: Market<'_>,
    bytes: &[u8],
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(bytes);
    let header = reader.header().ok_or(CUT)?;
    if header.schema != SCHEMA {
        return Err(DecodeError::Shape("a binary message of another schema"));
    }
    match header.template {
        TRADES => trades(market, reader, &header, out),
        BEST_BID_ASK => quote(market, reader, &header, out),
        DEPTH_20 | DEPTH_DIFF => depth(market, reader, &header, levels, out),
        _ => {
            out.event(&Event::Ignored("a binary message we did not ask for"));
            Ok(())
        }
    }
}

/// The symbol a message is about, for tools that do not follow it. `None` when it is no message of these, or cut.
pub fn symbol_of(bytes: &[u8]) -> Option<&str> {
    let mut reader = Reader::new(bytes);
    let header = reader.header().filter(|header| header.schema == SCHEMA)?;
    reader.root(&header, 1)?;
    let sides = match header.template {
        TRADES => {
            reader.group32(1)?;
            0
        }
        BEST_BID_ASK => 0,
        DEPTH_20 | DEPTH_DIFF => 2,
        _ => return None,
    };
    for _ in 0..sides {
        reader.group16(1)?;
    }
    core::str::from_utf8(reader.text8()?).ok()
}

fn symbol(
    market: Market<'_>,
    reader: &mut Reader<'_>,
) -> Result<dp_types::InstrumentId, DecodeError> {
    let symbol = reader.text8().ok_or(CUT)?;
    let symbol = core::str::from_utf8(symbol).map_err(|_| DecodeError::Field("symbol"))?;
    instrument(market, symbol)
}

fn trades(
    market: Market<'_>,
    mut reader: Reader<'_>,
    header: &Header,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let root = reader.root(header, 18).ok_or(CUT)?;
    let venue_ns = time(root, 8)?;
    let exponents = Exponents::read(root, 16)?;
    let group = reader.group32(25).ok_or(CUT)?;
    let instrument = symbol(market, &mut reader)?;
    let trade = |block: Block<'_>| {
        let id = block.i64(0).and_then(|id| u64::try_from(id).ok());
        let RawLevel { price, qty } = exponents.level(block, 8)?;
        Ok(TradeMsg {
            instrument,
            trade_id: TradeId(u128::from(id.ok_or(DecodeError::Field("trade id"))?)),
            // The buyer rested, so the aggressor sold.
            taker: match block.u8(24) {
                Some(0) => Side::Buy,
                Some(1) => Side::Sell,
                _ => return Err(DecodeError::Field("isBuyerMaker")),
            },
            price,
            qty,
            venue_ns,
        })
    };
    // Once to see that all of it can be read, once to tell it.
    for block in group.clone() {
        trade(block)?;
    }
    for block in group {
        out.event(&Event::Trade(trade(block)?));
    }
    Ok(())
}

fn quote(
    market: Market<'_>,
    mut reader: Reader<'_>,
    header: &Header,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let root = reader.root(header, 50).ok_or(CUT)?;
    let exponents = Exponents::read(root, 16)?;
    let quote = QuoteMsg {
        instrument: symbol(market, &mut reader)?,
        update_id: id(root, 8)?,
        bid: exponents.level(root, 18)?,
        ask: exponents.level(root, 34)?,
        venue_ns: time(root, 0)?,
    };
    out.event(&Event::Quote(quote));
    Ok(())
}

fn depth(
    market: Market<'_>,
    mut reader: Reader<'_>,
    header: &Header,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let is_diff = header.template == DEPTH_DIFF;
    // A diff has one id more.
    let (kind, last_at) = if is_diff {
        (BookMsgKind::Delta, 16)
    } else {
        (BookMsgKind::Snapshot, 8)
    };
    let root = reader.root(header, last_at + 10).ok_or(CUT)?;
    let exponents = Exponents::read(root, last_at + 8)?;
    exponents.levels(reader.group16(16).ok_or(CUT)?, &mut levels.bids)?;
    exponents.levels(reader.group16(16).ok_or(CUT)?, &mut levels.asks)?;
    let book = BookMsg {
        instrument: symbol(market, &mut reader)?,
        kind,
        first_id: id(root, 8)?,
        last_id: id(root, last_at)?,
        prev_id: -1,
        checksum: None,
        bids: &levels.bids,
        asks: &levels.asks,
        venue_ns: time(root, 0)?,
    };
    out.event(&Event::Book(book));
    Ok(())
}
