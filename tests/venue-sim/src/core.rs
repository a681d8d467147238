//! What both venues share: engine, other traders, faults, the record, and the box of outgoing things.
//!
//! Nothing here touches a socket or a clock. `now` is Unix time in nanoseconds as the caller says.
//!
//! ```text
//!  face ──send / publish / answer──▶ silence? fault? ──▶ out (now)
//!                                                └─────▶ later (a time) ──step──▶ out
//! ```

use crate::engine::{AccountId, Engine, Event};
use crate::fault::{Depth, Fault, Faults, Kind, Link};
use crate::flow::Flow;
use crate::keys::Credential;
use crate::record::{Payment, Record};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A connection, named by the edge.
pub type ConnId = u64;
/// The lines of a venue that sends by multicast: connections nobody opens. What goes to one goes to its group.
pub const LINES: [ConnId; 2] = [ConnId::MAX - 1, ConnId::MAX];
/// How much longer the second line's road is.
const LINE_LAG_NS: u64 = 200_000;
/// Makes a binary frame of a text.
pub type Pack = fn(&str) -> Vec<u8>;
/// An HTTP request waiting for its answer, named by the edge.
pub type RequestId = u64;

/// An HTTP request as the faces see it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query as sent, without the question mark.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body as sent.
    pub body: String,
}

impl Request {
    /// A header's value, by lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// An HTTP answer; the body is JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers beside the usual ones.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: String,
}

impl Response {
    /// An answer without extra headers.
    pub fn json(status: u16, body: impl ToString) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_string(),
        }
    }
}

/// What a WebSocket message holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

impl Payload {
    fn out(self, conn: ConnId) -> Out {
        match self {
            Self::Text(text) => Out::Text(conn, text),
            Self::Binary(bytes) => Out::Binary(conn, bytes),
        }
    }
}

/// What the edge is to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// Send a text frame.
    Text(ConnId, String),
    /// Send a binary frame.
    Binary(ConnId, Vec<u8>),
    /// Send a PING frame.
    Ping(ConnId),
    /// Close; without a code the socket is cut.
    Close(ConnId, Option<u16>),
    /// Answer a request.
    Reply(RequestId, Response),
    /// The next piece of an answer that goes on; the first one begins it.
    Chunk(RequestId, String),
    /// Cut the connection of a request that will never be answered, or whose answer ends in the middle.
    Hang(RequestId),
}

/// Where an order's answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyTo {
    /// A WebSocket.
    Ws(ConnId),
    /// An HTTP request.
    Http(RequestId),
}

/// The shared part of a simulated venue.
pub struct Core {
    /// The venue's name: `binance`, `okx`.
    pub name: &'static str,
    /// Where clients reach it, `host:port`, for venues that hand out addresses. Set by the edge.
    pub origin: String,
    /// Unix nanoseconds, as last told.
    pub now: u64,
    /// The matching engine.
    pub engine: Engine,
    /// Other traders, one flow per instrument.
    pub flows: Vec<Flow>,
    /// Faults planned and armed.
    pub faults: Faults,
    /// What happened, for the admin endpoint.
    pub record: Record,
    /// Who may log in.
    pub keys: Vec<Credential>,
    /// How far the venue's clock is off, milliseconds.
    pub skew_ms: i64,
    links: BTreeMap<ConnId, (Link, u64)>,
    silence: Vec<(Link, Option<ConnId>, u64)>,
    /// Connections that bring books, oldest first.
    books: BTreeSet<ConnId>,
    calm_until: u64,
    /// Events for a second door; none while nobody came through it.
    tape: Option<Vec<Event>>,
    fix_faults: Vec<Fault>,
    packed: HashMap<ConnId, Pack>,
    /// By stream, what is told later than what follows it, and to whom.
    held: HashMap<String, (Payload, Vec<ConnId>)>,
    out: Vec<Out>,
    later: BTreeMap<(u64, u64), Out>,
    later_seq: u64,
    private_floor: u64,
}

impl Core {
    /// A venue at time `now`, its book already filled.
    pub fn new(
        name: &'static str,
        now: u64,
        engine: Engine,
        flows: Vec<Flow>,
        keys: Vec<Credential>,
    ) -> Self {
        let mut core = Self {
            name,
            origin: String::from("localhost"),
            now,
            engine,
            flows,
            faults: Faults::default(),
            record: Record::default(),
            keys,
            skew_ms: 0,
            links: BTreeMap::new(),
            silence: Vec::new(),
            books: BTreeSet::new(),
            calm_until: 0,
            tape: None,
            fix_faults: Vec::new(),
            packed: HashMap::new(),
            held: HashMap::new(),
            out: Vec::new(),
            later: BTreeMap::new(),
            later_seq: 0,
            private_floor: 0,
        };
        for flow in &mut core.flows {
            flow.open(&mut core.engine, now);
        }
        core.engine.drain();
        core
    }

    /// Moves time: other traders act, delayed things become due. Returns the immediate faults due.
    pub fn advance(&mut self, now: u64) -> Vec<Fault> {
        self.now = self.now.max(now);
        for flow in &mut self.flows {
            if self.now < self.calm_until {
                flow.rest_until(self.calm_until);
            }
            flow.step(&mut self.engine, self.now);
        }
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            self.out.push(entry.remove());
        }
        self.silence.retain(|(.., until)| *until > self.now);
        let mut due = self.faults.due(self.now);
        due.retain(|fault| {
            let is_calm = fault.kind == Kind::Calm;
            if is_calm {
                let until = self.now.saturating_add(fault.for_ns);
                for flow in &mut self.flows {
                    flow.rest_instead(self.calm_until, until);
                }
                self.calm_until = until;
            }
            let is_jump = fault.kind == Kind::Jump;
            for flow in self.flows.iter_mut().filter(|_| is_jump) {
                flow.jump(&mut self.engine, self.now, fault.ppm);
            }
            let is_own = matches!(fault.kind, Kind::Withdraw | Kind::Pull | Kind::Liquidate);
            match fault.kind {
                Kind::Withdraw => self.engine.withdraw(fault.ppm),
                Kind::Pull => self.engine.pull(self.now),
                Kind::Liquidate => self.engine.liquidate(),
                _ => {}
            }
            let is_session = match fault.kind {
                Kind::Restart => true,
                Kind::SeqReset => fault.link == Link::Fix,
                _ => false,
            };
            if is_session && self.tape.is_some() {
                self.fix_faults.push(fault.clone());
            }
            !(is_calm || is_jump || is_own || is_session && fault.link == Link::Fix)
        });
        due
    }

    /// Funding is paid: what each account got, noted.
    pub fn fund(&mut self, ppm: i64) -> Vec<Payment> {
        let paid = self.engine.fund(ppm);
        self.record.funded(&paid, self.now)
    }

    /// When [`Core::advance`] next has work.
    pub fn next_deadline(&self) -> u64 {
        let flow = self.flows.iter().map(Flow::next_deadline).min();
        let later = self.later.keys().next().map(|(at, _)| *at);
        flow.unwrap_or(u64::MAX)
            .min(later.unwrap_or(u64::MAX))
            .min(self.faults.next_deadline())
    }

    /// Takes what is to be done.
    pub fn take_out(&mut self) -> Vec<Out> {
        let mut out = std::mem::take(&mut self.out);
        if !self.packed.is_empty() {
            for item in &mut out {
                if let Out::Text(conn, text) = item
                    && let Some(pack) = self.packed.get(conn)
                {
                    *item = Out::Binary(*conn, pack(text));
                }
            }
        }
        out
    }

    /// From now on texts to a connection leave as binary frames made by `pack` (gzip, say).
    pub fn pack(&mut self, conn: ConnId, pack: Pack) {
        self.packed.insert(conn, pack);
    }

    /// The venue's own idea of the time, milliseconds.
    pub fn venue_ms(&self) -> i64 {
        (self.now / 1_000_000) as i64 + self.skew_ms
    }

    /// A key by its public name.
    pub fn credential(&self, api_key: &str) -> Option<&Credential> {
        self.keys.iter().find(|key| key.api_key == api_key)
    }

    /// The name of an account's key.
    pub fn key_name(&self, account: AccountId) -> &str {
        self.keys
            .iter()
            .find(|key| key.account == account)
            .map_or("", |key| key.api_key.as_str())
    }

    /// Notes a connection.
    pub fn opened(&mut self, conn: ConnId, link: Link) {
        self.links.insert(conn, (link, self.now));
    }

    /// Forgets a connection.
    pub fn closed(&mut self, conn: ConnId) {
        self.links.remove(&conn);
        self.packed.remove(&conn);
        self.books.remove(&conn);
    }

    /// A connection's kind.
    pub fn link(&self, conn: ConnId) -> Option<Link> {
        self.links.get(&conn).map(|(link, _)| *link)
    }

    /// Connections a fault is meant for.
    pub fn fitting(&self, link: Link) -> Vec<ConnId> {
        self.links
            .iter()
            .filter(|(_, (kind, _))| link.fits(*kind))
            .map(|(conn, _)| *conn)
            .collect()
    }

    /// Connections a fault is meant for: of its kind, or the one it counts among those that bring books.
    pub fn struck(&self, fault: &Fault) -> Vec<ConnId> {
        match fault.conn {
            None => self.fitting(fault.link),
            Some(_) => self.counted(fault).into_iter().collect(),
        }
    }

    fn counted(&self, fault: &Fault) -> Option<ConnId> {
        let nth = fault.conn?.checked_sub(1)?;
        self.books.iter().nth(nth).copied()
    }

    /// Connections that bring books: those a fault's `conn=` counts.
    pub fn brings_books(&mut self, conns: &[ConnId]) {
        self.books.extend(conns);
    }

    /// Lines that are not silent.
    pub fn loud_lines(&self) -> Vec<ConnId> {
        let loud = LINES.into_iter().filter(|line| !self.is_silent(*line));
        loud.collect()
    }

    /// Nothing is sent on a line until a time; so long it brings no books.
    pub fn cut_line(&mut self, line: ConnId, until: u64) {
        self.books.remove(&line);
        self.silence.push((Link::Public, Some(line), until));
    }

    /// Whether nothing is sent to a connection now.
    pub fn is_silent(&self, conn: ConnId) -> bool {
        self.link(conn).is_some_and(|kind| {
            let mut all = self.silence.iter();
            all.any(|(link, only, _)| only.map_or(link.fits(kind), |only| only == conn))
        })
    }

    /// Sends nothing on connections of a kind, or on one of them, until a time.
    pub fn silence(&mut self, fault: &Fault, until: u64) {
        match fault.conn {
            None => self.silence.push((fault.link, None, until)),
            Some(_) => {
                let only = self.counted(fault);
                let only = only.map(|conn| (fault.link, Some(conn), until));
                self.silence.extend(only);
            }
        }
    }

    /// Sends a text.
    pub fn send(&mut self, conn: ConnId, text: impl Into<String>) {
        self.send_payload(conn, Payload::Text(text.into()));
    }

    fn send_payload(&mut self, conn: ConnId, payload: Payload) {
        if !self.is_silent(conn) {
            if let Some((_, sent)) = self.links.get_mut(&conn) {
                *sent = self.now;
            }
            let out = payload.out(conn);
            if conn == LINES[1] {
                self.at(self.now + LINE_LAG_NS, out);
            } else {
                self.out.push(out);
            }
        }
    }

    /// Sends bytes that are no frame.
    pub fn send_bytes(&mut self, conn: ConnId, bytes: Vec<u8>) {
        if !self.is_silent(conn) {
            self.out.push(Out::Binary(conn, bytes));
        }
    }

    /// When a connection was last sent something, or opened.
    pub fn last_sent(&self, conn: ConnId) -> u64 {
        self.links.get(&conn).map_or(0, |(_, sent)| *sent)
    }

    /// Sends a PING frame.
    pub fn ping(&mut self, conn: ConnId) {
        if !self.is_silent(conn) {
            self.out.push(Out::Ping(conn));
        }
    }

    /// Closes a connection and forgets it.
    pub fn close(&mut self, conn: ConnId, code: Option<u16>) {
        self.links.remove(&conn);
        self.books.remove(&conn);
        self.out.push(Out::Close(conn, code));
    }

    /// Answers a request now.
    pub fn reply(&mut self, request: RequestId, response: Response) {
        self.out.push(Out::Reply(request, response));
    }

    /// Sends a piece of an answer that goes on.
    pub fn chunk(&mut self, request: RequestId, text: String) {
        self.out.push(Out::Chunk(request, text));
    }

    /// Ends a request's connection in the middle.
    pub fn hang(&mut self, request: RequestId) {
        self.out.push(Out::Hang(request));
    }

    /// Does something at a later time.
    pub fn at(&mut self, at: u64, out: Out) {
        self.later_seq += 1;
        self.later.insert((at, self.later_seq), out);
    }

    /// Sends a private event, after those that a fault holds back.
    pub fn send_private(&mut self, conn: ConnId, text: String) {
        // At the floor itself those held back are still to be sent.
        if self.private_floor >= self.now {
            self.at(self.private_floor, Out::Text(conn, text));
        } else {
            self.send(conn, text);
        }
    }

    /// Sends a public message to its subscribers.
    pub fn publish(&mut self, conns: &[ConnId], message: impl Into<Payload>) {
        let message = self.with_extra_fields(message.into());
        for &conn in conns {
            self.send_payload(conn, message.clone());
        }
    }

    /// Sends a book message to its subscribers, unless a fault drops, doubles or reorders it. `key` names
    /// the stream.
    pub fn publish_depth(&mut self, key: &str, conns: &[ConnId], message: impl Into<Payload>) {
        self.publish_on(Depth::Levels, key, conns, message);
    }

    /// As [`Core::publish_depth`], of single orders or of levels.
    pub fn publish_on(
        &mut self,
        depth: Depth,
        key: &str,
        conns: &[ConnId],
        message: impl Into<Payload>,
    ) {
        if conns.is_empty() {
            return;
        }
        self.brings_books(conns);
        let lost = self.take_for(Kind::Gap, depth, conns);
        if lost == conns {
            return;
        }
        let message = self.with_extra_fields(message.into());
        if !self.held.contains_key(key) {
            let late = self.take_for(Kind::Reorder, depth, conns);
            if !late.is_empty() {
                let is_due = |conn: &&ConnId| !late.contains(conn) && !lost.contains(conn);
                for &conn in conns.iter().filter(is_due) {
                    self.send_payload(conn, message.clone());
                }
                self.held.insert(key.to_owned(), (message, late));
                return;
            }
        }
        let doubled = self.take_for(Kind::Duplicate, depth, conns);
        let held = self.held.remove(key);
        for &conn in conns {
            let times = if lost.contains(&conn) {
                0
            } else {
                1 + u32::from(doubled.contains(&conn))
            };
            for _ in 0..times {
                self.send_payload(conn, message.clone());
            }
            if let Some((held, late)) = &held
                && late.contains(&conn)
            {
                self.send_payload(conn, held.clone());
            }
        }
    }

    /// Uses up an armed fault of a kind for a message to these connections. Returns those it strikes: all, or the one
    /// it counts, if that is among them.
    fn take_for(&mut self, kind: Kind, depth: Depth, conns: &[ConnId]) -> Vec<ConnId> {
        let books = &self.books;
        let counted = |fault: &Fault| {
            let nth = fault.conn?.checked_sub(1)?;
            books.iter().nth(nth).copied()
        };
        let fits = |fault: &Fault| {
            fault.is_on(depth)
                && (fault.conn.is_none()
                    || counted(fault).is_some_and(|conn| conns.contains(&conn)))
        };
        let Some(fault) = self.faults.take_if(kind, fits) else {
            return Vec::new();
        };
        counted(&fault).map_or_else(|| conns.to_vec(), |conn| vec![conn])
    }

    /// Whether the checksum of this book message is to be wrong.
    pub fn spoils(&mut self, depth: Depth) -> bool {
        let fits = |fault: &Fault| fault.is_on(depth);
        self.faults.take_if(Kind::BadChecksum, fits).is_some()
    }

    /// Answers an order request and tells the private events it caused, in the order the faults want.
    pub fn answer(&mut self, to: ReplyTo, response: Response, private: Vec<(ConnId, String)>) {
        if self.faults.take(Kind::LostAck).is_some() {
            if let ReplyTo::Http(request) = to {
                self.out.push(Out::Hang(request));
            }
            self.tell_private(private);
        } else if let Some(fault) = self.faults.take(Kind::SlowAck) {
            let at = self.now + fault.ms.unsigned_abs() * 1_000_000;
            match to {
                ReplyTo::Ws(conn) => self.at(at, Out::Text(conn, response.body)),
                ReplyTo::Http(request) => self.at(at, Out::Reply(request, response)),
            }
            self.tell_private(private);
        } else if self.faults.take(Kind::ReplyAfterStream).is_some() {
            self.tell_private(private);
            self.answer_now(to, response);
        } else {
            self.answer_now(to, response);
            if let Some(fault) = self.faults.take(Kind::StreamAfterReply) {
                self.private_floor = self.now + fault.ms.unsigned_abs() * 1_000_000;
            }
            self.tell_private(private);
        }
    }

    /// Sends a response as it is.
    pub fn answer_now(&mut self, to: ReplyTo, response: Response) {
        match to {
            ReplyTo::Ws(conn) => self.send(conn, response.body),
            ReplyTo::Http(request) => self.reply(request, response),
        }
    }

    /// Takes the engine's events, recording what concerns clients.
    pub fn drain_events(&mut self) -> Vec<Event> {
        let events = self.engine.drain();
        for event in &events {
            if let Event::Order(order, what) = event {
                self.record.note(order, *what);
            }
        }
        if let Some(tape) = &mut self.tape {
            tape.extend_from_slice(&events);
        }
        events
    }

    /// From now on what is drained is kept for [`Core::take_tape`] too.
    pub fn watch(&mut self) {
        self.tape.get_or_insert_default();
    }

    /// Takes what was drained since the last call.
    pub fn take_tape(&mut self) -> Vec<Event> {
        self.tape.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes the immediate faults that are for FIX sessions.
    pub fn take_fix_faults(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.fix_faults)
    }

    fn tell_private(&mut self, private: Vec<(ConnId, String)>) {
        for (conn, text) in private {
            self.send_private(conn, text);
        }
    }

    fn with_extra_fields(&mut self, message: Payload) -> Payload {
        // Into a list nothing can be put in front, nor into bytes: a face does that itself.
        match &message {
            Payload::Text(text) => match text.strip_prefix('{') {
                Some(rest) if self.faults.take(Kind::ExtraFields).is_some() => {
                    let new = "\"zz_new\":{\"list\":[1,\"a\",null,{}],\"e\":1e-7}";
                    Payload::Text(format!("{{{new},{rest}"))
                }
                _ => message,
            },
            Payload::Binary(_) => message,
        }
    }
}
