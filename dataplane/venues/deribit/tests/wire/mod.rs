//! What the multicast tests share: the classic feed written by hand, its recordings, and a lane that keeps books.
#![allow(dead_code, missing_docs)] // each test file uses a part

pub mod starbase;

use dp_book::{Keeper, Outcome, SyncRule};
use dp_types::{InstrumentId, Level, LinkId, Now, UnixNanos};
use dp_venue_api::{Control, Event, Registry, RestRequest, Sink};
use dp_venue_deribit::multicast::double::bits;
use std::path::Path;

/// The datagrams of a recording.
pub fn recorded(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{name}.hex"));
    let text = std::fs::read_to_string(path).expect("a fixture");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let byte = |pair: &[u8]| {
        let pair = core::str::from_utf8(pair).expect("text");
        u8::from_str_radix(pair, 16).expect("hex")
    };
    lines
        .map(|line| line.as_bytes().chunks(2).map(byte).collect())
        .collect()
}

pub fn at_us(us: u64) -> Now {
    Now {
        unix: UnixNanos(1_000_000_000 + us * 1_000),
        ..Now::default()
    }
}

/// `(is bid, price, amount)`, an amount of 0 deletes.
pub type Change = (bool, String, String);

/// Writes what the venue would, with so many bytes of a newer version behind each block.
#[derive(Debug, Clone, Copy, Default)]
pub struct Writer {
    pub more: usize,
}

fn double(text: &str) -> [u8; 8] {
    bits(text).expect("a number").to_le_bytes()
}

pub fn datagram(channel: u16, number: u32, messages: &[Vec<u8>]) -> Vec<u8> {
    let body = messages.concat();
    let mut bytes = (body.len() as u16).to_le_bytes().to_vec();
    bytes.extend(channel.to_le_bytes());
    bytes.extend(number.to_le_bytes());
    bytes.extend(body);
    bytes
}

impl Writer {
    fn message(
        self,
        template: u16,
        root: &[&[u8]],
        group: Option<(usize, Vec<Vec<u8>>)>,
        text: Option<&str>,
    ) -> Vec<u8> {
        let root = root.concat();
        let mut bytes = Vec::new();
        for field in [
            (root.len() + self.more) as u16,
            template,
            1,
            3,
            u16::from(group.is_some()),
            u16::from(text.is_some()),
        ] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(root);
        bytes.extend(vec![0xee; self.more]);
        if let Some((len, blocks)) = group {
            for field in [(len + self.more) as u16, blocks.len() as u16, 0, 0] {
                bytes.extend(field.to_le_bytes());
            }
            for block in blocks {
                assert_eq!(block.len(), len);
                bytes.extend(block);
                bytes.extend(vec![0xee; self.more]);
            }
        }
        if let Some(text) = text {
            bytes.push(text.len() as u8);
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    pub fn book(
        self,
        code: u32,
        ids: (u64, u64),
        is_last: bool,
        changes: &[(u8, Change)],
    ) -> Vec<u8> {
        let blocks = changes.iter().map(|(action, (is_bid, price, amount))| {
            [
                &[u8::from(*is_bid), *action][..],
                &double(price),
                &double(amount),
            ]
            .concat()
        });
        let (ms, prev, change) = (
            ids.1.to_le_bytes(),
            ids.0.to_le_bytes(),
            ids.1.to_le_bytes(),
        );
        let root: [&[u8]; 5] = [
            &code.to_le_bytes(),
            &ms,
            &prev,
            &change,
            &[u8::from(is_last)],
        ];
        self.message(1_001, &root, Some((18, blocks.collect())), None)
    }

    pub fn snapshot(
        self,
        code: u32,
        change: u64,
        (is_complete, is_last): (bool, bool),
        levels: &[Change],
    ) -> Vec<u8> {
        let blocks = levels.iter().map(|(is_bid, price, amount)| {
            [&[u8::from(*is_bid)][..], &double(price), &double(amount)].concat()
        });
        let flags = [u8::from(is_complete), u8::from(is_last)];
        let (ms, change) = (change.to_le_bytes(), change.to_le_bytes());
        let root: [&[u8]; 4] = [&code.to_le_bytes(), &ms, &change, &flags];
        self.message(1_004, &root, Some((17, blocks.collect())), None)
    }

    /// `(taker buys, price, amount, id)`.
    pub fn trades(self, code: u32, trades: &[(bool, &str, &str, u64)]) -> Vec<u8> {
        let blocks = trades.iter().map(|(buys, price, amount, id)| {
            [
                &[u8::from(!buys)][..],
                &double(price),
                &double(amount),
                &id.to_le_bytes(),
                &[0; 24],
                &id.to_le_bytes(),
                &[0; 26],
            ]
            .concat()
        });
        self.message(
            1_002,
            &[&code.to_le_bytes()],
            Some((83, blocks.collect())),
            None,
        )
    }

    /// Best bid and ask, `None` where the side is empty.
    pub fn ticker(self, code: u32, ms: u64, best: [Option<(&str, &str)>; 2]) -> Vec<u8> {
        let side = |best: Option<(&str, &str)>| match best {
            Some((price, amount)) => [double(price), double(amount)].concat(),
            None => [[0xff; 8], [0; 8]].concat(),
        };
        let root: [&[u8]; 6] = [
            &code.to_le_bytes(),
            &[1],
            &ms.to_le_bytes(),
            &[0; 48],
            &best.map(side).concat(),
            &[0xff; 40],
        ];
        self.message(1_003, &root, None, None)
    }

    /// A future, by the form with ticks of dearer prices.
    pub fn definition(self, code: u32, name: &str, tick: &str, lot: &str) -> Vec<u8> {
        let mut currencies = Vec::new();
        for name in ["BTC", "USD", "USD", "BTC", "USD"] {
            let mut room = name.as_bytes().to_vec();
            room.resize(8, 0);
            currencies.extend(room);
        }
        let root: [&[u8]; 8] = [
            &code.to_le_bytes(),
            &[1, 0, 1, 0, 0, 1, 0],
            &currencies,
            &[0; 24],
            &double(lot),
            &double(lot),
            &double(tick),
            &[0; 40],
        ];
        self.message(1_010, &root, Some((16, Vec::new())), Some(name))
    }

    /// Anything of a kind we do not use.
    pub fn other(self, template: u16) -> Vec<u8> {
        self.message(
            template,
            &[&[7; 9]],
            Some((3, vec![vec![1; 3]; 2])),
            Some("btc_usd"),
        )
    }
}

/// Keeps one book; asks for it whole when its keeper does.
pub struct Lane<R> {
    pub keeper: Keeper<R>,
    pub registry: Registry,
    pub wants: bool,
    pub lost: u32,
    pub trades: u32,
    pub bad: Vec<String>,
    pub ignored: Vec<&'static str>,
}

impl<R: SyncRule> Lane<R> {
    pub fn new(rule: R, registry: &Registry) -> Self {
        Self {
            keeper: Keeper::new(rule),
            registry: registry.clone(),
            wants: false,
            lost: 0,
            trades: 0,
            bad: Vec::new(),
            ignored: Vec::with_capacity(64),
        }
    }

    pub fn levels(&self) -> (Vec<Level>, Vec<Level>) {
        let book = self.keeper.book();
        (book.bids().collect(), book.asks().collect())
    }
}

impl<R: SyncRule> Sink for Lane<R> {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Book(message) => {
                let instrument = self.registry.get(message.instrument).expect("registered");
                let outcome = self.keeper.on_msg(message, instrument, UnixNanos(1));
                self.wants |= outcome.needs_snapshot();
                if matches!(outcome, Outcome::BadNumber(_) | Outcome::Crossed) {
                    self.bad.push(format!("{outcome:?}"));
                }
            }
            Event::Control(Control::BookLost(InstrumentId(0))) => {
                self.lost += 1;
                self.keeper.reset();
            }
            Event::Trade(_) => self.trades += 1,
            Event::Ignored(why) if self.ignored.len() < 64 => self.ignored.push(why),
            _ => {}
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}
