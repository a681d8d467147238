//! Every committed fuzz corpus file of the venue machines, through the very functions the fuzz targets
//! call, on the stable toolchain.

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
    assert!(count >= 20, "{folder}: {count} files");
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
fn okx() {
    let deaf = ["feed_notice_upgrade", "rest_fills", "rest_too_many"];
    replay("okx", venues::okx, &deaf);
    let whole = include_bytes!("../../fuzz/corpus/okx/rest_reconcile");
    let first = include_bytes!("../../fuzz/corpus/okx/rest_orders_pending");
    assert!(venues::okx(whole) > venues::okx(first));
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
    assert!(binance >= 18, "{binance} scanned");
    assert!(okx >= 19, "{okx} scanned");
}
