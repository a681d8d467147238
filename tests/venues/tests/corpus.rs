//! Every committed fuzz corpus file of the venue machines, through the very functions the fuzz targets
//! call, on the stable toolchain.
//!
//! What a machine hears of an answer or a private message depends on what it has asked: of those named as deaf it
//! hears nothing where they come first, or they are no events (refusals, signs of life).

#[path = "../../fuzz/src/sbe.rs"]
mod sbe;
#[path = "../../fuzz/src/scan.rs"]
mod scan;
#[path = "../../fuzz/src/venues.rs"]
mod venues;

/// `deaf`: files of which nothing is to be heard (refusals, acknowledgements of subscriptions, …).
fn replay(target: &str, entry: fn(&[u8]) -> usize, deaf: &[&str]) {
    let folder = format!("{}/../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for file in std::fs::read_dir(&folder).expect("a corpus") {
        let path = file.expect("a file").path();
        // The name of the file a failure belongs to.
        println!("{}", path.display());
        let events = entry(&std::fs::read(&path).expect("readable"));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_known = ["feed_", "account_", "rest_"]
            .iter()
            .any(|kind| name.starts_with(kind));
        if is_known && !deaf.contains(&&*name) {
            assert!(
                events > 0,
                "{name}: the machine heard nothing: it is not reached"
            );
        }
        count += 1;
    }
    assert!(count >= 10, "{folder}: {count} files");
}

#[test]
fn binance() {
    let deaf = [
        "feed_control_error",
        "feed_server_shutdown",
        "rest_account",
        "rest_bad_symbol",
        "rest_exchange_info",
        "rest_exchange_info_halt",
        "rest_my_trades",
        "rest_order_none",
        "rest_too_many",
    ];
    replay("binance", venues::binance, &deaf);
    // What no first question asks for is reached by the later steps of a reconciliation.
    let whole = include_bytes!("../../fuzz/corpus/binance/rest_reconcile");
    let first = include_bytes!("../../fuzz/corpus/binance/rest_open_orders");
    assert!(venues::binance(whole) > venues::binance(first));
}

#[test]
fn binance_usdm() {
    replay(
        "binance_usdm",
        venues::binance_usdm,
        &["account_order_liquidation"],
    );
    let whole = include_bytes!("../../fuzz/corpus/binance_usdm/rest_reconcile");
    let first = include_bytes!("../../fuzz/corpus/binance_usdm/rest_open_orders");
    assert!(venues::binance_usdm(whole) > venues::binance_usdm(first));
}

#[test]
fn okx() {
    let deaf = ["feed_notice_upgrade", "rest_fills", "rest_too_many"];
    replay("okx", venues::okx, &deaf);
    let whole = include_bytes!("../../fuzz/corpus/okx/rest_reconcile");
    let first = include_bytes!("../../fuzz/corpus/okx/rest_orders_pending");
    assert!(venues::okx(whole) > venues::okx(first));
}

#[test]
fn bitfinex() {
    let deaf = "feed_error_subscribe feed_info_reconnect feed_pong rest_error rest_error_nonce \
            rest_error_rate";
    replay(
        "bitfinex",
        venues::bitfinex,
        &deaf.split(' ').collect::<Vec<_>>(),
    );
}

#[test]
fn bybit() {
    let deaf = "account_login_refused account_pong feed_pong feed_subscribe_refused rest_book \
            rest_cancel_all rest_dcp_info_on rest_dcp_window rest_empty_list rest_executions \
            rest_positions rest_rules_linear rest_rules_spot rest_rules_unknown rest_too_many \
            rest_wallet";
    replay("bybit", venues::bybit, &deaf.split(' ').collect::<Vec<_>>());
}

#[test]
fn coinbase() {
    let deaf = "feed_error feed_heartbeat";
    replay(
        "coinbase",
        venues::coinbase,
        &deaf.split(' ').collect::<Vec<_>>(),
    );
}

#[test]
fn deribit() {
    let deaf = "feed_book_contradiction feed_heartbeat feed_test_request rest_instrument_perpetual \
            rest_no_instrument rest_order_book rest_order_trades rest_positions rest_summaries \
            rest_trades";
    replay(
        "deribit",
        venues::deribit,
        &deaf.split(' ').collect::<Vec<_>>(),
    );
}

#[test]
fn huobi() {
    let deaf = "account_clearing account_clearing_deducted account_clearing_rebate account_sub_refused \
            feed_ping feed_swap_ping rest_too_many";
    replay("huobi", venues::huobi, &deaf.split(' ').collect::<Vec<_>>());
}

#[test]
fn kraken() {
    let deaf =
        "feed_heartbeat feed_pong feed_rate_error rest_invalid_key rest_lockout rest_rate_limit";
    replay(
        "kraken",
        venues::kraken,
        &deaf.split(' ').collect::<Vec<_>>(),
    );
}

#[test]
fn kraken_futures() {
    let deaf = "account_cancelled feed_heartbeat feed_message_rate feed_pong feed_subscribe_refused \
            rest_token rest_token_refused";
    replay(
        "kraken_futures",
        venues::kraken_futures,
        &deaf.split(' ').collect::<Vec<_>>(),
    );
}

#[test]
fn kucoin() {
    let deaf = "feed_error_busy feed_error_token feed_error_topic feed_pong rest_too_many";
    replay(
        "kucoin",
        venues::kucoin,
        &deaf.split(' ').collect::<Vec<_>>(),
    );
}

#[test]
fn oanda() {
    replay(
        "oanda",
        venues::oanda,
        &["feed_heartbeat", "rest_instruments", "rest_refused"],
    );
}

#[test]
fn binary_messages() {
    replay("sbe", sbe::binance, &[]);
}

/// How many files of a corpus the scanner took; all of them meant the same to both.
fn scanned(target: &str, entry: fn(&[u8]) -> bool) -> usize {
    let folder = format!("{}/../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_dir(&folder)
        .expect("a corpus")
        .filter(|file| {
            let path = file.as_ref().expect("a file").path();
            println!("{}", path.display());
            entry(&std::fs::read(&path).expect("readable"))
        })
        .count()
}

#[test]
fn scanners_agree_with_the_parser() {
    let (binance, okx) = (
        scanned("scan_binance", scan::binance),
        scanned("scan_okx", scan::okx),
    );
    let changes = scanned("scan_changes", |bytes| scan::changes(bytes) > 0);
    assert!(binance >= 18, "{binance} scanned");
    assert!(okx >= 19, "{okx} scanned");
    assert!(changes >= 12, "{changes} scanned");
}
