//! A recording as a file: a head, then blocks, each with its number and a checksum.
//!
//! ```text
//!   "SLINPUT2"  block*                     all numbers little-endian
//!   block:  number u32 · bytes u32 · CRC-32 of those bytes u32 · bytes
//! ```
//! A process that dies leaves whole blocks and perhaps part of one: what is whole is read, and the end is told.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use crossbeam::queue::ArrayQueue;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

const MAGIC: [u8; 8] = *b"SLINPUT2";
/// Bytes of a buffer, and of most blocks.
const BLOCK_BYTES: usize = 1 << 20;
/// Buffers of a lane: what may wait for a disk.
const BUFFERS: usize = 32;
/// Longest block that is read: a book of single orders may make one longer than its buffer was.
const BLOCK_BYTES_MAX: u32 = 64 << 20;
/// How often the thread looks for full buffers.
const LOOK: Duration = Duration::from_millis(10);

/// Buffers between a lane and the thread that writes them: full ones one way, empty ones back.
#[derive(Debug)]
pub struct Shelf {
    empty: ArrayQueue<Vec<u8>>,
    full: ArrayQueue<Vec<u8>>,
    /// The lane writes no more.
    is_ended: AtomicBool,
    /// The lane found no empty buffer: the file is whole up to there and no further.
    is_cut: AtomicBool,
    /// Nobody writes any more.
    is_closed: AtomicBool,
}

impl Default for Shelf {
    fn default() -> Self {
        let shelf = Self {
            empty: ArrayQueue::new(BUFFERS),
            full: ArrayQueue::new(BUFFERS),
            is_ended: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        };
        for _ in 0..BUFFERS {
            // There is room for as many.
            let _ = shelf.empty.push(Vec::with_capacity(BLOCK_BYTES));
        }
        shelf
    }
}

impl Shelf {
    pub(super) fn take(&self) -> Option<Vec<u8>> {
        self.empty.pop()
    }

    /// A full buffer for an empty one; `None` = the disk is too slow, and the recording ends.
    pub(super) fn swap(&self, full: Vec<u8>, is_patient: bool) -> Option<Vec<u8>> {
        // There are no more buffers than it has room for.
        let _ = self.full.push(full);
        let mut empty = self.empty.pop();
        while empty.is_none() && is_patient && !self.is_closed.load(Ordering::Acquire) {
            std::thread::yield_now();
            empty = self.empty.pop();
        }
        if empty.is_none() {
            self.is_cut.store(true, Ordering::Release);
        }
        empty
    }

    pub(super) fn end(&self) {
        self.is_ended.store(true, Ordering::Release);
    }
}

/// How a recording ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// With its lane.
    Whole {
        /// Bytes of the file.
        bytes: u64,
    },
    /// The disk was too slow: it is whole up to there.
    TooSlow {
        /// Bytes of the file.
        bytes: u64,
    },
    /// It has become as long as it may.
    TooLong {
        /// Bytes of the file.
        bytes: u64,
    },
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// It cannot be read or written.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is something else.
    #[error("{}: no recording of inputs, or another release's", .0.display())]
    NotOne(PathBuf),
}

/// Writes what a lane hands over into a new file, until the lane ends, the file is `bytes_max` long, or a write fails.
/// Its thread's only work.
///
/// Errors: [`FileFault::Io`]; the lane's recording ends soon after.
pub fn keep(shelf: &Shelf, path: &Path, bytes_max: u64) -> Result<Ended, FileFault> {
    let ended = write(shelf, path, bytes_max);
    shelf.is_closed.store(true, Ordering::Release);
    ended
}

fn write(shelf: &Shelf, path: &Path, bytes_max: u64) -> Result<Ended, FileFault> {
    let io = |error| FileFault::Io {
        path: path.to_owned(),
        error,
    };
    let mut file = File::create_new(path).map_err(io)?;
    file.write_all(&MAGIC).map_err(io)?;
    let mut bytes = MAGIC.len() as u64;
    let mut number = 0u32;
    loop {
        // In this order: what was handed over before the end is seen.
        let is_ended = shelf.is_ended.load(Ordering::Acquire);
        let Some(mut block) = shelf.full.pop() else {
            if is_ended {
                let is_cut = shelf.is_cut.load(Ordering::Acquire);
                return Ok(if is_cut {
                    Ended::TooSlow { bytes }
                } else {
                    Ended::Whole { bytes }
                });
            }
            std::thread::sleep(LOOK);
            continue;
        };
        let mut head = [0; 12];
        head[..4].copy_from_slice(&number.to_le_bytes());
        head[4..8].copy_from_slice(&(block.len() as u32).to_le_bytes());
        head[8..].copy_from_slice(&crc32fast::hash(&block).to_le_bytes());
        file.write_all(&head).map_err(io)?;
        file.write_all(&block).map_err(io)?;
        number = number.wrapping_add(1);
        bytes += (head.len() + block.len()) as u64;
        if bytes >= bytes_max {
            // The buffer is not given back: the lane soon finds none.
            return Ok(Ended::TooLong { bytes });
        }
        block.clear();
        let _ = shelf.empty.push(block);
    }
}

/// Reads blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    file: File,
    path: PathBuf,
    number: u32,
    bytes: u64,
}

impl Blocks {
    pub(super) fn open(path: &Path) -> Result<Self, FileFault> {
        let io = |error| FileFault::Io {
            path: path.to_owned(),
            error,
        };
        let mut file = File::open(path).map_err(io)?;
        let mut magic = [0; MAGIC.len()];
        let is_one = file.read_exact(&mut magic).is_ok() && magic == MAGIC;
        if !is_one {
            return Err(FileFault::NotOne(path.to_owned()));
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            number: 0,
            bytes: MAGIC.len() as u64,
        })
    }

    /// Where the next block begins.
    pub(super) const fn position(&self) -> u64 {
        self.bytes
    }

    /// The next block into `block`. False: the file ends here, whole or torn.
    pub(super) fn next(&mut self, block: &mut Vec<u8>) -> Result<Block, FileFault> {
        let mut head = [0; 12];
        match read_up_to(&mut self.file, &mut head).map_err(|error| self.io(error))? {
            0 => return Ok(Block::End),
            12 => {}
            _ => return Ok(Block::Torn),
        }
        let word = |at: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&head[at..at + 4]);
            u32::from_le_bytes(bytes)
        };
        let (number, len, sum) = (word(0), word(4), word(8));
        if number != self.number || len > BLOCK_BYTES_MAX {
            return Ok(Block::Torn);
        }
        block.clear();
        block.resize(len as usize, 0);
        let got = read_up_to(&mut self.file, block).map_err(|error| self.io(error))?;
        if got < block.len() || crc32fast::hash(block) != sum {
            return Ok(Block::Torn);
        }
        self.number = self.number.wrapping_add(1);
        self.bytes += (head.len() + block.len()) as u64;
        Ok(Block::Whole)
    }

    fn io(&self, error: std::io::Error) -> FileFault {
        FileFault::Io {
            path: self.path.clone(),
            error,
        }
    }
}

/// What stood where a block was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    Whole,
    End,
    Torn,
}

fn read_up_to(file: &mut File, into: &mut [u8]) -> std::io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(blocks: &[&[u8]]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.inputs");
        let shelf = Shelf::default();
        for block in blocks {
            let mut buffer = shelf.take().expect("a buffer");
            buffer.extend_from_slice(block);
            assert!(shelf.swap(buffer, false).is_some());
        }
        shelf.end();
        let ended = keep(&shelf, &path, u64::MAX).expect("written");
        let bytes = std::fs::metadata(&path).expect("there").len();
        assert_eq!(ended, Ended::Whole { bytes });
        (dir, path)
    }

    fn read(path: &Path) -> (Vec<Vec<u8>>, Block) {
        let mut blocks = Blocks::open(path).expect("a recording");
        let (mut all, mut block) = (Vec::new(), Vec::new());
        loop {
            match blocks.next(&mut block).expect("readable") {
                Block::Whole => all.push(block.clone()),
                end => return (all, end),
            }
        }
    }

    #[test]
    fn what_was_handed_over_is_read_and_a_cut_or_damaged_end_is_told() {
        let (_dir, path) = written(&[b"one", b"two"]);
        assert_eq!(
            read(&path),
            (vec![b"one".to_vec(), b"two".to_vec()], Block::End)
        );
        let whole = std::fs::read(&path).expect("there");
        for end in MAGIC.len()..whole.len() {
            std::fs::write(&path, &whole[..end]).expect("written");
            let (blocks, last) = read(&path);
            let is_at_a_seam = [8, 8 + 12 + 3].contains(&end);
            assert_eq!(last == Block::End, is_at_a_seam, "{end}");
            assert!(blocks.len() < 2);
        }
        let mut hurt = whole;
        let last = hurt.len() - 1;
        hurt[last] ^= 1;
        std::fs::write(&path, &hurt).expect("written");
        assert_eq!(read(&path), (vec![b"one".to_vec()], Block::Torn));
        std::fs::write(&path, b"SLINPUT0").expect("written");
        assert!(matches!(Blocks::open(&path), Err(FileFault::NotOne(_))));
    }

    #[test]
    fn a_lane_that_finds_no_buffer_ends_its_recording_and_the_file_says_so() {
        let shelf = Shelf::default();
        let mut handed = 0;
        let mut buffer = shelf.take();
        while let Some(mut full) = buffer {
            full.push(7);
            handed += 1;
            buffer = shelf.swap(full, false);
        }
        assert_eq!(handed, BUFFERS);
        shelf.end();
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.inputs");
        let ended = keep(&shelf, &path, u64::MAX).expect("written");
        assert!(matches!(ended, Ended::TooSlow { .. }), "{ended:?}");
        assert_eq!(read(&path).0.len(), BUFFERS);
        let again = keep(&shelf, &path, u64::MAX);
        assert!(
            matches!(again, Err(FileFault::Io { .. })),
            "a file is never written over"
        );
    }

    #[test]
    fn a_recording_is_no_longer_than_it_may() {
        let shelf = Shelf::default();
        for _ in 0..3 {
            let mut buffer = shelf.take().expect("a buffer");
            buffer.resize(100, 1);
            assert!(shelf.swap(buffer, false).is_some());
        }
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.inputs");
        let ended = keep(&shelf, &path, 150).expect("written");
        assert_eq!(ended, Ended::TooLong { bytes: 8 + 2 * 112 });
    }
}
