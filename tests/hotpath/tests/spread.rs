//! The same input through one lane and through three gives the same orders.

use tests_hotpath::{Memory, Rig};

/// xorshift64: spread, not secrecy.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// One depth message around a wandering mid: what is on the wrong side of it goes.
fn depth(random: &mut Random, mid: u32) -> [Vec<(u32, u64)>; 2] {
    let mut side = |near: i64, sign: i64| -> Vec<(u32, u64)> {
        let price = |away: i64| u32::try_from(near + sign * away).expect("above 0");
        let crossing = (1..=12).map(|away| (price(-away), 0));
        let count = 1 + random.below(14) as i64;
        let resting = (0..count).map(|away| (price(away), 1_000 * (1 + random.below(1 << 20))));
        crossing.chain(resting).collect()
    };
    let bids = side(i64::from(mid), -1);
    let asks = side(i64::from(mid) + 1, 1);
    [bids, asks]
}

/// What the venue was asked while it sent the depth messages of a seed, some lost on the way.
fn orders(mut rig: Rig<'_>, seed: u64) -> Vec<String> {
    // From here on both begin alike, however long they took to come up: same book, same phase of all timers.
    let gone: Vec<(u32, u64)> = (64_980..65_060).map(|price| (price, 0)).collect();
    let with = |price| [gone.as_slice(), &[(price, 100_000_000)]].concat();
    rig.push_depth(&with(65_009), &with(65_010));
    for _ in 0..200 - rig.turns() % 100 {
        rig.turn();
        rig.serve();
    }
    let before = rig.asked().len();
    let mut random = Random(seed);
    let mut mid = 65_010;
    for _ in 0..300 {
        mid = mid + random.below(5) as u32 - 2;
        let [bids, asks] = depth(&mut random, mid);
        if random.below(40) == 0 {
            let lost = rig.update() + 1;
            rig.push_depth_at(lost + 1, &bids, &asks);
        } else {
            rig.push_depth(&bids, &asks);
        }
        for _ in 0..4 {
            rig.turn();
            rig.serve_each();
        }
    }
    let mut asked = rig.asked();
    let ids = asked.split_off(before);
    renumbered(&ids)
}

/// Ids as the order in which they were first said.
fn renumbered(asked: &[String]) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    let mut place = |word: &str| -> String {
        if word.is_empty() {
            return String::new();
        }
        let at = known
            .iter()
            .position(|held| held == word)
            .unwrap_or_else(|| {
                known.push(word.to_owned());
                known.len() - 1
            });
        format!("#{at}")
    };
    asked
        .iter()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [method, new, order, original, rest @ ..] = words.as_slice() else {
                return line.clone();
            };
            let ids = [new, order, original].map(|id| place(id));
            format!("{method} {} {}", ids.join(" "), rest.join(" "))
        })
        .collect()
}

#[test]
fn one_lane_and_three_send_the_same_orders() {
    for seed in [1, 2, 3] {
        let (one, three) = (Memory::new("eq-one"), Memory::new("eq-three"));
        let together = orders(Rig::new(&one, None), seed);
        let spread = orders(Rig::spread(&three, None), seed);
        assert!(together.len() > 200, "{} requests", together.len());
        for (at, (one, three)) in together.iter().zip(&spread).enumerate() {
            assert_eq!(one, three, "seed {seed}, request {at}");
        }
        assert_eq!(together.len(), spread.len(), "seed {seed}");
    }
}
