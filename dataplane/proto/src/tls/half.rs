//! One direction of TLS 1.3 record protection: a key, an IV, a sequence number.
//!
//! ```text
//!   header (5)                          body
//!   ┌────┬───────┬────────┐ ┌─────────────────┬──────┬─────────┬──────────┐
//!   │ 23 │ 03 03 │ length │ │ content         │ kind │ 00 … 00 │ tag (16) │
//!   └────┴───────┴────────┘ └─────────────────┴──────┴─────────┴──────────┘
//!     additional data          encrypted in place                 checked before anything is told
//! ```
//!
//! Not here: AES, GHASH, ChaCha or Poly1305 of ours; `ring` does all of it and checks the tag in
//! constant time. What a record means is in `records`.
//!
//! The header authenticates as it came, so a changed version byte is refused like any other.

use ring::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use rustls::ConnectionTrafficSecrets;
use zeroize::Zeroize;

/// Bytes before a record's body.
pub(super) const HEADER: usize = 5;
/// Content of one record at most, RFC 8446 5.1.
pub(super) const CONTENT_MAX: usize = 1 << 14;
/// Body of one record at most, RFC 8446 5.2.
pub(super) const BODY_MAX: usize = CONTENT_MAX + 256;
/// What sealing adds to a record's content: header, kind, tag.
pub(super) const OVERHEAD: usize = HEADER + 1 + TAG;
const TAG: usize = 16;
const NONCE: usize = 12;

/// Record kinds, RFC 8446 5.1.
pub(super) mod kind {
    pub const ALERT: u8 = 21;
    pub const HANDSHAKE: u8 = 22;
    pub const APPLICATION_DATA: u8 = 23;
}

/// Why a record cannot be opened or sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The tag is wrong: changed on its way, or sealed with other keys.
    Tag,
    /// More content than a record may have.
    Long,
    /// Nothing but padding: no kind.
    Blank,
    /// The sequence number would wrap.
    Exhausted,
}

/// Keys of one direction. Neither `Clone` nor `Debug`: it is a secret.
pub(super) struct Half {
    key: LessSafeKey,
    iv: [u8; NONCE],
    /// Number of the next record.
    seq: u64,
}

impl Half {
    /// The half that goes on at record `seq`. `None`: a cipher that TLS 1.3 does not have here.
    pub fn new(seq: u64, secrets: &ConnectionTrafficSecrets) -> Option<Self> {
        let (algorithm, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return None,
        };
        Self::from_parts(algorithm, key.as_ref(), iv.as_ref().try_into().ok()?, seq)
    }

    pub fn from_parts(
        algorithm: &'static Algorithm,
        key: &[u8],
        iv: [u8; NONCE],
        seq: u64,
    ) -> Option<Self> {
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
        Some(Self { key, iv, seq })
    }

    /// Records this key has seen.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Opens a whole record in place. Returns its kind and the length of its content, which begins
    /// after the header. On an error the record's bytes are of no use.
    pub fn open(&mut self, record: &mut [u8]) -> Result<(u8, usize), Broken> {
        let after = self.seq.checked_add(1).ok_or(Broken::Exhausted)?;
        let nonce = self.nonce();
        let (header, body) = record
            .split_first_chunk_mut::<HEADER>()
            .ok_or(Broken::Tag)?;
        let inner = self
            .key
            .open_in_place(nonce, Aad::from(*header), body)
            .map_err(|_| Broken::Tag)?;
        self.seq = after;
        if inner.len() > CONTENT_MAX + 1 {
            return Err(Broken::Long);
        }
        // The last byte that is not zero is the kind; zeros after it are padding.
        let len = inner
            .iter()
            .rposition(|&byte| byte != 0)
            .ok_or(Broken::Blank)?;
        let kind = inner.get(len).copied().ok_or(Broken::Blank)?;
        Ok((kind, len))
    }

    /// Appends `content` as one record. On an error `out` is as before.
    pub fn seal(&mut self, kind: u8, content: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        if content.len() > CONTENT_MAX {
            return Err(Broken::Long);
        }
        self.seal_parts([content, &[kind]], out)
    }

    /// Encrypts what is in `parts` as it is, one behind the other.
    fn seal_parts(&mut self, parts: [&[u8]; 2], out: &mut Vec<u8>) -> Result<(), Broken> {
        let after = self.seq.checked_add(1).ok_or(Broken::Exhausted)?;
        let len = parts.iter().map(|part| part.len()).sum::<usize>() + TAG;
        let [high, low] = u16::try_from(len).map_err(|_| Broken::Long)?.to_be_bytes();
        let header = [kind::APPLICATION_DATA, 3, 3, high, low];
        let start = out.len();
        out.reserve(HEADER + len);
        out.extend_from_slice(&header);
        for part in parts {
            out.extend_from_slice(part);
        }
        let inner = out.get_mut(start + HEADER..).unwrap_or(&mut []);
        let sealed = self
            .key
            .seal_in_place_separate_tag(self.nonce(), Aad::from(header), inner);
        let Ok(tag) = sealed else {
            out.truncate(start);
            return Err(Broken::Exhausted);
        };
        out.extend_from_slice(tag.as_ref());
        self.seq = after;
        Ok(())
    }

    /// For a peer that pads, or breaks rules.
    #[cfg(test)]
    pub fn seal_inner(&mut self, inner: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        self.seal_parts([inner, &[]], out)
    }

    #[cfg(test)]
    pub const fn set_seq(&mut self, seq: u64) {
        self.seq = seq;
    }

    /// ring does not wipe its keys, so another key is put in this one's place. Copies the compiler
    /// made when the key was moved are out of reach.
    fn wipe(&mut self) {
        let algorithm = self.key.algorithm();
        if let Some(blank) = [0; 32].get(..algorithm.key_len())
            && let Ok(key) = UnboundKey::new(algorithm, blank)
        {
            self.key = LessSafeKey::new(key);
        }
        // Not to be optimised away as a write nobody reads.
        core::hint::black_box(&self.key);
        self.iv.zeroize();
    }

    /// IV xor sequence number, RFC 8446 5.3.
    fn nonce(&self) -> Nonce {
        let mut nonce = self.iv;
        let seq = self.seq.to_be_bytes();
        for (byte, seq) in nonce.iter_mut().rev().zip(seq.iter().rev()) {
            *byte ^= seq;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.wipe();
    }
}

#[cfg(test)]
mod tests;
