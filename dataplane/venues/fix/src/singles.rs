//! Market data over FIX that shows single orders: kept order by order, told as levels.
//!
//! ```text
//!   W  83 893 55 268: 269 278 270 271          all orders, in pieces: 893=N, the last one 893=Y
//!   X  268: 279 269 278 83 55 270 271 5797     one event each, numbered (83) by instrument without a hole
//!   f  83 55                                   the instrument's state: only its number counts
//!
//!   Waiting ─ W ─▶ Loading ─ W, 893=Y ─▶ Whole ─ a hole in 83 ─▶ Waiting
//!      └───────── X held back ────────┘
//! ```
//! An order is made by 279=0, changed by 1, gone with 2; a trade (269=2) takes its quantity off the order that rested.
//! What has no id (278) is an order on its way, and rests nowhere. A hole is told as one, for the book's keeper to ask
//! anew. Source: the market data page of Coinbase Exchange's FIX 5.0 (docs.cdp.coinbase.com), read 2026-11-22.

use crate::dialect::Dialect;
use crate::market::{NOT_FOLLOWED, number, taker, time};
use dp_book::L3Book;
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{
    BookMsg, BookMsgKind, Decimal, Instrument, InstrumentId, OrderAct, RawLevel, RawOrder, Side,
    TradeMsg, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Registry, Sink};
use dp_wire::fix::Message;
use dp_wire::ids::parse_u64;

/// Orders of one instrument: twice what the venue's largest books have held [U]. 160 bytes each, taken at the start.
const ORDERS_MAX: usize = 1 << 17;
/// Events held back while a whole book comes in: some seconds of a busy one.
const HELD_MAX: usize = 1 << 14;

/// Where one instrument's orders stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No whole book since the connection, or since a hole.
    Waiting,
    /// Pieces of one are still to come.
    Loading,
    /// All orders are known.
    Whole,
}

/// One instrument.
#[derive(Debug)]
struct Kept {
    id: InstrumentId,
    orders: L3Book,
    state: State,
    /// The newest number in it, and the newest that was told of it.
    last: i64,
    told: i64,
    held: Vec<(i64, Option<RawOrder>)>,
}

/// All followed instruments, and the levels of one message.
#[derive(Debug)]
pub struct Singles {
    kept: Vec<Kept>,
    bids: Vec<RawLevel>,
    asks: Vec<RawLevel>,
}

/// One entry of a message.
#[derive(Debug, Clone, Copy, Default)]
struct Entry<'a> {
    action: &'a [u8],
    kind: &'a [u8],
    id: &'a [u8],
    seq: &'a [u8],
    symbol: &'a [u8],
    price: &'a [u8],
    qty: &'a [u8],
    taker: &'a [u8],
    trade: &'a [u8],
}

impl<'a> Entry<'a> {
    fn take(&mut self, tag: u32, value: &'a [u8]) {
        let field = match tag {
            55 => &mut self.symbol,
            83 => &mut self.seq,
            269 => &mut self.kind,
            270 => &mut self.price,
            271 => &mut self.qty,
            278 => &mut self.id,
            279 => &mut self.action,
            1003 => &mut self.trade,
            2446 | 5797 => &mut self.taker,
            _ => return,
        };
        *field = value;
    }

    fn level(&self) -> Result<RawLevel, DecodeError> {
        Ok(RawLevel {
            price: number(self.price, "MDEntryPx")?,
            qty: number(self.qty, "MDEntrySize")?,
        })
    }

    /// What the entry does to the book; `None`: nothing rests or rested.
    fn order(&self, dialect: &Dialect) -> Result<Option<RawOrder>, DecodeError> {
        let side = match self.kind {
            b"0" => Side::Buy,
            b"1" => Side::Sell,
            // The one that rested is on the other side.
            b"2" => match taker(self.taker) {
                Some(taker) => taker.opposite(),
                None => return Err(DecodeError::Field("AggressorSide")),
            },
            _ => return Ok(None),
        };
        if self.id.is_empty() {
            return Ok(None);
        }
        let id = (dialect.order_id)(self.id).ok_or(DecodeError::Field("MDEntryID"))?;
        let RawLevel { price, qty } = match self.action {
            // Gone, whatever was left of it.
            b"2" => RawLevel {
                price: number(self.price, "MDEntryPx")?,
                qty: Decimal::ZERO,
            },
            _ => self.level()?,
        };
        let act = match (self.kind, self.action) {
            (b"2", _) => OrderAct::Trades,
            (_, b"1") => OrderAct::Becomes,
            _ => OrderAct::Rests,
        };
        Ok(Some(RawOrder {
            act,
            id,
            side,
            price,
            qty,
        }))
    }
}

fn seq(text: &[u8]) -> Result<i64, DecodeError> {
    let seq = parse_u64(text).and_then(|seq| i64::try_from(seq).ok());
    seq.ok_or(DecodeError::Field("RptSeq"))
}

impl Singles {
    /// Of these instruments. Takes all memory here.
    pub fn new(instruments: &[InstrumentId]) -> Self {
        let kept = |id: &InstrumentId| Kept {
            id: *id,
            orders: L3Book::new(ORDERS_MAX),
            state: State::Waiting,
            last: -1,
            told: -1,
            held: Vec::with_capacity(HELD_MAX),
        };
        Self {
            kept: instruments.iter().map(kept).collect(),
            bids: Vec::with_capacity(MSG_LEVELS_MAX),
            asks: Vec::with_capacity(MSG_LEVELS_MAX),
        }
    }

    /// Nothing is known any more: of one instrument, or of all.
    pub fn forget(&mut self, only: Option<InstrumentId>) {
        for kept in &mut self.kept {
            if only.is_none_or(|only| only == kept.id) {
                kept.wait();
            }
        }
    }

    /// Reads one message of market data (W, X or f). Says which instrument's whole book it completed.
    ///
    /// Cost: O(1) an order, a whole book O(orders). Errors: [`DecodeError`]; orders may be missing, and the link is to be
    /// replaced.
    pub fn on_message(
        &mut self,
        dialect: &Dialect,
        registry: &Registry,
        message: &Message<'_>,
        out: &mut impl Sink,
    ) -> Result<Option<InstrumentId>, DecodeError> {
        match message.kind() {
            b"W" => self.whole(dialect, registry, message, out),
            b"X" => self.changes(dialect, registry, message, out).map(|()| None),
            _ => self
                .number_only(dialect, registry, message, out)
                .map(|()| None),
        }
    }

    fn find<'s, 'r>(
        &'s mut self,
        (dialect, registry): (&Dialect, &'r Registry),
        symbol: &[u8],
    ) -> Option<(&'s mut Kept, &'r Instrument)> {
        let id = registry.find(dialect.venue, symbol)?;
        let kept = self.kept.iter_mut().find(|kept| kept.id == id)?;
        Some((kept, registry.get(id)?))
    }

    /// A piece of a whole book.
    fn whole(
        &mut self,
        dialect: &Dialect,
        registry: &Registry,
        message: &Message<'_>,
        out: &mut impl Sink,
    ) -> Result<Option<InstrumentId>, DecodeError> {
        let symbol = message.get(55).ok_or(DecodeError::Field("Symbol"))?;
        let last = seq(message.get(83).unwrap_or_default())?;
        let Some((kept, instrument)) = self.find((dialect, registry), symbol) else {
            out.event(&NOT_FOLLOWED);
            return Ok(None);
        };
        if kept.state != State::Loading {
            kept.orders.clear();
            kept.state = State::Loading;
        }
        let mut entry = Entry::default();
        for (tag, value) in message.fields() {
            if tag == 269 {
                kept.rest(&entry, dialect, instrument)?;
                entry = Entry::default();
            }
            entry.take(tag, value);
        }
        kept.rest(&entry, dialect, instrument)?;
        kept.last = last;
        if message.get(893) == Some(b"N") {
            return Ok(None);
        }
        kept.catch_up(instrument)?;
        let id = kept.id;
        self.tell_whole(id, instrument, time(message), out);
        Ok(Some(id))
    }

    fn tell_whole(
        &mut self,
        id: InstrumentId,
        instrument: &Instrument,
        venue_ns: VenueNanos,
        out: &mut impl Sink,
    ) {
        let Self { kept, bids, asks } = self;
        let Some(kept) = kept.iter_mut().find(|kept| kept.id == id) else {
            return;
        };
        for (side, levels) in [(Side::Buy, &mut *bids), (Side::Sell, &mut *asks)] {
            levels.clear();
            // Worse ones are told when they change, as everywhere.
            let best = kept.orders.levels(side).take(MSG_LEVELS_MAX);
            levels.extend(best.map(|(price, qty, _)| RawLevel {
                price: instrument.price_decimal(price),
                qty: instrument.qty_decimal(qty),
            }));
        }
        kept.told = kept.last;
        out.event(&Event::Book(BookMsg {
            instrument: id,
            kind: BookMsgKind::Snapshot,
            first_id: kept.last,
            last_id: kept.last,
            prev_id: -1,
            checksum: None,
            bids,
            asks,
            venue_ns,
        }));
    }

    fn changes(
        &mut self,
        dialect: &Dialect,
        registry: &Registry,
        message: &Message<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let venue_ns = time(message);
        let (mut entry, mut has_entry) = (Entry::default(), false);
        for (tag, value) in message.fields() {
            if tag == 279 {
                if has_entry {
                    self.change(&entry, (dialect, registry), venue_ns, out)?;
                }
                // An entry without a symbol is of the one before.
                let symbol = entry.symbol;
                entry = Entry {
                    symbol,
                    ..Entry::default()
                };
                has_entry = true;
            }
            entry.take(tag, value);
        }
        if !has_entry {
            return Err(DecodeError::Field("NoMDEntries"));
        }
        self.change(&entry, (dialect, registry), venue_ns, out)
    }

    fn change(
        &mut self,
        entry: &Entry<'_>,
        of: (&Dialect, &Registry),
        venue_ns: VenueNanos,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let dialect = of.0;
        let Some((kept, instrument)) = self.find(of, entry.symbol) else {
            out.event(&NOT_FOLLOWED);
            return Ok(());
        };
        let id = kept.id;
        let seq = seq(entry.seq)?;
        if kept.state == State::Whole && seq <= kept.last {
            return Ok(());
        }
        let order = entry.order(dialect)?;
        if entry.kind == b"2"
            && let Some(taker) = taker(entry.taker)
        {
            let RawLevel { price, qty } = entry.level()?;
            out.event(&Event::Trade(TradeMsg {
                instrument: id,
                trade_id: (dialect.trade_id)(entry.trade).unwrap_or_default(),
                taker,
                price,
                qty,
                venue_ns,
            }));
        }
        self.apply((id, instrument), (seq, order), venue_ns, out)
    }

    /// Takes an event in and tells what it did to levels.
    fn apply(
        &mut self,
        (id, instrument): (InstrumentId, &Instrument),
        (seq, order): (i64, Option<RawOrder>),
        venue_ns: VenueNanos,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let Self { kept, bids, asks } = self;
        let Some(kept) = kept.iter_mut().find(|kept| kept.id == id) else {
            return Ok(());
        };
        bids.clear();
        asks.clear();
        let mut prev_id = kept.told;
        match kept.state {
            State::Waiting | State::Loading => return kept.hold(seq, order),
            State::Whole if kept.is_next(seq) => {
                let Some(order) = order else {
                    kept.last = seq;
                    return Ok(());
                };
                let before = kept.orders.get(order.id);
                kept.put(seq, Some(order), instrument)?;
                let after = kept.orders.get(order.id);
                let mut told = None;
                for (side, level) in before.into_iter().chain(after) {
                    // Where it was and where it is, if those are two.
                    if told.replace((side, level.price)) == Some((side, level.price)) {
                        continue;
                    }
                    let levels = match side {
                        Side::Buy => &mut *bids,
                        Side::Sell => &mut *asks,
                    };
                    levels.push(RawLevel {
                        price: instrument.price_decimal(level.price),
                        qty: instrument.qty_decimal(kept.orders.total(side, level.price)),
                    });
                }
                if before.is_none() && after.is_none() {
                    return Ok(());
                }
            }
            State::Whole => {
                // Told as the hole it is, with a predecessor nobody has seen.
                prev_id = seq - 1;
                kept.wait();
            }
        }
        kept.told = seq;
        out.event(&Event::Book(BookMsg {
            instrument: id,
            kind: BookMsgKind::Delta,
            first_id: seq,
            last_id: seq,
            prev_id,
            checksum: None,
            bids,
            asks,
            venue_ns,
        }));
        Ok(())
    }

    /// A message of which only the number counts here.
    fn number_only(
        &mut self,
        dialect: &Dialect,
        registry: &Registry,
        message: &Message<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let symbol = message.get(55).ok_or(DecodeError::Field("Symbol"))?;
        let seq = seq(message.get(83).unwrap_or_default())?;
        match self.find((dialect, registry), symbol) {
            Some((kept, _)) if kept.state == State::Whole && seq <= kept.last => Ok(()),
            Some((kept, instrument)) => {
                let id = kept.id;
                self.apply((id, instrument), (seq, None), time(message), out)
            }
            None => {
                out.event(&NOT_FOLLOWED);
                Ok(())
            }
        }
    }
}

impl Kept {
    fn wait(&mut self) {
        self.state = State::Waiting;
        self.held.clear();
    }

    fn is_next(&self, seq: i64) -> bool {
        self.last.checked_add(1) == Some(seq)
    }

    /// An order of a whole book. An entry before the first is none.
    fn rest(
        &mut self,
        entry: &Entry<'_>,
        dialect: &Dialect,
        instrument: &Instrument,
    ) -> Result<(), DecodeError> {
        if entry.kind.is_empty() {
            return Ok(());
        }
        let order = entry.order(dialect)?;
        self.put(self.last, order, instrument)
    }

    fn put(
        &mut self,
        seq: i64,
        order: Option<RawOrder>,
        instrument: &Instrument,
    ) -> Result<(), DecodeError> {
        self.last = seq;
        let Some(order) = order else { return Ok(()) };
        let applied = self.orders.apply_order(&order, instrument);
        applied.map_err(|_| DecodeError::TooMuch("orders, or digits of one"))
    }

    fn hold(&mut self, seq: i64, order: Option<RawOrder>) -> Result<(), DecodeError> {
        if self.held.len() >= HELD_MAX {
            return Err(DecodeError::TooMuch("events before a whole book"));
        }
        self.held.push((seq, order));
        Ok(())
    }

    /// The book is whole: what was held back follows, as far as it is newer. A hole in it is found with the next event.
    fn catch_up(&mut self, instrument: &Instrument) -> Result<(), DecodeError> {
        self.state = State::Whole;
        let mut held = core::mem::take(&mut self.held);
        let result = held.drain(..).try_for_each(|(seq, order)| {
            if self.is_next(seq) {
                self.put(seq, order, instrument)
            } else {
                Ok(())
            }
        });
        self.held = held;
        result
    }
}
