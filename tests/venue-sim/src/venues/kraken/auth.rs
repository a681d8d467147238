//! Signatures, nonces, tokens.

use super::reply::Refused;
use crate::core::{Core, Request};
use crate::engine::AccountId;
use crate::keys::unbase64;
use crate::venues::query_pairs;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::{digest, hmac};
use serde_json::Value;
use std::collections::BTreeMap;

/// How long a token may wait for its first use.
const TOKEN_NS: u64 = 900 * 1_000_000_000;
/// Tokens kept, whatever their age.
const TOKENS_MAX: usize = 1_000;

/// The parameters of a request's body, form or JSON; `None` when it is neither.
pub fn parameters(body: &str) -> Option<Value> {
    if body.starts_with('{') {
        return serde_json::from_str(body).ok();
    }
    let pairs = query_pairs(body).into_iter();
    Some(Value::Object(
        pairs
            .map(|(key, value)| (key, Value::String(value)))
            .collect(),
    ))
}

/// Checks a signed request and its nonce. Errors: `EAPI:Invalid key`, `signature`, `nonce`.
pub fn rest(
    core: &Core,
    nonces: &mut BTreeMap<AccountId, u64>,
    request: &Request,
) -> Result<(AccountId, Value), Refused> {
    let key = request
        .header("api-key")
        .and_then(|name| core.credential(name))
        .ok_or_else(|| Refused::new("EAPI:Invalid key"))?;
    let parameters = parameters(&request.body).unwrap_or(Value::Null);
    let nonce = match parameters.get("nonce") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => return Err(Refused::new("EAPI:Invalid nonce")),
    };
    let signed = signed(&request.path, &nonce, &request.body);
    let sign = request.header("api-sign").and_then(unbase64);
    if !key.is_hmac(hmac::HMAC_SHA512, &signed, sign) {
        return Err(Refused::new("EAPI:Invalid signature"));
    }
    let last = nonces.entry(key.account).or_default();
    match nonce.parse::<u64>() {
        Ok(nonce) if nonce > *last => *last = nonce,
        _ => return Err(Refused::new("EAPI:Invalid nonce")),
    }
    Ok((key.account, parameters))
}

/// What is signed: the path, then the SHA-256 of the nonce and the body that holds it.
fn signed(path: &str, nonce: &str, body: &str) -> Vec<u8> {
    let hash = digest::digest(&digest::SHA256, format!("{nonce}{body}").as_bytes());
    [path.as_bytes(), hash.as_ref()].concat()
}

/// Tokens given out and not yet too old to be used.
#[derive(Debug, Default)]
pub struct Tokens {
    issued: Vec<(String, AccountId, u64)>,
    count: u64,
}

impl Tokens {
    /// A new token.
    pub fn issue(&mut self, now: u64, account: AccountId) -> String {
        self.issued.retain(|(_, _, born)| now - born < TOKEN_NS);
        if self.issued.len() >= TOKENS_MAX {
            self.issued.remove(0);
        }
        self.count += 1;
        let text = format!("{account} {now} {}", self.count);
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        let token = STANDARD_NO_PAD.encode(hash.as_ref());
        self.issued.push((token.clone(), account, now));
        token
    }

    /// Whose a token is, while it may be used.
    pub fn account(&self, now: u64, token: &str) -> Option<AccountId> {
        self.issued
            .iter()
            .find(|(known, _, born)| known == token && now - born < TOKEN_NS)
            .map(|(_, account, _)| *account)
    }

    /// Makes all of them worthless.
    pub fn clear(&mut self) {
        self.issued.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published vector of the REST guide, and one with a JSON body.
    #[test]
    fn signature_vectors() {
        let secret = unbase64(
            "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==",
        );
        let key = hmac::Key::new(hmac::HMAC_SHA512, &secret.unwrap());
        for (body, sign) in [
            (
                "nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25",
                "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ==",
            ),
            (
                r#"{"nonce":"1616492376594","ordertype":"limit","pair":"XBTUSD","price":"37500","type":"buy","volume":"1.25"}"#,
                "r/o+GpKxXjV/mls/r5CKLu5R+yzK5psqvQ4hXxMX1nzdxTBhV+ui82QGgPZMMitpFwCOAdPEZMmXgZxD2chJEg==",
            ),
        ] {
            let made = signed("/0/private/AddOrder", "1616492376594", body);
            assert!(hmac::verify(&key, &made, &unbase64(sign).unwrap()).is_ok());
        }
    }

    #[test]
    fn tokens_grow_old() {
        let mut tokens = Tokens::default();
        let (first, second) = (tokens.issue(0, 1), tokens.issue(0, 2));
        assert_ne!(first, second);
        assert_eq!(tokens.account(TOKEN_NS - 1, &second), Some(2));
        assert_eq!(tokens.account(TOKEN_NS, &first), None);
        for _ in 0..TOKENS_MAX {
            tokens.issue(0, 1);
        }
        assert_eq!(tokens.issued.len(), TOKENS_MAX);
    }
}
