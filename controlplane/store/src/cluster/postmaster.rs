//! The server process of a data directory, told from what its lock file says and what the kernel knows.
//!
//! `postmaster.pid` outlives a crash, and its process id may since belong to anyone: a process counts as
//! ours only when its working directory is the data directory, which is where a postmaster stands.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};

/// A live postmaster.
#[derive(Debug)]
pub(super) struct Postmaster {
    pub pid: Pid,
    status: String,
}

impl Postmaster {
    /// The one that runs on `data`, if any.
    pub fn find(data: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(pid_file(data)).ok()?;
        let mut lines = text.lines();
        let pid: i32 = lines.next()?.trim().parse().ok().filter(|pid| *pid > 1)?;
        // Line 8 is the status since PostgreSQL 10: starting, ready, stopping, standby.
        let status = lines.nth(6).unwrap_or("").trim().to_owned();
        stands_in(pid, data).then(|| Self {
            pid: Pid::from_raw(pid),
            status,
        })
    }

    /// Whether it is on its way out and takes no connections any more.
    pub fn is_stopping(&self) -> bool {
        self.status == "stopping"
    }

    /// Whether its process is still there.
    pub fn stands_in(&self, data: &Path) -> bool {
        stands_in(self.pid.as_raw(), data)
    }

    /// Asks for a fast shutdown. A process that ended meanwhile is what we wanted.
    pub fn interrupt(&self) {
        kill(self.pid, Signal::SIGINT).ok();
    }

    /// Removes lock files that PostgreSQL would stop at for ever: empty ones, whose writer was killed between
    /// making and filling them, and those whose process id now belongs to somebody else (it knows nothing of
    /// working directories). One whose process is gone it clears itself. While any process stands in `data`
    /// (every server process does, from before it makes a lock file) nothing is touched.
    pub fn clear_remnants(data: &Path, socket_lock: &Path) {
        if is_stood_in(data) {
            return;
        }
        for path in [&pid_file(data), socket_lock] {
            let Ok(text) = std::fs::read_to_string(path) else {
                continue;
            };
            // A server of an older crash may have left a minus before its number.
            let first = text.lines().next().unwrap_or("").trim();
            let pid = first.trim_start_matches('-').parse::<i32>().ok();
            let is_alive = |pid: i32| Path::new(&format!("/proc/{pid}")).exists();
            if text.trim().is_empty() || pid.is_some_and(is_alive) {
                std::fs::remove_file(path).ok();
            }
        }
    }
}

/// Whether any process has the data directory as its working directory.
fn is_stood_in(data: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return true;
    };
    let name = |entry: std::fs::DirEntry| entry.file_name().into_string().ok()?.parse().ok();
    let mut pids = entries.flatten().filter_map(name);
    pids.any(|pid| stands_in(pid, data))
}

fn pid_file(data: &Path) -> PathBuf {
    data.join("postmaster.pid")
}

/// A zombie has no working directory: it counts as gone, which is right.
fn stands_in(pid: i32, data: &Path) -> bool {
    let Ok(data) = data.canonicalize() else {
        return false;
    };
    std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_with(pid: u32) -> tempfile::TempDir {
        let data = tempfile::tempdir().unwrap();
        let text = format!(
            "{pid}\n{}\n1\n5432\n/x\n\n1 2\nready   \n",
            data.path().display()
        );
        std::fs::write(pid_file(data.path()), text).unwrap();
        data
    }

    #[test]
    fn a_reused_process_id_is_not_a_postmaster() {
        let data = data_with(std::process::id());
        assert!(Postmaster::find(data.path()).is_none());
        Postmaster::clear_remnants(data.path(), &data.path().join("none"));
        assert!(!pid_file(data.path()).exists());
    }

    #[test]
    fn a_process_in_the_directory_is_found_with_its_status() {
        let data = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("30")
            .current_dir(data.path())
            .spawn()
            .unwrap();
        let text = format!("{}\n/d\n1\n5432\n/x\n\n1 2\nstopping\n", child.id());
        std::fs::write(pid_file(data.path()), text).unwrap();
        let found = Postmaster::find(data.path());
        let socket_lock = data.path().join("socket.lock");
        std::fs::write(&socket_lock, "").unwrap();
        Postmaster::clear_remnants(data.path(), &socket_lock);
        let is_kept = pid_file(data.path()).exists() && socket_lock.exists();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.is_some_and(|found| found.is_stopping()));
        assert!(is_kept);
    }

    /// Killed between making a lock file and filling it.
    #[test]
    fn empty_locks_go_and_those_of_the_dead_are_left_to_postgresql() {
        let data = tempfile::tempdir().unwrap();
        let socket_lock = data.path().join(".s.PGSQL.5432.lock");
        for (text, is_kept) in [("", false), ("\n", false), ("99999999\n/d\n", true)] {
            std::fs::write(pid_file(data.path()), text).unwrap();
            std::fs::write(&socket_lock, text).unwrap();
            Postmaster::clear_remnants(data.path(), &socket_lock);
            for file in [&pid_file(data.path()), &socket_lock] {
                assert_eq!(file.exists(), is_kept, "{text:?} in {}", file.display());
            }
        }
    }

    #[test]
    fn nonsense_in_the_file_is_no_postmaster() {
        for text in ["", "abc\n", "-1\n", "0\n", "99999999999\n"] {
            let data = tempfile::tempdir().unwrap();
            std::fs::write(pid_file(data.path()), text).unwrap();
            assert!(Postmaster::find(data.path()).is_none(), "{text:?}");
            Postmaster::clear_remnants(data.path(), &data.path().join("none"));
        }
    }
}
