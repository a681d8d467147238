//! Delays as a node has measured them.

use crate::BacktestError;
use dp_paper::Delay;
use serde::Deserialize;
use std::path::Path;

/// Steps of probability the quantiles are spread over.
const STEPS: u64 = 1_000;

/// What of `spinlane latency --json` is read.
#[derive(Debug, Deserialize)]
struct Measured {
    all: Vec<Stage>,
}

#[derive(Debug, Deserialize)]
struct Stage {
    stage: String,
    count: u64,
    p50_ns: u64,
    p99_ns: u64,
    p999_ns: u64,
    max_ns: u64,
}

/// One way of a measured order: half of order_to_ack. Errors: not such a file, or no order was measured.
pub fn one_way(path: &Path) -> Result<Delay, BacktestError> {
    let wrong = |why: String| BacktestError::Usage(format!("{}: {why}", path.display()));
    let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let measured: Measured = serde_json::from_slice(&text).map_err(|error| {
        wrong(format!(
            "{error}; give it what `spinlane latency --json` prints"
        ))
    })?;
    let stage = measured.all.iter().find(|it| it.stage == "order_to_ack");
    let stage = stage.filter(|it| it.count > 0);
    let stage =
        stage.ok_or_else(|| wrong("no order_to_ack was measured; let it trade first".into()))?;
    Ok(Delay::of_quantiles(stage.spread()))
}

impl Stage {
    /// Half of each quantile, at even steps of probability: straight lines between those that are known, and below the
    /// median the median, to our harm.
    fn spread(&self) -> Vec<u64> {
        let known = [
            (0, self.p50_ns),
            (500, self.p50_ns),
            (990, self.p99_ns),
            (999, self.p999_ns),
            (STEPS, self.max_ns),
        ];
        let at = |step: u64| {
            let pair = known.windows(2).find(|pair| step <= pair[1].0);
            let [(from, low), (to, high)] = pair.and_then(|pair| pair.try_into().ok())?;
            let (low, high): (u64, u64) = (low, high.max(low));
            let part = u128::from(high - low) * u128::from(step - from) / u128::from(to - from);
            Some((low + part as u64) >> 1)
        };
        (0..=STEPS).filter_map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_spread_evenly_and_halved() {
        let stage = Stage {
            stage: String::new(),
            count: 1,
            p50_ns: 100,
            p99_ns: 590,
            p999_ns: 1_000,
            max_ns: 5_000,
        };
        let spread = stage.spread();
        assert_eq!(spread.len(), 1_001);
        let at = [0, 500, 745, 990, 999, 1_000].map(|at| spread[at]);
        assert_eq!(at, [50, 50, 172, 295, 500, 2_500]);
    }
}
