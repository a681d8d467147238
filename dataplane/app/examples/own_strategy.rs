//! A dataplane with a strategy of your own beside the shipped ones: the whole of it.
//!
//! `cargo run --release -p dp-app --example own_strategy -- --config node.toml`, with
//!
//! ```toml
//! [[strategy]]
//! kind = "patient_bid"
//! venue = "okx"
//! symbol = "BTC-USDT"
//! qty = "0.01"
//! ticks = 3
//! ```

use dp_strategy::{Intents, Kind, Param, ParamFault, SHIPPED, Strategy, Values, View};
use dp_types::{OrderKind, Price, Qty, Side, Tif};
use std::process::ExitCode;

/// Keeps one bid some ticks under the best one until it has bought once.
struct PatientBid {
    qty: Qty,
    ticks: i64,
}

impl PatientBid {
    const PARAMS: [Param; 2] = [
        Param::qty("qty", "how much to buy"),
        Param::count("ticks", 1, (1, 1_000), "how far under the best bid"),
    ];

    const KIND: Kind = Kind {
        name: "patient_bid",
        help: "keeps one bid some ticks under the best one until it has bought once",
        params: &Self::PARAMS,
        legs: (1, 1),
        make: |values| Ok(Box::new(Self::of(values))),
    };

    fn of(values: &Values) -> Self {
        Self {
            qty: Qty(values.get(0)),
            ticks: values.get(1),
        }
    }
}

impl Strategy for PatientBid {
    fn name(&self) -> &'static str {
        Self::KIND.name
    }

    fn set(&mut self, values: &Values) -> Result<(), ParamFault> {
        *self = Self::of(values);
        Ok(())
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        let is_idle = view.live.is_empty() && view.is_settled && view.position.0 == 0;
        let Some(bid) = view.book.best_bid().filter(|_| view.can_trade && is_idle) else {
            return;
        };
        let below = self.ticks.saturating_mul(view.instrument.tick.0.max(1));
        let price = view
            .instrument
            .tick_down(Price(bid.price.0.saturating_sub(below)));
        out.new_order(Side::Buy, OrderKind::PostOnly, Tif::Gtc, price, self.qty);
    }
}

fn main() -> ExitCode {
    let kinds = [&SHIPPED[..], &[PatientBid::KIND]].concat();
    dp_app::main(&kinds)
}
