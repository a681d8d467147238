//! Venue code → [`RejectReason`], total: a code without a name is `Other`, counted and treated as refused.
//!
//! One code, 400100, stands for any wrong parameter, and only its words tell an id in use and an order that is
//! not there from the rest.
//! Source: venue page, sections 1.2 and 4.5, read 2026-11-20.

use dp_types::RejectReason;

/// The venue's word for success.
pub const SUCCESS: i32 = 200_000;
/// Any wrong parameter; `msg` says which.
const BAD_PARAMETER: i32 = 400_100;

/// Whether `text` holds `word`, by ASCII letters of either case.
fn holds(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    text.windows(word.len())
        .any(|window| window.eq_ignore_ascii_case(word))
}

/// Our name for one of the venue's codes and its words.
pub fn reason(code: i32, text: &str) -> RejectReason {
    match code {
        SUCCESS => RejectReason::None,
        200_004 | 126_013 | 230_003 | 300_003 => RejectReason::InsufficientFunds,
        429_000 | 1_015 | 509 => RejectReason::RateLimit,
        126_033 | 126_044 => RejectReason::DuplicateId,
        126_043 | 100_001 => RejectReason::UnknownOrder,
        BAD_PARAMETER if holds(text, "clientOidDuplicated") => RejectReason::DuplicateId,
        // "order not exist" on the page; the venue's older answers write it with underscores.
        BAD_PARAMETER if holds(text, "not exist") || holds(text, "not_exist") => {
            RejectReason::UnknownOrder
        }
        // The last two are of sizes and funds that do not fit the rules.
        BAD_PARAMETER | 300_000 | 400 | 406 | 415 | 600_100 | 600_101 => RejectReason::Invalid,
        // Parameter errors of the order link: 4001002 and its like.
        4_001_000..=4_001_999 => RejectReason::Invalid,
        900_001 | 900_003 | 404 => RejectReason::BadSymbol,
        260_100 | 400_007 => RejectReason::Permission,
        400_002 => RejectReason::Timestamp,
        400_001 | 400_003..=400_006 | 400_008 | 400_009 | 400_011 | 400_012 | 401 | 403 => {
            RejectReason::Auth
        }
        // Its internal errors: it may have been done.
        500_000..=599_999 | 500 => RejectReason::UnknownOutcome,
        _ => RejectReason::Other,
    }
}

/// Our name for the words of an order refused among several, which come without a code [U: all but the first two].
/// Words that leave the outcome open are told as that.
pub fn reason_of_words(text: &str) -> RejectReason {
    const WORDS: [(&str, RejectReason); 9] = [
        ("insufficient", RejectReason::InsufficientFunds),
        ("duplicate", RejectReason::DuplicateId),
        ("internal", RejectReason::UnknownOutcome),
        ("timeout", RejectReason::UnknownOutcome),
        ("too many request", RejectReason::RateLimit),
        ("invalid", RejectReason::Invalid),
        ("increment", RejectReason::Invalid),
        ("empty", RejectReason::Invalid),
        ("minimum", RejectReason::Invalid),
    ];
    let named = WORDS.iter().find(|(word, _)| holds(text, word));
    named.map_or(RejectReason::Other, |(_, reason)| *reason)
}

/// Whether the venue refused for rate: nothing may be sent on that pool for a while.
pub const fn is_rate_stop(reason: RejectReason) -> bool {
    matches!(reason, RejectReason::RateLimit)
}

/// Our name for an HTTP status that came without a readable body. 5xx leaves the outcome open.
pub const fn reason_of_status(status: u16) -> RejectReason {
    match status {
        200..=299 => RejectReason::None,
        401 | 403 => RejectReason::Auth,
        429 => RejectReason::RateLimit,
        // 408: the gateway waited in vain.
        0 | 408 | 500..=599 => RejectReason::UnknownOutcome,
        _ => RejectReason::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_codes() {
        for (code, text, expected) in [
            (200_000, "", RejectReason::None),
            (
                200_004,
                "Balance insufficient!",
                RejectReason::InsufficientFunds,
            ),
            (429_000, "", RejectReason::RateLimit),
            (400_100, "clientOidDuplicated", RejectReason::DuplicateId),
            (400_100, "order not exist", RejectReason::UnknownOrder),
            (
                400_100,
                "order_not_exist_or_not_allow_to_cancel",
                RejectReason::UnknownOrder,
            ),
            (400_100, "price increment invalid", RejectReason::Invalid),
            (126_043, "", RejectReason::UnknownOrder),
            (
                600_100,
                "Order size increment invalid.",
                RejectReason::Invalid,
            ),
            (900_001, "", RejectReason::BadSymbol),
            (260_100, "", RejectReason::Permission),
            (400_002, "", RejectReason::Timestamp),
            (400_011, "", RejectReason::Auth),
            (4_001_002, "", RejectReason::Invalid),
            (500_000, "", RejectReason::UnknownOutcome),
            (0, "", RejectReason::Other),
            (-7, "", RejectReason::Other),
        ] {
            assert_eq!(reason(code, text), expected, "{code} {text}");
        }
    }

    #[test]
    fn only_success_is_none() {
        for code in (-10..SUCCESS).chain(SUCCESS + 1..5_000_000) {
            assert_ne!(reason(code, ""), RejectReason::None, "{code}");
        }
        for status in (0..200).chain(300..=999) {
            assert_ne!(reason_of_status(status), RejectReason::None, "{status}");
        }
    }
}
