//! Reconciliation by signed REST: open orders, the trades of each symbol, balances; and the trades of one
//! order.
//!
//! ```text
//! OpenOrders ─▶ Trades(symbol 0) page 0, 1, … ─▶ Trades(symbol 1) … ─▶ Account ─▶ Reconciled
//!                                                          futures: ─▶ Positions ─▶ Account
//! ```
//! Links are lost with requests queued, and an answer may come twice. Each request therefore carries the run,
//! the symbol and the page it asks for, and an answer moves the run on only when all three are what it waits for.

use super::{ANSWER_WAIT_NS, RETRY_NS, Session};
use crate::product::Product;
use crate::rest::{self, Ask, ORDER_PAGES_MAX, RUN_MASK, TRADES_LIMIT, TradesPage};
use dp_types::{ClientOrderId, InstrumentId, Now, OrderId, UnixNanos};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};

/// Pages of trades of one symbol in one reconciliation: 100,000 trades.
const PAGES_MAX: u16 = 100;

/// Where reconciliation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    OpenOrders,
    /// Of the symbol at this index.
    Trades(usize),
    /// Of futures.
    Positions,
    Account,
}

/// One run of reconciliation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    number: u32,
    step: Step,
    page: u16,
    /// When to send the step (again).
    pub(super) at: UnixNanos,
}

impl Session {
    pub(crate) fn reconcile(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if self.auth.is_none() {
            return;
        }
        self.runs = (self.runs.wrapping_add(1) & RUN_MASK).max(1);
        for followed in &mut self.followed {
            followed.trade_seen = followed.trade_last;
        }
        self.run = Some(Run {
            number: self.runs,
            step: Step::OpenOrders,
            page: 0,
            at: now.unix,
        });
        out.event(&Event::Control(Control::ReconcileStarted));
        self.ask_step(registry, now, out);
    }

    /// The one answer that moves the run on.
    pub(super) fn awaited(&self) -> Option<Ask> {
        let run = self.run?;
        Some(match run.step {
            Step::OpenOrders => Ask::OpenOrders(run.number),
            Step::Trades(index) => Ask::Trades(TradesPage {
                run: run.number,
                id: self.followed.get(index)?.id,
                page: run.page,
            }),
            Step::Positions => Ask::Positions(run.number),
            Step::Account => Ask::Account(run.number),
        })
    }

    pub(super) fn ask_step(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let awaited = self.awaited();
        let (Some(run), Some(auth), Some(ask)) = (&mut self.run, &self.auth, awaited) else {
            return;
        };
        if !self.is_rest_open {
            run.at = now.unix; // the link's opening sends it
            return;
        }
        if !self.limits.request(now.unix, ask.weight(self.product)) {
            run.at = now.unix.after(RETRY_NS);
            return;
        }
        run.at = now.unix.after(ANSWER_WAIT_NS);
        let ms = now.unix.millis();
        let paths = self.product.paths();
        let (path, query) = match run.step {
            Step::OpenOrders => (paths.open_orders, format!("timestamp={ms}")),
            Step::Positions => ("/fapi/v3/positionRisk", format!("timestamp={ms}")),
            Step::Account if self.product == Product::Usdm => {
                (paths.account, format!("timestamp={ms}"))
            }
            Step::Account => (
                paths.account,
                format!("omitZeroBalances=true&timestamp={ms}"),
            ),
            Step::Trades(index) => {
                let followed = self.followed.get(index);
                let symbol = followed
                    .and_then(|followed| registry.get(followed.id))
                    .map_or("", |known| known.symbol.as_str());
                // Without a known trade the venue gives its newest page, with one all that followed.
                let from = match followed.map_or(0, |followed| followed.trade_seen) {
                    0 => String::new(),
                    last => format!("&fromId={}", last.saturating_add(1)),
                };
                (
                    paths.trades,
                    format!("symbol={symbol}{from}&limit={TRADES_LIMIT}&timestamp={ms}"),
                )
            }
        };
        let target = auth.sign_target(path, &query);
        rest::ask(ask, &target, Some(auth.api_key()), out);
    }

    /// The step failed: again in a while.
    pub(super) fn step_failed(&mut self, ask: Ask, now: Now) {
        if self.awaited() == Some(ask)
            && let Some(run) = &mut self.run
        {
            run.at = run.at.min(now.unix.after(RETRY_NS));
        }
    }

    fn next_step(&mut self, step: Step, registry: &Registry, now: Now, out: &mut impl Sink) {
        let step = match step {
            Step::Trades(index) if index >= self.followed.len() => match self.product {
                Product::Spot => Step::Account,
                Product::Usdm => Step::Positions,
            },
            step => step,
        };
        if let Some(run) = &mut self.run {
            run.page = 0;
            run.step = step;
        }
        self.ask_step(registry, now, out);
    }

    /// The open orders went out: the trades are next.
    pub(super) fn on_open_orders(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.next_step(Step::Trades(0), registry, now, out);
    }

    /// The positions went out: the balances are next.
    pub(super) fn on_positions(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.next_step(Step::Account, registry, now, out);
    }

    /// The balances went out: the run is complete, and only now is what it saw of trades known for good.
    pub(super) fn on_account(&mut self, out: &mut impl Sink) {
        self.run = None;
        for followed in &mut self.followed {
            followed.trade_last = followed.trade_seen;
        }
        out.event(&Event::Control(Control::Reconciled));
    }

    /// The page of trades waited for arrived: the next page, or the next symbol.
    ///
    /// Errors: more pages than [`PAGES_MAX`]; the next reconciliation goes on where this one ended.
    pub(super) fn turn_page(
        &mut self,
        (count, newest): (usize, u64),
        registry: &Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Some(Run {
            step: Step::Trades(index),
            page,
            ..
        }) = self.run
        else {
            return Ok(());
        };
        let mut was_known = false;
        if let Some(followed) = self.followed.get_mut(index) {
            was_known = followed.trade_last != 0;
            followed.trade_seen = followed.trade_seen.max(newest);
        }
        let is_last = count < TRADES_LIMIT || !was_known;
        let pages = page.saturating_add(1);
        if is_last || pages >= PAGES_MAX {
            self.next_step(Step::Trades(index + 1), registry, now, out);
        } else {
            if let Some(run) = &mut self.run {
                run.page = pages;
            }
            self.ask_step(registry, now, out);
        }
        if !is_last && pages >= PAGES_MAX {
            return Err(DecodeError::TooMuch("trades").into());
        }
        Ok(())
    }

    /// Asks for the trades of one order; `page` is the number and first trade of a later page. Nothing is
    /// remembered of it but that it is on its way: whoever misses a fill asks about the order again, and each
    /// answer asks here anew.
    pub(super) fn ask_order_trades(
        &mut self,
        registry: &Registry,
        (instrument, client, order): (InstrumentId, ClientOrderId, OrderId),
        page: Option<(u8, u64)>,
        now: Now,
        out: &mut impl Sink,
    ) {
        let (Some(auth), Some(known)) = (&self.auth, registry.get(instrument)) else {
            return;
        };
        let (number, from) = match page {
            Some((number, from)) => (number, format!("&fromId={from}")),
            None => (0, String::new()),
        };
        let ask = Ask::OrderTrades(instrument, client, number);
        let may = self.is_rest_open
            && !self.in_flight.contains(ask.tag(), now.unix)
            && self.in_flight.has_room(now.unix)
            && self.limits.request(now.unix, ask.weight(self.product));
        if !may {
            return;
        }
        self.in_flight.add(ask.tag(), now.unix);
        let query = format!(
            "symbol={}&orderId={}{from}&limit={TRADES_LIMIT}&timestamp={}",
            known.symbol,
            order.0,
            now.unix.millis()
        );
        let target = auth.sign_target(self.product.paths().trades, &query);
        rest::ask(ask, &target, Some(auth.api_key()), out);
    }

    /// A page of one order's trades: a full first one is the newest, so the rest is read from the oldest.
    pub(super) fn turn_order_page(
        &mut self,
        registry: &Registry,
        (instrument, client, number): (InstrumentId, ClientOrderId, u8),
        (count, newest, order): (usize, u64, OrderId),
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if count < TRADES_LIMIT {
            return Ok(());
        }
        if number >= ORDER_PAGES_MAX {
            return Err(DecodeError::TooMuch("trades of one order").into());
        }
        let from = if number == 0 {
            0
        } else {
            newest.saturating_add(1)
        };
        let page = Some((number + 1, from));
        self.ask_order_trades(registry, (instrument, client, order), page, now, out);
        Ok(())
    }
}
