//! The numbers of one FIX session, on a page of its own: they outlive the process, and keeping them is three stores.
//!
//! ```text
//!   lane: numbers ──stores──▶ page in /dev/shm      kill -9 loses none of them
//!                               │ read now and then by another thread, which may wait for a disk
//!                               ▼
//!                             a file that outlives a reboot: what is on it may be older
//! ```
//! One writer at a time, as everywhere here. The two numbers are kept one by one: neither says anything of the other.

use crate::error::ShmError;
use crate::map::Mapping;
use core::sync::atomic::{AtomicU64, Ordering};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Says that the page is one of these: "fixpage1".
const MAGIC: u64 = u64::from_le_bytes(*b"fixpage1");
const PAGE: usize = 4096;
/// Places of the words.
const MAGIC_AT: usize = 0;
const NAME_AT: usize = 1;
const NEXT_IN_AT: usize = 2;
const NEXT_OUT_AT: usize = 3;
const DAY_AT: usize = 4;
const WORDS: usize = 5;

/// What a session goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// The venue's next message.
    pub next_in: u64,
    /// Ours.
    pub next_out: u64,
    /// The venue's day they were begun in.
    pub day: u64,
}

/// The page of one session.
pub struct NumbersPage {
    mapping: Mapping,
}

impl core::fmt::Debug for NumbersPage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "NumbersPage({:?})", self.get())
    }
}

/// What the session's names come to: numbers of another session are nothing to go on from.
fn hash(name: &str) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}

impl NumbersPage {
    /// Maps the page of the session `name` (its two names, say), making it where it is not. One that is another's is
    /// emptied.
    ///
    /// Errors: [`ShmError`]: the file cannot be made or mapped.
    pub fn open(path: &Path, name: &str) -> Result<Self, ShmError> {
        let fail = |what: &'static str| {
            move |error: std::io::Error| ShmError::Io {
                path: path.to_owned(),
                what,
                error,
            }
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o660)
            .custom_flags(libc::O_CLOEXEC)
            .open(path)
            .map_err(fail("open"))?;
        file.set_len(PAGE as u64).map_err(fail("size"))?;
        let mapping = Mapping::new(&file, PAGE, true).map_err(fail("map"))?;
        let page = Self { mapping };
        let is_ours = page.load(MAGIC_AT) == MAGIC && page.load(NAME_AT) == hash(name);
        if !is_ours {
            page.store(NEXT_IN_AT, 0);
            page.store(NEXT_OUT_AT, 0);
            page.store(NAME_AT, hash(name));
            page.store(MAGIC_AT, MAGIC);
        }
        Ok(page)
    }

    fn words(&self) -> &[AtomicU64] {
        self.mapping.slice(0, WORDS)
    }

    fn load(&self, at: usize) -> u64 {
        self.words()
            .get(at)
            .map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn store(&self, at: usize, value: u64) {
        if let Some(word) = self.words().get(at) {
            word.store(value, Ordering::Release);
        }
    }

    /// The numbers; `None` of a session that has not begun.
    pub fn get(&self) -> Option<Numbers> {
        let numbers = Numbers {
            next_in: self.load(NEXT_IN_AT),
            next_out: self.load(NEXT_OUT_AT),
            day: self.load(DAY_AT),
        };
        (numbers.next_in > 0 && numbers.next_out > 0).then_some(numbers)
    }

    /// Keeps them. Cost: three stores.
    pub fn set(&self, numbers: Numbers) {
        self.store(DAY_AT, numbers.day);
        self.store(NEXT_OUT_AT, numbers.next_out);
        self.store(NEXT_IN_AT, numbers.next_in);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_there_for_the_next_to_open_it_and_for_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page");
        let page = NumbersPage::open(&path, "US>THEM").unwrap();
        assert_eq!(page.get(), None);
        let numbers = Numbers {
            next_in: 7,
            next_out: 9,
            day: 3,
        };
        page.set(numbers);
        // As after a kill: nothing was closed, nothing written back.
        let next = NumbersPage::open(&path, "US>THEM").unwrap();
        assert_eq!(next.get(), Some(numbers));
        let other = NumbersPage::open(&path, "US>OTHERS").unwrap();
        assert_eq!(other.get(), None);
    }

    /// The variable that makes this test's own program the one to be killed, and names its page.
    const CHILD: &str = "SPINLANE_NUMBERS_CHILD";

    #[test]
    fn a_process_killed_at_any_moment_has_kept_what_it_said_it_kept() {
        if let Ok(path) = std::env::var(CHILD) {
            let page = NumbersPage::open(Path::new(&path), "US>THEM").unwrap();
            for number in page.get().map_or(1, |kept| kept.next_out).. {
                page.set(Numbers {
                    next_in: number,
                    next_out: number,
                    day: 1,
                });
                println!("kept {number}");
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page");
        let mut last = 0;
        for round in 1..=3 {
            let mut child = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "--nocapture"])
                .arg("numbers::tests::a_process_killed_at_any_moment_has_kept_what_it_said_it_kept")
                .env(CHILD, &path)
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let lines = std::io::BufReader::new(child.stdout.take().unwrap());
            let told = std::io::BufRead::lines(lines).map_while(Result::ok);
            let mut told = told.filter_map(|line| line.strip_prefix("kept ")?.parse::<u64>().ok());
            let said = told.nth(500).unwrap();
            // SIGKILL: nothing of it runs after that.
            child.kill().unwrap();
            let said = told.last().unwrap_or(said);
            child.wait().unwrap();
            let page = NumbersPage::open(&path, "US>THEM").unwrap();
            let kept = page.get().unwrap();
            assert!(
                kept.next_out >= said && kept.next_in >= said,
                "{kept:?} {said}"
            );
            assert!(kept.next_out > last, "round {round} went on");
            last = kept.next_out;
        }
    }

    #[test]
    fn a_file_of_anything_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page");
        for content in [vec![], vec![b'x'; 10], vec![0xff; 5000]] {
            std::fs::write(&path, content).unwrap();
            let page = NumbersPage::open(&path, "US>THEM").unwrap();
            assert_eq!(page.get(), None);
        }
        assert!(NumbersPage::open(dir.path(), "US>THEM").is_err());
    }
}
