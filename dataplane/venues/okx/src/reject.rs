//! Venue code → [`RejectReason`], total: a code without a name is `Other`, counted and treated as
//! refused.
//!
//! Three sorts matter more than their names: codes that leave the outcome open (`UnknownOutcome`:
//! the order is asked about, never sent again), codes that stop us for rate, and the rest, where
//! nothing was done.
//! Source: venue page, section 4.2, read 2026-11-20.

use dp_types::RejectReason;

/// Our name for one of the venue's codes; 0 is success.
pub const fn reason(code: i32) -> RejectReason {
    match code {
        0 => RejectReason::None,
        // 50004 is the venue's own timeout, 50026 and 63999 its internal errors: it may have been
        // done.
        50004 | 50026 | 63999 => RejectReason::UnknownOutcome,
        50001 | 50013 | 64008 => RejectReason::VenueDown,
        50011 | 50061 | 60014 => RejectReason::RateLimit,
        50102 | 60004 | 60006 => RejectReason::Timestamp,
        50103..=50107 | 50111 | 50113 | 60001 | 60005 | 60007 | 60009 => RejectReason::Auth,
        60011 => RejectReason::Permission,
        // 51019 is, by the venue's list, a rule of options under cross margin; not a post-only
        // refusal.
        50014 | 50036 | 51000 | 51015 | 51019 | 51020 | 51121 | 51403 | 60012 => {
            RejectReason::Invalid
        }
        51001 | 60018 => RejectReason::BadSymbol,
        51004 | 51008 | 51119 | 51127 | 51131 => RejectReason::InsufficientFunds,
        51006 | 51136..=51138 | 54084 | 54085 => RejectReason::PriceBand,
        51016 => RejectReason::DuplicateId,
        51400..=51402 | 51410 | 51503 | 51509 | 51603 => RejectReason::UnknownOrder,
        _ => RejectReason::Other,
    }
}

/// Whether the venue refused for rate: nothing may be sent before its next window.
pub const fn is_rate_stop(code: i32) -> bool {
    matches!(reason(code), RejectReason::RateLimit)
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

/// The venue's `cancelSource` for a post-only order that would have taken.
pub const CANCEL_POST_ONLY: &[u8] = b"31";
/// `cancelSource` of a fill-or-kill that could not be filled whole.
pub const CANCEL_FOK: &[u8] = b"13";
/// `cancelSource` of what an immediate-or-cancel left.
pub const CANCEL_IOC: &[u8] = b"14";
/// The words of `cancelSourceReason` beside [`CANCEL_POST_ONLY`]; either is enough.
pub const POST_ONLY_WORDS: &[u8] = b"POST_ONLY would take liquidity";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_codes() {
        for (code, expected) in [
            (0, RejectReason::None),
            (50004, RejectReason::UnknownOutcome),
            (50011, RejectReason::RateLimit),
            (50061, RejectReason::RateLimit),
            (50102, RejectReason::Timestamp),
            (50105, RejectReason::Auth),
            (51001, RejectReason::BadSymbol),
            (51006, RejectReason::PriceBand),
            (51008, RejectReason::InsufficientFunds),
            (51016, RejectReason::DuplicateId),
            (51019, RejectReason::Invalid),
            (51121, RejectReason::Invalid),
            (51400, RejectReason::UnknownOrder),
            (60009, RejectReason::Auth),
            (64008, RejectReason::VenueDown),
            (-7, RejectReason::Other),
            (99_999, RejectReason::Other),
        ] {
            assert_eq!(reason(code), expected, "{code}");
        }
    }

    #[test]
    fn only_success_is_none() {
        for code in 1..=100_000 {
            assert_ne!(reason(code), RejectReason::None, "{code}");
        }
        for status in (0..200).chain(300..=999) {
            assert_ne!(reason_of_status(status), RejectReason::None, "{status}");
        }
    }
}
