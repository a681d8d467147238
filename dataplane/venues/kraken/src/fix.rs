//! Orders and market data over FIX 4.4: the sessions, and the venue's own part of the messages.
//!
//! ```text
//! 49 = assigned by the venue, 56 = KRAKEN-TRD; numbers are kept, what was missed is sent again, a day ends 22:00 UTC
//! logon     553 key  5025 nonce (ms)  554 HMAC of the message's head and the nonce
//!           8674=0: our orders go when the session does
//! 11        slBASE36 as on every road; a later request about the order has its number behind a dash: at most 18
//! V         262 263 264=10 265=1 146: 55 267: 269    market data: ten levels a side (W), then changes and trades (X)
//! 5041      behind the changes of a message: the same checksum as over the WebSocket, of digits the instrument has,
//!           whatever was printed
//! ```
//! Market data has a session of its own at a port of its own, 56 = KRAKEN-MD, without a key; its numbers begin at 1 with
//! every connection (141=Y). [U] whether levels that fall out of the ten are deleted, as FIX has it, or go without a word, as
//! over the WebSocket: the book is cut to ten either way.
//! A cancel reaches orders of its own session only: others are cancelled over the WebSocket. Amends too: the venue has `G` for
//! spot, but it gives the order a new name (11), and under which name the private WebSocket tells its fills then is not
//! known `[U]`. The private WebSocket tells of orders beside the session, and of fills
//! alone: whether a report names trades by the same ids is not known `[U]`.
//! Source: venue page, sections 4, 5 and 7; the venue's pages of Unified FIX (logon, market data request, snapshot full
//! refresh, incremental refresh, book checksum), docs.kraken.com, read 2026-11-22.

use crate::auth::Auth;
use crate::rest::PRICE_DECIMALS_FINER;
use crate::symbols::{CLIENT_PREFIX, pack_id, parse_client_id};
use crate::sync::DEPTH;
use crate::{CAPABILITIES, ID, Kraken, reject};
use dp_types::{ClientOrderId, Instrument, Now, OrderId, RejectReason, TradeId};
use dp_venue_api::{
    BatchNew, Capabilities, EntryError, EntryLink, FixConfig, FixSpec, VenueConfig,
};
use dp_venue_fix::dialect::{
    Chained, Dialect, Entries, Fills, Levels, MarketAsk, MarketDialect, Name, Sizes, parse_name,
    push_name, reason_of_103,
};
use dp_venue_fix::{Ask, OverFix, logon};

/// The venue's name (56) for orders.
const TARGET: &str = "KRAKEN-TRD";
/// The same for market data.
const MARKET_TARGET: &str = "KRAKEN-MD";
/// Seconds, as the venue wants it.
const HEARTBEAT_S: u32 = 60;
/// The same of market data: the venue recommends 60 there too, but a feed that fell silent is to be found sooner.
const MARKET_HEARTBEAT_S: u32 = 30;
/// When the venue's day ends, seconds of the UTC day.
const ROLLOVER_S: u32 = 22 * 3_600;
/// Requests a second and at once: [U], the venue names no limit of the session. Its counters an instrument are what
/// counts.
const RATE: (u64, u32) = (50, 100);

/// What the checksum proves, all of it.
const MARKET_DIALECT: MarketDialect = MarketDialect {
    asks: &[MarketAsk {
        fields: &[(264, "10"), (265, "1")],
        kinds: &[0, 1, 2],
    }],
    entries: Entries::Levels(Levels {
        taker: 2446,
        sizes: Sizes::Units,
        chain: Chained::AsTold,
        padded: Some(PRICE_DECIMALS_FINER),
    }),
};
const _: () = assert!(DEPTH == 10, "264 asks for as many");

fn name(id: ClientOrderId, number: u16, out: &mut Name) {
    push_name(CLIENT_PREFIX, id, number, out);
}

/// Our name for a refusal: its words where they are the venue's own, else OrdRejReason.
fn reason(code: i32, words: &str) -> RejectReason {
    match reject::error(words) {
        (reject::UNNAMED, _) => reason_of_103(code),
        (_, reason) => reason,
    }
}

/// What a logon's password is made of, before the nonce.
pub fn logon_head(seq: u64, sender: &str, target: &str, key: &str) -> String {
    format!("35=A\u{1}34={seq}\u{1}49={sender}\u{1}56={target}\u{1}553={key}\u{1}")
}

impl OverFix for Kraken {
    const CAPABILITIES: Capabilities = Capabilities {
        entry: EntryLink::Fix,
        batch_new: BatchNew::None, // one message an order
        validity_window: false,
        ..CAPABILITIES
    };

    fn dialect() -> Dialect {
        Dialect {
            venue: ID,
            name,
            parse_name: |text| parse_name(text, parse_client_id),
            order_id: |text| pack_id(text).filter(|id| *id != 0).map(OrderId),
            trade_id: |text| pack_id(text).map(TradeId),
            trade_tags: &[],
            reason,
            post_only: "6",
            new_fields: &[],
            is_strict: true,
            is_swapped: false,
            amend: None,
            fills: Fills::Elsewhere,
            sizes: Sizes::Units,
            rate: RATE,
        }
    }

    fn session(config: &VenueConfig, fix: &FixConfig) -> Option<FixSpec> {
        let auth = Auth::new(&config.secrets)?;
        let (sender, target) = (fix.sender.clone(), logon::or_else(&fix.target, TARGET));
        if sender.is_empty() {
            return None;
        }
        let names = (sender.clone(), target.clone());
        Some(FixSpec {
            version: "FIX.4.4".into(),
            appl_version: None,
            sender,
            target,
            heartbeat_s: logon::seconds(fix.heartbeat_s, HEARTBEAT_S),
            resets: false,
            rollover_s: Some(ROLLOVER_S),
            resends: true,
            clock_skew_s: logon::CLOCK_SKEW_S,
            logon: Box::new(move |facts, out| {
                let nonce = (facts.time_ns / 1_000_000).to_string();
                let head = logon_head(facts.seq, &names.0, &names.1, auth.api_key());
                let password = auth.sign_logon(&head, &nonce);
                out.text(553, auth.api_key())
                    .text(554, password.as_str())
                    .text(5025, &nonce)
                    .u64(8674, 0);
            }),
        })
    }

    fn market(_: &VenueConfig, fix: &FixConfig) -> Option<(FixSpec, MarketDialect)> {
        let sender = logon::or_else(&fix.market_sender, &fix.sender);
        if sender.is_empty() {
            return None;
        }
        let spec = FixSpec {
            version: "FIX.4.4".into(),
            appl_version: None,
            sender,
            target: logon::or_else(&fix.market_target, MARKET_TARGET),
            heartbeat_s: logon::seconds(fix.heartbeat_s, MARKET_HEARTBEAT_S),
            resets: true,
            rollover_s: None,
            resends: false,
            clock_skew_s: logon::CLOCK_SKEW_S,
            logon: Box::new(|_, _| ()),
        };
        Some((spec, MARKET_DIALECT))
    }

    fn admit(&mut self, ask: Ask<'_>, instrument: &Instrument, now: Now) -> Result<(), EntryError> {
        match ask {
            Ask::New(order) => self.session.admit_new(instrument, order, now),
            Ask::Cancel(cancel) => self.session.admit_cancel(cancel, now),
            Ask::Amend(_) => Ok(()),
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
    fn the_logon_is_signed_as_the_page_says() {
        let config = VenueConfig {
            secrets: Secrets {
                api_key: "FAKEAPIKEY".into(),
                api_secret: "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
                    .into(),
                ..Secrets::default()
            },
            ..VenueConfig::default()
        };
        let mut fix = FixConfig::default();
        assert!(
            Kraken::session(&config, &fix).is_none(),
            "no name is assigned"
        );
        fix.sender = "CLIENT".into();
        let spec = Kraken::session(&config, &fix).unwrap();
        let mut out = Out::new();
        let facts = LogonFacts {
            seq: 1,
            time_ns: 1_700_000_000_000_000_000,
        };
        (spec.logon)(facts, &mut out);
        let text = String::from_utf8(out.body().to_vec()).unwrap();
        let password = "rJ7tqP5CMTXpVMrleONscE1mQMsaWwXBHKpp0YfzpR92zWNAY7YJjMPZS77r4e6EPHYcuBNsgK7BtygZsxgPPQ==";
        assert!(text.contains(&format!("554={password}\u{1}")), "{text}");
        assert!(text.contains("5025=1700000000000\u{1}"), "{text}");
    }

    proptest! {
        #[test]
        fn names_come_back(epoch in 1u16..=Epoch::MAX, lane in 0u8..16, sequence: u16, number: u16) {
            let id = ClientOrderId::new(Epoch(epoch), LaneId(lane), sequence.into()).unwrap();
            let mut text = Name::new();
            name(id, number, &mut text);
            prop_assert!(text.len() <= 18, "the venue takes 18");
            prop_assert_eq!(parse_name(text.as_bytes(), parse_client_id), Some((id, number)));
        }
    }
}
