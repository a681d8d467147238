//! Signing for the Exchange: REST headers and the authenticated subscribe, both base64(HMAC-SHA256).
//!
//! ```text
//! REST       timestamp + METHOD + target with query + body   → CB-ACCESS-SIGN
//! subscribe  timestamp + "GET"  + "/users/self/verify"        → "signature" in the message
//! ```
//! The secret is issued as base64 and signs as the bytes behind it. Timestamps are seconds; the venue takes 30 s of
//! difference. The key is kept as `ring`'s precomputed HMAC state. Key life: none; a subscription lasts as long as
//! its link. Advanced Trade signs otherwise: [`crate::jwt`]. Source: venue page, section A5.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dp_types::Now;
use dp_venue_api::{Hash, HmacKey, RestMethod, Secret, Secrets};
use dp_wire::buf::Buf;

/// Bytes of a signature in base64: 32 bytes in groups of three.
pub const SIGNATURE_LEN: usize = 44;
/// What an authenticated subscribe signs after its timestamp.
const VERIFY_PATH: &str = "/users/self/verify";
/// How old a request may be on arrival, by the venue's clock.
pub const REQUEST_LIFE_NS: u64 = 30_000_000_000;

/// Why key material is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The secret is not base64.
    #[error("the secret is not base64, as the venue issues it")]
    Secret,
}

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

/// A timestamp as it is signed and sent: whole seconds.
#[derive(Debug, Clone, Copy)]
pub struct Timestamp(Buf<20>);

impl Timestamp {
    /// Seconds since 1970.
    pub fn from_seconds(seconds: u64) -> Self {
        let mut digits = Buf::new();
        digits.push_u64(seconds);
        Self(digits)
    }

    /// The second of an instant.
    pub fn of(now: Now) -> Self {
        Self::from_seconds(now.unix.millis() / 1_000)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.0.as_bytes()).unwrap_or("")
    }
}

impl Auth {
    /// Prepares the key. `Ok(None)` without an API key: market data only. Errors: [`AuthError`].
    pub fn new(secrets: &Secrets) -> Result<Option<Self>, AuthError> {
        if secrets.api_key.is_empty() {
            return Ok(None);
        }
        let key = HmacKey::of_base64(Hash::Sha256, &secrets.api_secret);
        Ok(Some(Self {
            api_key: secrets.api_key.clone(),
            passphrase: secrets.passphrase.clone(),
            key: key.ok_or(AuthError::Secret)?,
        }))
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

    /// `CB-ACCESS-SIGN` of a REST request.
    pub fn sign_rest(
        &self,
        timestamp: &str,
        method: RestMethod,
        target: &str,
        body: &[u8],
    ) -> Signature {
        self.sign(&[
            timestamp.as_bytes(),
            method.as_str().as_bytes(),
            target.as_bytes(),
            body,
        ])
    }

    /// Appends the four fields of an authenticated subscribe, each after a comma.
    pub fn push_subscribe(&self, now: Now, out: &mut Vec<u8>) {
        let timestamp = Timestamp::of(now);
        let signature = self.sign_subscribe(timestamp.as_str());
        for (name, value) in [
            ("signature", signature.as_str()),
            ("key", &self.api_key),
            ("passphrase", &self.passphrase),
            ("timestamp", timestamp.as_str()),
        ] {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":\"");
            push_escaped(value, out);
            out.push(b'"');
        }
    }

    /// The signature of an authenticated subscribe.
    pub fn sign_subscribe(&self, timestamp: &str) -> Signature {
        self.sign(&[timestamp.as_bytes(), b"GET", VERIFY_PATH.as_bytes()])
    }

    /// The text an authenticated subscribe signs (for `spinlane venue sign`).
    pub fn subscribe_payload(timestamp: &str) -> String {
        format!("{timestamp}GET{VERIFY_PATH}")
    }
}

/// A passphrase is a user's own words: quotes and backslashes are escaped, control characters dropped.
fn push_escaped(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes().filter(|byte| *byte >= b' ') {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Obviously no key of anybody: the venue page's.
    const SECRET: &str =
        "b2J2aW91c2x5LWZha2UtY29pbmJhc2UtZXhjaGFuZ2Utc2VjcmV0LTAxMjM0NTY3ODktYWJjZGVmZ2hpamtsbQ==";

    fn auth() -> Auth {
        Auth::new(&Secrets {
            api_key: "fakekey".into(),
            api_secret: SECRET.into(),
            passphrase: "fake\"pass".into(),
            ..Secrets::default()
        })
        .unwrap()
        .unwrap()
    }

    #[test]
    fn vectors_of_the_venue_page() {
        let time = Timestamp::from_seconds(1_700_000_000);
        assert_eq!(time.as_str(), "1700000000");
        let sign = auth().sign_rest(time.as_str(), RestMethod::Get, "/accounts", b"");
        assert_eq!(
            sign.as_str(),
            "TKc4yMi0k9lIrnmlImyKDpBCjvWf488WiBx6RhYUKcc="
        );
        let body = br#"{"product_id":"BTC-USD","side":"buy","type":"limit","price":"30000.00","size":"0.01","time_in_force":"GTC"}"#;
        let sign = auth().sign_rest(time.as_str(), RestMethod::Post, "/orders", body);
        assert_eq!(
            sign.as_str(),
            "Se6oOTgMCpGlENjkWGeQqAUo5mMB+R+OWLUgq00QLOE="
        );
        let sign = auth().sign_subscribe(time.as_str());
        assert_eq!(
            sign.as_str(),
            "zYGf8hCgf8Rv8lXLP7Eo7UR59Bm/VqrD41ChQapSlMo="
        );
        let payload = Auth::subscribe_payload("1700000000");
        assert_eq!(auth().sign(&[payload.as_bytes()]), sign);
        // The logon of the venue's FIX, which we do not speak: the same key over other words.
        let fields = "20231114-22:13:20.000\u{1}A\u{1}1\u{1}fakekey\u{1}Coinbase\u{1}fakepass";
        let sign = auth().sign(&[fields.as_bytes()]);
        assert_eq!(
            sign.as_str(),
            "OV+UMLTeG9t6api8XB/ocEsui44tgcP4WHB1/WgzXnY="
        );
    }

    #[test]
    fn an_authenticated_subscribe_is_json_whatever_the_passphrase() {
        let now = Now {
            tsc: dp_types::Tsc(0),
            unix: dp_types::UnixNanos::from_millis(1_700_000_000_999),
        };
        let mut text = br#"{"type":"subscribe""#.to_vec();
        auth().push_subscribe(now, &mut text);
        text.push(b'}');
        let message: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(message["timestamp"], "1700000000");
        assert_eq!(message["key"], "fakekey");
        assert_eq!(message["passphrase"], "fake\"pass");
        assert_eq!(
            message["signature"],
            "zYGf8hCgf8Rv8lXLP7Eo7UR59Bm/VqrD41ChQapSlMo="
        );
    }

    #[test]
    fn a_secret_that_is_not_base64_is_refused() {
        let secrets = |key: &str, secret: &str| Secrets {
            api_key: key.into(),
            api_secret: secret.into(),
            ..Secrets::default()
        };
        let refused = Auth::new(&secrets("k", "not base64!"));
        assert_eq!(refused.unwrap_err(), AuthError::Secret);
        assert!(Auth::new(&secrets("", "not base64!")).unwrap().is_none());
    }

    #[test]
    fn debug_hides_the_key() {
        assert_eq!(format!("{:?}", auth()), "Auth(hidden)");
    }
}
