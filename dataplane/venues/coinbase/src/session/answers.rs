//! REST answers: what each means, and what is asked again when one failed.

use super::Session;
use super::reconcile::Page;
use crate::entry;
use crate::feed::{self, full};
use crate::rest::{Ask, FILLS_LEN, ORDER_PAGES_MAX, RECORDED};
use crate::{account, reject};
use dp_types::{
    ClientOrderId, FillReport, InstrumentId, Now, OrderId, OrderReport, OrderState, RejectReason,
    VenueNanos,
};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, RestResponse, Sink};
use dp_wire::json::{Doc, Value};

const NOT_FOLLOWED: &str = "an order of an instrument we do not follow";

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
        let (status, retry_after_s) = (response.status, response.retry_after_s);
        if status == 429 {
            let until_ms = self.limits.stop(now.unix, retry_after_s).millis();
            out.event(&Event::Control(Control::RateLimited { until_ms }));
        }
        let is_taken = (200..300).contains(&status);
        let parsed = doc.parse(response.body);
        let result = match (&parsed, is_taken) {
            (Ok(tree), true) => self.on_answer(ask, registry, now, tree.root(), out),
            (Ok(tree), false) => {
                let reason = entry::reason_of(status, Some(tree.root()));
                self.on_refused(ask, registry, (status, reason), now, out)
            }
            (Err(error), true) => {
                // Taken, but what became of it is not readable.
                let unknown = (status, RejectReason::UnknownOutcome);
                let _ = self.on_refused(ask, registry, unknown, now, out);
                Err(feed::of_json(*error).into())
            }
            (Err(_), false) => {
                let reason = reject::reason(status, "");
                self.on_refused(ask, registry, (status, reason), now, out)
            }
        };
        if result.is_err() {
            self.retry(ask, now);
        }
        result
    }

    /// Puts what failed back on the clock: a request that was lost, or never left, is answered by status 0. Reads
    /// only: nothing here places an order. Orders and their fills are the engine's to ask about again.
    fn retry(&mut self, ask: Ask, now: Now) {
        match ask {
            Ask::Products => self.products_failed(now),
            Ask::Orders(..) | Ask::Fills(..) | Ask::Accounts(_) => self.step_failed(ask, now),
            Ask::Book(id) => self.single_answered(id, false, now),
            _ => {}
        }
    }

    /// Why an answer is not even read: what it says is of another time than the one asked about.
    fn stale(&self, ask: Ask) -> Option<&'static str> {
        match ask {
            Ask::Orders(run, _) | Ask::Accounts(run)
                if run != RECORDED && self.awaited() != Some(ask) =>
            {
                Some("an answer of another reconciliation")
            }
            // Fills are true whenever they are told.
            _ => None,
        }
    }

    /// An answer that was not taken, or not understood.
    fn on_refused(
        &mut self,
        ask: Ask,
        registry: &Registry,
        (status, reason): (u16, RejectReason),
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let code = i32::from(status);
        match ask {
            Ask::New(id, client_id) => {
                if reason != RejectReason::UnknownOutcome {
                    self.unanswered.settle(client_id);
                }
                if registry.get(id).is_some() {
                    entry::refused(id, client_id, (status, reason), out);
                }
            }
            Ask::Cancel(_, client_id) => {
                let answered = (status, reason);
                entry::ack(client_id, OrderId(0), answered, VenueNanos(0), out);
            }
            // "No such order" is the answer to a query, not its failure.
            Ask::Order(id, client_id) if reason == RejectReason::UnknownOrder => {
                if self.unanswered.may_arrive(client_id, now.unix) {
                    out.event(&Event::Ignored(
                        "no such order yet: its request may still arrive",
                    ));
                } else {
                    absent(registry, id, client_id, out);
                }
                return Ok(());
            }
            _ => return Err(Fault::Venue { code, reason }),
        }
        // It was told whole: an error only where the venue's word left something open.
        match reason {
            RejectReason::UnknownOutcome => Err(Fault::Venue { code, reason }),
            _ => Ok(()),
        }
    }

    /// An answer that was taken.
    fn on_answer(
        &mut self,
        ask: Ask,
        registry: &mut Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if let Some(why) = self.stale(ask) {
            out.event(&Event::Ignored(why));
            return Ok(());
        }
        match ask {
            Ask::Products => self.on_products(registry, now, root, out),
            Ask::Book(id) => {
                let Self { orders, levels, .. } = self;
                if full::is_single_orders(root) {
                    full::on_snapshot(id, root, orders, out)?;
                    self.single_answered(id, true, now);
                } else {
                    feed::on_snapshot(id, root, levels, out)?;
                }
                Ok(())
            }
            Ask::Orders(..) => {
                let items = self.read_orders(registry, root, out)?;
                if self.awaited() == Some(ask) {
                    return self.on_orders_listed(registry, items, now, out);
                }
                Ok(())
            }
            Ask::Fills(..) => {
                let page = self.read_fills(registry, None, root, out)?;
                if self.awaited() == Some(ask) {
                    return self.turn_page(registry, &page, now, out);
                }
                Ok(())
            }
            Ask::Accounts(_) => {
                account::on_accounts(registry, root, out)?;
                if self.awaited() == Some(ask) {
                    self.on_accounts_told(out);
                }
                Ok(())
            }
            Ask::Order(id, client_id) => self.on_queried(registry, (id, client_id), now, root, out),
            Ask::OrderFills(id, client, number) => {
                let asked = Some(client).filter(|client| client.0 != 0);
                let page = self.read_fills(registry, asked, root, out)?;
                let Some(order) = page.order.filter(|_| page.items >= FILLS_LEN) else {
                    return Ok(());
                };
                if number + 1 >= ORDER_PAGES_MAX {
                    return Err(DecodeError::TooMuch("fills of one order").into());
                }
                let next = (number + 1, page.oldest.0);
                self.ask_order_fills((id, client, order), next, now, out);
                Ok(())
            }
            Ask::New(id, client_id) => {
                let told = entry::on_taken(id, client_id, (200, root), out);
                if told.is_ok() {
                    self.unanswered.settle(client_id);
                } else if registry.get(id).is_some() {
                    entry::refused(id, client_id, (200, RejectReason::UnknownOutcome), out);
                }
                Ok(told?)
            }
            Ask::Cancel(_, client_id) => {
                entry::on_cancelled(client_id, root, out);
                Ok(())
            }
            Ask::CancelAll(_) => {
                out.event(&Event::Ignored(
                    "all are cancelled: the user channel tells each",
                ));
                Ok(())
            }
        }
    }

    /// Open orders, each read by itself. Returns how many there were.
    ///
    /// Errors: the first that cannot be read; all the others are out.
    fn read_orders(
        &mut self,
        registry: &Registry,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<usize, DecodeError> {
        let mut count = 0;
        let mut result = Ok(());
        for item in root.as_array().ok_or(DecodeError::Shape("no list"))? {
            count += 1;
            match feed::instrument(registry, item)
                .and_then(|id| account::listed_order(id, item, &mut self.tracks))
            {
                Ok(report) => out.event(&Event::Order(report)),
                Err(DecodeError::UnknownSymbol) => out.event(&Event::Ignored(NOT_FOLLOWED)),
                Err(error) => result = result.and(Err(error)),
            }
        }
        result.map(|()| count)
    }

    /// A page of fills, each read by itself; the venue names them by its own ids only, so those get our
    /// name that are of the order asked about, or of one we remember.
    ///
    /// Errors: the first that cannot be read; all the others are out.
    fn read_fills(
        &mut self,
        registry: &Registry,
        asked: Option<ClientOrderId>,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<Page, DecodeError> {
        let mut page = Page::EMPTY;
        let mut result = Ok(());
        for item in root.as_array().ok_or(DecodeError::Shape("no list"))? {
            page.items += 1;
            match account::listed_fill(registry, item) {
                Ok(fill) => {
                    page.oldest = page.oldest.min(fill.trade_id);
                    page.newest = page.newest.max(fill.trade_id);
                    page.oldest_ns = page.oldest_ns.min(fill.venue_ns.0);
                    page.order = Some(fill.order_id);
                    let remembered = self.tracks.name(fill.order_id);
                    let client_id = fill.client_id.or(asked).or(remembered);
                    out.event(&Event::Fill(FillReport { client_id, ..fill }));
                }
                Err(DecodeError::UnknownSymbol) => {
                    out.event(&Event::Ignored("a fill of an instrument we do not follow"));
                }
                Err(error) => result = result.and(Err(error)),
            }
        }
        result.map(|()| page)
    }

    /// The answer to a query of one order; what was filled of it is then asked for by its id.
    fn on_queried(
        &mut self,
        registry: &Registry,
        (asked, client_id): (InstrumentId, ClientOrderId),
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let id = feed::instrument(registry, root).unwrap_or(asked);
        let mut report = account::listed_order(id, root, &mut self.tracks)?;
        let asked = Some(client_id).filter(|client| client.0 != 0);
        report.client_id = report.client_id.or(asked);
        let is_partly_done = report.cum.is_some_and(|cum| !cum.is_zero());
        if let Some(client_id) = report.client_id.filter(|_| is_partly_done) {
            let order = (id, client_id, report.order_id);
            self.ask_order_fills(order, (0, 0), now, out);
        }
        out.event(&Event::Order(report));
        Ok(())
    }
}

/// The venue has no order of this id.
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
