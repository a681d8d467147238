//! An HTTP answer that goes on: lines as servers send them, in any pieces, and what is no such answer.

#[path = "../../wire/tests/alloc_count/mod.rs"]
mod alloc_count;

use alloc_count::{Counting, allocations};
use dp_proto::http::{HttpFault, HttpLines, Piece};
use dp_types::limit::HTTP_LINE_MAX;
use proptest::prelude::*;

#[global_allocator]
static COUNTING: Counting = Counting;

const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    Open(u16),
    Line(String),
    Whole(u16, String),
}

fn asked() -> HttpLines {
    let mut client = HttpLines::new();
    client
        .request("GET", "/stream", "venue.test", &[], b"", &mut Vec::new())
        .unwrap();
    client
}

fn feed(client: &mut HttpLines, bytes: &[u8], size: usize) -> Result<Vec<Heard>, HttpFault> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut heard = Vec::new();
    for piece in bytes.chunks(size.max(1)) {
        let mut at = 0;
        while let Some(told) = client.next(piece, &mut at)? {
            heard.push(match told {
                Piece::Open(head) => Heard::Open(head.status),
                Piece::Line(line) => Heard::Line(text(line)),
                Piece::Whole(response) => Heard::Whole(response.head.status, text(response.body)),
            });
        }
        assert_eq!(at, piece.len(), "all of it is used");
    }
    Ok(heard)
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn lines(of: &[&str]) -> Vec<Heard> {
    of.iter()
        .map(|line| Heard::Line((*line).to_owned()))
        .collect()
}

/// What is heard before a fault, and the fault.
fn heard_before(bytes: &str, size: usize) -> (Vec<Heard>, Option<HttpFault>) {
    let mut client = asked();
    let mut all = Vec::new();
    for piece in bytes.as_bytes().chunks(size) {
        let mut at = 0;
        loop {
            let told = client.next(piece, &mut at);
            all.push(match told {
                Ok(None) => break,
                Ok(Some(Piece::Open(head))) => Heard::Open(head.status),
                Ok(Some(Piece::Line(line))) => Heard::Line(String::from_utf8_lossy(line).into()),
                Ok(Some(Piece::Whole(_))) => unreachable!("it goes on"),
                Err(fault) => return (all, Some(fault)),
            });
        }
    }
    (all, None)
}

/// Whole, and in pieces of any size: the same is heard.
fn heard(bytes: &str) -> Result<Vec<Heard>, HttpFault> {
    let whole = feed(&mut asked(), bytes.as_bytes(), usize::MAX);
    for size in [1, 2, 3, 7, 50] {
        let pieces = feed(&mut asked(), bytes.as_bytes(), size);
        assert_eq!(pieces, whole, "in pieces of {size}");
    }
    whole
}

#[test]
fn lines_before_a_fault_are_told_whatever_they_came_with() {
    let bytes = format!("{HEAD}{}{}no chunk", chunk("one\ntwo\n"), chunk("thr"));
    let mut expected = vec![Heard::Open(200)];
    expected.extend(lines(&["one", "two"]));
    for size in [1, 5, 40, bytes.len()] {
        let heard = heard_before(&bytes, size);
        assert_eq!(heard, (expected.clone(), Some(HttpFault::Chunk)), "{size}");
    }
}

#[test]
fn what_is_dropped_between_chunks_is_bounded_line_by_line() {
    let dropped = |text: &str| format!("{:x};{}\r\n{text}\r\n", text.len(), "x".repeat(5_000));
    let fine = format!(
        "{HEAD}{}{}{}",
        dropped("a\n"),
        dropped("b\n"),
        dropped("c\n")
    );
    let endless = format!("{HEAD}{}{}", dropped("a"), dropped("b\n"));
    for size in [1, 1_000, fine.len()] {
        let mut expected = vec![Heard::Open(200)];
        expected.extend(lines(&["a", "b", "c"]));
        assert_eq!(heard_before(&fine, size), (expected, None), "{size}");
        let expected = vec![Heard::Open(200)];
        let heard = heard_before(&endless, size);
        assert_eq!(heard, (expected, Some(HttpFault::Chunk)), "{size}");
    }
}

#[test]
fn lines_are_heard_as_they_come_wherever_chunks_begin() {
    let body = [
        chunk("{\"a\":1}\n"),
        chunk("{\"b\":"),
        chunk("2}\r\n\n{\"c\":3}\n{\"d\""),
        chunk(":4}\n\r\n"),
    ];
    let mut expected = vec![Heard::Open(200)];
    expected.extend(lines(&["{\"a\":1}", "{\"b\":2}", "{\"c\":3}", "{\"d\":4}"]));
    assert_eq!(heard(&format!("{HEAD}{}", body.concat())), Ok(expected));
    // A line is told when its end is there, not when more comes.
    let mut client = asked();
    feed(&mut client, HEAD.as_bytes(), 99).unwrap();
    assert!(client.is_open() && !client.is_ready());
    assert_eq!(
        feed(&mut client, chunk("one").as_bytes(), 99),
        Ok(Vec::new())
    );
    let end = feed(&mut client, chunk("\n").as_bytes(), 99);
    assert_eq!(end, Ok(lines(&["one"])));
}

#[test]
fn a_body_of_any_coding_is_lines_and_its_end_ends_the_connection() {
    let bodies = [
        format!("{HEAD}{}0\r\n\r\n", chunk("one\ntwo")),
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\none\ntwo".to_owned(),
    ];
    for body in bodies {
        let mut client = asked();
        let told = feed(&mut client, body.as_bytes(), 5).unwrap();
        assert_eq!(told[1..], lines(&["one", "two"]));
        assert!(client.is_finished() && !client.is_open() && !client.is_ready());
        let more = feed(&mut client, b"three\n", 99);
        assert_eq!(more, Err(HttpFault::Finished));
    }
    let until_close = "HTTP/1.1 200 OK\r\n\r\none\ntwo";
    assert_eq!(heard(until_close).unwrap()[1..], lines(&["one"]));
}

#[test]
fn another_answer_is_whole_and_the_connection_may_be_asked_again() {
    let refused = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\nno\nno";
    let expected = vec![Heard::Whole(401, "no\nno".to_owned())];
    assert_eq!(heard(refused), Ok(expected));
    let mut client = asked();
    for answer in [
        refused.to_owned(),
        refused.replace("401", "429"),
        refused.replace(
            "Content-Length: 5\r\n\r\nno\nno",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nno\nno\r\n0\r\n\r\n",
        ),
        "HTTP/1.1 204 Nothing\r\n\r\n".to_owned(),
    ] {
        let told = feed(&mut client, answer.as_bytes(), 3).unwrap();
        assert!(matches!(told.as_slice(), [Heard::Whole(..)]), "{told:?}");
        assert!(client.is_ready(), "{answer}");
        client
            .request("GET", "/stream", "venue.test", &[], b"", &mut Vec::new())
            .unwrap();
    }
    assert_eq!(
        feed(&mut client, HEAD.as_bytes(), 4),
        Ok(vec![Heard::Open(200)])
    );
    let again = client.request("GET", "/", "venue.test", &[], b"", &mut Vec::new());
    assert_eq!(again, Err(HttpFault::Busy));
}

#[test]
fn what_has_no_end_is_bounded() {
    let longest = "x".repeat(HTTP_LINE_MAX);
    let told = heard(&format!("{HEAD}{}", chunk(&format!("{longest}\n"))));
    assert_eq!(told.unwrap()[1..], lines(&[&longest]));
    for size in [1_000, 16 << 10, usize::MAX] {
        let mut client = asked();
        let endless = format!("{HEAD}{}", chunk(&"x".repeat(1 << 20)));
        let fault = feed(&mut client, endless.as_bytes(), size);
        assert_eq!(fault, Err(HttpFault::LineTooLong));
        assert!(client.is_finished());
    }
    // An extension is dropped and counted; a line that came forgives it.
    let mut client = asked();
    feed(&mut client, HEAD.as_bytes(), 99).unwrap();
    let named = format!("2;{}\r\na\n\r\n", "x".repeat(5_000));
    for _ in 0..10 {
        assert_eq!(feed(&mut client, named.as_bytes(), 700), Ok(lines(&["a"])));
    }
    let without = format!("1;{}\r\na\r\n", "x".repeat(5_000));
    feed(&mut client, without.as_bytes(), 700).unwrap();
    let fault = feed(&mut client, without.as_bytes(), 700);
    assert_eq!(fault, Err(HttpFault::Chunk));
}

#[test]
fn broken_answers_are_named() {
    for (bytes, fault) in [
        (format!("{HEAD}g\r\n"), HttpFault::Chunk),
        (format!("{HEAD}1\r\nab\r\n"), HttpFault::Chunk),
        (format!("{HEAD}000000001\r\n"), HttpFault::Chunk),
        ("HTTP/1.1 101 Other\r\n\r\n".to_owned(), HttpFault::Interim),
        (
            format!("{}a", "HTTP/1.1 204 None\r\n\r\n"),
            HttpFault::Unsolicited,
        ),
    ] {
        assert_eq!(heard(&bytes), Err(fault), "{bytes:?}");
    }
    let mut idle = HttpLines::new();
    assert_eq!(
        feed(&mut idle, b"HTTP/1.1 200 OK\r\n\r\n", 99),
        Err(HttpFault::Unsolicited)
    );
}

#[test]
fn lines_touch_no_allocator() {
    let mut client = asked();
    feed(&mut client, HEAD.as_bytes(), 99).unwrap();
    let line = format!("{}\n", "x".repeat(HTTP_LINE_MAX - 1));
    let mut record = Vec::new();
    for at in 0..4 {
        record.extend_from_slice(chunk(&line[..900 * (at + 1)]).as_bytes());
    }
    record.extend_from_slice(chunk("\n").as_bytes());
    let huge = chunk(&line).into_bytes();
    let mut count = 0;
    for round in 0..100 {
        let cost = allocations(|| {
            for piece in record.chunks(700).chain(huge.chunks(16 << 10)) {
                let mut at = 0;
                while let Some(told) = client.next(piece, &mut at).unwrap() {
                    count += usize::from(matches!(told, Piece::Line(_)));
                }
            }
        });
        assert_eq!(cost, (0, 0), "round {round}");
    }
    assert_eq!(count, 200);
}

proptest! {
    #[test]
    fn chunks_and_pieces_change_nothing(
        texts in prop::collection::vec("[a-z{}\":, ]{0,40}", 0..20),
        cuts in prop::collection::vec(1usize..30, 1..40),
        size in 1usize..200,
    ) {
        let body = texts.join("\n") + "\n";
        let (mut sent, mut rest) = (HEAD.to_owned(), body.as_str());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (part, after) = rest.split_at((*cut).min(rest.len()));
            sent.push_str(&chunk(part));
            rest = after;
        }
        let told = feed(&mut asked(), sent.as_bytes(), size).unwrap();
        let expected: Vec<Heard> = texts
            .iter()
            .filter(|text| !text.is_empty())
            .map(|text| Heard::Line(text.clone()))
            .collect();
        prop_assert_eq!(&told[1..], expected);
    }

    #[test]
    fn any_bytes_are_taken_or_refused(bytes: Vec<u8>, size in 1usize..50) {
        let head = HEAD.as_bytes();
        for bytes in [bytes.clone(), [head, &bytes].concat()] {
            let pieces = feed(&mut asked(), &bytes, size);
            prop_assert_eq!(pieces, feed(&mut asked(), &bytes, usize::MAX));
        }
    }
}
