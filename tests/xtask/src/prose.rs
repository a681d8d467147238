//! Links in the pages people read must lead somewhere, and ARCHITECTURE.md stays one screen.

use crate::Finding;
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// One screen of a tall terminal.
const ARCHITECTURE_LINES_MAX: usize = 110;

/// Reads every tracked Markdown page.
pub fn check(root: &Path) -> Result<Vec<Finding>> {
    let listing = Command::new("git")
        .args(["ls-files", "*.md"])
        .current_dir(root)
        .output()?;
    let mut findings = Vec::new();
    for page in String::from_utf8_lossy(&listing.stdout).lines() {
        let file = root.join(page);
        let Ok(text) = std::fs::read_to_string(&file) else {
            continue;
        };
        let folder = file.parent().unwrap_or(root);
        for target in links(&text) {
            let path = target.split('#').next().unwrap_or_default();
            let is_outside = target.contains("://") || target.starts_with("mailto:");
            if !path.is_empty() && !is_outside && !folder.join(path).exists() {
                findings.push(format!("{page}: link to `{target}` leads nowhere"));
            }
        }
        let lines = text.lines().count();
        if page == "ARCHITECTURE.md" && lines > ARCHITECTURE_LINES_MAX {
            findings.push(format!(
                "{page}: {lines} lines; one screen is {ARCHITECTURE_LINES_MAX}"
            ));
        }
    }
    Ok(findings)
}

/// Targets of `[text](target)` outside code fences.
fn links(text: &str) -> Vec<&str> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let rest = &line[at + 2..];
            if let Some(end) = rest.find(')') {
                found.push(&rest[..end]);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #[test]
    fn links_outside_code_are_found() {
        let text = "[a](b.md) and [c](d#e)\n```\n[x](y)\n```\n";
        assert_eq!(super::links(text), ["b.md", "d#e"]);
    }
}
