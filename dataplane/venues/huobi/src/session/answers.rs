//! REST answers: what each means, and what is asked again when one failed.
//!
//! ```text
//! v1 {"status":"ok"|"error","err-code":...,"data":...}     v2 {"code":200,"message":...,"data":...}
//! ```
//! Both arrive with HTTP 200, refusals too.

use super::Session;
use super::subscribe::again;
use crate::account;
use crate::feed::{at, id, text};
use crate::limits::RestPool;
use crate::reject::{self, REFUSED};
use crate::rest::{self, Ask, ListPage, RECORDED};
use dp_types::{
    ClientOrderId, FillReport, InstrumentId, Now, OrderId, OrderReport, OrderState, RejectReason,
    VenueNanos,
};
use dp_venue_api::limits::Refused;
use dp_venue_api::{DecodeError, Event, Fault, Registry, RestTag, Sink, Usage};
use dp_wire::json::{Tree, Value};

/// One REST answer with its body read.
pub(crate) struct Answer<'a> {
    pub(crate) tag: RestTag,
    /// 0 when there was none.
    pub(crate) status: u16,
    pub(crate) retry_after_s: Option<u32>,
    pub(crate) usage: Usage,
    pub(crate) tree: Result<Tree<'a>, DecodeError>,
}

/// What the envelope says.
fn verdict(root: Value<'_>) -> Result<(), RejectReason> {
    let word = text(root, "err-code");
    let reason = match root.get("code") {
        Some(code) => code
            .as_i64()
            .map_or(RejectReason::Other, reject::reason_of_code),
        None if text(root, "status") == "ok" => RejectReason::None,
        None if word.is_empty() => RejectReason::Other,
        None => reject::reason(word),
    };
    match reason {
        RejectReason::None => Ok(()),
        reason => Err(reason),
    }
}

/// What a request counted against.
const fn pool_of(ask: Ask) -> RestPool {
    match ask {
        Ask::Instruments => RestPool::Public,
        Ask::Accounts | Ask::Open(_) | Ask::Balance(_) | Ask::Order(..) => RestPool::Account,
        Ask::Fills(_) | Ask::OrderFills(..) => RestPool::Fills,
        Ask::DeadMan => RestPool::DeadMan,
    }
}

impl Session {
    pub(crate) fn on_response(
        &mut self,
        registry: &mut Registry,
        now: Now,
        answer: Answer<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        self.in_flight.done(answer.tag);
        let ask = Ask::of(answer.tag).ok_or(DecodeError::Shape("a tag that is not ours"))?;
        self.limits.tell(now.unix, pool_of(ask), answer.usage);
        let result = self.read_response(ask, registry, now, &answer, out);
        if result.is_err() {
            self.retry(ask, now);
        }
        result
    }

    /// Puts what failed back on the clock: a request that was lost, or never left, is answered by status 0.
    /// Reads only: nothing here places an order. Orders and their fills are the engine's to ask about again.
    fn retry(&mut self, ask: Ask, now: Now) {
        match ask {
            Ask::Instruments => again(&mut self.rules.0, now),
            Ask::Accounts => again(&mut self.accounts.0, now),
            Ask::Open(_) | Ask::Fills(_) | Ask::Balance(_) => self.step_failed(ask, now),
            Ask::DeadMan => self.dead_man_answered(false, now),
            Ask::Order(..) | Ask::OrderFills(..) => {}
        }
    }

    fn read_response(
        &mut self,
        ask: Ask,
        registry: &mut Registry,
        now: Now,
        answer: &Answer<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let status = answer.status;
        let is_fine = (200..300).contains(&status);
        let of_status = Fault::Venue {
            code: i32::from(status),
            reason: reject::reason_of_status(status),
        };
        if status == 429 {
            self.stop(Some(Refused::Other), answer.retry_after_s, now, out);
        }
        if status == 0 {
            return Err(of_status);
        }
        let root = match &answer.tree {
            Ok(tree) => tree.root(),
            Err(_) if !is_fine => return Err(of_status),
            Err(error) => return Err((*error).into()),
        };
        match verdict(root) {
            Ok(()) if is_fine => self.take(ask, registry, now, root, out),
            Ok(()) => Err(of_status),
            // "No such order" is the answer to a query, not its failure.
            Err(RejectReason::UnknownOrder) if matches!(ask, Ask::Order(..)) => {
                if let Ask::Order(instrument, client_id) = ask {
                    absent(registry, instrument, client_id, out);
                }
                Ok(())
            }
            Err(reason) => {
                if reason == RejectReason::RateLimit && status != 429 {
                    self.stop(Some(Refused::Other), answer.retry_after_s, now, out);
                }
                let code = REFUSED;
                Err(Fault::Venue { code, reason })
            }
        }
    }

    /// Why an answer is not even read: what it says is of another time than the one asked about.
    fn is_stale(&self, ask: Ask) -> bool {
        match ask {
            Ask::Open(ListPage { run, .. }) | Ask::Balance(run) => {
                run != RECORDED && self.awaited() != Some(ask)
            }
            // Fills are true whenever they are told.
            _ => false,
        }
    }

    /// What was asked for, and was not refused.
    fn take(
        &mut self,
        ask: Ask,
        registry: &mut Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if self.is_stale(ask) {
            out.event(&Event::Ignored("an answer of another reconciliation"));
            return Ok(());
        }
        match ask {
            Ask::Instruments => return self.on_rules(registry, now, root, out),
            Ask::Accounts => {
                self.account = rest::spot_account(root)?.to_string();
                self.accounts.0 = None;
                out.event(&Event::Ignored("the spot account is known"));
                self.check_login(now, out);
            }
            Ask::Open(_) | Ask::Fills(_) => {
                let page = match ask {
                    Ask::Open(_) => read_orders(registry, root, out)?,
                    _ => read_fills(registry, None, root, out)?,
                };
                if self.awaited() == Some(ask) {
                    return self.turn_page(page, registry, now, out);
                }
            }
            Ask::Balance(_) => {
                self.wallet.on_list(registry, root, out)?;
                if self.awaited() == Some(ask) {
                    self.on_balance(out);
                }
            }
            Ask::Order(instrument, client_id) => {
                return self.on_queried(registry, (instrument, client_id), now, root, out);
            }
            Ask::OrderFills(_, client) => {
                let asked = Some(client).filter(|client| client.0 != 0);
                read_fills(registry, asked, root, out)?;
            }
            Ask::DeadMan => {
                self.dead_man_answered(true, now);
                out.event(&Event::Ignored("dead man's switch armed"));
            }
        }
        Ok(())
    }

    /// The answer to a query of one order; what was filled of it is then asked for by its id.
    fn on_queried(
        &mut self,
        registry: &Registry,
        (instrument, client): (InstrumentId, ClientOrderId),
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let data = root.get("data").ok_or(DecodeError::Field("data"))?;
        let Some(report) = account::listed(registry, data)? else {
            out.event(&Event::Ignored("an order that is not on the book yet"));
            return Ok(());
        };
        if report.cum.is_some_and(|cum| !cum.is_zero()) {
            self.ask_order_fills((instrument, client, report.order_id), now, out);
        }
        out.event(&Event::Order(report));
        Ok(())
    }

    /// Takes room for a REST request if the link is there.
    pub(super) fn may_ask(&mut self, pool: RestPool, now: Now) -> bool {
        self.is_rest_open && self.limits.rest(now.unix, pool)
    }
}

/// One page of a list: how many items and the lowest of their ids.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) items: usize,
    pub(super) id_min: u128,
}

impl Page {
    const EMPTY: Self = Self {
        items: 0,
        id_min: u128::MAX,
    };

    fn add(&mut self, id: u128) {
        self.items += 1;
        self.id_min = self.id_min.min(id);
    }
}

/// A page of open orders. Errors: the first that cannot be read: a list with a hole proves nothing.
fn read_orders(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<Page, DecodeError> {
    let mut page = Page::EMPTY;
    for item in root.array("data").map_err(at("data"))? {
        page.add(id(item, "id")?);
        out.event(&match account::listed(registry, item) {
            Ok(Some(report)) => Event::Order(report),
            Ok(None) => Event::Ignored("an order that is not on the book yet"),
            Err(DecodeError::UnknownSymbol) => account::NOT_FOLLOWED,
            Err(error) => return Err(error),
        });
    }
    Ok(page)
}

/// A page of fills, each read by itself; they get the name of the order asked about, having none of ours.
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
    for item in root.array("data").map_err(at("data"))? {
        match id(item, "id") {
            Ok(id) => page.add(id),
            Err(error) => result = result.and(Err(error)),
        }
        match account::listed_fill(registry, item) {
            Ok(fill) => out.event(&Event::Fill(FillReport {
                client_id: asked,
                ..fill
            })),
            Err(DecodeError::UnknownSymbol) => {
                out.event(&Event::Ignored("a fill of an instrument we do not follow"));
            }
            Err(error) => result = result.and(Err(error)),
        }
    }
    result.map(|()| page)
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
