//! User data of futures → events. An order's report is spot's, a level deeper; what an account holds is not.
//!
//! ```text
//! ORDER_TRADE_UPDATE  o{...}                a report: fills, states (account.rs)
//! TRADE_LITE                                a fill without its fee, told sooner: passed over, the report has it whole
//! ACCOUNT_UPDATE      a{B[a,wb] P[s,pa,ep]}  balances, positions
//! balance             [{asset,balance}]     REST
//! positionRisk        [{symbol,positionAmt,entryPrice}]  REST: what it does not list is flat
//! ```
//! A balance is the wallet's: what margin holds of it no message of the stream says.
//! Source: venue page, section 9, read 2026-11-22; fixtures `usdm_*.json`.

use crate::account::{asset, followed, text};
use crate::feed::{at, millis};
use crate::product::Market;
use dp_types::{Balance, Decimal, InstrumentId, PositionReport, VenueNanos};
use dp_venue_api::{DecodeError, Event, Sink};
use dp_wire::json::Value;

/// Balances and positions of an `ACCOUNT_UPDATE`.
pub(crate) fn on_update(
    market: Market<'_>,
    data: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let venue_ns = millis(data, "T")?;
    let update = data.get("a").ok_or(DecodeError::Field("a"))?;
    let list = |key| {
        update
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    for item in list("B") {
        out.event(&Event::Balance(balance(market, item, ["a", "wb"])?));
    }
    for item in list("P") {
        on_position(market, item, ["s", "ps", "pa", "ep"], venue_ns, out)?;
    }
    Ok(())
}

fn balance(
    market: Market<'_>,
    item: Value<'_>,
    [name, total]: [&'static str; 2],
) -> Result<Balance, DecodeError> {
    Ok(Balance {
        venue: market.product.id(),
        asset: asset(market, item.str(name).map_err(at(name))?),
        free: item.decimal(total).map_err(at(total))?,
        locked: Decimal::ZERO,
    })
}

/// A position; the instrument, where we follow it, of a hedged one too: that is not flat.
fn on_position(
    market: Market<'_>,
    item: Value<'_>,
    [symbol, side, qty, entry]: [&'static str; 4],
    venue_ns: VenueNanos,
    out: &mut impl Sink,
) -> Result<Option<InstrumentId>, DecodeError> {
    let Some(instrument) = followed(market, item, symbol, out)? else {
        return Ok(None);
    };
    if !matches!(text(item, side), "BOTH" | "") {
        out.event(&Event::Ignored("one leg of a hedged position"));
        return Ok(Some(instrument));
    }
    let qty = item.decimal(qty).map_err(at(qty))?;
    let entry = item.decimal(entry).map_err(at(entry))?;
    out.event(&Event::Position(PositionReport {
        instrument,
        qty,
        entry: (!qty.is_zero()).then_some(entry),
        venue_ns,
    }));
    Ok(Some(instrument))
}

/// The balances of REST.
pub(crate) fn on_balances(
    market: Market<'_>,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    for item in root.as_array().ok_or(DecodeError::Shape("no list"))? {
        let balance = balance(market, item, ["asset", "balance"])?;
        out.event(&Event::Balance(balance));
    }
    Ok(())
}

/// The positions of REST, of every instrument of this product: one that is not listed is flat.
pub(crate) fn on_positions(
    market: Market<'_>,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let mut listed = Vec::new();
    for item in root.as_array().ok_or(DecodeError::Shape("no list"))? {
        let names = ["symbol", "positionSide", "positionAmt", "entryPrice"];
        let venue_ns = millis(item, "updateTime")?;
        listed.extend(on_position(market, item, names, venue_ns, out)?);
    }
    let ours = market.instruments().iter();
    for known in ours.filter(|known| known.venue == market.product.id()) {
        if !listed.contains(&known.id) {
            out.event(&Event::Position(PositionReport {
                instrument: known.id,
                qty: Decimal::ZERO,
                entry: None,
                venue_ns: VenueNanos(0),
            }));
        }
    }
    Ok(())
}
