//! The engine against a desk written for clarity ([`naive`]): gate, exposure in money, watches, positions by strategy and
//! P&L in one currency, funding included, through the real engine over real shared memory.
//!
//! Random books, wishes of two strategies on three instruments of two venues, words of venues, time, people who kill, arm,
//! resume and set limits; after each the two must agree on which orders left, on every record of `risk_events` with its
//! numbers, on positions, equity, exposure, halts and the kill switch. Three hundred sequences here; a million with
//! `SPINLANE_ORACLE=1000000 cargo test --release -p dp-lane --test oracle`.

mod naive;
mod real;

use dp_risk::{Limits, Trip, WatchLimits};
use dp_types::{AssetId, Decimal, InstrumentId, Notional, OrderKind, Qty, Side};
use naive::{Asked, MOVE_NS, Naive, ONE, Stand};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use real::Real;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// A price for each instrument, around which all happens.
const PRICES: [i64; 3] = [10_000, 1_000, 5_000];
/// What is bought of each at a time, at most.
const QTYS: [i64; 3] = [60, 600, 400];
const LOTS: [i64; 3] = [1, 10, 1];

/// What is wished for, of an instrument's ordinary price and quantity.
#[derive(Debug, Clone, Copy)]
struct Wish {
    it: usize,
    is_buy: bool,
    is_market: bool,
    /// Thousandths away from the ordinary price.
    away: i64,
    /// Percent of the ordinary quantity, in whole lots or just so.
    size: i64,
    is_whole: bool,
    /// The book is told anew just before.
    is_fresh: bool,
}

impl Wish {
    fn asked(self) -> Asked {
        let price = PRICES[self.it] + PRICES[self.it] * self.away / 1_000;
        let qty = QTYS[self.it] * self.size / 100;
        Asked {
            it: self.it,
            side: if self.is_buy { Side::Buy } else { Side::Sell },
            kind: if self.is_market {
                OrderKind::Market
            } else {
                OrderKind::Limit
            },
            price: if self.is_market { 0 } else { price },
            qty: if self.is_whole {
                qty - qty % LOTS[self.it]
            } else {
                qty
            },
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Word {
    Ack,
    Refuse {
        is_cross: bool,
    },
    Fill {
        percent: i64,
        away: i64,
        fee: i64,
        asset: u16,
        is_again: bool,
    },
    Gone,
    Amended {
        is_done: bool,
    },
}

#[derive(Debug, Clone, Copy)]
enum Person {
    Kill,
    Arm,
    Resume {
        is_second: bool,
        it: Option<usize>,
    },
    Limits {
        it: usize,
        to: Option<(i64, i64)>,
    },
    Gross(i128),
    Value(i128),
    Currency {
        is_btc: bool,
        max: i128,
    },
    Watch {
        loss: i128,
        fall: i128,
        rejects: u32,
        moves: u32,
    },
    Lease(bool),
    /// What the asset is worth of which nobody knew.
    Rate(u64),
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Book {
        it: usize,
        away: i64,
        spread: i64,
    },
    Pass(u64),
    Wish {
        strategy: usize,
        wish: Wish,
    },
    Pair {
        strategy: usize,
        one: Wish,
        two: Wish,
    },
    Amend {
        order: usize,
        away: Option<i64>,
        size: Option<i64>,
    },
    Word {
        order: usize,
        word: Word,
    },
    /// So many orders of a strategy, each answered at once.
    Burst {
        strategy: usize,
        wish: Wish,
        count: usize,
        refused: usize,
        gap_ns: u64,
    },
    /// The venue pays for what is held, or takes.
    Paid {
        it: usize,
        amount: i64,
        asset: u16,
    },
    Person(Person),
}

prop_compose! {
    fn wish()(
        it in 0usize..3, is_buy: bool, is_market in prop::bool::weighted(0.1),
        away in prop_oneof![8 => -20i64..20, 1 => -80i64..80], size in prop_oneof![4 => Just(50i64), 4 => 5i64..100, 1 => -5i64..250],
        is_whole in prop::bool::weighted(0.95), is_fresh in prop::bool::weighted(0.9),
    ) -> Wish {
        Wish { it, is_buy, is_market, away, size, is_whole, is_fresh }
    }
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        3 => Just(Word::Ack),
        1 => any::<bool>().prop_map(|is_cross| Word::Refuse { is_cross }),
        6 => (prop_oneof![2 => Just(100i64), 1 => 1i64..=100], -30i64..30, -2_000i64..20_000, 0u16..6, prop::bool::weighted(0.1)).prop_map(
            |(percent, away, fee, asset, is_again)| Word::Fill { percent, away, fee, asset, is_again }
        ),
        2 => Just(Word::Gone),
        2 => any::<bool>().prop_map(|is_done| Word::Amended { is_done }),
    ]
}

fn person() -> impl Strategy<Value = Person> {
    let money = |most: i128| prop_oneof![1 => Just(0), 3 => 1i128..most];
    prop_oneof![
        1 => Just(Person::Kill),
        8 => Just(Person::Arm),
        4 => (any::<bool>(), proptest::option::of(0usize..3))
            .prop_map(|(is_second, it)| Person::Resume { is_second, it }),
        2 => (0usize..3, proptest::option::weighted(0.8, (1i64..12, 1i64..24)))
            .prop_map(|(it, to)| (it, to.map(|(order, position)| (QTYS[it] * order / 4, QTYS[it] * position / 4))))
            .prop_map(|(it, to)| Person::Limits { it, to }),
        2 => money(8_000).prop_map(Person::Gross),
        1 => money(2_000).prop_map(Person::Value),
        2 => (any::<bool>(), money(4_000)).prop_map(|(is_btc, max)| Person::Currency { is_btc, max }),
        3 => (money(300), money(300), prop_oneof![1 => Just(0), 5 => 1u32..20], prop_oneof![Just(0), 1u32..400])
            .prop_map(|(loss, fall, rejects, moves)| Person::Watch { loss, fall, rejects, moves }),
        2 => prop::bool::weighted(0.8).prop_map(Person::Lease),
        6 => (1u64..500).prop_map(Person::Rate),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0usize..3, prop_oneof![6 => -15i64..15, 1 => -60i64..60], 1i64..8)
            .prop_map(|(it, away, spread)| Event::Book { it, away, spread }),
        4 => prop_oneof![
            4 => 1u64..200_000_000,
            2 => 1u64..2_000_000_000,
            1 => 1u64..12_000_000_000,
            1 => 1u64..90_000_000_000_000,
        ].prop_map(Event::Pass),
        8 => (0usize..2, wish()).prop_map(|(strategy, wish)| Event::Wish { strategy, wish }),
        3 => (0usize..2, wish(), wish()).prop_map(|(strategy, one, two)| Event::Pair { strategy, one, two }),
        2 => (any::<usize>(), proptest::option::of(-20i64..20), proptest::option::of(1i64..120))
            .prop_map(|(order, away, size)| Event::Amend { order, away, size }),
        10 => (any::<usize>(), word()).prop_map(|(order, word)| Event::Word { order, word }),
        1 => (0usize..2, wish(), 40usize..140, 0usize..140, prop_oneof![Just(1_000), Just(60_000_000)])
            .prop_map(|(strategy, wish, count, refused, gap_ns)| Event::Burst { strategy, wish, count, refused, gap_ns }),
        1 => (0usize..3, -300_000i64..300_000, 0u16..6).prop_map(|(it, amount, asset)| Event::Paid { it, amount, asset }),
        3 => person().prop_map(Event::Person),
    ]
}

impl Seen {
    fn add(&mut self, other: &Self) {
        for (rule, count) in &other.rules {
            *self.rules.entry(*rule).or_default() += count;
        }
        self.orders += other.orders;
        self.pairs += other.pairs;
        self.amends += other.amends;
        self.fills += other.fills;
        self.payments += other.payments;
    }
}

/// Both, told the same.
struct Pair<'r> {
    naive: Naive,
    real: Real<'r>,
    trades: u128,
    /// The latest fill's numbers, to be told again.
    last: Option<dp_types::FillReport>,
    seen: Seen,
}

/// What came about: a test in which nothing does shows nothing.
#[derive(Debug, Default)]
struct Seen {
    rules: BTreeMap<u8, usize>,
    orders: usize,
    pairs: usize,
    amends: usize,
    fills: usize,
    payments: usize,
}

impl<'r> Pair<'r> {
    fn new(memory: &'r real::Memory) -> Self {
        let rates = vec![
            (AssetId(0), ONE),
            (real::USDT, 998_700_000_000),
            (real::BNB, 300 * ONE + 7),
        ];
        let real = Real::new(memory, &rates);
        let mut naive = Naive::new(real::rules().to_vec(), rates, real.now);
        for (limits, qty) in naive.limits.iter_mut().zip(QTYS) {
            *limits = Some((qty, 3 * qty));
        }
        let mut pair = Self {
            naive,
            real,
            trades: 0,
            last: None,
            seen: Seen::default(),
        };
        for it in 0..3 {
            pair.book(it, 0, 2);
        }
        pair.pass(1_000_000_000);
        pair
    }

    fn book(&mut self, it: usize, away: i64, spread: i64) {
        let bid = PRICES[it] + PRICES[it] * away / 1_000;
        self.naive.book(it, bid, bid + spread);
        self.real.book(it, bid, bid + spread);
    }

    fn pass(&mut self, ns: u64) {
        self.naive.pass(ns);
        self.real.pass(ns);
    }

    /// The book an order would trade on is told once more, as it stands.
    fn freshen(&mut self, wish: &Wish) {
        if wish.is_fresh {
            let (bid, ask) = self.real.books[wish.it];
            self.naive.book(wish.it, bid, ask);
            self.real.book(wish.it, bid, ask);
        }
    }

    fn live(&self) -> Vec<usize> {
        let orders = self.naive.orders.iter().enumerate();
        let live = orders.filter(|(_, order)| order.stand != Stand::Over);
        live.map(|(at, _)| at).collect()
    }

    /// What the naive one lets leave must have left, and nothing else.
    fn wish(&mut self, strategy: usize, asked: &[Asked]) -> Result<(), TestCaseError> {
        let leaves = self.naive.wish(strategy, asked);
        let sent = self.real.wish(strategy, asked);
        let want: &[Asked] = if leaves { asked } else { &[] };
        let got: Vec<_> = sent
            .iter()
            .map(|it| (it.instrument.0 as usize, it.side, it.price.0, it.qty.0))
            .collect();
        let want_of: Vec<_> = want
            .iter()
            .map(|it| (it.it, it.side, it.price, it.qty))
            .collect();
        prop_assert_eq!(got, want_of, "{:?}", self.naive.rows.last());
        for (asked, order) in want.iter().zip(&sent) {
            self.naive.enter(strategy, asked, order.client_id);
        }
        self.seen.orders += want.len();
        self.seen.pairs += usize::from(want.len() == 2);
        Ok(())
    }

    fn happen(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match *event {
            Event::Book { it, away, spread } => self.book(it, away, spread),
            Event::Pass(ns) => self.pass(ns),
            Event::Wish { strategy, wish } => {
                self.freshen(&wish);
                self.wish(strategy, &[wish.asked()])?;
            }
            Event::Pair { strategy, one, two } => {
                self.freshen(&one);
                self.freshen(&two);
                self.wish(strategy, &[one.asked(), two.asked()])?;
            }
            Event::Amend { order, away, size } => self.amend(order, away, size)?,
            Event::Word { order, word } => {
                let live = self.live();
                if !live.is_empty() {
                    self.word(live[order % live.len()], word);
                }
            }
            Event::Burst {
                strategy,
                wish,
                count,
                refused,
                gap_ns,
            } => {
                for at in 0..count {
                    let before = self.naive.orders.len();
                    self.book(wish.it, 0, 2);
                    self.wish(strategy, &[wish.asked()])?;
                    if self.naive.orders.len() > before {
                        let word = if at < refused {
                            Word::Refuse { is_cross: false }
                        } else {
                            Word::Gone
                        };
                        self.word(before, word);
                    }
                    self.pass(gap_ns);
                    self.agree()?;
                }
            }
            Event::Paid { it, amount, asset } => {
                self.naive.paid(it, (amount, AssetId(asset)));
                self.trades += 1;
                let decimal = Decimal {
                    mantissa: amount,
                    exponent: -4,
                };
                self.real.paid(it, self.trades, (decimal, AssetId(asset)));
                self.seen.payments += 1;
            }
            Event::Person(person) => self.person(person),
        }
        Ok(())
    }

    fn amend(
        &mut self,
        order: usize,
        away: Option<i64>,
        size: Option<i64>,
    ) -> Result<(), TestCaseError> {
        let live = self.live();
        let Some(at) = live.get(order % live.len().max(1)).copied() else {
            return Ok(());
        };
        let order = self.naive.orders[at].clone();
        let price = away.map(|away| PRICES[order.it] + PRICES[order.it] * away / 1_000);
        let qty = size.map(|size| QTYS[order.it] * size / 100);
        let leaves = self.naive.amend(at, price, qty);
        self.seen.amends += usize::from(leaves);
        prop_assert_eq!(
            self.real
                .amend(order.strategy, order.id, order.it, price, qty),
            leaves
        );
        Ok(())
    }

    fn word(&mut self, at: usize, word: Word) {
        let order = self.naive.orders[at].clone();
        if let Word::Fill { is_again: true, .. } = word {
            if let Some(last) = self.last {
                self.real.fill(&last);
            }
            return;
        }
        if order.stand == Stand::Over {
            return;
        }
        match word {
            Word::Ack => {
                self.naive.acked(at);
                self.real.ack(&order);
            }
            Word::Refuse { is_cross } => {
                // A venue that has filled some of it cannot refuse the order.
                if order.done > 0 || order.stand != Stand::Asked {
                    return;
                }
                self.naive.over(at, Some(is_cross));
                self.real.refuse(&order, is_cross);
            }
            Word::Gone => {
                self.naive.over(at, None);
                self.real.gone(&order);
            }
            Word::Amended { is_done } => {
                if !order.is_amending {
                    return;
                }
                let is_done = is_done && order.asked.1 > order.done;
                self.naive.amended(at, is_done);
                self.real.amended(&order, is_done);
            }
            Word::Fill {
                percent,
                away,
                fee,
                asset,
                ..
            } => {
                let left = order.qty - order.done;
                let qty = (left * percent / 100).max(1);
                let price = PRICES[order.it] + PRICES[order.it] * away / 1_000;
                self.naive.filled(at, price, qty, (fee, AssetId(asset)));
                self.trades += 1;
                let fee = Decimal {
                    mantissa: fee,
                    exponent: -4,
                };
                let report =
                    real::report_of(&order, self.trades, (price, qty), (fee, AssetId(asset)));
                self.real.fill(&report);
                self.seen.fills += 1;
                self.last = Some(report);
            }
        }
    }

    fn person(&mut self, person: Person) {
        let now = self.real.at();
        let region = self.real.region;
        let engine = &mut self.real.engine;
        match person {
            Person::Kill => {
                region.kill().kill("ann", "asked", now.unix);
                self.naive.set_word(true);
            }
            Person::Arm => {
                region.kill().arm("ann", "asked", now.unix);
                self.naive.set_word(false);
            }
            Person::Resume { is_second, it } => {
                let venue = real::VENUES[usize::from(is_second)];
                let it = it.filter(|it| self.naive.rules[*it].venue == venue);
                engine.resume(venue, it.map(|it| InstrumentId(it as u32)), "ann", now.unix);
                self.naive.resume(venue, it);
            }
            Person::Limits { it, to } => {
                let limits = to.map(|(order, position)| Limits {
                    order_qty_max: Qty(order),
                    position_max: Qty(position),
                });
                engine.set_limits(InstrumentId(it as u32), limits);
                self.naive.limits[it] = to;
            }
            Person::Gross(max) => {
                engine.set_exposure_max(Notional(max * ONE));
                self.naive.gross_max = max * ONE;
            }
            Person::Value(max) => {
                engine.set_order_value_max(Notional(max * ONE));
                self.naive.order_max = max * ONE;
            }
            Person::Currency { is_btc, max } => {
                let asset = if is_btc { real::BTC } else { real::ETH };
                engine.set_currency_max(asset, Notional(max * ONE));
                self.naive.currency_max.retain(|(held, _)| *held != asset);
                self.naive.currency_max.push((asset, max * ONE));
            }
            Person::Watch {
                loss,
                fall,
                rejects,
                moves,
            } => {
                let watch = WatchLimits {
                    day_loss_max: Notional(loss * ONE),
                    drawdown_max: Notional(fall * ONE),
                    reject_pct_max: rejects,
                    move_bps_max: moves,
                    move_ns: MOVE_NS,
                };
                // The first one names the window, and parts of another length are other parts: none was looked at yet.
                engine.set_watch(watch);
                self.naive.watch = watch;
            }
            Person::Rate(units) => {
                let rate = units * ONE as u64;
                engine.set_rate(real::UNKNOWN, rate);
                self.naive.told_rate(real::UNKNOWN, rate.into());
            }
            Person::Lease(is_held) => {
                self.real.set_lease(is_held);
                self.naive.word_lease = is_held;
            }
        }
    }

    fn agree(&mut self) -> Result<(), TestCaseError> {
        let rows = self.real.rows();
        prop_assert_eq!(&rows, &self.naive.rows);
        for (rule, ..) in self.naive.rows.drain(..) {
            *self.seen.rules.entry(rule).or_default() += 1;
        }
        for it in 0..3 {
            let id = InstrumentId(it as u32);
            for strategy in 0..=naive::NOBODY {
                let part = self.real.part(id, strategy);
                prop_assert_eq!(
                    part,
                    self.naive.position(it, Some(strategy)),
                    "{} {}",
                    it,
                    strategy
                );
            }
            prop_assert_eq!(self.real.total(id), self.naive.position(it, None));
        }
        let halts = self.naive.halts.iter();
        for (venue, it) in halts.clone() {
            let it = it.map(|it| InstrumentId(it as u32));
            prop_assert!(self.real.engine.is_halted(*venue, it));
        }
        prop_assert_eq!(self.real.region.kill().is_killed(), self.naive.word_killed);
        let live = self
            .naive
            .orders
            .iter()
            .filter(|order| order.stand != Stand::Over);
        prop_assert_eq!(self.real.engine.oms().all_live().count(), live.count());
        if core::mem::take(&mut self.naive.is_shown) {
            let shown = self.real.risk();
            let (_, at_midnight, highest, equity) = self.naive.equity.unwrap();
            prop_assert_eq!(
                (shown.at_midnight.0, shown.highest.0, shown.equity.0),
                (at_midnight, highest, equity)
            );
            prop_assert_eq!(shown.gross.0, self.naive.gross_shown());
            prop_assert_eq!(shown.halts_count as usize, halts.count());
        }
        Ok(())
    }
}

#[test]
fn agrees_with_a_desk_written_for_clarity() {
    let told = std::env::var("SPINLANE_ORACLE").ok();
    let cases = told.and_then(|told| told.parse().ok()).unwrap_or(300);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let events = proptest::collection::vec(event(), 1..80);
    let seen = RefCell::new(Seen::default());
    let result = runner.run(&events, |events| {
        let memory = real::Memory::new();
        let mut pair = Pair::new(&memory);
        pair.agree()?;
        for event in &events {
            pair.happen(event)?;
            pair.agree()?;
        }
        seen.borrow_mut().add(&pair.seen);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let seen = seen.into_inner();
    println!(
        "{cases} sequences: {} orders, {} pairs, {} amends, {} fills, {} payments",
        seen.orders, seen.pairs, seen.amends, seen.fills, seen.payments
    );
    for (rule, count) in &seen.rules {
        println!("{:>24} {count}", dp_risk::rule_name(*rule).unwrap_or("?"));
    }
    // Epochs are all of one run, books are whole, venues compared; what venues say of the account is none of this.
    let never = [
        "stale_epoch",
        "unreconciled",
        "book_unproven",
        "no_reference",
        "position_mismatch",
        "balance_mismatch",
    ];
    let all = (1..=Trip::FIRST + Trip::NAMES.len() as u8)
        .filter_map(|code| Some((code, dp_risk::rule_name(code)?)));
    for (code, name) in all.filter(|(_, name)| !never.contains(name)) {
        assert!(seen.rules.contains_key(&code), "{name} never came about");
    }
}
