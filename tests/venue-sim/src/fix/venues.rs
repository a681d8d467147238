//! The venues' FIX doors. Facts and their marks ([U] = not verified) are of the venues' documents of 2026.

use super::codec::Message;
use super::profile::{Books, OnCut, Profile, Why, Words, refusal};
use crate::core::Core;
use crate::engine::{AccountId, PostOnly};
use crate::keys::unbase64;
use crate::venues::{coinbase, kraken};
use ring::{digest, hmac};

const SECOND_NS: u64 = 1_000_000_000;

/// Coinbase Exchange: FIX 5.0 SP2 in FIXT 1.1; order entry and market data, two hosts there and one port here: who speaks
/// to `Coinbase-MD` would speak to the second host.
pub const COINBASE: Profile = Profile {
    begin: "FIXT.1.1",
    appl: Some("9"),
    targets: &["Coinbase", "Coinbase-MD"],
    // Market data may have 300; the cap of order entry is held for both.
    heartbeat_s: (1, 30, 10),
    keeps: false,
    rollover_ms: None,
    skew_ms: 30_000, // [U] as REST
    sessions_max: 1,
    logons: (2, SECOND_NS),
    messages: (100, 200, SECOND_NS),
    waits_after_cut: false,
    log_on: coinbase_logon,
    on_cut: |logon| match logon.text(8013) {
        "S" => OnCut::Session,
        "Y" => OnCut::Account,
        _ => OnCut::Keep,
    },
    books: Books::Orders,
    kinds: &["D", "F", "G", "H", "U6", "U4", "V"],
    words: Words {
        post_only: &[("A", PostOnly::Refuse)],
        expires: false,
        trade_tag: 1003,
        code_tag: None,
        is_client_id: coinbase::is_uuid,
        own_session_only: false,
        swaps_ids: false,
        rejects_with_3: false,
        batch_max: 15,
        notional_min: 1,
        open_max: 500,
        // [U] the numbers; the texts are those of REST.
        refusals: &[
            refusal(Why::Symbol, 1, 0, "Product not found"),
            refusal(Why::Price, 99, 0, "Invalid price"),
            refusal(Why::Tick, 99, 0, "price is too accurate"),
            refusal(Why::Qty, 13, 0, "Invalid order size"),
            refusal(Why::Notional, 99, 0, "notional is too small. Minimum is 1"),
            refusal(Why::Balance, 3, 0, "Insufficient funds"),
            refusal(Why::WouldTake, 99, 0, "post only"),
            refusal(Why::ClientId, 99, 0, "Invalid client_oid: not a UUID"),
            refusal(Why::Duplicate, 6, 0, "Duplicate client_oid"),
            refusal(Why::Unknown, 1, 0, "order not found"),
            refusal(Why::Done, 0, 0, "Order already done"),
            refusal(Why::TooMany, 3, 0, "Too many open orders"),
            refusal(Why::TooFast, 99, 0, "Message rate limit exceeded"),
            refusal(Why::Timeout, 0, 0, "Internal server error"),
            refusal(Why::Unsupported, 11, 0, "Unsupported order characteristic"),
        ],
    },
};

/// Binance spot: FIX 4.4; order entry, drop copy and market data, three hosts there and one port here.
pub const BINANCE: Profile = Profile {
    begin: "FIX.4.4",
    appl: None,
    targets: &["SPOT"],
    heartbeat_s: (5, 60, 30),
    keeps: false,
    rollover_ms: None,
    skew_ms: 5_000,
    sessions_max: 10,
    logons: (15, 30 * SECOND_NS),
    messages: (10_000, 10_000, 10 * SECOND_NS),
    waits_after_cut: true,
    log_on: binance_logon,
    on_cut: |_| OnCut::Keep,
    books: Books::Numbered,
    kinds: &["D", "F", "XCN", "XAK", "q", "XLQ", "V"],
    words: Words {
        post_only: &[("6", PostOnly::Refuse)],
        expires: true,
        trade_tag: 1003,
        code_tag: Some(25016),
        is_client_id: |id| {
            let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=36).contains(&id.len()) && id.bytes().all(is_letter)
        },
        own_session_only: false,
        swaps_ids: false,
        rejects_with_3: true,
        batch_max: 0,
        notional_min: 0,
        open_max: 200,
        refusals: &[
            refusal(Why::Symbol, 99, -1121, "Invalid symbol."),
            refusal(Why::Price, 99, -1013, "Filter failure: PRICE_FILTER"),
            refusal(Why::Tick, 99, -1013, "Filter failure: PRICE_FILTER"),
            refusal(Why::Qty, 99, -1013, "Filter failure: LOT_SIZE"),
            refusal(Why::Notional, 99, -1013, "Filter failure: NOTIONAL"),
            refusal(
                Why::Balance,
                99,
                -2010,
                "Account has insufficient balance for requested action.",
            ),
            refusal(
                Why::WouldTake,
                99,
                -2010,
                "Order would immediately match and take.",
            ),
            refusal(Why::ClientId, 99, -1102, "Illegal parameter 'ClOrdID'."),
            refusal(Why::Duplicate, 6, -2010, "Duplicate order sent."),
            refusal(Why::Unknown, 1, -2011, "Unknown order sent."),
            refusal(Why::Done, 1, -2011, "Unknown order sent."),
            refusal(Why::Amend, 99, -2038, "Order amend rejected."),
            refusal(Why::TooMany, 99, -1013, "Filter failure: MAX_NUM_ORDERS"),
            refusal(Why::TooFast, 99, -1015, "Too many new orders."),
            refusal(Why::Timeout, 99, -1007, "Timeout waiting for response."),
            refusal(
                Why::Unsupported,
                11,
                -1106,
                "Parameter sent when not required.",
            ),
        ],
    },
};

/// Kraken's words are texts.
const KRAKEN_WORDS: Words = Words {
    post_only: &[("6", PostOnly::AcceptThenCancel)],
    expires: false,
    trade_tag: 880, // [U]
    code_tag: None,
    is_client_id: |id| !id.is_empty() && (kraken::is_client_id(id) || is_number(id)),
    own_session_only: true,
    swaps_ids: false,
    rejects_with_3: false,
    batch_max: 0,
    notional_min: 0,
    open_max: 60,
    refusals: &[
        refusal(Why::Symbol, 1, 0, "EQuery:Unknown asset pair"),
        refusal(Why::Price, 99, 0, "EOrder:Invalid price"),
        refusal(Why::Tick, 99, 0, "EOrder:Tick size check failed"),
        refusal(Why::Qty, 13, 0, "EOrder:Order minimum not met"),
        refusal(Why::Notional, 99, 0, "EOrder:Cost minimum not met"),
        refusal(Why::Balance, 3, 0, "EOrder:Insufficient funds"),
        refusal(Why::WouldTake, 99, 0, "EOrder:Post only order"),
        refusal(Why::Unknown, 1, 0, "EOrder:Unknown order"),
        refusal(Why::Done, 1, 0, "EOrder:Unknown order"),
        refusal(Why::Duplicate, 6, 0, "EGeneral:Invalid arguments:cl_ord_id"),
        refusal(Why::TooMany, 3, 0, "EOrder:Orders limit exceeded"),
        refusal(Why::TooFast, 99, 0, "EOrder:Rate limit exceeded"),
        refusal(Why::Timeout, 99, 0, "EService:Timeout"),
        refusal(Why::Unsupported, 11, 0, "EGeneral:Invalid arguments"),
    ],
};

/// Kraken spot: Unified FIX 4.4; numbers are kept until the rollover, and what was missed is sent again.
pub const KRAKEN: Profile = Profile {
    begin: "FIX.4.4",
    appl: None,
    targets: &["KRAKEN-TRD", "KRAKEN-MD"],
    heartbeat_s: (1, 60, 60),
    keeps: true,
    rollover_ms: Some(22 * 3_600_000),
    skew_ms: 60_000,                   // [U] the nonce has a window of its own
    sessions_max: 10,                  // [U]
    logons: (150, 600 * SECOND_NS),    // [U] as the WebSocket
    messages: (500, 1_000, SECOND_NS), // [U]
    waits_after_cut: false,
    log_on: kraken_logon,
    on_cut: |logon| match logon.text(8674) {
        "" | "0" => OnCut::Session,
        _ => OnCut::Keep,
    },
    books: Books::Checked,
    kinds: &["D", "F", "G", "q", "H", "x", "V"],
    words: KRAKEN_WORDS,
};

/// Kraken Futures: as spot; SenderCompID ends in `DRV`, and a post-only order that would take is refused.
pub const KRAKEN_FUTURES: Profile = Profile {
    log_on: |core, logon| {
        let is_ours = logon.text(56).ends_with("-MD") || logon.text(49).ends_with("DRV");
        if is_ours {
            kraken_logon(core, logon)
        } else {
            Err("EGeneral:Permission denied".to_owned())
        }
    },
    words: Words {
        post_only: &[("6", PostOnly::Refuse)],
        ..KRAKEN_WORDS
    },
    ..KRAKEN
};

/// Deribit: FIX 4.4. Whether numbers outlive a connection is [U]; here they do, unless the logon resets them.
pub const DERIBIT: Profile = Profile {
    begin: "FIX.4.4",
    appl: None,
    targets: &["DERIBITSERVER"],
    heartbeat_s: (1, 300, 30), // [U]
    keeps: true,
    rollover_ms: None,
    skew_ms: 60_000, // [U]
    sessions_max: 16,
    logons: (100, 10 * SECOND_NS),     // [U]
    messages: (500, 1_000, SECOND_NS), // [U] credits count orders
    waits_after_cut: false,
    log_on: deribit_logon,
    on_cut: |logon| {
        if logon.is_set(9001) {
            OnCut::Session
        } else {
            OnCut::Keep
        }
    },
    books: Books::Contracts,
    kinds: &["D", "F", "G", "q", "AF", "x", "AN", "V"],
    words: Words {
        // Both together: refused instead of moved behind the spread.
        post_only: &[("6A", PostOnly::Refuse), ("6", PostOnly::AcceptThenCancel)],
        expires: false,
        trade_tag: 880, // [U]
        code_tag: None,
        is_client_id: |id| id.len() <= 64,
        own_session_only: false,
        swaps_ids: true,
        rejects_with_3: false,
        batch_max: 0,
        notional_min: 0,
        open_max: 1_000,
        refusals: &[
            refusal(Why::Symbol, 1, 0, "invalid_or_unsupported_instrument"),
            refusal(Why::Price, 99, 0, "invalid_price"),
            refusal(Why::Tick, 99, 0, "price_wrong_tick"),
            refusal(Why::Qty, 13, 0, "invalid_amount"),
            refusal(Why::Balance, 3, 0, "not_enough_funds"),
            refusal(Why::WouldTake, 99, 0, "post_only_reject"),
            refusal(Why::Unknown, 1, 0, "order_not_found"),
            refusal(Why::Done, 0, 0, "already_closed"),
            refusal(Why::TooFast, 99, 0, "too_many_requests"),
            refusal(Why::Timeout, 99, 0, "internal_server_error"),
            refusal(Why::Unsupported, 11, 0, "invalid_arguments"),
        ],
    },
};

/// A liquidity provider's gateway in plain FIX 4.4; its sessions are agreed ([`super::Agreed`]).
pub const GATEWAY: Profile = Profile {
    begin: "FIX.4.4",
    appl: None,
    targets: &[],
    heartbeat_s: (1, 300, 30),
    keeps: true,
    rollover_ms: None,
    skew_ms: 120_000,
    sessions_max: usize::MAX,
    logons: (10, SECOND_NS),
    messages: (500, 1_000, SECOND_NS),
    waits_after_cut: false,
    log_on: |_, _| Err("unknown session".to_owned()),
    on_cut: |_| OnCut::Keep,
    books: Books::Levels,
    kinds: &["D", "F", "G", "H", "AF", "q", "x", "V"],
    words: Words {
        post_only: &[("6", PostOnly::Refuse)],
        expires: false,
        trade_tag: 880,
        code_tag: None,
        is_client_id: |id| (1..=64).contains(&id.len()),
        own_session_only: false,
        swaps_ids: false,
        rejects_with_3: false,
        batch_max: 0,
        notional_min: 0,
        open_max: 1_000,
        refusals: &[
            refusal(Why::Symbol, 1, 0, "unknown symbol"),
            refusal(Why::Price, 99, 0, "incorrect price"),
            refusal(Why::Tick, 99, 0, "price is no multiple of the tick"),
            refusal(Why::Qty, 13, 0, "incorrect quantity"),
            refusal(Why::Notional, 99, 0, "order value too small"),
            refusal(Why::Balance, 3, 0, "order exceeds limit"),
            refusal(Why::WouldTake, 99, 0, "would take"),
            refusal(Why::ClientId, 99, 0, "ClOrdID missing or too long"),
            refusal(Why::Duplicate, 6, 0, "duplicate order"),
            refusal(Why::Unknown, 1, 0, "unknown order"),
            refusal(Why::Done, 0, 0, "too late"),
            refusal(Why::TooMany, 3, 0, "too many open orders"),
            refusal(Why::TooFast, 99, 0, "too many messages"),
            refusal(Why::Timeout, 99, 0, "outcome unknown"),
            refusal(Why::Unsupported, 11, 0, "unsupported order characteristic"),
        ],
    },
};

fn is_number(text: &str) -> bool {
    text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The fields with these tags, joined by SOH.
fn joined(logon: &Message, tags: &[u32]) -> String {
    let fields: Vec<&str> = tags.iter().map(|tag| logon.text(*tag)).collect();
    fields.join("\u{1}")
}

/// Key in 553 and 49, passphrase in 554, base64(HMAC-SHA256) of the header's fields and the passphrase in 96.
fn coinbase_logon(core: &Core, logon: &Message) -> Result<Option<AccountId>, String> {
    if !logon.is_set(141) {
        return Err("ResetSeqNumFlag must be Y".to_owned()); // [U]
    }
    let key = core
        .credential(logon.text(553))
        .filter(|key| key.api_key == logon.text(49))
        .ok_or("Invalid API Key")?;
    if key.passphrase != logon.text(554) {
        return Err("Invalid Passphrase".to_owned());
    }
    let signed = joined(logon, &[52, 35, 34, 49, 56, 554]);
    if key.is_base64_hmac(signed.as_bytes(), logon.text(96)) {
        Ok(Some(key.account))
    } else {
        Err("invalid signature".to_owned())
    }
}

/// Key in 553, Ed25519 over the header's fields in 96; a way of handling messages has to be chosen (25035).
fn binance_logon(core: &Core, logon: &Message) -> Result<Option<AccountId>, String> {
    if !logon.is_set(141) {
        return Err("ResetSeqNumFlag must be Y".to_owned());
    }
    let us = logon.text(49);
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !(1..=8).contains(&us.len()) || !us.bytes().all(is_letter) {
        return Err("invalid SenderCompID".to_owned());
    }
    if !matches!(logon.text(25035), "1" | "2") {
        return Err("MessageHandling (25035) must be 1 or 2".to_owned());
    }
    let key = core.credential(logon.text(553)).ok_or("Invalid API-key")?;
    let signed = joined(logon, &[35, 49, 56, 34, 52]);
    if key.is_ed25519(signed.as_bytes(), logon.text(96)) {
        Ok(Some(key.account))
    } else {
        Err("Signature for this request is not valid.".to_owned())
    }
}

/// How far a nonce may be from the venue's clock at Kraken, milliseconds.
const NONCE_MS: i64 = 5_000;

/// Key in 553, nonce in 5025, and in 554 base64(HMAC-SHA512) of a hash over parts of the message and the nonce.
/// Market data wants no key.
fn kraken_logon(core: &Core, logon: &Message) -> Result<Option<AccountId>, String> {
    if logon.text(56) == "KRAKEN-MD" {
        return Ok(None);
    }
    let key = core.credential(logon.text(553)).ok_or("EAPI:Invalid key")?;
    let nonce = logon.text(5025);
    let off = |nonce: i64| core.venue_ms().saturating_sub(nonce).saturating_abs() > NONCE_MS;
    if nonce.parse().map_or(true, off) {
        return Err("EAPI:Invalid nonce".to_owned());
    }
    let mut signed = String::new();
    for tag in [35, 34, 49, 56, 553] {
        signed.push_str(&format!("{tag}={}\u{1}", logon.text(tag)));
    }
    signed.push_str(nonce);
    let hash = digest::digest(&digest::SHA256, signed.as_bytes());
    if key.is_hmac(hmac::HMAC_SHA512, hash.as_ref(), unbase64(logon.text(554))) {
        Ok(Some(key.account))
    } else {
        Err("EAPI:Invalid signature".to_owned())
    }
}

/// How far the time in RawData may be from Deribit's clock, milliseconds [U].
const RAW_DATA_MS: i64 = 60_000;

/// Client id in 553, `milliseconds.nonce` in 96, base64(SHA256) of that and the secret in 554.
fn deribit_logon(core: &Core, logon: &Message) -> Result<Option<AccountId>, String> {
    let refused = || "invalid_credentials".to_owned();
    let key = core.credential(logon.text(553)).ok_or_else(refused)?;
    let raw = logon.text(96);
    let (ms, nonce) = raw.split_once('.').ok_or_else(refused)?;
    let off = |ms: i64| core.venue_ms().saturating_sub(ms).saturating_abs() > RAW_DATA_MS;
    let is_short = unbase64(nonce).is_none_or(|nonce| nonce.len() < 32);
    if ms.parse().map_or(true, off) || is_short {
        return Err(refused());
    }
    let signed = format!("{raw}{}", key.api_secret);
    let hash = digest::digest(&digest::SHA256, signed.as_bytes());
    if unbase64(logon.text(554)).as_deref() == Some(hash.as_ref()) {
        Ok(Some(key.account))
    } else {
        Err(refused())
    }
}
