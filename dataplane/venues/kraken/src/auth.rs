//! Signing of REST requests: base64(HMAC-SHA512(secret, path + SHA256(nonce + body))), and the nonce.
//!
//! ```text
//! POST /0/private/<Name>     API-Key, API-Sign     body nonce=N&...
//! ```
//! Nothing else is signed: the WebSocket takes a token that `GetWebSocketsToken` gives, one for each connection.
//! The venue wants every nonce of a key above the last it saw. Ours is the time in microseconds times eight plus
//! the node's slot: it always rises, and two nodes that share a key never make the same one. They may still
//! overtake each other on their way, so the key needs a nonce window (README, "Keys").
//! Source: venue page, section 5, read 2026-11-20.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dp_types::UnixNanos;
use dp_venue_api::{Hash, HmacKey, Secrets};
use ring::digest;

/// Bytes of a signature in base64: 64 bytes in groups of three.
pub const SIGNATURE_LEN: usize = 88;

/// Key material, ready to sign. `Debug` shows nothing of it.
pub struct Auth {
    api_key: String,
    key: HmacKey,
}

impl core::fmt::Debug for Auth {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Auth(hidden)")
    }
}

/// A signature as the venue wants it: base64 text in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; SIGNATURE_LEN]);

impl Signature {
    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl Auth {
    /// Prepares the key. `None` without an API key: market data only. A secret that is no base64 signs
    /// nothing right, and the venue refuses it.
    pub fn new(secrets: &Secrets) -> Option<Self> {
        if secrets.api_key.is_empty() {
            return None;
        }
        let key = HmacKey::of_base64(Hash::Sha512, &secrets.api_secret);
        Some(Self {
            api_key: secrets.api_key.clone(),
            key: key.unwrap_or_else(|| HmacKey::new(Hash::Sha512, b"")),
        })
    }

    /// The key's public name.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// `API-Sign` of a request: its path, its nonce, and the body exactly as sent, which holds the nonce too.
    pub fn sign(&self, path: &str, nonce: &str, body: &str) -> Signature {
        self.sign_hashed(path, [nonce, body])
    }

    /// Password of a FIX logon: of its head ([`crate::fix::logon_head`]) and its nonce.
    pub fn sign_logon(&self, head: &str, nonce: &str) -> Signature {
        self.sign_hashed("", [head, nonce])
    }

    /// Signs `start` and a hash of the two others.
    fn sign_hashed(&self, start: &str, [one, other]: [&str; 2]) -> Signature {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(one.as_bytes());
        hash.update(other.as_bytes());
        let hash = hash.finish();
        let mut text = [b'='; SIGNATURE_LEN];
        // 64 bytes always make 88 characters; the error arm cannot be reached.
        let signed = self.key.sign(&[start.as_bytes(), hash.as_ref()]);
        let _ = STANDARD.encode_slice(signed, &mut text);
        Signature(text)
    }
}

/// Slots of nodes: a nonce modulo this is the node's.
const SLOTS: u64 = 8;

/// Where nonces come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce {
    slot: u64,
    last: u64,
}

impl Nonce {
    /// The nonces of a node in this slot, 0 to 7.
    pub const fn new(slot: u8) -> Self {
        Self {
            slot: slot as u64 % SLOTS,
            last: 0,
        }
    }

    /// The next one: of this moment, or the one after the last if the clock stands or went back.
    pub fn next(&mut self, now: UnixNanos) -> u64 {
        let of_clock = (now.0 / 1_000)
            .saturating_mul(SLOTS)
            .saturating_add(self.slot);
        self.last = of_clock.max(self.last.saturating_add(SLOTS));
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &str =
        "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==";

    fn auth(secret: &str) -> Auth {
        Auth::new(&Secrets {
            api_key: "key".into(),
            api_secret: secret.into(),
            ..Secrets::default()
        })
        .unwrap()
    }

    #[test]
    fn vectors_of_the_venue_page() {
        for (path, body, want) in [
            (
                "/0/private/AddOrder",
                "nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25",
                "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ==",
            ),
            (
                "/0/private/GetWebSocketsToken",
                "nonce=1616492376594",
                "+mRDmY9Ks0Moc1zjv/BjfvYa98buO0x1yHChZR5onlfAzAUbfIYlLggUZzdQ0RsmXm4Sh+Q8iAIZdo2wSeHeiA==",
            ),
            (
                "/0/private/AddOrder",
                r#"{"nonce":"1616492376594","ordertype":"limit","pair":"XBTUSD","price":"37500","type":"buy","volume":"1.25"}"#,
                "r/o+GpKxXjV/mls/r5CKLu5R+yzK5psqvQ4hXxMX1nzdxTBhV+ui82QGgPZMMitpFwCOAdPEZMmXgZxD2chJEg==",
            ),
        ] {
            let sign = auth(SECRET).sign(path, "1616492376594", body);
            assert_eq!(sign.as_str(), want, "{path}");
        }
    }

    /// Every Kraken known answer of the shared file.
    #[test]
    fn every_shared_vector() {
        let Some(dir) = tests_venues::captures::dir("kraken") else {
            return;
        };
        let path = dir.with_file_name("auth-vectors.json");
        let file: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut count = 0;
        for vector in file["vectors"].as_array().unwrap() {
            if vector["venue"] != "kraken" {
                continue;
            }
            let payload = |key: &str| vector["signed_payload"][key].as_str().unwrap();
            let sign = auth(vector["secret"].as_str().unwrap()).sign(
                payload("path"),
                payload("nonce"),
                payload("postdata"),
            );
            assert_eq!(sign.as_str(), vector["signature"], "{}", vector["case"]);
            count += 1;
        }
        assert_eq!(count, 8);
    }

    #[test]
    fn a_bad_secret_signs_something_and_nothing_is_shown() {
        let auth = auth("not base64!");
        assert_eq!(auth.sign("/", "1", "nonce=1").as_str().len(), SIGNATURE_LEN);
        assert_eq!(format!("{auth:?}"), "Auth(hidden)");
        assert!(Auth::new(&Secrets::default()).is_none());
    }

    proptest! {
        /// Whatever the clock does, nonces rise, and those of two slots differ.
        #[test]
        fn nonces_rise_and_never_collide(
            times in proptest::collection::vec(0u64..4_000_000_000_000_000_000, 1..100), one in 0u8..8, other in 0u8..8
        ) {
            let (mut a, mut b) = (Nonce::new(one), Nonce::new(other));
            let mut seen = std::collections::BTreeSet::new();
            let mut last = 0;
            for at in times {
                let made = a.next(UnixNanos(at));
                prop_assert!(made > last && i64::try_from(made).is_ok());
                last = made;
                seen.insert(made);
                prop_assert_eq!(seen.contains(&b.next(UnixNanos(at))), one == other);
            }
        }
    }
}
