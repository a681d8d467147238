//! Signing: REST headers and the WebSocket login, both hex(HMAC-SHA256).
//!
//! ```text
//! REST    timestamp (ms) + key + receive window (ms) + (query | body)   → X-BAPI-SIGN
//! login   "GET/realtime" + expiry (ms)                                  → args[2]
//! ```
//! Orders go over the logged-in link and carry no signature. The key is kept as `ring`'s precomputed HMAC state, so
//! a signature costs only the message's own blocks. A login lasts as long as its link. RSA keys are not done here.
//! Source: venue page, section 5, read 2026-11-20.

use crate::symbols::write_u64;
use dp_venue_api::{Hash, HmacKey, Secrets};
use dp_wire::buf::{Buf, Overflow};
use dp_wire::json::write::string;

/// Bytes of a signature in hexadecimal.
pub const SIGNATURE_LEN: usize = 64;
/// Longest login message: the key is some 18 to 36 characters.
pub const LOGIN_MAX: usize = 512;
/// How far ahead of our clock a login says it lapses, milliseconds: it must lie in the venue's future.
pub const LOGIN_LIFE_MS: u64 = 10_000;
/// For how long the venue takes a REST request after its timestamp, milliseconds: its own default. A clock more
/// than 1 s ahead of the venue's is refused whatever the window.
pub const RECV_WINDOW_MS: u64 = 5_000;
/// What the login signs before its expiry.
const LOGIN_PATH: &str = "GET/realtime";

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

/// A signature as the venue wants it: lower-case hexadecimal in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; SIGNATURE_LEN]);

impl Signature {
    fn of(bytes: &[u8]) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digit = |value: u8| HEX.get(usize::from(value)).copied().unwrap_or(b'0');
        let mut text = [b'0'; SIGNATURE_LEN];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl Auth {
    /// Prepares the key. `None` without an API key: market data only.
    pub fn new(secrets: &Secrets) -> Option<Self> {
        if secrets.api_key.is_empty() {
            return None;
        }
        Some(Self {
            api_key: secrets.api_key.clone(),
            key: HmacKey::new(Hash::Sha256, secrets.api_secret.as_bytes()),
        })
    }

    /// The key's public name.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Signs the parts as if they were one text. Cost: no allocation.
    pub fn sign(&self, parts: &[&[u8]]) -> Signature {
        Signature::of(self.key.sign(parts).as_ref())
    }

    /// `X-BAPI-SIGN` of a REST request; `content` is the query without `?`, or the body.
    pub fn sign_rest(&self, time_ms: &str, window_ms: &str, content: &str) -> Signature {
        self.sign(&[
            time_ms.as_bytes(),
            self.api_key.as_bytes(),
            window_ms.as_bytes(),
            content.as_bytes(),
        ])
    }

    /// The signature of a login that lapses at `expires` (Unix milliseconds, in digits).
    pub fn sign_login(&self, expires: &str) -> Signature {
        self.sign(&[LOGIN_PATH.as_bytes(), expires.as_bytes()])
    }

    /// The login message of private and trade link, lapsing at `expires_ms`.
    ///
    /// Errors: [`Overflow`] when the key is longer than the message may be.
    pub fn write_login(&self, expires_ms: u64, out: &mut Buf<LOGIN_MAX>) -> Result<(), Overflow> {
        let mut digits = [0; 20];
        let expires = write_u64(expires_ms, &mut digits);
        out.clear();
        out.push_str(r#"{"op":"auth","args":["#);
        string(out, &self.api_key);
        out.push(b',');
        out.push_str(expires);
        out.push(b',');
        string(out, self.sign_login(expires).as_str());
        out.push_str("]}");
        out.finish().map(|_| ())
    }

    /// The text a login lapsing at `expires` signs (for `spinlane venue sign`).
    pub fn login_payload(expires: &str) -> String {
        format!("{LOGIN_PATH}{expires}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(key: &str, secret: &str) -> Auth {
        Auth::new(&Secrets {
            api_key: key.into(),
            api_secret: secret.into(),
            ..Secrets::default()
        })
        .unwrap()
    }

    #[test]
    fn vectors_of_the_venue_page() {
        let auth = auth("test_api_key", "test_secret");
        for (content, expected) in [
            (
                "category=linear&symbol=BTCUSDT",
                "fd4f31228a46109dc6673062328693696df9a96c7ff04e6491a45e7f63a0fdd7",
            ),
            (
                r#"{"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "test-order-1"}"#,
                "2df4a0603d69c08d5dea29ba85b46eb7db64ce9e9ebd34a7802a3d69700cb2a1",
            ),
        ] {
            let sign = auth.sign_rest("1700000000000", "5000", content);
            assert_eq!(sign.as_str(), expected, "{content}");
        }
        let mut out = Buf::new();
        auth.write_login(1_700_000_000_000, &mut out).unwrap();
        assert_eq!(
            core::str::from_utf8(out.as_bytes()).unwrap(),
            concat!(
                r#"{"op":"auth","args":["test_api_key",1700000000000,"#,
                r#""bacffe7500499eb829bb58c45d36d1b3e5ac67c14eaeba91df5e99ccee013925"]}"#
            )
        );
    }

    #[test]
    fn a_key_that_is_too_long_is_told_and_none_is_shown() {
        let long = auth(&"k".repeat(LOGIN_MAX), "s");
        assert_eq!(long.write_login(1, &mut Buf::new()), Err(Overflow));
        assert_eq!(format!("{long:?}"), "Auth(hidden)");
        assert!(Auth::new(&Secrets::default()).is_none());
    }

    /// Every Bybit known answer of the shared file, REST and login.
    #[test]
    fn every_shared_vector() {
        let Some(path) = tests_venues::captures::dir("bybit") else {
            return;
        };
        let path = path.with_file_name("auth-vectors.json");
        let file: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut count = 0;
        for vector in file["vectors"].as_array().unwrap() {
            if vector["venue"] != "bybit" {
                continue;
            }
            let field = |name: &str| vector[name].as_str().unwrap_or("").to_owned();
            let (case, signature) = (field("case"), field("signature"));
            let auth = auth(&field("key"), &field("secret"));
            let payload = field("signed_payload");
            assert_eq!(
                auth.sign(&[payload.as_bytes()]).as_str(),
                signature,
                "{case}"
            );
            if let Some(request) = vector["request"].as_object() {
                let header = |name: &str| request["headers"][name].as_str().unwrap();
                let query = request["url"].as_str().unwrap().split_once('?');
                let body = request.get("body").and_then(|body| body.as_str());
                let made = auth.sign_rest(
                    header("X-BAPI-TIMESTAMP"),
                    header("X-BAPI-RECV-WINDOW"),
                    body.or(query.map(|(_, query)| query)).unwrap(),
                );
                assert_eq!(made.as_str(), signature, "{case}");
            } else if vector["message"].is_object() {
                let args = &vector["message"]["args"];
                let expires = args[1].as_str().unwrap();
                assert_eq!(Auth::login_payload(expires), payload);
                let mut out = Buf::new();
                auth.write_login(expires.parse().unwrap(), &mut out)
                    .unwrap();
                let made: serde_json::Value = serde_json::from_slice(out.as_bytes()).unwrap();
                assert_eq!((&made["args"][0], &made["args"][2]), (&args[0], &args[2]));
            }
            count += 1;
        }
        assert_eq!(count, 16);
    }
}
