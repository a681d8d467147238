//! Where a secret is: read from outside, as a debugger or a core dump would.

use dp_secret::{Kind, Locked, Secret};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

/// Writable memory of this process in which `needle` stands, as lines of /proc/self/maps.
fn found(needle: &[u8]) -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    let mut hits = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let from = u64::from_str_radix(from, 16).unwrap();
        let to = u64::from_str_radix(to, 16).unwrap();
        // A page at a time, so that nothing found is copied far, and over the edge between two.
        let mut piece = [0; 8192];
        for at in (from..to).step_by(4096) {
            let len = (to - at).min(8192) as usize;
            let is_read = memory.read_exact_at(&mut piece[..len], at).is_ok();
            let here = piece.as_ptr() as u64;
            if is_read
                && !(at..at + 8192).contains(&here)
                && piece[..len].windows(needle.len()).any(|it| it == needle)
            {
                hits.push(line.to_owned());
                break;
            }
        }
        piece.fill(0);
        std::hint::black_box(&piece);
    }
    hits
}

/// Not in the program's text: made when it runs.
fn word(salt: u8) -> Vec<u8> {
    (0..24).map(|at| b'a' + (at * 7 + salt) % 26).collect()
}

#[test]
fn a_hidden_page_is_read_by_nobody_and_a_plain_one_is() {
    let mut plain = word(1);
    assert!(!found(&plain).is_empty(), "the search finds what is there");
    let secret = Secret::from(std::str::from_utf8(&plain).unwrap());
    plain.fill(0);
    let wanted = word(1);
    let hits = found(&wanted);
    // `wanted` itself, on the heap, and nothing else that can be read.
    let is_hidden = Locked::of(0_u8).kind() == Kind::Hidden;
    assert_eq!(hits.len(), if is_hidden { 1 } else { 2 }, "{hits:?}");
    assert_eq!(secret.as_bytes(), wanted);
}

#[test]
fn a_locked_page_is_locked_and_left_out_of_dumps() {
    let secret = Secret::from("held while we look");
    let at = secret.as_ptr() as u64;
    let mut smaps = std::fs::File::open("/proc/self/smaps").unwrap();
    let mut text = String::new();
    smaps.seek(SeekFrom::Start(0)).unwrap();
    smaps.read_to_string(&mut text).unwrap();
    let mut is_ours = false;
    for line in text.lines() {
        let head = line.split(' ').next().unwrap_or("");
        if let Some((from, to)) = head.split_once('-') {
            let number = |text| u64::from_str_radix(text, 16);
            if let (Ok(from), Ok(to)) = (number(from), number(to)) {
                is_ours = (from..to).contains(&at);
            }
        } else if is_ours && let Some(flags) = line.strip_prefix("VmFlags:") {
            let has = |flag| flags.split_whitespace().any(|one| one == flag);
            assert!(has("lo") && has("dd"), "{flags}");
            return;
        }
    }
    panic!("the page is not in smaps");
}
