//! A directional strategy on order-flow imbalance: it goes with what is being added to one side of the book.
//!
//! ```text
//!   flat        imbalance beyond `enter`     → takes at the touch, as much as sizing says
//!   positioned  imbalance below `exit`, or held for `hold`  → takes the other way, all of it
//! ```
//! The signal is [`dp_signal::Flow`], which knows nothing of orders. Orders are immediate or cancel: what is not to be had
//! at the touch is not waited for. One order at a time; while its fate is open nothing else is asked.

use crate::sizing::Sizing;
use crate::{
    Inputs, Intents, Kind, Param, ParamFault, StateFault, StateReader, StateWriter, Strategy,
    Values, View,
};
use dp_signal::{Flow, Top, Volatility};
use dp_types::{OrderKind, Qty, Side, Tif, UnixNanos};

/// What it is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowParams {
    /// How much.
    pub sizing: Sizing,
    /// Imbalance to go with, parts of a million; above `exit_ppm`.
    pub enter_ppm: i64,
    /// Imbalance below which a position is given up.
    pub exit_ppm: i64,
    /// Half-life of signal and volatility, nanoseconds.
    pub half_life_ns: u64,
    /// Longest time a position is held, nanoseconds.
    pub hold_ns: u64,
    /// Shortest time between two orders, nanoseconds.
    pub pause_ns: u64,
}

impl FlowParams {
    const LIST: [Param; 8] = [
        Param::qty("order_qty", "the usual size"),
        Param::qty("position_max", "largest position either way"),
        Param::count(
            "calm_deviation",
            0,
            (0, i64::MAX),
            "increments a second x 1024 up to which it is ordered; 0: always",
        ),
        Param::count(
            "enter_ppm",
            600_000,
            (1, 1_000_000),
            "imbalance to go with, parts of a million",
        ),
        Param::count(
            "exit_ppm",
            0,
            (-1_000_000, 999_999),
            "imbalance below which a position is given up",
        ),
        Param::count(
            "half_life_ms",
            1_000,
            (1, 86_400_000),
            "half-life of the signal, ms",
        ),
        Param::count(
            "hold_ms",
            10_000,
            (1, 86_400_000),
            "longest time a position is held, ms",
        ),
        Param::count(
            "pause_ms",
            100,
            (0, 86_400_000),
            "shortest time between two orders, ms",
        ),
    ];

    fn of(values: &Values) -> Result<Self, ParamFault> {
        let ns = |at| (values.get(at) as u64).saturating_mul(1_000_000);
        let (enter_ppm, exit_ppm) = (values.get(3), values.get(4));
        if exit_ppm >= enter_ppm {
            return Err(ParamFault::Together("`exit_ppm` must be below `enter_ppm`"));
        }
        Ok(Self {
            sizing: Sizing {
                qty: Qty(values.get(0)),
                position_max: Qty(values.get(1)),
                calm_deviation: values.get(2),
            },
            enter_ppm,
            exit_ppm,
            half_life_ns: ns(5),
            hold_ns: ns(6),
            pause_ns: ns(7),
        })
    }
}

/// The strategy. One instrument.
#[derive(Debug)]
pub struct FlowAlpha {
    params: FlowParams,
    flow: Flow,
    volatility: Volatility,
    /// Since when there is a position.
    entered: Option<UnixNanos>,
    acted: UnixNanos,
}

impl FlowAlpha {
    /// For the configuration.
    pub const KIND: Kind = Kind {
        name: "flow_alpha",
        help: "goes with what is being added to one side of the book",
        params: &FlowParams::LIST,
        legs: (1, 1),
        make: |values| Ok(Box::new(Self::new(FlowParams::of(values)?))),
    };

    /// One that has seen nothing yet.
    pub const fn new(params: FlowParams) -> Self {
        Self {
            params,
            flow: Flow::new(params.half_life_ns),
            volatility: Volatility::new(params.half_life_ns),
            entered: None,
            acted: UnixNanos(0),
        }
    }

    fn learn(&mut self, view: &View<'_>) {
        let best = (view.book.best_bid(), view.book.best_ask());
        let (true, (Some(bid), Some(ask))) = (view.can_trade, best) else {
            self.flow.on_gap();
            self.volatility.on_gap();
            return;
        };
        let top = Top {
            bid: (bid.price, bid.qty),
            ask: (ask.price, ask.qty),
        };
        self.flow.on_top(&top, view.now.unix);
        if let Some(mid) = view.book.mid_doubled() {
            self.volatility.on_mid(mid, view.now.unix);
        }
    }

    fn act(&mut self, view: &View<'_>, out: &mut Intents) {
        let now = view.now.unix;
        if view.position.0 == 0 {
            self.entered = None;
        } else if self.entered.is_none() {
            self.entered = Some(now);
        }
        let is_soon = now.since(self.acted) < self.params.pause_ns && self.acted.0 > 0;
        if !view.can_trade || !view.live.is_empty() || is_soon {
            return;
        }
        let imbalance = self.flow.imbalance_ppm();
        let wish = match self.entered {
            Some(since) => self.exit(view, imbalance, now.since(since)),
            None => self.enter(view, imbalance),
        };
        let Some((side, qty)) = wish.filter(|(_, qty)| qty.0 > 0) else {
            return;
        };
        let touch = match side {
            Side::Buy => view.book.best_ask(),
            Side::Sell => view.book.best_bid(),
        };
        if let Some(touch) = touch {
            out.new_order(side, OrderKind::Limit, Tif::Ioc, touch.price, qty);
            self.acted = now;
        }
    }

    fn enter(&self, view: &View<'_>, imbalance: i64) -> Option<(Side, Qty)> {
        let side = if imbalance >= self.params.enter_ppm {
            Side::Buy
        } else if imbalance <= -self.params.enter_ppm {
            Side::Sell
        } else {
            return None;
        };
        let deviation = self.volatility.deviation(1);
        let sizing = &self.params.sizing;
        Some((
            side,
            sizing.size(view.instrument, side, view.position, deviation),
        ))
    }

    fn exit(&self, view: &View<'_>, imbalance: i64, held_ns: u64) -> Option<(Side, Qty)> {
        let is_long = view.position.0 > 0;
        let along = if is_long {
            imbalance
        } else {
            imbalance.saturating_neg()
        };
        if along >= self.params.exit_ppm && held_ns < self.params.hold_ns {
            return None;
        }
        let side = if is_long { Side::Sell } else { Side::Buy };
        let all = Qty(view.position.0.saturating_abs());
        Some((side, view.instrument.lot_down(all)))
    }
}

impl Strategy for FlowAlpha {
    fn name(&self) -> &'static str {
        Self::KIND.name
    }

    fn set(&mut self, values: &Values) -> Result<(), ParamFault> {
        let params = FlowParams::of(values)?;
        if params.half_life_ns != self.params.half_life_ns {
            self.flow = Flow::new(params.half_life_ns);
            self.volatility = Volatility::new(params.half_life_ns);
        }
        self.params = params;
        Ok(())
    }

    fn inputs(&self) -> Inputs {
        Inputs::BOOK.and(Inputs::TIMER)
    }

    fn state_version(&self) -> u32 {
        1
    }

    fn save(&self, out: &mut StateWriter) {
        out.put(self.params.half_life_ns.cast_signed());
        out.put(self.entered.map_or(0, |since| since.0.cast_signed()));
        out.put_all(&self.flow.keep());
        out.put_all(&self.volatility.keep());
    }

    fn restore(&mut self, saved: &mut StateReader<'_>) -> Result<(), StateFault> {
        if saved.take()? != self.params.half_life_ns.cast_signed() {
            return Err(StateFault("its signal had another half-life"));
        }
        let entered = UnixNanos(saved.take()?.cast_unsigned());
        let (flow, volatility) = (saved.take_all()?, saved.take_all()?);
        self.entered = (entered.0 > 0).then_some(entered);
        self.flow.resume(flow);
        self.volatility.resume(volatility);
        Ok(())
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        self.learn(view);
        self.act(view, out);
    }

    fn on_timer(&mut self, view: &View<'_>, out: &mut Intents) {
        out.signal(self.flow.imbalance_ppm());
        self.act(view, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::Rig;
    use crate::{Intent, Wish};
    use dp_types::Price;

    const S: u64 = 1_000_000_000;
    const PARAMS: FlowParams = FlowParams {
        sizing: Sizing {
            qty: Qty(10),
            position_max: Qty(10),
            calm_deviation: 0,
        },
        enter_ppm: 600_000,
        exit_ppm: 0,
        half_life_ns: S,
        hold_ns: 5 * S,
        pause_ns: S / 10,
    };

    fn ioc(side: Side, price: i64, qty: i64) -> Vec<Intent> {
        vec![Intent::New(Wish {
            leg: None,
            side,
            kind: OrderKind::Limit,
            tif: Tif::Ioc,
            price: Price(price),
            qty: Qty(qty),
        })]
    }

    #[test]
    fn one_that_takes_up_what_another_learnt_acts_as_it_would() {
        let (rig, mut alpha) = bid_for();
        let mut kept = StateWriter::new();
        alpha.save(&mut kept);
        let mut heir = FlowAlpha::new(PARAMS);
        heir.restore(&mut StateReader::new(kept.words().unwrap()))
            .unwrap();
        let want = rig.call(|view, out| alpha.on_timer(view, out));
        let told = |alpha: &FlowAlpha| alpha.flow.imbalance_ppm();
        assert_eq!((told(&heir), heir.entered), (told(&alpha), alpha.entered));
        assert_eq!(rig.call(|view, out| heir.on_timer(view, out)), want);
        let cut = &kept.words().unwrap()[..5];
        let mut other = FlowAlpha::new(PARAMS);
        assert!(other.restore(&mut StateReader::new(cut)).is_err());
        assert_eq!(told(&other), 0, "half of it is nothing of it");
    }

    /// One whose book has been bid for.
    fn bid_for() -> (Rig, FlowAlpha) {
        let (mut rig, mut alpha) = (Rig::new(1), FlowAlpha::new(PARAMS));
        rig.set_book(100, 101);
        rig.now(S);
        assert_eq!(
            rig.call(|view, out| alpha.on_book(view, out)),
            [],
            "nothing has moved"
        );
        rig.level(Side::Buy, 100, 9);
        (rig, alpha)
    }

    #[test]
    fn goes_with_the_flow_and_leaves_when_it_turns() {
        let (mut rig, mut alpha) = bid_for();
        let wish = rig.call(|view, out| alpha.on_book(view, out));
        assert_eq!(wish, ioc(Side::Buy, 101, 10));
        rig.position(10);
        rig.now(2 * S);
        assert_eq!(
            rig.call(|view, out| alpha.on_timer(view, out)),
            [],
            "the flow still holds"
        );
        rig.level(Side::Sell, 101, 30);
        let wish = rig.call(|view, out| alpha.on_book(view, out));
        assert_eq!(wish, ioc(Side::Sell, 100, 10));
    }

    #[test]
    fn leaves_after_the_longest_time_it_holds() {
        let (mut rig, mut alpha) = bid_for();
        rig.call(|view, out| alpha.on_book(view, out));
        rig.position(7);
        rig.now(2 * S);
        rig.call(|view, out| alpha.on_timer(view, out));
        rig.now(7 * S - 1);
        assert_eq!(rig.call(|view, out| alpha.on_timer(view, out)), []);
        rig.now(7 * S);
        assert_eq!(
            rig.call(|view, out| alpha.on_timer(view, out)),
            ioc(Side::Sell, 100, 7)
        );
    }

    #[test]
    fn asks_for_nothing_while_an_order_is_open_or_it_may_not_trade() {
        let (mut rig, mut alpha) = bid_for();
        rig.may_trade(false);
        assert_eq!(rig.call(|view, out| alpha.on_book(view, out)), []);
        let (mut rig, mut alpha) = bid_for();
        rig.rest(Side::Buy, 101);
        assert_eq!(rig.call(|view, out| alpha.on_book(view, out)), []);
    }

    #[test]
    fn a_sold_book_is_the_mirror_image() {
        let (mut rig, mut alpha) = (Rig::new(1), FlowAlpha::new(PARAMS));
        rig.set_book(100, 101);
        rig.now(S);
        rig.call(|view, out| alpha.on_book(view, out));
        rig.level(Side::Sell, 101, 9);
        let wish = rig.call(|view, out| alpha.on_book(view, out));
        assert_eq!(wish, ioc(Side::Sell, 100, 10));
    }
}
