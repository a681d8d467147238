//! Every committed fuzz corpus file, through the very functions the fuzz targets call, on the
//! stable toolchain.

#[path = "../../../tests/fuzz/src/entries.rs"]
mod entries;

use std::path::PathBuf;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

fn replay(target: &str, count_min: usize, entry: fn(&[u8])) {
    let files = corpus(target);
    assert!(files.len() >= count_min, "{target}: {} files", files.len());
    for (path, bytes) in files {
        // The name of the file a failure belongs to.
        println!("{}", path.display());
        entry(&bytes);
    }
}

#[test]
fn decimal() {
    replay("decimal", 10, entries::decimal);
}

#[test]
fn fix() {
    replay("fix", 10, entries::fix);
}

#[test]
fn http() {
    replay("http", 10, entries::http);
}

#[test]
fn json() {
    replay("json", 10, entries::json);
}

#[test]
fn tls_records() {
    replay("tls_records", 30, entries::tls_records);
}

#[test]
fn ws() {
    replay("ws", 10, entries::ws);
}

#[test]
#[should_panic = "the canary is found"]
fn the_canary_fails_so_a_failing_file_is_noticed() {
    replay("canary", 1, entries::canary);
}
