//! Laws of records, readers, reserves, ticks and epochs.

use crate::{LANE, Place, arbitrary, journal};
use dp_journal::entry::*;
use dp_journal::*;
use dp_shm::Full;
use dp_shm::twin::Words;
use dp_types::*;
use proptest::prelude::*;

const NOW: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

fn signal(value: i64) -> Entry {
    Entry::Signal(Signal {
        strategy: StrategyId(1),
        instrument: InstrumentId(2),
        value,
    })
}

fn reconcile(n: u32) -> Entry {
    Entry::Reconcile(Reconcile {
        open_orders: n,
        ..Reconcile::begun(VenueId::OKX, ReconcileCause::Timer, UnixNanos(0), 0)
    })
}

proptest! {
    #[test]
    fn a_record_comes_back_as_it_was(entry in arbitrary::entry(), seq: u64, at: u64, epoch: u16) {
        let record = Record { seq, epoch: Epoch(epoch), lane: LaneId(3), at: UnixNanos(at), entry };
        prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn a_flipped_bit_anywhere_is_seen(entry in arbitrary::entry()) {
        let record = Record { seq: 9, epoch: Epoch(1), lane: LaneId(0), at: NOW, entry };
        for bit in 0..1024 {
            let mut words = record.encode();
            words[bit / 64] ^= 1 << (bit % 64);
            prop_assert_eq!(Record::decode(&words), Err(RecordFault::Checksum), "bit {}", bit);
        }
    }

    #[test]
    fn a_record_mixed_with_an_older_one_is_seen(
        old in arbitrary::entry(), new in arbitrary::entry(), cut in 1usize..16
    ) {
        let record = |seq, entry| Record { seq, epoch: Epoch(1), lane: LaneId(0), at: NOW, entry };
        let (old, new) = (record(1, old).encode(), record(257, new).encode());
        let mut words = new;
        words[cut..].copy_from_slice(&old[cut..]);
        if words != new && words != old {
            prop_assert_eq!(Record::decode(&words), Err(RecordFault::Checksum));
        }
    }

    #[test]
    fn any_words_decode_without_panic(words: [u64; 16]) {
        let _ = Record::decode(&words);
        let _ = Tick::from_words(&words.first_chunk::<8>().copied().unwrap_or_default());
    }

    #[test]
    fn a_tick_comes_back_as_it_was(words: [i64; 4], is_trade: bool, buy: bool, at: u64, id: u128) {
        let [a, b, c, d] = words;
        let kind = if is_trade {
            let taker = if buy { Side::Buy } else { Side::Sell };
            TickKind::Trade { taker, price: Price(a), qty: Qty(b), trade_id: TradeId(id) }
        } else {
            let (bid_price, ask_price) = (Price(a), Price(c));
            TickKind::Quote { bid_price, bid_qty: Qty(b), ask_price, ask_qty: Qty(d) }
        };
        let instrument = InstrumentId(a as u32);
        let venue = VenueId::BINANCE;
        let tick = Tick { at: UnixNanos(at), venue_ns: VenueNanos(at / 2), instrument, venue, kind };
        prop_assert_eq!(Tick::from_words(&tick.to_words()), Some(tick));
    }
}

#[test]
fn new_orders_are_refused_before_reports_are() {
    let place = Place::new();
    let region = place.open();
    let mut pen = journal(&region, 1);
    let signals = (0..1_000)
        .take_while(|n| pen.publish(NOW, &signal(*n)).is_ok())
        .count();
    let reports = (0..1_000)
        .take_while(|n| pen.publish(NOW, &reconcile(*n)).is_ok())
        .count();
    assert_eq!(
        (signals, reports),
        (256 - 32, 32),
        "an eighth is kept for what cannot wait"
    );
    assert_eq!(pen.publish(NOW, &reconcile(0)), Err(Full));

    let log = region.lane(LANE).unwrap().journal;
    let mut drain = Reader::from_drained(log);
    assert_eq!(
        drain
            .by_ref()
            .filter(|item| matches!(item, ReadItem::Record(_)))
            .count(),
        256
    );
    drain.set_drained(drain.position());
    assert_eq!(pen.publish(NOW, &signal(7)), Ok(256));
}

#[test]
fn records_stay_readable_after_draining_until_overwritten() {
    let place = Place::new();
    let region = place.open();
    let mut pen = journal(&region, 1);
    let log = region.lane(LANE).unwrap().journal;
    for n in 0..600 {
        pen.publish(NOW, &signal(n)).unwrap();
        log.set_drained(pen.next_seq());
    }
    let items: Vec<_> = Reader::from_seq(log, 0).collect();
    let oldest = 600 - 256 + 8;
    assert_eq!(
        items[0],
        ReadItem::Overrun {
            from: 0,
            to: oldest
        }
    );
    assert_eq!(items.len() as u64, 600 - oldest + 1);
    let ReadItem::Record(last) = items[items.len() - 1] else {
        panic!("a record")
    };
    assert_eq!((last.seq, last.entry), (599, signal(599)));
}

#[test]
fn sequences_go_on_across_restarts() {
    let place = Place::new();
    let region = place.open();
    assert_eq!(journal(&region, 1).publish(NOW, &signal(1)), Ok(0));
    drop(region);
    let region = place.open();
    assert_eq!(journal(&region, 2).publish(NOW, &signal(2)), Ok(1));
    let epochs: Vec<_> = Reader::from_oldest(region.lane(LANE).unwrap().journal)
        .map(|item| match item {
            ReadItem::Record(record) => record.epoch.0,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(epochs, [1, 2]);
}

#[test]
fn wild_cursors_neither_hang_nor_overrun() {
    let place = Place::new();
    let region = place.open();
    let mut pen = journal(&region, 1);
    pen.publish(NOW, &signal(1)).unwrap();
    let log = region.lane(LANE).unwrap().journal;
    for wild in [u64::MAX, 1 << 40, 2] {
        log.set_drained(wild);
        assert_eq!(
            Reader::from_drained(log).count(),
            1,
            "a wild cursor counts as nothing drained"
        );
        assert_eq!(recover(&[&region]).next_seq, 1);
    }
}

#[test]
fn epochs_rise_and_survive_the_loss_of_either_side() {
    let place = Place::new();
    let dir = place.0.path();
    assert_eq!(epoch::next(dir, Epoch(0)).unwrap(), Epoch(1));
    assert_eq!(epoch::next(dir, Epoch(1)).unwrap(), Epoch(2));
    assert_eq!(
        epoch::next(dir, Epoch(0)).unwrap(),
        Epoch(3),
        "shared memory was cleared"
    );
    std::fs::remove_file(dir.join("epoch")).unwrap();
    assert_eq!(
        epoch::next(dir, Epoch(3)).unwrap(),
        Epoch(4),
        "the state directory was lost"
    );
    let error = epoch::next(dir, Epoch(8191)).unwrap_err().to_string();
    assert!(error.contains("used up"), "{error}");
    assert_eq!(
        epoch::next(dir, Epoch(4)).unwrap(),
        Epoch(5),
        "a refusal uses none up"
    );
    for bad in ["", "zero\n", "0\n", "8192\n", "-1\n"] {
        std::fs::write(dir.join("epoch"), bad).unwrap();
        let error = epoch::next(dir, Epoch(1)).unwrap_err();
        assert!(
            matches!(error, epoch::EpochError::Damaged(_)),
            "{bad:?}: {error}"
        );
    }
}
