//! Single orders: a link of their own, opened with a token of its own, where they are asked for.
//!
//! ```text
//! open ─▶ token by REST ─(pairs known)─▶ subscribe level3 ─acks─▶ Subscribed
//! a book that lost its place: unsubscribe ─ack─▶ subscribe ─▶ its snapshot
//! ```
//! Subscriptions cost: what there is no room for now is subscribed when there is. A token that is refused is replaced
//! with the link. Nothing here stops orders.

use super::{
    ANSWER_WAIT_NS, BookState, PATIENCE, PING, READY_WAIT_NS, RETRY_NS, SECOND_NS, Session,
    TOKEN_MAX, Waits, WsLink, is_due, min_of, opened,
};
use crate::feed::text;
use crate::rest::{self, Ask, RECORDED};
use crate::{ID, LINK_L3, reject};
use dp_types::{InstrumentId, Now, Text, UnixNanos};
use dp_venue_api::{Control, Event, Fault, Registry, Sink};
use dp_wire::json::Value;

/// When there was no room for a subscription, until it is tried again.
const ROOM_WAIT_NS: u64 = SECOND_NS / 4;

/// The link of single orders.
#[derive(Debug, Default)]
pub(super) struct Level3 {
    pub(super) ws: WsLink,
    books: Vec<(InstrumentId, BookState)>,
    /// Of this opening.
    token: Text<TOKEN_MAX>,
    number: u32,
    /// When the token is asked for (again).
    pub(super) token_at: Option<UnixNanos>,
    /// When subscriptions that found no room are tried again.
    room_at: Option<UnixNanos>,
}

impl Level3 {
    pub(super) fn new(followed: impl Iterator<Item = InstrumentId>) -> Self {
        let book = BookState {
            is_followed: true,
            ..BookState::default()
        };
        Self {
            books: followed.map(|id| (id, book)).collect(),
            ..Self::default()
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.books.is_empty()
    }

    /// The number of the last token asked for.
    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    /// Whether a token of this number is waited for.
    pub(super) fn awaits(&self, number: u32) -> bool {
        number != RECORDED && number == self.number && self.token_at.is_some()
    }

    fn book(&mut self, id: InstrumentId) -> Option<&mut BookState> {
        let mut books = self.books.iter_mut();
        books.find(|(own, _)| *own == id).map(|(_, book)| book)
    }

    /// When something is to be done for a book.
    pub(super) fn due(&self) -> Option<UnixNanos> {
        if !self.ws.is_ready {
            // What has not come yet has the time of the link.
            return self.room_at.filter(|_| self.ws.is_open);
        }
        let wanted = self.books.iter().map(|(_, book)| book);
        let wanted = wanted.filter(|book| book.is_wanted && book.waits != Waits::Room);
        min_of([min_of(wanted.map(|book| Some(book.due()))), self.room_at])
    }

    /// A snapshot was pushed and could be read: the keeper asks again if it does not fit.
    pub(super) fn snapshot_taken(&mut self, id: InstrumentId) {
        if let Some(book) = self.book(id) {
            (book.is_wanted, book.waits) = (false, Waits::Nothing);
        }
    }
}

impl Session {
    pub(super) fn open_level3(&mut self, now: Now, out: &mut impl Sink) {
        self.level3.ws = opened(now);
        self.level3.token = Text::EMPTY;
        self.level3.number = self.next_token();
        self.level3.token_at = Some(now.unix);
        self.ask_level3_token(now, out);
    }

    /// The link is gone: its books are not to be trusted.
    pub(super) fn close_level3(&mut self, out: &mut impl Sink) {
        let level3 = &mut self.level3;
        level3.ws = WsLink::default();
        (level3.token_at, level3.room_at) = (None, None);
        for (id, book) in &mut level3.books {
            (book.is_wanted, book.waits) = (false, Waits::Nothing);
            out.event(&Event::Control(Control::L3Lost(*id)));
        }
    }

    pub(super) fn ask_level3_token(&mut self, now: Now, out: &mut impl Sink) {
        let Self {
            auth,
            nonce,
            limits,
            level3,
            ..
        } = self;
        let Some(auth) = auth.as_ref().filter(|_| self.is_rest_open) else {
            return; // the link's opening asks
        };
        let ask = Ask::Token(level3.number);
        if !limits.rest(now.unix, ask.cost()) {
            level3.token_at = Some(now.unix.after(RETRY_NS));
            return;
        }
        level3.token_at = Some(now.unix.after(ANSWER_WAIT_NS));
        rest::signed((auth, nonce), ask, "GetWebSocketsToken", "", now, out);
    }

    pub(super) fn on_level3_token(
        &mut self,
        registry: &Registry,
        token: Text<TOKEN_MAX>,
        now: Now,
        out: &mut impl Sink,
    ) {
        self.level3.token = token;
        self.level3.token_at = None;
        out.event(&Event::Ignored("a token for a link"));
        self.subscribe_level3(registry, now, out);
    }

    /// Subscribes what has rules, once they and the token are here.
    pub(super) fn subscribe_level3(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let level3 = &mut self.level3;
        let may =
            level3.ws.is_open && !level3.token.as_str().is_empty() && self.are_instruments_ready;
        if !may || level3.ws.is_ready || level3.ws.acks_missing > 0 {
            return;
        }
        let is_listed = |id: InstrumentId| registry.get(id).is_some_and(|it| it.tick.0 != 0);
        let mut count = 0;
        for (_, book) in level3.books.iter_mut().filter(|(id, _)| is_listed(*id)) {
            (book.is_wanted, book.waits, book.asked) = (true, Waits::Room, now.unix);
            count += 1;
        }
        level3.ws.acks_missing = count;
        level3.ws.ready_by = (count > 0).then(|| now.unix.after(READY_WAIT_NS));
        self.fill_room(registry, now, out);
    }

    /// The keeper has lost its place. While the link is away its opening brings whole books.
    pub(crate) fn request_l3(
        &mut self,
        registry: &Registry,
        id: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        if self.level3.ws.is_open
            && let Some(book) = self.level3.book(id)
        {
            book.is_wanted = true;
            self.ask_level3(registry, now, out);
        }
    }

    /// Ends the subscriptions of books that must begin anew, and begins those that have ended.
    pub(super) fn ask_level3(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.level3.ws.is_ready {
            return;
        }
        for at in 0..self.level3.books.len() {
            let Some((id, book)) = self.level3.books.get_mut(at) else {
                break;
            };
            let is_begun = book.waits == Waits::Room;
            if !book.is_wanted || is_begun || book.due() > now.unix {
                continue;
            }
            (book.waits, book.asked) = (Waits::Unsubscribed, now.unix);
            let id = *id;
            self.write_level3(registry, "unsubscribe", id);
            out.send_text(LINK_L3, &self.message);
        }
        self.fill_room(registry, now, out);
    }

    /// Begins subscriptions as far as there is room for what they cost.
    fn fill_room(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.level3.room_at = None;
        for at in 0..self.level3.books.len() {
            let books = self.level3.books.get_mut(at);
            let Some((id, book)) = books.filter(|(_, book)| book.waits == Waits::Room) else {
                continue;
            };
            if !self.limits.level3(now.unix) {
                self.level3.room_at = Some(now.unix.after(ROOM_WAIT_NS));
                return;
            }
            (book.waits, book.asked) = (Waits::Snapshot, now.unix);
            let id = *id;
            self.write_level3(registry, "subscribe", id);
            out.send_text(LINK_L3, &self.message);
        }
    }

    fn write_level3(&mut self, registry: &Registry, method: &str, id: InstrumentId) {
        let token = self.level3.token;
        let snapshot = match method {
            "subscribe" => r#","snapshot":true"#,
            _ => "",
        };
        let rest = format!(r#"{snapshot},"token":"{}""#, token.as_str());
        self.write_subscription(registry, (method, "level3", &rest), &[id]);
    }

    /// The answer to a subscription, or to the end of one.
    pub(super) fn on_level3_answer(
        &mut self,
        registry: &Registry,
        (method, error): (&str, Option<&str>),
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if error.is_some_and(reject::is_session_over) {
            self.level3.ws.is_ready = false;
            out.reconnect(LINK_L3, "the token is refused");
        } else if method == "unsubscribe" {
            let symbol = match root.get("result").map_or("", |it| text(it, "symbol")) {
                "" => text(root, "symbol"),
                symbol => symbol,
            };
            // Refused, there was no subscription to end: the next one may begin either way.
            let id = registry.find(ID, symbol.as_bytes());
            let book = id.and_then(|id| self.level3.book(id));
            if let Some(book) = book.filter(|book| book.waits == Waits::Unsubscribed) {
                book.waits = Waits::Room;
                self.fill_room(registry, now, out);
            }
            out.event(&Event::Ignored("unsubscribed"));
            return Ok(());
        } else {
            // A refused one too: the others must not wait for it.
            let ws = &mut self.level3.ws;
            let was_missing = ws.acks_missing;
            ws.acks_missing = was_missing.saturating_sub(1);
            if was_missing == 1 {
                (ws.is_ready, ws.ready_by) = (true, None);
                out.event(&Event::Control(Control::Subscribed(LINK_L3)));
            } else {
                out.event(&Event::Ignored("subscription confirmed"));
            }
        }
        match error {
            None => Ok(()),
            Some(words) => {
                let (code, reason) = reject::error(words);
                Err(Fault::Venue { code, reason })
            }
        }
    }

    /// Sends what fell due.
    pub(super) fn level3_due(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let link = (LINK_L3, PING);
        self.level3.ws.on_deadline(PATIENCE, link, now, out);
        if is_due(self.level3.due(), now) {
            self.ask_level3(registry, now, out);
            if !self.level3.ws.is_ready {
                self.fill_room(registry, now, out);
            }
        }
    }
}
