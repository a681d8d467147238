//! One gzip member to text: what each market data frame of the venue is.
//!
//! ```text
//!   1f 8b 08 flags mtime4 xfl os | deflate ... | CRC-32 of the text | its length modulo 2^32
//!            └ 0: no further fields              both little-endian, checked here
//! ```
//! The state and the room for the text are taken once and used again for each message; nothing is kept between
//! two. The text is bounded by [`WS_MSG_MAX`], whatever the frame promises: a small frame that would grow beyond
//! it is refused. Inflated by zlib-rs: on the recordings 4.3 µs a message, against 7.3 µs with miniz_oxide.
//! Source: RFC 1952; venue page, section 8, read 2026-11-20.

use dp_types::limit::WS_MSG_MAX;
use dp_venue_api::DecodeError;
use flate2::{Decompress, FlushDecompress, Status};

/// The header without optional fields.
const HEAD_LEN: usize = 10;
/// Checksum and length behind the data.
const TAIL_LEN: usize = 8;

/// A reusable inflater.
pub struct Gunzip {
    state: Decompress,
    text: Box<[u8]>,
}

impl core::fmt::Debug for Gunzip {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Gunzip(..)")
    }
}

impl Default for Gunzip {
    fn default() -> Self {
        Self {
            state: Decompress::new(false), // raw deflate: the gzip frame is read here
            text: vec![0; WS_MSG_MAX].into_boxed_slice(),
        }
    }
}

impl Gunzip {
    /// The text of a frame, which must be exactly one gzip member without optional fields.
    ///
    /// Cost: one pass, no allocation. Errors: [`DecodeError::Shape`] for what is no such frame, is cut, has a
    /// wrong checksum or length, or anything behind its end; [`DecodeError::TooMuch`] for a text above
    /// [`WS_MSG_MAX`].
    pub fn inflate(&mut self, frame: &[u8]) -> Result<&[u8], DecodeError> {
        let (head, rest) = frame
            .split_at_checked(HEAD_LEN)
            .ok_or(DecodeError::Shape("a binary message shorter than gzip"))?;
        if !head.starts_with(&[0x1f, 0x8b, 8, 0]) {
            return Err(DecodeError::Shape("a binary message that is not gzip"));
        }
        let (data, tail) = rest
            .split_last_chunk::<TAIL_LEN>()
            .ok_or(DecodeError::Shape("a binary message shorter than gzip"))?;
        self.state.reset(false);
        // All the input and all the room at once: there is no second call that could make no progress.
        let status = self
            .state
            .decompress(data, &mut self.text, FlushDecompress::Finish)
            .map_err(|_| DecodeError::Shape("a gzip message that does not inflate"))?;
        let len = usize::try_from(self.state.total_out()).unwrap_or(usize::MAX);
        if status != Status::StreamEnd {
            return Err(if len >= self.text.len() {
                DecodeError::TooMuch("inflated message size")
            } else {
                DecodeError::Shape("a gzip message that is cut")
            });
        }
        if self.state.total_in() != data.len() as u64 {
            return Err(DecodeError::Shape("bytes behind the end of a gzip message"));
        }
        let text = self.text.get(..len).unwrap_or(&[]);
        let [crc, size] = [0, 4].map(|at| {
            let bytes = tail.get(at..).and_then(<[u8]>::first_chunk);
            u32::from_le_bytes(*bytes.unwrap_or(&[0; 4]))
        });
        if crc32fast::hash(text) != crc || len as u32 != size {
            return Err(DecodeError::Shape("a gzip message with a wrong checksum"));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write as _;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn frames_of_any_length_come_back() {
        let mut gunzip = Gunzip::default();
        for len in [0, 1, 100, 70_000, WS_MSG_MAX] {
            let text: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            assert_eq!(gunzip.inflate(&gzip(&text)), Ok(&*text), "{len}");
        }
    }

    #[test]
    fn a_frame_that_grows_beyond_the_bound_is_refused_and_the_next_one_is_read() {
        let mut gunzip = Gunzip::default();
        let bomb = gzip(&vec![b' '; 64 * WS_MSG_MAX]);
        assert!(bomb.len() < WS_MSG_MAX / 8, "a small frame");
        for bytes in [&bomb, &gzip(&vec![b' '; WS_MSG_MAX + 1])] {
            let error = DecodeError::TooMuch("inflated message size");
            assert_eq!(gunzip.inflate(bytes), Err(error));
        }
        assert_eq!(gunzip.inflate(&gzip(b"{}")), Ok(&b"{}"[..]));
    }

    #[test]
    fn each_damage_has_its_error() {
        let good = gzip(br#"{"ping":1618678073643}"#);
        let changed = |at: usize, to: u8| {
            let mut bytes = good.clone();
            bytes[at] = to;
            bytes
        };
        let end = good.len();
        let mut cut = good.clone();
        cut.remove(14);
        for (bytes, why) in [
            (vec![], "a binary message shorter than gzip"),
            (good[..17].to_vec(), "a binary message shorter than gzip"),
            (
                b"{\"ping\":1618678073643}".to_vec(),
                "a binary message that is not gzip",
            ),
            (changed(0, 0), "a binary message that is not gzip"),
            (changed(3, 8), "a binary message that is not gzip"),
            (changed(end - 1, 1), "a gzip message with a wrong checksum"),
            (
                changed(end - 8, good[end - 8] ^ 1),
                "a gzip message with a wrong checksum",
            ),
            (
                [&good[..], &good[..]].concat(),
                "bytes behind the end of a gzip message",
            ),
        ] {
            let error = Err(DecodeError::Shape(why));
            assert_eq!(Gunzip::default().inflate(&bytes), error, "{bytes:?}");
        }
        assert!(Gunzip::default().inflate(&cut).is_err());
        assert!(Gunzip::default().inflate(&good[..end - 10]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_inflate_or_fail(bytes: Vec<u8>, text: Vec<u8>) {
            let mut gunzip = Gunzip::default();
            let _ = gunzip.inflate(&bytes);
            let framed = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0], &bytes[..]].concat();
            let _ = gunzip.inflate(&framed);
            prop_assert_eq!(gunzip.inflate(&gzip(&text)), Ok(&*text), "still usable");
        }
    }
}
