//! Book to intents: the market maker over a moving book, with and without live quotes.

use super::book::instrument;
use crate::data::{self, MESSAGES, Random};
use crate::meter::Meter;
use dp_book::Book;
use dp_strategy::{Alone, Intents, MarketMaker, Pace, Params, Strategy, View};
use dp_types::{
    ClientOrderId, Instrument, InstrumentId, LiveOrder, Notional, Now, OrderId, OrderState, Price,
    Qty, Side, UnixNanos,
};

/// Books in rotation, each a little different from the last.
const BOOKS: usize = 64;

pub fn run(meter: &mut Meter) -> anyhow::Result<()> {
    meter.begin("signal");
    let instrument = Instrument {
        tick: Price(1),
        ..instrument()
    };
    let books = books(&instrument)?;
    let params = Params {
        quote_qty: Qty(1_000),
        half_spread_ticks: 2,
        position_max: Qty(100_000),
        pace: Pace {
            ticks: 1,
            ..Pace::default()
        },
    };
    let mut random = Random::new(11);
    let positions: Vec<Qty> = (0..MESSAGES)
        .map(|_| Qty(random.below(150_000) as i64 - 75_000))
        .collect();
    let live = [(Side::Buy, 1), (Side::Sell, 2)].map(|(side, id)| LiveOrder {
        instrument: instrument.id,
        client_id: ClientOrderId((1 << 32) | id),
        order_id: OrderId(1),
        side,
        state: OrderState::Ack,
        price: Price(6_500_000 - 3 * side.sign()),
        leaves: Qty(1_000),
        is_cancelling: false,
        is_amending: false,
    });
    for (name, live) in [
        ("market maker, quotes live", &live[..]),
        ("market maker, both sides new", &[][..]),
    ] {
        let mut maker = MarketMaker::new(params);
        let (mut out, mut wishes) = (Intents::new(), 0usize);
        meter.batch(name, |at| {
            let view = View {
                now: Now {
                    unix: UnixNanos(at as u64),
                    ..Now::default()
                },
                leg: 0,
                instrument: &instrument,
                book: &books[at % BOOKS],
                orders: None,
                position: positions[at % MESSAGES],
                cost: Notional(0),
                live,
                is_settled: true,
                can_trade: true,
                legs: &Alone,
            };
            out.clear();
            maker.on_book(&view, &mut out);
            wishes += out.len();
        });
        anyhow::ensure!(wishes > 0, "{name}: it never wished for anything");
    }
    Ok(())
}

fn books(instrument: &Instrument) -> anyhow::Result<Vec<Book>> {
    let mut book = Book::new(1_024);
    let mut books = Vec::with_capacity(BOOKS);
    for depth in core::iter::once(&data::snapshot()).chain(data::depths().iter().take(BOOKS)) {
        for (side, levels) in [(Side::Buy, &depth.bids), (Side::Sell, &depth.asks)] {
            for raw in levels {
                let level = instrument
                    .level(raw)
                    .map_err(|error| anyhow::anyhow!("{error}"))?;
                book.apply_level(side, &level);
            }
        }
        books.push(book.clone());
    }
    anyhow::ensure!(
        instrument.id == InstrumentId(0) && books.len() >= BOOKS,
        "books"
    );
    Ok(books)
}
