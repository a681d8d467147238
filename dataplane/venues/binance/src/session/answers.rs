//! REST answers: what each means, and what is asked again when one failed.
//!
//! Every request is answered: by the venue, or by status 0 when its link was lost or it never left. A status
//! of 0 puts what is still wanted back on the clock, to be written anew with its own time and signature. What
//! nobody waits for any more is not asked again: orders and their trades are the engine's to ask about.

use super::Session;
use super::rules::is_bad_symbol;
use crate::account::Naming;
use crate::entry::{self, Refusal};
use crate::feed::{Decoder, Notice, Stop, absent};
use crate::reject;
use crate::rest::{Answer, Ask, RECORDED};
use crate::usdm::batch;
use dp_types::{Now, RejectReason};
use dp_venue_api::{BatchLink, DecodeError, Event, Fault, Registry, RestResponse, Sink};

impl Session {
    pub(crate) fn on_response(
        &mut self,
        decoder: &mut Decoder,
        registry: &mut Registry,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        self.in_flight.done(response.tag);
        let ask = Ask::of(response.tag).ok_or(DecodeError::Shape("a tag that is not ours"))?;
        if let Some(used) = response.usage.used {
            self.limits.tell_weight(now.unix, used);
        }
        if let Ask::Orders(batch) = ask {
            self.with_batch_link(BatchLink::answered);
            if registry.get(batch.instrument()).is_none() {
                return Err(DecodeError::UnknownSymbol.into());
            }
        }
        let result = self.read_response(ask, decoder, registry, now, response, out);
        if result.is_err() {
            self.retry(ask, now);
        }
        result
    }

    /// Puts what failed back on the clock. Reads only: nothing here places an order.
    fn retry(&mut self, ask: Ask, now: Now) {
        match ask {
            Ask::Rules(_) => self.rules_failed(ask, now),
            Ask::Depth(id, number) => self.snapshot_failed(id, number, now),
            Ask::OpenOrders(_) | Ask::Trades(_) | Ask::Positions(_) | Ask::Account(_) => {
                self.step_failed(ask, now);
            }
            Ask::ListenKey | Ask::KeepAlive => self.key_lost(now),
            Ask::DeadMan(_) => self.put_off(now),
            Ask::Income => self.income_failed(now),
            Ask::Order(..) | Ask::OrderTrades(..) | Ask::CancelAll(_) | Ask::Orders(_) => {}
        }
    }

    /// Why an answer is not even read: what it says is of another time than the one asked about.
    fn stale(&mut self, ask: Ask) -> Option<&'static str> {
        match ask {
            Ask::Depth(id, number) if !self.awaits_snapshot(id, number) => {
                Some("a snapshot nobody waits for")
            }
            Ask::OpenOrders(run) | Ask::Positions(run) | Ask::Account(run)
                if run != RECORDED && self.awaited() != Some(ask) =>
            {
                Some("an answer of another reconciliation")
            }
            // Fills are true whenever they are told.
            _ => None,
        }
    }

    fn read_response(
        &mut self,
        ask: Ask,
        decoder: &mut Decoder,
        registry: &mut Registry,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let status = response.status;
        if !(200..300).contains(&status) {
            return self.on_refusal(ask, decoder, registry, now, response, out);
        }
        if let Some(why) = self.stale(ask) {
            out.event(&Event::Ignored(why));
            return Ok(());
        }
        let mut naming = Naming {
            names: &mut self.names,
            terms: self.futures.as_mut().map(|it| &mut it.terms),
            was_taken: false,
            out,
        };
        let answer = decoder.answer(registry, ask, response.body, &mut naming);
        let was_taken = naming.was_taken;
        if let (Ask::Orders(batch), Err(_)) = (ask, &answer) {
            batch::all_open(batch, out);
        }
        let answer = answer?;
        let is_awaited = self.awaited() == Some(ask);
        match (answer, ask) {
            (Answer::Rules(count, usages), _) => {
                self.limits.tell(now.unix, &usages);
                return self.on_rules(ask, count, registry, now, out);
            }
            (Answer::Depth, Ask::Depth(id, _)) => self.snapshot_taken(id),
            (Answer::OpenOrders, _) if is_awaited => self.on_open_orders(registry, now, out),
            (Answer::Trades(count, newest, order), Ask::OrderTrades(id, client, page)) => {
                let asked = (id, client, page);
                return self.turn_order_page(registry, asked, (count, newest, order), now, out);
            }
            (Answer::Trades(count, newest, _), _) if is_awaited => {
                return self.turn_page((count, newest), registry, now, out);
            }
            (Answer::Positions, _) if is_awaited => self.on_positions(registry, now, out),
            (Answer::Account, _) if is_awaited => {
                self.on_account(out);
                self.funding_compared(now);
            }
            (Answer::Income(rows, newest_ms), _) => self.on_income((rows, newest_ms), now),
            (Answer::Key(target), _) => self.on_key(&target, now, out),
            (Answer::Orders(heard), _) => return self.on_batch(heard, was_taken, now, out),
            (Answer::Done, _) => self.on_done(ask, now, out),
            (Answer::Order(Notice::Found(instrument, client, order)), _) => {
                self.ask_order_trades(registry, (instrument, client, order), None, now, out);
            }
            _ => {}
        }
        Ok(())
    }

    fn on_refusal(
        &mut self,
        ask: Ask,
        decoder: &mut Decoder,
        registry: &mut Registry,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let status = response.status;
        let refused = match status {
            0 => None,
            _ => decoder.refusal(response.body, status),
        };
        let code = refused.map_or(0, |refused| refused.code);
        if entry::is_rate_stop(status, code) {
            let wait_ms = u64::from(response.retry_after_s.unwrap_or(0)).saturating_mul(1_000);
            let named = match wait_ms {
                0 => 0,
                wait_ms => now.unix.millis().saturating_add(wait_ms),
            };
            let stop = Stop {
                is_ban: status == 418,
                // The field and the words may both name a time; nothing goes out before either.
                until_ms: named.max(refused.map_or(0, |refused| refused.until_ms)),
            };
            self.stop(stop, now, out);
        }
        let is_told = refused.is_some();
        let refused = refused.unwrap_or(Refusal {
            code: i32::from(status),
            reason: reject::reason_of(status, 0, RejectReason::None),
            until_ms: 0,
        });
        if let Ask::Orders(batch) = ask {
            return self.on_batch_refused(batch, refused, now, out);
        }
        if !is_told {
            return Err(refused.fault());
        }
        match (ask, refused.reason) {
            // "No such order" is the answer to a query, not its failure.
            (Ask::Order(instrument, client), RejectReason::UnknownOrder) => {
                absent(registry, instrument, client, out);
                return Ok(());
            }
            (_, reason) if self.key_refused(ask, reason, now, out) => return Ok(()),
            // Nothing was open.
            (Ask::CancelAll(_), RejectReason::UnknownOrder) => {
                out.event(&Event::Ignored("nothing was open"));
                return Ok(());
            }
            (Ask::Rules(_), _) if is_bad_symbol(refused.code) => {
                if let Some(fault) = self.on_bad_symbol(ask, registry, now, out) {
                    return Err(fault);
                }
            }
            _ => {}
        }
        Err(refused.fault())
    }
}
