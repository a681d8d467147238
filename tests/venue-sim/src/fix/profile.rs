//! What differs from venue to venue at its FIX door, as data. The venues' own are in [`super::venues`].

use super::codec::Message;
use super::door::Name;
use crate::core::Core;
use crate::engine::{AccountId, PostOnly, Spec};
use crate::text;

/// A venue's FIX door.
#[derive(Debug)]
pub struct Profile {
    /// `FIX.4.4`, `FIXT.1.1`.
    pub begin: &'static str,
    /// Application version (1137) of FIXT.
    pub appl: Option<&'static str>,
    /// Names of the venue (TargetCompID of a client); a session at one that ends in `-MD` is for market data.
    pub targets: &'static [&'static str],
    /// Heartbeat intervals allowed, seconds: least, most, and where a logon names none.
    pub heartbeat_s: (u64, u64, u64),
    /// Numbers outlive a connection and what was sent is sent again; else both begin at 1 with each connection.
    pub keeps: bool,
    /// Every day at this time, milliseconds after midnight UTC, sessions are logged out and their numbers begin anew.
    pub rollover_ms: Option<i64>,
    /// How far SendingTime may be off, milliseconds.
    pub skew_ms: i64,
    /// Sessions of one key at a time.
    pub sessions_max: usize,
    /// Logons of one key in a window: how many, and how long in nanoseconds.
    pub logons: (u32, u64),
    /// Messages of a session in a window: above the first they are refused, above the second it is cut.
    pub messages: (u32, u32, u64),
    /// Who ends without a Logout may not come back for two heartbeats.
    pub waits_after_cut: bool,
    /// Who is logging on. Errors: why not, in the venue's words.
    pub log_on: fn(&Core, &Message) -> Result<Option<AccountId>, String>,
    /// What becomes of orders when the connection goes, by its logon.
    pub on_cut: fn(&Message) -> OnCut,
    /// How books are told to who does not say how.
    pub books: Books,
    /// Application messages taken; any other gets a BusinessMessageReject.
    pub kinds: &'static [&'static str],
    /// How orders are spoken of.
    pub words: Words,
}

/// How a venue tells books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Books {
    /// Levels; the session's numbers are the chain.
    Levels,
    /// Levels, with the numbers of the book (25043, 25044).
    Numbered,
    /// Levels, with the checksum of the ten best after each change (5041).
    Checked,
    /// Levels in contracts, of the size told with them (231); and so are the quantities of orders.
    Contracts,
    /// Single orders, with numbers (83), unless a depth is asked for.
    Orders,
}

impl Books {
    /// Whether a message names its symbol once, before its entries.
    pub const fn names_once(self) -> bool {
        matches!(self, Self::Checked | Self::Contracts)
    }

    /// A quantity as the venue tells it.
    pub fn qty(self, spec: &Spec, qty: i64) -> String {
        match self {
            Self::Contracts => (qty / spec.lot).to_string(),
            _ => text::qty(spec, qty),
        }
    }
}

/// Sessions agreed with one client, where a gateway has such: they take the place of the profile's names and check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The client's names, one a session.
    pub clients: Vec<String>,
    /// The gateway's.
    pub gateway: String,
    /// Password (554); none is asked for when it is empty.
    pub password: String,
    /// Heartbeat interval, seconds: no other is taken.
    pub heartbeat_s: u64,
    /// Numbers begin anew with every logon, flag or no flag.
    pub resets: bool,
}

impl Default for Agreed {
    fn default() -> Self {
        let names = ["SPINLANE", "SPINLANE-MD"];
        Self {
            clients: names.map(str::to_owned).to_vec(),
            gateway: "YOFX".to_owned(),
            password: crate::keys::DEFAULT_KEY.2.to_owned(),
            heartbeat_s: 30,
            resets: false,
        }
    }
}

impl Agreed {
    /// Whether a logon is one of these; all trade for the first account. Errors: why not.
    pub fn check(&self, name: &Name, logon: &Message) -> Result<Option<AccountId>, String> {
        if !self.clients.contains(&name.0) || self.gateway != name.1 {
            return Err("unknown session".to_owned());
        }
        if !self.password.is_empty() && logon.text(554) != self.password {
            return Err("wrong password".to_owned());
        }
        Ok(Some(1))
    }
}

/// What is cancelled when a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCut {
    /// Nothing.
    Keep,
    /// Orders of the session.
    Session,
    /// All orders of the account.
    Account,
}

/// How a venue speaks of orders.
#[derive(Debug)]
pub struct Words {
    /// Values of ExecInst (18) that ask for post-only, and what becomes of such an order that crosses.
    pub post_only: &'static [(&'static str, PostOnly)],
    /// What is left of IOC and FOK is `Expired` instead of `Canceled`.
    pub expires: bool,
    /// The field with a trade's number.
    pub trade_tag: u32,
    /// The field with a refusal's code, where the venue has codes.
    pub code_tag: Option<u32>,
    /// Which client ids may be.
    pub is_client_id: fn(&str) -> bool,
    /// A cancel or an amendment reaches only orders of its session.
    pub own_session_only: bool,
    /// A report's ClOrdID (11) is the venue's id and OrigClOrdID (41) the client's, and so in requests.
    pub swaps_ids: bool,
    /// Refusals of messages are a Reject (3) instead of a BusinessMessageReject.
    pub rejects_with_3: bool,
    /// Orders in a batch at most; a batch has a number (8014) at Coinbase alone.
    pub batch_max: usize,
    /// Smallest order value in quote, whole units; 0 = the instrument's.
    pub notional_min: u32,
    /// Open orders of an account in an instrument.
    pub open_max: usize,
    /// Refusals: reason, code, text. The last one stands for all that are not here.
    pub refusals: &'static [(Why, Refusal)],
}

/// A refusal in the venue's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// OrdRejReason (103), or CxlRejReason (102) of cancels.
    pub reason: u32,
    /// The venue's code; 0 = none.
    pub code: i64,
    /// Text (58).
    pub text: &'static str,
}

impl Words {
    /// The words for a refusal.
    pub fn refusal(&self, why: Why) -> Refusal {
        let found = self.refusals.iter().find(|(known, _)| *known == why);
        let other = self.refusals.last();
        found.or(other).map_or(
            Refusal {
                reason: 99,
                code: 0,
                text: "refused",
            },
            |(_, refusal)| refusal.clone(),
        )
    }
}

/// Why a request about an order is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// No such instrument.
    Symbol,
    /// No price, or none that may be.
    Price,
    /// The price is no multiple of the tick.
    Tick,
    /// No quantity, or none that may be.
    Qty,
    /// The value is below the least.
    Notional,
    /// Not enough money.
    Balance,
    /// Post-only and it would take.
    WouldTake,
    /// The client id is missing, misshapen.
    ClientId,
    /// The client id is in use.
    Duplicate,
    /// No such order.
    Unknown,
    /// The order is over.
    Done,
    /// The amendment cannot be.
    Amend,
    /// Too many open orders.
    TooMany,
    /// Too fast.
    TooFast,
    /// Nobody knows what became of it.
    Timeout,
    /// A kind of order that is not there.
    Unsupported,
}

/// An entry of [`Words::refusals`].
pub const fn refusal(why: Why, reason: u32, code: i64, text: &'static str) -> (Why, Refusal) {
    (why, Refusal { reason, code, text })
}
