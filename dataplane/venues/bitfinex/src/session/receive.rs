//! What arrives on a WebSocket link: frames of channels, frames of channel 0, events.

use super::{CHANNELS_MAX, Channel, Market, Session};
use crate::LINK_PRIVATE;
use crate::account::{self, Life, Wallet};
use crate::entry::{self, notice_of};
use crate::feed::{self, ChannelKind, FLAG_SEQ, Stamp, What, ignored};
use crate::limits::Refused;
use crate::reject::{self, MAINTENANCE, MAINTENANCE_ENDED, RECONNECT};
use crate::scan;
use dp_types::{LinkId, Now, RejectReason};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::json::{Items, Value};

impl Session {
    /// Reads a message of the hot shape by hand and tells its events. `false` when it is not of it; nothing was told
    /// or changed then.
    #[inline]
    pub(crate) fn scan(
        &mut self,
        link: LinkId,
        now: Now,
        text: &[u8],
        out: &mut impl Sink,
    ) -> bool {
        let Some(market) = self.market(link) else {
            return false;
        };
        let own_link = market.link;
        let Some(row) = scan::row(text, market.flags) else {
            return false;
        };
        let held = market.channels.iter().find(|held| held.id == row.channel);
        let Some(ChannelKind::Book(id)) = held.map(|held| held.kind) else {
            return false;
        };
        self.heard(link, now);
        self.count(own_link, row.stamp, out);
        feed::on_level(id, row.side, row.level, row.stamp, &mut self.room, out);
        true
    }

    /// One message.
    ///
    /// Errors: [`Fault`]; where a link must be made anew for it, that is asked for.
    pub(crate) fn on_message(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Some(mut items) = root.as_array() else {
            if root.as_object().is_none() {
                return Err(DecodeError::Shape("neither a frame nor an event").into());
            }
            return self.on_event(registry, link, now, root, out);
        };
        let first = items.next().ok_or(DecodeError::Shape("an empty frame"))?;
        match first.as_u64() {
            Some(0) => self.on_account(registry, now, items, out),
            Some(channel) => self.on_frame(link, channel, items, out),
            None => match ChannelKind::of(registry, first) {
                Some(kind) => self.on_channel(kind, items, 0, out),
                None => {
                    out.event(&Event::Ignored(ignored::NO_FRAME));
                    Ok(())
                }
            },
        }
    }

    /// One frame of a channel. All frames of a connection are numbered in one row, whatever their channel: one
    /// that is left out may have been of any book.
    fn on_frame(
        &mut self,
        link: LinkId,
        channel: u64,
        items: Items<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Some(market) = self.market(link) else {
            return Ok(());
        };
        let (flags, link) = (market.flags, market.link);
        let held = market.channels.iter().find(|held| held.id == channel);
        let unknown = ChannelKind::Ignored(ignored::UNKNOWN_CHANNEL);
        let kind = held.map_or(unknown, |held| held.kind);
        if flags & FLAG_SEQ == 0 {
            return self.on_channel(kind, items, flags, out);
        }
        let (what, stamp) = feed::frame(items, flags)?;
        self.count(link, stamp, out);
        self.on_what(kind, what, stamp, out)
    }

    /// Takes note of a frame's number.
    fn count(&mut self, link: LinkId, stamp: Stamp, out: &mut impl Sink) {
        let at = self.markets.iter().position(|market| market.link == link);
        let at = at.unwrap_or(0);
        let Some(market) = self.markets.get_mut(at) else {
            return;
        };
        let last = market.seq.replace(stamp.seq);
        let expected = last.map_or(stamp.seq, |last| last.saturating_add(1));
        if expected != stamp.seq {
            self.tell_gaps(at, expected, stamp.seq, out);
            out.reconnect(link, "a number of the connection was left out");
        }
    }

    /// A frame without a number.
    fn on_channel(
        &mut self,
        kind: ChannelKind,
        items: Items<'_>,
        flags: u64,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if let ChannelKind::Ignored(why) = kind {
            out.event(&Event::Ignored(why));
            return Ok(());
        }
        let (what, stamp) = feed::frame(items, flags)?;
        self.on_what(kind, what, stamp, out)
    }

    fn on_what(
        &mut self,
        kind: ChannelKind,
        what: What<'_>,
        stamp: Stamp,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        match kind {
            ChannelKind::Book(id) => {
                feed::on_book(id, what, stamp, &mut self.room, out)?;
            }
            ChannelKind::Raw(id) => feed::on_raw(id, what, stamp, &mut self.room, out)?,
            ChannelKind::Trades(id) => {
                // An instrument that is not ours is one a tool shows: each of its trades is new.
                let mut nobody = None;
                let followed = self.followed.get_mut(id.0 as usize);
                let last = followed.map_or(&mut nobody, |one| &mut one.trade_last);
                feed::on_trades(id, what, last, &mut self.trades, out)?;
            }
            ChannelKind::Ignored(why) => out.event(&Event::Ignored(why)),
        }
        Ok(())
    }

    /// One frame of channel 0. What may follow the data (numbers, times) is not asked for and not looked at.
    fn on_account(
        &mut self,
        registry: &Registry,
        now: Now,
        mut items: Items<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let kind = items.next().and_then(Value::as_str);
        let kind = kind.ok_or(DecodeError::Field("kind"))?;
        let data = items.next();
        let row = || data.ok_or(DecodeError::Field("data"));
        match kind {
            "hb" => out.event(&Event::Control(Control::Heartbeat)),
            "n" => {
                let notice = notice_of(data)?;
                let (refused, result) = entry::on_notice(registry, &mut self.sent, notice, out);
                self.stop(refused, None, now, out);
                result?;
            }
            "os" => each(row()?, out, |row, out| {
                self.on_order(registry, row, Life::Open, out)
            })?,
            "on" | "ou" => self.on_order(registry, row()?, Life::Open, out)?,
            "oc" => self.on_order(registry, row()?, Life::Closed, out)?,
            "te" => out.event(&Event::Ignored(account::FEE_TO_COME)),
            "tu" => match account::fill(registry, row()?)? {
                Some(fill) => out.event(&Event::Fill(fill)),
                None => out.event(&Event::Ignored(account::FOREIGN_FILL)),
            },
            "ws" => each(row()?, out, |row, out| {
                self.on_wallet(registry, row, now, out)
            })?,
            "wu" => self.on_wallet(registry, row()?, now, out)?,
            "ps" => each(row()?, out, |row, out| {
                account::on_position(registry, row, false, out).map(|_| ())
            })?,
            "pn" | "pu" => drop(account::on_position(registry, row()?, false, out)?),
            "pc" => drop(account::on_position(registry, row()?, true, out)?),
            "bu" => out.event(&Event::Ignored("assets under management")),
            "miu" | "fiu" => out.event(&Event::Ignored("margin info")),
            kind if kind.starts_with('f') => out.event(&Event::Ignored(ignored::FUNDING)),
            _ => out.event(&Event::Ignored(ignored::UNKNOWN_KIND)),
        }
        Ok(())
    }

    pub(super) fn on_order(
        &mut self,
        registry: &Registry,
        row: Value<'_>,
        life: Life,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        if let Some(report) = account::on_order(registry, row, life, out)?
            && let Some(client_id) = report.client_id
        {
            self.sent.name(client_id, report.order_id);
        }
        Ok(())
    }

    fn on_wallet(
        &mut self,
        registry: &Registry,
        row: Value<'_>,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        if let Wallet::Unknown(asset) = account::on_wallet(registry, row, out)? {
            self.want_wallet(asset, now);
        }
        Ok(())
    }

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

    fn on_event(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        match root.get("event").and_then(Value::as_str) {
            Some("info") => self.on_info(link, root, out),
            Some("conf") => return self.on_conf(link, root, out),
            Some("subscribed") => return self.on_subscribed(registry, link, root, out),
            Some("unsubscribed") => {
                let channel = root.get("chanId").and_then(Value::as_u64);
                let channel = channel.ok_or(DecodeError::Field("chanId"))?;
                self.on_unsubscribed(registry, link, channel, out);
                out.event(&Event::Ignored("unsubscribed"));
            }
            Some("auth") => self.on_auth(link, root, out)?,
            Some("pong") => out.event(&Event::Control(Control::Heartbeat)),
            Some("error") => return self.on_error(link, now, root, out),
            Some(_) => out.event(&Event::Ignored("an event we do not know")),
            None => out.event(&Event::Ignored(ignored::NO_FRAME)),
        }
        Ok(())
    }

    fn on_info(&mut self, link: LinkId, root: Value<'_>, out: &mut impl Sink) {
        let status = root.get("platform").and_then(|it| it.get("status"));
        let code = root.get("code").and_then(Value::as_i64);
        match (code, status.and_then(Value::as_i64)) {
            (Some(RECONNECT), _) => {
                out.event(&Event::Control(Control::ClosingSoon(link)));
                out.reconnect(link, "the venue asks us to reconnect");
            }
            (Some(MAINTENANCE), _) | (None, Some(0)) => {
                self.is_paused = true;
                let at = self.markets.iter().position(|market| market.link == link);
                if let Some(at) = at {
                    self.lose_books(at, out);
                    self.lose_orders(at, out);
                    if let Some(market) = self.markets.get_mut(at) {
                        // Nothing is confirmed before it has ended, and that is said on this link.
                        market.ws.ready_by = None;
                    }
                }
                out.event(&Event::Ignored(
                    "maintenance: nothing new is sent until it ends",
                ));
            }
            (Some(MAINTENANCE_ENDED), _) => {
                self.is_paused = false;
                if link == LINK_PRIVATE && self.private.is_ready {
                    // A new socket would cost all our orders. Said again, it makes us compare with the venue.
                    out.event(&Event::Control(Control::LoggedIn(link)));
                } else {
                    out.event(&Event::Ignored("maintenance ended"));
                    out.reconnect(link, "maintenance ended: all channels anew");
                }
            }
            (None, Some(_)) => {
                self.is_paused = false;
                out.event(&Event::Ignored("the venue operates"));
            }
            _ => out.event(&Event::Ignored("an info")),
        }
    }

    fn on_conf(&mut self, link: LinkId, root: Value<'_>, out: &mut impl Sink) -> Result<(), Fault> {
        let is_done = root.get("status").and_then(Value::as_str) == Some("OK");
        let flags = root.get("flags").and_then(Value::as_u64);
        let (true, Some(flags)) = (is_done, flags) else {
            out.reconnect(link, "flags refused");
            return Err(DecodeError::Field("flags").into());
        };
        if let Some(market) = self.market(link) {
            market.flags = flags;
        }
        out.event(&Event::Ignored("flags confirmed"));
        Ok(())
    }

    fn on_subscribed(
        &mut self,
        registry: &Registry,
        link: LinkId,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let id = root.get("chanId").and_then(Value::as_u64);
        let id = id.ok_or(DecodeError::Field("chanId"))?;
        let kind = ChannelKind::of(registry, root).ok_or(DecodeError::Field("channel"))?;
        let Some(market) = self.market(link) else {
            return Ok(());
        };
        market.channels.retain(|held| held.id != id);
        if market.channels.len() >= CHANNELS_MAX {
            return Err(DecodeError::TooMuch("channels").into());
        }
        let kind = self.first_book(kind, id);
        if let Some(market) = self.market(link) {
            market.channels.push(Channel { id, kind });
        }
        self.subscription_done(link, out);
        Ok(())
    }

    /// The first book channel of a kind is an instrument's book; another one has other levels.
    fn first_book(&mut self, kind: ChannelKind, channel: u64) -> ChannelKind {
        let Some((id, shows)) = kind.book() else {
            return kind;
        };
        let Some(book) = self.book(id, shows) else {
            return kind;
        };
        if *book.channel.get_or_insert(channel) != channel {
            return ChannelKind::Ignored(ignored::SECOND_BOOK);
        }
        book.renewed_by = None;
        kind
    }

    fn on_auth(&mut self, link: LinkId, root: Value<'_>, out: &mut impl Sink) -> Result<(), Fault> {
        let status = root.get("status").and_then(Value::as_str);
        let is_ok = match status.ok_or(DecodeError::Field("status"))? {
            "OK" => true,
            "FAILED" => false,
            _ => return Err(DecodeError::Field("status").into()),
        };
        if link != LINK_PRIVATE {
            out.event(&Event::Ignored("a login on a link of market data"));
            return Ok(());
        }
        self.private.ready_by = None;
        let orders = root.get("caps").and_then(|caps| caps.get("orders"));
        let may_write = orders.and_then(|orders| orders.get("write"));
        let refusal = if is_ok {
            // A key without the right to write orders stays logged in: it may read.
            let is_barred = may_write.and_then(Value::as_u64) == Some(0);
            is_barred.then_some(RejectReason::Permission)
        } else {
            Some(reason_of(root))
        };
        self.private.is_ready = refusal.is_none();
        match refusal {
            None => out.event(&Event::Control(Control::LoggedIn(link))),
            Some(reason) => {
                out.event(&Event::Control(Control::LoginRefused(reason)));
                if !is_ok {
                    out.reconnect(link, "login refused");
                }
            }
        }
        Ok(())
    }

    fn on_error(
        &mut self,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let code = code_of(root);
        let is_empty = root.get("code").is_none() && root.get("msg").is_none();
        if is_empty {
            out.event(&Event::Ignored("an error without words"));
            return Ok(());
        }
        let reason = reason_of(root);
        if reason == RejectReason::RateLimit && link == LINK_PRIVATE {
            self.stop(Some(Refused::Order), None, now, out);
        }
        if code == reject::FLAGS_FAILED && link != LINK_PRIVATE {
            out.reconnect(link, "flags refused");
        }
        let is_subscription = matches!(code, 10_300..=10_305) || root.get("channel").is_some();
        let is_awaited = |market: &mut Market| market.ws.acks_missing > 0;
        if is_subscription && link != LINK_PRIVATE && self.market(link).is_some_and(is_awaited) {
            // The answer to one subscription: the others must not wait for it.
            self.subscription_done(link, out);
        }
        Err(Fault::Venue { code, reason })
    }
}

fn code_of(root: Value<'_>) -> i32 {
    let code = root.get("code").and_then(Value::as_i64);
    code.and_then(|code| i32::try_from(code).ok()).unwrap_or(0)
}

fn reason_of(root: Value<'_>) -> RejectReason {
    let words = root.get("msg").and_then(Value::as_str).unwrap_or("");
    reject::reason(code_of(root), words)
}

/// Tells every row of a list, each by itself.
///
/// Errors: the first row that cannot be read; all the others are out.
pub(super) fn each<S: Sink>(
    list: Value<'_>,
    out: &mut S,
    mut tell: impl FnMut(Value<'_>, &mut S) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let rows = list.as_array().ok_or(DecodeError::Field("list"))?;
    let (mut result, mut count) = (Ok(()), 0);
    for row in rows {
        count += 1;
        result = result.and(tell(row, out));
    }
    if count == 0 {
        out.event(&Event::Ignored("an empty list"));
    }
    result
}
