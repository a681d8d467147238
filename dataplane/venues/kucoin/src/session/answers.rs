//! REST answers: what each means, and what is asked again when one failed.

use super::Session;
use crate::entry::{self, RequestKind, code_of};
use crate::feed::{self, at, counter, decimal, text, time};
use crate::limits::{Pool, Usage};
use crate::numbers;
use crate::rest::{self, Ask, ORDER_PAGES_MAX, PAGE_LEN, Part, RECORDED};
use crate::{account, reject};
use dp_types::{
    Balance, ClientOrderId, FillReport, InstrumentId, Now, OrderId, OrderReport, OrderState,
    RejectReason, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Fates, Fault, Registry, RequestAck, RestResponse, Sink};
use dp_wire::json::{Doc, Value};

/// What an answer was read into.
#[derive(Debug, Clone, Copy)]
struct Verdict {
    code: i32,
    reason: RejectReason,
}

impl Session {
    pub(crate) fn on_response(
        &mut self,
        (doc, quoted): (&mut Doc, &mut Vec<u8>),
        registry: &mut Registry,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        self.in_flight.done(response.tag);
        let ask = Ask::of(response.tag).ok_or(DecodeError::Shape("a tag that is not ours"))?;
        let body = match ask {
            // Recorded books may be of futures, whose numbers are bare.
            Ask::Books(_, RECORDED) => numbers::quote(response.body, quoted),
            _ => response.body,
        };
        if let Ask::Orders(batch) = ask {
            if let Some(link) = &mut self.batches {
                link.answered();
            }
            if registry.get(batch.instrument()).is_none() {
                return Err(DecodeError::UnknownSymbol.into());
            }
        }
        self.hear_usage(ask, response.usage, now);
        let named = (response.retry_after_s, response.usage.reset_ms);
        let answer = (response.status, named, body);
        let fault = match self.read_response(ask, doc, registry, now, answer, out) {
            Ok(None) => return Ok(()),
            Ok(Some(error)) => return Err(error.into()),
            Err(fault) => fault,
        };
        self.retry(ask, now);
        let (code, reason) = match fault {
            Fault::Venue { code, reason } => (code, reason),
            Fault::Decode(_) => (0, RejectReason::UnknownOutcome),
        };
        match ask {
            Ask::Cancel(instrument, client) => {
                let verdict = Verdict { code, reason };
                answer_cancel(registry, (instrument, client), verdict, out);
            }
            Ask::Orders(batch) => {
                let fates = (Fates::new(batch), batch);
                entry::settle(registry, fates, (code, reason), out);
                // What was refused was told whole, order by order.
                if reason != RejectReason::UnknownOutcome {
                    return Ok(());
                }
            }
            _ => {}
        }
        Err(fault)
    }

    /// What the head says of the pool that the request counted against.
    fn hear_usage(&mut self, ask: Ask, told: dp_venue_api::Usage, now: Now) {
        let (Some(limit), Some(remaining)) = (told.limit, told.left) else {
            return;
        };
        let pool = match ask {
            Ask::Symbols | Ask::Token { is_private: false } => Pool::Public,
            Ask::Books(..) if self.auth.is_none() => Pool::Public,
            Ask::Balance(_) => Pool::Management,
            _ => Pool::Spot,
        };
        let usage = Usage {
            limit,
            remaining,
            reset_ms: told.reset_ms.map_or(0, u64::from),
        };
        self.limits.tell(now.unix, pool, usage);
    }

    /// Puts what failed back on the clock: a request that was lost, or never left, is answered by status 0. Reads,
    /// tokens and the switch only: nothing here places or cancels an order. Orders and their fills are the
    /// engine's to ask about again.
    fn retry(&mut self, ask: Ask, now: Now) {
        match ask {
            Ask::Symbols => self.symbols_failed(now),
            Ask::Token { is_private } => self.token_failed(is_private, now),
            Ask::Fees(_) => self.fees_failed(now),
            Ask::Books(id, number) => self.snapshot_failed(id, number, now),
            Ask::Open(_) | Ask::Fills(_) | Ask::Balance(_) => self.step_failed(ask, now),
            Ask::DeadMan => self.dead_man_answered(false, now),
            Ask::Order(..)
            | Ask::OrderFills(..)
            | Ask::Cancel(..)
            | Ask::CancelAll(_)
            | Ask::Orders(_) => {}
        }
    }

    /// Why an answer is not even read: what it says is of another time than the one asked about.
    fn stale(&self, ask: Ask) -> Option<&'static str> {
        match ask {
            Ask::Books(id, number) if !self.awaits_snapshot(id, number) => {
                Some("a snapshot nobody waits for")
            }
            Ask::Open(Part { run, .. }) | Ask::Balance(run)
                if run != RECORDED && self.awaited() != Some(ask) =>
            {
                Some("an answer of another reconciliation")
            }
            // Fills are true whenever they are told.
            _ => None,
        }
    }

    /// What of an answer could not be read though the whole was told; `None`: nothing.
    ///
    /// Errors: the request failed.
    fn read_response(
        &mut self,
        ask: Ask,
        doc: &mut Doc,
        registry: &mut Registry,
        now: Now,
        (status, named, body): (u16, (Option<u32>, Option<u32>), &mut [u8]),
        out: &mut impl Sink,
    ) -> Result<Option<DecodeError>, Fault> {
        let is_cancel = matches!(ask, Ask::Cancel(..) | Ask::CancelAll(_));
        let of_status = Fault::Venue {
            code: i32::from(status),
            reason: reject::reason_of_status(status),
        };
        if status == 429 {
            self.stop_http(is_cancel, named, now, out);
        }
        if status == 0 {
            return Err(of_status);
        }
        let tree = match doc.parse(body) {
            Ok(tree) => tree,
            Err(_) if !(200..300).contains(&status) => return Err(of_status),
            Err(error) => return Err(feed::of_json(error).into()),
        };
        let root = tree.root();
        let verdict = match code_of(root) {
            Ok(code) => Verdict {
                code,
                reason: reject::reason(code, text(root, "msg")),
            },
            Err(_) if !(200..300).contains(&status) => return Err(of_status),
            Err(error) => return Err(error.into()),
        };
        if verdict.reason != RejectReason::None {
            if reject::is_rate_stop(verdict.reason) && status != 429 {
                self.stop_http(is_cancel, named, now, out);
            }
            // "No such order" is the answer to a query, not its failure.
            if let (Ask::Order(id, client), RejectReason::UnknownOrder) = (ask, verdict.reason) {
                absent(registry, id, client, out);
                return Ok(None);
            }
            return Err(Fault::Venue {
                code: verdict.code,
                reason: verdict.reason,
            });
        }
        if !(200..300).contains(&status) {
            return Err(of_status);
        }
        if let Some(why) = self.stale(ask) {
            out.event(&Event::Ignored(why));
            return Ok(None);
        }
        if let Ask::Orders(batch) = ask {
            let (is_stop, error) = entry::on_batch(registry, batch, root, out);
            if is_stop {
                self.stop_http(false, named, now, out);
            }
            return Ok(error);
        }
        self.take(ask, registry, now, root, out).map(|()| None)
    }

    /// An answer that says what was asked.
    fn take(
        &mut self,
        ask: Ask,
        registry: &mut Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        match ask {
            Ask::Symbols => return self.on_symbols(registry, now, root, out),
            Ask::Token { is_private } => {
                self.on_token(is_private, root, now, out)?;
                out.event(&Event::Ignored("a token for a link"));
            }
            Ask::Fees(from) => self.on_fees(from, registry, now, root, out)?,
            Ask::Books(id, _) => self.on_snapshot(id, now, root, out)?,
            Ask::Open(_) => {
                read_open(registry, root, out)?;
                if self.awaited() == Some(ask) {
                    self.next_instrument(registry, now, out);
                }
            }
            Ask::Fills(_) => {
                let page = read_fills(registry, None, root, out)?;
                if self.awaited() == Some(ask) {
                    return self.turn_page(page, registry, now, out);
                }
            }
            Ask::Balance(_) => {
                read_balances(registry, root, out)?;
                if self.awaited() == Some(ask) {
                    self.finish_run(out);
                }
            }
            Ask::Order(id, client) => self.on_queried(registry, id, client, now, root, out)?,
            Ask::OrderFills(id, client, number) => {
                let asked = Some(client).filter(|client| client.0 != 0);
                let page = read_fills(registry, asked, root, out)?;
                let Some(order) = page.order.filter(|_| page.items >= PAGE_LEN) else {
                    return Ok(());
                };
                if number + 1 >= ORDER_PAGES_MAX {
                    return Err(DecodeError::TooMuch("fills of one order").into());
                }
                let next = (number + 1, page.id_min);
                self.ask_order_fills(registry, (id, client, order), next, now, out);
            }
            Ask::DeadMan => {
                self.dead_man_answered(true, now);
                out.event(&Event::Ignored("dead man's switch armed"));
            }
            Ask::Cancel(id, client) => {
                let verdict = Verdict {
                    code: reject::SUCCESS,
                    reason: RejectReason::None,
                };
                answer_cancel(registry, (id, client), verdict, out);
            }
            Ask::CancelAll(_) => out.event(&Event::Ignored(
                "all orders are being cancelled; the stream tells of each",
            )),
            Ask::Orders(_) => {} // it was read already
        }
        Ok(())
    }

    fn on_snapshot(
        &mut self,
        id: InstrumentId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let data = root.field("data").map_err(at("data"))?;
        let sequence = counter(data, "sequence")?;
        let clock = if data.get("time").is_some() {
            "time"
        } else {
            "ts"
        };
        let venue_ns = time(data, clock)?;
        let sides = (data, ["bids", "asks"]);
        let message = feed::snapshot(id, sides, sequence, venue_ns, &mut self.levels)?;
        out.event(&Event::Book(message));
        self.snapshot_taken(id, now);
        Ok(())
    }

    /// The answer to a query of one order; what was filled of it is then asked for by its id.
    fn on_queried(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        client_id: ClientOrderId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let Some(item) = root.get("data").filter(|data| !data.is_null()) else {
            absent(registry, instrument, client_id, out);
            return Ok(());
        };
        let report = rest::report(registry, item)?;
        if report.cum.is_some_and(|cum| !cum.is_zero()) {
            let order = (instrument, client_id, report.order_id);
            self.ask_order_fills(registry, order, (0, 0), now, out);
        }
        out.event(&Event::Order(report));
        Ok(())
    }
}

/// One page of fills: how many and the ends of their numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) items: usize,
    pub(super) id_min: i64,
    pub(super) id_max: i64,
    /// Of which order the last fill was.
    order: Option<OrderId>,
}

/// Open orders, each read by itself.
///
/// Errors: the first that cannot be read; all the others are out.
fn read_open(registry: &Registry, root: Value<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    let mut result = Ok(());
    // No open orders are an empty list, or null.
    let items = root.get("data").filter(|data| !data.is_null());
    let items = items.map(|data| data.as_array().ok_or(DecodeError::Field("data")));
    for item in items.transpose()?.into_iter().flatten() {
        match rest::report(registry, item) {
            Ok(report) => out.event(&Event::Order(report)),
            Err(DecodeError::UnknownSymbol) => out.event(&Event::Ignored(account::NOT_FOLLOWED)),
            Err(error) => result = result.and(Err(error)),
        }
    }
    result
}

/// A page of fills, each read by itself; they get the name of the order asked about.
///
/// Errors: the first that cannot be read; all the others are out.
fn read_fills(
    registry: &Registry,
    asked: Option<ClientOrderId>,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<Page, DecodeError> {
    let mut page = Page {
        items: 0,
        id_min: i64::MAX,
        id_max: 0,
        order: None,
    };
    let mut result = Ok(());
    let data = root.field("data").map_err(at("data"))?;
    for item in data.array("items").map_err(at("items"))? {
        let (number, fill) = match rest::fill(registry, item, asked) {
            Ok(read) => read,
            Err(error) => {
                result = result.and(Err(error));
                continue;
            }
        };
        page.items += 1;
        page.id_min = page.id_min.min(number);
        page.id_max = page.id_max.max(number);
        match fill {
            Some(fill) => {
                let FillReport { order_id, .. } = fill;
                page.order = Some(order_id);
                out.event(&Event::Fill(fill));
            }
            None => out.event(&Event::Ignored("a fill of an instrument we do not follow")),
        }
    }
    result.map(|()| page)
}

/// The balances of the trade account, each read by itself.
///
/// Errors: the first that cannot be read; all the others are out.
fn read_balances(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let mut result = Ok(());
    for item in root.array("data").map_err(at("data"))? {
        if !matches!(text(item, "type"), "trade" | "trade_hf") {
            out.event(&Event::Ignored(account::OTHER_ACCOUNT));
            continue;
        }
        match balance(registry, item) {
            Ok(balance) => out.event(&Event::Balance(balance)),
            Err(error) => result = result.and(Err(error)),
        }
    }
    result
}

fn balance(registry: &Registry, item: Value<'_>) -> Result<Balance, DecodeError> {
    Ok(Balance {
        venue: crate::ID,
        asset: account::asset(registry, item)?,
        free: decimal(item, "available")?,
        locked: decimal(item, "holds")?,
    })
}

fn answer_cancel(
    registry: &Registry,
    (instrument, client_id): (InstrumentId, ClientOrderId),
    verdict: Verdict,
    out: &mut impl Sink,
) {
    let is_done = verdict.reason == RejectReason::None;
    let ack = RequestAck {
        client_id,
        order_id: OrderId(0),
        reason: verdict.reason,
        code: if is_done { 0 } else { verdict.code },
        venue_ns: VenueNanos(0),
    };
    let request = RequestKind::Cancel(client_id, instrument);
    entry::answer(registry, request, ack, out);
}

/// The venue has no order of this id: it was never placed, or is over for longer than three days.
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
