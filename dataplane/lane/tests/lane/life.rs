//! Strategies' lives in the engine: what people ask, what breaks, what is kept over a restart.

use crate::engine::{Desk, ID, Memory, SECOND, fill, report, whole};
use dp_journal::Entry;
use dp_journal::entry::{StrategyCause, StrategyEvent};
use dp_lane::{Action, Seating};
use dp_shm::{Command, Region, SavedState, StrategyStatus};
use dp_strategy::{
    Inputs, Intents, Kind, Param, ParamFault, StateFault, StateReader, StateWriter, Strategy,
    Values, View,
};
use dp_types::{
    FillReport, InstrumentId, LaneId, LiveOrder, OrderKind, OrderState, Price, Qty, QuoteMsg,
    RawLevel, Side, StrategyId, StrategyState, Text, Tif, TradeId, TradeMsg, UnixNanos, VenueNanos,
};
use dp_venue_api::Event;

const FRAGILE: StrategyId = StrategyId(1);
const MINUTE: u64 = 60 * SECOND;

/// Where it breaks.
const BOOK: i64 = 1;
const TRADE: i64 = 2;
const QUOTE: i64 = 3;
const FILL: i64 = 4;
const ORDER: i64 = 5;
const TIMER: i64 = 6;
const SAVE: i64 = 7;
const RESTORE: i64 = 8;
const SET: i64 = 9;
const MAKE: i64 = 10;
const DROP: i64 = 11;
/// Not a panic: more wishes than fit, on each book.
const FLOOD: i64 = 12;
/// Nor this: it refuses what was saved.
const FORGET: i64 = 13;

/// Buys at 99 whenever it may and has nothing live, counts books, and breaks where it is told to.
struct Fragile {
    at: i64,
    qty: Qty,
    books: i64,
}

const PARAMS: [Param; 2] = [
    Param::count("break_at", 0, (0, 20), "where it breaks"),
    Param::count("qty", 1, (1, 5), "how much it buys"),
];

const KIND: Kind = Kind {
    name: "fragile",
    help: "breaks where it is told to",
    params: &PARAMS,
    legs: (1, 1),
    make: |values| {
        let made = Fragile {
            at: values.get(0),
            qty: Qty(values.get(1)),
            books: 0,
        };
        made.breaks(MAKE);
        Ok(Box::new(made))
    },
};

impl Fragile {
    fn breaks(&self, here: i64) {
        assert!(self.at != here, "broke at {here}");
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        // Books are counted only by one that has a seat; `at` may be asked for too.
        assert!(self.at != DROP || self.books == 0, "broke when dropped");
    }
}

impl Strategy for Fragile {
    fn name(&self) -> &'static str {
        "fragile"
    }

    fn state_version(&self) -> u32 {
        3
    }

    fn save(&self, out: &mut StateWriter) {
        self.breaks(SAVE);
        out.put(self.books);
    }

    fn restore(&mut self, saved: &mut StateReader<'_>) -> Result<(), StateFault> {
        self.breaks(RESTORE);
        self.books = saved.take()?;
        if self.at == FORGET {
            return Err(StateFault("it wants to forget"));
        }
        Ok(())
    }

    fn set(&mut self, values: &Values) -> Result<(), ParamFault> {
        self.breaks(SET);
        if values.get(0) == FORGET {
            return Err(ParamFault::Together("it cannot be told to forget"));
        }
        (self.at, self.qty) = (values.get(0), Qty(values.get(1)));
        Ok(())
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        self.books += 1;
        out.signal(self.books);
        if view.can_trade && view.live.is_empty() {
            out.new_order(
                Side::Buy,
                OrderKind::PostOnly,
                Tif::Gtc,
                Price(99),
                self.qty,
            );
        }
        if self.at == FLOOD {
            for _ in 0..40 {
                out.cancel(dp_types::ClientOrderId(1));
            }
        }
        self.breaks(BOOK);
        self.breaks(DROP);
    }

    fn on_trade(&mut self, _: &View<'_>, _: &TradeMsg, _: &mut Intents) {
        self.breaks(TRADE);
    }

    fn on_quote(&mut self, _: &View<'_>, _: &QuoteMsg, _: &mut Intents) {
        self.breaks(QUOTE);
    }

    fn on_fill(&mut self, _: &View<'_>, _: &FillReport, _: &mut Intents) {
        self.breaks(FILL);
    }

    fn on_order(&mut self, _: &View<'_>, _: &LiveOrder, _: OrderState, _: &mut Intents) {
        self.breaks(ORDER);
    }

    fn on_timer(&mut self, _: &View<'_>, _: &mut Intents) {
        self.breaks(TIMER);
    }
}

fn values(at: i64) -> Values {
    let mut raw = [0; dp_strategy::PARAMS_MAX];
    (raw[0], raw[1]) = (at, 1);
    Values::from_raw(&PARAMS, &raw).unwrap()
}

fn seating(at: i64) -> Seating {
    Seating {
        id: FRAGILE,
        name: Text::lossy("fragile-1"),
        legs: vec![ID],
        kind: KIND,
        values: values(at),
        configured: values(at),
        identity: 77,
        goal: StrategyState::Running,
        saved: None,
    }
}

/// A desk where the buyer and a fragile one trade.
fn desk(memory: &Memory, at: i64) -> Desk<'_> {
    let mut desk = Desk::new(&memory.region, 1);
    desk.settle(&[]);
    desk.engine.sit(seating(at));
    desk
}

fn status(region: &Region) -> StrategyStatus {
    region.strategy(FRAGILE).unwrap().read().unwrap()
}

fn events(desk: &Desk<'_>) -> Vec<StrategyEvent> {
    let of = |entry: &Entry| match entry {
        Entry::Strategy(event) => Some(*event),
        _ => None,
    };
    desk.journal().iter().filter_map(of).collect()
}

/// Gives commands as the command line does, and returns what became of the last of them.
fn command(desk: &mut Desk<'_>, region: &Region, commands: &[Command]) -> String {
    let at = UnixNanos(desk.at().unix.0 + 7);
    {
        let mut sender = region.command_sender(LaneId(0)).unwrap();
        for command in commands {
            sender.send(*command, "ann", at).unwrap();
        }
    }
    desk.pass(0);
    desk.engine.take_commands();
    desk.pass(0);
    let status = status(region);
    assert_eq!(status.answered, at, "answered");
    status.answer.as_str().to_owned()
}

fn quantities(desk: &Desk<'_>) -> Vec<i64> {
    let of = |action: &Action| match action {
        Action::New(order) if order.price == Price(99) => Some(order.qty.0),
        _ => None,
    };
    desk.actions.iter().filter_map(of).collect()
}

/// Its order of this many places from the end, acknowledged.
fn acknowledged(desk: &mut Desk<'_>) -> dp_types::ClientOrderId {
    let of = |action: &Action| match action {
        Action::New(order) if order.price == Price(99) => Some(order.client_id),
        _ => None,
    };
    let id = desk.actions.iter().rev().find_map(of).unwrap();
    desk.engine.on_new_sent(id, desk.at());
    desk.hear(&Event::Order(report(id, OrderState::Ack, 0)));
    id
}

fn cancels_of(desk: &Desk<'_>, id: dp_types::ClientOrderId) -> usize {
    desk.has(|action| matches!(action, Action::Cancel(order) if order.client_id == id))
}

#[test]
fn people_pause_resume_stop_and_start_a_strategy_and_each_is_on_record() {
    let memory = Memory::new();
    let region = &memory.region;
    let mut desk = desk(&memory, 0);
    desk.book(0);
    let id = acknowledged(&mut desk);
    assert_eq!(status(region).state, StrategyState::Running);

    assert_eq!(
        command(&mut desk, region, &[Command::StrategyPause(FRAGILE)]),
        ""
    );
    assert_eq!(status(region).state, StrategyState::Paused);
    desk.pass(SECOND);
    assert!(cancels_of(&desk, id) > 0, "its quotes are pulled");
    desk.hear(&Event::Order(report(id, OrderState::Cancelled, 0)));
    let heard = status(region).signal;
    for _ in 0..3 {
        desk.book(0);
    }
    desk.pass(SECOND);
    assert_eq!(
        status(region).signal,
        heard + 3,
        "it still hears the market"
    );
    assert_eq!(quantities(&desk).len(), 1, "and nothing new leaves");

    assert_eq!(
        command(&mut desk, region, &[Command::StrategyResume(FRAGILE)]),
        ""
    );
    desk.book(0);
    assert_eq!(quantities(&desk).len(), 2);
    let id = acknowledged(&mut desk);

    assert_eq!(
        command(&mut desk, region, &[Command::StrategyStop(FRAGILE)]),
        ""
    );
    desk.pass(SECOND);
    assert!(cancels_of(&desk, id) > 0);
    desk.hear(&Event::Order(report(id, OrderState::Cancelled, 0)));
    let heard = status(region).signal;
    desk.book(0);
    desk.pass(SECOND);
    assert_eq!(status(region).signal, heard, "it hears nothing");
    assert_eq!(
        command(&mut desk, region, &[Command::StrategyPause(FRAGILE)]),
        "it is stopped: there is nothing to pause; start it"
    );
    assert_eq!(status(region).state, StrategyState::Stopped);
    assert_eq!(
        command(&mut desk, region, &[Command::StrategyStart(FRAGILE)]),
        ""
    );
    desk.book(0);
    assert_eq!(quantities(&desk).len(), 3);

    let told: Vec<(StrategyCause, StrategyState, String)> = events(&desk)
        .iter()
        .map(|event| (event.cause, event.state, event.who.as_str().to_owned()))
        .collect();
    let want = [
        (StrategyCause::Seated, StrategyState::Running, ""),
        (StrategyCause::Asked, StrategyState::Paused, "ann"),
        (StrategyCause::Asked, StrategyState::Running, "ann"),
        (StrategyCause::Asked, StrategyState::Stopped, "ann"),
        (StrategyCause::Refused, StrategyState::Stopped, "ann"),
        (StrategyCause::Asked, StrategyState::Running, "ann"),
    ];
    assert_eq!(
        told,
        want.map(|(cause, state, who)| (cause, state, who.to_owned()))
    );
}

const fn set(param: u8, value: i64, is_last: bool) -> Command {
    Command::StrategySet {
        id: FRAGILE,
        param,
        value,
        is_last,
    }
}

#[test]
fn parameters_are_set_together_or_not_at_all() {
    let memory = Memory::new();
    let region = &memory.region;
    let mut desk = desk(&memory, 0);
    let told = command(&mut desk, region, &[set(1, 3, false), set(0, 99, true)]);
    assert_eq!(told, "`break_at` is 99, allowed are 0 to 20");
    assert_eq!(status(region).values[..2], [0, 1], "neither");
    let told = command(&mut desk, region, &[set(1, 3, false), set(0, FORGET, true)]);
    assert_eq!(
        told, "it cannot be told to forget",
        "the strategy's own word"
    );
    assert_eq!(status(region).values[..2], [0, 1]);
    assert_eq!(
        command(&mut desk, region, &[set(9, 3, true)]),
        "there is no such parameter"
    );
    assert_eq!(
        command(&mut desk, region, &[set(1, 3, false), set(0, 0, true)]),
        ""
    );
    assert_eq!(status(region).values[..2], [0, 3]);
    assert_eq!(
        status(region).configured[..2],
        [0, 1],
        "what was configured is not forgotten"
    );
    desk.book(0);
    assert_eq!(quantities(&desk), [3], "in force");
    let set: Vec<(u8, i64, String)> = events(&desk)
        .iter()
        .filter(|event| event.cause == StrategyCause::Set)
        .map(|event| (event.param, event.value, event.detail.as_str().to_owned()))
        .collect();
    assert_eq!(
        set,
        [(0, 0, "break_at".to_owned()), (1, 3, "qty".to_owned())]
    );
}

/// Makes every callback happen: a book, a trade, a quote, an order, a fill, a timer, a save.
fn all_callbacks(desk: &mut Desk<'_>) {
    let level = |price| RawLevel {
        price: whole(price),
        qty: whole(5),
    };
    desk.book(0);
    desk.hear(&Event::Trade(TradeMsg {
        instrument: ID,
        trade_id: TradeId(1),
        taker: Side::Buy,
        price: whole(101),
        qty: whole(1),
        venue_ns: VenueNanos(0),
    }));
    desk.hear(&Event::Quote(QuoteMsg {
        instrument: ID,
        update_id: -1,
        bid: level(100),
        ask: level(102),
        venue_ns: VenueNanos(0),
    }));
    desk.pass(SECOND / 10);
}

#[test]
fn a_strategy_that_breaks_in_any_callback_loses_its_seat_and_nobody_else_does() {
    for at in [BOOK, TRADE, QUOTE, FILL, ORDER, TIMER, SAVE, DROP] {
        let memory = Memory::new();
        let region = &memory.region;
        let mut desk = desk(&memory, at);
        all_callbacks(&mut desk);
        let is_early = matches!(at, BOOK | DROP);
        if !is_early {
            let id = acknowledged(&mut desk);
            desk.hear(&Event::Fill(fill(id, 5, Some(1))));
        }
        if at == SAVE {
            // Books must stay fresh enough to trade on; nothing else is needed for five minutes.
            desk.pass(6 * MINUTE);
        }
        let broken = status(region);
        assert_eq!(broken.state, StrategyState::Failed, "at {at}");
        let words = broken.fault.as_str().to_owned();
        assert!(
            words.contains(&format!("broke at {at}")),
            "at {at}: {words}"
        );
        assert!(broken.retry_at > broken.fault_at);
        if is_early {
            let wished = quantities(&desk);
            assert!(
                wished.is_empty(),
                "at {at}: the wishes of that call are dropped"
            );
        }
        // The other: as ever.
        let others = desk.news().len() - quantities(&desk).len();
        assert_eq!(others, 1, "at {at}: the buyer bought");
        assert_eq!(
            desk.engine.strategy_state(StrategyId(0)),
            Some(StrategyState::Running)
        );
        // Each is made again a second later.
        desk.pass(SECOND);
        let again = status(region);
        assert_eq!(
            (again.state, again.restarts),
            (StrategyState::Running, 1),
            "at {at}"
        );
        let causes: Vec<StrategyCause> = events(&desk).iter().map(|event| event.cause).collect();
        assert!(causes.ends_with(&[StrategyCause::Fault, StrategyCause::Restarted]) || at == SAVE);
    }
}

#[test]
fn the_orders_of_one_that_broke_are_cancelled() {
    let memory = Memory::new();
    let mut desk = desk(&memory, TRADE);
    desk.book(0);
    let id = acknowledged(&mut desk);
    desk.pass(SECOND);
    assert_eq!(cancels_of(&desk, id), 0);
    all_callbacks(&mut desk);
    assert!(cancels_of(&desk, id) > 0);
}

#[test]
fn one_that_breaks_nine_times_in_a_row_waits_for_somebody() {
    let memory = Memory::new();
    let region = &memory.region;
    let mut desk = desk(&memory, MAKE);
    let mut waits = Vec::new();
    loop {
        let broken = status(region);
        assert_eq!(broken.state, StrategyState::Failed);
        if broken.retry_at.0 == 0 {
            break;
        }
        waits.push(broken.retry_at.since(broken.fault_at) / SECOND);
        desk.pass(broken.retry_at.since(desk.at().unix));
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    desk.pass(60 * MINUTE);
    assert_eq!(status(region).state, StrategyState::Failed);
    // Started as it is it breaks again; set to what works it runs.
    let told = command(&mut desk, region, &[Command::StrategyStart(FRAGILE)]);
    assert_eq!(told, "it broke when it was made");
    assert_eq!(command(&mut desk, region, &[set(0, 0, true)]), "");
    assert_eq!(
        command(&mut desk, region, &[Command::StrategyStart(FRAGILE)]),
        ""
    );
    assert_eq!(status(region).state, StrategyState::Running);
    desk.book(0);
    assert_eq!(quantities(&desk), [1]);
}

#[test]
fn one_that_breaks_when_it_is_set_keeps_what_it_was_set_to() {
    let memory = Memory::new();
    let region = &memory.region;
    let mut desk = desk(&memory, SET);
    let told = command(&mut desk, region, &[set(1, 3, true)]);
    assert_eq!(told, "it broke when it was set");
    let broken = status(region);
    assert_eq!((broken.state, broken.values[1]), (StrategyState::Failed, 1));
}

#[test]
fn one_that_breaks_when_it_is_paused_has_failed_and_when_it_is_stopped_is_stopped() {
    let memory = Memory::new();
    let region = &memory.region;
    let mut desk = desk(&memory, SAVE);
    let told = command(&mut desk, region, &[Command::StrategyPause(FRAGILE)]);
    assert!(told.starts_with("it has failed"), "{told}");
    desk.pass(SECOND);
    assert_eq!(status(region).state, StrategyState::Running, "made again");
    let told = command(&mut desk, region, &[Command::StrategyStop(FRAGILE)]);
    assert_eq!(
        (told.as_str(), status(region).state),
        ("", StrategyState::Stopped)
    );
    desk.pass(2 * MINUTE);
    assert_eq!(
        status(region).state,
        StrategyState::Stopped,
        "people said so"
    );
}

#[test]
fn one_that_floods_is_counted_and_taken_for_broken() {
    let memory = Memory::new();
    let region = &memory.region;
    let mut desk = desk(&memory, FLOOD);
    for _ in 0..15 {
        desk.book(0);
    }
    assert_eq!(
        desk.engine.strategy_state(FRAGILE),
        Some(StrategyState::Running)
    );
    desk.book(0);
    let broken = status(region);
    assert_eq!((broken.state, broken.floods), (StrategyState::Failed, 16));
    desk.pass(SECOND);
    assert_eq!(status(region).restarts, 1);
}

fn saved(region: &Region) -> SavedState {
    region.strategy_state(FRAGILE).unwrap().read().unwrap()
}

#[test]
fn what_it_learnt_is_saved_every_five_minutes_and_known_again_after_a_restart() {
    let Memory { region, _dir } = Memory::new();
    let (path, shape) = (region.path().to_owned(), *region.shape());
    {
        let mut desk = Desk::new(&region, 1);
        desk.settle(&[]);
        desk.engine.sit(seating(0));
        for _ in 0..4 {
            desk.book(0);
        }
        desk.pass(5 * MINUTE - SECOND);
        assert_eq!(region.strategy_state(FRAGILE).unwrap().read(), None);
        desk.pass(SECOND);
        let first = saved(&region);
        assert_eq!(first.open(), Some(&[4][..]));
        assert_eq!(
            (first.identity, first.version, first.at),
            (77, 3, desk.at().unix)
        );
        desk.book(0);
        desk.pass(5 * MINUTE);
        assert_eq!(saved(&region).open(), Some(&[5][..]), "and again");
        desk.book(0);
        desk.engine.stop();
        assert_eq!(
            saved(&region).open(),
            Some(&[6][..]),
            "and when the node ends"
        );
    }
    drop(region);
    let (region, _) = Region::open_or_create(&path, &shape).unwrap();
    let mut heir = Desk::new(&region, 2);
    heir.settle(&[]);
    let kept = Seating {
        saved: Some(saved(&region)),
        ..seating(0)
    };
    heir.engine.sit(kept);
    heir.book(0);
    heir.pass(SECOND);
    assert_eq!(status(&region).signal, 7, "it goes on counting");
    let causes: Vec<StrategyCause> = events(&heir).iter().map(|event| event.cause).collect();
    assert!(causes.contains(&StrategyCause::Restored));
}

#[test]
fn what_is_damaged_or_anothers_is_refused_and_it_starts_fresh() {
    let at = UnixNanos(5);
    let mut words = dp_shm::twin::Words::to_words(&SavedState::seal(77, 3, at, &[40]));
    words[4] ^= 1;
    let damaged = dp_shm::twin::Words::from_words(&words).unwrap();
    for (saved, breaks, why) in [
        (damaged, 0, "it is damaged"),
        (
            SavedState::seal(78, 3, at, &[40]),
            0,
            "it is another strategy's",
        ),
        (
            SavedState::seal(77, 2, at, &[40]),
            0,
            "it is another version's",
        ),
        (SavedState::seal(77, 3, at, &[]), 0, "it ends too soon"),
        (
            SavedState::seal(77, 3, at, &[40]),
            FORGET,
            "it wants to forget",
        ),
        (SavedState::seal(77, 3, at, &[40]), RESTORE, "broke at 8"),
    ] {
        let memory = Memory::new();
        let mut desk = Desk::new(&memory.region, 1);
        desk.settle(&[]);
        desk.engine.sit(Seating {
            saved: Some(saved),
            ..seating(breaks)
        });
        desk.book(0);
        desk.pass(SECOND);
        let told = status(&memory.region);
        assert_eq!(
            (told.state, told.signal),
            (StrategyState::Running, 1),
            "{why}"
        );
        let refused = events(&desk)
            .into_iter()
            .find(|event| event.cause == StrategyCause::Unrestored);
        let detail = refused.map(|event| event.detail.as_str().to_owned());
        assert!(detail.is_some_and(|detail| detail.contains(why)), "{why}");
    }
}

#[test]
fn one_made_again_after_a_fault_knows_what_it_saved_last() {
    let memory = Memory::new();
    let region = &memory.region;
    let mut desk = desk(&memory, TRADE);
    for _ in 0..3 {
        desk.book(0);
    }
    // A pause saves.
    command(&mut desk, region, &[Command::StrategyPause(FRAGILE)]);
    command(&mut desk, region, &[Command::StrategyResume(FRAGILE)]);
    desk.book(0);
    all_callbacks(&mut desk);
    assert_eq!(status(region).state, StrategyState::Failed);
    desk.pass(SECOND);
    desk.book(0);
    desk.pass(SECOND);
    assert_eq!(status(region).signal, 4, "three of the save, and one");
}

#[test]
fn one_stands_after_a_restart_where_it_was_left() {
    for goal in [
        StrategyState::Loaded,
        StrategyState::Paused,
        StrategyState::Stopped,
        StrategyState::Failed,
        StrategyState::Running,
    ] {
        let memory = Memory::new();
        let mut desk = Desk::new(&memory.region, 1);
        desk.settle(&[]);
        desk.engine.sit(Seating { goal, ..seating(0) });
        assert_eq!(desk.engine.strategy_state(FRAGILE), Some(goal));
        desk.book(0);
        let is_on = goal == StrategyState::Running;
        assert_eq!(quantities(&desk).len(), usize::from(is_on), "{goal:?}");
        if goal == StrategyState::Failed {
            let told = command(
                &mut desk,
                &memory.region,
                &[Command::StrategyStart(FRAGILE)],
            );
            assert_eq!(told, "");
        }
    }
}

#[test]
fn signals_are_journaled_at_most_once_a_second() {
    let memory = Memory::new();
    let mut desk = desk(&memory, 0);
    for _ in 0..3 {
        for _ in 0..5 {
            desk.book(0);
        }
        desk.pass(SECOND);
    }
    let of = |entry: &Entry| match entry {
        Entry::Signal(signal) => Some((signal.strategy, signal.instrument, signal.value)),
        _ => None,
    };
    let told: Vec<(StrategyId, InstrumentId, i64)> = desk.journal().iter().filter_map(of).collect();
    assert_eq!(told, [1, 6, 11].map(|value| (FRAGILE, ID, value)));
}

/// Hears what it asks for, and says what it heard.
struct Ear {
    wants: Inputs,
    heard: std::sync::Arc<std::sync::Mutex<Vec<&'static str>>>,
}

impl Ear {
    fn hear(&self, what: &'static str) {
        self.heard.lock().unwrap().push(what);
    }
}

impl Strategy for Ear {
    fn name(&self) -> &'static str {
        "ear"
    }

    fn inputs(&self) -> Inputs {
        self.wants
    }

    fn on_book(&mut self, _: &View<'_>, _: &mut Intents) {
        self.hear("book");
    }

    fn on_trade(&mut self, _: &View<'_>, _: &TradeMsg, _: &mut Intents) {
        self.hear("trade");
    }

    fn on_quote(&mut self, _: &View<'_>, _: &QuoteMsg, _: &mut Intents) {
        self.hear("quote");
    }

    fn on_timer(&mut self, _: &View<'_>, _: &mut Intents) {
        self.hear("timer");
    }
}

#[test]
fn a_strategy_hears_what_it_declared_and_nothing_else() {
    for (wants, want) in [
        (Inputs::NONE, &[][..]),
        (Inputs::BOOK, &["book"]),
        (Inputs::TRADES, &["trade"]),
        (Inputs::QUOTES, &["quote"]),
        (Inputs::TIMER, &["timer"]),
        (Inputs::ALL, &["book", "trade", "quote", "timer"]),
    ] {
        let memory = Memory::new();
        let mut desk = Desk::new(&memory.region, 1);
        desk.settle(&[]);
        let heard = std::sync::Arc::default();
        let ear = Ear {
            wants,
            heard: std::sync::Arc::clone(&heard),
        };
        desk.engine.seat(FRAGILE, &[ID], Box::new(ear));
        all_callbacks(&mut desk);
        assert_eq!(*heard.lock().unwrap(), want);
    }
}
