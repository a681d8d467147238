//! RFC 6455 frames: header to bytes and back, and the mask. No connection state.
//!
//! ```text
//!   byte 0          byte 1         then
//!  ┌─┬───┬──────┐  ┌─┬─────────┐  ┌─────────────────┬──────────────┬─────────┐
//!  │F│RSV│opcode│  │M│  len 7  │  │ 126: u16 length │ M: 4-byte key│ payload │
//!  └─┴───┴──────┘  └─┴─────────┘  │ 127: u64 length │              │         │
//!                                 └─────────────────┴──────────────┴─────────┘
//! ```
//!
//! Rules of the protocol that one frame alone can break are checked here; rules over several frames
//! (fragmentation, who masks, UTF-8) belong to the state machine in `dp-proto`.

/// Longest header: 2 bytes, 8 of length, 4 of key.
pub const HEADER_MAX: usize = 14;
/// Longest payload of a control frame.
pub const CONTROL_MAX: usize = 125;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message begun before.
    Continuation = 0,
    /// UTF-8 text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// Closing handshake.
    Close = 8,
    /// Asks for a pong.
    Ping = 9,
    /// Answers a ping, or stands alone.
    Pong = 10,
}

impl Opcode {
    const fn parse(nibble: u8) -> Option<Self> {
        match nibble {
            0 => Some(Self::Continuation),
            1 => Some(Self::Text),
            2 => Some(Self::Binary),
            8 => Some(Self::Close),
            9 => Some(Self::Ping),
            10 => Some(Self::Pong),
            _ => None,
        }
    }

    /// Close, ping or pong: short, never fragmented, allowed between fragments.
    pub const fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Last fragment of its message.
    pub fin: bool,
    /// Kind.
    pub opcode: Opcode,
    /// Masking key; a client must send one, a server must not.
    pub mask: Option<[u8; 4]>,
    /// Payload length in bytes.
    pub len: u64,
    /// Length of the header itself in bytes.
    pub header_len: usize,
}

/// Why a header is not RFC 6455. All are protocol errors (close code 1002).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WsError {
    /// A reserved bit is set and no extension was agreed.
    #[error("WebSocket frame has a reserved bit set")]
    ReservedBits,
    /// An opcode the protocol does not define.
    #[error("WebSocket opcode {0} is not defined")]
    Opcode(u8),
    /// A control frame without `fin`.
    #[error("WebSocket control frame is fragmented")]
    ControlFragmented,
    /// A control frame of more than [`CONTROL_MAX`] bytes.
    #[error("WebSocket control frame is longer than {CONTROL_MAX} bytes")]
    ControlTooLong,
    /// A length not written in the fewest bytes, or with the top bit set.
    #[error("WebSocket length is not in its shortest form")]
    Length,
}

/// Reads the header at the front of `bytes`; `None` = more bytes are needed.
///
/// Cost: a few nanoseconds. Errors: [`WsError`], told as soon as the first two bytes show it.
/// Source: RFC 6455, 5.2.
pub fn parse_header(bytes: &[u8]) -> Result<Option<Header>, WsError> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    if first & 0x70 != 0 {
        return Err(WsError::ReservedBits);
    }
    let opcode = Opcode::parse(first & 0x0f).ok_or(WsError::Opcode(first & 0x0f))?;
    let fin = first & 0x80 != 0;
    let short = second & 0x7f;
    if opcode.is_control() && !fin {
        return Err(WsError::ControlFragmented);
    }
    if opcode.is_control() && usize::from(short) > CONTROL_MAX {
        return Err(WsError::ControlTooLong);
    }
    let (len, rest) = match short {
        126 => match rest.split_first_chunk::<2>() {
            Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk::<8>() {
            Some((len, rest)) => (u64::from_be_bytes(*len), rest),
            None => return Ok(None),
        },
        _ => (u64::from(short), rest),
    };
    let is_shortest = match short {
        126 => len > 125,
        127 => len > u64::from(u16::MAX) && len >> 63 == 0,
        _ => true,
    };
    if !is_shortest {
        return Err(WsError::Length);
    }
    let (mask, rest) = if second & 0x80 == 0 {
        (None, rest)
    } else {
        match rest.split_first_chunk::<4>() {
            Some((key, rest)) => (Some(*key), rest),
            None => return Ok(None),
        }
    };
    Ok(Some(Header {
        fin,
        opcode,
        mask,
        len,
        header_len: bytes.len() - rest.len(),
    }))
}

/// Appends a frame's header to `out`. `header_len` is not read. Allocates only when `out` is full.
pub fn write_header(header: &Header, out: &mut Vec<u8>) {
    let mask_bit = if header.mask.is_some() { 0x80 } else { 0 };
    out.push((u8::from(header.fin) << 7) | header.opcode as u8);
    if header.len < 126 {
        out.push(mask_bit | header.len as u8);
    } else if let Ok(len) = u16::try_from(header.len) {
        out.push(mask_bit | 0x7e);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(mask_bit | 0x7f);
        out.extend_from_slice(&header.len.to_be_bytes());
    }
    if let Some(key) = header.mask {
        out.extend_from_slice(&key);
    }
}

/// Appends one whole masked client frame to `out`.
///
/// Cost: one copy, one pass of XOR; allocates only when `out` is full.
pub fn write_frame(opcode: Opcode, key: [u8; 4], payload: &[u8], out: &mut Vec<u8>) {
    let header = Header {
        fin: true,
        opcode,
        mask: Some(key),
        len: payload.len() as u64,
        header_len: 0,
    };
    write_header(&header, out);
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(out.get_mut(start..).unwrap_or(&mut []), key, 0);
}

/// XORs `data` with the repeated key, in place; its own inverse. `offset` is the place of `data` in
/// its payload, so that a payload may come in parts.
///
/// Cost: eight bytes a step.
pub fn apply_mask(data: &mut [u8], key: [u8; 4], offset: usize) {
    let mut turned = key;
    turned.rotate_left(offset % 4);
    let [a, b, c, d] = turned;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = data.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(turned.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(bytes: &[u8]) -> Header {
        parse_header(bytes).unwrap().unwrap()
    }

    /// The examples of RFC 6455, 5.7.
    #[test]
    fn examples_of_the_rfc() {
        let hello = parsed(b"\x81\x05Hello");
        assert_eq!(
            (hello.fin, hello.opcode, hello.len),
            (true, Opcode::Text, 5)
        );
        assert_eq!((hello.mask, hello.header_len), (None, 2));

        let mut frame = Vec::new();
        write_frame(Opcode::Text, [0x37, 0xfa, 0x21, 0x3d], b"Hello", &mut frame);
        assert_eq!(frame, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");

        let (first, last) = (parsed(b"\x01\x03Hel"), parsed(b"\x80\x02lo"));
        assert!(!first.fin && first.opcode == Opcode::Text);
        assert!(last.fin && last.opcode == Opcode::Continuation);

        assert_eq!(parsed(b"\x89\x05Hello").opcode, Opcode::Ping);
        assert_eq!(parsed(b"\x82\x7e\x01\x00").len, 256);
        assert_eq!(parsed(b"\x82\x7f\0\0\0\0\0\x01\0\0").len, 65_536);
    }

    #[test]
    fn malformed_headers_are_named() {
        let cases: [(&[u8], WsError); 8] = [
            (b"\xc1\x00", WsError::ReservedBits),
            (b"\x91\x00", WsError::ReservedBits),
            (b"\x83\x00", WsError::Opcode(3)),
            (b"\x8b\x00", WsError::Opcode(11)),
            (b"\x09\x00", WsError::ControlFragmented),
            (b"\x89\x7e", WsError::ControlTooLong),
            (b"\x82\x7e\x00\x7d", WsError::Length),
            (b"\x82\x7f\x80\0\0\0\0\0\0\0", WsError::Length),
        ];
        for (bytes, error) in cases {
            assert_eq!(parse_header(bytes), Err(error), "{bytes:x?}");
        }
    }

    fn opcodes() -> impl Strategy<Value = Opcode> {
        prop::sample::select(vec![Opcode::Continuation, Opcode::Text, Opcode::Binary])
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail_without_panic(bytes: Vec<u8>) {
            if let Ok(Some(header)) = parse_header(&bytes) {
                prop_assert!(header.header_len <= bytes.len());
                prop_assert!(header.header_len <= HEADER_MAX);
            }
        }

        #[test]
        fn a_written_header_parses_back_and_every_prefix_needs_more(
            fin: bool, opcode in opcodes(), mask: Option<[u8; 4]>, bits in 0u32..63, low: u64,
        ) {
            let len = low & ((1u64 << bits) - 1);
            let mut bytes = Vec::new();
            write_header(&Header { fin, opcode, mask, len, header_len: 0 }, &mut bytes);
            let header_len = bytes.len();
            let expected = Header { fin, opcode, mask, len, header_len };
            prop_assert_eq!(parse_header(&bytes), Ok(Some(expected)));
            for end in 0..bytes.len() {
                prop_assert_eq!(parse_header(&bytes[..end]), Ok(None));
            }
        }

        #[test]
        fn masking_by_words_equals_masking_by_bytes(
            data: Vec<u8>, key: [u8; 4], offset in 0usize..9,
        ) {
            let mut fast = data.clone();
            apply_mask(&mut fast, key, offset);
            let slow: Vec<u8> = data
                .iter()
                .enumerate()
                .map(|(at, byte)| byte ^ key[(at + offset) % 4])
                .collect();
            prop_assert_eq!(fast, slow);
        }
    }
}
