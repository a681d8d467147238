//! A trading process with a strategy of your own beside the shipped ones.
//!
//! The strategy buys a little at the best bid, sells it again at the best ask, and begins anew. Replace what it does;
//! what it is called with, and what it may ask for, is in the documentation of `dp_strategy`.

use dp_strategy::{
    Inputs, Intents, Kind, Param, ParamFault, SHIPPED, StateFault, StateReader, StateWriter,
    Strategy, Values, View,
};
use dp_types::{FillReport, OrderKind, Price, Qty, Side, Tif};
use std::process::ExitCode;

/// Buys at the bid, sells at the ask.
struct Mine {
    /// How much, in the instrument's smallest units: prices and quantities are integers here.
    qty: Qty,
    /// How far behind the best price it stands, in ticks.
    ticks: i64,
    /// What it has learnt: here only how often it was filled.
    fills: i64,
}

impl Mine {
    /// What it can be set to, in the configuration and by `spinlane strategy set`. Each is checked before it comes here.
    const PARAMS: [Param; 2] = [
        Param::qty("qty", "how much to buy and sell"),
        Param::count("ticks", 0, (0, 1_000), "how far behind the best price"),
    ];

    /// Its name in the configuration, on how many instruments it works, and how one is made.
    const KIND: Kind = Kind {
        name: "mine",
        help: "buys at the bid, sells at the ask",
        params: &Self::PARAMS,
        legs: (1, 1),
        make: |values| {
            Ok(Box::new(Self {
                qty: Qty(values.get(0)),
                ticks: values.get(1),
                fills: 0,
            }))
        },
    };
}

impl Strategy for Mine {
    fn name(&self) -> &'static str {
        Self::KIND.name
    }

    /// Only what is named here is called; fills and moves of its own orders always are.
    fn inputs(&self) -> Inputs {
        Inputs::BOOK
    }

    /// While it runs: `spinlane strategy set NAME qty=0.02 ticks=1`.
    fn set(&mut self, values: &Values) -> Result<(), ParamFault> {
        (self.qty, self.ticks) = (Qty(values.get(0)), values.get(1));
        Ok(())
    }

    /// Raise it when what `save` writes means something else.
    fn state_version(&self) -> u32 {
        1
    }

    fn save(&self, out: &mut StateWriter) {
        out.put(self.fills);
    }

    fn restore(&mut self, saved: &mut StateReader<'_>) -> Result<(), StateFault> {
        self.fills = saved.take()?;
        Ok(())
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        let (Some(bid), Some(ask)) = (view.book.best_bid(), view.book.best_ask()) else {
            return;
        };
        let away = self.ticks.saturating_mul(view.instrument.tick.0.max(1));
        let (side, price) = if view.position.0 > 0 {
            (Side::Sell, Price(ask.price.0.saturating_add(away)))
        } else {
            (Side::Buy, Price(bid.price.0.saturating_sub(away)))
        };
        // One order at a time: what stands elsewhere is cancelled, and the next goes when the venue has said that it is gone.
        for order in view.live {
            if (order.side, order.price) != (side, price) && !order.is_cancelling {
                out.cancel(order.client_id);
            }
        }
        // An order while this is false would be refused: the book is stale, the venue not compared, trading killed.
        if view.can_trade && view.is_settled && view.live.is_empty() {
            out.new_order(side, OrderKind::PostOnly, Tif::Gtc, price, self.qty);
        }
    }

    fn on_fill(&mut self, _: &View<'_>, _: &FillReport, out: &mut Intents) {
        self.fills += 1;
        // For the record: lands in the table strategy_signals.
        out.signal(self.fills);
    }
}

fn main() -> ExitCode {
    let kinds = [&SHIPPED[..], &[Mine::KIND]].concat();
    dp_app::main(&kinds)
}
