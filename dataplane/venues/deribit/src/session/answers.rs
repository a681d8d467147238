//! REST answers: what each means, and what is asked again when one failed.

use super::Session;
use super::reconcile::TradePage;
use crate::entry::{code_of, sent_at};
use crate::rest::{Ask, RECORDED};
use crate::{account, feed, funding, reject};
use dp_types::{
    ClientOrderId, FillReport, InstrumentId, Now, OrderId, OrderReport, OrderState, RejectReason,
    VenueNanos,
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

    /// Puts what failed back on the clock: a request that was lost, or never left, is answered by status 0. Reads
    /// only: nothing here places an order. Orders and their trades are the engine's to ask about again.
    fn retry(&mut self, ask: Ask, now: Now) {
        match ask {
            Ask::Instrument(index) => self.rules_failed(index, now),
            Ask::Orders(_) | Ask::Trades(..) | Ask::Positions(_) | Ask::Balances(_) => {
                self.step_failed(ask, now);
            }
            Ask::Log(..) if self.log.awaited() == ask => self.log.failed(now),
            Ask::Book(_) | Ask::Order(..) | Ask::OrderTrades(..) | Ask::Log(..) => {}
        }
    }

    /// Whether an answer is of another time than the one asked about, and says nothing of now. Trades are true
    /// whenever they are told.
    fn is_stale(&self, ask: Ask) -> bool {
        match ask {
            Ask::Orders(run) | Ask::Positions(run) | Ask::Balances(run) => {
                run != RECORDED && self.awaited() != Some(ask)
            }
            _ => false,
        }
    }

    fn read_response(
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
        if status == 0 {
            return Err(of_status);
        }
        let is_good = (200..300).contains(&status);
        let tree = match doc.parse_exact(response.body) {
            Ok(tree) => tree,
            Err(error) => {
                let code = if status == 429 {
                    reject::TOO_MANY_REQUESTS
                } else {
                    0
                };
                self.stop_on(code, response.retry_after_s, now, out);
                return Err(if is_good {
                    feed::of_json(error).into()
                } else {
                    of_status
                });
            }
        };
        let root = tree.root();
        let code = match code_of(root)? {
            0 if status == 429 => reject::TOO_MANY_REQUESTS,
            code => code,
        };
        self.stop_on(code, response.retry_after_s, now, out);
        if code != 0 {
            return self.on_refusal(ask, code, registry, now, out);
        }
        if !is_good {
            return Err(of_status);
        }
        if self.is_stale(ask) {
            out.event(&Event::Ignored("an answer of another reconciliation"));
            return Ok(());
        }
        let result = root.get("result").ok_or(DecodeError::Field("result"))?;
        self.on_result(ask, sent_at(root), result, registry, now, out)
    }

    fn on_refusal(
        &mut self,
        ask: Ask,
        code: i32,
        registry: &mut Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let reason = reject::reason(code);
        match (ask, reason) {
            // "No such order" is the answer to a question, not its failure.
            (Ask::Order(instrument, client_id), RejectReason::UnknownOrder) => {
                absent(registry, instrument, client_id, out);
                Ok(())
            }
            (Ask::Instrument(index), _) => self.no_such_instrument(index, code, registry, now, out),
            _ => Err(Fault::Venue { code, reason }),
        }
    }

    fn on_result(
        &mut self,
        ask: Ask,
        venue_ns: VenueNanos,
        result: Value<'_>,
        registry: &mut Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        match ask {
            Ask::Instrument(index) => {
                return self.on_instruments(index, registry, now, result, out);
            }
            Ask::Book(id) => {
                let book = feed::whole_book(id, result, &mut self.levels)?;
                out.event(&Event::Book(book));
            }
            Ask::Orders(_) => account::on_orders(registry, result, &mut self.resting, out)?,
            Ask::Trades(..) => {
                let page = read_trades(registry, None, result, out)?;
                if self.awaited() == Some(ask) {
                    return self.turn_page(page, now, out);
                }
                return Ok(());
            }
            Ask::Log(..) => {
                let page = funding::on_log(registry, result, out)?;
                if self.log.awaited() == ask {
                    self.log.listed(page, now)?;
                }
                return Ok(());
            }
            Ask::Positions(_) => account::on_positions(registry, result, venue_ns, out)?,
            Ask::Balances(_) => account::on_balances(registry, result, out)?,
            Ask::Order(instrument, client_id) => {
                return self.on_queried(registry, (instrument, client_id), now, result, out);
            }
            Ask::OrderTrades(_, client_id) => {
                let asked = Some(client_id).filter(|client| client.0 != 0);
                read_trades(registry, asked, result, out)?;
            }
        }
        if self.awaited() == Some(ask) {
            self.step_done(now, out);
        }
        Ok(())
    }

    /// The answer to a question about one order: the order, or all that bear its label. What traded of it is then
    /// asked for by the venue's id.
    fn on_queried(
        &mut self,
        registry: &Registry,
        (asked_at, client_id): (InstrumentId, ClientOrderId),
        now: Now,
        result: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Some(list) = result.as_array() else {
            return Ok(self.on_queried_one(registry, client_id, now, result, out)?);
        };
        if list.len() == 0 {
            absent(registry, asked_at, client_id, out);
        }
        let mut told = Ok(());
        for item in list {
            told = told.and(self.on_queried_one(registry, client_id, now, item, out));
        }
        Ok(told?)
    }

    fn on_queried_one(
        &mut self,
        registry: &Registry,
        client_id: ClientOrderId,
        now: Now,
        item: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let Some(instrument) = account::followed(registry, item)? else {
            out.event(&feed::NOT_FOLLOWED);
            return Ok(());
        };
        let report = account::report(instrument, item, &mut self.resting)?;
        if report.cum.is_some_and(|cum| !cum.is_zero()) {
            let order = (instrument, client_id, report.order_id);
            self.ask_order_trades(order, now, out);
        }
        out.event(&Event::Order(report));
        Ok(())
    }
}

/// A page of our trades, each read by itself; those without a label of ours get the name of the order asked about.
/// By order they come as a list, by instrument as a list in an object.
///
/// Errors: the first that cannot be read; all the others are out.
fn read_trades(
    registry: &Registry,
    asked: Option<ClientOrderId>,
    result: Value<'_>,
    out: &mut impl Sink,
) -> Result<TradePage, DecodeError> {
    let mut page = TradePage {
        newest: 0,
        oldest: u64::MAX,
        has_more: result.get("has_more").and_then(Value::as_bool) == Some(true),
    };
    let list = result.get("trades").unwrap_or(result);
    let mut told = Ok(());
    for item in list.as_array().ok_or(DecodeError::Field("trades"))? {
        match read_trade(registry, item) {
            Ok((number, fill)) => {
                page.newest = page.newest.max(number);
                page.oldest = page.oldest.min(number);
                if let Some(fill) = fill {
                    let client_id = fill.client_id.or(asked);
                    out.event(&Event::Fill(FillReport { client_id, ..fill }));
                } else {
                    out.event(&feed::NOT_FOLLOWED);
                }
            }
            Err(error) => told = told.and(Err(error)),
        }
    }
    if page.newest == 0 {
        page.has_more = false; // nothing to go on from
    }
    told.map(|()| page)
}

/// A trade's number within its instrument, and the fill where it is of one we follow.
fn read_trade(
    registry: &Registry,
    item: Value<'_>,
) -> Result<(u64, Option<FillReport>), DecodeError> {
    let number = item.u64("trade_seq").map_err(feed::at("trade_seq"))?;
    let fill = match account::followed(registry, item)? {
        Some(id) => Some(account::fill(registry, id, item)?),
        None => None,
    };
    Ok((number, fill))
}

/// The venue has no order of this name: it was never placed, or ended long ago.
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
