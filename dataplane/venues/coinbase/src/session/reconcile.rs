//! Reconciliation and questions about single orders: what is asked over signed REST.

use super::{ANSWER_WAIT_NS, RETRY_NS, Run, SECOND_NS, Session, Step};
use crate::entry;
use crate::limits::Kind;
use crate::rest::{Ask, FILL_PAGES_MAX, FILLS_LEN, ORDERS_LEN, RUN_MASK};
use crate::symbols::Uuid;
use dp_types::{CancelOrder, ClientOrderId, InstrumentId, Now, OrderId, TradeId, UnixNanos};
use dp_venue_api::{Control, DecodeError, EntryError, Event, Fault, Registry, Sink};
use std::io::Write as _;

/// Pause before a list of open orders that is too long is read again.
const START_OVER_NS: u64 = 10 * SECOND_NS;
/// How far back fills are read when none is known yet: three days.
const FILLS_BACK_NS: u64 = 3 * 86_400 * SECOND_NS;

/// One page of fills: how many, the ends of their trade ids, the time of the oldest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) items: usize,
    pub(super) oldest: TradeId,
    pub(super) newest: TradeId,
    pub(super) oldest_ns: u64,
    /// Of which order the last fill was.
    pub(super) order: Option<OrderId>,
}

impl Page {
    pub(super) const EMPTY: Self = Self {
        items: 0,
        oldest: TradeId(u128::MAX),
        newest: TradeId(0),
        oldest_ns: u64::MAX,
        order: None,
    };
}

impl Session {
    pub(crate) fn reconcile(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if self.auth.is_none() {
            return;
        }
        self.begin_run(now.unix);
        out.event(&Event::Control(Control::ReconcileStarted));
        self.ask_step(registry, now, out);
    }

    /// A run from the start, with a number of its own: no answer to another one moves it.
    fn begin_run(&mut self, at: UnixNanos) {
        self.runs = (self.runs.wrapping_add(1) & RUN_MASK).max(1);
        self.tracks.forget_uncounted();
        self.newest.clone_from(&self.known);
        let step = if self.symbols.is_empty() {
            Step::Accounts
        } else {
            Step::Orders
        };
        self.run = Some(Run {
            number: self.runs,
            step,
            index: 0,
            page: 0,
            after: 0,
            at,
        });
    }

    /// The one answer that moves the run on. Links are lost with requests queued, and an answer may come twice: it
    /// counts only for the run, the list and the page it was asked for.
    pub(super) fn awaited(&self) -> Option<Ask> {
        let run = self.run?;
        let id = || self.symbols.get(run.index).copied();
        Some(match run.step {
            Step::Orders => Ask::Orders(run.number, id()?),
            Step::Fills => Ask::Fills(run.number, id()?, run.page),
            Step::Accounts => Ask::Accounts(run.number),
        })
    }

    pub(super) fn ask_step(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let (Some(ask), Some(run)) = (self.awaited(), &mut self.run) else {
            return;
        };
        if !self.is_rest_open {
            run.at = now.unix; // the link's opening sends it
            return;
        }
        let kind = match run.step {
            Step::Fills => Kind::Fills,
            Step::Orders | Step::Accounts => Kind::Question,
        };
        if !self.limits.take(now.unix, kind) {
            run.at = now.unix.after(RETRY_NS);
            return;
        }
        run.at = now.unix.after(ANSWER_WAIT_NS);
        let id = self.symbols.get(run.index).copied().unwrap_or_default();
        let symbol = registry.get(id).map_or("", |known| known.symbol.as_str());
        let target = &mut self.target;
        target.clear();
        // Writing into a Vec does not fail.
        let _ = match run.step {
            Step::Orders => write!(
                target,
                "/orders?product_id={symbol}&status=open&status=pending&status=active&limit={ORDERS_LEN}"
            ),
            Step::Fills if run.after == 0 => {
                write!(target, "/fills?product_id={symbol}&limit={FILLS_LEN}")
            }
            Step::Fills => write!(
                target,
                "/fills?product_id={symbol}&limit={FILLS_LEN}&after={}",
                run.after
            ),
            Step::Accounts => write!(target, "/accounts"),
        };
        self.ask_target(ask, now, out);
    }

    /// The step failed: again in a while.
    pub(super) fn step_failed(&mut self, ask: Ask, now: Now) {
        if self.awaited() == Some(ask)
            && let Some(run) = &mut self.run
        {
            run.at = run.at.min(now.unix.after(RETRY_NS));
        }
    }

    /// The next product, or the next list after the last.
    fn next_step(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let Some(run) = &mut self.run else {
            return;
        };
        (run.page, run.after) = (0, 0);
        run.index += 1;
        if run.index >= self.symbols.len() {
            run.index = 0;
            run.step = match run.step {
                Step::Orders => Step::Fills,
                Step::Fills | Step::Accounts => Step::Accounts,
            };
        }
        self.ask_step(registry, now, out);
    }

    /// The open orders of a product were told.
    ///
    /// Errors: a full page. More of them may be open than were listed, and a list we cannot finish proves nothing:
    /// it starts over, and trading stays blocked.
    pub(super) fn on_orders_listed(
        &mut self,
        registry: &Registry,
        items: usize,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if items >= ORDERS_LEN {
            self.begin_run(now.unix.after(START_OVER_NS));
            return Err(DecodeError::TooMuch("open orders").into());
        }
        self.next_step(registry, now, out);
        Ok(())
    }

    /// A page of fills of a product was told: the next page, or what comes after the last.
    ///
    /// Errors: more pages than the maximum. The run goes on with what was read, and what was not is not taken for
    /// known.
    pub(super) fn turn_page(
        &mut self,
        registry: &Registry,
        page: &Page,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        let known = self.known.get(run.index).copied().unwrap_or_default();
        let since = now.unix.0.saturating_sub(FILLS_BACK_NS);
        let is_reached = page.oldest <= known || (known.0 == 0 && page.oldest_ns < since);
        let is_last = page.items < FILLS_LEN || is_reached;
        let is_over = !is_last && run.page + 1 >= FILL_PAGES_MAX;
        if let Some(newest) = self.newest.get_mut(run.index) {
            // Fills in between that were not read are not known: the next run tries again.
            let is_cut = is_over && known.0 != 0;
            *newest = if is_cut {
                known
            } else {
                (*newest).max(page.newest)
            };
        }
        if is_last || is_over {
            self.next_step(registry, now, out);
        } else {
            (run.page, run.after) = (run.page + 1, page.oldest.0);
            self.ask_step(registry, now, out);
        }
        if is_over {
            return Err(DecodeError::TooMuch("fills").into());
        }
        Ok(())
    }

    /// The balances went out: the run is complete, and only now is what it saw of fills known for good.
    pub(super) fn on_accounts_told(&mut self, out: &mut impl Sink) {
        if self.run.take().is_some() {
            self.known.clone_from(&self.newest);
            out.event(&Event::Control(Control::Reconciled));
        }
    }

    /// Asks for a page (its number, and the trade it goes on from) of the fills of one order. Nothing is
    /// remembered of it but that it is on its way: whoever misses a fill asks about the order again, and each
    /// answer asks here anew.
    pub(super) fn ask_order_fills(
        &mut self,
        (instrument, client, order): (InstrumentId, ClientOrderId, OrderId),
        (number, after): (u8, u128),
        now: Now,
        out: &mut impl Sink,
    ) {
        let ask = Ask::OrderFills(instrument, client, number);
        let may = self.auth.is_some()
            && self.is_rest_open
            && !self.in_flight.contains(ask.tag(), now.unix)
            && self.in_flight.has_room(now.unix)
            && self.limits.take(now.unix, Kind::Fills);
        if !may {
            return;
        }
        self.in_flight.add(ask.tag(), now.unix);
        let order = Uuid::from_bits(order.0);
        let target = &mut self.target;
        target.clear();
        let _ = write!(
            target,
            "/fills?order_id={}&limit={FILLS_LEN}",
            order.as_str()
        );
        if number > 0 {
            let _ = write!(target, "&after={after}");
        }
        self.ask_target(ask, now, out);
    }

    /// Asks about an order whose story has a hole. Refused for rate or for want of a link: the engine asks when it
    /// finds the order unsettled.
    pub(super) fn ask_order(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        client_id: ClientOrderId,
        now: Now,
        out: &mut impl Sink,
    ) {
        let order = CancelOrder {
            instrument,
            client_id,
            order_id: OrderId(0),
        };
        let _ = self.query_order(registry, &order, now, out);
    }

    pub(crate) fn query_order(
        &mut self,
        registry: &Registry,
        order: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let known = registry
            .get(order.instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        if self.auth.is_none() || !self.is_rest_open {
            return Err(EntryError::NotReady);
        }
        let ask = Ask::Order(order.instrument, order.client_id);
        if self.in_flight.contains(ask.tag(), now.unix) {
            return Ok(()); // its answer is on the way
        }
        if !self.in_flight.has_room(now.unix) || !self.limits.take(now.unix, Kind::Question) {
            return Err(EntryError::RateLimited);
        }
        self.in_flight.add(ask.tag(), now.unix);
        self.target.clear();
        entry::write_target(known, order, &mut self.target);
        self.ask_target(ask, now, out);
        Ok(())
    }
}
