//! What arrives on a WebSocket link: pushes, heartbeats, answers.

use super::Session;
use super::links::Waits;
use super::subscribe::named;
use crate::entry::{self, RequestKind, code_of};
use crate::feed::{self, BookChannel};
use crate::{account, reject, scan};
use dp_types::limit::WS_MSG_MAX;
use dp_types::{BookMsg, BookMsgKind, LinkId, Now, RejectReason};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::json::Value;

impl Session {
    /// Reads a message of the hot shape by hand and tells its events. `false` when it is not of it; nothing was told
    /// or changed then.
    #[inline]
    pub(crate) fn scan(&mut self, registry: &Registry, text: &[u8], out: &mut impl Sink) -> bool {
        let change = scan::change(registry, text, &mut self.levels);
        let Some(change) = change.filter(|_| text.len() <= WS_MSG_MAX) else {
            return false;
        };
        if !self.is_its_book(change.instrument, change.channel) {
            return false;
        }
        out.event(&Event::Book(BookMsg {
            instrument: change.instrument,
            kind: BookMsgKind::Delta,
            first_id: change.id,
            last_id: change.id,
            prev_id: change.prev_id,
            checksum: None,
            bids: &self.levels.bids,
            asks: &self.levels.asks,
            venue_ns: change.venue_ns,
        }));
        true
    }

    /// One whole message.
    pub(crate) fn on_message(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        // Market data first: it is nearly all there is.
        match root.get("method").map(Value::as_str) {
            Some(Some("subscription")) => {
                let params = root.get("params").ok_or(DecodeError::Field("params"))?;
                let channel = params.str("channel").map_err(feed::at("channel"))?;
                let data = params.get("data").ok_or(DecodeError::Field("data"))?;
                Ok(self.on_push(registry, channel, data, out)?)
            }
            Some(Some("heartbeat")) => {
                self.on_heartbeat(link, now, root, out);
                Ok(())
            }
            Some(_) => Err(DecodeError::Shape("a method we do not know").into()),
            None => self.on_answer(registry, link, now, root, out),
        }
    }

    fn on_push(
        &mut self,
        registry: &Registry,
        channel: &str,
        data: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        if let Some(book) = BookChannel::of(channel) {
            return self.on_book(registry, book, data, out);
        }
        let resting = &mut self.resting;
        if channel.starts_with("quote.") {
            out.event(&Event::Quote(feed::quote(registry, data)?));
        } else if channel.starts_with("trades.") {
            feed::on_trades(registry, data, out)?;
        } else if channel.starts_with("user.changes.") {
            account::on_changes(registry, data, resting, out)?;
        } else if channel.starts_with("user.portfolio.") {
            account::on_balance(registry, data, out)?;
        } else if channel.starts_with("user.orders.") {
            account::on_order_push(registry, data, resting, out)?;
        } else if channel.starts_with("user.trades.") {
            account::on_trades(registry, data, out)?;
        } else {
            out.event(&Event::Ignored(feed::ignored(channel)));
        }
        Ok(())
    }

    fn on_heartbeat(&mut self, link: LinkId, now: Now, root: Value<'_>, out: &mut impl Sink) {
        let kind = root
            .get("params")
            .map_or("", |it| account::text(it, "type"));
        if kind == "test_request" {
            self.prove_life(link, now, out);
        }
        out.event(&Event::Control(Control::Heartbeat));
    }

    /// An answer to a request of ours, or a stray one.
    fn on_answer(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let code = code_of(root)?;
        self.stop_on(code, None, now, out);
        let kind = root.get("id").and_then(Value::as_str);
        match kind.and_then(|id| RequestKind::parse(id.as_bytes())) {
            Some(kind) => self.on_kind(registry, link, (kind, code), now, root, out),
            None if code != 0 => Err(fault(code)),
            None => {
                let content = root.get("result").unwrap_or(root);
                Ok(feed::on_stray(registry, content, &mut self.levels, out)?)
            }
        }
    }

    fn on_kind(
        &mut self,
        registry: &Registry,
        link: LinkId,
        (kind, code): (RequestKind, i32),
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        match kind {
            RequestKind::Login => {
                let told = self.on_login(link, code, now, root, out);
                self.link_due(registry, link, now, out); // its subscriptions
                return told;
            }
            RequestKind::New(..) | RequestKind::Amend(..) | RequestKind::Cancel(..) => {
                let resting = &mut self.resting;
                let told = entry::on_answer(registry, kind, code, root, resting, out);
                self.lapsed(link, code, out);
                return Ok(told?);
            }
            _ => {}
        }
        if code != 0 {
            if let RequestKind::Renew(id) = kind {
                self.snapshot_failed(id, now);
            }
            let is_vital = matches!(
                kind,
                RequestKind::Heartbeat | RequestKind::OnDisconnect | RequestKind::Subscribe
            );
            if is_vital {
                self.give_up(link, "what a link needs was refused", out);
            } else {
                self.lapsed(link, code, out);
            }
            return Err(fault(code));
        }
        match kind {
            RequestKind::Subscribe => return self.on_subscribed(link, root, out),
            RequestKind::Heartbeat => self.web_socket(link).waits.done(Waits::HEARTBEAT),
            RequestKind::OnDisconnect => self.web_socket(link).waits.done(Waits::ON_DISCONNECT),
            RequestKind::Renew(id) if named(root)? == 0 => {
                self.snapshot_failed(id, now);
                return Err(fault(0));
            }
            _ => {}
        }
        out.event(&Event::Ignored("confirmed"));
        self.confirmed(link, out);
        Ok(())
    }

    /// A request was refused because the login is over: only a new connection settles it.
    fn lapsed(&mut self, link: LinkId, code: i32, out: &mut impl Sink) {
        if matches!(reject::reason(code), RejectReason::Auth) {
            self.give_up(link, "the login has lapsed", out);
        }
    }

    /// Stops where the code is one of a refusal for rate; `retry_after_s` is the time HTTP named.
    pub(super) fn stop_on(
        &mut self,
        code: i32,
        retry_after_s: Option<u32>,
        now: Now,
        out: &mut impl Sink,
    ) {
        if reject::is_rate_stop(code) {
            let until = self.limits.stop(now.unix, retry_after_s);
            let until_ms = until.millis();
            out.event(&Event::Control(Control::RateLimited { until_ms }));
        }
    }
}

/// An error of the venue's own; 0 is for what it only hints at.
fn fault(code: i32) -> Fault {
    Fault::Venue {
        code,
        reason: match reject::reason(code) {
            RejectReason::None => RejectReason::BadSymbol,
            reason => reason,
        },
    }
}
