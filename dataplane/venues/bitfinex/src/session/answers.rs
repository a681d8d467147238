//! REST answers: what each means, and what is asked again when one failed.

use super::Session;
use super::receive::each;
use super::reconcile::Page;
use crate::account::{self, Life, Wallet, client_id, uint};
use crate::limits::Refused;
use crate::rest::{self, Ask, RECORDED};
use crate::symbols::is_derivative;
use crate::{ID, feed, reject};
use dp_types::{
    ClientOrderId, FillReport, Instrument, InstrumentId, Now, OrderId, OrderReport, OrderState,
    RejectReason, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Fault, ListedPositions, Registry, RestResponse, Sink};
use dp_wire::json::{Doc, Value};

/// A list asked for by a run that is over.
const OTHER_RUN: &str = "an answer of another reconciliation";

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
            Ask::Pairs | Ask::Futures | Ask::Tickers => self.list_failed(ask, now),
            Ask::Orders(_) | Ask::Fills { .. } | Ask::Wallets(_) | Ask::Positions(_) => {
                self.step_failed(ask, now);
            }
            Ask::Order(..) | Ask::Closed(..) | Ask::OrderFills(..) => {}
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
        let is_success = (200..300).contains(&status);
        let of_status = Fault::Venue {
            code: i32::from(status),
            reason: reject::reason_of_status(status),
        };
        if status == 429 {
            self.stop(Some(Refused::Rest), response.retry_after_s, now, out);
        }
        if status == 0 {
            return Err(of_status);
        }
        let tree = match doc.parse_exact(response.body) {
            Ok(tree) => tree,
            Err(_) if !is_success => return Err(of_status),
            Err(error) => return Err(feed::of_json(error).into()),
        };
        let root = tree.root();
        if let Some((code, words)) = rest::error_of(root) {
            let reason = reject::reason(code, words);
            if reason == RejectReason::RateLimit && status != 429 {
                self.stop(Some(Refused::Rest), response.retry_after_s, now, out);
            }
            return Err(Fault::Venue { code, reason });
        }
        if !is_success {
            return Err(of_status);
        }
        let is_awaited = self.awaited() == Some(ask);
        match ask {
            Ask::Pairs | Ask::Futures | Ask::Tickers => {
                return self.on_list(ask, registry, now, root, out);
            }
            // Lists of another time say nothing of now; fills are true whenever they are told.
            Ask::Orders(run) | Ask::Wallets(run) | Ask::Positions(run)
                if run != RECORDED && !is_awaited =>
            {
                out.event(&Event::Ignored(OTHER_RUN));
            }
            Ask::Orders(_) => {
                each(root, out, |row, out| {
                    self.on_order(registry, row, Life::Open, out)
                })?;
                if is_awaited {
                    self.orders_done(registry, now, out);
                }
            }
            Ask::Fills { .. } => {
                let page = fills(registry, None, root, out)?;
                if is_awaited {
                    return self.fills_done(page, registry, now, out);
                }
            }
            Ask::Wallets(_) => {
                each(root, out, |row, out| {
                    if let Wallet::Unknown(asset) = account::on_wallet(registry, row, out)? {
                        self.want_wallet(asset, now);
                    }
                    Ok(())
                })?;
                if is_awaited {
                    self.wallets_done(registry, now, out);
                }
            }
            Ask::Positions(_) => {
                let mut listed = ListedPositions::default();
                each(root, out, |row, out| {
                    if let Some(id) = account::on_position(registry, row, false, out)? {
                        listed.add(id);
                    }
                    Ok(())
                })?;
                let is_derivative = |known: &Instrument| is_derivative(known.symbol.as_str());
                listed.tell_flat(registry, ID, is_derivative, out);
                if is_awaited {
                    self.run_done(out);
                }
            }
            Ask::Order(id, client) => {
                if !self.on_found(registry, (id, client), Life::Open, now, root, out)? {
                    self.ask_closed(id, client, now, out);
                    out.event(&Event::Ignored("not an open order: asked among the closed"));
                }
            }
            Ask::Closed(id, client) if client.0 == 0 => {
                let _ = id; // recorded: whatever it lists
                each(root, out, |row, out| {
                    account::on_order(registry, row, Life::Closed, out).map(|_| ())
                })?;
            }
            Ask::Closed(id, client) => {
                if !self.on_found(registry, (id, client), Life::Closed, now, root, out)? {
                    self.sent.name(client, OrderId(0));
                    absent(registry, id, client, out);
                }
            }
            Ask::OrderFills(_, client) => {
                let asked = Some(client).filter(|client| client.0 != 0);
                fills(registry, asked, root, out)?;
            }
        }
        Ok(())
    }

    /// Looks for one order in a list. Says whether it was there; what was filled of it is then asked for.
    fn on_found(
        &mut self,
        registry: &Registry,
        (id, client): (InstrumentId, ClientOrderId),
        life: Life,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<bool, DecodeError> {
        let mut rows = root.as_array().ok_or(DecodeError::Field("list"))?;
        let Some(row) = rows.find(|row| client_id(*row, 2) == Some(client)) else {
            return Ok(false);
        };
        let report = account::report(id, row, life)?;
        self.sent.name(client, report.order_id);
        if report.cum.is_some_and(|cum| !cum.is_zero()) {
            self.ask_order_fills(registry, id, client, report.order_id, now, out);
        }
        out.event(&Event::Order(report));
        Ok(true)
    }
}

/// A list of fills, each read by itself; those without a name of ours get that of the order asked about.
///
/// Errors: the first that cannot be read; all the others are out.
fn fills(
    registry: &Registry,
    asked: Option<ClientOrderId>,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<Page, DecodeError> {
    let mut page = Page::default();
    each(root, out, |row, out| {
        page.items += 1;
        page.newest_ms = page.newest_ms.max(uint(row, 2));
        match account::fill(registry, row)? {
            Some(fill) => {
                let client_id = fill.client_id.or(asked);
                out.event(&Event::Fill(FillReport { client_id, ..fill }));
            }
            None => out.event(&Event::Ignored(account::FOREIGN_FILL)),
        }
        Ok(())
    })?;
    Ok(page)
}

/// The venue has no order of this id: it was never placed, or is older than its list.
fn absent(
    registry: &Registry,
    instrument: InstrumentId,
    client_id: ClientOrderId,
    out: &mut impl Sink,
) {
    if registry.get(instrument).is_none() {
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
