//! The steady state of a lane: no allocation, no system call but the declared ones, no CPU when parked.

use crate::alloc_touches;
use crate::support::{Made, connect, cpu_us_of_idle, echo};
use dp_transport::{Idle, Mem, Ready, Socket, Sockets, Transport, Uring};
use dp_types::UnixNanos;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

/// `rounds` messages there and back, one after the other. Reads no clock; gives up after so many turns
/// without an answer that it can only be lost.
fn ping_pong(transport: &mut impl Transport, socket: Socket, rounds: u32, idle: Idle) {
    let message = [7; 200];
    for _ in 0..rounds {
        transport.send(socket, &message).unwrap();
        let (mut got, mut turns) = (0, 0u64);
        while got < message.len() {
            turns += 1;
            assert!(turns < 10_000_000_000, "no answer");
            transport.poll(UnixNanos(1));
            while let Some(ready) = transport.next() {
                let Ready::Bytes(_, chunk) = ready else {
                    panic!("{ready:?}")
                };
                got += transport.bytes(&chunk).len();
                transport.release(chunk);
            }
            idle.wait(transport, 1_000_000);
        }
    }
}

#[test]
fn the_counter_counts() {
    let touches = alloc_touches(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(touches, 2);
}

fn sending_polling_and_parking_touch_no_allocator<T: Made>() {
    let mut transport = T::made();
    let socket = connect(&mut transport, echo(1, 4_096));
    for idle in [Idle::Spin, Idle::Yield, Idle::Park] {
        ping_pong(&mut transport, socket, 50, idle);
        let touches = alloc_touches(|| ping_pong(&mut transport, socket, 300, idle));
        assert_eq!(touches, 0, "{idle:?}");
    }
}

#[test]
fn pipes_in_memory_touch_no_allocator() {
    let mut mem = Mem::new();
    let socket = mem.open("127.0.0.1:1".parse().unwrap()).unwrap();
    let mut sent = Vec::with_capacity(1 << 20);
    let touches = alloc_touches(|| {
        for now in 1..1_000 {
            mem.send(socket, &[1; 500]).unwrap();
            mem.sent(socket, &mut sent);
            assert_eq!(mem.deliver(socket, &[2; 500]), 500);
            mem.poll(UnixNanos(now));
            while let Some(ready) = mem.next() {
                if let Ready::Bytes(_, chunk) = ready {
                    assert_eq!(mem.bytes(&chunk).len(), 500);
                    mem.release(chunk);
                }
            }
        }
    });
    assert_eq!(touches, 0);
}

fn a_parked_lane_sleeps<T: Made>() {
    let mut transport = T::made();
    let socket = connect(&mut transport, echo(1, 100));
    ping_pong(&mut transport, socket, 1, Idle::Park);
    let cpu = cpu_us_of_idle(&mut transport);
    assert!(cpu < 20_000, "{cpu} us");
}

fn a_parked_lane_wakes_when_bytes_come<T: Made>() {
    let mut transport = T::made();
    let (_socket, mut peer) = crate::support::connect_pair(&mut transport);
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        std::io::Write::write_all(&mut peer, b"x").unwrap();
        peer
    });
    let start = Instant::now();
    while transport.poll(UnixNanos(1)) == 0 {
        transport.park(10_000_000_000);
    }
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert!(matches!(transport.next(), Some(Ready::Bytes(..))));
    drop(late.join().unwrap());
}

/// Set in the child process of the test below: the echo server, the idle policy, and whether to plant a
/// system call.
const CHILD: &str = "DP_TRANSPORT_STEADY_CHILD";

#[test]
#[cfg(target_arch = "x86_64")]
fn the_steady_state_makes_only_the_declared_system_calls() {
    if let Ok(orders) = std::env::var(CHILD) {
        filtered_child(&orders);
    }
    let run = |way: &str, policy: &str, plant: &str| {
        let name = "steady::the_steady_state_makes_only_the_declared_system_calls";
        let orders = format!("{way} {} {policy} {plant}", echo(1, 4_096));
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, orders)
            .output()
            .unwrap()
    };
    let ways = ["uring", "sockets"].into_iter();
    for (way, policy) in ways.flat_map(|way| ["spin", "yield", "park"].map(|policy| (way, policy)))
    {
        let clean = run(way, policy, "clean");
        assert_eq!(clean.status.code(), Some(0), "{way} {policy}: {clean:?}");
        let planted = run(way, policy, "planted");
        assert_eq!(
            planted.status.signal(),
            Some(libc::SIGSYS),
            "{way} {policy}: {planted:?}"
        );
    }
}

/// Warms up, lets the kernel kill the process on any other system call, and goes on.
#[cfg(target_arch = "x86_64")]
fn filtered_child(orders: &str) -> ! {
    let [way, address, policy, plant] = orders.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{orders}")
    };
    let idle = match policy {
        "spin" => Idle::Spin,
        "yield" => Idle::Yield,
        _ => Idle::Park,
    };
    let address = address.parse().unwrap();
    match way {
        "uring" => filtered::<Uring>(address, idle, plant == "planted"),
        _ => filtered::<Sockets>(address, idle, plant == "planted"),
    }
}

#[cfg(target_arch = "x86_64")]
fn filtered<T: Made>(address: SocketAddr, idle: Idle, is_planted: bool) -> ! {
    let mut transport = T::made();
    let socket = connect(&mut transport, address);
    ping_pong(&mut transport, socket, 20, idle);
    allow_only(&[transport.steady_syscalls(), idle.steady_syscalls()].concat());
    ping_pong(&mut transport, socket, 200, idle);
    if is_planted {
        // SAFETY: reads a number.
        unsafe { libc::getppid() };
    }
    // SAFETY: ends the process without running anything; the filter lets it through.
    unsafe { libc::_exit(0) }
}

/// From here on this thread may make the calls named, and exit. Source: seccomp(2).
#[cfg(target_arch = "x86_64")]
fn allow_only(names: &[&str]) {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const ARCHITECTURE: u32 = 0xc000_003e;
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let number = |name: &&str| match *name {
        "io_uring_enter" => libc::SYS_io_uring_enter,
        "sched_yield" => libc::SYS_sched_yield,
        "recvfrom" => libc::SYS_recvfrom,
        "sendto" => libc::SYS_sendto,
        "setsockopt" => libc::SYS_setsockopt,
        "ppoll" => libc::SYS_ppoll,
        other => panic!("{other}: give its number here"),
    };
    // Offset 4 of seccomp_data is the architecture, offset 0 the number.
    let mut program = vec![
        step(LOAD, 4, 0, 0),
        step(IF_EQUAL, ARCHITECTURE, 1, 0),
        step(RETURN, libc::SECCOMP_RET_KILL_PROCESS, 0, 0),
        step(LOAD, 0, 0, 0),
    ];
    for allowed in names.iter().map(number).chain([libc::SYS_exit_group]) {
        program.push(step(IF_EQUAL, allowed as u32, 0, 1));
        program.push(step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0));
    }
    program.push(step(RETURN, libc::SECCOMP_RET_KILL_PROCESS, 0, 0));
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    nix::sys::prctl::set_no_new_privs().unwrap();
    // SAFETY: the program lives until the call is over; the kernel copies and checks it.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) };
    assert_eq!(result, 0);
}

both!(
    sending_polling_and_parking_touch_no_allocator,
    a_parked_lane_sleeps,
    a_parked_lane_wakes_when_bytes_come,
);
