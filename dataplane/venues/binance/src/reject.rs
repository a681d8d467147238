//! Binance codes → our reasons, total. -2010 and -1013 are overloaded: the message decides.
//! Source: venue page, section 4.4, read 2026-11-20.

use dp_types::RejectReason;

/// Our name for an error. Codes without a row are [`RejectReason::Other`].
pub fn reason(code: i64, message: &str) -> RejectReason {
    match code {
        -1003 | -1015 | -1034 => RejectReason::RateLimit,
        -1000 | -1001 | -1006 | -1007 => RejectReason::UnknownOutcome,
        -1008 | -1016 => RejectReason::VenueDown,
        -1013 if message.contains("PERCENT_PRICE") => RejectReason::PriceBand,
        -1013 | -1120..=-1100 | -1199..=-1122 | -2038 | -2039 => RejectReason::Invalid,
        -1121 => RejectReason::BadSymbol,
        -1021 => RejectReason::Timestamp,
        -1002 | -1022 | -2014 => RejectReason::Auth,
        -2015 => RejectReason::Permission,
        -2010 => order_rejected(message),
        -2011 | -2013 | -2026 => RejectReason::UnknownOrder,
        -2018 | -2019 => RejectReason::InsufficientFunds,
        -5022 => RejectReason::PostOnlyCross,
        _ => RejectReason::Other,
    }
}

fn order_rejected(message: &str) -> RejectReason {
    if message.contains("insufficient balance") {
        RejectReason::InsufficientFunds
    } else if message.contains("Duplicate order") {
        RejectReason::DuplicateId
    } else if message.contains("immediately match") {
        RejectReason::PostOnlyCross
    } else if message.contains("Market is closed") || message.contains("not permitted") {
        RejectReason::BadSymbol
    } else {
        RejectReason::Other
    }
}

/// An HTTP (or WS-API `status`) number that settles nothing by itself: the outcome is unknown.
pub const fn is_unknown_outcome(status: u16) -> bool {
    status == 0 || status >= 500
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overloaded_codes_are_told_apart() {
        for (code, message, want) in [
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
            (-2010, "something new", RejectReason::Other),
            (-1013, "Filter failure: LOT_SIZE", RejectReason::Invalid),
            (
                -1013,
                "Filter failure: PERCENT_PRICE_BY_SIDE",
                RejectReason::PriceBand,
            ),
            (
                -1007,
                "Timeout waiting for response from backend server.",
                RejectReason::UnknownOutcome,
            ),
            (-2011, "Unknown order sent.", RejectReason::UnknownOrder),
            (-1121, "Invalid symbol.", RejectReason::BadSymbol),
            (i64::MIN, "", RejectReason::Other),
        ] {
            assert_eq!(reason(code, message), want, "{code} {message}");
        }
    }

    #[test]
    fn server_errors_settle_nothing() {
        assert!(is_unknown_outcome(0) && is_unknown_outcome(503) && !is_unknown_outcome(429));
    }
}
