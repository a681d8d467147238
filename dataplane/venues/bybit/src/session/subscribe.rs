//! Rules first, then the subscriptions of the public link: one request a symbol, so that one the venue refuses
//! takes no other with it.

use super::link::READY_WAIT_NS;
use super::{ANSWER_WAIT_NS, BOOK_DEPTH, OPTION_DEPTH, RETRY_NS, Session};
use crate::LINK_PUBLIC;
use crate::feed::Depth;
use crate::limits::RestPool;
use crate::rest::{self, Ask};
use crate::symbols::{Category, push_base36, wire_name, write_u64};
use dp_types::{Instrument, InstrumentId, Now, RejectReason, UnixNanos};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::json::Value;

/// How long a book may be without the snapshot its subscription begins with.
pub(super) const SNAPSHOT_WAIT_NS: u64 = 5_000_000_000;

/// Topics of one symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topics {
    /// Book, trades, best quotes.
    All,
    /// The book alone.
    Book,
}

impl Session {
    /// When the next rules are asked for (again); `None` once all are here.
    pub(super) fn rules_due(&self) -> Option<UnixNanos> {
        self.followed.iter().filter_map(|it| it.due).min()
    }

    pub(super) fn ask_rules(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let category = self.category();
        for followed in &mut self.followed {
            if followed.due.is_none_or(|due| due > now.unix) {
                continue;
            }
            let Some(known) = registry.get(followed.id) else {
                followed.due = None;
                continue;
            };
            if !self.limits.rest(now.unix, RestPool::Public) {
                followed.due = Some(now.unix.after(RETRY_NS));
                continue;
            }
            followed.due = Some(now.unix.after(ANSWER_WAIT_NS));
            let target = format!(
                "/v5/market/instruments-info?category={}&symbol={}",
                category.as_str(),
                wire_name(known.symbol.as_str())
            );
            rest::get(Ask::Rules(followed.id), &target, out);
        }
    }

    /// Rules failed to come: again in a while.
    pub(super) fn rules_failed(&mut self, id: InstrumentId, now: Now) {
        for followed in self.followed.iter_mut().filter(|it| it.id == id) {
            followed.due = followed.due.map(|_| now.unix.after(RETRY_NS));
        }
    }

    pub(super) fn on_rules(
        &mut self,
        id: InstrumentId,
        registry: &mut Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        rest::instruments(registry, self.category, root)?;
        self.rules_done(id, registry, now, out)
    }

    /// The venue refuses a symbol for what it names: it stays without rules, and the others must not wait for it.
    /// `None` when it was refused for something else.
    pub(super) fn refused_rules(
        &mut self,
        id: InstrumentId,
        reason: RejectReason,
        registry: &mut Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Option<Result<(), Fault>> {
        let is_named = matches!(reason, RejectReason::BadSymbol | RejectReason::Invalid);
        is_named.then(|| self.rules_done(id, registry, now, out))
    }

    /// One more symbol is done with. Errors, with the last one: the first symbol without rules.
    fn rules_done(
        &mut self,
        id: InstrumentId,
        registry: &mut Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        for followed in self.followed.iter_mut().filter(|it| it.id == id) {
            followed.due = None;
        }
        if self.are_rules_ready || self.followed.is_empty() || self.rules_due().is_some() {
            return Ok(());
        }
        self.are_rules_ready = true;
        // A symbol the venue did not list keeps no rules: it must not trade.
        let mut unlisted = None;
        for followed in &self.followed {
            if let Some(&known) = registry.get(followed.id)
                && known.tick.0 == 0
            {
                unlisted = unlisted.or(Some(followed.id));
                registry.update(Instrument {
                    is_live: false,
                    ..known
                });
            }
        }
        out.event(&Event::Control(Control::InstrumentsReady));
        self.subscribe_public(registry, now, out);
        match unlisted {
            Some(id) => Err(DecodeError::Unlisted(id).into()),
            None => Ok(()),
        }
    }

    /// Subscribes what has rules: for another symbol the venue would refuse.
    pub(super) fn subscribe_public(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.public.is_open || !self.are_rules_ready {
            self.public.ready_by = None; // the clock runs from the subscription
            return;
        }
        self.public.acks_missing = 0;
        for index in 0..self.followed.len() {
            let Some(id) = self.followed.get(index).map(|it| it.id) else {
                break;
            };
            if registry.get(id).is_some_and(|it| it.tick.0 != 0) {
                self.public.acks_missing += 1;
                self.subscribe(registry, "subscribe", Topics::All, id, out);
                self.await_snapshot(id, now);
            }
        }
        let ready_by = now.unix.after(READY_WAIT_NS);
        self.public.ready_by = (self.public.acks_missing > 0).then_some(ready_by);
    }

    /// How deep the book we subscribe is.
    pub(super) fn depth(&self) -> Depth {
        Depth(match self.category() {
            Category::Option => OPTION_DEPTH,
            Category::Spot | Category::Linear | Category::Inverse => BOOK_DEPTH,
        })
    }

    pub(super) fn subscribe(
        &mut self,
        registry: &Registry,
        op: &str,
        topics: Topics,
        id: InstrumentId,
        out: &mut impl Sink,
    ) {
        let Some(known) = registry.get(id) else {
            return;
        };
        let (number, depth) = (self.next_number(), self.depth());
        let has_more = topics == Topics::All && self.category() != Category::Option;
        let symbol = wire_name(known.symbol.as_str());
        let text = &mut self.message;
        text.clear();
        text.extend_from_slice(br#"{"req_id":"s"#);
        push_base36(number, text);
        let mut digits = [0; 20];
        for part in [
            r#"","op":""#,
            op,
            r#"","args":["orderbook."#,
            write_u64(u64::from(depth.0), &mut digits),
            ".",
            symbol,
        ] {
            text.extend_from_slice(part.as_bytes());
        }
        if has_more {
            for part in [r#"","publicTrade."#, symbol, r#"","orderbook.1."#, symbol] {
                text.extend_from_slice(part.as_bytes());
            }
        }
        text.extend_from_slice(br#""]}"#);
        out.send_text(LINK_PUBLIC, &self.message);
    }
}
