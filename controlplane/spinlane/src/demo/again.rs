//! The demo's own inputs, played again: the orders and fills that come out must be those in the database.

use super::child;
use super::verdict::Database;
use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the replay came to; field names are stable.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Again {
    /// Recordings played, one an engine.
    pub files: usize,
    /// Inputs in them.
    pub inputs: u64,
    /// Orders that came out.
    pub orders: usize,
    /// Fills that came out.
    pub fills: usize,
    /// Times what came out was compared with what came out then.
    pub checks: u64,
    /// Nothing differed, here or from the database.
    pub equal: bool,
    /// Orders by client id, and how many fills of each.
    #[serde(skip)]
    ids: BTreeMap<u64, usize>,
}

impl Again {
    /// Plays every recording in `dir` and holds it against the database.
    ///
    /// Errors: there is none, or one cannot be played.
    pub fn play(dir: &Path, database: &Database) -> anyhow::Result<Self> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
            .with_context(|| format!("reading {}", dir.display()))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.sort();
        if files.is_empty() {
            bail!("{}: no inputs were recorded", dir.display());
        }
        let output = Command::new(child::find("spinlane-dataplane")?)
            .args(["replay", "--json", "--orders"])
            .args(&files)
            .output()?;
        let mut again = Self::read(&String::from_utf8_lossy(&output.stdout))?;
        if again.files != files.len() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        again.equal &= output.status.success() && again.ids == ids(database);
        Ok(again)
    }

    fn read(text: &str) -> anyhow::Result<Self> {
        let mut again = Self {
            equal: true,
            ..Self::default()
        };
        for line in text.lines() {
            let value: Value = serde_json::from_str(line)?;
            let id = value["client_order_id"].as_u64();
            match (value["kind"].as_str(), id) {
                (Some("order"), Some(id)) => {
                    again.orders += 1;
                    again.ids.entry(id).or_default();
                }
                (Some("fill"), Some(id)) => {
                    again.fills += 1;
                    *again.ids.entry(id).or_default() += 1;
                }
                (None, _) => {
                    let number = |key: &str| value[key].as_u64().unwrap_or(0);
                    again.files += 1;
                    again.inputs += number("inputs");
                    again.checks += number("checks");
                    again.equal &= value["is_same"] == true && value["torn_at"].is_null();
                }
                _ => bail!("not understood: {line}"),
            }
        }
        Ok(again)
    }
}

fn ids(database: &Database) -> BTreeMap<u64, usize> {
    let mut ids = BTreeMap::new();
    for order in &database.orders {
        ids.insert(order.client_order_id as u64, 0);
    }
    for fill in &database.fills {
        if let Some(id) = fill.client_order_id {
            *ids.entry(id as u64).or_default() += 1;
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = r#"{"kind":"order","client_order_id":7}
{"kind":"fill","client_order_id":7}
{"file":"a","inputs":5,"checks":2,"is_same":true,"torn_at":null}
"#;

    #[test]
    fn lines_are_summed_and_another_outcome_is_not_equal() {
        let again = Again::read(LINES).unwrap();
        assert_eq!(
            (
                again.files,
                again.inputs,
                again.orders,
                again.fills,
                again.checks,
                again.equal
            ),
            (1, 5, 1, 1, 2, true)
        );
        assert_eq!(again.ids, BTreeMap::from([(7, 1)]));
        assert!(!Again::read(&LINES.replace("true", "false")).unwrap().equal);
        assert!(!Again::read(&LINES.replace("null", "9")).unwrap().equal);
        assert!(Again::read("{\"kind\":\"else\"}").is_err());
    }
}
