//! What a datagram costs: `cargo run --release -p dp-venue-deribit --example multicast_cost`. Times belong to the
//! machine they were taken on; the best of many rounds is what nobody disturbed.
#![allow(missing_docs)]

use dp_book::Keeper;
use dp_types::{InstrumentId, LinkId, Now, UnixNanos};
use dp_venue_api::{Event, Registry, RestRequest, Sink};
use dp_venue_deribit::multicast::{Multicast, double};
use dp_venue_deribit::sync::DeribitSync;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

const RECORDED: &str = include_str!("../../fixtures/multicast_2024.hex");
const ROUNDS: u32 = 2_000;

struct Lane {
    registry: Registry,
    keeper: Keeper<DeribitSync>,
    applies: bool,
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Book(message) = event
            && self.applies
            && let Some(instrument) = self.registry.get(message.instrument)
        {
            self.keeper.on_msg(message, instrument, UnixNanos(1));
        }
        black_box(event);
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

fn best(mut work: impl FnMut(u32)) -> u128 {
    let mut best = u128::MAX;
    for round in 0..ROUNDS {
        let start = Instant::now();
        for at in 0..16 {
            work(round * 16 + at);
        }
        best = best.min(start.elapsed().as_nanos() / 16);
    }
    best
}

fn main() {
    let hex = |line: &str| -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&line[at..at + 2], 16).expect("hex");
        (0..line.len()).step_by(2).map(byte).collect()
    };
    let lines = RECORDED.lines().filter(|line| !line.starts_with('#'));
    let [event, snapshot, options] = lines
        .map(hex)
        .collect::<Vec<_>>()
        .try_into()
        .expect("three");
    let symbols = ["BTC-PERPETUAL", "BTC-27DEC24-15000-C"].map(str::to_owned);
    let mut registry = Registry::new();
    let mut machine = Multicast::new(&symbols, &mut registry).expect("room");
    let mut lane = Lane {
        registry: registry.clone(),
        keeper: Keeper::new(DeribitSync),
        applies: false,
    };
    let bits = double::bits("62115.5").expect("a number");
    println!(
        "a double as a decimal: {} ns",
        best(|_| {
            black_box(double::decimal(black_box(bits))).expect("a number");
        })
    );
    // Told whole: the part that follows was not recorded.
    let mut whole = snapshot.clone();
    let header = [0xec, 3, 1, 0, 2, 0, 1, 0, 0, 0];
    let found = whole
        .windows(header.len())
        .position(|bytes| bytes == header);
    whole[found.expect("a snapshot") + header.len() + 21] = 1;
    let mut numbers = BTreeMap::new();
    for (name, recorded, is_wanted) in [
        ("(first of all, the definitions)", &whole, false),
        ("a trade, a ticker and a change (327 bytes)", &event, false),
        (
            "five definitions, two tickers, two books not waited for (1,447 bytes)",
            &options,
            false,
        ),
        ("the same, one book waited for", &options, true),
        (
            "two definitions, a ticker, 54 levels not waited for (1,452 bytes)",
            &whole,
            false,
        ),
        ("the same, waited for", &whole, true),
    ] {
        for applies in [false, true] {
            lane.applies = applies;
            let mut bytes = recorded.clone();
            let number = numbers.entry([bytes[2], bytes[3]]).or_insert(0u32);
            let took = best(|_| {
                *number += 1;
                bytes[4..8].copy_from_slice(&number.to_le_bytes());
                if is_wanted {
                    machine.request_snapshot(InstrumentId(0));
                    machine.request_snapshot(InstrumentId(1));
                }
                let now = Now::default();
                machine
                    .on_datagram(&mut registry, now, &bytes, &mut lane)
                    .expect("it is read");
            });
            lane.registry = registry.clone();
            let end = if applies { ", and applied" } else { "" };
            println!("{name}{end}: {took} ns");
        }
    }
}
