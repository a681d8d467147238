//! Signing: REST headers and the WebSocket login, both hex(HMAC-SHA384).
//!
//! ```text
//! REST   "/api" + path ("/v2/auth/...") + nonce + body   → bfx-signature
//! login  "AUTH" + nonce                                  → authSig
//! ```
//! A nonce must be above the last one the key was used with, over REST and WebSocket alike; one that is not is
//! refused (10114) and the question asked again. Ours count microseconds: a key once used with them refuses
//! milliseconds for ever. The venue reads them as numbers up to 2^53 - 1.
//! Key life: none; a login lasts as long as its link. Source: venue page, section 5, read 2026-11-21.

use crate::symbols::write_u64;
use dp_types::Now;
use dp_venue_api::{Hash, HmacKey, Secrets};
use dp_wire::buf::{Buf, Overflow};
use dp_wire::json::write::Object;

/// Characters of a signature: 48 bytes in hex.
pub const SIGNATURE_LEN: usize = 96;
/// Longest login message: a key is some 43 characters.
pub const LOGIN_MAX: usize = 1_024;
/// What makes the venue cancel all our orders when the socket that logged in is closed.
pub const DEAD_MAN_SWITCH: u64 = 4;
/// What channel 0 is to tell.
const FILTER: &str = r#"["trading","wallet","balance","notify"]"#;

/// Nodes that may share a key: a nonce ends in which of them made it.
const SLOTS: u64 = 8;

/// Nonces of one node: microseconds with the node's own place in the last three bits, so that no two of the
/// nodes that share a key make the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonces {
    last: u64,
    slot: u64,
}

impl Nonces {
    /// None made yet; `slot` is from 0 to 7.
    pub const fn new(slot: u8) -> Self {
        Self {
            last: 0,
            slot: slot as u64 % SLOTS,
        }
    }

    /// The next nonce, above all before it.
    pub const fn next(&mut self, now: Now) -> u64 {
        let base = now.unix.0 / 1_000 / SLOTS;
        let after = self.last / SLOTS + 1;
        let steps = if base > after { base } else { after };
        self.last = steps * SLOTS + self.slot;
        self.last
    }
}

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

/// A signature as the venue wants it: hex text in place.
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
            key: HmacKey::new(Hash::Sha384, secrets.api_secret.as_bytes()),
        })
    }

    /// The key's public name.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Signs the parts as if they were one text. Cost: no allocation.
    pub fn sign(&self, parts: &[&[u8]]) -> Signature {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'0'; SIGNATURE_LEN];
        let digest = self.key.sign(parts);
        let nibbles = digest
            .as_ref()
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15]);
        for (slot, nibble) in text.iter_mut().zip(nibbles) {
            *slot = HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
        }
        Signature(text)
    }

    /// `bfx-signature` of a REST request; `path` begins with `/v2/` and has no query.
    pub fn sign_rest(&self, path: &str, nonce: &str, body: &[u8]) -> Signature {
        self.sign(&[b"/api", path.as_bytes(), nonce.as_bytes(), body])
    }

    /// The login message, with the dead man's switch on.
    ///
    /// Errors: [`Overflow`] when the key is longer than the message may be.
    pub fn write_login(&self, nonce: u64, out: &mut Buf<LOGIN_MAX>) -> Result<(), Overflow> {
        let mut digits = [0; 20];
        let nonce = write_u64(nonce, &mut digits);
        let sign = self.sign(&[b"AUTH", nonce.as_bytes()]);
        let mut payload = Buf::<24>::new();
        payload.push_str("AUTH");
        payload.push_str(nonce);
        out.clear();
        let mut login = Object::new(out);
        login
            .str("event", "auth")
            .str("apiKey", &self.api_key)
            .str("authSig", sign.as_str())
            .str("authNonce", nonce)
            .str(
                "authPayload",
                core::str::from_utf8(payload.as_bytes()).unwrap_or(""),
            )
            .u64("dms", DEAD_MAN_SWITCH);
        login.key("filter").push_str(FILTER);
        login.end();
        out.finish().map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Tsc, UnixNanos};

    fn auth() -> Auth {
        Auth::new(&Secrets {
            api_key: "hO6oQotzTE0S5FRYze2Jx2wGx7eVnJGMolpA1nZyehsoMgCcgKNWQHd4QgTFZuwl4Zt4xMe2PqGBegWXO4A".into(),
            api_secret: "mheO6dR8ovSsxZQCOYEFCtelpuxcWGTfHw7te326y6jOwq5WpvFQ9JNljoTwBXZGv5It07m9RXSPpDQEK2w".into(),
            ..Secrets::default()
        })
        .unwrap()
    }

    #[test]
    fn rest_vectors_of_the_venue_page() {
        for (path, body, want) in [
            (
                "/v2/auth/w/order/submit",
                r#"{"type":"LIMIT","symbol":"tBTCUSD","price":15,"amount":"0.1"}"#,
                "b27b3f276d8d08dc5783c4d848f94605f98c62b7ec76db2acd48d337a479efb65b8002a0aa10999650622e66d6c631de",
            ),
            (
                "/v2/auth/r/orders",
                "{}",
                "0615d555079828abd0babb51428c585291a7662a36706854ddf134c231d6c15088bec5b78b55ac390c88d1947ae340c9",
            ),
        ] {
            let sign = auth().sign_rest(path, "1696751141337", body.as_bytes());
            assert_eq!(sign.as_str(), want, "{path}");
        }
    }

    #[test]
    fn login_vector_of_the_venue_page() {
        let mut login = Buf::new();
        auth().write_login(1_696_751_141_337, &mut login).unwrap();
        let message: serde_json::Value = serde_json::from_slice(login.as_bytes()).unwrap();
        assert_eq!(
            message["authSig"],
            "870fbffed5d1cf67b0d2dbae845bbe4e8ebdc18a53d9efe9af71d04a7fa50e58675aee14438fe61b880b21734287b94b"
        );
        assert_eq!(message["authPayload"], "AUTH1696751141337");
        assert_eq!(message["authNonce"], "1696751141337");
        assert_eq!(
            (&message["event"], &message["dms"]),
            (&"auth".into(), &4.into())
        );
        assert_eq!(message["filter"].as_array().unwrap().len(), 4);
    }

    #[test]
    fn a_key_that_is_too_long_is_an_error_and_none_is_no_key() {
        let long = Auth::new(&Secrets {
            api_key: "k".repeat(LOGIN_MAX),
            ..Secrets::default()
        });
        assert!(long.unwrap().write_login(1, &mut Buf::new()).is_err());
        assert!(Auth::new(&Secrets::default()).is_none());
        assert_eq!(format!("{:?}", auth()), "Auth(hidden)");
    }

    #[test]
    fn nonces_rise_whatever_the_clock_does_and_never_meet_another_nodes() {
        let at = |us: u64| Now {
            tsc: Tsc(0),
            unix: UnixNanos(us * 1_000),
        };
        let times = [
            1_760_000_000_000_000,
            1_760_000_000_000_000,
            5,
            6,
            1_760_000_000_000_009,
        ];
        let mut seen = std::collections::BTreeSet::new();
        for slot in 0..8 {
            let (mut nonces, mut last) = (Nonces::new(slot), 0);
            for time in times {
                let nonce = nonces.next(at(time));
                assert!(nonce > last && nonce < 1 << 53);
                assert!(seen.insert(nonce), "made twice");
                last = nonce;
            }
            assert!(last < 1_760_000_000_000_100, "microseconds still");
        }
    }
}
