//! Links, addresses, routes and neighbours: what is, and what changes.

use super::support::*;
use dp_transport::clock;
use dp_transport::xdp::ethtool::{self, Offload};
use dp_transport::xdp::{
    Flow, FlowRules, FrameIo as _, Monitor, NetEvent, NoPath, Path, Rtnl, Undo,
};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex};
use tests_net::Veth;

/// Waits for an event; those before it are dropped.
fn wait<T>(monitor: &Monitor, what: &str, mut wanted: impl FnMut(NetEvent) -> Option<T>) -> T {
    let mut found = None;
    let mut seen = Vec::new();
    until(what, || {
        while let Some(event) = monitor.next() {
            seen.push(event);
            found = wanted(event);
            if found.is_some() {
                return true;
            }
        }
        assert!(seen.len() < 10_000, "{seen:?}");
        false
    });
    found.unwrap()
}

fn wait_path(monitor: &Monitor, what: &str, peer: Ipv4Addr, is: impl Fn(&Path) -> bool) -> Path {
    wait(monitor, what, |event| match event {
        NetEvent::Path(of, path) if of == peer && is(&path) => Some(path),
        _ => None,
    })
}

fn wait_no_path(monitor: &Monitor, peer: Ipv4Addr, why: NoPath) {
    wait(monitor, &why.to_string(), |event| {
        (event == NetEvent::NoPath(peer, why)).then_some(())
    });
}

/// A cable, and a monitor of our end of it.
fn with_monitor(test: impl FnOnce(&Veth, &Monitor, [u8; 6]) + Send) {
    let Some(veth) = Veth::or_skip("xdp") else {
        return;
    };
    let their_mac = veth.theirs.run(mac);
    veth.ours.run(|| {
        let monitor = Monitor::start(ifindex()).unwrap();
        test(&veth, &monitor, their_mac);
    });
}

#[test]
fn the_way_to_a_peer_is_found_without_any_traffic_of_ours() {
    with_monitor(|veth, monitor, their_mac| {
        let link = wait(monitor, "the link", |event| match event {
            NetEvent::Link(link) => link,
            _ => None,
        });
        assert_eq!((link.is_up, link.mtu, link.mac), (true, 1500, mac()));
        let address = Veth::OURS;
        let there = NetEvent::Address {
            address,
            is_there: true,
        };
        wait(monitor, "our address", |event| {
            (event == there).then_some(())
        });
        veth.ours.ip("neigh flush all").unwrap();
        monitor.watch(Veth::THEIRS);
        let path = wait_path(monitor, "a path", Veth::THEIRS, |_| true);
        let want = Path {
            local: Veth::OURS,
            local_mac: mac(),
            next_hop: Veth::THEIRS,
            next_hop_mac: their_mac,
            mtu: 1500,
        };
        assert_eq!(path, want);
        // The same, asked once and without a thread.
        let mut rtnl = Rtnl::new().unwrap();
        let link = rtnl.link(ifindex()).unwrap().unwrap();
        assert_eq!(rtnl.path(&link, Veth::THEIRS, false), Ok(Ok(want)));
        assert_eq!(rtnl.link(9_999), Ok(None));
        assert_eq!(
            rtnl.path(&link, Veth::OURS, false),
            Ok(Err(NoPath::Elsewhere))
        );
        assert_eq!(
            rtnl.path(&link, Ipv4Addr::new(8, 8, 8, 8), false),
            Ok(Err(NoPath::NoRoute))
        );
    });
}

#[test]
fn gateways_neighbours_mtu_and_addresses_are_followed() {
    with_monitor(|veth, monitor, their_mac| {
        let venue = Ipv4Addr::new(203, 0, 113, 7);
        monitor.watch(venue);
        wait_no_path(monitor, venue, NoPath::NoRoute);
        veth.ours
            .ip("route add 203.0.113.0/24 via 10.77.0.2")
            .unwrap();
        let path = wait_path(monitor, "via a gateway", venue, |_| true);
        assert_eq!(
            (path.next_hop, path.next_hop_mac),
            (Veth::THEIRS, their_mac)
        );

        veth.ours
            .ip("neigh replace 10.77.0.2 lladdr 02:00:00:00:00:99 nud permanent dev veth0")
            .unwrap();
        let changed = [2, 0, 0, 0, 0, 0x99];
        wait_path(monitor, "another MAC", venue, |path| {
            path.next_hop_mac == changed
        });
        veth.ours.ip("neigh del 10.77.0.2 dev veth0").unwrap();
        // Gone from the table: found again by ARP.
        wait_path(monitor, "the MAC again", venue, |path| {
            path.next_hop_mac == their_mac
        });

        veth.ours.ip("link set veth0 mtu 1400").unwrap();
        wait_path(monitor, "another MTU", venue, |path| path.mtu == 1400);
        veth.ours
            .ip("route replace 203.0.113.0/24 via 10.77.0.2 mtu 1300")
            .unwrap();
        wait_path(monitor, "a route's MTU", venue, |path| path.mtu == 1300);

        veth.ours.ip("addr add 10.77.0.7/24 dev veth0").unwrap();
        let address = Ipv4Addr::new(10, 77, 0, 7);
        let there = NetEvent::Address {
            address,
            is_there: true,
        };
        wait(monitor, "a new address", |event| {
            (event == there).then_some(())
        });
        veth.ours
            .ip("route replace 203.0.113.0/24 via 10.77.0.2 src 10.77.0.7")
            .unwrap();
        wait_path(monitor, "from another address", venue, |path| {
            path.local == address
        });
        veth.ours
            .ip("route replace 203.0.113.0/24 via 10.77.0.3")
            .unwrap();
        wait_no_path(
            monitor,
            venue,
            NoPath::NoNeighbour(Ipv4Addr::new(10, 77, 0, 3)),
        );
        veth.ours
            .ip("route replace blackhole 203.0.113.0/24")
            .unwrap();
        wait_no_path(monitor, venue, NoPath::NoRoute);
    });
}

#[test]
fn a_link_that_goes_and_comes_is_told_and_counted() {
    with_monitor(|veth, monitor, _| {
        monitor.watch(Veth::THEIRS);
        wait_path(monitor, "a path", Veth::THEIRS, |_| true);
        let link = |is_up| {
            wait(monitor, "the link", |event| match event {
                NetEvent::Link(Some(link)) if link.is_up == is_up => Some(link),
                _ => None,
            })
        };
        for round in 1..=3 {
            veth.theirs.ip("link set veth0 down").unwrap();
            let count = link(false).down_count;
            veth.theirs.ip("link set veth0 up").unwrap();
            assert_eq!(link(true).down_count, count, "round {round}");
        }
        wait_path(monitor, "the path again", Veth::THEIRS, |_| true);
        veth.ours.ip("link del veth0").unwrap();
        wait(monitor, "no link", |event| {
            (event == NetEvent::Link(None)).then_some(())
        });
    });
}

#[test]
fn who_does_not_listen_is_told_so_and_then_everything() {
    with_monitor(|veth, monitor, _| {
        monitor.watch(Veth::THEIRS);
        wait_path(monitor, "a path", Veth::THEIRS, |_| true);
        let folder = tempfile::tempdir().unwrap();
        let batch = folder.path().join("batch");
        let changes = (0..400).map(|n| format!("link set veth0 mtu {}\n", 1300 + n % 100));
        std::fs::write(&batch, changes.collect::<String>()).unwrap();
        veth.ours
            .ip(&format!("-batch {}", batch.display()))
            .unwrap();
        wait(monitor, "missed", |event| {
            (event == NetEvent::Missed).then_some(())
        });
        wait_path(monitor, "the last MTU", Veth::THEIRS, |path| {
            path.mtu == 1399
        });
    });
}

#[test]
fn a_socket_lives_through_a_link_that_goes_and_comes() {
    for mode in MODES {
        with_ends(mode, |veth, mut us, mut venue| {
            let frame = |payload: &[u8]| {
                let segment = Segment {
                    from: SocketAddrV4::new(Veth::OURS, PORTS.first),
                    to: flow().venue,
                    flags: ACK,
                    payload,
                };
                segment.frame([2; 6])
            };
            assert!(us.send(&frame(b"before")), "{mode}");
            assert_eq!(venue.take_exactly(1), [frame(b"before")], "{mode}");
            veth.ours.ip("link set veth0 down").unwrap();
            assert!(us.send(&frame(b"during")), "{mode}");
            assert_eq!(us.xsk.kick_errno(), libc_enetdown(), "{mode}");
            assert!(us.xsk.counters().kicks_refused >= 1, "{mode}");
            veth.ours.ip("link set veth0 up").unwrap();
            // It waited, and leaves by itself: `poll` tries again.
            until("the frame that waited", || {
                us.xsk.poll(clock::unix_now());
                us.xsk.kick_errno() == 0
            });
            until("a frame after", || {
                us.send(&frame(b"after"));
                venue.take().contains(&frame(b"after"))
            });
        });
    }
}

fn libc_enetdown() -> i32 {
    nix::errno::Errno::ENETDOWN as i32
}

#[test]
fn offloads_are_switched_and_put_back() {
    let Some(veth) = Veth::or_skip("xdp") else {
        return;
    };
    veth.ours.run(|| {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("changes");
        let is_on = |which| ethtool::offload(Veth::NAME, which).unwrap();
        let which = [
            Offload::TxChecksum,
            Offload::Tso,
            Offload::RxVlan,
            Offload::TxVlan,
        ];
        assert!(which.into_iter().all(is_on));
        let mut undo = Undo::open(&list).unwrap();
        for which in which {
            ethtool::switch(&mut undo, Veth::NAME, which, false).unwrap();
            assert!(!is_on(which), "{}", which.name());
        }
        drop(undo);
        assert!(which.into_iter().all(is_on));
        assert_eq!(ethtool::rx_queues(Veth::NAME), Ok(1));
        let none = ethtool::offload("nosuch0", Offload::Gro).unwrap_err();
        assert_eq!(none.errno(), Some(nix::errno::Errno::ENODEV as i32));
    });
}

#[test]
fn a_card_that_takes_no_rule_for_a_flow_is_a_path_that_is_not_there() {
    with_monitor(|_, monitor, _| {
        let directory = tempfile::tempdir().unwrap();
        let undo = Undo::open(&directory.path().join("changes")).unwrap();
        let rules = FlowRules::new(&Arc::new(Mutex::new(undo)), Veth::NAME, 0);
        let flow = Flow {
            venue: SocketAddrV4::new(Veth::THEIRS, 443),
            local: Veth::OURS,
        };
        // A cable has none.
        monitor.steer(rules, flow);
        monitor.watch(Veth::THEIRS);
        wait_no_path(monitor, Veth::THEIRS, NoPath::NoRule(libc::EOPNOTSUPP));
    });
}
