//! Venue word → [`RejectReason`], total: a word without a name is `Other`, counted and treated as refused.
//!
//! ```text
//! Unified    "EOrder:Insufficient funds"       category, colon, text, sometimes a detail behind it
//! legacy     "insufficientAvailableFunds"      status of an order that was not placed, or error of a request
//! ```
//! The venue has no numbers. Ours are places in the tables below, from 1 and from 1001; new words go to the end of
//! a table, so that a code in a journal keeps its meaning. Three sorts matter more than their names: words that
//! leave the outcome open (the order is asked about, never sent again), words that stop us for rate, and the rest,
//! where nothing was done. That derivatives are refused in the words of the spot market is [U].
//! Source: venue page, sections 4 and 5; `kraken.md`, section 4.3; read 2026-11-20.

use dp_types::RejectReason;
use dp_types::RejectReason as R;

/// A refusal: our number of the venue's word, and our name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Place in the tables; [`CODE_OTHER`] for a word that is in none.
    pub code: i32,
    /// What it is to us.
    pub reason: RejectReason,
}

/// The number of a word we do not know.
pub const CODE_OTHER: i32 = -1;
/// The number before the first legacy word.
const LEGACY_BASE: i32 = 1_000;

/// Words of the Unified WebSocket and of spot REST, by how they begin; the first that fits counts.
const UNIFIED: [(&str, RejectReason); 36] = [
    ("EOrder:Insufficient funds", R::InsufficientFunds),
    ("EOrder:Insufficient margin", R::InsufficientFunds),
    ("EOrder:Margin allowance exceeded", R::InsufficientFunds),
    ("EOrder:Margin level too low", R::InsufficientFunds),
    ("EOrder:Post only order", R::PostOnlyCross),
    ("EOrder:Rate limit exceeded", R::RateLimit),
    ("EOrder:Domain rate limit exceeded", R::RateLimit),
    ("EOrder:Orders limit exceeded", R::RateLimit),
    ("EOrder:Positions limit exceeded", R::Invalid),
    ("EOrder:Unknown order", R::UnknownOrder),
    ("EOrder:Unknown position", R::Invalid),
    ("EOrder:Invalid price", R::Invalid),
    ("EOrder:Order minimum not met", R::Invalid),
    ("EOrder:Cost minimum not met", R::Invalid),
    ("EOrder:Tick size check failed", R::Invalid),
    ("EOrder:Reduce only", R::Invalid),
    ("EOrder:Trading agreement required", R::Permission),
    ("EGeneral:Invalid arguments", R::Invalid),
    ("EGeneral:Permission denied", R::Permission),
    ("EGeneral:Temporary lockout", R::RateLimit),
    ("EGeneral:Internal error", R::UnknownOutcome),
    ("EAPI:Invalid key", R::Auth),
    ("EAPI:Invalid signature", R::Auth),
    ("EAPI:Invalid nonce", R::Timestamp),
    ("EAPI:Rate limit exceeded", R::RateLimit),
    ("EAPI:Bad request", R::Invalid),
    ("EService:Unavailable", R::VenueDown),
    ("EService:Busy", R::VenueDown),
    ("EService:Market in", R::BadSymbol), // cancel_only or post_only mode
    ("EService:Deadline elapsed", R::Timestamp),
    ("EService:Timeout", R::UnknownOutcome),
    ("EService:", R::UnknownOutcome), // what else a service says need not be all it did
    ("ESession:", R::Auth),
    ("EAuth:", R::Auth),
    ("Currency pair not supported", R::BadSymbol),
    ("Exceeded msg rate", R::RateLimit),
];

/// Words of the legacy interface, compared whole.
const LEGACY: [(&str, RejectReason); 45] = [
    ("invalidOrderType", R::Invalid),
    ("invalidSide", R::Invalid),
    ("invalidSize", R::Invalid),
    ("invalidPrice", R::Invalid),
    ("insufficientAvailableFunds", R::InsufficientFunds),
    ("selfFill", R::Other),
    ("tooManySmallOrders", R::RateLimit),
    ("maxPositionViolation", R::Invalid),
    ("marketSuspended", R::BadSymbol),
    ("marketInactive", R::BadSymbol),
    ("clientOrderIdAlreadyExist", R::DuplicateId),
    ("clientOrderIdTooLong", R::Invalid),
    ("clientOrderIdInvalid", R::Invalid),
    ("outsidePriceCollar", R::PriceBand),
    ("postWouldExecute", R::PostOnlyCross),
    ("iocWouldNotExecute", R::Other),
    ("wouldNotReducePosition", R::Invalid),
    ("reduceOnlyWouldIncreasePosition", R::Invalid),
    ("wouldCauseLiquidation", R::InsufficientFunds),
    ("orderForEditNotFound", R::UnknownOrder),
    ("notFound", R::UnknownOrder),
    ("attempted", R::UnknownOutcome),
    ("filled", R::UnknownOrder), // a cancel that came too late
    ("apiLimitExceeded", R::RateLimit),
    ("authenticationError", R::Auth),
    ("nonceBelowThreshold", R::Timestamp),
    ("nonceDuplicate", R::Timestamp),
    ("requiredArgumentMissing", R::Invalid),
    ("invalidArgument", R::Invalid),
    ("marketUnavailable", R::BadSymbol),
    ("accountInactive", R::Permission),
    ("Server Error", R::UnknownOutcome),
    ("Unavailable", R::VenueDown),
    ("POST_WOULD_EXECUTE", R::PostOnlyCross),
    ("IOC_WOULD_NOT_EXECUTE", R::Other),
    ("market_suspended", R::BadSymbol),
    ("market_inactive", R::BadSymbol),
    ("not_enough_margin", R::InsufficientFunds),
    ("contract_expired", R::BadSymbol),
    ("cancelled_by_admin", R::Other),
    ("would_execute_self", R::Other),
    ("would_not_reduce_position", R::Invalid),
    ("liquidation", R::InsufficientFunds),
    (
        "post_order_failed_because_it_would_filled",
        R::PostOnlyCross,
    ),
    (
        "ioc_order_failed_because_it_would_not_be_executed",
        R::Other,
    ),
];

const fn other() -> Refusal {
    Refusal {
        code: CODE_OTHER,
        reason: R::Other,
    }
}

/// What an `error` of the Unified WebSocket or of spot REST means.
pub fn unified(text: &str) -> Refusal {
    UNIFIED
        .iter()
        .zip(1..)
        .find(|((word, _), _)| text.starts_with(word))
        .map_or(other(), |((_, reason), code)| Refusal {
            code,
            reason: *reason,
        })
}

/// What a status or error of the legacy interface means.
pub fn legacy(word: &str) -> Refusal {
    LEGACY
        .iter()
        .zip(LEGACY_BASE + 1..)
        .find(|((known, _), _)| *known == word)
        .map_or(other(), |((_, reason), code)| Refusal {
            code,
            reason: *reason,
        })
}

/// Our name for an HTTP status that came without a readable body. 5xx leaves the outcome open.
pub const fn reason_of_status(status: u16) -> RejectReason {
    match status {
        200..=299 => R::None,
        401 | 403 => R::Auth,
        429 => R::RateLimit,
        0 | 500..=599 => R::UnknownOutcome,
        _ => R::Invalid,
    }
}

/// The venue's words when a post-only order that was accepted would take.
pub const POST_ONLY_WORDS: &str = "Post only order";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_words() {
        for (text, code, reason) in [
            ("EOrder:Insufficient funds", 1, R::InsufficientFunds),
            ("EOrder:Post only order", 5, R::PostOnlyCross),
            ("EOrder:Rate limit exceeded", 6, R::RateLimit),
            ("EGeneral:Invalid arguments:limit_price", 18, R::Invalid),
            ("EService:Market in post_only mode", 29, R::BadSymbol),
            ("EService:Timeout", 31, R::UnknownOutcome),
            ("EService:Throttled", 32, R::UnknownOutcome),
            ("ESession:Invalid session", 33, R::Auth),
            ("EOrder:Something new", CODE_OTHER, R::Other),
            ("", CODE_OTHER, R::Other),
        ] {
            assert_eq!(unified(text), Refusal { code, reason }, "{text}");
        }
        for (word, code, reason) in [
            ("invalidOrderType", 1_001, R::Invalid),
            ("insufficientAvailableFunds", 1_005, R::InsufficientFunds),
            ("notFound", 1_021, R::UnknownOrder),
            ("apiLimitExceeded", 1_024, R::RateLimit),
            ("POST_WOULD_EXECUTE", 1_034, R::PostOnlyCross),
            ("notFoundAtAll", CODE_OTHER, R::Other),
        ] {
            assert_eq!(legacy(word), Refusal { code, reason }, "{word}");
        }
    }

    #[test]
    fn no_word_hides_another_and_no_refusal_is_none() {
        for (at, (word, reason)) in UNIFIED.iter().enumerate() {
            assert_eq!(unified(word).code, at as i32 + 1, "{word}");
            assert_ne!(*reason, R::None, "{word}");
        }
        for (at, (word, _)) in LEGACY.iter().enumerate() {
            assert_eq!(legacy(word).code, LEGACY_BASE + at as i32 + 1, "{word}");
        }
        for status in (0..200).chain(300..=999) {
            assert_ne!(reason_of_status(status), R::None, "{status}");
        }
    }
}
