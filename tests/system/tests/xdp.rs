//! A node whose lane has a card's frames and our own TCP: it trades as any other, the kernel keeps the rest of
//! the card, and nothing is left of it however it ends.
//!
//! ```text
//!   ours: spinlane-dataplane, spinlane run ── veth0 ═══ veth0 ── theirs: spinlane-sim
//! ```

use dp_shm::{Counter, Region};
use dp_transport::xdp::ethtool::{self, Offload};
use dp_transport::xdp::{PortRange, reserved_ports};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto,
    setsockopt, socket, sockopt,
};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests_net::Veth;
use tests_system::waits::Waits;
use tests_system::{Options, PATIENCE, Rig, turn, wait_for};

const PORTS: PortRange = PortRange {
    first: 49_152,
    last: 50_175,
};
/// From the start of a node that was killed to its first acknowledged order: the promise.
const RESTART_MAX: Duration = Duration::from_secs(1);

/// A cable and options of a node on it; `None` where there can be none.
fn options(lines: &'static str) -> Option<(Arc<Veth>, Options)> {
    let options = Options::on_cable(lines)?;
    Some((options.cable.clone()?, options))
}

/// What a node changes at its end of the cable: is a program there, which ports are kept off, are tags taken out.
fn traces(veth: &Veth) -> (bool, Vec<PortRange>, bool) {
    let link = veth
        .ours
        .ip("-d link show dev veth0")
        .expect("the link is there");
    veth.ours.run(|| {
        let ports = reserved_ports().expect("the kernel tells");
        let has_tags_out = ethtool::offload(Veth::NAME, Offload::RxVlan).expect("a veth has it");
        (link.contains("prog/xdp"), ports, has_tags_out)
    })
}

const CLEAN: (bool, Vec<PortRange>, bool) = (false, Vec::new(), true);

/// TCP sockets of the kernel in the dataplane's namespace, listening or not, and resets it has sent.
fn kernels_tcp(rig: &Rig) -> (usize, u64) {
    let at = format!("/proc/{}/net", rig.dataplane_pid().unwrap());
    let rows = |file: &str| {
        let text = std::fs::read_to_string(format!("{at}/{file}")).unwrap_or_default();
        text.lines().skip(1).count()
    };
    let snmp = std::fs::read_to_string(format!("{at}/snmp")).unwrap();
    let mut tcp = snmp.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let names = tcp.next().unwrap().split(' ');
    let resets = names
        .zip(tcp.next().unwrap().split(' '))
        .find(|(name, _)| *name == "OutRsts");
    (
        rows("tcp") + rows("tcp6"),
        resets.unwrap().1.parse().unwrap(),
    )
}

/// One ICMP echo from the venues' end.
fn ping(veth: &Veth) {
    veth.theirs.run(|| {
        let fd = socket(
            AddressFamily::Inet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::Icmp,
        )
        .unwrap();
        let wait = nix::sys::time::TimeVal::new(10, 0);
        setsockopt(&fd, sockopt::ReceiveTimeout, &wait).unwrap();
        // Echo request, identifier 0x5350, number 1; the checksum is the complement of the words' sum.
        let sum = 0x0800u16 + 0x5350 + 1;
        let [high, low] = (!sum).to_be_bytes();
        let request = [8, 0, high, low, 0x53, 0x50, 0, 1];
        let to = SockaddrIn::from(SocketAddrV4::new(Veth::OURS, 0));
        sendto(fd.as_raw_fd(), &request, &to, MsgFlags::empty()).unwrap();
        let mut answer = [0; 256];
        let count =
            recv(fd.as_raw_fd(), &mut answer, MsgFlags::empty()).expect("an answer to the ping");
        // An IPv4 header of 20 bytes, then type 0 and our identifier.
        assert_eq!(
            (count, answer[20], &answer[24..26]),
            (28, 0, &[0x53, 0x50][..])
        );
    });
}

/// A connection of the kernel's over the same cable, from `theirs` or from `ours`.
fn kernel_echo(veth: &Veth, is_from_theirs: bool) {
    let (from, to, at) = if is_from_theirs {
        (&veth.theirs, &veth.ours, Veth::OURS)
    } else {
        (&veth.ours, &veth.theirs, Veth::THEIRS)
    };
    let listener = to.run(|| TcpListener::bind((at, 0)).unwrap());
    let peer = listener.local_addr().unwrap();
    let mut client =
        from.run(|| TcpStream::connect_timeout(&peer, Duration::from_secs(10)).unwrap());
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"ssh").unwrap();
    let mut heard = [0; 3];
    server.read_exact(&mut heard).unwrap();
    server.write_all(&heard).unwrap();
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"ssh");
}

fn fact(rig: &Rig, id: &str) -> serde_json::Value {
    let doctor = rig.cli(&["doctor"]).unwrap();
    let facts = doctor["facts"].as_array().unwrap();
    let found = facts.iter().find(|fact| fact["id"] == id);
    found.cloned().unwrap_or_default()
}

/// Trades over raw frames while ping and the kernel's TCP live on, then ends in order.
fn trades(lines: &'static str, live: &str, polls: &str) {
    let Some((veth, options)) = options(lines) else {
        return;
    };
    let _turn = turn();
    assert_eq!(traces(&veth), CLEAN);
    let rig = Rig::trading("xdp", &options).unwrap();
    rig.wait_acks(20).unwrap();
    wait_for("fills", || (rig.counter("fills").ok()? > 0).then_some(()))
        .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    assert_eq!(
        kernels_tcp(&rig),
        (0, 0),
        "TCP sockets of the kernel, resets it sent"
    );
    ping(&veth);
    kernel_echo(&veth, true);
    kernel_echo(&veth, false);
    let (has_program, ports, has_tags_out) = traces(&veth);
    assert_eq!(
        (has_program, ports, has_tags_out),
        (true, vec![PORTS], false)
    );
    let transport = fact(&rig, "transport");
    let want = format!("af_xdp, veth0 queue 0 ({live})");
    assert_eq!(transport["found"], want, "{transport}");
    assert_eq!(fact(&rig, "xdp_mode")["found"], live);
    let poll = fact(&rig, "busy_poll");
    assert_eq!(
        (&poll["asked"], &poll["found"]),
        (&polls.into(), &polls.into())
    );
    assert_eq!(fact(&rig, "reset_guard")["is_so"], true);
    assert!(fact(&rig, "leftovers").is_null());
    rig.wait_acks(5).unwrap();
    let counter = |name: &str| rig.counter(name).unwrap();
    assert!(counter("frames_in") > 100 && counter("frames_out") > 50);
    for name in [
        "bad_checksums",
        "frames_dropped",
        "link_downs",
        "link_changes",
        "neighbour_changes",
        "reconnects",
    ] {
        assert_eq!(counter(name), 0, "{name}\n{}", rig.tails());
    }
    println!(
        "{live}: {} frames in, {} out, {} sent again, {} time-outs, {} orders, {} fills",
        counter("frames_in"),
        counter("frames_out"),
        counter("tcp_retransmits"),
        counter("tcp_timeouts"),
        counter("orders_sent"),
        counter("fills"),
    );
    assert_eq!(kernels_tcp(&rig).1, 0, "resets the kernel sent");
    rig.ends_equal().unwrap();
    assert_eq!(traces(&veth), CLEAN);
}

#[test]
fn a_lane_on_raw_frames_trades_and_the_kernel_keeps_the_rest() {
    trades("idle = \"yield\"\nnic = \"veth0\"", "copy, native", "no");
}

/// The same by NAPI busy polling, which the planner leaves to real cards unless it is asked for.
#[test]
fn a_lane_that_polls_its_queue_trades_and_says_so() {
    trades(
        "idle = \"yield\"\nnic = \"veth0\"\nbusy_poll = true",
        "copy, native",
        "yes",
    );
}

#[test]
fn the_generic_hook_does_too_where_it_is_asked_for() {
    trades(
        "idle = \"park\"\ntransport = \"af_xdp\"\nnic = \"veth0\"\nqueue = 0\nxdp_mode = \"generic\"",
        "copy, generic",
        "no",
    );
}

/// Zero-copy that was asked for by name and cannot be had is a warning by name.
#[test]
fn a_mode_that_is_not_what_was_asked_is_told() {
    let Some((_veth, options)) =
        options("idle = \"park\"\nnic = \"veth0\"\nxdp_mode = \"zero_copy\"")
    else {
        return;
    };
    let _turn = turn();
    let rig = Rig::trading("zerocopy", &options).unwrap();
    let mode = fact(&rig, "xdp_mode");
    assert_eq!(
        (&mode["asked"], &mode["found"], &mode["is_so"]),
        (&"zero_copy".into(), &"copy, native".into(), &false.into())
    );
    assert!(rig.tails().contains("xdp_mode"), "{}", rig.tails());
}

/// A card that is not there, or a host that cannot be reached without IPv6, ends the start with the reason.
#[test]
fn a_card_that_is_not_there_is_refused() {
    let Some((veth, options)) = options("idle = \"park\"\nnic = \"eth9\"") else {
        return;
    };
    let _turn = turn();
    let mut rig = Rig::new("nocard", &options).unwrap();
    rig.start_dataplane().unwrap();
    let (code, text) = rig.dataplane_end().unwrap();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("there is no interface eth9"), "{text}");
    assert_eq!(traces(&veth), CLEAN);
}

/// A card that spreads frames over queues, and cannot be told which: refused with the mend.
#[test]
fn a_card_of_several_queues_without_rules_is_refused() {
    let Some((veth, mut options)) = options("idle = \"park\"\nnic = \"wide0\"\nqueue = 1") else {
        return;
    };
    veth.ours
        .ip("link add wide0 numrxqueues 2 numtxqueues 2 type veth peer name wide1")
        .unwrap();
    let queues = veth.ours.run(|| ethtool::rx_queues("wide0")).unwrap();
    if queues < 2 {
        println!("skipped: this kernel's veth has {queues} queue");
        return;
    }
    let _turn = turn();
    options.venues = vec![("binance", "BTCUSDT")];
    let mut rig = Rig::new("wide", &options).unwrap();
    rig.start_dataplane().unwrap();
    let (code, text) = rig.dataplane_end().unwrap();
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("lane[0].nic: wide0") && text.contains("combined 1"),
        "{text}"
    );
    assert_eq!(traces(&veth), CLEAN);
}

fn shm(rig: &Rig) -> PathBuf {
    dp_config::Config::load(&rig.config()).unwrap().node.shm
}

/// The middle one of several times.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn until(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < within, "{what}: not within {within:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Killed while it trades: within a second nothing of it is left, by the control plane's doing; started again it
/// trades within a second. Killed with its control plane: the doctor says what is left, and the mend works.
///
/// Both are judged by the median of the kills. Of going nothing is taken out. Of starting the machine's own delay
/// is: the time the dataplane's main thread and its lane, which work one after the other, were ready and had no
/// core. The lane parks, so that it is ready only when there is something to do. What the venue and this test
/// waited for stays in.
#[test]
fn killed_while_trading_it_leaves_nothing_and_trades_again_within_a_second() {
    const KILLS: usize = 5;
    let Some((veth, mut options)) = options("idle = \"park\"\nnic = \"veth0\"") else {
        return;
    };
    // Prices that move: orders of the last run that still rest where they should leave nothing to send.
    options.sim_args = vec!["--ticks-per-s".into(), "1000".into()];
    let _turn = turn();
    let mut rig = Rig::trading("killed", &options).unwrap();
    let region = Region::attach(&shm(&rig)).unwrap();
    let acks = || {
        region
            .lanes()
            .map(|lane| lane.counters.get(Counter::Acks))
            .sum::<u64>()
    };
    let (mut goings, mut starts) = (Vec::new(), Vec::new());
    for _ in 0..KILLS {
        rig.wait_acks(5).unwrap();
        let killed = Instant::now();
        rig.kill_dataplane().unwrap();
        until("everything of a killed node is gone", PATIENCE, || {
            traces(&veth) == CLEAN
        });
        let gone = killed.elapsed();
        let before = acks();
        let begun = Instant::now();
        rig.start_dataplane().unwrap();
        until("an order is acknowledged", PATIENCE, || acks() > before);
        let trading = begun.elapsed();
        let pid = rig.dataplane_pid().unwrap();
        let waits = Waits::of(pid).unwrap();
        let lane = rig.lane_threads().unwrap()[0];
        let waited = waits.thread(pid).unwrap() + waits.thread(lane).unwrap();
        println!(
            "killed: gone after {gone:?}; started: first acknowledged order after {trading:?}, {waited:?} of it \
             without a core"
        );
        goings.push(gone);
        starts.push(trading.saturating_sub(waited));
    }
    let (gone, started) = (median(goings), median(starts));
    println!("median: gone after {gone:?}, trading after {started:?}");
    assert!(gone < RESTART_MAX, "{gone:?}");
    assert!(started < RESTART_MAX, "{started:?}");

    rig.wait_acks(1).unwrap();
    rig.kill_control().unwrap();
    rig.kill_dataplane().unwrap();
    until("the kernel drops the programs", PATIENCE, || {
        !traces(&veth).0
    });
    let (_, ports, has_tags_out) = traces(&veth);
    assert_eq!((ports, has_tags_out), (vec![PORTS], false));
    let left = fact(&rig, "leftovers");
    assert!(
        left["found"]
            .as_str()
            .unwrap()
            .contains("ports 49152 50175"),
        "{left}"
    );
    assert!(left["mend"].as_str().unwrap().contains("--mend"), "{left}");
    let config = rig.config();
    let mended = veth.ours.run(|| {
        let mut command = std::process::Command::new(tests_system::binary("spinlane-dataplane"));
        command
            .arg("--mend")
            .arg("--config")
            .arg(&config)
            .output()
            .unwrap()
    });
    assert!(mended.status.success(), "{mended:?}");
    let said = String::from_utf8_lossy(&mended.stdout).into_owned();
    assert!(said.contains("undone: ports 49152 50175"), "{said}");
    assert_eq!(traces(&veth), CLEAN);
    assert!(fact(&rig, "leftovers").is_null());
    rig.start_control().unwrap();
    rig.start_dataplane().unwrap();
    rig.wait_acks(1).unwrap();
    rig.ends_equal().unwrap();
    assert_eq!(traces(&veth), CLEAN);
}

/// Waits until a counter is above what it was, and the node trades on.
fn recovers(rig: &Rig, what: &str, counter: &str, before: u64) {
    wait_for(&format!("{counter} rises: {what}"), || {
        (rig.counter(counter).ok()? > before).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    let start = Instant::now();
    rig.wait_acks(3)
        .unwrap_or_else(|error| panic!("after {what}: {error}"));
    println!("{what}: trades again after {:?}", start.elapsed());
}

/// Cable pulled, interface switched off, queue set up anew, another MTU, another neighbour: each is counted, none
/// stops trading for good.
#[test]
fn the_cable_the_queue_the_mtu_and_the_neighbour_may_change() {
    let Some((veth, options)) = options("idle = \"yield\"\nnic = \"veth0\"") else {
        return;
    };
    let _turn = turn();
    let rig = Rig::trading("changes", &options).unwrap();
    let counter = |name: &str| rig.counter(name).unwrap();

    let downs = counter("link_downs");
    veth.theirs.ip("link set veth0 down").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    veth.theirs.ip("link set veth0 up").unwrap();
    recovers(&rig, "a pulled cable", "link_downs", downs);
    assert!(counter("tcp_retransmits") > 0);

    let downs = counter("link_downs");
    veth.ours.ip("link set veth0 down").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    veth.ours.ip("link set veth0 up").unwrap();
    recovers(&rig, "an interface switched off", "link_downs", downs);

    let resent = counter("tcp_retransmits");
    // A veth sets its queue up anew when this is switched: frames on their way are lost.
    for is_on in [true, false] {
        veth.ours
            .run(|| ethtool::set_offload(Veth::NAME, Offload::Gro, is_on))
            .unwrap();
    }
    rig.wait_acks(3).unwrap();
    println!(
        "a queue set up anew: {} segments sent again",
        counter("tcp_retransmits") - resent
    );

    let changes = counter("link_changes");
    veth.ours.ip("link set veth0 mtu 1400").unwrap();
    recovers(&rig, "another MTU", "link_changes", changes);

    let neighbours = counter("neighbour_changes");
    veth.theirs
        .ip("link set veth0 address 02:00:00:00:00:99")
        .unwrap();
    recovers(&rig, "another neighbour", "neighbour_changes", neighbours);

    let changes = counter("link_changes");
    veth.ours
        .ip("link set veth0 address 02:00:00:00:00:77")
        .unwrap();
    recovers(&rig, "another address of ours", "link_changes", changes);
    assert_eq!(kernels_tcp(&rig).1, 0, "resets the kernel sent");
    rig.ends_equal().unwrap();
    assert_eq!(traces(&veth), CLEAN);
}
