//! REST answers: what each means, and what is asked again when one failed.

use super::Session;
use crate::entry::{cancelled_count, code_of};
use crate::feed::text;
use crate::rest::{self, Ask, ORDER_PAGES_MAX, RECORDED};
use crate::{account, feed, reject};
use dp_types::{
    BookMsgKind, ClientOrderId, InstrumentId, Now, OrderId, OrderReport, OrderState, RejectReason,
    VenueNanos,
};
use dp_venue_api::limits::Refused;
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
        let result = self.read_response(ask, doc, registry, now, response, out);
        if result.is_err() {
            self.retry(ask, now);
        }
        result
    }

    /// Puts what failed back on the clock: a request that was lost, or never left, is answered by status 0. Reads
    /// only: nothing here places an order. Orders, their fills and their cancels are the engine's to ask about again.
    fn retry(&mut self, ask: Ask, now: Now) {
        match ask {
            Ask::Rules(id) => self.rules_failed(id, now),
            Ask::Orders(_) | Ask::Fills(_) | Ask::Positions(_) | Ask::Balance(_) => {
                self.step_failed(ask, now);
            }
            Ask::DeadManInfo | Ask::DeadManWindow => self.dead_man_failed(now),
            Ask::Book(_)
            | Ask::Order(..)
            | Ask::PastOrder(..)
            | Ask::OrderFills(..)
            | Ask::CancelAll(_) => {}
        }
    }

    /// Why an answer is not even read: what it says is of another time than the one asked about. (Fills are true
    /// whenever they are told.)
    fn stale(&self, ask: Ask) -> Option<&'static str> {
        let run = match ask {
            Ask::Orders(page) | Ask::Positions(page) => page.run,
            Ask::Balance(run) => run,
            _ => return None,
        };
        let is_other = run != RECORDED && self.awaited() != Some(ask);
        is_other.then_some("an answer of another reconciliation")
    }

    /// A refusal for rate: of the address by its status, of the account by its code.
    fn stop_on(
        &mut self,
        ask: Ask,
        status: u16,
        code: i32,
        retry_after_s: Option<u32>,
        now: Now,
        out: &mut impl Sink,
    ) {
        let until = if status == 403 {
            self.limits.ban(now.unix)
        } else if status == 429 || reject::is_rate_stop(code) {
            let refused = match ask {
                Ask::CancelAll(_) => Refused::Cancel,
                _ => Refused::Other,
            };
            let named = u64::from(retry_after_s.unwrap_or(0)) * 1_000;
            let reset_ms = now.unix.millis().saturating_add(named);
            self.limits.stop(now.unix, refused, reset_ms)
        } else {
            return;
        };
        let until_ms = until.millis();
        out.event(&Event::Control(Control::RateLimited { until_ms }));
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
        let is_ok = (200..300).contains(&status);
        if status == 0 {
            return Err(of_status);
        }
        let tree = match doc.parse(response.body) {
            Ok(tree) => tree,
            Err(error) => {
                self.stop_on(ask, status, 0, response.retry_after_s, now, out);
                let error = Fault::from(feed::of_json(error));
                return Err(if is_ok { error } else { of_status });
            }
        };
        let root = tree.root();
        let code = match code_of(root, "retCode") {
            Ok(code) => code,
            Err(error) => {
                self.stop_on(ask, status, 0, response.retry_after_s, now, out);
                return Err(if is_ok { error.into() } else { of_status });
            }
        };
        if code != 0 || !is_ok {
            self.stop_on(ask, status, code, response.retry_after_s, now, out);
        }
        if code != 0 {
            return self.on_refusal(ask, code, registry, now, out);
        }
        if !is_ok {
            return Err(of_status);
        }
        if let Some(why) = self.stale(ask) {
            out.event(&Event::Ignored(why));
            return Ok(());
        }
        self.on_answer(ask, registry, now, root, out)
    }

    /// The venue refused. "No such order" and "no such symbol" are answers, not failures.
    fn on_refusal(
        &mut self,
        ask: Ask,
        code: i32,
        registry: &mut Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let reason = reject::reason(code);
        match ask {
            Ask::Order(id, client) if reason == RejectReason::UnknownOrder => {
                self.ask_past_order(registry, (id, client), now, out);
                return Ok(());
            }
            Ask::PastOrder(id, client) if reason == RejectReason::UnknownOrder => {
                absent(registry, id, client, out);
                return Ok(());
            }
            Ask::Rules(id) => {
                if let Some(done) = self.refused_rules(id, reason, registry, now, out) {
                    return done;
                }
            }
            _ => {}
        }
        Err(Fault::Venue { code, reason })
    }

    fn on_answer(
        &mut self,
        ask: Ask,
        registry: &mut Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let category = self.category;
        match ask {
            Ask::Rules(id) => return self.on_rules(id, registry, now, root, out),
            Ask::Book(id) => {
                let data = root.field("result").map_err(feed::at("result"))?;
                let kind = BookMsgKind::Snapshot;
                out.event(&Event::Book(feed::book(
                    id,
                    kind,
                    data,
                    data,
                    &mut self.levels,
                )?));
            }
            Ask::Orders(_) | Ask::Fills(_) | Ask::Positions(_) => {
                let items = rest::list(root)?;
                let (count, latest) = match ask {
                    Ask::Fills(_) => account::on_executions(registry, category, None, items, out)?,
                    Ask::Positions(_) => {
                        let run = self.run.as_mut();
                        let mut listed = run.map(|run| &mut run.positions);
                        let heard = |id| {
                            if let Some(listed) = &mut listed {
                                listed.add(id);
                            }
                        };
                        let count = account::on_positions(registry, category, items, heard, out)?;
                        (count, 0)
                    }
                    _ => (account::on_orders(registry, category, items, out)?, 0),
                };
                if self.awaited() == Some(ask) {
                    let cursor = rest::cursor(root)?;
                    return self.turn_page(registry, (count, latest, cursor), now, out);
                }
            }
            Ask::Balance(_) => {
                account::on_wallets(registry, rest::list(root)?, out)?;
                if self.awaited() == Some(ask) {
                    self.on_balance(out);
                }
            }
            Ask::Order(id, client) => match rest::list(root)?.next() {
                Some(item) => self.on_queried(registry, (id, client), now, item, out)?,
                // It ended longer ago, or never was.
                None => self.ask_past_order(registry, (id, client), now, out),
            },
            Ask::PastOrder(id, client) => match rest::list(root)?.next() {
                Some(item) => self.on_queried(registry, (id, client), now, item, out)?,
                None => absent(registry, id, client, out),
            },
            Ask::OrderFills(id, client, page) => {
                let asked = Some(client).filter(|client| client.0 != 0);
                let mut items = rest::list(root)?;
                account::on_executions(registry, category, asked, items.clone(), out)?;
                let cursor = rest::cursor(root)?;
                let Some(first) = items.next().filter(|_| !cursor.is_empty()) else {
                    return Ok(());
                };
                if page + 1 >= ORDER_PAGES_MAX {
                    return Err(DecodeError::TooMuch("fills of one order").into());
                }
                let order_id = crate::symbols::parse_id(text(first, "orderId").as_bytes());
                let order_id = OrderId(order_id.unwrap_or(0));
                let next = (page + 1, cursor.as_str());
                self.ask_order_fills(registry, (id, client, order_id), next, now, out);
            }
            Ask::CancelAll(_) => {
                cancelled_count(root)?;
                out.event(&Event::Ignored(
                    "cancel-all accepted; the order stream tells of each",
                ));
            }
            Ask::DeadManInfo => self.on_dead_man_info(now, root, out)?,
            Ask::DeadManWindow => {
                self.dead_man_at = None;
                out.event(&Event::Ignored("dead man's switch armed"));
            }
        }
        Ok(())
    }

    /// The answer to a query of one order; what was filled of it is then asked for by its id.
    fn on_queried(
        &mut self,
        registry: &Registry,
        (instrument, client_id): (InstrumentId, ClientOrderId),
        now: Now,
        item: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let report = account::report(instrument, item)?;
        if report.cum.is_some_and(|cum| !cum.is_zero()) {
            let order = (instrument, client_id, report.order_id);
            self.ask_order_fills(registry, order, (0, ""), now, out);
        }
        out.event(&Event::Order(report));
        Ok(())
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
