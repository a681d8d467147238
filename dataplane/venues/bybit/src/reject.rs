//! Venue codes → [`RejectReason`]: total, and safe where it is not sure.
//!
//! A code that leaves the outcome open maps to [`RejectReason::UnknownOutcome`]: the order is asked about, never
//! taken for refused. Source: venue page, sections 4.2 and 4.3, read 2026-11-20; more of spot's codes (1701xx): the
//! table of errors in ccxt 4.5.90, read 2026-11-22.

use dp_types::RejectReason;

/// Our name for a `retCode`, of the envelope or of an item of a batch.
pub const fn reason(code: i32) -> RejectReason {
    match code {
        0 => RejectReason::None,
        // The venue's own timeout, its internal error or restart: it may have been done.
        10000 | 10016 => RejectReason::UnknownOutcome,
        // What we asked for twice is still being carried out.
        110079 => RejectReason::UnknownOutcome,
        10019 | 10429 => RejectReason::VenueDown,
        10006 | 10403 | 110020 | 170005 | 170810 => RejectReason::RateLimit,
        10002 => RejectReason::Timestamp,
        10003 | 10004 | 20001 => RejectReason::Auth,
        10005 | 10010 => RejectReason::Permission,
        20006 | 110072 | 170141 => RejectReason::DuplicateId,
        110001 | 110008 | 110010 | 170213 => RejectReason::UnknownOrder,
        110004 | 110007 | 110012 | 110045 | 170131 => RejectReason::InsufficientFunds,
        110003 | 170132 | 170133 | 170193 | 170194 => RejectReason::PriceBand,
        170121 => RejectReason::BadSymbol,
        170218 => RejectReason::PostOnlyCross,
        10001 | 10404 | 110017 | 110064 | 110094 => RejectReason::Invalid,
        170115..=170117 | 170124 | 170130 | 170134..=170137 | 170140 | 170148 => {
            RejectReason::Invalid
        }
        _ => RejectReason::Other,
    }
}

/// The trade service restarts: it takes nothing new on this connection.
pub const TRADE_RESTARTING: i32 = 10019;
/// The link is logged in already.
pub const LOGGED_IN_ALREADY: i32 = 20001;

/// Whether the venue refused for its rate limits: nothing of the kind may be sent before its next window. (Too
/// many open orders is also [`RejectReason::RateLimit`], and no reason to stop.)
pub const fn is_rate_stop(code: i32) -> bool {
    matches!(code, 10006 | 10403 | 10429 | 170005)
}

/// Our name for an HTTP status that came without a readable body. 5xx leaves the outcome open. 403 is the
/// address's limit (or its country, which also is no reason to go on).
pub const fn reason_of_status(status: u16) -> RejectReason {
    match status {
        200..=299 => RejectReason::None,
        401 => RejectReason::Auth,
        403 | 429 => RejectReason::RateLimit,
        0 | 500..=599 => RejectReason::UnknownOutcome,
        _ => RejectReason::Invalid,
    }
}

/// Our name for the `rejectReason` of an order that ended.
pub const fn reason_of_word(word: &[u8]) -> RejectReason {
    match word {
        b"" | b"EC_NoError" => RejectReason::None,
        b"EC_PostOnlyWillTakeLiquidity" => RejectReason::PostOnlyCross,
        b"EC_OrigClOrdIDDoesNotExist" => RejectReason::UnknownOrder,
        _ => RejectReason::Other,
    }
}

/// Whether a `rejectReason` is the order's own terms: what an IOC left, or a FOK that could not be filled whole.
pub const fn is_own_terms(word: &[u8]) -> bool {
    matches!(word, b"EC_NoImmediateQtyToFill" | b"EC_CancelForNoFullFill")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_codes() {
        for (code, expected) in [
            (0, RejectReason::None),
            (10000, RejectReason::UnknownOutcome),
            (10016, RejectReason::UnknownOutcome),
            (10002, RejectReason::Timestamp),
            (10004, RejectReason::Auth),
            (10006, RejectReason::RateLimit),
            (10019, RejectReason::VenueDown),
            (20006, RejectReason::DuplicateId),
            (110001, RejectReason::UnknownOrder),
            (110003, RejectReason::PriceBand),
            (110007, RejectReason::InsufficientFunds),
            (110072, RejectReason::DuplicateId),
            (110094, RejectReason::Invalid),
            (170121, RejectReason::BadSymbol),
            (170131, RejectReason::InsufficientFunds),
            (170134, RejectReason::Invalid),
            (170137, RejectReason::Invalid),
            (170194, RejectReason::PriceBand),
            (170218, RejectReason::PostOnlyCross),
            (-7, RejectReason::Other),
            (99_999, RejectReason::Other),
        ] {
            assert_eq!(reason(code), expected, "{code}");
        }
        assert!(is_rate_stop(10006) && !is_rate_stop(110020));
    }

    #[test]
    fn only_success_is_none() {
        for code in 1..=200_000 {
            assert_ne!(reason(code), RejectReason::None, "{code}");
            assert!(!is_rate_stop(code) || reason(code) != RejectReason::Other);
        }
        for status in (0..200).chain(300..=999) {
            assert_ne!(reason_of_status(status), RejectReason::None, "{status}");
        }
    }
}
