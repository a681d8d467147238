//! Every committed fuzz corpus file of the venue machines, through the very functions the fuzz targets
//! call, on the stable toolchain.

#[path = "../../fuzz/src/venues.rs"]
mod venues;

fn replay(target: &str, entry: fn(&[u8])) {
    let folder = format!("{}/../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for file in std::fs::read_dir(&folder).expect("a corpus") {
        let path = file.expect("a file").path();
        // The name of the file a failure belongs to.
        println!("{}", path.display());
        entry(&std::fs::read(path).expect("readable"));
        count += 1;
    }
    assert!(count >= 20, "{folder}: {count} files");
}

#[test]
fn binance() {
    replay("binance", venues::binance);
}

#[test]
fn okx() {
    replay("okx", venues::okx);
}
