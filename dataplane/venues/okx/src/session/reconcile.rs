//! Reconciliation, order queries, the dead man's switch: what is asked over signed REST.

use super::answers::Page;
use super::{
    ANSWER_WAIT_NS, DEAD_MAN_REARM_NS, DEAD_MAN_TIMEOUT_S, DEAD_MAN_WAIT_NS, RETRY_NS, Run,
    SECOND_NS, Session, Step,
};
use crate::limits::RestPool;
use crate::rest::{self, Ask, FILL_PAGES_MAX, ListPage, PAGE_LEN, PAGES_MAX, RUN_MASK};
use crate::symbols::push_client_id;
use dp_types::{CancelOrder, ClientOrderId, InstrumentId, Now, OrderId};
use dp_venue_api::{Control, DecodeError, EntryError, Event, Fault, Registry, RestMethod, Sink};

/// Pause before a list of open orders that is too long is read again.
const START_OVER_NS: u64 = 10 * SECOND_NS;

impl Session {
    pub(crate) fn reconcile(&mut self, now: Now, out: &mut impl Sink) {
        if self.auth.is_none() {
            return;
        }
        self.begin_run(now);
        out.event(&Event::Control(Control::ReconcileStarted));
        self.ask_step(now, out);
    }

    /// A run from the start, with a number of its own: no answer to another one moves it.
    fn begin_run(&mut self, at: Now) {
        self.runs = (self.runs.wrapping_add(1) & RUN_MASK).max(1);
        self.run = Some(Run {
            number: self.runs,
            step: Step::Pending,
            page: 0,
            after: 0,
            bill_max: 0,
            at: at.unix,
        });
    }

    /// The one answer that moves the run on. Links are lost with requests queued, and an answer may come twice:
    /// it counts only for the run, the list and the page it was asked for.
    pub(super) fn awaited(&self) -> Option<Ask> {
        let run = self.run?;
        let page = ListPage {
            run: run.number,
            page: run.page,
        };
        Some(match run.step {
            Step::Pending => Ask::Pending(page),
            Step::Fills => Ask::Fills(page),
            Step::Positions => Ask::Positions(run.number),
            Step::Balance => Ask::Balance(run.number),
        })
    }

    pub(super) fn ask_step(&mut self, now: Now, out: &mut impl Sink) {
        let awaited = self.awaited();
        let (Some(run), Some(auth), Some(ask)) = (&mut self.run, &self.auth, awaited) else {
            return;
        };
        if !self.is_rest_open {
            run.at = now.unix; // the link's opening sends it
            return;
        }
        let (pool, path) = match run.step {
            Step::Pending => (RestPool::Trade, "/api/v5/trade/orders-pending"),
            Step::Fills => (RestPool::Trade, "/api/v5/trade/fills"),
            Step::Positions => (RestPool::Positions, "/api/v5/account/positions"),
            Step::Balance => (RestPool::Balance, "/api/v5/account/balance"),
        };
        if !self.limits.rest(now.unix, pool) {
            run.at = now.unix.after(RETRY_NS);
            return;
        }
        run.at = now.unix.after(ANSWER_WAIT_NS);
        let mut target = path.to_owned();
        if matches!(run.step, Step::Pending | Step::Fills) {
            target = format!("{target}?limit={PAGE_LEN}");
            if run.after != 0 {
                target = format!("{target}&after={}", run.after);
            }
        }
        rest::signed(auth, ask, RestMethod::Get, &target, "", now, out);
    }

    /// The step failed: again in a while.
    pub(super) fn step_failed(&mut self, ask: Ask, now: Now) {
        if self.awaited() == Some(ask)
            && let Some(run) = &mut self.run
        {
            run.at = run.at.min(now.unix.after(RETRY_NS));
        }
    }

    /// The page waited for arrived: the next page, or the next step.
    ///
    /// Errors: more pages than the maximum. Open orders then start over (trading stays blocked: a list we
    /// cannot finish proves nothing); fills go on with what was read, and what was not is not taken for known.
    pub(super) fn turn_page(
        &mut self,
        page: Page,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let bill_last = self.bill_last;
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        let is_fills = run.step == Step::Fills;
        let pages_max = if is_fills { FILL_PAGES_MAX } else { PAGES_MAX };
        let pages = run.page.saturating_add(1);
        let is_last = page.items < PAGE_LEN || (is_fills && page.id_min <= bill_last);
        let is_over = !is_last && pages >= pages_max;
        if is_over && !is_fills {
            self.begin_run(now);
            if let Some(run) = &mut self.run {
                run.at = now.unix.after(START_OVER_NS);
            }
            return Err(DecodeError::TooMuch("open orders").into());
        }
        if is_fills {
            run.bill_max = run.bill_max.max(page.id_max);
        }
        if is_last || is_over {
            run.step = match is_fills {
                false => Step::Fills,
                true if self.has_derivatives => Step::Positions,
                true => Step::Balance,
            };
            (run.page, run.after) = (0, 0);
            if is_over && bill_last != 0 {
                run.bill_max = 0; // fills in between were not read: the next run tries again
            }
        } else {
            (run.page, run.after) = (pages, page.id_min);
        }
        self.ask_step(now, out);
        if is_over {
            return Err(DecodeError::TooMuch("fills").into());
        }
        Ok(())
    }

    /// The positions went out: what was told before the balances is in them.
    pub(super) fn on_positions(&mut self, now: Now, out: &mut impl Sink) {
        if let Some(run) = &mut self.run {
            run.step = Step::Balance;
        }
        self.ask_step(now, out);
    }

    /// The balances went out: the run is complete, and only now is what it saw of fills known for good.
    pub(super) fn on_balance(&mut self, now: Now, out: &mut impl Sink) {
        if let Some(run) = self.run.take() {
            self.bill_last = self.bill_last.max(run.bill_max);
            out.event(&Event::Control(Control::Reconciled));
            if self.has_swaps {
                self.bills.compared(now);
                self.ask_bills(now, out);
            }
        }
    }

    /// Asks for a page of funding payments, if one is due.
    pub(super) fn ask_bills(&mut self, now: Now, out: &mut impl Sink) {
        let Some(auth) = &self.auth else {
            return;
        };
        if !self.is_rest_open || !self.bills.is_due(now) {
            return;
        }
        if !self.limits.rest(now.unix, RestPool::Bills) {
            self.bills.failed(now);
            return;
        }
        let (page, query) = self.bills.asked(now);
        let target = format!("/api/v5/account/bills?{query}");
        let ask = Ask::Bills(page);
        rest::signed(auth, ask, RestMethod::Get, &target, "", now, out);
    }

    /// Asks for a page (its number, and the bill it goes on from) of the fills of one order. Nothing is
    /// remembered of it but that it is on its way: whoever misses a fill asks about the order again, and each
    /// answer asks here anew.
    pub(super) fn ask_order_fills(
        &mut self,
        registry: &Registry,
        (instrument, client, order): (InstrumentId, ClientOrderId, OrderId),
        (number, after): (u8, u128),
        now: Now,
        out: &mut impl Sink,
    ) {
        let (Some(auth), Some(known)) = (&self.auth, registry.get(instrument)) else {
            return;
        };
        let ask = Ask::OrderFills(instrument, client, number);
        let may = self.is_rest_open
            && !self.in_flight.contains(ask.tag(), now.unix)
            && self.in_flight.has_room(now.unix)
            && self.limits.rest(now.unix, RestPool::Trade);
        if !may {
            return;
        }
        self.in_flight.add(ask.tag(), now.unix);
        let mut target = format!(
            "/api/v5/trade/fills?instId={}&ordId={}&limit={PAGE_LEN}",
            known.symbol, order.0
        );
        if number > 0 {
            target = format!("{target}&after={after}");
        }
        rest::signed(auth, ask, RestMethod::Get, &target, "", now, out);
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
        let auth = self.auth.as_ref().ok_or(EntryError::NotReady)?;
        if !self.is_rest_open {
            return Err(EntryError::NotReady);
        }
        let ask = Ask::Order(order.instrument, order.client_id);
        if self.in_flight.contains(ask.tag(), now.unix) {
            return Ok(()); // its answer is on the way
        }
        if !self.in_flight.has_room(now.unix) || !self.limits.rest(now.unix, RestPool::Trade) {
            return Err(EntryError::RateLimited);
        }
        self.in_flight.add(ask.tag(), now.unix);
        let mut client = Vec::new();
        push_client_id(order.client_id, &mut client);
        let target = format!(
            "/api/v5/trade/order?instId={}&clOrdId={}",
            known.symbol,
            String::from_utf8_lossy(&client)
        );
        rest::signed(auth, ask, RestMethod::Get, &target, "", now, out);
        Ok(())
    }

    pub(super) fn arm_dead_man(&mut self, now: Now, out: &mut impl Sink) {
        let Some(auth) = self.auth.as_ref().filter(|_| self.private.is_ready) else {
            self.dead_man_at = None;
            return;
        };
        let waits_until = self.dead_man_asked.map(|at| at.after(DEAD_MAN_WAIT_NS));
        if waits_until.is_some_and(|until| until > now.unix) {
            self.dead_man_at = waits_until;
            return;
        }
        if !self.limits.rest(now.unix, RestPool::DeadMan) {
            self.dead_man_at = Some(now.unix.after(RETRY_NS));
            return;
        }
        self.dead_man_asked = Some(now.unix);
        self.dead_man_at = Some(now.unix.after(DEAD_MAN_WAIT_NS));
        let target = "/api/v5/trade/cancel-all-after";
        let body = format!(r#"{{"timeOut":"{DEAD_MAN_TIMEOUT_S}"}}"#);
        rest::signed(
            auth,
            Ask::DeadMan,
            RestMethod::Post,
            target,
            &body,
            now,
            out,
        );
    }

    /// The switch was pushed back: again a while after it was asked for, or soon when it failed.
    pub(super) fn dead_man_answered(&mut self, is_armed: bool, now: Now) {
        let asked = self.dead_man_asked.take().unwrap_or(now.unix);
        let next = if is_armed {
            asked.after(DEAD_MAN_REARM_NS).max(now.unix)
        } else {
            now.unix.after(RETRY_NS)
        };
        self.dead_man_at = self.dead_man_at.map(|_| next);
    }
}
