//! Round trips of raw frames with 200 bytes inside, over a cable between two namespaces: AF_XDP at both
//! ends, natively and generically, and AF_XDP against a kernel raw socket that spins on `recv`. The rows are
//! measured in turns. Informative only: it says what the machine did meanwhile, and gates nothing. A cable
//! of this kind cannot tell native from generic on a real card. Frames are numbered, and a round trip ends with
//! the answer to its own.
//!
//! `cargo run --release -p dp-transport --example xdp_pingpong [rounds]`, as root.

use dp_transport::xdp::{
    Flow, FrameIo as _, PortRange, Steering, XdpFault, XdpMode, Xsk, XskOptions,
};
use dp_transport::{Clock, pin, tsc};
use dp_types::UnixNanos;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, connect, recv, send,
    socket,
};
use std::net::SocketAddrV4;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tests_net::Veth;

const PAYLOAD: usize = 200;
const HEADERS: usize = 54;
const WARM_UP: usize = 1_000;
const TURNS: usize = 5;
const OUR_PORT: u16 = 40_000;
const THEIR_PORT: u16 = 50_443;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let rounds: usize = rounds.unwrap_or(20_000) / TURNS;
    let clock = Clock::calibrate(50);
    let mut rows = [
        ("xsk-native both", XdpMode::CopyNative, true, Vec::new()),
        ("xsk-generic both", XdpMode::CopyGeneric, true, Vec::new()),
        (
            "xsk-native / recv-spin",
            XdpMode::CopyNative,
            false,
            Vec::new(),
        ),
        (
            "xsk-generic / recv-spin",
            XdpMode::CopyGeneric,
            false,
            Vec::new(),
        ),
    ];
    println!(
        "before: load {}, a bare system call {} ns",
        load(),
        system_call_ns(&clock)
    );
    for turn in 0..TURNS {
        for (name, mode, is_xsk, all) in &mut rows {
            let cycles = measure(*mode, *is_xsk, rounds, turn == 0)?;
            if turn == 0 {
                println!("{name}: {mode}");
            }
            all.extend(cycles);
        }
    }
    println!(
        "after:  load {}, a bare system call {} ns",
        load(),
        system_call_ns(&clock)
    );
    for (name, _, _, cycles) in rows {
        report(name, &clock, cycles);
    }
    Ok(())
}

/// One turn of one row, on a cable of its own. Cycles of each round trip.
fn measure(
    mode: XdpMode,
    is_xsk: bool,
    rounds: usize,
    is_first: bool,
) -> Result<Vec<u64>, Box<dyn std::error::Error>> {
    let veth = Veth::new()?;
    let (is_done, echoing) = (AtomicBool::new(false), AtomicUsize::new(0));
    let cycles = std::thread::scope(|scope| {
        let echo = scope.spawn(|| {
            veth.theirs.run(|| {
                settle_on(1, is_first);
                echoing.fetch_add(1, Ordering::Release);
                let outcome = if is_xsk {
                    echo_xsk(mode, &is_done)
                } else {
                    echo_raw(&is_done)
                };
                is_done.store(true, Ordering::Relaxed);
                outcome
            })
        });
        let cycles = veth.ours.run(|| {
            settle_on(0, is_first);
            let cycles = ping(mode, rounds, &is_done, is_first);
            is_done.store(true, Ordering::Relaxed);
            cycles
        });
        let echoed = echo.join().unwrap_or(Err(XdpFault::Answer("echo")));
        echoed.and(cycles)
    });
    Ok(cycles?)
}

/// The side that measures.
fn ping(
    mode: XdpMode,
    rounds: usize,
    is_done: &AtomicBool,
    is_first: bool,
) -> Result<Vec<u64>, XdpFault> {
    let (us, them) = ends();
    let (steering, mut xsk) = open(mode, OUR_PORT, them, us)?;
    if is_first {
        println!("frames on: {}", xsk.pages().name());
    }
    let mut frame = frame(us, them);
    let mut stale = 0u64;
    let mut all = Vec::with_capacity(rounds);
    for round in 0..rounds + WARM_UP {
        // Numbered: the answer to an earlier frame would end a round trip that has hardly begun, and every
        // one after it.
        let number = (round as u64).to_be_bytes();
        frame[HEADERS..HEADERS + 8].copy_from_slice(&number);
        let start = tsc();
        let Some(out) = xsk.reserve() else {
            return Err(XdpFault::Answer("frames that never come back"));
        };
        xsk.bytes(&out)[..frame.len()].copy_from_slice(&frame);
        xsk.submit(out, frame.len());
        xsk.kick();
        let mut is_back = false;
        let mut spins = 0u64;
        while !is_back && !is_done.load(Ordering::Relaxed) {
            xsk.poll(UnixNanos(0));
            while let Some(back) = xsk.next() {
                let is_ours = xsk.bytes(&back).get(HEADERS..HEADERS + 8) == Some(&number[..]);
                is_back |= is_ours;
                stale += u64::from(!is_ours);
                xsk.release(back);
            }
            spins += 1;
            // The first frames may meet an echo that is not there yet.
            if round < WARM_UP && spins > 1_000_000 {
                break;
            }
        }
        if round >= WARM_UP {
            all.push(tsc().since(start));
        }
    }
    if stale > 0 {
        println!("{mode}: {stale} answers came after the warm-up had given them up");
    }
    drop((xsk, steering));
    Ok(all)
}

/// The other side, by AF_XDP.
fn echo_xsk(mode: XdpMode, is_done: &AtomicBool) -> Result<(), XdpFault> {
    let (us, them) = ends();
    let (_steering, mut xsk) = open(mode, THEIR_PORT, us, them)?;
    while !is_done.load(Ordering::Relaxed) {
        xsk.poll(UnixNanos(0));
        while let Some(frame) = xsk.next() {
            let mut copy = [0; HEADERS + PAYLOAD];
            copy.copy_from_slice(xsk.bytes(&frame));
            xsk.release(frame);
            copy[0..12].rotate_left(6);
            copy[26..34].rotate_left(4);
            copy[34..38].rotate_left(2);
            if let Some(out) = xsk.reserve() {
                xsk.bytes(&out)[..copy.len()].copy_from_slice(&copy);
                xsk.submit(out, copy.len());
            }
        }
        xsk.kick();
    }
    Ok(())
}

/// The other side, by a raw socket of the kernel's: the IP stack without its TCP.
fn echo_raw(is_done: &AtomicBool) -> Result<(), XdpFault> {
    let fault = |errno: nix::errno::Errno| XdpFault::Os {
        what: "raw socket",
        errno: errno as i32,
    };
    let (family, flags) = (AddressFamily::Inet, SockFlag::SOCK_CLOEXEC);
    let fd = socket(family, SockType::Raw, flags, SockProtocol::Tcp).map_err(fault)?;
    let to = SockaddrIn::from(SocketAddrV4::new(Veth::OURS, 0));
    connect(fd.as_raw_fd(), &to).map_err(fault)?;
    let mut buffer = [0; 2048];
    while !is_done.load(Ordering::Relaxed) {
        // The IP header comes along, and is written by the kernel on the way back.
        if let Ok(count @ 20..) = recv(fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            buffer[20..24].rotate_left(2);
            send(fd.as_raw_fd(), &buffer[20..count], MsgFlags::empty()).map_err(fault)?;
        }
    }
    Ok(())
}

fn ends() -> (SocketAddrV4, SocketAddrV4) {
    let us = SocketAddrV4::new(Veth::OURS, OUR_PORT);
    (us, SocketAddrV4::new(Veth::THEIRS, THEIR_PORT))
}

fn open(
    mode: XdpMode,
    port: u16,
    peer: SocketAddrV4,
    local: SocketAddrV4,
) -> Result<(Steering, Xsk), XdpFault> {
    let ifindex = nix::net::if_::if_nametoindex(Veth::NAME).unwrap_or(0);
    let ports = PortRange {
        first: port,
        last: port,
    };
    let modes = [mode];
    let steering = Steering::attach(ifindex, ports, &modes)?;
    steering.add(Flow {
        venue: peer,
        local: *local.ip(),
    })?;
    let options = XskOptions {
        modes: &modes,
        rx_frames: 256,
        tx_frames: 256,
        ..XskOptions::default()
    };
    let xsk = Xsk::open(&steering, &options)?;
    Ok((steering, xsk))
}

/// A TCP segment with RST set, which the peer's kernel takes without an answer.
fn frame(from: SocketAddrV4, to: SocketAddrV4) -> Vec<u8> {
    let mut ip = vec![
        0x45,
        0,
        0,
        (20 + 20 + PAYLOAD) as u8,
        0,
        0,
        0x40,
        0,
        64,
        6,
        0,
        0,
    ];
    ip.extend(from.ip().octets());
    ip.extend(to.ip().octets());
    let sum: u32 = ip
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    // To everybody: the cable has one other end, and the kernel there looks.
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 0x08, 0]);
    frame.extend(ip);
    frame.extend(from.port().to_be_bytes());
    frame.extend(to.port().to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x04, 0, 0, 0, 0, 0, 0]);
    frame.extend([7; PAYLOAD]);
    frame
}

/// One core of its own, ahead of ordinary tasks; says so once when it cannot be had.
fn settle_on(core: usize, says: bool) {
    if let Err(error) = pin(core)
        && says
    {
        println!("not pinned: {error}");
    }
    let priority = libc::sched_param { sched_priority: 10 };
    // SAFETY: a whole sched_param of this stack, read during the call; 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
    if result != 0 && says {
        println!("not SCHED_FIFO: {}", std::io::Error::last_os_error());
    }
}

fn report(name: &str, clock: &Clock, mut cycles: Vec<u64>) {
    cycles.sort_unstable();
    let at = |per_mille: usize| {
        let index = (cycles.len() * per_mille / 1_000).min(cycles.len().saturating_sub(1));
        clock.cycles_to_ns(cycles.get(index).copied().unwrap_or(0))
    };
    let (min, p50, p99, p999, max) = (at(0), at(500), at(990), at(999), at(1_000));
    println!(
        "{name:>24}: n {}  min {min}  p50 {p50}  p99 {p99}  p99.9 {p999}  max {max}  ns",
        cycles.len()
    );
}

/// Median cost of a system call that does nothing, told beside the figures: a machine on which it differs
/// is another machine. It does not explain everything: with it unchanged, round trips still fall into two
/// groups some 60 % apart here from one run to the next.
fn system_call_ns(clock: &Clock) -> u64 {
    let call = || {
        let start = tsc();
        nix::unistd::getppid();
        tsc().since(start)
    };
    let mut all: Vec<u64> = (0..10_000).map(|_| call()).collect();
    all.sort_unstable();
    clock.cycles_to_ns(all[all.len() / 2])
}

/// What else the machine does: load averages and runnable tasks.
fn load() -> String {
    std::fs::read_to_string("/proc/loadavg")
        .unwrap_or_default()
        .trim()
        .to_owned()
}
