//! Histograms against a sorted oracle; counters; limits of the error.

use crate::{Place, open};
use dp_shm::*;
use dp_types::*;
use proptest::prelude::*;

fn snapshot(values: &[u64]) -> HistSnapshot {
    let place = Place::new();
    let region = open(&place.file());
    let lane = region.lane_writer(LaneId(0)).unwrap();
    for value in values {
        lane.stages.record(Stage::Book, *value);
    }
    lane.stages.view(Stage::Book).snapshot()
}

fn value() -> impl Strategy<Value = u64> {
    // Every magnitude alike, up to what the buckets hold.
    (0u32..40, any::<u64>()).prop_map(|(bits, raw)| raw & ((1 << bits) | ((1 << bits) - 1)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_quantile_is_never_low_and_at_most_one_part_in_128_high(
        values in proptest::collection::vec(value(), 1..400), per_mille in 0u32..=1000
    ) {
        let hist = snapshot(&values);
        let mut sorted = values.clone();
        sorted.sort_unstable();
        let quantile = f64::from(per_mille) / 1000.0;
        let rank = ((quantile * sorted.len() as f64).ceil() as usize).max(1);
        let (exact, told) = (sorted[rank - 1], hist.quantile(quantile));
        prop_assert!(told >= exact && told - exact <= exact / 128, "told {told}, exact {exact}");
        prop_assert_eq!(hist.max(), sorted[sorted.len() - 1]);
        prop_assert_eq!(hist.total(), sorted.len() as u64);
        prop_assert_eq!(hist.sum(), sorted.iter().sum::<u64>());
        let listed: u64 = hist.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(listed, hist.total());
        prop_assert!(hist.iter().zip(hist.iter().skip(1)).all(|(a, b)| a.0 < b.0));
    }
}

#[test]
fn values_beyond_the_buckets_are_counted_and_the_maximum_is_exact() {
    let hist = snapshot(&[1 << 40, u64::MAX, 5]);
    assert_eq!(
        (hist.total(), hist.max(), hist.quantile(1.0)),
        (3, u64::MAX, u64::MAX)
    );
    assert_eq!((snapshot(&[]).quantile(0.5), snapshot(&[]).mean()), (0, 0));
}

#[test]
fn snapshots_subtract_and_add() {
    let (early, late) = (snapshot(&[10, 20]), snapshot(&[10, 20, 30, 40]));
    let between = late.since(&early);
    assert_eq!(between.iter().collect::<Vec<_>>(), [(30, 1), (40, 1)]);
    assert_eq!((between.total(), between.mean()), (2, 35));
    let mut both = HistSnapshot::default();
    both.merge(&early);
    both.merge(&between);
    assert_eq!(both, late);
}

#[test]
fn counters_are_kept_apart() {
    let place = Place::new();
    let region = open(&place.file());
    let lane = region.lane_writer(LaneId(0)).unwrap();
    for (n, counter) in Counter::ALL.iter().enumerate() {
        lane.counters.add(*counter, n as u64);
    }
    let view = region.lane(LaneId(0)).unwrap();
    assert!(
        view.counters
            .iter()
            .enumerate()
            .all(|(n, (_, count))| count == n as u64)
    );
    let other = region.lane(LaneId(1)).unwrap();
    assert!(other.counters.iter().all(|(_, count)| count == 0));
}

#[test]
fn violations_are_counted_by_rule_and_no_number_is_too_large() {
    let place = Place::new();
    let region = open(&place.file());
    let lane = region.lane_writer(LaneId(0)).unwrap();
    for rule in (0..=u8::MAX).chain([7, 127, 127]) {
        lane.violations.count(rule);
    }
    let view = region.lane(LaneId(0)).unwrap();
    let counts = |rules: [u8; 5]| rules.map(|rule| view.violations.get(rule));
    assert_eq!(counts([0, 7, 127, 128, 255]), [1, 2, 3, 0, 0]);
    assert_eq!(
        view.counters.get(Counter::IdleCycles),
        0,
        "nothing beside them"
    );
    let other = region.lane(LaneId(1)).unwrap();
    assert!((0..=u8::MAX).all(|rule| other.violations.get(rule) == 0));
}
