//! The same books, trades and quotes by multicast: frames of the classic feed (SBE, schema 1), on two lines.
//!
//! ```text
//! channel 1   changes, trades, best quotes, a message a datagram; an empty frame in each round, as a sign of life [U]
//! channel 2   the round, every 200 ms: of each instrument its definition, its whole book
//! ```
//! A line counts as a connection that brings books, which nobody opens: a fault of one (`gap:conn=1`) is a loss on one
//! line, a fault of all on both. One that is cut is silent for the fault's time, and then goes on. Source of the bytes:
//! open decoders of the schema, and datagrams recorded in 2022 and 2024.

use super::streams::Feed;
use crate::core::{Core, LINES};
use crate::engine::{Side, Spec};
use crate::fault::{Kind, Link};
use crate::text;

const EVENTS: u16 = 1;
const ROUND: u16 = 2;
/// Time between two rounds, nanoseconds.
const ROUND_NS: u64 = 200_000_000;
/// Levels of one message: a datagram stays within an Ethernet frame.
const LEVELS_MAX: usize = 60;

/// A change of one level.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// Which side.
    pub side: Side,
    /// Price in increments.
    pub price: i64,
    /// What is there now, in increments.
    pub total: i64,
    /// `new`, `change`, `delete`.
    pub action: &'static str,
}

/// A message of the first channel.
#[derive(Debug)]
pub struct Told {
    is_book: bool,
    bytes: Vec<u8>,
}

/// The sender.
#[derive(Debug)]
pub struct Cast {
    /// The next number of each channel.
    numbers: [u32; 2],
    round_at: u64,
}

impl Cast {
    /// A sender at the beginning of its numbers; both lines are open.
    pub fn new(core: &mut Core) -> Self {
        for line in LINES {
            core.opened(line, Link::Public);
        }
        core.brings_books(&LINES);
        Self {
            numbers: [1, 1],
            round_at: core.now,
        }
    }

    /// When the next round begins.
    pub const fn next_deadline(&self) -> u64 {
        self.round_at
    }

    /// Sends what an instrument has to tell.
    pub fn send(&mut self, core: &mut Core, told: Vec<Told>) {
        for Told { is_book, bytes } in told {
            let frame = self.frame(EVENTS, &bytes);
            let lines = core.loud_lines();
            if is_book {
                core.publish_depth("multicast", &lines, frame);
            } else {
                core.publish(&lines, frame);
            }
        }
    }

    /// Sends the round, when it is due.
    pub fn step(&mut self, core: &mut Core, feeds: &[Feed]) {
        if core.now < self.round_at {
            return;
        }
        self.round_at = core.now + ROUND_NS;
        for feed in feeds {
            for part in feed.whole_cast(core) {
                let frame = self.frame(ROUND, &part);
                core.publish(&core.loud_lines(), frame);
            }
        }
        let [events, _] = self.numbers;
        let alive = header(EVENTS, events.wrapping_sub(1), 0);
        core.publish(&core.loud_lines(), alive);
    }

    fn frame(&mut self, channel: u16, body: &[u8]) -> Vec<u8> {
        let at = usize::from(channel != EVENTS);
        let mut frame = header(channel, self.numbers[at], body.len());
        self.numbers[at] = self.numbers[at].wrapping_add(1);
        frame.extend(body);
        frame
    }
}

fn header(channel: u16, number: u32, len: usize) -> Vec<u8> {
    let mut bytes = (len as u16).to_le_bytes().to_vec();
    bytes.extend(channel.to_le_bytes());
    bytes.extend(number.to_le_bytes());
    bytes
}

/// Writes messages of one instrument.
pub struct Writer<'a> {
    /// The instrument.
    pub spec: &'a Spec,
    /// Its number.
    pub code: u32,
    /// When, milliseconds.
    pub ms: i64,
    /// Bytes of a newer version behind each block.
    pub more: usize,
}

impl<'a> Writer<'a> {
    /// For an instrument's news, as a fault wants them.
    pub fn new(core: &'a mut Core, inst: usize) -> Self {
        let is_newer = core.faults.take(Kind::ExtraFields).is_some();
        Self::plain(core, inst, if is_newer { 6 } else { 0 })
    }

    /// For an instrument.
    pub fn plain(core: &'a Core, inst: usize, more: usize) -> Self {
        Self {
            spec: core.engine.spec(inst),
            code: 210_000 + inst as u32,
            ms: core.venue_ms(),
            more,
        }
    }

    /// A change of the book, in as many parts as it takes.
    pub fn book(&self, ids: (u64, u64), changes: &[Change]) -> Vec<Told> {
        let parts = changes.chunks(LEVELS_MAX);
        let last = parts.len().saturating_sub(1);
        let part = |(at, part): (usize, &[Change])| {
            let root = [
                &self.code.to_le_bytes()[..],
                &self.ms.to_le_bytes(),
                &ids.0.to_le_bytes(),
                &ids.1.to_le_bytes(),
                &[u8::from(at == last)],
            ];
            let blocks = part.iter().map(|change| {
                let action = match change.action {
                    "new" => 0,
                    "change" => 1,
                    _ => 2,
                };
                let mut block = vec![u8::from(change.side == Side::Buy), action];
                block.extend(self.level(change.price, change.total));
                block
            });
            Told {
                is_book: true,
                bytes: self.message(1_001, &root, Some((18, blocks.collect())), None),
            }
        };
        parts.enumerate().map(part).collect()
    }

    /// A trade.
    pub fn trade(&self, id: u64, taker: Side, price: i64, qty: i64) -> Told {
        let mut block = vec![u8::from(taker == Side::Sell)];
        block.extend(self.level(price, qty));
        block.extend(self.ms.to_le_bytes());
        block.extend([0; 24]); // mark, index, number within the instrument
        block.extend(id.to_le_bytes());
        block.extend([0; 26]); // liquidation, IV, block and combo trades
        let root = [&self.code.to_le_bytes()[..]];
        Told {
            is_book: false,
            bytes: self.message(1_002, &root, Some((block.len(), vec![block])), None),
        }
    }

    /// Best bid and ask, each price and amount; an empty side has no price.
    pub fn quote(&self, best: [(i64, i64); 2]) -> Told {
        let side = |(price, qty): (i64, i64)| match qty {
            0 => [[0xff; 8], [0; 8]].concat(),
            _ => self.level(price, qty),
        };
        let root = [
            &self.code.to_le_bytes()[..],
            &[1],
            &self.ms.to_le_bytes(),
            &[0; 48],
            &best.map(side).concat(),
            &[0xff; 40],
        ];
        Told {
            is_book: false,
            bytes: self.message(1_003, &root, None, None),
        }
    }

    /// The definition and the whole book as of a change, best levels first: the bodies of as many datagrams as it takes.
    pub fn whole(&self, name: &str, change: u64, levels: &[(Side, i64, i64)]) -> Vec<Vec<u8>> {
        let parts: Vec<&[(Side, i64, i64)]> = levels.chunks(LEVELS_MAX).collect();
        let mut bodies = vec![self.definition(name)];
        let count = parts.len().max(1);
        for at in 0..count {
            let root = [
                &self.code.to_le_bytes()[..],
                &self.ms.to_le_bytes(),
                &change.to_le_bytes(),
                &[1, u8::from(at + 1 == count)],
            ];
            let blocks = parts.get(at).into_iter().flat_map(|part| part.iter());
            let blocks = blocks.map(|(side, price, total)| {
                let mut block = vec![u8::from(*side == Side::Buy)];
                block.extend(self.level(*price, *total));
                block
            });
            let part = self.message(1_004, &root, Some((17, blocks.collect())), None);
            if at == 0 {
                bodies[0].extend(part);
            } else {
                bodies.push(part);
            }
        }
        bodies
    }

    fn definition(&self, name: &str) -> Vec<u8> {
        let spec = self.spec;
        let mut names = Vec::new();
        for name in [
            &spec.base,
            &spec.quote,
            &spec.quote,
            &spec.quote,
            &spec.quote,
        ] {
            let mut room = name.as_bytes().to_vec();
            room.resize(8, 0);
            names.extend(room);
        }
        let root = [
            &self.code.to_le_bytes()[..],
            &[1, 0, 0, 0, 0, 1, 0], // open, a future, linear, …
            &names,
            &[0; 24], // created, expires, strike
            &double(&text::qty(spec, spec.lot)),
            &double(&text::qty(spec, spec.qty_min)),
            &double(&text::price(spec, spec.tick)),
            &[0; 40], // fees and leverage
        ];
        self.message(1_010, &root, Some((16, Vec::new())), Some(name))
    }

    fn level(&self, price: i64, qty: i64) -> Vec<u8> {
        let price = double(&text::price(self.spec, price));
        [price, double(&text::qty(self.spec, qty))].concat()
    }

    fn message(
        &self,
        template: u16,
        root: &[&[u8]],
        group: Option<(usize, Vec<Vec<u8>>)>,
        text: Option<&str>,
    ) -> Vec<u8> {
        let more = vec![0xee; self.more];
        let root = root.concat();
        let mut bytes = Vec::new();
        for field in [
            (root.len() + more.len()) as u16,
            template,
            1,
            3,
            u16::from(group.is_some()),
            u16::from(text.is_some()),
        ] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(root);
        bytes.extend(&more);
        if let Some((len, blocks)) = group {
            for field in [(len + more.len()) as u16, blocks.len() as u16, 0, 0] {
                bytes.extend(field.to_le_bytes());
            }
            for block in blocks {
                bytes.extend(block);
                bytes.extend(&more);
            }
        }
        if let Some(text) = text {
            bytes.push(text.len() as u8);
            bytes.extend(text.as_bytes());
        }
        bytes
    }
}

fn double(text: &str) -> [u8; 8] {
    text.parse::<f64>().unwrap_or(f64::NAN).to_le_bytes()
}
