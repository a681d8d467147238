//! Where a running program's functions are.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

/// The address at which `function` begins in this process of that binary, by its symbols.
///
/// Errors: it has no such function, or several.
pub fn address(pid: i32, binary: &Path, function: &str) -> Result<u64> {
    let listed = Command::new("nm")
        .args(["-C", "--defined-only"])
        .arg(binary)
        .output()
        .context("nm (binutils)")?;
    let listed = String::from_utf8(listed.stdout)?;
    let named = listed.lines().filter_map(|line| {
        let (at, rest) = line.split_once(' ')?;
        let (_, name) = rest.split_once(' ')?;
        (name == function).then_some(at)
    });
    let found: Vec<&str> = named.collect();
    ensure!(
        found.len() == 1,
        "{function}: {} such functions",
        found.len()
    );
    Ok(base(pid, binary)? + u64::from_str_radix(found[0], 16)?)
}

/// Where the binary is mapped.
fn base(pid: i32, binary: &Path) -> Result<u64> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let binary = binary.canonicalize()?;
    let line = maps
        .lines()
        .find(|line| Path::new(line.rsplit(' ').next().unwrap_or("")) == binary);
    let start = line.and_then(|line| line.split('-').next());
    Ok(u64::from_str_radix(
        start.context("the binary is not mapped")?,
        16,
    )?)
}
