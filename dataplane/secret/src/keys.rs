//! The keys of one venue.

use crate::text::Secret;
use core::fmt;
use serde::Deserialize;

/// Key material of one venue, and the content of its `keys_file` (TOML). Never printed.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// The key's public name; empty = market data only.
    pub api_key: String,
    /// HMAC secret, as the venue issued it.
    pub api_secret: Secret,
    /// Passphrase, where the venue has one.
    pub passphrase: Secret,
    /// Ed25519 private key, PKCS#8 PEM, where the venue takes one (Binance `session.logon`); empty = none.
    pub ed25519_pem: Secret,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_keys() {
        let keys: Keys = toml::from_str("api_key = 'k'\napi_secret = \"s\\u0065c\"").unwrap();
        assert_eq!(
            (&*keys.api_key, &*keys.api_secret, &*keys.passphrase),
            ("k", "sec", "")
        );
        assert_eq!(format!("{keys:?}"), "Keys(hidden)");
        assert!(toml::from_str::<Keys>("api_sekret = 's'").is_err());
    }
}
