//! What arrives on a WebSocket link: pushes, confirmations, answers.

use super::Session;
use crate::entry::{self, Usage, code_of};
use crate::feed::{self, BookView, Depth, text};
use crate::{LINK_ORDERS, LINK_PRIVATE, LINK_PUBLIC, account, reject, retired, scan, symbols};
use dp_types::limit::WS_MSG_MAX;
use dp_types::{BookMsg, BookMsgKind, LinkId, Now, RejectReason};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::json::Value;

/// The subscription of the private link: all categories in one, as the venue has it.
const PRIVATE_SUBSCRIPTION: &[u8] =
    br#"{"req_id":"p","op":"subscribe","args":["order","execution","position","wallet"]}"#;

impl Session {
    /// Reads a message of the hot shape by hand and tells its events. `false` when it is not of it; nothing was told
    /// or changed then.
    #[inline]
    pub(crate) fn scan(
        &mut self,
        registry: &Registry,
        link: LinkId,
        text: &[u8],
        out: &mut impl Sink,
    ) -> bool {
        let change = scan::change(registry, self.category, text, &mut self.levels);
        let Some(change) = change.filter(|_| text.len() <= WS_MSG_MAX) else {
            return false;
        };
        if self.view(change.instrument, change.depth, false) != BookView::Book {
            return false;
        }
        out.event(&Event::Book(BookMsg {
            instrument: change.instrument,
            kind: BookMsgKind::Delta,
            first_id: change.id,
            last_id: change.id,
            prev_id: -1,
            checksum: None,
            bids: &self.levels.bids,
            asks: &self.levels.asks,
            venue_ns: change.venue_ns,
        }));
        self.heard(link);
        true
    }

    /// A message of a topic.
    pub(crate) fn on_push(
        &mut self,
        registry: &Registry,
        topic: &str,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let (word, rest) = topic.split_once('.').unwrap_or((topic, ""));
        let items = || root.array("data").map_err(feed::at("data"));
        let category = self.category;
        match word {
            "orderbook" => self.on_book(registry, rest, root, out)?,
            "publicTrade" => feed::on_trades(registry, category, root, out)?,
            "order" => {
                account::on_orders(registry, category, items()?, out)?;
            }
            "execution" => {
                account::on_executions(registry, category, None, items()?, out)?;
            }
            "position" => {
                account::on_positions(registry, category, items()?, |_| (), out)?;
            }
            "wallet" => {
                account::on_wallets(registry, items()?, out)?;
            }
            word => out.event(&Event::Ignored(feed::ignored(word))),
        }
        Ok(())
    }

    fn on_book(
        &mut self,
        registry: &Registry,
        rest: &str,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let Some(depth) = Depth::of(rest) else {
            out.event(&Event::Ignored("a book of retail orders"));
            return Ok(());
        };
        let data = root.field("data").map_err(feed::at("data"))?;
        let id = feed::instrument(registry, self.category, data, "s")?;
        let kind = feed::kind_of(root, data)?;
        let is_snapshot = kind == BookMsgKind::Snapshot;
        match self.view(id, depth, is_snapshot) {
            BookView::Book => {
                let message = feed::book(id, kind, root, data, &mut self.levels)?;
                out.event(&Event::Book(message));
                if is_snapshot {
                    self.snapshot_taken(id);
                }
            }
            BookView::Quote => out.event(&Event::Quote(feed::quote(id, root, data)?)),
            BookView::Other => out.event(&Event::Ignored("a second book of this instrument")),
        }
        Ok(())
    }

    /// A message of a generation before V5, its numbers quoted.
    pub(crate) fn on_retired(
        &mut self,
        registry: &Registry,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        retired::on_message(registry, root, &mut self.levels, out)
    }

    /// Anything else on a WebSocket link: confirmations, answers, strays.
    pub(crate) fn on_reply(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        match text(root, "op") {
            "ping" | "pong" => out.event(&Event::Control(Control::Heartbeat)),
            "auth" => return self.on_login(link, now, root, out),
            "subscribe" => return self.on_subscribed(link, now, root, out),
            "unsubscribe" => out.event(&Event::Ignored("unsubscribed")),
            op if op.starts_with("order.") || root.get("reqId").is_some() => {
                let (usage, result) = entry::on_answer(registry, root, out);
                if let Some(usage) = usage {
                    self.note(usage, now, out);
                }
                self.on_restart(root, out);
                return Ok(result?);
            }
            _ => return self.on_stray(registry, root, out),
        }
        Ok(())
    }

    /// The trade service restarts: this link takes no more orders.
    fn on_restart(&mut self, root: Value<'_>, out: &mut impl Sink) {
        if code_of(root, "retCode") == Ok(reject::TRADE_RESTARTING) && self.orders.is_ready {
            self.orders.is_ready = false;
            out.event(&Event::Control(Control::ClosingSoon(LINK_ORDERS)));
            out.reconnect(LINK_ORDERS, "the trade service restarts");
        }
    }

    /// What an answer says of the venue's limits.
    fn note(&mut self, usage: Usage, now: Now, out: &mut impl Sink) {
        if let Some(op) = usage.op {
            self.limits
                .learn(now.unix, op, usage.limit, usage.left, usage.reset_ms);
        }
        if let Some(refused) = usage.refused {
            let until = self.limits.stop(now.unix, refused, usage.reset_ms);
            let until_ms = until.millis();
            out.event(&Event::Control(Control::RateLimited { until_ms }));
        }
    }

    /// Neither a push nor of a known `op`: a REST answer without its URL, a refusal, or nothing we know.
    fn on_stray(
        &mut self,
        registry: &Registry,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if root.get("retCode").is_some() {
            let code = code_of(root, "retCode")?;
            if code != 0 {
                let reason = reject::reason(code);
                return Err(Fault::Venue { code, reason });
            }
            let book = root.get("result").filter(|data| data.get("b").is_some());
            if let Some(data) = book
                && let Some(id) = symbols::find(registry, self.category, text(data, "s"))
            {
                let kind = BookMsgKind::Snapshot;
                out.event(&Event::Book(feed::book(
                    id,
                    kind,
                    data,
                    data,
                    &mut self.levels,
                )?));
                return Ok(());
            }
            out.event(&Event::Ignored("a REST answer without its URL"));
            return Ok(());
        }
        match root.get("success").and_then(Value::as_bool) {
            Some(false) => Err(Fault::Venue {
                code: 0,
                reason: RejectReason::Invalid,
            }),
            Some(true) => {
                out.event(&Event::Ignored("a confirmation of nothing we asked"));
                Ok(())
            }
            None => Err(DecodeError::Shape("neither a push, a confirmation nor an answer").into()),
        }
    }

    /// The answer to a login; public and private links say `success`, the trade link a code.
    fn on_login(
        &mut self,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let code = match root.get("success").and_then(Value::as_bool) {
            Some(true) => 0,
            // Its reason is in words only.
            Some(false) => 10004,
            None => code_of(root, "retCode")?,
        };
        if !matches!(code, 0 | reject::LOGGED_IN_ALREADY) {
            if let Some(ws) = self.web_socket(link) {
                ws.is_ready = false;
            }
            let reason = reject::reason(code);
            out.event(&Event::Control(Control::LoginRefused(reason)));
            out.reconnect(link, "login refused");
            return Ok(());
        }
        if link == LINK_ORDERS && !self.orders.is_ready {
            self.orders.ready();
            self.tell_ready(now, out);
        } else if link == LINK_PRIVATE && !self.private.is_ready {
            self.private.acks_missing = 1;
            out.send_text(LINK_PRIVATE, PRIVATE_SUBSCRIPTION);
        }
        out.event(&Event::Ignored("login accepted"));
        Ok(())
    }

    fn on_subscribed(
        &mut self,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let is_confirmed = root.bool("success").map_err(feed::at("success"))?;
        let is_last = self.web_socket(link).is_some_and(|ws| {
            let is_last = ws.acks_missing == 1;
            ws.acks_missing = ws.acks_missing.saturating_sub(1);
            is_last
        });
        if link == LINK_PRIVATE && is_last && !is_confirmed {
            let reason = RejectReason::Permission;
            out.event(&Event::Control(Control::LoginRefused(reason)));
            out.reconnect(link, "the private subscription was refused");
            return Ok(());
        }
        match link {
            // A symbol that was refused is answered too: the others must not wait for it.
            LINK_PUBLIC if is_last => {
                self.public.ready();
                out.event(&Event::Control(Control::Subscribed(link)));
            }
            LINK_PRIVATE if is_last => {
                self.private.ready();
                out.event(&Event::Control(Control::Subscribed(link)));
                self.tell_ready(now, out);
            }
            _ if is_confirmed => out.event(&Event::Ignored("subscription confirmed")),
            _ => {}
        }
        if is_confirmed {
            Ok(())
        } else {
            Err(Fault::Venue {
                code: 0,
                reason: RejectReason::BadSymbol,
            })
        }
    }
}
