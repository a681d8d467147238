//! One budget for all sessions of a key: two nodes with half of it each, both wanting more than the whole.
//!
//! Each trades an instrument of its own, so that neither takes the other's orders for strangers. `SPINLANE_VENUE=okx`
//! plays only there; `--nocapture` shows every window.

use dp_shm::Counter;
use dp_strategy::{Intent, Wish};
use dp_types::{ClientOrderId, OrderKind, OrderState, Price, Qty, Side, Tif};
use dp_venue_api::limits::{Budget, Share};
use serde_json::Value;
use std::sync::PoisonError;
use tests_conformance::script::Script;
use tests_conformance::stage::{Known, Memory, Seat, Stage, Virtual, sim_config};
use tests_conformance::trial::TRADED;
use tests_conformance::venues::{self, Tried};

const STEP_NS: u64 = 2_000_000;
/// Orders a node holds at most: more would only wait for their cancels.
const OPEN_MAX: usize = 40;
/// Long enough for every window but Bitfinex's five minutes, which is full after seconds, to pass twice.
const GREEDY_MS: u64 = 70_000;

struct Nodes<'r> {
    stage: Virtual<'r>,
    known: Vec<Known<'r>>,
    venue: &'static str,
}

impl<'r> Nodes<'r> {
    fn new(memories: &'r [Memory], venue: Tried) -> Self {
        let half = Budget::of(Share::percent(50));
        let seat = |(at, memory): (usize, &'r Memory)| Seat {
            memory,
            symbols: at..at + 1,
            feeds: 1,
            budget: half,
        };
        let seats: Vec<Seat<'r>> = memories.iter().enumerate().map(seat).collect();
        let (stage, known) = Virtual::shared(&seats, venue, &sim_config(&venue, 7));
        Self {
            stage,
            known,
            venue: venue.name,
        }
    }

    fn with<T>(&self, node: usize, look: impl FnOnce(&mut Script) -> T) -> T {
        let script = self.known[node].script.lock();
        look(&mut script.unwrap_or_else(PoisonError::into_inner))
    }

    fn count(&self, node: usize, counter: Counter) -> u64 {
        self.stage.engine_of(node).wall.counters.get(counter)
    }

    /// Lets time pass until something is so of every node.
    fn until(&mut self, what: &str, ms: u64, is_so: impl Fn(&Self, usize) -> bool) {
        let end = self.stage.now().after(ms * 1_000_000);
        while !(0..self.known.len()).all(|node| is_so(self, node)) {
            assert!(
                self.stage.now() < end,
                "{}: {what}: not in {ms} ms",
                self.venue
            );
            self.stage.step(STEP_NS);
        }
    }

    /// Orders of a node that are not over.
    fn open(&self, node: usize) -> Vec<(ClientOrderId, OrderState)> {
        let oms = self.stage.engine_of(node).oms();
        let live = oms.all_live().map(|order| (order.client_id, order.state));
        live.collect()
    }

    /// A small order far behind the market.
    fn order(&self, node: usize) -> Option<Intent> {
        let engine = self.stage.engine_of(node);
        let instrument = engine.instruments()[TRADED.0 as usize];
        let best = engine.book(TRADED)?.0.best_bid()?.price;
        let price = instrument.tick_down(Price(best.0 / 20 * 19));
        let lot = Qty(instrument.lot.0.max(1));
        let one = instrument.notional(price, lot)?;
        let worth = (50_000_000_000_000 / one.0.max(1)) as i64 + 1;
        Some(Intent::New(Wish {
            leg: None,
            side: Side::Buy,
            kind: OrderKind::PostOnly,
            tif: Tif::Gtc,
            price,
            qty: Qty((worth * lot.0).max(instrument.qty_min.0)),
        }))
    }

    /// Wishes for the end of whatever rests.
    fn cancel_all(&self, node: usize) {
        for (client_id, state) in self.open(node) {
            if state == OrderState::Ack {
                let cancel = Intent::Cancel { client_id };
                self.with(node, |script| script.wishes.push_back(cancel));
            }
        }
    }

    /// The venue's windows: name, limit, the most there was in one. Errors: one was overrun, or had to refuse.
    fn windows(&mut self) -> Vec<(String, u64, u64)> {
        let stats = self.stage.stats();
        let rows = stats["limits"].as_array().expect("limits").iter();
        let number = |row: &Value, key: &str| row[key].as_u64().expect("a number");
        let all: Vec<_> = rows
            .map(|row| {
                let name = row["name"].as_str().expect("a name").to_owned();
                let (limit, highest) = (number(row, "limit"), number(row, "highest"));
                assert!(highest <= limit, "{}: {row}", self.venue);
                // A limit of one has no half: who comes second is refused, and comes later from then on.
                let bearable = u64::from(limit == 1);
                assert!(number(row, "refused") <= bearable, "{}: {row}", self.venue);
                (name, limit, highest)
            })
            .collect();
        all
    }
}

fn play(venue: Tried) {
    let wanted = std::env::var("SPINLANE_VENUE");
    if wanted.is_ok_and(|list| list.split(',').all(|one| one != venue.name)) {
        return;
    }
    let memories = [Memory::new(), Memory::new()];
    let mut nodes = Nodes::new(&memories, venue);
    nodes.until("both can trade", 120_000, |it, node| {
        it.with(node, |script| script.can_trade)
    });
    let end = nodes.stage.now().after(GREEDY_MS * 1_000_000);
    while nodes.stage.now() < end {
        for node in 0..2 {
            if nodes.with(node, |script| !script.wishes.is_empty()) {
                continue;
            }
            nodes.cancel_all(node);
            if let Some(order) = nodes
                .order(node)
                .filter(|_| nodes.open(node).len() < OPEN_MAX)
            {
                nodes.with(node, |script| script.wishes.push_back(order));
            }
        }
        nodes.stage.step(STEP_NS);
    }
    let sent = [0, 1].map(|node| nodes.count(node, Counter::OrdersSent));
    let held_back = [0, 1].map(|node| nodes.count(node, Counter::RateRefusals));
    println!("{}: sent {sent:?}, held back {held_back:?}", venue.name);
    let windows = nodes.windows();
    for (name, limit, highest) in &windows {
        println!("  {name}: {highest} of {limit}");
    }
    assert!(held_back.iter().all(|count| *count > 0), "they wanted more");
    // Neither is starved by the other.
    assert!(sent[0] * 10 > sent[1] * 8 && sent[1] * 10 > sent[0] * 8);
    // One alone may not pass half of a window: what is above was used by both. Where each instrument has a window,
    // each node has used most of its half.
    let is_shared = |(_, limit, highest): &&(String, u64, u64)| highest * 2 > *limit;
    let is_half = |(_, limit, highest): &&(String, u64, u64)| highest * 20 > limit * 7;
    let halves = windows.iter().filter(is_half).count();
    assert!(
        windows.iter().any(|it| is_shared(&it)) || halves >= 2,
        "{windows:?}"
    );
    // What rests goes, whatever new orders have used.
    let quiet = nodes.stage.now().after(60_000_000_000);
    while nodes.stage.now() < quiet && (0..2).any(|node| !nodes.open(node).is_empty()) {
        for node in 0..2 {
            if nodes.with(node, |script| script.wishes.is_empty()) {
                nodes.cancel_all(node);
            }
        }
        nodes.stage.step(STEP_NS * 10);
    }
    assert_eq!([0, 1].map(|node| nodes.open(node)), [[], []]);
    nodes.windows();
}

macro_rules! budgets {
    ($($test:ident $name:literal)*) => {
        $(
            #[test]
            fn $test() {
                play(Tried::named($name).expect("on the list"));
            }
        )*

        #[test]
        fn every_venue_has_its_test() {
            let tests = [$($name),*];
            assert!(venues::ALL.iter().all(|venue| tests.contains(&venue.name)));
        }
    };
}

budgets! {
    binance_usdm "binance-usdm"
    binance "binance"
    binance_sbe "binance-sbe"
    bitfinex "bitfinex"
    bybit "bybit"
    coinbase "coinbase"
    deribit "deribit"
    huobi "huobi"
    kraken "kraken"
    kraken_futures "kraken-futures"
    kucoin "kucoin"
    okx "okx"
}
