//! Which node is meant, and the way to it.

use crate::cli::NodeArgs;
use crate::fail::Usage;
use anyhow::Context;
use dp_config::Config;
use dp_shm::Region;
use std::path::{Path, PathBuf};

const SHM_DIR: &str = "/dev/shm";
const PREFIX: &str = "spinlane-";

/// A node, found.
#[derive(Debug)]
pub struct Target {
    /// Its shared-memory file.
    pub shm: PathBuf,
    /// Its configuration, where a file was named.
    pub config: Option<Config>,
    /// That file.
    pub file: Option<PathBuf>,
}

impl Target {
    /// Finds the node the arguments name, or the only one there is.
    /// Errors: [`Usage`] when there is none or more than one, the configuration's own.
    pub fn find(args: &NodeArgs) -> anyhow::Result<Self> {
        if let Some(path) = &args.config {
            let config = Config::load(path)?;
            let shm = config.node.shm.clone();
            let config = Some(config);
            let file = Some(path.clone());
            return Ok(Self { shm, config, file });
        }
        let shm = match (&args.node, &args.shm) {
            (_, Some(path)) => path.clone(),
            (Some(name), None) => Path::new(SHM_DIR).join(format!("{PREFIX}{name}")),
            (None, None) => only_node(Path::new(SHM_DIR))?,
        };
        Ok(Self {
            shm,
            config: None,
            file: None,
        })
    }

    /// Attaches to its shared memory. Errors: [`dp_shm::ShmError`], each with its mend.
    pub fn attach(&self) -> anyhow::Result<Region> {
        Ok(Region::attach(&self.shm)?)
    }

    /// The configuration. Errors: [`Usage`]: the command needs `--config`.
    pub fn config(&self, what: &str) -> anyhow::Result<&Config> {
        self.config
            .as_ref()
            .ok_or_else(|| Usage(format!("{what}: name the node by --config FILE")))
            .context("configuration")
    }
}

/// The only region there is; programs of one machine mostly have one node.
fn only_node(dir: &Path) -> Result<PathBuf, Usage> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // `spinlane-a.old-1` is what an earlier layout left.
            name.starts_with(PREFIX) && !name.contains('.')
        })
        .collect();
    found.sort();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Usage(
            "no node runs on this machine; start one, or name it by --config, --node or --shm"
                .into(),
        )),
        _ => {
            let names = found
                .iter()
                .filter_map(|path| path.file_name()?.to_str()?.strip_prefix(PREFIX));
            let names: Vec<&str> = names.collect();
            Err(Usage(format!(
                "several nodes on this machine: name one by --node ({})",
                names.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_node_is_found_and_a_choice_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        assert!(only_node(dir.path()).unwrap_err().0.contains("no node"));
        std::fs::write(dir.path().join("spinlane-a"), "").unwrap();
        std::fs::write(dir.path().join("spinlane-a.old-1"), "").unwrap();
        std::fs::write(dir.path().join("other"), "").unwrap();
        assert!(only_node(dir.path()).unwrap().ends_with("spinlane-a"));
        std::fs::write(dir.path().join("spinlane-b"), "").unwrap();
        assert!(only_node(dir.path()).unwrap_err().0.contains("(a, b)"));
    }
}
