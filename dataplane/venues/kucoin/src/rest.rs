//! REST: requests (signed where private) and what their answers mean. Cold path: start, tokens, resync,
//! reconciliation; and, on a link of their own, what must not wait behind those: cancels and the dead man's switch.
//!
//! ```text
//! symbols → registry, rules           bullet-public, bullet-private → a token and where it is good for
//! level2 → Book snapshot, spliced by the keeper
//! active, fills, accounts → reconciliation     client-order → an order's report, then its fills
//! multi → new orders, each answered
//! trade-fees → rates        dead-cancel-all → dead man's switch re-armed        DELETE orders → cancels
//! ```
//! The tag of a request carries what was asked, so an answer needs no table; the same function reads answers live
//! and in replay ([`tag_of_url`]). The venue takes a signature for 5 s, so only so many may wait in a queue.
//! Source: venue page, sections 1.1, 2, 3.1 and 4.2, read 2026-11-20; the fields of listed orders and fills from
//! the venue's own manual of the high-frequency account; fixtures `rest_*.json`.

use crate::ID;
use crate::account::{Rates, client_id, liquidity_of, order_id};
use crate::auth::{Auth, KEY_VERSION};
use crate::feed::{at, decimal, find, id, integer, optional, side, text, time};
use crate::symbols::write_u64;
use dp_types::{
    ClientOrderId, FillReport, Instrument, InstrumentId, LinkId, Now, NumError, OrderReport,
    OrderState, Qty, RejectReason, TradeId,
};
use dp_venue_api::{
    DecodeError, Named, OrderBatch, Registry, RestMethod, RestRequest, RestTag, Sink, Standing,
    Trade,
};
use dp_wire::json::Value;

/// Fills on one page of the list; a full page means there may be more. The venue takes up to 100 [U].
pub const PAGE_LEN: usize = 100;
/// Pages of fills we read of one instrument in one reconciliation: 10,000.
pub const FILL_PAGES_MAX: u32 = 100;
/// Pages of fills of one order: 1,600. What is beyond, reconciliation reads.
pub const ORDER_PAGES_MAX: u8 = 16;
/// Symbols of one request for rates.
pub const FEES_MAX: usize = 10;

/// Run, or snapshot, of an answer that was recorded: no machine asked for it, each takes it.
pub const RECORDED: u32 = 0;

/// A run has 24 bits, its instrument 10 and its page 22: with the low byte the 64 of a tag.
pub(crate) const RUN_MASK: u32 = (1 << 24) - 1;
const INDEX_MASK: u32 = (1 << 10) - 1;
const PAGE_MASK: u32 = (1 << 22) - 1;
const _: () = assert!(dp_types::limit::INSTRUMENTS_MAX <= 1 << 10);
/// A snapshot's instrument.
const ID_BITS: u32 = 24;
const ID_MASK: u64 = (1 << ID_BITS) - 1;
/// A client order id has 45 bits; beside it and the kind's 8 a tag has 11 for the instrument.
const CLIENT_BITS: u32 = 45;
const CLIENT_MASK: u64 = (1 << CLIENT_BITS) - 1;

/// Which part of a reconciliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Of this run (24 bits).
    pub run: u32,
    /// Which of the followed instruments, from 0 (10 bits).
    pub index: u32,
    /// Page of its list, from 0 (22 bits).
    pub page: u32,
}

impl Part {
    const fn number(self) -> u64 {
        (self.run & RUN_MASK) as u64
            | ((self.index & INDEX_MASK) as u64) << 24
            | ((self.page & PAGE_MASK) as u64) << 34
    }

    const fn of(wide: u64) -> Self {
        Self {
            run: (wide & RUN_MASK as u64) as u32,
            index: (wide >> 24 & INDEX_MASK as u64) as u32,
            page: (wide >> 34 & PAGE_MASK as u64) as u32,
        }
    }
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The rules of all symbols.
    Symbols,
    /// A token: of the public stream, or of our own.
    Token {
        /// Of our own.
        is_private: bool,
    },
    /// A book snapshot, by the number of the request.
    Books(InstrumentId, u32),
    /// Open orders of one instrument.
    Open(Part),
    /// A page of fills of one instrument.
    Fills(Part),
    /// Balances, in this run of reconciliation.
    Balance(u32),
    /// One order of this instrument, by our id.
    Order(InstrumentId, ClientOrderId),
    /// A page (below [`ORDER_PAGES_MAX`]) of the fills of one order.
    OrderFills(InstrumentId, ClientOrderId, u8),
    /// Rates of followed instruments from this one on.
    Fees(u32),
    /// The dead man's switch.
    DeadMan,
    /// A cancel of one order.
    Cancel(InstrumentId, ClientOrderId),
    /// A cancel of all orders of an instrument.
    CancelAll(InstrumentId),
    /// New orders.
    Orders(OrderBatch),
}

impl Ask {
    /// As a tag: the kind in the low four bits, a page of an order's fills or the count of a batch in the next four,
    /// numbers above. A count has five bits: its first is the second kind's.
    pub const fn tag(self) -> RestTag {
        let (kind, number) = match self {
            Self::Symbols => (1, 0),
            Self::Books(id, number) => (2, id.0 as u64 & ID_MASK | (number as u64) << ID_BITS),
            Self::Open(part) => (3, part.number()),
            Self::Fills(part) => (4, part.number()),
            Self::Balance(run) => (5, run as u64),
            Self::Order(id, client) => (6, pack(id, client)),
            Self::OrderFills(id, client, page) => (7 | (page as u64 & 0xf) << 4, pack(id, client)),
            Self::DeadMan => (8, 0),
            Self::Token { is_private } => (9, is_private as u64),
            Self::Fees(from) => (10, from as u64),
            Self::Cancel(id, client) => (11, pack(id, client)),
            Self::CancelAll(id) => (12, id.0 as u64),
            Self::Orders(batch) => {
                let count = batch.count() as u64;
                let kind = 13 + (count >> 4 & 1);
                let number = pack(batch.instrument(), batch.first());
                (kind | (count & 0xf) << 4, number)
            }
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
            13 => Self::Orders(OrderBatch::read(client, id, usize::from(page))?),
            14 => Self::Orders(OrderBatch::read(client, id, usize::from(page) + 16)?),
            _ if page != 0 => return None,
            1 if wide == 0 => Self::Symbols,
            2 => Self::Books(
                InstrumentId((wide & ID_MASK) as u32),
                (wide >> ID_BITS) as u32, // 32 bits are left
            ),
            3 => Self::Open(Part::of(wide)),
            4 => Self::Fills(Part::of(wide)),
            5 => Self::Balance(number()?),
            6 => Self::Order(id, client),
            8 if wide == 0 => Self::DeadMan,
            9 if wide <= 1 => Self::Token {
                is_private: wide == 1,
            },
            10 => Self::Fees(number()?),
            11 => Self::Cancel(id, client),
            12 => Self::CancelAll(InstrumentId(number()?)),
            _ => return None,
        })
    }
}

const fn pack(id: InstrumentId, client: ClientOrderId) -> u64 {
    client.0 & CLIENT_MASK | (id.0 as u64) << CLIENT_BITS
}

/// The tag under which a recorded answer is read, from the URL it came from (replay, tools). `None` when the URL
/// is not one we ask, or names a symbol that is not in the registry. Books of futures and of the unified feed
/// are read too, though we do not ask for them.
pub fn tag_of_url(registry: &Registry, url: &str) -> Option<RestTag> {
    let path = url.find("/api/").and_then(|start| url.get(start..))?;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let field = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name));
    let instrument = || registry.find(ID, field("symbol=")?.as_bytes());
    let recorded = Part {
        run: RECORDED,
        index: 0,
        page: 0,
    };
    if let Some(client) = path.strip_prefix("/api/v1/hf/orders/client-order/") {
        let client = crate::symbols::parse_client_id(client.as_bytes()).unwrap_or_default();
        return Some(Ask::Order(instrument()?, client).tag());
    }
    Some(
        match path {
            "/api/v1/symbols" | "/api/v2/symbols" => Ask::Symbols,
            "/api/v1/bullet-public" => Ask::Token { is_private: false },
            "/api/v1/bullet-private" => Ask::Token { is_private: true },
            "/api/v1/market/orderbook/level2_100"
            | "/api/v2/market/orderbook/level2"
            | "/api/v3/market/orderbook/level2"
            | "/api/v1/level2/snapshot"
            | "/api/ua/v1/market/orderbook" => Ask::Books(instrument()?, RECORDED),
            "/api/v1/hf/orders/active" => Ask::Open(recorded),
            "/api/v1/hf/fills" => Ask::Fills(recorded),
            "/api/v1/accounts" => Ask::Balance(RECORDED),
            "/api/v1/trade-fees" => Ask::Fees(0),
            "/api/v1/hf/orders/dead-cancel-all" => Ask::DeadMan,
            _ => return None,
        }
        .tag(),
    )
}

/// One request as it is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) link: LinkId,
    pub(crate) ask: Ask,
    pub(crate) method: RestMethod,
    pub(crate) target: &'a str,
    pub(crate) body: &'a str,
}

impl Question<'_> {
    /// Queues it as it is.
    pub(crate) fn send(&self, out: &mut impl Sink) {
        self.queue(&[], out);
    }

    /// Queues it signed and stamped `now`: the venue takes it for 5 s.
    pub(crate) fn sign(&self, auth: &Auth, now: Now, out: &mut impl Sink) {
        let mut digits = [0; 20];
        let ms = write_u64(now.unix.millis(), &mut digits);
        let sign = auth.sign_rest(ms, self.method, self.target, self.body.as_bytes());
        let headers = [
            ("KC-API-KEY", auth.api_key()),
            ("KC-API-SIGN", sign.as_str()),
            ("KC-API-TIMESTAMP", ms),
            ("KC-API-PASSPHRASE", auth.passphrase()),
            ("KC-API-KEY-VERSION", KEY_VERSION),
            ("Content-Type", "application/json"),
        ];
        self.queue(&headers, out);
    }

    fn queue(&self, headers: &[(&str, &str)], out: &mut impl Sink) {
        let request = RestRequest {
            tag: self.ask.tag(),
            method: self.method,
            target: self.target,
            headers,
            body: self.body.as_bytes(),
        };
        out.request(self.link, &request);
    }
}

/// A token and what its link keeps to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// WebSocket target, but for the connection's own name.
    pub(crate) path: String,
    pub(crate) ping_ms: u64,
    pub(crate) pong_ms: u64,
}

/// Longest token we take: those seen have some 300 characters.
const TOKEN_MAX: usize = 4_096;

/// Reads the answer to `bullet-public` or `bullet-private`. Of its servers the first counts; the host is the
/// configured one, the path is the answer's.
pub(crate) fn token(root: Value<'_>) -> Result<Token, DecodeError> {
    let data = root.field("data").map_err(at("data"))?;
    let token = data.str("token").map_err(at("token"))?;
    let is_word = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'&' | b'#');
    if token.is_empty() || token.len() > TOKEN_MAX || !token.bytes().all(is_word) {
        return Err(DecodeError::Field("token"));
    }
    let mut servers = data
        .array("instanceServers")
        .map_err(at("instanceServers"))?;
    let server = servers
        .next()
        .ok_or(DecodeError::Field("instanceServers"))?;
    let endpoint = server.str("endpoint").map_err(at("endpoint"))?;
    let (_, host) = endpoint.split_once("://").unwrap_or(("", endpoint));
    let path = host.find('/').and_then(|start| host.get(start..));
    let path = path.unwrap_or("/");
    if path.len() > TOKEN_MAX || !path.bytes().all(is_word) {
        return Err(DecodeError::Field("endpoint"));
    }
    let ms = |key: &'static str| server.u64(key).map_err(at(key));
    Ok(Token {
        path: format!("{path}?token={token}"),
        ping_ms: ms("pingInterval")?,
        pong_ms: ms("pingTimeout")?,
    })
}

/// Registers the rules of every listed symbol that we follow; returns how many there were.
///
/// Errors: a symbol of ours whose numbers cannot be read.
pub(crate) fn symbols(registry: &mut Registry, root: Value<'_>) -> Result<usize, DecodeError> {
    let mut count = 0;
    for item in root.array("data").map_err(at("data"))? {
        let symbol = item.str("symbol").map_err(at("symbol"))?;
        let known = registry.find(ID, symbol.as_bytes());
        let Some(&known) = known.and_then(|id| registry.get(id)) else {
            continue;
        };
        let updated = rules(registry, known, item)?;
        registry.update(updated);
        count += 1;
    }
    Ok(count)
}

/// Books hold orders from before tick or lot were made coarser, so increments are finer than the rules: prices by
/// two places, quantities to the eight places the venue has ever printed.
const PRICE_DECIMALS_FINER: u8 = 2;
const QTY_DECIMALS_MIN: u8 = 8;
const DECIMALS_MAX: u8 = 18;

fn number(field: &'static str) -> impl Fn(NumError) -> DecodeError {
    move |error| DecodeError::Number { field, error }
}

/// One symbol's rules over what we knew of it.
fn rules(
    registry: &mut Registry,
    known: Instrument,
    item: Value<'_>,
) -> Result<Instrument, DecodeError> {
    let (tick, lot) = (
        decimal(item, "priceIncrement")?,
        decimal(item, "baseIncrement")?,
    );
    let price_decimals = tick.decimals().saturating_add(PRICE_DECIMALS_FINER);
    let mut made = Instrument {
        price_decimals: price_decimals.min(DECIMALS_MAX).max(tick.decimals()),
        qty_decimals: lot.decimals().max(QTY_DECIMALS_MIN),
        is_live: item.bool("enableTrading").map_err(at("enableTrading"))?,
        is_spot: true,
        ..known
    };
    made.tick = made.price(tick).map_err(number("priceIncrement"))?;
    made.lot = made.qty(lot).map_err(number("baseIncrement"))?;
    made.qty_min = made
        .qty(decimal(item, "baseMinSize")?)
        .map_err(number("baseMinSize"))?;
    // A limit beyond 64 bits of increments is no limit to us.
    made.qty_max = made.qty(decimal(item, "baseMaxSize")?).unwrap_or(Qty(0));
    if let Some(funds) = optional(item, "minFunds")? {
        let units = funds.to_increments(12).map_err(number("minFunds"))?;
        made.notional_min = dp_types::Notional(i128::from(units));
    }
    let mut asset = |key: &'static str| {
        let name = item.str(key).map_err(at(key))?;
        registry
            .asset(name)
            .map_err(|_| DecodeError::TooMuch("assets"))
    };
    made.base = asset("baseCurrency")?;
    made.quote = asset("quoteCurrency")?;
    Ok(made)
}

/// The rates in a list of them, each with its instrument; those we do not follow are passed over.
pub(crate) fn fees(
    registry: &Registry,
    root: Value<'_>,
    mut take: impl FnMut(InstrumentId, Rates),
) -> Result<(), DecodeError> {
    for item in root.array("data").map_err(at("data"))? {
        let symbol = item.str("symbol").map_err(at("symbol"))?;
        let rates = Rates {
            maker: decimal(item, "makerFeeRate")?,
            taker: decimal(item, "takerFeeRate")?,
        };
        if let Ok(id) = find(registry, symbol) {
            take(id, rates);
        }
    }
    Ok(())
}

/// One order object of a list or a query.
///
/// An order that is over is filled when all of it is done; else it expired where its own terms end it (IOC, FOK,
/// market) and was cancelled otherwise.
pub(crate) fn report(registry: &Registry, item: Value<'_>) -> Result<OrderReport, DecodeError> {
    let instrument = find(registry, item.str("symbol").map_err(at("symbol"))?)?;
    let known = registry.get(instrument).ok_or(DecodeError::UnknownSymbol)?;
    let (qty, cum) = (optional(item, "size")?, optional(item, "dealSize")?);
    let in_lots = |value, field| match value {
        Some(value) => known.qty(value).map_err(number(field)),
        None => Ok(Qty(0)),
    };
    let (size, done) = (in_lots(qty, "size")?, in_lots(cum, "dealSize")?);
    let is_of_the_moment =
        matches!(text(item, "timeInForce"), "IOC" | "FOK") || text(item, "type") == "market";
    let state = match item.bool("active").map_err(at("active"))? {
        true if done.0 > 0 => OrderState::PartiallyFilled,
        true => OrderState::Ack,
        false if size.0 > 0 && done >= size => OrderState::Filled,
        false if is_of_the_moment => OrderState::Expired,
        false => OrderState::Cancelled,
    };
    let named = Named {
        instrument,
        client_id: client_id(item),
        order_id: order_id(item, "id")?,
        side: side(item, "side")?,
        cum,
    };
    Ok(named.report(&Standing {
        state,
        reason: RejectReason::None,
        price: optional(item, "price")?.filter(|price| !price.is_zero()),
        qty: qty.filter(|qty| !qty.is_zero()),
        venue_ns: time(item, "lastUpdatedAt")?,
    }))
}

/// One item of the list of fills, with its number in it. It does not tell our id: `asked` is that of the order
/// it was asked for, if it was.
pub(crate) fn fill(
    registry: &Registry,
    item: Value<'_>,
    asked: Option<ClientOrderId>,
) -> Result<(i64, Option<FillReport>), DecodeError> {
    let number = item
        .get("id")
        .and_then(integer)
        .ok_or(DecodeError::Field("id"))?;
    let symbol = item.str("symbol").map_err(at("symbol"))?;
    let Ok(instrument) = find(registry, symbol) else {
        return Ok((number, None));
    };
    let named = Named {
        instrument,
        client_id: asked,
        order_id: order_id(item, "orderId")?,
        side: side(item, "side")?,
        cum: None,
    };
    let trade = Trade {
        id: TradeId(id(item, "tradeId")?),
        price: decimal(item, "price")?,
        qty: decimal(item, "size")?,
        fee: decimal(item, "fee")?,
        fee_asset: registry
            .find_asset(text(item, "feeCurrency"))
            .unwrap_or_default(),
        liquidity: liquidity_of(text(item, "liquidity")),
        venue_ns: time(item, "createdAt")?,
    };
    Ok((number, Some(named.fill(&trade))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back() {
        let part = Part {
            run: RUN_MASK,
            index: 1_023,
            page: PAGE_MASK,
        };
        let client = ClientOrderId((1 << 45) - 1);
        for ask in [
            Ask::Symbols,
            Ask::Token { is_private: false },
            Ask::Token { is_private: true },
            Ask::Books(InstrumentId(1_023), u32::MAX),
            Ask::Open(Part { page: 0, ..part }),
            Ask::Fills(part),
            Ask::Balance(0),
            Ask::Order(InstrumentId(1_023), client),
            Ask::OrderFills(InstrumentId(0), ClientOrderId(7), 0),
            Ask::OrderFills(InstrumentId(1_023), client, ORDER_PAGES_MAX - 1),
            Ask::Fees(30),
            Ask::DeadMan,
            Ask::Cancel(InstrumentId(1_023), client),
            Ask::CancelAll(InstrumentId(1_023)),
        ] {
            assert_eq!(Ask::of(ask.tag()), Some(ask));
        }
        for raw in [
            0,
            13,
            255,
            0x11,
            1 << 8 | 1,
            1 << 8 | 8,
            2 << 8 | 9,
            u64::MAX,
        ] {
            assert_eq!(Ask::of(RestTag(raw)), None, "{raw}");
        }
    }

    #[test]
    fn urls_name_their_answers() {
        let mut registry = Registry::new();
        let id = registry.register(ID, "BTC-USDT", 1, 8).unwrap();
        let of = |url: &str| tag_of_url(&registry, url).and_then(Ask::of);
        for url in [
            "https://api.kucoin.com/api/v2/market/orderbook/level2?symbol=BTC-USDT",
            "https://api.kucoin.com/api/v3/market/orderbook/level2?symbol=BTC-USDT",
            "/api/v1/market/orderbook/level2_100?symbol=BTC-USDT",
            "/api/ua/v1/market/orderbook?limit=FULL&symbol=BTC-USDT&tradeType=SPOT",
        ] {
            assert_eq!(of(url), Some(Ask::Books(id, RECORDED)), "{url}");
        }
        assert_eq!(
            of("https://api.kucoin.com/api/v1/symbols"),
            Some(Ask::Symbols)
        );
        assert!(of("/api/v1/hf/orders/client-order/sl-1z141z5?symbol=BTC-USDT").is_some());
        for url in [
            "/api/v3/market/orderbook/level2?symbol=X",
            "/api/v1/market/stats",
            "nonsense",
        ] {
            assert_eq!(of(url), None, "{url}");
        }
    }
}
