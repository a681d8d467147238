//! Which crate may lean on which: arrows point down, and one room never reaches into its neighbour.

use crate::Finding;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// `package → the workspace packages it may depend on`, normal dependencies only. ARCHITECTURE.md
/// draws the same table; a venue's row is made for every `dp-venue-*`.
const ALLOWED: [(&str, &[&str]); 28] = [
    ("dp-types", &[]),
    ("dp-config", &["dp-types", "dp-secret"]),
    ("dp-host", &[]),
    ("dp-secret", &[]),
    ("dp-shm", &["dp-types"]),
    ("dp-wire", &["dp-types"]),
    ("dp-proto", &["dp-types", "dp-wire"]),
    ("dp-tcp", &[]),
    ("dp-book", &["dp-types"]),
    ("dp-signal", &["dp-types", "dp-book"]),
    ("dp-strategy", &["dp-types", "dp-book", "dp-signal"]),
    ("dp-paper", &["dp-types", "dp-book", "dp-venue-api"]),
    ("dp-risk", &["dp-types"]),
    ("dp-oms", &["dp-types"]),
    ("dp-journal", &["dp-types", "dp-shm"]),
    ("dp-venue-api", &["dp-types", "dp-secret", "dp-wire"]),
    ("dp-transport", &["dp-types", "dp-shm", "dp-tcp"]),
    ("dp-capture", &[]),
    (
        "dp-backtest",
        &[
            "dp-types",
            "dp-config",
            "dp-capture",
            "dp-shm",
            "dp-book",
            "dp-strategy",
            "dp-oms",
            "dp-paper",
            "dp-journal",
            "dp-venue-api",
            "dp-transport",
            "dp-lane",
        ],
    ),
    (
        "dp-app",
        &[
            "dp-types",
            "dp-config",
            "dp-strategy",
            "dp-journal",
            "dp-lane",
            "dp-shm",
            "dp-capture",
            "dp-backtest",
        ],
    ),
    ("cp-store", &["dp-types", "dp-shm", "dp-journal"]),
    (
        "dp-lane",
        &[
            "dp-types",
            "dp-config",
            "dp-host",
            "dp-shm",
            "dp-wire",
            "dp-proto",
            "dp-tcp",
            "dp-book",
            "dp-signal",
            "dp-strategy",
            "dp-risk",
            "dp-oms",
            "dp-paper",
            "dp-journal",
            "dp-venue-api",
            "dp-venue-*",
            "dp-transport",
        ],
    ),
    (
        "spinlane",
        &[
            "cp-store",
            "dp-types",
            "dp-config",
            "dp-capture",
            "dp-host",
            "dp-shm",
            "dp-journal",
            "dp-wire",
            "dp-book",
            "dp-strategy",
            "dp-risk",
            "dp-oms",
            "dp-venue-api",
            "dp-venue-*",
        ],
    ),
    (
        "dp-venue-*",
        // FIX is a road several venues share.
        &[
            "dp-types",
            "dp-wire",
            "dp-proto",
            "dp-book",
            "dp-venue-api",
            "dp-venue-fix",
        ],
    ),
    ("spinlane-sim", &["dp-types"]),
    ("tests-relay", &[]),
    // Namespaces and cables, for tests and for the bench.
    ("tests-net", &[]),
    // What the tests of every venue share.
    ("tests-venues", &["dp-types", "dp-venue-api", "dp-wire"]),
];

/// Packages of rooms that may lean on anything, and on which nothing leans.
const FREE: [&str; 8] = [
    "spinlane-bench",
    "tests-fix",
    "tests-hotpath",
    "tests-kernel",
    "tests-numa",
    "tests-system",
    "tests-conformance",
    "xtask",
];

/// `cargo metadata` of the whole workspace, as JSON.
pub fn metadata(root: &Path) -> Result<Value> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Judges every normal dependency between workspace packages, and that tokio stays out of the dataplane.
pub fn check(metadata: &Value) -> Result<Vec<Finding>> {
    let packages = metadata["packages"].as_array().context("packages")?;
    let members: BTreeSet<&str> = metadata["workspace_members"]
        .as_array()
        .context("members")?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let by_id: BTreeMap<&str, &Value> = packages
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let ours: BTreeSet<&str> = members
        .iter()
        .filter_map(|id| by_id.get(id)?["name"].as_str())
        .collect();
    let mut findings = Vec::new();
    for package in members.iter().filter_map(|id| by_id.get(id)) {
        let name = package["name"].as_str().context("name")?;
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let target = dependency["name"].as_str().unwrap_or_default();
            let is_normal = dependency["kind"].is_null();
            if is_normal && ours.contains(target) && !may(name, target) {
                findings.push(format!("{name} -> {target}: this arrow is not allowed"));
            }
        }
    }
    findings.extend(tokio_in_dataplane(metadata, &members, &by_id)?);
    Ok(findings)
}

fn row(name: &str) -> Option<&'static [&'static str]> {
    let is_venue = name.starts_with("dp-venue-") && name != "dp-venue-api";
    let key = if is_venue { "dp-venue-*" } else { name };
    ALLOWED
        .iter()
        .find(|(package, _)| *package == key)
        .map(|(_, row)| *row)
}

fn may(from: &str, to: &str) -> bool {
    if FREE.contains(&from) {
        return !FREE.contains(&to);
    }
    row(from).is_some_and(|row| {
        row.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(prefix) => to.starts_with(prefix) && to != "dp-venue-api",
            None => *allowed == to,
        })
    })
}

/// Walks the resolved graph: no path of normal edges may lead from a dataplane package to an async
/// runtime or a database client.
fn tokio_in_dataplane(
    metadata: &Value,
    members: &BTreeSet<&str>,
    by_id: &BTreeMap<&str, &Value>,
) -> Result<Vec<Finding>> {
    let mut edges: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().context("resolve")? {
        let targets = node["deps"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|dep| {
                let mut kinds = dep["dep_kinds"].as_array().into_iter().flatten();
                let is_normal = kinds.any(|kind| kind["kind"].is_null());
                is_normal.then(|| dep["pkg"].as_str()).flatten()
            });
        edges.insert(node["id"].as_str().unwrap_or_default(), targets.collect());
    }
    let mut findings = Vec::new();
    for id in members {
        let package = by_id.get(id).context("member")?;
        let path = package["manifest_path"].as_str().unwrap_or_default();
        if !path.contains("/dataplane/") {
            continue;
        }
        let (mut seen, mut queue) = (BTreeSet::new(), vec![*id]);
        while let Some(next) = queue.pop() {
            if seen.insert(next) {
                queue.extend(edges.get(next).into_iter().flatten());
            }
        }
        for name in seen.iter().filter_map(|id| by_id.get(id)?["name"].as_str()) {
            if ["tokio", "postgres", "tokio-postgres", "async-std", "hyper"].contains(&name) {
                findings.push(format!(
                    "{}: reaches {name}; the dataplane must not",
                    package["name"]
                ));
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_down_only() {
        assert!(may("dp-lane", "dp-venue-okx"));
        assert!(may("dp-venue-okx", "dp-book"));
        assert!(!may("dp-venue-okx", "dp-venue-binance"));
        assert!(!may("dp-types", "dp-shm"));
        assert!(!may("dp-lane", "cp-store"));
        assert!(!may("cp-store", "dp-lane"));
        assert!(!may("spinlane", "spinlane-sim"));
        assert!(may("tests-system", "spinlane-sim"));
        assert!(!may("unheard-of", "dp-types"));
    }

    /// The same said by cargo itself, for the binary that trades.
    #[test]
    fn cargo_tree_of_the_dataplane_has_no_async_runtime() {
        let output = Command::new("cargo")
            .args([
                "tree",
                "--edges",
                "normal",
                "--package",
                "dp-lane",
                "--prefix",
                "none",
            ])
            .args(["--format", "{p}", "--locked"])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains("io-uring v"),
            "cargo tree said nothing: {text}"
        );
        for name in ["tokio v", "postgres v", "hyper v"] {
            assert!(
                !text.lines().any(|line| line.starts_with(name)),
                "dp-lane reaches {name}"
            );
        }
    }
}
