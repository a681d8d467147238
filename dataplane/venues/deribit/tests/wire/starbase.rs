//! Starbase written by hand, as the venue would: packets, messages, a book of single orders and its round.

use dp_types::Side;
use std::collections::BTreeMap;

pub const CHANNEL: i32 = 44_853;
pub const CODE: i64 = 317_945;
pub const NAME: &str = "BTC-PERPETUAL";
/// Lots of ten.
pub const QTY_EXPONENT: i8 = 1;

pub const INCREMENTAL: u16 = 1;
pub const SNAPSHOT: u16 = 2;
pub const START: u16 = 1;
pub const END: u16 = 2;

pub fn packet(kind: u16, number: i64, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = 1i64.to_le_bytes().to_vec();
    bytes.extend(number.to_le_bytes());
    bytes.extend(CHANNEL.to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend((messages.len() as u16).to_le_bytes());
    bytes.extend(messages.concat());
    bytes
}

/// Padded to eight bytes, which its length tells with it.
pub fn message(template: u16, flags: u16, body: &[&[u8]]) -> Vec<u8> {
    let mut body = body.concat();
    body.resize(body.len().next_multiple_of(8), 0);
    let mut bytes = ((body.len() + 16) as u16).to_le_bytes().to_vec();
    for field in [template, 1, flags] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(1_760_000_000_000_000_000i64.to_le_bytes());
    bytes.extend(body);
    bytes
}

pub fn numbers(template: u16, flags: u16, fields: &[i64]) -> Vec<u8> {
    let fields: Vec<_> = fields.iter().map(|field| field.to_le_bytes()).collect();
    let fields: Vec<&[u8]> = fields.iter().map(|field| &field[..]).collect();
    message(template, flags, &fields)
}

pub fn definition(code: i64, name: &str) -> Vec<u8> {
    let room = |text: &str, len: usize| {
        let mut room = text.as_bytes().to_vec();
        room.resize(len, 0);
        room
    };
    let price = |halves: i64| (halves * 500_000_000).to_le_bytes();
    let step = [price(2), price(2_000)].concat();
    message(
        10,
        0,
        &[
            &code.to_le_bytes(),
            &room(name, 128),
            &7i64.to_le_bytes(),
            &room("BTC", 64),
            &room("USD", 8),
            &room("USD", 8),
            &i64::MIN.to_le_bytes(),
            &i64::MIN.to_le_bytes(),
            &1i64.to_le_bytes(),
            &price(1),
            &[QTY_EXPONENT.cast_unsigned(), 0, 5, 0],
            &[16, 0, 1, 0],
            &step,
            &[9, 0, 0, 0],
        ],
    )
}

/// Price in halves, quantity in lots.
pub fn put(side: Side, id: i64, (lots, halves, rank): (i64, i64, i64), flags: u16) -> Vec<u8> {
    let template = if side == Side::Buy { 20 } else { 21 };
    numbers(
        template,
        flags,
        &[id, CODE, lots, halves * 500_000_000, rank],
    )
}

pub fn reduced(side: Side, id: i64, lots: i64) -> Vec<u8> {
    let template = if side == Side::Buy { 22 } else { 23 };
    numbers(template, START | END, &[id, CODE, lots])
}

pub fn delete(side: Side, id: i64) -> Vec<u8> {
    let template = if side == Side::Buy { 24 } else { 25 };
    numbers(template, START | END, &[id, CODE])
}

pub fn trade(id: i64, maker_sells: bool) -> Vec<u8> {
    let fields = [
        id,
        CODE,
        5,
        3,
        130_000 * 500_000_000,
        i64::from(maker_sells),
    ];
    numbers(31, START | END, &fields)
}

/// The venue's book, and all it said.
#[derive(Default)]
pub struct Venue {
    pub orders: BTreeMap<i64, (Side, i64, i64, i64)>,
    pub number: i64,
    pub round: i64,
}

impl Venue {
    pub fn changes(&mut self, messages: &[Vec<u8>]) -> Vec<u8> {
        let bytes = packet(INCREMENTAL, self.number, messages);
        self.number += messages.len() as i64;
        bytes
    }

    pub fn one(
        &mut self,
        what: u8,
        id: i64,
        (is_bid, lots, step, rank): (bool, i64, i64, i64),
    ) -> Vec<u8> {
        let known = self.orders.get(&id).copied();
        let side = if is_bid { Side::Buy } else { Side::Sell };
        match (known, what) {
            (Some((side, ..)), 0) => {
                self.orders.remove(&id);
                delete(side, id)
            }
            (Some((side, held, halves, rank)), 1) => {
                let left = lots.min(held);
                self.orders.insert(id, (side, left, halves, rank));
                reduced(side, id, left)
            }
            (known, _) => {
                let side = known.map_or(side, |known| known.0);
                let halves = if side == Side::Buy {
                    130_000 - step
                } else {
                    130_002 + step
                };
                self.orders.insert(id, (side, lots, halves, rank));
                put(side, id, (lots, halves, rank), START | END)
            }
        }
    }

    /// By price, then rank.
    pub fn sorted(&self, side: Side) -> Vec<(u128, i64, i64)> {
        let mut all: Vec<_> = self
            .orders
            .iter()
            .filter(|(_, order)| order.0 == side)
            .collect();
        all.sort_by_key(|(_, (_, _, halves, rank))| {
            (if side == Side::Buy { -halves } else { *halves }, *rank)
        });
        all.into_iter()
            .map(|(id, (_, lots, halves, _))| (*id as u128, *halves, *lots))
            .collect()
    }

    /// The book in a round, in packets of at most three messages.
    pub fn snapshot(&mut self) -> Vec<Vec<u8>> {
        let anchor = [CODE, 1, self.number - 1];
        let mut messages = vec![numbers(100, START, &anchor), definition(CODE, NAME)];
        for side in [Side::Buy, Side::Sell] {
            for (id, halves, lots) in self.sorted(side) {
                let rank = self.orders[&(id as i64)].3;
                messages.push(put(side, id as i64, (lots, halves, rank), 0));
            }
        }
        messages.push(numbers(101, END, &anchor));
        messages.push(message(119, 0, &[&1i32.to_le_bytes()]));
        let mut packets = Vec::new();
        for chunk in messages.chunks(3) {
            packets.push(packet(SNAPSHOT, self.round, chunk));
            self.round += chunk.len() as i64;
        }
        packets
    }
}
