//! `cargo xtask`: the house rules as code. `tidy` reads and judges, `check` runs everything quick.
#![forbid(unsafe_code)]

mod arrows;
mod prose;
mod source;
mod tree;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The house rules as code.
#[derive(Parser)]
#[command(name = "xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Reads the tree: rooms, arrows, absences, links. About a second.
    Tidy,
    /// fmt, tidy, clippy, unit tests: what to run before a push.
    Check,
}

/// One broken rule: where, what, the mend.
pub type Finding = String;

fn main() -> Result<()> {
    let root = root();
    match Cli::parse().verb {
        Verb::Tidy => tidy(&root),
        Verb::Check => check(&root),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap_or_default()
}

fn tidy(root: &Path) -> Result<()> {
    let metadata = arrows::metadata(root)?;
    let mut findings = tree::check(root)?;
    findings.extend(arrows::check(&metadata)?);
    findings.extend(source::check(root)?);
    findings.extend(prose::check(root)?);
    if findings.is_empty() {
        println!("tidy: top level, rooms, arrows, absences and links are as they should be");
        return Ok(());
    }
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    bail!("{} finding(s)", findings.len())
}

fn check(root: &Path) -> Result<()> {
    run(root, &["fmt", "--all", "--check"])?;
    tidy(root)?;
    run(
        root,
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ],
    )?;
    run(root, &["test", "--workspace", "--lib", "--quiet"])
}

fn run(root: &Path, args: &[&str]) -> Result<()> {
    println!("check: cargo {}", args.join(" "));
    let status = Command::new("cargo")
        .args(args)
        .current_dir(root)
        .status()
        .context("cargo")?;
    if !status.success() {
        bail!("cargo {} failed", args.join(" "));
    }
    Ok(())
}
