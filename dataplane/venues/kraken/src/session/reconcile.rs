//! Reconciliation, questions about single orders, the dead man's switch.

use super::{
    ANSWER_WAIT_NS, DEAD_MAN_REARM_NS, DEAD_MAN_TIMEOUT_S, FILLS_OVERLAP_NS, FIRST_FILLS_NS,
    RETRY_NS, Run, SECOND_NS, Session, Step,
};
use crate::LINK_PRIVATE;
use crate::entry::{push_tail, session_id, verdict};
use crate::reject;
use crate::rest::{self, Ask, FILL_PAGES_MAX, ListPage, PAGE_LEN, RUN_MASK, TRADES_MAX};
use crate::symbols::{order_id_text, pack_id, push_client_id};
use dp_types::{CancelOrder, ClientOrderId, InstrumentId, Now, OrderId, UnixNanos};
use dp_venue_api::{Control, DecodeError, EntryError, Event, Fault, Registry, Sink};
use dp_wire::digits::Digits;
use dp_wire::json::Value;
use std::fmt::Write as _;

impl Session {
    pub(crate) fn reconcile(&mut self, now: Now, out: &mut impl Sink) {
        if self.auth.is_none() {
            return;
        }
        self.runs = (self.runs.wrapping_add(1) & RUN_MASK).max(1);
        let from = match self.fills_known {
            0 => now.unix.0.saturating_sub(FIRST_FILLS_NS),
            known => known.saturating_sub(FILLS_OVERLAP_NS),
        };
        self.run = Some(Run {
            number: self.runs,
            step: Step::Open,
            page: 0,
            from: UnixNanos(from),
            newest: 0,
            at: now.unix,
        });
        out.event(&Event::Control(Control::ReconcileStarted));
        self.ask_step(now, out);
    }

    /// The one answer that moves the run on. Links are lost with requests queued, and an answer may come twice:
    /// it counts only for the run, the list and the page it was asked for.
    pub(super) fn awaited(&self) -> Option<Ask> {
        let run = self.run?;
        Some(match run.step {
            Step::Open => Ask::Open(run.number),
            Step::Fills => Ask::Fills(ListPage {
                run: run.number,
                page: run.page,
            }),
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
        if !self.limits.rest(now.unix, ask.cost()) {
            run.at = now.unix.after(RETRY_NS);
            return;
        }
        run.at = now.unix.after(ANSWER_WAIT_NS);
        let (name, fields) = match run.step {
            Step::Open => ("OpenOrders", String::new()),
            Step::Fills => {
                let start = run.from.0 / SECOND_NS;
                let from = u64::from(run.page) * PAGE_LEN as u64;
                ("TradesHistory", format!("&start={start}&ofs={from}"))
            }
            Step::Balance => ("BalanceEx", String::new()),
        };
        rest::signed((auth, &mut self.nonce), ask, name, &fields, now, out);
    }

    /// The step failed: again in a while.
    pub(super) fn step_failed(&mut self, ask: Ask, now: Now) {
        if self.awaited() == Some(ask)
            && let Some(run) = &mut self.run
        {
            run.at = run.at.min(now.unix.after(RETRY_NS));
        }
    }

    /// The open orders are all here: the trades next.
    pub(super) fn on_open_listed(&mut self, now: Now, out: &mut impl Sink) {
        if let Some(run) = &mut self.run {
            run.step = Step::Fills;
        }
        self.ask_step(now, out);
    }

    /// A page of trades arrived, newest first: so many, the newest of this time. Then the next page, or balances.
    ///
    /// Errors: more pages than the maximum; it goes on with what was read, and what was not is not taken for known.
    pub(super) fn on_fills_listed(
        &mut self,
        (items, newest): (usize, u64),
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let fills_known = self.fills_known;
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        run.newest = run.newest.max(newest);
        let is_last = items < PAGE_LEN;
        let is_over = !is_last && run.page.saturating_add(1) >= FILL_PAGES_MAX;
        if is_last || is_over {
            run.step = Step::Balance;
            if is_over {
                run.newest = fills_known; // trades in between were not read: the next run tries again
            }
        } else {
            run.page += 1;
        }
        self.ask_step(now, out);
        if is_over {
            return Err(DecodeError::TooMuch("fills").into());
        }
        Ok(())
    }

    /// The balances went out: the run is complete, and only now is what it saw of trades known for good.
    pub(super) fn on_balance_listed(&mut self, out: &mut impl Sink) {
        if let Some(run) = self.run.take() {
            self.fills_known = self.fills_known.max(run.newest);
            out.event(&Event::Control(Control::Reconciled));
        }
    }

    /// Queues a question about an order, unless it is on its way or there is no room. Nothing else is remembered
    /// of it: whoever misses the answer asks again.
    fn ask_order(
        &mut self,
        ask: Ask,
        name: &str,
        fields: &str,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let auth = self.auth.as_ref().ok_or(EntryError::NotReady)?;
        if !self.is_rest_open {
            return Err(EntryError::NotReady);
        }
        if self.in_flight.contains(ask.tag(), now.unix) {
            return Ok(());
        }
        if !self.in_flight.has_room(now.unix) || !self.limits.rest(now.unix, ask.cost()) {
            return Err(EntryError::RateLimited);
        }
        self.in_flight.add(ask.tag(), now.unix);
        rest::signed((auth, &mut self.nonce), ask, name, fields, now, out);
        Ok(())
    }

    /// By the venue's id where it is known, else by ours.
    pub(crate) fn query_order(
        &mut self,
        registry: &Registry,
        order: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        registry
            .get(order.instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        let known = self.orders.find(order.order_id, Some(order.client_id));
        let id = known.map_or(order.order_id, |known| known.order_id);
        let (instrument, client) = (order.instrument, order.client_id);
        if id.0 == 0 {
            let ask = Ask::FindOpen(instrument, client);
            return self.ask_order(ask, "OpenOrders", &by_client(client), now, out);
        }
        let fields = format!("&txid={}&trades=true", order_id_text(id));
        self.ask_order(
            Ask::Order(instrument, client),
            "QueryOrders",
            &fields,
            now,
            out,
        )
    }

    /// It is not among the open orders: so it ended, or never was.
    pub(super) fn ask_closed(
        &mut self,
        (instrument, client): (InstrumentId, ClientOrderId),
        now: Now,
        out: &mut impl Sink,
    ) {
        let ask = Ask::FindClosed(instrument, client);
        let _ = self.ask_order(ask, "ClosedOrders", &by_client(client), now, out);
    }

    /// An order of which only an update was seen: what it is, and how it stands.
    pub(super) fn ask_stray(&mut self, order: OrderId, now: Now, out: &mut impl Sink) {
        self.strays = self.strays.wrapping_add(1).max(1);
        let fields = format!("&txid={}&trades=true", order_id_text(order));
        let _ = self.ask_order(Ask::Stray(self.strays), "QueryOrders", &fields, now, out);
    }

    /// Asks for the trades a listed order names, some in a request.
    pub(super) fn ask_order_fills(
        &mut self,
        (instrument, client): (InstrumentId, ClientOrderId),
        item: Value<'_>,
        now: Now,
        out: &mut impl Sink,
    ) {
        let Some(trades) = item.get("trades").and_then(Value::as_array) else {
            return;
        };
        // Only what looks like an id goes into a request.
        let is_id = |text: &&str| pack_id(text.as_bytes()).is_some_and(|id| id != 0);
        let mut ids = trades.filter_map(Value::as_str).filter(is_id).peekable();
        for chunk in 0..rest::CHUNKS_MAX {
            if ids.peek().is_none() {
                return;
            }
            let mut fields = "&txid=".to_owned();
            for (at, id) in ids.by_ref().take(TRADES_MAX).enumerate() {
                // A form's comma is %2C.
                let _ = write!(fields, "{}{id}", if at > 0 { "%2C" } else { "" });
            }
            let ask = Ask::OrderFills(instrument, client, chunk);
            let _ = self.ask_order(ask, "QueryTrades", &fields, now, out);
        }
    }

    pub(super) fn arm_dead_man(&mut self, now: Now, out: &mut impl Sink) {
        if !self.private.is_ready {
            self.dead_man_at = None;
            return;
        }
        self.dead_man_at = Some(now.unix.after(DEAD_MAN_REARM_NS));
        let number = self.next_number();
        let message = &mut self.message;
        message.clear();
        message.extend_from_slice(br#"{"method":"cancel_all_orders_after","params":{"timeout":"#);
        message.extend_from_slice(Digits::u64(u64::from(DEAD_MAN_TIMEOUT_S)).as_bytes());
        message.push(b',');
        push_tail(message, self.token.as_str(), session_id(number));
        out.send_text(LINK_PRIVATE, &self.message);
    }

    /// The switch was pushed back, or not: then again soon.
    pub(super) fn on_dead_man(
        &mut self,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Some(words) = verdict(root)? else {
            out.event(&Event::Ignored("dead man's switch armed"));
            return Ok(());
        };
        self.dead_man_at = self.dead_man_at.map(|_| now.unix.after(RETRY_NS));
        let (code, reason) = reject::error(words);
        Err(Fault::Venue { code, reason })
    }
}

fn by_client(client: ClientOrderId) -> String {
    let mut text = Vec::new();
    push_client_id(client, &mut text);
    format!("&trades=true&cl_ord_id={}", String::from_utf8_lossy(&text))
}
