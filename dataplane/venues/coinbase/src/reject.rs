//! The venue's words → [`RejectReason`], total: words without a name are `Other`, counted and treated as refused.
//!
//! ```text
//! REST      HTTP status, and {"message":"..."} in English: there are no codes
//! order     "reject_reason" of an order with status rejected (a post-only order that would have taken)
//! done      "cancel_reason":"102:Self Trade Prevention"
//! ```
//! The status decides what happened: 5xx and none leave the outcome open (the order is asked about, never sent
//! again), 429 stops us for rate, the rest was refused and nothing was done. The words only name the reason. Most
//! of them are known from other people's reports and not from a list of the venue `[U]`.
//! Source: venue page, section A4; issues of public client libraries.

use dp_types::{OrderState, RejectReason};

/// Words of a message or a reason, lower case, and our name for them: the first that is found counts.
const WORDS: [(&str, RejectReason); 30] = [
    ("rate limit", RejectReason::RateLimit),
    ("insufficient", RejectReason::InsufficientFunds),
    // The book of a product is in this mode: what would take is refused, ours was not post-only.
    ("post only mode", RejectReason::BadSymbol),
    ("limit only mode", RejectReason::BadSymbol),
    ("cancel only mode", RejectReason::BadSymbol),
    ("trading is disabled", RejectReason::BadSymbol),
    ("trading disabled", RejectReason::BadSymbol),
    ("not a valid product", RejectReason::BadSymbol),
    ("product not found", RejectReason::BadSymbol),
    ("invalid product", RejectReason::BadSymbol),
    ("post only", RejectReason::PostOnlyCross),
    ("post_only", RejectReason::PostOnlyCross),
    ("duplicate", RejectReason::DuplicateId),
    ("already exists", RejectReason::DuplicateId),
    ("price protection", RejectReason::PriceBand),
    ("price bound", RejectReason::PriceBand),
    ("slippage", RejectReason::PriceBand),
    ("order not found", RejectReason::UnknownOrder),
    ("notfound", RejectReason::UnknownOrder),
    ("already done", RejectReason::UnknownOrder),
    ("timestamp", RejectReason::Timestamp),
    ("request has expired", RejectReason::Timestamp),
    ("forbidden", RejectReason::Permission),
    ("permission", RejectReason::Permission),
    ("signature", RejectReason::Auth),
    ("api key", RejectReason::Auth),
    ("passphrase", RejectReason::Auth),
    ("authenticat", RejectReason::Auth),
    ("invalid", RejectReason::Invalid),
    ("too ", RejectReason::Invalid),
];

/// Our name for words of the venue. Cost: a walk over the list, no allocation; cold.
pub fn of_words(words: &str) -> RejectReason {
    let has = |part: &str| {
        words
            .as_bytes()
            .windows(part.len())
            .any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
    };
    WORDS
        .iter()
        .find(|(part, _)| has(part))
        .map_or(RejectReason::Other, |(_, reason)| *reason)
}

/// Our name for an HTTP answer: its status, and its message where it has one. Total; `None` for success alone.
pub fn reason(status: u16, message: &str) -> RejectReason {
    match status {
        200..=299 => RejectReason::None,
        0 | 500..=599 => RejectReason::UnknownOutcome,
        429 => RejectReason::RateLimit,
        404 => match of_words(message) {
            RejectReason::BadSymbol => RejectReason::BadSymbol,
            _ => RejectReason::UnknownOrder,
        },
        _ => match (of_words(message), status) {
            (RejectReason::Other, 401) => RejectReason::Auth,
            (RejectReason::Other, 403) => RejectReason::Permission,
            (reason, _) => reason,
        },
    }
}

/// Time in force: what an immediate order left over.
const CANCEL_TIME_IN_FORCE: &str = "101"; // [U]: the number is not on the venue's page
/// The venue's limit of how far one order moves the price.
const CANCEL_PRICE_BOUND: &str = "104"; // [U]
/// Not enough in the account after all.
const CANCEL_FUNDS: &str = "105"; // [U]

/// What it means that the venue took an order off, by the number before the colon of its reason; empty when we
/// asked for it.
pub fn cancelled(cancel_reason: &str) -> (OrderState, RejectReason) {
    let number = cancel_reason.split(':').next().unwrap_or("");
    match number {
        CANCEL_TIME_IN_FORCE => (OrderState::Expired, RejectReason::None),
        CANCEL_PRICE_BOUND => (OrderState::Expired, RejectReason::PriceBand),
        CANCEL_FUNDS => (OrderState::Cancelled, RejectReason::InsufficientFunds),
        _ => (OrderState::Cancelled, RejectReason::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_answers() {
        for (status, message, expected) in [
            (200, "", RejectReason::None),
            (400, "Insufficient funds", RejectReason::InsufficientFunds),
            (400, "Post only mode", RejectReason::BadSymbol),
            (
                400,
                "size is too small. Minimum size is 0.1",
                RejectReason::Invalid,
            ),
            (400, "Invalid order size", RejectReason::Invalid),
            (400, "invalid signature", RejectReason::Auth),
            (400, "request timestamp expired", RejectReason::Timestamp),
            (400, "Order already done", RejectReason::UnknownOrder),
            (400, "words of next year", RejectReason::Other),
            (401, "", RejectReason::Auth),
            (403, "", RejectReason::Permission),
            (404, "NotFound", RejectReason::UnknownOrder),
            (404, "order not found", RejectReason::UnknownOrder),
            (404, "Product not found", RejectReason::BadSymbol),
            (429, "Private rate limit exceeded", RejectReason::RateLimit),
            (500, "Internal server error", RejectReason::UnknownOutcome),
            (0, "", RejectReason::UnknownOutcome),
        ] {
            assert_eq!(reason(status, message), expected, "{status} {message}");
        }
        assert_eq!(of_words("post only"), RejectReason::PostOnlyCross);
        let advanced = "INVALID_LIMIT_PRICE_POST_ONLY";
        assert_eq!(of_words(advanced), RejectReason::PostOnlyCross);
        assert_eq!(of_words(""), RejectReason::Other);
    }

    #[test]
    fn only_success_is_none() {
        for status in (0..200).chain(300..=999) {
            for message in ["", "ok", "done"] {
                assert_ne!(reason(status, message), RejectReason::None, "{status}");
            }
        }
    }

    #[test]
    fn why_an_order_was_taken_off() {
        for (words, expected) in [
            ("", OrderState::Cancelled),
            ("101:Time In Force", OrderState::Expired),
            ("102:Self Trade Prevention", OrderState::Cancelled),
            ("104:Price Bound Order Protection", OrderState::Expired),
            ("999:Something new", OrderState::Cancelled),
        ] {
            assert_eq!(cancelled(words).0, expected, "{words}");
        }
    }
}
