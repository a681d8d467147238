//! Orders and market data over FIX 4.4: the sessions, and the venue's own part of the messages.
//!
//! ```text
//! 49 = our choice, 56 = SPOT; numbers begin at 1 with every connection, nothing is sent again
//! logon     553 key  95/96 Ed25519 of A, 49, 56, 34, 52  25035=1 unordered  25036=1 everything
//! 11        sl-BASE36 as on every road; a later request about the order has its number behind a dash
//! 25016     the venue's code of a refusal, the same as on its other roads
//! V         262 263 264 266=Y 146: 55 267: 269      market data: a book of levels; trades
//! ```
//! Market data has a session of its own at a host of its own: 1,000 levels a side (W), then changes of 100 ms (X) with the
//! numbers of the text streams (25043 is `U`, 25044 is `u`): the same rule keeps the book. Keys other than Ed25519 log on nowhere here: orders then have no road. The user data stream tells beside the
//! session. Not here: order lists, cancel-and-place, amends that keep their priority (`XAK`): the WebSocket API does
//! that. Source: venue page, sections 5 and 7.

use crate::auth::{Auth, fix_logon_payload};
use crate::session::Op;
use crate::symbols::{CLIENT_PREFIX, parse_client_id};
use crate::{Binance, CAPABILITIES, ID, reject};
use dp_types::{ClientOrderId, Instrument, Now, OrderId, RejectReason, TradeId};
use dp_venue_api::{Capabilities, EntryError, EntryLink, FixConfig, FixSpec, VenueConfig};
use dp_venue_fix::dialect::{
    Dialect, Entries, Fills, Levels, MarketAsk, MarketDialect, Name, Sizes, parse_name, push_name,
    reason_of_103,
};
use dp_venue_fix::{Ask, OverFix, logon};
use dp_wire::ids::parse_u128;
use dp_wire::time::TimeText;

/// The venue's name (56).
const TARGET: &str = "SPOT";
/// Our name (49), where none is configured: the venue takes any of eight letters.
const SENDER: &str = "SPINLANE";
/// As above, on the session of market data: a name of its own, of eight letters again.
const MARKET_SENDER: &str = "SPINL-MD";
/// Seconds; the venue takes 5 to 60.
const HEARTBEAT_S: u32 = 10;
/// Requests a second: 10,000 in ten.
const PER_SECOND: u64 = 1_000;

fn name(id: ClientOrderId, number: u16, out: &mut Name) {
    push_name(CLIENT_PREFIX.as_bytes(), id, number, out);
}

/// Our name for a refusal: the venue's code where it gives one, else OrdRejReason.
fn reason(code: i32, words: &str) -> RejectReason {
    if code < 0 {
        reject::reason(code, words)
    } else {
        reason_of_103(code)
    }
}

/// The trades' depth says nothing, and is asked for as in the venue's own example.
const MARKET_DIALECT: MarketDialect = MarketDialect {
    asks: &[
        MarketAsk {
            fields: &[(264, "1000"), (266, "Y")],
            kinds: &[0, 1],
        },
        MarketAsk {
            fields: &[(264, "1"), (266, "Y")],
            kinds: &[2],
        },
    ],
    entries: Entries::Levels(Levels::PLAIN),
};

/// A session, by the names of its two ends and our usual one. Errors: `None`, the keys are of no use.
fn spec(
    config: &VenueConfig,
    fix: &FixConfig,
    sender: &str,
    (target, usual): (&str, &str),
) -> Option<FixSpec> {
    let auth = Auth::new(&config.secrets).ok()??;
    if !auth.has_session() {
        return None;
    }
    let sender = logon::or_else(sender, usual);
    let target = logon::or_else(target, TARGET);
    let names = (sender.clone(), target.clone());
    Some(FixSpec {
        version: "FIX.4.4".into(),
        appl_version: None,
        sender,
        target,
        heartbeat_s: logon::seconds(fix.heartbeat_s, HEARTBEAT_S),
        resets: true,
        rollover_s: None,
        resends: false,
        clock_skew_s: logon::CLOCK_SKEW_S,
        logon: Box::new(move |facts, out| {
            let time = TimeText::fix_millis(facts.time_ns);
            let seq = facts.seq.to_string();
            let payload = fix_logon_payload([&names.0, &names.1, &seq, time.as_str()]);
            let signature = auth.sign(payload.as_bytes());
            out.text(553, auth.api_key())
                .data(95, 96, signature.as_str().as_bytes())
                .u64(25035, 1)
                .u64(25036, 1);
        }),
    })
}

impl OverFix for Binance {
    const CAPABILITIES: Capabilities = Capabilities {
        entry: EntryLink::Fix,
        ..CAPABILITIES
    };

    fn dialect() -> Dialect {
        Dialect {
            venue: ID,
            name,
            parse_name: |text| parse_name(text, parse_client_id),
            order_id: |text| parse_u128(text).filter(|id| *id != 0).map(OrderId),
            trade_id: |text| parse_u128(text).map(TradeId),
            trade_tags: &[1003],
            reason,
            post_only: "6",
            new_fields: &[],
            is_strict: false,
            is_swapped: false,
            amend: None,
            fills: Fills::WithFee,
            sizes: Sizes::Units,
            rate: (PER_SECOND, PER_SECOND as u32),
        }
    }

    fn session(config: &VenueConfig, fix: &FixConfig) -> Option<FixSpec> {
        spec(config, fix, &fix.sender, (&fix.target, SENDER))
    }

    fn market(config: &VenueConfig, fix: &FixConfig) -> Option<(FixSpec, MarketDialect)> {
        let target = logon::or_else(&fix.market_target, &fix.target);
        let names = (target.as_str(), MARKET_SENDER);
        let spec = spec(config, fix, &fix.market_sender, names)?;
        Some((spec, MARKET_DIALECT))
    }

    /// Unfilled orders are counted by account, whichever road they took.
    fn admit(&mut self, ask: Ask<'_>, _: &Instrument, now: Now) -> Result<(), EntryError> {
        match ask {
            Ask::New(_) => self.session.admit(Op::New, now),
            Ask::Amend(_) | Ask::Cancel(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId};
    use dp_venue_api::Secrets;
    use dp_wire::fix::{LogonFacts, Out};
    use proptest::prelude::*;

    fn config() -> VenueConfig {
        VenueConfig {
            secrets: Secrets {
                api_key: "KEY".into(),
                ed25519_pem: "-----BEGIN PRIVATE KEY-----\n\
                    MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u\n\
                    -----END PRIVATE KEY-----\n"
                    .into(),
                ..Secrets::default()
            },
            ..VenueConfig::default()
        }
    }

    /// Venue page, section 5, vector 5.
    #[test]
    fn the_logon_is_signed_as_the_page_says() {
        let fix = FixConfig {
            sender: "EXAMPLE".into(),
            ..FixConfig::default()
        };
        let spec = Binance::session(&config(), &fix).unwrap();
        let mut out = Out::new();
        let facts = LogonFacts {
            seq: 1,
            time_ns: 1_719_487_045_223_000_000,
        };
        (spec.logon)(facts, &mut out);
        let text = String::from_utf8(out.body().to_vec()).unwrap();
        let signature = "4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA==";
        assert!(text.contains(&format!("96={signature}\u{1}")), "{text}");
    }

    #[test]
    fn another_kind_of_key_logs_on_nowhere() {
        let mut config = config();
        config.secrets.ed25519_pem = dp_venue_api::Secret::default();
        config.secrets.api_secret = "secret".into();
        assert!(Binance::session(&config, &FixConfig::default()).is_none());
    }

    proptest! {
        #[test]
        fn names_come_back(epoch in 1u16..=Epoch::MAX, lane in 0u8..16, sequence: u16, number: u16) {
            let id = ClientOrderId::new(Epoch(epoch), LaneId(lane), sequence.into()).unwrap();
            let mut text = Name::new();
            name(id, number, &mut text);
            prop_assert!(text.len() <= 36, "the venue takes 36");
            prop_assert_eq!(parse_name(text.as_bytes(), parse_client_id), Some((id, number)));
        }
    }
}
