//! Signing: REST headers, the order link's URL and its challenge, all base64(HMAC-SHA256).
//!
//! ```text
//! REST        timestamp (ms) + METHOD + target with query + body  → KC-API-SIGN
//! passphrase  the passphrase itself                               → KC-API-PASSPHRASE, once
//! order link  key + timestamp (ms)                                → sign= in the URL, percent-encoded
//! challenge   the bytes of the venue's first message              → one bare text message
//! ```
//! The venue takes a time that is at most 5 s off, so nothing signed may lie in a queue. A signature costs only
//! the message's own blocks: the key is kept as precomputed HMAC state.
//! Source: venue page, sections 1.4 and 5, read 2026-11-20.

use crate::symbols::write_u64;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dp_venue_api::{Hash, HmacKey, RestMethod, Secrets};

/// Bytes of a signature in base64: 32 bytes in groups of three.
pub const SIGNATURE_LEN: usize = 44;
/// `KC-API-KEY-VERSION`: keys of versions 2 and 3 sign alike; a key made today is of version 3.
pub const KEY_VERSION: &str = "3";
/// Where the order link of a classic account is.
const ORDERS_PATH: &str = "/v1/private";

/// A signature as the venue wants it: base64 text in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; SIGNATURE_LEN]);

impl Signature {
    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or("")
    }
}

/// Key material, ready to sign. `Debug` shows nothing of it.
pub struct Auth {
    api_key: String,
    /// The passphrase, signed.
    passphrase: Signature,
    key: HmacKey,
}

impl core::fmt::Debug for Auth {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Auth(hidden)")
    }
}

fn signed(key: &HmacKey, parts: &[&[u8]]) -> Signature {
    let mut text = [b'='; SIGNATURE_LEN];
    // 32 bytes always make 44 characters; the error arm cannot be reached.
    let _ = STANDARD.encode_slice(key.sign(parts), &mut text);
    Signature(text)
}

/// Appends base64 for a URL: its three signs that are not letters or digits are encoded.
fn push_encoded(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '+' => out.push_str("%2B"),
            '/' => out.push_str("%2F"),
            '=' => out.push_str("%3D"),
            other => out.push(other),
        }
    }
}

impl Auth {
    /// Prepares the key. `None` without an API key: market data only.
    pub fn new(secrets: &Secrets) -> Option<Self> {
        if secrets.api_key.is_empty() {
            return None;
        }
        let key = HmacKey::new(Hash::Sha256, secrets.api_secret.as_bytes());
        Some(Self {
            api_key: secrets.api_key.clone(),
            passphrase: signed(&key, &[secrets.passphrase.as_bytes()]),
            key,
        })
    }

    /// The key's public name.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// `KC-API-PASSPHRASE`: the passphrase, signed.
    pub fn passphrase(&self) -> &str {
        self.passphrase.as_str()
    }

    /// Signs the parts as if they were one text. Cost: no allocation.
    pub fn sign(&self, parts: &[&[u8]]) -> Signature {
        signed(&self.key, parts)
    }

    /// `KC-API-SIGN` of a REST request; `ms` is `KC-API-TIMESTAMP` as written.
    pub fn sign_rest(&self, ms: &str, method: RestMethod, target: &str, body: &[u8]) -> Signature {
        self.sign(&[
            ms.as_bytes(),
            method.as_str().as_bytes(),
            target.as_bytes(),
            body,
        ])
    }

    /// What the order link's URL signs (for `spinlane venue sign`).
    pub fn orders_payload(&self, unix_ms: u64) -> String {
        format!("{}{unix_ms}", self.api_key)
    }

    /// The WebSocket target of the order link, good for 5 s from `unix_ms`.
    pub fn orders_target(&self, unix_ms: u64) -> String {
        let mut digits = [0; 20];
        let ms = write_u64(unix_ms, &mut digits);
        let sign = self.sign(&[self.api_key.as_bytes(), ms.as_bytes()]);
        let mut target = format!("{ORDERS_PATH}?apikey={}&sign=", self.api_key);
        push_encoded(sign.as_str(), &mut target);
        target.push_str("&passphrase=");
        push_encoded(self.passphrase(), &mut target);
        target.push_str("&timestamp=");
        target.push_str(ms);
        target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Auth {
        Auth::new(&Secrets {
            api_key: "5c2db93503aa674c74a31734".into(),
            api_secret: "f03a5284-5c39-4aaa-9b20-dea10bdcf8e3".into(),
            passphrase: "QWIxMjM0NTY3OCkoKiZeJSQjQA==".into(),
            ..Secrets::default()
        })
        .unwrap()
    }

    const MS: u64 = 1_547_015_186_532;

    #[test]
    fn rest_vectors_of_the_venue_page() {
        let order = br#"{"clientOid":"hbx-1","symbol":"BTC-USDT","side":"buy","type":"limit","price":"30000","size":"0.01"}"#;
        let cases: [(RestMethod, &str, &[u8], &str); 4] = [
            (
                RestMethod::Post,
                "/api/v1/deposit-addresses",
                br#"{"currency":"BTC"}"#,
                "7QP/oM0ykidMdrfNEUmng8eZjg/ZvPafjIqmxiVfYu4=",
            ),
            (
                RestMethod::Get,
                "/api/v1/hf/orders/active?symbol=BTC-USDT",
                b"",
                "YanufEw+RqWtpG4UZTpXJjtq5/JpIEm/dNnf8i8o+/4=",
            ),
            (
                RestMethod::Post,
                "/api/v1/hf/orders",
                order,
                "O2HjG3MHSoCCgVs+YiH7Ahi88oGKDQlBh2Enh3elyKc=",
            ),
            (
                RestMethod::Post,
                "/api/websocket/users/verify",
                b"",
                "t9M/cWSGTSOwZ5Z7xBDNCP6TCcDdQAfFlIDRhM94stg=",
            ),
        ];
        for (method, target, body, expected) in cases {
            let sign = sample().sign_rest(&MS.to_string(), method, target, body);
            assert_eq!(sign.as_str(), expected, "{target}");
        }
        let passphrase = "HFkKIy8cKfQF3Ognmbamq9Bd8VfYy3eUQj7uC8NvMes=";
        assert_eq!(sample().passphrase(), passphrase);
    }

    #[test]
    fn the_order_link_is_asked_for_with_its_signature_encoded() {
        let auth = sample();
        let payload = auth.orders_payload(MS);
        assert_eq!(payload, "5c2db93503aa674c74a317341547015186532");
        assert_eq!(
            auth.sign(&[payload.as_bytes()]).as_str(),
            "1aZxqbZDJcyu0GNFGzhNE76P9+SsBgDEW2rhk1IPi1A="
        );
        assert_eq!(
            auth.orders_target(MS),
            concat!(
                "/v1/private?apikey=5c2db93503aa674c74a31734",
                "&sign=1aZxqbZDJcyu0GNFGzhNE76P9%2BSsBgDEW2rhk1IPi1A%3D",
                "&passphrase=HFkKIy8cKfQF3Ognmbamq9Bd8VfYy3eUQj7uC8NvMes%3D",
                "&timestamp=1547015186532"
            )
        );
    }

    #[test]
    fn challenges_are_signed_to_the_byte() {
        for (challenge, expected) in [
            (
                r#"{"sessionId":"3f1a","data":"welcome","timestamp":1547015186532}"#,
                "Y4ck92NsIzbDA8oxLarjmPxfGczWa7NlX9+1fcTr9NA=",
            ),
            (
                r#"{"sessionId":"92f2aec4-d87e-47cc-917d-4e7c93911bdc", "timestamp": 1742175983882}"#,
                "pN/HilIFHFaNc5pYnEBEYeFBGa0FJfZRGERJzdImUoU=",
            ),
        ] {
            assert_eq!(sample().sign(&[challenge.as_bytes()]).as_str(), expected);
        }
    }

    #[test]
    fn debug_hides_the_key_and_no_key_is_none() {
        assert_eq!(format!("{:?}", sample()), "Auth(hidden)");
        assert!(Auth::new(&Secrets::default()).is_none());
    }
}
