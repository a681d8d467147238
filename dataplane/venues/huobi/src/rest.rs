//! REST: requests (signed where private) and what their answers mean. Cold path: start, reconciliation, the dead
//! man's switch.
//!
//! ```text
//! market-symbols → registry, rules        accounts → the account orders are placed from
//! openOrders, matchresults, balance → reconciliation     order → its report, then its fills
//! cancel-all-after → dead man's switch re-armed
//! ```
//! Snapshots do not come this way: they are asked for on the feed socket. All rules are asked for at once: a symbol
//! the venue does not have must not cost the others theirs. The tag of a request carries what was asked, so an
//! answer needs no table; the same function reads answers live and in replay ([`tag_of_url`]), where older lists and
//! those of swaps occur.
//! Source: venue page, sections 2, 4.2 and 4S, read 2026-11-20; fixtures `rest_*.json`.

use crate::auth::{Auth, Stamp};
use crate::feed::{at, text, trimmed};
use crate::symbols::{parse_client_id, upper};
use crate::{ID, LINK_REST};
use dp_types::{
    AssetId, ClientOrderId, Decimal, Instrument, InstrumentId, Notional, Now, NumError, Payoff,
    Price, Qty,
};
use dp_venue_api::{DecodeError, Registry, RestMethod, RestRequest, RestTag, Sink};
use dp_wire::json::{JsonError, Value};

/// Items on one page of a list; a full page means there may be more.
pub const PAGE_LEN: usize = 500;
/// Pages of open orders we read of one symbol. More is told as an error, never cut silently.
pub const PAGES_MAX: u32 = 20;
/// Pages of fills we read of one symbol in one reconciliation: 50,000.
pub const FILL_PAGES_MAX: u32 = 100;

/// Run of an answer that was recorded: no machine asked for it, each takes it.
pub const RECORDED: u32 = 0;

/// A run has 24 bits, a symbol and a page 16 each: with the low byte the 64 of a tag.
const RUN_BITS: u32 = 24;
pub(crate) const RUN_MASK: u32 = (1 << RUN_BITS) - 1;
const PAGE_BITS: u32 = 16;
const PAGE_MASK: u64 = (1 << PAGE_BITS) - 1;

/// A client order id has 45 bits; beside it and the kind's 8 a tag has 11 for the instrument.
const CLIENT_BITS: u32 = 45;
const CLIENT_MASK: u64 = (1 << CLIENT_BITS) - 1;
const _: () = assert!(dp_types::limit::INSTRUMENTS_MAX <= 1 << (64 - 8 - CLIENT_BITS));
const _: () = assert!(FILL_PAGES_MAX < 1 << PAGE_BITS && PAGES_MAX < 1 << PAGE_BITS);

/// Which page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPage {
    /// Of this run of reconciliation (24 bits).
    pub run: u32,
    /// Of the symbol at this place of the configuration (16 bits).
    pub symbol: u32,
    /// From 0 (16 bits).
    pub page: u32,
}

impl ListPage {
    const fn number(self) -> u64 {
        (self.run & RUN_MASK) as u64
            | (self.symbol as u64 & PAGE_MASK) << RUN_BITS
            | (self.page as u64 & PAGE_MASK) << (RUN_BITS + PAGE_BITS)
    }

    const fn of(wide: u64) -> Self {
        Self {
            run: (wide & RUN_MASK as u64) as u32,
            symbol: (wide >> RUN_BITS & PAGE_MASK) as u32,
            page: (wide >> (RUN_BITS + PAGE_BITS)) as u32, // 16 bits are left
        }
    }
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The rules of all symbols.
    Instruments,
    /// The accounts of the key.
    Accounts,
    /// A page of open orders.
    Open(ListPage),
    /// A page of fills.
    Fills(ListPage),
    /// Balances, in this run of reconciliation.
    Balance(u32),
    /// One order of this instrument, by our id.
    Order(InstrumentId, ClientOrderId),
    /// The fills of one order.
    OrderFills(InstrumentId, ClientOrderId),
    /// The dead man's switch.
    DeadMan,
}

impl Ask {
    /// As a tag: the kind in the low eight bits, numbers above.
    pub const fn tag(self) -> RestTag {
        let (kind, number) = match self {
            Self::Instruments => (1, 0),
            Self::Accounts => (2, 0),
            Self::Open(page) => (3, page.number()),
            Self::Fills(page) => (4, page.number()),
            Self::Balance(run) => (5, run as u64),
            Self::Order(id, client) => (6, pack(id, client)),
            Self::OrderFills(id, client) => (7, pack(id, client)),
            Self::DeadMan => (8, 0),
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
        Some(match tag.0 & 0xff {
            1 if wide == 0 => Self::Instruments,
            2 if wide == 0 => Self::Accounts,
            3 => Self::Open(ListPage::of(wide)),
            4 => Self::Fills(ListPage::of(wide)),
            5 => Self::Balance(u32::try_from(wide).ok()?),
            6 => Self::Order(id, client),
            7 => Self::OrderFills(id, client),
            8 if wide == 0 => Self::DeadMan,
            _ => return None,
        })
    }
}

const fn pack(id: InstrumentId, client: ClientOrderId) -> u64 {
    client.0 & CLIENT_MASK | (id.0 as u64) << CLIENT_BITS
}

/// The tag under which a recorded answer is read, from the URL it came from (replay, tools). `None`
/// when the URL is not one we ask.
pub fn tag_of_url(url: &str) -> Option<RestTag> {
    let path = url.find("://").map_or(Some(url), |at| {
        let rest = url.get(at + 3..)?;
        rest.get(rest.find('/')?..)
    })?;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let field = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name));
    let recorded = ListPage {
        run: RECORDED,
        symbol: 0,
        page: 0,
    };
    let none = (InstrumentId::default(), ClientOrderId::default());
    Some(
        match path {
            "/v1/settings/common/market-symbols"
            | "/v1/common/symbols"
            | "/linear-swap-api/v1/swap_contract_info"
            | "/swap-api/v1/swap_contract_info" => Ask::Instruments,
            "/v1/account/accounts" => Ask::Accounts,
            "/v1/order/openOrders" => Ask::Open(recorded),
            "/v1/order/matchresults" => Ask::Fills(recorded),
            "/v2/algo-orders/cancel-all-after" => Ask::DeadMan,
            "/v1/order/orders/getClientOrder" => {
                let client = field("clientOrderId=")?;
                let client = parse_client_id(client.as_bytes()).unwrap_or_default();
                Ask::Order(none.0, client)
            }
            path => {
                if let Some(rest) = path.strip_prefix("/v1/account/accounts/") {
                    rest.strip_suffix("/balance")?;
                    Ask::Balance(RECORDED)
                } else {
                    let rest = path.strip_prefix("/v1/order/orders/")?;
                    match rest.split_once('/') {
                        Some((_, "matchresults")) => Ask::OrderFills(none.0, none.1),
                        Some(_) => return None,
                        None => Ask::Order(none.0, none.1),
                    }
                }
            }
        }
        .tag(),
    )
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

/// What a signed request asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) method: RestMethod,
    pub(crate) path: &'a str,
    /// Without a question mark.
    pub(crate) query: &'a str,
    pub(crate) body: &'a str,
}

impl<'a> Call<'a> {
    /// A GET.
    pub(crate) const fn get(path: &'a str, query: &'a str) -> Self {
        Self {
            method: RestMethod::Get,
            path,
            query,
            body: "",
        }
    }
}

/// Queues a signed request to `host`, stamped `now`: the venue takes it for five minutes.
pub(crate) fn signed(
    auth: &Auth,
    host: &str,
    ask: Ask,
    call: Call<'_>,
    now: Now,
    out: &mut impl Sink,
) {
    let stamp = Stamp::from_millis(now.unix.millis());
    let target = auth.target(call.method, host, call.path, call.query, &stamp);
    out.request(
        LINK_REST,
        &RestRequest {
            tag: ask.tag(),
            method: call.method,
            target: &target,
            headers: &[("Content-Type", "application/json")],
            body: call.body.as_bytes(),
        },
    );
}

/// Registers the rules of every listed instrument that we follow; returns how many there were.
///
/// Errors: an instrument of ours whose numbers cannot be read.
pub(crate) fn instruments(registry: &mut Registry, root: Value<'_>) -> Result<usize, DecodeError> {
    let mut count = 0;
    for item in root.array("data").map_err(at("data"))? {
        let is_swap = item.get("contract_code").is_some();
        let key = if is_swap { "contract_code" } else { "symbol" };
        let symbol = item.str(key).map_err(at(key))?;
        let Some(id) = registry.find(ID, symbol.as_bytes()) else {
            continue;
        };
        let Some(&known) = registry.get(id) else {
            continue;
        };
        let updated = if is_swap {
            swap_rules(registry, known, item)?
        } else {
            spot_rules(registry, known, item)?
        };
        registry.update(updated);
        count += 1;
    }
    Ok(count)
}

/// Books may hold orders from before the tick was made coarser: prices are counted finer by this many places.
const PRICE_DECIMALS_FINER: u8 = 2;
/// Finest increment of a quantity.
const QTY_DECIMALS_MAX: u8 = 10;
/// Digits of 64 bits of increments.
const DIGITS: u8 = 18;
/// Of these, how many a level may have beyond those of the largest order: a thousand of them at one price.
const DIGITS_SPARE: u8 = 3;

fn number(field: &'static str) -> impl Fn(NumError) -> DecodeError {
    move |error| DecodeError::Number { field, error }
}

/// A rule by the first of its names that is there; zeros behind the last place that counts say nothing.
fn rule(item: Value<'_>, keys: &[&'static str]) -> Result<Option<Decimal>, DecodeError> {
    for key in keys {
        let Some(field) = item.get(key) else { continue };
        let read = match field.as_str() {
            Some(text) => Decimal::parse(trimmed(text.as_bytes())).map_err(JsonError::Decimal),
            None => field.as_decimal(),
        };
        return read.map(|read| Some(shortest(read))).map_err(at(key));
    }
    Ok(None)
}

/// Without zeros behind the last place that counts (recorded: `1.0000000000E-8`).
fn shortest(mut value: Decimal) -> Decimal {
    while value.exponent < 0 && value.mantissa % 10 == 0 {
        value.mantissa /= 10;
        value.exponent += 1;
    }
    value
}

/// A number of decimals, 0 to 18.
fn places(item: Value<'_>, keys: [&'static str; 2]) -> Result<u8, DecodeError> {
    let [first, second] = keys;
    let places = item.get(first).or_else(|| item.get(second));
    places
        .and_then(Value::as_u64)
        .and_then(|places| u8::try_from(places).ok())
        .filter(|places| *places <= DIGITS)
        .ok_or(DecodeError::Field(first))
}

/// The smallest step of so many decimals.
const fn step(decimals: u8) -> Decimal {
    Decimal {
        mantissa: 1,
        exponent: -(decimals as i8),
    }
}

/// As fine as 64 bits allow with room for large levels, and never coarser than the lot.
fn qty_decimals(lot_decimals: u8, largest: Option<Decimal>) -> u8 {
    let whole_digits = largest.map_or(0, |largest| {
        let digits = largest
            .mantissa
            .unsigned_abs()
            .checked_ilog10()
            .unwrap_or(0) as i32
            + 1;
        u8::try_from(digits + i32::from(largest.exponent)).unwrap_or(0)
    });
    let room = DIGITS.saturating_sub(whole_digits.saturating_add(DIGITS_SPARE));
    room.min(QTY_DECIMALS_MAX).max(lot_decimals)
}

fn asset_of(registry: &mut Registry, name: &str) -> Result<AssetId, DecodeError> {
    let mut buffer = [0; 15];
    let name = upper(name, &mut buffer).ok_or(DecodeError::TooMuch("asset name"))?;
    registry
        .asset(name)
        .map_err(|_| DecodeError::TooMuch("assets"))
}

/// One spot symbol's rules over what we knew of it, in the words of either list.
fn spot_rules(
    registry: &mut Registry,
    known: Instrument,
    item: Value<'_>,
) -> Result<Instrument, DecodeError> {
    let price_places = places(item, ["pp", "price-precision"])?;
    let lot_places = places(item, ["ap", "amount-precision"])?;
    let largest = rule(
        item,
        &["lomaxoa", "limit-order-max-order-amt", "max-order-amt"],
    )?;
    let word = |keys: [&str; 2]| {
        let [new, old] = keys.map(|key| text(item, key));
        if new.is_empty() { old } else { new }
    };
    let mut made = Instrument {
        price_decimals: (price_places + PRICE_DECIMALS_FINER).min(DIGITS),
        qty_decimals: qty_decimals(lot_places, largest),
        is_live: text(item, "state") == "online" && word(["at", "api-trading"]) == "enabled",
        base: asset_of(registry, word(["bc", "base-currency"]))?,
        quote: asset_of(registry, word(["qc", "quote-currency"]))?,
        is_spot: true,
        ..known
    };
    made.tick = made.price(step(price_places)).map_err(number("pp"))?;
    made.lot = made.qty(step(lot_places)).map_err(number("ap"))?;
    let smallest = ["lominoa", "limit-order-min-order-amt", "min-order-amt"];
    if let Some(min) = rule(item, &smallest)? {
        made.qty_min = made.qty(min).map_err(number("lominoa"))?;
    }
    // A limit beyond 64 bits of increments is no limit to us.
    made.qty_max = largest
        .and_then(|largest| made.qty(largest).ok())
        .unwrap_or(Qty(0));
    if let Some(min) = rule(item, &["minov", "min-order-value"])? {
        let units = min.to_increments(12).map_err(number("minov"))?;
        made.notional_min = Notional(i128::from(units));
    }
    Ok(made)
}

/// One swap's rules: quantities are whole contracts. Against dollars they count dollars and are settled in the coin. For
/// replay: nothing here trades swaps.
fn swap_rules(
    registry: &mut Registry,
    known: Instrument,
    item: Value<'_>,
) -> Result<Instrument, DecodeError> {
    let tick = rule(item, &["price_tick"])?.ok_or(DecodeError::Field("price_tick"))?;
    let size = rule(item, &["contract_size"])?.ok_or(DecodeError::Field("contract_size"))?;
    let base = text(item, "symbol");
    let quote = known.symbol;
    let quote = quote.as_str().split('-').nth(1).unwrap_or("");
    let (payoff, quote) = match quote {
        "USDT" => (Payoff::Linear, quote),
        "USD" => (Payoff::Inverse, base),
        _ => (Payoff::Unknown, quote),
    };
    let mut made = Instrument {
        price_decimals: (tick.decimals() + PRICE_DECIMALS_FINER).min(DIGITS),
        qty_decimals: 0,
        is_live: item.get("contract_status").and_then(Value::as_u64) == Some(1),
        lot: Qty(1),
        qty_min: Qty(1),
        payoff,
        multiplier: size,
        base: asset_of(registry, base)?,
        quote: asset_of(registry, quote)?,
        ..known
    };
    made.tick = match made.price(tick).map_err(number("price_tick"))? {
        Price(0) => return Err(DecodeError::Field("price_tick")),
        tick => tick,
    };
    Ok(made)
}

/// The account that spot orders are placed from, as the venue prints it: the first working one of type `spot`.
pub(crate) fn spot_account(root: Value<'_>) -> Result<u64, DecodeError> {
    let mut accounts = root.array("data").map_err(at("data"))?;
    let is_ours =
        |item: &Value<'_>| text(*item, "type") == "spot" && text(*item, "state") == "working";
    let account = accounts
        .find(is_ours)
        .ok_or(DecodeError::Shape("no working spot account"))?;
    account.u64("id").map_err(at("id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back() {
        let page = |run, symbol, page| ListPage { run, symbol, page };
        for ask in [
            Ask::Instruments,
            Ask::Accounts,
            Ask::Open(page(7, 0, 0)),
            Ask::Fills(page(RUN_MASK, 0xffff, 0xffff)),
            Ask::Balance(RUN_MASK),
            Ask::Order(InstrumentId(1023), ClientOrderId((1 << 45) - 1)),
            Ask::OrderFills(InstrumentId(0), ClientOrderId(7)),
            Ask::DeadMan,
        ] {
            assert_eq!(Ask::of(ask.tag()), Some(ask));
        }
        for raw in [0, 9, 255, 0x101, 1 << 60 | 1, 1 << 8 | 8, u64::MAX] {
            assert_eq!(Ask::of(RestTag(raw)), None, "{raw}");
        }
    }

    #[test]
    fn urls_name_their_answers() {
        let of = |url: &str| tag_of_url(url).and_then(Ask::of);
        for list in [
            "https://api.huobi.pro/v1/common/symbols",
            "/v1/settings/common/market-symbols?symbols=btcusdt",
            "https://api.hbdm.com/linear-swap-api/v1/swap_contract_info",
        ] {
            assert_eq!(of(list), Some(Ask::Instruments), "{list}");
        }
        let host = "https://api.huobi.pro";
        let url = format!("{host}/v1/order/orders/getClientOrder?clientOrderId=sl1z141z5");
        assert!(matches!(of(&url), Some(Ask::Order(_, client)) if client.sequence() == 1));
        let url = format!("{host}/v1/order/orders/59378/matchresults");
        assert!(matches!(of(&url), Some(Ask::OrderFills(..))));
        let url = format!("{host}/v1/account/accounts/992701/balance");
        assert_eq!(of(&url), Some(Ask::Balance(RECORDED)));
        for none in [
            "nonsense",
            "https://api.huobi.pro",
            "/v1/order/orders/5/x",
            "/market/detail",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn quantities_are_as_fine_as_large_levels_allow() {
        let largest = |text: &str| Some(Decimal::parse(text.as_bytes()).unwrap());
        for (lot, max, want) in [
            (6, largest("1000"), 10),
            (2, largest("800000000"), 6),
            (0, largest("1E+13"), 1),
            (4, largest("90000000000000"), 4),
            (2, largest("0.5"), 10),
            (2, None, 10),
        ] {
            assert_eq!(qty_decimals(lot, max), want, "{max:?}");
        }
    }
}
