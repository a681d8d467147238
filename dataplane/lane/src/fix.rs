//! The FIX session of a link, through all its connections: its numbers, and what it hands up.
//!
//! Numbers of a session that outlives its connections stand on a page that outlives the process
//! ([`dp_shm::NumbersPage`]): kept before what was written is sent, and after what came was heard. A message that is
//! missing is asked for where the venue sends again; elsewhere its loss ends the link, and orders are compared.

use crate::link::{LinkEvent, LinkFault};
use dp_proto::fix::{FixConfig, FixEvent, FixSession, Numbers, Resend, Role};
use dp_shm::NumbersPage;
use dp_types::UnixNanos;
use dp_venue_api::FixSpec;

const SECOND_NS: u64 = 1_000_000_000;
const DAY_S: u64 = 86_400;

/// A session and where its numbers are kept.
#[derive(Debug)]
pub struct FixLink {
    session: FixSession,
    resends: bool,
    rollover_s: Option<u32>,
    page: Option<NumbersPage>,
    /// The venue's day the numbers were begun in.
    day: u64,
    /// Our goodbye is out.
    is_leaving: bool,
}

impl FixLink {
    /// A session as the venue wants it. `page`: where its numbers are kept; without one they are as old as the process.
    pub fn new(spec: FixSpec, page: Option<NumbersPage>) -> Self {
        let config = FixConfig {
            role: Role::Initiator,
            version: spec.version,
            appl_version: spec.appl_version,
            sender: spec.sender,
            target: spec.target,
            heartbeat_s: spec.heartbeat_s,
            resets: spec.resets,
            clock_skew_s: spec.clock_skew_s,
            // An order that was lost is asked about, never sent again.
            resend: Resend::GapFill,
            logon_fields: Some(spec.logon),
        };
        let kept = page.as_ref().and_then(NumbersPage::get);
        let numbers = kept.map_or_else(Numbers::default, |kept| Numbers {
            next_in: kept.next_in,
            next_out: kept.next_out,
        });
        Self {
            session: FixSession::new(config, numbers),
            resends: spec.resends,
            rollover_s: spec.rollover_s,
            page,
            day: kept.map_or(0, |kept| kept.day),
            is_leaving: false,
        }
    }

    /// Which of the venue's days it is; always the same where numbers know no days.
    fn day_at(&self, now: UnixNanos) -> u64 {
        let Some(rollover_s) = self.rollover_s else {
            return 0;
        };
        (now.0 / SECOND_NS).saturating_sub(rollover_s.into()) / DAY_S
    }

    /// TLS is open: logs on.
    pub(crate) fn start(&mut self, now: UnixNanos, out: &mut Vec<u8>) {
        let today = self.day_at(now);
        if self.day != today {
            self.session.set_numbers(Numbers::default());
            self.day = today;
        }
        self.session.start(now, out);
    }

    /// Takes bytes and hands up what is in them. Says whether both have logged on.
    ///
    /// Errors: the session is over; `out` may hold a logout.
    pub(crate) fn hear(
        &mut self,
        bytes: &[u8],
        now: UnixNanos,
        out: &mut Vec<u8>,
        on: &mut impl FnMut(LinkEvent<'_>),
    ) -> Result<bool, LinkFault> {
        self.session.feed(bytes)?;
        while let Some(event) = self.session.next(now, out)? {
            match event {
                FixEvent::LoggedOn => on(LinkEvent::Up),
                FixEvent::App(message) | FixEvent::Rejected(message) => {
                    on(LinkEvent::Fix(&message));
                }
                // The next number tells that one is missing.
                FixEvent::Garbled(why) => tracing::warn!(%why, "FIX bytes passed over"),
                FixEvent::Gap(from) if self.resends => {
                    tracing::warn!(from, "FIX messages are missing and asked for");
                }
                FixEvent::Gap(_) => return Err(LinkFault::Wish("a FIX message is missing")),
                FixEvent::LoggedOut => return Err(LinkFault::Closed(0)),
            }
        }
        self.keep();
        Ok(self.session.is_logged_on())
    }

    /// Writes an application message. Errors: it does not fit one; nothing was written.
    pub(crate) fn send(
        &mut self,
        kind: &str,
        fields: &[u8],
        now: UnixNanos,
        out: &mut Vec<u8>,
    ) -> Result<(), LinkFault> {
        if !self.session.is_logged_on() {
            return Ok(());
        }
        let sent = self.session.send(kind.as_bytes(), now, out, |writer| {
            writer.raw(fields);
        });
        sent.map(|_| ())
            .ok_or(LinkFault::Wish("a FIX message is too long"))
    }

    /// Heartbeats, and what is late. Errors: the session is over.
    pub(crate) fn on_deadline(
        &mut self,
        now: UnixNanos,
        out: &mut Vec<u8>,
    ) -> Result<(), LinkFault> {
        Ok(self.session.on_deadline(now, out)?)
    }

    /// Says goodbye.
    pub(crate) fn log_out(&mut self, now: UnixNanos, out: &mut Vec<u8>) {
        self.session.log_out("", now, out);
        self.is_leaving = true;
    }

    /// Whether the answer to our goodbye is waited for.
    pub(crate) const fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// The connection is gone.
    pub(crate) const fn on_closed(&mut self) {
        self.session.on_closed();
        self.is_leaving = false;
    }

    /// Keeps the numbers: before what was written leaves.
    pub(crate) fn keep(&self) {
        if let Some(page) = &self.page {
            let Numbers { next_in, next_out } = self.session.numbers();
            page.set(dp_shm::Numbers {
                next_in,
                next_out,
                day: self.day,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_wire::fix::{Frame, frame};
    use std::path::Path;

    const NOON: UnixNanos = UnixNanos(1_700_000_000 * SECOND_NS);

    fn spec(resets: bool, resends: bool) -> FixSpec {
        FixSpec {
            version: "FIX.4.4".into(),
            appl_version: None,
            sender: "US".into(),
            target: "VENUE".into(),
            heartbeat_s: 30,
            resets,
            rollover_s: None,
            resends,
            clock_skew_s: 120,
            logon: Box::new(|_, _| ()),
        }
    }

    /// A link over its page.
    fn link(path: &Path) -> FixLink {
        let page = NumbersPage::open(path, "US VENUE").unwrap();
        FixLink::new(spec(false, true), Some(page))
    }

    fn venue(numbers: Numbers) -> FixSession {
        let config = FixConfig {
            role: Role::Acceptor,
            version: "FIX.4.4".into(),
            appl_version: None,
            sender: "VENUE".into(),
            target: "US".into(),
            heartbeat_s: 30,
            resets: false,
            clock_skew_s: 120,
            resend: Resend::Replay,
            logon_fields: None,
        };
        let mut session = FixSession::new(config, numbers);
        session.start(NOON, &mut Vec::new());
        session
    }

    /// What the link hands up of these bytes, as types of messages; `U` for up.
    fn hear(link: &mut FixLink, bytes: &[u8], out: &mut Vec<u8>) -> Result<String, LinkFault> {
        let mut told = String::new();
        link.hear(bytes, NOON, out, &mut |event| match event {
            LinkEvent::Up => told.push('U'),
            LinkEvent::Fix(message) => told.push_str(core::str::from_utf8(message.kind()).unwrap()),
            other => panic!("{other:?}"),
        })?;
        Ok(told)
    }

    /// Feeds the venue; what it says back.
    fn answer(venue: &mut FixSession, bytes: &[u8]) -> (Vec<u8>, usize) {
        let (mut out, mut orders) = (Vec::new(), 0);
        venue.feed(bytes).unwrap();
        while let Some(event) = venue.next(NOON, &mut out).unwrap() {
            if let FixEvent::App(_) = event {
                orders += 1;
            }
        }
        (out, orders)
    }

    fn log_on(link: &mut FixLink, venue: &mut FixSession) -> String {
        let mut out = Vec::new();
        link.start(NOON, &mut out);
        link.keep();
        let (back, _) = answer(venue, &out);
        out.clear();
        let told = hear(link, &back, &mut out).unwrap();
        let (back, _) = answer(venue, &out);
        out.clear();
        told + &hear(link, &back, &mut out).unwrap()
    }

    fn report(venue: &mut FixSession) -> Vec<u8> {
        let mut out = Vec::new();
        let sent = venue.send(b"8", NOON, &mut out, |writer| {
            writer.text(58, "filled");
        });
        assert!(sent.is_some());
        out
    }

    /// The process is killed again and again, with a report on its way each time: nothing is closed or written back,
    /// and the next one goes on where this one was, in both directions. No order is sent a second time.
    #[test]
    fn killed_it_goes_on_from_its_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page");
        let mut numbers = Numbers::default();
        let mut orders = 0;
        for _ in 0..5 {
            let mut venue_session = venue(numbers);
            let mut link = link(&path);
            let told = log_on(&mut link, &mut venue_session);
            assert!(told.starts_with('U'), "{told}");
            let mut out = Vec::new();
            link.send("D", b"11=x\x01", NOON, &mut out).unwrap();
            link.keep();
            let (_, taken) = answer(&mut venue_session, &out);
            orders += taken;
            let heard = hear(&mut link, &report(&mut venue_session), &mut out).unwrap();
            assert_eq!(heard, "8");
            // This one is lost: the venue has said it, and we are dead.
            report(&mut venue_session);
            numbers = venue_session.numbers();
            core::mem::forget(link);
            let kept = NumbersPage::open(&path, "US VENUE").unwrap().get().unwrap();
            assert_eq!(kept.next_out, numbers.next_in, "what we sent is counted");
            assert_eq!(kept.next_in + 1, numbers.next_out, "one is missing");
        }
        assert_eq!(orders, 5);
    }

    #[test]
    fn a_missed_report_comes_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page");
        let mut venue = venue(Numbers::default());
        let mut first = link(&path);
        assert_eq!(log_on(&mut first, &mut venue), "U");
        report(&mut venue);
        drop(first);
        venue.start(NOON, &mut Vec::new());
        let mut second = link(&path);
        assert_eq!(log_on(&mut second, &mut venue), "U8", "the lost one, once");
    }

    #[test]
    fn where_nothing_is_sent_again_a_missing_message_ends_the_link() {
        let mut venue = venue(Numbers::default());
        let mut link = FixLink::new(spec(true, false), None);
        assert_eq!(log_on(&mut link, &mut venue), "U");
        report(&mut venue);
        let fault = hear(&mut link, &report(&mut venue), &mut Vec::new());
        assert_eq!(fault, Err(LinkFault::Wish("a FIX message is missing")));
    }

    #[test]
    fn numbers_begin_anew_with_the_venues_day() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page");
        let day = 86_400 * SECOND_NS;
        let evening = UnixNanos(20_000 * day + 22 * 3_600 * SECOND_NS);
        let first_number = |now: u64| {
            let page = NumbersPage::open(&path, "US VENUE").unwrap();
            let mut spec = spec(false, true);
            spec.rollover_s = Some(22 * 3_600);
            let mut link = FixLink::new(spec, Some(page));
            let mut out = Vec::new();
            link.start(UnixNanos(now), &mut out);
            link.keep();
            match frame(&out) {
                Frame::Message(message, _) => message.u64(34).unwrap(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(first_number(evening.0 - 2 * SECOND_NS), 1);
        assert_eq!(first_number(evening.0 - SECOND_NS), 2, "they are kept");
        assert_eq!(first_number(evening.0), 1, "a new day");
        assert_eq!(first_number(evening.0 + day - 1), 2);
    }

    #[test]
    fn nothing_is_said_before_the_logon_and_goodbye_at_the_end() {
        let mut venue = venue(Numbers::default());
        let mut link = FixLink::new(spec(true, false), None);
        let mut out = Vec::new();
        link.send("D", b"11=x\x01", NOON, &mut out).unwrap();
        assert!(out.is_empty());
        log_on(&mut link, &mut venue);
        link.on_closed();
        link.send("D", b"11=x\x01", NOON, &mut out).unwrap();
        link.on_deadline(NOON.after(3_600 * SECOND_NS), &mut out)
            .unwrap();
        assert!(out.is_empty(), "nor between two connections");
        venue.start(NOON, &mut Vec::new());
        log_on(&mut link, &mut venue);
        link.log_out(NOON, &mut out);
        assert!(link.is_leaving());
        let (back, orders) = answer(&mut venue, &out);
        assert_eq!(orders, 0);
        let fault = hear(&mut link, &back, &mut out);
        assert_eq!(fault, Err(LinkFault::Closed(0)));
    }
}
