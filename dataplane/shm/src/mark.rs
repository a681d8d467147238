//! Marks on disk for what must outlive the shared memory, which a reboot takes away.
//!
//! ```text
//!   STATE_DIR/killed   the kill switch is on; holds why. Written by whoever throws the switch.
//!   STATE_DIR/kill     somebody wants trading killed; may hold why. Put there and removed by people and scripts.
//!   STATE_DIR/flat     the last run ended in order and held nothing: a fresh start knows where it stands.
//! ```

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Where a kill is kept.
pub fn killed(state_dir: &Path) -> PathBuf {
    state_dir.join("killed")
}

/// Where a file kills.
pub fn kill_asked(state_dir: &Path) -> PathBuf {
    state_dir.join("kill")
}

/// Where it is kept that nothing was held.
pub fn flat(state_dir: &Path) -> PathBuf {
    state_dir.join("flat")
}

/// Sets a mark; on disk when this returns. Errors: the system's.
pub fn set(mark: &Path, text: &str) -> std::io::Result<()> {
    let mut file = File::create(mark)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    sync_dir(mark)
}

/// Clears a mark; off the disk when this returns. Says whether it was there. Errors: the system's.
pub fn clear(mark: &Path) -> std::io::Result<bool> {
    match std::fs::remove_file(mark) {
        Ok(()) => sync_dir(mark).map(|()| true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A mark's text; `None` when it is not set. One that cannot be read counts as set.
pub fn read(mark: &Path) -> Option<String> {
    match std::fs::read_to_string(mark) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => Some(format!("{} cannot be read: {error}", mark.display())),
    }
}

fn sync_dir(mark: &Path) -> std::io::Result<()> {
    match mark.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_set_read_and_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let mark = killed(dir.path());
        assert_eq!(read(&mark), None);
        set(&mark, "fat finger\n").unwrap();
        assert_eq!(read(&mark).as_deref(), Some("fat finger"));
        assert!(clear(&mark).unwrap());
        assert!(!clear(&mark).unwrap());
    }
}
