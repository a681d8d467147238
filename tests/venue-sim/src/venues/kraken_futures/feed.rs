//! The legacy feed, `/ws/v1`: until 1 March 2027.
//!
//! ```text
//!  info ─▶ subscribe, one answer a product ─▶ snapshot, deltas
//!  challenge ─▶ sign ─▶ subscribe to a private feed ─▶ snapshot, pushes
//! ```
//! Products may be written in small letters, and are told in capitals.

use super::reply::{Row, account_id};
use super::streams::Channel;
use super::{KrakenFutures, auth, entry::word};
use crate::core::ConnId;
use crate::engine::AccountId;
use crate::fault::Link;
use serde_json::Value;

/// Private feeds served.
const PRIVATE: [&str; 5] = [
    "open_orders",
    "open_orders_verbose",
    "fills",
    "open_positions",
    "balances",
];

/// What a connection is told first.
pub const INFO: &str = r#"{"event":"info","version":1}"#;

/// A message for people.
pub fn alert(text: &str) -> String {
    Row::new()
        .text("event", "alert")
        .text("message", text)
        .end()
}

fn error(text: &str) -> String {
    Row::new()
        .text("event", "error")
        .text("message", text)
        .end()
}

fn channel(feed: &str) -> Option<Channel> {
    Some(match feed {
        "book" => Channel::LegacyBook,
        "trade" => Channel::LegacyTrade,
        "ticker" => Channel::LegacyTicker(false),
        "ticker_lite" => Channel::LegacyTicker(true),
        _ => return None,
    })
}

impl KrakenFutures {
    /// A text frame of a legacy connection.
    pub(super) fn on_legacy(&mut self, id: ConnId, text: &str) {
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            self.core.send(id, error("Json Error"));
            return;
        };
        let is_in = match word(&message, "event") {
            Some("challenge") => return self.give_challenge(id, &message),
            Some("subscribe") => true,
            Some("unsubscribe") => false,
            _ => {
                self.core.send(id, error("Bad request"));
                return;
            }
        };
        let feed = word(&message, "feed").unwrap_or("");
        let private = PRIVATE.into_iter().find(|known| *known == feed);
        match (private, channel(feed)) {
            (Some(feed), _) => self.private_feed(id, &message, feed, is_in),
            (None, Some(channel)) => self.public_feed(id, &message, (feed, channel), is_in),
            (None, None) if feed == "heartbeat" => {
                if let Some(conn) = self.conns.get_mut(&id) {
                    let key = (Channel::LegacyHeartbeat, 0);
                    if is_in {
                        conn.subs.insert(key);
                    } else {
                        conn.subs.remove(&key);
                    }
                }
                self.core.send(id, confirmed(feed, is_in).end());
            }
            (None, None) => self.core.send(id, error("Invalid feed")),
        }
    }

    fn give_challenge(&mut self, id: ConnId, message: &Value) {
        let key = word(message, "api_key").unwrap_or("");
        if self.core.credential(key).is_none() {
            self.core.send(id, error("Invalid api key"));
            return;
        }
        self.challenges += 1;
        let challenge = super::reply::trade_uid(self.challenges << 20 | id & 0xf_ffff);
        let row = Row::new()
            .text("event", "challenge")
            .text("message", &challenge);
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.challenge = Some(challenge);
        }
        self.core.send(id, row.end());
    }

    fn public_feed(
        &mut self,
        id: ConnId,
        message: &Value,
        (feed, channel): (&str, Channel),
        is_in: bool,
    ) {
        let products = message.get("product_ids").and_then(Value::as_array);
        let Some(products) = products.filter(|products| !products.is_empty()) else {
            self.core.send(id, error("Invalid product id"));
            return;
        };
        let insts: Vec<Option<usize>> = products
            .iter()
            .map(|product| self.inst_of(&product.as_str()?.to_ascii_uppercase()))
            .collect();
        // All answers, then all snapshots, as recorded.
        for inst in &insts {
            let symbol = inst.and_then(|inst| self.symbols.get(inst));
            let text = match symbol {
                Some(symbol) => {
                    let list = format!("[\"{symbol}\"]");
                    confirmed(feed, is_in).raw("product_ids", list).end()
                }
                None => error("Invalid product id"),
            };
            self.core.send(id, text);
        }
        for inst in insts.into_iter().flatten() {
            let Some(conn) = self.conns.get_mut(&id) else {
                return;
            };
            if !is_in {
                conn.subs.remove(&(channel, inst));
                continue;
            }
            conn.subs.insert((channel, inst));
            let text = self
                .feeds
                .get_mut(inst)
                .and_then(|feed| feed.snapshot(&self.core, channel));
            if let Some(text) = text {
                self.core.send(id, text);
            }
        }
    }

    fn private_feed(&mut self, id: ConnId, message: &Value, feed: &'static str, is_in: bool) {
        let field = |name: &str| word(message, name).unwrap_or("");
        let (key, asked, signed) = (
            field("api_key"),
            field("original_challenge"),
            field("signed_challenge"),
        );
        let given = self
            .conns
            .get(&id)
            .and_then(|conn| conn.challenge.as_deref());
        let account = match auth::challenge(&self.core, key, asked, signed) {
            Ok(account) if given == Some(asked) => account,
            _ => {
                let now = self.core.now;
                let refused = super::reply::Refused::from(super::reply::Why::Signature);
                let text = refused.unified();
                self.core
                    .record
                    .refused("auth", "", refused.code(), &text, now);
                self.core.send(id, error("Invalid challenge"));
                return;
            }
        };
        let row = confirmed(feed, is_in).text("api_key", key);
        let row = row
            .text("original_challenge", asked)
            .text("signed_challenge", signed);
        self.core.send(id, row.end());
        if let Some(conn) = self.conns.get_mut(&id) {
            if is_in {
                conn.feeds.insert((feed, account));
                // From now on it is a link that orders are told on.
                self.core.opened(id, Link::Private);
            } else {
                conn.feeds.remove(&(feed, account));
                return;
            }
        }
        let text = self.feed_snapshot(account, feed);
        self.core.send(id, text);
    }

    fn feed_snapshot(&self, account: AccountId, feed: &str) -> String {
        match feed {
            "fills" => self.fills_snapshot(account),
            "open_positions" => self.positions_push(account),
            "balances" => self.balances_push(account, "balances_snapshot"),
            _ => self.orders_snapshot(account, feed),
        }
    }

    /// A push of `fills`.
    pub(super) fn fills_push(account: AccountId, fill: &str) -> String {
        let row = Row::new()
            .text("feed", "fills")
            .text("username", &account_id(account));
        row.raw("fills", format!("[{fill}]")).end()
    }
}

fn confirmed(feed: &str, is_in: bool) -> Row {
    let event = if is_in { "subscribed" } else { "unsubscribed" };
    Row::new().text("event", event).text("feed", feed)
}
