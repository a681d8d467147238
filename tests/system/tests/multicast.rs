//! A node that hears Deribit by multicast: groups joined before its lane is confined, two lines, losses on one and on both.

use std::net::{Ipv4Addr, UdpSocket};
use tests_system::{Options, Rig, turn, wait_for};

fn options() -> Options {
    // A port nobody has: groups are told apart by it too.
    let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    let [a, b] = [1, 2].map(|last| format!("239.193.79.{last}:{port}"));
    let sim_args = ["--symbols", "BTC-USDC", "--multicast", &format!("{a},{b}")];
    Options {
        venues: vec![("deribit", "BTC_USDC-PERPETUAL")],
        sim_args: sim_args.map(str::to_owned).to_vec(),
        config: format!(
            "[venue.deribit.multicast]\ninterface = \"127.0.0.1\"\nline_a = [\"{a}\"]\nline_b = [\"{b}\"]\n"
        ),
        ..Options::default()
    }
}

#[test]
fn a_confined_lane_trades_on_what_two_lines_bring() {
    let _turn = turn();
    let rig = Rig::trading("multicast", &options()).unwrap();
    let count = |name: &str| rig.counter(name).unwrap();
    assert!(count("feed_0_first") > 0 && count("feed_copies") > 0);
    // What one line loses nobody sees: the other fills it in.
    let before = count("gaps");
    rig.fault("gap:conn=1:n=3").unwrap();
    wait_for("the second line is first", || {
        (count("feed_1_first") > 0).then_some(())
    })
    .unwrap();
    assert_eq!(count("gaps"), before, "{}", rig.tails());
    // What both lose is a gap, and the next round mends it.
    let whole = count("snapshots");
    rig.fault("gap").unwrap();
    wait_for("the gap is found and mended", || {
        (count("gaps") > before && count("snapshots") > whole).then_some(())
    })
    .unwrap();
    rig.wait_acks(2).unwrap();
    assert_eq!(count("reconnects"), 0, "{}", rig.tails());
    // Refused calls, orders, fills: joined before it was confined, it needed no other call.
    rig.ends_equal().unwrap();
}
