//! REST: requests (signed where private) and what their answers mean. Cold path: start, reconciliation,
//! questions about single orders.
//!
//! ```text
//! conf/pub:info:pair   → smallest and largest order           tickers → a price, and from it the steps of prices
//! auth/r/orders, trades/SYMBOL/hist, wallets, positions       reconciliation
//! auth/r/orders/SYMBOL → one order among the open ones, else auth/r/orders/hist → among the closed ones
//! auth/r/order/SYMBOL:ID/trades                               its fills
//! ```
//! Signed requests are POSTs with a JSON body. The tag of a request carries what was asked, so an answer needs no
//! table; the same function reads answers live and in replay ([`tag_of_url`]). An error is
//! `["error",CODE,TEXT]`, or `{"error":TEXT}` where a limit was hit.
//! Source: venue page, sections 2 and 4.6, read 2026-11-21; fixtures `rest_*.json`. `limit`, `start` and `sort`
//! in the bodies of lists are unverified: a venue that passes over them answers with its own page.

use crate::account::{item, text};
use crate::auth::{Auth, Nonces};
use crate::feed::at;
use crate::symbols::{assets, is_derivative, step_at, write_u64};
use crate::{ID, LINK_REST};
use dp_types::{ClientOrderId, Decimal, Instrument, InstrumentId, Now, NumError, Price, Qty};
use dp_venue_api::{DecodeError, Registry, RestMethod, RestRequest, RestTag, Sink};
use dp_wire::json::Value;

/// Items on one page of fills; a full page means there may be more.
pub const PAGE_LEN: usize = 2_500;
/// Pages of fills of one instrument we read in one reconciliation.
pub const PAGES_MAX: u32 = 20;
/// Closed orders among which one is looked for, newest first.
pub const HISTORY_LEN: usize = 250;

/// Run of an answer that was recorded: no machine asked for it, each takes it.
pub const RECORDED: u32 = 0;

/// Decimals of a price: all five digits of prices from 10^-6 to 9 x 10^8.
pub const PRICE_DECIMALS: u8 = 10;
/// And of prices below, down to 10^-10.
pub const PRICE_DECIMALS_TINY: u8 = 14;
/// Below this the latter.
const TINY: Decimal = Decimal {
    mantissa: 1,
    exponent: -6,
};
/// Decimals of an amount: the venue's own, for every instrument.
pub const QTY_DECIMALS: u8 = 8;

/// A run has 24 bits, an instrument among ours 12, a page 20: with the low byte the 64 of a tag.
const RUN_BITS: u32 = 24;
pub(crate) const RUN_MASK: u32 = (1 << RUN_BITS) - 1;
const PLACE_BITS: u32 = 12;
const PLACE_MASK: u64 = (1 << PLACE_BITS) - 1;

/// A client order id has 45 bits; beside it and the kind's 8 a tag has 11 for the instrument.
const CLIENT_BITS: u32 = 45;
const CLIENT_MASK: u64 = (1 << CLIENT_BITS) - 1;
const _: () = assert!(dp_types::limit::INSTRUMENTS_MAX <= 1 << (64 - 8 - CLIENT_BITS));
const _: () = assert!(dp_types::limit::INSTRUMENTS_MAX <= 1 << PLACE_BITS);
const _: () = assert!(PAGES_MAX < 1 << (64 - 8 - RUN_BITS - PLACE_BITS));

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Rules of spot pairs.
    Pairs,
    /// Rules of perpetuals.
    Futures,
    /// Prices of the instruments we follow.
    Tickers,
    /// Open orders, in this run of reconciliation (24 bits).
    Orders(u32),
    /// A page of the fills of one instrument, by its place among ours.
    Fills {
        /// The run (24 bits).
        run: u32,
        /// The instrument's place (12 bits).
        place: u32,
        /// From 0 (20 bits).
        page: u32,
    },
    /// Balances.
    Wallets(u32),
    /// Positions.
    Positions(u32),
    /// One order, among the open ones.
    Order(InstrumentId, ClientOrderId),
    /// One order, among the closed ones.
    Closed(InstrumentId, ClientOrderId),
    /// The fills of one order.
    OrderFills(InstrumentId, ClientOrderId),
}

impl Ask {
    /// As a tag: the kind in the low byte, numbers above.
    pub const fn tag(self) -> RestTag {
        let (kind, number) = match self {
            Self::Pairs => (1, 0),
            Self::Futures => (2, 0),
            Self::Tickers => (3, 0),
            Self::Orders(run) => (4, (run & RUN_MASK) as u64),
            Self::Fills { run, place, page } => {
                let low = (run & RUN_MASK) as u64 | (place as u64 & PLACE_MASK) << RUN_BITS;
                (5, low | (page as u64) << (RUN_BITS + PLACE_BITS))
            }
            Self::Wallets(run) => (6, (run & RUN_MASK) as u64),
            Self::Positions(run) => (7, (run & RUN_MASK) as u64),
            Self::Order(id, client) => (8, pack(id, client)),
            Self::Closed(id, client) => (9, pack(id, client)),
            Self::OrderFills(id, client) => (10, pack(id, client)),
        };
        RestTag(kind | number << 8)
    }

    /// From a tag. `None` when it is not one of ours.
    pub fn of(tag: RestTag) -> Option<Self> {
        let wide = tag.0 >> 8;
        let run = || u32::try_from(wide).ok().filter(|run| *run <= RUN_MASK);
        let (id, client) = (
            InstrumentId((wide >> CLIENT_BITS) as u32), // 11 bits are left
            ClientOrderId(wide & CLIENT_MASK),
        );
        Some(match tag.0 & 0xff {
            1 if wide == 0 => Self::Pairs,
            2 if wide == 0 => Self::Futures,
            3 if wide == 0 => Self::Tickers,
            4 => Self::Orders(run()?),
            5 => Self::Fills {
                run: wide as u32 & RUN_MASK,
                place: (wide >> RUN_BITS & PLACE_MASK) as u32,
                page: (wide >> (RUN_BITS + PLACE_BITS)) as u32, // 20 bits are left
            },
            6 => Self::Wallets(run()?),
            7 => Self::Positions(run()?),
            8 => Self::Order(id, client),
            9 => Self::Closed(id, client),
            10 => Self::OrderFills(id, client),
            _ => return None,
        })
    }
}

const fn pack(id: InstrumentId, client: ClientOrderId) -> u64 {
    client.0 & CLIENT_MASK | (id.0 as u64) << CLIENT_BITS
}

/// The tag under which a recorded answer is read, from the URL it came from (replay, tools). `None` when the URL
/// is not one we ask, or names a symbol that is not in the registry.
pub fn tag_of_url(registry: &Registry, url: &str) -> Option<RestTag> {
    let path = url.find("/v2/").and_then(|start| url.get(start + 4..))?;
    let path = path.split('?').next().unwrap_or(path);
    let nobody = ClientOrderId::default();
    let ask = match path {
        "conf/pub:info:pair" => Ask::Pairs,
        "conf/pub:info:pair:futures" => Ask::Futures,
        "tickers" => Ask::Tickers,
        "auth/r/orders" => Ask::Orders(RECORDED),
        "auth/r/orders/hist" => Ask::Closed(InstrumentId::default(), nobody),
        "auth/r/wallets" => Ask::Wallets(RECORDED),
        "auth/r/positions" => Ask::Positions(RECORDED),
        path => {
            let trades = path
                .strip_prefix("auth/r/trades/")
                .and_then(|rest| rest.strip_suffix("/hist"));
            let of_order = path
                .strip_prefix("auth/r/order/")
                .and_then(|rest| rest.strip_suffix("/trades"))
                .and_then(|rest| rest.rsplit_once(':'));
            match (trades, of_order, path.strip_prefix("auth/r/orders/")) {
                (Some(symbol), ..) | (_, Some((symbol, _)), _) => {
                    Ask::OrderFills(registry.find(ID, symbol.as_bytes())?, nobody)
                }
                (.., Some(symbol)) => {
                    registry.find(ID, symbol.as_bytes())?;
                    Ask::Orders(RECORDED)
                }
                _ => return None,
            }
        }
    };
    Some(ask.tag())
}

/// Queues a public GET.
pub(crate) fn get(ask: Ask, target: &str, out: &mut impl Sink) {
    out.request(
        LINK_REST,
        &RestRequest {
            tag: ask.tag(),
            method: RestMethod::Get,
            target,
            headers: &[],
            body: &[],
        },
    );
}

/// Queues a signed POST with the next nonce.
pub(crate) fn post(
    (auth, nonces): (&Auth, &mut Nonces),
    ask: Ask,
    path: &str,
    body: &str,
    now: Now,
    out: &mut impl Sink,
) {
    let mut digits = [0; 20];
    let nonce = write_u64(nonces.next(now), &mut digits);
    let sign = auth.sign_rest(path, nonce, body.as_bytes());
    out.request(
        LINK_REST,
        &RestRequest {
            tag: ask.tag(),
            method: RestMethod::Post,
            target: path,
            headers: &[
                ("bfx-nonce", nonce),
                ("bfx-apikey", auth.api_key()),
                ("bfx-signature", sign.as_str()),
                ("content-type", "application/json"),
            ],
            body: body.as_bytes(),
        },
    );
}

/// Code and text of an answer that is an error.
pub(crate) fn error_of(root: Value<'_>) -> Option<(i32, &str)> {
    if let Some(error) = root.get("error") {
        return Some((0, error.as_str().unwrap_or("")));
    }
    if root.at(0).and_then(Value::as_str) != Some("error") {
        return None;
    }
    let code = item(root, 1).and_then(Value::as_i64);
    let code = code.and_then(|code| i32::try_from(code).ok()).unwrap_or(0);
    Some((code, text(root, 2)))
}

fn number(field: &'static str) -> impl Fn(NumError) -> DecodeError {
    move |error| DecodeError::Number { field, error }
}

/// Gives the listed pairs that we follow their smallest and largest order; tells each to `listed`.
///
/// Errors: a pair of ours whose numbers cannot be read, or a shape that is none of a list.
pub(crate) fn pairs(
    registry: &mut Registry,
    root: Value<'_>,
    mut listed: impl FnMut(InstrumentId),
) -> Result<(), DecodeError> {
    let list = root.at(0).and_then(Value::as_array);
    let mut symbol = String::new();
    for entry in list.ok_or(DecodeError::Field("pairs"))? {
        symbol.clear();
        symbol.push('t');
        symbol.push_str(entry.at(0).and_then(Value::as_str).unwrap_or(""));
        let known = registry.find(ID, symbol.as_bytes());
        let Some(&known) = known.and_then(|id| registry.get(id)) else {
            continue;
        };
        let rules = entry.at(1).ok_or(DecodeError::Field("pair"))?;
        let mut made = known;
        let min = item(rules, 3).ok_or(DecodeError::Field("minimum"))?;
        let min = min.as_decimal().map_err(at("minimum"))?;
        made.qty_min = made.qty(min).map_err(number("minimum"))?;
        // A limit beyond 64 bits of increments is no limit to us.
        made.qty_max = match item(rules, 4) {
            Some(max) => made
                .qty(max.as_decimal().map_err(at("maximum"))?)
                .unwrap_or(Qty(0)),
            None => Qty(0),
        };
        made.lot = Qty(1);
        if let Some((base, quote)) = assets(&symbol) {
            let too_many = |_| DecodeError::TooMuch("assets");
            made.base = registry.asset(base).map_err(too_many)?;
            made.quote = registry.asset(quote).map_err(too_many)?;
        }
        registry.update(made);
        listed(made.id);
    }
    Ok(())
}

/// Sets increments and tick of the instruments we follow by their last prices.
///
/// Errors: a price that cannot be read.
pub(crate) fn tickers(registry: &mut Registry, root: Value<'_>) -> Result<(), DecodeError> {
    for row in root.as_array().ok_or(DecodeError::Field("tickers"))? {
        let Some(id) = registry.find(ID, text(row, 0).as_bytes()) else {
            continue;
        };
        let Some(&known) = registry.get(id) else {
            continue;
        };
        let priced = |index| item(row, index).map(Value::as_decimal).transpose();
        let last = priced(7).map_err(at("last price"))?;
        let bid = priced(1).map_err(at("bid"))?;
        let price = [last, bid]
            .into_iter()
            .flatten()
            .find(|price| price.mantissa > 0);
        registry.update(stepped(known, price));
    }
    Ok(())
}

/// An instrument with increments and tick for prices like this one; without one, increments only.
///
/// The venue has no tick but five significant digits, so its steps grow with the price. What an instrument can
/// say is one tick: that of the price at start. Where the price has since risen over a power of ten the tick is
/// too fine, and orders are rounded on their way out; where it has fallen, it is coarser than need be.
/// Increments leave room for both, and are the same for nearly all prices: what earlier runs counted in them
/// must stay what it is.
fn stepped(known: Instrument, price: Option<Decimal>) -> Instrument {
    let is_tiny = price.is_some_and(|price| is_below(price, TINY));
    let mut made = Instrument {
        price_decimals: if is_tiny {
            PRICE_DECIMALS_TINY
        } else {
            PRICE_DECIMALS
        },
        qty_decimals: QTY_DECIMALS,
        is_spot: !is_derivative(known.symbol.as_str()),
        ..known
    };
    let price = price.and_then(|price| made.price(price).ok());
    made.tick = price.map_or(Price(1), step_at);
    made
}

/// Whether a positive number is below another.
fn is_below(number: Decimal, other: Decimal) -> bool {
    let scale = |value: Decimal| {
        let power = i32::from(value.exponent) + 18; // 0..=36 by the decimal's own bounds
        i128::from(value.mantissa).saturating_mul(10i128.saturating_pow(power.unsigned_abs()))
    };
    scale(number) < scale(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Text, VenueId};

    #[test]
    fn tags_come_back() {
        let client = ClientOrderId((1 << 45) - 1);
        for ask in [
            Ask::Pairs,
            Ask::Futures,
            Ask::Tickers,
            Ask::Orders(RUN_MASK),
            Ask::Fills {
                run: RUN_MASK,
                place: 1_023,
                page: PAGES_MAX,
            },
            Ask::Wallets(1),
            Ask::Positions(0),
            Ask::Order(InstrumentId(1_023), client),
            Ask::Closed(InstrumentId(0), client),
            Ask::OrderFills(InstrumentId(1_023), ClientOrderId(7)),
        ] {
            assert_eq!(Ask::of(ask.tag()), Some(ask));
        }
        for raw in [0, 11, 255, 1 << 8 | 1, 1 << 40 | 4, u64::MAX] {
            assert_eq!(Ask::of(RestTag(raw)), None);
        }
    }

    #[test]
    fn urls_name_their_answers() {
        let mut registry = Registry::new();
        let id = registry.register(ID, "tBTCUSD", 10, 8).unwrap();
        let of = |url: &str| tag_of_url(&registry, url).and_then(Ask::of);
        let fills = Some(Ask::OrderFills(id, ClientOrderId(0)));
        for (url, want) in [
            (
                "https://api-pub.bitfinex.com/v2/conf/pub:info:pair",
                Some(Ask::Pairs),
            ),
            ("/v2/conf/pub:info:pair:futures", Some(Ask::Futures)),
            ("/v2/tickers?symbols=tBTCUSD", Some(Ask::Tickers)),
            (
                "https://api.bitfinex.com/v2/auth/r/orders",
                Some(Ask::Orders(0)),
            ),
            ("/v2/auth/r/orders/tBTCUSD", Some(Ask::Orders(0))),
            ("/v2/auth/r/trades/tBTCUSD/hist", fills),
            ("/v2/auth/r/order/tBTCUSD:185815098001/trades", fills),
            ("/v2/auth/r/order/tETHUSD:1/trades", None),
            ("/v2/auth/r/orders/tETHUSD", None),
            (
                "https://api-pub.bitfinex.com/v2/conf/pub:list:pair:exchange",
                None,
            ),
            ("nonsense", None),
        ] {
            assert_eq!(of(url), want, "{url}");
        }
    }

    #[test]
    fn the_tick_is_that_of_the_price_and_increments_have_room_on_both_sides() {
        let bare = Instrument::bare(InstrumentId(0), VenueId::BITFINEX, Text::EMPTY, 11, 8);
        for (price, decimals, tick) in [
            ("65000", 10, "1"),
            ("100000", 10, "10"),
            ("99999", 10, "1"),
            ("10087.98969503", 10, "1"),
            ("1.0001", 10, "0.0001"),
            ("0.00012340", 10, "0.00000001"),
            ("0.000001", 10, "0.0000000001"),
            ("9.9999e-7", 14, "0.00000000001"),
            ("5.6e-7", 14, "0.00000000001"),
        ] {
            let made = stepped(bare, Decimal::parse(price.as_bytes()).ok());
            assert_eq!(made.price_decimals, decimals, "{price}");
            let want = Decimal::parse(tick.as_bytes()).unwrap();
            assert_eq!(made.tick, made.price(want).unwrap(), "{price}");
        }
        assert_eq!(stepped(bare, None).tick, Price(1), "rounded on the way out");
    }
}
