//! Who races: ours, the floors, the peers, by the names their rows have.

use crate::race::Entrant;
use crate::road::{Mode, Road};
use std::path::Path;

/// Our own row.
pub const OURS: &str = "spinlane";
/// Ours over io_uring.
const URING: &str = "spinlane, io_uring";
/// Another peer, as people run it and tuned.
const FAST_PARKING: &str = "fastwebsockets, parking";
const FAST_SPINNING: &str = "fastwebsockets, spinning";
/// The bare loop without TLS.
pub const FLOOR_PLAIN: &str = "floor: TCP, byte scan";
/// The bare loop with TLS.
pub const FLOOR_TLS: &str = "floor: TCP, rustls, byte scan";
/// The peer as people run it.
pub const PEER_PARKING: &str = "tokio-tungstenite, parking";
/// The same, tuned.
pub const PEER_SPINNING: &str = "tokio-tungstenite, spinning";
/// Our own row over a cable.
pub const VETH: &str = "veth: spinlane";
/// The bare loop over a cable, without TLS.
pub const VETH_FLOOR: &str = "veth: floor, TCP, byte scan";
/// Ours around the kernel at both ends.
pub const BOTH: [&str; 2] = [
    "veth: XDP native, both ends",
    "veth: XDP generic, both ends",
];
/// The bare loop around the kernel at both ends.
pub const BOTH_FLOOR: [&str; 2] = ["veth: floor, XDP native", "veth: floor, XDP generic"];
/// Ours around the kernel, the venue on its own.
pub const ONE: [&str; 2] = ["veth: XDP native, one end", "veth: XDP generic, one end"];

/// All who can race over loopback.
pub const LOOPBACK: [&str; 8] = [
    OURS,
    URING,
    FLOOR_PLAIN,
    FLOOR_TLS,
    PEER_PARKING,
    PEER_SPINNING,
    FAST_PARKING,
    FAST_SPINNING,
];

/// All who can race over a cable, bypassed in these modes.
pub fn veth_names(modes: &[Mode]) -> Vec<&'static str> {
    let at = |mode: &Mode| usize::from(*mode == Mode::Generic);
    let bypassed = modes.iter().map(at);
    let bypassed = bypassed.flat_map(|at| [ONE[at], BOTH[at], BOTH_FLOOR[at]]);
    [VETH, VETH_FLOOR].into_iter().chain(bypassed).collect()
}

/// Who races over loopback: ours, the floors, and the peers where they are built.
pub fn over_loopback(program: &Path, peers: &Path, notes: &mut Vec<String>) -> Vec<Entrant> {
    let mut all = vec![
        Entrant::built_in(OURS, program, "spinlane"),
        Entrant::built_in(URING, program, "spinlane-uring"),
        Entrant::built_in(FLOOR_PLAIN, program, "floor-plain"),
        Entrant::built_in(FLOOR_TLS, program, "floor-tls"),
    ];
    if !peers.is_file() {
        notes.push(format!(
            "no peers: {} is not there; `make bench` builds it (bench/peers, a workspace of its own)",
            peers.display()
        ));
        return all;
    }
    for (name, stack, runtime) in [
        (PEER_PARKING, "tungstenite", "park"),
        (PEER_SPINNING, "tungstenite", "spin"),
        (FAST_PARKING, "fastwebsockets", "park"),
        (FAST_SPINNING, "fastwebsockets", "spin"),
    ] {
        let args = ["--stack", stack, "--runtime", runtime];
        all.push(Entrant {
            name: name.to_owned(),
            program: peers.to_owned(),
            args: args.map(str::to_owned).to_vec(),
            is_lane: false,
            road: Road::Loopback,
        });
    }
    all
}

/// Who races over a cable.
pub fn over_veth(program: &Path, modes: &[Mode]) -> Vec<Entrant> {
    let mut all = vec![
        Entrant::built_in(VETH, program, "spinlane").over(Road::Veth),
        Entrant::built_in(VETH_FLOOR, program, "floor-plain").over(Road::Veth),
    ];
    for mode in modes {
        let at = usize::from(*mode == Mode::Generic);
        let (lane, floor) = ("spinlane", "floor-plain");
        for (name, kind, is_both) in [
            (ONE[at], lane, false),
            (BOTH[at], lane, true),
            (BOTH_FLOOR[at], floor, true),
        ] {
            let road = Road::Bypass {
                mode: *mode,
                is_both,
            };
            all.push(Entrant::built_in(name, program, kind).over(road));
        }
    }
    all
}
