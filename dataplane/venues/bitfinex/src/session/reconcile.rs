//! Comparing with the venue: open orders, then fills of each instrument since the last known, then balances and
//! positions; and questions about single orders.

use super::{ANSWER_WAIT_NS, RETRY_NS, Session};
use crate::limits::RestPool;
use crate::rest::{self, Ask, HISTORY_LEN, PAGE_LEN, PAGES_MAX, RUN_MASK};
use dp_types::{CancelOrder, ClientOrderId, InstrumentId, Now, OrderId, UnixNanos};
use dp_venue_api::{Control, DecodeError, EntryError, Event, Fault, Registry, Sink};

/// How far back the first run reads fills.
const FIRST_BACK_MS: u64 = 3 * 24 * 3_600_000;
/// How far a run reads back behind what is known: the venue's list may be later than its times.
const OVERLAP_MS: u64 = 60_000;

/// Where reconciliation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Orders,
    Fills { place: u32, page: u32 },
    Wallets,
    Positions,
}

/// One run of reconciliation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    number: u32,
    step: Step,
    /// Fills are read from here.
    from_ms: u64,
    /// Where the page of fills begins.
    page_ms: u64,
    /// The newest fill seen.
    newest_ms: u64,
    /// Some fills were not reached: what is known does not move.
    is_cut: bool,
    /// When to send the step (again).
    pub(super) at: UnixNanos,
}

impl Session {
    pub(crate) fn reconcile(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if self.auth.is_none() {
            return;
        }
        let from_ms = match self.fills_known_ms {
            0 => now.unix.millis().saturating_sub(FIRST_BACK_MS),
            known => known.saturating_sub(OVERLAP_MS),
        };
        // A run with a number of its own: no answer to another one moves it.
        self.runs = (self.runs.wrapping_add(1) & RUN_MASK).max(1);
        self.run = Some(Run {
            number: self.runs,
            step: Step::Orders,
            from_ms,
            page_ms: from_ms,
            newest_ms: self.fills_known_ms,
            is_cut: false,
            at: now.unix,
        });
        out.event(&Event::Control(Control::ReconcileStarted));
        self.ask_step(registry, now, out);
    }

    /// The one answer that moves the run on. Links are lost with requests queued, and an answer may come twice:
    /// it counts only for the run, the list and the page it was asked for.
    pub(super) fn awaited(&self) -> Option<Ask> {
        let run = self.run?;
        let number = run.number;
        Some(match run.step {
            Step::Orders => Ask::Orders(number),
            Step::Fills { place, page } => Ask::Fills {
                run: number,
                place,
                page,
            },
            Step::Wallets => Ask::Wallets(number),
            Step::Positions => Ask::Positions(number),
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
        if !self.limits.rest(now.unix, RestPool::Signed) {
            run.at = now.unix.after(RETRY_NS);
            return;
        }
        run.at = now.unix.after(ANSWER_WAIT_NS);
        let key = (auth, &mut self.nonces);
        match run.step {
            Step::Orders => rest::post(key, ask, "/v2/auth/r/orders", "{}", now, out),
            Step::Fills { place, .. } => {
                let id = self.symbols.get(place as usize);
                let known = id.and_then(|id| registry.get(*id));
                let symbol = known.map_or("", |known| known.symbol.as_str());
                let path = format!("/v2/auth/r/trades/{symbol}/hist");
                let from = run.page_ms;
                let body = format!(r#"{{"start":{from},"limit":{PAGE_LEN},"sort":1}}"#);
                rest::post(key, ask, &path, &body, now, out);
            }
            Step::Wallets => rest::post(key, ask, "/v2/auth/r/wallets", "{}", now, out),
            Step::Positions => rest::post(key, ask, "/v2/auth/r/positions", "{}", now, out),
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

    fn go_on(&mut self, step: Step, registry: &Registry, now: Now, out: &mut impl Sink) {
        if let Some(run) = &mut self.run {
            run.step = match step {
                Step::Fills { place, .. } if place as usize >= self.symbols.len() => Step::Wallets,
                step => step,
            };
        }
        self.ask_step(registry, now, out);
    }

    pub(super) fn orders_done(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.go_on(Step::Fills { place: 0, page: 0 }, registry, now, out);
    }

    /// A page of fills of one instrument, oldest first: the next page, or the next instrument.
    ///
    /// Errors: more pages than the maximum; the run goes on, and what was not read is not taken for known.
    pub(super) fn fills_done(
        &mut self,
        page: Page,
        registry: &Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        let Step::Fills {
            place,
            page: number,
        } = run.step
        else {
            return Ok(());
        };
        run.newest_ms = run.newest_ms.max(page.newest_ms);
        let is_last = page.items < PAGE_LEN;
        let is_over = !is_last && number + 1 >= PAGES_MAX;
        let next = if is_last || is_over {
            run.is_cut |= is_over;
            run.page_ms = run.from_ms;
            Step::Fills {
                place: place + 1,
                page: 0,
            }
        } else {
            // Fills of the last millisecond come again: they are known by their ids.
            run.page_ms = page.newest_ms.max(run.page_ms.saturating_add(1));
            Step::Fills {
                place,
                page: number + 1,
            }
        };
        self.go_on(next, registry, now, out);
        if is_over {
            return Err(DecodeError::TooMuch("fills").into());
        }
        Ok(())
    }

    pub(super) fn wallets_done(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if self.has_derivatives {
            self.go_on(Step::Positions, registry, now, out);
        } else {
            self.run_done(out);
        }
    }

    /// The run is complete, and only now is what it saw of fills known for good.
    pub(super) fn run_done(&mut self, out: &mut impl Sink) {
        if let Some(run) = self.run.take() {
            if !run.is_cut {
                self.fills_known_ms = self.fills_known_ms.max(run.newest_ms);
            }
            out.event(&Event::Control(Control::Reconciled));
        }
    }

    /// Asks what became of an order: first among the open ones of its instrument.
    pub(crate) fn query_order(
        &mut self,
        registry: &Registry,
        order: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let (id, client) = (order.instrument, order.client_id);
        let known = registry.get(id).ok_or(EntryError::UnknownInstrument)?;
        if self.auth.is_none() || !self.is_rest_open {
            return Err(EntryError::NotReady);
        }
        let is_under_way = [Ask::Order(id, client), Ask::Closed(id, client)]
            .iter()
            .any(|ask| self.in_flight.contains(ask.tag(), now.unix));
        if is_under_way {
            return Ok(()); // its answer is on the way
        }
        let path = format!("/v2/auth/r/orders/{}", known.symbol);
        if self.ask_about(Ask::Order(id, client), &path, "{}", now, out) {
            Ok(())
        } else {
            Err(EntryError::RateLimited)
        }
    }

    /// It is not among the open ones.
    pub(super) fn ask_closed(
        &mut self,
        id: InstrumentId,
        client: ClientOrderId,
        now: Now,
        out: &mut impl Sink,
    ) {
        let body = format!(r#"{{"limit":{HISTORY_LEN}}}"#);
        let path = "/v2/auth/r/orders/hist";
        self.ask_about(Ask::Closed(id, client), path, &body, now, out);
    }

    /// What was filled of an order that has been found.
    pub(super) fn ask_order_fills(
        &mut self,
        registry: &Registry,
        id: InstrumentId,
        client: ClientOrderId,
        order: OrderId,
        now: Now,
        out: &mut impl Sink,
    ) {
        let Some(known) = registry.get(id) else {
            return;
        };
        let path = format!("/v2/auth/r/order/{}:{}/trades", known.symbol, order.0);
        self.ask_about(Ask::OrderFills(id, client), &path, "{}", now, out);
    }

    /// Asks a question about one order, if it is not on its way and there is room. Nothing else is remembered of
    /// it: whoever misses the answer asks again. Says whether it was asked.
    fn ask_about(
        &mut self,
        ask: Ask,
        path: &str,
        body: &str,
        now: Now,
        out: &mut impl Sink,
    ) -> bool {
        let Some(auth) = self.auth.as_ref().filter(|_| self.is_rest_open) else {
            return false;
        };
        let may = !self.in_flight.contains(ask.tag(), now.unix)
            && self.in_flight.has_room(now.unix)
            && self.limits.rest(now.unix, RestPool::Signed);
        if may {
            self.in_flight.add(ask.tag(), now.unix);
            rest::post((auth, &mut self.nonces), ask, path, body, now, out);
        }
        may
    }
}

/// What a page of fills held.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Page {
    pub(super) items: usize,
    pub(super) newest_ms: u64,
}
