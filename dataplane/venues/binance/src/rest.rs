//! REST: what is asked and what the answers mean. Cold path: start, resync, reconciliation.
//!
//! ```text
//! exchangeInfo → registry, instrument rules, rate limits      depth → Book snapshot, spliced by the keeper
//! openOrders, myTrades per symbol, account → reconciliation   order → one order's report (then its fills)
//! ```
//! The tag of a request carries what was asked, so an answer needs no table; [`ask_of_url`] finds the same
//! for recorded answers.
//! Source: venue page, sections 2, 3, 4.1 and 6, read 2026-11-20; fixtures `rest_*.json`.

use crate::account::{self, text};
use crate::feed::{Levels, Notice, at, on_snapshot};
use crate::limits::{BATCH_WEIGHT, USAGES_MAX, Usage, usages};
use crate::product::{Market, Product};
use crate::symbols::{parse_client_id, trimmed};
use crate::usdm;
use crate::usdm::batch::{Heard, on_answer};
use crate::{LINK_BATCHES, LINK_CANCELS, LINK_REST, entry};
use dp_types::{
    ClientOrderId, Decimal, Instrument, InstrumentId, LinkId, Notional, NumError, OrderId, Payoff,
    Price, Qty, VenueId,
};
use dp_venue_api::{
    DecodeError, OrderBatch, Registry, RegistryError, RestMethod, RestRequest, RestTag, Sink,
};
use dp_wire::json::Value;

/// The field a key is shown in.
pub(crate) const API_KEY_FIELD: &str = "X-MBX-APIKEY";
/// Levels a side of the snapshots we ask for.
pub const DEPTH_LIMIT: usize = 1_000;
/// Trades on one page.
pub const TRADES_LIMIT: usize = 1_000;

/// Pages of the trades of one order after the first.
pub const ORDER_PAGES_MAX: u8 = 15;

/// Run, or snapshot, of an answer that was recorded: no machine asked for it, each takes it.
pub const RECORDED: u32 = 0;

/// A run has 24 bits, an instrument and a page 16 each: with the low byte the 64 of a tag.
const RUN_BITS: u32 = 24;
pub(crate) const RUN_MASK: u32 = (1 << RUN_BITS) - 1;
const ID_BITS: u32 = 16;
const ID_MASK: u64 = (1 << ID_BITS) - 1;
const _: () = assert!(8 + RUN_BITS + 2 * ID_BITS == 64);
const _: () = assert!(dp_types::limit::INSTRUMENTS_MAX <= 1 << ID_BITS);

/// A client order id has 45 bits; beside it and the low byte a tag has 11 for the instrument.
const CLIENT_BITS: u32 = 45;
const CLIENT_MASK: u64 = (1 << CLIENT_BITS) - 1;
const _: () = assert!(dp_types::limit::INSTRUMENTS_MAX <= 1 << (64 - 8 - CLIENT_BITS));

/// Which page of trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradesPage {
    /// Of this run of reconciliation (24 bits).
    pub run: u32,
    /// Of this instrument.
    pub id: InstrumentId,
    /// From 0.
    pub page: u16,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Rules of all our instruments, or of one.
    Rules(Option<InstrumentId>),
    /// A book snapshot, by the number of the request.
    Depth(InstrumentId, u32),
    /// All open orders, in this run of reconciliation.
    OpenOrders(u32),
    /// A page of trades.
    Trades(TradesPage),
    /// Balances, in this run of reconciliation.
    Account(u32),
    /// One order by our id.
    Order(InstrumentId, ClientOrderId),
    /// A page (0 to [`ORDER_PAGES_MAX`]) of the trades of one order of ours.
    OrderTrades(InstrumentId, ClientOrderId, u8),
    /// Positions of futures, in this run of reconciliation.
    Positions(u32),
    /// A key for the user stream of futures.
    ListenKey,
    /// That it stays alive.
    KeepAlive,
    /// A cancel of everything of an instrument.
    CancelAll(InstrumentId),
    /// The dead man's switch of an instrument, put off.
    DeadMan(InstrumentId),
    /// New orders of futures.
    Orders(OrderBatch),
    /// Funding payments of futures.
    Income,
}

impl Ask {
    /// As a tag: the kind in the low four bits, a page of an order's trades or the count of a batch in the next four,
    /// numbers above.
    pub const fn tag(self) -> RestTag {
        let (kind, number) = match self {
            Self::Rules(None) => (1, 0),
            Self::Rules(Some(id)) => (1, id.0 as u64 + 1),
            Self::Depth(id, number) => (2, id.0 as u64 & ID_MASK | (number as u64) << ID_BITS),
            Self::OpenOrders(run) => (3, run as u64),
            Self::Trades(TradesPage { run, id, page }) => (
                4,
                (run & RUN_MASK) as u64
                    | (id.0 as u64 & ID_MASK) << RUN_BITS
                    | (page as u64) << (RUN_BITS + ID_BITS),
            ),
            Self::Account(run) => (5, run as u64),
            Self::Order(id, client) => (6, pack(id, client)),
            Self::OrderTrades(id, client, page) => (7 | (page as u64 & 0xf) << 4, pack(id, client)),
            Self::Positions(run) => (8, run as u64),
            Self::ListenKey => (9, 0),
            Self::KeepAlive => (10, 0),
            Self::CancelAll(id) => (11, id.0 as u64),
            Self::DeadMan(id) => (12, id.0 as u64),
            Self::Orders(batch) => {
                let (kind, count) = (13, batch.count() as u64 & 0xf);
                (kind | count << 4, pack(batch.instrument(), batch.first()))
            }
            Self::Income => (14, 0),
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
        let page = (tag.0 >> 4 & 0xf) as u8;
        Some(match tag.0 & 0xf {
            7 => Self::OrderTrades(id, client, page),
            13 => Self::Orders(OrderBatch::read(client, id, usize::from(page))?),
            _ if page != 0 => return None,
            1 => Self::Rules(match number()? {
                0 => None,
                next => Some(InstrumentId(next - 1)),
            }),
            2 => Self::Depth(
                InstrumentId((wide & ID_MASK) as u32),
                u32::try_from(wide >> ID_BITS).ok()?,
            ),
            3 => Self::OpenOrders(number()?),
            4 => Self::Trades(TradesPage {
                run: (wide & u64::from(RUN_MASK)) as u32,
                id: InstrumentId((wide >> RUN_BITS & ID_MASK) as u32),
                page: (wide >> (RUN_BITS + ID_BITS)) as u16, // 16 bits are left
            }),
            5 => Self::Account(number()?),
            6 => Self::Order(id, client),
            8 => Self::Positions(number()?),
            9 if wide == 0 => Self::ListenKey,
            10 if wide == 0 => Self::KeepAlive,
            14 if wide == 0 => Self::Income,
            11 => Self::CancelAll(InstrumentId(number()?)),
            12 => Self::DeadMan(InstrumentId(number()?)),
            _ => return None,
        })
    }

    /// Weight of the request at the venue.
    pub(crate) const fn weight(self, product: Product) -> u32 {
        let weights = product.weights();
        match self {
            Self::Rules(_) => weights.rules,
            Self::Depth(..) => weights.depth,
            Self::OpenOrders(_) => weights.open_orders,
            Self::Trades(_) => weights.trades,
            Self::Account(_) => weights.account,
            Self::Order(..) => weights.order,
            Self::OrderTrades(..) => weights.order_trades,
            Self::Positions(_) => 5,
            Self::ListenKey | Self::KeepAlive | Self::CancelAll(_) => 1,
            Self::DeadMan(_) => 10,
            Self::Orders(_) => BATCH_WEIGHT,
            Self::Income => usdm::income::WEIGHT,
        }
    }

    /// The link it goes by: what is urgent does not wait behind lists and snapshots.
    const fn link(self) -> LinkId {
        match self {
            Self::CancelAll(_) | Self::DeadMan(_) => LINK_CANCELS,
            Self::Orders(_) => LINK_BATCHES,
            _ => LINK_REST,
        }
    }

    const fn method(self) -> RestMethod {
        match self {
            Self::ListenKey | Self::DeadMan(_) | Self::Orders(_) => RestMethod::Post,
            Self::KeepAlive => RestMethod::Put,
            Self::CancelAll(_) => RestMethod::Delete,
            _ => RestMethod::Get,
        }
    }
}

const fn pack(id: InstrumentId, client: ClientOrderId) -> u64 {
    client.0 & CLIENT_MASK | (id.0 as u64) << CLIENT_BITS
}

fn query_field<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name))
}

/// The symbol a REST URL names.
pub fn symbol_of_url(url: &str) -> Option<String> {
    query_field(url, "symbol=").map(str::to_owned)
}

/// What a recorded answer was the answer to, from its URL (spot, US and futures hosts; replay, tools). `None`
/// when the URL is not one we ask, or names a symbol that is not in the registry.
pub fn ask_of_url(product: Product, registry: &Registry, url: &str) -> Option<Ask> {
    let path = url.split('?').next()?;
    let instrument = || registry.find(product.id(), query_field(url, "symbol=")?.as_bytes());
    let client = || {
        query_field(url, "origClientOrderId=")
            .and_then(|id| parse_client_id(id.as_bytes()))
            .unwrap_or_default()
    };
    Some(match path.rsplit('/').next()? {
        "exchangeInfo" => Ask::Rules(None),
        "depth" => Ask::Depth(instrument()?, RECORDED),
        "openOrders" => Ask::OpenOrders(RECORDED),
        "myTrades" => Ask::Trades(TradesPage {
            run: RECORDED,
            id: instrument()?,
            page: 0,
        }),
        "account" => Ask::Account(RECORDED),
        "userTrades" if product == Product::Usdm => Ask::Trades(TradesPage {
            run: RECORDED,
            id: instrument()?,
            page: 0,
        }),
        "balance" if product == Product::Usdm => Ask::Account(RECORDED),
        "positionRisk" if product == Product::Usdm => Ask::Positions(RECORDED),
        "income" if product == Product::Usdm => Ask::Income,
        "order" => Ask::Order(instrument()?, client()),
        _ => return None,
    })
}

/// The tag under which the machine reads a recorded answer; `None` as [`ask_of_url`].
pub fn tag_of_url(product: Product, registry: &Registry, url: &str) -> Option<RestTag> {
    ask_of_url(product, registry, url).map(Ask::tag)
}

/// Queues a question; signed targets, and those about a listen key, come with the key's name.
pub(crate) fn ask(ask: Ask, target: &str, api_key: Option<&str>, out: &mut impl Sink) {
    let header = api_key.map(|key| (API_KEY_FIELD, key));
    out.request(
        ask.link(),
        &RestRequest {
            tag: ask.tag(),
            method: ask.method(),
            target,
            headers: header.as_slice(),
            body: &[],
        },
    );
}

/// What an answer said, beside its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// How many instruments have rules now, and the venue's limits.
    Rules(usize, [Option<Usage>; USAGES_MAX]),
    /// A snapshot went out.
    Depth,
    /// All open orders went out.
    OpenOrders,
    /// How many trades went out, the newest of them, and the order of the last one listed.
    Trades(usize, u64, OrderId),
    /// Balances went out.
    Account,
    /// One order; its fills may be worth asking for.
    Order(Notice),
    /// Positions went out.
    Positions,
    /// Funding payments went out: how many rows there were, and when the newest was due, Unix milliseconds.
    Income(usize, u64),
    /// What a listen key opens.
    Key(String),
    /// It was done, and there is nothing in it.
    Done,
    /// The fates of new orders went out.
    Orders(Heard),
}

/// Reads the body of a successful answer. Errors: [`DecodeError`].
pub(crate) fn read(
    product: Product,
    registry: &mut Registry,
    ask: Ask,
    root: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<Answer, DecodeError> {
    if let Ask::Rules(_) = ask {
        return Ok(Answer::Rules(rules(product, registry, root)?, usages(root)));
    }
    let market = Market { registry, product };
    match ask {
        Ask::Rules(_) => Ok(Answer::Done), // read above: it writes
        Ask::Positions(_) => {
            usdm::account::on_positions(market, root, out)?;
            Ok(Answer::Positions)
        }
        Ask::Income => {
            let (rows, newest_ms) = usdm::income::on_income(market, root, out)?;
            Ok(Answer::Income(rows, newest_ms))
        }
        Ask::ListenKey => Ok(Answer::Key(usdm::user::target(root)?)),
        Ask::Orders(batch) => Ok(Answer::Orders(on_answer(batch, root, out))),
        Ask::KeepAlive | Ask::CancelAll(_) | Ask::DeadMan(_) => Ok(Answer::Done),
        Ask::Depth(id, _) => {
            on_snapshot(id, root, levels, out)?;
            Ok(Answer::Depth)
        }
        Ask::OpenOrders(_) => {
            for item in root.as_array().ok_or(DecodeError::Shape("no list"))? {
                account::on_listed(market, item, out)?;
            }
            Ok(Answer::OpenOrders)
        }
        Ask::Trades(_) | Ask::OrderTrades(..) => {
            let client = match ask {
                Ask::OrderTrades(_, client, _) => Some(client),
                _ => None,
            };
            let (mut count, mut newest, mut last) = (0, 0, OrderId(0));
            let mut result = Ok(());
            for item in root.as_array().ok_or(DecodeError::Shape("no list"))? {
                // One that cannot be read hides no other.
                match account::on_listed_fill(market, client, item, out) {
                    Ok((trade_id, order_id)) => {
                        newest = newest.max(trade_id);
                        last = order_id;
                        count += 1;
                    }
                    Err(error) => result = result.and(Err(error)),
                }
            }
            result.map(|()| Answer::Trades(count, newest, last))
        }
        Ask::Account(_) => {
            match product {
                Product::Spot => account::on_account(market, root, out)?,
                Product::Usdm => usdm::account::on_balances(market, root, out)?,
            }
            Ok(Answer::Account)
        }
        Ask::Order(_, client) => Ok(Answer::Order(entry::on_queried(market, client, root, out)?)),
    }
}

/// Registers the rules of every listed instrument we follow; returns how many there were.
///
/// Errors: an instrument of ours whose numbers cannot be read.
fn rules(product: Product, registry: &mut Registry, root: Value<'_>) -> Result<usize, DecodeError> {
    let mut count = 0;
    for item in root.array("symbols").map_err(at("symbols"))? {
        let symbol = item.str("symbol").map_err(at("symbol"))?;
        let id = registry.find(product.id(), symbol.as_bytes());
        let Some(&known) = id.and_then(|id| registry.get(id)) else {
            continue;
        };
        let mut made = with_rules(known, item)?;
        made.base = asset(registry, text(item, "baseAsset"))?;
        made.quote = asset(registry, text(item, "quoteAsset"))?;
        registry.update(made);
        count += 1;
    }
    Ok(count)
}

fn asset(registry: &mut Registry, name: &str) -> Result<dp_types::AssetId, DecodeError> {
    registry.asset(name).map_err(|error| match error {
        RegistryError::Full => DecodeError::TooMuch("assets"),
        RegistryError::TooLong => DecodeError::Field("asset"),
    })
}

/// Books may hold orders from before a tick or lot was made coarser, so increments are finer than the rules:
/// prices by two places, quantities by six, but to no more than the eight the venue prints. With six
/// places 64 bits hold 9.2 x 10^12 units a level.
const PRICE_DECIMALS_FINER: u8 = 2;
const QTY_DECIMALS_FINER: u8 = 6;
const DECIMALS_MAX: u8 = 8;

const fn finer(decimals: u8, by: u8) -> u8 {
    let more = decimals.saturating_add(by);
    let capped = if more > DECIMALS_MAX {
        DECIMALS_MAX
    } else {
        more
    };
    if capped > decimals { capped } else { decimals }
}

fn number(field: &'static str) -> impl Fn(NumError) -> DecodeError {
    move |error| DecodeError::Number { field, error }
}

/// A filter's number; `None` when the filter has no such field.
fn filter_field(filter: Value<'_>, key: &'static str) -> Result<Option<Decimal>, DecodeError> {
    filter
        .get(key)
        .map(|value| value.as_decimal().map(trimmed).map_err(at(key)))
        .transpose()
}

/// One instrument's rules over what we knew of it. A zero disables a rule, by the venue's own word.
fn with_rules(known: Instrument, item: Value<'_>) -> Result<Instrument, DecodeError> {
    let (mut tick, mut lot) = (Decimal::ZERO, Decimal::ZERO);
    let (mut qty_min, mut qty_max, mut notional) = (Decimal::ZERO, Decimal::ZERO, Decimal::ZERO);
    for filter in item.array("filters").map_err(at("filters"))? {
        let field = |key| filter_field(filter, key);
        match text(filter, "filterType") {
            "PRICE_FILTER" => tick = field("tickSize")?.unwrap_or(tick),
            "LOT_SIZE" => {
                lot = field("stepSize")?.unwrap_or(lot);
                qty_min = field("minQty")?.unwrap_or(qty_min);
                qty_max = field("maxQty")?.unwrap_or(qty_max);
            }
            "NOTIONAL" | "MIN_NOTIONAL" => {
                let futures = field("notional")?;
                notional = field("minNotional")?.or(futures).unwrap_or(notional);
            }
            _ => {}
        }
    }
    let decimals = |rule: Decimal, by| {
        if rule.is_zero() {
            DECIMALS_MAX
        } else {
            finer(rule.decimals(), by)
        }
    };
    let status = match text(item, "status") {
        "" => text(item, "contractStatus"),
        status => status,
    };
    let may_trade = item.get("isSpotTradingAllowed").and_then(Value::as_bool);
    let mut made = Instrument {
        price_decimals: decimals(tick, PRICE_DECIMALS_FINER),
        qty_decimals: decimals(lot, QTY_DECIMALS_FINER),
        is_live: status == "TRADING" && may_trade != Some(false),
        is_spot: known.venue == VenueId::BINANCE,
        ..known
    };
    made.tick = made.price(tick).map_err(number("tickSize"))?;
    made.lot = made.qty(lot).map_err(number("stepSize"))?;
    made.qty_min = made.qty(qty_min).map_err(number("minQty"))?;
    // A limit beyond 64 bits of increments is no limit to us.
    made.qty_max = made.qty(qty_max).unwrap_or(Qty(0));
    made.notional_min = money(notional).ok_or(DecodeError::Field("minNotional"))?;
    // Contracts of a fixed sum are those of the coin-margined market, which is not ours: what they are settled in is not read.
    if let Some(size) = item.get("contractSize") {
        made.payoff = Payoff::Unknown;
        made.multiplier = size.as_decimal().map_err(at("contractSize"))?;
    }
    // Half a rule is none: without tick and lot an instrument must not be traded.
    made.is_live &= made.tick != Price(0) && made.lot != Qty(0);
    Ok(made)
}

/// A decimal in 10^-12 units; `None` when it leaves the range.
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
    fn increments_are_finer_than_the_rules_within_bounds() {
        assert_eq!(
            (
                finer(2, 2),
                finer(8, 2),
                finer(0, 6),
                finer(5, 6),
                finer(9, 6)
            ),
            (4, 8, 6, 8, 9)
        );
    }

    #[test]
    fn money_is_exact_or_refused() {
        let of = |mantissa, exponent| money(Decimal { mantissa, exponent });
        assert_eq!(of(5, 0), Some(Notional(5_000_000_000_000)));
        assert_eq!(of(1, -4), Some(Notional(100_000_000)));
        assert_eq!(of(7, -13), Some(Notional(0)));
        assert_eq!(of(i64::MAX, 18), None);
    }

    #[test]
    fn tags_come_back() {
        let client = ClientOrderId((1 << 45) - 1);
        for ask in [
            Ask::Rules(None),
            Ask::Rules(Some(InstrumentId(0))),
            Ask::Depth(InstrumentId(1023), u32::MAX),
            Ask::OpenOrders(7),
            Ask::Trades(TradesPage {
                run: RUN_MASK,
                id: InstrumentId(1023),
                page: u16::MAX,
            }),
            Ask::Trades(TradesPage {
                run: 1,
                id: InstrumentId(2),
                page: 3,
            }),
            Ask::Account(0),
            Ask::Order(InstrumentId(1023), client),
            Ask::OrderTrades(InstrumentId(0), client, 0),
            Ask::OrderTrades(InstrumentId(1023), client, ORDER_PAGES_MAX),
            Ask::Positions(7),
            Ask::ListenKey,
            Ask::KeepAlive,
            Ask::CancelAll(InstrumentId(1023)),
            Ask::DeadMan(InstrumentId(0)),
        ] {
            assert_eq!(Ask::of(ask.tag()), Some(ask));
        }
        for raw in [0, 13, 265, 255, 0x11, 1 << 60 | 2, 1 << 60 | 3, u64::MAX] {
            assert_eq!(Ask::of(RestTag(raw)), None);
        }
    }

    #[test]
    fn urls_name_their_answers() {
        let mut registry = Registry::new();
        let id = crate::feed::register(Product::Spot, &mut registry, "BTCUSDT").unwrap();
        let of = |url: &str| ask_of_url(Product::Spot, &registry, url);
        for url in [
            "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000",
            "https://www.binance.com/api/v1/depth?symbol=BTCUSDT&limit=1000",
            "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT&limit=1000",
            "/depth?symbol=BTCUSDT",
        ] {
            assert_eq!(of(url), Some(Ask::Depth(id, RECORDED)), "{url}");
        }
        assert_eq!(
            of("https://dapi.binance.com/dapi/v1/exchangeInfo"),
            Some(Ask::Rules(None))
        );
        assert_eq!(of("/depth?symbol=X"), None);
        assert_eq!(
            of("https://api.binance.com/api/v3/klines?symbol=BTCUSDT"),
            None
        );
        assert_eq!(of(""), None);
    }
}
