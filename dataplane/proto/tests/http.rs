//! The HTTP/1.1 client against byte streams as servers send them, and laws for all inputs.

use dp_proto::http::{HttpClient, HttpFault};
use dp_types::limit::HTTP_BODY_MAX;
use dp_wire::http::HttpError;
use proptest::prelude::*;

/// One answer, owned: status, body, whether another request may follow.
type Heard = (u16, Vec<u8>);

fn asked(method: &str) -> HttpClient {
    let mut client = HttpClient::new();
    client
        .request(method, "/api", "venue.test", &[], b"", &mut Vec::new())
        .unwrap();
    client
}

fn feed(client: &mut HttpClient, bytes: &[u8], size: usize) -> Result<Vec<Heard>, HttpFault> {
    let mut heard = Vec::new();
    for piece in bytes.chunks(size.max(1)) {
        client.on_bytes(piece, &mut |response| {
            heard.push((response.head.status, response.body.to_vec()));
        })?;
    }
    Ok(heard)
}

/// Feeds whole and in pieces; the outcome must be one.
fn outcome(method: &str, bytes: &[u8]) -> (Result<Vec<Heard>, HttpFault>, bool) {
    let mut client = asked(method);
    let whole = feed(&mut client, bytes, usize::MAX);
    for size in [1, 2, 3, 7, 50] {
        let mut pieces = asked(method);
        assert_eq!(feed(&mut pieces, bytes, size), whole, "in pieces of {size}");
        assert_eq!(pieces.is_ready(), client.is_ready());
    }
    (whole, client.is_ready())
}

#[test]
fn answers_of_every_form_are_read() {
    let cases: [(&str, &str, u16, &str, bool); 10] = [
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            200,
            "hello",
            true,
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            200,
            "",
            true,
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n6;name=\"v\"\r\n world\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n",
            200,
            "hello world",
            true,
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\nA \r\n0123456789\r\n000\r\n\r\n",
            200,
            "0123456789",
            true,
        ),
        ("DELETE", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
            304,
            "",
            true,
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
            200,
            "",
            true,
        ),
        (
            "POST",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n\
             HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok",
            201,
            "ok",
            true,
        ),
        (
            "GET",
            "HTTP/1.1 418 I'm a teapot\r\nConnection: close\r\nContent-Length: 1\r\n\r\n-",
            418,
            "-",
            false,
        ),
        (
            "GET",
            "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n1",
            200,
            "1",
            false,
        ),
    ];
    for (method, bytes, status, body, is_ready) in cases {
        let expected = (Ok(vec![(status, body.as_bytes().to_vec())]), is_ready);
        assert_eq!(outcome(method, bytes.as_bytes()), expected, "{bytes:?}");
    }
}

#[test]
fn broken_answers_are_named() {
    let chunked =
        |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let cases = [
        (
            "HTTP/3 200\r\n\r\n".to_owned(),
            HttpFault::Head(HttpError::StatusLine),
        ),
        (
            "HTTP/1.1 101 Switching\r\n\r\n".to_owned(),
            HttpFault::Interim,
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\n".repeat(9),
            HttpFault::Interim,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab".to_owned(),
            HttpFault::Unsolicited,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 16777217\r\n\r\n".to_owned(),
            HttpFault::BodyTooLong,
        ),
        (
            "x".repeat(17 << 10),
            HttpFault::Head(HttpError::HeadTooLong),
        ),
        (chunked("\r\n"), HttpFault::Chunk),
        (chunked("g\r\n"), HttpFault::Chunk),
        (chunked("-1\r\n"), HttpFault::Chunk),
        (chunked("5\nhello"), HttpFault::Chunk),
        (chunked("3\r\nhello\r\n"), HttpFault::Chunk),
        (chunked("000000001\r\n"), HttpFault::Chunk),
        (chunked("ffffffff\r\n"), HttpFault::BodyTooLong),
        (
            chunked(&format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(9_000))),
            HttpFault::Chunk,
        ),
        (
            chunked(&format!("0\r\n{}\r\n", "a: b\r\n".repeat(3_000))),
            HttpFault::Chunk,
        ),
    ];
    for (bytes, fault) in cases {
        let end = bytes.len().min(60);
        for size in [1, 13, usize::MAX] {
            let mut client = asked("GET");
            let outcome = feed(&mut client, bytes.as_bytes(), size);
            assert_eq!(outcome, Err(fault), "{:?} by {size}", &bytes[..end]);
            assert!(client.is_finished() && !client.is_ready());
        }
    }
}

#[test]
fn chunks_together_are_bounded() {
    let mut client = asked("GET");
    feed(
        &mut client,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        100,
    )
    .unwrap();
    let chunk = [
        b"100000\r\n".to_vec(),
        vec![b'x'; 1 << 20],
        b"\r\n".to_vec(),
    ]
    .concat();
    for _ in 0..HTTP_BODY_MAX >> 20 {
        assert_eq!(feed(&mut client, &chunk, usize::MAX), Ok(vec![]));
    }
    assert_eq!(
        feed(&mut client, b"1\r\n", usize::MAX),
        Err(HttpFault::BodyTooLong)
    );
}

#[test]
fn the_end_of_the_connection_completes_or_cuts() {
    let mut client = asked("GET");
    let text = b"HTTP/1.1 200 OK\r\n\r\nuntil the end";
    assert_eq!(feed(&mut client, text, 4), Ok(vec![]));
    let response = client.on_end().unwrap().unwrap();
    assert_eq!(
        (response.head.status, &*response.body),
        (200, &b"until the end"[..])
    );
    assert!(client.is_finished());

    for text in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
    ] {
        let mut client = asked("GET");
        assert_eq!(feed(&mut client, text.as_bytes(), 5), Ok(vec![]));
        assert_eq!(
            client.on_end().err(),
            Some(HttpFault::Truncated),
            "{text:?}"
        );
    }
    let mut idle = HttpClient::new();
    assert!(idle.on_end().unwrap().is_none());
    let refused = idle.request("GET", "/", "h", &[], b"", &mut Vec::new());
    assert_eq!(refused, Err(HttpFault::Finished));
}

#[test]
fn one_request_at_a_time_over_one_connection() {
    let mut client = HttpClient::new();
    let mut out = Vec::new();
    client
        .request(
            "POST",
            "/order",
            "venue.test",
            &[("X-Key", "k")],
            b"{}",
            &mut out,
        )
        .unwrap();
    let expected = "POST /order HTTP/1.1\r\nHost: venue.test\r\nX-Key: k\r\n\
        Content-Length: 2\r\n\r\n{}";
    assert_eq!(out, expected.as_bytes());
    let len = out.len();
    let busy = client.request("GET", "/", "venue.test", &[], b"", &mut out);
    assert_eq!((busy, out.len()), (Err(HttpFault::Busy), len));
    for round in 0..3 {
        let answer =
            format!("HTTP/1.1 200 OK\r\nX-Used: {round}\r\nContent-Length: 1\r\n\r\n{round}");
        let mut used = Vec::new();
        client
            .on_bytes(answer.as_bytes(), &mut |response| {
                used = response.head.get("x-used").unwrap().to_vec();
                response.body.fill(0);
            })
            .unwrap();
        assert_eq!(used, round.to_string().as_bytes());
        client
            .request("GET", "/next", "venue.test", &[], b"", &mut out)
            .unwrap();
    }
    let mut idle = HttpClient::new();
    assert_eq!(
        feed(&mut idle, b"HTTP/1.1 408 Timeout\r\n\r\n", 99),
        Err(HttpFault::Unsolicited)
    );
    let injected = HttpClient::new().request("GET", "/ HTTP/1.1\r\nX: y", "h", &[], b"", &mut out);
    assert_eq!(injected, Err(HttpFault::Request));
}

/// A body in the chunked coding, cut as `sizes` say.
fn encode(body: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let (mut rest, mut sizes) = (body, sizes.iter().cycle());
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        rest = after;
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

proptest! {
    #[test]
    fn any_chunking_and_any_cut_give_the_body(
        body: Vec<u8>, sizes in prop::collection::vec(1usize..40, 1..5), cut in 1usize..60,
    ) {
        let bytes = encode(&body, &sizes);
        let mut client = asked("GET");
        prop_assert_eq!(feed(&mut client, &bytes, cut), Ok(vec![(200, body)]));
        prop_assert!(client.is_ready());
    }

    #[test]
    fn any_bytes_never_panic_and_end_the_same_however_cut(
        head in prop::sample::select(vec![
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
        ]),
        tail: Vec<u8>,
        size in 1usize..20,
    ) {
        let bytes = [head.as_bytes(), &tail].concat();
        let mut whole = asked("GET");
        let mut cut = asked("GET");
        let outcomes = (feed(&mut whole, &bytes, usize::MAX), feed(&mut cut, &bytes, size));
        prop_assert_eq!(&outcomes.0, &outcomes.1);
        prop_assert_eq!(whole.on_end().is_ok(), cut.on_end().is_ok());
    }
}
