//! Reconciliation, order queries, cancels by REST, the dead man's switch: what is asked over signed REST.

use super::answers::Page;
use super::links::again;
use super::{
    ANSWER_WAIT_NS, DEAD_MAN_REARM_NS, DEAD_MAN_SYMBOLS, DEAD_MAN_TIMEOUT_S, DEAD_MAN_WAIT_NS, Run,
    Session, Step,
};
use crate::limits::{CANCEL_ALL_COST, CANCEL_COST, Cost};
use crate::rest::{Ask, FILL_PAGES_MAX, PAGE_LEN, Part, Question, RUN_MASK};
use crate::symbols::push_client_id;
use crate::{LINK_CANCELS, LINK_ORDERS, LINK_REST, entry};
use dp_types::{CancelOrder, ClientOrderId, InstrumentId, Now, OrderId};
use dp_venue_api::{Control, DecodeError, EntryError, Event, Fault, Registry, RestMethod, Sink};

/// What the venue counts for a list of orders or fills, an order, and the dead man's switch.
const LIST_COST: Cost = Cost::Spot(2);
const DEAD_MAN_COST: Cost = Cost::Cancel(2);
/// Not on the page [U].
const BALANCE_COST: Cost = Cost::Management(5);

/// An order's place in REST, by our id.
fn order_target(symbol: &str, client_id: ClientOrderId) -> String {
    let mut client = Vec::new();
    push_client_id(client_id, &mut client);
    let client = String::from_utf8_lossy(&client);
    format!("/api/v1/hf/orders/client-order/{client}?symbol={symbol}")
}

impl Session {
    pub(crate) fn reconcile(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if self.auth.is_none() {
            return;
        }
        self.runs = (self.runs.wrapping_add(1) & RUN_MASK).max(1);
        self.run = Some(Run {
            number: self.runs,
            step: if self.symbols.is_empty() {
                Step::Balance
            } else {
                Step::Open
            },
            index: 0,
            page: 0,
            after: 0,
            at: now.unix,
        });
        for book in &mut self.books {
            book.fill_max = 0;
        }
        out.event(&Event::Control(Control::ReconcileStarted));
        self.ask_step(registry, now, out);
    }

    /// The one answer that moves the run on. Links are lost with requests queued, and an answer may come twice: it
    /// counts only for the run, the instrument and the page it was asked for.
    pub(super) fn awaited(&self) -> Option<Ask> {
        let run = self.run?;
        let part = Part {
            run: run.number,
            index: run.index,
            page: run.page,
        };
        Some(match run.step {
            Step::Open => Ask::Open(part),
            Step::Fills => Ask::Fills(part),
            Step::Balance => Ask::Balance(run.number),
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
        let cost = match run.step {
            Step::Open | Step::Fills => LIST_COST,
            Step::Balance => BALANCE_COST,
        };
        if !self.limits.take(now.unix, cost) {
            run.at = again(now);
            return;
        }
        run.at = now.unix.after(ANSWER_WAIT_NS);
        let known = self.symbols.get(run.index as usize);
        let known = known.and_then(|id| registry.get(*id));
        let symbol = known.map_or("", |known| known.symbol.as_str());
        let target = match run.step {
            Step::Open => format!("/api/v1/hf/orders/active?symbol={symbol}"),
            Step::Fills if run.page > 0 => {
                let after = run.after;
                format!("/api/v1/hf/fills?symbol={symbol}&limit={PAGE_LEN}&lastId={after}")
            }
            Step::Fills => format!("/api/v1/hf/fills?symbol={symbol}&limit={PAGE_LEN}"),
            Step::Balance => "/api/v1/accounts?type=trade".to_owned(),
        };
        let question = Question {
            link: LINK_REST,
            ask,
            method: RestMethod::Get,
            target: &target,
            body: "",
        };
        question.sign(auth, now, out);
    }

    /// The step failed: again in a while.
    pub(super) fn step_failed(&mut self, ask: Ask, now: Now) {
        if self.awaited() == Some(ask)
            && let Some(run) = &mut self.run
        {
            run.at = run.at.min(again(now));
        }
    }

    /// This instrument's list is complete: the next instrument's, or the next step.
    pub(super) fn next_instrument(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let Some(run) = &mut self.run else {
            return;
        };
        (run.page, run.after, run.index) = (0, 0, run.index + 1);
        if run.index as usize >= self.symbols.len() {
            run.index = 0;
            run.step = match run.step {
                Step::Open => Step::Fills,
                Step::Fills | Step::Balance => Step::Balance,
            };
        }
        self.ask_step(registry, now, out);
    }

    /// The page of fills waited for arrived: the next page, or the next instrument.
    ///
    /// Errors: more pages than the maximum. The run goes on with what was read, and what was not is not taken for
    /// known.
    pub(super) fn turn_page(
        &mut self,
        page: Page,
        registry: &Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        let id = self.symbols.get(run.index as usize);
        let Some(book) = id.and_then(|id| self.books.get_mut(id.0 as usize)) else {
            return Ok(());
        };
        book.fill_max = book.fill_max.max(page.id_max);
        let pages = run.page.saturating_add(1);
        let is_last = page.items < PAGE_LEN || page.id_min <= book.fill_last;
        let is_over = !is_last && pages >= FILL_PAGES_MAX;
        if is_last || is_over {
            if is_over && book.fill_last != 0 {
                book.fill_max = 0; // fills in between were not read: the next run tries again
            }
            self.next_instrument(registry, now, out);
        } else {
            (run.page, run.after) = (pages, page.id_min);
            self.ask_step(registry, now, out);
        }
        if is_over {
            return Err(DecodeError::TooMuch("fills").into());
        }
        Ok(())
    }

    /// The balances went out: the run is complete, and only now is what it saw of fills known for good.
    pub(super) fn finish_run(&mut self, out: &mut impl Sink) {
        if self.run.take().is_some() {
            for book in &mut self.books {
                book.fill_last = book.fill_last.max(book.fill_max);
            }
            out.event(&Event::Control(Control::Reconciled));
        }
    }

    /// Asks for a page (its number, and the fill it goes on from) of the fills of one order. Nothing is remembered
    /// of it but that it is on its way: whoever misses a fill asks about the order again, and each answer asks
    /// here anew.
    pub(super) fn ask_order_fills(
        &mut self,
        registry: &Registry,
        (instrument, client, order): (InstrumentId, ClientOrderId, OrderId),
        (number, after): (u8, i64),
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
            && self.limits.take(now.unix, LIST_COST);
        if !may {
            return;
        }
        self.in_flight.add(ask.tag(), now.unix);
        let order = crate::symbols::order_id_text(order);
        let mut target = format!(
            "/api/v1/hf/fills?symbol={}&orderId={order}&limit={PAGE_LEN}",
            known.symbol
        );
        if number > 0 {
            target = format!("{target}&lastId={after}");
        }
        Question {
            link: LINK_REST,
            ask,
            method: RestMethod::Get,
            target: &target,
            body: "",
        }
        .sign(auth, now, out);
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
        if !self.in_flight.has_room(now.unix) || !self.limits.take(now.unix, LIST_COST) {
            return Err(EntryError::RateLimited);
        }
        self.in_flight.add(ask.tag(), now.unix);
        let question = Question {
            link: LINK_REST,
            ask,
            method: RestMethod::Get,
            target: &order_target(known.symbol.as_str(), order.client_id),
            body: "",
        };
        question.sign(auth, now, out);
        Ok(())
    }

    /// Cancels over the order link; by REST while that is down.
    pub(crate) fn cancel_order(
        &mut self,
        registry: &Registry,
        cancel: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let known = registry
            .get(cancel.instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        let is_by_rest = !self.orders.is_ready();
        let auth = self.auth.as_ref().ok_or(EntryError::NotReady)?;
        if is_by_rest && !self.is_cancels_open {
            return Err(EntryError::NotReady);
        }
        if !self.limits.take(now.unix, CANCEL_COST) {
            return Err(EntryError::RateLimited);
        }
        // What ends it now is our cancel.
        self.account.posted.remove(cancel.client_id);
        if is_by_rest {
            let question = Question {
                link: LINK_CANCELS,
                ask: Ask::Cancel(cancel.instrument, cancel.client_id),
                method: RestMethod::Delete,
                target: &order_target(known.symbol.as_str(), cancel.client_id),
                body: "",
            };
            question.sign(auth, now, out);
        } else {
            self.message.clear();
            entry::write_cancel(known, cancel, &mut self.message);
            out.send_text(LINK_ORDERS, &self.message);
        }
        Ok(())
    }

    /// One request cancels all orders of an instrument; while its link is down, each goes by itself.
    pub(crate) fn cancel_all(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        live: &[CancelOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let known = registry
            .get(instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        if !self.is_cancels_open {
            for cancel in live {
                self.cancel_order(registry, cancel, now, out)?;
            }
            return Ok(());
        }
        let auth = self.auth.as_ref().ok_or(EntryError::NotReady)?;
        if !self.limits.take(now.unix, CANCEL_ALL_COST) {
            return Err(EntryError::RateLimited);
        }
        for cancel in live {
            self.account.posted.remove(cancel.client_id);
        }
        Question {
            link: LINK_CANCELS,
            ask: Ask::CancelAll(instrument),
            method: RestMethod::Delete,
            target: &format!("/api/v1/hf/orders?symbol={}", known.symbol),
            body: "",
        }
        .sign(auth, now, out);
        Ok(())
    }

    pub(super) fn arm_dead_man(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let is_logged_in = self.is_logged_in();
        let Some(auth) = self.auth.as_ref().filter(|_| is_logged_in) else {
            self.dead_man_at = None;
            return;
        };
        let waits_until = self.dead_man_asked.map(|at| at.after(DEAD_MAN_WAIT_NS));
        if waits_until.is_some_and(|until| until > now.unix) {
            self.dead_man_at = waits_until;
            return;
        }
        if !self.limits.take(now.unix, DEAD_MAN_COST) {
            self.dead_man_at = Some(again(now));
            return;
        }
        self.dead_man_asked = Some(now.unix);
        self.dead_man_at = Some(now.unix.after(DEAD_MAN_WAIT_NS));
        // Empty stands for all there are.
        let is_few = self.symbols.len() <= DEAD_MAN_SYMBOLS;
        let names = self.symbols.iter().filter(|_| is_few);
        let names = names.filter_map(|id| registry.get(*id));
        let names: Vec<_> = names.map(|known| known.symbol.as_str()).collect();
        let body = format!(
            r#"{{"timeout":{DEAD_MAN_TIMEOUT_S},"symbols":"{}"}}"#,
            names.join(",")
        );
        Question {
            link: LINK_CANCELS,
            ask: Ask::DeadMan,
            method: RestMethod::Post,
            target: "/api/v1/hf/orders/dead-cancel-all",
            body: &body,
        }
        .sign(auth, now, out);
    }

    /// The switch was pushed back: again a while after it was asked for, or soon when it failed.
    pub(super) fn dead_man_answered(&mut self, is_armed: bool, now: Now) {
        let asked = self.dead_man_asked.take().unwrap_or(now.unix);
        let next = if is_armed {
            asked.after(DEAD_MAN_REARM_NS).max(now.unix)
        } else {
            again(now)
        };
        self.dead_man_at = self.dead_man_at.map(|_| next);
    }
}
