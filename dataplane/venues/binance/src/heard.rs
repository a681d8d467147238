//! What a message means for the session, beside the events it made.

use crate::limits::{USAGES_MAX, Usage};
use dp_types::{ClientOrderId, InstrumentId, OrderId, RejectReason};

/// What a message means for the session, beside the events it made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// What to do about it.
    pub notice: Notice,
    /// The venue refused for rate.
    pub stop: Option<Stop>,
    /// The venue refused a new order because the count of orders is used up.
    pub is_full: bool,
    /// The venue's own counts.
    pub usages: [Option<Usage>; USAGES_MAX],
}

/// Something the session acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Notice {
    /// Nothing.
    #[default]
    None,
    /// The venue will close this link.
    ClosingSoon,
    /// Funding was paid: which, the venue must be asked.
    Funded,
    /// The user data subscription ended.
    StreamEnded,
    /// `session.logon` accepted.
    LoggedOn,
    /// The user data subscription is on.
    UserStreamOn,
    /// Logon or subscription refused, or the key was revoked.
    Refused(RejectReason),
    /// One order was found; its fills are worth asking for.
    Found(InstrumentId, ClientOrderId, OrderId),
}

/// A refusal for rate (429) or a ban (418).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// A ban.
    pub is_ban: bool,
    /// Unix milliseconds the venue named; 0 = it did not.
    pub until_ms: u64,
}

impl From<Notice> for Heard {
    fn from(notice: Notice) -> Self {
        Self {
            notice,
            ..Self::default()
        }
    }
}
