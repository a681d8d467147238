//! Statuses of refused requests → our reasons. The words beside them (`errorMessage`) are for people.
//!
//! Source: developer.oanda.com/rest-live-v20, "Troubleshooting & Errors", read 2026-11-22.

use dp_types::RejectReason;

/// What a status other than success means; 0 is an answer that never came.
pub const fn reason(status: u16) -> RejectReason {
    match status {
        401 | 403 => RejectReason::Auth,
        429 => RejectReason::RateLimit,
        0 | 500.. => RejectReason::VenueDown,
        _ => RejectReason::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_reason() {
        for (status, expected) in [
            (0, RejectReason::VenueDown),
            (302, RejectReason::Invalid),
            (400, RejectReason::Invalid),
            (401, RejectReason::Auth),
            (403, RejectReason::Auth),
            (404, RejectReason::Invalid),
            (429, RejectReason::RateLimit),
            (503, RejectReason::VenueDown),
        ] {
            assert_eq!(reason(status), expected, "{status}");
        }
    }
}
