//! What we changed on this host that does not end with the process, written down before it is done.
//!
//! ```text
//!   open ─▶ is there a list of a run that crashed? ─▶ undo it
//!   before each change: one line, then the change        drop ─▶ undo, newest first ─▶ empty list
//! ```
//!
//! The list names the boot and the network namespace: after a reboot nothing of it is there to undo, and in
//! another namespace it is not ours. Undoing something twice, or something that was never done, does
//! nothing. What belongs to a descriptor (programs, sockets) is not in it: the kernel undoes that.
//!
//! What is undone before the end is struck out where it stands, and its line is the next one's of that length:
//! a list of rules that come and go does not grow, and no moment of a crash leaves a line that says what is not.
//!
//! Whoever finds a list with changes and no lock on it may mend ([`Undo::mend`]): a supervisor does at once.

use super::ethtool::{self, Offload};
use super::fault::XdpFault;
use super::{ports, rules};
use core::fmt;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the lock is waited for: somebody else may be mending, which takes milliseconds.
const LOCK_WAIT: Duration = Duration::from_millis(500);
/// Between tries.
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// Bytes of a list that are read; ours are a few lines.
const LIST_BYTES_MAX: u64 = 64 << 10;

/// One change, with what undoes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Local ports were added to the kernel's reserved ones.
    Ports {
        /// Lowest.
        first: u16,
        /// Highest.
        last: u16,
    },
    /// An offload of an interface was switched.
    Offload {
        /// The interface's name.
        interface: String,
        /// Which.
        offload: Offload,
        /// What it was.
        was: bool,
    },
    /// A flow rule was put into a card.
    Rule {
        /// The interface's name.
        interface: String,
        /// Where in the card's table.
        location: u32,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ports { first, last } => write!(f, "ports {first} {last}"),
            Self::Offload {
                interface,
                offload,
                was,
            } => write!(
                f,
                "offload {interface} {} {}",
                offload.name(),
                u8::from(*was)
            ),
            Self::Rule {
                interface,
                location,
            } => write!(f, "rule {interface} {location}"),
        }
    }
}

impl Change {
    /// From a line. Anything else, such as the half line of a crash while writing, is none: the change it
    /// would have named was not done.
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["ports", first, last] => Some(Self::Ports {
                first: first.parse().ok()?,
                last: last.parse().ok()?,
            }),
            ["offload", interface, offload, was @ ("0" | "1")] => Some(Self::Offload {
                interface: (*interface).to_owned(),
                offload: Offload::parse(offload)?,
                was: *was == "1",
            }),
            ["rule", interface, location] => Some(Self::Rule {
                interface: (*interface).to_owned(),
                location: location.parse().ok()?,
            }),
            _ => None,
        }
    }

    fn undo(&self) -> Result<(), XdpFault> {
        match self {
            Self::Ports { first, last } => ports::release(*first, *last),
            Self::Offload {
                interface,
                offload,
                was,
            } => ethtool::set_offload(interface, *offload, *was),
            Self::Rule {
                interface,
                location,
            } => rules::delete(interface, *location),
        }
    }
}

/// The list. While it lives no other process can open it; it is emptied when dropped, after undoing all.
/// Made and dropped in the same network namespace.
#[derive(Debug)]
pub struct Undo {
    file: Flock<File>,
    /// What was changed, oldest first, and where in the file its line begins.
    changes: Vec<(Change, u64)>,
    /// Lines struck out: where they begin and how long they are.
    struck: Vec<(u64, usize)>,
    mended: Vec<Change>,
}

impl Undo {
    /// Opens the list at `path`, makes it when there is none, and undoes what a run that crashed left.
    ///
    /// Errors: [`XdpFault::Held`] when another live process has it; the file's.
    pub fn open(path: &Path) -> Result<Self, XdpFault> {
        let fault = || XdpFault::io("list of changes");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = locked(options.open(path).map_err(fault())?)?;
        let mended = undo_all(&file);
        write_head(&mut file).map_err(fault())?;
        Ok(Self {
            file,
            changes: Vec::new(),
            struck: Vec::new(),
            mended,
        })
    }

    /// Undoes what a run that crashed left, and that is all: nothing is made where there is no list, and a list
    /// of another namespace is left alone.
    ///
    /// Errors: [`XdpFault::Held`] while the run lives; the file's.
    pub fn mend(path: &Path) -> Result<Vec<Change>, XdpFault> {
        let fault = || XdpFault::io("list of changes");
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(fault())?,
        };
        let file = locked(file)?;
        let mended = undo_all(&file);
        if !mended.is_empty() {
            file.set_len(0).map_err(fault())?;
        }
        Ok(mended)
    }

    /// What a run that crashed had left, and is undone now.
    pub fn mended(&self) -> &[Change] {
        &self.mended
    }

    /// Writes a change down. Do it after this, not before.
    pub(super) fn record(&mut self, change: Change) -> Result<(), XdpFault> {
        let fault = || XdpFault::io("list of changes");
        // One write: a line is there whole or (after a crash) not at all for `parse`.
        let line = format!("{change}\n");
        let reused = self.struck.iter().position(|(_, len)| *len == line.len());
        let at = match reused {
            Some(index) => self.struck.swap_remove(index).0,
            None => self.file.metadata().map_err(fault())?.len(),
        };
        let written = self.file.write_all_at(line.as_bytes(), at);
        written.map_err(fault())?;
        self.changes.push((change, at));
        Ok(())
    }

    /// Strikes out a change that was just undone. One that is not in the list is none.
    pub(super) fn strike(&mut self, change: &Change) -> Result<(), XdpFault> {
        let found = self.changes.iter().rposition(|(made, _)| made == change);
        let Some(index) = found else { return Ok(()) };
        let (_, at) = self.changes.remove(index);
        let len = format!("{change}\n").len();
        // No half of it reads as a change either.
        let written = self.file.write_all_at(&vec![b'-'; len - 1], at);
        self.struck.push((at, len));
        written.map_err(XdpFault::io("list of changes"))
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        for (change, _) in self.changes.drain(..).rev() {
            if let Err(error) = change.undo() {
                eprintln!("not undone: {change}: {error}");
            }
        }
        let _ = self.file.set_len(0);
    }
}

/// Waits for the list's lock. Errors: [`XdpFault::Held`].
fn locked(mut file: File) -> Result<Flock<File>, XdpFault> {
    let start = Instant::now();
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => return Ok(file),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) if start.elapsed() >= LOCK_WAIT => {
                return Err(XdpFault::Held);
            }
            Err((file, nix::errno::Errno::EWOULDBLOCK)) => file,
            Err((_, errno)) => return Err(XdpFault::nix("lock on the list of changes")(errno)),
        };
        std::thread::sleep(LOCK_PAUSE);
    }
}

/// Undoes what a list says, newest first, and gives it.
fn undo_all(file: &File) -> Vec<Change> {
    let mut text = String::new();
    let read = file.take(LIST_BYTES_MAX).read_to_string(&mut text);
    // One that is not even text is not ours to obey.
    if read.is_err() {
        return Vec::new();
    }
    let changes = left_over(&text, &here());
    for change in changes.iter().rev() {
        // What cannot be undone is told to whoever set the host up, and must not keep us from trading.
        if let Err(error) = change.undo() {
            eprintln!("not undone after a crash: {change}: {error}");
        }
    }
    changes
}

/// Boot and network namespace, as the first line has them.
fn here() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::metadata("/proc/thread-self/ns/net").map_or(0, |meta| meta.ino());
    format!("boot {} netns {namespace}", boot.trim())
}

fn left_over(text: &str, here: &str) -> Vec<Change> {
    let mut lines = text
        .split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'));
    if lines.next() == Some(here) {
        lines.filter_map(Change::parse).collect()
    } else {
        Vec::new()
    }
}

fn write_head(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(format!("{}\n", here()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn changes() -> Vec<Change> {
        vec![
            Change::Ports {
                first: 40_000,
                last: 40_063,
            },
            Change::Offload {
                interface: "eth0".to_owned(),
                offload: Offload::RxVlan,
                was: true,
            },
            Change::Rule {
                interface: "eth0".to_owned(),
                location: 1023,
            },
        ]
    }

    #[test]
    fn a_list_is_read_back_as_written() {
        let lines: Vec<String> = changes().iter().map(ToString::to_string).collect();
        let text = format!("here\n{}\n", lines.join("\n"));
        assert_eq!(left_over(&text, "here"), changes());
        assert_eq!(left_over(&text, "elsewhere"), []);
        assert_eq!(left_over(&text[..text.len() - 1], "here"), changes()[..2]);
        assert_eq!(left_over("", "here"), []);
        assert!(
            here().starts_with("boot ") && !here().ends_with(" 0"),
            "{}",
            here()
        );
    }

    /// Rules that come and go leave neither a line of one that is gone (its place may be an operator's by then)
    /// nor a list that grows.
    #[test]
    fn what_was_undone_early_is_struck_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("changes");
        let rule = |location| Change::Rule {
            interface: "nosuch0".to_owned(),
            location,
        };
        let text = || std::fs::read_to_string(&path).unwrap();
        let mut undo = Undo::open(&path).unwrap();
        undo.record(rule(1023)).unwrap();
        undo.record(rule(1022)).unwrap();
        let len = text().len();
        for location in (1000..1020).chain([1023]) {
            undo.strike(&rule(1022)).unwrap();
            assert_eq!(left_over(&text(), &here()), [rule(1023)]);
            undo.record(rule(location)).unwrap();
            assert_eq!(left_over(&text(), &here()), [rule(1023), rule(location)]);
            undo.strike(&rule(location)).unwrap();
            undo.strike(&rule(7)).unwrap();
            undo.record(rule(1022)).unwrap();
        }
        undo.record(rule(7)).unwrap();
        let all = [rule(1023), rule(1022), rule(7)];
        assert_eq!(left_over(&text(), &here()), all);
        assert_eq!(text().len(), len + "rule nosuch0 7\n".len());
        // A crash in the middle of striking or of writing anew.
        let line = rule(1022).to_string();
        for cut in 1..line.len() {
            let dashes = "-".repeat(line.len());
            for torn in [
                format!("{}{}", &dashes[..cut], &line[cut..]),
                format!("{}{}", &line[..cut], &dashes[cut..]),
            ] {
                assert_eq!(Change::parse(&torn), None, "{torn}");
            }
        }
        drop(undo);
        assert_eq!(text(), "");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(here\n)?([a-z0-9 ]{0,20}\n?){0,5}\\PC*") {
            left_over(&text, "here");
        }
    }
}
