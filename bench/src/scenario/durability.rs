//! What each level of safety costs an order: in the ring, in another machine's memory, on the disk.
//!
//! `published` is what this release offers. The other two are floors: the least that waiting for a standby or for
//! the disk can cost on this machine, before anything of ours is around it.

use super::journal::intent;
use crate::meter::Meter;
use crate::scratch::Scratch;
use anyhow::Context as _;
use dp_journal::{Journal, Reader, Record};
use dp_shm::layout::Shape;
use dp_types::{Epoch, LaneId, UnixNanos};
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;

const RECORDS: u32 = 1 << 14;
const LANE: LaneId = LaneId(0);
const EPOCH: Epoch = Epoch(1);
/// Records that reach the disk together: what a lane writes in a few milliseconds.
const GROUP: usize = 64;
/// Bytes of a record.
const RECORD_BYTES: usize = 8 * dp_shm::layout::RECORD_WORDS;
/// Looks of a thread that found nothing before it lets the other one have the core.
const SPINS: u32 = 2_000;

pub fn run(meter: &mut Meter) -> anyhow::Result<()> {
    meter.begin("durability");
    published(meter)?;
    replicated(meter)?;
    synced(meter)?;
    let note = "durability: `replicated` and `synced` are floors of what waiting would cost; orders wait for neither yet";
    meter.notes.push(note.to_owned());
    Ok(())
}

fn published(meter: &mut Meter) -> anyhow::Result<()> {
    let scratch = Scratch::new(&Shape::new(1, 1, RECORDS, 1 << 8))?;
    let lane = scratch.region.lane_writer(LANE)?;
    let mut journal = Journal::new(lane.journal, LANE, EPOCH);
    let view = scratch.region.lane(LANE);
    let reader = Reader::from_oldest(view.context("the region has one lane")?.journal);
    let entry = intent(1).context("an order id")?;
    let mut refused = 0u64;
    meter.each_on(
        "published: in the ring",
        &mut journal,
        |journal, _| reader.set_drained(journal.next_seq()),
        |journal| {
            let at = UnixNanos(journal.next_seq());
            refused += u64::from(journal.publish(at, &entry).is_err());
        },
    );
    anyhow::ensure!(refused == 0, "{refused} were refused");
    Ok(())
}

/// The bytes of one order intent.
fn record(seq: u64) -> anyhow::Result<Vec<u8>> {
    let record = Record {
        seq,
        epoch: EPOCH,
        lane: LANE,
        at: UnixNanos(seq),
        entry: intent(1).context("an order id")?,
    };
    Ok(record
        .encode()
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect())
}

/// A record to a thread that spins on its socket, and its acknowledgement back.
fn replicated(meter: &mut Meter) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut ours = TcpStream::connect(listener.local_addr()?)?;
    let (mut theirs, _) = listener.accept()?;
    for socket in [&ours, &theirs] {
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
    }
    let bytes = record(1)?;
    let len = bytes.len();
    let standby = std::thread::spawn(move || -> std::io::Result<()> {
        let mut held = vec![0; len];
        while fill(&mut theirs, &mut held)? {
            theirs.write_all(&held[..8])?;
        }
        Ok(())
    });
    let mut fault = None;
    meter.each("replicated (floor): by TCP", |_| {
        let mut ack = [0; 8];
        let answer = ours
            .write_all(&bytes)
            .and_then(|()| fill(&mut ours, &mut ack));
        match answer {
            Ok(true) if ack == bytes[..8] => {}
            Ok(_) => fault = Some(std::io::Error::from(ErrorKind::InvalidData)),
            Err(error) => fault = Some(error),
        }
    });
    drop(ours);
    let ended = standby
        .join()
        .map_err(|_| anyhow::anyhow!("the standby's thread panicked"))?;
    fault.map_or(ended, Err).context("records over loopback")
}

/// Spins until the buffer is full; `false` when the peer has closed.
fn fill(socket: &mut TcpStream, into: &mut [u8]) -> std::io::Result<bool> {
    let (mut have, mut idle) = (0, 0);
    while have < into.len() {
        match socket.read(&mut into[have..]) {
            Ok(0) => return Ok(false),
            Ok(count) => (have, idle) = (have + count, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                idle += 1;
                if idle % SPINS == 0 {
                    std::thread::yield_now();
                }
                core::hint::spin_loop();
            }
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Records at the end of a file, on the disk before the next.
fn synced(meter: &mut Meter) -> anyhow::Result<()> {
    // Where a file survives a reboot: /tmp may be memory.
    let scratch = Log::new(PathBuf::from("/var/tmp"))?;
    let one = record(1)?;
    let group: Vec<u8> = one.repeat(GROUP);
    for (name, bytes) in [
        ("synced (floor): one record", &one),
        ("synced (floor): 64 at once", &group),
    ] {
        let mut fault = None;
        meter.each_rarely(name, |_| {
            let mut file = &scratch.file;
            let done = file.write_all(bytes).and_then(|()| file.sync_data());
            if let Err(error) = done {
                fault = Some(error);
            }
        });
        if let Some(error) = fault {
            return Err(error).with_context(|| format!("writing {}", scratch.path.display()));
        }
    }
    Ok(())
}

/// A file with room for what is written, taken away when it ends.
struct Log {
    file: File,
    path: PathBuf,
}

impl Log {
    fn new(folder: PathBuf) -> anyhow::Result<Self> {
        let path = folder.join(format!("spinlane-bench-{}.log", std::process::id()));
        let make = || -> std::io::Result<File> {
            let mut file = File::create(&path)?;
            // Blocks are there before: what is measured is the data's way to the disk, not the file's growth.
            let room = crate::meter::RARE_MAX * 2 * (GROUP + 1) * RECORD_BYTES;
            file.write_all(&vec![0; room])?;
            file.sync_all()?;
            file.rewind()?;
            Ok(file)
        };
        let made = make();
        let file = made.with_context(|| format!("making {}", path.display()));
        let file = file.inspect_err(|_| drop(std::fs::remove_file(&path)))?;
        Ok(Self { file, path })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
