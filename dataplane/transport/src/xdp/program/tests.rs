//! The program run by the kernel on frames of ours, one fact a test.

use super::*;
use tests_net::{Namespace, skip};

const PORTS: PortRange = PortRange {
    first: 40_000,
    last: 40_063,
};
/// `XDP_PASS`; and `XDP_DROP`, which a flow's frame gets while its queue has no socket.
const PASSED: Result<u32, i32> = Ok(2);
const CLAIMED: Result<u32, i32> = Ok(1);

fn flow() -> Flow {
    Flow {
        venue: "203.0.113.7:443".parse().unwrap(),
        local: Ipv4Addr::new(192, 0, 2, 9),
    }
}

/// A TCP segment of the flow, as it comes in.
fn frame(port: u16) -> Vec<u8> {
    let mut frame = vec![0x02; 12];
    frame.extend([0x08, 0x00]);
    frame.extend([0x45, 0, 0, 60, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(flow().venue.ip().octets());
    frame.extend(flow().local.octets());
    frame.extend(flow().venue.port().to_be_bytes());
    frame.extend(port.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend([7; 20]);
    frame
}

/// The programs on a namespace's loopback, with the flow in the map.
fn with_steering(test: impl FnOnce(&Steering) + Send) {
    let Ok(namespace) = Namespace::new() else {
        skip("xdp", "no network namespaces; run as root");
        return;
    };
    namespace.run(
        || match Steering::attach(1, PORTS, &[XdpMode::CopyGeneric]) {
            Ok(steering) => {
                steering.add(flow()).unwrap();
                test(&steering);
            }
            Err(fault) => skip("xdp", &fault.to_string()),
        },
    );
}

#[test]
fn the_flow_is_claimed_and_counted_on_every_port_of_the_range() {
    with_steering(|steering| {
        for port in [PORTS.first, PORTS.first + 17, PORTS.last] {
            assert_eq!(steering.test_run(&frame(port)), CLAIMED, "{port}");
        }
        let counters = steering.counters(flow()).unwrap();
        assert_eq!((counters.unclaimed, counters.steered), (3, 0));
        steering.add(flow()).unwrap();
        assert_eq!(
            steering.counters(flow()).unwrap().unclaimed,
            3,
            "adding again resets nothing"
        );
        steering.remove(flow()).unwrap();
        steering.remove(flow()).unwrap();
        assert_eq!(steering.test_run(&frame(PORTS.first)), PASSED);
        assert_eq!(steering.counters(flow()), None);
    });
}

#[test]
fn every_other_frame_passes() {
    with_steering(|steering| {
        let changed = |what: &str, change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = frame(PORTS.first);
            change(&mut bytes);
            assert_eq!(steering.test_run(&bytes), PASSED, "{what}");
        };
        for port in [0, 22, 53, 443, PORTS.first - 1, PORTS.last + 1, u16::MAX] {
            assert_eq!(steering.test_run(&frame(port)), PASSED, "port {port}");
        }
        changed("another venue address", &|bytes| bytes[29] ^= 1);
        changed("another address of ours", &|bytes| bytes[33] ^= 1);
        changed("another venue port", &|bytes| bytes[35] ^= 1);
        changed("UDP", &|bytes| bytes[23] = 17);
        changed("ICMP", &|bytes| bytes[23] = 1);
        changed("ARP", &|bytes| bytes[12..14].copy_from_slice(&[0x08, 0x06]));
        changed("IPv6", &|bytes| {
            bytes[12..14].copy_from_slice(&[0x86, 0xdd]);
        });
        changed("VLAN", &|bytes| {
            drop(bytes.splice(12..12, [0x81, 0x00, 0, 5]));
        });
        changed("VLAN in VLAN", &|bytes| {
            drop(bytes.splice(12..12, [0x88, 0xa8, 0, 5, 0x81, 0x00, 0, 6]));
        });
        changed("an ethertype that only looks like IPv4", &|bytes| {
            bytes[12] = 0x81;
        });
        changed("first fragment", &|bytes| bytes[20] = 0x20);
        changed("later fragment", &|bytes| {
            bytes[20..22].copy_from_slice(&[0x00, 0xb9]);
        });
        changed("last fragment, high offset", &|bytes| bytes[20] = 0x10);
        changed("IP options", &|bytes| {
            bytes[14] = 0x46;
            drop(bytes.splice(34..34, [1, 1, 1, 0]));
        });
        changed("IP version 6 in an IPv4 frame", &|bytes| bytes[14] = 0x65);
        changed("cut in the TCP header", &|bytes| bytes.truncate(53));
        changed("cut in the IP header", &|bytes| bytes.truncate(30));
        assert_eq!(steering.counters(flow()).unwrap(), FlowCounters::default());
        // Don't-fragment, or not: both are whole.
        let mut bytes = frame(PORTS.first);
        bytes[20] = 0;
        assert_eq!(steering.test_run(&bytes), CLAIMED);
    });
}

#[test]
fn the_map_has_an_end_and_room_again() {
    with_steering(|steering| {
        let nth = |n: u32| Flow {
            venue: SocketAddrV4::new(Ipv4Addr::from_bits(n), 443),
            ..flow()
        };
        (1..FLOWS_MAX).for_each(|n| steering.add(nth(n)).unwrap());
        let full = steering.add(nth(FLOWS_MAX)).unwrap_err();
        assert_eq!(full.errno(), Some(libc::E2BIG), "{full}");
        steering.remove(nth(1)).unwrap();
        steering.add(nth(FLOWS_MAX)).unwrap();
    });
}

#[test]
fn a_refused_program_is_told_as_such() {
    if Map::new(MapKind::Hash, "probe", 4, 4, 1).is_err() {
        skip("xdp", "no right to bpf(2)");
        return;
    }
    // Reads a register nobody set.
    let code = [mov(R0, R7), exit()];
    let fault = bpf::load(ProgramKind::Xdp, "wrong", &code).unwrap_err();
    assert!(
        matches!(
            fault,
            XdpFault::Verifier {
                program: "wrong",
                ..
            }
        ),
        "{fault}"
    );
}

#[test]
fn a_range_that_takes_well_known_ports_is_refused() {
    for (first, last) in [(0, 10), (1023, 2000), (2000, 1999)] {
        let refused = Steering::attach(1, PortRange { first, last }, &XdpMode::ALL);
        assert!(matches!(refused, Err(XdpFault::Option { .. })));
    }
}
