//! Instruments first, then the subscriptions of the public link.

use super::{ANSWER_WAIT_NS, CHANNELS, READY_WAIT_NS, RETRY_NS, SYMBOLS_PER_SUBSCRIBE, Session};
use crate::LINK_PUBLIC;
use crate::limits::RestPool;
use crate::rest::{self, Ask};
use crate::symbols::push_base36;
use dp_types::{InstrumentId, Now, RejectReason, UnixNanos};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::json::Value;

impl Session {
    /// When the next list is asked for (again); `None` once all are here.
    pub(super) fn lists_due(&self) -> Option<UnixNanos> {
        self.lists.iter().filter_map(|list| list.due).min()
    }

    pub(super) fn ask_lists(&mut self, now: Now, out: &mut impl Sink) {
        for (index, list) in self.lists.iter_mut().enumerate() {
            if list.due.is_none_or(|due| due > now.unix) {
                continue;
            }
            if !self.limits.rest(now.unix, RestPool::Instruments) {
                list.due = Some(now.unix.after(RETRY_NS));
                continue;
            }
            list.due = Some(now.unix.after(ANSWER_WAIT_NS));
            rest::get(Ask::Instruments(index as u32), &list.target, out);
        }
    }

    /// A list failed: again in a while.
    pub(super) fn list_failed(&mut self, index: u32, now: Now) {
        if let Some(list) = self.lists.get_mut(index as usize) {
            list.due = list.due.map(|_| now.unix.after(RETRY_NS));
        }
    }

    /// The venue refuses a list for what it names. That is a family of options it does not have: its symbols
    /// stay without rules, and the others must not wait for it. Returns, with the last list, the first symbol
    /// without rules.
    pub(super) fn refused_list(
        &mut self,
        index: u32,
        reason: RejectReason,
        registry: &mut Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Option<InstrumentId> {
        let list = self.lists.get(index as usize)?;
        let is_named = matches!(reason, RejectReason::BadSymbol | RejectReason::Invalid);
        if !(is_named && list.is_family && list.due.is_some()) {
            return None;
        }
        self.list_done(index, registry, now, out)
    }

    pub(super) fn on_instruments(
        &mut self,
        index: u32,
        registry: &mut Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        rest::instruments(registry, root)?;
        match self.list_done(index, registry, now, out) {
            Some(id) => Err(DecodeError::Unlisted(id).into()),
            None => Ok(()),
        }
    }

    /// One more list is done with. Returns, with the last one, the first symbol without rules.
    fn list_done(
        &mut self,
        index: u32,
        registry: &mut Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Option<InstrumentId> {
        if let Some(list) = self.lists.get_mut(index as usize) {
            list.due = None;
        }
        if self.are_instruments_ready || self.lists_due().is_some() {
            return None;
        }
        self.are_instruments_ready = true;
        // A symbol the venue did not list keeps no rules: it must not trade.
        let mut unlisted = None;
        for &id in &self.symbols {
            if let Some(&known) = registry.get(id)
                && known.tick.0 == 0
            {
                unlisted = unlisted.or(Some(id));
                registry.update(dp_types::Instrument {
                    is_live: false,
                    ..known
                });
            }
        }
        out.event(&Event::Control(Control::InstrumentsReady));
        self.subscribe_public(registry, now, out);
        unlisted
    }

    /// Subscribes what has rules: for another symbol no confirmation would ever come.
    pub(super) fn subscribe_public(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.public.is_open || !self.are_instruments_ready {
            self.public.ready_by = None; // the clock runs from the subscription
            return;
        }
        let is_listed = |id: &&InstrumentId| registry.get(**id).is_some_and(|it| it.tick.0 != 0);
        let listed: Vec<_> = self.symbols.iter().filter(is_listed).copied().collect();
        let ready_by = now.unix.after(READY_WAIT_NS);
        self.public.ready_by = (!listed.is_empty()).then_some(ready_by);
        self.public.acks_missing = (listed.len() * CHANNELS.len()) as u32;
        for chunk in listed.chunks(SYMBOLS_PER_SUBSCRIBE) {
            self.write_subscription(registry, "subscribe", &CHANNELS, chunk);
            if self.limits.link_ops(now.unix, false, 1) {
                out.send_text(LINK_PUBLIC, &self.message);
            }
        }
    }

    pub(super) fn write_subscription(
        &mut self,
        registry: &Registry,
        op: &str,
        channels: &[&str],
        symbols: &[InstrumentId],
    ) {
        let number = self.next_number();
        let out = &mut self.message;
        out.clear();
        out.extend_from_slice(br#"{"id":"s"#);
        push_base36(number, out);
        for part in [r#"","op":""#, op, r#"","args":["#] {
            out.extend_from_slice(part.as_bytes());
        }
        let mut separator = "";
        for id in symbols {
            let symbol = registry.get(*id).map_or("", |known| known.symbol.as_str());
            for channel in channels {
                for part in [
                    separator,
                    r#"{"channel":""#,
                    channel,
                    r#"","instId":""#,
                    symbol,
                    r#""}"#,
                ] {
                    out.extend_from_slice(part.as_bytes());
                }
                separator = ",";
            }
        }
        out.extend_from_slice(b"]}");
    }
}
