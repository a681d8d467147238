//! The task that owns a face: time, commands in, what is to be done out.

use super::Clock;
use super::lines::Lines;
use crate::core::{ConnId, Out, Request, RequestId, Response};
use crate::fault::Fault;
use crate::record;
use crate::venues::Face;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Commands waiting for a venue.
const COMMANDS_MAX: usize = 4_096;
/// Frames waiting for a client.
pub const FRAMES_MAX: usize = 16_384;

/// What a WebSocket task is to send.
#[derive(Debug)]
pub enum Frame {
    /// A text frame.
    Text(String),
    /// A binary frame.
    Binary(Vec<u8>),
    /// A PING frame.
    Ping,
    /// A close; without a code the socket is cut.
    Close(Option<u16>),
}

/// What a request is answered with.
#[derive(Debug)]
pub enum Answer {
    /// All of it.
    Whole(Response),
    /// Pieces as they come; an error ends it in the middle.
    Pieces(mpsc::Receiver<Result<String, Cut>>),
}

/// An answer that ends in the middle on purpose.
#[derive(Debug, thiserror::Error)]
#[error("cut on purpose")]
pub struct Cut;

enum Command {
    Http(Request, oneshot::Sender<Option<Answer>>),
    Upgrade(Request, oneshot::Sender<Option<Response>>),
    Open(String, String, mpsc::Sender<Frame>, oneshot::Sender<ConnId>),
    Text(ConnId, String),
    Pong(ConnId),
    FixOpen(mpsc::Sender<Frame>, oneshot::Sender<ConnId>),
    FixBytes(ConnId, Vec<u8>),
    Closed(ConnId),
    Faults(Vec<Fault>),
    Record(oneshot::Sender<Value>),
    Stats(oneshot::Sender<Value>),
    Book(usize, oneshot::Sender<Value>),
    Queues(usize, oneshot::Sender<Value>),
}

/// How others talk to a venue.
#[derive(Debug, Clone)]
pub struct Handle {
    /// The venue's name.
    pub name: String,
    commands: mpsc::Sender<Command>,
    accepts: fn(&str) -> bool,
    /// TCP connections, counted by the server.
    pub sockets: std::sync::Arc<Sockets>,
}

/// TCP connections of a venue's port.
#[derive(Debug, Default)]
pub struct Sockets {
    /// Accepted since the start, with or without a handshake after.
    pub accepted: AtomicU64,
    /// Open now.
    pub open: AtomicU64,
}

impl Handle {
    /// Asks a request; `None` when it is to stay without an answer.
    pub async fn http(&self, request: Request) -> Option<Answer> {
        let (tx, rx) = oneshot::channel();
        self.commands.send(Command::Http(request, tx)).await.ok()?;
        rx.await.ok().flatten()
    }

    /// The answer to a WebSocket upgrade that is not to be.
    pub async fn refuses_upgrade(&self, request: Request) -> Option<Response> {
        let (tx, rx) = oneshot::channel();
        let command = Command::Upgrade(request, tx);
        self.commands.send(command).await.ok()?;
        rx.await.ok().flatten()
    }

    /// Whether a WebSocket may be opened at a path.
    pub fn accepts(&self, path: &str) -> bool {
        (self.accepts)(path)
    }

    /// Tells of a new WebSocket; frames for it go to `frames`.
    pub async fn open(
        &self,
        path: String,
        query: String,
        frames: mpsc::Sender<Frame>,
    ) -> Option<ConnId> {
        let (tx, rx) = oneshot::channel();
        self.commands
            .send(Command::Open(path, query, frames, tx))
            .await
            .ok()?;
        rx.await.ok()
    }

    /// Tells of a text frame.
    pub async fn text(&self, conn: ConnId, text: String) {
        let _ = self.commands.send(Command::Text(conn, text)).await;
    }

    /// Tells of a PONG.
    pub async fn pong(&self, conn: ConnId) {
        let _ = self.commands.send(Command::Pong(conn)).await;
    }

    /// Tells of a new connection at the FIX port; bytes for it go to `frames`.
    pub async fn fix_open(&self, frames: mpsc::Sender<Frame>) -> Option<ConnId> {
        let (tx, rx) = oneshot::channel();
        let command = Command::FixOpen(frames, tx);
        self.commands.send(command).await.ok()?;
        rx.await.ok()
    }

    /// Tells of bytes from the FIX port.
    pub async fn fix_bytes(&self, conn: ConnId, bytes: Vec<u8>) {
        let _ = self.commands.send(Command::FixBytes(conn, bytes)).await;
    }

    /// Tells that a connection is gone.
    pub async fn closed(&self, conn: ConnId) {
        let _ = self.commands.send(Command::Closed(conn)).await;
    }

    /// Gives faults, all at once: nothing is said between them.
    pub async fn faults(&self, faults: Vec<Fault>) {
        let _ = self.commands.send(Command::Faults(faults)).await;
    }

    /// The venue's record.
    pub async fn record(&self) -> Value {
        self.ask(Command::Record).await
    }

    /// The venue's counts.
    pub async fn stats(&self) -> Value {
        self.ask(Command::Stats).await
    }

    /// A book, and the first account's position ([`record::book_json`]).
    pub async fn book(&self, inst: usize) -> Value {
        self.ask(|reply| Command::Book(inst, reply)).await
    }

    /// A book's single orders ([`record::queues_json`]).
    pub async fn queues(&self, inst: usize) -> Value {
        self.ask(|reply| Command::Queues(inst, reply)).await
    }

    async fn ask(&self, command: impl FnOnce(oneshot::Sender<Value>) -> Command) -> Value {
        let (tx, rx) = oneshot::channel();
        let _ = self.commands.send(command(tx)).await;
        rx.await.unwrap_or(Value::Null)
    }
}

/// Starts the task of a venue.
pub fn spawn(
    name: &str,
    face: Box<dyn Face>,
    clock: Clock,
    lines: Option<Lines>,
) -> (Handle, JoinHandle<()>) {
    let (commands, queue) = mpsc::channel(COMMANDS_MAX);
    let accepts = face.paths();
    let handle = Handle {
        name: name.to_owned(),
        commands,
        accepts,
        sockets: std::sync::Arc::default(),
    };
    let task = Venue {
        face,
        lines,
        clock,
        conns: HashMap::new(),
        waiting: HashMap::new(),
        going_on: HashMap::new(),
        next_conn: 0,
        next_request: 0,
        requests: 0,
        sockets: std::sync::Arc::clone(&handle.sockets),
    };
    (handle, tokio::spawn(task.run(queue)))
}

struct Venue {
    face: Box<dyn Face>,
    /// Multicast, where it is sent.
    lines: Option<Lines>,
    clock: Clock,
    conns: HashMap<ConnId, mpsc::Sender<Frame>>,
    waiting: HashMap<RequestId, oneshot::Sender<Option<Answer>>>,
    going_on: HashMap<RequestId, mpsc::Sender<Result<String, Cut>>>,
    next_conn: ConnId,
    next_request: RequestId,
    /// HTTP requests, upgrades, WebSocket texts and reads from FIX sessions.
    requests: u64,
    sockets: std::sync::Arc<Sockets>,
}

impl Venue {
    async fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        loop {
            let due = self.clock.instant(self.face.next_deadline());
            tokio::select! {
                biased;
                command = queue.recv() => {
                    let Some(command) = command else { return };
                    self.face.step(self.clock.now());
                    self.on_command(command);
                }
                () = tokio::time::sleep_until(due.into()) => {
                    self.face.step(self.clock.now());
                }
            }
            self.flush();
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Http(request, reply) => {
                self.next_request += 1;
                self.requests += 1;
                self.waiting.insert(self.next_request, reply);
                self.face.http(self.next_request, &request);
            }
            Command::Upgrade(request, reply) => {
                self.requests += 1;
                let _ = reply.send(self.face.refuses_upgrade(&request));
            }
            Command::Open(path, query, frames, reply) => {
                self.next_conn += 1;
                self.conns.insert(self.next_conn, frames);
                self.face.open(self.next_conn, &path, &query);
                let _ = reply.send(self.next_conn);
            }
            Command::Text(conn, text) => {
                self.requests += 1;
                self.face.text(conn, &text);
            }
            Command::Pong(conn) => self.face.pong(conn),
            Command::FixOpen(frames, reply) => {
                self.next_conn += 1;
                self.conns.insert(self.next_conn, frames);
                self.face.fix_open(self.next_conn);
                let _ = reply.send(self.next_conn);
            }
            Command::FixBytes(conn, bytes) => {
                self.requests += 1;
                self.face.fix_bytes(conn, &bytes);
            }
            Command::Closed(conn) => {
                self.conns.remove(&conn);
                self.face.closed(conn);
            }
            Command::Faults(faults) => {
                let now = self.clock.now();
                for fault in faults {
                    self.face.core().faults.add(now, fault);
                }
                self.face.step(now);
            }
            Command::Record(reply) => {
                let _ = reply.send(self.record());
            }
            Command::Book(inst, reply) => {
                let symbol = self.face.symbol(inst);
                let _ = reply.send(record::book_json(self.face.core(), inst, &symbol, 1));
            }
            Command::Queues(inst, reply) => {
                let _ = reply.send(record::queues_json(self.face.as_mut(), inst));
            }
            Command::Stats(reply) => {
                let _ = reply.send(self.stats());
            }
        }
    }

    fn record(&mut self) -> Value {
        let count = self.face.core().engine.instruments();
        let symbols: Vec<String> = (0..count).map(|inst| self.face.symbol(inst)).collect();
        let symbol = |inst: usize| symbols.get(inst).cloned().unwrap_or_default();
        record::to_json(self.face.core(), &symbol)
    }

    fn stats(&mut self) -> Value {
        let mut stats = self.face.stats();
        let core = self.face.core();
        stats["requests"] = json!(self.requests);
        stats["accepted"] = json!(self.sockets.accepted.load(Relaxed));
        stats["sockets"] = json!(self.sockets.open.load(Relaxed));
        stats["faults"] = core.faults.used_json();
        stats["counts"] = core.record.counts();
        stats
    }

    fn flush(&mut self) {
        for out in self.face.core().take_out() {
            match out {
                Out::Text(conn, text) => self.send(conn, Frame::Text(text)),
                Out::Binary(conn, bytes) => {
                    let lines = self.lines.as_ref();
                    if !lines.is_some_and(|lines| lines.send(conn, &bytes)) {
                        self.send(conn, Frame::Binary(bytes));
                    }
                }
                Out::Ping(conn) => self.send(conn, Frame::Ping),
                Out::Close(conn, code) => {
                    self.send(conn, Frame::Close(code));
                    self.conns.remove(&conn);
                }
                Out::Reply(request, response) => {
                    if let Some(reply) = self.waiting.remove(&request) {
                        let _ = reply.send(Some(Answer::Whole(response)));
                    }
                }
                Out::Chunk(request, text) => self.send_piece(request, Ok(text)),
                Out::Hang(request) => {
                    if self.going_on.contains_key(&request) {
                        self.send_piece(request, Err(Cut));
                        self.going_on.remove(&request);
                    }
                    if let Some(reply) = self.waiting.remove(&request) {
                        let _ = reply.send(None);
                    }
                }
            }
        }
    }

    /// Queues a piece of an answer, which begins with the first one.
    fn send_piece(&mut self, request: RequestId, piece: Result<String, Cut>) {
        if let Some(reply) = self.waiting.remove(&request) {
            let (tx, rx) = mpsc::channel(FRAMES_MAX);
            self.going_on.insert(request, tx);
            let _ = reply.send(Some(Answer::Pieces(rx)));
        }
        let Some(pieces) = self.going_on.get(&request) else {
            return;
        };
        if pieces.try_send(piece).is_err() {
            self.going_on.remove(&request);
            self.face.left(request);
        }
    }

    /// Queues a frame; a client whose queue is full is cut.
    fn send(&mut self, conn: ConnId, frame: Frame) {
        let Some(frames) = self.conns.get(&conn) else {
            return;
        };
        if frames.try_send(frame).is_err() {
            tracing::warn!(conn, "client is too slow or gone: cut");
            self.conns.remove(&conn);
            self.face.closed(conn);
        }
    }
}
