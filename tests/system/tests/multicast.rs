//! A node that hears Deribit by multicast, either feed: groups joined before its lane is confined, two lines, losses
//! on one and on both.

use std::net::{Ipv4Addr, UdpSocket};
use tests_system::{Options, Rig, turn, wait_for};

fn options(feed: &str) -> Options {
    // A port nobody has: groups are told apart by it too.
    let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    let [a, b] = [1, 2].map(|last| format!("239.193.79.{last}:{port}"));
    let lines = format!("{a},{b}");
    let sim_args = [
        "--symbols",
        "BTC-USDC",
        "--multicast",
        &lines,
        "--multicast-feed",
        feed,
    ];
    Options {
        venues: vec![("deribit", "BTC_USDC-PERPETUAL")],
        sim_args: sim_args.map(str::to_owned).to_vec(),
        config: format!(
            "[venue.deribit.multicast]\ninterface = \"127.0.0.1\"\nline_a = [\"{a}\"]\nline_b = [\"{b}\"]\n\
             feed = \"{feed}\"\n"
        ),
        ..Options::default()
    }
}

#[test]
fn a_confined_lane_trades_on_what_two_lines_bring() {
    let _turn = turn();
    let rig = Rig::trading("multicast", &options("classic")).unwrap();
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

#[test]
fn a_confined_lane_hears_single_orders_beside_its_link() {
    let _turn = turn();
    let asks =
        "single_orders = [\"BTC_USDC-PERPETUAL\"]\nsingle_orders_max = 4096\norder_window_ms";
    let options = Options {
        edits: vec![("order_window_ms", asks)],
        ..options("starbase")
    };
    let rig = Rig::trading("starbase", &options).unwrap();
    let count = |name: &str| rig.counter(name).unwrap();
    // It trades by the link's book, whether the lines' is whole yet or not: that is the second whole book.
    wait_for("single orders are whole, by two lines", || {
        (count("snapshots") >= 2 && count("feed_copies") > 0).then_some(())
    })
    .unwrap();
    // The link is the first that brings books, the lines are the second and the third.
    let before = count("gaps");
    let firsts = count("feed_1_first");
    rig.fault("gap:on=orders:conn=2:n=3").unwrap();
    wait_for("the second line is first", || {
        (count("feed_1_first") >= firsts + 3).then_some(())
    })
    .unwrap();
    assert_eq!(count("gaps"), before, "{}", rig.tails());
    let whole = count("snapshots");
    rig.fault("gap:on=orders").unwrap();
    wait_for("the gap is found and mended", || {
        (count("gaps") > before && count("snapshots") > whole).then_some(())
    })
    .unwrap();
    // The book of levels never broke: what is traded by it goes on.
    rig.wait_acks(2).unwrap();
    assert_eq!(count("reconnects"), 0, "{}", rig.tails());
    rig.ends_equal().unwrap();
}
