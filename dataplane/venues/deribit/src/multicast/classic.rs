//! The classic feed as one sans-IO machine: datagrams of any line in, the events of the JSON machine out.
//!
//! ```text
//! events     Trades · Ticker · Book (parts until isLast)       one channel a currency and kind
//! snapshots  InstrumentV2 · Instrument · Ticker · Snapshot (parts until isLastInBook) of each, round and round
//! ```
//! A book is waited for at the start, after a hole and when its keeper asks: the next whole snapshot is told, its
//! changes are spliced to it by [`crate::sync::DeribitSync`]. All other snapshots are passed over. Rules come with
//! the definitions, so nothing needs to be asked; a book is first told by the call after the one that had them, when
//! its keeper can have read them too.
//!
//! A snapshot that began before a hole was given up may lack what is missing, and nothing in it would tell: it is
//! passed over, and so is one that waited behind a hole of its own.
//!
//! A part of a snapshot does not say whether it is the first. It is where another message stands before it, or the
//! last part of another book: a book whose beginning was missed is passed over.

use super::channels::{Channels, Missing, Packets, Stand, Turn};
use super::double;
use super::followed::{Followed, Instruments};
use super::frame::{CUT, Frame, Message};
use super::parts::{Of, Parts};
use super::places::{
    ASK, BID, CHANGED, CREATED, DELETED, INSTRUMENT, book, instrument, instrument_v2, other,
    snapshot, ticker, trades,
};
use super::sequence::Counts;
use crate::feed::{CONTRADICTION, NOT_FOLLOWED};
use crate::rules::{Rules, Ticks};
use crate::{PRICE_DECIMALS_BARE, QTY_DECIMALS_BARE};
use dp_types::{
    BookMsgKind, Decimal, InstrumentId, Now, NumError, Payoff, QuoteMsg, RawLevel, Side, TradeId,
    TradeMsg, UnixNanos, VenueNanos,
};
use dp_venue_api::{Control, DecodeError, Event, Registry, RegistryError, Sink};
use dp_wire::sbe::Block;

/// Whether a frame without messages takes a number of its own. \[U\]: another gateway meets numbers twice in a row
/// and calls that usual, so an empty frame is taken to repeat the last one. Were it otherwise, each would show as a
/// hole, and nothing would be lost unseen.
const EMPTY_TAKES_A_NUMBER: bool = false;

/// That channels give signs of life is not known of this feed: a silent one is told by the age of its books, as
/// everywhere. \[U\]
const SILENCE_NS: Option<u64> = None;

/// Numbers on the wire have 32 bits and go round; ours go on. They start high enough that one behind the first is
/// not below zero.
const ROUND: u64 = 1 << 32;

/// The machine of the classic feed.
#[derive(Debug)]
pub struct Multicast {
    channels: Channels<State>,
    reader: Reader,
}

/// What is kept for a channel.
#[derive(Debug, Default)]
struct State {
    parts: Parts,
    /// A snapshot's part that comes now is the first of its book.
    is_start: bool,
}

/// What reads the packets.
#[derive(Debug)]
struct Reader {
    instruments: Instruments,
    is_ready: bool,
    /// Calls so far.
    calls: u64,
}

impl Multicast {
    /// Builds the machine and registers its symbols. Errors: [`RegistryError`].
    pub fn new(symbols: &[String], registry: &mut Registry) -> Result<Self, RegistryError> {
        let bare = (PRICE_DECIMALS_BARE, QTY_DECIMALS_BARE);
        Ok(Self {
            channels: Channels::new(SILENCE_NS),
            reader: Reader {
                instruments: Instruments::new(symbols, bare, registry)?,
                is_ready: false,
                calls: 0,
            },
        })
    }

    /// Whoever hears it has the rules by another road: that all are defined is not told.
    pub(super) const fn keep_rules_to_itself(&mut self) {
        self.reader.is_ready = true;
    }

    /// One datagram, from whichever line it came.
    ///
    /// Cost: one pass, no allocation but for a channel not heard before. Errors: [`DecodeError`]; when its turn had
    /// come, the books of its channel are lost with it.
    pub fn on_datagram(
        &mut self,
        registry: &mut Registry,
        now: Now,
        bytes: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let Self { channels, reader } = self;
        reader.calls += 1;
        channels.take(reader, bytes, now.unix, registry, out)
    }

    /// Time has passed: see [`Multicast::next_deadline`]. Errors: as [`Multicast::on_datagram`], of what was held.
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

    /// When [`Multicast::on_deadline`] must be called.
    pub fn next_deadline(&self) -> Option<UnixNanos> {
        self.channels.next_deadline()
    }

    /// The keeper of a book wants it whole: the next snapshot is told.
    pub fn request_snapshot(&mut self, instrument: InstrumentId) {
        let _ = self.reader.instruments.want(instrument);
    }

    /// A hole worth asking about, once each. Packets that come in answer are datagrams like all others.
    pub fn missing(&mut self) -> Option<Missing> {
        self.channels.missing()
    }

    /// Nothing has come for too long: whole books are waited for.
    pub(super) fn lose_all(&mut self, out: &mut impl Sink) {
        self.reader.calls += 1;
        let calls = self.reader.calls;
        self.reader
            .instruments
            .lose_all(calls, |id| out.event(&book_lost(id)));
    }

    /// Datagrams that said nothing new: the other line's, repeats, signs of life.
    pub(super) const fn copies(&self) -> u64 {
        self.channels.copies
    }

    /// Holes that were filled before they were given up.
    pub(super) const fn filled(&self) -> u64 {
        self.channels.filled
    }

    /// What each channel has seen.
    pub fn counts(&self) -> impl Iterator<Item = (u32, Counts)> {
        self.channels.counts()
    }
}

const fn book_lost(id: InstrumentId) -> Event<'static> {
    Event::Control(Control::BookLost(id))
}

impl Packets for Reader {
    type State = State;

    fn stand(bytes: &[u8], next: impl Fn(u32) -> Option<u64>) -> Result<Stand, DecodeError> {
        let frame = Frame::read(bytes)?;
        let channel = u32::from(frame.channel);
        let number = match next(channel) {
            // The nearest number that looks like this on the wire.
            Some(next) => {
                let step = frame.number.wrapping_sub(next as u32).cast_signed();
                next.saturating_add_signed(i64::from(step))
            }
            None => ROUND + u64::from(frame.number),
        };
        let is_repeat = frame.body.is_empty() && !EMPTY_TAKES_A_NUMBER;
        Ok(Stand {
            channel,
            first: number + u64::from(is_repeat),
            count: u32::from(!is_repeat),
        })
    }

    fn deliver(
        &mut self,
        state: &mut State,
        turn: Turn,
        bytes: &[u8],
        registry: &mut Registry,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let mut body = Frame::read(bytes)?.body;
        while !body.is_empty() {
            let message = Message::read(&mut body)?;
            self.message(state, turn, &message, registry, out)?;
            let is_part = message.template == snapshot::TEMPLATE
                && message.root.u8(snapshot::IS_LAST) == Some(0);
            state.is_start = !is_part;
        }
        Ok(())
    }

    fn lost(&mut self, state: &mut State, channel: u32, out: &mut impl Sink) {
        state.parts.clear();
        state.is_start = false;
        self.instruments
            .lose(channel, self.calls, |id| out.event(&book_lost(id)));
    }
}

impl Reader {
    fn message(
        &mut self,
        state: &mut State,
        turn: Turn,
        message: &Message<'_>,
        registry: &mut Registry,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        match message.template {
            book::TEMPLATE => self.book(&mut state.parts, turn.stand.channel, message, out),
            trades::TEMPLATE => self.trades(message, out),
            ticker::TEMPLATE => self.quote(message, out),
            snapshot::TEMPLATE => self.snapshot(state, turn.was_held, message, out),
            instrument::TEMPLATE | instrument_v2::TEMPLATE => {
                self.definition(message, registry, out)
            }
            template => {
                out.event(&Event::Ignored(match template {
                    other::SNAPSHOT_START | other::SNAPSHOT_END => {
                        "a mark in the round of snapshots"
                    }
                    other::COMBO_LEGS => "rules of instruments",
                    other::PRICE_INDEX => "index",
                    other::RFQ => "a request for quotes: it is not on the book",
                    _ => "a message of a kind we do not know",
                }));
                Ok(())
            }
        }
    }

    /// The followed instrument a message is about; says so when it is another's.
    fn of(
        &mut self,
        message: &Message<'_>,
        out: &mut impl Sink,
    ) -> Result<Option<&mut Followed>, DecodeError> {
        let code = message.root.u32(INSTRUMENT).ok_or(CUT)?;
        let found = self.instruments.by_code(u64::from(code));
        if found.is_none() {
            out.event(&NOT_FOLLOWED);
        }
        Ok(found)
    }

    fn book(
        &mut self,
        parts: &mut Parts,
        channel: u32,
        message: &Message<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let Some(followed) = self.of(message, out)? else {
            return Ok(());
        };
        followed.channel = Some(channel);
        let of = Of {
            kind: BookMsgKind::Delta,
            instrument: followed.id,
            prev: id(message.root, book::PREV)?,
            change: id(message.root, book::CHANGE)?,
        };
        if parts.begin(of, 0) {
            return Err(DecodeError::Shape("a book's parts that are cut off"));
        }
        for level in message.blocks()? {
            let told = raw_level(level, book::PRICE, book::AMOUNT)?;
            let action = level.u8(book::ACTION).ok_or(CUT)?;
            let is_right = match action {
                CREATED | CHANGED => !told.qty.is_zero(),
                DELETED => told.qty.is_zero(),
                _ => return Err(DecodeError::Field("change")),
            };
            if !is_right {
                return Err(CONTRADICTION);
            }
            parts.push(side(level.u8(book::SIDE))?, told)?;
        }
        if yes(message.root, book::IS_LAST)? {
            parts.tell(time(message.root, book::TIME)?, out);
        }
        Ok(())
    }

    fn snapshot(
        &mut self,
        state: &mut State,
        was_held: bool,
        message: &Message<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let State { parts, is_start } = state;
        let is_last = yes(message.root, snapshot::IS_LAST)?;
        let is_complete = yes(message.root, snapshot::IS_COMPLETE)?;
        let calls = self.calls;
        let Some(followed) = self.of(message, out)? else {
            parts.clear();
            return Ok(());
        };
        let of = Of {
            kind: BookMsgKind::Snapshot,
            instrument: followed.id,
            prev: -1,
            change: id(message.root, snapshot::CHANGE)?,
        };
        let goes_on = parts.of() == Some(of);
        // What was held may be older than what is missing.
        let begun = match (goes_on, was_held) {
            (true, _) => parts.begun(),
            (false, true) => 0,
            (false, false) => calls,
        };
        let why = if !followed.is_waiting {
            Some("a snapshot nobody waits for")
        } else if followed.defined == calls {
            Some("rules are not known yet")
        } else if !is_complete {
            Some("a snapshot of some levels")
        } else if begun <= followed.lost {
            Some("a snapshot that began before the hole")
        } else if !goes_on && !*is_start {
            Some("a snapshot whose beginning was missed")
        } else {
            None
        };
        if let Some(why) = why {
            parts.clear();
            out.event(&Event::Ignored(why));
            return Ok(());
        }
        parts.begin(of, begun);
        for level in message.blocks()? {
            let told = raw_level(level, snapshot::PRICE, snapshot::AMOUNT)?;
            if told.qty.is_zero() {
                return Err(CONTRADICTION);
            }
            parts.push(side(level.u8(snapshot::SIDE))?, told)?;
        }
        if is_last {
            followed.is_waiting = false;
            parts.tell(time(message.root, snapshot::TIME)?, out);
        }
        Ok(())
    }

    fn trades(&mut self, message: &Message<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
        let Some(followed) = self.of(message, out)? else {
            return Ok(());
        };
        let instrument = followed.id;
        let trade = |block: Block<'_>| {
            let RawLevel { price, qty } = raw_level(block, trades::PRICE, trades::AMOUNT)?;
            Ok(TradeMsg {
                instrument,
                trade_id: TradeId(u128::from(block.u64(trades::TRADE_ID).ok_or(CUT)?)),
                taker: match block.u8(trades::DIRECTION) {
                    Some(trades::BUY) => Side::Buy,
                    Some(trades::SELL) => Side::Sell,
                    _ => return Err(DecodeError::Field("direction")),
                },
                price,
                qty,
                venue_ns: time(block, trades::TIME)?,
            })
        };
        for block in message.blocks()? {
            out.event(&Event::Trade(trade(block)?));
        }
        Ok(())
    }

    /// Best prices, which both kinds of channels tell: older ones than those told are passed over.
    fn quote(&mut self, message: &Message<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
        let (time_at, at) = if message.root_len < ticker::LEN {
            (ticker::QUOTE_TIME, ticker::QUOTE_BEST)
        } else {
            (ticker::TIME, ticker::BEST)
        };
        let root = message.root;
        let Some(followed) = self.of(message, out)? else {
            return Ok(());
        };
        let venue_ns = time(root, time_at)?;
        if venue_ns < followed.quoted {
            out.event(&Event::Ignored("an older best quote"));
            return Ok(());
        }
        followed.quoted = venue_ns;
        let best = |at| match raw_level(root, at, at + 8) {
            // A side that is empty has no price.
            Err(DecodeError::Number {
                error: NumError::Empty,
                ..
            }) => Ok(RawLevel::default()),
            told => told,
        };
        out.event(&Event::Quote(QuoteMsg {
            instrument: followed.id,
            update_id: -1,
            bid: best(at)?,
            ask: best(at + 16)?,
            venue_ns,
        }));
        Ok(())
    }

    /// An instrument's rules. The older form lacks the ticks of dearer prices, so the newer one's are kept.
    fn definition(
        &mut self,
        message: &Message<'_>,
        registry: &mut Registry,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let root = message.root;
        let is_full = message.template == instrument_v2::TEMPLATE;
        let (len, nearer) = if is_full {
            (instrument_v2::LEN, instrument_v2::NEARER)
        } else {
            (instrument::LEN, 0)
        };
        let code = u64::from(root.u32(INSTRUMENT).ok_or(CUT)?);
        let calls = self.calls;
        let Some((followed, _)) = self.instruments.define(registry, message.text, code) else {
            out.event(&NOT_FOLLOWED);
            return Ok(());
        };
        if message.root_len < len || (followed.is_full && !is_full) {
            out.event(&Event::Ignored("rules of instruments"));
            return Ok(());
        }
        followed.is_full = is_full;
        let known = *registry
            .get(followed.id)
            .ok_or(DecodeError::UnknownSymbol)?;
        let mut ticks = Ticks::new(number(root, instrument::TICK - nearer)?);
        if is_full {
            for step in message.blocks()? {
                ticks.also(number(step, instrument_v2::STEP_TICK)?);
            }
        }
        let name = |at: usize| {
            let text = root.text(at - nearer, instrument::NAME_LEN).ok_or(CUT)?;
            core::str::from_utf8(text).map_err(|_| DecodeError::Field("currency"))
        };
        let kind = root.u8(instrument::KIND).ok_or(CUT)?;
        let (base, settled) = (name(instrument::BASE)?, name(instrument::SETTLED)?);
        // It does not say which futures are reversed: those settled in their own coin.
        let payoff = match kind {
            instrument::FUTURE if base == settled => Payoff::Inverse,
            instrument::FUTURE | instrument::OPTION => Payoff::Linear,
            _ => Payoff::Unknown,
        };
        let contract = number(root, instrument::CONTRACT - nearer)?;
        let rules = Rules {
            ticks,
            amount_min: number(root, instrument::AMOUNT_MIN - nearer)?,
            contract: (kind == instrument::FUTURE).then_some(contract),
            is_live: root.u8(instrument::STATE) == Some(instrument::OPEN),
            venue_code: code,
            payoff: Some(payoff),
            assets: Some((base, settled)),
        };
        let made = rules.over(known, registry)?;
        if made != known {
            registry.update(made);
            followed.defined = calls;
        }
        out.event(&Event::Ignored("rules of instruments"));
        if !self.is_ready && self.instruments.is_complete() {
            self.is_ready = true;
            out.event(&Event::Control(Control::InstrumentsReady));
        }
        Ok(())
    }
}

fn time(block: Block<'_>, at: usize) -> Result<VenueNanos, DecodeError> {
    block.u64(at).map(VenueNanos::from_millis).ok_or(CUT)
}

/// A change id.
fn id(block: Block<'_>, at: usize) -> Result<i64, DecodeError> {
    let raw = block.u64(at).ok_or(CUT)?;
    i64::try_from(raw).map_err(|_| DecodeError::Field("change id"))
}

fn yes(block: Block<'_>, at: usize) -> Result<bool, DecodeError> {
    match block.u8(at).ok_or(CUT)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Field("yes or no")),
    }
}

fn side(raw: Option<u8>) -> Result<Side, DecodeError> {
    match raw {
        Some(BID) => Ok(Side::Buy),
        Some(ASK) => Ok(Side::Sell),
        _ => Err(DecodeError::Field("side")),
    }
}

fn number(block: Block<'_>, at: usize) -> Result<Decimal, DecodeError> {
    let bits = block.u64(at).ok_or(CUT)?;
    double::decimal(bits).map_err(|error| DecodeError::Number {
        field: "a double",
        error,
    })
}

fn raw_level(block: Block<'_>, price: usize, amount: usize) -> Result<RawLevel, DecodeError> {
    Ok(RawLevel {
        price: number(block, price)?,
        qty: number(block, amount)?,
    })
}
