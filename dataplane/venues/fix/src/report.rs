//! What a venue says of our orders over FIX → the same events its other roads bring.
//!
//! ```text
//!   8   150 (what happened)   39 (how it stands)      evidence for
//!       A E 6 (on its way)                            nothing yet
//!       0 D I …               0 1 2 3 4 8 C           Ack, PartiallyFilled, Filled, Cancelled, Rejected, Expired
//!       F, 1, 2               …                       a fill first, then how it stands
//!       5                     …                       price and quantity as they are now
//!       8                                             an Ack that refuses, and Rejected
//!   9   434 (of a cancel or an amend)                 an Ack that refuses
//!   j   372 (of which type), 379 (of which order)     as 8 and 9
//!   3   45 (of which number)                          the same: the session knows what it sent under that number
//! ```
//! An order is found by 11, 41 or a label: venues differ in which of them is ours. Source: FIX 4.4 volumes 2 and 4.

use crate::dialect::{Dialect, Fills, Sizes};
use crate::market::times;
use crate::orders::{Held, Orders};
use dp_types::{
    AssetId, ClientOrderId, Decimal, Instrument, InstrumentId, Liquidity, NewOrder, OrderId,
    OrderKind, OrderReport, OrderState, RejectReason, Side, Tif, UnixNanos, VenueNanos,
};
use dp_venue_api::{DecodeError, Event, Fault, Named, Registry, RequestAck, Sink, Standing, Trade};
use dp_wire::fix::Message;
use dp_wire::time::parse_fix;

const ON_ITS_WAY: Event<'static> = Event::Ignored("an order accepted and not live yet");
/// Sent a second time, after a link was lost: that it stood then proves nothing, and what stands now is asked for.
const STOOD_BEFORE: Event<'static> = Event::Ignored("an order as it stood before a link was lost");
const NOT_FOLLOWED: Event<'static> = Event::Ignored("an order of an instrument we do not follow");
const STREAM_TELLS: Event<'static> = Event::Ignored("the private stream tells how it ended");
const NOT_OURS: Event<'static> = Event::Ignored("an answer about an order that is not ours");

/// The fields of a report, found in one pass.
#[derive(Debug, Default)]
struct Report<'a> {
    exec_type: &'a [u8],
    status: &'a [u8],
    symbol: &'a [u8],
    order_id: &'a [u8],
    /// 11, 41 and the label.
    names: [&'a [u8]; 3],
    side: &'a [u8],
    price: &'a [u8],
    qty: &'a [u8],
    cum: &'a [u8],
    /// How much a contract is.
    each: &'a [u8],
    last_price: &'a [u8],
    last_qty: &'a [u8],
    /// As the dialect's trade tags.
    trade: [&'a [u8]; 3],
    commission: &'a [u8],
    /// The sum of the miscellaneous fees, or else the commission.
    fee: Option<Decimal>,
    fee_asset: &'a [u8],
    maker: &'a [u8],
    aggressor: &'a [u8],
    time: &'a [u8],
    /// 40, 59 and 18.
    kind: &'a [u8],
    life: &'a [u8],
    instructions: &'a [u8],
    text: &'a str,
    code: i32,
    /// The venue has a code of its own.
    has_code: bool,
}

fn number(text: &[u8]) -> i32 {
    let text = core::str::from_utf8(text).unwrap_or("");
    text.parse().unwrap_or(0)
}

/// `None` where the field is not there.
fn decimal(text: &[u8], what: &'static str) -> Result<Option<Decimal>, DecodeError> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = Decimal::parse(text);
    parsed
        .map(Some)
        .map_err(|error| DecodeError::Number { field: what, error })
}

impl<'a> Report<'a> {
    fn of(message: &Message<'a>, dialect: &Dialect) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        for (tag, value) in message.fields() {
            if let Some(at) = dialect.trade_tags.iter().position(|known| *known == tag)
                && let Some(slot) = it.trade.get_mut(at)
            {
                *slot = value;
            }
            match tag {
                11 => it.names[0] = value,
                12 => it.commission = value,
                137 => {
                    let more = decimal(value, "MiscFeeAmt")?;
                    it.fee = match (it.fee, more) {
                        (Some(one), Some(more)) => plus(one, more),
                        (one, more) => one.or(more),
                    };
                }
                14 => it.cum = value,
                18 => it.instructions = value,
                31 => it.last_price = value,
                32 => it.last_qty = value,
                37 => it.order_id = value,
                38 => it.qty = value,
                39 => it.status = value,
                40 => it.kind = value,
                41 => it.names[1] = value,
                44 => it.price = value,
                54 => it.side = value,
                55 => it.symbol = value,
                58 => it.text = core::str::from_utf8(value).unwrap_or(""),
                59 => it.life = value,
                60 => it.time = value,
                102 | 103 | 373 | 380 if !it.has_code => it.code = number(value),
                138 | 479 => it.fee_asset = value,
                150 => it.exec_type = value,
                231 => it.each = value,
                851 => it.maker = value,
                1057 => it.aggressor = value,
                25016 => (it.code, it.has_code) = (number(value), true),
                100010 => it.names[2] = value,
                _ => {}
            }
        }
        it.fee = match it.fee {
            Some(fee) => Some(fee),
            None => decimal(it.commission, "Commission")?,
        };
        Ok(it)
    }

    /// Our id, and the number of the request the venue knows the order by.
    fn client(&self, dialect: &Dialect) -> Option<(ClientOrderId, u16)> {
        self.names
            .iter()
            .find_map(|name| (dialect.parse_name)(name))
    }

    fn side(&self) -> Result<Option<Side>, DecodeError> {
        match self.side {
            b"" => Ok(None),
            b"1" => Ok(Some(Side::Buy)),
            b"2" => Ok(Some(Side::Sell)),
            _ => Err(DecodeError::Field("Side")),
        }
    }

    /// Whether the venue took a post-only order and ended it because it would have taken: refused, in our words.
    fn would_have_taken(&self, cum: Option<Decimal>) -> bool {
        let says = |words: &str| {
            let mut windows = self.text.as_bytes().windows(words.len());
            windows.any(|window| window.eq_ignore_ascii_case(words.as_bytes()))
        };
        cum.is_none_or(Decimal::is_zero) && (says("post only") || says("post_only"))
    }

    /// The order as it was placed, where all of it is told.
    fn order(
        &self,
        instrument: &Instrument,
        (client_id, side): (ClientOrderId, Side),
        (price, qty): (Option<Decimal>, Option<Decimal>),
    ) -> Option<NewOrder> {
        Some(NewOrder {
            instrument: instrument.id,
            client_id,
            side,
            kind: match (self.kind, self.instructions) {
                (b"1", _) => OrderKind::Market,
                (_, b"") => OrderKind::Limit,
                _ => OrderKind::PostOnly,
            },
            tif: match self.life {
                b"3" => Tif::Ioc,
                b"4" => Tif::Fok,
                _ => Tif::Gtc,
            },
            price: instrument.price(price?).ok()?,
            qty: instrument.qty(qty?).ok()?,
        })
    }

    fn venue_ns(&self) -> VenueNanos {
        VenueNanos(parse_fix(self.time).unwrap_or(0))
    }

    fn liquidity(&self) -> Liquidity {
        match (self.maker, self.aggressor) {
            (b"1", _) | (b"", b"N") => Liquidity::Maker,
            (b"2", _) | (b"", b"Y") => Liquidity::Taker,
            _ => Liquidity::None,
        }
    }

    /// Our name for why. Total; never `None` of the reasons.
    fn reason(&self, dialect: &Dialect) -> RejectReason {
        match (dialect.reason)(self.code, self.text) {
            RejectReason::None => RejectReason::Other,
            reason => reason,
        }
    }
}

/// The sum, where it can be written.
fn plus(one: Decimal, other: Decimal) -> Option<Decimal> {
    let exponent = one.exponent.min(other.exponent);
    let scaled = |value: Decimal| {
        let power = u32::try_from(i32::from(value.exponent) - i32::from(exponent)).ok()?;
        value.mantissa.checked_mul(10i64.checked_pow(power)?)
    };
    let mantissa = scaled(one)?.checked_add(scaled(other)?)?;
    Some(Decimal { mantissa, exponent })
}

/// When a message came, and on which connection.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// Now.
    pub now: UnixNanos,
    /// Counted from 1.
    pub connection: u32,
}

/// Reads one application message, or a refusal (3). Says whether it was one about orders.
///
/// Errors: [`Fault`]: what was said cannot be understood, or is a refusal nobody can be told of.
pub fn on_message(
    dialect: &Dialect,
    registry: &Registry,
    message: &Message<'_>,
    (orders, at): (&mut Orders, At),
    out: &mut impl Sink,
) -> Result<bool, Fault> {
    match message.kind() {
        b"8" => on_report(dialect, registry, message, (orders, at), out)?,
        b"9" => on_cancel_reject(dialect, message, orders, out)?,
        b"j" | b"3" => return on_refusal(dialect, message, orders, out).map(|()| true),
        _ => return Ok(false),
    }
    Ok(true)
}

/// How an order stands (39); `None` while it is only on its way.
fn standing(status: &[u8], is_whole: bool) -> Result<Option<OrderState>, DecodeError> {
    Ok(Some(match status {
        b"0" | b"5" | b"7" | b"9" | b"D" => OrderState::Ack,
        b"1" => OrderState::PartiallyFilled,
        b"2" => OrderState::Filled,
        // Done, and nothing of it is left to trade.
        b"3" | b"B" if is_whole => OrderState::Filled,
        b"3" | b"B" | b"4" => OrderState::Cancelled,
        b"8" => OrderState::Rejected,
        b"C" => OrderState::Expired,
        b"A" | b"6" | b"E" => return Ok(None),
        _ => return Err(DecodeError::Field("OrdStatus")),
    }))
}

fn on_report(
    dialect: &Dialect,
    registry: &Registry,
    message: &Message<'_>,
    (orders, at): (&mut Orders, At),
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let report = Report::of(message, dialect)?;
    let client = report.client(dialect);
    let may_arrive = client.is_some_and(|(id, _)| orders.may_arrive(id, at.now, at.connection));
    let held = client.and_then(|(id, _)| orders.get(id));
    let found = registry.find(dialect.venue, report.symbol);
    let Some(instrument) = found.or(held.as_ref().map(|held| held.instrument)) else {
        out.event(&NOT_FOLLOWED);
        return Ok(());
    };
    let order_id = (dialect.order_id)(report.order_id).unwrap_or_default();
    let price = decimal(report.price, "Price")?;
    let whole = decimal(report.qty, "OrderQty")?;
    let done = decimal(report.cum, "CumQty")?;
    let each = decimal(report.each, "ContractMultiplier")?;
    let in_units = |number: Option<Decimal>| match (dialect.sizes, each) {
        (Sizes::Units, _) => number,
        (Sizes::Contracts, each) => times(number?, each?),
    };
    let (qty, cum) = (in_units(whole), in_units(done));
    let side = report.side()?.or(held.as_ref().map(|held| held.side));
    let Some(side) = side else {
        return Err(DecodeError::Field("Side"));
    };
    let told = Named {
        instrument,
        client_id: client.map(|(id, _)| id),
        order_id,
        side,
        cum,
    };
    let is_whole = done.is_some() && done == whole;
    let state = standing(report.status, is_whole)?;
    let is_known = held.is_some();
    let is_immediate = held.as_ref().is_some_and(|held| held.is_immediate());
    if report.exec_type == b"8" || state == Some(OrderState::Rejected) {
        if report.exec_type == b"I" {
            on_absent(&told, report.venue_ns(), may_arrive, out);
        } else {
            on_refused(dialect, &report, &told, out);
        }
        return Ok(());
    }
    if let Some(held) = held {
        on_answered(
            held,
            registry,
            &report,
            client.map_or(0, |(_, number)| number),
            (price, qty),
        );
    }
    if let (false, Some((client_id, number)), Some(known)) =
        (is_known, client, registry.get(instrument))
        && let Some(order) = report.order(known, (client_id, side), (price, qty))
    {
        orders.note(Held::told(&order, number));
    }
    if report.exec_type == b"5"
        && let Some(client_id) = told.client_id
    {
        out.event(&Event::Ack(RequestAck {
            client_id,
            order_id,
            reason: RejectReason::None,
            code: 0,
            venue_ns: report.venue_ns(),
        }));
    }
    if matches!(report.exec_type, b"F" | b"1" | b"2") {
        on_trade(dialect, registry, &report, &told, out)?;
    }
    let Some(mut state) = state else {
        out.event(&ON_ITS_WAY);
        return Ok(());
    };
    if cum.is_none() && dialect.sizes == Sizes::Contracts && state != OrderState::Ack {
        // How much of it is done is not said, and without that the rest is of no use.
        out.event(&STREAM_TELLS);
        return Ok(());
    }
    let mut reason = RejectReason::None;
    if state == OrderState::Cancelled && is_immediate {
        // What an order that does not rest left over: nobody cancelled it.
        state = OrderState::Expired;
    } else if state == OrderState::Cancelled && report.would_have_taken(done) {
        if dialect.fills != Fills::All {
            // Refused, in our words; and its stream has yet to say that it was accepted.
            out.event(&STREAM_TELLS);
            return Ok(());
        }
        (state, reason) = (OrderState::Rejected, RejectReason::PostOnlyCross);
    }
    if message.flag(43) && !state.is_final() {
        out.event(&STOOD_BEFORE);
        return Ok(());
    }
    out.event(&Event::Order(told.report(&Standing {
        state,
        reason,
        price: price.filter(|price| !price.is_zero()),
        qty,
        venue_ns: report.venue_ns(),
    })));
    Ok(())
}

/// The venue knows the order, perhaps by a later request's name, price and quantity.
fn on_answered(
    held: &mut Held,
    registry: &Registry,
    report: &Report<'_>,
    number: u16,
    (price, qty): (Option<Decimal>, Option<Decimal>),
) {
    held.is_answered = true;
    if report.exec_type != b"5" {
        return;
    }
    held.number = number;
    let Some(instrument) = registry.get(held.instrument) else {
        return;
    };
    if let Some(Ok(price)) = price.map(|price| instrument.price(price)) {
        held.price = price;
    }
    if let Some(Ok(qty)) = qty.map(|qty| instrument.qty(qty)) {
        held.qty = qty;
    }
}

fn on_trade(
    dialect: &Dialect,
    registry: &Registry,
    report: &Report<'_>,
    told: &Named,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let is_told = match dialect.fills {
        Fills::All => true,
        Fills::WithFee => report.fee.is_some(),
        Fills::Elsewhere => false,
    };
    if !is_told {
        return Ok(());
    }
    let mut ids = report.trade.iter().filter(|text| !text.is_empty());
    let id = ids.next().and_then(|text| (dialect.trade_id)(text));
    let name = core::str::from_utf8(report.fee_asset).unwrap_or("");
    let quote = registry
        .get(told.instrument)
        .map_or(AssetId::NONE, |known| known.quote);
    let need = |text, what| decimal(text, what)?.ok_or(DecodeError::Field(what));
    let trade = Trade {
        id: id.ok_or(DecodeError::Field("TradeID"))?,
        price: need(report.last_price, "LastPx")?,
        qty: need(report.last_qty, "LastQty")?,
        fee: report.fee.unwrap_or(Decimal::ZERO),
        fee_asset: match (report.fee, name) {
            (None, _) => AssetId::NONE,
            (Some(_), "") => quote,
            (Some(_), name) => registry.find_asset(name).unwrap_or(AssetId::NONE),
        },
        liquidity: report.liquidity(),
        venue_ns: report.venue_ns(),
    };
    out.event(&Event::Fill(told.fill(&trade)));
    Ok(())
}

/// The answer to a question about an order that the venue does not know.
fn on_absent(told: &Named, venue_ns: VenueNanos, may_arrive: bool, out: &mut impl Sink) {
    if may_arrive {
        out.event(&Event::Ignored(
            "no such order yet: its request may still arrive",
        ));
        return;
    }
    out.event(&Event::Order(told.report(&Standing {
        state: OrderState::Rejected,
        reason: RejectReason::UnknownOrder,
        price: None,
        qty: None,
        venue_ns,
    })));
}

/// A new order that was refused.
fn on_refused(dialect: &Dialect, report: &Report<'_>, told: &Named, out: &mut impl Sink) {
    let reason = report.reason(dialect);
    if let Some(client_id) = told.client_id {
        refuse(
            (told.instrument, client_id),
            told.order_id,
            (report.code, reason),
            report.venue_ns(),
            out,
        );
    } else {
        out.event(&NOT_OURS);
    }
}

fn refuse(
    (instrument, client_id): (InstrumentId, ClientOrderId),
    order_id: OrderId,
    (code, reason): (i32, RejectReason),
    venue_ns: VenueNanos,
    out: &mut impl Sink,
) {
    out.event(&Event::Ack(RequestAck {
        client_id,
        order_id,
        reason,
        code,
        venue_ns,
    }));
    let state = match reason {
        // An order of that id lives at the venue: what we asked for may be it.
        RejectReason::UnknownOutcome | RejectReason::DuplicateId => OrderState::Unknown,
        _ => OrderState::Rejected,
    };
    out.event(&Event::Order(OrderReport {
        instrument,
        client_id: Some(client_id),
        order_id,
        side: None,
        state,
        reason,
        price: None,
        qty: None,
        cum: None,
        venue_ns,
    }));
}

/// A cancel or an amend that was refused.
fn on_cancel_reject(
    dialect: &Dialect,
    message: &Message<'_>,
    orders: &mut Orders,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let report = Report::of(message, dialect)?;
    let Some((client_id, _)) = report.client(dialect) else {
        out.event(&NOT_OURS);
        return Ok(());
    };
    // CxlRejReason: too late, and unknown order, both leave open what became of it.
    let reason = match (report.has_code, report.code) {
        (false, 0 | 1) => RejectReason::UnknownOrder,
        (false, 6) => RejectReason::DuplicateId,
        _ => report.reason(dialect),
    };
    if let Some(held) = orders.get(client_id) {
        held.is_elsewhere |= reason == RejectReason::UnknownOrder;
    }
    out.event(&Event::Ack(RequestAck {
        client_id,
        order_id: (dialect.order_id)(report.order_id).unwrap_or_default(),
        reason,
        code: report.code,
        venue_ns: report.venue_ns(),
    }));
    Ok(())
}

/// What BusinessRejectReason (380) means of a message of this type. Total: whether anything was done is open with a reason
/// of next year's.
const fn reason_of_380(code: i32, is_new: bool) -> RejectReason {
    match code {
        // 101 and 104 are Kraken's: an order it does not know, or not any more.
        1 | 101 | 104 if !is_new => RejectReason::UnknownOrder,
        1 | 3 | 5 => RejectReason::Invalid,
        2 => RejectReason::BadSymbol,
        6 => RejectReason::Permission,
        7 => RejectReason::VenueDown,
        8 => RejectReason::RateLimit,
        // 4: the application is not available. Whether it has seen the message is not said.
        _ => RejectReason::UnknownOutcome,
    }
}

/// What SessionRejectReason (373) means. Total, as [`reason_of_380`].
const fn reason_of_373(code: i32) -> RejectReason {
    match code {
        7..=9 => RejectReason::Auth,
        10 => RejectReason::Timestamp,
        0..=18 => RejectReason::Invalid,
        _ => RejectReason::UnknownOutcome,
    }
}

/// BusinessRejectReason: the application is not available.
const UNAVAILABLE: i32 = 4;

/// A message of ours that the venue's session (3), or the business behind it (`j`), did not take.
///
/// Errors: it is none about an order we know.
fn on_refusal(
    dialect: &Dialect,
    message: &Message<'_>,
    orders: &mut Orders,
    out: &mut impl Sink,
) -> Result<(), Fault> {
    let report = Report::of(message, dialect)?;
    let sent = |wanted: u32| {
        let mut fields = message.refused();
        fields.find_map(|(tag, value)| (tag == wanted).then_some(value))
    };
    let kind = message.get(372).or_else(|| sent(35)).unwrap_or_default();
    let is_new = kind == b"D";
    let code = if report.has_code { report.code } else { 0 };
    let is_business = message.kind() == b"j";
    // The numbers of 373 and 380 are others than those of 103: the venue's own code and words tell before them.
    let reason = match (dialect.reason)(code, report.text) {
        _ if is_business && !report.has_code && report.code == UNAVAILABLE => {
            RejectReason::UnknownOutcome
        }
        RejectReason::Other | RejectReason::None if is_business => {
            reason_of_380(report.code, is_new)
        }
        RejectReason::Other | RejectReason::None => reason_of_373(report.code),
        reason => reason,
    };
    let fault = Fault::Venue {
        code: report.code,
        reason,
    };
    let names = [message.get(379), sent(11)].into_iter().flatten();
    let named = names.into_iter().find_map(dialect.parse_name);
    let Some((client_id, _)) = named.or_else(|| report.client(dialect)) else {
        return Err(fault);
    };
    let refused = (report.code, reason);
    match (is_new, orders.get(client_id)) {
        (true, Some(held)) => {
            held.is_answered = true;
            let named = (held.instrument, client_id);
            refuse(named, OrderId(0), refused, report.venue_ns(), out);
        }
        (true, None) => return Err(fault),
        (false, held) => {
            if let Some(held) = held {
                held.is_elsewhere |= reason == RejectReason::UnknownOrder;
            }
            out.event(&Event::Ack(RequestAck {
                client_id,
                order_id: OrderId(0),
                reason,
                code: report.code,
                venue_ns: report.venue_ns(),
            }));
        }
    }
    Ok(())
}
