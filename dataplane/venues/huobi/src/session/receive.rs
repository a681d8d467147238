//! What arrives on a WebSocket link: market data, pings, confirmations; the rest goes to [`super::private`] and
//! [`crate::entry`].
//!
//! ```text
//! {"ping":1}                              {"pong":1}                               market sockets
//! {"action":"ping","data":{"ts":1}}       {"action":"pong","data":{"ts":1}}        private sockets
//! {"op":"ping","ts":"1"}                  {"op":"pong","ts":"1"}                   swaps' private sockets
//! ```
//! A pong echoes the ping's own value, number or text.

use super::Session;
use super::subscribe::Request;
use crate::feed::{self, Channel, text};
use crate::symbols::split_topic;
use crate::{ID, LINK_ORDERS};
use crate::{entry, scan};
use dp_types::limit::WS_MSG_MAX;
use dp_types::{BookMsg, BookMsgKind, LinkId, Now, RejectReason};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::digits::Digits;
use dp_wire::json::Value;

/// Longest value of a ping that is echoed: milliseconds have 13 digits.
const PING_MAX: usize = 20;

impl Session {
    /// Reads a message of the hot shape by hand and tells its events. `false` when it is not of it; nothing was told
    /// or changed then.
    #[inline]
    pub(crate) fn scan(&mut self, registry: &Registry, text: &[u8], out: &mut impl Sink) -> bool {
        let increment = scan::increment(registry, text, &mut self.levels);
        let Some(increment) = increment.filter(|_| text.len() <= WS_MSG_MAX) else {
            return false;
        };
        // What is of a second channel is told as that, whatever else it says.
        if self.is_its_book(increment.instrument, Channel::Mbp, out) {
            out.event(&Event::Book(BookMsg {
                instrument: increment.instrument,
                kind: BookMsgKind::Delta,
                first_id: increment.last_id,
                last_id: increment.last_id,
                prev_id: increment.prev_id,
                checksum: None,
                bids: &self.levels.bids,
                asks: &self.levels.asks,
                venue_ns: increment.venue_ns,
            }));
        }
        true
    }

    /// One message.
    pub(crate) fn on_message(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        // Market data first: it is nearly all there is.
        if let Some(tick) = root.get("tick") {
            return self.on_tick(registry, root, tick, out);
        }
        if let Some(value) = root.get("ping") {
            return Ok(self.pong(link, (r#"{"pong":"#, "}"), value, out)?);
        }
        if let Some(action) = root.get("action") {
            let action = action.as_str().ok_or(DecodeError::Field("action"))?;
            return self.on_action(registry, link, now, action, root, out);
        }
        if text(root, "ch").starts_with("trade.clearing#") {
            return self.on_private(registry, now, root, out);
        }
        if root.get("cid").is_some() && root.get("op").is_none() {
            return self.on_order_answer(registry, now, root, out);
        }
        if let Some(op) = root.get("op") {
            let op = op.as_str().ok_or(DecodeError::Field("op"))?;
            return self.on_op(link, op, root, out);
        }
        self.on_reply(registry, link, now, root, out)
    }

    fn on_tick(
        &mut self,
        registry: &Registry,
        root: Value<'_>,
        tick: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let topic = root.str("ch").map_err(feed::at("ch"))?;
        let (symbol, channel) = split_topic(topic).ok_or(DecodeError::Field("ch"))?;
        let channel = Channel::of(channel);
        if let Channel::Unused(why) = channel {
            out.event(&Event::Ignored(why));
            return Ok(());
        }
        let id = registry
            .find(ID, symbol.as_bytes())
            .ok_or(DecodeError::UnknownSymbol)?;
        match channel {
            Channel::Trades => feed::on_trades(id, tick, out)?,
            Channel::Quote => {
                let (quote, order) = feed::quote(id, tick)?;
                out.event(&if self.is_new_quote(id, order) {
                    Event::Quote(quote)
                } else {
                    Event::Ignored("an older best quote")
                });
            }
            channel => {
                if self.is_its_book(id, channel, out) {
                    feed::on_book(id, channel, root, tick, &mut self.levels, out)?;
                }
            }
        }
        Ok(())
    }

    /// Answers a ping with its own value between these two.
    fn pong(
        &mut self,
        link: LinkId,
        (before, after): (&str, &str),
        value: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let message = &mut self.message;
        message.clear();
        message.extend_from_slice(before.as_bytes());
        match (value.as_u64(), value.as_str()) {
            (Some(number), _) => message.extend_from_slice(Digits::u64(number).as_bytes()),
            (None, Some(text)) if text.len() <= PING_MAX && is_digits(text) => {
                for part in [r#"""#, text, r#"""#] {
                    message.extend_from_slice(part.as_bytes());
                }
            }
            _ => return Err(DecodeError::Field("ping")),
        }
        message.extend_from_slice(after.as_bytes());
        out.send_text(link, message);
        out.event(&Event::Control(Control::Heartbeat));
        Ok(())
    }

    /// The ping of a private socket.
    pub(super) fn pong_action(
        &mut self,
        link: LinkId,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let stamp = root.get("data").and_then(|data| data.get("ts"));
        let stamp = stamp.ok_or(DecodeError::Field("ts"))?;
        let words = (r#"{"action":"pong","data":{"ts":"#, "}}");
        self.pong(link, words, stamp, out)
    }

    /// Messages of swaps' private sockets, which we do not open: only recordings have them.
    fn on_op(
        &mut self,
        link: LinkId,
        op: &str,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let why = match op {
            "ping" => {
                let stamp = root.get("ts").ok_or(DecodeError::Field("ts"))?;
                return Ok(self.pong(link, (r#"{"op":"pong","ts":"#, "}"), stamp, out)?);
            }
            "notify" if text(root, "topic").ends_with(".funding_rate") => "funding rate",
            "notify" => "a private message of swaps, which we do not trade",
            _ => "an answer of swaps' private socket, which we do not open",
        };
        out.event(&Event::Ignored(why));
        Ok(())
    }

    fn on_order_answer(
        &mut self,
        registry: &Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let (stop, result) = entry::on_answer(registry, root, out);
        self.stop(stop, None, now, out);
        Ok(result?)
    }

    /// Confirmations, answers to `req`, refusals.
    fn on_reply(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if text(root, "status") == "error" && root.get("err-code").is_some() {
            if link == LINK_ORDERS {
                // Without an id nobody knows whose it was: the engine's clock does.
                let word = text(root, "err-code");
                let reason = crate::reject::reason(word);
                let refused = (reason == RejectReason::RateLimit)
                    .then_some(dp_venue_api::limits::Refused::Other);
                self.stop(refused, None, now, out);
                let code = crate::reject::REFUSED;
                return Err(Fault::Venue { code, reason });
            }
            return self.on_refused(registry, link, now, root, out);
        }
        if let Some(topic) = root.get("rep").and_then(Value::as_str) {
            let (symbol, channel) = split_topic(topic).ok_or(DecodeError::Field("rep"))?;
            if Channel::of(channel) != Channel::Mbp {
                out.event(&Event::Ignored("an answer to what we do not ask for"));
                return Ok(());
            }
            let request = Request::parse(text(root, "id").as_bytes());
            let asked = match request {
                Some(Request::Snapshot(id, number)) => (id, Some(number)),
                _ => {
                    let id = registry.find(ID, symbol.as_bytes());
                    (id.ok_or(DecodeError::UnknownSymbol)?, None)
                }
            };
            return Ok(self.on_snapshot(asked, now, root, out)?);
        }
        if root.get("subbed").is_some() {
            if let Some(Request::Books(id)) = Request::parse(text(root, "id").as_bytes()) {
                self.await_increment(id, now);
            }
            self.on_subscribed(link, out);
            return Ok(());
        }
        let why = if root.get("unsubbed").is_some() {
            "unsubscribed"
        } else if root.get("pong").is_some() {
            "a pong"
        } else if root.get("status").is_some() && root.get("data").is_some() {
            "a REST answer without its URL"
        } else {
            return Err(
                DecodeError::Shape("neither market data, a push, a ping nor an answer").into(),
            );
        };
        out.event(&Event::Ignored(why));
        Ok(())
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
