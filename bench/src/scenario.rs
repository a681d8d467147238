//! What can be measured.

mod book;
mod decode;
mod dispatch;
mod durability;
mod engine;
mod entry;
mod journal;
mod kill;
mod order;
mod position;
mod risk;
mod signal;
mod tls;

pub use decode::read_answers;

use crate::meter::Meter;
use std::path::Path;

/// The scenarios by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Everything, in the order of the path.
    All,
    /// TLS 1.3 records, opened and sealed.
    Tls,
    /// Message text to events, and on into the book.
    Decode,
    /// Levels and messages into the book.
    Book,
    /// An event to its strategies and back.
    Dispatch,
    /// Book to intents: the market maker.
    Signal,
    /// The pre-trade gate.
    Risk,
    /// Order table: admit, report, fill, look up; and the text of a new order.
    Order,
    /// Records into the journal ring.
    Journal,
    /// An order intent at each level of safety.
    Durability,
    /// Fills into positions.
    Position,
    /// The engine whole: arbitrage over three venues, a fill.
    Engine,
    /// The kill switch: from its word to the last cancel.
    Kill,
}

const PATH: [Kind; 12] = [
    Kind::Tls,
    Kind::Decode,
    Kind::Book,
    Kind::Dispatch,
    Kind::Signal,
    Kind::Risk,
    Kind::Order,
    Kind::Journal,
    Kind::Durability,
    Kind::Position,
    Kind::Engine,
    Kind::Kill,
];

/// What was asked for, each once, in the order of the path.
pub fn order(asked: &[Kind]) -> Vec<Kind> {
    let is_asked = |kind: &Kind| asked.contains(kind) || asked.contains(&Kind::All);
    PATH.into_iter().filter(is_asked).collect()
}

/// Measures one scenario. Errors: inputs that cannot be read, or a stage that refuses what it must take
/// (a figure for a refusal would flatter).
pub fn run(kind: Kind, meter: &mut Meter, captures: &Path) -> anyhow::Result<()> {
    match kind {
        Kind::All => Ok(()),
        Kind::Tls => tls::run(meter),
        Kind::Decode => decode::run(meter, captures),
        Kind::Book => book::run(meter, captures),
        Kind::Dispatch => dispatch::run(meter),
        Kind::Signal => signal::run(meter),
        Kind::Risk => risk::run(meter),
        Kind::Order => order::run(meter),
        Kind::Journal => journal::run(meter),
        Kind::Durability => durability::run(meter),
        Kind::Position => position::run(meter),
        Kind::Engine => engine::run(meter),
        Kind::Kill => kill::run(meter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_measures_something_real() {
        for kind in order(&[Kind::All]) {
            let mut meter = Meter::new(300);
            let floors = meter.rows.len();
            run(kind, &mut meter, Path::new("../../shared/captures")).unwrap();
            let rows = &meter.rows[floors..];
            assert!(!rows.is_empty(), "{kind:?}");
            for row in rows {
                assert!(
                    row.p50 > 0.0 && row.p50 <= row.p99 && row.p99 <= row.max,
                    "{row:?}"
                );
            }
        }
    }

    #[test]
    fn asked_twice_runs_once_in_the_order_of_the_path() {
        let kinds = order(&[Kind::Risk, Kind::Decode, Kind::Risk]);
        assert_eq!(kinds, [Kind::Decode, Kind::Risk]);
    }
}
