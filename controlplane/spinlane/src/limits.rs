//! `spinlane limits`: shows the limits in force, and puts others in force while the node trades.
//!
//! What is set holds from the lanes' next look, a tenth of a second at most, until the node starts again: the
//! configuration is what it starts with. Who set it is on record with each lane's journal (`risk_events`).

use crate::app::show;
use crate::cli::{LimitsArgs, LimitsCommand, LimitsSetArgs};
use crate::fail::{Refused, Usage};
use crate::table::Table;
use crate::target::Target;
use dp_shm::{InstrumentLimits, Lock, NodeLimits, Region};
use dp_types::limit::CURRENCY_LIMITS_MAX;
use dp_types::{AssetId, Decimal, Instrument, Notional, Qty, Text, VenueId};
use serde::Serialize;

/// Limits in force. Amounts and quantities are exact decimal texts; `None` = not limited, not watched.
#[derive(Debug, Clone, Serialize)]
pub struct Limits {
    /// `done`.
    pub outcome: &'static str,
    /// Version of the page; 0 = none were ever set.
    pub version: u64,
    /// Who put them in force.
    pub who: String,
    /// Furthest an order price may be from the mid, basis points.
    pub collar_bps: u32,
    /// New orders and amends a second, per lane.
    pub orders_per_s_max: u32,
    /// Oldest book, milliseconds.
    pub book_age_ms_max: u32,
    /// Largest share of refusals, percent; 0 = not watched.
    pub reject_pct_max: u32,
    /// Furthest move of a mid within `move_ms`, basis points; 0 = not watched.
    pub move_bps_max: u32,
    /// Within how long.
    pub move_ms: u32,
    /// Largest loss since midnight UTC.
    pub day_loss_max: Option<String>,
    /// Largest fall from the highest equity.
    pub drawdown_max: Option<String>,
    /// Largest worth of one order.
    pub order_value_max: Option<String>,
    /// Largest gross exposure.
    pub exposure_max: Option<String>,
    /// Largest exposure by currency; `None` = not limited any more.
    pub currencies: Vec<OfCurrency>,
    /// By instrument.
    pub instruments: Vec<OfInstrument>,
}

/// Limit of one currency.
#[derive(Debug, Clone, Serialize)]
pub struct OfCurrency {
    /// Which.
    pub asset: String,
    /// Over all venues, working orders included.
    pub exposure_max: Option<String>,
}

/// Limits of one instrument.
#[derive(Debug, Clone, Serialize)]
pub struct OfInstrument {
    /// Where.
    pub venue: String,
    /// What.
    pub symbol: String,
    /// Largest order.
    pub order_qty_max: String,
    /// Largest position, working orders included.
    pub position_max: String,
}

/// `spinlane limits` and `spinlane limits set`. Errors: [`Usage`] for a text that is no number, [`Refused`] without a name
/// or before the node has limits.
pub fn run(target: &Target, args: &LimitsArgs, as_json: bool) -> anyhow::Result<()> {
    let region = target.attach()?;
    if let Some(LimitsCommand::Set(args)) = &args.command {
        set(&region, args)?;
    }
    let limits = Limits::read(&region);
    show(as_json, &limits, || limits.text())
}

fn set(region: &Region, args: &LimitsSetArgs) -> anyhow::Result<()> {
    if args.by.trim().is_empty() {
        return Err(Refused("limits set: --by needs the name of who answers for it".into()).into());
    }
    // Before the page is read: whoever else sets limits waits.
    let guard = region.lock(Lock::Control)?;
    let mut all = vec![InstrumentLimits::default(); region.shape().instruments as usize];
    let page = region.config();
    let (_, mut node) = page.read(&mut all).ok_or_else(|| {
        Refused(
            "the node has no limits yet: start it first, it takes them from its configuration"
                .into(),
        )
    })?;
    node.who = Text::lossy(&args.by);
    args.change(&mut node)?;
    if let (Some(name), Some(text)) = (&args.currency, &args.currency_exposure_max) {
        let asset = asset(region, name)?;
        if !node.limit_currency(asset, amount(text)?) {
            return Err(Refused(format!(
                "limits set: {CURRENCY_LIMITS_MAX} currencies are limited, and there is no place for {name}"
            ))
            .into());
        }
    }
    if let Some(symbol) = &args.symbol {
        let instrument = find(region, args.venue.as_deref(), symbol)?;
        let slot = all.get_mut(instrument.id.0 as usize);
        let slot = slot.ok_or_else(|| Refused(format!("{symbol} has no place in the page")))?;
        for (text, limit) in [
            (&args.order_qty_max, &mut slot.order_qty_max),
            (&args.position_max, &mut slot.position_max),
        ] {
            if let Some(text) = text {
                *limit = quantity(&instrument, text)?;
            }
        }
    }
    page.publish(&guard, &node, &all);
    Ok(())
}

impl LimitsSetArgs {
    fn change(&self, node: &mut NodeLimits) -> Result<(), Usage> {
        for (given, limit) in [
            (self.collar_bps, &mut node.collar_bps),
            (self.orders_per_s_max, &mut node.orders_per_s_max),
            (self.book_age_ms_max, &mut node.book_age_ms_max),
            (self.reject_pct_max, &mut node.reject_pct_max),
            (self.move_bps_max, &mut node.move_bps_max),
            (self.move_ms, &mut node.move_ms),
        ] {
            *limit = given.unwrap_or(*limit);
        }
        for (given, limit) in [
            (&self.day_loss_max, &mut node.day_loss_max),
            (&self.drawdown_max, &mut node.drawdown_max),
            (&self.order_value_max, &mut node.order_value_max),
            (&self.exposure_max, &mut node.exposure_max),
        ] {
            if let Some(text) = given {
                *limit = amount(text)?;
            }
        }
        Ok(())
    }
}

/// A currency that some instrument of this node is in.
fn asset(region: &Region, name: &str) -> Result<AssetId, Usage> {
    let assets = region.assets();
    let mut known = (0..).map(AssetId).zip(assets.iter());
    let found = known.find(|(_, held)| held.as_str() == name);
    found.map(|(id, _)| id).ok_or_else(|| {
        Usage(format!(
            "`{name}`: no instrument of this node is in it: write it as the venues do, as BTC"
        ))
    })
}

/// An amount of the reporting currency; 0 = no limit.
fn amount(text: &str) -> Result<Notional, Usage> {
    let parsed = Decimal::parse(text.as_bytes()).ok().and_then(Notional::of);
    parsed.filter(|amount| amount.0 >= 0).ok_or_else(|| {
        Usage(format!(
            "`{text}`: use an amount, as 10000; 0 takes the limit away"
        ))
    })
}

fn quantity(instrument: &Instrument, text: &str) -> Result<Qty, Usage> {
    let parsed = Decimal::parse(text.as_bytes()).ok();
    let qty = parsed.and_then(|decimal| instrument.qty(decimal).ok());
    qty.filter(|qty| qty.0 >= 0).ok_or_else(|| {
        Usage(format!(
            "`{text}`: use a quantity of {} with at most {} decimals; 0 stops it from trading",
            instrument.symbol, instrument.qty_decimals
        ))
    })
}

/// An instrument by its symbol, and its venue where several have one of that name.
/// Errors: [`Usage`].
pub fn find(region: &Region, venue: Option<&str>, symbol: &str) -> Result<Instrument, Usage> {
    let venue = match venue {
        None => None,
        Some(name) => Some(VenueId::from_name(name).ok_or_else(|| {
            Usage(format!(
                "`{name}` is not a venue: see `spinlane venue list`"
            ))
        })?),
    };
    let all = region.instruments();
    let is_it = |it: &Instrument| {
        it.symbol.as_str() == symbol && venue.is_none_or(|venue| venue == it.venue)
    };
    let found: Vec<Instrument> = all
        .iter()
        .map(|entry| entry.instrument)
        .filter(is_it)
        .collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Usage(format!(
            "no instrument `{symbol}` on this node: see `spinlane limits`"
        ))),
        _ => Err(Usage(format!(
            "several venues have `{symbol}`: name one by --venue"
        ))),
    }
}

impl Limits {
    /// Reads them.
    pub fn read(region: &Region) -> Self {
        let mut all = vec![InstrumentLimits::default(); region.shape().instruments as usize];
        let (version, node) = region.config().read(&mut all).unwrap_or_default();
        let money = |amount: Notional| (amount.0 > 0).then(|| amount.to_string());
        let currencies = node
            .currencies
            .iter()
            .filter(|it| it.asset != AssetId::NONE);
        let currencies = currencies.map(|it| {
            let name = region.assets().get(it.asset);
            OfCurrency {
                asset: name.map_or_else(|| it.asset.0.to_string(), |name| name.to_string()),
                exposure_max: money(it.max),
            }
        });
        let instruments = region.instruments();
        let instruments = instruments.iter().map(|entry| {
            let it = entry.instrument;
            let limits = all.get(it.id.0 as usize).copied().unwrap_or_default();
            OfInstrument {
                venue: it.venue.name().to_owned(),
                symbol: it.symbol.as_str().to_owned(),
                order_qty_max: it.qty_decimal(limits.order_qty_max).to_string(),
                position_max: it.qty_decimal(limits.position_max).to_string(),
            }
        });
        Self {
            outcome: "done",
            version,
            who: node.who.as_str().to_owned(),
            collar_bps: node.collar_bps,
            orders_per_s_max: node.orders_per_s_max,
            book_age_ms_max: node.book_age_ms_max,
            reject_pct_max: node.reject_pct_max,
            move_bps_max: node.move_bps_max,
            move_ms: node.move_ms,
            day_loss_max: money(node.day_loss_max),
            drawdown_max: money(node.drawdown_max),
            order_value_max: money(node.order_value_max),
            exposure_max: money(node.exposure_max),
            currencies: currencies.collect(),
            instruments: instruments.collect(),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut node = Table::new(&["limit", ">value"]);
        let none = || "-".to_owned();
        for (name, value) in [
            ("collar_bps", self.collar_bps.to_string()),
            ("orders_per_s_max", self.orders_per_s_max.to_string()),
            ("book_age_ms_max", self.book_age_ms_max.to_string()),
            ("reject_pct_max", self.reject_pct_max.to_string()),
            ("move_bps_max", self.move_bps_max.to_string()),
            ("move_ms", self.move_ms.to_string()),
            (
                "day_loss_max",
                self.day_loss_max.clone().unwrap_or_else(none),
            ),
            (
                "drawdown_max",
                self.drawdown_max.clone().unwrap_or_else(none),
            ),
            (
                "order_value_max",
                self.order_value_max.clone().unwrap_or_else(none),
            ),
            (
                "exposure_max",
                self.exposure_max.clone().unwrap_or_else(none),
            ),
        ] {
            node.row([name.to_owned(), value]);
        }
        for it in &self.currencies {
            let max = it.exposure_max.clone().unwrap_or_else(none);
            node.row([format!("exposure_max in {}", it.asset), max]);
        }
        let mut table = Table::new(&["venue", "symbol", ">order_qty_max", ">position_max"]);
        for it in &self.instruments {
            table.row([
                it.venue.clone(),
                it.symbol.clone(),
                it.order_qty_max.clone(),
                it.position_max.clone(),
            ]);
        }
        let head = format!("version {}, put in force by {}", self.version, self.who);
        format!("{head}\n{}\n{}", node.render(), table.render())
    }
}
