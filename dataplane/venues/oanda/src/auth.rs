//! Who asks: the account in the path, its token in a field. Nothing is signed.
//!
//! ```text
//! GET /v3/accounts/101-001-0000001-001/pricing/stream?…
//! Authorization: Bearer TOKEN
//! ```
//! Keys file: `api_key` is the account's id, `api_secret` the token. A token lives until it is revoked.
//! Source: the venue's "Authentication" page, developer.oanda.com/rest-live-v20, read 2026-11-22.

use dp_venue_api::{Secret, Secrets, Zeroizing};

/// Why key material is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The account's id is missing, or has something else than letters, digits and dashes.
    #[error("api_key: use the account's id, such as 101-001-0000001-001")]
    Account,
    /// The token is missing, or has a blank or a byte that cannot be sent.
    #[error("api_secret: use the token as the venue shows it")]
    Token,
}

/// An account and its token. `Debug` shows nothing of the token.
#[derive(Debug)]
pub struct Auth {
    account: String,
    bearer: Secret,
}

impl Auth {
    /// Prepares the keys. Errors: [`AuthError`].
    pub fn new(secrets: &Secrets) -> Result<Self, AuthError> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let account = &secrets.api_key;
        if account.is_empty() || !account.bytes().all(is_name) {
            return Err(AuthError::Account);
        }
        let token: &str = &secrets.api_secret;
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AuthError::Token);
        }
        let bearer = Zeroizing::new(format!("Bearer {token}"));
        Ok(Self {
            account: account.clone(),
            bearer: Secret::new(&bearer).map_err(|_| AuthError::Token)?,
        })
    }

    /// The account's id.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The value of `Authorization`.
    pub fn bearer(&self) -> &str {
        &self.bearer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(account: &str, token: &str) -> Result<Auth, AuthError> {
        Auth::new(&Secrets {
            api_key: account.into(),
            api_secret: token.into(),
            ..Secrets::default()
        })
    }

    #[test]
    fn a_token_is_sent_as_it_is_and_never_shown() {
        let auth = of("101-001-0000001-001", "0123abcd-4567ef").unwrap();
        assert_eq!(auth.account(), "101-001-0000001-001");
        assert_eq!(auth.bearer(), "Bearer 0123abcd-4567ef");
        assert!(!format!("{auth:?}").contains("0123abcd"));
    }

    #[test]
    fn what_would_break_out_of_its_place_is_refused() {
        for account in ["", "101/001", "101 001", "101?x", "1\r\n"] {
            assert_eq!(
                of(account, "t").err(),
                Some(AuthError::Account),
                "{account:?}"
            );
        }
        let long = "t".repeat(4_088); // as long as a secret may be, and then a word before it
        for token in ["", "a b", "a\r\nHost: x", "\u{e4}", &long] {
            assert_eq!(of("1", token).err(), Some(AuthError::Token));
        }
    }
}
