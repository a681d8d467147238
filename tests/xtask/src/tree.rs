//! The top level is the architecture's table of contents: a missing or an extra room is an error.

use crate::Finding;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Source folders and files the product consists of (design, section 2).
const ROOMS: [&str; 8] = [
    "Cargo.toml",
    "README.md",
    "bench",
    "controlplane",
    "dataplane",
    "image",
    "kernel-tuning",
    "tests",
];

/// Small files a good repository has.
const SMALL: [&str; 13] = [
    ".cargo",
    ".ci",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "LICENSE",
    "Makefile",
    "clippy.toml",
    "deny.toml",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "NOTICE",
];

/// Rooms of a venue, in the order a reader meets them (style, "One venue = one folder").
const VENUE_ROOMS: [&str; 11] = [
    "README.md",
    "src/lib.rs",
    "src/symbols.rs",
    "src/auth.rs",
    "src/limits.rs",
    "src/feed.rs",
    "src/sync.rs",
    "src/entry.rs",
    "src/reject.rs",
    "src/account.rs",
    "src/rest.rs",
];

/// Judges the tracked top level and the rooms of each venue.
pub fn check(root: &Path) -> Result<Vec<Finding>> {
    let listing = Command::new("git")
        .arg("ls-files")
        .current_dir(root)
        .output();
    let listing = listing.context("git ls-files")?;
    let text = String::from_utf8_lossy(&listing.stdout).into_owned();
    let top: BTreeSet<&str> = text
        .lines()
        .filter_map(|path| path.split('/').next())
        .collect();
    let mut findings: Vec<Finding> = ROOMS
        .iter()
        .filter(|room| !top.contains(**room))
        .map(|room| format!("{room}: the top level must have it"))
        .collect();
    findings.extend(
        top.iter()
            .filter(|name| !ROOMS.contains(name) && !SMALL.contains(name))
            .map(|name| format!("{name}: not part of the fixed top level; move it into a room")),
    );
    for entry in std::fs::read_dir(root.join("dataplane/venues"))? {
        let folder = entry?.path();
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        // What venues share, and the road of those that speak FIX.
        if name == "api" || name == "fix" {
            continue;
        }
        for room in VENUE_ROOMS {
            let file = folder.join(room);
            let is_folder = file.with_extension("").join("mod.rs").exists();
            if !file.exists() && !is_folder {
                findings.push(format!(
                    "dataplane/venues/{name}/{room}: every venue has this room"
                ));
            }
        }
        if !folder.join("fixtures").is_dir() {
            findings.push(format!(
                "dataplane/venues/{name}/fixtures: every venue has this room"
            ));
        }
    }
    Ok(findings)
}
