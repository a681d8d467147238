//! Keys are where nobody finds them: all memory of a node that trades, its log, its command line and environment are
//! searched for every secret it was given and for what signing is done with.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::block_api::compress256;
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use tests_system::{Options, Rig, turn};

/// One way in which a key could be seen: its name, its bytes.
type Needles = BTreeMap<String, Vec<u8>>;

/// SHA-256's initial state (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// What HMAC-SHA-256 keeps of a key (RFC 2104, section 4): as good as the key. In the order of the machine's bytes.
fn midstate(secret: &[u8], pad: u8) -> Vec<u8> {
    assert!(secret.len() <= 64, "a longer key is hashed first");
    let mut block = [pad; 64];
    for (byte, of_key) in block.iter_mut().zip(secret) {
        *byte ^= of_key;
    }
    let mut state = INITIAL;
    compress256(&mut state, &[block]);
    state.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// The seed of an Ed25519 key: the last 32 bytes of a PKCS#8 without the public half, else where its octets begin.
fn seed(pem: &str) -> Vec<u8> {
    let lines = pem
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("-----"));
    let der = BASE64_STANDARD.decode(lines.collect::<String>()).unwrap();
    // RFC 8410: the key is an octet string of 32 in an octet string of 34.
    let at = der
        .windows(4)
        .position(|it| it == [0x04, 0x22, 0x04, 0x20])
        .unwrap()
        + 4;
    der[at..at + 32].to_vec()
}

fn needles(file: &Path) -> (String, Needles) {
    let venue = file.file_stem().unwrap().to_str().unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    let keys: toml::Table = toml::from_str(&text).unwrap();
    let text = |name: &str| keys.get(name).and_then(toml::Value::as_str).unwrap_or("");
    let mut found = Needles::new();
    let secret = text("api_secret").as_bytes();
    if !secret.is_empty() {
        found.insert(format!("{venue}: the secret"), secret.to_vec());
        found.insert(format!("{venue}: its inner hash"), midstate(secret, 0x36));
        found.insert(format!("{venue}: its outer hash"), midstate(secret, 0x5c));
    }
    let pem = text("ed25519_pem");
    if !pem.is_empty() {
        let seed = seed(pem);
        found.insert(format!("{venue}: the seed"), seed);
        let line = pem.lines().find(|line| !line.starts_with("-----")).unwrap();
        found.insert(format!("{venue}: the PEM"), line.trim().as_bytes().to_vec());
    }
    (text("api_key").to_owned(), found)
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    hay.iter()
        .enumerate()
        .any(|(at, byte)| *byte == first && hay[at..].starts_with(needle))
}

/// Mappings of a process that a core dump would hold, as lines of its maps. Pages for secrets are left out of dumps; where
/// the kernel can, they cannot be read here either.
fn dumped(pid: i32) -> Vec<String> {
    let smaps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let mut heads: Vec<String> = Vec::new();
    for line in smaps.lines() {
        let word = line.split(' ').next().unwrap_or("");
        let is_head = !word.ends_with(':');
        if is_head {
            heads.push(line.to_owned());
        } else if word == "VmFlags:" && line.split(' ').any(|flag| flag == "dd") {
            heads.pop();
        }
    }
    heads
}

/// Where in the memory of a process that a dump would hold any of these stands.
fn in_memory(pid: i32, needles: &Needles) -> Vec<String> {
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let longest = needles.values().map(Vec::len).max().unwrap_or(0);
    let mut piece = vec![0; 1 << 20];
    let mut hits = Vec::new();
    for line in dumped(pid) {
        let (range, rest) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        let (mut at, to) = (number(from), number(to));
        // What is not there cannot be read: guard pages, the kernel's own.
        while at < to && rest.starts_with('r') {
            let len = (to - at).min(piece.len() as u64) as usize;
            let Ok(read) = memory.read_at(&mut piece[..len], at) else {
                break;
            };
            let here = needles
                .iter()
                .filter(|(_, needle)| contains(&piece[..read], needle));
            hits.extend(here.map(|(name, _)| format!("{name}: {line}")));
            if read < len || at + len as u64 == to {
                break;
            }
            // The edge between two pieces is looked at twice.
            at += (len - longest) as u64;
        }
    }
    hits
}

#[test]
fn no_secret_stands_anywhere_outside_its_own_pages() {
    let _turn = turn();
    let rig = Rig::trading("secrets", &Options::default()).unwrap();
    // Signatures have been made, requests written, tables filled.
    rig.wait_acks(20).unwrap();
    let (mut names, mut all) = (Needles::new(), Needles::new());
    for venue in ["binance", "okx"] {
        let (name, found) = needles(&rig.dir().join(format!("{venue}.toml")));
        names.insert(format!("{venue}: the name"), name.into_bytes());
        all.extend(found);
    }
    assert!(
        all.len() >= 5,
        "a secret with its hashes, and a seed: {:?}",
        all.keys()
    );
    let pid = rig.dataplane_pid().unwrap();
    assert!(
        !in_memory(pid, &names).is_empty(),
        "the search finds what is there: the key's public name"
    );
    for _ in 0..5 {
        assert_eq!(in_memory(pid, &all), Vec::<String>::new());
    }
    assert_eq!(
        in_memory(rig.control_pid().unwrap(), &all),
        Vec::<String>::new()
    );
    let mut places = vec![];
    for pid in [pid, rig.control_pid().unwrap()] {
        places.extend(["cmdline", "environ"].map(|name| format!("/proc/{pid}/{name}")));
    }
    let logs = std::fs::read_dir(rig.dir()).unwrap().flatten();
    let logs = logs.filter(|entry| entry.path().extension().is_some_and(|end| end == "log"));
    places.extend(logs.map(|entry| entry.path().display().to_string()));
    assert!(places.len() > 5, "logs are there: {places:?}");
    for place in places {
        let text = std::fs::read(&place).unwrap();
        for (name, needle) in &all {
            assert!(!contains(&text, needle), "{name} in {place}");
        }
    }
    rig.ends_equal().unwrap();
}
