//! Venue code → [`RejectReason`], total: a code without a name is `Other`, counted and treated as refused.
//!
//! Three sorts matter more than their names: codes that leave the outcome open (`UnknownOutcome`: the order is
//! asked about, never sent again), codes that stop us for rate, which end the session too, and codes that say the
//! login has lapsed.
//! Source: venue page, section 4, read 2026-11-20. A newer overview of the venue gives other meanings to 10002 to
//! 11001; the page's list is the one its clients rely on.

use dp_types::RejectReason;

/// "Too many requests": the session ends with it.
pub const TOO_MANY_REQUESTS: i32 = 10_028;
/// "Order not found."
pub const ORDER_NOT_FOUND: i32 = 10_004;

/// Our name for one of the venue's codes; 0 is success.
pub const fn reason(code: i32) -> RejectReason {
    match code {
        0 => RejectReason::None,
        // 10001 is an error without a name, 11094 an internal one, 13888 a time that ran out: it may have been done.
        10_001 | 11_094 | 13_888 | -32_603 => RejectReason::UnknownOutcome,
        10_028 | 10_066 => RejectReason::RateLimit,
        10_000 | 13_004 | 13_009 => RejectReason::Auth,
        10_029 => RejectReason::Permission,
        10_004 | 10_010 | 11_008 | 11_044 => RejectReason::UnknownOrder,
        10_005 | 10_007 | 10_011 => RejectReason::PriceBand,
        10_009 => RejectReason::InsufficientFunds,
        // 13020 ("not found") is not on the page [U]; for an instrument it means that there is none.
        10_012 | 10_020 | 13_020 => RejectReason::BadSymbol,
        10_002 | 10_021 | 10_023 | 10_026 | 10_032 | 10_043 | 11_029 => RejectReason::Invalid,
        -32_700 | -32_602..=-32_600 => RejectReason::Invalid,
        11_054 => RejectReason::PostOnlyCross,
        10_040 | 10_041 | 10_047 | 11_051 | 13_028 => RejectReason::VenueDown,
        _ => RejectReason::Other,
    }
}

/// Whether the venue stops us for rate. 10066 ("too many concurrent requests") only refuses the one request.
pub const fn is_rate_stop(code: i32) -> bool {
    code == TOO_MANY_REQUESTS
}

/// Our name for an HTTP status that came without a readable body. 5xx leaves the outcome open.
pub const fn reason_of_status(status: u16) -> RejectReason {
    match status {
        200..=299 => RejectReason::None,
        401 | 403 => RejectReason::Auth,
        429 => RejectReason::RateLimit,
        0 | 500..=599 => RejectReason::UnknownOutcome,
        _ => RejectReason::Invalid,
    }
}

/// Whether a `cancel_reason` says that a post-only order would have taken, when it came or when it was edited.
pub fn is_post_only(cancel_reason: &str) -> bool {
    matches!(cancel_reason, "reject_post_only" | "edit_post_only_reject")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_codes() {
        for (code, expected) in [
            (0, RejectReason::None),
            (13_888, RejectReason::UnknownOutcome),
            (TOO_MANY_REQUESTS, RejectReason::RateLimit),
            (10_066, RejectReason::RateLimit),
            (13_009, RejectReason::Auth),
            (13_004, RejectReason::Auth),
            (ORDER_NOT_FOUND, RejectReason::UnknownOrder),
            (10_010, RejectReason::UnknownOrder),
            (10_007, RejectReason::PriceBand),
            (10_009, RejectReason::InsufficientFunds),
            (10_041, RejectReason::VenueDown),
            (10_043, RejectReason::Invalid),
            (11_054, RejectReason::PostOnlyCross),
            (-32_602, RejectReason::Invalid),
            (10_003, RejectReason::Other),
            (-7, RejectReason::Other),
            (i32::MIN, RejectReason::Other),
        ] {
            assert_eq!(reason(code), expected, "{code}");
        }
        assert!(is_rate_stop(TOO_MANY_REQUESTS) && !is_rate_stop(10_066));
    }

    #[test]
    fn only_success_is_none() {
        for code in (-40_000..0).chain(1..=40_000) {
            assert_ne!(reason(code), RejectReason::None, "{code}");
        }
        for status in (0..200).chain(300..=999) {
            assert_ne!(reason_of_status(status), RejectReason::None, "{status}");
        }
    }
}
