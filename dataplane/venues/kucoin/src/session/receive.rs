//! What arrives on a WebSocket link: pushes, confirmations, the login, answers.

use super::links::Login;
use super::{SECOND_NS, Session};
use crate::entry;
use crate::feed::{self, BookFeed, TICKER, TICKER_V2, Topic, at, text};
use crate::limits::Pool;
use crate::{LINK_MD, LINK_ORDERS, LINK_USER, account, reject, scan, unified};
use dp_types::{BookMsgKind, InstrumentId, LinkId, Now, RejectReason};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::json::Value;

impl Session {
    /// Signs a message if it may be the order link's challenge: its very bytes count, so before it is parsed.
    pub(crate) fn challenge(&self, link: LinkId, text: &[u8]) -> Option<crate::auth::Signature> {
        let is_awaited = link == LINK_ORDERS && self.orders.login() == Some(Login::Challenge);
        let auth = self.auth.as_ref().filter(|_| is_awaited)?;
        Some(auth.sign(&[text]))
    }

    /// Reads a push of the hot shape. Says whether it was one.
    #[inline]
    pub(crate) fn scan(&mut self, registry: &Registry, text: &[u8], out: &mut impl Sink) -> bool {
        let Some(change) = scan::change(registry, text, &mut self.levels) else {
            return false;
        };
        if self.is_its_book(change.instrument, BookFeed::Level2, out) {
            let kind = BookMsgKind::Delta;
            let (id, at) = (change.instrument, change.venue_ns);
            let message = self.levels.message(id, kind, change.ids, at);
            out.event(&Event::Book(message));
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
        signed: Option<crate::auth::Signature>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        // Market data first: it is nearly all there is.
        if let Some(topic) = root.get("topic") {
            let topic = topic.as_str().ok_or(DecodeError::Field("topic"))?;
            let data = root.field("data").map_err(at("data"))?;
            return Ok(self.on_push(registry, topic, root, data, out)?);
        }
        if let Some(channel) = root.get("T") {
            let channel = channel.as_str().ok_or(DecodeError::Field("T"))?;
            return Ok(unified::on_push(
                registry,
                channel,
                root,
                &mut self.levels,
                out,
            )?);
        }
        match entry::op(root)? {
            Some("pong") => {
                self.on_pong(link, out);
                return Ok(());
            }
            Some(_) => {
                let (heard, result) = entry::on_answer(registry, root, out);
                self.take_heard(&heard, now, out);
                return result;
            }
            None => {}
        }
        if let Some(kind) = root.get("type") {
            let kind = kind.as_str().ok_or(DecodeError::Field("type"))?;
            return self.on_event(registry, link, now, kind, root, out);
        }
        self.on_word(registry, link, now, root, signed, out)
    }

    fn on_push(
        &mut self,
        registry: &Registry,
        topic: &str,
        root: Value<'_>,
        data: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let (head, symbol) = topic.split_once(':').unwrap_or((topic, ""));
        match Topic::of(head) {
            Topic::Book(feed) => {
                let id = feed::find(registry, symbol)?;
                if self.is_its_book(id, feed, out) {
                    let message = feed::book(id, feed, data, &mut self.levels)?;
                    out.event(&Event::Book(message));
                }
                Ok(())
            }
            Topic::Trade => feed::on_trade(registry, data, out),
            Topic::Level1 => feed::on_level1(feed::find(registry, symbol)?, data, out),
            Topic::Ticker => {
                // The topic of all symbols names each in its subject.
                let symbol = match symbol {
                    "all" => text(root, "subject"),
                    symbol => symbol,
                };
                feed::on_ticker(feed::find(registry, symbol)?, (data, data), &TICKER, out)
            }
            Topic::TickerV2 => {
                feed::on_ticker(feed::find(registry, symbol)?, (data, data), &TICKER_V2, out)
            }
            Topic::Orders => self.account.on_order(registry, data, out),
            Topic::Balance => account::on_balance(registry, data, out),
            Topic::Wallet => account::on_wallet(registry, data, out),
            Topic::Position => match text(root, "subject") {
                "position.change" => {
                    let symbol = if symbol.is_empty() {
                        text(data, "symbol")
                    } else {
                        symbol
                    };
                    account::on_position(registry, symbol, data, out)
                }
                _ => {
                    out.event(&Event::Ignored("mark price and funding"));
                    Ok(())
                }
            },
            Topic::Other(why) => {
                out.event(&Event::Ignored(why));
                Ok(())
            }
        }
    }

    /// Whether this feed is the instrument's book: the first one seen is, the others are passed over.
    fn is_its_book(&mut self, id: InstrumentId, feed: BookFeed, out: &mut impl Sink) -> bool {
        let followed = self.books.get_mut(id.0 as usize);
        let is_other = followed
            .filter(|book| book.is_followed)
            .is_some_and(|book| *book.feed.get_or_insert(feed) != feed);
        if is_other {
            out.event(&Event::Ignored("a second book feed of this instrument"));
        }
        !is_other
    }

    fn on_pong(&mut self, link: LinkId, out: &mut impl Sink) {
        match link {
            LINK_MD => self.md.pong(),
            LINK_USER => self.user.pong(),
            LINK_ORDERS => self.orders.pong(),
            _ => {}
        }
        out.event(&Event::Control(Control::Heartbeat));
    }

    /// A message of the session itself on a classic link.
    fn on_event(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        kind: &str,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        match kind {
            "pong" => self.on_pong(link, out),
            "welcome" => {
                out.event(&Event::Ignored("welcome"));
                match link {
                    LINK_MD if self.md.welcomed(now) => self.subscribe(registry, now, out),
                    LINK_USER if self.user.welcomed(now) => self.subscribe_user(now, out),
                    _ => {}
                }
            }
            "ack" => self.on_confirmed(registry, link, now, out),
            "error" => return self.on_error(link, now, root, out),
            _ => out.event(&Event::Ignored("a message of a kind we do not know")),
        }
        Ok(())
    }

    fn on_confirmed(&mut self, registry: &Registry, link: LinkId, now: Now, out: &mut impl Sink) {
        match link {
            LINK_MD if self.md.confirmed() => {
                out.event(&Event::Control(Control::Subscribed(link)));
                self.ask_books(registry, now, out);
            }
            LINK_USER if self.user.confirmed() => {
                out.event(&Event::Control(Control::Subscribed(link)));
                self.tell_login(now, out);
            }
            _ => out.event(&Event::Ignored("subscription confirmed")),
        }
    }

    /// The order link or the user stream has become ready: with both, we are logged in.
    fn tell_login(&mut self, now: Now, out: &mut impl Sink) {
        if self.is_logged_in() {
            self.dead_man_at = Some(now.unix);
            out.event(&Event::Control(Control::LoggedIn(LINK_ORDERS)));
        }
    }

    /// The venue refuses something on a classic link. A subscription that was refused is never confirmed, and its
    /// link is replaced when that is due; a token that is refused, at once.
    fn on_error(
        &mut self,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let code = entry::code_of(root)?;
        let reason = reject::reason(code, text(root, "data"));
        if reason == RejectReason::Auth && matches!(link, LINK_MD | LINK_USER) {
            out.reconnect(link, "its token is refused");
        }
        if reject::is_rate_stop(reason) {
            self.stop(false, None, now, out);
        }
        Err(Fault::Venue { code, reason })
    }

    /// A message without topic, operation or type: the order link's login, a refusal, the unified feed's words.
    fn on_word(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        signed: Option<crate::auth::Signature>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if root.get("code").is_some() {
            return self.on_refusal(registry, link, now, root, out);
        }
        if root.get("sessionId").is_some() {
            let word = match text(root, "data") {
                "" => text(root, "message"),
                word => word,
            };
            if word == "welcome" {
                self.on_welcome(link, now, root, out);
            } else {
                self.on_challenge(signed, out);
            }
            return Ok(());
        }
        let result = root.get("result");
        match result.map(|told| (told.as_bool(), told.as_str())) {
            Some((Some(true), _) | (_, Some("true"))) => {
                out.event(&Event::Ignored("subscription confirmed"));
                Ok(())
            }
            Some(_) => Err(Fault::Venue {
                code: 0,
                reason: RejectReason::Invalid,
            }),
            None => Err(DecodeError::Shape("neither a push, an event nor an answer").into()),
        }
    }

    fn on_challenge(&mut self, signed: Option<crate::auth::Signature>, out: &mut impl Sink) {
        if let Some(signed) = signed {
            out.send_text(LINK_ORDERS, signed.as_str().as_bytes());
            self.orders.answered();
        }
        out.event(&Event::Ignored("the challenge of a login"));
    }

    fn on_welcome(&mut self, link: LinkId, now: Now, root: Value<'_>, out: &mut impl Sink) {
        out.event(&Event::Ignored("welcome"));
        if link != LINK_ORDERS || self.orders.login() != Some(Login::Welcome) {
            return;
        }
        let ms = |key| root.get(key).and_then(Value::as_u64);
        let intervals = ms("pingInterval").zip(ms("pingTimeout"));
        self.orders.welcomed(intervals, now);
        self.tell_login(now, out);
    }

    /// A code without an operation: the login is refused, or a request whose id the venue leaves out.
    fn on_refusal(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if root.get("data").is_some() {
            out.event(&Event::Ignored("a REST answer without its URL"));
            return Ok(());
        }
        let code = entry::code_of(root)?;
        let reason = reject::reason(code, text(root, "msg"));
        if link == LINK_ORDERS && self.orders.login().is_some() {
            out.event(&Event::Control(Control::LoginRefused(reason)));
            out.reconnect(LINK_ORDERS, "login refused");
            return Ok(());
        }
        let (heard, result) = entry::on_answer(registry, root, out);
        self.take_heard(&heard, now, out);
        result
    }

    /// What an answer told of the spot pool, and whether it was refused for rate.
    fn take_heard(&mut self, heard: &entry::Heard, now: Now, out: &mut impl Sink) {
        if let Some(usage) = heard.usage {
            self.limits.tell(now.unix, Pool::Spot, usage);
        }
        if let Some(is_cancel) = heard.refused {
            self.stop(is_cancel, heard.usage.map(|usage| usage.reset_ms), now, out);
        }
    }

    /// The venue refused for rate.
    pub(super) fn stop(
        &mut self,
        is_cancel: bool,
        named_ms: Option<u64>,
        now: Now,
        out: &mut impl Sink,
    ) {
        let until_ms = self.limits.stop(now.unix, is_cancel, named_ms).millis();
        out.event(&Event::Control(Control::RateLimited { until_ms }));
    }

    /// As [`Session::stop`], for an HTTP answer that names the end of the pool's window, or a time in seconds.
    pub(super) fn stop_http(
        &mut self,
        is_cancel: bool,
        (retry_after_s, reset_ms): (Option<u32>, Option<u32>),
        now: Now,
        out: &mut impl Sink,
    ) {
        let retry_ms = retry_after_s.map(|s| u64::from(s) * (SECOND_NS / 1_000_000));
        self.stop(is_cancel, reset_ms.map(u64::from).or(retry_ms), now, out);
    }
}
