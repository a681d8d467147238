//! What an engine is told, recorded and played again: a session with everything that befalls one, made of a seed.

use crate::engine::{ID, VENUE, setup, whole};
use dp_journal::Reader;
use dp_lane::inputs::{Recorder, ReplayFault, Replayed, Shelf, keep, replay};
use dp_lane::{Action, Engine, Fact, Outcome, Seating, Wall};
use dp_risk::Limits;
use dp_shm::layout::Shape;
use dp_shm::{Command, CommandNote, Counter, InstrumentLimits, Lock, Region};
use dp_strategy::{Kind, SHIPPED, Values};
use dp_types::{
    AssetId, Balance, BookMsg, BookMsgKind, Decimal, Epoch, FillReport, FundingReport, Instrument,
    LaneId, Liquidity, NewOrder, Notional, Now, OrderId, OrderReport, OrderState, Qty, QuoteMsg,
    RawLevel, RejectReason, Side, StrategyId, StrategyState, Text, TradeId, TradeMsg, Tsc,
    UnixNanos, VenueNanos,
};
use dp_venue_api::{Event, RequestAck};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MILLI: u64 = 1_000_000;
const STEPS: u32 = 20_000;

/// Numbers of a seed: `SplitMix64`.
struct Seed(u64);

impl Seed {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    const fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    const fn is_one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

fn instrument() -> Instrument {
    Instrument {
        is_live: true,
        is_spot: true,
        tick: dp_types::Price(1),
        lot: Qty(1),
        base: AssetId(0),
        quote: AssetId(1),
        notional_min: Notional(1),
        ..Instrument::bare(ID, VENUE, Text::new("BTC-USDT").unwrap(), 0, 0)
    }
}

/// A balance that follows from the trades told so far, not from ours.
const fn balance(trades: u128) -> Event<'static> {
    Event::Balance(Balance {
        venue: VENUE,
        asset: AssetId(1),
        free: Decimal {
            mantissa: 1_000_000 + (trades % 7) as i64,
            exponent: 0,
        },
        locked: Decimal::ZERO,
    })
}

/// An engine with the shipped market maker, its venue, its people and its database, all by one seed.
struct Session<'r> {
    engine: Engine<'r>,
    region: &'r Region,
    reader: Reader<'r>,
    seed: Seed,
    now: u64,
    book_id: i64,
    mid: i64,
    trades: u128,
    /// Orders at the venue, and what it has filled of each.
    live: Vec<(NewOrder, i64)>,
    is_killed: bool,
    orders: u64,
    /// Quote units that may be lost in a day.
    loss_max: i128,
    /// The venue pays funding.
    is_paid: bool,
}

impl<'r> Session<'r> {
    fn new(region: &'r Region, recorder: Option<Recorder>, seed: u64) -> Self {
        let epoch = Epoch(3);
        let now = 1_700_000_000_000 * MILLI;
        region.begin_run(epoch, 1_000_000_000, UnixNanos(now));
        region.lease().hold_always(epoch);
        let mut wall = Wall::new(
            region,
            region.lane_writer(LaneId(0)).unwrap(),
            LaneId(0),
            epoch,
        );
        if let Some(recorder) = recorder {
            wall.record(recorder);
        }
        let setup = setup(epoch, &[instrument()]);
        let mut engine = Engine::new(wall, setup);
        let at = Now {
            unix: UnixNanos(now),
            tsc: Tsc(0),
        };
        engine.recover(&dp_journal::Recovered::default(), at);
        engine.set_instruments(VENUE, &[instrument()]);
        let limits = Limits {
            order_qty_max: Qty(10),
            position_max: Qty(20),
        };
        engine.set_limits(ID, Some(limits));
        engine.set_currency(AssetId(1));
        engine.set_balance_tolerance(AssetId(1), Notional(i128::MAX));
        let kind = SHIPPED[0];
        let given = |name: &str| match name {
            "quote_qty" => Some("2".to_owned()),
            "position_max" => Some("10".to_owned()),
            _ => None,
        };
        let values = Values::read(kind.params, &instrument(), given).unwrap();
        engine.sit(Seating {
            id: StrategyId(0),
            name: Text::lossy("quotes"),
            legs: vec![ID],
            kind,
            values,
            configured: values,
            identity: 7,
            goal: StrategyState::Running,
            saved: None,
        });
        let log = region.lane(LaneId(0)).unwrap().journal;
        Self {
            engine,
            region,
            reader: Reader::from_oldest(log),
            seed: Seed(seed),
            now,
            book_id: 10,
            mid: 10_000,
            trades: 0,
            live: Vec::new(),
            is_killed: false,
            orders: 0,
            is_paid: false,
            loss_max: 1_000_000,
        }
    }

    const fn at(&self) -> Now {
        Now {
            unix: UnixNanos(self.now),
            tsc: Tsc(self.now / 7),
        }
    }

    fn run(&mut self) {
        self.log_in();
        for _ in 0..STEPS {
            self.step();
        }
        self.engine.stop();
        self.turn();
    }

    fn log_in(&mut self) {
        for fact in [Fact::LoggedIn, Fact::ReconcileStarted, Fact::Reconciled] {
            let now = self.at();
            if fact == Fact::Reconciled {
                // Last in a comparison, and seldom what fills make of it.
                self.engine.on_event(&balance(self.trades), now, now.tsc);
            }
            self.engine.on_fact(VENUE, fact, now);
        }
        // Nothing was on its list.
        self.live.clear();
        self.obey();
    }

    fn step(&mut self) {
        self.now += 1 + self.seed.below(20 * MILLI);
        match self.seed.below(100) {
            0..60 => self.book(),
            60..70 => self.trade(),
            70..95 => self.answer(),
            _ => self.happen(),
        }
        self.turn();
    }

    fn turn(&mut self) {
        let now = self.at();
        self.engine.read_words(now);
        self.engine.on_tick(now);
        self.obey();
        // The database keeps up, but for a while now and then it does not.
        if !(self.now / (20_000 * MILLI)).is_multiple_of(4) {
            self.reader.by_ref().for_each(drop);
            self.reader.set_drained(self.reader.position());
        }
    }

    /// Does what the engine wants, some of it badly.
    fn obey(&mut self) {
        while let Some(action) = self.engine.next_action() {
            let now = self.at();
            match action {
                Action::New(order) => {
                    self.orders += 1;
                    let id = order.client_id;
                    let outcome = match self.seed.below(30) {
                        0 => Outcome::NewRefused(id, RejectReason::RateLimit),
                        1 => Outcome::NewWithheld(id),
                        _ => {
                            self.live.push((*order, 0));
                            Outcome::NewSent(id)
                        }
                    };
                    self.engine.on_outcome(outcome, now);
                }
                Action::Amend(amend) => self
                    .engine
                    .on_outcome(Outcome::AmendSent(amend.client_id), now),
                Action::Cancel(cancel) => {
                    self.engine
                        .on_outcome(Outcome::CancelSent(cancel.client_id), now);
                    self.gone(cancel.client_id);
                }
                Action::CancelAll(_) => {
                    for (order, _) in self.live.clone() {
                        self.gone(order.client_id);
                    }
                }
                Action::Query(cancel) => self.gone(cancel.client_id),
                Action::Reconcile(_) if self.seed.is_one_in(2) => self.log_in(),
                _ => {}
            }
        }
    }

    fn gone(&mut self, id: dp_types::ClientOrderId) {
        self.live.retain(|(order, _)| order.client_id != id);
        if !self.seed.is_one_in(10) {
            self.report(id, OrderState::Cancelled);
        }
    }

    fn report(&mut self, id: dp_types::ClientOrderId, state: OrderState) {
        let report = OrderReport {
            instrument: ID,
            client_id: Some(id),
            order_id: OrderId(u128::from(id.0) << 64 | 7),
            side: None,
            state,
            reason: RejectReason::None,
            price: None,
            qty: None,
            cum: None,
            venue_ns: VenueNanos(self.now - 1_000),
        };
        let now = self.at();
        self.engine.on_event(&Event::Order(report), now, now.tsc);
    }

    fn book(&mut self) {
        self.book_id += 1;
        self.mid += self.seed.below(5) as i64 - 2;
        let level = |price: i64| RawLevel {
            price: whole(price),
            qty: whole(50),
        };
        let bids: Vec<_> = (1..4).map(|at| level(self.mid - at)).collect();
        let asks: Vec<_> = (1..4).map(|at| level(self.mid + at)).collect();
        let msg = BookMsg {
            instrument: ID,
            kind: BookMsgKind::Snapshot,
            first_id: self.book_id,
            last_id: self.book_id,
            prev_id: -1,
            checksum: None,
            bids: &bids,
            asks: &asks,
            venue_ns: VenueNanos(self.now - 1_000),
        };
        let now = self.at();
        self.engine.on_event(&Event::Book(msg), now, now.tsc);
    }

    fn trade(&mut self) {
        let now = self.at();
        self.trades += 1;
        let level = |price: i64| RawLevel {
            price: whole(price),
            qty: whole(1),
        };
        if self.seed.is_one_in(2) {
            let trade = TradeMsg {
                instrument: ID,
                trade_id: TradeId(self.trades),
                taker: Side::Buy,
                price: whole(self.mid),
                qty: whole(1),
                venue_ns: VenueNanos(self.now),
            };
            self.engine.on_event(&Event::Trade(trade), now, now.tsc);
        } else {
            let quote = QuoteMsg {
                instrument: ID,
                update_id: self.book_id,
                bid: level(self.mid - 1),
                ask: level(self.mid + 1),
                venue_ns: VenueNanos(self.now),
            };
            self.engine.on_event(&Event::Quote(quote), now, now.tsc);
        }
    }

    /// The venue answers one of the live orders.
    fn answer(&mut self) {
        if self.live.is_empty() {
            return;
        }
        let at = self.seed.below(self.live.len() as u64) as usize;
        let (order, _) = self.live[at];
        let now = self.at();
        match self.seed.below(6) {
            0 | 1 => self.report(order.client_id, OrderState::Ack),
            2 | 3 => self.fill(at),
            4 => {
                let ack = RequestAck {
                    client_id: order.client_id,
                    order_id: OrderId(0),
                    reason: RejectReason::None,
                    code: 0,
                    venue_ns: VenueNanos(0),
                };
                self.engine.on_event(&Event::Ack(ack), now, now.tsc);
            }
            _ => {
                self.live.swap_remove(at);
                self.report(order.client_id, OrderState::Rejected);
            }
        }
    }

    fn fill(&mut self, at: usize) {
        self.live[at].1 += 1;
        let (order, filled) = self.live[at];
        let now = self.at();
        self.trades += 1;
        let report = FillReport {
            instrument: ID,
            client_id: Some(order.client_id),
            order_id: OrderId(u128::from(order.client_id.0) << 64 | 7),
            trade_id: TradeId(self.trades),
            side: order.side,
            price: whole(order.price.0),
            qty: whole(1),
            cum: Some(whole(filled)),
            fee: Decimal {
                mantissa: 3,
                exponent: -4,
            },
            fee_asset: AssetId(1),
            liquidity: Liquidity::Maker,
            venue_ns: VenueNanos(self.now),
        };
        self.engine.on_event(&Event::Fill(report), now, now.tsc);
        if self.seed.is_one_in(20) {
            // Told twice.
            self.engine.on_event(&Event::Fill(report), now, now.tsc);
        }
        if self.is_paid && self.trades.is_multiple_of(3) {
            self.pay();
        }
        if filled == order.qty.0 {
            self.live.swap_remove(at);
            self.report(order.client_id, OrderState::Filled);
        }
    }

    /// The venue pays funding, or takes some, and tells it twice.
    fn pay(&mut self) {
        let report = FundingReport {
            instrument: ID,
            id: TradeId(self.trades / 2),
            amount: Decimal {
                mantissa: 7 - (self.trades % 15) as i64,
                exponent: -3,
            },
            asset: AssetId((self.trades % 2) as u16),
            venue_ns: VenueNanos(self.now),
        };
        for _ in 0..2 {
            let now = self.at();
            self.engine.on_event(&Event::Funding(report), now, now.tsc);
        }
    }

    /// Something rarer.
    fn happen(&mut self) {
        let now = self.at();
        let at = UnixNanos(self.now);
        match self.seed.below(12) {
            0 => {
                self.engine.on_fact(VENUE, Fact::OrdersLost, now);
                self.now += 40 * MILLI;
                self.log_in();
            }
            1 => self.engine.on_fact(VENUE, Fact::FeedLost(0), now),
            2 => self.engine.on_fact(VENUE, Fact::PrivateFault, now),
            3 => {
                let until = at.after(50 * MILLI);
                self.engine.on_fact(VENUE, Fact::RateLimited(until), now);
            }
            4 if self.is_killed || self.seed.is_one_in(4) => {
                self.is_killed = !self.is_killed;
                let kill = self.region.kill();
                if self.is_killed {
                    kill.kill("somebody", "of a seed", at);
                } else {
                    kill.arm("somebody", "of a seed", at);
                }
            }
            5 => {
                let node = dp_shm::NodeLimits {
                    collar_bps: 1_000 + self.seed.below(100) as u32,
                    orders_per_s_max: 1_000,
                    book_age_ms_max: 500,
                    reject_pct_max: 30,
                    move_bps_max: 20,
                    move_ms: 1_000,
                    day_loss_max: Notional(self.loss_max * 1_000_000_000_000),
                    ..dp_shm::NodeLimits::default()
                };
                let limits = [InstrumentLimits {
                    order_qty_max: Qty(5 + self.seed.below(5) as i64),
                    position_max: Qty(20),
                }];
                let guard = self.region.lock(Lock::Control).unwrap();
                self.region.config().publish(&guard, &node, &limits);
            }
            6 if self.seed.is_one_in(2) => self.move_strategy(),
            6 => self.command(Command::Pause),
            7 => self.command(Command::StrategyStart(StrategyId(0))),
            9 => self.command(Command::ResumeVenue(VENUE)),
            10 => self.command(Command::ResumeInstrument(ID)),
            11 => self.command(Command::Reconcile(VENUE)),
            _ => self.command(Command::Resume),
        }
    }

    /// Somebody moves the strategy, or sets it.
    fn move_strategy(&mut self) {
        let id = StrategyId(0);
        let command = match self.seed.below(5) {
            0 => Command::StrategyStop(id),
            1 => Command::StrategyPause(id),
            2 => Command::StrategyStart(id),
            3 => Command::StrategyResume(id),
            _ => Command::StrategySet {
                id,
                param: 2,
                value: 1 + self.seed.below(4) as i64,
                is_last: true,
            },
        };
        self.command(command);
    }

    fn command(&mut self, command: Command) {
        let note = CommandNote {
            command,
            who: Text::lossy("somebody"),
            at: UnixNanos(self.now),
        };
        self.engine.on_command(&note);
    }
}

/// What a session came to.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    orders: u64,
    fills: u64,
    refusals: u64,
    trips: u64,
}

fn session(dir: &Path, (seed, loss_max): (u64, i128), recorder: Option<Recorder>) -> Came {
    let shape = Shape::new(1, 4, 256, 256);
    let shm = dir.join("shm");
    let (region, _) = Region::open_or_create(&shm, &shape).unwrap();
    let mut session = Session::new(&region, recorder, seed);
    session.loss_max = loss_max;
    session.is_paid = !seed.is_multiple_of(2);
    session.run();
    let counters = &session.engine.wall.counters;
    let came = Came {
        orders: session.orders,
        fills: counters.get(Counter::Fills),
        refusals: counters.get(Counter::JournalRefusals),
        trips: counters.get(Counter::RiskTrips),
    };
    drop(session);
    std::fs::remove_file(&shm).unwrap();
    came
}

/// Records a session of this seed; returns the file and what it came to.
fn record(dir: &Path, seed: u64) -> (PathBuf, Came) {
    record_with(dir, seed, 1_000_000)
}

fn record_with(dir: &Path, seed: u64, loss_max: i128) -> (PathBuf, Came) {
    let path = dir.join(format!("{seed}.inputs"));
    let shelf = Arc::new(Shelf::default());
    let writer = {
        let (shelf, path) = (Arc::clone(&shelf), path.clone());
        std::thread::spawn(move || keep(&shelf, &path, u64::MAX))
    };
    let came = session(dir, (seed, loss_max), Some(Recorder::new(shelf).patient()));
    writer.join().unwrap().unwrap();
    (path, came)
}

fn play(path: &Path) -> Result<Replayed, ReplayFault> {
    replay(path, &SHIPPED, &mut |_, _| {})
}

/// What came out of session 0, whichever build played it.
const DIGEST: &str = "6c7b9d1fea1428fa5d1acf7036031ffc2bfd4017a06b8f50c861f2119ec4ec7f";

#[test]
fn a_recorded_session_plays_again_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let (mut digests, mut refusals) = (Vec::new(), 0);
    for seed in 0..4 {
        let (path, came) = record(dir.path(), seed);
        let unrecorded = session(dir.path(), (seed, 1_000_000), None);
        assert_eq!(came, unrecorded, "recording changes nothing");
        let first = play(&path).unwrap();
        assert_eq!((first.diverged, first.torn_at), (None, None), "seed {seed}");
        assert_eq!(first.fills, came.fills, "seed {seed}");
        assert!(
            first.orders >= came.orders && came.orders > 100,
            "seed {seed}: {came:?}"
        );
        assert!(came.fills > 30, "seed {seed}: {came:?}");
        refusals += came.refusals;
        assert!(first.checks > 1_000, "seed {seed}: {first:?}");
        assert_eq!(play(&path).unwrap(), first, "seed {seed}");
        if seed == 0 {
            assert_eq!(
                first.digest_text(),
                DIGEST,
                "debug and release play the same"
            );
        }
        digests.push(first.digest);
    }
    assert!(refusals > 0, "no journal was ever full");
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), 4, "a digest tells one session from another");
}

/// The engine itself turns the switch and obeys it within the event.
#[test]
fn a_loss_that_kills_plays_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut trips = 0;
    for seed in 20..24 {
        let (path, came) = record_with(dir.path(), seed, 1);
        let played = play(&path).unwrap();
        assert_eq!(
            (played.diverged, played.torn_at),
            (None, None),
            "seed {seed}"
        );
        assert_eq!(played.fills, came.fills, "seed {seed}");
        trips += came.trips;
    }
    assert!(trips > 0, "nothing was lost");
}

/// A recording's only block, and the file it would be with that block changed.
struct Block {
    head: Vec<u8>,
    bytes: Vec<u8>,
}

impl Block {
    /// All blocks of a file as one.
    fn of(file: &[u8]) -> Self {
        let (head, mut rest) = file.split_at(8);
        let mut bytes = Vec::new();
        while !rest.is_empty() {
            let len = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
            bytes.extend_from_slice(&rest[12..12 + len]);
            rest = &rest[12 + len..];
        }
        Self {
            head: head.to_vec(),
            bytes,
        }
    }

    fn file(&self, bytes: &[u8]) -> Vec<u8> {
        let mut file = self.head.clone();
        file.extend(0u32.to_le_bytes());
        file.extend((bytes.len() as u32).to_le_bytes());
        file.extend(crc32fast::hash(bytes).to_le_bytes());
        file.extend(bytes);
        file
    }
}

#[test]
fn another_input_is_found_out_and_hostile_bytes_harm_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = record(dir.path(), 9);
    let block = Block::of(&std::fs::read(&path).unwrap());
    // A day's first minutes are enough to be changed.
    let whole = &block.bytes[..40_000];
    std::fs::write(&path, block.file(whole)).unwrap();
    let right = play(&path).unwrap();
    assert_eq!(right.diverged, None);
    let (mut found, mut tried) = (0, 0);
    // But not its last: what the input that was cut short after led to has no sum behind it.
    for at in (0..whole.len() - 2_000).step_by(97) {
        let mut hurt = whole.to_vec();
        hurt[at] ^= 1 << (at % 8);
        std::fs::write(&path, block.file(&hurt)).unwrap();
        tried += 1;
        // What nothing was decided on may be another (the counter's time, a level deep in the book): then nothing is.
        match play(&path) {
            Ok(played) if played.diverged.is_none() && played.inputs == right.inputs => {
                assert_eq!(played.digest, right.digest, "byte {at}");
            }
            _ => found += 1,
        }
    }
    assert!(
        found * 4 > tried,
        "{found} of {tried} changed recordings were found out"
    );
}

#[test]
fn a_cut_recording_plays_as_far_as_it_is_whole_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = record(dir.path(), 5);
    let whole = play(&path).unwrap();
    let file = std::fs::read(&path).unwrap();
    std::fs::write(&path, &file[..file.len() * 2 / 3]).unwrap();
    let cut = play(&path).unwrap();
    assert!(cut.torn_at.is_some() && cut.diverged.is_none(), "{cut:?}");
    assert!(cut.inputs > whole.inputs / 2 && cut.inputs < whole.inputs);
    std::fs::write(&path, &file[..8]).unwrap();
    assert!(matches!(play(&path), Err(ReplayFault::NoEngine)));
    let none: [Kind; 0] = [];
    std::fs::write(&path, &file).unwrap();
    let unknown = replay(&path, &none, &mut |_, _| {});
    assert!(matches!(unknown, Err(ReplayFault::UnknownKind(name)) if name == "market_maker"));
}
