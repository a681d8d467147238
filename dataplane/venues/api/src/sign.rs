//! HMAC over SHA-2: the signature of all but one of the ten venues. The key is hashed once, when it is made, and what
//! is left of it is in locked pages; what signing leaves on the stack is overwritten.
//!
//! Source: RFC 2104; the vectors of RFC 4231 are the tests.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use dp_secret::{Locked, Zeroizing, scrub};
use ring::hmac;
use std::sync::Arc;

/// Words of the stack that making or using a key may leave something in.
const STACK_WORDS: usize = 256;

/// Which hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// 32 bytes: Binance, OKX, Bybit, HTX, KuCoin, Deribit, Coinbase.
    Sha256,
    /// 48 bytes: Bitfinex.
    Sha384,
    /// 64 bytes: Kraken, Kraken Futures.
    Sha512,
}

/// A key, ready to sign. Neither printed nor compared: it is a secret.
#[derive(Clone)]
pub struct HmacKey(Arc<Locked<hmac::Key>>);

impl core::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HmacKey(..)")
    }
}

impl HmacKey {
    /// Prepares a key of any length.
    pub fn new(hash: Hash, secret: &[u8]) -> Self {
        let algorithm = match hash {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha384 => hmac::HMAC_SHA384,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        let key = Self::locked(algorithm, secret);
        scrub::<STACK_WORDS>();
        Self(Arc::new(key))
    }

    /// Prepares a key that the venue issued in base64. `None`: it is none.
    pub fn of_base64(hash: Hash, secret: &str) -> Option<Self> {
        let secret = Zeroizing::new(BASE64_STANDARD.decode(secret.trim()).ok()?);
        Some(Self::new(hash, &secret))
    }

    /// Signs the parts as if they were one text: 32, 48 or 64 bytes. Cost: no allocation.
    pub fn sign(&self, parts: &[&[u8]]) -> impl AsRef<[u8]> + use<> {
        let tag = self.tag(parts);
        scrub::<STACK_WORDS>();
        tag
    }

    // Of frames of their own, so that what they leave is below their caller's.
    #[inline(never)]
    fn locked(algorithm: hmac::Algorithm, secret: &[u8]) -> Locked<hmac::Key> {
        Locked::of(hmac::Key::new(algorithm, secret))
    }

    #[inline(never)]
    fn tag(&self, parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        context.sign()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String takes all");
            text
        })
    }

    /// RFC 4231, section 4: test cases 1, 2, 3 and 6.
    #[test]
    fn vectors_of_rfc_4231() {
        let long = [0xaa; 131];
        let cases: [(&[u8], &[u8], [&str; 3]); 4] = [
            (
                &[0x0b; 20],
                b"Hi There",
                [
                    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
                    "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
                    "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
                ],
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                [
                    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                    "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
                    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
                ],
            ),
            (
                &[0xaa; 20],
                &[0xdd; 50],
                [
                    "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
                    "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b2a5ab39dc13814b94e3ab6e101a34f27",
                    "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb",
                ],
            ),
            (
                &long,
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                [
                    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
                    "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952",
                    "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
                ],
            ),
        ];
        for (secret, text, wants) in cases {
            let hashes = [Hash::Sha256, Hash::Sha384, Hash::Sha512];
            for (hash, want) in hashes.into_iter().zip(wants) {
                let key = HmacKey::new(hash, secret);
                assert_eq!(hex(key.sign(&[text]).as_ref()), want, "{hash:?}");
                let (head, tail) = text.split_at(3);
                assert_eq!(hex(key.sign(&[head, tail]).as_ref()), want, "in parts");
            }
        }
    }

    #[test]
    fn a_key_is_not_told() {
        let key = HmacKey::new(Hash::Sha256, b"secret");
        assert_eq!(format!("{key:?}"), "HmacKey(..)");
    }
}
