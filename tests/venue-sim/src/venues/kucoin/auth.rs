//! Signatures, timestamps and tokens.

use super::reply::Refused;
use crate::core::{Core, Request};
use crate::engine::AccountId;
use crate::keys::Credential;
use crate::venues::query_pairs;
use std::collections::VecDeque;

/// How far a timestamp may be off, milliseconds.
const WINDOW_MS: i64 = 5_000;
/// Tokens kept; the oldest go first.
const TOKENS_MAX: usize = 1_000;
/// How long a token is good for.
const TOKEN_LIFE_NS: u64 = 86_400_000_000_000;

/// Checks a signed REST request. Errors: 400001..400009.
pub fn rest(core: &Core, request: &Request) -> Result<AccountId, Refused> {
    let header = |name: &str| request.header(name).filter(|value| !value.is_empty());
    let (Some(api_key), Some(sign), Some(timestamp), Some(passphrase)) = (
        header("kc-api-key"),
        header("kc-api-sign"),
        header("kc-api-timestamp"),
        header("kc-api-passphrase"),
    ) else {
        let text = "Please check the header of your request for KC-API-KEY, KC-API-SIGN, \
                    KC-API-TIMESTAMP, KC-API-PASSPHRASE";
        return Err(Refused::http(401, 400_001, text));
    };
    let key = known(core, api_key)?;
    in_time(core, timestamp)?;
    if !matches!(header("kc-api-key-version"), Some("2" | "3")) {
        let text = "KC-API-KEY-VERSION is invalid";
        return Err(Refused::http(401, 400_009, text));
    }
    if !key.is_base64_hmac(key.passphrase.as_bytes(), passphrase) {
        return Err(Refused::http(401, 400_004, "Invalid KC-API-PASSPHRASE"));
    }
    let question = if request.query.is_empty() { "" } else { "?" };
    let signed = format!(
        "{timestamp}{}{}{question}{}{}",
        request.method, request.path, request.query, request.body
    );
    if key.is_base64_hmac(signed.as_bytes(), sign) {
        Ok(key.account)
    } else {
        Err(Refused::http(401, 400_005, "Invalid KC-API-SIGN"))
    }
}

/// Checks the query an order link was opened with. Errors: as [`rest`].
pub fn orders(core: &Core, query: &str) -> Result<AccountId, Refused> {
    let pairs = query_pairs(query);
    let field = |name: &str| {
        let found = pairs.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let (api_key, timestamp) = (field("apikey"), field("timestamp"));
    let key = known(core, api_key)?;
    in_time(core, timestamp)?;
    if !key.is_base64_hmac(key.passphrase.as_bytes(), field("passphrase")) {
        return Err(Refused::http(401, 400_004, "Invalid KC-API-PASSPHRASE"));
    }
    let signed = format!("{api_key}{timestamp}");
    if key.is_base64_hmac(signed.as_bytes(), field("sign")) {
        Ok(key.account)
    } else {
        Err(Refused::http(401, 400_005, "Invalid KC-API-SIGN"))
    }
}

/// Whether `answer` is the signature of a challenge's very bytes.
pub fn is_signed(core: &Core, account: AccountId, challenge: &str, answer: &str) -> bool {
    let key = core.keys.iter().find(|key| key.account == account);
    key.is_some_and(|key| key.is_base64_hmac(challenge.as_bytes(), answer))
}

fn known<'a>(core: &'a Core, api_key: &str) -> Result<&'a Credential, Refused> {
    let key = core.credential(api_key);
    key.ok_or_else(|| Refused::http(401, 400_003, "KC-API-KEY not exists."))
}

fn in_time(core: &Core, timestamp: &str) -> Result<(), Refused> {
    let sent = timestamp.parse::<i64>().ok();
    let off = sent.map(|sent| core.venue_ms().saturating_sub(sent).saturating_abs());
    if off.is_some_and(|off| off <= WINDOW_MS) {
        Ok(())
    } else {
        Err(Refused::http(401, 400_002, "KC-API-TIMESTAMP Invalid"))
    }
}

#[derive(Debug)]
struct Token {
    text: String,
    account: AccountId,
    until_ns: u64,
}

/// Tokens given out for the classic streams.
#[derive(Debug, Default)]
pub struct Tokens {
    given: VecDeque<Token>,
    count: u64,
}

impl Tokens {
    /// A new token: of an account, or of [`MARKET`](crate::engine::MARKET), which is everybody, for the public streams.
    pub fn give(&mut self, account: AccountId, now: u64) -> String {
        self.count += 1;
        let text = format!(
            "2neAiuYvAU61ZDXANAGAsiL4{now:024x}_{account:08x}-simulated==.{}",
            self.count
        );
        self.given.push_back(Token {
            text: text.clone(),
            account,
            until_ns: now.saturating_add(TOKEN_LIFE_NS),
        });
        if self.given.len() > TOKENS_MAX {
            self.given.pop_front();
        }
        text
    }

    /// Whose a token is; `None` when it is not good (any more).
    pub fn owner(&self, text: &str, now: u64) -> Option<AccountId> {
        let token = self.given.iter().find(|token| token.text == text)?;
        (now < token.until_ns).then_some(token.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::MARKET;

    /// Vectors of the venue's page: one of its documents, the others made with its sample key.
    #[test]
    fn vectors() {
        let secret = "f03a5284-5c39-4aaa-9b20-dea10bdcf8e3".to_owned();
        let key = Credential::new("5c2db93503aa674c74a31734".into(), secret, String::new(), 1);
        for (text, sign) in [
            (
                "1547015186532POST/api/v1/deposit-addresses{\"currency\":\"BTC\"}",
                "7QP/oM0ykidMdrfNEUmng8eZjg/ZvPafjIqmxiVfYu4=",
            ),
            (
                "QWIxMjM0NTY3OCkoKiZeJSQjQA==",
                "HFkKIy8cKfQF3Ognmbamq9Bd8VfYy3eUQj7uC8NvMes=",
            ),
            (
                "5c2db93503aa674c74a317341547015186532",
                "1aZxqbZDJcyu0GNFGzhNE76P9+SsBgDEW2rhk1IPi1A=",
            ),
            (
                "{\"sessionId\":\"92f2aec4-d87e-47cc-917d-4e7c93911bdc\", \"timestamp\": 1742175983882}",
                "pN/HilIFHFaNc5pYnEBEYeFBGa0FJfZRGERJzdImUoU=",
            ),
        ] {
            assert!(key.is_base64_hmac(text.as_bytes(), sign), "{text}");
            assert!(!key.is_base64_hmac(&text.as_bytes()[1..], sign));
        }
    }

    #[test]
    fn a_token_is_good_for_a_day_and_only_so_many_are_kept() {
        let mut tokens = Tokens::default();
        let first = tokens.give(1, 0);
        assert_eq!(tokens.owner(&first, TOKEN_LIFE_NS - 1), Some(1));
        assert_eq!(tokens.owner(&first, TOKEN_LIFE_NS), None);
        assert_eq!(tokens.owner("x", 0), None);
        for _ in 0..TOKENS_MAX {
            let next = tokens.give(MARKET, 0);
            assert_eq!(tokens.owner(&next, 0), Some(MARKET));
        }
        assert_eq!(tokens.owner(&first, 0), None);
        assert_eq!(tokens.given.len(), TOKENS_MAX);
    }
}
