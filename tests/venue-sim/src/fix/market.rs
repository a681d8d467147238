//! Market data: a book whole (W), then what changed of it (X), and trades.
//!
//! ```text
//!  W  55 (25044) 268: 269 270 271
//!  X  268: 279 269 55 270 271 (25043 25044 with the first, 5041 behind them all)
//! ```
//! Where sizes are in contracts (231), and with checksums, both name the symbol once, before the entries.
//! What is told to a subscriber is the difference between the book as it last heard it and the book as it is, so a
//! message carries each level once. The session's numbers are the chain: no message may be missed.

use super::codec::Message;
use super::door::Name;
use super::parse::inst_of;
use super::profile::Books;
use super::singles::Singles;
use super::time;
use crate::core::Core;
use crate::engine::{Event, Side, Trade};
use crate::fault::Kind;
use crate::text::{price, qty};
use crate::venues::Face;
use std::collections::BTreeMap;

/// Subscriptions of all sessions.
const SUBS_MAX: usize = 1_000;
/// Instruments in one request.
const SYMBOLS_MAX: usize = 100;

/// Levels of both sides: price to size.
type Levels = [BTreeMap<i64, i64>; 2];

struct Sub {
    name: Name,
    id: String,
    inst: usize,
    /// Levels of a side; all where `None`.
    depth: Option<usize>,
    has_book: bool,
    has_trades: bool,
    /// Each change brings the whole book again.
    is_whole: bool,
    books: Books,
    told: Levels,
    /// The number of the last change told, where books are numbered.
    last: Option<u64>,
    /// Single orders instead of levels.
    singles: Option<Singles>,
}

/// All subscriptions.
#[derive(Default)]
pub struct Market {
    subs: Vec<Sub>,
}

impl Market {
    /// A session is gone.
    pub fn forget(&mut self, name: &Name) {
        self.subs.retain(|sub| sub.name != *name);
    }

    /// A MarketDataRequest; its answers.
    pub fn request(
        &mut self,
        face: &mut dyn Face,
        (name, books): (&Name, Books),
        message: &Message,
    ) -> Vec<Message> {
        let id = message.text(262).to_owned();
        let kind = message.text(263);
        if kind == "2" {
            self.subs.retain(|sub| sub.name != *name || sub.id != id);
            return Vec::new();
        }
        let subs = match self.wanted(face, (name, books), message) {
            Ok(subs) => subs,
            Err((reason, text)) => {
                let mut reject = Message::new("Y");
                reject.put(262, id).put(281, reason).put(58, text);
                return vec![reject];
            }
        };
        let mut answers = Vec::new();
        for mut sub in subs {
            if let Some(singles) = &sub.singles {
                answers.append(&mut singles.whole(face));
            } else if sub.has_book {
                sub.told = levels(face.core(), sub.inst, sub.depth);
                answers.push(whole(face, &sub));
            }
            if kind == "1" {
                self.subs.push(sub);
            }
        }
        answers
    }

    /// What subscribers are to hear after these events.
    pub fn read(&mut self, face: &mut dyn Face, tape: &[Event]) -> Vec<(Name, Message)> {
        let mut told = Vec::new();
        if tape.is_empty() {
            return told;
        }
        for sub in &mut self.subs {
            if let Some(singles) = &mut sub.singles {
                let messages = singles.read(face, tape).into_iter();
                told.extend(messages.map(|message| (sub.name.clone(), message)));
                continue;
            }
            let has_moved = tape
                .iter()
                .any(|event| matches!(event, Event::Level { inst, .. } if *inst == sub.inst));
            let (mut entries, mut sum) = (Vec::new(), None);
            if sub.has_trades {
                for event in tape {
                    if let Event::Trade(trade) = event
                        && trade.inst == sub.inst
                    {
                        entries.push(trade_entry(face, trade, sub.books));
                    }
                }
            }
            if sub.has_book && has_moved {
                let now = levels(face.core(), sub.inst, sub.depth);
                if sub.is_whole && now != sub.told {
                    sub.told = now;
                    told.push((sub.name.clone(), whole(face, sub)));
                } else if !sub.is_whole {
                    let mut changes = changes(face, sub, &now);
                    sub.told = now;
                    let update_id = face.core().engine.update_id(sub.inst);
                    if let (Some(last), Some(first)) = (&mut sub.last, changes.first_mut()) {
                        first.put(25043, *last + 1).put(25044, update_id);
                        *last = update_id;
                    }
                    if sub.books == Books::Checked && !changes.is_empty() {
                        let wrong = face.core().faults.take_fix(Kind::BadChecksum, true);
                        sum = Some(checksum(&sub.told) ^ u32::from(wrong.is_some()));
                    }
                    entries.extend(changes);
                }
            }
            if !entries.is_empty() {
                let mut message = Message::new("X");
                message.put(262, &sub.id);
                if sub.books.names_once() {
                    message.put(55, face.symbol(sub.inst));
                }
                put_contract(face.core(), sub, &mut message);
                message.put(268, entries.len());
                for entry in &entries {
                    message.append(entry);
                }
                message.put_some(5041, sum);
                told.push((sub.name.clone(), message));
            }
        }
        told
    }

    /// The subscriptions a request asks for. Errors: MDReqRejReason and text.
    fn wanted(
        &self,
        face: &mut dyn Face,
        (name, books): (&Name, Books),
        message: &Message,
    ) -> Result<Vec<Sub>, (u32, &'static str)> {
        let id = message.text(262);
        if id.is_empty() || !matches!(message.text(263), "0" | "1") {
            return Err((4, "unsupported SubscriptionRequestType"));
        }
        let is_same = |sub: &Sub| sub.name == *name && sub.id == id;
        if self.subs.iter().any(is_same) {
            return Err((1, "duplicate MDReqID"));
        }
        let is_single = books == Books::Orders && message.get(264).is_none();
        let depth = match message.number(264) {
            None if is_single => None,
            Some(0) => None,
            Some(depth) => Some(usize::try_from(depth).unwrap_or(usize::MAX)),
            None => return Err((5, "unsupported MarketDepth")),
        };
        let is_whole = message.get(265) == Some("0");
        let kinds: Vec<Message> = message.group(267);
        let kinds: Vec<&str> = kinds.iter().map(|kind| kind.text(269)).collect();
        let has = |wanted: &[&str]| kinds.iter().any(|kind| wanted.contains(kind));
        let has_kinds = is_single || !kinds.is_empty();
        if !has_kinds || kinds.iter().any(|kind| !matches!(*kind, "0" | "1" | "2")) {
            return Err((8, "unsupported MDEntryType"));
        }
        let symbols = message.group(146);
        if symbols.is_empty() || symbols.len() > SYMBOLS_MAX {
            return Err((0, "no symbols, or too many"));
        }
        if self.subs.len() + symbols.len() > SUBS_MAX {
            return Err((2, "insufficient bandwidth"));
        }
        let mut subs = Vec::new();
        for symbol in &symbols {
            let inst = inst_of(face, symbol.text(55));
            let inst = inst.ok_or((0, "unknown symbol"))?;
            let engine = &face.core().engine;
            let last = (books == Books::Numbered).then(|| engine.update_id(inst));
            subs.push(Sub {
                name: name.clone(),
                id: id.to_owned(),
                inst,
                last,
                singles: is_single.then(|| Singles::new(face, inst, id)),
                depth,
                has_book: has(&["0", "1"]),
                has_trades: has(&["2"]),
                is_whole,
                books,
                told: Levels::default(),
            });
        }
        Ok(subs)
    }
}

/// The list of instruments (SecurityList).
pub fn instruments(face: &mut dyn Face, asked: &Message) -> Message {
    let count = face.core().engine.instruments();
    let mut list = Message::new("y");
    list.put(320, asked.text(320))
        .put(322, format!("list-{count}"));
    list.put(560, 0).put(146, count);
    for inst in 0..count {
        let symbol = face.symbol(inst);
        let spec = face.core().engine.spec(inst);
        list.put(55, symbol).put(15, &spec.quote);
        list.put(969, price(spec, spec.tick));
        list.put(562, qty(spec, spec.qty_min));
    }
    list
}

fn levels(core: &Core, inst: usize, depth: Option<usize>) -> Levels {
    [Side::Buy, Side::Sell].map(|side| {
        let book = core.engine.book(inst).levels(side);
        book.take(depth.unwrap_or(usize::MAX))
            .map(|(price, level)| (price, level.total))
            .collect()
    })
}

/// The book of a subscription as it was last told.
fn whole(face: &mut dyn Face, sub: &Sub) -> Message {
    let symbol = face.symbol(sub.inst);
    let core = face.core();
    let spec = core.engine.spec(sub.inst);
    let [bids, asks] = &sub.told;
    let mut message = Message::new("W");
    message.put(262, &sub.id).put(55, symbol);
    message.put_some(25044, sub.last);
    put_contract(core, sub, &mut message);
    message.put(268, bids.len() + asks.len());
    let rows = bids.iter().rev().map(|row| (0, row));
    for (side, (at, size)) in rows.chain(asks.iter().map(|row| (1, row))) {
        message.put(269, side).put(270, price(spec, *at));
        message.put(271, sub.books.qty(spec, *size));
    }
    message
}

/// Entries for what is new, changed or gone.
fn changes(face: &mut dyn Face, sub: &Sub, now: &Levels) -> Vec<Message> {
    let symbol = face.symbol(sub.inst);
    let engine = &face.core().engine;
    let (spec, book) = (engine.spec(sub.inst), engine.book(sub.inst));
    let mut entries = Vec::new();
    let mut put = |side: usize, action: u32, at: i64, size: Option<i64>| {
        let mut entry = Message::default();
        entry.put(279, action).put(269, side);
        entry.put_some(55, (!sub.books.names_once()).then_some(&symbol));
        entry.put(270, price(spec, at));
        entry.put_some(271, size.map(|size| sub.books.qty(spec, size)));
        entries.push(entry);
    };
    for (side, (was, is)) in sub.told.iter().zip(now).enumerate() {
        // As over the WebSocket there, nothing is said of a level that only fell out of the depth. [U] over FIX
        let of = if side == 0 { Side::Buy } else { Side::Sell };
        let is_gone = |at: &i64| sub.books != Books::Checked || book.total(of, *at) == 0;
        for at in was.keys().filter(|at| !is.contains_key(at) && is_gone(at)) {
            put(side, 2, *at, None);
        }
        for (at, size) in is {
            match was.get(at) {
                None => put(side, 0, *at, Some(*size)),
                Some(known) if known != size => put(side, 1, *at, Some(*size)),
                Some(_) => {}
            }
        }
    }
    entries
}

/// What a contract is, where sizes are in contracts.
fn put_contract(core: &Core, sub: &Sub, message: &mut Message) {
    if sub.books == Books::Contracts {
        let spec = core.engine.spec(sub.inst);
        message.put(231, qty(spec, spec.lot));
    }
}

/// CRC-32 of the ten best asks, then bids: price and size with the instrument's digits, without the point and without
/// zeros in front, which are the digits of their increments.
fn checksum([bids, asks]: &Levels) -> u32 {
    let mut text = String::new();
    let best = asks.iter().take(10).chain(bids.iter().rev().take(10));
    for (price, size) in best {
        text.push_str(&format!("{price}{size}"));
    }
    crc32fast::hash(text.as_bytes())
}

fn trade_entry(face: &mut dyn Face, trade: &Trade, books: Books) -> Message {
    let symbol = face.symbol(trade.inst);
    let core = face.core();
    let spec = core.engine.spec(trade.inst);
    let at_ms = (trade.at_ns / 1_000_000) as i64 + core.skew_ms;
    let mut entry = Message::default();
    entry.put(279, 0).put(269, 2);
    entry.put_some(55, (!books.names_once()).then_some(symbol));
    entry
        .put(270, price(spec, trade.price))
        .put(271, books.qty(spec, trade.qty));
    let taker = if trade.taker == Side::Buy { 1 } else { 2 };
    let time = time::text(at_ms);
    if books == Books::Contracts {
        entry.put(272, time).put(100009, trade.id).put(54, taker);
    } else {
        entry.put(60, time).put(1003, trade.id).put(2446, taker);
    }
    entry
}
