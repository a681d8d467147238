//! Allocations per record and message, counted on both layers: none, but in TLS 1.2, which rustls serves.

#[path = "../../wire/tests/alloc_count/mod.rs"]
mod alloc_count;
mod rig;

use alloc_count::{Counting, allocations};
use dp_proto::tls::TlsClient;
use dp_proto::ws::{WsClient, WsEvent};
use dp_wire::ws::{Header, Opcode, write_header};
use rig::{SUITES, Site, open, open_with, serve, server_says};
use rustls::ServerConnection;
use rustls::version::{TLS12, TLS13};

#[global_allocator]
static COUNTING: Counting = Counting;

/// What opening and sealing one record of `len` bytes allocates, calls and bytes, after warm-up.
fn cost(client: &mut TlsClient, server: &mut ServerConnection, len: usize) -> [(u64, u64); 2] {
    let mut out = Vec::with_capacity(64 << 10);
    let mut costs = Vec::new();
    for _ in 0..20 {
        let mut cipher = server_says(server, &vec![b'x'; len]);
        let mut read = 0;
        let mut take = |plain: &mut [u8]| read += plain.len();
        let opened = allocations(|| client.on_bytes(&mut cipher, &mut take, &mut out).unwrap());
        assert_eq!(read, len);
        out.clear();
        let text = vec![b'o'; len];
        let sealed = allocations(|| client.seal(&text, &mut out).unwrap());
        assert_eq!(serve(server, &out).0, text);
        out.clear();
        costs.push([opened, sealed]);
    }
    // The first record of a connection may grow rustls' own queues.
    assert!(
        costs.iter().skip(1).all(|cost| *cost == costs[1]),
        "{costs:?}"
    );
    costs[1]
}

const LENS: [usize; 3] = [200, 1_000, 16_000];

#[test]
fn a_tls13_record_touches_no_allocator_in_either_direction() {
    let site = Site::new();
    for suite in SUITES {
        let (mut client, mut server) = open_with(&site, suite);
        for len in LENS {
            let cost = cost(&mut client, &mut server, len);
            assert_eq!(cost, [(0, 0), (0, 0)], "{suite:?}, {len} bytes");
        }
    }
}

#[test]
fn a_tls12_record_costs_one_allocation_of_rustls_each_way_and_none_of_ours() {
    let site = Site::new();
    let (mut client, mut server) = open(&site, &TLS12);
    for len in LENS {
        let cost = cost(&mut client, &mut server, len);
        assert_eq!(cost, [(1, len as u64), (1, len as u64 + 29)], "{len} bytes");
    }
}

#[test]
fn a_record_split_over_reads_touches_no_allocator() {
    let site = Site::new();
    let (mut client, mut server) = open(&site, &TLS13);
    let mut out = Vec::with_capacity(1 << 10);
    for at in [1, 4, 5, 6, 500, 16_000] {
        let mut cipher = server_says(&mut server, &[b'x'; 16_384]);
        let (first, second) = cipher.split_at_mut(at);
        let mut read = 0;
        let mut take = |plain: &mut [u8]| read += plain.len();
        let count = allocations(|| {
            client.on_bytes(first, &mut take, &mut out).unwrap();
            client.on_bytes(second, &mut take, &mut out).unwrap();
        });
        assert_eq!((count, read), ((0, 0), 16_384), "cut at {at}");
    }
}

/// Changing keys is where rustls is asked again: rare, and the count shows that it would be seen.
#[test]
fn a_key_update_is_the_only_thing_that_allocates() {
    let site = Site::new();
    let (mut client, mut server) = open(&site, &TLS13);
    let mut out = Vec::with_capacity(1 << 10);
    server.refresh_traffic_keys().unwrap();
    let mut cipher = server_says(&mut server, b"x");
    let first = allocations(|| client.on_bytes(&mut cipher, &mut |_| (), &mut out).unwrap());
    assert!(first.0 > 0 && !out.is_empty(), "{first:?}");
    let mut cipher = server_says(&mut server, b"x");
    let next = allocations(|| client.on_bytes(&mut cipher, &mut |_| (), &mut out).unwrap());
    assert_eq!(next, (0, 0));
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
