//! Futures' code and message → [`RejectReason`], total: the codes that are futures' own, and spot's for the rest.
//!
//! -2026 is spot's archived order and here an order type that cannot reduce; -4000 and below are futures' only. What
//! leaves the outcome open, and what stops everything, is the same in both.
//! Source: venue page, sections 4.4 and 9, read 2026-11-22.

use crate::reject as spot;
use dp_types::RejectReason;

/// Our name for a code and its message; 0 is success.
pub(crate) fn reason(code: i32, message: &str) -> RejectReason {
    match code {
        // -1011: the address is not on the key's list. -4087, -4088: the key may only reduce, or not place.
        // -4400 to -4404: the account may only reduce, by law. -4192: a pause the user asked for.
        -1011 | -4087 | -4088 | -4109 | -4192 | -4404..=-4400 => RejectReason::Permission,
        // -4056: this kind of key cannot log on.
        -2017 | -4056 => RejectReason::Auth,
        -4050 | -4051 | -4118 => RejectReason::InsufficientFunds,
        // Beyond the multipliers of the mark price; a market order that would be.
        -4016 | -4024 | -4131 => RejectReason::PriceBand,
        -4108 | -4140 | -4141 | -5024 => RejectReason::BadSymbol,
        -4115 | -4116 => RejectReason::DuplicateId,
        -5022 => RejectReason::PostOnlyCross,
        -5028 => RejectReason::Timestamp,
        // Orders open at once, or changes of one order: a rule of quantity, not of pace.
        -2028..=-2020 | -4999..=-4000 | -5029..=-5021 => RejectReason::Invalid,
        _ => spot::reason(code, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_of_the_page() {
        for (code, expected) in [
            (-1003, RejectReason::RateLimit),
            (-1007, RejectReason::UnknownOutcome),
            (-1008, RejectReason::VenueDown),
            (-1015, RejectReason::RateLimit),
            (-1021, RejectReason::Timestamp),
            (-1022, RejectReason::Auth),
            (-1121, RejectReason::BadSymbol),
            (-2013, RejectReason::UnknownOrder),
            (-2015, RejectReason::Auth),
            (-2018, RejectReason::InsufficientFunds),
            (-2019, RejectReason::InsufficientFunds),
            (-2021, RejectReason::Invalid),
            (-2022, RejectReason::Invalid),
            (-2026, RejectReason::Invalid),
            (-4003, RejectReason::Invalid),
            (-4014, RejectReason::Invalid),
            (-4016, RejectReason::PriceBand),
            (-4116, RejectReason::DuplicateId),
            (-4120, RejectReason::Invalid),
            (-4164, RejectReason::Invalid),
            (-5021, RejectReason::Invalid),
            (-5022, RejectReason::PostOnlyCross),
            (-5027, RejectReason::Invalid),
            (-5028, RejectReason::Timestamp),
            (-9999, RejectReason::Other),
        ] {
            assert_eq!(reason(code, ""), expected, "{code}");
        }
        assert_eq!(
            reason(-2011, "Unknown order sent."),
            RejectReason::UnknownOrder
        );
    }

    proptest! {
        #[test]
        fn only_success_is_none(code: i32, message: String) {
            prop_assert_eq!(reason(code, &message) == RejectReason::None, code == 0);
        }
    }
}
