//! JSON objects written straight into a [`Buf`]: no tree, no formatter, no heap.
//!
//! ```
//! use dp_wire::{buf::Buf, json::write::Object};
//!
//! let mut buf = Buf::<128>::new();
//! let mut message = Object::new(&mut buf);
//! message.u64("id", 7).str("method", "order.place");
//! let mut params = message.object("params");
//! params.str("symbol", "BTCUSDT").bool("test", false);
//! params.end();
//! message.end();
//! assert_eq!(
//!     buf.finish().unwrap(),
//!     br#"{"id":7,"method":"order.place","params":{"symbol":"BTCUSDT","test":false}}"#
//! );
//! ```

use crate::buf::Buf;
use dp_types::Decimal;

/// Appends `text` as a JSON string with its quotes, escaped after RFC 8259.
pub fn string<const N: usize>(buf: &mut Buf<N>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    buf.push(b'"');
    let mut rest = text.as_bytes();
    // Runs without escapes are copied whole: symbols and ids never need one.
    while let Some(at) = rest
        .iter()
        .position(|&b| b < 0x20 || b == b'"' || b == b'\\')
    {
        let (plain, special) = rest.split_at(at);
        buf.push_bytes(plain);
        if let Some((&byte, after)) = special.split_first() {
            match byte {
                b'"' | b'\\' => buf.push_bytes(&[b'\\', byte]),
                _ => {
                    let digit =
                        |value: u8| HEX.get(usize::from(value & 15)).copied().unwrap_or(b'0');
                    buf.push_bytes(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]);
                }
            }
            rest = after;
        }
    }
    buf.push_bytes(rest);
    buf.push(b'"');
}

/// An object being written: puts the commas and, by [`Object::end`], the closing brace.
#[derive(Debug)]
pub struct Object<'a, const N: usize> {
    buf: &'a mut Buf<N>,
    is_first: bool,
}

impl<'a, const N: usize> Object<'a, N> {
    /// Opens an object at the end of `buf`.
    pub fn new(buf: &'a mut Buf<N>) -> Self {
        buf.push(b'{');
        Self {
            buf,
            is_first: true,
        }
    }

    /// Writes `,"key":` and gives the buffer for whatever value the caller writes next.
    pub fn key(&mut self, key: &str) -> &mut Buf<N> {
        if !self.is_first {
            self.buf.push(b',');
        }
        self.is_first = false;
        string(self.buf, key);
        self.buf.push(b':');
        self.buf
    }

    /// A string field.
    pub fn str(&mut self, key: &str, value: &str) -> &mut Self {
        string(self.key(key), value);
        self
    }

    /// An unsigned field.
    pub fn u64(&mut self, key: &str, value: u64) -> &mut Self {
        self.key(key).push_u64(value);
        self
    }

    /// A signed field.
    pub fn i64(&mut self, key: &str, value: i64) -> &mut Self {
        self.key(key).push_i64(value);
        self
    }

    /// A boolean field.
    pub fn bool(&mut self, key: &str, value: bool) -> &mut Self {
        self.key(key).push_str(if value { "true" } else { "false" });
        self
    }

    /// A decimal number in quotes, as venues want prices and quantities.
    pub fn decimal(&mut self, key: &str, value: Decimal) -> &mut Self {
        let buf = self.key(key);
        buf.push(b'"');
        buf.push_decimal(value);
        buf.push(b'"');
        self
    }

    /// Opens an object as a field's value; end it before writing on.
    pub fn object(&mut self, key: &str) -> Object<'_, N> {
        Object::new(self.key(key))
    }

    /// Closes the object.
    pub fn end(self) {
        self.buf.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Doc;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_survives_writing_and_parsing(text: String) {
            let mut buf = Buf::<4096>::new();
            let mut object = Object::new(&mut buf);
            object.str(&text, &text);
            object.end();
            prop_assume!(!buf.has_overflowed());
            let mut bytes = buf.as_bytes().to_vec();
            let mut doc = Doc::new(64);
            let tree = doc.parse(&mut bytes).unwrap();
            prop_assert_eq!(tree.root().str(&text), Ok(text.as_str()));
        }
    }

    #[test]
    fn fields_of_every_kind() {
        let mut buf = Buf::<128>::new();
        let mut object = Object::new(&mut buf);
        let price = Decimal {
            mantissa: -250,
            exponent: -4,
        };
        object.i64("i", -5).decimal("p", price).bool("b", true);
        object.object("o").end();
        object.end();
        let expected = br#"{"i":-5,"p":"-0.0250","b":true,"o":{}}"#;
        assert_eq!(buf.finish(), Ok(&expected[..]));
    }
}
