//! Venue code → [`RejectReason`], total: a code without a name is `Other`, counted and treated as refused.
//!
//! The venue's codes are words; an answer's `code`, which is a number, is [`REFUSED`] for each. Three sorts matter
//! more than their names: codes that leave the outcome open (`UnknownOutcome`: the order is asked about,
//! never sent again), codes that stop us for rate, and the rest, where nothing was done.
//! Source: venue page, sections 4.4 and 4.5, read 2026-11-20; the private socket's numbers: the venue's own table, read
//! 2026-11-22.

use dp_types::RejectReason;

/// The number of a refusal: the venue has words for it.
pub const REFUSED: i32 = 1;

/// Our name for one of the venue's words.
pub fn reason(word: &str) -> RejectReason {
    match word {
        "" => RejectReason::None,
        // It may have been done.
        "timeout" | "gateway-internal-error" | "system-error" | "request timeout" => {
            RejectReason::UnknownOutcome
        }
        "system-maintenance" | "base-system-maintenance" => RejectReason::VenueDown,
        "base-request-exceed-frequency-limit"
        | "rate-too-many-requests"
        | "too-many-requests"
        | "too many request"
        | "429 too many request" => RejectReason::RateLimit,
        "account-frozen-balance-insufficient-error"
        | "account-balance-insufficient-error"
        | "insufficient-balance" => RejectReason::InsufficientFunds,
        // Of a cancel: the order is final already, or was never there. What it is, the venue is asked.
        "base-record-invalid"
        | "order-queryorder-invalid"
        | "not-found"
        | "order-orderstate-error" => RejectReason::UnknownOrder,
        "order-limitorder-price-min-error" | "order-limitorder-price-max-error" => {
            RejectReason::PriceBand
        }
        "order-value-min-error"
        | "order-limitorder-amount-min-error"
        | "order-limitorder-amount-max-error"
        | "order-orderprice-precision-error"
        | "order-orderamount-precision-error"
        | "invalid-amount"
        | "bad-request"
        | "order-source-invalid"
        | "order-holding-limit-failed" => RejectReason::Invalid,
        "invalid-client-order-id" => RejectReason::DuplicateId,
        "base-symbol-error" | "base-symbol-trade-disabled" | "invalid-symbol" => {
            RejectReason::BadSymbol
        }
        "api-signature-not-valid"
        | "api-signature-check-failed"
        | "account-get-accounts-inexistent-error" => RejectReason::Auth,
        _ => RejectReason::Other,
    }
}

/// Our name for a number of the private socket or of the newer REST; 200 is success.
pub const fn reason_of_code(code: i64) -> RejectReason {
    match code {
        200 => RejectReason::None,
        1002 | 1003 | 2002 | 2003 => RejectReason::Auth,
        // Too many requests of a socket, or too many sockets of a key.
        429 | 4000 => RejectReason::RateLimit,
        500..=599 => RejectReason::UnknownOutcome,
        _ => RejectReason::Other,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_words() {
        for (word, expected) in [
            ("", RejectReason::None),
            (
                "account-frozen-balance-insufficient-error",
                RejectReason::InsufficientFunds,
            ),
            (
                "base-request-exceed-frequency-limit",
                RejectReason::RateLimit,
            ),
            ("order-orderstate-error", RejectReason::UnknownOrder),
            ("base-record-invalid", RejectReason::UnknownOrder),
            ("order-value-min-error", RejectReason::Invalid),
            ("order-limitorder-price-max-error", RejectReason::PriceBand),
            ("invalid-client-order-id", RejectReason::DuplicateId),
            ("base-symbol-trade-disabled", RejectReason::BadSymbol),
            ("api-signature-not-valid", RejectReason::Auth),
            ("gateway-internal-error", RejectReason::UnknownOutcome),
            ("what-nobody-knows", RejectReason::Other),
        ] {
            assert_eq!(reason(word), expected, "{word}");
        }
    }

    #[test]
    fn only_success_is_none() {
        for word in ["timeout", "x", "bad-request", " "] {
            assert_ne!(reason(word), RejectReason::None);
        }
        for code in (-10..200).chain(201..6_000) {
            assert_ne!(reason_of_code(code), RejectReason::None, "{code}");
        }
        assert_eq!(reason_of_code(4000), RejectReason::RateLimit);
        assert_eq!(reason_of_code(1003), RejectReason::Auth);
        for status in (0..200).chain(300..=999) {
            assert_ne!(reason_of_status(status), RejectReason::None, "{status}");
        }
    }
}
