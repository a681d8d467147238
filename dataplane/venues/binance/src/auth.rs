//! Signing: REST queries, WebSocket API parameters, the session logon, FIX logon.
//!
//! ```text
//! REST     query + body, as sent and in the order sent         → &signature= at the end
//! WS-API   parameters sorted by name, k=v joined by &, raw      → "signature" among the parameters
//! FIX      A SOH sender SOH target SOH seq SOH time             → RawData (96)
//! HMAC-SHA256: hex      Ed25519: base64 (percent-encoded inside a query)
//! ```
//! With an Ed25519 key the session is logged on once and orders carry no signature. Without one each
//! request is signed from `ring`'s precomputed HMAC state (the key's midstate). Key life: none; a logon
//! lasts as long as its link. RSA keys are not taken: slower than both and good for nothing more.
//! Source: venue page, section 5, read 2026-11-20.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dp_venue_api::{Hash, HmacKey, Locked, Secrets, Zeroizing, scrub};
use ring::signature::Ed25519KeyPair;

/// Words of the stack that an Ed25519 signature may leave something in.
const STACK_WORDS: usize = 1024;
/// Longest signature: 64 bytes of Ed25519 in base64.
pub const SIGNATURE_MAX: usize = 88;
/// Longest key name we take: the venue's have 64 characters.
pub const API_KEY_MAX: usize = 128;

/// How requests are signed.
enum Signer {
    Hmac(HmacKey),
    Ed25519(Locked<Ed25519KeyPair>),
}

/// Key material, ready to sign. `Debug` shows nothing of it.
pub struct Auth {
    api_key: String,
    signer: Signer,
}

impl core::fmt::Debug for Auth {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Auth(hidden)")
    }
}

/// Why key material cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The PEM is not an Ed25519 private key in PKCS#8.
    #[error("not an Ed25519 private key in PKCS#8 PEM")]
    Pem,
    /// An API key without a secret.
    #[error("neither a secret nor an Ed25519 key is given")]
    NoSecret,
    /// Longer than [`API_KEY_MAX`], or not printable ASCII.
    #[error("the API key is not a key of this venue")]
    ApiKey,
}

/// A signature as the venue wants it: hex or base64 text in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    bytes: [u8; SIGNATURE_MAX],
    len: usize,
}

impl Signature {
    /// The text.
    pub fn as_str(&self) -> &str {
        self.bytes
            .get(..self.len)
            .and_then(|bytes| core::str::from_utf8(bytes).ok())
            .unwrap_or("")
    }

    /// The text inside a query: base64's `+`, `/` and `=` percent-encoded.
    pub fn query_text(&self) -> String {
        self.as_str()
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D")
    }

    fn hex(bytes: &[u8]) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; SIGNATURE_MAX];
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let mut len = 0;
        for (slot, digit) in text.iter_mut().zip(digits) {
            *slot = HEX.get(usize::from(digit)).copied().unwrap_or(b'0');
            len += 1;
        }
        Self { bytes: text, len }
    }

    fn base64(bytes: &[u8]) -> Self {
        let mut text = [0; SIGNATURE_MAX];
        // 64 bytes always make 88 characters; the error arm cannot be reached.
        let len = STANDARD.encode_slice(bytes, &mut text).unwrap_or(0);
        Self { bytes: text, len }
    }
}

impl Signer {
    fn of_pem(pem: &str) -> Result<Self, AuthError> {
        let lines = pem.lines().map(str::trim);
        let lines = lines.filter(|line| !line.starts_with("-----"));
        let mut base64 = Zeroizing::new(String::with_capacity(pem.len()));
        base64.extend(lines);
        let der = STANDARD.decode(base64.as_bytes());
        let der = Zeroizing::new(der.map_err(|_| AuthError::Pem)?);
        // "Maybe unchecked": the venue's own tool writes PKCS#8 without the public half.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| AuthError::Pem)?;
        Ok(Self::Ed25519(Locked::of(pair)))
    }

    fn of_secret(secret: &str) -> Self {
        Self::Hmac(HmacKey::new(Hash::Sha256, secret.as_bytes()))
    }

    /// Signs one text. Cost: no allocation; HMAC about 1 µs, Ed25519 about 20 µs.
    fn sign(&self, payload: &[u8]) -> Signature {
        match self {
            Self::Hmac(key) => Signature::hex(key.sign(&[payload]).as_ref()),
            Self::Ed25519(pair) => {
                let signature = pair.sign(payload);
                scrub::<STACK_WORDS>();
                Signature::base64(signature.as_ref())
            }
        }
    }
}

impl Auth {
    /// Prepares the key: Ed25519 when a PEM is given, HMAC otherwise. `Ok(None)` without an API key:
    /// market data only. Errors: [`AuthError`].
    pub fn new(secrets: &Secrets) -> Result<Option<Self>, AuthError> {
        let api_key = &secrets.api_key;
        if api_key.is_empty() {
            return Ok(None);
        }
        if api_key.len() > API_KEY_MAX || !api_key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AuthError::ApiKey);
        }
        let signer = match (
            secrets.ed25519_pem.is_empty(),
            secrets.api_secret.is_empty(),
        ) {
            (false, _) => Signer::of_pem(&secrets.ed25519_pem)?,
            (true, false) => Signer::of_secret(&secrets.api_secret),
            (true, true) => return Err(AuthError::NoSecret),
        };
        Ok(Some(Self {
            api_key: api_key.clone(),
            signer,
        }))
    }

    /// The key's public name.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Whether the link can be logged on once (Ed25519) instead of signing each request.
    pub fn has_session(&self) -> bool {
        matches!(self.signer, Signer::Ed25519(_))
    }

    /// Signs one text.
    pub fn sign(&self, payload: &[u8]) -> Signature {
        self.signer.sign(payload)
    }

    /// A REST target with its signature: `path?query&signature=...`.
    pub fn sign_target(&self, path: &str, query: &str) -> String {
        let signature = self.sign(query.as_bytes()).query_text();
        format!("{path}?{query}&signature={signature}")
    }
}

/// A text and its signature, for tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What was signed.
    pub payload: String,
    /// Hex (HMAC) or base64 (Ed25519).
    pub signature: String,
}

/// Signs any payload with a secret: a PEM makes Ed25519, anything else HMAC-SHA256.
///
/// Errors: [`AuthError::Pem`]. For tools; the machine keeps its key prepared.
pub fn sign(secret: &str, payload: &str) -> Result<Signed, AuthError> {
    let signer = if secret.trim_start().starts_with("-----BEGIN") {
        Signer::of_pem(secret)?
    } else {
        Signer::of_secret(secret)
    };
    Ok(Signed {
        payload: payload.to_owned(),
        signature: signer.sign(payload.as_bytes()).as_str().to_owned(),
    })
}

/// Signs a REST request as sent: query and body in their order, a `signature` already in them left out.
pub fn sign_rest(secret: &str, query: &str, body: &str) -> Result<Signed, AuthError> {
    let unsigned = |text: &str| {
        text.split('&')
            .filter(|pair| !pair.starts_with("signature="))
            .collect::<Vec<_>>()
            .join("&")
    };
    sign(secret, &(unsigned(query) + &unsigned(body)))
}

/// Signs the parameters of a WebSocket API request: sorted by name, a `signature` left out, values raw.
pub fn sign_params(secret: &str, params: &[(&str, &str)]) -> Result<Signed, AuthError> {
    let mut params: Vec<_> = params
        .iter()
        .filter(|(name, _)| *name != "signature")
        .collect();
    params.sort_unstable();
    let pairs: Vec<_> = params
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    sign(secret, &pairs.join("&"))
}

/// What a FIX logon's signature is over: sender, target, sequence number and sending time as in its header.
pub fn fix_logon_payload([sender, target, sequence, time]: [&str; 4]) -> String {
    ["A", sender, target, sequence, time].join("\u{1}")
}

/// Signs a FIX logon; the fields are those of [`fix_logon_payload`].
pub fn sign_fix_logon(secret: &str, fields: [&str; 4]) -> Result<Signed, AuthError> {
    sign(secret, &fix_logon_payload(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
    const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
    /// The venue's published throw-away key, seed 8244616b...
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u\n\
        -----END PRIVATE KEY-----\n";

    fn secrets(key: &str, secret: &str, pem: &str) -> Secrets {
        Secrets {
            api_key: key.into(),
            api_secret: secret.into(),
            passphrase: dp_venue_api::Secret::default(),
            ed25519_pem: pem.into(),
        }
    }

    #[test]
    fn rest_vectors_of_the_venue_page() {
        let tail = "&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559";
        for (symbol, expected) in [
            (
                "symbol=LTCBTC",
                "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
            ),
            (
                "symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96",
                "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
            ),
        ] {
            let query = format!("{symbol}{tail}");
            assert_eq!(sign_rest(SECRET, &query, "").unwrap().signature, expected);
            // Divided over query and body, and with the signature already there, it is the same text.
            let (head, body) = query.split_at(40);
            let body = format!("{body}&signature=00");
            assert_eq!(sign_rest(SECRET, head, &body).unwrap().signature, expected);
        }
    }

    #[test]
    fn websocket_vectors_of_the_venue_page() {
        for (symbol, price, quantity, window, side, expected) in [
            (
                "BTCUSDT",
                "52000.00",
                "0.01000000",
                "100",
                "SELL",
                "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24",
            ),
            (
                "１２３４５６",
                "0.10000000",
                "1.00000000",
                "5000",
                "BUY",
                "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd",
            ),
        ] {
            let signed = sign_params(
                SECRET,
                &[
                    ("symbol", symbol),
                    ("side", side),
                    ("type", "LIMIT"),
                    ("timeInForce", "GTC"),
                    ("quantity", quantity),
                    ("price", price),
                    ("signature", "left out"),
                    ("recvWindow", window),
                    ("timestamp", "1645423376532"),
                    ("apiKey", KEY),
                ],
            )
            .unwrap();
            assert!(signed.payload.starts_with("apiKey=vmPU"));
            assert_eq!(signed.signature, expected);
        }
    }

    #[test]
    fn ed25519_vectors() {
        let logon = sign_fix_logon(PEM, ["EXAMPLE", "SPOT", "1", "20240627-11:17:25.223"]).unwrap();
        assert_eq!(
            logon.signature,
            "4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA=="
        );
        let session = sign_params(
            PEM,
            &[("timestamp", "1649729878532"), ("apiKey", "EXAMPLEKEY")],
        )
        .unwrap();
        assert_eq!(
            session.signature,
            "xxv3sQkKJdhp2JsB+cjUY1tna6/E0430UZXZMfgRwd6GvzSbk4IgXBOM251xVL1pC8ULfmWEuQ6aZiBDfgD5Bg=="
        );
    }

    #[test]
    fn base64_is_encoded_inside_a_query() {
        let auth = Auth::new(&secrets("EXAMPLEKEY", "", PEM)).unwrap().unwrap();
        assert!(auth.has_session());
        let target = auth.sign_target("/api/v3/account", "timestamp=1");
        let (_, signature) = target.split_once("&signature=").unwrap();
        assert!(
            !signature.contains(['+', '/', '=']) && signature.ends_with("%3D%3D"),
            "{signature}"
        );
    }

    #[test]
    fn unusable_keys_are_told() {
        let new = |key: &str, secret: &str, pem: &str| {
            Auth::new(&secrets(key, secret, pem)).map(|auth| auth.is_some())
        };
        assert_eq!(new("", "s", PEM), Ok(false));
        assert_eq!(new("k", "", ""), Err(AuthError::NoSecret));
        assert_eq!(new("k", "", "-----BEGIN X"), Err(AuthError::Pem));
        assert_eq!(new("k", "", "AAAA"), Err(AuthError::Pem));
        assert_eq!(new("k k", "s", ""), Err(AuthError::ApiKey));
        assert_eq!(new(&"k".repeat(129), "s", ""), Err(AuthError::ApiKey));
        let auth = Auth::new(&secrets("k", "s", "")).unwrap().unwrap();
        assert_eq!(format!("{auth:?}"), "Auth(hidden)");
    }

    /// Every Binance known answer of the shared file: spot, USD-M and the published ones.
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
            if vector["venue"] != "binance" {
                continue;
            }
            let field = |name: &str| vector[name].as_str().unwrap_or("");
            let (case, secret) = (field("case"), field("secret"));
            let signed = sign(secret, field("signed_payload")).unwrap();
            assert_eq!(signed.signature, field("signature"), "{case}");
            if let Some(request) = vector["request"].as_object() {
                let url = request["url"].as_str().unwrap();
                let (_, query) = url.split_once('?').unwrap_or((url, ""));
                let body = request.get("body").and_then(|b| b.as_str()).unwrap_or("");
                let made = sign_rest(secret, query, body).unwrap();
                assert_eq!(made.payload, field("signed_payload"), "{case}");
                assert_eq!(made.signature, field("signature"), "{case}");
            }
            count += 1;
        }
        assert!(count >= 17, "only {count} Binance vectors found");
    }
}
