//! What arrives on a WebSocket link: pushes, events, answers.

use super::Session;
use crate::entry::{self, code_of};
use crate::feed::{self, BookChannel};
use crate::scan::{self, Hot, Push};
use crate::symbols::push_base36;
use crate::{LINK_PRIVATE, LINK_PUBLIC, account, funding, reject};
use dp_types::limit::WS_MSG_MAX;
use dp_types::{BookMsg, BookMsgKind, InstrumentId, LinkId, Now, RejectReason};
use dp_venue_api::limits::Refused;
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::json::Value;

/// "Wrong URL or channel … doesn't exist."
const WRONG_CHANNEL: i32 = 60018;

impl Session {
    /// Reads a message of a hot shape by hand and tells its events. `false` when it is not of one; nothing was
    /// told or changed then.
    #[inline]
    pub(crate) fn scan(
        &mut self,
        registry: &Registry,
        now: Now,
        text: &[u8],
        out: &mut impl Sink,
    ) -> bool {
        let hot = scan::text(registry, text, &mut self.levels);
        let Some(hot) = hot.filter(|_| text.len() <= WS_MSG_MAX) else {
            return false;
        };
        let book = match hot {
            Hot::Market(Push::Book(book)) => book,
            Hot::Market(Push::Quote(quote)) => {
                out.event(&Event::Quote(quote));
                return true;
            }
            Hot::Market(Push::Trade(trade)) => {
                out.event(&Event::Trade(trade));
                return true;
            }
            Hot::Order(pushed) => {
                pushed.tell(out);
                return true;
            }
            Hot::Answer(answer) => {
                let stop = answer.tell(registry, out);
                self.stop(stop, None, now, out);
                return true;
            }
        };
        if !self.is_its_book(book.instrument, book.channel, out) {
            return true;
        }
        out.event(&Event::Book(BookMsg {
            instrument: book.instrument,
            kind: book.kind,
            first_id: book.seq_id,
            last_id: book.seq_id,
            prev_id: book.prev_id,
            checksum: book.checksum,
            bids: &self.levels.bids,
            asks: &self.levels.asks,
            venue_ns: book.venue_ns,
        }));
        if book.kind == BookMsgKind::Snapshot {
            self.snapshot_taken(book.instrument);
        }
        true
    }

    /// Whether this channel is the instrument's book: the first one seen is, the others are passed over.
    fn is_its_book(&mut self, id: InstrumentId, channel: BookChannel, out: &mut impl Sink) -> bool {
        let followed = self.books.get_mut(id.0 as usize);
        let is_other = followed
            .filter(|book| book.is_followed)
            .is_some_and(|book| *book.channel.get_or_insert(channel) != channel);
        if is_other {
            out.event(&Event::Ignored("a second book channel of this instrument"));
        }
        !is_other
    }

    /// A message of a channel.
    pub(crate) fn on_push(
        &mut self,
        registry: &Registry,
        now: Now,
        channel: &str,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let arg = root.get("arg").ok_or(DecodeError::Field("arg"))?;
        if let Some(book_channel) = BookChannel::of(channel) {
            let id = feed::instrument(registry, arg)?;
            if !self.is_its_book(id, book_channel, out) {
                return Ok(());
            }
            feed::on_book(id, book_channel, root, &mut self.levels, out)?;
            if feed::is_snapshot(root) {
                self.snapshot_taken(id);
            }
            return Ok(());
        }
        match channel {
            "bbo-tbt" => feed::on_quote(feed::instrument(registry, arg)?, root, out)?,
            "trades" | "trades-all" => feed::on_trades(registry, root, out)?,
            "orders" => account::on_orders(registry, root, out)?,
            "account" => account::on_balances(registry, root, out)?,
            "balance_and_position" if funding::is_paid(root)? => {
                self.bills.paid(now);
                out.event(&Event::Ignored(
                    "funding was paid: which, the venue is asked",
                ));
            }
            channel => out.event(&Event::Ignored(feed::ignored(channel))),
        }
        Ok(())
    }

    /// Anything else on a WebSocket link: events, answers, strays.
    pub(crate) fn on_reply(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if let Some(event) = root.get("event") {
            let event = event.as_str().ok_or(DecodeError::Field("event"))?;
            return self.on_event(registry, link, now, event, root, out);
        }
        if root.get("op").is_some() {
            let (stop, result) = entry::on_answer(registry, root, out);
            self.stop(stop, None, now, out);
            return Ok(result?);
        }
        if root.get("table").is_some() {
            out.event(&Event::Ignored("the retired v3 protocol"));
            return Ok(());
        }
        if root.get("code").is_some() && root.get("data").is_some() {
            out.event(&Event::Ignored("a REST answer without its URL"));
            return Ok(());
        }
        Err(DecodeError::Shape("neither a push, an event nor an answer").into())
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
            self.stop(Some(Refused::Other), retry_after_s, now, out);
        }
    }

    fn stop(
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

    pub(super) fn on_event(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        event: &str,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        match event {
            "subscribe" => self.on_subscribed(link, now, out),
            "unsubscribe" => out.event(&Event::Ignored("unsubscribed")),
            "login" => return self.on_login(registry, now, root, out),
            "notice" => {
                let code = code_of(root, "code")?;
                if code != 64008 {
                    out.event(&Event::Ignored("a notice"));
                    return Ok(());
                }
                out.event(&Event::Control(Control::ClosingSoon(link)));
                out.reconnect(link, "the venue closes this link for an upgrade");
            }
            "channel-conn-count" => out.event(&Event::Ignored("connection count")),
            "channel-conn-count-error" => {
                return Err(Fault::Venue {
                    code: 0,
                    reason: RejectReason::RateLimit,
                });
            }
            "error" => return self.on_error(registry, link, now, root, out),
            _ => out.event(&Event::Ignored("an event we do not know")),
        }
        Ok(())
    }

    pub(super) fn on_subscribed(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
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

    pub(super) fn on_login(
        &mut self,
        _registry: &Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let code = code_of(root, "code")?;
        if code != 0 {
            self.refuse_login(code, out);
            return Ok(());
        }
        self.private.acks_missing = if self.has_swaps { 3 } else { 2 };
        let number = self.next_number();
        self.message.clear();
        self.message.extend_from_slice(br#"{"id":"s"#);
        push_base36(number, &mut self.message);
        self.message.extend_from_slice(
            br#"","op":"subscribe","args":[{"channel":"orders","instType":"ANY"},{"channel":"account"}"#,
        );
        if self.has_swaps {
            self.message
                .extend_from_slice(br#",{"channel":"balance_and_position"}"#);
        }
        self.message.extend_from_slice(b"]}");
        if self.limits.link_ops(now.unix, true, 1) {
            out.send_text(LINK_PRIVATE, &self.message);
        }
        out.event(&Event::Ignored(
            "login accepted; LoggedIn follows the subscriptions",
        ));
        Ok(())
    }

    pub(super) fn refuse_login(&mut self, code: i32, out: &mut impl Sink) {
        self.private.is_ready = false;
        let reason = reject::reason(code);
        out.event(&Event::Control(Control::LoginRefused(reason)));
        out.reconnect(LINK_PRIVATE, "login refused");
    }

    pub(super) fn on_error(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let code = code_of(root, "code")?;
        if root.get("op").is_some() {
            let (stop, result) = entry::on_answer(registry, root, out);
            self.stop(stop, None, now, out);
            return Ok(result?);
        }
        self.stop_on(code, None, now, out);
        if code == WRONG_CHANNEL && link == LINK_PUBLIC && self.public.acks_missing > 0 {
            // The answer to one subscription: the others must not wait for it.
            self.on_subscribed(link, now, out);
        }
        let is_login = matches!(code, 60001 | 60004..=60009);
        if is_login && link == LINK_PRIVATE && !self.private.is_ready {
            self.refuse_login(code, out);
            return Ok(());
        }
        Err(Fault::Venue {
            code,
            reason: reject::reason(code),
        })
    }
}
