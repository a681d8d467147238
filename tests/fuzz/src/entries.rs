//! What each target does with its bytes. A function returns, or has found a bug.

use dp_proto::fix::{FixConfig, FixEvent, FixSession, Numbers, Resend, Role};
use dp_proto::http::{HttpClient, HttpLines, Piece};
use dp_proto::tls::TlsClient;
use dp_proto::ws::{WsClient, WsFault, WsKind, WsSink};
use dp_types::limit::HTTP_LINE_MAX;
use dp_types::{Decimal, UnixNanos};
use dp_wire::fix::{Frame, Writer, frame};
use dp_wire::json::{DEPTH_MAX, Doc, Value};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use std::cell::RefCell;
use std::sync::OnceLock;

#[path = "../../../dataplane/proto/tests/rig/mod.rs"]
mod rig;

/// Must fail: shows that the machinery around it notices when a target does.
pub fn canary(bytes: &[u8]) {
    assert!(!bytes.starts_with(b"fly"), "the canary is found");
}

/// Parses and prints; what was printed must parse to the same number.
pub fn decimal(bytes: &[u8]) {
    let Ok(number) = Decimal::parse(bytes) else {
        return;
    };
    let mut buffer = [0; Decimal::TEXT_MAX];
    let text = number.write(&mut buffer);
    match Decimal::parse(text.as_bytes()) {
        Ok(again) if number.exponent <= 0 => assert_eq!(again, number),
        Ok(again) => assert_eq!(again.to_increments(0), number.to_increments(0)),
        // Written out, a power of ten may need more digits than are read.
        Err(_) => assert!(number.exponent > 0),
    }
    for decimals in [0, 8, 18] {
        let _ = number.to_increments(decimals);
    }
}

/// Parses and visits every value; lengths told must be lengths found.
pub fn json(bytes: &[u8]) {
    thread_local! {
        static DOC: RefCell<Doc> = RefCell::new(Doc::new(4 << 10));
    }
    DOC.with_borrow_mut(|doc| {
        if let Ok(tree) = doc.parse(&mut bytes.to_vec()) {
            visit(tree.root(), 0);
        }
    });
}

fn visit(value: Value<'_>, depth: usize) {
    assert!(depth <= DEPTH_MAX);
    let _ = (
        value.as_decimal(),
        value.as_i64(),
        value.as_u64(),
        value.as_bool(),
        value.is_null(),
    );
    if let Some(items) = value.as_array() {
        assert_eq!(items.len(), value.len());
        assert_eq!(
            items.map(|item| visit(item, depth + 1)).count(),
            value.len()
        );
        assert!(value.at(value.len()).is_none());
    }
    if let Some(fields) = value.as_object() {
        let mut count = 0;
        for (key, inner) in fields {
            assert!(value.get(key).is_some());
            visit(inner, depth + 1);
            count += 1;
        }
        assert_eq!(count, value.len());
    }
}

#[derive(Default, PartialEq, Eq, Debug)]
struct Log(Vec<(u16, Vec<u8>)>);

impl WsSink for Log {
    fn open(&mut self) {
        self.0.push((0, Vec::new()));
    }
    fn message(&mut self, kind: WsKind, payload: &mut [u8]) {
        self.0
            .push((1 + u16::from(kind == WsKind::Text), payload.to_vec()));
        payload.fill(0xff);
    }
    fn ping(&mut self, payload: &[u8]) {
        self.0.push((3, payload.to_vec()));
    }
    fn pong(&mut self, payload: &[u8]) {
        self.0.push((4, payload.to_vec()));
    }
    fn close(&mut self, code: u16, reason: &str) {
        self.0.push((code, reason.as_bytes().to_vec()));
    }
}

/// The first byte is the size of the pieces, odd = after the upgrade. Events, answers and fault
/// must not depend on the pieces.
pub fn ws(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else {
        return;
    };
    let run = |size: usize| -> (Log, Vec<u8>, Result<(), WsFault>) {
        let mut client = WsClient::new(1);
        let (mut log, mut out) = (Log::default(), Vec::new());
        let start = client.start("venue.test", "/ws", &[], *b"the sample nonce", &mut out);
        assert_eq!(start, Ok(()));
        if first % 2 == 1 {
            let mut answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
                .to_vec();
            assert_eq!(client.on_bytes(&mut answer, &mut out, &mut log), Ok(()));
        }
        let mut copy = rest.to_vec();
        for piece in copy.chunks_mut(size) {
            if let Err(fault) = client.on_bytes(piece, &mut out, &mut log) {
                return (log, out, Err(fault));
            }
        }
        (log, out, Ok(()))
    };
    assert_eq!(run(usize::from(first / 2).max(1)), run(usize::MAX));
}

/// The first byte is the size of the pieces, odd = answer to a HEAD. Answers and fault must not
/// depend on the pieces, nor the lines of one that goes on.
pub fn http(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else {
        return;
    };
    let run = |size: usize| {
        let mut client = HttpClient::new();
        let method = if first % 2 == 1 { "HEAD" } else { "GET" };
        let asked = client.request(method, "/", "venue.test", &[], b"", &mut Vec::new());
        assert_eq!(asked, Ok(()));
        let (mut heard, mut end) = (Vec::new(), Ok(()));
        for piece in rest.chunks(size) {
            end = client.on_bytes(piece, &mut |response| {
                assert!(response.head.fields().count() <= dp_wire::http::FIELDS_MAX);
                heard.push((response.head.status, response.body.to_vec()));
            });
            if end.is_err() {
                break;
            }
        }
        let tail = client
            .on_end()
            .map(|last| last.map(|response| response.body.to_vec()));
        (heard, end, tail)
    };
    assert_eq!(run(usize::from(first / 2).max(1)), run(usize::MAX));
    let lines = |size: usize| {
        let mut client = HttpLines::new();
        let asked = client.request("GET", "/", "venue.test", &[], b"", &mut Vec::new());
        assert_eq!(asked, Ok(()));
        let mut heard = Vec::new();
        for piece in rest.chunks(size) {
            let mut at = 0;
            loop {
                heard.push(match client.next(piece, &mut at) {
                    Ok(None) => break,
                    Ok(Some(Piece::Open(head))) => (head.status, Vec::new()),
                    Ok(Some(Piece::Line(line))) => {
                        assert!(!line.is_empty() && line.len() <= HTTP_LINE_MAX);
                        (0, line.to_vec())
                    }
                    Ok(Some(Piece::Whole(response))) => {
                        (response.head.status, response.body.to_vec())
                    }
                    Err(fault) => return (heard, Some(fault)),
                });
            }
            assert_eq!(at, piece.len(), "all of it is used");
        }
        (heard, None)
    };
    assert_eq!(lines(usize::from(first / 2).max(1)), lines(usize::MAX));
}

/// The first byte chooses the phase, the second is the size of the pieces, the rest is what the
/// server says:
///
/// | first % 4 | phase | the rest |
/// |---|---|---|
/// | 0 | open | pairs: a place in one sealed record and what is XORed there |
/// | 1 | handshake | raw bytes in place of the server's flight |
/// | 2 | open | records, each: kind, length, padding / 64, content; sealed with the server's keys |
/// | 3 | handshake | pairs, as in 0, on the server's flight |
///
/// Nothing may be read but what a server sealed, in its order, up to the first thing that is wrong.
pub fn tls_records(bytes: &[u8]) {
    let &[mode, size, ref rest @ ..] = bytes else {
        return;
    };
    static SITE: OnceLock<rig::Site> = OnceLock::new();
    let site = SITE.get_or_init(rig::Site::new);
    let size = usize::from(size).max(1);
    match mode % 4 {
        0 => damaged_record(site, size, rest),
        1 => raw_flight(site, size, rest),
        2 => sealed_records(site, size, rest),
        _ => damaged_flight(site, size, rest),
    }
}

fn damage(bytes: &mut [u8], pairs: &[u8]) {
    let len = bytes.len();
    // One byte names a place in a short record, and still reaches all of a long flight.
    let stride = len / 256 + 1;
    for pair in pairs.chunks_exact(2) {
        bytes[usize::from(pair[0]) * stride % len] ^= pair[1];
    }
}

fn damaged_record(site: &rig::Site, size: usize, pairs: &[u8]) {
    let (mut client, mut server) = rig::open(site, &rustls::version::TLS13);
    let text = b"a message of the venue, sealed";
    let sent = rig::server_says(&mut server, text);
    let mut damaged = sent.clone();
    damage(&mut damaged, pairs);
    let (is_good, plain) = pour(&mut client, &mut damaged.clone(), size, &mut Vec::new());
    if damaged == sent {
        assert!(is_good && plain == text);
    } else {
        assert!(plain.is_empty(), "a damaged record was read");
    }
}

fn raw_flight(site: &rig::Site, size: usize, raw: &[u8]) {
    let mut client = site.client();
    let mut out = Vec::new();
    assert_eq!(client.start(&mut out), Ok(()));
    let (_, plain) = pour(&mut client, &mut raw.to_vec(), size, &mut out);
    assert!(plain.is_empty() && !client.is_open());
}

fn damaged_flight(site: &rig::Site, size: usize, pairs: &[u8]) {
    let (mut client, mut server) = (site.client(), site.server(&rustls::version::TLS13));
    let mut out = Vec::new();
    assert_eq!(client.start(&mut out), Ok(()));
    let (_, sent) = rig::serve(&mut server, &out);
    let mut damaged = sent.clone();
    damage(&mut damaged, pairs);
    let (_, plain) = pour(&mut client, &mut damaged.clone(), size, &mut out);
    assert!(plain.is_empty());
    assert!(client.is_open() || damaged != sent);
}

fn sealed_records(site: &rig::Site, size: usize, mut script: &[u8]) {
    let (mut client, server) = rig::open(site, &rustls::version::TLS13);
    let (seq, secret) = server.dangerous_extract_secrets().expect("asked for").tx;
    let rustls::ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secret else {
        panic!("another suite than the first offered");
    };
    let key = UnboundKey::new(&AES_128_GCM, key.as_ref()).expect("16 bytes");
    let key = LessSafeKey::new(key);
    let (mut cipher, mut said) = (Vec::new(), Vec::new());
    for seq in seq.. {
        let &[kind, len, padding, ref rest @ ..] = script else {
            break;
        };
        let (content, rest) = rest.split_at(usize::from(len).min(rest.len()));
        script = rest;
        let mut body = [content, &[kind]].concat();
        // A kind of 0 is padding, and the last byte of the content before it is the kind.
        let last = body.iter().rposition(|&byte| byte != 0);
        if let Some(last) = last.filter(|&last| body[last] == 23) {
            said.extend_from_slice(&body[..last]);
        }
        body.resize(body.len() + usize::from(padding) * 64, 0);
        // The same construction as the record layer's, written a second time.
        let len = u16::try_from(body.len() + 16).expect("at most 16,592");
        let header = [[23, 3].as_slice(), &[3], &len.to_be_bytes()].concat();
        let mut nonce = <[u8; 12]>::try_from(iv.as_ref()).expect("12 bytes");
        for (byte, seq) in nonce[4..].iter_mut().zip(seq.to_be_bytes()) {
            *byte ^= seq;
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, Aad::from(&header), &mut body)
            .expect("short enough");
        cipher.extend([header, body].concat());
    }
    let (is_good, plain) = pour(&mut client, &mut cipher, size, &mut Vec::new());
    assert!(said.starts_with(&plain), "something else was read");
    if is_good && client.is_open() {
        assert_eq!(plain, said, "something was left out");
    }
}

/// Feeds in pieces with an order sealed after each; `false` once it failed.
fn pour(
    client: &mut TlsClient,
    bytes: &mut [u8],
    size: usize,
    out: &mut Vec<u8>,
) -> (bool, Vec<u8>) {
    let mut plain = Vec::new();
    for piece in bytes.chunks_mut(size) {
        let fed = client.on_bytes(piece, &mut |part| plain.extend_from_slice(part), out);
        let _ = client.seal(b"order", out);
        if fed.is_err() {
            assert!(!client.is_open());
            return (false, plain);
        }
    }
    (true, plain)
}

/// The first byte is the size of the pieces, odd = the side that waits for a logon. Each line is one message, `|`
/// for SOH, whose version, names, time, length and sum are made right; a line that begins with `!` goes as it is.
/// A second passes between two lines. Events, answers and fault must not depend on the pieces.
pub fn fix(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else {
        return;
    };
    let is_acceptor = first % 2 == 1;
    let (us, them) = if is_acceptor {
        ("VENUE", "US")
    } else {
        ("US", "VENUE")
    };
    let at = |seconds: usize| UnixNanos(1_700_000_000_000_000_000 + 1_000_000_000 * seconds as u64);
    let run = |size: usize| {
        let config = FixConfig {
            role: if is_acceptor {
                Role::Acceptor
            } else {
                Role::Initiator
            },
            version: "FIX.4.4".into(),
            appl_version: None,
            sender: us.into(),
            target: them.into(),
            heartbeat_s: 3,
            resets: first % 4 >= 2,
            clock_skew_s: 120,
            resend: if is_acceptor {
                Resend::Replay
            } else {
                Resend::GapFill
            },
            logon_fields: None,
        };
        let mut session = FixSession::new(config, Numbers::default());
        let (mut log, mut out) = (Vec::new(), Vec::new());
        session.start(at(0), &mut out);
        for (second, line) in rest.split(|byte| *byte == b'\n').enumerate().take(200) {
            let mut message = Vec::new();
            if let Some(raw) = line.strip_prefix(b"!") {
                message.extend_from_slice(raw);
            } else {
                let mut fields: Vec<u8> = line
                    .iter()
                    .map(|byte| if *byte == b'|' { 1 } else { *byte })
                    .collect();
                fields.push(1);
                let (kind, more) =
                    fields.split_at(fields.iter().position(|byte| *byte == 1).unwrap_or(0));
                let mut writer = Writer::<4096>::new();
                writer
                    .begin(kind)
                    .text(49, them)
                    .text(56, us)
                    .time(52, at(second).0);
                writer.raw(more.get(1..).unwrap_or_default());
                if !writer.finish("FIX.4.4", &mut message) {
                    continue;
                }
            }
            for piece in message.chunks(size) {
                if session.feed(piece).is_err() {
                    return (log, out, session.numbers());
                }
                loop {
                    match session.next(at(second), &mut out) {
                        Ok(None) => break,
                        Ok(Some(FixEvent::LoggedOut)) => return (log, out, session.numbers()),
                        // In how many pieces noise is passed over is nobody's business.
                        Ok(Some(FixEvent::Garbled(_))) => {}
                        Ok(Some(event)) => log.push(format!("{event:?}")),
                        Err(fault) => {
                            log.push(format!("{fault:?}"));
                            return (log, out, session.numbers());
                        }
                    }
                }
            }
            if second % 3 == 1 {
                session.send(b"8", at(second), &mut out, |fields| {
                    fields.text(58, "report");
                });
            }
            if let Err(fault) = session.on_deadline(at(second), &mut out) {
                log.push(format!("{fault:?}"));
                return (log, out, session.numbers());
            }
        }
        (log, out, session.numbers())
    };
    let whole = run(usize::MAX);
    assert_eq!(run(usize::from(first / 4).max(1)), whole);
    // What it wrote are messages.
    let mut at = 0;
    while let Frame::Message(_, used) = frame(whole.1.get(at..).unwrap_or_default()) {
        at += used;
    }
    assert_eq!(at, whole.1.len());
}
