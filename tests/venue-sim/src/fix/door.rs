//! Connections, logons and what goes out: the door as a whole.
//!
//! What a venue sends goes through [`Door::send`] alone: numbered, kept, then written, unless a fault skips a number
//! or says it twice.

mod logon;

use super::codec::{Framer, Message};
use super::market::{self, Market};
use super::orders::Client;
use super::profile::{Agreed, OnCut, Profile, Why};
use super::report::Way;
use super::session::{Now, Session, Store, Verdict};
use crate::core::{ConnId, Core};
use crate::engine::{AccountId, Cause, Event};
use crate::fault::{Fault, Kind, Link};
use crate::venues::Face;
use crate::window::Window;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// A connection that has not logged on after so long is cut.
const LOGON_NS: u64 = 10_000_000_000;
const DAY_MS: i64 = 86_400_000;
const ROLLOVER: &str = "daily rollover";
const RESTART: &str = "the venue restarts";

/// A session's name: the client's, and the venue's it spoke to.
pub type Name = (String, String);

/// How the answer to an order request goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// At once.
    Now,
    /// Never.
    Lost,
    /// Not before this time, and nothing behind it either.
    At(u64),
}

/// A session that is up.
struct Up {
    name: Name,
    key: String,
    account: Option<AccountId>,
    session: Session,
    on_cut: OnCut,
    has_drop_copy: bool,
    soft: Window,
    hard: Window,
    /// Nothing goes out before.
    floor: u64,
    /// When the venue ends it, and what it says.
    close_at: Option<(u64, &'static str)>,
    /// Its numbers end with it.
    is_forgotten: bool,
    has_logged_out: bool,
}

impl Up {
    /// What is used of the session's messages (Binance's XLR). [U] the numbers of the fields.
    fn limits(&self, asked: &Message, now: u64) -> Message {
        let mut answer = Message::new("XLR");
        answer.put(6136, asked.text(6136)).put(25003, 1);
        answer.put(25004, 2).put(25005, self.hard.used(now));
        answer.put(25006, self.hard.limit());
        answer
    }
}

struct Conn {
    framer: Framer,
    opened: u64,
    up: Option<Up>,
}

/// The FIX side of a venue.
pub struct Door {
    pub(super) profile: &'static Profile,
    agreed: Option<Agreed>,
    conns: BTreeMap<ConnId, Conn>,
    stores: BTreeMap<Name, Store>,
    logons: BTreeMap<String, Window>,
    late: BTreeMap<(u64, u64), (Name, Message)>,
    late_count: u64,
    rollover_day: Option<i64>,
    /// Who may not come back before.
    blocked: BTreeMap<Name, u64>,
    /// Orders the venue holds back before the engine, with their release.
    pub(super) held: VecDeque<(u64, Client, Message)>,
    /// How orders are known here, by the engine's id.
    pub(super) ways: HashMap<u64, Way>,
    /// Client ids that amendments gave.
    pub(super) aliases: HashMap<(AccountId, String), u64>,
    pub(super) executions: u64,
    pub(super) answer: Answer,
    /// Whose request is being answered.
    pub(super) asker: Option<Name>,
    pub(super) market: Market,
}

fn now(core: &Core) -> Now {
    Now {
        ns: core.now,
        venue_ms: core.venue_ms(),
    }
}

impl Door {
    /// A door nobody has come through.
    pub fn new(profile: &'static Profile, agreed: Option<Agreed>) -> Self {
        Self {
            profile,
            agreed,
            conns: BTreeMap::new(),
            stores: BTreeMap::new(),
            logons: BTreeMap::new(),
            late: BTreeMap::new(),
            late_count: 0,
            rollover_day: None,
            blocked: BTreeMap::new(),
            held: VecDeque::new(),
            ways: HashMap::new(),
            aliases: HashMap::new(),
            executions: 0,
            answer: Answer::Now,
            asker: None,
            market: Market::default(),
        }
    }

    /// Whether a connection is one of ours.
    pub fn has(&self, conn: ConnId) -> bool {
        self.conns.contains_key(&conn)
    }

    /// A connection was opened.
    pub fn open(&mut self, face: &mut dyn Face, id: ConnId) {
        let core = face.core();
        core.watch();
        core.opened(id, Link::Fix);
        let conn = Conn {
            framer: Framer::default(),
            opened: core.now,
            up: None,
        };
        self.conns.insert(id, conn);
    }

    /// Bytes came.
    pub fn bytes(&mut self, face: &mut dyn Face, id: ConnId, bytes: &[u8]) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.framer.feed(bytes);
        }
        while let Some(message) = self.conns.get_mut(&id).and_then(|conn| conn.framer.next()) {
            let is_up = self.up(id).is_some();
            let verdict = if is_up {
                self.take(face, id, message)
            } else {
                self.log_on(face, id, &message)
            };
            self.flush(face.core(), id);
            match verdict {
                Verdict::Done => {}
                Verdict::App(message) => self.app(face, id, &message),
                Verdict::Over => self.drop_conn(face, id),
            }
        }
    }

    /// A connection is gone: what its logon asked for in this case is done.
    pub fn closed(&mut self, face: &mut dyn Face, id: ConnId) {
        // What the venue itself closed is no link any more.
        let is_ours = face.core().link(id).is_none();
        face.core().closed(id);
        let Some(up) = self.conns.remove(&id).and_then(|conn| conn.up) else {
            return;
        };
        self.market.forget(&up.name);
        let now = face.core().now;
        if self.profile.waits_after_cut && !is_ours && !up.has_logged_out {
            self.blocked.retain(|_, until| *until > now);
            let until = now + 2 * up.session.heartbeat_ns();
            self.blocked.insert(up.name.clone(), until);
        }
        if !self.profile.keeps || up.is_forgotten {
            self.stores.remove(&up.name);
            self.late.retain(|_, (name, _)| *name != up.name);
        }
        let Some(account) = up.account else { return };
        let is_meant = |order: &u64| match up.on_cut {
            OnCut::Keep => false,
            OnCut::Session => self.ways.get(order).is_some_and(|way| way.name == up.name),
            OnCut::Account => true,
        };
        let core = face.core();
        let open = core.engine.open_orders(account).map(|order| order.id);
        let meant: Vec<u64> = open.filter(is_meant).collect();
        for order in meant {
            let _ = core.engine.cancel(core.now, order, Cause::DeadMan);
        }
        self.absorb(face);
    }

    /// Reads what the engine did since the last look: reports and market data.
    pub fn read(&mut self, face: &mut dyn Face) {
        let tape = face.core().take_tape();
        for event in &tape {
            if let Event::Order(order, what) = event {
                self.report(face, order, *what);
            }
        }
        for (name, message) in self.market.read(face, &tape) {
            self.send(face.core(), &name, &message, true);
        }
    }

    /// Lets the face take in what was done to the engine, then tells of it here.
    pub(super) fn absorb(&mut self, face: &mut dyn Face) {
        let now = face.core().now;
        face.step(now);
        self.read(face);
    }

    /// Time went on.
    pub fn step(&mut self, face: &mut dyn Face) {
        self.read(face);
        for fault in face.core().take_fix_faults() {
            self.on_fault(face.core(), &fault);
        }
        let core = face.core();
        while let Some(entry) = self.late.first_entry() {
            if entry.key().0 > core.now {
                break;
            }
            let (name, message) = entry.remove();
            self.send(core, &name, &message, false);
        }
        self.roll_over(core);
        self.release(face);
        let ids: Vec<ConnId> = self.conns.keys().copied().collect();
        for id in ids {
            if self.step_conn(face.core(), id) == Verdict::Over {
                self.drop_conn(face, id);
            }
        }
    }

    /// When [`Door::step`] next has work.
    pub fn next_deadline(&self) -> u64 {
        let conns = self.conns.values().map(|conn| match &conn.up {
            Some(up) => {
                let close = up.close_at.map_or(u64::MAX, |(at, _)| at);
                up.session.next_deadline().min(close)
            }
            None => conn.opened + LOGON_NS,
        });
        let late = self.late.keys().next().map(|(at, _)| *at);
        let held = self.held.front().map(|(at, ..)| *at);
        [conns.min(), late, held]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(u64::MAX)
    }

    /// Figures for the admin endpoint.
    pub fn stats(&self) -> Value {
        let ups = self.conns.values().filter_map(|conn| conn.up.as_ref());
        let limits: Vec<Value> = ups
            .map(|up| up.hard.json(&format!("FIX messages of {}", up.name.0)))
            .collect();
        json!({"connections": self.conns.len(), "sessions": limits.len(), "limits": limits})
    }

    /// Sends an application message, now or when the session may again.
    pub(super) fn tell(&mut self, core: &mut Core, name: &Name, message: Message, is_answer: bool) {
        let floor = self.up_named(name).map_or(0, |up| up.floor);
        let at = match self.answer {
            Answer::Lost if is_answer => return,
            Answer::At(at) if is_answer => at.max(floor),
            _ => floor,
        };
        if at <= core.now {
            return self.send(core, name, &message, false);
        }
        if let Some(up) = self.up_named(name) {
            up.floor = at;
        }
        self.late_count += 1;
        self.late
            .insert((at, self.late_count), (name.clone(), message));
    }

    /// Numbers, keeps and writes an application message; `is_book` is market data, where the faults of books fit.
    fn send(&mut self, core: &mut Core, name: &Name, message: &Message, is_book: bool) {
        let is_up = self.up_named(name).is_some();
        let Some(store) = self
            .stores
            .get_mut(name)
            .filter(|_| is_up || self.profile.keeps)
        else {
            return;
        };
        let now = now(core);
        let seq = store.keep(now, message);
        let found = self.conns.iter_mut().find_map(|(id, conn)| {
            let up = conn.up.as_mut().filter(|up| up.name == *name)?;
            Some((*id, up))
        });
        let Some((id, up)) = found else { return };
        if core.faults.take_fix(Kind::Gap, is_book).is_some() {
            return;
        }
        up.session.send(now, seq, message);
        if core.faults.take_fix(Kind::Duplicate, is_book).is_some() {
            up.session.send_again(now, seq, message);
        }
        self.flush(core, id);
    }

    /// Refuses a message without a word about what it asks for (BusinessMessageReject).
    pub(super) fn refuse(
        &mut self,
        core: &mut Core,
        name: &Name,
        refused: &Message,
        (reason, code, text): (u32, i64, &str),
    ) {
        let words = &self.profile.words;
        if words.rejects_with_3 {
            let mut reject = Message::new("3");
            reject.put_some(45, refused.number(34));
            reject.put(372, refused.kind()).put(373, 99);
            let code = (code != 0).then_some(code);
            reject
                .put_some(words.code_tag.unwrap_or(0), code)
                .put(58, text);
            return self.tell(core, name, reject, true);
        }
        let mut reject = Message::new("j");
        reject.put_some(45, refused.number(34));
        reject.put(372, refused.kind());
        let of = [11, 262, 8014].into_iter().find_map(|tag| refused.get(tag));
        reject.put_some(379, of).put(380, reason).put(58, text);
        self.tell(core, name, reject, true);
    }

    /// Accounts' sessions that want to hear of every order.
    pub(super) fn drop_copies(&self, account: AccountId) -> Vec<Name> {
        let ups = self.conns.values().filter_map(|conn| conn.up.as_ref());
        ups.filter(|up| up.has_drop_copy && up.account == Some(account))
            .map(|up| up.name.clone())
            .collect()
    }

    fn up(&mut self, id: ConnId) -> Option<&mut Up> {
        self.conns.get_mut(&id)?.up.as_mut()
    }

    fn up_named(&mut self, name: &Name) -> Option<&mut Up> {
        let ups = self.conns.values_mut().filter_map(|conn| conn.up.as_mut());
        ups.into_iter().find(|up| up.name == *name)
    }

    /// A session that is up, with its store.
    fn both(&mut self, id: ConnId) -> Option<(&mut Up, &mut Store)> {
        let up = self.conns.get_mut(&id)?.up.as_mut()?;
        let store = self.stores.get_mut(&up.name)?;
        Some((up, store))
    }

    fn flush(&mut self, core: &mut Core, id: ConnId) {
        if let Some(up) = self.up(id) {
            for bytes in std::mem::take(&mut up.session.out) {
                core.send_bytes(id, bytes);
            }
        }
    }

    fn drop_conn(&mut self, face: &mut dyn Face, id: ConnId) {
        self.flush(face.core(), id);
        face.core().close(id, None);
        self.closed(face, id);
    }

    /// A message of a session: counted, then the session's.
    fn take(&mut self, face: &mut dyn Face, id: ConnId, message: Message) -> Verdict {
        let now = now(face.core());
        let Some((up, store)) = self.both(id) else {
            return Verdict::Over;
        };
        if !up.hard.take(now.ns, 1) {
            return up
                .session
                .log_out(store, now, "Message rate limit exceeded");
        }
        up.has_logged_out |= message.kind() == "5";
        let is_slow = !up.soft.take(now.ns, 1);
        match up.session.take(store, now, message) {
            Verdict::App(message) if is_slow => {
                let name = up.name.clone();
                let refusal = self.profile.words.refusal(Why::TooFast);
                let why = (0, refusal.code, refusal.text);
                self.refuse(face.core(), &name, &message, why);
                Verdict::Done
            }
            verdict => verdict,
        }
    }

    /// An application message, in order.
    fn app(&mut self, face: &mut dyn Face, id: ConnId, message: &Message) {
        let Some(up) = self.up(id) else { return };
        let (name, account) = (up.name.clone(), up.account);
        let kind = message.kind();
        if !self.profile.kinds.contains(&kind) {
            return self.refuse(
                face.core(),
                &name,
                message,
                (3, 0, "Unsupported message type"),
            );
        }
        let answers = match kind {
            "V" => {
                let books = self.profile.books;
                Some(self.market.request(face, (&name, books), message))
            }
            "x" => Some(vec![market::instruments(face, message)]),
            "XLQ" => self
                .up(id)
                .map(|up| vec![up.limits(message, now(face.core()).ns)]),
            _ => None,
        };
        if let Some(answers) = answers {
            for answer in answers {
                self.send(face.core(), &name, &answer, true);
            }
            return;
        }
        let Some(account) = account else {
            return self.refuse(face.core(), &name, message, (6, 0, "not authorized"));
        };
        self.order(face, &Client { name, account }, message);
    }

    fn step_conn(&mut self, core: &mut Core, id: ConnId) -> Verdict {
        let now = now(core);
        let Some(conn) = self.conns.get(&id) else {
            return Verdict::Done;
        };
        if conn.up.is_none() {
            let is_late = now.ns >= conn.opened + LOGON_NS;
            return if is_late {
                Verdict::Over
            } else {
                Verdict::Done
            };
        }
        let Some((up, store)) = self.both(id) else {
            return Verdict::Over;
        };
        let verdict = match up.close_at {
            Some((at, text)) if now.ns >= at => up.session.log_out(store, now, text),
            _ => up.session.step(store, now),
        };
        self.flush(core, id);
        verdict
    }

    /// Where the venue does that, ends all sessions once a day and begins their numbers anew.
    fn roll_over(&mut self, core: &Core) {
        let Some(at) = self.profile.rollover_ms else {
            return;
        };
        let day = (core.venue_ms() - at).div_euclid(DAY_MS);
        if self
            .rollover_day
            .replace(day)
            .is_none_or(|last| last >= day)
        {
            return;
        }
        let now = now(core);
        for conn in self.conns.values_mut() {
            if let Some(up) = &mut conn.up {
                up.close_at = Some((now.ns, ROLLOVER));
                up.is_forgotten = true;
            }
        }
        let offline = |name: &Name| {
            let ups = self.conns.values().filter_map(|conn| conn.up.as_ref());
            ups.into_iter().all(|up| up.name != *name)
        };
        let names: Vec<Name> = self
            .stores
            .keys()
            .filter(|name| offline(name))
            .cloned()
            .collect();
        for name in names {
            self.stores.remove(&name);
        }
    }

    fn on_fault(&mut self, core: &mut Core, fault: &Fault) {
        let now = now(core);
        let fitting = core.fitting(fault.link);
        for id in fitting {
            let Some((up, store)) = self.both(id) else {
                continue;
            };
            match (
                fault.kind,
                fault.code.and_then(|code| u64::try_from(code).ok()),
            ) {
                (Kind::SeqReset, Some(next)) => up.session.reset_to(store, now, next),
                // Without a word, as after a lost store.
                (Kind::SeqReset, None) => store.lose_ours(),
                (Kind::Restart, _) => up.close_at = Some((now.ns + fault.for_ns, RESTART)),
                _ => {}
            }
            self.flush(core, id);
        }
    }
}
