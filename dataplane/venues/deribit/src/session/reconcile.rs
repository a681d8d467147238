//! Reconciliation and questions about single orders: what is asked over signed REST.

use super::{ANSWER_WAIT_NS, RETRY_NS, Run, Session, Step};
use crate::rest::{self, Ask, PAGE_LEN, RUN_MASK, TRADE_PAGES_MAX};
use crate::symbols::{currency, push_client_id, write_id};
use dp_types::{CancelOrder, ClientOrderId, InstrumentId, Now, OrderId};
use dp_venue_api::{Control, DecodeError, EntryError, Event, Fault, Registry, Sink};

impl Session {
    pub(crate) fn reconcile(&mut self, now: Now, out: &mut impl Sink) {
        if self.auth.is_none() {
            return;
        }
        // A number of its own: no answer to another run moves it.
        self.runs = (self.runs.wrapping_add(1) & RUN_MASK).max(1);
        self.run = Some(Run {
            number: self.runs,
            step: Step::Orders,
            place: 0,
            page: 0,
            pages: 0,
            until: 0,
            at: now.unix,
        });
        for followed in &mut self.followed {
            followed.trade_seen = followed.trade_last;
        }
        out.event(&Event::Control(Control::ReconcileStarted));
        self.ask_step(now, out);
    }

    /// The one answer that moves the run on. Links are lost with requests queued, and an answer may come twice: it
    /// counts only for the run, the list and the page it was asked for.
    pub(super) fn awaited(&self) -> Option<Ask> {
        let run = self.run?;
        Some(match run.step {
            Step::Orders => Ask::Orders(run.number),
            Step::Trades => Ask::Trades(run.number, run.page),
            Step::Positions => Ask::Positions(run.number),
            Step::Balances => Ask::Balances(run.number),
        })
    }

    pub(super) fn ask_step(&mut self, now: Now, out: &mut impl Sink) {
        let Some(ask) = self.awaited() else {
            return;
        };
        let target = self.step_target();
        let (Some(run), Some(auth)) = (&mut self.run, &self.auth) else {
            return;
        };
        if !self.is_rest_open {
            run.at = now.unix; // the link's opening sends it
            return;
        }
        if !self.limits.rest(now.unix) {
            run.at = now.unix.after(RETRY_NS);
            return;
        }
        run.at = now.unix.after(ANSWER_WAIT_NS);
        rest::signed(auth, &mut self.nonces, ask, &target, now, out);
    }

    fn step_target(&self) -> String {
        let Some(run) = self.run else {
            return String::new();
        };
        match run.step {
            Step::Orders => "/api/v2/private/get_open_orders".to_owned(),
            Step::Positions => "/api/v2/private/get_positions?currency=any".to_owned(),
            Step::Balances => "/api/v2/private/get_account_summaries".to_owned(),
            Step::Trades => {
                let symbol = self.symbols.get(run.place).map_or("", String::as_str);
                let mut target = format!(
                    "/api/v2/private/get_user_trades_by_instrument?instrument_name={symbol}&count={PAGE_LEN}&sorting=desc"
                );
                let known = self.followed.get(run.place).map_or(0, |it| it.trade_last);
                if known > 0 {
                    target = format!("{target}&start_seq={}", known.saturating_add(1));
                }
                if run.until > 0 {
                    target = format!("{target}&end_seq={}", run.until);
                }
                target
            }
        }
    }

    /// Asks for a page of the log of transactions, if one is due.
    pub(super) fn ask_log(&mut self, now: Now, out: &mut impl Sink) {
        let Some(auth) = &self.auth else {
            return;
        };
        if !self.is_rest_open || !self.log.is_due(now) {
            return;
        }
        if !self.limits.rest(now.unix) {
            self.log.failed(now);
            return;
        }
        if let Some(target) = self.log.asked(now) {
            let ask = self.log.awaited();
            rest::signed(auth, &mut self.nonces, ask, &target, now, out);
        }
    }

    /// The step failed: again in a while.
    pub(super) fn step_failed(&mut self, ask: Ask, now: Now) {
        if self.awaited() == Some(ask)
            && let Some(run) = &mut self.run
        {
            run.at = run.at.min(now.unix.after(RETRY_NS));
        }
    }

    /// The list waited for arrived, all of it: the next step.
    pub(super) fn step_done(&mut self, now: Now, out: &mut impl Sink) {
        let Some(run) = &mut self.run else {
            return;
        };
        run.step = match run.step {
            Step::Orders if self.followed.is_empty() => Step::Positions,
            Step::Orders => Step::Trades,
            Step::Trades => Step::Positions,
            Step::Positions => Step::Balances,
            Step::Balances => {
                // Only now is what the run saw of trades known for good.
                for followed in &mut self.followed {
                    followed.trade_last = followed.trade_last.max(followed.trade_seen);
                }
                self.run = None;
                out.event(&Event::Control(Control::Reconciled));
                self.log.compared(now);
                self.ask_log(now, out);
                return;
            }
        };
        self.ask_step(now, out);
    }

    /// The page of trades waited for arrived: the next page, the next instrument, or the next step.
    ///
    /// Errors: more pages than the maximum. The run goes on with what was read, and what was not is not taken for
    /// known.
    pub(super) fn turn_page(
        &mut self,
        page: TradePage,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        let followed = self.followed.get_mut(run.place);
        run.page = run.page.wrapping_add(1);
        run.pages += 1;
        let is_over = page.has_more && run.pages >= TRADE_PAGES_MAX;
        if let Some(followed) = followed {
            followed.trade_seen = if is_over {
                0 // what lies between was not read: the next run tries again
            } else {
                followed.trade_seen.max(page.newest)
            };
        }
        // An empty page has no end to go on from.
        if page.has_more && !is_over && page.oldest > 1 {
            run.until = page.oldest - 1;
            self.ask_step(now, out);
            return Ok(());
        }
        (run.place, run.pages, run.until) = (run.place + 1, 0, 0);
        if run.place < self.followed.len() {
            self.ask_step(now, out);
        } else {
            self.step_done(now, out);
        }
        if is_over {
            return Err(DecodeError::TooMuch("trades of ours").into());
        }
        Ok(())
    }

    /// Asks for the trades of one order. Nothing is remembered of it but that it is on its way: whoever misses one
    /// asks about the order again, and each answer asks here anew.
    pub(super) fn ask_order_trades(
        &mut self,
        (instrument, client, order): (InstrumentId, ClientOrderId, OrderId),
        now: Now,
        out: &mut impl Sink,
    ) {
        let Some(auth) = &self.auth else {
            return;
        };
        let ask = Ask::OrderTrades(instrument, client);
        let may = self.is_rest_open
            && !self.in_flight.contains(ask.tag(), now.unix)
            && self.in_flight.has_room(now.unix)
            && self.limits.rest(now.unix);
        if !may {
            return;
        }
        self.in_flight.add(ask.tag(), now.unix);
        let mut buffer = [0; 40];
        let id = write_id(order.0, &mut buffer);
        let target = format!("/api/v2/private/get_user_trades_by_order?order_id={id}");
        rest::signed(auth, &mut self.nonces, ask, &target, now, out);
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
        if !self.in_flight.has_room(now.unix) || !self.limits.rest(now.unix) {
            return Err(EntryError::RateLimited);
        }
        self.in_flight.add(ask.tag(), now.unix);
        let target = if order.order_id.0 != 0 {
            let mut buffer = [0; 40];
            let id = write_id(order.order_id.0, &mut buffer);
            format!("/api/v2/private/get_order_state?order_id={id}")
        } else {
            let mut label = Vec::new();
            push_client_id(order.client_id, &mut label);
            format!(
                "/api/v2/private/get_order_state_by_label?currency={}&label={}",
                currency(known.symbol.as_str()),
                String::from_utf8_lossy(&label)
            )
        };
        rest::signed(auth, &mut self.nonces, ask, &target, now, out);
        Ok(())
    }
}

/// One page of our trades: the ends of their numbers, and whether there are more.
#[derive(Debug, Clone, Copy)]
pub(super) struct TradePage {
    pub(super) newest: u64,
    pub(super) oldest: u64,
    pub(super) has_more: bool,
}
