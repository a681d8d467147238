//! REST answers: what each means, and what is asked again when one failed.

use super::subscribe::token;
use super::{RETRY_NS, Session};
use crate::account::{self, Listed};
use crate::rest::{Ask, ListPage, RECORDED};
use crate::{feed, reject, rest};
use dp_types::{
    ClientOrderId, InstrumentId, Now, OrderId, OrderReport, OrderState, RejectReason, VenueNanos,
};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, RestResponse, Sink};
use dp_wire::json::{Doc, Value};

impl Session {
    pub(crate) fn on_response(
        &mut self,
        doc: &mut Doc,
        registry: &mut Registry,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        self.in_flight.done(response.tag);
        let ask = Ask::of(response.tag).ok_or(DecodeError::Shape("a tag that is not ours"))?;
        let parsed = doc.parse_exact(response.body);
        let status = (response.status, response.retry_after_s);
        let result = match &parsed {
            Ok(tree) => self.on_body(ask, status, tree.root(), registry, now, out),
            Err(error) => {
                self.on_status(status, now, out);
                Err(match (response.status, of_status(response.status)) {
                    (200..=299, _) => feed::of_json(*error).into(),
                    (_, fault) => fault,
                })
            }
        };
        if let Err(fault) = result {
            self.retry(ask, fault, now, out);
        }
        result
    }

    fn on_status(
        &mut self,
        (status, retry_after_s): (u16, Option<u32>),
        now: Now,
        out: &mut impl Sink,
    ) {
        if status == 429 {
            self.stop_rest(true, retry_after_s, now, out);
        }
    }

    fn stop_rest(
        &mut self,
        is_lockout: bool,
        retry_after_s: Option<u32>,
        now: Now,
        out: &mut impl Sink,
    ) {
        let until = self
            .limits
            .rest_refused(now.unix, is_lockout, retry_after_s);
        let until_ms = until.millis();
        out.event(&Event::Control(Control::RateLimited { until_ms }));
    }

    /// Puts what failed back on the clock: a request that was lost, or never left, is answered by status 0. Reads
    /// only: nothing here places an order. Questions about orders are the engine's to ask again.
    fn retry(&mut self, ask: Ask, fault: Fault, now: Now, out: &mut impl Sink) {
        let soon = now.unix.after(RETRY_NS);
        match ask {
            Ask::Pairs => self.pairs_at = self.pairs_at.map(|_| soon),
            Ask::Token(number) if number == self.token_number && self.token_at.is_some() => {
                self.token_at = Some(soon);
                if let Fault::Venue { reason, .. } = fault
                    && matches!(reason, RejectReason::Auth | RejectReason::Permission)
                {
                    self.token_at = None;
                    self.refuse_login(reason, out);
                }
            }
            Ask::Token(number) if self.level3.awaits(number) => {
                // Keys that are refused are told of by the private link; this one is opened anew.
                let is_refused = matches!(
                    fault,
                    Fault::Venue {
                        reason: RejectReason::Auth | RejectReason::Permission,
                        ..
                    }
                );
                self.level3.token_at = (!is_refused).then_some(soon);
            }
            Ask::Open(_) | Ask::Fills(_) | Ask::Balance(_) => self.step_failed(ask, now),
            _ => {}
        }
    }

    /// Why an answer is not even read: what it says is of another time than the one asked about.
    fn stale(&self, ask: Ask) -> Option<&'static str> {
        match ask {
            Ask::Open(run) | Ask::Balance(run)
                if run != RECORDED && self.awaited() != Some(ask) =>
            {
                Some("an answer of another reconciliation")
            }
            Ask::Token(number)
                if !self.level3.awaits(number)
                    && (number == RECORDED
                        || number != self.token_number
                        || self.token_at.is_none()) =>
            {
                Some("a token nobody waits for")
            }
            // Fills are true whenever they are told.
            _ => None,
        }
    }

    fn on_body(
        &mut self,
        ask: Ask,
        status: (u16, Option<u32>),
        root: Value<'_>,
        registry: &mut Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        self.on_status(status, now, out);
        let is_fine = (200..300).contains(&status.0);
        let error = match rest::error_of(root) {
            Err(_) if !is_fine => return Err(of_status(status.0)),
            error => error?,
        };
        if let Some(words) = error {
            let (code, reason) = reject::error(words);
            if reason == RejectReason::RateLimit && status.0 != 429 {
                self.stop_rest(reject::is_lockout(words), status.1, now, out);
            }
            // "No such order" is the answer to a query, not its failure.
            if let (Ask::Order(instrument, client), RejectReason::UnknownOrder) = (ask, reason) {
                absent(registry, instrument, client, out);
                return Ok(());
            }
            return Err(Fault::Venue { code, reason });
        }
        if !is_fine {
            return Err(of_status(status.0));
        }
        if let Some(why) = self.stale(ask) {
            out.event(&Event::Ignored(why));
            return Ok(());
        }
        let result = root.get("result").ok_or(DecodeError::Field("result"))?;
        self.on_result(ask, result, registry, now, out)
    }

    fn on_result(
        &mut self,
        ask: Ask,
        result: Value<'_>,
        registry: &mut Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        match ask {
            Ask::Pairs => self.on_pairs(registry, now, result, out),
            Ask::Token(number) => {
                let token = token(result)?;
                if self.level3.awaits(number) {
                    self.on_level3_token(registry, token, now, out);
                } else {
                    self.on_token(token, out);
                }
                Ok(())
            }
            Ask::Open(run) => {
                self.read_orders(registry, None, result, now, out)?;
                if run != RECORDED {
                    self.on_open_listed(now, out);
                }
                Ok(())
            }
            Ask::Fills(ListPage { .. }) => {
                let page = self.read_fills(registry, None, result, out)?;
                if self.awaited() == Some(ask) {
                    return self.on_fills_listed(page, now, out);
                }
                Ok(())
            }
            Ask::Balance(run) => {
                account::on_listed_balances(registry, result, out)?;
                if run != RECORDED {
                    self.on_balance_listed(out);
                }
                Ok(())
            }
            Ask::Order(instrument, client) => {
                let asked = (instrument, client);
                if !self.read_orders(registry, Some(asked), result, now, out)? {
                    absent(registry, instrument, client, out);
                }
                Ok(())
            }
            Ask::FindOpen(instrument, client) => {
                let asked = (instrument, client);
                if !self.read_orders(registry, Some(asked), result, now, out)? {
                    self.ask_closed(asked, now, out);
                    out.event(&Event::Ignored(
                        "not open: looked for among those that ended",
                    ));
                }
                Ok(())
            }
            Ask::FindClosed(instrument, client) => {
                let asked = (instrument, client);
                if !self.read_orders(registry, Some(asked), result, now, out)? {
                    absent(registry, instrument, client, out);
                }
                Ok(())
            }
            Ask::OrderFills(_, client, _) => {
                let asked = Some(client).filter(|client| client.0 != 0);
                self.read_fills(registry, asked, result, out)?;
                Ok(())
            }
            Ask::Stray(_) => {
                self.read_orders(registry, None, result, now, out)?;
                Ok(())
            }
        }
    }

    /// Every order of a list, each by itself; or, where one was asked about, that one, and then its trades are
    /// asked for. Returns whether it was there.
    ///
    /// Errors: the first that cannot be read; all the others are out.
    fn read_orders(
        &mut self,
        registry: &Registry,
        asked: Option<(InstrumentId, ClientOrderId)>,
        result: Value<'_>,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<bool, DecodeError> {
        let list = result.get("open").or_else(|| result.get("closed"));
        let list = list.unwrap_or(result).as_object();
        let (mut is_there, mut told) = (false, Ok(()));
        for (name, item) in list.ok_or(DecodeError::Field("result"))? {
            if let Some((_, client)) = asked
                && !self.is_named(name, item, client)
            {
                continue;
            }
            let orders = &mut self.orders;
            match account::on_listed_order(registry, orders, (name, item), now, out) {
                Ok(listed) => {
                    is_there = true;
                    if let Some(listed) = listed.filter(|listed| listed.is_filled) {
                        let Listed {
                            instrument,
                            client_id,
                            ..
                        } = listed;
                        let client = client_id.unwrap_or_default();
                        self.ask_order_fills((instrument, client), item, now, out);
                    }
                }
                Err(error) => told = told.and(Err(error)),
            }
        }
        told.map(|()| is_there)
    }

    /// Whether a listed order is the one of this name: lists may hold others, and old ones do not say ours.
    fn is_named(&mut self, name: &str, item: Value<'_>, client: ClientOrderId) -> bool {
        let told = feed::text(item, "cl_ord_id");
        if !told.is_empty() {
            return crate::symbols::parse_client_id(told.as_bytes()) == Some(client);
        }
        let id = crate::symbols::pack_id(name.as_bytes()).unwrap_or(0);
        let known = self.orders.find(OrderId(id), None);
        known.is_some_and(|known| known.client_id == Some(client))
    }

    /// A page of trades, each read by itself: how many, and the time of the newest.
    ///
    /// Errors: the first that cannot be read; all the others are out.
    fn read_fills(
        &mut self,
        registry: &Registry,
        asked: Option<ClientOrderId>,
        result: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(usize, u64), DecodeError> {
        let list = result.get("trades").unwrap_or(result).as_object();
        let (mut items, mut newest, mut told) = (0, 0, Ok(()));
        for (name, item) in list.ok_or(DecodeError::Field("result"))? {
            items += 1;
            let orders = &mut self.orders;
            match account::on_listed_fill(registry, orders, (name, item), asked, out) {
                Ok(at) => newest = newest.max(at.0),
                Err(error) => told = told.and(Err(error)),
            }
        }
        told.map(|()| (items, newest))
    }
}

fn of_status(status: u16) -> Fault {
    Fault::Venue {
        code: i32::from(status),
        reason: reject::reason_of_status(status),
    }
}

/// The venue has no order of this id: it was never placed.
fn absent(
    registry: &Registry,
    instrument: InstrumentId,
    client_id: ClientOrderId,
    out: &mut impl Sink,
) {
    if registry.get(instrument).is_none() || client_id.0 == 0 {
        out.event(&Event::Ignored("no such order"));
        return;
    }
    out.event(&Event::Order(OrderReport {
        instrument,
        client_id: Some(client_id),
        order_id: OrderId(0),
        side: None,
        state: OrderState::Rejected,
        reason: RejectReason::UnknownOrder,
        price: None,
        qty: None,
        cum: None,
        venue_ns: VenueNanos(0),
    }));
}
