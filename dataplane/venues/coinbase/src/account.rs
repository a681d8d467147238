//! Our own orders → reports, fills, balances: from the user channel, and from orders and fills as REST lists them.
//!
//! ```text
//! user channel           evidence for              REST status          evidence for
//! received               Ack; names the order      pending, open,       Ack, or PartiallyFilled
//! open                   Ack, PartiallyFilled      received, active
//! match                  Fill                      done, settled        Filled, Cancelled, Expired
//! done filled            Filled                    rejected             Rejected
//! done canceled          Cancelled, Expired
//! ```
//! A match names our order by the venue's id only, and says what traded and not how much is filled in all. So what
//! `received` told is remembered until `done`: our id, the size, the sum of its matches. Of an order whose start
//! was not heard on this link the sum is not known, and its matches are told without: the session then asks REST.
//! A fee is price x size x the match's own rate, in the quote asset.
//! Source: venue page, section A4; fixtures `account_*.json`, `rest_*.json`.

use crate::decimal::{fee, is_below, less, money, plus};
use crate::feed::{at, instrument, optional, sequence, side, text, time, trade_id};
use crate::reject;
use crate::symbols::{parse_client_id, parse_order_id};
use dp_types::{
    AssetId, Balance, ClientOrderId, Decimal, FillReport, InstrumentId, Liquidity, OrderId,
    OrderReport, OrderState, RejectReason, TradeId,
};
use dp_venue_api::{DecodeError, Event, Named, Registry, Sink, Standing, Trade};
use dp_wire::json::Value;

/// Orders remembered: two products full of them (500 open orders a product and profile).
pub const TRACKS_MAX: usize = 1_024;

/// What is remembered of one of our orders.
#[derive(Debug, Clone, Copy)]
struct Track {
    order_id: OrderId,
    client_id: Option<ClientOrderId>,
    /// In all, where told.
    size: Option<Decimal>,
    /// The sum of all its matches; unknown when its start was not heard.
    filled: Option<Decimal>,
    last_trade: TradeId,
}

/// Our live orders, by the venue's id.
#[derive(Debug)]
pub(crate) struct Tracks(Vec<Track>);

impl Default for Tracks {
    fn default() -> Self {
        Self(Vec::with_capacity(TRACKS_MAX))
    }
}

impl Tracks {
    fn get(&mut self, order_id: OrderId) -> Option<&mut Track> {
        // Private messages are rare and open orders few: a scan beats a table.
        self.0.iter_mut().find(|track| track.order_id == order_id)
    }

    /// Notes an order. One more than there is room for is not noted: it is asked about when it trades.
    fn put(&mut self, track: Track) {
        if let Some(held) = self.get(track.order_id) {
            *held = track;
        } else if self.0.len() < TRACKS_MAX {
            self.0.push(track);
        }
    }

    fn remove(&mut self, order_id: OrderId) {
        self.0.retain(|track| track.order_id != order_id);
    }

    /// The link is gone: matches may be missed from now on.
    pub(crate) fn lose_count(&mut self) {
        for track in &mut self.0 {
            track.filled = None;
        }
    }

    /// Open orders are about to be listed: those of which no count is kept are named again or gone.
    pub(crate) fn forget_uncounted(&mut self) {
        self.0.retain(|track| track.filled.is_some());
    }

    /// Our id of an order, where it is remembered.
    pub(crate) fn name(&mut self, order_id: OrderId) -> Option<ClientOrderId> {
        self.get(order_id)?.client_id
    }

    /// A listed order: its name and size, where nothing is known of it.
    fn learn(&mut self, report: &OrderReport) {
        if report.state.is_final() {
            self.remove(report.order_id);
            return;
        }
        if self.get(report.order_id).is_some() {
            return;
        }
        self.put(Track {
            order_id: report.order_id,
            client_id: report.client_id,
            size: report.qty,
            filled: None,
            last_trade: TradeId(0),
        });
    }
}

/// Which order must be asked about: what happened to it is not told whole.
pub(crate) type Doubt = Option<(InstrumentId, ClientOrderId)>;

const NOT_FOLLOWED: Event<'static> = Event::Ignored("an order of an instrument we do not follow");
const NO_STOPS: Event<'static> = Event::Ignored("a stop order was activated: we send none");

fn order_id(root: Value<'_>, key: &'static str) -> Result<OrderId, DecodeError> {
    parse_order_id(text(root, key).as_bytes()).ok_or(DecodeError::Field(key))
}

fn client_id(root: Value<'_>) -> Option<ClientOrderId> {
    parse_client_id(text(root, "client_oid").as_bytes())
}

/// Whether a message is of the user channel: only there are names of users.
pub(crate) fn is_own(root: Value<'_>) -> bool {
    root.get("user_id").is_some()
}

/// One message of the user channel. Returns the order to ask about.
pub(crate) fn on_user(
    registry: &Registry,
    kind: &str,
    root: Value<'_>,
    tracks: &mut Tracks,
    out: &mut impl Sink,
) -> Result<Doubt, DecodeError> {
    let id = match instrument(registry, root) {
        Err(DecodeError::UnknownSymbol) => {
            out.event(&NOT_FOLLOWED);
            return Ok(None);
        }
        found => found?,
    };
    sequence(root)?;
    match kind {
        "received" => on_received(id, root, tracks, out).map(|()| None),
        "open" => on_open(id, root, tracks, out).map(|()| None),
        "match" | "last_match" => on_match(registry, id, root, tracks, out),
        "change" => on_change(id, root, tracks, out).map(|()| None),
        "done" => on_done(id, root, tracks, out),
        _ => {
            out.event(&NO_STOPS);
            Ok(None)
        }
    }
}

/// Whether anything is filled.
fn live_state(cum: Option<Decimal>) -> OrderState {
    if cum.is_some_and(|cum| cum.mantissa > 0) {
        OrderState::PartiallyFilled
    } else {
        OrderState::Ack
    }
}

fn on_received(
    id: InstrumentId,
    root: Value<'_>,
    tracks: &mut Tracks,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let named = Named {
        instrument: id,
        client_id: client_id(root),
        order_id: order_id(root, "order_id")?,
        side: side(root)?,
        cum: Some(Decimal::ZERO),
    };
    let standing = Standing {
        state: OrderState::Ack,
        reason: RejectReason::None,
        price: optional(root, "price")?,
        qty: optional(root, "size")?,
        venue_ns: time(root, "time")?,
    };
    tracks.put(Track {
        order_id: named.order_id,
        client_id: named.client_id,
        size: standing.qty,
        filled: Some(Decimal::ZERO),
        last_trade: TradeId(0),
    });
    out.event(&Event::Order(named.report(&standing)));
    Ok(())
}

/// Name and numbers of an order that a message is about, where they are remembered.
fn known(
    id: InstrumentId,
    root: Value<'_>,
    tracks: &mut Tracks,
) -> Result<(Named, Option<Track>), DecodeError> {
    let order_id = order_id(root, "order_id")?;
    let track = tracks.get(order_id).copied();
    let named = Named {
        instrument: id,
        client_id: client_id(root).or_else(|| track?.client_id),
        order_id,
        side: side(root)?,
        cum: None,
    };
    Ok((named, track))
}

fn on_open(
    id: InstrumentId,
    root: Value<'_>,
    tracks: &mut Tracks,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let (mut named, track) = known(id, root, tracks)?;
    let left = optional(root, "remaining_size")?;
    let size = track.and_then(|track| track.size);
    named.cum = less_of(size, left);
    out.event(&Event::Order(named.report(&Standing {
        state: live_state(named.cum),
        reason: RejectReason::None,
        price: optional(root, "price")?,
        qty: size,
        venue_ns: time(root, "time")?,
    })));
    Ok(())
}

/// What is filled of a size of which so much is left. Nothing below zero.
fn less_of(size: Option<Decimal>, left: Option<Decimal>) -> Option<Decimal> {
    less(size?, left?).filter(|cum| cum.mantissa >= 0)
}

/// Of a match: our order, and which side of the book it was on.
fn own_order(root: Value<'_>, tracks: &mut Tracks) -> Result<(OrderId, Liquidity), DecodeError> {
    let has = |keys: [&str; 2]| keys.into_iter().any(|key| root.get(key).is_some());
    let is_taker = has(["taker_user_id", "taker_fee_rate"]);
    let is_maker = has(["maker_user_id", "maker_fee_rate"]);
    let maker = || order_id(root, "maker_order_id").map(|id| (id, Liquidity::Maker));
    let taker = || order_id(root, "taker_order_id").map(|id| (id, Liquidity::Taker));
    match (is_taker, is_maker) {
        (true, false) => taker(),
        (false, true) => maker(),
        // Not said: the one we know.
        _ => {
            let (maker, taker) = (maker()?, taker()?);
            if tracks.get(maker.0).is_some() {
                Ok(maker)
            } else if tracks.get(taker.0).is_some() {
                Ok(taker)
            } else {
                Err(DecodeError::Field("taker_user_id"))
            }
        }
    }
}

fn on_match(
    registry: &Registry,
    id: InstrumentId,
    root: Value<'_>,
    tracks: &mut Tracks,
    out: &mut impl Sink,
) -> Result<Doubt, DecodeError> {
    let (order_id, liquidity) = own_order(root, tracks)?;
    let maker = side(root)?;
    let price = root.decimal("price").map_err(at("price"))?;
    let qty = root.decimal("size").map_err(at("size"))?;
    let rate = match liquidity {
        Liquidity::Taker => optional(root, "taker_fee_rate")?,
        _ => optional(root, "maker_fee_rate")?,
    };
    let trade = Trade {
        id: trade_id(root)?,
        price,
        qty,
        fee: rate
            .and_then(|rate| fee(price, qty, rate))
            .unwrap_or(Decimal::ZERO),
        fee_asset: match rate {
            Some(_) => quote_of(registry, id),
            None => AssetId::NONE, // not said what was charged
        },
        liquidity,
        venue_ns: time(root, "time")?,
    };
    let mut track = tracks.get(order_id);
    if let Some(track) = &mut track
        && trade.id > track.last_trade
    {
        track.last_trade = trade.id;
        track.filled = track.filled.and_then(|filled| plus(filled, qty));
    }
    let track = track.copied();
    let named = Named {
        instrument: id,
        client_id: track.and_then(|track| track.client_id),
        order_id,
        side: match liquidity {
            Liquidity::Taker => maker.opposite(),
            _ => maker,
        },
        cum: track.and_then(|track| track.filled),
    };
    out.event(&Event::Fill(named.fill(&trade)));
    let size = track.and_then(|track| track.size);
    if let (Some(cum), Some(size)) = (named.cum, size)
        && is_below(cum, size)
    {
        out.event(&Event::Order(named.report(&Standing {
            state: OrderState::PartiallyFilled,
            reason: RejectReason::None,
            price: None, // the match's is the maker's
            qty: Some(size),
            venue_ns: trade.venue_ns,
        })));
    }
    let is_told = named.cum.is_some();
    Ok(named
        .client_id
        .filter(|_| !is_told)
        .map(|client_id| (id, client_id)))
}

/// What fees of an instrument are in: its quote asset, by the symbol while its rules are not known.
fn quote_of(registry: &Registry, id: InstrumentId) -> AssetId {
    let Some(known) = registry.get(id).filter(|it| it.quote == AssetId::NONE) else {
        return registry.get(id).map_or(AssetId::NONE, |it| it.quote);
    };
    let name = known.symbol.as_str().rsplit('-').next().unwrap_or("");
    registry.find_asset(name).unwrap_or(AssetId::NONE)
}

/// Self-trade prevention of another order, or an amend that was not ours: the order has another size.
fn on_change(
    id: InstrumentId,
    root: Value<'_>,
    tracks: &mut Tracks,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let (mut named, track) = known(id, root, tracks)?;
    let left = optional(root, "new_size")?;
    named.cum = track.and_then(|track| track.filled);
    let size = named.cum.zip(left).and_then(|(cum, left)| plus(cum, left));
    if let Some(track) = tracks.get(named.order_id) {
        track.size = size;
    }
    let price = match optional(root, "new_price")? {
        Some(price) => Some(price),
        None => optional(root, "price")?,
    };
    out.event(&Event::Order(named.report(&Standing {
        state: live_state(named.cum),
        reason: RejectReason::None,
        price,
        qty: size,
        venue_ns: time(root, "time")?,
    })));
    Ok(())
}

fn on_done(
    id: InstrumentId,
    root: Value<'_>,
    tracks: &mut Tracks,
    out: &mut impl Sink,
) -> Result<Doubt, DecodeError> {
    let (mut named, track) = known(id, root, tracks)?;
    let (state, reason) = match text(root, "reason") {
        "filled" => (OrderState::Filled, RejectReason::None),
        "canceled" => reject::cancelled(text(root, "cancel_reason")),
        _ => return Err(DecodeError::Field("reason")),
    };
    let size = track.and_then(|track| track.size);
    // The venue's own remainder is exact even when matches were missed; a market order has none.
    named.cum = less_of(size, optional(root, "remaining_size")?)
        .or_else(|| track?.filled)
        .or_else(|| size.filter(|_| state == OrderState::Filled));
    tracks.remove(named.order_id);
    out.event(&Event::Order(named.report(&Standing {
        state,
        reason,
        price: optional(root, "price")?,
        qty: size,
        venue_ns: time(root, "time")?,
    })));
    let is_told = named.cum.is_some();
    Ok(named
        .client_id
        .filter(|_| !is_told)
        .map(|client_id| (id, client_id)))
}

// ---- as REST lists them -------------------------------------------------------------------------

/// One order object: as answered, listed or asked about. Noted where it lives.
pub(crate) fn listed_order(
    id: InstrumentId,
    item: Value<'_>,
    tracks: &mut Tracks,
) -> Result<OrderReport, DecodeError> {
    let report = order_object(id, item)?;
    tracks.learn(&report);
    Ok(report)
}

/// One order object.
pub(crate) fn order_object(id: InstrumentId, item: Value<'_>) -> Result<OrderReport, DecodeError> {
    let cum = optional(item, "filled_size")?;
    let size = optional(item, "size")?;
    let (state, reason) = match text(item, "status") {
        "pending" | "received" | "open" | "active" => (live_state(cum), RejectReason::None),
        "done" | "settled" => ended(item, cum, size),
        "rejected" => (
            OrderState::Rejected,
            reject::of_words(text(item, "reject_reason")),
        ),
        _ => return Err(DecodeError::Field("status")),
    };
    let named = Named {
        instrument: id,
        client_id: client_id(item),
        order_id: order_id(item, "id")?,
        side: side(item)?,
        cum,
    };
    let done_at = time(item, "done_at")?;
    Ok(named.report(&Standing {
        state,
        reason,
        price: optional(item, "price")?,
        qty: size,
        venue_ns: if done_at.0 == 0 {
            time(item, "created_at")?
        } else {
            done_at
        },
    }))
}

/// How an order that is over ended.
fn ended(
    item: Value<'_>,
    cum: Option<Decimal>,
    size: Option<Decimal>,
) -> (OrderState, RejectReason) {
    let is_whole = cum
        .zip(size)
        .is_some_and(|(cum, size)| !is_below(cum, size));
    let is_immediate = matches!(text(item, "time_in_force"), "IOC" | "FOK");
    match text(item, "done_reason") {
        "filled" => (OrderState::Filled, RejectReason::None),
        "rejected" => (
            OrderState::Rejected,
            reject::of_words(text(item, "reject_reason")),
        ),
        "" if is_whole => (OrderState::Filled, RejectReason::None),
        _ if is_immediate => (OrderState::Expired, RejectReason::None),
        _ => (OrderState::Cancelled, RejectReason::None),
    }
}

/// One item of the list of fills.
pub(crate) fn listed_fill(registry: &Registry, item: Value<'_>) -> Result<FillReport, DecodeError> {
    let id = instrument(registry, item)?;
    let amount = text(item, "fee");
    let trade = Trade {
        id: trade_id(item)?,
        price: item.decimal("price").map_err(at("price"))?,
        qty: item.decimal("size").map_err(at("size"))?,
        fee: match amount {
            "" => Decimal::ZERO,
            text => money(text).ok_or(DecodeError::Field("fee"))?,
        },
        fee_asset: quote_of(registry, id),
        liquidity: match text(item, "liquidity") {
            "M" => Liquidity::Maker,
            "T" => Liquidity::Taker,
            _ => Liquidity::None,
        },
        venue_ns: time(item, "created_at")?,
    };
    let named = Named {
        instrument: id,
        client_id: client_id(item),
        order_id: order_id(item, "order_id")?,
        side: side(item)?,
        cum: None,
    };
    Ok(named.fill(&trade))
}

/// Every balance of the list of accounts, each read by itself. The venue lists an account for each of its assets.
///
/// Errors: the first that cannot be read; all the others are out.
pub(crate) fn on_accounts(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let mut result = Ok(());
    for item in root.as_array().ok_or(DecodeError::Shape("no list"))? {
        let asset = registry.find_asset(text(item, "currency"));
        let number = |key| money(text(item, key)).ok_or(DecodeError::Field(key));
        match (asset, number("available"), number("hold")) {
            (Some(asset), Ok(free), Ok(locked)) => out.event(&Event::Balance(Balance {
                venue: crate::ID,
                asset,
                free,
                locked,
            })),
            (None, Ok(_), Ok(_)) => out.event(&Event::Ignored("an asset we do not trade")),
            (_, free, locked) => result = result.and(free.and(locked).map(|_| ())),
        }
    }
    result
}
