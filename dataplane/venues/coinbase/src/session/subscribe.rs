//! Products first, then what is subscribed on either WebSocket link.

use super::{READY_WAIT_NS, RETRY_NS, Session, WsLink};
use crate::limits::Kind;
use crate::rest;
use crate::{LINK_PUBLIC, LINK_USER};
use dp_types::{Instrument, InstrumentId, LinkId, Now, RejectReason};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::json::Value;

/// The book channel of who has keys: each change as it happens.
const BOOK_SIGNED: &str = "level2";
/// Of who has none: changes of 50 ms at once.
const BOOK_PUBLIC: &str = "level2_batch";

/// Channels beside the book: of every product, and of those whose trades do not come with their single orders.
const ALWAYS: [&str; 2] = ["ticker", "heartbeat"];
const TRADES: &str = "matches";
/// Single orders, and with them trades.
const FULL: &str = "full";

/// Of which products a channel is subscribed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    /// All.
    All,
    /// One.
    One(InstrumentId),
    /// Those whose single orders are followed, or the others.
    Singles(bool),
}

impl Session {
    /// The list of products failed: again in a while.
    pub(super) fn products_failed(&mut self, now: Now) {
        self.products_due = self.products_due.map(|_| now.unix.after(RETRY_NS));
    }

    pub(super) fn on_products(
        &mut self,
        registry: &mut Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        rest::products(registry, root)?;
        if self.products_due.take().is_none() {
            return Ok(()); // a recorded list, or one that came twice
        }
        // A product the venue did not list keeps no rules: it must not trade.
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
        self.subscribe_public(registry, now, out);
        self.subscribe_user(registry, now, out);
        match unlisted {
            Some(id) => Err(DecodeError::Unlisted(id).into()),
            None => Ok(()),
        }
    }

    /// Whether a link may subscribe: it is open, and the products are known.
    fn may_subscribe(&self, ws: &WsLink) -> bool {
        ws.is_open && !ws.is_asked && self.products_due.is_none()
    }

    /// The book channel we follow.
    pub(super) const fn book_channel(&self) -> &'static str {
        if self.auth.is_some() {
            BOOK_SIGNED
        } else {
            BOOK_PUBLIC
        }
    }

    pub(super) fn subscribe_public(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.may_subscribe(&self.public) {
            return;
        }
        let [ticker, heartbeat] = ALWAYS;
        let all = [self.book_channel(), TRADES, ticker, heartbeat];
        if self.singles.is_empty() {
            if self.write_subscription(registry, "subscribe", &all, Of::All, now) {
                self.send(LINK_PUBLIC, now, out);
            }
            return;
        }
        let [book, ..] = all;
        for (channels, of) in [
            (&[book, ticker, heartbeat][..], Of::All),
            (&[FULL], Of::Singles(true)),
            (&[TRADES], Of::Singles(false)),
        ] {
            if self.write_subscription(registry, "subscribe", channels, of, now) {
                self.send(LINK_PUBLIC, now, out);
            }
        }
    }

    pub(super) fn subscribe_user(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.may_subscribe(&self.user) || self.auth.is_none() {
            return;
        }
        let channels = ["user", "heartbeat"];
        if self.write_subscription(registry, "subscribe", &channels, Of::All, now) {
            self.send(LINK_USER, now, out);
        }
    }

    /// Sends a first subscription. One that must wait for its bucket is tried anew with a new link.
    fn send(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        if self.limits.take(now.unix, Kind::Subscribe) {
            out.send_text(link, &self.message);
        }
        let ws = self.web_socket(link);
        ws.is_asked = true;
        ws.ready_by = Some(now.unix.after(READY_WAIT_NS));
    }

    fn web_socket(&mut self, link: LinkId) -> &mut WsLink {
        if link == LINK_USER {
            &mut self.user
        } else {
            &mut self.public
        }
    }

    /// Writes a subscription of those instruments that have rules: another would have the whole message refused.
    /// Signed where there are keys: the book channel wants it as the user channel does. False when there is nothing
    /// to subscribe.
    pub(super) fn write_subscription(
        &mut self,
        registry: &Registry,
        kind: &str,
        channels: &[&str],
        of: Of,
        now: Now,
    ) -> bool {
        let Self {
            symbols,
            singles,
            message,
            auth,
            ..
        } = self;
        let is_meant = |id| match of {
            Of::All => true,
            Of::One(only) => only == id,
            Of::Singles(are) => singles.iter().any(|single| single.id() == id) == are,
        };
        message.clear();
        for part in [r#"{"type":""#, kind, r#"","product_ids":["#] {
            message.extend_from_slice(part.as_bytes());
        }
        let mut separator: &[u8] = b"\"";
        let mut count = 0;
        for &id in symbols.iter() {
            let known = registry.get(id).filter(|known| known.tick.0 != 0);
            let Some(known) = known.filter(|_| is_meant(id)) else {
                continue;
            };
            message.extend_from_slice(separator);
            message.extend_from_slice(known.symbol.as_bytes());
            message.push(b'"');
            separator = b",\"";
            count += 1;
        }
        message.extend_from_slice(br#"],"channels":["#);
        let mut separator: &[u8] = b"\"";
        for channel in channels {
            message.extend_from_slice(separator);
            message.extend_from_slice(channel.as_bytes());
            message.push(b'"');
            separator = b",\"";
        }
        message.push(b']');
        if let Some(auth) = auth {
            auth.push_subscribe(now, message);
        }
        message.push(b'}');
        count > 0
    }

    /// The venue lists what is subscribed on a link: it answers each of our messages so.
    pub(super) fn on_subscriptions(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) {
        // Not `level2_batch` alone: the venue has called it by another name before (`level2_50`).
        let wanted = if link == LINK_USER { "user" } else { "level2" };
        let has = |wanted: &str| {
            let channels = root.get("channels").and_then(Value::as_array);
            channels.into_iter().flatten().any(|channel| {
                let name = channel.get("name").and_then(Value::as_str).unwrap_or("");
                name.starts_with(wanted)
            })
        };
        let is_there = has(wanted);
        if link == LINK_PUBLIC && !self.is_full_ready && !self.singles.is_empty() && has(FULL) {
            self.full_confirmed(registry, now, out);
        }
        let ws = self.web_socket(link);
        if !is_there || !ws.is_asked || ws.is_ready {
            out.event(&Event::Ignored("subscriptions"));
            return;
        }
        ws.is_ready = true;
        ws.ready_by = None;
        out.event(&Event::Control(if link == LINK_USER {
            Control::LoggedIn(link)
        } else {
            Control::Subscribed(link)
        }));
    }

    /// The venue refuses a message of ours, and says why in words. Before a link is ready that was its
    /// subscription: it is of no use without.
    pub(super) fn on_refusal(
        &mut self,
        link: LinkId,
        reason: RejectReason,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let ws = self.web_socket(link);
        if ws.is_asked && !ws.is_ready {
            *ws = WsLink::default();
            if link == LINK_USER {
                out.event(&Event::Control(Control::LoginRefused(reason)));
            }
            out.reconnect(link, "the subscription was refused");
        }
        Err(Fault::Venue { code: 0, reason })
    }
}
