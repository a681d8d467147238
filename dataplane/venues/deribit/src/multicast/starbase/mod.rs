//! Starbase's market data as one sans-IO machine: single orders, by rank; no levels are told.
//!
//! ```text
//! packet    sending time · number of the first message · channel · kind · messages │ message ...      24 bytes + 16 each
//! incremental   puts, reductions, deletes, trades of a product group, in transactions
//! snapshot      header (number N) · definition · puts, front of the queues first · trailer,  book after book
//! ```
//! Every message has a number of its own, so a book splices by number: what is in the snapshot is told by N, what came
//! after it was held. A hole, or five missed signs of life, and all books of the channel wait for the next round.
//! Orders carry their rank ([`dp_types::OrderAct::Ranked`]): the order of messages says nothing of the order of the
//! queue. A book that is lost is told as a message with a hole: its keeper counts it and is stale at once.
//!
//! A packet is proved whole before its number counts for anything: a damaged copy leaves its place to the other line's.
//!
//! Snapshots and changes of a channel have its number and counters of their own (a recording by the venue has 488
//! incremental packets on the eight channels that have 12,818 of snapshots).

mod places;
mod request;

use super::channels::{Channels, Missing, Packets, Stand, Turn};
use super::followed::Instruments;
use super::frame::CUT;
use super::sequence::Counts;
use crate::feed::NOT_FOLLOWED;
use crate::rules::{Rules, Ticks};
use crate::{PRICE_DECIMALS_BARE, QTY_DECIMALS_BARE};
use dp_types::{
    BookMsgKind, Decimal, Instrument, InstrumentId, L3Msg, Now, OrderAct, OrderId, RawOrder, Side,
    TradeId, TradeMsg, UnixNanos, VenueNanos,
};
use dp_venue_api::{Control, DecodeError, Event, Registry, RegistryError, Sink};
use dp_wire::sbe::{Block, Reader as Bytes};
use places::{
    NULL, PRICE_EXPONENT, definition, delete, header, order, other, packet, put, reduced, snapshot,
    status, trade,
};
pub use request::{RETRANSMIT_LEN, retransmit_request};

/// A channel gives a sign of life every five seconds; three missed ones are silence.
const SILENCE_NS: Option<u64> = Some(16_000_000_000);
/// Orders of one book, and changes held until the books they are of have come.
const ORDERS_MAX: usize = 65_536;
/// Orders of one transaction told at once; larger ones are told in pieces.
const TOLD_MAX: usize = 256;
/// Snapshots are streams of their own beside the channel's changes.
const SNAPSHOTS: u32 = 1 << 31;

/// The machine of Starbase's market data.
#[derive(Debug)]
pub struct Starbase {
    channels: Channels<State>,
    reader: Reader,
}

/// The book a stream of snapshots is in the middle of.
#[derive(Debug, Default)]
struct State {
    building: Option<(InstrumentId, i64)>,
}

/// A change of a book that is waited for.
#[derive(Debug, Clone, Copy)]
struct Held {
    number: i64,
    channel: u32,
    instrument: InstrumentId,
    order: RawOrder,
    venue_ns: VenueNanos,
    /// The last of its transaction.
    is_end: bool,
}

/// Since when a channel's changes are all here, and which is next.
#[derive(Debug, Clone, Copy)]
struct Unbroken {
    channel: u32,
    since: i64,
    next: i64,
}

#[derive(Debug)]
struct Reader {
    instruments: Instruments,
    is_ready: bool,
    calls: u64,
    /// Of the book that is being built; one stream at a time is, the others wait for their next round.
    building: Vec<RawOrder>,
    built_by: Option<u32>,
    held: Vec<Held>,
    unbroken: Vec<Unbroken>,
    /// Orders of the transaction so far, all of one instrument.
    told: Vec<RawOrder>,
    told_of: Option<(InstrumentId, i64, VenueNanos)>,
}

impl Starbase {
    /// Builds the machine and registers its symbols. Errors: [`RegistryError`].
    pub fn new(symbols: &[String], registry: &mut Registry) -> Result<Self, RegistryError> {
        let bare = (PRICE_DECIMALS_BARE, QTY_DECIMALS_BARE);
        Ok(Self {
            channels: Channels::new(SILENCE_NS),
            reader: Reader {
                instruments: Instruments::new(symbols, bare, registry)?,
                is_ready: false,
                calls: 0,
                building: Vec::with_capacity(ORDERS_MAX),
                built_by: None,
                held: Vec::with_capacity(ORDERS_MAX),
                unbroken: Vec::with_capacity(super::CHANNELS_MAX),
                told: Vec::with_capacity(TOLD_MAX),
                told_of: None,
            },
        })
    }

    /// Whoever hears it has the rules by another road: that all are defined is not told.
    pub(super) const fn keep_rules_to_itself(&mut self) {
        self.reader.is_ready = true;
    }

    /// One datagram, from whichever line it came, or in answer to a request.
    ///
    /// Cost: two passes, the first over the headers, no allocation but for a channel not heard before. Errors:
    /// [`DecodeError`]; when its turn had come, the books of its channel are lost with it.
    pub fn on_datagram(
        &mut self,
        registry: &mut Registry,
        now: Now,
        bytes: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let Self { channels, reader } = self;
        if kind(bytes)? & (packet::INCREMENTAL | packet::SNAPSHOT) == 0 {
            prove(bytes)?;
            out.event(&Event::Ignored("a request for missing packets was refused"));
            return Ok(());
        }
        reader.calls += 1;
        channels.take(reader, bytes, now.unix, registry, out)
    }

    /// Time has passed: see [`Starbase::next_deadline`]. Errors: as [`Starbase::on_datagram`], of what was held.
    pub fn on_deadline(
        &mut self,
        registry: &mut Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let Self { channels, reader } = self;
        reader.calls += 1;
        channels.on_deadline(reader, now.unix, registry, out)
    }

    /// When [`Starbase::on_deadline`] must be called.
    pub fn next_deadline(&self) -> Option<UnixNanos> {
        self.channels.next_deadline()
    }

    /// Whoever keeps the book wants it whole: none that is older than what was told of it before will do. Returns
    /// whether it was not waited for yet.
    pub fn request_snapshot(&mut self, instrument: InstrumentId) -> bool {
        let reader = &mut self.reader;
        let Some(followed) = reader.instruments.want(instrument) else {
            return false;
        };
        let mut known = reader.unbroken.iter();
        let own = known.find(|known| Some(known.channel) == followed.channel);
        followed.since = own.map_or(i64::MIN, |known| known.next);
        true
    }

    /// Datagrams that said nothing new: the other line's, repeats, signs of life.
    pub(super) const fn copies(&self) -> u64 {
        self.channels.copies
    }

    /// Holes that were filled before they were given up.
    pub(super) const fn filled(&self) -> u64 {
        self.channels.filled
    }

    /// A hole worth asking about ([`retransmit_request`]), once each. Holes in snapshots are not: the next round is.
    pub fn missing(&mut self) -> Option<Missing> {
        loop {
            let missing = self.channels.missing()?;
            if missing.channel & SNAPSHOTS == 0 {
                return Some(missing);
            }
        }
    }

    /// What each stream has seen, by channel; those of snapshots have the highest bit.
    pub fn counts(&self) -> impl Iterator<Item = (u32, Counts)> {
        self.channels.counts()
    }
}

fn kind(bytes: &[u8]) -> Result<u16, DecodeError> {
    let head = Bytes::new(bytes).take(packet::LEN).ok_or(CUT)?;
    head.u16(packet::KIND).ok_or(CUT)
}

/// Errors: the packet does not hold the messages it tells of, and nothing else.
fn prove(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut body = Bytes::new(bytes);
    let head = body.take(packet::LEN).ok_or(CUT)?;
    for _ in 0..head.u16(packet::COUNT).ok_or(CUT)? {
        Message::read(&mut body)?;
    }
    if body.is_empty() {
        Ok(())
    } else {
        Err(DecodeError::Shape("more bytes than messages"))
    }
}

/// What a keeper is told of a book that cannot be continued.
pub(super) const fn hole(instrument: InstrumentId) -> Event<'static> {
    Event::L3(L3Msg {
        instrument,
        kind: BookMsgKind::Delta,
        last_id: -1,
        has_hole: true,
        has_more: false,
        checksum: None,
        orders: &[],
        venue_ns: VenueNanos(0),
    })
}

/// The messages of a datagram, in the order they came; `None` where one cannot be read.
fn messages(bytes: &[u8]) -> impl Iterator<Item = Option<Message<'_>>> {
    let mut body = Bytes::new(bytes);
    let head = body.take(packet::LEN);
    let count = head.and_then(|head| head.u16(packet::COUNT)).unwrap_or(0);
    (0..count).map(move |_| Message::read(&mut body).ok())
}

/// Whether a datagram has this feed's form.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    let known = packet::INCREMENTAL | packet::SNAPSHOT | packet::RETRANSMIT;
    kind(bytes).is_ok_and(|kind| kind & !known == 0) && prove(bytes).is_ok()
}

/// Tells the name of each instrument that is defined in a datagram.
pub(super) fn names(bytes: &[u8], tell: &mut impl FnMut(&str)) {
    let defined = messages(bytes).flatten();
    for message in defined.filter(|message| message.template == definition::TEMPLATE) {
        let name = message.body.text(definition::NAME, definition::NAME_LEN);
        if let Some(Ok(name)) = name.map(core::str::from_utf8) {
            tell(name);
        }
    }
}

impl Packets for Reader {
    type State = State;

    fn stand(bytes: &[u8], _: impl Fn(u32) -> Option<u64>) -> Result<Stand, DecodeError> {
        let head = Bytes::new(bytes).take(packet::LEN).ok_or(CUT)?;
        let is_snapshot = kind(bytes)? & packet::SNAPSHOT != 0;
        let channel = head.u32(packet::CHANNEL).ok_or(CUT)?;
        if channel & SNAPSHOTS != 0 {
            return Err(DecodeError::Field("channel"));
        }
        prove(bytes)?;
        let number = head.i64(packet::NUMBER).ok_or(CUT)?;
        Ok(Stand {
            channel: channel | if is_snapshot { SNAPSHOTS } else { 0 },
            first: u64::try_from(number).map_err(|_| DecodeError::Field("number"))?,
            count: u32::from(head.u16(packet::COUNT).ok_or(CUT)?),
        })
    }

    fn deliver(
        &mut self,
        state: &mut State,
        Turn { stand, skip, .. }: Turn,
        bytes: &[u8],
        registry: &mut Registry,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let mut body = Bytes::new(bytes);
        body.take(packet::LEN).ok_or(CUT)?;
        for at in 0..stand.count {
            let message = Message::read(&mut body)?;
            if at < skip {
                continue;
            }
            // Numbers are not negative, see `stand`.
            let number = stand.first.saturating_add(u64::from(at)).cast_signed();
            if stand.channel & SNAPSHOTS != 0 {
                self.snapshot(state, stand.channel, &message, registry, out)?;
            } else {
                self.change(stand.channel, number, &message, registry, out)?;
            }
        }
        self.flush(out);
        Ok(())
    }

    fn alive(&mut self, channel: u32, next: u64) {
        if channel & SNAPSHOTS == 0 {
            self.unbroken_from(channel, next.cast_signed()); // not negative, see `stand`
        }
    }

    fn lost(&mut self, state: &mut State, channel: u32, out: &mut impl Sink) {
        self.told.clear();
        self.told_of = None;
        if channel & SNAPSHOTS != 0 {
            self.end_building(state, channel);
            return;
        }
        self.held.retain(|held| held.channel != channel);
        self.unbroken.retain(|known| known.channel != channel);
        self.instruments
            .lose(channel, self.calls, |id| out.event(&hole(id)));
    }
}

/// One message, its header read.
#[derive(Debug, Clone, Copy)]
struct Message<'a> {
    template: u16,
    flags: u16,
    venue_ns: VenueNanos,
    body: Block<'a>,
}

impl<'a> Message<'a> {
    fn read(reader: &mut Bytes<'a>) -> Result<Self, DecodeError> {
        let head = reader.take(header::LEN).ok_or(CUT)?;
        let len = head.u16(header::MESSAGE_LEN).ok_or(CUT)?;
        let len = usize::from(len).checked_sub(header::LEN).ok_or(CUT)?;
        let time = head.i64(header::TIME).ok_or(CUT)?;
        Ok(Self {
            template: head.u16(header::TEMPLATE).ok_or(CUT)?,
            flags: head.u16(header::FLAGS).ok_or(CUT)?,
            venue_ns: VenueNanos(u64::try_from(time).unwrap_or(0)),
            body: reader.take(len).ok_or(CUT)?,
        })
    }

    /// A number that is there.
    fn number(&self, at: usize) -> Result<i64, DecodeError> {
        let value = self.body.i64(at).ok_or(CUT)?;
        (value != NULL)
            .then_some(value)
            .ok_or(DecodeError::Field("a number that is null"))
    }

    fn price(&self, at: usize) -> Result<Decimal, DecodeError> {
        Ok(Decimal {
            mantissa: self.number(at)?,
            exponent: PRICE_EXPONENT,
        })
    }

    /// The order it is about; `None` when it is about none.
    fn order(&self, exponent: i8) -> Result<Option<RawOrder>, DecodeError> {
        let (side, zero) = match self.template {
            put::BID | reduced::BID | delete::BID => (Side::Buy, Decimal::ZERO),
            put::ASK | reduced::ASK | delete::ASK => (Side::Sell, Decimal::ZERO),
            _ => return Ok(None),
        };
        let qty = |at| {
            let mantissa = self.number(at)?;
            Ok(Decimal { mantissa, exponent })
        };
        let (price, qty, act) = match self.template {
            put::BID | put::ASK => {
                let rank = self.body.i64(put::RANK).filter(|rank| *rank != NULL);
                let act = rank.map_or(OrderAct::Rests, OrderAct::Ranked);
                (self.price(put::PRICE)?, qty(put::QTY)?, act)
            }
            reduced::BID | reduced::ASK => (zero, qty(reduced::QTY)?, OrderAct::Resized),
            _ => (zero, zero, OrderAct::Resized),
        };
        if qty.mantissa < 0 {
            return Err(DecodeError::Field("quantity"));
        }
        Ok(Some(RawOrder {
            act,
            id: OrderId(u128::from(self.number(order::ID)?.cast_unsigned())),
            side,
            price,
            qty,
        }))
    }
}

impl Reader {
    /// Whether all changes of a channel behind this number are here.
    fn is_unbroken(&self, channel: u32, behind: i64) -> bool {
        let known = self.unbroken.iter().find(|known| known.channel == channel);
        known.is_some_and(|known| known.since <= behind.saturating_add(1))
    }

    /// The changes of a channel begin here, unless they did before.
    fn unbroken_from(&mut self, channel: u32, since: i64) {
        let is_known = self.unbroken.iter().any(|known| known.channel == channel);
        if !is_known && self.unbroken.len() < super::CHANNELS_MAX {
            self.unbroken.push(Unbroken {
                channel,
                since,
                next: since,
            });
        }
    }

    /// What the next change of a channel will be, where its changes are here.
    fn next_of(&self, channel: u32) -> Option<i64> {
        let mut known = self.unbroken.iter();
        Some(known.find(|known| known.channel == channel)?.next)
    }

    fn change(
        &mut self,
        channel: u32,
        number: i64,
        message: &Message<'_>,
        registry: &mut Registry,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        self.unbroken_from(channel, number);
        let mut known = self.unbroken.iter_mut();
        if let Some(known) = known.find(|known| known.channel == channel) {
            known.next = number.saturating_add(1);
        }
        match message.template {
            definition::TEMPLATE => self.definition(channel, message, registry, out),
            trade::TEMPLATE => self.trade(message, out),
            status::TEMPLATE => self.status(message, registry, out),
            put::BID | put::ASK | reduced::BID | reduced::ASK | delete::BID | delete::ASK => {
                self.one_order(channel, number, message, out)
            }
            template => {
                out.event(&Event::Ignored(ignored(template)));
                Ok(())
            }
        }
    }

    /// A change of one order: told with its transaction, or held where the book is waited for.
    fn one_order(
        &mut self,
        channel: u32,
        number: i64,
        message: &Message<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let code = message.number(order::INSTRUMENT)?.cast_unsigned();
        let Some(followed) = self.instruments.by_code(code) else {
            out.event(&NOT_FOLLOWED);
            return Ok(());
        };
        followed.channel = Some(channel);
        let (instrument, is_waiting) = (followed.id, followed.is_waiting);
        let Some(order) = message.order(followed.exponent)? else {
            return Ok(());
        };
        let venue_ns = message.venue_ns;
        let is_end = message.flags & header::END_OF_TRANSACTION != 0;
        if is_waiting {
            self.hold(Held {
                number,
                channel,
                instrument,
                order,
                venue_ns,
                is_end,
            });
            return Ok(());
        }
        if self.told.len() >= TOLD_MAX || self.told_of.is_some_and(|of| of.0 != instrument) {
            self.flush(out);
        }
        self.told_of = Some((instrument, number, venue_ns));
        self.told.push(order);
        if is_end {
            self.flush(out);
        }
        Ok(())
    }

    /// Tells what the transaction has said of one instrument.
    fn flush(&mut self, out: &mut impl Sink) {
        if let Some((instrument, last_id, venue_ns)) = self.told_of.take() {
            out.event(&Event::L3(L3Msg {
                instrument,
                kind: BookMsgKind::Delta,
                last_id,
                has_hole: false,
                has_more: false,
                checksum: None,
                orders: &self.told,
                venue_ns,
            }));
        }
        self.told.clear();
    }

    /// Keeps a change for the snapshot that will come. When there is no more room all begin anew, from here on.
    fn hold(&mut self, change: Held) {
        if self.held.len() >= ORDERS_MAX {
            self.held.clear();
            self.unbroken
                .retain(|known| known.channel == change.channel);
            for known in &mut self.unbroken {
                known.since = change.number;
            }
        }
        self.held.push(change);
    }

    fn trade(&mut self, message: &Message<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
        let code = message.number(trade::INSTRUMENT)?.cast_unsigned();
        let Some(followed) = self.instruments.by_code(code) else {
            out.event(&NOT_FOLLOWED);
            return Ok(());
        };
        let flags = message.body.u32(trade::MAKER_FLAGS).ok_or(CUT)?;
        let id = message.number(trade::MATCH_ID)?.cast_unsigned();
        let trade = TradeMsg {
            instrument: followed.id,
            trade_id: TradeId(u128::from(id)),
            // The maker sold, so the taker bought.
            taker: if flags & trade::IS_SELL != 0 {
                Side::Buy
            } else {
                Side::Sell
            },
            price: message.price(trade::PRICE)?,
            qty: Decimal {
                mantissa: message.number(trade::QTY)?,
                exponent: followed.exponent,
            },
            venue_ns: message.venue_ns,
        };
        self.flush(out);
        out.event(&Event::Trade(trade));
        Ok(())
    }

    /// It trades, or it does not.
    fn status(
        &mut self,
        message: &Message<'_>,
        registry: &mut Registry,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let code = message.number(status::INSTRUMENT)?.cast_unsigned();
        let is_live = message.body.u8(status::STATUS).ok_or(CUT)? == definition::OPEN;
        let Some(followed) = self.instruments.by_code(code) else {
            out.event(&NOT_FOLLOWED);
            return Ok(());
        };
        if let Some(known) = registry.get(followed.id).copied() {
            registry.update(Instrument { is_live, ..known });
        }
        out.event(&Event::Ignored("rules of instruments"));
        Ok(())
    }

    fn snapshot(
        &mut self,
        state: &mut State,
        stream: u32,
        message: &Message<'_>,
        registry: &mut Registry,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        match message.template {
            definition::TEMPLATE => self.definition(stream & !SNAPSHOTS, message, registry, out),
            snapshot::HEADER => {
                self.end_building(state, stream);
                let code = message.number(snapshot::INSTRUMENT)?.cast_unsigned();
                let number = message.number(snapshot::NUMBER)?;
                let is_unbroken = self.is_unbroken(stream & !SNAPSHOTS, number);
                let is_busy = self.built_by.is_some();
                let why = match self.instruments.by_code(code) {
                    None => "about an instrument we do not follow",
                    Some(followed) if !followed.is_waiting => "a snapshot nobody waits for",
                    Some(_) if !is_unbroken || is_busy => "a snapshot whose beginning was missed",
                    Some(followed) if followed.since > number.saturating_add(1) => {
                        "a snapshot that began before the hole"
                    }
                    Some(followed) => {
                        state.building = Some((followed.id, number));
                        self.built_by = Some(stream);
                        return Ok(());
                    }
                };
                out.event(&Event::Ignored(why));
                Ok(())
            }
            put::BID | put::ASK => {
                let code = message.number(order::INSTRUMENT)?.cast_unsigned();
                let Some((instrument, _)) = state.building else {
                    return Ok(());
                };
                let followed = self.instruments.by_code(code);
                let Some(followed) = followed.filter(|followed| followed.id == instrument) else {
                    return Err(DecodeError::Shape("an order in another book's snapshot"));
                };
                if self.building.len() >= ORDERS_MAX {
                    return Err(DecodeError::TooMuch("orders"));
                }
                self.building.extend(message.order(followed.exponent)?);
                Ok(())
            }
            snapshot::TRAILER => {
                let code = message.number(snapshot::INSTRUMENT)?.cast_unsigned();
                let number = message.number(snapshot::NUMBER)?;
                self.end_snapshot(state, stream, (code, number), message.venue_ns, out)
            }
            template => {
                out.event(&Event::Ignored(ignored(template)));
                Ok(())
            }
        }
    }

    /// A book is whole: it is told, and what was held of it after.
    fn end_snapshot(
        &mut self,
        state: &mut State,
        stream: u32,
        (code, number): (u64, i64),
        venue_ns: VenueNanos,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let Some((instrument, begun)) = state.building else {
            return Ok(());
        };
        let channel = stream & !SNAPSHOTS;
        // The changes may have broken off meanwhile.
        let is_unbroken = self.is_unbroken(channel, number);
        let calls = self.calls;
        let followed = self.instruments.by_code(code);
        let Some(followed) = followed.filter(|it| it.id == instrument && begun == number) else {
            return Err(DecodeError::Shape("a snapshot that ends as another's"));
        };
        if !is_unbroken || followed.defined == calls {
            self.end_building(state, stream);
            out.event(&Event::Ignored("rules are not known yet"));
            return Ok(());
        }
        followed.is_waiting = false;
        followed.channel = Some(channel);
        let tell = |kind, last_id, orders: &[RawOrder], venue_ns, out: &mut _| {
            Sink::event(
                out,
                &Event::L3(L3Msg {
                    instrument,
                    kind,
                    last_id,
                    has_hole: false,
                    has_more: false,
                    checksum: None,
                    orders,
                    venue_ns,
                }),
            );
        };
        tell(BookMsgKind::Snapshot, number, &self.building, venue_ns, out);
        // Whole transactions again: within one, a book may be crossed.
        let of_it = |held: &&Held| held.instrument == instrument && held.number > number;
        let mut of_it = self.held.iter().filter(of_it).peekable();
        while let Some(held) = of_it.next() {
            self.told.push(held.order);
            if held.is_end || self.told.len() >= TOLD_MAX || of_it.peek().is_none() {
                let kind = BookMsgKind::Delta;
                tell(kind, held.number, &self.told, held.venue_ns, out);
                self.told.clear();
            }
        }
        self.held.retain(|held| held.instrument != instrument);
        self.end_building(state, stream);
        Ok(())
    }

    fn end_building(&mut self, state: &mut State, stream: u32) {
        state.building = None;
        if self.built_by == Some(stream) {
            self.built_by = None;
            self.building.clear();
        }
    }

    fn definition(
        &mut self,
        channel: u32,
        message: &Message<'_>,
        registry: &mut Registry,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let code = message.number(definition::INSTRUMENT)?.cast_unsigned();
        let name = message.body.text(definition::NAME, definition::NAME_LEN);
        let (calls, next) = (self.calls, self.next_of(channel));
        let Some((followed, is_new)) = self.instruments.define(registry, name.ok_or(CUT)?, code)
        else {
            out.event(&NOT_FOLLOWED);
            return Ok(());
        };
        if is_new {
            // Changes before this one were taken for another's: nothing of them is held.
            followed.since = next.unwrap_or(i64::MIN);
        }
        let exponent = message.body.i8(definition::QTY_EXPONENT).ok_or(CUT)?;
        if !(-18..=18).contains(&exponent) {
            return Err(DecodeError::Field("exponent"));
        }
        let known = *registry
            .get(followed.id)
            .ok_or(DecodeError::UnknownSymbol)?;
        let mut ticks = Ticks::new(message.price(definition::TICK)?);
        let mut groups = message.body.reader();
        groups.take(definition::LEN).ok_or(CUT)?;
        for step in groups.group16(definition::STEP_LEN).ok_or(CUT)? {
            let mantissa = step.i64(definition::STEP_TICK).ok_or(CUT)?;
            ticks.also(Decimal {
                mantissa,
                exponent: PRICE_EXPONENT,
            });
        }
        let rules = Rules {
            ticks,
            amount_min: Decimal {
                mantissa: message.number(definition::QTY_MIN)?,
                exponent,
            },
            contract: None,
            is_live: message.body.u8(definition::STATUS) == Some(definition::OPEN),
            venue_code: code,
            // [U] which of the assets told is the one an inverse contract is settled in, so REST tells both.
            payoff: None,
            assets: None,
        };
        let made = rules.over(known, registry)?;
        if made != known || followed.exponent != exponent {
            registry.update(made);
            (followed.defined, followed.exponent) = (calls, exponent);
        }
        out.event(&Event::Ignored("rules of instruments"));
        if !self.is_ready && self.instruments.is_complete() {
            self.is_ready = true;
            out.event(&Event::Control(Control::InstrumentsReady));
        }
        Ok(())
    }
}

fn ignored(template: u16) -> &'static str {
    match template {
        other::INDEX_DEFINITION | other::INDEX_INFO => "index",
        other::INSTRUMENT_INFO => "mark or index price",
        other::INSTRUMENT_REF => "funding",
        other::TRADE_SUMMARY => "told by another message",
        other::BLOCK_TRADE => "block trade: not of the book",
        other::END_OF_ROUND => "a mark in the round of snapshots",
        other::RETRANSMIT_REJECT => "a request for missing packets was refused",
        _ => "a message of a kind we do not know",
    }
}
