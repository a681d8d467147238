//! What an earlier run left: files that still count, the kill switch on disk, positions nobody is sure of.

use super::{NodeError, sentence};
use dp_config::Config;
use dp_shm::{PAPER, Region, mark};
use dp_transport::clock;
use dp_types::limit::INSTRUMENTS_MAX;
use dp_types::{AssetId, Epoch, InstrumentId, Qty};
use std::path::Path;

/// The files before this one that still count, oldest first: none once its lanes have settled in it. Names
/// and kill switch are taken over here, orders and positions by the lanes. A file that cannot be read means
/// that nobody knows what was held: the kill switch goes on.
pub(super) fn take_over(region: &Region, path: &Path) -> Result<Vec<Region>, NodeError> {
    let mut past: Vec<Region> = Vec::new();
    if region.is_settled() {
        return Ok(past);
    }
    for kept in Region::kept(path).iter().rev() {
        match Region::attach(kept) {
            Ok(older) => {
                let is_last = older.is_settled();
                past.insert(0, older);
                if is_last {
                    break;
                }
            }
            Err(error) => {
                tracing::error!(%error, "the last run's orders and positions cannot be read");
                let why = "positions of the last run cannot be read";
                region.kill().kill("start", why, clock::unix_now());
                break;
            }
        }
    }
    for older in &past {
        let full = |error| sentence(format!("{}: {error}", older.path().display()));
        for (id, name) in (0..).map(AssetId).zip(older.assets().iter()) {
            region.assets().publish(id, name).map_err(full)?;
        }
        for entry in older.instruments().iter() {
            region.instruments().publish(&entry).map_err(full)?;
        }
        if older.kill().is_killed() {
            let why = older.kill().last_change().map(|change| change.why);
            let why = why.as_ref().map_or("killed", |why| why.as_str());
            region.kill().kill("start", why, clock::unix_now());
        }
    }
    Ok(past)
}

/// What the node is called in shared memory: a run on paper says so.
pub(super) fn shown_name(config: &Config) -> String {
    let name = &config.node.name;
    if config.is_paper() {
        format!("{PAPER}{name}")
    } else {
        name.clone()
    }
}

/// Paper orders and positions are never taken for real ones, nor the other way about. Errors: the file, and the mend.
pub(super) fn keep_apart(config: &Config, told: &[&Region]) -> Result<(), NodeError> {
    for region in told {
        let is_paper = region.node().as_str().starts_with(PAPER);
        // A file nobody has run on yet has no name.
        if region.node().as_str().is_empty() || is_paper == config.is_paper() {
            continue;
        }
        let (held, wanted) = if is_paper {
            ("paper", "live")
        } else {
            ("live", "paper")
        };
        return Err(sentence(format!(
            "{}: holds the orders and positions of a {held} run, and this one is {wanted}: name another node.shm, or \
             stop that run and remove the file",
            region.path().display()
        )));
    }
    Ok(())
}

/// A kill outlives the shared memory: with fresh memory the mark in the state directory speaks.
pub(super) fn restore_kill(config: &Config, region: &Region, is_fresh: bool) {
    if is_fresh && let Some(why) = mark::read(&mark::killed(&config.node.state_dir)) {
        region.kill().kill("restart", &why, clock::unix_now());
    }
    if region.kill().is_killed() {
        tracing::warn!("the kill switch is on: nothing is sent until `spinlane arm`");
    }
    keep_kill(config, region, None);
}

/// With fresh memory and an earlier run that did not end flat, nobody knows what is held: trading starts
/// killed, until somebody has looked and arms it.
pub(super) fn doubt_positions(config: &Config, region: &Region, epoch: Epoch, is_fresh: bool) {
    let flat = mark::flat(&config.node.state_dir);
    let was_flat = mark::read(&flat).is_some();
    if let Err(error) = mark::clear(&flat) {
        tracing::error!(mark = %flat.display(), %error, "cannot be removed: remove it");
    }
    if is_fresh && epoch > Epoch(1) && !was_flat {
        let why = "shared memory is gone with the last run's positions: they count as 0";
        tracing::error!("{why}; compare with the venues, then `spinlane arm`");
        region.kill().kill("start", why, clock::unix_now());
    }
}

/// Every lane has stopped in order: when nothing is held either, the next start may know it.
pub(super) fn note_flat(config: &Config, region: &Region) {
    let mut lines = (0..INSTRUMENTS_MAX as u32).filter_map(|at| region.position(InstrumentId(at)));
    let is_flat = lines.all(|line| line.read().is_none_or(|state| state.qty == Qty(0)));
    if is_flat && let Err(error) = mark::set(&mark::flat(&config.node.state_dir), "") {
        tracing::warn!(%error, "cannot note that nothing is held");
    }
}

/// A file in the state directory kills, whoever put it there and by whatever means: scripts and people without this
/// program can. While it lies there the switch cannot be armed.
pub(super) fn kill_by_file(config: &Config, region: &Region) {
    if !region.kill().is_killed()
        && let Some(why) = mark::read(&mark::kill_asked(&config.node.state_dir))
    {
        let why = if why.is_empty() {
            "no reason given"
        } else {
            &why
        };
        tracing::error!(
            why,
            "killed by the file `kill` in the state directory: remove it, then `spinlane arm`"
        );
        region.kill().kill("file", why, clock::unix_now());
    }
}

/// Keeps the mark as the switch is; says how the switch stands. Errors are told, not fatal: the switch
/// itself is in shared memory.
pub(super) fn keep_kill(config: &Config, region: &Region, before: Option<u64>) -> Option<u64> {
    let state = region.kill().state();
    if before == Some(state.changes) {
        return before;
    }
    let mark = mark::killed(&config.node.state_dir);
    let result = if state.is_killed {
        let why = region.kill().last_change().map(|change| change.why);
        mark::set(&mark, why.as_ref().map_or("killed", |why| why.as_str()))
    } else {
        mark::clear(&mark).map(drop)
    };
    if let Err(error) = result {
        tracing::error!(mark = %mark.display(), %error, "the kill switch is not kept on disk");
    }
    Some(state.changes)
}
