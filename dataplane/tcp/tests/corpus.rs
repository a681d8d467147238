//! Every committed fuzz corpus file, through the very function the fuzz target calls, on the stable
//! toolchain; and random programmes, so that the function itself is tried without a fuzzer.

#[path = "../../../tests/fuzz/src/tcp.rs"]
mod entry;

use proptest::prelude::*;
use std::path::PathBuf;

#[test]
fn tcp() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/tcp");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
    assert!(files.len() >= 10, "{} files", files.len());
    for file in files {
        let path = file.unwrap().path();
        // The name of the file a failure belongs to.
        println!("{}", path.display());
        entry::tcp(&std::fs::read(path).unwrap());
    }
}

proptest! {
    #[test]
    fn any_programme(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        entry::tcp(&bytes);
    }
}
