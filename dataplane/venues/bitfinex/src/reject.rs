//! Venue codes and texts → [`RejectReason`], total: what has no name is `Other`, counted and treated as refused.
//!
//! Orders are refused by text only, and codes are coarse, so the text is asked first. It is matched by pieces,
//! whatever their case.
//! Source: venue page, sections 1.3 and 4.7, read 2026-11-21.

use dp_types::RejectReason;

/// Too many requests.
pub const RATE_LIMIT: i32 = 11_010;
/// The flags of a connection were not set.
pub const FLAGS_FAILED: i32 = 10_050;
/// The server asks us to reconnect.
pub const RECONNECT: i64 = 20_051;
/// Maintenance begins.
pub const MAINTENANCE: i64 = 20_060;
/// Maintenance has ended: channels must be subscribed anew.
pub const MAINTENANCE_ENDED: i64 = 20_061;

/// Bytes of a text that are looked at: the venue's sentences are shorter.
const TEXT_MAX: usize = 256;

/// Pieces of the venue's sentences, the telling ones first.
const WORDS: [(&[u8], RejectReason); 24] = [
    (b"ratelimit", RejectReason::RateLimit),
    (b"rate limit", RejectReason::RateLimit),
    (b"rate_limit", RejectReason::RateLimit),
    (b"nonce", RejectReason::Timestamp),
    (b"apikey", RejectReason::Auth),
    (b"signature", RejectReason::Auth),
    (b"permission", RejectReason::Permission),
    (b"maintenance", RejectReason::VenueDown),
    (b"not ready", RejectReason::VenueDown),
    (b"order not found", RejectReason::UnknownOrder),
    (b"duplicate", RejectReason::DuplicateId), // wording [U]
    (b"not enough", RejectReason::InsufficientFunds),
    (b"available balance", RejectReason::InsufficientFunds),
    (b"insufficient", RejectReason::InsufficientFunds),
    (b"post only", RejectReason::PostOnlyCross), // wording [U]
    (b"postonly", RejectReason::PostOnlyCross),
    (b"symbol: invalid", RejectReason::BadSymbol),
    (b"minimum size", RejectReason::Invalid),
    (b"maximum size", RejectReason::Invalid), // wording [U]
    (b"invalid price", RejectReason::Invalid),
    (b"price: invalid", RejectReason::Invalid),
    (b"cid: invalid", RejectReason::Invalid),
    (b"amount: invalid", RejectReason::Invalid), // wording [U]
    (b"dust", RejectReason::Invalid),
];

fn has(text: &[u8], piece: &[u8]) -> bool {
    text.windows(piece.len())
        .any(|window| window.eq_ignore_ascii_case(piece))
}

/// Our name for one of the venue's codes; 0 is none given.
pub const fn reason_of_code(code: i32) -> RejectReason {
    match code {
        10_020 | FLAGS_FAILED | 10_302 | 10_305 | 10_400 | 10_401 => RejectReason::Invalid,
        10_100 | 10_111..=10_113 | 10_200 => RejectReason::Auth,
        10_114 => RejectReason::Timestamp, // a nonce below the last: the next one passes
        10_300 => RejectReason::BadSymbol,
        10_301 => RejectReason::DuplicateId,
        RATE_LIMIT => RejectReason::RateLimit,
        11_000 | 20_051 | 20_060 => RejectReason::VenueDown,
        _ => RejectReason::Other,
    }
}

/// Our name for a refusal, from its text or else its code. Never [`RejectReason::None`].
pub fn reason(code: i32, text: &str) -> RejectReason {
    let text = text.as_bytes();
    let text = text.get(..TEXT_MAX).unwrap_or(text);
    WORDS
        .iter()
        .find(|(piece, _)| has(text, piece))
        .map_or_else(|| reason_of_code(code), |(_, reason)| *reason)
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
    fn sentences_of_the_venue_page() {
        for (code, text, want) in [
            (
                0,
                "Invalid order: not enough exchange balance for 100 BTCUSD at 65000",
                RejectReason::InsufficientFunds,
            ),
            (
                10_001,
                "Invalid order: not enough tradable balance for 1",
                RejectReason::InsufficientFunds,
            ),
            (
                0,
                "Your available balance is only 3 USD",
                RejectReason::InsufficientFunds,
            ),
            (0, "Invalid price.", RejectReason::Invalid),
            (
                0,
                "Invalid order: minimum size for BTC/USD is 0.00006",
                RejectReason::Invalid,
            ),
            (10_020, "price: invalid", RejectReason::Invalid),
            (10_020, "cid: invalid", RejectReason::Invalid),
            (0, "duplicate cid", RejectReason::DuplicateId),
            (0, "Order not found.", RejectReason::UnknownOrder),
            (10_020, "symbol: invalid", RejectReason::BadSymbol),
            (10_100, "apikey: invalid", RejectReason::Auth),
            (10_114, "nonce: small", RejectReason::Timestamp),
            (11_010, "ratelimit: error", RejectReason::RateLimit),
            (0, "ERR_RATE_LIMIT", RejectReason::RateLimit),
            (20_060, "maintenance", RejectReason::VenueDown),
            (10_300, "", RejectReason::BadSymbol),
            (42, "redcoats", RejectReason::Other),
            (0, "", RejectReason::Other),
        ] {
            assert_eq!(reason(code, text), want, "{code} {text}");
        }
    }

    #[test]
    fn a_refusal_is_never_success() {
        for code in -1..30_000 {
            assert_ne!(reason(code, "?"), RejectReason::None, "{code}");
        }
        for status in (0..200).chain(300..=999) {
            assert_ne!(reason_of_status(status), RejectReason::None, "{status}");
        }
    }

    #[test]
    fn only_the_beginning_of_a_long_text_is_read() {
        let long = format!("{}order not found", "ä".repeat(500));
        assert_eq!(reason(0, &long), RejectReason::Other);
    }
}
