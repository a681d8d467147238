//! Signatures, nonces, tokens.
//!
//! ```text
//!  spot REST      path ++ SHA256(nonce ++ body)      API-Sign            ─▶ a token for the Unified WebSocket
//!  legacy REST    SHA256(data ++ nonce ++ path)      Authent, Nonce may be left out
//!  legacy feed    SHA256(challenge)                  signed_challenge
//! ```
//! All HMAC-SHA512 in base64. Source: venue page, section 6; `kraken.md`, section 5.

use super::reply::{Refused, Why};
use crate::core::{Core, Request};
use crate::engine::AccountId;
use crate::keys::{Credential, unbase64};
use crate::venues::query_pairs;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use ring::digest::{Context, SHA256};
use ring::hmac;
use std::collections::BTreeMap;

/// A token must be used within so long; then it lives as long as the connection it was used on.
const TOKEN_NS: u64 = 900_000_000_000;
/// Tokens kept; beyond it the oldest goes.
const TOKENS_MAX: usize = 1_000;

fn sha256(parts: &[&str]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part.as_bytes());
    }
    context.finish().as_ref().to_vec()
}

fn is_signed(key: &Credential, head: &str, digest: &[u8], sign: &str) -> bool {
    let signed = [head.as_bytes(), digest].concat();
    key.is_hmac(hmac::HMAC_SHA512, &signed, unbase64(sign))
}

/// The last nonce of each key and interface.
#[derive(Debug, Default)]
pub struct Nonces(BTreeMap<(AccountId, &'static str), u64>);

impl Nonces {
    fn take(&mut self, key: (AccountId, &'static str), text: &str) -> Result<(), Refused> {
        let nonce: u64 = text.parse().map_err(|_| Why::Nonce)?;
        match self.0.get(&key) {
            Some(last) if *last == nonce => Err(Why::NonceTwice.into()),
            Some(last) if *last > nonce => Err(Why::Nonce.into()),
            _ => {
                self.0.insert(key, nonce);
                Ok(())
            }
        }
    }
}

fn credential<'a>(core: &'a Core, name: Option<&str>) -> Result<&'a Credential, Refused> {
    name.and_then(|name| core.credential(name))
        .ok_or_else(|| Why::Key.into())
}

/// The nonce in a spot body, form or JSON.
fn body_nonce(body: &str) -> Option<String> {
    if body.starts_with('{') {
        let value: serde_json::Value = serde_json::from_str(body).ok()?;
        return match value.get("nonce")? {
            serde_json::Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
    }
    let pairs = query_pairs(body);
    pairs
        .into_iter()
        .find_map(|(key, value)| (key == "nonce").then_some(value))
}

/// Whose a spot request is. Errors: key, signature, nonce.
pub fn spot(core: &Core, nonces: &mut Nonces, request: &Request) -> Result<AccountId, Refused> {
    let key = credential(core, request.header("api-key"))?;
    let nonce = body_nonce(&request.body).ok_or(Why::Nonce)?;
    let digest = sha256(&[&nonce, &request.body]);
    let sign = request.header("api-sign").unwrap_or("");
    if !is_signed(key, &request.path, &digest, sign) {
        return Err(Why::Signature.into());
    }
    nonces.take((key.account, "spot"), &nonce)?;
    Ok(key.account)
}

/// Whose a legacy request is; the path is signed without what stands before `/api`. Errors: key, signature, nonce.
pub fn legacy(core: &Core, nonces: &mut Nonces, request: &Request) -> Result<AccountId, Refused> {
    let key = credential(core, request.header("apikey"))?;
    let nonce = request.header("nonce").unwrap_or("");
    let path = &request.path;
    let path = path.strip_prefix("/derivatives").unwrap_or(path);
    let digest = sha256(&[&request.query, &request.body, nonce, path]);
    let sign = request.header("authent").unwrap_or("");
    if !is_signed(key, "", &digest, sign) {
        return Err(Why::Signature.into());
    }
    if !nonce.is_empty() {
        nonces.take((key.account, "legacy"), nonce)?;
    }
    Ok(key.account)
}

/// Whose a signed challenge is. Errors: key, signature.
pub fn challenge(core: &Core, name: &str, asked: &str, signed: &str) -> Result<AccountId, Refused> {
    let key = credential(core, Some(name))?;
    if is_signed(key, "", &sha256(&[asked]), signed) {
        Ok(key.account)
    } else {
        Err(Why::Signature.into())
    }
}

/// Tokens of the Unified WebSocket.
#[derive(Debug, Default)]
pub struct Tokens {
    given: Vec<(String, AccountId, u64)>,
    count: u64,
}

impl Tokens {
    /// A fresh one.
    pub fn give(&mut self, account: AccountId, now: u64) -> String {
        self.count += 1;
        let seed = format!("token {account} {} {now}", self.count);
        let token = BASE64.encode(sha256(&[&seed]));
        if self.given.len() >= TOKENS_MAX {
            self.given.remove(0);
        }
        self.given.push((token.clone(), account, now));
        token
    }

    /// Whose a token is that is still to be used.
    pub fn account(&self, token: &str, now: u64) -> Option<AccountId> {
        let found = self.given.iter().find(|(known, ..)| known == token);
        found
            .filter(|(.., at)| now.saturating_sub(*at) < TOKEN_NS)
            .map(|(_, account, _)| *account)
    }

    /// All are worth nothing any more.
    pub fn expire(&mut self) {
        self.given.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    /// The published vectors; their secrets are no text, so they are checked below the key.
    fn sign(secret: &str, head: &str, parts: &[&str]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA512, &STANDARD.decode(secret).unwrap());
        let signed = [head.as_bytes(), &sha256(parts)].concat();
        STANDARD.encode(hmac::sign(&key, &signed).as_ref())
    }

    #[test]
    fn vectors_of_the_venue_page() {
        let legacy = "7zxMEF5p/Z8l2p2U7Ghv6x14Af+Fx+92tPgUdVQ748FOIrEoT9bgT+bTRfXc5pz8na+hL/QdrCVG7bh9KpT0eMTm";
        let order =
            "orderType=lmt&symbol=PF_XBTUSD&side=buy&size=0.01&limitPrice=65000&cliOrdId=hbx-1";
        let nonce = "1700000000000";
        for (parts, want) in [
            (
                &["c100b894-1729-464d-ace1-52dbce11db42"][..],
                "4JEpF3ix66GA2B+ooK128Ift4XQVtc137N9yeg4Kqsn9PI0Kpzbysl9M1IeCEdjg0zl00wkVqcsnG4bmnlMb3A==",
            ),
            (
                &["", order, nonce, "/api/v3/sendorder"],
                "tSzO5V29uQHEt4AI7ryJ6j6pGw1+uaIn5WzidLVQoienmwX+atTLlS/KoEo/MSI8EGydScri6a6W2t2ShZlcrw==",
            ),
            (
                &["", "", nonce, "/api/v3/openorders"],
                "1Pfx579dcy9h1hLLDRHtvgeunn7H9WfjKT+8SHSU+VRY1UKpZqX1vR3nbpN8f4lThlVVX0u/7iZUaeaFeIKQQQ==",
            ),
        ] {
            assert_eq!(sign(legacy, "", parts), want);
        }
        let spot = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==";
        let nonce = "1616492376594";
        let made = sign(
            spot,
            "/0/private/GetWebSocketsToken",
            &[nonce, "nonce=1616492376594"],
        );
        assert_eq!(
            made,
            "+mRDmY9Ks0Moc1zjv/BjfvYa98buO0x1yHChZR5onlfAzAUbfIYlLggUZzdQ0RsmXm4Sh+Q8iAIZdo2wSeHeiA=="
        );
    }

    #[test]
    fn tokens_end_and_nonces_rise() {
        let mut tokens = Tokens::default();
        let token = tokens.give(1, 5);
        assert_eq!(tokens.account(&token, 5 + TOKEN_NS - 1), Some(1));
        assert_eq!(tokens.account(&token, 5 + TOKEN_NS), None);
        assert_ne!(tokens.give(1, 5), token);
        let mut nonces = Nonces::default();
        let mut take = |text| {
            nonces
                .take((1, "spot"), text)
                .map_err(|refused| refused.why)
        };
        assert_eq!(take("7"), Ok(()));
        assert_eq!(
            (take("7"), take("6")),
            (Err(Why::NonceTwice), Err(Why::Nonce))
        );
        assert_eq!((take("x"), take("8")), (Err(Why::Nonce), Ok(())));
    }
}
