//! What arrives on a WebSocket link: channels, answers, what v1 recordings hold.

use super::Session;
use crate::entry::{self, Refused};
use crate::feed::{self, at, text};
use crate::{ID, LINK_L3, LINK_PRIVATE, account, reject, scan, v1};
use dp_types::limit::WS_MSG_MAX;
use dp_types::{BookMsgKind, LinkId, Now, RejectReason};
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
        if let Some(channel) = root.get("channel") {
            let channel = channel.as_str().ok_or(DecodeError::Field("channel"))?;
            return self.on_channel(registry, channel, now, root, out);
        }
        if root.as_array().is_some() {
            let (levels, orders) = (&mut self.levels, &mut self.orders);
            return Ok(v1::on_frame(registry, root, levels, orders, now, out)?);
        }
        if root.get("method").is_some() {
            return self.on_answer(registry, link, now, root, out);
        }
        if let Some(event) = root.get("event") {
            v1::on_event(event.as_str().unwrap_or(""), out);
            return Ok(());
        }
        if root.get("result").is_some() {
            out.event(&Event::Ignored("a REST answer without its URL"));
            return Ok(());
        }
        for key in ["error", "Error"] {
            if let Some(words) = root.get(key).and_then(Value::as_str) {
                return self.on_error(words, now, out);
            }
        }
        Err(DecodeError::Shape("neither a channel nor an answer").into())
    }

    fn on_channel(
        &mut self,
        registry: &Registry,
        channel: &str,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        match channel {
            "book" => {
                let kind = feed::kind(root)?;
                for data in root.array("data").map_err(at("data"))? {
                    let book = feed::book(registry, kind, data, &mut self.levels)?;
                    let id = book.instrument;
                    out.event(&Event::Book(book));
                    if kind == BookMsgKind::Snapshot {
                        self.snapshot_taken(id);
                    }
                }
            }
            "trade" => feed::on_trades(registry, root, out)?,
            "ticker" => feed::on_ticker(registry, root, out)?,
            "level3" => {
                let kind = feed::kind(root)?;
                for data in root.array("data").map_err(at("data"))? {
                    let orders = feed::orders(registry, kind, data, &mut self.levels)?;
                    let id = orders.instrument;
                    out.event(&Event::L3(orders));
                    if kind == BookMsgKind::Snapshot {
                        self.level3.snapshot_taken(id);
                    }
                }
            }
            "heartbeat" => out.event(&Event::Control(Control::Heartbeat)),
            "executions" => {
                let orders = &mut self.orders;
                let (stray, told) = account::on_executions(registry, orders, root, now, out);
                if let Some(order) = stray {
                    self.ask_stray(order, now, out);
                }
                self.check_sequence(channel, root, out);
                told?;
            }
            "balances" => {
                let told = account::on_balances(registry, root, out);
                self.check_sequence(channel, root, out);
                told?;
            }
            channel => out.event(&Event::Ignored(feed::ignored(channel))),
        }
        Ok(())
    }

    /// A missing message is found again only by a new subscription and a reconciliation: both come with a new link.
    fn check_sequence(&mut self, channel: &str, root: Value<'_>, out: &mut impl Sink) {
        let sequence = match channel {
            "executions" => &mut self.executions,
            _ => &mut self.balances,
        };
        if !sequence.follows(root.get("sequence").and_then(Value::as_u64)) {
            self.private.is_ready = false;
            out.reconnect(LINK_PRIVATE, "a message of the private stream is missing");
        }
    }

    /// The answer to one of our requests.
    fn on_answer(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let told = self.on_method(registry, link, now, root, out);
        let is_over = link != LINK_L3 && entry::refusals(root).any(reject::is_session_over);
        if self.private.is_ready && is_over {
            self.private.is_ready = false;
            out.reconnect(LINK_PRIVATE, "the token is refused");
        }
        told
    }

    fn on_method(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        match entry::method(root)? {
            "pong" => {
                out.event(&Event::Control(Control::Heartbeat));
                Ok(())
            }
            method @ ("subscribe" | "unsubscribe") => {
                self.on_subscription(registry, link, method, now, root, out)
            }
            "cancel_all_orders_after" => self.on_dead_man(now, root, out),
            "add_order" | "amend_order" | "cancel_order" | "edit_order" => {
                let (refused, told) = entry::on_answer(&mut self.orders, root, out);
                self.stop(refused, now, out);
                told
            }
            "batch_add" if let Some(news) = entry::news(root) => {
                let (refused, told) = entry::on_news(&mut self.orders, news, root, out);
                self.stop(refused, now, out);
                Ok(told?)
            }
            _ => match entry::verdict(root)? {
                None => {
                    out.event(&Event::Ignored("an answer to what we do not ask"));
                    Ok(())
                }
                Some(words) => self.on_error(words, now, out),
            },
        }
    }

    fn on_subscription(
        &mut self,
        registry: &Registry,
        link: LinkId,
        method: &str,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let error = entry::verdict(root)?;
        if link == LINK_L3 {
            return self.on_level3_answer(registry, (method, error), now, root, out);
        }
        let told = |key| match root.get("result").map_or("", |result| text(result, key)) {
            "" => text(root, key),
            told => told,
        };
        if method == "unsubscribe" {
            // Refused, there was no subscription to end: for the book the next one may begin either way.
            let id = registry.find(ID, told("symbol").as_bytes());
            if let Some(id) = id.filter(|_| matches!(told("channel"), "book" | "")) {
                self.unsubscribed(registry, id, now, out);
            }
            out.event(&Event::Ignored("unsubscribed"));
            return Ok(());
        }
        if let Some(words) = error
            && link == LINK_PRIVATE
        {
            let (_, reason) = reject::error(words);
            self.refuse_login(reason, out);
            return Ok(());
        }
        self.on_subscribed(link, now, out);
        match error {
            None => Ok(()),
            Some(words) => self.on_error(words, now, out),
        }
    }

    /// One more subscription is answered; a refused one too: the others must not wait for it.
    fn on_subscribed(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        let ws = self.web_socket(link);
        let was_missing = ws.acks_missing;
        ws.acks_missing = was_missing.saturating_sub(1);
        if was_missing != 1 {
            out.event(&Event::Ignored("subscription confirmed"));
            return;
        }
        ws.is_ready = true;
        ws.ready_by = None;
        if link == LINK_PRIVATE {
            self.dead_man_at = Some(now.unix);
            out.event(&Event::Control(Control::LoggedIn(link)));
        } else {
            out.event(&Event::Control(Control::Subscribed(link)));
        }
    }

    pub(super) fn refuse_login(&mut self, reason: RejectReason, out: &mut impl Sink) {
        self.private.is_ready = false;
        out.event(&Event::Control(Control::LoginRefused(reason)));
        out.reconnect(LINK_PRIVATE, "login refused");
    }

    /// The venue's words that are about no order.
    fn on_error(&mut self, words: &str, now: Now, out: &mut impl Sink) -> Result<(), Fault> {
        let (code, reason) = reject::error(words);
        if reason == RejectReason::RateLimit {
            self.stop(Some(Refused(None)), now, out);
        }
        Err(Fault::Venue { code, reason })
    }

    fn stop(&mut self, refused: Option<Refused>, now: Now, out: &mut impl Sink) {
        if let Some(Refused(instrument)) = refused {
            let until_ms = self.limits.order_refused(now.unix, instrument).millis();
            out.event(&Event::Control(Control::RateLimited { until_ms }));
        }
    }
}
