//! The venue's words → [`RejectReason`], total: words without a name are `Other`, counted and treated as refused.
//!
//! The venue has no numbers for its errors; a report has room for no text. So each known text has a number here,
//! its place in [`ERRORS`] from 1, which [`text`] turns back for people. Two sorts matter more than their names:
//! errors that leave the outcome open (the order is asked about, never sent again) and those that stop us for rate.
//! Source: venue page, sections 1 and 4.3, read 2026-11-20.

use dp_types::RejectReason;
use dp_types::RejectReason::{
    Auth, BadSymbol, DuplicateId, InsufficientFunds, Invalid, Other, Permission, PostOnlyCross,
    RateLimit, Timestamp, UnknownOrder, UnknownOutcome, VenueDown,
};

/// How texts begin, and what they mean. New ones go to the end: their numbers are in journals. Of two that fit
/// the longer one stands first.
pub const ERRORS: [(&str, RejectReason); 45] = [
    ("EOrder:Insufficient funds", InsufficientFunds),
    ("EOrder:Insufficient margin", InsufficientFunds),
    ("EOrder:Margin allowance exceeded", InsufficientFunds),
    ("EOrder:Margin level too low", InsufficientFunds),
    ("EOrder:Post only order", PostOnlyCross),
    ("EOrder:Rate limit exceeded", RateLimit),
    ("EOrder:Orders limit exceeded", RateLimit),
    ("EOrder:Positions limit exceeded", RateLimit),
    ("EOrder:Domain rate limit exceeded", RateLimit),
    ("EOrder:Unknown order", UnknownOrder),
    ("EOrder:Invalid order", UnknownOrder),
    ("EOrder:Invalid price", Invalid),
    ("EOrder:Order minimum not met", Invalid),
    ("EOrder:Cost minimum not met", Invalid),
    ("EOrder:Tick size check failed", Invalid),
    ("EOrder:Reduce only", Invalid),
    ("EOrder:Trading agreement required", Permission),
    // [U] How a client order id that is in use is refused; it must never pass for a plain refusal, because an
    // order of that id lives.
    ("EGeneral:Invalid arguments:cl_ord_id", DuplicateId),
    ("EOrder:Duplicate", DuplicateId),
    ("EGeneral:Invalid arguments", Invalid),
    ("EGeneral:Permission denied", Permission),
    ("EGeneral:Temporary lockout", RateLimit),
    ("EGeneral:Too many requests", RateLimit),
    ("EGeneral:Internal error", UnknownOutcome),
    ("EGeneral:Unknown method", Invalid),
    ("EAPI:Invalid key", Auth),
    ("EAPI:Invalid signature", Auth),
    ("EAPI:Invalid nonce", Timestamp),
    ("EAPI:Rate limit exceeded", RateLimit),
    ("EAPI:Feature disabled", Permission),
    ("EAPI:Bad request", Invalid),
    ("EAuth:Rate limit exceeded", RateLimit),
    ("EAuth:", Auth),
    ("EService:Unavailable", VenueDown),
    ("EService:Busy", VenueDown),
    ("EService:Market in", BadSymbol),
    ("EService:Deadline elapsed", Timestamp),
    ("EService:Timeout", UnknownOutcome),
    ("EService:", VenueDown),
    ("ESession:Invalid session", Auth),
    ("EAccount:Invalid permissions", Permission),
    ("EQuery:Unknown asset pair", BadSymbol),
    ("Currency pair not supported", BadSymbol),
    ("Currency pair not in ISO", BadSymbol),
    ("Exceeded msg rate", RateLimit),
];

/// The number of a text that is not in the list.
pub const UNNAMED: i32 = 999;
const _: () = assert!(ERRORS.len() < UNNAMED as usize);

/// An error by its text: our number for it, never 0, and our name.
pub fn error(text: &str) -> (i32, RejectReason) {
    let found = ERRORS
        .iter()
        .position(|(prefix, _)| text.starts_with(prefix));
    match found.and_then(|at| Some((at as i32 + 1, ERRORS.get(at)?.1))) {
        Some(found) => found,
        None => (UNNAMED, Other),
    }
}

/// The venue's words for one of our numbers; empty for 0 and for unnamed ones.
pub fn text(code: i32) -> &'static str {
    usize::try_from(code)
        .ok()
        .and_then(|code| ERRORS.get(code.checked_sub(1)?))
        .map_or("", |(text, _)| text)
}

/// Whether an account's whole REST access is stopped for minutes.
pub(crate) fn is_lockout(text: &str) -> bool {
    text.starts_with("EGeneral:Temporary lockout") || text.starts_with("EGeneral:Too many requests")
}

/// Whether the token of the private link is worth nothing any more: only a new link gets a new one.
pub(crate) fn is_session_over(text: &str) -> bool {
    text.starts_with("ESession:Invalid session")
}

/// Our name for an HTTP status that came without a readable body. 5xx leaves the outcome open.
pub const fn reason_of_status(status: u16) -> RejectReason {
    match status {
        200..=299 => RejectReason::None,
        401 | 403 => Auth,
        429 => RateLimit,
        0 | 500..=599 => UnknownOutcome,
        _ => Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_the_page_has_its_name() {
        for (words, want) in [
            ("EOrder:Insufficient funds", InsufficientFunds),
            ("EOrder:Post only order", PostOnlyCross),
            ("EOrder:Rate limit exceeded", RateLimit),
            ("EOrder:Orders limit exceeded", RateLimit),
            ("EOrder:Unknown order", UnknownOrder),
            ("EOrder:Invalid price", Invalid),
            ("EOrder:Order minimum not met", Invalid),
            ("EOrder:Cost minimum not met", Invalid),
            ("EOrder:Tick size check failed", Invalid),
            ("EOrder:Margin allowance exceeded", InsufficientFunds),
            ("EGeneral:Invalid arguments", Invalid),
            ("EGeneral:Invalid arguments:volume", Invalid),
            ("EGeneral:Invalid arguments:cl_ord_id", DuplicateId),
            ("EGeneral:Permission denied", Permission),
            ("EGeneral:Temporary lockout", RateLimit),
            ("EAPI:Invalid key", Auth),
            ("EAPI:Invalid signature", Auth),
            ("EAPI:Invalid nonce", Timestamp),
            ("EAPI:Rate limit exceeded", RateLimit),
            ("EService:Unavailable", VenueDown),
            ("EService:Busy", VenueDown),
            ("EService:Market in cancel_only mode", BadSymbol),
            ("EService:Market in post_only mode", BadSymbol),
            ("EService:Deadline elapsed", Timestamp),
            ("EService:Timeout", UnknownOutcome),
            ("ESession:Invalid session", Auth),
            ("Currency pair not supported FOO/USD", BadSymbol),
            ("Exceeded msg rate", RateLimit),
            ("", Other),
            ("EFuture:Anything", Other),
        ] {
            assert_eq!(error(words).1, want, "{words}");
            assert_ne!(error(words).0, 0);
        }
    }

    #[test]
    fn each_entry_is_found_by_its_own_text_and_number() {
        for (at, (words, reason)) in ERRORS.iter().enumerate() {
            let code = at as i32 + 1;
            assert_eq!(
                error(words),
                (code, *reason),
                "{words} stands behind a shorter one"
            );
            assert_eq!(text(code), *words);
        }
        for code in [0, -1, UNNAMED, i32::MIN, i32::MAX] {
            assert_eq!(text(code), "");
        }
    }

    #[test]
    fn only_success_is_none() {
        for status in (0..200).chain(300..=999) {
            assert_ne!(reason_of_status(status), RejectReason::None, "{status}");
        }
    }
}
