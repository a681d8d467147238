//! `spinlane strategy new`: a project for a strategy of one's own, written out whole. It is in this program, so that it is
//! always the one that fits it.

use crate::app::show;
use crate::cli::StrategyNewArgs;
use crate::fail::Usage;
use anyhow::Context;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What is written, by its place.
const FILES: [(&str, &str); 3] = [
    (
        "Cargo.toml",
        include_str!("../../../dataplane/app/template/Cargo.toml.in"),
    ),
    (
        "node.toml",
        include_str!("../../../dataplane/app/template/node.toml.in"),
    ),
    (
        "src/main.rs",
        include_str!("../../../dataplane/app/template/main.rs"),
    ),
];
/// Longest name: it names the node's shared memory, and a field of 31 bytes.
const NAME_MAX: usize = 31;

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct Written {
    /// `done`.
    pub outcome: &'static str,
    /// Where the project is.
    pub dir: PathBuf,
    /// The checkout it builds against.
    pub checkout: PathBuf,
    /// What to do next, a command a line.
    pub next: Vec<String>,
}

/// Writes it. Errors: a name that is none, a directory that is there, no checkout.
pub fn write(args: &StrategyNewArgs, as_json: bool) -> anyhow::Result<()> {
    let name = &args.name;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins || !name.chars().all(is_plain) || name.len() > NAME_MAX {
        let why = "small letters, digits and dashes, first a letter, at most 31";
        return Err(Usage(format!("`{name}` is no name for a project: {why}")).into());
    }
    let checkout = checkout(args.checkout.as_deref())?;
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(name));
    if dir.exists() {
        let text = format!("{}: is there already; name another by --dir", dir.display());
        return Err(Usage(text).into());
    }
    std::fs::create_dir_all(dir.join("src"))
        .with_context(|| format!("making {}", dir.display()))?;
    let dir = dir
        .canonicalize()
        .with_context(|| format!("resolving {}", dir.display()))?;
    for (file, text) in FILES {
        let text = text
            .replace("{name}", name)
            .replace("{dir}", &dir.display().to_string())
            .replace("{checkout}", &checkout.display().to_string());
        let path = dir.join(file);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    // The same versions of everything as here.
    let lock = checkout.join("Cargo.lock");
    std::fs::copy(&lock, dir.join("Cargo.lock"))
        .with_context(|| format!("copying {}", lock.display()))?;
    let written = Written {
        outcome: "done",
        next: next(name, &dir),
        dir,
        checkout,
    };
    show(as_json, &written, || {
        format!(
            "{} is written; what it does is in src/main.rs. Next:\n  {}",
            written.dir.display(),
            written.next.join("\n  ")
        )
    })
}

fn next(name: &str, dir: &Path) -> Vec<String> {
    vec![
        format!("cd {}", dir.display()),
        "cargo build --release".to_owned(),
        "spinlane-sim --venues binance --port binance=19443 --tls-dir sim --keys-out sim &"
            .to_owned(),
        format!("target/release/{name} --config node.toml &"),
        "spinlane strategies --config node.toml".to_owned(),
        "spinlane orders --all --config node.toml".to_owned(),
    ]
}

fn checkout(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let dir = named.unwrap_or(&built_from);
    let has_it = dir.join("dataplane/app/Cargo.toml").is_file();
    if !has_it {
        return Err(Usage(format!(
            "{}: no checkout of Spinlane there; name one by --checkout",
            dir.display()
        ))
        .into());
    }
    dir.canonicalize()
        .with_context(|| format!("resolving {}", dir.display()))
}
