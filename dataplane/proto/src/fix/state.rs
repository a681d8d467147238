//! The session's state: numbers, names and time. Messages in, messages out.

use super::gap::{Kept, Sent};
use super::refused::Heads;
use super::{FixConfig, FixEvent, FixFault, LogonFacts, Numbers, Out, Resend, Role};
use dp_types::UnixNanos;
use dp_wire::fix::Message;

const SECOND_NS: u64 = 1_000_000_000;
/// How long a logon may take.
const LOGON_NS: u64 = 10 * SECOND_NS;
/// How long the answer to a logout may take.
const LOGOUT_NS: u64 = 5 * SECOND_NS;
/// A gap that is not filled is asked for again after so long.
const RESEND_NS: u64 = 10 * SECOND_NS;
/// Longest heartbeat interval, seconds.
const HEARTBEAT_S_MAX: u64 = 3_600;
/// Messages one resend may write.
const REPLAY_MAX: usize = 4_096;

/// Types of messages (35).
const HEARTBEAT: &[u8] = b"0";
const TEST_REQUEST: &[u8] = b"1";
const RESEND_REQUEST: &[u8] = b"2";
const REJECT: &[u8] = b"3";
const SEQUENCE_RESET: &[u8] = b"4";
const LOGOUT: &[u8] = b"5";
const LOGON: &[u8] = b"A";

/// How far the session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No connection.
    Down,
    /// Our logon is out, or theirs is waited for.
    LoggingOn,
    /// Both are in.
    Up,
    /// Our logout is out.
    LoggingOut,
}

/// Messages of the peer that are missing.
#[derive(Debug, Clone, Copy)]
struct Missing {
    /// Up to this number at least.
    to: u64,
    asked: UnixNanos,
}

pub(super) struct State {
    config: FixConfig,
    phase: Phase,
    pub(super) numbers: Numbers,
    heartbeat_ns: u64,
    /// When this phase began.
    since: UnixNanos,
    heard: UnixNanos,
    spoke: UnixNanos,
    /// When a test request went out that nothing has answered yet.
    tested: Option<UnixNanos>,
    missing: Option<Missing>,
    sent: Sent,
    pub(super) heads: Heads,
    writer: Box<Out>,
}

impl core::fmt::Debug for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?} {:?} {:?}", self.config, self.phase, self.numbers)
    }
}

impl State {
    pub(super) fn new(config: FixConfig, numbers: Numbers) -> Self {
        Self {
            heartbeat_ns: heartbeat_ns(config.heartbeat_s.into()),
            config,
            phase: Phase::Down,
            numbers,
            since: UnixNanos(0),
            heard: UnixNanos(0),
            spoke: UnixNanos(0),
            tested: None,
            missing: None,
            sent: Sent::default(),
            heads: Heads::default(),
            writer: Box::default(),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    pub(super) const fn on_closed(&mut self) {
        self.phase = Phase::Down;
    }

    fn enter(&mut self, phase: Phase, now: UnixNanos) {
        self.phase = phase;
        self.since = now;
    }

    pub(super) fn start(&mut self, now: UnixNanos, out: &mut Vec<u8>) {
        self.enter(Phase::LoggingOn, now);
        (self.heard, self.spoke) = (now, now);
        (self.tested, self.missing) = (None, None);
        self.heads.clear();
        if self.config.role == Role::Initiator {
            if self.config.resets {
                self.reset();
            }
            self.write_logon(self.config.resets, now, out);
        }
    }

    fn reset(&mut self) {
        self.numbers = Numbers::default();
        self.missing = None;
        self.sent.clear();
        self.heads.clear();
    }

    // ---- out ------------------------------------------------------------------------------------

    /// Writes a message under this number; says whether it fitted.
    fn write(
        &mut self,
        (kind, seq): (&[u8], u64),
        original_ns: Option<u64>,
        now: UnixNanos,
        out: &mut Vec<u8>,
        fields: impl FnOnce(&mut Out),
    ) -> bool {
        let Self { config, writer, .. } = self;
        writer
            .begin(kind)
            .u64(34, seq)
            .text(49, &config.sender)
            .time(52, now.0)
            .text(56, &config.target);
        if let Some(original_ns) = original_ns {
            writer.flag(43, true).time(122, original_ns);
        }
        fields(writer);
        self.spoke = now;
        writer.finish(&config.version, out)
    }

    /// Writes a message of the session under the next number.
    fn say(
        &mut self,
        kind: &[u8],
        now: UnixNanos,
        out: &mut Vec<u8>,
        fields: impl FnOnce(&mut Out),
    ) {
        let seq = self.numbers.next_out;
        if self.write((kind, seq), None, now, out, fields) {
            self.numbers.next_out += 1;
        }
    }

    pub(super) fn send_app(
        &mut self,
        kind: &[u8],
        now: UnixNanos,
        out: &mut Vec<u8>,
        fields: impl FnOnce(&mut Out),
    ) -> Option<u64> {
        if !self.is_up() {
            return None;
        }
        let seq = self.numbers.next_out;
        let mut head = 0;
        let is_written = self.write((kind, seq), None, now, out, |writer| {
            head = writer.body().len();
            fields(writer);
        });
        if !is_written {
            return None;
        }
        self.numbers.next_out += 1;
        let fields = self.writer.body().get(head..).unwrap_or_default();
        self.heads.note(seq, kind, fields);
        if self.config.resend == Resend::Replay {
            self.sent.keep(Kept {
                seq,
                time_ns: now.0,
                kind: kind.to_vec(),
                fields: fields.to_vec(),
            });
        }
        Some(seq)
    }

    fn write_logon(&mut self, resets: bool, now: UnixNanos, out: &mut Vec<u8>) {
        let facts = LogonFacts {
            seq: self.numbers.next_out,
            time_ns: now.0,
        };
        let more = self.config.logon_fields.take();
        let appl_version = self.config.appl_version.take();
        let heartbeat_s = self.heartbeat_ns / SECOND_NS;
        self.say(LOGON, now, out, |writer| {
            writer.u64(98, 0).u64(108, heartbeat_s);
            if resets {
                writer.flag(141, true);
            }
            if let Some(version) = &appl_version {
                writer.text(1137, version);
            }
            if let Some(more) = &more {
                more(facts, writer);
            }
        });
        self.config.logon_fields = more;
        self.config.appl_version = appl_version;
    }

    pub(super) fn log_out(&mut self, text: &str, now: UnixNanos, out: &mut Vec<u8>) {
        if matches!(self.phase, Phase::Up | Phase::LoggingOn) {
            self.enter(Phase::LoggingOut, now);
            self.say_logout(text, now, out);
        }
    }

    fn say_logout(&mut self, text: &str, now: UnixNanos, out: &mut Vec<u8>) {
        self.say(LOGOUT, now, out, |writer| {
            if !text.is_empty() {
                writer.text(58, text);
            }
        });
    }

    /// The peer broke the agreement: say so and end.
    fn end(&mut self, fault: FixFault, now: UnixNanos, out: &mut Vec<u8>) -> FixFault {
        self.say_logout(&fault.to_string(), now, out);
        self.phase = Phase::Down;
        fault
    }

    /// One of their messages is refused, and the session goes on. `reason` is SessionRejectReason (373).
    fn reject(&mut self, seq: u64, reason: u64, text: &str, now: UnixNanos, out: &mut Vec<u8>) {
        self.say(REJECT, now, out, |writer| {
            writer.u64(45, seq).u64(373, reason).text(58, text);
        });
    }

    // ---- in -------------------------------------------------------------------------------------

    pub(super) fn on_message<'a>(
        &mut self,
        message: Message<'a>,
        now: UnixNanos,
        out: &mut Vec<u8>,
    ) -> Result<Option<FixEvent<'a>>, FixFault> {
        if self.phase == Phase::Down {
            return Ok(None);
        }
        self.heard = now;
        self.tested = None;
        if let Err(fault) = self.agree(message, now) {
            return Err(self.end(fault, now, out));
        }
        let Some(seq) = message.u64(34).filter(|seq| *seq > 0) else {
            return Err(self.end(FixFault::Disagreed("sequence number"), now, out));
        };
        let kind = message.kind();
        if self.phase == Phase::LoggingOn {
            return self.on_logon(message, seq, now, out);
        }
        if kind == SEQUENCE_RESET && !message.flag(123) {
            self.on_hard_reset(message, seq, now, out);
            return Ok(None);
        }
        let expected = self.numbers.next_in;
        if seq > expected {
            // A request of theirs is answered all the same: two that wait for each other would wait for ever.
            match kind {
                RESEND_REQUEST => self.resend(message, now, out),
                LOGOUT => return Ok(Some(self.on_logout(now, out))),
                _ => {}
            }
            return Ok(self.miss(seq, now, out).then_some(FixEvent::Gap(expected)));
        }
        if seq < expected {
            return self.on_low(message, seq, now, out).map(|()| None);
        }
        if kind == SEQUENCE_RESET {
            self.on_gap_fill(message, seq, now, out);
            return Ok(None);
        }
        self.count(seq + 1);
        Ok(self.on_counted(message, seq, now, out))
    }

    /// Version, names and clock.
    fn agree(&self, message: Message<'_>, now: UnixNanos) -> Result<(), FixFault> {
        let config = &self.config;
        let version = message.bytes.get(2..2 + config.version.len());
        let is_version = version == Some(config.version.as_bytes());
        is_version
            .then_some(())
            .ok_or(FixFault::Disagreed("version"))?;
        let is_named =
            message.text(49) == Some(&config.target) && message.text(56) == Some(&config.sender);
        is_named.then_some(()).ok_or(FixFault::Disagreed("name"))?;
        let skew = message.time_ns(52).map(|ns| ns.abs_diff(now.0));
        let skew_max = u64::from(config.clock_skew_s) * SECOND_NS;
        let is_timely = skew.is_some_and(|skew| skew_max == 0 || skew <= skew_max);
        is_timely
            .then_some(())
            .ok_or(FixFault::Disagreed("sending time"))
    }

    fn on_logon<'a>(
        &mut self,
        message: Message<'a>,
        seq: u64,
        now: UnixNanos,
        out: &mut Vec<u8>,
    ) -> Result<Option<FixEvent<'a>>, FixFault> {
        if message.kind() != LOGON {
            let text = message.text(58).unwrap_or("no logon came first");
            self.phase = Phase::Down;
            return Err(FixFault::Refused(text.to_owned()));
        }
        let resets = message.flag(141);
        let is_acceptor = self.config.role == Role::Acceptor;
        if resets && is_acceptor {
            self.reset();
        } else if resets && !self.config.resets {
            // Theirs begin anew; ours went out under the old numbers.
            self.numbers.next_in = 1;
        }
        if is_acceptor {
            let asked = message.u64(108).unwrap_or(0);
            self.heartbeat_ns = heartbeat_ns(asked);
        }
        let expected = self.numbers.next_in;
        if seq < expected {
            let fault = FixFault::TooLow { expected, got: seq };
            return Err(self.end(fault, now, out));
        }
        self.enter(Phase::Up, now);
        if is_acceptor {
            self.write_logon(resets, now, out);
        }
        if seq > expected {
            self.miss(seq, now, out);
        } else {
            self.count(seq + 1);
        }
        Ok(Some(FixEvent::LoggedOn))
    }

    /// The peer's next number is this one; what was missing may be here.
    fn count(&mut self, next: u64) {
        self.numbers.next_in = next;
        if self.missing.is_some_and(|missing| next > missing.to) {
            self.missing = None;
        }
    }

    /// Messages before `seq` are missing. Says whether they were asked for now.
    fn miss(&mut self, seq: u64, now: UnixNanos, out: &mut Vec<u8>) -> bool {
        if let Some(missing) = &mut self.missing {
            missing.to = missing.to.max(seq);
            return false;
        }
        self.missing = Some(Missing {
            to: seq,
            asked: now,
        });
        self.ask(now, out);
        true
    }

    fn ask(&mut self, now: UnixNanos, out: &mut Vec<u8>) {
        let from = self.numbers.next_in;
        // 0: all there are.
        self.say(RESEND_REQUEST, now, out, |writer| {
            writer.u64(7, from).u64(16, 0);
        });
    }

    /// Errors: it was not sent a second time, so two think of each other wrongly.
    fn on_low(
        &mut self,
        message: Message<'_>,
        seq: u64,
        now: UnixNanos,
        out: &mut Vec<u8>,
    ) -> Result<(), FixFault> {
        if message.flag(43) {
            return Ok(());
        }
        let expected = self.numbers.next_in;
        Err(self.end(FixFault::TooLow { expected, got: seq }, now, out))
    }

    fn on_hard_reset(&mut self, message: Message<'_>, seq: u64, now: UnixNanos, out: &mut Vec<u8>) {
        match message.u64(36) {
            Some(next) if next >= self.numbers.next_in => self.count(next),
            _ => self.reject(seq, 5, "a reset goes forward", now, out),
        }
    }

    fn on_gap_fill(&mut self, message: Message<'_>, seq: u64, now: UnixNanos, out: &mut Vec<u8>) {
        match message.u64(36) {
            Some(next) if next > seq => self.count(next),
            _ => {
                self.count(seq + 1);
                self.reject(seq, 5, "a gap fill goes forward", now, out);
            }
        }
    }

    /// A message whose turn it is.
    fn on_counted<'a>(
        &mut self,
        message: Message<'a>,
        seq: u64,
        now: UnixNanos,
        out: &mut Vec<u8>,
    ) -> Option<FixEvent<'a>> {
        match message.kind() {
            HEARTBEAT => {}
            TEST_REQUEST => {
                let id = message.get(112).unwrap_or_default();
                self.say(HEARTBEAT, now, out, |writer| {
                    writer.bytes(112, id);
                });
            }
            RESEND_REQUEST => self.resend(message, now, out),
            REJECT => return Some(FixEvent::Rejected(message)),
            LOGOUT => return Some(self.on_logout(now, out)),
            LOGON => self.reject(seq, 11, "already logged on", now, out),
            _ => return Some(FixEvent::App(message)),
        }
        None
    }

    fn on_logout(&mut self, now: UnixNanos, out: &mut Vec<u8>) -> FixEvent<'static> {
        if self.phase != Phase::LoggingOut {
            self.say_logout("", now, out);
        }
        self.phase = Phase::Down;
        FixEvent::LoggedOut
    }

    /// Sends again what is kept of the range, and fills the rest.
    fn resend(&mut self, message: Message<'_>, now: UnixNanos, out: &mut Vec<u8>) {
        let last = self.numbers.next_out - 1;
        let from = message.u64(7).unwrap_or(1).max(1);
        let to = match message.u64(16) {
            None | Some(0) => last,
            Some(to) => to.min(last),
        };
        let mut next = from;
        for _ in 0..REPLAY_MAX {
            let Some(kept) = self.sent.first(next, to) else {
                break;
            };
            let (seq, time_ns) = (kept.seq, kept.time_ns);
            let (kind, fields) = (kept.kind.clone(), kept.fields.clone());
            if seq > next {
                self.fill(next, seq, now, out);
            }
            self.write((&kind, seq), Some(time_ns), now, out, |writer| {
                writer.raw(&fields);
            });
            next = seq + 1;
        }
        if next <= to {
            self.fill(next, to + 1, now, out);
        }
    }

    /// Numbers from `from` on, up to before `next`, are nothing to wait for.
    fn fill(&mut self, from: u64, next: u64, now: UnixNanos, out: &mut Vec<u8>) {
        self.write((SEQUENCE_RESET, from), Some(now.0), now, out, |writer| {
            writer.flag(123, true).u64(36, next);
        });
    }

    // ---- time -----------------------------------------------------------------------------------

    /// When silence of the peer is to be tested: an interval and some for the way.
    fn test_at(&self) -> UnixNanos {
        let slack = (self.heartbeat_ns / 5).max(SECOND_NS);
        self.heard.after(self.heartbeat_ns + slack)
    }

    pub(super) fn next_deadline(&self) -> Option<UnixNanos> {
        match self.phase {
            Phase::Down => None,
            Phase::LoggingOn => Some(self.since.after(LOGON_NS)),
            Phase::LoggingOut => Some(self.since.after(LOGOUT_NS)),
            Phase::Up => {
                let mut next = match self.tested {
                    Some(at) => at.after(self.heartbeat_ns),
                    None => self.test_at(),
                };
                next = next.min(self.spoke.after(self.heartbeat_ns));
                if let Some(missing) = self.missing {
                    next = next.min(missing.asked.after(RESEND_NS));
                }
                Some(next)
            }
        }
    }

    pub(super) fn on_deadline(
        &mut self,
        now: UnixNanos,
        out: &mut Vec<u8>,
    ) -> Result<(), FixFault> {
        let late = match self.phase {
            Phase::LoggingOn if now >= self.since.after(LOGON_NS) => "logon",
            Phase::LoggingOut if now >= self.since.after(LOGOUT_NS) => "logout",
            Phase::Up => return self.keep_alive(now, out),
            _ => return Ok(()),
        };
        self.phase = Phase::Down;
        Err(FixFault::Late(late))
    }

    fn keep_alive(&mut self, now: UnixNanos, out: &mut Vec<u8>) -> Result<(), FixFault> {
        match self.tested {
            Some(at) if now >= at.after(self.heartbeat_ns) => {
                return Err(self.end(FixFault::Silent, now, out));
            }
            None if now >= self.test_at() => {
                self.tested = Some(now);
                let id = now.millis();
                self.say(TEST_REQUEST, now, out, |writer| {
                    writer.u64(112, id);
                });
            }
            _ => {}
        }
        if let Some(missing) = &mut self.missing
            && now >= missing.asked.after(RESEND_NS)
        {
            missing.asked = now;
            self.ask(now, out);
        }
        if now >= self.spoke.after(self.heartbeat_ns) {
            self.say(HEARTBEAT, now, out, |_| ());
        }
        Ok(())
    }
}

/// Nanoseconds of a heartbeat interval: at least a second.
fn heartbeat_ns(seconds: u64) -> u64 {
    seconds.clamp(1, HEARTBEAT_S_MAX) * SECOND_NS
}
