//! What arrives on a WebSocket link.

use super::Session;
use crate::feed::{self, advanced, full, text};
use crate::{LINK_PUBLIC, LINK_USER, account, reject, scan};
use dp_types::limit::WS_MSG_MAX;
use dp_types::{InstrumentId, LinkId, Now};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::json::Value;

impl Session {
    /// Reads a message of the hot shape by hand and tells its events. `false` when it is not of it; nothing was told
    /// or changed then.
    #[inline]
    pub(crate) fn scan(&mut self, registry: &Registry, text: &[u8], out: &mut impl Sink) -> bool {
        let changes = scan::changes(registry, text, &mut self.levels);
        let Some(changes) = changes.filter(|_| text.len() <= WS_MSG_MAX) else {
            return false;
        };
        out.event(&Event::Book(changes));
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
        if let Some(kind) = root.get("type") {
            let kind = kind.as_str().ok_or(DecodeError::Field("type"))?;
            // The full channel tells of our own orders as of all; their account is the user channel's.
            let is_full = link == LINK_PUBLIC && !self.singles.is_empty();
            let is_own = link == LINK_USER || !is_full && account::is_own(root);
            return match kind {
                "received" | "open" | "match" | "last_match" | "change" | "done" | "activate"
                    if is_own =>
                {
                    let doubt = account::on_user(registry, kind, root, &mut self.tracks, out)?;
                    if let Some((id, client_id)) = doubt {
                        self.ask_order(registry, id, client_id, now, out);
                    }
                    Ok(())
                }
                // The type of an order, in an object of REST.
                "limit" | "market" | "stop" => Ok(on_bare(registry, root, out)?),
                "subscriptions" => {
                    self.on_subscriptions(registry, link, now, root, out);
                    Ok(())
                }
                "error" => {
                    let words = [text(root, "message"), text(root, "reason")].join(": ");
                    self.on_refusal(link, reject::of_words(&words), out)
                }
                kind => self.on_public(registry, kind, root, out),
            };
        }
        if let Some(channel) = root.get("channel") {
            let channel = channel.as_str().ok_or(DecodeError::Field("channel"))?;
            let Self { count, levels, .. } = self;
            advanced::on_message(registry, channel, root, count, levels, out)?;
            return Ok(());
        }
        Ok(on_bare(registry, root, out)?)
    }

    /// A message about the market.
    fn on_public(
        &mut self,
        registry: &Registry,
        kind: &str,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        match kind {
            "heartbeat" => {
                out.event(&Event::Control(Control::Heartbeat));
                return Ok(());
            }
            "l2update" | "snapshot" | "match" | "last_match" | "ticker" | "open" | "done"
            | "change" | "received" | "activate" => {}
            kind => {
                out.event(&Event::Ignored(feed::ignored(kind)));
                return Ok(());
            }
        }
        let id = feed::instrument(registry, root)?;
        let Self { levels, .. } = self;
        match kind {
            "l2update" => {
                let result = feed::on_changes(id, root, levels, out);
                self.book_result(id, result, out)?;
            }
            "snapshot" => {
                let result = feed::on_snapshot(id, root, levels, out);
                self.book_result(id, result, out)?;
                self.snapshot_taken(id);
            }
            "last_match" => out.event(&Event::Trade(feed::trade(id, root)?)),
            "ticker" => feed::on_ticker(id, root, out)?,
            _ => full::on_event(id, kind, root, out)?,
        }
        Ok(())
    }

    fn book_result(
        &mut self,
        id: InstrumentId,
        result: Result<(), DecodeError>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        if result.is_err() {
            self.book_unreadable(id, out);
        }
        result
    }
}

/// A REST answer without its question, as recordings and people's notes hold them: orders and fills say themselves
/// what they are.
fn on_bare(registry: &Registry, root: Value<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    if root.is_empty() {
        return Err(DecodeError::Shape("neither a message nor an answer"));
    }
    let Some(items) = root.as_array() else {
        return on_bare_item(registry, root, out);
    };
    let mut result = Ok(());
    for item in items {
        let told = on_bare_item(registry, item, out);
        result = result.and(told);
    }
    result
}

fn on_bare_item(
    registry: &Registry,
    item: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let has = |keys: [&str; 3]| keys.into_iter().all(|key| item.get(key).is_some());
    if has(["product_id", "order_id", "liquidity"]) {
        out.event(&Event::Fill(account::listed_fill(registry, item)?));
    } else if has(["product_id", "side", "status"]) {
        let id = feed::instrument(registry, item)?;
        out.event(&Event::Order(account::order_object(id, item)?));
    } else {
        out.event(&Event::Ignored("a REST answer without its URL"));
    }
    Ok(())
}
