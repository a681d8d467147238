//! Faults on request: what a venue may do to a client on a bad day, said in one line.
//!
//! ```text
//!  kind[:key=value…][,kind…]      gap:at=5s        reject:n=3:code=-2010        disconnect:link=private:every=10s
//! ```
//! A fault either happens at once (a disconnect) or is armed and used up by the next `n` messages it
//! fits (a gap). `at` counts from the moment the fault was given.

use crate::core::Response;
use std::str::FromStr;

/// What may go wrong. The text after each is what `--help` prints.
pub const KINDS: &[(&str, Kind, &str)] = &[
    ("gap", Kind::Gap, "drop the next n depth messages"),
    (
        "duplicate",
        Kind::Duplicate,
        "send the next n depth messages twice",
    ),
    (
        "reorder",
        Kind::Reorder,
        "send the next depth message after the one that follows it",
    ),
    (
        "bad-checksum",
        Kind::BadChecksum,
        "wrong checksum in the next n book messages, where they carry one",
    ),
    (
        "seq-reset",
        Kind::SeqReset,
        "book sequence numbers fall, as after maintenance",
    ),
    (
        "disconnect",
        Kind::Disconnect,
        "cut connections without a close frame (link=)",
    ),
    (
        "silence",
        Kind::Silence,
        "send nothing, accept everything, for= (link=)",
    ),
    (
        "restart",
        Kind::Restart,
        "announce a planned restart, then close after for=",
    ),
    (
        "reject",
        Kind::Reject,
        "refuse the next n new orders with code=",
    ),
    (
        "timeout",
        Kind::Timeout,
        "answer the next n new orders 'outcome unknown'; executed=true|false",
    ),
    (
        "lost-ack",
        Kind::LostAck,
        "carry out the next n order requests, answer nothing",
    ),
    (
        "slow-ack",
        Kind::SlowAck,
        "hold the next n order answers for ms=",
    ),
    (
        "reply-after-stream",
        Kind::ReplyAfterStream,
        "private events before the answer, n times",
    ),
    (
        "stream-after-reply",
        Kind::StreamAfterReply,
        "private events ms= after the answer, n times",
    ),
    (
        "duplicate-fill",
        Kind::DuplicateFill,
        "send the next n private fill events twice",
    ),
    (
        "rate-limit",
        Kind::RateLimit,
        "refuse the next n requests: 429, come back after for= (binance), 50011 (okx)",
    ),
    (
        "ban",
        Kind::Ban,
        "refuse everything with 418 for= (binance)",
    ),
    (
        "http-500",
        Kind::Http500,
        "a gateway's 5xx (code=) to the next n REST requests; orders executed=true|false",
    ),
    (
        "clock-skew",
        Kind::ClockSkew,
        "the venue's clock is off by ms= from now on",
    ),
    (
        "snapshot-old",
        Kind::SnapshotOld,
        "the next n REST books are older than the stream",
    ),
    (
        "snapshot-new",
        Kind::SnapshotNew,
        "the stream lags for ms= behind the next n REST books",
    ),
    (
        "token-expiry",
        Kind::TokenExpiry,
        "tokens, listen keys and logins given out so far are worth nothing any more",
    ),
    (
        "calm",
        Kind::Calm,
        "nobody else trades for=, so that books stand still",
    ),
    (
        "jump",
        Kind::Jump,
        "news: everybody holds every price for another, ppm= away",
    ),
    (
        "withdraw",
        Kind::Withdraw,
        "clients' free money of every asset goes to the venue, ppm= of it; no fill says so",
    ),
    (
        "pull",
        Kind::Pull,
        "the venue takes every client's orders off the book, on its own account",
    ),
    (
        "liquidate",
        Kind::Liquidate,
        "the venue closes every client's positions at the last price; no fill and no stream says so",
    ),
    (
        "funding",
        Kind::Funding,
        "long positions pay ppm= of their worth to short ones, told as the venue tells it",
    ),
    (
        "extra-fields",
        Kind::ExtraFields,
        "unknown keys in the next n public messages",
    ),
];

/// A kind of fault; see [`KINDS`] for what each does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // one line each in KINDS
pub enum Kind {
    Gap,
    Duplicate,
    Reorder,
    BadChecksum,
    SeqReset,
    Disconnect,
    Silence,
    Restart,
    Reject,
    Timeout,
    LostAck,
    SlowAck,
    ReplyAfterStream,
    StreamAfterReply,
    DuplicateFill,
    RateLimit,
    Ban,
    Http500,
    ClockSkew,
    SnapshotOld,
    SnapshotNew,
    TokenExpiry,
    Calm,
    Jump,
    Withdraw,
    Pull,
    Liquidate,
    Funding,
    ExtraFields,
}

impl Kind {
    /// Whether it is done once when due, instead of waiting for messages it fits.
    pub const fn is_immediate(self) -> bool {
        matches!(
            self,
            Self::SeqReset
                | Self::Disconnect
                | Self::Silence
                | Self::Restart
                | Self::Ban
                | Self::ClockSkew
                | Self::TokenExpiry
                | Self::Calm
                | Self::Jump
                | Self::Withdraw
                | Self::Pull
                | Self::Liquidate
                | Self::Funding
        )
    }
}

/// Which connections a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Market data.
    Public,
    /// Orders and account.
    Private,
    /// FIX sessions for orders; asked for, all of FIX.
    Fix,
    /// FIX sessions for market data.
    FixData,
    /// All of them.
    All,
}

impl Link {
    /// Whether a connection of kind `other` is meant.
    pub fn fits(self, other: Self) -> bool {
        self == other
            || match self {
                Self::All => true,
                Self::Private => other == Self::Fix,
                Self::Public | Self::Fix => other == Self::FixData,
                Self::FixData => false,
            }
    }
}

/// Which book messages a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Those of prices and their totals.
    Levels,
    /// Those of single orders.
    Orders,
}

/// One fault as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// Where: a venue's name, or all.
    pub venue: Option<String>,
    /// Which connections.
    pub link: Link,
    /// Of the connections that bring books only this one, by age, from 1: `gap`, `duplicate`, `reorder`,
    /// `disconnect`, `silence`.
    pub conn: Option<usize>,
    /// Only these book messages: `gap`, `duplicate`, `reorder`, `bad-checksum`.
    pub on: Option<Depth>,
    /// How many messages.
    pub n: u32,
    /// Error code for `reject`, status for `http-500`.
    pub code: Option<i64>,
    /// A time in milliseconds for the kinds that take one; negative for a slow clock.
    pub ms: i64,
    /// How far prices jump, or what part of the money goes, millionths; negative falls.
    pub ppm: i64,
    /// How long, nanoseconds.
    pub for_ns: u64,
    /// When, nanoseconds after it was given.
    pub at_ns: u64,
    /// Again and again, nanoseconds.
    pub every_ns: Option<u64>,
    /// `timeout`, `http-500`: whether the order was carried out all the same.
    pub is_executed: bool,
}

/// What is wrong with a fault's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No such kind.
    #[error("`{0}` is no fault; known: {known}", known = names())]
    Kind(String),
    /// A word that is not `key=value` with a known key.
    #[error(
        "`{0}`: use venue=, link=public|private|fix|all, conn=, on=levels|orders, n=, code=, ms=, ppm=, for=, at=, every=, executed="
    )]
    Key(String),
    /// A value that does not parse.
    #[error("`{0}`: the value does not parse (times: 5s, 200ms)")]
    Value(String),
}

fn names() -> String {
    let names: Vec<&str> = KINDS.iter().map(|(name, ..)| *name).collect();
    names.join(", ")
}

/// Parses `5s`, `200ms` or `3m`.
pub fn duration_ns(text: &str) -> Option<u64> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let scale = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let mut words = text.trim().split(':');
        let name = words.next().unwrap_or("").trim();
        let kind = KINDS
            .iter()
            .find(|(known, ..)| *known == name)
            .map(|(_, kind, _)| *kind)
            .ok_or_else(|| FaultError::Kind(name.to_owned()))?;
        let mut fault = Self {
            kind,
            venue: None,
            link: Link::All,
            conn: None,
            on: None,
            n: 1,
            code: None,
            ms: 200,
            ppm: 1_000,
            for_ns: 5_000_000_000,
            at_ns: 0,
            every_ns: None,
            is_executed: true,
        };
        for word in words {
            fault.set(word.trim())?;
        }
        Ok(fault)
    }
}

impl Fault {
    /// Parses a list separated by commas, semicolons or line ends.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, FaultError> {
        text.split([',', ';', '\n'])
            .filter(|part| !part.trim().is_empty())
            .map(str::parse)
            .collect()
    }

    /// What a gateway answers whose venue is away: no JSON, and nothing about the request.
    pub fn server_error(&self) -> Response {
        let status = self
            .code
            .and_then(|code| u16::try_from(code).ok())
            .filter(|status| (500..600).contains(status))
            .unwrap_or(500);
        Response::json(
            status,
            format!("<html><h1>{status} server error</h1></html>"),
        )
    }

    /// Whether it is for such book messages.
    pub fn is_on(&self, depth: Depth) -> bool {
        self.on.is_none_or(|on| on == depth)
    }

    fn set(&mut self, word: &str) -> Result<(), FaultError> {
        let bad = || FaultError::Value(word.to_owned());
        let (key, value) = word
            .split_once('=')
            .ok_or_else(|| FaultError::Key(word.to_owned()))?;
        match key {
            "venue" => self.venue = Some(value.to_owned()),
            "link" => {
                self.link = match value {
                    "public" => Link::Public,
                    "private" => Link::Private,
                    "fix" => Link::Fix,
                    "all" => Link::All,
                    _ => return Err(bad()),
                }
            }
            "conn" => self.conn = Some(value.parse().map_err(|_| bad())?),
            "on" => {
                self.on = Some(match value {
                    "levels" => Depth::Levels,
                    "orders" => Depth::Orders,
                    _ => return Err(bad()),
                });
            }
            "n" => self.n = value.parse().map_err(|_| bad())?,
            "code" => self.code = Some(value.parse().map_err(|_| bad())?),
            "ppm" => self.ppm = value.parse().map_err(|_| bad())?,
            "ms" => self.ms = value.parse().map_err(|_| bad())?,
            "for" => self.for_ns = duration_ns(value).ok_or_else(bad)?,
            "at" => self.at_ns = duration_ns(value).ok_or_else(bad)?,
            "every" => {
                // A period of zero would never end.
                let every = duration_ns(value)
                    .filter(|every| *every > 0)
                    .ok_or_else(bad)?;
                self.every_ns = Some(every);
                if self.at_ns == 0 {
                    self.at_ns = every;
                }
            }
            "executed" => self.is_executed = value.parse().map_err(|_| bad())?,
            _ => return Err(FaultError::Key(word.to_owned())),
        }
        Ok(())
    }
}

/// The faults of one venue: planned ones by time, armed ones waiting for a message.
#[derive(Debug, Default)]
pub struct Faults {
    planned: Vec<(u64, Fault)>,
    armed: Vec<Fault>,
    /// How often each fault took effect, by kind.
    pub used: Vec<(Kind, u64)>,
}

impl Faults {
    /// Plans a fault given at `now`.
    pub fn add(&mut self, now: u64, fault: Fault) {
        self.planned.push((now.saturating_add(fault.at_ns), fault));
    }

    /// Moves what fell due to the armed ones; returns the immediate ones, to be done now.
    pub fn due(&mut self, now: u64) -> Vec<Fault> {
        let mut immediate = Vec::new();
        let mut later = Vec::new();
        for (at, fault) in std::mem::take(&mut self.planned) {
            if at > now {
                later.push((at, fault));
                continue;
            }
            if let Some(every) = fault.every_ns {
                later.push((at.saturating_add(every).max(now), fault.clone()));
            }
            if fault.kind.is_immediate() {
                self.count(fault.kind);
                immediate.push(fault);
            } else {
                self.armed.push(fault);
            }
        }
        self.planned = later;
        immediate
    }

    /// When [`Faults::due`] next has work.
    pub fn next_deadline(&self) -> u64 {
        self.planned
            .iter()
            .map(|(at, _)| *at)
            .min()
            .unwrap_or(u64::MAX)
    }

    /// Uses up one armed fault of a kind, if there is one.
    pub fn take(&mut self, kind: Kind) -> Option<Fault> {
        self.take_if(kind, |_| true)
    }

    /// As [`Faults::take`], of those that fit.
    pub fn take_if(&mut self, kind: Kind, fits: impl Fn(&Fault) -> bool) -> Option<Fault> {
        self.take_one(kind, |fault| fault.link != Link::Fix && fits(fault))
    }

    /// Uses one up on a FIX session. Only `link=fix` says that it is meant for one, unless it fits any (`is_any`).
    pub fn take_fix(&mut self, kind: Kind, is_any: bool) -> Option<Fault> {
        self.take_one(kind, |fault| is_any || fault.link == Link::Fix)
    }

    fn take_one(&mut self, kind: Kind, fits: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let is_it = |fault: &Fault| fault.kind == kind && fault.n > 0 && fits(fault);
        let at = self.armed.iter().position(is_it)?;
        let fault = self.armed.get_mut(at)?;
        fault.n -= 1;
        let taken = fault.clone();
        if taken.n == 0 {
            self.armed.remove(at);
        }
        self.count(kind);
        Some(taken)
    }

    /// How often each took effect, by name.
    pub fn used_json(&self) -> serde_json::Value {
        let name = |kind: Kind| KINDS.iter().find(|(_, known, _)| *known == kind);
        let used = self.used.iter().filter_map(|(kind, count)| {
            let (name, ..) = name(*kind)?;
            Some(((*name).to_owned(), serde_json::json!(count)))
        });
        serde_json::Value::Object(used.collect())
    }

    fn count(&mut self, kind: Kind) {
        match self.used.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.used.push((kind, 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_all() {
        let list =
            Fault::parse_list("gap:at=5s, reject:n=3:code=-2010:venue=binance,silence:for=200ms")
                .unwrap();
        assert_eq!(list.len(), 3);
        assert_eq!(
            (list[0].kind, list[0].at_ns, list[0].n),
            (Kind::Gap, 5_000_000_000, 1)
        );
        assert_eq!((list[1].n, list[1].code), (3, Some(-2010)));
        assert_eq!(list[1].venue.as_deref(), Some("binance"));
        assert_eq!(list[2].for_ns, 200_000_000);
    }

    #[test]
    fn errors_name_the_word() {
        for bad in [
            "gapp",
            "gap:x=1",
            "gap:at=5",
            "gap:n",
            "gap:every=0s",
            "gap:link=x",
            "gap:on=x",
        ] {
            assert!(Fault::parse_list(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn armed_faults_are_used_up_and_repeated_ones_come_back() {
        let mut faults = Faults::default();
        faults.add(0, "gap:n=2".parse().unwrap());
        faults.add(0, "duplicate:every=1s".parse().unwrap());
        assert!(faults.due(0).is_empty());
        assert!(faults.take(Kind::Gap).is_some() && faults.take(Kind::Gap).is_some());
        assert!(faults.take(Kind::Gap).is_none());
        for second in 1..=3u64 {
            assert!(faults.take(Kind::Duplicate).is_none());
            faults.due(second * 1_000_000_000);
            assert!(faults.take(Kind::Duplicate).is_some());
        }
    }
}
