//! Allocations per message, counted: none in JSON once the `Doc` is warm, none in frames and
//! orders.

mod alloc_count;

use alloc_count::{Counting, allocations};
use dp_wire::buf::Buf;
use dp_wire::json::{Doc, JsonError, write::Object};
use dp_wire::ws::{self, Opcode};

#[global_allocator]
static COUNTING: Counting = Counting;

/// A depth message of `levels` levels a side.
fn depth(levels: usize) -> Vec<u8> {
    let side = |base: usize| {
        (0..levels)
            .map(|at| format!(r#"["{}.10000000","0.0{at}000"]"#, base + at))
            .collect::<Vec<_>>()
            .join(",")
    };
    let (bids, asks) = (side(30_000), side(30_100));
    format!(r#"{{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":[{bids}],"a":[{asks}]}}"#)
        .into_bytes()
}

fn walk(doc: &mut Doc, bytes: &mut [u8]) -> Result<i64, JsonError> {
    let tree = doc.parse(bytes)?;
    let root = tree.root();
    let mut sum = 0i64;
    for side in ["b", "a"] {
        for level in root.array(side)? {
            let price = level.at(0).ok_or(JsonError::Missing)?.as_decimal()?;
            sum = sum.wrapping_add(price.mantissa);
        }
    }
    Ok(sum)
}

#[test]
fn the_counter_counts() {
    assert_eq!(
        allocations(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(100)))),
        (1, 100)
    );
    assert_eq!(allocations(|| ()), (0, 0));
}

#[test]
fn json_within_the_warm_size_never_allocates_not_even_once() {
    let mut doc = Doc::new(64 << 10);
    for levels in [1, 5, 20, 1_000] {
        let mut bytes = depth(levels);
        assert!(bytes.len() <= 64 << 10);
        let count = allocations(|| assert!(walk(&mut doc, &mut bytes).unwrap() > 0));
        assert_eq!(count, (0, 0), "{levels} levels");
    }
    // The densest message there can be, and refused ones.
    let mut dense = b"[1"
        .iter()
        .chain(b",1".iter().cycle().take((64 << 10) - 4))
        .chain(b"]");
    let mut dense: Vec<u8> = dense.by_ref().copied().collect();
    assert_eq!(
        allocations(|| assert!(doc.parse(&mut dense).is_ok())),
        (0, 0)
    );
    for broken in ["{\"a\":", "[[[[", "\"\u{1}\"", "[1e999]", ""] {
        let mut bytes = broken.as_bytes().to_vec();
        assert_eq!(
            allocations(|| assert!(doc.parse(&mut bytes).is_err())),
            (0, 0),
            "{broken}"
        );
    }
}

#[test]
fn json_beyond_the_warm_size_allocates_only_the_first_time() {
    let mut doc = Doc::new(1_024);
    let large = depth(2_000);
    assert!(walk(&mut doc, &mut large.clone()).is_ok());
    let mut again = large.clone();
    assert_eq!(
        allocations(|| assert!(walk(&mut doc, &mut again).is_ok())),
        (0, 0)
    );
}

#[test]
fn an_order_is_built_and_framed_without_allocating() {
    let mut out = Vec::with_capacity(1_024);
    let count = allocations(|| {
        let mut buf = Buf::<512>::new();
        let mut order = Object::new(&mut buf);
        order.u64("id", 7).str("method", "order.place");
        order.end();
        ws::write_frame(
            Opcode::Text,
            [1, 2, 3, 4],
            buf.finish().unwrap_or(b""),
            &mut out,
        );
    });
    assert_eq!(count, (0, 0));
    assert!(ws::parse_header(&out).is_ok_and(|header| header.is_some()));
}

#[test]
fn exact_json_within_the_warm_size_never_allocates() {
    let mut doc = Doc::exact(64 << 10, 64 << 10);
    // The densest there can be.
    let dense = format!("[{}1.1]", "1.1,".repeat((64 << 10) / 4 - 2));
    assert!(dense.len() <= 64 << 10 && dense.len() > (64 << 10) - 8);
    let count = allocations(|| {
        for _ in 0..2 {
            let tree = doc.parse_exact(dense.as_bytes()).unwrap();
            assert_eq!(tree.root().len(), (64 << 10) / 4 - 1);
        }
    });
    assert_eq!(count, (0, 0));
}
