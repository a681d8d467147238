//! Signatures and nonces: hex(HMAC-SHA384).
//!
//! ```text
//!  REST     "/api" + path + nonce + body  ─▶ bfx-signature
//!  socket   authPayload as it was sent    ─▶ authSig
//! ```
//! A nonce must be above the last one the key was used with, over REST and sockets alike [U: that they share it].
//! No time is checked. A nonce counts as used only once its signature was right.

use super::Bitfinex;
use super::reply::Refused;
use crate::core::Request;
use crate::engine::AccountId;
use crate::keys::{Credential, unhex};
use ring::hmac;
use serde_json::Value;

/// The largest nonce: what a double holds exactly.
const NONCE_MAX: u64 = (1 << 53) - 1;

fn is_signed(key: &Credential, text: &str, sign: &str) -> bool {
    key.is_hmac(hmac::HMAC_SHA384, text.as_bytes(), unhex(sign))
}

fn nonce(text: &str) -> Option<u64> {
    let number = text.parse().ok();
    number.filter(|nonce| (1..=NONCE_MAX).contains(nonce))
}

impl Bitfinex {
    /// Checks a signed REST request. Errors: 10100, 10112, 10114.
    pub(super) fn rest_account(&mut self, request: &Request) -> Result<AccountId, Refused> {
        let header = |name: &str| request.header(name).unwrap_or("");
        let key = self.key(header("bfx-apikey"))?;
        let sent = header("bfx-nonce");
        let number = nonce(sent).ok_or_else(|| Refused::new(10_114, "nonce: invalid"))?;
        let text = format!("/api{}{sent}{}", request.path, request.body);
        if !is_signed(&key, &text, header("bfx-signature")) {
            return Err(Refused::new(10_112, "signature: invalid"));
        }
        self.rise(&key, number)?;
        Ok(key.account)
    }

    /// Checks a login. Errors: 10100, 10111, 10112, 10114.
    pub(super) fn login_account(&mut self, message: &Value) -> Result<AccountId, Refused> {
        let field = |name: &str| super::ops::field(message, name).unwrap_or_default();
        let key = self.key(&field("apiKey"))?;
        let payload = field("authPayload");
        if !payload.starts_with("AUTH") {
            return Err(Refused::new(10_111, "payload: invalid"));
        }
        let number = nonce(&field("authNonce"));
        let number = number.ok_or_else(|| Refused::new(10_114, "nonce: invalid"))?;
        // The payload is signed as it is: clients put other things than the nonce into it.
        if !is_signed(&key, &payload, &field("authSig")) {
            return Err(Refused::new(10_112, "signature: invalid"));
        }
        self.rise(&key, number)?;
        Ok(key.account)
    }

    fn key(&self, name: &str) -> Result<Credential, Refused> {
        let key = self.core.credential(name).cloned();
        key.ok_or_else(|| Refused::new(10_100, "apikey: invalid"))
    }

    fn rise(&mut self, key: &Credential, number: u64) -> Result<(), Refused> {
        let last = self.nonces.entry(key.api_key.clone()).or_default();
        if number <= *last {
            return Err(Refused::new(10_114, "nonce: small"));
        }
        *last = number;
        Ok(())
    }
}
