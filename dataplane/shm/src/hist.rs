//! Latency histograms in shared memory: log-linear buckets, one writer, relaxed adds.
//!
//! ```text
//!   value < 128            bucket = value                                (exact)
//!   2^e ≤ value < 2^(e+1)  bucket = (e − 6)·128 + (value >> (e − 7)) − 128    128 buckets an octave
//! ```
//!
//! A bucket is at most 1/128 (0.8 %) of its value wide, near three significant digits. Reported values
//! are a bucket's upper edge, so a percentile is never flattering: it is at most 1/128 too high, never
//! too low. Values from 2^40 cycles (minutes) on share the last bucket; `max` stays exact.

use core::sync::atomic::{AtomicU64, Ordering};

const SUB_BITS: u32 = 7;
const SUB: usize = 1 << SUB_BITS;
const VALUE_BITS: u32 = 40;
/// Buckets: 128 exact ones and 128 for each octave from 2^7 to 2^40.
pub const BUCKETS: usize = SUB * (VALUE_BITS - SUB_BITS + 1) as usize;

/// One histogram. All zero bytes = empty.
#[repr(C, align(64))]
pub(crate) struct HistPage {
    total: AtomicU64,
    sum: AtomicU64,
    max: AtomicU64,
    pad: [AtomicU64; 5],
    buckets: [AtomicU64; BUCKETS],
}

const fn bucket_of(value: u64) -> usize {
    if value < SUB as u64 {
        return value as usize;
    }
    let exponent = value.ilog2();
    if exponent >= VALUE_BITS {
        return BUCKETS - 1;
    }
    let shift = exponent - SUB_BITS;
    (shift as usize) * SUB + (value >> shift) as usize
}

/// Largest value that falls into a bucket.
const fn upper_edge(bucket: usize) -> u64 {
    if bucket < 2 * SUB {
        return bucket as u64;
    }
    let shift = bucket / SUB - 1;
    let mantissa = (bucket - shift * SUB) as u64;
    ((mantissa + 1) << shift) - 1
}

impl HistPage {
    /// Adds one value. Single writer: loads and stores, no locked instruction.
    #[inline]
    pub(crate) fn record(&self, value: u64) {
        bump(&self.buckets[bucket_of(value)], 1);
        bump(&self.total, 1);
        bump(&self.sum, value);
        if value > self.max.load(Ordering::Relaxed) {
            self.max.store(value, Ordering::Relaxed);
        }
    }
}

/// Adds to a word only one thread writes.
#[inline]
pub(crate) fn bump(word: &AtomicU64, by: u64) {
    word.store(
        word.load(Ordering::Relaxed).wrapping_add(by),
        Ordering::Relaxed,
    );
}

/// A histogram as readers see it. Values are TSC cycles.
#[derive(Clone, Copy)]
pub struct HistView<'r>(pub(crate) &'r HistPage);

impl HistView<'_> {
    /// Copies it. The lane goes on counting meanwhile: the parts may differ by the few values that came
    /// in between, and the total is made from the copied buckets so that percentiles add up.
    pub fn snapshot(&self) -> HistSnapshot {
        let counts: Vec<u64> = self
            .0
            .buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .collect();
        HistSnapshot {
            total: counts
                .iter()
                .fold(0, |sum, count| sum.saturating_add(*count)),
            sum: self.0.sum.load(Ordering::Relaxed),
            max: self.0.max.load(Ordering::Relaxed),
            counts,
        }
    }

    /// Values recorded since the region was made. Cost: one load.
    pub fn total(&self) -> u64 {
        self.0.total.load(Ordering::Relaxed)
    }
}

/// A copy of a histogram, to be asked and compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistSnapshot {
    counts: Vec<u64>,
    total: u64,
    sum: u64,
    max: u64,
}

impl Default for HistSnapshot {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            sum: 0,
            max: 0,
        }
    }
}

impl HistSnapshot {
    /// Non-empty buckets in rising order: (upper edge in cycles, count). Feed these to `hdrhistogram`.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(bucket, count)| (self.value_of(bucket), *count))
    }

    /// Values in it.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Largest value, exact, cycles (of all time: [`HistSnapshot::since`] keeps it).
    pub const fn max(&self) -> u64 {
        self.max
    }

    /// Sum of all values, cycles.
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// Mean, cycles; 0 when empty.
    pub const fn mean(&self) -> u64 {
        match self.sum.checked_div(self.total) {
            Some(mean) => mean,
            None => 0,
        }
    }

    /// The value below or at which a share `quantile` (0.0..=1.0) of all values lies, cycles: at most
    /// 1/128 above the exact one, never below it. 0 when empty.
    pub fn quantile(&self, quantile: f64) -> u64 {
        let rank = ((quantile.clamp(0.0, 1.0) * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if *count > 0 && seen >= rank {
                return self.value_of(bucket);
            }
        }
        if self.total == 0 { 0 } else { self.max }
    }

    /// What was recorded after `earlier`, another snapshot of the same histogram.
    pub fn since(&self, earlier: &Self) -> Self {
        let counts: Vec<u64> = self
            .counts
            .iter()
            .zip(&earlier.counts)
            .map(|(now, then)| now.saturating_sub(*then))
            .collect();
        Self {
            total: counts
                .iter()
                .fold(0, |sum, count| sum.saturating_add(*count)),
            sum: self.sum.wrapping_sub(earlier.sum),
            max: self.max,
            counts,
        }
    }

    /// Adds another histogram: the same stage on another lane.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
        self.total = self.total.saturating_add(other.total);
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    fn value_of(&self, bucket: usize) -> u64 {
        if bucket + 1 == BUCKETS {
            self.max
        } else {
            upper_edge(bucket).min(self.max)
        }
    }
}
