//! REST: requests (signed where private) and what their answers mean. Cold path: start, the WebSocket's token,
//! reconciliation, questions about single orders.
//!
//! ```text
//! AssetPairs → registry, rules                       GetWebSocketsToken → login of the private link
//! OpenOrders, TradesHistory, BalanceEx → reconciliation
//! QueryOrders (its id known) or OpenOrders, then ClosedOrders (by our id) → its report → QueryTrades: its fills
//! ```
//! The tag of a request carries what was asked, so an answer needs no table; the same function reads answers live
//! and in replay ([`tag_of_url`]). Every answer is `{"error":[..],"result":{..}}` under status 200.
//! Source: venue page, sections 2, 4.2 and 6, read 2026-11-20; fixtures `rest_*.json`. That both lists of orders
//! take `cl_ord_id` is [U]; where they do not, they show the latest orders, and ours is looked for among them.

use crate::auth::{Auth, Nonce};
use crate::feed::{at, bad_number, optional, text};
use crate::symbols::{asset_name, is_pair};
use crate::{ID, LINK_REST};
use dp_types::{
    ClientOrderId, Decimal, Instrument, InstrumentId, Notional, Now, NumError, Price, Qty,
};
use dp_venue_api::{DecodeError, Registry, RestMethod, RestRequest, RestTag, Sink};
use dp_wire::json::Value;

/// Trades on one page; a full page means there may be more.
pub const PAGE_LEN: usize = 50;
/// Pages of trades we read in one reconciliation: 5,000.
pub const FILL_PAGES_MAX: u32 = 100;
/// Trades one `QueryTrades` may name.
pub const TRADES_MAX: usize = 20;
/// Requests for the trades of one order: 320 trades. What is beyond, reconciliation reads.
pub const CHUNKS_MAX: u8 = 16;

/// Run of an answer that was recorded: no machine asked for it, each takes it.
pub const RECORDED: u32 = 0;

/// A run has 24 bits and its page 32: with the low byte the 64 of a tag.
const RUN_BITS: u32 = 24;
pub(crate) const RUN_MASK: u32 = (1 << RUN_BITS) - 1;

/// A client order id has 45 bits; beside it and the low byte a tag has 11 for the instrument.
const CLIENT_BITS: u32 = 45;
const CLIENT_MASK: u64 = (1 << CLIENT_BITS) - 1;
const _: () = assert!(dp_types::limit::INSTRUMENTS_MAX <= 1 << (64 - 8 - CLIENT_BITS));

/// Which page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPage {
    /// Of this run of reconciliation (24 bits).
    pub run: u32,
    /// From 0.
    pub page: u32,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// All pairs and their rules.
    Pairs,
    /// A token for this opening of the private link.
    Token(u32),
    /// All open orders, in this run of reconciliation.
    Open(u32),
    /// A page of trades.
    Fills(ListPage),
    /// Balances, in this run.
    Balance(u32),
    /// One order of this instrument, by the venue's id.
    Order(InstrumentId, ClientOrderId),
    /// One order, looked for by our id among the open ones.
    FindOpen(InstrumentId, ClientOrderId),
    /// And among those that ended.
    FindClosed(InstrumentId, ClientOrderId),
    /// Some (below [`CHUNKS_MAX`]) of the trades of one order.
    OrderFills(InstrumentId, ClientOrderId, u8),
    /// An order of which only an update was seen.
    Stray(u32),
}

impl Ask {
    /// As a tag: the kind in the low four bits, a chunk of an order's trades in the next four, numbers above.
    pub const fn tag(self) -> RestTag {
        let (kind, number) = match self {
            Self::Pairs => (1, 0),
            Self::Token(number) => (2, number as u64),
            Self::Open(run) => (3, run as u64),
            Self::Fills(ListPage { run, page }) => {
                (4, (run & RUN_MASK) as u64 | (page as u64) << RUN_BITS)
            }
            Self::Balance(run) => (5, run as u64),
            Self::Order(id, client) => (6, pack(id, client)),
            Self::FindOpen(id, client) => (7, pack(id, client)),
            Self::FindClosed(id, client) => (8, pack(id, client)),
            Self::OrderFills(id, client, chunk) => {
                (9 | (chunk as u64 & 0xf) << 4, pack(id, client))
            }
            Self::Stray(number) => (10, number as u64),
        };
        RestTag(kind | number << 8)
    }

    /// From a tag. `None` when it is not one of ours.
    pub fn of(tag: RestTag) -> Option<Self> {
        let wide = tag.0 >> 8;
        let (id, client) = (
            InstrumentId((wide >> CLIENT_BITS) as u32), // 11 bits are left
            ClientOrderId(wide & CLIENT_MASK),
        );
        let number = || u32::try_from(wide).ok();
        let chunk = (tag.0 >> 4 & 0xf) as u8;
        Some(match tag.0 & 0xf {
            9 => Self::OrderFills(id, client, chunk),
            _ if chunk != 0 => return None,
            1 if wide == 0 => Self::Pairs,
            2 => Self::Token(number()?),
            3 => Self::Open(number()?),
            4 => Self::Fills(ListPage {
                run: wide as u32 & RUN_MASK,
                page: (wide >> RUN_BITS) as u32, // 32 bits are left
            }),
            5 => Self::Balance(number()?),
            6 => Self::Order(id, client),
            7 => Self::FindOpen(id, client),
            8 => Self::FindClosed(id, client),
            10 => Self::Stray(number()?),
            _ => return None,
        })
    }

    /// What it adds to the venue's counter of REST calls.
    pub(crate) const fn cost(self) -> u32 {
        match self {
            Self::Pairs => 0, // public
            Self::Fills(_) | Self::OrderFills(..) => 2,
            // Room for both lists is taken with the first: a full counter would let only the cheaper one pass,
            // again and again, and no order would ever be found gone.
            Self::FindOpen(..) => 3,
            Self::FindClosed(..) => 0,
            _ => 1,
        }
    }
}

const fn pack(id: InstrumentId, client: ClientOrderId) -> u64 {
    client.0 & CLIENT_MASK | (id.0 as u64) << CLIENT_BITS
}

/// The tag under which a recorded answer is read, from the URL it came from (replay, tools). `None` when the URL
/// is not one we ask.
pub fn tag_of_url(_registry: &Registry, url: &str) -> Option<RestTag> {
    let path = url.find("/0/").and_then(|start| url.get(start..))?;
    let (path, _) = path.split_once('?').unwrap_or((path, ""));
    let (id, client) = (InstrumentId::default(), ClientOrderId::default());
    Some(
        match path {
            "/0/public/AssetPairs" => Ask::Pairs,
            "/0/private/GetWebSocketsToken" => Ask::Token(RECORDED),
            "/0/private/OpenOrders" => Ask::Open(RECORDED),
            "/0/private/ClosedOrders" | "/0/private/QueryOrders" => Ask::Stray(RECORDED),
            "/0/private/TradesHistory" | "/0/private/QueryTrades" => Ask::OrderFills(id, client, 0),
            "/0/private/Balance" | "/0/private/BalanceEx" => Ask::Balance(RECORDED),
            _ => return None,
        }
        .tag(),
    )
}

/// Queues the public request for all pairs.
pub(crate) fn get_pairs(out: &mut impl Sink) {
    out.request(
        LINK_REST,
        &RestRequest {
            tag: Ask::Pairs.tag(),
            method: RestMethod::Get,
            target: "/0/public/AssetPairs",
            headers: &[],
            body: &[],
        },
    );
}

/// Queues a signed request: `name` is the method's, `fields` follow the nonce (`&key=value`, or nothing).
pub(crate) fn signed(
    (auth, nonce): (&Auth, &mut Nonce),
    ask: Ask,
    name: &str,
    fields: &str,
    now: Now,
    out: &mut impl Sink,
) {
    let path = format!("/0/private/{name}");
    let nonce = nonce.next(now.unix).to_string();
    let body = format!("nonce={nonce}{fields}");
    let sign = auth.sign(&path, &nonce, &body);
    out.request(
        LINK_REST,
        &RestRequest {
            tag: ask.tag(),
            method: RestMethod::Post,
            target: &path,
            headers: &[
                ("API-Key", auth.api_key()),
                ("API-Sign", sign.as_str()),
                ("Content-Type", "application/x-www-form-urlencoded"),
            ],
            body: body.as_bytes(),
        },
    );
}

/// The error of an answer, if it is one; warnings (`W...`) are none.
pub(crate) fn error_of(root: Value<'_>) -> Result<Option<&str>, DecodeError> {
    for error in root.array("error").map_err(at("error"))? {
        let error = error.as_str().ok_or(DecodeError::Field("error"))?;
        if !error.starts_with('W') {
            return Ok(Some(error));
        }
    }
    Ok(None)
}

/// Registers the rules of every listed pair that we follow, each by itself.
///
/// Errors: the first of ours whose numbers cannot be read; it keeps the rules it had.
pub(crate) fn pairs(registry: &mut Registry, result: Value<'_>) -> Result<(), DecodeError> {
    let mut told = Ok(());
    for (_, item) in result.as_object().ok_or(DecodeError::Field("result"))? {
        // Pairs of the dark pool have no name for the WebSocket.
        let name = text(item, "wsname");
        for index in 0..registry.instruments().len() {
            let Some(&known) = registry.instruments().get(index) else {
                break;
            };
            if known.venue != ID || !is_pair(known.symbol.as_str(), name) {
                continue;
            }
            match rules(registry, known, item) {
                Ok(updated) => registry.update(updated),
                Err(error) => told = told.and(Err(error)),
            }
        }
    }
    told
}

/// Books may hold prices from before the tick was made coarser, so increments are finer by two places.
pub(crate) const PRICE_DECIMALS_FINER: u8 = 2;

fn number(field: &'static str) -> impl Fn(NumError) -> DecodeError {
    move |error| DecodeError::Number { field, error }
}

fn decimals(item: Value<'_>, key: &'static str) -> Result<u8, DecodeError> {
    item.get(key)
        .and_then(Value::as_u64)
        .and_then(|decimals| u8::try_from(decimals).ok())
        .filter(|decimals| *decimals <= 18)
        .ok_or(DecodeError::Field(key))
}

/// One pair's rules over what we knew of it. Lists from before 2022 have neither `tick_size` nor `costmin` nor
/// `status`: then the tick is one of the last decimal.
fn rules(
    registry: &mut Registry,
    known: Instrument,
    item: Value<'_>,
) -> Result<Instrument, DecodeError> {
    let price_decimals = decimals(item, "pair_decimals")?;
    let qty_decimals = decimals(item, "lot_decimals")?;
    let tick = optional(item, "tick_size")?.filter(|tick| !tick.is_zero());
    let tick = tick.unwrap_or(Decimal {
        mantissa: 1,
        exponent: -(price_decimals as i8), // at most 18
    });
    let mut made = Instrument {
        price_decimals: price_decimals
            .max(tick.decimals())
            .saturating_add(PRICE_DECIMALS_FINER)
            .min(18),
        qty_decimals,
        is_live: matches!(
            text(item, "status"),
            "" | "online" | "limit_only" | "post_only"
        ),
        lot: Qty(1),
        is_spot: true,
        ..known
    };
    made.tick = made.price(tick).map_err(number("tick_size"))?;
    if made.tick == Price(0) {
        return Err(bad_number("tick_size"));
    }
    let least = optional(item, "ordermin")?.unwrap_or(Decimal::ZERO);
    made.qty_min = made.qty(least).map_err(number("ordermin"))?;
    let cost = optional(item, "costmin")?.unwrap_or(Decimal::ZERO);
    made.notional_min = money(cost).ok_or(bad_number("costmin"))?;
    let mut asset = |key| {
        let name = asset_name(text(item, key)).to_owned();
        registry
            .asset(&name)
            .map_err(|_| DecodeError::TooMuch("assets"))
    };
    made.base = asset("base")?;
    made.quote = asset("quote")?;
    Ok(made)
}

/// A decimal in 10^-12 units, rounded towards zero below that; `None` when it leaves the range.
fn money(amount: Decimal) -> Option<Notional> {
    let power = 12 + i32::from(amount.exponent);
    let scale = 10i128.checked_pow(power.unsigned_abs())?;
    let mantissa = i128::from(amount.mantissa);
    Some(Notional(if power >= 0 {
        mantissa.checked_mul(scale)?
    } else {
        mantissa / scale
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back() {
        let (id, client) = (InstrumentId(1023), ClientOrderId((1 << 45) - 1));
        for ask in [
            Ask::Pairs,
            Ask::Token(u32::MAX),
            Ask::Open(7),
            Ask::Fills(ListPage {
                run: RUN_MASK,
                page: u32::MAX,
            }),
            Ask::Balance(0),
            Ask::Order(id, client),
            Ask::FindOpen(id, client),
            Ask::FindClosed(InstrumentId(0), ClientOrderId(7)),
            Ask::OrderFills(id, client, CHUNKS_MAX - 1),
            Ask::OrderFills(id, client, 0),
            Ask::Stray(3),
        ] {
            assert_eq!(Ask::of(ask.tag()), Some(ask));
        }
        for raw in [0, 11, 255, 0x11, 1 << 60 | 2, 1 << 8 | 1, u64::MAX] {
            assert_eq!(Ask::of(RestTag(raw)), None, "{raw:x}");
        }
    }

    #[test]
    fn urls_name_their_answers() {
        let registry = Registry::new();
        let of = |url: &str| tag_of_url(&registry, url).and_then(Ask::of);
        let base = "https://api.kraken.com";
        for (path, want) in [
            ("/0/public/AssetPairs?pair=XBTUSD", Some(Ask::Pairs)),
            ("/0/private/OpenOrders", Some(Ask::Open(RECORDED))),
            ("/0/private/QueryOrders", Some(Ask::Stray(RECORDED))),
            ("/0/private/BalanceEx", Some(Ask::Balance(RECORDED))),
            ("/0/public/Depth?pair=XBTUSD", None),
            ("/1/public/AssetPairs", None),
        ] {
            assert_eq!(of(&format!("{base}{path}")), want, "{path}");
        }
    }

    #[test]
    fn money_is_exact_or_none() {
        let of = |text: &str| money(Decimal::parse(text.as_bytes()).unwrap());
        assert_eq!(of("0.5"), Some(Notional(500_000_000_000)));
        assert_eq!(of("0.0000000000019"), Some(Notional(1)));
        assert_eq!(of("1e18"), Some(Notional(10i128.pow(30))));
    }
}
