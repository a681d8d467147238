//! Venue code and message → [`RejectReason`], total: what has no name is `Other`, counted, treated as refused.
//!
//! The code alone does not tell: -2010 and -1013 stand for many things, and their English text is the
//! only difference. Three sorts matter more than their names: codes that leave the outcome open
//! (`UnknownOutcome`: the order is asked about, never sent again), refusals for rate (everything stops),
//! and the rest, where nothing was done.
//! Source: venue page, section 4.4, read 2026-11-20; fixtures `entry_reject_*.json`.

use dp_types::RejectReason;

/// Our name for a code and its message; 0 is success.
pub fn reason(code: i32, message: &str) -> RejectReason {
    match code {
        0 => RejectReason::None,
        // -1000 is "unknown error while processing"; -1006, -1007: no answer from the engine in time.
        -1000 | -1006 | -1007 => RejectReason::UnknownOutcome,
        -1001 | -1008 | -1016 => RejectReason::VenueDown,
        -1003 | -1015 | -1034 => RejectReason::RateLimit,
        -1021 => RejectReason::Timestamp,
        // -4056: this kind of key has no session.
        -1002 | -1022 | -1099 | -2014 | -2015 | -4056 => RejectReason::Auth,
        -1121 => RejectReason::BadSymbol,
        -1013 => filter(message),
        -1010 | -2010 | -2011 | -2038 => engine(code, message),
        -2013 | -2026 => RejectReason::UnknownOrder,
        -2018 | -2019 => RejectReason::InsufficientFunds,
        -1014 | -1020 | -1100..=-1030 | -1199..=-1101 | -2016 | -2021 | -2022 | -2039 => {
            RejectReason::Invalid
        }
        _ => RejectReason::Other,
    }
}

/// -1013: a filter, or a check before the engine.
fn filter(message: &str) -> RejectReason {
    if message.contains("PERCENT_PRICE") {
        RejectReason::PriceBand
    } else if message.contains("Market is closed") || message.contains("trading is not enabled") {
        RejectReason::BadSymbol
    } else {
        RejectReason::Invalid
    }
}

/// What the engine says in words: new orders (-2010), cancels (-2011), amends (-2038).
fn engine(code: i32, message: &str) -> RejectReason {
    const WORDS: [(&str, RejectReason); 12] = [
        ("insufficient balance", RejectReason::InsufficientFunds),
        ("Duplicate order sent", RejectReason::DuplicateId),
        ("immediately match and take", RejectReason::PostOnlyCross),
        ("Unknown order sent", RejectReason::UnknownOrder),
        ("Market is closed", RejectReason::BadSymbol),
        ("not supported for this symbol", RejectReason::BadSymbol),
        ("not permitted for this symbol", RejectReason::BadSymbol),
        ("not yet launched", RejectReason::BadSymbol),
        ("may not place or cancel", RejectReason::Permission),
        ("not authorized", RejectReason::Permission),
        ("This action is disabled", RejectReason::Permission),
        ("price limit", RejectReason::PriceBand),
    ];
    let named = WORDS.iter().find(|(words, _)| message.contains(words));
    match (named, code) {
        (Some((_, reason)), _) => *reason,
        // A cancel is refused because there is nothing to cancel, unless the words say otherwise.
        (None, -2011) if message.is_empty() => RejectReason::UnknownOrder,
        (None, -2011 | -1010) => RejectReason::Other,
        (None, _) => RejectReason::Invalid,
    }
}

/// Our name for a status (HTTP, or of a WebSocket API answer) and the error that came with it, whose own name is
/// `named`.
pub fn reason_of(status: u16, code: i32, named: RejectReason) -> RejectReason {
    match status {
        200..=299 => RejectReason::None,
        429 | 418 => RejectReason::RateLimit,
        // 5xx settles nothing, but the overload refusal says in its code that nothing was done.
        500..=599 if code == -1008 => RejectReason::VenueDown,
        // 408: the engine did not answer the gateway in time.
        0 | 408 | 500..=599 => RejectReason::UnknownOutcome,
        _ => match (named, status) {
            (RejectReason::None, 401) => RejectReason::Auth,
            (RejectReason::None, 403) => RejectReason::Permission,
            (RejectReason::None, _) => RejectReason::Other,
            (named, _) => named,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn named_codes_and_words() {
        for (code, message, expected) in [
            (0, "", RejectReason::None),
            (-1003, "Too many requests.", RejectReason::RateLimit),
            (-1006, "", RejectReason::UnknownOutcome),
            (-1007, "Timeout waiting", RejectReason::UnknownOutcome),
            (-1008, "Server is overloaded", RejectReason::VenueDown),
            (-1013, "Filter failure: LOT_SIZE", RejectReason::Invalid),
            (
                -1013,
                "Filter failure: PERCENT_PRICE_BY_SIDE",
                RejectReason::PriceBand,
            ),
            (-1013, "Market is closed.", RejectReason::BadSymbol),
            (-1015, "Too many new orders", RejectReason::RateLimit),
            (-1021, "", RejectReason::Timestamp),
            (-1022, "", RejectReason::Auth),
            (-1102, "", RejectReason::Invalid),
            (-1111, "", RejectReason::Invalid),
            (-1121, "Invalid symbol.", RejectReason::BadSymbol),
            (
                -2010,
                "Account has insufficient balance for requested action.",
                RejectReason::InsufficientFunds,
            ),
            (-2010, "Duplicate order sent.", RejectReason::DuplicateId),
            (
                -2010,
                "Order would immediately match and take.",
                RejectReason::PostOnlyCross,
            ),
            (-2010, "Market is closed.", RejectReason::BadSymbol),
            (-2010, "something new", RejectReason::Invalid),
            (-2011, "Unknown order sent.", RejectReason::UnknownOrder),
            (-2011, "", RejectReason::UnknownOrder),
            (-2013, "Order does not exist.", RejectReason::UnknownOrder),
            (-2015, "", RejectReason::Auth),
            (-2038, "Order amend rejected", RejectReason::Invalid),
            (-9999, "", RejectReason::Other),
            (7, "", RejectReason::Other),
        ] {
            assert_eq!(reason(code, message), expected, "{code} {message}");
        }
    }

    #[test]
    fn status_decides_what_is_known() {
        let of = |status, code| reason_of(status, code, reason(code, ""));
        assert_eq!(of(200, 0), RejectReason::None);
        assert_eq!(of(0, 0), RejectReason::UnknownOutcome);
        assert_eq!(of(503, -1000), RejectReason::UnknownOutcome);
        assert_eq!(of(504, 0), RejectReason::UnknownOutcome);
        assert_eq!(of(503, -1008), RejectReason::VenueDown);
        assert_eq!(of(500, -1001), RejectReason::UnknownOutcome);
        assert_eq!(of(503, -1016), RejectReason::UnknownOutcome);
        assert_eq!(of(418, -1003), RejectReason::RateLimit);
        assert_eq!(of(403, 0), RejectReason::Permission);
        assert_eq!(of(400, -2013), RejectReason::UnknownOrder);
        assert_eq!(of(400, -1007), RejectReason::UnknownOutcome);
    }

    proptest! {
        #[test]
        fn only_success_is_none(code: i32, message: String, status: u16) {
            prop_assert_eq!(reason(code, &message) == RejectReason::None, code == 0);
            let is_success = (200..300).contains(&status);
            let named = reason(code, &message);
            prop_assert_eq!(reason_of(status, code, named) == RejectReason::None, is_success);
        }
    }
}
