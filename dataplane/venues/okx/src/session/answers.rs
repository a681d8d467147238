//! REST answers: what each means, and what is asked again when one failed.

use super::Session;
use crate::entry::code_of;
use crate::rest::{Ask, ListPage, ORDER_PAGES_MAX, PAGE_LEN, RECORDED};
use crate::{account, feed, funding, reject};
use dp_types::{
    BookMsgKind, ClientOrderId, FillReport, InstrumentId, Now, OrderId, OrderReport, OrderState,
    RejectReason, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Fault, Registry, RestResponse, Sink};
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
        let result = self.read_response(ask, doc, registry, now, response, out);
        if result.is_err() {
            self.retry(ask, now);
        }
        result
    }

    /// Puts what failed back on the clock: a request that was lost, or never left, is answered by status 0.
    /// Reads only: nothing here places an order. Orders and their fills are the engine's to ask about again.
    fn retry(&mut self, ask: Ask, now: Now) {
        match ask {
            Ask::Instruments(index) => self.list_failed(index, now),
            Ask::Books(id, number) => self.snapshot_failed(id, number, now),
            Ask::Pending(_) | Ask::Fills(_) | Ask::Positions(_) | Ask::Balance(_) => {
                self.step_failed(ask, now);
            }
            Ask::DeadMan => self.dead_man_answered(false, now),
            Ask::Bills(page) if page == self.bills.awaited() => self.bills.failed(now),
            Ask::Order(..) | Ask::OrderFills(..) | Ask::Bills(_) => {}
        }
    }

    /// Why an answer is not even read: what it says is of another time than the one asked about.
    fn stale(&self, ask: Ask) -> Option<&'static str> {
        match ask {
            Ask::Books(id, number) if !self.awaits_snapshot(id, number) => {
                Some("a snapshot nobody waits for")
            }
            Ask::Pending(ListPage { run, .. }) | Ask::Positions(run) | Ask::Balance(run)
                if run != RECORDED && self.awaited() != Some(ask) =>
            {
                Some("an answer of another reconciliation")
            }
            // Fills and payments are true whenever they are told.
            _ => None,
        }
    }

    pub(super) fn read_response(
        &mut self,
        ask: Ask,
        doc: &mut Doc,
        registry: &mut Registry,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let status = response.status;
        let of_status = Fault::Venue {
            code: i32::from(status),
            reason: reject::reason_of_status(status),
        };
        // The dead man's switch has a limit of its own, in which an earlier run of ours may have asked a moment ago: only it waits.
        let stops = !matches!(ask, Ask::DeadMan) || response.retry_after_s.is_some();
        if stops && status == 429 {
            self.stop_on(50011, response.retry_after_s, now, out);
        }
        if status == 0 {
            return Err(of_status);
        }
        let tree = match doc.parse(response.body) {
            Ok(tree) => tree,
            Err(_) if !(200..300).contains(&status) => return Err(of_status),
            Err(error) => return Err(feed::of_json(error).into()),
        };
        let root = tree.root();
        let code = code_of(root, "code")?;
        if code != 0 {
            if stops && status != 429 {
                self.stop_on(code, response.retry_after_s, now, out);
            }
            // "No such order" is the answer to a query, not its failure.
            if let (Ask::Order(instrument, client_id), RejectReason::UnknownOrder) =
                (ask, reject::reason(code))
            {
                absent(registry, instrument, client_id, out);
                return Ok(());
            }
            let reason = reject::reason(code);
            if let Ask::Instruments(index) = ask
                && let Some(id) = self.refused_list(index, reason, registry, now, out)
            {
                return Err(DecodeError::Unlisted(id).into());
            }
            return Err(Fault::Venue { code, reason });
        }
        if !(200..300).contains(&status) {
            return Err(of_status);
        }
        if let Some(why) = self.stale(ask) {
            out.event(&Event::Ignored(why));
            return Ok(());
        }
        match ask {
            Ask::Instruments(index) => self.on_instruments(index, registry, now, root, out),
            Ask::Books(id, _) => {
                for data in root.array("data").map_err(feed::at("data"))? {
                    let levels = &mut self.levels;
                    let message = feed::book(id, BookMsgKind::Snapshot, data, levels)?;
                    out.event(&Event::Book(message));
                }
                self.snapshot_taken(id);
                Ok(())
            }
            Ask::Pending(_) | Ask::Fills(_) => {
                let page = match ask {
                    Ask::Pending(_) => read_pending(registry, root, out)?,
                    _ => read_fills(registry, None, root, out)?,
                };
                if self.awaited() == Some(ask) {
                    return self.turn_page(page, now, out);
                }
                Ok(())
            }
            Ask::Positions(_) => {
                account::on_positions(registry, root, out)?;
                if self.awaited() == Some(ask) {
                    self.on_positions(now, out);
                }
                Ok(())
            }
            Ask::Balance(_) => {
                account::on_balances(registry, root, out)?;
                if self.awaited() == Some(ask) {
                    self.on_balance(now, out);
                }
                Ok(())
            }
            Ask::Order(instrument, client_id) => {
                self.on_queried(registry, instrument, client_id, now, root, out)
            }
            Ask::OrderFills(instrument, client, number) => {
                let asked = Some(client).filter(|client| client.0 != 0);
                let page = read_fills(registry, asked, root, out)?;
                let Some(order) = page.order.filter(|_| page.items >= PAGE_LEN) else {
                    return Ok(());
                };
                if number + 1 >= ORDER_PAGES_MAX {
                    return Err(DecodeError::TooMuch("fills of one order").into());
                }
                let (named, next) = ((instrument, client, order), (number + 1, page.id_min));
                self.ask_order_fills(registry, named, next, now, out);
                Ok(())
            }
            Ask::Bills(page) => {
                let told = funding::on_bills(registry, root, out)?;
                if page == self.bills.awaited() {
                    self.bills.listed(told, now)?;
                    self.ask_bills(now, out);
                }
                Ok(())
            }
            Ask::DeadMan => {
                self.dead_man_answered(true, now);
                out.event(&Event::Ignored("dead man's switch armed"));
                Ok(())
            }
        }
    }

    /// The answer to a query of one order; what was filled of it is then asked for by its id.
    pub(super) fn on_queried(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        client_id: ClientOrderId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Some(item) = root.array("data").map_err(feed::at("data"))?.next() else {
            absent(registry, instrument, client_id, out);
            return Ok(());
        };
        let report = account::report(instrument, item)?;
        if report.cum.is_some_and(|cum| !cum.is_zero()) {
            let order = (instrument, client_id, report.order_id);
            self.ask_order_fills(registry, order, (0, 0), now, out);
        }
        out.event(&Event::Order(report));
        Ok(())
    }
}

/// One page of a list: how many items and the ends of their ids.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) items: usize,
    pub(super) id_min: u128,
    pub(super) id_max: u128,
    /// Of which order the last fill was, where it is a page of fills.
    order: Option<OrderId>,
}

impl Page {
    const EMPTY: Self = Self {
        items: 0,
        id_min: u128::MAX,
        id_max: 0,
        order: None,
    };

    fn add(&mut self, id: u128) {
        self.items += 1;
        self.id_min = self.id_min.min(id);
        self.id_max = self.id_max.max(id);
    }
}

fn read_pending(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<Page, DecodeError> {
    let mut page = Page::EMPTY;
    for item in root.array("data").map_err(feed::at("data"))? {
        page.add(account::id(item, "ordId")?);
        match feed::instrument(registry, item) {
            Ok(id) => out.event(&Event::Order(account::report(id, item)?)),
            Err(_) => out.event(&Event::Ignored(
                "an order of an instrument we do not follow",
            )),
        }
    }
    Ok(page)
}

/// A page of fills, each read by itself; those without a name of ours get that of the order asked about.
///
/// Errors: the first that cannot be read; all the others are out.
fn read_fills(
    registry: &Registry,
    asked: Option<ClientOrderId>,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<Page, DecodeError> {
    let mut page = Page::EMPTY;
    let mut result = Ok(());
    for item in root.array("data").map_err(feed::at("data"))? {
        match read_fill(registry, item) {
            Ok((bill, fill)) => {
                page.add(bill);
                if let Some(fill) = fill {
                    page.order = Some(fill.order_id);
                    let client_id = fill.client_id.or(asked);
                    out.event(&Event::Fill(FillReport { client_id, ..fill }));
                } else {
                    out.event(&Event::Ignored("a fill of an instrument we do not follow"));
                }
            }
            Err(error) => result = result.and(Err(error)),
        }
    }
    result.map(|()| page)
}

/// A fill's bill, and the fill where it is of an instrument we follow.
fn read_fill(
    registry: &Registry,
    item: Value<'_>,
) -> Result<(u128, Option<FillReport>), DecodeError> {
    let bill = account::id(item, "billId")?;
    match account::listed_fill(registry, item) {
        Ok(fill) => Ok((bill, fill)),
        Err(DecodeError::UnknownSymbol) => Ok((bill, None)),
        Err(error) => Err(error),
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
