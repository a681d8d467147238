//! Public frames → events: books, raw books, trades.
//!
//! ```text
//! [chanId, DATA, SEQ?, TS?]          DATA = [PRICE,COUNT,AMOUNT] or a list of them     Book (P0)
//!                                           [ID,PRICE,AMOUNT] or a list of them        L3 (R0)
//!                                           a list of [ID,MTS,AMOUNT,PRICE]            Trade, oldest first
//! [chanId, "te"|"tu", ROW, SEQ?, TS?]                                                  Trade, once
//! [chanId, "cs", CRC, SEQ?, TS?]     Book or L3 without levels, with the checksum
//! [chanId, "hb", SEQ?, TS?]          Book or L3 without levels (its age begins anew), or Heartbeat
//! ```
//! What SEQ and TS are there follows from the flags the venue confirmed, never from how long a frame is: arrays
//! may grow at their ends. The sign of an amount is its side. A list is a snapshot, an empty one too.
//! Recorders write the channel itself, `{"channel":..,"symbol":..}`, in the place of its number: that is read as
//! well.
//! Source: venue page, sections 1.2 and 3, read 2026-11-21; fixtures `feed_*.json`.

use crate::ID;
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{
    BookMsg, BookMsgKind, Decimal, InstrumentId, L3Msg, NumError, OrderAct, OrderId, RawLevel,
    RawOrder, Side, TradeId, TradeMsg, VenueNanos,
};
use dp_venue_api::{Control, DecodeError, Event, Registry, Sink};
use dp_wire::json::{Items, JsonError, Value};

/// Appends the time of the event to every frame.
pub const FLAG_TIME: u64 = 32_768;
/// Numbers the frames of a connection.
pub const FLAG_SEQ: u64 = 65_536;
/// Sends checksums of books.
pub const FLAG_CHECKSUM: u64 = 131_072;
/// What we ask for on a market data link.
pub const FLAGS: u64 = FLAG_TIME | FLAG_SEQ | FLAG_CHECKSUM;

/// Why a frame or an event is of no use to us.
pub mod ignored {
    /// A ticker: its sizes are sums over 25 levels, and the book says more.
    pub const TICKER: &str = "ticker";
    /// A candle.
    pub const CANDLES: &str = "candles";
    /// Status of a derivative.
    pub const STATUS: &str = "status of a derivative";
    /// A channel of another kind.
    pub const OTHER_CHANNEL: &str = "a channel we do not use";
    /// Funding: books have their signs turned round, trades other fields.
    pub const FUNDING: &str = "funding";
    /// An aggregated or second book of an instrument: mixed with the first one it would be neither.
    pub const SECOND_BOOK: &str = "a second book of this instrument";
    /// The instrument is not in the registry.
    pub const NOT_FOLLOWED: &str = "an instrument we do not follow";
    /// The channel's subscription was not seen on this connection.
    pub const UNKNOWN_CHANNEL: &str = "a channel that was not subscribed here";
    /// The trade was told when it was executed.
    pub const CONFIRMED: &str = "a trade that was told before";
    /// A message of a kind we do not know.
    pub const UNKNOWN_KIND: &str = "a frame of a kind we do not know";
    /// A list or an object that is neither frame nor event.
    pub const NO_FRAME: &str = "a REST answer without its URL";
}

/// Names a field in the error of reading it.
pub(crate) fn at(field: &'static str) -> impl Fn(JsonError) -> DecodeError {
    move |error| match error {
        JsonError::Decimal(error) => DecodeError::Number { field, error },
        JsonError::Missing | JsonError::Kind | JsonError::Inexact => DecodeError::Field(field),
        error => of_json(error),
    }
}

/// An error of the JSON text itself.
pub(crate) fn of_json(error: JsonError) -> DecodeError {
    match error {
        JsonError::TooLarge => DecodeError::TooMuch("message size"),
        JsonError::TooDeep => DecodeError::TooMuch("nesting"),
        _ => DecodeError::Json,
    }
}

/// The next element as a decimal.
fn decimal(items: &mut Items<'_>, field: &'static str) -> Result<Decimal, DecodeError> {
    let value = items.next().ok_or(DecodeError::Field(field))?;
    value.as_decimal().map_err(at(field))
}

/// The next element as an unsigned integer.
fn uint(items: &mut Items<'_>, field: &'static str) -> Result<u64, DecodeError> {
    items
        .next()
        .and_then(Value::as_u64)
        .ok_or(DecodeError::Field(field))
}

fn row<'a>(value: Value<'a>, field: &'static str) -> Result<Items<'a>, DecodeError> {
    value.as_array().ok_or(DecodeError::Field(field))
}

/// Side and size of a signed amount. Errors: zero has no side.
pub(crate) fn sided(amount: Decimal, field: &'static str) -> Result<(Side, Decimal), DecodeError> {
    match amount.mantissa {
        0 => Err(DecodeError::Field(field)),
        1.. => Ok((Side::Buy, amount)),
        _ => Ok((Side::Sell, negated(amount, field)?)),
    }
}

/// The number with its other sign.
pub(crate) fn negated(value: Decimal, field: &'static str) -> Result<Decimal, DecodeError> {
    let mantissa = value.mantissa.checked_neg().ok_or(DecodeError::Number {
        field,
        error: NumError::TooLarge,
    })?;
    Ok(Decimal { mantissa, ..value })
}

/// What a book channel shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// Prices with their amounts.
    Levels,
    /// Single orders.
    Orders,
}

/// What a channel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelKind {
    /// Prices with their amounts, as they are (P0).
    Book(InstrumentId),
    /// Single orders (R0).
    Raw(InstrumentId),
    /// Public trades.
    Trades(InstrumentId),
    /// Something we have no use for, and why.
    Ignored(&'static str),
}

impl ChannelKind {
    /// Whose book it is, if it is one, and what it shows.
    pub const fn book(self) -> Option<(InstrumentId, Shows)> {
        match self {
            Self::Book(id) => Some((id, Shows::Levels)),
            Self::Raw(id) => Some((id, Shows::Orders)),
            _ => None,
        }
    }

    /// Reads a `subscribed` event, or a channel that stands in the place of its number. `None` when it names no
    /// channel.
    pub fn of(registry: &Registry, named: Value<'_>) -> Option<Self> {
        let text = |key| named.get(key).and_then(Value::as_str);
        let channel = text("channel")?;
        let symbol = text("symbol").unwrap_or("");
        let instrument = registry.find(ID, symbol.as_bytes());
        Some(match (channel, instrument) {
            ("ticker", _) => Self::Ignored(ignored::TICKER),
            ("candles", _) => Self::Ignored(ignored::CANDLES),
            ("status", _) => Self::Ignored(ignored::STATUS),
            ("book" | "trades", _) if symbol.starts_with('f') => Self::Ignored(ignored::FUNDING),
            ("book" | "trades", None) => Self::Ignored(ignored::NOT_FOLLOWED),
            ("trades", Some(id)) => Self::Trades(id),
            ("book", Some(id)) => match text("prec") {
                Some("R0") => Self::Raw(id),
                Some("P0") | None => Self::Book(id),
                Some(_) => Self::Ignored(ignored::SECOND_BOOK),
            },
            _ => Self::Ignored(ignored::OTHER_CHANNEL),
        })
    }
}

/// What stands in a frame beside its channel.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What<'a> {
    Data(Value<'a>),
    Heartbeat,
    Checksum(u32),
    Executed(Value<'a>),
    Confirmed(Value<'a>),
    Funding,
    Unknown,
}

/// Number and time of a frame, as far as the flags say that it has them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    /// -1 for none.
    pub(crate) seq: i64,
    pub(crate) venue_ns: VenueNanos,
}

/// Reads what follows the channel.
pub(crate) fn frame(mut items: Items<'_>, flags: u64) -> Result<(What<'_>, Stamp), DecodeError> {
    let first = items.next().ok_or(DecodeError::Field("data"))?;
    let what = match first.as_str() {
        None if first.as_array().is_some() => What::Data(first),
        None => return Err(DecodeError::Field("data")),
        Some("hb") => What::Heartbeat,
        Some(kind) => {
            let second = items.next().ok_or(DecodeError::Field("data"))?;
            match kind {
                "cs" => What::Checksum(checksum(second)?),
                "te" => What::Executed(second),
                "tu" => What::Confirmed(second),
                "fte" | "ftu" => What::Funding,
                _ => What::Unknown,
            }
        }
    };
    let mut seq = -1;
    if flags & FLAG_SEQ != 0 {
        seq = i64::try_from(uint(&mut items, "seq")?).map_err(|_| DecodeError::Field("seq"))?;
    }
    let mut venue_ns = VenueNanos(0);
    if flags & FLAG_TIME != 0 {
        venue_ns = VenueNanos::from_millis(uint(&mut items, "time")?);
    }
    Ok((what, Stamp { seq, venue_ns }))
}

/// The signed 32-bit checksum as its bits.
fn checksum(value: Value<'_>) -> Result<u32, DecodeError> {
    let signed = value.as_i64().and_then(|value| i32::try_from(value).ok());
    signed
        .map(i32::cast_unsigned)
        .ok_or(DecodeError::Field("checksum"))
}

/// Room for the levels or orders of one message, taken once.
#[derive(Debug)]
pub(crate) struct Room {
    bids: Vec<RawLevel>,
    asks: Vec<RawLevel>,
    orders: Vec<RawOrder>,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            bids: Vec::with_capacity(MSG_LEVELS_MAX),
            asks: Vec::with_capacity(MSG_LEVELS_MAX),
            orders: Vec::with_capacity(MSG_LEVELS_MAX),
        }
    }
}

impl Room {
    fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
        self.orders.clear();
    }

    /// Adds `[PRICE,COUNT,AMOUNT]`; no count takes the level away, from the side of its amount.
    fn add_level(&mut self, value: Value<'_>) -> Result<(), DecodeError> {
        let mut items = row(value, "level")?;
        let price = decimal(&mut items, "price")?;
        let count = uint(&mut items, "count")?;
        let (side, size) = sided(decimal(&mut items, "amount")?, "amount")?;
        let levels = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        if levels.len() >= MSG_LEVELS_MAX {
            return Err(DecodeError::TooMuch("levels"));
        }
        let qty = if count == 0 { Decimal::ZERO } else { size };
        levels.push(RawLevel { price, qty });
        Ok(())
    }

    /// Adds `[ID,PRICE,AMOUNT]`; no price takes the order away.
    fn add_order(&mut self, value: Value<'_>) -> Result<(), DecodeError> {
        let mut items = row(value, "order")?;
        let id = OrderId(u128::from(uint(&mut items, "order id")?));
        let price = decimal(&mut items, "price")?;
        let (side, size) = sided(decimal(&mut items, "amount")?, "amount")?;
        if self.orders.len() >= MSG_LEVELS_MAX {
            return Err(DecodeError::TooMuch("orders"));
        }
        self.orders.push(RawOrder {
            act: OrderAct::Rests,
            id,
            side,
            price,
            qty: if price.is_zero() { Decimal::ZERO } else { size },
        });
        Ok(())
    }

    /// Reads one row or a list of them; says which it was.
    fn read(
        &mut self,
        data: Value<'_>,
        add: fn(&mut Self, Value<'_>) -> Result<(), DecodeError>,
    ) -> Result<BookMsgKind, DecodeError> {
        self.clear();
        let is_list = data.at(0).is_none_or(|first| first.as_array().is_some());
        if !is_list {
            add(self, data)?;
            return Ok(BookMsgKind::Delta);
        }
        for item in row(data, "data")? {
            add(self, item)?;
        }
        Ok(BookMsgKind::Snapshot)
    }

    fn tell_book(
        &self,
        instrument: InstrumentId,
        kind: BookMsgKind,
        (checksum, missed): (Option<u32>, i64),
        stamp: Stamp,
        out: &mut impl Sink,
    ) {
        out.event(&Event::Book(BookMsg {
            instrument,
            kind,
            first_id: stamp.seq,
            last_id: stamp.seq,
            prev_id: missed,
            checksum,
            bids: &self.bids,
            asks: &self.asks,
            venue_ns: stamp.venue_ns,
        }));
    }

    fn tell_orders(
        &self,
        instrument: InstrumentId,
        kind: BookMsgKind,
        (checksum, has_hole): (Option<u32>, bool),
        stamp: Stamp,
        out: &mut impl Sink,
    ) {
        out.event(&Event::L3(L3Msg {
            instrument,
            kind,
            last_id: stamp.seq,
            has_hole,
            has_more: false,
            checksum,
            orders: &self.orders,
            venue_ns: stamp.venue_ns,
        }));
    }
}

/// Nothing is missing, see `sync`.
const WHOLE: i64 = -1;

/// One frame of a book. Says whether it was a snapshot.
pub(crate) fn on_book(
    instrument: InstrumentId,
    what: What<'_>,
    stamp: Stamp,
    room: &mut Room,
    out: &mut impl Sink,
) -> Result<bool, DecodeError> {
    let (kind, checksum) = match what {
        What::Data(data) => (room.read(data, Room::add_level)?, None),
        What::Checksum(checksum) => {
            room.clear();
            (BookMsgKind::Delta, Some(checksum))
        }
        What::Heartbeat => {
            room.clear();
            (BookMsgKind::Delta, None)
        }
        _ => {
            out.event(&Event::Ignored(ignored::UNKNOWN_KIND));
            return Ok(false);
        }
    };
    room.tell_book(instrument, kind, (checksum, WHOLE), stamp, out);
    Ok(kind == BookMsgKind::Snapshot)
}

/// One level of a book, read already.
pub(crate) fn on_level(
    instrument: InstrumentId,
    side: Side,
    level: RawLevel,
    stamp: Stamp,
    room: &mut Room,
    out: &mut impl Sink,
) {
    room.clear();
    match side {
        Side::Buy => room.bids.push(level),
        Side::Sell => room.asks.push(level),
    }
    room.tell_book(instrument, BookMsgKind::Delta, (None, WHOLE), stamp, out);
}

/// Says that this book has missed the number `missed`.
pub(crate) fn tell_gap(
    instrument: InstrumentId,
    missed: i64,
    stamp: Stamp,
    room: &mut Room,
    out: &mut impl Sink,
) {
    room.clear();
    let gap = (None, missed.max(0));
    room.tell_book(instrument, BookMsgKind::Delta, gap, stamp, out);
}

/// Says that messages about these single orders are missing.
pub(crate) fn tell_hole(
    instrument: InstrumentId,
    stamp: Stamp,
    room: &mut Room,
    out: &mut impl Sink,
) {
    room.clear();
    room.tell_orders(instrument, BookMsgKind::Delta, (None, true), stamp, out);
}

/// One frame of a raw book.
pub(crate) fn on_raw(
    instrument: InstrumentId,
    what: What<'_>,
    stamp: Stamp,
    room: &mut Room,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let (kind, checksum) = match what {
        What::Data(data) => (room.read(data, Room::add_order)?, None),
        What::Checksum(checksum) => {
            room.clear();
            (BookMsgKind::Delta, Some(checksum))
        }
        What::Heartbeat => {
            room.clear();
            (BookMsgKind::Delta, None)
        }
        _ => {
            out.event(&Event::Ignored(ignored::UNKNOWN_KIND));
            return Ok(());
        }
    };
    room.tell_orders(instrument, kind, (checksum, false), stamp, out);
    Ok(())
}

/// One frame of trades; `last` is the highest trade told of this instrument, on any connection. What is not
/// above it was told, but for executions, which are told once anyway.
pub(crate) fn on_trades(
    instrument: InstrumentId,
    what: What<'_>,
    last: &mut Option<u64>,
    room: &mut Trades,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let known = *last;
    room.0.clear();
    let is_list = match what {
        What::Executed(row) => {
            let (id, trade) = trade(instrument, row)?;
            *last = known.max(Some(id));
            out.event(&Event::Trade(trade));
            return Ok(());
        }
        What::Confirmed(row) => {
            room.0.push(trade(instrument, row)?);
            false
        }
        What::Data(data) => {
            for item in row(data, "data")? {
                if room.0.len() >= TRADES_MAX {
                    return Err(DecodeError::TooMuch("trades"));
                }
                room.0.push(trade(instrument, item)?);
            }
            true
        }
        What::Heartbeat => {
            out.event(&Event::Control(Control::Heartbeat));
            return Ok(());
        }
        What::Funding => {
            out.event(&Event::Ignored(ignored::FUNDING));
            return Ok(());
        }
        What::Checksum(_) | What::Unknown => {
            out.event(&Event::Ignored(ignored::UNKNOWN_KIND));
            return Ok(());
        }
    };
    let mut told = 0;
    // Newest first on the wire.
    for (id, trade) in room.0.iter().rev().filter(|(id, _)| Some(*id) > known) {
        *last = (*last).max(Some(*id));
        out.event(&Event::Trade(*trade));
        told += 1;
    }
    if told == 0 {
        out.event(&Event::Ignored(if is_list && room.0.is_empty() {
            "no trades yet"
        } else {
            ignored::CONFIRMED
        }));
    }
    Ok(())
}

/// Trades one frame may carry; the venue sends 30.
const TRADES_MAX: usize = 1_000;

/// Room for the trades of one frame, taken once.
#[derive(Debug)]
pub(crate) struct Trades(Vec<(u64, TradeMsg)>);

impl Default for Trades {
    fn default() -> Self {
        Self(Vec::with_capacity(TRADES_MAX))
    }
}

/// `[ID,MTS,AMOUNT,PRICE]`; the sign is the taker's side.
fn trade(instrument: InstrumentId, value: Value<'_>) -> Result<(u64, TradeMsg), DecodeError> {
    let mut items = row(value, "trade")?;
    let id = uint(&mut items, "trade id")?;
    let ms = uint(&mut items, "trade time")?;
    let (taker, qty) = sided(decimal(&mut items, "amount")?, "amount")?;
    let price = decimal(&mut items, "price")?;
    let trade = TradeMsg {
        instrument,
        trade_id: TradeId(u128::from(id)),
        taker,
        price,
        qty,
        venue_ns: VenueNanos::from_millis(ms),
    };
    Ok((id, trade))
}
