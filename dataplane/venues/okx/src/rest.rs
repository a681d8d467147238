//! REST: requests (signed where private) and what their answers mean. Cold path: start, resync,
//! reconciliation, the dead man's switch.
//!
//! ```text
//! instruments → registry, rules        books → Book snapshot, spliced by the keeper
//! orders-pending, fills, balance → reconciliation     order → its report, then its fills
//! cancel-all-after → dead man's switch re-armed           bills → funding payments
//! ```
//! The tag of a request carries what was asked, so an answer needs no table; the same function
//! reads answers live and in replay ([`tag_of_url`]).
//! Source: venue page, sections 2, 3.2, 4 and 4.3, read 2026-11-20; fixtures `rest_*.json`.

use crate::account::text;
use crate::auth::Auth;
use crate::feed::{at, optional};
use crate::symbols::parse_client_id;
use crate::{ID, LINK_REST};
use dp_types::{ClientOrderId, Decimal, Instrument, InstrumentId, Now, NumError, Payoff, Qty};
use dp_venue_api::{DecodeError, Registry, RestMethod, RestRequest, RestTag, Sink};
use dp_wire::json::Value;
use dp_wire::time::TimeText;

/// Items on one page of a list; a full page means there may be more.
pub const PAGE_LEN: usize = 100;
/// Pages of open orders we read: 2,000. More is told as an error, never cut silently.
pub const PAGES_MAX: u32 = 20;
/// Pages of fills we read in one reconciliation: 10,000.
pub const FILL_PAGES_MAX: u32 = 100;
/// Pages of fills of one order: 1,600. What is beyond, reconciliation reads.
pub const ORDER_PAGES_MAX: u8 = 16;

/// Run, or snapshot, of an answer that was recorded: no machine asked for it, each takes it.
pub const RECORDED: u32 = 0;

/// A run has 24 bits and its page 32: with the low byte the 64 of a tag.
const RUN_BITS: u32 = 24;
pub(crate) const RUN_MASK: u32 = (1 << RUN_BITS) - 1;
/// A snapshot's instrument.
const ID_BITS: u32 = 24;
const ID_MASK: u64 = (1 << ID_BITS) - 1;

/// A client order id has 45 bits; beside it and the kind's 8 a tag has 11 for the instrument.
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

impl ListPage {
    const fn number(self) -> u64 {
        (self.run & RUN_MASK) as u64 | (self.page as u64) << RUN_BITS
    }

    const fn of(wide: u64) -> Self {
        Self {
            run: (wide & RUN_MASK as u64) as u32,
            page: (wide >> RUN_BITS) as u32, // 32 bits are left
        }
    }
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A list of instruments; the number is our own index of the list.
    Instruments(u32),
    /// A book snapshot, by the number of the request.
    Books(InstrumentId, u32),
    /// A page of open orders.
    Pending(ListPage),
    /// A page of fills.
    Fills(ListPage),
    /// Balances, in this run of reconciliation.
    Balance(u32),
    /// One order of this instrument, by our id.
    Order(InstrumentId, ClientOrderId),
    /// A page (below [`ORDER_PAGES_MAX`]) of the fills of one order.
    OrderFills(InstrumentId, ClientOrderId, u8),
    /// The dead man's switch.
    DeadMan,
    /// A page of funding payments.
    Bills(ListPage),
    /// Positions, in this run of reconciliation.
    Positions(u32),
}

impl Ask {
    /// As a tag: the kind in the low four bits, a page of an order's fills in the next four, numbers above.
    pub const fn tag(self) -> RestTag {
        let (kind, number) = match self {
            Self::Instruments(index) => (1, index as u64),
            Self::Books(id, number) => (2, id.0 as u64 & ID_MASK | (number as u64) << ID_BITS),
            Self::Pending(page) => (3, page.number()),
            Self::Fills(page) => (4, page.number()),
            Self::Balance(run) => (5, run as u64),
            Self::Order(id, client) => (6, pack(id, client)),
            Self::OrderFills(id, client, page) => (7 | (page as u64 & 0xf) << 4, pack(id, client)),
            Self::DeadMan => (8, 0),
            Self::Bills(page) => (9, page.number()),
            Self::Positions(run) => (10, run as u64),
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
            1 => Self::Instruments(number()?),
            2 => Self::Books(
                InstrumentId((wide & ID_MASK) as u32),
                (wide >> ID_BITS) as u32, // 32 bits are left
            ),
            3 => Self::Pending(ListPage::of(wide)),
            4 => Self::Fills(ListPage::of(wide)),
            5 => Self::Balance(number()?),
            6 => Self::Order(id, client),
            8 if wide == 0 => Self::DeadMan,
            9 => Self::Bills(ListPage::of(wide)),
            10 => Self::Positions(number()?),
            _ => return None,
        })
    }
}

const fn pack(id: InstrumentId, client: ClientOrderId) -> u64 {
    client.0 & CLIENT_MASK | (id.0 as u64) << CLIENT_BITS
}

/// The tag under which a recorded answer is read, from the URL it came from (replay, tools). `None`
/// when the URL is not one we ask, or names a symbol that is not in the registry.
pub fn tag_of_url(registry: &Registry, url: &str) -> Option<RestTag> {
    let path = url.find("/api/v5/").and_then(|start| url.get(start..))?;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let field = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name));
    let instrument = || registry.find(ID, field("instId=")?.as_bytes());
    let client = || {
        field("clOrdId=")
            .and_then(|text| parse_client_id(text.as_bytes()))
            .unwrap_or_default()
    };
    Some(
        match path {
            "/api/v5/public/instruments" | "/api/v5/account/instruments" => {
                Ask::Instruments(u32::MAX)
            }
            "/api/v5/market/books" => Ask::Books(instrument()?, RECORDED),
            "/api/v5/trade/orders-pending" => Ask::Pending(ListPage {
                run: RECORDED,
                page: 0,
            }),
            "/api/v5/trade/fills" | "/api/v5/trade/fills-history" => Ask::OrderFills(
                instrument().unwrap_or_default(),
                ClientOrderId::default(),
                0,
            ),
            "/api/v5/account/balance" => Ask::Balance(RECORDED),
            "/api/v5/account/positions" => Ask::Positions(RECORDED),
            "/api/v5/trade/order" => Ask::Order(instrument()?, client()),
            "/api/v5/trade/cancel-all-after" => Ask::DeadMan,
            "/api/v5/account/bills" => Ask::Bills(ListPage {
                run: RECORDED,
                page: 0,
            }),
            _ => return None,
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

/// Queues a signed request, stamped `now`: the venue takes it for 30 s.
pub(crate) fn signed(
    auth: &Auth,
    ask: Ask,
    method: RestMethod,
    target: &str,
    body: &str,
    now: Now,
    out: &mut impl Sink,
) {
    let time = TimeText::rfc3339_millis(now.unix.0);
    let sign = auth.sign_rest(&time, method, target, body.as_bytes());
    out.request(
        LINK_REST,
        &RestRequest {
            tag: ask.tag(),
            method,
            target,
            headers: &[
                ("OK-ACCESS-KEY", auth.api_key()),
                ("OK-ACCESS-SIGN", sign.as_str()),
                ("OK-ACCESS-TIMESTAMP", time.as_str()),
                ("OK-ACCESS-PASSPHRASE", auth.passphrase()),
                ("Content-Type", "application/json"),
            ],
            body: body.as_bytes(),
        },
    );
}

/// Registers the rules of every listed instrument that we follow; returns how many there were.
///
/// Errors: an instrument of ours whose numbers cannot be read.
pub(crate) fn instruments(registry: &mut Registry, root: Value<'_>) -> Result<usize, DecodeError> {
    let mut count = 0;
    for item in root.array("data").map_err(at("data"))? {
        let symbol = item.str("instId").map_err(at("instId"))?;
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

/// Books hold orders from before tick or lot were made coarser (recorded: lot 0.01, a level of
/// 3055.18631369), so increments are finer than the rules: prices by two places, quantities by six
/// but to no more than the eight places the venue has ever printed. With six places 64 bits hold
/// 9.2 x 10^12 units a level.
const PRICE_DECIMALS_FINER: u8 = 2;
const QTY_DECIMALS_FINER: u8 = 6;
const QTY_DECIMALS_MAX: u8 = 8;

/// `decimals` and `by` more, but to no more than `max` (0 = 18) unless the rule itself is finer.
const fn finer(decimals: u8, by: u8, max: u8) -> u8 {
    let max = if max == 0 { 18 } else { max };
    let more = decimals.saturating_add(by);
    let capped = if more > max { max } else { more };
    if capped > decimals { capped } else { decimals }
}

fn number(field: &'static str) -> impl Fn(NumError) -> DecodeError {
    move |error| DecodeError::Number { field, error }
}

/// Contract value x multiplier, 1 where the instrument is no contract.
fn multiplier(item: Value<'_>) -> Result<Decimal, DecodeError> {
    let one = Decimal {
        mantissa: 1,
        exponent: 0,
    };
    let value = optional(item, "ctVal")?.unwrap_or(one);
    let times = optional(item, "ctMult")?.unwrap_or(one);
    let too_large = || DecodeError::Number {
        field: "ctMult",
        error: NumError::TooLarge,
    };
    Ok(Decimal {
        mantissa: value
            .mantissa
            .checked_mul(times.mantissa)
            .ok_or_else(too_large)?,
        exponent: value
            .exponent
            .checked_add(times.exponent)
            .filter(|exponent| (-18..=18).contains(exponent))
            .ok_or_else(too_large)?,
    })
}

/// One instrument's rules over what we knew of it.
///
/// Increments are finer than tick and lot ([`QTY_DECIMALS_FINER`]). `quote` is what profit is
/// settled in; an inverse contract's `base` is that too: the venue names the dollars it is counted in (README, "Contracts").
fn rules(
    registry: &mut Registry,
    known: Instrument,
    item: Value<'_>,
) -> Result<Instrument, DecodeError> {
    let tick = item.decimal("tickSz").map_err(at("tickSz"))?;
    let lot = item.decimal("lotSz").map_err(at("lotSz"))?;
    let mut made = Instrument {
        price_decimals: finer(tick.decimals(), PRICE_DECIMALS_FINER, 0),
        qty_decimals: finer(lot.decimals(), QTY_DECIMALS_FINER, QTY_DECIMALS_MAX),
        is_live: text(item, "state") == "live",
        is_spot: text(item, "instType") == "SPOT",
        venue_code: item.get("instIdCode").and_then(Value::as_u64).unwrap_or(0),
        payoff: payoff(item),
        multiplier: multiplier(item)?,
        ..known
    };
    made.tick = made.price(tick).map_err(number("tickSz"))?;
    made.lot = made.qty(lot).map_err(number("lotSz"))?;
    if let Some(min) = optional(item, "minSz")? {
        made.qty_min = made.qty(min).map_err(number("minSz"))?;
    }
    // A limit beyond 64 bits of increments is no limit to us.
    made.qty_max = optional(item, "maxLmtSz")?
        .and_then(|max| made.qty(max).ok())
        .unwrap_or(Qty(0));
    let first = |keys: [&str; 2]| {
        keys.into_iter()
            .map(|key| text(item, key))
            .find(|name| !name.is_empty())
    };
    if let Some(base) = first(["baseCcy", "ctValCcy"]) {
        made.base = registry
            .asset(base)
            .map_err(|_| DecodeError::TooMuch("assets"))?;
    }
    if let Some(quote) = first(["quoteCcy", "settleCcy"]) {
        made.quote = registry
            .asset(quote)
            .map_err(|_| DecodeError::TooMuch("assets"))?;
    }
    if made.payoff == Payoff::Inverse {
        made.base = made.quote;
    }
    Ok(made)
}

/// Swaps and futures say which they are; options are priced in what they are settled in.
fn payoff(item: Value<'_>) -> Payoff {
    match (text(item, "instType"), text(item, "ctType")) {
        ("SWAP" | "FUTURES", "inverse") => Payoff::Inverse,
        ("SWAP" | "FUTURES", "linear") | ("SPOT" | "MARGIN" | "OPTION", _) => Payoff::Linear,
        _ => Payoff::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn increments_are_finer_than_the_rules_within_bounds() {
        let qty = |lot| finer(lot, QTY_DECIMALS_FINER, QTY_DECIMALS_MAX);
        assert_eq!((qty(0), qty(2), qty(8), qty(10)), (6, 8, 8, 10));
        assert_eq!(
            (finer(1, 2, 0), finer(17, 2, 0), finer(18, 2, 0)),
            (3, 18, 18)
        );
    }

    #[test]
    fn tags_come_back() {
        for ask in [
            Ask::Instruments(3),
            Ask::Books(InstrumentId(1023), u32::MAX),
            Ask::Pending(ListPage { run: 7, page: 0 }),
            Ask::Fills(ListPage {
                run: RUN_MASK,
                page: u32::MAX,
            }),
            Ask::Balance(0),
            Ask::Order(InstrumentId(1023), ClientOrderId((1 << 45) - 1)),
            Ask::OrderFills(InstrumentId(0), ClientOrderId(7), 0),
            Ask::OrderFills(
                InstrumentId(1023),
                ClientOrderId((1 << 45) - 1),
                ORDER_PAGES_MAX - 1,
            ),
            Ask::DeadMan,
            Ask::Bills(ListPage { run: 1, page: 19 }),
            Ask::Positions(RUN_MASK),
        ] {
            assert_eq!(Ask::of(ask.tag()), Some(ask));
        }
        for raw in [0, 11, 255, 0x11, 1 << 60 | 1, 1 << 8 | 8, u64::MAX] {
            assert_eq!(Ask::of(RestTag(raw)), None);
        }
    }

    #[test]
    fn urls_name_their_answers() {
        let mut registry = Registry::new();
        let id = registry.register(ID, "BTC-USDT", 1, 8).unwrap();
        let of = |url: &str| tag_of_url(&registry, url).and_then(Ask::of);
        assert_eq!(
            of("https://www.okex.com/api/v5/public/instruments?instType=SPOT"),
            Some(Ask::Instruments(u32::MAX))
        );
        assert_eq!(
            of("https://www.okx.com/api/v5/market/books?instId=BTC-USDT&sz=400"),
            Some(Ask::Books(id, RECORDED))
        );
        assert_eq!(of("https://www.okx.com/api/v5/market/books?instId=X"), None);
        assert_eq!(of("https://www.okx.com/api/v5/market/tickers"), None);
        assert_eq!(of("nonsense"), None);
    }
}
