//! What arrives on a WebSocket link: pushes of channels, answers, and what recordings hold of the legacy feed.

use super::{Session, market};
use crate::entry::{self, Answer};
use crate::feed::{self, text};
use crate::requests::{Channel, Kind};
use crate::{LINK_PRIVATE, account, legacy, reject, scan};
use dp_types::limit::WS_MSG_MAX;
use dp_types::{BookMsgKind, LinkId, Now, RejectReason};
use dp_venue_api::limits::Refused;
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::json::Value;

impl Session {
    /// Reads a message of the hot shape by hand and tells its events. `false` when it is not of it; nothing was told
    /// or changed then.
    #[inline]
    pub(crate) fn scan(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        text: &[u8],
        out: &mut impl Sink,
    ) -> bool {
        let change = scan::change(registry, text, &mut self.levels);
        let Some(change) = change.filter(|_| text.len() <= WS_MSG_MAX) else {
            return false;
        };
        out.event(&Event::Book(change));
        self.heard(link, now);
        true
    }

    pub(crate) fn on_message(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        // Market data first: it is nearly all there is.
        if let Some(channel) = root.get("channel") {
            let channel = channel.as_str().ok_or(DecodeError::Field("channel"))?;
            return self.on_push(registry, link, now, channel, root, out);
        }
        if let Some(method) = root.get("method") {
            let method = method.as_str().ok_or(DecodeError::Field("method"))?;
            return self.on_answer(registry, now, method, root, out);
        }
        // A legacy error, alert or answer has an event, and names the feed beside it.
        if let Some(event) = root.get("event") {
            let event = event.as_str().ok_or(DecodeError::Field("event"))?;
            return legacy::on_event(event, root, out);
        }
        if let Some(feed) = root.get("feed") {
            let feed = feed.as_str().ok_or(DecodeError::Field("feed"))?;
            let Self { orders, levels, .. } = self;
            return legacy::on_feed(registry, orders, feed, root, levels, out);
        }
        if let Some(error) = root.get("Error") {
            let refusal = reject::unified(error.as_str().ok_or(DecodeError::Field("Error"))?);
            if refusal.reason == RejectReason::RateLimit {
                self.stop(Refused::Other, None, now, out);
            }
            return Err(Fault::Venue {
                code: refusal.code,
                reason: refusal.reason,
            });
        }
        Err(DecodeError::Shape("neither a push nor an answer").into())
    }

    fn on_push(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        channel: &str,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        match channel {
            "book" => {
                let Self { levels, books, .. } = self;
                feed::on_book(registry, root, levels, out, |id| market::taken(books, id))?;
            }
            "trade" => feed::on_trades(registry, root, out)?,
            "ticker" => feed::on_ticker(registry, root, out)?,
            "level3" => feed::on_level3(registry, root, &mut self.levels, out)?,
            "heartbeat" => out.event(&Event::Control(Control::Heartbeat)),
            "executions" => return self.on_executions(registry, now, root, out),
            "balances" => return self.on_balances(registry, now, root, out),
            "instrument" => return self.on_instruments(registry, now, root, out),
            "status" => out.event(&Event::Ignored(match link {
                LINK_PRIVATE => "connected to orders",
                _ => "connected",
            })),
            "ohlc" => out.event(&Event::Ignored("candle")),
            _ => out.event(&Event::Ignored("a channel we do not use")),
        }
        Ok(())
    }

    /// Whether a private stream goes on where it was. A snapshot begins it.
    fn follows(
        place: &mut Option<u64>,
        root: Value<'_>,
        is_snapshot: bool,
    ) -> Result<(), DecodeError> {
        let Some(sequence) = root.get("sequence") else {
            return Ok(()); // the venue does not number it, or not yet
        };
        let sequence = sequence.as_u64().ok_or(DecodeError::Field("sequence"))?;
        let before = place.replace(sequence);
        match before {
            Some(before) if !is_snapshot && before.checked_add(1) != Some(sequence) => {
                Err(DecodeError::Shape("a gap in a private stream"))
            }
            _ => Ok(()),
        }
    }

    /// Errors: an item that cannot be read, or a gap before it; the caller compares with the venue then.
    fn on_executions(
        &mut self,
        registry: &Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let is_snapshot = feed::kind(root)? == BookMsgKind::Snapshot;
        let follows = Self::follows(&mut self.executions_seq, root, is_snapshot);
        let Self {
            orders, queries, ..
        } = self;
        let (trades, told) = account::on_executions(registry, orders, root, out, |id| {
            Self::found(queries, id);
        });
        let mut result = told.map_err(Fault::from);
        if is_snapshot {
            // One that cannot be read whole proves nothing of what it does not hold.
            if result.is_ok() {
                result = self.executions_taken(&trades, now, out);
            }
            if root.get("data").is_some_and(Value::is_empty) {
                out.event(&Event::Ignored("no open order"));
            }
        }
        self.note_trades(&trades);
        result.and(follows.map_err(Fault::from))
    }

    fn on_balances(
        &mut self,
        registry: &Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let is_snapshot = feed::kind(root)? == BookMsgKind::Snapshot;
        let follows = Self::follows(&mut self.balances_seq, root, is_snapshot);
        let told = account::on_balances(registry, root, out);
        if is_snapshot {
            self.balances_taken(now, out);
        }
        Ok(told.and(follows)?)
    }

    /// The venue refused for rate.
    pub(super) fn stop(
        &mut self,
        refused: Refused,
        retry_after_s: Option<u32>,
        now: Now,
        out: &mut impl Sink,
    ) {
        let until = self.limits.stop(now.unix, refused, retry_after_s);
        let until_ms = until.millis();
        out.event(&Event::Control(Control::RateLimited { until_ms }));
    }

    fn on_answer(
        &mut self,
        registry: &Registry,
        now: Now,
        method: &str,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if method == "pong" {
            out.event(&Event::Control(Control::Heartbeat));
            return Ok(());
        }
        let answer = Answer::read(&self.requests, root)?;
        if let Some(refused) = answer.refused() {
            self.stop(refused, None, now, out);
        }
        match method {
            "add_order" | "amend_order" | "cancel_order" => {
                entry::on_answer(registry, &answer, out)?;
                self.note_session(&answer, out);
                return Ok(());
            }
            "batch_add" if let Some(Kind::News(batch)) = answer.kind => {
                let told = entry::on_news(registry, batch, &answer, out);
                self.note_session(&answer, out);
                return Ok(told?);
            }
            "batch_cancel" | "cancel_all" | "batch_add" => {
                answer.fault()?;
                out.event(&Event::Ignored(
                    "a batch was taken: its orders tell how it went",
                ));
                return Ok(());
            }
            "cancel_all_orders_after" => {
                self.dead_man_answered(answer.refusal.is_none(), now, out);
                return answer.fault();
            }
            "subscribe" | "unsubscribe" => {}
            _ => {
                out.event(&Event::Ignored("an answer we do not wait for"));
                return Ok(());
            }
        }
        match answer.kind {
            Some(Kind::Market) => {
                self.market_confirmed(out);
                answer.fault()
            }
            Some(Kind::Instruments) => {
                match answer.refusal {
                    Some(_) => self.instruments_refused(out),
                    None => out.event(&Event::Ignored("subscription confirmed")),
                }
                answer.fault()
            }
            Some(Kind::LeaveBook(id)) => {
                self.book_left(registry, id, now, out);
                Ok(())
            }
            Some(Kind::EnterBook(id)) => {
                match answer.refusal {
                    Some(_) => self.book_refused(id, now),
                    None => out.event(&Event::Ignored("subscription confirmed")),
                }
                answer.fault()
            }
            Some(Kind::LeavePrivate(channel)) => {
                self.left(channel, now, out);
                Ok(())
            }
            Some(Kind::Private(channel)) => self.private_confirmed(channel, &answer, now, out),
            _ => {
                let why = match text(root, "method") {
                    "unsubscribe" => "unsubscribed",
                    _ => "subscription confirmed",
                };
                answer.fault()?;
                out.event(&Event::Ignored(why));
                Ok(())
            }
        }
    }

    /// A token that is worth nothing any more takes the link with it.
    fn note_session(&mut self, answer: &Answer<'_>, out: &mut impl Sink) {
        if answer.is_session_lost() {
            self.refuse_login(RejectReason::Auth, out);
        }
    }

    fn private_confirmed(
        &mut self,
        channel: Channel,
        answer: &Answer<'_>,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if !self.private.is_ready {
            return self.entered(channel, answer.refusal, now, out);
        }
        match answer.refusal {
            Some(refusal) => self.enter_refused(channel, refusal.reason, now, out),
            None => out.event(&Event::Ignored("subscription confirmed")),
        }
        answer.fault()
    }
}
