//! The WebSocket client: RFC vectors, a case table after the groups of the well-known conformance
//! suite, interop with another implementation, and laws for all inputs.

use dp_proto::ws::{WsClient, WsEvent, WsFault, WsKind, WsSink};
use dp_types::limit::WS_MSG_MAX;
use dp_wire::ws::{Header, Opcode, WsError, parse_header, write_header};
use proptest::prelude::*;

/// The sample nonce of RFC 6455, 1.3, and the answer it must get.
const ENTROPY: [u8; 16] = *b"the sample nonce";
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn answer(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// What was heard, owned.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct Log(Vec<String>);

impl WsSink for Log {
    fn open(&mut self) {
        self.0.push("open".into());
    }
    fn message(&mut self, kind: WsKind, payload: &mut [u8]) {
        let text = payload.escape_ascii();
        self.0.push(format!("{kind:?} {text}"));
        // The parser above works in place: what it leaves behind must not matter.
        payload.fill(0xff);
    }
    fn ping(&mut self, payload: &[u8]) {
        self.0.push(format!("ping {}", payload.escape_ascii()));
    }
    fn pong(&mut self, payload: &[u8]) {
        self.0.push(format!("pong {}", payload.escape_ascii()));
    }
    fn close(&mut self, code: u16, reason: &str) {
        self.0.push(format!("close {code} {reason}"));
    }
}

fn upgrading() -> WsClient {
    let mut client = WsClient::new(7);
    client
        .start("venue.test", "/ws", &[], ENTROPY, &mut Vec::new())
        .unwrap();
    client
}

fn opened() -> WsClient {
    let mut client = upgrading();
    let mut bytes = answer(ACCEPT).into_bytes();
    client
        .on_bytes(&mut bytes, &mut Vec::new(), &mut Log::default())
        .unwrap();
    assert!(client.is_open());
    client
}

/// A server's frame.
fn frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let len = payload.len() as u64;
    write_header(
        &Header {
            fin,
            opcode,
            mask: None,
            len,
            header_len: 0,
        },
        &mut bytes,
    );
    bytes.extend_from_slice(payload);
    bytes
}

/// Reads client frames back as (opcode, payload); every one must be masked.
fn unmasked(mut bytes: &[u8]) -> Vec<(Opcode, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some(header) = parse_header(bytes).unwrap() {
        let key = header.mask.expect("a client masks");
        let end = header.header_len + usize::try_from(header.len).unwrap();
        let mut payload = bytes[header.header_len..end].to_vec();
        dp_wire::ws::apply_mask(&mut payload, key, 0);
        frames.push((header.opcode, payload));
        bytes = &bytes[end..];
    }
    assert!(bytes.is_empty());
    frames
}

/// Feeds in pieces of `size`; returns what was heard, what was answered, how it ended.
fn feed(client: &mut WsClient, bytes: &[u8], size: usize) -> (Log, Vec<u8>, Result<(), WsFault>) {
    let (mut log, mut out) = (Log::default(), Vec::new());
    for piece in bytes.chunks(size.max(1)) {
        if let Err(fault) = client.on_bytes(&mut piece.to_vec(), &mut out, &mut log) {
            return (log, out, Err(fault));
        }
    }
    (log, out, Ok(()))
}

#[test]
fn the_upgrade_request_and_answer_of_the_rfc() {
    let mut out = Vec::new();
    let mut client = WsClient::new(1);
    client
        .start(
            "server.example.com",
            "/chat",
            &[("X-Key", "abc")],
            ENTROPY,
            &mut out,
        )
        .unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.starts_with("GET /chat HTTP/1.1\r\nHost: server.example.com\r\n"),
        "{text}"
    );
    for field in [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
    ] {
        assert!(
            text.contains(&format!("\r\n{field}\r\n")),
            "{field} in {text}"
        );
    }
    assert!(
        text.contains(&format!("Sec-WebSocket-Key: {KEY}\r\nX-Key: abc\r\n\r\n")),
        "{text}"
    );
    // Frames right behind the answer, in the same read, come after `open`.
    let bytes = [
        answer(ACCEPT).into_bytes(),
        frame(true, Opcode::Text, b"hi"),
    ]
    .concat();
    for size in [1, 7, bytes.len()] {
        let (log, _, end) = feed(&mut upgrading(), &bytes, size);
        assert_eq!(
            (log.0, end),
            (vec!["open".into(), "Text hi".into()], Ok(()))
        );
    }
}

#[test]
fn wrong_answers_to_the_upgrade_are_refused() {
    let good = answer(ACCEPT);
    let refused = |status, retry_after_s| WsFault::Refused {
        status,
        retry_after_s,
    };
    let cases = [
        (answer("AAAAAAAAAAAAAAAAAAAAAAAAAAA="), WsFault::Upgrade),
        (
            good.replace("Upgrade: websocket", "Upgrade: h2c"),
            WsFault::Upgrade,
        ),
        (
            good.replace("Connection: Upgrade", "Connection: close"),
            WsFault::Upgrade,
        ),
        (
            good.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: x\r\n\r\n"),
            WsFault::Upgrade,
        ),
        (
            good.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: x\r\n\r\n"),
            WsFault::Upgrade,
        ),
        (
            "HTTP/1.1 429 Slow\r\nRetry-After: 9\r\n\r\n".into(),
            refused(429, Some(9)),
        ),
        (
            "HTTP/1.1 301 Moved\r\nLocation: /x\r\n\r\n".into(),
            refused(301, None),
        ),
        ("SSH-2.0-OpenSSH\r\n\r\n".into(), WsFault::Upgrade),
        ("x".repeat(20_000), WsFault::Upgrade),
    ];
    for (text, fault) in cases {
        let mut client = upgrading();
        let (log, out, end) = feed(&mut client, text.as_bytes(), 1_000);
        assert_eq!((log.0.len(), end), (0, Err(fault)), "{text}");
        assert!(
            out.is_empty() && client.is_closed(),
            "no frame where there is no WebSocket"
        );
    }
}

/// One case: what the server sends, what is heard, and the close code we end with, if any.
struct Case {
    name: &'static str,
    sends: Vec<u8>,
    hears: &'static [&'static str],
    fault: Option<WsFault>,
}

fn case(
    name: &'static str,
    sends: impl IntoIterator<Item = Vec<u8>>,
    hears: &'static [&'static str],
    fault: Option<WsFault>,
) -> Case {
    let sends = sends.into_iter().collect::<Vec<_>>().concat();
    Case {
        name,
        sends,
        hears,
        fault,
    }
}

fn cases() -> Vec<Case> {
    use Opcode::{Binary, Close, Continuation, Ping, Pong, Text};
    let header = |error| Some(WsFault::Frame(error));
    let long = |len: usize| frame(true, Binary, &vec![b'*'; len]);
    let mut masked = frame(true, Text, b"");
    masked[1] |= 0x80;
    masked.extend_from_slice(&[1, 2, 3, 4]);
    let mut table = vec![
        // 1: framing, all length forms
        case(
            "1.1.1 empty text",
            [frame(true, Text, b"")],
            &["Text "],
            None,
        ),
        case(
            "1.1.2 short text",
            [frame(true, Text, b"***")],
            &["Text ***"],
            None,
        ),
        case(
            "1.2.1 empty binary",
            [frame(true, Binary, b"")],
            &["Binary "],
            None,
        ),
        case(
            "1.3 masked by the server",
            [masked],
            &[],
            Some(WsFault::Masked),
        ),
        case(
            "1.4 length not shortest",
            [b"\x82\x7e\x00\x01x".to_vec()],
            &[],
            header(WsError::Length),
        ),
        // 2: pings and pongs
        case("2.1 ping", [frame(true, Ping, b"")], &["ping "], None),
        case(
            "2.2 ping with payload",
            [frame(true, Ping, b"Hello")],
            &["ping Hello"],
            None,
        ),
        case(
            "2.5 ping of 126 bytes",
            [frame(true, Ping, &[b'*'; 126])],
            &[],
            header(WsError::ControlTooLong),
        ),
        case(
            "2.7 unsolicited pong",
            [frame(true, Pong, b"x")],
            &["pong x"],
            None,
        ),
        case(
            "2.10 ten pings",
            (0..10).map(|_| frame(true, Ping, b"p")),
            &["ping p"; 10],
            None,
        ),
        // 3: reserved bits
        case(
            "3.1 bit 1",
            [b"\xc1\x00".to_vec()],
            &[],
            header(WsError::ReservedBits),
        ),
        case(
            "3.2 bit 2",
            [b"\xa1\x00".to_vec()],
            &[],
            header(WsError::ReservedBits),
        ),
        case(
            "3.3 bit 3, after good text",
            [frame(true, Text, b"ok"), b"\x91\x00".to_vec()],
            &["Text ok"],
            header(WsError::ReservedBits),
        ),
        // 4: opcodes
        case(
            "4.1 opcode 3",
            [b"\x83\x00".to_vec()],
            &[],
            header(WsError::Opcode(3)),
        ),
        case(
            "4.1 opcode 7",
            [b"\x87\x00".to_vec()],
            &[],
            header(WsError::Opcode(7)),
        ),
        case(
            "4.2 opcode 11",
            [b"\x8b\x00".to_vec()],
            &[],
            header(WsError::Opcode(11)),
        ),
        case(
            "4.2 opcode 15",
            [b"\x8f\x00".to_vec()],
            &[],
            header(WsError::Opcode(15)),
        ),
        // 5: fragmentation
        case(
            "5.1 fragmented ping",
            [frame(false, Ping, b"x")],
            &[],
            header(WsError::ControlFragmented),
        ),
        case(
            "5.3 two fragments",
            [
                frame(false, Text, b"frag"),
                frame(true, Continuation, b"ment"),
            ],
            &["Text fragment"],
            None,
        ),
        case(
            "5.6 ping between fragments",
            [
                frame(false, Text, b"a"),
                frame(true, Ping, b"p"),
                frame(true, Continuation, b"b"),
            ],
            &["ping p", "Text ab"],
            None,
        ),
        case(
            "5.9 continuation of nothing",
            [frame(true, Continuation, b"x")],
            &[],
            Some(WsFault::Fragment),
        ),
        case(
            "5.15 continuation after the end",
            [
                frame(false, Text, b"a"),
                frame(true, Continuation, b"b"),
                frame(false, Continuation, b"c"),
            ],
            &["Text ab"],
            Some(WsFault::Fragment),
        ),
        case(
            "5.18 text inside text",
            [frame(false, Text, b"a"), frame(true, Text, b"b")],
            &[],
            Some(WsFault::Fragment),
        ),
        case(
            "5.20 empty fragments",
            [
                frame(false, Binary, b""),
                frame(false, Continuation, b""),
                frame(true, Continuation, b""),
            ],
            &["Binary "],
            None,
        ),
        // 6: UTF-8
        case(
            "6.2 text of many bytes",
            [frame(true, Text, "κόσμε".as_bytes())],
            &["Text \\xce\\xba\\xcf\\x8c\\xcf\\x83\\xce\\xbc\\xce\\xb5"],
            None,
        ),
        case(
            "6.2.3 character over two fragments",
            [
                frame(false, Text, b"\xce"),
                frame(true, Continuation, b"\xba"),
            ],
            &["Text \\xce\\xba"],
            None,
        ),
        case(
            "6.3 broken text",
            [frame(true, Text, b"\xce\xba\xff")],
            &[],
            Some(WsFault::Utf8),
        ),
        case(
            "6.6 cut character",
            [frame(true, Text, b"\xce")],
            &[],
            Some(WsFault::Utf8),
        ),
        case(
            "6.11 surrogate",
            [frame(true, Text, b"\xed\xa0\x80")],
            &[],
            Some(WsFault::Utf8),
        ),
        case(
            "6.20 not text, so not checked",
            [frame(true, Binary, b"\xff")],
            &["Binary \\xff"],
            None,
        ),
        // 7: close
        case(
            "7.1.1 close",
            [frame(true, Close, b"\x03\xe8")],
            &["close 1000 "],
            None,
        ),
        case(
            "7.1.3 bytes after close",
            [frame(true, Close, b"\x03\xe8"), frame(true, Text, b"late")],
            &["close 1000 "],
            None,
        ),
        case(
            "7.3.1 no code",
            [frame(true, Close, b"")],
            &["close 1005 "],
            None,
        ),
        case(
            "7.3.2 half a code",
            [frame(true, Close, b"\x03")],
            &[],
            Some(WsFault::CloseCode),
        ),
        case(
            "7.3.4 reason",
            [frame(true, Close, b"\x03\xe9bye")],
            &["close 1001 bye"],
            None,
        ),
        case(
            "7.5.1 broken reason",
            [frame(true, Close, b"\x03\xe8\xff")],
            &[],
            Some(WsFault::Utf8),
        ),
        case(
            "9.1 over the limit",
            [[&b"\x82\x7f"[..], &(WS_MSG_MAX as u64 + 1).to_be_bytes()].concat()],
            &[],
            Some(WsFault::TooLarge),
        ),
        case(
            "9.2 over the limit in fragments",
            [
                frame(false, Binary, &vec![0; WS_MSG_MAX]),
                frame(true, Continuation, b"x"),
            ],
            &[],
            Some(WsFault::TooLarge),
        ),
    ];
    for len in [125, 126, 127, 128, 65_535, 65_536] {
        // Too long to print: heard as a count below.
        table.push(case(
            "1.2 binary of every length form",
            [long(len)],
            &["*"],
            None,
        ));
    }
    for code in [1000u16, 1003, 1007, 1011, 1014, 3000, 4999] {
        table.push(case(
            "7.7 valid code",
            [frame(true, Close, &code.to_be_bytes())],
            &["close"],
            None,
        ));
    }
    for code in [
        0u16, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535,
    ] {
        let sends = [frame(true, Close, &code.to_be_bytes())];
        table.push(case(
            "7.9 invalid code",
            sends,
            &[],
            Some(WsFault::CloseCode),
        ));
    }
    table
}

#[test]
fn the_case_table_holds_however_the_bytes_are_cut() {
    for case in cases() {
        let sizes: &[usize] = if case.sends.len() > 100_000 {
            &[4_099]
        } else {
            &[1, 2, 3, 64]
        };
        for &size in sizes.iter().chain([&usize::MAX]) {
            let mut client = opened();
            let (log, out, end) = feed(&mut client, &case.sends, size);
            let name = format!("{} in pieces of {size}", case.name);
            assert_eq!(end.err(), case.fault, "{name}");
            assert_eq!(log.0.len(), case.hears.len(), "{name}: {log:?}");
            for (heard, expected) in log.0.iter().zip(case.hears) {
                assert!(
                    heard == expected || expected.len() < 6 && heard.contains(expected),
                    "{name}: {heard}"
                );
            }
            let answered = unmasked(&out);
            let closes = answered
                .iter()
                .filter(|(opcode, _)| *opcode == Opcode::Close)
                .count();
            let pongs = answered
                .iter()
                .filter(|(opcode, _)| *opcode == Opcode::Pong)
                .count();
            let pings = log
                .0
                .iter()
                .filter(|heard| heard.starts_with("ping"))
                .count();
            assert_eq!(pongs, pings, "{name}: every ping has its pong");
            if let Some(fault) = case.fault {
                let code = fault.close_code().unwrap().to_be_bytes();
                assert_eq!(
                    answered.last(),
                    Some(&(Opcode::Close, code.to_vec())),
                    "{name}"
                );
                assert!(client.is_closed());
            }
            let was_closed = case.fault.is_some() || log.0.iter().any(|h| h.starts_with("close"));
            assert_eq!(
                closes,
                usize::from(was_closed),
                "{name}: one close frame, no more"
            );
        }
    }
}

#[test]
fn a_whole_message_is_given_in_place() {
    let mut client = opened();
    let mut bytes = frame(true, Opcode::Text, b"in place");
    let range = bytes.as_ptr_range();
    let mut at = 0;
    match client.next(&mut bytes, &mut at, &mut Vec::new()).unwrap() {
        Some(WsEvent::Message(WsKind::Text, payload)) => {
            assert!(range.contains(&payload.as_ptr()));
            assert_eq!(payload, b"in place");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(client.next(&mut bytes, &mut at, &mut Vec::new()), Ok(None));
}

#[test]
fn an_order_goes_out_between_two_messages_of_one_read() {
    let mut client = opened();
    let mut bytes = [
        frame(true, Opcode::Text, b"1"),
        frame(true, Opcode::Text, b"2"),
    ]
    .concat();
    let (mut at, mut out) = (0, Vec::new());
    while client
        .next(&mut bytes, &mut at, &mut out)
        .unwrap()
        .is_some()
    {
        client.send_text(b"order", &mut out).unwrap();
    }
    assert_eq!(unmasked(&out).len(), 2);
}

#[test]
fn sending_is_refused_unless_open_and_after_our_close() {
    let mut out = Vec::new();
    assert_eq!(upgrading().send_text(b"x", &mut out), Err(WsFault::NotOpen));
    let mut client = opened();
    assert_eq!(
        client.send_ping(&[0; 126], &mut out),
        Err(WsFault::TooLarge)
    );
    assert_eq!(
        client.send_text(&vec![0; WS_MSG_MAX + 1], &mut out),
        Err(WsFault::TooLarge)
    );
    assert!(out.is_empty());
    client.close(1000, &mut out).unwrap();
    assert_eq!(client.send_text(b"x", &mut out), Err(WsFault::NotOpen));
    assert_eq!(unmasked(&out), [(Opcode::Close, vec![3, 232])]);
    // Messages on their way still arrive; the answer ends it, and is not answered again.
    let sends = [
        frame(true, Opcode::Text, b"last"),
        frame(true, Opcode::Close, &[3, 232]),
    ]
    .concat();
    let (log, out, end) = feed(&mut client, &sends, 3);
    assert_eq!((log.0.len(), out.len(), end), (2, 0, Ok(())));
    assert!(client.is_closed());
}

#[test]
fn masks_follow_the_seed_and_change_every_frame() {
    let send = |seed| {
        let mut client = WsClient::new(seed);
        let mut out = Vec::new();
        client.start("h", "/", &[], ENTROPY, &mut out).unwrap();
        client
            .on_bytes(
                &mut answer(ACCEPT).into_bytes(),
                &mut out,
                &mut Log::default(),
            )
            .unwrap();
        out.clear();
        for _ in 0..2 {
            client.send_text(b"same", &mut out).unwrap();
        }
        out
    };
    assert_eq!(send(5), send(5));
    assert_ne!(send(5), send(6));
    let out = send(0);
    assert_ne!(out[..10], out[10..]);
}

/// An in-memory stream for the other implementation: reads what is there, keeps what it writes.
#[derive(Default)]
struct Pipe {
    inbound: std::collections::VecDeque<u8>,
    outbound: Vec<u8>,
}

impl std::io::Read for Pipe {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        if self.inbound.is_empty() {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        self.inbound.read(room)
    }
}

impl std::io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.outbound.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn interop_with_tungstenite_as_the_server() {
    use tungstenite::protocol::frame::coding::{Data, OpCode};
    use tungstenite::protocol::frame::{CloseFrame, Frame};
    use tungstenite::{Message, accept};

    let mut client = WsClient::new(99);
    let mut out = Vec::new();
    client
        .start(
            "venue.test",
            "/stream",
            &[("X-Key", "k")],
            [3; 16],
            &mut out,
        )
        .unwrap();
    let pipe = Pipe {
        inbound: out.drain(..).collect(),
        outbound: Vec::new(),
    };
    let mut server = accept(pipe).unwrap();

    let large = "0123456789".repeat(30_000);
    server.write(Message::text("short")).unwrap();
    server.write(Message::text(large.as_str())).unwrap();
    server
        .write(Message::Ping(b"are you there".to_vec().into()))
        .unwrap();
    for (part, opcode, is_final) in [
        ("frag", Data::Text, false),
        ("men", Data::Continue, false),
        ("ted", Data::Continue, true),
    ] {
        let frame = Frame::message(part.as_bytes().to_vec(), OpCode::Data(opcode), is_final);
        server.write(Message::Frame(frame)).unwrap();
    }
    server.flush().unwrap();
    let mut log = Log::default();
    for piece in std::mem::take(&mut server.get_mut().outbound).chunks_mut(1_021) {
        client.on_bytes(piece, &mut out, &mut log).unwrap();
    }
    assert_eq!(log.0[0..2], ["open", "Text short"]);
    assert_eq!(log.0[2], format!("Text {large}"));
    assert_eq!(log.0[3..], ["ping are you there", "Text fragmented"]);

    client.send_text(br#"{"op":"order"}"#, &mut out).unwrap();
    client.send_text(large.as_bytes(), &mut out).unwrap();
    client.send_ping(b"mine", &mut out).unwrap();
    server.get_mut().inbound.extend(out.drain(..));
    assert_eq!(
        server.read().unwrap(),
        Message::Pong(b"are you there".to_vec().into())
    );
    assert_eq!(server.read().unwrap(), Message::text(r#"{"op":"order"}"#));
    assert_eq!(server.read().unwrap(), Message::text(large));
    assert_eq!(
        server.read().unwrap(),
        Message::Ping(b"mine".to_vec().into())
    );

    let bye = CloseFrame {
        code: 1012.into(),
        reason: "maintenance".into(),
    };
    // The pong first: this server keeps one pending control frame, and a close would take its
    // place.
    server.flush().unwrap();
    server.close(Some(bye)).unwrap();
    server.flush().unwrap();
    let mut log = Log::default();
    let mut bytes = std::mem::take(&mut server.get_mut().outbound);
    client.on_bytes(&mut bytes, &mut out, &mut log).unwrap();
    assert_eq!(log.0, ["pong mine", "close 1012 maintenance"]);
    server.get_mut().inbound.extend(out.drain(..));
    assert!(matches!(server.read(), Ok(Message::Close(_))));
    assert!(matches!(
        server.read(),
        Err(tungstenite::Error::ConnectionClosed)
    ));
}

/// A valid stream of frames, with what is to be heard.
fn streams() -> impl Strategy<Value = (Vec<u8>, Vec<String>)> {
    let payload = || prop::collection::vec(any::<u8>(), 0..300);
    let message = prop::collection::vec(payload(), 1..4).prop_map(|parts| {
        let last = parts.len() - 1;
        let mut bytes = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let opcode = if at == 0 {
                Opcode::Binary
            } else {
                Opcode::Continuation
            };
            bytes.extend(frame(at == last, opcode, part));
        }
        (bytes, format!("Binary {}", parts.concat().escape_ascii()))
    });
    let text = "[a-zé€]{0,80}".prop_map(|text| {
        let heard = format!("Text {}", text.as_bytes().escape_ascii());
        (frame(true, Opcode::Text, text.as_bytes()), heard)
    });
    let ping = prop::collection::vec(any::<u8>(), 0..126).prop_map(|payload| {
        let heard = format!("ping {}", payload.escape_ascii());
        (frame(true, Opcode::Ping, &payload), heard)
    });
    prop::collection::vec(prop_oneof![message, text, ping], 0..12).prop_map(|items| {
        let (bytes, heard): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        (bytes.concat(), heard)
    })
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_events((bytes, heard) in streams(), size in 1usize..400) {
        let (log, out, end) = feed(&mut opened(), &bytes, size);
        prop_assert_eq!(end, Ok(()));
        prop_assert_eq!(&log.0, &heard);
        let (log, whole_out, _) = feed(&mut opened(), &bytes, usize::MAX);
        prop_assert_eq!(&log.0, &heard);
        prop_assert_eq!(out, whole_out);
    }

    #[test]
    fn any_bytes_never_panic_and_end_the_same_however_cut(bytes: Vec<u8>, size in 1usize..20) {
        for make in [opened as fn() -> WsClient, upgrading] {
            let whole = feed(&mut make(), &bytes, usize::MAX);
            let cut = feed(&mut make(), &bytes, size);
            prop_assert_eq!(whole, cut);
        }
    }

    #[test]
    fn what_is_sent_is_what_the_peer_unmasks(payload: Vec<u8>, seed: u64) {
        let mut client = WsClient::new(seed);
        let mut out = Vec::new();
        client.start("h", "/", &[], ENTROPY, &mut out).unwrap();
        client.on_bytes(&mut answer(ACCEPT).into_bytes(), &mut out, &mut Log::default()).unwrap();
        out.clear();
        client.send_text(&payload, &mut out).unwrap();
        prop_assert_eq!(unmasked(&out), vec![(Opcode::Text, payload)]);
    }

    #[test]
    fn header_errors_reach_the_caller(bits in 1u8..8) {
        let (_, _, end) = feed(&mut opened(), &[0x81 | bits << 4, 0], 1);
        prop_assert_eq!(end, Err(WsFault::Frame(WsError::ReservedBits)));
    }
}
