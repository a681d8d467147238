//! The account, reconciliation, order queries, the dead man's switch: what is asked over signed REST.

use super::answers::Page;
use super::{
    ANSWER_WAIT_NS, DEAD_MAN_REARM_NS, DEAD_MAN_TIMEOUT_S, DEAD_MAN_WAIT_NS, RETRY_NS, Run,
    SECOND_NS, Session, Step,
};
use crate::limits::RestPool;
use crate::rest::{self, Ask, Call, FILL_PAGES_MAX, ListPage, PAGE_LEN, PAGES_MAX, RUN_MASK};
use crate::symbols::push_client_id;
use dp_types::{CancelOrder, ClientOrderId, InstrumentId, Now, OrderId, UnixNanos};
use dp_venue_api::{Control, DecodeError, EntryError, Event, Fault, Registry, RestMethod, Sink};

/// Pause before a list of open orders that is too long is read again.
const START_OVER_NS: u64 = 10 * SECOND_NS;
/// Fills are asked for from this long before the last run began: what was on its way then is in both.
const FILLS_OVERLAP_NS: u64 = 60 * SECOND_NS;
/// Fills older than this are asked for without a time: the venue then tells those of its last 48 hours.
const FILLS_SPAN_NS: u64 = 47 * 3_600 * SECOND_NS;
/// Which way a list goes on from an id: towards older ones. Unverified; a page that brings nothing older is an
/// error, never taken for the end.
const OLDER: &str = "next";

impl Session {
    pub(super) fn ask_accounts(&mut self, now: Now, out: &mut impl Sink) {
        let may = self.may_ask(RestPool::Account, now);
        let pause_ns = if may { ANSWER_WAIT_NS } else { RETRY_NS };
        self.accounts.0 = Some(now.unix.after(pause_ns));
        if let Some(auth) = self.auth.as_ref().filter(|_| may) {
            let call = Call::get("/v1/account/accounts", "");
            rest::signed(auth, &self.rest_host, Ask::Accounts, call, now, out);
        }
    }

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
        self.run = Some(Run {
            number: self.runs,
            began: at,
            step: Step::Open,
            symbol: 0,
            page: 0,
            from: 0,
            at,
        });
    }

    /// The one answer that moves the run on. Links are lost with requests queued, and an answer may come twice:
    /// it counts only for the run, the list and the page it was asked for.
    pub(super) fn awaited(&self) -> Option<Ask> {
        let run = self.run?;
        let page = ListPage {
            run: run.number,
            symbol: run.symbol,
            page: run.page,
        };
        Some(match run.step {
            Step::Open => Ask::Open(page),
            Step::Fills => Ask::Fills(page),
            Step::Balance => Ask::Balance(run.number),
        })
    }

    pub(super) fn ask_step(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.pass_unlisted(registry);
        let (Some(mut run), Some(ask)) = (self.run, self.awaited()) else {
            return;
        };
        run.at = now.unix; // the link's opening, or the account's arrival, sends it
        if self.is_rest_open {
            let pool = match run.step {
                Step::Open | Step::Balance => RestPool::Account,
                Step::Fills => RestPool::Fills,
            };
            let may = !self.account.is_empty() && self.limits.rest(now.unix, pool);
            run.at = now.unix.after(if may { ANSWER_WAIT_NS } else { RETRY_NS });
            if may {
                self.send_step(registry, &run, ask, now, out);
            }
        }
        self.run = Some(run);
    }

    fn send_step(&self, registry: &Registry, run: &Run, ask: Ask, now: Now, out: &mut impl Sink) {
        let Some(auth) = &self.auth else { return };
        let account = &self.account;
        let symbol = self.symbols.get(run.symbol as usize);
        let symbol = symbol.and_then(|id| registry.get(*id));
        let symbol = symbol.map_or("", |known| known.symbol.as_str());
        let mut query = format!("size={PAGE_LEN}&symbol={symbol}");
        if run.page > 0 {
            query = format!("{query}&from={}&direct={OLDER}", run.from);
        }
        let path = match run.step {
            Step::Open => {
                query = format!("account-id={account}&{query}");
                "/v1/order/openOrders".to_owned()
            }
            Step::Fills => {
                if now.unix.since(self.fills_known) < FILLS_SPAN_NS {
                    let from = self.fills_known.0.saturating_sub(FILLS_OVERLAP_NS);
                    query = format!("{query}&start-time={}", UnixNanos(from).millis());
                }
                "/v1/order/matchresults".to_owned()
            }
            Step::Balance => {
                query.clear();
                format!("/v1/account/accounts/{account}/balance")
            }
        };
        let call = Call::get(&path, &query);
        rest::signed(auth, &self.rest_host, ask, call, now, out);
    }

    /// Moves a run past symbols the venue does not list, and past the last one to the next step.
    fn pass_unlisted(&mut self, registry: &Registry) {
        let Some(run) = &mut self.run else { return };
        // Two lists of all symbols at most.
        for _ in 0..=2 * self.symbols.len() {
            if run.step == Step::Balance {
                return;
            }
            match self.symbols.get(run.symbol as usize) {
                Some(id) if registry.get(*id).is_some_and(|it| it.tick.0 != 0) => return,
                Some(_) => run.symbol += 1,
                None => {
                    run.symbol = 0;
                    run.step = match run.step {
                        Step::Open => Step::Fills,
                        Step::Fills | Step::Balance => Step::Balance,
                    };
                }
            }
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

    /// The page waited for arrived: the next page, the next symbol or the next step.
    ///
    /// Errors: more pages than the maximum, or one that brings nothing older. The run then starts over (trading
    /// stays blocked: a list we cannot finish proves nothing).
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
        let (pages_max, what) = match run.step {
            Step::Fills => (FILL_PAGES_MAX, "fills"),
            Step::Open | Step::Balance => (PAGES_MAX, "open orders"),
        };
        if page.items < PAGE_LEN {
            run.symbol += 1;
            (run.page, run.from) = (0, 0);
        } else {
            let is_stuck = run.page > 0 && page.id_min >= run.from;
            (run.page, run.from) = (run.page + 1, page.id_min);
            if is_stuck || run.page >= pages_max {
                self.begin_run(now.unix);
                if let Some(run) = &mut self.run {
                    run.at = now.unix.after(START_OVER_NS);
                }
                return Err(DecodeError::TooMuch(what).into());
            }
        }
        self.ask_step(registry, now, out);
        Ok(())
    }

    /// The balances went out: the run is complete, and only now is what it saw of fills known for good.
    pub(super) fn on_balance(&mut self, out: &mut impl Sink) {
        if let Some(run) = self.run.take() {
            self.fills_known = self.fills_known.max(run.began);
            out.event(&Event::Control(Control::Reconciled));
        }
    }

    /// Asks for the fills of one order. Nothing is remembered of it but that it is on its way: whoever misses a fill
    /// asks about the order again, and each answer asks here anew.
    pub(super) fn ask_order_fills(
        &mut self,
        (instrument, client, order): (InstrumentId, ClientOrderId, OrderId),
        now: Now,
        out: &mut impl Sink,
    ) {
        let ask = Ask::OrderFills(instrument, client);
        let may = !self.in_flight.contains(ask.tag(), now.unix)
            && self.in_flight.has_room(now.unix)
            && self.may_ask(RestPool::Account, now);
        if let Some(auth) = self.auth.as_ref().filter(|_| may) {
            self.in_flight.add(ask.tag(), now.unix);
            let path = format!("/v1/order/orders/{}/matchresults", order.0);
            let call = Call::get(&path, "");
            rest::signed(auth, &self.rest_host, ask, call, now, out);
        }
    }

    pub(crate) fn query_order(
        &mut self,
        registry: &Registry,
        order: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        if registry.get(order.instrument).is_none() {
            return Err(EntryError::UnknownInstrument);
        }
        let auth = self.auth.as_ref().ok_or(EntryError::NotReady)?;
        if !self.is_rest_open {
            return Err(EntryError::NotReady);
        }
        let ask = Ask::Order(order.instrument, order.client_id);
        if self.in_flight.contains(ask.tag(), now.unix) {
            return Ok(()); // its answer is on the way
        }
        let may =
            self.in_flight.has_room(now.unix) && self.limits.rest(now.unix, RestPool::Account);
        if !may {
            return Err(EntryError::RateLimited);
        }
        self.in_flight.add(ask.tag(), now.unix);
        // By our id the venue finds an order for two hours only after its end.
        let (path, query) = if order.order_id.0 != 0 {
            (
                format!("/v1/order/orders/{}", order.order_id.0),
                String::new(),
            )
        } else {
            let mut client = Vec::new();
            push_client_id(order.client_id, &mut client);
            let client = String::from_utf8_lossy(&client);
            let path = "/v1/order/orders/getClientOrder".to_owned();
            (path, format!("clientOrderId={client}"))
        };
        let call = Call::get(&path, &query);
        rest::signed(auth, &self.rest_host, ask, call, now, out);
        Ok(())
    }

    pub(super) fn arm_dead_man(&mut self, now: Now, out: &mut impl Sink) {
        if !self.is_logged_in {
            self.dead_man_at = None;
            return;
        }
        let waits_until = self.dead_man_asked.map(|at| at.after(DEAD_MAN_WAIT_NS));
        if waits_until.is_some_and(|until| until > now.unix) {
            self.dead_man_at = waits_until;
            return;
        }
        if !self.may_ask(RestPool::DeadMan, now) {
            self.dead_man_at = Some(now.unix.after(RETRY_NS));
            return;
        }
        self.dead_man_asked = Some(now.unix);
        self.dead_man_at = Some(now.unix.after(DEAD_MAN_WAIT_NS));
        let Some(auth) = &self.auth else { return };
        let call = Call {
            method: RestMethod::Post,
            path: "/v2/algo-orders/cancel-all-after",
            query: "",
            body: &format!(r#"{{"timeout":{DEAD_MAN_TIMEOUT_S}}}"#),
        };
        rest::signed(auth, &self.rest_host, Ask::DeadMan, call, now, out);
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
