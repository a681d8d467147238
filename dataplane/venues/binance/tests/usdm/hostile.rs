//! Bytes nobody should send.

use super::*;

const FIXTURES: [&str; 18] = [
    "usdm_exchange_info",
    "usdm_depth",
    "usdm_listen_key",
    "usdm_key_expired",
    "usdm_logon_ack",
    "usdm_proof_ack",
    "usdm_new_ack",
    "usdm_reject_post_only",
    "usdm_order_fill",
    "usdm_order_cancelled",
    "usdm_trade_lite",
    "usdm_account_update",
    "usdm_positions",
    "usdm_balances",
    "usdm_user_trades",
    "usdm_open_orders",
    "usdm_funding",
    "usdm_funding_income",
];

/// Bytes as a frame on any link, as the body of any answer.
fn feed(rig: &mut UsdmRig, bytes: &[u8]) {
    let mut out = Released::default();
    for link in [LINK_MD, LINK_ORDERS, LINK_USER, LinkId(77)] {
        let mut copy = bytes.to_vec();
        let _ = rig
            .venue
            .on_text(&rig.registry, link, at_ms(1), &mut copy, &mut out);
    }
    for kind in 0..16 {
        for status in [0, 200, 400, 429, 500] {
            let mut copy = bytes.to_vec();
            let response = dp_venue_api::RestResponse {
                tag: RestTag(kind),
                status,
                retry_after_s: None,
                usage: dp_venue_api::Usage::default(),
                body: &mut copy,
            };
            let (venue, registry) = (&mut rig.venue, &mut rig.registry);
            let _ = venue.on_response(registry, LINK_REST, at_ms(1), response, &mut out);
        }
    }
    rig.venue
        .on_deadline(&rig.registry, at_ms(MINUTE_MS), &mut out);
    let is_plain = |path: &str| path.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'/');
    assert!(out.0.iter().all(|(_, path)| is_plain(path)), "{:?}", out.0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_bytes_end_in_events_or_typed_errors(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..4),
        picks in proptest::collection::vec((0..FIXTURES.len(), any::<[(u16, u8); 3]>(), any::<u16>(), 0u8..4), 1..8),
    ) {
        let mut rig = ready_usdm(Keys::Ed25519);
        for frame in &frames {
            feed(&mut rig, frame);
        }
        for (pick, changes, cut, how) in picks {
            let mut bytes = fixture(FIXTURES[pick]).as_bytes().to_vec();
            let len = bytes.len();
            match how {
                0 => bytes.truncate(usize::from(cut) % len),
                1 => bytes.extend_from_within(usize::from(cut) % len..),
                _ => {
                    for (at, byte) in changes {
                        bytes[usize::from(at) % len] = if how == 2 { byte } else { b'0' + byte % 10 };
                    }
                }
            }
            feed(&mut rig, &bytes);
        }
        let (said, result) = rig.text(LINK_USER, 2, fixture("usdm_order_new"));
        prop_assert_eq!((said.events.len(), result), (1, Ok(())));
    }
}
