//! REST: requests and the tags their answers come back with. Cold path.
//!
//! ```text
//! POST /0/private/GetWebSocketsToken   one for each private link: to be used within 15 min
//! GET  /0/public/SystemStatus          is the venue up; its answer brings the registry to rules that wait for it
//! legacy /derivatives/api/v3/...       recorded answers only: nothing of it is asked live
//! ```
//! Both live requests go to the spot host: keys of the derivatives host get no token.
//! Source: venue page, sections 3 and 5; `kraken.md`, sections 1 and 4.2; read 2026-11-20.

use crate::auth::Auth;
use crate::feed::at;
use crate::reject::{self, Refusal};
use crate::{ID, LINK_REST};
use dp_types::InstrumentId;
use dp_venue_api::{DecodeError, Registry, RestMethod, RestRequest, RestTag, Sink};
use dp_wire::json::Value;

/// Where the token is asked for.
pub const TOKEN_PATH: &str = "/0/private/GetWebSocketsToken";
/// Where the venue says how it is.
pub const STATUS_PATH: &str = "/0/public/SystemStatus";
/// Longest token we take: the venue's have some 50 characters.
pub const TOKEN_MAX: usize = 255;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The token of the private link with this number.
    Token(u32),
    /// How the venue is.
    Status,
    /// A recorded answer of the legacy interface.
    Legacy(Legacy),
}

/// Answers of the legacy interface that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Legacy {
    /// Contracts and their rules.
    Instruments,
    /// A book.
    Book(InstrumentId),
    /// Open orders.
    OpenOrders,
    /// The latest fills.
    Fills,
    /// Open positions.
    Positions,
    /// Balances.
    Accounts,
    /// Orders, edits, cancels, batches, the dead man's switch.
    Entry,
}

impl Ask {
    /// As a tag: the kind in the low byte, a number above.
    pub const fn tag(self) -> RestTag {
        let (kind, number) = match self {
            Self::Token(link) => (1, link),
            Self::Status => (2, 0),
            Self::Legacy(Legacy::Instruments) => (3, 0),
            Self::Legacy(Legacy::Book(id)) => (4, id.0),
            Self::Legacy(Legacy::OpenOrders) => (5, 0),
            Self::Legacy(Legacy::Fills) => (6, 0),
            Self::Legacy(Legacy::Positions) => (7, 0),
            Self::Legacy(Legacy::Accounts) => (8, 0),
            Self::Legacy(Legacy::Entry) => (9, 0),
        };
        RestTag(kind | (number as u64) << 8)
    }

    /// From a tag. `None` when it is not one of ours.
    pub fn of(tag: RestTag) -> Option<Self> {
        let number = u32::try_from(tag.0 >> 8).ok()?;
        Some(match (tag.0 & 0xff, number) {
            (1, link) => Self::Token(link),
            (2, 0) => Self::Status,
            (3, 0) => Self::Legacy(Legacy::Instruments),
            (4, id) => Self::Legacy(Legacy::Book(InstrumentId(id))),
            (5, 0) => Self::Legacy(Legacy::OpenOrders),
            (6, 0) => Self::Legacy(Legacy::Fills),
            (7, 0) => Self::Legacy(Legacy::Positions),
            (8, 0) => Self::Legacy(Legacy::Accounts),
            (9, 0) => Self::Legacy(Legacy::Entry),
            _ => return None,
        })
    }
}

/// The tag under which a recorded answer is read, from the URL it came from (replay, tools). `None` when the URL
/// is none that we read, or names a symbol that is not in the registry.
pub fn tag_of_url(registry: &Registry, url: &str) -> Option<RestTag> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let ends = |path: &'static str| move |url: &str| url.ends_with(path);
    if ends(TOKEN_PATH)(path) {
        return Some(Ask::Token(0).tag());
    }
    if ends(STATUS_PATH)(path) {
        return Some(Ask::Status.tag());
    }
    let (_, name) = path.split_once("/api/v3/")?;
    let ask = match name {
        "instruments" => Legacy::Instruments,
        "orderbook" => {
            let symbol = query
                .split('&')
                .find_map(|pair| pair.strip_prefix("symbol="))?;
            Legacy::Book(registry.find(ID, symbol.as_bytes())?)
        }
        "openorders" => Legacy::OpenOrders,
        "fills" => Legacy::Fills,
        "openpositions" => Legacy::Positions,
        "accounts" => Legacy::Accounts,
        "sendorder"
        | "editorder"
        | "cancelorder"
        | "cancelallorders"
        | "cancelallordersafter"
        | "batchorder" => Legacy::Entry,
        _ => return None,
    };
    Some(Ask::Legacy(ask).tag())
}

/// Asks for the token of the private link with this number.
pub(crate) fn ask_token(auth: &Auth, link: u32, nonce: u64, out: &mut impl Sink) {
    let nonce = nonce.to_string();
    let body = format!("nonce={nonce}");
    let sign = auth.sign_spot(TOKEN_PATH, &nonce, &body);
    out.request(
        LINK_REST,
        &RestRequest {
            tag: Ask::Token(link).tag(),
            method: RestMethod::Post,
            target: TOKEN_PATH,
            headers: &[
                ("API-Key", auth.api_key()),
                ("API-Sign", sign.as_str()),
                ("Content-Type", "application/x-www-form-urlencoded"),
            ],
            body: body.as_bytes(),
        },
    );
}

/// Asks how the venue is.
pub(crate) fn ask_status(out: &mut impl Sink) {
    out.request(
        LINK_REST,
        &RestRequest {
            tag: Ask::Status.tag(),
            method: RestMethod::Get,
            target: STATUS_PATH,
            headers: &[],
            body: &[],
        },
    );
}

/// The first error of a spot answer; every answer has a list of them, empty when it was done.
pub(crate) fn error_of(root: Value<'_>) -> Result<Option<Refusal>, DecodeError> {
    match root.array("error").map_err(at("error"))?.next() {
        None => Ok(None),
        Some(error) => error
            .as_str()
            .map(|text| Some(reject::unified(text)))
            .ok_or(DecodeError::Field("error")),
    }
}

/// The token in an answer. It is written into requests as it is, so what JSON would have to escape is refused.
pub(crate) fn token(root: Value<'_>) -> Result<&str, DecodeError> {
    let result = root.get("result").ok_or(DecodeError::Field("result"))?;
    let token = result.str("token").map_err(at("token"))?;
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if token.is_empty() || token.len() > TOKEN_MAX || !token.as_bytes().iter().all(is_plain) {
        return Err(DecodeError::Field("token"));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back() {
        for ask in [
            Ask::Token(u32::MAX),
            Ask::Status,
            Ask::Legacy(Legacy::Instruments),
            Ask::Legacy(Legacy::Book(InstrumentId(1023))),
            Ask::Legacy(Legacy::OpenOrders),
            Ask::Legacy(Legacy::Fills),
            Ask::Legacy(Legacy::Positions),
            Ask::Legacy(Legacy::Accounts),
            Ask::Legacy(Legacy::Entry),
        ] {
            assert_eq!(Ask::of(ask.tag()), Some(ask));
        }
        for raw in [0, 10, 0xff, 1 << 8 | 2, 1 << 40 | 1, u64::MAX] {
            assert_eq!(Ask::of(RestTag(raw)), None);
        }
    }

    #[test]
    fn urls_name_their_answers() {
        let mut registry = Registry::new();
        let id = registry.register(ID, "PF_XBTUSD", 1, 4).unwrap();
        let of = |url: &str| tag_of_url(&registry, url).and_then(Ask::of);
        let host = "https://futures.kraken.com/derivatives/api/v3";
        for (path, ask) in [
            ("instruments", Some(Legacy::Instruments)),
            ("orderbook?symbol=PF_XBTUSD", Some(Legacy::Book(id))),
            ("orderbook?symbol=X", None),
            ("sendorder", Some(Legacy::Entry)),
            (
                "fills?lastFillTime=2026-10-05T10:00:00Z",
                Some(Legacy::Fills),
            ),
            ("tickers", None),
        ] {
            assert_eq!(
                of(&format!("{host}/{path}")),
                ask.map(Ask::Legacy),
                "{path}"
            );
        }
        assert_eq!(
            of("https://api.kraken.com/0/private/GetWebSocketsToken"),
            Some(Ask::Token(0))
        );
        assert_eq!(of("https://api.kraken.com/0/public/Time"), None);
        assert_eq!(of("nonsense"), None);
    }
}
