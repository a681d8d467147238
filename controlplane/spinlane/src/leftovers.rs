//! What a dataplane that was killed has left on this host: reserved ports, settings and rules of a card.
//!
//! ```text
//!   STATE_DIR/net.changes     boot … netns …      the dataplane's own list, under its lock while it lives
//!                             ports 49152 50175   one change a line
//! ```
//!
//! The dataplane's program undoes it (`--mend`), this only sees that it is needed: the daemon within
//! [`WATCH`], the doctor when asked. Programs and sockets are not in the list: the kernel undoes those.

use crate::demo::child::find as program;
use nix::fcntl::{Flock, FlockArg};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// How often the daemon looks.
const WATCH: Duration = Duration::from_millis(100);
/// Longest run of the mending program.
const MEND_MAX: Duration = Duration::from_secs(10);

/// Changes nobody will undo by himself: none while the dataplane lives, or after a reboot.
pub fn find(state_dir: &Path) -> Vec<String> {
    let path = state_dir.join("net.changes");
    let Ok(text) = std::fs::read_to_string(&path) else {
        return Vec::new();
    };
    let changes = changes(&text, &boot());
    if changes.is_empty() || is_held(&path) {
        return Vec::new();
    }
    changes
}

fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

fn changes(text: &str, boot: &str) -> Vec<String> {
    let mut lines = text.lines();
    let is_of_now = lines
        .next()
        .and_then(|head| head.strip_prefix("boot "))
        .and_then(|rest| rest.split(' ').next())
        .is_some_and(|id| id == boot);
    let lines = lines.filter(|line| !line.is_empty());
    lines.filter(|_| is_of_now).map(str::to_owned).collect()
}

/// Whether the dataplane (or whoever mends) has the list.
fn is_held(path: &Path) -> bool {
    let Ok(file) = std::fs::File::open(path) else {
        return false;
    };
    Flock::lock(file, FlockArg::LockSharedNonblock).is_err()
}

/// Has what a dataplane leaves undone at once, for as long as the daemon runs.
pub async fn watch(config: PathBuf, state_dir: PathBuf) {
    let mut tried = Vec::new();
    loop {
        tokio::time::sleep(WATCH).await;
        let left = find(&state_dir);
        // What could not be undone is tried once, and waits for the next start.
        if left.is_empty() || left == tried {
            continue;
        }
        match mend(&config).await {
            Ok(said) => tracing::warn!("a dataplane was killed; {said}"),
            Err(error) => tracing::error!(
                "a dataplane was killed and left {}: {error:#}; its next start undoes it",
                left.join(", ")
            ),
        }
        tried = find(&state_dir);
    }
}

async fn mend(config: &Path) -> anyhow::Result<String> {
    let mut command = tokio::process::Command::new(program("spinlane-dataplane")?);
    command.arg("--mend").arg("--config").arg(config);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(MEND_MAX, command.output()).await??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().replace('\n', ", ");
    let error = text(&output.stderr);
    anyhow::ensure!(output.status.success() && error.is_empty(), "{error}");
    Ok(text(&output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_boot_left_and_nobody_holds_is_left_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("net.changes");
        assert_eq!(find(dir.path()), Vec::<String>::new());
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        let head = format!("boot {} netns 4026531840\n", boot());
        write(&head);
        assert_eq!(find(dir.path()), Vec::<String>::new());
        write(&format!("{head}ports 1 2\noffload eth1 gro 1\n"));
        assert_eq!(find(dir.path()), ["ports 1 2", "offload eth1 gro 1"]);
        let held = std::fs::File::open(&path).unwrap();
        let held = Flock::lock(held, FlockArg::LockExclusiveNonblock).unwrap();
        assert_eq!(find(dir.path()), Vec::<String>::new());
        drop(held);
        write("boot another-boot netns 1\nports 1 2\n");
        assert_eq!(find(dir.path()), Vec::<String>::new());
        write("nonsense");
        assert_eq!(find(dir.path()), Vec::<String>::new());
    }
}
