//! Instruments first, then the subscriptions of the public link.

use super::{ANSWER_WAIT_NS, CHANNELS, READY_WAIT_NS, RETRY_NS, SYMBOLS_PER_SUBSCRIBE, Session};
use crate::LINK_PUBLIC;
use crate::limits::RestPool;
use crate::rest::{self, Ask};
use crate::symbols::push_base36;
use dp_types::{InstrumentId, Now};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::json::Value;

impl Session {
    pub(super) fn ask_lists(&mut self, now: Now, out: &mut impl Sink) {
        // Asked again when no answer came in time.
        self.lists_at = Some(now.unix.after(ANSWER_WAIT_NS));
        for (index, list) in self.lists.iter().enumerate() {
            if list.is_done {
                continue;
            }
            if !self.limits.rest(now.unix, RestPool::Instruments) {
                self.lists_at = Some(now.unix.after(RETRY_NS));
                break;
            }
            rest::get(Ask::Instruments(index as u32), &list.target, out);
        }
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
        if let Some(list) = self.lists.get_mut(index as usize) {
            list.is_done = true;
        }
        if self.are_instruments_ready || self.lists.iter().any(|list| !list.is_done) {
            return Ok(());
        }
        self.are_instruments_ready = true;
        self.lists_at = None;
        // A symbol the venue did not list keeps no rules: it must not trade.
        let mut is_missing = false;
        for &id in &self.symbols {
            if let Some(&known) = registry.get(id)
                && known.tick.0 == 0
            {
                is_missing = true;
                registry.update(dp_types::Instrument {
                    is_live: false,
                    ..known
                });
            }
        }
        out.event(&Event::Control(Control::InstrumentsReady));
        self.subscribe_public(registry, now, out);
        if is_missing {
            return Err(DecodeError::UnknownSymbol.into());
        }
        Ok(())
    }

    pub(super) fn subscribe_public(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.public.is_open || !self.are_instruments_ready {
            self.public.ready_by = None; // the clock runs from the subscription
            return;
        }
        self.public.ready_by = Some(now.unix.after(READY_WAIT_NS));
        self.public.acks_missing = (self.symbols.len() * CHANNELS.len()) as u32;
        let symbols = core::mem::take(&mut self.symbols);
        for chunk in symbols.chunks(SYMBOLS_PER_SUBSCRIBE) {
            self.write_subscription(registry, "subscribe", &CHANNELS, chunk);
            if self.limits.link_ops(now.unix, false, 1) {
                out.send_text(LINK_PUBLIC, &self.message);
            }
        }
        self.symbols = symbols;
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
