//! Signing for Advanced Trade: a JWT for each request, by Ed25519 or ECDSA over P-256. For `spinlane venue sign`:
//! no link of ours speaks Advanced Trade.
//!
//! ```text
//! base64url(header) + "." + base64url(claims) + "." + base64url(signature)
//! header   {"alg":"EdDSA"|"ES256","kid":K,"nonce":N,"typ":"JWT"}
//! claims   {"sub":K,"iss":"cdp","nbf":T,"exp":T+120,"uri":"GET host/path"}     no "uri" for a WebSocket
//! ```
//! An Ed25519 secret is base64 of 32 or 64 bytes, the first 32 the seed. An EC secret is a PEM, SEC 1 or PKCS#8,
//! whose public half is in it. An ES256 signature is r and s, 64 bytes, not DER.
//! Source: venue page, section B5; RFC 7515, RFC 8037, RFC 5915.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};

/// How long a token serves, seconds.
pub const LIFE_S: u64 = 120;

/// Why no token could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Neither base64 of an Ed25519 key nor PEM of a P-256 key.
    #[error(
        "the secret is neither base64 of an Ed25519 key nor the PEM of a P-256 key with its public half"
    )]
    Secret,
    /// The random source failed: ECDSA needs one.
    #[error("no random numbers")]
    Random,
}

/// A key of Advanced Trade. `Debug` shows nothing of it.
pub struct JwtKey {
    name: String,
    pair: Pair,
}

enum Pair {
    Ed25519(Box<Ed25519KeyPair>),
    P256(Box<EcdsaKeyPair>),
}

impl core::fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("JwtKey(hidden)")
    }
}

/// The bytes behind an ASN.1 head, where `text` holds one.
fn after<'a>(der: &'a [u8], head: &[u8], len: usize) -> Option<&'a [u8]> {
    let start = der.windows(head.len()).position(|part| part == head)? + head.len();
    der.get(start..start + len)
}

/// Private and public half of a P-256 key in SEC 1 or PKCS#8: version 1 and 32 bytes, and a bit string of an
/// uncompressed point.
fn p256(pem: &str) -> Result<EcdsaKeyPair, JwtError> {
    let base64: String = pem
        .replace("\\n", "\n")
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let der = STANDARD.decode(base64).map_err(|_| JwtError::Secret)?;
    let private = after(&der, &[2, 1, 1, 4, 32], 32).ok_or(JwtError::Secret)?;
    let public = after(&der, &[3, 0x42, 0], 65).ok_or(JwtError::Secret)?;
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public, &SystemRandom::new())
        .map_err(|_| JwtError::Secret)
}

impl JwtKey {
    /// Prepares a key; `name` is its public one (`organizations/…/apiKeys/…`). Errors: [`JwtError::Secret`].
    pub fn new(name: &str, secret: &str) -> Result<Self, JwtError> {
        let secret = secret.trim();
        let pair = if secret.contains("-----BEGIN") {
            Pair::P256(Box::new(p256(secret)?))
        } else {
            let bytes = STANDARD.decode(secret).map_err(|_| JwtError::Secret)?;
            let seed = bytes
                .get(..32)
                .filter(|_| matches!(bytes.len(), 32 | 64))
                .ok_or(JwtError::Secret)?;
            let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| JwtError::Secret)?;
            Pair::Ed25519(Box::new(pair))
        };
        Ok(Self {
            name: name.to_owned(),
            pair,
        })
    }

    /// What is signed: header and claims. `uri` is `METHOD host/path` without the query, or empty for a WebSocket.
    pub fn payload(&self, nonce: &str, unix_s: u64, uri: &str) -> String {
        let algorithm = match self.pair {
            Pair::Ed25519(_) => "EdDSA",
            Pair::P256(_) => "ES256",
        };
        let name = quoted(&self.name);
        let header = format!(
            r#"{{"alg":"{algorithm}","kid":{name},"nonce":{},"typ":"JWT"}}"#,
            quoted(nonce)
        );
        let until = unix_s.saturating_add(LIFE_S);
        let mut claims = format!(r#"{{"sub":{name},"iss":"cdp","nbf":{unix_s},"exp":{until}"#);
        if !uri.is_empty() {
            claims = format!(r#"{claims},"uri":{}"#, quoted(uri));
        }
        claims.push('}');
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}", encode(header), encode(claims))
    }

    /// The signature part of a token. Errors: [`JwtError::Random`], with a P-256 key only.
    pub fn sign(&self, payload: &str) -> Result<String, JwtError> {
        Ok(match &self.pair {
            Pair::Ed25519(pair) => URL_SAFE_NO_PAD.encode(pair.sign(payload.as_bytes())),
            Pair::P256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), payload.as_bytes());
                URL_SAFE_NO_PAD.encode(signature.map_err(|_| JwtError::Random)?)
            }
        })
    }
}

/// A nonce that was never used: 16 random bytes in hex. Errors: [`JwtError::Random`].
pub fn nonce() -> Result<String, JwtError> {
    let mut bytes = [0; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| JwtError::Random)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// A JSON string. Names, nonces and paths hold nothing to escape; what does is escaped all the same.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, KeyPair as _, UnparsedPublicKey};

    const NAME: &str = "organizations/fake-org/apiKeys/fake-key";
    const NONCE: &str = "00112233445566778899aabbccddeeff";
    const URI: &str = "GET api.coinbase.com/api/v3/brokerage/accounts";
    /// The venue page's Ed25519 seed.
    const SEED: [u8; 32] = [
        0x82, 0x44, 0x61, 0x6b, 0x46, 0x06, 0xb8, 0x40, 0x0a, 0x66, 0xfd, 0x0e, 0xfc, 0xbe, 0xa9,
        0xaf, 0x16, 0x11, 0xfd, 0x25, 0x40, 0xe9, 0x75, 0xb3, 0x80, 0x8b, 0x20, 0x00, 0x7d, 0x9b,
        0xcf, 0x6e,
    ];

    #[test]
    fn ed25519_vector_of_the_venue_page() {
        let mut long = SEED.to_vec();
        long.extend([0; 32]);
        for secret in [STANDARD.encode(SEED), STANDARD.encode(&long)] {
            let key = JwtKey::new(NAME, &secret).unwrap();
            let payload = key.payload(NONCE, 1_700_000_000, URI);
            let (header, claims) = payload.split_once('.').unwrap();
            let text = |part| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
            assert_eq!(
                text(header),
                r#"{"alg":"EdDSA","kid":"organizations/fake-org/apiKeys/fake-key","nonce":"00112233445566778899aabbccddeeff","typ":"JWT"}"#
            );
            assert_eq!(
                text(claims),
                r#"{"sub":"organizations/fake-org/apiKeys/fake-key","iss":"cdp","nbf":1700000000,"exp":1700000120,"uri":"GET api.coinbase.com/api/v3/brokerage/accounts"}"#
            );
            assert_eq!(
                key.sign(&payload).unwrap(),
                "WibNFLciVPQ8rVPg-VkBeuHCUq94wu3U9yTaz4q6U1cA_5bKVyJHxPULzaSBSqKPms6ogJmEmDLu4jTratO8AQ"
            );
        }
    }

    /// A fresh key, written as the venue issues it: what is signed verifies with its public half.
    #[test]
    fn p256_signatures_verify() {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        let public = pair.public_key().as_ref().to_vec();
        // RFC 5915: what the PKCS#8 wraps, and the curve's name.
        let private = after(pkcs8.as_ref(), &[2, 1, 1, 4, 32], 32).unwrap();
        let curve = [0xa0, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        let mut sec1 = vec![0x30, 0x77, 2, 1, 1, 4, 32];
        sec1.extend(private);
        sec1.extend(curve);
        sec1.extend([0xa1, 0x44, 3, 0x42, 0]);
        sec1.extend(&public);
        for (name, der) in [
            ("EC PRIVATE KEY", sec1.as_slice()),
            ("PRIVATE KEY", pkcs8.as_ref()),
        ] {
            let pem = format!(
                "-----BEGIN {name}-----\n{}\n-----END {name}-----\n",
                STANDARD.encode(der)
            );
            for pem in [pem.clone(), pem.replace('\n', "\\n")] {
                let key = JwtKey::new(NAME, &pem).unwrap();
                let payload = key.payload(NONCE, 1_700_000_000, "");
                let signature = key.sign(&payload).unwrap();
                let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
                assert_eq!(signature.len(), 64, "r and s");
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &public)
                    .verify(payload.as_bytes(), &signature)
                    .unwrap();
            }
        }
    }

    #[test]
    fn nonces_differ() {
        let (one, other) = (nonce().unwrap(), nonce().unwrap());
        assert_eq!((one.len(), other.len()), (32, 32));
        assert_ne!(one, other);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for secret in [
            "",
            "!!",
            "AAAA",
            "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END",
        ] {
            let refused = JwtKey::new(NAME, secret);
            assert_eq!(refused.unwrap_err(), JwtError::Secret, "{secret}");
        }
    }
}
