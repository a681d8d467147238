//! Logins: client credentials, signatures and refresh tokens; what a token or a header opens.
//!
//! ```text
//! public/auth    hex(HMAC-SHA256(secret, timestamp \n nonce \n data))
//! Authorization  deri-hmac-sha256 id=…,ts=…,sig=…,nonce=…    over ts \n nonce \n METHOD \n URI \n body \n
//!                bearer TOKEN        basic base64(id:secret)
//! ```

use super::reply::Refused;
use crate::core::{Core, Request};
use crate::engine::AccountId;
use crate::keys::unbase64;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as URL_SAFE;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Life of an access token, seconds.
pub const LIFE_S: u64 = 900;
/// Life of a refresh token, seconds [U].
const REFRESH_S: u64 = 7 * 86_400;
/// How far a timestamp may be off, milliseconds [U].
const WINDOW_MS: i64 = 60_000;
/// Tokens and nonces kept; the oldest go first.
const KEPT: usize = 10_000;
const SECOND_NS: u64 = 1_000_000_000;

/// A login: whose it is and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login {
    /// Whose.
    pub account: AccountId,
    /// Until when, virtual nanoseconds.
    pub until_ns: u64,
}

/// What was given out, and what was seen.
#[derive(Debug, Default)]
pub struct Logins {
    count: u64,
    access: BTreeMap<String, Login>,
    refresh: BTreeMap<String, Login>,
    nonces: BTreeSet<(String, String)>,
    nonces_by_age: VecDeque<(u64, (String, String))>,
}

fn invalid() -> Refused {
    Refused::new(13_004)
}

/// What a lapsed or unknown token is answered.
pub fn lapsed() -> Refused {
    Refused {
        data: Some(json!({"reason": "invalid_token"})),
        ..Refused::new(13_009)
    }
}

impl Logins {
    /// Nothing given out so far is worth anything any more.
    pub fn forget(&mut self) {
        self.access.clear();
        self.refresh.clear();
    }

    /// Checks the parameters of `public/auth`. Returns the login and the answer. Errors: 13004, 13009, -32602.
    pub fn grant(&mut self, core: &Core, params: &Value) -> Result<(Login, Value), Refused> {
        let field = |name: &str| super::ops::field(params, name).unwrap_or_default();
        let key = core.credential(&field("client_id"));
        let account = match field("grant_type").as_str() {
            "client_credentials" => {
                let key = key.filter(|key| key.api_secret == field("client_secret"));
                key.ok_or_else(invalid)?.account
            }
            "client_signature" => {
                let key = key.ok_or_else(invalid)?;
                let (ts, nonce) = (field("timestamp"), field("nonce"));
                self.check_time(core, &key.api_key, &ts, &nonce)?;
                let signed = format!("{ts}\n{nonce}\n{}", field("data"));
                if !key.is_hex_hmac(signed.as_bytes(), &field("signature")) {
                    return Err(invalid());
                }
                self.note_nonce(core, &key.api_key, &nonce);
                key.account
            }
            "refresh_token" => {
                let known = self.refresh.remove(&field("refresh_token"));
                let known = known.filter(|login| login.until_ns > core.now);
                known.ok_or_else(lapsed)?.account
            }
            _ => return Err(Refused::parameter("grant_type", "unsupported_grant_type")),
        };
        let login = Login {
            account,
            until_ns: core.now + LIFE_S * SECOND_NS,
        };
        let asked = field("scope");
        let place = asked.split(' ').find(|word| word.starts_with("session:"));
        let scope = format!(
            "{} mainaccount trade:read_write",
            place.unwrap_or("connection")
        );
        let refresh = Login {
            until_ns: core.now + REFRESH_S * SECOND_NS,
            ..login
        };
        let (token, other) = (self.name(core), self.name(core));
        keep(&mut self.access, core.now, token.clone(), login);
        keep(&mut self.refresh, core.now, other.clone(), refresh);
        let mut answer = json!({
            "access_token": token, "expires_in": LIFE_S, "refresh_token": other,
            "scope": scope, "token_type": "bearer",
        });
        if let Some(place) = place {
            answer["sid"] = json!(place.trim_start_matches("session:"));
        }
        Ok((login, answer))
    }

    /// Whose an access token is. Errors: 13009.
    pub fn token(&self, core: &Core, token: &str) -> Result<AccountId, Refused> {
        let known = self.access.get(token);
        let known = known.filter(|login| login.until_ns > core.now);
        Ok(known.ok_or_else(lapsed)?.account)
    }

    /// Whose an HTTP request is, by its `Authorization`; `None` without one. Errors: 13004, 13009.
    pub fn header(&mut self, core: &Core, request: &Request) -> Result<Option<AccountId>, Refused> {
        let Some(value) = request.header("authorization") else {
            return Ok(None);
        };
        let (scheme, rest) = value.split_once(' ').ok_or_else(invalid)?;
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => self.token(core, rest.trim()).map(Some),
            "basic" => {
                let plain = unbase64(rest.trim()).ok_or_else(invalid)?;
                let plain = String::from_utf8(plain).map_err(|_| invalid())?;
                let (id, secret) = plain.split_once(':').ok_or_else(invalid)?;
                let key = core.credential(id).filter(|key| key.api_secret == secret);
                Ok(Some(key.ok_or_else(invalid)?.account))
            }
            "deri-hmac-sha256" => self.signature(core, request, rest).map(Some),
            _ => Err(invalid()),
        }
    }

    fn signature(
        &mut self,
        core: &Core,
        request: &Request,
        value: &str,
    ) -> Result<AccountId, Refused> {
        let field = |name: &str| {
            let mut parts = value.split(',');
            let found = parts.find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
            found.unwrap_or("")
        };
        let key = core.credential(field("id")).ok_or_else(invalid)?;
        let (ts, nonce) = (field("ts"), field("nonce"));
        self.check_time(core, &key.api_key, ts, nonce)?;
        let question = if request.query.is_empty() { "" } else { "?" };
        let signed = format!(
            "{ts}\n{nonce}\n{}\n{}{question}{}\n{}\n",
            request.method, request.path, request.query, request.body
        );
        if !key.is_hex_hmac(signed.as_bytes(), field("sig")) {
            return Err(invalid());
        }
        self.note_nonce(core, &key.api_key, nonce);
        Ok(key.account)
    }

    /// A timestamp out of the window, or a nonce that was there before. Errors: 13004.
    fn check_time(&self, core: &Core, key: &str, ts: &str, nonce: &str) -> Result<(), Refused> {
        let sent: i64 = ts.parse().map_err(|_| invalid())?;
        let off = core.venue_ms().saturating_sub(sent).saturating_abs();
        let pair = (key.to_owned(), nonce.to_owned());
        if off > WINDOW_MS || nonce.is_empty() || self.nonces.contains(&pair) {
            return Err(invalid());
        }
        Ok(())
    }

    fn note_nonce(&mut self, core: &Core, key: &str, nonce: &str) {
        let pair = (key.to_owned(), nonce.to_owned());
        self.nonces.insert(pair.clone());
        self.nonces_by_age.push_back((core.now, pair));
        // A signature outside the window is refused for its time.
        let over = core.now.saturating_sub(2 * WINDOW_MS as u64 * 1_000_000);
        while let Some((at, _)) = self.nonces_by_age.front() {
            if *at >= over && self.nonces_by_age.len() <= KEPT {
                break;
            }
            if let Some((_, pair)) = self.nonces_by_age.pop_front() {
                self.nonces.remove(&pair);
            }
        }
    }

    /// A token's text: when, and what nobody needs to guess here.
    fn name(&mut self, core: &Core) -> String {
        self.count += 1;
        let seed = format!("{}{}", core.now, self.count);
        let digest = ring::digest::digest(&ring::digest::SHA256, seed.as_bytes());
        let tail = URL_SAFE.encode(digest.as_ref());
        format!("{}.{:08}.{tail}", core.now / 1_000_000, self.count)
    }
}

fn keep(known: &mut BTreeMap<String, Login>, now: u64, token: String, login: Login) {
    if known.len() >= KEPT {
        known.retain(|_, login| login.until_ns > now);
    }
    if known.len() >= KEPT {
        known.pop_first();
    }
    known.insert(token, login);
}
