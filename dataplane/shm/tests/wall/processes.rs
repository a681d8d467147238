//! Real processes: each test starts itself again as the other side.

use crate::{Place, SHAPE, SPAWN, open, try_open};
use dp_shm::*;
use dp_types::*;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::sync::atomic::Ordering;

const CHILD: &str = "DP_SHM_TEST_REGION";

/// Runs this very test again in another process, which finds the region's path in its environment.
fn again(test: &str, path: &Path) -> Child {
    let _nobody_opens = SPAWN
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut child = Process::new(std::env::current_exe().unwrap())
        .args([test, "--exact"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Its first word: the exec is over, and our descriptors are closed in it.
    let mut word = [0];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut word)
        .unwrap();
    child
}

fn is_child() -> Option<std::path::PathBuf> {
    std::env::var_os(CHILD).map(Into::into)
}

const TICKS: u64 = 50_000;

#[test]
fn a_stream_of_ticks_crosses_whole_and_in_order() {
    if let Some(path) = is_child() {
        let region = open(&path);
        let mut lane = region.lane_writer(LaneId(0)).unwrap();
        for n in 0..TICKS {
            // The other process may be slow: a lane would drop and count, this test must not.
            while lane.ticks.push(&[n, n * 3, 0, 0, 0, 0, 0, !n]).is_err() {
                std::thread::yield_now();
            }
        }
        return;
    }
    let place = Place::new();
    drop(open(&place.file()));
    let mut child = again(
        "processes::a_stream_of_ticks_crosses_whole_and_in_order",
        &place.file(),
    );
    let region = Region::attach(&place.file()).unwrap();
    let guard = region.lock(Lock::Drainer).unwrap();
    let mut ticks = region.lane(LaneId(0)).unwrap().ticks(&guard);
    let mut next = 0;
    while next < TICKS {
        match ticks.pop() {
            Some(tick) => {
                assert_eq!(tick, [next, next * 3, 0, 0, 0, 0, 0, !next]);
                next += 1;
            }
            None => {
                let ended = child.try_wait().unwrap();
                assert!(
                    ended.is_none_or(|status| status.success()),
                    "the writer failed"
                );
                std::thread::yield_now();
            }
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!((ticks.pop(), ticks.wild()), (None, 0));
}

#[test]
fn a_killed_dataplane_frees_its_place_and_leaves_everything_behind() {
    if let Some(path) = is_child() {
        let region = open(&path);
        let mut lane = region.lane_writer(LaneId(0)).unwrap();
        region.begin_run(Epoch(1), 1, UnixNanos(1));
        loop {
            let seq = lane.journal.next_seq();
            region.lane(LaneId(0)).unwrap().journal.set_drained(seq);
            lane.journal.append(&[[seq; 16]], 0).unwrap();
            lane.counters.count(Counter::OrdersSent);
        }
    }
    let place = Place::new();
    drop(open(&place.file()));
    let watcher = Region::attach(&place.file()).unwrap();
    for _ in 0..5 {
        let lane = watcher.lane(LaneId(0)).unwrap();
        let before = lane.journal.head();
        let mut child = again(
            "processes::a_killed_dataplane_frees_its_place_and_leaves_everything_behind",
            &place.file(),
        );
        while lane.journal.head() < before + 5_000 {
            assert!(
                child.try_wait().unwrap().is_none(),
                "the writer ended by itself"
            );
            std::thread::yield_now();
        }
        let refused = try_open(&place.file(), &SHAPE);
        assert!(
            matches!(refused, Err(ShmError::Held { .. })),
            "while it lives its place is taken"
        );
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));

        let (region, opened) = try_open(&place.file(), &SHAPE).unwrap();
        assert_eq!(opened, Opened::Reused);
        assert_ne!(
            region.header().dataplane_pid.load(Ordering::Relaxed),
            0,
            "it did not say goodbye"
        );
        let log = region.lane(LaneId(0)).unwrap().journal;
        for seq in log.oldest()..log.head() {
            assert_eq!(log.read(seq), LogRead::Record([seq; 16]));
        }
        let sent = region
            .lane(LaneId(0))
            .unwrap()
            .counters
            .get(Counter::OrdersSent);
        assert!(
            sent <= log.head() && sent + 5 >= log.head(),
            "at most the one in hand is not counted"
        );
        assert!(watcher.is_current());
    }
}

#[test]
fn commands_of_many_processes_arrive_each_once() {
    const SENDERS: usize = 3;
    const EACH: u16 = 60;
    if let Some(path) = is_child() {
        let region = Region::attach(&path).unwrap();
        for n in 0..EACH {
            let mut sender = region.command_sender(LaneId(1)).unwrap();
            sender
                .send(Command::StrategyStart(StrategyId(n)), "cli", UnixNanos(1))
                .unwrap();
        }
        return;
    }
    let place = Place::new();
    let region = open(&place.file());
    let mut lane = region.lane_writer(LaneId(1)).unwrap();
    let name = "processes::commands_of_many_processes_arrive_each_once";
    let mut children: Vec<_> = (0..SENDERS).map(|_| again(name, &place.file())).collect();
    let mut seen = [0usize; EACH as usize];
    let mut take = || {
        while let Some(words) = lane.commands.pop() {
            let note: CommandNote = twin::Words::from_words(&words).expect("a whole command");
            let Command::StrategyStart(id) = note.command else {
                panic!("{note:?}")
            };
            seen[usize::from(id.0)] += 1;
        }
    };
    for child in &mut children {
        while child.try_wait().unwrap().is_none() {
            take();
            std::thread::yield_now();
        }
        assert!(child.wait().unwrap().success());
    }
    take();
    assert_eq!(seen, [SENDERS; EACH as usize]);
}
