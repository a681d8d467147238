//! The venue's side of a FIX session: numbers, heartbeats, gaps and resends, logout.
//!
//! ```text
//!  Logon ─▶ up ⇄ application messages, Heartbeat, TestRequest ─▶ Logout ─▶ over
//!            │ a number too high: ResendRequest where the venue resends, else Logout
//!            │ a number too low, no possible duplicate: Logout
//! ```
//! Sans-IO: a message and a time in; what is to be sent is in [`Session::out`]. Numbers and what was sent are in a
//! [`Store`], which outlives the connection where the venue keeps it. Source: FIX 4.4 volume 2; FIXT 1.1.

use super::codec::{Field, Message};
use super::time;
use std::collections::BTreeMap;

/// Messages kept to be sent again, of each session; older ones are gap-filled.
const SENT_MAX: usize = 10_000;

/// SessionRejectReason (373).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// A field that must be there is not.
    Missing = 1,
    /// A value that cannot be.
    Value = 5,
    /// The names are others than at the logon.
    CompId = 9,
    /// SendingTime is too far from the venue's clock.
    SendingTime = 10,
    /// No such message here.
    Kind = 11,
}

/// The time, twice: as the simulator counts, and as the venue's clock says.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Nanoseconds.
    pub ns: u64,
    /// Unix milliseconds of the venue's clock.
    pub venue_ms: i64,
}

/// An application message that was sent.
#[derive(Debug, Clone)]
struct Sent {
    message: Message,
    venue_ms: i64,
}

/// A session's numbers, and what was sent under them.
#[derive(Debug, Clone)]
pub struct Store {
    /// The next number of the client.
    pub next_in: u64,
    /// The next one of ours.
    pub next_out: u64,
    sent: BTreeMap<u64, Sent>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            next_in: 1,
            next_out: 1,
            sent: BTreeMap::new(),
        }
    }
}

impl Store {
    /// Numbers an application message and keeps it, sent or not.
    pub fn keep(&mut self, now: Now, message: &Message) -> u64 {
        let seq = self.number();
        let sent = Sent {
            message: message.clone(),
            venue_ms: now.venue_ms,
        };
        self.sent.insert(seq, sent);
        if self.sent.len() > SENT_MAX {
            self.sent.pop_first();
        }
        seq
    }

    /// Forgets what was sent, and how far it went.
    pub fn lose_ours(&mut self) {
        self.next_out = 1;
        self.sent.clear();
    }

    fn number(&mut self) -> u64 {
        let seq = self.next_out;
        self.next_out += 1;
        seq
    }
}

/// What a session is held to.
#[derive(Debug, Clone)]
pub struct Rules {
    /// `FIX.4.4`, `FIXT.1.1`.
    pub begin: &'static str,
    /// The venue's name.
    pub ours: String,
    /// The client's.
    pub theirs: String,
    /// Whether what was sent is sent again on request.
    pub resends: bool,
    /// How far SendingTime may be off, milliseconds.
    pub skew_ms: i64,
    /// Interval of heartbeats, nanoseconds.
    pub heartbeat_ns: u64,
}

/// What a message came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The session has dealt with it.
    Done,
    /// An application message, in order.
    App(Message),
    /// The connection is to be closed; what [`Session::out`] holds still goes out.
    Over,
}

/// A session on a connection.
#[derive(Debug)]
pub struct Session {
    rules: Rules,
    last_in: u64,
    last_out: u64,
    /// A TestRequest is waiting for its answer since.
    tested: Option<u64>,
    /// Numbers up to this one were asked for again.
    gap: Option<u64>,
    /// Messages to send, in order.
    pub out: Vec<Vec<u8>>,
}

impl Session {
    /// A session that has not answered its logon yet.
    pub fn new(rules: Rules, now: Now) -> Self {
        Self {
            rules,
            last_in: now.ns,
            last_out: now.ns,
            tested: None,
            gap: None,
            out: Vec::new(),
        }
    }

    /// Answers a logon whose sender is known, with these fields. The store is as it was left, or fresh.
    pub fn log_on(
        &mut self,
        store: &mut Store,
        now: Now,
        logon: &Message,
        answer: &Message,
    ) -> Verdict {
        if let Some(over) = self.look(store, now, logon) {
            return over;
        }
        let seq = logon.number(34).unwrap_or(0);
        if seq < store.next_in {
            return self.too_low(store, now, seq);
        }
        if seq == store.next_in {
            store.next_in += 1;
        } else if !self.rules.resends {
            return self.too_high(store, now, seq);
        }
        self.admin(store, now, answer);
        if seq > store.next_in {
            self.ask_again(store, now, seq);
        }
        Verdict::Done
    }

    /// Takes a message after the logon.
    pub fn take(&mut self, store: &mut Store, now: Now, message: Message) -> Verdict {
        self.last_in = now.ns;
        self.tested = None;
        if let Some(over) = self.look(store, now, &message) {
            return over;
        }
        let seq = message.number(34).unwrap_or(0);
        let is_fill = message.is_set(123);
        if message.kind() == "4" && !is_fill {
            return self.on_reset(store, now, &message);
        }
        if seq < store.next_in {
            // What was taken already and is sent again says so.
            return if message.is_set(43) {
                Verdict::Done
            } else {
                self.too_low(store, now, seq)
            };
        }
        if seq > store.next_in {
            return match message.kind() {
                "5" => self.on_logout(store, now),
                _ if !self.rules.resends => self.too_high(store, now, seq),
                kind => {
                    if kind == "2" {
                        self.on_resend_request(store, now, &message);
                    }
                    self.ask_again(store, now, seq);
                    Verdict::Done
                }
            };
        }
        store.next_in = match message.number(36) {
            Some(next) if message.kind() == "4" => next.max(seq + 1),
            _ => seq + 1,
        };
        self.gap = self.gap.filter(|gap| *gap >= store.next_in);
        match message.kind() {
            "0" | "3" | "4" => Verdict::Done,
            "1" => {
                let mut beat = Message::new("0");
                beat.put_some(112, message.get(112));
                self.admin(store, now, &beat);
                Verdict::Done
            }
            "2" => {
                self.on_resend_request(store, now, &message);
                Verdict::Done
            }
            "5" => self.on_logout(store, now),
            "A" => self.log_out(store, now, "already logged on"),
            _ => Verdict::App(message),
        }
    }

    /// Heartbeats and their absence.
    pub fn step(&mut self, store: &mut Store, now: Now) -> Verdict {
        let beat = self.rules.heartbeat_ns;
        if now.ns >= self.last_out.saturating_add(beat) {
            self.admin(store, now, &Message::new("0"));
        }
        match self.tested {
            Some(at) if now.ns >= at.saturating_add(beat) => {
                return self.log_out(store, now, "no heartbeat");
            }
            // Some transmission time on top, as the standard has it.
            None if now.ns >= self.last_in.saturating_add(beat + beat / 5) => {
                self.tested = Some(now.ns);
                let mut test = Message::new("1");
                test.put(112, time::text(now.venue_ms));
                self.admin(store, now, &test);
            }
            _ => {}
        }
        Verdict::Done
    }

    /// Interval of heartbeats, nanoseconds.
    pub const fn heartbeat_ns(&self) -> u64 {
        self.rules.heartbeat_ns
    }

    /// When [`Session::step`] next has work.
    pub fn next_deadline(&self) -> u64 {
        let beat = self.rules.heartbeat_ns;
        let heard = match self.tested {
            Some(at) => at.saturating_add(beat),
            None => self.last_in.saturating_add(beat + beat / 5),
        };
        heard.min(self.last_out.saturating_add(beat))
    }

    /// Sends an application message under a number that [`Store::keep`] gave it.
    pub fn send(&mut self, now: Now, seq: u64, message: &Message) {
        self.write(now, seq, message, None);
    }

    /// Sends it again as a possible duplicate.
    pub fn send_again(&mut self, now: Now, seq: u64, message: &Message) {
        self.write(now, seq, message, Some(now.venue_ms));
    }

    /// Sends an administrative message, which is never sent again.
    pub fn admin(&mut self, store: &mut Store, now: Now, message: &Message) {
        let seq = store.number();
        self.write(now, seq, message, None);
    }

    /// Refuses a message for what it is (Reject, 3).
    pub fn reject(
        &mut self,
        store: &mut Store,
        now: Now,
        refused: &Message,
        (wrong, tag): (Wrong, Option<u32>),
        text: &str,
    ) {
        let mut reject = Message::new("3");
        reject.put(45, refused.number(34).unwrap_or(0));
        reject.put_some(371, tag);
        reject.put(372, refused.kind()).put(373, wrong as u32);
        reject.put(58, text);
        self.admin(store, now, &reject);
    }

    /// Says that the session is over, and why.
    pub fn log_out(&mut self, store: &mut Store, now: Now, text: &str) -> Verdict {
        let mut logout = Message::new("5");
        logout.put_some(58, Some(text).filter(|text| !text.is_empty()));
        self.admin(store, now, &logout);
        Verdict::Over
    }

    /// Says that the next number is another, without any gap to fill.
    pub fn reset_to(&mut self, store: &mut Store, now: Now, next: u64) {
        let mut reset = Message::new("4");
        reset.put(123, "N").put(36, next);
        self.admin(store, now, &reset);
        store.next_out = next.max(1);
    }

    /// Version, names, number and clock of any message.
    fn look(&mut self, store: &mut Store, now: Now, message: &Message) -> Option<Verdict> {
        if message.begin != self.rules.begin {
            let text = format!("BeginString is {}", self.rules.begin);
            return Some(self.log_out(store, now, &text));
        }
        if message.number(34).is_none_or(|seq| seq == 0) {
            return Some(self.log_out(store, now, "MsgSeqNum missing"));
        }
        let names = [(49, &self.rules.theirs), (56, &self.rules.ours)];
        let other = names
            .into_iter()
            .find(|(tag, name)| message.text(*tag) != *name);
        if let Some((tag, _)) = other {
            let text = "CompID problem";
            self.reject(store, now, message, (Wrong::CompId, Some(tag)), text);
            return Some(self.log_out(store, now, text));
        }
        let off = |sent: i64| (now.venue_ms - sent).saturating_abs() > self.rules.skew_ms;
        if time::parse(message.text(52)).is_none_or(off) {
            let text = "SendingTime accuracy problem";
            self.reject(store, now, message, (Wrong::SendingTime, Some(52)), text);
            return Some(self.log_out(store, now, text));
        }
        None
    }

    fn too_low(&mut self, store: &mut Store, now: Now, seq: u64) -> Verdict {
        let text = format!(
            "MsgSeqNum too low, expecting {} but received {seq}",
            store.next_in
        );
        self.log_out(store, now, &text)
    }

    fn too_high(&mut self, store: &mut Store, now: Now, seq: u64) -> Verdict {
        let text = format!(
            "MsgSeqNum too high, expecting {} but received {seq}",
            store.next_in
        );
        self.log_out(store, now, &text)
    }

    /// Asks for what is missing, once.
    fn ask_again(&mut self, store: &mut Store, now: Now, seq: u64) {
        if self.gap.replace(seq).is_none() {
            let mut ask = Message::new("2");
            ask.put(7, store.next_in).put(16, 0);
            self.admin(store, now, &ask);
        }
    }

    /// Another number from now on, by the client's word (mode reset).
    fn on_reset(&mut self, store: &mut Store, now: Now, message: &Message) -> Verdict {
        match message.number(36) {
            Some(next) if next >= store.next_in => {
                store.next_in = next;
                self.gap = None;
            }
            Some(_) => {
                let text = "NewSeqNo is too low";
                self.reject(store, now, message, (Wrong::Value, Some(36)), text);
            }
            None => {
                let text = "NewSeqNo missing";
                self.reject(store, now, message, (Wrong::Missing, Some(36)), text);
            }
        }
        Verdict::Done
    }

    fn on_logout(&mut self, store: &mut Store, now: Now) -> Verdict {
        // A number too high with it shows at the next logon.
        self.log_out(store, now, "")
    }

    /// Sends application messages again; what stood between them is filled.
    fn on_resend_request(&mut self, store: &mut Store, now: Now, message: &Message) {
        if !self.rules.resends {
            let text = "ResendRequest is not supported";
            return self.reject(store, now, message, (Wrong::Kind, None), text);
        }
        let (Some(from), Some(to)) = (message.number(7), message.number(16)) else {
            let text = "BeginSeqNo and EndSeqNo are required";
            return self.reject(store, now, message, (Wrong::Missing, None), text);
        };
        let last = store.next_out - 1;
        let to = if to == 0 { last } else { to.min(last) };
        if from == 0 || from > to {
            return;
        }
        let again: Vec<(u64, Sent)> = store
            .sent
            .range(from..=to)
            .map(|(seq, sent)| (*seq, sent.clone()))
            .collect();
        let mut next = from;
        for (seq, sent) in again {
            self.fill(now, next, seq);
            self.write(now, seq, &sent.message, Some(sent.venue_ms));
            next = seq + 1;
        }
        self.fill(now, next, to + 1);
    }

    /// One gap fill over `from..to`, under the first number of it.
    fn fill(&mut self, now: Now, from: u64, to: u64) {
        if from < to {
            let mut fill = Message::new("4");
            fill.put(123, "Y").put(36, to);
            self.write(now, from, &fill, Some(now.venue_ms));
        }
    }

    fn write(&mut self, now: Now, seq: u64, message: &Message, first_sent: Option<i64>) {
        self.last_out = now.ns;
        let mut header: Vec<Field> = vec![
            (34, seq.to_string()),
            (49, self.rules.ours.clone()),
            (56, self.rules.theirs.clone()),
            (52, time::text(now.venue_ms)),
        ];
        if let Some(first) = first_sent {
            header.push((43, "Y".to_owned()));
            header.push((122, time::text(first)));
        }
        self.out.push(message.encode(self.rules.begin, &header));
    }
}
