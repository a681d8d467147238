//! Against RFC 8448 and, record by record, against rustls with both providers.

use super::*;
use crate::rig::{SUITES, Site, open_with};
use rustls::crypto::cipher::{InboundOpaqueMessage, OutboundPlainMessage};
use rustls::crypto::{aws_lc_rs, ring as ring_provider};
use rustls::{CipherSuite, ContentType, ProtocolVersion, SupportedCipherSuite, Tls13CipherSuite};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn rfc_half(key: &str, iv: &str, seq: u64) -> Half {
    let iv = hex(iv).try_into().unwrap();
    Half::from_parts(&AES_128_GCM, &hex(key), iv, seq).unwrap()
}

/// RFC 8448 section 3: "{server} derive write traffic keys for application data".
fn rfc_server() -> Half {
    let key = "9f 02 28 3b 6c 9c 07 ef c2 6b b9 f2 ac 92 e3 56";
    rfc_half(key, "cf 78 2b 88 dd 83 54 9a ad f1 e9 84", 0)
}

/// RFC 8448 section 3: the same of the client.
fn rfc_client() -> Half {
    let key = "17 42 2d da 59 6e d5 d9 ac d8 90 e3 c6 3f 50 51";
    rfc_half(key, "5b 78 92 3d ee 08 57 90 33 e5 23 d9", 0)
}

/// Each side's records under its application keys, in order: kind, content (a ticket's is told by
/// its length and first byte), complete record.
fn rfc_records() -> [Vec<(u8, Vec<u8>, Vec<u8>)>; 2] {
    let text: Vec<u8> = (0..50).collect();
    let ticket =
        "17 03 03 00 de 3a 6b 8f 90 41 4a 97 d6 95 9c 34 87 68 0d e5 13 4a 2b 24 0e 6c ff ac
        11 6e 95 d4 1d 6a f8 f6 b5 80 dc f3 d1 1d 63 c7 58 db 28 9a 01 59 40 25 2f 55 71 3e 06 1d c1
        3e 07 88 91 a3 8e fb cf 57 53 ad 8e f1 70 ad 3c 73 53 d1 6d 9d a7 73 b9 ca 7f 2b 9f a1 b6 c0
        d4 a3 d0 3f 75 e0 9c 30 ba 1e 62 97 2a c4 6f 75 f7 b9 81 be 63 43 9b 29 99 ce 13 06 46 15 13
        98 91 d5 e4 c5 b4 06 f1 6e 3f c1 81 a7 7c a4 75 84 00 25 db 2f 0a 77 f8 1b 5a b0 5b 94 c0 13
        46 75 5f 69 23 2c 86 51 9d 86 cb ee ac 87 aa c3 47 d1 43 f9 60 5d 64 f6 50 db 4d 02 3e 70 e9
        52 ca 49 fe 51 37 12 1c 74 bc 26 97 68 7e 24 87 46 d6 df 35 30 05 f3 bc e1 86 96 12 9c 81 53
        55 6b 3b 6c 67 79 b3 7b f1 59 85 68 4f";
    let server_text =
        "17 03 03 00 43 2e 93 7e 11 ef 4a c7 40 e5 38 ad 36 00 5f c4 a4 69 32 fc 32 25 d0
        5f 82 aa 1b 36 e3 0e fa f9 7d 90 e6 df fc 60 2d cb 50 1a 59 a8 fc c4 9c 4b f2 e5 f0 a2 1c 00
        47 c2 ab f3 32 54 0d d0 32 e1 67 c2 95 5d";
    let server_bye = "17 03 03 00 13 b5 8f d6 71 66 eb f5 99 d2 47 20 cf be 7e fa 7a 88 64 a9";
    let client_text =
        "17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea 42 f9 14
        aa 66 bc ab 3f 2b 98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f 5a 62 92 a2 97 70
        14 bd 1e 3d ea e6 3a ee bb 21 69 49 15 e4";
    let client_bye = "17 03 03 00 13 c9 87 27 60 65 56 66 b7 4d 7f f1 15 3e fd 6d b6 d0 b0 e3";
    let bye = vec![1, 0];
    [
        vec![
            (kind::HANDSHAKE, vec![4; 205], hex(ticket)),
            (kind::APPLICATION_DATA, text.clone(), hex(server_text)),
            (kind::ALERT, bye.clone(), hex(server_bye)),
        ],
        vec![
            (kind::APPLICATION_DATA, text, hex(client_text)),
            (kind::ALERT, bye, hex(client_bye)),
        ],
    ]
}

#[test]
fn the_records_of_rfc_8448_open_and_seal_to_the_byte() {
    let halves = [rfc_server, rfc_client];
    for (half, records) in halves.into_iter().zip(rfc_records()) {
        let (mut rx, mut tx) = (half(), half());
        for (kind, content, record) in records {
            let mut opened = record.clone();
            let (told, len) = rx.open(&mut opened).unwrap();
            let plain = &opened[HEADER..HEADER + len];
            assert_eq!((told, len, plain[0]), (kind, content.len(), content[0]));
            assert!(kind == kind::HANDSHAKE || plain == content);
            let mut sealed = Vec::new();
            tx.seal(kind, plain, &mut sealed).unwrap();
            assert_eq!(sealed, record);
        }
    }
}

#[test]
fn a_record_of_another_number_is_refused() {
    let [_, client] = rfc_records();
    for seq in [0, 2, 1 << 32, u64::MAX - 1] {
        let mut half = rfc_client();
        half.seq = seq;
        let mut bye = client[1].2.clone();
        assert_eq!(half.open(&mut bye), Err(Broken::Tag), "{seq}");
    }
}

#[test]
fn the_last_number_is_neither_opened_nor_sealed() {
    let mut half = rfc_client();
    half.seq = u64::MAX - 1;
    let mut out = Vec::new();
    half.seal(kind::ALERT, &[1, 0], &mut out).unwrap();
    let before = out.clone();
    assert_eq!(
        half.seal(kind::ALERT, &[1, 0], &mut out),
        Err(Broken::Exhausted)
    );
    assert_eq!(out, before);
    assert_eq!(half.open(&mut out), Err(Broken::Exhausted));
}

#[test]
fn content_longer_than_a_record_is_not_sealed() {
    let mut out = Vec::new();
    let long = vec![0; CONTENT_MAX + 1];
    let sealed = rfc_client().seal(kind::APPLICATION_DATA, &long, &mut out);
    assert_eq!((sealed, out.len()), (Err(Broken::Long), 0));
}

#[test]
fn dropping_a_half_leaves_another_key_in_its_place() {
    let mut half = core::mem::ManuallyDrop::new(rfc_client());
    half.wipe();
    assert_eq!(half.iv, [0; NONCE]);
    half.iv = rfc_client().iv;
    let [_, client] = rfc_records();
    assert_eq!(half.open(&mut client[0].2.clone()), Err(Broken::Tag));
}

fn rustls_suite(suite: CipherSuite, is_aws: bool) -> &'static Tls13CipherSuite {
    let suites = if is_aws {
        aws_lc_rs::ALL_CIPHER_SUITES
    } else {
        ring_provider::ALL_CIPHER_SUITES
    };
    let found = suites.iter().find(|other| other.suite() == suite);
    found.and_then(SupportedCipherSuite::tls13).unwrap()
}

/// Every short length, where blocks and padding begin and end; the long ones sampled.
fn lens() -> impl Iterator<Item = usize> {
    let long = (301..CONTENT_MAX).step_by(613);
    (0..=300).chain(long).chain([CONTENT_MAX - 1, CONTENT_MAX])
}

/// Numbers at the edges of their bytes; aws-lc-rs seals only in order.
fn seqs(is_aws: bool) -> Box<dyn Iterator<Item = u64>> {
    let edges = [0, 1, 255, 256, u64::from(u32::MAX), 1 << 40, u64::MAX - 2];
    if is_aws {
        Box::new(0..)
    } else {
        Box::new(edges.into_iter().cycle())
    }
}

/// The keys of a real handshake, given to both: same bytes out, same content back.
#[test]
fn rustls_and_we_seal_the_same_and_open_each_other() {
    let site = Site::new();
    for (suite, is_aws) in SUITES
        .into_iter()
        .flat_map(|suite| [(suite, false), (suite, true)])
    {
        let (_, server) = open_with(&site, suite);
        let secrets = server.dangerous_extract_secrets().unwrap();
        for (_, secret) in [secrets.tx, secrets.rx] {
            let mut ours = Half::new(0, &secret).unwrap();
            let aead = rustls_suite(suite, is_aws).aead_alg;
            let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
            | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
            | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secret
            else {
                panic!("{suite:?}");
            };
            let mut encrypter = aead.encrypter(key, iv);
            for (len, seq) in lens().zip(seqs(is_aws)) {
                let content: Vec<u8> = (0..len).map(|at| (at * 31 + len) as u8).collect();
                let kind = [kind::APPLICATION_DATA, kind::HANDSHAKE, kind::ALERT][len % 3];
                let message = OutboundPlainMessage {
                    typ: ContentType::from(kind),
                    version: ProtocolVersion::TLSv1_2,
                    payload: content[..].into(),
                };
                let theirs = encrypter.encrypt(message, seq).unwrap().encode();
                let mut sealed = Vec::new();
                ours.seq = seq;
                ours.seal(kind, &content, &mut sealed).unwrap();
                assert_eq!(sealed, theirs, "{suite:?}, {len} bytes, record {seq}");
                ours.seq = seq;
                assert_eq!(ours.open(&mut sealed), Ok((kind, len)));
                assert_eq!(&sealed[HEADER..HEADER + len], content);
            }
        }
    }
}

#[test]
fn rustls_opens_what_we_seal() {
    let site = Site::new();
    for (suite, is_aws) in SUITES
        .into_iter()
        .flat_map(|suite| [(suite, false), (suite, true)])
    {
        let (_, server) = open_with(&site, suite);
        let secrets = server.dangerous_extract_secrets().unwrap();
        let mut ours = Half::new(0, &secrets.rx.1).unwrap();
        let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets.rx.1
        else {
            panic!("{suite:?}");
        };
        let mut decrypter = rustls_suite(suite, is_aws).aead_alg.decrypter(key, iv);
        for (len, seq) in lens().zip(seqs(is_aws)) {
            let content: Vec<u8> = (0..len).map(|at| (at * 7 + len) as u8).collect();
            let mut sealed = Vec::new();
            ours.seq = seq;
            ours.seal(kind::APPLICATION_DATA, &content, &mut sealed)
                .unwrap();
            let body = &mut sealed[HEADER..];
            let (typ, version) = (ContentType::ApplicationData, ProtocolVersion::TLSv1_2);
            let message = InboundOpaqueMessage::new(typ, version, body);
            let opened = decrypter.decrypt(message, seq).unwrap();
            assert_eq!((opened.typ, opened.payload), (typ, &content[..]));
        }
    }
}
