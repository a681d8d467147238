//! REST answers: what each means, and what is asked again when one failed.

use super::{RETRY_NS, Session, Step, min_of};
use crate::entry::code_of;
use crate::limits::RestPool;
use crate::rest::{self, Ask};
use crate::{account, feed, reject};
use dp_types::{
    BookMsgKind, ClientOrderId, InstrumentId, Now, OrderId, OrderReport, OrderState, RejectReason,
    VenueNanos,
};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, RestMethod, RestResponse, Sink};
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
        let ask = Ask::of(response.tag).ok_or(DecodeError::Shape("a tag that is not ours"))?;
        let result = self.read_response(ask, doc, registry, now, response, out);
        if result.is_err() {
            self.retry(ask, now);
        }
        result
    }

    /// Puts what failed back on the clock. Reads only: nothing here places an order.
    pub(super) fn retry(&mut self, ask: Ask, now: Now) {
        let soon = now.unix.after(RETRY_NS);
        match ask {
            Ask::Instruments(_) if !self.are_instruments_ready => self.lists_at = Some(soon),
            Ask::Books(id) => {
                if let Some(book) = self.books.get_mut(id.0 as usize) {
                    book.is_wanted = true;
                    book.is_asked = false;
                    self.snapshots_at = min_of([self.snapshots_at, Some(soon)]);
                }
            }
            Ask::Pending(number) | Ask::Fills(number) | Ask::Balance(number) => {
                if let Some(run) = self.run.as_mut().filter(|run| run.number == number) {
                    run.at = run.at.min(soon);
                }
            }
            Ask::DeadMan if self.dead_man_at.is_some() => self.dead_man_at = Some(soon),
            _ => {}
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
        if status == 429 {
            self.stop_on(50011, now, out);
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
            if status != 429 {
                self.stop_on(code, now, out);
            }
            // "No such order" is the answer to a query, not its failure.
            if let (Ask::Order(instrument, client_id), RejectReason::UnknownOrder) =
                (ask, reject::reason(code))
            {
                absent(registry, instrument, client_id, out);
                return Ok(());
            }
            return Err(Fault::Venue {
                code,
                reason: reject::reason(code),
            });
        }
        if !(200..300).contains(&status) {
            return Err(of_status);
        }
        match ask {
            Ask::Instruments(index) => self.on_instruments(index, registry, now, root, out),
            Ask::Books(id) => {
                if let Some(book) = self.books.get_mut(id.0 as usize) {
                    book.is_asked = false;
                    // The keeper asks again if this one does not fit.
                    book.is_wanted = false;
                    if core::mem::take(&mut book.is_pushed) {
                        out.event(&Event::Ignored("a snapshot was pushed meanwhile"));
                        return Ok(());
                    }
                }
                for data in root.array("data").map_err(feed::at("data"))? {
                    let levels = &mut self.levels;
                    let message = feed::book(id, BookMsgKind::Snapshot, data, levels)?;
                    out.event(&Event::Book(message));
                }
                Ok(())
            }
            Ask::Pending(number) => {
                let page = read_pending(registry, root, out)?;
                self.turn_page(number, Step::Pending, page, now, out)
            }
            Ask::Fills(number) => {
                let page = read_fills(registry, root, out)?;
                self.turn_page(number, Step::Fills, page, now, out)
            }
            Ask::Balance(number) => {
                account::on_balances(registry, root, out)?;
                if let Some(&mut run) = self.current(number, Step::Balance) {
                    self.bill_last = self.bill_last.max(run.bill_max);
                    self.run = None;
                    out.event(&Event::Control(Control::Reconciled));
                }
                Ok(())
            }
            Ask::Order(instrument, client_id) => {
                self.on_queried(registry, instrument, client_id, now, root, out)
            }
            Ask::OrderFills => read_fills(registry, root, out)
                .map(|_| ())
                .map_err(Fault::from),
            Ask::DeadMan => {
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
        let has_fills = report.cum.is_some_and(|cum| !cum.is_zero());
        if let (true, Some(auth), Some(known)) = (has_fills, &self.auth, registry.get(instrument))
            && self.limits.rest(now.unix, RestPool::Trade)
        {
            let target = format!(
                "/api/v5/trade/fills?instId={}&ordId={}",
                known.symbol, report.order_id.0
            );
            rest::signed(
                auth,
                Ask::OrderFills,
                RestMethod::Get,
                &target,
                "",
                now,
                out,
            );
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
}

impl Page {
    const EMPTY: Self = Self {
        items: 0,
        id_min: u128::MAX,
        id_max: 0,
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

fn read_fills(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<Page, DecodeError> {
    let mut page = Page::EMPTY;
    for item in root.array("data").map_err(feed::at("data"))? {
        page.add(account::id(item, "billId")?);
        match account::listed_fill(registry, item) {
            Ok(Some(fill)) => out.event(&Event::Fill(fill)),
            Ok(None) | Err(DecodeError::UnknownSymbol) => {
                out.event(&Event::Ignored("a fill of an instrument we do not follow"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(page)
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
