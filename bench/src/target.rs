//! The design's targets, and whether a run proves them: by the whole interval, never by the point.

use crate::meter::Row;
use crate::stats::{Estimate, ROUNDS_MIN};
use core::fmt;
use serde::Serialize;

/// Which way a target points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The other one must take at least so many times as long.
    AtLeast,
    /// We may take at most so many times as long.
    AtMost,
}

/// Design, section 7, and what was promised users of the engine, by stage: what, its rows (their times add up), p50 and p99 in ns (0 = none named), and
/// the row of the usual way with the ratio wanted. Told, not gated: a stage has one histogram and no
/// interval.
type StageTarget = (
    &'static str,
    &'static [(&'static str, &'static str)],
    [f64; 2],
    Option<(&'static str, f64)>,
);

const STAGES: [StageTarget; 11] = [
    (
        "decode, normalise, apply, Binance, 20 levels",
        &[("decode", "Binance, 20 levels, into book")],
        [480.0, 1_200.0],
        Some(("same, serde_json and tree map", 7.0)),
    ),
    (
        "book update, a level",
        &[("book", "one level")],
        [7.0, 0.0],
        None,
    ),
    (
        "signal",
        &[("signal", "market maker, quotes live")],
        [100.0, 500.0],
        None,
    ),
    (
        "risk gate",
        &[("risk", "check_new, passes, one by one")],
        [50.0, 150.0],
        None,
    ),
    (
        "risk gate, limits in money",
        &[("risk", "check_new, limits in money")],
        [50.0, 150.0],
        None,
    ),
    (
        "order state step and encode",
        &[
            ("order", "admit"),
            ("order", "sent"),
            ("order", "new order from a template, OKX"),
        ],
        [100.0, 300.0],
        None,
    ),
    (
        "event to one strategy",
        &[("dispatch", "a quote to 1 strategy")],
        [100.0, 0.0],
        None,
    ),
    (
        "fill into a position",
        &[("position", "book a fill")],
        [1_000.0, 0.0],
        None,
    ),
    (
        "fill to position, journal and strategy",
        &[("engine", "fill to position and strategy")],
        [10_000.0, 0.0],
        None,
    ),
    (
        "book message to both orders of an arbitrage",
        &[("engine", "book message to a pair of orders")],
        [50_000.0, 0.0],
        None,
    ),
    (
        "journal publish",
        &[("journal", "one by one")],
        [25.0, 100.0],
        None,
    ),
];

/// What a run says about a target.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// The target as a sentence.
    pub what: String,
    /// What was wanted.
    pub target: f64,
    /// What was found.
    #[serde(flatten)]
    pub found: Estimate,
    /// The whole interval is on the right side.
    pub is_met: bool,
    /// `--gate` looks at it.
    pub is_gated: bool,
    /// How far the interval's bad end is from the target, as a share of it; negative = short of it.
    pub distance: f64,
    /// Why it proves nothing, whatever the figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Verdict {
    /// Whether there is a figure at all.
    pub const fn is_measured(&self) -> bool {
        !self.found.value.is_nan()
    }

    /// The same, drawn from so many rounds: fewer than [`ROUNDS_MIN`] prove nothing.
    pub fn over_rounds(self, rounds: usize) -> Self {
        if rounds >= ROUNDS_MIN || !self.is_measured() {
            return self;
        }
        let why = Some(format!("not proven ({rounds} rounds)"));
        Self {
            is_met: false,
            why,
            ..self
        }
    }

    /// The same where part of what it stands on is missing: no figure.
    pub fn not_measured(self, what_is_missing: &str) -> Self {
        Self {
            found: Estimate::NONE,
            is_met: false,
            distance: f64::NAN,
            why: Some(format!("not measured: {what_is_missing}")),
            ..self
        }
    }
}

impl Bound {
    /// Judges an interval. Nothing that is not a number is ever met.
    pub fn judge(self, what: String, target: f64, found: Estimate, is_gated: bool) -> Verdict {
        let distance = match self {
            Self::AtLeast => found.low / target - 1.0,
            Self::AtMost => 1.0 - found.high / target,
        };
        Verdict {
            what,
            target,
            found,
            is_met: distance >= 0.0,
            is_gated,
            distance,
            why: None,
        }
    }
}

/// The stages beside the design's figures; those whose rows were not measured are left out.
pub fn stages(rows: &[Row]) -> Vec<Verdict> {
    let row = |scenario: &str, name: &str| {
        let is_it = |row: &&Row| (row.scenario, row.name.as_str()) == (scenario, name);
        rows.iter().find(is_it)
    };
    let exact = |value: f64| Estimate {
        value,
        low: value,
        high: value,
    };
    let mut verdicts = Vec::new();
    for (what, parts, targets, peer) in &STAGES {
        let found: Option<Vec<&Row>> = parts.iter().map(|(at, name)| row(at, name)).collect();
        let Some(found) = found else { continue };
        let sum = |of: fn(&Row) -> f64| found.iter().map(|row| of(row)).sum::<f64>();
        let sums = [("p50", sum(|row| row.p50)), ("p99", sum(|row| row.p99))];
        for ((quantile, value), target) in sums.into_iter().zip(targets) {
            if *target > 0.0 {
                let what = format!("{what}: {quantile}, at most {target} ns");
                verdicts.push(Bound::AtMost.judge(what, *target, exact(value), false));
            }
        }
        if let Some((name, wanted)) = peer
            && let Some(usual) = row(parts[0].0, name)
        {
            let what = format!("{what}: the usual way over ours, at least {wanted}");
            let value = exact(usual.p50 / sums[0].1);
            verdicts.push(Bound::AtLeast.judge(what, *wanted, value, false));
        }
    }
    verdicts
}

/// Errors, when `is_gate`: a gated target that is not proven; one that was not measured is none the better.
pub fn check(verdicts: &[Verdict], is_gate: bool) -> anyhow::Result<()> {
    anyhow::ensure!(
        !is_gate || verdicts.iter().any(|verdict| verdict.is_gated),
        "nothing is proven: none of the gated targets was asked for"
    );
    let missed: Vec<String> = verdicts
        .iter()
        .filter(|verdict| verdict.is_gated && !verdict.is_met)
        .map(|verdict| {
            let why = match &verdict.why {
                Some(why) => format!(" ({why})"),
                None if verdict.is_measured() => String::new(),
                None => " (not measured)".to_owned(),
            };
            format!("{}{why}", verdict.what)
        })
        .collect();
    anyhow::ensure!(
        !is_gate || missed.is_empty(),
        "not proven: {}",
        missed.join("; ")
    );
    Ok(())
}

/// The verdicts as a table of at most 80 columns.
pub fn fmt_table(f: &mut fmt::Formatter<'_>, verdicts: &[Verdict]) -> fmt::Result {
    if verdicts.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "\n{:<64}{:>16}",
        "design targets, by the whole interval", "verdict"
    )?;
    for verdict in verdicts {
        let what: String = verdict.what.chars().take(63).collect();
        if !verdict.is_measured() {
            writeln!(f, "{what:<64}{:>16}", "not measured")?;
            if let Some(why) = &verdict.why {
                writeln!(f, "    {why}")?;
            }
            continue;
        }
        let Estimate { low, high, .. } = verdict.found;
        let word = if verdict.is_met { "met" } else { "not proven" };
        // Further away is far enough for a table.
        let distance = (100.0 * verdict.distance).clamp(-999.0, 999.0);
        let distance = format!("{word} {distance:+.0}%");
        writeln!(f, "{what:<64}{distance:>16}")?;
        let why = verdict.why.as_ref();
        let why = why.map_or(String::new(), |why| format!("{why}: "));
        if low < high {
            writeln!(f, "    {why}found {low:.2} to {high:.2}")?;
        } else {
            writeln!(f, "    {why}found {low:.2}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_add_up_and_those_not_measured_are_left_out() {
        let row = |scenario, name: &str, p50| Row {
            scenario,
            name: name.to_owned(),
            batch: 1,
            ops: 1,
            p50,
            p99: 2.0 * p50,
            p999: 0.0,
            max: 0.0,
            mean: 0.0,
            peer_of: None,
        };
        let mut rows = vec![row("order", "admit", 20.0), row("order", "sent", 10.0)];
        assert!(stages(&rows).is_empty(), "a part is missing");
        rows.push(row("order", "new order from a template, OKX", 60.0));
        let verdicts = stages(&rows);
        let met: Vec<bool> = verdicts.iter().map(|one| one.is_met).collect();
        assert_eq!(met, [true, true], "90 of 100 and 180 of 300");
        rows = vec![
            row("decode", "Binance, 20 levels, into book", 480.0),
            row("decode", "same, serde_json and tree map", 3_000.0),
        ];
        let verdicts = stages(&rows);
        let met: Vec<bool> = verdicts.iter().map(|one| one.is_met).collect();
        assert_eq!(met, [true, true, false], "6.25 times is not 7");
        assert!(verdicts.iter().all(|verdict| !verdict.is_gated));
    }

    #[test]
    fn what_was_not_measured_is_said_and_fails_a_gate() {
        struct Table(Vec<Verdict>);
        impl fmt::Display for Table {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt_table(f, &self.0)
            }
        }
        let judge = |found, is_gated| Bound::AtMost.judge("it".to_owned(), 1.3, found, is_gated);
        let gated = vec![judge(Estimate::NONE, true)];
        assert!(check(&gated, false).is_ok());
        let error = check(&gated, true).unwrap_err().to_string();
        assert_eq!(error, "not proven: it (not measured)");
        let error = check(&[judge(Estimate::NONE, false)], true).unwrap_err();
        assert!(error.to_string().contains("none of the gated targets"));
        let json = serde_json::to_value(&gated[0]).unwrap();
        assert!(json["value"].is_null() && json["is_met"] == false);
        let text = Table(gated).to_string();
        assert!(
            text.ends_with("not measured\n") && !text.contains("found"),
            "{text}"
        );
    }

    #[test]
    fn few_rounds_and_lost_ticks_prove_nothing() {
        let found = Estimate {
            value: 1.0,
            low: 0.9,
            high: 1.1,
        };
        let judge = || Bound::AtMost.judge("it".to_owned(), 1.3, found, true);
        assert!(check(&[judge().over_rounds(8)], true).is_ok());
        let few = [judge().over_rounds(7)];
        assert!(check(&few, false).is_ok() && few[0].is_measured());
        let error = check(&few, true).unwrap_err().to_string();
        assert_eq!(error, "not proven: it (not proven (7 rounds))");
        let lost = [judge().not_measured("3 ticks unanswered")];
        assert!(!lost[0].is_measured());
        let error = check(&lost, true).unwrap_err().to_string();
        assert_eq!(error, "not proven: it (not measured: 3 ticks unanswered)");
    }

    #[test]
    fn at_most_looks_at_the_upper_end() {
        let found = |high| Estimate {
            value: 1.2,
            low: 1.1,
            high,
        };
        let judge = |high| Bound::AtMost.judge(String::new(), 1.3, found(high), true);
        assert!(judge(1.3).is_met && !judge(1.31).is_met);
    }
}
