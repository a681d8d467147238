//! REST: tags, requests (signed where private), and the rules of products.
//!
//! ```text
//! GET /products                   → registry, rules
//! GET /orders?product_id=X        open orders     ┐
//! GET /fills?product_id=X         back to known   ├ reconciliation
//! GET /accounts                   balances        ┘
//! GET /orders/client:OURS         what became of one order, then GET /fills?order_id=
//! POST, DELETE /orders            on a link of their own, see `entry`
//! GET /products/X/book            recorded answers only: the live book is pushed
//! ```
//! The tag of a request carries what was asked, so an answer needs no table; the same function reads answers live
//! and in replay ([`tag_of_url`]). Pages of fills go by trade id; headers with the venue's cursors are not looked
//! at. Source: venue page, sections A2, A4; the venue's page on pagination.

use crate::auth::{Auth, Timestamp};
use crate::decimal::notional;
use crate::feed::{at, optional, text};
use crate::symbols::parse_client_id;
use crate::{ID, LINK_REST};
use dp_types::{ClientOrderId, Instrument, InstrumentId, LinkId, Notional, Now, NumError, Qty};
use dp_venue_api::{DecodeError, Registry, RestMethod, RestRequest, RestTag, Sink};
use dp_wire::json::Value;

/// Open orders of one product fit one page: the venue allows 500, and gives up to 1,000.
pub const ORDERS_LEN: usize = 1_000;
/// Fills on one page; a full page means there may be more.
pub const FILLS_LEN: usize = 100;
/// Pages of fills of one product we read in one reconciliation: 10,000 fills.
pub const FILL_PAGES_MAX: u16 = 100;
/// Pages of fills of one order: 1,600. What is beyond, reconciliation reads.
pub const ORDER_PAGES_MAX: u8 = 16;
/// Run of an answer that was recorded: no machine asked for it, each takes it.
pub const RECORDED: u32 = 0;

/// A client order id has 45 bits; beside it and the low byte a tag has 11 for the instrument.
const CLIENT_BITS: u32 = 45;
const CLIENT_MASK: u64 = (1 << CLIENT_BITS) - 1;
const ID_MASK: u64 = (1 << 11) - 1;
const _: () = assert!(dp_types::limit::INSTRUMENTS_MAX <= 1 << (64 - 8 - CLIENT_BITS));
/// A run has 24 bits, its page 16: with the instrument's 11 and the low byte fewer than the 64 of a tag.
pub(crate) const RUN_MASK: u32 = (1 << 24) - 1;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The list of products.
    Products,
    /// A book, of levels or of single orders.
    Book(InstrumentId),
    /// Open orders of an instrument, in this run of reconciliation (24 bits).
    Orders(u32, InstrumentId),
    /// A page of fills of an instrument, in this run.
    Fills(u32, InstrumentId, u16),
    /// Balances, in this run.
    Accounts(u32),
    /// One order of this instrument, by our id.
    Order(InstrumentId, ClientOrderId),
    /// A page (below [`ORDER_PAGES_MAX`]) of the fills of one order.
    OrderFills(InstrumentId, ClientOrderId, u8),
    /// A new order.
    New(InstrumentId, ClientOrderId),
    /// A cancel.
    Cancel(InstrumentId, ClientOrderId),
    /// A cancel of all orders of an instrument.
    CancelAll(InstrumentId),
}

impl Ask {
    /// As a tag: the kind in the low four bits, a page of an order's fills in the next four, numbers above.
    pub const fn tag(self) -> RestTag {
        let (kind, number) = match self {
            Self::Products => (1, 0),
            Self::Book(id) => (2, id.0 as u64),
            Self::Orders(run, id) => (3, in_run(run, id, 0)),
            Self::Fills(run, id, page) => (4, in_run(run, id, page)),
            Self::Accounts(run) => (5, in_run(run, InstrumentId(0), 0)),
            Self::Order(id, client) => (6, pack(id, client)),
            Self::OrderFills(id, client, page) => (7 | (page as u64 & 0xf) << 4, pack(id, client)),
            Self::New(id, client) => (8, pack(id, client)),
            Self::Cancel(id, client) => (9, pack(id, client)),
            Self::CancelAll(id) => (10, id.0 as u64),
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
        let only = || (wide <= ID_MASK).then_some(InstrumentId(wide as u32));
        let (run, listed, page) = (
            wide as u32 & RUN_MASK,
            InstrumentId((wide >> 24 & ID_MASK) as u32),
            (wide >> 35) as u16,
        );
        let is_run = wide >> 51 == 0;
        let pages = (tag.0 >> 4 & 0xf) as u8;
        Some(match tag.0 & 0xf {
            7 => Self::OrderFills(id, client, pages),
            _ if pages != 0 => return None,
            1 if wide == 0 => Self::Products,
            2 => Self::Book(only()?),
            3 if is_run && page == 0 => Self::Orders(run, listed),
            4 if is_run => Self::Fills(run, listed, page),
            5 if wide <= u64::from(RUN_MASK) => Self::Accounts(run),
            6 => Self::Order(id, client),
            8 => Self::New(id, client),
            9 => Self::Cancel(id, client),
            10 => Self::CancelAll(only()?),
            _ => return None,
        })
    }
}

const fn pack(id: InstrumentId, client: ClientOrderId) -> u64 {
    client.0 & CLIENT_MASK | (id.0 as u64) << CLIENT_BITS
}

const fn in_run(run: u32, id: InstrumentId, page: u16) -> u64 {
    (run & RUN_MASK) as u64 | (id.0 as u64 & ID_MASK) << 24 | (page as u64) << 35
}

/// The tag under which a recorded answer is read, from the URL it came from (replay, tools). `None` when the URL is
/// not one we ask, or names a product that is not in the registry.
pub fn tag_of_url(registry: &Registry, url: &str) -> Option<RestTag> {
    let start = ["/products", "/orders", "/fills", "/accounts"]
        .into_iter()
        .find_map(|path| url.find(path))?;
    let (path, query) = url
        .get(start..)?
        .split_once('?')
        .unwrap_or((url.get(start..)?, ""));
    let field = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name));
    let named = || {
        field("product_id=")
            .and_then(|symbol| registry.find(ID, symbol.as_bytes()))
            .unwrap_or_default()
    };
    let parts: Vec<_> = path.split('/').skip(1).collect();
    let ask = match parts.as_slice() {
        ["products"] => Ask::Products,
        ["products", symbol, "book"] => Ask::Book(registry.find(ID, symbol.as_bytes())?),
        ["orders"] => Ask::Orders(RECORDED, named()),
        ["orders", name] => {
            let client = name.strip_prefix("client:").unwrap_or("");
            let client = parse_client_id(client.as_bytes()).unwrap_or_default();
            Ask::Order(named(), client)
        }
        ["fills"] => Ask::OrderFills(named(), ClientOrderId::default(), 0),
        ["accounts"] => Ask::Accounts(RECORDED),
        _ => return None,
    };
    Some(ask.tag())
}

/// Queues a public GET.
pub(crate) fn get(ask: Ask, target: &str, out: &mut impl Sink) {
    let request = RestRequest {
        tag: ask.tag(),
        method: RestMethod::Get,
        target,
        headers: &[],
        body: &[],
    };
    out.request(LINK_REST, &request);
}

/// Queues a signed request, stamped `now`: the venue takes it for 30 s.
pub(crate) fn signed(
    auth: &Auth,
    (link, ask): (LinkId, Ask),
    (method, target): (RestMethod, &str),
    body: &[u8],
    now: Now,
    out: &mut impl Sink,
) {
    let timestamp = Timestamp::of(now);
    let sign = auth.sign_rest(timestamp.as_str(), method, target, body);
    let headers = [
        ("CB-ACCESS-KEY", auth.api_key()),
        ("CB-ACCESS-SIGN", sign.as_str()),
        ("CB-ACCESS-TIMESTAMP", timestamp.as_str()),
        ("CB-ACCESS-PASSPHRASE", auth.passphrase()),
        ("Content-Type", "application/json"),
    ];
    // A type only where there is something of it.
    let count = headers.len() - usize::from(body.is_empty());
    let request = RestRequest {
        tag: ask.tag(),
        method,
        target,
        headers: headers.get(..count).unwrap_or(&[]),
        body,
    };
    out.request(link, &request);
}

/// Registers the rules of every listed product that we follow; returns how many there were.
///
/// Errors: a product of ours whose numbers cannot be read.
pub(crate) fn products(registry: &mut Registry, root: Value<'_>) -> Result<usize, DecodeError> {
    let mut count = 0;
    for item in root.as_array().ok_or(DecodeError::Shape("no list"))? {
        let symbol = item.str("id").map_err(at("id"))?;
        let Some(id) = registry.find(ID, symbol.as_bytes()) else {
            continue;
        };
        let Some(&known) = registry.get(id) else {
            continue;
        };
        let updated = rules(registry, known, item)?;
        registry.update(updated);
        count += 1;
    }
    Ok(count)
}

/// Books hold orders from before tick or lot were made coarser, so increments are finer than the rules: prices by
/// two places, quantities by what is left to the eight places of the finest product.
const PRICE_DECIMALS_FINER: u8 = 2;
const QTY_DECIMALS: u8 = 8;

fn number(field: &'static str) -> impl Fn(NumError) -> DecodeError {
    move |error| DecodeError::Number { field, error }
}

/// One product's rules over what we knew of it.
///
/// The smallest value of an order is `min_market_funds`, of limit orders too. Sizes have had no bounds of their
/// own since 2022; lists of before name the lot `base_min_size`.
fn rules(
    registry: &mut Registry,
    known: Instrument,
    item: Value<'_>,
) -> Result<Instrument, DecodeError> {
    let tick = item
        .decimal("quote_increment")
        .map_err(at("quote_increment"))?;
    let lot = match optional(item, "base_increment")? {
        Some(lot) => lot,
        None => item
            .decimal("base_min_size")
            .map_err(at("base_increment"))?,
    };
    let is_set = |key: &str| item.get(key).and_then(Value::as_bool).unwrap_or(false);
    let is_halted = ["trading_disabled", "cancel_only", "auction_mode"]
        .into_iter()
        .any(is_set);
    let mut made = Instrument {
        price_decimals: tick.decimals().saturating_add(PRICE_DECIMALS_FINER).min(18),
        qty_decimals: lot.decimals().max(QTY_DECIMALS),
        is_live: text(item, "status") == "online" && !is_halted,
        qty_max: Qty(0),
        is_spot: true,
        ..known
    };
    made.tick = made.price(tick).map_err(number("quote_increment"))?;
    made.lot = made.qty(lot).map_err(number("base_increment"))?;
    made.qty_min = made.lot;
    made.notional_min = optional(item, "min_market_funds")?
        .and_then(notional)
        .unwrap_or(Notional(0));
    let mut asset = |key: &'static str| {
        let name = item.str(key).map_err(at(key))?;
        registry
            .asset(name)
            .map_err(|_| DecodeError::TooMuch("assets"))
    };
    made.base = asset("base_currency")?;
    made.quote = asset("quote_currency")?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back() {
        let (id, client) = (InstrumentId(1023), ClientOrderId(CLIENT_MASK));
        for ask in [
            Ask::Products,
            Ask::Book(id),
            Ask::Orders(RUN_MASK, id),
            Ask::Fills(RUN_MASK, id, u16::MAX),
            Ask::Fills(1, InstrumentId(0), 0),
            Ask::Accounts(RUN_MASK),
            Ask::Order(id, client),
            Ask::OrderFills(id, client, ORDER_PAGES_MAX - 1),
            Ask::New(id, client),
            Ask::Cancel(id, client),
            Ask::CancelAll(id),
        ] {
            assert_eq!(Ask::of(ask.tag()), Some(ask));
        }
        for raw in [
            0,
            11,
            15,
            0x11,
            1 << 8 | 1,
            1 << 60 | 4,
            1 << 60 | 2,
            u64::MAX,
        ] {
            assert_eq!(Ask::of(RestTag(raw)), None, "{raw:x}");
        }
    }

    #[test]
    fn urls_name_their_answers() {
        let mut registry = Registry::new();
        registry.register(ID, "ETH-USD", 2, 8).unwrap();
        let id = registry.register(ID, "BTC-USD", 2, 8).unwrap();
        let of = |url: &str| tag_of_url(&registry, url).and_then(Ask::of);
        for (url, ask) in [
            ("https://api.pro.coinbase.com/products", Ask::Products),
            (
                "https://api.exchange.coinbase.com/products/BTC-USD/book?level=3",
                Ask::Book(id),
            ),
            (
                "https://api.exchange.coinbase.com/orders?product_id=BTC-USD&status=open",
                Ask::Orders(RECORDED, id),
            ),
            (
                "/orders/client:51de1a4e-0000-4000-8000-000100000001?product_id=BTC-USD",
                Ask::Order(id, ClientOrderId(0x1_0000_0001)),
            ),
            (
                "/fills",
                Ask::OrderFills(InstrumentId(0), ClientOrderId(0), 0),
            ),
            ("/accounts", Ask::Accounts(RECORDED)),
        ] {
            assert_eq!(of(url), Some(ask), "{url}");
        }
        for url in [
            "/products/X-Y/book",
            "/products/BTC-USD/candles",
            "/time",
            "nonsense",
        ] {
            assert_eq!(of(url), None, "{url}");
        }
    }
}
