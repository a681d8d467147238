//! WebSocket: subscriptions, signed where the channel wants it, and their limits.

use super::reply::{Refused, balance, balance_id};
use super::{Coinbase, auth};
use crate::core::{ConnId, Core};
use crate::engine::AccountId;
use crate::fault::Link;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A connection that has not subscribed after so long is cut.
const SUBSCRIBE_NS: u64 = 5_000_000_000;
/// Subscriptions of an account to one channel of one product.
const SUBSCRIPTIONS_MAX: usize = 10;

/// Channels served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the venue's own words, see NAMES
pub enum Channel {
    Level2,
    Level2Batch,
    Full,
    Matches,
    Ticker,
    TickerBatch,
    Heartbeat,
    Status,
    User,
    Balance,
}

const NAMES: [(&str, Channel); 10] = [
    ("level2", Channel::Level2),
    ("level2_batch", Channel::Level2Batch),
    ("full", Channel::Full),
    ("matches", Channel::Matches),
    ("ticker", Channel::Ticker),
    ("ticker_batch", Channel::TickerBatch),
    ("heartbeat", Channel::Heartbeat),
    ("status", Channel::Status),
    ("user", Channel::User),
    ("balance", Channel::Balance),
];

impl Channel {
    fn of(name: &str) -> Option<Self> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, channel)| *channel)
    }

    fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(_, channel)| *channel == self);
        found.map_or("", |(name, _)| name)
    }

    /// Whether only signed subscriptions get it.
    const fn is_signed(self) -> bool {
        matches!(self, Self::Level2 | Self::Full | Self::User | Self::Balance)
    }
}

/// A channel, and of what: a product, an asset (`balance`), or nothing (`status`).
type Sub = (Channel, Option<usize>);

/// One connection.
#[derive(Debug)]
pub struct Conn {
    account: Option<AccountId>,
    subs: BTreeSet<Sub>,
    /// It has to subscribe until then.
    silent_until: Option<u64>,
    close_ns: Option<u64>,
}

impl Conn {
    /// A fresh connection.
    pub fn new(now: u64) -> Self {
        Self {
            account: None,
            subs: BTreeSet::new(),
            silent_until: Some(now + SUBSCRIBE_NS),
            close_ns: None,
        }
    }

    /// Closes it at a time.
    pub fn close_at(&mut self, at: u64) {
        self.close_ns = Some(at);
    }

    /// Whether it has to go: it said nothing, or a restart is due.
    pub fn is_over(&self, now: u64) -> bool {
        let due = |at: Option<u64>| at.is_some_and(|at| now >= at);
        due(self.silent_until) || due(self.close_ns)
    }
}

/// Subscribers of a product's public channel.
pub fn listeners(conns: &BTreeMap<ConnId, Conn>, channel: Channel, inst: usize) -> Vec<ConnId> {
    having(conns, (channel, Some(inst)), None)
}

/// An account's subscribers of a private channel.
pub fn own_listeners(
    conns: &BTreeMap<ConnId, Conn>,
    account: AccountId,
    channel: Channel,
    of: usize,
) -> Vec<ConnId> {
    having(conns, (channel, Some(of)), Some(account))
}

/// Subscribers of `status`.
pub fn status_listeners(conns: &BTreeMap<ConnId, Conn>) -> Vec<ConnId> {
    having(conns, (Channel::Status, None), None)
}

fn having(conns: &BTreeMap<ConnId, Conn>, sub: Sub, account: Option<AccountId>) -> Vec<ConnId> {
    conns
        .iter()
        .filter(|(_, conn)| conn.subs.contains(&sub))
        .filter(|(_, conn)| account.is_none() || conn.account == account)
        .map(|(id, _)| *id)
        .collect()
}

/// What is wrong with a message; the second part is the reason.
struct Bad(&'static str, String);

fn bad(reason: impl Into<String>) -> Bad {
    Bad("Failed to subscribe", reason.into())
}

impl Coinbase {
    /// A text frame.
    pub(super) fn on_text(&mut self, id: ConnId, text: &str) {
        let now = self.core.now;
        if !self.conns.contains_key(&id) {
            return;
        }
        if !self.messages.take(now, 1) {
            self.error(id, &Bad("ErrSlowRead", String::new()));
            self.drop_conn(id, Some(1008));
            return;
        }
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            self.error(id, &Bad("Malformed JSON", String::new()));
            return;
        };
        let result = match message.get("type").and_then(Value::as_str) {
            Some("subscribe" | "unsubscribe") if !self.requests.take(now) => {
                Err(bad("rate limit exceeded")) // [U] the venue's words for it
            }
            Some("subscribe") => self.subscribe(id, &message),
            Some("unsubscribe") => self.unsubscribe(id, &message),
            _ => Err(Bad(
                "Type has to be either subscribe or unsubscribe",
                String::new(),
            )),
        };
        if let Err(bad) = result {
            let now = self.core.now;
            let text = format!("{}: {}", bad.0, bad.1);
            self.core.record.refused("subscribe", "", 0, &text, now);
            self.error(id, &bad);
        }
    }

    fn subscribe(&mut self, id: ConnId, message: &Value) -> Result<(), Bad> {
        let failed = |text: String| Bad("Authentication Failed", text);
        let account = auth::subscription(&self.core, message).transpose();
        let account = account.map_err(|Refused { text, .. }| failed(text))?;
        let wanted = self.wanted(message, account, false)?;
        let Some(conn) = self.conns.get(&id) else {
            return Ok(());
        };
        // One connection is one account's.
        if account.is_some() && conn.account.is_some() && conn.account != account {
            return Err(failed("Invalid API Key".to_owned()));
        }
        let fresh: Vec<Sub> = wanted.difference(&conn.subs).copied().collect();
        if let Some((channel, _)) = fresh.iter().find(|sub| self.is_full(account, **sub)) {
            let text = format!("{} subscription limit exceeded", channel.name()); // [U]
            return Err(bad(text));
        }
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.account = conn.account.or(account);
            conn.silent_until = None;
            conn.subs.extend(fresh.iter().copied());
        }
        if fresh.iter().any(|(channel, _)| *channel == Channel::User) {
            self.core.opened(id, Link::Private);
        }
        self.tell_subscriptions(id);
        for (channel, of) in fresh {
            match (channel, of, account) {
                (Channel::Balance, Some(asset), Some(account)) => {
                    if let Some(text) = balance_text(&self.core, account, asset) {
                        self.core.send(id, text);
                    }
                }
                (Channel::Status, ..) => {
                    let text = self.status();
                    self.core.send(id, text);
                }
                (_, Some(inst), _) => {
                    if let Some(feed) = self.feeds.get(inst) {
                        feed.subscribed(&mut self.core, channel, id);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn unsubscribe(&mut self, id: ConnId, message: &Value) -> Result<(), Bad> {
        let account = self.conns.get(&id).and_then(|conn| conn.account);
        // What was signed needs no signature to end.
        let wanted = self.wanted(message, account.or(Some(0)), true)?;
        if let Some(conn) = self.conns.get_mut(&id) {
            for sub in wanted {
                conn.subs.remove(&sub);
            }
        }
        self.tell_subscriptions(id);
        Ok(())
    }

    /// Whether an account has all the subscriptions of this kind it may have.
    fn is_full(&self, account: Option<AccountId>, sub: Sub) -> bool {
        let max = SUBSCRIPTIONS_MAX.saturating_mul(self.rate_factor as usize);
        account.is_some() && having(&self.conns, sub, account).len() >= max
    }

    /// Every channel and product of a message; without products all of them, or none where `is_all` is not.
    ///
    /// Errors: the first that is none, or is not signed.
    fn wanted(
        &self,
        message: &Value,
        account: Option<AccountId>,
        is_all: bool,
    ) -> Result<BTreeSet<Sub>, Bad> {
        let common = strings(message.get("product_ids"));
        let channels = message.get("channels").and_then(Value::as_array);
        let mut wanted = BTreeSet::new();
        for channel in channels.into_iter().flatten() {
            let (name, products, accounts) = match channel {
                Value::String(name) => (name.as_str(), common.clone(), Vec::new()),
                other => {
                    let name = other.get("name").and_then(Value::as_str).unwrap_or("");
                    let mut products = strings(other.get("product_ids"));
                    products.extend(common.iter().copied());
                    (name, products, strings(other.get("account_ids")))
                }
            };
            let known = Channel::of(name);
            let channel = known.ok_or_else(|| bad(format!("{name} is not a valid channel")))?;
            match account {
                None if channel == Channel::Level2 || channel == Channel::Full => {
                    let text = "level2, level3, and full channels now require authentication";
                    return Err(bad(text));
                }
                None if channel.is_signed() => {
                    return Err(bad(format!("{name} channel requires authentication"))); // [U]
                }
                _ => {}
            }
            match channel {
                Channel::Status => {
                    wanted.insert((channel, None));
                }
                Channel::Balance => {
                    wanted.extend(self.balances(account.unwrap_or(0), &accounts)?);
                }
                _ if products.is_empty() && is_all => {
                    wanted.extend((0..self.products.len()).map(|inst| (channel, Some(inst))));
                }
                _ if products.is_empty() => {
                    return Err(bad(format!("no product_ids for {name}"))); // [U]
                }
                _ => {
                    for product in products {
                        let inst = self.inst_of(product);
                        let text = || bad(format!("{product} is not a valid product"));
                        wanted.insert((channel, Some(inst.ok_or_else(text)?)));
                    }
                }
            }
        }
        if wanted.is_empty() {
            return Err(bad("no channels")); // [U]
        }
        Ok(wanted)
    }

    fn balances(&self, account: AccountId, ids: &[&str]) -> Result<Vec<Sub>, Bad> {
        let assets = super::reply::assets(&self.core);
        let find = |id: &&str| {
            let known = assets
                .iter()
                .find(|(_, at)| balance_id(account, *at) == **id);
            known
                .map(|(_, asset)| (Channel::Balance, Some(*asset)))
                .ok_or_else(|| bad(format!("{id} is not a valid account")))
        };
        ids.iter().map(find).collect()
    }

    /// The venue answers each message with the list of all that is subscribed.
    fn tell_subscriptions(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        let mut channels: Vec<Value> = Vec::new();
        for (_, channel) in NAMES {
            let of = conn.subs.iter().filter(|(known, _)| *known == channel);
            let of: Vec<Option<usize>> = of.map(|(_, of)| *of).collect();
            if of.is_empty() {
                continue;
            }
            let ids = of.iter().flatten();
            let (products, accounts) = if channel == Channel::Balance {
                let account = conn.account.unwrap_or(0);
                let ids: Vec<String> = ids.map(|asset| balance_id(account, *asset)).collect();
                (json!(null), json!(ids))
            } else {
                let ids: Vec<&String> = ids.filter_map(|inst| self.products.get(*inst)).collect();
                (json!(ids), json!(null))
            };
            channels.push(
                json!({"name": channel.name(), "product_ids": products, "account_ids": accounts}),
            );
        }
        let text = json!({"type": "subscriptions", "channels": channels});
        self.core.send(id, text.to_string());
    }

    fn error(&mut self, id: ConnId, Bad(message, reason): &Bad) {
        let mut text = json!({"type": "error", "message": message});
        if !reason.is_empty() {
            text["reason"] = json!(reason);
        }
        self.core.send(id, text.to_string());
    }
}

/// A message of the `balance` channel.
pub fn balance_text(core: &Core, account: AccountId, asset: usize) -> Option<String> {
    let assets = super::reply::assets(core);
    let known = assets.into_iter().find(|(_, known)| *known == asset)?;
    Some(balance(core, account, known))
}

fn strings(list: Option<&Value>) -> Vec<&str> {
    let list = list.and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}
