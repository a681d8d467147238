//! A secret text.

use crate::locked::Locked;
use crate::page::SecretError;
use core::fmt;
use core::ops::Deref;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::sync::Arc;
use zeroize::Zeroize;

/// Longest text: a PEM of an RSA key fits.
const LEN_MAX: usize = 4096 - size_of::<usize>();

/// Bytes of the text, and how many there are.
struct Bytes {
    len: usize,
    bytes: [u8; LEN_MAX],
}

/// A text in locked memory: a secret, a passphrase, a PEM. Cloning shares it; it is wiped with the last clone. An
/// empty one takes no memory.
#[derive(Clone, Default)]
pub struct Secret(Option<Arc<Locked<Bytes>>>);

/// Why a text is no secret we can keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// No memory.
    #[error(transparent)]
    Memory(#[from] SecretError),
    /// Over the longest.
    #[error("a secret of {0} bytes: the longest is {LEN_MAX}")]
    TooLong(usize),
}

impl Secret {
    /// Copies a text there. The caller's copy is the caller's. Errors: [`TextError`].
    pub fn new(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        // Straight there: no copy of it is made on the way.
        let mut locked = Locked::new(Bytes {
            len: text.len(),
            bytes: [0; LEN_MAX],
        })?;
        let room = locked.get_mut().bytes.get_mut(..text.len());
        room.ok_or(TextError::TooLong(text.len()))?
            .copy_from_slice(text.as_bytes());
        Ok(Self(Some(Arc::new(locked))))
    }
}

impl Deref for Secret {
    type Target = str;

    fn deref(&self) -> &str {
        let Some(all) = &self.0 else { return "" };
        let bytes = all.bytes.get(..all.len).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// For literals and tests: where no memory can be locked, or the text is too long, the process ends.
impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text).unwrap_or_else(|_| {
            std::alloc::handle_alloc_error(core::alloc::Layout::new::<Bytes>());
        })
    }
}

/// Wipes the text it is made from; else as from a `&str`.
impl From<String> for Secret {
    fn from(mut text: String) -> Self {
        let secret = Self::from(text.as_str());
        text.zeroize();
        secret
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
                Secret::new(text).map_err(E::custom)
            }
            fn visit_string<E: Error>(self, mut text: String) -> Result<Secret, E> {
                let secret = self.visit_str(&text);
                text.zeroize();
                secret
            }
        }
        from.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_and_does_not_print() {
        let secret = Secret::from("s3cret");
        assert_eq!((&*secret, &*secret.clone()), ("s3cret", "s3cret"));
        assert_eq!(format!("{secret:?}"), "Secret(hidden)");
        assert_eq!(&*Secret::default(), "");
    }

    #[test]
    fn the_longest_and_one_more() {
        let text = "x".repeat(LEN_MAX);
        assert_eq!(Secret::new(&text).unwrap().len(), LEN_MAX);
        let error = Secret::new(&format!("{text}x")).unwrap_err();
        assert_eq!(error, TextError::TooLong(LEN_MAX + 1));
    }
}
