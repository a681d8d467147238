//! What answers orders, as text: acknowledgements, answers to cancels, reports of the user stream. The venue
//! crates' fixtures, which their scanners must take.

/// As Binance prints them.
pub const BINANCE: [&str; 4] = [
    include_str!("../../dataplane/venues/binance/fixtures/entry_new_ack.json"),
    include_str!("../../dataplane/venues/binance/fixtures/account_fill_partial.json"),
    include_str!("../../dataplane/venues/binance/fixtures/entry_cancel_ack.json"),
    include_str!("../../dataplane/venues/binance/fixtures/account_canceled.json"),
];

/// As OKX prints them.
pub const OKX: [&str; 4] = [
    include_str!("../../dataplane/venues/okx/fixtures/entry_new_ack_2026.json"),
    include_str!("../../dataplane/venues/okx/fixtures/account_order_partial_2026.json"),
    include_str!("../../dataplane/venues/okx/fixtures/entry_cancel_ack.json"),
    include_str!("../../dataplane/venues/okx/fixtures/account_order_canceled_user.json"),
];

/// Their bytes, without the line's end.
pub fn texts(answers: &[&str]) -> Vec<Vec<u8>> {
    let bytes = |text: &&str| text.trim_end().as_bytes().to_vec();
    answers.iter().map(bytes).collect()
}
