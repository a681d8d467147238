//! Messages → events. [`Decoder`] is what the live machine, replay and the tools all use.
//!
//! ```text
//! {"stream":S,"data":D}               combined stream         D alone: raw stream
//!     e = depthUpdate                 Book (delta; S = @depth5, 10, 20: snapshot)
//!     e = trade, aggTrade             Trade
//!     e = bookTicker, or u b B a A    Quote
//!     lastUpdateId bids asks          Book (snapshot), the symbol from S or `symbol`
//!     e = serverShutdown              Control::ClosingSoon
//!     e = executionReport ...         account.rs (user data, also inside {"subscriptionId","event"})
//!     e = ORDER_TRADE_UPDATE ...      account.rs, usdm/account.rs (user data of futures)
//!     e = anything else               Ignored, with its reason
//! {"id","status",...}                 entry.rs (WebSocket API answers)
//! {"result","id"}, {"code","msg"}     answers to stream control messages
//! ```
//! Fields are found by name, in any order; unknown ones are passed over. The decoder keeps no state
//! between messages: what a message means for the session comes back as [`Heard`].
//! Source: venue page, sections 3 and 9, read 2026-11-20; fixtures `feed_*.json`.

pub use crate::heard::{Heard, Notice, Stop};
use crate::product::{Market, Product};
use crate::rest::{self, Ask};
use crate::usdm;
use crate::{account, entry, sbe, scan};
use dp_types::limit::MSG_LEVELS_MAX;
use dp_types::{
    BookMsg, BookMsgKind, ClientOrderId, InstrumentId, LinkId, QuoteMsg, RawLevel, RejectReason,
    Side, Text, TradeId, TradeMsg, VenueNanos,
};
use dp_venue_api::{Control, DecodeError, Event, Fault, ReadCounts, Registry, RegistryError, Sink};
use dp_wire::json::{Doc, JsonError, Value};

/// Names a field in the error of reading it.
pub(crate) fn at(field: &'static str) -> impl Fn(JsonError) -> DecodeError {
    move |error| match error {
        JsonError::Decimal(error) => DecodeError::Number { field, error },
        JsonError::Missing | JsonError::Kind | JsonError::Inexact => DecodeError::Field(field),
        error => of_json(error),
    }
}

/// An error of the JSON text itself.
pub(crate) fn of_json(error: JsonError) -> DecodeError {
    match error {
        JsonError::TooLarge => DecodeError::TooMuch("message size"),
        JsonError::TooDeep => DecodeError::TooMuch("nesting"),
        _ => DecodeError::Json,
    }
}

/// Venue milliseconds; 0 when absent.
pub(crate) fn millis(value: Value<'_>, key: &'static str) -> Result<VenueNanos, DecodeError> {
    match value.get(key) {
        None => Ok(VenueNanos(0)),
        Some(ms) => time(ms, key),
    }
}

fn time(ms: Value<'_>, field: &'static str) -> Result<VenueNanos, DecodeError> {
    let ms = ms.as_u64().ok_or(DecodeError::Field(field))?;
    Ok(VenueNanos::from_millis(ms))
}

/// The instrument a symbol names.
pub(crate) fn instrument(market: Market<'_>, symbol: &str) -> Result<InstrumentId, DecodeError> {
    market
        .listed(symbol.as_bytes())
        .ok_or(DecodeError::UnknownSymbol)
}

/// The instrument of a message's own symbol field.
pub(crate) fn own_instrument(
    market: Market<'_>,
    value: Value<'_>,
    key: &'static str,
) -> Result<InstrumentId, DecodeError> {
    instrument(market, value.str(key).map_err(at(key))?)
}

/// Room for the levels of one message, taken once.
#[derive(Debug)]
pub struct Levels {
    pub(crate) bids: Vec<RawLevel>,
    pub(crate) asks: Vec<RawLevel>,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            bids: Vec::with_capacity(MSG_LEVELS_MAX),
            asks: Vec::with_capacity(MSG_LEVELS_MAX),
        }
    }
}

/// A message decoder without state but its counts: a scanner, a parser and room for levels.
#[derive(Debug)]
pub struct Decoder {
    product: Product,
    doc: Doc,
    levels: Levels,
    counts: ReadCounts,
}

/// A 100 ms depth event of a busy symbol is near 10 KiB, a 1,000-level snapshot near 60 KiB; messages up
/// to this size never allocate.
const WARM_BYTES: usize = 128 << 10;

impl Default for Decoder {
    fn default() -> Self {
        Self::new(Product::Spot)
    }
}

impl Decoder {
    /// A decoder of one product's messages.
    pub fn new(product: Product) -> Self {
        Self {
            product,
            doc: Doc::with_limit(WARM_BYTES, dp_types::limit::HTTP_BODY_MAX),
            levels: Levels::default(),
            counts: ReadCounts::default(),
        }
    }

    const fn market<'r>(&self, registry: &'r Registry) -> Market<'r> {
        Market {
            registry,
            product: self.product,
        }
    }

    /// How messages were read since the start.
    pub const fn counts(&self) -> ReadCounts {
        self.counts
    }

    /// Decodes one WebSocket message that came over `link`. The bytes are parsed in place.
    ///
    /// Cost: one pass of parsing, one of reading; no allocation once warm. Errors: [`Fault`].
    pub fn text(
        &mut self,
        registry: &Registry,
        link: LinkId,
        text: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<Heard, Fault> {
        if let Some(heard) = scan::text(self.market(registry), text, &mut self.levels, out) {
            self.counts.scanned += 1;
            return Ok(heard);
        }
        self.counts.parsed += 1;
        self.parse(registry, link, text, out)
    }

    /// Decodes one binary message of the market streams.
    ///
    /// Cost: one pass; no allocation once warm. Errors: [`DecodeError`]; nothing was told then.
    pub fn binary(
        &mut self,
        registry: &Registry,
        bytes: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        self.counts.scanned += 1;
        sbe::message(self.market(registry), bytes, &mut self.levels, out)
    }

    /// [`Decoder::text`] without the scanner: what it falls back to, and its oracle.
    ///
    /// Cost and errors as there.
    pub fn parse(
        &mut self,
        registry: &Registry,
        link: LinkId,
        text: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<Heard, Fault> {
        let market = self.market(registry);
        let Self { doc, levels, .. } = self;
        let tree = doc.parse(text).map_err(of_json)?;
        let root = tree.root();
        // Market data first: it is nearly all there is, and `stream` its first field.
        if let Some(data) = root.get("data")
            && let Some(stream) = root.get("stream").and_then(Value::as_str)
        {
            return on_push(market, link, stream, data, levels, out);
        }
        if let Some(event) = root.get("event") {
            return on_push(market, link, "", event, levels, out);
        }
        if root.get("status").is_some_and(|s| s.as_u64().is_some()) {
            return entry::on_reply(market, root, out);
        }
        if root.get("e").is_some() || root.get("u").is_some() || root.get("lastUpdateId").is_some()
        {
            return on_push(market, link, "", root, levels, out);
        }
        on_control(market.product, root, out)
    }

    /// Decodes the body of a successful REST answer to `ask`. Cold. Errors: [`DecodeError`].
    pub fn answer(
        &mut self,
        registry: &mut Registry,
        ask: Ask,
        body: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<rest::Answer, DecodeError> {
        let Self {
            product,
            doc,
            levels,
            ..
        } = self;
        let tree = doc.parse(body).map_err(of_json)?;
        rest::read(*product, registry, ask, tree.root(), levels, out)
    }

    /// The venue's code and message of a REST refusal; `None` when the body is not the venue's.
    /// The message is cut to what names the reason.
    pub(crate) fn refusal(&mut self, body: &mut [u8], status: u16) -> Option<entry::Refusal> {
        let tree = self.doc.parse(body).ok()?;
        entry::refusal(self.product, tree.root(), status)
    }
}

/// Decodes one message of unknown origin for tools: symbols that are not in the registry are added to it
/// first. `url` is where the text came from, if that is known: a REST URL names what its answer is.
///
/// Errors: [`Fault`]; symbols beyond the registry's room stay unknown. Allocates: not for lanes.
pub fn decode_any(
    decoder: &mut Decoder,
    registry: &mut Registry,
    url: Option<&str>,
    text: &mut [u8],
    out: &mut impl Sink,
) -> Result<Heard, Fault> {
    let symbols = match url.and_then(rest::symbol_of_url) {
        Some(symbol) => vec![symbol],
        None => {
            let mut copy = text.to_vec(); // parsing works in place
            let tree = decoder.doc.parse(&mut copy).map_err(of_json)?;
            symbols(tree.root())
        }
    };
    for symbol in symbols {
        match register(decoder.product, registry, &symbol) {
            Ok(_) | Err(RegistryError::Full) => {}
            Err(RegistryError::TooLong) => return Err(DecodeError::UnknownSymbol.into()),
        }
    }
    let ask = url.and_then(|url| rest::ask_of_url(decoder.product, registry, url));
    let Some(ask) = ask else {
        return decoder.text(registry, LinkId::default(), text, out);
    };
    let answer = decoder.answer(registry, ask, text, out)?;
    if let rest::Answer::Rules(..) = answer {
        out.event(&Event::Control(Control::InstrumentsReady));
    }
    Ok(Heard::default())
}

/// Adds a symbol with bare increments, or finds it.
pub(crate) fn register(
    product: Product,
    registry: &mut Registry,
    symbol: &str,
) -> Result<InstrumentId, RegistryError> {
    registry.register(product.id(), symbol, DECIMALS_BARE, DECIMALS_BARE)
}

/// Increments until a symbol's rules are known: no symbol of this venue prints more than 8 decimals, and
/// with 8 an `i64` holds 9.2 x 10^10.
const DECIMALS_BARE: u8 = 8;

/// Every symbol a message speaks of, as order entry and REST write it.
fn symbols(root: Value<'_>) -> Vec<String> {
    let data = root.get("data").or(root.get("event")).unwrap_or(root);
    let of = |value: Value<'_>| {
        ["s", "symbol"].iter().find_map(|key| {
            value
                .get(key)
                .and_then(Value::as_str)
                .map(str::to_ascii_uppercase)
        })
    };
    let listed = data.get("symbols").unwrap_or(data).as_array();
    let mut found: Vec<String> = listed.into_iter().flatten().filter_map(of).collect();
    found.extend(of(data));
    if found.is_empty() && data.get("lastUpdateId").is_some() {
        let stream = root.str("stream").ok().and_then(stream_symbol);
        found.extend(stream.map(|symbol| symbol.to_string()));
    }
    found
}

/// `btcusdt@depth20` → `BTCUSDT`.
fn stream_symbol(stream: &str) -> Option<Text<31>> {
    Text::new(stream.split_once('@')?.0).map(Text::to_ascii_uppercase)
}

/// Whether a stream carries the top levels only: `@depth5`, `@depth10`, `@depth20`.
fn is_partial(stream: &str) -> bool {
    stream
        .split_once("@depth")
        .is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn on_push(
    market: Market<'_>,
    link: LinkId,
    stream: &str,
    data: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<Heard, Fault> {
    let Some(kind) = data.get("e") else {
        on_nameless(market, stream, data, levels, out)?;
        return Ok(Heard::default());
    };
    match kind.as_str().ok_or(DecodeError::Field("e"))? {
        "depthUpdate" => on_depth(market, is_partial(stream), data, levels, out)?,
        "bookTicker" => on_quote(market, data, out)?,
        "trade" => on_trade(market, "t", data, out)?,
        "aggTrade" => on_trade(market, "l", data, out)?,
        "serverShutdown" => {
            out.event(&Event::Control(Control::ClosingSoon(link)));
            return Ok(Notice::ClosingSoon.into());
        }
        "eventStreamTerminated" => {
            out.event(&Event::Ignored("the user data subscription ended"));
            return Ok(Notice::StreamEnded.into());
        }
        "executionReport" => account::on_report(market, data, out)?,
        "outboundAccountPosition" => account::on_balances(market, data, out)?,
        other if market.product == Product::Usdm => return on_futures(market, other, data, out),
        other => out.event(&Event::Ignored(ignored(other))),
    }
    Ok(Heard::default())
}

/// What the account of futures is told.
fn on_futures(
    market: Market<'_>,
    kind: &str,
    data: Value<'_>,
    out: &mut impl Sink,
) -> Result<Heard, Fault> {
    match kind {
        "ORDER_TRADE_UPDATE" => {
            let order = data.get("o").ok_or(DecodeError::Field("o"))?;
            account::on_report(market, order, out)?;
        }
        "ACCOUNT_UPDATE" => {
            usdm::account::on_update(market, data, out)?;
            if usdm::income::is_paid(data) {
                return Ok(Notice::Funded.into());
            }
        }
        "TRADE_LITE" => out.event(&Event::Ignored(
            "an execution before its fee is known: told when it is",
        )),
        "listenKeyExpired" => {
            out.event(&Event::Ignored("the user data subscription ended"));
            return Ok(Notice::StreamEnded.into());
        }
        other => out.event(&Event::Ignored(ignored(other))),
    }
    Ok(Heard::default())
}

/// Messages without `e`: best quotes of spot, partial depth of spot, arrays of all symbols.
fn on_nameless(
    market: Market<'_>,
    stream: &str,
    data: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    if data.get("B").is_some() {
        return on_quote(market, data, out);
    }
    if data.get("lastUpdateId").is_some() {
        let id = match (data.get("symbol").and_then(Value::as_str), stream) {
            (Some(symbol), _) => instrument(market, symbol)?,
            (None, "") => return Err(DecodeError::Shape("depth without a symbol")),
            (None, stream) => {
                let symbol = stream_symbol(stream).ok_or(DecodeError::Field("stream"))?;
                instrument(market, symbol.as_str())?
            }
        };
        return on_snapshot(id, data, levels, out);
    }
    if data.as_array().is_some() {
        out.event(&Event::Ignored("a list of all symbols"));
        return Ok(());
    }
    Err(DecodeError::Shape("a stream message without a kind"))
}

/// `[price, quantity]`.
fn level(value: Value<'_>) -> Result<RawLevel, DecodeError> {
    let mut items = value.as_array().ok_or(DecodeError::Field("level"))?;
    let mut next = |field| {
        items
            .next()
            .ok_or(DecodeError::Field(field))?
            .as_decimal()
            .map_err(at(field))
    };
    Ok(RawLevel {
        price: next("price")?,
        qty: next("quantity")?,
    })
}

fn read_levels(
    side: Option<Value<'_>>,
    field: &'static str,
    levels: &mut Vec<RawLevel>,
) -> Result<(), DecodeError> {
    levels.clear();
    let items = side.and_then(Value::as_array);
    for item in items.ok_or(DecodeError::Field(field))? {
        if levels.len() >= MSG_LEVELS_MAX {
            return Err(DecodeError::TooMuch("levels"));
        }
        levels.push(level(item)?);
    }
    Ok(())
}

fn id_of(value: Option<Value<'_>>, field: &'static str) -> Result<i64, DecodeError> {
    value
        .and_then(Value::as_i64)
        .filter(|id| *id >= 0)
        .ok_or(DecodeError::Field(field))
}

/// One diff event. Cost: one pass over its fields, one over its levels.
fn on_depth(
    market: Market<'_>,
    is_partial: bool,
    data: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let (mut symbol, mut event_time, mut engine_time) = (None, None, None);
    let (mut first, mut last, mut prev) = (None, None, None);
    let (mut bids, mut asks) = (None, None);
    for (key, value) in data.as_object().ok_or(DecodeError::Field("data"))? {
        let slot = match key {
            "s" => &mut symbol,
            "U" => &mut first,
            "u" => &mut last,
            "b" => &mut bids,
            "a" => &mut asks,
            "E" => &mut event_time,
            "T" => &mut engine_time,
            "pu" => &mut prev,
            _ => continue,
        };
        slot.get_or_insert(value);
    }
    let symbol = symbol.and_then(Value::as_str);
    let instrument = instrument(market, symbol.ok_or(DecodeError::Field("s"))?)?;
    read_levels(bids, "b", &mut levels.bids)?;
    read_levels(asks, "a", &mut levels.asks)?;
    let last_id = id_of(last, "u")?;
    let venue_ns = match (engine_time, event_time) {
        (Some(ms), _) => time(ms, "T")?,
        (None, Some(ms)) => time(ms, "E")?,
        (None, None) => VenueNanos(0),
    };
    let (kind, first_id, prev_id) = if is_partial {
        (BookMsgKind::Snapshot, last_id, -1)
    } else {
        // -1 is the venue's own word for "no event before".
        let prev = prev.map(|id| id.as_i64().ok_or(DecodeError::Field("pu")));
        (
            BookMsgKind::Delta,
            id_of(first, "U")?,
            prev.transpose()?.unwrap_or(-1),
        )
    };
    out.event(&Event::Book(BookMsg {
        instrument,
        kind,
        first_id,
        last_id,
        prev_id,
        checksum: None,
        bids: &levels.bids,
        asks: &levels.asks,
        venue_ns,
    }));
    Ok(())
}

/// A whole book: a REST answer or a partial depth message.
pub(crate) fn on_snapshot(
    instrument: InstrumentId,
    data: Value<'_>,
    levels: &mut Levels,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    read_levels(data.get("bids"), "bids", &mut levels.bids)?;
    read_levels(data.get("asks"), "asks", &mut levels.asks)?;
    let last_id = id_of(data.get("lastUpdateId"), "lastUpdateId")?;
    out.event(&Event::Book(BookMsg {
        instrument,
        kind: BookMsgKind::Snapshot,
        first_id: last_id,
        last_id,
        prev_id: -1,
        checksum: None,
        bids: &levels.bids,
        asks: &levels.asks,
        venue_ns: millis(data, "T")?, // spot gives none
    }));
    Ok(())
}

fn on_quote(market: Market<'_>, data: Value<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    let side = |price: &'static str, qty: &'static str| {
        Ok(RawLevel {
            price: data.decimal(price).map_err(at(price))?,
            qty: data.decimal(qty).map_err(at(qty))?,
        })
    };
    out.event(&Event::Quote(QuoteMsg {
        instrument: own_instrument(market, data, "s")?,
        update_id: id_of(data.get("u"), "u")?,
        bid: side("b", "B")?,
        ask: side("a", "A")?,
        venue_ns: millis(data, "T")?,
    }));
    Ok(())
}

/// A trade; `m` says that the buyer rested, so the aggressor sold.
fn on_trade(
    market: Market<'_>,
    id_key: &'static str,
    data: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let is_buyer_maker = data.bool("m").map_err(at("m"))?;
    let trade = TradeMsg {
        instrument: own_instrument(market, data, "s")?,
        trade_id: TradeId(u128::from(data.u64(id_key).map_err(at(id_key))?)),
        taker: if is_buyer_maker {
            Side::Sell
        } else {
            Side::Buy
        },
        price: data.decimal("p").map_err(at("p"))?,
        qty: data.decimal("q").map_err(at("q"))?,
        venue_ns: millis(data, "T")?,
    };
    // Futures mark what left the insurance fund by zeros ("X":"NA"): no trade of the book.
    if trade.qty.is_zero() {
        out.event(&Event::Ignored("a trade of nothing"));
    } else {
        out.event(&Event::Trade(trade));
    }
    Ok(())
}

/// Answers to SUBSCRIBE and its like, refusals without an envelope, strays of other interfaces.
fn on_control(product: Product, root: Value<'_>, out: &mut impl Sink) -> Result<Heard, Fault> {
    if let Some(refusal) = entry::refusal(product, root, 400) {
        if entry::is_rate_stop(400, refusal.code) {
            out.event(&Event::Ignored("refused for rate"));
            let stop = Stop {
                is_ban: false,
                until_ms: refusal.until_ms,
            };
            return Ok(Heard {
                stop: Some(stop),
                ..Heard::default()
            });
        }
        return Err(refusal.fault());
    }
    if root.get("result").is_some() {
        out.event(&Event::Ignored("a control answer"));
        return Ok(Heard::default());
    }
    let why = if root.as_array().is_some() {
        "a list of all symbols"
    } else if root.get("openInterest").is_some() {
        "open interest"
    } else if root.get("symbol").is_some() || root.get("symbols").is_some() {
        "a REST answer without its URL"
    } else {
        return Err(DecodeError::Shape("neither a stream message nor an answer").into());
    };
    out.event(&Event::Ignored(why));
    Ok(Heard::default())
}

/// Why an event kind is of no use to us.
fn ignored(kind: &str) -> &'static str {
    match kind {
        "24hrTicker" | "24hrMiniTicker" | "1hTicker" | "4hTicker" | "1dTicker" => "ticker",
        "kline" | "continuous_kline" | "indexPrice_kline" | "markPrice_kline" => "candle",
        "avgPrice" | "referencePrice" => "average or reference price",
        "markPriceUpdate" | "indexPriceUpdate" => "mark or index price",
        "forceOrder" => "liquidation",
        "blockTrade" => "block trade: not of the book",
        "balanceUpdate" => "a deposit, withdrawal or transfer; the balance is told apart",
        "externalLockUpdate" => "a lock from outside trading",
        "listStatus" => "order list: we place none",
        "listenKeyExpired" => "listen keys are retired", // on spot
        "ORDER_TRADE_UPDATE" | "TRADE_LITE" | "ACCOUNT_UPDATE" => "a futures account",
        "trade_all" | "ticker_all" => "options",
        _ => "an event we do not use",
    }
}

/// The venue has no order of this id: it was never placed.
pub(crate) fn absent(
    registry: &Registry,
    instrument: InstrumentId,
    client_id: ClientOrderId,
    out: &mut impl Sink,
) {
    if registry.get(instrument).is_none() {
        out.event(&Event::Ignored("no such order"));
        return;
    }
    out.event(&Event::Order(entry::bare_report(
        instrument,
        client_id,
        dp_types::OrderState::Rejected,
        RejectReason::UnknownOrder,
    )));
}
