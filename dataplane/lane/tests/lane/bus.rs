//! Events are told once, to many: whoever listens hears everything it declared, once and in order, whatever its neighbours
//! declare, wish or do to themselves.

use crate::engine::{Desk, ID, Memory, SECOND, whole};
use dp_strategy::{Inputs, Intents, Strategy, View};
use dp_types::{
    OrderKind, Price, Qty, QuoteMsg, RawLevel, Side, StrategyId, Tif, TradeId, TradeMsg, VenueNanos,
};
use dp_venue_api::Event;
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

/// What was told, with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Book(i64),
    Trade(i64),
    Quote(i64),
}

/// Hears what it declared; breaks at the event of this number; wishes for an order at every one, where it is greedy.
struct Listener {
    wants: Inputs,
    breaks_at: Option<i64>,
    is_greedy: bool,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Listener {
    fn hear(&self, number: i64, what: Heard, out: &mut Intents) {
        self.heard.lock().unwrap().push(what);
        assert_ne!(self.breaks_at, Some(number), "as it was told to");
        if self.is_greedy {
            out.new_order(
                Side::Buy,
                OrderKind::PostOnly,
                Tif::Gtc,
                Price(9_990),
                Qty(1),
            );
        }
    }
}

impl Strategy for Listener {
    fn name(&self) -> &'static str {
        "listener"
    }

    fn inputs(&self) -> Inputs {
        self.wants
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        let number = view
            .book
            .best_bid()
            .map_or(0, |level| level.price.0 - 10_000);
        self.hear(number, Heard::Book(number), out);
    }

    fn on_trade(&mut self, _: &View<'_>, trade: &TradeMsg, out: &mut Intents) {
        let number = trade.trade_id.0 as i64;
        self.hear(number, Heard::Trade(number), out);
    }

    fn on_quote(&mut self, _: &View<'_>, quote: &QuoteMsg, out: &mut Intents) {
        self.hear(quote.update_id, Heard::Quote(quote.update_id), out);
    }
}

fn tell(desk: &mut Desk<'_>, what: Heard) {
    let level = |price| RawLevel {
        price: whole(price),
        qty: whole(5),
    };
    match what {
        Heard::Book(number) => desk.book_at(0, (10_000 + number, 10_002 + number)),
        Heard::Trade(number) => desk.hear(&Event::Trade(TradeMsg {
            instrument: ID,
            trade_id: TradeId(number as u128),
            taker: Side::Buy,
            price: whole(10_001),
            qty: whole(1),
            venue_ns: VenueNanos(0),
        })),
        Heard::Quote(number) => desk.hear(&Event::Quote(QuoteMsg {
            instrument: ID,
            update_id: number,
            bid: level(10_000),
            ask: level(10_002),
            venue_ns: VenueNanos(0),
        })),
    }
}

const WANTS: [(Inputs, [bool; 3]); 5] = [
    (Inputs::ALL, [true, true, true]),
    (Inputs::BOOK, [true, false, false]),
    (Inputs::TRADES, [false, true, false]),
    (Inputs::QUOTES, [false, false, true]),
    (Inputs::NONE, [false, false, false]),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn everybody_hears_all_it_declared_once_and_in_order(
        kinds in proptest::collection::vec(0u8..3, 1..60),
        who in proptest::collection::vec((0usize..5, proptest::option::of(1i64..60), any::<bool>()), 1..6),
    ) {
        let memory = Memory::new();
        let mut desk = Desk::new(&memory.region, 1);
        desk.settle(&[]);
        let mut logs = Vec::new();
        for (id, (wants, breaks_at, is_greedy)) in (1..).zip(&who) {
            let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
            logs.push(Arc::clone(&heard));
            desk.engine.seat(StrategyId(id), &[ID], Box::new(Listener {
                wants: WANTS[*wants].0,
                breaks_at: *breaks_at,
                is_greedy: *is_greedy,
                heard,
            }));
        }
        let mut told = Vec::new();
        for (number, kind) in (1i64..).zip(kinds) {
            let what = match kind {
                0 => Heard::Book(number),
                1 => Heard::Trade(number),
                _ => Heard::Quote(number),
            };
            tell(&mut desk, what);
            told.push((number, kind, what));
            if number % 8 == 0 {
                desk.pass(SECOND / 100);
            }
        }
        for ((wants, breaks_at, _), log) in who.iter().zip(logs) {
            let mut want = Vec::new();
            for (number, kind, what) in &told {
                if WANTS[*wants].1[usize::from(*kind)] {
                    want.push(*what);
                    // It heard the one it broke at, and nothing since.
                    if *breaks_at == Some(*number) {
                        break;
                    }
                }
            }
            prop_assert_eq!(&*log.lock().unwrap(), &want);
        }
    }
}
