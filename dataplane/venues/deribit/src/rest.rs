//! REST: requests (signed where private) and what their answers are about. Cold path: start, reconciliation,
//! questions about single orders.
//!
//! ```text
//! get_instrument → registry, rules, one symbol at a time
//! get_open_orders → get_user_trades_by_instrument → get_positions → get_account_summaries    reconciliation
//! get_transaction_log → funding, after it
//! get_order_state(_by_label) → its report, then get_user_trades_by_order
//! ```
//! Answers have the form they have on a WebSocket, `result` or `error`. The tag of a request carries what was asked,
//! so an answer needs no table; the same function reads answers live and in replay ([`tag_of_url`]).
//!
//! Lists of trades reach back 24 h and single orders 30 minutes: what is older the venue calls historical, and we do
//! not ask for it.
//! Source: venue page, sections 2 and 4, read 2026-11-20, and the venue's reference of each method, read 2026-11-21;
//! fixtures `rest_*.json`.

use crate::account::text;
use crate::auth::{Auth, Nonces};
use crate::feed::{at, optional};
use crate::rules::{Rules, Ticks};
use crate::symbols::parse_client_id;
use crate::{ID, LINK_REST};
use dp_types::{ClientOrderId, Instrument, InstrumentId, Now, Payoff};
use dp_venue_api::{DecodeError, Registry, RestMethod, RestRequest, RestTag, Sink};
use dp_wire::json::Value;

/// Trades on one page of a list: the most the venue gives.
pub const PAGE_LEN: usize = 1_000;
/// Pages of trades of one instrument we read in one reconciliation: 10,000 trades.
pub const TRADE_PAGES_MAX: u32 = 10;

/// Run of an answer that was recorded: no machine asked for it, each takes it.
pub const RECORDED: u32 = 0;
/// A run has 24 bits and its page 32: with the low byte the 64 of a tag.
const RUN_BITS: u32 = 24;
pub(crate) const RUN_MASK: u32 = (1 << RUN_BITS) - 1;

/// A client order id has 45 bits; beside it and the kind's 8 a tag has 11 for the instrument.
const CLIENT_BITS: u32 = 45;
const CLIENT_MASK: u64 = (1 << CLIENT_BITS) - 1;
const _: () = assert!(dp_types::limit::INSTRUMENTS_MAX <= 1 << (64 - 8 - CLIENT_BITS));

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The rules of an instrument, by our own index of it; of many, where recorded.
    Instrument(u32),
    /// A whole book; only ever recorded, a live one is pushed.
    Book(InstrumentId),
    /// All open orders, in this run of reconciliation (24 bits).
    Orders(u32),
    /// Trades, in this run, by the page's number in the run.
    Trades(u32, u32),
    /// Positions, in this run.
    Positions(u32),
    /// Balances, in this run.
    Balances(u32),
    /// One order of this instrument, by our id.
    Order(InstrumentId, ClientOrderId),
    /// The trades of one order.
    OrderTrades(InstrumentId, ClientOrderId),
    /// The log of transactions, by the question's number (24 bits) and the page's in it.
    Log(u32, u32),
}

impl Ask {
    /// As a tag: the kind in the low byte, numbers above.
    pub const fn tag(self) -> RestTag {
        let (kind, number) = match self {
            Self::Instrument(index) => (1, index as u64),
            Self::Book(id) => (2, id.0 as u64),
            Self::Orders(run) => (3, run as u64),
            Self::Trades(run, page) => (4, (run & RUN_MASK) as u64 | (page as u64) << RUN_BITS),
            Self::Positions(run) => (5, run as u64),
            Self::Balances(run) => (6, run as u64),
            Self::Order(id, client) => (7, pack(id, client)),
            Self::OrderTrades(id, client) => (8, pack(id, client)),
            Self::Log(run, page) => (9, (run & RUN_MASK) as u64 | (page as u64) << RUN_BITS),
        };
        RestTag(kind | number << 8)
    }

    /// From a tag. `None` when it is not one of ours.
    pub fn of(tag: RestTag) -> Option<Self> {
        let wide = tag.0 >> 8;
        let number = u32::try_from(wide).ok();
        let (id, client) = (
            InstrumentId((wide >> CLIENT_BITS) as u32), // 11 bits are left
            ClientOrderId(wide & CLIENT_MASK),
        );
        Some(match tag.0 & 0xff {
            1 => Self::Instrument(number?),
            2 => Self::Book(InstrumentId(number?)),
            3 => Self::Orders(number?),
            4 => Self::Trades(
                (wide & u64::from(RUN_MASK)) as u32,
                (wide >> RUN_BITS) as u32, // 32 bits are left
            ),
            5 => Self::Positions(number?),
            6 => Self::Balances(number?),
            7 => Self::Order(id, client),
            8 => Self::OrderTrades(id, client),
            9 => Self::Log(
                (wide & u64::from(RUN_MASK)) as u32,
                (wide >> RUN_BITS) as u32,
            ),
            _ => return None,
        })
    }
}

const fn pack(id: InstrumentId, client: ClientOrderId) -> u64 {
    client.0 & CLIENT_MASK | (id.0 as u64) << CLIENT_BITS
}

/// The tag under which a recorded answer is read, from the URL it came from (replay, tools). `None` when the URL is
/// not one we ask, or names a symbol that is not in the registry.
pub fn tag_of_url(registry: &Registry, url: &str) -> Option<RestTag> {
    let path = url.split_once("/api/v2/")?.1;
    let (method, query) = path.split_once('?').unwrap_or((path, ""));
    let field = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name));
    let instrument = || registry.find(ID, field("instrument_name=")?.as_bytes());
    let client = || {
        field("label=")
            .and_then(|text| parse_client_id(text.as_bytes()))
            .unwrap_or_default()
    };
    let nobody = (InstrumentId::default(), ClientOrderId::default());
    Some(
        match method {
            "public/get_instruments" | "public/get_instrument" => Ask::Instrument(u32::MAX),
            "public/get_order_book" => Ask::Book(instrument()?),
            "private/get_open_orders"
            | "private/get_open_orders_by_instrument"
            | "private/get_open_orders_by_currency"
            | "private/get_open_orders_by_label" => Ask::Orders(RECORDED),
            "private/get_user_trades_by_instrument" | "private/get_user_trades_by_currency" => {
                Ask::Trades(RECORDED, 0)
            }
            "private/get_user_trades_by_order" => Ask::OrderTrades(nobody.0, nobody.1),
            "private/get_transaction_log" => Ask::Log(RECORDED, 0),
            "private/get_positions" => Ask::Positions(RECORDED),
            "private/get_account_summaries" | "private/get_account_summary" => {
                Ask::Balances(RECORDED)
            }
            "private/get_order_state" | "private/get_order_state_by_label" => {
                Ask::Order(nobody.0, client())
            }
            _ => return None,
        }
        .tag(),
    )
}

/// Queues a public GET of a method with its query.
pub(crate) fn get(ask: Ask, target: &str, out: &mut impl Sink) {
    send(ask, target, &[], out);
}

/// Queues a signed GET, stamped `now`.
pub(crate) fn signed(
    auth: &Auth,
    nonces: &mut Nonces,
    ask: Ask,
    target: &str,
    now: Now,
    out: &mut impl Sink,
) {
    let nonce = nonces.next(LINK_REST, now);
    let ms = now.unix.millis();
    let authorization = auth.authorization(ms, &nonce, RestMethod::Get, target, "");
    send(ask, target, &[("Authorization", &authorization)], out);
}

fn send(ask: Ask, target: &str, headers: &[(&str, &str)], out: &mut impl Sink) {
    let request = RestRequest {
        tag: ask.tag(),
        method: RestMethod::Get,
        target,
        headers,
        body: &[],
    };
    out.request(LINK_REST, &request);
}

/// Registers the rules of every instrument told that we follow; returns how many there were.
///
/// Errors: an instrument of ours whose numbers cannot be read.
pub(crate) fn instruments(
    registry: &mut Registry,
    result: Value<'_>,
) -> Result<usize, DecodeError> {
    let Some(list) = result.as_array() else {
        return instrument(registry, result);
    };
    let mut count = 0;
    for item in list {
        count += instrument(registry, item)?;
    }
    Ok(count)
}

fn instrument(registry: &mut Registry, item: Value<'_>) -> Result<usize, DecodeError> {
    let symbol = item.str("instrument_name").map_err(at("instrument_name"))?;
    let known = registry
        .find(ID, symbol.as_bytes())
        .and_then(|id| registry.get(id).copied());
    let Some(known) = known else {
        return Ok(0);
    };
    let updated = rules(registry, known, item)?;
    registry.update(updated);
    Ok(1)
}

/// One instrument's rules over what we knew of it.
fn rules(
    registry: &mut Registry,
    known: Instrument,
    item: Value<'_>,
) -> Result<Instrument, DecodeError> {
    let mut ticks = Ticks::new(item.decimal("tick_size").map_err(at("tick_size"))?);
    for step in item.array("tick_size_steps").into_iter().flatten() {
        ticks.also(step.decimal("tick_size").map_err(at("tick_size_steps"))?);
    }
    let settled = match text(item, "settlement_currency") {
        "" => item.str("quote_currency").map_err(at("quote_currency"))?,
        name => name,
    };
    let is_future = text(item, "kind") == "future";
    let rules = Rules {
        ticks,
        amount_min: item
            .decimal("min_trade_amount")
            .map_err(at("min_trade_amount"))?,
        contract: optional(item, "contract_size")?.filter(|_| is_future),
        is_live: item.get("is_active").and_then(Value::as_bool) == Some(true),
        venue_code: item
            .get("instrument_id")
            .and_then(Value::as_u64)
            .unwrap_or(0),
        payoff: Some(payoff(item)),
        assets: Some((
            item.str("base_currency").map_err(at("base_currency"))?,
            settled,
        )),
    };
    rules.over(known, registry)
}

/// Futures say which they are; a reversed option is priced in the coin it is settled in, which is linear in it. What a spread
/// of inverse futures gains depends on the prices of its legs, which it does not tell.
fn payoff(item: Value<'_>) -> Payoff {
    match (text(item, "kind"), text(item, "instrument_type")) {
        ("future", "reversed") => Payoff::Inverse,
        ("future" | "future_combo", "linear") | ("spot" | "option" | "option_combo", _) => {
            Payoff::Linear
        }
        _ => Payoff::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back() {
        let most = ClientOrderId((1 << 45) - 1);
        for ask in [
            Ask::Instrument(3),
            Ask::Instrument(u32::MAX),
            Ask::Book(InstrumentId(1023)),
            Ask::Orders(7),
            Ask::Trades(RUN_MASK, u32::MAX),
            Ask::Positions(RUN_MASK),
            Ask::Balances(0),
            Ask::Order(InstrumentId(1023), most),
            Ask::OrderTrades(InstrumentId(0), most),
            Ask::Log(RUN_MASK, 49),
        ] {
            assert_eq!(Ask::of(ask.tag()), Some(ask));
        }
        for raw in [0, 10, 255, 1 << 60 | 1, u64::MAX] {
            assert_eq!(Ask::of(RestTag(raw)), None);
        }
    }

    #[test]
    fn urls_name_their_answers() {
        let mut registry = Registry::new();
        let id = registry.register(ID, "BTC-PERPETUAL", 1, 8).unwrap();
        let of = |url: &str| tag_of_url(&registry, url).and_then(Ask::of);
        assert_eq!(
            of("https://www.deribit.com/api/v2/public/get_instruments?currency=BTC&expired=false"),
            Some(Ask::Instrument(u32::MAX))
        );
        assert_eq!(
            of("/api/v2/public/get_order_book?depth=5&instrument_name=BTC-PERPETUAL"),
            Some(Ask::Book(id))
        );
        assert_eq!(of("/api/v2/public/get_order_book?instrument_name=X"), None);
        assert_eq!(
            of("/api/v2/private/get_positions"),
            Some(Ask::Positions(RECORDED))
        );
        assert_eq!(of("https://www.deribit.com/api/v2/public/ticker"), None);
        assert_eq!(of("nonsense"), None);
    }
}
