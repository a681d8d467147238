//! Signing: REST headers and the WebSocket login, both base64(HMAC-SHA256).
//!
//! ```text
//! REST   timestamp (ISO, ms) + METHOD + target with query + body  → OK-ACCESS-SIGN
//! login  timestamp (s)       + "GET"  + "/users/self/verify"       → args[0].sign
//! ```
//! Orders go over the logged-in link and carry no signature. The key is kept as `ring`'s
//! precomputed HMAC state, so a signature costs only the message's own blocks. Key life: none; a
//! login lasts as long as its link. Source: venue page, section 5, read 2026-11-20.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dp_venue_api::{Hash, HmacKey, RestMethod, Secret, Secrets};
use dp_wire::buf::{Buf, Overflow};
use dp_wire::json::write::Object;
use dp_wire::time::TimeText;

/// Bytes of a signature in base64: 32 bytes in groups of three.
pub const SIGNATURE_LEN: usize = 44;
/// Longest login message: key and passphrase are some 36 and 32 characters.
pub const LOGIN_MAX: usize = 1_024;
/// What the login signs after its timestamp.
const LOGIN_PATH: &str = "/users/self/verify";

/// Key material, ready to sign. `Debug` shows nothing of it.
pub struct Auth {
    api_key: String,
    passphrase: Secret,
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
    /// Prepares the key. `None` without an API key: market data only.
    pub fn new(secrets: &Secrets) -> Option<Self> {
        if secrets.api_key.is_empty() {
            return None;
        }
        Some(Self {
            api_key: secrets.api_key.clone(),
            passphrase: secrets.passphrase.clone(),
            key: HmacKey::new(Hash::Sha256, secrets.api_secret.as_bytes()),
        })
    }

    /// The key's public name.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// The passphrase.
    pub fn passphrase(&self) -> &str {
        &self.passphrase
    }

    /// Signs the parts as if they were one text. Cost: no allocation.
    pub fn sign(&self, parts: &[&[u8]]) -> Signature {
        let mut text = [b'='; SIGNATURE_LEN];
        // 32 bytes always make 44 characters; the error arm cannot be reached.
        let _ = STANDARD.encode_slice(self.key.sign(parts), &mut text);
        Signature(text)
    }

    /// `OK-ACCESS-SIGN` of a REST request.
    pub fn sign_rest(
        &self,
        time: &TimeText,
        method: RestMethod,
        target: &str,
        body: &[u8],
    ) -> Signature {
        self.sign(&[
            time.as_str().as_bytes(),
            method.as_str().as_bytes(),
            target.as_bytes(),
            body,
        ])
    }

    /// The login message for `unix_s` (whole seconds).
    ///
    /// Errors: [`Overflow`] when key and passphrase are together longer than the message may be.
    pub fn write_login(&self, unix_s: u64, out: &mut Buf<LOGIN_MAX>) -> Result<(), Overflow> {
        let mut digits = [0; 20];
        let seconds = crate::symbols::write_u64(unix_s, &mut digits);
        let sign = self.sign(&[seconds.as_bytes(), b"GET", LOGIN_PATH.as_bytes()]);
        out.clear();
        out.push_str(r#"{"op":"login","args":["#);
        let mut args = Object::new(out);
        args.str("apiKey", &self.api_key)
            .str("passphrase", &self.passphrase)
            .str("timestamp", seconds)
            .str("sign", sign.as_str());
        args.end();
        out.push_str("]}");
        out.finish().map(|_| ())
    }

    /// The text a login at `unix_s` signs (for `spinlane venue sign`).
    pub fn login_payload(unix_s: u64) -> String {
        format!("{unix_s}GET{LOGIN_PATH}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(key: &str, secret: &str, passphrase: &str) -> Auth {
        Auth::new(&Secrets {
            api_key: key.into(),
            api_secret: secret.into(),
            passphrase: passphrase.into(),
            ..Secrets::default()
        })
        .unwrap()
    }

    fn published() -> Auth {
        auth(
            "985d5b66-57ce-40fb-b714-afc0b9787083",
            "chNOOS4KvNXR_Xq4k4c9qsfoKWvnDecLATCRlcBwyKDYnWgO",
            "1234567890",
        )
    }

    #[test]
    fn rest_vectors_of_the_venue_page() {
        let time = TimeText::rfc3339_millis(1_607_418_537_715_000_000);
        assert_eq!(time.as_str(), "2020-12-08T09:08:57.715Z");
        let body = br#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"2.15","sz":"2"}"#;
        let cases: [(RestMethod, &str, &[u8], &str); 3] = [
            (
                RestMethod::Get,
                "/api/v5/account/balance",
                b"",
                "PJ61e1nb2F2Qd7D8SPiaIcx2gjdELc+o0ygzre9z33k=",
            ),
            (
                RestMethod::Get,
                "/api/v5/account/balance?ccy=BTC",
                b"",
                "ebNz0sDoc3LoFm1hqjP8LDT0fnRlDERj5C+I4ZqB4Cw=",
            ),
            (
                RestMethod::Post,
                "/api/v5/trade/order",
                body,
                "221tO3YUa1Urgpk8ln1i/uXl1JtWPg+Zfp96MDNiUEo=",
            ),
        ];
        for (method, target, body, expected) in cases {
            let sign = published().sign_rest(&time, method, target, body);
            assert_eq!(sign.as_str(), expected, "{target}");
        }
    }

    #[test]
    fn login_vector_of_the_venue_page() {
        let mut out = Buf::new();
        published().write_login(1_538_054_050, &mut out).unwrap();
        assert_eq!(
            core::str::from_utf8(out.as_bytes()).unwrap(),
            concat!(
                r#"{"op":"login","args":[{"apiKey":"985d5b66-57ce-40fb-b714-afc0b9787083","#,
                r#""passphrase":"1234567890","timestamp":"1538054050","#,
                r#""sign":"ENpPNQ8mQv8YzDMPhBsB4SrjaKK+FaEh2nozTRW6KU0="}]}"#
            )
        );
    }

    #[test]
    fn debug_hides_the_key() {
        assert_eq!(format!("{:?}", published()), "Auth(hidden)");
    }

    /// Every OKX known answer of the shared file, REST and login.
    #[test]
    fn every_shared_vector() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../../shared/captures/auth-vectors.json"
        );
        let Ok(text) = std::fs::read_to_string(path) else {
            let require = std::env::var("REQUIRE").unwrap_or_default();
            assert!(
                !require.contains("captures"),
                "REQUIRE has captures, and they are not there"
            );
            println!("SKIPPED: ../shared/captures/auth-vectors.json is not there");
            return;
        };
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut count = 0;
        for vector in file["vectors"].as_array().unwrap() {
            if vector["venue"] != "okx" {
                continue;
            }
            let field = |name: &str| vector[name].as_str().unwrap_or("").to_owned();
            let auth = auth(&field("key"), &field("secret"), &field("passphrase"));
            let payload = field("signed_payload");
            let signature = field("signature");
            assert_eq!(
                auth.sign(&[payload.as_bytes()]).as_str(),
                signature,
                "{}",
                field("case")
            );
            let clock_ms = vector["clock_ms"].as_u64();
            if let (Some(request), Some(ms)) = (vector["request"].as_object(), clock_ms) {
                let url = request["url"].as_str().unwrap();
                let target = url.strip_prefix("https://www.okx.com").unwrap();
                let method = match request["method"].as_str().unwrap() {
                    "GET" => RestMethod::Get,
                    "POST" => RestMethod::Post,
                    other => panic!("method {other}"),
                };
                let body = request.get("body").and_then(|b| b.as_str()).unwrap_or("");
                let made = auth.sign_rest(
                    &TimeText::rfc3339_millis(ms * 1_000_000),
                    method,
                    target,
                    body.as_bytes(),
                );
                assert_eq!(made.as_str(), signature, "{}", field("case"));
            } else if let Some(ms) = clock_ms {
                let mut out = Buf::new();
                auth.write_login(ms / 1_000, &mut out).unwrap();
                let made: serde_json::Value = serde_json::from_slice(out.as_bytes()).unwrap();
                assert_eq!(made, vector["message"], "{}", field("case"));
            }
            count += 1;
        }
        assert!(count >= 15, "only {count} OKX vectors found");
    }
}
