//! One connection: its flags, its numbers, its channels, its login; and the frames it is sent.
//!
//! ```text
//!  [chanId, data | "hb" | "cs",SUM | "te",row, SEQ?, TS?]     one row of numbers over all channels of a socket
//!  [0,"on",row, SEQ?, AUTH_SEQ?, TS?]   [0,"n",[…], AUTH_SEQ?, TS?]   [0,"hb", SEQ?, TS?]         TS there is [U]
//! ```

use super::book::Shape;
use crate::core::ConnId;
use crate::engine::AccountId;
use crate::window::Window;
use serde_json::Value;
use std::collections::BTreeMap;

/// Append the time to each frame.
const FLAG_TIME: u64 = 32_768;
/// Append numbers.
const FLAG_SEQ: u64 = 65_536;
/// Send checksums of books.
const FLAG_CHECKSUM: u64 = 131_072;
/// Flags served; the old ones for numbers as strings and the one for bulk updates are not.
pub const FLAGS: u64 = FLAG_TIME | FLAG_SEQ | FLAG_CHECKSUM;
/// Requests to compute wallets in a second [U].
const CALCS_PER_S: u32 = 8;

/// What a channel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// A book of a shape.
    Book(Shape),
    /// Trades.
    Trades,
    /// The ticker.
    Ticker,
}

impl Topic {
    /// The venue's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Book(_) => "book",
            Self::Trades => "trades",
            Self::Ticker => "ticker",
        }
    }
}

/// One channel.
#[derive(Debug)]
pub struct Channel {
    /// Of which instrument.
    pub inst: usize,
    /// What of it.
    pub topic: Topic,
    /// When it last spoke.
    pub said_ns: u64,
}

/// Who logged in, and for what.
#[derive(Debug)]
pub struct Login {
    /// Whose orders.
    pub account: AccountId,
    /// The account's orders end with the socket.
    pub has_dead_man: bool,
    /// What channel 0 is to tell; empty is everything.
    pub filter: Vec<String>,
}

impl Login {
    /// Whether a topic is told, of a symbol where it has one.
    pub fn wants(&self, topic: &str, symbol: &str) -> bool {
        let fits = |word: &String| {
            word == topic
                || word.strip_prefix(topic).and_then(|w| w.strip_prefix('-')) == Some(symbol)
        };
        self.filter.is_empty() || self.filter.iter().any(fits)
    }
}

/// One connection.
#[derive(Debug)]
pub struct Conn {
    /// What is added to frames.
    pub flags: u64,
    /// Frames sent.
    pub seq: u64,
    auth_seq: u64,
    /// Who it is, once it has said so.
    pub login: Option<Login>,
    /// Its channels, by their numbers.
    pub channels: BTreeMap<u64, Channel>,
    /// When channel 0 last spoke.
    pub said_ns: u64,
    close_ns: Option<u64>,
    /// Requests to compute wallets.
    pub calcs: Window,
}

impl Conn {
    /// A fresh connection.
    pub fn new(now: u64, calc_factor: u32) -> Self {
        Self {
            flags: 0,
            seq: 0,
            auth_seq: 0,
            login: None,
            channels: BTreeMap::new(),
            said_ns: now,
            close_ns: None,
            calcs: Window::new(CALCS_PER_S.saturating_mul(calc_factor), 1_000_000_000),
        }
    }

    /// Closes it at a time.
    pub fn close_at(&mut self, at: u64) {
        self.close_ns = Some(at);
    }

    /// Whether an announced restart is due.
    pub fn is_over(&self, now: u64) -> bool {
        self.close_ns.is_some_and(|at| now >= at)
    }

    /// Whether it wants checksums.
    pub fn has_checksums(&self) -> bool {
        self.flags & FLAG_CHECKSUM != 0
    }

    /// Starts its row of numbers anew.
    pub fn reset_sequence(&mut self) {
        self.seq = 0;
    }

    /// The account whose orders end with this connection.
    pub fn guarded(&self) -> Option<AccountId> {
        let login = self.login.as_ref().filter(|login| login.has_dead_man);
        login.map(|login| login.account)
    }

    fn tail(&self, numbers: &[u64], ms: i64) -> String {
        let mut text = String::new();
        if self.flags & FLAG_SEQ != 0 {
            for number in numbers {
                text += &format!(",{number}");
            }
        }
        if self.flags & FLAG_TIME != 0 {
            text += &format!(",{ms}");
        }
        text
    }

    /// A frame of a channel, counted.
    pub fn frame(&mut self, now: u64, ms: i64, channel: u64, body: &str) -> String {
        self.seq += 1;
        if let Some(held) = self.channels.get_mut(&channel) {
            held.said_ns = now;
        }
        if channel == 0 {
            self.said_ns = now;
        }
        format!("[{channel},{body}{}]", self.tail(&[self.seq], ms))
    }

    /// An event of channel 0, counted in both rows; snapshots do not move the second.
    pub fn event(&mut self, now: u64, ms: i64, body: &str, is_snapshot: bool) -> String {
        self.seq += 1;
        self.auth_seq += u64::from(!is_snapshot);
        self.said_ns = now;
        format!("[0,{body}{}]", self.tail(&[self.seq, self.auth_seq], ms))
    }

    /// A notification: it moves neither row and shows the second.
    pub fn notice(&mut self, now: u64, ms: i64, row: &Value) -> String {
        self.said_ns = now;
        format!("[0,\"n\",{row}{}]", self.tail(&[self.auth_seq], ms))
    }
}

/// Who listens to a topic: connections with their channels.
pub fn listeners(conns: &BTreeMap<ConnId, Conn>, inst: usize, topic: Topic) -> Vec<(ConnId, u64)> {
    let of = |(id, conn): (&ConnId, &Conn)| {
        let mut channels = conn.channels.iter();
        let found = channels.find(|(_, channel)| channel.inst == inst && channel.topic == topic);
        found.map(|(channel, _)| (*id, *channel))
    };
    conns.iter().filter_map(of).collect()
}

/// The logins of an account whose filter lets a topic of channel 0 through.
pub fn sessions(
    conns: &BTreeMap<ConnId, Conn>,
    account: AccountId,
    topic: &str,
    symbol: &str,
) -> Vec<ConnId> {
    let wants = |conn: &Conn| {
        let login = conn.login.as_ref().filter(|login| login.account == account);
        login.is_some_and(|login| login.wants(topic, symbol))
    };
    let found = conns.iter().filter(|(_, conn)| wants(conn));
    found.map(|(id, _)| *id).collect()
}
