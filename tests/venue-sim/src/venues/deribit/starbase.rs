//! Single orders and trades by multicast: packets of Starbase's market data (SBE, schema 2102, version 1), on two
//! lines.
//!
//! ```text
//! channel of an instrument   changes, a transaction in as many packets as it takes; an empty one after 5 s without any
//! its snapshots              every 200 ms: header, definition, orders by price and rank, trailer; numbers of their own
//! ```
//! A line is what it is in [`super::cast`]. Faults of messages strike the changes (`on=orders`), whose numbers go on:
//! what is lost shows as a hole. There is no gateway to ask for it. Source of the bytes: the venue's pages on
//! packets, order book and trades, and descriptions of its XML, read 2026-11-22.

use crate::core::{Core, LINES};
use crate::engine::{Side, Spec, Trade};
use crate::fault::{Depth, Link};
use std::collections::BTreeMap;

const ROUND_NS: u64 = 200_000_000;
const ALIVE_NS: u64 = 5_000_000_000;
/// A packet stays within an Ethernet frame.
const PACKET_MAX: usize = 1_400;
/// The first instrument's channel.
const CHANNEL: i32 = 44_801;
/// Prices have nine decimals.
const PRICE_DECIMALS: u32 = 9;
/// Orders ranked one after the other are so far apart.
const RANK_STEP: i64 = 7;

const START: u16 = 1;
const END: u16 = 2;

/// An order as it was told.
#[derive(Debug, Clone, Copy)]
struct Resting {
    side: Side,
    price: i64,
    qty: i64,
    rank: i64,
}

/// Packets of one kind on one channel.
#[derive(Debug, Clone, Copy)]
struct Stream {
    channel: i32,
    /// 1 for changes, 2 for snapshots.
    kind: u16,
    next: i64,
    sent_at: u64,
}

/// One instrument: its channel, and what was told of it.
#[derive(Debug)]
struct Told {
    inst: usize,
    name: String,
    code: i64,
    orders: BTreeMap<u64, Resting>,
    rank: i64,
    prints: i64,
    changes: Stream,
    snapshots: Stream,
    /// Of the transaction so far.
    messages: Vec<Message>,
}

/// A message, without what its packet gives it.
#[derive(Debug)]
struct Message {
    template: u16,
    flags: u16,
    body: Vec<u8>,
}

/// The sender.
#[derive(Debug)]
pub struct Starbase {
    all: Vec<Told>,
    round_at: u64,
}

impl Starbase {
    /// A sender of the books as they are; both lines are open.
    pub fn new(core: &mut Core, names: &[String]) -> Self {
        for line in LINES {
            core.opened(line, Link::Public);
        }
        core.brings_books(&LINES);
        let told = |(inst, name): (usize, &String)| Told::new(core, inst, name);
        Self {
            all: names.iter().enumerate().map(told).collect(),
            round_at: core.now,
        }
    }

    /// When the next round begins; signs of life go with it.
    pub const fn next_deadline(&self) -> u64 {
        self.round_at
    }

    /// One order changed what rests at a price.
    pub fn level(
        &mut self,
        inst: usize,
        (id, side): (u64, Side),
        price: i64,
        leaves: i64,
        spec: &Spec,
    ) {
        if let Some(told) = self.all.get_mut(inst) {
            told.level(
                id,
                Resting {
                    side,
                    price,
                    qty: leaves,
                    rank: 0,
                },
                spec,
            );
        }
    }

    /// A trade printed.
    pub fn trade(&mut self, trade: &Trade, spec: &Spec) {
        if let Some(told) = self.all.get_mut(trade.inst) {
            told.trade(trade, spec);
        }
    }

    /// Sends what has been told since the last time.
    pub fn send(&mut self, core: &mut Core) {
        for told in &mut self.all {
            let mut messages = std::mem::take(&mut told.messages);
            if let Some(first) = messages.first_mut() {
                first.flags |= START;
            }
            if let Some(last) = messages.last_mut() {
                last.flags |= END;
            }
            let key = told.changes.channel.to_string();
            for packet in told.changes.packets(core, &messages) {
                core.publish_on(Depth::Orders, &key, &core.loud_lines(), packet);
            }
        }
    }

    /// Sends the round, when it is due, and signs of life.
    pub fn step(&mut self, core: &mut Core) {
        if core.now < self.round_at {
            return;
        }
        self.round_at = core.now + ROUND_NS;
        for told in &mut self.all {
            let round = told.round(core);
            for packet in told.snapshots.packets(core, &round) {
                core.publish(&core.loud_lines(), packet);
            }
            if core.now >= told.changes.sent_at + ALIVE_NS {
                let alive = told.changes.packet(core, 0, &[]);
                core.publish(&core.loud_lines(), alive);
            }
        }
    }
}

impl Told {
    fn new(core: &Core, inst: usize, name: &str) -> Self {
        let stream = |kind, next| Stream {
            channel: CHANNEL + inst as i32,
            kind,
            next,
            sent_at: core.now,
        };
        let mut told = Self {
            inst,
            name: name.to_owned(),
            code: 317_945 + inst as i64,
            orders: BTreeMap::new(),
            rank: 1_000,
            prints: 0,
            changes: stream(1, 9_000_001),
            snapshots: stream(2, 1),
            messages: Vec::new(),
        };
        let book = core.engine.book(inst);
        for side in [Side::Buy, Side::Sell] {
            for (price, level) in book.levels(side) {
                let queue = level.queue.iter().filter_map(|id| core.engine.order(*id));
                for order in queue {
                    let rank = told.next_rank();
                    let qty = order.leaves();
                    let resting = Resting {
                        side,
                        price,
                        qty,
                        rank,
                    };
                    told.orders.insert(order.id, resting);
                }
            }
        }
        told
    }

    fn next_rank(&mut self) -> i64 {
        self.rank += RANK_STEP;
        self.rank
    }

    /// What an order has left; one that has less keeps its place, one that has more or another price begins anew.
    fn level(&mut self, id: u64, mut now: Resting, spec: &Spec) {
        let bid = |template: u16| template + u16::from(now.side == Side::Sell);
        let about = [id as i64, self.code];
        let known = self.orders.get_mut(&id);
        let (template, fields) = match known {
            None if now.qty == 0 => return,
            Some(_) if now.qty == 0 => {
                self.orders.remove(&id);
                (bid(24), about.to_vec())
            }
            Some(known) if known.price == now.price && now.qty <= known.qty => {
                known.qty = now.qty;
                (bid(22), [&about[..], &[now.qty]].concat())
            }
            _ => {
                now.rank = self.next_rank();
                self.orders.insert(id, now);
                (bid(20), put(about, now, spec))
            }
        };
        self.messages.push(Message::of(template, &fields));
    }

    fn trade(&mut self, trade: &Trade, spec: &Spec) {
        self.prints += 1;
        let price = nine(spec, trade.price);
        let fields = [trade.id as i64, self.code, self.prints, trade.qty, price];
        let mut message = Message::of(31, &fields);
        let (maker_sold, taker_sold) = match trade.taker {
            Side::Buy => (1u32, 0u32),
            Side::Sell => (0, 1),
        };
        message.body.extend(maker_sold.to_le_bytes());
        message.body.extend(taker_sold.to_le_bytes());
        self.messages.push(message);
    }

    /// The book as it was told, front of the queues first.
    fn round(&self, core: &Core) -> Vec<Message> {
        let spec = core.engine.spec(self.inst);
        let anchor = [self.code, 1, self.changes.next - 1];
        let mut messages = vec![
            Message {
                flags: START,
                ..Message::of(100, &anchor)
            },
            self.definition(spec),
        ];
        for (side, template) in [(Side::Buy, 20), (Side::Sell, 21)] {
            let own = self.orders.iter().filter(|(_, order)| order.side == side);
            let mut own: Vec<_> = own.collect();
            own.sort_by_key(|(_, order)| {
                let nearer = if side == Side::Buy {
                    -order.price
                } else {
                    order.price
                };
                (nearer, order.rank)
            });
            let put = |(id, order): &(&u64, &Resting)| {
                Message::of(template, &put([**id as i64, self.code], **order, spec))
            };
            messages.extend(own.iter().map(put));
        }
        messages.push(Message {
            flags: END,
            ..Message::of(101, &anchor)
        });
        let mut end = Message::of(119, &[]);
        end.body.extend(1i32.to_le_bytes());
        messages.push(end);
        messages
    }

    fn definition(&self, spec: &Spec) -> Message {
        let text = |text: &str, len: usize| {
            let mut room = text.as_bytes().to_vec();
            room.resize(len, 0);
            room
        };
        let tick = nine(spec, spec.tick).to_le_bytes();
        let body = [
            &self.code.to_le_bytes()[..],
            &text(&self.name, 128),
            &7i64.to_le_bytes(), // its pair
            &text(&spec.base, 64),
            &text(&spec.quote, 8),
            &text(&spec.quote, 8),
            &i64::MIN.to_le_bytes(), // it does not expire
            &i64::MIN.to_le_bytes(), // and has no strike
            &spec.qty_min.to_le_bytes(),
            &tick,
            // Decimals of quantities, … , open.
            &[
                (spec.qty_decimals as i8).wrapping_neg().cast_unsigned(),
                0,
                5,
                0,
            ],
            &[16, 0, 1, 0], // one step of the tick, of 16 bytes
            &[tick, 0i64.to_le_bytes()].concat(),
        ];
        Message {
            template: 10,
            flags: 0,
            body: body.concat(),
        }
    }
}

fn put(about: [i64; 2], order: Resting, spec: &Spec) -> Vec<i64> {
    [
        &about[..],
        &[order.qty, nine(spec, order.price), order.rank],
    ]
    .concat()
}

/// A price in the wire's decimals.
fn nine(spec: &Spec, price: i64) -> i64 {
    price * 10i64.pow(PRICE_DECIMALS - u32::from(spec.price_decimals))
}

impl Message {
    fn of(template: u16, fields: &[i64]) -> Self {
        Self {
            template,
            flags: 0,
            body: fields
                .iter()
                .flat_map(|field| field.to_le_bytes())
                .collect(),
        }
    }

    /// Padded to eight bytes.
    fn write(&self, time: i64) -> Vec<u8> {
        let len = (16 + self.body.len()).next_multiple_of(8);
        let mut bytes = Vec::with_capacity(len);
        for field in [len as u16, self.template, 1, self.flags] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(time.to_le_bytes());
        bytes.extend(&self.body);
        bytes.resize(len, 0);
        bytes
    }
}

impl Stream {
    /// Messages in as many packets as it takes.
    fn packets(&mut self, core: &Core, messages: &[Message]) -> Vec<Vec<u8>> {
        let (mut packets, mut body, mut count) = (Vec::new(), Vec::new(), 0);
        for message in messages {
            let bytes = message.write(time(core));
            if count > 0 && 24 + body.len() + bytes.len() > PACKET_MAX {
                packets.push(self.packet(core, count, &body));
                (body, count) = (Vec::new(), 0);
            }
            body.extend(bytes);
            count += 1;
        }
        if count > 0 {
            packets.push(self.packet(core, count, &body));
        }
        packets
    }

    fn packet(&mut self, core: &Core, count: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = time(core).to_le_bytes().to_vec();
        bytes.extend(self.next.to_le_bytes());
        bytes.extend(self.channel.to_le_bytes());
        bytes.extend(self.kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(body);
        self.next += i64::from(count);
        self.sent_at = core.now;
        bytes
    }
}

/// The venue's clock, nanoseconds.
fn time(core: &Core) -> i64 {
    core.now as i64 + core.skew_ms * 1_000_000
}

#[cfg(test)]
mod tests {
    use crate::config::{MulticastFeed, SimConfig};
    use crate::core::{LINES, Out};
    use crate::venues::Face as _;
    use crate::venues::deribit::Deribit;
    use std::collections::BTreeMap;
    use std::net::{Ipv4Addr, SocketAddrV4};

    fn int(bytes: &[u8], at: usize) -> i64 {
        i64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    fn short(bytes: &[u8], at: usize) -> u16 {
        u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
    }

    /// Numbers run on by kind and channel, nothing is longer than a frame, and whoever keeps what one line tells has
    /// every order of the engine: read here by offsets alone.
    #[test]
    fn one_line_tells_every_order() {
        let group = SocketAddrV4::new(Ipv4Addr::new(239, 1, 1, 1), 5_000);
        let config = SimConfig {
            symbols: vec!["BTC-USDC".parse().unwrap(), "ETH-USDC".parse().unwrap()],
            multicast: Some([group; 2]),
            multicast_feed: MulticastFeed::Starbase,
            ..SimConfig::default()
        };
        let start = 1_795_305_600_000_000_000;
        let mut face = Deribit::new(&config, start);
        let mut next: BTreeMap<(i64, u16), i64> = BTreeMap::new();
        let mut orders: BTreeMap<(i64, i64), i64> = BTreeMap::new();
        let (mut changes, mut trades) = (0, 0);
        for at in 1..4_000 {
            face.step(start + at * 1_000_000);
            for out in face.core().take_out() {
                let Out::Binary(conn, bytes) = out else {
                    continue;
                };
                if conn != LINES[0] {
                    continue;
                }
                assert!(bytes.len() <= super::PACKET_MAX);
                let (number, kind, count) = (int(&bytes, 8), short(&bytes, 20), short(&bytes, 22));
                let channel = int(&bytes, 16) & 0xffff_ffff;
                let known = next.insert((channel, kind), number + i64::from(count));
                assert!(known.is_none_or(|known| known == number), "a hole");
                let mut rest = &bytes[24..];
                for _ in 0..count {
                    let (message, more) = rest.split_at(usize::from(short(rest, 0)));
                    rest = more;
                    assert_eq!(message.len() % 8, 0);
                    let body = &message[16..];
                    let template = short(message, 2);
                    match template {
                        20 | 21 => {
                            orders.insert((channel, int(body, 0)), int(body, 16));
                        }
                        22 | 23 => {
                            let held = orders.get_mut(&(channel, int(body, 0)));
                            *held.expect("it rests") = int(body, 16);
                        }
                        24 | 25 => {
                            orders.remove(&(channel, int(body, 0))).expect("it rests");
                        }
                        31 => trades += 1,
                        _ => continue,
                    }
                    changes += i32::from(kind == 1);
                }
                assert!(rest.is_empty());
            }
        }
        assert!(changes > 200 && trades > 5, "{changes} {trades}");
        let engine = &face.core().engine;
        let mut theirs: Vec<(i64, i64)> = Vec::new();
        for inst in 0..2 {
            for side in [super::Side::Buy, super::Side::Sell] {
                for (_, level) in engine.book(inst).levels(side) {
                    let queue = level.queue.iter().filter_map(|id| engine.order(*id));
                    theirs.extend(queue.map(|order| (order.id as i64, order.leaves())));
                }
            }
        }
        theirs.sort_unstable();
        let mut ours: Vec<(i64, i64)> =
            orders.into_iter().map(|((_, id), qty)| (id, qty)).collect();
        ours.sort_unstable();
        assert_eq!(ours, theirs);
    }
}
