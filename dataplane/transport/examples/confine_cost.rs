//! What confining costs a lane's system calls: nanoseconds each, before and after, on this machine now.
//!
//! ```text
//! cargo run --release -p dp-transport --example confine_cost
//! ```
//! The least of many rounds: what a call costs when nobody comes between.

use dp_transport::confine::confine;
use std::time::Instant;

const ROUNDS: u32 = 200;
const CALLS: u32 = 2_000;

/// Least mean of a round, nanoseconds a call.
fn cost(call: impl Fn()) -> f64 {
    let round = || {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    (0..ROUNDS).map(|_| round()).fold(f64::MAX, f64::min)
}

fn main() {
    let uring = io_uring::IoUring::new(8).expect("io_uring is there");
    let calls: [(&str, &dyn Fn()); 4] = [
        ("getppid, allowed whatever its arguments", &|| {
            std::hint::black_box(nix::unistd::getppid());
        }),
        ("io_uring_enter, nothing to do", &|| {
            // SAFETY: nothing is submitted and nothing waited for.
            let done = unsafe { uring.submitter().enter::<()>(0, 0, 1, None) };
            std::hint::black_box(done.ok());
        }),
        (
            "write to the standard error, 0 bytes: arguments looked at",
            &|| {
                let nothing: &[u8] = &[];
                std::hint::black_box(nix::unistd::write(std::io::stderr(), nothing).ok());
            },
        ),
        ("getpgrp, refused", &|| {
            std::hint::black_box(nix::unistd::getpgrp());
        }),
    ];
    let before = calls.map(|(_, call)| cost(call));
    // From here on words go where a confined thread may write.
    let refusals = confine(&["io_uring_enter", "getppid"]).expect("seccomp is there");
    eprintln!("{:>9} {:>9}  call", "free", "confined");
    for ((name, call), before) in calls.iter().zip(before) {
        eprintln!("{before:>6.0} ns {:>6.0} ns  {name}", cost(call));
    }
    eprintln!("{} calls were refused", refusals.count());
}
