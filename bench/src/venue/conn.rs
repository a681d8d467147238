//! One connection of the bench venue: TLS (or none), then HTTP or WebSocket. Bytes in, bytes out, no socket.
//!
//! ```text
//!   cipher ─▶ on_bytes ─▶ plain ─▶ next_request   (a head, before an upgrade)
//!                               └▶ next_frame     (an unmasked text, after it)
//!   say(text), say_http(text) ─▶ seal ─▶ out
//! ```
//! It speaks to our own clients only and to well-behaved peers: a frame it does not expect is passed over.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::{ServerConfig, ServerConnection};
use std::io::{Read as _, Write as _};
use std::sync::Arc;

/// What RFC 6455, section 1.3, appends to the key.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a connection is for, told by what it asks for first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Requests and answers.
    Rest,
    /// Market data.
    Feed,
    /// Orders and what becomes of them.
    Orders,
}

/// One connection.
pub struct Conn {
    tls: Option<Box<ServerConnection>>,
    /// Decrypted and not looked at yet, from `read` on.
    plain: Vec<u8>,
    read: usize,
    /// Said and not sealed yet.
    said: Vec<u8>,
    /// For the socket.
    pub out: Vec<u8>,
    /// Known once it has asked for something.
    pub role: Option<Role>,
    is_upgraded: bool,
}

impl Conn {
    /// A connection; without a configuration it is plain text.
    pub fn new(config: Option<&Arc<ServerConfig>>) -> anyhow::Result<Self> {
        let tls = config.map(|config| ServerConnection::new(Arc::clone(config)));
        Ok(Self {
            tls: tls.transpose()?.map(Box::new),
            plain: Vec::with_capacity(64 << 10),
            read: 0,
            said: Vec::with_capacity(16 << 10),
            out: Vec::with_capacity(64 << 10),
            role: None,
            is_upgraded: false,
        })
    }

    /// Takes bytes of the socket. Handshake answers stand in `out` afterwards. Errors: not TLS.
    pub fn on_bytes(&mut self, mut bytes: &[u8]) -> anyhow::Result<()> {
        if self.read > 64 << 10 {
            self.plain.drain(..self.read);
            self.read = 0;
        }
        let Some(tls) = &mut self.tls else {
            self.plain.extend_from_slice(bytes);
            return Ok(());
        };
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes)?;
            let state = tls.process_new_packets().context("the client's TLS")?;
            let (start, count) = (self.plain.len(), state.plaintext_bytes_to_read());
            self.plain.resize(start + count, 0);
            tls.reader().read_exact(&mut self.plain[start..])?;
        }
        while tls.wants_write() {
            tls.write_tls(&mut self.out)?;
        }
        Ok(())
    }

    /// The target of the next whole request. An upgrade is accepted on the way.
    pub fn next_request(&mut self) -> anyhow::Result<Option<String>> {
        let waiting = &self.plain[self.read..];
        if self.is_upgraded {
            return Ok(None);
        }
        let Some(end) = waiting.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = String::from_utf8_lossy(&waiting[..end]).into_owned();
        self.consume(end + 4);
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let field = |name: &str| {
            head.lines().find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        if let Some(key) = field("sec-websocket-key") {
            self.role = Some(if target.starts_with("/stream") {
                Role::Feed
            } else {
                Role::Orders
            });
            let text = format!("{key}{GUID}");
            let sha1 = &ring::digest::SHA1_FOR_LEGACY_USE_ONLY;
            let accept = STANDARD.encode(ring::digest::digest(sha1, text.as_bytes()));
            self.said.extend_from_slice(
                format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: {accept}\r\n\r\n"
                )
                .as_bytes(),
            );
            self.seal()?;
            self.is_upgraded = true;
            return Ok(None);
        }
        self.role = Some(Role::Rest);
        Ok(Some(target))
    }

    /// The next whole text frame, unmasked in place.
    pub fn next_frame(&mut self) -> Option<&str> {
        if !self.is_upgraded {
            return None;
        }
        loop {
            let (at, mask_at, len) = self.frame_head()?;
            let end = mask_at + 4 + len;
            let frame = self.plain.get_mut(at..end)?;
            let is_text = frame[0] & 0x0f == 1;
            let (head, payload) = frame.split_at_mut(mask_at + 4 - at);
            let mask: [u8; 4] = head.last_chunk().copied()?;
            for (at, byte) in payload.iter_mut().enumerate() {
                *byte ^= mask[at % 4];
            }
            self.read = end;
            if is_text {
                return core::str::from_utf8(&self.plain[mask_at + 4..end]).ok();
            }
        }
    }

    /// (start, place of the mask, length of the payload) of the frame that begins at `read`.
    fn frame_head(&mut self) -> Option<(usize, usize, usize)> {
        if self.read == self.plain.len() {
            self.plain.clear();
            self.read = 0;
        }
        let at = self.read;
        let short = usize::from(*self.plain.get(at + 1)? & 0x7f);
        Some(match short {
            126 => {
                let len = [*self.plain.get(at + 2)?, *self.plain.get(at + 3)?];
                (at, at + 4, usize::from(u16::from_be_bytes(len)))
            }
            len => (at, at + 2, len),
        })
    }

    /// Adds a text frame to what the next record holds.
    pub fn say(&mut self, text: &str) {
        self.said.push(0x81);
        match text.len() {
            len @ 0..=125 => self.said.push(len as u8),
            len => {
                self.said.push(126);
                self.said.extend((len as u16).to_be_bytes());
            }
        }
        self.said.extend_from_slice(text.as_bytes());
    }

    /// A frame that is framed already.
    pub const fn said(&mut self) -> &mut Vec<u8> {
        &mut self.said
    }

    /// An answer to a request.
    pub fn say_http(&mut self, body: &str) {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        self.said.extend_from_slice(head.as_bytes());
        self.said.extend_from_slice(body.as_bytes());
    }

    /// Everything said becomes records in `out`.
    pub fn seal(&mut self) -> anyhow::Result<()> {
        if let Some(tls) = &mut self.tls {
            // A record's worth at a time: rustls holds no more than a few unsent.
            for piece in self.said.chunks(16 << 10) {
                tls.writer().write_all(piece)?;
                while tls.wants_write() {
                    tls.write_tls(&mut self.out)?;
                }
            }
        } else {
            self.out.extend_from_slice(&self.said);
        }
        self.said.clear();
        Ok(())
    }

    /// Whether WebSocket frames may be said.
    pub const fn is_upgraded(&self) -> bool {
        self.is_upgraded
    }

    fn consume(&mut self, count: usize) {
        self.read += count;
        if self.read == self.plain.len() {
            self.plain.clear();
            self.read = 0;
        }
    }
}
