//! A simple market maker: one post-only quote a side around the mid, leaning against its inventory.
//!
//! ```text
//!   fair = mid − skew,  skew = half spread x position / position_max      (long: both quotes lower)
//!   bid  = fair − half spread, rounded down, never at or above the best ask
//!   ask  = fair + half spread, rounded up,   never at or below the best bid
//! ```
//! How a quote gets where it should stand: [`crate::Quoter`].

use crate::quoter::{Pace, Quoter, beside};
use crate::{Inputs, Intents, Kind, Param, ParamFault, Strategy, Values, View};
use dp_types::{FillReport, Price, Qty, Side};

/// What the market maker is set to. Quantities in increments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// Quantity of each quote.
    pub quote_qty: Qty,
    /// Distance of each quote from the fair price, ticks; 0 counts as 1.
    pub half_spread_ticks: u32,
    /// Position at which the side that would add to it is not quoted; above 0.
    pub position_max: Qty,
    /// When a quote is moved, and how.
    pub pace: Pace,
}

impl Params {
    const LIST: [Param; 6] = [
        Param::qty("quote_qty", "quantity of each quote"),
        Param::qty(
            "position_max",
            "position at which the side that would add to it is not quoted",
        ),
        Param::count(
            "half_spread_ticks",
            2,
            (0, 1_000_000),
            "distance of each quote from the fair price, ticks",
        ),
        Pace::PARAMS[0],
        Pace::PARAMS[1],
        Pace::PARAMS[2],
    ];

    fn of(values: &Values) -> Self {
        Self {
            quote_qty: Qty(values.get(0)),
            position_max: Qty(values.get(1)),
            half_spread_ticks: values.get(2) as u32,
            pace: Pace::of(values, 3),
        }
    }
}

/// The strategy. One instrument.
#[derive(Debug)]
pub struct MarketMaker {
    params: Params,
    quoter: Quoter,
}

impl MarketMaker {
    /// For the configuration.
    pub const KIND: Kind = Kind {
        name: "market_maker",
        help: "one post-only quote a side around the mid, leaning against its inventory",
        params: &Params::LIST,
        legs: (1, 1),
        make: |values| Ok(Box::new(Self::new(Params::of(values)))),
    };

    /// A market maker that has done nothing yet.
    pub const fn new(params: Params) -> Self {
        Self {
            params,
            quoter: Quoter::new(params.pace),
        }
    }

    /// Where a side's quote should stand; `None` when it should not.
    fn target(&self, view: &View<'_>, side: Side) -> Option<Price> {
        let (bid, ask) = (view.book.best_bid()?.price.0, view.book.best_ask()?.price.0);
        let position = view.position.0.checked_mul(side.sign())?;
        if position.checked_add(self.params.quote_qty.0)? > self.params.position_max.0 {
            return None;
        }
        let tick = view.instrument.tick.0.max(1);
        // With none, both quotes could stand at a mid that is a tick, and meet.
        let half = i64::from(self.params.half_spread_ticks.max(1)).checked_mul(tick)?;
        // Doubled prices: the mid of two prices has half an increment.
        let skew = i128::from(half) * 2 * i128::from(view.position.0)
            / i128::from(self.params.position_max.0.max(1));
        let fair = bid
            .checked_add(ask)?
            .checked_sub(i64::try_from(skew).ok()?)?;
        let raw = match side {
            Side::Buy => fair.checked_sub(half.checked_mul(2)?)?.div_euclid(2),
            Side::Sell => -(-fair.checked_add(half.checked_mul(2)?)?).div_euclid(2),
        };
        beside(view, side, Price(raw))
    }

    fn quote_both(&mut self, view: &View<'_>, out: &mut Intents) {
        for side in [Side::Buy, Side::Sell] {
            let target = self.target(view, side);
            let quote = target.map(|price| (price, self.params.quote_qty));
            self.quoter.quote(view, side, quote, out);
        }
    }
}

impl Strategy for MarketMaker {
    fn name(&self) -> &'static str {
        Self::KIND.name
    }

    fn set(&mut self, values: &Values) -> Result<(), ParamFault> {
        self.params = Params::of(values);
        self.quoter.pace = self.params.pace;
        Ok(())
    }

    fn inputs(&self) -> Inputs {
        Inputs::BOOK.and(Inputs::TIMER)
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        self.quote_both(view, out);
    }

    fn on_fill(&mut self, view: &View<'_>, _fill: &FillReport, out: &mut Intents) {
        self.quote_both(view, out);
    }

    fn on_timer(&mut self, view: &View<'_>, out: &mut Intents) {
        self.quote_both(view, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Alone, Intent, Strategy, Wish};
    use dp_book::Book;
    use dp_types::{
        ClientOrderId, Instrument, InstrumentId, Level, LiveOrder, Notional, Now, OrderId,
        OrderState, Text, UnixNanos, VenueId,
    };
    use proptest::prelude::*;

    fn instrument() -> Instrument {
        Instrument {
            tick: Price(5),
            ..Instrument::bare(InstrumentId(0), VenueId::OKX, Text::EMPTY, 1, 2)
        }
    }

    const PARAMS: Params = Params {
        quote_qty: Qty(10),
        half_spread_ticks: 2,
        position_max: Qty(100),
        pace: PACE,
    };
    const PACE: Pace = Pace {
        ticks: 1,
        ns_min: 0,
        amend: false,
    };

    fn book(bid: i64, ask: i64) -> Book {
        let mut book = Book::new(8);
        let level = |price| Level {
            price: Price(price),
            qty: Qty(1),
            price_printed: 1,
            qty_printed: 2,
        };
        book.apply_level(Side::Buy, &level(bid));
        book.apply_level(Side::Sell, &level(ask));
        book
    }

    fn live(side: Side, price: i64, state: OrderState) -> LiveOrder {
        LiveOrder {
            instrument: InstrumentId(0),
            client_id: ClientOrderId(1 << 32 | price as u64),
            order_id: OrderId(1),
            side,
            state,
            price: Price(price),
            leaves: Qty(10),
            is_cancelling: false,
            is_amending: false,
        }
    }

    fn call(
        params: Params,
        book: &Book,
        position: i64,
        live: &[LiveOrder],
        can_trade: bool,
    ) -> Vec<Intent> {
        let instrument = instrument();
        let now = Now {
            unix: UnixNanos(1_000),
            ..Now::default()
        };
        let position = Qty(position);
        let view = View {
            now,
            leg: 0,
            instrument: &instrument,
            book,
            orders: None,
            position,
            cost: Notional(0),
            live,
            is_settled: true,
            can_trade,
            legs: &Alone,
        };
        let mut out = Intents::new();
        MarketMaker::new(params).on_book(&view, &mut out);
        (0..out.len()).filter_map(|at| out.get(at)).collect()
    }

    fn prices(intents: &[Intent]) -> Vec<(Side, i64)> {
        let of = |intent: &Intent| match intent {
            Intent::New(Wish { side, price, .. }) => Some((*side, price.0)),
            _ => None,
        };
        intents.iter().filter_map(of).collect()
    }

    #[test]
    fn a_quote_is_moved_by_an_amend_where_that_is_asked_for() {
        let params = Params {
            pace: Pace {
                amend: true,
                ..PACE
            },
            ..PARAMS
        };
        let book = book(1_000, 1_010);
        let stale = live(Side::Buy, 900, OrderState::Ack);
        let good = live(Side::Sell, 1_015, OrderState::Ack);
        let asked = call(params, &book, 0, &[stale, good], true);
        let amends = |intent: &Intent| matches!(intent, Intent::Amend { client_id, .. } if *client_id == stale.client_id);
        assert!(asked.len() == 1 && asked.iter().all(amends), "{asked:?}");
        let under_way = LiveOrder {
            is_amending: true,
            ..stale
        };
        assert_eq!(call(params, &book, 0, &[under_way, good], true), []);
        let gone = call(params, &book, 0, &[stale, good], false);
        assert_eq!(gone.len(), 2, "quotes are pulled by cancels");
        assert!(gone.iter().all(|it| matches!(it, Intent::Cancel { .. })));
    }

    #[test]
    fn quotes_both_sides_around_mid() {
        let intents = call(PARAMS, &book(1_000, 1_010), 0, &[], true);
        assert_eq!(prices(&intents), [(Side::Buy, 995), (Side::Sell, 1_015)]);
    }

    #[test]
    fn leans_against_its_inventory() {
        let long = call(PARAMS, &book(1_000, 1_010), 90, &[], true);
        assert_eq!(prices(&long), [(Side::Buy, 985), (Side::Sell, 1_010)]);
        let full = call(PARAMS, &book(1_000, 1_010), 95, &[], true);
        assert_eq!(
            prices(&full),
            [(Side::Sell, 1_010)],
            "no bid beyond the largest position"
        );
    }

    #[test]
    fn replaces_what_is_off_by_cancelling_first() {
        let book = book(1_000, 1_010);
        let near = [
            live(Side::Buy, 990, OrderState::Ack),
            live(Side::Sell, 1_015, OrderState::Ack),
        ];
        assert_eq!(call(PARAMS, &book, 0, &near, true), []);
        let off = [
            live(Side::Buy, 980, OrderState::Ack),
            live(Side::Sell, 1_015, OrderState::Ack),
        ];
        assert_eq!(
            call(PARAMS, &book, 0, &off, true),
            [Intent::Cancel {
                client_id: off[0].client_id
            }]
        );
    }

    #[test]
    fn leaves_unsettled_orders_to_the_venue() {
        for state in [OrderState::Pending, OrderState::Unknown, OrderState::New] {
            let off = [
                live(Side::Buy, 900, state),
                live(Side::Sell, 1_015, OrderState::Ack),
            ];
            assert_eq!(
                call(PARAMS, &book(1_000, 1_010), 0, &off, true),
                [],
                "{state:?}"
            );
        }
    }

    #[test]
    fn pulls_its_quotes_when_it_may_not_trade() {
        let quotes = [
            live(Side::Buy, 995, OrderState::Ack),
            live(Side::Sell, 1_015, OrderState::Ack),
        ];
        let intents = call(PARAMS, &book(1_000, 1_010), 0, &quotes, false);
        assert_eq!(intents.len(), 2);
        assert!(
            intents
                .iter()
                .all(|intent| matches!(intent, Intent::Cancel { .. }))
        );
    }

    /// One scenario: the market maker's calls at these times, each with the orders then live.
    fn run(requote_ns_min: u64, steps: &[(u64, &[LiveOrder], bool)]) -> Vec<Vec<Intent>> {
        let mut maker = MarketMaker::new(Params {
            pace: Pace {
                ns_min: requote_ns_min,
                ..PACE
            },
            ..PARAMS
        });
        let (instrument, book) = (instrument(), book(1_000, 1_010));
        let mut call = |(at, live, can_trade): &(u64, &[LiveOrder], bool)| {
            let now = Now {
                unix: UnixNanos(*at),
                ..Now::default()
            };
            let view = View {
                now,
                leg: 0,
                instrument: &instrument,
                book: &book,
                orders: None,
                position: Qty(0),
                cost: Notional(0),
                live,
                is_settled: true,
                can_trade: *can_trade,
                legs: &Alone,
            };
            let mut out = Intents::new();
            maker.on_book(&view, &mut out);
            (0..out.len()).filter_map(|at| out.get(at)).collect()
        };
        steps.iter().map(&mut call).collect()
    }

    #[test]
    fn waiting_for_a_cancel_does_not_put_off_the_next_quote() {
        let off = live(Side::Buy, 900, OrderState::Ack);
        let leaving = LiveOrder {
            is_cancelling: true,
            ..off
        };
        let ask = live(Side::Sell, 1_015, OrderState::Ack);
        let seen = run(
            100,
            &[
                (1_000, &[off, ask], true),
                (1_150, &[leaving, ask], true),
                (1_190, &[ask], true),
            ],
        );
        let cancel = Intent::Cancel {
            client_id: off.client_id,
        };
        assert_eq!(seen[0], [cancel]);
        assert_eq!(seen[1], []);
        assert_eq!(
            prices(&seen[2]),
            [(Side::Buy, 995)],
            "100 ns after the cancel"
        );
    }

    #[test]
    fn quotes_are_pulled_at_once_and_placed_no_sooner_than_set() {
        let quotes = [
            live(Side::Buy, 995, OrderState::Ack),
            live(Side::Sell, 1_015, OrderState::Ack),
        ];
        let seen = run(
            1_000,
            &[
                (1_000, &[], true),
                (1_001, &quotes, false),
                (1_002, &[], true),
                (2_001, &[], true),
            ],
        );
        let counts: Vec<usize> = seen.iter().map(Vec::len).collect();
        assert_eq!(counts, [2, 2, 0, 2]);
    }

    proptest! {
        #[test]
        fn never_two_a_side_never_crossing_never_beyond_the_largest_position(
            bid in 1i64..1_000_000, spread in 1i64..1_000, position in -200i64..200,
            half in 0u32..50, has_bid: bool, has_ask: bool
        ) {
            let book = book(bid, bid + spread);
            let params = Params { half_spread_ticks: half, ..PARAMS };
            let mut held = Vec::new();
            if has_bid { held.push(live(Side::Buy, bid, OrderState::Ack)); }
            if has_ask { held.push(live(Side::Sell, bid + spread, OrderState::Ack)); }
            let news = prices(&call(params, &book, position, &held, true));
            for (side, price) in &news {
                prop_assert!(price % 5 == 0 && *price > 0);
                match side {
                    Side::Buy => prop_assert!(*price < bid + spread && !has_bid && position + 10 <= 100),
                    Side::Sell => prop_assert!(*price > bid && !has_ask && position - 10 >= -100),
                }
            }
            prop_assert!(news.len() <= 2);
            if let [(_, first), (_, second)] = news[..] { prop_assert!(first < second); }
        }

        #[test]
        fn extreme_numbers_never_panic(bid: i64, ask: i64, position: i64, tick: i64) {
            let book = book(bid, ask);
            let mut instrument = instrument();
            instrument.tick = Price(tick.saturating_abs());
            let view = View {
                now: Now::default(), leg: 0, instrument: &instrument, book: &book, orders: None, legs: &Alone,
                position: Qty(position), cost: Notional(0), live: &[], is_settled: true, can_trade: true,
            };
            MarketMaker::new(PARAMS).on_book(&view, &mut Intents::new());
        }
    }
}
