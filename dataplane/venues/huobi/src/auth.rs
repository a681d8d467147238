//! Signing: REST targets and the login of both private sockets, all base64(HMAC-SHA256).
//!
//! ```text
//! METHOD \n host \n path \n parameters sorted by name, percent-encoded, joined by &
//!
//! REST     AccessKeyId, SignatureMethod, SignatureVersion=2, Timestamp + the call's own; the signature joins them.
//!          A body is not signed
//! sockets  accessKey, signatureMethod, signatureVersion=2.1, timestamp; the signature goes into a frame as it is
//! ```
//! The host is the one connected to: each has its own signature. Times are whole seconds, UTC, without a zone.
//! Orders go over a logged-in socket and carry no signature. Key life: none; a login lasts as long as its link.
//! Source: venue page, section 5, read 2026-11-20.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dp_venue_api::{Hash, HmacKey, RestMethod, Secrets};
use dp_wire::buf::{Buf, Overflow};
use dp_wire::json::write::Object;
use dp_wire::time::TimeText;

/// Bytes of a signature in base64: 32 bytes in groups of three.
pub const SIGNATURE_LEN: usize = 44;
/// Longest login message: the key is some 36 characters.
pub const LOGIN_MAX: usize = 1_024;

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

/// A time in whole seconds, `2017-05-11T15:19:30`, in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp([u8; 19]);

impl Stamp {
    /// From Unix milliseconds.
    pub fn from_millis(unix_ms: u64) -> Self {
        let text = TimeText::plain_seconds(unix_ms.saturating_mul(1_000_000));
        Self::parse(text.as_str()).unwrap_or(Self([b'0'; 19]))
    }

    /// From its text. `None` when it is not of that form; whether there is such a day is not asked.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 19] = text.as_bytes().try_into().ok()?;
        let form = b"0000-00-00T00:00:00".iter().zip(&bytes);
        let is_form = |(want, have): (&u8, &u8)| match want {
            b'0' => have.is_ascii_digit(),
            mark => mark == have,
        };
        form.into_iter().all(is_form).then_some(Self(bytes))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or("")
    }
}

/// Appends `text` percent-encoded after RFC 3986, hex digits in upper case.
pub fn push_encoded(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
            continue;
        }
        out.push('%');
        for digit in [byte >> 4, byte & 15] {
            out.push(char::from(
                HEX.get(usize::from(digit)).copied().unwrap_or(b'0'),
            ));
        }
    }
}

/// The parameters of a REST request: the venue's four and the call's own (encoded already), sorted by name.
fn rest_parameters(api_key: &str, stamp: &Stamp, own: &str) -> String {
    let mut joined = String::from("AccessKeyId=");
    push_encoded(api_key, &mut joined);
    joined.push_str("&SignatureMethod=HmacSHA256&SignatureVersion=2&Timestamp=");
    push_encoded(stamp.as_str(), &mut joined);
    // The venue's own names begin in lower case, which sorts behind.
    let mut own: Vec<_> = own.split('&').filter(|pair| !pair.is_empty()).collect();
    own.sort_unstable();
    for pair in own {
        joined.push('&');
        joined.push_str(pair);
    }
    joined
}

/// What a login to the socket at `path` of `host` signs.
pub fn login_payload(api_key: &str, host: &str, path: &str, stamp: &Stamp) -> String {
    let mut text = format!("GET\n{}\n{path}\naccessKey=", host.to_ascii_lowercase());
    push_encoded(api_key, &mut text);
    text.push_str("&signatureMethod=HmacSHA256&signatureVersion=2.1&timestamp=");
    push_encoded(stamp.as_str(), &mut text);
    text
}

impl Auth {
    /// Prepares the key. `None` without an API key: market data only.
    pub fn new(secrets: &Secrets) -> Option<Self> {
        if secrets.api_key.is_empty() {
            return None;
        }
        Some(Self {
            api_key: secrets.api_key.clone(),
            key: HmacKey::new(Hash::Sha256, secrets.api_secret.as_bytes()),
        })
    }

    /// The key's public name.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Signs a text. Cost: no allocation.
    pub fn sign(&self, text: &[u8]) -> Signature {
        let mut base64 = [b'='; SIGNATURE_LEN];
        // 32 bytes always make 44 characters; the error arm cannot be reached.
        let _ = STANDARD.encode_slice(self.key.sign(&[text]), &mut base64);
        Signature(base64)
    }

    /// What a REST request signs. `query` is the call's own, without a question mark.
    pub fn rest_payload(
        &self,
        method: RestMethod,
        host: &str,
        path: &str,
        query: &str,
        stamp: &Stamp,
    ) -> String {
        let joined = rest_parameters(&self.api_key, stamp, query);
        let host = host.to_ascii_lowercase();
        format!("{}\n{host}\n{path}\n{joined}", method.as_str())
    }

    /// The target of a REST request with its signature.
    pub fn target(
        &self,
        method: RestMethod,
        host: &str,
        path: &str,
        query: &str,
        stamp: &Stamp,
    ) -> String {
        let payload = self.rest_payload(method, host, path, query, stamp);
        let joined = payload.rsplit('\n').next().unwrap_or("");
        let mut target = format!("{path}?{joined}&Signature=");
        push_encoded(self.sign(payload.as_bytes()).as_str(), &mut target);
        target
    }

    /// The login frame for the socket at `path` of `host`.
    ///
    /// Errors: [`Overflow`] when the key is longer than the message may be.
    pub fn write_login(
        &self,
        host: &str,
        path: &str,
        stamp: &Stamp,
        out: &mut Buf<LOGIN_MAX>,
    ) -> Result<(), Overflow> {
        let payload = login_payload(&self.api_key, host, path, stamp);
        let signature = self.sign(payload.as_bytes());
        out.clear();
        let mut frame = Object::new(out);
        frame.str("action", "req").str("ch", "auth");
        let mut params = frame.object("params");
        params
            .str("authType", "api")
            .str("accessKey", &self.api_key)
            .str("signatureMethod", "HmacSHA256")
            .str("signatureVersion", "2.1")
            .str("timestamp", stamp.as_str())
            .str("signature", signature.as_str());
        params.end();
        frame.end();
        out.finish().map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(secret: &str) -> Auth {
        Auth::new(&Secrets {
            api_key: "e2xxxxxx-99xxxxxx-84xxxxxx-7xxxx".into(),
            api_secret: secret.into(),
            ..Secrets::default()
        })
        .unwrap()
    }

    const SECRET_A: &str = "b0xxxxxx-c6xxxxxx-94xxxxxx-dxxxx";
    /// 2017-05-11T15:19:30, 2019-09-01T18:16:16 and 2023-11-14T22:13:20.
    const TIMES_MS: [u64; 3] = [1_494_515_970_000, 1_567_361_776_999, 1_700_000_000_000];

    /// Vectors 1, 2 and 5 of the venue page; the first two are published.
    #[test]
    fn rest_vectors_of_the_venue_page() {
        use RestMethod::{Get, Post};
        let order = "order-id=1234567890";
        for (secret, method, host, path, query, ms, signature) in [
            (
                SECRET_A,
                Get,
                "be.huobi.com",
                "/v1/order/orders",
                order,
                TIMES_MS[0],
                "4F65x5A2bLyMWVQj3Aqp+B4w+ivaA7n5Oi2SuYtCJ9o=",
            ),
            (
                "XXXXXXXXXX",
                Get,
                "API.huobi.pro",
                "/v1/order/orders",
                order,
                TIMES_MS[0],
                "2ZQ7/roKBjdnAv8z5DymwzgSaOPyPgJl0BIlq9fa94w=",
            ),
            (
                SECRET_A,
                Post,
                "api.huobi.pro",
                "/v1/order/orders/place",
                "",
                TIMES_MS[2],
                "sgR6kwOsHLzTU6gmgjKjpPyg8xnGFZ/Kdb1ThmA9nV8=",
            ),
        ] {
            let (auth, stamp) = (auth(secret), Stamp::from_millis(ms));
            let payload = auth.rest_payload(method, host, path, query, &stamp);
            assert_eq!(auth.sign(payload.as_bytes()).as_str(), signature, "{path}");
            let mut encoded = String::new();
            push_encoded(signature, &mut encoded);
            let target = auth.target(method, host, path, query, &stamp);
            assert!(
                target.ends_with(&format!("&Signature={encoded}")),
                "{target}"
            );
        }
    }

    #[test]
    fn parameters_are_sorted_and_encoded() {
        let stamp = Stamp::from_millis(TIMES_MS[0]);
        assert_eq!(
            auth(SECRET_A).rest_payload(
                RestMethod::Get,
                "be.huobi.com",
                "/v1/order/orders",
                "order-id=1234567890",
                &stamp
            ),
            concat!(
                "GET\nbe.huobi.com\n/v1/order/orders\n",
                "AccessKeyId=e2xxxxxx-99xxxxxx-84xxxxxx-7xxxx&SignatureMethod=HmacSHA256",
                "&SignatureVersion=2&Timestamp=2017-05-11T15%3A19%3A30&order-id=1234567890"
            )
        );
        let joined = rest_parameters("k", &stamp, "symbol=btcusdt&account-id=1&size=500");
        assert!(
            joined.ends_with("30&account-id=1&size=500&symbol=btcusdt"),
            "{joined}"
        );
    }

    /// Vectors 3, 4 and 5b of the venue page.
    #[test]
    fn login_vectors_of_the_venue_page() {
        let stamp = Stamp::from_millis(TIMES_MS[1]);
        for (host, path, signature) in [
            (
                "api.huobi.pro",
                "/ws/v2",
                "axtO0jdyWXVW/kMs0WefT2OvjoacWnJte/hJOc66pW4=",
            ),
            (
                "api-aws.huobi.pro",
                "/ws/v2",
                "NmxbMNjER+la+uKKLz+IFGOjiebD8AKbQEMJrDQRAMQ=",
            ),
            (
                "api.huobi.pro",
                "/ws/trade",
                "naR4CgTai2YrEpnbrnPTfOshp1lGdpnkIpIWHKnvCHU=",
            ),
        ] {
            let mut out = Buf::new();
            auth(SECRET_A)
                .write_login(host, path, &stamp, &mut out)
                .unwrap();
            assert_eq!(
                core::str::from_utf8(out.as_bytes()).unwrap(),
                format!(
                    concat!(
                        r#"{{"action":"req","ch":"auth","params":{{"authType":"api","#,
                        r#""accessKey":"e2xxxxxx-99xxxxxx-84xxxxxx-7xxxx","#,
                        r#""signatureMethod":"HmacSHA256","signatureVersion":"2.1","#,
                        r#""timestamp":"2019-09-01T18:16:16","signature":"{}"}}}}"#
                    ),
                    signature
                )
            );
        }
    }

    /// Vectors 6 to 8 of the venue page: the swap sockets sign like REST.
    #[test]
    fn swap_socket_vectors_of_the_venue_page() {
        let stamp = Stamp::from_millis(TIMES_MS[2]);
        for (path, signature) in [
            (
                "/linear-swap-notification",
                "OLaUqWcvLp1gw4EuRa3Lc8a7s8PHHhCT/x8848NxffY=",
            ),
            (
                "/ws/v5/notification",
                "Zx2D6TB+YWjgNYg8nDhE1lCZh4cJRSmyadNI40uVAsY=",
            ),
            (
                "/linear-swap-trade",
                "ddUh+yOhWCSwNG1L4p7obuDkxb7j3hp5/VftbVAiILA=",
            ),
        ] {
            let auth = auth(SECRET_A);
            let payload = auth.rest_payload(RestMethod::Get, "api.hbdm.com", path, "", &stamp);
            assert_eq!(auth.sign(payload.as_bytes()).as_str(), signature, "{path}");
        }
    }

    #[test]
    fn stamps_know_leap_days_and_ends() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_400_999, "2000-02-29T00:00:00"),
            (1_700_000_000_123, "2023-11-14T22:13:20"),
            (4_107_542_400_000, "2100-03-01T00:00:00"),
        ] {
            assert_eq!(Stamp::from_millis(ms).as_str(), text);
            assert_eq!(Stamp::parse(text), Some(Stamp::from_millis(ms)));
        }
    }

    #[test]
    fn debug_hides_the_key() {
        assert_eq!(format!("{:?}", auth("s")), "Auth(hidden)");
    }
}
