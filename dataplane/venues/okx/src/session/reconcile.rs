//! Reconciliation, order queries, the dead man's switch: what is asked over signed REST.

use super::answers::Page;
use super::{ANSWER_WAIT_NS, DEAD_MAN_REARM_NS, DEAD_MAN_TIMEOUT_S, RETRY_NS, Run, Session, Step};
use crate::limits::RestPool;
use crate::rest::{self, Ask, PAGE_LEN, PAGES_MAX};
use crate::symbols::push_client_id;
use dp_types::{CancelOrder, Now};
use dp_venue_api::{Control, DecodeError, EntryError, Event, Fault, Registry, RestMethod, Sink};

impl Session {
    pub(crate) fn reconcile(&mut self, now: Now, out: &mut impl Sink) {
        if self.auth.is_none() {
            return;
        }
        self.runs = self.runs.wrapping_add(1);
        self.run = Some(Run {
            number: self.runs,
            step: Step::Pending,
            pages: 0,
            after: 0,
            bill_max: 0,
            at: now.unix,
        });
        out.event(&Event::Control(Control::ReconcileStarted));
        if self.is_rest_open {
            self.ask_step(now, out);
        }
    }

    pub(super) fn ask_step(&mut self, now: Now, out: &mut impl Sink) {
        let (Some(run), Some(auth)) = (&mut self.run, &self.auth) else {
            return;
        };
        let (pool, path) = match run.step {
            Step::Pending => (RestPool::Trade, "/api/v5/trade/orders-pending"),
            Step::Fills => (RestPool::Trade, "/api/v5/trade/fills"),
            Step::Balance => (RestPool::Balance, "/api/v5/account/balance"),
        };
        if !self.limits.rest(now.unix, pool) {
            run.at = now.unix.after(RETRY_NS);
            return;
        }
        run.at = now.unix.after(ANSWER_WAIT_NS);
        let mut target = path.to_owned();
        if run.step != Step::Balance {
            target = format!("{target}?limit={PAGE_LEN}");
            if run.after != 0 {
                target = format!("{target}&after={}", run.after);
            }
        }
        let ask = match run.step {
            Step::Pending => Ask::Pending(run.number),
            Step::Fills => Ask::Fills(run.number),
            Step::Balance => Ask::Balance(run.number),
        };
        rest::signed(auth, ask, RestMethod::Get, &target, "", now, out);
    }

    /// The run this answer belongs to, if it is the one under way and at this step.
    pub(super) fn current(&mut self, number: u32, step: Step) -> Option<&mut Run> {
        self.run
            .as_mut()
            .filter(|run| run.number == number && run.step == step)
    }

    /// A page of a list arrived: the next page, or the next step.
    ///
    /// Errors: more pages than [`PAGES_MAX`]. Open orders then start over (trading stays blocked: a
    /// list we cannot finish proves nothing); fills go on with what was read.
    pub(super) fn turn_page(
        &mut self,
        number: u32,
        step: Step,
        page: Page,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let bill_last = self.bill_last;
        let Some(run) = self.current(number, step) else {
            return Ok(());
        };
        run.pages += 1;
        run.bill_max = run.bill_max.max(page.id_max);
        let is_last = page.items < PAGE_LEN || (step == Step::Fills && page.id_min <= bill_last);
        let is_over = !is_last && run.pages >= PAGES_MAX;
        if is_over && step == Step::Pending {
            run.pages = 0;
            run.after = 0;
            run.at = now.unix.after(ANSWER_WAIT_NS);
            return Err(DecodeError::TooMuch("open orders").into());
        }
        if is_last || is_over {
            run.step = if step == Step::Pending {
                run.bill_max = 0; // it held order ids so far
                Step::Fills
            } else {
                Step::Balance
            };
            run.pages = 0;
            run.after = 0;
        } else {
            run.after = page.id_min;
        }
        self.ask_step(now, out);
        if is_over {
            return Err(DecodeError::TooMuch("fills").into());
        }
        Ok(())
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
        if !self.limits.rest(now.unix, RestPool::Trade) {
            return Err(EntryError::RateLimited);
        }
        let mut client = Vec::new();
        push_client_id(order.client_id, &mut client);
        let target = format!(
            "/api/v5/trade/order?instId={}&clOrdId={}",
            known.symbol,
            String::from_utf8_lossy(&client)
        );
        let ask = Ask::Order(order.instrument, order.client_id);
        rest::signed(auth, ask, RestMethod::Get, &target, "", now, out);
        Ok(())
    }

    pub(super) fn arm_dead_man(&mut self, now: Now, out: &mut impl Sink) {
        let Some(auth) = self.auth.as_ref().filter(|_| self.private.is_ready) else {
            self.dead_man_at = None;
            return;
        };
        if !self.limits.rest(now.unix, RestPool::DeadMan) {
            self.dead_man_at = Some(now.unix.after(RETRY_NS));
            return;
        }
        self.dead_man_at = Some(now.unix.after(DEAD_MAN_REARM_NS));
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
}
