//! A peer that holds the server's keys and breaks every rule, one at a time.

use super::super::half::Half;
use super::super::{Inner, TlsClient};
use super::*;
use crate::rig::{self, SUITES, Site, open_with, serve};
use proptest::prelude::*;
use rustls::{CipherSuite, ServerConnection};

const AES_128: CipherSuite = SUITES[0];

/// The server's end of an open connection, with its keys in hand.
struct Peer {
    rx: Half,
    tx: Half,
}

impl Peer {
    /// One record with this inside, whatever it is.
    fn says(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.tx.seal(kind, content, &mut out).unwrap();
        out
    }

    /// One record with this after the header, before it is encrypted: content, kind, padding.
    fn says_inner(&mut self, inner: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.tx.seal_inner(inner, &mut out).unwrap();
        out
    }

    /// The alert in what the client sent.
    fn alert(&mut self, out: &mut [u8]) -> Option<u8> {
        if out.is_empty() {
            return None;
        }
        let (kind, len) = self.rx.open(out).unwrap();
        assert_eq!((kind, len, out[HEADER]), (kind::ALERT, 2, FATAL));
        Some(out[HEADER + 1])
    }
}

fn pair(site: &Site, suite: CipherSuite) -> (TlsClient, Peer) {
    let (client, server) = open_with(site, suite);
    let secrets = server.dangerous_extract_secrets().unwrap();
    let half = |(seq, secret)| Half::new(seq, &secret).unwrap();
    let (rx, tx) = (half(secrets.rx), half(secrets.tx));
    (client, Peer { rx, tx })
}

fn records(client: &mut TlsClient) -> &mut Records {
    match &mut client.inner {
        Inner::Records(records) => records,
        _ => panic!("not open"),
    }
}

/// What the client makes of these bytes: plaintext, outcome, answer.
fn hear(client: &mut TlsClient, mut cipher: Vec<u8>) -> (Vec<u8>, Result<(), TlsFault>, Vec<u8>) {
    let (mut plain, mut out) = (Vec::new(), Vec::new());
    let mut take = |part: &mut [u8]| plain.extend_from_slice(part);
    let result = client.on_bytes(&mut cipher, &mut take, &mut out);
    (plain, result, out)
}

/// The client must refuse these bytes, say so to the peer, and be dead.
fn refuses(client: &mut TlsClient, peer: &mut Peer, cipher: Vec<u8>) -> (TlsFault, Option<u8>) {
    let (plain, result, mut out) = hear(client, cipher);
    let fault = result.expect_err("must be refused");
    assert!(plain.is_empty(), "plaintext of a refused record");
    assert!(!client.is_open() && matches!(client.inner, Inner::Dead));
    assert_eq!(client.seal(b"x", &mut Vec::new()), Err(fault));
    (fault, peer.alert(&mut out))
}

const UNEXPECTED: (TlsFault, Option<u8>) = (TlsFault::Protocol, Some(10));
const BAD_MAC: (TlsFault, Option<u8>) = (TlsFault::Record, Some(20));
const OVERFLOW: (TlsFault, Option<u8>) = (TlsFault::TooLong, Some(22));
const ILLEGAL: (TlsFault, Option<u8>) = (TlsFault::Protocol, Some(47));
const DECODE: (TlsFault, Option<u8>) = (TlsFault::Protocol, Some(50));

#[test]
fn every_changed_byte_of_a_record_is_refused_and_told() {
    let site = Site::new();
    let text = b"price 1.00 qty 2";
    for suite in SUITES {
        let (mut at, mut len) = (0, 1);
        while at < len {
            for flip in [1, 0x80] {
                let (mut client, mut peer) = pair(&site, suite);
                let mut cipher = peer.says(kind::APPLICATION_DATA, text);
                len = cipher.len();
                cipher[at] ^= flip;
                // A length that grew takes from what comes next.
                cipher.resize(len + RECORD_MAX, 0);
                let expected = match (at, flip) {
                    (0, _) => UNEXPECTED,
                    (3, 0x80) => OVERFLOW,
                    _ => BAD_MAC,
                };
                let refused = refuses(&mut client, &mut peer, cipher);
                assert_eq!(refused, expected, "{suite:?}, byte {at} ^ {flip}");
            }
            at += 1;
        }
        assert_eq!(len, text.len() + OVERHEAD);
    }
}

#[test]
fn a_refused_record_leaves_no_plaintext_in_the_callers_bytes() {
    let site = Site::new();
    for suite in SUITES {
        let (mut client, mut peer) = pair(&site, suite);
        let text = b"nobody may read this before the tag is checked";
        let mut cipher = peer.says(kind::APPLICATION_DATA, text);
        let last = cipher.len() - 1;
        cipher[last] ^= 1;
        let fault = client.on_bytes(&mut cipher, &mut |_| panic!("plaintext"), &mut Vec::new());
        assert_eq!(fault, Err(TlsFault::Record));
        assert!(
            !cipher
                .windows(4)
                .any(|part| text.windows(4).any(|clear| clear == part))
        );
    }
}

#[test]
fn records_repeated_left_out_or_swapped_are_refused() {
    let site = Site::new();
    for (good, bad) in [(1, 0), (0, 1), (1, 2), (2, 0)] {
        let (mut client, mut peer) = pair(&site, AES_128);
        let sent = [b"a", b"b", b"c"].map(|text| peer.says(kind::APPLICATION_DATA, text));
        for record in sent.iter().take(good) {
            assert_eq!(hear(&mut client, record.clone()).1, Ok(()));
        }
        let refused = refuses(&mut client, &mut peer, sent[bad].clone());
        assert_eq!(refused, BAD_MAC, "{bad} after the first {good}");
    }
}

/// Inner plaintext of one record and what must come of it.
#[test]
fn what_is_wrong_inside_a_good_record_is_refused_with_its_own_alert() {
    let site = Site::new();
    let told = |alert| (TlsFault::Alert(alert), None);
    let long = |len: usize, last: u8| [vec![b'x'; len], vec![last]].concat();
    let cases: &[(&str, Vec<u8>, (TlsFault, Option<u8>))] = &[
        ("nothing at all", vec![], UNEXPECTED),
        ("only padding", vec![0; 100], UNEXPECTED),
        (
            "only padding, full record",
            vec![0; CONTENT_MAX + 1],
            UNEXPECTED,
        ),
        ("content too long", long(CONTENT_MAX + 1, 23), OVERFLOW),
        (
            "content too long by padding",
            [vec![23], vec![0; CONTENT_MAX + 1]].concat(),
            OVERFLOW,
        ),
        ("unknown kind", vec![b'x', 99], UNEXPECTED),
        ("heartbeat", vec![b'x', 24], UNEXPECTED),
        ("encrypted ChangeCipherSpec", vec![1, 20], UNEXPECTED),
        ("empty handshake", vec![22], UNEXPECTED),
        ("empty alert", vec![21], UNEXPECTED),
        ("half an alert", vec![2, 21], DECODE),
        ("two alerts", vec![1, 90, 1, 0, 21], DECODE),
        ("fatal alert", vec![2, 40, 21], told(40)),
        ("warning that is none", vec![1, 40, 21], told(40)),
        ("unknown alert", vec![1, 200, 21], told(200)),
        ("client hello", vec![1, 0, 0, 0, 22], UNEXPECTED),
        ("hello request", vec![0, 0, 0, 0, 22], UNEXPECTED),
        ("finished again", vec![20, 0, 0, 1, 0, 22], UNEXPECTED),
        (
            "certificate request never offered",
            vec![13, 0, 0, 1, 0, 22],
            UNEXPECTED,
        ),
        ("key update of no bytes", vec![24, 0, 0, 0, 22], DECODE),
        (
            "key update of two bytes",
            vec![24, 0, 0, 2, 0, 0, 22],
            DECODE,
        ),
        (
            "key update with a third answer",
            vec![24, 0, 0, 1, 2, 22],
            ILLEGAL,
        ),
        (
            "key update and more",
            vec![24, 0, 0, 1, 0, 4, 22],
            UNEXPECTED,
        ),
        (
            "endless ticket",
            vec![4, 255, 255, 255, 22],
            (TlsFault::TooLong, Some(50)),
        ),
    ];
    for (name, inner, expected) in cases {
        let (mut client, mut peer) = pair(&site, AES_128);
        let cipher = peer.says_inner(inner);
        assert_eq!(refuses(&mut client, &mut peer, cipher), *expected, "{name}");
    }
}

#[test]
fn what_is_wrong_with_a_header_is_refused_before_its_body_came() {
    let site = Site::new();
    let cases: &[(&[u8], (TlsFault, Option<u8>))] = &[
        (&[20, 3, 3, 0, 1], UNEXPECTED),
        (&[21, 3, 3, 0, 2], UNEXPECTED),
        (&[22, 3, 3, 0, 4], UNEXPECTED),
        (&[0, 0, 0, 0, 0], UNEXPECTED),
        (b"HTTP/", UNEXPECTED),
        (&[23, 3, 3, 0x41, 1], OVERFLOW),
        (&[23, 3, 3, 255, 255], OVERFLOW),
        // Too short for a tag: the whole record is here already.
        (&[23, 3, 3, 0, 0], BAD_MAC),
        (&[23, 3, 3, 0, 3, 1, 2, 3], BAD_MAC),
    ];
    for (header, expected) in cases {
        for is_split in [false, true] {
            let (mut client, mut peer) = pair(&site, AES_128);
            let mut cipher = header.to_vec();
            if is_split {
                let (plain, result, out) = hear(&mut client, vec![cipher.remove(0)]);
                assert_eq!((plain, result, out), (vec![], Ok(()), vec![]));
            }
            let refused = refuses(&mut client, &mut peer, cipher);
            assert_eq!(refused, *expected, "{header:?}");
        }
    }
}

/// The longest record there may be: 2^14 of content, or less and the rest padding.
#[test]
fn padding_is_stripped_up_to_a_full_record() {
    let site = Site::new();
    let (mut client, mut peer) = pair(&site, AES_128);
    for len in [0, 1, 700, CONTENT_MAX - 1, CONTENT_MAX] {
        let mut inner = vec![0; CONTENT_MAX + 1];
        // Content may end in zeros, too.
        inner[..len / 2].fill(b'x');
        let content = inner[..len].to_vec();
        inner[len] = kind::APPLICATION_DATA;
        let cipher = peer.says_inner(&inner);
        assert_eq!(hear(&mut client, cipher), (content, Ok(()), vec![]));
    }
}

#[test]
fn a_peer_that_sends_no_data_is_refused_in_the_end() {
    let site = Site::new();
    for (kind, content) in [
        (kind::APPLICATION_DATA, &b""[..]),
        (kind::ALERT, &[WARNING, USER_CANCELED]),
        (kind::HANDSHAKE, &[4, 0, 0, 0]),
    ] {
        let (mut client, mut peer) = pair(&site, AES_128);
        for _ in 0..2 {
            // Data begins the count anew.
            let cipher = peer.says(kind::APPLICATION_DATA, b"x");
            assert_eq!(hear(&mut client, cipher).0, b"x");
            for _ in 0..QUIET_MAX {
                let cipher = peer.says(kind, content);
                assert_eq!(hear(&mut client, cipher), (vec![], Ok(()), vec![]));
            }
        }
        let cipher = peer.says(kind::APPLICATION_DATA, b"x");
        assert_eq!(hear(&mut client, cipher).0, b"x");
        let last: Vec<u8> = (0..=QUIET_MAX)
            .flat_map(|_| peer.says(kind, content))
            .collect();
        assert_eq!(refuses(&mut client, &mut peer, last), UNEXPECTED);
    }
}

#[test]
fn a_peer_that_does_nothing_but_change_keys_is_refused_in_the_end() {
    let site = Site::new();
    let (mut client, mut server) = open_with(&site, AES_128);
    for _ in 0..UPDATES_MAX {
        server.refresh_traffic_keys().unwrap();
        let (_, result, out) = hear(&mut client, rig::flush(&mut server));
        assert_eq!(result, Ok(()));
        assert!(serve(&mut server, &out).0.is_empty() && !out.is_empty());
    }
    server.refresh_traffic_keys().unwrap();
    let (_, result, out) = hear(&mut client, rig::flush(&mut server));
    assert_eq!(result, Err(TlsFault::Protocol));
    server.read_tls(&mut &out[..]).unwrap();
    let alert = rustls::AlertDescription::UnexpectedMessage;
    let heard = server.process_new_packets().unwrap_err();
    assert_eq!(heard, rustls::Error::AlertReceived(alert));
}

#[test]
fn nothing_may_come_between_the_parts_of_a_message() {
    let site = Site::new();
    for (kind, content) in [
        (kind::APPLICATION_DATA, &b"x"[..]),
        (kind::APPLICATION_DATA, b""),
        (kind::ALERT, &[WARNING, CLOSE_NOTIFY]),
    ] {
        for part in [&[4][..], &[4, 0, 0, 9, 1], &[24, 0, 0, 1]] {
            let (mut client, mut peer) = pair(&site, AES_128);
            let half = peer.says(kind::HANDSHAKE, part);
            assert_eq!(hear(&mut client, half).1, Ok(()));
            let between = peer.says(kind, content);
            assert_eq!(refuses(&mut client, &mut peer, between), UNEXPECTED);
        }
    }
}

#[test]
fn close_notify_ends_it_whatever_its_level() {
    let site = Site::new();
    for level in [WARNING, FATAL] {
        let (mut client, mut peer) = pair(&site, AES_128);
        let mut cipher = peer.says(kind::APPLICATION_DATA, b"last");
        cipher.extend(peer.says(kind::ALERT, &[level, CLOSE_NOTIFY]));
        cipher.extend(peer.says(kind::APPLICATION_DATA, b"too late"));
        assert_eq!(
            hear(&mut client, cipher),
            (b"last".to_vec(), Ok(()), vec![])
        );
        assert!(client.is_peer_closed() && matches!(client.inner, Inner::Dead));
        assert_eq!(client.peer_pin(), Some(site.pin()));
    }
}

#[test]
fn numbers_that_would_wrap_are_refused_both_ways() {
    let site = Site::new();
    let (mut client, mut peer) = pair(&site, AES_128);
    records(&mut client).rx.set_seq(u64::MAX);
    peer.tx.set_seq(u64::MAX - 1);
    let cipher = peer.says(kind::APPLICATION_DATA, b"x");
    let refused = refuses(&mut client, &mut peer, cipher);
    assert_eq!(refused, (TlsFault::Exhausted, Some(80)));

    let (mut client, _) = pair(&site, AES_128);
    records(&mut client).tx.set_seq(u64::MAX);
    let mut out = b"before".to_vec();
    assert_eq!(client.seal(b"x", &mut out), Err(TlsFault::Exhausted));
    assert_eq!((&out[..], client.is_open()), (&b"before"[..], false));
}

/// Sends `count` orders with key changes every `every` records; the server must read them all.
fn seal_with_updates(
    client: &mut TlsClient,
    server: &mut ServerConnection,
    every: u64,
    count: usize,
) {
    records(client).update_after = every;
    for at in 0..count {
        let mut out = Vec::new();
        client.seal(&at.to_be_bytes(), &mut out).unwrap();
        assert!(
            records(client).tx.seq() < every,
            "one key for too many records"
        );
        assert_eq!(serve(server, &out).0, at.to_be_bytes());
    }
}

#[test]
fn our_own_keys_change_before_their_limit_and_the_peer_follows() {
    let site = Site::new();
    for suite in SUITES {
        let (mut client, mut server) = open_with(&site, suite);
        assert_eq!(records(&mut client).update_after, UPDATE_AFTER);
        seal_with_updates(&mut client, &mut server, 10, 95);
        // One call may need several.
        let mut out = Vec::new();
        let long = vec![7; 25 * CONTENT_MAX];
        client.seal(&long, &mut out).unwrap();
        assert!(records(&mut client).tx.seq() < 10);
        assert_eq!(serve(&mut server, &out).0, long);
    }
}

#[test]
fn debug_tells_no_secret() {
    let site = Site::new();
    let (mut client, server) = open_with(&site, AES_128);
    let secrets = server.dangerous_extract_secrets().unwrap();
    let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets.tx.1 else {
        panic!("another suite");
    };
    let messages = format!("{:?}", records(&mut client).messages);
    let said = format!("{client:?} {messages}");
    for secret in [key.as_ref(), iv.as_ref()] {
        let list = format!("{secret:?}");
        assert!(!said.contains(list.trim_matches(['[', ']'])), "{said}");
    }
    assert_eq!(
        format!("{client:?}"),
        "TlsClient { is_open: true, fault: None, .. }"
    );
}

/// One thing a lawful peer may send.
#[derive(Debug, Clone)]
enum Say {
    Data { len: usize, padding: usize },
    Ticket { len: usize, cut: usize },
    Canceled,
}

fn say() -> impl Strategy<Value = Say> {
    let len = prop_oneof![0usize..40, 0usize..2_000, Just(CONTENT_MAX)];
    prop_oneof![
        4 => (len, 0usize..300).prop_map(|(len, padding)| Say::Data { len, padding }),
        1 => (0usize..900, 1usize..500).prop_map(|(len, cut)| Say::Ticket { len, cut }),
        1 => Just(Say::Canceled),
    ]
}

fn sealed(peer: &mut Peer, says: &[Say]) -> (Vec<u8>, Vec<u8>) {
    let (mut cipher, mut plain) = (Vec::new(), Vec::new());
    for (nth, say) in says.iter().enumerate() {
        match *say {
            Say::Data { len, padding } => {
                let content: Vec<u8> = (0..len).map(|at| (at ^ nth) as u8).collect();
                let padding = padding.min(CONTENT_MAX - len);
                let inner = [&content[..], &[kind::APPLICATION_DATA], &vec![0; padding]].concat();
                cipher.extend(peer.says_inner(&inner));
                plain.extend(content);
            }
            Say::Ticket { len, cut } => {
                let mut ticket = vec![4];
                ticket.extend(&(len as u32).to_be_bytes()[1..]);
                ticket.resize(4 + len, 0xaa);
                // Twelve tickets stay below QUIET_MAX records: more would be refused, and rightly.
                for part in ticket.chunks(cut.max(len / 38)) {
                    cipher.extend(peer.says(kind::HANDSHAKE, part));
                }
            }
            Say::Canceled => {
                cipher.extend(peer.says(kind::ALERT, &[WARNING, USER_CANCELED]));
            }
        }
    }
    (cipher, plain)
}

/// Where the records of a stream begin.
fn starts(cipher: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    while let Some(len) = record_len(&cipher[starts[starts.len() - 1]..]).unwrap() {
        starts.push(starts[starts.len() - 1] + len);
    }
    starts
}

thread_local! {
    static SITE: Site = Site::new();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// However reads cut and merge the records, the plaintext is the same; and what lies whole in a
    /// read is handed on where it lies.
    #[test]
    fn any_cut_of_any_lawful_stream_reads_the_same(
        says in prop::collection::vec(say(), 1..12),
        cuts in prop::collection::vec(prop_oneof![1usize..30, 1usize..3_000, Just(70_000)], 1..6),
        suite in 0usize..3,
    ) {
        let (mut client, mut peer) = SITE.with(|site| pair(site, SUITES[suite]));
        let (mut cipher, expected) = sealed(&mut peer, &says);
        let (mut plain, mut out) = (Vec::new(), Vec::new());
        let starts = starts(&cipher);
        let (mut rest, mut cuts) = (&mut cipher[..], cuts.iter().cycle());
        let mut read = 0;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at_mut((*cuts.next().unwrap()).min(rest.len()));
            rest = after;
            let span = piece.as_ptr_range();
            let mut at = 0;
            while let Some(part) = client.next(piece, &mut at, &mut out).unwrap() {
                plain.extend_from_slice(part);
                let start = starts.iter().rfind(|&&start| start < read + at);
                prop_assert_eq!(span.contains(&part.as_ptr()), *start.unwrap() >= read);
            }
            prop_assert_eq!(at, piece.len());
            read += at;
        }
        prop_assert_eq!(plain, expected);
        prop_assert!(out.is_empty() && client.is_open());
        prop_assert_eq!(records(&mut client).tail.capacity(), RECORD_MAX);
    }

    /// One changed byte anywhere in a stream: everything before its record, nothing from it on.
    #[test]
    fn nothing_is_read_from_a_changed_record_on(
        says in prop::collection::vec((1usize..200).prop_map(|len| Say::Data { len, padding: 0 }), 1..8),
        at: prop::sample::Index,
        flip in 1u8..,
        size in 1usize..400,
    ) {
        let (mut client, mut peer) = SITE.with(|site| pair(site, AES_128));
        let (mut cipher, expected) = sealed(&mut peer, &says);
        let at = at.index(cipher.len());
        cipher[at] ^= flip;
        let (mut good, mut end) = (0, 0);
        for say in &says {
            let Say::Data { len, .. } = say else { unreachable!() };
            end += len + OVERHEAD;
            if end > at { break }
            good += len;
        }
        cipher.resize(cipher.len() + RECORD_MAX, 0);
        let (mut plain, mut out) = (Vec::new(), Vec::new());
        let mut result = Ok(());
        for piece in cipher.chunks_mut(size) {
            let mut take = |part: &mut [u8]| plain.extend_from_slice(part);
            result = client.on_bytes(piece, &mut take, &mut out);
            if result.is_err() { break }
        }
        prop_assert!(result.is_err() && peer.alert(&mut out).is_some());
        prop_assert_eq!(&plain[..], &expected[..good]);
    }

    #[test]
    fn hostile_records_never_panic(
        inners in prop::collection::vec((any::<Vec<u8>>(), prop::sample::select(vec![0u8, 20, 21, 22, 23])), 1..20),
        size in 1usize..100,
    ) {
        let (mut client, mut peer) = SITE.with(|site| pair(site, AES_128));
        let mut out = Vec::new();
        for (mut inner, kind) in inners {
            inner.push(kind);
            let mut cipher = peer.says_inner(&inner);
            for piece in cipher.chunks_mut(size) {
                let _ = client.on_bytes(piece, &mut |_| (), &mut out);
                let _ = client.seal(b"order", &mut out);
            }
        }
    }
}
