//! API keys and signatures. The default keys are throwaway: they are printed here and open nothing but
//! this simulator.

use crate::engine::AccountId;
use crate::venues::Known;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::KeyPair as _;
use ring::{hmac, signature};
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Keys made when none are asked for: `(api key, secret, passphrase)`, then `-2`, `-3` for more.
pub const DEFAULT_KEY: (&str, &str, &str) = (
    "spinlane-sim-key",
    "spinlane-sim-secret-not-a-secret",
    "spinlane-sim-pass",
);

/// One API key and the account it opens.
#[derive(Clone)]
pub struct Credential {
    /// The public name.
    pub api_key: String,
    /// HMAC secret.
    pub api_secret: String,
    /// Passphrase (OKX).
    pub passphrase: String,
    /// Ed25519 seed; the same API key accepts either kind of signature.
    pub seed: [u8; 32],
    /// Whose.
    pub account: AccountId,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({})", self.api_key)
    }
}

impl Credential {
    /// The `number`-th default key, 1-based; its account has the same number.
    pub fn default_key(number: usize) -> Self {
        let suffix = if number == 1 {
            String::new()
        } else {
            format!("-{number}")
        };
        let (key, secret, passphrase) = DEFAULT_KEY;
        Self::new(
            format!("{key}{suffix}"),
            format!("{secret}{suffix}"),
            format!("{passphrase}{suffix}"),
            number,
        )
    }

    /// A key; the Ed25519 seed is derived from the secret, so that it too repeats.
    pub fn new(api_key: String, api_secret: String, passphrase: String, account: usize) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, api_secret.as_bytes());
        let mut seed = [0; 32];
        seed.copy_from_slice(digest.as_ref());
        Self {
            api_key,
            api_secret,
            passphrase,
            seed,
            account,
        }
    }

    /// Whether `sign` is HMAC-SHA256 of `text` in hex, either case.
    pub fn is_hex_hmac(&self, text: &[u8], sign: &str) -> bool {
        self.is_hmac(hmac::HMAC_SHA256, text, unhex(sign))
    }

    /// Whether `sign` is HMAC-SHA256 of `text` in base64.
    pub fn is_base64_hmac(&self, text: &[u8], sign: &str) -> bool {
        self.is_hmac(hmac::HMAC_SHA256, text, unbase64(sign))
    }

    /// Whether `tag` is the HMAC of `text`; `None` is not.
    pub fn is_hmac(&self, algorithm: hmac::Algorithm, text: &[u8], tag: Option<Vec<u8>>) -> bool {
        let key = hmac::Key::new(algorithm, self.api_secret.as_bytes());
        tag.is_some_and(|tag| hmac::verify(&key, text, &tag).is_ok())
    }

    /// The secret as venues give it out that use its bytes and print them in base64.
    pub fn secret_base64(&self) -> String {
        BASE64.encode(&self.api_secret)
    }

    /// Whether `sign` is the Ed25519 signature of `text` in base64.
    pub fn is_ed25519(&self, text: &[u8], sign: &str) -> bool {
        let Ok(pair) = signature::Ed25519KeyPair::from_seed_unchecked(&self.seed) else {
            return false;
        };
        let public =
            signature::UnparsedPublicKey::new(&signature::ED25519, pair.public_key().as_ref());
        BASE64
            .decode(sign)
            .is_ok_and(|signed| public.verify(text, &signed).is_ok())
    }

    /// The Ed25519 private key as PKCS#8 PEM (RFC 8410: a fixed prefix before the seed).
    pub fn ed25519_pem(&self) -> String {
        const PREFIX: [u8; 16] = [
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
            0x04, 0x20,
        ];
        let mut der = PREFIX.to_vec();
        der.extend_from_slice(&self.seed);
        format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            BASE64.encode(der)
        )
    }

    /// Writes a keys file (`api_key`, `api_secret`, `passphrase`, `ed25519_pem`), mode 0600.
    pub fn write(&self, path: &Path, venue: &Known, has_ed25519: bool) -> io::Result<()> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let secret = if venue.has_base64_secret {
            self.secret_base64()
        } else {
            self.api_secret.clone()
        };
        let mut text = format!(
            "# Throwaway keys of the simulator.\napi_key = \"{}\"\napi_secret = \"{secret}\"\n",
            self.api_key
        );
        if venue.has_passphrase {
            let _ = writeln!(text, "passphrase = \"{}\"", self.passphrase);
        }
        if has_ed25519 && venue.has_ed25519 {
            let _ = writeln!(text, "ed25519_pem = \"\"\"\n{}\"\"\"", self.ed25519_pem());
        }
        std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?
            .write_all(text.as_bytes())
    }
}

/// Bytes of base64 text.
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

/// Bytes of hex text, either case.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits = digits?;
    if digits.len() % 2 != 0 {
        return None;
    }
    Some(
        digits
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |sum, digit| sum << 4 | digit))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_secret(secret: &str) -> Credential {
        Credential::new("k".into(), secret.into(), "p".into(), 1)
    }

    #[test]
    fn binance_published_vectors() {
        let key = with_secret("NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j");
        let tail = "side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000\
                    &timestamp=1499827319559";
        for (symbol, sign) in [
            (
                "LTCBTC",
                "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
            ),
            (
                "%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96",
                "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
            ),
        ] {
            let text = format!("symbol={symbol}&{tail}");
            assert!(key.is_hex_hmac(text.as_bytes(), sign));
            assert!(key.is_hex_hmac(text.as_bytes(), &sign.to_uppercase()));
            assert!(!key.is_hex_hmac(text.as_bytes(), &sign.replace('c', "d")));
        }
    }

    #[test]
    fn okx_published_vectors() {
        let key = with_secret("chNOOS4KvNXR_Xq4k4c9qsfoKWvnDecLATCRlcBwyKDYnWgO");
        for (text, sign) in [
            (
                "2020-12-08T09:08:57.715ZGET/api/v5/account/balance",
                "PJ61e1nb2F2Qd7D8SPiaIcx2gjdELc+o0ygzre9z33k=",
            ),
            (
                "1538054050GET/users/self/verify",
                "ENpPNQ8mQv8YzDMPhBsB4SrjaKK+FaEh2nozTRW6KU0=",
            ),
        ] {
            assert!(key.is_base64_hmac(text.as_bytes(), sign));
            assert!(!key.is_base64_hmac(&text.as_bytes()[1..], sign));
        }
    }

    #[test]
    fn ed25519_vector_and_pem() {
        let mut key = with_secret("x");
        let seed = unhex("8244616b4606b8400a66fd0efcbea9af1611fd2540e975b3808b20007d9bcf6e");
        key.seed.copy_from_slice(&seed.unwrap());
        let sign = "xxv3sQkKJdhp2JsB+cjUY1tna6/E0430UZXZMfgRwd6GvzSbk4IgXBOM251xVL1pC8ULfmWEuQ6a\
                    ZiBDfgD5Bg==";
        assert!(key.is_ed25519(b"apiKey=EXAMPLEKEY&timestamp=1649729878532", sign));
        assert!(!key.is_ed25519(b"apiKey=EXAMPLEKEY&timestamp=1649729878533", sign));
        let pem = key.ed25519_pem();
        let body = pem.lines().nth(1).unwrap();
        let der = BASE64.decode(body).unwrap();
        assert!(signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).is_ok());
    }
}
