//! A process that is killed leaves nothing: no program, no guard, no reserved port; the next one starts.

use super::support::*;
use dp_transport::xdp::{
    Change, PortRange, Steering, Undo, XdpFault, XdpMode, Xsk, XskOptions, reserve_ports,
    reserved_ports,
};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tests_net::{Namespace, Veth, ip, skip};

/// The list of changes, and nothing else, tells the child that it is one.
const LIST: &str = "SPINLANE_TEST_XDP_LIST";
const NATIVE: &str = "SPINLANE_TEST_XDP_NATIVE";

/// Everything a node sets up, in the order it does.
fn set_up(list: &Path, mode: XdpMode) -> Result<(Undo, Steering, Xsk), XdpFault> {
    let mut undo = Undo::open(list)?;
    reserve_ports(&mut undo, PORTS)?;
    let modes = [mode];
    let steering = Steering::attach(ifindex(), PORTS, &modes)?;
    let options = XskOptions {
        modes: &modes,
        ..small()
    };
    let xsk = Xsk::open(&steering, &options)?;
    steering.add(flow())?;
    Ok((undo, steering, xsk))
}

/// The process that is killed. Run as an ordinary test it has nothing to do.
#[test]
fn child() {
    let Some(list) = std::env::var_os(LIST) else {
        return;
    };
    let is_native = std::env::var_os(NATIVE).is_some();
    let mode = if is_native {
        XdpMode::CopyNative
    } else {
        XdpMode::CopyGeneric
    };
    let all = set_up(Path::new(&list), mode);
    println!("\nchild: {}", if all.is_ok() { "ready" } else { "failed" });
    let mut line = String::new();
    // Until it is killed, or whoever started it is gone.
    let _ = std::io::stdin().read_line(&mut line);
    drop(all);
}

/// Starts it in the calling thread's namespace, and waits until it has set everything up.
fn start_child(list: &Path, mode: XdpMode) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["xdp::crash::child", "--exact", "--nocapture"]);
    command
        .env(LIST, list)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if mode == XdpMode::CopyNative {
        command.env(NATIVE, "1");
    }
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = lines
        .map_while(Result::ok)
        .find(|line| line.starts_with("child: "));
    assert_eq!(said.as_deref(), Some("child: ready"));
    child
}

fn is_attached() -> bool {
    ip("-d link show dev veth0").unwrap().contains("prog/xdp")
}

#[test]
fn a_killed_process_leaves_nothing_and_the_next_one_starts() {
    for mode in MODES {
        let Some(veth) = Veth::or_skip("xdp") else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("changes");
        let range = PortRange {
            first: VENUE_PORT,
            last: VENUE_PORT,
        };
        let outcome: Result<(), XdpFault> = veth.ours.run(|| {
            // Is there AF_XDP at all?
            drop(set_up(&folder.path().join("probe"), mode)?);
            let mut child = start_child(&list, mode);
            assert!(is_attached(), "{mode}");
            assert_eq!(reserved_ports().unwrap(), [PORTS], "{mode}");
            assert!(matches!(Undo::open(&list), Err(XdpFault::Held)), "{mode}");
            assert!(matches!(Undo::mend(&list), Err(XdpFault::Held)), "{mode}");
            child.kill().unwrap();
            child.wait().unwrap();

            let start = Instant::now();
            let (undo, steering, xsk) = set_up(&list, mode)?;
            println!("{mode}: set up {:?} after the kill", start.elapsed());
            let (first, last) = (PORTS.first, PORTS.last);
            assert_eq!(undo.mended(), [Change::Ports { first, last }], "{mode}");
            assert_eq!(reserved_ports().unwrap(), [PORTS], "{mode}");
            drop((xsk, steering, undo));
            assert_eq!(reserved_ports().unwrap(), [], "{mode}");
            assert_eq!(std::fs::read_to_string(&list).unwrap(), "", "{mode}");

            // Killed and not started again: the kernel is its old self, guard included.
            let mut child = start_child(&list, mode);
            let to_mac = mac();
            child.kill().unwrap();
            child.wait().unwrap();
            until("no program", || !is_attached());
            let segment = Segment {
                from: flow().venue,
                to: SocketAddrV4::new(Veth::OURS, PORTS.first),
                flags: ACK,
                payload: b"nobody is here any more",
            };
            veth.theirs.run(|| {
                let mut venue = End::open(range, mode, &small()).unwrap();
                venue.steering.add(back(PORTS.first)).unwrap();
                assert!(venue.send(&segment.frame(to_mac)), "{mode}");
                let answer = venue.take_exactly(1);
                assert_ne!(answer[0][47] & RST, 0, "{mode}");
            });
            // Whoever watches may mend it, once.
            assert_eq!(
                Undo::mend(&list)?,
                [Change::Ports { first, last }],
                "{mode}"
            );
            assert_eq!(reserved_ports().unwrap(), [], "{mode}");
            assert_eq!(Undo::mend(&list)?, [], "{mode}");
            assert_eq!(Undo::mend(&folder.path().join("none"))?, [], "{mode}");
            Ok(())
        });
        if let Err(fault) = outcome {
            skip("xdp", &fault.to_string());
        }
    }
}

#[test]
fn an_operators_reserved_ports_stay() {
    let Ok(namespace) = Namespace::new() else {
        return skip("xdp", "no network namespaces; run as root");
    };
    namespace.run(|| {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("changes");
        let sysctl = "/proc/sys/net/ipv4/ip_local_reserved_ports";
        // In one read: the kernel cuts the list to the first one.
        let read = || {
            let mut text = [0; 4096];
            let len = std::fs::File::open(sysctl)
                .unwrap()
                .read(&mut text)
                .unwrap();
            String::from_utf8(text[..len].to_vec())
                .unwrap()
                .trim()
                .to_owned()
        };
        let theirs = "8080,40003-40004,40015-40020";
        std::fs::write(sysctl, theirs).unwrap();
        let mut undo = Undo::open(&list).unwrap();
        reserve_ports(&mut undo, PORTS).unwrap();
        assert_eq!(read(), "8080,40000-40020");
        // What somebody adds meanwhile stays too.
        std::fs::write(sysctl, "8080,9090,40000-40020").unwrap();
        drop(undo);
        assert_eq!(read(), "8080,9090,40003-40004,40015-40020");
        // After a reboot, or from elsewhere, a list says nothing.
        std::fs::write(&list, "boot x netns 1\nports 8080 8080\n").unwrap();
        let elsewhere = std::fs::read_to_string(&list).unwrap();
        assert_eq!(Undo::mend(&list).unwrap(), []);
        assert_eq!(std::fs::read_to_string(&list).unwrap(), elsewhere);
        let undo = Undo::open(&list).unwrap();
        assert_eq!(undo.mended(), []);
        assert_eq!(read(), "8080,9090,40003-40004,40015-40020");
    });
}

#[test]
fn a_second_program_and_a_second_socket_are_refused_and_told_as_busy() {
    with_ends(MODES[1], |_, us, _venue| {
        // At the same time: each is tried for three seconds.
        let ifindex = us.steering.ifindex();
        let here = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let fault = Steering::attach(ifindex, PORTS, &[MODES[1]]).unwrap_err();
                assert!(matches!(fault, XdpFault::Busy { .. }), "{fault}");
            });
            scope.spawn(|| {
                enter(&here);
                let options = XskOptions {
                    modes: &MODES[1..],
                    ..small()
                };
                let fault = Xsk::open(&us.steering, &options).unwrap_err();
                assert!(matches!(fault, XdpFault::Busy { .. }), "{fault}");
            });
        });
    });
}

#[test]
fn a_socket_that_was_closed_can_be_opened_again_at_once() {
    for mode in MODES {
        with_ends(mode, |_, us, mut venue| {
            let End { steering, mut xsk } = us;
            let modes = [mode];
            for _ in 0..3 {
                drop(xsk);
                let options = XskOptions {
                    modes: &modes,
                    ..small()
                };
                xsk = Xsk::open(&steering, &options).unwrap();
            }
            let mut us = End { steering, xsk };
            let segment = Segment {
                from: flow().venue,
                to: SocketAddrV4::new(Veth::OURS, PORTS.first),
                flags: ACK,
                payload: b"again",
            };
            assert!(venue.send(&segment.frame(mac())), "{mode}");
            assert_eq!(us.take_exactly(1), [segment.frame(mac())], "{mode}");
        });
    }
}
