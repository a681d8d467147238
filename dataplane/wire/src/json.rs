//! JSON as a flat tape over the message's own bytes: parse in place, walk by a cursor.
//!
//! ```text
//!   {"e":"trade","p":"0.5","b":[1,2]}          bytes; string escapes are undone in place
//!   Object·3  e  trade  p  0.5  b  Array·2  1  2      tape: one node a value, header + children
//!      │      └key └value ...                         a cursor is a slice of the tape
//! ```
//!
//! ```text
//! let mut doc = Doc::new(64 << 10);   // once; later none of <= 64 KiB allocates
//! let tree = doc.parse(&mut bytes)?;           // Result<Tree<'_>, JsonError>
//! let root = tree.root();                      // Value<'_>: Copy, two words, borrows `tree`
//!
//! root.get("p")                                // Option<Value>   first field of that name
//! root.at(0)                                   // Option<Value>   element of an array
//! value.as_str() / as_i64() / as_u64() / as_bool()    // Option, None when of another kind
//! value.as_decimal()                           // Result<Decimal, _>: string or integer
//! value.as_array()                             // Option<Items>:  iterator of Value
//! value.as_object()                            // Option<Fields>: iterator of (&str, Value)
//! value.is_null() / len()                      // elements or fields; 0 for scalars
//! root.str("p") / u64("E") / i64(..) / bool(..) / decimal(..) / array(..)  // get + as_*
//! ```
//!
//! In a venue machine split the borrow, since the tree borrows the `Doc`:
//! `let Self { doc, state, .. } = self; let tree = doc.parse(text)?;
//! state.on_message(tree.root())`.
//!
//! The parser is simd-json. It is iterative; depth is bounded by [`DEPTH_MAX`], size by the `Doc`.
//! Unknown and duplicate keys are harmless: the first one wins. A number with a fraction or an
//! exponent is not exact in binary, so it is told as [`JsonError::Inexact`] when asked for; most venues
//! print prices as strings, and for those that do not there is [`Doc::parse_exact`]. Nothing here
//! formats, allocates after warm-up, or panics: `tests/allocations.rs` counts.

use dp_types::{Decimal, NumError};
use simd_json::{Buffers, ErrorType, Node, StaticNode, Tape};

mod exact;
pub mod write;

/// Nesting a message may have. Venues use at most six.
pub const DEPTH_MAX: usize = 64;

/// Why a message or a value was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Longer than the `Doc` was told to accept.
    #[error("JSON message is longer than the limit")]
    TooLarge,
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("JSON message is nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// A number no 64-bit integer or double holds.
    #[error("JSON number out of range")]
    Number,
    /// Not UTF-8, or a bad escape.
    #[error("JSON text is not valid UTF-8")]
    Utf8,
    /// Not JSON.
    #[error("not JSON")]
    Syntax,
    /// The field is not there.
    #[error("JSON field is missing")]
    Missing,
    /// The value is of another kind.
    #[error("JSON value is of another kind")]
    Kind,
    /// A bare number with fraction or exponent: its printed digits are gone.
    #[error("JSON number is not an exact integer or string")]
    Inexact,
    /// The string is not a decimal number we hold.
    #[error("JSON string is not a decimal: {0}")]
    Decimal(NumError),
}

impl From<NumError> for JsonError {
    fn from(error: NumError) -> Self {
        Self::Decimal(error)
    }
}

impl From<simd_json::Error> for JsonError {
    fn from(error: simd_json::Error) -> Self {
        match error.error() {
            ErrorType::DepthLimitExceeded => Self::TooDeep,
            ErrorType::InputTooLarge => Self::TooLarge,
            ErrorType::InvalidNumber | ErrorType::InvalidExponent => Self::Number,
            ErrorType::InvalidUtf8
            | ErrorType::InvalidEscape
            | ErrorType::InvalidUnicodeEscape
            | ErrorType::InvalidUnicodeCodepoint => Self::Utf8,
            _ => Self::Syntax,
        }
    }
}

/// A reusable parser: its buffers grow to the largest message seen and stay.
pub struct Doc {
    buffers: Buffers,
    tape: Tape<'static>,
    /// The message with its numbers as text, where it is read exactly.
    quoted: Vec<u8>,
    bytes_max: usize,
}

impl core::fmt::Debug for Doc {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Doc")
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}

impl Doc {
    /// A parser whose buffers already hold any message of `warm_bytes`, so that no such message
    /// ever allocates. Longer ones, up to [`dp_types::limit::WS_MSG_MAX`], grow the buffers once.
    ///
    /// Cost: about 30 bytes of memory per warm byte (one tape node a byte in the worst message).
    pub fn new(warm_bytes: usize) -> Self {
        Self::with_limit(warm_bytes, dp_types::limit::WS_MSG_MAX)
    }

    /// Like [`Doc::new`] with the longest acceptable message in bytes: for REST bodies,
    /// [`dp_types::limit::HTTP_BODY_MAX`].
    pub fn with_limit(warm_bytes: usize, bytes_max: usize) -> Self {
        let mut doc = Self {
            buffers: Buffers::with_max_depth(warm_bytes, DEPTH_MAX),
            tape: Tape(Vec::new()),
            quoted: Vec::new(),
            bytes_max: usize::MAX,
        };
        // The densest message has a structural byte at every place. simd-json reserves a block of
        // 64 indexes ahead, hence the slack. The result is of no interest, the capacity is.
        let mut densest: Vec<u8> = b"[1"
            .iter()
            .chain(
                b",1"
                    .iter()
                    .cycle()
                    .take(warm_bytes.saturating_add(128) & !1),
            )
            .chain(b"]")
            .copied()
            .collect();
        let _ = doc.parse(&mut densest);
        doc.bytes_max = bytes_max;
        doc
    }

    /// Like [`Doc::with_limit`], warm for [`Doc::parse_exact`].
    pub fn exact(warm_bytes: usize, bytes_max: usize) -> Self {
        let room = exact::room(warm_bytes);
        Self {
            quoted: Vec::with_capacity(room),
            ..Self::with_limit(room, bytes_max)
        }
    }

    /// Parses one whole message of a venue that prints its numbers bare. One with a fraction, an exponent or more
    /// than 19 digits keeps its printed digits and reads as text does, by [`Value::as_decimal`] or [`Value::as_str`];
    /// another integer stays one.
    ///
    /// Cost: as [`Doc::parse`] and a copy of the message; no allocation once warm ([`Doc::exact`]). Errors: as
    /// [`Doc::parse`].
    pub fn parse_exact<'a>(&'a mut self, bytes: &[u8]) -> Result<Tree<'a>, JsonError> {
        if bytes.len() > self.bytes_max {
            return Err(JsonError::TooLarge);
        }
        exact::quote(bytes, &mut self.quoted);
        fill(&mut self.quoted, &mut self.buffers, &mut self.tape)
    }

    /// Parses one whole message in place: escapes are undone inside `bytes`, whose content is
    /// unspecified afterwards.
    ///
    /// Cost: one pass of SIMD, one of copying, one node a value; no allocation once warm. Errors:
    /// [`JsonError::TooLarge`], `TooDeep`, `Number`, `Utf8`, `Syntax`.
    pub fn parse<'a>(&'a mut self, bytes: &'a mut [u8]) -> Result<Tree<'a>, JsonError> {
        if bytes.len() > self.bytes_max {
            return Err(JsonError::TooLarge);
        }
        fill(bytes, &mut self.buffers, &mut self.tape)
    }
}

fn fill<'a>(
    bytes: &'a mut [u8],
    buffers: &mut Buffers,
    home: &'a mut Tape<'static>,
) -> Result<Tree<'a>, JsonError> {
    let tape = core::mem::replace(home, Tape(Vec::new()));
    let mut tree = Tree {
        tape: tape.reset(),
        home,
    };
    // On an error dropping the tree brings the memory home.
    simd_json::fill_tape(bytes, buffers, &mut tree.tape)?;
    Ok(tree)
}

/// A parsed message. Dropping it gives the tape's memory back to its [`Doc`].
#[derive(Debug)]
pub struct Tree<'a> {
    tape: Tape<'a>,
    home: &'a mut Tape<'static>,
}

impl Tree<'_> {
    /// The outermost value.
    pub fn root(&self) -> Value<'_> {
        Value(&self.tape.0)
    }
}

impl Drop for Tree<'_> {
    fn drop(&mut self) {
        *self.home = core::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
    }
}

/// A cursor: one value and everything inside it. An empty slice stands for null and cannot come
/// from a parsed message.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a>(&'a [Node<'a>]);

impl<'a> Value<'a> {
    fn head(self) -> Node<'a> {
        self.0
            .first()
            .copied()
            .unwrap_or(Node::Static(StaticNode::Null))
    }

    /// What lies behind the header node.
    fn children(self) -> &'a [Node<'a>] {
        self.0.get(1..).unwrap_or(&[])
    }

    /// The text of a string.
    pub fn as_str(self) -> Option<&'a str> {
        match self.head() {
            Node::String(text) => Some(text),
            _ => None,
        }
    }

    /// An integer that fits.
    pub fn as_i64(self) -> Option<i64> {
        match self.head() {
            Node::Static(StaticNode::I64(number)) => Some(number),
            Node::Static(StaticNode::U64(number)) => i64::try_from(number).ok(),
            _ => None,
        }
    }

    /// A non-negative integer that fits.
    pub fn as_u64(self) -> Option<u64> {
        match self.head() {
            Node::Static(StaticNode::U64(number)) => Some(number),
            Node::Static(StaticNode::I64(number)) => u64::try_from(number).ok(),
            _ => None,
        }
    }

    /// `true` or `false`.
    pub fn as_bool(self) -> Option<bool> {
        match self.head() {
            Node::Static(StaticNode::Bool(is_true)) => Some(is_true),
            _ => None,
        }
    }

    /// A number printed as a string, or a bare integer; exact.
    ///
    /// Errors: [`JsonError::Decimal`] for other texts, [`JsonError::Inexact`] for a bare number
    /// with fraction or exponent, [`JsonError::Kind`] for anything else.
    pub fn as_decimal(self) -> Result<Decimal, JsonError> {
        let integer = |mantissa| Decimal {
            mantissa,
            exponent: 0,
        };
        match self.head() {
            Node::String(text) => Ok(Decimal::parse(text.as_bytes())?),
            Node::Static(StaticNode::I64(number)) => Ok(integer(number)),
            Node::Static(StaticNode::U64(number)) => i64::try_from(number)
                .map(integer)
                .map_err(|_| JsonError::Decimal(NumError::TooLarge)),
            Node::Static(StaticNode::F64(_)) => Err(JsonError::Inexact),
            _ => Err(JsonError::Kind),
        }
    }

    /// The elements of an array, in order.
    pub fn as_array(self) -> Option<Items<'a>> {
        match self.head() {
            Node::Array { len, .. } => Some(Items {
                rest: self.children(),
                left: len,
            }),
            _ => None,
        }
    }

    /// The fields of an object, in order, duplicates included.
    pub fn as_object(self) -> Option<Fields<'a>> {
        match self.head() {
            Node::Object { len, .. } => Some(Fields {
                rest: self.children(),
                left: len,
            }),
            _ => None,
        }
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        matches!(self.head(), Node::Static(StaticNode::Null))
    }

    /// Elements of an array or fields of an object; 0 for anything else.
    pub fn len(self) -> usize {
        match self.head() {
            Node::Array { len, .. } | Node::Object { len, .. } => len,
            _ => 0,
        }
    }

    /// Whether [`Value::len`] is 0.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The first field of this name. Cost: a scan over the fields before it.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        self.as_object()?
            .find_map(|(name, value)| (name == key).then_some(value))
    }

    /// The element at `index`. Cost: a scan over the elements before it.
    pub fn at(self, index: usize) -> Option<Value<'a>> {
        self.as_array()?.nth(index)
    }

    /// The string field of this name. Errors: [`JsonError::Missing`], [`JsonError::Kind`].
    pub fn str(self, key: &str) -> Result<&'a str, JsonError> {
        self.field(key)?.as_str().ok_or(JsonError::Kind)
    }

    /// The non-negative integer field of this name. Errors as [`Value::str`].
    pub fn u64(self, key: &str) -> Result<u64, JsonError> {
        self.field(key)?.as_u64().ok_or(JsonError::Kind)
    }

    /// The integer field of this name. Errors as [`Value::str`].
    pub fn i64(self, key: &str) -> Result<i64, JsonError> {
        self.field(key)?.as_i64().ok_or(JsonError::Kind)
    }

    /// The boolean field of this name. Errors as [`Value::str`].
    pub fn bool(self, key: &str) -> Result<bool, JsonError> {
        self.field(key)?.as_bool().ok_or(JsonError::Kind)
    }

    /// The decimal field of this name. Errors as [`Value::str`] and [`Value::as_decimal`].
    pub fn decimal(self, key: &str) -> Result<Decimal, JsonError> {
        self.field(key)?.as_decimal()
    }

    /// The array field of this name. Errors as [`Value::str`].
    pub fn array(self, key: &str) -> Result<Items<'a>, JsonError> {
        self.field(key)?.as_array().ok_or(JsonError::Kind)
    }

    /// The first field of this name. Errors: [`JsonError::Missing`].
    pub fn field(self, key: &str) -> Result<Value<'a>, JsonError> {
        self.get(key).ok_or(JsonError::Missing)
    }
}

/// Cuts the first value off a run of nodes.
fn split<'a>(nodes: &'a [Node<'a>]) -> Option<(Value<'a>, &'a [Node<'a>])> {
    let count = match nodes.first()? {
        Node::Object { count, .. } | Node::Array { count, .. } => count.checked_add(1)?,
        _ => 1,
    };
    let (value, rest) = nodes.split_at_checked(count)?;
    Some((Value(value), rest))
}

/// Iterator over the elements of an array.
#[derive(Debug, Clone)]
pub struct Items<'a> {
    rest: &'a [Node<'a>],
    left: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let (value, rest) = split(self.rest)?;
        self.rest = rest;
        self.left = self.left.saturating_sub(1);
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Items<'_> {}

/// Iterator over the fields of an object.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [Node<'a>],
    left: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<(&'a str, Value<'a>)> {
        let (Node::String(key), rest) = self.rest.split_first()? else {
            return None;
        };
        let (value, rest) = split(rest)?;
        self.rest = rest;
        self.left = self.left.saturating_sub(1);
        Some((key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn count(value: Value<'_>) -> usize {
        let items = value.as_array().into_iter().flatten().map(count);
        let fields = value
            .as_object()
            .into_iter()
            .flatten()
            .map(|(_, inner)| count(inner));
        1 + items.sum::<usize>() + fields.sum::<usize>()
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail_without_panic(mut bytes: Vec<u8>) {
            let _ = Doc::new(64).parse(&mut bytes).map(|tree| count(tree.root()));
        }

        #[test]
        fn any_text_of_json_bytes_parses_or_fails_without_panic(
            text in r#"[\[\]{},:"\\0-9eE.+ truefalsn-]{0,60}"#,
        ) {
            let mut doc = Doc::new(64);
            let fresh = doc.parse(&mut text.clone().into_bytes()).map(|tree| count(tree.root()));
            // A used parser says the same as a fresh one.
            let again = doc.parse(&mut text.into_bytes()).map(|tree| count(tree.root()));
            prop_assert_eq!(fresh, again);
        }

        #[test]
        fn a_cut_message_is_an_error(at in 1usize..40) {
            let text = r#"{"b":[["1.50","2"],[3,-4]],"ok":true,"n":null}"#;
            prop_assert!(Doc::new(64).parse(&mut text.as_bytes()[..at].to_vec()).is_err());
        }
    }

    fn with<R>(text: &str, check: impl FnOnce(Result<Value<'_>, JsonError>) -> R) -> R {
        let mut bytes = text.as_bytes().to_vec();
        let mut doc = Doc::new(256);
        match doc.parse(&mut bytes) {
            Ok(tree) => check(Ok(tree.root())),
            Err(error) => check(Err(error)),
        }
    }

    #[test]
    fn walks_nested_values() {
        let text = r#"{"e":"depth","u":7,"n":-3,"ok":true,"no":null,
            "b":[["1.50","2"],["3","4"]],"o":{"k":"v"},"t":"end"}"#;
        with(text, |root| {
            let root = root.unwrap();
            assert_eq!(root.len(), 8);
            assert_eq!(root.str("e"), Ok("depth"));
            assert_eq!((root.u64("u"), root.i64("n")), (Ok(7), Ok(-3)));
            assert_eq!(root.u64("n"), Err(JsonError::Kind));
            assert_eq!(root.bool("ok"), Ok(true));
            assert!(root.get("no").unwrap().is_null());
            let levels: Vec<_> = root
                .array("b")
                .unwrap()
                .map(|level| level.at(0).unwrap().as_decimal().unwrap().to_string())
                .collect();
            assert_eq!(levels, ["1.50", "3"]);
            assert_eq!(root.get("o").unwrap().str("k"), Ok("v"));
            assert_eq!(root.str("t"), Ok("end"));
            assert_eq!(root.str("absent"), Err(JsonError::Missing));
            let keys: Vec<_> = root.as_object().unwrap().map(|(key, _)| key).collect();
            assert_eq!(keys, ["e", "u", "n", "ok", "no", "b", "o", "t"]);
        });
    }

    #[test]
    fn duplicate_keys_are_harmless_and_the_first_wins() {
        with(r#"{"a":1,"a":2}"#, |root| {
            assert_eq!(root.unwrap().u64("a"), Ok(1));
        });
    }

    #[test]
    fn escapes_are_undone_in_place() {
        with(r#"{"a":"x\"y\\\u20ac\n"}"#, |root| {
            assert_eq!(root.unwrap().str("a"), Ok("x\"y\\€\n"));
        });
    }

    #[test]
    fn numbers_beyond_64_bits_are_a_typed_error() {
        with("18446744073709551615", |v| {
            assert_eq!(v.unwrap().as_u64(), Some(u64::MAX));
        });
        with("-9223372036854775808", |v| {
            assert_eq!(v.unwrap().as_i64(), Some(i64::MIN));
        });
        for text in ["18446744073709551616", "-9223372036854775809", "[1e999]"] {
            with(text, |v| {
                assert_eq!(v.err(), Some(JsonError::Number), "{text}");
            });
        }
        with("18446744073709551615", |v| {
            let too_large = JsonError::Decimal(NumError::TooLarge);
            assert_eq!(v.unwrap().as_decimal(), Err(too_large));
        });
        with("0.1", |v| {
            assert_eq!(v.unwrap().as_decimal(), Err(JsonError::Inexact));
        });
        with("42", |v| {
            assert_eq!(v.unwrap().as_decimal().unwrap().mantissa, 42);
        });
    }

    #[test]
    fn a_mebibyte_of_brackets_is_refused_by_depth() {
        let mut bytes = vec![b'['; 1 << 20];
        let mut doc = Doc::new(64);
        assert_eq!(doc.parse(&mut bytes).err(), Some(JsonError::TooDeep));
        let mut bytes = br#"{"a":"#.repeat(1 << 16);
        assert_eq!(doc.parse(&mut bytes).err(), Some(JsonError::TooDeep));
        assert_eq!(doc.parse(&mut b"[1]".to_vec()).unwrap().root().len(), 1);
    }

    #[test]
    fn depth_at_the_limit_is_accepted() {
        let nest = |n: usize| "[".repeat(n) + &"]".repeat(n);
        with(&nest(DEPTH_MAX), |v| assert!(v.is_ok()));
        with(&nest(DEPTH_MAX + 1), |v| {
            assert_eq!(v.err(), Some(JsonError::TooDeep));
        });
    }

    #[test]
    fn longer_than_the_limit_is_refused() {
        let mut doc = Doc::with_limit(16, 4);
        assert_eq!(
            doc.parse(&mut b"[1,2]".to_vec()).err(),
            Some(JsonError::TooLarge)
        );
        assert!(doc.parse(&mut b"[12]".to_vec()).is_ok());
    }

    #[test]
    fn broken_texts_are_errors() {
        for text in [
            "", " ", "{", "[1,]", "{\"a\":}", "tru", "[1] 2", "\"a", "nul", "{1:2}", "\u{0}",
        ] {
            with(text, |v| assert!(v.is_err(), "{text:?}"));
        }
        let mut doc = Doc::new(16);
        assert_eq!(
            doc.parse(&mut b"\"\xff\"".to_vec()).err(),
            Some(JsonError::Utf8)
        );
    }
}
