//! After a channel was first heard, its datagrams touch no allocator: changes, trades, tickers, snapshots, repeats, and
//! what is held behind a hole.
#![allow(missing_docs)]

#[path = "../../../wire/tests/alloc_count/mod.rs"]
mod alloc_count;
mod wire;

use alloc_count::{Counting, allocations};
use dp_types::InstrumentId;
use dp_venue_api::Registry;
use dp_venue_deribit::multicast::Multicast;
use dp_venue_deribit::multicast::sequence::GIVE_UP_NS;
use dp_venue_deribit::sync::DeribitSync;
use wire::{Change, Lane, Writer, at_us, datagram};

#[global_allocator]
static COUNTING: Counting = Counting;

const CODE: u32 = 210_838;

fn levels(n: u32) -> Vec<Change> {
    let level = |at| {
        (
            at % 2 == 0,
            format!(
                "{}.5",
                if at % 2 == 0 {
                    60_000 - at
                } else {
                    60_001 + at
                }
            ),
            "10.0".to_owned(),
        )
    };
    (0..n).map(level).collect()
}

#[test]
fn datagrams_touch_no_allocator() {
    let mut registry = Registry::new();
    let mut machine = Multicast::new(&["BTC-PERPETUAL".to_owned()], &mut registry).expect("room");
    let writer = Writer::default();
    let definition = writer.definition(CODE, "BTC-PERPETUAL", "0.5", "10.0");
    let whole = |change| writer.snapshot(CODE, change, (true, true), &levels(60));
    let change = |number: u32| {
        let id = 1_000 + u64::from(number);
        let changes: Vec<_> = levels(8).into_iter().map(|level| (1, level)).collect();
        datagram(
            1,
            number,
            &[
                writer.trades(CODE, &[(true, "60001.5", "10.0", id)]),
                writer.ticker(CODE, id, [Some(("59999.5", "10.0")), None]),
                writer.book(CODE, (id - 1, id), true, &changes),
            ],
        )
    };
    let start = [
        datagram(101, 1, std::slice::from_ref(&definition)),
        datagram(101, 2, &[definition.clone(), whole(999)]),
        change(0),
    ];
    let mut lane = Lane::new(DeribitSync, &registry);
    for bytes in &start {
        machine
            .on_datagram(&mut registry, at_us(0), bytes, &mut lane)
            .expect("it is read");
        lane.registry = registry.clone();
    }
    let mut packets: Vec<_> = (1..400).map(change).collect();
    packets.remove(100);
    let round: Vec<_> = (3..100)
        .map(|number| datagram(101, number, &[definition.clone(), whole(1_500)]))
        .collect();
    // Once over a hole, so that what it takes is taken.
    let (warm, rest) = packets.split_at(200);
    let mut run = |packets: &[Vec<u8>], from: u64| {
        for (at, bytes) in packets.iter().enumerate() {
            let now = at_us(from + at as u64);
            for _line in 0..2 {
                machine
                    .on_datagram(&mut registry, now, bytes, &mut lane)
                    .expect("it is read");
            }
        }
        let late = at_us(from + 1_000 + GIVE_UP_NS / 1_000);
        machine
            .on_deadline(&mut registry, late, &mut lane)
            .expect("it is read");
        machine.request_snapshot(InstrumentId(0));
        for bytes in &round[..10] {
            machine
                .on_datagram(&mut registry, late, bytes, &mut lane)
                .expect("it is read");
        }
    };
    run(warm, 10);
    let mut broken = rest.to_vec();
    broken.remove(50);
    let counted = allocations(|| run(&broken, 100_000));
    assert_eq!(counted, (0, 0));
    assert!(lane.lost > 0 && lane.trades > 300, "it did its work");
}
