//! Orders and market data over FIX 5.0 SP2: the sessions, and the venue's own part of the messages.
//!
//! ```text
//! FIXT.1.1, 49 = API key, 56 = Coinbase; numbers begin at 1 with every connection, nothing is sent again
//! logon     553 key  554 passphrase  95/96 signature  1137=9  8013=S: our orders go when the session does
//! 11        51de1a4e-0000-4000-8000-000100000001    an order; a later request about it has its number for 0000
//! V         262 263 146: 55                         market data: all single orders (W), then each event (X) numbered
//! ```
//! Market data has a session of its own at a host of its own (the gateway with snapshots, port 6121), same names, same
//! signature. It shows single orders, which are summed to levels here. [U] its other views, of ten levels or one: how
//! they are asked for is not known to us.
//! The user channel goes on telling of orders and their fills beside the session; whichever is first counts.
//! Source: venue page, sections A1, A4 "FIX" and A6. Tags 8013, 7928 and 18 are of medium confidence there.

use crate::auth::Auth;
use crate::reject;
use crate::symbols::{Uuid, parse_client_id, parse_order_id};
use crate::{CAPABILITIES, Coinbase, ID};
use dp_types::{ClientOrderId, RejectReason, TradeId};
use dp_venue_api::{Capabilities, EntryLink, FixConfig, FixSpec, VenueConfig};
use dp_venue_fix::dialect::{
    Dialect, Entries, Fills, MarketAsk, MarketDialect, Name, Sizes, reason_of_103,
};
use dp_venue_fix::{OverFix, logon};
use dp_wire::ids::parse_u128;
use dp_wire::time::TimeText;

/// The venue's name (56).
const TARGET: &str = "Coinbase";
/// Seconds; the venue's usual interval, and its longest is 30.
const HEARTBEAT_S: u32 = 10;
/// Requests a second; above 200 the venue ends the session.
const PER_SECOND: u64 = 100;
/// Where a name has a request's number: four hexadecimal digits.
const NUMBER: core::ops::Range<usize> = 9..13;

/// Writes the name of an order, or of a request about it.
fn name(id: ClientOrderId, number: u16, out: &mut Name) {
    let uuid = Uuid::of_client(id);
    let text = uuid.as_bytes();
    out.push_bytes(text.get(..NUMBER.start).unwrap_or_default());
    for shift in [12, 8, 4, 0] {
        let digit = (number >> shift & 0xf) as u8;
        out.push(if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        });
    }
    out.push_bytes(text.get(NUMBER.end..).unwrap_or_default());
}

/// The inverse of [`name`].
fn parse_name(text: &[u8]) -> Option<(ClientOrderId, u16)> {
    let mut plain = [0; dp_wire::ids::UUID_LEN];
    if text.len() != plain.len() {
        return None;
    }
    plain.copy_from_slice(text);
    let digits = plain.get_mut(NUMBER)?;
    let number = core::str::from_utf8(digits).ok()?;
    // What is read must come back as it came.
    let is_lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if !number.bytes().all(is_lower) {
        return None;
    }
    let number = u16::from_str_radix(number, 16).ok()?;
    digits.fill(b'0');
    Some((parse_client_id(&plain)?, number))
}

/// Our name for a refusal: its words, else OrdRejReason.
fn reason(code: i32, words: &str) -> RejectReason {
    match reject::of_words(words) {
        RejectReason::Other => reason_of_103(code),
        reason => reason,
    }
}

/// What a logon's signature is over.
pub fn logon_payload<'a>(
    [time, seq, key, passphrase]: [&'a str; 4],
    target: &'a str,
) -> [&'a [u8]; 11] {
    let soh = b"\x01".as_slice();
    [
        time.as_bytes(),
        soh,
        b"A",
        soh,
        seq.as_bytes(),
        soh,
        key.as_bytes(),
        soh,
        target.as_bytes(),
        soh,
        passphrase.as_bytes(),
    ]
}

/// A session, by the names of its two ends. Errors: `None`, the keys are of no use.
fn spec(
    config: &VenueConfig,
    fix: &FixConfig,
    (sender, target): (&str, &str),
    more: &'static [(u32, &'static str)],
) -> Option<FixSpec> {
    let auth = Auth::new(&config.secrets).ok()??;
    let target = logon::or_else(target, TARGET);
    Some(FixSpec {
        version: "FIXT.1.1".into(),
        appl_version: Some("9".into()),
        sender: logon::or_else(sender, auth.api_key()),
        target: target.clone(),
        heartbeat_s: logon::seconds(fix.heartbeat_s, HEARTBEAT_S),
        resets: true,
        rollover_s: None,
        resends: false,
        clock_skew_s: logon::CLOCK_SKEW_S,
        logon: Box::new(move |facts, out| {
            let time = TimeText::fix_millis(facts.time_ns);
            let (key, passphrase) = (auth.api_key(), auth.passphrase());
            let seq = facts.seq.to_string();
            let signed = [time.as_str(), &seq, key, passphrase];
            let signature = auth.sign(&logon_payload(signed, &target));
            out.text(553, key)
                .text(554, passphrase)
                .data(95, 96, signature.as_str().as_bytes());
            for (tag, value) in more {
                out.text(*tag, value);
            }
        }),
    })
}

impl OverFix for Coinbase {
    const CAPABILITIES: Capabilities = Capabilities {
        entry: EntryLink::Fix,
        amend_price: true,
        amend_qty: true,
        dead_man_switch: true, // cancel on disconnect
        ..CAPABILITIES
    };

    fn dialect() -> Dialect {
        Dialect {
            venue: ID,
            name,
            parse_name,
            order_id: parse_order_id,
            trade_id: |text| parse_u128(text).map(TradeId),
            trade_tags: &[1003, 880],
            reason,
            post_only: "A",
            new_fields: &[(7928, "N")], // the newer of our orders goes, as over REST
            is_strict: false,
            is_swapped: false,
            amend: Some("G"),
            fills: Fills::WithFee,
            sizes: Sizes::Units,
            rate: (PER_SECOND, PER_SECOND as u32),
        }
    }

    fn session(config: &VenueConfig, fix: &FixConfig) -> Option<FixSpec> {
        spec(config, fix, (&fix.sender, &fix.target), &[(8013, "S")])
    }

    fn market(config: &VenueConfig, fix: &FixConfig) -> Option<(FixSpec, MarketDialect)> {
        let sender = logon::or_else(&fix.market_sender, &fix.sender);
        let target = logon::or_else(&fix.market_target, &fix.target);
        let dialect = MarketDialect {
            asks: &[MarketAsk {
                fields: &[],
                kinds: &[],
            }],
            entries: Entries::Orders,
        };
        Some((spec(config, fix, (&sender, &target), &[])?, dialect))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId};
    use dp_venue_api::Secrets;
    use dp_wire::fix::{LogonFacts, Out};
    use proptest::prelude::*;

    /// Venue page, A5, vector 4.
    #[test]
    fn the_logon_is_signed_as_the_page_says() {
        let config = VenueConfig {
            secrets: Secrets {
                api_key: "fakekey".into(),
                api_secret: "b2J2aW91c2x5LWZha2UtY29pbmJhc2UtZXhjaGFuZ2Utc2VjcmV0LTAxMjM0NTY3ODktYWJjZGVmZ2hpamtsbQ=="
                    .into(),
                passphrase: "fakepass".into(),
                ..Secrets::default()
            },
            ..VenueConfig::default()
        };
        let spec = Coinbase::session(&config, &FixConfig::default()).unwrap();
        assert_eq!((&*spec.sender, &*spec.target), ("fakekey", "Coinbase"));
        let mut out = Out::new();
        let facts = LogonFacts {
            seq: 1,
            time_ns: 1_700_000_000_000_000_000,
        };
        (spec.logon)(facts, &mut out);
        let text = String::from_utf8(out.body().to_vec()).unwrap();
        assert!(
            text.contains("96=OV+UMLTeG9t6api8XB/ocEsui44tgcP4WHB1/WgzXnY=\u{1}"),
            "{text}"
        );
        assert!(!format!("{spec:?}").contains("fakepass"));
    }

    #[test]
    fn without_keys_there_is_no_session() {
        let mut config = VenueConfig::default();
        assert!(Coinbase::session(&config, &FixConfig::default()).is_none());
        config.secrets.api_key = "key".into();
        config.secrets.api_secret = "no base64!".into();
        assert!(Coinbase::session(&config, &FixConfig::default()).is_none());
    }

    #[test]
    fn refusals_have_our_names() {
        for (code, words, expected) in [
            (3, "", RejectReason::InsufficientFunds),
            (0, "Insufficient funds", RejectReason::InsufficientFunds),
            (99, "post only", RejectReason::PostOnlyCross),
            (99, "words of next year", RejectReason::Other),
        ] {
            assert_eq!(reason(code, words), expected, "{code} {words}");
        }
    }

    proptest! {
        #[test]
        fn names_come_back(epoch in 1u16..=Epoch::MAX, lane in 0u8..16, sequence: u16, number: u16) {
            let id = ClientOrderId::new(Epoch(epoch), LaneId(lane), sequence.into()).unwrap();
            let mut text = Name::new();
            name(id, number, &mut text);
            prop_assert!(dp_wire::ids::parse_uuid(text.as_bytes()).is_some(), "the venue wants a UUID");
            prop_assert_eq!(parse_name(text.as_bytes()), Some((id, number)));
        }

        #[test]
        fn any_bytes_are_a_name_or_none(text: Vec<u8>) {
            if let Some((id, number)) = parse_name(&text) {
                let mut back = Name::new();
                name(id, number, &mut back);
                prop_assert_eq!(back.as_bytes(), text.as_slice());
            }
        }
    }
}
