use super::*;
use crate::tree::{Live, Recorded};
use proptest::prelude::*;

fn epyc() -> Topology {
    let text = include_str!("../../topologies/epyc-32c-1s.txt");
    Topology::read(&Recorded::parse(text).unwrap())
}

fn xeon() -> Topology {
    let text = include_str!("../../topologies/xeon-2x16c.txt");
    Topology::read(&Recorded::parse(text).unwrap())
}

fn all(topology: &Topology) -> CpuList {
    topology.cpus.iter().map(|cpu| cpu.id).collect()
}

fn spin(lane: u8, core: CoreWish) -> Wish {
    Wish {
        lane,
        core,
        owns_core: true,
        nic: None,
        queue: 0,
        bytes: 64 << 20,
        kin: Vec::new(),
    }
}

fn on_card(lane: u8, core: CoreWish, nic: &str, queue: u16) -> Wish {
    Wish {
        nic: Some(nic.into()),
        queue,
        ..spin(lane, core)
    }
}

fn place(topology: &Topology, wishes: &[Wish]) -> Result<Vec<Placement>, Vec<Refusal>> {
    plan(topology, &all(topology), wishes, Sizes::default())
}

fn cores(topology: &Topology, wishes: &[Wish]) -> Vec<u16> {
    let placed = place(topology, wishes).unwrap();
    placed.into_iter().filter_map(|place| place.core).collect()
}

fn refusals(topology: &Topology, wishes: &[Wish]) -> Vec<String> {
    let refused = place(topology, wishes).unwrap_err();
    refused.iter().map(ToString::to_string).collect()
}

#[test]
fn recorded_hosts_are_what_they_say() {
    let epyc = epyc();
    assert_eq!(
        (epyc.cpus.len(), epyc.nodes.len(), epyc.has_smt),
        (64, 1, true)
    );
    assert_eq!(epyc.cpu(35).unwrap().siblings.to_string(), "3,35");
    assert_eq!(epyc.cpu(17).unwrap().l3, Some(16));
    let xeon = xeon();
    assert_eq!(
        (xeon.cpus.len(), xeon.nodes.len(), xeon.has_smt),
        (32, 2, false)
    );
    assert_eq!(xeon.nic("enp175s0f0").unwrap().node, Some(1));
    assert_eq!(xeon.node(1).unwrap().huge_free_bytes, 4 << 30);
}

/// TM-02: lanes that are kin sit under one last-level cache, on isolated cores, one a physical core.
#[test]
fn chosen_cores_share_a_cache() {
    let epyc = epyc();
    let wishes: Vec<Wish> = (0..8).map(|lane| spin(lane, CoreWish::Auto)).collect();
    // Complex 0 has four isolated cores, the others eight.
    assert_eq!(cores(&epyc, &wishes), [8, 9, 10, 11, 12, 13, 14, 15]);
    let more: Vec<Wish> = (0..12).map(|lane| spin(lane, CoreWish::Auto)).collect();
    assert_eq!(cores(&epyc, &more)[8..], [16, 17, 18, 19]);
}

#[test]
fn a_lane_sits_on_its_cards_node() {
    let xeon = xeon();
    let wishes = [
        on_card(0, CoreWish::Auto, "enp175s0f0", 0),
        on_card(1, CoreWish::Auto, "enp175s0f0", 1),
        on_card(2, CoreWish::Auto, "eno1", 0),
        spin(3, CoreWish::At(5)),
    ];
    assert_eq!(cores(&xeon, &wishes), [18, 19, 2, 5]);
    let nodes: Vec<Option<u16>> = place(&xeon, &wishes)
        .unwrap()
        .iter()
        .map(|it| it.node)
        .collect();
    assert_eq!(nodes, [Some(1), Some(1), Some(0), Some(0)]);
}

#[test]
fn a_full_node_overflows_to_the_next_only_for_lanes_without_a_card() {
    let xeon = xeon();
    let mut wishes: Vec<Wish> = (0..14)
        .map(|lane| on_card(lane, CoreWish::Auto, "enp175s0f0", u16::from(lane)))
        .collect();
    wishes.push(spin(14, CoreWish::Auto));
    assert_eq!(cores(&xeon, &wishes)[14], 2);
}

#[test]
fn bad_plans_are_refused_with_every_reason() {
    let epyc = epyc();
    let said = refusals(
        &epyc,
        &[
            spin(0, CoreWish::At(8)),
            spin(1, CoreWish::At(8)),
            spin(2, CoreWish::At(40)),
            spin(3, CoreWish::At(2)),
            spin(4, CoreWish::At(90)),
            on_card(5, CoreWish::At(9), "eth9", 0),
            on_card(6, CoreWish::At(10), "ens1f0np0", 16),
            on_card(7, CoreWish::At(11), "ens1f0np0", 3),
            on_card(8, CoreWish::At(12), "ens1f0np0", 3),
        ],
    );
    let want = [
        "lane 1: core 8 is lane 0's",
        "lane 2: core 40 is a thread of lane 0's physical core (8,40)",
        "lane 2: core 40 is not isolated, and 4-31 are",
        "lane 3: core 2 is not isolated",
        "lane 4: there is no core 90 online; the machine has 0-63",
        "lane 5: there is no interface eth9; the machine has ens1f0np0",
        "lane 6: ens1f0np0 has 16 receive queues, none numbered 16",
        "lane 8: queue 3 of ens1f0np0 is lane 7's",
    ];
    assert_eq!(said.len(), want.len(), "{said:#?}");
    for (said, want) in said.iter().zip(want) {
        assert!(said.starts_with(want), "{said}");
    }
    let far = refusals(&xeon(), &[on_card(0, CoreWish::At(4), "enp175s0f0", 0)]);
    assert_eq!(
        far,
        ["lane 0: core 4 is on node 0, its card enp175s0f0 on node 1; use a core of 16-31"]
    );
}

#[test]
fn what_the_process_may_not_use_is_not_used() {
    let (epyc, few) = (epyc(), CpuList::parse("8-9").unwrap());
    let auto = |lane| spin(lane, CoreWish::Auto);
    let placed = plan(&epyc, &few, &[auto(0), auto(1)], Sizes::default()).unwrap();
    assert_eq!(placed[1].core, Some(9));
    let refused = plan(&epyc, &few, &[auto(0), auto(1), auto(2)], Sizes::default()).unwrap_err();
    assert_eq!(
        refused,
        [Refusal::NoneLeft {
            lane: 2,
            spare: few.clone()
        }]
    );
    let refused = plan(&epyc, &few, &[spin(0, CoreWish::At(10))], Sizes::default()).unwrap_err();
    assert_eq!(
        refused,
        [Refusal::NotAllowed {
            lane: 0,
            core: 10,
            allowed: few
        }]
    );
}

/// Two cores, nothing isolated: what tests run on.
#[test]
fn a_small_machine_keeps_a_core_for_the_system() {
    let mut tree = Recorded::default();
    tree.set("sys/devices/system/cpu/online", "0-1");
    tree.set("sys/devices/system/node/node0/cpulist", "0-1");
    tree.set(
        "sys/devices/system/node/node0/meminfo",
        "Node 0 MemTotal: 8000000 kB",
    );
    let small = Topology::read(&tree);
    assert_eq!(cores(&small, &[spin(0, CoreWish::Auto)]), [1]);
    let said = refusals(
        &small,
        &[spin(0, CoreWish::At(0)), spin(1, CoreWish::At(1))],
    );
    assert_eq!(
        said,
        [
            "spinning lanes would own every core of 0-1: leave one to the system, or let a lane yield"
        ]
    );
    // Lanes that share may sit on one core, or nowhere in particular.
    let shares = |lane, core| Wish {
        owns_core: false,
        ..spin(lane, core)
    };
    let both = [
        shares(0, CoreWish::At(1)),
        shares(1, CoreWish::At(1)),
        shares(2, CoreWish::Anywhere),
    ];
    assert_eq!(cores(&small, &both), [1, 1]);
}

/// TM-10: what does not fit is refused before anything is taken.
#[test]
fn memory_that_does_not_fit_is_refused() {
    let xeon = xeon();
    let lane = |bytes| Wish {
        bytes,
        ..on_card(0, CoreWish::Auto, "enp175s0f0", 0)
    };
    let huge = Sizes {
        shared_bytes: 0,
        needs_huge: true,
    };
    assert!(plan(&xeon, &all(&xeon), &[lane(4 << 30)], huge).is_ok());
    let refused = plan(&xeon, &all(&xeon), &[lane((4 << 30) + 1)], huge).unwrap_err();
    assert_eq!(
        refused[0].to_string(),
        "node 1: 4097 MiB of reserved 2 MiB pages are needed, 4096 MiB are to be had; \
         raise vm.nr_hugepages, or waive huge_pages"
    );
    assert!(plan(&xeon, &all(&xeon), &[lane(5 << 30)], Sizes::default()).is_ok());
    assert!(plan(&xeon, &all(&xeon), &[lane(90 << 30)], Sizes::default()).is_err());
    let shared = Sizes {
        shared_bytes: 90 << 30,
        needs_huge: false,
    };
    let refused = plan(&xeon, &all(&xeon), &[lane(1)], shared).unwrap_err();
    assert!(matches!(
        refused[..],
        [Refusal::Memory {
            node: 0,
            what: "memory",
            ..
        }]
    ));
}

#[test]
fn this_machine_takes_a_lane_that_shares() {
    let here = Topology::read(&Live::default());
    let wish = Wish {
        owns_core: false,
        ..spin(0, CoreWish::Auto)
    };
    assert_eq!(cores(&here, &[wish]).len(), 1);
}

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    let core = prop_oneof![
        1 => Just(CoreWish::Anywhere),
        4 => Just(CoreWish::Auto),
        2 => (0u16..70).prop_map(CoreWish::At),
    ];
    let card = prop_oneof![2 => Just(None), 1 => (0u16..17).prop_map(Some)];
    let wish = (core, any::<bool>(), card, 0u64..8 << 30);
    prop::collection::vec(wish, 0..40).prop_map(|wishes| {
        let wish = |(lane, (core, owns_core, queue, bytes)): (u8, (_, _, Option<u16>, _))| Wish {
            lane,
            core,
            owns_core,
            nic: queue.map(|_| "enp175s0f0".to_owned()),
            queue: queue.unwrap_or(0),
            bytes,
            kin: if lane % 2 == 0 {
                vec![lane + 1]
            } else {
                Vec::new()
            },
        };
        (0u8..).zip(wishes).map(wish).collect()
    })
}

proptest! {
    /// Whatever is asked: a plan that comes out breaks none of the rules, and one that does not says why.
    #[test]
    fn no_plan_breaks_a_rule(is_epyc: bool, wishes in wishes()) {
        let topology = if is_epyc { epyc() } else { xeon() };
        let placed = match place(&topology, &wishes) {
            Ok(placed) => placed,
            Err(refused) => {
                prop_assert!(!refused.is_empty());
                return Ok(());
            }
        };
        prop_assert_eq!(placed.len(), wishes.len());
        for (wish, seat) in wishes.iter().zip(&placed) {
            prop_assert_eq!(wish.lane, seat.lane);
            let Some(core) = seat.core else {
                prop_assert_eq!(wish.core, CoreWish::Anywhere);
                continue;
            };
            let cpu = topology.cpu(core).unwrap();
            if let CoreWish::At(said) = wish.core {
                prop_assert_eq!(said, core);
            }
            if wish.owns_core {
                prop_assert!(topology.isolated.has(core));
                let rivals = wishes.iter().zip(&placed).filter(|(other, seat)| {
                    other.lane != wish.lane && seat.core.is_some_and(|core| cpu.siblings.has(core))
                });
                prop_assert_eq!(rivals.count(), 0);
                if wish.nic.is_some() && wish.core != CoreWish::Auto {
                    prop_assert_eq!(cpu.node, topology.nic("enp175s0f0").unwrap().node.unwrap());
                }
            }
        }
    }
}

#[test]
fn a_card_is_never_taken_unless_it_is_named() {
    for (is_spinning, venues) in [(false, 1), (false, 3), (true, 1), (true, 2)] {
        let choose = |asked, is_named| Way::choose(asked, is_named, is_spinning, venues);
        let is_lone = is_spinning && venues == 1;
        let kernels = if is_lone { Way::Sockets } else { Way::IoUring };
        assert_eq!(choose(None, false), kernels);
        assert_eq!(choose(None, true), Way::AfXdp);
        for way in [Way::IoUring, Way::Sockets, Way::AfXdp] {
            assert_eq!(choose(Some(way), way == Way::AfXdp), way);
        }
    }
}

fn with_kin(kin: &[u8], wish: Wish) -> Wish {
    let kin = kin.to_vec();
    Wish { kin, ..wish }
}

/// An engine named under a cache that is not the first choice: its feeds and gateway go to it.
#[test]
fn lanes_with_rings_between_them_sit_under_one_cache() {
    let epyc = epyc();
    let wishes = [
        with_kin(&[2], spin(0, CoreWish::Auto)),
        with_kin(&[2], spin(1, CoreWish::Auto)),
        with_kin(&[0, 1, 3], spin(2, CoreWish::At(24))),
        with_kin(&[2], spin(3, CoreWish::Auto)),
    ];
    assert_eq!(cores(&epyc, &wishes), [25, 26, 24, 27]);
}

#[test]
fn a_ring_across_nodes_is_refused_unless_a_card_is_why() {
    let xeon = xeon();
    let far = |feed| {
        let engine = with_kin(&[0], spin(1, CoreWish::At(18)));
        refusals(&xeon, &[with_kin(&[1], feed), engine])
    };
    let said = far(spin(0, CoreWish::At(5)));
    assert_eq!(said.len(), 1, "{said:?}");
    for word in [
        "lane 1: core 18 is on node 1",
        "lane 0",
        "on node 0",
        "would cross",
    ] {
        assert!(said[0].contains(word), "{word} is not in {said:?}");
    }
    let card = with_kin(&[1], on_card(0, CoreWish::Auto, "eno1", 0));
    let engine = with_kin(&[0], spin(1, CoreWish::At(18)));
    assert!(place(&xeon, &[card, engine]).is_ok());
}

#[test]
fn a_real_cards_queue_is_polled_by_a_lane_that_spins_or_where_it_is_asked_for() {
    for is_physical in [false, true] {
        for is_spinning in [false, true] {
            let chosen = |asked| polls_queue(asked, false, is_physical, is_spinning);
            assert_eq!(chosen(None), is_physical && is_spinning);
            assert!(chosen(Some(true)) && !chosen(Some(false)));
            assert!(!polls_queue(Some(true), true, is_physical, is_spinning));
        }
    }
}
