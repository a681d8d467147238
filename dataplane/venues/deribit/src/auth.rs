//! Signing: the WebSocket login and REST headers, both hex(HMAC-SHA256).
//!
//! ```text
//! login  timestamp (ms) \n nonce \n data                            → params.signature of public/auth
//! REST   timestamp (ms) \n nonce \n METHOD \n target \n body \n     → sig of the Authorization field
//! FIX    milliseconds . base64(32 bytes), then the secret            → 554, base64(SHA-256)
//! ```
//! Orders go over the logged-in link and carry no signature. A login lasts for `expires_in` seconds and is renewed
//! by another one: no token is kept. Two logins never share a nonce, nor do two nodes that share a key
//! ([`Nonces`]). Source: venue page, section 5, read 2026-11-20.

use crate::symbols::{push_base36, push_u64};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dp_types::{LinkId, Now};
use dp_venue_api::{Hash, HmacKey, RestMethod, Secrets};
use dp_wire::buf::{Buf, Overflow};
use dp_wire::json::write::Object;
use ring::digest;

/// Hex digits of a signature.
pub const SIGNATURE_LEN: usize = 64;
/// Longest login message: a client id is 8 characters, a nonce 24.
pub const LOGIN_MAX: usize = 1_024;

/// Key material, ready to sign. `Debug` shows nothing of it.
pub struct Auth {
    client_id: String,
    key: HmacKey,
}

impl core::fmt::Debug for Auth {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Auth(hidden)")
    }
}

/// A signature in lower-case hex, in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; SIGNATURE_LEN]);

impl Signature {
    fn of(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |value: u8| DIGITS.get(usize::from(value & 15)).copied().unwrap_or(b'0');
        let mut text = [b'0'; SIGNATURE_LEN];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(*byte)]);
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
            client_id: secrets.api_key.clone(),
            key: HmacKey::new(Hash::Sha256, secrets.api_secret.as_bytes()),
        })
    }

    /// The key's public name.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Signs the parts as if they were one text. Cost: no allocation.
    pub fn sign(&self, parts: &[&[u8]]) -> Signature {
        Signature::of(self.key.sign(parts).as_ref())
    }

    /// RawData (96) of a FIX logon: its time, and a nonce of 32 bytes that only the key's holder could foretell. No
    /// two nodes (`slot`) make the same one.
    pub fn logon_data(&self, unix_ms: u64, slot: u8) -> String {
        let time = unix_ms.to_string();
        let nonce = self.key.sign(&[b"nonce", &[slot], time.as_bytes()]);
        format!("{time}.{}", STANDARD.encode(nonce))
    }

    /// Password (554) of a FIX logon with this RawData.
    pub fn logon_password(raw: &str, secret: &str) -> String {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(raw.as_bytes());
        hash.update(secret.as_bytes());
        STANDARD.encode(hash.finish())
    }

    /// The login message, answered under the id `id`, signed at `unix_ms` with this nonce.
    ///
    /// Errors: [`Overflow`] when the client id is longer than the message may be.
    pub fn write_login(
        &self,
        id: &str,
        unix_ms: u64,
        nonce: &str,
        out: &mut Buf<LOGIN_MAX>,
    ) -> Result<(), Overflow> {
        let payload = Self::login_payload(unix_ms, nonce);
        let signature = self.sign(&[payload.as_bytes()]);
        out.clear();
        let mut message = Object::new(out);
        message
            .str("jsonrpc", "2.0")
            .str("id", id)
            .str("method", "public/auth");
        let mut params = message.object("params");
        params
            .str("grant_type", "client_signature")
            .str("client_id", &self.client_id)
            .u64("timestamp", unix_ms)
            .str("nonce", nonce)
            .str("data", "")
            .str("signature", signature.as_str());
        params.end();
        message.end();
        out.finish().map(|_| ())
    }

    /// The text a login signs, without data.
    pub fn login_payload(unix_ms: u64, nonce: &str) -> String {
        format!("{unix_ms}\n{nonce}\n")
    }

    /// The text a REST request signs; `target` is the path from `/api/v2` with its query.
    pub fn rest_payload(
        unix_ms: u64,
        nonce: &str,
        method: RestMethod,
        target: &str,
        body: &str,
    ) -> String {
        let method = method.as_str();
        format!("{unix_ms}\n{nonce}\n{method}\n{target}\n{body}\n")
    }

    /// The value of a REST request's `Authorization` field.
    pub fn authorization(
        &self,
        unix_ms: u64,
        nonce: &str,
        method: RestMethod,
        target: &str,
        body: &str,
    ) -> String {
        let payload = Self::rest_payload(unix_ms, nonce, method, target, body);
        let signature = self.sign(&[payload.as_bytes()]);
        format!(
            "deri-hmac-sha256 id={},ts={unix_ms},sig={},nonce={nonce}",
            self.client_id,
            signature.as_str()
        )
    }
}

/// Nonces that never come twice: the node's place, the link (a spread node has a machine for each), the
/// millisecond, how many there were before.
#[derive(Debug)]
pub struct Nonces {
    slot: u8,
    count: u64,
}

impl Nonces {
    /// The nonces of the node at this place among those that share the key (0 to 7).
    pub const fn new(slot: u8) -> Self {
        Self { slot, count: 0 }
    }

    /// The next one.
    pub fn next(&mut self, link: LinkId, now: Now) -> String {
        self.count = self.count.wrapping_add(1);
        let mut text = Vec::with_capacity(32);
        for part in [self.slot, link.0] {
            push_u64(u64::from(part), &mut text);
            text.push(b'x');
        }
        push_base36(now.unix.millis(), &mut text);
        text.push(b'x');
        push_base36(self.count, &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Tsc, UnixNanos};
    use std::collections::BTreeSet;

    fn auth(key: &str, secret: &str) -> Auth {
        Auth::new(&Secrets {
            api_key: key.into(),
            api_secret: secret.into(),
            ..Secrets::default()
        })
        .unwrap()
    }

    #[test]
    fn login_vector_of_the_venue_page() {
        let mut out = Buf::new();
        auth("AMANDA", "AMANDASECRECT")
            .write_login("l", 1_576_074_319_000, "1iqt2wls", &mut out)
            .unwrap();
        assert_eq!(
            core::str::from_utf8(out.as_bytes()).unwrap(),
            concat!(
                r#"{"jsonrpc":"2.0","id":"l","method":"public/auth","params":{"grant_type":"client_signature","#,
                r#""client_id":"AMANDA","timestamp":1576074319000,"nonce":"1iqt2wls","data":"","#,
                r#""signature":"56590594f97921b09b18f166befe0d1319b198bbcdad7ca73382de2f88fe9aa1"}}"#
            )
        );
    }

    #[test]
    fn rest_vectors_of_the_venue_page() {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"private/get_open_orders","params":{}}"#;
        for (method, target, body, signature) in [
            (
                RestMethod::Get,
                "/api/v2/private/get_account_summary?currency=BTC",
                "",
                "9bfbc51a2bc372d72cc396cf1a213dc78d42eb74cb7dc272351833ad0de276ab",
            ),
            (
                RestMethod::Post,
                "/api/v2",
                body,
                "f30708697cd1e72c3865deac1c211784451616904f93ef6a4b539377fbe43612",
            ),
        ] {
            let auth = auth("AMANDA", "AMANDASECRECT");
            assert_eq!(
                auth.authorization(1_576_074_319_000, "1iqt2wls", method, target, body),
                format!(
                    "deri-hmac-sha256 id=AMANDA,ts=1576074319000,sig={signature},nonce=1iqt2wls"
                )
            );
        }
    }

    #[test]
    fn nonces_never_come_twice() {
        let now = |ms| Now {
            tsc: Tsc(0),
            unix: UnixNanos::from_millis(ms),
        };
        let mut seen = BTreeSet::new();
        for slot in 0..8 {
            let mut nonces = Nonces::new(slot);
            for ms in [0, 1, 1, 1_760_000_000_000, 1_760_000_000_000, 35, 36] {
                assert!(seen.insert(nonces.next(LinkId(1), now(ms))));
            }
            // Started anew, a moment later; and on two links at once, by two machines.
            for link in [LinkId(1), LinkId(2)] {
                let nonce = Nonces::new(slot).next(link, now(1_760_000_000_001));
                assert!(seen.insert(nonce));
            }
        }
    }

    #[test]
    fn debug_hides_the_key() {
        assert_eq!(format!("{:?}", auth("AMANDA", "x")), "Auth(hidden)");
    }

    /// Every Deribit known answer of the shared file, REST and login.
    #[test]
    fn every_shared_vector() {
        let Some(dir) = tests_venues::captures::dir("deribit") else {
            return;
        };
        let text = std::fs::read_to_string(dir.join("../auth-vectors.json")).unwrap();
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut count = 0;
        for vector in file["vectors"].as_array().unwrap() {
            if vector["venue"] != "deribit" {
                continue;
            }
            let field = |name: &str| vector[name].as_str().unwrap_or("").to_owned();
            let (auth, case) = (auth(&field("key"), &field("secret")), field("case"));
            let payload = field("signed_payload");
            assert_eq!(
                auth.sign(&[payload.as_bytes()]).as_str(),
                field("signature"),
                "{case}"
            );
            let ms = vector["clock_ms"].as_u64().unwrap();
            let nonce = ms.to_string();
            if let Some(request) = vector["request"].as_object() {
                let url = request["url"].as_str().unwrap();
                let target = url.strip_prefix("https://www.deribit.com").unwrap();
                assert_eq!(request["method"], "GET");
                assert_eq!(
                    auth.authorization(ms, &nonce, RestMethod::Get, target, ""),
                    request["headers"]["Authorization"].as_str().unwrap(),
                    "{case}"
                );
            } else {
                let mut out = Buf::new();
                auth.write_login("1", ms, &nonce, &mut out).unwrap();
                let mut made: serde_json::Value = serde_json::from_slice(out.as_bytes()).unwrap();
                made["id"] = vector["message"]["id"].clone();
                assert_eq!(made, vector["message"], "{case}");
            }
            count += 1;
        }
        assert_eq!(count, 8);
    }
}
