//! REST: requests (signed where private) and what their answers mean. Cold path: start, reconciliation, queries,
//! cancel-all, the dead man's switch.
//!
//! ```text
//! market/instruments-info → registry, rules           market/orderbook → Book (recorded ones; live ones are pushed)
//! order/realtime, execution/list, position/list, account/wallet-balance → reconciliation
//! order/realtime, then order/history, of one order → its report, then its fills
//! order/cancel-all · account/query-dcp-info, order/disconnected-cancel-all → the dead man's switch
//! ```
//! The tag of a request carries what was asked, so an answer needs no table; the same function reads answers live
//! and in replay ([`tag_of_url`]). Envelope: `{"retCode","retMsg","result","retExtInfo","time"}`.
//! Source: venue page, sections 2, 4.1, 4.2A and 5, read 2026-11-20; fixtures `rest_*.json`.

use crate::LINK_REST;
use crate::auth::{Auth, RECV_WINDOW_MS};
use crate::feed::{at, optional, text};
use crate::symbols::{Category, find, parse_client_id, write_u64};
use dp_types::{
    ClientOrderId, Decimal, Instrument, InstrumentId, Notional, Now, NumError, Payoff, Qty,
};
use dp_venue_api::{DecodeError, Registry, RestMethod, RestRequest, RestTag, Sink};
use dp_wire::json::Value;

/// Items on one page of open orders, the venue's most.
pub const ORDERS_PAGE_LEN: usize = 50;
/// Items on one page of executions, the venue's most.
pub const FILLS_PAGE_LEN: usize = 100;
/// Pages of one list of a reconciliation: 2,500 orders (the venue allows 500 a symbol), 5,000 fills. More is told
/// as an error, never cut silently.
pub const PAGES_MAX: u32 = 50;
/// Pages of fills of one order: 1,600. What is beyond, reconciliation reads.
pub const ORDER_PAGES_MAX: u8 = 16;
/// Longest place to go on from that we take over into a request.
const CURSOR_MAX: usize = 512;

/// The instrument of a list that names none.
const NO_ONE: InstrumentId = InstrumentId(u32::MAX);

/// Run of an answer that was recorded: no machine asked for it, each takes it.
pub const RECORDED: u32 = 0;

/// A run has 16 bits, a list (one settlement asset's) 8 and its page 32: with the low byte the 64 of a tag.
pub(crate) const RUN_MASK: u32 = (1 << 16) - 1;

/// A client order id has 45 bits; beside it and the kind's 8 a tag has 11 for the instrument.
const CLIENT_BITS: u32 = 45;
const CLIENT_MASK: u64 = (1 << CLIENT_BITS) - 1;
const _: () = assert!(dp_types::limit::INSTRUMENTS_MAX <= 1 << (64 - 8 - CLIENT_BITS));

/// Which page of which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPage {
    /// Of this run of reconciliation (16 bits).
    pub run: u32,
    /// Which settlement asset's.
    pub list: u8,
    /// From 0.
    pub page: u32,
}

impl ListPage {
    /// A page nobody asked for.
    pub const RECORDED: Self = Self {
        run: RECORDED,
        list: 0,
        page: 0,
    };

    const fn number(self) -> u64 {
        (self.run & RUN_MASK) as u64 | (self.list as u64) << 16 | (self.page as u64) << 24
    }

    const fn of(wide: u64) -> Self {
        Self {
            run: (wide & RUN_MASK as u64) as u32,
            list: (wide >> 16) as u8,
            page: (wide >> 24) as u32, // 32 bits are left
        }
    }
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// An instrument's rules.
    Rules(InstrumentId),
    /// A book; only recorded ones.
    Book(InstrumentId),
    /// A page of open orders.
    Orders(ListPage),
    /// A page of fills.
    Fills(ListPage),
    /// A page of positions.
    Positions(ListPage),
    /// Balances, in this run of reconciliation.
    Balance(u32),
    /// One order of this instrument, by our id, among the open and recent.
    Order(InstrumentId, ClientOrderId),
    /// The same, among all that ended.
    PastOrder(InstrumentId, ClientOrderId),
    /// A page (below [`ORDER_PAGES_MAX`]) of the fills of one order.
    OrderFills(InstrumentId, ClientOrderId, u8),
    /// Cancel every order of this instrument.
    CancelAll(InstrumentId),
    /// Whether the account has a dead man's switch.
    DeadManInfo,
    /// Set its window.
    DeadManWindow,
}

impl Ask {
    /// As a tag: the kind in the low four bits, a page of an order's fills in the next four, numbers above.
    pub const fn tag(self) -> RestTag {
        let (kind, number) = match self {
            Self::Rules(id) => (1, id.0 as u64),
            Self::Book(id) => (2, id.0 as u64),
            Self::Orders(page) => (3, page.number()),
            Self::Fills(page) => (4, page.number()),
            Self::Balance(run) => (5, run as u64),
            Self::Order(id, client) => (6, pack(id, client)),
            Self::OrderFills(id, client, page) => (7 | (page as u64 & 0xf) << 4, pack(id, client)),
            Self::Positions(page) => (8, page.number()),
            Self::PastOrder(id, client) => (9, pack(id, client)),
            Self::CancelAll(id) => (10, id.0 as u64),
            Self::DeadManInfo => (11, 0),
            Self::DeadManWindow => (12, 0),
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
            7 => Self::OrderFills(id, client, page),
            _ if page != 0 => return None,
            1 => Self::Rules(InstrumentId(number()?)),
            2 => Self::Book(InstrumentId(number()?)),
            3 => Self::Orders(ListPage::of(wide)),
            4 => Self::Fills(ListPage::of(wide)),
            5 => Self::Balance(number()?),
            6 => Self::Order(id, client),
            8 => Self::Positions(ListPage::of(wide)),
            9 => Self::PastOrder(id, client),
            10 => Self::CancelAll(InstrumentId(number()?)),
            11 if wide == 0 => Self::DeadManInfo,
            12 if wide == 0 => Self::DeadManWindow,
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
    let path = url.find("/v5/").and_then(|start| url.get(start..))?;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let field = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name));
    let instrument = || find(registry, None, field("symbol=")?);
    let client = || {
        field("orderLinkId=")
            .and_then(|text| parse_client_id(text.as_bytes()))
            .unwrap_or_default()
    };
    Some(
        match path {
            // A whole list where no symbol is named: what we follow of it is taken.
            "/v5/market/instruments-info" => Ask::Rules(instrument().unwrap_or(NO_ONE)),
            "/v5/market/orderbook" => Ask::Book(instrument()?),
            "/v5/order/realtime" | "/v5/order/history" if client().0 == 0 => {
                Ask::Orders(ListPage::RECORDED)
            }
            "/v5/order/realtime" | "/v5/order/history" => Ask::PastOrder(instrument()?, client()),
            "/v5/execution/list" => Ask::Fills(ListPage::RECORDED),
            "/v5/position/list" => Ask::Positions(ListPage::RECORDED),
            "/v5/account/wallet-balance" => Ask::Balance(RECORDED),
            "/v5/account/query-dcp-info" => Ask::DeadManInfo,
            "/v5/order/disconnected-cancel-all" => Ask::DeadManWindow,
            _ => return None,
        }
        .tag(),
    )
}

/// The items of a list answer.
pub(crate) fn list(root: Value<'_>) -> Result<dp_wire::json::Items<'_>, DecodeError> {
    let result = root.field("result").map_err(at("result"))?;
    result.array("list").map_err(at("list"))
}

/// Where the next page of a list begins, fit for a request; empty after the last.
///
/// It comes escaped already, as it is handed back; what would break a request is escaped all the same.
/// Errors: longer than any that was seen.
pub(crate) fn cursor(root: Value<'_>) -> Result<String, DecodeError> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let raw = root
        .get("result")
        .map_or("", |result| text(result, "nextPageCursor"));
    if raw.len() > CURSOR_MAX {
        return Err(DecodeError::TooMuch("nextPageCursor"));
    }
    let mut out = String::with_capacity(raw.len());
    for byte in raw.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                let digit = HEX.get(usize::from(digit)).copied().unwrap_or(b'0');
                out.push(char::from(digit));
            }
        }
    }
    Ok(out)
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

/// Queues a signed GET (`body` is empty) or POST, stamped `now`: the venue takes it for [`RECV_WINDOW_MS`].
pub(crate) fn signed(
    auth: &Auth,
    ask: Ask,
    target: &str,
    body: &str,
    now: Now,
    out: &mut impl Sink,
) {
    let (mut time, mut window) = ([0; 20], [0; 20]);
    let time = write_u64(now.unix.millis(), &mut time);
    let window = write_u64(RECV_WINDOW_MS, &mut window);
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let (method, content) = if body.is_empty() {
        (RestMethod::Get, query)
    } else {
        (RestMethod::Post, body)
    };
    let sign = auth.sign_rest(time, window, content);
    out.request(
        LINK_REST,
        &RestRequest {
            tag: ask.tag(),
            method,
            target,
            headers: &[
                ("X-BAPI-API-KEY", auth.api_key()),
                ("X-BAPI-TIMESTAMP", time),
                ("X-BAPI-RECV-WINDOW", window),
                ("X-BAPI-SIGN", sign.as_str()),
                ("Content-Type", "application/json"),
            ],
            body: body.as_bytes(),
        },
    );
}

/// Registers the rules of every listed instrument that we follow; returns how many there were.
///
/// Errors: an instrument of ours whose numbers cannot be read.
pub(crate) fn instruments(
    registry: &mut Registry,
    category: Option<Category>,
    root: Value<'_>,
) -> Result<usize, DecodeError> {
    let mut count = 0;
    for item in list(root)? {
        let symbol = item.str("symbol").map_err(at("symbol"))?;
        let known = find(registry, category, symbol).and_then(|id| registry.get(id).copied());
        if let Some(known) = known {
            let updated = rules(registry, known, item)?;
            registry.update(updated);
            count += 1;
        }
    }
    Ok(count)
}

/// Books may hold orders from before tick or lot were made coarser, so increments are finer than the rules: prices
/// by two places, quantities by four but to no more than eight places in all.
const PRICE_DECIMALS_FINER: u8 = 2;
const QTY_DECIMALS_FINER: u8 = 4;
const QTY_DECIMALS_MAX: u8 = 8;

/// `decimals` and `by` more, but to no more than `max` unless the rule itself is finer.
const fn finer(decimals: u8, by: u8, max: u8) -> u8 {
    let more = decimals.saturating_add(by);
    let capped = if more > max { max } else { more };
    if capped > decimals { capped } else { decimals }
}

fn number(field: &'static str) -> impl Fn(NumError) -> DecodeError {
    move |error| DecodeError::Number { field, error }
}

/// A value in quote units; `None` when it leaves the range.
fn notional(value: Decimal) -> Option<Notional> {
    let scale = 10i128.checked_pow(u32::try_from(12 + i32::from(value.exponent)).ok()?)?;
    i128::from(value.mantissa).checked_mul(scale).map(Notional)
}

/// The first of these decimals that is there.
fn first(item: Value<'_>, keys: [&'static str; 2]) -> Result<Option<Decimal>, DecodeError> {
    let [one, other] = keys;
    match optional(item, one)? {
        Some(value) => Ok(Some(value)),
        None => optional(item, other),
    }
}

/// One instrument's rules over what we knew of it.
///
/// Increments are finer than tick and lot ([`PRICE_DECIMALS_FINER`]). `quote` is what profit is settled in.
fn rules(
    registry: &mut Registry,
    known: Instrument,
    item: Value<'_>,
) -> Result<Instrument, DecodeError> {
    let prices = item.field("priceFilter").map_err(at("priceFilter"))?;
    let sizes = item.field("lotSizeFilter").map_err(at("lotSizeFilter"))?;
    let tick = prices.decimal("tickSize").map_err(at("tickSize"))?;
    let lot = first(sizes, ["qtyStep", "basePrecision"])?.ok_or(DecodeError::Field("qtyStep"))?;
    let category = Category::of(known.symbol.as_str());
    let mut made = Instrument {
        price_decimals: finer(tick.decimals(), PRICE_DECIMALS_FINER, 18),
        qty_decimals: finer(lot.decimals(), QTY_DECIMALS_FINER, QTY_DECIMALS_MAX),
        is_live: text(item, "status") == "Trading",
        is_spot: category == Category::Spot,
        payoff: payoff(category, item),
        ..known
    };
    made.tick = made.price(tick).map_err(number("tickSize"))?;
    made.lot = made.qty(lot).map_err(number("qtyStep"))?;
    if let Some(min) = optional(sizes, "minOrderQty")? {
        made.qty_min = made.qty(min).map_err(number("minOrderQty"))?;
    }
    // A limit beyond 64 bits of increments is no limit to us.
    made.qty_max = first(sizes, ["maxLimitOrderQty", "maxOrderQty"])?
        .and_then(|max| made.qty(max).ok())
        .unwrap_or(Qty(0));
    if let Some(min) = first(sizes, ["minNotionalValue", "minOrderAmt"])? {
        let out_of_range = DecodeError::Number {
            field: "minNotionalValue",
            error: NumError::TooLarge,
        };
        made.notional_min = notional(min).ok_or(out_of_range)?;
    }
    let quote = match text(item, "settleCoin") {
        "" => text(item, "quoteCoin"),
        settle => settle,
    };
    let mut asset = |name: &str| {
        registry
            .asset(name)
            .map_err(|_| DecodeError::TooMuch("assets"))
    };
    made.base = asset(item.str("baseCoin").map_err(at("baseCoin"))?)?;
    made.quote = asset(quote)?;
    Ok(made)
}

/// Contracts say which they are; spot and options (priced in what they are settled in) have no such word.
fn payoff(category: Category, item: Value<'_>) -> Payoff {
    match (category, text(item, "contractType")) {
        (Category::Spot | Category::Option, _)
        | (Category::Linear, "LinearPerpetual" | "LinearFutures") => Payoff::Linear,
        (Category::Inverse, "InversePerpetual" | "InverseFutures") => Payoff::Inverse,
        (Category::Linear | Category::Inverse, _) => Payoff::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ID;

    #[test]
    fn increments_are_finer_than_the_rules_within_bounds() {
        let qty = |lot| finer(lot, QTY_DECIMALS_FINER, QTY_DECIMALS_MAX);
        assert_eq!((qty(0), qty(3), qty(8), qty(10)), (4, 7, 8, 10));
        assert_eq!((finer(1, 2, 18), finer(17, 2, 18)), (3, 18));
    }

    #[test]
    fn tags_come_back() {
        let last = ClientOrderId((1 << 45) - 1);
        for ask in [
            Ask::Rules(InstrumentId(3)),
            Ask::Book(InstrumentId(1023)),
            Ask::Orders(ListPage {
                run: 7,
                list: 2,
                page: 0,
            }),
            Ask::Fills(ListPage {
                run: RUN_MASK,
                list: u8::MAX,
                page: u32::MAX,
            }),
            Ask::Positions(ListPage::RECORDED),
            Ask::Balance(0),
            Ask::Order(InstrumentId(1023), last),
            Ask::PastOrder(InstrumentId(1023), last),
            Ask::OrderFills(InstrumentId(0), ClientOrderId(7), 0),
            Ask::OrderFills(InstrumentId(1023), last, ORDER_PAGES_MAX - 1),
            Ask::CancelAll(InstrumentId(5)),
            Ask::DeadManInfo,
            Ask::DeadManWindow,
        ] {
            assert_eq!(Ask::of(ask.tag()), Some(ask));
        }
        for raw in [0, 13, 255, 0x11, 1 << 60 | 1, 0x010b, u64::MAX] {
            assert_eq!(Ask::of(RestTag(raw)), None);
        }
    }

    #[test]
    fn urls_name_their_answers() {
        let mut registry = Registry::new();
        let id = registry.register(ID, "BTCUSDT", 1, 8).unwrap();
        let of = |url: &str| tag_of_url(&registry, url).and_then(Ask::of);
        assert_eq!(
            of("https://api.bybit.com/v5/market/instruments-info?category=spot&symbol=BTCUSDT"),
            Some(Ask::Rules(id))
        );
        assert_eq!(
            of("/v5/market/orderbook?category=spot&symbol=BTCUSDT&limit=50"),
            Some(Ask::Book(id))
        );
        assert_eq!(
            of("/v5/order/realtime?category=spot&limit=50"),
            Some(Ask::Orders(ListPage::RECORDED))
        );
        assert_eq!(of("/v5/market/orderbook?symbol=X"), None);
        assert_eq!(of("https://api.bybit.com/v5/market/tickers"), None);
        assert_eq!(of("nonsense"), None);
    }

    #[test]
    fn a_cursor_is_handed_back_as_it_came_and_cannot_break_a_request() {
        let of = |text: &str| {
            let mut bytes = format!(r#"{{"result":{{"nextPageCursor":"{text}"}}}}"#).into_bytes();
            let mut doc = dp_wire::json::Doc::new(64);
            let tree = doc.parse(&mut bytes).unwrap();
            cursor(tree.root())
        };
        assert_eq!(
            of("132766%3A2%2C132766%3A2").unwrap(),
            "132766%3A2%2C132766%3A2"
        );
        assert_eq!(of("a b&c\\r\\n").unwrap(), "a%20b%26c%0D%0A");
        assert!(of(&"x".repeat(513)).is_err());
    }

    #[test]
    fn a_least_value_is_exact_or_out_of_range() {
        let of = |text: &str| notional(Decimal::parse(text.as_bytes()).unwrap());
        assert_eq!(of("5"), Some(Notional(5_000_000_000_000)));
        assert_eq!(of("0.5"), Some(Notional(500_000_000_000)));
        assert_eq!(of("0.0000000000001"), None, "finer than we count");
    }
}
