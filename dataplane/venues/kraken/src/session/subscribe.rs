//! Pairs first, then the subscriptions of the public link; the token, then those of the private one.

use super::{
    ANSWER_WAIT_NS, READY_WAIT_NS, RETRY_NS, SYMBOLS_PER_SUBSCRIBE, Session, TOKEN_MAX, Waits,
};
use crate::entry::{push_tail, session_id};
use crate::feed::text;
use crate::rest::{self, Ask};
use crate::sync::{DEPTH, ORDERS_DEPTH};
use crate::{LINK_PRIVATE, LINK_PUBLIC};
use dp_types::{Instrument, InstrumentId, Now, Text};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::digits::Digits;
use dp_wire::json::Value;

/// Channels of one symbol, with what follows its name in a subscription.
const CHANNELS: [(&str, &str); 3] = [
    ("trade", r#","snapshot":false"#),
    ("ticker", r#","event_trigger":"bbo""#),
    ("book", r#","snapshot":true"#),
];

impl Session {
    pub(super) fn ask_pairs(&mut self, now: Now, out: &mut impl Sink) {
        self.pairs_at = Some(now.unix.after(ANSWER_WAIT_NS));
        rest::get_pairs(out);
    }

    /// The list is here: whoever has no rules now is not listed, and must not trade.
    pub(super) fn on_pairs(
        &mut self,
        registry: &mut Registry,
        now: Now,
        result: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let told = rest::pairs(registry, result);
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
        self.pairs_at = None;
        if !self.are_instruments_ready {
            self.are_instruments_ready = true;
            out.event(&Event::Control(Control::InstrumentsReady));
            self.subscribe_public(registry, now, out);
            self.subscribe_level3(registry, now, out);
        }
        told?;
        match unlisted {
            Some(id) => Err(DecodeError::Unlisted(id).into()),
            None => Ok(()),
        }
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
        for (channel, rest) in CHANNELS {
            for chunk in listed.chunks(SYMBOLS_PER_SUBSCRIBE) {
                self.write_subscription(registry, ("subscribe", channel, rest), chunk);
                out.send_text(LINK_PUBLIC, &self.message);
            }
        }
        for id in listed {
            if let Some(book) = self.books.get_mut(id.0 as usize) {
                // Wanted, so that one which does not come is asked for.
                (book.is_wanted, book.waits, book.asked) = (true, Waits::Snapshot, now.unix);
            }
        }
    }

    /// The book's subscription of one symbol, or its end.
    pub(super) fn write_book(&mut self, registry: &Registry, method: &str, id: InstrumentId) {
        let rest = if method == "subscribe" {
            r#","snapshot":true"#
        } else {
            ""
        };
        self.write_subscription(registry, (method, "book", rest), &[id]);
    }

    pub(super) fn write_subscription(
        &mut self,
        registry: &Registry,
        (method, channel, rest): (&str, &str, &str),
        symbols: &[InstrumentId],
    ) {
        let number = self.next_number();
        let out = &mut self.message;
        out.clear();
        let mut push = |text: &str| out.extend_from_slice(text.as_bytes());
        for part in [
            r#"{"method":""#,
            method,
            r#"","params":{"channel":""#,
            channel,
        ] {
            push(part);
        }
        push(r#"","symbol":["#);
        for (index, id) in symbols.iter().enumerate() {
            let symbol = registry.get(*id).map_or("", |known| known.symbol.as_str());
            for part in [if index > 0 { r#",""# } else { r#"""# }, symbol, r#"""#] {
                push(part);
            }
        }
        push("]");
        let depth = match channel {
            "book" => Some(DEPTH),
            "level3" => Some(ORDERS_DEPTH),
            _ => None,
        };
        if let Some(depth) = depth {
            push(r#","depth":"#);
            out.extend_from_slice(Digits::u64(depth as u64).as_bytes());
        }
        let mut push = |text: &str| out.extend_from_slice(text.as_bytes());
        push(rest);
        push(r#"},"req_id":"#);
        out.extend_from_slice(Digits::u64(session_id(number)).as_bytes());
        out.push(b'}');
    }

    pub(super) fn ask_token(&mut self, now: Now, out: &mut impl Sink) {
        let Some(auth) = self.auth.as_ref().filter(|_| self.private.is_open) else {
            self.token_at = None;
            return;
        };
        let ask = Ask::Token(self.token_number);
        if !self.limits.rest(now.unix, ask.cost()) {
            self.token_at = Some(now.unix.after(RETRY_NS));
            return;
        }
        self.token_at = Some(now.unix.after(ANSWER_WAIT_NS));
        let keys = (auth, &mut self.nonce);
        rest::signed(keys, ask, "GetWebSocketsToken", "", now, out);
    }

    /// The token is here: it goes into every message of the private link.
    pub(super) fn on_token(&mut self, token: Text<TOKEN_MAX>, out: &mut impl Sink) {
        self.token = token;
        self.token_at = None;
        self.private.acks_missing = 2;
        let rest = r#""snap_orders":true,"snap_trades":false,"order_status":true,"#;
        for (channel, rest) in [("executions", rest), ("balances", r#""snapshot":true,"#)] {
            let number = self.next_number();
            let message = &mut self.message;
            message.clear();
            for part in [
                r#"{"method":"subscribe","params":{"channel":""#,
                channel,
                r#"","#,
                rest,
            ] {
                message.extend_from_slice(part.as_bytes());
            }
            push_tail(message, self.token.as_str(), session_id(number));
            out.send_text(LINK_PRIVATE, &self.message);
        }
        out.event(&Event::Ignored("token; LoggedIn follows the subscriptions"));
    }
}

/// Reads a token. Only plain characters: it is put between quotes as it is.
pub(super) fn token(result: Value<'_>) -> Result<Text<TOKEN_MAX>, DecodeError> {
    let token = text(result, "token");
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    Some(token)
        .filter(|token| !token.is_empty() && token.bytes().all(is_plain))
        .and_then(Text::<TOKEN_MAX>::new)
        .ok_or(DecodeError::Field("token"))
}
