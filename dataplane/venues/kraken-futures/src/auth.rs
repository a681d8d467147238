//! Signing. Two keys and two schemes, both HMAC-SHA512 in base64 with the secret decoded from base64 first.
//!
//! ```text
//! spot REST      path ++ SHA256(nonce ++ body)            → API-Sign       the WebSocket token, live
//! legacy REST    SHA256(data ++ nonce ++ path)            → Authent        until 1 March 2027
//! legacy feed    SHA256(challenge)                        → signed_challenge
//! ```
//! The Unified WebSocket takes a token that only a spot key gets; keys of the legacy API do not work for it.
//! Legacy paths are signed from `/api/v3` on, without the `/derivatives` before it; `data` is the encoded query or
//! body exactly as sent. Nonces rise by the clock's microseconds and carry the node's slot in their last digit.
//! Source: venue page, section 6; `kraken.md`, section 5; read 2026-11-20.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dp_types::UnixNanos;
use dp_venue_api::{Hash, HmacKey, Secrets};
use ring::digest::{Context, SHA256};

/// Bytes of a signature in base64: 64 bytes in groups of three.
pub const SIGNATURE_LEN: usize = 88;
/// Nodes that may share a key, and the step of a nonce: each has a last digit of its own.
const NONCE_SLOTS: u64 = 10;

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

/// The SHA-256 of the parts as if they were one text.
fn sha256(parts: &[&[u8]]) -> impl AsRef<[u8]> + use<> {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish()
}

/// The path of a legacy target as it is signed: from `/api/v3` on.
pub fn legacy_path(target: &str) -> &str {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    path.strip_prefix("/derivatives").unwrap_or(path)
}

impl Auth {
    /// Prepares the key. `None` without an API key: market data only.
    ///
    /// A secret that is not base64 signs as if it were empty: the venue refuses it, and says so.
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

    fn sign(&self, parts: &[&[u8]]) -> Signature {
        let mut text = [b'='; SIGNATURE_LEN];
        // 64 bytes always make 88 characters; the error arm cannot be reached.
        let _ = STANDARD.encode_slice(self.key.sign(parts), &mut text);
        Signature(text)
    }

    /// `API-Sign` of a spot REST request; the nonce is inside the body too.
    pub fn sign_spot(&self, path: &str, nonce: &str, body: &str) -> Signature {
        let digest = sha256(&[nonce.as_bytes(), body.as_bytes()]);
        self.sign(&[path.as_bytes(), digest.as_ref()])
    }

    /// `Authent` of a legacy REST request; the nonce may be empty.
    pub fn sign_legacy(&self, target: &str, nonce: &str, data: &str) -> Signature {
        let path = legacy_path(target).as_bytes();
        let digest = sha256(&[data.as_bytes(), nonce.as_bytes(), path]);
        self.sign(&[digest.as_ref()])
    }

    /// `signed_challenge` of the legacy feed.
    pub fn sign_challenge(&self, challenge: &str) -> Signature {
        self.sign(&[sha256(&[challenge.as_bytes()]).as_ref()])
    }
}

/// Numbers that only rise, and that no node beside ours makes.
#[derive(Debug, Clone, Copy)]
pub struct Nonces {
    last: u64,
    slot: u64,
}

impl Nonces {
    /// For the node of this slot.
    pub fn new(slot: u8) -> Self {
        Self {
            last: 0,
            slot: u64::from(slot) % NONCE_SLOTS,
        }
    }

    /// The next one: the clock's microseconds, whose last digit is the slot.
    pub fn next(&mut self, now: UnixNanos) -> u64 {
        let micros = now.0 / 1_000;
        let by_clock = micros - micros % NONCE_SLOTS + self.slot;
        self.last = by_clock.max(self.last.saturating_add(NONCE_SLOTS));
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn auth(secret: &str) -> Auth {
        Auth::new(&Secrets {
            api_key: "key".into(),
            api_secret: secret.into(),
            ..Secrets::default()
        })
        .unwrap()
    }

    const LEGACY: &str =
        "7zxMEF5p/Z8l2p2U7Ghv6x14Af+Fx+92tPgUdVQ748FOIrEoT9bgT+bTRfXc5pz8na+hL/QdrCVG7bh9KpT0eMTm";
    const SPOT: &str =
        "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==";

    #[test]
    fn legacy_vectors_of_the_venue_page() {
        let auth = auth(LEGACY);
        assert_eq!(
            auth.sign_challenge("c100b894-1729-464d-ace1-52dbce11db42")
                .as_str(),
            "4JEpF3ix66GA2B+ooK128Ift4XQVtc137N9yeg4Kqsn9PI0Kpzbysl9M1IeCEdjg0zl00wkVqcsnG4bmnlMb3A=="
        );
        let order =
            "orderType=lmt&symbol=PF_XBTUSD&side=buy&size=0.01&limitPrice=65000&cliOrdId=hbx-1";
        for (target, data, want) in [
            (
                "/derivatives/api/v3/sendorder",
                order,
                "tSzO5V29uQHEt4AI7ryJ6j6pGw1+uaIn5WzidLVQoienmwX+atTLlS/KoEo/MSI8EGydScri6a6W2t2ShZlcrw==",
            ),
            (
                "/api/v3/openorders",
                "",
                "1Pfx579dcy9h1hLLDRHtvgeunn7H9WfjKT+8SHSU+VRY1UKpZqX1vR3nbpN8f4lThlVVX0u/7iZUaeaFeIKQQQ==",
            ),
        ] {
            let made = auth.sign_legacy(target, "1700000000000", data);
            assert_eq!(made.as_str(), want, "{target}");
        }
    }

    #[test]
    fn spot_vectors_of_the_venue_page() {
        let auth = auth(SPOT);
        let nonce = "1616492376594";
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
        ] {
            assert_eq!(auth.sign_spot(path, nonce, body).as_str(), want, "{path}");
        }
    }

    #[test]
    fn debug_hides_the_key_and_a_bad_secret_signs_all_the_same() {
        assert_eq!(format!("{:?}", auth(LEGACY)), "Auth(hidden)");
        assert_eq!(
            auth("not base64!").sign_challenge("x").as_str().len(),
            SIGNATURE_LEN
        );
        assert!(Auth::new(&Secrets::default()).is_none());
    }

    proptest! {
        #[test]
        fn nonces_rise_and_two_nodes_never_make_the_same(steps in proptest::collection::vec(0u64..5_000, 1..60)) {
            let (mut one, mut other) = (Nonces::new(0), Nonces::new(7));
            let (mut now, mut before) = (1_700_000_000_000_000_000, (0, 0));
            for step in steps {
                now += step;
                let made = (one.next(UnixNanos(now)), other.next(UnixNanos(now)));
                prop_assert!(made.0 > before.0 && made.1 > before.1);
                prop_assert_eq!((made.0 % 10, made.1 % 10), (0, 7));
                before = made;
            }
        }
    }

    /// Every known answer of the shared file under the spot scheme, which our token request uses.
    #[test]
    fn every_shared_spot_vector() {
        let Some(dir) = tests_venues::captures::dir("kraken-futures") else {
            return;
        };
        let text = std::fs::read_to_string(dir.join("../auth-vectors.json")).unwrap();
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut count = 0;
        for vector in file["vectors"].as_array().unwrap() {
            if vector["venue"] != "kraken" {
                continue;
            }
            let auth = auth(vector["secret"].as_str().unwrap());
            let part = |name: &str| vector["signed_payload"][name].as_str().unwrap();
            let made = auth.sign_spot(part("path"), part("nonce"), part("postdata"));
            assert_eq!(made.as_str(), vector["signature"], "{}", vector["case"]);
            count += 1;
        }
        assert!(count >= 8, "only {count} vectors found");
    }
}
