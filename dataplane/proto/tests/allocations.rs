//! Allocations per record and message, counted on both layers. Ours: none. rustls': one a record.

#[path = "../../wire/tests/alloc_count/mod.rs"]
mod alloc_count;
mod rig;

use alloc_count::{Counting, allocations};
use dp_proto::ws::{WsClient, WsEvent};
use dp_wire::ws::{Header, Opcode, write_header};
use rig::{Site, open, server_says};
use rustls::version::{TLS12, TLS13};

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn rustls_allocates_once_per_record_in_each_direction_and_we_add_nothing() {
    let site = Site::new();
    for version in [&TLS13, &TLS12] {
        let (mut client, mut server) = open(&site, version);
        let mut out = Vec::with_capacity(64 << 10);
        for len in [200, 1_000, 16_000] {
            for round in 0..20 {
                let mut cipher = server_says(&mut server, &vec![b'x'; len]);
                let mut read = 0;
                let mut take = |plain: &mut [u8]| read += plain.len();
                let opened =
                    allocations(|| client.on_bytes(&mut cipher, &mut take, &mut out).unwrap());
                assert_eq!(read, len);
                out.clear();
                let text = vec![b'o'; len];
                let sealed = allocations(|| client.seal(&text, &mut out).unwrap());
                out.clear();
                // The first record of a connection may grow rustls' own queues.
                if round > 0 {
                    assert_eq!((opened.0, sealed.0), (1, 1), "{len} bytes");
                    let overhead = if version.version == TLS13.version {
                        22
                    } else {
                        29
                    };
                    let bytes = (opened.1, sealed.1);
                    assert_eq!(bytes, (len as u64, len as u64 + overhead), "{version:?}");
                }
            }
        }
    }
}

#[test]
fn a_record_split_over_reads_costs_no_allocation_of_ours() {
    let site = Site::new();
    let (mut client, mut server) = open(&site, &TLS13);
    let mut out = Vec::with_capacity(1 << 10);
    for round in 0..20 {
        let mut cipher = server_says(&mut server, &[b'x'; 1_000]);
        let (first, second) = cipher.split_at_mut(500);
        let count = allocations(|| {
            client.on_bytes(first, &mut |_| (), &mut out).unwrap();
            client.on_bytes(second, &mut |_| (), &mut out).unwrap();
        });
        assert!(round == 0 || count.0 == 1, "{count:?}");
    }
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

#[test]
fn websocket_messages_allocate_nothing_whole_split_or_fragmented() {
    let mut client = WsClient::new(1);
    let mut out = Vec::with_capacity(64 << 10);
    client
        .start("venue.test", "/ws", &[], *b"the sample nonce", &mut out)
        .unwrap();
    let mut answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        .to_vec();
    assert_eq!(
        client.next(&mut answer, &mut 0, &mut out),
        Ok(Some(WsEvent::Open))
    );
    let mut bytes = [
        frame(true, Opcode::Text, &[b'x'; 700]),
        frame(false, Opcode::Text, &[b'y'; 700]),
        frame(true, Opcode::Ping, b"p"),
        frame(true, Opcode::Continuation, &vec![b'z'; 300_000]),
    ]
    .concat();
    let mut events = 0;
    let count = allocations(|| {
        for piece in bytes.chunks_mut(1_001) {
            let mut at = 0;
            while client.next(piece, &mut at, &mut out).unwrap().is_some() {
                events += 1;
                client.send_text(b"order", &mut out).unwrap();
            }
        }
    });
    assert_eq!((events, count), (3, (0, 0)));
}
