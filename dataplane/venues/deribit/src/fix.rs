//! Orders and market data over FIX 4.4: the sessions, and the venue's own part of the messages.
//!
//! ```text
//! 49 = our choice, 56 = DERIBITSERVER; numbers begin at 1 with every connection
//! logon     553 client id  95/96 milliseconds, a dot, a nonce  554 hash of that and the secret
//!           9001=Y: our orders go when the session does
//! 11        slBASE36, the label of every road; in a report 11 or 41 may be the venue's own id instead
//! 854=0     quantities of requests are units, as on every road; without it they would be contracts. Those of reports
//!           are contracts whatever was asked, of the size in 231 [U whether each report has it]
//! V         262 263 264=0 265=1 146: 55 267: 269     market data: the whole book (W), then changes and trades (X), in
//!           contracts of the size in 231; nothing numbers a book: the session's numbers are its chain
//! ```
//! Market data has a session of its own with another name of ours (49), and nothing is cancelled with it (9001=N). One
//! address serves both [U ports].
//! A cancel or an amend (`G`) names the order twice: 11 by our name, which it keeps, and 41 by the venue's. An amend says the
//! whole quantity: one that leaves it goes over the WebSocket, since a report may not say it as the quantity it is.
//! The private WebSocket tells of orders beside the session, and of fills alone: whether a report names
//! trades by the same ids is not known `[U]`. Source: venue page, sections 5 and 7; the venue's pages of FIX (new order
//! single, execution reports, market data request, incremental refresh), docs.deribit.com, read 2026-11-22.

use crate::auth::Auth;
use crate::limits::OrderOp;
use crate::symbols::{CLIENT_PREFIX, parse_client_id, parse_id};
use crate::{CAPABILITIES, Deribit, ID, entry, reject};
use dp_types::{ClientOrderId, Instrument, Now, OrderId, RejectReason, TradeId};
use dp_venue_api::{Capabilities, EntryError, EntryLink, FixConfig, FixSpec, VenueConfig};
use dp_venue_fix::dialect::{
    Chained, Dialect, Entries, Fills, Levels, MarketAsk, MarketDialect, Name, Sizes, parse_name,
    push_name, reason_of_103,
};
use dp_venue_fix::{Ask, OverFix, logon};

/// The venue's name (56).
const TARGET: &str = "DERIBITSERVER";
/// Our name (49), where none is configured.
const SENDER: &str = "SPINLANE";
/// The same of market data.
const MARKET_SENDER: &str = "SPINLANE-MD";
/// Seconds.
const HEARTBEAT_S: u32 = 10;
/// Requests a second and at once: [U], the venue names no limit of the session. Its credits are what counts.
const RATE: (u64, u32) = (50, 100);

fn name(id: ClientOrderId, number: u16, out: &mut Name) {
    push_name(CLIENT_PREFIX, id, number, out);
}

/// Our name for a refusal: words of a post-only order, else OrdRejReason.
fn reason(code: i32, words: &str) -> RejectReason {
    if reject::is_post_only(words) || words.contains("post_only") {
        return RejectReason::PostOnlyCross;
    }
    match reject::reason(code) {
        RejectReason::Other | RejectReason::None => reason_of_103(code),
        reason => reason,
    }
}

/// The whole book, then its changes: the only depth there is of them. Trades with it.
const MARKET_DIALECT: MarketDialect = MarketDialect {
    asks: &[MarketAsk {
        fields: &[(264, "0"), (265, "1")],
        kinds: &[0, 1, 2],
    }],
    entries: Entries::Levels(Levels {
        taker: 54,
        sizes: Sizes::Contracts,
        chain: Chained::Session,
        padded: None,
    }),
};

/// A session, by our configured name, our usual one, and whether our orders go when it does. `None`: the keys are of no
/// use.
fn spec(
    config: &VenueConfig,
    fix: &FixConfig,
    (sender, usual): (&str, &str),
    cancels: bool,
) -> Option<FixSpec> {
    let auth = Auth::new(&config.secrets)?;
    let (secret, slot) = (config.secrets.api_secret.clone(), config.nonce_slot);
    Some(FixSpec {
        version: "FIX.4.4".into(),
        appl_version: None,
        sender: logon::or_else(sender, usual),
        target: logon::or_else(&fix.target, TARGET),
        heartbeat_s: logon::seconds(fix.heartbeat_s, HEARTBEAT_S),
        resets: true,
        rollover_s: None,
        resends: false,
        clock_skew_s: logon::CLOCK_SKEW_S,
        logon: Box::new(move |facts, out| {
            let raw = auth.logon_data(facts.time_ns / 1_000_000, slot);
            let password = Auth::logon_password(&raw, &secret);
            out.data(95, 96, raw.as_bytes())
                .text(553, auth.client_id())
                .text(554, &password)
                .flag(9001, cancels);
        }),
    })
}

impl OverFix for Deribit {
    const CAPABILITIES: Capabilities = Capabilities {
        entry: EntryLink::Fix,
        validity_window: false,
        ..CAPABILITIES
    };

    fn dialect() -> Dialect {
        Dialect {
            venue: ID,
            name,
            parse_name: |text| parse_name(text, parse_client_id),
            order_id: |text| parse_id(text).map(OrderId),
            trade_id: |text| parse_id(text).map(TradeId),
            trade_tags: &[],
            reason,
            // Both: refused rather than moved behind the spread.
            post_only: "6A",
            new_fields: &[(854, "0")],
            is_strict: false,
            is_swapped: true,
            amend: Some("G"),
            fills: Fills::Elsewhere,
            sizes: Sizes::Contracts,
            rate: RATE,
        }
    }

    fn session(config: &VenueConfig, fix: &FixConfig) -> Option<FixSpec> {
        spec(config, fix, (&fix.sender, SENDER), true)
    }

    fn market(config: &VenueConfig, fix: &FixConfig) -> Option<(FixSpec, MarketDialect)> {
        let names = (fix.market_sender.as_str(), MARKET_SENDER);
        Some((spec(config, fix, names, false)?, MARKET_DIALECT))
    }

    fn admit(&mut self, ask: Ask<'_>, instrument: &Instrument, now: Now) -> Result<(), EntryError> {
        match ask {
            Ask::New(order) => {
                self.session.admit(OrderOp::Enter, now)?;
                let terms = entry::terms_of(instrument, order);
                self.session.note_terms(order.client_id, terms);
                Ok(())
            }
            Ask::Amend(_) => self.session.admit(OrderOp::Enter, now),
            Ask::Cancel(_) => self.session.admit(OrderOp::Cancel, now),
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

    /// Venue page, section 5, vector 4.
    #[test]
    fn the_password_is_as_the_page_says() {
        let raw = "1576074319000.MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        assert_eq!(
            Auth::logon_password(raw, "AMANDASECRECT"),
            "7d+lqe93Nuinv3QEgsuls4FF/mbL6NMZVhTPlMSvOQo="
        );
    }

    #[test]
    fn a_logon_bears_its_time_a_nonce_and_the_password_of_both() {
        let config = VenueConfig {
            secrets: Secrets {
                api_key: "AMANDA".into(),
                api_secret: "AMANDASECRECT".into(),
                ..Secrets::default()
            },
            ..VenueConfig::default()
        };
        let spec = Deribit::session(&config, &FixConfig::default()).unwrap();
        let data = |time_ns| {
            let mut out = Out::new();
            (spec.logon)(LogonFacts { seq: 1, time_ns }, &mut out);
            let text = String::from_utf8(out.body().to_vec()).unwrap();
            let field = |tag: &str| {
                let mut fields = text.split('\u{1}');
                fields
                    .find_map(|field| field.strip_prefix(tag))
                    .unwrap()
                    .to_owned()
            };
            assert_eq!(
                Auth::logon_password(&field("96="), "AMANDASECRECT"),
                field("554=")
            );
            field("96=")
        };
        let (one, other) = (
            data(1_576_074_319_000_000_000),
            data(1_576_074_319_001_000_000),
        );
        assert!(one.starts_with("1576074319000."), "{one}");
        let nonce = |text: &str| text.split_once('.').unwrap().1.to_owned();
        assert_ne!(nonce(&one), nonce(&other));
        assert_eq!(nonce(&one).len(), 44, "32 bytes");
    }

    proptest! {
        #[test]
        fn names_come_back(epoch in 1u16..=Epoch::MAX, lane in 0u8..16, sequence: u16, number: u16) {
            let id = ClientOrderId::new(Epoch(epoch), LaneId(lane), sequence.into()).unwrap();
            let mut text = Name::new();
            name(id, number, &mut text);
            prop_assert_eq!(parse_name(text.as_bytes(), parse_client_id), Some((id, number)));
        }
    }
}
