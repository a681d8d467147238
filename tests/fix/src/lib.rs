//! A FIX session on a blocking socket: the thinnest shell that tests against other engines need.
//!
//! The numbers outlive the connection here, as a node keeps them on disk: [`Peer::numbers`].

#![forbid(unsafe_code)]

use dp_proto::fix::{FixConfig, FixEvent, FixFault, FixSession, Numbers, Out};
use dp_types::UnixNanos;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(10);

/// What a session told, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Both have logged on.
    LoggedOn,
    /// An application message: its type, the fields asked for by [`Peer::new`], whether it may be a duplicate.
    App(String, Vec<Option<String>>, bool),
    /// A message of ours was refused, with these words.
    Rejected(String),
    /// Missing from here on, and asked for.
    Gap(u64),
    /// Bytes that are no message.
    Garbled,
    /// The end, in good order.
    LoggedOut,
}

/// One end of a connection.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    session: FixSession,
    tags: Vec<u32>,
    out: Vec<u8>,
}

/// Now, on the wall clock.
pub fn now() -> UnixNanos {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixNanos(since.map_or(0, |since| since.as_nanos() as u64))
}

impl Peer {
    /// Starts a session on a connection; `tags` are the fields to be told of application messages.
    pub fn new(
        stream: TcpStream,
        config: FixConfig,
        numbers: Numbers,
        tags: &[u32],
    ) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        let mut peer = Self {
            stream,
            session: FixSession::new(config, numbers),
            tags: tags.to_vec(),
            out: Vec::new(),
        };
        peer.session.start(now(), &mut peer.out);
        peer.flush()?;
        Ok(peer)
    }

    /// The numbers to go on from.
    pub const fn numbers(&self) -> Numbers {
        self.session.numbers()
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Sends an application message; its number.
    pub fn send(&mut self, kind: &[u8], fields: impl FnOnce(&mut Out)) -> std::io::Result<u64> {
        let seq = self.session.send(kind, now(), &mut self.out, fields);
        self.flush()?;
        seq.ok_or_else(|| std::io::Error::other("not logged on, or too long"))
    }

    /// As [`Peer::send`], but the message is lost before it leaves.
    pub fn lose(&mut self, kind: &[u8], fields: impl FnOnce(&mut Out)) -> Option<u64> {
        let seq = self.session.send(kind, now(), &mut self.out, fields);
        self.out.clear();
        seq
    }

    /// Begins the end.
    pub fn log_out(&mut self) -> std::io::Result<()> {
        self.session.log_out("done", now(), &mut self.out);
        self.flush()
    }

    /// Everything that is told until `until` is; the session's own work is done meanwhile.
    ///
    /// Errors: the session or the connection ended, or it took too long; with all that was told before.
    pub fn hear(&mut self, until: impl Fn(&Told) -> bool) -> Result<Vec<Told>, String> {
        let mut told = Vec::new();
        let end = Instant::now() + PATIENCE;
        loop {
            while let Some(event) = self.next(&told)? {
                told.push(event);
                if told.last().is_some_and(&until) {
                    return Ok(told);
                }
            }
            if Instant::now() > end {
                return Err(format!("not told in time; told: {told:?}"));
            }
            self.read(&told)?;
        }
    }

    fn next(&mut self, told: &[Told]) -> Result<Option<Told>, String> {
        let fault = |fault: FixFault| format!("{fault}; told: {told:?}");
        let tags = &self.tags;
        let event = match self.session.next(now(), &mut self.out) {
            Ok(event) => event.map(|event| match event {
                FixEvent::LoggedOn => Told::LoggedOn,
                FixEvent::App(message) => {
                    let field = |tag: &u32| message.text(*tag).map(str::to_owned);
                    let kind = String::from_utf8_lossy(message.kind()).into_owned();
                    Told::App(kind, tags.iter().map(field).collect(), message.flag(43))
                }
                FixEvent::Rejected(message) => {
                    Told::Rejected(message.text(58).unwrap_or_default().to_owned())
                }
                FixEvent::Gap(from) => Told::Gap(from),
                FixEvent::Garbled(_) => Told::Garbled,
                FixEvent::LoggedOut => Told::LoggedOut,
            }),
            Err(ended) => {
                let _ = self.flush();
                return Err(fault(ended));
            }
        };
        self.flush()
            .map_err(|error| format!("{error}; told: {told:?}"))?;
        Ok(event)
    }

    fn read(&mut self, told: &[Told]) -> Result<(), String> {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => return Err(format!("the peer closed; told: {told:?}")),
            Ok(count) => {
                let bytes = bytes.get(..count).unwrap_or_default();
                self.session
                    .feed(bytes)
                    .map_err(|fault| fault.to_string())?;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(format!("{error}; told: {told:?}")),
        }
        if self.session.next_deadline().is_some_and(|due| due <= now()) {
            let result = self.session.on_deadline(now(), &mut self.out);
            let _ = self.flush();
            result.map_err(|fault| format!("{fault}; told: {told:?}"))?;
        }
        Ok(())
    }
}
