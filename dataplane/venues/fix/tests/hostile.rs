//! Bytes from outside: whatever fields a message has, the machine lives, and says nothing that is not so.
#![allow(missing_docs)]

mod rig;

use dp_venue_api::Venue as _;
use dp_venue_fix::{LINK_MARKET, LINK_ORDERS};
use proptest::prelude::*;
use rig::{cancel, order, place, ready};
use tests_venues::rig::{Said, at_ms};

const KINDS: [&str; 8] = ["8", "9", "j", "3", "W", "X", "Y", "B"];
const TAGS: [u32; 34] = [
    11, 12, 14, 17, 18, 31, 32, 37, 38, 39, 40, 41, 44, 54, 55, 58, 59, 60, 102, 103, 137, 138,
    150, 268, 269, 270, 271, 279, 372, 379, 380, 584, 911, 912,
];
const VALUES: [&str; 22] = [
    "0",
    "1",
    "2",
    "4",
    "5",
    "8",
    "A",
    "C",
    "D",
    "F",
    "G",
    "I",
    "Y",
    "N",
    "EUR/USD",
    "USD/JPY",
    "sl1z141z5",
    "sl1z141z5-1a",
    "1.085",
    "100000",
    "-1",
    "99999999999999999999",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_message_is_taken_or_refused(
        kind in 0..KINDS.len(),
        fields in prop::collection::vec((0..TAGS.len(), 0..VALUES.len() * 2, "[ -{}~]{0,12}"), 0..40),
    ) {
        let mut rig = ready();
        place(&mut rig, 0, &order(1));
        rig.venue.reconcile(&rig.registry, at_ms(0), &mut Said::default());
        let mut text = format!("35={}|", KINDS[kind]);
        for (tag, value, other) in fields {
            let value = VALUES.get(value).map_or(other.as_str(), |value| value);
            text.push_str(&format!("{}={}|", TAGS[tag], value));
        }
        for link in [LINK_MARKET, LINK_ORDERS] {
            let (said, read) = rig.fix(link, 1, &text);
            // What cannot be understood is told of nobody's order.
            if read.is_err() && link == LINK_ORDERS {
                prop_assert!(said.events.iter().all(|event| !event.starts_with("Fill")), "{text}");
            }
        }
        let mut said = Said::default();
        rig.venue.cancel_order(&rig.registry, &cancel(1), at_ms(2), &mut said).unwrap();
        prop_assert_eq!(said.sent.len(), 1);
    }
}
