//! Signing: HMAC-SHA256 hex for REST and unauthenticated WS-API requests, Ed25519 for session log-on.
//!
//! ```text
//! REST     query string immediately followed by body, as sent, without `signature`
//! WS-API   every parameter but `signature`, sorted by name, k=v joined by &, raw UTF-8
//! ```
//! A session logged on by Ed25519 needs no signature per order; one signature costs tens of
//! microseconds, once per connection. The HMAC key is kept as its precomputed state.
//! Source: venue page, section 5, read 2026-11-20.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dp_venue_api::Secrets;
use ring::hmac;
use ring::signature::Ed25519KeyPair;

/// Bytes of a signature's text: 64 hex digits, or 64 bytes in base64.
const TEXT_MAX: usize = 88;

/// A signature as the venue wants it: hex or base64 text in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    text: [u8; TEXT_MAX],
    len: usize,
}

impl Signature {
    /// The text. Base64 must be percent-encoded where it goes into a query.
    pub fn as_str(&self) -> &str {
        self.text
            .get(..self.len)
            .and_then(|text| core::str::from_utf8(text).ok())
            .unwrap_or("")
    }
}

/// Why key material cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Not a PKCS#8 PEM of an Ed25519 private key.
    #[error("the Ed25519 key is not a PKCS#8 PEM private key")]
    Ed25519,
}

/// Key material, ready to sign. `Debug` shows nothing of it.
pub struct Auth {
    api_key: String,
    hmac: hmac::Key,
    ed25519: Option<Ed25519KeyPair>,
}

impl core::fmt::Debug for Auth {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Auth(hidden)")
    }
}

impl Auth {
    /// Prepares the keys. `Ok(None)` without an API key: market data only.
    ///
    /// Errors: [`KeyFault`].
    pub fn new(secrets: &Secrets) -> Result<Option<Self>, KeyFault> {
        if secrets.api_key.is_empty() {
            return Ok(None);
        }
        let pem = secrets.ed25519_pem.trim();
        let ed25519 = if pem.is_empty() {
            None
        } else {
            Some(key_pair(pem)?)
        };
        Ok(Some(Self {
            api_key: secrets.api_key.clone(),
            hmac: hmac::Key::new(hmac::HMAC_SHA256, secrets.api_secret.as_bytes()),
            ed25519,
        }))
    }

    /// The key's public name.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Whether sessions can be logged on, so that orders need no signature.
    pub const fn can_log_on(&self) -> bool {
        self.ed25519.is_some()
    }

    /// HMAC-SHA256 in hex: REST and per-request WS-API. Cost: no allocation.
    pub fn sign_hmac(&self, payload: &[u8]) -> Signature {
        let tag = hmac::sign(&self.hmac, payload);
        let mut signature = Signature {
            text: [0; TEXT_MAX],
            len: 64,
        };
        for (pair, byte) in signature.text.chunks_exact_mut(2).zip(tag.as_ref()) {
            let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
            if let [high, low] = pair {
                (*high, *low) = (digit(byte >> 4), digit(*byte));
            }
        }
        signature
    }

    /// Ed25519 in base64, where a key was given; else HMAC.
    pub fn sign(&self, payload: &[u8]) -> Signature {
        let Some(pair) = &self.ed25519 else {
            return self.sign_hmac(payload);
        };
        let mut signature = Signature {
            text: [0; TEXT_MAX],
            len: TEXT_MAX,
        };
        // 64 bytes always make 88 characters; the error arm cannot be reached.
        let written = STANDARD.encode_slice(pair.sign(payload), &mut signature.text);
        signature.len = written.unwrap_or(0);
        signature
    }
}

fn key_pair(pem: &str) -> Result<Ed25519KeyPair, KeyFault> {
    let body: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let der = STANDARD
        .decode(body.trim())
        .map_err(|_| KeyFault::Ed25519)?;
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| KeyFault::Ed25519)
}

/// Percent-encodes what a base64 signature holds beside letters and digits.
pub fn percent_encode(signature: &str) -> String {
    signature
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
    const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";

    fn auth(pem: &str) -> Auth {
        let secrets = Secrets {
            api_key: KEY.into(),
            api_secret: SECRET.into(),
            passphrase: String::new(),
            ed25519_pem: pem.into(),
        };
        Auth::new(&secrets).unwrap().unwrap()
    }

    /// The venue's published examples (venue page, section 5).
    #[test]
    fn published_hmac_vectors() {
        let ws = format!(
            "apiKey={KEY}&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT\
             &timeInForce=GTC&timestamp=1645423376532&type=LIMIT"
        );
        let wide = format!(
            "apiKey={KEY}&price=0.10000000&quantity=1.00000000&recvWindow=5000&side=BUY\
             &symbol=１２３４５６&timeInForce=GTC&timestamp=1645423376532&type=LIMIT"
        );
        let rest = "side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000\
                    &timestamp=1499827319559";
        let encoded = "symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&";
        for (payload, want) in [
            (
                format!("symbol=LTCBTC&{rest}"),
                "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
            ),
            (
                format!("{encoded}{rest}"),
                "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
            ),
            (
                ws,
                "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24",
            ),
            (
                wide,
                "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd",
            ),
        ] {
            assert_eq!(
                auth("").sign(payload.as_bytes()).as_str(),
                want,
                "{payload}"
            );
        }
    }

    const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u\n\
        -----END PRIVATE KEY-----\n";

    #[test]
    fn published_ed25519_vectors() {
        let auth = auth(PEM);
        assert!(auth.can_log_on());
        let logon = "A\u{1}EXAMPLE\u{1}SPOT\u{1}1\u{1}20240627-11:17:25.223";
        assert_eq!(
            auth.sign(logon.as_bytes()).as_str(),
            "4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA=="
        );
        assert_eq!(
            auth.sign(b"apiKey=EXAMPLEKEY&timestamp=1649729878532")
                .as_str(),
            "xxv3sQkKJdhp2JsB+cjUY1tna6/E0430UZXZMfgRwd6GvzSbk4IgXBOM251xVL1pC8ULfmWEuQ6aZiBDfgD5Bg=="
        );
    }

    #[test]
    fn bad_keys_are_refused_and_nothing_prints() {
        let secrets = Secrets {
            api_key: "k".into(),
            ed25519_pem: "junk".into(),
            ..Secrets::default()
        };
        assert_eq!(Auth::new(&secrets).map(|_| ()), Err(KeyFault::Ed25519));
        assert!(Auth::new(&Secrets::default()).unwrap().is_none());
        assert_eq!(format!("{:?}", auth(PEM)), "Auth(hidden)");
    }

    #[test]
    fn base64_is_encoded_for_queries() {
        assert_eq!(percent_encode("a+b/c="), "a%2Bb%2Fc%3D");
    }
}
