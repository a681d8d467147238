//! `spinlane balances`.

use crate::table::Table;
use dp_shm::{BalanceLine, BalanceState, Region};
use dp_types::{Notional, VenueId};
use serde::Serialize;

/// What one has of each asset at each venue.
#[derive(Debug, Clone, Serialize)]
pub struct Balances {
    /// `done`.
    pub outcome: &'static str,
    /// By venue and asset.
    pub balances: Vec<Balance>,
}

/// One asset at one venue. Amounts are exact decimal texts.
#[derive(Debug, Clone, Serialize)]
pub struct Balance {
    /// Where.
    pub venue: String,
    /// Of what.
    pub asset: String,
    /// By the venue's latest word, free and held by orders; `None`: not told in this run.
    pub theirs: Option<String>,
    /// Of that, held by orders; 0 where the venue does not tell them apart.
    pub locked: String,
    /// What the venue told at first and our fills since; `None`: not known yet.
    pub ours: Option<String>,
    /// How far the two may be apart.
    pub tolerance: String,
    /// The two are compared: spot alone.
    pub is_compared: bool,
    /// They differed when they were compared last.
    pub differs: bool,
    /// When the venue told it, Unix nanoseconds; 0: not in this run.
    pub told_unix_ns: u64,
    /// Our latest fill in it; 0: none.
    pub moved_unix_ns: u64,
}

/// All lines that are in use, by venue and asset.
fn lines(region: &Region) -> Vec<(String, BalanceState)> {
    let lines = region.lanes().flat_map(|lane| lane.balances.iter());
    let states = lines
        .filter_map(BalanceLine::read)
        .filter(|state| state.venue != VenueId(0));
    let named = states.map(|state| {
        let name = region.assets().get(state.asset);
        let name = name.map_or_else(|| format!("#{}", state.asset.0), |it| it.as_str().into());
        (name, state)
    });
    let mut all: Vec<_> = named.collect();
    all.sort_by(|(one, a), (two, b)| (a.venue, one).cmp(&(b.venue, two)));
    all
}

impl Balances {
    /// Reads them.
    pub fn read(region: &Region) -> Self {
        let text = |amount: Notional| amount.to_string();
        let balances = lines(region).into_iter().map(|(asset, state)| Balance {
            venue: state.venue.name().to_owned(),
            asset,
            theirs: state.theirs.map(text),
            locked: text(state.locked),
            ours: state.ours.map(text),
            tolerance: text(state.tolerance),
            is_compared: state.is_compared,
            differs: state.differs,
            told_unix_ns: state.told.0,
            moved_unix_ns: state.moved.0,
        });
        Self {
            outcome: "done",
            balances: balances.collect(),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut table = Table::new(&["venue", "asset", ">theirs", ">locked", ">ours", "compared"]);
        let known = |amount: &Option<String>| amount.clone().unwrap_or_else(|| "-".to_owned());
        for it in &self.balances {
            let compared = match (it.is_compared, it.differs) {
                (false, _) => "no",
                (true, false) => "agrees",
                (true, true) => "DIFFERS",
            };
            let compared = if it.is_compared && it.ours.is_none() {
                "not yet"
            } else {
                compared
            };
            table.row([
                it.venue.clone(),
                it.asset.clone(),
                known(&it.theirs),
                it.locked.clone(),
                known(&it.ours),
                compared.to_owned(),
            ]);
        }
        if table.is_empty() {
            "no balances told yet".to_owned()
        } else {
            table.render()
        }
    }
}
