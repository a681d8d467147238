//! A lane's thread under its filter: everything it does goes on, what it must not do is refused and seen, and
//! nobody else is held.

use crate::support::{connect, echo};
use dp_transport::confine::{COLD, ConfineError, Refusals, confine, name_of};
use dp_transport::{Idle, Ready, Transport as _, Uring};
use dp_types::UnixNanos;
use std::io::ErrorKind;

/// What a lane over io_uring is confined to.
fn lists(uring: &Uring) -> Vec<&'static str> {
    let idle = Idle::Yield.steady_syscalls();
    [uring.steady_syscalls(), uring.cold_syscalls(), idle].concat()
}

/// Runs `work` on a confined thread of its own; what it was refused.
fn confined(work: impl FnOnce(&mut Uring) + Send + 'static) -> Refusals {
    let lane = std::thread::spawn(|| {
        let mut uring = Uring::new().unwrap();
        let refusals = confine(&lists(&uring)).unwrap();
        work(&mut uring);
        refusals
    });
    lane.join().unwrap()
}

fn last(refusals: &Refusals) -> &'static str {
    refusals.last().map_or("none", |(call, _)| name_of(call))
}

#[test]
fn a_confined_lane_connects_trades_and_reconnects() {
    let peer = echo(3, 4_096);
    let refusals = confined(move |uring| {
        for _ in 0..3 {
            let socket = connect(uring, peer);
            for idle in [Idle::Spin, Idle::Yield, Idle::Park] {
                uring.send(socket, &[7; 900]).unwrap();
                let mut got = 0;
                while got < 900 {
                    idle.wait(uring, 1_000_000);
                    uring.poll(UnixNanos(1));
                    while let Some(Ready::Bytes(_, chunk)) = uring.next() {
                        got += uring.bytes(&chunk).len();
                        uring.release(chunk);
                    }
                }
            }
            uring.close(socket);
        }
        // What a REST answer asks of the allocator, and a lock that another thread holds.
        let big = std::hint::black_box(vec![1_u8; 40 << 20]);
        drop(big);
        std::hint::black_box(std::time::Instant::now());
        eprintln!("a confined thread may say its last words");
    });
    assert_eq!((refusals.count(), last(&refusals)), (0, "none"));
}

/// Something a lane must not do.
type Deed = fn() -> std::io::Result<()>;

/// Each is refused with EPERM and counted under its name, and the thread lives on.
#[test]
fn what_is_not_on_the_list_is_refused_and_seen() {
    let deeds: [(&str, Deed); 7] = [
        ("openat", || {
            std::fs::File::open("/proc/self/stat").map(drop)
        }),
        ("unlink", || std::fs::remove_file("/nothing/here")),
        ("socket", || {
            std::os::unix::net::UnixDatagram::unbound().map(drop)
        }),
        ("kill", || {
            Ok(nix::sys::signal::kill(nix::unistd::getpid(), None)?)
        }),
        ("getppid", || {
            // It cannot fail: what it answers tells.
            let parent = nix::unistd::getppid().as_raw();
            Err(std::io::Error::from_raw_os_error(-parent))
        }),
        ("prctl", || Ok(nix::sys::prctl::set_dumpable(true)?)),
        ("mmap", || {
            let length = std::num::NonZero::new(4_096).unwrap();
            use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
            let rights = ProtFlags::PROT_READ | ProtFlags::PROT_EXEC;
            // SAFETY: new memory, wherever the kernel likes, used by nobody.
            unsafe { mmap_anonymous(None, length, rights, MapFlags::MAP_PRIVATE) }?;
            Ok(())
        }),
    ];
    let lane = std::thread::spawn(move || {
        // Free, each is done or fails for another reason.
        for (name, deed) in &deeds {
            let free = deed().map_err(|error| error.raw_os_error());
            assert_ne!(free, Err(Some(libc::EPERM)), "{name}");
        }
        let refusals = confine(&[]).unwrap();
        for (before, (name, deed)) in (0..).zip(&deeds) {
            assert_eq!(refusals.count(), before);
            let error = deed().expect_err(name);
            assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{name}");
            assert_eq!(last(&refusals), *name);
            assert_ne!(refusals.last().unwrap().1, 0, "no address of {name}");
        }
        refusals
    });
    let refusals = lane.join().unwrap();
    assert_eq!(refusals.count(), 7);
    // The rest of the process is as free as before.
    assert!(std::fs::File::open("/proc/self/stat").is_ok());
}

/// The C library blocks signals around these, and a blocked SIGSYS would kill the process.
#[test]
fn new_threads_and_processes_are_refused_and_nobody_dies() {
    let refusals = confined(|_| {
        let thread = std::thread::Builder::new().spawn(|| {});
        assert!(thread.is_err(), "a thread was started");
        let process = std::process::Command::new("/bin/true").spawn();
        assert_eq!(process.unwrap_err().kind(), ErrorKind::PermissionDenied);
    });
    // A process starts with a pipe or a socket pair, which is refused before.
    assert!(refusals.count() <= 4, "{}", last(&refusals));
}

#[test]
fn a_name_that_is_none_is_told_before_anything_is_confined() {
    let lane = std::thread::spawn(|| {
        let error = confine(&["io_uring_enter", "io_uring_entre"]).unwrap_err();
        assert_eq!(error, ConfineError::Unknown("io_uring_entre"));
        assert!(std::fs::File::open("/proc/self/stat").is_ok());
    });
    lane.join().unwrap();
}

#[test]
fn no_call_is_on_the_list_twice() {
    let mut names: Vec<&str> = COLD.iter().flat_map(|(_, names)| *names).copied().collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
