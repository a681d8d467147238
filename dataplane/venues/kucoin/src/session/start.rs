//! Symbols and tokens first, then the subscriptions; rates, once, for the fees of fills.

use super::links::again;
use super::{ANSWER_WAIT_NS, SYMBOLS_PER_SUBSCRIBE, Session, TOPICS, USER_TOPICS};
use crate::account::Rates;
use crate::limits::{COST_MAX, Cost};
use crate::rest::{self, Ask, FEES_MAX, Question};
use crate::symbols::push_base36;
use crate::{LINK_MD, LINK_REST, LINK_USER};
use dp_types::{Instrument, InstrumentId, Now};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, RestMethod, Sink};
use dp_wire::json::Value;

/// What the venue counts for each.
const SYMBOLS_COST: Cost = Cost::Public(4);
const PUBLIC_TOKEN_COST: Cost = Cost::Public(COST_MAX);
/// The page does not say which pool [U]: the one it would cost us most in.
const PRIVATE_TOKEN_COST: Cost = Cost::Spot(COST_MAX);
/// Not on the page [U].
const FEES_COST: Cost = Cost::Spot(3);

impl Session {
    pub(super) fn ask_symbols(&mut self, now: Now, out: &mut impl Sink) {
        if !self.limits.take(now.unix, SYMBOLS_COST) {
            self.symbols_at = Some(again(now));
            return;
        }
        self.symbols_at = Some(now.unix.after(ANSWER_WAIT_NS));
        Question {
            link: LINK_REST,
            ask: Ask::Symbols,
            method: RestMethod::Get,
            target: "/api/v2/symbols",
            body: "",
        }
        .send(out);
    }

    pub(super) fn symbols_failed(&mut self, now: Now) {
        self.symbols_at = self.symbols_at.map(|_| again(now));
    }

    /// The rules came. Errors: those of ours that cannot be read; [`DecodeError::Unlisted`], the first symbol that
    /// is not among them: it keeps no rules and must not trade.
    pub(super) fn on_symbols(
        &mut self,
        registry: &mut Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        rest::symbols(registry, root)?;
        self.symbols_at = None;
        if core::mem::replace(&mut self.are_symbols_ready, true) {
            return Ok(());
        }
        let mut unlisted = None;
        for &id in &self.symbols {
            if let Some(&known) = registry.get(id)
                && known.tick.0 == 0
            {
                unlisted = unlisted.or(Some(id));
                registry.update(Instrument {
                    is_live: false,
                    ..known
                });
            }
        }
        out.event(&Event::Control(Control::InstrumentsReady));
        self.subscribe(registry, now, out);
        unlisted.map_or(Ok(()), |id| Err(DecodeError::Unlisted(id).into()))
    }

    pub(super) fn ask_token(&mut self, is_private: bool, now: Now, out: &mut impl Sink) {
        let (stream, target, cost) = if is_private {
            (&mut self.user, "/api/v1/bullet-private", PRIVATE_TOKEN_COST)
        } else {
            (&mut self.md, "/api/v1/bullet-public", PUBLIC_TOKEN_COST)
        };
        if !self.limits.take(now.unix, cost) {
            stream.token_failed(again(now));
            return;
        }
        stream.token_asked(now);
        let question = Question {
            link: LINK_REST,
            ask: Ask::Token { is_private },
            method: RestMethod::Post,
            target,
            body: "",
        };
        match self.auth.as_ref().filter(|_| is_private) {
            Some(auth) => question.sign(auth, now, out),
            None => question.send(out),
        }
    }

    pub(super) fn token_failed(&mut self, is_private: bool, now: Now) {
        let stream = if is_private {
            &mut self.user
        } else {
            &mut self.md
        };
        stream.token_failed(again(now));
    }

    pub(super) fn on_token(
        &mut self,
        is_private: bool,
        root: Value<'_>,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let token = rest::token(root)?;
        if is_private {
            self.user.take_token(token, LINK_USER, now, out);
        } else {
            self.md.take_token(token, LINK_MD, now, out);
        }
        Ok(())
    }

    pub(super) fn ask_fees(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let (Some((from, _)), Some(auth)) = (self.fees_at, &self.auth) else {
            return;
        };
        let rest = self.symbols.get(from as usize..).unwrap_or(&[]);
        if rest.is_empty() {
            self.fees_at = None;
            return;
        }
        if !self.limits.take(now.unix, FEES_COST) {
            self.fees_at = Some((from, again(now)));
            return;
        }
        self.fees_at = Some((from, now.unix.after(ANSWER_WAIT_NS)));
        let names = rest
            .iter()
            .take(FEES_MAX)
            .filter_map(|id| registry.get(*id));
        let names: Vec<_> = names.map(|known| known.symbol.as_str()).collect();
        Question {
            link: LINK_REST,
            ask: Ask::Fees(from),
            method: RestMethod::Get,
            target: &format!("/api/v1/trade-fees?symbols={}", names.join(",")),
            body: "",
        }
        .sign(auth, now, out);
    }

    pub(super) fn fees_failed(&mut self, now: Now) {
        self.fees_at = self.fees_at.map(|(from, _)| (from, again(now)));
    }

    /// Rates came: the next ones are asked for.
    pub(super) fn on_fees(
        &mut self,
        from: u32,
        registry: &Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let rates = &mut self.account.rates;
        rest::fees(registry, root, |id: InstrumentId, told: Rates| {
            if let Some(slot) = rates.get_mut(id.0 as usize) {
                *slot = Some(told);
            }
        })?;
        if self.fees_at.is_some_and(|(asked, _)| asked == from) {
            self.fees_at = Some((from.saturating_add(FEES_MAX as u32), now.unix));
            self.ask_fees(registry, now, out);
        }
        out.event(&Event::Ignored("rates, for the fees of fills"));
        Ok(())
    }

    /// Subscribes what has rules, once the market data link is welcome and the rules are known: for another symbol
    /// the venue would confirm and stay silent.
    pub(super) fn subscribe(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.md.may_subscribe() {
            return;
        }
        if !self.are_symbols_ready {
            self.md.wait();
            return;
        }
        let is_listed = |id: &&InstrumentId| registry.get(**id).is_some_and(|it| it.tick.0 != 0);
        let listed: Vec<_> = self.symbols.iter().filter(is_listed).copied().collect();
        let count = (listed.len().div_ceil(SYMBOLS_PER_SUBSCRIBE) * TOPICS.len()) as u32;
        self.md.subscribed(count, now);
        if !self.limits.frames(now.unix, false, count) {
            return; // never confirmed: the link is replaced when that is due
        }
        for chunk in listed.chunks(SYMBOLS_PER_SUBSCRIBE) {
            for topic in TOPICS {
                let names = chunk.iter().filter_map(|id| registry.get(*id));
                let names = names.map(|known| known.symbol.as_str());
                self.write_subscription(topic, names, false);
                out.send_text(LINK_MD, &self.message);
            }
        }
    }

    /// Subscribes our own orders and balances.
    pub(super) fn subscribe_user(&mut self, now: Now, out: &mut impl Sink) {
        let count = USER_TOPICS.len() as u32;
        self.user.subscribed(count, now);
        if !self.limits.frames(now.unix, true, count) {
            return;
        }
        for topic in USER_TOPICS {
            self.write_subscription(topic, core::iter::empty(), true);
            out.send_text(LINK_USER, &self.message);
        }
    }

    fn write_subscription<'n>(
        &mut self,
        topic: &str,
        symbols: impl Iterator<Item = &'n str>,
        is_private: bool,
    ) {
        self.number = self.number.wrapping_add(1).max(1);
        let out = &mut self.message;
        out.clear();
        out.extend_from_slice(br#"{"id":"s"#);
        push_base36(self.number, out);
        out.extend_from_slice(br#"","type":"subscribe","topic":""#);
        out.extend_from_slice(topic.as_bytes());
        for (at, symbol) in symbols.enumerate() {
            out.extend_from_slice(if at > 0 { b"," } else { b"" });
            out.extend_from_slice(symbol.as_bytes());
        }
        out.extend_from_slice(br#"","privateChannel":"#);
        let is_private: &[u8] = if is_private { b"true" } else { b"false" };
        out.extend_from_slice(is_private);
        out.extend_from_slice(br#","response":true}"#);
    }
}
