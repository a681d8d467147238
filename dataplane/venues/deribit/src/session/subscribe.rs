//! Instruments first, one by one; then the subscriptions.

use super::links::Waits;
use super::{ANSWER_WAIT_NS, RETRY_NS, SYMBOLS_PER_SUBSCRIBE, Session, is_due};
use crate::entry::push_head;
use crate::rest::{self, Ask};
use crate::{LINK_MD, LINK_ORDERS, reject};
use dp_types::{Instrument, InstrumentId, LinkId, Now, RejectReason};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::json::Value;

/// All that happens to our orders and positions, whatever the instrument.
const CHANGES: &str = "user.changes.any.any.raw";

/// The head of a channel of trades.
const TRADES: &str = "trades.";

impl Session {
    /// Asks for the rules that are due.
    pub(super) fn ask_rules(&mut self, now: Now, out: &mut impl Sink) {
        for at in 0..self.followed.len() {
            let Some(followed) = self.followed.get_mut(at) else {
                return;
            };
            if !is_due(followed.rules_due, now) {
                continue;
            }
            if !self.limits.rest(now.unix) {
                followed.rules_due = Some(now.unix.after(RETRY_NS));
                continue;
            }
            followed.rules_due = Some(now.unix.after(ANSWER_WAIT_NS));
            let Some(symbol) = self.symbols.get(at) else {
                return;
            };
            let target = format!("/api/v2/public/get_instrument?instrument_name={symbol}");
            rest::get(Ask::Instrument(at as u32), &target, out);
        }
    }

    /// The question for rules failed: again in a while.
    pub(super) fn rules_failed(&mut self, index: u32, now: Now) {
        if let Some(followed) = self.followed.get_mut(index as usize) {
            followed.rules_due = followed.rules_due.map(|_| now.unix.after(RETRY_NS));
        }
    }

    /// The rules of an instrument, or a recorded list of many.
    pub(super) fn on_instruments(
        &mut self,
        index: u32,
        registry: &mut Registry,
        now: Now,
        result: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        rest::instruments(registry, result)?;
        self.rules_done(index, registry, now, out)
    }

    /// The venue does not have what we asked for: the others must not wait for it.
    pub(super) fn no_such_instrument(
        &mut self,
        index: u32,
        code: i32,
        registry: &mut Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let reason = reject::reason(code);
        let is_named = matches!(reason, RejectReason::BadSymbol | RejectReason::Invalid);
        if !is_named {
            return Err(Fault::Venue { code, reason });
        }
        self.rules_done(index, registry, now, out)
    }

    /// One more symbol is done with. Errors: it has no rules; it is not live and must not trade.
    fn rules_done(
        &mut self,
        index: u32,
        registry: &mut Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let mut result = Ok(());
        if let Some(followed) = self.followed.get_mut(index as usize) {
            followed.rules_due = None;
            let known = registry.get(followed.id).copied();
            if let Some(known) = known.filter(|known| known.tick.0 == 0) {
                result = Err(DecodeError::Unlisted(known.id).into());
                registry.update(Instrument {
                    is_live: false,
                    ..known
                });
            }
        }
        let is_waiting = self.followed.iter().any(|it| it.rules_due.is_some());
        if !is_waiting && !self.are_instruments_ready {
            self.are_instruments_ready = true;
            out.event(&Event::Control(Control::InstrumentsReady));
            if self.md.waits_for_rules {
                self.md.waits_for_rules = false;
                self.subscribe_market(registry, now, out);
            }
        }
        result
    }

    /// Sends a link's subscriptions when they can be sent.
    pub(super) fn subscribe(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        out: &mut impl Sink,
    ) {
        if link == LINK_ORDERS {
            self.subscribe_account(now, out);
        } else if self.are_instruments_ready {
            self.subscribe_market(registry, now, out);
        } else {
            self.md.subscribe_at = None;
            self.md.waits_for_rules = true;
        }
    }

    /// What has rules: for another symbol no confirmation would ever come.
    fn subscribe_market(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let is_listed = |id: &InstrumentId| registry.get(*id).is_some_and(|it| it.tick.0 != 0);
        let followed = self.followed.iter();
        let followed = followed.map(|followed| (followed.id, followed.has_own_trades));
        let listed: Vec<_> = followed.filter(|(id, _)| is_listed(id)).collect();
        let messages = listed.len().div_ceil(SYMBOLS_PER_SUBSCRIBE) as u32;
        if !self.limits.subscribe(now.unix, messages) {
            self.md.subscribe_at = Some(now.unix.after(RETRY_NS));
            return;
        }
        self.md.subscribe_at = None;
        self.md.answers_missing = messages;
        self.md.channels_missing = 0;
        let is_raw = self.md.is_logged_in;
        for chunk in listed.chunks(SYMBOLS_PER_SUBSCRIBE) {
            self.begin("s", None, "public/subscribe");
            for (id, has_own_trades) in chunk {
                let wanted = |(head, _): &(&str, &str)| !has_own_trades || *head != TRADES;
                for (head, tail) in channels(is_raw).into_iter().filter(wanted) {
                    self.push_channel(registry, head, *id, tail);
                    self.md.channels_missing += 1;
                }
            }
            self.finish(LINK_MD, out);
            self.md.wait_for(Waits::SUBSCRIBE, now);
        }
        self.confirmed(LINK_MD, out); // nothing listed, nothing to wait for
    }

    fn subscribe_account(&mut self, now: Now, out: &mut impl Sink) {
        if !self.limits.subscribe(now.unix, 1) {
            self.orders.subscribe_at = Some(now.unix.after(RETRY_NS));
            return;
        }
        self.orders.subscribe_at = None;
        self.orders.answers_missing = 1;
        self.orders.channels_missing = 1 + self.currencies.len();
        self.begin("s", None, "private/subscribe");
        self.message.push(b'"');
        self.message.extend_from_slice(CHANGES.as_bytes());
        for currency in &self.currencies {
            self.message.extend_from_slice(br#"","user.portfolio."#);
            self.message.extend_from_slice(currency.as_bytes());
        }
        self.message.push(b'"');
        self.finish(LINK_ORDERS, out);
        self.orders.wait_for(Waits::SUBSCRIBE, now);
    }

    /// Leaves a book's channel and enters it again, for a new snapshot.
    pub(super) fn renew_book(
        &mut self,
        registry: &Registry,
        id: InstrumentId,
        out: &mut impl Sink,
    ) {
        let [(head, tail), ..] = channels(self.md.is_logged_in);
        for (kind, about, method) in [
            ("u", None, "public/unsubscribe"),
            ("r", Some(id), "public/subscribe"),
        ] {
            self.begin(kind, about, method);
            self.push_channel(registry, head, id, tail);
            self.finish(LINK_MD, out);
        }
    }

    fn begin(&mut self, kind: &str, about: Option<InstrumentId>, method: &str) {
        self.message.clear();
        push_head(&mut self.message, kind, None, about, method);
        self.message.extend_from_slice(br#""channels":["#);
    }

    fn push_channel(&mut self, registry: &Registry, head: &str, id: InstrumentId, tail: &str) {
        let symbol = registry.get(id).map_or("", |known| known.symbol.as_str());
        let comma = if self.message.ends_with(b"[") {
            ""
        } else {
            ","
        };
        for part in [comma, "\"", head, symbol, tail, "\""] {
            self.message.extend_from_slice(part.as_bytes());
        }
    }

    fn finish(&mut self, link: LinkId, out: &mut impl Sink) {
        self.message.extend_from_slice(b"]}}");
        out.send_text(link, &self.message);
    }

    /// A subscription was answered with the channels that are now told. Those that are not named are the error, and
    /// the only one the venue gives.
    pub(super) fn on_subscribed(
        &mut self,
        link: LinkId,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let count = named(root)?;
        let ws = self.web_socket(link);
        if ws.answers_missing == 0 {
            out.event(&Event::Ignored("an answer we did not ask for"));
            return Ok(());
        }
        ws.answers_missing -= 1;
        ws.channels_missing = ws.channels_missing.saturating_sub(count);
        if ws.answers_missing > 0 {
            out.event(&Event::Ignored("subscription confirmed"));
            return Ok(());
        }
        let has_all = ws.channels_missing == 0;
        if !has_all && link == LINK_ORDERS {
            self.give_up(link, "not all private channels are told to us", out);
        } else {
            ws.waits.done(Waits::SUBSCRIBE);
            self.confirmed(link, out);
        }
        if has_all {
            return Ok(());
        }
        Err(Fault::Venue {
            code: 0,
            reason: RejectReason::BadSymbol,
        })
    }
}

/// How many channels an answer names.
pub(super) fn named(root: Value<'_>) -> Result<usize, DecodeError> {
    let names = root.array("result").map_err(crate::feed::at("result"))?;
    Ok(names.filter(|name| name.as_str().is_some()).count())
}

/// The channels of one symbol, the book's first: every change is told only where we are logged in.
const fn channels(is_raw: bool) -> [(&'static str, &'static str); super::CHANNELS] {
    if is_raw {
        [("book.", ".raw"), (TRADES, ".raw"), ("quote.", "")]
    } else {
        [("book.", ".100ms"), (TRADES, ".100ms"), ("quote.", "")]
    }
}
