//! The two private sockets: logins, the three subscriptions of the private stream, its pushes.

use super::{POST_ONLY_NS, Session};
use crate::account::{self, NOT_FOLLOWED, Pushed};
use crate::feed::{at, text};
use crate::reject;
use crate::{LINK_ORDERS, LINK_USER};
use dp_types::{Decimal, LinkId, Now, OrderReport, OrderState, RejectReason};
use dp_venue_api::limits::Refused;
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::json::Value;

/// The trade socket.
pub(super) const ORDERS_PATH: &str = "/ws/trade";
/// The private stream.
pub(super) const USER_PATH: &str = "/ws/v2";
/// How all our orders stand, every fill with its fee, what there is of each asset.
const CHANNELS: [&str; 3] = ["orders#*", "trade.clearing#*#1", "accounts.update#2"];

impl Session {
    /// A message with an `action`.
    pub(super) fn on_action(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        action: &str,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        match action {
            "push" => return self.on_private(registry, now, root, out),
            "ping" => return Ok(self.pong_action(link, root, out)?),
            "req" | "sub" => {}
            _ => {
                out.event(&Event::Ignored("an action we do not know"));
                return Ok(());
            }
        }
        let code = root.i64("code").map_err(at("code"))?;
        let reason = reject::reason_of_code(code);
        if reason != RejectReason::None {
            return self.refused(link, code, reason, now, out);
        }
        match (action, text(root, "ch")) {
            ("req", "auth") => self.on_login(link, now, out),
            ("req", _) => out.event(&Event::Ignored("an answer to what we do not ask for")),
            _ if link == LINK_USER && self.user.acked() => {
                out.event(&Event::Ignored("the private stream runs"));
                self.check_login(now, out);
            }
            _ => out.event(&Event::Ignored("subscription confirmed")),
        }
        Ok(())
    }

    /// A login or subscription was refused: without it the link is no good.
    fn refused(
        &mut self,
        link: LinkId,
        code: i64,
        reason: RejectReason,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if reason == RejectReason::RateLimit {
            self.stop(Some(Refused::Other), None, now, out);
        }
        if matches!(link, LINK_ORDERS | LINK_USER) {
            out.event(&Event::Control(Control::LoginRefused(reason)));
            out.reconnect(link, "login or subscription refused");
            return Ok(());
        }
        Err(Fault::Venue {
            code: i32::try_from(code).unwrap_or(i32::MAX),
            reason,
        })
    }

    fn on_login(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        out.event(&Event::Ignored(
            "login accepted; LoggedIn follows when both sockets are ready",
        ));
        if link == LINK_ORDERS && self.orders.is_open {
            self.orders.is_ready = true;
            self.orders.ready_by = None;
            self.check_login(now, out);
        }
        if link == LINK_USER && self.user.is_open {
            self.user.acks_missing = CHANNELS.len() as u32;
            for channel in CHANNELS {
                self.message.clear();
                for part in [r#"{"action":"sub","ch":""#, channel, r#""}"#] {
                    self.message.extend_from_slice(part.as_bytes());
                }
                out.send_text(LINK_USER, &self.message);
            }
        }
    }

    /// A push of the private stream.
    pub(super) fn on_private(
        &mut self,
        registry: &Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let channel = root.str("ch").map_err(at("ch"))?;
        let data = root.get("data").ok_or(DecodeError::Field("data"))?;
        let told = match channel.split('#').next().unwrap_or("") {
            "orders" => self.on_order(registry, now, data, out),
            "trade.clearing" => self.on_clearing(registry, now, data, out),
            "accounts.update" => self.wallet.on_push(registry, data, out),
            _ => {
                out.event(&Event::Ignored("a private channel we do not use"));
                Ok(())
            }
        };
        match told {
            Err(DecodeError::UnknownSymbol) => {
                out.event(&NOT_FOLLOWED);
                Ok(())
            }
            told => Ok(told?),
        }
    }

    fn on_order(
        &mut self,
        registry: &Registry,
        now: Now,
        data: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let pushed = account::pushed(registry, data)?;
        let Some(report) = pushed.report else {
            out.event(&Event::Ignored("an order that is not on the book yet"));
            return Ok(());
        };
        let report = self.of_maker(&pushed, report, now);
        if pushed.trade_id.0 != 0 {
            let key = (report.order_id, pushed.trade_id);
            self.pairs.on_order(key, report.cum, out);
        }
        out.event(&Event::Order(report));
        Ok(())
    }

    /// A post-only order that would have taken is cancelled at once after its creation: that is a refusal.
    fn of_maker(&mut self, pushed: &Pushed, report: OrderReport, now: Now) -> OrderReport {
        let Some(client) = report.client_id.filter(|_| pushed.is_post_only) else {
            return report;
        };
        let Some(slot) = self.maker(client) else {
            return report;
        };
        if pushed.is_creation {
            // Unless we have asked for its end already.
            if slot.0 != client {
                *slot = (client, now.unix);
            }
            return report;
        }
        let is_at_once = slot.0 == client && now.unix.since(slot.1) <= POST_ONLY_NS;
        let is_untouched = report.cum.is_some_and(Decimal::is_zero);
        if report.state == OrderState::Cancelled && is_at_once && is_untouched {
            return OrderReport {
                state: OrderState::Rejected,
                reason: RejectReason::PostOnlyCross,
                ..report
            };
        }
        report
    }

    fn on_clearing(
        &mut self,
        registry: &Registry,
        now: Now,
        data: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        match account::cleared(registry, data)? {
            Some(fill) if self.user.is_open => self.pairs.on_fill(fill, now.unix, out),
            // A recording: nothing is held back from it.
            Some(fill) => out.event(&Event::Fill(fill)),
            None => out.event(&Event::Ignored("a cancellation: orders# tells the same")),
        }
        Ok(())
    }

    /// Stops where something was refused for rate; `retry_after_s` is the time HTTP named.
    pub(super) fn stop(
        &mut self,
        refused: Option<Refused>,
        retry_after_s: Option<u32>,
        now: Now,
        out: &mut impl Sink,
    ) {
        if let Some(refused) = refused {
            let until = self.limits.stop(now.unix, refused, retry_after_s);
            let until_ms = until.millis();
            out.event(&Event::Control(Control::RateLimited { until_ms }));
        }
    }
}
