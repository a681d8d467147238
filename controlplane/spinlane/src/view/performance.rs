//! `spinlane strategies --performance`: how each strategy did, day by day, as the database has it.

use crate::names;
use crate::table::Table;
use cp_store::SessionView;
use serde::Serialize;

/// How strategies did.
#[derive(Debug, Clone, Serialize)]
pub struct Performance {
    /// `done`.
    pub outcome: &'static str,
    /// By strategy, currency and UTC day; the last of each is as far as it has come.
    pub sessions: Vec<SessionView>,
}

impl Performance {
    /// Of these.
    pub const fn of(sessions: Vec<SessionView>) -> Self {
        Self {
            outcome: "done",
            sessions,
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut table = Table::new(&[
            "day",
            "",
            ">P&L",
            ">drawdown",
            ">Sharpe",
            ">orders",
            ">filled",
            ">volume",
            // Last: a table is cut at its right, and half a number is another number.
            "strategy",
        ]);
        for it in &self.sessions {
            let percent = |rate: f64| format!("{:.1} %", rate * 100.0);
            table.row([
                it.day.clone(),
                it.currency.clone(),
                cents(&it.day_pnl),
                cents(&it.drawdown_max),
                it.sharpe.map_or("-".into(), |ratio| format!("{ratio:.2}")),
                it.orders.to_string(),
                it.fill_rate.map_or("-".into(), percent),
                cents(&it.volume),
                it.name.clone(),
            ]);
        }
        if table.is_empty() {
            "no strategy was looked at yet".to_owned()
        } else {
            table.render()
        }
    }
}

/// Two decimals of an exact text, the rest cut: for tables; JSON has all digits.
fn cents(decimal: &str) -> String {
    match decimal.split_once('.') {
        Some((whole, rest)) => {
            let rest: String = rest.chars().take(2).collect();
            names::trim(&format!("{whole}.{rest}"))
        }
        None => decimal.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_line_of_a_terminal() {
        let session = SessionView {
            strategy: 0,
            name: "market_maker".into(),
            currency: "USDT".into(),
            day: "2026-11-22".into(),
            minutes: 40,
            realised: "1".into(),
            unrealised: "0".into(),
            fees: "0".into(),
            funding: "0".into(),
            pnl: "1".into(),
            day_pnl: "-12.345678".into(),
            drawdown_max: "13".into(),
            sharpe: Some(-3.456),
            orders: 120,
            ended: 80,
            filled: 20,
            fill_rate: Some(0.25),
            fills: 21,
            volume: "1300.10".into(),
        };
        let text = Performance::of(vec![session]).text();
        let line = text.lines().nth(1).unwrap();
        let cells: Vec<&str> = line.split_whitespace().collect();
        let want = "2026-11-22 USDT -12.34 13 -3.46 120 25.0 % 1300.1 market_maker";
        assert_eq!(cells.join(" "), want);
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        assert!(Performance::of(Vec::new()).text().contains("yet"));
    }
}
